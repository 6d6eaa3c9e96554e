//! One figure with its interval: `{mean, ci95, n}`.
//!
//! Means of replications have Student's interval, ratios of sums that of the delta method (Cochran 1977) with Student's quantile:
//! replications are independent, so both hold whatever happens inside one. Sums are of integers, exactly; the few divisions at the
//! end are the only floats, in one order. Below two replications there is no interval, without a denominator no mean.

use crate::output::student::t_quantile;
use serde::{Deserialize, Serialize};

/// A mean over `n` replications with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The mean, or ratio of means; none without anything to divide by.
    pub mean: Option<f64>,
    /// 95 % interval; none below two replications.
    pub ci95: Option<[f64; 2]>,
    /// Replications.
    pub n: u64,
}

/// Exact sums of pairs of integers: they add up in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairSums {
    /// Pairs.
    pub n: u64,
    /// Sums of the numerators, the denominators, their squares and products.
    pub x: u128,
    /// Denominators.
    pub y: u128,
    /// Squares of numerators.
    pub xx: u128,
    /// Squares of denominators.
    pub yy: u128,
    /// Products.
    pub xy: u128,
}

impl PairSums {
    /// Adds a pair.
    pub fn add(&mut self, x: u64, y: u64) {
        let (x, y) = (u128::from(x), u128::from(y));
        self.n += 1;
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.yy += y * y;
        self.xy += x * y;
    }

    /// Adds the pairs of another.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.x += other.x;
        self.y += other.y;
        self.xx += other.xx;
        self.yy += other.yy;
        self.xy += other.xy;
    }

    /// The ratio, times `scale`.
    pub fn ratio(&self, scale: f64) -> Figure {
        let n = self.n as f64;
        if self.y == 0 {
            return Figure { n: self.n, ..Figure::default() };
        }
        let r = self.x as f64 / self.y as f64;
        // Sum of (x - r y)^2; never below 0 but by rounding.
        let squares = (self.xx as f64 - 2.0 * r * self.xy as f64 + r * r * self.yy as f64).max(0.0);
        let mean = scale * r;
        let ci95 = (self.n >= 2).then(|| {
            let deviation = (squares / (n - 1.0) / n).sqrt() / (self.y as f64 / n);
            let half = scale * t_quantile(0.975, (self.n - 1) as f64) * deviation;
            [mean - half, mean + half]
        });
        Figure { mean: Some(mean), ci95, n: self.n }
    }
}

impl Figure {
    /// The ratio of two sums over replications, times `scale`.
    pub fn ratio(pairs: impl Iterator<Item = (u64, u64)>, scale: f64) -> Self {
        let mut sums = PairSums::default();
        pairs.for_each(|(x, y)| sums.add(x, y));
        sums.ratio(scale)
    }

    /// The mean of a number a replication.
    pub fn mean(values: impl Iterator<Item = u64>, scale: f64) -> Self {
        Self::ratio(values.map(|value| (value, 1)), scale)
    }

    /// Half the interval's width.
    pub fn half_width(&self) -> Option<f64> {
        self.ci95.map(|[low, high]| (high - low) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_has_students_interval() {
        let figure = Figure::mean([1, 2, 3, 4].into_iter(), 1.0);
        let half = 3.182_446_305 * (5.0_f64 / 3.0 / 4.0).sqrt();
        assert_eq!(figure.mean, Some(2.5));
        assert!((figure.half_width().unwrap_or(0.0) - half).abs() < 1e-8);
        assert_eq!(Figure::mean([7].into_iter(), 1.0).ci95, None);
        assert_eq!(Figure::ratio([(1, 0)].into_iter(), 1.0).mean, None);
    }
}
