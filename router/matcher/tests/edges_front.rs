//! The combining front on the real machine: its histories are those of a sequential object, in an order that agrees with
//! real time; limits; futures; the resident; poison.
//!
//! The history check is Wing and Gong's (1993), brute force on small histories: some order of the operations must exist
//! in which each comes after those that had ended before it began, and in which a sequential object gives every answer
//! that was seen.
#![cfg(all(feature = "std", not(any(loom, shuttle))))]

#[path = "edges_support/block_on.rs"]
mod block_on;

use block_on::block_on;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use tidegate_matcher::front::{FrontLimits, FrontPoisoned, MatcherHandle, Sequential, SubmitError};

/// A queue of numbers: its answers tell much of the order of its operations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Queue(VecDeque<u8>);

#[derive(Clone, Copy, Debug)]
enum Op {
    Put(u8),
    Take,
    Panic,
}

impl Sequential for Queue {
    type Op = Op;
    type Answer = Option<u8>;

    fn apply(&mut self, op: Op) -> Option<u8> {
        match op {
            Op::Put(n) => {
                self.0.push_back(n);
                Some(self.0.len() as u8)
            }
            Op::Take => self.0.pop_front(),
            Op::Panic => panic!("the queue was asked to panic"),
        }
    }
}

/// One finished operation: logical instants of its beginning and end, and what came back.
#[derive(Clone, Copy, Debug)]
struct Done {
    began: u64,
    ended: u64,
    op: Op,
    answer: Option<u8>,
}

/// True when some sequential order explains the history.
fn explained(history: &[Done], state: &Queue, done: u32) -> bool {
    if done.count_ones() as usize == history.len() {
        return true;
    }
    let open = |i: &usize| done & (1 << i) == 0;
    // Whatever comes next must have begun before every open operation has ended.
    let horizon = (0..history.len()).filter(open).map(|i| history[i].ended).min().expect("some are open");
    (0..history.len()).filter(open).any(|i| {
        let mut next = state.clone();
        history[i].began < horizon && next.apply(history[i].op) == history[i].answer && explained(history, &next, done | 1 << i)
    })
}

fn nightly() -> bool {
    std::env::var_os("TIDEGATE_NIGHTLY").is_some_and(|v| v == "1")
}

/// How a thread waits for its answers.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Block,
    Await,
    Spin,
}

/// Runs each script on a thread of its own and returns the history.
fn run(scripts: &[Vec<Op>], manner: Manner, limits: FrontLimits, resident: bool) -> Vec<Done> {
    let front = MatcherHandle::new(Queue::default(), limits);
    let clock = Arc::new(AtomicU64::new(0));
    let start = Arc::new(Barrier::new(scripts.len()));
    let serving = resident.then(|| {
        let mut resident = front.resident().expect("nobody else is there yet");
        thread::spawn(move || while resident.serve_wait(3) > 0 {})
    });
    let handles: Vec<_> = scripts
        .iter()
        .cloned()
        .map(|script| {
            let (front, clock, start) = (front.clone(), clock.clone(), start.clone());
            thread::spawn(move || {
                start.wait();
                let mut history = Vec::new();
                for op in script {
                    let began = clock.fetch_add(1, Ordering::SeqCst);
                    let mut pending = front.submit(op).expect("there is room");
                    let answer = match manner {
                        Manner::Block => pending.wait(),
                        Manner::Await => block_on(pending),
                        Manner::Spin => loop {
                            if let Some(outcome) = pending.try_take() {
                                break outcome;
                            }
                            front.assist();
                            thread::yield_now();
                        },
                    };
                    let answer = answer.expect("nothing panics");
                    let ended = clock.fetch_add(1, Ordering::SeqCst);
                    history.push(Done { began, ended, op, answer });
                }
                history
            })
        })
        .collect();
    let history = handles.into_iter().flat_map(|h| h.join().expect("a caller ends well")).collect();
    front.close();
    if let Some(serving) = serving {
        serving.join().expect("the resident ends well");
    }
    assert_eq!((front.len(), front.callers()), (0, 0));
    history
}

fn script() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(prop_oneof![any::<u8>().prop_map(Op::Put), Just(Op::Take)], 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if nightly() { 5_000 } else { 250 }))]

    /// Whatever the threads, the manner of waiting and the batch bound: some sequential order explains the answers.
    #[test]
    fn histories_are_sequential(
        scripts in prop::collection::vec(script(), 2..5),
        manner in prop_oneof![Just(Manner::Block), Just(Manner::Await), Just(Manner::Spin)],
        batch in 1_usize..4,
        resident in any::<bool>(),
    ) {
        let limits = FrontLimits { ring: 8, callers: 8, batch };
        let history = run(&scripts, manner, limits, resident);
        prop_assert_eq!(history.len(), scripts.iter().map(Vec::len).sum::<usize>());
        prop_assert!(explained(&history, &Queue::default(), 0), "no sequential order explains {history:?}");
    }
}

#[test]
fn the_checker_can_say_no() {
    // One after the other in real time, yet answered as if the other way round.
    let put = Done { began: 0, ended: 1, op: Op::Put(7), answer: Some(1) };
    let take = Done { began: 2, ended: 3, op: Op::Take, answer: None };
    assert!(!explained(&[put, take], &Queue::default(), 0));
    let overlapping = Done { began: 0, ..take };
    assert!(explained(&[put, overlapping], &Queue::default(), 0));
    let invented = Done { answer: Some(9), ..take };
    assert!(!explained(&[put, invented], &Queue::default(), 0));
}

#[test]
fn limits_give_the_operation_back() {
    let front = MatcherHandle::new(Queue::default(), FrontLimits { ring: 2, callers: 1, batch: 1 });
    let resident = front.resident().expect("nobody else is there yet");
    assert!(front.resident().is_none(), "one resident at a time");
    for n in 0..20_u8 {
        match front.send(Op::Put(n)) {
            Ok(()) => assert!(n < 2),
            Err(SubmitError::Full(Op::Put(back))) => assert!(n >= 2 && back == n),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((front.len(), front.capacity()), (2, 2));
    drop(resident);
    assert_eq!(front.len(), 0, "the leaving resident sees to what stands there");
    let resident = front.resident().expect("free again");
    let kept = front.submit(Op::Take).expect("room");
    assert!(matches!(front.submit(Op::Take), Err(SubmitError::TooManyCallers(Op::Take))));
    drop(resident);
    assert_eq!(kept.wait(), Ok(Some(0)));
    front.close();
    assert!(matches!(front.call(Op::Take), Err(SubmitError::Closed(Op::Take))));
}

#[test]
fn a_panic_poisons_by_name() {
    let front = MatcherHandle::new(Queue::default(), FrontLimits::default());
    assert_eq!(front.call(Op::Put(1)).expect("room"), Ok(Some(1)));
    let resident = front.resident().expect("nobody else is there yet");
    let handles: Vec<_> = [Op::Panic, Op::Put(2), Op::Take]
        .into_iter()
        .map(|op| {
            // In this order into the ring; each then waits on a thread of its own.
            let pending = front.submit(op).expect("room");
            thread::spawn(move || pending.wait())
        })
        .collect();
    drop(resident);
    let poisoned = FrontPoisoned { by: "the queue was asked to panic".into() };
    for handle in handles {
        assert_eq!(handle.join().expect("a caller ends well"), Err(poisoned.clone()));
    }
    match front.call(Op::Take) {
        Err(SubmitError::Poisoned { op: Op::Take, by }) => assert_eq!(&*by, "the queue was asked to panic"),
        other => panic!("{other:?}"),
    }
    assert_eq!(front.poisoned_by().as_deref(), Some("the queue was asked to panic"));
    assert_eq!((front.len(), front.callers()), (0, 0));
}

#[test]
fn a_posted_operation_waits_for_the_next_caller() {
    let front = MatcherHandle::new(Queue::default(), FrontLimits::default());
    front.post(Op::Put(1)).expect("room");
    assert_eq!(front.len(), 1, "`post` never combines");
    assert_eq!(front.call(Op::Take).expect("room"), Ok(Some(1)), "whoever waits next serves it");
}

/// Adds up, and counts its batches.
#[derive(Default)]
struct Adder {
    sum: u64,
    batches: Arc<AtomicUsize>,
}

impl Sequential for Adder {
    type Op = u64;
    type Answer = u64;

    fn apply(&mut self, op: u64) -> u64 {
        self.sum += op;
        self.sum
    }

    fn settle(&mut self) {
        self.batches.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn nothing_is_lost_or_doubled_under_load() {
    let each: u64 = if nightly() { 500_000 } else { 20_000 };
    let adder = Adder::default();
    let batches = adder.batches.clone();
    let front = MatcherHandle::new(adder, FrontLimits { ring: 16, callers: 16, batch: 4 });
    let handles: Vec<_> = (0..4_u64)
        .map(|id| {
            let front = front.clone();
            thread::spawn(move || {
                let mut last = 0;
                for n in 0..each {
                    loop {
                        let outcome = match (id + n) % 3 {
                            0 => front.send(1).map(|()| None),
                            1 => front.submit(1).map(|answer| {
                                drop(answer);
                                None
                            }),
                            _ => front.call(1).map(Some),
                        };
                        match outcome {
                            Ok(None) => break,
                            Ok(Some(sum)) => {
                                let sum = sum.expect("nothing panics");
                                assert!(sum > last, "the sum a thread sees only rises");
                                last = sum;
                                break;
                            }
                            Err(SubmitError::Full(_) | SubmitError::TooManyCallers(_)) => thread::yield_now(),
                            Err(other) => panic!("{other}"),
                        }
                    }
                }
            })
        })
        .collect();
    for handle in handles {
        handle.join().expect("a submitter ends well");
    }
    assert_eq!(front.len(), 0, "an operation was left behind");
    let mut resident = front.resident().expect("nobody combines any more");
    assert_eq!(resident.with(|adder| adder.sum), 4 * each);
    assert!(batches.load(Ordering::Relaxed) as u64 <= 4 * each);
}
