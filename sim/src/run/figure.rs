//! One figure with its interval: `{mean, ci95, n}`.
//!
//! Means of replications have Student's interval, ratios of sums that of the delta method (Cochran 1977) with Student's quantile:
//! replications are independent, so both hold whatever happens inside one. Sums are of integers, exactly; the few divisions at the
//! end are the only floats, in one order. Below two replications there is no interval, without a denominator no mean.

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
            let half = scale * student_quantile(self.n - 1) * deviation;
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

/// Student's 97.5 % point for these degrees of freedom (at least 1): relative error below 1e-9.
///
/// Source of the distribution function for whole degrees: Abramowitz & Stegun 26.7.3 and 26.7.4; of the expansion for more than
/// 2,000 of them: 26.7.5.
pub fn student_quantile(degrees: u64) -> f64 {
    const WANTED: f64 = 0.95;
    if degrees > 2_000 {
        let (z, v) = (1.959_963_984_540_054_f64, degrees as f64);
        let (z3, z5) = (z * z * z, z * z * z * z * z);
        return z + (z3 + z) / (4.0 * v) + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * v * v);
    }
    let (mut low, mut high) = (1.9, 13.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if within(middle, degrees) < WANTED { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// P(|T| <= t).
fn within(t: f64, degrees: u64) -> f64 {
    let theta = libm::atan(t / (degrees as f64).sqrt());
    let (sine, cosine) = (libm::sin(theta), libm::cos(theta));
    let square = cosine * cosine;
    let odd = degrees % 2 == 1;
    if degrees == 1 {
        return 2.0 * theta / std::f64::consts::PI;
    }
    let mut term = if odd { cosine } else { 1.0 };
    let mut sum = term;
    let mut k = if odd { 3 } else { 2 };
    while k + 2 <= degrees {
        // Even powers for even degrees, odd ones for odd degrees; factors (k-1)/k.
        term *= square * (k - 1) as f64 / k as f64;
        sum += term;
        k += 2;
    }
    if odd { 2.0 / std::f64::consts::PI * (theta + sine * sum) } else { sine * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tabulated in any book of statistics.
    #[test]
    fn quantiles_are_the_tabulated_ones() {
        for (degrees, expected) in [
            (1, 12.706_204_736),
            (2, 4.302_652_730),
            (3, 3.182_446_305),
            (4, 2.776_445_105),
            (5, 2.570_581_836),
            (9, 2.262_157_163),
            (10, 2.228_138_852),
            (30, 2.042_272_456),
            (99, 1.984_216_952),
            (1_000, 1.962_339_081),
        ] {
            let found = student_quantile(degrees);
            assert!((found - expected).abs() < 2e-9, "{degrees}: {found}, expected {expected}");
        }
        assert!((student_quantile(2_000) - student_quantile(2_001)).abs() < 1e-6);
    }

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
