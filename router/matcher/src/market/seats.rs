//! Seats and the supply classes they stand in.
//!
//! A class is a profile: equal skills, levels and cost. Inside it, open seats with free units stand in one line for each
//! number of free units, ordered by idle place. [`ClassHead`] repeats what a search needs of a class with a single line,
//! 32 bytes, so that most searches read nothing else. A seat that is shut or full stands nowhere.

use super::line::{Line, Link, Linked, NIL};
use super::{LaneId, Market, Place, SeatSlot, Skill, canonical, check_cost, signed_ms};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use tidegate_model::output::Chain;
use tidegate_model::{SeatId, Timestamp};

/// A signed-in seat, or a free slot.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Seat {
    /// Key: idle place; tie: the seat's id.
    pub link: Link,
    pub since: Timestamp,
    /// Idle place and time before the latest take; place 0 for none.
    pub kept_place: i64,
    pub kept_since: Timestamp,
    pub class: u32,
    /// Raised when the slot is freed, so that a reservation of the former seat means nothing to the next one.
    pub generation: u32,
    pub units: u16,
    pub used: u16,
    pub live: bool,
    pub open: bool,
    /// Whether tickets wait that are reserved for this seat.
    pub private: bool,
}

/// Waiting tickets reserved for one seat, by rank in each lane: (lane, key, contact, ticket).
pub(super) type Reserved = BTreeSet<(LaneId, i64, u64, u32)>;

impl Linked for Seat {
    fn link(&self) -> &Link {
        &self.link
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

impl Seat {
    pub(super) const fn vacant() -> Self {
        Self {
            link: Link::new(0, 0),
            since: Timestamp(0),
            kept_place: 0,
            kept_since: Timestamp(0),
            class: NIL,
            generation: 0,
            units: 0,
            used: 0,
            live: false,
            open: false,
            private: false,
        }
    }

    pub(super) const fn id(&self) -> SeatId {
        SeatId(self.link.tie)
    }

    pub(super) const fn free(&self) -> u16 {
        self.units.saturating_sub(self.used)
    }

    const fn stands(&self) -> bool {
        self.open && self.free() > 0
    }
}

/// Seats of one class with the same free units.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub free: u16,
    pub line: Line,
}

/// A supply class, or a free id.
#[derive(Clone, Debug)]
pub(super) struct Class {
    pub skills: Vec<Skill>,
    pub cost_ms: i64,
    pub hash: u64,
    /// One bit a skill, folded: a class whose signature lacks a bit of a lane's is not eligible.
    pub signature: u64,
    /// Seats of the class, standing or not; 0 for a free id.
    pub seats: u32,
    /// Lines by free units, ascending; none is empty.
    pub buckets: Vec<Bucket>,
}

/// What a search reads of a class.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(super) struct ClassHead {
    /// Idle place of the first seat; of the single line.
    pub place: i64,
    /// Idle since, signed milliseconds.
    pub since: i64,
    /// The first seat's slot.
    pub seat: u32,
    /// The slot of the seat behind it, [`NIL`] for none.
    pub next: u32,
    /// [`shape`]: free units of the single line, or that there is none or more than one.
    pub shape: u32,
}

/// Number of lines (0, 1, or 2 for more) above, free units of the single line below; the other fields hold for one line.
const fn shape(lines: u32, free: u16) -> u32 {
    lines << 16 | free as u32
}

impl ClassHead {
    /// Of a class in which no seat stands.
    const EMPTY: Self = Self { place: 0, since: 0, seat: NIL, next: NIL, shape: 0 };

    /// Whether the class has exactly one line.
    pub(super) const fn single(&self) -> bool {
        self.shape >> 16 == 1
    }

    /// Free units of the single line.
    pub(super) const fn free(&self) -> u16 {
        self.shape as u16
    }

    /// Whether the class has exactly one line, of at least `weight` free units: one comparison.
    pub(super) const fn fits(&self, weight: u16) -> bool {
        self.shape.wrapping_sub(shape(1, weight)) <= u16::MAX as u32 - weight as u32
    }
}

pub(super) fn signature(skills: &[Skill]) -> u64 {
    skills.iter().fold(0, |all, s| all | 1 << (s.skill.0 & 63))
}

fn profile_hash(skills: &[Skill], cost_ms: i64) -> u64 {
    let mut chain = Chain::default();
    chain.word(cost_ms as u64);
    for s in skills {
        chain.word(s.skill.0);
        chain.word(u64::from(s.level.0));
    }
    chain.0
}

impl Market {
    /// Seats that can still be inserted.
    pub fn seats_free(&self) -> u32 {
        self.limits.seats.saturating_sub((self.seats.len() - self.seats_freed.len()) as u32)
    }

    /// Supply classes that can still come into being.
    pub fn class_free(&self) -> u32 {
        self.limits.classes.saturating_sub((self.classes.len() - self.classes_freed.len()) as u32)
    }

    /// Whether a seat of this profile finds a class: one that exists, or a free one.
    pub fn class_fits(&self, skills: &[Skill], cost_ms: i64) -> bool {
        if self.class_free() > 0 {
            return true;
        }
        let skills = canonical(skills.to_vec());
        self.class_find(profile_hash(&skills, cost_ms), &skills, cost_ms).is_some()
    }

    /// A seat signs in; it starts shut. O(lanes) when its profile is new.
    ///
    /// # Panics
    /// If there is no free seat, no class for it ([`Self::class_fits`]), or the cost is out of its bounds ([`check_cost`]).
    pub fn seat_insert(&mut self, seat: SeatId, skills: &[Skill], units: u16, cost_ms: i64) -> SeatSlot {
        assert!(self.seats_free() > 0, "no free seat");
        let class = self.class_join(skills, cost_ms);
        let at = match self.seats_freed.pop() {
            Some(at) => at,
            None => {
                self.seats.push(Seat::vacant());
                (self.seats.len() - 1) as u32
            }
        };
        let place = &mut self.seats[at as usize];
        let generation = place.generation;
        *place = Seat { link: Link::new(0, seat.0), class, generation, units, live: true, ..Seat::vacant() };
        SeatSlot(at)
    }

    /// The roster changed while the seat is signed in: it keeps its used units and its place among the idle. Units below
    /// the used ones leave it full until enough come back.
    ///
    /// # Panics
    /// As [`Self::seat_insert`]; a profile that only this seat has makes room for its new one.
    pub fn seat_update(&mut self, slot: SeatSlot, skills: &[Skill], units: u16, cost_ms: i64, now: Timestamp) {
        self.clock = self.clock.max(now);
        let old = self.live_seat(slot).class;
        self.seat_leave_line(slot);
        let profile = canonical(skills.to_vec());
        if self.classes[old as usize].skills != profile || self.classes[old as usize].cost_ms != cost_ms {
            self.class_quit(old);
            let class = self.class_join(&profile, cost_ms);
            self.seats[slot.0 as usize].class = class;
        }
        self.seats[slot.0 as usize].units = units;
        self.seat_join_line(slot);
    }

    /// A seat signs out. Tickets reserved for it are free for all in their lanes from now on.
    ///
    /// # Panics
    /// If units are in use.
    pub fn seat_remove(&mut self, slot: SeatSlot) {
        assert_eq!(self.live_seat(slot).used, 0, "a seat with used units signs out");
        self.seat_leave_line(slot);
        let reserved: Vec<u32> = self.private.get(&slot.0).into_iter().flatten().map(|entry| entry.3).collect();
        for t in reserved {
            self.unreserve(t);
        }
        let seat = &mut self.seats[slot.0 as usize];
        let (class, generation) = (seat.class, seat.generation.wrapping_add(1));
        *seat = Seat { generation, ..Seat::vacant() };
        self.class_quit(class);
        self.seats_freed.push(slot.0);
    }

    /// The seat may be offered contacts; idle since `now`, at the tail, even if it was open.
    pub fn seat_open(&mut self, slot: SeatSlot, now: Timestamp) {
        self.live_seat(slot);
        self.seat_leave_line(slot);
        self.seat_to_tail(slot, now);
        let seat = &mut self.seats[slot.0 as usize];
        seat.open = true;
        seat.kept_place = 0;
        self.seat_join_line(slot);
    }

    /// The seat may not be offered contacts; units in use stay.
    pub fn seat_shut(&mut self, slot: SeatSlot) {
        self.live_seat(slot);
        self.seat_leave_line(slot);
        self.seats[slot.0 as usize].open = false;
    }

    /// An offer reserves units. What is left of the seat stands at the tail, idle since `now`.
    ///
    /// # Panics
    /// If fewer units are free.
    pub fn seat_take(&mut self, slot: SeatSlot, units: u16, now: Timestamp) {
        assert!(self.live_seat(slot).free() >= units, "more units are taken than are free");
        self.seat_leave_line(slot);
        let seat = &mut self.seats[slot.0 as usize];
        seat.used += units;
        (seat.kept_place, seat.kept_since) = (seat.link.key, seat.since);
        self.seat_to_tail(slot, now);
        self.seat_join_line(slot);
    }

    /// Units come back.
    ///
    /// # Panics
    /// If fewer units are in use.
    pub fn seat_give(&mut self, slot: SeatSlot, units: u16, place: Place) {
        assert!(self.live_seat(slot).used >= units, "more units come back than are in use");
        self.seat_leave_line(slot);
        let seat = &mut self.seats[slot.0 as usize];
        seat.used -= units;
        let kept = core::mem::take(&mut seat.kept_place);
        match place {
            Place::Tail(now) => self.seat_to_tail(slot, now),
            Place::Kept if kept != 0 => (seat.link.key, seat.since) = (kept, seat.kept_since),
            Place::Kept => {}
        }
        self.seat_join_line(slot);
    }

    pub(super) fn live_seat(&self, slot: SeatSlot) -> &Seat {
        let seat = &self.seats[slot.0 as usize];
        assert!(seat.live, "no seat in the slot");
        seat
    }

    fn seat_to_tail(&mut self, slot: SeatSlot, now: Timestamp) {
        self.clock = self.clock.max(now);
        let seat = &mut self.seats[slot.0 as usize];
        (seat.link.key, seat.since) = (self.next_place as i64, self.clock);
        self.next_place += 1;
    }

    fn seat_leave_line(&mut self, slot: SeatSlot) {
        let seat = &self.seats[slot.0 as usize];
        if !seat.stands() {
            return;
        }
        let (at, free) = (seat.class, seat.free());
        let class = &mut self.classes[at as usize];
        let b = class.buckets.partition_point(|b| b.free < free);
        let line = &mut class.buckets[b].line;
        line.remove(&mut self.seats, slot.0);
        if line.is_empty() {
            if b + 1 == class.buckets.len() {
                class.buckets.pop();
            } else {
                class.buckets.remove(b);
            }
        }
        self.class_refresh(at);
    }

    pub(super) fn seat_join_line(&mut self, slot: SeatSlot) {
        let seat = &self.seats[slot.0 as usize];
        if !seat.stands() {
            return;
        }
        let (at, free) = (seat.class, seat.free());
        let class = &mut self.classes[at as usize];
        let b = class.buckets.partition_point(|b| b.free < free);
        if class.buckets.get(b).is_none_or(|bucket| bucket.free != free) {
            let bucket = Bucket { free, line: Line::new() };
            if b == class.buckets.len() {
                class.buckets.push(bucket);
            } else {
                class.buckets.insert(b, bucket);
            }
        }
        class.buckets[b].line.push(&mut self.seats, slot.0);
        self.class_refresh(at);
    }

    /// Brings head and idle bit up to date with the lines.
    fn class_refresh(&mut self, at: u32) {
        let class = &self.classes[at as usize];
        let head = &mut self.class_heads[at as usize];
        head.shape = shape(class.buckets.len().min(2) as u32, 0);
        if let [only] = &class.buckets[..] {
            let first = only.line.first(&self.seats);
            let seat = &self.seats[first as usize];
            head.place = seat.link.key;
            head.since = signed_ms(seat.since.0);
            head.seat = first;
            head.next = only.line.second(&self.seats, first);
            head.shape = shape(1, only.free);
        }
        self.idle.set(at, head.shape > 0);
    }

    pub(super) fn class_find(&self, hash: u64, skills: &[Skill], cost_ms: i64) -> Option<u32> {
        self.class_index.find(hash, |c| {
            let class = &self.classes[c as usize];
            class.cost_ms == cost_ms && class.skills == skills
        })
    }

    /// One seat more of this profile.
    fn class_join(&mut self, skills: &[Skill], cost_ms: i64) -> u32 {
        let skills = canonical(skills.to_vec());
        let hash = profile_hash(&skills, cost_ms);
        if let Some(c) = self.class_find(hash, &skills, cost_ms) {
            self.classes[c as usize].seats += 1;
            return c;
        }
        assert!(self.class_free() > 0, "no free class");
        let at = self.classes_freed.pop().unwrap_or(self.classes.len() as u32);
        self.class_put(at, skills, cost_ms);
        self.classes[at as usize].seats = 1;
        at
    }

    /// Makes the class `at`, which is free or the next one, with its row of lanes.
    pub(super) fn class_put(&mut self, at: u32, skills: Vec<Skill>, cost_ms: i64) {
        assert_eq!(check_cost(cost_ms), Ok(()), "the cost was not checked");
        let hash = profile_hash(&skills, cost_ms);
        let signature = signature(&skills);
        if at as usize == self.class_lanes.len() {
            self.class_lanes.push(Vec::new());
        }
        for (l, lane) in self.lane_specs.iter_mut().enumerate() {
            if lane.admits(&skills, signature) {
                self.class_rows.set(at, l as u32, true);
                self.lane_rows.set(l as u32, at, true);
                self.class_lanes[at as usize].push(l as u16);
                lane.class_count += 1;
            }
        }
        let class = Class { skills, cost_ms, hash, signature, seats: 0, buckets: Vec::new() };
        if at as usize == self.classes.len() {
            self.classes.push(class);
            self.class_heads.push(ClassHead::EMPTY);
            self.class_costs.push(-(cost_ms << 16));
        } else {
            self.classes[at as usize] = class;
            self.class_heads[at as usize] = ClassHead::EMPTY;
            self.class_costs[at as usize] = -(cost_ms << 16);
        }
        self.class_index.insert(hash, at);
        *self.costs.entry(cost_ms).or_default() += 1;
    }

    /// A free id, when a snapshot is read.
    pub(super) fn class_put_vacant(&mut self) {
        self.classes.push(Class { skills: Vec::new(), cost_ms: 0, hash: 0, signature: 0, seats: 0, buckets: Vec::new() });
        self.class_heads.push(ClassHead::EMPTY);
        self.class_costs.push(0);
        self.class_lanes.push(Vec::new());
    }

    /// One seat less; the last one takes the class with it. The seat must not stand.
    fn class_quit(&mut self, at: u32) {
        let class = &mut self.classes[at as usize];
        class.seats -= 1;
        if class.seats > 0 {
            return;
        }
        for l in core::mem::take(&mut self.class_lanes[at as usize]) {
            self.class_rows.set(at, u32::from(l), false);
            self.lane_rows.set(u32::from(l), at, false);
            self.lane_specs[usize::from(l)].class_count -= 1;
        }
        let class = &mut self.classes[at as usize];
        self.class_index.remove(class.hash, at);
        class.skills = Vec::new();
        let cost_ms = class.cost_ms;
        let left = self.costs.get_mut(&cost_ms).map_or(0, |n| {
            *n -= 1;
            *n
        });
        if left == 0 {
            self.costs.remove(&cost_ms);
        }
        self.classes_freed.push(at);
    }
}
