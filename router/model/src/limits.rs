//! Limits of a tenant: state, never node configuration, so that every replica and the twin refuse the same input.
//!
//! They are set by an entry. A limit is a promise in two directions: below it the machine serves, above it the input is
//! refused by name ([`crate::output::Refusal::Limit`]) and counted.

use serde::{Deserialize, Serialize};

/// Largest body of a message inside an entry, in bytes; larger ones become blobs (issue of a later release) or are refused.
pub const BODY_BYTES_MAX: usize = 4_096;
/// Skills a contact may ask for on top of its queue's requirement.
pub const REQUEST_SKILLS_MAX: usize = 4;
/// Tags on a request.
pub const REQUEST_TAGS_MAX: usize = 4;
/// Exclusions a ticket holds before it moves to the exceptions lane.
pub const EXCLUSIONS_MAX: usize = 8;
/// Relaxation steps of a queue.
pub const STEPS_MAX: usize = 16;
/// Longest name in a policy, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Effect results in one entry.
pub const EFFECT_RESULTS_MAX: usize = 1_024;

/// What one tenant may hold at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Conversations resident in the machine.
    pub conversations: u32,
    /// Contacts waiting for an agent.
    pub tickets: u32,
    /// Seats known to the roster.
    pub seats: u32,
    /// Lanes of the matcher.
    pub lanes: u32,
    /// Supply classes of the matcher.
    pub classes: u32,
    /// Offers and claims together.
    pub engagements: u32,
    /// Open effect rows.
    pub effects: u32,
    /// Customers with a link or a last agent.
    pub customers: u32,
    /// Event ids kept for de-duplication; rounded up to a power of two.
    pub dedup_events: u32,
    /// Inputs that may wait because fuel ran out.
    pub pending_inputs: u32,
    /// Work units an input may spend before the rest waits.
    pub fuel: u32,
}

impl Limits {
    /// Largest limits that a machine can be built with: memory is reserved for them at once.
    pub const LARGEST: Self = Self {
        conversations: 1 << 24,
        tickets: 1 << 22,
        seats: 1 << 20,
        lanes: 65_535,
        classes: 1 << 20,
        engagements: (1 << 24) - 1,
        effects: (1 << 24) - 1,
        customers: 1 << 24,
        dedup_events: 1 << 26,
        pending_inputs: 1 << 24,
        fuel: 1 << 24,
    };

    /// Checks every limit: at least 1 and at most [`Self::LARGEST`]'s.
    ///
    /// # Errors
    /// The first field out of its range, by name.
    pub fn check(&self) -> Result<(), &'static str> {
        let most = Self::LARGEST;
        let fields = [
            ("conversations", self.conversations, most.conversations),
            ("tickets", self.tickets, most.tickets),
            ("seats", self.seats, most.seats),
            ("lanes", self.lanes, most.lanes),
            ("classes", self.classes, most.classes),
            ("engagements", self.engagements, most.engagements),
            ("effects", self.effects, most.effects),
            ("customers", self.customers, most.customers),
            ("dedup_events", self.dedup_events, most.dedup_events),
            ("pending_inputs", self.pending_inputs, most.pending_inputs),
            ("fuel", self.fuel, most.fuel),
        ];
        fields.iter().find(|(_, value, most)| *value == 0 || value > most).map_or(Ok(()), |(name, ..)| Err(*name))
    }

    /// Limits for a test or a small embedder.
    pub const SMALL: Self = Self {
        conversations: 1 << 14,
        tickets: 1 << 13,
        seats: 1 << 10,
        lanes: 1 << 10,
        classes: 1 << 10,
        engagements: 1 << 13,
        effects: 1 << 14,
        customers: 1 << 14,
        dedup_events: 1 << 14,
        pending_inputs: 1 << 12,
        fuel: 2_048,
    };

    /// Limits for a peak tenant on one node: a million conversations resident.
    pub const LARGE: Self = Self {
        conversations: 1 << 21,
        tickets: 1 << 20,
        seats: 1 << 17,
        lanes: 1 << 12,
        classes: 1 << 16,
        engagements: 1 << 19,
        effects: 1 << 18,
        customers: 1 << 20,
        dedup_events: 1 << 22,
        pending_inputs: 1 << 16,
        fuel: 2_048,
    };
}
