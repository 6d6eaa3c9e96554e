//! The two faces of routing: a contact looks for a seat, a seat looks for a contact.
//!
//! Both compare one candidate for each group whose inner order cannot change, by one total order: score, then idle place
//! (seats) or virtual arrival and contact (contacts). Both report the exact best alternative, which is another group's
//! candidate or the winner's successor in its own group. Reads only; the caller commits what it decided.
//!
//! Work units: one for the search, one for each group looked at, one for each excluded entry walked past.

use super::bits::BATCH;
use super::lanes::{LaneHead, level_sum};
use super::line::NIL;
use super::seats::{Class, ClassHead, Reserved, Seat};
use super::tickets::Stands;
use super::{Choice, LaneId, Market, SeatSlot, Selected, TicketSlot, WALK_MAX, signed_ms};
use tidegate_model::policy::{Selection, WAIT_CAP_MS};
use tidegate_model::record::{Passed, RunnerUp, Terms};
use tidegate_model::{ContactId, Timestamp};

const CAP_MS: i64 = WAIT_CAP_MS as i64;

/// Where a candidate comes from.
#[derive(Clone, Copy)]
enum Group {
    /// The line of a class, by place in its buckets.
    Class(u32, u32),
    /// The line of a lane.
    Line(u32),
    /// The exceptions of a lane.
    Exceptions(u32),
    /// The seat's private list, one lane of it.
    Private(LaneId),
}

/// A candidate; the higher score wins, then the lower key, then the lower tie.
#[derive(Clone, Copy)]
struct Bid {
    score: i64,
    key: i64,
    tie: u64,
    at: u32,
}

impl Bid {
    /// Loses to every candidate.
    const NONE: Self = Self { score: i64::MIN, key: i64::MAX, tie: u64::MAX, at: NIL };

    #[inline]
    fn beats(&self, other: &Self) -> bool {
        if self.score != other.score {
            return self.score > other.score;
        }
        (self.key, self.tie) < (other.key, other.tie)
    }
}

/// The best two.
struct Top {
    best: Bid,
    second: Bid,
    group: Group,
    candidates: u32,
    excluded: u32,
    looked: u32,
}

impl Top {
    const fn new() -> Self {
        Self { best: Bid::NONE, second: Bid::NONE, group: Group::Line(NIL), candidates: 0, excluded: 0, looked: 0 }
    }

    #[inline]
    fn offer(&mut self, bid: Bid, group: Group) {
        if bid.beats(&self.best) {
            self.second = self.best;
            self.best = bid;
            self.group = group;
        } else if bid.beats(&self.second) {
            self.second = bid;
        }
    }

    /// The winner's successor in its own group may be the runner-up; it is no candidate of its own.
    fn succeed(&mut self, bid: Bid) {
        if bid.beats(&self.second) {
            self.second = bid;
        }
    }

    /// Candidates that were looked at by their scores alone.
    fn add(&mut self, noted: u32) {
        self.candidates += noted;
        self.looked += noted;
    }

    fn work(&self) -> u32 {
        1 + self.looked + self.excluded
    }
}

/// The second highest score so far: whoever has less is neither winner nor runner-up.
///
/// Noting costs no branch (who leads cannot be predicted), so a batch is scored and noted first, and only the few that are
/// admitted then are compared in full, ties included.
#[derive(Clone, Copy)]
struct Threshold {
    first: i64,
    second: i64,
    noted: u32,
}

/// Of a candidate that is scored elsewhere, or is none. No score is this low.
const UNSCORED: i64 = i64::MIN;

impl Threshold {
    const fn new() -> Self {
        Self { first: UNSCORED, second: UNSCORED, noted: 0 }
    }

    #[inline(always)]
    fn note(&mut self, score: i64) {
        self.second = self.second.max(score.min(self.first));
        self.first = self.first.max(score);
        self.noted += 1;
    }

    /// Scores the single lines of a batch of classes by place alone; gives the number of classes of several lines.
    #[inline(never)]
    fn places(mut self, heads: &[ClassHead], batch: &[u32], weight: u16, scores: &mut [i64; BATCH]) -> (Self, usize) {
        let mut deep = 0;
        for (score, &c) in scores.iter_mut().zip(batch) {
            let h = &heads[c as usize];
            *score = UNSCORED;
            if h.fits(weight) {
                *score = -h.place;
                self.note(-h.place);
            } else {
                deep += usize::from(!h.single());
            }
        }
        (self, deep)
    }

    /// Scores the heads of a batch of lanes that are open to a seat of `free` units whose own terms are `own`.
    #[inline(never)]
    fn lanes(mut self, heads: &[LaneHead], batch: &[u16], free: u16, own: i64, now_ms: i64, scores: &mut [i64; BATCH]) -> Self {
        for (score, &l) in scores.iter_mut().zip(batch) {
            let head = &heads[usize::from(l)];
            *score = UNSCORED;
            if head.gate <= u32::from(free) {
                let value = head.fixed + (own & head.seat_mask) + head.slope * span(now_ms, head.key);
                *score = value;
                self.note(value);
            }
        }
        self
    }

    #[inline(always)]
    fn admits(&self, score: i64) -> bool {
        score >= self.second && score != UNSCORED
    }
}

const fn nothing(work: u32) -> Selected {
    Selected { choice: None, work }
}

#[inline]
fn span(now: i64, since: i64) -> i64 {
    (now - since).clamp(0, CAP_MS)
}

impl Market {
    /// The seat for a waiting ticket: highest score, then longest idle. A reserved ticket looks at its own seat only.
    /// A held ticket finds nothing. O(idle classes that the lane admits).
    pub fn select_agent(&self, t: TicketSlot, now: Timestamp) -> Selected {
        let ticket = self.live_ticket(t);
        if ticket.stands == Stands::Held {
            return nothing(1);
        }
        if let Some(seat) = self.reserved_seat(ticket) {
            return self.select_reserved(t, seat, now);
        }
        if self.idle.count() == 0 {
            return nothing(1);
        }
        let l = usize::from(ticket.lane.0);
        let (requires, head) = (&self.lane_specs[l].spec.requires, &self.lane_heads[l]);
        let now_ms = signed_ms(now.0);
        let excludes = ticket.pool != NIL;
        let by_skill = self.by_skill();
        let loaded = if self.rule.selection == Selection::LeastLoaded { self.rule.level_weight_ms << 16 } else { 0 };
        // Idle terms fall as places rise. Where nothing else differs between seats, the place is the order, and the
        // score of a bid only stands for it.
        let by_place = head.seat_mask == 0 || self.rule.selection == Selection::LongestIdle && self.costs.len() == 1;
        let value = |c: u32, free: u16, since: i64| {
            let base = if by_skill { self.skill_base(requires, &self.classes[c as usize]) } else { 0 };
            base + loaded * i64::from(free) + self.rule.idle_slope_q16 * span(now_ms, since) + self.class_costs[c as usize]
        };
        let bid = |c: u32, free: u16, place: i64, since: i64, at: u32| {
            let score = if by_place { -place } else { value(c, free, since) };
            Bid { score, key: place, tie: 0, at }
        };
        let mut top = Top::new();
        let mut threshold = Threshold::new();
        let mut eligible = 0;
        let mut scores = [UNSCORED; BATCH];
        self.idle.each_batch(self.lane_rows.row(l as u32), |batch| {
            // In registers while the batch lasts.
            let (mut noted, mut deep) = (threshold, 0);
            if excludes {
                // Nothing is scored: the scores stay as they began.
                deep = batch.len();
            } else if by_place {
                (noted, deep) = noted.places(&self.class_heads, batch, head.weight, &mut scores);
            } else {
                for (score, &c) in scores.iter_mut().zip(batch) {
                    let h = &self.class_heads[c as usize];
                    *score = UNSCORED;
                    if h.fits(head.weight) {
                        *score = value(c, h.free(), h.since);
                        noted.note(*score);
                    } else {
                        deep += usize::from(!h.single());
                    }
                }
            }
            threshold = noted;
            for (&score, &c) in scores.iter().zip(batch) {
                if noted.admits(score) {
                    let h = &self.class_heads[c as usize];
                    top.offer(Bid { score, key: h.place, tie: 0, at: h.seat }, Group::Class(c, 0));
                }
            }
            if deep == 0 {
                return;
            }
            for &c in batch {
                if self.class_heads[c as usize].single() && !excludes {
                    continue;
                }
                let buckets = &self.classes[c as usize].buckets;
                let from = buckets.partition_point(|b| b.free < head.weight);
                eligible += u32::from(from < buckets.len());
                for (b, bucket) in buckets.iter().enumerate().skip(from) {
                    top.looked += 1;
                    let first = if excludes {
                        bucket.line.walk(&self.seats).find(|&s| {
                            let out = self.ticket_excludes(t, self.seats[s as usize].id());
                            top.excluded += u32::from(out);
                            !out
                        })
                    } else {
                        Some(bucket.line.first(&self.seats))
                    };
                    if let Some(first) = first {
                        let seat = &self.seats[first as usize];
                        top.candidates += 1;
                        let bid = bid(c, bucket.free, seat.link.key, signed_ms(seat.since.0), first);
                        top.offer(bid, Group::Class(c, b as u32));
                    }
                }
            }
        });
        eligible += threshold.noted;
        top.add(threshold.noted);
        let work = top.work();
        let Group::Class(c, b) = top.group else { return nothing(work) };
        let first = &self.class_heads[c as usize];
        if first.single() && !excludes {
            if first.next != NIL {
                let seat = &self.seats[first.next as usize];
                top.succeed(bid(c, first.free(), seat.link.key, signed_ms(seat.since.0), first.next));
            }
            return self.chosen_agent(t, &top, eligible, by_place, now);
        }
        let bucket = &self.classes[c as usize].buckets[b as usize];
        let next = if excludes {
            let mut rest = bucket.line.walk(&self.seats).skip_while(|&s| s != top.best.at).skip(1);
            rest.find(|&s| !self.ticket_excludes(t, self.seats[s as usize].id())).unwrap_or(NIL)
        } else {
            bucket.line.second(&self.seats, top.best.at)
        };
        if next != NIL {
            let seat = &self.seats[next as usize];
            top.succeed(bid(c, bucket.free, seat.link.key, signed_ms(seat.since.0), next));
        }
        self.chosen_agent(t, &top, eligible, by_place, now)
    }

    fn chosen_agent(&self, t: TicketSlot, top: &Top, eligible: u32, by_place: bool, now: Timestamp) -> Selected {
        let seat = SeatSlot(top.best.at);
        let terms = self.terms(t, seat, now);
        let runner_up = (top.second.at != NIL).then(|| {
            let other = &self.seats[top.second.at as usize];
            // Among places nothing but the idle terms differs, and in the overdue tier not even they.
            let idle = self.rule.idle_slope_q16 * span(signed_ms(now.0), signed_ms(other.since.0));
            let more = if !by_place {
                top.second.score - top.best.score
            } else if terms.overdue == 0 {
                idle - terms.idle
            } else {
                0
            };
            RunnerUp { id: other.link.tie, score: terms.score() + more }
        });
        let passed = Passed { excluded: top.excluded, ineligible: self.idle.count() - eligible };
        self.chosen(t, seat, terms, runner_up, top.candidates, passed, top.work())
    }

    /// A reserved ticket: its seat, or nobody.
    fn select_reserved(&self, t: TicketSlot, slot: SeatSlot, now: Timestamp) -> Selected {
        let ticket = self.live_ticket(t);
        let seat = self.live_seat(slot);
        let able = self.class_rows.has(seat.class, u32::from(ticket.lane.0))
            && seat.open
            && seat.free() >= self.lane_heads[usize::from(ticket.lane.0)].weight;
        if !able || self.ticket_excludes(t, seat.id()) {
            return nothing(2);
        }
        self.chosen(t, slot, self.terms(t, slot, now), None, 1, Passed::default(), 2)
    }

    /// The contact for an open seat with free units: highest score, then earliest virtual arrival, then lowest contact.
    /// O(lanes standing that its class may serve, and the lanes of its private list).
    pub fn select_contact(&self, s: SeatSlot, now: Timestamp) -> Selected {
        let seat = self.live_seat(s);
        let free = seat.free();
        if !seat.open || free == 0 {
            return nothing(1);
        }
        let class = &self.classes[seat.class as usize];
        let now_ms = signed_ms(now.0);
        let by_skill = self.by_skill();
        let own = self.seat_own(seat, now_ms);
        let mut top = Top::new();
        let mut eligible = 0;
        let mut threshold = Threshold::new();
        let around = |l: u32, head: &LaneHead| {
            let base = if by_skill { self.skill_base(&self.lane_specs[l as usize].spec.requires, class) } else { 0 };
            head.fixed + ((own + base) & head.seat_mask)
        };
        let mut scores = [UNSCORED; BATCH];
        for batch in self.class_lanes[seat.class as usize].chunks(BATCH) {
            if self.standing.count() == 0 {
                break;
            }
            if by_skill {
                for (score, &l) in scores.iter_mut().zip(batch) {
                    let head = &self.lane_heads[usize::from(l)];
                    *score = UNSCORED;
                    if head.gate <= u32::from(free) {
                        *score = around(u32::from(l), head) + head.slope * span(now_ms, head.key);
                        threshold.note(*score);
                    }
                }
            } else {
                threshold = threshold.lanes(&self.lane_heads, batch, free, own, now_ms, &mut scores);
            }
            for (&score, &l) in scores.iter().zip(batch) {
                if threshold.admits(score) {
                    let head = &self.lane_heads[usize::from(l)];
                    top.offer(Bid { score, key: head.key, tie: head.contact, at: head.ticket }, Group::Line(u32::from(l)));
                }
            }
            if self.knotty == 0 {
                continue;
            }
            for l in batch.iter().map(|l| u32::from(*l)) {
                let head = &self.lane_heads[l as usize];
                if !head.knotty || head.weight > free {
                    continue;
                }
                eligible += 1;
                let around = around(l, head);
                let bid = |at: u32| {
                    let link = &self.tickets[at as usize].link;
                    Bid { score: around + head.slope * span(now_ms, link.key), key: link.key, tie: link.tie, at }
                };
                let lane = &self.lanes[l as usize];
                if !lane.line.is_empty() {
                    top.looked += 1;
                    let (first, _, walked) = self.first_two(s, lane.line.walk(&self.tickets), WALK_MAX);
                    top.excluded += walked;
                    if first != NIL {
                        top.candidates += 1;
                        top.offer(bid(first), Group::Line(l));
                    }
                }
                if !lane.exceptions.is_empty() {
                    top.looked += 1;
                    let (first, _, walked) = self.first_two(s, lane.exceptions.iter().map(|e| e.2), u32::MAX);
                    top.excluded += walked;
                    if first != NIL {
                        top.candidates += 1;
                        top.offer(bid(first), Group::Exceptions(l));
                    }
                }
            }
        }
        eligible += threshold.noted;
        top.add(threshold.noted);
        // Its private list, lane by lane.
        let private = if seat.private { self.private.get(&s.0) } else { None };
        let mut from = private.and_then(|list| list.first()).map(|entry| entry.0);
        while let (Some(list), Some(lane)) = (private, from) {
            if self.class_rows.has(seat.class, u32::from(lane.0)) && self.lane_heads[usize::from(lane.0)].weight <= free {
                top.looked += 1;
                let (first, _, walked) = self.first_two(s, private_of(list, lane), WALK_MAX);
                top.excluded += walked;
                if first != NIL {
                    let link = &self.tickets[first as usize].link;
                    let score = self.terms(TicketSlot(first), s, now).score();
                    top.candidates += 1;
                    top.offer(Bid { score, key: link.key, tie: link.tie, at: first }, Group::Private(lane));
                }
            }
            from = list.range((LaneId(lane.0.saturating_add(1)), i64::MIN, 0, 0)..).next().map(|entry| entry.0);
        }
        let work = top.work();
        if top.best.at == NIL {
            return nothing(work);
        }
        let next = match top.group {
            Group::Line(l) if !self.lane_heads[l as usize].knotty => self.lanes[l as usize].line.second(&self.tickets, top.best.at),
            Group::Line(l) => self.first_two(s, self.lanes[l as usize].line.walk(&self.tickets), WALK_MAX).1,
            Group::Exceptions(l) => self.first_two(s, self.lanes[l as usize].exceptions.iter().map(|e| e.2), u32::MAX).1,
            Group::Private(lane) => private.map_or(NIL, |list| self.first_two(s, private_of(list, lane), WALK_MAX).1),
            Group::Class(..) => NIL,
        };
        let ticket = TicketSlot(top.best.at);
        let terms = self.terms(ticket, s, now);
        if next != NIL {
            // Same lane, same seat: only the wait term differs.
            let link = &self.tickets[next as usize].link;
            let slope = self.lane_heads[usize::from(self.tickets[next as usize].lane.0)].slope;
            let score = terms.score() - terms.wait + slope * span(now_ms, link.key);
            top.succeed(Bid { score, key: link.key, tie: link.tie, at: next });
        }
        let runner_up = (top.second.at != NIL).then_some(RunnerUp { id: top.second.tie, score: top.second.score });
        let passed = Passed { excluded: top.excluded, ineligible: self.standing.count() - eligible };
        self.chosen(ticket, s, terms, runner_up, top.candidates, passed, work)
    }

    #[expect(clippy::too_many_arguments, reason = "the one place in which a choice is put together")]
    fn chosen(
        &self,
        ticket: TicketSlot,
        seat: SeatSlot,
        terms: Terms,
        runner_up: Option<RunnerUp>,
        candidates: u32,
        passed: Passed,
        work: u32,
    ) -> Selected {
        let contact = ContactId(self.tickets[ticket.0 as usize].link.tie);
        let seat_id = self.seats[seat.0 as usize].id();
        Selected { choice: Some(Choice { ticket, contact, seat, seat_id, terms, runner_up, candidates, passed }), work }
    }

    /// The first two entries that do not exclude the seat, and how many that do came before the first. No more than
    /// `most` excluded entries are walked past in all.
    fn first_two(&self, s: SeatSlot, entries: impl Iterator<Item = u32>, most: u32) -> (u32, u32, u32) {
        let id = self.seats[s.0 as usize].id();
        let (mut first, mut walked, mut before) = (NIL, 0, 0);
        for at in entries {
            if walked >= most {
                break;
            }
            if self.ticket_excludes(TicketSlot(at), id) {
                walked += 1;
                before += u32::from(first == NIL);
            } else if first == NIL {
                first = at;
            } else {
                return (first, at, before);
            }
        }
        (first, NIL, before)
    }

    fn by_skill(&self) -> bool {
        matches!(self.rule.selection, Selection::BestSkilled | Selection::LeastSkilled)
    }

    /// The base term by levels.
    fn skill_base(&self, requires: &[super::Skill], class: &Class) -> i64 {
        let levels = (self.rule.level_weight_ms << 16) * level_sum(requires, &class.skills);
        if self.rule.selection == Selection::BestSkilled { levels } else { -levels }
    }

    /// Terms of a seat that are the same for every normal lane.
    fn seat_own(&self, seat: &Seat, now_ms: i64) -> i64 {
        let loaded = match self.rule.selection {
            Selection::LeastLoaded => (self.rule.level_weight_ms << 16) * i64::from(seat.free()),
            _ => 0,
        };
        loaded + self.rule.idle_slope_q16 * span(now_ms, signed_ms(seat.since.0)) + self.class_costs[seat.class as usize]
    }

    /// Every term of a pair's score.
    fn terms(&self, t: TicketSlot, slot: SeatSlot, now: Timestamp) -> Terms {
        let ticket = &self.tickets[t.0 as usize];
        let l = usize::from(ticket.lane.0);
        let head = &self.lane_heads[l];
        let now_ms = signed_ms(now.0);
        let wait = head.slope * span(now_ms, ticket.link.key);
        if head.seat_mask == 0 {
            return Terms { wait, overdue: head.fixed, ..Terms::default() };
        }
        let seat = &self.seats[slot.0 as usize];
        Terms {
            base: match self.rule.selection {
                Selection::LongestIdle => 0,
                Selection::BestSkilled | Selection::LeastSkilled => {
                    self.skill_base(&self.lane_specs[l].spec.requires, &self.classes[seat.class as usize])
                }
                Selection::LeastLoaded => (self.rule.level_weight_ms << 16) * i64::from(seat.free()),
            },
            queue: head.fixed,
            wait,
            idle: self.rule.idle_slope_q16 * span(now_ms, signed_ms(seat.since.0)),
            cost: self.class_costs[seat.class as usize],
            affinity: if ticket.stands == Stands::Private { self.rule.affinity_ms << 16 } else { 0 },
            overdue: 0,
        }
    }
}

/// Entries of a seat's private list in one lane, by rank.
fn private_of(list: &Reserved, lane: LaneId) -> impl Iterator<Item = u32> {
    list.range((lane, i64::MIN, 0, 0)..=(lane, i64::MAX, u64::MAX, u32::MAX)).map(|entry| entry.3)
}
