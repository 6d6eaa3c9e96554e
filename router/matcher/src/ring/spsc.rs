//! The one-to-one ring: the way on, from commit to apply and from apply to egress.
//!
//! Lamport's ring with cached counterparts (as in FastForward and the LMAX disruptor): each side keeps its own position
//! and the last seen position of the other, and looks at the other's line only when the cached one says full or empty.
//! A batch is written first and published by one store, so a batch of n costs one line transfer, not n.
//!
//! What stands between commit and apply cannot be refused any more, so this ring's producer may also wait for room
//! ([`Producer::push_wait`]); that is how a slow apply slows the commit down. Both sides sleep on doorbells.
//!
//! Dropping either end closes. The consumer drains what was published. When the consumer has gone, a push gives the
//! value back; one that races the departure may still be taken, and its value is dropped with the ring.

#[cfg(not(loom))]
use super::{Gauge, Measured};
use super::{Pop, PushError, slots_for};
use crate::primitive::doorbell::Doorbell;
use crate::primitive::planted::{Plant, order};
use crate::primitive::sync::{Arc, AtomicBool, AtomicU64, Ordering, SPINS, UnsafeCell};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::task::{Context, Poll};
use crossbeam_utils::CachePadded;

/// A ring for `capacity` values (exactly; slots are rounded up to a power of two).
///
/// # Panics
///
/// When the capacity is zero or above [`MAX_CAPACITY`](super::MAX_CAPACITY).
pub fn ring<T: Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let slots = slots_for(capacity);
    let shared = Arc::new(Shared {
        tail: CachePadded::new(AtomicU64::new(0)),
        head: CachePadded::new(AtomicU64::new(0)),
        news: CachePadded::new(Doorbell::new()),
        room: CachePadded::new(Doorbell::new()),
        closed: AtomicBool::new(false),
        capacity: capacity as u64,
        mask: slots as u64 - 1,
        slots: (0..slots).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect(),
    });
    (Producer { shared: shared.clone(), tail: 0, seen_head: 0 }, Consumer { shared, head: 0, seen_tail: 0 })
}

struct Shared<T> {
    /// Values published so far; written by the producer only.
    tail: CachePadded<AtomicU64>,
    /// Values taken so far; written by the consumer only. `head <= tail <= head + capacity`.
    head: CachePadded<AtomicU64>,
    /// Rung after a publication; the consumer sleeps on it.
    news: CachePadded<Doorbell>,
    /// Rung after room was given free; the producer sleeps on it.
    room: CachePadded<Doorbell>,
    /// Set by either end when it goes, never cleared.
    closed: AtomicBool,
    capacity: u64,
    mask: u64,
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
}

// SAFETY: slot `i & mask` is written by the one producer while `i < head + capacity` and read by the one consumer while
// `i < tail`; `tail` and `head` hand it over by release and acquire. Values cross threads, hence `T: Send`.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: see above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn slot(&self, position: u64) -> &UnsafeCell<MaybeUninit<T>> {
        &self.slots[(position & self.mask) as usize]
    }

    fn len(&self) -> usize {
        // Head first: it never passes the tail, so the difference is never negative; it may be too large by what was
        // taken between the loads, hence the limit.
        let head = self.head.load(Ordering::Acquire);
        let tail = self.tail.load(Ordering::Acquire);
        tail.saturating_sub(head).min(self.capacity) as usize
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.news.ring();
        self.room.ring();
    }
}

#[cfg(not(loom))]
impl<T> Measured for Shared<T> {
    fn length(&self) -> usize {
        self.len()
    }
    fn limit(&self) -> usize {
        self.capacity as usize
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let tail = self.tail.load(Ordering::Acquire);
        let mut head = self.head.load(Ordering::Acquire);
        while head != tail {
            // SAFETY: published and not taken, and both ends are gone.
            self.slot(head).with_mut(|cell| unsafe { (*cell).assume_init_drop() });
            head += 1;
        }
    }
}

/// The way in.
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    tail: u64,
    /// The consumer's position when last looked at: room is at least what it implies.
    seen_head: u64,
}

impl<T: Send> Producer<T> {
    /// Puts a value in, or gives it back. Wait-free.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] or [`PushError::Closed`], each with the value.
    pub fn push(&mut self, value: T) -> Result<(), PushError<T>> {
        if self.is_closed() {
            return Err(PushError::Closed(value));
        }
        if self.room_for(1) == 0 {
            return Err(PushError::Full(value));
        }
        self.write(value);
        self.publish();
        Ok(())
    }

    /// Puts a value in, blocking while the ring is full.
    ///
    /// # Errors
    ///
    /// The value, when the consumer has gone.
    pub fn push_wait(&mut self, value: T) -> Result<(), T> {
        let Self { shared, tail, seen_head } = self;
        let open = shared.room.wait(SPINS, || {
            if shared.closed.load(Ordering::Acquire) {
                return Some(false);
            }
            *seen_head = shared.head.load(Ordering::Acquire);
            (*tail - *seen_head < shared.capacity).then_some(true)
        });
        if !open {
            return Err(value);
        }
        self.write(value);
        self.publish();
        Ok(())
    }

    /// Moves values from the front of `values` in as far as there is room, and publishes them at once; returns how many.
    /// What had no room stays in `values`, in order. After the close nothing is taken.
    pub fn push_batch(&mut self, values: &mut Vec<T>) -> usize {
        if self.is_closed() || values.is_empty() {
            return 0;
        }
        let room = self.room_for(values.len() as u64).min(values.len() as u64) as usize;
        if room == 0 {
            return 0;
        }
        let Self { shared, tail, .. } = self;
        for value in values.drain(..room) {
            // SAFETY: `room` slots from the tail on are free: the consumer has released them and only we write.
            shared.slot(*tail).with_mut(|cell| unsafe { (*cell).write(value) });
            *tail += 1;
        }
        self.publish();
        room
    }

    /// Puts all of `values` in, blocking for room as often as needed; true when all went, false when the consumer has
    /// gone (what it did not get stays in `values`).
    pub fn push_all_wait(&mut self, values: &mut Vec<T>) -> bool {
        while !values.is_empty() {
            if self.push_batch(values) > 0 {
                continue;
            }
            let Self { shared, tail, .. } = &*self;
            let open = shared.room.wait(SPINS, || {
                if shared.closed.load(Ordering::Acquire) {
                    return Some(false);
                }
                (*tail - shared.head.load(Ordering::Acquire) < shared.capacity).then_some(true)
            });
            if !open {
                return false;
            }
        }
        true
    }

    /// Ready when the ring has room (`true`) or was closed (`false`); else the task is woken.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Self { shared, tail, .. } = &*self;
        let found = shared.room.poll(cx, || {
            if shared.closed.load(Ordering::Acquire) {
                return Some(false);
            }
            (*tail - shared.head.load(Ordering::Acquire) < shared.capacity).then_some(true)
        });
        found.map_or(Poll::Pending, Poll::Ready)
    }

    /// True once either end has closed.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Closes: the consumer drains and sees the end. Dropping does the same.
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
        self.shared.capacity as usize
    }

    /// Free slots, known to be at least `wanted` or else freshly looked at.
    fn room_for(&mut self, wanted: u64) -> u64 {
        let mut room = self.shared.capacity - (self.tail - self.seen_head);
        if room < wanted {
            self.seen_head = self.shared.head.load(Ordering::Acquire);
            room = self.shared.capacity - (self.tail - self.seen_head);
        }
        room
    }

    fn write(&mut self, value: T) {
        // SAFETY: the caller has seen room, so the consumer has released this slot; only we write.
        self.shared.slot(self.tail).with_mut(|cell| unsafe { (*cell).write(value) });
        self.tail += 1;
    }

    fn publish(&self) {
        self.shared.tail.store(self.tail, order(Ordering::Release, Plant::SpscPublishRelaxed));
        self.shared.news.ring();
    }
}

#[cfg(not(loom))]
impl<T: Send + 'static> Producer<T> {
    /// A gauge of the ring's length that outlives both ends.
    pub fn gauge(&self) -> Gauge {
        Gauge::new(self.shared.clone())
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// The way out. Dropping it closes the ring and drops what stands in it.
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    head: u64,
    /// The producer's position when last looked at: at least that much is published.
    seen_tail: u64,
}

impl<T: Send> Consumer<T> {
    /// Takes the oldest value if there is one. Wait-free.
    pub fn try_pop(&mut self) -> Pop<T> {
        let shared = &*self.shared;
        shared.try_pop(&mut self.head, &mut self.seen_tail)
    }

    /// Takes a value; blocks while there is none; `None` when the ring is closed and drained.
    pub fn pop(&mut self) -> Option<T> {
        let Self { shared, head, seen_tail } = self;
        shared.news.wait(SPINS, || shared.try_pop(head, seen_tail).settled())
    }

    /// Appends at most `most` values to `out` without waiting; returns how many. One release for the whole batch.
    pub fn pop_batch(&mut self, out: &mut Vec<T>, most: usize) -> usize {
        self.shared.pop_batch(&mut self.head, &mut self.seen_tail, out, most)
    }

    /// Waits until at least one value stands there, then takes at most `most`; 0 means closed and drained.
    ///
    /// # Panics
    ///
    /// When `most` is zero, which could never tell the end from the emptiness.
    pub fn wait_batch(&mut self, out: &mut Vec<T>, most: usize) -> usize {
        assert!(most > 0, "a batch takes at least one value");
        let Self { shared, head, seen_tail } = self;
        shared.news.wait(SPINS, || {
            // The flag before the values: what was published before the close is then certainly seen.
            let closed = shared.closed.load(Ordering::Acquire);
            match shared.pop_batch(head, seen_tail, out, most) {
                0 if closed => Some(0),
                0 => None,
                taken => Some(taken),
            }
        })
    }

    /// The future's form of [`pop`](Self::pop): ready with a value, or with `None` at the end; else the task is woken.
    pub fn poll_pop(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Self { shared, head, seen_tail } = self;
        let found = shared.news.poll(cx, || shared.try_pop(head, seen_tail).settled());
        found.map_or(Poll::Pending, Poll::Ready)
    }

    /// Looks at values that stand published, without taking them: `visit(i, value)` for the first `most`. For prefetching
    /// ahead of the application. Returns how many it showed.
    pub fn peek(&mut self, most: usize, mut visit: impl FnMut(usize, &T)) -> usize {
        self.seen_tail = self.shared.tail.load(Ordering::Acquire);
        let shown = ((self.seen_tail - self.head) as usize).min(most);
        for i in 0..shown {
            // SAFETY: published (below the tail) and not taken (from the head on); only we take, and `self` is borrowed
            // mutably meanwhile.
            self.shared.slot(self.head + i as u64).with(|cell| visit(i, unsafe { (*cell).assume_init_ref() }));
        }
        shown
    }

    /// Closes: the producer gets its values back from now on; what was published can still be taken.
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
        self.shared.capacity as usize
    }
}

impl<T> Shared<T> {
    fn available(&self, head: u64, seen_tail: &mut u64) -> u64 {
        if *seen_tail == head {
            *seen_tail = self.tail.load(Ordering::Acquire);
        }
        *seen_tail - head
    }

    /// Consumer only: moves the value at `head` out; it must be published.
    fn read(&self, head: &mut u64) -> T {
        debug_assert!(*head < self.tail.load(Ordering::Relaxed));
        // SAFETY: below the tail that was seen with acquire, so written and visible; the one consumer moves on, so the
        // value is read once.
        let value = self.slot(*head).with_mut(|cell| unsafe { (*cell).assume_init_read() });
        *head += 1;
        value
    }

    /// Consumer only: gives everything before `head` free.
    fn release(&self, head: u64) {
        self.head.store(head, order(Ordering::Release, Plant::SpscFreeRelaxed));
        self.room.ring();
    }

    fn try_pop(&self, head: &mut u64, seen_tail: &mut u64) -> Pop<T> {
        // The flag before the values, as in `wait_batch`.
        if self.available(*head, seen_tail) == 0 {
            let closed = self.closed.load(Ordering::Acquire);
            if self.available(*head, seen_tail) == 0 {
                return if closed { Pop::Closed } else { Pop::Empty };
            }
        }
        let value = self.read(head);
        self.release(*head);
        Pop::Value(value)
    }

    fn pop_batch(&self, head: &mut u64, seen_tail: &mut u64, out: &mut Vec<T>, most: usize) -> usize {
        *seen_tail = self.tail.load(Ordering::Acquire);
        let taken = ((*seen_tail - *head) as usize).min(most);
        if taken == 0 {
            return 0;
        }
        // Room first: an allocation that fails must not lose a value that was taken.
        out.reserve(taken);
        for _ in 0..taken {
            out.push(self.read(head));
        }
        self.release(*head);
        taken
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.shared.close();
        self.seen_tail = self.shared.tail.load(Ordering::Acquire);
        while self.head != self.seen_tail {
            let value = self.shared.read(&mut self.head);
            self.shared.release(self.head);
            drop(value);
        }
    }
}
