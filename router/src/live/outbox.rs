//! The outbox: one live half for each account that calls a provider.
//!
//! It takes `Effect::Deliver` rows, tries them through the account's [`PushChannel`] (so many at once, one a conversation),
//! and brings the results back as `Input::Effects`, many in one entry. What it knows stands in [`Rows`], which outlives it:
//! an attempt that is in flight when the half dies ends by itself and is not repeated, a result that was not logged is
//! logged by the next half. Rows that did not fit are read again from the machine.
//!
//! It refuses to know the provider's protocol and the machine's state. Driven by the dispatcher and by its nursery.

use super::back::Back;
use super::bell::{Bell, Knock};
use super::nursery::{Family, NurseryRef, Spawned, spawn_half};
use super::push::{Delivery, PushAnswer, PushChannel};
use super::rows::{Row, Rows};
use super::{Counters, LiveConfig};
use crate::gauge::Gauges;
use dashmap::DashMap;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tidegate_model::ids::{AccountId, EffectId, TenantId};
use tidegate_model::limits::EFFECT_RESULTS_MAX;
use tidegate_model::output::Effect;
use tidegate_model::time::Timestamp;
use tokio::time::Instant;

/// Names an account's outbox.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OutboxKey {
    /// The tenant.
    pub tenant: TenantId,
    /// The account.
    pub account: AccountId,
}

/// All outboxes of a node.
pub(crate) struct Outboxes {
    slots: DashMap<OutboxKey, Arc<Slot>>,
    nursery: NurseryRef<OutboxKey>,
    back: Back,
    config: LiveConfig,
    counters: Arc<Counters>,
    gauges: Gauges,
    epoch: Instant,
    /// Newest row of each tenant that was open when this node started.
    inherited_up_to: DashMap<TenantId, EffectId>,
    stopped: AtomicBool,
    this: Weak<Self>,
}

struct Slot {
    key: OutboxKey,
    bell: Bell,
    rows: Mutex<Rows>,
    channel: Arc<dyn PushChannel>,
    /// When the earliest timer on its way fires, in milliseconds of the table's epoch.
    armed_ms: AtomicU64,
}

/// What one effect row says, as the dispatcher passes it on.
#[derive(Clone, Copy)]
pub(crate) struct OpenRow {
    pub id: EffectId,
    pub valid_until: Timestamp,
    pub effect: Effect,
}

impl Outboxes {
    pub(crate) fn new(back: Back, config: LiveConfig, counters: Arc<Counters>, gauges: Gauges) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            slots: DashMap::new(),
            nursery: NurseryRef::new(),
            back,
            config,
            counters,
            gauges,
            epoch: Instant::now(),
            inherited_up_to: DashMap::new(),
            stopped: AtomicBool::new(false),
            this: this.clone(),
        })
    }

    /// Registers an account's way out; rows that are open already are read from the machine. The first registration of an
    /// account holds for the life of the node.
    pub(crate) fn register(&self, key: OutboxKey, channel: Arc<dyn PushChannel>) -> bool {
        let mut is_new = false;
        let slot = Arc::clone(&self.slots.entry(key).or_insert_with(|| {
            is_new = true;
            let rows = Mutex::new(Rows::new(channel.promise(), self.config.outbox_rows_max));
            Arc::new(Slot { key, bell: Bell::default(), rows, channel, armed_ms: AtomicU64::new(u64::MAX) })
        }));
        if is_new {
            let weak = Arc::downgrade(&slot);
            let limit = self.config.outbox_rows_max as u64;
            self.gauges.register("outbox_rows", limit, move || weak.upgrade().map(|slot| slot.rows().len() as u64));
            let weak = Arc::downgrade(&slot);
            let limit = self.config.outbox_in_flight_max as u64;
            self.gauges.register("outbox_in_flight", limit, move || weak.upgrade().map(|slot| slot.rows().in_flight() as u64));
            let weak = Arc::downgrade(&slot);
            let limit = self.config.outbox_rows_max as u64;
            self.gauges.register("outbox_results", limit, move || weak.upgrade().map(|slot| slot.rows().results_len() as u64));
        }
        if is_new {
            self.ring(&slot);
        }
        is_new
    }

    /// These rows were open when this node started: whether they were tried before, nobody knows.
    pub(crate) fn inherit(&self, tenant: TenantId, up_to: EffectId) {
        let mut newest = self.inherited_up_to.entry(tenant).or_default();
        *newest = up_to.max(*newest);
    }

    /// A row was opened (or emitted again). Rows of an account without a channel stay open in the machine.
    pub(crate) fn opened(&self, tenant: TenantId, open: OpenRow) {
        let Effect::Deliver { account, conversation, n, seq } = open.effect else { return };
        let Some(slot) = self.slot(OutboxKey { tenant, account }) else {
            self.counters.rows_without_channel.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let row = Row {
            effect: open.id,
            conversation,
            n,
            seq,
            valid_until: open.valid_until,
            attempts: 0,
            inherited: self.inherited_up_to.get(&tenant).is_some_and(|up_to| open.id <= *up_to),
        };
        slot.rows().push(row);
        self.ring(&slot);
    }

    /// A row was closed.
    pub(crate) fn closed(&self, tenant: TenantId, effect: EffectId) {
        for slot in &self.slots {
            if slot.key.tenant == tenant {
                slot.rows().closed(effect);
            }
        }
    }

    /// No further attempt is begun; those under way end, and their results are logged.
    pub(crate) fn stop_attempts(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Rows held over all accounts.
    pub(crate) fn census(&self) -> super::Census {
        let mut census = super::Census::default();
        for slot in &self.slots {
            census.slots += 1;
            census.live += u64::from(slot.bell.is_installed());
            census.rung += u64::from(slot.bell.is_rung());
        }
        census
    }

    /// Whether nothing is in flight and no result waits for the log.
    pub(crate) fn is_quiet(&self) -> bool {
        self.slots.iter().all(|slot| {
            let rows = slot.rows();
            rows.in_flight() == 0 && rows.results_len() == 0
        })
    }

    /// Cells of the halves that live now.
    pub(crate) fn cells(&self) -> Vec<ActorCell> {
        self.slots.iter().filter_map(|slot| slot.bell.cell()).collect()
    }

    fn slot(&self, key: OutboxKey) -> Option<Arc<Slot>> {
        self.slots.get(&key).map(|slot| Arc::clone(slot.value()))
    }

    fn ring(&self, slot: &Slot) {
        slot.bell.ring(|| self.nursery.start(slot.key));
    }
}

impl Slot {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt. Dropped without an answer (a panic of the channel, a runtime that shuts down), it counts as unknown.
struct Attempt {
    table: Weak<Outboxes>,
    slot: Arc<Slot>,
    row: Row,
    answer: PushAnswer,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let Some(table) = self.table.upgrade() else { return };
        self.slot.rows().answered(&self.row, self.answer, table.epoch.elapsed());
        table.ring(&self.slot);
    }
}

/// The actor.
struct OutboxHalf {
    table: Weak<Outboxes>,
    slot: Arc<Slot>,
}

impl OutboxHalf {
    async fn look(&self) {
        self.slot.bell.answer();
        let Some(table) = self.table.upgrade() else { return };
        self.rescan(&table).await;
        self.start_attempts(&table);
        self.log_results(&table).await;
        let due = self.slot.rows().next_due();
        if let Some(due) = due {
            self.ring_at(&table, due);
        }
    }

    /// Rings at `due`, unless an earlier timer is on its way. A timer that outlives this half rings the next one.
    fn ring_at(&self, table: &Arc<Outboxes>, due: Duration) {
        let due_ms = due.as_millis() as u64 + 1;
        if self.slot.armed_ms.fetch_min(due_ms, Ordering::AcqRel) <= due_ms {
            return;
        }
        let pause = due.saturating_sub(table.epoch.elapsed()) + Duration::from_millis(1);
        let (slot, table) = (Arc::clone(&self.slot), self.table.clone());
        drop(tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            // Another timer may have been armed for later in the meantime: it still fires, and finds nothing due.
            slot.armed_ms.store(u64::MAX, Ordering::Release);
            if let Some(table) = table.upgrade() {
                table.ring(&slot);
            }
        }));
    }

    async fn rescan(&self, table: &Arc<Outboxes>) {
        if !self.slot.rows().must_rescan() {
            return;
        }
        for (id, valid_until, effect) in table.back.open_effects(self.slot.key.tenant).await {
            if let Effect::Deliver { account, .. } = effect
                && account == self.slot.key.account
            {
                table.opened(self.slot.key.tenant, OpenRow { id, valid_until, effect });
            }
        }
    }

    fn start_attempts(&self, table: &Arc<Outboxes>) {
        if table.stopped.load(Ordering::Acquire) {
            return;
        }
        let log_time = table.back.log_time();
        loop {
            let row = {
                let mut rows = self.slot.rows();
                if rows.in_flight() >= table.config.outbox_in_flight_max {
                    return;
                }
                rows.next(table.epoch.elapsed(), log_time)
            };
            let Some(row) = row else { return };
            table.counters.attempts.fetch_add(1, Ordering::Relaxed);
            let attempt = Attempt { table: self.table.clone(), slot: Arc::clone(&self.slot), row, answer: PushAnswer::Unknown };
            drop(tokio::spawn(try_once(attempt, table.back.clone(), table.config.outbox_patience)));
        }
    }

    async fn log_results(&self, table: &Arc<Outboxes>) {
        loop {
            let results = self.slot.rows().results(EFFECT_RESULTS_MAX);
            if results.is_empty() {
                return;
            }
            if !table.back.log_results(self.slot.key.tenant, &results).await {
                // The log is full, draining or failed: the rows stay open, and a later look tries again.
                self.ring_at(table, table.epoch.elapsed() + super::rows::PAUSE_FIRST);
                return;
            }
            self.slot.rows().logged(&results);
            table.counters.results_logged.fetch_add(results.len() as u64, Ordering::Relaxed);
        }
    }
}

async fn try_once(mut attempt: Attempt, back: Back, patience: Duration) {
    let key = attempt.slot.key;
    let row = attempt.row;
    let Some(item) = back.item(key.tenant, row.conversation, row.n).await else {
        // The body cannot be read now (the cell is stopping, or the log is damaged there): nothing was sent.
        attempt.answer = PushAnswer::Later { after: tidegate_model::time::Millis(0) };
        return;
    };
    let delivery = Delivery {
        tenant: key.tenant,
        account: key.account,
        conversation: row.conversation,
        effect: row.effect,
        n: row.n,
        item: item.item,
        body: item.body,
        attempt: row.attempts,
        valid_until: row.valid_until,
    };
    let deliver = attempt.slot.channel.deliver(delivery);
    attempt.answer = tokio::time::timeout(patience, deliver).await.unwrap_or(PushAnswer::Unknown);
}

impl Actor for OutboxHalf {
    type Msg = Knock;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Knock>, (): ()) -> Result<(), ActorProcessingErr> {
        self.slot.bell.install(myself);
        Ok(())
    }

    async fn post_start(&self, _: ActorRef<Knock>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        self.look().await;
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Knock>, knock: Knock, (): &mut ()) -> Result<(), ActorProcessingErr> {
        match knock {
            Knock::Look => self.look().await,
            Knock::Rest => {}
            Knock::Fail => return Err("planted fault".into()),
        }
        Ok(())
    }
}

impl Family for Outboxes {
    type Key = OutboxKey;
    const NAME: &'static str = "outbox";

    async fn spawn(&self, key: OutboxKey, supervisor: ActorCell) -> Spawned {
        let Some(slot) = self.slot(key).filter(|slot| !slot.bell.is_live()) else { return Spawned::NotNeeded };
        spawn_half(OutboxHalf { table: self.this.clone(), slot }, (), supervisor).await
    }

    fn wanted(&self, key: OutboxKey) -> bool {
        self.slot(key).is_some_and(|slot| slot.bell.is_rung() || slot.bell.is_installed())
    }

    fn forget(&self, key: OutboxKey) {
        if let Some(slot) = self.slot(key)
            && slot.bell.clear()
        {
            self.nursery.start(key);
        }
    }

    fn installed(&self, key: OutboxKey) -> Option<ActorCell> {
        self.slot(key)?.bell.cell()
    }

    fn keys(&self) -> Vec<OutboxKey> {
        self.slots.iter().map(|slot| *slot.key()).collect()
    }

    fn sweep(&self) {}

    fn nursery(&self) -> &NurseryRef<OutboxKey> {
        &self.nursery
    }

    fn restarted(&self) {
        self.counters.restarts.fetch_add(1, Ordering::Relaxed);
    }
}
