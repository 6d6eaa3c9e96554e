//! Credits: an allowance per producer, so that one noisy producer cannot fill the ring.
//!
//! Give each producer its own [`Credits`] and let the allowances sum to at most the ring's capacity: then the ring is
//! never full, and a producer that runs ahead finds itself, and nobody else, out of credit. A [`Credit`] travels with
//! its value ([`Credited`]) and returns when it is dropped, wherever that happens: by the consumer when it has dealt
//! with the value, or with a refused value. It is therefore never lost but by leaking it on purpose.
//!
//! The count is of credits out, not of credits left, so that "left" is a subtraction of two numbers that cannot go
//! below zero: `taken` is raised by one first, and lowered again by the same thread if that passed the limit.
//!
//! Progress: take and return are wait-free; a return while others wait for one makes a lock-free pass over them. When several threads share one allowance and are refused at once, one may be
//! refused although a credit came back in that instant; a single thread's refusals are exact.

use crate::primitive::planted::{Plant, planted};
use crate::primitive::sync::{Arc, AtomicU64, Ordering};
use crate::primitive::waiters::{Waiters, Waiting};
use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll};
use crossbeam_utils::CachePadded;

/// One producer's allowance. Clone it for further threads of the same producer: they share it.
#[derive(Clone)]
pub struct Credits {
    shared: Arc<Shared>,
}

struct Shared {
    /// Credits out, plus takes that are about to be refused.
    taken: CachePadded<AtomicU64>,
    limit: u64,
    /// Those who wait for one to come back.
    waiters: Waiters,
}

/// The right to have one value under way. Comes back when dropped.
#[must_use = "a credit returns at once when it is dropped"]
pub struct Credit {
    shared: Arc<Shared>,
}

/// A value with the credit under which it travels.
pub struct Credited<T> {
    value: T,
    credit: Credit,
}

impl Credits {
    /// An allowance of `limit` values under way at once. A limit of zero refuses everything.
    pub fn new(limit: usize) -> Self {
        Self {
            shared: Arc::new(Shared { taken: CachePadded::new(AtomicU64::new(0)), limit: limit as u64, waiters: Waiters::new() }),
        }
    }

    /// Takes a credit if one is left. Wait-free.
    pub fn try_take(&self) -> Option<Credit> {
        self.shared.take().then(|| Credit { shared: self.shared.clone() })
    }

    /// Takes a credit, blocking until one comes back.
    pub fn take_wait(&self) -> Credit {
        self.shared.waiters.wait(0, || 0, || self.try_take())
    }

    /// Takes a credit as a future: ready when one was taken. Dropping it gives the place up and takes nothing.
    pub fn take(&self) -> TakeCredit {
        TakeCredit { credits: self.clone(), waiting: Waiting::default() }
    }

    /// Binds `value` to a credit, or gives it back when none is left. Wait-free.
    ///
    /// # Errors
    ///
    /// The value.
    pub fn attach<T>(&self, value: T) -> Result<Credited<T>, T> {
        match self.try_take() {
            Some(credit) => Ok(Credited { value, credit }),
            None => Err(value),
        }
    }

    /// Credits left now; never negative, whatever is under way.
    pub fn left(&self) -> usize {
        (self.shared.limit - self.taken() as u64) as usize
    }

    /// Credits out now; never above the limit.
    pub fn taken(&self) -> usize {
        self.shared.taken.load(Ordering::Relaxed).min(self.shared.limit) as usize
    }

    /// The whole allowance.
    pub fn limit(&self) -> usize {
        self.shared.limit as usize
    }
}

impl Shared {
    fn take(&self) -> bool {
        if planted(Plant::CreditCheckThenTake) {
            if self.taken.load(Ordering::Acquire) >= self.limit {
                return false;
            }
            self.taken.fetch_add(1, Ordering::AcqRel);
            return true;
        }
        // Looking first keeps the waiting ones, who look often, from disturbing each other's counts.
        if self.taken.load(Ordering::Relaxed) >= self.limit {
            return false;
        }
        // Acquire: what the last holder of this credit did is done before we start.
        if self.taken.fetch_add(1, Ordering::Acquire) < self.limit {
            return true;
        }
        if !planted(Plant::CreditRefusalKept) {
            self.give_back();
        }
        false
    }

    /// Lowers the count, and wakes those who wait if that left a credit to take. A refused take comes here too: while it
    /// stood in the count, a waiter's look may have failed on a credit that had come back.
    fn give_back(&self) {
        if self.taken.fetch_sub(1, Ordering::Release) <= self.limit {
            self.waiters.wake(|| 0);
        }
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.shared.give_back();
    }
}

impl<T> Credited<T> {
    /// Takes value and credit apart: the credit returns when the second is dropped.
    pub fn into_parts(self) -> (T, Credit) {
        (self.value, self.credit)
    }

    /// The value; its credit returns now.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Credited<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Waits for a credit; see [`Credits::take`].
pub struct TakeCredit {
    credits: Credits,
    waiting: Waiting,
}

impl Future for TakeCredit {
    type Output = Credit;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Credit> {
        let Self { credits, waiting } = self.get_mut();
        credits.shared.waiters.poll(waiting, cx, 0, || 0, || credits.try_take())
    }
}

impl Drop for TakeCredit {
    fn drop(&mut self) {
        // Each return wakes all who wait, so a ring that reached us was not another waiter's only one.
        self.waiting.leave(&self.credits.shared.waiters);
    }
}
