//! Recent message bodies in memory, bounded by bytes: most transcript reads ask for what was written a moment ago.
//!
//! The egress moves the bytes of message entries in (nothing is copied); the oldest leave when the bound is passed. Entries
//! come in order of position, so a body is found by binary search. It refuses to know conversations.

use super::body_of;
use crate::primitive::{Arc, Mutex, PoisonError};
use std::collections::VecDeque;

/// What an entry costs beside its bytes.
const OVERHEAD: usize = 48;

/// See the module head.
pub(crate) struct Tail {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
}

impl Tail {
    pub fn new(limit: usize) -> Self {
        Self { limit, kept: Mutex::default() }
    }

    /// Bytes held and the limit.
    pub fn gauge(&self) -> (u64, u64) {
        (self.kept.lock().unwrap_or_else(PoisonError::into_inner).bytes as u64, self.limit as u64)
    }

    /// Takes entries (position, bytes) in order of position.
    pub fn add(&self, entries: impl Iterator<Item = (u64, Vec<u8>)>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for (position, bytes) in entries {
            let cost = bytes.capacity() + OVERHEAD;
            if cost > self.limit || kept.entries.back().is_some_and(|(last, _)| *last >= position) {
                continue;
            }
            kept.bytes += cost;
            kept.entries.push_back((position, bytes));
            while kept.bytes > self.limit
                && let Some((_, old)) = kept.entries.pop_front()
            {
                kept.bytes -= old.capacity() + OVERHEAD;
            }
        }
    }

    /// The body at a position, when it is still here.
    pub fn body(&self, position: u64) -> Option<Arc<[u8]>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.entries.binary_search_by_key(&position, |(at, _)| *at).ok()?;
        Some(Arc::from(body_of(&kept.entries[at].1)))
    }
}

#[cfg(test)]
mod tests {
    use super::{OVERHEAD, Tail};
    use tidegate_model::codec::encode;
    use tidegate_model::input::{Inbound, InboundAct, Input};
    use tidegate_model::{AccountId, ConversationId, CustomerId, EventId, TenantId};

    fn message(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let input = Input::Inbound(Inbound {
            account: AccountId(1),
            conversation: ConversationId(2),
            event: EventId(3),
            customer: CustomerId(0),
            known_n: 0,
            act: InboundAct::Message { body },
        });
        encode(&mut out, TenantId(1), &input);
        out.shrink_to_fit();
        out
    }

    #[test]
    fn the_oldest_leave_when_the_bound_is_passed() {
        let cost = message(b"12345678").len() + OVERHEAD;
        let tail = Tail::new(3 * cost);
        tail.add((1..=4).map(|n| (n * 10, message(format!("body {n:03}").as_bytes()))));
        assert_eq!(tail.body(10), None);
        for n in 2..=4_u64 {
            assert_eq!(tail.body(n * 10).as_deref(), Some(format!("body {n:03}").as_bytes()));
        }
        assert_eq!(tail.body(25), None);
        assert_eq!(tail.gauge(), (3 * cost as u64, 3 * cost as u64));
        tail.add(std::iter::once((50, message(&vec![b'x'; 10 * cost]))));
        assert_eq!(tail.body(50), None, "one that is longer than the bound is not kept and drives nobody out");
        assert!(tail.body(40).is_some());
    }
}
