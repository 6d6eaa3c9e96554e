//! Starting a cell: check, recover, emit what is open, start the threads, propose the first entries, and only then serve.
//!
//! Four threads: proposer, apply, egress, keeper. A start that fails leaves none behind. It refuses to know what tenants are
//! configured to do: policies, rosters and accounts come as inputs.

use super::CellSink;
use super::apply::{Apply, Begin, Ends, Handover, Last};
use super::config::{CellConfig, ConfigError};
use super::egress::{self, Decided, Egress};
use super::front::Front;
use super::handle::{CellHandle, Threads};
use super::keeper::{self, DiskVault, NoVault, Order, Vault};
use super::log::{CellLog, LogError};
use super::machines::Machines;
use super::memory::MemoryLog;
use super::paced::Paced;
use super::propose::Proposer;
use super::recover::{Found, RecoverError, RecoveryReport, Source, journal_lines, recover};
use super::shared::{Parts, Shared};
use super::single::SingleNode;
use crate::log_time::LogClock;
use crate::primitive::Instant;
use crate::primitive::atomic::AtomicU64;
use crate::primitive::thread::{Builder, JoinHandle};
use crate::primitive::{Arc, Mutex};
use crate::transcript::Transcripts;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tidegate_journal::{Disk, Journal, OnDamage, OpenError, Options, SnapshotStore, Verify, WriterError};
use tidegate_model::codec;
use tidegate_model::input::{Admin, Input};
use tidegate_model::output::Output;
use tidegate_model::{Millis, Seq, Term, Timestamp};

/// Why a cell did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal did not open.
    #[error("the journal does not open")]
    Journal(#[from] OpenError),
    /// The journal gives no writer.
    #[error("the journal gives no writer")]
    Writer(#[from] WriterError),
    /// The state could not be recovered.
    #[error("the state cannot be recovered")]
    Recover(#[from] RecoverError),
    /// The first entries could not be logged.
    #[error("the first entries of this start cannot be logged: {0}")]
    Log(LogError),
    /// A thread could not be started.
    #[error("a thread of the cell cannot be started")]
    Thread(#[source] std::io::Error),
    /// A thread ended by a panic: a fault of ours.
    #[error("the cell broke down while it started: {0}")]
    Broken(String),
}

/// Starts cells.
#[derive(Debug, Clone, Copy)]
pub struct Cell;

impl Cell {
    /// Starts a cell on a disk: recovers what is there, creates configured tenants that are not, and serves.
    ///
    /// Returns once the first entries of this start are durable and decided. Blocks for the recovery.
    ///
    /// # Errors
    /// [`StartError`], by cause.
    pub fn start<D: Disk + Clone>(
        config: CellConfig,
        disk: D,
        sink: Box<dyn CellSink>,
    ) -> Result<(CellHandle, RecoveryReport), StartError> {
        Self::start_wrapped(config, disk, sink, |log| Box::new(log))
    }

    /// As [`Self::start`], with the log wrapped: for another engine, or for a test that plants a fault between cell and disk.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_wrapped<D: Disk + Clone>(
        config: CellConfig,
        disk: D,
        sink: Box<dyn CellSink>,
        wrap: impl FnOnce(SingleNode<Paced<D>>) -> Box<dyn CellLog>,
    ) -> Result<(CellHandle, RecoveryReport), StartError> {
        let began = Instant::now();
        config.check()?;
        let disk = Paced::new(disk);
        let options = Options {
            segment_bytes: config.segment_bytes,
            max_payload_bytes: (super::ENTRY_BYTES_MAX as u32).min(config.segment_bytes / 2),
            salt: entropy(),
            on_damage: OnDamage::Refuse,
            verify: Verify::Tail,
            ..Options::default()
        };
        let (journal, recovery) = Journal::open(disk.clone(), options)?;
        let store = SnapshotStore::new(disk);
        let mut log = SingleNode::new(journal.clone(), config.retain)?;
        let transcripts = Arc::new(Transcripts::new(config.tail_bytes, log.files()));
        let source = Source { journal: &journal, snapshots: &store, guard: config.guard, tap: config.events.as_deref() };
        let found = recover(&source, &transcripts, None, &mut |_, _| true)?;
        let term = Term(found.term.0 + 1);
        log.resume(found.last.map_or(Seq(0), |last| last.seq), term);
        let log = wrap(log);
        let vault: Box<dyn Vault> = Box::new(DiskVault { journal, store, guard: config.guard });
        run(config, log, vault, true, found, term, transcripts, sink, journal_lines(&recovery), began)
    }

    /// Starts a cell without a disk, for embedders and tests: what is acknowledged is in this process and nowhere else.
    ///
    /// # Errors
    /// [`StartError::Config`] and [`StartError::Thread`].
    pub fn start_in_memory(
        config: CellConfig,
        log: MemoryLog,
        sink: Box<dyn CellSink>,
    ) -> Result<(CellHandle, RecoveryReport), StartError> {
        let began = Instant::now();
        config.check()?;
        let transcripts = Arc::new(Transcripts::new(config.tail_bytes, log.files()));
        if let Some(tap) = &config.events {
            // A log that begins anew and events that do not would use numbers twice.
            tap.replayed(Seq(0)).map_err(RecoverError::from)?;
        }
        let found = Found::nothing(config.guard);
        run(config, Box::new(log), Box::new(NoVault), false, found, Term(1), transcripts, sink, Vec::new(), began)
    }
}

#[expect(clippy::too_many_arguments, reason = "the one place where the parts of a cell meet")]
fn run(
    config: CellConfig,
    log: Box<dyn CellLog>,
    vault: Box<dyn Vault>,
    on_disk: bool,
    mut found: Found,
    term: Term,
    transcripts: Arc<Transcripts>,
    sink: Box<dyn CellSink>,
    journal: Vec<String>,
    began: Instant,
) -> Result<(CellHandle, RecoveryReport), StartError> {
    found.machines.prefault(usize::try_from(config.prefault_bytes).unwrap_or(usize::MAX));
    let clock = LogClock::start(config.clock, config.clock_limits, config.source.clone(), found.last.map(|last| last.at));
    let gap = clock.gap();
    let first = first_entries(&config, &found.machines, term, gap);
    let created = config.tenants.iter().map(|seed| seed.id);
    let (front, rings) = Front::new(&config, found.machines.iter().map(|(id, _)| id).chain(created));
    let (queries, query_end) = config.gauges.mpsc("apply_queries", config.queries);
    let (batches, batch_end) = config.gauges.spsc("apply_batches", config.batches_ahead);
    let (decided, decided_end) = config.gauges.spsc::<Decided>("egress_batches", config.batches_ahead);
    let (orders, orders_end) = config.gauges.spsc::<Order>("keeper_snapshots", 2);
    let last = found.last.unwrap_or(Last { seq: Seq(0), at: Timestamp(0), position: 0 });
    let files = log.files();
    let parts = Parts {
        front: Arc::new(front),
        queries,
        clock,
        term,
        disks: log.status().disks,
        committed: last.seq.0,
        snapshot: found.snapshot.map_or(0, |seq| seq.0),
        transcripts,
    };
    let shared = Arc::new(Shared::new(&config, parts));
    let mut egress = Egress::new(shared.clone(), sink, orders);
    let open_effects = emit_open_effects(&mut egress, &found.machines);
    let state = Arc::new(Mutex::new(egress));
    let done = Arc::new(AtomicU64::new(0));
    let handover = Handover { state: state.clone(), ring: decided, handed: 0, done: done.clone() };
    let report = RecoveryReport {
        snapshot: found.snapshot,
        damaged_snapshots: found.passed_over.into_iter().map(|old| old.why).collect(),
        replayed: found.replayed,
        last: last.seq,
        last_at: last.at,
        term,
        gap,
        open_effects,
        journal,
        took: Duration::ZERO,
    };
    let until = Seq(last.seq.0 + first.len() as u64);
    let ends = Ends { batches: batch_end, queries: query_end, egress: handover };
    let state_at_start = Begin { machines: found.machines, unanswered: found.unanswered, last, on_disk, until };
    let apply = Apply::new(shared.clone(), ends, state_at_start, &config);
    let proposer = Proposer::new(shared.clone(), log, rings, batches, &config, Seq(last.seq.0 + 1), first);
    let for_keeper = shared.clone();
    let threads = [
        spawn("cell-keeper", &shared, move || keeper::run(orders_end, &*vault, &*files, &for_keeper)),
        spawn("cell-egress", &shared, move || egress::run(decided_end, &state, &done)),
        spawn("cell-apply", &shared, move || apply.run()),
        spawn("cell-proposer", &shared, move || proposer.run()),
    ];
    let threads = threads.into_iter().collect::<Result<Vec<_>, _>>();
    let threads = match threads {
        Ok(threads) => threads,
        Err(error) => {
            shared.front.close();
            return Err(StartError::Thread(error));
        }
    };
    let handle = CellHandle::new(shared, Threads(threads));
    handle.serving(until)?;
    Ok((handle, RecoveryReport { took: began.elapsed(), ..report }))
}

/// The cell's own first entries: the term to every tenant, and tenants that the log does not know.
fn first_entries(config: &CellConfig, machines: &Machines, term: Term, gap: Millis) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    let mut add = |tenant, input: &Input<'_>| {
        let mut bytes = Vec::new();
        codec::encode(&mut bytes, tenant, input);
        entries.push(bytes);
    };
    for (id, _) in machines.iter() {
        add(id, &Input::LeaderStarted { term, gap });
    }
    let mut created = Vec::new();
    for seed in &config.tenants {
        if machines.get(seed.id).is_none() && !created.contains(&seed.id) {
            created.push(seed.id);
            add(seed.id, &Input::Admin(Admin::Limits(seed.limits)));
            add(seed.id, &Input::LeaderStarted { term, gap: Millis(0) });
        }
    }
    entries
}

/// Every open effect of every tenant goes to the sink again.
fn emit_open_effects(egress: &mut Egress, machines: &Machines) -> u64 {
    let mut count = 0;
    for (id, tenant) in machines.iter() {
        let outputs: Vec<Output> = tenant
            .open_effects()
            .into_iter()
            .map(|(id, valid_until, effect)| Output::EffectOpened { id, valid_until, effect })
            .collect();
        count += outputs.len() as u64;
        if !outputs.is_empty() {
            egress.hand_on(id, &outputs);
        }
    }
    count
}

fn spawn(name: &str, shared: &Arc<Shared>, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, std::io::Error> {
    let shared = shared.clone();
    let label = name.to_owned();
    Builder::new().name(name.to_owned()).spawn(move || {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
            let text = payload.downcast_ref::<String>().cloned();
            let text = text.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            shared.break_down(format!("{label}: {}", text.unwrap_or_else(|| "a panic whose payload is not text".into())));
        }
    })
}

/// Sixty-four bits of the process's own entropy (what seeds its hash maps), for the salt of new segments.
pub(crate) fn entropy() -> u64 {
    RandomState::new().build_hasher().finish()
}
