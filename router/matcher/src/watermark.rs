//! The commit watermark: nobody is answered before the durable mark covers his entry.
//!
//! The log's thread raises the mark after each flush ([`Watermark::advance`]); whoever must not speak before his entry is
//! durable waits for its sequence number, blocking ([`Watermark::wait`]) or as a future ([`Watermark::covered`]). The
//! mark only rises. When the log fails it is poisoned ([`Watermark::fail`]): what the mark covered by then stays covered,
//! everything above it gets an error, now and for ever, and a later `advance` changes nothing.
//!
//! It refuses to know what a sequence number stands for; it only promises that a wait never ends early.
//!
//! Progress: reading the mark is wait-free (one load). `advance` and `fail` are lock-free: one read-modify-write, and a
//! pass over those who wait if anybody does. Each waiter is looked at about once a flush until it is released, so a
//! flush costs O(waiters). A waker suspended in the middle of its pass delays the waiters that it holds. Registering to
//! wait is lock-free.
//!
//! ```
//! use tidegate_matcher::watermark::Watermark;
//! let mark = Watermark::new(0);
//! let log = mark.clone();
//! let thread = std::thread::spawn(move || log.advance(7));
//! assert_eq!(mark.wait(5), Ok(()));
//! thread.join().expect("the thread ends well");
//! mark.fail();
//! assert!(mark.wait(8).is_err());
//! ```

use crate::primitive::planted::{Plant, order};
use crate::primitive::sync::{Arc, AtomicU64, Ordering};
use crate::primitive::waiters::{Waiters, Waiting};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use crossbeam_utils::CachePadded;
use thiserror::Error;

/// Bit of `mark`: the log has failed and the mark will not rise again.
const POISONED: u64 = 1 << 63;

/// The log failed before it covered the sequence number; nothing may be acknowledged that waited for it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the log has failed at durable mark {durable}; entry {wanted} was not made durable")]
pub struct LogPoisoned {
    /// The entry waited for.
    pub wanted: u64,
    /// The last entry that is durable.
    pub durable: u64,
}

/// The mark. Clones share it.
#[derive(Clone, Debug)]
pub struct Watermark {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The highest durable sequence number, and the `POISONED` bit. Rises only.
    mark: CachePadded<AtomicU64>,
    waiters: Waiters,
}

impl Watermark {
    /// A mark that covers everything up to and including `durable`.
    ///
    /// # Panics
    ///
    /// When `durable` is 2^63 or more.
    pub fn new(durable: u64) -> Self {
        assert!(durable < POISONED, "a sequence number stays below 2^63");
        Self { shared: Arc::new(Shared { mark: CachePadded::new(AtomicU64::new(durable)), waiters: Waiters::new() }) }
    }

    /// Raises the mark to cover `durable` and everything before it, and releases those who waited for it. A lower value
    /// and a poisoned mark are left as they are. Any thread may call it; usually one does.
    ///
    /// # Panics
    ///
    /// When `durable` is 2^63 or more.
    pub fn advance(&self, durable: u64) {
        assert!(durable < POISONED, "a sequence number stays below 2^63");
        // A poisoned mark is above every sequence number, so the maximum leaves it alone.
        let before = self.shared.mark.fetch_max(durable, order(Ordering::AcqRel, Plant::WatermarkPublishRelaxed));
        if before < durable {
            self.shared.wake();
        }
    }

    /// Poisons the mark: everyone who waits, now or later, for more than it covers gets [`LogPoisoned`].
    pub fn fail(&self) {
        if self.shared.mark.fetch_or(POISONED, Ordering::AcqRel) & POISONED == 0 {
            self.shared.wake();
        }
    }

    /// The highest durable sequence number.
    pub fn durable(&self) -> u64 {
        self.shared.mark.load(Ordering::Acquire) & !POISONED
    }

    /// True once [`fail`](Self::fail) was called.
    pub fn is_poisoned(&self) -> bool {
        self.shared.mark.load(Ordering::Acquire) & POISONED != 0
    }

    /// True when `sequence` is durable.
    pub fn covers(&self, sequence: u64) -> bool {
        sequence <= self.durable()
    }

    /// Blocks until the mark covers `sequence`; then everything that happened before the mark was raised is visible.
    ///
    /// # Errors
    ///
    /// [`LogPoisoned`] when the log failed first.
    pub fn wait(&self, sequence: u64) -> Result<(), LogPoisoned> {
        let shared = &*self.shared;
        shared.waiters.wait(sequence, || shared.bound(), || shared.judge(sequence))
    }

    /// The future's form of [`wait`](Self::wait); it names no runtime and may be dropped at any time.
    pub fn covered(&self, sequence: u64) -> Covered {
        Covered { mark: self.clone(), sequence, waiting: Waiting::default() }
    }
}

impl Shared {
    /// Done, failed, or not yet.
    fn judge(&self, sequence: u64) -> Option<Result<(), LogPoisoned>> {
        let mark = self.mark.load(order(Ordering::Acquire, Plant::WatermarkPublishRelaxed));
        let durable = mark & !POISONED;
        if sequence <= durable {
            Some(Ok(()))
        } else if mark & POISONED != 0 {
            Some(Err(LogPoisoned { wanted: sequence, durable }))
        } else {
            None
        }
    }

    /// What may be released: all up to the mark, or everybody once it is poisoned.
    fn bound(&self) -> u64 {
        let mark = self.mark.load(Ordering::Acquire);
        if mark & POISONED != 0 { u64::MAX } else { mark }
    }

    fn wake(&self) {
        self.waiters.wake(|| self.bound());
    }
}

/// Waits until the mark covers one sequence number; see [`Watermark::covered`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct Covered {
    mark: Watermark,
    sequence: u64,
    waiting: Waiting,
}

impl Future for Covered {
    type Output = Result<(), LogPoisoned>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { mark, sequence, waiting } = self.get_mut();
        let shared = &*mark.shared;
        shared.waiters.poll(waiting, cx, *sequence, || shared.bound(), || shared.judge(*sequence))
    }
}

impl Drop for Covered {
    fn drop(&mut self) {
        self.waiting.leave(&self.mark.shared.waiters);
    }
}
