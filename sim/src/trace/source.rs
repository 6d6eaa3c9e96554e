//! Bytes to rows: gzip, byte order mark, line breaks, limits, strictness.
//!
//! Reading holds the unpacked file in memory, at most [`Limits::bytes`] of it; a gzip bomb stops there. A damaged gzip stream gives
//! the rows before the damage and a finding. [`parse_bytes`] is total and never stops early: the fuzz entry point.

use super::HEADER;
use super::parse::{Complaint, parse_line};
use super::problem::{Field, Finding, Problem, Severity, quoted};
use super::row::TraceRow;
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;

/// What to do at a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Stop at the first finding, of either severity.
    Strict,
    /// Count it and go on.
    Lenient,
}

/// What reading will not go past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the unpacked file.
    pub bytes: u64,
    /// Bytes of one line, without its line break.
    pub line_bytes: usize,
    /// Rows (lines after the header).
    pub rows: u64,
    /// Findings kept with their text; all are counted.
    pub findings: usize,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The rows, in the file's order.
    pub rows: Vec<TraceRow>,
    /// The first [`Limits::findings`] findings, in the file's order.
    pub findings: Vec<Finding>,
    /// How often each problem was found.
    pub counts: BTreeMap<Problem, u64>,
    /// Lines after the header.
    pub lines: u64,
    /// Lines after the header that gave no row.
    pub rejected: u64,
    /// Lines that ended in CR LF.
    pub crlf_lines: u64,
    /// Fields in quotation marks.
    pub quoted_fields: u64,
    /// Byte order marks at the beginning (0 or 1).
    pub byte_order_marks: u64,
}

/// Why a file was not read to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It cannot be opened or read.
    #[error("{file}: cannot be read; check the path and its permissions")]
    File {
        /// The file as named.
        file: Arc<str>,
        /// What the system says.
        source: std::io::Error,
    },
    /// The first finding, in [`Mode::Strict`].
    #[error("{0}")]
    Found(Box<Finding>),
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 << 20, line_bytes: 512, rows: 2_000_000, findings: 1_000 }
    }
}

impl Report {
    /// How often `problem` was found.
    pub fn count(&self, problem: Problem) -> u64 {
        self.counts.get(&problem).copied().unwrap_or(0)
    }
}

/// Reads a trace from a file, gzip or plain (told by its first bytes, not its name).
///
/// # Errors
/// [`ReadError::File`] when the system refuses, [`ReadError::Found`] at the first finding in [`Mode::Strict`].
pub fn read_file(path: &Path, mode: Mode, limits: Limits) -> Result<Report, ReadError> {
    let name: Arc<str> = path.display().to_string().into();
    let failed = |source| ReadError::File { file: name.clone(), source };
    let mut bytes = Vec::new();
    // One byte more than the limit tells a file at the limit from a longer one; packed bytes are never more than unpacked
    // ones by enough to matter.
    File::open(path).and_then(|file| file.take(limits.bytes.saturating_add(1)).read_to_end(&mut bytes)).map_err(failed)?;
    parse(&bytes, &name, mode, limits)
}

/// Reads a trace from bytes, gzip or plain; `name` stands in findings as the file.
///
/// ```
/// use tidegate_sim::trace::{HEADER, Limits, Mode, parse};
///
/// let text = format!("{HEADER}\n1999-05-16,PS,2,50,40244,6,40250,71,AGENT,40320,5,A01\n1999-05-16,PS,2,50,noon,6,,0,HANG,,0,\n");
/// let report = parse(text.as_bytes(), "day.csv", Mode::Lenient, Limits::default())?;
/// assert_eq!((report.rows.len(), report.rejected), (1, 1));
/// assert!(report.findings[0].to_string().starts_with("day.csv:3: vru_entry_s: found “noon”, expected seconds after midnight"));
/// # Ok::<(), tidegate_sim::trace::ReadError>(())
/// ```
///
/// # Errors
/// [`ReadError::Found`] at the first finding in [`Mode::Strict`].
pub fn parse(bytes: &[u8], name: &str, mode: Mode, limits: Limits) -> Result<Report, ReadError> {
    let mut reader = Reader { name: name.into(), mode, limits, report: Report::default() };
    match reader.read(bytes) {
        Ok(()) | Err(Stop::EnoughRead) => Ok(reader.report),
        Err(Stop::Found(finding)) => Err(ReadError::Found(finding)),
    }
}

/// Reads a trace from any bytes whatever, leniently, under the default limits. Never panics, never fails.
pub fn parse_bytes(bytes: &[u8]) -> Report {
    let mut reader = Reader { name: "input".into(), mode: Mode::Lenient, limits: Limits::default(), report: Report::default() };
    // Both ways to stop leave what was read until then in the report.
    let _stop = reader.read(bytes);
    reader.report
}

struct Reader {
    name: Arc<str>,
    mode: Mode,
    limits: Limits,
    report: Report,
}

enum Stop {
    /// Strict mode met its first finding.
    Found(Box<Finding>),
    /// The rest of the file is not to be used.
    EnoughRead,
}

impl Reader {
    fn read(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            let shown = &bytes[..bytes.len().min(usize::try_from(self.limits.bytes).unwrap_or(usize::MAX))];
            return self.read_lines(shown, if shown.len() < bytes.len() { End::TooLong } else { End::Whole });
        }
        let mut unpacked = Vec::new();
        let end = match MultiGzDecoder::new(bytes).take(self.limits.bytes.saturating_add(1)).read_to_end(&mut unpacked) {
            Err(error) => End::Damaged(error.to_string()),
            Ok(_) if unpacked.len() as u64 > self.limits.bytes => {
                unpacked.pop();
                End::TooLong
            }
            Ok(_) => End::Whole,
        };
        self.read_lines(&unpacked, end)
    }

    fn read_lines(&mut self, bytes: &[u8], end: End) -> Result<(), Stop> {
        let text = match bytes.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) => {
                self.report.byte_order_marks = 1;
                rest
            }
            None => bytes,
        };
        let mut lines = text.split(|byte| *byte == b'\n').peekable();
        let header = self.without_cr(lines.next().unwrap_or_default());
        if header != HEADER.as_bytes() {
            let found = if header.is_empty() { "nothing".to_owned() } else { quoted(header) };
            self.note(
                1,
                Complaint { field: Field::Line, problem: Problem::BadHeader, found, expected: format!("the header {HEADER}") },
            )?;
            return Err(Stop::EnoughRead);
        }
        let mut number = 1_u64;
        while let Some(line) = lines.next() {
            number += 1;
            let last = lines.peek().is_none();
            if last && line.is_empty() {
                break;
            }
            if last && !matches!(end, End::Whole) {
                // The cut may lie anywhere in this line.
                break;
            }
            self.read_line(line, number)?;
        }
        let (problem, found, expected) = match end {
            End::Whole => return Ok(()),
            End::TooLong => {
                let limit = self.limits.bytes;
                (Problem::TooManyBytes, format!("more than {limit} bytes"), format!("at most {limit} bytes"))
            }
            End::Damaged(error) => (Problem::DamagedGzip, error, "an undamaged gzip stream".to_owned()),
        };
        self.note(number, Complaint { field: Field::Line, problem, found, expected })
    }

    fn read_line(&mut self, line: &[u8], number: u64) -> Result<(), Stop> {
        let limit = self.limits.rows;
        let (Some(row_number), true) = (u32::try_from(number).ok(), self.report.lines < limit) else {
            let complaint = Complaint {
                field: Field::Line,
                problem: Problem::TooManyRows,
                found: format!("more than {limit} rows"),
                expected: format!("at most {limit} rows"),
            };
            self.note(number, complaint)?;
            return Err(Stop::EnoughRead);
        };
        self.report.lines += 1;
        let line = self.without_cr(line);
        if line.len() > self.limits.line_bytes {
            self.report.rejected += 1;
            return self.note(
                number,
                Complaint {
                    field: Field::Line,
                    problem: Problem::LineTooLong,
                    found: format!("{} bytes: {}", line.len(), quoted(line)),
                    expected: format!("at most {} bytes", self.limits.line_bytes),
                },
            );
        }
        match parse_line(line, row_number) {
            Ok(parsed) => {
                self.report.quoted_fields += parsed.quoted_fields;
                for complaint in parsed.kept {
                    self.note(number, complaint)?;
                }
                self.report.rows.push(parsed.row);
                Ok(())
            }
            Err(complaint) => {
                self.report.rejected += 1;
                self.note(number, complaint)
            }
        }
    }

    fn without_cr<'a>(&mut self, line: &'a [u8]) -> &'a [u8] {
        match line.strip_suffix(b"\r") {
            Some(line) => {
                self.report.crlf_lines += 1;
                line
            }
            None => line,
        }
    }

    fn note(&mut self, line: u64, complaint: Complaint) -> Result<(), Stop> {
        let Complaint { field, problem, found, expected } = complaint;
        *self.report.counts.entry(problem).or_default() += 1;
        let finding = Finding { file: self.name.clone(), line, field, problem, found, expected };
        if self.mode == Mode::Strict {
            return Err(Stop::Found(Box::new(finding)));
        }
        if self.report.findings.len() < self.limits.findings {
            self.report.findings.push(finding);
        }
        Ok(())
    }
}

/// How the bytes end.
enum End {
    Whole,
    TooLong,
    Damaged(String),
}

impl Finding {
    /// Whether the row was used all the same.
    pub fn severity(&self) -> Severity {
        self.problem.severity()
    }
}
