//! Ratios of totals: abandoned over offered, answered in time over served.
//!
//! The mean of daily ratios is another figure than the ratio of totals, and a biased one where volumes vary; a planner means the
//! ratio. [`RatioMoments`] gathers pairs, mergeable in any order with the same bytes; [`ratio_delta`] linearises, [`ratio_jackknife`]
//! leaves out one replication at a time and takes the bias of order 1/n away.
//!
//! Sources: W. G. Cochran, Sampling Techniques, 6.; B. Efron, The Jackknife, the Bootstrap and Other Resampling Plans (1982).

use super::exact::{ExactSum, NotFinite};
use super::interval::{Interval, OutputError, factor, share};
use super::moments::Moments;
use crate::erlang::dd::{Dd, product};
use serde::{Deserialize, Serialize};

/// Moments of pairs of a numerator and a denominator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RatioMoments {
    over: Moments,
    under: Moments,
    products: ExactSum,
}

impl RatioMoments {
    /// The moments of these pairs.
    ///
    /// # Errors
    /// As [`RatioMoments::add`].
    pub fn of(pairs: impl IntoIterator<Item = (f64, f64)>) -> Result<Self, NotFinite> {
        let mut moments = Self::default();
        for (over, under) in pairs {
            moments.add(over, under)?;
        }
        Ok(moments)
    }

    /// Adds one replication's numerator and denominator.
    ///
    /// # Errors
    /// As [`Moments::add`]; nothing is changed then.
    pub fn add(&mut self, over: f64, under: f64) -> Result<(), NotFinite> {
        // Both are checked before either is taken.
        Moments::default().add(under)?;
        self.over.add(over)?;
        self.under.add(under)?;
        let both = product(over, under);
        self.products.add(both.hi)?;
        self.products.add(both.lo)
    }

    /// Adds the pairs of others.
    pub fn merge(&mut self, other: &Self) {
        self.over.merge(&other.over);
        self.under.merge(&other.under);
        self.products.merge(&other.products);
    }

    /// How many pairs.
    pub fn count(&self) -> u64 {
        self.over.count()
    }

    /// Total over total.
    pub fn ratio(&self) -> Option<f64> {
        let (over, under) = (self.over.mean()?, self.under.mean()?);
        (libm::fabs(under) > 0.0).then_some(over / under)
    }

    /// The sample covariance.
    fn covariance(&self) -> Option<f64> {
        let n = self.count() as f64;
        let (over, under) = (self.over.mean()?, self.under.mean()?);
        let (hi, lo) = self.products.parts();
        let around = Dd::from(hi) + Dd::from(lo) - product(over, under) * Dd::from(n);
        (n >= 2.0).then(|| around.value() / (n - 1.0))
    }
}

/// The ratio of means with its interval by linearisation (the delta method).
///
/// # Errors
/// [`OutputError`] for fewer than two pairs, a denominator of zero, or a level outside 0 to 1.
pub fn ratio_delta(moments: &RatioMoments, level: f64) -> Result<Interval, OutputError> {
    let level = share("level", level)?;
    let count = moments.count();
    let too_few = OutputError::TooFew { found: count, least: 2 };
    let (Some(over), Some(under)) = (moments.over.variance(), moments.under.variance()) else { return Err(too_few) };
    let covariance = moments.covariance().ok_or(too_few)?;
    let ratio = moments.ratio().ok_or(OutputError::NoDenominator)?;
    let mean = moments.under.mean().ok_or(too_few)?;
    let variance = libm::fmax(0.0, over - 2.0 * ratio * covariance + ratio * ratio * under) / (mean * mean);
    let half = factor(level, count as f64 - 1.0) * libm::sqrt(variance / count as f64);
    Ok(Interval::around(ratio, half, level, count))
}

/// The ratio of totals with its interval by the jackknife, its bias of order 1/n removed. O(n), in the order of the pairs.
///
/// # Errors
/// As [`ratio_delta`].
pub fn ratio_jackknife(pairs: &[(f64, f64)], level: f64) -> Result<Interval, OutputError> {
    let level = share("level", level)?;
    let count = pairs.len() as u64;
    if count < 2 {
        return Err(OutputError::TooFew { found: count, least: 2 });
    }
    let all = RatioMoments::of(pairs.iter().copied())?;
    let ratio = all.ratio().ok_or(OutputError::NoDenominator)?;
    let (over, under, n) = (all.over.sum(), all.under.sum(), count as f64);
    let pseudo = pairs.iter().map(|(one_over, one_under)| {
        let without = (over - one_over) / (under - one_under);
        n * ratio - (n - 1.0) * without
    });
    // A replication that holds the whole denominator leaves nothing without it.
    let pseudo = Moments::of(pseudo).map_err(|_| OutputError::NoDenominator)?;
    super::interval::mean_interval(&pseudo, level)
}
