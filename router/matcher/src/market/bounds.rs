//! Proof that no score can overflow, made once when a policy or a roster entry loads.
//!
//! A score is the sum of seven terms. With the limits below the six of the normal tier stay within 2^39 ms (wait, idle,
//! queue, cost, affinity) and 2^40 ms (levels) of virtual wait: together 7 * 2^39 < 2^42 ms, which in Q16 is [`OVERDUE`].
//! So each term is below 2^58, no sum overflows, and the overdue tier comes first whatever policies say, even while
//! lanes of an old policy drain under a new one: the limits hold one by one, not for a combination. Nothing in the market
//! saturates or wraps; whoever skips these checks meets an assertion, never a wrong decision.

use super::Rule;
use tidegate_model::policy::{SLOPE_MAX_Q16, Selection};

/// The term of the overdue tier: above every normal score.
pub const OVERDUE: i64 = 1 << 58;
/// Largest weight of a queue, either sign, in milliseconds of virtual wait (17 years).
pub const WEIGHT_MAX_MS: i64 = 1 << 39;
/// Largest cost of a seat, either sign, in milliseconds of virtual wait.
pub const COST_MAX_MS: i64 = 1 << 39;
/// Largest affinity, either sign, in milliseconds of virtual wait.
pub const AFFINITY_MAX_MS: i64 = 1 << 39;
/// Largest product of level weight and what it multiplies (levels, or free units), in milliseconds of virtual wait.
pub const LEVEL_SCORE_MAX_MS: i64 = 1 << 40;
/// Most skills a lane may require.
pub const REQUIRES_MAX: usize = 64;

/// Why a policy or a roster entry cannot be scored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BoundsError {
    /// The slope of a class.
    #[error("slope {0} (Q16) is outside 1 to {SLOPE_MAX_Q16}: change the slope of the class")]
    Slope(i64),
    /// The idle slope.
    #[error("idle slope {0} (Q16) is outside 0 to {SLOPE_MAX_Q16}: change the idle slope")]
    IdleSlope(i64),
    /// The weight of a queue.
    #[error("queue weight {0} ms is outside ±{WEIGHT_MAX_MS} ms: change the weight")]
    QueueWeight(i64),
    /// The affinity.
    #[error("affinity {0} ms is outside ±{AFFINITY_MAX_MS} ms: change the affinity")]
    Affinity(i64),
    /// The cost of a seat.
    #[error("cost {0} ms is outside ±{COST_MAX_MS} ms: change the seat's cost")]
    Cost(i64),
    /// The level weight is negative.
    #[error("level weight {0} ms is negative: choose another selection instead")]
    LevelWeight(i64),
    /// Level weight times the most it can multiply.
    #[error("level weight {weight_ms} ms times {most} passes {LEVEL_SCORE_MAX_MS} ms: lower the level weight")]
    LevelScore {
        /// The weight.
        weight_ms: i64,
        /// The most levels, or free units, that it may multiply.
        most: i64,
    },
    /// Too many skills.
    #[error("{0} required skills: at most {REQUIRES_MAX}")]
    Requires(usize),
}

/// Proves that every score under `rule`, in a queue of this weight, for a class of this slope and for a step of `requires`
/// skills, is exact and below the overdue tier, whatever seat (of a cost that [`check_cost`] admits) takes the contact.
///
/// # Errors
/// The first limit that is passed, with the figure.
pub fn check_bounds(rule: &Rule, queue_weight_ms: i64, slope_q16: i64, requires: usize) -> Result<(), BoundsError> {
    if !(1..=SLOPE_MAX_Q16).contains(&slope_q16) {
        return Err(BoundsError::Slope(slope_q16));
    }
    if !(-WEIGHT_MAX_MS..=WEIGHT_MAX_MS).contains(&queue_weight_ms) {
        return Err(BoundsError::QueueWeight(queue_weight_ms));
    }
    if requires > REQUIRES_MAX {
        return Err(BoundsError::Requires(requires));
    }
    check_rule(rule)
}

/// Proves that the cost of a seat is one that [`check_bounds`] reckons with.
///
/// # Errors
/// [`BoundsError::Cost`].
pub fn check_cost(cost_ms: i64) -> Result<(), BoundsError> {
    if (-COST_MAX_MS..=COST_MAX_MS).contains(&cost_ms) { Ok(()) } else { Err(BoundsError::Cost(cost_ms)) }
}

/// The rule's own terms: [`check_bounds`] without a queue and a class.
///
/// # Errors
/// The first limit that is passed, with the figure.
pub fn check_rule(rule: &Rule) -> Result<(), BoundsError> {
    if !(0..=SLOPE_MAX_Q16).contains(&rule.idle_slope_q16) {
        return Err(BoundsError::IdleSlope(rule.idle_slope_q16));
    }
    if !(-AFFINITY_MAX_MS..=AFFINITY_MAX_MS).contains(&rule.affinity_ms) {
        return Err(BoundsError::Affinity(rule.affinity_ms));
    }
    if rule.level_weight_ms < 0 {
        return Err(BoundsError::LevelWeight(rule.level_weight_ms));
    }
    let most = level_units_max(rule.selection);
    if most > 0 && rule.level_weight_ms > LEVEL_SCORE_MAX_MS / most {
        return Err(BoundsError::LevelScore { weight_ms: rule.level_weight_ms, most });
    }
    Ok(())
}

/// The most that a level weight may multiply. A level is a byte: whoever reads a roster keeps it to ten, the proof does
/// not rest on that; nor on how many skills the lanes of this moment require.
pub const fn level_units_max(selection: Selection) -> i64 {
    match selection {
        Selection::LongestIdle => 0,
        Selection::BestSkilled | Selection::LeastSkilled => REQUIRES_MAX as i64 * u8::MAX as i64,
        Selection::LeastLoaded => u16::MAX as i64,
    }
}
