//! The tables of a scenario file: the day, the demands that come, the channels they come on.
//!
//! ```toml
//! name = "one desk"
//! length = "8h"
//! policy = "policy.toml"          # the file that the live router loads; or policy_text = '''…'''
//!
//! [[demand]]
//! name = "voice"                  # a queue of the policy; `queue` names another
//! arrivals = { rate = "4.2/min" }
//! handle = { kind = "exponential", mean = "2min" }
//! patience = { kind = "exponential", mean = "1min" }
//!
//! [[group]]
//! name = "desk"
//! skills = { voice = 1 }
//! staffing = { agents = 12 }
//! ```
//! Every other field has a default that changes nothing: no busyness, no wrap-up, no redials. Moments (`from`, `at`) count from
//! the scenario's start; `start` only says what the clock shows then.

use super::groups::{AiPool, Group};
use super::quantity::{ClockTime, Rate, Span};
use super::spread::Spread;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, on everything made from it.
    pub name: String,
    /// What it is and where its numbers come from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The policy file, relative to the scenario; or `policy_text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The policy itself, instead of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_text: Option<String>,
    /// How long contacts come.
    pub length: Span,
    /// What the clock shows at the start; 00:00 by default.
    #[serde(default, skip_serializing_if = "is_default")]
    pub start: ClockTime,
    /// Contacts that come before this are simulated and not counted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub warm_up: Span,
    /// Contacts that come in this last part are simulated and not counted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cool_down: Span,
    /// What becomes of contacts that are still there at the end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub at_end: AtEnd,
    /// Intervals of the report; 15min by default.
    #[serde(default = "quarter_hour")]
    pub grid: Span,
    /// The acceptable wait of service levels, where a demand names none; 20s by default.
    #[serde(default = "twenty_seconds")]
    pub within: Span,
    /// Independent replications, unless the command says otherwise.
    #[serde(default = "thirty")]
    pub replications: u32,
    /// The seed, unless the command says otherwise.
    #[serde(default = "one")]
    pub seed: u64,
    /// What comes.
    pub demand: Vec<Demand>,
    /// Who answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<Group>,
    /// AI agents, as pools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ai: Vec<AiPool>,
    /// Channels that several contacts a seat share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channel: Vec<Channel>,
}

/// What becomes of contacts that wait or are served when the scenario's length is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AtEnd {
    /// Nobody comes any more, those who are there are followed to their end, and the last staffing stays until then.
    #[default]
    Finish,
    /// Time stops: what is open is counted as open.
    Stop,
}

/// A kind of contact: its queue, how it comes, how long it takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Demand {
    /// Its name.
    pub name: String,
    /// The policy's queue; its own name by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// The policy's class of customers; the policy's default otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Skills it needs on top of its queue's, with levels: a language, say. At most four.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub needs: BTreeMap<String, u8>,
    /// Units it takes of a seat; 1 by default.
    #[serde(default = "one_unit")]
    pub weight: u16,
    /// A `[[channel]]` with a slow-down curve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The acceptable wait of its service levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
    /// A promise: those who wait longer are counted as late. They wait on; the policy says what else happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// How it comes; without it, it comes only by redials, repeats, transfers and AI hand-overs of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<Arrivals>,
    /// How long a customer waits for an agent before hanging up; for ever without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<Spread>,
    /// Patience by the interval of arrival: factors on what is drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience_profile: Option<Profile>,
    /// How long an agent is engaged, of a usual agent with nothing else to do.
    pub handle: Spread,
    /// Handle times by the interval of arrival: factors on what is drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle_profile: Option<Profile>,
    /// Wrap-up after it; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrap_up: Option<Spread>,
    /// Those who hung up try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redial: Option<Repeat>,
    /// Those who were served come again, their matter unresolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
    /// Some are handed on when their service ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
    /// Some take the offer to be called back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<Callback>,
}

/// How contacts come. Exactly one of `rate`, `contacts` and `recorded`; the rest changes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arrivals {
    /// Poisson at a constant rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Poisson with these expected contacts in each interval of `grid`; they must fill the scenario's length exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contacts: Option<Vec<f64>>,
    /// Length of an interval of `contacts`, from 1min.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<Span>,
    /// These very moments, in every replication; not falling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Vec<Span>>,
    /// How busy the day is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busyness: Option<Busyness>,
    /// Phases of a promotion: factors and bursts on top.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phase: Vec<Phase>,
    /// Waiting already at the start: a backlog.
    #[serde(default, skip_serializing_if = "is_default")]
    pub backlog: u32,
}

/// A random factor of mean 1 on all rates: gamma.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Busyness {
    /// Shape of the gamma distribution; its variance is 1 / shape.
    pub shape: f64,
    /// Demands that name the same source share the factor; its own without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
    /// A new factor each such span instead of one a replication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// Correlation of successive factors' normal scores, from 0 (independent) to below 1; with `every` only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub correlation: f64,
}

/// A span in which more (or less) comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// When it begins.
    pub from: Span,
    /// How long it lasts.
    pub lasts: Span,
    /// Factor on the rate; 1 by default.
    #[serde(default = "one_factor")]
    pub factor: f64,
    /// Expected contacts on top, evenly over the phase.
    #[serde(default, skip_serializing_if = "is_default")]
    pub contacts: f64,
}

/// Factors by interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Length of an interval.
    pub grid: Span,
    /// A factor for each; the last one holds on.
    pub factors: Vec<f64>,
}

/// Coming again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// How many do, 0 to 1.
    pub share: f64,
    /// After how long.
    pub after: Spread,
    /// How often one customer does at most; 3 by default.
    #[serde(default = "three")]
    pub times_max: u8,
}

/// Being handed on at the end of a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// How many are, 0 to 1.
    pub share: f64,
    /// The demand whose queue and handle time come next. The contact stays one; its wait counts once, until the first agent.
    pub to: String,
}

/// An offer to be called back instead of waiting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Callback {
    /// Made after this wait.
    pub after: Span,
    /// How many accept, 0 to 1: from then on they keep their place and do not hang up.
    pub accepts: f64,
    /// How many are not reached when their turn comes, 0 to 1.
    #[serde(default, skip_serializing_if = "is_default")]
    pub not_reached: f64,
    /// How long an agent is engaged by one who is not reached.
    #[serde(default = "half_minute")]
    pub attempt: Span,
}

/// A channel on which a seat may hold several contacts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// How many times as long a contact takes beside 0, 1, 2 … others in the same seat; the first is 1, the last holds on.
    pub slow_down: Vec<f64>,
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn seconds(n: f64) -> Span {
    Span::from_seconds(n).unwrap_or_default()
}

fn quarter_hour() -> Span {
    seconds(900.0)
}

fn twenty_seconds() -> Span {
    seconds(20.0)
}

fn half_minute() -> Span {
    seconds(30.0)
}

fn thirty() -> u32 {
    30
}

fn three() -> u8 {
    3
}

fn one() -> u64 {
    1
}

pub(super) fn one_unit() -> u16 {
    1
}

pub(super) fn one_factor() -> f64 {
    1.0
}
