//! The difference between two systems: paired under common random numbers, or from independent runs.
//!
//! With the same customers, the same patience and the same handle times in both, most of the noise is common and cancels; the paired
//! interval shows it. [`welch`] is what independent seeds would give. Source: B. L. Welch, Biometrika 34 (1947) 28-35.

use super::interval::{Interval, OutputError, factor, mean_interval, share};
use super::moments::Moments;

/// Mean of `second` − `first`, replication by replication, with Student's interval.
///
/// # Errors
/// [`OutputError`] when the lists differ in length or have fewer than two entries.
pub fn paired(first: &[f64], second: &[f64], level: f64) -> Result<Interval, OutputError> {
    if first.len() != second.len() {
        return Err(OutputError::Unequal { found: second.len(), expected: first.len() });
    }
    mean_interval(&Moments::of(first.iter().zip(second).map(|(first, second)| second - first))?, level)
}

/// Mean of `second` − mean of `first` from independent runs of unequal variance, with Welch's interval.
///
/// # Errors
/// [`OutputError`] for fewer than two observations of either.
pub fn welch(first: &Moments, second: &Moments, level: f64) -> Result<Interval, OutputError> {
    let level = share("level", level)?;
    let of = |moments: &Moments| -> Result<(f64, f64, f64), OutputError> {
        let n = moments.count() as f64;
        let few = OutputError::TooFew { found: moments.count(), least: 2 };
        let (mean, variance) = moments.mean().zip(moments.variance()).ok_or(few)?;
        Ok((mean, variance / n, n))
    };
    let ((mean_1, error_1, n_1), (mean_2, error_2, n_2)) = (of(first)?, of(second)?);
    let error = error_1 + error_2;
    let count = first.count() + second.count();
    if error <= 0.0 {
        return Ok(Interval::around(mean_2 - mean_1, 0.0, level, count));
    }
    let freedom = error * error / (error_1 * error_1 / (n_1 - 1.0) + error_2 * error_2 / (n_2 - 1.0));
    Ok(Interval::around(mean_2 - mean_1, factor(level, freedom) * libm::sqrt(error), level, count))
}
