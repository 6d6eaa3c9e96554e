//! Patience from a record in which most callers were answered: the Kaplan-Meier estimator.
//!
//! A caller who was answered tells only that their patience was longer than their wait (censored on the right). The product-limit
//! estimate uses both kinds of row; a plain mean of the hang-ups would call everybody impatient. Beyond the last hang-up the data
//! says nothing: draws that fall there continue with the exponential rate hang-ups / time waited, and are marked.
//!
//! It knows neither classes nor rows: make one estimate a class. Source: Kaplan & Meier, J. Amer. Statist. Assoc. 53 (1958)
//! 457-481; ties go to the event first, then to the censored, as there.

use crate::kernel::sample::standard_exponential;
use std::collections::BTreeMap;
use tidegate_model::Millis;

/// One observed wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// How long it was watched.
    pub lasted: Millis,
    /// Why watching stopped.
    pub end: ObservationEnd,
}

/// Why a wait was no longer watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservationEnd {
    /// Patience ran out.
    Happened,
    /// Something else ended the wait first: patience is longer than this.
    Censored,
}

/// An estimated survival curve.
#[derive(Clone, Debug, PartialEq)]
pub struct KaplanMeier {
    /// Where the curve falls, and the survival from there on; times ascend, survival descends.
    steps: Vec<Step>,
    happened: u64,
    censored: u64,
    exposure_ms: u64,
}

/// One fall of the curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// When it falls.
    pub at: Millis,
    /// Survival just after.
    pub survival: f64,
    /// Greenwood's sum to here: the variance of survival over its square.
    pub greenwood: f64,
}

/// One drawn patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawnSurvival {
    /// The drawn time.
    pub at: Millis,
    /// Whether it lies where the data says nothing.
    pub reach: DrawReach,
}

/// Whether a draw lies within what was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrawReach {
    /// At an observed event.
    WithinData,
    /// In the exponential tail past the last event.
    BeyondData,
}

/// The longest time ever drawn: 30 days. A record without one hang-up gives this, as "never".
pub const LONGEST: Millis = Millis(30 * 24 * 3_600_000);

impl KaplanMeier {
    /// The estimate from these observations. O(n log n).
    pub fn fit(observations: impl IntoIterator<Item = Observation>) -> Self {
        // At each time: how many happened, how many were censored.
        let mut at_time: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for Observation { lasted, end } in observations {
            let cell = at_time.entry(lasted.0).or_default();
            match end {
                ObservationEnd::Happened => cell.0 += 1,
                ObservationEnd::Censored => cell.1 += 1,
            }
        }
        Self::fit_counts(&at_time)
    }

    /// The estimate from counts: at each time in milliseconds, how many happened and how many were censored. O(times).
    pub fn fit_counts(at_time: &BTreeMap<u64, (u64, u64)>) -> Self {
        let (mut happened, mut censored, mut exposure_ms) = (0_u64, 0_u64, 0_u64);
        for (&at, &(events, gone)) in at_time {
            happened += events;
            censored += gone;
            exposure_ms = exposure_ms.saturating_add(at.saturating_mul(events + gone));
        }
        let mut at_risk = happened + censored;
        let (mut survival, mut greenwood) = (1.0, 0.0);
        let mut steps = Vec::new();
        for (&at, &(events, gone)) in at_time {
            if events > 0 {
                let (risk, stay) = (at_risk as f64, (at_risk - events) as f64);
                survival *= stay / risk;
                greenwood += events as f64 / (risk * stay);
                steps.push(Step { at: Millis(at), survival, greenwood });
            }
            at_risk -= events + gone;
        }
        Self { steps, happened, censored, exposure_ms }
    }

    /// The falls of the curve.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How many waits ended by impatience.
    pub fn happened(&self) -> u64 {
        self.happened
    }

    /// How many waits were censored.
    pub fn censored(&self) -> u64 {
        self.censored
    }

    /// The share whose patience is longer than `at`. O(log n).
    pub fn survival(&self, at: Millis) -> f64 {
        match self.steps.partition_point(|step| step.at <= at) {
            0 => 1.0,
            fallen => self.steps[fallen - 1].survival,
        }
    }

    /// The 95 % interval of survival at `at`: Greenwood's variance on the log-log scale, where it stays between 0 and 1
    /// (Kalbfleisch & Prentice 1980). Before the first fall, and once nobody is left, the data give no width. O(log n).
    pub fn survival_interval(&self, at: Millis) -> [f64; 2] {
        let Some(step) = self.steps.partition_point(|step| step.at <= at).checked_sub(1).map(|place| self.steps[place]) else {
            return [1.0, 1.0];
        };
        if step.survival <= 0.0 {
            return [0.0, 0.0];
        }
        let log = libm::log(step.survival);
        let width = libm::exp(1.959_963_984_540_054 * step.greenwood.sqrt() / log);
        [libm::pow(step.survival, 1.0 / width), libm::pow(step.survival, width)]
    }

    /// The longest time that was watched until impatience, or `None` without one.
    pub fn last_event(&self) -> Option<Millis> {
        self.steps.last().map(|step| step.at)
    }

    /// Time waited in all, in milliseconds: over [`Self::happened`], the mean patience if it were exponential.
    pub fn exposure_ms(&self) -> u64 {
        self.exposure_ms
    }

    /// The first time at which survival is at most `share`; `None` when the curve never falls that far.
    pub fn time_of_survival(&self, share: f64) -> Option<Millis> {
        self.steps.get(self.steps.partition_point(|step| step.survival > share)).map(|step| step.at)
    }

    /// The median, when the curve falls to a half.
    pub fn median(&self) -> Option<Millis> {
        self.time_of_survival(0.5)
    }

    /// A patience drawn by inversion, given that it is longer than `survived`. `u` lies strictly between 0 and 1; one number
    /// is used. The result is always longer than `survived`, and at most [`LONGEST`] past it.
    pub fn draw_given(&self, survived: Millis, u: f64) -> DrawnSurvival {
        let target = self.survival(survived) * u;
        let after = self.steps.partition_point(|step| step.at <= survived);
        let later = &self.steps[after..];
        // A curve that has already fallen to zero says nothing about those who are still there.
        if target > 0.0
            && let Some(step) = later.get(later.partition_point(|step| step.survival > target))
        {
            return DrawnSurvival { at: step.at, reach: DrawReach::WithinData };
        }
        let (from, share) = match later.last() {
            Some(last) if last.survival > 0.0 => (last.at, target / last.survival),
            _ => (survived, u),
        };
        let further = if self.happened == 0 {
            LONGEST.0
        } else {
            let mean_ms = self.exposure_ms as f64 / self.happened as f64;
            // `as` saturates; a millisecond at least, so that the result is longer than what was survived.
            ((mean_ms * standard_exponential(share)) as u64).clamp(1, LONGEST.0)
        };
        DrawnSurvival { at: Millis(from.0.saturating_add(further)), reach: DrawReach::BeyondData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(rows: &[(u64, ObservationEnd)]) -> KaplanMeier {
        KaplanMeier::fit(rows.iter().map(|&(ms, end)| Observation { lasted: Millis(ms), end }))
    }

    use ObservationEnd::{Censored, Happened};

    /// Worked by hand: 1 falls of 6; a tie of an event and a censored at 3 (5 at risk, the censored still counts); 5 of 2.
    #[test]
    fn hand_worked_example() {
        let km = fit(&[(1, Happened), (3, Happened), (3, Censored), (4, Censored), (5, Happened), (7, Censored)]);
        let found: Vec<(u64, f64)> = km.steps().iter().map(|step| (step.at.0, step.survival)).collect();
        let expected = [(1, 5.0 / 6.0), (3, 5.0 / 6.0 * 4.0 / 5.0), (5, 5.0 / 6.0 * 4.0 / 5.0 / 2.0)];
        assert_eq!(found.len(), expected.len());
        for ((at, survival), (expected_at, expected_survival)) in found.iter().zip(expected) {
            assert_eq!(*at, expected_at);
            assert!((survival - expected_survival).abs() < 1e-15, "{survival} at {at}");
        }
        assert_eq!(km.median(), Some(Millis(5)));
        assert!((km.survival(Millis(0)) - 1.0).abs() < 1e-15);
        assert!((km.survival(Millis(4)) - 2.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn a_draw_is_longer_than_what_was_survived_and_follows_the_curve() {
        let km = fit(&[(1, Happened), (3, Happened), (3, Censored), (4, Censored), (5, Happened), (7, Censored)]);
        // Given survival past 3 (share 2/3 left): half reach past 5.
        assert_eq!(km.draw_given(Millis(3), 0.51), DrawnSurvival { at: Millis(5), reach: DrawReach::WithinData });
        assert_eq!(km.draw_given(Millis(3), 0.49).reach, DrawReach::BeyondData);
        for survived in 0..9 {
            for u in [1e-9, 0.1, 0.5, 0.9, 1.0 - 1e-9] {
                assert!(km.draw_given(Millis(survived), u).at > Millis(survived));
            }
        }
    }

    #[test]
    fn without_an_event_nobody_leaves_and_without_a_row_too() {
        for km in [fit(&[(5, Censored)]), fit(&[])] {
            assert_eq!(km.median(), None);
            assert_eq!(km.draw_given(Millis(9), 0.5).at, Millis(9 + LONGEST.0));
        }
    }

    #[test]
    fn a_curve_that_reached_zero_still_draws() {
        let km = fit(&[(2, Happened)]);
        let drawn = km.draw_given(Millis(2), 0.5);
        assert!(drawn.at > Millis(2) && drawn.reach == DrawReach::BeyondData);
    }

    /// Drawing from a curve and fitting the draws again gives the curve back (Kolmogorov distance, 1.63/sqrt(n) is 1 %).
    #[test]
    fn draws_refit_to_the_curve() {
        let km = fit(&(1..=200).map(|n| (n * n, if n % 3 == 0 { Censored } else { Happened })).collect::<Vec<_>>());
        let mut stream = crate::kernel::Mrg32k3a::from_seed(5);
        let n = 20_000;
        let again =
            KaplanMeier::fit((0..n).map(|_| Observation { lasted: km.draw_given(Millis(0), stream.next_u01()).at, end: Happened }));
        let last = km.steps().last().map_or(0, |step| step.at.0);
        let gap = km
            .steps()
            .iter()
            .filter(|step| step.at.0 < last)
            .map(|step| (step.survival - again.survival(step.at)).abs())
            .fold(0.0, f64::max);
        assert!(gap < 1.63 / f64::from(n).sqrt(), "distance {gap}");
    }
}
