//! Ports between channels and router: boxed futures that name no runtime, so that neither side imports the other.
//!
//! Delivery is by pull: a port wakes the connection with the newest number, and the connection reads numbered transcript
//! pages at its own pace. A slow reader therefore buffers nothing, and a resumed one continues where it stopped. Seat notices
//! are small and bounded; when a desk cannot keep up it is told to resynchronise from a [`SeatSnapshot`].
//!
//! Beside the numbered world stand views and signals ([`Standing`], [`OfferContext`], [`Catalogue`], typing): never logged,
//! never promised, each with a default that says nothing, so that a port without them is still a port.

use crate::ids::{AccountId, ClaimId, ContactId, ConversationId, OfferId, SeatId, TenantId};
use crate::input::{Inbound, SeatInput};
use crate::name::{ClassName, Level, QueueName, SkillName};
use crate::output::{Item, Outcome, Presence, SeatNotice};
use crate::policy::Desk;
use crate::time::{Millis, Timestamp};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;

pub use crate::file::{BlobError, BlobPart, BlobReader, BlobWriter, Blobs, FileFacts, FileHash, FileOwner, FileRef, Uploader};

/// A future that names no runtime.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// Why a port did not take something. Nothing of it was logged unless the variant says so.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PortError {
    /// Queues are full; try again after the span.
    Busy {
        /// Suggested pause.
        retry_after: Millis,
    },
    /// The node is draining or down.
    Closed,
    /// The log cannot be written: nothing more is acknowledged.
    LogFailed,
    /// A field is out of its limit.
    Invalid {
        /// Which, and what was expected.
        what: String,
    },
    /// No such tenant, conversation or seat here.
    Unknown,
    /// The file was not brought for this conversation by who names it.
    UnknownFile,
    /// The file store did not answer as it should.
    Files(BlobError),
}

/// Customers' way in.
pub trait Ingress: Send + Sync + 'static {
    /// Takes one event. The future resolves once the event is durable **and** decided; it borrows nothing.
    fn accept(&self, tenant: TenantId, inbound: Inbound<'_>) -> BoxFuture<Result<Outcome, PortError>>;

    /// Transcript items after number `after`, at most `max`, oldest first, with bodies.
    fn transcript(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        after: u32,
        max: usize,
    ) -> BoxFuture<Result<Vec<TranscriptItem>, PortError>>;

    /// Registers a connection of the conversation; it is woken for every later item until the guard is dropped.
    fn watch(&self, tenant: TenantId, conversation: ConversationId, egress: Arc<dyn Egress>) -> Box<dyn Watch>;

    /// Where the conversation's contact stands in its queue; nothing when it does not wait. A view beside the deciding
    /// thread: it follows within moments and may be asked often. O(log of the queue's length).
    fn standing(&self, tenant: TenantId, conversation: ConversationId) -> Option<Standing> {
        let _ = (tenant, conversation);
        None
    }

    /// The customer is writing. Goes on to the desk that serves the conversation, if any; too many are dropped. Must not
    /// block.
    fn typing(&self, tenant: TenantId, conversation: ConversationId) {
        let _ = (tenant, conversation);
    }

    /// What the customer of a conversation wants to be called; kept in memory only, and only so many. Must not block.
    fn introduce(&self, tenant: TenantId, conversation: ConversationId, name: &str) {
        let _ = (tenant, conversation, name);
    }
}

/// A registration; dropping it ends it.
pub trait Watch: Send + Sync {}

/// A customer's connection as the router sees it.
pub trait Egress: Send + Sync + 'static {
    /// Items up to `n` exist. Must not block; may be called often, with any `n`.
    fn wake(&self, conversation: ConversationId, n: u32);

    /// The agent is writing: ephemeral, may be dropped. Must not block.
    fn typing(&self, conversation: ConversationId, seat: SeatId) {
        let _ = (conversation, seat);
    }
}

/// Where a waiting contact stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The queue.
    pub queue: QueueName,
    /// Its place by seniority, from 1; one that is being offered keeps its place.
    pub position: u32,
    /// Contacts that wait in the queue, this one included.
    pub waiting: u32,
    /// How long it will still wait, as an interval; nothing when too little is known for one.
    pub wait: Option<WaitInterval>,
    /// Log time of this view.
    pub at: Timestamp,
}

/// Quantiles of the remaining wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitInterval {
    /// Over within this span with probability one half.
    pub p50: Millis,
    /// Over within this span with probability nine tenths.
    pub p90: Millis,
}

/// One transcript item with its body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TranscriptItem {
    /// Number, gap-free from 1.
    pub n: u32,
    /// Log time.
    pub at: Timestamp,
    /// What it is.
    pub item: Item,
    /// Body of messages, empty otherwise; of files what is said of them ([`Self::file`]).
    pub body: Arc<[u8]>,
}

impl TranscriptItem {
    /// What is said of the file, when the item is one and its body is still kept.
    pub fn file(&self) -> Option<FileRef<'_>> {
        self.item.is_file().then(|| FileRef::decode(&self.body, 0).ok()).flatten()
    }
}

/// Agents' way in.
pub trait SeatPort: Send + Sync + 'static {
    /// Takes one command. The future resolves once the command is durable and decided.
    fn command(&self, tenant: TenantId, input: SeatInput<'_>) -> BoxFuture<Result<Outcome, PortError>>;

    /// The seat as it stands: presence, open offers, claims.
    fn snapshot(&self, tenant: TenantId, seat: SeatId) -> BoxFuture<Result<SeatSnapshot, PortError>>;

    /// Registers the seat's desk; a later registration of the same seat replaces the earlier one, which is told so.
    fn watch(&self, tenant: TenantId, seat: SeatId, sink: Arc<dyn SeatSink>) -> Box<dyn Watch>;

    /// What a desk shows beside an offer; nothing when it is not known. Waits a few milliseconds at most for a view that
    /// has not caught up with the offer yet.
    fn context(&self, tenant: TenantId, conversation: ConversationId) -> BoxFuture<Option<OfferContext>> {
        let _ = (tenant, conversation);
        Box::pin(core::future::ready(None))
    }

    /// What the seat's desk shows to choose from, by the policy that is active.
    fn catalogue(&self, tenant: TenantId, seat: SeatId) -> BoxFuture<Option<Catalogue>> {
        let _ = (tenant, seat);
        Box::pin(core::future::ready(None))
    }

    /// The agent is writing in a conversation that the seat serves; goes on to the customer's connections, too many are
    /// dropped, those of a seat that does not serve it too. Must not block.
    fn typing(&self, tenant: TenantId, seat: SeatId, conversation: ConversationId) {
        let _ = (tenant, seat, conversation);
    }
}

/// What to know of a contact before accepting it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OfferContext {
    /// The channel account.
    pub account: AccountId,
    /// The priority class.
    pub class: ClassName,
    /// Skills asked for on top of the queue's.
    pub skills: Vec<(SkillName, Level)>,
    /// It had been offered or assigned before.
    pub returned: bool,
    /// What the customer wants to be called.
    pub customer: Option<Arc<str>>,
}

/// What a desk shows to choose from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Catalogue {
    /// The agent's name.
    pub agent: String,
    /// Lists and thresholds of the policy's `[desk]` table, defaults filled in.
    pub desk: Arc<Desk>,
    /// Queues of the active policy.
    pub queues: Arc<[CatalogueQueue]>,
}

/// A queue as a desk needs it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CatalogueQueue {
    /// Its name.
    pub name: String,
    /// How long a seat may take to accept.
    pub offer_timeout: Millis,
    /// Wrap-up after a segment; zero for none.
    pub wrap_up: Millis,
}

/// A desk as the router sees it.
pub trait SeatSink: Send + Sync + 'static {
    /// A notice. Must not block. When it cannot be taken, the sink must resynchronise from a snapshot.
    fn notice(&self, notice: SeatNotice);

    /// A conversation that this seat serves has items up to `n`. Must not block.
    fn wake(&self, conversation: ConversationId, n: u32);

    /// Another desk signed in on the seat.
    fn replaced(&self);

    /// The customer of a conversation that this seat serves is writing: ephemeral, may be dropped. Must not block.
    fn typing(&self, conversation: ConversationId) {
        let _ = conversation;
    }

    /// Another policy is active: the catalogue may have changed. Must not block.
    fn policy_changed(&self) {}
}

/// A seat as the machine sees it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SeatSnapshot {
    /// Presence.
    pub presence: Presence,
    /// Log time of the snapshot.
    pub at: Timestamp,
    /// Open offers.
    pub offers: Vec<OpenOffer>,
    /// Claims, wrap-ups included.
    pub claims: Vec<OpenClaim>,
}

/// An open offer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenOffer {
    /// The offer.
    pub offer: OfferId,
    /// The contact.
    pub contact: ContactId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// The queue it waited in.
    pub queue: QueueName,
    /// When the customer began to wait.
    pub waiting_since: Timestamp,
    /// Log time of expiry.
    pub deadline: Timestamp,
}

/// A claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenClaim {
    /// The claim.
    pub claim: ClaimId,
    /// The contact.
    pub contact: ContactId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Log time at which wrap-up ends, when in wrap-up.
    pub wrap_up_until: Option<Timestamp>,
    /// Newest transcript number.
    pub n: u32,
}

/// Who may speak for whom.
pub trait Authenticator: Send + Sync + 'static {
    /// Checks a customer's token for an account.
    ///
    /// # Errors
    /// [`AuthError`] by cause; the caller never learns which secret was wrong.
    fn customer(&self, token: &str) -> Result<CustomerGrant, AuthError>;

    /// Checks an agent's token.
    ///
    /// # Errors
    /// As [`Self::customer`].
    fn agent(&self, token: &str) -> Result<AgentGrant, AuthError>;
}

/// Who draws agents' tokens for others: sign-in of people, and the platform's programs.
pub trait DeskTokens: Send + Sync + 'static {
    /// A desk token for a seat, good for `life_s` seconds.
    ///
    /// # Errors
    /// [`AuthError::Malformed`] when it cannot be signed.
    fn desk_token(&self, grant: &AgentGrant, life_s: u64) -> Result<alloc::string::String, AuthError>;
}

/// A customer's proven identity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CustomerGrant {
    /// The tenant.
    pub tenant: TenantId,
    /// The account.
    pub account: crate::ids::AccountId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The customer, when verified.
    pub customer: crate::ids::CustomerId,
}

/// An agent's proven identity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentGrant {
    /// The tenant.
    pub tenant: TenantId,
    /// The seat.
    pub seat: SeatId,
}

/// Why a token was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AuthError {
    /// Not a token.
    Malformed,
    /// Algorithm not allowed.
    Algorithm,
    /// Signature does not fit.
    Signature,
    /// Out of its time.
    Expired,
    /// For somebody or something else.
    Audience,
}
