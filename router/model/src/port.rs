//! Ports between channels and router: boxed futures that name no runtime, so that neither side imports the other.
//!
//! Delivery is by pull: a port wakes the connection with the newest number, and the connection reads numbered transcript
//! pages at its own pace. A slow reader therefore buffers nothing, and a resumed one continues where it stopped. Seat notices
//! are small and bounded; when a desk cannot keep up it is told to resynchronise from a [`SeatSnapshot`].

use crate::ids::{ClaimId, ContactId, ConversationId, OfferId, SeatId, TenantId};
use crate::input::{Inbound, SeatInput};
use crate::name::QueueName;
use crate::output::{Item, Outcome, Presence, SeatNotice};
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
}

/// A registration; dropping it ends it.
pub trait Watch: Send + Sync {}

/// A customer's connection as the router sees it.
pub trait Egress: Send + Sync + 'static {
    /// Items up to `n` exist. Must not block; may be called often, with any `n`.
    fn wake(&self, conversation: ConversationId, n: u32);
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
}

/// A desk as the router sees it.
pub trait SeatSink: Send + Sync + 'static {
    /// A notice. Must not block. When it cannot be taken, the sink must resynchronise from a snapshot.
    fn notice(&self, notice: SeatNotice);

    /// A conversation that this seat serves has items up to `n`. Must not block.
    fn wake(&self, conversation: ConversationId, n: u32);

    /// Another desk signed in on the seat.
    fn replaced(&self);
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
