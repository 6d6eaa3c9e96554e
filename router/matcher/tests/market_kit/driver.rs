//! Random life of a market: the same operations to the market and to the oracle, every decision compared.
//!
//! One number seeds a run; the same number gives the same run. A planted [`Bug`] bends what the market is told or what it
//! answers, to show that the comparison sees it. The driver keeps the ledger that the core will keep: offers and claims.

use super::Rng;
use super::oracle::{Oracle, Ticket};
use std::collections::BTreeSet;
use tidegate_matcher::market::{
    Choice, Exclusions, LaneId, LaneSpec, Market, MarketLimits, Place, Rule, SeatSlot, Selected, Skill, TicketSlot, TicketSpec,
    Tier,
};
use tidegate_model::output::Chain;
use tidegate_model::policy::Selection;
use tidegate_model::{ContactId, Level, Millis, QueueName, SeatId, SkillName, Timestamp};

/// A fault planted between driver and market.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// A returned offer loses its seniority.
    ReturnAtTail,
    /// A rescinded offer sends the seat to the tail.
    KeptAtTail,
    /// Exclusions are forgotten.
    ExclusionForgotten,
    /// Head starts are ignored.
    HeadStartIgnored,
    /// Reservations are ignored.
    ReservationIgnored,
    /// The least level is taken for any level.
    LevelIgnored,
    /// Units of a contact are taken for one.
    WeightIgnored,
    /// A move keeps the old lane.
    MoveIgnored,
    /// A new rule is not taken over.
    RuleIgnored,
    /// A shut seat stays open.
    ShutIgnored,
    /// The overdue tier is an ordinary lane.
    OverdueIgnored,
    /// The runner-up wins, one decision in a hundred.
    SecondWins,
    /// One millisecond too many in a term, one decision in a hundred.
    TermOff,
    /// No runner-up is named, one decision in a hundred.
    RunnerUpLost,
    /// The clock runs five milliseconds ahead.
    ClockAhead,
}

/// What a run looks like.
#[derive(Clone, Copy, Debug)]
pub struct Regime {
    pub steps: u32,
    /// Tickets beyond which arrivals stop.
    pub tickets: usize,
    pub seats: usize,
    /// Seats that accept nothing make long walks: chance of a decline, percent.
    pub declines: u64,
    /// Lanes the market may hold.
    pub lanes: u32,
    /// Distinct specifications that contacts ask for.
    pub specs: usize,
    /// Few distinct profiles, or nearly all different.
    pub profiles: u64,
    /// Chance that a ticket arrives excluding many seats, percent.
    pub excluding: u64,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub operations: u64,
    pub decisions: u64,
    pub market_hash: u64,
    pub oracle_hash: u64,
    pub work_hash: u64,
    pub work_max: u32,
    /// Exclusions beyond eight, decisions by the overdue tier, decisions by a reservation, lanes refused.
    pub exceptional: u64,
    pub overdue: u64,
    pub reserved: u64,
    pub lanes_refused: u64,
    pub state: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Offer {
    ticket: usize,
    seat: usize,
    units: u16,
}

pub struct Driver {
    rng: Rng,
    regime: Regime,
    bug: Option<Bug>,
    market: Market,
    oracle: Oracle,
    lanes: Vec<LaneSpec>,
    offers: Vec<Offer>,
    claims: Vec<(usize, u16)>,
    now: u64,
    next_contact: u64,
    next_seat: u64,
    stats: Stats,
    chains: [Chain; 3],
    /// Steps after which the market is replaced by its restored copy.
    restores: BTreeSet<u32>,
}

fn skill(n: u64) -> SkillName {
    SkillName((n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

impl Driver {
    pub fn new(seed: u64, regime: Regime, bug: Option<Bug>, restores: BTreeSet<u32>) -> Self {
        let mut rng = Rng(seed);
        let mut lanes: Vec<LaneSpec> = Vec::new();
        while lanes.len() < regime.specs {
            let mut requires = Vec::new();
            for _ in 0..rng.below(3) {
                requires.push(Skill { skill: skill(rng.below(5)), level: Level(rng.below(4) as u8) });
            }
            let mut spec = LaneSpec::new(QueueName(1 + rng.below(4)), requires);
            spec.queue_weight_ms = [0, 0, 30_000, -20_000, 1 << 39][rng.below(5) as usize];
            spec.slope_q16 = [65_536, 65_536, 6_554, 655_360, 1, 1 << 24][rng.below(6) as usize];
            spec.weight = 1 + rng.below(3) as u16;
            spec.step = rng.below(3) as u8;
            spec.tier = if rng.chance(15) { Tier::Overdue } else { Tier::Normal };
            if !lanes.contains(&spec) {
                lanes.push(spec);
            }
        }
        let limits = MarketLimits { tickets: 2_000, seats: 200, lanes: regime.lanes, classes: 200 };
        Self {
            rng,
            regime,
            bug,
            market: Market::new(limits),
            oracle: Oracle::new(lanes.clone()),
            lanes,
            offers: Vec::new(),
            claims: Vec::new(),
            now: 1_000_000,
            next_contact: 1,
            next_seat: 1,
            stats: Stats::default(),
            chains: [Chain::default(); 3],
            restores,
        }
    }

    /// Runs to the end, or to the first difference.
    pub fn run(mut self) -> Result<Stats, String> {
        for step in 0..self.regime.steps {
            self.step().map_err(|difference| format!("step {step}: {difference}"))?;
            if self.restores.contains(&step) {
                self.restore()?;
            }
        }
        self.market.encode(&mut self.stats.state);
        [self.stats.market_hash, self.stats.oracle_hash, self.stats.work_hash] = self.chains.map(|chain| chain.0);
        Ok(self.stats)
    }

    fn restore(&mut self) -> Result<(), String> {
        let mut bytes = Vec::new();
        self.market.encode(&mut bytes);
        let copy = Market::decode(&bytes).map_err(|e| e.to_string())?;
        let (mut again, mut one, mut other) = (Vec::new(), Chain::default(), Chain::default());
        copy.encode(&mut again);
        self.market.fold(&mut one);
        copy.fold(&mut other);
        self.market = copy;
        if again == bytes && one == other { Ok(()) } else { Err("a restored market differs".into()) }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn market_now(&self) -> Timestamp {
        Timestamp(self.now + if self.has(Bug::ClockAhead) { 5 } else { 0 })
    }

    fn step(&mut self) -> Result<(), String> {
        self.stats.operations += 1;
        self.now += match self.rng.below(1_000) {
            0 => self.rng.below(1 << 32),
            1..=700 => self.rng.below(2_000),
            _ => 0,
        };
        let seats = self.oracle.seats.iter().flatten().count();
        match self.rng.below(100) {
            _ if seats < 2 => self.sign_in(),
            0..=29 => self.arrive(),
            30..=34 if seats < self.regime.seats => self.sign_in(),
            30..=34 => self.seat_changes(),
            35..=39 => self.seat_changes(),
            40..=64 => self.settle_offer(),
            65..=82 => self.end_claim(),
            83..=86 => self.abandon(),
            87..=91 => self.move_ticket(),
            92..=94 => self.exclude(),
            95 => self.new_rule(),
            _ => self.ask(),
        }
    }

    fn some_seat(&mut self) -> Option<usize> {
        let live: Vec<usize> = (0..self.oracle.seats.len()).filter(|&s| self.oracle.seats[s].is_some()).collect();
        self.rng.pick(&live).copied()
    }

    fn some_ticket(&mut self, held: bool) -> Option<usize> {
        let fits = |t: &Option<Ticket>| t.as_ref().is_some_and(|t| held || !t.held);
        let live: Vec<usize> = (0..self.oracle.tickets.len()).filter(|&t| fits(&self.oracle.tickets[t])).collect();
        self.rng.pick(&live).copied()
    }

    /// A lane for the market; `None` when it is full, which must be true.
    fn lane(&mut self, n: usize) -> Result<Option<LaneId>, String> {
        let mut spec = self.lanes[n].clone();
        if self.has(Bug::LevelIgnored) {
            spec.requires.iter_mut().for_each(|r| r.level = Level(0));
        }
        if self.has(Bug::WeightIgnored) {
            spec.weight = 1;
        }
        if self.has(Bug::OverdueIgnored) {
            spec.tier = Tier::Normal;
        }
        let mut used: Vec<usize> = self.oracle.tickets.iter().flatten().map(|t| t.lane).collect();
        used.sort_unstable();
        used.dedup();
        let full = used.len() >= self.regime.lanes as usize;
        if self.bug.is_none() && self.market.lanes_free() as usize != (self.regime.lanes as usize).saturating_sub(used.len()) {
            return Err(format!("{} lanes free with {} of {} used", self.market.lanes_free(), used.len(), self.regime.lanes));
        }
        let lane = self.market.lane(&spec);
        if lane.is_none() {
            self.stats.lanes_refused += 1;
            if !full {
                return Err("a lane was refused although one was empty".into());
            }
        } else if let Some(lane) = lane.filter(|_| self.bug.is_none()) {
            let any = self
                .oracle
                .seats
                .iter()
                .flatten()
                .any(|s| spec.requires.iter().all(|r| s.skills.iter().any(|h| h.skill == r.skill && h.level >= r.level)));
            if self.market.lane_has_seat(lane) != any || self.market.lane_find(&spec) != Some(lane) {
                return Err("a lane misjudges its seats".into());
            }
        }
        Ok(lane)
    }

    fn profile(&mut self) -> (Vec<Skill>, u16, i64) {
        let which = self.rng.below(self.regime.profiles);
        let mut rng = Rng(which * 77 + 5);
        let mut skills = Vec::new();
        for s in 0..5 {
            if rng.chance(60) {
                skills.push(Skill { skill: skill(s), level: Level(1 + rng.below(5) as u8) });
            }
        }
        skills.sort_unstable();
        let cost_ms = [0, 0, 5_000, -3_000][rng.below(4) as usize];
        (skills, 1 + self.rng.below(4) as u16, cost_ms)
    }

    fn sign_in(&mut self) -> Result<(), String> {
        let (skills, units, cost_ms) = self.profile();
        let id = SeatId(self.next_seat);
        self.next_seat += 1;
        // The market brings skills into order itself.
        let mut shuffled = skills.clone();
        shuffled.reverse();
        if !self.market.class_fits(&shuffled, cost_ms) {
            return Err("no class for a seat".into());
        }
        let slot = self.market.seat_insert(id, &shuffled, units, cost_ms);
        let at = self.oracle.seat_insert(id, skills, units, cost_ms);
        self.market.seat_open(slot, self.market_now());
        self.oracle.seat_open(at, self.now);
        if slot.0 as usize == at { self.seat_asks(at) } else { Err(format!("{slot:?} instead of {at}")) }
    }

    fn seat_changes(&mut self) -> Result<(), String> {
        let Some(at) = self.some_seat() else { return Ok(()) };
        let slot = SeatSlot(at as u32);
        match self.rng.below(4) {
            0 => {
                if !self.has(Bug::ShutIgnored) {
                    self.market.seat_shut(slot);
                }
                self.oracle.seat(at).open = false;
            }
            1 => {
                self.market.seat_open(slot, self.market_now());
                self.oracle.seat_open(at, self.now);
                return self.seat_asks(at);
            }
            2 => {
                let (skills, units, cost_ms) = self.profile();
                self.market.seat_update(slot, &skills, units, cost_ms, self.market_now());
                self.oracle.saw(self.now);
                let seat = self.oracle.seat(at);
                (seat.skills, seat.units, seat.cost_ms) = (skills, units, cost_ms);
            }
            _ if self.oracle.seat(at).used == 0 => {
                self.market.seat_remove(slot);
                self.oracle.seat_remove(at);
            }
            _ => {}
        }
        Ok(())
    }

    fn arrive(&mut self) -> Result<(), String> {
        if self.oracle.tickets.iter().flatten().count() >= self.regime.tickets {
            return Ok(());
        }
        let lane = self.rng.below(self.lanes.len() as u64) as usize;
        let Some(lane_id) = self.lane(lane)? else { return Ok(()) };
        let contact = ContactId(self.next_contact);
        self.next_contact += 1;
        let arrived = self.now - if self.rng.chance(20) { self.rng.below(100_000) } else { 0 };
        let head_start = match self.rng.below(10) {
            0..=6 => 0,
            7 | 8 => 1_000 * self.rng.below(300),
            _ => 2 * self.now,
        };
        let mut excluded = Exclusions::NONE;
        if self.rng.chance(self.regime.excluding) {
            for _ in 0..self.rng.below(9) {
                if let Some(at) = self.some_seat() {
                    excluded.push(self.oracle.seat(at).id);
                }
            }
        }
        let reserved = if self.rng.chance(10) { self.some_seat() } else { None };
        let bent = self.has(Bug::ReservationIgnored);
        let spec = TicketSpec {
            contact,
            lane: lane_id,
            arrived: Timestamp(arrived),
            head_start: Millis(if self.has(Bug::HeadStartIgnored) { 0 } else { head_start }),
            excluded,
            reserved: reserved.filter(|_| !bent).map(|at| SeatSlot(at as u32)),
        };
        let slot = self.market.ticket_insert(spec);
        let set = excluded.as_slice().iter().copied().collect();
        let at = self.oracle.ticket_insert(Ticket { contact, lane, arrived, head_start, excluded: set, reserved, held: false });
        if slot.0 as usize != at {
            return Err(format!("{slot:?} instead of {at}"));
        }
        self.ticket_asks(at)
    }

    fn ticket_asks(&mut self, at: usize) -> Result<(), String> {
        let got = self.market.select_agent(TicketSlot(at as u32), self.market_now());
        let want = self.oracle.select_agent(at, self.now);
        self.compare(got, want)
    }

    fn seat_asks(&mut self, at: usize) -> Result<(), String> {
        let got = self.market.select_contact(SeatSlot(at as u32), self.market_now());
        let want = self.oracle.select_contact(at, self.now);
        self.compare(got, want)
    }

    /// Any seat, any ticket, held or shut or not; commits nothing when it finds nothing.
    fn ask(&mut self) -> Result<(), String> {
        let (seat, ticket) = (self.some_seat(), self.some_ticket(true));
        match (self.rng.chance(50), seat, ticket) {
            (true, Some(at), _) => self.seat_asks(at),
            (_, _, Some(at)) => self.ticket_asks(at),
            _ => Ok(()),
        }
    }

    fn compare(&mut self, got: Selected, want: Option<Choice>) -> Result<(), String> {
        self.stats.decisions += 1;
        self.stats.work_max = self.stats.work_max.max(got.work);
        let mut choice = got.choice;
        let is_planted = self.stats.decisions % 100 == 0;
        if let Some(choice) = choice.as_mut().filter(|_| is_planted) {
            match self.bug {
                Some(Bug::SecondWins) if choice.runner_up.is_some() => choice.contact.0 ^= 1,
                Some(Bug::TermOff) => choice.terms.wait += 65_536,
                Some(Bug::RunnerUpLost) => choice.runner_up = None,
                _ => {}
            }
        }
        self.chains[2].word(u64::from(got.work));
        fold(&mut self.chains[0], choice);
        fold(&mut self.chains[1], want);
        if choice != want {
            return Err(format!("the market says {choice:?}, the oracle {want:?}"));
        }
        let Some(choice) = choice else { return Ok(()) };
        self.stats.overdue += u64::from(choice.terms.overdue > 0);
        let (t, s) = (choice.ticket.0 as usize, choice.seat.0 as usize);
        self.stats.reserved += u64::from(self.oracle.ticket(t).reserved.is_some());
        if self.rng.chance(85) {
            let units = self.lanes[self.oracle.ticket(t).lane].weight;
            self.market.ticket_hold(choice.ticket);
            self.market.seat_take(choice.seat, units, self.market_now());
            self.oracle.ticket(t).held = true;
            self.oracle.seat_take(s, units, self.now);
            self.offers.push(Offer { ticket: t, seat: s, units });
        }
        Ok(())
    }

    fn give(&mut self, seat: usize, units: u16, kept: bool) {
        let slot = SeatSlot(seat as u32);
        let tail = Place::Tail(Timestamp(self.now));
        let bent = self.has(Bug::KeptAtTail);
        self.market.seat_give(slot, units, if kept && !bent { Place::Kept } else { Place::Tail(self.market_now()) });
        self.oracle.seat_give(seat, units, if kept { Place::Kept } else { tail });
    }

    fn settle_offer(&mut self) -> Result<(), String> {
        if self.offers.is_empty() {
            return Ok(());
        }
        let which = self.rng.below(self.offers.len() as u64) as usize;
        let Offer { ticket, seat, units } = self.offers.swap_remove(which);
        let slot = TicketSlot(ticket as u32);
        let roll = self.rng.below(100);
        if roll >= self.regime.declines + 10 {
            self.market.ticket_remove(slot);
            self.oracle.ticket_remove(ticket);
            self.claims.push((seat, units));
            return Ok(());
        }
        if roll < self.regime.declines {
            let id = self.oracle.seat(seat).id;
            self.exclude_pair(ticket, id)?;
            self.give(seat, units, false);
        } else {
            self.give(seat, units, true);
        }
        if self.has(Bug::ReturnAtTail) {
            let (lane, contact) = (self.market.ticket_lane(slot), self.oracle.ticket(ticket).contact);
            self.market.ticket_remove(slot);
            let arrived = Timestamp(self.now);
            let (head_start, excluded) = (Millis(0), Exclusions::NONE);
            self.market.ticket_insert(TicketSpec { contact, lane, arrived, head_start, excluded, reserved: None });
        } else {
            self.market.ticket_return(slot);
        }
        self.oracle.ticket(ticket).held = false;
        if self.rng.chance(50) { self.ticket_asks(ticket) } else { self.seat_asks(seat) }
    }

    fn end_claim(&mut self) -> Result<(), String> {
        if self.claims.is_empty() {
            return Ok(());
        }
        let which = self.rng.below(self.claims.len() as u64) as usize;
        let (seat, units) = self.claims.swap_remove(which);
        self.give(seat, units, false);
        self.seat_asks(seat)
    }

    fn abandon(&mut self) -> Result<(), String> {
        let Some(at) = self.some_ticket(true) else { return Ok(()) };
        self.market.ticket_remove(TicketSlot(at as u32));
        self.oracle.ticket_remove(at);
        if let Some(which) = self.offers.iter().position(|o| o.ticket == at) {
            let offer = self.offers.swap_remove(which);
            self.give(offer.seat, offer.units, true);
        }
        Ok(())
    }

    fn move_ticket(&mut self) -> Result<(), String> {
        // A held ticket moves too (its step ends while an offer is out), but keeps what the seat reserved for it.
        let Some(at) = self.some_ticket(true) else { return Ok(()) };
        let to = self.rng.below(self.lanes.len() as u64) as usize;
        if self.oracle.ticket(at).held && self.lanes[to].weight != self.lanes[self.oracle.ticket(at).lane].weight {
            return Ok(());
        }
        let Some(lane) = self.lane(to)? else { return Ok(()) };
        let reserved = if self.rng.chance(20) { self.some_seat() } else { None };
        let bent = self.has(Bug::ReservationIgnored);
        let slot = TicketSlot(at as u32);
        let lane = if self.has(Bug::MoveIgnored) { self.market.ticket_lane(slot) } else { lane };
        self.market.ticket_move(slot, lane, reserved.filter(|_| !bent).map(|s| SeatSlot(s as u32)));
        let ticket = self.oracle.ticket(at);
        ticket.lane = to;
        ticket.reserved = reserved;
        self.ticket_asks(at)
    }

    fn exclude(&mut self) -> Result<(), String> {
        let (Some(at), Some(seat)) = (self.some_ticket(true), self.some_seat()) else { return Ok(()) };
        let many = if self.rng.chance(10) { self.rng.below(12) } else { 1 };
        let id = self.oracle.seat(seat).id;
        self.exclude_pair(at, id)?;
        for _ in 1..many {
            if let Some(seat) = self.some_seat() {
                let id = self.oracle.seat(seat).id;
                self.exclude_pair(at, id)?;
            }
        }
        Ok(())
    }

    fn exclude_pair(&mut self, at: usize, id: SeatId) -> Result<(), String> {
        if self.has(Bug::ExclusionForgotten) {
            self.oracle.ticket(at).excluded.insert(id);
            return Ok(());
        }
        let few = self.market.ticket_exclude(TicketSlot(at as u32), id);
        self.oracle.ticket(at).excluded.insert(id);
        let count = self.oracle.ticket(at).excluded.len();
        self.stats.exceptional += u64::from(!few);
        if few != (count <= 8) {
            return Err(format!("{count} exclusions and the market says {few}"));
        }
        Ok(())
    }

    fn new_rule(&mut self) -> Result<(), String> {
        let selection = [Selection::LongestIdle, Selection::BestSkilled, Selection::LeastSkilled, Selection::LeastLoaded]
            [self.rng.below(4) as usize];
        let rule = Rule {
            selection,
            idle_slope_q16: [0, 0, 65_536, 1 << 24][self.rng.below(4) as usize],
            level_weight_ms: [0, 1_000, 60_000, (1 << 40) / 65_535][self.rng.below(4) as usize],
            affinity_ms: [0, 30_000, -30_000, 1 << 39][self.rng.below(4) as usize],
        };
        if !self.has(Bug::RuleIgnored) {
            self.market.set_rule(rule);
        }
        self.oracle.rule = rule;
        Ok(())
    }
}

fn fold(chain: &mut Chain, choice: Option<Choice>) {
    let Some(c) = choice else { return chain.word(0) };
    let t = c.terms;
    for word in [u64::from(c.ticket.0), c.contact.0, u64::from(c.seat.0), c.seat_id.0, u64::from(c.candidates)] {
        chain.word(word);
    }
    for term in [t.base, t.queue, t.wait, t.idle, t.cost, t.affinity, t.overdue] {
        chain.word(term as u64);
    }
    chain.word(u64::from(c.passed.excluded) << 32 | u64::from(c.passed.ineligible));
    chain.word(c.runner_up.map_or(0, |r| r.id));
    chain.word(c.runner_up.map_or(0, |r| r.score as u64));
}
