//! What an operator gives to a subscription and sees of it: settings, drafts, views, errors, secrets.
//!
//! Plain data and its checks; what runs is in `run.rs`. It refuses to know files and tasks.

use super::book::{BookError, Subscription};
use super::client::UrlError;
use super::plan::{Counts, Pace};
use crate::events::{EventNo, FilterError};
use std::path::PathBuf;
use std::time::Duration;
use tidegate_model::Timestamp;

/// Subscriptions of one tenant.
pub const HOOKS_PER_TENANT_MAX: usize = 32;
/// Bytes of a secret's key, as the specification recommends them.
pub const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// How a node delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhooksConfig {
    /// Directory of subscriptions; made when it is not there. It holds secrets.
    pub directory: PathBuf,
    /// Whether receivers may have addresses of the inside (loopback, private, link-local). Not by default: whoever may
    /// create a subscription could else make this node ask anything in its network.
    pub allow_inside: bool,
    /// Longest time of one attempt.
    pub attempt: Duration,
    /// Order, retries, limits.
    pub pace: Pace,
    /// How long a moved cursor may be unsaved.
    pub save_every: Duration,
}

impl WebhooksConfig {
    /// The defaults: addresses outside only, 10 s an attempt, 24 h an event, 16 at once, saved after 200 ms.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            allow_inside: false,
            attempt: Duration::from_secs(10),
            pace: Pace::default(),
            save_every: Duration::from_millis(200),
        }
    }
}

/// Why something could not be done with a subscription.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// No such subscription of this tenant.
    #[error("the tenant has no such webhook")]
    Unknown,
    /// No such dead letter.
    #[error("the webhook has no such dead letter")]
    UnknownLetter,
    /// Too many.
    #[error("the tenant has {HOOKS_PER_TENANT_MAX} webhooks, and no more are allowed")]
    TooMany,
    /// The URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The patterns.
    #[error(transparent)]
    Types(#[from] FilterError),
    /// The secret.
    #[error("expected whsec_ and the base64 of {} to {} bytes", SECRET_BYTES.start(), SECRET_BYTES.end())]
    Secret,
    /// The place is no longer kept, or not yet there.
    #[error("expected an event id from {floor} to {newest}, or 0 for the oldest kept")]
    Place {
        /// The oldest.
        floor: EventNo,
        /// The newest.
        newest: EventNo,
    },
    /// The files.
    #[error("the subscription cannot be saved")]
    Book(#[from] BookError),
    /// The directory.
    #[error("the directory of webhooks, {directory}, cannot be used")]
    Directory {
        /// Which.
        directory: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The system gives no randomness for a secret.
    #[error("the system gives no entropy")]
    Entropy,
    /// The node is going down.
    #[error("the node is draining")]
    Closed,
}

/// A subscription to be made.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// Where to; kept when none is given in a change.
    pub url: Option<String>,
    /// Patterns of kinds.
    pub types: Option<Vec<String>>,
    /// Whether messages carry their text.
    pub include_bodies: Option<bool>,
    /// Whether nothing is sent.
    pub paused: Option<bool>,
    /// The secret; one is made when none is given.
    pub secret: Option<String>,
}

/// A subscription as it stands.
#[derive(Debug, Clone)]
pub struct HookView {
    /// As configured.
    pub subscription: Subscription,
    /// Everything up to this number was read.
    pub read: EventNo,
    /// Events read and not delivered.
    pub pending: usize,
    /// Attempts under way.
    pub in_flight: usize,
    /// Dead letters.
    pub letters: usize,
    /// Counters.
    pub counts: Counts,
    /// Gaps met.
    pub gaps: u64,
    /// The last one.
    pub last_gap: Option<(EventNo, EventNo)>,
    /// Whether the receiver as a whole is being left alone.
    pub is_broken: bool,
    /// How the last attempt that failed did.
    pub last_failure: Option<String>,
    /// Entries of the log behind the newest event.
    pub lag_entries: u64,
    /// Log time of the oldest event that waits.
    pub oldest: Option<Timestamp>,
}

/// A secret that somebody else made.
pub(super) fn checked_secret(text: String) -> Result<String, HookError> {
    let Some(body) = text.strip_prefix("whsec_") else { return Err(HookError::Secret) };
    let bytes = (body.len() / 4 * 3).saturating_sub(body.bytes().rev().take_while(|b| *b == b'=').count());
    if !SECRET_BYTES.contains(&bytes) || standardwebhooks::Webhook::new(&text).is_err() {
        return Err(HookError::Secret);
    }
    Ok(text)
}

/// Forty characters of base64: thirty bytes of the system's entropy.
pub(super) fn new_secret() -> Result<String, HookError> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut random = [0_u8; 40];
    getrandom::fill(&mut random).map_err(|_| HookError::Entropy)?;
    let body: String = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect();
    Ok(format!("whsec_{body}"))
}
