//! Policies over HTTP: the text in, checked with line and field, activated by an entry; the text out, with its hash as ETag.
//!
//! `If-Match` makes an activation conditional on the policy it replaces: 412 when another one is active, 409 when another
//! activation is under way. `?dry_run=true` checks and changes nothing. It refuses to know what a policy means.

use super::gate::{self, Query};
use super::idempotency::Answer;
use super::problem::Problem;
use super::{Api, once};
use crate::auth::Scope;
use crate::node::{ActivateError, IfActive, PolicyText};
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tidegate_core::policy::PolicyErrors;

/// Largest text of a policy, in bytes: as much as the core reads.
pub const POLICY_BYTES_MAX: usize = 128 * 1024;
/// Faults of a text that one answer lists.
const FAULTS_SHOWN_MAX: usize = 64;

/// GET: the active policy's text.
pub(super) async fn read(
    State(api): State<Api>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (_, tenant) = api.allow_at(&headers, Scope::Viewer, &tenant)?;
    Query::read(query.as_deref(), &[])?;
    let active = api.node().policy_hash(tenant).await.map_err(|error| Problem::of_port(&error))?;
    let Some(hash) = active else {
        return Err(Problem::not_found("no-policy", "the tenant has no active policy: PUT one"));
    };
    let tag = etag(&hash);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    match api.node().policy_text(hash).await {
        Some(text) => {
            let kind = HeaderValue::from_static("application/toml");
            let tag = HeaderValue::from_str(&tag).unwrap_or_else(|_| HeaderValue::from_static(""));
            Ok(([(header::CONTENT_TYPE, kind), (header::ETAG, tag)], text.to_string()).into_response())
        }
        None => Err(Problem::not_found("policy-text-unknown", "the policy is active, but its text is not on this node")
            .with("hash", json!(hex(&hash)))),
    }
}

/// PUT: a policy's text.
pub(super) async fn write(
    State(api): State<Api>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match prepared(&api, &tenant, query.as_deref(), &headers, body).await {
        Ok(ready) => {
            let path = format!("policy/{}?{}", ready.tenant, ready.dry_run);
            let claim = api.answers().claim(&headers, &ready.holder, &path, ready.text.as_bytes());
            let act = activate(&api, ready.tenant, ready.text, ready.expected, ready.dry_run);
            once(claim, act).await
        }
        Err(problem) => problem.into_response(),
    }
}

struct Prepared {
    holder: String,
    tenant: tidegate_model::ids::TenantId,
    text: String,
    expected: IfActive,
    dry_run: bool,
}

async fn prepared(api: &Api, tenant: &str, query: Option<&str>, headers: &HeaderMap, body: Body) -> Result<Prepared, Problem> {
    let (grant, tenant) = api.allow_at(headers, Scope::Admin, tenant)?;
    let dry_run = Query::read(query, &["dry_run"])?.switch("dry_run")?;
    let expected = condition(headers)?;
    gate::content_type(headers, &["application/toml", "text/plain", "text/x-toml"])?;
    let bytes = gate::body(headers, body, POLICY_BYTES_MAX).await?;
    let text = String::from_utf8(bytes.into())
        .map_err(|error| Problem::malformed(format!("no UTF-8 from byte {}", error.utf8_error().valid_up_to())))?;
    Ok(Prepared { holder: grant.name, tenant, text, expected, dry_run })
}

async fn activate(
    api: &Api,
    tenant: tidegate_model::ids::TenantId,
    text: String,
    expected: IfActive,
    dry_run: bool,
) -> Result<Answer, Problem> {
    let source = PolicyText { file: "policy.toml".to_owned(), text };
    let done = api.node().activate(tenant, source, expected, dry_run).await.map_err(|error| problem(&error))?;
    let body = json!({ "name": done.name, "hash": hex(&done.hash), "activated": done.activated, "dry_run": dry_run });
    Ok(Answer { status: StatusCode::OK, etag: Some(etag(&done.hash)), body })
}

fn condition(headers: &HeaderMap) -> Result<IfActive, Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim().to_owned());
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (None, None) => Ok(IfActive::Any),
        (Some(_), Some(_)) => Err(Problem::parameter("If-None-Match", "send If-Match or If-None-Match, not both")),
        (Some(tag), None) if tag == "*" => Ok(IfActive::Some),
        (None, Some(tag)) if tag == "*" => Ok(IfActive::None),
        (None, Some(_)) => Err(Problem::parameter("If-None-Match", "expected * (activate only the first policy)")),
        (Some(tag), None) => {
            let hash = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).and_then(|tag| blake3::Hash::from_hex(tag).ok());
            match hash {
                Some(hash) => Ok(IfActive::Is(*hash.as_bytes())),
                None => Err(Problem::parameter("If-Match", "expected one ETag: 64 hexadecimal digits in quotes, or *")),
            }
        }
    }
}

fn problem(error: &ActivateError) -> Problem {
    match error {
        ActivateError::Invalid(errors) => invalid(errors),
        ActivateError::UnderWay => Problem::new(
            "policy-under-way",
            StatusCode::CONFLICT,
            "Another activation is under way",
            "read the active policy again, then repeat with If-Match",
        ),
        ActivateError::Changed { active } => Problem::new(
            "policy-changed",
            StatusCode::PRECONDITION_FAILED,
            "Another policy is active than expected",
            "read the active policy again, merge, then repeat with its ETag",
        )
        .at("If-Match")
        .with("active", json!(active.as_ref().map(hex))),
        ActivateError::Port(error) => Problem::of_port(error),
        ActivateError::Refused(outcome) => {
            Problem::of_outcome(*outcome).unwrap_or_else(|| Problem::internal("a refusal that is none"))
        }
    }
}

fn invalid(errors: &PolicyErrors) -> Problem {
    let faults: Vec<_> = errors
        .0
        .iter()
        .take(FAULTS_SHOWN_MAX)
        .map(|error| {
            json!({
                "file": error.file, "line": error.line, "column": error.column,
                "field": error.field, "problem": error.problem, "remedy": error.remedy,
            })
        })
        .collect();
    let detail = errors.0.first().map_or_else(|| "no cause was given".to_owned(), ToString::to_string);
    let field = errors.0.first().map(|error| error.field.clone()).unwrap_or_default();
    Problem::new("policy-invalid", StatusCode::UNPROCESSABLE_ENTITY, "The policy cannot be used", detail)
        .at(field)
        .with("faults", json!(errors.0.len()))
        .with("errors", json!(faults))
}

pub(super) fn hex(hash: &[u8; 32]) -> String {
    blake3::Hash::from(*hash).to_hex().to_string()
}

fn etag(hash: &[u8; 32]) -> String {
    format!("\"{}\"", hex(hash))
}
