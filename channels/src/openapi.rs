//! What customers and desks may ask over HTTP, as OpenAPI 3.1: the part of the document that this crate serves.
//!
//! Written beside the routes and not in them: the frames' own strict reader stays the only judge of bodies. A test of the whole
//! document compares it with the routes, and the contract check asks a running node. Frames of the two WebSockets are told in
//! `docs/protocol.md`; OpenAPI has no words for them. It refuses to know the router's part.
//!
//! Drive it: [`openapi`], then merge.

use crate::config::{SHORT_BYTES_MAX, TEXT_BYTES_MAX, VISITOR_BYTES_MIN};
use std::collections::BTreeMap;
use tidegate_model::file::{FILE_NAME_BYTES_MAX, MEDIA_TYPE_BYTES_MAX};
use tidegate_model::limits::{REQUEST_SKILLS_MAX, REQUEST_TAGS_MAX};
use tidegate_model::problem;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Components, OpenApi, OpenApiBuilder, Ref, RefOr, Required, Schema};

/// Name of the security scheme of customers' session tokens.
const SESSION: &str = "session_token";
/// Name of the security scheme of agents' tokens.
const DESK: &str = "agent_token";

fn text(least: usize, most: usize) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).min_length(Some(least)).max_length(Some(most)).build().into()
}

/// A field that may be left out may be null, too.
fn or_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            object.schema_type = SchemaType::from_iter([Type::String, Type::Null]);
            if let Some(words) = &mut object.enum_values {
                words.push(serde_json::Value::Null);
            }
            object.into()
        }
        other => other,
    }
}

fn any_text() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).build().into()
}

fn line(least: usize, most: usize) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(least)).max_length(Some(most));
    text.pattern(Some(r"^[^\u0000-\u001F\u007F-\u009F]*$")).build().into()
}

fn integer(least: i64, most: i64) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least as f64)).maximum(Some(most as f64)).build().into()
}

fn word(words: &[&str]) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied())).build().into()
}

fn object(fields: &[(&str, bool, RefOr<Schema>)], is_open: bool) -> RefOr<Schema> {
    let mut builder = ObjectBuilder::new();
    if !is_open {
        builder = builder.additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    }
    for (name, is_required, shape) in fields {
        builder = builder.property(*name, shape.clone());
        if *is_required {
            builder = builder.required(*name);
        }
    }
    builder.build().into()
}

fn request() -> Vec<(&'static str, bool, RefOr<Schema>)> {
    let name = || text(1, SHORT_BYTES_MAX);
    let levels = ObjectBuilder::new()
        .property_names(Some(Schema::from(
            ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(SHORT_BYTES_MAX)).build(),
        )))
        .additional_properties(Some(integer(1, 10)))
        .max_properties(Some(REQUEST_SKILLS_MAX));
    let seat = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^(?!0+$)[0-9a-fA-F]{1,16}$"));
    vec![
        ("queue", false, or_null(name())),
        ("class", false, or_null(name())),
        ("preferred", false, or_null(seat.build().into())),
        ("tags", false, ArrayBuilder::new().items(name()).max_items(Some(REQUEST_TAGS_MAX)).build().into()),
        ("skills", false, levels.build().into()),
    ]
}

struct Route {
    method: HttpMethod,
    path: &'static str,
    tag: &'static str,
    id: &'static str,
    summary: &'static str,
    says: &'static str,
    token: Option<&'static str>,
    body: Option<(&'static str, RefOr<Schema>)>,
    query: Vec<(&'static str, Required, RefOr<Schema>, &'static str)>,
    answer: (u16, &'static str, Option<(&'static str, RefOr<Schema>)>),
    problems: Vec<&'static str>,
}

fn act(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    name: &'static str,
    fields: Vec<(&'static str, bool, RefOr<Schema>)>,
) -> Route {
    let mut all = vec![("client_msg_id", true, text(1, SHORT_BYTES_MAX))];
    all.extend(fields);
    Route {
        method: HttpMethod::Post,
        path,
        tag: "web",
        id,
        summary,
        says: "The act counts once: `client_msg_id` is the client's own id of it, unique within the conversation.",
        token: Some(SESSION),
        body: Some((name, object(&all, false))),
        query: Vec::new(),
        answer: (
            200,
            "It was taken, durably, now or before.",
            Some(("application/json", RefOr::Ref(Ref::from_schema_name("Ack")))),
        ),
        problems: [
            "malformed",
            "bad-field",
            "unknown-field",
            "too-long",
            "too-large",
            "verified-only",
            "conflict",
            "already-open",
            "not-open",
            "unknown-queue",
            "unknown-class",
            "unknown-account",
            "no-policy",
            "limit-reached",
            "contradictory",
            "refused-by-rule",
            "poisoned",
            "rate-limited",
            "log-failed",
            "internal",
        ]
        .to_vec(),
    }
}

/// A message is a text, or a file that was uploaded before.
fn message() -> Route {
    let id = || ("client_msg_id", true, text(1, SHORT_BYTES_MAX));
    let hash = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9a-f]{64}$")).build().into();
    let words = object(&[id(), ("text", true, text(1, TEXT_BYTES_MAX))], false);
    let named = or_null(text(1, FILE_NAME_BYTES_MAX));
    let file = [id(), ("file", true, hash), ("name", false, named), ("media_type", false, or_null(text(1, MEDIA_TYPE_BYTES_MAX)))];
    let one = OneOfBuilder::new().item(words).item(object(&file, false)).build();
    let mut route = act("/v1/web/messages", "webMessage", "The customer writes, or sends a file", "WebMessage", Vec::new());
    route.body = Some(("WebMessage", RefOr::T(Schema::OneOf(one))));
    route.problems.extend(["unknown-file", "no-files", "files-failed", "damaged-file"]);
    route
}

fn upload(path: &'static str, tag: &'static str, id: &'static str, summary: &'static str, token: &'static str) -> Route {
    let mut query = vec![("name", Required::False, text(0, FILE_NAME_BYTES_MAX), "The file's name.")];
    if token == DESK {
        let claim = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^(?!0+$)[0-9a-fA-F]{1,16}$")).build();
        query.push(("claim", Required::True, claim.into(), "The claim: 1 to 16 hexadecimal digits."));
    }
    let mut problems = vec![
        "bad-parameter",
        "unknown-parameter",
        "too-long",
        "bad-field",
        "bad-file",
        "media-type",
        "too-large",
        "too-slow",
        "refused-file",
        "no-files",
        "no-room",
        "files-failed",
        "rate-limited",
        "verified-only",
        "internal",
    ];
    if token == DESK {
        problems.extend(["claim-gone", "unknown"]);
    }
    Route {
        method: HttpMethod::Post,
        path,
        tag,
        id,
        summary,
        says: "The body is the file, its Content-Type the kind (text/plain here stands for all): which are taken, and how large, is configured. Send the answer's `file` as an act.",
        token: Some(token),
        body: None,
        query,
        answer: (201, "It is kept.", Some(("application/json", object(&[("file", true, any_text())], true)))),
        problems,
    }
}

fn download(path: &'static str, tag: &'static str, id: &'static str, summary: &'static str, token: &'static str) -> Route {
    Route {
        method: HttpMethod::Get,
        path,
        tag,
        id,
        summary,
        says: "An attachment of an inert type, never sniffed. A file that may not be read is answered like one that does not exist.",
        token: Some(token),
        body: None,
        query: Vec::new(),
        answer: (200, "The bytes, of the kind that was uploaded.", Some(("*/*", any_text()))),
        problems: vec![
            "unknown-file",
            "no-files",
            "damaged-file",
            "files-failed",
            "rate-limited",
            "bad-parameter",
            "bad-field",
            "internal",
        ],
    }
}

fn routes() -> Vec<Route> {
    let session = object(
        &[
            ("inbox", true, text(1, SHORT_BYTES_MAX)),
            ("name", false, or_null(line(1, SHORT_BYTES_MAX))),
            (
                "visitor",
                false,
                or_null(
                    ObjectBuilder::new()
                        .schema_type(Type::String)
                        .pattern(Some(format!("^[A-Za-z0-9_-]{{{VISITOR_BYTES_MIN},{SHORT_BYTES_MAX}}}$")))
                        .build()
                        .into(),
                ),
            ),
            ("identity", false, or_null(text(1, crate::auth::TOKEN_BYTES_MAX))),
        ],
        false,
    );
    let opened = object(
        &[
            ("token", true, any_text()),
            ("conversation", true, any_text()),
            ("visitor", false, any_text()),
            ("verified", true, ObjectBuilder::new().schema_type(Type::Boolean).build().into()),
            ("expires_in_s", true, integer(1, 1 << 31)),
        ],
        true,
    );
    let page = object(
        &[
            ("conversation", true, any_text()),
            (
                "items",
                true,
                ArrayBuilder::new()
                    .items(object(&[("n", true, integer(1, u32::MAX.into())), ("kind", true, any_text())], true))
                    .build()
                    .into(),
            ),
            ("n", true, integer(0, u32::MAX.into())),
        ],
        true,
    );
    let mut begin = vec![("with", false, or_null(word(&["queue", "bot"])))];
    begin.extend(request());
    let after = || ("after", Required::False, integer(0, u32::MAX.into()), "Newest item that the client has.");
    let socket = |path, tag, id, summary| Route {
        method: HttpMethod::Get,
        path,
        tag,
        id,
        summary,
        says: "WebSocket (RFC 6455). Frames, limits and close codes: docs/protocol.md. The token comes in the first frame.",
        token: None,
        body: None,
        query: Vec::new(),
        answer: (101, "Switching to WebSocket.", None),
        problems: vec!["not-an-upgrade", "busy", "closed"],
    };
    vec![
        Route {
            method: HttpMethod::Post,
            path: "/v1/web/sessions",
            tag: "web",
            id: "openSession",
            summary: "Opens a customer's session",
            says: "Anonymous, or verified by the site's signed identity. Keep `visitor`: it gives the same conversation next time.",
            token: None,
            body: Some(("OpenSession", session)),
            query: Vec::new(),
            answer: (201, "The session.", Some(("application/json", opened))),
            problems: [
                "malformed",
                "bad-field",
                "unknown-field",
                "too-long",
                "too-large",
                "unknown-inbox",
                "rate-limited",
                "internal",
            ]
            .to_vec(),
        },
        act("/v1/web/begin", "webBegin", "The customer begins a contact", "WebBegin", begin),
        act("/v1/web/request_agent", "webRequestAgent", "The customer asks for an agent", "WebRequestAgent", request()),
        message(),
        act("/v1/web/leave", "webLeave", "The customer leaves", "WebLeave", Vec::new()),
        Route {
            method: HttpMethod::Get,
            path: "/v1/web/transcript",
            tag: "web",
            id: "webTranscript",
            summary: "The customer's transcript, by long poll",
            says: "",
            token: Some(SESSION),
            body: None,
            query: vec![after(), ("wait_s", Required::False, integer(0, 25), "Seconds to wait for something new.")],
            answer: (200, "Items after `after`; `n` is the next `after`.", Some(("application/json", page))),
            problems: vec![
                "bad-parameter",
                "unknown-parameter",
                "resume-ahead",
                "rate-limited",
                "log-failed",
                "unknown",
                "internal",
            ],
        },
        Route {
            method: HttpMethod::Get,
            path: "/v1/web/events",
            tag: "web",
            id: "webEvents",
            summary: "The customer's transcript, as server-sent events",
            says: "`item` events have the item's number as `id`; `Last-Event-ID` resumes. The token may come as `token=` for `EventSource`.",
            token: Some(SESSION),
            body: None,
            query: vec![after(), ("token", Required::False, any_text(), "The session token, where a header cannot be set.")],
            answer: (200, "The stream.", Some(("text/event-stream", any_text()))),
            problems: vec!["bad-parameter", "unknown-parameter", "rate-limited", "internal"],
        },
        Route {
            method: HttpMethod::Post,
            path: "/v1/web/typing",
            tag: "web",
            id: "webTyping",
            summary: "The customer is writing",
            says: "A signal: not logged, and may be lost.",
            token: Some(SESSION),
            body: Some(("WebTyping", object(&[], false))),
            query: Vec::new(),
            answer: (204, "It was heard.", None),
            problems: vec!["malformed", "unknown-field", "too-large", "rate-limited"],
        },
        Route {
            method: HttpMethod::Get,
            path: "/v1/web/inbox",
            tag: "web",
            id: "webInbox",
            summary: "What a page needs before it opens a conversation",
            says: "",
            token: None,
            body: None,
            query: vec![("inbox", Required::True, text(1, SHORT_BYTES_MAX), "The inbox's name.")],
            answer: (200, "The inbox's face.", Some(("application/json", object(&[("inbox", true, any_text())], true)))),
            problems: vec!["bad-parameter", "unknown-inbox"],
        },
        upload("/v1/web/files", "web", "webUpload", "The customer uploads a file", SESSION),
        download("/v1/web/files/{file}", "web", "webDownload", "The customer fetches a file", SESSION),
        upload("/v1/desk/files", "desk", "deskUpload", "An agent uploads a file for a claim's conversation", DESK),
        download("/v1/desk/files/{file}", "desk", "deskDownload", "An agent fetches a file of an own claim's conversation", DESK),
        socket("/v1/web/ws", "web", "webSocket", "The customer's WebSocket"),
        socket("/v1/desk/ws", "desk", "deskSocket", "The agent's desk"),
    ]
}

/// The document of this crate's routes.
pub fn openapi() -> OpenApi {
    let mut document = OpenApiBuilder::new().build();
    let mut components = Components::new();
    let says = "A customer's session token, from POST /v1/web/sessions.";
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some(says)).build();
    components.add_security_scheme(SESSION, SecurityScheme::Http(token));
    let token =
        HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some("An agent's token.")).build();
    components.add_security_scheme(DESK, SecurityScheme::Http(token));
    let ack = [
        ("type", true, word(&["ack"])),
        ("client_msg_id", true, any_text()),
        ("outcome", true, word(&["done", "duplicate"])),
        ("contact", false, integer(1, i64::MAX)),
        ("n", true, integer(0, u32::MAX.into())),
    ];
    components.schemas.insert("Ack".to_owned(), object(&ack, true));
    for mut route in routes() {
        let mut op = OperationBuilder::new().operation_id(Some(route.id)).tag(route.tag).summary(Some(route.summary));
        op = op.description((!route.says.is_empty()).then_some(route.says));
        route.problems.extend(["foreign-origin", "busy", "closed"]);
        let path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        for name in path {
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
            op = op.parameter(parameter.schema(Some(any_text())).description(Some("The file: its content's hash.")).build());
        }
        if let Some(scheme) = route.token {
            op = op.security(SecurityRequirement::new(scheme, Vec::<String>::new()));
            route.problems.extend(["unauthorised", "token-expired", "foreign-token"]);
        } else {
            op = op.securities(Some(Vec::<SecurityRequirement>::new()));
            if route.body.is_some() {
                // An identity is a token of the site's.
                route.problems.extend(["unauthorised", "token-expired", "foreign-token", "verified-only"]);
            }
        }
        for (name, required, schema, says) in route.query {
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query).required(required);
            op = op.parameter(parameter.schema(Some(schema)).description(Some(says)).build());
        }
        if route.problems.contains(&"bad-file") {
            // A file is whatever its kind says; the one kind that a document can spell is given for all.
            let content = ContentBuilder::new().schema(Some(any_text())).build();
            op = op.request_body(Some(
                RequestBodyBuilder::new().required(Some(Required::True)).content("text/plain", content).build(),
            ));
        }
        if let Some((name, schema)) = route.body {
            let content = ContentBuilder::new().schema(Some(RefOr::<Schema>::Ref(Ref::from_schema_name(name)))).build();
            op = op.request_body(Some(
                RequestBodyBuilder::new().required(Some(Required::True)).content("application/json", content).build(),
            ));
            components.schemas.insert(name.to_owned(), schema);
        }
        let (status, says, content) = route.answer;
        let mut answer = ResponseBuilder::new().description(says);
        if let Some((kind, schema)) = content {
            answer = answer.content(kind, ContentBuilder::new().schema(Some(schema)).build());
        }
        op = op.response(status.to_string(), answer.build());
        for (status, response) in problems(&route.problems) {
            op = op.response(status.to_string(), response);
        }
        document.paths.add_path_operation(route.path, vec![route.method], op.build());
    }
    document.components = Some(components);
    let tag = |name: &str, says: &str| TagBuilder::new().name(name).description(Some(says)).build();
    document.tags = Some(vec![tag("web", "Customers' web chat"), tag("desk", "Agents' desks")]);
    document
}

fn problems(slugs: &[&str]) -> BTreeMap<u16, Response> {
    let mut lines = BTreeMap::<u16, Vec<String>>::new();
    for row in slugs.iter().filter_map(|slug| problem::find(slug)) {
        let line = format!("[`{}`]({}{}): {}", row.slug, problem::URI, row.slug, row.title.en);
        let lines = lines.entry(row.status).or_default();
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let of = |(status, lines): (u16, Vec<String>)| {
        let content = ContentBuilder::new().schema(Some(RefOr::<Schema>::Ref(Ref::from_schema_name("Problem")))).build();
        (status, ResponseBuilder::new().description(lines.join("; ")).content("application/problem+json", content).build())
    };
    lines.into_iter().map(of).collect()
}
