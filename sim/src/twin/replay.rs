//! A log handled again: one machine a tenant, every entry at its own stamp, nothing else going in.
//!
//! Entries come as a journal's reader or an [`super::EntryLog`] yields them: encoded and stamped, in log order. A log filtered
//! to one tenant replays to the same digests as the whole log does for that tenant, because machines share nothing. What cannot
//! be read is named and passed over, and the report says so: after a hole the digests prove nothing about what was lost.
//!
//! Drive it so: [`Replay::run`] over an iterator, or [`Replay::push`] entry by entry and [`Replay::finish`].

use super::follow::{Follower, Keep, TenantReport};
use std::collections::BTreeMap;
use std::fmt;
use tidegate_model::codec::{self, CodecError};
use tidegate_model::input::{Admin, Input};
use tidegate_model::{Seq, TenantId};

/// Unreadable places that a report names one by one; the rest are counted.
pub const UNREADABLE_NAMED: usize = 1_000;

/// What came of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Each tenant at the end.
    pub tenants: BTreeMap<TenantId, TenantReport>,
    /// Entries handled.
    pub entries: u64,
    /// What could not be replayed, the first [`UNREADABLE_NAMED`] by name.
    pub unreadable: Vec<Unreadable>,
    /// How many such places there are in all.
    pub unreadable_total: u64,
}

/// A place of the log that was not replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// The journal could not read it: file, offset, bytes, cause and the entries it may have held.
    Damaged {
        /// The journal's own words.
        hole: String,
    },
    /// Bytes that are no entry.
    NotAnEntry {
        /// The place in the order in which entries came, from 0.
        place: u64,
        /// Why.
        error: CodecError,
    },
    /// An entry of a tenant that no earlier entry created.
    UnknownTenant {
        /// The entry.
        seq: Seq,
        /// The tenant.
        tenant: TenantId,
    },
    /// An entry that does not come after the one before it.
    OutOfOrder {
        /// The newest entry before.
        after: Seq,
        /// What stood there.
        found: Seq,
    },
    /// Entries that should stand between two others.
    Missing {
        /// The last one before.
        after: Seq,
        /// The first one behind.
        before: Seq,
    },
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { hole } => write!(f, "damaged: {hole}"),
            Self::NotAnEntry { place, error } => write!(f, "entry at place {place}: {error}"),
            Self::UnknownTenant { seq, tenant } => {
                write!(f, "entry {seq} is for tenant {tenant}, which no earlier entry created (its first is Admin::Limits)")
            }
            Self::OutOfOrder { after, found } => write!(f, "entry {found} stands behind entry {after}"),
            Self::Missing { after, before } => write!(f, "entries between {after} and {before} are missing"),
        }
    }
}

/// A replay under way.
#[derive(Debug, Default)]
pub struct Replay {
    keep: Keep,
    only: Option<TenantId>,
    machines: BTreeMap<TenantId, Follower>,
    last: Seq,
    places: u64,
    entries: u64,
    unreadable: Vec<Unreadable>,
    unreadable_total: u64,
}

impl Replay {
    /// A replay from the first entry on.
    pub fn new(keep: Keep) -> Self {
        Self { keep, ..Self::default() }
    }

    /// The same, of one tenant's entries only; the others are passed over unread.
    #[must_use]
    pub fn only(self, tenant: TenantId) -> Self {
        Self { only: Some(tenant), ..self }
    }

    /// Replays all of a log. O(entries).
    pub fn run<'a>(keep: Keep, entries: impl IntoIterator<Item = &'a [u8]>) -> ReplayReport {
        let mut replay = Self::new(keep);
        for entry in entries {
            replay.push(entry);
        }
        replay.finish()
    }

    /// Handles the next entry, encoded and stamped. Total: what is no entry is named, never a panic.
    pub fn push(&mut self, bytes: &[u8]) {
        let place = self.places;
        self.places += 1;
        if self.only.is_some_and(|only| codec::tenant(bytes).is_some_and(|tenant| tenant != only)) {
            return;
        }
        let entry = match codec::decode(bytes) {
            Ok(entry) => entry,
            Err(error) => return self.name(Unreadable::NotAnEntry { place, error }),
        };
        if entry.seq <= self.last {
            return self.name(Unreadable::OutOfOrder { after: self.last, found: entry.seq });
        }
        self.last = entry.seq;
        if let Some(machine) = self.machines.get_mut(&entry.tenant) {
            machine.handle(&entry, |_| {});
        } else if let Input::Admin(Admin::Limits(limits)) = entry.input {
            let mut machine = Follower::new(entry.tenant, limits, self.keep);
            machine.handle(&entry, |_| {});
            self.machines.insert(entry.tenant, machine);
        } else {
            return self.name(Unreadable::UnknownTenant { seq: entry.seq, tenant: entry.tenant });
        }
        self.entries += 1;
    }

    /// Names a place that could not be read.
    pub fn name(&mut self, unreadable: Unreadable) {
        self.unreadable_total += 1;
        if self.unreadable.len() < UNREADABLE_NAMED {
            self.unreadable.push(unreadable);
        }
    }

    /// The report. O(state).
    pub fn finish(self) -> ReplayReport {
        ReplayReport {
            tenants: self.machines.into_iter().map(|(id, machine)| (id, machine.finish())).collect(),
            entries: self.entries,
            unreadable: self.unreadable,
            unreadable_total: self.unreadable_total,
        }
    }
}

impl ReplayReport {
    /// Whether every entry was replayed.
    pub fn is_whole(&self) -> bool {
        self.unreadable_total == 0
    }
}
