//! Snapshot and digest of a whole market: one traversal, two sinks.
//!
//! The state is written as a sequence of 64-bit little-endian words, format 1: head, lanes, classes, seats, tickets, each
//! table in order of its handles and followed by its freed handles in order of release, because the next handle given is
//! part of what must be equal. Lines are not written: ranks are, and a rank is all that a line's order depends on.
//! Restore-then-continue equals continue, decision by decision, handle by handle, work unit by work unit.
//!
//! [`Market::decode`] is total: bytes that no market writes give an error with their offset, never a panic. Memory is the
//! input's, the room reserved by its limits (untouched, bounded), and one bit for each pair of a lane and a class.

use super::line::NIL;
use super::seats::Seat;
use super::tickets::{Stands, Ticket};
use super::{
    Exclusions, LaneId, LaneSpec, Market, MarketLimits, Rule, SeatSlot, Skill, TicketSlot, TicketSpec, Tier, check_cost, check_rule,
};
use crate::market::lanes::lane_is_sound;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use tidegate_model::output::Chain;
use tidegate_model::policy::Selection;
use tidegate_model::{ContactId, Level, Millis, QueueName, SeatId, SkillName, Timestamp};

const FORMAT: u64 = 1;
/// "None" for handles.
const NONE: u64 = u64::MAX;

/// Why bytes are no market.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Fewer bytes than the state needs.
    #[error("market snapshot is cut short at offset {0}")]
    Short(usize),
    /// A format of another version.
    #[error("market snapshot has format {0}; this release reads format {FORMAT}")]
    Format(u64),
    /// A value that no market holds.
    #[error("market snapshot holds an impossible value before offset {0}")]
    Value(usize),
    /// Bytes after the end.
    #[error("market snapshot goes on after its end at offset {0}")]
    Trailing(usize),
}

/// Where words go.
trait Sink {
    fn word(&mut self, word: u64);
}

impl Sink for Chain {
    fn word(&mut self, word: u64) {
        Chain::word(self, word);
    }
}

impl Sink for Vec<u8> {
    fn word(&mut self, word: u64) {
        self.extend_from_slice(&word.to_le_bytes());
    }
}

impl Market {
    /// Appends the whole state to `out`. O(size).
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.write(out);
    }

    /// Adds the whole logical state to a digest: equal for a market and its restored copy. O(size).
    pub fn fold(&self, chain: &mut Chain) {
        self.write(chain);
    }

    fn write(&self, out: &mut impl Sink) {
        let l = &self.limits;
        let r = &self.rule;
        for word in [FORMAT, u64::from(l.tickets), u64::from(l.seats), u64::from(l.lanes), u64::from(l.classes)] {
            out.word(word);
        }
        for word in [r.selection as u64, r.idle_slope_q16 as u64, r.level_weight_ms as u64, r.affinity_ms as u64] {
            out.word(word);
        }
        out.word(self.clock.0);
        out.word(self.next_place);
        out.word(self.lanes.len() as u64);
        for lane in &self.lane_specs {
            let s = &lane.spec;
            for word in [s.queue.0, s.queue_weight_ms as u64, u64::from(s.step), s.slope_q16 as u64, u64::from(s.weight)] {
                out.word(word);
            }
            out.word(s.tier as u64);
            write_skills(out, &s.requires);
        }
        out.word(self.classes.len() as u64);
        for class in &self.classes {
            out.word(u64::from(class.seats > 0));
            if class.seats > 0 {
                out.word(class.cost_ms as u64);
                write_skills(out, &class.skills);
            }
        }
        write_freed(out, &self.classes_freed);
        out.word(self.seats.len() as u64);
        for seat in &self.seats {
            out.word(u64::from(seat.generation));
            out.word(u64::from(seat.live) | u64::from(seat.open) << 1);
            if seat.live {
                let capacity = u64::from(seat.units) | u64::from(seat.used) << 16 | u64::from(seat.class) << 32;
                for word in [seat.link.tie, capacity, seat.link.key as u64, seat.since.0, seat.kept_place as u64, seat.kept_since.0]
                {
                    out.word(word);
                }
            }
        }
        write_freed(out, &self.seats_freed);
        out.word(self.tickets.len() as u64);
        for (at, ticket) in self.tickets.iter().enumerate() {
            let state = match ticket.stands {
                Stands::Vacant => 0,
                Stands::Held => 1,
                _ => 2,
            };
            out.word(state);
            if state == 0 {
                continue;
            }
            for word in [ticket.link.tie, ticket.arrived.0, ticket.head_start.0, u64::from(ticket.lane.0)] {
                out.word(word);
            }
            out.word(self.reserved_seat(ticket).map_or(NONE, |seat| u64::from(seat.0)));
            // In order of id: the order in which exclusions came decides nothing.
            let mut excluded: Vec<SeatId> = self.exclusions_of(at as u32).collect();
            excluded.sort_unstable();
            out.word(excluded.len() as u64);
            for seat in excluded {
                out.word(seat.0);
            }
        }
        write_freed(out, &self.tickets_freed);
    }

    /// The market that [`Self::encode`] wrote. O(size · log size).
    ///
    /// # Errors
    /// Bytes that no market writes, with their offset.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader { bytes, at: 0 };
        let format = r.word()?;
        if format != FORMAT {
            return Err(DecodeError::Format(format));
        }
        let limits = MarketLimits { tickets: r.u32()?, seats: r.u32()?, lanes: r.u32()?, classes: r.u32()? };
        let mut market = Self::new(limits);
        market.rule = Rule {
            selection: match r.word()? {
                0 => Selection::LongestIdle,
                1 => Selection::BestSkilled,
                2 => Selection::LeastSkilled,
                3 => Selection::LeastLoaded,
                _ => return Err(r.bad()),
            },
            idle_slope_q16: r.word()? as i64,
            level_weight_ms: r.word()? as i64,
            affinity_ms: r.word()? as i64,
        };
        r.check(check_rule(&market.rule).is_ok())?;
        market.clock = Timestamp(r.word()?);
        market.next_place = r.word()?;
        r.check(market.next_place > 0 && market.next_place < 1 << 62)?;
        market.read_lanes(&mut r)?;
        market.read_classes(&mut r)?;
        market.read_seats(&mut r)?;
        market.read_tickets(&mut r)?;
        market.reserve();
        if r.at == bytes.len() { Ok(market) } else { Err(DecodeError::Trailing(r.at)) }
    }

    fn read_lanes(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let count = r.count(7)?;
        r.check(count <= usize::from(u16::MAX))?;
        for at in 0..count {
            let spec = LaneSpec {
                queue: QueueName(r.word()?),
                queue_weight_ms: r.word()? as i64,
                step: r.u8()?,
                slope_q16: r.word()? as i64,
                weight: r.u16()?,
                tier: match r.word()? {
                    0 => Tier::Normal,
                    1 => Tier::Overdue,
                    _ => return Err(r.bad()),
                },
                requires: r.skills()?,
            };
            r.check(lane_is_sound(&spec) && self.lane_find(&spec).is_none())?;
            self.lane_put(at, spec);
        }
        Ok(())
    }

    fn read_classes(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let count = r.count(1)?;
        let mut vacant = BTreeSet::new();
        let mut profiles = BTreeSet::new();
        for at in 0..count as u32 {
            let live = r.flag()?;
            let (cost_ms, skills) = if live { (r.word()? as i64, r.skills()?) } else { (0, Vec::new()) };
            r.check(check_cost(cost_ms).is_ok() && skills.is_sorted_by(|a, b| a.skill < b.skill))?;
            if live {
                r.check(profiles.insert((cost_ms, skills.clone())))?;
                self.class_put(at, skills, cost_ms);
            } else {
                vacant.insert(at);
                self.class_put_vacant();
            }
        }
        self.classes_freed = r.freed(vacant)?;
        Ok(())
    }

    fn read_seats(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let count = r.count(2)?;
        let (mut vacant, mut ids, mut places, mut order) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), Vec::new());
        let vacant_classes: BTreeSet<u32> = self.classes_freed.iter().copied().collect();
        for at in 0..count as u32 {
            let generation = r.u32()?;
            let state = r.word()?;
            let mut seat = Seat { generation, ..Seat::vacant() };
            match state {
                0 => {
                    vacant.insert(at);
                }
                1 | 3 => {
                    seat.live = true;
                    seat.open = state == 3;
                    seat.link.tie = r.word()?;
                    let capacity = r.word()?;
                    (seat.units, seat.used, seat.class) = (capacity as u16, (capacity >> 16) as u16, (capacity >> 32) as u32);
                    (seat.link.key, seat.since) = (r.word()? as i64, Timestamp(r.word()?));
                    (seat.kept_place, seat.kept_since) = (r.word()? as i64, Timestamp(r.word()?));
                    r.check(ids.insert(seat.link.tie) && (!seat.open || seat.link.key > 0))?;
                    for place in [seat.link.key, seat.kept_place] {
                        r.check((0..self.next_place as i64).contains(&place) && (place == 0 || places.insert(place)))?;
                    }
                    r.check((seat.class as usize) < self.classes.len() && !vacant_classes.contains(&seat.class))?;
                    self.classes[seat.class as usize].seats += 1;
                    order.push((seat.link.key, at));
                }
                _ => return Err(r.bad()),
            }
            self.seats.push(seat);
        }
        // A class without seats is a free one.
        for (c, class) in self.classes.iter().enumerate() {
            r.check(class.seats > 0 || vacant_classes.contains(&(c as u32)))?;
        }
        self.seats_freed = r.freed(vacant)?;
        order.sort_unstable();
        for (_, at) in order {
            self.seat_join_line(SeatSlot(at));
        }
        Ok(())
    }

    fn read_tickets(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let count = r.count(1)?;
        let (mut vacant, mut contacts, mut order) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        let limits = core::mem::replace(&mut self.limits.tickets, u32::MAX);
        for at in 0..count as u32 {
            let state = r.word()?;
            if state == 0 {
                self.tickets.push(Ticket::vacant());
                vacant.insert(at);
                continue;
            }
            r.check(state <= 2)?;
            let contact = ContactId(r.word()?);
            let (arrived, head_start) = (Timestamp(r.word()?), Millis(r.word()?));
            let lane = LaneId(r.u16()?);
            let reserved = match r.word()? {
                NONE => None,
                slot => Some(SeatSlot(u32::try_from(slot).map_err(|_| r.bad())?)),
            };
            r.check(contacts.insert(contact) && usize::from(lane.0) < self.lanes.len())?;
            r.check(reserved.is_none_or(|s| self.seat_id(s).is_some()))?;
            let spec = TicketSpec { contact, lane, arrived, head_start, excluded: Exclusions::NONE, reserved };
            let t = self.ticket_put(spec);
            let exclusions = r.count(1)?;
            let mut last = None;
            for _ in 0..exclusions {
                let seat = SeatId(r.word()?);
                r.check(last < Some(seat))?;
                last = Some(seat);
                self.ticket_exclude(t, seat);
            }
            if state == 2 {
                order.push((self.tickets[t.0 as usize].link.key, contact, t.0));
            }
        }
        self.limits.tickets = limits;
        self.tickets_freed = r.freed(vacant)?;
        // By rank: every one comes at the tail of its line.
        order.sort_unstable();
        for (_, _, at) in order {
            self.ticket_return(TicketSlot(at));
        }
        Ok(())
    }
}

fn write_skills(out: &mut impl Sink, skills: &[Skill]) {
    out.word(skills.len() as u64);
    for s in skills {
        out.word(s.skill.0);
        out.word(u64::from(s.level.0));
    }
}

fn write_freed(out: &mut impl Sink, freed: &[u32]) {
    out.word(freed.len() as u64);
    for &at in freed {
        out.word(u64::from(at));
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn word(&mut self) -> Result<u64, DecodeError> {
        let word = self.bytes.get(self.at..self.at + 8).and_then(|b| b.try_into().ok()).ok_or(DecodeError::Short(self.at))?;
        self.at += 8;
        Ok(u64::from_le_bytes(word))
    }

    fn bad(&self) -> DecodeError {
        DecodeError::Value(self.at)
    }

    fn check(&self, holds: bool) -> Result<(), DecodeError> {
        if holds { Ok(()) } else { Err(self.bad()) }
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        u32::try_from(self.word()?).map_err(|_| self.bad())
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        u16::try_from(self.word()?).map_err(|_| self.bad())
    }

    fn u8(&mut self) -> Result<u8, DecodeError> {
        u8::try_from(self.word()?).map_err(|_| self.bad())
    }

    fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.word()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.bad()),
        }
    }

    /// A count of things of at least `words` words each: no more than the rest of the input can hold.
    fn count(&mut self, words: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.word()?).map_err(|_| self.bad())?;
        let rest = (self.bytes.len() - self.at) / 8;
        if count <= rest / words && count < NIL as usize { Ok(count) } else { Err(DecodeError::Short(self.bytes.len())) }
    }

    fn skills(&mut self) -> Result<Vec<Skill>, DecodeError> {
        let count = self.count(2)?;
        (0..count).map(|_| Ok(Skill { skill: SkillName(self.word()?), level: Level(self.u8()?) })).collect()
    }

    /// Freed handles: exactly the vacant ones, in some order.
    fn freed(&mut self, mut vacant: BTreeSet<u32>) -> Result<Vec<u32>, DecodeError> {
        let count = self.count(1)?;
        self.check(count == vacant.len())?;
        let mut freed = Vec::with_capacity(count);
        for _ in 0..count {
            let at = self.u32()?;
            self.check(vacant.remove(&at))?;
            freed.push(at);
        }
        Ok(freed)
    }
}
