//! One input at a million resident conversations: the measurement that the cell design rests on, kept.
//!
//! State: 1,000,000 conversations (about 870,000 with a bot, 100,000 waiting, 28,000 in service), 10,000 seats of three units
//! in 200 profiles, 64 lanes in use. Mix by weight as in the first spike: 1 arrival, 5 customer and 5 agent messages, 1
//! acceptance (2 % declines), 1 end, 1 wrap-up; a tick of 5 ms every 100 inputs. Messages hit the resident conversations
//! uniformly (cold). CPU is the thread's own; every variant works off the same entries on a restored copy of the same state,
//! and the output digests must be equal before a speed is printed. `TIDEGATE_BENCH_SCALE=n` divides the state by n.
//!
//! Inputs are timed one by one three ways: on the machine that grew, on a restored copy, and on a restored copy whose memory
//! was written ahead (`Tenant::prefault`). The slowest by the thread's own CPU (which counts the kernel's work at a fresh page
//! and not the turns of others on a busy machine) are printed with their kind, with every table that had no room left and
//! moved, and with the page faults of the thread in that input. A virtual machine is stopped by its host without a trace in
//! either clock; so the machine's own stalls are read from a loop that only counts, and of each input the shortest of its
//! three times is kept: what is long because of the input is long on every copy, for all three do the same work.
//!
//! Last, one input after a pause, at 1,000 seats: the deciding thread of a node with little to do works with cold caches,
//! beside a walk over as much memory as an input touches, after the same pause.

use hdrhistogram::Histogram;
use std::time::Instant;
use tidegate_benches::{as_the_binary, cpu_ns, load, variable};
use tidegate_core::{Guard, Tenant, payload, policy};
use tidegate_matcher::guard::catch_plan;
use tidegate_model::input::{Admin, ContactRequest, FirstOwner, Inbound, InboundAct, Input, SeatAct, SeatInput};
use tidegate_model::limits::Limits;
use tidegate_model::output::{Output, SeatNotice};
use tidegate_model::policy::{AccountProfile, AgentProfile, Delivery, Requirement};
use tidegate_model::{
    AccountId, ClaimId, CommandId, ConversationId, CustomerId, EventId, Level, OfferId, QueueName, ReasonName, SeatId, Seq,
    TenantId, Timestamp, codec,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TENANT: TenantId = TenantId(1);
const SEATS: u64 = 10_000;
const QUEUES: u64 = 32;
const BATCH: usize = 4_096;

struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        ((u128::from(tidegate_model::name::mix(self.0)) * u128::from(bound.max(1))) >> 64) as u64
    }
}

fn policy_text() -> String {
    let mut text = String::from(
        "name = \"bench\"\ndefault_queue = \"q0\"\ndefault_class = \"regular\"\nidle_close_after = \"24h\"\nselection = \"best-skilled\"\n",
    );
    let skills: Vec<String> = (0..QUEUES).map(|i| format!("\"s{i}\"")).collect();
    text += &format!(
        "skills = [{}]\n[[class]]\nname = \"regular\"\n[[class]]\nname = \"gold\"\nhead_start = \"30s\"\n",
        skills.join(",")
    );
    for q in 0..QUEUES {
        text += &format!(
            "[[queue]]\nname = \"q{q}\"\noffer_timeout = \"20min\"\nwrap_up = \"20min\"\nlength_max = 1000000\noverdue_after = \"10h\"\n\
             [[queue.step]]\nname = \"a\"\nrequires = {{ s{q} = 1 }}\n"
        );
    }
    text
}

struct Floor {
    tenant: Tenant,
    rng: Rng,
    seq: u64,
    now: u64,
    events: u64,
    resident: Vec<ConversationId>,
    offers: Vec<(SeatId, OfferId)>,
    claims: Vec<(SeatId, ClaimId)>,
    wrap_ups: Vec<(SeatId, ClaimId)>,
}

fn conversation(n: u64) -> ConversationId {
    ConversationId(u128::from(tidegate_model::name::mix(n ^ 0x5555)) << 64 | u128::from(tidegate_model::name::mix(n)))
}

impl Floor {
    fn new(scale: u64) -> Self {
        let limits = Limits { dedup_events: 1 << 20, ..Limits::LARGE };
        let mut floor = Self {
            tenant: Tenant::new(TENANT, limits, Guard(catch_plan)),
            rng: Rng(42),
            seq: 0,
            now: 1_000_000,
            events: 0,
            resident: Vec::new(),
            offers: Vec::new(),
            claims: Vec::new(),
            wrap_ups: Vec::new(),
        };
        let account =
            payload::account(&AccountProfile { name: "web".into(), delivery: Delivery::View, weight: 1, queue: String::new() });
        floor.apply(&Input::Admin(Admin::Account { account: AccountId(1), profile: &account }));
        let plan = policy::encode(&policy::parse("bench.toml", &policy_text()).expect("the bench's policy"));
        floor.apply(&Input::Admin(Admin::Policy { hash: [1; 32], plan: &plan }));
        let seats = SEATS / scale;
        for seat in 1..=seats {
            let class = seat % 200;
            let skills = (0..6)
                .map(|i| Requirement {
                    skill: format!("s{}", (class * 7 + i * 5) % QUEUES),
                    level: Level(1 + (class / 32 + i) as u8 % 10),
                })
                .collect();
            let profile = payload::agent(&AgentProfile { name: format!("a{seat}"), skills, units: 3, cost_ms: 0 });
            floor.apply(&Input::Admin(Admin::Agent { seat: SeatId(seat), profile: &profile }));
            for act in [SeatAct::SignIn, SeatAct::Ready] {
                let command = floor.command();
                floor.apply(&Input::Seat(SeatInput { seat: SeatId(seat), command, act }));
            }
        }
        for n in 0..870_000 / scale {
            floor.begin(conversation(n), FirstOwner::Bot);
            floor.resident.push(conversation(n));
        }
        for n in 0..130_000 / scale {
            floor.begin(conversation(1 << 32 | n), FirstOwner::Queue);
        }
        // Everything offered is accepted, but some.
        while floor.offers.len() as u64 > 1_500 / scale {
            let (seat, offer) = floor.offers.swap_remove(0);
            let command = floor.command();
            floor.apply(&Input::Seat(SeatInput { seat, command, act: SeatAct::Accept { offer } }));
        }
        floor
    }

    fn command(&mut self) -> CommandId {
        self.events += 1;
        CommandId(u128::from(self.events) << 20 | 3)
    }

    fn begin(&mut self, conversation: ConversationId, with: FirstOwner) {
        let request = self.request();
        let inbound = self.inbound(conversation, InboundAct::Begin { with, request });
        self.apply(&Input::Inbound(inbound));
    }

    fn request(&mut self) -> ContactRequest {
        ContactRequest { queue: QueueName::of(&format!("q{}", self.rng.below(QUEUES))), ..ContactRequest::default() }
    }

    fn inbound<'a>(&mut self, conversation: ConversationId, act: InboundAct<'a>) -> Inbound<'a> {
        self.events += 1;
        let event = EventId(u128::from(tidegate_model::name::mix(self.events)) << 64 | u128::from(self.events));
        Inbound { account: AccountId(1), conversation, event, customer: CustomerId(0), known_n: 0, act }
    }

    fn apply(&mut self, input: &Input<'_>) {
        self.seq += 1;
        self.tenant.handle(Timestamp(self.now), Seq(self.seq), *input);
        while let Some(output) = self.tenant.poll_output() {
            note(&output, &mut self.offers, &mut self.claims, &mut self.wrap_ups);
        }
    }

    /// The next batch of encoded, stamped entries, from what the pools hold now.
    fn batch(&mut self) -> Vec<Vec<u8>> {
        let body = [b'x'; 150];
        let mut entries = Vec::with_capacity(BATCH);
        while entries.len() < BATCH {
            let kind = self.rng.below(14);
            let command = self.command();
            let seat = |seat, act| Input::Seat(SeatInput { seat, command, act });
            let take = |pool: &mut Vec<(SeatId, ClaimId)>, rng: &mut Rng| {
                (!pool.is_empty()).then(|| pool.swap_remove(rng.below(pool.len() as u64) as usize))
            };
            let input = match kind {
                0 => {
                    let request = self.request();
                    let id = conversation(2 << 32 | self.events);
                    Some(Input::Inbound(self.inbound(id, InboundAct::Begin { with: FirstOwner::Queue, request })))
                }
                1..=5 => {
                    let id = self.resident[self.rng.below(self.resident.len() as u64) as usize];
                    Some(Input::Inbound(self.inbound(id, InboundAct::Message { body: &body })))
                }
                6..=10 if !self.claims.is_empty() => {
                    let (s, claim) = self.claims[self.rng.below(self.claims.len() as u64) as usize];
                    Some(seat(s, SeatAct::Send { claim, body: &body }))
                }
                11 if !self.offers.is_empty() => {
                    let place = self.rng.below(self.offers.len() as u64) as usize;
                    let (s, offer) = self.offers.swap_remove(place);
                    let declined = self.rng.below(50) == 0;
                    let reason = ReasonName::of("no");
                    Some(seat(s, if declined { SeatAct::Decline { offer, reason } } else { SeatAct::Accept { offer } }))
                }
                12 => take(&mut self.claims, &mut self.rng).map(|(s, claim)| seat(s, SeatAct::End { claim })),
                13 => take(&mut self.wrap_ups, &mut self.rng)
                    .map(|(s, claim)| seat(s, SeatAct::WrapUp { claim, code: ReasonName::NONE })),
                _ => None,
            };
            let Some(input) = input else { continue };
            if entries.len() % 100 == 0 {
                self.now += 5;
            }
            self.seq += 1;
            let mut bytes = Vec::with_capacity(256);
            codec::encode(&mut bytes, TENANT, &input);
            codec::stamp(&mut bytes, Seq(self.seq), Timestamp(self.now));
            entries.push(bytes);
        }
        entries
    }
}

fn note(
    output: &Output,
    offers: &mut Vec<(SeatId, OfferId)>,
    claims: &mut Vec<(SeatId, ClaimId)>,
    wrap_ups: &mut Vec<(SeatId, ClaimId)>,
) {
    if let Output::Seat { seat, notice } = output {
        match notice {
            SeatNotice::Offered { offer, .. } => offers.push((*seat, *offer)),
            SeatNotice::Assigned { claim, .. } => claims.push((*seat, *claim)),
            SeatNotice::WrapUp { claim, .. } => wrap_ups.push((*seat, *claim)),
            SeatNotice::Rescinded { offer, .. } => offers.retain(|(_, o)| o != offer),
            _ => {}
        }
    }
}

/// Works off a batch; mean CPU ns an input.
fn work(tenant: &mut Tenant, batch: &[Vec<u8>], prefetch: bool, out: &mut Vec<Output>) -> f64 {
    let started = cpu_ns();
    for (i, bytes) in batch.iter().enumerate() {
        if prefetch {
            if let Some(far) = batch.get(i + 16) {
                tenant.prefetch_far(far);
            }
            if let Some(near) = batch.get(i + 8) {
                tenant.prefetch_near(near);
            }
        }
        let entry = codec::decode(bytes).expect("own entry");
        tenant.handle(entry.at, entry.seq, entry.input);
        while let Some(output) = tenant.poll_output() {
            out.push(output);
        }
    }
    (cpu_ns() - started) as f64 / batch.len() as f64
}

/// An input that took long.
#[derive(Clone)]
struct Slow {
    cpu_ns: u64,
    wall_ns: u64,
    round: usize,
    index: usize,
    kind: u8,
    moved: Vec<&'static str>,
    faults: u64,
}

/// Times every input alone, and looks at what the slow ones did.
struct Each {
    name: &'static str,
    wall: Histogram<u64>,
    cpu: Histogram<u64>,
    slow: Vec<Slow>,
    /// Of every input in its order, in nanoseconds.
    all: Vec<u64>,
    room: Vec<(&'static str, usize)>,
}

impl Each {
    fn new(name: &'static str, tenant: &Tenant) -> Self {
        let histogram = Histogram::new(3).expect("three digits");
        Self { name, wall: histogram.clone(), cpu: histogram, slow: Vec::new(), all: Vec::new(), room: tenant.room() }
    }

    fn work(&mut self, round: usize, tenant: &mut Tenant, batch: &[Vec<u8>], out: &mut Vec<Output>) {
        let mut faults = page_faults();
        for (i, bytes) in batch.iter().enumerate() {
            if let Some(far) = batch.get(i + 16) {
                tenant.prefetch_far(far);
            }
            if let Some(near) = batch.get(i + 8) {
                tenant.prefetch_near(near);
            }
            let (cpu, started) = (cpu_ns(), Instant::now());
            let entry = codec::decode(bytes).expect("own entry");
            tenant.handle(entry.at, entry.seq, entry.input);
            while let Some(output) = tenant.poll_output() {
                out.push(output);
            }
            let (wall_ns, cpu_ns) = (started.elapsed().as_nanos() as u64, cpu_ns() - cpu);
            self.wall.record(wall_ns).ok();
            self.cpu.record(cpu_ns).ok();
            self.all.push(cpu_ns.min(wall_ns));
            if cpu_ns > 50_000 {
                let room = tenant.room();
                let moved = room.iter().zip(&self.room).filter(|(now, before)| now.1 != before.1).map(|(now, _)| now.0).collect();
                let now = page_faults();
                self.slow.push(Slow { cpu_ns, wall_ns, round, index: i, kind: bytes[1], moved, faults: now - faults });
                (self.room, faults) = (room, now);
            }
        }
    }

    fn print(&mut self, tenant: &Tenant) {
        println!("  each input alone, {}, ns, timer included (asked: p99 5,000, max 1,000,000):", self.name);
        for (clock, h) in [("wall", &self.wall), ("CPU of the thread", &self.cpu)] {
            let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|q| h.value_at_quantile(q));
            println!("    {clock:<18} p50 {p50}, p99 {p99}, p99.9 {p999}, max {}", h.max());
        }
        self.slow.sort_by_key(|slow| std::cmp::Reverse(slow.cpu_ns));
        println!("    {} above 50 us of CPU; the slowest:", self.slow.len());
        for Slow { cpu_ns, wall_ns, round, index, kind, moved, faults } in self.slow.iter().take(8) {
            println!(
                "    {:>7} us ({} us wall)  batch {round} input {index} kind {kind}, {faults} faults since the one before it, moved {moved:?}",
                cpu_ns / 1_000,
                wall_ns / 1_000
            );
        }
        let room = tenant.room();
        let moved: Vec<_> = room.iter().zip(&self.room).filter(|(now, before)| now.1 != before.1).map(|(now, _)| now.0).collect();
        println!("    tables that moved in other inputs: {moved:?}");
    }
}

fn stat(file: &str, field: usize) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let behind = text.rsplit(')').next().unwrap_or_default();
    behind.split_ascii_whitespace().nth(field).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Minor page faults of this thread.
fn page_faults() -> u64 {
    stat("/proc/thread-self/stat", 7)
}

/// Resident memory, in MB.
fn resident_mb() -> f64 {
    stat("/proc/self/stat", 21) as f64 * 4096.0 / 1e6
}

/// A loop that only counts for as long as an input takes, as often as inputs were timed: what is long there is the machine.
fn stalls(times: usize) {
    let mut spread = Histogram::<u64>::new(3).expect("three digits");
    let mut sum = 1_u64;
    for _ in 0..times {
        let started = Instant::now();
        for _ in 0..300 {
            sum = std::hint::black_box(tidegate_model::name::mix(sum));
        }
        spread.record(started.elapsed().as_nanos() as u64).ok();
    }
    println!(
        "  a loop that only counts, {times} times, wall ns: p50 {}, p99 {}, p99.9 {}, max {}",
        spread.value_at_quantile(0.5),
        spread.value_at_quantile(0.99),
        spread.value_at_quantile(0.999),
        spread.max()
    );
}

/// Words walked after a pause, a cache line each: about what an input touches.
const LINES: usize = 40;

/// One input after the thread has slept, beside a walk through memory after the same sleep.
fn after_a_pause() {
    let mut floor = Floor::new(10);
    let lines: Vec<[u64; 8]> = (0..1_u64 << 20).map(|i| [tidegate_model::name::mix(i); 8]).collect();
    let mut out = Vec::new();
    println!(
        "  one input after a pause, 1,000 seats, 100,000 conversations; wall ns p50 / p99, and of {LINES} lines walked in 64 MiB:"
    );
    for (pause, times) in [(0, 20_000), (100, 10_000), (1_000, 3_000), (10_000, 400)] {
        let (mut inputs, mut walk) = (Histogram::<u64>::new(3).expect("digits"), Histogram::<u64>::new(3).expect("digits"));
        let pause = std::time::Duration::from_micros(pause);
        let rest = || {
            if !pause.is_zero() {
                std::thread::park_timeout(pause)
            }
        };
        let mut sum = 0_u64;
        while inputs.len() < times {
            for bytes in floor.batch().iter().take((times - inputs.len()) as usize) {
                rest();
                let started = Instant::now();
                for _ in 0..LINES {
                    sum = lines[(sum as usize) % lines.len()][0].wrapping_add(sum);
                }
                std::hint::black_box(sum);
                walk.record(started.elapsed().as_nanos() as u64).ok();
                rest();
                let started = Instant::now();
                let entry = codec::decode(bytes).expect("own entry");
                floor.tenant.handle(entry.at, entry.seq, entry.input);
                while let Some(output) = floor.tenant.poll_output() {
                    out.push(output);
                }
                inputs.record(started.elapsed().as_nanos() as u64).ok();
            }
            for output in out.drain(..) {
                note(&output, &mut floor.offers, &mut floor.claims, &mut floor.wrap_ups);
            }
        }
        let [a, b] = [&inputs, &walk].map(|h| (h.value_at_quantile(0.5), h.value_at_quantile(0.99)));
        println!("    {:>6} us  {:>7} / {:>7}    {:>7} / {:>7}", pause.as_micros(), a.0, a.1, b.0, b.1);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    as_the_binary();
    let scale = variable("TIDEGATE_BENCH_SCALE", 1).max(1);
    println!("apply: one input at {} resident conversations; load {}", 1_000_000 / scale, load());
    let started = Instant::now();
    let mut floor = Floor::new(scale);
    println!("  set up in {:.1} s: {:?}", started.elapsed().as_secs_f64(), floor.tenant.ledger());

    let started = Instant::now();
    let mut snapshot = Vec::new();
    floor.tenant.snapshot(&mut snapshot);
    let written = started.elapsed();
    let started = Instant::now();
    let restored = Tenant::restore(&snapshot, Guard(catch_plan)).expect("own snapshot");
    println!(
        "  snapshot {:.0} MB: written in {:.0} ms (asked 1,000), restored in {:.0} ms (asked 2,000)",
        snapshot.len() as f64 / 1e6,
        written.as_secs_f64() * 1e3,
        started.elapsed().as_secs_f64() * 1e3
    );
    assert_eq!(restored.full_digest(), floor.tenant.full_digest(), "equal at restore");

    let variants = [("guard, prefetch", true, true), ("guard, no prefetch", true, false), ("no guard, prefetch", false, true)];
    let mut twins: Vec<Tenant> = vec![restored];
    for (_, guarded, _) in &variants[1..] {
        let guard = if *guarded { Guard(catch_plan) } else { Guard::none() };
        twins.push(Tenant::restore(&snapshot, guard).expect("own snapshot"));
    }
    let before = resident_mb();
    let mut plain = Tenant::restore(&snapshot, Guard(catch_plan)).expect("own snapshot");
    println!("  a restored copy takes {:.0} MB of resident memory", resident_mb() - before);
    let mut ahead = Tenant::restore(&snapshot, Guard(catch_plan)).expect("own snapshot");
    let (before, started) = (resident_mb(), Instant::now());
    let written_ahead = ahead.prefault(usize::MAX);
    println!(
        "  written ahead: {:.0} MB in {:.0} ms; resident memory grew by {:.0} MB",
        written_ahead as f64 / 1e6,
        started.elapsed().as_secs_f64() * 1e3,
        resident_mb() - before
    );
    {
        let (before, started) = (resident_mb(), Instant::now());
        let mut empty = Tenant::new(TENANT, Limits::LARGE, Guard(catch_plan));
        let made = resident_mb() - before;
        let written = empty.prefault(usize::MAX);
        println!(
            "  an empty tenant with the largest preset of limits: {made:.0} MB; written ahead {:.0} MB in {:.0} ms, {:.0} MB resident",
            written as f64 / 1e6,
            started.elapsed().as_secs_f64() * 1e3,
            resident_mb() - before
        );
    }
    let mut again = Vec::new();
    ahead.snapshot(&mut again);
    assert!(again == snapshot, "memory written ahead is not state");
    drop(again);
    drop(snapshot);
    let rounds = 100_usize;
    let mut means: Vec<Vec<f64>> = vec![Vec::new(); variants.len()];
    let mut grown = Each::new("as it grew", &floor.tenant);
    let mut each = [Each::new("restored", &plain), Each::new("restored, memory written ahead", &ahead)];
    let mut out = Vec::with_capacity(BATCH * 8);
    for round in 0..rounds {
        let batch = floor.batch();
        // The floor's own machine and two copies are timed input by input, the other copies batch by batch.
        for (each, tenant) in each.iter_mut().zip([&mut plain, &mut ahead]) {
            each.work(round, tenant, &batch, &mut out);
            out.clear();
        }
        grown.work(round, &mut floor.tenant, &batch, &mut out);
        for output in out.drain(..) {
            note(&output, &mut floor.offers, &mut floor.claims, &mut floor.wrap_ups);
        }
        for ((twin, (_, _, prefetch)), means) in twins.iter_mut().zip(&variants).zip(&mut means) {
            means.push(work(twin, &batch, *prefetch, &mut out));
            out.clear();
        }
    }
    let copies = [(&plain, "restored"), (&ahead, "written ahead")];
    for (twin, name) in twins.iter().zip(variants.iter().map(|(name, ..)| *name)).chain(copies) {
        assert_eq!(twin.digests(), floor.tenant.digests(), "restore-then-continue equals continue: {name}");
        assert_eq!(twin.full_digest(), floor.tenant.full_digest(), "restore-then-continue equals continue: {name}");
    }
    println!("  {} inputs a variant; restore-then-continue equals continue; mean CPU an input, median batch:", rounds * BATCH);
    for ((name, ..), means) in variants.iter().zip(means) {
        println!("    {name:<20} {:>6.0} ns", median(means));
    }
    grown.print(&floor.tenant);
    for (each, tenant) in each.iter_mut().zip([&plain, &ahead]) {
        each.print(tenant);
    }
    stalls(rounds * BATCH);
    let [plain, ahead] = &each;
    let mut shortest = Histogram::<u64>::new(3).expect("three digits");
    for ((a, b), c) in grown.all.iter().zip(&plain.all).zip(&ahead.all) {
        shortest.record(*a.min(b).min(c)).ok();
    }
    println!(
        "  the shortest of an input's three times, ns: p99 {}, p99.9 {}, max {} (asked: max 1,000,000)",
        shortest.value_at_quantile(0.99),
        shortest.value_at_quantile(0.999),
        shortest.max()
    );
    after_a_pause();
    println!("  ledger at the end: {:?}; load {}", floor.tenant.ledger(), load());
}
