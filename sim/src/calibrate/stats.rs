//! The little mathematics that the fits stand on, through the pinned libm: estimates with intervals, distribution functions,
//! distances between a sample and a distribution.
//!
//! Sources: the regularised incomplete gamma function by its series and its continued fraction (Abramowitz & Stegun 6.5.29,
//! 6.5.31, the fraction by Lentz's method); digamma and trigamma by recurrence and asymptotic series (6.3.5, 6.3.18, 6.4.12);
//! Wilson's interval for a share (1927); the Kolmogorov distribution (1933) with Stephens' correction for finite n (1970).
//!
//! It refuses to know what is estimated.

use serde::Serialize;

/// The normal quantile of a two-sided 95 % interval.
pub const Z95: f64 = 1.959_963_984_540_054;

/// A fitted figure with its 95 % interval and how many observations it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Its interval.
    pub ci95: [f64; 2],
    /// Observations.
    pub n: u64,
}

impl Estimate {
    /// A figure with a symmetric interval of `Z95` standard errors.
    pub fn normal(value: f64, standard_error: f64, n: u64) -> Self {
        let half = Z95 * standard_error;
        Self { value, ci95: [value - half, value + half], n }
    }

    /// A share of `hits` in `n`, with Wilson's interval; 0 to 1 when nothing was observed.
    pub fn share(hits: u64, n: u64) -> Self {
        if n == 0 {
            return Self { value: f64::NAN, ci95: [0.0, 1.0], n };
        }
        let (hits, count) = (hits as f64, n as f64);
        let (p, z2) = (hits / count, Z95 * Z95);
        let centre = (p + z2 / (2.0 * count)) / (1.0 + z2 / count);
        let half = Z95 / (1.0 + z2 / count) * (p * (1.0 - p) / count + z2 / (4.0 * count * count)).sqrt();
        Self { value: p, ci95: [(centre - half).max(0.0), (centre + half).min(1.0)], n }
    }

    /// The figure between the 2.5th and 97.5th percentile of its replicates.
    pub fn percentile(value: f64, mut replicates: Vec<f64>, n: u64) -> Self {
        replicates.retain(|replicate| replicate.is_finite());
        replicates.sort_by(f64::total_cmp);
        let ci95 = match replicates.len() {
            0 => [f64::NAN, f64::NAN],
            _ => [quantile(&replicates, 0.025), quantile(&replicates, 0.975)],
        };
        Self { value, ci95, n }
    }

    /// Whether the interval holds `truth`.
    pub fn covers(&self, truth: f64) -> bool {
        self.ci95[0] <= truth && truth <= self.ci95[1]
    }
}

/// The quantile of sorted values, linear between order statistics (Hyndman & Fan's type 7); NaN of nothing.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = (place as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// The standard normal distribution function.
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// The share of a Gamma of this shape and scale 1 below `x` (regularised lower incomplete gamma), within 1e-13.
pub fn gamma_cdf(shape: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let scale = libm::exp(shape * libm::log(x) - x - libm::lgamma(shape));
    if x < shape + 1.0 {
        let (mut term, mut sum, mut a) = (1.0 / shape, 1.0 / shape, shape);
        for _ in 0..10_000 {
            a += 1.0;
            term *= x / a;
            sum += term;
            if term < sum * 1e-16 {
                break;
            }
        }
        return (scale * sum).min(1.0);
    }
    let tiny = 1e-300;
    let mut b = x + 1.0 - shape;
    let (mut c, mut d) = (1.0 / tiny, 1.0 / b);
    let mut fraction = d;
    for n in 1..10_000 {
        let n = f64::from(n);
        let a = -n * (n - shape);
        b += 2.0;
        d = non_zero(a * d + b, tiny);
        c = non_zero(b + a / c, tiny);
        d = 1.0 / d;
        let step = d * c;
        fraction *= step;
        if (step - 1.0).abs() < 1e-16 {
            break;
        }
    }
    (1.0 - scale * fraction).max(0.0)
}

fn non_zero(x: f64, tiny: f64) -> f64 {
    if x.abs() < tiny { tiny } else { x }
}

/// The derivative of ln Γ, for x above 0.
pub fn digamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 8.0 {
        sum -= 1.0 / x;
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    sum + libm::log(x)
        - 0.5 / x
        - inverse * (1.0 / 12.0 - inverse * (1.0 / 120.0 - inverse * (1.0 / 252.0 - inverse * (1.0 / 240.0 - inverse / 132.0))))
}

/// The derivative of [`digamma`], for x above 0.
pub fn trigamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 8.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    sum + 1.0 / x + inverse / 2.0 + inverse / x * (1.0 / 6.0 - inverse * (1.0 / 30.0 - inverse * (1.0 / 42.0 - inverse / 30.0)))
}

/// How likely a Kolmogorov-Smirnov distance of at least this comes by chance, from `n` observations of a distribution that was
/// fully given beforehand.
pub fn kolmogorov_p(distance: f64, n: f64) -> f64 {
    let root = n.sqrt();
    let t = (root + 0.12 + 0.11 / root) * distance;
    if t < 0.2 {
        return 1.0;
    }
    let terms = (1..=100).map(|k| {
        let k = f64::from(k);
        let sign = if k % 2.0 > 0.5 { 1.0 } else { -1.0 };
        sign * libm::exp(-2.0 * k * k * t * t)
    });
    (2.0 * terms.sum::<f64>()).clamp(0.0, 1.0)
}

/// The mean and the unbiased variance of values; a variance of 0 of fewer than two.
pub fn mean_and_variance(values: impl Iterator<Item = f64>) -> (f64, f64, u64) {
    let (mut n, mut mean, mut squares) = (0_u64, 0.0, 0.0);
    for value in values {
        n += 1;
        let off = value - mean;
        mean += off / n as f64;
        squares += off * (value - mean);
    }
    (mean, if n > 1 { squares / (n - 1) as f64 } else { 0.0 }, n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64, within: f64) {
        assert!((found - expected).abs() <= within, "found {found}, expected {expected}");
    }

    /// Values from tables: chi-square with 2k degrees is a Gamma of shape k at x / 2; ψ(1) = −γ, ψ'(1) = π²/6.
    #[test]
    fn functions_have_their_tabulated_values() {
        close(gamma_cdf(1.0, 2.0), 1.0 - libm::exp(-2.0), 1e-14);
        close(gamma_cdf(5.0, 9.153_519_026_637_9), 0.95, 1e-6);
        close(gamma_cdf(0.5, 1.920_729_410_347_06), 0.95, 1e-12);
        // The share of Poisson counts of mean 150 that are 200 or more, by direct summation elsewhere.
        close(gamma_cdf(200.0, 150.0), 5.709_688_574_208e-5, 1e-15);
        close(digamma(1.0), -0.577_215_664_901_532_9, 1e-12);
        close(digamma(0.1), -10.423_754_940_411_076, 1e-10);
        close(trigamma(1.0), 1.644_934_066_848_226_4, 1e-10);
        close(normal_cdf(1.0), 0.841_344_746_068_543, 1e-14);
        close(kolmogorov_p(1.358_1 / 1e3, 1e6), 0.05, 2e-4);
    }

    #[test]
    fn shares_and_quantiles() {
        let share = Estimate::share(5, 50);
        close(share.value, 0.1, 1e-15);
        // Wilson's interval of 5 in 50.
        close(share.ci95[0], 0.043_476, 1e-5);
        close(share.ci95[1], 0.213_602, 1e-5);
        let nothing = Estimate::share(0, 0).ci95;
        close(nothing[0], 0.0, 0.0);
        close(nothing[1], 1.0, 0.0);
        close(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0, 1e-15);
        assert!(quantile(&[], 0.5).is_nan());
        let (mean, variance, n) = mean_and_variance([1.0, 2.0, 6.0].into_iter());
        assert_eq!(n, 3);
        close(mean, 3.0, 1e-15);
        close(variance, 7.0, 1e-14);
    }
}
