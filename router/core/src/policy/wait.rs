//! The rules of a wait: which lanes a request stands in, which step it enters, when its next change is due and what it is.
//!
//! Pure functions of a compiled policy and of what is known of one waiting contact. The tenant machine and the
//! [`crate::Distributor`] both decide by these, so that the twin's fast mode cannot drift from the router. They know neither
//! conversations nor tickets, and ask the market one thing only: whether a signed-in seat has the skills of a lane.

use super::plan::{ClassPlan, QueuePlan, StepPlan};
use alloc::vec::Vec;
use tidegate_matcher::market::{LaneId, LaneSpec, Market, Skill, Tier, canonical};
use tidegate_model::policy::SkipIf;
use tidegate_model::{Level, Millis, SkillName, Timestamp};

/// What the rules know of a waiting contact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    /// Its seniority.
    pub(crate) requested_at: Timestamp,
    pub(crate) step_entered_at: Timestamp,
    /// Until when it waits for its preferred seat alone; [`Timestamp::NEVER`] for not at all.
    pub(crate) reserved_until: Timestamp,
    pub(crate) step: u8,
    pub(crate) overdue: bool,
}

/// What has come due of a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WaitDue {
    GiveUp,
    FreeReservation,
    Overdue,
    NextStep(u8),
    Nothing,
}

/// The lanes of a request, one pair a step: normal and overdue.
pub(crate) fn lane_specs(queue: &QueuePlan, class: ClassPlan, weight: u16, extra: &[(SkillName, Level)]) -> Vec<[LaneSpec; 2]> {
    let spec = |(i, step): (usize, &StepPlan)| {
        let mut requires: Vec<Skill> = step.requires.clone();
        requires.extend(extra.iter().filter(|(s, _)| !s.is_none()).map(|&(skill, level)| Skill { skill, level }));
        let normal = LaneSpec {
            queue: queue.name,
            queue_weight_ms: queue.weight_ms,
            step: i as u8,
            requires: canonical(requires),
            slope_q16: class.slope_q16,
            weight,
            tier: Tier::Normal,
        };
        let overdue = LaneSpec { tier: Tier::Overdue, ..normal.clone() };
        [normal, overdue]
    };
    queue.steps.iter().enumerate().map(spec).collect()
}

/// Step `from`, or the first one behind it that is not passed over.
pub(crate) fn step_from(steps: &[StepPlan], lanes: &[[u16; 2]], market: &Market, from: u8) -> u8 {
    let last = steps.len() - 1;
    let mut step = usize::from(from).min(last);
    while step < last && steps[step].skip_if == SkipIf::NoSeat && !market.lane_has_seat(LaneId(lanes[step][0])) {
        step += 1;
    }
    step as u8
}

/// When something of this wait changes by itself; [`Timestamp::NEVER`] for never.
pub(crate) fn deadline(queue: &QueuePlan, wait: &Wait) -> Timestamp {
    let after = |span: Option<Millis>| span.map_or(Timestamp::NEVER, |s| wait.requested_at + s);
    let overdue = if wait.overdue { Timestamp::NEVER } else { after(queue.overdue_after) };
    let lasts = queue.steps[usize::from(wait.step)].lasts;
    let step_until = lasts.map_or(Timestamp::NEVER, |l| wait.step_entered_at + l);
    overdue.min(after(queue.gives_up_after)).min(step_until).min(wait.reserved_until)
}

/// What is due at `at`, the first thing first.
pub(crate) fn due(queue: &QueuePlan, wait: &Wait, at: Timestamp) -> WaitDue {
    let due = |after: Option<Millis>| after.is_some_and(|s| wait.requested_at + s <= at);
    let lasts = queue.steps[usize::from(wait.step)].lasts;
    if due(queue.gives_up_after) {
        WaitDue::GiveUp
    } else if wait.reserved_until <= at {
        WaitDue::FreeReservation
    } else if !wait.overdue && due(queue.overdue_after) {
        WaitDue::Overdue
    } else if lasts.is_some_and(|lasts| wait.step_entered_at + lasts <= at) {
        WaitDue::NextStep(wait.step + 1)
    } else {
        WaitDue::Nothing
    }
}
