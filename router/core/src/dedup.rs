//! De-duplication with outcomes: what was answered to an event id is answered again, for as long as the id is kept.
//!
//! Set-associative: a bucket of eight 64-bit id hashes is one cache line, its outcomes another that is read on a hit only;
//! inside a bucket the oldest goes first. The horizon is therefore counted in events (eight a bucket), not in seconds, and
//! equal on every replica. An unseen id is taken for a kept one with a probability of about kept events/2^64 a
//! look-up (2^-42 with four million); a replay with another content is a conflict, not a duplicate.

use crate::index::hash;
use alloc::vec;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use tidegate_matcher::primitive::prefetch_slice;
use tidegate_matcher::room::touch;

const WAYS: usize = 8;

/// What is kept of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Hash of the content.
    pub(crate) content: u32,
    /// Transcript number given.
    pub(crate) n: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Dedup {
    ids: Vec<[u64; WAYS]>,
    kept: Vec<[Kept; WAYS]>,
    oldest: Vec<u8>,
}

impl Dedup {
    /// Keeps `events` ids, rounded up to a power of two.
    pub(crate) fn new(events: u32) -> Self {
        let buckets = (events as usize / WAYS).next_power_of_two().max(1);
        Self { ids: vec![[0; WAYS]; buckets], kept: vec![[Kept::default(); WAYS]; buckets], oldest: vec![0; buckets] }
    }

    fn place(&self, key: u128) -> (usize, u64) {
        let h = hash(key);
        // The bucket comes from the low bits, the stored id is the whole hash with its zero taken by "empty".
        (h as usize & (self.ids.len() - 1), h | 1)
    }

    pub(crate) fn find(&self, key: u128) -> Option<Kept> {
        let (bucket, id) = self.place(key);
        let way = self.ids[bucket].iter().position(|&i| i == id)?;
        Some(self.kept[bucket][way])
    }

    pub(crate) fn insert(&mut self, key: u128, kept: Kept) {
        let (bucket, id) = self.place(key);
        let way = self.oldest[bucket] as usize;
        self.ids[bucket][way] = id;
        self.kept[bucket][way] = kept;
        self.oldest[bucket] = ((way + 1) % WAYS) as u8;
    }

    /// Writes the tables' memory once, as it is; at most `budget` bytes.
    pub(crate) fn prefault(&mut self, budget: &mut usize) {
        touch(&mut self.ids, budget);
        touch(&mut self.kept, budget);
        touch(&mut self.oldest, budget);
    }

    pub(crate) fn prefetch(&self, key: u128) {
        prefetch_slice(&self.ids, self.place(key).0);
    }

    /// Everything kept, for a snapshot: bucket, oldest, ids, outcomes; empty buckets left out.
    pub(crate) fn dump(&self) -> Vec<(u32, u8, [u64; WAYS], [Kept; WAYS])> {
        let used = |i: &usize| self.ids[*i] != [0; WAYS];
        (0..self.ids.len()).filter(used).map(|i| (i as u32, self.oldest[i], self.ids[i], self.kept[i])).collect()
    }

    /// The inverse of [`Self::dump`]; `None` when a bucket is out of range.
    pub(crate) fn load(events: u32, dump: &[(u32, u8, [u64; WAYS], [Kept; WAYS])]) -> Option<Self> {
        let mut table = Self::new(events);
        for (bucket, oldest, ids, kept) in dump {
            let i = *bucket as usize;
            *table.ids.get_mut(i)? = *ids;
            table.kept[i] = *kept;
            table.oldest[i] = (*oldest as usize % WAYS) as u8;
        }
        Some(table)
    }
}
