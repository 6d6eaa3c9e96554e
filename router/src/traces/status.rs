//! What the traces of a node count, and how they stand.
//!
//! Every span that was made ends in exactly one of three counters: exported, dropped because the queue was full, dropped
//! because the collector did not take it; or it still stands in the queue. It refuses to know why.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Written by feed, keeper and exporter; read by metrics.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub made: AtomicU64,
    pub exported: AtomicU64,
    pub dropped_full: AtomicU64,
    pub dropped_refused: AtomicU64,
    pub facts_dropped: AtomicU64,
    pub unfollowed: AtomicU64,
    pub followed: AtomicU64,
    pub is_failing: AtomicBool,
    /// A batch of facts was dropped: what is followed has a hole.
    pub has_hole: AtomicBool,
}

/// How the traces of a node stand, since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TracesStatus {
    /// Spans made.
    pub made: u64,
    /// Spans that the collector has taken.
    pub exported: u64,
    /// Spans dropped because the queue was full.
    pub dropped_full: u64,
    /// Spans dropped because the collector did not take them: refused, too slow, not there.
    pub dropped_refused: u64,
    /// Facts dropped between egress and keeper.
    pub facts_dropped: u64,
    /// Contacts whose trace was given up: too many at once, or a hole in what was told of them.
    pub unfollowed: u64,
    /// Open contacts that are followed now.
    pub followed: u64,
    /// Whether the last batch was not taken.
    pub is_failing: bool,
}

impl Counters {
    pub fn read(&self) -> TracesStatus {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TracesStatus {
            made: of(&self.made),
            exported: of(&self.exported),
            dropped_full: of(&self.dropped_full),
            dropped_refused: of(&self.dropped_refused),
            facts_dropped: of(&self.facts_dropped),
            unfollowed: of(&self.unfollowed),
            followed: of(&self.followed),
            is_failing: self.is_failing.load(Ordering::Relaxed),
        }
    }
}
