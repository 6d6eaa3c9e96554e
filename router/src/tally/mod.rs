//! What a wall shows beyond the moment, counted beside the deciding thread: exits and service level a queue, codes of wrap-ups.
//!
//! ```text
//! egress ── Feed (one bounded channel) ──> keeper (a task) ──> Tally of each tenant <── the wall, /metrics
//! ```
//!
//! The keeper takes contact records and released claims in the order of the log. Targets and codes come from the `[desk]` table of
//! the active policy; the keeper reads it before it counts what came after the activation, so that no record is measured
//! against a target that was not in force. It never holds anybody up: what does not fit is counted as missed, and said. Counts
//! begin with the process; it refuses to know sockets and names.

mod count;

pub(crate) use count::Tally;
pub use count::{CODES_MAX, QUEUES_MAX, WINDOW};

use crate::gauge::Gauges;
use dashmap::DashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tidegate_model::ids::TenantId;
use tidegate_model::name::ReasonName;
use tidegate_model::output::Output;
use tidegate_model::policy::Desk;
use tidegate_model::port::BoxFuture;
use tidegate_model::record::ContactRecord;
use tokio::sync::mpsc;

/// Batches that wait for the keeper at most; what comes beyond is missed, and counted so.
pub const BATCHES_MAX: usize = 1_024;

/// Reads the `[desk]` table of a tenant's active policy.
pub(crate) type DeskOf = Box<dyn Fn(TenantId) -> BoxFuture<Option<Arc<Desk>>> + Send + Sync>;

/// The tallies of one node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tallies {
    inner: Arc<Inner>,
}

struct Inner {
    tallies: DashMap<TenantId, Arc<Mutex<Tally>>>,
    sender: mpsc::Sender<Batch>,
    /// The keeper's end, until it starts.
    receiver: Mutex<Option<mpsc::Receiver<Batch>>>,
    missed: AtomicU64,
}

struct Batch {
    tenant: TenantId,
    events: Vec<Event>,
}

enum Event {
    Left(ContactRecord),
    WrappedUp(ReasonName),
    Policy,
}

/// The egress' end.
pub(crate) struct Feed {
    inner: Arc<Inner>,
    pending: Vec<Event>,
}

impl Feed {
    /// An agent ended a wrap-up with a code; it goes with the outputs that follow.
    pub(crate) fn wrapped_up(&mut self, code: ReasonName) {
        self.pending.push(Event::WrappedUp(code));
    }

    /// Hands over what the outputs of one tenant say. Never waits.
    pub(crate) fn outputs(&mut self, tenant: TenantId, outputs: &[Output]) {
        self.pending.extend(outputs.iter().filter_map(|output| match output {
            Output::Contact(record) => Some(Event::Left(*record)),
            Output::PolicyActive { .. } => Some(Event::Policy),
            _ => None,
        }));
        if self.pending.is_empty() {
            return;
        }
        let batch = Batch { tenant, events: std::mem::take(&mut self.pending) };
        let events = batch.events.len() as u64;
        if self.inner.sender.try_send(batch).is_err() {
            self.inner.missed.fetch_add(events, Ordering::Relaxed);
        }
    }
}

impl Tallies {
    /// Empty ones; their queue is registered in `gauges`.
    pub(crate) fn new(gauges: &Gauges) -> Self {
        let (sender, receiver) = gauges.channel("tally_batches", BATCHES_MAX);
        let receiver = Mutex::new(Some(receiver));
        Self { inner: Arc::new(Inner { tallies: DashMap::new(), sender, receiver, missed: AtomicU64::new(0) }) }
    }

    /// The end that the egress feeds.
    pub(crate) fn feed(&self) -> Feed {
        Feed { inner: Arc::clone(&self.inner), pending: Vec::new() }
    }

    /// Counts from now on, on the current runtime.
    pub(crate) fn start(&self, tenants: Vec<TenantId>, desk_of: DeskOf) {
        if let Some(receiver) = lock(&self.inner.receiver).take() {
            tokio::spawn(keep(Arc::downgrade(&self.inner), receiver, tenants, desk_of));
        }
    }

    /// Looks at a tenant's counts.
    pub(crate) fn read<R>(&self, tenant: TenantId, look: impl FnOnce(&mut Tally) -> R) -> Option<R> {
        let tally = Arc::clone(self.inner.tallies.get(&tenant)?.value());
        let seen = look(&mut lock(&tally));
        Some(seen)
    }

    /// Events that did not fit and are in no count.
    pub(crate) fn missed(&self) -> u64 {
        self.inner.missed.load(Ordering::Relaxed)
    }
}

/// The keeper: ends when the last [`Tallies`] and [`Feed`] have gone.
async fn keep(inner: Weak<Inner>, mut receiver: mpsc::Receiver<Batch>, tenants: Vec<TenantId>, desk_of: DeskOf) {
    for tenant in tenants {
        aim(&inner, tenant, &desk_of).await;
    }
    while let Some(Batch { tenant, events }) = receiver.recv().await {
        for event in events {
            if matches!(event, Event::Policy) {
                aim(&inner, tenant, &desk_of).await;
                continue;
            }
            let Some(tally) = inner.upgrade().map(|inner| inner.tally(tenant)) else { return };
            match event {
                Event::Left(record) => lock(&tally).left(&record),
                Event::WrappedUp(code) => lock(&tally).wrapped_up(code),
                Event::Policy => {}
            }
        }
    }
}

/// Reads the targets of a tenant; what cannot be read leaves them as they are.
async fn aim(inner: &Weak<Inner>, tenant: TenantId, desk_of: &DeskOf) {
    if let Some(desk) = desk_of(tenant).await
        && let Some(inner) = inner.upgrade()
    {
        lock(&inner.tally(tenant)).aim(desk);
    }
}

impl Inner {
    fn tally(&self, tenant: TenantId) -> Arc<Mutex<Tally>> {
        Arc::clone(self.tallies.entry(tenant).or_default().value())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::ready;

    #[tokio::test]
    async fn the_feed_never_waits_and_what_did_not_fit_is_said() {
        let gauges = Gauges::new();
        let tallies = Tallies::new(&gauges);
        let mut feed = tallies.feed();
        for _ in 0..BATCHES_MAX + 10 {
            feed.wrapped_up(ReasonName::of("sold"));
            feed.outputs(TenantId(1), &[]);
        }
        assert_eq!(tallies.missed(), 10);
        let receiver = lock(&tallies.inner.receiver).take().expect("not started yet");
        let keeper = tokio::spawn(keep(Arc::downgrade(&tallies.inner), receiver, Vec::new(), Box::new(|_| Box::pin(ready(None)))));
        let counted = || tallies.read(TenantId(1), |tally| tally.codes().map(|(_, count)| count).sum::<u64>()).unwrap_or(0);
        while counted() < BATCHES_MAX as u64 {
            tokio::task::yield_now().await;
        }
        drop((feed, tallies));
        keeper.await.expect("the keeper ends with the last of them");
    }
}
