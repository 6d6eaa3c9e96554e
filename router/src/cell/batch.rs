//! A batch of entries on its way from the proposer to the egress, and what is known of each entry on that way.
//!
//! One allocation an entry (its bytes, made by the submitting thread) and none a hop: the batch itself moves. The bytes are
//! stamped once by the proposer and never written again. It refuses to know what an entry says.

use super::front::Reply;
use crate::primitive::Instant;
use tidegate_model::{Seq, Timestamp};

/// One entry under way.
pub(crate) struct Carried {
    /// The encoded entry.
    pub bytes: Vec<u8>,
    /// Whom to answer, if anybody waits.
    pub reply: Option<Reply>,
    /// When it was submitted; `None` for the cell's own entries.
    pub submitted: Option<Instant>,
    /// Where the log put it.
    pub position: u64,
}

/// A batch, first on its way to the log and then, in the same order, from it.
pub struct Committed {
    pub(crate) first: Seq,
    pub(crate) at: Timestamp,
    pub(crate) entries: Vec<Carried>,
    pub(crate) proposed: Instant,
    pub(crate) durable: Instant,
}

impl Committed {
    pub(crate) fn new(first: Seq, at: Timestamp, entries: Vec<Carried>) -> Self {
        let now = Instant::now();
        Self { first, at, entries, proposed: now, durable: now }
    }

    /// Place of the first entry; the others follow without a gap.
    #[must_use]
    pub fn first(&self) -> Seq {
        self.first
    }

    /// Place of the last entry; one before the first when the batch is empty.
    #[must_use]
    pub fn last(&self) -> Seq {
        Seq((self.first.0 + self.entries.len() as u64).saturating_sub(1))
    }

    /// Log time of every entry of the batch.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// How many entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The stamped entries, in order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.entries.iter().map(|carried| carried.bytes.as_slice())
    }

    /// For logs that send entries elsewhere: a copy without those who wait for answers.
    #[must_use]
    pub fn copy(&self) -> Self {
        let entries = self.entries.iter().map(|carried| Carried {
            bytes: carried.bytes.clone(),
            reply: None,
            submitted: carried.submitted,
            position: carried.position,
        });
        Self { first: self.first, at: self.at, entries: entries.collect(), proposed: self.proposed, durable: self.durable }
    }

    /// For logs: where entry `i` was put, in whatever eight bytes the log's reader understands.
    ///
    /// # Panics
    /// When there is no entry `i`.
    pub fn put_at(&mut self, i: usize, position: u64) {
        self.entries[i].position = position;
    }

    /// For logs: the batch is durable as of now.
    pub fn durable_now(&mut self) {
        self.durable = Instant::now();
    }
}

impl std::fmt::Debug for Committed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committed")
            .field("first", &self.first)
            .field("len", &self.len())
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
