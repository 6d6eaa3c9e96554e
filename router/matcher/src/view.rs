//! Epoch-published views: one writer publishes whole values, any number of readers look at a consistent one.
//!
//! Wait estimates, the console, `why`: whoever reads from outside the deciding thread reads here, and never touches the
//! decider's memory. [`view`] gives a [`Publisher`] (one, for the decider) and a [`View`] (clone it at will). A reader
//! pins an epoch, takes the current pointer, and reads a value that nobody will change; the publisher exchanges the
//! pointer and retires the old value, which is dropped after the last reader of its time has gone.
//!
//! It refuses to know what is in the value. Every version is numbered, so a reader can tell whether it sees a new one.
//!
//! Progress: reading is wait-free (a thread's first pin registers it with the collector: lock-free, with an allocation;
//! every 128th pin also collects a bounded amount of garbage). Publishing is lock-free; it allocates. Nobody waits for
//! anybody, but a reader that keeps its [`Reading`] keeps every version retired since alive: hold it briefly, never
//! across an await or a blocking call.
//!
//! loom explores this file as it stands, in `./verify` over a stand-in for crossbeam-epoch and nightly over crossbeam-epoch
//! itself in one small case: see `primitive::epoch` for what that does and does not prove.
//!
//! ```
//! use tidegate_matcher::view::view;
//! let (mut publisher, reader) = view(vec![0_u32]);
//! publisher.publish(vec![1, 2, 3]);
//! let seen = reader.read();
//! assert_eq!((seen.number(), seen.len()), (1, 3));
//! ```

use crate::primitive::epoch::{Domain, Pin};
use crate::primitive::planted::{Plant, order, planted};
use crate::primitive::sync::{Arc, AtomicPtr, Ordering};
use alloc::boxed::Box;
use core::ops::Deref;
use core::ptr;

/// A publisher and a first reader of a view that shows `first` as version 0.
pub fn view<T: Send + Sync + 'static>(first: T) -> (Publisher<T>, View<T>) {
    let first = Box::into_raw(Box::new(Version { number: 0, value: first }));
    let shared = Arc::new(Shared { current: AtomicPtr::new(first), domain: Domain::new() });
    (Publisher { shared: shared.clone(), next: 1 }, View { shared })
}

struct Shared<T: Send + Sync + 'static> {
    /// The version to be read now; never null. From `Box::into_raw`, owned by this field.
    current: AtomicPtr<Version<T>>,
    domain: Domain,
}

/// A published value and its number.
struct Version<T> {
    number: u64,
    value: T,
}

/// The one writing end.
pub struct Publisher<T: Send + Sync + 'static> {
    shared: Arc<Shared<T>>,
    next: u64,
}

/// The reading end: clone it for each reader.
pub struct View<T: Send + Sync + 'static> {
    shared: Arc<Shared<T>>,
}

/// A version being read; it stays as it is for as long as this lives.
pub struct Reading<'a, T> {
    version: *const Version<T>,
    /// Keeps the version alive. Dropped last, after nobody can reach the pointer any more.
    _pin: Pin<'a>,
}

impl<T: Send + Sync + 'static> Publisher<T> {
    /// Shows `value` from now on; returns its version number. What the publisher did before is visible to its readers.
    pub fn publish(&mut self, value: T) -> u64 {
        let number = self.next;
        self.next += 1;
        let fresh = Box::into_raw(Box::new(Version { number, value }));
        let pin = self.shared.domain.pin();
        let current = &self.shared.current;
        let publish = order(Ordering::AcqRel, Plant::ViewPublishRelaxed);
        if planted(Plant::ViewRetireBeforeUnlink) {
            let old = current.load(Ordering::Acquire);
            // SAFETY: none: this is the planted bug, run only under a checker.
            unsafe { pin.retire(old) };
            current.swap(fresh, publish);
            return number;
        }
        let old = current.swap(fresh, publish);
        // SAFETY: `old` came from `Box::into_raw` and was owned by `current`. The swap took it out, so nobody who pins
        // from now on finds it; there is one publisher, so it is retired once.
        unsafe { pin.retire(old) };
        number
    }

    /// A reading end.
    pub fn view(&self) -> View<T> {
        View { shared: self.shared.clone() }
    }
}

impl<T: Send + Sync + 'static> View<T> {
    /// The version shown now. Wait-free.
    pub fn read(&self) -> Reading<'_, T> {
        let pin = self.shared.domain.pin();
        // Acquire: the value was written before it was published.
        let version = self.shared.current.load(order(Ordering::Acquire, Plant::ViewPublishRelaxed));
        Reading { version, _pin: pin }
    }
}

impl<T: Send + Sync + 'static> Clone for View<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T> Reading<'_, T> {
    /// The number of this version; higher is newer.
    pub fn number(&self) -> u64 {
        // SAFETY: as in `deref`.
        unsafe { (*self.version).number }
    }
}

impl<T> Deref for Reading<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the pointer was current after we had pinned, so it is dropped only after our pin ends; nobody changes a
        // published version.
        unsafe { &(*self.version).value }
    }
}

impl<T: Send + Sync + 'static> Drop for Shared<T> {
    fn drop(&mut self) {
        let last = self.current.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: the field owns it, and with both kinds of ends gone nobody reads.
        drop(unsafe { Box::from_raw(last) });
    }
}
