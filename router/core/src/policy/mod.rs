//! Policies: the text that people write ([`parse`]), and the plan that the machine decides by (`plan`).
//!
//! A policy is read and judged outside the machine, travels in an entry as data, and is compiled again by each replica from
//! that data: compilation is pure and total, so replicas agree. The text's BLAKE3 names the version.

mod desk;
mod duration;
mod nearest;
mod place;
pub(crate) mod plan;
mod text;
pub(crate) mod wait;

pub use plan::{PolicyFault, check};
pub use text::{PolicyError, PolicyErrors, parse, parse_whole};

use alloc::vec::Vec;
use tidegate_model::policy::Policy;

/// Payload of `Admin::Policy.plan`.
pub fn encode(policy: &Policy) -> Vec<u8> {
    crate::payload::policy(policy)
}
