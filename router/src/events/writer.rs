//! The thread that writes events, the index by which they are found again, and retention.
//!
//! Natural batching: whatever came while the last sync ran (and for a moment of company) is the next batch. The index has a
//! mark every 64 KiB of what this run wrote and one for each older segment, so that a look-up scans at most a segment. When
//! a segment is full, the oldest ones go as far as bytes or age (in log time) allow. It refuses to know what events say.

use super::read::{Cursor, Page, ReadEventsError, page};
use super::record::{self, Record};
use super::store::{Batch, EventsError, Shared};
use crate::cell::{Parker, chain};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Poll;
use std::time::Instant;
use tidegate_journal::{Disk, Journal, Position, ScanStep, Writer};
use tidegate_matcher::ring::spsc;
use tidegate_model::{Seq, TenantId, Timestamp};

/// Bytes of records between two marks of the index.
const MARK_EVERY: u64 = 64 << 10;
/// Bytes of records under one sync at most.
const SYNC_BYTES: usize = 1 << 20;

/// Reading, whatever the disk.
pub(super) trait Shelf: Send + Sync {
    fn read(
        &self,
        cursor: &mut Cursor,
        tenant: TenantId,
        events_max: usize,
        bytes_max: usize,
        durable: Seq,
    ) -> Result<Page, ReadEventsError>;

    /// An empty journal begins behind this entry.
    fn begins_behind(&self, seq: Seq);
}

/// A record whose place is known.
#[derive(Debug, Clone, Copy)]
struct Mark {
    seq: Seq,
    at: Timestamp,
    position: Position,
}

/// Where records stand.
#[derive(Debug, Default)]
pub(super) struct Index {
    inner: RwLock<Marks>,
}

#[derive(Debug, Default)]
struct Marks {
    marks: Vec<Mark>,
    floor: Seq,
}

impl Index {
    /// Nothing behind this entry is missing.
    pub fn floor(&self) -> Seq {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).floor
    }

    /// Where to begin for what follows `seq`. O(log marks).
    pub fn find(&self, seq: Seq) -> Position {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        // The record of `seq` itself may hold events behind the reader's.
        let behind = inner.marks.partition_point(|mark| mark.seq <= seq);
        match behind.checked_sub(1).or(if inner.marks.is_empty() { None } else { Some(0) }) {
            Some(at) => inner.marks[at].position,
            None => Position::START,
        }
    }

    fn add(&self, mark: Mark) {
        self.inner.write().unwrap_or_else(PoisonError::into_inner).marks.push(mark);
    }

    /// Records before `position` are going, and `floor` is the last of them.
    fn forget_before(&self, position: Position, floor: Seq) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.floor = inner.floor.max(floor);
        let gone = inner.marks.partition_point(|mark| mark.position < position);
        inner.marks.drain(..gone);
    }

    /// The first mark of each segment.
    fn segments(&self) -> Vec<Mark> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let mut firsts: Vec<Mark> = Vec::new();
        for mark in &inner.marks {
            if firsts.last().is_none_or(|last| last.position.segment < mark.position.segment) {
                firsts.push(*mark);
            }
        }
        firsts
    }
}

/// A journal with its index.
pub(super) struct Shelved<D: Disk> {
    journal: Journal<D>,
    index: Arc<Index>,
    last: Seq,
}

impl<D: Disk> Shelved<D> {
    /// Reads the first record of each segment and the whole of the newest one that has any.
    pub fn new(journal: Journal<D>) -> Result<Self, EventsError> {
        let (mut marks, mut floor, mut last) = (Vec::new(), Seq(0), Seq(0));
        let range = journal.first().segment..=journal.durable().segment;
        for segment in range.clone() {
            let Some((mark, before)) = first_of(&journal, segment)? else { continue };
            if marks.is_empty() {
                floor = before;
            }
            marks.push(mark);
        }
        for segment in range.rev() {
            let mut scan = journal.scan(Position { segment, offset: 0 });
            while let Some(step) = scan.step().map_err(|error| EventsError::Unreadable { what: chain(&error) })? {
                match step {
                    ScanStep::Entry(entry) if entry.position.segment == segment => last = Seq(entry.index),
                    ScanStep::Entry(_) => break,
                    ScanStep::Hole(_) => {}
                }
            }
            if last > Seq(0) {
                break;
            }
        }
        let index = Arc::new(Index { inner: RwLock::new(Marks { marks, floor }) });
        Ok(Self { journal, index, last })
    }

    pub fn last(&self) -> Seq {
        self.last
    }

    pub fn floor(&self) -> Seq {
        self.index.floor()
    }

    /// Lets old segments go. `newest` is the newest log time.
    fn retain(&self, shared: &Shared, newest: Timestamp) {
        let firsts = self.index.segments();
        let total = u64::from(shared.config.segment_bytes) * firsts.len() as u64;
        let mut over = total.saturating_sub(shared.config.retain_bytes) / u64::from(shared.config.segment_bytes);
        let mut keep_from = None;
        // The newest segment always stays; one may go when the first record behind it is too old or bytes are too many.
        for next in firsts.iter().skip(1) {
            let is_old = next.at > Timestamp(0) && next.at.0.saturating_add(shared.config.retain_for.0) < newest.0;
            if over == 0 && !is_old {
                break;
            }
            over = over.saturating_sub(1);
            keep_from = Some(next.position);
        }
        let Some(position) = keep_from else { return };
        let before = match first_of(&self.journal, position.segment) {
            Ok(Some((_, before))) => before,
            // What cannot be read is not let go: the next roll tries again.
            Ok(None) | Err(_) => return,
        };
        // First nobody is sent there any more, then it goes.
        self.index.forget_before(Position { segment: position.segment, offset: 0 }, before);
        shared.floor.fetch_max(before.0, Ordering::AcqRel);
        if let Err(error) = self.journal.purge(Position { segment: position.segment, offset: 0 }) {
            tracing::warn!(error = chain(&error), "old events could not be let go; tried again at the next segment");
        }
    }
}

/// The first record of a segment, and the entry before it.
fn first_of<D: Disk>(journal: &Journal<D>, segment: u32) -> Result<Option<(Mark, Seq)>, EventsError> {
    let mut scan = journal.scan(Position { segment, offset: 0 });
    while let Some(step) = scan.step().map_err(|error| EventsError::Unreadable { what: chain(&error) })? {
        let ScanStep::Entry(entry) = step else { continue };
        if entry.position.segment != segment {
            return Ok(None);
        }
        let seq = Seq(entry.index);
        let record = record::read(entry.payload).map_err(|error| EventsError::Unreadable { what: error.to_string() })?;
        let (at, before) = match record {
            Record::Events { previous, at, .. } => (at, previous),
            Record::Covered { from } => (Timestamp(0), from),
            Record::Gap { .. } => (Timestamp(0), seq),
        };
        return Ok(Some((Mark { seq, at, position: entry.position }, before)));
    }
    Ok(None)
}

impl<D: Disk> Shelf for Shelved<D> {
    fn read(
        &self,
        cursor: &mut Cursor,
        tenant: TenantId,
        events_max: usize,
        bytes_max: usize,
        durable: Seq,
    ) -> Result<Page, ReadEventsError> {
        page(&self.journal, &self.index, cursor, tenant, (events_max, bytes_max), durable)
    }

    fn begins_behind(&self, seq: Seq) {
        self.index.forget_before(Position::START, seq);
    }
}

/// However the writer ends, those who wait for it are told.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut progress = self.0.progress();
        progress.ended = true;
        if std::thread::panicking() && progress.failure.is_none() {
            progress.failure = Some("its writer ended by a panic: a fault of ours".to_owned());
        }
        drop(progress);
        self.0.moved.notify_all();
    }
}

/// The thread: until the ring is closed and empty.
pub(super) fn run<D: Disk>(mut writer: Writer<D>, shelf: &Shelved<D>, mut ring: spsc::Consumer<Batch>, shared: &Shared) {
    let _ending = Ending(shared);
    let parker = Parker::here();
    let mut pen = Pen { last: shelf.last, upto: shelf.last, newest: Timestamp(0), since_mark: MARK_EVERY, segment: 0 };
    loop {
        let mut batches = Vec::new();
        let mut is_over = false;
        match ring.poll_pop(&mut parker.context()) {
            Poll::Ready(Some(batch)) => batches.push(batch),
            Poll::Ready(None) => is_over = true,
            Poll::Pending if pen.owes(shared) => {}
            Poll::Pending => {
                parker.park(None);
                continue;
            }
        }
        company(&mut ring, &parker, &pen, shared, &mut batches);
        let failed = shared.progress().failure.is_some();
        let result = if failed { Err(None) } else { pen.write(&mut writer, &mut batches, shelf, shared, is_over).map_err(Some) };
        match result {
            Ok(()) => {}
            Err(why) => {
                let dropped: u64 = batches.iter().flat_map(|batch| &batch.spans).map(|span| u64::from(span.events)).sum();
                shared.dropped.fetch_add(dropped, Ordering::Relaxed);
                if let Some(why) = why {
                    tracing::error!(why, "events cannot be written; snapshots stop, a restart makes the events again");
                    shared.progress().failure = Some(why);
                }
                shared.moved.notify_all();
            }
        }
        if is_over {
            break;
        }
    }
    if shared.progress().failure.is_none()
        && let Err(error) = writer.close()
    {
        shared.progress().failure = Some(chain(&error));
    }
}

/// Waits a moment for more, unless somebody waits for us.
fn company(ring: &mut spsc::Consumer<Batch>, parker: &Parker, pen: &Pen, shared: &Shared, batches: &mut Vec<Batch>) {
    let until = Instant::now() + shared.config.company;
    let mut bytes: usize = batches.iter().map(|batch| batch.bytes.len()).sum();
    while bytes < SYNC_BYTES && !batches.is_empty() {
        match ring.poll_pop(&mut parker.context()) {
            Poll::Ready(Some(batch)) => {
                bytes += batch.bytes.len();
                batches.push(batch);
            }
            Poll::Ready(None) => return,
            Poll::Pending => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() || shared.wanted.load(Ordering::SeqCst) > pen.last.0 {
                    return;
                }
                parker.park(Some(left));
            }
        }
    }
}

/// What the writer knows of its own writing.
struct Pen {
    /// Entry of the last record.
    last: Seq,
    /// Entry up to which everything was taken.
    upto: Seq,
    newest: Timestamp,
    since_mark: u64,
    segment: u32,
}

impl Pen {
    /// Whether somebody wants the journal to say that it covers entries that had no events.
    fn owes(&self, shared: &Shared) -> bool {
        let wanted = shared.wanted.load(Ordering::SeqCst);
        wanted > self.last.0 && self.upto.0 >= wanted && shared.progress().failure.is_none()
    }

    fn write<D: Disk>(
        &mut self,
        writer: &mut Writer<D>,
        batches: &mut [Batch],
        shelf: &Shelved<D>,
        shared: &Shared,
        is_over: bool,
    ) -> Result<(), String> {
        let mut marks = Vec::new();
        let (mut events, mut bytes) = (0, 0);
        for batch in batches.iter_mut() {
            let mut at = 0;
            for span in &batch.spans {
                let payload = &mut batch.bytes[at..at + span.length];
                at += span.length;
                if span.events > 0 {
                    record::set_previous(payload, self.last);
                    self.newest = self.newest.max(span.at);
                }
                self.append(writer, span.tenant, span.seq, span.at, payload, &mut marks)?;
                events += u64::from(span.events);
                bytes += span.length as u64;
            }
            self.upto = self.upto.max(batch.upto);
        }
        if self.owes(shared) || (is_over && self.upto > self.last) {
            let note = record::note(false, self.last);
            self.append(writer, TenantId::NONE, self.upto, Timestamp(0), &note, &mut marks)?;
        }
        writer.sync().map_err(|error| chain(&error))?;
        for mark in marks {
            shelf.index.add(mark);
        }
        shared.written.fetch_add(events, Ordering::Relaxed);
        shared.written_bytes.fetch_add(bytes, Ordering::Relaxed);
        shared.syncs.fetch_add(1, Ordering::Relaxed);
        shared.durable.store(self.upto.0, Ordering::Release);
        shared.covered.store(self.last.0, Ordering::Release);
        // Between the look and the wait of somebody who waits, this lock stands.
        drop(shared.progress());
        shared.moved.notify_all();
        shared.news.send_replace(self.upto);
        let segment = writer.position().segment;
        if segment != self.segment {
            self.segment = segment;
            shelf.retain(shared, self.newest);
            if let Err(error) = shelf.journal.prepare_spare() {
                tracing::debug!(%error, "no spare segment for events; the next roll makes its own");
            }
        }
        Ok(())
    }

    fn append<D: Disk>(
        &mut self,
        writer: &mut Writer<D>,
        tenant: TenantId,
        seq: Seq,
        at: Timestamp,
        payload: &[u8],
        marks: &mut Vec<Mark>,
    ) -> Result<(), String> {
        let record = tidegate_journal::Record { group: tenant.0, index: seq.0, payload };
        let position = writer.append_one(record).map_err(|error| chain(&error))?;
        let rolled = marks.last().map_or(self.segment, |mark| mark.position.segment) != position.segment;
        if rolled || self.since_mark >= MARK_EVERY {
            self.since_mark = 0;
            marks.push(Mark { seq, at, position });
        }
        self.since_mark += payload.len() as u64;
        self.last = seq;
        Ok(())
    }
}
