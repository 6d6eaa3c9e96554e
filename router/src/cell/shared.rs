//! What the threads of one cell and its handles share: atomics, the front, the clock, the books.
//!
//! No thread waits for another here. Each word has one writer, named at its field.

use super::config::CellConfig;
use super::front::Front;
use super::log::LogError;
use super::machines::Machines;
use super::stages::StageBook;
use super::tap::{EntryTap, PassageTap};
use crate::gauge::Gauges;
use crate::log_time::LogClock;
use crate::primitive::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::primitive::thread::Thread;
use crate::primitive::{Arc, Mutex, OnceLock, PoisonError};
use crate::transcript::Transcripts;
use std::collections::BTreeMap;
use tidegate_matcher::fence::TermFence;
use tidegate_matcher::ring::mpsc;
use tidegate_matcher::watermark::Watermark;
use tidegate_model::{TenantId, Term};

/// A closure for the apply thread, run between two batches.
pub(crate) struct Query(pub Box<dyn FnOnce(&Machines) + Send>);

/// See the module head.
pub(crate) struct Shared {
    pub front: Arc<Front>,
    pub queries: mpsc::Producer<Query>,
    pub clock: LogClock,
    pub term: Term,
    pub disks: u32,
    pub fence: TermFence,
    /// Newest durable entry; raised by the proposer.
    pub watermark: Watermark,
    /// Newest decided entry; by apply.
    pub applied: AtomicU64,
    /// Newest entry whose outputs were handed on; by whoever holds the egress.
    pub emitted: AtomicU64,
    pub sink_panics: AtomicU64,
    /// Newest entry that a durable snapshot reaches; by the keeper.
    pub snapshot: AtomicU64,
    pub snapshot_failures: AtomicU64,
    pub snapshot_failure: Mutex<Option<String>>,
    /// Snapshots whose replay did not agree with the live machines; by the keeper.
    pub snapshot_differences: AtomicU64,
    /// A snapshot is on its way; set by apply, cleared by the keeper.
    pub snapshot_under_way: AtomicBool,
    /// Somebody wants one now.
    pub snapshot_wanted: AtomicBool,
    pub stages: StageBook,
    pub transcripts: Arc<Transcripts>,
    pub gauges: Gauges,
    /// Who keeps what was decided.
    pub events: Option<Arc<dyn EntryTap>>,
    /// Who follows single entries.
    pub passages: Option<Arc<dyn PassageTap>>,
    /// Digests of decisions by tenant, in order, when the configuration asks for them; by the egress.
    pub decisions: Option<Mutex<BTreeMap<TenantId, Vec<u64>>>>,
    pub failure: OnceLock<LogError>,
    /// A thread of the cell panicked: a fault of ours that no guard caught.
    pub broken: OnceLock<String>,
    /// Nobody needs the cell any more: a failed one keeps serving queries until then.
    released: AtomicBool,
    waiting: Arc<[AtomicU64; 3]>,
    proposer: OnceLock<Thread>,
    proposer_sleeps: AtomicBool,
    /// A tenant's deadline has come nearer or is due; by apply, taken by the proposer.
    due_hint: AtomicBool,
}

/// What [`Shared::new`] is made of.
pub(crate) struct Parts {
    pub front: Arc<Front>,
    pub queries: mpsc::Producer<Query>,
    pub clock: LogClock,
    pub term: Term,
    pub disks: u32,
    pub committed: u64,
    pub snapshot: u64,
    pub transcripts: Arc<Transcripts>,
}

impl Shared {
    pub fn new(config: &CellConfig, parts: Parts) -> Self {
        let waiting: Arc<[AtomicU64; 3]> = Arc::default();
        for (class, name) in ["proposer_seats", "proposer_customers", "proposer_effects"].into_iter().enumerate() {
            let waiting = waiting.clone();
            config.gauges.register(name, config.front as u64 + 1, move || Some(waiting[class].load(Ordering::Relaxed)));
        }
        let tail = parts.transcripts.clone();
        config.gauges.register("transcript_tail_bytes", config.tail_bytes as u64, move || Some(tail.tail().gauge().0));
        Self {
            front: parts.front,
            queries: parts.queries,
            clock: parts.clock,
            term: parts.term,
            disks: parts.disks,
            fence: TermFence::new(parts.term.0),
            watermark: Watermark::new(parts.committed),
            applied: AtomicU64::new(parts.committed),
            emitted: AtomicU64::new(parts.committed),
            sink_panics: AtomicU64::new(0),
            snapshot: AtomicU64::new(parts.snapshot),
            snapshot_failures: AtomicU64::new(0),
            snapshot_failure: Mutex::new(None),
            snapshot_differences: AtomicU64::new(0),
            snapshot_under_way: AtomicBool::new(false),
            snapshot_wanted: AtomicBool::new(false),
            stages: StageBook::new(),
            transcripts: parts.transcripts,
            gauges: config.gauges.clone(),
            events: config.events.clone(),
            passages: config.passages.clone(),
            decisions: config.keep_decisions.then(Mutex::default),
            failure: OnceLock::new(),
            broken: OnceLock::new(),
            released: AtomicBool::new(false),
            waiting,
            proposer: OnceLock::new(),
            proposer_sleeps: AtomicBool::new(false),
            due_hint: AtomicBool::new(true),
        }
    }

    /// The log failed: nothing above the watermark is ever acknowledged.
    pub fn fail(&self, error: &LogError) {
        // The first failure is the one to be told.
        let _later = self.failure.set(error.clone());
        self.watermark.fail();
        self.front.fail();
    }

    /// A thread of the cell ended by a panic.
    pub fn break_down(&self, what: String) {
        let _later = self.broken.set(what);
        self.front.close();
    }

    /// The intake closes and the cell ends once everything taken is done.
    pub fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
        self.front.close();
        if let Some(thread) = self.proposer.get() {
            thread.unpark();
        }
    }

    /// Whether nobody needs the cell any more.
    pub fn released(&self) -> bool {
        self.released.load(Ordering::SeqCst)
    }

    /// Blocks the proposer of a failed log until the cell is released, so that what it feeds stays alive.
    pub fn await_release(&self) {
        while !self.released() {
            crate::primitive::thread::park();
        }
    }

    pub fn set_proposer(&self, thread: Thread) {
        // One proposer a cell.
        let _twice = self.proposer.set(thread);
    }

    pub fn proposer_sleeps(&self, sleeps: bool) {
        self.proposer_sleeps.store(sleeps, Ordering::SeqCst);
    }

    /// Wakes the proposer if it sleeps; call it after the news is published with `SeqCst`.
    pub fn wake_proposer(&self) {
        self.due_hint.store(true, Ordering::SeqCst);
        if self.proposer_sleeps.load(Ordering::SeqCst)
            && let Some(thread) = self.proposer.get()
        {
            thread.unpark();
        }
    }

    /// Makes the deciding thread look around; a full queue means that it is awake.
    pub fn wake_apply(&self) {
        let _awake = self.queries.push(Query(Box::new(|_| ())));
    }

    /// Whether apply has asked for a look at the deadlines.
    pub fn take_due_hint(&self) -> bool {
        self.due_hint.load(Ordering::Relaxed) && self.due_hint.swap(false, Ordering::SeqCst)
    }

    /// What the proposer has taken from the rings and not yet proposed.
    pub fn publish_waiting(&self, waiting: [u64; 3]) {
        for (word, waiting) in self.waiting.iter().zip(waiting) {
            word.store(waiting, Ordering::Relaxed);
        }
    }

    pub fn snapshot_failed(&self, why: String) {
        self.snapshot_failures.fetch_add(1, Ordering::Relaxed);
        *self.snapshot_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }
}
