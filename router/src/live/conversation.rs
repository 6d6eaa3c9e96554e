//! The live half of a conversation: wakes the connections that watch it and holds its passing signals (typing).
//!
//! Connections stay registered in the slot, not in the actor: an idle conversation's actor goes to rest (passivation) with
//! its watchers in place, the next event starts it again, and a crash loses nothing. A wake carries the newest number and
//! nothing else, so any number of events between two looks costs one wake. Signals are ephemeral by contract: bounded,
//! expiring by themselves, never logged.
//!
//! It refuses to know bodies, sockets and decisions. Driven by [`Conversations::wake`] (the dispatcher), by `watch` and
//! `signal` (channels), and by its nursery.

use super::back::Back;
use super::bell::{Bell, Knock};
use super::nursery::{Family, NurseryRef, Spawned, spawn_half};
use super::{Counters, LiveConfig, RESTED};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tidegate_model::ids::{ConversationId, SeatId, TenantId};
use tidegate_model::port::{Egress, Watch};
use tokio::time::Instant;

/// Connections that may watch one conversation at once.
pub const WATCHERS_MAX: usize = 64;
/// Parties whose signals are held at once.
pub const SIGNALS_MAX: usize = 8;
/// Longest a signal holds.
pub const SIGNAL_SPAN_MAX: Duration = Duration::from_secs(30);

/// Names a conversation's live half.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConversationKey {
    /// The tenant.
    pub tenant: TenantId,
    /// The conversation.
    pub conversation: ConversationId,
}

/// Who gives a signal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Party {
    /// The customer.
    Customer,
    /// A seat.
    Seat(SeatId),
}

/// All slots of one node, with their nursery's address.
pub(crate) struct Conversations {
    slots: DashMap<ConversationKey, Arc<Slot>>,
    nursery: NurseryRef<ConversationKey>,
    back: Back,
    config: LiveConfig,
    counters: Arc<Counters>,
    epoch: Instant,
    next_watcher: AtomicU64,
    this: Weak<Self>,
}

/// What outlives the actor.
struct Slot {
    key: ConversationKey,
    bell: Bell,
    /// Newest number that exists, as far as was heard.
    newest: AtomicU32,
    /// Milliseconds since the table's epoch of the last look.
    looked_at: AtomicU64,
    /// The watcher being woken: found here by the next half, it is the one that took its predecessor down.
    waking: AtomicU64,
    watchers: Mutex<Vec<Watcher>>,
    signals: Mutex<Vec<(Party, Instant)>>,
    /// A seat whose typing the connections have not been told yet; 0 for none.
    typing: AtomicU64,
}

#[derive(Clone)]
struct Watcher {
    id: u64,
    egress: Arc<dyn Egress>,
}

impl Conversations {
    pub(crate) fn new(back: Back, config: LiveConfig, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            slots: DashMap::new(),
            nursery: NurseryRef::new(),
            back,
            config,
            counters,
            epoch: Instant::now(),
            next_watcher: AtomicU64::new(1),
            this: this.clone(),
        })
    }

    /// Items up to `n` exist. Without a connection there is nobody to tell, and no half is started for it.
    pub(crate) fn wake(&self, key: ConversationKey, n: u32) {
        let Some(slot) = self.slot(key) else { return };
        slot.newest.fetch_max(n, Ordering::AcqRel);
        self.ring(&slot);
    }

    /// Registers a connection; it is woken at once when items exist, and for every later one.
    pub(crate) fn watch(&self, key: ConversationKey, egress: Arc<dyn Egress>) -> Box<dyn Watch> {
        let id = self.next_watcher.fetch_add(1, Ordering::Relaxed);
        // Counted before the entry is taken: counting locks every shard, the entry's own included.
        let full = self.slots.len() >= self.config.conversations_max;
        // The connection is put in while the table's shard is held: a slot is only dropped under the same lock, when empty.
        let slot = match self.slots.entry(key) {
            Entry::Occupied(slot) => slot.get().admit(Watcher { id, egress: Arc::clone(&egress) }).then(|| Arc::clone(slot.get())),
            Entry::Vacant(_) if full => None,
            Entry::Vacant(place) => {
                let slot = Arc::new(Slot::new(key));
                slot.admit(Watcher { id, egress: Arc::clone(&egress) });
                place.insert(Arc::clone(&slot));
                Some(slot)
            }
        };
        let Some(slot) = slot else {
            self.counters.watches_refused.fetch_add(1, Ordering::Relaxed);
            return Box::new(Registration { table: Weak::new(), key, id });
        };
        // Registered first and asked then: an item that the index does not have yet will ring. The newcomer is told on its own
        // thread, so that an idle connection costs no actor.
        let head = self.back.head(key.tenant, key.conversation);
        let newest = slot.newest.fetch_max(head, Ordering::AcqRel).max(head);
        if newest > 0 {
            egress.wake(key.conversation, newest);
        }
        Box::new(Registration { table: self.this.clone(), key, id })
    }

    /// Notes that a party types, for at most [`SIGNAL_SPAN_MAX`]. False when nobody watches or too many parties type.
    pub(crate) fn signal(&self, key: ConversationKey, party: Party, span: Duration) -> bool {
        let Some(slot) = self.slot(key) else { return false };
        let now = Instant::now();
        let until = now + span.min(SIGNAL_SPAN_MAX);
        {
            let mut signals = slot.signals();
            signals.retain(|(other, end)| *other != party && *end > now);
            if signals.len() >= SIGNALS_MAX {
                return false;
            }
            signals.push((party, until));
        }
        if let Party::Seat(seat) = party {
            slot.typing.store(seat.0, Ordering::Release);
        }
        self.ring(&slot);
        true
    }

    /// Parties that type now.
    pub(crate) fn signals(&self, key: ConversationKey) -> Vec<Party> {
        let Some(slot) = self.slot(key) else { return Vec::new() };
        let now = Instant::now();
        let signals = slot.signals();
        signals.iter().filter(|(_, end)| *end > now).map(|(party, _)| *party).collect()
    }

    /// Slots, actors, connections, and bells that are rung.
    pub(crate) fn census(&self) -> Census {
        let mut census = Census::default();
        for slot in &self.slots {
            census.slots += 1;
            census.live += u64::from(slot.bell.is_installed());
            census.watchers += slot.watchers().len() as u64;
            census.rung += u64::from(slot.bell.is_rung());
        }
        census
    }

    /// Rung bells: the conversations whose half must look.
    pub(crate) fn rung(&self) -> u64 {
        self.slots.iter().filter(|slot| slot.bell.is_rung()).count() as u64
    }

    /// Cells of the halves that live now.
    pub(crate) fn cells(&self) -> Vec<ActorCell> {
        self.slots.iter().filter_map(|slot| slot.bell.cell()).collect()
    }

    /// Plants a panic in a half.
    pub(crate) fn fail(&self, key: ConversationKey) {
        if let Some(slot) = self.slot(key) {
            slot.bell.tell(Knock::Fail);
        }
    }

    fn slot(&self, key: ConversationKey) -> Option<Arc<Slot>> {
        self.slots.get(&key).map(|slot| Arc::clone(slot.value()))
    }

    fn ring(&self, slot: &Slot) {
        slot.bell.ring(|| self.nursery.start(slot.key));
    }

    fn unwatch(&self, key: ConversationKey, id: u64) {
        if let Some(slot) = self.slot(key) {
            slot.watchers().retain(|watcher| watcher.id != id);
            self.drop_unused(key);
        }
    }

    fn drop_unused(&self, key: ConversationKey) {
        self.slots.remove_if(&key, |_, slot| !slot.bell.is_installed() && slot.watchers().is_empty());
    }

    fn now_ms(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }
}

/// Counts of one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Slots: conversations with a connection or a half.
    pub slots: u64,
    /// Halves (actors).
    pub live: u64,
    /// Registered connections.
    pub watchers: u64,
    /// Bells rung and not yet answered.
    pub rung: u64,
}

impl Slot {
    fn new(key: ConversationKey) -> Self {
        Self {
            key,
            bell: Bell::default(),
            newest: AtomicU32::new(0),
            looked_at: AtomicU64::new(0),
            waking: AtomicU64::new(0),
            watchers: Mutex::new(Vec::new()),
            signals: Mutex::new(Vec::new()),
            typing: AtomicU64::new(0),
        }
    }

    fn admit(&self, watcher: Watcher) -> bool {
        let mut watchers = self.watchers();
        let room = watchers.len() < WATCHERS_MAX;
        if room {
            watchers.push(watcher);
        }
        room
    }

    fn watchers(&self) -> MutexGuard<'_, Vec<Watcher>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signals(&self) -> MutexGuard<'_, Vec<(Party, Instant)>> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Registration {
    table: Weak<Conversations>,
    key: ConversationKey,
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
struct ConversationHalf {
    table: Weak<Conversations>,
    slot: Arc<Slot>,
}

impl ConversationHalf {
    /// Looks at the slot and tells every connection how far the conversation goes.
    fn look(&self) {
        self.slot.bell.answer();
        let Some(table) = self.table.upgrade() else { return };
        let n = self.slot.newest.load(Ordering::Acquire);
        self.slot.looked_at.store(table.now_ms(), Ordering::Relaxed);
        if n == 0 {
            return;
        }
        let typing = self.slot.typing.swap(0, Ordering::AcqRel);
        let watchers = self.slot.watchers().clone();
        for watcher in watchers {
            self.slot.waking.store(watcher.id, Ordering::Release);
            watcher.egress.wake(self.slot.key.conversation, n);
            if typing != 0 {
                watcher.egress.typing(self.slot.key.conversation, SeatId(typing));
            }
        }
        self.slot.waking.store(0, Ordering::Release);
        table.counters.wakes.fetch_add(1, Ordering::Relaxed);
    }
}

impl Actor for ConversationHalf {
    type Msg = Knock;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Knock>, (): ()) -> Result<(), ActorProcessingErr> {
        self.slot.bell.install(myself);
        Ok(())
    }

    async fn post_start(&self, _: ActorRef<Knock>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        if let Some(table) = self.table.upgrade() {
            // What a predecessor may have missed is asked for again.
            let head = table.back.head(self.slot.key.tenant, self.slot.key.conversation);
            self.slot.newest.fetch_max(head, Ordering::AcqRel);
        }
        let guilty = self.slot.waking.swap(0, Ordering::AcqRel);
        if guilty != 0 {
            // Its fault is its own: the connection that panicked when woken is let go, the others are served.
            self.slot.watchers().retain(|watcher| watcher.id != guilty);
            if let Some(table) = self.table.upgrade() {
                table.counters.watchers_dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.look();
        Ok(())
    }

    async fn handle(&self, myself: ActorRef<Knock>, knock: Knock, (): &mut ()) -> Result<(), ActorProcessingErr> {
        match knock {
            Knock::Look => {
                self.look();
                Ok(())
            }
            Knock::Rest => {
                if self.slot.bell.rest() {
                    if let Some(table) = self.table.upgrade() {
                        table.counters.rested.fetch_add(1, Ordering::Relaxed);
                        table.drop_unused(self.slot.key);
                    }
                    myself.stop(Some(RESTED.to_owned()));
                }
                Ok(())
            }
            Knock::Fail => Err("planted fault".into()),
        }
    }
}

impl Family for Conversations {
    type Key = ConversationKey;
    const NAME: &'static str = "conversations";

    async fn spawn(&self, key: ConversationKey, supervisor: ActorCell) -> Spawned {
        let Some(slot) = self.slot(key).filter(|slot| !slot.bell.is_live()) else { return Spawned::NotNeeded };
        self.counters.conversations_started.fetch_add(1, Ordering::Relaxed);
        spawn_half(ConversationHalf { table: self.this.clone(), slot }, (), supervisor).await
    }

    fn wanted(&self, key: ConversationKey) -> bool {
        self.slot(key).is_some_and(|slot| slot.bell.is_rung() || !slot.watchers().is_empty())
    }

    fn forget(&self, key: ConversationKey) {
        if let Some(slot) = self.slot(key) {
            if slot.bell.clear() {
                self.nursery.start(key);
            } else {
                self.drop_unused(key);
            }
        }
    }

    fn installed(&self, key: ConversationKey) -> Option<ActorCell> {
        self.slot(key)?.bell.cell()
    }

    fn keys(&self) -> Vec<ConversationKey> {
        self.slots.iter().map(|slot| *slot.key()).collect()
    }

    fn sweep(&self) {
        let now = self.now_ms();
        let idle_ms = self.config.idle_after.as_millis() as u64;
        let mut unused = Vec::new();
        for slot in &self.slots {
            if !slot.bell.is_installed() {
                if slot.watchers().is_empty() {
                    unused.push(slot.key);
                }
            } else if now.saturating_sub(slot.looked_at.load(Ordering::Relaxed)) >= idle_ms {
                slot.bell.tell(Knock::Rest);
            }
        }
        for key in unused {
            self.drop_unused(key);
        }
    }

    fn nursery(&self) -> &NurseryRef<ConversationKey> {
        &self.nursery
    }

    fn restarted(&self) {
        self.counters.restarts.fetch_add(1, Ordering::Relaxed);
    }
}
