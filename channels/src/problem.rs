//! Errors as clients see them: RFC 9457 problem details, the same on WebSocket, SSE and HTTP.
//!
//! A client learns what to do (type, title, status, the field and what was expected); the log learns the cause. No body,
//! token or secret is ever part of a problem. `type` is `/problems/<slug>`, a page of the node. Slugs, statuses
//! and titles stand in the table of `tidegate_model::problem`, which the router's API shares.

use serde::Serialize;
use std::borrow::Cow;
use tidegate_model::Millis;
use tidegate_model::mask::mask_text;
use tidegate_model::output::Refusal;
use tidegate_model::port::{AuthError, PortError};
use tidegate_model::problem as table;

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
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire {
            r#type: format!("{}{}", table::URI, self.slug),
            title: self.title,
            status: self.status,
            // What a client sent may stand in both, and what was sent may be somebody's number.
            detail: mask_text(&self.detail),
            field: self.field.as_deref().map(mask_text),
            retry_after_ms: self.retry_after.map(|span| span.0),
        }
        .serialize(serializer)
    }
}

impl Problem {
    /// A problem of the table, without field. A slug without a row (a test looks for them) is a fault of ours: 500.
    pub fn of(slug: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let row = table::find(slug);
        let (title, status) = row.map_or(("A fault of ours", 500), |row| (row.title.en, row.status));
        Self { slug, title, status, detail: detail.into(), field: None, retry_after: None }
    }

    /// As [`Self::of`], for a slug that may have no row yet; where there is one, its title and status hold.
    pub fn new(slug: &'static str, title: &'static str, status: u16, detail: impl Into<Cow<'static, str>>) -> Self {
        match table::find(slug) {
            Some(_) => Self::of(slug, detail),
            None => Self { title, status, ..Self::of(slug, detail) },
        }
    }

    /// Names the field.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// A field that is missing, of the wrong type, or out of its limit.
    pub fn field(field: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of("bad-field", detail).at(field)
    }

    /// A parameter of a path or query that is out of its form.
    pub fn parameter(name: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of("bad-parameter", detail).at(name)
    }

    /// Not JSON, or not the object expected.
    pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of("malformed", detail)
    }

    /// Pressure: the client should wait.
    pub fn busy(retry_after: Millis) -> Self {
        let mut problem = Self::of("busy", "nothing was taken; send the same frame again after retry_after_ms");
        problem.retry_after = Some(retry_after);
        problem
    }

    /// This client is too fast.
    pub fn rate(retry_after: Millis) -> Self {
        let mut problem = Self::of("rate-limited", "nothing was taken; slow down");
        problem.retry_after = Some(retry_after);
        problem
    }

    /// The frame does not fit the state of the connection.
    pub fn order(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of("out-of-order", detail)
    }

    /// The same client id was used before with another content.
    pub fn conflict(field: &'static str) -> Self {
        Self::of("conflict", "use a new id for a new content").at(field)
    }

    /// A token was refused. The client never learns which secret was wrong.
    pub fn auth(error: AuthError) -> Self {
        match error {
            AuthError::Expired => Self::of("token-expired", "get a new one"),
            AuthError::Audience => Self::of("foreign-token", "get one for this place"),
            _ => Self::of("unauthorised", "the token is not valid: get a new one"),
        }
    }

    /// An input was refused by the machine.
    pub fn refused(refusal: Refusal, reason: Option<&str>) -> Self {
        let detail: Cow<'static, str> = match refusal {
            Refusal::UnknownSeat | Refusal::UnknownAccount => "not known here".into(),
            Refusal::UnknownQueue => "no such queue in the active policy".into(),
            Refusal::UnknownClass => "no such class in the active policy".into(),
            Refusal::NotOpen => "nothing is open in this conversation".into(),
            Refusal::OfferGone => "the offer was taken, expired or withdrawn".into(),
            Refusal::ClaimGone => "the claim is not this seat's, or has ended".into(),
            Refusal::NotSignedIn => "the seat is not signed in".into(),
            Refusal::AlreadyOpen => "a contact is open already".into(),
            Refusal::NoPolicy => "no policy is active yet".into(),
            Refusal::Limit(kind) => format!("the tenant's limit of {kind:?} is reached").into(),
            Refusal::Malformed => "the request contradicts itself".into(),
            Refusal::Rule(_) => format!("refused by rule: {}", reason.unwrap_or("unnamed")).into(),
            _ => "the request could not be decided; it is recorded for people to look at".into(),
        };
        Self::of(table::of_refusal(refusal), detail)
    }

    /// A port did not take it.
    pub fn port(error: &PortError) -> Self {
        match error {
            PortError::Busy { retry_after } => Self::busy(*retry_after),
            PortError::Closed => Self::of("closed", "connect again, to any node"),
            PortError::LogFailed => Self::of("log-failed", "nothing more is acknowledged by this node"),
            PortError::Invalid { what } => Self::of("bad-field", what.clone()),
            PortError::Unknown => Self::of("unknown", "no such tenant, conversation or seat"),
            PortError::UnknownFile => crate::files::unknown_file(),
            PortError::Files(error) => crate::files::problem(error),
            _ => Self::of("internal", "try again later"),
        }
    }
}
