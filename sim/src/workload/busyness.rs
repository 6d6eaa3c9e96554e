//! How busy a day is: gamma factors of mean 1 on arrival rates, one a day or one each span, correlated if asked.
//!
//! Factors are drawn by inversion, one uniform number each, so that mirrored streams give mirrored factors. Correlation is that of
//! the factors' normal scores (a Gaussian copula, AR(1)): the marginal distribution stays gamma whatever the correlation. The
//! quantile is found by bisection on the regularised incomplete gamma function; a few microseconds, a few times a replication.

use crate::kernel::sample::{Uniform, normal_quantile};
use crate::scenario::Busyness;

/// The factors of one replication.
#[derive(Clone, Debug, PartialEq)]
pub struct BusyDay {
    /// Length of a span in milliseconds; infinite for one factor.
    pub every_ms: f64,
    /// A factor for each span; the last one holds on.
    pub factors: Vec<f64>,
}

impl BusyDay {
    /// A usual day.
    pub fn usual() -> Self {
        Self { every_ms: f64::INFINITY, factors: vec![1.0] }
    }

    /// The factors of a day of this length.
    pub fn draw(busyness: &Busyness, length_ms: f64, stream: &mut impl Uniform) -> Self {
        let every_ms = busyness.every.map_or(f64::INFINITY, |every| every.ms());
        let spans = if every_ms.is_finite() { (length_ms / every_ms).ceil().max(1.0) as usize } else { 1 };
        let rho = busyness.correlation;
        let mut score = 0.0;
        let factors = (0..spans).map(|i| {
            let fresh = normal_quantile(stream.next_u01());
            score = if i == 0 { fresh } else { rho * score + (1.0 - rho * rho).sqrt() * fresh };
            let below = 0.5 * libm::erfc(-score / std::f64::consts::SQRT_2);
            gamma_quantile(busyness.shape, below) / busyness.shape
        });
        Self { every_ms, factors: factors.collect() }
    }

    /// The factor at a moment.
    pub fn at(&self, ms: f64) -> f64 {
        let span = if self.every_ms.is_finite() { (ms / self.every_ms) as usize } else { 0 };
        self.factors[span.min(self.factors.len() - 1)]
    }
}

/// The value below which a gamma variable of this shape and scale 1 lies with probability `p`, to as many
/// digits as `p` carries in that tail.
pub fn gamma_quantile(shape: f64, p: f64) -> f64 {
    if p <= 0.0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, shape + 1.0);
    while gamma_below(shape, high) < p && high < 1e300 {
        low = high;
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if gamma_below(shape, middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// P(a, x): by its series below a + 1, by Lentz's continued fraction above (Abramowitz & Stegun 6.5.29, 6.5.31).
fn gamma_below(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let front = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-17 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return (front * sum).min(1.0);
    }
    const TINY: f64 = 1e-300;
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut h = d;
    for i in 1..100_000 {
        let i = f64::from(i);
        let an = -i * (i - a);
        b += 2.0;
        d = an * d + b;
        d = 1.0 / if d.abs() < TINY { TINY } else { d };
        c = b + an / c;
        c = if c.abs() < TINY { TINY } else { c };
        let step = c * d;
        h *= step;
        if (step - 1.0).abs() < 1e-16 {
            break;
        }
    }
    1.0 - (front * h).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Mrg32k3a;
    use crate::scenario::Span;

    /// Shape 1 is the exponential, shape 1/2 half a squared normal; 11.34487 is the tabulated 99 % point of chi-squared with 3.
    #[test]
    fn quantiles_are_the_known_ones() {
        for p in [1e-6, 0.1, 0.5, 0.9, 1.0 - 1e-5] {
            assert!((gamma_quantile(1.0, p) / -libm::log1p(-p) - 1.0).abs() < 1e-9, "{p}");
            let z = normal_quantile(0.5 + p / 2.0);
            assert!((gamma_quantile(0.5, p) / (z * z / 2.0) - 1.0).abs() < 1e-6, "{p}");
        }
        assert!((2.0 * gamma_quantile(1.5, 0.99) - 11.344_866_730_144_4).abs() < 1e-9);
    }

    #[test]
    fn factors_have_mean_one_and_the_variance_of_their_shape() {
        let busyness = Busyness { shape: 28.7, shared: None, every: Span::from_seconds(60.0), correlation: 0.6 };
        let day = BusyDay::draw(&busyness, 60_000.0 * 40_000.0, &mut Mrg32k3a::from_seed(5));
        let n = day.factors.len() as f64;
        let mean = day.factors.iter().sum::<f64>() / n;
        let variance = day.factors.iter().map(|f| (f - mean) * (f - mean)).sum::<f64>() / n;
        let covariance = day.factors.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum::<f64>() / n;
        assert!((mean - 1.0).abs() < 0.006, "{mean}");
        assert!((variance * 28.7 - 1.0).abs() < 0.05, "{variance}");
        assert!((covariance / variance - 0.6).abs() < 0.04, "{}", covariance / variance);
    }
}
