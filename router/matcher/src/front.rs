//! The combining front: any thread hands an operation in without waiting; one thread at a time works them off.
//!
//! A [`MatcherHandle`] stands before a sequential object (the matcher, a proposer's batch). To submit is to push into a
//! bounded ring and then to try, once, for the **right to combine**. Whoever wins applies operations in ring order, up to a
//! bounded batch, answers each, and lets go; whoever loses leaves at once, or waits for its answer. After letting go the
//! combiner looks again, so an operation pushed after its last look is served by it or by whoever has taken the right
//! since. When its batch is full and work is left it wakes the caller of the next operation, who goes on in its place
//! (the hand-over); if that caller does not sleep, it works another batch. In a cell the proposer holds the right for
//! good as [`Resident`], and submitters only push and ring its bell. (After flat combining: Hendler, Incze, Shavit,
//! Tzafrir 2010.)
//!
//! It refuses to know what the object does. A panic in `apply` poisons the front by name: the object may be torn, so it is
//! never touched again, and every caller, waiting or later, gets [`FrontPoisoned`] with the panic's text.
//!
//! Progress, exactly. Pushing, and [`MatcherHandle::post`], are wait-free. Submitting for an answer is wait-free up to the
//! moment when the right is won; the winner then works at least its own and at most one batch per round, and stays for
//! further rounds only while work is left and the next caller is not asleep. The decision itself is **not** lock-free:
//! a combiner (or resident) suspended in its batch holds up every answer, until it runs on; so does a producer
//! suspended inside its push, for the operations behind it. An answer future that was woken for the hand-over and is
//! then neither polled nor dropped (a stopped executor, `mem::forget`) delays the rest until the next submission.
//!
//! ```
//! use tidegate_matcher::front::{FrontLimits, MatcherHandle, Sequential};
//! struct Counter(u64);
//! impl Sequential for Counter {
//!     type Op = u64;
//!     type Answer = u64;
//!     fn apply(&mut self, add: u64) -> u64 {
//!         self.0 += add;
//!         self.0
//!     }
//! }
//! let front = MatcherHandle::new(Counter(0), FrontLimits::default());
//! let other = front.clone();
//! let thread = std::thread::spawn(move || other.send(1).expect("room"));
//! thread.join().expect("the thread ends well");
//! assert_eq!(front.call(2).expect("room").expect("nothing panicked"), 3);
//! ```

use crate::guard;
use crate::primitive::planted::{Plant, order, planted};
use crate::primitive::sync::{Arc, AtomicBool, AtomicU32, Ordering, UnsafeCell, fence};
use crate::reply::{NoAnswer, Reply, ReplySlots, Responder, Ticket};
#[cfg(not(loom))]
use crate::ring::Gauge;
use crate::ring::{PushError, mpsc};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use crossbeam_utils::CachePadded;
use std::panic::{AssertUnwindSafe, catch_unwind};
use thiserror::Error;

/// The object behind a front. It is only ever used by one thread at a time, in the order of the ring.
pub trait Sequential {
    /// What is asked.
    type Op: Send;
    /// What is answered.
    type Answer: Send;

    /// Applies one operation. A panic poisons the front.
    fn apply(&mut self, op: Self::Op) -> Self::Answer;

    /// Called after each batch, before the right is let go: the place to publish a view. Does nothing by default. A panic
    /// poisons the front.
    fn settle(&mut self) {}
}

/// Sizes of a front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrontLimits {
    /// Operations that may stand in the ring.
    pub ring: usize,
    /// Callers that may wait for an answer at once.
    pub callers: usize,
    /// Operations that one combiner applies before it looks for an heir.
    pub batch: usize,
}

impl Default for FrontLimits {
    fn default() -> Self {
        Self { ring: 1024, callers: 1024, batch: 64 }
    }
}

/// Why an operation was not taken; it comes back inside.
#[derive(Clone, Error)]
pub enum SubmitError<O> {
    /// The ring is full.
    #[error("the front's ring is full")]
    Full(O),
    /// As many callers as allowed wait for answers already.
    #[error("too many callers wait for answers already")]
    TooManyCallers(O),
    /// The front was closed.
    #[error("the front is closed")]
    Closed(O),
    /// An earlier operation panicked.
    #[error("the front is poisoned: {by}")]
    Poisoned {
        /// The operation.
        op: O,
        /// The text of the panic.
        by: std::sync::Arc<str>,
    },
}

impl<O> SubmitError<O> {
    /// The operation that was not taken.
    pub fn into_inner(self) -> O {
        match self {
            Self::Full(op) | Self::TooManyCallers(op) | Self::Closed(op) | Self::Poisoned { op, .. } => op,
        }
    }
}

impl<O> core::fmt::Debug for SubmitError<O> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::TooManyCallers(_) => f.write_str("TooManyCallers(..)"),
            Self::Closed(_) => f.write_str("Closed(..)"),
            Self::Poisoned { by, .. } => write!(f, "Poisoned {{ by: {by:?}, .. }}"),
        }
    }
}

/// An accepted operation got no answer: it, or one before it, panicked. Whether it was applied is unknown.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the front is poisoned: {by}")]
pub struct FrontPoisoned {
    /// The text of the panic.
    pub by: std::sync::Arc<str>,
}

/// Nobody combines.
const FREE: u32 = 0;
/// Somebody combines, or is resident.
const HELD: u32 = 1;

struct Shared<S: Sequential> {
    /// The right to combine: FREE or HELD. Its holder alone touches `desk`.
    right: CachePadded<AtomicU32>,
    ring: mpsc::Shared<Envelope<S>>,
    desk: UnsafeCell<Desk<S>>,
    replies: ReplySlots<S::Answer>,
    /// Set once, after `poison` was written, by the holder of the right.
    poisoned: AtomicBool,
    /// The panic's text; written once before `poisoned` is set and only read after.
    poison: UnsafeCell<Option<std::sync::Arc<str>>>,
    batch: usize,
}

/// What belongs to the holder of the right.
struct Desk<S> {
    object: S,
    cursor: mpsc::Cursor,
}

struct Envelope<S: Sequential> {
    op: S::Op,
    responder: Option<Responder<S::Answer>>,
}

// SAFETY: `desk` is touched only by the holder of `right`, which passes by acquire and release; `poison` is written once
// before `poisoned` is set with release and read only after it was seen with acquire. Operations and answers are `Send`;
// the object moves between threads, hence `S: Send`.
unsafe impl<S: Sequential + Send> Send for Shared<S> {}
// SAFETY: see above.
unsafe impl<S: Sequential + Send> Sync for Shared<S> {}

/// A handle on the front: clone it for every thread.
pub struct MatcherHandle<S: Sequential> {
    shared: Arc<Shared<S>>,
}

impl<S: Sequential> Clone for MatcherHandle<S> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<S: Sequential + Send> MatcherHandle<S> {
    /// A front before `object`.
    ///
    /// # Panics
    ///
    /// When a limit is zero or too large (see [`mpsc::ring`] and [`ReplySlots::new`]).
    pub fn new(object: S, limits: FrontLimits) -> Self {
        assert!(limits.batch > 0, "a combiner works at least one operation");
        Self {
            shared: Arc::new(Shared {
                right: CachePadded::new(AtomicU32::new(FREE)),
                ring: mpsc::Shared::new(limits.ring),
                desk: UnsafeCell::new(Desk { object, cursor: mpsc::Cursor::default() }),
                replies: ReplySlots::new(limits.callers),
                poisoned: AtomicBool::new(false),
                poison: UnsafeCell::new(None),
                batch: limits.batch,
            }),
        }
    }

    /// Hands an operation in for an answer. Does not wait for others; may work a batch (see the module head).
    ///
    /// # Errors
    ///
    /// [`SubmitError`], with the operation.
    pub fn submit(&self, op: S::Op) -> Result<Answer<S>, SubmitError<S::Op>> {
        let Some((reply, responder)) = self.shared.replies.claim_pair() else {
            return Err(SubmitError::TooManyCallers(op));
        };
        self.shared.push(op, Some(responder))?;
        self.shared.assist();
        Ok(Answer { reply, shared: self.shared.clone() })
    }

    /// Hands an operation in and leaves; its answer is dropped. Does not wait for others; may work a batch.
    ///
    /// # Errors
    ///
    /// [`SubmitError`], with the operation.
    pub fn send(&self, op: S::Op) -> Result<(), SubmitError<S::Op>> {
        self.shared.push(op, None)?;
        self.shared.assist();
        Ok(())
    }

    /// Hands an operation in and leaves without ever combining: for threads that must not be drawn in. It is served by the
    /// resident, or by whoever submits or waits next. Wait-free.
    ///
    /// # Errors
    ///
    /// [`SubmitError`], with the operation.
    pub fn post(&self, op: S::Op) -> Result<(), SubmitError<S::Op>> {
        self.shared.push(op, None)
    }

    /// Hands an operation in and blocks until it is answered.
    ///
    /// # Errors
    ///
    /// Outside, why it was not taken; inside, why it got no answer.
    pub fn call(&self, op: S::Op) -> Result<Result<S::Answer, FrontPoisoned>, SubmitError<S::Op>> {
        Ok(self.submit(op)?.wait())
    }

    /// Works what stands in the ring if nobody else does: at least one batch, then as a submitter would.
    pub fn assist(&self) {
        self.shared.assist_if_idle();
    }

    /// Takes the right to combine for good, until the resident is dropped; `None` while somebody else holds it.
    pub fn resident(&self) -> Option<Resident<S>> {
        self.shared.take_right().then(|| Resident { shared: self.shared.clone() })
    }

    /// Closes the front: later operations come back, accepted ones are still served.
    pub fn close(&self) {
        self.shared.ring.close();
    }

    /// Operations waiting in the ring.
    pub fn len(&self) -> usize {
        self.shared.ring.len()
    }

    /// True when no operation waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many operations the ring holds at most.
    pub fn capacity(&self) -> usize {
        self.shared.ring.capacity()
    }

    /// Callers that wait for an answer now.
    pub fn callers(&self) -> usize {
        self.shared.replies.claimed()
    }

    /// The panic's text when the front is poisoned.
    pub fn poisoned_by(&self) -> Option<std::sync::Arc<str>> {
        self.shared.poisoned_by()
    }
}

#[cfg(not(loom))]
impl<S: Sequential + Send + 'static> MatcherHandle<S> {
    /// A gauge of the ring's length that outlives the handle.
    pub fn gauge(&self) -> Gauge {
        Gauge::new(self.shared.clone())
    }
}

#[cfg(not(loom))]
impl<S: Sequential> crate::ring::Measured for Shared<S> {
    fn length(&self) -> usize {
        self.ring.len()
    }
    fn limit(&self) -> usize {
        self.ring.capacity()
    }
}

impl<S: Sequential> Shared<S> {
    fn push(&self, op: S::Op, responder: Option<Responder<S::Answer>>) -> Result<(), SubmitError<S::Op>> {
        self.ring.push(Envelope { op, responder }).map_err(|refused| match refused {
            PushError::Full(envelope) => SubmitError::Full(envelope.op),
            PushError::Closed(envelope) => match self.poisoned_by() {
                Some(by) => SubmitError::Poisoned { op: envelope.op, by },
                None => SubmitError::Closed(envelope.op),
            },
        })
    }

    fn take_right(&self) -> bool {
        // Acquire: what the last holder did to the desk is visible.
        self.right.load(Ordering::Relaxed) == FREE
            && self.right.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Lets go, and fences: a submitter that found the right held before this has its operation seen after it.
    fn let_go(&self) {
        self.right.store(FREE, order(Ordering::Release, Plant::FrontReleaseRelaxed));
        fence(Ordering::SeqCst);
    }

    /// The submitter's part after its push, and the duty of whoever leaves: work while there is work and nobody else does.
    fn assist(&self) {
        // The push has fenced (it rang the bell), so either we find the right free here, or its holder, who fences when
        // it lets go, finds our operation then.
        while self.take_right() {
            let served = self.serve(self.batch);
            let heir = if served == self.batch { self.next_caller() } else { None };
            self.let_go();
            if planted(Plant::FrontNoRecheck) || !self.ring.has_next() {
                return;
            }
            if heir.is_some_and(|heir| self.replies.nudge(heir)) || (planted(Plant::FrontNoHeir) && served == self.batch) {
                return;
            }
        }
    }

    /// For whoever sleeps, is woken or leaves: nothing to do unless work stands there and nobody combines.
    fn assist_if_idle(&self) {
        if self.right.load(Ordering::Relaxed) == FREE && self.ring.has_next() {
            self.assist();
        }
    }

    /// Holder only: applies at most `most` operations; returns how many it took.
    fn serve(&self, most: usize) -> usize {
        self.desk.with_mut(|desk| {
            // SAFETY: the caller holds the right, so the desk is its own.
            let Desk { object, cursor } = unsafe { &mut *desk };
            let mut served = 0;
            while served < most {
                let Some(Envelope { op, responder }) = self.ring.take(cursor) else { break };
                // Room first: a caller that has its answer must not find the ring full of it.
                self.ring.release(1);
                served += 1;
                if self.poisoned.load(Ordering::Relaxed) {
                    continue;
                }
                match catch_unwind(AssertUnwindSafe(|| object.apply(op))) {
                    Ok(answer) => {
                        if let Some(responder) = responder {
                            // A caller that has gone does not mind.
                            drop(responder.answer(answer));
                        }
                    }
                    // The poison before the responder goes: its caller then knows why.
                    Err(payload) => self.set_poison(payload),
                }
            }
            if served > 0 && !self.poisoned.load(Ordering::Relaxed) {
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| object.settle())) {
                    self.set_poison(payload);
                }
            }
            served
        })
    }

    /// Holder only: the caller of the next operation.
    fn next_caller(&self) -> Option<Ticket> {
        self.desk.with_mut(|desk| {
            // SAFETY: the caller holds the right, so the desk is its own.
            let cursor = unsafe { &(*desk).cursor };
            self.ring.peek(cursor, |envelope| envelope.responder.as_ref().map(Responder::ticket)).flatten()
        })
    }

    /// Holder only, once: names the poison, and shuts the ring.
    #[cold]
    fn set_poison(&self, payload: std::boxed::Box<dyn core::any::Any + Send>) {
        let text = std::sync::Arc::from(guard::text(&*payload));
        guard::discard(payload);
        // SAFETY: written once, by the holder of the right, before anybody may read it.
        self.poison.with_mut(|poison| unsafe { *poison = Some(text) });
        self.poisoned.store(true, Ordering::Release);
        self.ring.close();
    }

    fn poisoned_by(&self) -> Option<std::sync::Arc<str>> {
        if !self.poisoned.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: the flag was seen, so the text was written before and nobody writes any more.
        self.poison.with(|poison| unsafe { (*poison).clone() })
    }

    fn explain(&self, outcome: Result<S::Answer, NoAnswer>) -> Result<S::Answer, FrontPoisoned> {
        // An answer keeps the front alive, and the front drops a responder only after it was poisoned.
        outcome.map_err(|NoAnswer| FrontPoisoned {
            by: self.poisoned_by().expect("only a poisoned front leaves a caller without answer"),
        })
    }
}

/// An answer under way: wait for it, await it, or drop it and leave.
#[must_use = "dropping an answer gives it up; `send` does so more cheaply"]
pub struct Answer<S: Sequential> {
    reply: Reply<S::Answer>,
    shared: Arc<Shared<S>>,
}

impl<S: Sequential> Answer<S> {
    /// Takes the outcome if it is there.
    ///
    /// # Errors
    ///
    /// [`FrontPoisoned`] inside, as for [`wait`](Self::wait).
    pub fn try_take(&mut self) -> Option<Result<S::Answer, FrontPoisoned>> {
        self.reply.try_take().map(|outcome| self.shared.explain(outcome))
    }

    /// Blocks until the outcome is there; works a batch itself when nobody else does.
    ///
    /// # Errors
    ///
    /// [`FrontPoisoned`] with the panic's text.
    pub fn wait(mut self) -> Result<S::Answer, FrontPoisoned> {
        let Self { reply, shared } = &mut self;
        let outcome = reply.wait_helping(|| shared.assist_if_idle());
        shared.explain(outcome)
    }
}

impl<S: Sequential> Future for Answer<S> {
    type Output = Result<S::Answer, FrontPoisoned>;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { reply, shared } = self.get_mut();
        reply.poll_helping(cx, || shared.assist_if_idle()).map(|outcome| shared.explain(outcome))
    }
}

impl<S: Sequential> Drop for Answer<S> {
    fn drop(&mut self) {
        // We may have been woken to go on in a combiner's place: what it left to us must not lie about.
        self.shared.assist_if_idle();
    }
}

/// The resident combiner: holds the right until dropped. A cell's proposer is one.
pub struct Resident<S: Sequential> {
    shared: Arc<Shared<S>>,
}

impl<S: Sequential> Resident<S> {
    /// Applies at most `most` operations that stand in the ring; returns how many.
    pub fn serve(&mut self, most: usize) -> usize {
        self.shared.serve(most)
    }

    /// Sleeps until there is an operation, then applies at most `most`; 0 means that the front is closed and drained.
    ///
    /// # Panics
    ///
    /// When `most` is zero.
    pub fn serve_wait(&mut self, most: usize) -> usize {
        assert!(most > 0, "a batch takes at least one operation");
        let shared = &*self.shared;
        shared.ring.sleep(|| match shared.serve(most) {
            0 if shared.is_done() => Some(0),
            0 => None,
            served => Some(served),
        })
    }

    /// The object itself, between batches. After a poisoning it may be torn.
    pub fn with<R>(&mut self, f: impl FnOnce(&mut S) -> R) -> R {
        // SAFETY: a resident holds the right, so the desk is its own, and `self` is borrowed mutably meanwhile.
        self.shared.desk.with_mut(|desk| f(unsafe { &mut (*desk).object }))
    }
}

impl<S: Sequential> Shared<S> {
    /// Holder only.
    fn is_done(&self) -> bool {
        self.desk.with_mut(|desk| {
            // SAFETY: the caller holds the right, so the desk is its own.
            let cursor = unsafe { &mut (*desk).cursor };
            self.ring.is_done(cursor)
        })
    }
}

impl<S: Sequential> Drop for Resident<S> {
    fn drop(&mut self) {
        self.shared.let_go();
        // Operations that came while we held the right are ours to see to.
        self.shared.assist_if_idle();
    }
}
