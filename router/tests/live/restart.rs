//! A node on a real disk, stopped and started again: bootstrapping is done once, what operators changed stays, open offers and
//! undelivered rows come back to desks and providers, a drain loses nothing, and a node that is dropped lets go of everything.

use crate::support::*;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_journal::RealDisk;
use tidegate_model::ids::{EffectId, SeatId};
use tidegate_model::input::SeatAct;
use tidegate_model::output::Outcome;
use tidegate_model::policy::AgentProfile;
use tidegate_model::port::{BoxFuture, SeatPort};
use tidegate_model::time::Millis;
use tidegate_router::live::{Delivery, OutboxKey, Promise, PushAnswer, PushChannel};
use tidegate_router::node::{IfActive, Node, NodeConfig, NodeError, NodeHandle, PolicyText};

async fn on_disk(directory: &Path, change: impl FnOnce(&mut NodeConfig)) -> Result<NodeHandle, NodeError> {
    let mut config = config(vec![tenant(1, 2, 1)]);
    config.policy_texts = Some(directory.join("policies"));
    change(&mut config);
    let disk = RealDisk::open(directory.join("log")).expect("a directory");
    Node::start(config, disk, &tokio::runtime::Handle::current()).await
}

async fn started(directory: &Path, change: impl FnOnce(&mut NodeConfig)) -> NodeHandle {
    on_disk(directory, change).await.unwrap_or_else(|error| panic!("the node did not start: {}", chain(&error)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bootstrapping_is_done_once_and_operators_changes_stay() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = started(directory.path(), |_| {}).await;
    let changed = POLICY.replace("300s", "301s");
    let source = PolicyText { file: "policy.toml".to_owned(), text: changed.clone() };
    let active = node.activate(TENANT, source, IfActive::Some, false).await.expect("activated");
    let last = node.drain().await.expect("clean").last;
    drop(node);

    let node = started(directory.path(), |_| {}).await;
    let own = node.cell().status().committed.0 - last.0;
    assert!(own <= 2, "a start writes its own first entries and no bootstrap: {own}");
    assert_eq!(node.policy_hash(TENANT).await, Ok(Some(active.hash)), "the configured policy does not come back over it");
    assert_eq!(node.policy_text(active.hash).await.as_deref(), Some(changed.as_str()), "its text is still there");
    node.drain().await.expect("clean");
    drop(node);

    let profile = AgentProfile { name: "new".to_owned(), skills: Vec::new(), units: 1, cost_ms: 0 };
    let node = started(directory.path(), |config| config.tenants[0].agents.push((SeatId(9), profile))).await;
    let seats = node.query(TENANT, |machine| machine.seats().len()).await;
    assert_eq!(seats, Ok(3), "an agent who was added to the configuration is added to the roster");
    node.drain().await.expect("clean");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_offer_and_a_claim_come_back_to_the_desk_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = started(directory.path(), |_| {}).await;
    let (first, second) = (Desk::open(&node, TENANT, 1), Desk::open(&node, TENANT, 2));
    first.sign_in().await;
    let anna = Customer::new(&node, TENANT, WEB, 1);
    anna.begin().await;
    let (taken, _) = within("the first offer", first.offer()).await;
    first.accept(taken).await;
    let (claim, _) = within("the claim", first.claim(taken)).await;
    let Outcome::Done { n, .. } = anna.says("hold the line").await else { panic!("refused") };
    second.sign_in().await;
    let ben = Customer::new(&node, TENANT, WEB, 2);
    ben.begin().await;
    let (open, _) = within("the second offer", second.offer()).await;
    node.drain().await.expect("clean");
    drop((anna, ben, first, second, node));

    let node = started(directory.path(), |_| {}).await;
    let (first, second) = (Desk::open(&node, TENANT, 1), Desk::open(&node, TENANT, 2));
    let (again, conversation) = within("the open offer again", second.offer()).await;
    assert_eq!((again, conversation.0), (open, 2));
    assert!(matches!(second.accept(again).await, Outcome::Done { .. }));
    within("the claim again", first.claim(taken)).await;
    let claimed = SeatPort::snapshot(&node, TENANT, SeatId(1)).await.expect("known").claims;
    assert_eq!((claimed.len(), claimed[0].claim), (1, claim));
    let woken = within("the wake up to the last word", first.until(|state| state.wakes.values().next().copied())).await;
    assert!(woken >= n);
    let anna = Customer::new(&node, TENANT, WEB, 1);
    within("a new connection is woken up to where the conversation stands", anna.woken().reaches(n)).await;
    assert_eq!(anna.texts().await, [(n, "hold the line".to_owned())]);
    first.finish(claim).await;
    node.drain().await.expect("clean");
}

/// A provider that takes nothing until it is opened, and then keeps what it took.
#[derive(Default)]
struct Gate {
    open: AtomicBool,
    taken: Mutex<Vec<EffectId>>,
}

struct Way(Arc<Gate>, Promise);

impl PushChannel for Way {
    fn promise(&self) -> Promise {
        self.1
    }
    fn deliver(&self, delivery: Delivery) -> BoxFuture<PushAnswer> {
        let gate = Arc::clone(&self.0);
        Box::pin(async move {
            if !gate.open.load(Ordering::Acquire) {
                return PushAnswer::Later { after: Millis(5) };
            }
            gate.taken.lock().unwrap_or_else(PoisonError::into_inner).push(delivery.effect);
            PushAnswer::Sent
        })
    }
}

async fn rows(node: &NodeHandle) -> BTreeSet<EffectId> {
    node.query(TENANT, |machine| machine.open_effects().iter().map(|(id, _, _)| *id).collect()).await.expect("known")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_were_not_delivered_are_delivered_or_in_doubt_after_a_restart() {
    for promise in [Promise::AtLeastOnce, Promise::AtMostOnce] {
        let directory = tempfile::tempdir().expect("a directory");
        let gate = Arc::<Gate>::default();
        let push = |config: &mut NodeConfig| {
            config.push.push((OutboxKey { tenant: TENANT, account: PUSHED }, Arc::new(Way(Arc::clone(&gate), promise))));
        };
        let node = started(directory.path(), push).await;
        let desk = Desk::open(&node, TENANT, 1);
        desk.sign_in().await;
        let customer = Customer::new(&node, TENANT, PUSHED, 7);
        customer.begin().await;
        let (offer, _) = within("the offer", desk.offer()).await;
        desk.accept(offer).await;
        let (claim, _) = within("the claim", desk.claim(offer)).await;
        for word in ["one", "two", "three"] {
            desk.act(SeatAct::Send { claim, body: word.as_bytes() }).await.expect("taken");
        }
        let open = rows(&node).await;
        assert!(open.len() >= 3, "{open:?}");
        node.drain().await.expect("clean");
        drop((customer, desk, node));

        gate.open.store(true, Ordering::Release);
        let node = started(directory.path(), push).await;
        assert_eq!(node.recovery().open_effects, open.len() as u64);
        within("every row is closed", async {
            while !rows(&node).await.is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
        let taken = gate.taken.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match promise {
            Promise::AtLeastOnce => assert_eq!(taken, open.into_iter().collect::<Vec<_>>(), "each once, in order"),
            Promise::AtMostOnce => assert!(taken.is_empty(), "whether it was tried before, nobody knows: {taken:?}"),
        }
        node.drain().await.expect("clean");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_answers_everything_that_was_taken_and_keeps_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = started(directory.path(), |_| {}).await;
    let mut talking = tokio::task::JoinSet::new();
    for conversation in 1..=40_u128 {
        let customer = Customer::new(&node, TENANT, WEB, conversation);
        talking.spawn(async move {
            let mut acknowledged = Vec::new();
            for word in 0_u32.. {
                let text = format!("{word} of {conversation}");
                let act = tidegate_model::input::InboundAct::Message { body: text.as_bytes() };
                match customer.act(fresh(), act).await {
                    Ok(Outcome::Done { n, .. }) => acknowledged.push((n, text)),
                    Ok(other) => panic!("refused: {other:?}"),
                    Err(error) => return (conversation, acknowledged, error),
                }
            }
            unreachable!("the drain ends it")
        });
    }
    // Under full load: every customer has spoken before the drain begins.
    within("load", async {
        while node.cell().status().emitted.0 < 400 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let drained = within("the drain", node.drain()).await.expect("clean");
    assert_eq!(drained.last, drained.snapshot, "a clean stop leaves nothing to replay");
    let mut histories = Vec::new();
    while let Some(done) = talking.join_next().await {
        let (conversation, acknowledged, error) = done.expect("no panic");
        assert_eq!(error, tidegate_model::port::PortError::Closed);
        histories.push((conversation, acknowledged));
    }
    drop(node);
    let node = started(directory.path(), |_| {}).await;
    assert_eq!(node.recovery().replayed, 0);
    let mut kept = 0;
    for (conversation, acknowledged) in histories {
        let customer = Customer::new(&node, TENANT, WEB, conversation);
        assert_eq!(customer.texts().await, acknowledged, "what was acknowledged is there, and nothing else");
        kept += acknowledged.len();
    }
    assert!(kept >= 360, "{kept}");
    node.drain().await.expect("clean");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_dropped_lets_go_of_its_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = started(directory.path(), |_| {}).await;
    let anna = Customer::new(&node, TENANT, WEB, 1);
    anna.begin().await;
    drop((anna, node));
    // The journal's lock is held as long as any thread or actor of the node holds the cell.
    within("the lock is free", async {
        while RealDisk::open(directory.path().join("log")).is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    })
    .await;
    let node = started(directory.path(), |_| {}).await;
    assert_eq!(node.query(TENANT, |machine| machine.ledger().offered).await, Ok(1), "what was acknowledged is there");
    node.drain().await.expect("clean");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_cannot_be_bootstrapped_is_named_and_nothing_is_left_running() {
    let directory = tempfile::tempdir().expect("a directory");
    let wrong = on_disk(directory.path(), |config| {
        let text = POLICY.replace("wrap_up", "wrap-up");
        config.tenants[0].policy = Some(PolicyText { file: "shop.toml".to_owned(), text });
    })
    .await;
    let error = wrong.err().map(|error| chain(&error)).unwrap_or_default();
    assert!(error.contains("tenant 1") && error.contains("shop.toml:") && error.contains("wrap-up"), "{error}");
    let node = started(directory.path(), |_| {}).await;
    assert_eq!(node.query(TENANT, |machine| machine.seats().len()).await, Ok(2), "a corrected start completes it");
    node.drain().await.expect("clean");
}
