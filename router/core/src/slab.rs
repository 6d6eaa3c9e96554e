//! A slab: dense slots, last freed first reused, so that the same operations give the same slots on every replica.
//!
//! Space for the limit is reserved at once (untouched pages cost nothing): growth would copy hundreds of megabytes inside one
//! input. The free list is state and is part of a snapshot: without it a restored machine would hand out other slots.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use tidegate_matcher::primitive::prefetch_whole;
use tidegate_matcher::room::touch_spare;

/// Slots of `T`, at most `limit` in use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Slab<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
    limit: u32,
}

impl<T> Slab<T> {
    pub(crate) fn new(limit: u32) -> Self {
        Self { slots: Vec::with_capacity(limit as usize), free: Vec::with_capacity(limit as usize), limit }
    }

    /// After a restore: reserve again what serialisation does not keep.
    pub(crate) fn reserve(&mut self) {
        self.slots.reserve_exact((self.limit as usize).saturating_sub(self.slots.len()));
        self.free.reserve_exact((self.limit as usize).saturating_sub(self.free.len()));
    }

    /// Entries that fit without growth: slots, and the free list.
    pub(crate) fn capacity(&self) -> [usize; 2] {
        [self.slots.capacity(), self.free.capacity()]
    }

    /// Writes the reserved memory once; at most `budget` bytes.
    pub(crate) fn prefault(&mut self, budget: &mut usize) {
        touch_spare(&mut self.slots, budget, || None);
        touch_spare(&mut self.free, budget, || 0);
    }

    pub(crate) fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
        self.reserve();
    }

    pub(crate) fn len(&self) -> u32 {
        (self.slots.len() - self.free.len()) as u32
    }

    /// How many more fit.
    pub(crate) fn room(&self) -> u32 {
        self.limit.saturating_sub(self.len())
    }

    /// The slot that the next insertion will take.
    pub(crate) fn next_slot(&self) -> u32 {
        self.free.last().copied().unwrap_or(self.slots.len() as u32)
    }

    /// Puts `value` into [`Self::next_slot`]. The caller has planned for room.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        debug_assert!(self.room() > 0, "the plan reserves room before a commit inserts");
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(value);
            slot
        } else {
            self.slots.push(Some(value));
            self.slots.len() as u32 - 1
        }
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let value = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(value)
    }

    /// Prefetches every line of a slot.
    pub(crate) fn prefetch(&self, slot: u32) {
        if let Some(place) = self.slots.get(slot as usize) {
            prefetch_whole(place);
        }
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// One past the highest slot ever used: the end of a sweep.
    pub(crate) fn end(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots.iter().enumerate().filter_map(|(i, v)| v.as_ref().map(|v| (i as u32, v)))
    }
}
