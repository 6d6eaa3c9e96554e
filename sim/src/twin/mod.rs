//! The twin: the deciding core in virtual time.
//!
//! Two ways to drive the very `Tenant` that runs live. [`Replay`] takes a node's log and handles every entry again at its own
//! stamp; [`parity`] compares what it decided with what the node decided, and equality is the definition of "digital twin".
//! [`bank`] plays planned days to an empty machine: customers and agents act by a script and answer what the machine puts out,
//! and the log that comes of it replays like a node's.
//!
//! It refuses to know: clocks (time is stamped or comes from the calendar), hash order, and everything of a node but its log.
//! A tenant is created by its first entry, `Admin::Limits`, so that its size is in the log and nowhere else.

mod entries;
mod follow;
mod parity;
mod replay;

pub mod bank;
pub mod journal;

pub use entries::EntryLog;
pub use follow::{Keep, TenantReport};
pub use parity::{Parity, parity};
pub use replay::{Replay, ReplayReport, UNREADABLE_NAMED, Unreadable};
