//! The one place from which the edges take atomics, cells, parking and threads.
//!
//! Every lock-free structure of this crate imports from here and from nowhere else, so that the same source runs on
//! the real machine (std), under loom (`--cfg loom`: every interleaving of a small model, weak orderings included) and
//! under shuttle (`--cfg shuttle`: random schedules of larger models, sequentially consistent). A type that took
//! `core::sync::atomic` directly would be invisible to both checkers. The two sleeping places on which the edges stand
//! live here too: the doorbell (one sleeper) and the registry of waiters (many), and so do the planted bugs by which
//! the models prove that they can fail.
//!
//! It also holds the prefetch hints, which need no thread and therefore exist without the `std` feature: the market and
//! the tenant machine use them over a committed batch. A hint never changes what a program computes.
//!
//! It refuses to know what is built on it.

mod prefetch;

#[cfg(feature = "std")]
pub(crate) mod doorbell;
#[cfg(feature = "std")]
pub(crate) mod epoch;
#[cfg(feature = "std")]
pub mod planted;
#[cfg(feature = "std")]
pub mod sync;
#[cfg(feature = "std")]
pub(crate) mod waiters;

pub use prefetch::{prefetch_read, prefetch_slice, prefetch_whole};
