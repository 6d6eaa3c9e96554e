//! The write-ahead log: framed, checksummed records in preallocated, recycled segments over a [`Disk`].
//!
//! What it is for: an acknowledged record is there after any stop, unchanged and in order, or its loss is named. One
//! [`Writer`] appends records of many groups and makes them durable by [`Writer::sync`]; any number of readers look records
//! up by [`Position`] or scan them in order; [`SnapshotStore`] keeps the states that let old segments go; [`Scrub`] reads
//! everything again, a little at a time.
//!
//! What it refuses to know: what a payload means, what a group is, the clock, threads, randomness (the salt is the
//! caller's), and what to do about damage beyond the three ways of [`OnDamage`].
//!
//! How to drive it: `Journal::open(disk, Options::default())`, look at the [`Recovery`], take `journal.writer()`, append,
//! sync, acknowledge only what a sync has returned. The promises and their tests stand in docs/SEMANTICS.md and
//! docs/TESTING.md; the reason for a log of our own in docs/decisions.
//!
//! ```
//! use tidegate_journal::{FaultyDisk, Journal, Options, Position, Record, Scanned};
//!
//! let disk = FaultyDisk::new(1); // or RealDisk::open("a/directory")?
//! let options = Options { segment_bytes: 1 << 20, max_payload_bytes: 64 << 10, ..Options::default() };
//! let (journal, recovery) = Journal::open(disk, options)?;
//! assert!(recovery.is_whole());
//! let mut writer = journal.writer()?;
//! let position = writer.append_one(Record { group: 7, index: 1, payload: b"an input" })?;
//! writer.sync()?; // only now may it be acknowledged
//! assert_eq!(journal.reader().read_at(position)?.payload, b"an input");
//! for scanned in journal.scan(Position::START) {
//!     match scanned? {
//!         Scanned::Entry(entry) => assert_eq!(entry.index, 1),
//!         Scanned::Hole(hole) => panic!("{hole}"),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod disk;
pub mod frame;
pub mod limits;
pub mod rng;

mod journal;
mod reader;
mod recover;
mod report;
mod scrub;
mod segment;
mod snapshot;
mod walk;
mod watermark;
mod writer;

pub use disk::{Disk, DiskFault, DiskFile, DiskOp, FaultyDisk, RealDisk};
pub use journal::{Journal, OnDamage, OpenError, Options, PurgeError, Purged, Verify, WriterError};
pub use reader::{Entry, EntryRef, ReadError, Reader, Scan, ScanError, ScanStep, Scanned};
pub use report::{GroupSpan, Hole, HoleCause, Note, Recovery, Suspect, Torn};
pub use scrub::{Scrub, ScrubReport};
pub use segment::Position;
pub use snapshot::{
    DamagedSnapshot, Latest, SnapshotError, SnapshotId, SnapshotInfo, SnapshotPart, SnapshotReader, SnapshotStore, SnapshotWriter,
};
pub use writer::{AppendError, Durable, Record, SyncError, Writer};
