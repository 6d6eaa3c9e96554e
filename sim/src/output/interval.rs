//! An interval for an unknown figure, and the interval of a mean from independent replications.
//!
//! An [`Interval`] always carries its level and the number of replications it rests on; no figure is shown without. It knows Student's
//! quantile and nothing of what is measured.

use super::exact::NotFinite;
use super::moments::Moments;
use super::student::t_quantile;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An interval that covers the unknown figure with the stated probability, if its premises hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The estimate.
    pub estimate: f64,
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Probability of covering, as in 0.95.
    pub level: f64,
    /// Replications, or observations, behind it.
    pub count: u64,
}

/// Why there is no interval.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum OutputError {
    /// Too few observations.
    #[error("{found} observations, expected at least {least}; run more replications")]
    TooFew {
        /// How many there are.
        found: u64,
        /// How many are needed.
        least: u64,
    },
    /// A level or quantile that is none.
    #[error("{field} is {found}, expected a number strictly between 0 and 1")]
    NoShare {
        /// Which.
        field: &'static str,
        /// What was given.
        found: f64,
    },
    /// Lists that belong together differ in length.
    #[error("{found} observations beside {expected}; each replication gives one of each")]
    Unequal {
        /// Length of one.
        found: usize,
        /// Length of the other.
        expected: usize,
    },
    /// The denominator of a ratio is zero on average.
    #[error("the denominator's mean is 0; nothing was counted that the ratio could be of")]
    NoDenominator,
    /// Controls that depend on one another, or do not vary.
    #[error("control {index} does not vary beside the others; leave it out")]
    Collinear {
        /// Which, from 0.
        index: usize,
    },
    /// An observation that is no number.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
}

impl Interval {
    /// Around an estimate.
    pub(crate) fn around(estimate: f64, half_width: f64, level: f64, count: u64) -> Self {
        Self { estimate, low: estimate - half_width, high: estimate + half_width, level, count }
    }

    /// Half its width.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }

    /// Whether it covers a value.
    pub fn covers(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// Checks a probability.
pub(crate) fn share(field: &'static str, found: f64) -> Result<f64, OutputError> {
    if found > 0.0 && found < 1.0 { Ok(found) } else { Err(OutputError::NoShare { field, found }) }
}

/// Student's factor for a two-sided interval.
pub(crate) fn factor(level: f64, freedom: f64) -> f64 {
    t_quantile(1.0 - (1.0 - level) / 2.0, freedom)
}

/// Student's interval for the mean of independent replications, roughly normal or many.
///
/// # Errors
/// [`OutputError`] for fewer than two, or a level outside 0 to 1.
///
/// ```
/// use tidegate_sim::output::{Moments, mean_interval};
///
/// let interval = mean_interval(&Moments::of([1.0, 2.0, 3.0])?, 0.95)?;
/// assert!((interval.half_width() - 2.484_137_711_9).abs() < 1e-9);
/// # Ok::<(), tidegate_sim::output::OutputError>(())
/// ```
pub fn mean_interval(moments: &Moments, level: f64) -> Result<Interval, OutputError> {
    let level = share("level", level)?;
    let count = moments.count();
    let (Some(mean), Some(variance)) = (moments.mean(), moments.variance()) else {
        return Err(OutputError::TooFew { found: count, least: 2 });
    };
    let half = factor(level, count as f64 - 1.0) * libm::sqrt(variance / count as f64);
    Ok(Interval::around(mean, half, level, count))
}
