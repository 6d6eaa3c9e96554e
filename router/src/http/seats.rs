//! Seats over HTTP: how they stand, and the acts of a desk for embedders that keep no WebSocket.
//!
//! A command is the same input that the desk's protocol sends; its id is derived from the Idempotency-Key, and the tenant machine
//! keeps the outcomes of a seat's last sixteen commands, over restarts too. What a seat is offered is read here or heard from
//! the event stream. A seat driven over HTTP has no connection that could be cut, so no lease runs while the node does; after a
//! restart it gets the lease of any signed-in seat. It refuses to know who is offered what.

use super::asked::{Asked, Sent};
use super::conversations::{ACT_BYTES_MAX, PAGE_MAX};
use super::gate;
use super::idempotency::{self, Answer};
use super::json::Fields;
use super::names::Names;
use super::problem::Problem;
use super::shape;
use crate::auth::Permission;
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::collections::HashMap;
use tidegate_model::ids::{ClaimId, OfferId, SeatId};
use tidegate_model::input::{SeatAct, SeatInput, TransferTo};
use tidegate_model::limits::{BODY_BYTES_MAX, NAME_BYTES_MAX};
use tidegate_model::name::{QueueName, ReasonName};
use tidegate_model::output::{Outcome, Presence};
use tidegate_model::port::SeatPort as _;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

/// A seat's presence.
#[derive(Serialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(super) enum PresenceWord {
    /// Not signed in.
    SignedOut,
    /// Takes contacts while units are free.
    Ready,
    /// Takes none.
    Paused,
    /// Missed an offer; takes none until it says ready.
    NotResponding,
}

impl From<Presence> for PresenceWord {
    fn from(presence: Presence) -> Self {
        match presence {
            Presence::SignedOut => Self::SignedOut,
            Presence::Ready => Self::Ready,
            Presence::Paused { .. } => Self::Paused,
            Presence::NotResponding => Self::NotResponding,
        }
    }
}

/// A seat in a list.
#[derive(Serialize, ToSchema)]
pub(super) struct SeatRow {
    /// Decimal text.
    seat: String,
    /// The agent's name.
    name: String,
    presence: PresenceWord,
    /// Whether its desk counts as connected.
    linked: bool,
    used_units: u16,
    units: u16,
    /// Whether a desk of this node has it.
    desk_here: bool,
}

/// A page of seats, by id.
#[derive(Serialize, ToSchema)]
pub(super) struct SeatPage {
    tenant: u32,
    /// Seats in all.
    of: usize,
    seats: Vec<SeatRow>,
    /// `after` of the next page; null at the end.
    next: Option<String>,
}

/// An open offer. Times are log time in milliseconds since the Unix epoch.
#[derive(Serialize, ToSchema)]
pub(super) struct Offer {
    /// Decimal text.
    offer: String,
    /// Decimal text.
    contact: String,
    /// 32 hexadecimal digits.
    conversation: String,
    queue: Option<String>,
    waiting_since_ms: u64,
    deadline_ms: u64,
}

/// A claim.
#[derive(Serialize, ToSchema)]
pub(super) struct SeatClaim {
    /// Decimal text; the number of the offer that it came from.
    claim: String,
    /// Decimal text.
    contact: String,
    /// 32 hexadecimal digits.
    conversation: String,
    /// When wrap-up ends; null while the contact is served.
    wrap_up_until_ms: Option<u64>,
    /// Newest item of the conversation.
    n: u32,
}

/// A seat as the machine sees it.
#[derive(Serialize, ToSchema)]
pub(super) struct SeatDetail {
    /// Decimal text.
    seat: String,
    /// The agent's name.
    name: String,
    presence: PresenceWord,
    linked: bool,
    used_units: u16,
    units: u16,
    desk_here: bool,
    /// Log time of this view: count down from `deadline_ms` − `at_ms`.
    at_ms: u64,
    offers: Vec<Offer>,
    claims: Vec<SeatClaim>,
}

/// A command that was taken.
#[derive(Serialize, ToSchema)]
pub(super) struct Commanded {
    /// Decimal text.
    seat: String,
    /// The contact concerned, decimal text.
    contact: Option<String>,
    /// Number of the transcript item that it gave.
    n: Option<u32>,
}

/// GET the seats, by id, a page at a time.
pub(super) async fn list(Path(tenant): Path<String>, asked: Asked) -> Result<Json<SeatPage>, Problem> {
    let (tenant, query) = asked.read_at(Permission::ReadFloor, &tenant, &["after", "max"])?;
    let api = &asked.api;
    let after = query.after()?;
    let max = query.integer("max", 1..=PAGE_MAX, PAGE_MAX)? as usize;
    let views = api.node().query(tenant, move |machine| {
        let mut views = machine.seats();
        views.sort_by_key(|view| view.seat);
        let of = views.len();
        let page: Vec<_> = views.into_iter().filter(|view| view.seat.0 > after).take(max).collect();
        let names: HashMap<_, _> = page.iter().filter_map(|view| Some((view.seat, machine.agent(view.seat)?.name))).collect();
        (of, page, names)
    });
    let (of, page, mut names) = views.await.map_err(|error| Problem::of_port(&error))?;
    let live = api.node().live();
    let next = if page.len() == max { page.last().map(|view| view.seat.0.to_string()) } else { None };
    let rows = page.iter().map(|view| SeatRow {
        seat: view.seat.0.to_string(),
        name: names.remove(&view.seat).unwrap_or_default(),
        presence: view.presence.into(),
        linked: view.linked,
        used_units: view.used,
        units: view.units,
        desk_here: live.has_desk(tenant, view.seat),
    });
    Ok(Json(SeatPage { tenant: tenant.0, of, seats: rows.collect(), next }))
}

/// GET one seat with its offers and claims.
pub(super) async fn one(Path((tenant, seat)): Path<(String, String)>, asked: Asked) -> Result<Json<SeatDetail>, Problem> {
    let (tenant, _) = asked.read_at(Permission::ReadFloor, &tenant, &[])?;
    let (api, id) = (&asked.api, SeatId(gate::id("seat", &seat)?));
    let question = api.node().query(tenant, move |machine| {
        let view = machine.seats().into_iter().find(|view| view.seat == id)?;
        Some((view, machine.agent(id)?, machine.seat_snapshot(id)?))
    });
    let found = question.await.map_err(|error| Problem::of_port(&error))?;
    let Some((view, agent, snapshot)) = found else {
        return Err(Problem::not_found("unknown-seat", "the roster has no agent with this id"));
    };
    let names = Names::read(api, tenant).await?;
    let offers = snapshot.offers.iter().map(|offer| Offer {
        offer: offer.offer.0.to_string(),
        contact: offer.contact.0.to_string(),
        conversation: format!("{:032x}", offer.conversation.0),
        queue: names.text(offer.queue.0),
        waiting_since_ms: offer.waiting_since.0,
        deadline_ms: offer.deadline.0,
    });
    let claims = snapshot.claims.iter().map(|claim| SeatClaim {
        claim: claim.claim.0.to_string(),
        contact: claim.contact.0.to_string(),
        conversation: format!("{:032x}", claim.conversation.0),
        wrap_up_until_ms: claim.wrap_up_until.map(|at| at.0),
        n: claim.n,
    });
    Ok(Json(SeatDetail {
        seat: id.0.to_string(),
        name: agent.name,
        presence: snapshot.presence.into(),
        linked: view.linked,
        used_units: view.used,
        units: view.units,
        desk_here: api.node().live().has_desk(tenant, id),
        at_ms: snapshot.at.0,
        offers: offers.collect(),
        claims: claims.collect(),
    }))
}

/// An act, owned.
enum Act {
    Plain(SeatAct<'static>),
    Send { claim: ClaimId, text: String },
}

/// What a command may be.
#[derive(Clone, Copy)]
enum Word {
    SignIn,
    SignOut,
    Ready,
    Pause,
    Accept,
    Decline,
    Send,
    End,
    WrapUp,
    Transfer,
}

/// The acts, as they are written.
const WORDS: [(&str, Word); 10] = [
    ("sign_in", Word::SignIn),
    ("sign_out", Word::SignOut),
    ("ready", Word::Ready),
    ("pause", Word::Pause),
    ("accept", Word::Accept),
    ("decline", Word::Decline),
    ("send", Word::Send),
    ("end", Word::End),
    ("wrap_up", Word::WrapUp),
    ("transfer", Word::Transfer),
];

fn read(fields: &Fields) -> Result<Act, Problem> {
    let reason = |field| fields.text(field, 1..=NAME_BYTES_MAX).map(|text| ReasonName::of(&text));
    let claim = || fields.id("claim").map(ClaimId);
    let offer = || fields.id("offer").map(OfferId);
    let act = match fields.word("act", &WORDS, None)? {
        Word::SignIn => SeatAct::SignIn,
        Word::SignOut => SeatAct::SignOut,
        Word::Ready => SeatAct::Ready,
        Word::Pause => SeatAct::Pause { reason: reason("reason")? },
        Word::Accept => SeatAct::Accept { offer: offer()? },
        Word::Decline => SeatAct::Decline { offer: offer()?, reason: reason("reason")? },
        Word::Send => {
            let act = Act::Send { claim: claim()?, text: fields.prose("text", 1..=BODY_BYTES_MAX)? };
            return fields.end().map(|()| act);
        }
        Word::End => SeatAct::End { claim: claim()? },
        Word::WrapUp => SeatAct::WrapUp { claim: claim()?, code: reason("code")? },
        Word::Transfer => {
            let (claim, to) = (claim()?, fields.object("to")?);
            let to = if to.has("seat") {
                let seat = TransferTo::Seat(SeatId(to.id("seat")?));
                to.end().map(|()| seat)?
            } else {
                let queue = TransferTo::Queue(QueueName::of(&to.text("queue", 1..=NAME_BYTES_MAX)?));
                to.end().map(|()| queue)?
            };
            SeatAct::Transfer { claim, to }
        }
    };
    fields.end().map(|()| Act::Plain(act))
}

/// The shapes that [`read`] reads: one an act.
pub(super) fn command_shape() -> RefOr<Schema> {
    let id = || shape::pattern(shape::decimal(u64::MAX));
    let name = || shape::line(1, NAME_BYTES_MAX);
    let act = |words: &[&str], mut fields: Vec<(&str, bool, RefOr<Schema>)>| {
        fields.insert(0, ("act", true, shape::words(words)));
        shape::object(&fields)
    };
    let to = vec![shape::object(&[("queue", true, name())]), shape::object(&[("seat", true, id())])];
    shape::one_of(vec![
        act(&["sign_in", "sign_out", "ready"], Vec::new()),
        act(&["pause"], vec![("reason", true, name())]),
        act(&["accept"], vec![("offer", true, id())]),
        act(&["decline"], vec![("offer", true, id()), ("reason", true, name())]),
        act(&["send"], vec![("claim", true, id()), ("text", true, shape::prose(1, BODY_BYTES_MAX))]),
        act(&["end"], vec![("claim", true, id())]),
        act(&["wrap_up"], vec![("claim", true, id()), ("code", true, name())]),
        act(&["transfer"], vec![("claim", true, id()), ("to", true, shape::one_of(to))]),
    ])
}

/// POST a command of a seat.
pub(super) async fn command(Path((tenant, seat)): Path<(String, String)>, sent: Sent) -> Result<Response, Problem> {
    let path = format!("seats/{seat}/commands");
    let (tenant, key, ready) = sent.keyed_at(Permission::ActAtAnySeat, &tenant, &path, ACT_BYTES_MAX).await?;
    let seat = SeatId(gate::id("seat", &seat)?);
    let act = async {
        let act = read(&Fields::read(&ready.body)?)?;
        let act = match &act {
            Act::Plain(act) => *act,
            Act::Send { claim, text } => SeatAct::Send { claim: *claim, body: text.as_bytes() },
        };
        let input = SeatInput { seat, command: key.command(), act };
        let outcome = ready.api.node().command(tenant, input).await.map_err(|error| Problem::of_port(&error))?;
        let (contact, n) = match outcome {
            Outcome::Done { contact, n } => ((!contact.is_none()).then(|| contact.0.to_string()), (n != 0).then_some(n)),
            Outcome::Duplicate { n } => (None, (n != 0).then_some(n)),
            Outcome::Conflict => return Err(idempotency::conflict()),
            other => return Err(Problem::of_outcome(other).unwrap_or_else(|| Problem::internal("a refusal that is none"))),
        };
        Ok(Answer::of(StatusCode::OK, &Commanded { seat: seat.0.to_string(), contact, n }))
    };
    ready.once_by(key, act).await
}
