//! loom: credits are never above the limit, never negative, never lost, and whoever waits for one gets it.
#![cfg(loom)]

#[path = "edges_support/block_on.rs"]
mod block_on;
mod edges_support;

use block_on::block_on;
use edges_support::{apart, check, must_fail};
use tidegate_matcher::primitive::planted::Plant;
use tidegate_matcher::primitive::sync::{Arc, UnsafeCell, thread};
use tidegate_matcher::ring::{Credits, mpsc};

/// Under a limit of one, a credit is a lock: loom fails if two holders touch the cell at once.
fn hold(credits: &Credits, cell: &UnsafeCell<u64>) -> bool {
    assert!(credits.left() <= credits.limit());
    let Some(credit) = credits.try_take() else { return false };
    // SAFETY: at most one credit is out; loom checks that no other access runs beside this one.
    cell.with_mut(|v| unsafe { *v += 1 });
    drop(credit);
    true
}

fn limit_of_one() {
    let credits = Credits::new(1);
    let cell = Arc::new(UnsafeCell::new(0));
    let handles: Vec<_> = (0..2)
        .map(|_| {
            let (credits, cell) = (credits.clone(), cell.clone());
            thread::spawn(move || hold(&credits, &cell))
        })
        .collect();
    let served = handles.into_iter().map(|h| u64::from(h.join().expect("ends well"))).sum::<u64>();
    assert!(served >= 1, "everybody was refused although a credit was left");
    // SAFETY: both threads have ended.
    assert_eq!(cell.with(|v| unsafe { *v }), served);
    assert_eq!((credits.taken(), credits.left()), (0, 1), "a credit was lost or invented");
}

/// Two threads wait for the only credit: both get it in turn.
fn waiting_for_one() {
    let credits = Credits::new(1);
    let held = credits.try_take().expect("nobody else is there yet");
    let cell = Arc::new(UnsafeCell::new(0_u64));
    let handle = {
        let (credits, cell) = (credits.clone(), cell.clone());
        thread::spawn(move || {
            let _credit = credits.take_wait();
            // SAFETY: under the only credit.
            cell.with_mut(|v| unsafe { *v += 1 });
        })
    };
    let ours = credits.clone();
    apart(move || {
        // SAFETY: under the only credit, which is still ours.
        cell.with_mut(|v| unsafe { *v += 1 });
        drop(held);
        let credit = ours.take_wait();
        // SAFETY: under the only credit.
        cell.with_mut(|v| unsafe { *v += 1 });
        drop(credit);
    });
    handle.join().expect("the waiter ends well");
    assert_eq!(credits.left(), 1);
}

/// The same with one of the two awaiting.
fn awaiting_one() {
    let credits = Credits::new(1);
    let held = credits.try_take().expect("nobody else is there yet");
    let handle = {
        let credits = credits.clone();
        thread::spawn(move || drop(block_on(credits.take())))
    };
    drop(held);
    let ours = credits.clone();
    apart(move || drop(ours.take_wait()));
    handle.join().expect("the waiter ends well");
    assert_eq!(credits.left(), 1);
}

/// Allowances that sum to the capacity: the ring is never full, the credit returns with the value's end.
fn credits_keep_the_ring_open() {
    let (producer, mut consumer) = mpsc::ring(2);
    let handles: Vec<_> = (0..2_u64)
        .map(|n| {
            let producer = producer.clone();
            thread::spawn(move || {
                let credits = Credits::new(1);
                let value = credits.attach(n).expect("the first is always allowed");
                assert!(producer.push(value).is_ok(), "a ring with credits was full");
                if let Ok(value) = credits.attach(n) {
                    assert!(producer.push(value).is_ok(), "a ring with credits was full");
                }
                credits
            })
        })
        .collect();
    drop(producer);
    apart(move || while consumer.pop().is_some() {});
    for handle in handles {
        assert_eq!(handle.join().expect("the producer ends well").left(), 1);
    }
}

#[test]
fn one_holder() {
    check("limit of one", limit_of_one);
}

#[test]
fn waiting() {
    check("waiting for the only credit", waiting_for_one);
    check("awaiting the only credit", awaiting_one);
}

#[test]
fn with_a_ring() {
    check("credits keep the ring open", credits_keep_the_ring_open);
}

#[test]
fn planted_bugs_are_caught() {
    must_fail("limit of one", Plant::CreditCheckThenTake, limit_of_one);
    must_fail("limit of one", Plant::CreditRefusalKept, limit_of_one);
    must_fail("waiting for the only credit", Plant::DoorbellNoRecheck, waiting_for_one);
}
