//! The kernel of virtual time: a calendar of events, streams of random numbers, and samples drawn from them.
//!
//! Nothing here knows contacts, agents or the deciding core. [`Calendar`] orders events by (time, sequence); [`Streams`] gives
//! every purpose and entity a stream of its own, so that adding a draw in one place moves no draw in another; [`sample`] turns
//! uniform numbers into spans through a pinned maths library. Drive it so: schedule, `pop` until `None`, draw from
//! `streams.for_(purpose, entity)`.

mod agenda;
mod calendar;
mod heap;
mod mrg32k3a;
pub mod sample;
mod streams;

pub use agenda::{Agenda, Entry, EntryId};
pub use calendar::{Calendar, CalendarCounts, Due, Handle};
pub use mrg32k3a::{Mrg32k3a, SeedError};
pub use streams::{MAX_ENTITY, Purpose, Stream, Streams};
