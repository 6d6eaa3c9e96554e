//! One node's cell, whole: ring, proposer, journal, apply, egress, answers; beside the raw log, the raw flush and the bare
//! machine of the same run.
//!
//! Inputs are customers' messages of 256 bytes an entry (the body is 184), ten a contact, one contact in ten handed to seats
//! that accept, answer, end and wrap up from the egress: their acts are inputs too and count. First the limits (raw flush, raw
//! log by batch size, bare apply), then the saturated pipeline, then open loop at 10, 50 and 100 thousand inputs a second, with
//! times from the submission and the generator's own lateness beside them. Before a speed is printed the log is replayed and
//! the replayed machine's digest compared with the live one's.
//!
//! `cargo bench -p tidegate-benches --bench pipeline`; `TIDEGATE_BENCH_INPUTS` (default 2,000,000), `TIDEGATE_BENCH_SECONDS`
//! (default 5 a rate), `TIDEGATE_BENCH_DIR`, `TIDEGATE_BENCH_BATCH` (default 256), `TIDEGATE_BENCH_COMPANY_US` (default 50: how
//! long the proposer waits for company), `TIDEGATE_BENCH_RATES` (default `10000,50000,100000`), `TIDEGATE_BENCH_SEATS`
//! (default 200), `TIDEGATE_BENCH_SATURATED` (default 1; 0 leaves the limits and the saturated run out).

use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};
use tidegate_benches::{as_the_binary, cpu_ns, load, variable};
use tidegate_core::{payload, policy};
use tidegate_journal::{Journal, Options, Position, RealDisk, Record, ScanStep, SnapshotStore};
use tidegate_model::codec;
use tidegate_model::input::{Admin, ContactRequest, FirstOwner, Inbound, InboundAct, Input, SeatAct, SeatInput};
use tidegate_model::limits::Limits;
use tidegate_model::name::mix;
use tidegate_model::output::{Output, SeatNotice};
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery, Requirement};
use tidegate_model::port::PortError;
use tidegate_model::{
    AccountId, CommandId, ConversationId, CustomerId, EventId, Level, ReasonName, SeatId, SkillName, TenantId, Timestamp,
};
use tidegate_router::cell::{Cell, CellConfig, CellHandle, CellSink, Machines, MemoryLog, NoSink, Retain, Stage, TenantSeed};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TENANT: TenantId = TenantId(1);
/// Inputs of a contact: begin, eight messages, leave.
const CONTACT: u64 = 10;
/// One contact in so many goes to a seat.
const SERVED: u64 = 10;
const BODY: usize = 184;

const POLICY: &str = r#"
name = "pipeline"
default_queue = "sales"
default_class = "regular"
skills = ["sales"]
[[class]]
name = "regular"
[[queue]]
name = "sales"
offer_timeout = "10s"
wrap_up = "3s"
  [[queue.step]]
  name = "all"
  requires = { sales = 1 }
"#;

/// Seats that act at once: accept, answer, end, wrap up, from the egress itself.
#[derive(Clone, Default)]
struct Floor {
    cell: Arc<OnceLock<CellHandle>>,
    acts: Arc<AtomicU64>,
    busy: Arc<AtomicU64>,
    commands: Arc<AtomicU64>,
}

impl Floor {
    fn act(&self, seat: SeatId, act: SeatAct<'_>) {
        let Some(cell) = self.cell.get() else { return };
        let command = CommandId(u128::from(self.commands.fetch_add(1, Ordering::Relaxed) + 1));
        match cell.submit_nowait(TENANT, &Input::Seat(SeatInput { seat, command, act })) {
            Ok(()) => self.acts.fetch_add(1, Ordering::Relaxed),
            Err(_) => self.busy.fetch_add(1, Ordering::Relaxed),
        };
    }
}

impl CellSink for Floor {
    fn outputs(&mut self, _: TenantId, outputs: &[Output]) {
        for output in outputs {
            let Output::Seat { seat, notice } = output else { continue };
            match *notice {
                SeatNotice::Offered { offer, .. } => self.act(*seat, SeatAct::Accept { offer }),
                SeatNotice::Assigned { claim, .. } => {
                    self.act(*seat, SeatAct::Send { claim, body: &[b'a'; BODY] });
                    self.act(*seat, SeatAct::End { claim });
                }
                SeatNotice::WrapUp { claim, .. } => self.act(*seat, SeatAct::WrapUp { claim, code: ReasonName::of("done") }),
                _ => {}
            }
        }
    }
}

/// The `i`-th input of a producer: contacts of ten inputs, sixteen of them interleaved.
fn input<R>(producer: u64, i: u64, with: impl FnOnce(&Input<'_>) -> R) -> R {
    let (block, within) = (i / (16 * CONTACT), i % (16 * CONTACT));
    let (step, lane) = (within / 16, within % 16);
    let contact = producer << 40 | (block * 16 + lane);
    let conversation = ConversationId(u128::from(mix(contact + 1)) << 64 | u128::from(contact + 1));
    let event = EventId(u128::from(mix(producer << 40 | i)) << 64 | u128::from(producer << 40 | i) | 1 << 63);
    let served = contact.is_multiple_of(SERVED);
    let act = match step {
        0 => {
            let with = if served { FirstOwner::Queue } else { FirstOwner::Bot };
            InboundAct::Begin { with, request: ContactRequest::default() }
        }
        s if s == CONTACT - 1 => InboundAct::Leave,
        _ => InboundAct::Message { body: &[b'c'; BODY] },
    };
    with(&Input::Inbound(Inbound { account: AccountId(1), conversation, event, customer: CustomerId(0), known_n: 0, act }))
}

fn config(batch: usize) -> CellConfig {
    CellConfig {
        tenants: vec![TenantSeed { id: TENANT, limits: Limits { dedup_events: 1 << 20, ..Limits::LARGE } }],
        batch_entries: batch,
        company: Duration::from_micros(variable("TIDEGATE_BENCH_COMPANY_US", 50)),
        front_per_tenant: 1 << 15,
        retain: Retain::Bytes(256 << 20),
        ..CellConfig::default()
    }
}

fn bootstrap(cell: &CellHandle) {
    let account =
        payload::account(&AccountProfile { name: "web".into(), delivery: Delivery::View, weight: 1, queue: String::new() });
    let wait = |input: &Input<'_>| cell.submit(TENANT, input).wait().expect("taken");
    wait(&Input::Admin(Admin::Account { account: AccountId(1), profile: &account }));
    let policy = policy::parse("pipeline.toml", POLICY).expect("the bench's policy");
    wait(&Input::Admin(Admin::Policy { hash: [1; 32], plan: &policy::encode(&policy) }));
    for seat in 1..=variable("TIDEGATE_BENCH_SEATS", 200) {
        let profile = AgentProfile {
            name: format!("agent {seat}"),
            skills: vec![Requirement { skill: "sales".into(), level: Level(5) }],
            units: 4,
            cost_ms: 0,
        };
        wait(&Input::Admin(Admin::Agent { seat: SeatId(seat), profile: &payload::agent(&profile) }));
        for act in [SeatAct::SignIn, SeatAct::Ready] {
            let command = CommandId(1 << 100 | u128::from(seat) << 8 | u128::from(matches!(act, SeatAct::Ready)));
            wait(&Input::Seat(SeatInput { seat: SeatId(seat), command, act }));
        }
    }
    let _ = SkillName::of("sales");
}

/// CPU time of each thread of this process by name, in nanoseconds (from the scheduler's own account).
fn cpu() -> BTreeMap<String, u64> {
    let mut times = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default().trim().to_owned();
        let ran = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let ran: u64 = ran.split(' ').next().and_then(|v| v.parse().ok()).unwrap_or(0);
        *times.entry(name).or_default() += ran;
    }
    times
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1_000.0
}

fn spread(h: &Histogram<u64>) -> String {
    let q = |q| us(h.value_at_quantile(q));
    format!("{:>9.0} {:>9.0} {:>9.0} {:>9.0}", q(0.5), q(0.99), q(0.999), us(h.max()))
}

fn raw_log(directory: &std::path::Path, batch: usize, bytes: usize, flushes: usize) -> (f64, Histogram<u64>) {
    let disk = RealDisk::open(directory.join(format!("raw-{batch}"))).expect("a directory");
    let (journal, _) = Journal::open(disk, Options::default()).expect("a journal");
    let mut writer = journal.writer().expect("its writer");
    let payload = vec![7_u8; bytes];
    let mut flush = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).expect("bounds");
    let mut positions = Vec::new();
    let began = Instant::now();
    for n in 0..flushes {
        let records: Vec<Record<'_>> =
            (0..batch).map(|i| Record { group: 1, index: (n * batch + i) as u64, payload: &payload }).collect();
        let at = Instant::now();
        positions.clear();
        writer.append(&records, &mut positions).expect("appended");
        writer.sync().expect("synced");
        flush.saturating_record(at.elapsed().as_nanos() as u64);
        if n % 64 == 63 {
            journal.purge(journal.durable()).expect("purged");
        }
    }
    ((flushes * batch) as f64 / began.elapsed().as_secs_f64(), flush)
}

/// The stamped entries of a short run, and the rate at which the bare machine takes them.
fn bare_apply(inputs: u64) -> (f64, usize) {
    let log = MemoryLog::keeping(usize::MAX);
    let tap = log.tap();
    let floor = Floor::default();
    let (cell, _) = Cell::start_in_memory(config(256), log, Box::new(floor.clone())).expect("starts");
    floor.cell.set(cell.clone()).unwrap_or_else(|_| unreachable!("set once"));
    bootstrap(&cell);
    produce(&cell, 1, inputs);
    cell.drain().expect("drains");
    let (_, entries) = tap.entries();
    let mut machines = Machines::new();
    let mut outputs = Vec::new();
    let began = Instant::now();
    let ran = cpu_ns();
    for (i, entry) in entries.iter().enumerate() {
        if let Some(ahead) = entries.get(i + 16) {
            machines.prefetch(ahead, true);
        }
        if let Some(ahead) = entries.get(i + 8) {
            machines.prefetch(ahead, false);
        }
        outputs.clear();
        machines.replay(entry, &mut outputs).expect("replays");
    }
    let ran = cpu_ns() - ran;
    println!("  bare apply, prefetched: {} ns of CPU an input", ran / entries.len() as u64);
    (entries.len() as f64 / began.elapsed().as_secs_f64(), entries.len())
}

/// Pushes `inputs` as fast as the front takes them; gives how often it was told to wait.
fn produce(cell: &CellHandle, producer: u64, inputs: u64) -> (u64, u64) {
    let ran = cpu_ns();
    let mut refused = 0;
    for i in 0..inputs {
        input(producer, i, |input| {
            loop {
                match cell.submit_nowait(TENANT, input) {
                    Ok(()) => break,
                    Err(PortError::Busy { .. }) => {
                        refused += 1;
                        thread::park_timeout(Duration::from_micros(200));
                    }
                    Err(error) => panic!("the cell refuses: {error:?}"),
                }
            }
        });
    }
    (refused, cpu_ns() - ran)
}

struct Node {
    cell: CellHandle,
    floor: Floor,
    disk: RealDisk,
}

fn start(directory: &std::path::Path, name: &str, config: CellConfig) -> Node {
    let disk = RealDisk::open(directory.join(name)).expect("a directory");
    let floor = Floor::default();
    let (cell, _) = Cell::start(config, disk.clone(), Box::new(floor.clone())).expect("the cell starts");
    floor.cell.set(cell.clone()).unwrap_or_else(|_| unreachable!("set once"));
    bootstrap(&cell);
    cell.reset_stages();
    Node { cell, floor, disk }
}

fn report_cpu(before: &BTreeMap<String, u64>, entries: u64) {
    let after = cpu();
    let mut line = String::new();
    for (name, ran) in &after {
        let ran = ran.saturating_sub(before.get(name).copied().unwrap_or(0));
        if ran / entries.max(1) > 0 {
            line += &format!("  {name} {}", ran / entries.max(1));
        }
    }
    println!("    CPU ns an input:{line}");
}

fn stages(cell: &CellHandle) {
    let stages = cell.stages();
    println!("    {:<22}{:>9} {:>9} {:>9} {:>9}  us", "", "p50", "p99", "p99.9", "max");
    for (stage, histogram) in &stages.stages {
        println!("    {:<22}{}", stage.slug(), spread(histogram));
    }
    println!("    mean batch {:.1}", stages.batches.mean());
}

/// Replays what the disk holds and compares. Only for logs that are kept whole.
fn check(node: Node) {
    let Node { cell, floor, disk } = node;
    // Ticks may come at any moment: the digest and the entry at which it was taken belong together.
    let (digest, until) = loop {
        let before = cell.status().applied;
        let digest = cell.query_wait(TENANT, |tenant| tenant.full_digest()).expect("answers");
        if cell.status().applied == before {
            break (digest, before);
        }
    };
    cell.drain().expect("drains");
    drop((cell, floor));
    let options = Options { on_damage: tidegate_journal::OnDamage::ReadOnly, ..Options::default() };
    let (journal, _) = Journal::open(disk, options).expect("opens");
    let mut machines = Machines::new();
    let mut outputs = Vec::new();
    let mut scan = journal.scan(Position::START);
    let began = Instant::now();
    let mut entries = 0_u64;
    while let Some(step) = scan.step().expect("readable") {
        let ScanStep::Entry(entry) = step else { panic!("a hole in the log") };
        if entry.index > until.0 {
            break;
        }
        outputs.clear();
        machines.replay(entry.payload, &mut outputs).expect("replays");
        entries += 1;
    }
    let replayed = machines.get(TENANT).expect("the tenant").full_digest();
    assert_eq!(replayed, digest, "parity: the log replayed gives another state");
    println!(
        "    parity: {entries} entries replayed from the disk in {:.2} s, state digest {replayed:016x} equal",
        began.elapsed().as_secs_f64()
    );
    drop((scan, journal));
}

/// Restarts to serving: from the snapshot of a drain, and with every snapshot taken away.
fn restarts(directory: &std::path::Path, name: &str, batch: usize) {
    let disk = RealDisk::open(directory.join(name)).expect("the node's directory");
    let store = SnapshotStore::new(disk.clone());
    for without in [false, true] {
        if without {
            for id in store.list().expect("listed") {
                store.remove(&id).expect("removed");
            }
        }
        let mut config = config(batch);
        config.retain = Retain::All;
        let (cell, report) = Cell::start(config, disk.clone(), Box::new(NoSink)).expect("restarts");
        println!(
            "    restart to serving: {:.3} s at {} journalled entries, snapshot {}, {} replayed",
            report.took.as_secs_f64(),
            report.last.0,
            report.snapshot.map_or_else(|| "none".to_owned(), |seq| format!("at {}", seq.0)),
            report.replayed
        );
        if !without {
            // As a kill leaves it: no final snapshot, so the next start finds what the interval left.
            drop(cell.drain());
        }
    }
}

fn quiesce(cell: &CellHandle) {
    let mut last = 0;
    loop {
        thread::park_timeout(Duration::from_millis(100));
        let status = cell.status();
        if status.emitted == status.committed && status.committed.0 == last {
            return;
        }
        last = status.committed.0;
    }
}

fn saturated(directory: &std::path::Path, inputs: u64, batch: usize) {
    let mut config = config(batch);
    config.retain = Retain::All;
    let node = start(directory, &format!("saturated-{batch}"), config);
    let before = cpu();
    let first = node.cell.status().emitted.0;
    let began = Instant::now();
    let producers = 2;
    let (refused, produced): (u64, u64) = thread::scope(|scope| {
        let handles: Vec<_> = (1..=producers)
            .map(|n| {
                let cell = node.cell.clone();
                thread::Builder::new()
                    .name("producer".into())
                    .spawn_scoped(scope, move || produce(&cell, n, inputs / producers))
                    .expect("a thread")
            })
            .collect();
        handles.into_iter().map(|h| h.join().expect("a producer")).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    });
    while node.cell.status().emitted < node.cell.status().committed {
        thread::park_timeout(Duration::from_millis(1));
    }
    let took = began.elapsed().as_secs_f64();
    let entries = node.cell.status().emitted.0 - first;
    println!(
        "  saturated, batch {batch}: {:.0} durable inputs/s ({entries} entries in {took:.2} s; seats' acts {}, told to wait {refused}); load {}",
        entries as f64 / took,
        node.floor.acts.load(Ordering::Relaxed),
        load()
    );
    report_cpu(&before, entries);
    println!("    CPU ns an input of the producers, waits included: {}", produced / inputs);
    stages(&node.cell);
    quiesce(&node.cell);
    check(node);
    restarts(directory, &format!("saturated-{batch}"), batch);
}

fn open_loop(directory: &std::path::Path, rate: u64, seconds: u64, flush: &Histogram<u64>, batch: usize) {
    let node = start(directory, &format!("open-{rate}"), config(batch));
    // A second to warm up, not counted.
    let stop = AtomicBool::new(false);
    let mut late = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).expect("bounds");
    let before = cpu();
    let mut sent = 0_u64;
    let mut refused = 0_u64;
    let began = Instant::now();
    let total = rate * (seconds + 1);
    let mut rolled = None;
    while sent < total && !stop.load(Ordering::Relaxed) {
        let due = (began.elapsed().as_nanos() as u64).saturating_mul(rate) / 1_000_000_000;
        if due <= sent {
            thread::park_timeout(Duration::from_micros(20));
            continue;
        }
        for i in sent..due.min(total) {
            if i == rate {
                node.cell.reset_stages();
                late.reset();
            }
            if i == total / 2 {
                node.cell.request_snapshot();
                rolled = Some(thread::spawn({
                    let (cell, ordered) = (node.cell.clone(), Instant::now());
                    let wanted = cell.status().applied;
                    move || {
                        while cell.status().snapshot < wanted && cell.status().snapshot_failures == 0 {
                            thread::park_timeout(Duration::from_millis(2));
                        }
                        ordered.elapsed()
                    }
                }));
            }
            let scheduled = began + Duration::from_nanos(i * 1_000_000_000 / rate);
            late.saturating_record(scheduled.elapsed().as_nanos() as u64 + 1);
            input(9, i, |input| {
                refused += u64::from(node.cell.submit_nowait(TENANT, input).is_err());
            });
        }
        sent = due.min(total);
    }
    quiesce(&node.cell);
    let stages_read = node.cell.stages();
    let of = |stage| stages_read.of(stage).map_or(0.0, |h| us(h.value_at_quantile(0.99)));
    println!(
        "  open loop {rate}/s for {seconds} s (refused {refused}; generator late p50 {:.0} p99 {:.0} us); load {}",
        us(late.value_at_quantile(0.5)),
        us(late.value_at_quantile(0.99)),
        load()
    );
    println!(
        "    submit-to-committed p99 {:.0} us = raw flush p99 {:.0} us {:+.0}; committed-to-effect p99 {:.0} us",
        of(Stage::SubmitToCommitted),
        us(flush.value_at_quantile(0.99)),
        of(Stage::SubmitToCommitted) - us(flush.value_at_quantile(0.99)),
        of(Stage::CommittedToEffect)
    );
    if let Some(took) = rolled.and_then(|watcher| watcher.join().ok()) {
        let status = node.cell.status();
        println!(
            "    in the middle of it a snapshot from the log, {:.2} s beside the load: {} failures, {} differences, pauses of apply {}",
            took.as_secs_f64(),
            status.snapshot_failures,
            status.snapshot_differences,
            stages_read.of(Stage::SnapshotPause).map_or(0, |h| h.len())
        );
    }
    report_cpu(&before, total);
    stages(&node.cell);
    node.cell.drain().expect("drains");
}

fn main() {
    as_the_binary();
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let directory = std::env::var_os("TIDEGATE_BENCH_DIR").map_or_else(|| scratch.path().to_path_buf(), PathBuf::from);
    let inputs = variable("TIDEGATE_BENCH_INPUTS", 2_000_000);
    let seconds = variable("TIDEGATE_BENCH_SECONDS", 5);
    let batch = variable("TIDEGATE_BENCH_BATCH", 256) as usize;
    let bytes = input(1, 16, |input| {
        let mut bytes = Vec::new();
        codec::encode(&mut bytes, TENANT, input);
        codec::stamp(&mut bytes, tidegate_model::Seq(1), Timestamp(1));
        bytes.len()
    });
    println!(
        "pipeline: one node, {} cores, entries of {bytes} bytes, load {}",
        thread::available_parallelism().map_or(0, usize::from),
        load()
    );
    println!("  raw log        {:>12} {:>9} {:>9} {:>9} {:>9}  us a flush", "inputs/s", "p50", "p99", "p99.9", "max");
    let mut one = None;
    for batch in [1, 8, 64, 256, 1_024] {
        let flushes = if batch >= 256 { 1_500 } else { 3_000 };
        let (rate, flush) = raw_log(&directory, batch, bytes, flushes);
        println!("  {:>14} {rate:>12.0} {}", format!("batch {batch}"), spread(&flush));
        if batch == 8 {
            one = Some(flush);
        }
    }
    if variable("TIDEGATE_BENCH_SATURATED", 1) > 0 {
        let (rate, entries) = bare_apply(inputs.min(500_000));
        println!("  bare apply, prefetched: {rate:.0} inputs/s over {entries} entries");
        saturated(&directory, inputs, batch);
    }
    let rates = std::env::var("TIDEGATE_BENCH_RATES").unwrap_or_else(|_| "10000,50000,100000".to_owned());
    if let Some(flush) = one {
        for rate in rates.split(',').filter_map(|rate| rate.parse().ok()) {
            open_loop(&directory, rate, seconds, &flush, batch);
        }
    }
    println!("  load {}", load());
}
