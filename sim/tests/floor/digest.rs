//! One result whoever plays: threads, shards and hands add up to the same bytes; and common random numbers pay.
//!
//! The outcome of a run (digest, figures, distributions, series) is compared as the file that it is written to. Paired runs differ
//! in one agent of a thousand; their difference must be known five times as well as from independent seeds.

use crate::kit::{erlang, example, run};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tidegate_sim::floor::{Replication, Setup};
use tidegate_sim::run::{Alone, Crew, MergeError, Outcome, Part, RunConfig, simulate};

/// So many threads, each taking the next number.
struct Hands(usize);

impl Crew for Hands {
    fn play(&self, numbers: &[u64], new_part: &(dyn Fn() -> Part + Sync), play: &(dyn Fn(&mut Part, u64) + Sync)) -> Vec<Part> {
        let (next, parts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..self.0 {
                scope.spawn(|| {
                    let mut part = new_part();
                    while let Some(number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
                        play(&mut part, *number);
                    }
                    parts.lock().expect("no hand panicked").push(part);
                });
            }
        });
        parts.into_inner().expect("no hand panicked")
    }

    fn stopped(&self) -> bool {
        false
    }
}

fn config(shard: (u64, u64)) -> RunConfig {
    RunConfig { seed: 3, replications: 24, antithetic: false, precision: None, shard }
}

fn outcome(setup: &Setup, config: &RunConfig, crew: &dyn Crew) -> Outcome {
    Outcome::new(setup, "of this test".into(), config.seed, config.antithetic, simulate(setup, config, crew))
}

fn bytes(outcome: &Outcome) -> String {
    serde_json::to_string(outcome).expect("it is JSON")
}

fn msk() -> Setup {
    example("simple-msk.toml", |text| text.replace("length = \"6h\"", "length = \"6h\"\nwarm_up = \"10min\""))
}

#[test]
fn threads_change_nothing() {
    let setup = msk();
    let alone = bytes(&outcome(&setup, &config((1, 1)), &Alone));
    for threads in [2, 7] {
        assert!(bytes(&outcome(&setup, &config((1, 1)), &Hands(threads))) == alone, "{threads} threads");
    }
}

#[test]
fn shards_merge_to_the_whole() {
    let setup = msk();
    let whole = bytes(&outcome(&setup, &config((1, 1)), &Alone));
    for shards in [1, 3, 8] {
        // In any order, and through their files.
        let parts = (1..=shards).rev().map(|shard| {
            let text = bytes(&outcome(&setup, &config((shard, shards)), &Alone));
            Outcome::read(&text).unwrap_or_else(|error| panic!("{error}"))
        });
        let merged = Outcome::merge(parts.collect()).unwrap_or_else(|error| panic!("{error}"));
        assert!(bytes(&merged) == whole, "{shards} shards");
    }
}

#[test]
fn what_does_not_belong_together_does_not_merge() {
    let setup = erlang("1h", "", 60.0, 60.0, 2, None);
    let first = outcome(&setup, &config((1, 2)), &Alone);
    assert_eq!(Outcome::merge(vec![]).map(|_| ()), Err(MergeError::Nothing));
    assert_eq!(Outcome::merge(vec![first.clone(), first.clone()]).map(|_| ()), Err(MergeError::Twice(0)));
    let other = outcome(&setup, &RunConfig { seed: 4, ..config((2, 2)) }, &Alone);
    let seeds = MergeError::Differs { field: "seed", left: "3".into(), right: "4".into() };
    assert_eq!(Outcome::merge(vec![first.clone(), other]).map(|_| ()), Err(seeds));
    // A file that was changed by hand is told.
    let mut changed = first;
    changed.replications[0].demands[0].counts.served += 1;
    assert!(Outcome::read(&bytes(&changed)).is_err_and(|error| error.to_string().contains("was changed")));
}

#[test]
fn another_seed_is_another_run_and_mirrored_pairs_differ() {
    let setup = erlang("4h", "", 600.0, 60.0, 11, Some(60.0));
    let digest = |config: &RunConfig| outcome(&setup, config, &Alone).digest;
    assert_ne!(digest(&config((1, 1))), digest(&RunConfig { seed: 4, ..config((1, 1)) }));
    let pairs = outcome(&setup, &RunConfig { antithetic: true, ..config((1, 1)) }, &Alone);
    let offered: Vec<f64> = pairs.replications.iter().map(|row| row.demands[0].counts.offered as f64).collect();
    let mean = offered.iter().sum::<f64>() / offered.len() as f64;
    let product: f64 = offered.chunks_exact(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    assert!(product < 0.0, "the halves of a mirrored pair move in opposite directions: {product}");
}

/// Deviation of the differences of a figure, replication by replication.
fn deviation(left: &[Replication], right: &[Replication]) -> f64 {
    let level = |row: &Replication| {
        let counts = row.demands[0].counts;
        counts.wait_ms as f64 / counts.offered as f64
    };
    let differences: Vec<f64> = left.iter().zip(right).map(|(l, r)| level(l) - level(r)).collect();
    let mean = differences.iter().sum::<f64>() / differences.len() as f64;
    differences.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>().sqrt()
}

#[test]
fn one_agent_in_a_thousand_is_seen_five_times_better_in_pairs() {
    let floor = |agents| erlang("90min", "warm_up = \"20min\"", 12_000.0, 300.0, agents, Some(120.0));
    let (more, fewer) = (floor(1_000), floor(999));
    let paired = deviation(&run(&more, 1, 10), &run(&fewer, 1, 10));
    let independent = deviation(&run(&more, 1, 10), &run(&fewer, 2, 10));
    println!("half-widths are as 1 to {:.1}", independent / paired);
    assert!(paired * 5.0 <= independent, "paired {paired}, independent {independent}");
}
