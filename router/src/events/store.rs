//! The handle to a node's events: opening, taking from replay and egress, what is durable, what is told to the operator.
//!
//! One thread writes ([`super::writer`]); everybody else shares atomics, the index and a watch. A failed disk ends the
//! writing and nothing else: events go on being taken and dropped, snapshots stop (so that the log keeps what a restart
//! needs to make them again), and the status says why. It refuses to know who reads.

use super::derive::Deriver;
use super::fact::{EventNo, Fact};
use super::read::{Cursor, Page, ReadEventsError};
use super::record;
use super::writer::{self, Shelf, Shelved};
use crate::cell::{EntryTap, Machines, TapError};
use crate::gauge::Gauges;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tidegate_journal::{Disk, Journal, OnDamage, OpenError, Options, RealDisk, Verify, WriterError};
use tidegate_matcher::ring::spsc;
use tidegate_model::output::Output;
use tidegate_model::{Millis, Seq, TenantId, Timestamp};

/// How a node keeps its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsConfig {
    /// Directory of the event journal; made when it is not there.
    pub directory: PathBuf,
    /// Bytes of segments kept, at least.
    pub retain_bytes: u64,
    /// Log time for which events are kept at most; whichever bound is met first lets old segments go.
    pub retain_for: Millis,
    /// Bytes of a segment: the grain of retention. 64 KiB to 64 MiB.
    pub segment_bytes: u32,
    /// Batches between egress and writer. 1 to 65,536.
    pub batches: usize,
    /// How long the writer waits for company before it syncs. 0 to 1 s.
    pub company: Duration,
    /// Whether every assignment decision is an event, too: about one more for each offer.
    pub decisions: bool,
}

impl EventsConfig {
    /// The defaults: 1 GiB, seven days, 16 MiB segments, 1,024 batches, 10 ms, no decisions.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            retain_bytes: 1 << 30,
            retain_for: Millis(7 * 86_400_000),
            segment_bytes: 16 << 20,
            batches: 1_024,
            company: Duration::from_millis(10),
            decisions: false,
        }
    }

    fn check(&self) -> Result<(), EventsError> {
        let range = |field, found: u64, low, high| {
            if (low..=high).contains(&found) { Ok(()) } else { Err(EventsError::Config { field, found, low, high }) }
        };
        range("segment_bytes", self.segment_bytes.into(), 64 << 10, 64 << 20)?;
        range("retain_bytes", self.retain_bytes, 2 * u64::from(self.segment_bytes), 1 << 44)?;
        range("retain_for", self.retain_for.0, 60_000, 10 * 366 * 86_400_000)?;
        range("batches", self.batches as u64, 1, 1 << 16)?;
        range("company_ms", self.company.as_millis() as u64, 0, 1_000)
    }
}

/// Why events cannot be kept, or are not durable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventsError {
    /// A setting out of range.
    #[error("events.{field} is {found}: it must be within {low}..={high}")]
    Config {
        /// Which.
        field: &'static str,
        /// What it was.
        found: u64,
        /// The least.
        low: u64,
        /// The most.
        high: u64,
    },
    /// The directory.
    #[error("the directory of events, {directory}, cannot be used")]
    Directory {
        /// Which.
        directory: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The journal.
    #[error("the event journal does not open")]
    Open(#[from] OpenError),
    /// Its writer.
    #[error("the event journal gives no writer")]
    Writer(#[from] WriterError),
    /// What is there cannot be read.
    #[error("the event journal cannot be read: {what}")]
    Unreadable {
        /// What was found.
        what: String,
    },
    /// The writer's thread.
    #[error("the thread that writes events cannot be started")]
    Thread(#[source] std::io::Error),
    /// The journal takes nothing more.
    #[error("events cannot be written: {why}; free the disk and restart the node, which makes them again from the log")]
    Failed {
        /// What the disk said.
        why: String,
    },
    /// The event journal goes on where the log does not.
    #[error(
        "the event journal reaches entry {known:?}, the log only {last:?}: it is of another log, or the log was restored from an older copy; move its directory away"
    )]
    Ahead {
        /// The event journal's last entry.
        known: Seq,
        /// The log's.
        last: Seq,
    },
    /// The node is going down.
    #[error("events are closed")]
    Closed,
}

/// How events stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventsStatus {
    /// Newest entry whose events are durable.
    pub durable: Seq,
    /// Newest entry whose events were handed to the writer.
    pub taken: Seq,
    /// Oldest event that may still be read: nothing behind this number is missing.
    pub floor: EventNo,
    /// Events written since the start.
    pub written: u64,
    /// Bytes of records written since the start.
    pub written_bytes: u64,
    /// Events dropped since the writing failed: a restart makes them again.
    pub dropped: u64,
    /// Syncs since the start.
    pub syncs: u64,
    /// Gaps found or left since the start.
    pub gaps: u64,
    /// Why nothing is written, if so.
    pub failure: Option<String>,
    /// Offers and claims that the deriver remembers.
    pub open_engagements: u64,
    /// What the opening found, for the operator.
    pub recovery: Vec<String>,
}

/// Events on their way to the writer: one buffer, one span a record.
pub(crate) struct Batch {
    pub upto: Seq,
    pub bytes: Vec<u8>,
    pub spans: Vec<Span>,
}

/// One record of a batch.
pub(crate) struct Span {
    pub tenant: TenantId,
    pub seq: Seq,
    pub at: Timestamp,
    pub length: usize,
    pub events: u32,
}

/// What the writer and everybody else share.
pub(crate) struct Shared {
    pub config: EventsConfig,
    pub durable: AtomicU64,
    pub taken: AtomicU64,
    pub floor: AtomicU64,
    pub written: AtomicU64,
    pub written_bytes: AtomicU64,
    pub dropped: AtomicU64,
    pub syncs: AtomicU64,
    pub gaps: AtomicU64,
    /// The entry up to which somebody wants durability now.
    pub wanted: AtomicU64,
    /// The entry up to which the journal itself says that nothing is missing.
    pub covered: AtomicU64,
    pub closed: AtomicBool,
    pub progress: Mutex<Progress>,
    pub moved: Condvar,
    pub news: tokio::sync::watch::Sender<Seq>,
}

/// What those who wait for durability look at.
#[derive(Default)]
pub(crate) struct Progress {
    pub failure: Option<String>,
    pub ended: bool,
}

impl Shared {
    pub fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What egress and replay put in.
struct Intake {
    deriver: Deriver,
    ring: spsc::Producer<Batch>,
    /// Entries up to here are in the journal already: the replay makes them again and they are left alone.
    known: Seq,
    batch: Batch,
}

/// Bytes of a batch at most, before it is handed over.
const BATCH_BYTES: usize = 256 << 10;

/// A handle to a node's events; clones share it.
#[derive(Clone)]
pub struct Events {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    intake: Mutex<Intake>,
    shelf: Arc<dyn Shelf>,
    recovery: Vec<String>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Events {
    /// Opens the event journal in the configured directory and starts its writer. Blocks for reading the newest segment.
    ///
    /// # Errors
    /// [`EventsError`]. Damage does not keep a node from starting: it is named, and readers meet a gap there.
    pub fn open(config: EventsConfig, gauges: &Gauges) -> Result<Self, EventsError> {
        let directory = config.directory.clone();
        let named = |source| EventsError::Directory { directory: directory.display().to_string(), source };
        std::fs::create_dir_all(&config.directory).map_err(named)?;
        let disk = RealDisk::open(&config.directory).map_err(named)?;
        Self::open_on(config, disk, gauges)
    }

    /// As [`Self::open`], on any disk (`directory` is not looked at): for tests that plant faults.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on<D: Disk + Clone>(config: EventsConfig, disk: D, gauges: &Gauges) -> Result<Self, EventsError> {
        config.check()?;
        let options = Options {
            segment_bytes: config.segment_bytes,
            max_payload_bytes: config.segment_bytes / 4,
            salt: crate::cell::entropy(),
            on_damage: OnDamage::Serve,
            verify: Verify::Tail,
            ..Options::default()
        };
        let (journal, recovery) = Journal::open(disk, options)?;
        let writer = journal.writer()?;
        let shelved = Shelved::new(journal)?;
        let last = shelved.last();
        let shared = Arc::new(Shared {
            durable: AtomicU64::new(last.0),
            taken: AtomicU64::new(last.0),
            floor: AtomicU64::new(shelved.floor().0),
            written: AtomicU64::default(),
            written_bytes: AtomicU64::default(),
            dropped: AtomicU64::default(),
            syncs: AtomicU64::default(),
            gaps: AtomicU64::new(recovery.holes_total as u64),
            wanted: AtomicU64::default(),
            covered: AtomicU64::new(last.0),
            closed: AtomicBool::new(false),
            progress: Mutex::default(),
            moved: Condvar::new(),
            news: tokio::sync::watch::Sender::new(last),
            config,
        });
        let (ring, batches) = gauges.spsc("event_batches", shared.config.batches);
        let shelf = Arc::new(shelved);
        let (mine, his) = (shared.clone(), shelf.clone());
        let thread = std::thread::Builder::new()
            .name("events-writer".to_owned())
            .spawn(move || writer::run(writer, &his, batches, &mine))
            .map_err(EventsError::Thread)?;
        let intake = Intake {
            deriver: Deriver::new(shared.config.decisions),
            ring,
            known: last,
            batch: Batch { upto: last, bytes: Vec::new(), spans: Vec::new() },
        };
        let inner = Inner {
            shared,
            intake: Mutex::new(intake),
            shelf,
            recovery: recovery.to_string().lines().map(str::to_owned).collect(),
            thread: Mutex::new(Some(thread)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn intake(&self) -> MutexGuard<'_, Intake> {
        self.inner.intake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_over(&self, intake: &mut Intake, other: Option<Batch>) {
        let batch = other.unwrap_or_else(|| {
            let next = Batch { upto: intake.batch.upto, bytes: Vec::new(), spans: Vec::new() };
            std::mem::replace(&mut intake.batch, next)
        });
        self.inner.shared.taken.fetch_max(batch.upto.0, Ordering::Relaxed);
        // The writer ends only after this side has closed the ring; if it broke down, `make_durable` says so.
        let _broken = intake.ring.push_wait(batch);
    }

    /// Returns once every event of the entries up to `seq` is durable: a snapshot that reaches `seq` may be written then,
    /// and the log below it let go. Blocks; for the keeper's thread. The egress must be going to hand over `seq` by itself.
    ///
    /// # Errors
    /// [`EventsError::Failed`] and [`EventsError::Closed`]: then the snapshot must not be written.
    pub fn make_durable(&self, seq: Seq) -> Result<(), EventsError> {
        let shared = &self.inner.shared;
        shared.wanted.fetch_max(seq.0, Ordering::SeqCst);
        if let Some(thread) = self.inner.thread.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            thread.thread().unpark();
        }
        let mut progress = shared.progress();
        loop {
            if shared.covered.load(Ordering::Acquire) >= seq.0 {
                return Ok(());
            }
            if let Some(why) = &progress.failure {
                return Err(EventsError::Failed { why: why.clone() });
            }
            if progress.ended {
                return Err(EventsError::Closed);
            }
            progress = shared.moved.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes what was taken, ends the writer and lets go of its thread. Readers go on reading what is durable.
    pub fn close(&self) {
        self.flush();
        self.intake().ring.close();
        self.end_streams();
        let thread = self.inner.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Its panic has ended the progress already, and there is nobody left to tell.
            let _panicked = thread.join();
        }
    }

    /// Tells whoever follows that the node is going down.
    pub fn end_streams(&self) {
        self.inner.shared.closed.store(true, Ordering::Release);
        self.inner.shared.news.send_modify(|_| {});
    }

    /// Whether [`Self::end_streams`] was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.shared.closed.load(Ordering::Acquire)
    }

    /// Changes whenever more is durable, and when the node goes down.
    #[must_use]
    pub fn watch(&self) -> tokio::sync::watch::Receiver<Seq> {
        self.inner.shared.news.subscribe()
    }

    /// Behind the newest durable event.
    #[must_use]
    pub fn newest(&self) -> EventNo {
        EventNo::after_entry(Seq(self.inner.shared.durable.load(Ordering::Acquire)))
    }

    /// Nothing behind this number is missing: the oldest that a reader may resume from.
    #[must_use]
    pub fn floor(&self) -> EventNo {
        match self.inner.shared.floor.load(Ordering::Acquire) {
            0 => EventNo::START,
            seq => EventNo::after_entry(Seq(seq)),
        }
    }

    /// Reads on from a cursor: events of one tenant, at most so many and about so many bytes of records. Blocks for the
    /// disk. O(records passed over).
    ///
    /// # Errors
    /// [`ReadEventsError`].
    pub fn read(
        &self,
        cursor: &mut Cursor,
        tenant: TenantId,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Page, ReadEventsError> {
        let durable = Seq(self.inner.shared.durable.load(Ordering::Acquire));
        self.inner.shelf.read(cursor, tenant, events_max, bytes_max, durable)
    }

    /// How events stand.
    #[must_use]
    pub fn status(&self) -> EventsStatus {
        let shared = &self.inner.shared;
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        EventsStatus {
            durable: Seq(load(&shared.durable)),
            taken: Seq(load(&shared.taken)),
            floor: self.floor(),
            written: load(&shared.written),
            written_bytes: load(&shared.written_bytes),
            dropped: load(&shared.dropped),
            syncs: load(&shared.syncs),
            gaps: load(&shared.gaps),
            failure: shared.progress().failure.clone(),
            open_engagements: self.intake().deriver.open() as u64,
            recovery: self.inner.recovery.clone(),
        }
    }
}

impl EntryTap for Events {
    /// A replay begins behind `seq`, with these machines. What the journal should hold up to there and does not is named
    /// as a gap: nobody can make it again.
    fn replay_from(&self, seq: Seq, machines: &Machines) {
        let mut intake = self.intake();
        for (_, machine) in machines.iter() {
            intake.deriver.seed(machine);
        }
        if intake.known < seq {
            let from = intake.known;
            self.inner.shared.gaps.fetch_add(1, Ordering::Relaxed);
            if from == Seq(0) {
                // A journal that begins here: nobody can have lost what it never held.
                self.inner.shelf.begins_behind(seq);
                self.inner.shared.floor.fetch_max(seq.0, Ordering::AcqRel);
            }
            let bytes = record::note(true, from);
            let span = Span { tenant: TenantId::NONE, seq, at: Timestamp(0), length: bytes.len(), events: 0 };
            intake.known = seq;
            self.hand_over(&mut intake, Some(Batch { upto: seq, bytes, spans: vec![span] }));
        }
    }

    /// The replay is over, at entry `last` of the log.
    ///
    /// # Errors
    /// [`EventsError::Ahead`]: the journal holds events of entries that this log does not have; its numbers would be used
    /// a second time for other events.
    fn replayed(&self, last: Seq) -> Result<(), TapError> {
        let known = self.intake().known;
        if known > last {
            return Err(TapError(EventsError::Ahead { known, last }.to_string()));
        }
        self.flush();
        Ok(())
    }

    /// Takes the outputs of one entry, in log order. The batch goes to the writer by [`Self::flush`], or when it is large.
    fn entry(&self, tenant: TenantId, seq: Seq, at: Timestamp, outputs: &[Output]) {
        let mut intake = self.intake();
        let Intake { deriver, known, batch, .. } = &mut *intake;
        let skipped = seq <= *known;
        let start = batch.bytes.len();
        let mut events = 0;
        deriver.entry(tenant, seq, at, outputs, |event| {
            if skipped || matches!(event.fact, Fact::Ping) {
                return;
            }
            if events == 0 {
                record::begin(&mut batch.bytes, at);
            }
            record::push(&mut batch.bytes, &event);
            events += 1;
        });
        if skipped {
            return;
        }
        *known = seq;
        batch.upto = seq;
        if events > 0 {
            batch.spans.push(Span { tenant, seq, at, length: batch.bytes.len() - start, events });
        }
        if batch.bytes.len() >= BATCH_BYTES {
            self.hand_over(&mut intake, None);
        }
    }

    /// Hands what was taken to the writer. Waits while the ring is full: that is the back-pressure.
    fn flush(&self) {
        let mut intake = self.intake();
        if intake.batch.upto.0 > self.inner.shared.taken.load(Ordering::Relaxed) || !intake.batch.spans.is_empty() {
            self.hand_over(&mut intake, None);
        }
    }

    fn make_durable(&self, seq: Seq) -> Result<(), TapError> {
        Self::make_durable(self, seq).map_err(|error| TapError(error.to_string()))
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("config", &self.inner.shared.config).finish_non_exhaustive()
    }
}
