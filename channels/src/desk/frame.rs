//! Frames of the desk protocol: what an agent's desk may say, and what the server says.
//!
//! Every command carries the desk's own `command_id`: repeated after a cut it is answered as the first was. Decoding is as
//! strict as the web's. Times are log time; an offer names the server's `now` beside its deadline, so that a desk counts
//! down from the difference and never trusts its own clock. Field names: `docs/protocol.md`.

use crate::config::{SHORT_BYTES_MAX, TEXT_BYTES_MAX};
use crate::files::{self, Named};
use crate::item::{conversation_text, to_json};
use crate::json::{Object, clip};
use crate::names::NameTable;
use crate::problem::Problem;
use crate::web::frame::{BadFrame, hex_id};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_model::input::{SeatAct, TransferTo};
use tidegate_model::output::{Outcome, Presence, Rescind, SeatNotice};
use tidegate_model::policy::Code;
use tidegate_model::port::{Catalogue, CatalogueQueue, FileFacts, OfferContext, SeatSnapshot};
use tidegate_model::{ClaimId, ConversationId, OfferId, QueueName, ReasonName, SeatId, Timestamp};

/// What a desk says.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum DeskFrame {
    /// The agent's token, the resume token if it comes back, and the newest items that it has.
    SignIn {
        /// The agent's token.
        token: String,
        /// Given by the last welcome.
        resume: Option<String>,
        /// Newest number by conversation.
        after: Vec<(ConversationId, u32)>,
    },
    /// A command.
    Command(Command),
    /// Send a conversation's items again, from after a number.
    Follow {
        /// Which; it must be served by this seat.
        conversation: ConversationId,
        /// Newest number that the desk has.
        after: u32,
    },
    /// The agent is writing.
    Typing {
        /// In which claim.
        claim: ClaimId,
    },
    /// Are you there?
    Ping,
}

/// A command with the desk's own id.
#[derive(Clone, PartialEq, Debug)]
pub struct Command {
    /// Unique within the seat.
    pub command_id: String,
    /// The act.
    pub act: DeskAct,
}

/// An agent's act, owned.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum DeskAct {
    /// Ready for contacts.
    Ready,
    /// No new contacts.
    Pause {
        /// Why.
        reason: ReasonName,
    },
    /// Takes an offer.
    Accept {
        /// Which.
        offer: OfferId,
    },
    /// Refuses an offer.
    Decline {
        /// Which.
        offer: OfferId,
        /// Why.
        reason: ReasonName,
    },
    /// Writes to the customer.
    Send {
        /// In which claim.
        claim: ClaimId,
        /// The text.
        text: String,
    },
    /// Sends a file to the customer.
    SendFile {
        /// In which claim.
        claim: ClaimId,
        /// Which.
        file: Named,
    },
    /// Ends the segment.
    End {
        /// Which claim.
        claim: ClaimId,
    },
    /// Ends the wrap-up.
    WrapUp {
        /// Which claim.
        claim: ClaimId,
        /// Disposition.
        code: ReasonName,
    },
    /// Hands the contact on.
    Transfer {
        /// Which claim.
        claim: ClaimId,
        /// Where to.
        to: TransferTo,
    },
    /// Goes home.
    SignOut,
}

impl DeskAct {
    /// The act as the router takes it; for a file, with what was found of it.
    pub fn act<'a>(&'a self, found: &'a FileFacts) -> SeatAct<'a> {
        match self {
            Self::Ready => SeatAct::Ready,
            Self::Pause { reason } => SeatAct::Pause { reason: *reason },
            Self::Accept { offer } => SeatAct::Accept { offer: *offer },
            Self::Decline { offer, reason } => SeatAct::Decline { offer: *offer, reason: *reason },
            Self::Send { claim, text } => SeatAct::Send { claim: *claim, body: text.as_bytes() },
            Self::SendFile { claim, .. } => SeatAct::SendFile { claim: *claim, file: found.as_ref() },
            Self::End { claim } => SeatAct::End { claim: *claim },
            Self::WrapUp { claim, code } => SeatAct::WrapUp { claim: *claim, code: *code },
            Self::Transfer { claim, to } => SeatAct::Transfer { claim: *claim, to: *to },
            Self::SignOut => SeatAct::SignOut,
        }
    }
}

/// Reads a frame; reasons that it names become known to `names`.
///
/// # Errors
/// [`Problem`] naming the field; with the command id where it could be read.
pub fn decode(bytes: &[u8], names: &NameTable) -> Result<DeskFrame, BadFrame> {
    let mut object = Object::parse(bytes)?;
    let kind = object.text("type", SHORT_BYTES_MAX)?;
    if let Some(plain) = decode_plain(&kind, &mut object) {
        return plain.and_then(|frame| object.finish().map(|()| frame)).map_err(BadFrame::from);
    }
    let id = object.text("command_id", SHORT_BYTES_MAX)?.into_owned();
    match command(&kind, &mut object, names).and_then(|act| object.finish().map(|()| act)) {
        Ok(act) => Ok(DeskFrame::Command(Command { command_id: id, act })),
        Err(problem) => Err(BadFrame { id: Some(id), problem: Box::new(problem) }),
    }
}

fn decode_plain(kind: &str, object: &mut Object<'_>) -> Option<Result<DeskFrame, Problem>> {
    Some(match kind {
        "sign_in" => sign_in(object),
        "follow" => follow(object),
        "typing" => claim_of(object).map(|claim| DeskFrame::Typing { claim }),
        "ping" => Ok(DeskFrame::Ping),
        "presence" | "accept" | "decline" | "send" | "end" | "wrap_up" | "transfer" | "sign_out" => return None,
        other => Err(Problem::field(
            "type",
            format!(
                "unknown type `{}`; known here: sign_in, presence, accept, decline, send, end, wrap_up, transfer, sign_out, \
                 follow, typing, ping",
                clip(other)
            ),
        )),
    })
}

fn claim_of(object: &mut Object<'_>) -> Result<ClaimId, Problem> {
    let missing = || Problem::field("claim", "claim is missing: 1 to 16 hexadecimal digits expected");
    hex_id(object, "claim")?.map(ClaimId).ok_or_else(missing)
}

fn sign_in(object: &mut Object<'_>) -> Result<DeskFrame, Problem> {
    let token = object.text("token", crate::auth::TOKEN_BYTES_MAX)?.into_owned();
    let resume = object.opt_text("resume", SHORT_BYTES_MAX)?.map(std::borrow::Cow::into_owned);
    let mut after = Vec::new();
    for (name, n) in object.counters("after", 64, 32)? {
        after.push((conversation(&name, "after")?, n));
    }
    Ok(DeskFrame::SignIn { token, resume, after })
}

fn follow(object: &mut Object<'_>) -> Result<DeskFrame, Problem> {
    let name = object.text("conversation", 32)?;
    let after = object.opt_number("after", u64::from(u32::MAX))?.unwrap_or(0) as u32;
    Ok(DeskFrame::Follow { conversation: conversation(&name, "conversation")?, after })
}

fn conversation(text: &str, field: &'static str) -> Result<ConversationId, Problem> {
    match u128::from_str_radix(text, 16) {
        Ok(id) if text.len() == 32 && !text.starts_with('+') => Ok(ConversationId(id)),
        _ => Err(Problem::field(field, format!("{field} must name conversations by 32 hexadecimal digits"))),
    }
}

fn command(kind: &str, object: &mut Object<'_>, names: &NameTable) -> Result<DeskAct, Problem> {
    let reason = |object: &mut Object<'_>, field: &'static str| -> Result<ReasonName, Problem> {
        let text = object.opt_text(field, SHORT_BYTES_MAX)?;
        names.learn(text.as_deref().unwrap_or_default());
        Ok(ReasonName::of(text.as_deref().unwrap_or_default()))
    };
    let id = |object: &mut Object<'_>, field: &'static str| -> Result<u64, Problem> {
        let missing = || Problem::field(field, format!("{field} is missing: 1 to 16 hexadecimal digits expected"));
        hex_id(object, field)?.ok_or_else(missing)
    };
    let claim = |object: &mut Object<'_>| id(object, "claim").map(ClaimId);
    let offer = |object: &mut Object<'_>| id(object, "offer").map(OfferId);
    Ok(match kind {
        "presence" => {
            let state = object.text("state", SHORT_BYTES_MAX)?;
            let reason = reason(object, "reason")?;
            match &*state {
                "ready" if reason.is_none() => DeskAct::Ready,
                "ready" => return Err(Problem::field("reason", "reason goes with state \"paused\"")),
                "paused" => DeskAct::Pause { reason },
                _ => return Err(Problem::field("state", "state must be \"ready\" or \"paused\"")),
            }
        }
        "accept" => DeskAct::Accept { offer: offer(object)? },
        "decline" => DeskAct::Decline { offer: offer(object)?, reason: reason(object, "reason")? },
        "send" => {
            let claim = claim(object)?;
            match files::named(object)? {
                Some(file) => DeskAct::SendFile { claim, file },
                None => DeskAct::Send { claim, text: object.text("text", TEXT_BYTES_MAX)?.into_owned() },
            }
        }
        "end" => DeskAct::End { claim: claim(object)? },
        "wrap_up" => DeskAct::WrapUp { claim: claim(object)?, code: reason(object, "code")? },
        "transfer" => {
            let claim = claim(object)?;
            let missing = || Problem::field("to", "to must be {\"queue\": name} or {\"seat\": id}");
            let mut to = object.object("to")?.ok_or_else(missing)?;
            let queue = to.opt_text("queue", SHORT_BYTES_MAX)?.map(|name| QueueName::of(&name));
            let target = match (queue, hex_id(&mut to, "seat")?) {
                (Some(queue), None) => TransferTo::Queue(queue),
                (None, Some(seat)) => TransferTo::Seat(SeatId(seat)),
                _ => return Err(missing()),
            };
            to.finish()?;
            DeskAct::Transfer { claim, to: target }
        }
        _ => DeskAct::SignOut,
    })
}

/// What the server says, items apart.
#[derive(Serialize, Debug)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ServerFrame<'a> {
    /// The desk is bound to its seat.
    Welcome {
        /// The seat.
        seat: String,
        /// Token for the next sign-in, after a cut; good once.
        resume: &'a str,
        /// Whether the seat's claims were waiting for this desk.
        resumed: bool,
        /// How long the seat outlives the connection.
        lease_s: u64,
    },
    /// The seat as it stands; it replaces everything the desk believed.
    Snapshot {
        /// Log time.
        at: u64,
        /// `signed_out`, `ready`, `paused`, `not_responding`.
        presence: &'static str,
        /// Why paused.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Arc<str>>,
        /// Open offers.
        offers: Vec<OfferFrame>,
        /// Claims, wrap-ups included.
        claims: Vec<ClaimFrame>,
    },
    /// Presence changed.
    Presence {
        /// As in the snapshot.
        presence: &'static str,
        /// Why paused.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Arc<str>>,
    },
    /// An offer.
    Offered(OfferFrame),
    /// The offer is gone.
    Rescinded {
        /// Which.
        offer: String,
        /// `customer_left`, `expired`, `timed_out`, `seat_gone`, `declined`.
        why: &'static str,
    },
    /// The contact is this seat's.
    Assigned(ClaimFrame),
    /// The segment ended.
    WrapUp {
        /// Which claim.
        claim: String,
        /// Log time at which it ends by itself.
        until: u64,
    },
    /// The claim is over.
    Released {
        /// Which claim.
        claim: String,
    },
    /// A command was taken, durably.
    Ack {
        /// Which.
        command_id: &'a str,
        /// `done` or `duplicate`.
        outcome: &'static str,
        /// The contact, where one is concerned.
        #[serde(skip_serializing_if = "Option::is_none")]
        contact: Option<u64>,
        /// Transcript number, or 0.
        n: u32,
    },
    /// Something was refused.
    Error {
        /// The command, where one is concerned.
        #[serde(skip_serializing_if = "Option::is_none")]
        command_id: Option<&'a str>,
        /// Why.
        problem: &'a Problem,
    },
    /// Nothing was taken; try again later.
    Busy {
        /// The command, where one is concerned.
        #[serde(skip_serializing_if = "Option::is_none")]
        command_id: Option<&'a str>,
        /// Suggested pause.
        retry_after_ms: u64,
    },
    /// A customer is writing.
    Typing {
        /// In which conversation.
        conversation: String,
    },
    /// What the desk shows to choose from.
    Catalogue {
        /// The agent's name.
        agent: &'a str,
        /// Reasons of a pause.
        pause: &'a [Code],
        /// Reasons of a decline.
        decline: &'a [Code],
        /// Queues of the active policy.
        queues: Vec<QueueFrame<'a>>,
        /// Channels of the tenant.
        channels: Vec<ChannelFrame<'a>>,
        /// An unanswered message is pressing after this.
        warn_ms: u64,
        /// And overdue after this.
        breach_ms: u64,
        /// Largest file that may be sent; 0 while files are off.
        file_bytes_max: u64,
    },
    /// Another desk signed in on the seat.
    Replaced,
    /// The server closes; come back.
    Bye {
        /// Suggested pause.
        retry_after_ms: u64,
    },
    /// Answer to a ping.
    Pong,
}

impl ServerFrame<'_> {
    /// The frame's text.
    pub fn text(&self) -> String {
        to_json(self)
    }
}

/// An offer as a desk sees it.
#[derive(Serialize, Debug)]
pub struct OfferFrame {
    offer: String,
    contact: u64,
    conversation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<Arc<str>>,
    waiting_since: u64,
    deadline: u64,
    now: u64,
    timeout_ms: u64,
    waited_ms: u64,
    #[serde(flatten)]
    card: Option<OfferCard>,
}

/// What to know before accepting, as far as it is known.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct OfferCard {
    /// The channel's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Arc<str>>,
    /// The priority class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Arc<str>>,
    /// Skills asked for beyond the queue's, with levels.
    pub skills: BTreeMap<Arc<str>, u8>,
    /// It was offered or assigned before.
    pub returned: bool,
    /// What the customer wants to be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<Arc<str>>,
}

impl OfferCard {
    /// From what the router knows; `channel` is the account's name.
    pub fn new(context: OfferContext, channel: Option<&str>, names: &NameTable) -> Self {
        let skills = context.skills.iter().filter_map(|(skill, level)| Some((names.text(skill.0)?, level.0)));
        Self {
            channel: channel.map(Arc::from),
            class: names.text(context.class.0),
            skills: skills.collect(),
            returned: context.returned,
            customer: context.customer,
        }
    }
}

/// A queue of the catalogue.
#[derive(Serialize, Debug)]
pub struct QueueFrame<'a> {
    name: &'a str,
    en: &'a str,
    zh: &'a str,
    transfer: bool,
    offer_timeout_ms: u64,
    wrap_up_ms: u64,
    wrap_up: &'a [Code],
}

/// A channel of the catalogue.
#[derive(Serialize, Debug)]
pub struct ChannelFrame<'a> {
    name: &'a str,
    auto_accept: bool,
}

/// The frame of a catalogue; its names become known to `names`.
pub(crate) fn catalogue<'a>(
    catalogue: &'a Catalogue,
    channels: impl Iterator<Item = &'a str>,
    file_bytes_max: u64,
    names: &NameTable,
) -> String {
    let desk = &*catalogue.desk;
    let queue = |queue: &'a CatalogueQueue| {
        names.learn(&queue.name);
        let said = desk.queues.iter().find(|said| said.name == queue.name);
        QueueFrame {
            name: &queue.name,
            en: said.map_or(&queue.name, |said| &said.en),
            zh: said.map_or(&queue.name, |said| &said.zh),
            transfer: said.is_none_or(|said| said.transfer),
            offer_timeout_ms: queue.offer_timeout.0,
            wrap_up_ms: queue.wrap_up.0,
            wrap_up: said.and_then(|said| said.wrap_up.as_deref()).unwrap_or(&desk.wrap_up),
        }
    };
    for code in desk.pause.iter().chain(&desk.decline) {
        names.learn(&code.code);
    }
    let channel = |name: &'a str| ChannelFrame { name, auto_accept: desk.auto_accept.iter().any(|other| other == name) };
    let frame = ServerFrame::Catalogue {
        agent: &catalogue.agent,
        pause: &desk.pause,
        decline: &desk.decline,
        queues: catalogue.queues.iter().map(queue).collect(),
        channels: channels.map(channel).collect(),
        warn_ms: desk.warn.0,
        breach_ms: desk.breach.0,
        file_bytes_max,
    };
    frame.text()
}

/// A claim as a desk sees it.
#[derive(Serialize, Debug)]
pub struct ClaimFrame {
    claim: String,
    contact: u64,
    conversation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrap_up_until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u32>,
}

fn presence_words(presence: Presence, names: &NameTable) -> (&'static str, Option<Arc<str>>) {
    match presence {
        Presence::SignedOut => ("signed_out", None),
        Presence::Ready => ("ready", None),
        Presence::Paused { reason } => ("paused", names.text(reason.0)),
        Presence::NotResponding => ("not_responding", None),
    }
}

/// Cards of offers by their conversation.
pub(crate) type Cards = BTreeMap<ConversationId, OfferCard>;

/// The frame of a snapshot.
pub(crate) fn snapshot(snapshot: &SeatSnapshot, cards: &Cards, names: &NameTable) -> String {
    let (presence, reason) = presence_words(snapshot.presence, names);
    let offers = snapshot.offers.iter().map(|open| OfferFrame {
        offer: open.offer.to_string(),
        contact: open.contact.0,
        conversation: conversation_text(open.conversation),
        queue: names.text(open.queue.0),
        waiting_since: open.waiting_since.0,
        deadline: open.deadline.0,
        now: snapshot.at.0,
        timeout_ms: open.deadline.since(snapshot.at).0,
        waited_ms: snapshot.at.since(open.waiting_since).0,
        card: cards.get(&open.conversation).cloned(),
    });
    let claims = snapshot.claims.iter().map(|open| ClaimFrame {
        claim: open.claim.to_string(),
        contact: open.contact.0,
        conversation: conversation_text(open.conversation),
        wrap_up_until: open.wrap_up_until.map(|at| at.0),
        n: Some(open.n),
    });
    ServerFrame::Snapshot { at: snapshot.at.0, presence, reason, offers: offers.collect(), claims: claims.collect() }.text()
}

/// The frame of a notice; `None` for one that this version does not know.
pub(crate) fn notice(notice: &SeatNotice, card: Option<OfferCard>, names: &NameTable) -> Option<String> {
    let frame = match *notice {
        SeatNotice::Presence { presence } => {
            let (presence, reason) = presence_words(presence, names);
            ServerFrame::Presence { presence, reason }
        }
        SeatNotice::Offered { offer, contact, conversation, queue, waiting_since, deadline, timeout } => {
            let now: Timestamp = deadline.before(timeout);
            ServerFrame::Offered(OfferFrame {
                offer: offer.to_string(),
                contact: contact.0,
                conversation: conversation_text(conversation),
                queue: names.text(queue.0),
                waiting_since: waiting_since.0,
                deadline: deadline.0,
                now: now.0,
                timeout_ms: timeout.0,
                waited_ms: now.since(waiting_since).0,
                card,
            })
        }
        SeatNotice::Rescinded { offer, why } => ServerFrame::Rescinded {
            offer: offer.to_string(),
            why: match why {
                Rescind::CustomerLeft => "customer_left",
                Rescind::Expired => "expired",
                Rescind::TimedOut => "timed_out",
                Rescind::SeatGone => "seat_gone",
                Rescind::Declined => "declined",
            },
        },
        SeatNotice::Assigned { claim, contact, conversation } => ServerFrame::Assigned(ClaimFrame {
            claim: claim.to_string(),
            contact: contact.0,
            conversation: conversation_text(conversation),
            wrap_up_until: None,
            n: None,
        }),
        SeatNotice::WrapUp { claim, until } => ServerFrame::WrapUp { claim: claim.to_string(), until: until.0 },
        SeatNotice::Released { claim } => ServerFrame::Released { claim: claim.to_string() },
        _ => return None,
    };
    Some(frame.text())
}

/// How an outcome is told.
///
/// # Errors
/// The problem, for a conflict or a refusal.
pub fn answer<'a>(id: &'a str, outcome: Outcome, reason: Option<&str>) -> Result<ServerFrame<'a>, Problem> {
    match outcome {
        Outcome::Done { contact, n } => {
            Ok(ServerFrame::Ack { command_id: id, outcome: "done", contact: (!contact.is_none()).then_some(contact.0), n })
        }
        Outcome::Duplicate { n } => Ok(ServerFrame::Ack { command_id: id, outcome: "duplicate", contact: None, n }),
        Outcome::Conflict => Err(Problem::conflict("command_id")),
        Outcome::Refused(refusal) => Err(Problem::refused(refusal, reason)),
        _ => Err(Problem::of("internal", "an outcome that this version does not know")),
    }
}
