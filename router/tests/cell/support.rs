//! What the cell's tests share: seeds and counts, a hand-driven clock, a sink that keeps, populations that push from several
//! threads, and the replay that every one of them is judged by.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tidegate_core::rig::{Rig, RigConfig};
use tidegate_journal::{Disk, Journal, OnDamage, Options, Position, ScanStep};
use tidegate_model::codec;
use tidegate_model::input::Input;
use tidegate_model::limits::Limits;
use tidegate_model::output::Output;
use tidegate_model::port::PortError;
use tidegate_model::{Seq, TenantId};
use tidegate_router::cell::{CellConfig, CellHandle, CellSink, Machines, TenantSeed};
use tidegate_router::log_time::{ClockLimits, ClockMode, ClockSource};

/// The tenant of tests that need one.
pub const TENANT: TenantId = TenantId(1);

pub fn nightly() -> bool {
    std::env::var_os("TIDEGATE_NIGHTLY").is_some_and(|v| v == "1")
}

pub fn count(normal: u64, full: u64) -> u64 {
    if nightly() { full } else { normal }
}

pub fn seed(default: u64) -> u64 {
    std::env::var("TIDEGATE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(default)
}

/// A clock that only the test moves.
#[derive(Default)]
pub struct Hand {
    pub mono_ns: AtomicU64,
    pub wall_ms: AtomicU64,
}

impl ClockSource for Hand {
    fn monotonic_ns(&self) -> u64 {
        self.mono_ns.load(Ordering::SeqCst)
    }

    fn wall_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::SeqCst)
    }
}

impl Hand {
    pub fn pass_ms(&self, ms: u64) {
        self.mono_ns.fetch_add(ms * 1_000_000, Ordering::SeqCst);
    }
}

/// A configuration for tests: one small tenant, small queues, a clock by hand that starts at one second.
pub fn config(hand: &Arc<Hand>) -> CellConfig {
    hand.wall_ms.fetch_max(1_000, Ordering::SeqCst);
    CellConfig {
        tenants: vec![TenantSeed { id: TENANT, limits: Limits::SMALL }],
        clock: ClockMode::Real,
        clock_limits: ClockLimits { step_max: tidegate_model::Millis(60_000), ..ClockLimits::default() },
        source: hand.clone(),
        segment_bytes: 4 << 20,
        keep_decisions: true,
        ..CellConfig::default()
    }
}

/// A sink that keeps everything, for each of several readers.
#[derive(Clone, Default)]
pub struct Kept {
    readers: Arc<Vec<Reader>>,
}

type Reader = Mutex<VecDeque<(TenantId, Output)>>;

impl Kept {
    pub fn new(readers: usize) -> Self {
        Self { readers: Arc::new((0..readers).map(|_| Mutex::default()).collect()) }
    }

    pub fn take(&self, reader: usize) -> VecDeque<(TenantId, Output)> {
        std::mem::take(&mut *self.readers[reader].lock().unwrap())
    }
}

impl CellSink for Kept {
    fn outputs(&mut self, tenant: TenantId, outputs: &[Output]) {
        for reader in self.readers.iter() {
            reader.lock().unwrap().extend(outputs.iter().map(|output| (tenant, output.clone())));
        }
    }
}

/// Submits an encoded, unstamped entry, again and again while the cell is busy.
pub fn push(cell: &CellHandle, entry: &[u8], wait: bool) -> Result<(), PortError> {
    let entry = codec::decode(entry).expect("the rig encodes what it sends");
    loop {
        let taken = if wait {
            cell.submit(entry.tenant, &entry.input).wait().map(|_| ())
        } else {
            cell.submit_nowait(entry.tenant, &entry.input)
        };
        match taken {
            Err(PortError::Busy { .. }) => std::thread::yield_now(),
            other => return other,
        }
    }
}

/// Sets a tenant up as the rig wants it.
pub fn bootstrap(cell: &CellHandle, tenant: TenantId) {
    let rig = Rig::new(RigConfig { tenant, ..RigConfig::small(1) });
    for entry in rig.bootstrap() {
        push(cell, &entry, true).expect("the cell takes its first entries");
    }
}

/// One population on one thread: its clock is the cell's, its events are its own.
pub struct Driver {
    rig: Rig,
    tenant: TenantId,
    number: u8,
    reader: usize,
    kept: Kept,
}

impl Driver {
    pub fn new(config: RigConfig, number: u8, reader: usize, kept: &Kept) -> Self {
        Self { rig: Rig::new(config), tenant: config.tenant, number, reader, kept: kept.clone() }
    }

    /// The next entry, after the population has seen what came out.
    pub fn next(&mut self, hand: &Hand) -> Vec<u8> {
        loop {
            for (tenant, output) in self.kept.take(self.reader) {
                if tenant == self.tenant {
                    self.rig.observe(&output);
                }
            }
            let (at, mut entry) = self.rig.next();
            hand.mono_ns.fetch_max(at.0.saturating_sub(1_000) * 1_000_000, Ordering::SeqCst);
            let own =
                codec::decode(&entry).is_ok_and(|e| matches!(e.input, Input::Tick | Input::Hash | Input::LeaderStarted { .. }));
            if own {
                // Hashes are the cell's own entries here.
                continue;
            }
            // Events and commands of two populations never meet by accident.
            entry[55] ^= self.number;
            return entry;
        }
    }

    /// Pushes so many entries; every eighth is waited for, so that the population keeps pace with the cell.
    pub fn run(&mut self, cell: &CellHandle, hand: &Hand, entries: u64) -> Result<(), PortError> {
        for i in 0..entries {
            let entry = self.next(hand);
            push(cell, &entry, i % 8 == 0)?;
        }
        Ok(())
    }
}

/// All entries of a disk's log, in order; panics on damage.
pub fn log_of<D: Disk>(disk: D) -> Vec<Vec<u8>> {
    let options = Options { on_damage: OnDamage::ReadOnly, ..Options::default() };
    let (journal, recovery) = Journal::open(disk, options).expect("the journal opens read-only");
    assert!(recovery.is_whole(), "{recovery}");
    let mut scan = journal.scan(Position::START);
    let mut entries = Vec::new();
    while let Some(step) = scan.step().expect("the log can be read") {
        match step {
            ScanStep::Entry(entry) => entries.push(entry.payload.to_vec()),
            ScanStep::Hole(hole) => panic!("{hole}"),
        }
    }
    entries
}

/// Replays a log from scratch; digests of each tenant, and of its decisions one by one.
pub fn replay(log: &[Vec<u8>]) -> Machines {
    let mut machines = Machines::new();
    let mut outputs = Vec::new();
    for (i, entry) in log.iter().enumerate() {
        outputs.clear();
        machines.replay(entry, &mut outputs).unwrap_or_else(|error| panic!("entry {}: {error}", i + 1));
    }
    machines
}

/// Decision digests of one tenant in a replay.
pub fn decisions(log: &[Vec<u8>], tenant: TenantId) -> Vec<u64> {
    let mut machines = Machines::new();
    let mut outputs = Vec::new();
    let mut digests = Vec::new();
    for entry in log {
        outputs.clear();
        let replayed = machines.replay(entry, &mut outputs).expect("the log replays");
        if replayed.tenant == tenant {
            digests.extend(outputs.iter().filter_map(|output| match output {
                Output::Decision(record) => Some(record.digest()),
                _ => None,
            }));
        }
    }
    digests
}

/// The state's digest and the entry at which it was taken: ticks may come at any moment.
pub fn settled(cell: &CellHandle, tenant: TenantId) -> (u64, Seq) {
    loop {
        let before = cell.status().applied;
        let digest = cell.query_wait(tenant, |tenant| tenant.full_digest()).unwrap();
        if cell.status().applied == before {
            return (digest, before);
        }
    }
}
