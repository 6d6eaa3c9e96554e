//! Service level, counted: the one place where a contact's exit and wait become its counts, for a live floor and the twin.
//!
//! "Service level" alone is ambiguous, so the counts are kept and each variant has a name: served within X of the offered
//! (`served_within` / `offered`), of the served (`served_within` / `served`), and all who left the queue within X, served or
//! not, of the offered (`left_within` / `offered`). Offered are those who asked for an agent. It refuses to know clocks and to
//! divide. Drive it: [`LevelCounts::take`] for every contact that left.

use crate::record::{ContactRecord, Exit};
use crate::time::Millis;
use serde::{Deserialize, Serialize};

/// Counts of a set of contacts that left, for one acceptable wait X.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LevelCounts {
    /// Asked for an agent.
    pub offered: u64,
    /// Of these, served.
    pub served: u64,
    /// Served within X.
    pub served_within: u64,
    /// Left the queue within X, served or not.
    pub left_within: u64,
}

impl LevelCounts {
    /// Takes one contact that left: how, after which wait (none when it never asked for an agent, and then it counts
    /// nowhere), and X.
    #[inline]
    pub fn take(&mut self, exit: Exit, waited: Option<Millis>, within: Millis) {
        let Some(waited) = waited else { return };
        let (served, soon) = (exit.was_served(), waited <= within);
        self.offered += 1;
        self.served += u64::from(served);
        self.served_within += u64::from(served && soon);
        self.left_within += u64::from(soon);
    }

    /// Adds the counts of another set.
    pub fn add(&mut self, other: Self) {
        self.offered += other.offered;
        self.served += other.served;
        self.served_within += other.served_within;
        self.left_within += other.left_within;
    }
}

impl Exit {
    /// Whether an agent had it: the wait of these is a speed of answer.
    pub const fn was_served(self) -> bool {
        matches!(self, Self::Served | Self::CustomerLeft)
    }
}

impl ContactRecord {
    /// How long it waited for an agent, from its request to the first acceptance or to its end; none when it never asked.
    pub fn waited(&self) -> Option<Millis> {
        Some(self.assigned_at.unwrap_or(self.ended_at).since(self.requested_at?))
    }
}
