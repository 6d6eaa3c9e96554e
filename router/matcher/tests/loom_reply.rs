//! loom: an answer reaches its caller once, or comes back; a caller who has gone never harms the next one.
#![cfg(loom)]

#[path = "edges_support/block_on.rs"]
mod block_on;
mod edges_support;

use block_on::block_on;
use edges_support::{apart, check, must_fail};
use tidegate_matcher::primitive::planted::Plant;
use tidegate_matcher::primitive::sync::thread;
use tidegate_matcher::reply::{NoAnswer, ReplySlots};

/// The answer arrives at a sleeping caller.
fn answered() {
    let slots = ReplySlots::new(1);
    let (reply, responder) = slots.claim_pair().expect("a slot is free");
    let handle = thread::spawn(move || responder.answer(Box::new(7)).expect("the caller stays"));
    assert_eq!(apart(|| reply.wait()), Ok(Box::new(7)));
    handle.join().expect("the answerer ends well");
    assert_eq!(slots.claimed(), 0);
}

/// The answer arrives at an awaiting caller.
fn awaited() {
    let slots = ReplySlots::new(1);
    let (reply, responder) = slots.claim_pair().expect("a slot is free");
    let handle = thread::spawn(move || responder.answer(Box::new(7)).expect("the caller stays"));
    assert_eq!(apart(|| block_on(reply)), Ok(Box::new(7)));
    handle.join().expect("the answerer ends well");
    assert_eq!(slots.claimed(), 0);
}

/// The caller goes while the answer is given: it comes back, or was delivered and dropped (loom reports a leak).
fn the_caller_goes() {
    let slots = ReplySlots::new(1);
    let (reply, responder) = slots.claim_pair().expect("a slot is free");
    let handle = thread::spawn(move || match responder.answer(Box::new(7)) {
        Ok(()) => {}
        Err(back) => assert_eq!(*back, 7),
    });
    drop(reply);
    handle.join().expect("the answerer ends well");
    assert_eq!(slots.claimed(), 0);
    assert!(slots.claim().is_some(), "the slot was lost");
}

/// Two answerers hold the same ticket: one delivers, the other gets its answer back.
fn answered_once() {
    let slots = ReplySlots::new(1);
    let reply = slots.claim().expect("a slot is free");
    let ticket = reply.ticket();
    let handles: Vec<_> = (1..=2_u64)
        .map(|n| {
            let slots = slots.clone();
            thread::spawn(move || slots.answer(ticket, n).map_err(|e| e.into_inner()))
        })
        .collect();
    let got = apart(|| reply.wait()).expect("somebody answers");
    let outcomes: Vec<_> = handles.into_iter().map(|h| h.join().expect("the answerer ends well")).collect();
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1, "answered once");
    for (n, outcome) in (1..).zip(outcomes) {
        assert_eq!(outcome, if n == got { Ok(()) } else { Err(n) });
    }
}

/// A late answer to a caller who has gone meets the slot in its next generation.
fn a_late_answer_misses_the_next_caller() {
    let slots = ReplySlots::new(1);
    let first = slots.claim().expect("a slot is free");
    let old = first.ticket();
    let late = {
        let slots = slots.clone();
        thread::spawn(move || slots.answer(old, 1).is_ok())
    };
    drop(first);
    drop(slots.claim());
    // While the late answerer cleans up behind the first caller, the table for one may still be taken.
    let mut second = slots.claim();
    if let Some(second) = &mut second {
        assert_ne!(second.ticket(), old);
        assert_eq!(second.try_take(), None, "the answer of another generation arrived");
    }
    late.join().expect("the answerer ends well");
    if let Some(second) = &mut second {
        assert_eq!(second.try_take(), None, "the answer of another generation arrived");
    }
}

/// Given up instead of answered: the caller learns it.
fn given_up() {
    let slots = ReplySlots::<u64>::new(1);
    let (reply, responder) = slots.claim_pair().expect("a slot is free");
    let handle = thread::spawn(move || drop(responder));
    assert_eq!(apart(|| reply.wait()), Err(NoAnswer));
    handle.join().expect("the answerer ends well");
    assert_eq!(slots.claimed(), 0);
}

/// Two callers at a table for one: one is refused at most, nothing is lost.
fn the_limit_holds() {
    let slots = ReplySlots::<u64>::new(1);
    let handles: Vec<_> = (0..2)
        .map(|_| {
            let slots = slots.clone();
            thread::spawn(move || {
                let reply = slots.claim();
                assert!(slots.claimed() <= 1);
                u64::from(reply.is_some())
            })
        })
        .collect();
    let served: u64 = handles.into_iter().map(|h| h.join().expect("the caller ends well")).sum();
    assert!(served >= 1);
    assert_eq!(slots.claimed(), 0);
}

#[test]
fn delivery() {
    check("answered", answered);
    check("awaited", awaited);
}

#[test]
fn departure() {
    check("the caller goes", the_caller_goes);
}

#[test]
fn once() {
    check("answered once", answered_once);
}

#[test]
fn generations() {
    check("a late answer", a_late_answer_misses_the_next_caller);
}

#[test]
fn no_answer() {
    check("given up", given_up);
}

#[test]
fn limit() {
    check("the limit", the_limit_holds);
}

#[test]
fn planted_bugs_are_caught() {
    must_fail("answered", Plant::ReplyPublishRelaxed, answered);
    must_fail("answered", Plant::DoorbellNoRecheck, answered);
    must_fail("awaited", Plant::DoorbellNoRecheck, awaited);
    must_fail("awaited", Plant::DoorbellNoFence, awaited);
    must_fail("a late answer", Plant::ReplyIgnoresGeneration, a_late_answer_misses_the_next_caller);
}
