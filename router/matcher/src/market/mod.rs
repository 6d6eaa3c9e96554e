//! The market: who gets whom, decided by one thread, exactly and repeatably.
//!
//! Waiting contacts stand as tickets in lanes, signed-in seats in supply classes, and one affine integer score compares
//! heads (see [`check_bounds`] for why it cannot overflow). The owner plans on `&Market` ([`Market::select_agent`],
//! [`Market::select_contact`]: pure reads) and commits on `&mut Market`, where nothing fails once the plan has looked at
//! [`Market::tickets_free`] and its sisters; an assertion there is a fault of the caller, never of an input.
//!
//! It refuses to know clocks (`now` is an argument), offers, claims, policies and messages; it holds no float, no hash
//! order and no lock. Equal sequences of calls give equal decisions on every machine, restored from a snapshot or not.
//! The structure follows the papers named in `docs/ALGORITHM.md`: because every ticket of a lane ages at one rate, the
//! order inside a lane never changes, and a freed seat compares one head a lane.

mod bits;
mod bounds;
mod codec;
mod lanes;
mod line;
mod seats;
mod select;
mod tickets;
mod types;
mod views;

pub use bounds::{
    AFFINITY_MAX_MS, BoundsError, COST_MAX_MS, LEVEL_SCORE_MAX_MS, OVERDUE, REQUIRES_MAX, WEIGHT_MAX_MS, check_bounds, check_cost,
    check_rule, level_units_max,
};
pub use codec::DecodeError;
pub use types::{
    Choice, ClassId, Exclusions, LaneId, LaneSpec, MarketLimits, Place, Rule, SeatSlot, Selected, Skill, TicketSlot, TicketSpec,
    Tier, canonical,
};

use crate::room::touch_spare;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bits::{Bits, Index, Matrix};
use lanes::{Lane, LaneHead, LaneTerms};
use seats::{Class, ClassHead, Reserved, Seat};
use tickets::Ticket;
use tidegate_model::{SeatId, Timestamp};

/// Entries of one lane that a decision may walk past because they exclude the seat. Beyond them the lane gives no
/// candidate: an upper bound of the work, and a rule that the oracle shares.
pub const WALK_MAX: u32 = 256;

/// Entries of a table that are reserved at most: limits may be read from bytes that nobody has checked.
const RESERVED_MAX: u32 = 1 << 20;

/// Times are compared as signed milliseconds of at most this size: no sum of two overflows.
const TIME_MAX_MS: u64 = 1 << 60;

/// The market of one tenant. See the module.
#[derive(Clone, Debug)]
pub struct Market {
    limits: MarketLimits,
    rule: Rule,
    /// Latest moment seen: idle times never run against places.
    clock: Timestamp,
    /// The next idle place; 0 is "never had one".
    next_place: u64,

    seats: Vec<Seat>,
    seats_freed: Vec<u32>,
    /// Waiting tickets reserved for a seat, by its slot: (lane, key, contact, ticket). Seats without any are not in it.
    private: BTreeMap<u32, Reserved>,
    classes: Vec<Class>,
    /// What a search reads of a class, dense.
    class_heads: Vec<ClassHead>,
    /// The cost term of a class, Q16.
    class_costs: Vec<i64>,
    /// Classes by lanes: which lanes a class may serve.
    class_rows: Matrix,
    /// The same as lists, ascending: a search reads those, because a seat may serve few lanes and most of them stand.
    class_lanes: Vec<Vec<u16>>,
    classes_freed: Vec<u32>,
    class_index: Index,
    /// Classes by cost: a single cost makes idle places the whole order under longest idle.
    costs: BTreeMap<i64, u32>,
    /// Classes with a seat that is open and has a free unit.
    idle: Bits,

    lanes: Vec<Lane>,
    /// What a search reads of a lane, dense.
    lane_heads: Vec<LaneHead>,
    /// What a lane asks for: read when lanes or classes appear, and where levels count.
    lane_specs: Vec<LaneTerms>,
    /// Lanes by classes: which classes may serve a lane.
    lane_rows: Matrix,
    lane_index: Index,
    /// Lanes in which a ticket stands.
    standing: Bits,
    /// Standing lanes whose head is not simply the candidate.
    knotty: u32,
    /// Lanes to which a ticket belongs, held and reserved ones included.
    lanes_populated: u32,

    tickets: Vec<Ticket>,
    tickets_freed: Vec<u32>,
    /// Tickets that are not held.
    waiting: u32,
    /// Exclusions of tickets that have any, by the ticket's `pool`.
    exclusions: Vec<Exclusions>,
    exclusions_freed: Vec<u32>,
    /// Exclusions of tickets that have more than fit.
    exceptional: BTreeMap<u32, BTreeSet<SeatId>>,
}

impl Market {
    /// An empty market, with the default [`Rule`].
    pub fn new(limits: MarketLimits) -> Self {
        let mut market = Self {
            limits: MarketLimits { lanes: limits.lanes.min(u32::from(u16::MAX)), ..limits },
            rule: Rule::default(),
            clock: Timestamp(0),
            next_place: 1,
            seats: Vec::new(),
            seats_freed: Vec::new(),
            private: BTreeMap::new(),
            classes: Vec::new(),
            class_heads: Vec::new(),
            class_costs: Vec::new(),
            class_rows: Matrix::default(),
            class_lanes: Vec::new(),
            classes_freed: Vec::new(),
            class_index: Index::default(),
            costs: BTreeMap::new(),
            idle: Bits::default(),
            lanes: Vec::new(),
            lane_heads: Vec::new(),
            lane_specs: Vec::new(),
            lane_rows: Matrix::default(),
            lane_index: Index::default(),
            standing: Bits::default(),
            knotty: 0,
            lanes_populated: 0,
            tickets: Vec::new(),
            tickets_freed: Vec::new(),
            waiting: 0,
            exclusions: Vec::new(),
            exclusions_freed: Vec::new(),
            exceptional: BTreeMap::new(),
        };
        market.reserve();
        market
    }

    /// Room by the limits, at once: growth would copy a million tickets inside one input. Untouched pages cost nothing.
    fn reserve(&mut self) {
        fn to<T>(values: &mut Vec<T>, limit: u32) {
            values.reserve_exact((limit.min(RESERVED_MAX) as usize).saturating_sub(values.len()));
        }
        let MarketLimits { tickets, seats, lanes, classes } = self.limits;
        to(&mut self.tickets, tickets);
        to(&mut self.tickets_freed, tickets);
        to(&mut self.exclusions, tickets);
        to(&mut self.exclusions_freed, tickets);
        to(&mut self.seats, seats);
        to(&mut self.seats_freed, seats);
        to(&mut self.classes, classes);
        to(&mut self.class_heads, classes);
        to(&mut self.class_costs, classes);
        to(&mut self.class_lanes, classes);
        to(&mut self.classes_freed, classes);
        to(&mut self.lanes, lanes);
        to(&mut self.lane_heads, lanes);
        to(&mut self.lane_specs, lanes);
    }

    /// Writes the memory reserved for tickets once; at most `budget` bytes, which are taken off it. No effect on any result.
    pub fn prefault(&mut self, budget: &mut usize) {
        touch_spare(&mut self.tickets, budget, Ticket::vacant);
        touch_spare(&mut self.tickets_freed, budget, || 0);
        touch_spare(&mut self.exclusions, budget, || Exclusions::NONE);
        touch_spare(&mut self.exclusions_freed, budget, || 0);
    }

    /// How many entries each growing table has room for without moving.
    pub fn room(&self) -> [(&'static str, usize); 9] {
        [
            ("tickets", self.tickets.capacity()),
            ("tickets, free", self.tickets_freed.capacity()),
            ("exclusions", self.exclusions.capacity()),
            ("exclusions, free", self.exclusions_freed.capacity()),
            ("market seats", self.seats.capacity()),
            ("market seats, free", self.seats_freed.capacity()),
            ("classes", self.classes.capacity()),
            ("class lanes", self.class_lanes.capacity()),
            ("lanes", self.lanes.capacity()),
        ]
    }

    /// Sets the score's settings; tickets and seats stay as they are.
    ///
    /// # Panics
    /// If the rule is out of its bounds ([`check_rule`]).
    pub fn set_rule(&mut self, rule: Rule) {
        assert_eq!(check_rule(&rule), Ok(()), "the rule was not checked");
        self.rule = rule;
    }

    /// The score's settings.
    pub const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// What the market may hold.
    pub const fn limits(&self) -> &MarketLimits {
        &self.limits
    }

    /// Changes what the market may hold. Lowering a limit below what is held lets nobody out and nobody in.
    pub fn set_limits(&mut self, limits: MarketLimits) {
        self.limits = MarketLimits { lanes: limits.lanes.min(u32::from(u16::MAX)), ..limits };
    }
}

/// A time as signed milliseconds.
const fn signed_ms(time: u64) -> i64 {
    (if time > TIME_MAX_MS { TIME_MAX_MS } else { time }) as i64
}
