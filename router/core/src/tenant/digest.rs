//! Digests: of the records changed since the last hash entry, of all outputs, of all decisions.
//!
//! The chains are state. Replicas compare them; parity of live node and twin is their equality. [`Tenant::full_digest`] folds
//! everything and is for tests: a chain proves the path, the full digest proves the place.

use super::Tenant;
use super::state::{Conversation, Engagement, Seat, Step};
use crate::slab::Slab;
use tidegate_model::ContactId;
use tidegate_model::output::{Chain, Outcome, Output};

/// Changed records that one step folds, and the work units that it counts: a swap of 100,000 contacts has changed them all,
/// and their digest at once stood in every other tenant's way for 8 ms.
pub(super) const FOLD_BATCH: u32 = 64;

/// The running digests of a tenant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digests {
    /// Over records changed, up to the last hash entry.
    pub state: u64,
    /// Over every output.
    pub outputs: u64,
    /// Over every decision record.
    pub decisions: u64,
    /// Decisions so far.
    pub decision_count: u64,
}

impl Tenant {
    /// The running digests. O(1).
    pub fn digests(&self) -> Digests {
        Digests {
            state: self.state_chain.0,
            outputs: self.output_chain.0,
            decisions: self.decision_chain.0,
            decision_count: self.decision_count,
        }
    }

    /// Folds records marked since the last digest, in slot order, table by table: one batch, beginning at word `from` of
    /// `table`'s marks. Behind the last one it says the digest and answers the hash entry. No input and no other step comes
    /// between two batches, so the records are those of the entry, whatever the fuel. O([`FOLD_BATCH`]).
    pub(super) fn fold_some(&mut self, table: u8, from: u32) {
        let mut chain = self.state_chain;
        let Self { conversations, seats, engagements, .. } = self;
        let (conversations, seats, engagements) = (&*conversations, &*seats, &*engagements);
        let next = match table {
            0 => {
                self.dirty_conversations.sweep(from, FOLD_BATCH, |slot| fold_at(&mut chain, conversations, slot, fold_conversation))
            }
            1 => self.dirty_seats.sweep(from, FOLD_BATCH, |slot| fold_at(&mut chain, seats, slot, fold_seat)),
            _ => self.dirty_engagements.sweep(from, FOLD_BATCH, |slot| fold_at(&mut chain, engagements, slot, fold_engagement)),
        };
        self.state_chain = chain;
        match next {
            Some(from) => self.steps.push_front(Step::Fold { table, from }),
            None if table < 2 => self.steps.push_front(Step::Fold { table: table + 1, from: 0 }),
            None => self.say_digest(),
        }
    }

    fn say_digest(&mut self) {
        let mut chain = self.state_chain;
        for word in [self.next_contact, self.next_offer, self.next_effect, self.ledger.offered, self.ledger.exited()] {
            chain.word(word);
        }
        self.state_chain = chain;
        self.emit(Output::Digest { seq: self.seq, state: chain.0, outputs: self.output_chain.0 });
        let outcome = Outcome::Done { contact: ContactId::NONE, n: 0 };
        self.emit(Output::Reply { seq: self.seq, outcome });
    }

    /// A digest of the whole state, market included. O(state).
    pub fn full_digest(&self) -> u64 {
        let mut chain = self.state_chain;
        for (slot, c) in self.conversations.iter() {
            chain.word(u64::from(slot));
            fold_conversation(&mut chain, c);
        }
        for (slot, s) in self.seats.iter() {
            chain.word(u64::from(slot));
            fold_seat(&mut chain, s);
        }
        for (slot, e) in self.engagements.iter() {
            chain.word(u64::from(slot));
            fold_engagement(&mut chain, e);
        }
        for (slot, row) in self.effects.iter() {
            chain.word(u64::from(slot));
            chain.word(row.id.0);
            chain.word(row.valid_until.0);
            row.effect.fold(&mut chain);
        }
        for (slot, c) in self.customers.iter() {
            chain.word(u64::from(slot));
            chain.word(c.id.0);
            chain.word(c.seat.0);
            chain.word(c.served_at.0);
        }
        for length in &self.queue_lengths {
            chain.word(u64::from(*length));
        }
        for slot in [self.conversations.next_slot(), self.engagements.next_slot(), self.effects.next_slot(), self.seats.next_slot()]
        {
            chain.word(u64::from(slot));
        }
        for word in [self.next_contact, self.next_offer, self.next_effect, self.now.0, self.at.0, self.timers.len() as u64] {
            chain.word(word);
        }
        chain.word(self.output_chain.0);
        chain.word(u64::from(self.held_back.from) << 1 | u64::from(self.held_back.somebody));
        chain.word(self.steps.len() as u64);
        chain.word(self.backlog.len() as u64);
        self.market.fold(&mut chain);
        chain.0
    }
}

fn fold_at<T>(chain: &mut Chain, slab: &Slab<T>, slot: u32, fold: fn(&mut Chain, &T)) {
    chain.word(u64::from(slot));
    match slab.get(slot) {
        Some(record) => fold(chain, record),
        None => chain.word(u64::MAX),
    }
}

fn fold_conversation(chain: &mut Chain, c: &Conversation) {
    chain.wide(c.id.0);
    chain.word(c.customer.0);
    chain.word(c.contact.0);
    chain.word(u64::from(c.account.0) << 32 | u64::from(c.n));
    chain.word(c.timer.deadline.0);
    chain.word((c.owner as u64) << 32 | u64::from(c.step) << 8 | u64::from(c.overdue));
    chain.word(u64::from(c.queue) << 32 | u64::from(c.class) << 16 | u64::from(c.weight));
    chain.word(u64::from(c.ticket) << 32 | u64::from(c.engagement));
    chain.word(u64::from(c.lane_set) << 32 | u64::from(c.offers) << 16 | u64::from(c.segments));
    chain.word(c.seat.0);
    for at in [c.last_event_at, c.began_at, c.requested_at, c.offered_at, c.assigned_at, c.step_entered_at, c.reserved_until] {
        chain.word(at.0);
    }
    chain.word(c.queue_name.0);
    chain.word(c.class_name.0);
}

fn fold_seat(chain: &mut Chain, s: &Seat) {
    chain.word(s.id.0);
    chain.bytes(s.name.as_bytes());
    for (skill, level) in &s.skills {
        chain.word(skill.0);
        chain.word(u64::from(level.0));
    }
    chain.word(u64::from(s.units));
    chain.word(s.cost_ms as u64);
    chain.word(s.presence.code());
    chain.word(u64::from(s.linked) << 1 | u64::from(s.open));
    chain.word(u64::from(s.market));
    for e in &s.engaged {
        chain.word(u64::from(*e));
    }
    for a in &s.answered {
        chain.wide(a.command.0);
        chain.word(u64::from(a.content));
    }
}

fn fold_engagement(chain: &mut Chain, e: &Engagement) {
    chain.word(e.id.0);
    chain.word(e.contact.0);
    chain.word(u64::from(e.conversation) << 32 | u64::from(e.seat));
    chain.wide(e.conversation_id.0);
    chain.word((e.stage as u64) << 32 | u64::from(e.units));
    chain.word(e.effect.0);
    chain.word(e.timer.deadline.0);
    chain.word(e.queue.0);
}
