//! The guard's silence, seen from the hook that stood before it.
//!
//! Panic hooks belong to the process, so this file holds one test and runs alone: it installs a counting hook first,
//! lets the guard chain to it, and counts what gets through.
#![cfg(all(feature = "std", not(any(loom, shuttle))))]

use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tidegate_matcher::{catch_plan, last_panic};

#[test]
fn a_guarded_panic_is_silent_and_any_other_is_heard() {
    static HEARD: AtomicUsize = AtomicUsize::new(0);
    panic::set_hook(Box::new(|_| {
        HEARD.fetch_add(1, Ordering::SeqCst);
    }));
    for round in 0..10 {
        assert!(!catch_plan(&mut || panic!("guarded {round}")));
        assert!(last_panic().expect("text").starts_with("guarded"));
    }
    assert_eq!(HEARD.load(Ordering::SeqCst), 0, "a guarded panic reached the hook");

    assert!(thread::spawn(|| panic!("other thread")).join().is_err());
    assert_eq!(HEARD.load(Ordering::SeqCst), 1, "another thread's panic was swallowed");

    assert!(panic::catch_unwind(|| panic!("same thread, no guard")).is_err());
    assert_eq!(HEARD.load(Ordering::SeqCst), 2, "an unguarded panic was swallowed");

    // While one thread stands in a guard, another one's panic is heard.
    assert!(catch_plan(&mut || {
        assert!(thread::spawn(|| panic!("beside a guard")).join().is_err());
    }));
    assert_eq!(HEARD.load(Ordering::SeqCst), 3);
}
