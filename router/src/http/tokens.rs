//! API tokens, seats' desk tokens and the audit over HTTP.
//!
//! ```text
//! POST   /v1/tokens                              {"name","role","tenant","seat","life_s"}: the text is shown once
//! GET    /v1/tokens
//! DELETE /v1/tokens/{id}
//! POST   /v1/tokens/{id}/rotate                  {"grace_s"}: both secrets are good meanwhile
//! POST   /v1/tenants/{tenant}/seats/{seat}/token {"life_s"}: a desk token for a page that embeds the desk
//! GET    /v1/audit?after=&limit=
//! ```
//!
//! Nobody makes a token that may more than the maker, or that reaches a tenant which the maker does not. A repeated
//! Idempotency-Key is answered with the same token's row and without its text. Writes are blocking and leave the runtime's
//! threads alone. It refuses to know how tokens are kept.

use super::Api;
use super::asked::{Ready, Sent};
use super::gate::{self, Query};
use super::guard::{Details, Security};
use super::idempotency::Answer;
use super::json::Fields;
use super::problem::Problem;
use crate::auth::{AdminGrant, GRACE_S_MAX, LIFE_S_MAX, LIFE_S_MIN, Minted, NewToken, Permission, Role, TokenView, TokensError};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use tidegate_model::ids::{SeatId, TenantId};
use tidegate_model::limits::NAME_BYTES_MAX;
use tidegate_model::port::AgentGrant;

/// Newest record that may be named: every reader of JSON has integers of that size.
pub(super) const RECORDS_MAX: u64 = (1 << 53) - 1;

/// Largest body here, in bytes.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// Records of one page of the audit.
const PAGE_MAX: u64 = 1_000;
/// Longest life of a seat's desk token, in seconds: a shift.
pub const DESK_LIFE_S_MAX: u64 = 12 * 3_600;
/// Life of an API token when none is asked for, in seconds: 90 days.
const LIFE_S_DEFAULT: u64 = 90 * 86_400;

impl Api {
    fn secured(&self) -> Result<Arc<Security>, Problem> {
        let none = || Problem::not_found("no-such-route", "this node was started without API tokens and audit");
        self.security().cloned().ok_or_else(none)
    }
}

/// POST a token.
pub(super) async fn create(sent: Sent) -> Result<Response, Problem> {
    let (grant, security) = (sent.api.grant(&sent.headers, Permission::ManageTokens)?, sent.api.secured()?);
    let ready = sent.json(grant, BODY_BYTES_MAX).await?;
    let new = new_token(&ready.api, &ready.grant, &ready.body)?;
    minted(&ready, "tokens", StatusCode::CREATED, move || security.tokens.create(&new)).await
}

/// Makes a text once: what is kept for the key is the token's row without it.
async fn minted(
    ready: &Ready,
    path: &str,
    status: StatusCode,
    make: impl FnOnce() -> Result<Minted, TokensError> + Send + 'static,
) -> Result<Response, Problem> {
    let mut text = None;
    let act = async {
        let minted = blocking(make).await?;
        text = Some(minted.text);
        Ok(Answer::of(status, &minted.view))
    };
    let response = ready.once(path, act).await?;
    Ok(with_text(response, text).await)
}

/// GET the tokens within reach.
pub(super) async fn list(State(api): State<Api>, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    let (grant, security) = (api.grant(&headers, Permission::ManageTokens)?, api.secured()?);
    Query::read(query.as_deref(), &[])?;
    let rows: Vec<_> = security.tokens.list().into_iter().filter(|row| reaches(&grant, row)).collect();
    Ok(Json(json!({ "tokens": rows })))
}

/// DELETE a token.
pub(super) async fn revoke(
    State(api): State<Api>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (_, security) = known(&api, &headers, &id)?;
    Query::read(query.as_deref(), &[])?;
    let view = blocking(move || security.tokens.revoke(&id)).await?;
    Ok(detailed(Json(json!(view)).into_response(), &view))
}

/// POST a rotation.
pub(super) async fn rotate(Path(id): Path<String>, sent: Sent) -> Result<Response, Problem> {
    let (grant, security) = known(&sent.api, &sent.headers, &id)?;
    let ready = sent.json(grant, BODY_BYTES_MAX).await?;
    let fields = Fields::read(&ready.body)?;
    let grace_s = fields.integer("grace_s", 0..=GRACE_S_MAX as i64, Some(0))? as u64;
    fields.end()?;
    minted(&ready, &format!("tokens/{id}/rotate"), StatusCode::OK, move || security.tokens.rotate(&id, grace_s)).await
}

/// POST a desk token for a seat.
pub(super) async fn seat(Path((tenant, seat)): Path<(String, String)>, sent: Sent) -> Result<Response, Problem> {
    let (tenant, ready) = sent.json_at(Permission::IssueSeatTokens, &tenant, BODY_BYTES_MAX).await?;
    let (api, security) = (&ready.api, ready.api.secured()?);
    let seat = SeatId(gate::id::<u64>("seat", &seat)?);
    let fields = Fields::read(&ready.body)?;
    let life_s = fields.integer("life_s", LIFE_S_MIN as i64..=DESK_LIFE_S_MAX as i64, Some(3_600))? as u64;
    fields.end()?;
    let is_there = api.node().query(tenant, move |machine| machine.seat_snapshot(seat).is_some()).await;
    if !is_there.map_err(|error| Problem::of_port(&error))? {
        return Err(Problem::not_found("unknown-seat", "the tenant has no such seat: PUT the agent first").at("seat"));
    }
    let token = security.desk.desk_token(&AgentGrant { tenant, seat }, life_s);
    let token = token.map_err(|_| Problem::internal("the desk token could not be signed"))?;
    let answer = json!({ "seat": seat.0.to_string(), "token": token, "life_s": life_s });
    let mut response = (StatusCode::CREATED, [("cache-control", "no-store")], Json(answer)).into_response();
    response.extensions_mut().insert(Details(vec![("seat", seat.0.to_string()), ("life_s", life_s.to_string())]));
    Ok(response)
}

/// GET a page of the audit.
pub(super) async fn audit(State(api): State<Api>, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    let (_, security) = (api.allow(&headers, Permission::ReadAudit)?, api.secured()?);
    let query = Query::read(query.as_deref(), &["after", "limit"])?;
    let after = query.integer("after", 0..=RECORDS_MAX, 0)?;
    let limit = query.integer("limit", 1..=PAGE_MAX, 100)? as usize;
    let head = security.audit.head();
    let read = tokio::task::spawn_blocking(move || security.audit.read(after, limit)).await;
    let records = match read {
        Ok(Ok(records)) => records,
        _ => return Err(Problem::internal("the audit cannot be read; run `tidegate audit verify`")),
    };
    let next = if records.len() == limit { records.last().map(|record| record.n.to_string()) } else { None };
    Ok(Json(json!({ "records": records, "next": next, "head": head.to_string() })))
}

fn new_token(api: &Api, grant: &AdminGrant, body: &[u8]) -> Result<NewToken, Problem> {
    let fields = Fields::read(body)?;
    let name = fields.text("name", 1..=NAME_BYTES_MAX)?;
    let words = Role::ALL.map(|role| (role.word(), role));
    let role = fields.word("role", &words, None)?;
    let tenant = fields.integer("tenant", 0..=i64::from(u32::MAX), Some(0))?;
    let seat = fields.opt_id("seat")?.map(SeatId);
    let life_s = fields.integer("life_s", LIFE_S_MIN as i64..=LIFE_S_MAX as i64, Some(LIFE_S_DEFAULT as i64))? as u64;
    fields.end()?;
    let tenant = u32::try_from(tenant).ok().filter(|id| *id != 0).map(TenantId);
    if grant.tenant.is_some() && tenant != grant.tenant {
        return Err(Problem::field("/tenant", "this token makes tokens of its own tenant alone"));
    }
    if tenant.is_some_and(|tenant| !api.node().has_tenant(tenant)) {
        return Err(Problem::not_found("unknown-tenant", "no such tenant on this node").at("/tenant"));
    }
    // A seat's token is for the one seat: whoever may draw desk tokens may make it.
    if role != Role::Agent && !role.is_within(grant.role) {
        return Err(gate::forbidden(format!("the role {role} may do what {} may not", grant.role)));
    }
    Ok(NewToken { name, role, tenant, seat, life_s })
}

/// A token that the caller may see.
fn known(api: &Api, headers: &HeaderMap, id: &str) -> Result<(AdminGrant, Arc<Security>), Problem> {
    let (grant, security) = (api.grant(headers, Permission::ManageTokens)?, api.secured()?);
    match security.tokens.view(id).filter(|row| reaches(&grant, row)) {
        Some(_) => Ok((grant, security)),
        None => Err(unknown()),
    }
}

fn reaches(grant: &AdminGrant, row: &TokenView) -> bool {
    grant.tenant.is_none_or(|only| row.tenant == Some(only.0))
}

fn unknown() -> Problem {
    Problem::not_found("unknown-token", "there is no such token, or it has ended").at("id")
}

async fn blocking<T: Send + 'static>(change: impl FnOnce() -> Result<T, TokensError> + Send + 'static) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(change).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(TokensError::Unknown)) => Err(unknown()),
        Ok(Err(TokensError::TooMany)) => {
            let title = "There are too many tokens";
            Err(Problem::new("too-many-tokens", StatusCode::INSUFFICIENT_STORAGE, title, TokensError::TooMany.to_string()))
        }
        Ok(Err(error @ TokensError::Seat)) => Err(Problem::field("/seat", error.to_string())),
        Ok(Err(error @ (TokensError::Name | TokensError::Life | TokensError::Grace))) => Err(Problem::field("", error.to_string())),
        Ok(Err(error)) => {
            tracing::error!(%error, "API tokens cannot be written");
            Err(Problem::internal("the tokens cannot be written; nothing has changed; see the node's log"))
        }
        Err(_) => Err(Problem::internal("the change of tokens ended by a panic")),
    }
}

/// The row with the token's text, which is in no kept answer.
async fn with_text(response: Response, text: Option<String>) -> Response {
    let (Some(text), true) = (text, response.status().is_success()) else { return response };
    let (mut parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    let Ok(mut row) = serde_json::from_slice::<Value>(&bytes) else {
        return Problem::internal("the token's row cannot be shown").into_response();
    };
    let details = ["id", "name", "role", "tenant"].map(|name| (name, row[name].to_string().trim_matches('"').to_owned()));
    row["token"] = json!(text);
    parts.headers.remove("content-length");
    parts.headers.insert("cache-control", axum::http::HeaderValue::from_static("no-store"));
    parts.extensions.insert(Details(details.to_vec()));
    Response::from_parts(parts, Body::from(row.to_string()))
}

fn detailed(mut response: Response, view: &TokenView) -> Response {
    let details = vec![("id", view.id.clone()), ("name", view.name.clone()), ("role", view.role.to_owned())];
    response.extensions_mut().insert(Details(details));
    response
}
