//! The one place from which the cell takes locks, atomics, parking, threads and measured instants.
//!
//! On the real machine all of it is std's. Under shuttle (`--cfg shuttle`) the same cell runs on modelled threads: every
//! lock, atomic and park is a place where the schedule may change, and time stands still until somebody passes it (`model`).
//! A source file of the cell that took `std::sync`, `std::thread` or `Instant` directly would be invisible to the checker; a
//! test reads the sources and refuses that. `Arc`, `OnceLock` and `arc_swap` never wait for anybody and are the same in both.
//!
//! It also holds the planted bugs by which the models prove that they can fail. It refuses to know what is built on it.

pub use std::sync::{Arc, OnceLock, PoisonError};

#[cfg(shuttle)]
pub use self::model::Instant;
#[cfg(shuttle)]
pub use shuttle::sync::{Mutex, RwLock, atomic, mpsc};
#[cfg(shuttle)]
pub use shuttle::thread_local;
#[cfg(not(shuttle))]
pub use std::{
    sync::{Mutex, RwLock, atomic, mpsc},
    thread_local,
    time::Instant,
};

/// Threads and parking: std's or shuttle's.
pub mod thread {
    #[cfg(shuttle)]
    pub use super::model::park_timeout;
    #[cfg(shuttle)]
    pub use shuttle::thread::{Builder, JoinHandle, Thread, current, park, spawn, yield_now};
    #[cfg(not(shuttle))]
    pub use std::thread::{Builder, JoinHandle, Thread, current, park, park_timeout, spawn, yield_now};
}

/// A place at which the cell can be broken, for a model that must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// The proposer passes a batch on before it has raised the watermark.
    AnswerBeforeWatermark,
    /// At a drain the proposer leaves behind what it has taken from the rings and not yet proposed.
    DropsAtDrain,
}

/// True when this bug is planted: never, outside the checker.
#[cfg(not(shuttle))]
#[inline(always)]
pub(crate) const fn planted(_plant: Plant) -> bool {
    false
}

#[cfg(shuttle)]
pub(crate) use model::planted;

/// What only the checker has: time that passes when it is told to, and plants.
#[cfg(shuttle)]
pub mod model {
    use super::Plant;
    use shuttle::thread::{self, Thread};
    use std::cell::{Cell, RefCell};
    use std::time::Duration;

    // shuttle runs all modelled threads on one thread of the machine, so this is what one execution shares.
    std::thread_local! {
        static NOW_NS: Cell<u64> = const { Cell::new(0) };
        static SLEEPERS: RefCell<Vec<(u64, Thread)>> = const { RefCell::new(Vec::new()) };
        static PLANTED: Cell<Option<Plant>> = const { Cell::new(None) };
    }

    /// A span up to this is a poll: its time passes by itself. A longer one ends by a wake-up or when time is passed, so that
    /// a lost wake-up shows as a hang and is not papered over by a timeout.
    const POLL: Duration = Duration::from_millis(5);

    /// Begins an execution: time is 0 and nobody sleeps.
    pub fn reset() {
        NOW_NS.set(0);
        SLEEPERS.with_borrow_mut(Vec::clear);
    }

    /// Nanoseconds since [`reset`].
    #[must_use]
    pub fn now_ns() -> u64 {
        NOW_NS.get()
    }

    /// Lets time pass, and wakes whoever slept until then.
    pub fn pass(span: Duration) {
        let now = NOW_NS.get() + span.as_nanos() as u64;
        NOW_NS.set(now);
        let due: Vec<Thread> = SLEEPERS.with_borrow_mut(|sleepers| {
            let (due, rest) = std::mem::take(sleepers).into_iter().partition(|(at, _)| *at <= now);
            *sleepers = rest;
            let due: Vec<(u64, Thread)> = due;
            due.into_iter().map(|(_, thread)| thread).collect()
        });
        for thread in due {
            thread.unpark();
        }
    }

    /// As std's, in the model's time.
    pub fn park_timeout(span: Duration) {
        if span <= POLL {
            pass(span);
            thread::yield_now();
            return;
        }
        let me = thread::current();
        SLEEPERS.with_borrow_mut(|sleepers| sleepers.push((NOW_NS.get() + span.as_nanos() as u64, me.clone())));
        thread::park();
        SLEEPERS.with_borrow_mut(|sleepers| sleepers.retain(|(_, thread)| thread.id() != me.id()));
    }

    /// A reading of the model's time.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Instant(u64);

    impl Instant {
        /// The model's time now.
        #[must_use]
        pub fn now() -> Self {
            Self(now_ns())
        }

        /// What has passed since.
        #[must_use]
        pub fn elapsed(&self) -> Duration {
            Self::now().saturating_duration_since(*self)
        }

        /// The span from `earlier` to this; zero when they are out of order.
        #[must_use]
        pub fn saturating_duration_since(&self, earlier: Self) -> Duration {
            Duration::from_nanos(self.0.saturating_sub(earlier.0))
        }
    }

    /// Runs `f` with one bug planted; it is pulled out again however `f` ends.
    pub fn with<R>(plant: Plant, f: impl FnOnce() -> R) -> R {
        struct Pull;
        impl Drop for Pull {
            fn drop(&mut self) {
                PLANTED.set(None);
            }
        }
        PLANTED.set(Some(plant));
        let _pull = Pull;
        f()
    }

    pub(crate) fn planted(plant: Plant) -> bool {
        PLANTED.get() == Some(plant)
    }
}
