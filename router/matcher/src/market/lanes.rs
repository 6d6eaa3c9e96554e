//! Lanes: interning, eligibility, and the dense heads that a freed seat compares.
//!
//! Equal specifications are one lane. Which classes a lane admits is one row of bits, made when the lane or the class
//! appears and kept in step from both sides, so that no decision ever compares skills. When every lane is taken, the
//! empty one of the lowest id is given to the new specification.

use super::bits::row_each;
use super::line::{Line, NIL};
use super::seats::signature;
use super::{LaneId, LaneSpec, Market, OVERDUE, REQUIRES_MAX, Skill, Tier, WEIGHT_MAX_MS};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use tidegate_model::output::Chain;
use tidegate_model::policy::{ONE_Q16, SLOPE_MAX_Q16};

/// The tickets of a lane: one cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Lane {
    /// Tickets of at most eight exclusions.
    pub line: Line,
    /// Tickets of more: (key, contact, ticket).
    pub exceptions: BTreeSet<(i64, u64, u32)>,
    /// Tickets in the line that exclude somebody.
    pub excluding: u32,
    /// Tickets that belong to the lane: standing, held, reserved.
    pub population: u32,
}

impl Lane {
    const fn new() -> Self {
        Self { line: Line::new(), exceptions: BTreeSet::new(), excluding: 0, population: 0 }
    }
}

/// What a lane asks for.
#[derive(Clone, Debug)]
pub(super) struct LaneTerms {
    pub spec: LaneSpec,
    hash: u64,
    signature: u64,
    /// Classes that have its skills.
    pub class_count: u32,
}

impl LaneTerms {
    /// Whether a class of these skills is eligible.
    pub(super) fn admits(&self, skills: &[Skill], signature: u64) -> bool {
        signature & self.signature == self.signature && fits(&self.spec.requires, skills)
    }
}

/// What a search reads of a lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneHead {
    /// Key of the first ticket of the line.
    pub key: i64,
    /// Its contact.
    pub contact: u64,
    /// Slope of the wait term.
    pub slope: i64,
    /// Queue term, or the overdue term: Q16.
    pub fixed: i64,
    /// Which of a seat's own terms count: all bits in the normal tier, none in the overdue tier.
    pub seat_mask: i64,
    /// The first ticket, [`NIL`] when the line is empty.
    pub ticket: u32,
    /// Free units from which on the head is the candidate: the weight, or [`CLOSED`] when nobody stands in the line, when a
    /// ticket there excludes anybody, or when there are exceptions.
    pub gate: u32,
    /// Units a contact takes.
    pub weight: u16,
    /// Somebody stands, but the head is not simply the candidate.
    pub knotty: bool,
}

/// No seat has as many free units.
pub(super) const CLOSED: u32 = u32::MAX;

/// Whether `skills` covers `requires`; both in canonical order.
pub(super) fn fits(requires: &[Skill], skills: &[Skill]) -> bool {
    let mut have = skills.iter();
    requires.iter().all(|r| have.by_ref().find(|s| s.skill >= r.skill).is_some_and(|s| s.skill == r.skill && s.level >= r.level))
}

/// Sum of the seat's levels over the required skills, all of which it has; both in canonical order.
pub(super) fn level_sum(requires: &[Skill], skills: &[Skill]) -> i64 {
    let mut have = skills.iter();
    requires.iter().filter_map(|r| have.by_ref().find(|s| s.skill >= r.skill)).map(|s| i64::from(s.level.0)).sum()
}

fn spec_hash(spec: &LaneSpec) -> u64 {
    let mut chain = Chain::default();
    chain.word(spec.queue.0);
    chain.word(spec.queue_weight_ms as u64);
    chain.word(spec.slope_q16 as u64);
    chain.word(u64::from(spec.step) | u64::from(spec.weight) << 8 | (spec.tier as u64) << 24);
    for r in &spec.requires {
        chain.word(r.skill.0 ^ u64::from(r.level.0).rotate_right(8));
    }
    chain.0
}

impl Market {
    /// Interns a lane: the one of this specification, a new one, or the empty one of the lowest id under a new
    /// specification. `None` when all lanes hold tickets. O(1) for a known one, else O(classes).
    ///
    /// # Panics
    /// If the specification is out of its bounds ([`super::check_bounds`]), takes no unit, or is not in canonical order.
    pub fn lane(&mut self, spec: &LaneSpec) -> Option<LaneId> {
        let hash = spec_hash(spec);
        if let Some(lane) = self.lane_search(hash, spec) {
            return Some(lane);
        }
        assert!(lane_is_sound(spec), "the lane was not checked");
        let at = if (self.lanes.len() as u32) < self.limits.lanes {
            self.lanes.len()
        } else {
            let at = self.lanes.iter().position(|lane| lane.population == 0)?;
            self.lane_index.remove(self.lane_specs[at].hash, at as u32);
            let classes: Vec<u32> = row_each(self.lane_rows.row(at as u32)).collect();
            for c in classes {
                self.lane_rows.set(at as u32, c, false);
                self.class_rows.set(c, at as u32, false);
                let lanes = &mut self.class_lanes[c as usize];
                lanes.remove(lanes.partition_point(|l| usize::from(*l) < at));
            }
            at
        };
        self.lane_put(at, spec.clone());
        Some(LaneId(at as u16))
    }

    /// Keeps an empty lane from being given to another specification, for whoever remembers its id. Pins are counted, and
    /// are not part of a snapshot: whoever remembers the id pins it again after a restore.
    pub fn lane_pin(&mut self, lane: LaneId) {
        self.lane_populate(lane);
    }

    /// Takes one pin back.
    pub fn lane_unpin(&mut self, lane: LaneId) {
        self.lane_depopulate(lane);
    }

    /// The lane of this specification, if it exists.
    pub fn lane_find(&self, spec: &LaneSpec) -> Option<LaneId> {
        self.lane_search(spec_hash(spec), spec)
    }

    /// Lanes that [`Self::lane`] could still give to new specifications: neither pinned nor with tickets.
    pub fn lanes_free(&self) -> u32 {
        self.limits.lanes.saturating_sub(self.lanes_populated)
    }

    /// Whether a signed-in seat, open or shut, has the skills of the lane.
    pub fn lane_has_seat(&self, lane: LaneId) -> bool {
        self.lane_specs[usize::from(lane.0)].class_count > 0
    }

    fn lane_search(&self, hash: u64, spec: &LaneSpec) -> Option<LaneId> {
        self.lane_index.find(hash, |l| self.lane_specs[l as usize].spec == *spec).map(|l| LaneId(l as u16))
    }

    /// Makes the lane `at`, which is empty or the next one, with its row of classes.
    pub(super) fn lane_put(&mut self, at: usize, spec: LaneSpec) {
        let hash = spec_hash(&spec);
        let overdue = spec.tier == Tier::Overdue;
        let head = LaneHead {
            key: 0,
            contact: 0,
            slope: if overdue { ONE_Q16 } else { spec.slope_q16 },
            fixed: if overdue { OVERDUE } else { spec.queue_weight_ms << 16 },
            seat_mask: if overdue { 0 } else { -1 },
            ticket: NIL,
            gate: CLOSED,
            weight: spec.weight,
            knotty: false,
        };
        let mut terms = LaneTerms { hash, signature: signature(&spec.requires), spec, class_count: 0 };
        for (c, class) in self.classes.iter().enumerate() {
            if class.seats > 0 && terms.admits(&class.skills, class.signature) {
                self.class_rows.set(c as u32, at as u32, true);
                self.lane_rows.set(at as u32, c as u32, true);
                let lanes = &mut self.class_lanes[c];
                lanes.insert(lanes.partition_point(|l| usize::from(*l) < at), at as u16);
                terms.class_count += 1;
            }
        }
        if at == self.lanes.len() {
            self.lanes.push(Lane::new());
            self.lane_heads.push(head);
            self.lane_specs.push(terms);
        } else {
            self.lanes[at] = Lane::new();
            self.lane_heads[at] = head;
            self.lane_specs[at] = terms;
        }
        self.lane_index.insert(hash, at as u32);
    }

    /// Brings the head of a lane up to date with its line.
    pub(super) fn lane_refresh_head(&mut self, at: usize) {
        let first = self.lanes[at].line.first(&self.tickets);
        let head = &mut self.lane_heads[at];
        head.ticket = first;
        if first != NIL {
            let link = &self.tickets[first as usize].link;
            (head.key, head.contact) = (link.key, link.tie);
        }
    }

    /// Brings the flags of a lane up to date.
    pub(super) fn lane_refresh_flags(&mut self, at: usize) {
        let lane = &self.lanes[at];
        let exceptions = !lane.exceptions.is_empty();
        let stands = exceptions || !lane.line.is_empty();
        let plain = lane.excluding == 0 && !exceptions;
        let head = &mut self.lane_heads[at];
        self.knotty -= u32::from(head.knotty);
        head.knotty = stands && !plain;
        self.knotty += u32::from(head.knotty);
        head.gate = if stands && plain { u32::from(head.weight) } else { CLOSED };
        self.standing.set(at as u32, stands);
    }
}

/// Whether a lane can be scored: the bounds that do not depend on the rule.
pub(super) fn lane_is_sound(spec: &LaneSpec) -> bool {
    spec.weight > 0
        && (1..=SLOPE_MAX_Q16).contains(&spec.slope_q16)
        && (-WEIGHT_MAX_MS..=WEIGHT_MAX_MS).contains(&spec.queue_weight_ms)
        && spec.requires.len() <= REQUIRES_MAX
        && spec.requires.is_sorted_by(|a, b| a.skill < b.skill)
}
