//! The seam to the log: stamped batches in, the same batches out once they are durable, in order.
//!
//! [`SingleNode`](super::SingleNode) (one voter over the journal) and [`MemoryLog`](super::MemoryLog) stand behind it; a
//! replicated log takes the same seam: there `committed` may also give batches that another leader proposed. The seam
//! refuses to know tenants, inputs and time.

use super::batch::Committed;
use crate::primitive::Arc;
use tidegate_model::{Seq, Term};

/// What this node is to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// It may propose.
    Leader,
    /// It only applies.
    Follower,
    /// Nothing more can be written here.
    Failed,
}

/// Where a log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStatus {
    /// This node's role.
    pub role: Role,
    /// The current term.
    pub term: Term,
    /// Newest durable entry.
    pub committed: Seq,
    /// Disks that hold an entry once it is called durable: 1 on a single node, a majority's size in a replicated log, 0 in memory.
    pub disks: u32,
}

/// Why a log takes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The disk is full. Nothing of the batch is acknowledged; make room and restart the node.
    #[error("the disk is full ({what}); nothing more is acknowledged: make room and restart the node")]
    DiskFull {
        /// What the disk said.
        what: String,
    },
    /// A write or a sync failed. Whether the batch survives a stop is unknown, so it is not acknowledged.
    #[error("the log cannot be written ({what}); nothing more is acknowledged: check the disk and restart the node")]
    Failed {
        /// What the disk said.
        what: String,
    },
    /// Not the leader.
    #[error("this node does not lead the cell")]
    NotLeader,
    /// An entry that the log cannot hold.
    #[error("entry {seq:?} has {bytes} bytes; the log holds at most {limit}")]
    TooLong {
        /// Which.
        seq: Seq,
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The position is not kept (any more).
    #[error("position {position:#x} is not in the log (purged, or never written)")]
    NotKept {
        /// Which.
        position: u64,
    },
    /// What stands at the position is damaged; it is never returned.
    #[error("position {position:#x} of the log is damaged: {what}")]
    Damaged {
        /// Which.
        position: u64,
        /// What was found.
        what: String,
    },
}

/// A cell's log.
pub trait CellLog: Send + 'static {
    /// Hands over a stamped batch whose first entry follows the last one proposed. It may return before the batch is durable
    /// (a replicated log) or after (a single disk).
    ///
    /// # Errors
    /// [`LogError`]; then nothing of the batch may be acknowledged, and no later batch is taken. The batch comes back, so that
    /// those who wait for it can be told.
    fn propose(&mut self, batch: Committed) -> Result<(), (LogError, Committed)>;

    /// The next durable batch, in order; `None` when there is none now. Every entry of it survives whatever the log promises
    /// to survive.
    fn committed(&mut self) -> Option<Committed>;

    /// Where the log stands.
    fn status(&self) -> LogStatus;

    /// Reading and house-keeping beside the proposer; used by any thread.
    fn files(&self) -> Arc<dyn LogFiles>;

    /// A clean end: everything proposed is durable, and a restart finds no tail to repair.
    ///
    /// # Errors
    /// [`LogError`]: what was acknowledged is durable all the same.
    fn close(self: Box<Self>) -> Result<(), LogError>;
}

/// Reads entries back and keeps the log's house.
pub trait LogFiles: Send + Sync + 'static {
    /// Entries before `position` (one that this log gave) are no longer needed for a restart: it may forget them, as its
    /// retention says. Returns the oldest position that is still kept.
    ///
    /// # Errors
    /// [`LogError`]; nothing is lost by it and it can be asked for again.
    fn release(&self, position: u64) -> Result<u64, LogError>;

    /// Makes ready what the next appends will need (room, spare segments). Called now and then by a thread that may wait.
    ///
    /// # Errors
    /// [`LogError`]; the proposer will meet the same one.
    fn prepare(&self) -> Result<(), LogError>;

    /// The entry at a position that the log gave.
    ///
    /// # Errors
    /// [`LogError::NotKept`], [`LogError::Damaged`] or [`LogError::Failed`]; never a wrong entry.
    fn read(&self, position: u64) -> Result<Vec<u8>, LogError>;
}
