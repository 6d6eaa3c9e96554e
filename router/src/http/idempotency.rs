//! Answers kept with the caller's Idempotency-Key, so that a repeated write is done once.
//!
//! The key is the caller's, the path and the body's hash bind it: the same key with another body or path is a conflict (409),
//! a key whose first request is still under way is told to wait. Only final answers are kept; a refusal that a retry may
//! cure is not. Bounded in number and age; the oldest finished answer makes room. Kept in memory: the writes behind it
//! (policy, agent, account) are idempotent by nature, so a restart costs no more than the same entry twice.

use super::problem::Problem;
use axum::http::{HeaderMap, StatusCode};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
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

#[derive(Default)]
struct Table {
    rows: HashMap<String, Row>,
    finished: VecDeque<(Instant, String)>,
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
    name: String,
    finished: bool,
}

impl Answers {
    /// Claims the key of a request, if it names one.
    ///
    /// # Errors
    /// A key out of form, another request under the same key, or one still under way.
    pub(super) fn claim(&self, headers: &HeaderMap, holder: &str, path: &str, body: &[u8]) -> Result<Claim, Problem> {
        let Some(key) = headers.get("idempotency-key") else { return Ok(Claim::Free) };
        let key =
            key.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()));
        let Some(key) = key else {
            return Err(Problem::parameter("Idempotency-Key", format!("expected 1 to {KEY_BYTES_MAX} visible ASCII characters")));
        };
        let name = format!("{holder}\n{key}");
        let mut hash = blake3::Hasher::new();
        hash.update(path.as_bytes()).update(b"\n");
        for header in ["if-match", "if-none-match"] {
            hash.update(headers.get(header).map_or(&b""[..], |value| value.as_bytes())).update(b"\n");
        }
        let request = *hash.update(body).finalize().as_bytes();
        let mut table = self.lock();
        table.forget(Instant::now());
        match table.rows.get(&name) {
            Some(row) if row.request != request => Err(Problem::new(
                "idempotency-conflict",
                StatusCode::CONFLICT,
                "The key was used for another request",
                "repeat the first request unchanged, or use a new key",
            )
            .at("Idempotency-Key")),
            Some(Row { answer: Some(answer), .. }) => Ok(Claim::Done(answer.clone())),
            Some(Row { answer: None, .. }) => {
                let mut problem = Problem::new(
                    "idempotency-under-way",
                    StatusCode::CONFLICT,
                    "The first request with this key is under way",
                    "try again for its answer",
                )
                .at("Idempotency-Key");
                problem.retry_after = Some(Millis(1_000));
                Err(problem)
            }
            None => {
                if !table.make_room() {
                    let mut problem =
                        Problem::new("busy", StatusCode::TOO_MANY_REQUESTS, "The queues are full", "too many writes are under way");
                    problem.retry_after = Some(Millis(1_000));
                    return Err(problem);
                }
                table.rows.insert(name.clone(), Row { request, answer: None });
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
    /// Keeps the answer, when it is final.
    pub(super) fn finish(mut self, answer: &Answer) {
        let is_final = !answer.status.is_server_error() && answer.status != StatusCode::TOO_MANY_REQUESTS;
        if !is_final {
            return;
        }
        self.finished = true;
        let mut table = self.table.lock();
        if let Some(row) = table.rows.get_mut(&self.name) {
            row.answer = Some(answer.clone());
        }
        table.finished.push_back((Instant::now(), self.name.clone()));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.finished {
            self.table.lock().rows.remove(&self.name);
        }
    }
}
