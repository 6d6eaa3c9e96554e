//! Identities, one newtype each, so that no function ever takes two bare integers in a row.
//!
//! Who makes them: channels derive [`ConversationId`], [`EventId`] and [`CommandId`] (128 bits, from a provider's own id by a
//! cryptographic hash, so that a replay yields the same id on any node); the tenant machine counts [`ContactId`],
//! [`OfferId`] and [`EffectId`]; whoever keeps the roster gives [`SeatId`]. An id of zero means "none" on the wire.

use core::fmt;
use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// "None" on the wire.
            pub const NONE: Self = Self(0);

            /// Whether this id names nothing.
            pub const fn is_none(self) -> bool {
                self.0 == 0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:x})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:x}", self.0)
            }
        }
    };
}

id! {
    /// A tenant: the unit of decision, of digest, of export.
    TenantId(u32)
}
id! {
    /// One customer's thread on one channel account; derived by the channel from (account, external id).
    ConversationId(u128)
}
id! {
    /// One request for service inside a conversation; counted by the tenant machine from 1.
    ContactId(u64)
}
id! {
    /// A customer across channels; 0 while unknown.
    CustomerId(u64)
}
id! {
    /// A channel account (one web inbox, one WeChat official account).
    AccountId(u32)
}
id! {
    /// An agent's signed-in presence. One seat an agent: the id is the agent's.
    SeatId(u64)
}
id! {
    /// An offer of one contact to one seat; counted by the tenant machine from 1.
    OfferId(u64)
}
id! {
    /// Capacity taken by an accepted offer; carries the number of that offer.
    ClaimId(u64)
}
id! {
    /// An inbound event, derived from the provider's own id: a repeated delivery has the same one.
    EventId(u128)
}
id! {
    /// The idempotency key of a seat's or an administrator's command.
    CommandId(u128)
}
id! {
    /// An effect row of the tenant machine; counted from 1.
    EffectId(u64)
}
id! {
    /// Position of an entry in its cell's log; the first entry is 1.
    Seq(u64)
}
id! {
    /// A leader's term; outputs of an older term are fenced.
    Term(u64)
}

impl OfferId {
    /// The claim that this offer becomes when it is accepted.
    pub const fn claim(self) -> ClaimId {
        ClaimId(self.0)
    }
}

impl ClaimId {
    /// The offer that this claim came from.
    pub const fn offer(self) -> OfferId {
        OfferId(self.0)
    }
}
