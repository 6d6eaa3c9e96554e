//! Many sleepers on one rising number: the registry behind the commit watermark and the term fence.
//!
//! A waiter pushes a node with the key that it waits for on a lock-free stack and sleeps on the node's own doorbell.
//! A waker takes the whole stack at once, rings the nodes that its bound covers, and puts the others back. While it
//! holds the stack another waker finds it empty; therefore a waker that has put nodes back looks at the bound again,
//! and goes round once more if it has risen past one of them. Nothing is lost and nobody waits for anybody.
//!
//! The registry knows keys, not meanings: a waiter must look at the real condition before it believes a ring.
//!
//! Progress: `register` and `wake` are lock-free (a retry means that another thread's push or take succeeded). A waker
//! suspended with the stack in hand delays the nodes that it holds until it runs on: it is the one thread that others
//! can be kept asleep by, and the edges say so. A node given up by its owner is dropped by the next pass; passes also
//! run when many have been given up.

use super::doorbell::Doorbell;
use super::planted::{Plant, planted};
use super::sync::{Arc, AtomicBool, AtomicPtr, AtomicUsize, Ordering, SPINS, UnsafeCell, fence, spin_loop};
use core::ptr;
use core::task::{Context, Poll};

/// So many nodes given up start a sweep.
const SWEEP_AFTER: usize = 64;

/// One sleeper: shared by its owner and, while registered, by the stack (which holds one strong count).
#[derive(Debug)]
struct Node {
    key: u64,
    /// The node is on the stack, or in the hands of a waker that has not yet decided on it. Cleared before it is rung.
    queued: AtomicBool,
    /// The owner has gone; drop the node at the next pass.
    gone: AtomicBool,
    bell: Doorbell,
    /// The node below in the stack. Written by the pusher before it publishes the node and by the one waker that has
    /// taken the stack; never by both at once.
    next: UnsafeCell<*const Node>,
}

/// The stack.
#[derive(Debug)]
pub(crate) struct Waiters {
    /// Top of the stack, or null. Every node under it holds one strong count of its `Arc`.
    head: AtomicPtr<Node>,
    /// Nodes given up since the last pass: an estimate, only to start a sweep.
    given_up: AtomicUsize,
}

// SAFETY: nodes are reached through `Arc`s that the stack owns; `next` is the only unsynchronised field and its single
// possessor is described there; possession passes with acquire-release operations on `head`.
unsafe impl Send for Waiters {}
// SAFETY: see above.
unsafe impl Sync for Waiters {}
// SAFETY: a node is an inert record but for `next`, see above.
unsafe impl Send for Node {}
// SAFETY: see above.
unsafe impl Sync for Node {}

/// A waiter's own hold on its node, for as long as it sleeps.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    node: Option<Arc<Node>>,
}

impl Waiting {
    /// Leaves, and counts the node that stays behind on the stack.
    pub(crate) fn leave(&mut self, waiters: &Waiters) {
        if let Some(node) = self.node.take().filter(|node| node.queued.load(Ordering::Acquire)) {
            node.gone.store(true, Ordering::Release);
            waiters.given_up.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a sleeper found when it looked.
enum Look<T> {
    /// What it waits for.
    Found(T),
    /// Its node was taken off the stack and rung, yet there is nothing: it must register again.
    Dequeued,
}

impl Waiters {
    pub(crate) fn new() -> Self {
        Self { head: AtomicPtr::new(ptr::null_mut()), given_up: AtomicUsize::new(0) }
    }

    /// Puts a sleeper for `key` on the stack. After it returns, look at the condition before sleeping. `bound` is the
    /// one that [`wake`](Self::wake) takes: a pass runs here when many nodes were given up.
    fn register(&self, key: u64, bound: impl Fn() -> u64) -> Arc<Node> {
        if self.given_up.load(Ordering::Relaxed) >= SWEEP_AFTER {
            self.wake(bound);
        }
        let node = Arc::new(Node {
            key,
            queued: AtomicBool::new(true),
            gone: AtomicBool::new(false),
            bell: Doorbell::new(),
            next: UnsafeCell::new(ptr::null()),
        });
        let raw = Arc::into_raw(node.clone());
        self.push_chain(raw, raw);
        node
    }

    /// Blocks until `look` finds something. `bound` as for [`wake`](Self::wake).
    pub(crate) fn wait<T>(&self, key: u64, bound: impl Fn() -> u64, mut look: impl FnMut() -> Option<T>) -> T {
        for _ in 0..=SPINS {
            if let Some(found) = look() {
                return found;
            }
            // Not under the checkers: there it would hand the turn over and hide schedules.
            if SPINS > 0 {
                spin_loop();
            }
        }
        loop {
            let node = self.register(key, &bound);
            let seen = node.bell.wait(0, || Self::look(&node, &mut look));
            Waiting { node: Some(node) }.leave(self);
            if let Look::Found(found) = seen {
                return found;
            }
        }
    }

    /// The future's form of [`wait`](Self::wait): `waiting` keeps the place between polls.
    pub(crate) fn poll<T>(
        &self,
        waiting: &mut Waiting,
        cx: &mut Context<'_>,
        key: u64,
        bound: impl Fn() -> u64,
        mut look: impl FnMut() -> Option<T>,
    ) -> Poll<T> {
        if let Some(found) = look() {
            waiting.leave(self);
            return Poll::Ready(found);
        }
        loop {
            let node = waiting.node.get_or_insert_with(|| self.register(key, &bound));
            match node.bell.poll(cx, || Self::look(node, &mut look)) {
                None => return Poll::Pending,
                Some(Look::Found(found)) => {
                    waiting.leave(self);
                    return Poll::Ready(found);
                }
                Some(Look::Dequeued) => waiting.node = None,
            }
        }
    }

    fn look<T>(node: &Node, look: &mut impl FnMut() -> Option<T>) -> Option<Look<T>> {
        // The flag first: a node still queued after this look will be rung for whatever the look missed.
        let queued = node.queued.load(Ordering::Acquire);
        match look() {
            Some(found) => Some(Look::Found(found)),
            None if queued => None,
            None => Some(Look::Dequeued),
        }
    }

    /// Rings every sleeper whose key `bound()` covers, and forgets it; `bound` must never fall. Call it after the news is
    /// published. A fence and a load when nobody waits.
    pub(crate) fn wake(&self, bound: impl Fn() -> u64) {
        fence(Ordering::SeqCst);
        while !self.head.load(Ordering::Relaxed).is_null() {
            let covered = bound();
            let Some(lowest) = self.pass(covered) else { return };
            if planted(Plant::WatermarkPassOnce) {
                return;
            }
            fence(Ordering::SeqCst);
            if bound() < lowest {
                return;
            }
        }
    }

    /// One pass with a fixed bound: the lowest key that stayed, or `None` when none stayed.
    fn pass(&self, covered: u64) -> Option<u64> {
        let mut node = self.take();
        let mut kept = Chain::new();
        let mut lowest = None;
        while !node.is_null() {
            // SAFETY: taken from the stack, so its strong count is ours; see `take`.
            let next = unsafe { next_of(node) };
            // SAFETY: as above.
            let (key, gone) = unsafe { ((*node).key, (*node).gone.load(Ordering::Acquire)) };
            if gone || key <= covered {
                // SAFETY: as above; the count passes to this `Arc` and ends with it.
                let owned = unsafe { Arc::from_raw(node) };
                owned.queued.store(false, Ordering::Release);
                owned.bell.ring();
            } else {
                lowest = Some(lowest.map_or(key, |low: u64| low.min(key)));
                kept.push(node);
            }
            node = next;
        }
        if !kept.first.is_null() {
            self.push_chain(kept.first, kept.last);
        }
        lowest
    }

    /// Takes the whole stack; the strong counts of its nodes, and their `next` fields, pass to the caller.
    fn take(&self) -> *const Node {
        self.given_up.store(0, Ordering::Relaxed);
        self.head.swap(ptr::null_mut(), Ordering::AcqRel).cast_const()
    }

    /// Pushes a chain whose nodes are linked from `first` to `last`; their strong counts pass to the stack.
    fn push_chain(&self, first: *const Node, last: *const Node) {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // SAFETY: the chain is ours until the exchange succeeds, so nobody else touches `last.next`.
            unsafe { (*last).next.with_mut(|next| *next = head.cast_const()) };
            match self.head.compare_exchange_weak(head, first.cast_mut(), Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }
}

impl Drop for Waiters {
    fn drop(&mut self) {
        let mut node = self.take();
        while !node.is_null() {
            // SAFETY: taken from the stack, so its strong count is ours; it ends with the `Arc`.
            unsafe {
                let next = next_of(node);
                drop(Arc::from_raw(node));
                node = next;
            }
        }
    }
}

/// Nodes that one waker keeps in hand, linked through `next`.
struct Chain {
    first: *const Node,
    last: *const Node,
}

impl Chain {
    fn new() -> Self {
        Self { first: ptr::null(), last: ptr::null() }
    }

    fn push(&mut self, node: *const Node) {
        // SAFETY: the caller holds the node's strong count and, having taken it off the stack, its `next` field.
        unsafe { (*node).next.with_mut(|next| *next = self.first) };
        if self.last.is_null() {
            self.last = node;
        }
        self.first = node;
    }
}

/// # Safety
///
/// The caller holds the strong count of `node` and its `next` field.
unsafe fn next_of(node: *const Node) -> *const Node {
    // SAFETY: the caller's promise.
    unsafe { (*node).next.with(|next| *next) }
}
