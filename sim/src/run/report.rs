//! What people and programs read of a run: figures with intervals, by demand, by group, by interval.
//!
//! Service level has three names ([`ServiceLevels`]); waits stand with their percentiles. Intervals are over replications; the
//! percentiles are those of all contacts of all replications together and have none.

use super::figure::Figure;
use super::series::SeriesSums;
use crate::floor::{DemandOutcome, Replication};
use crate::report::{Counts, Tally, WaitFigures};
use serde::{Deserialize, Serialize};

/// A run in figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// All demands together.
    pub all: DemandReport,
    /// By demand.
    pub demands: Vec<DemandReport>,
    /// By group of agents.
    pub groups: Vec<GroupReport>,
    /// Length of an interval in seconds.
    pub interval_s: f64,
    /// By interval.
    pub intervals: Vec<IntervalReport>,
}

/// Contacts in figures; numbers are a replication.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DemandReport {
    /// The demand; "all" for all of them.
    pub name: String,
    /// Contacts that came, with AI agents or people.
    pub contacts: Figure,
    /// Asked for a person.
    pub offered: Figure,
    /// Of these, served.
    pub served: Figure,
    /// Of these, hung up waiting.
    pub abandoned: Figure,
    /// Hung up, of the offered.
    pub abandoned_share: Figure,
    /// Contained by AI agents alone.
    pub contained: Figure,
    /// Came again after hanging up.
    pub redials: Figure,
    /// Came again after being served or contained.
    pub repeats: Figure,
    /// Waited longer than the promise, of the offered.
    pub late_share: Figure,
    /// Service level.
    pub service_level: ServiceLevels,
    /// Wait of the offered, in seconds.
    pub wait_s: WaitReport,
    /// Wait of the served (speed of answer), in seconds.
    pub answer_s: WaitReport,
    /// Number waiting, on average over time.
    pub waiting: Figure,
    /// Agents' time on them as a number of agents: the load, in Erlang.
    pub load: Figure,
}

/// "Service level" alone is ambiguous: three variants by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceLevels {
    /// The acceptable wait in seconds; of the first demand, for all.
    pub within_s: f64,
    /// Served within it, of the offered.
    pub served_within_of_offered: Figure,
    /// Served within it, of the served.
    pub served_within_of_served: Figure,
    /// Left the queue within it, served or not, of the offered.
    pub left_within_of_offered: Figure,
}

/// A wait: the mean with its interval, percentiles of all contacts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WaitReport {
    /// Mean.
    pub mean: Figure,
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Longest.
    pub max: f64,
    /// Contacts.
    pub n: u64,
}

/// A group in figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupReport {
    /// The group.
    pub name: String,
    /// Agents at work, on average over time.
    pub staffed: Figure,
    /// Busy, of the time at work.
    pub occupancy: Figure,
    /// Contacts in a busy seat at once.
    pub concurrency: Figure,
}

/// An interval in figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IntervalReport {
    /// Its beginning, in seconds after the start.
    pub from_s: f64,
    /// Asked for a person.
    pub offered: Figure,
    /// Served within the acceptable wait, of the offered.
    pub served_within_of_offered: Figure,
    /// Hung up, of the offered.
    pub abandoned_share: Figure,
    /// Mean wait of the offered, in seconds.
    pub wait_s: Figure,
    /// Busy, of agents' time at work.
    pub occupancy: Figure,
    /// Number waiting.
    pub waiting: Figure,
    /// Agents at work.
    pub staffed: Figure,
}

impl Report {
    /// The report of these replications.
    pub(super) fn new(
        demands: Vec<String>,
        groups: Vec<String>,
        interval_s: f64,
        rows: &[Replication],
        tallies: &[Tally],
        series: &SeriesSums,
    ) -> Self {
        let within = |tally: &Tally| tally.summary().service_level.within_ms as f64 / 1_000.0;
        let mut together: Option<Tally> = None;
        for tally in tallies {
            // Percentiles of waits do not depend on the acceptable wait; the shares by it are read from the rows.
            let record = tally.to_record();
            let same = Tally::restore(0, &record);
            together = Some(together.map_or(same.clone(), |mut all| {
                all.merge(&same);
                all
            }));
        }
        let summed = |row: &Replication| row.demands.iter().fold(DemandOutcome::default(), |all, demand| all.plus(demand));
        let all: Vec<(DemandOutcome, u64)> = rows.iter().map(|row| (summed(row), row.counted_ms)).collect();
        let first = tallies.first().map_or(0.0, within);
        let of = |i: usize, name: String| {
            let each: Vec<(DemandOutcome, u64)> = rows.iter().map(|row| (row.demands[i], row.counted_ms)).collect();
            DemandReport::new(name, within(&tallies[i]), &each, &tallies[i])
        };
        Self {
            all: together.map_or_else(DemandReport::default, |tally| DemandReport::new("all".into(), first, &all, &tally)),
            demands: demands.into_iter().enumerate().map(|(i, name)| of(i, name)).collect(),
            groups: groups.into_iter().enumerate().map(|(i, name)| group(i, name, rows)).collect(),
            interval_s,
            intervals: intervals(interval_s, series),
        }
    }
}

impl DemandReport {
    fn new(name: String, within_s: f64, rows: &[(DemandOutcome, u64)], tally: &Tally) -> Self {
        let number = |of: fn(&DemandOutcome) -> u64| Figure::mean(rows.iter().map(|(row, _)| of(row)), 1.0);
        let share = |of: fn(&DemandOutcome) -> u64, to: fn(&Counts) -> u64| {
            Figure::ratio(rows.iter().map(|(row, _)| (of(row), to(&row.counts))), 1.0)
        };
        let over_time = |of: fn(&DemandOutcome) -> u64| Figure::ratio(rows.iter().map(|(row, ms)| (of(row), *ms)), 1.0);
        let wait = |sum: fn(&Counts) -> u64, n: fn(&Counts) -> u64, figures: WaitFigures| WaitReport {
            mean: Figure::ratio(rows.iter().map(|(row, _)| (sum(&row.counts), n(&row.counts))), 0.001),
            p50: figures.p50_ms as f64 / 1_000.0,
            p95: figures.p95_ms as f64 / 1_000.0,
            p99: figures.p99_ms as f64 / 1_000.0,
            max: figures.max_ms as f64 / 1_000.0,
            n: figures.n,
        };
        let summary = tally.summary();
        Self {
            name,
            contacts: number(|d| d.counts.contacts),
            offered: number(|d| d.counts.offered),
            served: number(|d| d.counts.served),
            abandoned: number(|d| d.counts.abandoned),
            abandoned_share: share(|d| d.counts.abandoned, |c| c.offered),
            contained: number(|d| d.contained),
            redials: number(|d| d.redials),
            repeats: number(|d| d.repeats),
            late_share: share(|d| d.late, |c| c.offered),
            service_level: ServiceLevels {
                within_s,
                served_within_of_offered: share(|d| d.counts.served_within, |c| c.offered),
                served_within_of_served: share(|d| d.counts.served_within, |c| c.served),
                left_within_of_offered: share(|d| d.counts.left_within, |c| c.offered),
            },
            wait_s: wait(|c| c.wait_ms, |c| c.offered, summary.wait),
            answer_s: wait(|c| c.wait_of_served_ms, |c| c.served, summary.wait_of_served),
            waiting: over_time(|d| d.queue_ms),
            load: over_time(|d| d.handled_ms),
        }
    }
}

fn group(i: usize, name: String, rows: &[Replication]) -> GroupReport {
    let each = |of: fn(&crate::floor::GroupOutcome) -> (u64, u64)| Figure::ratio(rows.iter().map(|row| of(&row.groups[i])), 1.0);
    GroupReport {
        name,
        staffed: Figure::ratio(rows.iter().map(|row| (row.groups[i].staffed_ms, row.counted_ms)), 1.0),
        occupancy: each(|group| (group.busy_ms, group.staffed_ms)),
        concurrency: each(|group| (group.engaged_ms, group.busy_ms)),
    }
}

fn intervals(interval_s: f64, series: &SeriesSums) -> Vec<IntervalReport> {
    let per_ms = 1.0 / (1_000.0 * interval_s);
    let interval = |(i, sums): (usize, &super::series::IntervalSums)| IntervalReport {
        from_s: i as f64 * interval_s,
        offered: sums.offered.ratio(1.0),
        served_within_of_offered: sums.served_within.ratio(1.0),
        abandoned_share: sums.abandoned.ratio(1.0),
        wait_s: sums.wait_ms.ratio(0.001),
        occupancy: sums.busy_ms.ratio(1.0),
        waiting: sums.queue_ms.ratio(per_ms),
        staffed: sums.staffed_ms.ratio(per_ms),
    };
    series.intervals.iter().enumerate().map(interval).collect()
}
