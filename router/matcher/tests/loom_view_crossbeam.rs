//! loom, nightly only: the views over crossbeam-epoch itself, by that crate's own loom switch.
//!
//! The switch is outside crossbeam's stability promise, so `./verify` relies on `loom_view` (over a stand-in) and this file
//! runs apart: `RUSTFLAGS="--cfg loom --cfg crossbeam_loom" cargo test --release --test loom_view_crossbeam`. A reader
//! against three publications, each of which also lets the collector move on.
#![cfg(all(loom, crossbeam_loom))]

mod edges_support;

use edges_support::{apart, check, must_fail};
use tidegate_matcher::primitive::planted::Plant;
use tidegate_matcher::primitive::sync::thread;
use tidegate_matcher::view::view;

/// Spoils itself when dropped. The collector may outlive the model, so nothing here belongs to loom.
struct Spoiling([u64; 2]);

impl Drop for Spoiling {
    fn drop(&mut self) {
        self.0 = [u64::MAX, 0];
    }
}

fn read_while_published() {
    let (mut publisher, reader) = view(Spoiling([0; 2]));
    let reading = thread::spawn(move || {
        let seen = reader.read();
        let number = seen.number();
        assert_eq!(seen.0, [number; 2], "torn, or dropped under a reader");
        thread::yield_now();
        assert_eq!(seen.0, [number; 2], "dropped under a reader");
    });
    apart(move || {
        for n in 1..=3 {
            publisher.publish(Spoiling([n; 2]));
        }
    });
    reading.join().expect("the reader ends well");
}

#[test]
fn over_crossbeam_epoch() {
    check("views over crossbeam-epoch", read_while_published);
}

#[test]
fn planted_bugs_are_caught() {
    must_fail("views over crossbeam-epoch", Plant::ViewRetireBeforeUnlink, read_while_published);
}
