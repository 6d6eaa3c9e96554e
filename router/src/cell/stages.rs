//! How long an input stands in each stage: histograms in nanoseconds, one lock a batch, read by anybody.
//!
//! Times are measured from the submission (not from when the cell found time for it), so a stalled stage shows in every
//! stage behind it; an open-loop client adds its own lateness. Three significant digits, up to a minute; longer counts as a
//! minute. It refuses to know who asks.

use crate::primitive::Instant;
use crate::primitive::{Mutex, PoisonError};
use hdrhistogram::Histogram;
use std::time::Duration;

/// A stage, or a span over several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Submitted until taken into a batch.
    Ring,
    /// Taken into a batch until durable: append and sync.
    Commit,
    /// Durable until the deciding thread comes to it.
    ApplyWait,
    /// `Tenant::handle` and the draining of its outputs.
    Apply,
    /// Decided until its batch's outputs have been handed to the sink and its answer given.
    Egress,
    /// Submitted until durable.
    SubmitToCommitted,
    /// Durable until its outputs have been handed on.
    CommittedToEffect,
    /// The deciding thread serialising the drain's snapshot: nothing is decided any more. While the node serves there is
    /// none: the keeper makes snapshots from the log. One count a drain.
    SnapshotPause,
}

/// All stages, in reading order.
pub(crate) const STAGES: [Stage; 8] = [
    Stage::Ring,
    Stage::Commit,
    Stage::ApplyWait,
    Stage::Apply,
    Stage::Egress,
    Stage::SubmitToCommitted,
    Stage::CommittedToEffect,
    Stage::SnapshotPause,
];

/// Longest span that is told apart.
const LONGEST_NS: u64 = 60_000_000_000;

impl Stage {
    /// A short name for tables and metric labels.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Commit => "commit",
            Self::ApplyWait => "apply_wait",
            Self::Apply => "apply",
            Self::Egress => "egress",
            Self::SubmitToCommitted => "submit_to_committed",
            Self::CommittedToEffect => "committed_to_effect",
            Self::SnapshotPause => "snapshot_pause",
        }
    }
}

/// The histograms that the cell's threads write.
pub(crate) struct StageBook {
    histograms: [Mutex<Histogram<u64>>; STAGES.len()],
    batches: Mutex<Histogram<u64>>,
}

fn histogram() -> Histogram<u64> {
    match Histogram::new_with_bounds(1, LONGEST_NS, 3) {
        Ok(histogram) => histogram,
        Err(error) => unreachable!("the bounds are constants that hdrhistogram accepts: {error}"),
    }
}

impl StageBook {
    pub fn new() -> Self {
        Self { histograms: std::array::from_fn(|_| Mutex::new(histogram())), batches: Mutex::new(histogram()) }
    }

    /// Records one batch's spans of a stage.
    pub fn record(&self, stage: Stage, spans: impl Iterator<Item = Duration>) {
        let mut histogram = self.histograms[stage as usize].lock().unwrap_or_else(PoisonError::into_inner);
        for span in spans {
            histogram.saturating_record(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).clamp(1, LONGEST_NS));
        }
    }

    /// Records a span that all inputs of a batch share.
    pub fn record_all(&self, stage: Stage, span: Duration, inputs: u64) {
        let ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).clamp(1, LONGEST_NS);
        self.histograms[stage as usize].lock().unwrap_or_else(PoisonError::into_inner).saturating_record_n(ns, inputs);
    }

    /// Records how many entries a batch held.
    pub fn batch(&self, entries: usize) {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(entries as u64);
    }

    pub fn read(&self) -> Stages {
        let lock = |h: &Mutex<Histogram<u64>>| h.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Stages {
            stages: STAGES.iter().map(|stage| (*stage, lock(&self.histograms[*stage as usize]))).collect(),
            batches: lock(&self.batches),
        }
    }

    pub fn reset(&self) {
        for histogram in self.histograms.iter().chain([&self.batches]) {
            histogram.lock().unwrap_or_else(PoisonError::into_inner).reset();
        }
    }
}

/// The span between two instants; zero when they are out of order.
pub(crate) fn between(from: Instant, to: Instant) -> Duration {
    to.saturating_duration_since(from)
}

/// A copy of all histograms, in nanoseconds.
#[derive(Debug, Clone)]
pub struct Stages {
    /// Each stage with its spans in nanoseconds, one count an input.
    pub stages: Vec<(Stage, Histogram<u64>)>,
    /// Entries a batch, one count a batch.
    pub batches: Histogram<u64>,
}

/// The figures of one stage, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StageSummary {
    /// Which.
    pub stage: Stage,
    /// Inputs counted.
    pub count: u64,
    /// Median.
    pub p50_us: f64,
    /// 99 of 100 are below.
    pub p99_us: f64,
    /// 999 of 1,000 are below.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
}

impl Stages {
    /// One stage's histogram.
    #[must_use]
    pub fn of(&self, stage: Stage) -> Option<&Histogram<u64>> {
        self.stages.iter().find(|(s, _)| *s == stage).map(|(_, histogram)| histogram)
    }

    /// The usual figures of every stage.
    #[must_use]
    pub fn summaries(&self) -> Vec<StageSummary> {
        let us = |ns: u64| ns as f64 / 1_000.0;
        self.stages
            .iter()
            .map(|(stage, h)| StageSummary {
                stage: *stage,
                count: h.len(),
                p50_us: us(h.value_at_quantile(0.5)),
                p99_us: us(h.value_at_quantile(0.99)),
                p999_us: us(h.value_at_quantile(0.999)),
                max_us: us(h.max()),
            })
            .collect()
    }
}
