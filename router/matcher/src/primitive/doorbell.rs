//! The doorbell: one owner sleeps until somebody rings, and no ring is lost.
//!
//! The owner (a blocked thread or a polled future) **arms** the bell, **looks again** at whatever it waits for, and only
//! then sleeps. A ringer **publishes** its news first and then rings. Both put a sequentially consistent fence between
//! their two steps, so at least one of them sees the other (the store-buffering pattern): either the owner's second look
//! finds the news, or the ringer finds the bell armed and wakes the owner.
//!
//! The bell knows neither what is waited for nor who waits; it may wake its owner for nothing, never fail to. At most
//! one owner arms at a time (the edges guarantee it); any number of threads ring.
//!
//! Progress: `ring` is wait-free (a fence and a load when nobody sleeps; one compare-exchange and a wake-up otherwise,
//! which is a system call or whatever the task's waker does).
//! `arm` is wait-free too: when a ringer is in the middle of taking the sleeper out (four instructions), it does not wait
//! but reports [`Armed::Rung`], and the owner looks again instead of sleeping: a thread yields in between, a future asks to
//! be polled again. A ringer suspended at that very place makes its owner do so until it runs on.

use super::planted::{Plant, planted};
use super::sync::{AtomicU32, Ordering, UnsafeCell, fence, thread};
use core::task::{Context, Waker};

/// Nobody sleeps; the cell belongs to the owner.
const IDLE: u32 = 0;
/// The owner sleeps or is about to; the cell holds it and belongs to whoever moves the state on.
const ARMED: u32 = 1;
/// One ringer takes the sleeper out; the cell is its own.
const RINGING: u32 = 2;

/// Whom to wake.
#[derive(Debug)]
enum Sleeper {
    Thread(thread::Thread),
    Task(Waker),
}

impl Sleeper {
    fn wake(self) {
        match self {
            Self::Thread(thread) => thread.unpark(),
            Self::Task(waker) => waker.wake(),
        }
    }
}

/// What arming came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Armed {
    /// The owner may sleep once it has looked again.
    Yes,
    /// Somebody is ringing at this moment: look again instead of sleeping.
    Rung,
}

/// See the module head.
#[derive(Debug)]
pub(crate) struct Doorbell {
    /// Who owns `sleeper`: the owner (IDLE), whoever wins the next compare-exchange (ARMED), one ringer (RINGING).
    state: AtomicU32,
    sleeper: UnsafeCell<Option<Sleeper>>,
}

// SAFETY: `sleeper` is the only part that is not `Sync` by itself. It is touched only by the side that `state` names as
// its possessor, and possession passes through acquire-release operations on `state`. What it holds is `Send`.
unsafe impl Send for Doorbell {}
// SAFETY: see above.
unsafe impl Sync for Doorbell {}

impl Doorbell {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU32::new(IDLE), sleeper: UnsafeCell::new(None) }
    }

    /// Rings: wakes the owner if it sleeps or is about to. Call it after the news is published. True when it woke one.
    #[inline]
    pub(crate) fn ring(&self) -> bool {
        if !planted(Plant::DoorbellNoFence) {
            fence(Ordering::SeqCst);
        }
        if self.state.load(Ordering::Relaxed) == ARMED { self.wake() } else { false }
    }

    #[cold]
    fn wake(&self) -> bool {
        if self.state.compare_exchange(ARMED, RINGING, Ordering::Acquire, Ordering::Relaxed).is_err() {
            // Somebody else wakes the owner, or the owner has woken by itself and will look again.
            return false;
        }
        // SAFETY: the state is RINGING by our own exchange, so the cell is ours until we store IDLE; the acquire saw
        // the owner's writing of it.
        let sleeper = self.sleeper.with_mut(|cell| unsafe { (*cell).take() });
        self.state.store(IDLE, Ordering::Release);
        match sleeper {
            Some(sleeper) => {
                sleeper.wake();
                true
            }
            None => false,
        }
    }

    /// Owner only: writes the sleeper and arms. After `Armed::Yes` look again before sleeping.
    fn arm(&self, sleeper: impl FnOnce(Option<&Sleeper>) -> Option<Sleeper>) -> Armed {
        if !self.disarm() {
            return Armed::Rung;
        }
        // SAFETY: the state is IDLE and only the owner, which is the caller, moves it on from there.
        self.sleeper.with_mut(|cell| unsafe {
            if let Some(fresh) = sleeper((*cell).as_ref()) {
                *cell = Some(fresh);
            }
        });
        self.state.store(ARMED, Ordering::Release);
        fence(Ordering::SeqCst);
        Armed::Yes
    }

    /// Owner only: takes the bell back. False when a ringer holds the cell at this moment.
    fn disarm(&self) -> bool {
        match self.state.load(Ordering::Acquire) {
            IDLE => true,
            ARMED => match self.state.compare_exchange(ARMED, IDLE, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => true,
                Err(seen) => seen == IDLE,
            },
            _ => false,
        }
    }

    /// Owner only: blocks the calling thread until `look` finds something; looks first, spins a little, then parks.
    /// Never returns without a finding of `look`.
    pub(crate) fn wait<T>(&self, spins: u32, mut look: impl FnMut() -> Option<T>) -> T {
        for _ in 0..=spins {
            if let Some(found) = look() {
                return found;
            }
            if spins > 0 {
                super::sync::spin_loop();
            }
        }
        let me = thread::current();
        loop {
            match self.arm(|_| Some(Sleeper::Thread(me.clone()))) {
                Armed::Rung => {
                    if let Some(found) = look() {
                        return found;
                    }
                    thread::yield_now();
                }
                Armed::Yes => {
                    if !planted(Plant::DoorbellNoRecheck) {
                        if let Some(found) = look() {
                            self.disarm();
                            return found;
                        }
                    }
                    thread::park();
                    // Woken by a ring (the bell is idle again), or for nothing (it is still armed); look either way.
                    if let Some(found) = look() {
                        self.disarm();
                        return found;
                    }
                }
            }
        }
    }

    /// Owner only: registers the task and looks again; `None` means that the task will be woken.
    pub(crate) fn poll<T>(&self, cx: &mut Context<'_>, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        if let Some(found) = look() {
            return Some(found);
        }
        let armed = self.arm(|before| match before {
            Some(Sleeper::Task(waker)) if waker.will_wake(cx.waker()) => None,
            _ => Some(Sleeper::Task(cx.waker().clone())),
        });
        if armed == Armed::Rung {
            // The ring in progress may wake an older waker of ours; ask to be polled again ourselves.
            cx.waker().wake_by_ref();
            return None;
        }
        if planted(Plant::DoorbellNoRecheck) {
            return None;
        }
        let found = look();
        if found.is_some() {
            self.disarm();
        }
        found
    }
}
