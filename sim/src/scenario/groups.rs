//! Who answers: groups of agents with shifts, breaks and shrinkage, and pools of AI agents.
//!
//! A group is agents of one profile. Who is there when is said by exactly one of `agents` and `shift` in its [`Staffing`]: a
//! number (or one for each interval), or shifts with breaks. An agent whose time is over finishes what he has and takes nothing
//! new. Shrinkage has fixed codes, so that reports of two scenarios can be set side by side. An AI pool is capacity, not seats.

use super::file::{is_default, one_factor, one_unit};
use super::quantity::Span;
use super::spread::Spread;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Agents of one profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Skills of the policy, with levels 1 to 10.
    #[serde(default)]
    pub skills: BTreeMap<String, u8>,
    /// Units of a seat: how many contacts of weight 1 at once; 1 by default.
    #[serde(default = "one_unit")]
    pub units: u16,
    /// Cost of a contact in the policy's score, as virtual wait: dearer groups are chosen later.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cost: Span,
    /// Who is there when.
    pub staffing: Staffing,
    /// Absence on top of the staffing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shrinkage: Vec<Shrinkage>,
    /// How long until an offer is accepted; at once without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<Spread>,
    /// Idle time that no status shows, after each contact and its wrap-up; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_idle: Option<Spread>,
    /// Factors on handle times by demand; 1 where none is named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub handle_factor: BTreeMap<String, f64>,
    /// How much agents differ: coefficient of variation of a log-normal factor of mean 1, one an agent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub handle_cv: f64,
    /// New agents take longer at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning: Option<Learning>,
}

/// Who is there when: exactly one of `agents` (with or without `grid`) and `shift`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Staffing {
    /// So many all the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<u32>,
    /// So many in each interval of `grid`; the last holds on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_interval: Option<Vec<u32>>,
    /// Length of an interval of `by_interval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<Span>,
    /// Shifts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shift: Vec<Shift>,
}

/// Agents who come and go together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shift {
    /// When they come.
    pub from: Span,
    /// How long they stay.
    pub lasts: Span,
    /// How many.
    pub agents: u32,
    /// The last part of the shift in which they hand over: they finish what they have and take nothing new.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hand_over: Span,
    /// Breaks, each agent's moved by up to `stagger` so that they do not all go at once.
    #[serde(default, rename = "break", skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<Pause>,
}

/// A break in a shift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// After so long in the shift.
    pub after: Span,
    /// How long it lasts.
    pub lasts: Span,
    /// The agents go one behind the other, spread evenly over this span.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stagger: Span,
}

/// Absence by a fixed code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shrinkage {
    /// Why.
    pub code: ShrinkageCode,
    /// The share of paid time, 0 to below 1.
    pub share: f64,
    /// How long one absence lasts; the whole shift without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spell: Option<Spread>,
}

/// The codes of absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShrinkageCode {
    /// Planned leave.
    Leave,
    /// Illness.
    Sickness,
    /// Training.
    Training,
    /// Meetings and talks with a supervisor.
    Meeting,
    /// Breaks that are not in the shift.
    Break,
    /// Systems that do not work.
    System,
    /// Everything else.
    Other,
}

/// New agents take longer at first: factor 1 + `extra`·exp(-n / `over`) on the n-th contact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Learning {
    /// How much longer the first takes, as a share.
    pub extra: f64,
    /// After how many contacts 63 % of it is gone.
    pub over: f64,
}

/// AI agents that take contacts first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AiPool {
    /// Its name.
    pub name: String,
    /// Conversations at once; a contact that finds none goes to people at once.
    pub slots: u32,
    /// By demand: the share of contacts that it ends by itself, 0 to 1. Demands that are not named never meet it.
    pub containment: BTreeMap<String, f64>,
    /// How long a contained conversation lasts.
    pub latency: Spread,
    /// How long until it hands one over that it does not end; as `latency` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_over_after: Option<Spread>,
    /// Factor on people's handle time of what is handed over: what is left is harder.
    #[serde(default = "one_factor")]
    pub residual_handle: f64,
    /// The share of contained contacts that come again, 0 to 1, straight to people.
    #[serde(default, skip_serializing_if = "is_default")]
    pub repeats: f64,
    /// After how long those come again; the latency's spread without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats_after: Option<Spread>,
    /// Spans in which it takes nothing new and hands over what it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outage: Vec<Outage>,
}

/// A span in which an AI pool is away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// When it begins.
    pub from: Span,
    /// How long it lasts.
    pub lasts: Span,
}
