//! What the platform's API lists: conversations and their open contacts, agents, accounts, who could serve a queue.
//!
//! Reads only, and never long: [`Tenant::browse`] looks at so many places of the table and says where to go on, so that the
//! deciding thread is asked many short questions instead of one long one. Whoever is in the machine from the first question
//! to the last is met exactly once; who comes or goes between may be met or not. It refuses to know JSON and pages.

use super::Tenant;
use super::state::{NOWHERE, Owner, Stage};
use alloc::string::String;
use alloc::vec::Vec;
use tidegate_matcher::market::SeatSlot;
use tidegate_model::output::Presence;
use tidegate_model::policy::Delivery;
use tidegate_model::{
    AccountId, ClassName, ContactId, ConversationId, CustomerId, Level, OfferId, QueueName, SeatId, SkillName, Timestamp,
};

/// Who has an open contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OwnerRole {
    /// A bot (or a VRU).
    Bot,
    /// It waits in a lane.
    Waiting,
    /// An offer is out.
    Offered,
    /// A seat serves it.
    InService,
    /// A decision about it failed; people look after it.
    Manual,
}

/// An open contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ContactView {
    /// The contact.
    pub contact: ContactId,
    /// Who has it.
    pub role: OwnerRole,
    /// The queue; none with a bot.
    pub queue: QueueName,
    /// The class; none with a bot.
    pub class: ClassName,
    /// Relaxation step it stands at, from 0.
    pub step: u8,
    /// Whether it is in the overdue tier.
    pub overdue: bool,
    /// When it began.
    pub began_at: Timestamp,
    /// When the customer began to wait.
    pub requested_at: Option<Timestamp>,
    /// When it was offered last.
    pub offered_at: Option<Timestamp>,
    /// When a seat took it.
    pub assigned_at: Option<Timestamp>,
    /// The seat of the offer or claim; none otherwise.
    pub seat: SeatId,
    /// The offer, or the claim's number; none otherwise.
    pub offer: OfferId,
    /// Offers made.
    pub offers: u16,
}

/// A resident conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConversationView {
    /// The conversation.
    pub conversation: ConversationId,
    /// Its channel account.
    pub account: AccountId,
    /// The customer, when known.
    pub customer: CustomerId,
    /// Newest transcript number.
    pub n: u32,
    /// Log time of its newest event.
    pub last_event_at: Timestamp,
    /// Its open contact.
    pub contact: Option<ContactView>,
}

/// An agent of the roster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentView {
    /// The agent's seat.
    pub seat: SeatId,
    /// Name shown to supervisors.
    pub name: String,
    /// Skills with levels.
    pub skills: Vec<(SkillName, Level)>,
    /// Units of capacity.
    pub units: u16,
    /// Cost of one contact, in milliseconds of virtual wait.
    pub cost_ms: i64,
}

/// A channel account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccountView {
    /// The account.
    pub account: AccountId,
    /// How messages leave.
    pub delivery: Delivery,
    /// Units that a contact takes.
    pub weight: u16,
    /// Queue of requests that name none; none for the policy's.
    pub queue: QueueName,
}

/// Who could serve a queue at its last step, by presence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SupplyView {
    /// Ready and connected.
    pub ready: u32,
    /// Of those, with a free unit.
    pub free: u32,
    /// Paused.
    pub paused: u32,
    /// Missed an offer, or the connection is cut.
    pub not_responding: u32,
    /// Not signed in.
    pub signed_out: u32,
}

impl Tenant {
    /// Shows conversations from place `from` on, at most `places` places of the table, until `f` says that it has enough;
    /// where to go on, or `None` at the end. O(`places`).
    pub fn browse(&self, from: u32, places: u32, mut f: impl FnMut(ConversationView) -> bool) -> Option<u32> {
        let end = self.conversations.end();
        let until = from.saturating_add(places).min(end);
        for slot in from..until {
            // A free place has no view.
            let goes_on = self.conversation_at(slot).is_none_or(&mut f);
            if !goes_on {
                let next = slot + 1;
                return (next < end).then_some(next);
            }
        }
        (until < end).then_some(until)
    }

    /// A resident conversation. O(1).
    pub fn conversation(&self, id: ConversationId) -> Option<ConversationView> {
        self.conversation_at(self.conversation_slot(id)?)
    }

    fn conversation_at(&self, slot: u32) -> Option<ConversationView> {
        let c = self.conversations.get(slot)?;
        let role = match c.owner {
            Owner::Nobody => None,
            Owner::Bot => Some(OwnerRole::Bot),
            Owner::Lane => Some(OwnerRole::Waiting),
            Owner::Offer => Some(OwnerRole::Offered),
            Owner::Seat => Some(OwnerRole::InService),
            Owner::Manual => Some(OwnerRole::Manual),
        };
        let contact = role.map(|role| {
            let some = |at: Timestamp| (at != Timestamp::NEVER).then_some(at);
            let engaged = matches!(role, OwnerRole::Offered | OwnerRole::InService);
            let engagement = self.engagements.get(c.engagement).filter(|_| engaged);
            ContactView {
                contact: c.contact,
                role,
                queue: c.queue_name,
                class: if role == OwnerRole::Bot { ClassName::NONE } else { c.class_name },
                step: c.step,
                overdue: c.overdue,
                began_at: c.began_at,
                requested_at: some(c.requested_at),
                offered_at: some(c.offered_at),
                assigned_at: some(c.assigned_at),
                seat: engagement.and_then(|e| self.seats.get(e.seat)).map_or(SeatId::NONE, |s| s.id),
                offer: engagement.map_or(OfferId::NONE, |e| e.id),
                offers: c.offers,
            }
        });
        Some(ConversationView {
            conversation: c.id,
            account: c.account,
            customer: c.customer,
            n: c.n,
            last_event_at: c.last_event_at,
            contact,
        })
    }

    /// Agents of the roster, in no particular order. O(seats).
    pub fn agents(&self) -> Vec<AgentView> {
        self.seats.iter().map(|(_, seat)| view_of(seat)).collect()
    }

    /// One agent of the roster. O(1).
    pub fn agent(&self, id: SeatId) -> Option<AgentView> {
        self.seats.get(self.seat_slot(id)?).map(view_of)
    }

    /// Channel accounts, by id. O(accounts).
    pub fn accounts(&self) -> Vec<AccountView> {
        let view =
            |a: &super::state::Account| AccountView { account: a.id, delivery: a.delivery, weight: a.weight, queue: a.queue };
        self.accounts.iter().map(view).collect()
    }

    /// For each queue of the active policy: offers out, and who could serve it at its last step. O(queues × seats × skills).
    pub fn supply(&self) -> Vec<(QueueName, u32, SupplyView)> {
        let Some(plan) = &self.plan else { return Vec::new() };
        let mut offered = alloc::collections::BTreeMap::<QueueName, u32>::new();
        for (_, e) in self.engagements.iter().filter(|(_, e)| e.stage == Stage::Offered) {
            *offered.entry(e.queue).or_default() += 1;
        }
        let queues = plan.queues.iter().map(|queue| {
            let requires = queue.steps.last().map_or(&[][..], |step| &step.requires);
            let mut supply = SupplyView::default();
            for (_, seat) in self.seats.iter() {
                let serves = |need: &tidegate_matcher::market::Skill| {
                    seat.skills.iter().any(|(skill, level)| *skill == need.skill && *level >= need.level)
                };
                if !requires.iter().all(serves) {
                    continue;
                }
                match seat.presence {
                    Presence::SignedOut => supply.signed_out += 1,
                    Presence::Paused { .. } => supply.paused += 1,
                    Presence::Ready if seat.linked => {
                        supply.ready += 1;
                        let used = if seat.market == NOWHERE { 0 } else { self.market.seat_used_units(SeatSlot(seat.market)) };
                        supply.free += u32::from(used < seat.units);
                    }
                    Presence::Ready | Presence::NotResponding => supply.not_responding += 1,
                }
            }
            (queue.name, offered.get(&queue.name).copied().unwrap_or(0), supply)
        });
        queues.collect()
    }
}

fn view_of(seat: &super::state::Seat) -> AgentView {
    AgentView { seat: seat.id, name: seat.name.clone(), skills: seat.skills.clone(), units: seat.units, cost_ms: seat.cost_ms }
}
