//! An interval for a quantile from independent observations, whatever their law: between two of them in order.
//!
//! How many observations lie below the unknown quantile is binomial, so two order statistics enclose it with a probability that is
//! known exactly. Nothing is assumed and nothing smoothed; the price is that few observations give no interval for a far quantile,
//! and then that is said. Source: H. A. David, H. N. Nagaraja, Order Statistics, 7.1.

use super::interval::{Interval, OutputError, share};
use super::student::binomial_distribution;

/// The quantile `q` of independent observations with an interval of at least `level`. O(n log n). The stated level is the one reached,
/// at least the one asked for.
///
/// # Errors
/// [`OutputError`]: shares outside 0 to 1; [`OutputError::TooFew`] when even the extremes do not enclose it at the level.
///
/// ```
/// use tidegate_sim::output::quantile_interval;
///
/// let interval = quantile_interval((1..=99).map(f64::from).collect(), 0.5, 0.95)?;
/// assert_eq!((interval.estimate, interval.low, interval.high), (50.0, 40.0, 60.0));
/// # Ok::<(), tidegate_sim::output::OutputError>(())
/// ```
pub fn quantile_interval(mut observations: Vec<f64>, q: f64, level: f64) -> Result<Interval, OutputError> {
    let (q, level) = (share("quantile", q)?, share("level", level)?);
    if let Some(&found) = observations.iter().find(|value| !value.is_finite()) {
        return Err(super::exact::NotFinite { found }.into());
    }
    observations.sort_by(f64::total_cmp);
    let n = observations.len() as u64;
    let below = |k: u64| binomial_distribution(k, n, q);
    // Ranks l < u from 1 enclose with probability P(l ≤ X < u), X the number below. Each side is given at most half of what may be
    // missed, and its rank found by halving: the distribution function rises.
    let miss = (1.0 - level) / 2.0;
    let first = |holds: &dyn Fn(u64) -> bool| {
        let (mut low, mut high) = (0, n + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(middle) { high = middle } else { low = middle + 1 }
        }
        low
    };
    // The largest l with P(X < l) ≤ miss, and the smallest u with P(X ≥ u) ≤ miss.
    let lower = first(&|k| below(k) > miss);
    let upper = first(&|k| k > 0 && below(k - 1) >= 1.0 - miss);
    if lower == 0 || upper > n {
        let log = libm::fmin(libm::log(miss) / libm::log(q), 1e15);
        let other = libm::fmin(libm::log(miss) / libm::log1p(-q), 1e15);
        return Err(OutputError::TooFew { found: n, least: libm::ceil(libm::fmax(log, other)) as u64 });
    }
    let rank = (libm::ceil(q * n as f64) as u64).clamp(1, n);
    let at = |rank: u64| observations[rank as usize - 1];
    let reached = below(upper - 1) - below(lower - 1);
    Ok(Interval { estimate: at(rank), low: at(lower), high: at(upper), level: reached, count: n })
}
