//! MRG32k3a, L'Ecuyer's combined multiple recursive generator, with jumps.
//!
//! Two recurrences of order three modulo m₁ = 2³² − 209 and m₂ = 2³² − 22853; period near 2¹⁹¹. The state is six integers and
//! a step is two linear maps, so a jump of any length is a matrix power. Integer arithmetic throughout; the one floating-point
//! operation is the last product, which IEEE 754 fixes, so every machine draws the same bits.
//!
//! Sources: P. L'Ecuyer, "Good parameters and implementations for combined multiple recursive random number generators",
//! Operations Research 47 (1999) 159-164; L'Ecuyer, Simard, Chen, Kelton, "An object-oriented random-number package with many
//! long streams and substreams", Operations Research 50 (2002) 1073-1075. Written from the papers' recurrence; checked in
//! `tests/rng_streams.rs` against the outputs that the second paper's package publishes.

use thiserror::Error;

const M1: u64 = 4_294_967_087;
const M2: u64 = 4_294_944_443;
const A12: u64 = 1_403_580;
const A13N: u64 = 810_728;
const A21: u64 = 527_612;
const A23N: u64 = 1_370_589;
/// 1 / (m₁ + 1): outputs lie strictly between 0 and 1.
const NORM: f64 = 1.0 / 4_294_967_088.0;
/// 2⁻²⁴, the weight of the second draw in [`Mrg32k3a::next_u01_53`].
const SECOND_DRAW: f64 = 1.0 / 16_777_216.0;

/// Why six numbers are no state of MRG32k3a.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SeedError {
    /// A number is not below its modulus.
    #[error("seed number {index} is {found}, expected less than {modulus}; choose a smaller one")]
    TooLarge {
        /// Which of the six, from 0.
        index: usize,
        /// The number given.
        found: u32,
        /// The modulus of its half.
        modulus: u64,
    },
    /// Three numbers of one half are all zero, which is a fixed point.
    #[error("the {half} three seed numbers are all 0, expected at least one other; change one")]
    AllZero {
        /// "first" or "last".
        half: &'static str,
    },
}

/// A generator state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mrg32k3a {
    first: [u64; 3],
    second: [u64; 3],
}

impl Mrg32k3a {
    /// The state that the published package starts from: six times 12345.
    pub const PUBLISHED_SEED: Self = Self { first: [12345; 3], second: [12345; 3] };

    /// A state from six numbers, three for each recurrence.
    ///
    /// # Errors
    /// [`SeedError`] when a number is not below its modulus, or one half is all zero.
    pub fn from_numbers(numbers: [u32; 6]) -> Result<Self, SeedError> {
        for (index, &found) in numbers.iter().enumerate() {
            let modulus = if index < 3 { M1 } else { M2 };
            if u64::from(found) >= modulus {
                return Err(SeedError::TooLarge { index, found, modulus });
            }
        }
        let [a, b, c, d, e, f] = numbers.map(u64::from);
        if [a, b, c] == [0; 3] {
            return Err(SeedError::AllZero { half: "first" });
        }
        if [d, e, f] == [0; 3] {
            return Err(SeedError::AllZero { half: "last" });
        }
        Ok(Self { first: [a, b, c], second: [d, e, f] })
    }

    /// A state spread from one number by SplitMix64 (Steele, Lea, Flood 2014); total, and different for different numbers
    /// but for chance.
    pub fn from_seed(seed: u64) -> Self {
        let mut state = seed;
        let mut below = |modulus: u64| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            // 1..modulus, so that no half can be all zero.
            (z ^ (z >> 31)) % (modulus - 1) + 1
        };
        Self { first: [below(M1), below(M1), below(M1)], second: [below(M2), below(M2), below(M2)] }
    }

    /// The six numbers of the state.
    pub fn numbers(&self) -> [u64; 6] {
        let ([a, b, c], [d, e, f]) = (self.first, self.second);
        [a, b, c, d, e, f]
    }

    /// The next number, strictly between 0 and 1, on a grid of about 2⁻³².
    #[inline]
    pub fn next_u01(&mut self) -> f64 {
        let p1 = (A12 * self.first[1] + A13N * (M1 - self.first[0])) % M1;
        self.first = [self.first[1], self.first[2], p1];
        let p2 = (A21 * self.second[2] + A23N * (M2 - self.second[0])) % M2;
        self.second = [self.second[1], self.second[2], p2];
        let z = if p1 > p2 { p1 - p2 } else { p1 + M1 - p2 };
        z as f64 * NORM
    }

    /// The next number with about 53 bits, from two draws (the published package's “increased precision”).
    pub fn next_u01_53(&mut self) -> f64 {
        let u = self.next_u01() + self.next_u01() * SECOND_DRAW;
        if u < 1.0 { u } else { u - 1.0 }
    }

    /// This state 2^`log2_steps` · `times` steps on. Costs `log2_steps` + 64 squarings at most.
    #[must_use]
    pub fn jumped(&self, log2_steps: u32, times: u64) -> Self {
        let (one, two) = step_matrices();
        let one = power(square_times(one, log2_steps, M1), times, M1);
        let two = power(square_times(two, log2_steps, M2), times, M2);
        self.through(&Jump { one, two })
    }

    /// This state 2^`log2_steps` steps back: the inverse of [`jumped`](Self::jumped) with `times` = 1.
    #[must_use]
    pub fn jumped_back(&self, log2_steps: u32) -> Self {
        let (one, two) = step_matrices();
        let one = square_times(inverse(one, M1), log2_steps, M1);
        let two = square_times(inverse(two, M2), log2_steps, M2);
        self.through(&Jump { one, two })
    }

    pub(crate) fn through(&self, jump: &Jump) -> Self {
        Self { first: apply(&jump.one, self.first, M1), second: apply(&jump.two, self.second, M2) }
    }
}

/// A jump of fixed length, ready to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Jump {
    one: [[u64; 3]; 3],
    two: [[u64; 3]; 3],
}

impl Jump {
    /// The jump of 2^`log2_steps` steps.
    pub(crate) fn of(log2_steps: u32) -> Self {
        let (one, two) = step_matrices();
        Self { one: square_times(one, log2_steps, M1), two: square_times(two, log2_steps, M2) }
    }

    /// The jump twice as long.
    pub(crate) fn doubled(&self) -> Self {
        Self { one: product(&self.one, &self.one, M1), two: product(&self.two, &self.two, M2) }
    }

    #[cfg(test)]
    pub(crate) fn matrices(&self) -> ([[u64; 3]; 3], [[u64; 3]; 3]) {
        (self.one, self.two)
    }
}

fn step_matrices() -> ([[u64; 3]; 3], [[u64; 3]; 3]) {
    ([[0, 1, 0], [0, 0, 1], [M1 - A13N, A12, 0]], [[0, 1, 0], [0, 0, 1], [M2 - A23N, 0, A21]])
}

fn apply(matrix: &[[u64; 3]; 3], vector: [u64; 3], modulus: u64) -> [u64; 3] {
    matrix.map(|row| dot(row, vector, modulus))
}

/// Each product is below 2⁶⁴; they are reduced before they are added.
fn dot(row: [u64; 3], column: [u64; 3], modulus: u64) -> u64 {
    let [x, y, z] = [0, 1, 2].map(|i| row[i] * column[i] % modulus);
    (x + y + z) % modulus
}

fn product(left: &[[u64; 3]; 3], right: &[[u64; 3]; 3], modulus: u64) -> [[u64; 3]; 3] {
    left.map(|row| [0, 1, 2].map(|j| dot(row, [right[0][j], right[1][j], right[2][j]], modulus)))
}

fn square_times(mut matrix: [[u64; 3]; 3], times: u32, modulus: u64) -> [[u64; 3]; 3] {
    for _ in 0..times {
        matrix = product(&matrix, &matrix, modulus);
    }
    matrix
}

fn power(mut base: [[u64; 3]; 3], mut exponent: u64, modulus: u64) -> [[u64; 3]; 3] {
    let mut result = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = product(&base, &result, modulus);
        }
        base = product(&base, &base, modulus);
        exponent >>= 1;
    }
    result
}

/// The inverse of a step matrix, solved from its last row (a, b, c): the new third number is a·x + b·y + c·z, so x comes back.
fn inverse(step: [[u64; 3]; 3], modulus: u64) -> [[u64; 3]; 3] {
    let [a, b, c] = step[2];
    let over_a = scalar_power(a, modulus - 2, modulus);
    let minus = |k: u64| (modulus - k) % modulus * over_a % modulus;
    [[minus(b), minus(c), over_a], [1, 0, 0], [0, 1, 0]]
}

fn scalar_power(mut base: u64, mut exponent: u64, modulus: u64) -> u64 {
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % modulus;
        }
        base = base * base % modulus;
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The four jump matrices as the published package prints them.
    #[test]
    fn jump_matrices_are_the_published_ones() {
        let (one, two) = Jump::of(76).matrices();
        assert_eq!(
            one,
            [
                [82_758_667, 1_871_391_091, 4_127_413_238],
                [3_672_831_523, 69_195_019, 1_871_391_091],
                [3_672_091_415, 3_528_743_235, 69_195_019]
            ]
        );
        assert_eq!(
            two,
            [
                [1_511_326_704, 3_759_209_742, 1_610_795_712],
                [4_292_754_251, 1_511_326_704, 3_889_917_532],
                [3_859_662_829, 4_292_754_251, 3_708_466_080]
            ]
        );
        let (one, two) = Jump::of(127).matrices();
        assert_eq!(
            one,
            [
                [2_427_906_178, 3_580_155_704, 949_770_784],
                [226_153_695, 1_230_515_664, 3_580_155_704],
                [1_988_835_001, 986_791_581, 1_230_515_664]
            ]
        );
        assert_eq!(
            two,
            [
                [1_464_411_153, 277_697_599, 1_610_723_613],
                [32_183_930, 1_464_411_153, 1_022_607_788],
                [2_824_425_944, 32_183_930, 2_093_834_863]
            ]
        );
    }

    #[test]
    fn a_jump_equals_its_steps_and_its_way_back() {
        let start = Mrg32k3a::from_seed(99);
        let mut walked = start;
        for _ in 0..(8 * 5) {
            walked.next_u01();
        }
        assert_eq!(start.jumped(3, 5), walked);
        assert_eq!(start.jumped(127, 1).jumped_back(127), start);
    }
}
