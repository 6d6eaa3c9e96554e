//! What happens: customers come, wait, hang up, come again; agents accept, serve, wrap up, come and go.
//!
//! Each act ends with a look for whoever may now be matched, by the distributor. Times are whole milliseconds; a span that is
//! drawn is rounded to the nearest. An offer is accepted after the group's reaction time, and never declined.

use super::contact::{Contact, State};
use super::play::{Floor, Happened, kind};
use crate::kernel::EntryId;
use crate::report::Passage;
use crate::workload::whole_ms;
use tidegate_core::distributor::Waits;
use tidegate_matcher::market::{Choice, TicketSlot};
use tidegate_model::record::Exit;
use tidegate_model::{ContactId, ReasonName, SeatId, Timestamp};

/// Reason of contacts that found their queue full.
const QUEUE_FULL: ReasonName = ReasonName::of("queue full");
/// Times past this are for ever.
const FOR_EVER: f64 = 1e15;

impl Floor<'_> {
    /// A new customer.
    #[inline]
    pub(super) fn arrives(&mut self, d: usize, now: u64) {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.contacts.push(Contact::FREE);
                (self.contacts.len() - 1) as u32
            }
        };
        let demand = &self.setup.demands[d];
        let contact = &mut self.contacts[slot as usize];
        *contact = Contact { number: self.next_number, arrived: now, came_as: d as u16, demand: d as u16, ..Contact::FREE };
        self.next_number += 1;
        let repeats = demand.pool.map_or(0.0, |(p, _)| self.setup.pools[p].repeats);
        self.coming[d].first.draw(contact, demand, repeats, now);
        self.begins(slot, now);
    }

    /// A customer who has been here before.
    pub(super) fn comes_again(&mut self, slot: u32, now: u64) {
        let contact = &mut self.contacts[slot as usize];
        let d = usize::from(contact.came_as);
        let (times, straight) = (contact.times, contact.straight);
        *contact = Contact {
            number: self.next_number,
            arrived: now,
            came_as: d as u16,
            demand: d as u16,
            times,
            straight,
            ..Contact::FREE
        };
        self.next_number += 1;
        let demand = &self.setup.demands[d];
        let repeats = demand.pool.map_or(0.0, |(p, _)| self.setup.pools[p].repeats);
        self.coming[d].again.draw(contact, demand, repeats, now);
        self.begins(slot, now);
    }

    #[inline]
    fn begins(&mut self, slot: u32, now: u64) {
        if self.setup.pools.is_empty() || !self.bot_takes(slot, now) {
            self.asks(slot, None, now);
        }
    }

    /// A contact asks for an agent, or asks anew after a transfer.
    #[inline]
    pub(super) fn asks(&mut self, slot: u32, excluded: Option<SeatId>, now: u64) {
        let contact = &mut self.contacts[slot as usize];
        if contact.asked == u64::MAX {
            contact.asked = now;
        }
        let (asked, number, d) = (Timestamp(contact.asked), ContactId(contact.number), usize::from(contact.demand));
        self.tell(Happened::Asks { at_ms: now, contact: number.0, demand: d as u32 });
        let Some(ticket) = self.distributor.enqueue(self.coming[d].kind, number, asked, excluded, Timestamp(now)) else {
            self.contacts[slot as usize].left_queue = now;
            self.exits(slot, Exit::Refused(QUEUE_FULL), now);
            return self.forget(slot);
        };
        let contact = &mut self.contacts[slot as usize];
        contact.ticket = ticket.0;
        contact.state = State::Waiting;
        match self.owner.get_mut(ticket.0 as usize) {
            Some(owner) => *owner = slot,
            None => self.owner.push(slot),
        }
        if let Some(choice) = self.distributor.find_seat(ticket, Timestamp(now)) {
            return self.matches(&choice, now);
        }
        let contact = &mut self.contacts[slot as usize];
        contact.waits_in_area = true;
        self.queues[usize::from(contact.came_as)].up(now);
        if contact.patience < FOR_EVER && !contact.called_back {
            let until = now + whole_ms(contact.patience);
            contact.entry = self.agenda.schedule(Timestamp(until), kind::PATIENCE, slot);
        }
        if let Some(callback) = &self.setup.demands[d].callback
            && contact.fate.takes_callback
            && !contact.had_agent
        {
            contact.call = self.agenda.schedule(Timestamp(now + callback.after_ms), kind::CALLBACK, slot);
        }
        self.arm(slot);
    }

    /// Asks the distributor when this wait changes by itself.
    #[inline]
    fn arm(&mut self, slot: u32) {
        let contact = &mut self.contacts[slot as usize];
        let deadline = self.distributor.deadline(TicketSlot(contact.ticket));
        contact.due = if deadline == Timestamp::NEVER { EntryId::NONE } else { self.agenda.schedule(deadline, kind::DUE, slot) };
    }

    /// A relaxation step, the overdue tier or the policy's patience has come.
    pub(super) fn due(&mut self, slot: u32, now: u64) {
        let ticket = TicketSlot(self.contacts[slot as usize].ticket);
        match self.distributor.due(ticket, Timestamp(now)) {
            Waits::GaveUp => {
                self.waits_no_more(slot, now);
                self.exits(slot, Exit::TimedOut, now);
                self.forget(slot);
            }
            Waits::Look => match self.distributor.find_seat(ticket, Timestamp(now)) {
                Some(choice) => self.matches(&choice, now),
                None => self.arm(slot),
            },
            Waits::On => self.arm(slot),
        }
    }

    pub(super) fn is_offered_callback(&mut self, slot: u32, now: u64) {
        let contact = &mut self.contacts[slot as usize];
        if contact.state != State::Waiting {
            return;
        }
        contact.called_back = true;
        contact.entry = EntryId::NONE;
        if self.is_counted(self.contacts[slot as usize].arrived) {
            self.demands[usize::from(self.contacts[slot as usize].came_as)].callbacks += 1;
        }
        self.chain.word(now);
    }

    /// Patience is over.
    pub(super) fn hangs_up(&mut self, slot: u32, now: u64) {
        let contact = self.contacts[slot as usize];
        let ticket = TicketSlot(contact.ticket);
        let offered_to = if contact.state == State::Offered {
            let seat = self.agents[contact.agent as usize].seat;
            if let Some(seat) = seat {
                self.distributor.rescind(ticket, seat);
            }
            Some(contact.agent)
        } else {
            self.distributor.leave(ticket);
            None
        };
        self.tell(Happened::HangsUp { at_ms: now, contact: contact.number });
        self.waits_no_more(slot, now);
        self.exits(slot, Exit::AbandonedWaiting, now);
        let again = self.setup.demands[usize::from(contact.came_as)].redial.as_ref();
        let again = again.filter(|again| contact.fate.redials && contact.times < again.times_max);
        let after = again.map(|again| whole_ms(again.after.sample(&mut self.redial)));
        if !after.is_some_and(|after| self.schedule_again(slot, after, now)) {
            self.forget(slot);
        } else if self.is_counted(contact.arrived) {
            self.demands[usize::from(contact.came_as)].redials += 1;
        }
        if let Some(agent) = offered_to {
            self.agents[agent as usize].held -= 1;
            self.settle(agent, now);
            self.looks(agent, now);
        }
    }

    /// Keeps the slot for a customer who comes again; not after the end.
    pub(super) fn schedule_again(&mut self, slot: u32, after: u64, now: u64) -> bool {
        let at = now.saturating_add(after);
        if at >= self.setup.length_ms {
            return false;
        }
        let contact = &mut self.contacts[slot as usize];
        contact.times = contact.times.saturating_add(1);
        contact.state = State::Coming;
        contact.due = EntryId::NONE;
        contact.call = EntryId::NONE;
        contact.entry = self.agenda.schedule(Timestamp(at), kind::COMES, slot);
        true
    }

    /// An agent with free units looks for contacts.
    #[inline]
    pub(super) fn looks(&mut self, agent: u32, now: u64) {
        let Agent { open, seat, group } = self.view(agent);
        let (true, Some(seat)) = (open, seat) else { return };
        while let Some(choice) = self.distributor.find_contact(seat, Timestamp(now)) {
            self.matches(&choice, now);
            if self.setup.groups[group].profile.units == 1 {
                break;
            }
        }
    }

    fn view(&self, agent: u32) -> Agent {
        let agent = &self.agents[agent as usize];
        Agent { open: agent.open, seat: agent.seat, group: usize::from(agent.group) }
    }

    /// A decision: the offer goes out, and is accepted at once or after the group's reaction.
    #[inline]
    fn matches(&mut self, choice: &Choice, now: u64) {
        let slot = self.owner[choice.ticket.0 as usize];
        let agent = (choice.seat_id.0 - 1) as u32;
        self.contacts[slot as usize].agent = agent;
        let group = usize::from(self.agents[agent as usize].group);
        if let Some(accept) = &self.setup.groups[group].accept {
            let after = whole_ms(accept.sample(&mut self.reaction));
            self.distributor.offer(choice, Timestamp(now));
            self.agents[agent as usize].held += 1;
            let contact = &mut self.contacts[slot as usize];
            contact.state = State::Offered;
            contact.due = self.agenda.schedule(Timestamp(now.saturating_add(after)), kind::ACCEPT, slot);
            return;
        }
        self.distributor.assign(choice, Timestamp(now));
        self.agents[agent as usize].held += 1;
        self.serves(slot, now);
    }

    pub(super) fn accepts(&mut self, slot: u32, now: u64) {
        self.distributor.accept(TicketSlot(self.contacts[slot as usize].ticket));
        self.serves(slot, now);
    }

    #[inline]
    fn serves(&mut self, slot: u32, now: u64) {
        self.waits_no_more(slot, now);
        let contact = &mut self.contacts[slot as usize];
        let (id, d) = (contact.agent, usize::from(contact.demand));
        let agent = &mut self.agents[id as usize];
        let g = usize::from(agent.group);
        let group = &self.setup.groups[g];
        agent.held -= 1;
        agent.takes(&mut self.areas[g], now);
        let mut factor = agent.factor * group.handle_factor[d];
        if let Some((extra, over)) = group.learning {
            factor *= 1.0 + extra * libm::exp(-f64::from(agent.served) / over);
        }
        agent.served += 1;
        if contact.called_back
            && contact.fate.not_reached
            && let Some(callback) = &self.setup.demands[d].callback
        {
            contact.work = callback.attempt_ms;
            factor = 1.0;
        }
        contact.work *= factor;
        contact.state = State::Served;
        contact.had_agent = true;
        contact.due = EntryId::NONE;
        contact.call = EntryId::NONE;
        (contact.since, contact.began, contact.pace) = (now, now, 1.0);
        self.chain.word(now << 24 ^ contact.number);
        self.chain.word(u64::from(id));
        let number = contact.number;
        self.tell(Happened::Meets { at_ms: now, contact: number, agent: id });
        let contact = &mut self.contacts[slot as usize];
        if self.setup.demands[d].slow_down.is_empty() {
            contact.entry = self.agenda.schedule(Timestamp(now + whole_ms(contact.work)), kind::END, slot);
        } else {
            self.agents[id as usize].beside.push(slot);
            self.share(id, now);
        }
    }

    /// Contacts in one seat slow each other down: what is left of each goes on at the pace of so many.
    fn share(&mut self, agent: u32, now: u64) {
        let beside = std::mem::take(&mut self.agents[agent as usize].beside);
        let others = beside.len().saturating_sub(1);
        for &slot in &beside {
            let contact = &mut self.contacts[slot as usize];
            let curve = &self.setup.demands[usize::from(contact.demand)].slow_down;
            contact.work = (contact.work - (now - contact.since) as f64 * contact.pace).max(0.0);
            contact.since = now;
            contact.pace = 1.0 / curve[others.min(curve.len() - 1)];
            let left = whole_ms(contact.work / contact.pace);
            contact.entry = self.agenda.schedule(Timestamp(now + left), kind::END, slot);
        }
        self.agents[agent as usize].beside = beside;
    }

    /// A segment ends: the contact leaves or is handed on, the seat wraps up.
    #[inline]
    pub(super) fn ends(&mut self, slot: u32, now: u64) {
        let contact = self.contacts[slot as usize];
        let demand = &self.setup.demands[usize::from(contact.demand)];
        self.tell(Happened::Ends { at_ms: now, contact: contact.number, agent: contact.agent });
        if !demand.slow_down.is_empty() {
            self.agents[contact.agent as usize].beside.retain(|other| *other != slot);
            self.share(contact.agent, now);
        }
        let unreached = contact.called_back && contact.fate.not_reached;
        let to = demand.transfer.filter(|_| contact.fate.transfers && !unreached);
        match to {
            Some((_, to)) => self.is_handed_on(contact, to, now),
            None if unreached => self.exits(slot, Exit::CallbackNotReached, now),
            None => {
                self.exits(slot, Exit::Served, now);
                if contact.fate.repeats {
                    self.repeats(contact, now);
                }
            }
        }
        // The slot is the claim's from here on.
        self.contacts[slot as usize].state = State::After;
        let wrap_up = if unreached { 0 } else { whole_ms(contact.wrap_up) };
        if wrap_up == 0 {
            return self.rests(slot, now);
        }
        self.contacts[slot as usize].entry = self.agenda.schedule(Timestamp(now + wrap_up), kind::WRAP_UP, slot);
    }

    /// The contact goes on in a slot of its own.
    fn is_handed_on(&mut self, contact: Contact, to: usize, now: u64) {
        if self.is_counted(contact.arrived) {
            self.demands[usize::from(contact.came_as)].transfers += 1;
        }
        let mut next = Contact { demand: to as u16, agent: u32::MAX, entry: EntryId::NONE, ..contact };
        next.fate.transfers = false;
        self.coming[to].again.draw_work(&mut next, &self.setup.demands[to], now);
        let slot = self.place(next);
        self.asks(slot, Some(SeatId(u64::from(contact.agent) + 1)), now);
    }

    fn repeats(&mut self, contact: Contact, now: u64) {
        let Some(again) = &self.setup.demands[usize::from(contact.came_as)].repeat else { return };
        if contact.times >= again.times_max {
            return;
        }
        let after = whole_ms(again.after.sample(&mut self.redial));
        if now.saturating_add(after) >= self.setup.length_ms {
            return;
        }
        if self.is_counted(contact.arrived) {
            self.demands[usize::from(contact.came_as)].repeats += 1;
        }
        let slot = self.place(contact);
        self.schedule_again(slot, after, now);
    }

    fn place(&mut self, contact: Contact) -> u32 {
        match self.free.pop() {
            Some(slot) => {
                self.contacts[slot as usize] = contact;
                slot
            }
            None => {
                self.contacts.push(contact);
                (self.contacts.len() - 1) as u32
            }
        }
    }

    /// Wrap-up is over; unseen idle time may follow.
    #[inline]
    pub(super) fn rests(&mut self, slot: u32, now: u64) {
        let contact = &self.contacts[slot as usize];
        let agent = &mut self.agents[contact.agent as usize];
        let g = usize::from(agent.group);
        agent.rests(&mut self.areas[g], now);
        if self.is_counted(contact.arrived) {
            self.demands[usize::from(contact.came_as)].handled_ms += now - contact.began;
        }
        if let Some(hidden) = &self.setup.groups[g].hidden_idle {
            let lasts = whole_ms(hidden.sample(&mut self.hidden));
            if lasts > 0 {
                self.contacts[slot as usize].entry = self.agenda.schedule(Timestamp(now + lasts), kind::RELEASE, slot);
                return;
            }
        }
        self.releases(slot, now);
    }

    /// The claim is over: the seat's units are free.
    #[inline]
    pub(super) fn releases(&mut self, slot: u32, now: u64) {
        let contact = &self.contacts[slot as usize];
        let (id, units) = (contact.agent, self.setup.demands[usize::from(contact.demand)].weight);
        let number = contact.number;
        self.tell(Happened::Releases { at_ms: now, contact: number, agent: id });
        self.forget(slot);
        let agent = &mut self.agents[id as usize];
        agent.held -= 1;
        if let Some(seat) = agent.seat {
            self.distributor.release(seat, units, Timestamp(now));
        }
        if agent.open { self.looks(id, now) } else { self.settle(id, now) }
    }

    /// Brings an agent's seat in line with his presence; if it opened, he looks for contacts.
    pub(super) fn settle(&mut self, id: u32, now: u64) {
        let agent = &mut self.agents[id as usize];
        let (g, was_open) = (usize::from(agent.group), agent.open);
        let opened = agent.settle(id, &self.setup.groups[g].profile, &mut self.distributor, &mut self.areas[g], now);
        if opened {
            self.tell(Happened::Opens { at_ms: now, agent: id });
            self.looks(id, now);
        } else if was_open && !self.agents[id as usize].open {
            self.tell(Happened::Shuts { at_ms: now, agent: id });
        }
    }

    /// So many of a group shall be there: the idle go before the busy.
    pub(super) fn staff(&mut self, g: usize, wanted: u32, now: u64) {
        let range = self.setup.roster.first[g]..self.setup.roster.first[g + 1];
        let there = range.clone().filter(|id| self.agents[*id as usize].there).count() as u32;
        if wanted >= there {
            let absent: Vec<u32> = range.filter(|id| !self.agents[*id as usize].there).collect();
            for id in absent.into_iter().take((wanted - there) as usize) {
                self.agents[id as usize].there = true;
                self.settle(id, now);
            }
            return;
        }
        let mut go: Vec<(bool, u32)> =
            range.rev().filter(|id| self.agents[*id as usize].there).map(|id| (self.agents[id as usize].held > 0, id)).collect();
        go.sort_by_key(|(held, _)| *held);
        for (_, id) in go.into_iter().take((there - wanted) as usize) {
            self.agents[id as usize].there = false;
            self.settle(id, now);
        }
    }

    /// A wait is over, for the first time or again.
    #[inline]
    fn waits_no_more(&mut self, slot: u32, now: u64) {
        let contact = &mut self.contacts[slot as usize];
        if std::mem::take(&mut contact.waits_in_area) {
            self.queues[usize::from(contact.came_as)].down(now);
        }
        if !contact.had_agent {
            contact.left_queue = now;
        }
        contact.entry = EntryId::NONE;
    }

    /// The contact leaves by this exit: it is counted, here and in the series.
    #[inline]
    pub(super) fn exits(&mut self, slot: u32, exit: Exit, now: u64) {
        let contact = &self.contacts[slot as usize];
        let d = usize::from(contact.came_as);
        let asked_ms = (contact.asked != u64::MAX).then_some(contact.asked);
        let left_queue_ms = if asked_ms.is_some() { contact.left_queue } else { now };
        // Left in a later wait, after an agent had it: the first agent's answer is its service.
        let exit = if contact.had_agent && matches!(exit, Exit::AbandonedWaiting) { Exit::CustomerLeft } else { exit };
        self.chain.word(now << 24 ^ contact.number << 1 ^ 1);
        if !self.is_counted(contact.arrived) {
            return;
        }
        self.tallies[d].record(&Passage { arrived_ms: contact.arrived, asked_ms, left_queue_ms, exit });
        let Some(asked_ms) = asked_ms else { return };
        let waited = left_queue_ms - asked_ms;
        self.demands[d].late += u64::from(waited > self.setup.demands[d].deadline_ms);
        if let Some(interval) = self.series.get_mut((asked_ms / self.setup.grid_ms) as usize) {
            let served = matches!(exit, Exit::Served | Exit::CustomerLeft);
            interval.offered += 1;
            interval.served += u64::from(served);
            interval.abandoned += u64::from(exit == Exit::AbandonedWaiting);
            interval.served_within += u64::from(served && waited <= self.setup.demands[d].within_ms);
            interval.wait_ms += waited;
        }
    }

    #[inline]
    pub(super) fn forget(&mut self, slot: u32) {
        let contact = &mut self.contacts[slot as usize];
        contact.state = State::Free;
        (contact.entry, contact.due, contact.call) = (EntryId::NONE, EntryId::NONE, EntryId::NONE);
        self.free.push(slot);
    }
}

/// What a look needs of an agent.
struct Agent {
    open: bool,
    seat: Option<tidegate_matcher::market::SeatSlot>,
    group: usize,
}
