//! A small seeded generator (splitmix64) for the faulty disk and for tests: same seed, same faults, on every machine.
//!
//! It is not for secrets and it takes no entropy by itself; the seed is always the caller's. The algorithm is Sebastiano
//! Vigna's public-domain `splitmix64.c` (the seeder of the xoshiro family). Drive it with [`SplitMix64::new`] and the
//! `next_u64`, `below` and `chance` methods.

/// The generator: sixty-four bits of state.
#[derive(Debug, Clone)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// A generator that starts from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next sixty-four bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..bound`; 0 when the bound is 0. The bias is below 2^-32 for bounds under 2^32.
    pub const fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        self.next_u64() % bound
    }

    /// True `out_of_hundred` times in a hundred.
    pub const fn chance(&mut self, out_of_hundred: u64) -> bool {
        self.below(100) < out_of_hundred
    }

    /// Fills a buffer.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            piece.copy_from_slice(&word[..piece.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SplitMix64;

    /// Reference outputs of `splitmix64.c` for the seed 1234567.
    #[test]
    fn gives_the_published_outputs() {
        let mut random = SplitMix64::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| random.next_u64()).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }
}
