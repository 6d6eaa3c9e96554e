//! Count, mean and variance of numbers, mergeable in any order with the same bytes.
//!
//! The sum and the sum of squares are exact ([`ExactSum`]; a square enters as its two exact halves), so the moments of a whole are
//! those of its parts merged, bit for bit, for any split into shards or threads. Mean and variance are rounded at the end; their
//! subtraction is done in double-double, so a variance that is 10⁻²⁰ of the squared mean still has digits.

use super::exact::{ExactSum, NotFinite};
use crate::erlang::dd::{Dd, product};
use serde::{Deserialize, Serialize};

/// Moments of some numbers.
///
/// ```
/// use tidegate_sim::output::Moments;
///
/// let all = Moments::of([0.1, 0.2, 0.3, 0.4])?;
/// let mut merged = Moments::of([0.4, 0.2])?;
/// merged.merge(&Moments::of([0.3, 0.1])?);
/// assert_eq!(merged.mean().map(f64::to_bits), all.mean().map(f64::to_bits));
/// assert_eq!(all.mean(), Some(0.25));
/// # Ok::<(), tidegate_sim::output::NotFinite>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    sum: ExactSum,
    squares: ExactSum,
    #[serde(with = "bits")]
    least: Option<f64>,
    #[serde(with = "bits")]
    most: Option<f64>,
}

impl Moments {
    /// The moments of these numbers.
    ///
    /// # Errors
    /// As [`Moments::add`].
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Result<Self, NotFinite> {
        let mut moments = Self::default();
        for number in numbers {
            moments.add(number)?;
        }
        Ok(moments)
    }

    /// Adds a number.
    ///
    /// # Errors
    /// [`NotFinite`], also for a number whose square is past the largest double (about 10¹⁵⁴).
    pub fn add(&mut self, number: f64) -> Result<(), NotFinite> {
        // Past 10¹⁴⁰ the halves of a square would overflow on their way; below 10⁻¹⁴⁰ its lower half is lost, and does not matter.
        if number.is_nan() || libm::fabs(number) >= 1e140 {
            return Err(NotFinite { found: number });
        }
        let square = product(number, number);
        self.sum.add(number)?;
        self.squares.add(square.hi)?;
        self.squares.add(square.lo)?;
        self.count += 1;
        self.least = Some(self.least.map_or(number, |least| libm::fmin(least, number)));
        self.most = Some(self.most.map_or(number, |most| libm::fmax(most, number)));
        Ok(())
    }

    /// Adds the numbers of others.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
        let both = |a: Option<f64>, b: Option<f64>, of: fn(f64, f64) -> f64| match (a, b) {
            (Some(a), Some(b)) => Some(of(a, b)),
            (one, other) => one.or(other),
        };
        self.least = both(self.least, other.least, libm::fmin);
        self.most = both(self.most, other.most, libm::fmax);
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum, rounded once.
    pub fn sum(&self) -> f64 {
        self.sum.value()
    }

    /// Their mean; none of nothing.
    pub fn mean(&self) -> Option<f64> {
        let (hi, lo) = self.sum.parts();
        (self.count > 0).then(|| ((Dd::from(hi) + Dd::from(lo)) / Dd::from(self.count as f64)).value())
    }

    /// Their variance with divisor n − 1; none of fewer than two.
    pub fn variance(&self) -> Option<f64> {
        if self.count < 2 {
            return None;
        }
        let of = |(hi, lo): (f64, f64)| Dd::from(hi) + Dd::from(lo);
        let (n, sum) = (Dd::from(self.count as f64), of(self.sum.parts()));
        let around = of(self.squares.parts()) - sum * sum / n;
        Some(libm::fmax(0.0, (around / (n - Dd::ONE)).value()))
    }

    /// The square root of the variance.
    pub fn deviation(&self) -> Option<f64> {
        self.variance().map(libm::sqrt)
    }

    /// The least.
    pub fn least(&self) -> Option<f64> {
        self.least
    }

    /// The most.
    pub fn most(&self) -> Option<f64> {
        self.most
    }
}

/// Doubles as their bits: text formats and their readers round the last digit, and a shard's file must come back as it was.
mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        value.map(f64::to_bits).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(f64::from_bits))
    }
}
