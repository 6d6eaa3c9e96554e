//! A line: entries in one total order, a list through the slab they live in, with an ordered tree beside it.
//!
//! Nearly every entry comes at the tail (arrivals) or at the head (returned offers), in O(1). One that belongs within
//! [`NEAR`] entries of either end is put in by walking; the rest (head starts, seats that keep an old place) stand in the
//! tree. Which of the two holds an entry is never visible: reading merges both by rank, so a restored line behaves like
//! the one that was saved. The line does not own its entries and does not know what they mean.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map;

/// No entry.
pub(super) const NIL: u32 = u32::MAX;
/// In `prev`: the entry stands in the tree.
const SIDE: u32 = u32::MAX - 1;
/// Entries walked from either end before the tree is used.
const NEAR: u32 = 8;

/// What an entry carries: its rank and its neighbours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// First part of the rank: virtual arrival of a ticket, idle place of a seat.
    pub key: i64,
    /// Second part: the contact's or the seat's id. Ranks are unique within a line.
    pub tie: u64,
    next: u32,
    prev: u32,
}

impl Link {
    /// An entry that stands nowhere.
    pub(super) const fn new(key: i64, tie: u64) -> Self {
        Self { key, tie, next: NIL, prev: NIL }
    }

    fn rank(&self) -> (i64, u64) {
        (self.key, self.tie)
    }
}

/// A slab entry with a link inside.
pub(super) trait Linked {
    /// The link.
    fn link(&self) -> &Link;
    /// The link, to be changed by its line only.
    fn link_mut(&mut self) -> &mut Link;
}

/// The line itself; `T` lives in the slab given to each method, always the same one.
#[derive(Clone, Debug)]
pub(super) struct Line {
    head: u32,
    tail: u32,
    len: u32,
    /// Boxed, because most lines never have one and lines are made and dropped with every assignment.
    #[expect(clippy::box_collection, reason = "a word in the line instead of three, and no drop code in the common case")]
    side: Option<Box<BTreeMap<(i64, u64), u32>>>,
}

impl Line {
    pub(super) const fn new() -> Self {
        Self { head: NIL, tail: NIL, len: 0, side: None }
    }

    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts `at` where its rank belongs. Whether it is now the first of the line.
    pub(super) fn push<T: Linked>(&mut self, slab: &mut [T], at: u32) -> bool {
        self.len += 1;
        let rank = slab[at as usize].link().rank();
        if self.tail == NIL {
            self.between(slab, at, NIL, NIL);
        } else if rank > slab[self.tail as usize].link().rank() {
            self.between(slab, at, self.tail, NIL);
        } else if rank < slab[self.head as usize].link().rank() {
            self.between(slab, at, NIL, self.head);
        } else {
            self.push_inside(slab, at, rank);
            // Behind the list's head, therefore not first.
            return false;
        }
        self.len == 1 || self.first(slab) == at
    }

    /// The list has a head before `rank` and a tail behind it.
    fn push_inside<T: Linked>(&mut self, slab: &mut [T], at: u32, rank: (i64, u64)) {
        let (mut before, mut behind) = (self.head, self.tail);
        for _ in 0..NEAR {
            let next = slab[before as usize].link().next;
            if slab[next as usize].link().rank() > rank {
                return self.between(slab, at, before, next);
            }
            before = next;
            let prev = slab[behind as usize].link().prev;
            if slab[prev as usize].link().rank() < rank {
                return self.between(slab, at, prev, behind);
            }
            behind = prev;
        }
        slab[at as usize].link_mut().prev = SIDE;
        let other = self.side.get_or_insert_default().insert(rank, at);
        assert!(other.is_none(), "two entries of one rank in a line");
    }

    fn between<T: Linked>(&mut self, slab: &mut [T], at: u32, prev: u32, next: u32) {
        let link = slab[at as usize].link_mut();
        (link.prev, link.next) = (prev, next);
        match prev {
            NIL => self.head = at,
            _ => slab[prev as usize].link_mut().next = at,
        }
        match next {
            NIL => self.tail = at,
            _ => slab[next as usize].link_mut().prev = at,
        }
    }

    /// Takes `at` out; it must stand in this line.
    pub(super) fn remove<T: Linked>(&mut self, slab: &mut [T], at: u32) {
        self.len -= 1;
        let link = slab[at as usize].link_mut();
        let (prev, next) = (link.prev, link.next);
        (link.prev, link.next) = (NIL, NIL);
        if prev == SIDE {
            let rank = link.rank();
            let side = self.side.as_mut().expect("an entry of the tree has a tree");
            assert_eq!(side.remove(&rank), Some(at), "an entry left a line it did not stand in");
            if side.is_empty() {
                self.side = None;
            }
            return;
        }
        match prev {
            NIL => self.head = next,
            _ => slab[prev as usize].link_mut().next = next,
        }
        match next {
            NIL => self.tail = prev,
            _ => slab[next as usize].link_mut().prev = prev,
        }
    }

    /// The entry of the lowest rank, [`NIL`] when there is none.
    pub(super) fn first<T: Linked>(&self, slab: &[T]) -> u32 {
        match self.side.as_ref().and_then(|side| side.first_key_value()) {
            None => self.head,
            Some((rank, &at)) => {
                if self.head == NIL || *rank < slab[self.head as usize].link().rank() {
                    at
                } else {
                    self.head
                }
            }
        }
    }

    /// All entries by rank.
    pub(super) fn walk<'a, T: Linked>(&'a self, slab: &'a [T]) -> Walk<'a, T> {
        Walk { slab, list: self.head, side: self.side.as_ref().map(|side| side.iter()), peeked: None }
    }

    /// Entries by rank, behind the first, which the caller knows from [`Self::first`]. O(1) without a tree.
    pub(super) fn second<T: Linked>(&self, slab: &[T], first: u32) -> u32 {
        if self.side.is_none() {
            return slab[first as usize].link().next;
        }
        self.walk(slab).nth(1).unwrap_or(NIL)
    }
}

/// Merges list and tree.
pub(super) struct Walk<'a, T> {
    slab: &'a [T],
    list: u32,
    side: Option<btree_map::Iter<'a, (i64, u64), u32>>,
    peeked: Option<(&'a (i64, u64), &'a u32)>,
}

impl<T: Linked> Iterator for Walk<'_, T> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.peeked.is_none() {
            self.peeked = self.side.as_mut().and_then(Iterator::next);
        }
        match self.peeked {
            Some((rank, &at)) if self.list == NIL || *rank < self.slab[self.list as usize].link().rank() => {
                self.peeked = None;
                return Some(at);
            }
            _ => {}
        }
        if self.list == NIL {
            return None;
        }
        let at = self.list;
        self.list = self.slab[at as usize].link().next;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Link, Linked, NIL};
    use alloc::vec::Vec;
    use proptest::prelude::*;

    impl Linked for Link {
        fn link(&self) -> &Link {
            self
        }
        fn link_mut(&mut self) -> &mut Link {
            self
        }
    }

    proptest! {
        /// Any order of arrivals and departures: the line reads like a sorted vector, whoever stands in the tree.
        #[test]
        fn reads_like_a_sorted_vector(moves in prop::collection::vec((0_i64..40, any::<bool>(), any::<prop::sample::Index>()), 1..400)) {
            let mut slab: Vec<Link> = Vec::new();
            let mut line = Line::new();
            let mut model: Vec<(i64, u64, u32)> = Vec::new();
            for (key, leaves, which) in moves {
                if leaves && !model.is_empty() {
                    let (_, _, at) = model.remove(which.index(model.len()));
                    line.remove(&mut slab, at);
                } else {
                    let at = slab.len() as u32;
                    slab.push(Link::new(key, u64::from(at)));
                    let first = line.push(&mut slab, at);
                    model.push((key, u64::from(at), at));
                    model.sort_unstable();
                    prop_assert_eq!(first, model[0].2 == at);
                }
                let walked: Vec<u32> = line.walk(&slab).collect();
                let wanted: Vec<u32> = model.iter().map(|m| m.2).collect();
                prop_assert_eq!(&walked, &wanted);
                prop_assert_eq!(line.first(&slab), wanted.first().copied().unwrap_or(NIL));
                prop_assert_eq!(line.len() as usize, wanted.len());
                if let Some(&first) = wanted.first() {
                    prop_assert_eq!(line.second(&slab, first), wanted.get(1).copied().unwrap_or(NIL));
                }
            }
        }
    }
}
