//! How good a forecast was, and how good any forecast could have been.
//!
//! Beside each error stands its **noise floor**: the error that somebody would make who knew the true mean of every interval, if counts were Poisson. Real counts vary
//! more, so the floor is a lower bound; what is above it is the part that a better forecast can take away. Closed forms: the mean
//! absolute deviation of a Poisson count is 2 λ^(⌊λ⌋+1) e^−λ / ⌊λ⌋! (Crow 1958); its expected pinball loss at its own τ-quantile q is τ (λ − q) + q F(q−1)
//! − λ F(q−2). It refuses to know how a forecast was made.

use crate::calibrate::stats::gamma_cdf;
use serde::Serialize;

/// The quantiles at which pinball loss is averaged.
pub const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// One forecast and what came.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// What came.
    pub actual: f64,
    /// The mean that was forecast.
    pub forecast: f64,
    /// The forecast's [`QUANTILES`], where it gave any.
    pub quantiles: Option<[f64; 5]>,
}

/// Errors and their floors. Shares of what came, except MASE.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Accuracy {
    /// Intervals.
    pub n: u64,
    /// Σ |actual − forecast| / Σ actual.
    pub wape: f64,
    /// The least that Poisson noise leaves of it.
    pub wape_floor: f64,
    /// What is above the floor, and its standard error if the forecast were the truth.
    pub above_floor: f64,
    /// The standard error.
    pub above_floor_error: f64,
    /// Σ (forecast − actual) / Σ actual.
    pub bias: f64,
    /// Mean absolute error over that of the scale (the seasonal naive within the history).
    pub mase: f64,
    /// MASE at the floor.
    pub mase_floor: f64,
    /// Mean pinball loss over [`QUANTILES`], over the mean of what came, where quantiles were given.
    pub pinball: Option<f64>,
    /// The least that Poisson noise leaves of it.
    pub pinball_floor: f64,
}

impl Accuracy {
    /// Measures pairs; `scale` is the mean absolute error that MASE divides by. `None` when nothing came.
    pub fn of(pairs: &[Pair], scale: f64) -> Option<Self> {
        let n = pairs.len() as f64;
        let actual: f64 = pairs.iter().map(|pair| pair.actual).sum();
        if actual <= 0.0 {
            return None;
        }
        let error: f64 = pairs.iter().map(|pair| (pair.actual - pair.forecast).abs()).sum();
        let floor: f64 = pairs.iter().map(|pair| deviation(pair.forecast)).sum();
        let spread: f64 = pairs
            .iter()
            .map(|pair| {
                let deviation = deviation(pair.forecast);
                pair.forecast.max(0.0) - deviation * deviation
            })
            .sum();
        let pinball: Option<f64> = pairs
            .iter()
            .map(|pair| {
                let of = |(tau, q): (&f64, &f64)| {
                    let off = pair.actual - q;
                    if off >= 0.0 { tau * off } else { (tau - 1.0) * off }
                };
                Some(QUANTILES.iter().zip(pair.quantiles.as_ref()?).map(of).sum::<f64>() / QUANTILES.len() as f64)
            })
            .sum();
        let pinball_floor: f64 = pairs.iter().map(|pair| pinball_floor(pair.forecast)).sum();
        Some(Self {
            n: pairs.len() as u64,
            wape: error / actual,
            wape_floor: floor / actual,
            above_floor: (error - floor) / actual,
            above_floor_error: spread.sqrt() / actual,
            bias: pairs.iter().map(|pair| pair.forecast - pair.actual).sum::<f64>() / actual,
            mase: error / n / scale,
            mase_floor: floor / n / scale,
            pinball: pinball.map(|loss| loss / actual),
            pinball_floor: pinball_floor / actual,
        })
    }
}

/// Mean absolute deviation of a Poisson count from its mean.
pub fn deviation(mean: f64) -> f64 {
    if mean <= 0.0 {
        return 0.0;
    }
    let whole = libm::floor(mean);
    2.0 * libm::exp((whole + 1.0) * libm::log(mean) - mean - libm::lgamma(whole + 1.0))
}

/// The noise floor of WAPE at one volume: 25 % at 10 contacts an interval, 8 % at 100.
pub fn wape_floor(volume: f64) -> f64 {
    deviation(volume) / volume
}

/// The share of Poisson counts of this mean that are at most `k`.
pub fn poisson_cdf(mean: f64, k: f64) -> f64 {
    if k < 0.0 { 0.0 } else { 1.0 - gamma_cdf(libm::floor(k) + 1.0, mean) }
}

/// The smallest count whose share is at least `tau`.
pub fn poisson_quantile(mean: f64, tau: f64) -> f64 {
    let guess = mean + crate::kernel::sample::normal_quantile(tau.clamp(1e-12, 1.0 - 1e-12)) * mean.sqrt();
    let mut k = libm::floor(guess).max(0.0);
    while k > 0.0 && poisson_cdf(mean, k - 1.0) >= tau {
        k -= 1.0;
    }
    while poisson_cdf(mean, k) < tau {
        k += 1.0;
    }
    k
}

/// Expected pinball loss of the true quantiles, averaged over [`QUANTILES`].
fn pinball_floor(mean: f64) -> f64 {
    if mean <= 0.0 {
        return 0.0;
    }
    let one = |tau: f64| {
        let q = poisson_quantile(mean, tau);
        tau * (mean - q) + q * poisson_cdf(mean, q - 1.0) - mean * poisson_cdf(mean, q - 2.0)
    };
    QUANTILES.iter().map(|tau| one(*tau)).sum::<f64>() / QUANTILES.len() as f64
}
