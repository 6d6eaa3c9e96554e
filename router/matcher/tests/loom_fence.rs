//! loom: once `raise` has returned, nothing of an older term is emitted.
#![cfg(loom)]

mod edges_support;

use edges_support::{apart, check, must_fail};
use tidegate_matcher::fence::TermFence;
use tidegate_matcher::primitive::planted::Plant;
use tidegate_matcher::primitive::sync::{Arc, UnsafeCell, thread};

/// The world that is emitted into. An emission beside an access by the new term is a race that loom reports.
struct World(UnsafeCell<u64>);

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self(UnsafeCell::new(0)))
    }

    fn emit(&self, term: u64) {
        // SAFETY: in these models only one emitter of the current term runs; loom checks it.
        self.0.with_mut(|last| unsafe {
            assert!(*last <= term, "an emission of term {term} after one of term {}", *last);
            *last = term;
        });
    }
}

/// An old emitter against one raise.
fn one_raise() {
    let fence = TermFence::new(1);
    let world = World::new();
    let old = {
        let (fence, world) = (fence.clone(), world.clone());
        thread::spawn(move || {
            if let Some(pass) = fence.enter(1) {
                world.emit(pass.term());
            }
        })
    };
    let raising = fence.clone();
    apart(move || {
        raising.raise(2);
        let pass = raising.enter(2).expect("the new term is current");
        world.emit(pass.term());
    });
    old.join().expect("the emitter ends well");
    assert!(fence.enter(1).is_none());
    assert!(fence.enter(3).is_none(), "a term that nobody raised got a pass");
}

/// Two raises at once and an old emitter: each raise keeps its own promise.
fn two_raises() {
    let fence = TermFence::new(1);
    let world = World::new();
    let old = {
        let (fence, world) = (fence.clone(), world.clone());
        thread::spawn(move || {
            if let Some(pass) = fence.enter(1) {
                world.emit(pass.term());
            }
        })
    };
    let other = {
        let fence = fence.clone();
        thread::spawn(move || fence.raise(2))
    };
    apart(move || {
        fence.raise(3);
        assert_eq!(fence.term(), 3);
        // Terms 1 and 2 are out; nobody but us may emit now.
        let pass = fence.enter(3).expect("the new term is current");
        world.emit(pass.term());
    });
    old.join().expect("the emitter ends well");
    other.join().expect("the raiser ends well");
}

/// Passes of the new term do not hold the raise up, nor does a refused entry.
fn the_new_term_goes_on() {
    let fence = TermFence::new(1);
    let raiser = {
        let fence = fence.clone();
        thread::spawn(move || fence.raise(2))
    };
    let kept = fence.enter(2);
    let refused = fence.enter(1);
    drop(refused);
    // With a pass of term 2 in hand, the raise must still come to its end.
    raiser.join().expect("the raiser ends well");
    drop(kept);
    assert!(fence.is_drained());
}

#[test]
fn old_emitter() {
    check("one raise", one_raise);
}

#[test]
fn concurrent_raises() {
    check("two raises", two_raises);
}

#[test]
fn new_emitter() {
    check("the new term goes on", the_new_term_goes_on);
}

#[test]
fn planted_bugs_are_caught() {
    must_fail("one raise", Plant::FenceNoRecheck, one_raise);
    must_fail("one raise", Plant::FenceNoDrain, one_raise);
    must_fail("one raise", Plant::DoorbellNoRecheck, one_raise);
}
