//! One tenant machine and what is kept of its outputs.
//!
//! Both ways of driving a machine go through [`Follower::handle`]: the input at its stamp, all outputs drained, decisions and
//! contacts written down as they pass. It refuses to know where entries come from.

use serde::Serialize;
use tidegate_core::{Digests, Guard, Ledger, Tenant};
use tidegate_model::codec::Entry;
use tidegate_model::limits::Limits;
use tidegate_model::output::Output;
use tidegate_model::record::{ContactRecord, DecisionRecord};
use tidegate_model::{TenantId, Timestamp};

/// What is kept of a machine's outputs, beside its digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// A digest a decision: 8 bytes.
    DecisionDigests,
    /// And a record a contact: some 200 bytes.
    #[default]
    Contacts,
    /// And a record a decision, with every term: some 200 bytes.
    Everything,
}

/// A tenant at the end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantReport {
    /// Running digests: state, outputs, decisions.
    pub digests: Digests,
    /// A digest of the whole state: proves the place, where the running ones prove the path.
    pub full_digest: u64,
    /// Each decision's own digest, in order.
    pub decision_digests: Vec<u64>,
    /// Each contact that left, in order; empty if not kept.
    pub contacts: Vec<ContactRecord>,
    /// Each decision with its terms, in order, if kept.
    pub decisions: Option<Vec<DecisionRecord>>,
    /// The ledger.
    pub ledger: Ledger,
    /// BLAKE3 of the active policy's text.
    pub policy_hash: Option<[u8; 32]>,
    /// Inputs handled, ticks included.
    pub inputs: u64,
}

/// A machine, followed.
#[derive(Debug)]
pub(super) struct Follower {
    tenant: Tenant,
    keep: Keep,
    decision_digests: Vec<u64>,
    contacts: Vec<ContactRecord>,
    decisions: Vec<DecisionRecord>,
    inputs: u64,
}

impl Follower {
    pub(super) fn new(id: TenantId, limits: Limits, keep: Keep) -> Self {
        let tenant = Tenant::new(id, limits, Guard(tidegate_matcher::guard::catch_plan));
        Self { tenant, keep, decision_digests: Vec::new(), contacts: Vec::new(), decisions: Vec::new(), inputs: 0 }
    }

    /// Handles an entry of this tenant; `see` gets every output that came of it.
    pub(super) fn handle(&mut self, entry: &Entry<'_>, mut see: impl FnMut(&Output)) {
        self.inputs += 1;
        self.tenant.handle(entry.at, entry.seq, entry.input);
        while let Some(output) = self.tenant.poll_output() {
            match &output {
                Output::Decision(record) => {
                    self.decision_digests.push(record.digest());
                    if self.keep == Keep::Everything {
                        self.decisions.push(*record);
                    }
                }
                Output::Contact(record) if self.keep != Keep::DecisionDigests => self.contacts.push(*record),
                _ => {}
            }
            see(&output);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.tenant.next_deadline()
    }

    pub(super) fn ledger(&self) -> Ledger {
        self.tenant.ledger()
    }

    pub(super) fn finish(self) -> TenantReport {
        TenantReport {
            digests: self.tenant.digests(),
            full_digest: self.tenant.full_digest(),
            decision_digests: self.decision_digests,
            contacts: self.contacts,
            decisions: (self.keep == Keep::Everything).then_some(self.decisions),
            ledger: self.tenant.ledger(),
            policy_hash: self.tenant.policy_hash(),
            inputs: self.inputs,
        }
    }
}
