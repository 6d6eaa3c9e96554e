//! What a replication gives: integers only, so that results add up in any order.
//!
//! Times are milliseconds and areas (a number over time) milliseconds too. Contacts are counted by the demand they came as and by
//! their exit; areas over the counted part of the day. It knows no means and no intervals: those are made of many replications.

use crate::report::Counts;
use serde::{Deserialize, Serialize};

/// What happened in one replication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replication {
    /// Which.
    pub number: u64,
    /// A hash over every decision and exit in order.
    pub digest: String,
    /// Length of the counted part, in milliseconds.
    pub counted_ms: u64,
    /// Moments at which something happened.
    pub events: u64,
    /// By demand.
    pub demands: Vec<DemandOutcome>,
    /// By group of agents.
    pub groups: Vec<GroupOutcome>,
    /// By interval of the grid: asked for an agent in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<IntervalOutcome>,
}

/// One demand's contacts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemandOutcome {
    /// Counts by exit and wait.
    pub counts: Counts,
    /// Neither out nor counted elsewhere when time stopped.
    pub open: u64,
    /// Waited longer than the promise, whatever became of them.
    pub late: u64,
    /// Ended by an AI pool alone; they are among the served, not among the offered.
    pub contained: u64,
    /// Came again after hanging up.
    pub redials: u64,
    /// Came again after being served or contained.
    pub repeats: u64,
    /// Handed on.
    pub transfers: u64,
    /// Took the offer of a callback.
    pub callbacks: u64,
    /// Number waiting, over time.
    pub queue_ms: u64,
    /// Agents' time spent on them, wrap-up included.
    pub handled_ms: u64,
}

impl DemandOutcome {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            counts: self.counts.plus(&other.counts),
            open: self.open + other.open,
            late: self.late + other.late,
            contained: self.contained + other.contained,
            redials: self.redials + other.redials,
            repeats: self.repeats + other.repeats,
            transfers: self.transfers + other.transfers,
            callbacks: self.callbacks + other.callbacks,
            queue_ms: self.queue_ms + other.queue_ms,
            handled_ms: self.handled_ms + other.handled_ms,
        }
    }
}

/// One group's agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupOutcome {
    /// Agents at work (there, or finishing what they have), over time.
    pub staffed_ms: u64,
    /// Of these, those with a contact or in wrap-up.
    pub busy_ms: u64,
    /// Contacts in service or wrap-up, over time: more than `busy_ms` where a seat holds several.
    pub engaged_ms: u64,
}

/// One interval: contacts that asked for an agent in it, and agents' time in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntervalOutcome {
    /// Asked for an agent.
    pub offered: u64,
    /// Of these, served.
    pub served: u64,
    /// Hung up waiting.
    pub abandoned: u64,
    /// Served within the acceptable wait.
    pub served_within: u64,
    /// Sum of their waits, in milliseconds.
    pub wait_ms: u64,
    /// Agents' time with contacts or in wrap-up, in milliseconds.
    pub busy_ms: u64,
    /// Agents' time at work, in milliseconds.
    pub staffed_ms: u64,
    /// Waiting, over time, in milliseconds.
    pub queue_ms: u64,
}

/// A number over time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Area {
    level: u64,
    since: u64,
    sum: u64,
}

impl Area {
    #[inline]
    pub(super) fn up(&mut self, now: u64) {
        self.to(now);
        self.level += 1;
    }

    #[inline]
    pub(super) fn down(&mut self, now: u64) {
        self.to(now);
        self.level -= 1;
    }

    #[inline]
    pub(super) fn to(&mut self, now: u64) {
        self.sum += self.level * (now - self.since);
        self.since = now;
    }

    pub(super) fn sum_at(&mut self, now: u64) -> u64 {
        self.to(now);
        self.sum
    }
}
