//! Runs: many replications of a setup, played by however many hands, added up to one result.
//!
//! Replications are independent by their streams and everything kept of them is an integer, so a [`Part`] is a sum that does not
//! depend on who played what in which order: one thread or seven, one shard or eight, the result and its digest are the same
//! bytes. Threads are the caller's ([`Crew`]); this module knows none. Numbers are handed out in order and what was begun is
//! finished, so an interrupted run is a complete one of fewer replications, not a choice of the quick ones.
//!
//! [`Outcome`] is what a run leaves (and the file that shards leave to be merged), [`Report`] what people read of it.

mod figure;
mod outcome;
mod report;
mod series;

pub use figure::{Figure, PairSums};
pub use outcome::{MergeError, Outcome, ReadError};
pub use report::{DemandReport, GroupReport, IntervalReport, Report, ServiceLevels, WaitReport};
pub use series::{IntervalSums, SeriesSums};

use crate::floor::{Replication, Setup};
use crate::report::Tally;

/// How a run is to be made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunConfig {
    /// The seed.
    pub seed: u64,
    /// Replications in all, over all shards; at most so many with `precision`.
    pub replications: u64,
    /// Mirror the draws of every second replication.
    pub antithetic: bool,
    /// Stop when the mean wait and the service level of all contacts are known to this relative half-width (95 %).
    pub precision: Option<f64>,
    /// Which part of how many, the first is 1 of n: every n-th replication.
    pub shard: (u64, u64),
}

/// Sums over some replications.
#[derive(Clone, Debug)]
pub struct Part {
    tallies: Vec<Tally>,
    series: SeriesSums,
    rows: Vec<Replication>,
}

impl Part {
    /// Nothing yet.
    pub fn new(setup: &Setup) -> Self {
        Self { tallies: setup.tallies(), series: SeriesSums::new(setup.intervals()), rows: Vec::new() }
    }

    /// Plays one replication and adds it.
    pub fn play(&mut self, setup: &Setup, config: &RunConfig, number: u64) {
        let mut row = setup.replicate(config.seed, number, config.antithetic, &mut self.tallies);
        self.series.add(&std::mem::take(&mut row.series));
        self.rows.push(row);
    }

    /// Adds what another part has.
    pub fn merge(&mut self, other: Self) {
        for (mine, theirs) in self.tallies.iter_mut().zip(&other.tallies) {
            mine.merge(theirs);
        }
        self.series.merge(&other.series);
        self.rows.extend(other.rows);
        self.rows.sort_by_key(|row| row.number);
    }

    /// The replications, in order of their numbers once merged.
    pub fn rows(&self) -> &[Replication] {
        &self.rows
    }
}

/// Whoever plays replications: one hand or many. Each hand makes a part of its own and takes numbers in order until there are
/// none, or until it is told to stop; what it has begun it finishes.
pub trait Crew {
    /// Plays these numbers and gives the parts.
    fn play(&self, numbers: &[u64], new_part: &(dyn Fn() -> Part + Sync), play: &(dyn Fn(&mut Part, u64) + Sync)) -> Vec<Part>;

    /// Whether somebody wants the run to end early.
    fn stopped(&self) -> bool;
}

/// One hand: the caller's own thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Crew for Alone {
    fn play(&self, numbers: &[u64], new_part: &(dyn Fn() -> Part + Sync), play: &(dyn Fn(&mut Part, u64) + Sync)) -> Vec<Part> {
        let mut part = new_part();
        numbers.iter().for_each(|number| play(&mut part, *number));
        vec![part]
    }

    fn stopped(&self) -> bool {
        false
    }
}

/// Replications between two looks at the precision: fixed, so that the end does not depend on the crew.
const ROUND: u64 = 20;

/// Makes the run.
pub fn simulate(setup: &Setup, config: &RunConfig, crew: &dyn Crew) -> Part {
    let (shard, shards) = (config.shard.0 - 1, config.shard.1);
    let mine: Vec<u64> = (0..config.replications).filter(|number| number % shards == shard).collect();
    let mut whole = Part::new(setup);
    let round = if config.precision.is_some() { ROUND as usize } else { mine.len().max(1) };
    for numbers in mine.chunks(round) {
        for part in crew.play(numbers, &|| Part::new(setup), &|part, number| part.play(setup, config, number)) {
            whole.merge(part);
        }
        if crew.stopped() || config.precision.is_some_and(|wanted| precise(&whole, wanted)) {
            break;
        }
    }
    whole
}

fn precise(part: &Part, wanted: f64) -> bool {
    let all = |of: fn(&crate::report::Counts) -> u64| {
        move |row: &Replication| row.demands.iter().map(|demand| of(&demand.counts)).sum::<u64>()
    };
    let offered = all(|counts| counts.offered);
    [all(|counts| counts.wait_ms), all(|counts| counts.served_within)].iter().all(|of| {
        let figure = Figure::ratio(part.rows.iter().map(|row| (of(row), offered(row))), 1.0);
        figure.half_width().is_some_and(|half| half <= wanted * figure.mean.unwrap_or(0.0).abs())
    })
}
