//! shuttle: the real cell under random schedules, from the front to the answers, over the real journal on a disk in memory.
//!
//! Customers who come, write and leave, an agent who accepts, declines and misses, people who do not wait, a questioner, a
//! clock, sometimes a new term, and a drain in the middle of it all; then the log is replayed in fresh machines, and whatever
//! anybody was told must be what the replay says (`judge`). Each planted fault (in the cell, in its doorbells, in its log)
//! must be noticed. Shuttle is sequentially consistent: orderings are loom's business, whole protocols are this file's.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test -p tidegate-router --release --test shuttle`; `TIDEGATE_NIGHTLY=1` raises the counts,
//! `TIDEGATE_SEED` replays a random run.
#![cfg(shuttle)]

mod judge;
mod people;
mod world;

use judge::{ALL_SEEN, Seen};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidegate_matcher::primitive::planted;
use tidegate_router::primitive::{Plant, model};
use world::Log;

fn run(scheduler: impl Scheduler + 'static, log: Log) -> [(Seen, u64); ALL_SEEN.len()] {
    let mut config = Config::new();
    // Machines, codecs and a journal stand deeper than a model's usual 32 KiB.
    config.stack_size = 1 << 18;
    config.silence_warnings = true;
    let seen = Arc::new(ALL_SEEN.map(|_| AtomicU64::new(0)));
    let see = seen.clone();
    Runner::new(scheduler, config).run(move || {
        people::day(log, |what| {
            see[what as usize].fetch_add(1, Ordering::Relaxed);
        });
    });
    ALL_SEEN.map(|what| (what, seen[what as usize].load(Ordering::Relaxed)))
}

/// Runs a sound cell, and demands that the days had everything in them.
fn sound(scheduler: impl Scheduler + 'static) {
    let seen = run(scheduler, Log::Sound);
    println!("{seen:?}");
    assert!(seen.iter().all(|(_, count)| *count > 0), "the model is too quiet: {seen:?}");
}

fn iterations(quick: usize, nightly: usize) -> usize {
    if std::env::var_os("TIDEGATE_NIGHTLY").is_some_and(|v| v == "1") { nightly } else { quick }
}

#[test]
fn the_cell_under_random_schedules() {
    let count = iterations(300, 100_000);
    match std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => sound(RandomScheduler::new_from_seed(seed, count)),
        None => sound(RandomScheduler::new(count)),
    }
}

#[test]
fn the_cell_under_pct() {
    // Few changes of priority: whole days in which one thread is always late, and little happens. The judge judges all the same.
    run(PctScheduler::new(3, iterations(250, 100_000)), Log::Sound);
}

/// Demands that `body` fails within so many schedules, random and PCT in turn.
fn must_fail<R>(what: &str, count: usize, body: impl Fn(Box<dyn Scheduler + Send>) -> R) {
    const SPELL: usize = 100;
    let noticed = (0..count.div_ceil(2 * SPELL)).any(|_| {
        let random = || drop(body(Box::new(RandomScheduler::new(SPELL))));
        let pct = || drop(body(Box::new(PctScheduler::new(3, SPELL))));
        catch_unwind(AssertUnwindSafe(pct)).is_err() || catch_unwind(AssertUnwindSafe(random)).is_err()
    });
    assert!(noticed, "{count} schedules did not notice: {what}");
}

#[test]
fn an_answer_before_the_entry_is_durable_is_noticed() {
    must_fail("the log gives a batch back before it has it", 1_000, |scheduler| run(scheduler, Log::GivesBackEarly));
}

#[test]
fn an_answer_before_the_watermark_is_noticed() {
    must_fail("a batch is passed on before the watermark is raised", 20_000, |scheduler| {
        model::with(Plant::AnswerBeforeWatermark, || run(scheduler, Log::Sound))
    });
}

#[test]
fn a_lost_doorbell_is_noticed() {
    must_fail("a sleeper does not look again after arming its bell", 5_000, |scheduler| {
        planted::with(planted::Plant::DoorbellNoRecheck, || run(scheduler, Log::Sound))
    });
}

#[test]
fn a_batch_dropped_at_the_drain_is_noticed() {
    must_fail("what was taken and not yet proposed is left behind", 5_000, |scheduler| {
        model::with(Plant::DropsAtDrain, || run(scheduler, Log::Sound))
    });
}

#[test]
fn a_batch_that_the_log_loses_is_noticed() {
    must_fail("the log acknowledges a batch and forgets it", 1_000, |scheduler| run(scheduler, Log::Forgets));
}

#[test]
fn an_emitter_that_a_new_term_does_not_stop_is_noticed() {
    must_fail("a new term does not wait for emitters in flight", 40_000, |scheduler| {
        planted::with(planted::Plant::FenceNoDrain, || run(scheduler, Log::Sound))
    });
}
