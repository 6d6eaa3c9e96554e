//! A log with one voter: the journal on one disk.
//!
//! A batch is appended, synced, and only then given out as committed: what is acknowledged is on one disk, and survives what
//! that disk survives. A failed sync is final (trying again would lie); a full disk stops the log as well, because an entry
//! that cannot be logged must not be decided. Reading goes on after both. It refuses to know what an entry says.

use super::batch::Committed;
use super::config::Retain;
use super::log::{CellLog, LogError, LogFiles, LogStatus, Role};
use crate::primitive::Arc;
use std::collections::VecDeque;
use std::error::Error;
use tidegate_journal::{
    AppendError, Disk, DiskFault, Journal, Position, ReadError, Reader, Record, SyncError, Writer, WriterError,
};
use tidegate_model::{Seq, Term};

/// The journal's group of a cell's entries.
pub(crate) const GROUP: u32 = 1;

/// See the module head.
pub struct SingleNode<D: Disk> {
    writer: Writer<D>,
    files: Arc<Files<D>>,
    ready: VecDeque<Committed>,
    positions: Vec<Position>,
    committed: Seq,
    term: Term,
    failed: Option<LogError>,
}

struct Files<D: Disk> {
    journal: Journal<D>,
    reader: Reader<D>,
    retain: Retain,
}

impl<D: Disk> SingleNode<D> {
    /// Takes the journal's writer. Say with [`Self::resume`] what recovery found before the first batch.
    ///
    /// # Errors
    /// [`WriterError`]: the journal is open read-only, or its writer was taken.
    pub fn new(journal: Journal<D>, retain: Retain) -> Result<Self, WriterError> {
        let writer = journal.writer()?;
        let reader = journal.reader();
        Ok(Self {
            writer,
            files: Arc::new(Files { journal, reader, retain }),
            ready: VecDeque::new(),
            positions: Vec::new(),
            committed: Seq(0),
            term: Term(0),
            failed: None,
        })
    }

    /// `committed` is the newest entry that recovery found, `term` this start's.
    pub fn resume(&mut self, committed: Seq, term: Term) {
        self.committed = committed;
        self.term = term;
    }

    /// The journal below, for recovery and inspection.
    #[must_use]
    pub fn journal(&self) -> &Journal<D> {
        &self.files.journal
    }

    /// Appends and syncs; on an error nothing of the batch may be acknowledged.
    fn write(&mut self, batch: &mut Committed) -> Result<(), LogError> {
        let records: Vec<Record<'_>> =
            batch.entries().zip(batch.first().0..).map(|(payload, index)| Record { group: GROUP, index, payload }).collect();
        self.positions.clear();
        self.writer.append(&records, &mut self.positions).map_err(append_error)?;
        self.writer.sync().map_err(sync_error)?;
        for (i, position) in self.positions.iter().enumerate() {
            batch.put_at(i, position.to_bits());
        }
        batch.durable_now();
        Ok(())
    }
}

impl<D: Disk> CellLog for SingleNode<D> {
    fn propose(&mut self, mut batch: Committed) -> Result<(), (LogError, Committed)> {
        if let Some(error) = &self.failed {
            return Err((error.clone(), batch));
        }
        match self.write(&mut batch) {
            Ok(()) => {
                self.committed = batch.last();
                self.ready.push_back(batch);
                Ok(())
            }
            Err(error) => {
                self.failed = Some(error.clone());
                Err((error, batch))
            }
        }
    }

    fn committed(&mut self) -> Option<Committed> {
        self.ready.pop_front()
    }

    fn status(&self) -> LogStatus {
        let role = if self.failed.is_some() { Role::Failed } else { Role::Leader };
        LogStatus { role, term: self.term, committed: self.committed, disks: 1 }
    }

    fn files(&self) -> Arc<dyn LogFiles> {
        self.files.clone()
    }

    fn close(self: Box<Self>) -> Result<(), LogError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.writer.close().map(|_| ()).map_err(sync_error)
    }
}

impl<D: Disk> LogFiles for Files<D> {
    fn read(&self, position: u64) -> Result<Vec<u8>, LogError> {
        match self.reader.read_at(Position::from_bits(position)) {
            Ok(entry) => Ok(entry.payload),
            Err(ReadError::Purged { .. } | ReadError::NotDurable { .. } | ReadError::NoRecord { .. }) => {
                Err(LogError::NotKept { position })
            }
            Err(ReadError::Disk(fault)) => Err(fault_error(&fault)),
            Err(error) => Err(LogError::Damaged { position, what: error.to_string() }),
        }
    }

    fn release(&self, position: u64) -> Result<u64, LogError> {
        let mut keep = Position::from_bits(position);
        match self.retain {
            Retain::All => keep = Position::START,
            Retain::Bytes(bytes) => {
                let segments = bytes.div_ceil(u64::from(self.journal.options().segment_bytes));
                let newest = self.journal.durable().segment;
                let oldest = u64::from(newest).saturating_sub(segments);
                keep = keep.min(Position { segment: u32::try_from(oldest).unwrap_or(u32::MAX), offset: 0 });
            }
        }
        self.journal.purge(keep).map_err(|error| LogError::Failed { what: chain(&error) })?;
        Ok(self.journal.first().to_bits())
    }

    fn prepare(&self) -> Result<(), LogError> {
        self.journal.prepare_spare().map_err(|fault| fault_error(&fault))
    }
}

fn append_error(error: AppendError) -> LogError {
    match error {
        AppendError::TooLarge { index, bytes, limit, .. } => LogError::TooLong { seq: Seq(index), bytes, limit: limit as usize },
        AppendError::DiskFull { .. } => LogError::DiskFull { what: chain(&error) },
        AppendError::Disk(fault) => fault_error(&fault),
        other => LogError::Failed { what: chain(&other) },
    }
}

fn sync_error(error: SyncError) -> LogError {
    match error {
        SyncError::DiskFull(fault) => LogError::DiskFull { what: chain(&fault) },
        SyncError::Disk(fault) => fault_error(&fault),
        other => LogError::Failed { what: chain(&other) },
    }
}

fn fault_error(fault: &DiskFault) -> LogError {
    let what = chain(fault);
    if fault.is_full() { LogError::DiskFull { what } } else { LogError::Failed { what } }
}

/// An error with its causes, for a person.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
