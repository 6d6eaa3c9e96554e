//! The live halves: ractor actors under supervision that speak to the world for conversations, seats and accounts.
//!
//! ```text
//! warden ─ root ┬ nursery of conversations ── one half a conversation that has something to tell its connections
//!               ├ nursery of seats ────────── one half a seat with a desk on this node
//!               └ nursery of outboxes ─────── one half an account that calls a provider
//! ```
//!
//! None stands between commit and apply: [`Live::sink`] takes the cell's outputs, writes them into slots and rings bells,
//! without waiting. Slots are bounded and outlive their actors, so that a crash loses nothing: the next half reads its slot,
//! asks the cell for what it cannot know, and tells it again. It refuses to know how anything is decided, stored or sent.
//!
//! Drive it: [`Live::new`], give [`Live::sink`] to the cell, then [`Live::start`] with the cell's handle.

mod back;
mod bell;
mod conversation;
mod dispatch;
mod nursery;
mod outbox;
mod push;
mod root;
mod rows;
mod seat;
mod told;
mod typing;

pub use conversation::{Census, ConversationKey, Party, SIGNAL_SPAN_MAX, SIGNALS_MAX, WATCHERS_MAX};
pub use dispatch::{ContactCounts, Dispatcher};
pub use outbox::OutboxKey;
pub use push::{Delivery, Promise, PushAnswer, PushChannel};
pub use seat::{NOTICES_MAX, SeatKey, WAKES_MAX};
pub use typing::{TYPING_EVERY, TYPISTS_MAX};

use crate::cell::CellHandle;
use crate::gauge::Gauges;
use crate::standing::Standings;
use crate::tally::Tallies;
use back::Back;
use conversation::Conversations;
use nursery::Family;
use outbox::Outboxes;
use root::{Tree, Warden};
use seat::Seats;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tidegate_model::ids::{ConversationId, SeatId, TenantId};
use tidegate_model::name::QueueName;
use tidegate_model::port::{Egress, OfferContext, SeatSink, Standing, Watch};
use tidegate_model::time::Timestamp;
use typing::{Direction, Limiter};

/// How long one sign of typing holds.
const TYPING_SHOWN: Duration = Duration::from_secs(5);

/// Why a half ended when it went to rest; any other end is a fault.
pub(crate) const RESTED: &str = "rested";

/// How the live halves behave. None of it reaches a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveConfig {
    /// A conversation's half goes to rest after so long without anything to tell; its connections stay registered.
    pub idle_after: Duration,
    /// Conversations with a connection at most; further connections are not woken and must poll.
    pub conversations_max: usize,
    /// Seats with a desk on this node at most.
    pub seats_max: usize,
    /// Rows that one account's outbox holds in memory; the machine keeps the others until there is room.
    pub outbox_rows_max: usize,
    /// Attempts of one account in flight at once.
    pub outbox_in_flight_max: usize,
    /// How long a provider may take for one answer.
    pub outbox_patience: Duration,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self {
            idle_after: Duration::from_secs(30),
            conversations_max: 1 << 20,
            seats_max: 1 << 17,
            outbox_rows_max: 1 << 16,
            outbox_in_flight_max: 64,
            outbox_patience: Duration::from_secs(10),
        }
    }
}

impl LiveConfig {
    fn sweep_every(&self) -> Duration {
        (self.idle_after / 4).max(Duration::from_millis(10))
    }
}

/// Counters since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub conversations_started: AtomicU64,
    pub seats_started: AtomicU64,
    pub rested: AtomicU64,
    pub restarts: AtomicU64,
    pub nursery_restarts: AtomicU64,
    pub root_restarts: AtomicU64,
    pub wakes: AtomicU64,
    pub notices: AtomicU64,
    pub resyncs: AtomicU64,
    pub watches_refused: AtomicU64,
    pub watchers_dropped: AtomicU64,
    pub attempts: AtomicU64,
    pub results_logged: AtomicU64,
    pub rows_without_channel: AtomicU64,
}

/// What the live halves have done and hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LiveStatus {
    /// Conversations with a connection or a half.
    pub conversations: Census,
    /// Seats with a desk or a half.
    pub seats: Census,
    /// Outboxes.
    pub outboxes: Census,
    /// Conversation halves started.
    pub conversations_started: u64,
    /// Seat halves started.
    pub seats_started: u64,
    /// Halves that went to rest.
    pub rested: u64,
    /// Halves started again after a fault.
    pub restarts: u64,
    /// Nurseries started again.
    pub nursery_restarts: u64,
    /// Whole trees started again.
    pub root_restarts: u64,
    /// Looks that woke connections.
    pub wakes: u64,
    /// Notices told to desks.
    pub notices: u64,
    /// Desks that had to be resynchronised because they were too slow.
    pub resyncs: u64,
    /// Registrations refused because a table was full.
    pub watches_refused: u64,
    /// Connections and desks let go because they panicked.
    pub watchers_dropped: u64,
    /// Attempts at providers.
    pub attempts: u64,
    /// Results brought into the log.
    pub results_logged: u64,
    /// Rows of accounts without a registered channel.
    pub rows_without_channel: u64,
}

/// Whom a test or a drill ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// Every conversation's half.
    Conversations,
    /// Every seat's half.
    Seats,
    /// Every outbox's half.
    Outboxes,
    /// The nursery of conversations.
    ConversationNursery,
    /// The nursery of seats.
    SeatNursery,
    /// The nursery of outboxes.
    OutboxNursery,
    /// The root.
    Root,
}

/// The live halves of one node. Cheap to clone.
#[derive(Clone)]
pub struct Live {
    inner: Arc<Inner>,
}

struct Inner {
    tree: Tree,
    back: Back,
    dispatch: Arc<dispatch::Shared>,
    standings: Standings,
    tallies: Tallies,
    typing: Limiter,
    warden: tokio::sync::OnceCell<Warden>,
}

/// Why the live halves could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The root actor did not start.
    #[error("the supervision tree of the live halves could not be started")]
    Tree(#[source] Box<ractor::SpawnErr>),
}

impl Live {
    /// The tables, without actors yet; every queue is registered in `gauges`.
    pub fn new(config: LiveConfig, gauges: &Gauges) -> Self {
        let back = Back::default();
        let counters = Arc::<Counters>::default();
        let conversations = Conversations::new(back.clone(), config.clone(), Arc::clone(&counters));
        let seats = Seats::new(back.clone(), config.clone(), Arc::clone(&counters), gauges.clone());
        let outboxes = Outboxes::new(back.clone(), config.clone(), Arc::clone(&counters), gauges.clone());
        let table = Arc::downgrade(&conversations);
        gauges.register("conversation_wakes", config.conversations_max as u64, move || table.upgrade().map(|table| table.rung()));
        for (name, limit, starts) in [
            ("conversation_starts", config.conversations_max, conversations.nursery().starts()),
            ("seat_starts", config.seats_max, seats.nursery().starts()),
            ("outbox_starts", crate::cell::TENANTS_MAX, outboxes.nursery().starts()),
        ] {
            gauges.register(name, limit as u64, move || Some(starts.load(Ordering::Relaxed)));
        }
        let dispatch = Arc::new(dispatch::Shared::default());
        let tree = Tree { conversations, seats, outboxes, config, counters };
        let (standings, typing) = (Standings::new(gauges), Limiter::new(gauges));
        let tallies = Tallies::new(gauges);
        let warden = tokio::sync::OnceCell::new();
        Self { inner: Arc::new(Inner { tree, back, dispatch, standings, tallies, typing, warden }) }
    }

    /// What the cell hands its outputs to.
    pub fn sink(&self) -> Dispatcher {
        let inner = &self.inner;
        Dispatcher::new(inner.tree.clone(), Arc::clone(&inner.dispatch), inner.standings.feed(), inner.tallies.feed())
    }

    /// Starts the actors on the current runtime; what came in before is looked at now.
    ///
    /// # Errors
    /// [`LiveError`] when the root did not start.
    pub async fn start(&self, cell: CellHandle) -> Result<(), LiveError> {
        self.inner.back.attach(cell.clone());
        self.inner.standings.start(cell).await;
        let tree = self.inner.tree.clone();
        self.inner.warden.get_or_try_init(|| Warden::start(tree)).await.map_err(|error| LiveError::Tree(Box::new(error)))?;
        Ok(())
    }

    /// What was counted of contacts and wrap-ups since the start.
    pub(crate) fn tallies(&self) -> &Tallies {
        &self.inner.tallies
    }

    /// Since when the longest waiting contact of each queue waits, where somebody does.
    pub(crate) fn oldest(&self, tenant: TenantId) -> Vec<(QueueName, Timestamp)> {
        self.inner.standings.oldest(tenant)
    }

    /// Registers a customer's connection.
    pub fn watch(&self, tenant: TenantId, conversation: ConversationId, egress: Arc<dyn Egress>) -> Box<dyn Watch> {
        self.inner.tree.conversations.watch(ConversationKey { tenant, conversation }, egress)
    }

    /// Registers a seat's desk; an earlier one is told that it was replaced.
    pub fn watch_seat(&self, tenant: TenantId, seat: SeatId, sink: Arc<dyn SeatSink>) -> Box<dyn Watch> {
        self.inner.tree.seats.watch(SeatKey { tenant, seat }, sink)
    }

    /// Whether a desk of the seat is registered here.
    pub fn has_desk(&self, tenant: TenantId, seat: SeatId) -> bool {
        self.inner.tree.seats.has_desk(SeatKey { tenant, seat })
    }

    /// Notes that a party types in a conversation; see [`SIGNAL_SPAN_MAX`]. False when nobody watches.
    pub fn signal(&self, key: ConversationKey, party: Party, span: Duration) -> bool {
        self.inner.tree.conversations.signal(key, party, span)
    }

    /// Parties that type now.
    pub fn signals(&self, key: ConversationKey) -> Vec<Party> {
        self.inner.tree.conversations.signals(key)
    }

    /// Where a conversation's contact stands in its queue; nothing when it does not wait. See [`crate::standing`].
    pub fn standing(&self, tenant: TenantId, conversation: ConversationId) -> Option<Standing> {
        self.inner.standings.standing(tenant, conversation)
    }

    /// What to know of a contact beside its offer.
    pub fn context(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> impl Future<Output = Option<OfferContext>> + Send + 'static {
        let standings = self.inner.standings.clone();
        async move { standings.context(tenant, conversation).await }
    }

    /// Keeps what a customer wants to be called, in memory only.
    pub fn introduce(&self, tenant: TenantId, conversation: ConversationId, name: &str) {
        self.inner.standings.introduce(tenant, conversation, name);
    }

    /// The customer is writing: told to the desk that serves the conversation. False when it went nowhere.
    pub fn customer_types(&self, tenant: TenantId, conversation: ConversationId) -> bool {
        let key = ConversationKey { tenant, conversation };
        let Some(seat) = self.inner.standings.served_by(tenant, conversation) else { return false };
        self.inner.typing.admits(key, Direction::ToDesk) && self.inner.tree.seats.typing(SeatKey { tenant, seat }, conversation)
    }

    /// The agent is writing: told to the conversation's connections, when the seat serves it. False when it went nowhere.
    pub fn agent_types(&self, tenant: TenantId, seat: SeatId, conversation: ConversationId) -> bool {
        let key = ConversationKey { tenant, conversation };
        self.inner.standings.served_by(tenant, conversation) == Some(seat)
            && self.inner.typing.admits(key, Direction::ToCustomer)
            && self.signal(key, Party::Seat(seat), TYPING_SHOWN)
    }

    /// Registers an account's way to its provider, before the cell starts. False when the account has one.
    pub fn register_push(&self, key: OutboxKey, channel: Arc<dyn PushChannel>) -> bool {
        self.inner.tree.outboxes.register(key, channel)
    }

    /// Counters and censuses.
    pub fn status(&self) -> LiveStatus {
        let tree = &self.inner.tree;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let c = &tree.counters;
        LiveStatus {
            conversations: tree.conversations.census(),
            seats: tree.seats.census(),
            outboxes: tree.outboxes.census(),
            conversations_started: read(&c.conversations_started),
            seats_started: read(&c.seats_started),
            rested: read(&c.rested),
            restarts: read(&c.restarts),
            nursery_restarts: read(&c.nursery_restarts),
            root_restarts: read(&c.root_restarts),
            wakes: read(&c.wakes),
            notices: read(&c.notices),
            resyncs: read(&c.resyncs),
            watches_refused: read(&c.watches_refused),
            watchers_dropped: read(&c.watchers_dropped),
            attempts: read(&c.attempts),
            results_logged: read(&c.results_logged),
            rows_without_channel: read(&c.rows_without_channel),
        }
    }

    /// Contacts by exit, decisions and poisoned inputs, by tenant, since the start.
    pub fn contacts(&self) -> Vec<(TenantId, ContactCounts)> {
        self.inner.dispatch.contacts()
    }

    /// Hash of the policy's text that a tenant runs, when an entry of this start activated one.
    pub fn policy(&self, tenant: TenantId) -> Option<[u8; 32]> {
        self.inner.dispatch.policy(tenant)
    }

    /// No further attempt at a provider is begun: the node drains.
    pub fn stop_attempts(&self) {
        self.inner.tree.outboxes.stop_attempts();
    }

    /// Whether no attempt is in flight and no result waits for the log.
    pub fn is_quiet(&self) -> bool {
        self.inner.tree.outboxes.is_quiet()
    }

    /// Kills actors: tests and drills. How many were told.
    pub fn kill(&self, victim: Victim, mut choose: impl FnMut(usize) -> bool) -> usize {
        let tree = &self.inner.tree;
        let cells: Vec<_> = match victim {
            Victim::Conversations => tree.conversations.cells(),
            Victim::Seats => tree.seats.cells(),
            Victim::Outboxes => tree.outboxes.cells(),
            Victim::ConversationNursery => tree.conversations.nursery().cell().into_iter().collect(),
            Victim::SeatNursery => tree.seats.nursery().cell().into_iter().collect(),
            Victim::OutboxNursery => tree.outboxes.nursery().cell().into_iter().collect(),
            Victim::Root => self.inner.warden.get().and_then(Warden::root).into_iter().collect(),
        };
        let mut told = 0;
        for (at, cell) in cells.into_iter().enumerate() {
            if choose(at) {
                cell.kill();
                told += 1;
            }
        }
        told
    }

    /// Plants a fault in a conversation's half: it fails at its next message.
    pub fn fail_conversation(&self, key: ConversationKey) {
        self.inner.tree.conversations.fail(key);
    }

    /// Plants a fault in a seat's half.
    pub fn fail_seat(&self, key: SeatKey) {
        self.inner.tree.seats.fail(key);
    }

    /// Lets go of the cell and tells the tree to end, without waiting: for a node that was dropped instead of drained.
    pub fn close(&self) {
        self.inner.back.detach();
        self.inner.standings.detach();
        if let Some(warden) = self.inner.warden.get() {
            warden.close();
        }
    }

    /// Ends all actors. Registered connections are not told: their listener closes them.
    pub async fn stop(&self) {
        if let Some(warden) = self.inner.warden.get() {
            warden.stop().await;
        }
        // Nurseries end with the root, each in its own time; what they hold is free only then.
        let tree = &self.inner.tree;
        let nurseries = [tree.conversations.nursery().cell(), tree.seats.nursery().cell(), tree.outboxes.nursery().cell()];
        for nursery in nurseries.into_iter().flatten() {
            drop(nursery.kill_and_wait(None).await);
        }
    }
}
