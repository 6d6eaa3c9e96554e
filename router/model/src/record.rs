//! Records that outlive the machine's state: why a contact went where it went, and how it ended.
//!
//! A [`DecisionRecord`] carries every term of the winning score, so that an explanation never needs old code; a
//! [`ContactRecord`] carries the one exit of a contact. Metrics, live and simulated, are computed from these two and from
//! nothing else.

use crate::ids::{AccountId, ContactId, ConversationId, CustomerId, OfferId, SeatId, Seq};
use crate::name::{ClassName, QueueName, ReasonName};
use crate::output::Chain;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The one way a contact left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Exit {
    /// An agent served it to the end.
    Served,
    /// The customer left while waiting (or while an offer was out).
    AbandonedWaiting,
    /// The customer left while a bot (or a VRU) had it.
    AbandonedWithBot,
    /// The customer left in service, before the agent ended it.
    CustomerLeft,
    /// Its time was up.
    TimedOut,
    /// The offered callback was declined.
    CallbackDeclined,
    /// The callback reached nobody.
    CallbackNotReached,
    /// Refused by a rule or a limit.
    Refused(ReasonName),
    /// A fault of ours.
    Failed,
}

impl Exit {
    /// A stable number for digests.
    pub const fn code(self) -> u64 {
        match self {
            Self::Served => 1,
            Self::AbandonedWaiting => 2,
            Self::AbandonedWithBot => 3,
            Self::CustomerLeft => 4,
            Self::TimedOut => 5,
            Self::CallbackDeclined => 6,
            Self::CallbackNotReached => 7,
            Self::Refused(reason) => reason.0 | (1 << 63),
            Self::Failed => 9,
        }
    }

    /// A short name for people and metric labels.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::AbandonedWaiting => "abandoned_waiting",
            Self::AbandonedWithBot => "abandoned_with_bot",
            Self::CustomerLeft => "customer_left",
            Self::TimedOut => "timed_out",
            Self::CallbackDeclined => "callback_declined",
            Self::CallbackNotReached => "callback_not_reached",
            Self::Refused(_) => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Which of the two faces of routing decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Face {
    /// A contact looked for a seat.
    SelectAgent,
    /// A seat looked for a contact.
    SelectContact,
}

/// The terms of a score, each in milliseconds of virtual wait shifted left by 16. Their sum is the score.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Terms {
    /// Match of lane and supply class (skill levels).
    pub base: i64,
    /// Weight of the queue.
    pub queue: i64,
    /// Slope times virtual wait.
    pub wait: i64,
    /// Fairness: idle slope times idle time.
    pub idle: i64,
    /// Cost of the seat (subtracted: never positive for a positive cost).
    pub cost: i64,
    /// Preferred seat.
    pub affinity: i64,
    /// The overdue tier.
    pub overdue: i64,
}

impl Terms {
    /// The score. Cannot overflow within the bounds that a policy is validated against: seven terms of at most 2^58.
    pub const fn score(&self) -> i64 {
        self.base + self.queue + self.wait + self.idle + self.cost + self.affinity + self.overdue
    }
}

/// The best alternative that lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunnerUp {
    /// The seat ([`Face::SelectAgent`]) or the contact ([`Face::SelectContact`]).
    pub id: u64,
    /// Its score.
    pub score: i64,
}

/// Why candidates were passed over, by count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Passed {
    /// The pair is excluded (declined or missed before).
    pub excluded: u32,
    /// Lanes or classes that were not eligible but not empty.
    pub ineligible: u32,
}

/// One assignment decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// The entry that caused it.
    pub seq: Seq,
    /// Log time.
    pub at: Timestamp,
    /// Which face decided.
    pub face: Face,
    /// The contact.
    pub contact: ContactId,
    /// The seat.
    pub seat: SeatId,
    /// The offer made.
    pub offer: OfferId,
    /// The queue.
    pub queue: QueueName,
    /// The relaxation step the contact stood at.
    pub step: u8,
    /// The terms of the winner.
    pub terms: Terms,
    /// The best alternative.
    pub runner_up: Option<RunnerUp>,
    /// Heads compared.
    pub candidates: u32,
    /// Passed over.
    pub passed: Passed,
    /// First eight bytes of the active policy's hash.
    pub policy: u64,
    /// Version of the deciding code.
    pub version: u32,
}

impl DecisionRecord {
    /// Adds the record to a digest.
    pub fn fold(&self, chain: &mut Chain) {
        chain.word(self.seq.0);
        chain.word(self.at.0);
        chain.word(self.face as u64);
        chain.word(self.contact.0);
        chain.word(self.seat.0);
        chain.word(self.offer.0);
        chain.word(self.queue.0);
        chain.word(u64::from(self.step));
        let t = &self.terms;
        for term in [t.base, t.queue, t.wait, t.idle, t.cost, t.affinity, t.overdue] {
            chain.word(term as u64);
        }
        match self.runner_up {
            Some(other) => {
                chain.word(1);
                chain.word(other.id);
                chain.word(other.score as u64);
            }
            None => chain.word(0),
        }
        chain.word(u64::from(self.candidates));
        chain.word(u64::from(self.passed.excluded));
        chain.word(u64::from(self.passed.ineligible));
        chain.word(self.policy);
        chain.word(u64::from(self.version));
    }

    /// This record's own 64-bit digest, for comparing two runs decision by decision.
    pub fn digest(&self) -> u64 {
        let mut chain = Chain::default();
        self.fold(&mut chain);
        chain.0
    }
}

/// How a contact went, from its first event to its exit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ContactRecord {
    /// The contact.
    pub contact: ContactId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// The account.
    pub account: AccountId,
    /// The customer, when known.
    pub customer: CustomerId,
    /// The queue it asked for (none if it never did).
    pub queue: QueueName,
    /// The priority class.
    pub class: ClassName,
    /// First event.
    pub began_at: Timestamp,
    /// When it asked for an agent, if it did.
    pub requested_at: Option<Timestamp>,
    /// First offer.
    pub offered_at: Option<Timestamp>,
    /// First acceptance.
    pub assigned_at: Option<Timestamp>,
    /// The exit.
    pub ended_at: Timestamp,
    /// How it left.
    pub exit: Exit,
    /// The last primary seat, if any.
    pub seat: SeatId,
    /// Offers made.
    pub offers: u16,
    /// Segments served.
    pub segments: u16,
}

impl ContactRecord {
    /// Adds the record to a digest.
    pub fn fold(&self, chain: &mut Chain) {
        chain.word(self.contact.0);
        chain.wide(self.conversation.0);
        chain.word(u64::from(self.account.0));
        chain.word(self.customer.0);
        chain.word(self.queue.0);
        chain.word(self.class.0);
        chain.word(self.began_at.0);
        for at in [self.requested_at, self.offered_at, self.assigned_at] {
            chain.word(at.map_or(u64::MAX, |t| t.0));
        }
        chain.word(self.ended_at.0);
        chain.word(self.exit.code());
        chain.word(self.seat.0);
        chain.word(u64::from(self.offers) << 16 | u64::from(self.segments));
    }
}
