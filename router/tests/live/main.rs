//! The node from outside: the live halves under kills and restarts, the ports, the operators' API.
//!
//! One binary, so that the support is compiled once; `cargo test -p tidegate-router --test live chaos::` runs one part.
//! `TIDEGATE_NIGHTLY=1` raises the counts to the issue's own, `TIDEGATE_SEED` replays a run.

mod chaos;
mod events;
mod flow;
mod http;
mod restart;
mod support;
mod traces;
mod views;
mod webhooks;

#[path = "../support/collector.rs"]
mod collector;
#[path = "../support/oracle.rs"]
mod oracle;
