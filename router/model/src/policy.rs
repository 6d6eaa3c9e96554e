//! A routing policy as data: what `policy.toml` says once it has been read and validated.
//!
//! `tidegate-core` reads the text (with file, line and field in its errors), checks every rule and turns it into this
//! value; the value travels in an entry and each replica compiles it to the plan it decides by. Every span is in whole
//! milliseconds and every coefficient an integer: slopes are Q16 (65,536 = one millisecond of score a millisecond waited),
//! other score terms are milliseconds of virtual wait shifted left by 16.

use crate::name::Level;
use crate::time::Millis;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// One in Q16.
pub const ONE_Q16: i64 = 65_536;
/// Largest slope a policy may name, Q16 (256 ms of score a millisecond waited).
pub const SLOPE_MAX_Q16: i64 = 1 << 24;
/// Waits are capped here in the score: 2^31 ms, some 24 days.
pub const WAIT_CAP_MS: u64 = 1 << 31;

/// Which seat an arriving contact gets among the eligible ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Selection {
    /// The seat that has been idle longest.
    #[default]
    LongestIdle,
    /// The seat whose levels over the required skills sum highest; longest idle among equals.
    BestSkilled,
    /// The seat whose levels over the required skills sum lowest (keeps specialists free); longest idle among equals.
    LeastSkilled,
    /// The seat with the most free units; longest idle among equals.
    LeastLoaded,
}

/// A skill and the lowest level that will do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Requirement {
    /// The skill's name.
    pub skill: String,
    /// Lowest level that is eligible.
    pub level: Level,
}

/// Under which condition a relaxation step is passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum SkipIf {
    /// Never: the step lasts its time.
    #[default]
    Never,
    /// When no signed-in seat has the skills of the step.
    NoSeat,
}

/// One relaxation step of a queue.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// The step's name: a policy swap keeps a waiting contact's step by it.
    pub name: String,
    /// Skills a seat needs at this step.
    pub requires: Vec<Requirement>,
    /// How long the step lasts; the last step lasts for ever.
    pub lasts: Option<Millis>,
    /// When the step is passed over.
    pub skip_if: SkipIf,
}

/// A priority class of customers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Class {
    /// The class's name.
    pub name: String,
    /// Head start: the contact is treated as if it had arrived this much earlier.
    pub head_start: Millis,
    /// How fast the score grows with the wait, Q16.
    pub slope_q16: i64,
}

/// A queue.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Queue {
    /// The queue's name.
    pub name: String,
    /// Weight in the score against other queues, in milliseconds of virtual wait (may be negative).
    pub weight_ms: i64,
    /// Relaxation steps, strictest first; at least one.
    pub steps: Vec<Step>,
    /// How long a seat may take to accept.
    pub offer_timeout: Millis,
    /// Wrap-up after a segment; zero for none.
    pub wrap_up: Millis,
    /// Past this wait the contact enters the overdue tier (T_max); none for never.
    pub overdue_after: Option<Millis>,
    /// Past this wait the contact leaves with `TimedOut`; none for never.
    pub gives_up_after: Option<Millis>,
    /// Most contacts that may wait; further ones are refused with "queue full".
    pub length_max: u32,
}

/// A refusal rule: a request with the tag is never offered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// The tag.
    pub tag: String,
    /// The reason recorded with the exit.
    pub reason: String,
}

/// A policy as a whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// The policy's name.
    pub name: String,
    /// Which seat an arriving contact gets.
    pub selection: Selection,
    /// How fast a seat's idle time counts in the score, Q16.
    pub idle_slope_q16: i64,
    /// Score of one level of skill, in milliseconds of virtual wait.
    pub level_weight_ms: i64,
    /// Score of being the preferred seat, in milliseconds of virtual wait.
    pub affinity_ms: i64,
    /// How long a contact waits for its preferred seat alone.
    pub preferred_for: Millis,
    /// A customer's last seat is preferred when he comes again within this span; zero for never.
    pub last_seat_within: Millis,
    /// A conversation without any event for this long is closed.
    pub idle_close_after: Millis,
    /// The queue of requests that name none (an account may name another).
    pub default_queue: String,
    /// The class of requests that name none.
    pub default_class: String,
    /// All skills.
    pub skills: Vec<String>,
    /// All classes.
    pub classes: Vec<Class>,
    /// All queues.
    pub queues: Vec<Queue>,
    /// Refusal rules.
    pub refusals: Vec<Refusal>,
}

/// What the roster says of an agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AgentProfile {
    /// Name shown to supervisors.
    pub name: String,
    /// Skills with levels.
    pub skills: Vec<Requirement>,
    /// Units of capacity: a contact takes its channel's weight.
    pub units: u16,
    /// Cost of one contact, in milliseconds of virtual wait.
    pub cost_ms: i64,
}

/// How outbound messages of an account reach the customer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Delivery {
    /// The customer reads the numbered transcript and resumes by number (web): nothing to confirm.
    View,
    /// The router calls a provider; each message is an outbox row until a result closes it.
    Push,
}

/// A channel account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccountProfile {
    /// Name shown to supervisors.
    pub name: String,
    /// How outbound messages leave.
    pub delivery: Delivery,
    /// Units that one contact of this account takes of a seat.
    pub weight: u16,
    /// Queue of requests that name none; empty for the policy's default.
    pub queue: String,
}
