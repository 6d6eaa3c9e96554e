//! The term fence: after `raise(term)` returns, nothing of an older term leaves.
//!
//! Whoever lets something out into the world (a message, an offer, an answer) on behalf of a term holds a [`Pass`]
//! while he does it. [`TermFence::enter`] gives one only while that term is the current one. [`TermFence::raise`] makes a
//! higher term current, so that no older one gets a pass any more, and then waits for the passes that are out. A leader
//! that was paused and wakes up late therefore finds the gate shut, or was waited for.
//!
//! It refuses to know what is emitted. Hold a pass for one emission, not for a leadership: `raise` waits for it.
//!
//! How: one word holds (term, side); each of two sides counts the passes given out on it. A raise flips the side, so that
//! passes of the new term never prolong the wait for the old one's; before flipping it makes sure that the side it flips
//! to has been emptied of still older passes. An emitter counts itself in first and looks at the word again; if that
//! has moved, so has the term, and it takes its count back.
//!
//! Progress: `enter` is wait-free, and so is dropping a pass unless a raise waits (it is then woken, lock-free). `raise` blocks by its nature, for as long as the slowest pass of
//! an older term: an emitter suspended with a pass in hand holds every raise up. `announce` only shuts the gate and
//! is lock-free while no raise is still waiting for the passes before the last.
//!
//! ```
//! use tidegate_matcher::fence::TermFence;
//! let fence = TermFence::new(1);
//! {
//!     let _pass = fence.enter(1).expect("term 1 is current");
//!     // Emit here.
//! }
//! fence.raise(2);
//! assert!(fence.enter(1).is_none());
//! ```

use crate::primitive::planted::{Plant, planted};
use crate::primitive::sync::{Arc, AtomicU64, Ordering, fence};
use crate::primitive::waiters::Waiters;
use crossbeam_utils::CachePadded;

/// The largest term: the word keeps one bit for the side.
pub const MAX_TERM: u64 = (1 << 63) - 1;

/// The fence. Clones share it.
#[derive(Clone, Debug)]
pub struct TermFence {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// `term << 1 | side`. Rises only, since every raise raises the term.
    word: CachePadded<AtomicU64>,
    /// Passes out on each side, plus entries that are about to be refused.
    out: [CachePadded<AtomicU64>; 2],
    /// Raisers that wait for a side to empty.
    waiters: Waiters,
}

/// Permission to let something of one term out, while it lives. Drop it when the emission is done.
#[derive(Debug)]
#[must_use = "emission is covered only while the pass lives"]
pub struct Pass<'a> {
    shared: &'a Shared,
    side: usize,
    term: u64,
}

impl TermFence {
    /// A fence whose current term is `term`.
    ///
    /// # Panics
    ///
    /// When the term is above [`MAX_TERM`].
    pub fn new(term: u64) -> Self {
        assert!(term <= MAX_TERM, "a term stays below 2^63");
        Self {
            shared: Arc::new(Shared {
                word: CachePadded::new(AtomicU64::new(term << 1)),
                out: [CachePadded::new(AtomicU64::new(0)), CachePadded::new(AtomicU64::new(0))],
                waiters: Waiters::new(),
            }),
        }
    }

    /// A pass for `term` if it is the current one; `None` when it is older, or newer than anybody has raised. Wait-free.
    pub fn enter(&self, term: u64) -> Option<Pass<'_>> {
        let shared = &*self.shared;
        let word = shared.word.load(Ordering::Acquire);
        if word >> 1 != term {
            return None;
        }
        let side = (word & 1) as usize;
        // Acquire: what was raised before us is visible to the emission.
        shared.out[side].fetch_add(1, Ordering::Acquire);
        fence(Ordering::SeqCst);
        if shared.word.load(Ordering::Relaxed) != word && !planted(Plant::FenceNoRecheck) {
            // The word rises only, so the term has been raised past ours.
            shared.leave(side);
            return None;
        }
        Some(Pass { shared, side, term })
    }

    /// Makes `term` current if it is higher, and returns once no pass of an older term is out. When several threads
    /// raise, each returns only after its own promise holds. Do not call it with a pass in hand.
    ///
    /// # Panics
    ///
    /// When the term is above [`MAX_TERM`].
    pub fn raise(&self, term: u64) {
        self.announce(term);
        let shared = &*self.shared;
        // Passes older than the current term stand on the other side, and only there: see `announce`.
        if !planted(Plant::FenceNoDrain) {
            shared.waiters.wait(
                0,
                || 0,
                || {
                    let side = (shared.word.load(Ordering::Acquire) & 1) as usize;
                    shared.is_empty(side ^ 1).then_some(())
                },
            );
        }
    }

    /// Shuts the gate for terms older than `term` without waiting for the passes that are out. It waits only when an
    /// earlier raise still does.
    ///
    /// # Panics
    ///
    /// When the term is above [`MAX_TERM`].
    pub fn announce(&self, term: u64) {
        assert!(term <= MAX_TERM, "a term stays below 2^63");
        let shared = &*self.shared;
        shared.waiters.wait(
            0,
            || 0,
            || {
                let word = shared.word.load(Ordering::Acquire);
                if word >> 1 >= term {
                    return Some(());
                }
                let next = (word & 1) ^ 1;
                // Both sides can hold passes only while an earlier raise waits; the side to flip to must be empty first, or
                // its old passes would be taken for new ones.
                if !shared.is_empty(next as usize) {
                    return None;
                }
                // AcqRel: what the raiser did before is visible to whoever enters. A failure means that another raise won.
                let won = shared.word.compare_exchange(word, term << 1 | next, Ordering::AcqRel, Ordering::Acquire);
                match won {
                    Ok(_) => Some(()),
                    Err(seen) => (seen >> 1 >= term).then_some(()),
                }
            },
        );
        fence(Ordering::SeqCst);
    }

    /// The current term.
    pub fn term(&self) -> u64 {
        self.shared.word.load(Ordering::Acquire) >> 1
    }

    /// True when no pass of an older term is out: what [`raise`](Self::raise) waits for.
    pub fn is_drained(&self) -> bool {
        let side = (self.shared.word.load(Ordering::Acquire) & 1) as usize;
        self.shared.is_empty(side ^ 1)
    }
}

impl Shared {
    fn is_empty(&self, side: usize) -> bool {
        // After a fence: an entry that we miss here comes after it and will see the raised word, and go back.
        fence(Ordering::SeqCst);
        self.out[side].load(Ordering::Acquire) == 0
    }

    fn leave(&self, side: usize) {
        // Release: the emission is over before the count says so.
        if self.out[side].fetch_sub(1, Ordering::Release) == 1 {
            self.waiters.wake(|| 0);
        }
    }
}

impl Pass<'_> {
    /// The term that this pass was given for.
    pub fn term(&self) -> u64 {
        self.term
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.shared.leave(self.side);
    }
}
