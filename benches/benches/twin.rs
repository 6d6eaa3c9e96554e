//! The twin: the bank week through the whole tenant machine, and a log's replay, on one thread.
//!
//! Printed: the week's wall and CPU time with contacts and inputs a second (bound: 1 s), the same with its plan and reading of
//! the file, a replay of its log, a replay of twenty tenants' weeks in one log (over a million inputs), and beside them what
//! the same entries cost without a machine (decoding alone: the limit of any replay). Every run's digests must equal the first
//! one's before a speed is printed. `TIDEGATE_BENCH_SCALE=n` divides the tenants by n.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;
use tidegate_benches::{cpu_ns, load};
use tidegate_model::{Seq, TenantId, Timestamp, codec};
use tidegate_sim::bank::{BankWeek, Between, DeskHabits, STORM_DAY, Script};
use tidegate_sim::kernel::Streams;
use tidegate_sim::report::{Origin, Summary, figures_table};
use tidegate_sim::trace::{Limits, Mode, read_file};
use tidegate_sim::twin::bank::{BankRun, Play, WITHIN_MS, play};
use tidegate_sim::twin::{EntryLog, Keep, Replay};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 9;

/// Median wall and CPU time of [`ROUNDS`] runs, in nanoseconds.
fn timed(mut run: impl FnMut()) -> (u64, u64) {
    let mut rounds: Vec<(u64, u64)> = (0..ROUNDS)
        .map(|_| {
            let (cpu, wall) = (cpu_ns(), Instant::now());
            run();
            (wall.elapsed().as_nanos() as u64, cpu_ns() - cpu)
        })
        .collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}

/// Rates are of the thread's own time: wall time is what a shared machine makes of it.
fn print(what: &str, (wall, cpu): (u64, u64), contacts: u64, inputs: u64) {
    let per_second = |count: u64| count as f64 * 1e9 / cpu as f64;
    println!(
        "{what:<40} wall {:>8.2} ms  CPU {:>8.2} ms: {:>9.0} contacts/s {:>10.0} inputs/s {:>5.0} ns an input",
        wall as f64 / 1e6,
        cpu as f64 / 1e6,
        per_second(contacts),
        per_second(inputs),
        cpu as f64 / inputs as f64,
    );
}

fn main() {
    println!("twin, one thread, median of {ROUNDS} rounds; load average {}", load());
    let script = bank_week();
    many_tenants(&script);
}

fn bank_week() -> Script {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "examples", "bank-1999", "anonymous_bank_1999-05-16_to_23.csv.gz"].iter().collect();
    let streams = Streams::seeded(1999);
    let prepare = || {
        let rows = read_file(&path, Mode::Lenient, Limits::default()).expect("the sample is readable").rows;
        let week = BankWeek::plan(&rows, &streams).expect("rows");
        let between = Between::of(&rows);
        (Script::of(&week.days, &between, &streams), week, between)
    };
    let (script, week, between) = prepare();
    let first = play(&script, Play::default()).expect("the bank's policy is sound");
    let (contacts, inputs) = (script.visits.len() as u64, first.tenant.inputs);
    println!(
        "bank week: {contacts} rows, {inputs} inputs ({} ticks), {} decisions",
        first.ticks,
        first.tenant.decision_digests.len()
    );

    let whole = timed(|| {
        let run = play(&prepare().0, Play::default()).expect("sound");
        assert_eq!(run.tenant.digests, first.tenant.digests);
    });
    print("bank week, file to summaries", whole, contacts, inputs);
    let played = timed(|| {
        let run = play(&script, Play::default()).expect("sound");
        assert_eq!(run.tenant.digests, first.tenant.digests);
    });
    print("bank week, played to the whole tenant", played, contacts, inputs);
    println!(
        "{}: the bank week in {:.3} s, bound 1 s",
        if whole.0 <= 1_000_000_000 { "kept" } else { "MISSED" },
        whole.0 as f64 / 1e9
    );
    let replayed = timed(|| {
        let report = Replay::run(Keep::DecisionDigests, first.log.iter());
        let tenant = report.tenants.values().next().expect("one tenant");
        assert!(first.tenant.parity(tenant).holds() && first.tenant.digests == tenant.digests);
    });
    print("bank week, its log replayed", replayed, contacts, inputs);
    print("the same entries, decoded only", timed(|| decode_all(&first.log)), contacts, inputs);

    let day = week.day(STORM_DAY).expect("the storm day");
    let storm = play(&Script::of(std::slice::from_ref(day), &between, &streams), Play::default()).expect("sound");
    let recorded = Summary::of(&day.recorded_passages(), WITHIN_MS);
    println!("\n{STORM_DAY}\n{}", figures_table(&[(Origin::Recorded, &recorded), (Origin::Twin, &storm.days[0].summary)]));
    script
}

/// Twenty tenants' weeks in one log, in order of time: each of them must stand where it stood alone.
fn many_tenants(script: &Script) {
    let scale = std::env::var("TIDEGATE_BENCH_SCALE").ok().and_then(|text| text.parse::<u32>().ok()).unwrap_or(1).max(1);
    let runs: Vec<BankRun> = (1..=(20 / scale).max(2))
        .map(|tenant| {
            // Other desks, so that tenants differ.
            let habits = DeskHabits { accept_ms: 500 + 250 * u64::from(tenant), ..DeskHabits::RECORDED };
            play(script, Play { tenant: TenantId(tenant), habits, ..Play::default() }).expect("sound")
        })
        .collect();
    let mut order: Vec<(u64, usize, usize)> = Vec::new();
    for (run, played) in runs.iter().enumerate() {
        order.extend(played.log.iter().enumerate().map(|(place, entry)| (at(entry).0, run, place)));
    }
    order.sort_unstable();
    let log: EntryLog = order.iter().filter_map(|(_, run, place)| runs[*run].log.get(*place)).collect();
    // Sequence numbers of a tenant's own log would go down between tenants: number them anew. Outputs name entries by number,
    // so the runs to compare with are replays of the filtered log, made once and not measured.
    let mut numbered = EntryLog::new();
    for (entry, seq) in log.iter().zip(1..) {
        let mut entry = entry.to_vec();
        let at = at(&entry);
        codec::stamp(&mut entry, Seq(seq), at);
        numbered.push(&entry);
    }
    let alone: Vec<_> = (1..=runs.len() as u32)
        .map(|tenant| Replay::run(Keep::DecisionDigests, numbered.of_tenant(TenantId(tenant)).iter()))
        .collect();
    let (contacts, inputs) = ((script.visits.len() * runs.len()) as u64, numbered.len() as u64);
    println!("{} tenants' weeks in one log: {inputs} inputs, {:.1} MB", runs.len(), numbered.bytes() as f64 / 1e6);
    let replayed = timed(|| {
        let report = Replay::run(Keep::DecisionDigests, numbered.iter());
        assert_eq!(report.entries, inputs);
        for alone in &alone {
            let (id, tenant) = alone.tenants.iter().next().expect("one tenant");
            assert!(report.tenants[id].digests == tenant.digests);
        }
    });
    print("all of them replayed", replayed, contacts, inputs);
    print("the same entries, decoded only", timed(|| decode_all(&numbered)), contacts, inputs);
}

fn at(entry: &[u8]) -> Timestamp {
    codec::decode(entry).expect("own entry").at
}

fn decode_all(log: &EntryLog) {
    for entry in log.iter() {
        black_box(codec::decode(entry).is_ok());
    }
}
