//! Whole sample days around a forecast, and the forecast of a day that has begun.
//!
//! A day's counts are Poisson around its expectation times one Gamma factor for the day and one for each interval, with the
//! variances that [`Model`] found. Paths keep what quantiles lose: that a busy morning makes a busy afternoon. The update of a day
//! that has begun weighs what came against what was expected by their variances: with a Gamma factor of shape a, counts n
//! observed where e were expected, and φ the variance of such counts over Poisson's, the factor becomes Gamma of shape a + n/φ and
//! rate a + e/φ. With no variance between days nothing that came changes the forecast. Source of the sampler: Hörmann (1993),
//! Insurance: Mathematics and Economics 12, algorithm PTRS.

use super::core::{Events, Model};
use super::series::Paths;
use crate::calibrate::contact::DayNumber;
use crate::kernel::sample::{Distribution, standard_exponential};
use crate::kernel::{Mrg32k3a, Purpose, Streams};

/// What is known of a day's factor: a Gamma.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factor {
    /// Its mean.
    pub mean: f64,
    /// Its variance.
    pub variance: f64,
}

impl Model {
    /// A day's factor before it begins.
    pub fn factor(&self) -> Factor {
        Factor { mean: 1.0, variance: self.day_variance }
    }

    /// The factor of a day of which the first counts are known; `observed` may be shorter than the day, NaN where not observed.
    pub fn updated(&self, day: DayNumber, events: &Events, observed: &[f64]) -> Factor {
        let expected = self.day(day, events);
        let (mut came, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for (y, expected) in observed.iter().zip(&expected).filter(|(y, _)| y.is_finite()) {
            came += y;
            mean += expected;
            squares += expected * expected;
        }
        if self.day_variance <= 0.0 || mean <= 0.0 {
            return self.factor();
        }
        let shape = 1.0 / self.day_variance;
        let dispersion = 1.0 + self.interval_variance * squares / mean;
        let (shape, rate) = (shape + came / dispersion, shape + mean / dispersion);
        Factor { mean: shape / rate, variance: shape / (rate * rate) }
    }

    /// Sample paths of some days, each with its own factor. The same streams give the same paths.
    pub fn paths(&self, days: &[DayNumber], events: &Events, factor: Factor, count: usize, streams: &Streams) -> Paths {
        let gamma = |mean: f64, variance: f64| {
            // Both above zero here, so that the distribution always exists.
            (variance > 0.0 && mean > 0.0).then(|| Distribution::gamma(mean * mean / variance, variance / mean).ok()).flatten()
        };
        let (of_day, of_interval) = (gamma(factor.mean, factor.variance), gamma(1.0, self.interval_variance));
        let drawn = |distribution: &Option<Distribution>, mean: f64, stream: &mut Mrg32k3a| {
            distribution.as_ref().map_or(mean, |distribution| distribution.sample(stream))
        };
        let expected: Vec<Vec<f64>> = days.iter().map(|day| self.day(*day, events)).collect();
        let paths = (0..count as u64)
            .map(|path| {
                let (mut busy, mut stream) = (streams.for_(Purpose::Busyness, path), streams.for_(Purpose::Arrivals, path));
                expected
                    .iter()
                    .map(|day| {
                        let today = drawn(&of_day, factor.mean, &mut busy);
                        day.iter()
                            .map(|mean| {
                                let mean = mean * today * drawn(&of_interval, 1.0, &mut busy);
                                poisson(mean, &mut stream) as f64
                            })
                            .collect()
                    })
                    .collect()
            })
            .collect();
        Paths { days: days.to_vec(), paths }
    }
}

/// A Poisson count of this mean.
pub fn poisson(mean: f64, stream: &mut Mrg32k3a) -> u64 {
    if mean < 10.0 {
        let (mut count, mut left) = (0, mean);
        loop {
            left -= standard_exponential(stream.next_u01());
            if left < 0.0 {
                return count;
            }
            count += 1;
        }
    }
    let b = 0.931 + 2.53 * mean.sqrt();
    let a = -0.059 + 0.024_83 * b;
    let inverse_alpha = 1.123_9 + 1.132_8 / (b - 3.4);
    let v_r = 0.927_7 - 3.622_4 / (b - 2.0);
    loop {
        let u = stream.next_u01() - 0.5;
        let v = stream.next_u01();
        let us = 0.5 - u.abs();
        let k = libm::floor((2.0 * a / us + b) * u + mean + 0.43);
        if us >= 0.07 && v <= v_r {
            return k as u64;
        }
        if k < 0.0 || (us < 0.013 && v > us) {
            continue;
        }
        if libm::log(v * inverse_alpha / (a / (us * us) + b)) <= -mean + k * libm::log(mean) - libm::lgamma(k + 1.0) {
            return k as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poisson_counts_have_their_mean_and_variance() {
        for mean in [0.5, 4.0, 12.0, 40.0, 1_000.0] {
            let mut stream = Mrg32k3a::from_seed(11);
            let n = 40_000;
            let sample: Vec<f64> = (0..n).map(|_| poisson(mean, &mut stream) as f64).collect();
            let (found, variance, _) = crate::calibrate::stats::mean_and_variance(sample.into_iter());
            let error = (mean / f64::from(n)).sqrt();
            assert!((found - mean).abs() < 4.5 * error, "{mean}: {found}");
            assert!((variance / mean - 1.0).abs() < 0.04, "{mean}: {variance}");
        }
    }
}
