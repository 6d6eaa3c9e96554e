//! Erlang figures that others published, identities that must hold, and inverses that must invert.
//!
//! The reference table has its own file. Here: a documented case of two packages in all three meanings of service level, a case of
//! the literature with its quantile, tables of needed agents, continuity between whole agents, and bad input at its limits.

use tidegate_sim::erlang::{
    AGENTS_MAX, Agents, Demand, ErlangError, Formula, Patience, SPAN_MAX, ServiceLevelKind, Target, Waiting, WaitsOf, agents_for,
    beta_for, blocking, square_root_agents, wait_by_beta,
};

/// Agents, load, patience and T in handle times; then P(wait), P(W > T) and served within T of all, by mpmath.
const CORNERS: [(f64, f64, f64, f64, f64, f64, f64); 8] = [
    (20.0, 18.0, 1e6, 30.0, 0.550_767_891_427_658_7, 4.782_463_673_727_312e-27, 0.999_999_724_618_670_4),
    (2_000.0, 1_990.0, 1e5, 0.5, 0.748_105_456_173_673, 0.005_023_150_615_866_26, 0.994_976_106_593_035_9),
    (1.0, 1_000.0, 5.0, 20.0, 1.0, 0.018_315_638_888_734_18, 0.0),
    (200.0, 4_000.0, 0.5, 1.6, 1.0, 0.001_063_713_957_523_645_6, 0.048_978_445_003_506_28),
    (40_000.0, 40_100.0, 1.0, 0.004, 0.691_902_497_024_646_9, 0.380_988_116_316_501_4, 0.616_858_907_643_204_8),
    (1_000.0, 1_010.0, 5e4, 400.0, 1.0, 0.992_031_914_837_060_6, 1.346_436_932_832_541_3e-43),
    (20.0, 19.0, 1e-5, 1e-8, 0.133_783_453_566_702_3, 0.133_649_710_257_700_66, 0.866_216_573_171_534_6),
    (3.0, 0.001, 2.0, 1.0, 1.665_476_666_534_41e-10, 5.032_697_155_267_013e-12, 0.999_999_999_971_888_7),
];

const OFFERED: ServiceLevelKind = ServiceLevelKind::ServedWithinOfOffered;

fn demand(rate: f64, handle: f64) -> Demand {
    Demand::new(rate, handle).expect("a demand")
}

fn pool(agents: f64, rate: f64, handle: f64, patience: f64) -> Waiting {
    let patience = if patience > 0.0 { Patience::Exponential { mean: patience } } else { Patience::Endless };
    Waiting::new(Agents::new(agents).expect("agents"), demand(rate, handle), patience).expect("stable")
}

#[track_caller]
fn near(found: f64, expected: f64, by: f64) {
    assert!((found - expected).abs() <= by, "{found} is not {expected} ± {by}");
}

/// pyworkforce's test of Erlang A (100 contacts in 30 min of 3 min, patience 5 min, 14 agents, 20 s) prints its figures to six
/// digits; its service level is "served within T, of all".
#[test]
fn a_package_agrees_once_the_service_level_has_a_name() {
    let a = pool(14.0, 100.0 / 1_800.0, 180.0, 300.0);
    near(a.p_wait(), 0.14526, 5e-6);
    near(a.p_abandon(), 0.013_984, 5e-7);
    near(a.occupancy(), 0.704_297, 5e-7);
    near(a.mean_wait() / 60.0, 0.069_919, 5e-7);
    near(a.service_level(OFFERED, 20.0), 0.916_792, 5e-7);
    near(a.service_level(ServiceLevelKind::ServedWithinOfServed, 20.0), 0.929_794, 5e-7);
    near(a.service_level(ServiceLevelKind::LeftWithinOfOffered, 20.0), 0.923_956, 5e-7);
    // R's ErlangC and pyworkforce on Erlang C: 14 agents, 10 Erlang, 20 s of 180 s.
    near(pool(14.0, 10.0 / 180.0, 180.0, 0.0).service_level(OFFERED, 20.0), 0.888_350_019_179, 5e-13);
}

/// 48 a minute of one minute, 50 agents, patience two minutes: the literature's case for why patience matters.
#[test]
fn patience_changes_the_picture() {
    let a = pool(50.0, 0.8, 60.0, 120.0);
    near(a.p_wait(), 0.467_774_068_554, 5e-13);
    near(a.mean_wait(), 3.709_47, 5e-6);
    near(a.mean_wait_of_served(), 3.615_90, 5e-6);
    near(a.wait_quantile(0.9, WaitsOf::Everybody).expect("P90"), 12.444_65, 5e-6);
    near(a.mean_queue(), 2.967_575_919_57, 5e-12);
    near(a.occupancy(), 0.930_324, 5e-7);
    let c = pool(50.0, 0.8, 60.0, 0.0);
    near(c.p_wait(), 0.694_455_611_197, 5e-13);
    near(c.mean_wait_of_served(), 20.833_67, 5e-6);
    near(c.wait_quantile(0.9, WaitsOf::Everybody).expect("P90"), 58.138_74, 5e-6);
    near(c.mean_queue(), 16.666_935, 5e-7);
}

/// 80 % in 20 s, five minutes each, patience two minutes: agents by Erlang C and by Erlang A, and who leaves then.
#[test]
fn needed_agents_of_the_worked_table() {
    let target = [Target::ServiceLevel { kind: OFFERED, share: 0.8, within: 20.0 }];
    for (load, by_c, by_a, leaves) in [
        (5.0, 8, 7, 0.072),
        (10.0, 14, 12, 0.072),
        (20.0, 25, 22, 0.065),
        (50.0, 57, 51, 0.059),
        (100.0, 108, 98, 0.060),
        (200.0, 210, 190, 0.066),
    ] {
        let demand = demand(load / 300.0, 300.0);
        assert_eq!(agents_for(Formula::Queue(Patience::Endless), demand, &target).expect("reachable").agents, by_c);
        let need = agents_for(Formula::Queue(Patience::Exponential { mean: 120.0 }), demand, &target).expect("reachable");
        assert_eq!(need.agents, by_a);
        near(pool(f64::from(by_a), load / 300.0, 300.0, 120.0).p_abandon(), leaves, 5.1e-4);
    }
    // 10 Erlang, 2 % blocked: 17 lines.
    assert_eq!(agents_for(Formula::Loss, demand(10.0, 1.0), &[Target::Blocking(0.02)]).expect("reachable").agents, 17);
}

/// A need is where its target begins to hold: one agent fewer misses, a billionth less than the fraction misses.
#[test]
fn a_need_is_the_least_that_holds() {
    let formulas = [Formula::Loss, Formula::Queue(Patience::Endless), Formula::Queue(Patience::Exponential { mean: 90.0 })];
    for load in [0.02, 0.7, 3.0, 31.4, 250.0] {
        let demand = demand(load / 200.0, 200.0);
        for formula in formulas {
            let mut targets = vec![Target::Occupancy(0.83)];
            match formula {
                Formula::Loss => targets.push(Target::Blocking(0.01)),
                Formula::Queue(patience) => {
                    targets.extend(ServiceLevelKind::ALL.map(|kind| Target::ServiceLevel { kind, share: 0.9, within: 15.0 }));
                    targets.extend([Target::MeanWaitOfServed(5.0), Target::Wait(0.2)]);
                    if patience != Patience::Endless {
                        targets.push(Target::Abandonment(0.02));
                    }
                }
            }
            for target in targets {
                let need = agents_for(formula, demand, &[target]).expect("reachable");
                let whole = f64::from(need.agents);
                assert!(need.fractional > whole - 1.0 && need.fractional <= whole, "{target:?} {need:?}");
                let holds = |agents: f64| match (formula, target, Agents::new(agents)) {
                    (_, _, Err(_)) => false,
                    (Formula::Loss, Target::Blocking(most), Ok(agents)) => blocking(agents, demand) <= most,
                    (Formula::Loss, Target::Occupancy(most), Ok(agents)) => {
                        load * (1.0 - blocking(agents, demand)) / agents.count() <= most
                    }
                    (Formula::Queue(patience), target, Ok(agents)) => match (Waiting::new(agents, demand, patience), target) {
                        (Err(_), _) => false,
                        (Ok(w), Target::ServiceLevel { kind, share, within }) => w.service_level(kind, within) >= share,
                        (Ok(w), Target::MeanWaitOfServed(most)) => w.mean_wait_of_served() <= most,
                        (Ok(w), Target::Wait(most)) => w.p_wait() <= most,
                        (Ok(w), Target::Abandonment(most)) => w.p_abandon() <= most,
                        (Ok(w), Target::Occupancy(most)) => w.occupancy() <= most,
                        _ => false,
                    },
                    _ => false,
                };
                assert!(holds(whole) && !holds(whole - 1.0), "{formula:?} {target:?} {need:?}");
                assert!(holds(need.fractional), "{formula:?} {target:?} {need:?}");
                assert!(!holds(need.fractional - 1e-8), "{formula:?} {target:?} {need:?}");
            }
        }
    }
}

/// Between whole agents the formulas go on smoothly: at 1 − 10⁻⁹ of an agent they are as good as at one.
#[test]
fn fractions_of_an_agent_join_the_whole_ones() {
    for load in [0.3, 0.999, 1.0, 2.5, 17.0, 400.0] {
        for whole in [1.0, 2.0, 18.0, 401.0] {
            let at = |agents: f64| blocking(Agents::new(agents).expect("agents"), demand(load, 1.0));
            if at(whole) < 1e-200 {
                continue;
            }
            let (below, here, above) = (at(whole - 1e-9), at(whole), at(whole + 1e-9));
            near(below, here, 1e-7 * here.max(1e-9));
            assert!(below > here && here > above, "{load} {whole}: {below} {here} {above}");
        }
    }
    // B(1/2, 1) = (e Γ(3/2, 1))⁻¹, to 16 digits by mpmath.
    near(blocking(Agents::new(0.5).expect("agents"), demand(1.0, 1.0)), 0.725_196_777_358_348_6, 1e-14);
    near(blocking(Agents::new(0.5).expect("agents"), demand(0.2, 1.0)), 0.439_411_364_878_173_65, 1e-14);
    near(blocking(Agents::new(7.25).expect("agents"), demand(5.5, 1.0)), 0.136_351_546_614_284_5, 1e-14);
}

/// Mean waits of the served and of those who left are one mean wait; two quantiles of one distribution are in order.
#[test]
fn parts_make_the_whole() {
    for (agents, load, patience) in [(5.0, 4.0, 0.3), (40.0, 44.0, 2.0), (300.0, 297.0, 0.05), (2.0, 90.0, 7.0), (90.0, 89.0, 3e4)]
    {
        let a = pool(agents, load, 1.0, patience);
        let (served, left) = (a.mean_wait_of_served(), a.mean_wait_of_abandoned().expect("some leave"));
        let whole = served * (1.0 - a.p_abandon()) + left * a.p_abandon();
        near(whole, a.mean_wait(), 1e-13 * a.mean_wait());
        for t in [0.0, 0.01, 0.3, 2.0] {
            near(a.service_level(ServiceLevelKind::LeftWithinOfOffered, t) + a.p_wait_longer_than(t), 1.0, 1e-15);
        }
        let quantiles = [0.5, 0.9, 0.99, 0.999].map(|q| a.wait_quantile(q, WaitsOf::Everybody).expect("a wait"));
        assert!(quantiles.is_sorted(), "{quantiles:?}");
        for (q, t) in [0.5, 0.9, 0.99, 0.999].into_iter().zip(quantiles) {
            if t > 0.0 {
                near(a.p_wait_longer_than(t), 1.0 - q, 1e-11);
            }
        }
    }
    // With patience as long as the service, everybody leaves the system after one handle time: the number in it is Poisson.
    let (mut below, mut term) = (0.0, libm::exp(-10.0));
    for count in 0..12 {
        below += term;
        term *= 10.0 / f64::from(count + 1);
    }
    near(pool(12.0, 10.0, 1.0, 1.0).p_wait(), 1.0 - below, 1e-14);
}

/// Long waits, huge loads and long patience against mpmath (40 digits, the integral form).
#[test]
fn far_corners_agree_with_high_precision() {
    for (agents, load, patience, t, p_wait, longer, served) in CORNERS {
        let a = pool(agents, load, 1.0, patience);
        near(a.p_wait(), p_wait, 1e-12 * p_wait);
        near(a.p_wait_longer_than(t), longer, 1e-12 * longer.max(1e-15));
        near(a.service_level(OFFERED, t), served, 1e-12 * served.max(1e-15));
    }
}

#[test]
fn the_square_root_rule_is_right_in_the_limit() {
    for (patience, ratio) in [(Patience::Endless, 0.0), (Patience::Exponential { mean: 2.0 }, 0.5)] {
        for p_wait in [0.1, 0.5, 0.8] {
            let off = [100.0, 10_000.0].map(|load| {
                let agents = square_root_agents(p_wait, demand(load, 1.0), patience).expect("an answer");
                let exact = agents_for(Formula::Queue(patience), demand(load, 1.0), &[Target::Wait(p_wait)]).expect("an answer");
                (agents - exact.fractional).abs() / load.sqrt()
            });
            // It is off by less than an agent, so the difference over √load falls tenfold.
            assert!(off[0] < 0.12 && off[1] < 0.012, "{patience:?} {p_wait} {off:?}");
            let beta = beta_for(p_wait, demand(100.0, 1.0), patience).expect("a β");
            near(wait_by_beta(beta, ratio), p_wait, 1e-12);
        }
    }
    // Halfin and Whitt's table: β = 0.5061 for one half.
    near(beta_for(0.5, demand(1.0, 1.0), Patience::Endless).expect("a β"), 0.5061, 5e-5);
    near(wait_by_beta(-40.0, 0.5), 1.0, 1e-15);
    assert!(wait_by_beta(29.0, 1e-6) < 1e-100);
}

/// Each limit: at it, one above, ten times above; and what is no number.
#[test]
fn limits_and_nonsense_are_refused_in_words() {
    Agents::new(AGENTS_MAX).expect("at the limit");
    for past in [AGENTS_MAX + 1.0, AGENTS_MAX * 10.0] {
        assert!(Agents::new(past).expect_err("past it").to_string().contains("expected 0 to 50000; larger pools"));
    }
    for nonsense in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        for text in [
            Agents::new(nonsense).expect_err("agents").to_string(),
            Demand::new(nonsense, 1.0).expect_err("arrivals").to_string(),
            Demand::new(1.0, nonsense).expect_err("handle time").to_string(),
        ] {
            assert!(text.contains("a finite number above 0"), "{text}");
        }
    }
    demand(1e6, 1.0);
    for past in [1e6 + 1.0, 1e7] {
        assert!(Demand::new(past, 1.0).expect_err("past it").to_string().contains("check the units"));
    }
    let with = |patience: f64| {
        let patience = Patience::Exponential { mean: patience };
        Waiting::new(Agents::new(2.0).expect("agents"), demand(1.0, 1.0), patience)
    };
    with(SPAN_MAX).expect("at the limit");
    with(1.0 / SPAN_MAX).expect("at the limit");
    for past in [SPAN_MAX + 1.0, SPAN_MAX * 10.0, 0.9 / SPAN_MAX, 0.1 / SPAN_MAX] {
        assert!(with(past).expect_err("past it").to_string().contains("check its unit"), "{past}");
    }
    let unstable = Waiting::new(Agents::new(10.0).expect("agents"), demand(10.0, 1.0), Patience::Endless).expect_err("unstable");
    assert!(unstable.to_string().contains("the queue grows for ever"), "{unstable}");
    let target = Target::Occupancy(0.5);
    let unreachable = agents_for(Formula::Loss, demand(4e4, 1.0), &[target]).expect_err("too few agents in the world");
    assert!(matches!(unreachable, ErlangError::Unreachable { best, .. } if (best - 0.8).abs() < 1e-3), "{unreachable}");
    for share in [0.0, 1.0, -0.5, f64::NAN] {
        agents_for(Formula::Loss, demand(1.0, 1.0), &[Target::Occupancy(share)]).expect_err("no share");
    }
    agents_for(Formula::Loss, demand(1.0, 1.0), &[]).expect_err("no target");
}
