//! Samples from distributions, by inversion where the inverse is at hand, through the pinned `libm`.
//!
//! One uniform number in, one sample out (the gamma apart, which rejects), so that common random numbers stay synchronised when
//! a parameter changes. Every function is total over the parameters it accepts; parameters are checked when a distribution is
//! made, never when it is drawn. It knows neither streams' purposes nor what a sample stands for.
//!
//! Sources: normal quantile by Wichura's AS 241 (PPND16, relative error about 10⁻¹⁶); gamma by Marsaglia & Tsang 2000.

use super::mrg32k3a::Mrg32k3a;
use thiserror::Error;

/// Why a distribution cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum SampleError {
    /// A parameter must be finite and above zero.
    #[error("{name} is {found}, expected a finite number above 0")]
    NotPositive {
        /// The parameter.
        name: &'static str,
        /// Its value.
        found: f64,
    },
    /// A parameter must be finite.
    #[error("{name} is {found}, expected a finite number")]
    NotFinite {
        /// The parameter.
        name: &'static str,
        /// Its value.
        found: f64,
    },
    /// An empirical distribution needs at least one observation.
    #[error("no observation, expected at least one")]
    Empty,
}

/// Where uniform numbers come from.
pub trait Uniform {
    /// The next number, strictly between 0 and 1.
    fn next_u01(&mut self) -> f64;
}

impl Uniform for Mrg32k3a {
    #[inline]
    fn next_u01(&mut self) -> f64 {
        Mrg32k3a::next_u01(self)
    }
}

/// A distribution of a non-negative (or, for [`Distribution::normal`], any) quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution(Kind);

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Exponential { mean: f64 },
    Normal { mean: f64, deviation: f64 },
    LogNormal { mu: f64, sigma: f64 },
    Gamma { shape: f64, scale: f64 },
    Weibull { shape: f64, scale: f64 },
    Empirical { sorted: Vec<f64> },
}

impl Distribution {
    /// Exponential with this mean.
    ///
    /// # Errors
    /// [`SampleError::NotPositive`].
    pub fn exponential(mean: f64) -> Result<Self, SampleError> {
        Ok(Self(Kind::Exponential { mean: positive("mean", mean)? }))
    }

    /// Normal.
    ///
    /// # Errors
    /// [`SampleError`] for a mean that is not finite or a deviation that is not positive.
    pub fn normal(mean: f64, deviation: f64) -> Result<Self, SampleError> {
        Ok(Self(Kind::Normal { mean: finite("mean", mean)?, deviation: positive("deviation", deviation)? }))
    }

    /// Log-normal: the logarithm is normal with mean `mu` and deviation `sigma`.
    ///
    /// # Errors
    /// [`SampleError`] as for the normal.
    pub fn log_normal(mu: f64, sigma: f64) -> Result<Self, SampleError> {
        Ok(Self(Kind::LogNormal { mu: finite("mu", mu)?, sigma: positive("sigma", sigma)? }))
    }

    /// Gamma with mean `shape · scale`.
    ///
    /// # Errors
    /// [`SampleError::NotPositive`].
    pub fn gamma(shape: f64, scale: f64) -> Result<Self, SampleError> {
        Ok(Self(Kind::Gamma { shape: positive("shape", shape)?, scale: positive("scale", scale)? }))
    }

    /// Weibull: survival exp(−(x / scale)^shape).
    ///
    /// # Errors
    /// [`SampleError::NotPositive`].
    pub fn weibull(shape: f64, scale: f64) -> Result<Self, SampleError> {
        Ok(Self(Kind::Weibull { shape: positive("shape", shape)?, scale: positive("scale", scale)? }))
    }

    /// Resamples these observations, each as likely as another.
    ///
    /// # Errors
    /// [`SampleError::Empty`] without observations, [`SampleError::NotFinite`] for one that is not finite.
    pub fn empirical(observations: impl IntoIterator<Item = f64>) -> Result<Self, SampleError> {
        let mut sorted = observations.into_iter().map(|x| finite("observation", x)).collect::<Result<Vec<_>, _>>()?;
        if sorted.is_empty() {
            return Err(SampleError::Empty);
        }
        sorted.sort_by(f64::total_cmp);
        Ok(Self(Kind::Empirical { sorted }))
    }

    /// One sample.
    #[inline]
    pub fn sample(&self, stream: &mut impl Uniform) -> f64 {
        match &self.0 {
            Kind::Exponential { mean } => mean * standard_exponential(stream.next_u01()),
            Kind::Normal { mean, deviation } => mean + deviation * normal_quantile(stream.next_u01()),
            Kind::LogNormal { mu, sigma } => libm::exp(mu + sigma * normal_quantile(stream.next_u01())),
            Kind::Gamma { shape, scale } => scale * standard_gamma(*shape, stream),
            Kind::Weibull { shape, scale } => scale * libm::pow(standard_exponential(stream.next_u01()), 1.0 / shape),
            Kind::Empirical { sorted } => sorted[pick(stream.next_u01(), sorted.len())],
        }
    }
}

/// −ln u for u strictly between 0 and 1: an exponential of mean 1.
pub fn standard_exponential(u: f64) -> f64 {
    -libm::log(u)
}

/// Which of `count` equally likely things `u` picks: 0 to `count` − 1, for any `u`.
///
/// # Panics
/// If `count` is 0.
pub fn pick(u: f64, count: usize) -> usize {
    assert!(count > 0, "nothing to pick from");
    // `as` saturates and takes NaN to 0, so a `u` outside 0..1 still picks.
    ((u * count as f64) as usize).min(count - 1)
}

/// Marsaglia & Tsang; for shape below 1 the sample of shape + 1 is thinned by u^(1/shape).
fn standard_gamma(shape: f64, stream: &mut impl Uniform) -> f64 {
    if shape < 1.0 {
        let thinner = libm::pow(stream.next_u01(), 1.0 / shape);
        return standard_gamma(shape + 1.0, stream) * thinner;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let z = normal_quantile(stream.next_u01());
        let root = 1.0 + c * z;
        let u = stream.next_u01();
        if root > 0.0 {
            let v = root * root * root;
            if libm::log(u) < 0.5 * z * z + d - d * v + d * libm::log(v) {
                return d * v;
            }
        }
    }
}

/// The standard normal quantile of u strictly between 0 and 1 (AS 241, PPND16).
pub fn normal_quantile(u: f64) -> f64 {
    let q = u - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * ratio(r, &CENTRE);
    }
    let tail = if q < 0.0 { u } else { 1.0 - u };
    let r = (-libm::log(tail)).sqrt();
    let z = if r <= 5.0 { ratio(r - 1.6, &MIDDLE) } else { ratio(r - 5.0, &FAR) };
    if q < 0.0 { -z } else { z }
}

/// A quotient of two polynomials, highest power last.
fn ratio(x: f64, (over, under): &([f64; 8], [f64; 8])) -> f64 {
    horner(x, over) / horner(x, under)
}

fn horner(x: f64, coefficients: &[f64; 8]) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

const CENTRE: ([f64; 8], [f64; 8]) = (
    [
        3.387_132_872_796_366_6,
        133.141_667_891_784_38,
        1_971.590_950_306_551_3,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ],
    [
        1.0,
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_545,
    ],
);
const MIDDLE: ([f64; 8], [f64; 8]) = (
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        0.022_723_844_989_269_184,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        0.015_198_666_563_616_457,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
);
const FAR: ([f64; 8], [f64; 8]) = (
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        0.296_560_571_828_504_87,
        0.026_532_189_526_576_124,
        0.001_242_660_947_388_078_4,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        0.599_832_206_555_888,
        0.136_929_880_922_735_8,
        0.014_875_361_290_850_615,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ],
);

fn positive(name: &'static str, found: f64) -> Result<f64, SampleError> {
    if found.is_finite() && found > 0.0 { Ok(found) } else { Err(SampleError::NotPositive { name, found }) }
}

fn finite(name: &'static str, found: f64) -> Result<f64, SampleError> {
    if found.is_finite() { Ok(found) } else { Err(SampleError::NotFinite { name, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64, within: f64) {
        assert!((found - expected).abs() <= within, "found {found}, expected {expected} within {within}");
    }

    /// Quantiles as tabulated with AS 241 and in any statistics table.
    #[test]
    fn normal_quantiles_are_the_tabulated_ones() {
        close(normal_quantile(0.5), 0.0, 1e-15);
        close(normal_quantile(0.25), -0.674_489_750_196_081_7, 1e-15);
        close(normal_quantile(0.975), 1.959_963_984_540_054, 1e-14);
        close(normal_quantile(0.001), -3.090_232_306_167_813_5, 1e-14);
        close(normal_quantile(1e-20), -9.262_340_089_798_407, 1e-13);
    }

    #[test]
    fn means_and_deviations_are_those_asked_for() {
        let check = |distribution: Result<Distribution, SampleError>, mean: f64, deviation: f64| {
            let distribution = distribution.expect("parameters are fine");
            let mut stream = Mrg32k3a::from_seed(7);
            let n = 200_000;
            let sample: Vec<f64> = (0..n).map(|_| distribution.sample(&mut stream)).collect();
            let found = sample.iter().sum::<f64>() / f64::from(n);
            let spread = (sample.iter().map(|x| (x - found) * (x - found)).sum::<f64>() / f64::from(n)).sqrt();
            // Five standard errors of the mean.
            close(found, mean, 5.0 * deviation / f64::from(n).sqrt());
            close(spread, deviation, 0.03 * deviation);
        };
        check(Distribution::exponential(3.0), 3.0, 3.0);
        check(Distribution::normal(-2.0, 0.5), -2.0, 0.5);
        let (m, v) = (libm::exp(1.0 + 0.125), (libm::exp(0.25) - 1.0) * libm::exp(2.25));
        check(Distribution::log_normal(1.0, 0.5), m, v.sqrt());
        check(Distribution::gamma(2.5, 4.0), 10.0, (2.5_f64 * 16.0).sqrt());
        check(Distribution::gamma(0.4, 1.0), 0.4, 0.4_f64.sqrt());
        let g = |k: f64| libm::tgamma(1.0 + k / 1.5);
        check(Distribution::weibull(1.5, 2.0), 2.0 * g(1.0), 2.0 * (g(2.0) - g(1.0) * g(1.0)).sqrt());
        check(Distribution::empirical([1.0, 2.0, 3.0, 4.0]), 2.5, 1.25_f64.sqrt());
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        assert_eq!(
            Distribution::gamma(0.0, 1.0).map_err(|e| e.to_string()),
            Err("shape is 0, expected a finite number above 0".into())
        );
        assert!(Distribution::log_normal(f64::INFINITY, 1.0).is_err());
        assert!(Distribution::exponential(f64::NAN).is_err());
        assert_eq!(Distribution::empirical([]), Err(SampleError::Empty));
    }

    #[test]
    fn picks_stay_inside() {
        assert_eq!((pick(0.0, 3), pick(0.999_999, 3), pick(1.5, 3), pick(f64::NAN, 3)), (0, 2, 2, 0));
    }
}
