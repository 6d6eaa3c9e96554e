//! What others may read of a market: lengths, oldest arrivals, who stands where; and the prefetch hints.

use super::line::NIL;
use super::tickets::Stands;
use super::{ClassId, LaneId, LaneSpec, Market, SeatSlot, TicketSlot};
use crate::primitive::{prefetch_read, prefetch_slice};
use tidegate_model::{Millis, SeatId, Timestamp};

impl Market {
    /// What the lane asks for.
    pub fn lane_spec(&self, lane: LaneId) -> Option<&LaneSpec> {
        self.lane_specs.get(usize::from(lane.0)).map(|lane| &lane.spec)
    }

    /// Lanes that exist, empty ones included: their ids are 0 to this, exclusive.
    pub fn lane_count(&self) -> u32 {
        self.lanes.len() as u32
    }

    /// Tickets standing in the lane: neither held nor reserved.
    pub fn lane_waiting(&self, lane: LaneId) -> u32 {
        let lane = &self.lanes[usize::from(lane.0)];
        lane.line.len() + lane.exceptions.len() as u32
    }

    /// Tickets that belong to the lane: standing, held, reserved.
    pub fn lane_population(&self, lane: LaneId) -> u32 {
        self.lanes[usize::from(lane.0)].population
    }

    /// True arrival of the ticket at the head of the lane's line (exceptions apart).
    pub fn lane_oldest(&self, lane: LaneId) -> Option<Timestamp> {
        let head = &self.lane_heads[usize::from(lane.0)];
        (head.ticket != NIL).then(|| self.tickets[head.ticket as usize].arrived)
    }

    /// Tickets of the lane's line by rank, exceptions behind them: for consoles and for draining a lane. O(1) a step.
    pub fn lane_tickets(&self, lane: LaneId) -> impl Iterator<Item = TicketSlot> {
        let lane = &self.lanes[usize::from(lane.0)];
        lane.line.walk(&self.tickets).chain(lane.exceptions.iter().map(|entry| entry.2)).map(TicketSlot)
    }

    /// Tickets that wait: all but the held ones.
    pub const fn waiting(&self) -> u32 {
        self.waiting
    }

    /// The lane of a ticket.
    pub fn ticket_lane(&self, t: TicketSlot) -> LaneId {
        self.live_ticket(t).lane
    }

    /// True arrival of a ticket.
    pub fn ticket_arrived(&self, t: TicketSlot) -> Timestamp {
        self.live_ticket(t).arrived
    }

    /// Head start of a ticket.
    pub fn ticket_head_start(&self, t: TicketSlot) -> Millis {
        self.live_ticket(t).head_start
    }

    /// The seat that a ticket is reserved for, unless that seat has signed out.
    pub fn ticket_reserved(&self, t: TicketSlot) -> Option<SeatSlot> {
        self.reserved_seat(self.live_ticket(t))
    }

    /// Whether the ticket is held.
    pub fn ticket_is_held(&self, t: TicketSlot) -> bool {
        self.live_ticket(t).stands == Stands::Held
    }

    /// How many seats the ticket excludes.
    pub fn ticket_exclusion_count(&self, t: TicketSlot) -> u32 {
        self.live_ticket(t);
        self.exclusions_of(t.0).count() as u32
    }

    /// Units that a contact could take of the seat.
    pub fn seat_free_units(&self, slot: SeatSlot) -> u16 {
        self.live_seat(slot).free()
    }

    /// Units in use.
    pub fn seat_used_units(&self, slot: SeatSlot) -> u16 {
        self.live_seat(slot).used
    }

    /// The agent in the seat, if the slot is in use.
    pub fn seat_id(&self, slot: SeatSlot) -> Option<SeatId> {
        let seat = self.seats.get(slot.0 as usize)?;
        seat.live.then(|| seat.id())
    }

    /// Whether the seat is open.
    pub fn seat_is_open(&self, slot: SeatSlot) -> bool {
        self.live_seat(slot).open
    }

    /// Since when the seat has been idle, in its own place.
    pub fn seat_idle_since(&self, slot: SeatSlot) -> Timestamp {
        self.live_seat(slot).since
    }

    /// Waiting tickets reserved for the seat.
    pub fn seat_reserved(&self, slot: SeatSlot) -> impl Iterator<Item = TicketSlot> {
        self.private.get(&slot.0).into_iter().flatten().map(|entry| TicketSlot(entry.3))
    }

    /// The supply class of a seat.
    pub fn seat_class(&self, slot: SeatSlot) -> ClassId {
        ClassId(self.live_seat(slot).class)
    }

    /// Supply classes that have existed: their ids are 0 to this, exclusive; some may be free.
    pub fn class_count(&self) -> u32 {
        self.classes.len() as u32
    }

    /// Signed-in seats of a class, open or shut.
    pub fn class_seats(&self, class: ClassId) -> u32 {
        self.classes[class.0 as usize].seats
    }

    /// Seats of a class that are open and have a free unit.
    pub fn class_idle(&self, class: ClassId) -> u32 {
        self.classes[class.0 as usize].buckets.iter().map(|b| b.line.len()).sum()
    }

    /// Asks for the cache lines that an operation on the ticket will touch first.
    pub fn prefetch_ticket(&self, t: TicketSlot) {
        prefetch_slice(&self.tickets, t.0 as usize);
    }

    /// Asks for the cache lines that [`Market::select_contact`] will touch first.
    pub fn prefetch_seat_lanes(&self, s: SeatSlot) {
        if let Some(seat) = self.seats.get(s.0 as usize) {
            prefetch_read(seat);
            if let Some(lanes) = self.class_lanes.get(seat.class as usize) {
                prefetch_slice(lanes, 0);
            }
        }
    }

    /// Whether a seat of this id stands in the slot: for callers that keep slots.
    pub fn seat_is(&self, slot: SeatSlot, seat: SeatId) -> bool {
        self.seat_id(slot) == Some(seat)
    }
}
