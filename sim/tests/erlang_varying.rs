//! Rates that change over the day: the infinite-server load against closed forms and quadrature, and iterative staffing against
//! the exact forward equations of a queue whose number in the system is Poisson.

use std::convert::Infallible;
use tidegate_sim::erlang::varying::{Approach, Handling, InSystem, IsaError, Profile, iterative_staffing, staff};
use tidegate_sim::erlang::{Formula, Patience, Target};

const STEP: f64 = 0.05;
const STEPS: usize = 400;

fn wave(t: f64) -> f64 {
    100.0 + 20.0 * libm::sin(t)
}

/// The wave on a fine grid, each interval at its mean rate, after a long time at its mean.
fn wave_profile() -> Profile {
    let rates = (0..STEPS).map(|at| {
        let (from, to) = (at as f64 * STEP, (at + 1) as f64 * STEP);
        100.0 + 20.0 * (libm::cos(from) - libm::cos(to)) / STEP
    });
    Profile::new(STEP, rates.collect(), 100.0).expect("a profile")
}

#[track_caller]
fn near(found: f64, expected: f64, by: f64) {
    assert!((found - expected).abs() <= by, "{found} is not {expected} ± {by}");
}

/// λ(t) = 100 + 20 sin t with exponential service of mean 1: m(t) → 100 + 10 (sin t − cos t), Eick, Massey and Whitt's closed form.
#[test]
fn the_offered_load_lags_and_flattens_as_the_closed_form_says() {
    let (profile, handling) = (wave_profile(), Handling::Exponential { mean: 1.0 });
    for t in [8.0_f64, 11.5, 13.1, 19.9] {
        // What the start leaves behind has decayed by e^−t; the grid's rates are means, so they are off by its square.
        near(profile.offered_load(&handling, t), 100.0 + 10.0 * (libm::sin(t) - libm::cos(t)), 10.0 * libm::exp(-t) + 0.01);
    }
    near(profile.offered_load(&handling, 0.0), 100.0, 1e-12);
}

/// E[min(S, x)] of each law against Simpson's rule over its survival function.
#[test]
fn limited_means_are_integrals_of_survival() {
    let normal = |z: f64| 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2);
    let variance = libm::log(1.0 + 1.2 * 1.2);
    let log_normal =
        |u: f64| if u <= 0.0 { 1.0 } else { normal(-(libm::log(u) - (libm::log(3.0) - variance / 2.0)) / variance.sqrt()) };
    for x in [0.1, 1.0, 4.0, 30.0] {
        let panels = 20_000;
        let width = x / f64::from(panels);
        let simpson = |survival: &dyn Fn(f64) -> f64| {
            (0..panels)
                .map(|at| {
                    let u = f64::from(at) * width;
                    (survival(u) + 4.0 * survival(u + width / 2.0) + survival(u + width)) * width / 6.0
                })
                .sum::<f64>()
        };
        near(Handling::LogNormal { mean: 3.0, variation: 1.2 }.limited_mean(x), simpson(&log_normal), 1e-9);
        near(Handling::Exponential { mean: 3.0 }.limited_mean(x), simpson(&|u| libm::exp(-u / 3.0)), 1e-9);
    }
    let observed = Handling::observed([4.0, 1.0, 2.0]).expect("times");
    near(observed.limited_mean(1.5), (1.5 + 1.0 + 1.5) / 3.0, 1e-15);
    near(observed.limited_mean(9.0), observed.mean(), 1e-15);
    for law in [observed, Handling::Fixed { time: 2.5 }, Handling::LogNormal { mean: 3.0, variation: 0.7 }] {
        near(law.limited_mean(1e9), law.mean(), 1e-9);
    }
}

/// A step from 10 to 40 an hour of half-hour contacts: SIPP steps at once, lagged SIPP half an hour later, MOL climbs.
#[test]
fn the_three_approaches_differ_where_they_should() {
    let rates = [10.0, 10.0, 40.0, 40.0, 40.0, 40.0].map(|an_hour| an_hour / 3_600.0);
    let profile = Profile::new(1_800.0, rates.to_vec(), rates[0]).expect("a profile");
    let handling = Handling::Exponential { mean: 1_800.0 };
    let agents = |approach| -> Vec<u32> {
        let needs = staff(approach, &profile, &handling, Formula::Queue(Patience::Endless), &[Target::Wait(0.2)]);
        needs.expect("reachable").into_iter().map(|need| need.expect("somebody comes").agents).collect()
    };
    let (sipp, lagged, mol) = (agents(Approach::Sipp), agents(Approach::LaggedSipp), agents(Approach::ModifiedOfferedLoad));
    let (low, high) = (sipp[0], sipp[5]);
    assert_eq!(sipp, [low, low, high, high, high, high]);
    assert_eq!(lagged, [low, low, low, high, high, high]);
    assert!(mol[1] == low && mol[2] > low && mol[2] < high && mol.is_sorted() && mol[5] <= high, "{mol:?}");
    let night = Profile::new(1_800.0, vec![0.0, 0.01], 0.0).expect("a profile");
    let needs =
        staff(Approach::Sipp, &night, &handling, Formula::Queue(Patience::Endless), &[Target::Wait(0.2)]).expect("reachable");
    assert!(needs[0].is_none() && needs[1].is_some());
}

/// Number in the system of M(t)/M/s(t)+M by the forward equations (Euler, 200 steps an interval), as probabilities.
fn forward(staffing: &[u32], patience_rate: f64) -> Vec<InSystem> {
    const STATES: usize = 260;
    let small = STEP / 200.0;
    // Poisson with mean 100, as after a long time at that rate.
    let mut p = vec![0.0; STATES];
    p[0] = libm::exp(-100.0);
    for count in 1..STATES {
        p[count] = p[count - 1] * 100.0 / count as f64;
    }
    let mut seen = Vec::new();
    for (at, agents) in staffing.iter().enumerate() {
        for step in 0..200 {
            let rate = wave(at as f64 * STEP + f64::from(step) * small);
            let leaves = |count: usize| {
                let busy = count.min(*agents as usize);
                busy as f64 + (count - busy) as f64 * patience_rate
            };
            let next = (0..STATES).map(|n| {
                let mut change = -leaves(n) * p[n];
                if n + 1 < STATES {
                    change += -rate * p[n] + leaves(n + 1) * p[n + 1];
                }
                if n > 0 {
                    change += rate * p[n - 1];
                }
                p[n] + small * change
            });
            p = next.collect();
        }
        seen.push(InSystem(p.clone()));
    }
    seen
}

/// With patience as long as the service the number in the system is Poisson whatever the staffing (Feldman et al. 2008): the
/// algorithm settles in its second round at the Poisson quantiles of the offered load.
#[test]
fn iterative_staffing_finds_the_poisson_quantiles() {
    let intervals = 40;
    let mut rounds = 0;
    let (staffing, took) = iterative_staffing(vec![250; intervals], 0.3, 0, 5, |staffing| {
        rounds += 1;
        Ok::<_, Infallible>(forward(staffing, 1.0))
    })
    .expect("it settles");
    assert_eq!((took, rounds), (2, 2));
    for (at, agents) in staffing.iter().enumerate() {
        let t = (at + 1) as f64 * STEP;
        let mean = 100.0 + 10.0 * (libm::sin(t) - libm::cos(t)) + 10.0 * libm::exp(-t);
        let (mut term, mut below, mut count) = (libm::exp(-mean), 0.0, 0);
        while 1.0 - below > 0.3 {
            below += term;
            count += 1;
            term *= mean / f64::from(count);
        }
        assert!(agents.abs_diff(count) <= 1, "{at}: {agents}, {count} by the closed form");
    }
}

#[test]
fn iterative_staffing_says_when_it_does_not_settle() {
    let mut flip = 0;
    let unsettled = iterative_staffing(vec![9], 0.2, 0, 3, |_| {
        flip += 1;
        Ok::<_, Infallible>(vec![InSystem(vec![0.0; 3 + flip % 2].into_iter().chain([1.0]).collect())])
    });
    let text = unsettled.expect_err("it flips").to_string();
    assert!(text.contains("after 3 rounds staffing still moves by 1"), "{text}");
    let short = iterative_staffing(vec![5, 5], 0.2, 0, 3, |_| Ok::<_, Infallible>(vec![InSystem::default()]));
    assert!(matches!(short, Err(IsaError::Intervals { found: 1, expected: 2 })));
}

#[test]
fn profiles_that_make_no_sense_are_refused() {
    for (interval, rates, before, words) in [
        (0.0, vec![1.0], 0.0, "interval is 0"),
        (60.0, vec![], 0.0, "one rate an interval"),
        (60.0, vec![-1.0], 0.0, "a rate is 0 or more"),
        (60.0, vec![1.0], f64::NAN, "a rate is 0 or more"),
    ] {
        let text = Profile::new(interval, rates, before).expect_err(words).to_string();
        assert!(text.contains(words), "{text}");
    }
    let most = tidegate_sim::erlang::varying::INTERVALS_MAX;
    Profile::new(60.0, vec![1.0; most], 0.0).expect("at the limit");
    for past in [most + 1, most * 10] {
        assert!(Profile::new(60.0, vec![1.0; past], 0.0).expect_err("past it").to_string().contains("plan a shorter time"));
    }
}
