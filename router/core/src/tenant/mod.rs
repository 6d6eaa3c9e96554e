//! The tenant machine: one way in, outputs drained, deadlines asked for.
//!
//! ```text
//! handle(now, seq, input) ─► timers due before `now` ─► the input ─► steps it left ─► outputs
//!                             each: plan(&state) ─► Delta ─► commit(&mut state)
//! ```
//!
//! `plan` reads an untouched state, may fail or panic, and reserves what the commit will take; `commit` cannot fail. A step's
//! log time is its input's stamp (or its timer's deadline), never the moment at which it happens to be worked off: so fuel
//! delays decisions and never changes them. One file a small machine: `inbound` (conversations), `seat`, `matching` (the
//! distributor), `timing`, `outbox`, `admin`.

mod admin;
mod browse;
mod digest;
mod inbound;
mod matching;
mod outbox;
mod room;
mod seat;
mod snapshot;
mod state;
mod timing;
mod views;

pub use browse::{AccountView, AgentView, ContactView, ConversationView, OwnerRole, SupplyView};
pub use digest::Digests;
pub use snapshot::RestoreError;
pub use views::{ClassTable, OpenContact, OpenStage, QueueView, SeatView};

use crate::dedup::Dedup;
use crate::dirty::Dirty;
use crate::guard::Guard;
use crate::index::Index;
use crate::ledger::Ledger;
use crate::policy::plan::Plan;
use crate::slab::Slab;
use crate::timers::{Due, Timed, Timers};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use state::{Account, Conversation, Customer, EffectRow, Engagement, Extra, HeldBack, LaneSet, NOWHERE, Owner, Seat, Step};
use tidegate_matcher::market::{Market, MarketLimits};
use tidegate_model::codec;
use tidegate_model::input::Input;
use tidegate_model::limits::Limits;
use tidegate_model::output::{Chain, LimitKind, Outcome, Output, Refusal};
use tidegate_model::record::Exit;
use tidegate_model::{AccountId, ContactId, ConversationId, OfferId, SeatId, Seq, TenantId, Timestamp};

/// The part of a tenant's fuel that an input may spend while earlier work waits: 16 units of 2,048, so that a batch of 256
/// such inputs costs about two ticks.
const BEHIND_SHARE: i64 = 128;

/// A tenant's deciding machine. See the crate's head for how to drive it.
#[derive(Debug)]
pub struct Tenant {
    id: TenantId,
    guard: Guard,
    limits: Limits,
    version: u32,
    /// Newest log time seen.
    now: Timestamp,
    /// Log time and entry of the step being worked off.
    at: Timestamp,
    seq: Seq,
    plan: Option<Box<Plan>>,
    /// The policy and lanes that a swap in progress carries contacts away from.
    previous: Option<Box<(Plan, Vec<LaneSet>)>>,
    accounts: Vec<Account>,
    conversations: Slab<Conversation>,
    conversation_index: Index,
    seats: Slab<Seat>,
    seat_index: Index,
    engagements: Slab<Engagement>,
    effects: Slab<EffectRow>,
    customers: Slab<Customer>,
    customer_index: Index,
    customer_hand: u32,
    market: Market,
    /// Conversation of each ticket.
    ticket_owner: Vec<u32>,
    lane_sets: Vec<LaneSet>,
    lane_set_index: BTreeMap<(u16, u16, u16, Extra), u32>,
    /// Waiting and offered contacts by queue.
    queue_lengths: Vec<u32>,
    dedup: Dedup,
    timers: Timers,
    next_contact: u64,
    next_offer: u64,
    next_effect: u64,
    ledger: Ledger,
    held_back: HeldBack,
    steps: VecDeque<Step>,
    /// Inputs that wait for fuel, encoded, each with its stamp.
    backlog: VecDeque<Box<[u8]>>,
    outputs: VecDeque<Output>,
    output_chain: Chain,
    decision_chain: Chain,
    decision_count: u64,
    state_chain: Chain,
    dirty_conversations: Dirty,
    dirty_seats: Dirty,
    dirty_engagements: Dirty,
    #[cfg(feature = "rig")]
    probe: Option<fn(ConversationId)>,
}

/// What a plan decided about one input.
#[derive(Debug)]
enum Delta {
    /// Nothing to do.
    Nothing,
    /// Refused by name.
    Refuse(Refusal),
    /// Answered from memory.
    Repeat(Outcome),
    Inbound(inbound::Change),
    Seat(seat::Change),
    Effects,
    Admin(Box<admin::Change>),
    Hash,
    Fold {
        table: u8,
        from: u32,
    },
    Gap(tidegate_model::Millis),
    Matched(matching::Change),
    Timed(timing::Change),
}

impl Tenant {
    /// An empty machine. Memory is reserved for the limits, and used as records come.
    ///
    /// # Panics
    /// If a limit is out of its range: ask [`Limits::check`] first.
    pub fn new(id: TenantId, limits: Limits, guard: Guard) -> Self {
        assert_eq!(limits.check(), Ok(()), "limits are checked before a machine is built");
        let market_limits =
            MarketLimits { tickets: limits.tickets, seats: limits.seats, lanes: limits.lanes, classes: limits.classes };
        Self {
            id,
            guard,
            limits,
            version: crate::SEM_VERSION,
            now: Timestamp(0),
            at: Timestamp(0),
            seq: Seq(0),
            plan: None,
            previous: None,
            accounts: Vec::new(),
            conversations: Slab::new(limits.conversations),
            conversation_index: Index::new(limits.conversations),
            seats: Slab::new(limits.seats),
            seat_index: Index::new(limits.seats),
            engagements: Slab::new(limits.engagements),
            effects: Slab::new(limits.effects),
            customers: Slab::new(limits.customers),
            customer_index: Index::new(limits.customers),
            customer_hand: 0,
            market: Market::new(market_limits),
            ticket_owner: Vec::with_capacity(limits.tickets as usize),
            lane_sets: Vec::new(),
            lane_set_index: BTreeMap::new(),
            queue_lengths: Vec::new(),
            dedup: Dedup::new(limits.dedup_events),
            timers: Timers::new(Self::timer_room(&limits)),
            next_contact: 1,
            next_offer: 1,
            next_effect: 1,
            ledger: Ledger::default(),
            held_back: HeldBack::default(),
            steps: VecDeque::new(),
            backlog: VecDeque::with_capacity(limits.pending_inputs as usize),
            outputs: VecDeque::new(),
            output_chain: Chain::default(),
            decision_chain: Chain::default(),
            decision_count: 0,
            state_chain: Chain::default(),
            dirty_conversations: Dirty::new(limits.conversations),
            dirty_seats: Dirty::new(limits.seats),
            dirty_engagements: Dirty::new(limits.engagements),
            #[cfg(feature = "rig")]
            probe: None,
        }
    }

    fn timer_room(limits: &Limits) -> usize {
        // Twice what lives: left-over entries of deadlines that came nearer stay in the heap until they are due.
        2 * (limits.conversations as usize + limits.engagements as usize + limits.effects as usize)
    }

    /// Which tenant this is.
    pub fn id(&self) -> TenantId {
        self.id
    }

    /// Handles one input: the only way in. Total: hostile input is refused, never a panic. A `now` before the newest seen is
    /// lifted to it. O(work of the input), at most the tenant's fuel plus one step.
    pub fn handle(&mut self, now: Timestamp, seq: Seq, input: Input<'_>) {
        self.now = self.now.max(now);
        self.run(Some((self.now, seq, input)));
    }

    /// The next output; drain to `None` after every [`Self::handle`].
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Tick`] is wanted next; at once while work waits for fuel.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.steps.is_empty() && self.backlog.is_empty() { self.timers.first() } else { Some(self.now) }
    }

    /// Prefetches what the entry's first look-ups will touch; call some sixteen entries ahead.
    pub fn prefetch_far(&self, entry: &[u8]) {
        match entry.get(1) {
            Some(1..=15) => {
                self.conversation_index.prefetch(codec::key(entry));
                self.dedup.prefetch(codec::event(entry));
            }
            Some(16..=39) => {
                self.seat_index.prefetch(codec::key(entry));
                self.engagements.prefetch(seat::offer_slot(OfferId(codec::argument(entry))));
            }
            _ => {}
        }
    }

    /// Prefetches the records themselves; call some eight entries ahead.
    pub fn prefetch_near(&self, entry: &[u8]) {
        match entry.get(1) {
            Some(1..=15) => {
                if let Some(slot) = self.conversation_index.guess(codec::key(entry)) {
                    self.conversations.prefetch(slot);
                }
            }
            Some(16..=39) => {
                if let Some(slot) = self.seat_index.guess(codec::key(entry)) {
                    self.seats.prefetch(slot);
                }
                if let Some(engagement) = self.engagements.get(seat::offer_slot(OfferId(codec::argument(entry)))) {
                    self.conversations.prefetch(engagement.conversation);
                }
            }
            _ => {}
        }
    }

    /// Installs a hook that runs inside the planning of steps about a conversation; tests plant panics with it.
    #[cfg(feature = "rig")]
    pub fn set_probe(&mut self, probe: Option<fn(ConversationId)>) {
        self.probe = probe;
    }

    fn probe(&self, conversation: ConversationId) {
        #[cfg(feature = "rig")]
        if let Some(probe) = self.probe {
            probe(conversation);
        }
        let _ = conversation;
    }

    fn run(&mut self, mut fresh: Option<(Timestamp, Seq, Input<'_>)>) {
        let mut fuel = self.fuel_for(&fresh);
        loop {
            while let Some(step) = self.steps.pop_front() {
                if fuel <= 0 {
                    self.steps.push_front(step);
                    return self.stash(fresh);
                }
                fuel -= self.work_off(step);
            }
            let waiting = self.backlog.front().and_then(|bytes| codec::decode(bytes).ok()).map(|e| (e.at, e.seq));
            let (at, seq, fires_first) = match (waiting, &fresh) {
                (Some((at, seq)), _) => (at, seq, !self.backlog_front_is_leader()),
                (None, Some((at, seq, input))) => (*at, *seq, !matches!(input, Input::LeaderStarted { .. })),
                (None, None) => return,
            };
            let due = if fires_first { self.timers.pop_due(at) } else { None };
            if let Some(entry) = due {
                // A left-over entry costs nothing: whether one lies in the heap depends on history that a restored
                // machine shares only because the heap is part of the snapshot.
                fuel -= i64::from(self.fire(entry));
                continue;
            }
            if fuel <= 0 {
                return self.stash(fresh);
            }
            self.at = self.at.max(at);
            fuel -= 1;
            if matches!(&fresh, Some((_, _, Input::Tick))) && waiting.is_none() {
                // Time has passed and nothing was said: no answer, and no trace in what comes out.
                fresh = None;
                continue;
            }
            self.seq = seq;
            if waiting.is_some() {
                let bytes = self.backlog.pop_front();
                if let Some(Ok(entry)) = bytes.as_deref().map(codec::decode) {
                    self.take(&entry.input);
                }
            } else if let Some((_, _, input)) = fresh.take() {
                self.take(&input);
            }
        }
    }

    /// An input that finds work waiting spends a share of the fuel only: ticks do that work, at a pace. With all of it, every
    /// input of a busy tenant would carry on with the cascade, and a batch of them would hold up the cell's other tenants.
    fn fuel_for(&self, fresh: &Option<(Timestamp, Seq, Input<'_>)>) -> i64 {
        let fuel = i64::from(self.limits.fuel);
        let waits = !self.steps.is_empty() || !self.backlog.is_empty();
        if waits && !matches!(fresh, Some((_, _, Input::Tick))) { (fuel / BEHIND_SHARE).max(1) } else { fuel }
    }

    fn backlog_front_is_leader(&self) -> bool {
        let front = self.backlog.front().and_then(|bytes| codec::decode(bytes).ok());
        front.is_some_and(|e| matches!(e.input, Input::LeaderStarted { .. }))
    }

    /// Keeps an input that fuel did not reach; past the limit it is refused at once.
    fn stash(&mut self, fresh: Option<(Timestamp, Seq, Input<'_>)>) {
        let Some((at, seq, input)) = fresh else { return };
        if matches!(input, Input::Tick) {
            // Nothing to keep: while work waits, the next deadline is now and another tick comes.
            return;
        }
        if self.backlog.len() >= self.limits.pending_inputs as usize {
            self.ledger.refused_inputs += 1;
            return self.emit(Output::Reply { seq, outcome: Outcome::Refused(Refusal::Limit(LimitKind::PendingInputs)) });
        }
        let mut bytes = Vec::new();
        codec::encode(&mut bytes, self.id, &input);
        codec::stamp(&mut bytes, seq, at);
        self.backlog.push_back(bytes.into_boxed_slice());
    }

    /// A timer entry came up: whether it was a real one.
    fn fire(&mut self, entry: crate::timers::Entry) -> bool {
        let (timer, step) = match entry.target {
            Timed::Conversation(slot) => match self.conversations.get_mut(slot) {
                Some(c) => (&mut c.timer, Step::ConversationDue { conversation: slot }),
                None => return false,
            },
            Timed::Engagement(slot) => match self.engagements.get_mut(slot) {
                Some(e) => (&mut e.timer, Step::EngagementDue { engagement: slot }),
                None => return false,
            },
            Timed::Effect(slot) => match self.effects.get_mut(slot) {
                Some(e) => (&mut e.timer, Step::EffectDue { effect: slot }),
                None => return false,
            },
        };
        let deadline = timer.deadline;
        if self.timers.judge(&entry, timer) == Due::Not {
            return false;
        }
        self.at = self.at.max(deadline);
        self.steps.push_back(step);
        true
    }

    /// Plans and commits one input.
    fn take(&mut self, input: &Input<'_>) {
        let mut delta = Delta::Nothing;
        let whole = self.guard.run(&mut || delta = self.plan_input(input));
        if !whole {
            return self.poisoned_input(input);
        }
        self.commit_input(input, delta);
    }

    fn plan_input(&self, input: &Input<'_>) -> Delta {
        match input {
            Input::Inbound(inbound) => self.plan_inbound(inbound),
            Input::Seat(seat) => self.plan_seat(seat),
            Input::Effects(results) => self.plan_effects(results),
            Input::Admin(admin) => self.plan_admin(admin),
            Input::Hash => Delta::Hash,
            Input::LeaderStarted { gap, .. } => Delta::Gap(*gap),
            // `Tick`, and inputs of a later model: time has passed, nothing else.
            _ => Delta::Nothing,
        }
    }

    fn commit_input(&mut self, input: &Input<'_>, delta: Delta) {
        let done = Outcome::Done { contact: ContactId::NONE, n: 0 };
        let outcome = match delta {
            Delta::Nothing | Delta::Matched(_) | Delta::Timed(_) | Delta::Fold { .. } => done,
            Delta::Refuse(refusal) => {
                self.ledger.refused_inputs += 1;
                Outcome::Refused(refusal)
            }
            Delta::Repeat(outcome) => {
                self.ledger.duplicates += 1;
                outcome
            }
            Delta::Inbound(change) => self.commit_inbound(change),
            Delta::Seat(change) => self.commit_seat(change),
            Delta::Effects => {
                if let Input::Effects(results) = input {
                    self.commit_effects(results);
                }
                done
            }
            Delta::Admin(change) => self.commit_admin(*change),
            // Answered behind its last step.
            Delta::Hash => return self.steps.push_front(Step::Fold { table: 0, from: 0 }),
            Delta::Gap(gap) => {
                self.lengthen(gap);
                done
            }
        };
        self.emit(Output::Reply { seq: self.seq, outcome });
    }

    /// Plans and commits one step; its cost in work units: one, what the search looked at, and what was said of it, which
    /// others must wait for when it is told.
    fn work_off(&mut self, step: Step) -> i64 {
        let before = self.outputs.len();
        let mut planned = (Delta::Nothing, 0);
        let whole = self.guard.run(&mut || planned = self.plan_step(step));
        if !whole {
            self.poisoned_step(step);
            return 1;
        }
        let (delta, work) = planned;
        match delta {
            Delta::Matched(change) => self.commit_matched(change),
            Delta::Timed(change) => self.commit_timed(change),
            Delta::Fold { table, from } => self.fold_some(table, from),
            _ => {}
        }
        1 + i64::from(work) + (self.outputs.len() - before) as i64
    }

    fn plan_step(&self, step: Step) -> (Delta, u32) {
        match step {
            Step::FindSeat { conversation, contact } => self.plan_find_seat(conversation, contact),
            Step::FindContact { seat } => self.plan_find_contact(seat),
            Step::LookAgain { from, left } => self.plan_look_again(from, left),
            Step::ConversationDue { conversation } => (self.plan_conversation_due(conversation), 0),
            Step::EngagementDue { engagement } => (self.plan_engagement_due(engagement), 0),
            Step::EffectDue { effect } => (Delta::Timed(timing::Change::EffectInDoubt { effect }), 0),
            Step::LeaveMarket { seat } => (Delta::Matched(matching::Change::LeaveMarket { seat }), 0),
            Step::Swap { cursor, remapped } => self.plan_swap(cursor, None, remapped),
            Step::SwapOne { cursor, until, remapped } => self.plan_swap(cursor, Some(until), remapped),
            Step::Fold { table, from } => (Delta::Fold { table, from }, digest::FOLD_BATCH),
        }
    }

    /// The same outcome everywhere, at the cost of its own contact only.
    fn poisoned_input(&mut self, input: &Input<'_>) {
        self.ledger.poisoned += 1;
        let mut contact = ContactId::NONE;
        let slot = match input {
            Input::Inbound(inbound) => self.conversation_slot(inbound.conversation),
            _ => None,
        };
        if let Some(slot) = slot {
            contact = self.park_for_people(slot);
        }
        self.emit(Output::Poisoned { seq: self.seq, contact });
        self.emit(Output::Reply { seq: self.seq, outcome: Outcome::Refused(Refusal::Poisoned) });
    }

    fn poisoned_step(&mut self, step: Step) {
        if let Step::Swap { cursor, remapped } = step {
            // Nobody knows yet whose it was.
            return self.swap_one_by_one(cursor, remapped);
        }
        self.ledger.poisoned += 1;
        let contact = match step {
            Step::FindSeat { conversation, .. } => self.park_for_people(conversation),
            Step::ConversationDue { conversation } => self.poisoned_deadline(conversation),
            Step::EngagementDue { engagement } => {
                let conversation = self.engagements.get(engagement).map_or(NOWHERE, |e| e.conversation);
                self.park_for_people(conversation)
            }
            Step::SwapOne { cursor, until, remapped } => {
                self.swap_past_poison(cursor, until, remapped);
                self.park_for_people(cursor)
            }
            Step::LookAgain { .. } => {
                // Whoever was held back is so still; the next free place finds it again.
                self.held_back.somebody = true;
                ContactId::NONE
            }
            Step::FindContact { .. }
            | Step::EffectDue { .. }
            | Step::LeaveMarket { .. }
            | Step::Swap { .. }
            | Step::Fold { .. } => ContactId::NONE,
        };
        self.emit(Output::Poisoned { seq: self.seq, contact });
    }

    /// Planning what a deadline means panicked. Nobody must stay without a deadline: a contact that waited goes to the manual
    /// lane, which gives it one; whoever was at the end of that, too, or of an idle span, leaves by a fault of ours.
    fn poisoned_deadline(&mut self, slot: u32) -> ContactId {
        let Some(c) = self.conversations.get(slot) else { return ContactId::NONE };
        let (owner, contact, engagement) = (c.owner, c.contact, c.engagement);
        match owner {
            Owner::Nobody => self.forget(slot),
            Owner::Manual => self.exit(slot, Exit::Failed),
            Owner::Seat => {
                self.exit(slot, Exit::Failed);
                self.end_segment(engagement);
            }
            Owner::Bot | Owner::Lane | Owner::Offer => return self.park_for_people(slot),
        }
        contact
    }

    fn emit(&mut self, output: Output) {
        output.fold(&mut self.output_chain);
        if let Output::Decision(record) = &output {
            record.fold(&mut self.decision_chain);
            self.decision_count += 1;
        }
        self.outputs.push_back(output);
    }

    fn conversation_slot(&self, id: ConversationId) -> Option<u32> {
        self.conversation_index.find(id.0, |slot| self.conversations.get(slot).is_some_and(|c| c.id == id))
    }

    fn seat_slot(&self, id: SeatId) -> Option<u32> {
        self.seat_index.find(u128::from(id.0), |slot| self.seats.get(slot).is_some_and(|s| s.id == id))
    }

    fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.binary_search_by_key(&id, |a| a.id).ok().map(|i| &self.accounts[i])
    }

    fn own_ticket(&mut self, ticket: u32, conversation: u32) {
        if self.ticket_owner.len() <= ticket as usize {
            self.ticket_owner.resize(ticket as usize + 1, NOWHERE);
        }
        self.ticket_owner[ticket as usize] = conversation;
    }
}
