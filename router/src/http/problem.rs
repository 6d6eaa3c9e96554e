//! Errors as operators' programs see them: RFC 9457 problem details.
//!
//! `type` is `urn:tidegate:problem:<slug>`; a slug never changes its meaning. A client learns what to do (title, status, the
//! field, what was expected); the log learns the cause. No token, body or secret is part of a problem.
//!
//! Drive it: a constructor here, [`Problem::at`] for the field, [`Problem::with`] for further members, then return it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use tidegate_model::output::{LimitKind, Outcome, Refusal};
use tidegate_model::port::PortError;
use tidegate_model::time::Millis;

/// A problem.
#[derive(Clone, PartialEq, Debug)]
pub struct Problem {
    /// Last part of the type's URN.
    pub slug: &'static str,
    /// HTTP status.
    pub status: StatusCode,
    /// Short text, the same for every occurrence.
    pub title: &'static str,
    /// What was wrong this time, and what to do.
    pub detail: Cow<'static, str>,
    /// The field concerned, as a JSON pointer, a header's or a parameter's name.
    pub field: Option<Box<str>>,
    /// When to try again.
    pub retry_after: Option<Millis>,
    /// Further members.
    pub more: Map<String, Value>,
}

impl Problem {
    /// A problem without field.
    pub fn new(slug: &'static str, status: StatusCode, title: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { slug, status, title, detail: detail.into(), field: None, retry_after: None, more: Map::new() }
    }

    /// Names the field.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into().into_boxed_str());
        self
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// A field of the wrong type, out of its range, or missing.
    pub fn field(field: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new("bad-field", StatusCode::UNPROCESSABLE_ENTITY, "A field is not what it must be", detail).at(field)
    }

    /// A field that does not exist.
    pub fn unknown_field(field: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new("unknown-field", StatusCode::UNPROCESSABLE_ENTITY, "A field that does not exist", detail).at(field)
    }

    /// Not JSON, or too deep, or too many values.
    pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new("malformed", StatusCode::BAD_REQUEST, "The body cannot be read", detail)
    }

    /// A header or parameter out of its form.
    pub fn parameter(name: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new("bad-parameter", StatusCode::BAD_REQUEST, "A parameter is not what it must be", detail).at(name)
    }

    /// Nothing there.
    pub fn not_found(slug: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(slug, StatusCode::NOT_FOUND, "Nothing is there", detail)
    }

    /// A conversation of another tenant or of nobody: indistinguishable.
    pub fn unknown_conversation() -> Self {
        Self::not_found("unknown-conversation", "the tenant has no such conversation, or it is older than the log keeps")
    }

    /// An outcome that is no success.
    pub fn of_outcome(outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Done { .. } | Outcome::Duplicate { .. } => None,
            Outcome::Conflict => Some(Self::new(
                "conflict",
                StatusCode::CONFLICT,
                "The id was used before with another content",
                "repeat the first content, or use a new id",
            )),
            Outcome::Refused(refusal) => Some(Self::of_refusal(refusal)),
            _ => Some(Self::internal("an outcome that this release does not know")),
        }
    }

    fn of_refusal(refusal: Refusal) -> Self {
        let (status, detail): (StatusCode, Cow<'static, str>) = match refusal {
            Refusal::UnknownSeat | Refusal::UnknownAccount | Refusal::UnknownQueue | Refusal::UnknownClass => {
                (StatusCode::NOT_FOUND, "name one that the tenant has: see /v1/tenants/{t}/seats and /queues".into())
            }
            Refusal::NoPolicy => (StatusCode::CONFLICT, "activate a policy first: PUT /v1/tenants/{t}/policy".into()),
            Refusal::Malformed => {
                (StatusCode::UNPROCESSABLE_ENTITY, "the machine could not read it, or it contradicts itself".into())
            }
            Refusal::Limit(kind) => {
                (StatusCode::INSUFFICIENT_STORAGE, format!("the tenant's limit of {} is reached", limit_words(kind)).into())
            }
            Refusal::Poisoned => {
                (StatusCode::INTERNAL_SERVER_ERROR, "the deciding step failed; nothing changed; see the poisoned counter".into())
            }
            _ => (StatusCode::CONFLICT, "the machine refuses it as things stand".into()),
        };
        Self::new(refusal.slug(), status, "The tenant machine refuses it", detail)
    }

    /// A port that did not take it.
    pub fn of_port(error: &PortError) -> Self {
        match error {
            PortError::Busy { retry_after } => {
                let mut problem =
                    Self::new("busy", StatusCode::TOO_MANY_REQUESTS, "The queues are full", "nothing was logged; try again");
                problem.retry_after = Some(*retry_after);
                problem
            }
            PortError::Closed => Self::new(
                "closed",
                StatusCode::SERVICE_UNAVAILABLE,
                "The node is draining",
                "use another node, or wait for the restart",
            ),
            PortError::LogFailed => Self::new(
                "log-failed",
                StatusCode::SERVICE_UNAVAILABLE,
                "The log cannot be written",
                "nothing more is acknowledged; see the node's log, free the disk, restart",
            ),
            PortError::Invalid { what } => {
                Self::new("bad-field", StatusCode::UNPROCESSABLE_ENTITY, "A field is not what it must be", what.clone())
            }
            PortError::Unknown => Self::not_found("unknown-tenant", "no such tenant, conversation or seat on this node"),
            _ => Self::internal("a port error that this release does not know"),
        }
    }

    /// Our fault.
    pub fn internal(detail: &'static str) -> Self {
        Self::new("internal", StatusCode::INTERNAL_SERVER_ERROR, "A fault of ours", detail)
    }

    /// The problem as JSON.
    pub fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("type".to_owned(), json!(format!("urn:tidegate:problem:{}", self.slug)));
        body.insert("title".to_owned(), json!(self.title));
        body.insert("status".to_owned(), json!(self.status.as_u16()));
        body.insert("detail".to_owned(), json!(self.detail));
        if let Some(field) = &self.field {
            body.insert("field".to_owned(), json!(field));
        }
        if let Some(span) = self.retry_after {
            body.insert("retry_after_ms".to_owned(), json!(span.0));
        }
        for (name, value) in &self.more {
            body.entry(name.clone()).or_insert_with(|| value.clone());
        }
        Value::Object(body)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tidegate\""));
        }
        if let Some(span) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(span.0.div_ceil(1_000).max(1)));
        }
        response
    }
}

fn limit_words(kind: LimitKind) -> &'static str {
    match kind {
        LimitKind::Conversations => "conversations",
        LimitKind::Tickets => "waiting contacts",
        LimitKind::Seats => "seats",
        LimitKind::Lanes => "lanes",
        LimitKind::Classes => "supply classes",
        LimitKind::Engagements => "offers and claims",
        LimitKind::Effects => "effect rows",
        LimitKind::Customers => "customers",
        LimitKind::Accounts => "channel accounts",
        LimitKind::QueueLength => "the queue's length",
        LimitKind::PendingInputs => "inputs waiting for fuel",
        _ => "a kind that this release does not name",
    }
}
