//! The doorbell of a live half: how its mailbox is kept at one message whatever happens around it.
//!
//! What a half has to do stands in its slot (newest number, notices, rows); its ractor mailbox, which has no bound of its
//! own, only ever holds "look again". [`Bell::ring`] sends that message when none is on its way, asks the nursery for a
//! half when there is none, and never blocks beyond the hand-over of one pointer. It refuses to know what the slot holds.
//!
//! The protocol: a producer writes to the slot, then rings. The half calls [`Bell::answer`] first and reads the slot then.
//! A half that dies leaves the bell rung or not; its successor answers and reads, so nothing written before is missed.

use ractor::{ActorCell, ActorRef};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a live half is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knock {
    /// Something stands in the slot.
    Look,
    /// Stop, if nothing has come since.
    Rest,
    /// Panic: a planted fault of tests and drills.
    Fail,
}

/// One half's doorbell and the half itself, while there is one.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: AtomicBool,
    half: Mutex<Option<ActorRef<Knock>>>,
}

impl Bell {
    /// Tells the half to look; `start` is called when there is none. Once rung, further rings cost one atomic swap.
    pub(crate) fn ring(&self, start: impl FnOnce()) {
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let half = self.lock();
        match &*half {
            // A dead half refuses the message: the bell stays rung, and its nursery starts another that looks at once.
            Some(half) => drop(half.send_message(Knock::Look)),
            None => {
                drop(half);
                start();
            }
        }
    }

    /// The half begins to look: rings from now on are told again.
    pub(crate) fn answer(&self) {
        // A swap, not a store: it reads the newest ring, so what was written before a ring that found the bell rung is seen.
        self.rung.swap(false, Ordering::AcqRel);
    }

    /// Whether somebody rang and nobody has looked yet.
    pub(crate) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// Whether there is a half that takes messages.
    pub(crate) fn is_live(&self) -> bool {
        self.lock().as_ref().is_some_and(|half| half.get_status() < ractor::ActorStatus::Draining)
    }

    /// Whether a half was installed and not put to rest: dead ones count.
    pub(crate) fn is_installed(&self) -> bool {
        self.lock().is_some()
    }

    /// Installs the half that serves the slot from now on.
    pub(crate) fn install(&self, half: ActorRef<Knock>) {
        *self.lock() = Some(half);
    }

    /// Ends the half's service, unless somebody rang. True when it may stop.
    pub(crate) fn rest(&self) -> bool {
        let mut half = self.lock();
        if self.is_rung() {
            return false;
        }
        *half = None;
        true
    }

    /// Forgets a dead half. True when somebody rang meanwhile and was told to a dead one: a new half must be started.
    #[must_use]
    pub(crate) fn clear(&self) -> bool {
        let mut half = self.lock();
        *half = None;
        self.is_rung()
    }

    /// Sends a message to the half, past the bell.
    pub(crate) fn tell(&self, knock: Knock) {
        if let Some(half) = &*self.lock() {
            drop(half.send_message(knock));
        }
    }

    /// The half's cell, to be killed by a test or a drill.
    pub(crate) fn cell(&self) -> Option<ActorCell> {
        self.lock().as_ref().map(|half| half.get_cell())
    }

    fn lock(&self) -> MutexGuard<'_, Option<ActorRef<Knock>>> {
        self.half.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
