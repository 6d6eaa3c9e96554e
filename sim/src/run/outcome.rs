//! What a run leaves: the file that another machine's can be merged with, that can be verified, and that a report is made of.
//!
//! It names the scenario by the hash of its text and policy, the seed, and which replications it holds; two outcomes merge only
//! when all of that fits. The digest is BLAKE3 over the replications in order of their numbers: whoever played them.

use super::Part;
use super::report::Report;
use super::series::{IntervalSums, SeriesSums};
use crate::floor::{DemandOutcome, GroupOutcome, Replication, Setup};
use crate::report::{Counts, Tally, TallyRecord};
use crate::scenario::ROWS_MAX;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The file's kind and version.
const FORMAT: &str = "tidegate-simulation/1";
/// Longest file that is read, in bytes.
pub const BYTES_MAX: usize = 1 << 30;

/// Integers that JSON carries everywhere, and whose sums over any files that fit into memory fit into 64 bits.
const NUMBER_MAX: u64 = 1 << 53;

/// Why a file is no outcome.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Not the JSON of an outcome.
    #[error("line {line}, column {column}: no outcome of `simulate --json` ({cause})")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the reader says.
        cause: String,
    },
    /// Another format or version.
    #[error("format is \"{0}\", expected \"{FORMAT}\"")]
    Format(String),
    /// The digest is not that of the replications.
    #[error("the digest {found} is not that of its replications, {expected}: the file was changed")]
    Digest {
        /// In the file.
        found: String,
        /// Computed.
        expected: String,
    },
    /// Parts that do not belong to one run, or numbers that no run gives.
    #[error("{0}: no run gives such a file")]
    Unsound(&'static str),
    /// Too long.
    #[error("{0} bytes; at most {BYTES_MAX} are read")]
    TooLong(usize),
}

/// Why outcomes do not merge.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MergeError {
    /// Nothing to merge.
    #[error("no outcome was named")]
    Nothing,
    /// Two runs of different things.
    #[error("{field} differs ({left}, {right}): only shards of one run merge")]
    Differs {
        /// The field.
        field: &'static str,
        /// In the first.
        left: String,
        /// In the other.
        right: String,
    },
    /// A replication is in two of them.
    #[error("replication {0} is in two of the files")]
    Twice(u64),
}

/// What a run leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The file's kind and version.
    pub format: String,
    /// The scenario's name.
    pub scenario: String,
    /// SHA-256 of the scenario's and the policy's text, in hexadecimal.
    pub config_sha256: String,
    /// The seed.
    pub seed: u64,
    /// Whether every second replication was mirrored.
    pub antithetic: bool,
    /// BLAKE3 over the replications, in hexadecimal.
    pub digest: String,
    /// Figures with intervals.
    pub report: Report,
    /// Acceptable waits of the demands, in milliseconds.
    pub within_ms: Vec<u64>,
    /// Distributions of the demands, over all replications.
    pub tallies: Vec<TallyRecord>,
    /// Sums of the intervals.
    pub series: SeriesSums,
    /// Each replication.
    pub replications: Vec<Replication>,
}

impl Outcome {
    /// The outcome of a run.
    pub fn new(setup: &Setup, config_sha256: String, seed: u64, antithetic: bool, part: Part) -> Self {
        let scenario = setup.scenario();
        let names = |i: usize| scenario.demand[i].name.clone();
        let report = Report::new(
            (0..scenario.demand.len()).map(names).collect(),
            scenario.group.iter().map(|group| group.name.clone()).collect(),
            scenario.grid.seconds(),
            &part.rows,
            &part.tallies,
            &part.series,
        );
        Self {
            format: FORMAT.into(),
            scenario: scenario.name.clone(),
            config_sha256,
            seed,
            antithetic,
            digest: digest(&part.rows),
            report,
            within_ms: setup.within_ms().collect(),
            tallies: part.tallies.iter().map(Tally::to_record).collect(),
            series: part.series,
            replications: part.rows,
        }
    }

    /// Reads an outcome and checks its digest.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(text: &str) -> Result<Self, ReadError> {
        if text.len() > BYTES_MAX {
            return Err(ReadError::TooLong(text.len()));
        }
        let outcome: Self = serde_json::from_str(text).map_err(|error| ReadError::Json {
            line: error.line(),
            column: error.column(),
            cause: error.to_string(),
        })?;
        if outcome.format != FORMAT {
            return Err(ReadError::Format(outcome.format));
        }
        outcome.sound().map_err(ReadError::Unsound)?;
        let expected = digest(&outcome.replications);
        if outcome.digest != expected {
            return Err(ReadError::Digest { found: outcome.digest, expected });
        }
        Ok(outcome)
    }

    /// Whether the parts fit each other and sums of them cannot overflow: a file may say anything.
    fn sound(&self) -> Result<(), &'static str> {
        let (demands, groups) = (self.within_ms.len(), self.report.groups.len());
        if self.tallies.len() != demands || self.report.demands.len() != demands || demands > ROWS_MAX {
            return Err("demands, tallies and acceptable waits are not of one number");
        }
        let rows = &self.replications;
        if rows.iter().any(|row| row.demands.len() != demands || row.groups.len() != groups || !row.series.is_empty()) {
            return Err("a replication has other demands or groups");
        }
        if rows.windows(2).any(|pair| pair[0].number >= pair[1].number) {
            return Err("the replications are not in order");
        }
        let fits = |numbers: &[u64]| numbers.iter().all(|n| *n < NUMBER_MAX);
        let counts = |c: &Counts| {
            let Counts { contacts, offered, served, abandoned, served_within, left_within, wait_ms, .. } = *c;
            fits(&[contacts, offered, served, abandoned, served_within, left_within, wait_ms])
                && fits(&[c.wait_of_served_ms, c.wait_of_abandoned_ms])
                && fits(&c.exits)
        };
        let demand = |d: &DemandOutcome| {
            counts(&d.counts)
                && fits(&[d.open, d.late, d.contained, d.redials, d.repeats, d.transfers, d.callbacks, d.queue_ms, d.handled_ms])
        };
        let group = |g: &GroupOutcome| fits(&[g.staffed_ms, g.busy_ms, g.engaged_ms]);
        if !rows.iter().all(|r| fits(&[r.counted_ms, r.events]) && r.demands.iter().all(demand) && r.groups.iter().all(group)) {
            return Err("a number is past 2^53");
        }
        let buckets = |t: &TallyRecord| t.buckets.iter().flatten().all(|(waited, n)| fits(&[*waited, *n]));
        if !self.tallies.iter().all(|t| counts(&t.counts) && buckets(t)) || !fits(&self.within_ms) {
            return Err("a number of a distribution is past 2^53");
        }
        if !self.series.intervals.iter().all(IntervalSums::fits) {
            return Err("a sum of an interval is past 2^110");
        }
        Ok(())
    }

    /// Joins shards of one run: the same bytes as if one machine had played all.
    ///
    /// # Errors
    /// [`MergeError`].
    pub fn merge(outcomes: Vec<Self>) -> Result<Self, MergeError> {
        let mut outcomes = outcomes.into_iter();
        let mut whole = outcomes.next().ok_or(MergeError::Nothing)?;
        let mut tallies: Vec<Tally> = restored(&whole);
        for other in outcomes {
            let differs = |field, left: &dyn ToString, right: &dyn ToString| {
                Err(MergeError::Differs { field, left: left.to_string(), right: right.to_string() })
            };
            if whole.config_sha256 != other.config_sha256 {
                return differs("config_sha256", &whole.config_sha256, &other.config_sha256);
            }
            if whole.seed != other.seed {
                return differs("seed", &whole.seed, &other.seed);
            }
            if whole.antithetic != other.antithetic {
                return differs("antithetic", &whole.antithetic, &other.antithetic);
            }
            if whole.within_ms != other.within_ms
                || whole.series.intervals.len() != other.series.intervals.len()
                || whole.report.groups.len() != other.report.groups.len()
            {
                return differs("shape", &whole.within_ms.len(), &other.within_ms.len());
            }
            for (mine, theirs) in tallies.iter_mut().zip(restored(&other)) {
                mine.merge(&theirs);
            }
            whole.series.merge(&other.series);
            whole.replications.extend(other.replications);
        }
        whole.replications.sort_by_key(|row| row.number);
        if let Some(pair) = whole.replications.windows(2).find(|pair| pair[0].number == pair[1].number) {
            return Err(MergeError::Twice(pair[0].number));
        }
        whole.digest = digest(&whole.replications);
        whole.tallies = tallies.iter().map(Tally::to_record).collect();
        whole.report = Report::new(
            whole.report.demands.iter().map(|demand| demand.name.clone()).collect(),
            whole.report.groups.iter().map(|group| group.name.clone()).collect(),
            whole.report.interval_s,
            &whole.replications,
            &tallies,
            &whole.series,
        );
        Ok(whole)
    }
}

fn restored(outcome: &Outcome) -> Vec<Tally> {
    outcome.tallies.iter().zip(&outcome.within_ms).map(|(record, within)| Tally::restore(*within, record)).collect()
}

fn digest(rows: &[Replication]) -> String {
    let mut hasher = blake3::Hasher::new();
    for row in rows {
        hasher.update(&serde_json::to_vec(row).expect("integers and names are JSON"));
        hasher.update(b"\n");
    }
    hasher.finalize().to_hex().to_string()
}
