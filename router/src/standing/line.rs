//! A queue's waiting contacts in order of seniority, with the place of each in O(log n).
//!
//! A treap (Seidel and Aragon, "Randomized search trees", Algorithmica 16, 1996) with subtree sizes, in one vector. Priorities
//! are a hash of the contact's id, which the machine gives out by counting: the shape depends on nothing that a customer
//! chooses, and equal histories give equal trees. Insert, remove and place are O(log n) expected; a node is 40 bytes and freed
//! ones are used again.
//!
//! It refuses to know what waits and why. Drive it by [`Line::insert`], [`Line::remove`], [`Line::place`].

use tidegate_model::ContactId;
use tidegate_model::name::mix;

const NONE: u32 = u32::MAX;

/// Where a contact stands: virtual arrival first (log time less its head start), then the order of the machine's counting.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key {
    /// Virtual arrival, in milliseconds of log time.
    pub arrived_ms: u64,
    /// The contact.
    pub contact: ContactId,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    key: Key,
    priority: u64,
    size: u32,
    left: u32,
    right: u32,
}

/// The line.
#[derive(Debug)]
pub(crate) struct Line {
    nodes: Vec<Node>,
    free: Vec<u32>,
    root: u32,
}

impl Default for Line {
    fn default() -> Self {
        Self { nodes: Vec::new(), free: Vec::new(), root: NONE }
    }
}

impl Line {
    /// How many stand in it.
    pub(crate) fn len(&self) -> u32 {
        self.size(self.root)
    }

    /// Puts a contact in; nothing happens when it stands there already.
    pub(crate) fn insert(&mut self, key: Key) {
        if self.place(key).is_some() {
            return;
        }
        let node = Node { key, priority: mix(key.contact.0), size: 1, left: NONE, right: NONE };
        let at = match self.free.pop() {
            Some(at) => {
                self.nodes[at as usize] = node;
                at
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        let (before, behind) = self.split(self.root, key);
        let before = self.merge(before, at);
        self.root = self.merge(before, behind);
    }

    /// Takes a contact out; whether it stood there.
    pub(crate) fn remove(&mut self, key: Key) -> bool {
        if self.place(key).is_none() {
            return false;
        }
        // Down to the node, one less in each subtree on the way.
        let (mut at, mut parent, mut went_left) = (self.root, NONE, false);
        while self.nodes[at as usize].key != key {
            self.nodes[at as usize].size -= 1;
            parent = at;
            went_left = key < self.nodes[at as usize].key;
            at = if went_left { self.nodes[at as usize].left } else { self.nodes[at as usize].right };
        }
        let joined = self.merge(self.nodes[at as usize].left, self.nodes[at as usize].right);
        match parent {
            NONE => self.root = joined,
            parent if went_left => self.nodes[parent as usize].left = joined,
            parent => self.nodes[parent as usize].right = joined,
        }
        self.free.push(at);
        true
    }

    /// The contact's place from 1; nothing when it does not stand here.
    pub(crate) fn place(&self, key: Key) -> Option<u32> {
        let (mut at, mut before) = (self.root, 0);
        while at != NONE {
            let node = &self.nodes[at as usize];
            if key < node.key {
                at = node.left;
                continue;
            }
            before += self.size(node.left);
            if key == node.key {
                return Some(before + 1);
            }
            before += 1;
            at = node.right;
        }
        None
    }

    fn size(&self, at: u32) -> u32 {
        self.nodes.get(at as usize).map_or(0, |node| node.size)
    }

    fn measure(&mut self, at: u32) {
        let Node { left, right, .. } = self.nodes[at as usize];
        self.nodes[at as usize].size = 1 + self.size(left) + self.size(right);
    }

    /// Those before `key`, and the others. Recursion is as deep as the tree: O(log n) expected.
    fn split(&mut self, at: u32, key: Key) -> (u32, u32) {
        if at == NONE {
            return (NONE, NONE);
        }
        if self.nodes[at as usize].key < key {
            let (before, behind) = self.split(self.nodes[at as usize].right, key);
            self.nodes[at as usize].right = before;
            self.measure(at);
            (at, behind)
        } else {
            let (before, behind) = self.split(self.nodes[at as usize].left, key);
            self.nodes[at as usize].left = behind;
            self.measure(at);
            (before, at)
        }
    }

    /// Joins two trees of which every key of the first is before every key of the second.
    fn merge(&mut self, before: u32, behind: u32) -> u32 {
        match (before, behind) {
            (NONE, other) | (other, NONE) => other,
            _ if self.nodes[before as usize].priority > self.nodes[behind as usize].priority => {
                let right = self.merge(self.nodes[before as usize].right, behind);
                self.nodes[before as usize].right = right;
                self.measure(before);
                before
            }
            _ => {
                let left = self.merge(before, self.nodes[behind as usize].left);
                self.nodes[behind as usize].left = left;
                self.measure(behind);
                behind
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn key(arrived_ms: u64, contact: u64) -> Key {
        Key { arrived_ms, contact: ContactId(contact) }
    }

    proptest! {
        /// The same places as a sorted set has, whatever comes and goes.
        #[test]
        fn places_are_those_of_a_sorted_set(ops in proptest::collection::vec((any::<bool>(), 0_u64..12, 1_u64..12), 1..200)) {
            let (mut line, mut set) = (Line::default(), BTreeSet::new());
            for (comes, arrived, contact) in ops {
                let key = key(arrived, contact);
                if comes {
                    line.insert(key);
                    set.insert(key);
                } else {
                    prop_assert_eq!(line.remove(key), set.remove(&key));
                }
                prop_assert_eq!(line.len() as usize, set.len());
                for (at, key) in set.iter().enumerate() {
                    prop_assert_eq!(line.place(*key), Some(at as u32 + 1));
                }
                prop_assert_eq!(line.place(self::key(99, 99)), None);
            }
        }
    }

    #[test]
    fn freed_places_are_used_again_and_the_tree_stays_flat() {
        let mut line = Line::default();
        for contact in 0..100_000 {
            line.insert(key(contact, contact));
        }
        assert_eq!(line.place(key(70_000, 70_000)), Some(70_001));
        fn depth(line: &Line, at: u32) -> u32 {
            line.nodes.get(at as usize).map_or(0, |node| 1 + depth(line, node.left).max(depth(line, node.right)))
        }
        // A random tree of n nodes is some 1.4 to 3 times log2 n deep; a list would be 100,000.
        assert!(depth(&line, line.root) < 60, "{}", depth(&line, line.root));
        for contact in 0..100_000 {
            assert!(line.remove(key(contact, contact)));
            line.insert(key(200_000 + contact, contact));
        }
        assert_eq!((line.len(), line.nodes.len()), (100_000, 100_000));
    }
}
