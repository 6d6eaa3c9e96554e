//! Sums over replications of what each interval of the day saw: exact, and of a size that does not grow with replications.

use super::figure::PairSums;
use crate::floor::IntervalOutcome;
use serde::{Deserialize, Serialize};

/// The sums of one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntervalSums {
    /// Asked for an agent, a replication.
    pub offered: PairSums,
    /// Served within the acceptable wait, of the offered.
    pub served_within: PairSums,
    /// Hung up, of the offered.
    pub abandoned: PairSums,
    /// Waits in milliseconds, of the offered.
    pub wait_ms: PairSums,
    /// Agents' busy time, of their time at work.
    pub busy_ms: PairSums,
    /// Waiting over time, a replication.
    pub queue_ms: PairSums,
    /// Agents' time at work, a replication.
    pub staffed_ms: PairSums,
}

/// The sums of all intervals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesSums {
    /// By interval.
    pub intervals: Vec<IntervalSums>,
}

impl IntervalSums {
    /// Whether sums of many such cannot overflow.
    pub(super) fn fits(&self) -> bool {
        let sums = [self.offered, self.served_within, self.abandoned, self.wait_ms, self.busy_ms, self.queue_ms, self.staffed_ms];
        sums.iter().all(|s| s.n < 1 << 53 && [s.x, s.y, s.xx, s.yy, s.xy].iter().all(|sum| *sum < 1 << 110))
    }
}

impl SeriesSums {
    /// Nothing yet, of so many intervals.
    pub fn new(intervals: usize) -> Self {
        Self { intervals: vec![IntervalSums::default(); intervals] }
    }

    /// Adds one replication.
    pub fn add(&mut self, series: &[IntervalOutcome]) {
        for (sums, interval) in self.intervals.iter_mut().zip(series) {
            sums.offered.add(interval.offered, 1);
            sums.served_within.add(interval.served_within, interval.offered);
            sums.abandoned.add(interval.abandoned, interval.offered);
            sums.wait_ms.add(interval.wait_ms, interval.offered);
            sums.busy_ms.add(interval.busy_ms, interval.staffed_ms);
            sums.queue_ms.add(interval.queue_ms, 1);
            sums.staffed_ms.add(interval.staffed_ms, 1);
        }
    }

    /// Adds the replications of another.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.intervals.iter_mut().zip(&other.intervals) {
            mine.offered.merge(&theirs.offered);
            mine.served_within.merge(&theirs.served_within);
            mine.abandoned.merge(&theirs.abandoned);
            mine.wait_ms.merge(&theirs.wait_ms);
            mine.busy_ms.merge(&theirs.busy_ms);
            mine.queue_ms.merge(&theirs.queue_ms);
            mine.staffed_ms.merge(&theirs.staffed_ms);
        }
    }
}
