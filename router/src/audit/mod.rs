//! The audit of administrative acts: who did what, when, with which outcome; append-only and hash-chained.
//!
//! One line of JSON a record in `audit/audit-000001.ndjson` and so on. Each record names the hash of the one before it, and
//! its own hash is keyed BLAKE3 over everything in it, so that a changed, removed, inserted or reordered record breaks the
//! chain, and nobody without the key can mend it. A chain alone does not see its own end cut off: the newest head (number
//! and hash) is shown in `/v1/status` and by `tidegate audit verify`, to be noted elsewhere, and `verify` takes a noted head.
//!
//! An act is recorded twice: when it is asked for, durably, **before** it is done, and with its outcome afterwards; so no act
//! is without a record, and a crash between the two is seen as an act without outcome. Secrets and bodies never come here:
//! whoever records an act gives names, ids and hashes. It refuses to know what acts mean and who may do them.
//!
//! Drive it: [`Audit::open`], [`Audit::asked`], [`Asked::outcome`]; [`verify()`] on a directory of a stopped or running node.

mod record;
mod verify;

pub use record::{Actor, Head, Record};
pub use verify::{Broken, Verified, VerifyError, read, verify};

use record::Line;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A file of the audit is at most about this long, in bytes.
pub const FILE_BYTES_MAX: u64 = 64 << 20;
/// Longest detail value, in bytes; longer ones are cut and say so.
pub const DETAIL_BYTES_MAX: usize = 1_024;
/// Details of one record at most; further ones are left out.
pub const DETAILS_MAX: usize = 32;

/// Why an audit cannot be opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The disk.
    #[error("the audit in {path} cannot be {what}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What failed.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What is there is broken: nothing is appended to a broken chain.
    #[error("the audit in {path} is broken: {broken}; keep the files, move them away, and start a new chain")]
    Broken {
        /// Where.
        path: PathBuf,
        /// How.
        broken: Broken,
    },
    /// An earlier write failed: what is on the disk is not known.
    #[error("the audit could not be written earlier; administrative acts are refused until the node is restarted")]
    Failed,
}

/// The audit of a node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit {
    inner: Arc<Mutex<Writer>>,
    now: fn() -> u64,
}

#[derive(Debug)]
struct Writer {
    directory: PathBuf,
    key: [u8; 32],
    file: File,
    number: u32,
    bytes: u64,
    head: Head,
    is_failed: bool,
}

/// The key of a node's chain, derived from the node's secret.
#[must_use]
pub fn key(secret: &[u8]) -> [u8; 32] {
    blake3::derive_key("tidegate 2026-11-20 audit chain", secret)
}

/// An act that was asked for and has no outcome yet. Dropped without one, the record stays without outcome, as after a crash.
#[derive(Debug)]
#[must_use = "an act needs its outcome"]
pub struct Asked {
    audit: Audit,
    act: u64,
    what: Line,
}

impl Audit {
    /// Opens the audit of a node's directory, or begins one. `now` gives milliseconds since the Unix epoch. Blocking.
    ///
    /// A last line that a crash left half-written was never acknowledged: it is set aside as `….torn` and recorded.
    ///
    /// # Errors
    /// [`AuditError`]; a broken chain is never written on.
    pub fn open(directory: &Path, key: [u8; 32], now: fn() -> u64) -> Result<Self, AuditError> {
        let io = |what| move |source| AuditError::Io { path: directory.to_owned(), what, source };
        std::fs::create_dir_all(directory).map_err(io("made"))?;
        let torn = verify::set_torn_tail_aside(directory).map_err(io("read"))?;
        let verified = verify::verify(directory, &key, None).map_err(|error| match error {
            verify::VerifyError::Io(source) => io("read")(source),
            verify::VerifyError::Broken(broken) => AuditError::Broken { path: directory.to_owned(), broken },
        })?;
        let number = verified.files.max(1);
        let path = record::file(directory, number);
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(io("opened"))?;
        let bytes = file.metadata().map_err(io("read"))?.len();
        // A name that the directory does not hold durably could vanish with everything written to it.
        File::open(directory).and_then(|d| d.sync_all()).map_err(io("synced"))?;
        let writer = Writer { directory: directory.to_owned(), key, file, number, bytes, head: verified.head, is_failed: false };
        let audit = Self { inner: Arc::new(Mutex::new(writer)), now };
        if let Some(torn) = torn {
            let line = Line::new("audit.torn_tail", Actor::node()).detail("bytes", torn.to_string());
            audit.lock().append(line.done((now)(), None, "done"))?;
        }
        Ok(audit)
    }

    /// The newest record's number and hash.
    #[must_use]
    pub fn head(&self) -> Head {
        self.lock().head
    }

    /// Records durably that an act is asked for. Blocking: one fdatasync.
    ///
    /// # Errors
    /// [`AuditError`]: then the act must not be done.
    pub fn asked(&self, action: &str, actor: Actor, tenant: Option<u32>, details: &[(&str, String)]) -> Result<Asked, AuditError> {
        let mut line = Line::new(action, actor);
        line.tenant = tenant;
        for (name, value) in details {
            line = line.detail(name, value.clone());
        }
        let act = self.lock().append(line.clone().done((self.now)(), None, "asked"))?;
        Ok(Asked { audit: self.clone(), act, what: line })
    }

    /// Records durably what happened at once, such as a refused attempt. Blocking: one fdatasync.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn note(
        &self,
        action: &str,
        actor: Actor,
        tenant: Option<u32>,
        outcome: &str,
        details: &[(&str, String)],
    ) -> Result<(), AuditError> {
        let mut line = Line::new(action, actor);
        line.tenant = tenant;
        for (name, value) in details {
            line = line.detail(name, value.clone());
        }
        self.lock().append(line.done((self.now)(), None, outcome)).map(drop)
    }

    /// Records after number `after`, `max` at most, oldest first. Blocking; reads files of the audit that hold them.
    ///
    /// # Errors
    /// [`AuditError::Io`], also for a line that is no record.
    pub fn read(&self, after: u64, max: usize) -> Result<Vec<Record>, AuditError> {
        let directory = self.lock().directory.clone();
        verify::read(&directory, after, max).map_err(|source| AuditError::Io { path: directory, what: "read", source })
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    /// Records how the act ended: `done`, `refused` or `failed`, with what is worth knowing. Blocking: one fdatasync.
    ///
    /// # Errors
    /// [`AuditError`]: the act has been done and its record says only that it was asked for.
    pub fn outcome(self, outcome: &str, details: &[(&str, String)]) -> Result<(), AuditError> {
        let mut line = self.what;
        line.details = BTreeMap::new();
        for (name, value) in details {
            line = line.detail(name, value.clone());
        }
        self.audit.lock().append(line.done((self.audit.now)(), Some(self.act), outcome)).map(drop)
    }
}

impl Writer {
    /// Appends durably; gives the record's number.
    fn append(&mut self, line: Line) -> Result<u64, AuditError> {
        if self.is_failed {
            return Err(AuditError::Failed);
        }
        let record = line.chained(self.head, &self.key);
        let head = Head { n: record.n, hash: record.hash };
        let text = record.to_line();
        let written = self.write(&text);
        if let Err(source) = written {
            // How much of the line is there is not known, and a retry could stand behind half of it.
            self.is_failed = true;
            return Err(AuditError::Io { path: self.directory.clone(), what: "written", source });
        }
        self.head = head;
        Ok(head.n)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + text.len() as u64 > FILE_BYTES_MAX {
            let path = record::file(&self.directory, self.number + 1);
            self.file = OpenOptions::new().create_new(true).append(true).open(path)?;
            File::open(&self.directory)?.sync_all()?;
            self.number += 1;
            self.bytes = 0;
        }
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()?;
        self.bytes += text.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
