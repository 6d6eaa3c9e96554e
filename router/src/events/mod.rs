//! Platform events: what happened, by stable ids, kept in a journal of their own and read by anybody at his own pace.
//!
//! ```text
//! egress ─ Deriver ─ ring ─ writer thread ─ event journal ─┬─ SSE (http/stream.rs)
//! replay ─┘                                                └─ webhooks (webhook/)
//! ```
//!
//! An event is a pure function of the log: an output of the tenant's machine under the name `{entry}-{index of the output}`.
//! The event journal is therefore derived data. After a kill the replay makes the outputs again, and what the journal lacks
//! is appended, equal by id; so no snapshot may pass what the journal holds, which is what [`Events::make_durable`] is for.
//! Nothing here stands between commit and effect: the egress hands over a batch a time by a bounded ring; when that is full
//! it waits, and then the cell's own admission refuses new contacts.
//!
//! It refuses to know who reads, sockets and clocks: age is counted in log time.
//!
//! Drive it: [`Events::open`] on a directory, give the handle to `NodeConfig::events` (through [`EventsConfig`]), then
//! [`Events::read`] with a [`Cursor`], woken by [`Events::watch`].

mod derive;
mod fact;
mod filter;
mod json;
mod read;
mod record;
mod store;
mod writer;

pub use derive::Deriver;
pub use fact::{Event, EventNo, EventNoError, Fact, KINDS};
pub use filter::{Filter, FilterError, PATTERNS_MAX};
pub use json::{Body, Names, cloud_event};
pub use read::{Cursor, Gap, Page, ReadEventsError};
pub use record::{RecordError, decode as decode_record, encode as encode_record};
pub use store::{Events, EventsConfig, EventsError, EventsStatus};
