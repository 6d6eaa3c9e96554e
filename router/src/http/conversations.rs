//! Conversations and contacts over HTTP, for platforms that bring their own front end: begun, written into, listed, read.
//!
//! Acts are the same inputs that every channel sends; nothing here is a second path for a contact. A conversation's id is derived
//! from the account and the platform's own id of the customer, an act's event id from its Idempotency-Key, so that a
//! repetition is one act on any node and after any restart. An answer is read back from the transcript, which is as durable
//! as the act: the repetition gets the same one. Lists are read in many short questions (`Tenant::browse`). It refuses to
//! know queues' rules and who serves whom.

use super::Api;
use super::asked::{Asked, Ready, Sent};
use super::gate;
use super::idempotency::{self, Answer, Key};
use super::json::Fields;
use super::names::Names;
use super::problem::Problem;
use crate::auth::Permission;
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::collections::HashMap;
use tidegate_core::{ContactView, ConversationView, OwnerRole};
use tidegate_model::ids::{AccountId, ContactId, ConversationId, SeatId, TenantId};
use tidegate_model::input::{ContactRequest, FirstOwner, Inbound, InboundAct};
use tidegate_model::limits::{BODY_BYTES_MAX, NAME_BYTES_MAX, REQUEST_SKILLS_MAX, REQUEST_TAGS_MAX};
use tidegate_model::name::{ClassName, Level, QueueName, SkillName, TagName};
use tidegate_model::output::{Item, Outcome};
use tidegate_model::port::{Ingress as _, PortError, TranscriptItem};
use utoipa::ToSchema;

/// Largest body of an act, in bytes: a text of the largest size, every byte of it escaped.
pub const ACT_BYTES_MAX: usize = 32 * 1024;
/// Longest id of a platform's customer, in bytes.
pub const CUSTOMER_BYTES_MAX: usize = 128;
/// Rows of one page.
pub(super) const PAGE_MAX: u64 = 1_000;
/// Places of the machine's table that one question looks at.
const PLACES: u32 = 4_096;
/// Questions for one page: a page may be short, and its `next` goes on.
const QUESTIONS: u32 = 256;

/// What has an open contact.
#[derive(Serialize, ToSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum ContactState {
    /// A bot has it.
    Bot,
    /// It waits in a queue.
    Waiting,
    /// An offer is out.
    Offered,
    /// A seat serves it.
    InService,
    /// A decision about it failed; people look after it.
    Manual,
}

/// An open contact. Times are log time in milliseconds since the Unix epoch.
#[derive(Serialize, ToSchema)]
pub(super) struct Contact {
    /// Decimal text.
    contact: String,
    /// 32 hexadecimal digits.
    conversation: String,
    account: u32,
    state: ContactState,
    /// The queue's name; null with a bot.
    queue: Option<String>,
    /// The priority class; null with a bot.
    class: Option<String>,
    /// Relaxation step it stands at, from 0.
    step: u8,
    /// The step's name.
    step_name: Option<String>,
    /// Whether it is past its queue's T_max.
    overdue: bool,
    began_at_ms: u64,
    /// When the customer began to wait; null with a bot.
    waiting_since_ms: Option<u64>,
    offered_at_ms: Option<u64>,
    assigned_at_ms: Option<u64>,
    /// The seat of the offer or claim, decimal text.
    seat: Option<String>,
    /// The offer, which is the claim's number too, decimal text.
    offer: Option<String>,
    /// Offers made so far.
    offers: u16,
}

/// A conversation that is in the machine.
#[derive(Serialize, ToSchema)]
pub(super) struct Conversation {
    /// 32 hexadecimal digits.
    conversation: String,
    account: u32,
    /// The customer when known: 16 hexadecimal digits, derived from the platform's own id.
    customer: Option<String>,
    /// Newest item of its transcript.
    n: u32,
    last_event_at_ms: u64,
    /// Its open contact, if one is open.
    contact: Option<Contact>,
}

/// A page of conversations.
#[derive(Serialize, ToSchema)]
pub(super) struct ConversationPage {
    tenant: u32,
    conversations: Vec<Conversation>,
    /// `after` of the next page; null at the end. A page may be short and still have a next one.
    next: Option<String>,
}

/// A page of open contacts.
#[derive(Serialize, ToSchema)]
pub(super) struct ContactPage {
    tenant: u32,
    contacts: Vec<Contact>,
    /// `after` of the next page; null at the end. A page may be short and still have a next one.
    next: Option<String>,
}

/// A conversation in which a contact was begun.
#[derive(Serialize, ToSchema)]
pub(super) struct Begun {
    /// 32 hexadecimal digits.
    conversation: String,
    /// The contact, decimal text.
    contact: Option<String>,
    /// Newest item of the transcript when it was done.
    n: u32,
}

/// An act that was taken.
#[derive(Serialize, ToSchema)]
pub(super) struct Taken {
    /// 32 hexadecimal digits.
    conversation: String,
    /// The item that it gave the transcript, or the newest one.
    n: u32,
}

/// An item of a transcript.
#[derive(Serialize, ToSchema)]
pub(super) struct TranscriptRow {
    /// Number, gap-free from 1.
    n: u32,
    /// Log time, in milliseconds since the Unix epoch.
    at_ms: u64,
    item: RowKind,
    /// With `began`: decimal text.
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<String>,
    /// With `queued`.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    /// With `from_customer` and `from_seat`.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// With `from_seat` and `assigned`: decimal text.
    #[serde(skip_serializing_if = "Option::is_none")]
    seat: Option<String>,
    /// With `from_customer` and `from_seat`, in place of `text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileRow>,
    /// With `ended`: how the contact left.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<String>,
}

/// A file of a transcript.
#[derive(Serialize, ToSchema)]
pub(super) struct FileRow {
    /// Its content's hash, by which it is fetched.
    file: String,
    name: String,
    media_type: String,
    bytes: u64,
}

/// What an item is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RowKind {
    /// A contact began.
    Began,
    /// It waits in a queue.
    Queued,
    /// The customer wrote.
    FromCustomer,
    /// An agent wrote.
    FromSeat,
    /// A seat took it.
    Assigned,
    /// It was handed on.
    Transferred,
    /// It left.
    Ended,
    /// Something of a later release.
    Other,
}

/// A page of a transcript.
#[derive(Serialize, ToSchema)]
pub(super) struct TranscriptPage {
    /// 32 hexadecimal digits.
    conversation: String,
    items: Vec<TranscriptRow>,
    /// `after` of the next page; null when there were no more.
    next: Option<u32>,
}

fn id_text(id: ConversationId) -> String {
    format!("{:032x}", id.0)
}

fn contact_row(view: &ConversationView, contact: &ContactView, names: &Names) -> Contact {
    Contact {
        contact: contact.contact.0.to_string(),
        conversation: id_text(view.conversation),
        account: view.account.0,
        state: match contact.role {
            OwnerRole::Bot => ContactState::Bot,
            OwnerRole::Waiting => ContactState::Waiting,
            OwnerRole::Offered => ContactState::Offered,
            OwnerRole::InService => ContactState::InService,
            OwnerRole::Manual => ContactState::Manual,
        },
        queue: names.text(contact.queue.0),
        class: names.text(contact.class.0),
        step: contact.step,
        step_name: names.step(contact.queue, contact.step).map(str::to_owned),
        overdue: contact.overdue,
        began_at_ms: contact.began_at.0,
        waiting_since_ms: contact.requested_at.map(|at| at.0),
        offered_at_ms: contact.offered_at.map(|at| at.0),
        assigned_at_ms: contact.assigned_at.map(|at| at.0),
        seat: (!contact.seat.is_none()).then(|| contact.seat.0.to_string()),
        offer: (!contact.offer.is_none()).then(|| contact.offer.0.to_string()),
        offers: contact.offers,
    }
}

fn row(view: &ConversationView, names: &Names) -> Conversation {
    Conversation {
        conversation: id_text(view.conversation),
        account: view.account.0,
        customer: (!view.customer.is_none()).then(|| format!("{:016x}", view.customer.0)),
        n: view.n,
        last_event_at_ms: view.last_event_at.0,
        contact: view.contact.as_ref().map(|contact| contact_row(view, contact, names)),
    }
}

/// Which conversations a list shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filter {
    All,
    Open,
    Idle,
    Role(OwnerRole),
}

/// Words of the parameter `state` of contacts.
pub(super) const OPEN_STATES: [&str; 6] = ["open", "bot", "waiting", "offered", "in_service", "manual"];
/// Words of the parameter `state` of conversations.
pub(super) const STATES: [&str; 7] = ["open", "idle", "bot", "waiting", "offered", "in_service", "manual"];

impl Filter {
    fn read(word: Option<&str>, default: Self, only_open: bool) -> Result<Self, Problem> {
        Ok(match word {
            None => default,
            Some("open") => Self::Open,
            Some("idle") if !only_open => Self::Idle,
            Some("bot") => Self::Role(OwnerRole::Bot),
            Some("waiting") => Self::Role(OwnerRole::Waiting),
            Some("offered") => Self::Role(OwnerRole::Offered),
            Some("in_service") => Self::Role(OwnerRole::InService),
            Some("manual") => Self::Role(OwnerRole::Manual),
            Some(_) => return Err(Problem::parameter("state", format!("expected one of {}", STATES.join(", ")))),
        })
    }

    fn lets(self, view: &ConversationView) -> bool {
        match (self, &view.contact) {
            (Self::All, _) | (Self::Open, Some(_)) | (Self::Idle, None) => true,
            (Self::Role(role), Some(contact)) => contact.role == role,
            _ => false,
        }
    }
}

/// Shows every resident conversation, in short questions.
pub(super) async fn each(api: &Api, tenant: TenantId, mut f: impl FnMut(&ConversationView)) -> Result<(), Problem> {
    let mut from = Some(0);
    while let Some(at) = from {
        let (views, next) = page(api, tenant, at, usize::MAX, Filter::All).await?;
        views.iter().for_each(&mut f);
        from = next;
    }
    Ok(())
}

/// One question: what fits the filter among the next places.
async fn page(
    api: &Api,
    tenant: TenantId,
    from: u32,
    max: usize,
    filter: Filter,
) -> Result<(Vec<ConversationView>, Option<u32>), Problem> {
    let question = api.node().query(tenant, move |machine| {
        let mut views = Vec::new();
        let next = machine.browse(from, PLACES, |view| {
            if filter.lets(&view) {
                views.push(view);
            }
            views.len() < max
        });
        (views, next)
    });
    question.await.map_err(|error| Problem::of_port(&error))
}

async fn listed(
    asked: &Asked,
    tenant: &str,
    default: Filter,
    only_open: bool,
) -> Result<(TenantId, Vec<ConversationView>, Names, Option<String>), Problem> {
    let (tenant, query) = asked.read_at(Permission::ReadFloor, tenant, &["state", "after", "max"])?;
    let api = &asked.api;
    let filter = Filter::read(query.value("state"), default, only_open)?;
    let max = query.integer("max", 1..=PAGE_MAX, 100)? as usize;
    let mut from = match query.value("after") {
        None => 0,
        Some(text) => {
            let digits =
                text.strip_prefix('c').filter(|d| (1..=8).contains(&d.len()) && !d.bytes().any(|b| b.is_ascii_uppercase()));
            let place = digits.filter(|d| !d.starts_with('+')).and_then(|digits| u32::from_str_radix(digits, 16).ok());
            place.ok_or_else(|| Problem::parameter("after", "expected the `next` of the page before"))?
        }
    };
    let mut views = Vec::new();
    let mut next = None;
    for _ in 0..QUESTIONS {
        let (more, at) = page(api, tenant, from, max - views.len(), filter).await?;
        views.extend(more);
        next = at;
        match at {
            Some(at) if views.len() < max => from = at,
            _ => break,
        }
    }
    let names = Names::read(api, tenant).await?;
    Ok((tenant, views, names, next.map(|at| format!("c{at:x}"))))
}

/// GET conversations.
pub(super) async fn list(Path(tenant): Path<String>, asked: Asked) -> Result<Json<ConversationPage>, Problem> {
    let (tenant, views, names, next) = listed(&asked, &tenant, Filter::All, false).await?;
    let conversations = views.iter().map(|view| row(view, &names)).collect();
    Ok(Json(ConversationPage { tenant: tenant.0, conversations, next }))
}

/// GET the open contacts.
pub(super) async fn contacts(Path(tenant): Path<String>, asked: Asked) -> Result<Json<ContactPage>, Problem> {
    let (tenant, views, names, next) = listed(&asked, &tenant, Filter::Open, true).await?;
    let of = |view: &ConversationView| view.contact.as_ref().map(|contact| contact_row(view, contact, &names));
    Ok(Json(ContactPage { tenant: tenant.0, contacts: views.iter().filter_map(of).collect(), next }))
}

/// GET one open contact. O(resident conversations), in short questions.
pub(super) async fn contact(Path((tenant, contact)): Path<(String, String)>, asked: Asked) -> Result<Json<Contact>, Problem> {
    let (tenant, _) = asked.read_at(Permission::ReadFloor, &tenant, &[])?;
    let (api, id) = (&asked.api, ContactId(gate::id("contact", &contact)?));
    let mut from = Some(0);
    while let Some(at) = from {
        let question = api.node().query(tenant, move |machine| {
            let mut found = None;
            let next = machine.browse(at, PLACES, |view| {
                found = view.contact.is_some_and(|open| open.contact == id).then_some(view);
                found.is_none()
            });
            (found, next)
        });
        let (found, next) = question.await.map_err(|error| Problem::of_port(&error))?;
        if let Some(view) = found {
            let names = Names::read(api, tenant).await?;
            let open = view.contact.as_ref().map(|contact| contact_row(&view, contact, &names));
            return open.map(Json).ok_or_else(|| Problem::internal("a contact without itself"));
        }
        from = next;
    }
    Err(Problem::not_found("unknown-contact", "no open contact has this id: it has ended, or never was"))
}

/// GET one conversation.
pub(super) async fn one(Path((tenant, conversation)): Path<(String, String)>, asked: Asked) -> Result<Json<Conversation>, Problem> {
    let (tenant, _) = asked.read_at(Permission::ReadFloor, &tenant, &[])?;
    let (api, id) = (&asked.api, gate::conversation(&conversation)?);
    let view = resident(api, tenant, id).await?;
    let names = Names::read(api, tenant).await?;
    Ok(Json(row(&view, &names)))
}

async fn resident(api: &Api, tenant: TenantId, id: ConversationId) -> Result<ConversationView, Problem> {
    let view = api.node().query(tenant, move |machine| machine.conversation(id)).await;
    view.map_err(|error| Problem::of_port(&error))?.ok_or_else(|| {
        let detail = "not in the machine: never begun here, or closed after a long silence; begin it again by POST conversations \
                      with the same account and customer. What was said is still read under messages";
        Problem::not_found("unknown-conversation", detail)
    })
}

/// GET a page of a conversation's transcript.
pub(super) async fn messages(
    Path((tenant, conversation)): Path<(String, String)>,
    asked: Asked,
) -> Result<Json<TranscriptPage>, Problem> {
    let (tenant, query) = asked.read_at(Permission::ReadTranscripts, &tenant, &["after", "max"])?;
    let api = &asked.api;
    let after = query.integer("after", 0..=u64::from(u32::MAX), 0)? as u32;
    let max = query.integer("max", 1..=PAGE_MAX, 100)? as usize;
    let id = gate::conversation(&conversation)?;
    let names = Names::read(api, tenant).await.unwrap_or_default();
    let items = match api.node().transcript(tenant, id, after, max).await {
        Ok(items) => items,
        Err(PortError::Unknown) => return Err(Problem::unknown_conversation()),
        Err(error) => return Err(Problem::of_port(&error)),
    };
    let next = if items.len() == max { items.last().map(|item| item.n) } else { None };
    let items = items.iter().map(|item| transcript_row(item, &names)).collect();
    Ok(Json(TranscriptPage { conversation: id_text(id), items, next }))
}

fn transcript_row(item: &TranscriptItem, names: &Names) -> TranscriptRow {
    let text = || Some(String::from_utf8_lossy(&item.body).into_owned());
    let seat = |seat: SeatId| Some(seat.0.to_string());
    let row = |kind| TranscriptRow {
        n: item.n,
        at_ms: item.at.0,
        item: kind,
        contact: None,
        queue: None,
        text: None,
        seat: None,
        file: None,
        exit: None,
    };
    let file = || {
        let row = |f: tidegate_model::file::FileRef<'_>| FileRow {
            file: f.hash.to_string(),
            name: f.name.to_string(),
            media_type: f.media_type.to_string(),
            bytes: f.bytes,
        };
        item.file().map(row)
    };
    match item.item {
        Item::Began { contact } => TranscriptRow { contact: Some(contact.0.to_string()), ..row(RowKind::Began) },
        Item::Queued { queue } => TranscriptRow { queue: names.text(queue.0), ..row(RowKind::Queued) },
        Item::FromCustomer => TranscriptRow { text: text(), ..row(RowKind::FromCustomer) },
        Item::FromSeat { seat: by } => TranscriptRow { seat: seat(by), text: text(), ..row(RowKind::FromSeat) },
        Item::FileFromCustomer => TranscriptRow { file: file(), ..row(RowKind::FromCustomer) },
        Item::FileFromSeat { seat: by } => TranscriptRow { seat: seat(by), file: file(), ..row(RowKind::FromSeat) },
        Item::Assigned { seat: to } => TranscriptRow { seat: seat(to), ..row(RowKind::Assigned) },
        Item::Transferred => row(RowKind::Transferred),
        Item::Ended { exit } => TranscriptRow { exit: Some(exit.slug().to_owned()), ..row(RowKind::Ended) },
        _ => row(RowKind::Other),
    }
}

/// A customer's act, owned.
enum Act {
    Begin { with: FirstOwner, request: ContactRequest },
    RequestAgent { request: ContactRequest },
    Message { text: String },
    Leave,
}

impl Act {
    fn act(&self) -> InboundAct<'_> {
        match self {
            Self::Begin { with, request } => InboundAct::Begin { with: *with, request: *request },
            Self::RequestAgent { request } => InboundAct::RequestAgent { request: *request },
            Self::Message { text } => InboundAct::Message { body: text.as_bytes() },
            Self::Leave => InboundAct::Leave,
        }
    }
}

fn request(fields: &Fields) -> Result<ContactRequest, Problem> {
    let name = |field| fields.optional_text(field, 1..=NAME_BYTES_MAX).map(|text| text.unwrap_or_default());
    let mut request = ContactRequest {
        queue: QueueName::of(&name("queue")?),
        class: ClassName::of(&name("class")?),
        preferred: SeatId(fields.opt_id("preferred")?.unwrap_or(0)),
        ..ContactRequest::default()
    };
    for (place, tag) in request.tags.iter_mut().zip(fields.texts("tags", REQUEST_TAGS_MAX, 1..=NAME_BYTES_MAX)?.unwrap_or_default())
    {
        *place = TagName::of(&tag);
    }
    let skills = fields.levels("skills", REQUEST_SKILLS_MAX, NAME_BYTES_MAX, 1..=i64::from(Level::MAX.0))?;
    for (place, (skill, level)) in request.skills.iter_mut().zip(skills) {
        *place = (SkillName::of(&skill), Level(u8::try_from(level).unwrap_or(1)));
    }
    Ok(request)
}

/// POST conversations: begins a contact.
pub(super) async fn begin(Path(tenant): Path<String>, sent: Sent) -> Result<Response, Problem> {
    let (tenant, key, ready) = sent.keyed_at(Permission::ActAsCustomer, &tenant, "conversations", ACT_BYTES_MAX).await?;
    link(&ready, tenant, key);
    let api = &ready.api;
    let act = async {
        let fields = Fields::read(&ready.body)?;
        let account = AccountId(fields.integer("account", 1..=i64::from(u32::MAX), None)? as u32);
        let customer = fields.text("customer", 1..=CUSTOMER_BYTES_MAX)?;
        let with = fields.word("with", &[("queue", FirstOwner::Queue), ("bot", FirstOwner::Bot)], Some(FirstOwner::Queue))?;
        let request = request(&fields)?;
        fields.end()?;
        let inbound = Inbound {
            account,
            conversation: idempotency::conversation_of(account, &customer),
            event: key.event(),
            customer: idempotency::customer_of(tenant, &customer),
            known_n: 0,
            act: InboundAct::Leave,
        };
        let n = accepted(api, tenant, inbound, &Act::Begin { with, request }).await?;
        let contact = begun(api, tenant, inbound.conversation, n).await?;
        let begun = Begun { conversation: id_text(inbound.conversation), contact: contact.map(|id| id.0.to_string()), n };
        Ok(Answer::of(StatusCode::CREATED, &begun))
    };
    ready.once_by(key, act).await
}

/// The caller's trace, kept before the event goes its way: the contact that it may begin links to it.
fn link(ready: &Ready, tenant: TenantId, key: Key) {
    if let Some(traces) = ready.api.node().traces()
        && let Some(header) = ready.headers.get("traceparent").and_then(|value| value.to_str().ok())
    {
        traces.link(tenant, key.event(), header);
    }
}

/// The contact whose beginning gave item `n`: from the transcript, so that a repetition hears the same.
async fn begun(api: &Api, tenant: TenantId, conversation: ConversationId, n: u32) -> Result<Option<ContactId>, Problem> {
    let items = api.node().transcript(tenant, conversation, n.saturating_sub(2), 2).await;
    let items = items.map_err(|error| Problem::of_port(&error))?;
    let contact = |item: &TranscriptItem| match item.item {
        Item::Began { contact } if item.n <= n => Some(contact),
        _ => None,
    };
    Ok(items.iter().rev().find_map(contact))
}

async fn accepted(api: &Api, tenant: TenantId, inbound: Inbound<'_>, act: &Act) -> Result<u32, Problem> {
    let outcome = api.node().accept(tenant, Inbound { act: act.act(), ..inbound }).await;
    match outcome.map_err(|error| Problem::of_port(&error))? {
        Outcome::Done { n, .. } | Outcome::Duplicate { n } => Ok(n),
        Outcome::Conflict => Err(idempotency::conflict()),
        other => Err(Problem::of_outcome(other).unwrap_or_else(|| Problem::internal("a refusal that is none"))),
    }
}

/// One act in a conversation that is there.
async fn act(
    (tenant, conversation): (String, String),
    name: &str,
    sent: Sent,
    read: impl FnOnce(&Fields) -> Result<Act, Problem>,
) -> Result<Response, Problem> {
    let id = gate::conversation(&conversation);
    // One spelling of the path, however many zeros stand before the id.
    let path = format!("conversations/{:x}/{name}", id.as_ref().map_or(0, |id| id.0));
    let (tenant, key, ready) = sent.keyed_at(Permission::ActAsCustomer, &tenant, &path, ACT_BYTES_MAX).await?;
    let (id, api) = (id?, &ready.api);
    link(&ready, tenant, key);
    let act = async {
        let fields = Fields::read(&ready.body)?;
        let act = read(&fields)?;
        fields.end()?;
        let view = resident(api, tenant, id).await?;
        let (account, customer) = (view.account, view.customer);
        let inbound = Inbound { account, conversation: id, event: key.event(), customer, known_n: 0, act: InboundAct::Leave };
        let n = accepted(api, tenant, inbound, &act).await?;
        Ok(Answer::of(StatusCode::OK, &Taken { conversation: id_text(id), n }))
    };
    ready.once_by(key, act).await
}

/// POST a message of the customer.
pub(super) async fn message(Path(path): Path<(String, String)>, sent: Sent) -> Result<Response, Problem> {
    act(path, "messages", sent, |fields| Ok(Act::Message { text: fields.prose("text", 1..=BODY_BYTES_MAX)? })).await
}

/// POST the customer's wish for an agent.
pub(super) async fn request_agent(Path(path): Path<(String, String)>, sent: Sent) -> Result<Response, Problem> {
    act(path, "request-agent", sent, |fields| Ok(Act::RequestAgent { request: request(fields)? })).await
}

/// POST that the customer leaves.
pub(super) async fn leave(Path(path): Path<(String, String)>, sent: Sent) -> Result<Response, Problem> {
    act(path, "leave", sent, |_| Ok(Act::Leave)).await
}

/// What waits in each queue: the earliest beginning of a wait.
pub(super) async fn oldest(api: &Api, tenant: TenantId) -> Result<HashMap<QueueName, u64>, Problem> {
    let mut oldest = HashMap::new();
    each(api, tenant, |view| {
        let waits = |contact: &&ContactView| matches!(contact.role, OwnerRole::Waiting | OwnerRole::Offered);
        if let Some(contact) = view.contact.as_ref().filter(waits)
            && let Some(since) = contact.requested_at
        {
            let row = oldest.entry(contact.queue).or_insert(since.0);
            *row = (*row).min(since.0);
        }
    })
    .await?;
    Ok(oldest)
}
