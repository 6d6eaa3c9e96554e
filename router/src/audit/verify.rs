//! Checks a chain from its first record to its end: numbers, links, hashes, files, and a head that somebody noted.
//!
//! It reads only. O(records), one line in memory. It refuses to know what acts mean; acts without an outcome are counted, as
//! a crash leaves them.

use super::record::{Head, Record, file};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Longest line that is read; a record is far shorter.
const LINE_BYTES_MAX: u64 = 256 << 10;

/// What holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Records.
    pub records: u64,
    /// Files.
    pub files: u32,
    /// Acts that were asked for and have no outcome.
    pub without_outcome: u64,
    /// The newest record.
    pub head: Head,
}

/// Where and how a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct Broken {
    /// File name.
    pub file: String,
    /// Line, from 1; 0 for the file as a whole.
    pub line: u64,
    /// What is wrong.
    pub what: String,
}

/// Why a chain does not verify.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It cannot be read.
    #[error("the audit cannot be read")]
    Io(#[from] io::Error),
    /// It is broken.
    #[error("the audit is broken at {0}")]
    Broken(#[from] Broken),
}

/// Verifies the audit in a directory; `noted` is a head that somebody wrote down earlier and that must be on the chain.
///
/// # Errors
/// [`VerifyError`]: the first record that does not hold, by file and line.
pub fn verify(directory: &Path, key: &[u8; 32], noted: Option<Head>) -> Result<Verified, VerifyError> {
    let files = files(directory)?;
    let mut head = Head::default();
    let mut open = BTreeSet::new();
    let mut is_noted = noted.is_none_or(|noted| noted == head);
    for (index, (number, path)) in files.iter().enumerate() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let broken = |line: u64, what: String| Broken { file: name.clone(), line, what };
        if *number as usize != index + 1 {
            return Err(broken(0, format!("file {} is missing", index + 1)).into());
        }
        let mut lines = BufReader::new(File::open(path)?);
        let mut text = Vec::new();
        for line in 1.. {
            text.clear();
            lines.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut text)?;
            if text.is_empty() {
                break;
            }
            let Some(json) = text.strip_suffix(b"\n") else {
                return Err(broken(line, "the line has no end: it was cut or is far too long".into()).into());
            };
            let record: Record = Record::read(json).map_err(|error| broken(line, format!("no record: {error}")))?;
            if record.n != head.n + 1 {
                return Err(broken(line, format!("record {} follows {}: {} is missing", record.n, head.n, head.n + 1)).into());
            }
            if record.prev != head.hash {
                return Err(broken(line, format!("record {} does not follow the one before it", record.n)).into());
            }
            if record.hash != record.hashed(key) || record.to_line().as_bytes() != text {
                return Err(broken(line, format!("record {} has been changed, or another key wrote it", record.n)).into());
            }
            head = Head { n: record.n, hash: record.hash };
            is_noted |= noted == Some(head);
            match record.of {
                Some(of) => drop(open.remove(&of)),
                None if record.outcome == "asked" => drop(open.insert(record.n)),
                None => {}
            }
        }
    }
    if let Some(noted) = noted.filter(|_| !is_noted) {
        let what = format!("the head {noted} that was noted is not on this chain, which ends with {head}: its end was cut off");
        return Err(Broken { file: directory.display().to_string(), line: 0, what }.into());
    }
    Ok(Verified { records: head.n, files: files.len() as u32, without_outcome: open.len() as u64, head })
}

/// Records after a number, at most `max`; nothing is verified here. Files before the one that holds the first are left out.
///
/// # Errors
/// The disk's, and a line that is no record.
pub fn read(directory: &Path, after: u64, max: usize) -> io::Result<Vec<Record>> {
    let mut files = files(directory)?;
    // The newest file whose first record is not beyond what is asked for.
    let mut from = files.len();
    while from > 0 {
        from -= 1;
        let first = lines(&files[from].1)?.next().transpose()?;
        if first.is_some_and(|record| record.n <= after.saturating_add(1)) {
            break;
        }
    }
    let mut records = Vec::new();
    for (_, path) in files.drain(from..) {
        for record in lines(&path)? {
            if records.len() == max {
                return Ok(records);
            }
            let record = record?;
            if record.n > after {
                records.push(record);
            }
        }
    }
    Ok(records)
}

/// The records of a file; a line without an end is still being written and ends the reading.
fn lines(path: &Path) -> io::Result<impl Iterator<Item = io::Result<Record>>> {
    let mut lines = BufReader::new(File::open(path)?);
    let mut text = Vec::new();
    Ok(std::iter::from_fn(move || {
        text.clear();
        match lines.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut text) {
            Err(error) => Some(Err(error)),
            Ok(_) => text.strip_suffix(b"\n").map(|json| Record::read(json).map_err(io::Error::from)),
        }
    }))
}

/// The files by number.
fn files(directory: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        let number = name.strip_prefix("audit-").and_then(|rest| rest.strip_suffix(".ndjson")).and_then(|n| n.parse().ok());
        files.extend(number.map(|number| (number, path)));
    }
    files.sort();
    Ok(files)
}

/// Takes a half-written last line off the newest file and keeps it beside; gives its length.
pub(super) fn set_torn_tail_aside(directory: &Path) -> io::Result<Option<u64>> {
    let Some((number, path)) = files(directory)?.pop() else { return Ok(None) };
    let mut newest = File::options().read(true).write(true).open(&path)?;
    let length = newest.metadata()?.len();
    let from = length.saturating_sub(LINE_BYTES_MAX);
    newest.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    newest.read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let torn = &tail[whole..];
    if torn.is_empty() {
        return Ok(None);
    }
    fs::write(file(directory, number).with_extension("torn"), torn)?;
    newest.set_len(from + whole as u64)?;
    newest.sync_all()?;
    Ok(Some(torn.len() as u64))
}
