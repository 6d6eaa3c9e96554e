//! Records into [`Observed`] contacts, one row at a time: the bank trace, any CSV with mapped columns, a node's own journal.
//!
//! A reader holds one row (the bank's a few thousand) at once, whatever the length of the file. Every row becomes a contact or a
//! [`Finding`] that names file, line, field, what stood there, what should have, and what to do; the first [`Limits::findings`] are kept with
//! their text and all are counted. Nothing is guessed: an encoding, a date or an outcome that cannot be read is a finding.
//!
//! It refuses to know what is fitted from the contacts.

mod bank;
mod csv;
mod journal;
mod moment;

pub use self::csv::{Encoding, Mapping, MappingError, ROLES, read_csv, read_csv_from};
pub use bank::{from_rows, read_bank};
pub use journal::{from_records, read_journal};
pub use moment::Zone;

use super::contact::{Names, NamesError, Observed};
use crate::twin::journal::ReplayDirError;
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use thiserror::Error;

/// Takes contacts as they are read; numbers their names.
pub trait Sink {
    /// The names.
    fn names(&mut self) -> &mut Names;
    /// One contact.
    fn take(&mut self, contact: Observed);
}

/// What reading will not go past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one line.
    pub line_bytes: usize,
    /// Rows of one file.
    pub rows: u64,
    /// Findings kept with their text.
    pub findings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line_bytes: 64 << 10, rows: 1_000_000_000, findings: 100 }
    }
}

/// One thing found in a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file as named.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The field's name; “line” for the whole.
    pub field: String,
    /// A stable name for counts.
    pub problem: String,
    /// What stood there.
    pub found: String,
    /// What should have.
    pub expected: String,
    /// What to do.
    pub remedy: String,
    /// Whether the row is used all the same.
    pub used: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, field, found, expected, remedy, .. } = self;
        write!(f, "{file}:{line}: {field}: found {found}, expected {expected}; {remedy}")
    }
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReadReport {
    /// Rows after the header.
    pub rows: u64,
    /// Rows that gave a contact.
    pub contacts: u64,
    /// Rows that say of themselves that they are none (phantoms).
    pub ignored: u64,
    /// Rows that could not be read.
    pub rejected: u64,
    /// The first findings.
    pub findings: Vec<Finding>,
    /// How often each problem was found.
    pub problems: BTreeMap<String, u64>,
}

/// Why a file was not read to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It cannot be opened or read.
    #[error("{file} cannot be read; check the path, its permissions and, if it is packed, that it is whole")]
    File {
        /// The file as named.
        file: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Nothing in it.
    #[error("{file}:1: line: found nothing, expected a header and at least one row; check that this is the right file")]
    Empty {
        /// The file as named.
        file: String,
    },
    /// An encoding that is not read.
    #[error("{file}:1: line: found {found}, expected UTF-8 or GB18030; save the file as “CSV UTF-8”")]
    Encoding {
        /// The file as named.
        file: String,
        /// Which.
        found: &'static str,
    },
    /// A header that is not this format's.
    #[error("{file}:1: line: found the header {found}, expected {expected}; {remedy}")]
    Header {
        /// The file as named.
        file: String,
        /// What stood there.
        found: String,
        /// What should have.
        expected: String,
        /// What to do.
        remedy: String,
    },
    /// More classes or agents than any centre has.
    #[error("{file}:{line}: {source}")]
    Names {
        /// The file as named.
        file: String,
        /// The line.
        line: u64,
        /// Of what.
        source: NamesError,
    },
    /// A journal that cannot be replayed.
    #[error("the journal cannot be read")]
    Journal(#[from] ReplayDirError),
}

impl ReadReport {
    /// Adds what another file gave.
    pub fn merge(&mut self, other: Self, limits: Limits) {
        self.rows += other.rows;
        self.contacts += other.contacts;
        self.ignored += other.ignored;
        self.rejected += other.rejected;
        for (problem, count) in other.problems {
            *self.problems.entry(problem).or_default() += count;
        }
        let room = limits.findings.saturating_sub(self.findings.len());
        self.findings.extend(other.findings.into_iter().take(room));
    }

    fn note(&mut self, finding: Finding, limits: Limits) {
        *self.problems.entry(finding.problem.clone()).or_default() += 1;
        self.rejected += u64::from(!finding.used);
        if self.findings.len() < limits.findings {
            self.findings.push(finding);
        }
    }
}

/// Opens a file, packed by gzip or plain (told by its first bytes, not its name).
fn open(path: &Path) -> Result<Box<dyn BufRead>, ReadError> {
    let failed = |source| ReadError::File { file: path.display().to_string(), source };
    unpacked(File::open(path).map_err(failed)?).map_err(failed)
}

/// A reader's bytes, unpacked where they are gzip.
fn unpacked<'a>(reader: impl Read + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut reader = BufReader::with_capacity(1 << 16, reader);
    let packed = reader.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if packed { Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(reader))) } else { Box::new(reader) })
}

/// A printable piece of hostile input, in quotation marks.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    let mut shown: String =
        text.chars().take(SHOWN).map(|c| if c.is_control() || c == '\u{feff}' { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("“{shown}”")
}
