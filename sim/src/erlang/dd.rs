//! Double-double arithmetic: an unevaluated sum of two doubles, about 32 significant digits.
//!
//! A staffing formula adds up to some ten thousand terms and raises numbers to the power of thousands; in plain doubles the
//! rounding of each step adds up past 10⁻¹². Here a step rounds at about 10⁻³¹, so that what is left is the rounding of the
//! arguments. It is small on purpose: add, multiply, divide, `exp` and `expm1`, what the formulas of this module need. No fused
//! multiply-add (only some targets have one), so every machine gives the same bits.
//!
//! Sources: T. J. Dekker, "A floating-point technique for extending the available precision", Numer. Math. 18 (1971) 224-242;
//! D. E. Knuth, TAOCP 2, 4.2.2 (two-sum). Products are right below 10²⁹⁰ and above 10⁻²⁷⁰; callers rescale before that.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// A number as `hi + lo`, with |lo| at most half a unit in the last place of `hi`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dd {
    pub hi: f64,
    pub lo: f64,
}

/// 2²⁷ + 1, Dekker's splitting constant for 53 bits.
const SPLIT: f64 = 134_217_729.0;
/// ln 2 to 32 digits.
const LN_2: Dd = Dd { hi: std::f64::consts::LN_2, lo: 2.319_046_813_846_299_6e-17 };

fn quick_two_sum(a: f64, b: f64) -> Dd {
    let hi = a + b;
    Dd { hi, lo: b - (hi - a) }
}

fn two_sum(a: f64, b: f64) -> Dd {
    let hi = a + b;
    let b_part = hi - a;
    Dd { hi, lo: (a - (hi - b_part)) + (b - b_part) }
}

fn split(a: f64) -> (f64, f64) {
    let t = SPLIT * a;
    let high = t - (t - a);
    (high, a - high)
}

/// The product of two doubles, exactly, while nothing over- or underflows.
pub(crate) fn product(a: f64, b: f64) -> Dd {
    let hi = a * b;
    let ((a1, a2), (b1, b2)) = (split(a), split(b));
    Dd { hi, lo: ((a1 * b1 - hi) + a1 * b2 + a2 * b1) + a2 * b2 }
}

impl Dd {
    pub const ZERO: Self = Self { hi: 0.0, lo: 0.0 };
    pub const ONE: Self = Self { hi: 1.0, lo: 0.0 };

    /// The nearest double.
    pub fn value(self) -> f64 {
        self.hi + self.lo
    }

    /// Times a power of two, exactly while nothing underflows.
    pub fn scaled(self, power_of_two: f64) -> Self {
        Self { hi: self.hi * power_of_two, lo: self.lo * power_of_two }
    }

    /// e to this number less one. For |x| up to about 1; relative error about 10⁻³⁰ near 0 too.
    pub fn expm1(self) -> Self {
        // The series on x / 2⁸, then (1 + y)² − 1 = y (y + 2), eight times.
        let x = self.scaled(1.0 / 256.0);
        let (mut term, mut sum, mut k) = (x, x, 1.0);
        while libm::fabs(term.hi) > 1e-36 * libm::fabs(sum.hi) && k < 40.0 {
            k += 1.0;
            term = term * x / Self::from(k);
            sum = sum + term;
        }
        for _ in 0..8 {
            sum = sum * (sum + Self::from(2.0));
        }
        sum
    }

    /// e to this number, as a mantissa in [2⁻¹, 2²) and a power of two: arguments of any size neither over- nor underflow.
    pub fn exp(self) -> (Self, i64) {
        let k = libm::round(self.hi / LN_2.hi);
        let reduced = self - LN_2 * Self::from(k);
        (reduced.expm1() + Self::ONE, k as i64)
    }
}

impl From<f64> for Dd {
    fn from(hi: f64) -> Self {
        Self { hi, lo: 0.0 }
    }
}

impl Add for Dd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let high = two_sum(self.hi, other.hi);
        let low = two_sum(self.lo, other.lo);
        let sum = quick_two_sum(high.hi, high.lo + low.hi);
        quick_two_sum(sum.hi, sum.lo + low.lo)
    }
}

impl Neg for Dd {
    type Output = Self;
    fn neg(self) -> Self {
        Self { hi: -self.hi, lo: -self.lo }
    }
}

impl Sub for Dd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Dd {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let Dd { hi, lo } = product(self.hi, other.hi);
        quick_two_sum(hi, lo + (self.hi * other.lo + self.lo * other.hi))
    }
}

impl Div for Dd {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let first = self.hi / other.hi;
        let rest = self - other * Self::from(first);
        let second = rest.hi / other.hi;
        let rest = rest - other * Self::from(second);
        quick_two_sum(first, second) + Self::from(rest.hi / other.hi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// |found − expected| as a share of expected, both exact to 30 digits.
    fn off(found: Dd, expected: Dd) -> f64 {
        libm::fabs((found - expected).value() / expected.value())
    }

    #[test]
    fn thirds_and_tenths_keep_thirty_digits() {
        let third = Dd::ONE / Dd::from(3.0);
        assert!(off(third * Dd::from(3.0), Dd::ONE) < 1e-31);
        let sum = (0..1_000).fold(Dd::ZERO, |sum, _| sum + third);
        assert!(off(sum, Dd::from(1_000.0) / Dd::from(3.0)) < 1e-29);
        // A plain double cannot tell these apart.
        assert!((Dd::ONE + Dd::from(1e-25) - Dd::ONE).value() > 0.9e-25);
    }

    /// Values of e^x − 1 and e^x computed to 40 digits with mpmath, written as hi + lo.
    #[test]
    fn exponentials_keep_thirty_digits() {
        let e_minus_1 = Dd { hi: 1.718_281_828_459_045_3, lo: -7.747_991_575_210_629e-17 };
        assert!(off(Dd::from(1.0).expm1(), e_minus_1) < 1e-29, "{:e}", off(Dd::from(1.0).expm1(), e_minus_1));
        let small = Dd::from(1e-9).expm1();
        // x + x²/2 + x³/6 in exact doubles of decreasing size.
        let series = Dd::from(1e-9) + product(1e-9, 0.5e-9) + Dd::from(1e-27) / Dd::from(6.0);
        assert!(off(small, series) < 1e-26);
        let (mantissa, power) = Dd::from(-3_333.25).exp();
        let (inverse, back) = Dd::from(3_333.25).exp();
        assert!(off((mantissa * inverse).scaled(libm::ldexp(1.0, (power + back) as i32)), Dd::ONE) < 1e-27);
        let ln_2 = Dd::from(std::f64::consts::LN_2) + Dd::from(LN_2.lo);
        assert!(off(ln_2.expm1(), Dd::ONE) < 1e-29, "ln 2 is what it is said to be");
    }
}
