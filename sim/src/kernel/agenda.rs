//! The agenda: a calendar without a slab, for drivers whose events are a kind and a place in a table of their own.
//!
//! An entry is one 128-bit key: time, sequence, kind, place. Nothing is ever taken back: whoever schedules keeps the sequence
//! number of the entry that counts, and an entry that comes up with another one is left over and discarded. So a patience timer
//! of somebody who was answered costs nothing until it surfaces; [`Agenda::retain`] sheds such entries when they outnumber the
//! live ones. Two entries at one time come out in the order in which they were scheduled.
//!
//! It knows neither what a kind means nor how many entries are live. [`super::Calendar`] owns its events and cancels by handle;
//! this one is for the tight loop (`--bench kernel` has both, beside a calendar queue).

use super::heap::{Heap, Key};
use tidegate_model::Timestamp;

/// Names one entry, so that its owner can tell it from one that was left over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryId(u64);

impl EntryId {
    /// No entry.
    pub const NONE: Self = Self(0);
}

/// An entry whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub id: EntryId,
    /// What, in the driver's own numbers.
    pub kind: u8,
    /// Of whom, in the driver's own numbers.
    pub place: u32,
}

const PLACE_BITS: u32 = 32;
const KIND_BITS: u32 = 8;
const SEQUENCE_BITS: u32 = 40;
const AT_SHIFT: u32 = PLACE_BITS + KIND_BITS + SEQUENCE_BITS;
/// Times reach this far: 2⁴⁸ ms, some 8,900 years.
const AT_MAX: u64 = 1 << 48;
const SEQUENCE_MAX: u64 = 1 << SEQUENCE_BITS;

/// See the module.
#[derive(Clone, Debug)]
pub struct Agenda {
    heap: Heap,
    next: u64,
}

impl Default for Agenda {
    fn default() -> Self {
        Self::new()
    }
}

impl Agenda {
    /// An empty agenda.
    pub fn new() -> Self {
        Self { heap: Heap::new(), next: 1 }
    }

    /// Entries, left-over ones included.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no entry is left.
    pub fn is_empty(&self) -> bool {
        self.heap.len() == 0
    }

    /// Entries scheduled so far.
    pub fn scheduled(&self) -> u64 {
        self.next - 1
    }

    /// Schedules. O(log₄ n), amortised O(1) for times that grow.
    ///
    /// # Panics
    /// Past 2⁴⁰ entries in the agenda's life, or a time of 2⁴⁸ ms.
    #[inline]
    pub fn schedule(&mut self, at: Timestamp, kind: u8, place: u32) -> EntryId {
        assert!(self.next < SEQUENCE_MAX && at.0 < AT_MAX, "the agenda is out of numbers");
        let id = EntryId(self.next);
        self.next += 1;
        let low = u128::from(id.0) << (PLACE_BITS + KIND_BITS) | u128::from(kind) << PLACE_BITS | u128::from(place);
        self.heap.push(Key(u128::from(at.0) << AT_SHIFT | low));
        id
    }

    /// The time of the next entry, left over or not.
    #[inline]
    pub fn next_time(&self) -> Option<Timestamp> {
        self.heap.top().map(|key| Timestamp((key.0 >> AT_SHIFT) as u64))
    }

    /// Hands out the next entry.
    #[inline]
    pub fn pop(&mut self) -> Option<Entry> {
        let top = self.heap.top()?;
        self.heap.remove_top();
        Some(entry(top))
    }

    /// Keeps the entries that `keep` says. The order of the kept ones does not change. O(n log n).
    pub fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        self.heap.rebuild(|key| keep(&entry(key)));
    }
}

fn entry(key: Key) -> Entry {
    Entry {
        at: Timestamp((key.0 >> AT_SHIFT) as u64),
        id: EntryId((key.0 >> (PLACE_BITS + KIND_BITS)) as u64 & (SEQUENCE_MAX - 1)),
        kind: (key.0 >> PLACE_BITS) as u8,
        place: key.0 as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a sorted list: by time, then by order of scheduling, and nothing of an entry is lost.
        #[test]
        fn it_is_a_sorted_list(times in prop::collection::vec((0_u64..50, any::<u8>(), any::<u32>()), 0..300), keep in any::<u8>()) {
            let mut agenda = Agenda::new();
            let mut list: Vec<Entry> = times.iter().map(|&(at, kind, place)| {
                let id = agenda.schedule(Timestamp(at), kind, place);
                Entry { at: Timestamp(at), id, kind, place }
            }).collect();
            list.sort_by_key(|entry| (entry.at, entry.id.0));
            agenda.retain(|entry| entry.kind <= keep);
            list.retain(|entry| entry.kind <= keep);
            prop_assert_eq!(agenda.len(), list.len());
            for expected in list {
                prop_assert_eq!(agenda.next_time(), Some(expected.at));
                prop_assert_eq!(agenda.pop(), Some(expected));
            }
            prop_assert_eq!(agenda.pop(), None);
        }
    }
}
