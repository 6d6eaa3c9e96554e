//! The bank trace, in the owners' seventeen tab-separated columns or in this project's twelve.
//!
//! A row of the seventeen columns is written as one of the twelve and then judged by [`crate::trace`], so that both forms have
//! one set of rules; its findings use the twelve columns' names. Rows become contacts as [`crate::bank::MAPPING`] says: a
//! hang-up at the moment of joining the queue left with the bot, a service without a start or of 0 s has no usable time. A
//! priority of 0 without a customer says nothing (only callers who waited were identified), with a customer it is regular.
//!
//! It refuses to repair: a line whose columns are merged is a finding.

use super::super::contact::{At, Ended, Observed, Service, Standing};
use super::{Finding, Limits, ReadError, ReadReport, Sink, open, quoted};
use crate::trace::{HEADER, Mode, Outcome, Problem, Severity, TraceRow, parse};
use std::fmt::Write;
use std::io::{BufRead, Read};
use std::path::Path;

/// The owners' header begins so.
const OWNERS: &str = "vru+line\tcall_id\t";
const OWNERS_COLUMNS: usize = 17;
/// Lines judged at once.
const BATCH: usize = 2_048;
/// Days from 1 March of year 0, as rows count, to 1970-01-01.
const EPOCH: i64 = 719_468;

/// Reads a file of either form into `sink`.
///
/// # Errors
/// [`ReadError`]; a bad row is no error but a finding.
pub fn read_bank(path: &Path, limits: Limits, sink: &mut impl Sink) -> Result<ReadReport, ReadError> {
    let file = path.display().to_string();
    let mut reader = open(path)?;
    let mut report = ReadReport::default();
    let mut line = Vec::new();
    let failed = |source| ReadError::File { file: file.clone(), source };
    read_line(&mut reader, &mut line, limits).map_err(failed)?;
    let header = String::from_utf8_lossy(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line)).trim_end().to_owned();
    let owners = header.starts_with(OWNERS);
    if header.is_empty() {
        return Err(ReadError::Empty { file });
    }
    if !owners && header != HEADER {
        let expected = format!("{OWNERS}… (17 columns) or {HEADER}");
        let remedy = "name another format with --format, or put the header line first".to_owned();
        return Err(ReadError::Header { file, found: quoted(&header), expected, remedy });
    }
    let mut batch = Batch::new();
    let mut number = 1;
    loop {
        line.clear();
        let more = read_line(&mut reader, &mut line, limits).map_err(failed)? > 0;
        number += 1;
        if more && report.rows < limits.rows {
            report.rows += 1;
            while line.last().is_some_and(|byte| *byte == b'\n' || *byte == b'\r') {
                line.pop();
            }
            if owners {
                match as_twelve(&line, &mut batch.text) {
                    Ok(()) => batch.close(number),
                    Err((field, problem, found, expected)) => {
                        let finding = finding(&file, number, field, problem, found, expected.to_owned());
                        report.note(finding, limits);
                    }
                }
            } else {
                batch.text.extend_from_slice(&line);
                batch.close(number);
            }
        }
        if batch.numbers.len() == BATCH || !more || report.rows == limits.rows {
            batch.judge(&file, limits, &mut report, sink)?;
            if !more || report.rows == limits.rows {
                break;
            }
        }
    }
    Ok(report)
}

/// Rows already read, as contacts.
///
/// # Errors
/// [`ReadError::Names`].
pub fn from_rows(rows: &[TraceRow], name: &str, sink: &mut impl Sink) -> Result<ReadReport, ReadError> {
    let mut report = ReadReport { rows: rows.len() as u64, ..ReadReport::default() };
    for row in rows {
        send(row, name, &mut report, sink)?;
    }
    Ok(report)
}

struct Batch {
    text: Vec<u8>,
    numbers: Vec<u64>,
}

impl Batch {
    fn new() -> Self {
        Self { text: format!("{HEADER}\n").into_bytes(), numbers: Vec::new() }
    }

    fn close(&mut self, number: u64) {
        self.text.push(b'\n');
        self.numbers.push(number);
    }

    fn judge(&mut self, file: &str, limits: Limits, report: &mut ReadReport, sink: &mut impl Sink) -> Result<(), ReadError> {
        let trace_limits = crate::trace::Limits { findings: BATCH * 8, ..crate::trace::Limits::default() };
        // Lenient reading always gives a report.
        if let Ok(mut judged) = parse(&self.text, file, Mode::Lenient, trace_limits) {
            let number = |line: u64| {
                let place = usize::try_from(line.saturating_sub(2)).unwrap_or(usize::MAX);
                self.numbers.get(place).copied().unwrap_or(line)
            };
            for found in judged.findings {
                let line = number(found.line);
                report.note(finding(file, line, found.field.name(), found.problem, found.found, found.expected), limits);
            }
            for row in &mut judged.rows {
                row.line = u32::try_from(number(u64::from(row.line))).unwrap_or(u32::MAX);
                send(row, file, report, sink)?;
            }
        }
        *self = Self::new();
        Ok(())
    }
}

fn send(row: &TraceRow, file: &str, report: &mut ReadReport, sink: &mut impl Sink) -> Result<(), ReadError> {
    let named = |source| ReadError::Names { file: file.to_owned(), line: u64::from(row.line), source };
    if row.outcome == Outcome::Phantom {
        report.ignored += 1;
        return Ok(());
    }
    let class = sink.names().class(row.kind.code()).map_err(named)?;
    let agent = row.agent.map(|agent| sink.names().agent(agent.as_str())).transpose().map_err(named)?;
    // A number of days since the year 0 fits.
    let midnight_ms = (row.day.number() as i64 - EPOCH) * super::super::contact::DAY_MS;
    // A time of day far before the entry belongs to the next day.
    let at = |time_s: u32| {
        let next = if row.vru_entry_s.saturating_sub(time_s) >= 43_200 { 86_400 } else { 0 };
        At(midnight_ms + i64::from(time_s + next) * 1_000)
    };
    let entry = at(row.vru_entry_s);
    let bot_over = At(entry.0 + i64::from(row.vru_s.max(0)) * 1_000);
    let waited_ms = u64::from(row.q_s) * 1_000;
    let ended = match row.outcome {
        Outcome::Agent => {
            let service = row.ser_start_s.filter(|_| row.ser_s > 0).map(|start| {
                let from = at(start);
                Service { from, until: from.later(u64::from(row.ser_s) * 1_000) }
            });
            Ended::Served { waited_ms, service }
        }
        _ if row.q_s > 0 => Ended::Abandoned { waited_ms },
        _ => Ended::BeforeAsking,
    };
    let standing = match (row.priority, row.customer) {
        (2, _) => Standing::High,
        (1, _) | (_, Some(_)) => Standing::Regular,
        _ => Standing::Unknown,
    };
    let asked = match (ended, row.q_start_s) {
        (Ended::BeforeAsking, _) => entry,
        (_, Some(start)) => at(start),
        _ => bot_over,
    };
    report.contacts += 1;
    sink.take(Observed { class, asked, ended, agent, customer: row.customer.map(u64::from), standing });
    Ok(())
}

fn finding(file: &str, line: u64, field: &str, problem: Problem, found: String, expected: String) -> Finding {
    // The trace's enums are written in snake case by serde; a name that cannot be written is no name.
    let name = serde_json::to_value(problem).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    Finding {
        file: file.to_owned(),
        line,
        field: field.to_owned(),
        problem: name,
        found,
        expected,
        remedy: problem.remedy().to_owned(),
        used: problem.severity() == Severity::Kept,
    }
}

type Complaint = (&'static str, Problem, String, &'static str);

/// One line of the owners' columns, written as one of the twelve at the end of `text`.
fn as_twelve(line: &[u8], text: &mut Vec<u8>) -> Result<(), Complaint> {
    let bad = |field, problem, found: &str, expected| Err((field, problem, quoted(found), expected));
    let Ok(shown) = std::str::from_utf8(line) else {
        return bad("line", Problem::NotUtf8, &String::from_utf8_lossy(line), "UTF-8 text");
    };
    if shown.trim().is_empty() {
        return bad("line", Problem::BlankLine, "", "a row of 17 columns");
    }
    let mut columns = [""; OWNERS_COLUMNS];
    let mut count = 0;
    for column in shown.split('\t') {
        if let Some(slot) = columns.get_mut(count) {
            *slot = column.trim();
        }
        count += 1;
    }
    if let Some(merged) = columns.iter().find(|column| column.contains(char::is_whitespace)) {
        return bad("line", Problem::MergedColumns, merged, "one value a column (are two columns merged?)");
    }
    if count != OWNERS_COLUMNS {
        return Err(("line", Problem::WrongColumnCount, format!("{count} columns"), "17 columns"));
    }
    let [_, _, customer, priority, kind, date, vru_entry, _, vru, q_start, q_exit, q, outcome, ser_start, ser_exit, ser, server] =
        columns;
    let Some(day) = date.get(..6).filter(|_| date.len() == 6 && date.bytes().all(|byte| byte.is_ascii_digit())) else {
        return bad("date", Problem::BadDate, date, "a date as yymmdd");
    };
    let century = if &day[..2] < "70" { "20" } else { "19" };
    let mut times = [0_u32; 5];
    let written =
        [("vru_entry", vru_entry), ("q_start", q_start), ("q_exit", q_exit), ("ser_start", ser_start), ("ser_exit", ser_exit)];
    for (slot, (field, value)) in times.iter_mut().zip(written) {
        match clock(value) {
            Some(seconds) => *slot = seconds,
            None => return bad(field, Problem::ImpossibleTime, value, "a time as h:mm:ss"),
        }
    }
    let [entry_s, q_start_s, q_exit_s, ser_start_s, ser_exit_s] = times;
    // 0:00:00 stands for "did not happen", unless something lasted from midnight on.
    let happened = |start: u32, end: u32, length: &str| start > 0 || end > 0 || length != "0";
    let optional = |start: u32, happened: bool| if happened { start.to_string() } else { String::new() };
    let q_begin = optional(q_start_s, happened(q_start_s, q_exit_s, q));
    let ser_begin = optional(ser_start_s, happened(ser_start_s, ser_exit_s, ser));
    let mut row = String::with_capacity(96);
    let (year, month, day) = (&day[..2], &day[2..4], &day[4..]);
    // Writing to a string cannot fail.
    let _written = write!(
        row,
        "{century}{year}-{month}-{day},{kind},{priority},{customer},{entry_s},{vru},{q_begin},{q},{outcome},{ser_begin},{ser},{server}"
    );
    text.extend_from_slice(row.as_bytes());
    Ok(())
}

/// Seconds of h:mm:ss within a day; a time of the next day, written from 24 on, loses its day.
fn clock(text: &str) -> Option<u32> {
    let mut parts = text.split(':');
    let mut next = |most: u32| {
        let part = parts.next()?;
        let digits = (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u32>().ok().filter(|value| digits && *value <= most)
    };
    let (hours, minutes, seconds) = (next(47)?, next(59)?, next(59)?);
    parts.next().is_none().then_some((hours * 3_600 + minutes * 60 + seconds) % 86_400)
}

/// One line with its break; the rest of an overlong line is dropped, so that the row is found too long or short of columns.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>, limits: Limits) -> std::io::Result<usize> {
    let most = limits.line_bytes as u64;
    let mut read = reader.take(most).read_until(b'\n', line)?;
    if read as u64 == most && line.last() != Some(&b'\n') {
        let mut rest = Vec::new();
        loop {
            rest.clear();
            let more = reader.take(most).read_until(b'\n', &mut rest)?;
            read += more;
            if more == 0 || rest.last() == Some(&b'\n') {
                break;
            }
        }
    }
    Ok(read)
}
