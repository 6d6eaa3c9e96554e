//! Reply slots, commit watermark, term fence and views on the real machine: limits, futures, load.
#![cfg(all(feature = "std", not(any(loom, shuttle))))]

#[path = "edges_support/block_on.rs"]
mod block_on;

use block_on::block_on;
use proptest::prelude::*;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use tidegate_matcher::fence::{MAX_TERM, TermFence};
use tidegate_matcher::reply::{AnswerError, MAX_SLOTS, NoAnswer, ReplySlots, Responder};
use tidegate_matcher::view::view;
use tidegate_matcher::watermark::{LogPoisoned, Watermark};

struct Unpark(Thread, AtomicUsize);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.unpark();
    }
}

fn waker() -> (Waker, Arc<Unpark>) {
    let unpark = Arc::new(Unpark(thread::current(), AtomicUsize::new(0)));
    (Waker::from(unpark.clone()), unpark)
}

fn rounds(quick: u64) -> u64 {
    if std::env::var_os("TIDEGATE_NIGHTLY").is_some_and(|v| v == "1") { quick * 20 } else { quick }
}

#[test]
fn a_reply_table_serves_its_limit_exactly() {
    for limit in [1, 2, 3, 100] {
        let slots = ReplySlots::<u32>::new(limit);
        let mut replies: Vec<_> = (0..limit).map(|_| slots.claim().expect("below the limit")).collect();
        for _ in 0..10 * limit {
            assert!(slots.claim().is_none(), "limit {limit}");
        }
        assert_eq!((slots.claimed(), slots.limit()), (limit, limit));
        replies.pop();
        assert!(slots.claim().is_some(), "limit {limit}");
    }
    for limit in [0, MAX_SLOTS / 2 + 1, MAX_SLOTS * 10] {
        assert!(std::panic::catch_unwind(|| ReplySlots::<u32>::new(limit)).is_err(), "limit {limit}");
    }
}

#[test]
fn answers_arrive_once_or_come_back() {
    let slots = ReplySlots::new(4);
    let mut reply = slots.claim().expect("free");
    let ticket = reply.ticket();
    assert_eq!(reply.try_take(), None);
    assert_eq!(slots.answer(ticket, 'a'), Ok(()));
    assert_eq!(slots.answer(ticket, 'b'), Err(AnswerError::Stale('b')));
    assert!(!slots.abandon(ticket));
    assert_eq!((reply.try_take(), reply.try_take()), (Some(Ok('a')), None));
    assert_eq!(slots.answer(ticket, 'c'), Err(AnswerError::Stale('c')), "another generation");

    let gone = slots.claim().expect("free").ticket();
    assert_eq!(slots.answer(gone, 'd'), Err(AnswerError::Stale('d')), "the caller has gone");
    let other = ReplySlots::<char>::new(64);
    let fill: Vec<_> = (0..40).map(|_| other.claim().expect("free")).collect();
    let foreign = fill[39].ticket();
    assert_eq!(slots.answer(foreign, 'e'), Err(AnswerError::Foreign('e')));
    assert!(!slots.abandon(foreign));

    let (reply, responder) = slots.claim_pair().expect("free");
    drop(responder);
    assert_eq!(reply.wait(), Err(NoAnswer));
    let replies: Vec<_> = (0..3).map(|_| slots.claim().expect("free")).collect();
    assert_eq!(slots.abandon_all(), 3);
    assert_eq!(slots.abandon_all(), 0);
    assert!(replies.into_iter().all(|reply| block_on(reply) == Err(NoAnswer)));
    assert_eq!(slots.claimed(), 0);
}

#[test]
fn answers_are_dropped_once() {
    let slots = ReplySlots::new(2);
    let alive = Arc::new(());
    let (reply, responder) = slots.claim_pair().expect("free");
    responder.answer(alive.clone()).expect("the caller is there");
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(reply);
    assert_eq!(Arc::strong_count(&alive), 1, "an answer nobody took is dropped with its reply");
}

#[test]
fn replies_under_load() {
    let slots = ReplySlots::<u64>::new(8);
    let (to, from) = std::sync::mpsc::sync_channel::<(u64, Responder<u64>)>(4);
    let answering = thread::spawn(move || from.into_iter().map(|(n, r)| r.answer(n * 3).is_ok() as u64).sum::<u64>());
    let each = rounds(5_000);
    let handles: Vec<_> = (0..3_u64)
        .map(|id| {
            let (slots, to) = (slots.clone(), to.clone());
            thread::spawn(move || {
                let mut taken = 0;
                for n in 0..each {
                    let (reply, responder) = slots.claim_pair().expect("three callers at a table for eight");
                    let asked = n * 4 + id;
                    to.send((asked, responder)).expect("the answerer is there");
                    match n % 3 {
                        0 => assert_eq!(reply.wait(), Ok(asked * 3)),
                        1 => assert_eq!(block_on(reply), Ok(asked * 3)),
                        _ => {
                            drop(reply);
                            continue;
                        }
                    }
                    taken += 1;
                }
                taken
            })
        })
        .collect();
    drop(to);
    let taken: u64 = handles.into_iter().map(|h| h.join().expect("a caller ends well")).sum();
    let delivered = answering.join().expect("the answerer ends well");
    assert!(taken <= delivered && delivered <= 3 * each);
    assert_eq!(slots.claimed(), 0);
}

#[test]
fn the_mark_rises_only() {
    let mark = Watermark::new(5);
    mark.advance(3);
    assert_eq!((mark.durable(), mark.covers(5), mark.covers(6)), (5, true, false));
    assert_eq!(mark.wait(5), Ok(()));
    mark.advance(9);
    mark.fail();
    mark.advance(20);
    assert_eq!((mark.durable(), mark.is_poisoned(), mark.wait(9)), (9, true, Ok(())));
    assert_eq!(mark.wait(10), Err(LogPoisoned { wanted: 10, durable: 9 }));
    assert_eq!(block_on(mark.covered(10)), Err(LogPoisoned { wanted: 10, durable: 9 }));
    assert!(std::panic::catch_unwind(|| Watermark::new(1 << 63)).is_err());
    assert!(std::panic::catch_unwind(|| Watermark::new(0).advance(1 << 63)).is_err());
}

#[test]
fn a_waiting_future_is_woken_when_covered_and_not_before() {
    let mark = Watermark::new(0);
    let (waker, woken) = waker();
    let mut cx = Context::from_waker(&waker);
    let mut second = pin!(mark.covered(2));
    assert_eq!(second.as_mut().poll(&mut cx), Poll::Pending);
    mark.advance(1);
    assert_eq!(woken.1.load(Ordering::SeqCst), 0, "woken early");
    assert_eq!(second.as_mut().poll(&mut cx), Poll::Pending);
    mark.advance(2);
    assert_eq!(woken.1.load(Ordering::SeqCst), 1);
    assert_eq!(second.as_mut().poll(&mut cx), Poll::Ready(Ok(())));
}

#[test]
fn given_up_waiters_do_not_pile_up() {
    let mark = Watermark::new(0);
    let (waker, woken) = waker();
    let mut cx = Context::from_waker(&waker);
    let mut kept = pin!(mark.covered(7));
    assert_eq!(kept.as_mut().poll(&mut cx), Poll::Pending);
    // The log stands still and clients keep coming and giving up: their places are swept.
    for n in 0..10_000 {
        let mut waiting = Box::pin(mark.covered(100 + n));
        assert_eq!(waiting.as_mut().poll(&mut cx), Poll::Pending);
        assert!(Arc::strong_count(&woken) < 200, "places given up are never swept");
    }
    mark.advance(7);
    assert_eq!(kept.as_mut().poll(&mut cx), Poll::Ready(Ok(())));
}

#[test]
fn nobody_is_released_early_under_load() {
    let all = rounds(4_000);
    let mark = Watermark::new(0);
    let flushed = Arc::new(AtomicU64::new(0));
    let handles: Vec<_> = (0..4_u64)
        .map(|id| {
            let (mark, flushed) = (mark.clone(), flushed.clone());
            thread::spawn(move || {
                for n in (1 + id..=all).step_by(4) {
                    if n % 2 == 0 { mark.wait(n) } else { block_on(mark.covered(n)) }.expect("no failure yet");
                    assert!(flushed.load(Ordering::SeqCst) >= n, "released before it was flushed");
                }
                assert_eq!(mark.wait(all + 1), Err(LogPoisoned { wanted: all + 1, durable: all }));
            })
        })
        .collect();
    let mut at = 0;
    while at < all {
        at = (at + 1 + at % 7).min(all);
        flushed.store(at, Ordering::SeqCst);
        mark.advance(at);
    }
    mark.fail();
    for handle in handles {
        handle.join().expect("a waiter ends well");
    }
}

#[test]
fn only_the_current_term_gets_a_pass() {
    let fence = TermFence::new(3);
    assert!(fence.enter(2).is_none() && fence.enter(4).is_none());
    let pass = fence.enter(3).expect("current");
    assert_eq!(pass.term(), 3);
    fence.announce(4);
    assert!(fence.enter(3).is_none() && fence.enter(4).is_some());
    assert!(!fence.is_drained());
    drop(pass);
    assert!(fence.is_drained());
    fence.raise(4);
    fence.raise(2);
    assert_eq!(fence.term(), 4, "a lower term raises nothing");
    fence.raise(MAX_TERM);
    assert!(fence.enter(MAX_TERM).is_some());
    assert!(std::panic::catch_unwind(|| TermFence::new(MAX_TERM + 1)).is_err());
}

#[test]
fn nothing_of_an_older_term_leaves_under_load() {
    let terms = rounds(500);
    let fence = TermFence::new(0);
    // The lowest term that may still emit: raised by the raisers after `raise` has returned.
    let floor = Arc::new(AtomicU64::new(0));
    let emitters: Vec<_> = (0..2)
        .map(|_| {
            let (fence, floor) = (fence.clone(), floor.clone());
            thread::spawn(move || {
                let mut emitted = 0_u64;
                while fence.term() < 2 * terms {
                    let Some(pass) = fence.enter(fence.term()) else { continue };
                    assert!(floor.load(Ordering::SeqCst) <= pass.term(), "an older term left");
                    emitted += 1;
                }
                emitted
            })
        })
        .collect();
    let raisers: Vec<_> = (0..2_u64)
        .map(|odd| {
            let (fence, floor) = (fence.clone(), floor.clone());
            thread::spawn(move || {
                for n in 1..=terms {
                    let term = 2 * n - odd;
                    fence.raise(term);
                    floor.fetch_max(term, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for raiser in raisers {
        raiser.join().expect("a raiser ends well");
    }
    for emitter in emitters {
        emitter.join().expect("an emitter ends well");
    }
    assert_eq!(fence.term(), 2 * terms);
}

/// A value that knows whether it was dropped and is only consistent as a whole.
struct Figures {
    parts: [u64; 8],
    alive: Arc<AtomicUsize>,
}

impl Figures {
    fn new(n: u64, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self { parts: [n; 8], alive: alive.clone() }
    }
}

impl Drop for Figures {
    fn drop(&mut self) {
        self.parts = [u64::MAX; 8];
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn readers_see_whole_versions_in_order() {
    let all = rounds(20_000);
    let alive = Arc::new(AtomicUsize::new(0));
    let (mut publisher, seen) = view(Figures::new(0, &alive));
    let handles: Vec<_> = (0..3)
        .map(|_| {
            let seen = seen.clone();
            thread::spawn(move || {
                let mut last = 0;
                while last < all {
                    let now = seen.read();
                    assert!(now.parts.iter().all(|part| *part == now.number()), "torn or dropped under a reader");
                    assert!(now.number() >= last, "a reader went back in time");
                    last = now.number();
                }
            })
        })
        .collect();
    for n in 1..=all {
        assert_eq!(publisher.publish(Figures::new(n, &alive)), n);
    }
    for handle in handles {
        handle.join().expect("a reader ends well");
    }
    assert_eq!(publisher.view().read().number(), all);
    drop((publisher, seen));
    // What was retired goes once the collector has moved on; a bounded number of pins brings that about.
    for _ in 0..1_000_000 {
        if alive.load(Ordering::SeqCst) == 0 {
            break;
        }
        let (_publisher, other) = view(());
        other.read();
        thread::yield_now();
    }
    assert_eq!(alive.load(Ordering::SeqCst), 0, "versions were leaked");
}

#[test]
fn a_version_lives_as_long_as_its_reader() {
    let alive = Arc::new(AtomicUsize::new(0));
    let (mut publisher, seen) = view(Figures::new(0, &alive));
    let held = seen.read();
    for n in 1..=1_000 {
        publisher.publish(Figures::new(n, &alive));
    }
    assert_eq!((held.number(), held.parts), (0, [0; 8]));
    assert!(alive.load(Ordering::SeqCst) >= 2);
}

proptest! {
    /// Any order of claims, answers, give-ups and departures at a small table: each ticket ends one way, nothing leaks.
    #[test]
    fn a_reply_table_keeps_its_books(steps in prop::collection::vec((0_u8..5, 0_usize..6), 0..80)) {
        let slots = ReplySlots::new(3);
        let mut open = Vec::new();
        let mut closed = Vec::new();
        for (n, (step, which)) in steps.into_iter().enumerate() {
            let which = if open.is_empty() { 0 } else { which % open.len() };
            match step {
                0 => match slots.claim() {
                    Some(reply) => {
                        prop_assert!(open.len() < 3);
                        open.push((reply, None));
                    }
                    None => prop_assert_eq!(open.len(), 3),
                },
                1 if !open.is_empty() => {
                    let (reply, state) = &mut open[which];
                    prop_assert_eq!(slots.answer(reply.ticket(), n).is_ok(), state.is_none());
                    state.get_or_insert(Ok(n));
                }
                2 if !open.is_empty() => {
                    let (reply, state) = &mut open[which];
                    prop_assert_eq!(slots.abandon(reply.ticket()), state.is_none());
                    state.get_or_insert(Err(NoAnswer));
                }
                3 if !open.is_empty() => {
                    let (mut reply, state) = open.swap_remove(which);
                    closed.push(reply.ticket());
                    prop_assert_eq!(reply.try_take(), state);
                }
                _ => {
                    for ticket in &closed {
                        prop_assert_eq!(slots.answer(*ticket, n), Err(AnswerError::Stale(n)));
                    }
                }
            }
            prop_assert_eq!(slots.claimed(), open.len());
        }
    }
}
