//! loom: the one-to-one ring, with both sides sleeping. Order, delivery, room given back, the end seen.
#![cfg(loom)]

mod edges_support;

use edges_support::{apart, check, must_fail};
use tidegate_matcher::primitive::planted::Plant;
use tidegate_matcher::primitive::sync::thread;
use tidegate_matcher::ring::{Pop, PushError, spsc};

/// One place, two values: the producer sleeps for room, the consumer for news.
fn both_sides_sleep() {
    let (mut producer, mut consumer) = spsc::ring(1);
    let handle = thread::spawn(move || {
        for n in 1..=2_u64 {
            producer.push_wait(Box::new(n)).expect("the consumer stays");
        }
    });
    apart(move || {
        for n in 1..=2_u64 {
            assert_eq!(consumer.pop(), Some(Box::new(n)));
        }
        assert_eq!(consumer.pop(), None);
    });
    handle.join().expect("the producer ends well");
}

/// A batch of three through two places: order kept, one wake-up enough.
fn batches() {
    let (mut producer, mut consumer) = spsc::ring(2);
    let handle = thread::spawn(move || {
        let mut values = vec![1, 2, 3];
        assert!(producer.push_all_wait(&mut values));
        assert!(values.is_empty());
    });
    apart(move || {
        let mut got = Vec::new();
        while consumer.wait_batch(&mut got, 2) > 0 {}
        assert_eq!(got, [1, 2, 3]);
    });
    handle.join().expect("the producer ends well");
}

/// Two values through one place without sleeping: the place is not written while it is read.
fn without_sleeping() {
    let (mut producer, mut consumer) = spsc::ring(1);
    let handle = thread::spawn(move || {
        let mut accepted = 0;
        for n in 1..=2_u64 {
            match producer.push(n) {
                Ok(()) => accepted += 1,
                Err(PushError::Full(back)) => assert_eq!(back, n),
                Err(PushError::Closed(_)) => unreachable!("the consumer stays"),
            }
        }
        accepted
    });
    let mut got = 0;
    for _ in 0..2 {
        if let Pop::Value(_) = consumer.try_pop() {
            got += 1;
        }
    }
    let accepted = handle.join().expect("the producer ends well");
    while let Pop::Value(_) = consumer.try_pop() {
        got += 1;
    }
    assert_eq!(got, accepted);
    assert_eq!(consumer.try_pop(), Pop::Closed);
}

/// The consumer goes while the producer sleeps for room: it wakes and gets its value back.
fn the_consumer_goes() {
    let (mut producer, consumer) = spsc::ring(1);
    producer.push(1).expect("there is room");
    let handle = thread::spawn(move || producer.push_wait(2));
    drop(consumer);
    let outcome = handle.join().expect("the producer ends well");
    assert!(outcome.is_ok() || outcome == Err(2));
}

#[test]
fn sleeping_sides() {
    check("both sides sleep", both_sides_sleep);
}

#[test]
fn batched() {
    check("batches", batches);
}

#[test]
fn trying() {
    check("without sleeping", without_sleeping);
}

#[test]
fn departure() {
    check("the consumer goes", the_consumer_goes);
}

#[test]
fn planted_bugs_are_caught() {
    must_fail("without sleeping", Plant::SpscPublishRelaxed, without_sleeping);
    must_fail("without sleeping", Plant::SpscFreeRelaxed, without_sleeping);
    must_fail("both sides sleep", Plant::DoorbellNoRecheck, both_sides_sleep);
    must_fail("both sides sleep", Plant::DoorbellNoFence, both_sides_sleep);
}
