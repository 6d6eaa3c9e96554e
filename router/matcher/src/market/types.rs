//! The words of the market: handles, specifications, the rule, what a decision says.
//!
//! Data only. Every number has one unit: scores are milliseconds of virtual wait shifted left by 16 (Q16), slopes are Q16
//! milliseconds of score a millisecond, capacity is in units. Nothing here knows how lanes or classes are kept.

use alloc::vec::Vec;
use tidegate_model::limits::EXCLUSIONS_MAX;
use tidegate_model::policy::Selection;
use tidegate_model::record::{Passed, RunnerUp, Terms};
use tidegate_model::{ContactId, Level, Millis, QueueName, SeatId, SkillName, Timestamp};

/// Dense handle of a seat, given by [`super::Market::seat_insert`], stable until [`super::Market::seat_remove`]; freed
/// handles are given again, last freed first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SeatSlot(pub u32);

/// Dense handle of a ticket, stable until [`super::Market::ticket_remove`]; freed handles are given again, last freed
/// first. Whoever keeps one checks it with [`super::Market::ticket_contact`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TicketSlot(pub u32);

/// An interned lane. Stays the same lane while a ticket belongs to it; an empty lane may be given to another
/// specification by the next [`super::Market::lane`] when all lanes are taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LaneId(pub u16);

/// An interned supply class: seats of equal skills, levels and cost. Stays the same class while a seat belongs to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClassId(pub u32);

/// What a market may hold at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MarketLimits {
    /// Tickets, waiting and held together.
    pub tickets: u32,
    /// Seats, open and shut.
    pub seats: u32,
    /// Lanes; at most 65,535 are used.
    pub lanes: u32,
    /// Supply classes.
    pub classes: u32,
}

/// A skill with a level: of a seat the level it has, of a lane the lowest that will do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Skill {
    /// The skill.
    pub skill: SkillName,
    /// The level.
    pub level: Level,
}

/// The score's settings, set as a whole from the active policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Which seat an arriving contact gets.
    pub selection: Selection,
    /// How fast a seat's idle time counts, Q16; 0 to [`tidegate_model::policy::SLOPE_MAX_Q16`].
    pub idle_slope_q16: i64,
    /// Score of one level (or of one free unit), in milliseconds of virtual wait; not negative.
    pub level_weight_ms: i64,
    /// Score of being the reserved seat, in milliseconds of virtual wait.
    pub affinity_ms: i64,
}

impl Default for Rule {
    fn default() -> Self {
        Self { selection: Selection::LongestIdle, idle_slope_q16: 0, level_weight_ms: 0, affinity_ms: 0 }
    }
}

/// In which tier a lane competes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Tier {
    /// By score.
    #[default]
    Normal,
    /// Before every normal lane, first come first served by true arrival.
    Overdue,
}

/// The key of a lane: equal specifications are one lane.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LaneSpec {
    /// The queue.
    pub queue: QueueName,
    /// Weight of the queue, in milliseconds of virtual wait.
    pub queue_weight_ms: i64,
    /// The relaxation step.
    pub step: u8,
    /// What a seat needs, in canonical order: see [`LaneSpec::new`].
    pub requires: Vec<Skill>,
    /// How fast the score grows with the wait, Q16; 1 to [`tidegate_model::policy::SLOPE_MAX_Q16`].
    pub slope_q16: i64,
    /// Units a contact takes of a seat; at least 1.
    pub weight: u16,
    /// The tier.
    pub tier: Tier,
}

impl LaneSpec {
    /// A normal lane of slope one, weight one and step zero; `requires` is brought into canonical order.
    pub fn new(queue: QueueName, requires: Vec<Skill>) -> Self {
        Self {
            queue,
            queue_weight_ms: 0,
            step: 0,
            requires: canonical(requires),
            slope_q16: tidegate_model::policy::ONE_Q16,
            weight: 1,
            tier: Tier::Normal,
        }
    }
}

/// Sorts by skill and merges duplicates to the higher level.
pub fn canonical(mut skills: Vec<Skill>) -> Vec<Skill> {
    skills.sort_unstable_by(|a, b| a.skill.cmp(&b.skill).then(b.level.cmp(&a.level)));
    skills.dedup_by(|next, kept| next.skill == kept.skill);
    skills
}

/// Seats that a ticket must not be offered to, at most [`EXCLUSIONS_MAX`], without allocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Exclusions {
    len: u8,
    seats: [SeatId; EXCLUSIONS_MAX],
}

impl Exclusions {
    /// None.
    pub const NONE: Self = Self { len: 0, seats: [SeatId::NONE; EXCLUSIONS_MAX] };

    /// Adds a seat; `false` when there is no room. A seat that is there already takes none.
    pub fn push(&mut self, seat: SeatId) -> bool {
        if self.contains(seat) {
            return true;
        }
        match self.seats.get_mut(usize::from(self.len)) {
            Some(place) => {
                *place = seat;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// Whether `seat` is excluded.
    pub fn contains(&self, seat: SeatId) -> bool {
        self.as_slice().contains(&seat)
    }

    /// The seats, in the order in which they came.
    pub fn as_slice(&self) -> &[SeatId] {
        &self.seats[..usize::from(self.len)]
    }
}

/// A contact that asks for an agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TicketSpec {
    /// The contact; unique among the tickets of a market.
    pub contact: ContactId,
    /// The lane.
    pub lane: LaneId,
    /// True arrival: the seniority.
    pub arrived: Timestamp,
    /// Treated as if it had arrived this much earlier.
    pub head_start: Millis,
    /// Seats it must not be offered to.
    pub excluded: Exclusions,
    /// The one seat that may take it, while it waits for its preferred agent.
    pub reserved: Option<SeatSlot>,
}

/// Where a seat stands among the idle after units come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// At the tail, idle since this moment: after a segment, a decline, an expiry.
    Tail(Timestamp),
    /// Where it stood before its latest take, unless a tail or an opening came between: after a rescinded offer.
    Kept,
}

/// A decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Choice {
    /// The ticket.
    pub ticket: TicketSlot,
    /// Its contact.
    pub contact: ContactId,
    /// The seat.
    pub seat: SeatSlot,
    /// The agent in it.
    pub seat_id: SeatId,
    /// Every term of the score.
    pub terms: Terms,
    /// The best other candidate: a seat when a contact chose, a contact when a seat chose.
    pub runner_up: Option<RunnerUp>,
    /// Heads compared: classes by free units, or lanes by kind (line, exceptions, reserved), that had a candidate.
    pub candidates: u32,
    /// Passed over.
    pub passed: Passed,
}

/// The answer of a search.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Selected {
    /// The pair, if there is one.
    pub choice: Option<Choice>,
    /// Work units spent: heads looked at and entries walked. Equal on every replica, restored or not.
    pub work: u32,
}
