//! Tickets: waiting contacts, and where each of them stands.
//!
//! A ticket that waits stands in exactly one place: its lane's line, its lane's exceptions (more than eight exclusions), or
//! the private list of the seat it is reserved for. A held ticket (an offer is out) stands nowhere and keeps everything
//! else: arrival, head start, exclusions, lane, reservation. The hot record is one cache line; exclusions, which most
//! tickets do not have, live in a pool.

use super::line::{Link, Linked, NIL};
use super::{Exclusions, LaneId, Market, SeatSlot, TicketSlot, TicketSpec, signed_ms};
use tidegate_model::limits::EXCLUSIONS_MAX;
use tidegate_model::{ContactId, Millis, SeatId, Timestamp};

/// Where a ticket stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stands {
    /// The slot is free.
    Vacant,
    /// Nowhere: an offer is out.
    Held,
    /// In its lane's line.
    Line,
    /// With its lane's exceptions.
    Exceptions,
    /// With the seat it is reserved for.
    Private,
}

/// A ticket, or a free slot.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Ticket {
    /// Key: virtual arrival, or true arrival in the overdue tier; tie: the contact.
    pub link: Link,
    pub arrived: Timestamp,
    pub head_start: Millis,
    /// Slot of the seat it is reserved for, [`NIL`] for none.
    pub reserved: u32,
    /// Generation of that slot.
    pub reserved_generation: u32,
    /// Its exclusions in the pool, [`NIL`] for none.
    pub pool: u32,
    pub lane: LaneId,
    pub stands: Stands,
}

impl Linked for Ticket {
    fn link(&self) -> &Link {
        &self.link
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

impl Ticket {
    pub(super) const fn vacant() -> Self {
        Self {
            link: Link::new(0, 0),
            arrived: Timestamp(0),
            head_start: Millis(0),
            reserved: NIL,
            reserved_generation: 0,
            pool: NIL,
            lane: LaneId(0),
            stands: Stands::Vacant,
        }
    }
}

impl Market {
    /// Tickets that can still be inserted.
    pub fn tickets_free(&self) -> u32 {
        self.limits.tickets.saturating_sub((self.tickets.len() - self.tickets_freed.len()) as u32)
    }

    /// A contact asks for an agent: its ticket stands in its lane, or with the seat it is reserved for.
    ///
    /// # Panics
    /// If there is no free ticket, no such lane, or no seat in the reserved slot.
    pub fn ticket_insert(&mut self, spec: TicketSpec) -> TicketSlot {
        let t = self.ticket_put(spec);
        self.stand(t.0);
        t
    }

    /// The ticket of `spec`, held.
    pub(super) fn ticket_put(&mut self, spec: TicketSpec) -> TicketSlot {
        assert!(self.tickets_free() > 0, "no free ticket");
        let at = match self.tickets_freed.pop() {
            Some(at) => at,
            None => {
                self.tickets.push(Ticket::vacant());
                (self.tickets.len() - 1) as u32
            }
        };
        let key = self.key_in(spec.lane, spec.arrived, spec.head_start);
        let (reserved, reserved_generation) = self.reservation(spec.reserved);
        let pool = if spec.excluded.as_slice().is_empty() { NIL } else { self.pool_take(spec.excluded) };
        self.tickets[at as usize] = Ticket {
            link: Link::new(key, spec.contact.0),
            arrived: spec.arrived,
            head_start: spec.head_start,
            reserved,
            reserved_generation,
            pool,
            lane: spec.lane,
            stands: Stands::Held,
        };
        self.lane_populate(spec.lane);
        TicketSlot(at)
    }

    /// Into another lane (relaxation step, overdue tier, policy swap), or out of a reservation; arrival, head start and
    /// exclusions stay, a held ticket stays held.
    ///
    /// # Panics
    /// If there is no such ticket or lane, or no seat in the reserved slot.
    pub fn ticket_move(&mut self, t: TicketSlot, lane: LaneId, reserved: Option<SeatSlot>) {
        let held = self.live_ticket(t).stands == Stands::Held;
        self.unstand(t.0);
        let reservation = self.reservation(reserved);
        let ticket = &self.tickets[t.0 as usize];
        let (old, key) = (ticket.lane, self.key_in(lane, ticket.arrived, ticket.head_start));
        let ticket = &mut self.tickets[t.0 as usize];
        (ticket.reserved, ticket.reserved_generation) = reservation;
        ticket.lane = lane;
        ticket.link.key = key;
        if old != lane {
            self.lane_depopulate(old);
            self.lane_populate(lane);
        }
        if !held {
            self.stand(t.0);
        }
    }

    /// Never offer the ticket to `seat` again. `false` when it has more than eight exclusions: it stands with its lane's
    /// exceptions (when it stands, and is not reserved), with all semantics of the lane.
    pub fn ticket_exclude(&mut self, t: TicketSlot, seat: SeatId) -> bool {
        let held = self.live_ticket(t).stands == Stands::Held;
        if self.ticket_excludes(t, seat) {
            return !self.exceptional.contains_key(&t.0);
        }
        self.unstand(t.0);
        let pool = self.tickets[t.0 as usize].pool;
        if let Some(set) = self.exceptional.get_mut(&t.0) {
            set.insert(seat);
        } else if pool == NIL {
            let mut one = Exclusions::NONE;
            one.push(seat);
            self.tickets[t.0 as usize].pool = self.pool_take(one);
        } else if !self.exclusions[pool as usize].push(seat) {
            let mut set: alloc::collections::BTreeSet<SeatId> = self.exclusions[pool as usize].as_slice().iter().copied().collect();
            set.insert(seat);
            self.exceptional.insert(t.0, set);
        }
        if !held {
            self.stand(t.0);
        }
        !self.exceptional.contains_key(&t.0)
    }

    /// An offer is out: the ticket stands in no lane and keeps its slot. Holding a held ticket changes nothing.
    pub fn ticket_hold(&mut self, t: TicketSlot) {
        self.live_ticket(t);
        self.unstand(t.0);
    }

    /// Back into its lane at its seniority; of a ticket that is not held nothing changes.
    pub fn ticket_return(&mut self, t: TicketSlot) {
        if self.live_ticket(t).stands == Stands::Held {
            self.stand(t.0);
        }
    }

    /// The contact left, or was assigned: the slot is free.
    pub fn ticket_remove(&mut self, t: TicketSlot) {
        self.live_ticket(t);
        self.unstand(t.0);
        let ticket = &mut self.tickets[t.0 as usize];
        let (lane, pool) = (ticket.lane, ticket.pool);
        ticket.stands = Stands::Vacant;
        if pool != NIL {
            self.exclusions_freed.push(pool);
            self.exceptional.remove(&t.0);
        }
        self.lane_depopulate(lane);
        self.tickets_freed.push(t.0);
    }

    /// Whether the ticket excludes the seat.
    pub fn ticket_excludes(&self, t: TicketSlot, seat: SeatId) -> bool {
        let ticket = &self.tickets[t.0 as usize];
        ticket.pool != NIL && self.excludes(t.0, ticket, seat)
    }

    fn excludes(&self, at: u32, ticket: &Ticket, seat: SeatId) -> bool {
        let pool = &self.exclusions[ticket.pool as usize];
        pool.contains(seat)
            || pool.as_slice().len() == EXCLUSIONS_MAX && self.exceptional.get(&at).is_some_and(|set| set.contains(&seat))
    }

    pub(super) fn live_ticket(&self, t: TicketSlot) -> &Ticket {
        let ticket = &self.tickets[t.0 as usize];
        assert!(ticket.stands != Stands::Vacant, "no ticket in the slot");
        ticket
    }

    /// The seat a ticket is reserved for, unless that seat has signed out.
    pub(super) fn reserved_seat(&self, ticket: &Ticket) -> Option<SeatSlot> {
        if ticket.reserved == NIL {
            return None;
        }
        let seat = &self.seats[ticket.reserved as usize];
        (seat.live && seat.generation == ticket.reserved_generation).then_some(SeatSlot(ticket.reserved))
    }

    /// Its seat signs out: back among all.
    pub(super) fn unreserve(&mut self, at: u32) {
        self.unstand(at);
        self.tickets[at as usize].reserved = NIL;
        self.stand(at);
    }

    fn reservation(&self, seat: Option<SeatSlot>) -> (u32, u32) {
        seat.map_or((NIL, 0), |slot| (slot.0, self.live_seat(slot).generation))
    }

    fn key_in(&self, lane: LaneId, arrived: Timestamp, head_start: Millis) -> i64 {
        // No seat's term counts in the overdue tier, and no head start.
        let head = &self.lane_heads[usize::from(lane.0)];
        signed_ms(arrived.0) - (signed_ms(head_start.0) & head.seat_mask)
    }

    fn pool_take(&mut self, exclusions: Exclusions) -> u32 {
        match self.exclusions_freed.pop() {
            Some(at) => {
                self.exclusions[at as usize] = exclusions;
                at
            }
            None => {
                self.exclusions.push(exclusions);
                (self.exclusions.len() - 1) as u32
            }
        }
    }

    pub(super) fn lane_populate(&mut self, lane: LaneId) {
        let population = &mut self.lanes[usize::from(lane.0)].population;
        self.lanes_populated += u32::from(*population == 0);
        *population += 1;
    }

    pub(super) fn lane_depopulate(&mut self, lane: LaneId) {
        let population = &mut self.lanes[usize::from(lane.0)].population;
        *population -= 1;
        self.lanes_populated -= u32::from(*population == 0);
    }

    /// A held ticket takes its place.
    pub(super) fn stand(&mut self, at: u32) {
        self.waiting += 1;
        let ticket = &self.tickets[at as usize];
        let (l, key, contact, pool) = (usize::from(ticket.lane.0), ticket.link.key, ticket.link.tie, ticket.pool);
        if ticket.reserved != NIL {
            if let Some(seat) = self.reserved_seat(ticket) {
                let new = self.private.entry(seat.0).or_default().insert((ticket.lane, key, contact, at));
                assert!(new, "a ticket stands twice");
                self.seats[seat.0 as usize].private = true;
                self.tickets[at as usize].stands = Stands::Private;
                return;
            }
            self.tickets[at as usize].reserved = NIL;
        }
        if pool != NIL && self.exceptional.contains_key(&at) {
            self.lanes[l].exceptions.insert((key, contact, at));
            self.tickets[at as usize].stands = Stands::Exceptions;
            return self.lane_refresh_flags(l);
        }
        self.tickets[at as usize].stands = Stands::Line;
        let lane = &mut self.lanes[l];
        if lane.line.push(&mut self.tickets, at) {
            let head = &mut self.lane_heads[l];
            (head.ticket, head.key, head.contact) = (at, key, contact);
        }
        let was_excluding = lane.excluding;
        lane.excluding += u32::from(pool != NIL);
        if lane.line.len() == 1 || lane.excluding != was_excluding {
            self.lane_refresh_flags(l);
        }
    }

    /// A waiting ticket leaves its place and is held.
    pub(super) fn unstand(&mut self, at: u32) {
        let ticket = &mut self.tickets[at as usize];
        let stood = core::mem::replace(&mut ticket.stands, Stands::Held);
        let (l, key, contact, pool) = (usize::from(ticket.lane.0), ticket.link.key, ticket.link.tie, ticket.pool);
        match stood {
            Stands::Vacant | Stands::Held => return,
            Stands::Private => {
                let seat = ticket.reserved;
                let reserved = self.private.get_mut(&seat).expect("a seat with reserved tickets has a list");
                assert!(reserved.remove(&(ticket.lane, key, contact, at)), "a reserved ticket was lost");
                if reserved.is_empty() {
                    self.private.remove(&seat);
                    self.seats[seat as usize].private = false;
                }
            }
            Stands::Exceptions => {
                self.lanes[l].exceptions.remove(&(key, contact, at));
                self.lane_refresh_flags(l);
            }
            Stands::Line => {
                let lane = &mut self.lanes[l];
                lane.line.remove(&mut self.tickets, at);
                lane.excluding -= u32::from(pool != NIL);
                if lane.line.is_empty() || pool != NIL {
                    self.lane_refresh_flags(l);
                }
                if self.lane_heads[l].ticket == at {
                    self.lane_refresh_head(l);
                }
            }
        }
        self.waiting -= 1;
    }

    /// The exclusions of a ticket, by seat id.
    pub(super) fn exclusions_of(&self, at: u32) -> impl Iterator<Item = SeatId> {
        let ticket = &self.tickets[at as usize];
        let set = self.exceptional.get(&at);
        let few: &[SeatId] =
            if ticket.pool == NIL || set.is_some() { &[] } else { self.exclusions[ticket.pool as usize].as_slice() };
        few.iter().copied().chain(set.into_iter().flatten().copied())
    }

    /// The contact in the slot, if it is in use.
    pub fn ticket_contact(&self, t: TicketSlot) -> Option<ContactId> {
        let ticket = self.tickets.get(t.0 as usize)?;
        (ticket.stands != Stands::Vacant).then_some(ContactId(ticket.link.tie))
    }
}
