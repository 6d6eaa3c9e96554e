//! The floor: a scenario in virtual time, decided by the router's own [`Distributor`](tidegate_core::Distributor).
//!
//! Customers, agents and AI pools are played here; who gets whom is asked of the distributor and of nobody else. A [`Setup`] is a
//! scenario with its policy, ready to run; [`Setup::replicate`] plays one replication and gives what happened as integers
//! ([`Replication`]), so that results add up in any order and are equal on every machine and thread count.
//!
//! - `setup`: names become places, spreads become samplers; the last errors of a scenario are told here;
//! - `roster`: who comes and goes when; `people`: seats as agents hold them;
//! - `contact`: one customer's state and the draws that came with it;
//! - `play`: the loop over three sources of time; `acts`: what each event does; `pools`: AI agents;
//! - `outcome`: what is counted.
//!
//! It refuses to know threads, clocks, files and intervals: [`crate::run`] makes figures of replications.

mod acts;
mod contact;
mod outcome;
mod people;
mod play;
mod pools;
mod roster;
mod setup;

pub use outcome::{DemandOutcome, GroupOutcome, IntervalOutcome, Replication};
pub use play::Happened;
pub use setup::{Setup, SetupError};
