//! The live skin of the router: one node's cell and, around it, actors, ports and the HTTP API.
//!
//! [`cell`] carries inputs through ring, log and decision and hands the outputs on; [`log_time`] stamps them; [`transcript`]
//! finds the numbered items of a conversation again; [`gauge`] lists every queue of the node. The live halves of
//! conversations and seats, the ports of channels and the operators' API stand on [`cell::CellHandle`] and
//! [`cell::CellSink`] and on nothing else of the cell.
//!
//! It never decides: decisions are `tidegate-core`'s, and a test replays this crate's log in the twin to prove it.

#![forbid(unsafe_code)]

// Under the checker of schedules only the cell is built, with what it stands on.
#[cfg(not(shuttle))]
pub mod audit;
#[cfg(not(shuttle))]
pub mod auth;
#[cfg(not(shuttle))]
pub mod blobs;
pub mod cell;
#[cfg(not(shuttle))]
pub mod events;
pub mod gauge;
#[cfg(not(shuttle))]
pub mod http;
#[cfg(not(shuttle))]
pub mod live;
pub mod log_time;
#[cfg(not(shuttle))]
pub mod metrics;
#[cfg(not(shuttle))]
pub mod node;
pub mod primitive;
#[cfg(not(shuttle))]
pub mod standing;
#[cfg(not(shuttle))]
pub mod tally;
#[cfg(not(shuttle))]
pub mod traces;
pub mod transcript;
#[cfg(not(shuttle))]
pub mod webhook;
