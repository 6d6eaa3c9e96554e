//! Tidegate in virtual time: kernel, recorded traces, the bank scenario, reports, and the twin that drives the deciding core.
//!
//! The twin feeds a calendar's events to the same `Tenant` that runs live, so that "what would have happened" is answered by
//! the code that will decide. This crate holds everything around that machine:
//!
//! - [`kernel`]: the event calendar, random streams and sampling; the same seed gives the same bytes on every machine;
//! - [`scenario`]: what a scenario file says, read and judged;
//! - [`trace`]: a strict reader for recorded days; [`km`]: patience from censored waits;
//! - [`bank`]: the bank's days of May 1999 as plans of contacts and agents, shared by the demo and the twin;
//! - [`twin`]: the whole `Tenant` in virtual time: a log replayed, parity, the bank's days run through it;
//! - [`erlang`]: closed forms of one pool, and agents for a target;
//! - [`calibrate`]: a record of contacts, fitted, with intervals and with what it cannot say;
//! - [`forecast`]: what comes, as sample paths, with accuracy and its noise floor;
//! - [`output`]: intervals, stopping and selection from replications;
//! - [`report`]: metrics, the figures table and the picture of a day.
//!
//! It refuses to know: clocks, threads, sockets, async runtimes, the platform's maths library and hash order
//! (`clippy.toml` beside this crate bans them, with reasons). Files are read where a caller names one, never elsewhere.
#![forbid(unsafe_code)]

pub mod kernel;

pub mod scenario;
pub mod workload;

pub mod floor;
pub mod run;

pub mod km;
pub mod trace;

pub mod bank;
pub mod twin;

pub mod calibrate;
pub mod erlang;
pub mod forecast;
pub mod output;

pub mod report;
