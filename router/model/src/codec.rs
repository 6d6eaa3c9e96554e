//! The flat encoding of log entries, version 1: little-endian, keys at fixed offsets, bodies last.
//!
//! ```text
//! 0   u8   format version (1)          16  u64  log time, ms (stamped by the leader)
//! 1   u8   kind                        24  u128 key: conversation, seat or account
//! 2   u16  small argument              40  u128 event or command id
//! 4   u32  tenant                      56  u64  argument: offer, claim, customer, term
//! 8   u64  sequence (stamped)          64  …    fields of the kind, then the body
//! ```
//!
//! A follower can prefetch by the key at offset 24 and the id at offset 40 without decoding. [`decode`] is total: any bytes
//! give an entry or a [`CodecError`] that names the offset; it allocates nothing and borrows bodies from the input.

use crate::file::FileRef;
use crate::ids::{
    AccountId, ClaimId, CommandId, ConversationId, CustomerId, EffectId, EventId, OfferId, SeatId, Seq, TenantId, Term,
};
use crate::input::{
    Admin, ContactRequest, EffectOutcome, EffectResult, EffectResults, FirstOwner, Inbound, InboundAct, Input, SeatAct, SeatInput,
    TransferTo,
};
use crate::limits::Limits;
use crate::name::{ClassName, Level, QueueName, ReasonName, SkillName, TagName};
use crate::time::{Millis, Timestamp};
use alloc::vec::Vec;
use core::fmt;

/// Version of the encoding.
pub const FORMAT: u8 = 1;
/// Bytes before the fields of a kind.
pub const HEAD_BYTES: usize = 64;
const SEQ_AT: usize = 8;
const TIME_AT: usize = 16;

/// A decoded entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// Its place in the log.
    pub seq: Seq,
    /// Log time.
    pub at: Timestamp,
    /// The tenant.
    pub tenant: TenantId,
    /// The input.
    pub input: Input<'a>,
}

/// Why bytes are no entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CodecError {
    /// Fewer bytes than the kind needs.
    Short {
        /// Bytes that would have been needed, at least.
        needed: usize,
    },
    /// A format of another version.
    Format(u8),
    /// A kind that this version does not know.
    Kind(u8),
    /// A field out of its range.
    Field {
        /// Where it stands.
        offset: usize,
    },
    /// Bytes after the end.
    Trailing {
        /// Where they begin.
        offset: usize,
    },
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { needed } => write!(f, "entry is cut short: at least {needed} bytes were expected"),
            Self::Format(version) => write!(f, "entry has format version {version}; this release reads version {FORMAT}"),
            Self::Kind(kind) => write!(f, "entry has unknown kind {kind}"),
            Self::Field { offset } => write!(f, "field at offset {offset} of the entry is out of range"),
            Self::Trailing { offset } => write!(f, "bytes after the end of the entry, from offset {offset}"),
        }
    }
}

impl core::error::Error for CodecError {}

/// Kinds, by their number on disk. Numbers are never used again for another meaning.
mod kind {
    pub const BEGIN: u8 = 1;
    pub const REQUEST_AGENT: u8 = 2;
    pub const MESSAGE: u8 = 3;
    pub const LEAVE: u8 = 4;
    pub const FILE: u8 = 5;
    pub const SIGN_IN: u8 = 16;
    pub const SIGN_OUT: u8 = 17;
    pub const READY: u8 = 18;
    pub const PAUSE: u8 = 19;
    pub const ACCEPT: u8 = 20;
    pub const DECLINE: u8 = 21;
    pub const SEND: u8 = 22;
    pub const END: u8 = 23;
    pub const WRAP_UP: u8 = 24;
    pub const TRANSFER_QUEUE: u8 = 25;
    pub const TRANSFER_SEAT: u8 = 26;
    pub const LINK_DOWN: u8 = 27;
    pub const LINK_UP: u8 = 28;
    pub const LEASE_END: u8 = 29;
    pub const SEND_FILE: u8 = 30;
    pub const EFFECTS: u8 = 40;
    pub const POLICY: u8 = 48;
    pub const AGENT: u8 = 49;
    pub const ACCOUNT: u8 = 50;
    pub const LIMITS: u8 = 51;
    pub const VERSION: u8 = 52;
    pub const TICK: u8 = 64;
    pub const HASH: u8 = 65;
    pub const LEADER_STARTED: u8 = 66;
}

/// How an entry ranks in the proposer: agents' acts before customers', before effects and receipts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Precedence {
    /// Seats, administration and the log itself.
    First,
    /// Customers.
    Second,
    /// Results of effects.
    Third,
}

/// Precedence of an encoded entry, from its kind alone.
pub fn precedence(entry: &[u8]) -> Precedence {
    match entry.get(1) {
        Some(1..=15) => Precedence::Second,
        Some(40..=47) => Precedence::Third,
        _ => Precedence::First,
    }
}

/// The tenant of an encoded entry, if it has a head.
pub fn tenant(entry: &[u8]) -> Option<TenantId> {
    Some(TenantId(u32::from_le_bytes(entry.get(4..8)?.try_into().ok()?)))
}

/// The key at its fixed offset, for prefetching; 0 when there is no head.
pub fn key(entry: &[u8]) -> u128 {
    entry.get(24..40).and_then(|b| b.try_into().ok()).map_or(0, u128::from_le_bytes)
}

/// The event or command id at its fixed offset, for prefetching; 0 when there is no head.
pub fn event(entry: &[u8]) -> u128 {
    entry.get(40..56).and_then(|b| b.try_into().ok()).map_or(0, u128::from_le_bytes)
}

/// The argument (offer, claim, customer, term) at its fixed offset, for prefetching; 0 when there is no head.
pub fn argument(entry: &[u8]) -> u64 {
    entry.get(56..64).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Whether an encoded entry holds the body of a message or of a file, from its kind alone.
pub fn holds_body(entry: &[u8]) -> bool {
    matches!(entry.get(1), Some(&(kind::MESSAGE | kind::FILE | kind::SEND | kind::SEND_FILE)))
}

/// Stamps place and time into an encoded entry.
///
/// # Panics
/// If `entry` is shorter than its head: only [`encode`]'s output may be stamped.
pub fn stamp(entry: &mut [u8], seq: Seq, at: Timestamp) {
    entry[SEQ_AT..SEQ_AT + 8].copy_from_slice(&seq.0.to_le_bytes());
    entry[TIME_AT..TIME_AT + 8].copy_from_slice(&at.0.to_le_bytes());
}

struct Writer<'b> {
    out: &'b mut Vec<u8>,
    start: usize,
}

impl Writer<'_> {
    fn head(&mut self, tenant: TenantId, kind: u8, small: u16, key: u128, event: u128, argument: u64) {
        self.out.push(FORMAT);
        self.out.push(kind);
        self.u16(small);
        self.u32(tenant.0);
        self.u64(0);
        self.u64(0);
        self.out.extend_from_slice(&key.to_le_bytes());
        self.out.extend_from_slice(&event.to_le_bytes());
        self.u64(argument);
        debug_assert_eq!(self.out.len() - self.start, HEAD_BYTES);
    }
    fn u16(&mut self, v: u16) {
        self.out.extend_from_slice(&v.to_le_bytes());
    }
    fn u32(&mut self, v: u32) {
        self.out.extend_from_slice(&v.to_le_bytes());
    }
    fn u64(&mut self, v: u64) {
        self.out.extend_from_slice(&v.to_le_bytes());
    }
    fn request(&mut self, r: &ContactRequest) {
        self.u64(r.queue.0);
        self.u64(r.class.0);
        self.u64(r.preferred.0);
        for tag in r.tags {
            self.u64(tag.0);
        }
        for (skill, level) in r.skills {
            self.u64(skill.0);
            self.out.push(level.0);
        }
    }
}

/// Appends the encoding of `input`, unstamped (sequence and time are zero), to `out`.
pub fn encode(out: &mut Vec<u8>, tenant: TenantId, input: &Input<'_>) {
    let start = out.len();
    let mut w = Writer { out, start };
    match input {
        Input::Inbound(i) => {
            let (kind, small) = match i.act {
                InboundAct::Begin { with: FirstOwner::Bot, .. } => (kind::BEGIN, 1),
                InboundAct::Begin { with: FirstOwner::Queue, .. } => (kind::BEGIN, 0),
                InboundAct::RequestAgent { .. } => (kind::REQUEST_AGENT, 0),
                InboundAct::Message { .. } => (kind::MESSAGE, 0),
                InboundAct::Leave => (kind::LEAVE, 0),
                InboundAct::File { .. } => (kind::FILE, 0),
            };
            w.head(tenant, kind, small, i.conversation.0, i.event.0, i.customer.0);
            w.u32(i.account.0);
            w.u32(i.known_n);
            match &i.act {
                InboundAct::Begin { request, .. } | InboundAct::RequestAgent { request } => w.request(request),
                InboundAct::Message { body } => w.out.extend_from_slice(body),
                InboundAct::Leave => {}
                InboundAct::File { file } => file.encode(w.out),
            }
        }
        Input::Seat(s) => {
            let (kind, argument) = match s.act {
                SeatAct::SignIn => (kind::SIGN_IN, 0),
                SeatAct::SignOut => (kind::SIGN_OUT, 0),
                SeatAct::Ready => (kind::READY, 0),
                SeatAct::Pause { reason } => (kind::PAUSE, reason.0),
                SeatAct::Accept { offer } => (kind::ACCEPT, offer.0),
                SeatAct::Decline { offer, .. } => (kind::DECLINE, offer.0),
                SeatAct::Send { claim, .. } => (kind::SEND, claim.0),
                SeatAct::End { claim } => (kind::END, claim.0),
                SeatAct::WrapUp { claim, .. } => (kind::WRAP_UP, claim.0),
                SeatAct::Transfer { claim, to: TransferTo::Queue(_) } => (kind::TRANSFER_QUEUE, claim.0),
                SeatAct::Transfer { claim, to: TransferTo::Seat(_) } => (kind::TRANSFER_SEAT, claim.0),
                SeatAct::LinkDown => (kind::LINK_DOWN, 0),
                SeatAct::LinkUp => (kind::LINK_UP, 0),
                SeatAct::LeaseEnd => (kind::LEASE_END, 0),
                SeatAct::SendFile { claim, .. } => (kind::SEND_FILE, claim.0),
            };
            w.head(tenant, kind, 0, u128::from(s.seat.0), s.command.0, argument);
            match &s.act {
                SeatAct::Decline { reason, .. } | SeatAct::WrapUp { code: reason, .. } => w.u64(reason.0),
                SeatAct::Transfer { to: TransferTo::Queue(queue), .. } => w.u64(queue.0),
                SeatAct::Transfer { to: TransferTo::Seat(seat), .. } => w.u64(seat.0),
                SeatAct::Send { body, .. } => w.out.extend_from_slice(body),
                SeatAct::SendFile { file, .. } => file.encode(w.out),
                _ => {}
            }
        }
        Input::Effects(results) => {
            w.head(tenant, kind::EFFECTS, 0, 0, 0, 0);
            w.out.extend_from_slice(results.packed);
        }
        Input::Admin(admin) => match admin {
            Admin::Policy { hash, plan } => {
                w.head(tenant, kind::POLICY, 0, 0, 0, 0);
                w.out.extend_from_slice(hash);
                w.out.extend_from_slice(plan);
            }
            Admin::Agent { seat, profile } => {
                w.head(tenant, kind::AGENT, 0, u128::from(seat.0), 0, 0);
                w.out.extend_from_slice(profile);
            }
            Admin::Account { account, profile } => {
                w.head(tenant, kind::ACCOUNT, 0, u128::from(account.0), 0, 0);
                w.out.extend_from_slice(profile);
            }
            Admin::Limits(limits) => {
                w.head(tenant, kind::LIMITS, 0, 0, 0, 0);
                for v in limit_words(limits) {
                    w.u32(v);
                }
            }
            Admin::Version(version) => w.head(tenant, kind::VERSION, 0, 0, 0, u64::from(*version)),
        },
        Input::Tick => w.head(tenant, kind::TICK, 0, 0, 0, 0),
        Input::Hash => w.head(tenant, kind::HASH, 0, 0, 0, 0),
        Input::LeaderStarted { term, gap } => {
            w.head(tenant, kind::LEADER_STARTED, 0, 0, 0, term.0);
            w.u64(gap.0);
        }
    }
}

fn limit_words(l: &Limits) -> [u32; 11] {
    [
        l.conversations,
        l.tickets,
        l.seats,
        l.lanes,
        l.classes,
        l.engagements,
        l.effects,
        l.customers,
        l.dedup_events,
        l.pending_inputs,
        l.fuel,
    ]
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let end = self.at + N;
        let slice = self.bytes.get(self.at..end).ok_or(CodecError::Short { needed: end })?;
        self.at = end;
        let mut out = [0; N];
        out.copy_from_slice(slice);
        Ok(out)
    }
    fn u8(&mut self) -> Result<u8, CodecError> {
        Ok(self.take::<1>()?[0])
    }
    fn u16(&mut self) -> Result<u16, CodecError> {
        Ok(u16::from_le_bytes(self.take()?))
    }
    fn u32(&mut self) -> Result<u32, CodecError> {
        Ok(u32::from_le_bytes(self.take()?))
    }
    fn u64(&mut self) -> Result<u64, CodecError> {
        Ok(u64::from_le_bytes(self.take()?))
    }
    fn u128(&mut self) -> Result<u128, CodecError> {
        Ok(u128::from_le_bytes(self.take()?))
    }
    fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        self.at = self.bytes.len();
        rest
    }
    fn file(&mut self) -> Result<FileRef<'a>, CodecError> {
        let offset = self.at;
        FileRef::decode(self.rest(), offset)
    }
    fn request(&mut self) -> Result<ContactRequest, CodecError> {
        let mut r = ContactRequest {
            queue: QueueName(self.u64()?),
            class: ClassName(self.u64()?),
            preferred: SeatId(self.u64()?),
            ..ContactRequest::default()
        };
        for tag in &mut r.tags {
            *tag = TagName(self.u64()?);
        }
        for (skill, level) in &mut r.skills {
            *skill = SkillName(self.u64()?);
            let offset = self.at;
            *level = Level(self.u8()?);
            if *level > Level::MAX {
                return Err(CodecError::Field { offset });
            }
        }
        Ok(r)
    }
}

/// Decodes one entry. O(length), no allocation.
///
/// # Errors
/// [`CodecError`] with the offset; never panics.
pub fn decode(bytes: &[u8]) -> Result<Entry<'_>, CodecError> {
    let mut r = Reader { bytes, at: 0 };
    let format = r.u8()?;
    if format != FORMAT {
        return Err(CodecError::Format(format));
    }
    let kind = r.u8()?;
    let small = r.u16()?;
    let tenant = TenantId(r.u32()?);
    let seq = Seq(r.u64()?);
    let at = Timestamp(r.u64()?);
    let key = r.u128()?;
    let id = r.u128()?;
    let argument = r.u64()?;
    let input = match kind {
        kind::BEGIN..=kind::FILE => Input::Inbound(inbound(&mut r, kind, small, key, id, argument)?),
        kind::SIGN_IN..=kind::SEND_FILE => Input::Seat(seat_input(&mut r, kind, key, id, argument)?),
        kind::EFFECTS => Input::Effects(EffectResults { packed: r.rest() }),
        kind::POLICY => Input::Admin(Admin::Policy { hash: r.take()?, plan: r.rest() }),
        kind::AGENT => Input::Admin(Admin::Agent { seat: SeatId(narrow(key)?), profile: r.rest() }),
        kind::ACCOUNT => {
            let account = u32::try_from(key).map_err(|_| CodecError::Field { offset: 24 })?;
            Input::Admin(Admin::Account { account: AccountId(account), profile: r.rest() })
        }
        kind::LIMITS => Input::Admin(Admin::Limits(Limits {
            conversations: r.u32()?,
            tickets: r.u32()?,
            seats: r.u32()?,
            lanes: r.u32()?,
            classes: r.u32()?,
            engagements: r.u32()?,
            effects: r.u32()?,
            customers: r.u32()?,
            dedup_events: r.u32()?,
            pending_inputs: r.u32()?,
            fuel: r.u32()?,
        })),
        kind::VERSION => {
            let version = u32::try_from(argument).map_err(|_| CodecError::Field { offset: 56 })?;
            Input::Admin(Admin::Version(version))
        }
        kind::TICK => Input::Tick,
        kind::HASH => Input::Hash,
        kind::LEADER_STARTED => Input::LeaderStarted { term: Term(argument), gap: Millis(r.u64()?) },
        other => return Err(CodecError::Kind(other)),
    };
    if r.at != bytes.len() {
        return Err(CodecError::Trailing { offset: r.at });
    }
    Ok(Entry { seq, at, tenant, input })
}

fn narrow(key: u128) -> Result<u64, CodecError> {
    u64::try_from(key).map_err(|_| CodecError::Field { offset: 24 })
}

fn inbound<'a>(r: &mut Reader<'a>, kind: u8, small: u16, key: u128, id: u128, argument: u64) -> Result<Inbound<'a>, CodecError> {
    let account = AccountId(r.u32()?);
    let known_n = r.u32()?;
    let act = match kind {
        kind::BEGIN => {
            let with = match small {
                0 => FirstOwner::Queue,
                1 => FirstOwner::Bot,
                _ => return Err(CodecError::Field { offset: 2 }),
            };
            InboundAct::Begin { with, request: r.request()? }
        }
        kind::REQUEST_AGENT => InboundAct::RequestAgent { request: r.request()? },
        kind::MESSAGE => InboundAct::Message { body: r.rest() },
        kind::FILE => InboundAct::File { file: r.file()? },
        _ => InboundAct::Leave,
    };
    Ok(Inbound { account, conversation: ConversationId(key), event: EventId(id), customer: CustomerId(argument), known_n, act })
}

fn seat_input<'a>(r: &mut Reader<'a>, kind: u8, key: u128, id: u128, argument: u64) -> Result<SeatInput<'a>, CodecError> {
    let offer = OfferId(argument);
    let claim = ClaimId(argument);
    let act = match kind {
        kind::SIGN_IN => SeatAct::SignIn,
        kind::SIGN_OUT => SeatAct::SignOut,
        kind::READY => SeatAct::Ready,
        kind::PAUSE => SeatAct::Pause { reason: ReasonName(argument) },
        kind::ACCEPT => SeatAct::Accept { offer },
        kind::DECLINE => SeatAct::Decline { offer, reason: ReasonName(r.u64()?) },
        kind::SEND => SeatAct::Send { claim, body: r.rest() },
        kind::END => SeatAct::End { claim },
        kind::WRAP_UP => SeatAct::WrapUp { claim, code: ReasonName(r.u64()?) },
        kind::TRANSFER_QUEUE => SeatAct::Transfer { claim, to: TransferTo::Queue(QueueName(r.u64()?)) },
        kind::TRANSFER_SEAT => SeatAct::Transfer { claim, to: TransferTo::Seat(SeatId(r.u64()?)) },
        kind::LINK_DOWN => SeatAct::LinkDown,
        kind::LINK_UP => SeatAct::LinkUp,
        kind::LEASE_END => SeatAct::LeaseEnd,
        kind::SEND_FILE => SeatAct::SendFile { claim, file: r.file()? },
        other => return Err(CodecError::Kind(other)),
    };
    Ok(SeatInput { seat: SeatId(narrow(key)?), command: CommandId(id), act })
}

const EFFECT_RESULT_BYTES: usize = 9;

/// Packs effect results for [`EffectResults::packed`].
pub fn pack_effect_results(results: &[EffectOutcome]) -> Vec<u8> {
    let mut out = Vec::with_capacity(results.len() * EFFECT_RESULT_BYTES);
    for r in results {
        out.extend_from_slice(&r.effect.0.to_le_bytes());
        out.push(match r.result {
            EffectResult::Sent => 1,
            EffectResult::Failed => 2,
            EffectResult::InDoubt => 3,
        });
    }
    out
}

/// Reads packed effect results; a broken tail or an unknown result ends the iteration with an error.
pub fn effect_results(packed: &[u8]) -> impl Iterator<Item = Result<EffectOutcome, CodecError>> + '_ {
    packed.chunks(EFFECT_RESULT_BYTES).enumerate().map(|(i, chunk)| {
        let offset = HEAD_BYTES + i * EFFECT_RESULT_BYTES;
        let (id, result) = chunk.split_at_checked(8).ok_or(CodecError::Short { needed: offset + EFFECT_RESULT_BYTES })?;
        let mut word = [0; 8];
        word.copy_from_slice(id);
        let result = match result {
            [1] => EffectResult::Sent,
            [2] => EffectResult::Failed,
            [3] => EffectResult::InDoubt,
            _ => return Err(CodecError::Field { offset: offset + 8 }),
        };
        Ok(EffectOutcome { effect: EffectId(u64::from_le_bytes(word)), result })
    })
}
