//! Bit sets over dense handles, and an open-addressing index from a hash to them.
//!
//! A *row* is a plain vector of words, grown when a bit is set beyond its end: missing words are zero. A [`Bits`] is a row
//! with a count, a [`Matrix`] many rows. What a search needs is the intersection of the two, by ascending handle, in batches: handles are written
//! out first, without a branch for each, because the pattern of bits cannot be predicted and what follows can. [`Index`]
//! never yields an order: it answers "which handle has this hash" and nothing else, so its layout cannot reach a decision.

use alloc::vec::Vec;

/// Words are allocated by this many, so that an intersection reads whole groups.
const GROUP: usize = 4;
/// Most handles of a batch.
pub(super) const BATCH: usize = 32;
/// Handles of a word that are written out without a branch: few words of a search have more.
const UNROLLED: usize = 3;

/// A set.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    count: u32,
}

impl Bits {
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn set(&mut self, at: u32, on: bool) {
        if row_has(&self.words, at) != on {
            row_set(&mut self.words, at, on);
            self.count = if on { self.count + 1 } else { self.count - 1 };
        }
    }

    /// Hands over every member that is also in `row`, ascending, in batches that are not empty.
    #[inline]
    pub(super) fn each_batch(&self, row: &[u64], mut visit: impl FnMut(&[u32])) {
        let mut batch = [0_u32; BATCH];
        let mut n = 0;
        for (g, (mine, other)) in self.words.chunks_exact(GROUP).zip(row.chunks_exact(GROUP)).enumerate() {
            let both: [u64; GROUP] = core::array::from_fn(|w| mine[w] & other[w]);
            if both.iter().fold(0, |all, w| all | w) == 0 {
                continue;
            }
            for (w, mut word) in both.into_iter().enumerate() {
                let base = ((g * GROUP + w) * 64) as u32;
                if n > BATCH - UNROLLED {
                    visit(&batch[..n]);
                    n = 0;
                }
                for _ in 0..UNROLLED {
                    batch[n % BATCH] = base + (word | 1 << 63).trailing_zeros();
                    n += usize::from(word != 0);
                    word &= word.wrapping_sub(1);
                }
                while word != 0 {
                    if n == BATCH {
                        visit(&batch);
                        n = 0;
                    }
                    batch[n % BATCH] = base + word.trailing_zeros();
                    n += 1;
                    word &= word - 1;
                }
            }
        }
        if n > 0 {
            visit(&batch[..n]);
        }
    }
}

/// Rows of equal length in one allocation: bit `column` of row `row` says that the two belong together.
#[derive(Clone, Debug, Default)]
pub(super) struct Matrix {
    words: Vec<u64>,
    /// Words of a row; a multiple of [`GROUP`].
    stride: usize,
    rows: usize,
}

impl Matrix {
    /// The words of a row; none when it was never written.
    #[inline]
    pub(super) fn row(&self, row: u32) -> &[u64] {
        let from = row as usize * self.stride;
        self.words.get(from..from + self.stride).unwrap_or(&[])
    }

    pub(super) fn has(&self, row: u32, column: u32) -> bool {
        row_has(self.row(row), column)
    }

    pub(super) fn set(&mut self, row: u32, column: u32, on: bool) {
        let (row, word) = (row as usize, (column / 64) as usize);
        if !on && (row >= self.rows || word >= self.stride) {
            return;
        }
        if word >= self.stride {
            // Doubled, so that growing column by column copies each row a few times only.
            let stride = (word + 1).next_power_of_two().max(GROUP);
            let mut words = alloc::vec![0; self.rows * stride];
            for (new, old) in words.chunks_exact_mut(stride).zip(self.words.chunks_exact(self.stride.max(1))) {
                new[..self.stride].copy_from_slice(old);
            }
            (self.words, self.stride) = (words, stride);
        }
        if row >= self.rows {
            self.rows = row + 1;
            self.words.resize(self.rows * self.stride, 0);
        }
        let word = &mut self.words[row * self.stride + word];
        let bit = 1 << (column % 64);
        *word = if on { *word | bit } else { *word & !bit };
    }
}

/// Sets or clears a bit of a row.
fn row_set(row: &mut Vec<u64>, at: u32, on: bool) {
    let (word, bit) = ((at / 64) as usize, 1_u64 << (at % 64));
    if on {
        if word >= row.len() {
            row.resize((word / GROUP + 1) * GROUP, 0);
        }
        row[word] |= bit;
    } else if let Some(word) = row.get_mut(word) {
        *word &= !bit;
    }
}

/// Whether a row has a bit.
fn row_has(row: &[u64], at: u32) -> bool {
    row.get((at / 64) as usize).is_some_and(|word| word >> (at % 64) & 1 == 1)
}

/// The bits of a row.
pub(super) fn row_each(row: &[u64]) -> impl Iterator<Item = u32> {
    row.iter().enumerate().flat_map(|(word, &bits)| {
        let mut bits = bits;
        core::iter::from_fn(move || {
            if bits == 0 {
                return None;
            }
            let at = word as u32 * 64 + bits.trailing_zeros();
            bits &= bits - 1;
            Some(at)
        })
    })
}

const EMPTY: u32 = u32::MAX;

/// Handles by hash: linear probing, at most half full, deletion by shifting back.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    slots: Vec<(u64, u32)>,
    len: usize,
}

impl Index {
    /// The handle of this hash for which `same` holds.
    pub(super) fn find(&self, hash: u64, mut same: impl FnMut(u32) -> bool) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let (h, handle) = self.slots[at];
            if handle == EMPTY {
                return None;
            }
            if h == hash && same(handle) {
                return Some(handle);
            }
            at = (at + 1) & mask;
        }
    }

    pub(super) fn insert(&mut self, hash: u64, handle: u32) {
        if self.slots.len() < 2 * (self.len + 1) {
            let bigger = (self.slots.len() * 2).max(16);
            let old = core::mem::replace(&mut self.slots, alloc::vec![(0, EMPTY); bigger]);
            for (h, handle) in old.into_iter().filter(|s| s.1 != EMPTY) {
                self.place(h, handle);
            }
        }
        self.place(hash, handle);
        self.len += 1;
    }

    fn place(&mut self, hash: u64, handle: u32) {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at].1 != EMPTY {
            at = (at + 1) & mask;
        }
        self.slots[at] = (hash, handle);
    }

    /// Forgets a handle that was inserted under this hash.
    pub(super) fn remove(&mut self, hash: u64, handle: u32) {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at] != (hash, handle) {
            assert!(self.slots[at].1 != EMPTY, "an index forgot a handle");
            at = (at + 1) & mask;
        }
        self.len -= 1;
        let mut hole = at;
        loop {
            self.slots[hole].1 = EMPTY;
            loop {
                at = (at + 1) & mask;
                if self.slots[at].1 == EMPTY {
                    return;
                }
                // Moves back unless its home lies behind the hole.
                let home = self.slots[at].0 as usize & mask;
                if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                    break;
                }
            }
            self.slots[hole] = self.slots[at];
            hole = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bits, Index, Matrix, row_each, row_has, row_set};
    use alloc::collections::{BTreeMap, BTreeSet};
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_are_a_set(moves in prop::collection::vec((0_u32..9_000, any::<bool>()), 1..200), row in prop::collection::vec(0_u32..9_000, 0..200), dense in 0_u32..9_000) {
            let (mut bits, mut model, mut words) = (Bits::default(), BTreeSet::new(), Vec::new());
            let row: Vec<u32> = row.into_iter().chain(dense..dense + 200).collect();
            for at in dense..dense + 190 {
                bits.set(at, true);
                model.insert(at);
            }
            for &at in &row {
                row_set(&mut words, at, true);
            }
            let row: BTreeSet<u32> = row.into_iter().collect();
            prop_assert!(row_each(&words).eq(row.iter().copied()));
            for (at, on) in moves {
                bits.set(at, on);
                if on { model.insert(at) } else { model.remove(&at) };
                prop_assert_eq!(bits.count() as usize, model.len());
                let mut both = Vec::new();
                bits.each_batch(&words, |batch| both.extend_from_slice(batch));
                prop_assert!(both.iter().eq(model.intersection(&row)));
                prop_assert_eq!(row_has(&words, at), row.contains(&at));
            }
        }

        /// Rows and columns come in any order; a row's bits are its own.
        #[test]
        fn matrix_is_a_relation(moves in prop::collection::vec((0_u32..20, 0_u32..2_000, any::<bool>()), 1..200)) {
            let (mut matrix, mut model) = (Matrix::default(), BTreeSet::new());
            for (row, column, on) in moves {
                matrix.set(row, column, on);
                if on { model.insert((row, column)) } else { model.remove(&(row, column)) };
                prop_assert_eq!(matrix.has(row, column), on);
            }
            for row in 0..21 {
                let wanted = model.range((row, 0)..(row + 1, 0)).map(|m| m.1);
                prop_assert!(row_each(matrix.row(row)).eq(wanted));
            }
        }

        /// Few hashes, so that runs are long and deletions leave holes in the middle of them.
        #[test]
        fn index_is_a_map(moves in prop::collection::vec((0_u64..24, any::<bool>()), 1..300)) {
            let (mut index, mut model) = (Index::default(), BTreeMap::new());
            for (n, (hash, insert)) in moves.into_iter().enumerate() {
                match (insert, model.contains_key(&hash)) {
                    (true, false) => { index.insert(hash, n as u32); model.insert(hash, n as u32); }
                    (false, true) => { let was = model.remove(&hash).unwrap_or_default(); index.remove(hash, was); }
                    _ => {}
                }
                for hash in 0..24 {
                    prop_assert_eq!(index.find(hash, |_| true), model.get(&hash).copied());
                }
            }
        }
    }
}
