//! Metrics of a set of contacts, each from what it went through: exits by kind, waits, and service level in three named variants.
//!
//! Rates are over those who asked for an agent. No mean stands without p50, p95, p99 and n. "Service level" alone is ambiguous, so
//! each variant has a name and its counts: served within X of the offered, of the served, and all who left the queue within X
//! (served or not) of the offered. Percentiles come from an HDR histogram with three significant digits; means and maxima are exact.

use super::tally::Tally;
use serde::Serialize;
use std::collections::BTreeMap;
use tidegate_model::record::Exit;

/// One contact's way through, in milliseconds on one time axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Passage {
    /// When it came.
    pub arrived_ms: u64,
    /// When it asked for an agent; `None` when it never did, and then it enters no rate.
    pub asked_ms: Option<u64>,
    /// When its wait ended: service began, or it left. Without a wait, when it left.
    pub left_queue_ms: u64,
    /// How it left.
    pub exit: Exit,
}

/// Figures of a set of waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct WaitFigures {
    /// How many.
    pub n: u64,
    /// Exact mean.
    pub mean_ms: f64,
    /// Median.
    pub p50_ms: u64,
    /// 95th percentile.
    pub p95_ms: u64,
    /// 99th percentile.
    pub p99_ms: u64,
    /// Longest.
    pub max_ms: u64,
}

/// Service level with its counts; see the module's head for the variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceLevel {
    /// The acceptable wait, X.
    pub within_ms: u64,
    /// Asked for an agent.
    pub offered: u64,
    /// Of these, served.
    pub served: u64,
    /// Served within X.
    pub served_within: u64,
    /// Left the queue within X, served or not.
    pub left_within: u64,
}

/// Everything of one set of contacts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Contacts in all.
    pub contacts: u64,
    /// Asked for an agent.
    pub offered: u64,
    /// Exits by kind, of all contacts.
    pub exits: BTreeMap<&'static str, u64>,
    /// Waits of the offered.
    pub wait: WaitFigures,
    /// Waits of the served (their mean is the speed of answer).
    pub wait_of_served: WaitFigures,
    /// Waits of those who hung up waiting.
    pub wait_of_abandoned: WaitFigures,
    /// Service level.
    pub service_level: ServiceLevel,
}

impl Passage {
    /// How long it waited for an agent; `None` when it never asked.
    pub fn waited_ms(&self) -> Option<u64> {
        self.asked_ms.map(|asked_ms| self.left_queue_ms.saturating_sub(asked_ms))
    }
}

impl ServiceLevel {
    /// Served within X, of the offered.
    pub fn served_within_of_offered(&self) -> Option<f64> {
        share(self.served_within, self.offered)
    }

    /// Served within X, of the served.
    pub fn served_within_of_served(&self) -> Option<f64> {
        share(self.served_within, self.served)
    }

    /// Left the queue within X, served or not, of the offered.
    pub fn left_within_of_offered(&self) -> Option<f64> {
        share(self.left_within, self.offered)
    }
}

impl Summary {
    /// The summary of these passages, with service level at `within_ms`.
    pub fn of(passages: &[Passage], within_ms: u64) -> Self {
        let mut tally = Tally::new(within_ms);
        passages.iter().for_each(|passage| tally.record(passage));
        tally.summary()
    }

    /// The share of the offered who hung up waiting.
    pub fn abandoned_of_offered(&self) -> Option<f64> {
        share(self.wait_of_abandoned.n, self.offered)
    }

    /// How many left in this way, by [`Exit::slug`].
    pub fn exits_of(&self, slug: &str) -> u64 {
        self.exits.get(slug).copied().unwrap_or(0)
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(asked_ms: u64, waited_ms: u64, exit: Exit) -> Passage {
        Passage { arrived_ms: asked_ms, asked_ms: Some(asked_ms), left_queue_ms: asked_ms + waited_ms, exit }
    }

    #[test]
    fn three_variants_differ_and_carry_their_counts() {
        let with_bot = Passage { arrived_ms: 0, asked_ms: None, left_queue_ms: 9, exit: Exit::AbandonedWithBot };
        let passages = [
            passage(0, 0, Exit::Served),
            passage(0, 20_000, Exit::Served),
            passage(0, 20_001, Exit::Served),
            passage(0, 5_000, Exit::AbandonedWaiting),
            passage(0, 60_000, Exit::AbandonedWaiting),
            with_bot,
        ];
        let summary = Summary::of(&passages, 20_000);
        let level = summary.service_level;
        assert_eq!((level.offered, level.served, level.served_within, level.left_within), (5, 3, 2, 3));
        assert_eq!(level.served_within_of_offered(), Some(0.4));
        assert_eq!(level.served_within_of_served(), Some(2.0 / 3.0));
        assert_eq!(level.left_within_of_offered(), Some(0.6));
        assert_eq!(summary.exits_of("abandoned_with_bot"), 1);
        assert_eq!(summary.abandoned_of_offered(), Some(0.4));
        assert_eq!(summary.wait.max_ms, 60_000);
    }

    #[test]
    fn nobody_gives_no_rate() {
        let summary = Summary::of(&[], 20_000);
        assert_eq!(summary.service_level.served_within_of_offered(), None);
        assert_eq!(summary.wait, WaitFigures::default());
    }

    #[test]
    fn percentiles_are_within_three_digits_and_means_exact() {
        let figures = |waits: &mut dyn Iterator<Item = u64>| {
            let passages: Vec<Passage> = waits.map(|waited| passage(0, waited, Exit::Served)).collect();
            Summary::of(&passages, 20_000).wait
        };
        let thousands = figures(&mut (1..=10_000));
        assert_eq!((thousands.n, thousands.max_ms), (10_000, 10_000));
        assert!((thousands.mean_ms - 5_000.5).abs() < 1e-9);
        for (found, exact) in [(thousands.p50_ms, 5_000), (thousands.p95_ms, 9_500), (thousands.p99_ms, 9_900)] {
            assert!(found.abs_diff(exact) * 1_000 <= exact, "{found} for {exact}");
        }
        assert_eq!(figures(&mut std::iter::once(864_000_000)).max_ms, 864_000_000);
    }
}
