//! Several comparisons at once: with twenty policies one beats the old one by luck.
//!
//! Bonferroni widens each interval so that all of them cover together; Holm judges probabilities in order and rejects more. Both hold
//! for any dependence between the comparisons, common random numbers included. Source: S. Holm, Scand. J. Statist. 6 (1979) 65-70.

use super::interval::{Interval, OutputError, mean_interval, share};
use super::moments::Moments;
use super::student::t_distribution;

/// The verdict on one difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// The difference with an interval that covers together with all the others.
    pub interval: Interval,
    /// Two-sided probability of a mean this far from 0, were the difference 0.
    pub p: f64,
    /// The same, adjusted for the number of comparisons (Holm): below 1 − level, the difference is real.
    pub p_adjusted: f64,
}

/// Simultaneous Student intervals of several means at a joint level.
///
/// # Errors
/// As [`mean_interval`].
pub fn bonferroni(means: &[Moments], level: f64) -> Result<Vec<Interval>, OutputError> {
    let each = 1.0 - (1.0 - share("level", level)?) / means.len().max(1) as f64;
    // The joint level is what is stated; each single one is higher.
    means.iter().map(|moments| Ok(Interval { level, ..mean_interval(moments, each)? })).collect()
}

/// Judges several differences (each the moments of paired differences) at a joint level.
///
/// # Errors
/// As [`mean_interval`].
pub fn holm(differences: &[Moments], level: f64) -> Result<Vec<Comparison>, OutputError> {
    let intervals = bonferroni(differences, level)?;
    let mut order: Vec<(f64, usize)> = Vec::with_capacity(differences.len());
    for (at, moments) in differences.iter().enumerate() {
        let n = moments.count();
        let few = OutputError::TooFew { found: n, least: 2 };
        let (mean, variance) = moments.mean().zip(moments.variance()).ok_or(few)?;
        let distance = libm::fabs(mean);
        let p = if variance > 0.0 {
            2.0 * t_distribution(-distance / libm::sqrt(variance / n as f64), n as f64 - 1.0)
        } else if distance > 0.0 {
            0.0
        } else {
            1.0
        };
        order.push((p, at));
    }
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut judged: Vec<Comparison> =
        intervals.into_iter().map(|interval| Comparison { interval, p: 1.0, p_adjusted: 1.0 }).collect();
    let mut highest = 0.0;
    for (rank, (p, at)) in order.iter().enumerate() {
        highest = libm::fmax(highest, libm::fmin(1.0, p * (differences.len() - rank) as f64));
        judged[*at].p = *p;
        judged[*at].p_adjusted = highest;
    }
    Ok(judged)
}
