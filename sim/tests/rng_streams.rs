//! MRG32k3a against the outputs that its authors' package publishes.
//!
//! The RngStreams package (L'Ecuyer, Simard, Chen, Kelton, Operations Research 50 (2002) 1073-1075) comes with two test programs
//! and what they print: states, single outputs, and one sum over every operation. Both programs are retold here; stream objects
//! are states kept by the test. A wrong digit anywhere in the recurrence, the jumps or the scaling moves the sums.

use tidegate_sim::kernel::Mrg32k3a;

/// What the package calls a stream: where it is, where its substream and the stream itself began.
#[derive(Clone)]
struct Stream {
    now: Mrg32k3a,
    substream: Mrg32k3a,
    start: Mrg32k3a,
    antithetic: Antithetic,
}

#[derive(Clone, Copy)]
enum Antithetic {
    Off,
    On,
}

impl Stream {
    fn at(start: Mrg32k3a) -> Self {
        Self { now: start, substream: start, start, antithetic: Antithetic::Off }
    }

    fn streams<const N: usize>(seed: Mrg32k3a) -> [Self; N] {
        std::array::from_fn(|index| Self::at(seed.jumped(127, index as u64)))
    }

    fn u01(&mut self) -> f64 {
        let u = self.now.next_u01();
        match self.antithetic {
            Antithetic::Off => u,
            Antithetic::On => 1.0 - u,
        }
    }

    /// Increased precision, as the package draws it in both senses.
    fn u01_53(&mut self) -> f64 {
        match self.antithetic {
            Antithetic::Off => self.now.next_u01_53(),
            Antithetic::On => {
                let first = self.u01();
                let u = first + (self.u01() - 1.0) / 16_777_216.0;
                if u < 0.0 { u + 1.0 } else { u }
            }
        }
    }

    fn int_1_to_10(u: f64) -> f64 {
        1.0 + (10.0 * u).floor()
    }

    fn sum(&mut self, count: usize) -> f64 {
        (0..count).map(|_| self.u01()).sum()
    }

    fn sum_53(&mut self, count: usize) -> f64 {
        (0..count).map(|_| self.u01_53()).sum()
    }

    fn rewind(&mut self) {
        *self = Self { antithetic: self.antithetic, ..Self::at(self.start) };
    }

    fn rewind_substream(&mut self) {
        self.now = self.substream;
    }

    fn enter_next_substream(&mut self) {
        self.substream = self.substream.jumped(76, 1);
        self.now = self.substream;
    }

    /// On by 2^`log2` + `more` steps.
    fn advance(&mut self, log2: u32, more: u64) {
        self.now = self.now.jumped(log2, 1).jumped(0, more);
    }
}

fn ones() -> Mrg32k3a {
    Mrg32k3a::from_numbers([1; 6]).expect("six ones are a state")
}

/// Printed values carry 12 to 14 digits.
fn prints(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 5e-13 * expected.abs().max(1.0), "found {found:.15}, published {expected}");
}

#[test]
fn first_outputs_and_stream_states() {
    let mut first = Mrg32k3a::PUBLISHED_SEED;
    prints(first.next_u01(), 0.127_011_122_046_577);
    let [_, g2, g3] = Stream::streams(Mrg32k3a::PUBLISHED_SEED);
    assert_eq!(g2.now.numbers(), [3_692_455_944, 1_366_884_236, 2_968_912_127, 335_948_734, 4_161_675_175, 475_798_818]);
    assert_eq!(g3.now.numbers(), [1_015_873_554, 1_310_354_410, 2_249_465_273, 994_084_013, 2_912_484_720, 3_876_682_925]);
    let [_, laplace, galois, cantor] = Stream::streams(ones());
    assert_eq!(laplace.now.numbers(), [2_662_865_579, 741_857_976, 4_206_142_246, 3_352_832_365, 2_519_202_871, 655_500_294]);
    assert_eq!(galois.now.numbers(), [3_784_663_252, 802_042_081, 160_569_404, 3_391_851_556, 2_150_317_468, 54_240_022]);
    assert_eq!(cantor.now.numbers(), [3_276_123_839, 3_170_955_788, 1_470_482_105, 884_064_067, 1_017_894_425, 16_401_881]);
    assert_eq!(galois.now.jumped_back(127), laplace.now);
}

/// The first test program; it "should print 39.697547445251".
#[test]
fn first_program() {
    let [mut g1, mut g2, mut g3] = Stream::streams(Mrg32k3a::PUBLISHED_SEED);
    let mut sum = g2.u01() + g3.u01();
    g1.advance(5, 3);
    sum += g1.u01();
    g1.rewind();
    for _ in 0..35 {
        g1.now = g1.now.jumped(0, 1);
    }
    sum += g1.u01();
    g1.rewind();
    sum += (0..35).map(|_| Stream::int_1_to_10(g1.u01())).sum::<f64>() / 100.0;
    sum += g3.sum(100) / 10.0;
    g3.rewind();
    sum += g3.sum(5);
    for _ in 0..4 {
        g3.enter_next_substream();
    }
    sum += g3.sum(5);
    g3.rewind_substream();
    sum += g3.sum(5);
    g2.enter_next_substream();
    sum += g2.sum(100_000) / 10_000.0;
    g3.antithetic = Antithetic::On;
    sum += g3.sum(100_000) / 10_000.0;

    let mut four: [Stream; 4] = Stream::streams(ones());
    sum += four.iter_mut().map(Stream::u01).sum::<f64>();
    four[2].now = four[2].now.jumped_back(127);
    sum += four[2].u01();
    four[2].enter_next_substream();
    sum += four[2].sum_53(100_000) / 10_000.0;
    four[2].antithetic = Antithetic::On;
    sum += four[2].sum_53(100_000) / 10_000.0;
    four[2].antithetic = Antithetic::Off;
    sum += four.iter_mut().map(Stream::u01).sum::<f64>();
    prints(sum, 39.697_547_445_251);
}

/// The second test program and the lines it prints on the way to 23.70532386289.
#[test]
fn second_program() {
    let [mut g1, mut g2, mut g3] = Stream::streams(Mrg32k3a::PUBLISHED_SEED);
    let mut sum = g2.u01() + g3.u01();
    for _ in 0..12_345 {
        g2.u01();
    }
    g1.advance(5, 3);
    let advanced = [1_040_577_685, 3_747_037_609, 277_208_355, 1_712_706_441, 627_445_683, 2_408_037_141];
    assert_eq!(g1.now.numbers(), advanced);
    prints(g1.u01(), 0.079_416_736_149_85);
    g1.rewind();
    let integers: f64 = (0..35).map(|_| Stream::int_1_to_10(g1.u01())).sum();
    assert_eq!(g1.now.numbers(), advanced);
    prints(integers, 186.0);
    sum += integers / 100.0;
    g1.rewind();
    let mut precise = (0..17).map(|_| Stream::int_1_to_10(g1.u01_53())).sum::<f64>() / 10.0;
    let after_34 = [2_633_078_466, 1_040_577_685, 3_747_037_609, 3_152_585_150, 1_712_706_441, 627_445_683];
    assert_eq!(g1.now.numbers(), after_34);
    g1.rewind();
    precise += g1.sum_53(17);
    assert_eq!(g1.now.numbers(), after_34);
    g1.u01();
    assert_eq!(g1.now.numbers(), advanced);
    sum += precise / 10.0;
    let hundred = g3.sum(100);
    prints(hundred, 53.985_901_592_32);
    sum += hundred / 10.0;
    g3.rewind();
    for expected in [0.728_509_786_196_5, 0.965_587_282_283_7, 0.996_184_130_480_1, 0.114_988_416_181_3, 0.973_145_419_129_7] {
        prints(g3.u01(), expected);
    }
    sum += g3.u01();
    for _ in 0..4 {
        g3.enter_next_substream();
    }
    for expected in [0.173_454_539_635_8, 0.032_863_516_089_42, 0.264_316_912_968_2, 0.305_940_360_211_7, 0.547_630_303_517_7] {
        prints(g3.u01(), expected);
    }
    sum += g3.u01();
    g2.rewind_substream();
    let precise = g2.sum_53(100_000);
    prints(precise, 50_098.224_149_59);
    sum += precise / 10_000.0;
    g3.antithetic = Antithetic::On;
    let antithetic = g3.sum(100_000);
    prints(antithetic, 50_017.223_177_5);
    sum += antithetic / 10_000.0;
    let mut four: [Stream; 4] = Stream::streams(ones());
    four[2].now = four[2].now.jumped_back(127);
    four[2].enter_next_substream();
    sum += four.iter_mut().map(Stream::u01).sum::<f64>();
    prints(sum, 23.705_323_862_89);
}

#[test]
fn numbers_that_are_no_state_are_refused() {
    let check = |numbers: [u32; 6], expected: &str| {
        let message = Mrg32k3a::from_numbers(numbers).map_err(|error| error.to_string());
        assert_eq!(message, Err(expected.to_owned()));
    };
    // The modulus itself, one below (accepted), and the largest number there is.
    check([4_294_967_087, 1, 1, 1, 1, 1], "seed number 0 is 4294967087, expected less than 4294967087; choose a smaller one");
    assert!(Mrg32k3a::from_numbers([4_294_967_086, 1, 1, 4_294_944_442, 1, 1]).is_ok());
    check([1, 1, 1, 1, 1, u32::MAX], "seed number 5 is 4294967295, expected less than 4294944443; choose a smaller one");
    check([0, 0, 0, 1, 1, 1], "the first three seed numbers are all 0, expected at least one other; change one");
    check([1, 1, 1, 0, 0, 0], "the last three seed numbers are all 0, expected at least one other; change one");
}
