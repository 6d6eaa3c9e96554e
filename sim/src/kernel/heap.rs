//! The implicit 4-ary heap under [`super::Calendar`] and [`super::Agenda`]: 128-bit keys, least first.
//!
//! Four children a node (LaMarca & Ladner 1996): half the levels of a binary heap, and a family of four keys is one cache line.
//! The hole of a popped key sinks to a leaf without comparing with the key that will fill it, which nearly always belongs there
//! (Wegener 1993). It refuses to know what a key means; callers put a time into its high bits and make all keys different.

use std::hint::select_unpredictable;

/// A key. All keys in a heap are different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub(super) u128);

impl Key {
    /// Sorts behind every real key, so that a family needs no length.
    const VACANT: Self = Self(u128::MAX);
}

/// Four keys of one parent.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Family([Key; ARITY]);

/// The implicit heap. Keys are numbered from the root, which is number [`ROOT`]: so the family of key `n` is family `n - 2`, the
/// parent of the keys in family `f` is key `f + 2`, and no family straddles a cache line. Lanes past the end are vacant.
#[derive(Clone, Debug)]
pub(super) struct Heap {
    families: Vec<Family>,
    len: usize,
}

const ARITY: usize = 4;
const ROOT: usize = ARITY - 1;

impl Family {
    const VACANT: Self = Self([Key::VACANT; ARITY]);

    /// The least key and its lane. Which of the four it is cannot be predicted, so nothing here may branch.
    fn least(&self) -> (usize, Key) {
        let [a, b, c, d] = self.0;
        let left = select_unpredictable(b < a, (1, b), (0, a));
        let right = select_unpredictable(d < c, (3, d), (2, c));
        select_unpredictable(right.1 < left.1, right, left)
    }
}

impl Heap {
    pub(super) fn new() -> Self {
        Self { families: Vec::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn top(&self) -> Option<Key> {
        self.families.first().map(|family| family.0[ROOT]).filter(|key| *key != Key::VACANT)
    }

    pub(super) fn push(&mut self, key: Key) {
        let number = ROOT + self.len;
        if number / ARITY == self.families.len() {
            self.families.push(Family::VACANT);
        }
        self.len += 1;
        self.rise(number, key);
    }

    /// Takes the least key out; nothing happens on an empty heap.
    pub(super) fn remove_top(&mut self) {
        if self.len == 0 {
            return;
        }
        self.len -= 1;
        let last = self.replace(ROOT + self.len, Key::VACANT);
        if self.len == 0 {
            return;
        }
        let mut hole = ROOT;
        // A family whose first lane is within the heap has a key; its lanes past the end are vacant and never the least.
        while (hole - 2) * ARITY < ROOT + self.len {
            let children = hole - 2;
            let (lane, least) = self.families[children].least();
            self.replace(hole, least);
            hole = children * ARITY + lane;
        }
        self.rise(hole, last);
    }

    /// Puts `key` into the hole `number`, or as far above as it belongs.
    fn rise(&mut self, mut number: usize, key: Key) {
        while number > ROOT {
            let parent = number / ARITY + 2;
            let above = self.families[parent / ARITY].0[parent % ARITY];
            if above < key {
                break;
            }
            self.replace(number, above);
            number = parent;
        }
        self.replace(number, key);
    }

    fn replace(&mut self, number: usize, key: Key) -> Key {
        std::mem::replace(&mut self.families[number / ARITY].0[number % ARITY], key)
    }

    /// Keeps the keys that `keep` says. The order of keys is total, so a rebuilt heap pops exactly as the old one would have.
    pub(super) fn rebuild(&mut self, keep: impl Fn(Key) -> bool) {
        let mut kept: Vec<Key> =
            self.families.iter().flat_map(|family| family.0).filter(|key| *key != Key::VACANT && keep(*key)).collect();
        // A sorted list is a heap.
        kept.sort_unstable();
        *self = Self::new();
        for key in kept {
            self.push(key);
        }
    }
}
