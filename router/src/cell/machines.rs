//! The tenant machines of one cell, and the one rule by which an entry of its log reaches them.
//!
//! The apply thread, a restart's replay, the twin and the parity test all go through [`Machines::replay`]: a tenant is created
//! by its first entry, which is `Admin::Limits` (so that its size is in the log and nowhere else); every entry is handled at
//! its own stamp; all outputs are drained. It refuses to know threads, logs and clocks.

use std::collections::BTreeMap;
use tidegate_core::{Guard, Tenant};
use tidegate_model::codec::{self, CodecError};
use tidegate_model::input::{Admin, Input};
use tidegate_model::output::Output;
use tidegate_model::{Seq, TenantId, Timestamp};

/// Why an entry could not be replayed. The log is damaged or was written by another program: nothing after it can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Not an entry.
    #[error("an entry of the log cannot be decoded: {0}")]
    Codec(CodecError),
    /// An entry of a tenant that no earlier entry created.
    #[error("entry {seq:?} is for tenant {tenant}, which no earlier entry created")]
    UnknownTenant {
        /// The entry.
        seq: Seq,
        /// The tenant.
        tenant: TenantId,
    },
    /// An entry out of its place.
    #[error("entry {found:?} stands where {expected:?} belongs")]
    OutOfOrder {
        /// What should stand there.
        expected: Seq,
        /// What does.
        found: Seq,
    },
}

/// What an entry was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Its place.
    pub seq: Seq,
    /// Its log time.
    pub at: Timestamp,
    /// Whose.
    pub tenant: TenantId,
    /// Whether an answer comes of it, now or later: of everything but a tick.
    pub owed: bool,
}

/// The machines, by tenant.
#[derive(Debug)]
pub struct Machines {
    tenants: BTreeMap<TenantId, Tenant>,
    guard: Guard,
    /// Bytes of new tenants' memory that are still to be written ahead.
    ahead: usize,
}

impl Default for Machines {
    fn default() -> Self {
        Self::new()
    }
}

impl Machines {
    /// No tenant yet.
    #[must_use]
    pub fn new() -> Self {
        Self::guarded(Self::guard())
    }

    /// No tenant yet; decisions are guarded by `guard` (tests plant panics with one of their own).
    #[must_use]
    pub fn guarded(guard: Guard) -> Self {
        Self { tenants: BTreeMap::new(), guard, ahead: 0 }
    }

    /// How decisions of this cell are guarded: a panic becomes `Poisoned`, silently.
    #[must_use]
    pub fn guard() -> Guard {
        Guard(tidegate_matcher::catch_plan)
    }

    /// Writes the memory of all machines once, in order of tenant, and then that of each machine that a later entry creates,
    /// until `budget` bytes are written in all or a call with 0. State-neutral ([`Tenant::prefault`]).
    pub fn prefault(&mut self, mut budget: usize) {
        for tenant in self.tenants.values_mut() {
            if budget == 0 {
                break;
            }
            budget -= tenant.prefault(budget);
        }
        self.ahead = budget;
    }

    /// Puts in a restored machine.
    pub fn insert(&mut self, tenant: Tenant) {
        self.tenants.insert(tenant.id(), tenant);
    }

    /// A tenant's machine.
    #[must_use]
    pub fn get(&self, tenant: TenantId) -> Option<&Tenant> {
        self.tenants.get(&tenant)
    }

    /// All machines, in order of tenant.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (TenantId, &Tenant)> {
        self.tenants.iter().map(|(id, tenant)| (*id, tenant))
    }

    /// Prefetches for an entry some sixteen (`far`) or eight places ahead. No effect on any result.
    pub fn prefetch(&self, entry: &[u8], far: bool) {
        if let Some(tenant) = codec::tenant(entry).and_then(|id| self.tenants.get(&id)) {
            if far { tenant.prefetch_far(entry) } else { tenant.prefetch_near(entry) }
        }
    }

    /// Handles one stamped entry and appends what came of it to `outputs`.
    ///
    /// # Errors
    /// [`ReplayError`]; the machines are as they were.
    pub fn replay(&mut self, entry: &[u8], outputs: &mut Vec<Output>) -> Result<Replayed, ReplayError> {
        let entry = codec::decode(entry).map_err(ReplayError::Codec)?;
        let tenant = match self.tenants.entry(entry.tenant) {
            std::collections::btree_map::Entry::Occupied(found) => found.into_mut(),
            std::collections::btree_map::Entry::Vacant(vacant) => match entry.input {
                Input::Admin(Admin::Limits(limits)) => {
                    let mut tenant = Tenant::new(entry.tenant, limits, self.guard);
                    self.ahead -= tenant.prefault(self.ahead);
                    vacant.insert(tenant)
                }
                _ => return Err(ReplayError::UnknownTenant { seq: entry.seq, tenant: entry.tenant }),
            },
        };
        let owed = !matches!(entry.input, Input::Tick);
        tenant.handle(entry.at, entry.seq, entry.input);
        while let Some(output) = tenant.poll_output() {
            outputs.push(output);
        }
        Ok(Replayed { seq: entry.seq, at: entry.at, tenant: entry.tenant, owed })
    }
}
