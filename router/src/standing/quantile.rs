//! Quantiles of the beta-prime distribution: how long until the k-th departure when d departures took one unit of time.
//!
//! Departures at an unknown rate: the posterior of the rate after d of them in a span T is Gamma(d, T), the k-th to come takes
//! Gamma(k, rate), and the ratio of the two is T times beta-prime(k, d). Its distribution function is the regularised
//! incomplete beta function at w/(1+w), computed by Lentz's continued fraction (Lentz 1976; DLMF 8.17.22); the quantile is
//! found by Newton's steps in ln w from Paulson's approximation (Paulson 1942, by the cube root of F), inside a bracket that
//! only shrinks. Some ten continued fractions a quantile, each O(sqrt(max(k, d))) terms.
//!
//! Pure numbers: it refuses to know queues and clocks. The values that its tests hold were computed by `scipy.stats.betaprime.ppf`
//! of SciPy 1.17.1.

use libm::{exp, lgamma, log, sqrt};

/// Terms of a continued fraction at most; far above what a million contacts need.
const TERMS_MAX: u32 = 20_000;
const STEPS_MAX: u32 = 60;
const TINY: f64 = 1e-300;

/// The `q`-quantile of beta-prime(k, d); `k` and `d` positive, `q` between 0 and 1, both exclusive.
pub(crate) fn beta_prime(k: f64, d: f64, q: f64) -> f64 {
    let ln_beta = lgamma(k) + lgamma(d) - lgamma(k + d);
    let mut u = log(paulson(k, d, q).max(TINY));
    let (mut low, mut high) = (-690.0_f64, 690.0_f64);
    for _ in 0..STEPS_MAX {
        let w = exp(u);
        let error = cumulative(k, d, w, ln_beta) - q;
        if error > 0.0 {
            high = high.min(u)
        } else {
            low = low.max(u)
        }
        // d/du of the distribution function: the density at w, times w.
        let slope = exp(k * u - (k + d) * log(1.0 + w) - ln_beta);
        let newton = u - error / slope.max(TINY);
        let next = if newton > low && newton < high { newton } else { (low + high) / 2.0 };
        if (next - u).abs() < 1e-10 {
            return exp(next);
        }
        u = next;
    }
    exp(u)
}

/// P(X <= w) for X of beta-prime(k, d).
fn cumulative(k: f64, d: f64, w: f64, ln_beta: f64) -> f64 {
    let (x, y) = (w / (1.0 + w), 1.0 / (1.0 + w));
    let front = exp(k * log(x) + d * log(y) - ln_beta);
    if x < (k + 1.0) / (k + d + 2.0) { front * fraction(k, d, x) / k } else { 1.0 - front * fraction(d, k, y) / d }
}

/// The continued fraction of the incomplete beta function.
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let guard = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut e = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
    let mut value = e;
    for m in 1..TERMS_MAX {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        e = 1.0 / guard(1.0 + even * e);
        c = guard(1.0 + even / c);
        value *= e * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        e = 1.0 / guard(1.0 + odd * e);
        c = guard(1.0 + odd / c);
        value *= e * c;
        if (e * c - 1.0).abs() < 1e-14 {
            break;
        }
    }
    value
}

/// Where Newton begins: cube roots of gamma variates are nearly normal. Exactness does not matter here.
fn paulson(k: f64, d: f64, q: f64) -> f64 {
    // The normal quantile to three digits (Abramowitz and Stegun 26.2.23).
    let tail = if q > 0.5 { 1.0 - q } else { q };
    let t = sqrt(-2.0 * log(tail));
    let z = t - (2.515_517 + t * (0.802_853 + t * 0.010_328)) / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
    let z = if q > 0.5 { z } else { -z };
    let (va, vb) = (1.0 / (9.0 * k), 1.0 / (9.0 * d));
    let (a, b) = (1.0 - va, 1.0 - vb);
    let spread = b * b - z * z * vb;
    if spread <= 0.0 {
        return k / d;
    }
    let root = (a * b + z * sqrt((a * a * vb + b * b * va - z * z * va * vb).max(0.0))) / spread;
    (k / d) * (root * root * root).max(1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (k, d, median, 0.9-quantile) by SciPy 1.17.1: `[betaprime.ppf(q, k, d) for q in (.5, .9)]`.
    const BY_SCIPY: [(f64, f64, f64, f64); 10] = [
        (1.0, 8.0, 0.090_507_732_665_257_66, 0.333_521_432_163_324),
        (1.0, 64.0, 0.010_889_286_051_700_46, 0.036_632_928_437_698),
        (3.0, 12.5, 0.219_798_916_877_438_9, 0.485_774_897_449_613_8),
        (10.0, 8.0, 1.260_692_586_816_777_5, 2.364_090_338_463_091),
        (17.0, 64.0, 0.261_798_900_282_696_6, 0.368_156_623_975_408_94),
        (100.0, 40.0, 2.512_575_768_648_238, 3.209_639_820_774_871),
        (1_000.0, 64.0, 15.701_492_293_010_245, 18.605_741_071_634_704),
        (10_000.0, 64.0, 157.062_059_097_727_57, 185.318_348_400_316_47),
        (64.0, 64.0, 1.0, 1.255_124_306_050_959_8),
        (2.0, 1_000.0, 0.001_678_916_367_150_71, 0.003_895_344_606_589_746_6),
    ];

    #[test]
    fn quantiles_are_those_of_scipy() {
        for (k, d, p50, p90) in BY_SCIPY {
            for (q, expected) in [(0.5, p50), (0.9, p90)] {
                let found = beta_prime(k, d, q);
                assert!((found / expected - 1.0).abs() < 1e-8, "k {k} d {d} q {q}: {found} instead of {expected}");
            }
        }
    }

    #[test]
    fn hostile_numbers_end_in_a_finite_answer() {
        for k in [1.0, 2.0, 1e3, 1e5, 1e6] {
            for d in [0.01, 1.0, 8.0, 64.0, 1e4] {
                for q in [0.5, 0.9] {
                    let found = beta_prime(k, d, q);
                    assert!(found.is_finite() && found > 0.0, "k {k} d {d} q {q}: {found}");
                }
            }
        }
    }
}
