//! The disk as the journal sees it: one flat directory of files, with every promise a real disk breaks made explicit.
//!
//! [`RealDisk`] is a directory of the file system; [`FaultyDisk`] lives in memory, loses at a power cut what was not
//! synced, and fails on demand. The journal knows nothing else of the world, so that the same code runs on both, and a
//! test may wrap either (a disk that lies about its sync, say).
//!
//! What an implementation must promise: after `sync_data` returns, the file's bytes and length survive a power cut; after
//! `sync_dir` returns, so do the names; a write of bytes equal to those already durable cannot damage them (a sector is
//! written whole or not at all). Nothing is promised about order between two syncs.

mod faulty;
mod real;

use std::fmt;
use std::io;

pub use faulty::FaultyDisk;
pub use real::RealDisk;

/// A flat directory of files. Names hold no separator.
pub trait Disk: Send + Sync + 'static {
    /// An open file; it stays usable when its name changes.
    type File: DiskFile;

    /// Creates an empty file.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, and whatever the disk reports.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// `NotFound`, and whatever the disk reports.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Every name in the directory, sorted.
    ///
    /// # Errors
    /// Whatever the disk reports.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Removes a name.
    ///
    /// # Errors
    /// `NotFound`, and whatever the disk reports.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name, atomically; a file of that name is replaced.
    ///
    /// # Errors
    /// `NotFound`, and whatever the disk reports.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes creations, removals and renames so far durable.
    ///
    /// # Errors
    /// Whatever the disk reports; after an error nothing may be assumed of the names.
    fn sync_dir(&self) -> io::Result<()>;
}

/// An open file, shared by the writer and by readers.
pub trait DiskFile: Send + Sync + 'static {
    /// Reads at an offset; returns the count, 0 at the end.
    ///
    /// # Errors
    /// Whatever the disk reports.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at an offset; returns the count, which may be short.
    ///
    /// # Errors
    /// Whatever the disk reports; `StorageFull` when there is no room.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes the file's bytes and length durable.
    ///
    /// # Errors
    /// Whatever the disk reports. An error is final: the bytes may be lost even if a later sync succeeds.
    fn sync_data(&self) -> io::Result<()>;

    /// Sets the length; new bytes read as zero and may take no room yet.
    ///
    /// # Errors
    /// Whatever the disk reports.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Fills the whole file with real zeroes up to `len` and syncs it, so that later writes change no metadata and find room.
    ///
    /// # Errors
    /// `StorageFull` when there is no room, and whatever else the disk reports.
    fn preallocate(&self, len: u64) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// Whatever the disk reports.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file holds no byte.
    ///
    /// # Errors
    /// As [`DiskFile::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads until the buffer is full or the file ends; returns the count.
    ///
    /// # Errors
    /// As [`DiskFile::read_at`]; an interruption is tried again.
    fn read_full_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Writes every byte, going on after short writes.
    ///
    /// # Errors
    /// As [`DiskFile::write_at`]; `WriteZero` when the disk takes nothing more.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            match self.write_at(&bytes[done..], offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What was asked of the disk when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskOp {
    /// Creating a file.
    Create,
    /// Opening a file.
    Open,
    /// Listing the directory.
    List,
    /// Removing a file.
    Remove,
    /// Renaming a file.
    Rename,
    /// Syncing the directory.
    SyncDir,
    /// Reading bytes.
    Read,
    /// Writing bytes.
    Write,
    /// Syncing a file.
    Sync,
    /// Filling a new file with zeroes.
    Preallocate,
    /// Asking for or setting a length.
    Length,
}

impl fmt::Display for DiskOp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Create => "creating",
            Self::Open => "opening",
            Self::List => "listing",
            Self::Remove => "removing",
            Self::Rename => "renaming",
            Self::SyncDir => "syncing the directory for",
            Self::Read => "reading",
            Self::Write => "writing",
            Self::Sync => "syncing",
            Self::Preallocate => "preallocating",
            Self::Length => "measuring",
        })
    }
}

/// A failure of the disk, with what was asked and of which file.
#[derive(Debug, thiserror::Error)]
#[error("{op} {file} failed")]
pub struct DiskFault {
    /// What was asked.
    pub op: DiskOp,
    /// The file's name within the directory.
    pub file: String,
    /// What the disk said.
    #[source]
    pub source: io::Error,
}

impl DiskFault {
    /// Whether the disk has no room left (or the quota is used up).
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WriteZero)
    }
}

/// Adds the operation and the file's name to a disk's error.
pub(crate) trait Named<T> {
    /// Names the failure.
    fn named(self, op: DiskOp, file: &str) -> Result<T, DiskFault>;
}

impl<T> Named<T> for io::Result<T> {
    fn named(self, op: DiskOp, file: &str) -> Result<T, DiskFault> {
        self.map_err(|source| DiskFault { op, file: file.to_owned(), source })
    }
}
