//! How often typing goes on: one sign per conversation and direction in two seconds, in a bounded table.
//!
//! Typing is a courtesy: never logged, never promised, and the first thing to be dropped. A table that is full drops signs of
//! those that it does not know until the spans of others have passed. It refuses to know who is told.

use super::ConversationKey;
use crate::gauge::Gauges;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// At most one sign of typing in this span, a conversation and direction.
pub const TYPING_EVERY: Duration = Duration::from_secs(2);
/// Conversations in which somebody types, at most.
pub const TYPISTS_MAX: usize = 65_536;

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Direction {
    ToDesk,
    ToCustomer,
}

type Last = HashMap<(ConversationKey, Direction), Instant>;

/// The table.
#[derive(Debug)]
pub(crate) struct Limiter {
    last: Arc<Mutex<(Last, Instant)>>,
}

impl Limiter {
    pub(crate) fn new(gauges: &Gauges) -> Self {
        let last = Arc::new(Mutex::new((Last::new(), Instant::now())));
        let weak = Arc::downgrade(&last);
        gauges.register("typing", TYPISTS_MAX as u64, move || {
            weak.upgrade().map(|last| last.lock().unwrap_or_else(PoisonError::into_inner).0.len() as u64)
        });
        Self { last }
    }

    /// Whether a sign may go on now.
    pub(crate) fn admits(&self, key: ConversationKey, direction: Direction) -> bool {
        let now = Instant::now();
        let mut held = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, swept) = &mut *held;
        if now.duration_since(*swept) >= TYPING_EVERY {
            // Each entry is swept once: linear in those that typed since, and at most once in the span.
            last.retain(|_, at| now.duration_since(*at) < TYPING_EVERY);
            *swept = now;
        }
        let full = last.len() >= TYPISTS_MAX;
        match last.get_mut(&(key, direction)) {
            Some(at) if now.duration_since(*at) < TYPING_EVERY => false,
            Some(at) => {
                *at = now;
                true
            }
            None if full => false,
            None => {
                last.insert((key, direction), now);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::ids::{ConversationId, TenantId};

    fn key(conversation: u128) -> ConversationKey {
        ConversationKey { tenant: TenantId(1), conversation: ConversationId(conversation) }
    }

    #[tokio::test(start_paused = true)]
    async fn one_in_two_seconds_a_direction_and_the_table_is_bounded() {
        let gauges = Gauges::new();
        let limiter = Limiter::new(&gauges);
        assert!(limiter.admits(key(1), Direction::ToDesk));
        assert!(!limiter.admits(key(1), Direction::ToDesk));
        assert!(limiter.admits(key(1), Direction::ToCustomer), "the other direction has its own span");
        tokio::time::advance(TYPING_EVERY - Duration::from_millis(1)).await;
        assert!(!limiter.admits(key(1), Direction::ToDesk));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(limiter.admits(key(1), Direction::ToDesk));
        let admitted = (2..10 * TYPISTS_MAX as u128).filter(|i| limiter.admits(key(*i), Direction::ToDesk)).count();
        assert_eq!(admitted, TYPISTS_MAX - 1);
        assert_eq!(gauges.read()[0].length, TYPISTS_MAX as u64);
        tokio::time::advance(TYPING_EVERY).await;
        assert!(limiter.admits(key(u128::MAX), Direction::ToDesk), "spans pass");
    }
}
