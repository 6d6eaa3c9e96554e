//! The OpenAPI 3.1 document: this crate's operations, and the routes that the same listener serves beside them.
//!
//! Made in code from the list in `operations`, merged with what the caller brings (the channels describe theirs). The text is
//! stable: the same code gives the same bytes, so that the committed file can be compared. It refuses to know where the file
//! stands.

use super::{operations, shape};
use serde_json::Value;
use utoipa::openapi::info::{InfoBuilder, LicenseBuilder};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Components, OpenApi, OpenApiBuilder, ServerBuilder};

const DESCRIPTION: &str = "\
The platform API of a Tidegate node. Everything under `/v1/tenants/{tenant}` belongs to one tenant and takes an administration token \
(`Authorization: Bearer`); `/v1/web` and `/v1/desk` are the customers' and agents' own protocols with tokens of their own.

**Writes are done once.** Every POST that creates or acts takes an `Idempotency-Key`; repeated with the same key on the same path \
it is done once and answered as the first time (`Idempotent-Replay: true` when the answer was kept). Another body under the same key is \
refused with 422, a first request still under way with 409. Keys belong to the token's holder, the tenant and the path. Answers are kept in memory for \
24 hours (the newest 4,096); acts that enter the log are recognised by the tenant machine beyond that and after a restart: customers' acts for the last \
`dedup_events` events of the tenant (its limits), a seat's for its last sixteen commands.

**Pages.** A list answers `next`; give it back as `after`. Cursors are opaque and stay good while rows come and go.

**Units.** Names end in their unit: `*_ms` are whole milliseconds; `*_at_ms`, `*_since_ms`, `*_until_ms` are log time in milliseconds since the Unix epoch. Ids of 64 bits \
are decimal text, conversations 32 hexadecimal digits. The desk's WebSocket protocol writes the same 64-bit ids in hexadecimal.

**Errors** are RFC 9457 problem details; `type` is a path on this node that leads to a page about it, in English and Chinese.

**Limits.** A token may make 2,000 requests a second (4,000 at once), an address 4,000 (8,000 at once), and 1 failed authentication a second (20 at once); past \
that the answer is 429 with `Retry-After`. `RateLimit-Policy` and `RateLimit` tell what is left. Bodies: acts 32 KiB, profiles 16 KiB, policies 128 KiB; JSON nests at most \
8 deep with at most 1,024 values, no key twice; a message has at most 4,096 bytes; a query 1,024 bytes; a request at most 30 seconds.";

/// The document of this crate's routes and `others`.
pub fn openapi(others: Option<OpenApi>) -> OpenApi {
    let license = LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("Tidegate")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license))
        .build();
    let server = ServerBuilder::new().url("/").description(Some("The node that serves this document.")).build();
    let mut document = OpenApiBuilder::new().info(info).servers(Some([server])).build();
    let mut components = Components::new();
    let says = "An administration token; scopes viewer, operator, admin, each including the ones before it.";
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(says)).build();
    components.add_security_scheme(super::op::TOKEN_SCHEME, SecurityScheme::Http(token));
    components.schemas.insert("Problem".to_owned(), problem_shape());
    document.components = Some(components);
    for op in operations::all() {
        op.describe(&mut document);
    }
    let tags = [
        ("conversations", "Customers' threads, for platforms with their own front end"),
        ("messages", "What was said"),
        ("contacts", "Open requests for service"),
        ("agents", "The roster"),
        ("seats", "Agents' signed-in presence, and their acts"),
        ("queues", "Who waits, and who could serve"),
        ("policies", "How contacts are routed"),
        ("accounts", "Channel accounts"),
        ("metrics", "Figures"),
        ("events", "What happens, as a stream"),
        ("access", "API tokens, the audit, sign-in of people"),
        ("webhooks", "What happens, delivered"),
        ("node", "The node itself"),
        ("reference", "Documents"),
    ];
    let tag = |(name, says): (&str, &str)| TagBuilder::new().name(name).description(Some(says)).build();
    document.tags = Some(tags.map(tag).into());
    if let Some(others) = others {
        if let (Some(tags), Some(more)) = (&mut document.tags, &others.tags) {
            tags.extend(more.iter().cloned());
        }
        document.merge(others);
    }
    document
}

/// The document as it is committed and served.
pub fn openapi_text(others: Option<OpenApi>) -> String {
    // By way of a value: its maps are sorted, so the text does not depend on the order of insertion.
    let mut value = serde_json::to_value(openapi(others)).unwrap_or(Value::Null);
    plain_integers(&mut value);
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}

/// Integers are told by their limits: `int32` would be wrong of numbers without sign.
fn plain_integers(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.get("format").is_some_and(|format| format == "int32" || format == "int64") {
                members.remove("format");
            }
            members.values_mut().for_each(plain_integers);
        }
        Value::Array(values) => values.iter_mut().for_each(plain_integers),
        _ => {}
    }
}

fn problem_shape() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
    let text = shape::any_text;
    let builder = utoipa::openapi::schema::ObjectBuilder::new()
        .description(Some("RFC 9457 problem details."))
        .property("type", shape::pattern("^/problems/[a-z-]+$"))
        .property("title", text())
        .property("status", shape::integer(400, 599))
        .property("detail", text())
        .property("field", text())
        .property("retry_after_ms", shape::integer(0, u64::MAX));
    ["type", "title", "status", "detail"].into_iter().fold(builder, |builder, name| builder.required(name)).build().into()
}
