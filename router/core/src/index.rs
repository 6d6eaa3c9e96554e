//! From a key to a slot: open addressing over one word an entry, sized once, never grown.
//!
//! A word holds a 32-bit tag (the high half of the hash) and the slot plus one. The home of an entry follows from its tag, so
//! that deletion shifts back without reading any record. Callers confirm a hit against the record itself. The probe's first
//! line can be prefetched for a whole committed batch ([`Index::prefetch`]); `hashbrown` hides its lines, hence ours.

use alloc::vec;
use alloc::vec::Vec;
use tidegate_matcher::primitive::prefetch_slice;
use tidegate_matcher::room::touch;
use tidegate_model::name::mix;

#[derive(Clone, Debug)]
pub(crate) struct Index {
    words: Vec<u64>,
    bits: u32,
}

pub(crate) const fn hash(key: u128) -> u64 {
    mix(key as u64 ^ mix((key >> 64) as u64 ^ 0x9e37_79b9_7f4a_7c15))
}

impl Index {
    /// Room for `limit` entries at a load of at most one half.
    pub(crate) fn new(limit: u32) -> Self {
        let bits = (u64::from(limit.max(8)) * 2).next_power_of_two().trailing_zeros();
        Self { words: vec![0; 1 << bits], bits }
    }

    fn home(&self, tag: u32) -> usize {
        (tag >> (32 - self.bits)) as usize
    }

    fn mask(&self) -> usize {
        self.words.len() - 1
    }

    /// The slot under `key` for which `confirm` holds.
    pub(crate) fn find(&self, key: u128, confirm: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = (hash(key) >> 32) as u32;
        let mut at = self.home(tag);
        loop {
            let word = self.words[at];
            if word == 0 {
                return None;
            }
            if (word >> 32) as u32 == tag && confirm(word as u32 - 1) {
                return Some(word as u32 - 1);
            }
            at = (at + 1) & self.mask();
        }
    }

    /// The first slot under the key's tag, unconfirmed: good enough to prefetch, reads no record.
    pub(crate) fn guess(&self, key: u128) -> Option<u32> {
        let tag = (hash(key) >> 32) as u32;
        let mut at = self.home(tag);
        loop {
            let word = self.words[at];
            if word == 0 {
                return None;
            }
            if (word >> 32) as u32 == tag {
                return Some(word as u32 - 1);
            }
            at = (at + 1) & self.mask();
        }
    }

    /// Adds an entry; the key must not be there.
    pub(crate) fn insert(&mut self, key: u128, slot: u32) {
        let tag = (hash(key) >> 32) as u32;
        let mut at = self.home(tag);
        while self.words[at] != 0 {
            at = (at + 1) & self.mask();
        }
        self.words[at] = u64::from(tag) << 32 | u64::from(slot + 1);
    }

    /// Removes the entry of `key` and `slot`, if there.
    pub(crate) fn remove(&mut self, key: u128, slot: u32) {
        let tag = (hash(key) >> 32) as u32;
        let wanted = u64::from(tag) << 32 | u64::from(slot + 1);
        let mut hole = self.home(tag);
        while self.words[hole] != wanted {
            if self.words[hole] == 0 {
                return;
            }
            hole = (hole + 1) & self.mask();
        }
        // Backward shift (Knuth, TAOCP 3, 6.4 algorithm R): close the gap with entries whose home lies at or before it.
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask();
            let word = self.words[at];
            if word == 0 {
                break;
            }
            let home = self.home((word >> 32) as u32);
            if (at.wrapping_sub(home) & self.mask()) >= (at.wrapping_sub(hole) & self.mask()) {
                self.words[hole] = word;
                hole = at;
            }
        }
        self.words[hole] = 0;
    }

    /// Writes the table's memory once, as it is; at most `budget` bytes.
    pub(crate) fn prefault(&mut self, budget: &mut usize) {
        touch(&mut self.words, budget);
    }

    pub(crate) fn prefetch(&self, key: u128) {
        prefetch_slice(&self.words, self.home((hash(key) >> 32) as u32));
    }
}
