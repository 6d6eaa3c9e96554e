//! A real node in memory or on a real disk, desks that behave like people at desks, and customers that keep their history.
//!
//! Shared by the tests of live halves and of the HTTP API. Nothing here is a mock: desks and customers stand where channels
//! stand, behind the same ports. `TIDEGATE_SEED` replays the dice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidegate_model::ids::{
    AccountId, ClaimId, CommandId, ContactId, ConversationId, CustomerId, EventId, OfferId, SeatId, TenantId,
};
use tidegate_model::input::{ContactRequest, FirstOwner, Inbound, InboundAct, SeatAct, SeatInput};
use tidegate_model::limits::Limits;
use tidegate_model::name::{Level, ReasonName};
use tidegate_model::output::{Outcome, SeatNotice};
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery, Requirement};
use tidegate_model::port::{Egress, Ingress, PortError, SeatPort, SeatSink, Watch};
use tidegate_router::cell::{CellConfig, MemoryLog};
use tidegate_router::live::LiveConfig;
use tidegate_router::node::{Node, NodeConfig, NodeHandle, PolicyText, TenantConfig};
use tokio::sync::Notify;

pub const WEB: AccountId = AccountId(1);
pub const PUSHED: AccountId = AccountId(2);
pub const TENANT: TenantId = TenantId(1);

pub const POLICY: &str = r#"
name = "shop"
selection = "longest-idle"
default_queue = "sales"
default_class = "regular"
skills = ["sales"]

[[class]]
name = "regular"

[[queue]]
name = "sales"
offer_timeout = "300s"
wrap_up = "60s"
overdue_after = "10min"
  [[queue.step]]
  name = "anyone"
  requires = { sales = 1 }
"#;

pub fn tenant(id: u32, seats: u64, units: u16) -> TenantConfig {
    let account = |name: &str, delivery| AccountProfile { name: name.to_owned(), delivery, weight: 1, queue: String::new() };
    TenantConfig {
        id: TenantId(id),
        limits: Limits::SMALL,
        accounts: vec![(WEB, account("web", Delivery::View)), (PUSHED, account("pushed", Delivery::Push))],
        policy: Some(PolicyText { file: "policy.toml".to_owned(), text: POLICY.to_owned() }),
        agents: (1..=seats)
            .map(|seat| {
                let skills = vec![Requirement { skill: "sales".to_owned(), level: Level(5) }];
                (SeatId(seat), AgentProfile { name: format!("agent {seat}"), skills, units, cost_ms: 0 })
            })
            .collect(),
    }
}

pub fn config(tenants: Vec<TenantConfig>) -> NodeConfig {
    NodeConfig {
        name: "test".to_owned(),
        cell: CellConfig { company: Duration::ZERO, ..CellConfig::default() },
        live: LiveConfig { idle_after: Duration::from_millis(200), ..LiveConfig::default() },
        tenants,
        push: Vec::new(),
        policy_texts: None,
        events: None,
        webhooks: None,
        traces: None,
    }
}

pub async fn node_with(config: NodeConfig) -> NodeHandle {
    let runtime = tokio::runtime::Handle::current();
    match Node::start_in_memory(config, MemoryLog::keeping(1 << 28), &runtime).await {
        Ok(node) => node,
        Err(error) => panic!("the node did not start: {}", chain(&error)),
    }
}

pub async fn node(seats: u64, units: u16) -> NodeHandle {
    node_with(config(vec![tenant(1, seats, units)])).await
}

pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// A deterministic stream of numbers (splitmix64); `TIDEGATE_SEED` replays one.
pub struct Dice(AtomicU64);

impl Dice {
    pub fn seeded(default: u64) -> Self {
        let seed = std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(default);
        println!("TIDEGATE_SEED={seed}");
        Self(AtomicU64::new(seed))
    }

    pub fn roll(&self) -> u64 {
        let x = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}

/// Full counts at night, a tenth otherwise.
pub fn nightly(full: usize) -> usize {
    if std::env::var("TIDEGATE_NIGHTLY").is_ok_and(|value| value == "1") { full } else { full / 10 }
}

static NEXT: AtomicU64 = AtomicU64::new(1);

pub fn fresh() -> u128 {
    u128::from(NEXT.fetch_add(1, Ordering::Relaxed)) | (1 << 90)
}

/// A customer with a connection, as the web channel would be: it reads what it is woken for.
pub struct Customer {
    pub node: NodeHandle,
    pub tenant: TenantId,
    pub account: AccountId,
    pub conversation: ConversationId,
    woken: Arc<Woken>,
    _watch: Option<Box<dyn Watch>>,
}

#[derive(Default)]
pub struct Woken {
    newest: AtomicU32,
    bell: Notify,
}

impl Egress for Woken {
    fn wake(&self, _: ConversationId, n: u32) {
        self.newest.fetch_max(n, Ordering::AcqRel);
        self.bell.notify_one();
    }
}

impl Woken {
    pub fn newest(&self) -> u32 {
        self.newest.load(Ordering::Acquire)
    }

    /// Waits until item `n` was announced.
    pub async fn reaches(&self, n: u32) {
        while self.newest() < n {
            self.bell.notified().await;
        }
    }
}

impl Customer {
    pub fn new(node: &NodeHandle, tenant: TenantId, account: AccountId, conversation: u128) -> Self {
        let woken = Arc::<Woken>::default();
        let conversation = ConversationId(conversation);
        let watch = Ingress::watch(node, tenant, conversation, woken.clone());
        Self { node: node.clone(), tenant, account, conversation, woken, _watch: Some(watch) }
    }

    pub fn woken(&self) -> Arc<Woken> {
        Arc::clone(&self.woken)
    }

    pub async fn act(&self, event: u128, act: InboundAct<'_>) -> Result<Outcome, PortError> {
        let inbound = Inbound {
            account: self.account,
            conversation: self.conversation,
            event: EventId(event),
            customer: CustomerId::NONE,
            known_n: 0,
            act,
        };
        let mut answer = within("the answer to a customer's act", self.node.accept(self.tenant, inbound)).await;
        while let Err(PortError::Busy { retry_after }) = answer {
            tokio::time::sleep(Duration::from_millis(retry_after.0)).await;
            answer = within("the answer to a customer's act", self.node.accept(self.tenant, inbound)).await;
        }
        answer
    }

    pub async fn begin(&self) -> Outcome {
        let act = InboundAct::Begin { with: FirstOwner::Queue, request: ContactRequest::default() };
        self.act(fresh(), act).await.expect("taken")
    }

    pub async fn says(&self, text: &str) -> Outcome {
        self.act(fresh(), InboundAct::Message { body: text.as_bytes() }).await.expect("taken")
    }

    pub async fn node_transcript(&self) -> Vec<tidegate_model::port::TranscriptItem> {
        self.node.transcript(self.tenant, self.conversation, 0, 1_000).await.unwrap_or_default()
    }

    pub async fn texts(&self) -> Vec<(u32, String)> {
        let items = self.node.transcript(self.tenant, self.conversation, 0, 1_000).await.unwrap_or_default();
        items
            .iter()
            .filter(|item| !item.body.is_empty())
            .map(|item| (item.n, String::from_utf8_lossy(&item.body).into_owned()))
            .collect()
    }
}

/// What a desk knows: it follows notices by id, as a desk must.
#[derive(Default, Debug, Clone)]
pub struct DeskState {
    pub offers: BTreeMap<OfferId, ConversationId>,
    pub claims: BTreeMap<ClaimId, (ContactId, ConversationId)>,
    pub assigned: Vec<ContactId>,
    pub assigned_claims: Vec<ClaimId>,
    pub released: Vec<ClaimId>,
    pub wakes: BTreeMap<ConversationId, u32>,
    pub replaced: bool,
    pub notices: Vec<SeatNotice>,
    pub seen_offers: BTreeSet<OfferId>,
}

/// A desk at a seat.
pub struct Desk {
    pub node: NodeHandle,
    pub tenant: TenantId,
    pub seat: SeatId,
    sink: Arc<DeskSink>,
    watch: Mutex<Option<Box<dyn Watch>>>,
}

#[derive(Default)]
pub struct DeskSink {
    state: Mutex<DeskState>,
    bell: Notify,
}

impl DeskSink {
    fn change(&self, change: impl FnOnce(&mut DeskState)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.bell.notify_one();
    }
}

impl SeatSink for DeskSink {
    fn notice(&self, notice: SeatNotice) {
        self.change(|state| {
            state.notices.push(notice);
            match notice {
                SeatNotice::Offered { offer, conversation, .. } if state.seen_offers.insert(offer) => {
                    state.offers.insert(offer, conversation);
                }
                SeatNotice::Rescinded { offer, .. } => drop(state.offers.remove(&offer)),
                SeatNotice::Assigned { claim, contact, conversation } => {
                    state.offers.remove(&claim.offer());
                    state.assigned.push(contact);
                    state.assigned_claims.push(claim);
                    state.claims.insert(claim, (contact, conversation));
                }
                SeatNotice::Released { claim } => {
                    state.claims.remove(&claim);
                    state.released.push(claim);
                }
                _ => {}
            }
        });
    }

    fn wake(&self, conversation: ConversationId, n: u32) {
        self.change(|state| {
            let newest = state.wakes.entry(conversation).or_default();
            *newest = n.max(*newest);
        });
    }

    fn replaced(&self) {
        self.change(|state| state.replaced = true);
    }
}

impl Desk {
    pub fn open(node: &NodeHandle, tenant: TenantId, seat: u64) -> Self {
        let sink = Arc::<DeskSink>::default();
        let watch = SeatPort::watch(node, tenant, SeatId(seat), sink.clone());
        Self { node: node.clone(), tenant, seat: SeatId(seat), sink, watch: Mutex::new(Some(watch)) }
    }

    /// A desk that only acts; what the seat hears goes to another sink.
    pub fn acting(node: &NodeHandle, tenant: TenantId, seat: u64) -> Self {
        Self { node: node.clone(), tenant, seat: SeatId(seat), sink: Arc::default(), watch: Mutex::new(None) }
    }

    /// Waits on another sink's state.
    pub async fn watching<R>(&self, sink: &Arc<DeskSink>, mut found: impl FnMut(&DeskState) -> Option<R>) -> R {
        loop {
            let hit = found(&sink.state.lock().unwrap_or_else(PoisonError::into_inner));
            if let Some(hit) = hit {
                return hit;
            }
            sink.bell.notified().await;
        }
    }

    pub fn close(&self) {
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub async fn act(&self, act: SeatAct<'_>) -> Result<Outcome, PortError> {
        let input = SeatInput { seat: self.seat, command: CommandId(fresh()), act };
        let mut answer = within("the answer to a seat's act", self.node.command(self.tenant, input)).await;
        while let Err(PortError::Busy { retry_after }) = answer {
            tokio::time::sleep(Duration::from_millis(retry_after.0)).await;
            answer = within("the answer to a seat's act", self.node.command(self.tenant, input)).await;
        }
        answer
    }

    pub async fn sign_in(&self) {
        for act in [SeatAct::SignIn, SeatAct::Ready] {
            let outcome = self.act(act).await.expect("taken");
            assert!(matches!(outcome, Outcome::Done { .. }), "{act:?}: {outcome:?}");
        }
    }

    pub fn state(&self) -> DeskState {
        self.sink.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `found` finds something in the desk's state.
    pub async fn until<R>(&self, mut found: impl FnMut(&DeskState) -> Option<R>) -> R {
        loop {
            let hit = found(&self.sink.state.lock().unwrap_or_else(PoisonError::into_inner));
            if let Some(hit) = hit {
                return hit;
            }
            self.sink.bell.notified().await;
        }
    }

    pub async fn offer(&self) -> (OfferId, ConversationId) {
        self.until(|state| state.offers.iter().next().map(|(offer, conversation)| (*offer, *conversation))).await
    }

    pub async fn accept(&self, offer: OfferId) -> Outcome {
        let outcome = self.act(SeatAct::Accept { offer }).await.expect("taken");
        self.sink.change(|state| {
            state.offers.remove(&offer);
        });
        outcome
    }

    pub async fn claim(&self, offer: OfferId) -> (ClaimId, ContactId) {
        self.until(|state| state.claims.get(&offer.claim()).map(|(contact, _)| (offer.claim(), *contact))).await
    }

    pub async fn finish(&self, claim: ClaimId) {
        let ended = self.act(SeatAct::End { claim }).await.expect("taken");
        assert!(matches!(ended, Outcome::Done { .. }), "{ended:?}");
        let wrapped = self.act(SeatAct::WrapUp { claim, code: ReasonName::of("sold") }).await.expect("taken");
        assert!(matches!(wrapped, Outcome::Done { .. }), "{wrapped:?}");
    }
}

/// Ends a test that hangs, with a word about what it waited for.
pub async fn within<R>(what: &str, future: impl Future<Output = R>) -> R {
    within_or(future, async || what.to_owned()).await
}

/// As [`within`], with a word that is asked for when the time is up.
pub async fn within_or<R>(future: impl Future<Output = R>, what: impl AsyncFnOnce() -> String) -> R {
    match tokio::time::timeout(Duration::from_secs(60), future).await {
        Ok(done) => done,
        Err(_) => panic!("did not come within a minute: {}", what().await),
    }
}
