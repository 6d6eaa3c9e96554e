//! The mutation engine of the plain test run: seeded, guided by the corpus, without coverage.
//!
//! [`Mutator`] yields inputs derived from a corpus: bits, bytes, interesting integers in both byte orders, blocks inserted,
//! removed, repeated and exchanged between two entries. The same seed and corpus give the same inputs on every machine. It
//! finds what lies near a good input; coverage-guided search is the nightly libFuzzer run's part. It knows no target.

/// A source of pseudo-random numbers: `SplitMix64` (Steele, Lea, Flood 2014), enough for choosing mutations.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() >> 33).unwrap_or(0).checked_rem(bound).unwrap_or(0)
    }
}

/// Integers at which code tends to turn: limits of widths, signs, and neighbours of powers of two.
const INTERESTING: [u64; 16] =
    [0, 1, 2, 16, 64, 100, 127, 128, 255, 256, 4_095, 65_535, 65_536, u32::MAX as u64, i64::MAX as u64, u64::MAX];

/// Bytes that open, close or separate something in the formats of the house.
const TOKENS: [&[u8]; 20] = [
    b"\0",
    b"\n",
    b"\r\n",
    b",",
    b"\"",
    b"'",
    b"{",
    b"}",
    b"[",
    b"]",
    b"=",
    b":",
    b"\\u0000",
    b"\xEF\xBB\xBF",
    b"\xC0\x80",
    b"-1",
    b"1e99",
    b"null",
    b"true",
    b"\xF0\x9F\x8C\x8A",
];

/// Yields mutated inputs.
#[derive(Clone, Debug)]
pub struct Mutator {
    corpus: Vec<Vec<u8>>,
    random: Random,
    bytes_max: usize,
}

impl Mutator {
    /// Mutations of `corpus` under `seed`, none longer than `bytes_max`. An empty corpus is read as one empty entry.
    #[must_use]
    pub fn new(corpus: Vec<Vec<u8>>, seed: u64, bytes_max: usize) -> Self {
        let corpus = if corpus.is_empty() { vec![Vec::new()] } else { corpus };
        Self { corpus, random: Random::new(seed), bytes_max }
    }

    /// The next input: an entry of the corpus with one to eight mutations, now and then none of it at all.
    pub fn input(&mut self) -> Vec<u8> {
        let mut data = self.entry();
        if self.random.below(64) == 0 {
            data = (0..self.random.below(256)).map(|_| self.random.number() as u8).collect();
        }
        for _ in 0..=self.random.below(8) {
            self.mutate(&mut data);
        }
        data.truncate(self.bytes_max);
        data
    }

    fn entry(&mut self) -> Vec<u8> {
        let at = self.random.below(self.corpus.len());
        self.corpus[at].clone()
    }

    /// A range of `data`, short more often than long.
    fn range(&mut self, data: &[u8]) -> std::ops::Range<usize> {
        let start = self.random.below(data.len() + 1);
        let length_max = (data.len() - start).min(1 << self.random.below(10));
        start..start + self.random.below(length_max + 1)
    }

    fn mutate(&mut self, data: &mut Vec<u8>) {
        let at = self.random.below(data.len().max(1));
        match self.random.below(10) {
            0 if !data.is_empty() => data[at] ^= 1 << self.random.below(8),
            1 if !data.is_empty() => data[at] = self.random.number() as u8,
            2 if !data.is_empty() => data[at] = data[at].wrapping_add([1, 255, 16, 128][self.random.below(4)]),
            3 => self.integer(data, at),
            4 => data.truncate(self.random.below(data.len() + 1)),
            5 => {
                let range = self.range(data);
                data.drain(range);
            }
            6 => {
                let block = data[self.range(data)].to_vec();
                let at = at.min(data.len());
                data.splice(at..at, block);
            }
            7 => {
                let token = TOKENS[self.random.below(TOKENS.len())];
                let end = if self.random.below(2) == 0 { at } else { (at + token.len()).min(data.len()) };
                let at = at.min(end).min(data.len());
                data.splice(at..end.min(data.len()), token.iter().copied());
            }
            8 => {
                let other = self.entry();
                let block = other[self.range(&other)].to_vec();
                let range = self.range(data);
                data.splice(range, block);
            }
            _ => {
                let other = self.entry();
                data.truncate(at);
                data.extend_from_slice(&other[self.random.below(other.len() + 1)..]);
            }
        }
        data.truncate(self.bytes_max);
    }

    /// Overwrites one, two, four or eight bytes by an interesting integer, in either byte order.
    fn integer(&mut self, data: &mut [u8], at: usize) {
        let width = 1 << self.random.below(4);
        let value = INTERESTING[self.random.below(INTERESTING.len())].wrapping_sub((self.random.below(3) == 0).into());
        let Some(place) = data.get_mut(at..at + width) else { return };
        place.copy_from_slice(&value.to_le_bytes()[..width]);
        if self.random.below(2) == 0 {
            place.reverse();
        }
    }
}
