//! Live halves: what an actor costs, how soon a wake reaches a connection, what 100,000 open conversations weigh.
//!
//! In the same run, as the limit: a bare tokio task behind a bounded channel, which is all that an actor can be made of.
//! Memory is VmRSS from `/proc/self/status`, taken after everything has come to rest; the allocator is the binary's
//! (mimalloc). Every part checks its result (counts, wakes received) before it prints a speed.
//!
//! Run: `cargo bench -p tidegate-benches --bench actors`. It refuses to judge: targets are printed beside the figures.

use hdrhistogram::Histogram;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tidegate_benches::{as_the_binary, load};
use tidegate_model::ids::{AccountId, ContactId, ConversationId, CustomerId, EventId, SeatId, Seq, TenantId};
use tidegate_model::input::{ContactRequest, FirstOwner, Inbound, InboundAct, Input};
use tidegate_model::limits::Limits;
use tidegate_model::output::{Item, Output};
use tidegate_model::policy::{AccountProfile, Delivery};
use tidegate_model::port::{Egress, Ingress, Watch};
use tidegate_model::time::Timestamp;
use tidegate_router::cell::{CellConfig, CellSink, MemoryLog};
use tidegate_router::live::LiveConfig;
use tidegate_router::node::{Node, NodeConfig, NodeHandle, PolicyText, TenantConfig};
use tokio::sync::Notify;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TENANT: TenantId = TenantId(1);
const ACCOUNT: AccountId = AccountId(1);
const ACTORS: usize = 20_000;
const CASTS: u64 = 1_000_000;
const WAKES: usize = 20_000;
const CONVERSATIONS: u128 = 100_000;
const POLICY: &str = r#"
name = "bench"
default_queue = "all"
default_class = "all"
skills = ["all"]
[[class]]
name = "all"
[[queue]]
name = "all"
length_max = 200000
  [[queue.step]]
  name = "anyone"
  requires = { all = 1 }
"#;

fn main() {
    as_the_binary();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("actors: {cores} cores, load average {}", load());
    runtime.block_on(costs());
    runtime.block_on(latencies());
    runtime.block_on(memory());
}

fn rss_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or_default()
}

fn per(elapsed: Duration, count: u64) -> f64 {
    elapsed.as_nanos() as f64 / count as f64
}

// ---- What an actor costs -------------------------------------------------------------------------------------------------

/// Counts its messages and says when the last one was there.
struct Counter(Arc<(AtomicU64, Notify)>);

impl Actor for Counter {
    type Msg = u64;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<u64>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<u64>, last: u64, (): &mut ()) -> Result<(), ActorProcessingErr> {
        if self.0.0.fetch_add(1, Ordering::Relaxed) + 1 == last {
            self.0.1.notify_one();
        }
        Ok(())
    }
}

async fn costs() {
    // The limit first, and kept alive: memory that it gave back would make actors look lighter than they are.
    let seen = Arc::new((AtomicU64::new(0), Notify::new()));
    let before = rss_kb();
    let begun = Instant::now();
    let mut tasks = Vec::with_capacity(ACTORS);
    for _ in 0..ACTORS {
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<u64>(64);
        let seen = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Some(last) = receiver.recv().await {
                if seen.0.fetch_add(1, Ordering::Relaxed) + 1 == last {
                    seen.1.notify_one();
                }
            }
        });
        tasks.push((sender, task));
    }
    let raw_spawned = begun.elapsed();
    let raw_idle = rss_kb().saturating_sub(before);
    let begun = Instant::now();
    for _ in 0..CASTS {
        tasks[0].0.send(CASTS).await.expect("alive");
    }
    seen.1.notified().await;
    let raw_cast = begun.elapsed();
    assert_eq!(seen.0.load(Ordering::Relaxed), CASTS, "every message arrived");

    let seen = Arc::new((AtomicU64::new(0), Notify::new()));
    let before = rss_kb();
    let begun = Instant::now();
    let mut actors = Vec::with_capacity(ACTORS);
    for _ in 0..ACTORS {
        let (actor, _) = Actor::spawn(None, Counter(Arc::clone(&seen)), ()).await.expect("spawned");
        actors.push(actor);
    }
    let spawned = begun.elapsed();
    let idle = rss_kb().saturating_sub(before);

    let begun = Instant::now();
    for _ in 0..CASTS {
        actors[0].send_message(CASTS).expect("alive");
    }
    seen.1.notified().await;
    let cast = begun.elapsed();
    assert_eq!(seen.0.load(Ordering::Relaxed), CASTS, "every cast arrived");
    drop((actors, tasks));

    println!("\n| of {ACTORS} | ractor actor | tokio task + bounded channel (limit) |");
    println!("|---|---|---|");
    println!("| spawn, us | {:.2} | {:.2} |", per(spawned, ACTORS as u64) / 1e3, per(raw_spawned, ACTORS as u64) / 1e3);
    println!("| idle, kB each | {:.2} | {:.2} |", idle as f64 / ACTORS as f64, raw_idle as f64 / ACTORS as f64);
    println!("| cast to handled, ns ({CASTS} to one) | {:.0} | {:.0} |", per(cast, CASTS), per(raw_cast, CASTS));
}

// ---- From an output to a connection --------------------------------------------------------------------------------------

/// A connection that stamps the moment of its wake.
struct Stamp {
    epoch: Instant,
    n: AtomicU32,
    at_ns: AtomicU64,
    bell: Notify,
}

impl Stamp {
    fn new(epoch: Instant) -> Arc<Self> {
        Arc::new(Self { epoch, n: AtomicU32::new(0), at_ns: AtomicU64::new(0), bell: Notify::new() })
    }
}

impl Egress for Stamp {
    fn wake(&self, _: ConversationId, n: u32) {
        self.at_ns.store(self.epoch.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.n.fetch_max(n, Ordering::AcqRel);
        self.bell.notify_one();
    }
}

async fn node(idle_after: Duration) -> NodeHandle {
    let limits = Limits {
        conversations: 1 << 17,
        tickets: 1 << 17,
        customers: 1 << 17,
        dedup_events: 1 << 18,
        engagements: 1 << 14,
        effects: 1 << 14,
        ..Limits::SMALL
    };
    let account = AccountProfile { name: "web".to_owned(), delivery: Delivery::View, weight: 1, queue: String::new() };
    let config = NodeConfig {
        name: "bench".to_owned(),
        cell: CellConfig { tail_bytes: 1 << 20, ..CellConfig::default() },
        live: LiveConfig { idle_after, ..LiveConfig::default() },
        tenants: vec![TenantConfig {
            id: TENANT,
            limits,
            accounts: vec![(ACCOUNT, account)],
            policy: Some(PolicyText { file: "bench.toml".to_owned(), text: POLICY.to_owned() }),
            agents: Vec::new(),
        }],
        push: Vec::new(),
        policy_texts: None,
        events: None,
        webhooks: None,
        traces: None,
    };
    let runtime = tokio::runtime::Handle::current();
    // The log keeps 1 MiB: what is weighed is the node, not its memory of the log.
    Node::start_in_memory(config, MemoryLog::keeping(1 << 20), &runtime).await.expect("a node")
}

fn item(conversation: u128, n: u32) -> Output {
    Output::Transcript {
        conversation: ConversationId(conversation),
        n,
        seq: Seq(1),
        at: Timestamp(0),
        seat: SeatId::NONE,
        item: Item::Began { contact: ContactId(1) },
    }
}

/// Sends items from a plain thread, as the cell's egress does, and waits for each to arrive before the next.
async fn wakes(node: &NodeHandle, stamps: &[(u128, Arc<Stamp>)], rounds: usize, epoch: Instant) -> Histogram<u64> {
    let mut sink = node.live().sink();
    let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("constant bounds");
    let (to_thread, orders) = std::sync::mpsc::sync_channel::<(u128, u32)>(1);
    let (sent, mut sent_at) = tokio::sync::mpsc::channel::<u64>(1);
    let thread = std::thread::spawn(move || {
        while let Ok((conversation, n)) = orders.recv() {
            let at = epoch.elapsed().as_nanos() as u64;
            sink.outputs(TENANT, &[item(conversation, n)]);
            if sent.blocking_send(at).is_err() {
                return;
            }
        }
    });
    for round in 0..rounds {
        let (conversation, stamp) = &stamps[round % stamps.len()];
        let n = stamp.n.load(Ordering::Acquire) + 1;
        to_thread.send((*conversation, n)).expect("the thread lives");
        let begun = sent_at.recv().await.expect("sent");
        while stamp.n.load(Ordering::Acquire) < n {
            stamp.bell.notified().await;
        }
        histogram.saturating_record(stamp.at_ns.load(Ordering::Relaxed).saturating_sub(begun).max(1));
    }
    drop(to_thread);
    thread.join().expect("the thread ended");
    histogram
}

async fn latencies() {
    let epoch = Instant::now();
    let node = node(Duration::from_secs(3_600)).await;
    let stamp = Stamp::new(epoch);
    let _watch = Ingress::watch(&node, TENANT, ConversationId(1), stamp.clone());
    let hot = wakes(&node, &[(1, stamp)], WAKES, epoch).await;
    // Each of these has a connection and no actor yet: the first item starts one.
    let mut cold_stamps = Vec::new();
    let mut watches: Vec<Box<dyn Watch>> = Vec::new();
    for conversation in 2..2 + (WAKES / 10) as u128 {
        let stamp = Stamp::new(epoch);
        watches.push(Ingress::watch(&node, TENANT, ConversationId(conversation), stamp.clone()));
        cold_stamps.push((conversation, stamp));
    }
    let _drained = node.drain().await;

    let node = self::node(Duration::from_millis(40)).await;
    let mut watches: Vec<Box<dyn Watch>> = Vec::new();
    for (conversation, stamp) in &cold_stamps {
        watches.push(Ingress::watch(&node, TENANT, ConversationId(*conversation), stamp.clone()));
    }
    rested(&node).await;
    let cold = wakes(&node, &cold_stamps, cold_stamps.len(), epoch).await;
    drop(watches);
    let _drained = node.drain().await;

    let raw = raw_wakes(epoch).await;
    println!("\n| from an output on the egress thread to the connection's wake, us | p50 | p99 | p99.9 | n |");
    println!("|---|---|---|---|---|");
    for (name, h) in [("half awake", &hot), ("half at rest: started for it", &cold), ("tokio channel (limit)", &raw)] {
        let us = |q: f64| h.value_at_quantile(q) as f64 / 1e3;
        println!("| {name} | {:.1} | {:.1} | {:.1} | {} |", us(0.5), us(0.99), us(0.999), h.len());
    }
}

/// The same hand-over through one bounded channel and nothing else.
async fn raw_wakes(epoch: Instant) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("constant bounds");
    let (order, orders) = std::sync::mpsc::sync_channel::<u64>(1);
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<u64>(1);
    let thread = std::thread::spawn(move || {
        while orders.recv().is_ok() {
            if sender.blocking_send(epoch.elapsed().as_nanos() as u64).is_err() {
                return;
            }
        }
    });
    let receiving = tokio::spawn(async move {
        let mut spans = Vec::with_capacity(WAKES);
        for round in 0..WAKES {
            order.send(round as u64).expect("the thread lives");
            let sent = receiver.recv().await.expect("sent");
            spans.push((epoch.elapsed().as_nanos() as u64).saturating_sub(sent).max(1));
        }
        spans
    });
    for span in receiving.await.expect("received") {
        histogram.saturating_record(span);
    }
    thread.join().expect("the thread ended");
    histogram
}

// ---- What open conversations weigh ---------------------------------------------------------------------------------------

struct Silent;

impl Egress for Silent {
    fn wake(&self, _: ConversationId, _: u32) {}
}

async fn rested(node: &NodeHandle) {
    while node.live().status().conversations.live > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn memory() {
    let node = node(Duration::from_millis(400)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let empty = rss_kb();
    let mut answers = Vec::new();
    for conversation in 1..=CONVERSATIONS {
        let act = InboundAct::Begin { with: FirstOwner::Queue, request: ContactRequest::default() };
        let inbound = Inbound {
            account: ACCOUNT,
            conversation: ConversationId(conversation.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_0c2e_4a7d_1b65)),
            event: EventId(conversation | (1 << 100)),
            customer: CustomerId::NONE,
            known_n: 0,
            act,
        };
        answers.push(node.submit(TENANT, &Input::Inbound(inbound)));
        if answers.len() == 1_024 {
            for answer in answers.drain(..) {
                answer.await.expect("taken");
            }
        }
    }
    for answer in answers.drain(..) {
        answer.await.expect("taken");
    }
    drop(answers);
    let (ledger, resident) = node.query(TENANT, |machine| (machine.ledger(), machine.conversations())).await.expect("known");
    assert_eq!((ledger.waiting as u128, u128::from(resident)), (CONVERSATIONS, CONVERSATIONS), "all of them are open: {ledger:?}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let open = rss_kb();

    let silent: Arc<dyn Egress> = Arc::new(Silent);
    let watches: Vec<_> = (1..=CONVERSATIONS)
        .map(|conversation| {
            let id = ConversationId(conversation.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_0c2e_4a7d_1b65));
            Ingress::watch(&node, TENANT, id, Arc::clone(&silent))
        })
        .collect();
    rested(&node).await;
    let status = node.live().status();
    assert_eq!((u128::from(status.conversations.watchers), status.conversations.live), (CONVERSATIONS, 0));
    let watched = rss_kb();
    drop(watches);
    let _drained = node.drain().await;

    // A fresh node whose halves stay awake: the price of an actor for each.
    let node = self::node(Duration::from_secs(3_600)).await;
    let before = rss_kb();
    let watches: Vec<_> =
        (1..=CONVERSATIONS).map(|id| Ingress::watch(&node, TENANT, ConversationId(id), Arc::clone(&silent))).collect();
    let mut sink = node.live().sink();
    for id in 1..=CONVERSATIONS {
        sink.outputs(TENANT, &[item(id, 1)]);
    }
    while u128::from(node.live().status().conversations.live) < CONVERSATIONS {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let live = rss_kb();
    drop(watches);

    let mb = |kb: u64| kb as f64 / 1_024.0;
    println!("\n| memory above the empty node ({CONVERSATIONS} conversations) | MB | bytes each |");
    println!("|---|---|---|");
    for (name, kb) in [
        ("open, passivated (target <= 100 MB)", open.saturating_sub(empty)),
        ("and each with a registered, idle connection", watched.saturating_sub(empty)),
        ("connection and live actor each (no contact)", live.saturating_sub(before)),
    ] {
        println!("| {name} | {:.1} | {:.0} |", mb(kb), kb as f64 * 1_024.0 / CONVERSATIONS as f64);
    }
    println!("| (the empty node itself) | {:.1} | |", mb(empty));
}
