//! What an event says, and the number that names it for ever.
//!
//! Numbers are `{entry}-{index}`: the entry of the cell's log whose handling gave the output, and the place of the output
//! among that entry's outputs. They grow along the log, are never reused, and are the same after any replay. The order of
//! [`Fact`]'s variants and fields is the disk format: append, never reorder.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use tidegate_model::output::{Presence, Rescind};
use tidegate_model::record::{ContactRecord, DecisionRecord};
use tidegate_model::{AccountId, ClaimId, ContactId, ConversationId, OfferId, QueueName, SeatId, Seq, TenantId, Timestamp};

/// The number of an event. Ordered as the log is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct EventNo {
    /// The entry.
    pub seq: Seq,
    /// The output's place among the entry's outputs.
    pub index: u32,
}

impl EventNo {
    /// Before every event.
    pub const START: Self = Self { seq: Seq(0), index: 0 };

    /// Behind every event of an entry.
    #[must_use]
    pub const fn after_entry(seq: Seq) -> Self {
        Self { seq, index: u32::MAX }
    }
}

impl fmt::Display for EventNo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.seq.0, self.index)
    }
}

/// Text that is no event number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an event id: two decimal numbers joined by `-` (`4711-2`), or `0` for the beginning")]
pub struct EventNoError;

impl FromStr for EventNo {
    type Err = EventNoError;

    /// Reads what [`fmt::Display`] wrote, and `0`. O(length); at most 31 bytes are looked at.
    fn from_str(text: &str) -> Result<Self, EventNoError> {
        if text == "0" {
            return Ok(Self::START);
        }
        let (seq, index) = text.split_once('-').ok_or(EventNoError)?;
        // One spelling only: no signs, no leading zeroes, so that text and number are one to one.
        let plain = |digits: &str, most: usize| {
            let zero = digits.len() > 1 && digits.starts_with('0');
            (1..=most).contains(&digits.len()) && !zero && digits.bytes().all(|b| b.is_ascii_digit())
        };
        if !plain(seq, 20) || !plain(index, 10) {
            return Err(EventNoError);
        }
        let seq = seq.parse().map(Seq).map_err(|_| EventNoError)?;
        Ok(Self { seq, index: index.parse().map_err(|_| EventNoError)? })
    }
}

/// One event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// Its number.
    pub no: EventNo,
    /// Whose.
    pub tenant: TenantId,
    /// Log time.
    pub at: Timestamp,
    /// What happened.
    pub fact: Fact,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Fact {
    /// A conversation is in the machine.
    ConversationOpened {
        /// Which.
        conversation: ConversationId,
        /// On which account.
        account: AccountId,
    },
    /// It has left the machine.
    ConversationClosed {
        /// Which.
        conversation: ConversationId,
        /// On which account.
        account: AccountId,
    },
    /// A contact began; `n` is the transcript's number of it, here and below.
    ContactBegan {
        /// In which conversation.
        conversation: ConversationId,
        /// Transcript number.
        n: u32,
        /// Which.
        contact: ContactId,
    },
    /// It waits in a queue.
    ContactQueued {
        /// In which conversation.
        conversation: ConversationId,
        /// Transcript number.
        n: u32,
        /// Which queue.
        queue: QueueName,
    },
    /// It is offered to a seat.
    ContactOffered {
        /// In which conversation.
        conversation: ConversationId,
        /// Which.
        contact: ContactId,
        /// To whom.
        seat: SeatId,
        /// The offer.
        offer: OfferId,
        /// The queue it waited in.
        queue: QueueName,
        /// Since when the customer waits.
        waiting_since: Timestamp,
        /// Until when the seat may answer.
        deadline: Timestamp,
    },
    /// The offer was withdrawn. Conversation and contact are 0 when the journal began with the offer already out.
    OfferWithdrawn {
        /// In which conversation.
        conversation: ConversationId,
        /// Which.
        contact: ContactId,
        /// From whom.
        seat: SeatId,
        /// The offer.
        offer: OfferId,
        /// Why.
        why: Rescind,
    },
    /// A seat has accepted it.
    ContactAssigned {
        /// In which conversation.
        conversation: ConversationId,
        /// Which.
        contact: ContactId,
        /// Who.
        seat: SeatId,
        /// The claim.
        claim: ClaimId,
    },
    /// The agent handed it on.
    ContactTransferred {
        /// In which conversation.
        conversation: ConversationId,
        /// Transcript number.
        n: u32,
    },
    /// It left, by exactly one exit.
    ContactEnded(ContactRecord),
    /// The customer wrote.
    MessageFromCustomer {
        /// In which conversation.
        conversation: ConversationId,
        /// Transcript number.
        n: u32,
    },
    /// The agent wrote.
    MessageFromAgent {
        /// In which conversation.
        conversation: ConversationId,
        /// Transcript number.
        n: u32,
        /// Who.
        seat: SeatId,
    },
    /// A seat's presence as the machine sees it.
    PresenceChanged {
        /// Which seat.
        seat: SeatId,
        /// What it is now.
        presence: Presence,
    },
    /// A segment ended; wrap-up until the given time.
    WrapUp {
        /// In which conversation.
        conversation: ConversationId,
        /// Of which contact.
        contact: ContactId,
        /// Which seat.
        seat: SeatId,
        /// The claim.
        claim: ClaimId,
        /// Log time at which it ends by itself.
        until: Timestamp,
    },
    /// The claim is over.
    ClaimReleased {
        /// In which conversation.
        conversation: ConversationId,
        /// Of which contact.
        contact: ContactId,
        /// Which seat.
        seat: SeatId,
        /// The claim.
        claim: ClaimId,
    },
    /// A policy is active.
    PolicyActivated {
        /// BLAKE3 of its text.
        hash: [u8; 32],
        /// Waiting contacts whose step vanished.
        steps_remapped: u32,
    },
    /// A decision panicked.
    ContactPoisoned {
        /// The contact, when one is concerned.
        contact: ContactId,
    },
    /// An assignment decision with its terms; only when the configuration asks for it.
    Decision(DecisionRecord),
    /// Asked for by an operator, to see whether a receiver hears. Never in the journal.
    Ping,
}

/// Every kind of event, by name, in the order of [`Fact`].
pub const KINDS: [&str; 18] = [
    "conversation.opened",
    "conversation.closed",
    "contact.began",
    "contact.queued",
    "contact.offered",
    "contact.offer_withdrawn",
    "contact.assigned",
    "contact.transferred",
    "contact.ended",
    "message.from_customer",
    "message.from_agent",
    "seat.presence_changed",
    "claim.wrap_up",
    "claim.released",
    "policy.activated",
    "contact.poisoned",
    "decision.made",
    "webhook.ping",
];

impl Fact {
    /// Its place in [`KINDS`].
    #[must_use]
    pub const fn kind(&self) -> usize {
        match self {
            Self::ConversationOpened { .. } => 0,
            Self::ConversationClosed { .. } => 1,
            Self::ContactBegan { .. } => 2,
            Self::ContactQueued { .. } => 3,
            Self::ContactOffered { .. } => 4,
            Self::OfferWithdrawn { .. } => 5,
            Self::ContactAssigned { .. } => 6,
            Self::ContactTransferred { .. } => 7,
            Self::ContactEnded(_) => 8,
            Self::MessageFromCustomer { .. } => 9,
            Self::MessageFromAgent { .. } => 10,
            Self::PresenceChanged { .. } => 11,
            Self::WrapUp { .. } => 12,
            Self::ClaimReleased { .. } => 13,
            Self::PolicyActivated { .. } => 14,
            Self::ContactPoisoned { .. } => 15,
            Self::Decision(_) => 16,
            Self::Ping => 17,
        }
    }

    /// The conversation whose order it stands in; `None` for those of seats and of the tenant.
    #[must_use]
    pub fn conversation(&self) -> Option<ConversationId> {
        let id = match *self {
            Self::ConversationOpened { conversation, .. }
            | Self::ConversationClosed { conversation, .. }
            | Self::ContactBegan { conversation, .. }
            | Self::ContactQueued { conversation, .. }
            | Self::ContactOffered { conversation, .. }
            | Self::OfferWithdrawn { conversation, .. }
            | Self::ContactAssigned { conversation, .. }
            | Self::ContactTransferred { conversation, .. }
            | Self::MessageFromCustomer { conversation, .. }
            | Self::MessageFromAgent { conversation, .. }
            | Self::WrapUp { conversation, .. }
            | Self::ClaimReleased { conversation, .. } => conversation,
            Self::ContactEnded(record) => record.conversation,
            Self::PresenceChanged { .. }
            | Self::PolicyActivated { .. }
            | Self::ContactPoisoned { .. }
            | Self::Decision(_)
            | Self::Ping => return None,
        };
        (!id.is_none()).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::{EventNo, EventNoError};
    use tidegate_model::Seq;

    #[test]
    fn numbers_have_one_spelling() {
        for no in [EventNo { seq: Seq(1), index: 0 }, EventNo { seq: Seq(u64::MAX), index: u32::MAX }] {
            assert_eq!(no.to_string().parse(), Ok(no));
        }
        assert_eq!("0".parse(), Ok(EventNo::START));
        assert_eq!("0-0".parse(), Ok(EventNo::START));
        let far = format!("{}-1", "9".repeat(200));
        for text in
            ["", "-", "1", "1-", "-1", "+1-2", "1-+2", "01-2", "1-02", " 1-2", "1-2 ", "1-2-3", "1-4294967296", "x-1", "１-2", &far]
        {
            assert_eq!(text.parse::<EventNo>(), Err(EventNoError), "{text:?}");
        }
        assert_eq!("18446744073709551616-1".parse::<EventNo>(), Err(EventNoError), "one above the greatest");
    }
}
