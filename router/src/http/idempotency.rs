//! Answers kept with the caller's Idempotency-Key, so that a repeated write is done once.
//!
//! A key belongs to its holder, tenant and path: the same key elsewhere is another key. The body's hash binds it: another
//! body is refused (422), a first request still under way says so (409). Done writes are kept in memory, bounded in number and
//! age, the oldest making room. Acts that enter the log are done once beyond that: their event's or command's id is derived
//! from the same four parts ([`Key::event`], [`Key::command`]), so that the tenant machine itself answers the repetition, after a
//! restart too, for as long as it keeps ids. What was refused is not kept: the same request may be taken later.
//! It refuses to know what a write does.

use super::problem::Problem;
use axum::http::{HeaderMap, StatusCode};
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tidegate_model::ids::{AccountId, CommandId, ConversationId, CustomerId, EventId, TenantId};
use tidegate_model::time::Millis;
use tokio::time::Instant;

/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 128;
/// Answers kept at once.
pub const KEYS_MAX: usize = 4_096;
/// How long an answer is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(24 * 3_600);

/// An answer as it was given.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub etag: Option<String>,
    pub body: serde_json::Value,
}

impl Answer {
    /// An answer with a body.
    pub(super) fn of(status: StatusCode, body: &impl serde::Serialize) -> Self {
        Self { status, etag: None, body: serde_json::json!(body) }
    }
}

/// A key with everything that it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key([u8; 32]);

impl Key {
    fn new(holder: &str, path: &str, key: &str) -> Self {
        Self(digest("tidegate/api/key/1", &[holder.as_bytes(), path.as_bytes(), key.as_bytes()]))
    }

    /// The event of a customer's act under this key.
    pub(super) fn event(&self) -> EventId {
        EventId(first(digest("tidegate/api/event/1", &[&self.0])))
    }

    /// The command of a seat's act under this key.
    pub(super) fn command(&self) -> CommandId {
        CommandId(first(digest("tidegate/api/command/1", &[&self.0])))
    }
}

/// The conversation of a platform's customer on an account: the same ids always name the same conversation.
pub(super) fn conversation_of(account: AccountId, customer: &str) -> ConversationId {
    ConversationId(first(digest("tidegate/api/conversation/1", &[&account.0.to_le_bytes(), customer.as_bytes()])))
}

/// A platform's customer: the one that the web channel derives from a signed identity with the same id.
pub(super) fn customer_of(tenant: TenantId, customer: &str) -> CustomerId {
    let wide = first(digest("tidegate/web/customer/1", &[&tenant.0.to_le_bytes(), customer.as_bytes()]));
    CustomerId(((wide >> 64) as u64).max(1))
}

/// SHA-256 over length-prefixed parts under a domain: as the channels derive theirs.
fn digest(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn first(digest: [u8; 32]) -> u128 {
    let mut first = [0_u8; 16];
    first.copy_from_slice(&digest[..16]);
    u128::from_be_bytes(first).max(1)
}

#[derive(Default)]
struct Table {
    rows: HashMap<[u8; 32], Row>,
    finished: VecDeque<(Instant, [u8; 32])>,
}

struct Row {
    request: [u8; 32],
    answer: Option<Answer>,
}

/// The table of answers.
#[derive(Default, Clone)]
pub(super) struct Answers(Arc<Mutex<Table>>);

/// What a write may do.
pub(super) enum Claim {
    /// No key was given: do it.
    Free,
    /// Do it, and keep the answer by [`Held::finish`].
    First(Held),
    /// It was done: this was the answer.
    Done(Answer),
}

/// A key whose request is under way; dropped without an answer, the key is free again.
pub(super) struct Held {
    table: Answers,
    name: [u8; 32],
    finished: bool,
}

/// The key of a request, if it names one.
///
/// # Errors
/// A key out of form, or more than one.
pub(super) fn key(headers: &HeaderMap, holder: &str, path: &str) -> Result<Option<Key>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let fits = |key: &&str| (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    match (value.to_str().ok().filter(fits), values.next()) {
        (Some(key), None) => Ok(Some(Key::new(holder, path, key))),
        (_, Some(_)) => Err(Problem::parameter("Idempotency-Key", "stands twice")),
        _ => Err(Problem::parameter("Idempotency-Key", format!("expected 1 to {KEY_BYTES_MAX} visible ASCII characters"))),
    }
}

/// As [`key`], for writes that insist on one.
///
/// # Errors
/// As [`key`], and none.
pub(super) fn required(headers: &HeaderMap, holder: &str, path: &str) -> Result<Key, Problem> {
    key(headers, holder, path)?.ok_or_else(|| {
        Problem::of("idempotency-key-required", "send the header Idempotency-Key: a fresh random value for each new write")
            .at("Idempotency-Key")
    })
}

impl Answers {
    /// Claims the key of a request, if it names one.
    ///
    /// # Errors
    /// A key out of form, another request under the same key, or one still under way.
    pub(super) fn claim(&self, headers: &HeaderMap, holder: &str, path: &str, body: &[u8]) -> Result<Claim, Problem> {
        match key(headers, holder, path)? {
            None => Ok(Claim::Free),
            Some(key) => self.claim_key(key, headers, body),
        }
    }

    /// As [`Self::claim`], for a key that was read.
    ///
    /// # Errors
    /// As [`Self::claim`].
    pub(super) fn claim_key(&self, Key(name): Key, headers: &HeaderMap, body: &[u8]) -> Result<Claim, Problem> {
        let mut hash = blake3::Hasher::new();
        for header in ["if-match", "if-none-match"] {
            hash.update(headers.get(header).map_or(&b""[..], |value| value.as_bytes())).update(b"\n");
        }
        let request = *hash.update(body).finalize().as_bytes();
        let mut table = self.lock();
        table.forget(Instant::now());
        match table.rows.get(&name) {
            Some(row) if row.request != request => Err(conflict()),
            Some(Row { answer: Some(answer), .. }) => Ok(Claim::Done(answer.clone())),
            Some(Row { answer: None, .. }) => {
                let problem = Problem::of("idempotency-under-way", "try again for its answer").at("Idempotency-Key");
                Err(problem.after(Millis(1_000)))
            }
            None => {
                if !table.make_room() {
                    return Err(Problem::of("busy", "too many writes are under way").after(Millis(1_000)));
                }
                table.rows.insert(name, Row { request, answer: None });
                Ok(Claim::First(Held { table: self.clone(), name, finished: false }))
            }
        }
    }

    /// A view of the number of keys that does not keep the table alive.
    pub(super) fn downgrade(&self) -> Length {
        Length(Arc::downgrade(&self.0))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key was used with another body.
pub(super) fn conflict() -> Problem {
    Problem::of("idempotency-conflict", "repeat the first request unchanged, or use a new key").at("Idempotency-Key")
}

/// See [`Answers::downgrade`].
pub(super) struct Length(Weak<Mutex<Table>>);

impl Length {
    pub(super) fn len(&self) -> Option<u64> {
        self.0.upgrade().map(|table| table.lock().unwrap_or_else(PoisonError::into_inner).rows.len() as u64)
    }
}

impl Table {
    fn forget(&mut self, now: Instant) {
        while self.finished.front().is_some_and(|(at, _)| now.duration_since(*at) >= KEPT_FOR) {
            if let Some((_, name)) = self.finished.pop_front() {
                self.rows.remove(&name);
            }
        }
    }

    fn make_room(&mut self) -> bool {
        if self.rows.len() < KEYS_MAX {
            return true;
        }
        match self.finished.pop_front() {
            Some((_, name)) => self.rows.remove(&name).is_some(),
            None => false,
        }
    }
}

impl Held {
    /// Keeps the answer of a write that was done.
    pub(super) fn finish(mut self, answer: &Answer) {
        self.finished = true;
        let mut table = self.table.lock();
        if let Some(row) = table.rows.get_mut(&self.name) {
            row.answer = Some(answer.clone());
        }
        table.finished.push_back((Instant::now(), self.name));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.finished {
            self.table.lock().rows.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden values: ids live in logs, so no derivation may change unnoticed.
    #[test]
    fn derived_ids_are_stable_and_apart() {
        let key = Key::new("ada", "1/conversations", "k1");
        assert_eq!(key.event(), Key::new("ada", "1/conversations", "k1").event());
        for other in [
            Key::new("bob", "1/conversations", "k1"),
            Key::new("ada", "2/conversations", "k1"),
            Key::new("ada", "1/conversations", "k2"),
        ] {
            assert_ne!(key.event(), other.event());
        }
        assert_ne!(key.event().0, key.command().0);
        assert_ne!(conversation_of(AccountId(1), "ab"), conversation_of(AccountId(2), "ab"));
        assert_eq!(format!("{:032x}", key.event().0), GOLDEN_EVENT);
        assert_eq!(format!("{:016x}", customer_of(TenantId(1), "user-1").0), GOLDEN_CUSTOMER);
    }

    const GOLDEN_EVENT: &str = "34bf3a895f3edd29c9bf4989fcda5e4f";
    // As `channels/src/ids.rs` has it: a customer whom the site names is the same on both faces.
    const GOLDEN_CUSTOMER: &str = "2a7b00485328327a";
}
