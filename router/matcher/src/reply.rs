//! Reply slots: an answer finds its caller, exactly once, or comes back.
//!
//! A caller claims a slot and gets two things: a [`Reply`], on which it waits (blocking, or as a future that names no
//! runtime), and a [`Ticket`], a plain pair of numbers that can travel with the operation, through rings and over
//! threads. Whoever decides answers the ticket. The slot's generation is part of the ticket, so an answer for a caller
//! who has gone never reaches the next user of the slot: it is given back to the answerer. A [`Responder`] wraps a
//! ticket when the answerer is of this process: dropped without an answer, it tells the caller so.
//!
//! It refuses to know what is asked or answered.
//!
//! A slot's word is (generation, state). The caller and one answerer race on it: WAITING goes to WRITING by the one
//! answerer that wins, WRITING to ANSWERED; the caller leaving turns WAITING into FREE of the next generation, WRITING
//! into LEFT (the answerer then takes its value back and frees the slot), and ANSWERED into FREE after taking the value.
//!
//! Progress: everything but the blocking wait is wait-free. Claiming looks at each slot at most once (about two looks
//! as a rule: there are twice as many slots as claims, and claims go round); it may be refused below the limit only if
//! other threads' claims and returns moved the free slots out of its way for a whole round. A caller never waits for an
//! answerer in order to leave.
//!
//! ```
//! use tidegate_matcher::reply::ReplySlots;
//! let slots = ReplySlots::new(16);
//! let reply = slots.claim().expect("a slot is free");
//! let ticket = reply.ticket();
//! let answering = slots.clone();
//! let thread = std::thread::spawn(move || answering.answer(ticket, "assigned").expect("the caller waits"));
//! assert_eq!(reply.wait(), Ok("assigned"));
//! thread.join().expect("the thread ends well");
//! ```

use crate::primitive::doorbell::Doorbell;
use crate::primitive::planted::{Plant, order, planted};
use crate::primitive::sync::{Arc, AtomicU64, AtomicUsize, Ordering, SPINS, UnsafeCell};
use alloc::boxed::Box;
use core::future::Future;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::task::{Context, Poll};
use crossbeam_utils::CachePadded;
use thiserror::Error;

/// States of a slot, in the low bits of its word.
const FREE: u64 = 0;
const WAITING: u64 = 1;
const WRITING: u64 = 2;
const ANSWERED: u64 = 3;
/// The caller went while the answer was being written; the answerer cleans up.
const LEFT: u64 = 4;
/// There will be no answer; the caller has yet to learn of it.
const ABANDONED: u64 = 5;
const STATE_BITS: u32 = 3;
const STATE: u64 = (1 << STATE_BITS) - 1;

/// The most slots a table may have.
pub const MAX_SLOTS: usize = 1 << 24;

/// A table of reply slots. Clones share it.
pub struct ReplySlots<A> {
    shared: Arc<Shared<A>>,
}

struct Shared<A> {
    /// Slots claimed, plus claims that are about to be refused.
    claimed: CachePadded<AtomicUsize>,
    /// Where the next claim begins to look; only a hint.
    cursor: CachePadded<AtomicUsize>,
    limit: usize,
    mask: usize,
    slots: Box<[CachePadded<Slot<A>>]>,
}

struct Slot<A> {
    /// `generation << 3 | state`. The generation rises when the slot is freed, so it never repeats (2^61 uses).
    word: AtomicU64,
    /// Whose it is tells the state: the answerer's in WRITING and LEFT, the caller's in ANSWERED, else nobody's.
    answer: UnsafeCell<MaybeUninit<A>>,
    /// The caller sleeps here. A late ring for an older generation wakes for nothing, which sleepers bear.
    bell: Doorbell,
}

// SAFETY: `answer` is touched only by the side that `word` names, and each hand-over is a release/acquire pair on `word`.
// Answers cross threads, hence `A: Send`.
unsafe impl<A: Send> Send for Shared<A> {}
// SAFETY: see above.
unsafe impl<A: Send> Sync for Shared<A> {}

/// The name of one claim: slot and generation. Plain data; it may be copied, sent, logged and answered late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    slot: u32,
    generation: u64,
}

/// The caller will get no answer: the answerer dropped the operation or gave it up.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the operation was given up without an answer; its outcome is unknown here")]
pub struct NoAnswer;

/// Why an answer did not reach its caller; it comes back inside.
#[derive(Clone, Copy, Error, PartialEq, Eq)]
pub enum AnswerError<A> {
    /// The caller has gone, or the ticket was answered or given up before.
    #[error("nobody waits for this answer any more")]
    Stale(A),
    /// The ticket does not belong to this table.
    #[error("the ticket names a slot that this table does not have")]
    Foreign(A),
}

impl<A> core::fmt::Debug for AnswerError<A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Stale(_) => "Stale(..)",
            Self::Foreign(_) => "Foreign(..)",
        })
    }
}

impl<A> AnswerError<A> {
    /// The answer that was not delivered.
    pub fn into_inner(self) -> A {
        match self {
            Self::Stale(answer) | Self::Foreign(answer) => answer,
        }
    }
}

impl<A: Send> ReplySlots<A> {
    /// A table in which `limit` callers may wait at once.
    ///
    /// # Panics
    ///
    /// When the limit is zero or above [`MAX_SLOTS`] / 2.
    pub fn new(limit: usize) -> Self {
        assert!((1..=MAX_SLOTS / 2).contains(&limit), "a reply table serves 1 to {} callers at once, not {limit}", MAX_SLOTS / 2);
        let slots = (2 * limit).next_power_of_two();
        Self {
            shared: Arc::new(Shared {
                claimed: CachePadded::new(AtomicUsize::new(0)),
                cursor: CachePadded::new(AtomicUsize::new(0)),
                limit,
                mask: slots - 1,
                slots: (0..slots)
                    .map(|_| {
                        CachePadded::new(Slot {
                            word: AtomicU64::new(FREE),
                            answer: UnsafeCell::new(MaybeUninit::uninit()),
                            bell: Doorbell::new(),
                        })
                    })
                    .collect(),
            }),
        }
    }

    /// Claims a slot; `None` when `limit` callers wait already.
    pub fn claim(&self) -> Option<Reply<A>> {
        let shared = &*self.shared;
        if shared.claimed.fetch_add(1, Ordering::Relaxed) >= shared.limit {
            shared.claimed.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let start = shared.cursor.fetch_add(1, Ordering::Relaxed);
        for step in 0..=shared.mask {
            let index = start.wrapping_add(step) & shared.mask;
            let slot = &shared.slots[index];
            let word = slot.word.load(Ordering::Relaxed);
            // Acquire: the last user has taken his answer out before we let a new one in.
            if word & STATE == FREE
                && slot.word.compare_exchange(word, word | WAITING, Ordering::Acquire, Ordering::Relaxed).is_ok()
            {
                let ticket = Ticket { slot: index as u32, generation: word >> STATE_BITS };
                return Some(Reply { shared: self.shared.clone(), ticket, open: true });
            }
        }
        shared.claimed.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// Claims a slot and wraps its ticket, for an answerer of this process.
    pub fn claim_pair(&self) -> Option<(Reply<A>, Responder<A>)> {
        let reply = self.claim()?;
        let responder = Responder { shared: self.shared.clone(), ticket: reply.ticket, open: true };
        Some((reply, responder))
    }

    /// Delivers the answer to a ticket's caller and wakes it. Wait-free.
    ///
    /// # Errors
    ///
    /// [`AnswerError::Stale`] with the answer when the caller has gone or was answered before; [`AnswerError::Foreign`]
    /// when the ticket is not of this table.
    pub fn answer(&self, ticket: Ticket, answer: A) -> Result<(), AnswerError<A>> {
        match self.shared.slots.get(ticket.slot as usize) {
            Some(_) => self.shared.answer(ticket, answer).map_err(AnswerError::Stale),
            None => Err(AnswerError::Foreign(answer)),
        }
    }

    /// Tells a ticket's caller that there will be no answer; false when nobody waits for one. Wait-free.
    pub fn abandon(&self, ticket: Ticket) -> bool {
        (ticket.slot as usize) < self.shared.slots.len() && self.shared.abandon(ticket)
    }

    /// Tells everyone who waits now that there will be no answer (a leader that steps down); returns how many were told.
    /// Claims made meanwhile may or may not be among them. O(slots).
    pub fn abandon_all(&self) -> usize {
        let mut told = 0;
        for (index, slot) in self.shared.slots.iter().enumerate() {
            let word = slot.word.load(Ordering::Relaxed);
            if word & STATE == WAITING {
                let ticket = Ticket { slot: index as u32, generation: word >> STATE_BITS };
                told += usize::from(self.shared.abandon(ticket));
            }
        }
        told
    }

    /// Wakes whoever sleeps on a ticket's slot, for nothing; true when somebody slept.
    pub(crate) fn nudge(&self, ticket: Ticket) -> bool {
        self.shared.slots[ticket.slot as usize].bell.ring()
    }

    /// Slots claimed now.
    pub fn claimed(&self) -> usize {
        self.shared.claimed.load(Ordering::Relaxed).min(self.shared.limit)
    }

    /// How many callers may wait at once.
    pub fn limit(&self) -> usize {
        self.shared.limit
    }
}

impl<A> Clone for ReplySlots<A> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<A> Shared<A> {
    fn answer(&self, ticket: Ticket, answer: A) -> Result<(), A> {
        let slot = &self.slots[ticket.slot as usize];
        let mut waiting = ticket.generation << STATE_BITS | WAITING;
        if planted(Plant::ReplyIgnoresGeneration) {
            waiting = (slot.word.load(Ordering::Relaxed) & !STATE) | WAITING;
        }
        let writing = waiting ^ WAITING | WRITING;
        if slot.word.compare_exchange(waiting, writing, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return Err(answer);
        }
        // SAFETY: WRITING of this generation is ours by our own exchange, so the cell is ours.
        slot.answer.with_mut(|cell| unsafe { (*cell).write(answer) });
        let answered = waiting ^ WAITING | ANSWERED;
        let publish = order(Ordering::Release, Plant::ReplyPublishRelaxed);
        match slot.word.compare_exchange(writing, answered, publish, Ordering::Acquire) {
            Ok(_) => {
                slot.bell.ring();
                Ok(())
            }
            Err(_) => {
                // The only other move out of WRITING is the caller's to LEFT.
                // SAFETY: LEFT leaves the cell to us, and we have just written it.
                let answer = slot.answer.with_mut(|cell| unsafe { (*cell).assume_init_read() });
                self.free(ticket);
                Err(answer)
            }
        }
    }

    fn abandon(&self, ticket: Ticket) -> bool {
        let slot = &self.slots[ticket.slot as usize];
        let waiting = ticket.generation << STATE_BITS | WAITING;
        let abandoned = ticket.generation << STATE_BITS | ABANDONED;
        let told = slot.word.compare_exchange(waiting, abandoned, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if told {
            slot.bell.ring();
        }
        told
    }

    /// Caller only: takes the outcome if there is one, and frees the slot then.
    fn take(&self, ticket: Ticket) -> Option<Result<A, NoAnswer>> {
        let slot = &self.slots[ticket.slot as usize];
        let outcome = match slot.word.load(order(Ordering::Acquire, Plant::ReplyPublishRelaxed)) & STATE {
            // SAFETY: ANSWERED gives the cell to the caller, which is us; it is read once, since we free the slot now.
            ANSWERED => Ok(slot.answer.with_mut(|cell| unsafe { (*cell).assume_init_read() })),
            ABANDONED => Err(NoAnswer),
            _ => return None,
        };
        self.free(ticket);
        Some(outcome)
    }

    /// Caller only: leaves without an outcome. At most three steps, since the state only moves forward.
    fn leave(&self, ticket: Ticket) {
        let slot = &self.slots[ticket.slot as usize];
        let of = |state| ticket.generation << STATE_BITS | state;
        let next = (ticket.generation + 1) << STATE_BITS | FREE;
        let mut word = of(WAITING);
        loop {
            let goal = match word & STATE {
                WAITING => next,
                WRITING => of(LEFT),
                ANSWERED => {
                    drop(self.take(ticket));
                    return;
                }
                _ => {
                    self.free(ticket);
                    return;
                }
            };
            match slot.word.compare_exchange(word, goal, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    if goal == next {
                        self.claimed.fetch_sub(1, Ordering::Relaxed);
                    }
                    return;
                }
                Err(seen) => word = seen,
            }
        }
    }

    /// Whoever the slot belongs to: gives it to the next generation.
    fn free(&self, ticket: Ticket) {
        let next = (ticket.generation + 1) << STATE_BITS | FREE;
        self.slots[ticket.slot as usize].word.store(next, Ordering::Release);
        self.claimed.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<A> Drop for Shared<A> {
    fn drop(&mut self) {
        // A `Reply` holds the table, so no slot is claimed any more; an answer can stand in one only if it was leaked.
        debug_assert!(std::thread::panicking() || self.claimed.load(Ordering::Relaxed) == 0);
    }
}

/// The caller's side: wait on it, poll it, or drop it to leave.
#[must_use = "dropping a reply gives the answer up"]
pub struct Reply<A> {
    shared: Arc<Shared<A>>,
    ticket: Ticket,
    /// The slot is still ours.
    open: bool,
}

impl<A: Send> Reply<A> {
    /// The plain name of this claim, to be answered through the table.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Takes the outcome if it is there.
    pub fn try_take(&mut self) -> Option<Result<A, NoAnswer>> {
        if !self.open {
            return None;
        }
        let outcome = self.shared.take(self.ticket);
        self.open = outcome.is_none();
        outcome
    }

    /// Blocks until the outcome is there.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] when the operation was given up.
    pub fn wait(mut self) -> Result<A, NoAnswer> {
        self.wait_helping(|| {})
    }

    /// [`wait`](Self::wait) that calls `help` each time before it sleeps and each time it was woken without an outcome.
    pub(crate) fn wait_helping(&mut self, mut help: impl FnMut()) -> Result<A, NoAnswer> {
        let Self { shared, ticket, open } = self;
        shared.slots[ticket.slot as usize].bell.wait(SPINS, || shared.take_helping(*ticket, open, &mut help))
    }

    /// The polling form of [`wait_helping`](Self::wait_helping).
    ///
    /// # Panics
    ///
    /// When polled again after it was ready.
    pub(crate) fn poll_helping(&mut self, cx: &mut Context<'_>, mut help: impl FnMut()) -> Poll<Result<A, NoAnswer>> {
        assert!(self.open, "a reply was polled after it had been taken");
        let Self { shared, ticket, open } = self;
        let bell = &shared.slots[ticket.slot as usize].bell;
        let found = bell.poll(cx, || shared.take_helping(*ticket, open, &mut help));
        found.map_or(Poll::Pending, Poll::Ready)
    }
}

impl<A> Shared<A> {
    fn take_helping(&self, ticket: Ticket, open: &mut bool, help: &mut impl FnMut()) -> Option<Result<A, NoAnswer>> {
        let outcome = self.take(ticket).or_else(|| {
            help();
            self.take(ticket)
        });
        *open = outcome.is_none();
        outcome
    }
}

impl<A: Send> Future for Reply<A> {
    type Output = Result<A, NoAnswer>;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().poll_helping(cx, || {})
    }
}

impl<A> Drop for Reply<A> {
    fn drop(&mut self) {
        if self.open {
            self.shared.leave(self.ticket);
        }
    }
}

/// The answerer's side within this process: answers once; dropped without an answer it says so to the caller.
#[must_use = "dropping a responder tells the caller that there is no answer"]
pub struct Responder<A> {
    shared: Arc<Shared<A>>,
    ticket: Ticket,
    open: bool,
}

impl<A: Send> Responder<A> {
    /// Answers, and wakes the caller. Wait-free.
    ///
    /// # Errors
    ///
    /// The answer, when the caller has gone.
    pub fn answer(mut self, answer: A) -> Result<(), A> {
        self.open = false;
        self.shared.answer(self.ticket, answer)
    }

    /// The plain name of this claim.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }
}

impl<A> Drop for Responder<A> {
    fn drop(&mut self) {
        if self.open {
            self.shared.abandon(self.ticket);
        }
    }
}
