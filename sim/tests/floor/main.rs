//! The simulator's floor, judged: one binary, so that its parts share what they build.
//!
//! - `exact`, `published`: intervals cover exact values at their rate and meet published ones;
//! - `parity`: the fast mode decides as the whole tenant does;
//! - `digest`: one result whoever plays, and pairs that pay;
//! - `examples`: every scenario of the repository runs and accounts for every contact;
//! - `bad_input`: every fault is told where it stands; `kit`: what they build.
//!
//! `TIDEGATE_NIGHTLY=1` raises counts.

mod bad_input;
mod digest;
mod exact;
mod examples;
mod kit;
mod parity;
mod published;
