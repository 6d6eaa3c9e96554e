//! Agents in their seats: there or not, away or not, and what they have.
//!
//! An agent stands in the market while he is there, and until he has finished what he has when his time is over. This file moves
//! seats in and out; whom they get is the distributor's, what they do with it is in `acts`.

use super::outcome::Area;
use tidegate_core::Distributor;
use tidegate_matcher::market::SeatSlot;
use tidegate_model::policy::AgentProfile;
use tidegate_model::{SeatId, Timestamp};

#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub seat: Option<SeatSlot>,
    pub group: u16,
    /// His shift has begun and not ended.
    pub there: bool,
    /// Reasons to be away.
    pub away: u16,
    /// Open in the market.
    pub open: bool,
    /// Claims: in service or wrap-up; and those with unseen idle time.
    pub busy: u16,
    pub held: u16,
    /// Contacts in service whose pace depends on each other.
    pub beside: Vec<u32>,
    pub factor: f64,
    /// Contacts served, for learning.
    pub served: u32,
    /// Counted as at work.
    counted: bool,
}

/// A group's areas.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Areas {
    pub staffed: Area,
    pub busy: Area,
    pub engaged: Area,
}

impl Agent {
    pub(super) fn new(group: u16, factor: f64) -> Self {
        Self {
            seat: None,
            group,
            there: false,
            away: 0,
            open: false,
            busy: 0,
            held: 0,
            beside: Vec::new(),
            factor,
            served: 0,
            counted: false,
        }
    }

    /// Brings the seat in line with presence; whether it has just opened and should look for a contact.
    pub(super) fn settle(
        &mut self,
        id: u32,
        profile: &AgentProfile,
        distributor: &mut Distributor,
        areas: &mut Areas,
        now: u64,
    ) -> bool {
        let wanted = self.there && self.away == 0;
        let opened = wanted && !self.open;
        if opened {
            let seat = *self.seat.get_or_insert_with(|| distributor.sign_in(SeatId(u64::from(id) + 1), profile));
            distributor.ready(seat, Timestamp(now));
            self.open = true;
        } else if !wanted && self.open {
            if let Some(seat) = self.seat {
                distributor.pause(seat);
            }
            self.open = false;
        }
        if !self.there
            && self.held == 0
            && let Some(seat) = self.seat.take()
        {
            distributor.sign_out(seat);
        }
        let counts = wanted || self.busy > 0;
        if counts != self.counted {
            self.counted = counts;
            if counts { areas.staffed.up(now) } else { areas.staffed.down(now) }
        }
        opened
    }

    /// A claim begins.
    pub(super) fn takes(&mut self, areas: &mut Areas, now: u64) {
        self.held += 1;
        self.busy += 1;
        areas.engaged.up(now);
        if self.busy == 1 {
            areas.busy.up(now);
        }
    }

    /// A claim's wrap-up is over; unseen idle time may follow.
    pub(super) fn rests(&mut self, areas: &mut Areas, now: u64) {
        self.busy -= 1;
        areas.engaged.down(now);
        if self.busy == 0 {
            areas.busy.down(now);
        }
    }
}
