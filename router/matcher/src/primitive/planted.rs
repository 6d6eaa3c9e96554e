//! Planted bugs: named places where a checker may break an edge to see whether its model notices.
//!
//! A model that cannot fail proves nothing. Each edge therefore asks `planted()` at the one or two places on which its
//! correctness hangs, and the loom tests run every model twice: once as it is, once with the place broken, where the
//! model must fail. Outside the checkers the question is a constant `false` and costs nothing; there is no way to plant
//! a bug in a normal build. The plant is per OS thread (loom and shuttle run all modelled threads on one), so tests may
//! run side by side.

use super::sync::Ordering;

/// A place at which an edge can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Plant {
    /// MPSC ring: a slot is published without release.
    RingPublishRelaxed,
    /// MPSC ring: tickets are taken without acquire-release, so a late producer can overtake the consumer's reading.
    RingTicketRelaxed,
    /// MPSC ring: a refused push does not wake a consumer that waits for the end.
    RingSilentRefusal,
    /// SPSC ring: the tail is published without release.
    SpscPublishRelaxed,
    /// SPSC ring: the freed room is announced without release.
    SpscFreeRelaxed,
    /// Credits: the limit is checked before the credit is counted, not by the count itself.
    CreditCheckThenTake,
    /// Credits: a refused credit is not taken off the count again.
    CreditRefusalKept,
    /// Doorbell: the owner parks without looking again after it has armed the bell.
    DoorbellNoRecheck,
    /// Doorbell: the ringer looks at the bell without a fence after its own publication.
    DoorbellNoFence,
    /// Front: the combiner leaves without looking again after it has let go.
    FrontNoRecheck,
    /// Front: the right to combine is let go without release.
    FrontReleaseRelaxed,
    /// Front: a combiner that has worked its bound leaves although nobody was asked to go on.
    FrontNoHeir,
    /// Reply slots: an answer is published without release.
    ReplyPublishRelaxed,
    /// Reply slots: an answerer does not check the generation.
    ReplyIgnoresGeneration,
    /// Watermark: the mark is published without release.
    WatermarkPublishRelaxed,
    /// Watermark: one pass does not look again after it has put back the waiters that it did not release.
    WatermarkPassOnce,
    /// Term fence: an emitter does not look at the term again after it has counted itself in.
    FenceNoRecheck,
    /// Term fence: `raise` does not wait for the emitters in flight.
    FenceNoDrain,
    /// Views: the old version is handed to reclamation while readers can still find it.
    ViewRetireBeforeUnlink,
    /// Views: the new version is published without release.
    ViewPublishRelaxed,
    /// Stand-in epochs: a version is freed one epoch too early.
    EpochOneTooEarly,
}

#[cfg(any(loom, shuttle))]
std::thread_local! {
    static ACTIVE: core::cell::Cell<Option<Plant>> = const { core::cell::Cell::new(None) };
}

/// Runs `f` with one bug planted on this OS thread; it is pulled out again however `f` ends.
#[cfg(any(loom, shuttle))]
pub fn with<R>(plant: Plant, f: impl FnOnce() -> R) -> R {
    struct Pull;
    impl Drop for Pull {
        fn drop(&mut self) {
            ACTIVE.set(None);
        }
    }
    ACTIVE.set(Some(plant));
    let _pull = Pull;
    f()
}

/// True when this bug is planted.
#[cfg(any(loom, shuttle))]
#[inline]
pub(crate) fn planted(plant: Plant) -> bool {
    ACTIVE.get() == Some(plant)
}

/// True when this bug is planted: never, outside the checkers.
#[cfg(not(any(loom, shuttle)))]
#[inline(always)]
pub(crate) const fn planted(_plant: Plant) -> bool {
    false
}

/// `right`, or `Relaxed` when this bug is planted.
#[inline(always)]
pub(crate) fn order(right: Ordering, plant: Plant) -> Ordering {
    if planted(plant) { Ordering::Relaxed } else { right }
}
