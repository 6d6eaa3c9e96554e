//! From the cell's outputs to slots and bells: the only code of the live halves that runs on the cell's egress thread.
//!
//! It writes a number, a notice or a row into a bounded slot and rings; it counts contacts and decisions. It never waits for
//! an actor, a desk or a provider: a wake that finds one pending is merged into it, a notice too many becomes a
//! resynchronisation, a row too many stays in the machine. It refuses to know what anything means beyond its address.

use super::conversation::ConversationKey;
use super::outbox::OpenRow;
use super::root::Tree;
use super::seat::SeatKey;
use crate::cell::CellSink;
use crate::standing::Feed;
use crate::tally;
use dashmap::DashMap;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use tidegate_model::ids::TenantId;
use tidegate_model::input::Inbound;
use tidegate_model::name::ReasonName;
use tidegate_model::output::Output;

/// Counts of one tenant since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactCounts {
    /// Contacts that left, by exit.
    pub exits: BTreeMap<&'static str, u64>,
    /// Assignment decisions.
    pub decisions: u64,
    /// Inputs whose decision panicked.
    pub poisoned: u64,
    /// Conversations opened.
    pub opened: u64,
    /// Conversations closed.
    pub closed: u64,
}

/// What the dispatcher leaves for readers.
#[derive(Default)]
pub(crate) struct Shared {
    counts: DashMap<TenantId, ContactCounts>,
    policies: DashMap<TenantId, [u8; 32]>,
}

impl Shared {
    pub(crate) fn contacts(&self) -> Vec<(TenantId, ContactCounts)> {
        let mut rows: Vec<_> = self.counts.iter().map(|row| (*row.key(), row.value().clone())).collect();
        rows.sort_by_key(|(tenant, _)| *tenant);
        rows
    }

    pub(crate) fn policy(&self, tenant: TenantId) -> Option<[u8; 32]> {
        self.policies.get(&tenant).map(|hash| *hash)
    }
}

/// The cell's sink.
pub struct Dispatcher {
    tree: Tree,
    shared: Arc<Shared>,
    feed: Feed,
    tally: tally::Feed,
    seen: BTreeSet<TenantId>,
}

impl Dispatcher {
    pub(crate) fn new(tree: Tree, shared: Arc<Shared>, feed: Feed, tally: tally::Feed) -> Self {
        Self { tree, shared, feed, tally, seen: BTreeSet::new() }
    }

    fn output(&self, tenant: TenantId, output: &Output) {
        match output {
            Output::Transcript { conversation, n, seat, .. } => {
                self.tree.conversations.wake(ConversationKey { tenant, conversation: *conversation }, *n);
                if !seat.is_none() {
                    self.tree.seats.wake(SeatKey { tenant, seat: *seat }, *conversation, *n);
                }
            }
            Output::Seat { seat, notice } => self.tree.seats.notice(SeatKey { tenant, seat: *seat }, *notice),
            Output::EffectOpened { id, valid_until, effect } => {
                self.tree.outboxes.opened(tenant, OpenRow { id: *id, valid_until: *valid_until, effect: *effect });
            }
            Output::EffectClosed { id } => self.tree.outboxes.closed(tenant, *id),
            Output::PolicyActive { hash, .. } => {
                self.shared.policies.insert(tenant, *hash);
                self.tree.seats.policy_changed(tenant);
            }
            _ => {}
        }
    }

    fn count(counts: &mut ContactCounts, output: &Output) {
        match output {
            Output::Decision(_) => counts.decisions += 1,
            Output::Contact(record) => *counts.exits.entry(record.exit.slug()).or_default() += 1,
            Output::Poisoned { .. } => counts.poisoned += 1,
            Output::Conversation { life: tidegate_model::output::Life::Opened, .. } => counts.opened += 1,
            Output::Conversation { life: tidegate_model::output::Life::Closed, .. } => counts.closed += 1,
            _ => {}
        }
    }
}

impl CellSink for Dispatcher {
    fn outputs(&mut self, tenant: TenantId, outputs: &[Output]) {
        // A start hands over the open effects first, in a slice of their own; whether they were tried before, nobody knows.
        let is_first = self.seen.insert(tenant);
        if is_first && outputs.iter().all(|output| matches!(output, Output::EffectOpened { .. })) {
            for output in outputs {
                if let Output::EffectOpened { id, .. } = output {
                    self.tree.outboxes.inherit(tenant, *id);
                }
            }
        }
        let counted = |output: &&Output| {
            matches!(output, Output::Decision(_) | Output::Contact(_) | Output::Poisoned { .. } | Output::Conversation { .. })
        };
        if outputs.iter().any(|output| counted(&output)) {
            let mut counts = self.shared.counts.entry(tenant).or_default();
            for output in outputs.iter().filter(counted) {
                Self::count(&mut counts, output);
            }
        }
        // Before anybody is told of an item or an offer: whoever asks about it then is answered from what stands here.
        self.feed.outputs(tenant, outputs);
        self.tally.outputs(tenant, outputs);
        for output in outputs {
            self.output(tenant, output);
        }
    }

    fn asked(&mut self, _: TenantId, inbound: &Inbound<'_>) {
        self.feed.asked(inbound);
    }

    fn wrapped_up(&mut self, _: TenantId, code: ReasonName) {
        self.tally.wrapped_up(code);
    }
}
