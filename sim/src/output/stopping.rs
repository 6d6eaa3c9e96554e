//! When replications suffice: sequential stopping on the half-width of the interval.
//!
//! Ask after every replication, in replication order, and stop at the first "enough": looking is part of the rule. Stopping on a width
//! that is itself estimated costs coverage (Chow and Robbins: none in the limit): with a skewed figure and at least 20 replications, 95 % intervals
//! that stopped at some 47 covered in 892 of 1,000 runs (`tests/output_coverage.rs`). Ask for more first replications where that matters. Shards that run ahead are cut back to the replication at which the rule stopped, so the answer does not
//! depend on the number of threads.
//!
//! Sources: Y. S. Chow, H. Robbins, Ann. Math. Statist. 36 (1965) 457-462; A. M. Law, Simulation Modeling and Analysis, 9.4.

use super::interval::{Interval, OutputError, mean_interval};
use super::moments::Moments;

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stopping {
    /// Half-width over the estimate that is narrow enough; none to ask for none. A promise about the unknown mean itself: the
    /// half-width is held against γ / (1 + γ) of the estimate.
    pub relative: Option<f64>,
    /// Half-width that is narrow enough; none to ask for none. With both, either suffices.
    pub absolute: Option<f64>,
    /// Level of the interval.
    pub level: f64,
    /// Replications before the first look: at least 2.
    pub least: u64,
    /// Replications after which it stops in any case.
    pub most: u64,
}

/// What the rule says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Go on; about so many replications in all, by the variance seen so far.
    GoOn {
        /// The expected total, at most [`Stopping::most`].
        expected: u64,
    },
    /// The interval is narrow enough.
    Enough(Interval),
    /// All allowed replications are spent; the interval is what they gave.
    Spent(Interval),
}

impl Stopping {
    /// Judges the replications so far.
    ///
    /// # Errors
    /// [`OutputError::NoShare`] for a level that is none.
    pub fn judge(&self, moments: &Moments) -> Result<Verdict, OutputError> {
        let count = moments.count();
        if count < self.least.max(2) {
            super::interval::share("level", self.level)?;
            if count >= self.most && count >= 2 {
                return Ok(Verdict::Spent(mean_interval(moments, self.level)?));
            }
            return Ok(Verdict::GoOn { expected: self.least.max(2).min(self.most.max(2)) });
        }
        let interval = mean_interval(moments, self.level)?;
        let relative = self.relative.map(|share| share / (1.0 + share) * libm::fabs(interval.estimate));
        let wanted = [relative, self.absolute].into_iter().flatten().fold(0.0, libm::fmax);
        let half = interval.half_width();
        if half <= wanted {
            return Ok(Verdict::Enough(interval));
        }
        if count >= self.most {
            return Ok(Verdict::Spent(interval));
        }
        let times = half / wanted;
        let expected = libm::fmin(count as f64 * times * times, self.most as f64);
        Ok(Verdict::GoOn { expected: (libm::ceil(expected) as u64).max(count + 1) })
    }
}
