//! Agents, accounts, seats, queues and transcripts of a tenant over HTTP.
//!
//! Writes become administrative entries; reads are questions to the tenant's machine between two batches, cut into pages so
//! that no question is long. Ids of 64 bits are decimal text in JSON, because not every reader has integers of that size.
//! It refuses to know how a profile is encoded and what it does.

use super::gate::{self, Query};
use super::idempotency::Answer;
use super::json::Fields;
use super::problem::Problem;
use super::{Api, once};
use crate::auth::Scope;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::HashMap;
use tidegate_core::payload;
use tidegate_model::ids::{AccountId, ConversationId, SeatId, TenantId};
use tidegate_model::input::{Admin, Input};
use tidegate_model::limits::NAME_BYTES_MAX;
use tidegate_model::name::{Level, QueueName};
use tidegate_model::output::{Item, Outcome, Presence};
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery, Requirement};
use tidegate_model::port::{Ingress as _, TranscriptItem};

/// Largest body of an agent or an account, in bytes.
pub const PROFILE_BYTES_MAX: usize = 16 * 1024;
/// Skills of one agent.
pub const SKILLS_MAX: usize = 64;
/// Units of a seat: as many as the core takes.
pub const UNITS_MAX: i64 = 64;
/// Cost of a contact, in milliseconds of virtual wait, either way.
const COST_MAX_MS: i64 = 1 << 31;
/// Rows of one page.
const PAGE_MAX: u64 = 1_000;

/// PUT an agent.
pub(super) async fn agent(
    State(api): State<Api>,
    Path((tenant, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let scope = Scope::Operator;
    let ready = write(&api, scope, &tenant, query.as_deref(), &headers, body).await;
    let ready = ready.and_then(|ready| Ok((gate::id::<u64>("id", &id)?, ready)));
    let (id, ready) = match ready {
        Ok(ready) => ready,
        Err(problem) => return problem.into_response(),
    };
    let claim = api.answers().claim(&headers, &ready.holder, &format!("agent/{}/{id}", ready.tenant), &ready.body);
    once(claim, async {
        let profile = read_agent(&ready.body)?;
        let bytes = payload::agent(&profile);
        admin(&api, ready.tenant, Admin::Agent { seat: SeatId(id), profile: &bytes }).await?;
        Ok(Answer { status: StatusCode::OK, etag: None, body: json!({ "seat": id.to_string(), "name": profile.name }) })
    })
    .await
}

/// PUT an account.
pub(super) async fn account(
    State(api): State<Api>,
    Path((tenant, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let ready = write(&api, Scope::Admin, &tenant, query.as_deref(), &headers, body).await;
    let ready = ready.and_then(|ready| Ok((gate::id::<u32>("id", &id)?, ready)));
    let (id, ready) = match ready {
        Ok(ready) => ready,
        Err(problem) => return problem.into_response(),
    };
    let claim = api.answers().claim(&headers, &ready.holder, &format!("account/{}/{id}", ready.tenant), &ready.body);
    once(claim, async {
        let profile = read_account(&ready.body)?;
        let bytes = payload::account(&profile);
        admin(&api, ready.tenant, Admin::Account { account: AccountId(id), profile: &bytes }).await?;
        Ok(Answer { status: StatusCode::OK, etag: None, body: json!({ "account": id, "name": profile.name }) })
    })
    .await
}

struct Ready {
    holder: String,
    tenant: TenantId,
    body: Bytes,
}

async fn write(
    api: &Api,
    scope: Scope,
    tenant: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Ready, Problem> {
    let (grant, tenant) = api.allow_at(headers, scope, tenant)?;
    Query::read(query, &[])?;
    gate::content_type(headers, &["application/json"])?;
    let body = gate::body(headers, body, PROFILE_BYTES_MAX).await?;
    Ok(Ready { holder: grant.name, tenant, body })
}

fn read_agent(body: &[u8]) -> Result<AgentProfile, Problem> {
    let fields = Fields::read(body)?;
    let name = fields.text("name", 1..=NAME_BYTES_MAX)?;
    let skills = fields.levels("skills", SKILLS_MAX, NAME_BYTES_MAX, 1..=i64::from(Level::MAX.0))?;
    let units = fields.integer("units", 1..=UNITS_MAX, Some(1))?;
    let cost_ms = fields.integer("cost_ms", -COST_MAX_MS..=COST_MAX_MS, Some(0))?;
    fields.end()?;
    let skills = skills.into_iter().map(|(skill, level)| Requirement { skill, level: Level(u8::try_from(level).unwrap_or(1)) });
    Ok(AgentProfile { name, skills: skills.collect(), units: u16::try_from(units).unwrap_or(1), cost_ms })
}

fn read_account(body: &[u8]) -> Result<AccountProfile, Problem> {
    let fields = Fields::read(body)?;
    let name = fields.text("name", 1..=NAME_BYTES_MAX)?;
    let delivery = fields.word("delivery", &[("view", Delivery::View), ("push", Delivery::Push)], None)?;
    let weight = fields.integer("weight", 1..=UNITS_MAX, Some(1))?;
    let queue = fields.text("queue", 0..=NAME_BYTES_MAX)?;
    fields.end()?;
    Ok(AccountProfile { name, delivery, weight: u16::try_from(weight).unwrap_or(1), queue })
}

async fn admin(api: &Api, tenant: TenantId, admin: Admin<'_>) -> Result<Outcome, Problem> {
    let outcome = api.node().submit(tenant, &Input::Admin(admin)).await.map_err(|error| Problem::of_port(&error))?;
    Problem::of_outcome(outcome).map_or(Ok(outcome), Err)
}

/// GET the seats, by id, a page at a time.
pub(super) async fn seats(
    State(api): State<Api>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let (_, tenant) = api.allow_at(&headers, Scope::Viewer, &tenant)?;
    let query = Query::read(query.as_deref(), &["after", "max"])?;
    let after = query.integer("after", 0..=u64::MAX, 0)?;
    let max = query.integer("max", 1..=PAGE_MAX, PAGE_MAX)? as usize;
    let views = api.node().query(tenant, move |machine| {
        let mut views = machine.seats();
        views.sort_by_key(|view| view.seat);
        let of = views.len();
        let page: Vec<_> = views.into_iter().filter(|view| view.seat.0 > after).take(max).collect();
        (of, page)
    });
    let (of, page) = views.await.map_err(|error| Problem::of_port(&error))?;
    let live = api.node().live();
    let next = if page.len() == max { page.last().map(|view| view.seat.0.to_string()) } else { None };
    let rows: Vec<_> = page
        .iter()
        .map(|view| {
            json!({
                "seat": view.seat.0.to_string(), "presence": presence(view.presence), "linked": view.linked,
                "used_units": view.used, "units": view.units, "desk_here": live.has_desk(tenant, view.seat),
            })
        })
        .collect();
    Ok(Json(json!({ "tenant": tenant.0, "of": of, "seats": rows, "next": next })))
}

/// GET the queues with their lengths.
pub(super) async fn queues(
    State(api): State<Api>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let (_, tenant) = api.allow_at(&headers, Scope::Viewer, &tenant)?;
    Query::read(query.as_deref(), &[])?;
    let question = api.node().query(tenant, |machine| (machine.queues(), names(machine), machine.ledger()));
    let (views, names, ledger) = question.await.map_err(|error| Problem::of_port(&error))?;
    let rows: Vec<_> = views
        .iter()
        .map(|view| {
            let name = names.get(&view.queue).cloned().unwrap_or_else(|| format!("#{:016x}", view.queue.0));
            json!({ "queue": name, "waiting": view.waiting, "length_max": view.length_max })
        })
        .collect();
    Ok(Json(json!({ "tenant": tenant.0, "waiting": ledger.waiting, "in_offer": ledger.in_offer, "queues": rows })))
}

pub(super) fn names(machine: &tidegate_core::Tenant) -> HashMap<QueueName, String> {
    let queues = machine.policy().map(|policy| policy.queues.as_slice()).unwrap_or_default();
    queues.iter().map(|queue| (QueueName::of(&queue.name), queue.name.clone())).collect()
}

/// GET a page of a conversation's transcript.
pub(super) async fn transcript(
    State(api): State<Api>,
    Path((tenant, conversation)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let (_, tenant) = api.allow_at(&headers, Scope::Operator, &tenant)?;
    let query = Query::read(query.as_deref(), &["after", "max"])?;
    let after = query.integer("after", 0..=u64::from(u32::MAX), 0)? as u32;
    let max = query.integer("max", 1..=PAGE_MAX, 100)? as usize;
    let is_hex = (1..=32).contains(&conversation.len()) && conversation.bytes().all(|b| b.is_ascii_hexdigit());
    let id = is_hex.then(|| u128::from_str_radix(&conversation, 16).ok()).flatten().filter(|id| *id != 0);
    let Some(id) = id else {
        return Err(Problem::parameter("conversation", "expected an id of 1 to 32 hexadecimal digits, not 0"));
    };
    let names = api.node().query(tenant, names).await.unwrap_or_default();
    let items = match api.node().transcript(tenant, ConversationId(id), after, max).await {
        Ok(items) => items,
        Err(tidegate_model::port::PortError::Unknown) => return Err(Problem::unknown_conversation()),
        Err(error) => return Err(Problem::of_port(&error)),
    };
    let next = if items.len() == max { items.last().map(|item| item.n) } else { None };
    let rows: Vec<_> = items.iter().map(|item| row(item, &names)).collect();
    Ok(Json(json!({ "conversation": format!("{id:x}"), "items": rows, "next": next })))
}

fn row(item: &TranscriptItem, names: &HashMap<QueueName, String>) -> Value {
    let mut row = json!({ "n": item.n, "at_ms": item.at.0 });
    let text = || String::from_utf8_lossy(&item.body).into_owned();
    let file = || {
        let facts = item.file();
        facts.map(|f| json!({ "file": f.hash.to_string(), "name": f.name, "media_type": f.media_type, "bytes": f.bytes }))
    };
    let (kind, more) = match item.item {
        Item::Began { contact } => ("began", json!({ "contact": contact.0.to_string() })),
        Item::Queued { queue } => ("queued", json!({ "queue": names.get(&queue) })),
        Item::FromCustomer => ("from_customer", json!({ "text": text() })),
        Item::FromSeat { seat } => ("from_seat", json!({ "seat": seat.0.to_string(), "text": text() })),
        Item::FileFromCustomer => ("from_customer", json!({ "file": file() })),
        Item::FileFromSeat { seat } => ("from_seat", json!({ "seat": seat.0.to_string(), "file": file() })),
        Item::Assigned { seat } => ("assigned", json!({ "seat": seat.0.to_string() })),
        Item::Transferred => ("transferred", json!({})),
        Item::Ended { exit } => ("ended", json!({ "exit": exit.slug() })),
        _ => ("other", json!({})),
    };
    row["item"] = json!(kind);
    if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
        row.extend(more);
    }
    row
}

fn presence(presence: Presence) -> &'static str {
    match presence {
        Presence::SignedOut => "signed_out",
        Presence::Ready => "ready",
        Presence::Paused { .. } => "paused",
        Presence::NotResponding => "not_responding",
    }
}
