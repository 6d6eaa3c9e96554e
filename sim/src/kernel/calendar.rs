//! The event calendar: an implicit 4-ary heap keyed by (time, sequence), with lazily discarded events.
//!
//! Two events at one time come out in the order in which they were scheduled, so a run is a function of its inputs alone. The
//! heap holds 16-byte keys, the events lie in a slab. Cancelling empties the slab's slot at once and leaves the key, which no
//! longer matches the slot's ticket and is dropped when it surfaces; when dropped keys outnumber live ones the heap is rebuilt, so
//! patience timers that never fire cost bounded memory. A ticket holds the sequence number and never comes again.
//!
//! It knows neither what an event means nor where time comes from. [`super::Agenda`] is its bare sister, without a slab.

use super::heap::{Heap, Key};
use tidegate_model::{Millis, Timestamp};

/// Names one scheduled event, for [`Calendar::cancel`]. Never names another event later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(Ticket);

/// An event whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due<E> {
    /// The time for which it was scheduled; the calendar's `now` from here on.
    pub at: Timestamp,
    /// What was scheduled.
    pub event: E,
}

/// What a calendar has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CalendarCounts {
    /// Events scheduled.
    pub scheduled: u64,
    /// Events handed out by `pop`.
    pub fired: u64,
    /// Events cancelled before they fired.
    pub cancelled: u64,
    /// Times the heap was rebuilt to shed cancelled keys.
    pub rebuilt: u64,
}

/// A calendar of events of type `E`. See the module's head for order and cost.
///
/// ```
/// use tidegate_model::{Millis, Timestamp};
/// use tidegate_sim::kernel::Calendar;
///
/// let mut calendar = Calendar::new(Timestamp(0));
/// let patience = calendar.schedule_in(Millis(90_000), "gives up");
/// calendar.schedule_in(Millis(12_000), "is answered");
/// assert_eq!(calendar.pop().map(|due| (due.at, due.event)), Some((Timestamp(12_000), "is answered")));
/// assert_eq!(calendar.cancel(patience), Some("gives up"));
/// assert_eq!(calendar.pop(), None);
/// ```
#[derive(Clone, Debug)]
pub struct Calendar<E> {
    heap: Heap,
    slots: Vec<Slot<E>>,
    free: Vec<u32>,
    next_sequence: u64,
    now: Timestamp,
    live: usize,
    counts: CalendarCounts,
}

#[derive(Clone, Debug)]
struct Slot<E> {
    ticket: Ticket,
    event: Option<E>,
}

/// Sequence number above, slot below. Tickets order as their sequence numbers, which are all different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticket(u64);

const SLOT_BITS: u32 = 24;
const MAX_SLOTS: usize = 1 << SLOT_BITS;
const MAX_SEQUENCE: u64 = 1 << (64 - SLOT_BITS);
/// Below this many dropped keys a rebuild costs more than it saves.
const REBUILD_FLOOR: usize = 1024;

impl Ticket {
    fn slot(self) -> usize {
        (self.0 as usize) & (MAX_SLOTS - 1)
    }
}

/// Time above, ticket below: one comparison orders by (time, sequence).
fn key(at: Timestamp, ticket: Ticket) -> Key {
    Key(u128::from(at.0) << 64 | u128::from(ticket.0))
}

fn at(key: Key) -> Timestamp {
    Timestamp((key.0 >> 64) as u64)
}

fn ticket(key: Key) -> Ticket {
    Ticket(key.0 as u64)
}

impl<E> Calendar<E> {
    /// An empty calendar whose `now` is `start`.
    pub fn new(start: Timestamp) -> Self {
        Self {
            heap: Heap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            next_sequence: 0,
            now: start,
            live: 0,
            counts: CalendarCounts::default(),
        }
    }

    /// The time of the last event handed out (or the start).
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Events scheduled and neither fired nor cancelled.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether nothing is scheduled.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// What was done so far.
    pub fn counts(&self) -> CalendarCounts {
        self.counts
    }

    /// Schedules `event` at `at`. O(log₄ n), amortised O(1) for times that grow.
    ///
    /// # Panics
    /// If `at` lies before [`now`](Self::now): an event in the past is a defect of the caller, and firing it late would
    /// silently change the run. Also past 2²⁴ events at once, or 2⁴⁰ in the life of the calendar.
    pub fn schedule(&mut self, at: Timestamp, event: E) -> Handle {
        assert!(at >= self.now, "event scheduled at {at:?}, before now ({:?})", self.now);
        assert!(self.next_sequence < MAX_SEQUENCE, "more than 2^40 events in one calendar");
        let slot = self.free.last().map_or(self.slots.len(), |slot| *slot as usize);
        assert!(slot < MAX_SLOTS, "more than 2^24 events at once");
        let ticket = Ticket(self.next_sequence << SLOT_BITS | slot as u64);
        self.next_sequence += 1;
        let full = Slot { ticket, event: Some(event) };
        match self.free.pop() {
            Some(_) => self.slots[slot] = full,
            None => self.slots.push(full),
        }
        self.heap.push(key(at, ticket));
        self.live += 1;
        self.counts.scheduled += 1;
        Handle(ticket)
    }

    /// Schedules `event` a span after now.
    ///
    /// # Panics
    /// As [`schedule`](Self::schedule).
    pub fn schedule_in(&mut self, span: Millis, event: E) -> Handle {
        self.schedule(self.now + span, event)
    }

    /// Takes a scheduled event back; `None` if it fired or was cancelled before. O(1) amortised.
    pub fn cancel(&mut self, handle: Handle) -> Option<E> {
        let event = self.take(handle.0)?;
        self.counts.cancelled += 1;
        let dropped = self.heap.len() - self.live;
        if dropped > REBUILD_FLOOR && dropped > self.live {
            let slots = &self.slots;
            self.heap.rebuild(|key| slots[ticket(key).slot()].holds(ticket(key)));
            self.counts.rebuilt += 1;
        }
        Some(event)
    }

    /// The time of the next event, if any. Amortised O(log₄ n): it drops the cancelled keys on top.
    pub fn peek_time(&mut self) -> Option<Timestamp> {
        loop {
            let top = self.heap.top()?;
            if self.slots[ticket(top).slot()].holds(ticket(top)) {
                return Some(at(top));
            }
            self.heap.remove_top();
        }
    }

    /// Hands out the next event in (time, sequence) order and moves `now` to its time; `None` when nothing is scheduled.
    pub fn pop(&mut self) -> Option<Due<E>> {
        loop {
            let top = self.heap.top()?;
            self.heap.remove_top();
            if let Some(event) = self.take(ticket(top)) {
                self.counts.fired += 1;
                self.now = at(top);
                return Some(Due { at: self.now, event });
            }
        }
    }

    /// Empties the slot of `ticket`, if that is still in it.
    fn take(&mut self, ticket: Ticket) -> Option<E> {
        let slot = self.slots.get_mut(ticket.slot())?;
        if slot.ticket != ticket {
            return None;
        }
        let event = slot.event.take()?;
        self.free.push(ticket.slot() as u32);
        self.live -= 1;
        Some(event)
    }
}

impl<E> Slot<E> {
    fn holds(&self, ticket: Ticket) -> bool {
        self.ticket == ticket && self.event.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_time_keeps_the_order_of_scheduling() {
        let mut calendar = Calendar::new(Timestamp(0));
        for n in 0..100 {
            calendar.schedule(Timestamp(7), n);
        }
        let order: Vec<u32> = std::iter::from_fn(|| calendar.pop().map(|due| due.event)).collect();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_handle_never_cancels_the_next_tenant_of_its_slot() {
        let mut calendar = Calendar::new(Timestamp(0));
        let first = calendar.schedule(Timestamp(5), "first");
        assert_eq!(calendar.cancel(first), Some("first"));
        calendar.schedule(Timestamp(6), "second");
        assert_eq!(calendar.cancel(first), None);
        assert_eq!(calendar.pop(), Some(Due { at: Timestamp(6), event: "second" }));
        assert_eq!(calendar.pop(), None);
    }

    #[test]
    fn cancelled_keys_do_not_pile_up() {
        let mut calendar = Calendar::new(Timestamp(0));
        for n in 0..100_000_u64 {
            let handle = calendar.schedule(Timestamp(1_000_000 + n), n);
            calendar.cancel(handle);
        }
        assert!(calendar.heap.len() <= 2 * REBUILD_FLOOR, "{} keys for no event", calendar.heap.len());
        assert!(calendar.slots.len() <= 2, "slots are used again");
        assert_eq!(calendar.peek_time(), None);
        assert_eq!(calendar.heap.len(), 0);
    }

    #[test]
    #[should_panic(expected = "before now")]
    fn the_past_is_refused() {
        let mut calendar = Calendar::new(Timestamp(10));
        calendar.schedule(Timestamp(9), ());
    }
}
