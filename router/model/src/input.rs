//! Inputs of a tenant machine: everything that may change a decision comes in as one of these, in log order.
//!
//! An input borrows from the bytes of its entry: bodies are opaque slices that no decision reads (intent, language and the
//! like arrive as typed fields). Acts are grouped by who speaks: a customer's channel, a seat, effects that came back,
//! administration, and the log itself.

use crate::file::FileRef;
use crate::ids::{AccountId, ClaimId, CommandId, ConversationId, CustomerId, EffectId, EventId, OfferId, SeatId, TenantId, Term};
use crate::limits::{Limits, REQUEST_SKILLS_MAX, REQUEST_TAGS_MAX};
use crate::name::{ClassName, Level, QueueName, ReasonName, SkillName, TagName};
use crate::time::Millis;

/// One input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// A customer's channel speaks.
    Inbound(Inbound<'a>),
    /// A seat speaks, or its gateway about it.
    Seat(SeatInput<'a>),
    /// Results of effects, many in one entry.
    Effects(EffectResults<'a>),
    /// Administration.
    Admin(Admin<'a>),
    /// Time has passed; proposed when a deadline or unfinished work is due and nothing else is in flight.
    Tick,
    /// Take the digest of the records changed since the last one.
    Hash,
    /// First entry of a term: open deadlines are lengthened by the leaderless gap.
    LeaderStarted {
        /// The new term.
        term: Term,
        /// How long nobody led.
        gap: Millis,
    },
}

/// What a channel says of one conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inbound<'a> {
    /// The channel account.
    pub account: AccountId,
    /// The conversation.
    pub conversation: ConversationId,
    /// De-duplication id, derived from the provider's.
    pub event: EventId,
    /// The customer, when a provable link is known.
    pub customer: CustomerId,
    /// Newest transcript number that the ingress knows: a conversation that has left memory goes on from it. Channels
    /// leave it 0; the router's ingress fills it from its transcript index.
    pub known_n: u32,
    /// The act.
    pub act: InboundAct<'a>,
}

/// A customer's acts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum InboundAct<'a> {
    /// A contact begins, with a bot or straight in a queue.
    Begin {
        /// Who has it first.
        with: FirstOwner,
        /// What is asked for.
        request: ContactRequest,
    },
    /// The contact leaves the bot and asks for an agent.
    RequestAgent {
        /// What is asked for.
        request: ContactRequest,
    },
    /// A message. Without an open contact it begins one in the account's queue.
    Message {
        /// UTF-8 text; never read by a decision.
        body: &'a [u8],
    },
    /// The customer leaves.
    Leave,
    /// A message that is a file: as [`Self::Message`] in every way, but its body is what is said of the file.
    File {
        /// The file, durable already; never read by a decision.
        file: FileRef<'a>,
    },
}

/// Who has a contact when it begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FirstOwner {
    /// A bot (or a VRU).
    Bot,
    /// A queue.
    Queue,
}

/// What a contact asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ContactRequest {
    /// The queue; none for the account's.
    pub queue: QueueName,
    /// The priority class; none for the policy's default.
    pub class: ClassName,
    /// The seat that should have it, if it can.
    pub preferred: SeatId,
    /// Tags, matched by refusal rules; unused places are none.
    pub tags: [TagName; REQUEST_TAGS_MAX],
    /// Skills on top of the queue's; unused places are none.
    pub skills: [(SkillName, Level); REQUEST_SKILLS_MAX],
}

/// What a seat (or its gateway) says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeatInput<'a> {
    /// The seat.
    pub seat: SeatId,
    /// Idempotency key; the outcome is kept with it.
    pub command: CommandId,
    /// The act.
    pub act: SeatAct<'a>,
}

/// A seat's acts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SeatAct<'a> {
    /// The agent signs in; the seat starts paused.
    SignIn,
    /// The agent signs out: open offers and claims go back with their seniority.
    SignOut,
    /// Ready for contacts; also ends NotResponding.
    Ready,
    /// No new contacts; claims go on.
    Pause {
        /// Why.
        reason: ReasonName,
    },
    /// Takes an offer.
    Accept {
        /// The offer.
        offer: OfferId,
    },
    /// Refuses an offer; the pair is excluded for this contact.
    Decline {
        /// The offer.
        offer: OfferId,
        /// Why.
        reason: ReasonName,
    },
    /// Sends a message to the customer of a claim.
    Send {
        /// The claim.
        claim: ClaimId,
        /// UTF-8 text; never read by a decision.
        body: &'a [u8],
    },
    /// Ends the segment; the claim enters wrap-up and the contact leaves with `Served`.
    End {
        /// The claim.
        claim: ClaimId,
    },
    /// Ends the wrap-up of a claim.
    WrapUp {
        /// The claim.
        claim: ClaimId,
        /// Disposition.
        code: ReasonName,
    },
    /// Hands the contact on; its seniority is kept.
    Transfer {
        /// The claim.
        claim: ClaimId,
        /// Where to.
        to: TransferTo,
    },
    /// The gateway lost the seat's connection: no new offers, claims stay.
    LinkDown,
    /// The seat's connection is back.
    LinkUp,
    /// The seat's lease ended without its coming back: as a sign-out.
    LeaseEnd,
    /// Sends a file to the customer of a claim: as [`Self::Send`] in every way.
    SendFile {
        /// The claim.
        claim: ClaimId,
        /// The file, durable already; never read by a decision.
        file: FileRef<'a>,
    },
}

/// Target of a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransferTo {
    /// A queue.
    Queue(QueueName),
    /// A seat, for as long as the policy waits for a preferred one.
    Seat(SeatId),
}

/// Results of effects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EffectResults<'a> {
    /// Encoded (effect, result) pairs; see [`crate::codec::effect_results`].
    pub packed: &'a [u8],
}

/// How an effect came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EffectResult {
    /// The provider took it.
    Sent,
    /// The provider refused it for good.
    Failed,
    /// Nobody knows: the right to try expired unanswered.
    InDoubt,
}

/// One result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EffectOutcome {
    /// The row.
    pub effect: EffectId,
    /// How it came out.
    pub result: EffectResult,
}

/// Administration of a tenant. Payloads are encoded by `tidegate-core`, which alone reads them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Admin<'a> {
    /// A policy becomes the active one.
    Policy {
        /// BLAKE3 of the policy's text.
        hash: [u8; 32],
        /// The validated policy, encoded.
        plan: &'a [u8],
    },
    /// The roster adds or changes an agent.
    Agent {
        /// The seat.
        seat: SeatId,
        /// The profile, encoded.
        profile: &'a [u8],
    },
    /// A channel account is added or changed.
    Account {
        /// The account.
        account: AccountId,
        /// The profile, encoded.
        profile: &'a [u8],
    },
    /// Limits change; never below what is in use.
    Limits(Limits),
    /// The version of the deciding code is raised.
    Version(u32),
}

/// An input with its tenant: what a producer hands to the cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addressed<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// The input.
    pub input: Input<'a>,
}
