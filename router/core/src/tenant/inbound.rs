//! Conversations: what a customer's channel says, de-duplicated, advances the thread and opens or closes its contact.
//!
//! A contact that asks for an agent becomes a ticket of the market in the same entry; a refused one leaves at once by
//! `Refused(reason)` and is never offered. Bodies are hashed to tell a repeat from a conflict and are otherwise not read.

use super::state::{Conversation, Customer, Extra, NOWHERE, Owner, Step};
use super::{Delta, Tenant};
use crate::dedup::Kept;
use crate::policy::plan::Plan;
use crate::policy::wait;
use crate::timers::Timed;
use tidegate_matcher::market::{Exclusions, LaneId, SeatSlot, TicketSlot, TicketSpec};
use tidegate_model::input::{ContactRequest, FirstOwner, Inbound, InboundAct};
use tidegate_model::output::{Chain, Item, Life, LimitKind, Outcome, Output, Refusal};
use tidegate_model::record::{ContactRecord, Exit};
use tidegate_model::{
    AccountId, ContactId, ConversationId, CustomerId, EventId, Millis, OfferId, QueueName, ReasonName, SeatId, Timestamp,
};

/// Reason of contacts that found their queue full.
pub(super) const QUEUE_FULL: ReasonName = ReasonName::of("queue full");

#[derive(Debug)]
pub(super) struct Change {
    event: EventId,
    content: u32,
    conversation: ConversationId,
    account: AccountId,
    customer: CustomerId,
    known_n: u32,
    act: Act,
}

#[derive(Debug)]
enum Act {
    /// `said`: the message or file that began it.
    Begin {
        with: FirstOwner,
        asked: Asked,
        said: Option<Item>,
    },
    Ask {
        asked: Asked,
    },
    Say {
        item: Item,
    },
    Leave,
}

/// A request as the active policy understands it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) queue: u16,
    pub(super) class: u16,
    pub(super) weight: u16,
    pub(super) extra: Extra,
    pub(super) preferred: SeatId,
    pub(super) refused: Option<ReasonName>,
}

impl Tenant {
    pub(super) fn plan_inbound(&self, inbound: &Inbound<'_>) -> Delta {
        let content = content_of(inbound);
        if !inbound.event.is_none() {
            match self.dedup.find(inbound.event.0) {
                Some(kept) if kept.content == content => return Delta::Repeat(Outcome::Duplicate { n: kept.n }),
                Some(_) => return Delta::Repeat(Outcome::Conflict),
                None => {}
            }
        }
        let Some(account) = self.account(inbound.account) else { return Delta::Refuse(Refusal::UnknownAccount) };
        let Some(plan) = &self.plan else { return Delta::Refuse(Refusal::NoPolicy) };
        self.probe(inbound.conversation);
        let resident = self.conversation_slot(inbound.conversation).and_then(|slot| self.conversations.get(slot));
        let owner = resident.map_or(Owner::Nobody, |c| c.owner);
        let customer =
            if inbound.customer.is_none() { resident.map_or(CustomerId::NONE, |c| c.customer) } else { inbound.customer };
        let default = || ContactRequest { queue: account.queue, ..ContactRequest::default() };
        let asked = |request: &ContactRequest, waits| self.resolve(plan, account.weight, account.queue, request, customer, waits);
        let act = match &inbound.act {
            InboundAct::Begin { with, request } => {
                if owner != Owner::Nobody {
                    return Delta::Refuse(Refusal::AlreadyOpen);
                }
                asked(request, *with == FirstOwner::Queue).map(|asked| Act::Begin { with: *with, asked, said: None })
            }
            InboundAct::RequestAgent { request } => match owner {
                Owner::Bot => asked(request, true).map(|asked| Act::Ask { asked }),
                Owner::Nobody => Err(Refusal::NotOpen),
                _ => Err(Refusal::AlreadyOpen),
            },
            InboundAct::Message { .. } | InboundAct::File { .. } => {
                let file = matches!(inbound.act, InboundAct::File { .. });
                let item = if file { Item::FileFromCustomer } else { Item::FromCustomer };
                if owner == Owner::Nobody {
                    asked(&default(), true).map(|asked| Act::Begin { with: FirstOwner::Queue, asked, said: Some(item) })
                } else {
                    Ok(Act::Say { item })
                }
            }
            InboundAct::Leave if owner == Owner::Nobody => Err(Refusal::NotOpen),
            InboundAct::Leave => Ok(Act::Leave),
            // Acts of a later model.
            _ => Err(Refusal::Malformed),
        };
        let act = match act {
            Ok(act) => act,
            Err(refusal) => return Delta::Refuse(refusal),
        };
        if resident.is_none() && self.conversations.room() == 0 {
            return Delta::Refuse(Refusal::Limit(LimitKind::Conversations));
        }
        let Inbound { event, conversation, account, known_n, .. } = *inbound;
        Delta::Inbound(Change { event, content, conversation, account, customer, known_n, act })
    }

    /// Reads a request by the active policy and checks that everything a wait may take is there.
    fn resolve(
        &self,
        plan: &Plan,
        weight: u16,
        account_queue: QueueName,
        request: &ContactRequest,
        customer: CustomerId,
        waits: bool,
    ) -> Result<Asked, Refusal> {
        let queue = match (request.queue, account_queue) {
            (QueueName::NONE, QueueName::NONE) => plan.default_queue,
            (QueueName::NONE, name) => plan.queue(name).unwrap_or(plan.default_queue),
            (name, _) => plan.queue(name).ok_or(Refusal::UnknownQueue)?,
        };
        let class =
            if request.class.is_none() { plan.default_class } else { plan.class(request.class).ok_or(Refusal::UnknownClass)? };
        let mut extra = request.skills;
        extra.sort_unstable();
        let mut asked = Asked { queue, class, weight, extra, preferred: request.preferred, refused: plan.refusal(&request.tags) };
        if asked.preferred.is_none() {
            asked.preferred = self.last_seat_of(plan, customer);
        }
        let length = self.queue_lengths.get(usize::from(queue)).copied().unwrap_or(0);
        if asked.refused.is_none() && waits && length >= plan.queues[usize::from(queue)].length_max {
            asked.refused = Some(QUEUE_FULL);
        }
        if asked.refused.is_none() && waits {
            if self.market.tickets_free() == 0 {
                return Err(Refusal::Limit(LimitKind::Tickets));
            }
            if !self.lane_set_fits(plan, &asked) {
                return Err(Refusal::Limit(LimitKind::Lanes));
            }
        }
        Ok(asked)
    }

    fn last_seat_of(&self, plan: &Plan, customer: CustomerId) -> SeatId {
        if customer.is_none() || plan.policy.last_seat_within == Millis(0) {
            return SeatId::NONE;
        }
        let slot = self.customer_index.find(u128::from(customer.0), |s| self.customers.get(s).is_some_and(|c| c.id == customer));
        match slot.and_then(|s| self.customers.get(s)) {
            Some(known) if self.at.since(known.served_at) <= plan.policy.last_seat_within => known.seat,
            _ => SeatId::NONE,
        }
    }

    pub(super) fn commit_inbound(&mut self, change: Change) -> Outcome {
        let slot = match self.conversation_slot(change.conversation) {
            Some(slot) => slot,
            None => {
                let slot = self.conversations.insert(Conversation::new(change.conversation, change.account, change.known_n));
                self.conversation_index.insert(change.conversation.0, slot);
                let (conversation, account) = (change.conversation, change.account);
                self.emit(Output::Conversation { conversation, account, life: Life::Opened });
                slot
            }
        };
        self.dirty_conversations.mark(slot);
        if let Some(c) = self.conversations.get_mut(slot) {
            c.customer = change.customer;
            c.account = change.account;
            c.last_event_at = self.at;
        }
        match change.act {
            Act::Begin { with, asked, said } => {
                self.begin(slot, with, &asked);
                if let Some(item) = said {
                    self.item(slot, item);
                }
            }
            Act::Ask { asked } => match asked.refused {
                Some(reason) => self.exit(slot, Exit::Refused(reason)),
                None => self.enqueue(slot, &asked, self.at, None),
            },
            Act::Say { item } => {
                self.item(slot, item);
                self.rearm(slot);
            }
            Act::Leave => self.customer_leaves(slot),
        }
        let (contact, n) = self.conversations.get(slot).map_or((ContactId::NONE, 0), |c| (c.contact, c.n));
        if !change.event.is_none() {
            self.dedup.insert(change.event.0, Kept { content: change.content, n });
        }
        Outcome::Done { contact, n }
    }

    fn begin(&mut self, slot: u32, with: FirstOwner, asked: &Asked) {
        let contact = ContactId(self.next_contact);
        self.next_contact += 1;
        self.ledger.offered += 1;
        let Some(c) = self.conversations.get_mut(slot) else { return };
        c.contact = contact;
        c.began_at = self.at;
        c.requested_at = Timestamp::NEVER;
        c.offered_at = Timestamp::NEVER;
        c.assigned_at = Timestamp::NEVER;
        c.offers = 0;
        c.segments = 0;
        c.seat = SeatId::NONE;
        c.queue_name = QueueName::NONE;
        c.owner = Owner::Bot;
        self.ledger.with_bot += 1;
        self.item(slot, Item::Began { contact });
        match (asked.refused, with) {
            (Some(reason), _) => self.exit(slot, Exit::Refused(reason)),
            (None, FirstOwner::Bot) => self.rearm(slot),
            (None, FirstOwner::Queue) => self.enqueue(slot, asked, self.at, None),
        }
    }

    /// Puts the contact into its queue; `arrived` is its seniority, `excluded` a seat that has just handed it on.
    pub(super) fn enqueue(&mut self, slot: u32, asked: &Asked, arrived: Timestamp, excluded: Option<SeatId>) {
        let lane_set = self.lane_set(asked);
        let Some(plan) = &self.plan else { return };
        let (queue, class) = (&plan.queues[usize::from(asked.queue)], plan.classes[usize::from(asked.class)]);
        let preferred_for = plan.policy.preferred_for;
        let name = queue.name;
        self.leave_owner(slot);
        let reserved = self.reserve_seat(asked.preferred, excluded);
        let Some(c) = self.conversations.get_mut(slot) else { return };
        c.owner = Owner::Lane;
        c.queue = asked.queue;
        c.class = asked.class;
        c.weight = asked.weight;
        c.queue_name = name;
        c.class_name = class.name;
        c.lane_set = lane_set;
        c.step = 0;
        c.overdue = false;
        c.engagement = NOWHERE;
        c.requested_at = arrived;
        c.step_entered_at = self.at;
        c.reserved_until = if reserved.is_some() { self.at + preferred_for } else { Timestamp::NEVER };
        let contact = c.contact;
        let mut exclusions = Exclusions::NONE;
        if let Some(seat) = excluded {
            exclusions.push(seat);
        }
        let lane = LaneId(self.lane_sets[lane_set as usize].lanes[0][0]);
        let spec = TicketSpec { contact, lane, arrived, head_start: class.head_start, excluded: exclusions, reserved };
        let TicketSlot(ticket) = self.market.ticket_insert(spec);
        self.own_ticket(ticket, slot);
        if let Some(c) = self.conversations.get_mut(slot) {
            c.ticket = ticket;
        }
        self.ledger.waiting += 1;
        self.queue_lengths[usize::from(asked.queue)] += 1;
        self.item(slot, Item::Queued { queue: name });
        self.enter_step(slot, 0);
        self.steps.push_back(Step::FindSeat { conversation: slot, contact });
    }

    /// The market's handle of a preferred seat that is signed in and not excluded.
    fn reserve_seat(&self, preferred: SeatId, excluded: Option<SeatId>) -> Option<SeatSlot> {
        if preferred.is_none() || excluded == Some(preferred) {
            return None;
        }
        let seat = self.seats.get(self.seat_slot(preferred)?)?;
        (seat.market != NOWHERE).then_some(SeatSlot(seat.market))
    }

    fn customer_leaves(&mut self, slot: u32) {
        let Some(c) = self.conversations.get(slot) else { return };
        match c.owner {
            Owner::Bot => self.exit(slot, Exit::AbandonedWithBot),
            Owner::Lane | Owner::Manual => self.exit(slot, Exit::AbandonedWaiting),
            Owner::Offer => {
                let engagement = c.engagement;
                self.rescind(engagement, tidegate_model::output::Rescind::CustomerLeft);
                self.exit(slot, Exit::AbandonedWaiting);
            }
            Owner::Seat => {
                let engagement = c.engagement;
                self.exit(slot, Exit::CustomerLeft);
                self.end_segment(engagement);
            }
            Owner::Nobody => {}
        }
    }

    /// The contact leaves by this exit: its record is written, its conversation stays for what may come.
    pub(super) fn exit(&mut self, slot: u32, exit: Exit) {
        // The item first: while the seat still owns the contact, its desk sees the end.
        self.item(slot, Item::Ended { exit });
        self.leave_owner(slot);
        let Some(c) = self.conversations.get_mut(slot) else { return };
        let some = |t: Timestamp| (t != Timestamp::NEVER).then_some(t);
        let record = ContactRecord {
            contact: c.contact,
            conversation: c.id,
            account: c.account,
            customer: c.customer,
            queue: c.queue_name,
            class: c.class_name,
            began_at: c.began_at,
            requested_at: some(c.requested_at),
            offered_at: some(c.offered_at),
            assigned_at: some(c.assigned_at),
            ended_at: self.at,
            exit,
            seat: c.seat,
            offers: c.offers,
            segments: c.segments,
        };
        c.contact = ContactId::NONE;
        c.engagement = NOWHERE;
        let (customer, seat, served) = (c.customer, c.seat, exit == Exit::Served);
        self.ledger.exits[crate::ledger::exit_place(exit)] += 1;
        self.emit(Output::Contact(record));
        if served {
            self.remember(customer, seat);
        }
        self.rearm(slot);
    }

    /// Takes the contact from whoever owns it, in the ledger and in the market.
    pub(super) fn leave_owner(&mut self, slot: u32) {
        self.dirty_conversations.mark(slot);
        let Some(c) = self.conversations.get_mut(slot) else { return };
        let owner = core::mem::take(&mut c.owner);
        let ticket = core::mem::replace(&mut c.ticket, NOWHERE);
        let queue = usize::from(c.queue);
        match owner {
            Owner::Nobody => {}
            Owner::Bot => self.ledger.with_bot -= 1,
            Owner::Lane => self.ledger.waiting -= 1,
            Owner::Offer => self.ledger.in_offer -= 1,
            Owner::Seat => self.ledger.in_service -= 1,
            Owner::Manual => self.ledger.manual -= 1,
        }
        if matches!(owner, Owner::Lane | Owner::Offer) {
            self.queue_lengths[queue] -= 1;
        }
        if ticket != NOWHERE {
            self.market.ticket_remove(TicketSlot(ticket));
        }
    }

    /// After a poisoned decision: people look after this contact; everything else goes on.
    pub(super) fn park_for_people(&mut self, slot: u32) -> ContactId {
        let Some(c) = self.conversations.get(slot) else { return ContactId::NONE };
        let (owner, engagement, contact) = (c.owner, c.engagement, c.contact);
        match owner {
            Owner::Nobody => return ContactId::NONE,
            Owner::Manual => return contact,
            Owner::Offer => self.rescind(engagement, tidegate_model::output::Rescind::TimedOut),
            // In service it has its agent; a poisoned message costs itself alone.
            Owner::Seat => return contact,
            Owner::Bot | Owner::Lane => {}
        }
        self.leave_owner(slot);
        if let Some(c) = self.conversations.get_mut(slot) {
            c.owner = Owner::Manual;
        }
        self.ledger.manual += 1;
        self.rearm(slot);
        contact
    }

    fn remember(&mut self, customer: CustomerId, seat: SeatId) {
        if customer.is_none() || self.limits.customers == 0 {
            return;
        }
        let known = Customer { id: customer, seat, served_at: self.at };
        let key = u128::from(customer.0);
        if let Some(slot) = self.customer_index.find(key, |s| self.customers.get(s).is_some_and(|c| c.id == customer)) {
            if let Some(place) = self.customers.get_mut(slot) {
                *place = known;
            }
            return;
        }
        if self.customers.room() == 0 {
            // The clock hand forgets the customer whose turn it is: the same one on every replica.
            let hand = self.customer_hand % self.customers.end().max(1);
            self.customer_hand = hand + 1;
            if let Some(old) = self.customers.remove(hand) {
                self.customer_index.remove(u128::from(old.id.0), hand);
            }
        }
        let slot = self.customers.insert(known);
        self.customer_index.insert(key, slot);
    }

    /// Adds a numbered item to the conversation's transcript.
    pub(super) fn item(&mut self, slot: u32, item: Item) {
        let Some(c) = self.conversations.get_mut(slot) else { return };
        c.n += 1;
        let seat = if c.owner == Owner::Seat { c.seat } else { SeatId::NONE };
        let (conversation, n, account) = (c.id, c.n, c.account);
        self.emit(Output::Transcript { conversation, n, seq: self.seq, at: self.at, seat, item });
        if matches!(item, Item::FromSeat { .. } | Item::FileFromSeat { .. }) {
            self.open_delivery(account, conversation, n);
        }
    }

    /// Sets the conversation's one deadline from where its contact stands.
    pub(super) fn rearm(&mut self, slot: u32) {
        let Some(plan) = &self.plan else { return };
        let Some(c) = self.conversations.get_mut(slot) else { return };
        let idle = c.last_event_at + plan.policy.idle_close_after;
        let deadline = match c.owner {
            Owner::Lane => wait::deadline(&plan.queues[usize::from(c.queue)], &c.wait()).min(idle),
            // The offer has its own.
            Owner::Offer => Timestamp::NEVER,
            Owner::Nobody | Owner::Bot | Owner::Seat | Owner::Manual => idle,
        };
        self.timers.set(&mut c.timer, Timed::Conversation(slot), deadline);
    }

    /// The conversation leaves the machine; a later event brings it back with the number it had.
    pub(super) fn forget(&mut self, slot: u32) {
        if let Some(c) = self.conversations.remove(slot) {
            self.conversation_index.remove(c.id.0, slot);
            self.dirty_conversations.mark(slot);
            self.emit(Output::Conversation { conversation: c.id, account: c.account, life: Life::Closed });
        }
    }

    /// The waiting contact of a rescinded or returned offer stands in its lane again, at its seniority.
    pub(super) fn back_to_lane(&mut self, slot: u32) {
        self.dirty_conversations.mark(slot);
        let Some(c) = self.conversations.get_mut(slot) else { return };
        debug_assert_eq!(c.owner, Owner::Offer, "only an offered contact returns to its lane");
        c.owner = Owner::Lane;
        c.engagement = NOWHERE;
        let (ticket, contact, reserved_until) = (c.ticket, c.contact, c.reserved_until);
        self.ledger.in_offer -= 1;
        self.ledger.waiting += 1;
        self.market.ticket_return(TicketSlot(ticket));
        if reserved_until <= self.at {
            // It ran out while the offer was out: nobody later in the lane may pass because of it.
            return self.free_reservation(slot);
        }
        self.rearm(slot);
        self.steps.push_back(Step::FindSeat { conversation: slot, contact });
    }

    /// An offer is out for the contact.
    pub(super) fn offered(&mut self, slot: u32, engagement: u32, seat: SeatId, _offer: OfferId) {
        self.dirty_conversations.mark(slot);
        let at = self.at;
        let Some(c) = self.conversations.get_mut(slot) else { return };
        c.owner = Owner::Offer;
        c.engagement = engagement;
        c.seat = seat;
        c.offers = c.offers.saturating_add(1);
        c.offered_at = c.offered_at.min(at);
        self.ledger.waiting -= 1;
        self.ledger.in_offer += 1;
        self.rearm(slot);
    }
}

/// A hash of what the customer did, bodies included: a repeat has the same, a conflict another.
/// The thread is part of the content: an id that was used in one conversation is no repetition in another.
fn content_of(inbound: &Inbound<'_>) -> u32 {
    let mut chain = Chain::default();
    chain.word(u64::from(inbound.account.0));
    chain.wide(inbound.conversation.0);
    let mut request = |tag: u64, r: &ContactRequest| {
        chain.word(tag);
        chain.word(r.queue.0);
        chain.word(r.class.0);
        chain.word(r.preferred.0);
        for t in r.tags {
            chain.word(t.0);
        }
        for (skill, level) in r.skills {
            chain.word(skill.0);
            chain.word(u64::from(level.0));
        }
    };
    match &inbound.act {
        InboundAct::Begin { with: FirstOwner::Bot, request: r } => request(1, r),
        InboundAct::Begin { with: FirstOwner::Queue, request: r } => request(2, r),
        InboundAct::RequestAgent { request: r } => request(3, r),
        InboundAct::Message { body } => {
            chain.word(4);
            chain.bytes(body);
        }
        InboundAct::File { file } => {
            chain.word(6);
            file.fold(&mut chain);
        }
        _ => chain.word(5),
    }
    (chain.0 >> 32) as u32
}
