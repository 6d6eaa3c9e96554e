//! A log that promises nothing after a stop: for embedders without a disk, and for tests that want the entries back.
//!
//! Batches are committed as they are proposed; entries are kept as long as they fit a bound, for transcripts and for a
//! replay. Acknowledged then means in this process: [`LogStatus::disks`] is 0 and the cell's status says so.

use super::batch::Committed;
use super::log::{CellLog, LogError, LogFiles, LogStatus, Role};
use crate::primitive::{Arc, Mutex, PoisonError};
use std::collections::VecDeque;
use tidegate_model::{Seq, Term};

/// See the module head.
pub struct MemoryLog {
    entries: Arc<Entries>,
    ready: VecDeque<Committed>,
    committed: Seq,
}

struct Entries {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Sequence of the first one.
    first: u64,
    entries: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl MemoryLog {
    /// A log that keeps the newest entries up to so many bytes.
    #[must_use]
    pub fn keeping(bytes: usize) -> Self {
        let kept = Kept { first: 1, ..Kept::default() };
        Self { entries: Arc::new(Entries { limit: bytes, kept: Mutex::new(kept) }), ready: VecDeque::new(), committed: Seq(0) }
    }

    /// A look at the entries that outlives the log.
    #[must_use]
    pub fn tap(&self) -> MemoryTap {
        MemoryTap { entries: self.entries.clone() }
    }
}

/// A look at the entries of a [`MemoryLog`].
#[derive(Clone)]
pub struct MemoryTap {
    entries: Arc<Entries>,
}

impl MemoryTap {
    /// The entries that are kept, in order, with the place of the first.
    #[must_use]
    pub fn entries(&self) -> (Seq, Vec<Vec<u8>>) {
        let kept = self.entries.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (Seq(kept.first), kept.entries.iter().cloned().collect())
    }
}

impl CellLog for MemoryLog {
    fn propose(&mut self, mut batch: Committed) -> Result<(), (LogError, Committed)> {
        let first = batch.first().0;
        for i in 0..batch.len() {
            batch.put_at(i, first + i as u64);
        }
        batch.durable_now();
        self.committed = batch.last();
        let mut kept = self.entries.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in batch.entries() {
            if self.entries.limit == 0 {
                break;
            }
            kept.bytes += entry.len();
            kept.entries.push_back(entry.to_vec());
            while kept.bytes > self.entries.limit
                && let Some(old) = kept.entries.pop_front()
            {
                kept.bytes -= old.len();
                kept.first += 1;
            }
        }
        drop(kept);
        self.ready.push_back(batch);
        Ok(())
    }

    fn committed(&mut self) -> Option<Committed> {
        self.ready.pop_front()
    }

    fn status(&self) -> LogStatus {
        LogStatus { role: Role::Leader, term: Term(1), committed: self.committed, disks: 0 }
    }

    fn files(&self) -> Arc<dyn LogFiles> {
        self.entries.clone()
    }

    fn close(self: Box<Self>) -> Result<(), LogError> {
        Ok(())
    }
}

impl LogFiles for Entries {
    fn read(&self, position: u64) -> Result<Vec<u8>, LogError> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = position.checked_sub(kept.first).ok_or(LogError::NotKept { position })?;
        kept.entries.get(at as usize).cloned().ok_or(LogError::NotKept { position })
    }

    fn release(&self, _: u64) -> Result<u64, LogError> {
        Ok(self.kept.lock().unwrap_or_else(PoisonError::into_inner).first)
    }

    fn prepare(&self) -> Result<(), LogError> {
        Ok(())
    }
}

impl std::fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryLog").field("committed", &self.committed).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for MemoryTap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryTap(..)")
    }
}
