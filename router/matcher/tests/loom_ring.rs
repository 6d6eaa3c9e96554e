//! loom: the many-to-one ring. Every accepted value arrives once, every refused one comes back, nobody sleeps for ever.
#![cfg(loom)]

#[path = "edges_support/block_on.rs"]
mod block_on;
mod edges_support;

use block_on::block_on;
use edges_support::{apart, check, must_fail};
use std::future::poll_fn;
use tidegate_matcher::primitive::planted::Plant;
use tidegate_matcher::primitive::sync::{Arc, UnsafeCell, thread};
use tidegate_matcher::ring::{Pop, PushError, mpsc};

/// A value whose memory loom watches: reading it without a happens-before edge to its writing fails the model.
struct Watched(Arc<UnsafeCell<u64>>);

// SAFETY: the cell is written before the value is handed over and only read afterwards; loom checks that it is so.
unsafe impl Send for Watched {}

impl Watched {
    fn new(n: u64) -> Self {
        let cell = Arc::new(UnsafeCell::new(0));
        // SAFETY: nobody else has the cell yet.
        cell.with_mut(|v| unsafe { *v = n });
        Self(cell)
    }

    fn read(&self) -> u64 {
        // SAFETY: the value was handed over by the ring; loom checks that no writing runs beside this reading.
        self.0.with(|v| unsafe { *v })
    }
}

/// Two producers push one value each; the consumer blocks until both have gone.
fn two_producers_one_sleeper() {
    let (producer, mut consumer) = mpsc::ring(2);
    let handles: Vec<_> = (1..=2)
        .map(|n| {
            let producer = producer.clone();
            thread::spawn(move || producer.push(Watched::new(n)).expect("there is room for both"))
        })
        .collect();
    drop(producer);
    let sum = apart(move || {
        let mut sum = 0;
        while let Some(value) = consumer.pop() {
            sum += value.read();
        }
        sum
    });
    assert_eq!(sum, 3);
    for handle in handles {
        handle.join().expect("the producer ends well");
    }
}

/// The same with a consumer that awaits.
fn two_producers_one_future() {
    let (producer, mut consumer) = mpsc::ring(2);
    let other = producer.clone();
    let handle = thread::spawn(move || other.push(1).expect("there is room"));
    let sum = {
        let consuming = thread::spawn(move || {
            block_on(async move {
                let mut sum = 0;
                while let Some(value) = poll_fn(|cx| consumer.poll_pop(cx)).await {
                    sum += value;
                }
                sum
            })
        });
        producer.push(2).expect("there is room");
        drop(producer);
        consuming.join().expect("the consumer ends well")
    };
    assert_eq!(sum, 3);
    handle.join().expect("the producer ends well");
}

/// One place, two producers, a consumer that looks twice: accepted and delivered agree, the refused come back.
fn full_gives_the_value_back() {
    let (producer, mut consumer) = mpsc::ring(1);
    let other = producer.clone();
    let push = |producer: &mpsc::Producer<Watched>, n| match producer.push(Watched::new(n)) {
        Ok(()) => n,
        Err(PushError::Full(back)) => {
            assert_eq!(back.read(), n);
            0
        }
        Err(PushError::Closed(_)) => unreachable!("nobody closes"),
    };
    let handle = thread::spawn(move || push(&other, 1));
    let mut got = 0;
    let mut sent = push(&producer, 2);
    if let Pop::Value(value) = consumer.try_pop() {
        got += value.read();
    }
    sent += handle.join().expect("the producer ends well");
    drop(producer);
    while let Some(value) = consumer.pop() {
        got += value.read();
    }
    assert_eq!(got, sent);
    assert!(sent > 0, "an empty ring refused everybody");
}

/// A producer that counted itself in early and takes its ticket late must not write over a value being read.
fn a_late_ticket_waits_for_nobody() {
    let (producer, mut consumer) = mpsc::ring(2);
    let late = producer.clone();
    let handle = thread::spawn(move || {
        let _ = late.push(Watched::new(7));
    });
    for n in 0..2 {
        if producer.push(Watched::new(n)).is_ok() {
            if let Pop::Value(value) = consumer.try_pop() {
                value.read();
            }
        }
    }
    handle.join().expect("the producer ends well");
}

/// Closing while a push is refused: the consumer still learns of the end.
fn a_refused_push_does_not_hide_the_end() {
    let (producer, mut consumer) = mpsc::ring(1);
    let pushing = producer.clone();
    let handle = thread::spawn(move || {
        let first = pushing.push(Watched::new(1)).is_ok();
        let second = pushing.push(Watched::new(1)).is_ok();
        u64::from(first) + u64::from(second)
    });
    let closing = thread::spawn(move || producer.close());
    let got = apart(move || {
        let mut got = 0;
        while let Some(value) = consumer.pop() {
            got += value.read();
        }
        assert!(matches!(consumer.try_pop(), Pop::Closed));
        got
    });
    // The end was seen: whatever was accepted is here.
    assert_eq!(handle.join().expect("the producer ends well"), got);
    closing.join().expect("the closer ends well");
}

/// A consumer that goes: accepted values are dropped with the ring (loom reports a leaked one), refused ones come back.
fn the_consumer_goes() {
    let (producer, consumer) = mpsc::ring(2);
    let handle = thread::spawn(move || match producer.push(Watched::new(5)) {
        Ok(()) => {}
        Err(PushError::Closed(back)) => assert_eq!(back.read(), 5),
        Err(PushError::Full(_)) => unreachable!("the ring is empty"),
    });
    drop(consumer);
    handle.join().expect("the producer ends well");
}

#[test]
fn values_arrive_and_sleepers_wake() {
    check("two producers, one sleeper", two_producers_one_sleeper);
    check("two producers, one future", two_producers_one_future);
}

#[test]
fn full() {
    check("full gives the value back", full_gives_the_value_back);
}

#[test]
fn late_ticket() {
    check("a late ticket", a_late_ticket_waits_for_nobody);
}

#[test]
fn end_with_a_refusal() {
    check("a refused push and the end", a_refused_push_does_not_hide_the_end);
}

#[test]
fn departure() {
    check("the consumer goes", the_consumer_goes);
}

#[test]
fn planted_bugs_are_caught() {
    must_fail("two producers, one sleeper", Plant::RingPublishRelaxed, two_producers_one_sleeper);
    must_fail("two producers, one sleeper", Plant::DoorbellNoRecheck, two_producers_one_sleeper);
    must_fail("two producers, one sleeper", Plant::DoorbellNoFence, two_producers_one_sleeper);
    must_fail("a late ticket", Plant::RingTicketRelaxed, a_late_ticket_waits_for_nobody);
    must_fail("a refused push and the end", Plant::RingSilentRefusal, a_refused_push_does_not_hide_the_end);
}
