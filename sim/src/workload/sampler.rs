//! Samplers: the spreads of a scenario, ready to be drawn, in milliseconds.
//!
//! Made once from a checked [`Spread`]; drawing is total and allocates nothing. A table takes one number and inverts the survival
//! curve; a mixture takes one number for the part and then those of the part. `f64::INFINITY` is "for ever" and comes from
//! tables alone.

use crate::kernel::sample::{Distribution, SampleError, Uniform, pick, standard_exponential};
use crate::scenario::Spread;

/// A distribution of a span in milliseconds.
#[derive(Clone, Debug)]
pub struct Sampler(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Constant(f64),
    Exponential(f64),
    Plain(Distribution),
    Values(Vec<f64>),
    Table { at: Vec<f64>, survival: Vec<f64>, rest: f64 },
    Mixture(Vec<(f64, Sampler)>),
}

impl Sampler {
    /// The sampler of a spread.
    ///
    /// # Errors
    /// A parameter that [`crate::scenario::parse`] would have refused.
    pub fn new(spread: &Spread) -> Result<Self, SampleError> {
        Ok(Self(match spread {
            Spread::Constant { value } => Kind::Constant(value.ms()),
            Spread::Exponential { mean } => {
                Distribution::exponential(mean.ms())?;
                Kind::Exponential(mean.ms())
            }
            Spread::LogNormal { mean, cv } => {
                let variance = libm::log1p(cv * cv);
                Kind::Plain(Distribution::log_normal(libm::log(mean.ms()) - variance / 2.0, variance.sqrt())?)
            }
            Spread::Gamma { mean, cv } => Kind::Plain(Distribution::gamma(1.0 / (cv * cv), mean.ms() * cv * cv)?),
            Spread::Weibull { scale, shape } => Kind::Plain(Distribution::weibull(*shape, scale.ms())?),
            Spread::Empirical { values } => {
                if values.is_empty() {
                    return Err(SampleError::Empty);
                }
                let mut values: Vec<f64> = values.iter().map(|value| value.ms()).collect();
                values.sort_by(f64::total_cmp);
                Kind::Values(values)
            }
            Spread::Table { at, survival, rest } => Kind::Table {
                at: at.iter().map(|at| at.ms()).collect(),
                survival: survival.clone(),
                rest: rest.map_or(f64::INFINITY, |rest| rest.ms()),
            },
            Spread::Mixture { part } => {
                let mut sum = 0.0;
                let mut parts = Vec::with_capacity(part.len());
                for one in part {
                    sum += one.share;
                    parts.push((sum, Self::new(&one.spread)?));
                }
                Kind::Mixture(parts)
            }
        }))
    }

    /// One sample, in milliseconds.
    #[inline]
    pub fn sample(&self, stream: &mut impl Uniform) -> f64 {
        match &self.0 {
            Kind::Constant(value) => *value,
            Kind::Exponential(mean) => mean * standard_exponential(stream.next_u01()),
            Kind::Plain(distribution) => distribution.sample(stream),
            Kind::Values(values) => values[pick(stream.next_u01(), values.len())],
            Kind::Table { at, survival, rest } => {
                // u is the share that is left: the step at which the curve falls to u or below.
                let u = stream.next_u01();
                let step = survival.partition_point(|left| *left > u);
                match (at.get(step), survival.last(), at.last()) {
                    (Some(at), ..) => *at,
                    // Beyond the table: what is left of u decides how far, so that one number is enough.
                    (None, Some(left), Some(last)) if rest.is_finite() => last + rest * standard_exponential(u / left),
                    _ => f64::INFINITY,
                }
            }
            Kind::Mixture(parts) => {
                let u = stream.next_u01();
                let part = parts.partition_point(|(sum, _)| *sum <= u).min(parts.len() - 1);
                parts[part].1.sample(stream)
            }
        }
    }
}

/// To whole milliseconds, to the nearest; the largest number for what is for ever.
#[inline]
pub fn whole_ms(ms: f64) -> u64 {
    (ms + 0.5) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Mrg32k3a;
    use crate::scenario::{Part, Span};

    fn seconds(n: f64) -> Span {
        Span::from_seconds(n).expect("a span")
    }

    fn mean_and_cv(spread: &Spread) -> (f64, f64) {
        let sampler = Sampler::new(spread).expect("it is sound");
        let mut stream = Mrg32k3a::from_seed(11);
        let n = 100_000;
        let sample: Vec<f64> = (0..n).map(|_| sampler.sample(&mut stream) / 1_000.0).collect();
        let mean = sample.iter().sum::<f64>() / f64::from(n);
        let variance = sample.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / f64::from(n);
        (mean, variance.sqrt() / mean)
    }

    #[test]
    fn means_and_spreads_are_those_named() {
        for spread in [
            Spread::LogNormal { mean: seconds(180.0), cv: 0.8 },
            Spread::Gamma { mean: seconds(180.0), cv: 0.8 },
            Spread::Mixture {
                part: vec![
                    Part { share: 0.5, spread: Spread::Constant { value: seconds(36.0) } },
                    Part { share: 0.5, spread: Spread::Constant { value: seconds(324.0) } },
                ],
            },
        ] {
            let (mean, cv) = mean_and_cv(&spread);
            assert!((mean - 180.0).abs() < 2.5 && (cv - 0.8).abs() < 0.03, "{spread:?}: mean {mean}, cv {cv}");
        }
    }

    #[test]
    fn a_table_is_its_curve_with_a_tail() {
        let table = |rest| Spread::Table { at: vec![seconds(10.0), seconds(20.0)], survival: vec![0.75, 0.5], rest };
        let mut stream = Mrg32k3a::from_seed(3);
        let mut draw = |sampler: &Sampler| sampler.sample(&mut stream);
        let for_ever = Sampler::new(&table(None)).expect("it is sound");
        let sample: Vec<f64> = (0..40_000).map(|_| draw(&for_ever)).collect();
        let share = |f: &dyn Fn(f64) -> bool| sample.iter().filter(|x| f(**x)).count() as f64 / sample.len() as f64;
        assert!((share(&|x| (x - 10_000.0).abs() < 1e-9) - 0.25).abs() < 0.01);
        assert!((share(&|x| (x - 20_000.0).abs() < 1e-9) - 0.25).abs() < 0.01);
        assert!((share(&f64::is_infinite) - 0.5).abs() < 0.01);
        // Half of them end at 15 s on average, the other half at 20 s + 40 s.
        let with_tail = Sampler::new(&table(Some(seconds(40.0)))).expect("it is sound");
        let mean = (0..100_000).map(|_| draw(&with_tail)).sum::<f64>() / 100_000.0;
        assert!((mean - 37_500.0).abs() < 500.0, "{mean}");
    }
}
