//! A tenant's webhooks over HTTP: made, changed, removed; secrets rotated; places rewound; dead letters listed and sent again.
//!
//! ```text
//! GET, POST          /v1/tenants/{t}/webhooks
//! GET, PATCH, DELETE /v1/tenants/{t}/webhooks/{id}
//! POST               …/{id}/rotate  /rewind  /test  /dead-letters/{event}/resend
//! GET                …/{id}/dead-letters?after=&max=
//! ```
//!
//! A secret is in the answer that makes it and nowhere else. Reading needs an operator (a URL may be half a secret), writing
//! an administrator. It refuses to know how events are delivered.

use super::asked::{Asked, Sent};
use super::gate;
use super::idempotency::Answer;
use super::json::Fields;
use super::problem::Problem;
use super::{Api, shape as shapes};
use crate::auth::Permission;
use crate::cell::chain;
use crate::events::{Body as Text, EventNo, Names, PATTERNS_MAX, cloud_event};
use crate::webhook::{self, Draft, HookError, HookView, Letter, URL_BYTES_MAX, Webhooks};
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use std::time::Duration;
use tidegate_model::ids::TenantId;
use utoipa::openapi::{RefOr, Schema};

/// Largest body of these routes, in bytes.
pub const WEBHOOK_BYTES_MAX: usize = 8 * 1024;
/// Longest time for which a replaced secret goes on signing, in seconds.
const KEEP_MAX_S: i64 = 7 * 86_400;
/// Dead letters of one page.
const PAGE_MAX: u64 = 100;

/// What may be wrong with a body that is no more than an empty object.
pub(super) const BODY_PROBLEMS: [&str; 7] =
    ["malformed", "too-deep", "too-many-values", "bad-field", "unknown-field", "too-large", "media-type"];

/// The members of a webhook that every release has.
pub(super) fn shape() -> RefOr<Schema> {
    let fields = ["id", "url", "read"].map(|name| (name, shapes::any_text()));
    shapes::open_object(&fields)
}

/// GET all of a tenant.
pub(super) async fn list(Path(tenant): Path<String>, asked: Asked) -> Result<Json<Value>, Problem> {
    let (tenant, _) = asked.read_at(Permission::ReadWebhooks, &tenant, &[])?;
    // At most 32 of a tenant: one page.
    let rows: Vec<Value> = hooks(&asked.api)?.list(tenant).iter().map(shown).collect();
    Ok(Json(json!({ "webhooks": rows, "next": null })))
}

/// GET one.
pub(super) async fn read(Path((tenant, id)): Path<(String, String)>, asked: Asked) -> Result<Json<Value>, Problem> {
    let (tenant, _) = asked.read_at(Permission::ReadWebhooks, &tenant, &[])?;
    let view = hooks(&asked.api)?.view(tenant, gate::id("id", &id)?).map_err(|error| problem(&error))?;
    Ok(Json(shown(&view)))
}

/// POST a new one.
pub(super) async fn create(Path(tenant): Path<String>, sent: Sent) -> Result<Response, Problem> {
    act(sent, &tenant, None, "create", async |hooks, tenant, _, fields| {
        let draft = Draft {
            url: Some(fields.text("url", 1..=URL_BYTES_MAX * 16)?),
            secret: fields.optional_text("secret", 1..=128)?,
            ..draft(&fields)?
        };
        fields.end()?;
        let (view, secret) = hooks.create(tenant, draft).await.map_err(|error| problem(&error))?;
        Ok((StatusCode::CREATED, with_secret(&view, secret)))
    })
    .await
}

/// PATCH some fields.
pub(super) async fn change(Path((tenant, id)): Path<(String, String)>, sent: Sent) -> Result<Response, Problem> {
    act(sent, &tenant, Some(&id), "change", async |hooks, tenant, id, fields| {
        let draft = Draft { url: fields.optional_text("url", 1..=URL_BYTES_MAX * 16)?, ..draft(&fields)? };
        fields.end()?;
        let view = hooks.change(tenant, id, draft).await.map_err(|error| problem(&error))?;
        Ok((StatusCode::OK, shown(&view)))
    })
    .await
}

/// DELETE one.
pub(super) async fn remove(Path((tenant, id)): Path<(String, String)>, sent: Sent) -> Result<Response, Problem> {
    act(sent, &tenant, Some(&id), "remove", async |hooks, tenant, id, fields| {
        fields.end()?;
        hooks.remove(tenant, id).await.map_err(|error| problem(&error))?;
        Ok((StatusCode::OK, json!({ "id": id.to_string(), "removed": true })))
    })
    .await
}

/// POST for a new secret.
pub(super) async fn rotate(Path((tenant, id)): Path<(String, String)>, sent: Sent) -> Result<Response, Problem> {
    act(sent, &tenant, Some(&id), "rotate", async |hooks, tenant, id, fields| {
        let keep = fields.integer("keep_old_s", 0..=KEEP_MAX_S, Some(86_400))?;
        let secret = fields.optional_text("secret", 1..=128)?;
        fields.end()?;
        let keep = Duration::from_secs(u64::try_from(keep).unwrap_or(0));
        let (view, secret) = hooks.rotate(tenant, id, secret, keep).await.map_err(|error| problem(&error))?;
        Ok((StatusCode::OK, with_secret(&view, secret)))
    })
    .await
}

/// POST a place to deliver from again.
pub(super) async fn rewind(Path((tenant, id)): Path<(String, String)>, sent: Sent) -> Result<Response, Problem> {
    act(sent, &tenant, Some(&id), "rewind", async |hooks, tenant, id, fields| {
        let after = fields.text("after", 1..=64)?;
        fields.end()?;
        let after = after.parse().map_err(|error: crate::events::EventNoError| Problem::field("/after", error.to_string()))?;
        let view = hooks.rewind(tenant, id, after).await.map_err(|error| problem(&error))?;
        Ok((StatusCode::OK, shown(&view)))
    })
    .await
}

/// POST a ping to the receiver and say how it went.
pub(super) async fn test(Path((tenant, id)): Path<(String, String)>, sent: Sent) -> Result<Response, Problem> {
    act(sent, &tenant, Some(&id), "test", async |hooks, tenant, id, fields| {
        fields.end()?;
        let (delivered, why) = match hooks.ping(tenant, id).await.map_err(|error| problem(&error))? {
            webhook::Answer::Taken => (true, Value::Null),
            webhook::Answer::Gone => (false, json!("410 Gone")),
            webhook::Answer::Failed { why, .. } => (false, json!(why)),
        };
        Ok((StatusCode::OK, json!({ "delivered": delivered, "failure": why })))
    })
    .await
}

/// POST a dead letter on its way again.
pub(super) async fn resend(Path((tenant, id, event)): Path<(String, String, String)>, sent: Sent) -> Result<Response, Problem> {
    let name = format!("resend/{}", event.chars().take(64).collect::<String>());
    act(sent, &tenant, Some(&id), &name, async |hooks, tenant, id, fields| {
        fields.end()?;
        let no: EventNo =
            event.parse().map_err(|error: crate::events::EventNoError| Problem::parameter("event", error.to_string()))?;
        hooks.resend(tenant, id, no).await.map_err(|error| problem(&error))?;
        Ok((StatusCode::ACCEPTED, json!({ "id": no.to_string() })))
    })
    .await
}

/// GET a page of dead letters.
pub(super) async fn letters(Path((tenant, id)): Path<(String, String)>, asked: Asked) -> Result<Json<Value>, Problem> {
    let (tenant, query) = asked.read_at(Permission::ReadWebhooks, &tenant, &["after", "max"])?;
    let after = query.value("after").unwrap_or("0");
    let after: EventNo =
        after.parse().map_err(|error: crate::events::EventNoError| Problem::parameter("after", error.to_string()))?;
    let max = query.integer("max", 1..=PAGE_MAX, PAGE_MAX)? as usize;
    let letters = hooks(&asked.api)?.letters(tenant, gate::id("id", &id)?, after, max).map_err(|error| problem(&error))?;
    let mut names = Names::default();
    asked.api.node().learn_names(tenant, &mut names).await;
    let next = if letters.len() == max { letters.last().map(|letter| letter.event.no.to_string()) } else { None };
    let rows: Vec<Value> = letters.iter().map(|letter| shown_letter(letter, &names)).collect();
    Ok(Json(json!({ "dead_letters": rows, "next": next })))
}

fn shown_letter(letter: &Letter, names: &Names) -> Value {
    json!({
        "id": letter.event.no.to_string(), "attempts": letter.attempts, "first_ms": letter.first_ms,
        "last_ms": letter.last_ms, "failure": letter.why, "event": cloud_event(&letter.event, names, &Text::Withheld),
    })
}

fn hooks(api: &Api) -> Result<&Webhooks, Problem> {
    api.node().webhooks().ok_or_else(|| Problem::not_found("no-webhooks", "this node delivers no webhooks: configure [webhooks]"))
}

fn draft(fields: &Fields) -> Result<Draft, Problem> {
    Ok(Draft {
        // A list ten times too long is counted by the filter, which says what is allowed.
        types: fields.texts("types", PATTERNS_MAX, 1..=64)?,
        include_bodies: fields.flag("include_bodies")?,
        paused: fields.flag("paused")?,
        ..Draft::default()
    })
}

/// What every write here has in common: an administrator, the webhook's id, fields that may be left out with their body.
async fn act<F>(sent: Sent, tenant: &str, id: Option<&str>, name: &str, act: F) -> Result<Response, Problem>
where
    F: AsyncFnOnce(&Webhooks, TenantId, u32, Fields) -> Result<(StatusCode, Value), Problem>,
{
    let (tenant, ready) = sent.json_at(Permission::ManageWebhooks, tenant, WEBHOOK_BYTES_MAX).await?;
    let id = id.map_or(Ok(0), |id| gate::id::<u32>("id", id))?;
    let hooks = hooks(&ready.api)?;
    let doing = async {
        let fields = Fields::read(if ready.body.is_empty() { b"{}" } else { &ready.body })?;
        let (status, body) = act(hooks, tenant, id, fields).await?;
        Ok(Answer { status, etag: None, body })
    };
    ready.once(&format!("webhooks/{tenant}/{id}/{name}"), doing).await
}

fn shown(view: &HookView) -> Value {
    let subscription = &view.subscription;
    let secrets: Vec<Value> = subscription
        .secrets
        .iter()
        .map(|secret| {
            let hint: String = secret.text.chars().take("whsec_".len() + 4).collect();
            json!({ "hint": format!("{hint}…"), "until_ms": secret.until_ms })
        })
        .collect();
    json!({
        "id": subscription.id.to_string(), "url": subscription.url, "types": subscription.types,
        "include_bodies": subscription.include_bodies, "paused": subscription.pause.is_some(),
        "pause": subscription.pause.map(webhook::Pause::slug), "secrets": secrets, "created_ms": subscription.created_ms,
        "read": view.read.to_string(), "pending": view.pending, "in_flight": view.in_flight, "dead_letters": view.letters,
        "delivered": view.counts.delivered, "attempts": view.counts.attempts, "failures": view.counts.failures,
        "dead": view.counts.dead, "breaks": view.counts.breaks, "receiver_rests": view.is_broken, "gaps": view.gaps,
        "last_gap": view.last_gap.map(|(from, oldest)| json!({ "from": from.to_string(), "oldest": oldest.to_string() })),
        "last_failure": view.last_failure, "lag_entries": view.lag_entries, "oldest_pending_ms": view.oldest.map(|at| at.0),
    })
}

fn with_secret(view: &HookView, secret: String) -> Value {
    let mut body = shown(view);
    body["secret"] = json!(secret);
    body
}

fn problem(error: &HookError) -> Problem {
    match error {
        HookError::Unknown => Problem::not_found("unknown-webhook", "the tenant has no such webhook"),
        HookError::UnknownLetter => Problem::not_found("unknown-dead-letter", "it was sent again, or never was a dead letter"),
        HookError::TooMany => Problem::of("limit-reached", format!("{error}: remove one")),
        HookError::Url(error) => Problem::field("/url", error.to_string()),
        HookError::Types(error) => Problem::field("/types", error.to_string()),
        HookError::Secret => Problem::field("/secret", error.to_string()),
        HookError::Place { floor, newest } => Problem::field("/after", error.to_string())
            .with("oldest", json!(floor.to_string()))
            .with("newest", json!(newest.to_string())),
        HookError::Closed => Problem::of_port(&tidegate_model::port::PortError::Closed),
        _ => {
            tracing::error!(error = chain(error), "a webhook cannot be changed");
            Problem::internal("the change could not be saved; see the node's log")
        }
    }
}
