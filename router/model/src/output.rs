//! Outputs of a tenant machine, drained by `poll_output` after every `handle`.
//!
//! Effects are rows that stay open in the state until an input closes them; notices to seats and transcript items are views,
//! resumed by number. Every output has one flat encoding ([`Output::fold`]) and the running digest of all outputs is the
//! definition of parity between the live node and the twin.

use crate::ids::{AccountId, ClaimId, ContactId, ConversationId, EffectId, OfferId, SeatId, Seq};
use crate::name::{QueueName, ReasonName, mix};
use crate::record::{ContactRecord, DecisionRecord, Exit};
use crate::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

/// One output.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Output {
    /// The answer to the input at `seq`; kept with the idempotency key.
    Reply {
        /// The entry answered.
        seq: Seq,
        /// The answer.
        outcome: Outcome,
    },
    /// A numbered item of a conversation's transcript.
    Transcript {
        /// The conversation.
        conversation: ConversationId,
        /// Its number: gap-free from 1.
        n: u32,
        /// The entry that holds the body, for messages.
        seq: Seq,
        /// Log time.
        at: Timestamp,
        /// The seat serving the conversation, if any: its desk sees the item.
        seat: SeatId,
        /// What it is.
        item: Item,
    },
    /// Something a seat's desk must know.
    Seat {
        /// The seat.
        seat: SeatId,
        /// The notice.
        notice: SeatNotice,
    },
    /// An effect row was opened: somebody must act, and say how it went.
    EffectOpened {
        /// The row.
        id: EffectId,
        /// Log time after which an unanswered attempt is InDoubt.
        valid_until: Timestamp,
        /// What to do.
        effect: Effect,
    },
    /// An effect row was closed.
    EffectClosed {
        /// The row.
        id: EffectId,
    },
    /// An assignment decision with every term.
    Decision(DecisionRecord),
    /// A contact left, by exactly one exit.
    Contact(ContactRecord),
    /// A conversation was opened or closed: its live half may be started or stopped.
    Conversation {
        /// The conversation.
        conversation: ConversationId,
        /// The account it belongs to.
        account: AccountId,
        /// Which.
        life: Life,
    },
    /// A decision panicked; its contact is in the manual lane and everything else goes on.
    Poisoned {
        /// The entry.
        seq: Seq,
        /// The contact, when one is concerned.
        contact: ContactId,
    },
    /// A policy is active.
    PolicyActive {
        /// BLAKE3 of its text.
        hash: [u8; 32],
        /// Waiting contacts whose step vanished and was mapped to the nearest earlier one.
        steps_remapped: u32,
    },
    /// The digest asked for by a hash entry.
    Digest {
        /// The entry.
        seq: Seq,
        /// Chain over all records changed so far.
        state: u64,
        /// Chain over all outputs so far.
        outputs: u64,
    },
}

/// A conversation's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// It is in the machine.
    Opened,
    /// It has left the machine.
    Closed,
}

/// The answer to an input.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Outcome {
    /// Taken; for messages the transcript number, for requests the contact.
    Done {
        /// The contact concerned.
        contact: ContactId,
        /// Transcript number given, or 0.
        n: u32,
    },
    /// The same event or command was taken before, with this answer.
    Duplicate {
        /// Transcript number given then, or 0.
        n: u32,
    },
    /// The same event or command was taken before, with another content.
    Conflict,
    /// Refused, by name.
    Refused(Refusal),
}

/// Why an input was refused. Nothing changed but a counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// No such seat in the roster.
    UnknownSeat,
    /// No such account.
    UnknownAccount,
    /// No such queue in the active policy.
    UnknownQueue,
    /// No such class in the active policy.
    UnknownClass,
    /// No such conversation, or nothing open in it.
    NotOpen,
    /// The offer is gone: accepted elsewhere, expired, rescinded.
    OfferGone,
    /// The claim is not this seat's, or has ended.
    ClaimGone,
    /// The seat is not signed in.
    NotSignedIn,
    /// The contact is already open.
    AlreadyOpen,
    /// No policy is active.
    NoPolicy,
    /// A limit of the tenant is reached.
    Limit(LimitKind),
    /// The payload could not be read, or contradicts itself.
    Malformed,
    /// A rule of the policy refuses it.
    Rule(ReasonName),
    /// The deciding step panicked.
    Poisoned,
}

/// Which limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LimitKind {
    /// Conversations.
    Conversations,
    /// Waiting contacts.
    Tickets,
    /// Seats.
    Seats,
    /// Lanes.
    Lanes,
    /// Supply classes.
    Classes,
    /// Offers and claims.
    Engagements,
    /// Effect rows.
    Effects,
    /// Customers.
    Customers,
    /// Channel accounts.
    Accounts,
    /// The queue's own length.
    QueueLength,
    /// Inputs waiting for fuel.
    PendingInputs,
}

/// What stands in a transcript.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Item {
    /// A contact began.
    Began {
        /// The contact.
        contact: ContactId,
    },
    /// It waits in a queue.
    Queued {
        /// The queue.
        queue: QueueName,
    },
    /// The customer wrote.
    FromCustomer,
    /// The agent wrote.
    FromSeat {
        /// Which.
        seat: SeatId,
    },
    /// An agent has it.
    Assigned {
        /// Which.
        seat: SeatId,
    },
    /// The agent handed it on.
    Transferred,
    /// The contact left.
    Ended {
        /// How.
        exit: Exit,
    },
    /// The customer sent a file.
    FileFromCustomer,
    /// The agent sent a file.
    FileFromSeat {
        /// Which.
        seat: SeatId,
    },
}

/// A notice to a seat's desk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SeatNotice {
    /// The seat's presence as the machine sees it.
    Presence {
        /// The state.
        presence: Presence,
    },
    /// An offer; accept or decline before the deadline.
    Offered {
        /// The offer.
        offer: OfferId,
        /// The contact.
        contact: ContactId,
        /// Its conversation.
        conversation: ConversationId,
        /// The queue it waited in.
        queue: QueueName,
        /// When the customer began to wait.
        waiting_since: Timestamp,
        /// Log time of expiry.
        deadline: Timestamp,
        /// Span from now to the deadline.
        timeout: Millis,
    },
    /// The offer is withdrawn.
    Rescinded {
        /// The offer.
        offer: OfferId,
        /// Why.
        why: Rescind,
    },
    /// The offer was accepted: the claim is this seat's.
    Assigned {
        /// The claim.
        claim: ClaimId,
        /// The contact.
        contact: ContactId,
        /// Its conversation.
        conversation: ConversationId,
    },
    /// The segment ended; wrap-up until the given time.
    WrapUp {
        /// The claim.
        claim: ClaimId,
        /// Log time at which it ends by itself.
        until: Timestamp,
    },
    /// The claim is over and its units are free.
    Released {
        /// The claim.
        claim: ClaimId,
    },
}

/// Why an offer was withdrawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Rescind {
    /// The customer left.
    CustomerLeft,
    /// Nobody answered in time.
    Expired,
    /// The contact's own time was up.
    TimedOut,
    /// The seat signed out or its lease ended.
    SeatGone,
    /// The seat declined it.
    Declined,
}

/// Presence of a seat.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Presence {
    /// Not signed in.
    #[default]
    SignedOut,
    /// Takes contacts while units are free.
    Ready,
    /// Takes none.
    Paused {
        /// Why.
        reason: ReasonName,
    },
    /// Missed an offer; takes none until it says Ready.
    NotResponding,
}

/// What an effect row asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Effect {
    /// Show an offer to a seat; closed by its acceptance, decline, expiry or rescission.
    Offer {
        /// The seat.
        seat: SeatId,
        /// The offer.
        offer: OfferId,
        /// The contact.
        contact: ContactId,
        /// Its conversation.
        conversation: ConversationId,
    },
    /// Send transcript item `n` to the customer through the account's provider; closed by a result.
    Deliver {
        /// The account.
        account: AccountId,
        /// The conversation.
        conversation: ConversationId,
        /// The item.
        n: u32,
        /// The entry that holds the body.
        seq: Seq,
    },
}

/// A 64-bit chain over words: the running digest of outputs. Not cryptographic; it finds accidents, not attackers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Chain(pub u64);

impl Chain {
    /// Adds one word.
    pub fn word(&mut self, word: u64) {
        self.0 = mix(self.0.rotate_left(23) ^ word.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(word);
    }

    /// Adds a 128-bit word.
    pub fn wide(&mut self, word: u128) {
        self.word(word as u64);
        self.word((word >> 64) as u64);
    }

    /// Adds bytes, length included.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0_u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }
}

impl Output {
    /// Adds this output to a digest: discriminant first, then every field in order of declaration.
    pub fn fold(&self, chain: &mut Chain) {
        match self {
            Self::Reply { seq, outcome } => {
                chain.word(1);
                chain.word(seq.0);
                outcome.fold(chain);
            }
            Self::Transcript { conversation, n, seq, at, seat, item } => {
                chain.word(2);
                chain.wide(conversation.0);
                chain.word(u64::from(*n));
                chain.word(seq.0);
                chain.word(at.0);
                chain.word(seat.0);
                item.fold(chain);
            }
            Self::Seat { seat, notice } => {
                chain.word(3);
                chain.word(seat.0);
                notice.fold(chain);
            }
            Self::EffectOpened { id, valid_until, effect } => {
                chain.word(4);
                chain.word(id.0);
                chain.word(valid_until.0);
                effect.fold(chain);
            }
            Self::EffectClosed { id } => {
                chain.word(5);
                chain.word(id.0);
            }
            Self::Decision(record) => {
                chain.word(6);
                record.fold(chain);
            }
            Self::Contact(record) => {
                chain.word(7);
                record.fold(chain);
            }
            Self::Conversation { conversation, account, life } => {
                chain.word(8);
                chain.wide(conversation.0);
                chain.word(u64::from(account.0));
                chain.word(*life as u64);
            }
            Self::Poisoned { seq, contact } => {
                chain.word(9);
                chain.word(seq.0);
                chain.word(contact.0);
            }
            Self::PolicyActive { hash, steps_remapped } => {
                chain.word(10);
                chain.bytes(hash);
                chain.word(u64::from(*steps_remapped));
            }
            Self::Digest { seq, state, outputs } => {
                chain.word(11);
                chain.word(seq.0);
                chain.word(*state);
                chain.word(*outputs);
            }
        }
    }
}

impl Outcome {
    fn fold(self, chain: &mut Chain) {
        match self {
            Self::Done { contact, n } => {
                chain.word(1);
                chain.word(contact.0);
                chain.word(u64::from(n));
            }
            Self::Duplicate { n } => {
                chain.word(2);
                chain.word(u64::from(n));
            }
            Self::Conflict => chain.word(3),
            Self::Refused(refusal) => {
                chain.word(4);
                chain.word(refusal.code());
            }
        }
    }
}

impl Refusal {
    /// A stable number for digests and metrics.
    pub const fn code(self) -> u64 {
        match self {
            Self::UnknownSeat => 1,
            Self::UnknownAccount => 2,
            Self::UnknownQueue => 3,
            Self::UnknownClass => 4,
            Self::NotOpen => 5,
            Self::OfferGone => 6,
            Self::ClaimGone => 7,
            Self::NotSignedIn => 8,
            Self::AlreadyOpen => 9,
            Self::NoPolicy => 10,
            Self::Malformed => 11,
            Self::Poisoned => 12,
            Self::Limit(kind) => 0x100 + kind as u64,
            Self::Rule(reason) => reason.0 | (1 << 63),
        }
    }

    /// A short name for people, problem+json types and metric labels.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::UnknownSeat => "unknown-seat",
            Self::UnknownAccount => "unknown-account",
            Self::UnknownQueue => "unknown-queue",
            Self::UnknownClass => "unknown-class",
            Self::NotOpen => "not-open",
            Self::OfferGone => "offer-gone",
            Self::ClaimGone => "claim-gone",
            Self::NotSignedIn => "not-signed-in",
            Self::AlreadyOpen => "already-open",
            Self::NoPolicy => "no-policy",
            Self::Malformed => "malformed",
            Self::Poisoned => "poisoned",
            Self::Limit(_) => "limit-reached",
            Self::Rule(_) => "refused-by-rule",
        }
    }
}

impl Item {
    /// Whether its entry holds a body: text, or what is said of a file.
    pub const fn has_body(self) -> bool {
        matches!(self, Self::FromCustomer | Self::FromSeat { .. }) || self.is_file()
    }

    /// Whether it is a file.
    pub const fn is_file(self) -> bool {
        matches!(self, Self::FileFromCustomer | Self::FileFromSeat { .. })
    }

    fn fold(self, chain: &mut Chain) {
        match self {
            Self::Began { contact } => {
                chain.word(1);
                chain.word(contact.0);
            }
            Self::Queued { queue } => {
                chain.word(2);
                chain.word(queue.0);
            }
            Self::FromCustomer => chain.word(3),
            Self::FromSeat { seat } => {
                chain.word(4);
                chain.word(seat.0);
            }
            Self::Assigned { seat } => {
                chain.word(5);
                chain.word(seat.0);
            }
            Self::Transferred => chain.word(6),
            Self::Ended { exit } => {
                chain.word(7);
                chain.word(exit.code());
            }
            Self::FileFromCustomer => chain.word(8),
            Self::FileFromSeat { seat } => {
                chain.word(9);
                chain.word(seat.0);
            }
        }
    }
}

impl SeatNotice {
    fn fold(self, chain: &mut Chain) {
        match self {
            Self::Presence { presence } => {
                chain.word(1);
                chain.word(presence.code());
            }
            Self::Offered { offer, contact, conversation, queue, waiting_since, deadline, timeout } => {
                chain.word(2);
                chain.word(offer.0);
                chain.word(contact.0);
                chain.wide(conversation.0);
                chain.word(queue.0);
                chain.word(waiting_since.0);
                chain.word(deadline.0);
                chain.word(timeout.0);
            }
            Self::Rescinded { offer, why } => {
                chain.word(3);
                chain.word(offer.0);
                chain.word(why as u64);
            }
            Self::Assigned { claim, contact, conversation } => {
                chain.word(4);
                chain.word(claim.0);
                chain.word(contact.0);
                chain.wide(conversation.0);
            }
            Self::WrapUp { claim, until } => {
                chain.word(5);
                chain.word(claim.0);
                chain.word(until.0);
            }
            Self::Released { claim } => {
                chain.word(6);
                chain.word(claim.0);
            }
        }
    }
}

impl Presence {
    /// A stable number for digests: distinct states differ, pause reasons included.
    pub const fn code(self) -> u64 {
        match self {
            Self::SignedOut => 1,
            Self::Ready => 2,
            Self::Paused { reason } => reason.0 | (1 << 63),
            Self::NotResponding => 4,
        }
    }
}

impl Effect {
    /// Adds the row to a digest.
    pub fn fold(self, chain: &mut Chain) {
        match self {
            Self::Offer { seat, offer, contact, conversation } => {
                chain.word(1);
                chain.word(seat.0);
                chain.word(offer.0);
                chain.word(contact.0);
                chain.wide(conversation.0);
            }
            Self::Deliver { account, conversation, n, seq } => {
                chain.word(2);
                chain.word(u64::from(account.0));
                chain.wide(conversation.0);
                chain.word(u64::from(n));
                chain.word(seq.0);
            }
        }
    }
}
