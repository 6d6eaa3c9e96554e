//! Bounded rings between threads, with credits, a doorbell and an honest end.
//!
//! Two shapes. [`mpsc`]: many producers, one consumer; the way into the cell (connections, timers, effect results all
//! push, the proposer pops batches). [`spsc`]: one producer, one consumer; the way on (commit to apply, apply to
//! egress). [`Credits`] stand beside the first: an allowance per producer whose sum stays under the ring's capacity, so
//! that one noisy producer finds itself out of credit long before anybody finds the ring full.
//!
//! All of them: a full or closed ring gives the value back; the length can be read by any thread ([`Gauge`]); the
//! consumer may block, poll as a future names no runtime, or only try; it parks only when there is nothing, after a
//! second look (see `primitive::doorbell`); closing lets the consumer drain what was accepted, and what was accepted is
//! delivered exactly once or, when the consumer has gone, dropped with the ring. They refuse to know what they carry.
//!
//! Progress, in one place:
//!
//! | operation | guarantee | who can hold up whom |
//! |---|---|---|
//! | `mpsc` push | wait-free: at most three read-modify-writes and no loop | nobody |
//! | `mpsc` pop | wait-free to answer; but values leave in ticket order | a producer suspended between its ticket and its publication hides the values behind it until it runs on |
//! | `spsc` push, pop, batches | wait-free | nobody |
//! | credit take, return | wait-free; a return while others wait for one wakes them first (lock-free) | nobody |
//! | blocking forms | block by their nature | the other side |
//!
//! A push that finds the consumer asleep also wakes it: one system call, or whatever the task's waker does.
//!
//! ```
//! use tidegate_matcher::ring::{Credits, mpsc};
//! let (producer, mut consumer) = mpsc::ring(8);
//! let credits = Credits::new(2);
//! producer.push(credits.attach("hello").expect("a credit is left")).expect("the ring has room");
//! assert_eq!(credits.left(), 1);
//! let value = consumer.pop().expect("one value stands there");
//! assert_eq!(value.into_inner(), "hello");
//! assert_eq!(credits.left(), 2);
//! ```

mod credits;
pub mod mpsc;
pub mod spsc;

pub use credits::{Credit, Credited, Credits};

use thiserror::Error;

/// Why a value was not taken; it comes back inside.
#[derive(Clone, Copy, Error, PartialEq, Eq)]
pub enum PushError<T> {
    /// The ring was full. Try later, or refuse the source.
    #[error("the ring is full")]
    Full(T),
    /// The ring was closed. It will not open again.
    #[error("the ring is closed")]
    Closed(T),
}

impl<T> PushError<T> {
    /// The value that was not taken.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Closed(value) => value,
        }
    }
}

impl<T> core::fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

/// What one look at a ring found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pop<T> {
    /// The oldest value.
    Value(T),
    /// Nothing to take now.
    Empty,
    /// Nothing to take, ever: the ring is closed and drained.
    Closed,
}

impl<T> Pop<T> {
    /// The value, if there was one.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Empty | Self::Closed => None,
        }
    }

    /// What a blocking consumer may return with: a value, or `None` at the end; nothing while the ring is empty.
    fn settled(self) -> Option<Option<T>> {
        match self {
            Self::Value(value) => Some(Some(value)),
            Self::Closed => Some(None),
            Self::Empty => None,
        }
    }
}

/// Length and limit of a queue, for metrics: readable by any thread, without its element type.
///
/// The length counts what was accepted and not yet taken; under concurrent pushes it may for a moment count a push that
/// is about to be refused, but never reads above the limit.
#[cfg(not(loom))]
#[derive(Clone)]
pub struct Gauge(alloc::sync::Arc<dyn Measured + Send + Sync>);

#[cfg(not(loom))]
impl Gauge {
    pub(crate) fn new(of: alloc::sync::Arc<dyn Measured + Send + Sync>) -> Self {
        Self(of)
    }

    /// How many values stand in the queue now. Wait-free, one load or two.
    pub fn len(&self) -> usize {
        self.0.length()
    }

    /// True when nothing stands in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many it can hold.
    pub fn limit(&self) -> usize {
        self.0.limit()
    }
}

#[cfg(not(loom))]
impl core::fmt::Debug for Gauge {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Gauge({} of {})", self.len(), self.limit())
    }
}

/// What a gauge can read.
#[cfg(not(loom))]
pub(crate) trait Measured {
    fn length(&self) -> usize;
    fn limit(&self) -> usize;
}

/// The largest capacity of a ring: keeps every index and count far from its word's end.
pub const MAX_CAPACITY: usize = 1 << 31;

/// Checks a capacity and gives the number of slots: the next power of two.
fn slots_for(capacity: usize) -> usize {
    assert!(
        (1..=MAX_CAPACITY).contains(&capacity),
        "a ring holds 1 to {MAX_CAPACITY} values, not {capacity}: set the queue's limit accordingly"
    );
    capacity.next_power_of_two()
}
