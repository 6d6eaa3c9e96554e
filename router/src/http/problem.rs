//! Errors as operators' programs see them: RFC 9457 problem details.
//!
//! `type` is `/problems/<slug>`, a page of the node; slug, status and title stand in the table of `tidegate_model::problem`. A client learns what to do (title, status, the
//! field, what was expected); the log learns the cause. No token, body or secret is part of a problem.
//!
//! Drive it: a constructor here, [`Problem::at`] for the field, [`Problem::with`] for further members, then return it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use tidegate_model::mask::mask_text;
use tidegate_model::output::{LimitKind, Outcome, Refusal};
use tidegate_model::port::PortError;
use tidegate_model::problem as table;
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
    /// A problem of the table, without field. A slug without a row (a test looks for them) is a fault of ours: 500.
    pub fn of(slug: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let row = table::find(slug);
        let status = row.and_then(|row| StatusCode::from_u16(row.status).ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let title = row.map_or("A fault of ours", |row| row.title.en);
        Self { slug, status, title, detail: detail.into(), field: None, retry_after: None, more: Map::new() }
    }

    /// As [`Self::of`], for a slug that may have no row yet; where there is one, its status and title hold.
    pub fn new(slug: &'static str, status: StatusCode, title: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        match table::find(slug) {
            Some(_) => Self::of(slug, detail),
            None => Self { status, title, ..Self::of(slug, detail) },
        }
    }

    /// Names the field.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into().into_boxed_str());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn after(mut self, span: Millis) -> Self {
        self.retry_after = Some(span);
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
        Self::of("bad-field", detail).at(field)
    }

    /// A field that does not exist.
    pub fn unknown_field(field: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of("unknown-field", detail).at(field)
    }

    /// Not JSON, or too deep, or too many values.
    pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of("malformed", detail)
    }

    /// A header or parameter out of its form.
    pub fn parameter(name: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of("bad-parameter", detail).at(name)
    }

    /// Nothing there.
    pub fn not_found(slug: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(slug, detail)
    }

    /// A conversation of another tenant or of nobody: indistinguishable.
    pub fn unknown_conversation() -> Self {
        Self::not_found("unknown-conversation", "the tenant has no such conversation, or it is older than the log keeps")
    }

    /// An outcome that is no success.
    pub fn of_outcome(outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Done { .. } | Outcome::Duplicate { .. } => None,
            Outcome::Conflict => Some(Self::of("conflict", "repeat the first content, or use a new id")),
            Outcome::Refused(refusal) => Some(Self::of_refusal(refusal)),
            _ => Some(Self::internal("an outcome that this release does not know")),
        }
    }

    fn of_refusal(refusal: Refusal) -> Self {
        let detail: Cow<'static, str> = match refusal {
            Refusal::UnknownSeat | Refusal::UnknownAccount | Refusal::UnknownQueue | Refusal::UnknownClass => {
                "name one that the tenant has: GET seats, accounts, queues and policy list them".into()
            }
            Refusal::NoPolicy => "activate a policy first: PUT /v1/tenants/{tenant}/policy".into(),
            Refusal::Malformed => "the machine could not read it, or it contradicts itself".into(),
            Refusal::Limit(kind) => format!("the tenant's limit of {} is reached", limit_words(kind)).into(),
            Refusal::Poisoned => "the deciding step failed; nothing changed; see the poisoned counter".into(),
            _ => "the machine refuses it as things stand".into(),
        };
        Self::of(table::of_refusal(refusal), detail)
    }

    /// A port that did not take it.
    pub fn of_port(error: &PortError) -> Self {
        match error {
            PortError::Busy { retry_after } => Self::of("busy", "nothing was logged; try again").after(*retry_after),
            PortError::Closed => Self::of("closed", "use another node, or wait for the restart"),
            PortError::LogFailed => {
                Self::of("log-failed", "nothing more is acknowledged; see the node's log, free the disk, restart")
            }
            PortError::Invalid { what } => Self::of("bad-field", what.clone()),
            PortError::Unknown => Self::of("unknown", "no such tenant, conversation or seat on this node"),
            _ => Self::internal("a port error that this release does not know"),
        }
    }

    /// Our fault.
    pub fn internal(detail: &'static str) -> Self {
        Self::of("internal", detail)
    }

    /// The problem as JSON.
    pub fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("type".to_owned(), json!(format!("{}{}", table::URI, self.slug)));
        body.insert("title".to_owned(), json!(self.title));
        body.insert("status".to_owned(), json!(self.status.as_u16()));
        // What a caller sent may stand in both, and what was sent may be somebody's number.
        body.insert("detail".to_owned(), json!(mask_text(&self.detail)));
        if let Some(field) = &self.field {
            body.insert("field".to_owned(), json!(mask_text(field)));
        }
        if let Some(span) = self.retry_after {
            body.insert("retry_after_ms".to_owned(), json!(span.0));
        }
        for (name, value) in &self.more {
            body.entry(name.clone()).or_insert_with(|| masked(value));
        }
        Value::Object(body)
    }
}

/// As it is, with every text masked: faults of a policy quote what was sent.
fn masked(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(mask_text(text)),
        Value::Array(values) => values.iter().map(masked).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), masked(value))).collect(),
        other => other.clone(),
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
