//! Snapshot and restore of a whole tenant: everything that decides, free lists, heap and unfinished work included.
//!
//! One version byte, the length of the records, the records (postcard), then the market's own flat encoding. Look-up tables
//! are rebuilt. The gate is restore-then-continue equals continue: an equal digest at restore proved too little when the shape
//! of this machine was first measured (free slots' order, held tickets and the timers' order were forgotten unseen).

use super::Tenant;
use super::state::{Account, Conversation, Customer, EffectRow, Engagement, HeldBack, LaneSet, NOWHERE, Seat, Step};
use crate::dedup::{Dedup, Kept};
use crate::dirty::Dirty;
use crate::guard::Guard;
use crate::index::Index;
use crate::ledger::Ledger;
use crate::policy::plan::Plan;
use crate::slab::Slab;
use crate::timers::Timers;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tidegate_matcher::market::Market;
use tidegate_model::limits::Limits;
use tidegate_model::output::Chain;
use tidegate_model::policy::Policy;
use tidegate_model::{Seq, TenantId, Timestamp};

const VERSION: u8 = 2;

/// Why bytes are no snapshot of a tenant.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// Another version of the format.
    #[error("tenant snapshot has format version {0}; this release reads version 2")]
    Version(u8),
    /// Cut short, or not a snapshot.
    #[error("tenant snapshot cannot be read: {0}")]
    Unreadable(&'static str),
}

type Words = [u64; 4];

#[derive(Serialize, Deserialize)]
struct Records<'a> {
    id: TenantId,
    limits: Limits,
    version: u32,
    times: (Timestamp, Timestamp, Seq),
    policy: Option<Named<'a>>,
    previous: Option<(Named<'a>, Cow<'a, Vec<LaneSet>>)>,
    accounts: Cow<'a, Vec<Account>>,
    conversations: Cow<'a, Slab<Conversation>>,
    seats: Cow<'a, Slab<Seat>>,
    engagements: Cow<'a, Slab<Engagement>>,
    effects: Cow<'a, Slab<EffectRow>>,
    customers: Cow<'a, Slab<Customer>>,
    customer_hand: u32,
    lane_sets: Cow<'a, Vec<LaneSet>>,
    queue_lengths: Cow<'a, Vec<u32>>,
    dedup: Vec<(u32, u8, [u64; 8], [Kept; 8])>,
    timers: Cow<'a, Timers>,
    next: [u64; 3],
    ledger: Ledger,
    held_back: HeldBack,
    steps: Cow<'a, VecDeque<Step>>,
    backlog: Cow<'a, VecDeque<Box<[u8]>>>,
    chains: Words,
    dirty: (Cow<'a, Dirty>, Cow<'a, Dirty>, Cow<'a, Dirty>),
}

/// A policy with its hash.
type Named<'a> = ([u8; 32], Cow<'a, Policy>);

/// Borrowed when written, owned when read: the same fields in the same order both ways.
enum Cow<'a, T> {
    Borrowed(&'a T),
    Owned(T),
}

impl<T: Serialize> Serialize for Cow<'_, T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Borrowed(value) => value.serialize(serializer),
            Self::Owned(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Cow<'_, T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::Owned)
    }
}

impl<T> Cow<'_, T> {
    fn owned(self) -> Result<T, RestoreError> {
        match self {
            Self::Owned(value) => Ok(value),
            Self::Borrowed(_) => Err(RestoreError::Unreadable("borrowed records")),
        }
    }
}

impl Tenant {
    /// Appends a snapshot of everything to `out`. Outputs must be drained. O(state).
    ///
    /// # Panics
    /// If outputs are waiting to be polled: they would be lost.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        assert!(self.outputs.is_empty(), "drain the outputs before a snapshot");
        let named = |plan: &'_ Plan| plan.hash;
        let records = Records {
            id: self.id,
            limits: self.limits,
            version: self.version,
            times: (self.now, self.at, self.seq),
            policy: self.plan.as_ref().map(|p| (named(p), Cow::Borrowed(&p.policy))),
            previous: self.previous.as_ref().map(|p| ((named(&p.0), Cow::Borrowed(&p.0.policy)), Cow::Borrowed(&p.1))),
            accounts: Cow::Borrowed(&self.accounts),
            conversations: Cow::Borrowed(&self.conversations),
            seats: Cow::Borrowed(&self.seats),
            engagements: Cow::Borrowed(&self.engagements),
            effects: Cow::Borrowed(&self.effects),
            customers: Cow::Borrowed(&self.customers),
            customer_hand: self.customer_hand,
            lane_sets: Cow::Borrowed(&self.lane_sets),
            queue_lengths: Cow::Borrowed(&self.queue_lengths),
            dedup: self.dedup.dump(),
            timers: Cow::Borrowed(&self.timers),
            next: [self.next_contact, self.next_offer, self.next_effect],
            ledger: self.ledger,
            held_back: self.held_back,
            steps: Cow::Borrowed(&self.steps),
            backlog: Cow::Borrowed(&self.backlog),
            chains: [self.output_chain.0, self.decision_chain.0, self.decision_count, self.state_chain.0],
            dirty: (
                Cow::Borrowed(&self.dirty_conversations),
                Cow::Borrowed(&self.dirty_seats),
                Cow::Borrowed(&self.dirty_engagements),
            ),
        };
        // Room at once: growing by doubling would copy the whole several times. Untouched pages cost nothing.
        out.reserve(self.conversations.len() as usize * 192 + (1 << 16));
        out.push(VERSION);
        let length_at = out.len();
        out.extend_from_slice(&[0; 8]);
        let mut bytes = postcard::to_extend(&records, core::mem::take(out)).unwrap_or_default();
        let length = (bytes.len() - length_at - 8) as u64;
        bytes[length_at..length_at + 8].copy_from_slice(&length.to_le_bytes());
        self.market.encode(&mut bytes);
        *out = bytes;
    }

    /// Reads a snapshot. O(state).
    ///
    /// # Errors
    /// [`RestoreError`] for anything that is not a whole snapshot of this version; never panics.
    pub fn restore(bytes: &[u8], guard: Guard) -> Result<Self, RestoreError> {
        let unreadable = RestoreError::Unreadable;
        let (&version, rest) = bytes.split_first().ok_or(unreadable("empty"))?;
        if version != VERSION {
            return Err(RestoreError::Version(version));
        }
        let (length, rest) = rest.split_first_chunk::<8>().ok_or(unreadable("cut short"))?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| unreadable("length"))?;
        let (records, market) = rest.split_at_checked(length).ok_or(unreadable("cut short"))?;
        let records: Records<'_> = postcard::from_bytes(records).map_err(|_| unreadable("records"))?;
        let market = Market::decode(market).map_err(|_| unreadable("market"))?;
        Self::assemble(records, market, guard)
    }

    fn assemble(r: Records<'_>, market: Market, guard: Guard) -> Result<Self, RestoreError> {
        let compile = |(hash, policy): Named<'_>| {
            Plan::compile(hash, policy.owned()?).map(Box::new).map_err(|_| RestoreError::Unreadable("policy"))
        };
        r.limits.check().map_err(RestoreError::Unreadable)?;
        let dedup = Dedup::load(r.limits.dedup_events, &r.dedup).ok_or(RestoreError::Unreadable("de-duplication"))?;
        let mut t = Self::new(r.id, r.limits, guard);
        t.version = r.version;
        (t.now, t.at, t.seq) = r.times;
        t.plan = r.policy.map(compile).transpose()?;
        if let Some((named, sets)) = r.previous {
            t.previous = Some(Box::new((*compile(named)?, sets.owned()?)));
        }
        t.accounts = r.accounts.owned()?;
        t.conversations = r.conversations.owned()?;
        t.seats = r.seats.owned()?;
        t.engagements = r.engagements.owned()?;
        t.effects = r.effects.owned()?;
        t.customers = r.customers.owned()?;
        t.conversations.reserve();
        t.seats.reserve();
        t.engagements.reserve();
        t.effects.reserve();
        t.customers.reserve();
        t.customer_hand = r.customer_hand;
        t.lane_sets = r.lane_sets.owned()?;
        t.queue_lengths = r.queue_lengths.owned()?;
        t.dedup = dedup;
        t.timers = r.timers.owned()?;
        t.timers.reserve(Self::timer_room(&t.limits));
        [t.next_contact, t.next_offer, t.next_effect] = r.next;
        t.ledger = r.ledger;
        t.held_back = r.held_back;
        t.steps = r.steps.owned()?;
        t.backlog = r.backlog.owned()?;
        t.output_chain = Chain(r.chains[0]);
        t.decision_chain = Chain(r.chains[1]);
        t.decision_count = r.chains[2];
        t.state_chain = Chain(r.chains[3]);
        t.dirty_conversations = r.dirty.0.owned()?;
        t.dirty_seats = r.dirty.1.owned()?;
        t.dirty_engagements = r.dirty.2.owned()?;
        t.backlog.reserve_exact((t.limits.pending_inputs as usize).saturating_sub(t.backlog.len()));
        t.dirty_conversations.reserve(t.limits.conversations);
        t.dirty_seats.reserve(t.limits.seats);
        t.dirty_engagements.reserve(t.limits.engagements);
        t.market = market;
        t.rebuild()?;
        Ok(t)
    }

    /// Look-up tables from the records.
    fn rebuild(&mut self) -> Result<(), RestoreError> {
        let mut index = Index::new(self.limits.conversations);
        let mut owners = BTreeMap::new();
        for (slot, c) in self.conversations.iter() {
            index.insert(c.id.0, slot);
            if c.ticket != NOWHERE {
                owners.insert(c.ticket, slot);
            }
        }
        self.conversation_index = index;
        for (ticket, slot) in owners {
            if ticket >= self.limits.tickets {
                return Err(RestoreError::Unreadable("ticket"));
            }
            self.own_ticket(ticket, slot);
        }
        let remembered = self.lane_sets.iter().chain(self.previous.iter().flat_map(|p| &p.1));
        let remembered: Vec<[u16; 2]> = remembered.flat_map(|set| set.lanes.iter().copied()).collect();
        if remembered.iter().flatten().any(|lane| u32::from(*lane) >= self.market.lane_count()) {
            return Err(RestoreError::Unreadable("lane"));
        }
        self.pin_lanes(&remembered);
        let mut index = Index::new(self.limits.seats);
        for (slot, s) in self.seats.iter() {
            index.insert(u128::from(s.id.0), slot);
        }
        self.seat_index = index;
        let mut index = Index::new(self.limits.customers);
        for (slot, c) in self.customers.iter() {
            index.insert(u128::from(c.id.0), slot);
        }
        self.customer_index = index;
        self.lane_set_index =
            self.lane_sets.iter().enumerate().map(|(i, s)| ((s.queue, s.class, s.weight, s.extra), i as u32)).collect();
        Ok(())
    }
}
