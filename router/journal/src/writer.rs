//! The one writer: records into a buffer, batches onto the disk, one sync for all of them.
//!
//! `append` gives each record its position and touches no disk (unless a segment is full); `sync` writes the batch behind
//! one mark, syncs, and only then is anything durable. The mark tells how far the log was durable before this batch, so a
//! batch is the widest part of the log for which no later frame vouches. Nothing may be acknowledged before `sync` has
//! returned its position. A failed write or sync is final; a full disk, met while a new segment is made, is not.
//! It refuses to know time: batching is natural, whatever came while the last sync ran is the next batch.

use std::sync::Arc;

use crate::disk::{Disk, DiskFault, DiskFile, DiskOp, Named};
use crate::frame::{HEAD_BYTES, put_record, set_mark};
use crate::journal::{Shared, lock, record_bytes};
use crate::limits::WRITE_BUFFER_BYTES;
use crate::segment::{FIRST_FRAME, Position, Segment};
use crate::watermark::WATERMARK_FILE;

/// A record to append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The group whose record it is.
    pub group: u32,
    /// Its index within the group; the journal keeps it and gives it no meaning.
    pub index: u64,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// What a sync made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    /// Every record whose position is before this is durable.
    pub position: Position,
    /// Records that became durable by this sync.
    pub records: u64,
}

/// Why records were not appended; none of them was, and nothing of them will be in the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A payload is over its limit.
    #[error("a payload of {bytes} bytes is over the limit of {limit} (group {group}, index {index})")]
    TooLarge {
        /// The record's group.
        group: u32,
        /// The record's index.
        index: u64,
        /// The payload's bytes.
        bytes: usize,
        /// The limit.
        limit: u32,
    },
    /// The disk has no room for another segment. What was appended before can still be synced, reading goes on, and
    /// appending works again once there is room.
    #[error("the disk is full: {bytes} bytes are wanted for a segment; purge, or make room")]
    DiskFull {
        /// Bytes wanted.
        bytes: u64,
        /// What the disk said.
        #[source]
        source: DiskFault,
    },
    /// The disk failed while making the next segment; the journal takes nothing more.
    #[error("the next segment could not be made, the journal takes nothing more")]
    Disk(#[source] DiskFault),
    /// An earlier failure of the disk ended all writing; restart on a disk that works.
    #[error("the journal takes nothing more since {reason}")]
    Poisoned {
        /// What failed.
        reason: String,
    },
}

/// Why a sync did not make its records durable: none of them may be acknowledged, and the journal takes nothing more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The disk has no room, though the segment was preallocated (a copying file system); open again once there is room.
    #[error("the disk is full; open the journal again once there is room")]
    DiskFull(#[source] DiskFault),
    /// The write or the sync failed. Trying again would lie: the system may have dropped the bytes.
    #[error("the disk failed, the journal takes nothing more")]
    Disk(#[source] DiskFault),
    /// An earlier failure of the disk ended all writing.
    #[error("the journal takes nothing more since {reason}")]
    Poisoned {
        /// What failed.
        reason: String,
    },
}

/// The writer. Dropping it without [`Writer::close`] is as good as a kill: what was not synced is gone.
pub struct Writer<D: Disk> {
    shared: Arc<Shared<D>>,
    segment: Arc<Segment<D::File>>,
    /// Offset up to which the segment's file was written.
    written: u32,
    /// Frames from `written` on.
    buffer: Vec<u8>,
    /// Where in the buffer the batch's mark stands; `None` when it was written ahead, with its length unknown.
    mark_at: Option<usize>,
    in_batch: bool,
    pending_records: u64,
}

impl<D: Disk> Writer<D> {
    pub(crate) fn new(shared: Arc<Shared<D>>, segment: Arc<Segment<D::File>>, at: u32) -> Self {
        Self { shared, segment, written: at, buffer: Vec::new(), mark_at: None, in_batch: false, pending_records: 0 }
    }

    /// Appends records in order, all or none, and adds their positions to `positions`.
    ///
    /// # Errors
    /// See [`AppendError`]; then `positions` is as it was.
    pub fn append(&mut self, records: &[Record<'_>], positions: &mut Vec<Position>) -> Result<(), AppendError> {
        self.refuse_if_poisoned()?;
        let mut at = self.next_offset();
        let mut in_batch = self.in_batch;
        let mut rolls = 0;
        for record in records {
            self.check(record)?;
            let wanted = wanted_bytes(record, in_batch);
            in_batch = true;
            if at + wanted > self.segment_room(rolls) {
                rolls += 1;
                at = FIRST_FRAME + wanted_bytes(record, false);
            } else {
                at += wanted;
            }
        }
        // Room for the whole batch first: a full disk must not leave half of it in the log.
        if rolls > 0 {
            self.reserve(rolls)?;
        }
        let before = positions.len();
        positions.reserve(records.len());
        for record in records {
            match self.push(record) {
                Ok(position) => positions.push(position),
                Err(error) => {
                    positions.truncate(before);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Appends one record and returns its position.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn append_one(&mut self, record: Record<'_>) -> Result<Position, AppendError> {
        self.refuse_if_poisoned()?;
        self.check(&record)?;
        if self.next_offset() + wanted_bytes(&record, self.in_batch) > self.segment.bytes {
            self.reserve(1)?;
        }
        self.push(&record)
    }

    /// Makes everything appended so far durable. Without anything appended since the last sync it returns at once.
    ///
    /// # Errors
    /// See [`SyncError`].
    pub fn sync(&mut self) -> Result<Durable, SyncError> {
        if let Some(reason) = self.shared.poisoned() {
            return Err(SyncError::Poisoned { reason });
        }
        if self.in_batch {
            self.commit().map_err(|fault| self.sync_failed(fault))?;
        }
        Ok(Durable { position: self.shared.durable(), records: std::mem::take(&mut self.pending_records) })
    }

    /// Everything appended so far stands before this position.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { segment: self.segment.number, offset: self.next_offset() }
    }

    /// Records appended and not yet synced.
    #[must_use]
    pub const fn pending_records(&self) -> u64 {
        self.pending_records
    }

    /// Bytes that the batch holds in memory.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Why the journal takes nothing more, if so.
    #[must_use]
    pub fn poisoned(&self) -> Option<String> {
        self.shared.poisoned()
    }

    /// Syncs, vouches for the last batch with a mark behind it, and syncs the watermark file: a clean end.
    ///
    /// # Errors
    /// See [`SyncError`].
    pub fn close(mut self) -> Result<Durable, SyncError> {
        let durable = self.sync()?;
        if self.next_offset() + (HEAD_BYTES as u32) <= self.segment.bytes {
            self.begin_batch();
            self.commit().map_err(|fault| self.sync_failed(fault))?;
        }
        let file = lock(&self.shared.watermark).as_ref().map(|file| file.file());
        if let Some(file) = file {
            file.sync_data().named(DiskOp::Sync, WATERMARK_FILE).map_err(|fault| self.sync_failed(fault))?;
        }
        Ok(Durable { position: self.shared.durable(), records: durable.records })
    }

    fn next_offset(&self) -> u32 {
        self.written + self.buffer.len() as u32
    }

    /// The room of the segment that a batch reaches after so many rolls.
    fn segment_room(&self, rolls: usize) -> u32 {
        if rolls == 0 { self.segment.bytes } else { self.shared.options.segment_bytes }
    }

    fn refuse_if_poisoned(&self) -> Result<(), AppendError> {
        match self.shared.poisoned() {
            Some(reason) => Err(AppendError::Poisoned { reason }),
            None => Ok(()),
        }
    }

    fn check(&self, record: &Record<'_>) -> Result<(), AppendError> {
        let limit = self.shared.options.max_payload_bytes;
        if record.payload.len() > limit as usize {
            return Err(AppendError::TooLarge { group: record.group, index: record.index, bytes: record.payload.len(), limit });
        }
        Ok(())
    }

    fn reserve(&self, spares: usize) -> Result<(), AppendError> {
        self.shared.reserve_spares(spares).map_err(|fault| {
            if fault.is_full() {
                return AppendError::DiskFull {
                    bytes: spares as u64 * u64::from(self.shared.options.segment_bytes),
                    source: fault,
                };
            }
            self.shared.poison(&fault);
            AppendError::Disk(fault)
        })
    }

    fn push(&mut self, record: &Record<'_>) -> Result<Position, AppendError> {
        if self.next_offset() + wanted_bytes(record, self.in_batch) > self.segment.bytes {
            self.roll().map_err(|fault| {
                self.shared.poison(&fault);
                AppendError::Disk(fault)
            })?;
        }
        if !self.in_batch {
            self.begin_batch();
        }
        let position = self.position();
        put_record(&mut self.buffer, self.segment.seal, position.offset, record.group, record.index, record.payload);
        self.pending_records += 1;
        if self.buffer.len() >= WRITE_BUFFER_BYTES {
            self.write_buffer().map_err(|fault| {
                self.shared.poison(&fault);
                AppendError::Disk(fault)
            })?;
        }
        Ok(position)
    }

    fn begin_batch(&mut self) {
        self.in_batch = true;
        self.mark_at = Some(self.buffer.len());
        self.buffer.extend_from_slice(&[0; HEAD_BYTES]);
    }

    /// Writes the mark and the batch, syncs, publishes, notes the watermark.
    fn commit(&mut self) -> Result<(), DiskFault> {
        self.write_buffer()?;
        self.segment.file.sync_data().named(DiskOp::Sync, &self.segment.name)?;
        self.in_batch = false;
        let durable = self.position();
        self.shared.set_durable(durable);
        match lock(&self.shared.watermark).as_mut() {
            Some(file) => file.advance(durable),
            None => Ok(()),
        }
    }

    fn write_buffer(&mut self) -> Result<(), DiskFault> {
        if let Some(at) = self.mark_at.take() {
            // Written ahead of its sync, a batch cannot know its length yet.
            let whole = self.buffer.len() < WRITE_BUFFER_BYTES;
            let behind = (self.buffer.len() - at - HEAD_BYTES) as u32;
            let durable = self.shared.durable();
            set_mark(
                &mut self.buffer[at..],
                self.segment.seal,
                self.written + at as u32,
                (durable.segment, durable.offset),
                if whole { behind } else { 0 },
            );
        }
        self.segment.file.write_all_at(&self.buffer, u64::from(self.written)).named(DiskOp::Write, &self.segment.name)?;
        self.written += self.buffer.len() as u32;
        self.buffer.clear();
        Ok(())
    }

    /// Ends this segment, durable to its last frame, and goes on in the next, whose head vouches for it.
    fn roll(&mut self) -> Result<(), DiskFault> {
        if self.in_batch {
            self.commit()?;
        }
        let end = self.position();
        let next = self.shared.new_segment(end.segment + 1, end)?;
        self.segment.set_end(end.offset);
        self.segment = next;
        self.written = FIRST_FRAME;
        let start = self.position();
        self.shared.set_durable(start);
        match lock(&self.shared.watermark).as_mut() {
            Some(file) => file.advance(start),
            None => Ok(()),
        }
    }

    fn sync_failed(&self, fault: DiskFault) -> SyncError {
        self.shared.poison(&fault);
        if fault.is_full() { SyncError::DiskFull(fault) } else { SyncError::Disk(fault) }
    }
}

/// Bytes that a record wants, with the mark before it when it starts a batch.
fn wanted_bytes(record: &Record<'_>, in_batch: bool) -> u32 {
    let mark = if in_batch { 0 } else { HEAD_BYTES as u32 };
    mark + record_bytes(record.payload.len())
}
