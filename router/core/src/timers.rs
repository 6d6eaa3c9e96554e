//! Deadlines: an implicit 4-ary heap keyed by (deadline, sequence), re-armed lazily.
//!
//! Every timed record keeps its own [`Timer`]; the heap holds at most one live entry a record, at or before the record's
//! deadline. Moving a deadline later touches the record alone; the entry re-arms itself when it comes up early. A hierarchical
//! wheel was measured and left: one slot's cascade stalled a machine for 10-18 ms. Firing order is (deadline, sequence at which
//! the deadline was set), whatever the heap's layout, so a rebuilt heap fires alike.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use tidegate_matcher::room::touch_spare;
use tidegate_model::Timestamp;

/// What a deadline belongs to; the number is a slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) enum Timed {
    Conversation(u32),
    Engagement(u32),
    Effect(u32),
}

/// A record's deadline and its entry in the heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Timer {
    pub(crate) deadline: Timestamp,
    sequence: u64,
    /// The live heap entry: (deadline, sequence); sequence 0 when there is none.
    armed: (Timestamp, u64),
}

impl Default for Timer {
    fn default() -> Self {
        Self { deadline: Timestamp::NEVER, sequence: 0, armed: (Timestamp::NEVER, 0) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    deadline: Timestamp,
    sequence: u64,
    pub(crate) target: Timed,
}

impl Entry {
    fn key(&self) -> (Timestamp, u64) {
        (self.deadline, self.sequence)
    }
}

/// What an entry that came up means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// The record's deadline is reached.
    Fire,
    /// Left over, or early and armed anew.
    Not,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Timers {
    heap: Vec<Entry>,
    next_sequence: u64,
}

impl Timers {
    pub(crate) fn new(room: usize) -> Self {
        Self { heap: Vec::with_capacity(room), next_sequence: 1 }
    }

    pub(crate) fn reserve(&mut self, room: usize) {
        self.heap.reserve_exact(room.saturating_sub(self.heap.len()));
    }

    pub(crate) fn capacity(&self) -> usize {
        self.heap.capacity()
    }

    /// Writes the reserved memory once; at most `budget` bytes.
    pub(crate) fn prefault(&mut self, budget: &mut usize) {
        let entry = Entry { deadline: Timestamp::NEVER, sequence: 0, target: Timed::Conversation(0) };
        touch_spare(&mut self.heap, budget, || entry);
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Sets a record's deadline ([`Timestamp::NEVER`] for none).
    pub(crate) fn set(&mut self, timer: &mut Timer, target: Timed, deadline: Timestamp) {
        if timer.deadline == deadline {
            return;
        }
        timer.deadline = deadline;
        timer.sequence = self.next_sequence;
        self.next_sequence += 1;
        if deadline < timer.armed.0 || (timer.armed.1 == 0 && deadline != Timestamp::NEVER) {
            self.arm(timer, target);
        }
    }

    fn arm(&mut self, timer: &mut Timer, target: Timed) {
        timer.armed = (timer.deadline, timer.sequence);
        self.push(Entry { deadline: timer.deadline, sequence: timer.sequence, target });
    }

    /// The earliest entry at or before `now`, taken off.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<Entry> {
        (self.heap.first()?.deadline <= now).then(|| self.pop())
    }

    /// Deadline of the earliest entry; it may turn out to be left over.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.heap.first().map(|e| e.deadline)
    }

    /// Judges an entry that came up against its record's timer, and re-arms an early one.
    pub(crate) fn judge(&mut self, entry: &Entry, timer: &mut Timer) -> Due {
        if timer.armed != entry.key() {
            return Due::Not;
        }
        timer.armed = (Timestamp::NEVER, 0);
        if timer.deadline <= entry.deadline {
            timer.deadline = Timestamp::NEVER;
            return Due::Fire;
        }
        if timer.deadline != Timestamp::NEVER {
            self.arm(timer, entry.target);
        }
        Due::Not
    }

    fn push(&mut self, entry: Entry) {
        let mut at = self.heap.len();
        self.heap.push(entry);
        while at > 0 {
            let parent = (at - 1) / 4;
            if self.heap[parent].key() <= entry.key() {
                break;
            }
            self.heap[at] = self.heap[parent];
            at = parent;
        }
        self.heap[at] = entry;
    }

    fn pop(&mut self) -> Entry {
        let top = self.heap[0];
        let last = self.heap.len() - 1;
        let entry = self.heap[last];
        self.heap.truncate(last);
        if last == 0 {
            return top;
        }
        let mut at = 0;
        loop {
            let first = 4 * at + 1;
            if first >= last {
                break;
            }
            let mut least = first;
            for child in first + 1..(first + 4).min(last) {
                if self.heap[child].key() < self.heap[least].key() {
                    least = child;
                }
            }
            if self.heap[least].key() >= entry.key() {
                break;
            }
            self.heap[at] = self.heap[least];
            at = least;
        }
        self.heap[at] = entry;
        top
    }
}
