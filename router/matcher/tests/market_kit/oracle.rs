//! The market's contract by the plainest route: vectors, linear scans, sorting, and 128-bit integers.
//!
//! Nothing here is shared with the market but its words. A lane is a number in the driver's list of distinct
//! specifications; a class is whatever seats have equal skills and cost at the moment of the question.

use std::collections::BTreeSet;
use tidegate_matcher::market::{Choice, LaneSpec, Place, Rule, SeatSlot, Skill, TicketSlot, Tier};
use tidegate_model::policy::Selection;
use tidegate_model::record::{Passed, RunnerUp, Terms};
use tidegate_model::{ContactId, SeatId};

const ONE: i128 = 65_536;
const CAP: i128 = 2_147_483_648;

#[derive(Clone)]
pub struct Seat {
    pub id: SeatId,
    pub skills: Vec<Skill>,
    pub cost_ms: i64,
    pub units: u16,
    pub used: u16,
    pub open: bool,
    place: u64,
    since: u64,
    kept: Option<(u64, u64)>,
}

impl Seat {
    pub fn free(&self) -> u16 {
        self.units.saturating_sub(self.used)
    }

    fn has(&self, needs: &[Skill]) -> bool {
        needs.iter().all(|n| self.skills.iter().any(|s| s.skill == n.skill && s.level >= n.level))
    }
}

#[derive(Clone)]
pub struct Ticket {
    pub contact: ContactId,
    pub lane: usize,
    pub arrived: u64,
    pub head_start: u64,
    pub excluded: BTreeSet<SeatId>,
    pub reserved: Option<usize>,
    pub held: bool,
}

pub struct Oracle {
    pub rule: Rule,
    pub lanes: Vec<LaneSpec>,
    pub seats: Vec<Option<Seat>>,
    pub tickets: Vec<Option<Ticket>>,
    seats_freed: Vec<usize>,
    tickets_freed: Vec<usize>,
    places: u64,
    clock: u64,
}

fn put<T>(table: &mut Vec<Option<T>>, freed: &mut Vec<usize>, value: T) -> usize {
    let at = freed.pop().unwrap_or(table.len());
    if at == table.len() {
        table.push(None);
    }
    table[at] = Some(value);
    at
}

impl Oracle {
    pub fn new(lanes: Vec<LaneSpec>) -> Self {
        Self {
            rule: Rule::default(),
            lanes,
            seats: Vec::new(),
            tickets: Vec::new(),
            seats_freed: Vec::new(),
            tickets_freed: Vec::new(),
            places: 0,
            clock: 0,
        }
    }

    pub fn seat(&mut self, at: usize) -> &mut Seat {
        self.seats[at].as_mut().expect("a seat")
    }

    pub fn ticket(&mut self, at: usize) -> &mut Ticket {
        self.tickets[at].as_mut().expect("a ticket")
    }

    pub fn seat_insert(&mut self, id: SeatId, skills: Vec<Skill>, units: u16, cost_ms: i64) -> usize {
        let seat = Seat { id, skills, cost_ms, units, used: 0, open: false, place: 0, since: 0, kept: None };
        put(&mut self.seats, &mut self.seats_freed, seat)
    }

    pub fn seat_remove(&mut self, at: usize) {
        self.seats[at] = None;
        self.seats_freed.push(at);
        for t in self.tickets.iter_mut().flatten() {
            if t.reserved == Some(at) {
                t.reserved = None;
            }
        }
    }

    fn send_to_tail(&mut self, at: usize, now: u64) {
        self.clock = self.clock.max(now);
        self.places += 1;
        let (place, since) = (self.places, self.clock);
        let seat = self.seat(at);
        seat.place = place;
        seat.since = since;
    }

    pub fn saw(&mut self, now: u64) {
        self.clock = self.clock.max(now);
    }

    pub fn seat_open(&mut self, at: usize, now: u64) {
        self.send_to_tail(at, now);
        self.seat(at).kept = None;
        self.seat(at).open = true;
    }

    pub fn seat_take(&mut self, at: usize, units: u16, now: u64) {
        let seat = self.seat(at);
        seat.used += units;
        seat.kept = Some((seat.place, seat.since));
        self.send_to_tail(at, now);
    }

    pub fn seat_give(&mut self, at: usize, units: u16, place: Place) {
        let seat = self.seat(at);
        seat.used -= units;
        let kept = seat.kept.take();
        if let Place::Tail(now) = place {
            self.send_to_tail(at, now.0);
        } else if let Some((place, since)) = kept {
            seat.place = place;
            seat.since = since;
        }
    }

    pub fn ticket_insert(&mut self, ticket: Ticket) -> usize {
        put(&mut self.tickets, &mut self.tickets_freed, ticket)
    }

    pub fn ticket_remove(&mut self, at: usize) {
        self.tickets[at] = None;
        self.tickets_freed.push(at);
    }

    /// Virtual arrival; true arrival in the overdue tier.
    fn key(&self, t: &Ticket) -> i128 {
        let overdue = self.lanes[t.lane].tier == Tier::Overdue;
        i128::from(t.arrived) - if overdue { 0 } else { i128::from(t.head_start) }
    }

    fn terms(&self, t: &Ticket, at: usize, now: u64) -> (Terms, i128) {
        let seat = self.seats[at].as_ref().expect("a seat");
        let lane = &self.lanes[t.lane];
        let waited = (i128::from(now) - self.key(t)).clamp(0, CAP);
        let idle = (i128::from(now) - i128::from(seat.since)).clamp(0, CAP);
        let mut terms = [0_i128; 7];
        if lane.tier == Tier::Overdue {
            terms[2] = waited * ONE;
            terms[6] = 4_398_046_511_104 * ONE;
        } else {
            let mut match_units = 0_i128;
            for need in &lane.requires {
                for have in &seat.skills {
                    if have.skill == need.skill {
                        match_units += i128::from(have.level.0);
                    }
                }
            }
            let factor = match self.rule.selection {
                Selection::LongestIdle => 0,
                Selection::BestSkilled => match_units,
                Selection::LeastSkilled => -match_units,
                Selection::LeastLoaded => i128::from(seat.free()),
            };
            terms[0] = i128::from(self.rule.level_weight_ms) * factor * ONE;
            terms[1] = i128::from(lane.queue_weight_ms) * ONE;
            terms[2] = i128::from(lane.slope_q16) * waited;
            terms[3] = i128::from(self.rule.idle_slope_q16) * idle;
            terms[4] = -i128::from(seat.cost_ms) * ONE;
            if t.reserved == Some(at) {
                terms[5] = i128::from(self.rule.affinity_ms) * ONE;
            }
        }
        let score = terms.iter().sum();
        let [base, queue, wait, idle, cost, affinity, overdue] = terms.map(|t| i64::try_from(t).expect("a term in 64 bits"));
        (Terms { base, queue, wait, idle, cost, affinity, overdue }, score)
    }

    pub fn select_agent(&self, at: usize, now: u64) -> Option<Choice> {
        let t = self.tickets[at].as_ref().expect("a ticket");
        if t.held {
            return None;
        }
        let lane = &self.lanes[t.lane];
        let seats: Vec<(usize, &Seat)> = self.seats.iter().enumerate().filter_map(|(i, s)| Some((i, s.as_ref()?))).collect();
        let eligible = |s: &Seat| s.open && s.free() >= lane.weight && s.has(&lane.requires);
        let mut passed = Passed::default();
        let mut pool: Vec<(usize, &Seat)> = seats.iter().copied().filter(|s| eligible(s.1)).collect();
        if let Some(only) = t.reserved {
            pool.retain(|s| s.0 == only);
        } else {
            let same_class = |a: &Seat, b: &Seat| a.skills == b.skills && a.cost_ms == b.cost_ms;
            let idle: Vec<&Seat> = seats.iter().map(|s| s.1).filter(|s| s.open && s.free() > 0).collect();
            for (i, s) in idle.iter().enumerate() {
                let met = idle[..i].iter().any(|o| same_class(o, s));
                let served = pool.iter().any(|o| same_class(o.1, s));
                passed.ineligible += u32::from(!met && !served);
            }
        }
        let same_group = |a: &Seat, b: &Seat| a.skills == b.skills && a.cost_ms == b.cost_ms && a.free() == b.free();
        let (out, good): (Vec<_>, Vec<_>) = pool.into_iter().partition(|s| t.excluded.contains(&s.1.id));
        for o in &out {
            let behind = good.iter().any(|g| same_group(g.1, o.1) && g.1.place < o.1.place);
            passed.excluded += u32::from(!behind);
        }
        let mut groups: Vec<&Seat> = Vec::new();
        for g in &good {
            if !groups.iter().any(|o| same_group(o, g.1)) {
                groups.push(g.1);
            }
        }
        let better = |a: &(usize, i128, u64), b: &(usize, i128, u64)| a.1 > b.1 || a.1 == b.1 && a.2 < b.2;
        let mut first: Option<(usize, i128, u64)> = None;
        let mut second: Option<(usize, i128, u64)> = None;
        for (i, s) in good {
            let bid = (i, self.terms(t, i, now).1, s.place);
            if first.is_none_or(|f| better(&bid, &f)) {
                second = first;
                first = Some(bid);
            } else if second.is_none_or(|f| better(&bid, &f)) {
                second = Some(bid);
            }
        }
        let (seat, score, _) = first?;
        let (terms, _) = self.terms(t, seat, now);
        assert_eq!(i128::from(terms.score()), score, "the score overflowed");
        Some(Choice {
            ticket: TicketSlot(at as u32),
            contact: t.contact,
            seat: SeatSlot(seat as u32),
            seat_id: self.seats[seat].as_ref().expect("a seat").id,
            terms,
            runner_up: second.map(|(i, score, _)| RunnerUp {
                id: self.seats[i].as_ref().expect("a seat").id.0,
                score: i64::try_from(score).expect("a score in 64 bits"),
            }),
            candidates: groups.len() as u32,
            passed,
        })
    }

    pub fn select_contact(&self, at: usize, now: u64) -> Option<Choice> {
        let seat = self.seats[at].as_ref().expect("a seat");
        if !seat.open || seat.free() == 0 {
            return None;
        }
        // (lane, kind) by rank; kinds: line, exceptions, reserved.
        let mut waiting: Vec<(usize, u8, i128, ContactId, usize)> = Vec::new();
        for (i, t) in self.tickets.iter().enumerate() {
            let Some(t) = t.as_ref().filter(|t| !t.held) else { continue };
            let kind = match t.reserved {
                Some(other) if other != at => continue,
                Some(_) => 2,
                None if t.excluded.len() > 8 => 1,
                None => 0,
            };
            waiting.push((t.lane, kind, self.key(t), t.contact, i));
        }
        waiting.sort();
        let (mut passed, mut candidates) = (Passed::default(), 0);
        let mut bids: Vec<(i128, i128, ContactId, usize)> = Vec::new();
        let (mut lane_before, mut group, mut walked, mut met) = (usize::MAX, (usize::MAX, 9), 0, false);
        for (lane, kind, key, contact, i) in waiting {
            let spec = &self.lanes[lane];
            let eligible = seat.free() >= spec.weight && seat.has(&spec.requires);
            if kind < 2 && lane != lane_before && !eligible {
                passed.ineligible += 1;
            }
            if kind < 2 {
                lane_before = lane;
            }
            if !eligible {
                continue;
            }
            if (lane, kind) != group {
                (group, walked, met) = ((lane, kind), 0, false);
            }
            if kind != 1 && walked == 256 {
                continue;
            }
            let t = self.tickets[i].as_ref().expect("a ticket");
            if t.excluded.contains(&seat.id) {
                walked += 1;
                passed.excluded += u32::from(!met);
                continue;
            }
            candidates += u32::from(!met);
            met = true;
            bids.push((-self.terms(t, at, now).1, key, contact, i));
        }
        bids.sort();
        let &(score, _, contact, ticket) = bids.first()?;
        let (terms, _) = self.terms(self.tickets[ticket].as_ref().expect("a ticket"), at, now);
        assert_eq!(-i128::from(terms.score()), score, "the score overflowed");
        Some(Choice {
            ticket: TicketSlot(ticket as u32),
            contact,
            seat: SeatSlot(at as u32),
            seat_id: seat.id,
            terms,
            runner_up: bids.get(1).map(|b| RunnerUp { id: b.2.0, score: i64::try_from(-b.0).expect("a score in 64 bits") }),
            candidates,
            passed,
        })
    }
}
