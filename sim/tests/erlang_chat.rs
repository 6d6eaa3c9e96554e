//! Chats that share an agent: six worked cases, and the case that is Erlang C in other words.
//!
//! The cases (three chats at most, six minutes alone, each further chat slower by a share, 80 % within 30 s) were computed by an
//! implementation that shares nothing with this crate, and confirmed there by simulating least-loaded assignment.

use tidegate_sim::erlang::{Agents, Demand, Patience, ServiceLevelKind, Slowdown, Waiting, WaitsOf, chat_agents_for, chats};

const ALONE_S: f64 = 360.0;

fn slowdown(per_chat: f64) -> Slowdown {
    Slowdown::linear(ALONE_S, per_chat, 3).expect("a slow-down")
}

#[test]
fn six_worked_cases_need_the_agents_they_need() {
    for (per_chat, a_minute, agents) in
        [(0.2, 10.0, 31), (0.2, 30.0, 88), (0.35, 10.0, 37), (0.35, 30.0, 106), (0.5, 10.0, 42), (0.5, 30.0, 124)]
    {
        let found = chat_agents_for(a_minute / 60.0, &slowdown(per_chat), Patience::Endless, 0.8, 30.0).expect("reachable");
        assert_eq!(found, agents, "{per_chat} {a_minute}");
    }
}

/// What the same reference says a wrong number of agents really gives.
#[test]
fn one_correction_factor_cannot_fix_a_shortcut() {
    let kind = ServiceLevelKind::ServedWithinOfOffered;
    for (per_chat, a_minute, agents, level) in
        [(0.2, 10.0, 31, 0.903), (0.2, 30.0, 87, 0.777), (0.35, 10.0, 35, 0.509), (0.35, 30.0, 104, 0.617), (0.5, 10.0, 41, 0.531)]
    {
        let solved = chats(agents, a_minute / 60.0, &slowdown(per_chat), Patience::Endless).expect("stable");
        let found = solved.service_level(kind, 30.0);
        assert!((found - level).abs() < 0.000_51, "{per_chat} {a_minute}: {found}");
    }
    let unstable = chats(119, 0.5, &slowdown(0.5), Patience::Endless).expect_err("119 are too few");
    assert!(unstable.to_string().contains("expected more agents than the load, or a patience"), "{unstable}");
}

#[test]
fn without_slow_down_it_is_the_formula_with_three_times_the_agents() {
    let (agents, rate) = (14, 0.11);
    let demand = Demand::new(rate, ALONE_S).expect("a demand");
    for patience in [Patience::Endless, Patience::Exponential { mean: 120.0 }] {
        let chat = chats(agents, rate, &slowdown(0.0), patience).expect("stable");
        let pool = Waiting::new(Agents::new(f64::from(agents) * 3.0).expect("agents"), demand, patience).expect("stable");
        for (a, b) in [
            (chat.p_wait(), pool.p_wait()),
            (chat.mean_wait(), pool.mean_wait()),
            (chat.occupancy(), pool.occupancy()),
            (chat.p_wait_longer_than(20.0), pool.p_wait_longer_than(20.0)),
            (chat.wait_quantile(0.9, WaitsOf::TheServed).expect("one"), pool.wait_quantile(0.9, WaitsOf::TheServed).expect("one")),
        ] {
            assert!((a - b).abs() <= 1e-13 * b, "{a} {b}");
        }
    }
}

#[test]
fn a_curve_that_slows_more_than_it_gives_is_refused() {
    let refused = Slowdown::new(ALONE_S, vec![1.0, 2.1]).expect_err("two chats take longer than one after the other");
    assert!(refused.to_string().contains("lower the cap"), "{refused}");
    Slowdown::new(ALONE_S, vec![1.0, 2.0]).expect("just as fast");
    assert!(Slowdown::new(ALONE_S, vec![]).expect_err("no level").to_string().contains("chats at once"));
    Slowdown::linear(ALONE_S, 0.0, 50).expect("at the limit");
    for past in [51, 500] {
        assert!(Slowdown::linear(ALONE_S, 0.0, past).expect_err("past it").to_string().contains("expected 1 to 50"));
    }
}
