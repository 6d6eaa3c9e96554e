//! The live half of a seat: carries notices and wakes to the seat's desk, in order, and tells it again what it may have missed.
//!
//! Notices wait in the slot, bounded; one too many throws them all away and asks for a resynchronisation instead: the half
//! reads the seat's snapshot from the cell and sends the difference to what this desk was told, every open offer included.
//! The same happens at a start, at a restart after a fault, and when another desk signs in. So a desk sees each claim
//! assigned and released once, and an open offer at least once (by its id).
//!
//! It refuses to know sockets, leases and decisions. Driven by the dispatcher, by `watch`, and by its nursery.

use super::back::Back;
use super::bell::{Bell, Knock};
use super::nursery::{Family, NurseryRef, Spawned, spawn_half};
use super::told::Told;
use super::{Counters, LiveConfig, RESTED};
use crate::gauge::Gauges;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tidegate_model::ids::{ConversationId, SeatId, TenantId};
use tidegate_model::output::SeatNotice;
use tidegate_model::port::{SeatSink, Watch};

/// Notices that wait for one desk at most; one more and the desk is resynchronised instead.
pub const NOTICES_MAX: usize = 256;
/// Conversations with a wake waiting for one desk at most.
pub const WAKES_MAX: usize = 256;
/// Conversations whose customers' typing waits for one desk at most; more are dropped.
pub const TYPING_MAX: usize = 16;
/// So many panics of a desk's sink, and it is let go.
const STRIKES: u32 = 3;

/// Names a seat's live half.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SeatKey {
    /// The tenant.
    pub tenant: TenantId,
    /// The seat.
    pub seat: SeatId,
}

/// All seats with a desk on this node.
pub(crate) struct Seats {
    slots: DashMap<SeatKey, Arc<Slot>>,
    nursery: NurseryRef<SeatKey>,
    back: Back,
    config: LiveConfig,
    counters: Arc<Counters>,
    gauges: Gauges,
    next_desk: AtomicU64,
    this: Weak<Self>,
}

struct Slot {
    key: SeatKey,
    bell: Bell,
    inbox: Mutex<Inbox>,
    desk: Mutex<Option<Desk>>,
}

#[derive(Default)]
struct Inbox {
    notices: VecDeque<SeatNotice>,
    wakes: Vec<(ConversationId, u32)>,
    typing: Vec<ConversationId>,
    policy_changed: bool,
    resync: bool,
}

#[derive(Clone)]
struct Desk {
    id: u64,
    sink: Arc<dyn SeatSink>,
    told: Arc<Mutex<Told>>,
    strikes: Arc<AtomicU64>,
    /// Set while the sink runs: still set when the next half starts, the sink took its predecessor down.
    busy: Arc<std::sync::atomic::AtomicBool>,
}

impl Seats {
    pub(crate) fn new(back: Back, config: LiveConfig, counters: Arc<Counters>, gauges: Gauges) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            slots: DashMap::new(),
            nursery: NurseryRef::new(),
            back,
            config,
            counters,
            gauges,
            next_desk: AtomicU64::new(1),
            this: this.clone(),
        })
    }

    /// A notice of the machine; dropped when no desk is registered, which will read a snapshot anyway.
    pub(crate) fn notice(&self, key: SeatKey, notice: SeatNotice) {
        let Some(slot) = self.slot(key) else { return };
        {
            let mut inbox = slot.inbox();
            if inbox.notices.len() >= NOTICES_MAX {
                inbox.notices.clear();
                inbox.resync = true;
                self.counters.resyncs.fetch_add(1, Ordering::Relaxed);
            }
            inbox.notices.push_back(notice);
        }
        self.ring(&slot);
    }

    /// A conversation of the seat has items up to `n`.
    pub(crate) fn wake(&self, key: SeatKey, conversation: ConversationId, n: u32) {
        let Some(slot) = self.slot(key) else { return };
        {
            let mut inbox = slot.inbox();
            let full = inbox.wakes.len() >= WAKES_MAX;
            match inbox.wakes.iter_mut().find(|(known, _)| *known == conversation) {
                Some((_, newest)) => *newest = n.max(*newest),
                None if full => {
                    // The resynchronisation wakes every claim's conversation with its newest number.
                    inbox.wakes.clear();
                    inbox.resync = true;
                    self.counters.resyncs.fetch_add(1, Ordering::Relaxed);
                }
                None => inbox.wakes.push((conversation, n)),
            }
        }
        self.ring(&slot);
    }

    /// The customer of a conversation that the seat serves is writing. False when there is no desk, or no room.
    pub(crate) fn typing(&self, key: SeatKey, conversation: ConversationId) -> bool {
        let Some(slot) = self.slot(key) else { return false };
        {
            let mut inbox = slot.inbox();
            if inbox.typing.len() >= TYPING_MAX || inbox.typing.contains(&conversation) {
                return false;
            }
            inbox.typing.push(conversation);
        }
        self.ring(&slot);
        true
    }

    /// Another policy is active: every desk of the tenant is told. O(seats with a desk).
    pub(crate) fn policy_changed(&self, tenant: TenantId) {
        let slots: Vec<_> =
            self.slots.iter().filter(|slot| slot.key().tenant == tenant).map(|slot| Arc::clone(slot.value())).collect();
        for slot in slots {
            slot.inbox().policy_changed = true;
            self.ring(&slot);
        }
    }

    /// Registers the seat's desk; an earlier one is told that it was replaced.
    pub(crate) fn watch(&self, key: SeatKey, sink: Arc<dyn SeatSink>) -> Box<dyn Watch> {
        let id = self.next_desk.fetch_add(1, Ordering::Relaxed);
        let desk = Desk { id, sink, told: Arc::default(), strikes: Arc::default(), busy: Arc::default() };
        // Counted before the entry is held: counting locks every shard, the entry's own included.
        let full = self.slots.len() >= self.config.seats_max;
        let (slot, replaced) = match self.slots.entry(key) {
            Entry::Occupied(slot) => {
                let replaced = slot.get().desk().replace(desk);
                (Arc::clone(slot.get()), replaced)
            }
            Entry::Vacant(_) if full => {
                self.counters.watches_refused.fetch_add(1, Ordering::Relaxed);
                return Box::new(Registration { table: Weak::new(), key, id });
            }
            Entry::Vacant(place) => {
                let slot = Arc::new(Slot::new(key, desk));
                let weak = Arc::downgrade(&slot);
                self.gauges.register("seat_notices", NOTICES_MAX as u64, move || {
                    weak.upgrade().map(|slot| slot.inbox().notices.len() as u64)
                });
                let weak = Arc::downgrade(&slot);
                self.gauges
                    .register("seat_wakes", WAKES_MAX as u64, move || weak.upgrade().map(|slot| slot.inbox().wakes.len() as u64));
                place.insert(Arc::clone(&slot));
                (slot, None)
            }
        };
        if let Some(old) = replaced {
            old.sink.replaced();
        }
        slot.inbox().resync = true;
        self.ring(&slot);
        Box::new(Registration { table: self.this.clone(), key, id })
    }

    /// Seats with a desk, and halves.
    pub(crate) fn census(&self) -> super::Census {
        let mut census = super::Census::default();
        for slot in &self.slots {
            census.slots += 1;
            census.live += u64::from(slot.bell.is_installed());
            census.watchers += u64::from(slot.desk().is_some());
            census.rung += u64::from(slot.bell.is_rung());
        }
        census
    }

    /// Whether the seat has a desk on this node.
    pub(crate) fn has_desk(&self, key: SeatKey) -> bool {
        self.slot(key).is_some_and(|slot| slot.desk().is_some())
    }

    /// Cells of the halves that live now.
    pub(crate) fn cells(&self) -> Vec<ActorCell> {
        self.slots.iter().filter_map(|slot| slot.bell.cell()).collect()
    }

    /// Plants a panic in a half.
    pub(crate) fn fail(&self, key: SeatKey) {
        if let Some(slot) = self.slot(key) {
            slot.bell.tell(Knock::Fail);
        }
    }

    fn slot(&self, key: SeatKey) -> Option<Arc<Slot>> {
        self.slots.get(&key).map(|slot| Arc::clone(slot.value()))
    }

    fn ring(&self, slot: &Slot) {
        slot.bell.ring(|| self.nursery.start(slot.key));
    }

    fn unwatch(&self, key: SeatKey, id: u64) {
        if let Some(slot) = self.slot(key) {
            {
                let mut desk = slot.desk();
                if desk.as_ref().is_some_and(|desk| desk.id == id) {
                    *desk = None;
                }
            }
            self.drop_unused(key);
        }
    }

    fn drop_unused(&self, key: SeatKey) {
        self.slots.remove_if(&key, |_, slot| !slot.bell.is_installed() && slot.desk().is_none());
    }
}

impl Slot {
    fn new(key: SeatKey, desk: Desk) -> Self {
        Self { key, bell: Bell::default(), inbox: Mutex::default(), desk: Mutex::new(Some(desk)) }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn desk(&self) -> MutexGuard<'_, Option<Desk>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over one notice. Noted as told before the sink sees it, so that a sink that panics is not told it twice.
    fn tell(&self, notice: SeatNotice) {
        self.told().note(&notice);
        self.busy.store(true, Ordering::Release);
        self.sink.notice(notice);
        self.busy.store(false, Ordering::Release);
    }

    fn wake(&self, conversation: ConversationId, n: u32) {
        self.guarded(|sink| sink.wake(conversation, n));
    }

    /// A call that is known to be this sink's while it runs.
    fn guarded(&self, call: impl FnOnce(&dyn SeatSink)) {
        self.busy.store(true, Ordering::Release);
        call(&*self.sink);
        self.busy.store(false, Ordering::Release);
    }
}

struct Registration {
    table: Weak<Seats>,
    key: SeatKey,
    id: u64,
}

impl Watch for Registration {}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(table) = self.table.upgrade() {
            table.unwatch(self.key, self.id);
        }
    }
}

/// The actor.
struct SeatHalf {
    table: Weak<Seats>,
    slot: Arc<Slot>,
}

impl SeatHalf {
    async fn look(&self) {
        self.slot.bell.answer();
        let Some(table) = self.table.upgrade() else { return };
        loop {
            let Some(desk) = self.slot.desk().clone() else {
                *self.slot.inbox() = Inbox::default();
                return;
            };
            let resync = {
                let mut inbox = self.slot.inbox();
                if inbox.resync {
                    // Notices from here on are kept: they are newer than the snapshot, or repeat what it says in order.
                    inbox.notices.clear();
                    inbox.wakes.clear();
                    inbox.resync = false;
                    true
                } else {
                    false
                }
            };
            if resync {
                let again = Again(&self.slot);
                let snapshot = table.back.seat(self.slot.key.tenant, self.slot.key.seat).await;
                std::mem::forget(again);
                if let Some(snapshot) = snapshot {
                    let difference = desk.told().difference(&snapshot);
                    for notice in difference {
                        desk.tell(notice);
                    }
                    for claim in &snapshot.claims {
                        desk.wake(claim.conversation, claim.n);
                    }
                }
                continue;
            }
            let Inbox { notices, wakes, typing, policy_changed, .. } = {
                let mut inbox = self.slot.inbox();
                let resync = inbox.resync;
                std::mem::replace(&mut *inbox, Inbox { resync, ..Inbox::default() })
            };
            if notices.is_empty() && wakes.is_empty() && typing.is_empty() && !policy_changed {
                return;
            }
            table.counters.notices.fetch_add(notices.len() as u64, Ordering::Relaxed);
            for notice in notices {
                if desk.told().is_news(&notice) {
                    desk.tell(notice);
                }
            }
            for (conversation, n) in wakes {
                desk.wake(conversation, n);
            }
            if policy_changed {
                desk.guarded(|sink| sink.policy_changed());
            }
            for conversation in typing {
                desk.guarded(|sink| sink.typing(conversation));
            }
        }
    }
}

/// Asks for the resynchronisation again unless forgotten.
struct Again<'s>(&'s Slot);

impl Drop for Again<'_> {
    fn drop(&mut self) {
        self.0.inbox().resync = true;
    }
}

impl Actor for SeatHalf {
    type Msg = Knock;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Knock>, (): ()) -> Result<(), ActorProcessingErr> {
        self.slot.bell.install(myself);
        Ok(())
    }

    async fn post_start(&self, _: ActorRef<Knock>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        {
            let mut desk = self.slot.desk();
            if let Some(at) = desk.as_ref()
                && at.busy.swap(false, Ordering::AcqRel)
                && at.strikes.fetch_add(1, Ordering::Relaxed) + 1 >= u64::from(STRIKES)
            {
                *desk = None;
                if let Some(table) = self.table.upgrade() {
                    table.counters.watchers_dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        self.slot.inbox().resync = true;
        self.look().await;
        Ok(())
    }

    async fn handle(&self, myself: ActorRef<Knock>, knock: Knock, (): &mut ()) -> Result<(), ActorProcessingErr> {
        match knock {
            Knock::Look => self.look().await,
            Knock::Rest => {
                // A seat's half rests only when its desk has gone: there are few of them, and each start asks the cell.
                if self.slot.desk().is_none() && self.slot.bell.rest() {
                    if let Some(table) = self.table.upgrade() {
                        table.drop_unused(self.slot.key);
                    }
                    myself.stop(Some(RESTED.to_owned()));
                }
            }
            Knock::Fail => return Err("planted fault".into()),
        }
        Ok(())
    }
}

impl Family for Seats {
    type Key = SeatKey;
    const NAME: &'static str = "seats";

    async fn spawn(&self, key: SeatKey, supervisor: ActorCell) -> Spawned {
        let Some(slot) = self.slot(key).filter(|slot| !slot.bell.is_live()) else { return Spawned::NotNeeded };
        self.counters.seats_started.fetch_add(1, Ordering::Relaxed);
        spawn_half(SeatHalf { table: self.this.clone(), slot }, (), supervisor).await
    }

    fn wanted(&self, key: SeatKey) -> bool {
        self.slot(key).is_some_and(|slot| slot.desk().is_some())
    }

    fn forget(&self, key: SeatKey) {
        if let Some(slot) = self.slot(key) {
            if slot.bell.clear() && slot.desk().is_some() {
                self.nursery.start(key);
            } else {
                self.drop_unused(key);
            }
        }
    }

    fn installed(&self, key: SeatKey) -> Option<ActorCell> {
        self.slot(key)?.bell.cell()
    }

    fn keys(&self) -> Vec<SeatKey> {
        self.slots.iter().map(|slot| *slot.key()).collect()
    }

    fn sweep(&self) {
        for slot in &self.slots {
            if slot.bell.is_installed() && slot.desk().is_none() {
                slot.bell.tell(Knock::Rest);
            }
        }
    }

    fn nursery(&self) -> &NurseryRef<SeatKey> {
        &self.nursery
    }

    fn restarted(&self) {
        self.counters.restarts.fetch_add(1, Ordering::Relaxed);
    }
}
