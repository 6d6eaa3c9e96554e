//! What an idle customer's WebSocket weighs on a real node: channels and router, one open conversation behind each socket.
//!
//! The clients are another process (this binary, run again), so that their memory is not counted. Each connects over
//! loopback, says hello, begins a contact that waits in a queue, and falls silent; several listeners (127.0.0.1, 127.0.0.2, ...)
//! make room when one address has too few ports. Weighed are VmRSS of the server alone, after everything has come to rest,
//! and beside it what the kernel holds for the sockets of both ends, from `/proc/meminfo` and
//! `/proc/net/sockstat`: that part is not the process's. The limit of the same run: as many bare tokio tasks, each reading one
//! accepted TCP socket. It refuses to judge; figures for 100,000 are extrapolated, and named so.
//!
//! `cargo bench -p tidegate-benches --bench sockets`; `TIDEGATE_BENCH_SOCKETS` (default 20,000; 100,000 with
//! `TIDEGATE_NIGHTLY=1`), cut to what the limit on open files allows.

use axum::serve::ListenerExt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tidegate_benches::{as_the_binary, load};
use tidegate_channels::auth::system_clock;
use tidegate_channels::client::{Begin, WebClient};
use tidegate_channels::{Config, Inbox, Key, KeyRing, NameTable, TokenAuthority};
use tidegate_model::limits::Limits;
use tidegate_model::policy::{AccountProfile, Delivery};
use tidegate_model::port::CustomerGrant;
use tidegate_model::{AccountId, ConversationId, CustomerId, Millis, TenantId};
use tidegate_router::cell::{CellConfig, MemoryLog};
use tidegate_router::live::LiveConfig;
use tidegate_router::node::{Node, NodeConfig, NodeHandle, PolicyText, TenantConfig};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TENANT: TenantId = TenantId(1);
const ACCOUNT: AccountId = AccountId(1);
/// Set for the process that plays the customers: `raw` or `web`.
const PLAY: &str = "TIDEGATE_SOCKETS_PLAY";
/// Open files that are not customers' sockets.
const OWN_FILES: u64 = 500;
/// Sockets to one address at most: the range of local ports has some 28,000.
const PER_ADDRESS: usize = 20_000;
/// Connections that are being opened at once.
const OPENING: usize = 64;
const POLICY: &str = r#"
name = "sockets"
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
    let asked: u64 = if std::env::var("TIDEGATE_NIGHTLY").is_ok_and(|v| v == "1") { 100_000 } else { 20_000 };
    let asked = std::env::var("TIDEGATE_BENCH_SOCKETS").ok().and_then(|v| v.parse().ok()).unwrap_or(asked);
    let files = open_files(asked + OWN_FILES);
    if let Ok(kind) = std::env::var(PLAY) {
        runtime.block_on(play(&kind));
        // The connections are let go all at once by the process's end.
        return;
    }
    let count = asked.min(files.saturating_sub(OWN_FILES)) as usize;
    println!("sockets: {count} of {asked} asked (open files {files}), load {}", load());
    println!("| {count} idle | server MB | bytes each | MB for 100,000, extrapolated | kernel, both ends, bytes each |");
    println!("|---|---|---|---|---|");
    runtime.block_on(raw(count));
    runtime.block_on(web(count));
}

/// Raises the limit on open files to `wanted`, or as near as allowed; what it is then.
fn open_files(wanted: u64) -> u64 {
    let now = getrlimit(Resource::Nofile);
    let most = now.maximum.unwrap_or(u64::MAX);
    let both = Rlimit { current: Some(wanted), maximum: Some(wanted.max(most)) };
    let soft = Rlimit { current: Some(wanted.min(most)), maximum: now.maximum };
    // Raising the hard limit needs a privilege; without it the soft one goes up to the hard.
    if setrlimit(Resource::Nofile, both).is_err() {
        let _soft_stays = setrlimit(Resource::Nofile, soft);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn field_kb(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or_default()
}

/// The server's memory and the kernel's slabs, in kB; sockets in use and their buffers, as the kernel says.
#[derive(Clone, Copy)]
struct Weight {
    process: u64,
    kernel: u64,
}

fn weigh() -> Weight {
    Weight { process: field_kb("/proc/self/status", "VmRSS:"), kernel: field_kb("/proc/meminfo", "Slab:") }
}

fn sockstat() -> String {
    let text = std::fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    text.lines().find(|line| line.starts_with("TCP:")).unwrap_or_default().to_owned()
}

/// Waits until the weight has not changed by more than a part in a thousand for a second.
async fn rested() -> Weight {
    let mut last = weigh();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = weigh();
        if now.process.abs_diff(last.process) <= last.process / 1_000 {
            return now;
        }
        last = now;
    }
}

fn print(name: &str, count: usize, before: Weight, after: Weight) {
    let (kb, kernel) = (after.process.saturating_sub(before.process), after.kernel.saturating_sub(before.kernel));
    let each = kb as f64 * 1_024.0 / count as f64;
    println!(
        "| {name} | {:.1} | {each:.0} | {:.0} | {:.0} |",
        kb as f64 / 1_024.0,
        each * 100_000.0 / 1_048_576.0,
        kernel as f64 * 1_024.0 / count as f64
    );
    println!("  /proc/net/sockstat {}", sockstat());
}

/// The process that plays the customers.
struct Players {
    process: Child,
    orders: ChildStdin,
    said: std::io::Lines<std::io::BufReader<ChildStdout>>,
}

impl Players {
    fn start(kind: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this binary"))
            .env(PLAY, kind)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the same binary again");
        let orders = process.stdin.take().expect("piped");
        let said = std::io::BufReader::new(process.stdout.take().expect("piped")).lines();
        Self { process, orders, said }
    }

    /// Sends the customers to their addresses; returns once all of them are connected and silent.
    fn connect(&mut self, customers: impl Iterator<Item = (SocketAddr, String)>) {
        for (address, token) in customers {
            writeln!(self.orders, "{address} {token}").expect("the players listen");
        }
        writeln!(self.orders, "go").expect("the players listen");
        let ready = self.said.next().expect("the players answer").expect("text");
        assert_eq!(ready, "ready");
    }

    fn end(self) {
        let Self { mut process, orders, said } = self;
        drop((orders, said));
        process.wait().expect("the players end");
    }
}

/// Reads who connects where, connects them, says `ready`, and holds everything until its input ends.
async fn play(kind: &str) {
    let mut lines = std::io::stdin().lock().lines();
    let mut customers = Vec::new();
    for line in lines.by_ref() {
        let line = line.expect("text");
        let Some((address, token)) = line.split_once(' ') else { break };
        customers.push((address.parse::<SocketAddr>().expect("an address"), token.to_owned()));
    }
    let (mut streams, mut clients) = (Vec::new(), Vec::new());
    for group in customers.chunks(OPENING) {
        if kind == "raw" {
            let opening: Vec<_> = group.iter().map(|(address, _)| tokio::spawn(TcpStream::connect(*address))).collect();
            for stream in opening {
                streams.push(stream.await.expect("no panic").expect("connected"));
            }
        } else {
            let opening: Vec<_> = group.iter().cloned().map(|(address, token)| tokio::spawn(visit(address, token))).collect();
            for client in opening {
                clients.push(client.await.expect("no panic"));
            }
        }
    }
    println!("ready");
    // Until the server has weighed.
    let _end = lines.next();
    drop((streams, clients));
}

/// Opens one conversation and falls silent once its first item has come.
async fn visit(address: SocketAddr, token: String) -> WebClient {
    let base = format!("http://{address}");
    let mut client = WebClient::connect(&base, &token, 0).await.expect("a welcome");
    client.begin(&Begin::default()).await.expect("a contact");
    client.wait_for("queued").await.expect("a place in the queue");
    client
}

async fn listeners(count: usize) -> Vec<TcpListener> {
    let mut all = Vec::new();
    for part in 0..count.div_ceil(PER_ADDRESS) {
        all.push(TcpListener::bind(format!("127.0.0.{}:0", part + 1)).await.expect("a free port"));
    }
    all
}

/// The limit: nothing but a task that reads its accepted socket into two kilobytes.
async fn raw(count: usize) {
    let listeners = listeners(count).await;
    let addresses: Vec<SocketAddr> = listeners.iter().map(|l| l.local_addr().expect("an address")).collect();
    let mut players = Players::start("raw");
    let before = rested().await;
    for listener in listeners {
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut buffer = vec![0_u8; 2_048];
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
                });
            }
        });
    }
    let customers = (0..count).map(move |i| (addresses[i / PER_ADDRESS], "-".to_owned()));
    let players = tokio::task::spawn_blocking(move || {
        players.connect(customers);
        players
    });
    let players = players.await.expect("connected");
    print("a task and its TCP socket (limit)", count, before, rested().await);
    players.end();
}

async fn node() -> NodeHandle {
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
        live: LiveConfig { idle_after: Duration::from_millis(400), ..LiveConfig::default() },
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
    // The log keeps 1 MiB: what is weighed is the node, not its memory of the log.
    let runtime = tokio::runtime::Handle::current();
    Node::start_in_memory(config, MemoryLog::keeping(1 << 20), &runtime).await.expect("a node")
}

async fn web(count: usize) {
    let node = node().await;
    let key = Key::new("k1".to_owned(), vec![7; 32]);
    let authority = Arc::new(TokenAuthority::new(KeyRing::new(vec![key]).expect("a good ring"), system_clock()));
    let inbox = Inbox {
        name: "shop".to_owned(),
        tenant: TENANT,
        account: ACCOUNT,
        origins: Vec::new(),
        verified_only: false,
        site_keys: None,
        face: tidegate_channels::config::Face::named("shop"),
    };
    let mut config = Config::new(vec![inbox], authority.clone(), NameTable::new(["all"]));
    config.web.connections = count + 1_000;
    // Idle means idle: no ping falls into the weighing.
    config.web.ping = Millis(3_600_000);
    let (routes, handle) =
        tidegate_channels::router(config, Arc::new(node.clone()), Arc::new(node.clone()), authority.clone()).expect("channels");
    let listeners = listeners(count).await;
    let addresses: Vec<SocketAddr> = listeners.iter().map(|l| l.local_addr().expect("an address")).collect();
    let mut players = Players::start("web");
    let before = rested().await;
    for listener in listeners {
        let routes = routes.clone();
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        tokio::spawn(async move { axum::serve(listener, routes).await });
    }
    let tokens = (0..count).map(move |i| {
        let conversation = (i as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_0c2e_4a7d_1b65);
        let grant = CustomerGrant {
            tenant: TENANT,
            account: ACCOUNT,
            conversation: ConversationId(conversation),
            customer: CustomerId::NONE,
        };
        (addresses[i / PER_ADDRESS], authority.mint_customer(&grant, 86_400).expect("a token"))
    });
    let players = tokio::task::spawn_blocking(move || {
        players.connect(tokens);
        players
    });
    let players = players.await.expect("connected");
    while node.live().status().conversations.live > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let after = rested().await;
    let waiting = node.query(TENANT, |machine| machine.ledger().waiting).await.expect("known");
    let used = |name: &str| handle.gauges().into_iter().find(|gauge| gauge.name == name).map_or(0, |gauge| gauge.used);
    assert_eq!((waiting as usize, used("web_connections")), (count, count), "each has its conversation and its socket");
    print("a customer's WebSocket and open conversation", count, before, after);
    players.end();
}
