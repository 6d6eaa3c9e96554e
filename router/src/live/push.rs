//! The port of push channels: how the outbox reaches a provider, and what each possible answer of it means.
//!
//! A channel whose messages are called out to a provider (WeChat, a webhook) is registered per account. It names its promise:
//! at most once (what nobody knows is never tried again) or at least once (it is, with the same effect id, by which a provider
//! that de-duplicates makes it exactly once). The outbox refuses to know the provider's protocol; the channel refuses to know
//! about retries, order and deadlines.

use std::sync::Arc;
use tidegate_model::ids::{AccountId, ConversationId, EffectId, TenantId};
use tidegate_model::output::Item;
use tidegate_model::port::BoxFuture;
use tidegate_model::time::{Millis, Timestamp};

/// What a channel promises to its customers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Promise {
    /// A message whose fate is unknown is reported InDoubt and not sent again.
    AtMostOnce,
    /// A message whose fate is unknown is sent again, with the same effect id, while it is valid.
    AtLeastOnce,
}

/// One message on its way out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// The tenant.
    pub tenant: TenantId,
    /// The account.
    pub account: AccountId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The row: the provider's idempotency key, the same on every attempt and after a restart.
    pub effect: EffectId,
    /// The transcript item's number.
    pub n: u32,
    /// What it is.
    pub item: Item,
    /// The body of messages.
    pub body: Arc<[u8]>,
    /// 1 on the first attempt.
    pub attempt: u32,
    /// Log time after which nobody is interested in the answer.
    pub valid_until: Timestamp,
}

/// How an attempt came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PushAnswer {
    /// The provider took it.
    Sent,
    /// The provider refused it for good.
    Refused,
    /// The provider did not take it and says when to try again (zero: as the outbox likes).
    Later {
        /// Pause.
        after: Millis,
    },
    /// Nobody knows: the connection broke after the request was written, or no answer came.
    Unknown,
}

/// A provider's way out, one an account.
pub trait PushChannel: Send + Sync + 'static {
    /// What the channel promises.
    fn promise(&self) -> Promise;

    /// Tries once. A future that does not end within the outbox's patience is dropped and counts as [`PushAnswer::Unknown`].
    fn deliver(&self, delivery: Delivery) -> BoxFuture<PushAnswer>;
}
