//! How honest the interval is: seeded simulations of M/M/s queues, with the share of customers whose wait kept what was said.
//!
//! Each customer that has to wait is told an interval on arrival; coverage is the share whose true wait was within the 0.9
//! quantile. In steady state it must be near 0.9; through a ramp of arrivals it must stay so, because what is observed is how
//! fast the floor empties a backlog, and that does not change; when half the agents leave it falls, for as long as the window
//! remembers the fuller floor, and comes back. The figures stand in docs/decisions/0015. A queue's own departures, exponential
//! services, first come first served: what a real floor does beyond that is not simulated here.

use super::pace::Pace;
use std::collections::VecDeque;
use tidegate_model::{Millis, Timestamp};

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn exponential(&mut self, mean_ms: f64) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        -libm::log(1.0 - unit) * mean_ms
    }
}

struct Waiting {
    came_ms: f64,
    said: Option<(Millis, Millis)>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Coverage {
    told: u32,
    untold: u32,
    within_p50: u32,
    within_p90: u32,
}

impl Coverage {
    fn p50(&self) -> f64 {
        f64::from(self.within_p50) / f64::from(self.told)
    }

    fn p90(&self) -> f64 {
        f64::from(self.within_p90) / f64::from(self.told)
    }
}

/// Runs an M/M/s queue; `servers` and `load` (in erlangs) by time. Coverage of those who came in each of `slices`.
fn run(seed: u64, slices: &[f64], service_ms: f64, servers: impl Fn(f64) -> usize, load: impl Fn(f64) -> f64) -> Vec<Coverage> {
    let mut random = Random(seed);
    let (mut pace, mut line) = (Pace::default(), VecDeque::<Waiting>::new());
    let (mut now, mut busy) = (0.0_f64, 0_usize);
    let mut found = vec![Coverage::default(); slices.len()];
    let stamp = |ms: f64| Timestamp(ms as u64);
    let end = slices.last().copied().unwrap_or(0.0);
    while now < end {
        // Memoryless: the next event of the whole floor, and which one it is.
        let (arrive, leave) = (load(now) / service_ms, busy as f64 / service_ms);
        now += random.exponential(1.0 / (arrive + leave));
        let comes = random.exponential(1.0 / arrive) < random.exponential(if busy == 0 { f64::INFINITY } else { 1.0 / leave });
        if comes {
            if busy < servers(now) {
                busy += 1;
                continue;
            }
            line.push_back(Waiting { came_ms: now, said: None });
            pace.backlog(stamp(now), true);
            let place = line.len() as u32;
            let said = pace.observed(stamp(now)).interval(place).map(|wait| (wait.p50, wait.p90));
            if let Some(last) = line.back_mut() {
                last.said = said;
            }
            continue;
        }
        busy -= 1;
        while busy < servers(now) {
            let Some(first) = line.pop_front() else { break };
            busy += 1;
            pace.departed(stamp(now), 1.0);
            pace.backlog(stamp(now), !line.is_empty());
            let Some(slice) = slices.iter().position(|to| first.came_ms < *to) else { continue };
            let coverage = &mut found[slice];
            match first.said {
                None => coverage.untold += 1,
                Some((p50, p90)) => {
                    let waited = now - first.came_ms;
                    coverage.told += 1;
                    coverage.within_p50 += u32::from(waited <= p50.0 as f64);
                    coverage.within_p90 += u32::from(waited <= p90.0 as f64);
                }
            }
        }
    }
    found
}

const HOUR: f64 = 3_600_000.0;

#[test]
fn p90_is_kept_by_some_nine_tenths_in_steady_state() {
    // Service of five minutes; loads from comfortable to nearly full, floors small and large.
    for (servers, load) in [(10, 8.5), (10, 9.3), (50, 46.0), (200, 195.0)] {
        let mut sum = Coverage::default();
        for seed in 0..2 {
            let found = run(seed * 7_919 + 1, &[HOUR, 30.0 * HOUR], 300_000.0, |_| servers, |_| load)[1];
            sum.told += found.told;
            sum.untold += found.untold;
            sum.within_p50 += found.within_p50;
            sum.within_p90 += found.within_p90;
        }
        println!(
            "M/M/{servers}, load {load}: p50 {:.3}, p90 {:.3}, told {}, untold {}",
            sum.p50(),
            sum.p90(),
            sum.told,
            sum.untold
        );
        assert!(sum.told > 2_000, "{sum:?}");
        assert!((0.85..=0.95).contains(&sum.p90()), "M/M/{servers} at {load}: {:.3} of {sum:?}", sum.p90());
        assert!((0.45..=0.65).contains(&sum.p50()), "M/M/{servers} at {load}: {:.3} of {sum:?}", sum.p50());
    }
}

#[test]
fn a_ramp_of_arrivals_costs_little_and_a_loss_of_agents_is_seen_late() {
    let slices = [2.0, 2.25, 2.5, 3.0, 4.0].map(|hours| hours * HOUR);
    let sum = |servers: fn(f64) -> usize, load: fn(f64) -> f64| {
        let mut sums = [Coverage::default(); 5];
        for seed in 0..40 {
            for (sum, found) in sums.iter_mut().zip(run(seed * 104_729 + 3, &slices, 300_000.0, servers, load)) {
                sum.told += found.told;
                sum.within_p50 += found.within_p50;
                sum.within_p90 += found.within_p90;
            }
        }
        sums.map(|sum| sum.p90())
    };
    // Arrivals climb within half an hour from 0.9 to 1.3 of what the floor can carry, and stay.
    let ramp = sum(|_| 20, |now| 18.0 + 8.0 * ((now - 2.0 * HOUR) / (0.5 * HOUR)).clamp(0.0, 1.0));
    println!("ramp of arrivals, p90 kept: {ramp:.3?}");
    assert!(ramp[1..].iter().all(|kept| *kept > 0.8), "{ramp:.3?}");
    // Half the agents end their shift after two hours, with the load left as it was.
    let loss = sum(|now| if now < 2.0 * HOUR { 20 } else { 10 }, |now| if now < 2.0 * HOUR { 18.5 } else { 9.5 });
    println!("loss of half the agents, p90 kept: {loss:.3?}");
    assert!(loss[1] < 0.85, "the estimator does not know the roster: {loss:.3?}");
    assert!(loss[4] > 0.85, "and learns within the hour: {loss:.3?}");
}
