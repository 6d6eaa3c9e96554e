//! The cell, judged from outside: parity, kills, failing disks, limits, queues, time, transcripts.
//!
//! One binary, so that the support is compiled once; `cargo test -p tidegate-router --test cell parity::` runs one part.
//! `TIDEGATE_NIGHTLY=1` raises the counts to the issue's own, `TIDEGATE_SEED` replays a run.

mod events;
mod faults;
mod gauges;
mod kill;
mod limits;
#[path = "../support/oracle.rs"]
mod oracle;
mod parity;
mod snapshots;
mod support;
mod time;
mod transcript;
