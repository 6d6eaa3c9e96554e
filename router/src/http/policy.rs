//! Policies over HTTP: the text in, checked with line and field, activated by an entry; the text out, with its hash as ETag.
//!
//! `If-Match` makes an activation conditional on the policy it replaces: 412 when another one is active, 409 when another
//! activation is under way. `?dry_run=true` checks and changes nothing. It refuses to know what a policy means.

use super::asked::once;
use super::gate::{self, Query};
use super::idempotency::Answer;
use super::problem::Problem;
use super::{Api, shape};
use crate::auth::Permission;
use crate::node::{ActivateError, IfActive, PolicyText};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use std::collections::HashMap;
use tidegate_core::OwnerRole;
use tidegate_core::policy::PolicyErrors;
use tidegate_model::name::QueueName;
use tidegate_model::policy::{Policy, Queue};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

/// Largest text of a policy, in bytes: as much as the core reads.
pub const POLICY_BYTES_MAX: usize = 128 * 1024;
/// Types of a policy's text.
pub(super) const TEXT_KINDS: [&str; 3] = ["application/toml", "text/plain", "text/x-toml"];
/// Faults of a text that one answer lists.
const FAULTS_SHOWN_MAX: usize = 64;

/// GET: the active policy's text.
pub(super) async fn read(
    State(api): State<Api>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (_, tenant) = api.allow_at(&headers, Permission::ReadPolicy, &tenant)?;
    Query::read(query.as_deref(), &[])?;
    let active = api.node().policy_hash(tenant).await.map_err(|error| Problem::of_port(&error))?;
    let Some(hash) = active else {
        return Err(Problem::not_found("unknown-policy", "the tenant has no active policy: PUT one"));
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
        None => Err(Problem::not_found("unknown-policy", "the policy is active, but its text is not on this node")
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
) -> Result<Response, Problem> {
    let ready = prepared(&api, &tenant, query.as_deref(), &headers, body).await?;
    let path = format!("{}/policy?{}", ready.tenant.0, ready.dry_run);
    let claim = api.answers().claim(&headers, &ready.holder, &path, ready.text.as_bytes())?;
    once(claim, activate(&api, ready.tenant, ready.text, ready.expected, ready.dry_run)).await
}

struct Prepared {
    holder: String,
    tenant: tidegate_model::ids::TenantId,
    text: String,
    expected: IfActive,
    dry_run: bool,
}

async fn prepared(api: &Api, tenant: &str, query: Option<&str>, headers: &HeaderMap, body: Body) -> Result<Prepared, Problem> {
    let dry_run = Query::read(query, &["dry_run"]).and_then(|query| query.switch("dry_run"));
    let need = if matches!(dry_run, Ok(true)) { Permission::CheckPolicy } else { Permission::WritePolicy };
    let (grant, tenant) = api.allow_at(headers, need, tenant)?;
    let dry_run = dry_run?;
    let expected = condition(headers)?;
    let text = text(headers, body).await?;
    Ok(Prepared { holder: grant.name, tenant, text, expected, dry_run })
}

async fn text(headers: &HeaderMap, body: Body) -> Result<String, Problem> {
    gate::content_type(headers, &TEXT_KINDS)?;
    let bytes = gate::body(headers, body, POLICY_BYTES_MAX).await?;
    String::from_utf8(bytes.into())
        .map_err(|error| Problem::malformed(format!("no UTF-8 from byte {}", error.utf8_error().valid_up_to())))
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
        ActivateError::UnderWay => Problem::of("policy-under-way", "read the active policy again, then repeat with If-Match"),
        ActivateError::Changed { active } => {
            Problem::of("policy-changed", "read the active policy again, merge, then repeat with its ETag")
                .at("If-Match")
                .with("active", json!(active.as_ref().map(hex)))
        }
        ActivateError::Port(error) => Problem::of_port(error),
        ActivateError::Refused(outcome) => {
            Problem::of_outcome(*outcome).unwrap_or_else(|| Problem::internal("a refusal that is none"))
        }
    }
}

fn invalid(errors: &PolicyErrors) -> Problem {
    let detail = errors.0.first().map_or_else(|| "no cause was given".to_owned(), ToString::to_string);
    let field = errors.0.first().map(|error| error.field.clone()).unwrap_or_default();
    Problem::of("policy-invalid", detail).at(field).with("faults", json!(errors.0.len())).with("errors", json!(faults(errors)))
}

fn faults(errors: &PolicyErrors) -> Vec<PolicyFault> {
    let fault = |error: &tidegate_core::policy::PolicyError| PolicyFault {
        file: error.file.clone(),
        line: error.line,
        column: error.column,
        field: error.field.clone(),
        problem: error.problem.clone(),
        remedy: error.remedy.clone(),
    };
    errors.0.iter().take(FAULTS_SHOWN_MAX).map(fault).collect()
}

/// One fault of a policy's text.
#[derive(Serialize, ToSchema)]
pub(super) struct PolicyFault {
    file: String,
    /// Line, from 1; 0 when the fault is nowhere in particular.
    line: u32,
    column: u32,
    /// The field, as a path.
    field: String,
    /// What is wrong.
    problem: String,
    /// What to do.
    remedy: String,
}

/// What activating the policy would do to contacts that wait now.
#[derive(Serialize, ToSchema, Default)]
pub(super) struct SwapEffect {
    /// Contacts waiting or offered.
    waiting: u64,
    /// Those whose step the policy has not: they go to the nearest earlier one.
    steps_gone: u64,
    /// Those whose queue the policy has not: they go to its default queue.
    queues_gone: u64,
}

/// What a policy would do.
#[derive(Serialize, ToSchema)]
pub(super) struct PolicyChecked {
    /// Whether it could be activated.
    valid: bool,
    /// Its hash: the ETag that it would have.
    hash: String,
    /// Number of faults; at most 64 are listed.
    faults: usize,
    /// The faults.
    errors: Vec<PolicyFault>,
    /// What a swap would do now; null for a faulty policy.
    swap: Option<SwapEffect>,
}

/// POST policy/validate: everything that an activation would say, and nothing that it would do.
pub(super) async fn validate(
    State(api): State<Api>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<PolicyChecked>, Problem> {
    let (_, tenant) = api.allow_at(&headers, Permission::CheckPolicy, &tenant)?;
    Query::read(query.as_deref(), &[])?;
    let text = text(&headers, body).await?;
    let hash = blake3::hash(text.as_bytes()).to_hex().to_string();
    match tidegate_core::policy::parse("policy.toml", &text) {
        Err(errors) => Ok(Json(PolicyChecked { valid: false, hash, faults: errors.0.len(), errors: faults(&errors), swap: None })),
        Ok(policy) => {
            let swap = swap_effect(&api, tenant, &policy).await?;
            Ok(Json(PolicyChecked { valid: true, hash, faults: 0, errors: Vec::new(), swap: Some(swap) }))
        }
    }
}

async fn swap_effect(api: &Api, tenant: tidegate_model::ids::TenantId, policy: &Policy) -> Result<SwapEffect, Problem> {
    let steps = |queue: &Queue| (QueueName::of(&queue.name), queue.steps.iter().map(|s| s.name.clone()).collect());
    let new: HashMap<QueueName, Vec<String>> = policy.queues.iter().map(steps).collect();
    let mut effect = SwapEffect::default();
    let names = super::names::Names::read(api, tenant).await?;
    super::conversations::each(api, tenant, |view| {
        let Some(contact) = view.contact.filter(|c| matches!(c.role, OwnerRole::Waiting | OwnerRole::Offered)) else { return };
        effect.waiting += 1;
        match new.get(&contact.queue) {
            None => effect.queues_gone += 1,
            Some(steps) => {
                let kept = names.step(contact.queue, contact.step).is_some_and(|name| steps.iter().any(|s| *s == name));
                effect.steps_gone += u64::from(!kept);
            }
        }
    })
    .await?;
    Ok(effect)
}

/// What an activation is answered with.
pub(super) fn activated_shape() -> RefOr<Schema> {
    shape::open_object(&[
        ("name", shape::any_text()),
        ("hash", shape::any_text()),
        ("activated", shape::switch()),
        ("dry_run", shape::switch()),
    ])
}

pub(super) fn hex(hash: &[u8; 32]) -> String {
    blake3::Hash::from(*hash).to_hex().to_string()
}

fn etag(hash: &[u8; 32]) -> String {
    format!("\"{}\"", hex(hash))
}
