//! The records that a tenant machine keeps: conversations, seats, engagements, effect rows, customers, accounts.
//!
//! Plain data with the few readings that belong to one record alone. Slots (`u32`) point between records; each record is
//! owned by one of the small machines in the sibling files and changed by its commits only.

use crate::index::hash;
use crate::policy::wait::Wait;
use crate::timers::Timer;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use tidegate_matcher::market::Skill;
use tidegate_model::limits::REQUEST_SKILLS_MAX;
use tidegate_model::name::symbol;
use tidegate_model::output::{Effect, Outcome, Presence};
use tidegate_model::policy::{AgentProfile, Delivery};
use tidegate_model::{
    AccountId, ClassName, CommandId, ContactId, ConversationId, CustomerId, EffectId, Level, OfferId, QueueName, SeatId, SkillName,
    Timestamp,
};

/// No slot.
pub(crate) const NOWHERE: u32 = u32::MAX;
/// Commands whose outcome a seat keeps.
pub(crate) const COMMANDS_KEPT: usize = 16;
/// Most units a seat may have: bounds the work of its sign-out.
pub(crate) const UNITS_MAX: u16 = 64;
/// Most channel accounts of a tenant.
pub(crate) const ACCOUNTS_MAX: usize = 1_024;

/// The one owner role of a conversation's open contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) enum Owner {
    /// No contact is open.
    #[default]
    Nobody,
    Bot,
    Lane,
    Offer,
    Seat,
    /// A decision about it panicked; people look after it.
    Manual,
}

/// One customer's thread and its open contact.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Conversation {
    pub(crate) id: ConversationId,
    pub(crate) customer: CustomerId,
    pub(crate) contact: ContactId,
    pub(crate) account: AccountId,
    /// Newest transcript number.
    pub(crate) n: u32,
    pub(crate) timer: Timer,
    pub(crate) owner: Owner,
    pub(crate) step: u8,
    pub(crate) overdue: bool,
    pub(crate) queue: u16,
    pub(crate) class: u16,
    pub(crate) weight: u16,
    /// Ticket in the market while waiting or offered.
    pub(crate) ticket: u32,
    /// Engagement while offered or in service.
    pub(crate) engagement: u32,
    pub(crate) lane_set: u32,
    pub(crate) offers: u16,
    pub(crate) segments: u16,
    pub(crate) last_event_at: Timestamp,
    /// The seat that has it, or had it last.
    pub(crate) seat: SeatId,
    pub(crate) began_at: Timestamp,
    pub(crate) requested_at: Timestamp,
    pub(crate) offered_at: Timestamp,
    pub(crate) assigned_at: Timestamp,
    pub(crate) step_entered_at: Timestamp,
    pub(crate) reserved_until: Timestamp,
    pub(crate) queue_name: QueueName,
    pub(crate) class_name: ClassName,
}

impl Conversation {
    pub(crate) fn new(id: ConversationId, account: AccountId, known_n: u32) -> Self {
        Self {
            id,
            customer: CustomerId::NONE,
            contact: ContactId::NONE,
            account,
            n: known_n,
            timer: Timer::default(),
            owner: Owner::Nobody,
            step: 0,
            overdue: false,
            queue: 0,
            class: 0,
            weight: 1,
            ticket: NOWHERE,
            engagement: NOWHERE,
            lane_set: NOWHERE,
            offers: 0,
            segments: 0,
            last_event_at: Timestamp(0),
            seat: SeatId::NONE,
            began_at: Timestamp::NEVER,
            requested_at: Timestamp::NEVER,
            offered_at: Timestamp::NEVER,
            assigned_at: Timestamp::NEVER,
            step_entered_at: Timestamp::NEVER,
            reserved_until: Timestamp::NEVER,
            queue_name: QueueName::NONE,
            class_name: ClassName::NONE,
        }
    }

    /// What the rules of a wait know of it.
    pub(crate) fn wait(&self) -> Wait {
        Wait {
            requested_at: self.requested_at,
            step_entered_at: self.step_entered_at,
            reserved_until: self.reserved_until,
            step: self.step,
            overdue: self.overdue,
        }
    }
}

/// Where an engagement stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Stage {
    Offered,
    Active,
    WrapUp,
}

/// An offer, and the claim that it becomes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Engagement {
    pub(crate) id: OfferId,
    pub(crate) contact: ContactId,
    /// Slot of the conversation; [`NOWHERE`] once the segment has ended.
    pub(crate) conversation: u32,
    pub(crate) conversation_id: ConversationId,
    pub(crate) seat: u32,
    pub(crate) stage: Stage,
    pub(crate) units: u16,
    pub(crate) effect: EffectId,
    pub(crate) timer: Timer,
    pub(crate) queue: QueueName,
}

/// A kept answer to a seat's command.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Answered {
    pub(crate) command: CommandId,
    pub(crate) content: u32,
    pub(crate) outcome: Outcome,
}

/// An agent of the roster, and its presence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seat {
    pub(crate) id: SeatId,
    pub(crate) name: String,
    pub(crate) skills: Vec<(SkillName, Level)>,
    pub(crate) units: u16,
    pub(crate) cost_ms: i64,
    pub(crate) presence: Presence,
    pub(crate) linked: bool,
    /// Open in the market: Ready and linked.
    pub(crate) open: bool,
    /// Slot in the market while signed in.
    pub(crate) market: u32,
    pub(crate) engaged: Vec<u32>,
    /// Hashes of the commands kept, two cache lines; their answers are read on a hit only.
    pub(crate) answered_keys: [u64; COMMANDS_KEPT],
    pub(crate) answered: Vec<Answered>,
    pub(crate) answered_next: u8,
}

impl Seat {
    pub(crate) fn new(id: SeatId, profile: &AgentProfile) -> Self {
        let mut seat = Self {
            id,
            name: String::new(),
            skills: Vec::new(),
            units: 1,
            cost_ms: 0,
            presence: Presence::SignedOut,
            linked: false,
            open: false,
            market: NOWHERE,
            engaged: Vec::new(),
            answered_keys: [0; COMMANDS_KEPT],
            answered: Vec::new(),
            answered_next: 0,
        };
        seat.apply(profile);
        seat
    }

    pub(crate) fn apply(&mut self, profile: &AgentProfile) {
        self.name = profile.name.clone();
        self.skills = profile.skills.iter().map(|r| (SkillName(symbol(&r.skill)), r.level)).collect();
        self.units = profile.units;
        self.cost_ms = profile.cost_ms;
    }

    pub(crate) fn profile(&self) -> Vec<Skill> {
        self.skills.iter().map(|&(skill, level)| Skill { skill, level }).collect()
    }

    pub(crate) fn signed_in(&self) -> bool {
        self.presence != Presence::SignedOut
    }

    /// The answer kept for a command.
    pub(crate) fn answer_to(&self, command: CommandId) -> Option<&Answered> {
        let key = hash(command.0);
        let place = self.answered_keys.iter().position(|k| *k == key)?;
        self.answered.get(place).filter(|a| a.command == command)
    }

    /// Keeps an answer in place of the oldest.
    pub(crate) fn keep(&mut self, answered: Answered) {
        let place = usize::from(self.answered_next);
        self.answered_keys[place] = hash(answered.command.0);
        match self.answered.get_mut(place) {
            Some(old) => *old = answered,
            None => self.answered.push(answered),
        }
        self.answered_next = ((place + 1) % COMMANDS_KEPT) as u8;
    }
}

/// An effect that somebody must carry out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EffectRow {
    pub(crate) id: EffectId,
    pub(crate) effect: Effect,
    pub(crate) valid_until: Timestamp,
    pub(crate) timer: Timer,
}

/// What is remembered of a customer between contacts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Customer {
    pub(crate) id: CustomerId,
    pub(crate) seat: SeatId,
    pub(crate) served_at: Timestamp,
}

/// A channel account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) delivery: Delivery,
    pub(crate) weight: u16,
    pub(crate) queue: QueueName,
}

/// Skills that a request names on top of its queue's; the empty one is place 0.
pub(crate) type Extra = [(SkillName, Level); REQUEST_SKILLS_MAX];

/// The lanes of one (queue, class, weight, extra skills): one pair a step, normal and overdue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LaneSet {
    pub(crate) queue: u16,
    pub(crate) class: u16,
    pub(crate) weight: u16,
    pub(crate) extra: Extra,
    pub(crate) lanes: Vec<[u16; 2]>,
}

/// Who was held back by a full table of engagements or effect rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct HeldBack {
    /// Somebody was, since the last look: the next free place is worth another.
    pub(crate) somebody: bool,
    /// The seat with which the next look begins, so that every seat has its turn at the places that come free.
    pub(crate) from: u32,
}

/// Work that an input left to be done, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// A waiting contact looks for a seat.
    FindSeat { conversation: u32, contact: ContactId },
    /// A seat with free units looks for a contact.
    FindContact { seat: u32 },
    /// A place of a full table is free again: so many seats, from this one on, look for a contact in turn.
    LookAgain { from: u32, left: u32 },
    /// A conversation's deadline has come.
    ConversationDue { conversation: u32 },
    /// An offer or a wrap-up has run out.
    EngagementDue { engagement: u32 },
    /// The right to attempt an effect has run out.
    EffectDue { effect: u32 },
    /// A seat has signed out: contacts reserved for it are set free, then it leaves the market.
    LeaveMarket { seat: u32 },
    /// A policy swap carries waiting contacts over, from this conversation on.
    Swap { cursor: u32, remapped: u32 },
    /// As `Swap`, one conversation a step up to `until`: planning a batch with one of them in it panicked.
    SwapOne { cursor: u32, until: u32, remapped: u32 },
    /// A hash entry folds changed records, from this word of a table's marks on (conversations, seats, engagements).
    Fold { table: u8, from: u32 },
}
