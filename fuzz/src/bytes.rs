//! Bytes read as choices: how a target turns fuzzed data into a sequence of operations.
//!
//! Total by construction: past the end every choice is zero, so that any prefix of an input is an input. It refuses to know
//! what is chosen.

/// A cursor over fuzzed bytes.
#[derive(Clone, Copy, Debug)]
pub struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte, or 0 at the end.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// The next four bytes, little-endian, zero-filled at the end.
    pub fn word(&mut self) -> u32 {
        let mut word = [0; 4];
        let taken = self.take(4);
        word[..taken.len()].copy_from_slice(taken);
        u32::from_le_bytes(word)
    }

    /// A number below `bound`, or 0 when `bound` is 0; two bytes are read.
    pub fn below(&mut self, bound: usize) -> usize {
        let low = usize::from(self.byte());
        let high = usize::from(self.byte());
        (high << 8 | low).checked_rem(bound).unwrap_or(0)
    }

    /// At most `count` bytes.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}
