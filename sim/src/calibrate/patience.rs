//! Patience by class: the Kaplan-Meier curve with Greenwood's interval, and what it cannot say.
//!
//! An answered caller's patience is censored at the wait; so is everybody's past the longest wait that ended in a hang-up. Waits
//! are counted in bins (0.1 s below 100 s, 1 s above), so that ten million rows need no more room than ten thousand.
//!
//! It refuses to know why people hang up: an announcement that makes them leave at 60 s is a fall of the curve at 60 s.

use super::contact::DayNumber;
use super::stats::Estimate;
use crate::km::KaplanMeier;
use serde::Serialize;
use std::collections::BTreeMap;
use tidegate_model::Millis;

/// Hang-ups below which a class's own curve is not used.
pub const MIN_HANG_UPS: u64 = 30;
/// Points of a curve as it is written down.
const POINTS: usize = 100;
/// Where survival is reported, in seconds.
pub const REPORTED_S: [u64; 6] = [10, 30, 60, 120, 300, 600];

/// Waits of one class, counted.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    counts: BTreeMap<u64, (u64, u64)>,
    longest_ms: u64,
}

/// Waits by blocks of thirty days, so that a change of behaviour can be seen.
#[derive(Clone, Debug, Default)]
pub struct WaitsByMonth {
    blocks: BTreeMap<i64, Waits>,
}

/// Days of a block.
const BLOCK_DAYS: i64 = 30;
/// Whole blocks that are the recent past, beside the one that is not over.
const RECENT_BLOCKS: i64 = 2;
/// The log-rank statistic (chi-square, one degree) above which callers have changed: one chance in a hundred.
const CHANGED: f64 = 6.634_897;

impl WaitsByMonth {
    /// The block of a day.
    pub fn of(&mut self, day: DayNumber) -> &mut Waits {
        self.blocks.entry(block(day)).or_default()
    }

    /// Of all days.
    pub fn all(&self) -> Waits {
        self.sum(i64::MIN..=i64::MAX)
    }

    /// Of the recent past, when callers have changed (log-rank test against the time before; Mantel 1966), or of all days; with
    /// whether they have. `last` is the record's last day.
    pub fn current(&self, last: DayNumber) -> (Waits, Drift) {
        let (recent, before) = (self.recent(last), self.sum(i64::MIN..=first_recent(last) - 1));
        let enough = |waits: &Waits| waits.counts.values().map(|(events, _)| events).sum::<u64>() >= MIN_HANG_UPS;
        if enough(&recent) && enough(&before) && log_rank(&recent, &before) > CHANGED {
            return (recent, Drift::Changed);
        }
        (self.all(), Drift::Steady)
    }

    /// Of the recent past.
    pub fn recent(&self, last: DayNumber) -> Waits {
        self.sum(first_recent(last)..=i64::MAX)
    }

    fn sum(&self, blocks: std::ops::RangeInclusive<i64>) -> Waits {
        let mut sum = Waits::default();
        for waits in self.blocks.range(blocks).map(|(_, waits)| waits) {
            sum.merge(waits);
        }
        sum
    }
}

/// The block of a day.
pub(super) fn block(day: DayNumber) -> i64 {
    day.0.div_euclid(BLOCK_DAYS)
}

/// The first block of the recent past.
pub(super) fn first_recent(last: DayNumber) -> i64 {
    block(last) - RECENT_BLOCKS
}

/// Whether something (callers' patience, handle times) has changed over the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// Not that it could be seen: all days are used.
    Steady,
    /// It has: the last two to three months are used.
    Changed,
}

/// The log-rank statistic of two groups' hang-ups.
fn log_rank(one: &Waits, other: &Waits) -> f64 {
    let total = |waits: &Waits| waits.counts.values().map(|(events, gone)| events + gone).sum::<u64>() as f64;
    let (mut risk_one, mut risk_other) = (total(one), total(other));
    let (mut excess, mut variance) = (0.0, 0.0);
    let times: std::collections::BTreeSet<u64> = one.counts.keys().chain(other.counts.keys()).copied().collect();
    for at in times {
        let cell = |waits: &Waits| waits.counts.get(&at).copied().unwrap_or_default();
        let ((events_one, gone_one), (events_other, gone_other)) = (cell(one), cell(other));
        let (events, risk) = ((events_one + events_other) as f64, risk_one + risk_other);
        if events > 0.0 && risk > 1.0 {
            let share = risk_one / risk;
            excess += events_one as f64 - events * share;
            variance += events * share * (1.0 - share) * (risk - events) / (risk - 1.0);
        }
        risk_one -= (events_one + gone_one) as f64;
        risk_other -= (events_other + gone_other) as f64;
    }
    if variance > 0.0 { excess * excess / variance } else { 0.0 }
}

/// A class's fitted patience.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Patience {
    /// Callers who hung up.
    pub hang_ups: u64,
    /// Callers who were answered before.
    pub answered: u64,
    /// Share of them who hung up.
    pub abandoned: Estimate,
    /// Survival at [`REPORTED_S`], each with its interval; only where somebody hung up that late or later.
    pub survival: Vec<SurvivalAt>,
    /// The median, in seconds, where the curve falls to a half.
    pub median_s: Option<f64>,
    /// Time waited over hang-ups: the mean if patience were exponential.
    pub mean_if_exponential_s: f64,
    /// The largest distance between the curve and that exponential, over the curve's range.
    pub distance_from_exponential: f64,
    /// The longest wait that ended in a hang-up, in seconds; the curve says nothing past it.
    pub known_until_s: f64,
    /// Share of callers whose patience is longer than that.
    pub unknown_share: f64,
    /// The curve: seconds and survival from there on, at most a hundred points.
    pub curve: Vec<[f64; 2]>,
}

/// One point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SurvivalAt {
    /// The wait.
    pub seconds: u64,
    /// Share who wait longer.
    pub survival: f64,
    /// Its interval.
    pub ci95: [f64; 2],
}

impl Waits {
    /// Counts a wait that ended in a hang-up.
    pub fn hung_up(&mut self, after_ms: u64) {
        self.counts.entry(binned(after_ms)).or_default().0 += 1;
        self.longest_ms = self.longest_ms.max(after_ms);
    }

    /// Counts a wait that ended otherwise.
    pub fn answered(&mut self, after_ms: u64) {
        self.counts.entry(binned(after_ms)).or_default().1 += 1;
        self.longest_ms = self.longest_ms.max(after_ms);
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        for (at, (events, gone)) in &other.counts {
            let cell = self.counts.entry(*at).or_default();
            cell.0 += events;
            cell.1 += gone;
        }
        self.longest_ms = self.longest_ms.max(other.longest_ms);
    }

    /// What is left when a part of it is taken out.
    #[must_use]
    pub fn without(&self, part: &Self) -> Self {
        let mut rest = self.clone();
        for (at, (events, gone)) in &part.counts {
            if let Some(cell) = rest.counts.get_mut(at) {
                *cell = (cell.0.saturating_sub(*events), cell.1.saturating_sub(*gone));
            }
        }
        rest.counts.retain(|_, counts| *counts != (0, 0));
        rest
    }

    /// The curve.
    pub fn curve(&self) -> KaplanMeier {
        KaplanMeier::fit_counts(&self.counts)
    }

    /// The fit; `None` without a wait.
    pub fn fit(&self) -> Option<Patience> {
        let curve = self.curve();
        let n = curve.happened() + curve.censored();
        if n == 0 {
            return None;
        }
        let last = curve.last_event().unwrap_or_default();
        let mean_ms = curve.exposure_ms() as f64 / curve.happened().max(1) as f64;
        let exponential = |at: Millis| libm::exp(-(at.0 as f64) / mean_ms.max(1.0));
        let mut before = 1.0;
        let mut distance = 0.0_f64;
        for step in curve.steps() {
            let fitted = exponential(step.at);
            distance = distance.max((step.survival - fitted).abs()).max((before - fitted).abs());
            before = step.survival;
        }
        let survival = REPORTED_S
            .into_iter()
            .filter(|seconds| seconds * 1_000 <= last.0)
            .map(|seconds| SurvivalAt {
                seconds,
                survival: curve.survival(Millis(seconds * 1_000)),
                ci95: curve.survival_interval(Millis(seconds * 1_000)),
            })
            .collect();
        Some(Patience {
            hang_ups: curve.happened(),
            answered: curve.censored(),
            abandoned: Estimate::share(curve.happened(), n),
            survival,
            median_s: curve.median().map(seconds),
            mean_if_exponential_s: mean_ms / 1_000.0,
            distance_from_exponential: distance,
            known_until_s: seconds(last),
            unknown_share: curve.steps().last().map_or(1.0, |step| step.survival),
            curve: thinned(&curve),
        })
    }
}

/// The middle of the bin, so that a recorded whole second stays what it was.
fn binned(ms: u64) -> u64 {
    if ms < 100_000 { (ms + 50) / 100 * 100 } else { (ms + 500) / 1_000 * 1_000 }
}

fn seconds(at: Millis) -> f64 {
    at.0 as f64 / 1_000.0
}

/// Points at even falls of survival; the last step always.
fn thinned(curve: &KaplanMeier) -> Vec<[f64; 2]> {
    let steps = curve.steps();
    let Some(last) = steps.last() else { return Vec::new() };
    let fall = (1.0 - last.survival) / POINTS as f64;
    let mut kept = Vec::new();
    let mut next = 1.0 - fall / 2.0;
    for step in steps {
        if step.survival <= next || step == last {
            kept.push([seconds(step.at), step.survival]);
            while next >= step.survival {
                next -= fall.max(1e-12);
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_stay_and_bins_bound_the_room() {
        for ms in [0, 1_000, 99_000, 100_000, 86_400_000] {
            assert_eq!(binned(ms), ms);
        }
        let mut waits = Waits::default();
        for ms in 0..200_000 {
            waits.hung_up(ms);
        }
        assert!(waits.counts.len() <= 1_000 + 102, "{}", waits.counts.len());
        let fitted = waits.fit().expect("waits");
        assert!(fitted.curve.len() <= POINTS + 1 && fitted.unknown_share == 0.0);
        assert!((fitted.median_s.expect("a median") - 100.0).abs() < 1.0);
    }

    #[test]
    fn a_change_is_seen_and_chance_is_not() {
        let mut stream = crate::kernel::Mrg32k3a::from_seed(8);
        let mut made = |means: [f64; 6]| {
            let mut months = WaitsByMonth::default();
            for (month, mean) in means.into_iter().enumerate() {
                for n in 0..2_000 {
                    let waits = months.of(DayNumber(month as i64 * 30));
                    let after = mean * crate::kernel::sample::standard_exponential(stream.next_u01());
                    if n % 2 == 0 { waits.hung_up(after as u64) } else { waits.answered(after as u64) }
                }
            }
            months.current(DayNumber(5 * 30))
        };
        assert_eq!(made([60_000.0; 6]).1, Drift::Steady);
        let (recent, drift) = made([60_000.0, 60_000.0, 60_000.0, 80_000.0, 80_000.0, 80_000.0]);
        assert_eq!((drift, recent.curve().happened()), (Drift::Changed, 3_000));
    }

    #[test]
    fn an_exponential_curve_is_told_as_one() {
        let mut waits = Waits::default();
        let mut stream = crate::kernel::Mrg32k3a::from_seed(3);
        for _ in 0..20_000 {
            waits.hung_up((60_000.0 * crate::kernel::sample::standard_exponential(stream.next_u01())) as u64);
        }
        let fitted = waits.fit().expect("waits");
        assert!(fitted.distance_from_exponential < 0.015, "{}", fitted.distance_from_exponential);
        assert!((fitted.mean_if_exponential_s - 60.0).abs() < 1.5);
    }
}
