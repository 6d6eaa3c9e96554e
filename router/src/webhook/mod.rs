//! Webhooks out: a tenant's subscriptions, each with a loop of its own that reads events and delivers them.
//!
//! ```text
//! event journal ─ Hook loop (run.rs) ─ Plan (plan.rs: order, retries, breaker) ─ Sender (client.rs: URL, signature, answer)
//!                     └─ Book (book.rs: settings, cursor, dead letters; each file replaced whole)
//! ```
//!
//! Promised: each event that a subscription wants is delivered at least once, or becomes a dead letter, or is counted as a
//! gap; those of one conversation one after the other, in log order; a repetition has the same `webhook-id`. A receiver costs
//! nobody else anything: what is held for it is bounded, and it reads the journal at its own pace.
//! It refuses to know the HTTP API that manages it (`http/webhooks.rs`) and what a fact means.

mod book;
mod client;
mod face;
mod plan;
mod run;

pub use book::{BookError, Pause, Secret, Standing, Subscription, decode_letters, encode_letters};
pub use client::{URL_BYTES_MAX, UrlError, check_url};
pub use face::{Draft, HOOKS_PER_TENANT_MAX, HookError, HookView, SECRET_BYTES, WebhooksConfig};
pub use plan::{Answer, Attempt, Counts, Lane, Letter, Next, Pace, Pending, Plan, RETRY_AFTER_MAX_MS, Ticket, Verdict};
pub use run::Webhooks;
