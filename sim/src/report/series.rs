//! A day in bins: arrivals, waiting, abandonments, agents on.
//!
//! Waiting and agents on are averages over a bin's time, not counts at its edge, so that a short queue between two edges shows.

use super::metrics::Passage;
use crate::bank::Presence;
use serde::Serialize;
use tidegate_model::record::Exit;

/// One bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bin {
    /// Contacts that asked for an agent in it.
    pub arrivals: u64,
    /// Contacts waiting, averaged over it.
    pub waiting: f64,
    /// Contacts that hung up waiting in it.
    pub abandonments: u64,
    /// Agents there and not on a break, averaged over it.
    pub agents_on: f64,
}

/// A day of bins from midnight.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DaySeries {
    /// Length of a bin.
    pub bin_ms: u64,
    /// The bins of 24 hours. What happens later counts in the last one.
    pub bins: Vec<Bin>,
}

const DAY_MS: u64 = 86_400_000;

impl DaySeries {
    /// Quarters of an hour, 96 a day.
    pub const QUARTER_MS: u64 = 15 * 60_000;

    /// The series of these passages and presences in bins of `bin_ms` (at least a second).
    pub fn of(passages: &[Passage], presences: &[Presence], bin_ms: u64) -> Self {
        let bin_ms = bin_ms.clamp(1_000, DAY_MS);
        let count = DAY_MS.div_ceil(bin_ms);
        let mut bins = vec![Bin::default(); count as usize];
        let index = |at_ms: u64| (at_ms / bin_ms).min(count - 1) as usize;
        let mut waiting_ms = vec![0_u64; bins.len()];
        let mut present_ms = vec![0_u64; bins.len()];
        for passage in passages {
            let Some(asked_ms) = passage.asked_ms else { continue };
            bins[index(asked_ms)].arrivals += 1;
            if passage.exit == Exit::AbandonedWaiting {
                bins[index(passage.left_queue_ms)].abandonments += 1;
            }
            spread(&mut waiting_ms, bin_ms, asked_ms, passage.left_queue_ms);
        }
        for presence in presences {
            spread(&mut present_ms, bin_ms, presence.from_ms, presence.until_ms);
        }
        for ((bin, waiting), present) in bins.iter_mut().zip(waiting_ms).zip(present_ms) {
            bin.waiting = waiting as f64 / bin_ms as f64;
            bin.agents_on = present as f64 / bin_ms as f64;
        }
        Self { bin_ms, bins }
    }
}

/// Adds the span from..until to the bins that it touches; what lies past the day is left out.
fn spread(spans_ms: &mut [u64], bin_ms: u64, from_ms: u64, until_ms: u64) {
    let mut at = from_ms;
    while at < until_ms {
        let index = at / bin_ms;
        let Some(span) = usize::try_from(index).ok().and_then(|index| spans_ms.get_mut(index)) else { return };
        let end = until_ms.min((index + 1) * bin_ms);
        *span += end - at;
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_spread_over_the_bins_it_touches() {
        let quarter = DaySeries::QUARTER_MS;
        let passage = Passage {
            arrived_ms: 0,
            asked_ms: Some(quarter / 2),
            left_queue_ms: 2 * quarter + quarter / 4,
            exit: Exit::AbandonedWaiting,
        };
        let presence = Presence { from_ms: quarter, until_ms: 100 * quarter };
        let series = DaySeries::of(&[passage], &[presence], quarter);
        let waiting: Vec<f64> = series.bins.iter().take(4).map(|bin| bin.waiting).collect();
        assert_eq!(waiting, [0.5, 1.0, 0.25, 0.0]);
        assert_eq!((series.bins[0].arrivals, series.bins[2].abandonments), (1, 1));
        assert_eq!(series.bins.len(), 96);
        assert_eq!((series.bins[0].agents_on, series.bins[95].agents_on), (0.0, 1.0));
    }
}
