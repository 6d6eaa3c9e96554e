//! Seats: presence, answers to offers, service, wrap-up, transfer; and what their gateway says about the connection.
//!
//! Every command has an idempotency key whose outcome is kept, so that a desk that lost an answer asks again and changes
//! nothing twice. A cut connection stops new offers and keeps claims; a sign-out or a lease that ends gives open contacts
//! back to their queues at their seniority.

use super::inbound::Asked;
use super::state::{Answered, Engagement, NOWHERE, Owner, Stage, Step};
use super::{Delta, Tenant};
use crate::timers::Timed;
use tidegate_matcher::market::{Place, SeatSlot, TicketSlot};
use tidegate_model::input::{SeatAct, SeatInput, TransferTo};
use tidegate_model::output::{Chain, Item, LimitKind, Outcome, Output, Presence, Refusal, Rescind, SeatNotice};
use tidegate_model::record::Exit;
use tidegate_model::{ClaimId, CommandId, ContactId, OfferId, ReasonName, SeatId, Timestamp};

#[derive(Debug)]
pub(super) struct Change {
    seat: u32,
    command: CommandId,
    content: u32,
    act: Act,
}

#[derive(Debug)]
enum Act {
    SignIn,
    SignOut,
    Present(Presence),
    Linked(bool),
    Accept { engagement: u32 },
    Decline { engagement: u32 },
    Send { engagement: u32, file: bool },
    End { engagement: u32 },
    WrapUp { engagement: u32 },
    Transfer { engagement: u32, asked: Asked },
}

impl Tenant {
    pub(super) fn plan_seat(&self, input: &SeatInput<'_>) -> Delta {
        let Some(slot) = self.seat_slot(input.seat) else { return Delta::Refuse(Refusal::UnknownSeat) };
        let Some(seat) = self.seats.get(slot) else { return Delta::Refuse(Refusal::UnknownSeat) };
        let content = content_of(&input.act);
        let kept = if input.command.is_none() { None } else { seat.answer_to(input.command) };
        if let Some(kept) = kept {
            return Delta::Repeat(if kept.content == content { kept.outcome } else { Outcome::Conflict });
        }
        let act = match self.plan_seat_act(slot, &input.act) {
            Ok(act) => act,
            Err(refusal) => return Delta::Refuse(refusal),
        };
        Delta::Seat(Change { seat: slot, command: input.command, content, act })
    }

    fn plan_seat_act(&self, slot: u32, act: &SeatAct<'_>) -> Result<Act, Refusal> {
        let seat = self.seats.get(slot).ok_or(Refusal::UnknownSeat)?;
        if let SeatAct::SignIn = act {
            if seat.market == NOWHERE && (self.market.seats_free() == 0 || self.market.class_free() == 0) {
                return Err(Refusal::Limit(LimitKind::Classes));
            }
            return Ok(Act::SignIn);
        }
        if !seat.signed_in() {
            return Err(Refusal::NotSignedIn);
        }
        Ok(match *act {
            SeatAct::SignOut | SeatAct::LeaseEnd => Act::SignOut,
            SeatAct::Ready => Act::Present(Presence::Ready),
            SeatAct::Pause { reason } => Act::Present(Presence::Paused { reason }),
            SeatAct::LinkDown => Act::Linked(false),
            SeatAct::LinkUp => Act::Linked(true),
            SeatAct::Accept { offer } => {
                let engagement = self.engagement_of(slot, offer, Stage::Offered).ok_or(Refusal::OfferGone)?;
                self.probe_engagement(engagement);
                Act::Accept { engagement }
            }
            SeatAct::Decline { offer, .. } => {
                Act::Decline { engagement: self.engagement_of(slot, offer, Stage::Offered).ok_or(Refusal::OfferGone)? }
            }
            SeatAct::Send { claim, .. } | SeatAct::SendFile { claim, .. } => {
                let engagement = self.active(slot, claim)?;
                if self.effects.room() == 0 {
                    return Err(Refusal::Limit(LimitKind::Effects));
                }
                Act::Send { engagement, file: matches!(act, SeatAct::SendFile { .. }) }
            }
            SeatAct::End { claim } => Act::End { engagement: self.active(slot, claim)? },
            SeatAct::WrapUp { claim, .. } => {
                let engagement = self.engagement_of(slot, claim.offer(), Stage::WrapUp).ok_or(Refusal::ClaimGone)?;
                Act::WrapUp { engagement }
            }
            SeatAct::Transfer { claim, to } => {
                let engagement = self.active(slot, claim)?;
                Act::Transfer { engagement, asked: self.plan_transfer(engagement, to)? }
            }
            // Sign-in is handled above; acts of a later model are not understood.
            _ => return Err(Refusal::Malformed),
        })
    }

    fn probe_engagement(&self, engagement: u32) {
        if let Some(c) = self.engagements.get(engagement).and_then(|e| self.conversations.get(e.conversation)) {
            self.probe(c.id);
        }
    }

    fn engagement_of(&self, seat: u32, offer: OfferId, stage: Stage) -> Option<u32> {
        let slot = offer_slot(offer);
        let engagement = self.engagements.get(slot)?;
        (engagement.id == offer && engagement.seat == seat && engagement.stage == stage).then_some(slot)
    }

    fn active(&self, seat: u32, claim: ClaimId) -> Result<u32, Refusal> {
        self.engagement_of(seat, claim.offer(), Stage::Active).ok_or(Refusal::ClaimGone)
    }

    fn plan_transfer(&self, engagement: u32, to: TransferTo) -> Result<Asked, Refusal> {
        let plan = self.plan.as_ref().ok_or(Refusal::NoPolicy)?;
        let conversation = self.engagements.get(engagement).and_then(|e| self.conversations.get(e.conversation));
        let c = conversation.ok_or(Refusal::ClaimGone)?;
        let (queue, preferred) = match to {
            TransferTo::Queue(name) => (plan.queue(name).ok_or(Refusal::UnknownQueue)?, SeatId::NONE),
            TransferTo::Seat(seat) => {
                let target = self.seat_slot(seat).and_then(|s| self.seats.get(s)).ok_or(Refusal::UnknownSeat)?;
                if !target.signed_in() {
                    return Err(Refusal::NotSignedIn);
                }
                (c.queue, seat)
            }
        };
        let extra = self.lane_sets.get(c.lane_set as usize).map_or_else(Default::default, |set| set.extra);
        let asked = Asked { queue, class: c.class, weight: c.weight, extra, preferred, refused: None };
        if self.market.tickets_free() == 0 {
            return Err(Refusal::Limit(LimitKind::Tickets));
        }
        if !self.lane_set_fits(plan, &asked) {
            return Err(Refusal::Limit(LimitKind::Lanes));
        }
        Ok(asked)
    }

    pub(super) fn commit_seat(&mut self, change: Change) -> Outcome {
        let slot = change.seat;
        self.dirty_seats.mark(slot);
        let mut contact = ContactId::NONE;
        let mut n = 0;
        match change.act {
            Act::SignIn => self.sign_in(slot),
            Act::SignOut => self.sign_out(slot),
            Act::Present(presence) => self.present(slot, presence),
            Act::Linked(linked) => {
                if let Some(seat) = self.seats.get_mut(slot) {
                    seat.linked = linked;
                }
                self.settle_open(slot);
            }
            Act::Accept { engagement } => contact = self.accept(engagement),
            Act::Decline { engagement } => self.return_offer(engagement, Rescind::Declined),
            Act::Send { engagement, file } => (contact, n) = self.send(engagement, file),
            Act::End { engagement } => contact = self.end(engagement),
            Act::WrapUp { engagement } => self.release(engagement),
            Act::Transfer { engagement, asked } => contact = self.transfer(engagement, &asked),
        }
        let outcome = Outcome::Done { contact, n };
        if !change.command.is_none() {
            if let Some(seat) = self.seats.get_mut(slot) {
                seat.keep(Answered { command: change.command, content: change.content, outcome });
            }
        }
        outcome
    }

    fn sign_in(&mut self, slot: u32) {
        let Some(seat) = self.seats.get_mut(slot) else { return };
        seat.linked = true;
        if seat.market != NOWHERE {
            // Signed in already (another desk took over): presence and claims stay.
            let (id, presence) = (seat.id, seat.presence);
            self.notify(id, SeatNotice::Presence { presence });
            return self.settle_open(slot);
        }
        let (id, profile, units, cost_ms) = (seat.id, seat.profile(), seat.units, seat.cost_ms);
        let SeatSlot(market) = self.market.seat_insert(id, &profile, units, cost_ms);
        if let Some(seat) = self.seats.get_mut(slot) {
            seat.market = market;
        }
        self.present(slot, Presence::Paused { reason: ReasonName::NONE });
    }

    fn present(&mut self, slot: u32, presence: Presence) {
        self.dirty_seats.mark(slot);
        let Some(seat) = self.seats.get_mut(slot) else { return };
        seat.presence = presence;
        let id = seat.id;
        self.notify(id, SeatNotice::Presence { presence });
        self.settle_open(slot);
    }

    /// Opens or shuts the seat in the market as presence and connection say.
    fn settle_open(&mut self, slot: u32) {
        let at = self.at;
        let Some(seat) = self.seats.get_mut(slot) else { return };
        let open = seat.presence == Presence::Ready && seat.linked;
        if seat.market == NOWHERE || seat.open == open {
            return;
        }
        seat.open = open;
        let market = SeatSlot(seat.market);
        if open {
            self.market.seat_open(market, at);
            self.steps.push_back(Step::FindContact { seat: slot });
        } else {
            self.market.seat_shut(market);
        }
    }

    fn sign_out(&mut self, slot: u32) {
        let Some(seat) = self.seats.get_mut(slot) else { return };
        seat.presence = Presence::SignedOut;
        seat.linked = false;
        let id = seat.id;
        self.settle_open(slot);
        // At most UNITS_MAX of them: a bounded sweep.
        let engaged = self.seats.get(slot).map(|s| s.engaged.clone()).unwrap_or_default();
        for engagement in engaged {
            match self.engagements.get(engagement).map(|e| e.stage) {
                Some(Stage::Offered) => self.return_offer(engagement, Rescind::SeatGone),
                Some(Stage::Active) => self.give_back(engagement),
                Some(Stage::WrapUp) => self.release(engagement),
                None => {}
            }
        }
        self.steps.push_back(Step::LeaveMarket { seat: slot });
        self.notify(id, SeatNotice::Presence { presence: Presence::SignedOut });
    }

    fn accept(&mut self, slot: u32) -> ContactId {
        let at = self.at;
        let Some(engagement) = self.engagements.get_mut(slot) else { return ContactId::NONE };
        engagement.stage = Stage::Active;
        self.timers.set(&mut engagement.timer, Timed::Engagement(slot), Timestamp::NEVER);
        let Engagement { id, contact, conversation, seat, effect, .. } = *engagement;
        self.dirty_engagements.mark(slot);
        self.close_effect(effect);
        let Some(seat_id) = self.seats.get(seat).map(|s| s.id) else { return contact };
        self.dirty_conversations.mark(conversation);
        let Some(c) = self.conversations.get_mut(conversation) else { return contact };
        let ticket = core::mem::replace(&mut c.ticket, NOWHERE);
        c.owner = Owner::Seat;
        c.assigned_at = c.assigned_at.min(at);
        c.segments = c.segments.saturating_add(1);
        c.last_event_at = at;
        let (queue, conversation_id) = (usize::from(c.queue), c.id);
        self.ledger.in_offer -= 1;
        self.ledger.in_service += 1;
        self.queue_lengths[queue] -= 1;
        self.market.ticket_remove(TicketSlot(ticket));
        self.notify(seat_id, SeatNotice::Assigned { claim: id.claim(), contact, conversation: conversation_id });
        self.item(conversation, Item::Assigned { seat: seat_id });
        self.rearm(conversation);
        contact
    }

    /// The offer did not become a claim: the contact stands in its lane again, the pair is excluded unless the seat is gone.
    pub(super) fn return_offer(&mut self, slot: u32, why: Rescind) {
        let Some(engagement) = self.engagements.get(slot) else { return };
        let conversation = engagement.conversation;
        let seat_id = self.seats.get(engagement.seat).map_or(SeatId::NONE, |s| s.id);
        let ticket = self.conversations.get(conversation).map_or(NOWHERE, |c| c.ticket);
        if why != Rescind::SeatGone && ticket != NOWHERE {
            self.market.ticket_exclude(TicketSlot(ticket), seat_id);
        }
        self.rescind(slot, why);
        self.back_to_lane(conversation);
    }

    /// Withdraws an offer: effect closed, desk told, units given back. The conversation is the caller's.
    pub(super) fn rescind(&mut self, slot: u32, why: Rescind) {
        let at = self.at;
        let Some(mut engagement) = self.engagements.remove(slot) else { return };
        self.place_is_free();
        self.dirty_engagements.mark(slot);
        self.timers.set(&mut engagement.timer, Timed::Engagement(slot), Timestamp::NEVER);
        self.close_effect(engagement.effect);
        self.dirty_seats.mark(engagement.seat);
        let Some(seat) = self.seats.get_mut(engagement.seat) else { return };
        seat.engaged.retain(|e| *e != slot);
        let (id, market) = (seat.id, seat.market);
        self.notify(id, SeatNotice::Rescinded { offer: engagement.id, why });
        if market != NOWHERE {
            // A seat that did nothing wrong keeps its place among the idle; one that said no goes to the tail.
            let place = if matches!(why, Rescind::Declined | Rescind::Expired) { Place::Tail(at) } else { Place::Kept };
            self.market.seat_give(SeatSlot(market), engagement.units, place);
            self.steps.push_back(Step::FindContact { seat: engagement.seat });
        }
        if why == Rescind::Expired {
            self.present(engagement.seat, Presence::NotResponding);
        }
    }

    fn send(&mut self, slot: u32, file: bool) -> (ContactId, u32) {
        let Some(engagement) = self.engagements.get(slot) else { return (ContactId::NONE, 0) };
        let (contact, conversation) = (engagement.contact, engagement.conversation);
        let seat = self.seats.get(engagement.seat).map_or(SeatId::NONE, |s| s.id);
        if let Some(c) = self.conversations.get_mut(conversation) {
            c.last_event_at = self.at;
        }
        self.dirty_conversations.mark(conversation);
        self.item(conversation, if file { Item::FileFromSeat { seat } } else { Item::FromSeat { seat } });
        self.rearm(conversation);
        (contact, self.conversations.get(conversation).map_or(0, |c| c.n))
    }

    fn end(&mut self, slot: u32) -> ContactId {
        let Some(engagement) = self.engagements.get(slot) else { return ContactId::NONE };
        let (contact, conversation) = (engagement.contact, engagement.conversation);
        self.exit(conversation, Exit::Served);
        self.end_segment(slot);
        contact
    }

    /// The claim enters wrap-up, or is released when its queue has none.
    pub(super) fn end_segment(&mut self, slot: u32) {
        let Some(engagement) = self.engagements.get(slot) else { return };
        let queue = engagement.queue;
        let wrap_up = self.plan.as_ref().and_then(|p| p.queue(queue).map(|q| p.queues[usize::from(q)].wrap_up));
        let Some(wrap_up) = wrap_up.filter(|w| w.0 > 0) else { return self.release(slot) };
        let until = self.at + wrap_up;
        let Some(engagement) = self.engagements.get_mut(slot) else { return };
        engagement.stage = Stage::WrapUp;
        engagement.conversation = NOWHERE;
        self.timers.set(&mut engagement.timer, Timed::Engagement(slot), until);
        let (seat, claim) = (engagement.seat, engagement.id.claim());
        self.dirty_engagements.mark(slot);
        let id = self.seats.get(seat).map_or(SeatId::NONE, |s| s.id);
        self.notify(id, SeatNotice::WrapUp { claim, until });
    }

    /// The claim is over: its units are free and the seat looks for a contact in the same entry.
    pub(super) fn release(&mut self, slot: u32) {
        let at = self.at;
        let Some(engagement) = self.engagements.remove(slot) else { return };
        self.place_is_free();
        self.dirty_engagements.mark(slot);
        self.dirty_seats.mark(engagement.seat);
        let Some(seat) = self.seats.get_mut(engagement.seat) else { return };
        seat.engaged.retain(|e| *e != slot);
        let (id, market) = (seat.id, seat.market);
        self.notify(id, SeatNotice::Released { claim: engagement.id.claim() });
        if market != NOWHERE {
            self.market.seat_give(SeatSlot(market), engagement.units, Place::Tail(at));
            self.steps.push_back(Step::FindContact { seat: engagement.seat });
        }
    }

    fn transfer(&mut self, slot: u32, asked: &Asked) -> ContactId {
        let Some(engagement) = self.engagements.get(slot) else { return ContactId::NONE };
        let (contact, conversation) = (engagement.contact, engagement.conversation);
        let from = self.seats.get(engagement.seat).map(|s| s.id);
        self.item(conversation, Item::Transferred);
        let seniority = self.conversations.get(conversation).map_or(self.at, |c| c.requested_at);
        self.enqueue(conversation, asked, seniority, from);
        self.end_segment(slot);
        contact
    }

    /// A seat that is gone gives an open contact back at its seniority; nobody is excluded.
    fn give_back(&mut self, slot: u32) {
        let Some(conversation) = self.engagements.get(slot).map(|e| e.conversation) else { return };
        let Some(c) = self.conversations.get(conversation) else { return self.release(slot) };
        let extra = self.lane_sets.get(c.lane_set as usize).map_or_else(Default::default, |set| set.extra);
        let asked = Asked { queue: c.queue, class: c.class, weight: c.weight, extra, preferred: SeatId::NONE, refused: None };
        let seniority = c.requested_at;
        if self.market.tickets_free() > 0 {
            self.enqueue(conversation, &asked, seniority, None);
        } else {
            // Tickets are limited and all taken: nobody is lost, people look after this one.
            self.leave_owner(conversation);
            if let Some(c) = self.conversations.get_mut(conversation) {
                c.owner = Owner::Manual;
            }
            self.ledger.manual += 1;
            self.rearm(conversation);
        }
        self.release(slot);
    }

    pub(super) fn notify(&mut self, seat: SeatId, notice: SeatNotice) {
        self.emit(Output::Seat { seat, notice });
    }
}

/// The slot that an offer's number carries in its low 24 bits.
pub(super) const fn offer_slot(offer: OfferId) -> u32 {
    (offer.0 & 0xff_ffff) as u32
}

fn content_of(act: &SeatAct<'_>) -> u32 {
    let mut chain = Chain::default();
    match *act {
        SeatAct::SignIn => chain.word(1),
        SeatAct::SignOut => chain.word(2),
        SeatAct::Ready => chain.word(3),
        SeatAct::Pause { reason } => {
            chain.word(4);
            chain.word(reason.0);
        }
        SeatAct::Accept { offer } => {
            chain.word(5);
            chain.word(offer.0);
        }
        SeatAct::Decline { offer, reason } => {
            chain.word(6);
            chain.word(offer.0);
            chain.word(reason.0);
        }
        SeatAct::Send { claim, body } => {
            chain.word(7);
            chain.word(claim.0);
            chain.bytes(body);
        }
        SeatAct::End { claim } => {
            chain.word(8);
            chain.word(claim.0);
        }
        SeatAct::WrapUp { claim, code } => {
            chain.word(9);
            chain.word(claim.0);
            chain.word(code.0);
        }
        SeatAct::Transfer { claim, to } => {
            chain.word(10);
            chain.word(claim.0);
            match to {
                TransferTo::Queue(name) => chain.word(name.0),
                TransferTo::Seat(seat) => chain.word(!seat.0),
            }
        }
        SeatAct::SendFile { claim, file } => {
            chain.word(12);
            chain.word(claim.0);
            file.fold(&mut chain);
        }
        _ => chain.word(11),
    }
    (chain.0 >> 32) as u32
}
