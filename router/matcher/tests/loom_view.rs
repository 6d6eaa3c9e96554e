//! loom: a published view is never torn, never changes under a reader, and is dropped after its last reader and not before.
//!
//! What runs here is `view.rs` as it stands, over the stand-in for crossbeam-epoch (`primitive::epoch`), not over
//! crossbeam-epoch itself, which loom cannot see.
#![cfg(all(loom, not(crossbeam_loom)))]

mod edges_support;

use edges_support::{apart, check, must_fail};
use tidegate_matcher::primitive::planted::Plant;
use tidegate_matcher::primitive::sync::{Arc, AtomicUsize, Ordering, UnsafeCell, thread};
use tidegate_matcher::view::view;

/// A value whose every reading and whose drop loom watches; a drop beside a reading fails the model.
struct Watched {
    cell: UnsafeCell<(u64, u64)>,
    drops: Arc<AtomicUsize>,
}

impl Watched {
    fn new(n: u64, drops: &Arc<AtomicUsize>) -> Self {
        let cell = UnsafeCell::new((0, 0));
        // SAFETY: nobody else has the cell yet.
        cell.with_mut(|v| unsafe { *v = (n, n) });
        Self { cell, drops: drops.clone() }
    }

    fn read(&self) -> u64 {
        // SAFETY: a published value is only read; loom checks that its drop does not run beside this.
        let (a, b) = self.cell.with(|v| unsafe { *v });
        assert_eq!(a, b, "torn, or read after its drop");
        a
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // SAFETY: being dropped; loom checks that nobody reads beside this.
        self.cell.with_mut(|v| unsafe { *v = (u64::MAX, 0) });
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: the cell is written before the value is published and when it is dropped; loom checks both.
unsafe impl Sync for Watched {}

/// A reader that looks twice against a publisher of three versions.
fn read_while_published() {
    let drops = Arc::new(AtomicUsize::new(0));
    let (mut publisher, reader) = view(Watched::new(0, &drops));
    let reading = thread::spawn(move || {
        let mut last = 0;
        for _ in 0..2 {
            let seen = reader.read();
            let number = seen.number();
            assert_eq!(seen.read(), number);
            assert!(number >= last, "a reader went back in time");
            // Still the same after everything else had its chance.
            assert_eq!(seen.read(), number);
            last = number;
        }
    });
    let counted = drops.clone();
    apart(move || {
        for n in 1..=3 {
            assert_eq!(publisher.publish(Watched::new(n, &counted)), n);
        }
    });
    reading.join().expect("the reader ends well");
    assert_eq!(drops.load(Ordering::Relaxed), 4, "every version is dropped once");
}

/// Two readers, one of which holds on to what it sees while the other goes.
fn two_readers() {
    let drops = Arc::new(AtomicUsize::new(0));
    let (mut publisher, reader) = view(Watched::new(0, &drops));
    let handles: Vec<_> = (0..2)
        .map(|_| {
            let reader = reader.clone();
            thread::spawn(move || {
                let seen = reader.read();
                assert_eq!(seen.read(), seen.number());
            })
        })
        .collect();
    drop(reader);
    publisher.publish(Watched::new(1, &drops));
    publisher.publish(Watched::new(2, &drops));
    for handle in handles {
        handle.join().expect("the reader ends well");
    }
    drop(publisher);
    assert_eq!(drops.load(Ordering::Relaxed), 3, "every version is dropped once");
}

#[test]
fn one_reader() {
    check("read while published", read_while_published);
}

#[test]
fn readers() {
    check("two readers", two_readers);
}

#[test]
fn planted_bugs_are_caught() {
    must_fail("read while published", Plant::ViewPublishRelaxed, read_while_published);
    must_fail("read while published", Plant::ViewRetireBeforeUnlink, read_while_published);
    must_fail("read while published", Plant::EpochOneTooEarly, read_while_published);
}
