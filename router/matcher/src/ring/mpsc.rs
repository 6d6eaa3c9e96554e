//! The many-to-one ring: wait-free producers, one consumer that takes in batches.
//!
//! Shape after D. Vyukov's bounded queue (a sequence word in every slot), with one change: room is claimed before the
//! ticket. A producer adds one to `count`; if that finds the ring full or closed it takes it back and gives the value
//! back. Otherwise a slot is certain to be free for it, so its ticket is a plain `fetch_add` and there is no retry loop:
//! a push is two read-modify-writes, three when refused.
//!
//! Why the slot of ticket `t` is free: `t + 1` tickets mean `t + 1` accepted additions, the last of which saw fewer than
//! `capacity` values, so the consumer has released ticket `t - capacity`, and the slots are at least `capacity`. That
//! last addition is our own or belongs to an earlier ticket; in either case its acquire of the consumer's subtraction
//! reaches us through the acquire-release chain of `tail`.
//!
//! The end: `CLOSED` is a bit of `count`, so each push is either before the close, and will be delivered, or after it,
//! and gets its value back. The consumer is done when the bit stands and the count is zero; a refused producer's
//! transient addition can only delay that, and its subtraction rings the bell.
//!
//! A refusal is exact when producers do not race; when several are refused at once, one may be told `Full` although a
//! slot fell free in that instant. Drive it: [`ring`] gives both ends; clone the [`Producer`]; dropping the last one
//! closes.

#[cfg(not(loom))]
use super::{Gauge, Measured};
use super::{Pop, PushError, slots_for};
use crate::primitive::doorbell::Doorbell;
use crate::primitive::planted::{Plant, order, planted};
use crate::primitive::sync::{Arc, AtomicU64, AtomicUsize, Ordering, SPINS, UnsafeCell};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::task::{Context, Poll};
use crossbeam_utils::CachePadded;

/// Bit of `count`: no push after it is accepted.
const CLOSED: u64 = 1 << 63;

/// A ring for `capacity` values (exactly; slots are rounded up to a power of two).
///
/// # Panics
///
/// When the capacity is zero or above [`MAX_CAPACITY`](super::MAX_CAPACITY).
pub fn ring<T: Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let shared = Arc::new(Shared::new(capacity));
    (Producer { shared: shared.clone() }, Consumer { shared, cursor: Cursor::default() })
}

/// Where the consumer stands: its own, so that the position is never loaded from a shared line.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    /// The next ticket to take.
    head: u64,
    /// The end was seen: it stays seen, whatever refused pushes do to the count.
    done: bool,
}

/// Both words that every push touches stand in one line, so that a contended push moves one line only.
struct Entry {
    /// Values accepted and not yet released by the consumer, plus pushes about to be refused; and the `CLOSED` bit.
    count: AtomicU64,
    /// The next ticket. Never wraps in practice: 2^64 pushes.
    tail: AtomicU64,
}

struct Slot<T> {
    /// `ticket + 1` once the value of `ticket` stands in the slot. Older laps leave smaller numbers.
    published: AtomicU64,
    value: UnsafeCell<MaybeUninit<T>>,
}

pub(crate) struct Shared<T> {
    entry: CachePadded<Entry>,
    /// The next ticket to take. Written by the consumer only; others read it as a hint (`has_next`).
    head: CachePadded<AtomicU64>,
    /// Rung after each publication; the consumer is its owner.
    bell: CachePadded<Doorbell>,
    /// Living producers; the last one closes.
    producers: AtomicUsize,
    capacity: u64,
    mask: u64,
    slots: Box<[Slot<T>]>,
}

// SAFETY: a slot's value is written by the one producer that holds its ticket and read by the one consumer after the
// publication (release/acquire on `published`); the slot is reused only after the consumer's release of it (see the
// module head). Values cross threads, hence `T: Send`; nobody gets a shared reference to one.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: see above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let slots = slots_for(capacity);
        Self {
            entry: CachePadded::new(Entry { count: AtomicU64::new(0), tail: AtomicU64::new(0) }),
            head: CachePadded::new(AtomicU64::new(0)),
            bell: CachePadded::new(Doorbell::new()),
            producers: AtomicUsize::new(1),
            capacity: capacity as u64,
            mask: slots as u64 - 1,
            slots: (0..slots)
                .map(|_| Slot { published: AtomicU64::new(0), value: UnsafeCell::new(MaybeUninit::uninit()) })
                .collect(),
        }
    }

    fn slot(&self, ticket: u64) -> &Slot<T> {
        &self.slots[(ticket & self.mask) as usize]
    }

    pub(crate) fn push(&self, value: T) -> Result<(), PushError<T>> {
        let seen = self.entry.count.fetch_add(1, Ordering::AcqRel);
        if seen & CLOSED != 0 || seen >= self.capacity {
            return Err(self.refuse(seen, value));
        }
        let ticket = self.entry.tail.fetch_add(1, order(Ordering::AcqRel, Plant::RingTicketRelaxed));
        let slot = self.slot(ticket);
        // SAFETY: the ticket is ours alone and its slot is free: see the module head.
        slot.value.with_mut(|cell| unsafe { (*cell).write(value) });
        slot.published.store(ticket + 1, order(Ordering::Release, Plant::RingPublishRelaxed));
        self.bell.ring();
        Ok(())
    }

    #[cold]
    fn refuse(&self, seen: u64, value: T) -> PushError<T> {
        let before = self.entry.count.fetch_sub(1, Ordering::AcqRel);
        if before & CLOSED != 0 && !planted(Plant::RingSilentRefusal) {
            // The consumer may be waiting for the count to reach zero.
            self.bell.ring();
        }
        if seen & CLOSED != 0 { PushError::Closed(value) } else { PushError::Full(value) }
    }

    pub(crate) fn close(&self) {
        if self.entry.count.fetch_or(CLOSED, Ordering::AcqRel) & CLOSED == 0 {
            self.bell.ring();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.entry.count.load(Ordering::Acquire) & CLOSED != 0
    }

    pub(crate) fn len(&self) -> usize {
        (self.entry.count.load(Ordering::Relaxed) & !CLOSED).min(self.capacity) as usize
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// True when a published value stands at the head. For others than the consumer: may be stale.
    pub(crate) fn has_next(&self) -> bool {
        let head = self.head.load(Ordering::Relaxed);
        self.slot(head).published.load(Ordering::Acquire) == head + 1
    }

    /// Consumer only: takes the value at its head without giving the room free.
    pub(crate) fn take(&self, cursor: &mut Cursor) -> Option<T> {
        let slot = self.slot(cursor.head);
        if slot.published.load(Ordering::Acquire) != cursor.head + 1 {
            return None;
        }
        // SAFETY: published for exactly this ticket, so written and visible; there is one consumer and it moves on, so
        // the value is read once.
        let value = slot.value.with_mut(|cell| unsafe { (*cell).assume_init_read() });
        cursor.head += 1;
        self.head.store(cursor.head, Ordering::Relaxed);
        Some(value)
    }

    /// Consumer only: looks at the value at its head without taking it.
    pub(crate) fn peek<R>(&self, cursor: &Cursor, look: impl FnOnce(&T) -> R) -> Option<R> {
        let slot = self.slot(cursor.head);
        if slot.published.load(Ordering::Acquire) != cursor.head + 1 {
            return None;
        }
        // SAFETY: published for exactly this ticket and not taken; only the consumer takes, and it is here.
        Some(slot.value.with(|cell| look(unsafe { (*cell).assume_init_ref() })))
    }

    /// Consumer only: gives the room of `taken` values free.
    pub(crate) fn release(&self, taken: u64) {
        self.entry.count.fetch_sub(taken, Ordering::Release);
    }

    /// Consumer only: closed, and every accepted value taken.
    pub(crate) fn is_done(&self, cursor: &mut Cursor) -> bool {
        cursor.done = cursor.done || self.entry.count.load(Ordering::Acquire) == CLOSED;
        cursor.done
    }

    /// Consumer only: sleeps until `look` finds something; every publication and the end wake it.
    pub(crate) fn sleep<R>(&self, look: impl FnMut() -> Option<R>) -> R {
        self.bell.wait(SPINS, look)
    }

    fn try_pop(&self, cursor: &mut Cursor) -> Pop<T> {
        match self.take(cursor) {
            Some(value) => {
                self.release(1);
                Pop::Value(value)
            }
            // The end is looked at after the slot: a value accepted before the close keeps the count above zero.
            None if self.is_done(cursor) => Pop::Closed,
            None => Pop::Empty,
        }
    }

    fn pop_batch(&self, cursor: &mut Cursor, out: &mut Vec<T>, most: usize) -> usize {
        // Room first: an allocation that fails must not lose a value that was taken.
        out.reserve(most.min(self.len().max(1)));
        let room = most.min(out.capacity() - out.len());
        let before = out.len();
        out.extend(core::iter::from_fn(|| self.take(cursor)).take(room));
        let taken = out.len() - before;
        if taken > 0 {
            self.release(taken as u64);
        }
        taken
    }
}

#[cfg(not(loom))]
impl<T> Measured for Shared<T> {
    fn length(&self) -> usize {
        self.len()
    }
    fn limit(&self) -> usize {
        self.capacity()
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // Both ends are gone, so every ticket was published or never taken: what stands from the head on is ours.
        let mut head = self.head.load(Ordering::Relaxed);
        while self.slot(head).published.load(Ordering::Acquire) == head + 1 {
            // SAFETY: published, not taken, and nobody else holds the ring.
            self.slot(head).value.with_mut(|cell| unsafe { (*cell).assume_init_drop() });
            head += 1;
        }
    }
}

/// The way in: clone it for each producing thread.
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
}

impl<T: Send> Producer<T> {
    /// Puts a value in, or gives it back. Wait-free; rings the consumer if it sleeps.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] or [`PushError::Closed`], each with the value.
    pub fn push(&self, value: T) -> Result<(), PushError<T>> {
        self.shared.push(value)
    }

    /// Closes the ring for all producers: later pushes get their value back, the consumer drains and sees the end.
    pub fn close(&self) {
        self.shared.close();
    }

    /// True once closed, by either side.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Values standing in the ring now.
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// True when nothing stands in the ring.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values the ring holds at most.
    pub fn capacity(&self) -> usize {
        self.shared.capacity()
    }
}

#[cfg(not(loom))]
impl<T: Send + 'static> Producer<T> {
    /// A gauge of the ring's length that outlives both ends.
    pub fn gauge(&self) -> Gauge {
        Gauge::new(self.shared.clone())
    }
}

impl<T> Clone for Producer<T> {
    fn clone(&self) -> Self {
        self.shared.producers.fetch_add(1, Ordering::Relaxed);
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        if self.shared.producers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.close();
        }
    }
}

/// The way out: one owner. Dropping it closes the ring and drops what stands in it.
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    cursor: Cursor,
}

impl<T: Send> Consumer<T> {
    /// Takes the oldest value if one stands published. Wait-free.
    pub fn try_pop(&mut self) -> Pop<T> {
        self.shared.try_pop(&mut self.cursor)
    }

    /// Takes a value; blocks while there is none; `None` when the ring is closed and drained.
    pub fn pop(&mut self) -> Option<T> {
        let Self { shared, cursor } = self;
        shared.bell.wait(SPINS, || shared.try_pop(cursor).settled())
    }

    /// Appends at most `most` values to `out` without waiting; returns how many. One release for the whole batch.
    pub fn pop_batch(&mut self, out: &mut Vec<T>, most: usize) -> usize {
        self.shared.pop_batch(&mut self.cursor, out, most)
    }

    /// Waits until at least one value stands there, then takes at most `most`; 0 means closed and drained.
    ///
    /// # Panics
    ///
    /// When `most` is zero, which could never tell the end from the emptiness.
    pub fn wait_batch(&mut self, out: &mut Vec<T>, most: usize) -> usize {
        assert!(most > 0, "a batch takes at least one value");
        let Self { shared, cursor } = self;
        shared.bell.wait(SPINS, || match shared.pop_batch(cursor, out, most) {
            0 if shared.is_done(cursor) => Some(0),
            0 => None,
            taken => Some(taken),
        })
    }

    /// The future's form of [`pop`](Self::pop): ready with a value, or with `None` at the end; else the task is woken.
    pub fn poll_pop(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Self { shared, cursor } = self;
        let found = shared.bell.poll(cx, || shared.try_pop(cursor).settled());
        found.map_or(Poll::Pending, Poll::Ready)
    }

    /// Closes the ring; what was accepted can still be taken.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Values standing in the ring now.
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// True when nothing stands in the ring.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values the ring holds at most.
    pub fn capacity(&self) -> usize {
        self.shared.capacity()
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.shared.close();
        // What is published now is dropped now; a push accepted before the close and published later goes with the ring.
        while let Some(value) = self.shared.take(&mut self.cursor) {
            self.shared.release(1);
            drop(value);
        }
    }
}
