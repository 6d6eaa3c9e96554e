//! The rings on the real machine: limits, equality with a plain queue, order and conservation under load, both ends' exits.
#![cfg(all(feature = "std", not(any(loom, shuttle))))]

#[path = "edges_support/block_on.rs"]
mod block_on;

use block_on::block_on;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tidegate_matcher::ring::{Credits, MAX_CAPACITY, Pop, PushError, mpsc, spsc};

fn rounds(quick: usize) -> usize {
    if std::env::var_os("TIDEGATE_NIGHTLY").is_some_and(|v| v == "1") { quick * 20 } else { quick }
}

/// Counts its living copies.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self(alive.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn the_limit_holds_exactly() {
    for capacity in [1, 2, 3, 7, 8, 1000] {
        let (producer, mut consumer) = mpsc::ring(capacity);
        for n in 0..capacity * 10 {
            let outcome = producer.push(n);
            assert_eq!(outcome, if n < capacity { Ok(()) } else { Err(PushError::Full(n)) }, "capacity {capacity}");
        }
        assert_eq!((producer.len(), consumer.capacity()), (capacity, capacity));
        assert_eq!(consumer.try_pop(), Pop::Value(0));
        assert_eq!(producer.push(capacity), Ok(()), "a place given free is a place");

        let (mut producer, mut consumer) = spsc::ring(capacity);
        for n in 0..capacity * 10 {
            let outcome = producer.push(n);
            assert_eq!(outcome, if n < capacity { Ok(()) } else { Err(PushError::Full(n)) }, "capacity {capacity}");
        }
        assert_eq!((producer.len(), consumer.capacity()), (capacity, capacity));
        assert_eq!(consumer.try_pop(), Pop::Value(0));
        assert_eq!(producer.push(capacity), Ok(()));
    }
}

#[test]
fn senseless_capacities_are_refused() {
    for capacity in [0, MAX_CAPACITY + 1, MAX_CAPACITY * 10] {
        let mpsc = std::panic::catch_unwind(|| mpsc::ring::<u8>(capacity));
        let spsc = std::panic::catch_unwind(|| spsc::ring::<u8>(capacity));
        assert!(mpsc.is_err() && spsc.is_err(), "capacity {capacity}");
    }
}

#[test]
fn every_value_is_dropped_once() {
    let alive = Arc::new(AtomicUsize::new(0));
    let (producer, mut consumer) = mpsc::ring(4);
    for _ in 0..6 {
        drop(producer.push(Counted::new(&alive)));
    }
    assert_eq!(alive.load(Ordering::Relaxed), 4, "the refused came back and were dropped");
    drop(consumer.try_pop());
    drop(consumer);
    assert_eq!(alive.load(Ordering::Relaxed), 0, "the consumer takes what stands with it");
    assert!(matches!(producer.push(Counted::new(&alive)), Err(PushError::Closed(_))));

    let (mut producer, consumer) = spsc::ring(4);
    let mut values: Vec<_> = (0..6).map(|_| Counted::new(&alive)).collect();
    assert_eq!(producer.push_batch(&mut values), 4);
    assert_eq!(values.len(), 2);
    drop(consumer);
    assert_eq!(alive.load(Ordering::Relaxed), 2);
    assert!(!producer.push_all_wait(&mut values), "nobody is there to take them");
    assert_eq!(values.len(), 2, "what was not taken stays");
}

#[test]
fn the_end_comes_after_everything() {
    let (producer, mut consumer) = mpsc::ring(8);
    let second = producer.clone();
    producer.push(1).expect("room");
    drop(producer);
    second.push(2).expect("one producer lives");
    second.close();
    assert_eq!(second.push(3), Err(PushError::Closed(3)));
    assert_eq!((consumer.pop(), consumer.pop(), consumer.pop()), (Some(1), Some(2), None));
    assert_eq!(consumer.try_pop(), Pop::Closed);
    assert_eq!(consumer.wait_batch(&mut Vec::new(), 1), 0);

    let (mut producer, mut consumer) = spsc::ring(8);
    producer.push(1).expect("room");
    drop(producer);
    assert_eq!((consumer.pop(), consumer.pop()), (Some(1), None));
}

#[test]
fn the_gauge_outlives_both_ends() {
    let (producer, consumer) = mpsc::ring(4);
    let gauge = producer.gauge();
    producer.push("a").expect("room");
    assert_eq!((gauge.len(), gauge.limit(), gauge.is_empty()), (1, 4, false));
    drop((producer, consumer));
    assert_eq!((gauge.len(), gauge.is_empty()), (0, true));
}

#[test]
fn peeking_takes_nothing() {
    let (mut producer, mut consumer) = spsc::ring(4);
    assert_eq!(consumer.peek(4, |_, _: &u32| unreachable!()), 0);
    producer.push_batch(&mut vec![5, 6, 7]);
    let mut seen = Vec::new();
    assert_eq!(consumer.peek(2, |i, value| seen.push((i, *value))), 2);
    assert_eq!(seen, [(0, 5), (1, 6)]);
    assert_eq!(consumer.pop(), Some(5));
}

#[test]
fn many_producers_one_blocking_consumer() {
    let each = rounds(20_000);
    let (producer, mut consumer) = mpsc::ring(64);
    let handles: Vec<_> = (0..4_usize)
        .map(|id| {
            let producer = producer.clone();
            thread::spawn(move || {
                for n in 0..each {
                    let mut value = (id, n);
                    while let Err(refused) = producer.push(value) {
                        value = refused.into_inner();
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    drop(producer);
    let mut next = [0; 4];
    let mut batch = Vec::new();
    while consumer.wait_batch(&mut batch, 17) > 0 {
        for (id, n) in batch.drain(..) {
            assert_eq!(n, next[id], "a producer's values arrive in its order");
            next[id] += 1;
        }
    }
    assert_eq!(next, [each; 4]);
    for handle in handles {
        handle.join().expect("a producer ends well");
    }
}

#[test]
fn the_pipe_keeps_order_with_both_sides_sleeping() {
    let all = rounds(50_000);
    let (mut producer, mut consumer) = spsc::ring(3);
    let handle = thread::spawn(move || {
        let mut n = 0;
        while n < all {
            if n % 5 == 0 {
                producer.push_wait(n).expect("the consumer stays");
                n += 1;
            } else {
                let mut batch: Vec<_> = (n..(n + 4).min(all)).collect();
                n += batch.len();
                assert!(producer.push_all_wait(&mut batch));
            }
        }
    });
    for expected in 0..all {
        assert_eq!(consumer.pop(), Some(expected));
    }
    assert_eq!(consumer.pop(), None);
    handle.join().expect("the producer ends well");
}

#[test]
fn futures_are_woken() {
    let all = rounds(2_000);
    let (producer, mut consumer) = mpsc::ring(2);
    let (mut onward, mut out) = spsc::ring(1);
    let credits = Credits::new(2);
    let taking = credits.clone();
    let first = thread::spawn(move || {
        block_on(async move {
            for n in 0..all {
                let credit = taking.take().await;
                assert!(producer.push((n, credit)).is_ok(), "a ring with credits was full");
            }
        });
    });
    let second = thread::spawn(move || {
        block_on(async move {
            while let Some((n, credit)) = poll_fn(|cx| consumer.poll_pop(cx)).await {
                let mut value = n;
                while let Err(refused) = onward.push(value) {
                    value = refused.into_inner();
                    assert!(poll_fn(|cx| onward.poll_room(cx)).await);
                }
                drop(credit);
            }
        });
    });
    block_on(async {
        for n in 0..all {
            assert_eq!(poll_fn(|cx| out.poll_pop(cx)).await, Some(n));
        }
        assert_eq!(poll_fn(|cx| out.poll_pop(cx)).await, None);
    });
    first.join().expect("ends well");
    second.join().expect("ends well");
    assert_eq!(credits.left(), 2);
}

#[test]
fn a_noisy_producer_finds_only_itself_refused() {
    let (producer, mut consumer) = mpsc::ring(10);
    let (noisy, quiet) = (Credits::new(5), Credits::new(5));
    let mut refused = 0;
    for n in 0..100 {
        match noisy.attach(n) {
            Ok(value) => assert!(producer.push(value).is_ok()),
            Err(back) => {
                assert_eq!(back, n);
                refused += 1;
            }
        }
    }
    assert_eq!((refused, noisy.left(), noisy.taken(), noisy.limit()), (95, 0, 5, 5));
    assert!(producer.push(quiet.attach(1000).expect("its own credit")).is_ok());
    let first = consumer.pop().expect("there are values");
    assert_eq!(*first, 0);
    assert_eq!(noisy.left(), 0, "a credit returns when its value is dealt with, not when it is taken");
    let (value, credit) = first.into_parts();
    assert_eq!((value, noisy.left()), (0, 0));
    drop(credit);
    assert_eq!(noisy.left(), 1);
    drop(consumer);
    assert_eq!((noisy.left(), quiet.left()), (5, 5), "nothing is lost with the consumer");
    assert!(Credits::new(0).try_take().is_none());
}

#[derive(Clone, Debug)]
enum Step {
    Push,
    PushMany(usize),
    Pop,
    PopMany(usize),
    Peek(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Push),
        1 => (0_usize..6).prop_map(Step::PushMany),
        3 => Just(Step::Pop),
        1 => (1_usize..6).prop_map(Step::PopMany),
        1 => (0_usize..6).prop_map(Step::Peek),
    ]
}

proptest! {
    /// Both rings behave as a bounded queue does, step by step.
    #[test]
    fn rings_are_queues(capacity in 1_usize..6, steps in prop::collection::vec(step(), 0..60)) {
        let (many_in, mut many_out) = mpsc::ring(capacity);
        let (mut one_in, mut one_out) = spsc::ring(capacity);
        let mut model = VecDeque::new();
        let mut next = 0_u64;
        for step in steps {
            match step {
                Step::Push => {
                    let fits = model.len() < capacity;
                    prop_assert_eq!(many_in.push(next).is_ok(), fits);
                    prop_assert_eq!(one_in.push(next).is_ok(), fits);
                    if fits {
                        model.push_back(next);
                    }
                    next += 1;
                }
                Step::PushMany(wanted) => {
                    let mut values: Vec<_> = (next..next + wanted as u64).collect();
                    let fits = wanted.min(capacity - model.len());
                    for value in values.iter().take(fits) {
                        prop_assert!(many_in.push(*value).is_ok());
                        model.push_back(*value);
                    }
                    prop_assert_eq!(one_in.push_batch(&mut values), fits);
                    prop_assert_eq!(values.len(), wanted - fits);
                    next += wanted as u64;
                }
                Step::Pop => {
                    let expected = model.pop_front();
                    prop_assert_eq!(many_out.try_pop().value(), expected);
                    prop_assert_eq!(one_out.try_pop().value(), expected);
                }
                Step::PopMany(most) => {
                    let expected: Vec<_> = (0..most).map_while(|_| model.pop_front()).collect();
                    let (mut many, mut one) = (Vec::new(), Vec::new());
                    many_out.pop_batch(&mut many, most);
                    one_out.pop_batch(&mut one, most);
                    prop_assert_eq!(&many, &expected);
                    prop_assert_eq!(&one, &expected);
                }
                Step::Peek(most) => {
                    let mut seen = Vec::new();
                    one_out.peek(most, |_, value| seen.push(*value));
                    prop_assert!(seen.iter().eq(model.iter().take(most)));
                }
            }
            prop_assert_eq!((many_in.len(), one_in.len()), (model.len(), model.len()));
        }
    }
}
