//! The journal's rate: 1, 64 and 1,024 events of 256 bytes a flush, beside a raw preallocated file in the same run.
//!
//! The physical limit is a zero-filled file of one segment's size, written round and round with one write and one fdatasync
//! a flush; a growing file stands beside it, and with the feature `peers` the ready-made stores. Passes are interleaved, so
//! that a noisy minute falls on all; rates are medians of the passes, latencies over all flushes. Before a speed is printed,
//! what was written is read back and its checksum compared. Then the replay of a million records.
//! `cargo bench -p tidegate-benches --bench journal [-- passes seconds]`; `TIDEGATE_BENCH_DIR` names the disk.

#![forbid(unsafe_code)]

mod journal_peers;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use journal_peers::{Kind, Store};
use tempfile::TempDir;
use tidegate_benches::load;
use tidegate_journal::rng::SplitMix64;
use tidegate_journal::{Journal, Options, Position, RealDisk, Record, ScanStep};

const EVENT_BYTES: usize = 256;
const POOL: usize = 4_096;
const BATCHES: [usize; 3] = [1, 64, 1_024];
const FILE_BYTES: u64 = 64 << 20;
/// The share of the raw file's rate that the issue asks for, by events a flush.
const BARS: [f64; 3] = [0.60, 0.80, 0.80];

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    RawPreallocated,
    RawGrowing,
    Kept(Kind),
}

/// What was measured of one of them at one batch size.
struct Measured {
    rates: Vec<f64>,
    cpu_us_an_event: Vec<f64>,
    flush_us: Histogram<u64>,
}

struct RawFile {
    file: File,
    at: u64,
    wrap: Option<u64>,
    buffer: Vec<u8>,
}

impl RawFile {
    fn create(directory: &Path, preallocated: bool) -> Self {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(directory.join("raw")).expect("a raw file");
        if preallocated {
            let zeroes = vec![0; 1 << 20];
            for at in (0..FILE_BYTES).step_by(zeroes.len()) {
                file.write_all_at(&zeroes, at).expect("zeroes");
            }
            file.sync_all().expect("a sync");
        }
        Self { file, at: 0, wrap: preallocated.then_some(FILE_BYTES), buffer: Vec::new() }
    }
}

impl Store for RawFile {
    fn flush(&mut self, _first: u64, events: &[&[u8]]) {
        self.buffer.clear();
        for event in events {
            self.buffer.extend_from_slice(event);
        }
        if self.wrap.is_some_and(|wrap| self.at + self.buffer.len() as u64 > wrap) {
            self.at = 0;
        }
        self.file.write_all_at(&self.buffer, self.at).expect("a write");
        self.file.sync_data().expect("a sync");
        self.at += self.buffer.len() as u64;
    }
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::RawPreallocated => "raw preallocated file",
            Self::RawGrowing => "raw growing file",
            Self::Kept(kind) => kind.name(),
        }
    }

    fn create(self, directory: &Path) -> Box<dyn Store> {
        match self {
            Self::RawPreallocated => Box::new(RawFile::create(directory, true)),
            Self::RawGrowing => Box::new(RawFile::create(directory, false)),
            Self::Kept(kind) => kind.create(directory),
        }
    }
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<f64>().ok());
    let passes = numbers.next().unwrap_or(7.0) as usize;
    let seconds = numbers.next().unwrap_or(0.7);
    let pool = pool();
    println!("load average {}, {passes} passes of {seconds} s, events of {EVENT_BYTES} bytes", load());
    let mut everybody = vec![Who::RawPreallocated, Who::RawGrowing];
    everybody.extend(Kind::ALL.iter().map(|kind| Who::Kept(*kind)));
    for (batch, bar) in BATCHES.into_iter().zip(BARS) {
        let mut measured: Vec<Measured> = everybody.iter().map(|_| Measured::new()).collect();
        for pass in 0..passes {
            // Each pass starts with another one, so that nobody always follows the same neighbour.
            for turn in 0..everybody.len() {
                let who = (turn + pass) % everybody.len();
                measure(everybody[who], batch, seconds, &pool, &mut measured[who]);
            }
        }
        print_batch(batch, bar, &everybody, &measured);
    }
    check_what_is_written(&pool);
    replay(&pool);
    println!("load average {}", load());
}

fn measure(who: Who, batch: usize, seconds: f64, pool: &[Vec<u8>], into: &mut Measured) {
    let directory = directory();
    let mut store = who.create(directory.path());
    let (mut first, mut flushes) = (0_u64, 0_u64);
    let mut events: Vec<&[u8]> = Vec::with_capacity(batch);
    let (cpu, begun) = (cpu_time(), Instant::now());
    while begun.elapsed() < Duration::from_secs_f64(seconds) {
        events.clear();
        events.extend((0..batch).map(|next| pool[(first as usize + next) % POOL].as_slice()));
        let flush = Instant::now();
        store.flush(first, &events);
        into.flush_us.saturating_record(flush.elapsed().as_micros() as u64);
        first += batch as u64;
        flushes += 1;
    }
    let (elapsed, used) = (begun.elapsed(), cpu_time() - cpu);
    assert!(flushes > 0);
    into.rates.push(first as f64 / elapsed.as_secs_f64());
    into.cpu_us_an_event.push(used * 1e6 / first as f64);
}

fn print_batch(batch: usize, bar: f64, everybody: &[Who], measured: &[Measured]) {
    let raw = &measured[0].rates;
    println!("\n{batch} events a flush           events/s  of raw  flush p50 us   p99 us  CPU us/event");
    for (who, measured) in everybody.iter().zip(measured) {
        // Of the same pass: what the disk did in between falls out.
        let shares: Vec<f64> = measured.rates.iter().zip(raw).map(|(rate, raw)| rate / raw).collect();
        let share = median(&shares);
        let verdict = match who {
            Who::Kept(Kind::Journal) if share >= bar => format!("  bar {:.0} %: held", bar * 100.0),
            Who::Kept(Kind::Journal) => format!("  bar {:.0} %: MISSED", bar * 100.0),
            _ => String::new(),
        };
        println!(
            "{:<24} {:>10.0} {:>6.0}% {:>13} {:>8} {:>13.2}{verdict}",
            who.name(),
            median(&measured.rates),
            100.0 * share,
            measured.flush_us.value_at_quantile(0.5),
            measured.flush_us.value_at_quantile(0.99),
            median(&measured.cpu_us_an_event)
        );
    }
}

/// A speed counts only when what was written can be read: the checksum over all payloads in order must be that of the pool.
fn check_what_is_written(pool: &[Vec<u8>]) {
    let directory = directory();
    let mut store = Kind::Journal.create(directory.path());
    let (batch, flushes) = (1_024, 40);
    let mut expected = 0;
    for flush in 0..flushes {
        let events: Vec<&[u8]> = (0..batch).map(|next| pool[(flush * batch + next) % POOL].as_slice()).collect();
        store.flush((flush * batch) as u64, &events);
        expected = events.iter().fold(expected, |sum, event| checksum(sum, event));
    }
    drop(store);
    let disk = RealDisk::open(directory.path()).expect("the directory");
    let (journal, recovery) = Journal::open(disk, Options::default()).expect("the journal again");
    let mut found = 0;
    let mut scan = journal.scan(Position::START);
    while let Some(step) = scan.step().expect("a scan") {
        let ScanStep::Entry(entry) = step else { panic!("a hole") };
        found = checksum(found, entry.payload);
    }
    assert_eq!((found, recovery.records), (expected, (batch * flushes) as u64), "what was read is not what was written");
    println!("\nread back: {} events, checksum {found:016x}, equal", recovery.records);
}

/// Opening (recovery reads everything) and scanning a million records, from a warm cache.
fn replay(pool: &[Vec<u8>]) {
    const RECORDS: u64 = 1_000_000;
    let directory = directory();
    let disk = RealDisk::open(directory.path()).expect("a directory");
    let (journal, _) = Journal::open(disk, Options::default()).expect("a new journal");
    let mut writer = journal.writer().expect("the writer");
    for index in 0..RECORDS {
        let record = Record { group: (index % 16) as u32, index, payload: &pool[index as usize % POOL] };
        writer.append_one(record).expect("an append");
        if index % 1_024 == 1_023 {
            writer.sync().expect("a sync");
        }
    }
    writer.close().expect("a clean end");
    drop(journal);
    for _ in 0..3 {
        let disk = RealDisk::open(directory.path()).expect("the directory");
        let begun = Instant::now();
        let (journal, recovery) = Journal::open(disk, Options::default()).expect("the journal again");
        let opened = begun.elapsed();
        let begun = Instant::now();
        let (mut records, mut sum) = (0_u64, 0_u64);
        let mut scan = journal.scan(Position::START);
        while let Some(step) = scan.step().expect("a scan") {
            let ScanStep::Entry(entry) = step else { panic!("a hole") };
            records += 1;
            sum = sum.wrapping_add(u64::from(entry.payload[0]));
        }
        let scanned = begun.elapsed();
        assert_eq!((records, recovery.records), (RECORDS, RECORDS));
        println!(
            "replay of {records} records: open with full recovery {:.3} s, scan {:.3} s ({sum})",
            opened.as_secs_f64(),
            scanned.as_secs_f64()
        );
    }
}

impl Measured {
    fn new() -> Self {
        let flush_us = Histogram::new_with_bounds(1, 60_000_000, 3).expect("a histogram");
        Self { rates: Vec::new(), cpu_us_an_event: Vec::new(), flush_us }
    }
}

fn pool() -> Vec<Vec<u8>> {
    let mut random = SplitMix64::new(1999);
    (0..POOL)
        .map(|_| {
            let mut event = vec![0; EVENT_BYTES];
            random.fill(&mut event);
            event
        })
        .collect()
}

fn checksum(sum: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn directory() -> TempDir {
    match std::env::var_os("TIDEGATE_BENCH_DIR") {
        Some(disk) => tempfile::tempdir_in(disk),
        None => tempfile::tempdir(),
    }
    .expect("a directory")
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Seconds of CPU that this process has used.
fn cpu_time() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
