//! The tally: passages counted one by one, in memory that does not grow with them.
//!
//! [`super::Summary`] is what a tally says; recorded, live and simulated contacts are counted here and nowhere else. Counts are
//! integers, so that tallies of parts add up to the tally of the whole in whatever order. Percentiles come from HDR histograms
//! with three significant digits up to a day.
//!
//! It knows one acceptable wait, and neither queues nor time of day: keep a tally for each set of contacts of interest.

use super::metrics::{Passage, ServiceLevel, Summary, WaitFigures};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tidegate_core::ledger::{EXITS, exit_place, exit_slugs};
use tidegate_model::Millis;
use tidegate_model::level::LevelCounts;
use tidegate_model::record::Exit;

/// Counts of a set of passages. They add up, and a later state less an earlier one is what came between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Contacts in all.
    pub contacts: u64,
    /// Asked for an agent.
    pub offered: u64,
    /// Of these, served (the customer's leaving in service included).
    pub served: u64,
    /// Of these, hung up waiting.
    pub abandoned: u64,
    /// Served within the acceptable wait.
    pub served_within: u64,
    /// Left the queue within the acceptable wait, served or not.
    pub left_within: u64,
    /// Sum of the waits of the offered, in milliseconds.
    pub wait_ms: u64,
    /// Sum of the waits of the served.
    pub wait_of_served_ms: u64,
    /// Sum of the waits of those who hung up.
    pub wait_of_abandoned_ms: u64,
    /// Contacts by exit, in the ledger's order.
    pub exits: [u64; EXITS],
}

impl Counts {
    fn each(&self, other: &Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            contacts: f(self.contacts, other.contacts),
            offered: f(self.offered, other.offered),
            served: f(self.served, other.served),
            abandoned: f(self.abandoned, other.abandoned),
            served_within: f(self.served_within, other.served_within),
            left_within: f(self.left_within, other.left_within),
            wait_ms: f(self.wait_ms, other.wait_ms),
            wait_of_served_ms: f(self.wait_of_served_ms, other.wait_of_served_ms),
            wait_of_abandoned_ms: f(self.wait_of_abandoned_ms, other.wait_of_abandoned_ms),
            exits: std::array::from_fn(|i| f(self.exits[i], other.exits[i])),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.each(other, |a, b| a + b)
    }

    /// What has come since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        self.each(earlier, |a, b| a - b)
    }

    #[inline]
    fn add(&mut self, passage: &Passage, within_ms: u64) -> Option<(Waited, u64)> {
        self.contacts += 1;
        self.exits[exit_place(passage.exit)] += 1;
        let waited = passage.waited_ms()?;
        let mut level = LevelCounts::default();
        level.take(passage.exit, Some(Millis(waited)), Millis(within_ms));
        self.offered += level.offered;
        self.served += level.served;
        self.served_within += level.served_within;
        self.left_within += level.left_within;
        self.wait_ms += waited;
        Some((
            match passage.exit {
                exit if exit.was_served() => {
                    self.wait_of_served_ms += waited;
                    Waited::Served
                }
                Exit::AbandonedWaiting => {
                    self.abandoned += 1;
                    self.wait_of_abandoned_ms += waited;
                    Waited::Abandoned
                }
                _ => Waited::Otherwise,
            },
            waited,
        ))
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    Served,
    Abandoned,
    Otherwise,
}

/// Three significant digits up to a day; longer waits count as a day in percentiles, not in mean and maximum.
const DAY_MS: u64 = 86_400_000;

/// Waits of one kind of ending. The histogram is made by the first of them.
#[derive(Clone, Debug, Default)]
struct Waits {
    max_ms: u64,
    histogram: Option<Histogram<u64>>,
}

impl Waits {
    #[inline]
    fn record(&mut self, waited: u64, times: u64) {
        self.max_ms = self.max_ms.max(waited);
        let histogram =
            self.histogram.get_or_insert_with(|| Histogram::new_with_bounds(1, DAY_MS, 3).expect("the bounds are valid"));
        if times == 1 { histogram.saturating_record(waited) } else { histogram.saturating_record_n(waited, times) }
    }

    fn merge(&mut self, other: &Self) {
        self.max_ms = self.max_ms.max(other.max_ms);
        match (&mut self.histogram, &other.histogram) {
            (Some(mine), Some(theirs)) => mine.add(theirs).expect("the bounds are equal"),
            (None, Some(theirs)) => self.histogram = Some(theirs.clone()),
            (_, None) => {}
        }
    }

    fn buckets(&self) -> Vec<(u64, u64)> {
        let recorded = self.histogram.iter().flat_map(|h| h.iter_recorded());
        recorded.map(|value| (value.value_iterated_to(), value.count_at_value())).collect()
    }

    fn figures(&self, n: u64, sum: u64) -> WaitFigures {
        let Some(histogram) = self.histogram.as_ref().filter(|_| n > 0) else { return WaitFigures::default() };
        let at = |quantile| histogram.value_at_quantile(quantile).min(self.max_ms);
        WaitFigures { n, mean_ms: sum as f64 / n as f64, p50_ms: at(0.50), p95_ms: at(0.95), p99_ms: at(0.99), max_ms: self.max_ms }
    }
}

/// The distributions of a tally as data: (highest wait of the bucket in milliseconds, how many), and the longest wait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TallyRecord {
    /// Counts.
    pub counts: Counts,
    /// Longest waits: served, abandoned, otherwise.
    pub max_ms: [u64; 3],
    /// Buckets: served, abandoned, otherwise.
    pub buckets: [Vec<(u64, u64)>; 3],
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Tally {
    within_ms: u64,
    counts: Counts,
    waits: [Waits; 3],
}

impl Tally {
    /// An empty tally with this acceptable wait.
    pub fn new(within_ms: u64) -> Self {
        Self { within_ms, counts: Counts::default(), waits: Default::default() }
    }

    /// Counts one passage. O(1), no allocation after the first of its kind.
    #[inline]
    pub fn record(&mut self, passage: &Passage) {
        if let Some((kind, waited)) = self.counts.add(passage, self.within_ms) {
            self.waits[kind as usize].record(waited, 1);
        }
    }

    /// What was counted.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Adds what another tally with the same acceptable wait has counted.
    ///
    /// # Panics
    /// If the acceptable waits differ.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.within_ms, other.within_ms, "service levels of different waits do not add up");
        self.counts = self.counts.plus(&other.counts);
        for (mine, theirs) in self.waits.iter_mut().zip(&other.waits) {
            mine.merge(theirs);
        }
    }

    /// The tally as data; [`Self::restore`] gives it back.
    pub fn to_record(&self) -> TallyRecord {
        TallyRecord {
            counts: self.counts,
            max_ms: std::array::from_fn(|i| self.waits[i].max_ms),
            buckets: std::array::from_fn(|i| self.waits[i].buckets()),
        }
    }

    /// The tally of a record.
    pub fn restore(within_ms: u64, record: &TallyRecord) -> Self {
        let mut tally = Self { counts: record.counts, ..Self::new(within_ms) };
        for (i, waits) in tally.waits.iter_mut().enumerate() {
            for &(waited, n) in &record.buckets[i] {
                waits.record(waited, n);
            }
            waits.max_ms = record.max_ms[i];
        }
        tally
    }

    /// What the tally says.
    pub fn summary(&self) -> Summary {
        let Counts { contacts, offered, served, abandoned, served_within, left_within, .. } = self.counts;
        let mut all = self.waits[0].clone();
        all.merge(&self.waits[1]);
        all.merge(&self.waits[2]);
        let exits = exit_slugs().into_iter().zip(self.counts.exits).filter(|(_, n)| *n > 0);
        Summary {
            contacts,
            offered,
            exits: exits.collect(),
            wait: all.figures(offered, self.counts.wait_ms),
            wait_of_served: self.waits[0].figures(served, self.counts.wait_of_served_ms),
            wait_of_abandoned: self.waits[1].figures(abandoned, self.counts.wait_of_abandoned_ms),
            service_level: ServiceLevel { within_ms: self.within_ms, offered, served, served_within, left_within },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Parts add up to the whole, and a record restores all of it.
        #[test]
        fn tallies_add_up(waits in prop::collection::vec((0_u64..100_000, 0_u8..5), 0..200), cut in 0_usize..200) {
            let passage = |&(waited, exit): &(u64, u8)| {
                let exit = [Exit::Served, Exit::AbandonedWaiting, Exit::TimedOut, Exit::CustomerLeft, Exit::AbandonedWithBot][usize::from(exit)];
                let asked_ms = (exit != Exit::AbandonedWithBot).then_some(5);
                Passage { arrived_ms: 5, asked_ms, left_queue_ms: 5 + waited, exit }
            };
            let tally = |waits: &[(u64, u8)]| {
                let mut tally = Tally::new(20_000);
                waits.iter().for_each(|w| tally.record(&passage(w)));
                tally
            };
            let whole = tally(&waits);
            let (left, right) = waits.split_at(cut.min(waits.len()));
            let mut parts = tally(right);
            parts.merge(&tally(left));
            prop_assert_eq!(parts.to_record(), whole.to_record());
            prop_assert_eq!(Tally::restore(20_000, &whole.to_record()).to_record(), whole.to_record());
            prop_assert_eq!(whole.counts().since(tally(left).counts()), *tally(right).counts());
        }
    }
}
