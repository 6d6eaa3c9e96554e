//! Deferred reclamation: crossbeam-epoch, or a small stand-in of the same contract under the checkers.
//!
//! The contract: what is retired while it can no longer be found by anybody who pins afterwards is dropped once everybody
//! who had pinned before has unpinned, and not earlier. The views build on that and nothing else, through two calls:
//! [`Domain::pin`] and [`Pin::retire`].
//!
//! On the real machine this is crossbeam-epoch's default collector, which loom cannot see (its own loom switch is outside
//! its stability promise). Under loom and shuttle it is the classic three-epoch scheme (Fraser 2004), small enough to be
//! explored, for at most four pins at once and one retiring thread. What the models prove is therefore our protocol
//! over the contract, and the stand-in's keeping of it. With `--cfg crossbeam_loom` besides, loom explores the views over
//! crossbeam-epoch itself (tests/loom_view_crossbeam.rs, nightly: one reader, three publications, two preemptions); beyond
//! that small case, that crossbeam-epoch keeps the contract is taken from its own tests.

#[cfg(all(any(loom, shuttle), not(crossbeam_loom)))]
pub(crate) use stand_in::{Domain, Pin};

#[cfg(any(crossbeam_loom, not(any(loom, shuttle))))]
pub(crate) use real::{Domain, Pin};

#[cfg(any(crossbeam_loom, not(any(loom, shuttle))))]
mod real {
    use alloc::boxed::Box;
    use core::marker::PhantomData;
    use crossbeam_epoch::Guard;

    /// The process's default collector.
    #[derive(Debug)]
    pub(crate) struct Domain;

    /// While it lives, nothing that could be found when it was made is dropped.
    pub(crate) struct Pin<'a> {
        guard: Guard,
        domain: PhantomData<&'a Domain>,
    }

    impl Domain {
        pub(crate) fn new() -> Self {
            Self
        }

        #[inline]
        pub(crate) fn pin(&self) -> Pin<'_> {
            Pin { guard: crossbeam_epoch::pin(), domain: PhantomData }
        }
    }

    impl Pin<'_> {
        /// Drops `value` once every pin of this moment has ended.
        ///
        /// # Safety
        ///
        /// `value` came from `Box::into_raw`, nobody who pins from now on can find it, and it is retired once.
        pub(crate) unsafe fn retire<T: Send + 'static>(&self, value: *mut T) {
            // SAFETY: the caller's promise; the closure may run on another thread later, hence `Send` and `'static`.
            unsafe { self.guard.defer_unchecked(move || drop(Box::from_raw(value))) };
            // Publications are rare: do not let the last one lie in this thread's bag.
            self.guard.flush();
        }
    }
}

#[cfg(all(any(loom, shuttle), not(crossbeam_loom)))]
mod stand_in {
    use crate::primitive::planted::{Plant, planted};
    use crate::primitive::sync::{AtomicUsize, Ordering, UnsafeCell, fence};
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use core::mem::ManuallyDrop;

    /// Pins at once.
    const PLACES: usize = 4;

    /// One domain a view.
    #[derive(Debug)]
    pub(crate) struct Domain {
        epoch: AtomicUsize,
        /// 0 when nobody pins here, else `epoch << 1 | 1` of the pin.
        places: [AtomicUsize; PLACES],
        /// The retiring thread's own.
        garbage: UnsafeCell<Vec<Retired>>,
        /// Dropped values whose memory is kept until the end, so that a planted bug is an error and not a crash.
        dropped: UnsafeCell<Vec<Retired>>,
    }

    #[derive(Debug)]
    struct Retired {
        epoch: usize,
        value: *mut u8,
        drop_value: unsafe fn(*mut u8),
        free: unsafe fn(*mut u8),
    }

    // SAFETY: the lists belong to the one retiring thread (the publisher), and to whoever drops the domain.
    unsafe impl Send for Domain {}
    // SAFETY: see above.
    unsafe impl Sync for Domain {}

    #[derive(Debug)]
    pub(crate) struct Pin<'a> {
        domain: &'a Domain,
        place: usize,
    }

    impl Domain {
        pub(crate) fn new() -> Self {
            Self {
                epoch: AtomicUsize::new(0),
                places: core::array::from_fn(|_| AtomicUsize::new(0)),
                garbage: UnsafeCell::new(Vec::new()),
                dropped: UnsafeCell::new(Vec::new()),
            }
        }

        pub(crate) fn pin(&self) -> Pin<'_> {
            let pinned = self.epoch.load(Ordering::Relaxed) << 1 | 1;
            let place = (0..PLACES)
                .find(|place| self.places[*place].compare_exchange(0, pinned, Ordering::AcqRel, Ordering::Relaxed).is_ok())
                .expect("the stand-in serves four pins at once");
            fence(Ordering::SeqCst);
            Pin { domain: self, place }
        }

        /// Moves the epoch on if every pin is of this one.
        fn try_advance(&self) {
            let epoch = self.epoch.load(Ordering::Relaxed);
            fence(Ordering::SeqCst);
            for place in &self.places {
                let pinned = place.load(Ordering::Acquire);
                if pinned != 0 && pinned >> 1 != epoch {
                    return;
                }
            }
            self.epoch.store(epoch + 1, Ordering::Release);
        }
    }

    impl Pin<'_> {
        /// # Safety
        ///
        /// As for the real one; and only one thread retires.
        pub(crate) unsafe fn retire<T: Send + 'static>(&self, value: *mut T) {
            unsafe fn drop_value<T>(value: *mut u8) {
                // SAFETY: made from a `*mut T` below, dropped once.
                unsafe { core::ptr::drop_in_place(value.cast::<T>()) }
            }
            unsafe fn free<T>(value: *mut u8) {
                // SAFETY: from `Box::into_raw` by the caller's promise; the value itself is dropped already.
                drop(unsafe { Box::from_raw(value.cast::<ManuallyDrop<T>>()) });
            }
            let domain = self.domain;
            let retired = Retired {
                epoch: domain.epoch.load(Ordering::Relaxed),
                value: value.cast(),
                drop_value: drop_value::<T>,
                free: free::<T>,
            };
            // SAFETY: only one thread retires.
            domain.garbage.with_mut(|garbage| unsafe { (*garbage).push(retired) });
            domain.try_advance();
            let epoch = domain.epoch.load(Ordering::Relaxed);
            let grace = if planted(Plant::EpochOneTooEarly) { 1 } else { 2 };
            // SAFETY: as above.
            let ripe: Vec<Retired> =
                domain.garbage.with_mut(|garbage| unsafe { (*garbage).extract_if(.., |r| r.epoch + grace <= epoch).collect() });
            for retired in ripe {
                // SAFETY: two epochs have passed since it was retired, so every pin of that time has ended.
                unsafe { (retired.drop_value)(retired.value) };
                // SAFETY: only one thread retires.
                domain.dropped.with_mut(|dropped| unsafe { (*dropped).push(retired) });
            }
        }
    }

    impl Drop for Pin<'_> {
        fn drop(&mut self) {
            self.domain.places[self.place].store(0, Ordering::Release);
        }
    }

    impl Drop for Domain {
        fn drop(&mut self) {
            // SAFETY: whoever drops the domain is its only user.
            let (garbage, dropped) = unsafe {
                let garbage = self.garbage.with_mut(|list| core::mem::take(&mut *list));
                (garbage, self.dropped.with_mut(|list| core::mem::take(&mut *list)))
            };
            for retired in garbage {
                // SAFETY: retired once, not dropped yet, and nobody pins any more.
                unsafe {
                    (retired.drop_value)(retired.value);
                    (retired.free)(retired.value);
                }
            }
            for retired in dropped {
                // SAFETY: the value was dropped; its memory is freed once, here.
                unsafe { (retired.free)(retired.value) };
            }
        }
    }
}
