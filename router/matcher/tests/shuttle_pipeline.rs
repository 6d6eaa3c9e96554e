//! shuttle: the edges together, on more threads than loom can explore.
//!
//! The pipeline of a cell in small: producers with credits hand operations to the front; the resident combiner numbers
//! them and passes each batch on through an SPSC ring; the log thread "flushes", raises the commit watermark and passes on;
//! the last thread emits under the term fence, publishes a view, and answers through reply slots. Random schedules and
//! PCT (probabilistic concurrency testing: finds a bug of depth d with a known probability). Shuttle is sequentially
//! consistent: orderings are loom's business, whole protocols are this file's. `TIDEGATE_NIGHTLY=1` raises the counts,
//! `TIDEGATE_SEED` replays a random run.
#![cfg(shuttle)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use tidegate_matcher::fence::TermFence;
use tidegate_matcher::front::{FrontLimits, MatcherHandle, Sequential};
use tidegate_matcher::primitive::planted::{self, Plant};
use tidegate_matcher::primitive::sync::{Arc, AtomicU64, Ordering, thread};
use tidegate_matcher::reply::{ReplySlots, Responder};
use tidegate_matcher::ring::{Credit, Credits, spsc};
use tidegate_matcher::view::view;
use tidegate_matcher::watermark::Watermark;

const PRODUCERS: u64 = 3;
const EACH: u64 = 2;
const ALL: u64 = PRODUCERS * EACH;

/// One operation under way: what it asks, its credit, and who waits for the outcome.
struct Asked {
    from: u64,
    outcome: Responder<u64>,
    credit: Credit,
}

/// A numbered operation, after the front.
struct Entry {
    sequence: u64,
    asked: Asked,
}

/// Numbers operations and keeps them for the log.
#[derive(Default)]
struct Proposer {
    last: u64,
    batch: Vec<Entry>,
}

impl Sequential for Proposer {
    type Op = Asked;
    type Answer = u64;

    fn apply(&mut self, asked: Asked) -> u64 {
        self.last += 1;
        self.batch.push(Entry { sequence: self.last, asked });
        self.last
    }
}

/// What is only true if the parts keep their promises.
#[derive(Default)]
struct World {
    /// Entries "on disk": raised by the log thread before the watermark.
    flushed: AtomicU64,
    /// Highest term under which something was emitted.
    emitted_term: AtomicU64,
}

fn pipeline() {
    let world = Arc::new(World::default());
    let front = MatcherHandle::new(Proposer::default(), FrontLimits { ring: 4, callers: 4, batch: 2 });
    let (mut to_log, mut log_in) = spsc::ring::<Entry>(2);
    let (mut to_egress, mut egress_in) = spsc::ring::<Entry>(1);
    let mark = Watermark::new(0);
    let fence = TermFence::new(1);
    let replies = ReplySlots::<u64>::new(PRODUCERS as usize);
    let (mut publisher, seen) = view(0_u64);

    let producers: Vec<_> = (0..PRODUCERS)
        .map(|from| {
            let (front, mark, replies, seen, world) = (front.clone(), mark.clone(), replies.clone(), seen.clone(), world.clone());
            thread::spawn(move || {
                // The allowances sum to less than the front's ring, so it is never full.
                let credits = Credits::new(1);
                let mut last = 0;
                for _ in 0..EACH {
                    let credit = credits.take_wait();
                    let (reply, outcome) = replies.claim_pair().expect("one slot a producer");
                    let asked = Asked { from, outcome, credit };
                    let sequence = front.call(asked).expect("credits keep the ring open").expect("nothing panics");
                    assert!(sequence > last, "a producer's operations are numbered in its order");
                    last = sequence;
                    mark.wait(sequence).expect("the log does not fail");
                    assert!(world.flushed.load(Ordering::SeqCst) >= sequence, "acknowledged before it was flushed");
                    assert_eq!(reply.wait(), Ok(sequence * 10 + from), "another's outcome arrived");
                    let shown = seen.read();
                    assert!(*shown >= sequence, "the view is older than the outcome that was answered after it");
                }
                credits
            })
        })
        .collect();

    let resident = {
        let mut resident = front.resident().unwrap_or_else(|| {
            // A producer may be combining already; it will not for long, and its batch stays in the object.
            loop {
                thread::yield_now();
                if let Some(resident) = front.resident() {
                    break resident;
                }
            }
        });
        thread::spawn(move || {
            loop {
                let mut batch = resident.with(|proposer| std::mem::take(&mut proposer.batch));
                assert!(to_log.push_all_wait(&mut batch), "the log left early");
                if resident.serve_wait(2) == 0 {
                    return;
                }
            }
        })
    };

    let log = {
        let (mark, world) = (mark.clone(), world.clone());
        thread::spawn(move || {
            let mut batch = Vec::new();
            let mut expected = 1;
            while log_in.wait_batch(&mut batch, 2) > 0 {
                for entry in &batch {
                    assert_eq!(entry.sequence, expected, "the log has a gap");
                    expected += 1;
                }
                world.flushed.store(expected - 1, Ordering::SeqCst);
                mark.advance(expected - 1);
                assert!(to_egress.push_all_wait(&mut batch), "egress left early");
            }
            assert_eq!(expected - 1, ALL);
        })
    };

    let egress = {
        let (fence, world) = (fence.clone(), world.clone());
        thread::spawn(move || {
            while let Some(Entry { sequence, asked }) = egress_in.pop() {
                let pass = loop {
                    // The term may be raised between reading and entering; then the new one is tried.
                    if let Some(pass) = fence.enter(fence.term()) {
                        break pass;
                    }
                };
                publisher.publish(sequence);
                let before = world.emitted_term.fetch_max(pass.term(), Ordering::SeqCst);
                assert!(before <= pass.term(), "an older term emitted after a newer one");
                asked.outcome.answer(sequence * 10 + asked.from).expect("the producer waits");
                drop(pass);
                drop(asked.credit);
            }
        })
    };

    let raising = {
        let (fence, world) = (fence.clone(), world.clone());
        thread::spawn(move || {
            fence.raise(2);
            // Whatever is emitted from here on is of term 2.
            world.emitted_term.fetch_max(2, Ordering::SeqCst);
        })
    };

    let allowances: Vec<_> = producers.into_iter().map(|p| p.join().expect("a producer ends well")).collect();
    raising.join().expect("the raiser ends well");
    front.close();
    resident.join().expect("the resident ends well");
    log.join().expect("the log ends well");
    egress.join().expect("egress ends well");
    assert!(allowances.iter().all(|credits| credits.left() == 1), "a credit was lost");
    assert_eq!((mark.durable(), front.len(), front.callers(), replies.claimed()), (ALL, 0, 0, 0));
    assert_eq!(*seen.read(), ALL);
}

/// Adds up.
struct Adder(u64);

impl Sequential for Adder {
    type Op = u64;
    type Answer = u64;

    fn apply(&mut self, op: u64) -> u64 {
        self.0 += op;
        self.0
    }
}

/// Six threads, no resident, one operation a batch: callers, leavers and people who change their mind.
fn combining() {
    let front = MatcherHandle::new(Adder(0), FrontLimits { ring: 6, callers: 6, batch: 1 });
    let handles: Vec<_> = (0..6_u32)
        .map(|n| {
            let front = front.clone();
            thread::spawn(move || {
                let op = 1 << (4 * n);
                match n % 3 {
                    0 => assert_eq!(front.call(op).expect("room").expect("no panic") & (0xf * op), op),
                    1 => front.send(op).expect("room"),
                    _ => drop(front.submit(op).expect("room")),
                }
            })
        })
        .collect();
    for handle in handles {
        handle.join().expect("a submitter ends well");
    }
    assert_eq!(front.len(), 0, "an operation was left behind");
    let mut resident = front.resident().expect("nobody combines any more");
    assert_eq!(resident.with(|adder| adder.0), 0x11_1111, "an operation was lost or applied twice");
}

fn iterations(quick: usize, nightly: usize) -> usize {
    if std::env::var_os("TIDEGATE_NIGHTLY").is_some_and(|v| v == "1") { nightly } else { quick }
}

fn random(body: fn(), count: usize) {
    match std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => shuttle::check_random_with_seed(body, seed, count),
        None => shuttle::check_random(body, count),
    }
}

#[test]
fn pipeline_under_random_schedules() {
    random(pipeline, iterations(400, 100_000));
}

#[test]
fn pipeline_under_pct() {
    shuttle::check_pct(pipeline, iterations(400, 100_000), 3);
}

#[test]
fn combining_under_random_schedules() {
    random(combining, iterations(2_000, 400_000));
}

#[test]
fn combining_under_pct() {
    shuttle::check_pct(combining, iterations(2_000, 400_000), 3);
}

/// Demands that `body` fails within `count` schedules, half of them random and half PCT, once `plant` is in.
fn must_fail(plant: Plant, body: fn(), count: usize) {
    let random = || planted::with(plant, || shuttle::check_random(body, count / 2));
    let pct = || planted::with(plant, || shuttle::check_pct(body, count / 2, 3));
    let noticed = catch_unwind(AssertUnwindSafe(random)).is_err() || catch_unwind(AssertUnwindSafe(pct)).is_err();
    assert!(noticed, "{count} schedules did not notice {plant:?}");
}

#[test]
fn planted_bugs_are_caught() {
    must_fail(Plant::DoorbellNoRecheck, pipeline, 10_000);
    must_fail(Plant::FenceNoRecheck, pipeline, 60_000);
    must_fail(Plant::FenceNoDrain, pipeline, 10_000);
    must_fail(Plant::FrontNoRecheck, combining, 20_000);
    must_fail(Plant::FrontNoHeir, combining, 20_000);
}
