//! The deciding core: [`Tenant`], one deterministic machine a tenant, composed of small machines that reach each other by
//! typed messages in log order.
//!
//! It has no clock, no I/O and no randomness of its own (`no_std` + alloc: the compiler proves it). The live cell, the twin
//! and an embedder all drive it by the same three calls:
//!
//! 1. [`Tenant::handle`] one input with its log time;
//! 2. [`Tenant::poll_output`] until it gives `None`;
//! 3. at [`Tenant::next_deadline`], handle [`tidegate_model::input::Input::Tick`].
//!
//! The state is a pure function of the sequence of (time, input). Fuel bounds how much of it one call works off; what is left
//! waits in the state and changes no decision (`tests/fuel.rs`). Hostile input never panics; a panic inside a decision is
//! caught by the [`Guard`] on an untouched state and becomes the same recorded outcome on every replica.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod dedup;
mod dirty;
pub mod distributor;
pub mod guard;
mod index;
pub mod ledger;
pub mod payload;
pub mod policy;
#[cfg(feature = "rig")]
pub mod rig;
mod slab;
pub mod tenant;
mod timers;

pub use distributor::Distributor;
pub use guard::Guard;
pub use ledger::Ledger;
pub use tenant::{
    AccountView, AgentView, ClassTable, ContactView, ConversationView, Digests, OpenContact, OpenStage, OwnerRole, RestoreError,
    SupplyView, Tenant,
};

/// Version of the deciding code. A tenant decides by the version in its state, raised by an entry once every replica can.
pub const SEM_VERSION: u32 = 1;
