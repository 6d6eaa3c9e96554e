//! The matcher: lanes of waiting contacts, supply classes of seats, one affine integer score; and the lock-free edges
//! around it.
//!
//! Two halves share this crate and nothing else. The **market** decides: single-threaded, deterministic, `no_std` +
//! alloc, without clock, float or hash order. The **edges** (feature `std`) carry operations to whoever decides and
//! answers back: rings with credits, the combining front, reply slots, the commit watermark, the term fence,
//! epoch-published views. All `unsafe` of the workspace lives in the edges, each block with its note, and every edge is
//! modelled under loom (`--cfg loom`) with a planted bug that the model must catch.
//!
//! One thread at a time decides; producers and readers never wait for each other. Each edge states its own progress
//! guarantee in its module head: claim no more than stands there.
#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

// The market.
pub mod market;
pub mod room;

// The edges.
#[cfg(feature = "std")]
pub mod fence;
#[cfg(feature = "std")]
pub mod front;
#[cfg(feature = "std")]
pub mod guard;
pub mod primitive;
#[cfg(feature = "std")]
pub mod reply;
#[cfg(feature = "std")]
pub mod ring;
#[cfg(feature = "std")]
pub mod view;
#[cfg(feature = "std")]
pub mod watermark;
#[cfg(feature = "std")]
pub use guard::{catch_plan, last_panic};
