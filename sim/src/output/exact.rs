//! An exact sum of doubles: an integer wide enough for all of them, so that order and split do not matter.
//!
//! Every finite double is an integer multiple of 2⁻¹⁰⁷⁴ below 2²⁰⁹⁸ of them. [`ExactSum`] holds that integer in limbs of 32 bits, each
//! kept in an `i64` so that some 2³⁰ additions need no carry. Adding is two or three integer additions; merging adds limb by limb; the value
//! is rounded once. Hence merged shards have the same bytes as one run, in any order: nothing has to be said about order at all.
//!
//! Source of the idea: U. Kulisch's long accumulator; limbs with spare bits after R. Neal, "Fast exact summation using small and
//! large superaccumulators" (2015). Written from the description.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// 2098 bits and a carry, in limbs of 32 bits.
const LIMBS: usize = 68;
/// Additions between two carries: each adds less than 2³² to a limb.
const ADDITIONS_MAX: u32 = 1 << 30;
const LIMB_BITS: u32 = 32;

/// A term that no sum can hold.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("{found} cannot be summed, expected a finite number")]
pub struct NotFinite {
    /// The term.
    pub found: f64,
}

/// A sum without rounding. 560 bytes; sums of up to 2⁶³ terms.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "Vec<i64>", try_from = "Vec<i64>")]
pub struct ExactSum {
    limbs: [i64; LIMBS],
    additions: u32,
}

impl Default for ExactSum {
    fn default() -> Self {
        Self { limbs: [0; LIMBS], additions: 0 }
    }
}

impl ExactSum {
    /// Adds a term.
    ///
    /// # Errors
    /// [`NotFinite`]; the sum is unchanged then.
    pub fn add(&mut self, term: f64) -> Result<(), NotFinite> {
        if !term.is_finite() {
            return Err(NotFinite { found: term });
        }
        let bits = term.to_bits();
        let exponent = (bits >> 52 & 0x7FF) as u32;
        let fraction = bits & ((1 << 52) - 1);
        // In units of 2⁻¹⁰⁷⁴: subnormal numbers begin at bit 0, and so do those of the first exponent.
        let (mantissa, shift) = if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) };
        let (limb, offset) = ((shift / LIMB_BITS) as usize, shift % LIMB_BITS);
        let wide = u128::from(mantissa) << offset;
        let sign = if bits >> 63 == 1 { -1 } else { 1 };
        for part in 0..3 {
            self.limbs[limb + part] += sign * (wide >> (LIMB_BITS * part as u32) & 0xFFFF_FFFF) as i64;
        }
        self.counted(1);
        Ok(())
    }

    /// Adds another sum: the same as adding its terms.
    pub fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        other.carry();
        self.carry();
        for (limb, more) in self.limbs.iter_mut().zip(other.limbs) {
            *limb += more;
        }
        self.counted(1);
    }

    fn counted(&mut self, additions: u32) {
        self.additions += additions;
        if self.additions >= ADDITIONS_MAX {
            self.carry();
        }
    }

    /// Brings all limbs but the last to 0 … 2³²−1; the last keeps the sign. One sum has one such form.
    fn carry(&mut self) {
        let mut carry = 0;
        for limb in &mut self.limbs[..LIMBS - 1] {
            let total = *limb + carry;
            carry = total >> LIMB_BITS;
            *limb = total & 0xFFFF_FFFF;
        }
        self.limbs[LIMBS - 1] += carry;
        self.additions = 0;
    }

    /// The sum as an unevaluated pair, largest part first: 106 bits of it.
    pub(crate) fn parts(&self) -> (f64, f64) {
        let high = self.value();
        let mut rest = self.clone();
        // What is left after the nearest double, exactly; a sum past the largest double has no rest.
        let low = if rest.add(-high).is_ok() { rest.value() } else { 0.0 };
        (high, low)
    }

    /// The nearest double, ties to even; infinite past the largest.
    pub fn value(&self) -> f64 {
        let mut sum = self.clone();
        sum.carry();
        let negative = sum.limbs[LIMBS - 1] < 0;
        if negative {
            for limb in &mut sum.limbs {
                *limb = -*limb;
            }
            sum.carry();
        }
        let Some(top) = sum.limbs.iter().rposition(|limb| *limb != 0) else { return 0.0 };
        // The top limb and three below: at least 97 bits, and a sticky bit for the rest.
        let limb = |back: usize| if back <= top { sum.limbs[top - back] as u128 } else { 0 };
        let wide = limb(0) << 96 | limb(1) << 64 | limb(2) << 32 | limb(3);
        let sticky = top > 3 && sum.limbs[..top - 3].iter().any(|limb| *limb != 0);
        let value = scaled(wide | u128::from(sticky), (top as i32 - 3) * LIMB_BITS as i32);
        if negative { -value } else { value }
    }
}

/// `wide` · 2^(`shift` − 1074) as the nearest double. The lowest bit of `wide` may stand for anything below it.
fn scaled(wide: u128, shift: i32) -> f64 {
    let length = 128 - wide.leading_zeros() as i32;
    // A double keeps 53 bits, but none below 2⁻¹⁰⁷⁴.
    let drop = (length - 53).max(-shift);
    if drop <= 0 {
        // Fewer bits than a double holds: exact.
        return libm::ldexp(wide as f64, shift - 1_074);
    }
    let (kept, rest) = (wide >> drop, wide & ((1_u128 << drop) - 1));
    let half = 1_u128 << (drop - 1);
    let up = rest > half || (rest == half && kept & 1 == 1);
    // At most 2⁵³, so exact; and the scaling is exact too, because no bit lies below 2⁻¹⁰⁷⁴.
    libm::ldexp((kept + u128::from(up)) as f64, drop + shift - 1_074)
}

impl PartialEq for ExactSum {
    fn eq(&self, other: &Self) -> bool {
        let (mut a, mut b) = (self.clone(), other.clone());
        a.carry();
        b.carry();
        a.limbs == b.limbs
    }
}

/// The canonical limbs, lowest first, without zeros at the top.
impl From<ExactSum> for Vec<i64> {
    fn from(mut sum: ExactSum) -> Self {
        sum.carry();
        let used = sum.limbs.iter().rposition(|limb| *limb != 0).map_or(0, |top| top + 1);
        sum.limbs[..used].to_vec()
    }
}

/// Why limbs are no sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("limb {index} of an exact sum is out of range; expected at most 68 limbs of 0 to 4294967295, the last of any sign")]
pub struct BadLimbs {
    /// Which limb.
    pub index: usize,
}

impl TryFrom<Vec<i64>> for ExactSum {
    type Error = BadLimbs;

    fn try_from(limbs: Vec<i64>) -> Result<Self, BadLimbs> {
        if limbs.len() > LIMBS {
            return Err(BadLimbs { index: LIMBS });
        }
        let mut sum = Self::default();
        for (index, limb) in limbs.into_iter().enumerate() {
            let fits = if index == LIMBS - 1 { limb.unsigned_abs() < 1 << 62 } else { (0..=0xFFFF_FFFF).contains(&limb) };
            if !fits {
                return Err(BadLimbs { index });
            }
            sum.limbs[index] = limb;
        }
        Ok(sum)
    }
}
