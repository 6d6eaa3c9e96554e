//! loom: a wait on the commit watermark never ends early, always ends, and brings what was written before the mark.
#![cfg(loom)]

#[path = "edges_support/block_on.rs"]
mod block_on;
mod edges_support;

use block_on::block_on;
use edges_support::{apart, check, must_fail};
use std::task::{Context, Waker};
use tidegate_matcher::primitive::planted::Plant;
use tidegate_matcher::primitive::sync::{Arc, UnsafeCell, thread};
use tidegate_matcher::watermark::{LogPoisoned, Watermark};

/// The log: a cell per entry, written before the mark covers it.
struct Log([UnsafeCell<bool>; 3]);

impl Log {
    fn new() -> Arc<Self> {
        Arc::new(Self([UnsafeCell::new(false), UnsafeCell::new(false), UnsafeCell::new(false)]))
    }

    fn write(&self, entry: usize) {
        // SAFETY: one writer, before the mark covers the entry; loom checks it.
        self.0[entry].with_mut(|v| unsafe { *v = true });
    }

    fn is_durable(&self, entry: usize) -> bool {
        // SAFETY: read only after the mark has covered the entry; loom checks it.
        self.0[entry].with(|v| unsafe { *v })
    }
}

/// Two waiters for two entries; two flushes.
fn released_when_covered() {
    let mark = Watermark::new(0);
    let log = Log::new();
    let handles: Vec<_> = (1..=2)
        .map(|entry| {
            let (mark, log) = (mark.clone(), log.clone());
            thread::spawn(move || {
                assert_eq!(mark.wait(entry), Ok(()));
                assert!(log.is_durable(entry as usize), "released before the entry was durable");
            })
        })
        .collect();
    for entry in 1..=2 {
        log.write(entry as usize);
        mark.advance(entry);
    }
    for handle in handles {
        handle.join().expect("the waiter ends well");
    }
}

/// The same, awaited; a third who waits for more gives up in the middle and disturbs nobody.
fn awaited_beside_one_who_gives_up() {
    let mark = Watermark::new(0);
    let log = Log::new();
    let waiting = {
        let (mark, log) = (mark.clone(), log.clone());
        thread::spawn(move || {
            let mut given_up = Box::pin(mark.covered(2));
            assert!(given_up.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            drop(given_up);
            assert_eq!(block_on(mark.covered(1)), Ok(()));
            assert!(log.is_durable(1), "released before the entry was durable");
        })
    };
    log.write(1);
    mark.advance(1);
    waiting.join().expect("the waiter ends well");
}

/// Two threads raise the mark while one waits for the higher: whoever holds the waiters meanwhile, it is released.
fn two_raisers() {
    let mark = Watermark::new(0);
    let handles: Vec<_> = (1..=2)
        .map(|entry| {
            let mark = mark.clone();
            thread::spawn(move || mark.advance(entry))
        })
        .collect();
    apart(move || {
        assert_eq!(mark.wait(2), Ok(()));
        assert_eq!(mark.durable(), 2);
    });
    for handle in handles {
        handle.join().expect("the raiser ends well");
    }
}

/// The log fails: what was covered stays covered, the rest gets an error, nobody sleeps on.
fn poisoned() {
    let mark = Watermark::new(0);
    let handles: Vec<_> = (1..=2)
        .map(|entry| {
            let mark = mark.clone();
            thread::spawn(move || mark.wait(entry))
        })
        .collect();
    mark.advance(1);
    mark.fail();
    mark.advance(2);
    let outcomes: Vec<_> = handles.into_iter().map(|h| h.join().expect("the waiter ends well")).collect();
    assert_eq!(outcomes[0], Ok(()));
    assert_eq!(outcomes[1], Err(LogPoisoned { wanted: 2, durable: 1 }));
    assert!(mark.is_poisoned());
}

#[test]
fn coverage() {
    check("released when covered", released_when_covered);
    check("awaited beside one who gives up", awaited_beside_one_who_gives_up);
}

#[test]
fn raisers() {
    check("two raisers", two_raisers);
}

#[test]
fn failure() {
    check("poisoned", poisoned);
}

#[test]
fn planted_bugs_are_caught() {
    must_fail("released when covered", Plant::WatermarkPublishRelaxed, released_when_covered);
    must_fail("released when covered", Plant::DoorbellNoRecheck, released_when_covered);
    must_fail("awaited beside one who gives up", Plant::DoorbellNoRecheck, awaited_beside_one_who_gives_up);
    must_fail("two raisers", Plant::WatermarkPassOnce, two_raisers);
}
