//! The distributor alone: policy, lanes, seats and tickets, without conversations, channels or a log.
//!
//! The twin's fast mode drives it in virtual time, and an embedder may in his own. It decides by the very rules that
//! [`crate::Tenant`] decides by (`policy/wait.rs`, the market): equal arrivals, seats and times give equal decisions, which
//! `sim/tests/floor/parity.rs` proves contact by contact. What it leaves to its driver are the acts (accepting, ending, hanging
//! up) and the calendar: it says when a wait changes by itself ([`Distributor::deadline`]), and the driver calls
//! [`Distributor::due`] then. It keeps no record of what is over and emits nothing.
//!
//! One act at a time: after each, look with [`Distributor::find_seat`] (a contact came, or its rules changed) or
//! [`Distributor::find_contact`] (a seat has free units) until nothing is found, before the next act.

use crate::policy::PolicyFault;
use crate::policy::plan::{self, Plan};
use crate::policy::wait::{self, Wait, WaitDue};
use alloc::vec::Vec;
use thiserror::Error;
use tidegate_matcher::market::{Choice, Exclusions, LaneId, Market, MarketLimits, Place, SeatSlot, Skill, TicketSlot, TicketSpec};
use tidegate_model::policy::{AgentProfile, Policy};
use tidegate_model::{ClassName, ContactId, Level, QueueName, SeatId, SkillName, Timestamp};

/// A kind of request: queue, class, weight and extra skills, with its lanes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Kind(u32);

/// Why a kind of request cannot be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum KindError {
    /// The policy has no such queue.
    #[error("the policy has no such queue")]
    UnknownQueue,
    /// The policy has no such class.
    #[error("the policy has no such class")]
    UnknownClass,
    /// The lanes do not fit the limits.
    #[error("no lane is free: raise the limit of lanes")]
    Lanes,
}

/// What has become of a waiting contact whose deadline came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waits {
    /// It gave up by the policy (`TimedOut`); its ticket is gone.
    GaveUp,
    /// Another lane or another rule: look for a seat, and ask for its new deadline.
    Look,
    /// Nothing yet; ask for its new deadline.
    On,
}

#[derive(Clone, Debug)]
struct Lanes {
    queue: u16,
    class: u16,
    weight: u16,
    lanes: Vec<[u16; 2]>,
}

#[derive(Clone, Copy, Debug)]
struct Standing {
    kind: u32,
    wait: Wait,
}

/// The automatic contact distributor of one tenant. See the module.
#[derive(Clone, Debug)]
pub struct Distributor {
    plan: Plan,
    market: Market,
    kinds: Vec<Lanes>,
    /// By ticket.
    standing: Vec<Standing>,
    /// Waiting and offered contacts by queue.
    queue_lengths: Vec<u32>,
}

impl Distributor {
    /// An empty distributor under this policy.
    ///
    /// # Errors
    /// The policy's first fault.
    pub fn new(limits: MarketLimits, policy: Policy) -> Result<Self, PolicyFault> {
        let plan = Plan::compile([0; 32], policy)?;
        let mut market = Market::new(limits);
        market.set_rule(plan::rule_of(&plan.policy));
        let queue_lengths = alloc::vec![0; plan.queues.len()];
        Ok(Self { plan, market, kinds: Vec::new(), standing: Vec::new(), queue_lengths })
    }

    /// Makes a kind of request known; the class is the policy's default for [`ClassName::NONE`]. Call it before contacts come:
    /// O(classes of seats) each.
    ///
    /// # Errors
    /// [`KindError`].
    pub fn kind(
        &mut self,
        queue: QueueName,
        class: ClassName,
        weight: u16,
        extra: &[(SkillName, Level)],
    ) -> Result<Kind, KindError> {
        let queue = self.plan.queue(queue).ok_or(KindError::UnknownQueue)?;
        let class =
            if class.is_none() { self.plan.default_class } else { self.plan.class(class).ok_or(KindError::UnknownClass)? };
        let specs = wait::lane_specs(&self.plan.queues[usize::from(queue)], self.plan.classes[usize::from(class)], weight, extra);
        let mut lanes = Vec::with_capacity(specs.len());
        for [normal, overdue] in specs {
            let mut pinned = |spec| {
                let lane = self.market.lane(spec)?;
                self.market.lane_pin(lane);
                Some(lane.0)
            };
            lanes.push([pinned(&normal).ok_or(KindError::Lanes)?, pinned(&overdue).ok_or(KindError::Lanes)?]);
        }
        self.kinds.push(Lanes { queue, class, weight, lanes });
        Ok(Kind((self.kinds.len() - 1) as u32))
    }

    /// An agent signs in, paused.
    ///
    /// # Panics
    /// If a limit of seats or supply classes is reached: make the limits fit the roster.
    pub fn sign_in(&mut self, seat: SeatId, profile: &AgentProfile) -> SeatSlot {
        let skills: Vec<Skill> = plan::skills(&profile.skills);
        self.market.seat_insert(seat, &skills, profile.units, profile.cost_ms)
    }

    /// An agent with no unit in use signs out.
    ///
    /// # Panics
    /// If units are in use.
    pub fn sign_out(&mut self, seat: SeatSlot) {
        self.market.seat_remove(seat);
    }

    /// The agent may be offered contacts; look for one.
    pub fn ready(&mut self, seat: SeatSlot, now: Timestamp) {
        self.market.seat_open(seat, now);
    }

    /// The agent may not be offered contacts; those he has, he keeps.
    pub fn pause(&mut self, seat: SeatSlot) {
        self.market.seat_shut(seat);
    }

    /// A contact asks for an agent at `now`, with the seniority of `arrived`; `None` when its queue is full. `excluded` is a seat
    /// that has just handed it on. Look for a seat next.
    ///
    /// # Panics
    /// If the limit of tickets is reached, or the contact waits already.
    pub fn enqueue(
        &mut self,
        kind: Kind,
        contact: ContactId,
        arrived: Timestamp,
        excluded: Option<SeatId>,
        now: Timestamp,
    ) -> Option<TicketSlot> {
        let lanes = &self.kinds[kind.0 as usize];
        let queue = &self.plan.queues[usize::from(lanes.queue)];
        let length = &mut self.queue_lengths[usize::from(lanes.queue)];
        if *length >= queue.length_max {
            return None;
        }
        *length += 1;
        let step = wait::step_from(&queue.steps, &lanes.lanes, &self.market, 0);
        let mut exclusions = Exclusions::NONE;
        if let Some(seat) = excluded {
            exclusions.push(seat);
        }
        let ticket = self.market.ticket_insert(TicketSpec {
            contact,
            lane: LaneId(lanes.lanes[usize::from(step)][0]),
            arrived,
            head_start: self.plan.classes[usize::from(lanes.class)].head_start,
            excluded: exclusions,
            reserved: None,
        });
        let wait = Wait { requested_at: arrived, step_entered_at: now, reserved_until: Timestamp::NEVER, step, overdue: false };
        let standing = Standing { kind: kind.0, wait };
        match self.standing.get_mut(ticket.0 as usize) {
            Some(place) => *place = standing,
            None => self.standing.push(standing),
        }
        Some(ticket)
    }

    /// When something of this wait changes by itself; [`Timestamp::NEVER`] for never.
    pub fn deadline(&self, ticket: TicketSlot) -> Timestamp {
        let standing = &self.standing[ticket.0 as usize];
        wait::deadline(&self.plan.queues[usize::from(self.kinds[standing.kind as usize].queue)], &standing.wait)
    }

    /// The deadline of a contact that waits (not of one that is offered) has come.
    pub fn due(&mut self, ticket: TicketSlot, now: Timestamp) -> Waits {
        let standing = &mut self.standing[ticket.0 as usize];
        let lanes = &self.kinds[standing.kind as usize];
        let queue = &self.plan.queues[usize::from(lanes.queue)];
        match wait::due(queue, &standing.wait, now) {
            WaitDue::GiveUp => {
                self.leave(ticket);
                return Waits::GaveUp;
            }
            WaitDue::Nothing => return Waits::On,
            WaitDue::FreeReservation => standing.wait.reserved_until = Timestamp::NEVER,
            WaitDue::Overdue => standing.wait.overdue = true,
            WaitDue::NextStep(step) => {
                standing.wait.step = wait::step_from(&queue.steps, &lanes.lanes, &self.market, step);
                standing.wait.step_entered_at = now;
            }
        }
        let lane = lanes.lanes[usize::from(standing.wait.step)][usize::from(standing.wait.overdue)];
        self.market.ticket_move(ticket, LaneId(lane), None);
        Waits::Look
    }

    /// The seat for a waiting contact.
    #[inline]
    pub fn find_seat(&self, ticket: TicketSlot, now: Timestamp) -> Option<Choice> {
        self.market.select_agent(ticket, now).choice
    }

    /// The contact for a seat; none for one that is shut or full.
    #[inline]
    pub fn find_contact(&self, seat: SeatSlot, now: Timestamp) -> Option<Choice> {
        self.market.select_contact(seat, now).choice
    }

    /// The offer of a choice goes out: the contact stands in no lane, the seat's units are taken.
    pub fn offer(&mut self, choice: &Choice, now: Timestamp) {
        let units = self.units(choice.ticket);
        self.market.ticket_hold(choice.ticket);
        self.market.seat_take(choice.seat, units, now);
    }

    /// The offer is accepted: the ticket is gone. The seat's units come back with [`Distributor::release`].
    pub fn accept(&mut self, ticket: TicketSlot) {
        self.leave(ticket);
    }

    /// An offer that is accepted at once.
    #[inline]
    pub fn assign(&mut self, choice: &Choice, now: Timestamp) {
        let units = self.units(choice.ticket);
        self.leave(choice.ticket);
        self.market.seat_take(choice.seat, units, now);
    }

    /// The customer left while an offer was out: the seat keeps its place among the idle. Look for a contact for it next.
    pub fn rescind(&mut self, ticket: TicketSlot, seat: SeatSlot) {
        let units = self.units(ticket);
        self.leave(ticket);
        self.market.seat_give(seat, units, Place::Kept);
    }

    /// A waiting contact leaves.
    pub fn leave(&mut self, ticket: TicketSlot) {
        let kind = self.standing[ticket.0 as usize].kind;
        self.queue_lengths[usize::from(self.kinds[kind as usize].queue)] -= 1;
        self.market.ticket_remove(ticket);
    }

    /// A claim and its wrap-up are over: its units are free. Look for a contact for the seat next.
    #[inline]
    pub fn release(&mut self, seat: SeatSlot, units: u16, now: Timestamp) {
        self.market.seat_give(seat, units, Place::Tail(now));
    }

    /// Units that contacts of this kind take of a seat.
    pub fn weight(&self, kind: Kind) -> u16 {
        self.kinds[kind.0 as usize].weight
    }

    /// Contacts that wait and have no offer.
    pub fn waiting(&self) -> u32 {
        self.market.waiting()
    }

    /// Units of the seat in use.
    pub fn used_units(&self, seat: SeatSlot) -> u16 {
        self.market.seat_used_units(seat)
    }

    fn units(&self, ticket: TicketSlot) -> u16 {
        self.kinds[self.standing[ticket.0 as usize].kind as usize].weight
    }
}
