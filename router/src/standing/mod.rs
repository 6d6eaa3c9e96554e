//! Where waiting contacts stand, and how long they will still wait: a view beside the deciding thread, never in it.
//!
//! ```text
//! egress ── Feed (one bounded channel) ──> keeper (a task) ──> View of each tenant <── Ingress::standing, SeatPort::context
//! ```
//!
//! `Feed` picks what matters out of the cell's outputs and hands over one batch without waiting. The keeper applies it;
//! when a batch was lost, a policy swapped or the node has just started, it asks the machine for its open contacts, a few
//! thousand slots a question, and goes on from there: every event carries the transcript's number, so that what both say
//! counts once. Readers take a tenant's lock for a look-up in O(log n) and compute quantiles after it. It refuses to know
//! connections: whoever wants to tell a customer asks, at its own pace.

#[cfg(test)]
mod coverage;
mod line;
mod names;
mod pace;
mod quantile;
mod view;

pub use names::NAMES_MAX;
pub use pace::{DEPARTURE_AGE_MAX, DEPARTURES_MAX, DEPARTURES_MIN, WAIT_MAX};

use crate::cell::CellHandle;
use crate::gauge::Gauges;
use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use names::Names;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tidegate_model::ids::{ConversationId, SeatId, TenantId};
use tidegate_model::input::Inbound;
use tidegate_model::name::QueueName;
use tidegate_model::output::Output;
use tidegate_model::port::{OfferContext, PortError, Standing};
use tidegate_model::time::Timestamp;
use tokio::sync::{Notify, mpsc};
use view::{Event, View};

/// Batches of events that wait for the keeper at most; one more and the machine is asked instead.
pub const BATCHES_MAX: usize = 1_024;
/// Open contacts that the views of one node hold at most; further ones have no standing.
pub const CONTACTS_MAX: usize = 1 << 20;
/// Conversation slots that one question to the machine looks at.
const SLOTS_A_QUESTION: u32 = 4_096;
/// Longest that a reader waits for the view to catch up.
const CATCH_UP: Duration = Duration::from_millis(50);
/// Pause before a busy cell is asked again, at least.
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// The views of one node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Standings {
    inner: Arc<Inner>,
}

struct Inner {
    views: DashMap<TenantId, Arc<Mutex<View>>>,
    names: Mutex<Names>,
    cell: ArcSwapOption<CellHandle>,
    sender: mpsc::Sender<Batch>,
    /// The keeper's end, until it starts.
    receiver: Mutex<Option<mpsc::Receiver<Batch>>>,
    contacts: AtomicUsize,
    /// Batches handed over, batches applied.
    sent: AtomicU64,
    applied: AtomicU64,
    moved: Notify,
    /// A batch did not fit: what is in the channel is no whole story.
    lost: AtomicBool,
}

struct Batch {
    tenant: TenantId,
    events: Vec<Event>,
}

/// The egress' end.
pub(crate) struct Feed {
    inner: Arc<Inner>,
    pending: Vec<Event>,
}

impl Feed {
    /// What a contact asked for; it goes with the outputs that follow.
    pub(crate) fn asked(&mut self, inbound: &Inbound<'_>) {
        self.pending.push(Event::asked(inbound));
    }

    /// Hands over what the outputs of one tenant say. Never waits.
    pub(crate) fn outputs(&mut self, tenant: TenantId, outputs: &[Output]) {
        self.pending.extend(outputs.iter().filter_map(Event::of));
        if self.pending.is_empty() {
            return;
        }
        let batch = Batch { tenant, events: std::mem::take(&mut self.pending) };
        self.inner.sent.fetch_add(1, Ordering::AcqRel);
        if self.inner.sender.try_send(batch).is_err() {
            self.inner.lost.store(true, Ordering::Release);
            self.inner.applied.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Standings {
    /// Empty views; every queue is registered in `gauges`.
    pub(crate) fn new(gauges: &Gauges) -> Self {
        let (sender, receiver) = gauges.channel("standing_batches", BATCHES_MAX);
        let inner = Arc::new(Inner {
            views: DashMap::new(),
            names: Mutex::default(),
            cell: ArcSwapOption::empty(),
            sender,
            receiver: Mutex::new(Some(receiver)),
            contacts: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            moved: Notify::new(),
            lost: AtomicBool::new(false),
        });
        let weak = Arc::downgrade(&inner);
        gauges.register("standing_contacts", CONTACTS_MAX as u64, move || {
            weak.upgrade().map(|inner| inner.contacts.load(Ordering::Relaxed) as u64)
        });
        let weak = Arc::downgrade(&inner);
        gauges.register("standing_names", NAMES_MAX as u64, move || weak.upgrade().map(|inner| lock(&inner.names).len() as u64));
        Self { inner }
    }

    /// The end that the egress feeds.
    pub(crate) fn feed(&self) -> Feed {
        Feed { inner: Arc::clone(&self.inner), pending: Vec::new() }
    }

    /// Asks the machines for what is open, and keeps the views from then on, on the current runtime.
    pub(crate) async fn start(&self, cell: CellHandle) {
        self.inner.cell.store(Some(Arc::new(cell)));
        let receiver = lock(&self.inner.receiver).take();
        let Some(receiver) = receiver else { return };
        self.inner.rebuild_all().await;
        tokio::spawn(keep(Arc::downgrade(&self.inner), receiver));
    }

    /// Lets the cell go; the views stay as they are.
    pub(crate) fn detach(&self) {
        self.inner.cell.store(None);
    }

    /// Where a conversation's contact stands; nothing when it does not wait.
    pub(crate) fn standing(&self, tenant: TenantId, conversation: ConversationId) -> Option<Standing> {
        let at = self.inner.cell.load().as_ref()?.log_time();
        let view = self.inner.view(tenant)?;
        let place = lock(&view).place(conversation, at)?;
        // Quantiles cost microseconds: not under the lock that the keeper waits for.
        let wait = place.observed.interval(place.position);
        Some(Standing { queue: place.queue, position: place.position, waiting: place.waiting, wait, at })
    }

    /// Since when the longest waiting contact of each queue waits, where somebody does.
    pub(crate) fn oldest(&self, tenant: TenantId) -> Vec<(QueueName, Timestamp)> {
        self.inner.view(tenant).map(|view| lock(&view).oldest()).unwrap_or_default()
    }

    /// The seat that serves a conversation.
    pub(crate) fn served_by(&self, tenant: TenantId, conversation: ConversationId) -> Option<SeatId> {
        lock(&*self.inner.view(tenant)?).served_by(conversation)
    }

    /// What to know of a contact beside its offer, as of all outputs handed over before the question.
    pub(crate) async fn context(&self, tenant: TenantId, conversation: ConversationId) -> Option<OfferContext> {
        let sent = self.inner.sent.load(Ordering::Acquire);
        let caught_up = async {
            loop {
                let moved = self.inner.moved.notified();
                if self.inner.applied.load(Ordering::Acquire) >= sent {
                    return;
                }
                moved.await;
            }
        };
        // Late is better than never: an offer must not wait for a view.
        let _late = tokio::time::timeout(CATCH_UP, caught_up).await;
        let asked = lock(&*self.inner.view(tenant)?).asked(conversation)?;
        Some(OfferContext {
            account: asked.account,
            class: asked.class,
            skills: asked.skills.into_iter().filter(|(skill, _)| !skill.is_none()).collect(),
            returned: asked.returned,
            customer: lock(&self.inner.names).of((tenant, conversation)),
        })
    }

    /// Keeps what a customer wants to be called.
    pub(crate) fn introduce(&self, tenant: TenantId, conversation: ConversationId, name: &str) {
        lock(&self.inner.names).keep((tenant, conversation), name);
    }
}

impl Inner {
    fn view(&self, tenant: TenantId) -> Option<Arc<Mutex<View>>> {
        self.views.get(&tenant).map(|view| Arc::clone(view.value()))
    }

    fn view_or_new(&self, tenant: TenantId) -> Arc<Mutex<View>> {
        Arc::clone(self.views.entry(tenant).or_default().value())
    }

    /// Whether the machine must be asked anew.
    fn apply(&self, batch: &Batch) -> bool {
        let view = self.view_or_new(batch.tenant);
        let mut anew = false;
        // One lock a handful of events: a reader never waits for a whole batch.
        for events in batch.events.chunks(16) {
            let mut view = lock(&view);
            let before = view.len();
            for event in events {
                let room = self.contacts.load(Ordering::Relaxed) + view.len() - before < CONTACTS_MAX;
                view.apply(event, room);
                anew |= *event == Event::Anew;
            }
            self.count(before, view.len());
        }
        anew
    }

    fn count(&self, before: usize, after: usize) {
        if after >= before {
            self.contacts.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.contacts.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    async fn rebuild_all(&self) {
        let tenants = self.cell.load_full().map(|cell| cell.status().tenants).unwrap_or_default();
        for tenant in tenants {
            self.rebuild(tenant).await;
        }
    }

    /// Asks a machine for its open contacts. Events that stand in the channel meanwhile are applied after it, and those that
    /// the rows told already are passed over.
    async fn rebuild(&self, tenant: TenantId) {
        let Some((classes, now)) = self.ask(tenant, |machine| (machine.classes(), machine.now())).await else { return };
        let view = self.view_or_new(tenant);
        {
            let mut view = lock(&view);
            let before = view.len();
            view.begin_rebuild(classes, now);
            self.count(before, 0);
        }
        let mut from = Some(0);
        while let Some(slot) = from {
            let Some((rows, next)) = self.ask(tenant, move |machine| machine.open_contacts(slot, SLOTS_A_QUESTION)).await else {
                return;
            };
            for rows in rows.chunks(64) {
                let mut view = lock(&view);
                let before = view.len();
                let room = CONTACTS_MAX.saturating_sub(self.contacts.load(Ordering::Relaxed));
                for row in rows.iter().take(room) {
                    view.rebuild(row, now);
                }
                self.count(before, view.len());
            }
            from = next;
        }
    }

    async fn ask<R: Send + 'static>(
        &self,
        tenant: TenantId,
        question: impl Fn(&tidegate_core::Tenant) -> R + Clone + Send + 'static,
    ) -> Option<R> {
        loop {
            // Taken anew each time, so that nobody here holds a cell that has gone.
            let cell = self.cell.load_full()?;
            let asked = cell.query(tenant, question.clone());
            drop(cell);
            match asked.await {
                Ok(answer) => return Some(answer),
                Err(PortError::Busy { retry_after }) => {
                    tokio::time::sleep(ASK_AGAIN.max(Duration::from_millis(retry_after.0))).await;
                }
                Err(_) => return None,
            }
        }
    }
}

/// The keeper: ends when the last [`Standings`] and [`Feed`] have gone.
async fn keep(inner: Weak<Inner>, mut receiver: mpsc::Receiver<Batch>) {
    while let Some(batch) = receiver.recv().await {
        let Some(inner) = inner.upgrade() else { return };
        let mut taken = 1;
        if inner.lost.swap(false, Ordering::AcqRel) {
            // What stands here has a hole somewhere: thrown away, for the machine knows all of it. What comes while it is
            // asked is newer, or told twice; and if that has a hole, too, the flag is up again.
            while receiver.try_recv().is_ok() {
                taken += 1;
            }
            inner.rebuild_all().await;
        } else if inner.apply(&batch) {
            inner.rebuild(batch.tenant).await;
        }
        inner.applied.fetch_add(taken, Ordering::AcqRel);
        inner.moved.notify_waiters();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::ids::{ContactId, Seq};
    use tidegate_model::output::Item;

    fn comes(id: u64) -> [Output; 2] {
        let item = |n, item| Output::Transcript {
            conversation: ConversationId(u128::from(id)),
            n,
            seq: Seq(id),
            at: Timestamp(id),
            seat: SeatId::NONE,
            item,
        };
        [item(1, Item::Began { contact: ContactId(id) }), item(2, Item::Queued { queue: QueueName::of("q") })]
    }

    #[tokio::test]
    async fn the_feed_never_waits_and_a_hole_in_it_is_known() {
        let gauges = Gauges::new();
        let standings = Standings::new(&gauges);
        let mut feed = standings.feed();
        for id in 1..=10 * BATCHES_MAX as u64 {
            feed.outputs(TenantId(1), &comes(id));
        }
        let reading = gauges.read().into_iter().find(|gauge| gauge.name == "standing_batches").expect("listed");
        assert_eq!((reading.length, reading.limit), (BATCHES_MAX as u64, BATCHES_MAX as u64));
        assert!(standings.inner.lost.load(Ordering::Acquire));
        // The keeper throws away what has a hole; what comes after the rebuild counts.
        let receiver = lock(&standings.inner.receiver).take().expect("not started yet");
        let keeper = tokio::spawn(keep(Arc::downgrade(&standings.inner), receiver));
        while standings.inner.applied.load(Ordering::Acquire) < 10 * BATCHES_MAX as u64 {
            tokio::task::yield_now().await;
        }
        assert!(!standings.inner.lost.load(Ordering::Acquire) && standings.inner.view(TenantId(1)).is_none());
        feed.outputs(TenantId(1), &comes(7));
        let context = standings.context(TenantId(1), ConversationId(7)).await;
        assert!(context.is_some_and(|context| !context.returned), "as of the outputs before the question");
        drop((feed, standings));
        keeper.await.expect("the keeper ends with the last of them");
    }
}
