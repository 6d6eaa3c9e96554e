//! Data that every room of Tidegate shares: ids, units, inputs, outputs, records, policies and the ports between
//! channels and router.
//!
//! Nothing here decides. There is no clock, no I/O, no randomness and no runtime: the crate is `no_std` + alloc, and the
//! compiler proves it. Entries of the log are encoded by [`codec`] (flat, versioned, keys at fixed offsets); rarely written
//! matter (policies, profiles, limits) travels inside an entry as opaque bytes that `tidegate-core` decodes.
//!
//! Reading order: [`ids`], [`time`], [`name`], [`limits`], [`policy`], [`input`], [`output`], [`record`], [`codec`], [`mod@file`],
//! [`port`], [`problem`], [`mask`]; [`bucket`] is the one small machine that the edges on both sides share.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bucket;
pub mod codec;
pub mod file;
pub mod ids;
pub mod input;
pub mod level;
pub mod limits;
pub mod mask;
pub mod name;
pub mod output;
pub mod policy;
pub mod port;
pub mod problem;
pub mod record;
pub mod time;

pub use ids::{
    AccountId, ClaimId, CommandId, ContactId, ConversationId, CustomerId, EffectId, EventId, OfferId, SeatId, Seq, TenantId, Term,
};
pub use name::{ClassName, Level, QueueName, ReasonName, SkillName, TagName};
pub use time::{Millis, Timestamp};
