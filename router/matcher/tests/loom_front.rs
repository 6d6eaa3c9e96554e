//! loom: the combining front. One combiner at a time, every accepted operation applied once, nobody sleeps for ever,
//! the right is handed over, a panic wedges nothing.
#![cfg(loom)]

#[path = "edges_support/block_on.rs"]
mod block_on;
mod edges_support;

use block_on::block_on;
use edges_support::{apart, check, must_fail};
use tidegate_matcher::front::{FrontLimits, FrontPoisoned, MatcherHandle, Sequential, SubmitError};
use tidegate_matcher::primitive::planted::Plant;
use tidegate_matcher::primitive::sync::thread;

/// Adds up and answers with the sum; the front's own cell is watched by loom, so two combiners at once fail the model.
#[derive(Default)]
struct Adder {
    sum: u64,
    settled: u64,
}

/// This operation panics.
const PANIC: u64 = 99;

impl Sequential for Adder {
    type Op = u64;
    type Answer = u64;

    fn apply(&mut self, op: u64) -> u64 {
        if op == PANIC {
            // Resumed rather than raised: no hook, no backtrace for each of the model's executions.
            std::panic::resume_unwind(Box::new("asked to panic"));
        }
        self.sum += op;
        self.sum
    }

    fn settle(&mut self) {
        self.settled = self.sum;
    }
}

fn front(batch: usize) -> MatcherHandle<Adder> {
    MatcherHandle::new(Adder::default(), FrontLimits { ring: 2, callers: 2, batch })
}

/// The sum, read by taking the right, which must be free once everybody has gone.
fn sum(front: &MatcherHandle<Adder>) -> u64 {
    let mut resident = front.resident().expect("nobody holds the right any more");
    resident.with(|adder| {
        assert_eq!(adder.settled, adder.sum);
        adder.sum
    })
}

/// Two callers: each gets its answer, in some order.
fn two_callers() {
    let front = front(2);
    let handles: Vec<_> = [1_u64, 10]
        .into_iter()
        .map(|op| {
            let front = front.clone();
            thread::spawn(move || front.call(op).expect("there is room").expect("nothing panics"))
        })
        .collect();
    let mut got: Vec<_> = handles.into_iter().map(|h| h.join().expect("the caller ends well")).collect();
    got.sort_unstable();
    assert!(got == [1, 11] || got == [10, 11], "{got:?} is no sequential outcome");
    assert_eq!(sum(&front), 11);
}

/// Two submitters that leave, one operation a batch: whatever one of them leaves behind, somebody serves it.
fn leaving_submitters() {
    let front = front(1);
    let handles: Vec<_> = [1_u64, 10]
        .into_iter()
        .map(|op| {
            let front = front.clone();
            thread::spawn(move || front.send(op).expect("there is room"))
        })
        .collect();
    for handle in handles {
        handle.join().expect("the submitter ends well");
    }
    assert_eq!(front.len(), 0, "an operation was left behind");
    assert_eq!(sum(&front), 11);
}

/// A caller that sleeps and a submitter that leaves, one operation a batch: the hand-over goes to a sleeper or nowhere.
fn hand_over() {
    let front = front(1);
    let leaving = {
        let front = front.clone();
        thread::spawn(move || {
            front.send(1).expect("there is room");
        })
    };
    let calling = front.clone();
    let got = apart(move || calling.call(10).expect("there is room").expect("nothing panics"));
    assert!(got == 10 || got == 11);
    leaving.join().expect("the submitter ends well");
    assert_eq!(front.len(), 0, "an operation was left behind");
    assert_eq!(sum(&front), 11);
}

/// A caller that awaits and one that blocks, one operation a batch: the hand-over reaches a future too.
fn hand_over_to_a_future() {
    let front = front(1);
    let awaiting = {
        let front = front.clone();
        thread::spawn(move || block_on(front.submit(1).expect("there is room")).expect("nothing panics"))
    };
    let calling = front.clone();
    let got = apart(move || calling.call(10).expect("there is room").expect("nothing panics"));
    let other = awaiting.join().expect("the caller ends well");
    assert!((got, other) == (10, 11) || (got, other) == (11, 1));
    assert_eq!(sum(&front), 11);
}

/// A caller goes without waiting, possibly after it was woken to go on for another: nothing is left behind.
fn a_caller_goes() {
    let front = front(1);
    let going = {
        let front = front.clone();
        thread::spawn(move || drop(front.submit(1).expect("there is room")))
    };
    let staying = front.clone();
    apart(move || {
        staying.call(10).expect("there is room").expect("nothing panics");
    });
    going.join().expect("the submitter ends well");
    assert_eq!(front.len(), 0, "an operation was left behind");
    assert_eq!(sum(&front), 11);
    assert_eq!(front.callers(), 0);
}

/// A resident serves sleeping; the caller only pushes and rings. Closing ends the residence.
fn resident() {
    let front = front(2);
    let mut resident = front.resident().expect("nobody else is there yet");
    assert!(front.resident().is_none());
    let serving = thread::spawn(move || {
        let mut served = 0;
        loop {
            match resident.serve_wait(2) {
                0 => return served,
                more => served += more,
            }
        }
    });
    let calling = front.clone();
    apart(move || {
        assert_eq!(calling.call(1).expect("there is room"), Ok(1));
        calling.close();
        assert!(matches!(calling.call(1), Err(SubmitError::Closed(1))));
    });
    assert_eq!(serving.join().expect("the resident ends well"), 1);
}

/// The resident goes while an operation comes: one of the two serves it.
fn the_resident_goes() {
    let front = front(1);
    let resident = front.resident().expect("nobody else is there yet");
    let leaving = {
        let front = front.clone();
        thread::spawn(move || front.send(1).expect("there is room"))
    };
    apart(move || drop(resident));
    leaving.join().expect("the submitter ends well");
    assert_eq!(front.len(), 0, "an operation was left behind");
    assert_eq!(sum(&front), 1);
}

/// One operation panics: its caller and all later ones learn the name of the poison, nobody sleeps on.
fn poison() {
    let front = front(1);
    let handles: Vec<_> = [PANIC, 10]
        .into_iter()
        .map(|op| {
            let front = front.clone();
            thread::spawn(move || front.call(op))
        })
        .collect();
    let poisoned = FrontPoisoned { by: "asked to panic".into() };
    for (handle, op) in handles.into_iter().zip([PANIC, 10]) {
        match handle.join().expect("the caller ends well") {
            Ok(Ok(sum)) => assert_eq!((op, sum), (10, 10)),
            Ok(Err(error)) => assert_eq!(error, poisoned),
            Err(SubmitError::Poisoned { op: back, by }) => assert_eq!((back, &*by), (10, "asked to panic")),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(front.poisoned_by().as_deref(), Some("asked to panic"));
    assert!(matches!(front.call(1), Err(SubmitError::Poisoned { op: 1, .. })));
    assert_eq!(front.callers(), 0);
}

#[test]
fn callers() {
    check("two callers", two_callers);
}

#[test]
fn leavers() {
    check("leaving submitters", leaving_submitters);
}

#[test]
fn handing_over() {
    check("hand-over", hand_over);
    check("hand-over to a future", hand_over_to_a_future);
}

#[test]
fn going() {
    check("a caller goes", a_caller_goes);
}

#[test]
fn residence() {
    check("resident", resident);
}

#[test]
fn residence_ends() {
    check("the resident goes", the_resident_goes);
}

#[test]
fn panic_in_apply() {
    check("poison", poison);
}

#[test]
fn planted_bugs_are_caught() {
    must_fail("two callers", Plant::FrontReleaseRelaxed, two_callers);
    must_fail("two callers", Plant::DoorbellNoRecheck, two_callers);
    must_fail("leaving submitters", Plant::FrontNoRecheck, leaving_submitters);
    must_fail("leaving submitters", Plant::FrontNoHeir, leaving_submitters);
}
