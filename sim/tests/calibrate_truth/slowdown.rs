//! A known slow-down curve comes back within 2 % from 100,000 chats, whatever the spread of their work, and its intervals hold.

use crate::calibrate_kit::{Coverage, seeds};
use crate::made::{chats, tally};
use tidegate_sim::calibrate::calibrate;
use tidegate_sim::calibrate::read::{ReadReport, Sink};
use tidegate_sim::calibrate::slowdown::SlowDown;
use tidegate_sim::kernel::sample::Distribution;
use tidegate_sim::kernel::{Mrg32k3a, Streams};

const CURVE: [f64; 3] = [1.0, 1.35, 1.7];

fn fitted(count: usize, seed: u64, work: &Distribution) -> (SlowDown, f64) {
    let mut stream = Mrg32k3a::from_seed(seed);
    let mut tally = tally(1_800, &["chat"], 30);
    for chat in chats(count, 30, &CURVE, &[13.0, 7.2], &mut stream, |stream| work.sample(stream)) {
        tally.take(chat);
    }
    let fitted = calibrate(tally, 1_800, ReadReport::default(), &Streams::seeded(1)).expect("chats");
    let mean = fitted.classes[0].handle.as_ref().expect("handle times").mean_s.value;
    (fitted.slow_down.expect("chats at once"), mean)
}

#[test]
fn a_known_curve_comes_back_within_two_per_cent_of_a_hundred_thousand_chats() {
    // The family that people's work most resembles by default; all three nightly.
    for (name, work) in [
        ("log-normal", Distribution::log_normal(5.6, 0.75)),
        ("gamma", Distribution::gamma(2.0, 180.0)),
        ("exponential", Distribution::exponential(360.0)),
    ]
    .into_iter()
    .take(seeds(3, 1).count())
    {
        let work = work.expect("parameters");
        let (curve, mean) = fitted(100_000, 5, &work);
        for (level, truth) in curve.levels.iter().zip(CURVE) {
            println!("{name}: {} at once {:?} truth {truth}, share {:.2}", level.level, level.slower, level.share);
            assert!((level.slower.value / truth - 1.0).abs() < 0.02, "{name}: {} at once: {}", level.level, level.slower.value);
        }
        assert_eq!(curve.levels.len(), 3);
        println!("{name}: mean work {mean:.1} s");
    }
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    let mut coverage = Coverage::default();
    let work = Distribution::log_normal(5.6, 0.75).expect("parameters");
    for seed in seeds(200, 12) {
        let (curve, _) = fitted(6_000, seed, &work);
        for (level, truth) in curve.levels.iter().zip(CURVE).skip(1) {
            coverage.see(&level.slower, truth);
        }
    }
    coverage.check("slow-down");
}
