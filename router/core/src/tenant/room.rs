//! The room of a tenant's tables: reserved once by its limits, and written ahead when a node wants that.
//!
//! Every table that grows with the load is reserved when the machine is made or restored, so that no input copies one; what
//! is reserved and never touched costs nothing. A node that would rather pay in memory than meet a fresh page inside an
//! input calls [`Tenant::prefault`]. Neither is state: digests, outputs and snapshots are the same either way.

use super::Tenant;
use alloc::vec::Vec;

impl Tenant {
    /// Writes the memory that the tables have reserved, once, those first that an arrival touches; at most `budget` bytes.
    /// Gives the bytes that were written. State-neutral. O(bytes), one to two seconds a gigabyte.
    ///
    /// With [`Limits::LARGE`](tidegate_model::limits::Limits::LARGE), room for two million conversations, it is 1 GB.
    pub fn prefault(&mut self, budget: usize) -> usize {
        let mut left = budget;
        let left = &mut left;
        // The one that was seen: a new conversation in a fresh 2 MiB page, 0.1 ms, and 4.7 ms when the system had to compact.
        self.conversations.prefault(left);
        self.conversation_index.prefault(left);
        self.dedup.prefault(left);
        self.seat_index.prefault(left);
        self.customer_index.prefault(left);
        self.market.prefault(left);
        self.timers.prefault(left);
        self.engagements.prefault(left);
        self.effects.prefault(left);
        self.seats.prefault(left);
        for dirty in [&mut self.dirty_conversations, &mut self.dirty_seats, &mut self.dirty_engagements] {
            dirty.prefault(left);
        }
        tidegate_matcher::room::touch_spare(&mut self.ticket_owner, left, || 0);
        self.customers.prefault(left);
        budget - *left
    }

    /// How many entries each growing table has room for without moving, for whoever looks for a growth inside an input.
    pub fn room(&self) -> Vec<(&'static str, usize)> {
        let [conversations, conversations_free] = self.conversations.capacity();
        let [seats, seats_free] = self.seats.capacity();
        let [engagements, engagements_free] = self.engagements.capacity();
        let [effects, effects_free] = self.effects.capacity();
        let [customers, customers_free] = self.customers.capacity();
        let mut room = alloc::vec![
            ("conversations", conversations),
            ("conversations, free", conversations_free),
            ("seats", seats),
            ("seats, free", seats_free),
            ("engagements", engagements),
            ("engagements, free", engagements_free),
            ("effects", effects),
            ("effects, free", effects_free),
            ("customers", customers),
            ("customers, free", customers_free),
            ("timers", self.timers.capacity()),
            ("ticket owners", self.ticket_owner.capacity()),
            ("dirty conversations", self.dirty_conversations.capacity()),
            ("dirty seats", self.dirty_seats.capacity()),
            ("dirty engagements", self.dirty_engagements.capacity()),
            ("steps", self.steps.capacity()),
            ("backlog", self.backlog.capacity()),
            ("outputs", self.outputs.capacity()),
            ("lane sets", self.lane_sets.capacity()),
        ];
        room.extend(self.market.room());
        room
    }
}
