//! Agents, channel accounts and queues of a tenant over HTTP.
//!
//! Writes become administrative entries; reads are questions to the tenant's machine between two batches, cut into pages so
//! that no question is long. Ids of 64 bits are decimal text in JSON, because not every reader has integers of that size.
//! It refuses to know how a profile is encoded and what it does.

use super::asked::{Asked, Sent};
use super::conversations::PAGE_MAX;
use super::gate;
use super::idempotency::Answer;
use super::json::Fields;
use super::names::Names;
use super::problem::Problem;
use super::{Api, shape};
use crate::auth::Permission;
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use tidegate_core::{AccountView, AgentView, payload};
use tidegate_model::ids::{AccountId, SeatId, TenantId};
use tidegate_model::input::{Admin, Input};
use tidegate_model::limits::NAME_BYTES_MAX;
use tidegate_model::name::{Level, QueueName};
use tidegate_model::output::Outcome;
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery, Requirement};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

/// Largest body of an agent or an account, in bytes.
pub const PROFILE_BYTES_MAX: usize = 16 * 1024;
/// Skills of one agent.
pub const SKILLS_MAX: usize = 64;
/// Units of a seat: as many as the core takes.
pub const UNITS_MAX: i64 = 64;
/// Cost of a contact, in milliseconds of virtual wait, either way.
pub(super) const COST_MAX_MS: i64 = 1 << 31;

/// PUT an agent.
pub(super) async fn agent(Path((tenant, id)): Path<(String, String)>, sent: Sent) -> Result<Response, Problem> {
    let (tenant, ready) = sent.json_at(Permission::WriteRoster, &tenant, PROFILE_BYTES_MAX).await?;
    let id = gate::id::<u64>("agent", &id)?;
    let act = async {
        let profile = read_agent(&ready.body)?;
        let bytes = payload::agent(&profile);
        admin(&ready.api, tenant, Admin::Agent { seat: SeatId(id), profile: &bytes }).await?;
        Ok(Answer::of(StatusCode::OK, &json!({ "seat": id.to_string(), "name": profile.name })))
    };
    ready.once(&format!("{}/agents/{id}", tenant.0), act).await
}

/// PUT an account.
pub(super) async fn account(Path((tenant, id)): Path<(String, String)>, sent: Sent) -> Result<Response, Problem> {
    let (tenant, ready) = sent.json_at(Permission::WriteAccounts, &tenant, PROFILE_BYTES_MAX).await?;
    let id = gate::id::<u32>("account", &id)?;
    let act = async {
        let profile = read_account(&ready.body)?;
        let bytes = payload::account(&profile);
        admin(&ready.api, tenant, Admin::Account { account: AccountId(id), profile: &bytes }).await?;
        Ok(Answer::of(StatusCode::OK, &json!({ "account": id, "name": profile.name })))
    };
    ready.once(&format!("{}/accounts/{id}", tenant.0), act).await
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

/// What a written agent is answered with.
pub(super) fn agent_written() -> RefOr<Schema> {
    shape::open_object(&[("seat", shape::any_text()), ("name", shape::any_text())])
}

/// What a written account is answered with.
pub(super) fn account_written() -> RefOr<Schema> {
    shape::open_object(&[("account", shape::integer(1, u64::from(u32::MAX))), ("name", shape::any_text())])
}

/// An agent of the roster.
#[derive(Serialize, ToSchema)]
pub(super) struct Agent {
    /// The agent's seat, decimal text.
    seat: String,
    name: String,
    /// Level by skill, 1 to 10. A skill that the active policy does not name is shown as `#` and hexadecimal digits.
    skills: BTreeMap<String, u8>,
    units: u16,
    /// Cost of one contact, in milliseconds of virtual wait.
    cost_ms: i64,
}

/// A page of agents, by id.
#[derive(Serialize, ToSchema)]
pub(super) struct AgentPage {
    tenant: u32,
    /// Agents in all.
    of: usize,
    agents: Vec<Agent>,
    /// `after` of the next page; null at the end.
    next: Option<String>,
}

/// How messages of an account leave.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum DeliveryWord {
    /// The customer reads the numbered transcript.
    View,
    /// A provider is called.
    Push,
}

/// A channel account.
#[derive(Serialize, ToSchema)]
pub(super) struct Account {
    account: u32,
    delivery: DeliveryWord,
    /// Units that a contact takes of a seat.
    weight: u16,
    /// Queue of requests that name none; null for the policy's default.
    queue: Option<String>,
}

/// All channel accounts: a tenant has at most 1,024.
#[derive(Serialize, ToSchema)]
pub(super) struct AccountList {
    tenant: u32,
    accounts: Vec<Account>,
}

/// Agents who could serve a queue at its last step, by presence.
#[derive(Serialize, ToSchema)]
pub(super) struct Supply {
    /// Ready and connected.
    ready: u32,
    /// Of those, with a free unit.
    free: u32,
    paused: u32,
    /// Missed an offer, or cut off.
    not_responding: u32,
    signed_out: u32,
}

/// A queue.
#[derive(Serialize, ToSchema)]
pub(super) struct QueueRow {
    /// Its name.
    queue: String,
    /// Contacts waiting, offers out included.
    waiting: u32,
    /// Offers out.
    offered: u32,
    /// Most that may wait.
    length_max: u32,
    /// When the one who has waited longest began to; null when nobody waits. Log time, ms since the Unix epoch.
    oldest_waiting_since_ms: Option<u64>,
    /// Who could serve it.
    agents: Supply,
}

/// The queues of the active policy.
#[derive(Serialize, ToSchema)]
pub(super) struct QueueList {
    tenant: u32,
    /// Log time of this view, ms since the Unix epoch.
    at_ms: u64,
    waiting: u64,
    in_offer: u64,
    queues: Vec<QueueRow>,
}

fn agent_of(view: AgentView, names: &Names) -> Agent {
    let skills = view.skills.iter().filter_map(|(skill, level)| Some((names.text(skill.0)?, level.0)));
    Agent { seat: view.seat.0.to_string(), skills: skills.collect(), name: view.name, units: view.units, cost_ms: view.cost_ms }
}

/// GET the roster, by id, a page at a time.
pub(super) async fn agents(Path(tenant): Path<String>, asked: Asked) -> Result<Json<AgentPage>, Problem> {
    let (tenant, query) = asked.read_at(Permission::ReadFloor, &tenant, &["after", "max"])?;
    let api = &asked.api;
    let after = query.after()?;
    let max = query.integer("max", 1..=PAGE_MAX, 100)? as usize;
    let views = api.node().query(tenant, move |machine| {
        let mut views = machine.agents();
        let of = views.len();
        views.retain(|view| view.seat.0 > after);
        views.sort_by_key(|view| view.seat);
        views.truncate(max);
        (of, views)
    });
    let (of, views) = views.await.map_err(|error| Problem::of_port(&error))?;
    let names = Names::read(api, tenant).await?;
    let next = if views.len() == max { views.last().map(|view| view.seat.0.to_string()) } else { None };
    let agents = views.into_iter().map(|view| agent_of(view, &names)).collect();
    Ok(Json(AgentPage { tenant: tenant.0, of, agents, next }))
}

/// GET one agent.
pub(super) async fn read_one_agent(Path((tenant, agent)): Path<(String, String)>, asked: Asked) -> Result<Json<Agent>, Problem> {
    let (tenant, _) = asked.read_at(Permission::ReadFloor, &tenant, &[])?;
    let (api, id) = (&asked.api, SeatId(gate::id("agent", &agent)?));
    let view = api.node().query(tenant, move |machine| machine.agent(id)).await.map_err(|error| Problem::of_port(&error))?;
    let view = view.ok_or_else(|| Problem::not_found("unknown-agent", "the roster has no agent with this id"))?;
    Ok(Json(agent_of(view, &Names::read(api, tenant).await?)))
}

fn account_of(view: &AccountView, names: &Names) -> Account {
    let delivery = match view.delivery {
        Delivery::View => DeliveryWord::View,
        Delivery::Push => DeliveryWord::Push,
    };
    Account { account: view.account.0, delivery, weight: view.weight, queue: names.text(view.queue.0) }
}

/// GET the channel accounts.
pub(super) async fn accounts(Path(tenant): Path<String>, asked: Asked) -> Result<Json<AccountList>, Problem> {
    let (tenant, _) = asked.read_at(Permission::ReadFloor, &tenant, &[])?;
    let api = &asked.api;
    let views = api.node().query(tenant, |machine| machine.accounts()).await.map_err(|error| Problem::of_port(&error))?;
    let names = Names::read(api, tenant).await?;
    Ok(Json(AccountList { tenant: tenant.0, accounts: views.iter().map(|view| account_of(view, &names)).collect() }))
}

/// GET one channel account.
pub(super) async fn read_one_account(
    Path((tenant, account)): Path<(String, String)>,
    asked: Asked,
) -> Result<Json<Account>, Problem> {
    let (tenant, _) = asked.read_at(Permission::ReadFloor, &tenant, &[])?;
    let (api, id) = (&asked.api, AccountId(gate::id("account", &account)?));
    let views = api.node().query(tenant, |machine| machine.accounts()).await.map_err(|error| Problem::of_port(&error))?;
    let view = views.iter().find(|view| view.account == id);
    let view = view.ok_or_else(|| Problem::not_found("unknown-account", "the tenant has no such channel account"))?;
    Ok(Json(account_of(view, &Names::read(api, tenant).await?)))
}

/// GET the queues: who waits, and who could serve. O(resident conversations), in short questions.
pub(super) async fn queues(Path(tenant): Path<String>, asked: Asked) -> Result<Json<QueueList>, Problem> {
    let (tenant, _) = asked.read_at(Permission::ReadFloor, &tenant, &[])?;
    let api = &asked.api;
    let oldest = super::conversations::oldest(api, tenant).await?;
    let question = api.node().query(tenant, |machine| (machine.queues(), machine.supply(), machine.ledger(), machine.now()));
    let (views, supply, ledger, now) = question.await.map_err(|error| Problem::of_port(&error))?;
    let names = Names::read(api, tenant).await?;
    let mut supply: BTreeMap<QueueName, _> = supply.into_iter().map(|(queue, offered, who)| (queue, (offered, who))).collect();
    let queues = views.iter().map(|view| {
        let (offered, who) = supply.remove(&view.queue).unwrap_or_default();
        QueueRow {
            queue: names.text(view.queue.0).unwrap_or_default(),
            waiting: view.waiting,
            offered,
            length_max: view.length_max,
            // Whoever waited longest may have left between the questions.
            oldest_waiting_since_ms: oldest.get(&view.queue).copied().filter(|_| view.waiting > 0),
            agents: Supply {
                ready: who.ready,
                free: who.free,
                paused: who.paused,
                not_responding: who.not_responding,
                signed_out: who.signed_out,
            },
        }
    });
    let queues = queues.collect();
    Ok(Json(QueueList { tenant: tenant.0, at_ms: now.0, waiting: ledger.waiting, in_offer: ledger.in_offer, queues }))
}

/// Names of the active policy's queues.
pub(super) fn names(machine: &tidegate_core::Tenant) -> std::collections::HashMap<QueueName, String> {
    let queues = machine.policy().map(|policy| policy.queues.as_slice()).unwrap_or_default();
    queues.iter().map(|queue| (QueueName::of(&queue.name), queue.name.clone())).collect()
}
