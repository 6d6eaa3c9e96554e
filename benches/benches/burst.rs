//! A loud tenant's burst on a quiet tenant's latency: 100,000 timers due in one millisecond, and policy swaps under 100,000
//! waiting contacts, on one real cell over a real journal.
//!
//! The quiet tenant sends at a fixed rate, open loop; its times count from the intended send to the answer (durable, decided,
//! handed to the sink). The loud tenant has its contacts waiting and sends too. Bursts are real, through policies alone: a
//! swap that renames every step maps each contact to the first one and begins its time anew, in one log instant, so that the
//! relaxation deadlines of all of them coincide; a swap that brings a `gives_up_after` that has passed for everybody empties the
//! floor, which is then filled again. A burst's window is from its first entry until the tenant wants no tick at once any more;
//! only samples sent inside it count for it, so a long quiet tail cannot dilute it. Two ratios are printed beside what is asked
//! (2): p99 over all of a kind's windows against p99 over all calm stretches of the run, and the median of the windows' own p99
//! against the median p99 of calm windows of their length, which one stall of the machine or its disk cannot move. Before a speed is
//! printed the log is replayed and both tenants' digests compared with the live ones'. It refuses to judge.
//!
//! `cargo bench -p tidegate-benches --bench burst`; `TIDEGATE_BENCH_RATE` (quiet, default 5,000/s), `TIDEGATE_BENCH_LOUD`
//! (loud, default 1,000/s), `TIDEGATE_BENCH_WAITING` (default 100,000), `TIDEGATE_BENCH_ROUNDS` (default 20; a quarter
//! of them for the emptied floor), `TIDEGATE_BENCH_SECONDS` (baseline, default 10), `TIDEGATE_BENCH_FUEL` (default the limits' own), `TIDEGATE_BENCH_EACH=1` (each burst's longest),
//! `TIDEGATE_BENCH_HUGE=1` (leaves transparent huge pages on), `TIDEGATE_BENCH_DIR`.

use hdrhistogram::Histogram;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};
use tidegate_benches::{as_the_binary, cpu_ns, load, variable};
use tidegate_core::{payload, policy};
use tidegate_journal::{Journal, OnDamage, Options, Position, RealDisk, ScanStep};
use tidegate_model::codec;
use tidegate_model::input::{Admin, ContactRequest, FirstOwner, Inbound, InboundAct, Input, SeatAct, SeatInput};
use tidegate_model::limits::Limits;
use tidegate_model::name::mix;
use tidegate_model::output::{Output, SeatNotice};
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery, Requirement};
use tidegate_model::port::PortError;
use tidegate_model::{AccountId, CommandId, ConversationId, CustomerId, EventId, Level, ReasonName, SeatId, TenantId};
use tidegate_router::cell::{Cell, CellConfig, CellHandle, CellSink, Machines, Retain, Stage, Submitted, TenantSeed};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const QUIET: TenantId = TenantId(1);
const LOUD: TenantId = TenantId(2);
const QUIET_SEATS: u64 = 200;
const LOUD_SEATS: u64 = 500;
/// Inputs of a quiet contact: begin, eight messages, leave.
const CONTACT: u64 = 10;
/// One quiet contact in so many goes to a seat.
const SERVED: u64 = 10;
const BODY: usize = 184;
/// How long after a swap its contacts' first step lasts: all of them are carried over long before.
const LASTS: Duration = Duration::from_millis(1_500);
/// Calm stretches are cut into windows as long as a burst, at most this, in nanoseconds.
const SPAN_MAX: u64 = 500_000_000;
/// How often the loud tenant's backlog is looked at, in every phase alike.
const LOOK: Duration = Duration::from_millis(2);

/// Three relaxation steps whose names end in `round`; the loud seats are eligible from the second on.
fn loud_policy(round: u64, lasts: Option<Duration>, gives_up: bool) -> String {
    let lasts = lasts.map(|span| format!("lasts = \"{}ms\"", span.as_millis())).unwrap_or_else(|| "lasts = \"2h\"".into());
    let gives_up = if gives_up { "gives_up_after = \"1s\"" } else { "" };
    format!(
        r#"
name = "loud {round}"
default_queue = "sales"
default_class = "regular"
skills = ["sales"]
[[class]]
name = "regular"
[[queue]]
name = "sales"
length_max = 1000000
offer_timeout = "10min"
{gives_up}
  [[queue.step]]
  name = "strict {round}"
  requires = {{ sales = 9 }}
  {lasts}
  [[queue.step]]
  name = "wide {round}"
  requires = {{ sales = 5 }}
  lasts = "2h"
  [[queue.step]]
  name = "anyone {round}"
"#
    )
}

const QUIET_POLICY: &str = r#"
name = "quiet"
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

/// Seats that act at once, from the egress itself. The quiet tenant's serve and end; the loud tenant's accept and keep.
#[derive(Clone, Default)]
struct Floor {
    cell: Arc<OnceLock<CellHandle>>,
    commands: Arc<AtomicU64>,
    offers: Arc<AtomicU64>,
    exits: Arc<AtomicU64>,
    remapped: Arc<AtomicU64>,
}

impl Floor {
    fn act(&self, tenant: TenantId, seat: SeatId, act: SeatAct<'_>) {
        let Some(cell) = self.cell.get() else { return };
        let command = CommandId(u128::from(self.commands.fetch_add(1, Ordering::Relaxed) + 1));
        // A seat whose act is refused for want of room waits for its deadline: nothing here depends on it.
        let _busy = cell.submit_nowait(tenant, &Input::Seat(SeatInput { seat, command, act }));
    }
}

impl CellSink for Floor {
    fn outputs(&mut self, tenant: TenantId, outputs: &[Output]) {
        for output in outputs {
            match output {
                Output::Seat { seat, notice } => match *notice {
                    SeatNotice::Offered { offer, .. } => {
                        self.offers.fetch_add(u64::from(tenant == LOUD), Ordering::Relaxed);
                        self.act(tenant, *seat, SeatAct::Accept { offer });
                    }
                    SeatNotice::Assigned { claim, .. } if tenant == QUIET => {
                        self.act(tenant, *seat, SeatAct::Send { claim, body: &[b'a'; BODY] });
                        self.act(tenant, *seat, SeatAct::End { claim });
                    }
                    SeatNotice::WrapUp { claim, .. } => {
                        self.act(tenant, *seat, SeatAct::WrapUp { claim, code: ReasonName::of("done") });
                    }
                    _ => {}
                },
                Output::Contact(_) if tenant == LOUD => drop(self.exits.fetch_add(1, Ordering::Relaxed)),
                Output::PolicyActive { steps_remapped, .. } if tenant == LOUD => {
                    self.remapped.fetch_add(u64::from(*steps_remapped), Ordering::Relaxed);
                }
                _ => {}
            }
        }
    }
}

/// The `i`-th quiet input: contacts of ten inputs, sixteen of them interleaved.
fn quiet_input<R>(i: u64, with: impl FnOnce(&Input<'_>) -> R) -> R {
    let (block, within) = (i / (16 * CONTACT), i % (16 * CONTACT));
    let (step, lane) = (within / 16, within % 16);
    let contact = block * 16 + lane;
    let act = match step {
        0 => {
            let owner = if contact.is_multiple_of(SERVED) { FirstOwner::Queue } else { FirstOwner::Bot };
            InboundAct::Begin { with: owner, request: ContactRequest::default() }
        }
        s if s == CONTACT - 1 => InboundAct::Leave,
        _ => InboundAct::Message { body: &[b'c'; BODY] },
    };
    with(&inbound(contact, i, act))
}

fn inbound(contact: u64, event: u64, act: InboundAct<'_>) -> Input<'_> {
    Input::Inbound(Inbound {
        account: AccountId(1),
        conversation: ConversationId(u128::from(mix(contact + 1)) << 64 | u128::from(contact + 1)),
        event: EventId(u128::from(mix(event)) << 64 | u128::from(event) | 1 << 63),
        customer: CustomerId(0),
        known_n: 0,
        act,
    })
}

/// Intended send and latency of every answered quiet input, in nanoseconds since the start.
struct Book {
    start: Instant,
    answered: Mutex<Vec<(u64, u64)>>,
}

impl Book {
    fn since(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.start).as_nanos() as u64
    }

    fn note(&self, sent: u64) {
        let now = self.since(Instant::now());
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).push((sent, now.saturating_sub(sent).max(1)));
    }
}

/// Woken where the cell answers, so that no other thread's wake-up stands in the figure.
struct Stamp {
    book: Arc<Book>,
    sent: u64,
    answered: AtomicBool,
}

impl Stamp {
    /// Once: an answer that comes while it is first asked for both wakes and is there.
    fn note(&self) {
        if !self.answered.swap(true, Ordering::AcqRel) {
            self.book.note(self.sent);
        }
    }
}

impl Wake for Stamp {
    fn wake(self: Arc<Self>) {
        self.note();
    }
}

/// Answers under way: a dropped one would not be told.
#[derive(Default)]
struct Waiting(VecDeque<(Submitted, Arc<Stamp>)>);

impl Waiting {
    fn send(&mut self, book: &Arc<Book>, mut answer: Submitted, sent: u64) {
        let stamp = Arc::new(Stamp { book: Arc::clone(book), sent, answered: AtomicBool::new(false) });
        match Pin::new(&mut answer).poll(&mut Context::from_waker(&Waker::from(Arc::clone(&stamp)))) {
            Poll::Pending => self.0.push_back((answer, stamp)),
            Poll::Ready(Ok(_)) => stamp.note(),
            Poll::Ready(Err(error)) => panic!("the quiet tenant was refused: {error:?}"),
        }
    }

    /// Lets go of what was answered. Order of one tenant and class is kept, so the first that waits ends the look; it is not
    /// polled, or the stamp would lose its place as the waker.
    fn sweep(&mut self) {
        while self.0.front().is_some_and(|(_, stamp)| stamp.answered.load(Ordering::Acquire)) {
            if let Some((answer, _)) = self.0.pop_front() {
                answer.wait().expect("answered");
            }
        }
    }

    /// Waits for all of them where the cell tells it, without a wake-up of its own in any figure.
    fn finish(mut self) {
        while !self.0.is_empty() {
            self.sweep();
            thread::park_timeout(Duration::from_millis(1));
        }
    }
}

/// A stretch of the run.
struct Phase {
    name: String,
    from: u64,
    until: u64,
    /// CPU of the deciding thread, wall longest single entry and longest wait for the deciding thread, in nanoseconds.
    apply_cpu: u64,
    longest_entry: u64,
    longest_wait: u64,
    entries: u64,
}

/// CPU time of this process's threads by name, in nanoseconds.
fn cpu() -> BTreeMap<String, u64> {
    let mut times = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default().trim().to_owned();
        let ran = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        *times.entry(name).or_default() += ran.split(' ').next().and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
    }
    times
}

fn apply_cpu() -> u64 {
    cpu().iter().filter(|(name, _)| name.contains("apply")).map(|(_, ran)| *ran).sum()
}

fn submit(cell: &CellHandle, tenant: TenantId, input: &Input<'_>) {
    loop {
        match cell.submit_nowait(tenant, input) {
            Ok(()) => return,
            Err(PortError::Busy { .. }) => thread::park_timeout(Duration::from_micros(200)),
            Err(error) => panic!("the cell refuses: {error:?}"),
        }
    }
}

fn activate(cell: &CellHandle, tenant: TenantId, mark: u64, text: &str) {
    let plan = policy::encode(&policy::parse("burst.toml", text).unwrap_or_else(|e| panic!("the bench's policy: {e}")));
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&(mark + 1).to_le_bytes());
    submit(cell, tenant, &Input::Admin(Admin::Policy { hash, plan: &plan }));
}

fn bootstrap(cell: &CellHandle, tenant: TenantId, text: &str, seats: u64) {
    let account =
        payload::account(&AccountProfile { name: "web".into(), delivery: Delivery::View, weight: 1, queue: String::new() });
    // Waited for: customers' entries may go before these, which are of another class.
    let wait = |input: &Input<'_>| cell.submit(tenant, input).wait().expect("taken");
    wait(&Input::Admin(Admin::Account { account: AccountId(1), profile: &account }));
    activate(cell, tenant, 0, text);
    for seat in 1..=seats {
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
}

/// Puts contacts into the loud tenant's queue until `waiting` of them stand there; `wave` makes their ids new.
fn fill(cell: &CellHandle, wave: u64, waiting: u64) {
    let stand = |cell: &CellHandle| cell.query_wait(LOUD, |tenant| tenant.ledger().waiting).expect("answers");
    for contact in stand(cell)..waiting {
        let id = wave << 40 | contact;
        let act = InboundAct::Begin { with: FirstOwner::Queue, request: ContactRequest::default() };
        submit(cell, LOUD, &inbound(id, wave << 40 | 1 << 39 | contact, act));
        if contact % 1_024 == 0 {
            // At a pace that the deciding thread keeps up with, or everybody's new contacts would be refused.
            stand(cell);
            thread::park_timeout(Duration::from_millis(5));
        }
    }
    while stand(cell) < waiting {
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// Whether the tenant wants a tick at once: timers that are due, or work that waits for fuel.
fn busy(cell: &CellHandle) -> bool {
    let now = cell.log_time();
    cell.query_wait(LOUD, move |tenant| tenant.next_deadline().is_some_and(|at| at <= now)).expect("answers")
}

struct Run {
    cell: CellHandle,
    book: Arc<Book>,
    phases: Vec<Phase>,
}

impl Run {
    /// Runs `burst`, then waits until `done` (looked at every few milliseconds), and notes the stretch.
    fn phase(&mut self, name: &str, mut done: impl FnMut(&CellHandle, Duration) -> bool, burst: impl FnOnce(&CellHandle)) {
        self.cell.reset_stages();
        let (cpu, entries) = (apply_cpu(), self.cell.status().applied.0);
        let began = Instant::now();
        burst(&self.cell);
        while !done(&self.cell, began.elapsed()) {
            thread::park_timeout(LOOK);
        }
        let until = Instant::now();
        let stages = self.cell.stages();
        let longest = |stage| stages.of(stage).map_or(0, |h| h.max());
        self.phases.push(Phase {
            name: name.to_owned(),
            from: self.book.since(began),
            until: self.book.since(until),
            apply_cpu: apply_cpu() - cpu,
            longest_entry: longest(Stage::Apply),
            longest_wait: longest(Stage::ApplyWait),
            entries: self.cell.status().applied.0 - entries,
        });
    }

    /// A stretch in which nothing but the two tenants' ordinary traffic happens.
    fn calm(&mut self, name: &str, span: Duration) {
        let looked = |cell: &CellHandle, so_far| {
            busy(cell);
            so_far >= span
        };
        self.phase(name, looked, |_| {});
    }

    /// Until the tenant has begun to want ticks and has stopped to.
    fn burst(&mut self, name: &str, begin: impl FnOnce(&CellHandle)) {
        let (mut calm_since, mut seen) = (None::<Duration>, false);
        let done = |cell: &CellHandle, so_far: Duration| {
            let busy = busy(cell);
            seen |= busy;
            if busy {
                calm_since = None;
            } else if seen || so_far > Duration::from_millis(500) {
                calm_since.get_or_insert(so_far);
            }
            // Two looks in a row, or a tick on its way would be taken for the end.
            calm_since.is_some_and(|since| so_far.saturating_sub(since) >= 2 * LOOK)
        };
        self.phase(name, done, begin);
    }
}

/// Sends both tenants' inputs at their times until `stop`. Gives the generator's own lateness and what was refused to the loud.
fn generate(cell: &CellHandle, book: &Arc<Book>, rates: (u64, u64), waiting: u64, stop: &AtomicBool) -> (Histogram<u64>, u64, u64) {
    let mut late = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("bounds");
    let mut under_way = Waiting::default();
    let (mut quiet, mut loud, mut refused) = (0_u64, 0_u64, 0_u64);
    let origin = book.since(Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let now = book.since(Instant::now()) - origin;
        let due = |rate: u64| (u128::from(now) * u128::from(rate) / 1_000_000_000) as u64;
        let (quiet_due, loud_due) = (due(rates.0), due(rates.1));
        if quiet == quiet_due && loud == loud_due {
            under_way.sweep();
            thread::park_timeout(Duration::from_micros(20));
            continue;
        }
        while quiet < quiet_due {
            let sent = origin + quiet * 1_000_000_000 / rates.0;
            late.saturating_record(book.since(Instant::now()).saturating_sub(sent).max(1));
            quiet_input(quiet, |input| under_way.send(book, cell.submit(QUIET, input), sent));
            quiet += 1;
        }
        while loud < loud_due {
            let contact = mix(loud) % waiting;
            let act = InboundAct::Message { body: &[b'l'; BODY] };
            refused += u64::from(cell.submit_nowait(LOUD, &inbound(contact, waiting + loud, act)).is_err());
            loud += 1;
        }
    }
    under_way.finish();
    (late, refused, quiet)
}

/// The costliest entries of a bare replay, by what they are: CPU of the deciding thread alone, no queue and no disk in it.
#[derive(Default)]
struct Costliest(BTreeMap<&'static str, Histogram<u64>>);

impl Costliest {
    fn note(&mut self, tenant: TenantId, bytes: &[u8], ran: u64) {
        let kind = match codec::decode(bytes).map(|entry| entry.input) {
            Ok(Input::Tick) => "tick",
            Ok(Input::Hash) => "hash",
            Ok(Input::Admin(Admin::Policy { .. })) => "policy",
            Ok(_) if tenant == QUIET => "quiet tenant's",
            _ => "loud tenant's",
        };
        let fresh = || Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("bounds");
        self.0.entry(kind).or_insert_with(fresh).saturating_record(ran.max(1));
    }

    fn print(&self) {
        for (kind, h) in &self.0 {
            let q = |q| h.value_at_quantile(q) as f64 / 1e3;
            println!(
                "  bare replay, {kind:<15} n {:>7}  CPU us p50 {:>7.1} p99 {:>7.1} p99.9 {:>7.1} max {:>8.1}",
                h.len(),
                q(0.5),
                q(0.99),
                q(0.999),
                h.max() as f64 / 1e3
            );
        }
    }
}

/// Replays what the disk holds and compares both tenants' digests.
fn check(cell: CellHandle, disk: RealDisk) -> (u64, Costliest) {
    let digest = |tenant| cell.query_wait(tenant, |tenant| tenant.full_digest()).expect("answers");
    let (digests, until) = loop {
        let before = cell.status().applied;
        let digests = [digest(QUIET), digest(LOUD)];
        if cell.status().applied == before {
            break (digests, before);
        }
    };
    cell.drain().expect("drains");
    drop(cell);
    let options = Options { on_damage: OnDamage::ReadOnly, ..Options::default() };
    let (journal, _) = Journal::open(disk, options).expect("opens");
    let (mut machines, mut outputs, mut entries) = (Machines::new(), Vec::new(), 0);
    let mut costliest = Costliest::default();
    let mut scan = journal.scan(Position::START);
    while let Some(step) = scan.step().expect("readable") {
        let ScanStep::Entry(entry) = step else { panic!("a hole in the log") };
        if entry.index > until.0 {
            break;
        }
        outputs.clear();
        let began = cpu_ns();
        let replayed = machines.replay(entry.payload, &mut outputs).expect("replays");
        let ran = cpu_ns() - began;
        costliest.note(replayed.tenant, entry.payload, ran);
        entries += 1;
    }
    let replayed = [QUIET, LOUD].map(|tenant| machines.get(tenant).expect("the tenant").full_digest());
    assert_eq!(replayed, digests, "parity: the log replayed gives another state");
    (entries, costliest)
}

fn spread(samples: &[(u64, u64)], phases: &[&Phase]) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("bounds");
    for (sent, latency) in samples {
        if phases.iter().any(|phase| (phase.from..phase.until).contains(sent)) {
            histogram.saturating_record(*latency);
        }
    }
    histogram
}

/// Calm stretches, which every ratio is against.
fn is_calm(phase: &Phase) -> bool {
    phase.name.starts_with("calm") || phase.name == "between"
}

/// The p99 of every window by itself, the median of them.
fn median_p99(samples: &[(u64, u64)], windows: impl Iterator<Item = (u64, u64)>) -> f64 {
    let mut each: Vec<u64> = windows
        .map(|(from, until)| {
            let first = samples.partition_point(|(sent, _)| *sent < from);
            let last = samples.partition_point(|(sent, _)| *sent < until);
            let mut inside: Vec<u64> = samples[first..last].iter().map(|(_, latency)| *latency).collect();
            inside.sort_unstable();
            inside.get((inside.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0)
        })
        .collect();
    each.sort_unstable();
    each.get(each.len() / 2).map_or(0.0, |p99| *p99 as f64 / 1e3)
}

fn print(phases: &[Phase], samples: &[(u64, u64)]) {
    let mut names: Vec<&str> = Vec::new();
    for phase in phases {
        if !names.contains(&phase.name.as_str()) {
            names.push(&phase.name);
        }
    }
    let calm: Vec<&Phase> = phases.iter().filter(|phase| is_calm(phase)).collect();
    let pooled = spread(samples, &calm).value_at_quantile(0.99) as f64 / 1e3;
    // Calm windows as long as the bursts are: a longer one meets more of the machine's own stalls.
    let typical = |length: u64| {
        let pieces = calm.iter().flat_map(|phase| {
            let whole = (phase.until - phase.from) / length;
            (0..whole).map(move |i| (phase.from + i * length, phase.from + (i + 1) * length))
        });
        median_p99(samples, pieces)
    };
    println!("  all calm together: p99 {pooled:.0} us");
    println!(
        "  | quiet tenant, intended send to answer, us | n | p50 | p99 | / calm | median p99 of windows | / calm ones | p99.9 | max | worked off, ms | longest entry | longest wait for apply | apply CPU, ms each |"
    );
    println!("  |---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for name in names {
        let of: Vec<&Phase> = phases.iter().filter(|phase| phase.name == name).collect();
        let h = spread(samples, &of);
        let q = |q| h.value_at_quantile(q) as f64 / 1e3;
        let length = of.iter().map(|phase| phase.until - phase.from).sum::<u64>() / of.len() as u64;
        let typical = typical(length.min(SPAN_MAX));
        let each = median_p99(samples, of.iter().map(|phase| (phase.from, phase.until)));
        let most = |f: fn(&Phase) -> u64| of.iter().map(|phase| f(phase)).max().unwrap_or(0) as f64;
        let cpu: u64 = of.iter().map(|phase| phase.apply_cpu).sum();
        if let Ok("1") = std::env::var("TIDEGATE_BENCH_EACH").as_deref() {
            let each: Vec<String> =
                of.iter().map(|p| format!("{:.0}/{:.0}", p.longest_entry as f64 / 1e3, p.longest_wait as f64 / 1e3)).collect();
            println!("  {name}, longest entry / wait of each, us: {}", each.join(" "));
        }
        println!(
            "  | {name} x{} ({} entries) | {} | {:.0} | {:.0} | {:.2} | {each:.0} | {:.2} | {:.0} | {:.0} | {:.1} | {:.0} | {:.0} | {:.1} |",
            of.len(),
            of.iter().map(|phase| phase.entries).sum::<u64>(),
            h.len(),
            q(0.5),
            q(0.99),
            q(0.99) / pooled,
            each / typical,
            q(0.999),
            h.max() as f64 / 1e3,
            most(|phase| phase.until - phase.from) / 1e6,
            most(|phase| phase.longest_entry) / 1e3,
            most(|phase| phase.longest_wait) / 1e3,
            cpu as f64 / 1e6 / of.len() as f64,
        );
    }
}

fn start(directory: &Path) -> (CellHandle, Floor, RealDisk, u32) {
    let limits = Limits { dedup_events: 1 << 20, ..Limits::LARGE };
    let limits = Limits { fuel: variable("TIDEGATE_BENCH_FUEL", u64::from(limits.fuel)) as u32, ..limits };
    let config = CellConfig {
        tenants: [QUIET, LOUD].map(|id| TenantSeed { id, limits }).to_vec(),
        retain: Retain::All,
        // No snapshot falls into a phase: what one costs is measured by the pipeline bench.
        snapshot_entries: 1 << 30,
        snapshot_bytes: 1 << 38,
        ..CellConfig::default()
    };
    let disk = RealDisk::open(directory.join("burst")).expect("a directory");
    let floor = Floor::default();
    let (cell, _) = Cell::start(config, disk.clone(), Box::new(floor.clone())).expect("the cell starts");
    floor.cell.set(cell.clone()).unwrap_or_else(|_| unreachable!("set once"));
    (cell, floor, disk, limits.fuel)
}

fn main() {
    as_the_binary();
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let directory = std::env::var_os("TIDEGATE_BENCH_DIR").map_or_else(|| scratch.path().to_path_buf(), PathBuf::from);
    let rates = (variable("TIDEGATE_BENCH_RATE", 5_000), variable("TIDEGATE_BENCH_LOUD", 1_000));
    let waiting = variable("TIDEGATE_BENCH_WAITING", 100_000);
    let calm = Duration::from_secs(variable("TIDEGATE_BENCH_SECONDS", 10));
    let (cell, floor, disk, fuel) = start(&directory);
    println!(
        "burst: quiet {}/s, loud {}/s and {waiting} waiting, fuel {fuel}, {} cores, load {}",
        rates.0,
        rates.1,
        thread::available_parallelism().map_or(0, usize::from),
        load()
    );
    bootstrap(&cell, QUIET, QUIET_POLICY, QUIET_SEATS);
    bootstrap(&cell, LOUD, &loud_policy(0, None, false), LOUD_SEATS);
    fill(&cell, 0, waiting);

    let book = Arc::new(Book { start: Instant::now(), answered: Mutex::new(Vec::with_capacity(1 << 21)) });
    let stop = AtomicBool::new(false);
    let mut run = Run { cell: cell.clone(), book: Arc::clone(&book), phases: Vec::new() };
    let (late, refused, sent) = thread::scope(|scope| {
        let generator = thread::Builder::new()
            .name("generator".into())
            .spawn_scoped(scope, || generate(&cell, &book, rates, waiting, &stop))
            .expect("a thread");
        // To warm up, not counted.
        run.calm("warm-up", Duration::from_secs(1));
        run.phases.clear();
        run.calm("calm", calm);
        let rounds = variable("TIDEGATE_BENCH_ROUNDS", 20);
        for round in 1..=rounds {
            let text = loud_policy(round, Some(LASTS), false);
            let swapped = Instant::now();
            run.burst("policy swap", |cell| activate(cell, LOUD, round, &text));
            // Until just before the deadlines, which all of them share.
            let due = swapped + LASTS - Duration::from_millis(5);
            run.calm("between", due.saturating_duration_since(Instant::now()));
            run.burst("timers due at once", |_| {});
            run.calm("between", Duration::from_millis(500));
        }
        for wave in 1..=rounds.div_ceil(4) {
            let round = rounds + 2 * wave;
            run.burst("swap, and all give up", |cell| activate(cell, LOUD, round, &loud_policy(round, None, true)));
            activate(&run.cell, LOUD, round + 1, &loud_policy(round + 1, None, false));
            fill(&run.cell, wave, waiting);
            run.calm("between", Duration::from_millis(500));
        }
        run.calm("calm after", calm / 2);
        stop.store(true, Ordering::Relaxed);
        generator.join().expect("the generator")
    });
    let mut samples = book.answered.lock().unwrap_or_else(PoisonError::into_inner).clone();
    samples.sort_unstable();
    assert_eq!(samples.len() as u64, sent, "every quiet input was answered, once");
    let (entries, costliest) = check(cell, disk);
    println!(
        "  {entries} entries replayed, both digests equal; loud: {} offers, {} steps remapped, {} exits, {refused} inputs refused; load {}",
        floor.offers.load(Ordering::Relaxed),
        floor.remapped.load(Ordering::Relaxed),
        floor.exits.load(Ordering::Relaxed),
        load()
    );
    println!(
        "  generator late p50 {:.0} p99 {:.0} max {:.0} us",
        late.value_at_quantile(0.5) as f64 / 1e3,
        late.value_at_quantile(0.99) as f64 / 1e3,
        late.max() as f64 / 1e3
    );
    print(&run.phases, &samples);
    costliest.print();
}
