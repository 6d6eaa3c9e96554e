//! Errors as clients see them: RFC 9457 problem details, the same on WebSocket, SSE and HTTP.
//!
//! A client learns what to do (type, title, status, the field and what was expected); the log learns the cause. No body,
//! token or secret is ever part of a problem. `type` is `urn:tidegate:problem:<slug>`; the slugs are listed in
//! `docs/protocol.md` and never change meaning.

use serde::Serialize;
use std::borrow::Cow;
use tidegate_model::Millis;
use tidegate_model::output::Refusal;
use tidegate_model::port::{AuthError, PortError};

/// A problem.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Last part of the type's URN.
    pub slug: &'static str,
    /// Short text, the same for every occurrence.
    pub title: &'static str,
    /// HTTP status that fits.
    pub status: u16,
    /// What was wrong this time, and what to do.
    pub detail: Cow<'static, str>,
    /// The field concerned, when one is.
    pub field: Option<String>,
    /// When to try again, when that helps.
    pub retry_after: Option<Millis>,
}

#[derive(Serialize)]
struct Wire<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire {
            r#type: format!("urn:tidegate:problem:{}", self.slug),
            title: self.title,
            status: self.status,
            detail: &self.detail,
            field: self.field.as_deref(),
            retry_after_ms: self.retry_after.map(|span| span.0),
        }
        .serialize(serializer)
    }
}

impl Problem {
    /// A problem without field.
    pub fn new(slug: &'static str, title: &'static str, status: u16, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { slug, title, status, detail: detail.into(), field: None, retry_after: None }
    }

    /// Names the field.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// A field that is missing, of the wrong type, or out of its limit.
    pub fn field(field: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new("bad-field", "a field is not what it must be", 400, detail).at(field)
    }

    /// Not JSON, or not the object expected.
    pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new("malformed", "not a frame of this protocol", 400, detail)
    }

    /// Pressure: the client should wait.
    pub fn busy(retry_after: Millis) -> Self {
        let mut problem = Self::new("busy", "too busy", 503, "nothing was taken; send the same frame again after retry_after_ms");
        problem.retry_after = Some(retry_after);
        problem
    }

    /// This client is too fast.
    pub fn rate(retry_after: Millis) -> Self {
        let mut problem = Self::new("rate-limited", "too many frames", 429, "nothing was taken; slow down");
        problem.retry_after = Some(retry_after);
        problem
    }

    /// The frame does not fit the state of the connection.
    pub fn order(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new("out-of-order", "not now", 409, detail)
    }

    /// The same client id was used before with another content.
    pub fn conflict(field: &'static str) -> Self {
        Self::new("conflict", "id used before with another content", 409, "use a new id for a new content").at(field)
    }

    /// A token was refused. The client never learns which secret was wrong.
    pub fn auth(error: AuthError) -> Self {
        match error {
            AuthError::Expired => Self::new("token-expired", "the token is out of its time", 401, "get a new one"),
            AuthError::Audience => Self::new("foreign-token", "the token is for somewhere else", 403, "get one for this place"),
            _ => Self::new("bad-token", "the token is not valid", 401, "get a new one"),
        }
    }

    /// An input was refused by the machine.
    pub fn refused(refusal: Refusal, reason: Option<&str>) -> Self {
        let (status, detail): (u16, Cow<'static, str>) = match refusal {
            Refusal::UnknownSeat | Refusal::UnknownAccount => (404, "not known here".into()),
            Refusal::UnknownQueue => (422, "no such queue in the active policy".into()),
            Refusal::UnknownClass => (422, "no such class in the active policy".into()),
            Refusal::NotOpen => (409, "nothing is open in this conversation".into()),
            Refusal::OfferGone => (409, "the offer was taken, expired or withdrawn".into()),
            Refusal::ClaimGone => (409, "the claim is not this seat's, or has ended".into()),
            Refusal::NotSignedIn => (409, "the seat is not signed in".into()),
            Refusal::AlreadyOpen => (409, "a contact is open already".into()),
            Refusal::NoPolicy => (503, "no policy is active yet".into()),
            Refusal::Limit(kind) => (429, format!("the tenant's limit of {kind:?} is reached").into()),
            Refusal::Malformed => (422, "the request contradicts itself".into()),
            Refusal::Rule(_) => (403, format!("refused by rule: {}", reason.unwrap_or("unnamed")).into()),
            _ => (500, "the request could not be decided; it is recorded for people to look at".into()),
        };
        Self::new(refusal.slug(), "refused", status, detail)
    }

    /// A port did not take it.
    pub fn port(error: &PortError) -> Self {
        match error {
            PortError::Busy { retry_after } => Self::busy(*retry_after),
            PortError::Closed => Self::new("closed", "this node is going down", 503, "connect again, to any node"),
            PortError::LogFailed => {
                Self::new("log-failed", "the log cannot be written", 503, "nothing more is acknowledged by this node")
            }
            PortError::Invalid { what } => Self::new("invalid", "out of its limit", 400, what.clone()),
            PortError::Unknown => Self::new("unknown", "not known here", 404, "no such tenant, conversation or seat"),
            PortError::UnknownFile => crate::files::unknown_file(),
            PortError::Files(error) => crate::files::problem(error),
            _ => Self::new("failed", "a fault of ours", 500, "try again later"),
        }
    }
}
