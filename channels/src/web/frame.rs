//! Frames of the web protocol: what a customer may say, and what the server says.
//!
//! Decoding is strict: unknown fields, wrong types and anything past a limit are refused by field name. The HTTP fall-back
//! reads its bodies by the same functions, so that both faces have one set of limits. Field names: `docs/protocol.md`.

use crate::config::{SHORT_BYTES_MAX, TEXT_BYTES_MAX};
use crate::files::{self, Named};
use crate::ids;
use crate::item::to_json;
use crate::json::{Object, clip};
use crate::names::NameTable;
use crate::problem::Problem;
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;
use tidegate_model::input::{ContactRequest, FirstOwner, Inbound, InboundAct};
use tidegate_model::limits::{REQUEST_SKILLS_MAX, REQUEST_TAGS_MAX};
use tidegate_model::output::Outcome;
use tidegate_model::port::{CustomerGrant, FileFacts, Standing};
use tidegate_model::{ClassName, Level, Millis, QueueName, SeatId, SkillName, TagName};

/// What a customer says.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum ClientFrame {
    /// Who speaks, and up to which item it has everything.
    Hello {
        /// The session token.
        token: String,
        /// Newest number it has; 0 for none.
        after: u32,
    },
    /// Something for the log.
    Submit(Submission),
    /// Items up to `n` were shown.
    Ack {
        /// That number.
        n: u32,
    },
    /// The customer is writing.
    Typing,
    /// Are you there?
    Ping,
}

/// An act with the client's own id.
#[derive(Clone, PartialEq, Debug)]
pub struct Submission {
    /// Unique within the conversation; a repetition is answered as the first was.
    pub client_msg_id: String,
    /// The act.
    pub act: CustomerAct,
}

/// A customer's act, owned.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum CustomerAct {
    /// A contact begins.
    Begin {
        /// Who has it first.
        with: FirstOwner,
        /// What is asked for.
        request: ContactRequest,
    },
    /// From the bot to an agent.
    RequestAgent {
        /// What is asked for.
        request: ContactRequest,
    },
    /// A message.
    Message {
        /// Its text.
        text: String,
    },
    /// A message that is a file.
    File {
        /// Which.
        file: Named,
    },
    /// The customer leaves.
    Leave,
}

impl Submission {
    /// The input, with its derived event id; for a file, with what was found of it.
    pub fn inbound<'a>(&'a self, grant: &CustomerGrant, found: &'a FileFacts) -> Inbound<'a> {
        Inbound {
            account: grant.account,
            conversation: grant.conversation,
            event: ids::event(grant.account, grant.conversation, &self.client_msg_id),
            customer: grant.customer,
            known_n: 0,
            act: match &self.act {
                CustomerAct::Begin { with, request } => InboundAct::Begin { with: *with, request: *request },
                CustomerAct::RequestAgent { request } => InboundAct::RequestAgent { request: *request },
                CustomerAct::Message { text } => InboundAct::Message { body: text.as_bytes() },
                CustomerAct::File { .. } => InboundAct::File { file: found.as_ref() },
                CustomerAct::Leave => InboundAct::Leave,
            },
        }
    }
}

/// A frame that was refused: why, and the client's own id where it could be read.
#[derive(Clone, PartialEq, Debug)]
pub struct BadFrame {
    /// The id, so that the client knows which of its frames it was.
    pub id: Option<String>,
    /// Why.
    pub problem: Box<Problem>,
}

impl From<Problem> for BadFrame {
    fn from(problem: Problem) -> Self {
        Self { id: None, problem: Box::new(problem) }
    }
}

/// Which act an HTTP path stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `begin`.
    Begin,
    /// `request_agent`.
    RequestAgent,
    /// `message`.
    Message,
    /// `leave`.
    Leave,
}

/// Reads a frame.
///
/// # Errors
/// [`Problem`] naming the field; with the client's message id where it could be read.
pub fn decode(bytes: &[u8]) -> Result<ClientFrame, BadFrame> {
    let mut object = Object::parse(bytes)?;
    let kind = object.text("type", SHORT_BYTES_MAX)?;
    let kind = match &*kind {
        "begin" => Kind::Begin,
        "request_agent" => Kind::RequestAgent,
        "message" => Kind::Message,
        "leave" => Kind::Leave,
        other => return decode_plain(other, object).map_err(BadFrame::from),
    };
    submission(kind, object).map(ClientFrame::Submit)
}

fn decode_plain(kind: &str, mut object: Object<'_>) -> Result<ClientFrame, Problem> {
    let frame = match kind {
        "hello" => ClientFrame::Hello {
            token: object.text("token", crate::auth::TOKEN_BYTES_MAX)?.into_owned(),
            after: object.opt_number("after", u64::from(u32::MAX))?.unwrap_or(0) as u32,
        },
        "ack" => ClientFrame::Ack { n: object.number("n", u64::from(u32::MAX))? as u32 },
        "typing" => ClientFrame::Typing,
        "ping" => ClientFrame::Ping,
        other => {
            return Err(Problem::field(
                "type",
                format!(
                    "unknown type `{}`; known here: hello, begin, request_agent, message, leave, ack, typing, ping",
                    clip(other)
                ),
            ));
        }
    };
    object.finish()?;
    Ok(frame)
}

/// Reads the fields of an act from an object of which `type`, if any, has been taken.
///
/// # Errors
/// As [`decode`].
pub fn submission(kind: Kind, mut object: Object<'_>) -> Result<Submission, BadFrame> {
    let id = object.text("client_msg_id", SHORT_BYTES_MAX)?.into_owned();
    match act(kind, &mut object).and_then(|act| object.finish().map(|()| act)) {
        Ok(act) => Ok(Submission { client_msg_id: id, act }),
        Err(problem) => Err(BadFrame { id: Some(id), problem: Box::new(problem) }),
    }
}

fn act(kind: Kind, object: &mut Object<'_>) -> Result<CustomerAct, Problem> {
    Ok(match kind {
        Kind::Begin => {
            let with = match object.opt_text("with", SHORT_BYTES_MAX)?.as_deref() {
                None | Some("queue") => FirstOwner::Queue,
                Some("bot") => FirstOwner::Bot,
                Some(_) => return Err(Problem::field("with", "with must be \"bot\" or \"queue\"")),
            };
            CustomerAct::Begin { with, request: request(object)? }
        }
        Kind::RequestAgent => CustomerAct::RequestAgent { request: request(object)? },
        Kind::Message => match files::named(object)? {
            Some(file) => CustomerAct::File { file },
            None => CustomerAct::Message { text: object.text("text", TEXT_BYTES_MAX)?.into_owned() },
        },
        Kind::Leave => CustomerAct::Leave,
    })
}

fn request(object: &mut Object<'_>) -> Result<ContactRequest, Problem> {
    let name = |text: Option<Cow<'_, str>>| text.map_or(0, |text| tidegate_model::name::symbol(&text));
    let mut request = ContactRequest {
        queue: QueueName(name(object.opt_text("queue", SHORT_BYTES_MAX)?)),
        class: ClassName(name(object.opt_text("class", SHORT_BYTES_MAX)?)),
        preferred: SeatId(hex_id(object, "preferred")?.unwrap_or(0)),
        ..ContactRequest::default()
    };
    for (place, tag) in request.tags.iter_mut().zip(object.texts("tags", REQUEST_TAGS_MAX, SHORT_BYTES_MAX)?) {
        *place = TagName::of(&tag);
    }
    let skills = object.pairs("skills", REQUEST_SKILLS_MAX, SHORT_BYTES_MAX, u32::from(Level::MAX.0))?;
    for (place, (skill, level)) in request.skills.iter_mut().zip(skills) {
        *place = (SkillName::of(&skill), Level(level as u8));
    }
    Ok(request)
}

/// An id as clients write it: 1 to 16 hexadecimal digits (numbers past 2^53 would not survive a browser).
pub(crate) fn hex_id(object: &mut Object<'_>, field: &'static str) -> Result<Option<u64>, Problem> {
    let Some(text) = object.opt_text(field, 16)? else { return Ok(None) };
    match u64::from_str_radix(&text, 16) {
        Ok(id) if id != 0 && !text.starts_with('+') => Ok(Some(id)),
        _ => Err(Problem::field(field, format!("{field} must be 1 to 16 hexadecimal digits, not 0"))),
    }
}

/// What the server says, items apart.
#[derive(Serialize, Debug)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ServerFrame<'a> {
    /// The connection is bound.
    Welcome {
        /// The conversation.
        conversation: String,
        /// Items after this number follow.
        n: u32,
        /// The node's wall clock, in ms since the Unix epoch.
        at: u64,
    },
    /// An act was taken, durably.
    Ack {
        /// Its id.
        client_msg_id: &'a str,
        /// `done` or `duplicate`.
        outcome: &'static str,
        /// The contact, where one is concerned.
        #[serde(skip_serializing_if = "Option::is_none")]
        contact: Option<u64>,
        /// Its transcript number, or 0.
        n: u32,
    },
    /// Something was refused.
    Error {
        /// The act's id, where one is concerned.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_msg_id: Option<&'a str>,
        /// Why.
        problem: &'a Problem,
    },
    /// Nothing was taken; try again later.
    Busy {
        /// The act's id, where one is concerned.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_msg_id: Option<&'a str>,
        /// Suggested pause.
        retry_after_ms: u64,
    },
    /// Where the contact stands in its queue.
    Standing {
        /// All of it.
        #[serde(flatten)]
        standing: StandingFrame,
    },
    /// The agent is writing.
    Typing {
        /// Which.
        seat: String,
    },
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

/// A standing as a page sees it; the long poll has it without a type.
#[derive(Serialize, Debug)]
pub struct StandingFrame {
    queue: Option<Arc<str>>,
    position: u32,
    waiting: u32,
    wait_ms: Option<WaitFrame>,
    at: u64,
}

#[derive(Serialize, Debug)]
struct WaitFrame {
    p50: u64,
    p90: u64,
}

impl StandingFrame {
    /// The frame's fields.
    pub fn new(standing: &Standing, names: &NameTable) -> Self {
        Self {
            queue: names.text(standing.queue.0),
            position: standing.position,
            waiting: standing.waiting,
            wait_ms: standing.wait.map(|wait| WaitFrame { p50: wait.p50.0, p90: wait.p90.0 }),
            at: standing.at.0,
        }
    }
}

/// How an outcome is told: an acknowledgement, or a problem.
///
/// # Errors
/// The problem, for a conflict or a refusal.
pub fn answer<'a>(id: &'a str, outcome: Outcome, reason: Option<&str>) -> Result<ServerFrame<'a>, Problem> {
    match outcome {
        Outcome::Done { contact, n } => {
            Ok(ServerFrame::Ack { client_msg_id: id, outcome: "done", contact: (!contact.is_none()).then_some(contact.0), n })
        }
        Outcome::Duplicate { n } => Ok(ServerFrame::Ack { client_msg_id: id, outcome: "duplicate", contact: None, n }),
        Outcome::Conflict => Err(Problem::conflict("client_msg_id")),
        Outcome::Refused(refusal) => Err(Problem::refused(refusal, reason)),
        _ => Err(Problem::of("internal", "an outcome that this version does not know")),
    }
}

/// A pause as a frame.
pub(crate) fn busy(id: Option<&str>, retry_after: Millis) -> String {
    ServerFrame::Busy { client_msg_id: id, retry_after_ms: retry_after.0 }.text()
}
