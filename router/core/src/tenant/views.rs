//! What may be read from outside: seats for desks, open effects for a new leader, counts for operators.
//!
//! Reads only; nobody outside changes the machine except by an input.

use super::Tenant;
use super::state::{Owner, Stage};
use alloc::vec::Vec;
use tidegate_matcher::market::SeatSlot;
use tidegate_model::limits::REQUEST_SKILLS_MAX;
use tidegate_model::output::{Effect, Presence};
use tidegate_model::port::{OpenClaim, OpenOffer, SeatSnapshot};
use tidegate_model::{
    AccountId, ClassName, ContactId, ConversationId, EffectId, Level, Millis, OfferId, QueueName, SeatId, SkillName, Timestamp,
};

use crate::ledger::Ledger;

/// A queue as operators see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueView {
    /// The queue.
    pub queue: QueueName,
    /// Contacts waiting, offers out included.
    pub waiting: u32,
    /// Most that may wait.
    pub length_max: u32,
}

/// A seat as operators see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeatView {
    /// The seat.
    pub seat: SeatId,
    /// Its presence.
    pub presence: Presence,
    /// Whether its desk is connected.
    pub linked: bool,
    /// Units in use.
    pub used: u16,
    /// Units it has.
    pub units: u16,
    /// Claims in wrap-up.
    pub wrapping: u16,
    /// Claims in service.
    pub serving: u16,
}

/// An open contact, for whoever builds a view beside the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenContact {
    /// Its conversation.
    pub conversation: ConversationId,
    /// The contact.
    pub contact: ContactId,
    /// The channel account.
    pub account: AccountId,
    /// Newest transcript number.
    pub n: u32,
    /// The queue that it asked for.
    pub queue: QueueName,
    /// Its priority class.
    pub class: ClassName,
    /// Skills asked for on top of the queue's; unused places are none.
    pub skills: [(SkillName, Level); REQUEST_SKILLS_MAX],
    /// When it began.
    pub began_at: Timestamp,
    /// When it asked for an agent: its seniority.
    pub requested_at: Option<Timestamp>,
    /// The offer that is out.
    pub offer: OfferId,
    /// Offers so far.
    pub offers: u16,
    /// Segments served.
    pub segments: u16,
    /// Who has it.
    pub stage: OpenStage,
}

/// Who has an open contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenStage {
    /// A bot, or people after a fault: it stands in no queue.
    WithBot,
    /// It waits, offers out included.
    Waiting,
    /// A seat.
    Served(SeatId),
}

/// Priority classes of the active policy, with their head starts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClassTable {
    /// Each class.
    pub classes: Vec<(ClassName, Millis)>,
    /// The class of requests that name none.
    pub default: ClassName,
}

impl Tenant {
    /// Open contacts among `slots` conversation slots from `from` on, and where to go on; `None` at the end. O(slots): ask in
    /// pieces, so that no question holds up decisions.
    pub fn open_contacts(&self, from: u32, slots: u32) -> (Vec<OpenContact>, Option<u32>) {
        let end = self.conversations.end();
        let to = end.min(from.saturating_add(slots));
        let mut open = Vec::new();
        for c in (from..to).filter_map(|slot| self.conversations.get(slot)) {
            let stage = match c.owner {
                Owner::Nobody => continue,
                Owner::Bot | Owner::Manual => OpenStage::WithBot,
                Owner::Lane | Owner::Offer => OpenStage::Waiting,
                Owner::Seat => OpenStage::Served(c.seat),
            };
            open.push(OpenContact {
                conversation: c.id,
                contact: c.contact,
                account: c.account,
                n: c.n,
                queue: c.queue_name,
                class: c.class_name,
                skills: self.lane_sets.get(c.lane_set as usize).map_or_else(Default::default, |set| set.extra),
                began_at: c.began_at,
                requested_at: (c.requested_at != Timestamp::NEVER).then_some(c.requested_at),
                offer: self.engagements.get(c.engagement).filter(|_| c.owner == Owner::Offer).map_or(OfferId::NONE, |e| e.id),
                offers: c.offers,
                segments: c.segments,
                stage,
            });
        }
        (open, (to < end).then_some(to))
    }

    /// Priority classes of the active policy.
    pub fn classes(&self) -> ClassTable {
        let Some(plan) = &self.plan else { return ClassTable::default() };
        let default = plan.classes.get(usize::from(plan.default_class)).map_or(ClassName::NONE, |class| class.name);
        ClassTable { classes: plan.classes.iter().map(|class| (class.name, class.head_start)).collect(), default }
    }

    /// The name of a seat's agent; `None` when the roster has no such seat.
    pub fn agent_name(&self, id: SeatId) -> Option<&str> {
        self.seats.get(self.seat_slot(id)?).map(|seat| seat.name.as_str())
    }

    /// The ledger.
    pub fn ledger(&self) -> Ledger {
        self.ledger
    }

    /// BLAKE3 of the active policy's text, if one is active.
    pub fn policy_hash(&self) -> Option<[u8; 32]> {
        self.plan.as_ref().map(|p| p.hash)
    }

    /// The active policy.
    pub fn policy(&self) -> Option<&tidegate_model::policy::Policy> {
        self.plan.as_ref().map(|p| &p.policy)
    }

    /// Version of the deciding code that this tenant decides by.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Newest log time seen.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Every open effect row: what a new leader emits again.
    pub fn open_effects(&self) -> Vec<(EffectId, Timestamp, Effect)> {
        self.effects.iter().map(|(_, row)| (row.id, row.valid_until, row.effect)).collect()
    }

    /// The seat as its desk must see it; `None` when the roster has no such seat.
    pub fn seat_snapshot(&self, id: SeatId) -> Option<SeatSnapshot> {
        let seat = self.seats.get(self.seat_slot(id)?)?;
        let mut snapshot = SeatSnapshot { presence: seat.presence, at: self.now, offers: Vec::new(), claims: Vec::new() };
        for &slot in &seat.engaged {
            let Some(e) = self.engagements.get(slot) else { continue };
            let c = self.conversations.get(e.conversation);
            if e.stage == Stage::Offered {
                snapshot.offers.push(OpenOffer {
                    offer: e.id,
                    contact: e.contact,
                    conversation: e.conversation_id,
                    queue: e.queue,
                    waiting_since: c.map_or(self.now, |c| c.requested_at),
                    deadline: self.engagement_deadline(slot),
                });
            } else {
                snapshot.claims.push(OpenClaim {
                    claim: e.id.claim(),
                    contact: e.contact,
                    conversation: e.conversation_id,
                    wrap_up_until: (e.stage == Stage::WrapUp).then(|| self.engagement_deadline(slot)),
                    n: self.transcript_head(e.conversation_id).unwrap_or(0),
                });
            }
        }
        Some(snapshot)
    }

    /// Newest transcript number of a resident conversation.
    pub fn transcript_head(&self, id: ConversationId) -> Option<u32> {
        self.conversation_slot(id).and_then(|slot| self.conversations.get(slot)).map(|c| c.n)
    }

    /// Queues of the active policy with their lengths.
    pub fn queues(&self) -> Vec<QueueView> {
        let plan = self.plan.iter().flat_map(|p| &p.queues);
        plan.zip(&self.queue_lengths).map(|(q, n)| QueueView { queue: q.name, waiting: *n, length_max: q.length_max }).collect()
    }

    /// Seats of the roster.
    pub fn seats(&self) -> Vec<SeatView> {
        let used = |market| if market == super::state::NOWHERE { 0 } else { self.market.seat_used_units(SeatSlot(market)) };
        let view = |s: &super::state::Seat| {
            let (mut wrapping, mut serving) = (0, 0);
            for stage in s.engaged.iter().filter_map(|slot| self.engagements.get(*slot)).map(|e| e.stage) {
                wrapping += u16::from(stage == Stage::WrapUp);
                serving += u16::from(stage != Stage::WrapUp && stage != Stage::Offered);
            }
            SeatView { seat: s.id, presence: s.presence, linked: s.linked, used: used(s.market), units: s.units, wrapping, serving }
        };
        self.seats.iter().map(|(_, s)| view(s)).collect()
    }

    /// Every bounded thing in the state: name, used, limit.
    pub fn pressure(&self) -> Vec<(&'static str, u64, u64)> {
        let l = &self.limits;
        let slabs = [
            ("conversations", self.conversations.len(), l.conversations),
            ("tickets", l.tickets - self.market.tickets_free(), l.tickets),
            ("seats", self.seats.len(), l.seats),
            ("lanes", l.lanes - self.market.lanes_free(), l.lanes),
            ("classes", l.classes - self.market.class_free(), l.classes),
            ("engagements", self.engagements.len(), l.engagements),
            ("effects", self.effects.len(), l.effects),
            ("customers", self.customers.len(), l.customers),
            ("pending_inputs", self.backlog.len() as u32, l.pending_inputs),
        ];
        slabs.iter().map(|&(name, used, limit)| (name, u64::from(used), u64::from(limit))).collect()
    }

    /// Conversations resident.
    pub fn conversations(&self) -> u32 {
        self.conversations.len()
    }

    /// Checks the invariants that can be read off the state; the first breach, named. O(state): for tests and rigs.
    ///
    /// # Errors
    /// I1, I2, I3, a contact and an idle seat that could meet and do not, or the ledger's equation, in words.
    pub fn check(&self) -> Result<(), &'static str> {
        let mut counted = Ledger::default();
        for (slot, c) in self.conversations.iter() {
            let engaged = self.engagements.get(c.engagement);
            match c.owner {
                Owner::Nobody if !c.contact.is_none() => return Err("I3: an open contact has no owner"),
                Owner::Nobody => {}
                Owner::Bot => counted.with_bot += 1,
                Owner::Lane => counted.waiting += 1,
                Owner::Manual => counted.manual += 1,
                Owner::Offer => {
                    counted.in_offer += 1;
                    if !engaged.is_some_and(|e| e.conversation == slot && e.contact == c.contact && e.stage == Stage::Offered) {
                        return Err("I1: an offered contact has no live offer of its own");
                    }
                }
                Owner::Seat => {
                    counted.in_service += 1;
                    if !engaged.is_some_and(|e| e.conversation == slot && e.contact == c.contact && e.stage == Stage::Active) {
                        return Err("I1: a contact in service has no claim of its own");
                    }
                }
            }
            let timed = c.timer.deadline != Timestamp::NEVER || c.owner == Owner::Offer;
            if !c.contact.is_none() && !timed && self.steps.is_empty() && self.backlog.is_empty() {
                return Err("I3: an open contact has no deadline");
            }
        }
        for (_, s) in self.seats.iter() {
            let sum: u32 = s.engaged.iter().filter_map(|&e| self.engagements.get(e)).map(|e| u32::from(e.units)).sum();
            if s.market != super::state::NOWHERE && sum != u32::from(self.market.seat_used_units(SeatSlot(s.market))) {
                return Err("I2: used units are not the sum of live claims");
            }
            if sum > u32::from(s.units) {
                return Err("I2: a seat is over its capacity");
            }
        }
        if self.steps.is_empty() && self.backlog.is_empty() && self.engagements.room() > 0 && self.effects.room() > 0 {
            let mut idle = self.seats.iter().filter(|(_, s)| s.open && self.market.seat_free_units(SeatSlot(s.market)) > 0);
            if idle.any(|(_, s)| self.market.select_contact(SeatSlot(s.market), self.at).choice.is_some()) {
                return Err("a seat has room for a contact that waits, and nobody looks");
            }
        }
        let l = &self.ledger;
        let same = (l.with_bot, l.waiting, l.in_offer, l.in_service, l.manual)
            == (counted.with_bot, counted.waiting, counted.in_offer, counted.in_service, counted.manual);
        if !same {
            return Err("ledger: counters differ from the contacts that they count");
        }
        if !l.balanced() { Err("ledger: offered is not exits plus open") } else { Ok(()) }
    }
}
