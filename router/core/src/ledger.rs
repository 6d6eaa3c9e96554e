//! The ledger: every contact is counted in once and out once, and the equation holds at every moment.
//!
//! offered = exits + open. `open` is split by the one owner role that each open contact has, so "unowned" has no column: a
//! contact without an owner cannot be written down. The counters move in the same commit as the state that they count.

use serde::{Deserialize, Serialize};
use tidegate_model::record::Exit;

/// Number of exits.
pub const EXITS: usize = 9;

/// Contacts by where they are and how they left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// Contacts that came in, refused ones included.
    pub offered: u64,
    /// Contacts that left, by exit; the order is that of [`exit_slugs`].
    pub exits: [u64; EXITS],
    /// With a bot.
    pub with_bot: u64,
    /// In a lane.
    pub waiting: u64,
    /// Offered to a seat.
    pub in_offer: u64,
    /// With a seat.
    pub in_service: u64,
    /// In the manual lane after a poisoned decision.
    pub manual: u64,
    /// Inputs refused by name, duplicates not counted.
    pub refused_inputs: u64,
    /// Duplicates answered from memory.
    pub duplicates: u64,
    /// Poisoned steps.
    pub poisoned: u64,
}

/// Short names of the exits, in the ledger's order.
pub const fn exit_slugs() -> [&'static str; EXITS] {
    [
        "served",
        "abandoned_waiting",
        "abandoned_with_bot",
        "customer_left",
        "timed_out",
        "callback_declined",
        "callback_not_reached",
        "refused",
        "failed",
    ]
}

/// Place of an exit in [`Ledger::exits`].
pub const fn exit_place(exit: Exit) -> usize {
    match exit {
        Exit::Served => 0,
        Exit::AbandonedWaiting => 1,
        Exit::AbandonedWithBot => 2,
        Exit::CustomerLeft => 3,
        Exit::TimedOut => 4,
        Exit::CallbackDeclined => 5,
        Exit::CallbackNotReached => 6,
        Exit::Refused(_) => 7,
        // `Failed`, and any exit that a later version of the model adds before this one knows it.
        _ => 8,
    }
}

impl Ledger {
    /// Contacts still open.
    pub const fn open(&self) -> u64 {
        self.with_bot + self.waiting + self.in_offer + self.in_service + self.manual
    }

    /// Contacts that left.
    pub fn exited(&self) -> u64 {
        self.exits.iter().sum()
    }

    /// Whether offered = exits + open.
    pub fn balanced(&self) -> bool {
        self.offered == self.exited() + self.open()
    }
}
