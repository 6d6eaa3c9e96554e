//! The bounds that keep scores exact: each limit at it, one above, ten times above; and all of them at once in a market.

use tidegate_matcher::market::{
    AFFINITY_MAX_MS, BoundsError, COST_MAX_MS, Exclusions, LEVEL_SCORE_MAX_MS, LaneSpec, Market, MarketLimits, OVERDUE,
    REQUIRES_MAX, Rule, Skill, TicketSpec, Tier, WEIGHT_MAX_MS, check_bounds, check_cost, level_units_max,
};
use tidegate_model::policy::{SLOPE_MAX_Q16, Selection, WAIT_CAP_MS};
use tidegate_model::{ContactId, Level, Millis, QueueName, SeatId, SkillName, Timestamp};

const SELECTIONS: [Selection; 4] =
    [Selection::LongestIdle, Selection::BestSkilled, Selection::LeastSkilled, Selection::LeastLoaded];

/// The steepest rule that is admitted.
fn steepest(selection: Selection) -> Rule {
    let level_weight_ms = LEVEL_SCORE_MAX_MS / level_units_max(selection).max(1);
    Rule { selection, idle_slope_q16: SLOPE_MAX_Q16, level_weight_ms, affinity_ms: AFFINITY_MAX_MS }
}

/// At the limit it passes; one above and ten times above it fails with the figure.
fn check(limit: i64, error: impl Fn(i64) -> BoundsError, with: impl Fn(i64) -> Result<(), BoundsError>) {
    assert_eq!(with(limit), Ok(()), "at the limit {limit}");
    for above in [limit + limit.signum(), limit * 10] {
        assert_eq!(with(above), Err(error(above)), "above the limit {limit}");
    }
}

#[test]
fn each_limit_holds_at_it_one_above_ten_times_above() {
    let rule = steepest(Selection::BestSkilled);
    check(SLOPE_MAX_Q16, BoundsError::Slope, |v| check_bounds(&rule, 0, v, 1));
    check(WEIGHT_MAX_MS, BoundsError::QueueWeight, |v| check_bounds(&rule, v, 1, 1));
    check(-WEIGHT_MAX_MS, BoundsError::QueueWeight, |v| check_bounds(&rule, v, 1, 1));
    check(SLOPE_MAX_Q16, BoundsError::IdleSlope, |v| check_bounds(&Rule { idle_slope_q16: v, ..rule }, 0, 1, 1));
    for limit in [AFFINITY_MAX_MS, -AFFINITY_MAX_MS] {
        check(limit, BoundsError::Affinity, |v| check_bounds(&Rule { affinity_ms: v, ..rule }, 0, 1, 1));
    }
    for limit in [COST_MAX_MS, -COST_MAX_MS] {
        check(limit, BoundsError::Cost, check_cost);
    }
    for selection in SELECTIONS.into_iter().filter(|s| level_units_max(*s) > 0) {
        let most = level_units_max(selection);
        let error = |weight_ms| BoundsError::LevelScore { weight_ms, most };
        let rule = steepest(selection);
        check(LEVEL_SCORE_MAX_MS / most, error, |v| check_bounds(&Rule { level_weight_ms: v, ..rule }, 0, 1, 1));
    }
    check(REQUIRES_MAX as i64, |v| BoundsError::Requires(v as usize), |v| check_bounds(&rule, 0, 1, v as usize));
    assert_eq!(check_bounds(&rule, 0, 0, 1), Err(BoundsError::Slope(0)));
    assert_eq!(check_bounds(&Rule { idle_slope_q16: -1, ..rule }, 0, 1, 1), Err(BoundsError::IdleSlope(-1)));
    assert_eq!(check_bounds(&Rule { level_weight_ms: -1, ..rule }, 0, 1, 1), Err(BoundsError::LevelWeight(-1)));
    // No combination of what the limits admit reaches a hostile extreme.
    for v in [i64::MIN, i64::MAX] {
        assert!(check_bounds(&rule, v, 1, 1).is_err() && check_bounds(&rule, 0, v, 1).is_err() && check_cost(v).is_err());
        assert!(check_bounds(&Rule { level_weight_ms: v, ..rule }, 0, 1, 1).is_err());
        assert!(check_bounds(&Rule { affinity_ms: v, ..rule }, 0, 1, 1).is_err());
    }
}

#[test]
fn errors_say_what_to_change() {
    let text = check_cost(COST_MAX_MS + 1).map_err(|e| e.to_string());
    assert_eq!(text, Err("cost 549755813889 ms is outside ±549755813888 ms: change the seat's cost".into()));
}

/// Every term at its limit at once: exact in 128 bits, below the overdue tier by the margin that the module head states.
#[test]
fn all_limits_at_once_stay_exact_and_below_the_overdue_tier() {
    for selection in SELECTIONS {
        let rule = steepest(selection);
        let mut market = Market::new(MarketLimits { tickets: 4, seats: 1, lanes: 2, classes: 1 });
        market.set_rule(rule);
        let skills: Vec<Skill> = (1..=REQUIRES_MAX as u64).map(|s| Skill { skill: SkillName(s), level: Level(u8::MAX) }).collect();
        let seat = market.seat_insert(SeatId(1), &skills, u16::MAX, -COST_MAX_MS);
        market.seat_open(seat, Timestamp(0));
        let spec = LaneSpec { queue_weight_ms: WEIGHT_MAX_MS, slope_q16: SLOPE_MAX_Q16, ..LaneSpec::new(QueueName(1), skills) };
        let lane = market.lane(&spec).expect("a lane");
        let overdue = market.lane(&LaneSpec { tier: Tier::Overdue, ..spec }).expect("a second lane");
        let ticket = |contact, lane, reserved| TicketSpec {
            contact: ContactId(contact),
            lane,
            arrived: Timestamp(0),
            head_start: Millis(u64::MAX),
            excluded: Exclusions::NONE,
            reserved,
        };
        // A clock at its end, a head start beyond it: the waits are capped.
        let now = Timestamp(u64::MAX);
        let t = market.ticket_insert(ticket(1, lane, Some(seat)));
        let first = market.select_contact(seat, now).choice.expect("a choice");
        let terms = first.terms;
        let parts = [terms.base, terms.queue, terms.wait, terms.idle, terms.cost, terms.affinity, terms.overdue];
        let exact: i128 = parts.iter().map(|p| i128::from(*p)).sum();
        assert_eq!(i128::from(terms.score()), exact);
        assert_eq!(terms.wait, SLOPE_MAX_Q16 * WAIT_CAP_MS as i64);
        let level = if selection == Selection::LeastSkilled { -1 } else { i64::from(selection != Selection::LongestIdle) };
        assert_eq!(terms.base, (level * rule.level_weight_ms * level_units_max(selection)) << 16);
        assert!(parts.iter().all(|p| p.abs() <= OVERDUE) && exact < i128::from(OVERDUE) * 7 / 8);
        assert_eq!(market.select_agent(t, now).choice, Some(first));
        // The humblest overdue contact goes before it.
        market.ticket_insert(TicketSpec { arrived: now, ..ticket(2, overdue, None) });
        let choice = market.select_contact(seat, now).choice.expect("a choice");
        assert_eq!(choice.contact, ContactId(2));
        assert_eq!(choice.runner_up.map(|r| r.score), Some(terms.score()));
    }
}

#[test]
#[should_panic(expected = "the rule was not checked")]
fn an_unchecked_rule_is_a_fault_of_the_caller() {
    let rule = Rule { affinity_ms: AFFINITY_MAX_MS + 1, ..Rule::default() };
    Market::new(MarketLimits { tickets: 1, seats: 1, lanes: 1, classes: 1 }).set_rule(rule);
}
