//! The distributor: lanes for waiting contacts, the two faces of routing, relaxation steps and the policy swap.
//!
//! `plan` asks the market (a pure read) and reserves an engagement and an effect row; `commit` takes the units, holds the
//! ticket and writes the decision record. A contact and a seat meet by an offer, never otherwise.

use super::inbound::Asked;
use super::state::{EffectRow, Engagement, Extra, LaneSet, NOWHERE, Owner, Stage, Step};
use super::{Delta, Tenant};
use crate::policy::plan::Plan;
use crate::policy::wait;
use crate::timers::{Timed, Timer};
use alloc::vec::Vec;
use tidegate_matcher::market::{Choice, LaneId, LaneSpec, SeatSlot, TicketSlot};
use tidegate_model::output::{Effect, Output, SeatNotice};
use tidegate_model::record::{DecisionRecord, Face};
use tidegate_model::{ContactId, EffectId, OfferId, SeatId, Timestamp};

/// Conversations that one step of a policy swap looks at.
const SWAP_BATCH: u32 = 64;
/// Seats that one step of a look for those held back passes, until it comes to one that could take a contact.
const LOOK_BATCH: u32 = 64;

#[derive(Debug)]
pub(super) enum Change {
    Nothing,
    /// Somebody could have been offered, had a table not been full.
    HeldBack,
    /// The seats before this one had their turn at a free place.
    LookOn {
        from: u32,
        left: u32,
    },
    /// An offer; `again` is the step of a contact that gave way to an earlier one and looks once more.
    Offer {
        face: Face,
        choice: Choice,
        again: Option<Step>,
    },
    LeaveMarket {
        seat: u32,
    },
    /// `next` is the step that goes on behind these, but for its count.
    Swap {
        next: Option<Step>,
        remapped: u32,
        carried: Vec<Carried>,
    },
}

/// A waiting or served contact under the new policy.
#[derive(Debug)]
pub(super) struct Carried {
    conversation: u32,
    asked: Asked,
    step: u8,
    remapped: bool,
}

impl Tenant {
    pub(super) fn plan_find_seat(&self, slot: u32, contact: ContactId) -> (Delta, u32) {
        let none = (Delta::Matched(Change::Nothing), 0);
        let Some(c) = self.conversations.get(slot) else { return none };
        if c.contact != contact || c.owner != Owner::Lane {
            return none;
        }
        self.probe(c.id);
        if !self.offer_fits() {
            return (Delta::Matched(Change::HeldBack), 0);
        }
        let selected = self.market.select_agent(TicketSlot(c.ticket), self.at);
        let Some(choice) = selected.choice else { return (Delta::Matched(Change::Nothing), selected.work) };
        if self.steps.is_empty() {
            return (Delta::Matched(Change::Offer { face: Face::SelectAgent, choice, again: None }), selected.work);
        }
        // Others look for a seat in the same entry (a seat with several claims has gone, a policy was swapped): the seat that
        // was found chooses, or a later contact would be served before an earlier one of its own lane.
        let asked = self.market.select_contact(choice.seat, self.at);
        let work = selected.work + asked.work;
        let change = match asked.choice {
            Some(first) if first.ticket != choice.ticket => {
                let again = Some(Step::FindSeat { conversation: slot, contact });
                Change::Offer { face: Face::SelectContact, choice: first, again }
            }
            _ => Change::Offer { face: Face::SelectAgent, choice, again: None },
        };
        (Delta::Matched(change), work)
    }

    pub(super) fn plan_find_contact(&self, slot: u32) -> (Delta, u32) {
        let none = (Delta::Matched(Change::Nothing), 0);
        let Some(seat) = self.seats.get(slot) else { return none };
        if !seat.open || self.market.seat_free_units(SeatSlot(seat.market)) == 0 {
            return none;
        }
        if !self.offer_fits() {
            return (Delta::Matched(if self.ledger.waiting > 0 { Change::HeldBack } else { Change::Nothing }), 0);
        }
        let selected = self.market.select_contact(SeatSlot(seat.market), self.at);
        let change =
            selected.choice.map_or(Change::Nothing, |choice| Change::Offer { face: Face::SelectContact, choice, again: None });
        (Delta::Matched(change), selected.work)
    }

    /// Whether the tables have a place for an offer and its effect row.
    fn offer_fits(&self) -> bool {
        self.engagements.room() > 0 && self.effects.room() > 0
    }

    /// A place of a full table is free: whoever was held back by it is looked for. Call it when a record has left a table or
    /// a limit has risen.
    pub(super) fn place_is_free(&mut self) {
        if self.held_back.somebody && self.offer_fits() {
            self.held_back.somebody = false;
            self.steps.push_back(Step::LookAgain { from: self.held_back.from, left: self.seats.end() });
        }
    }

    /// The next seat in turn that could take a contact asks for one. The contact that it finds is given to the seat that the
    /// policy prefers for it, and that seat chooses, as for any contact of several that look at once. Each step makes an offer
    /// or passes seats, so it ends: by the last seat, or by the table's last place.
    pub(super) fn plan_look_again(&self, from: u32, left: u32) -> (Delta, u32) {
        let end = self.seats.end();
        if left == 0 || end == 0 || self.ledger.waiting == 0 {
            return (Delta::Matched(Change::Nothing), 0);
        }
        if !self.offer_fits() {
            return (Delta::Matched(Change::HeldBack), 0);
        }
        let (from, left) = (from % end, left.min(end));
        let idle = |slot: &u32| {
            self.seats.get(*slot).is_some_and(|seat| seat.open && self.market.seat_free_units(SeatSlot(seat.market)) > 0)
        };
        let batch = left.min(LOOK_BATCH);
        let Some(passed) = (0..batch).find(|i| idle(&((from + i) % end))) else {
            return (Delta::Matched(Change::LookOn { from: (from + batch) % end, left: left - batch }), 0);
        };
        let (slot, next) = ((from + passed) % end, (from + passed + 1) % end);
        let market = self.seats.get(slot).map_or(NOWHERE, |seat| seat.market);
        let found = self.market.select_contact(SeatSlot(market), self.at);
        let Some(first) = found.choice else {
            return (Delta::Matched(Change::LookOn { from: next, left: left - passed - 1 }), found.work);
        };
        let preferred = self.market.select_agent(first.ticket, self.at);
        let chosen = preferred.choice.map(|agent| self.market.select_contact(agent.seat, self.at));
        let work = found.work + preferred.work + chosen.as_ref().map_or(0, |chosen| chosen.work);
        let choice = chosen.and_then(|chosen| chosen.choice).unwrap_or(first);
        // Places may be left: all seats have their turn once more.
        let again = Some(Step::LookAgain { from: next, left: end });
        (Delta::Matched(Change::Offer { face: Face::SelectContact, choice, again }), work)
    }

    pub(super) fn commit_matched(&mut self, change: Change) {
        match change {
            Change::Nothing => {}
            Change::HeldBack => self.held_back.somebody = true,
            Change::LookOn { from, left } => self.look_on(from, left),
            Change::Offer { face, choice, again } => {
                let before = self.engagements.room();
                self.offer(face, &choice);
                match again {
                    // Only an offer starts the round anew: so it ends.
                    Some(Step::LookAgain { from, left }) if self.engagements.room() < before => self.look_on(from, left),
                    Some(Step::LookAgain { .. }) => {}
                    other => self.steps.extend(other),
                }
            }
            Change::LeaveMarket { seat } => self.leave_market(seat),
            Change::Swap { next, remapped, carried } => self.commit_swap(next, remapped, carried),
        }
    }

    /// In front of whatever else looks: a seat that has just let a place go does not take it before those whose turn it is.
    fn look_on(&mut self, from: u32, left: u32) {
        self.held_back.from = from;
        self.steps.push_front(Step::LookAgain { from, left });
    }

    fn offer(&mut self, face: Face, choice: &Choice) {
        let Some(plan) = &self.plan else { return };
        let conversation = self.ticket_owner[choice.ticket.0 as usize];
        let Some(seat) = self.seat_slot(choice.seat_id) else { return };
        let Some(c) = self.conversations.get(conversation) else { return };
        let queue = &plan.queues[usize::from(c.queue)];
        let (timeout, queue_name, units) = (queue.offer_timeout, queue.name, c.weight);
        let (contact, conversation_id, step, waiting_since) = (c.contact, c.id, c.step, c.requested_at);
        let policy = plan.short_hash();
        let deadline = self.at + timeout;

        let slot = self.engagements.next_slot();
        let offer = OfferId(self.next_offer << 24 | u64::from(slot));
        self.next_offer += 1;
        self.market.ticket_hold(choice.ticket);
        self.market.seat_take(choice.seat, units, self.at);
        let effect = self.open_effect(
            Effect::Offer { seat: choice.seat_id, offer, contact, conversation: conversation_id },
            deadline,
            false,
        );
        let mut engagement = Engagement {
            id: offer,
            contact,
            conversation,
            conversation_id,
            seat,
            stage: Stage::Offered,
            units,
            effect,
            timer: Timer::default(),
            queue: queue_name,
        };
        self.timers.set(&mut engagement.timer, Timed::Engagement(slot), deadline);
        self.engagements.insert(engagement);
        self.dirty_engagements.mark(slot);
        if let Some(seat) = self.seats.get_mut(seat) {
            seat.engaged.push(slot);
        }
        self.dirty_seats.mark(seat);
        self.offered(conversation, slot, choice.seat_id, offer);
        self.emit(Output::Decision(DecisionRecord {
            seq: self.seq,
            at: self.at,
            face,
            contact,
            seat: choice.seat_id,
            offer,
            queue: queue_name,
            step,
            terms: choice.terms,
            runner_up: choice.runner_up,
            candidates: choice.candidates,
            passed: choice.passed,
            policy,
            version: self.version,
        }));
        self.notify(
            choice.seat_id,
            SeatNotice::Offered {
                offer,
                contact,
                conversation: conversation_id,
                queue: queue_name,
                waiting_since,
                deadline,
                timeout,
            },
        );
        if face == Face::SelectContact {
            self.steps.push_back(Step::FindContact { seat });
        }
    }

    pub(super) fn open_effect(&mut self, effect: Effect, valid_until: Timestamp, expires: bool) -> EffectId {
        let slot = self.effects.next_slot();
        let id = EffectId(self.next_effect << 24 | u64::from(slot));
        self.next_effect += 1;
        let mut row = EffectRow { id, effect, valid_until, timer: Timer::default() };
        if expires {
            self.timers.set(&mut row.timer, Timed::Effect(slot), valid_until);
        }
        self.effects.insert(row);
        self.emit(Output::EffectOpened { id, valid_until, effect });
        id
    }

    pub(super) fn close_effect(&mut self, id: EffectId) {
        let slot = (id.0 & 0xff_ffff) as u32;
        if self.effects.get(slot).is_some_and(|row| row.id == id) {
            self.effects.remove(slot);
            self.emit(Output::EffectClosed { id });
            self.place_is_free();
        }
    }

    /// Whether the lanes that a request may stand in exist or fit.
    pub(super) fn lane_set_fits(&self, plan: &Plan, asked: &Asked) -> bool {
        if self.find_lane_set(asked).is_some() {
            return true;
        }
        let lanes = plan.queues[usize::from(asked.queue)].steps.len() * 2;
        self.market.lanes_free() as usize >= lanes
    }

    fn find_lane_set(&self, asked: &Asked) -> Option<u32> {
        self.lane_set_index.get(&(asked.queue, asked.class, asked.weight, asked.extra)).copied()
    }

    /// The lanes of a request, interned on first use; the plan has checked that they fit.
    pub(super) fn lane_set(&mut self, asked: &Asked) -> u32 {
        if let Some(set) = self.find_lane_set(asked) {
            return set;
        }
        let Some(plan) = &self.plan else { return NOWHERE };
        let queue = &plan.queues[usize::from(asked.queue)];
        let class = plan.classes[usize::from(asked.class)];
        let specs = wait::lane_specs(queue, class, asked.weight, &asked.extra);
        let mut lanes = Vec::with_capacity(specs.len());
        for [normal, overdue] in specs {
            lanes.push([self.remembered_lane(&normal), self.remembered_lane(&overdue)]);
        }
        let set = self.lane_sets.len() as u32;
        self.lane_sets.push(LaneSet { queue: asked.queue, class: asked.class, weight: asked.weight, extra: asked.extra, lanes });
        self.lane_set_index.insert((asked.queue, asked.class, asked.weight, asked.extra), set);
        set
    }

    /// Interns a lane and pins it at once: the next one interned must not take its place.
    fn remembered_lane(&mut self, spec: &LaneSpec) -> u16 {
        let Some(lane) = self.market.lane(spec) else { return u16::MAX };
        self.market.lane_pin(lane);
        lane.0
    }

    /// Remembered lanes must stay what they are while nobody stands in them; a restored market has forgotten its pins.
    pub(super) fn pin_lanes(&mut self, lanes: &[[u16; 2]]) {
        for lane in lanes.iter().flatten() {
            self.market.lane_pin(LaneId(*lane));
        }
    }

    /// The lane that a waiting contact stands in by its step and tier.
    fn lane_of(&self, slot: u32) -> Option<LaneId> {
        let c = self.conversations.get(slot)?;
        let lanes = self.lane_sets.get(c.lane_set as usize)?.lanes.get(usize::from(c.step))?;
        Some(LaneId(lanes[usize::from(c.overdue)]))
    }

    /// Enters step `from`, or the first one behind it that is not passed over, and arms its deadline.
    pub(super) fn enter_step(&mut self, slot: u32, from: u8) {
        let Some(plan) = &self.plan else { return };
        let Some(c) = self.conversations.get(slot) else { return };
        let steps = &plan.queues[usize::from(c.queue)].steps;
        let lanes = &self.lane_sets[c.lane_set as usize].lanes;
        let step = wait::step_from(steps, lanes, &self.market, from);
        self.dirty_conversations.mark(slot);
        let at = self.at;
        if let Some(c) = self.conversations.get_mut(slot) {
            c.step = step;
            c.step_entered_at = at;
        }
        self.settle_lane(slot);
        self.rearm(slot);
    }

    /// Moves the ticket to where step, tier and reservation say; its seniority stays.
    pub(super) fn settle_lane(&mut self, slot: u32) {
        let Some(lane) = self.lane_of(slot) else { return };
        let Some(c) = self.conversations.get(slot) else { return };
        let ticket = TicketSlot(c.ticket);
        let reserved = if c.reserved_until == Timestamp::NEVER { None } else { self.market.ticket_reserved(ticket) };
        self.market.ticket_move(ticket, lane, reserved);
    }

    /// Sets free what was reserved for a seat that signed out, a batch a step; then the seat leaves the market.
    fn leave_market(&mut self, slot: u32) {
        let Some(seat) = self.seats.get(slot) else { return };
        if seat.signed_in() || seat.market == NOWHERE {
            return;
        }
        let market = SeatSlot(seat.market);
        for _ in 0..SWAP_BATCH {
            let Some(ticket) = self.market.seat_reserved(market).next() else {
                self.market.seat_remove(market);
                if let Some(seat) = self.seats.get_mut(slot) {
                    seat.market = NOWHERE;
                }
                return;
            };
            let conversation = self.ticket_owner[ticket.0 as usize];
            self.free_reservation(conversation);
        }
        self.steps.push_front(Step::LeaveMarket { seat: slot });
    }

    /// The contact waits for anybody from now on.
    pub(super) fn free_reservation(&mut self, slot: u32) {
        self.dirty_conversations.mark(slot);
        let Some(c) = self.conversations.get_mut(slot) else { return };
        c.reserved_until = Timestamp::NEVER;
        let (contact, waits) = (c.contact, c.owner == Owner::Lane);
        self.settle_lane(slot);
        if waits {
            self.rearm(slot);
            self.steps.push_back(Step::FindSeat { conversation: slot, contact });
        }
    }

    /// Which conversations of the next batch must be carried over to the new policy, and to where.
    pub(super) fn plan_swap(&self, cursor: u32, one_by_one: Option<u32>, remapped: u32) -> (Delta, u32) {
        let (Some(plan), Some(previous)) = (&self.plan, &self.previous) else {
            return (Delta::Matched(Change::Swap { next: None, remapped, carried: Vec::new() }), 0);
        };
        let (before, sets) = previous.as_ref();
        let batch = if one_by_one.is_some() { 1 } else { SWAP_BATCH };
        let end = self.conversations.end().min(cursor.saturating_add(batch));
        let mut carried = Vec::new();
        for slot in cursor..end {
            let Some(c) = self.conversations.get(slot) else { continue };
            if !matches!(c.owner, Owner::Lane | Owner::Offer | Owner::Seat) {
                continue;
            }
            self.probe(c.id);
            let queue = plan.queue(c.queue_name).unwrap_or(plan.default_queue);
            let class = plan.class(c.class_name).unwrap_or(plan.default_class);
            let extra = sets.get(c.lane_set as usize).map_or_else(Extra::default, |set| set.extra);
            let old_steps = &before.queues[usize::from(c.queue)].steps[..=usize::from(c.step)];
            let new_steps = &plan.queues[usize::from(queue)].steps;
            let found = old_steps
                .iter()
                .rev()
                .enumerate()
                .find_map(|(back, old)| new_steps.iter().position(|new| new.name == old.name).map(|i| (i as u8, back > 0)));
            let (step, remapped) = found.unwrap_or((0, true));
            let asked = Asked { queue, class, weight: c.weight, extra, preferred: SeatId::NONE, refused: None };
            carried.push(Carried { conversation: slot, asked, step, remapped });
        }
        let next = (end < self.conversations.end()).then_some(match one_by_one {
            Some(until) if end < until => Step::SwapOne { cursor: end, until, remapped: 0 },
            _ => Step::Swap { cursor: end, remapped: 0 },
        });
        let work = end - cursor;
        (Delta::Matched(Change::Swap { next, remapped, carried }), work)
    }

    fn commit_swap(&mut self, next: Option<Step>, mut remapped: u32, carried: Vec<Carried>) {
        for carry in carried {
            remapped += u32::from(self.carry_over(&carry));
        }
        match next {
            Some(Step::Swap { cursor, .. }) => self.steps.push_front(Step::Swap { cursor, remapped }),
            Some(Step::SwapOne { cursor, until, .. }) => self.steps.push_front(Step::SwapOne { cursor, until, remapped }),
            _ => self.finish_swap(remapped),
        }
    }

    /// One contact under the new policy; whether its step had to be mapped.
    fn carry_over(&mut self, carry: &Carried) -> bool {
        let slot = carry.conversation;
        let set = self.lane_set(&carry.asked);
        let Some(plan) = &self.plan else { return false };
        let name = plan.queues[usize::from(carry.asked.queue)].name;
        self.dirty_conversations.mark(slot);
        let Some(c) = self.conversations.get_mut(slot) else { return false };
        c.queue = carry.asked.queue;
        c.queue_name = name;
        c.class = carry.asked.class;
        c.lane_set = set;
        // The time elapsed in the step is kept with its name; a step entered by mapping begins anew.
        if carry.remapped || c.owner == Owner::Seat {
            c.step_entered_at = self.at;
        }
        c.step = carry.step;
        let (owner, contact) = (c.owner, c.contact);
        if owner == Owner::Seat {
            return false;
        }
        self.queue_lengths[usize::from(carry.asked.queue)] += 1;
        self.settle_lane(slot);
        if owner == Owner::Lane {
            self.rearm(slot);
            self.steps.push_back(Step::FindSeat { conversation: slot, contact });
        }
        carry.remapped
    }

    /// Planning a batch panicked: its conversations are planned one by one, so that the one that panics pays alone.
    pub(super) fn swap_one_by_one(&mut self, cursor: u32, remapped: u32) {
        let until = cursor.saturating_add(SWAP_BATCH);
        self.steps.push_front(Step::SwapOne { cursor, until, remapped });
    }

    /// Planning this one conversation panicked: it is carried to the first step of its queue by the plainest rule (a contact
    /// that kept the old policy's places would corrupt the new one's), and the swap goes on behind it.
    pub(super) fn swap_past_poison(&mut self, slot: u32, until: u32, remapped: u32) {
        let next = slot + 1;
        let more = next < self.conversations.end();
        let step = match next < until {
            true => Step::SwapOne { cursor: next, until, remapped: 0 },
            false => Step::Swap { cursor: next, remapped: 0 },
        };
        let carried = self.plainly_carried(slot).into_iter().collect();
        self.commit_swap(more.then_some(step), remapped, carried);
    }

    fn plainly_carried(&self, slot: u32) -> Option<Carried> {
        let (plan, previous, c) = (self.plan.as_ref()?, self.previous.as_ref()?, self.conversations.get(slot)?);
        let queue = plan.queue(c.queue_name).unwrap_or(plan.default_queue);
        let class = plan.class(c.class_name).unwrap_or(plan.default_class);
        let extra = previous.1.get(c.lane_set as usize).map_or_else(Extra::default, |set| set.extra);
        let asked = Asked { queue, class, weight: c.weight, extra, preferred: SeatId::NONE, refused: None };
        Some(Carried { conversation: slot, asked, step: 0, remapped: true })
    }

    fn finish_swap(&mut self, remapped: u32) {
        if let Some(previous) = self.previous.take() {
            for lane in previous.1.iter().flat_map(|set| &set.lanes).flatten() {
                self.market.lane_unpin(LaneId(*lane));
            }
        }
        let hash = self.plan.as_ref().map_or([0; 32], |p| p.hash);
        self.emit(Output::PolicyActive { hash, steps_remapped: remapped });
    }
}
