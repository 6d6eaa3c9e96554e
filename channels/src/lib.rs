//! Customer channels and the agent desk.
//!
//! Each side is a protocol machine without I/O ([`web::Machine`], [`desk::Machine`]: frames and time in, frames and port
//! calls out; fuzzed, usable in virtual time) and a tokio rim that moves bytes. The rims know the router only by the ports of
//! `tidegate_model::port`; nothing here decides who serves whom, and no body or token is ever logged.
//!
//! [`router`] returns the axum router for customers and desks together with its [`Handle`] (drain, gauges, counters). Field
//! names of every frame stand in `docs/protocol.md`. Delivery is by pull: a connection reads numbered transcript pages with
//! its own credit, so a slow reader buffers nothing and a resumed one continues where it stopped.
//!
//! Reading order: [`config`], [`problem`], [`json`], [`ids`], [`auth`], [`web`], [`desk`], [`service`], and with the feature
//! `client` the clients of both protocols for the demo, the drill and tests.
#![forbid(unsafe_code)]

pub mod auth;
#[cfg(feature = "client")]
pub mod client;
pub mod config;
pub mod desk;
pub mod files;
pub mod gauges;
#[cfg(test)]
#[path = "../tests/golden/frames.rs"]
mod golden;
pub mod ids;
pub mod item;
pub mod json;
pub mod names;
pub mod openapi;
pub mod problem;
pub mod service;
mod socket;
pub mod web;

pub use auth::{Key, KeyRing, TokenAuthority};
pub use config::{Config, DeskLimits, Inbox, WebLimits};
pub use files::{FileRules, MediaType};
pub use names::NameTable;
pub use openapi::openapi;
pub use service::{Handle, router};
pub(crate) use tidegate_model::bucket;
