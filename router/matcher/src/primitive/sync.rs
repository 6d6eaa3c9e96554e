//! Atomics, cells, parking, threads and `Arc`: std's, loom's or shuttle's, by `cfg`.
//!
//! Import lists stand side by side so that a missing name shows. The cell has loom's closure shape (`with`,
//! `with_mut`) everywhere: under loom each access is checked against every other for a happens-before edge; on std it
//! is `core::cell::UnsafeCell` and costs nothing. Under shuttle the cell is std's (shuttle runs one thread at a time
//! and checks no races) and every ordering counts as sequentially consistent.
//!
//! loom weakens one thing on purpose: it treats `SeqCst` loads and stores as acquire and release, so the edges write
//! every store-then-load hand-shake with an explicit `fence(SeqCst)`, which both loom and the hardware honour.

#[cfg(loom)]
pub use loom::{
    cell::UnsafeCell,
    hint::spin_loop,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    },
};

#[cfg(shuttle)]
pub use self::cell::UnsafeCell;
#[cfg(shuttle)]
pub use shuttle::{
    hint::spin_loop,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    },
};

#[cfg(not(any(loom, shuttle)))]
pub use self::cell::UnsafeCell;
#[cfg(not(any(loom, shuttle)))]
pub use {
    alloc::sync::Arc,
    core::hint::spin_loop,
    core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

/// Threads and parking: std's, loom's or shuttle's.
pub mod thread {
    #[cfg(loom)]
    pub use loom::thread::{JoinHandle, Thread, current, park, spawn, yield_now};
    #[cfg(shuttle)]
    pub use shuttle::thread::{JoinHandle, Thread, current, park, spawn, yield_now};
    #[cfg(not(any(loom, shuttle)))]
    pub use std::thread::{JoinHandle, Thread, current, park, spawn, yield_now};
}

/// How often a waiting side looks again before it parks. Zero under the checkers, where spinning only adds schedules.
#[cfg(any(loom, shuttle))]
pub(crate) const SPINS: u32 = 0;
/// How often a waiting side looks again before it parks: about a microsecond, ten hand-overs between two cores.
#[cfg(not(any(loom, shuttle)))]
pub(crate) const SPINS: u32 = 64;

#[cfg(not(loom))]
mod cell {
    /// `core::cell::UnsafeCell` in loom's shape: access only inside a closure.
    #[derive(Debug, Default)]
    pub struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        /// A cell that holds `value`.
        #[inline(always)]
        pub const fn new(value: T) -> Self {
            Self(core::cell::UnsafeCell::new(value))
        }

        /// Hands out a pointer for reading. The caller must know that nobody writes meanwhile.
        #[inline(always)]
        pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        /// Hands out a pointer for writing. The caller must know that nobody else reads or writes meanwhile.
        #[inline(always)]
        pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}
