//! A record of contacts in any CSV, its columns mapped by name: UTF-8 with or without a byte order mark, or GB18030.
//!
//! Fields are split as bytes and then decoded one by one, which is sound in both encodings: no byte of a Chinese character is a
//! separator, a quotation mark or a line break. Without a named encoding the first 64 KiB decide (the byte order mark, else
//! whether they are UTF-8), and a row that does not decode later on is a finding, never a replacement character. The separator
//! is a comma, a semicolon or a tab, whichever the header has most.
//!
//! One row is one contact: `time` (when it asked) is required, the wait as `wait_s` or `answered`, the service as `handle_s` or
//! `ended`. Without an `outcome` a contact is served if it has a service or was answered. It refuses to know what the classes mean.

use super::super::contact::{At, Ended, Observed, Service, Standing};
use super::moment::{Zone, parse as parse_moment};
use super::{Finding, Limits, ReadError, ReadReport, Sink, quoted, unpacked};
use ::csv::{ByteRecord, ReaderBuilder};
use encoding_rs::{GB18030, UTF_8};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, Read};
use std::path::Path;
use thiserror::Error;

/// How bytes stand for text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Told by the file's beginning.
    #[default]
    Detect,
    /// UTF-8.
    Utf8,
    /// GB18030, which holds GBK and GB2312.
    Gb18030,
}

/// What a column can be.
pub const ROLES: [&str; 9] = ["time", "class", "outcome", "wait_s", "answered", "handle_s", "ended", "agent", "customer"];
/// Which words stand for what, beside `priority`'s column.
const WORDS: [&str; 4] = ["served", "abandoned", "left", "high"];
/// Longest wait or service that is believed: 30 days.
const LONGEST_S: f64 = 30.0 * 86_400.0;

/// Which column is what, and which words stand for which outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    columns: BTreeMap<String, String>,
    words: BTreeMap<String, Vec<String>>,
}

/// A mapping that says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MappingError {
    /// No equals sign.
    #[error("“{found}” maps nothing, expected NAME=COLUMN, as time=arrived_at")]
    Shape {
        /// What stood there.
        found: String,
    },
    /// A name that is none.
    #[error("“{found}” is nothing that a column can be, expected one of {known}")]
    Unknown {
        /// What stood there.
        found: String,
        /// The names there are.
        known: String,
    },
    /// A name twice.
    #[error("“{found}” is mapped twice; name one column")]
    Twice {
        /// What stood there.
        found: String,
    },
}

impl Mapping {
    /// Reads `NAME=COLUMN`, several parted by commas; `served`, `abandoned`, `left` and `high` take words, several parted by `|`.
    /// What is not mapped is found under its own name, if the header has that.
    ///
    /// # Errors
    /// [`MappingError`].
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, MappingError> {
        let mut mapping = Self::default();
        for part in texts.into_iter().flat_map(|text| text.split(',')).filter(|part| !part.trim().is_empty()) {
            let Some((name, value)) = part.split_once('=').filter(|(_, value)| !value.trim().is_empty()) else {
                return Err(MappingError::Shape { found: part.chars().take(40).collect() });
            };
            let (name, value) = (name.trim(), value.trim());
            let twice = if WORDS.contains(&name) {
                mapping.words.insert(name.to_owned(), value.split('|').map(|word| word.trim().to_lowercase()).collect()).is_some()
            } else if ROLES.contains(&name) || name == "priority" {
                mapping.columns.insert(name.to_owned(), value.to_owned()).is_some()
            } else {
                let known = ROLES.iter().chain(&["priority"]).chain(&WORDS).copied().collect::<Vec<_>>().join(" ");
                return Err(MappingError::Unknown { found: name.chars().take(40).collect(), known });
            };
            if twice {
                return Err(MappingError::Twice { found: name.to_owned() });
            }
        }
        Ok(mapping)
    }

    fn is(&self, word: &str, kind: &str, usual: &[&str]) -> bool {
        let word = word.trim().to_lowercase();
        match self.words.get(kind) {
            Some(words) => words.contains(&word),
            None => usual.contains(&word.as_str()),
        }
    }
}

/// Reads a CSV file into `sink`.
///
/// # Errors
/// [`ReadError`]; a bad row is no error but a finding.
pub fn read_csv(
    path: &Path,
    mapping: &Mapping,
    encoding: Encoding,
    zone: Zone,
    limits: Limits,
    sink: &mut impl Sink,
) -> Result<ReadReport, ReadError> {
    let file = path.display().to_string();
    let opened = File::open(path).map_err(|source| ReadError::File { file: file.clone(), source })?;
    read_csv_from(opened, &file, mapping, encoding, zone, limits, sink)
}

/// Reads CSV bytes, gzip or plain, into `sink`; `file` stands in findings.
///
/// # Errors
/// As [`read_csv`].
pub fn read_csv_from(
    bytes: impl Read,
    file: &str,
    mapping: &Mapping,
    encoding: Encoding,
    zone: Zone,
    limits: Limits,
    sink: &mut impl Sink,
) -> Result<ReadReport, ReadError> {
    let failed = |source| ReadError::File { file: file.to_owned(), source };
    let mut reader = unpacked(bytes).map_err(failed)?;
    let (encoding, mark, delimiter) = sniffed(&mut reader, file, encoding)?;
    reader.consume(mark);
    let mut rows = ReaderBuilder::new().delimiter(delimiter).flexible(true).has_headers(false).from_reader(reader);
    let mut record = ByteRecord::new();
    let wrong = |error: ::csv::Error| failed(std::io::Error::other(error));
    if !rows.read_byte_record(&mut record).map_err(wrong)? {
        return Err(ReadError::Empty { file: file.to_owned() });
    }
    let header: Vec<String> =
        record.iter().map(|field| decoded(field, encoding).map_or_else(String::new, |text| text.trim().to_owned())).collect();
    let columns = Columns::of(&header, mapping, file)?;
    let mut report = ReadReport::default();
    let reading = Reading { file, mapping, columns: &columns, header: &header, encoding, zone, limits };
    while report.rows < limits.rows && rows.read_byte_record(&mut record).map_err(wrong)? {
        // A blank line is no record to the splitter; a row of empty fields is.
        report.rows += 1;
        let line = record.position().map_or(0, ::csv::Position::line);
        match reading.row(&record, line, sink)? {
            Ok(contact) => {
                report.contacts += 1;
                sink.take(contact);
            }
            Err(finding) => report.note(*finding, limits),
        }
    }
    if report.rows == 0 {
        return Err(ReadError::Empty { file: file.to_owned() });
    }
    Ok(report)
}

struct Reading<'a> {
    file: &'a str,
    mapping: &'a Mapping,
    columns: &'a Columns,
    header: &'a [String],
    encoding: Encoding,
    zone: Zone,
    limits: Limits,
}

/// Where each role stands.
struct Columns(BTreeMap<&'static str, usize>);

impl Columns {
    fn of(header: &[String], mapping: &Mapping, file: &str) -> Result<Self, ReadError> {
        let mut places = BTreeMap::new();
        let wrong = |expected: String| ReadError::Header {
            file: file.to_owned(),
            found: quoted(&header.join(",")),
            expected,
            remedy: "map the columns with --map, as time=COLUMN,wait_s=COLUMN,handle_s=COLUMN".to_owned(),
        };
        for role in ROLES.iter().chain(&["priority"]) {
            let named = mapping.columns.get(*role);
            let name = named.map_or(*role, String::as_str);
            let mut found = header.iter().enumerate().filter(|(_, column)| column.as_str() == name);
            match (found.next(), found.next()) {
                (Some((place, _)), None) => {
                    places.insert(*role, place);
                }
                (Some(_), Some(_)) => return Err(wrong(format!("one column “{name}”, not two"))),
                (None, _) if named.is_some() => return Err(wrong(format!("a column “{name}” for {role}"))),
                (None, _) => {}
            }
        }
        if !places.contains_key("time") {
            return Err(wrong("a column for time, when a contact asked".to_owned()));
        }
        if !["wait_s", "answered", "handle_s", "ended", "outcome"].iter().any(|role| places.contains_key(role)) {
            return Err(wrong("a column for at least one of wait_s, answered, handle_s, ended, outcome".to_owned()));
        }
        Ok(Self(places))
    }
}

type Judged<T> = Result<T, Box<Finding>>;

impl Reading<'_> {
    /// One row: the outer error stops the file, the inner costs the row.
    fn row(&self, record: &ByteRecord, line: u64, sink: &mut impl Sink) -> Result<Judged<Observed>, ReadError> {
        let parts = match self.parts(record, line) {
            Ok(parts) => parts,
            Err(finding) => return Ok(Err(finding)),
        };
        let named = |source| ReadError::Names { file: self.file.to_owned(), line, source };
        let class = sink.names().class(parts.class.as_deref().unwrap_or("all")).map_err(named)?;
        let agent = parts.agent.as_deref().map(|agent| sink.names().agent(agent)).transpose().map_err(named)?;
        let Parts { asked, ended, customer, standing, .. } = parts;
        Ok(Ok(Observed { class, asked, ended, agent, customer, standing }))
    }

    fn parts<'r>(&self, record: &'r ByteRecord, line: u64) -> Judged<Parts<'r>> {
        if record.len() != self.header.len() {
            let (found, expected) = (format!("{} columns", record.len()), format!("{} columns", self.header.len()));
            return Err(self.found(
                line,
                "line",
                "wrong_column_count",
                found,
                expected,
                "check for a missing or an extra separator",
            ));
        }
        if record.as_slice().len() > self.limits.line_bytes {
            let (found, expected) =
                (format!("{} bytes", record.as_slice().len()), format!("at most {} bytes", self.limits.line_bytes));
            return Err(self.found(line, "line", "line_too_long", found, expected, "check for a quotation mark that does not end"));
        }
        let asked = self.moment(record, line, "time")?.ok_or_else(|| {
            self.found(line, "time", "missing_field", "nothing".into(), "a moment".into(), "fill the field, or delete the row")
        })?;
        let wait = self.seconds(record, line, "wait_s")?;
        let answered = self.moment(record, line, "answered")?;
        let handle = self.seconds(record, line, "handle_s")?;
        let over = self.moment(record, line, "ended")?;
        for (role, at, before) in [("answered", answered, asked), ("ended", over, answered.unwrap_or(asked))] {
            if at.is_some_and(|at| at < before) {
                let found = format!("a moment {} s before the one it follows", before.since(at.unwrap_or(before)) / 1_000);
                let (expected, remedy) = ("time, answered, ended in this order", "correct the times; do they stand in one zone?");
                return Err(self.found(line, role, "out_of_order", found, expected.into(), remedy));
            }
        }
        let word = self.text(record, line, "outcome")?;
        let outcome = match word.as_deref().map(str::trim).filter(|word| !word.is_empty()) {
            None if answered.is_some() || handle.is_some_and(|ms| ms > 0) => Outcome::Served,
            None => Outcome::Abandoned,
            Some(word) if self.mapping.is(word, "served", &["served", "answered", "handled", "agent", "接通", "已接通"]) => {
                Outcome::Served
            }
            Some(word) if self.mapping.is(word, "abandoned", &["abandoned", "hang", "hangup", "lost", "放弃", "未接通"]) => {
                Outcome::Abandoned
            }
            Some(word) if self.mapping.is(word, "left", &["left", "bot", "ivr", "自助"]) => Outcome::Left,
            Some(word) => {
                let (expected, remedy) = ("a word for served, abandoned or left", "name it, as --map served=WORD|WORD");
                return Err(self.found(line, "outcome", "unknown_outcome", quoted(word), expected.into(), remedy));
            }
        };
        let waited_ms = wait
            .or_else(|| answered.map(|answered| answered.since(asked)))
            .or_else(|| over.filter(|_| outcome == Outcome::Abandoned).map(|over| over.since(asked)));
        let ended = match (outcome, waited_ms) {
            (Outcome::Left, _) => Ended::BeforeAsking,
            (_, None) => {
                let (expected, remedy) = ("a wait: wait_s, or answered, or ended of an abandoned one", "map one of these columns");
                return Err(self.found(line, "wait_s", "missing_field", "nothing".into(), expected.into(), remedy));
            }
            (Outcome::Abandoned, Some(waited_ms)) => Ended::Abandoned { waited_ms },
            (Outcome::Served, Some(waited_ms)) => {
                let from = answered.unwrap_or(asked.later(waited_ms));
                let length = handle.or_else(|| over.map(|over| over.since(from))).filter(|ms| *ms > 0);
                Ended::Served { waited_ms, service: length.map(|ms| Service { from, until: from.later(ms) }) }
            }
        };
        let customer = self.text(record, line, "customer")?.filter(|text| !matches!(text.trim(), "" | "0"));
        let standing = match self.text(record, line, "priority")?.as_deref().map(str::trim) {
            None | Some("") => Standing::Unknown,
            Some(word) if self.mapping.is(word, "high", &["high", "vip", "2", "高"]) => Standing::High,
            Some(_) => Standing::Regular,
        };
        let named = |text: Option<Cow<'r, str>>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        Ok(Parts {
            class: named(self.text(record, line, "class")?).map(Cow::Owned),
            agent: named(self.text(record, line, "agent")?).map(Cow::Owned),
            asked,
            ended,
            customer: customer.map(|text| number_of(text.trim())),
            standing,
        })
    }

    fn text<'r>(&self, record: &'r ByteRecord, line: u64, role: &'static str) -> Judged<Option<Cow<'r, str>>> {
        let Some(field) = self.columns.0.get(role).and_then(|place| record.get(*place)) else { return Ok(None) };
        decoded(field, self.encoding).map(Some).ok_or_else(|| {
            let found = quoted(&String::from_utf8_lossy(field));
            let (expected, remedy) = match self.encoding {
                Encoding::Gb18030 => ("GB18030 text", "name the file's encoding with --encoding utf-8"),
                _ => ("UTF-8 text", "name the file's encoding with --encoding gb18030, or save it as UTF-8"),
            };
            self.found(line, role, "wrong_encoding", found, expected.into(), remedy)
        })
    }

    fn moment(&self, record: &ByteRecord, line: u64, role: &'static str) -> Judged<Option<At>> {
        let Some(text) = self.text(record, line, role)?.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
        parse_moment(&text, self.zone).map(Some).ok_or_else(|| {
            let remedy = "write moments as 2026-11-11 09:30:00, with or without an offset, or as seconds since 1970";
            self.found(line, role, "bad_moment", quoted(&text), "a moment between 1900 and 2199, year first".into(), remedy)
        })
    }

    /// A length in milliseconds.
    fn seconds(&self, record: &ByteRecord, line: u64, role: &'static str) -> Judged<Option<u64>> {
        let Some(text) = self.text(record, line, role)?.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
        let expected = || format!("seconds from 0 to {LONGEST_S:.0}");
        let (problem, remedy) = match text.trim().parse::<f64>() {
            Ok(value) if (0.0..=LONGEST_S).contains(&value) => return Ok(Some((value * 1_000.0) as u64)),
            Ok(value) if value < 0.0 => ("negative", "correct the length; it cannot be below zero"),
            Ok(_) => ("overflow", "correct the length; is it in milliseconds?"),
            Err(_) => ("not_a_number", "write seconds as a number, with a point"),
        };
        Err(self.found(line, role, problem, quoted(&text), expected(), remedy))
    }

    fn found(&self, line: u64, role: &str, problem: &str, found: String, expected: String, remedy: &str) -> Box<Finding> {
        let column = self.columns.0.get(role).and_then(|place| self.header.get(*place));
        let field = column.map_or_else(|| role.to_owned(), |column| column.chars().take(40).collect());
        let (file, problem, remedy) = (self.file.to_owned(), problem.to_owned(), remedy.to_owned());
        Box::new(Finding { file, line, field, problem, found, expected, remedy, used: false })
    }
}

struct Parts<'r> {
    class: Option<Cow<'r, str>>,
    agent: Option<Cow<'r, str>>,
    asked: At,
    ended: Ended,
    customer: Option<u64>,
    standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Served,
    Abandoned,
    Left,
}

/// A customer's number: itself, or for any other text a stable hash of it.
fn number_of(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| {
        let hash = blake3::hash(text.as_bytes());
        hash.as_bytes().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    })
}

/// Text, if the bytes are that in this encoding.
fn decoded(bytes: &[u8], encoding: Encoding) -> Option<Cow<'_, str>> {
    let decoder = if encoding == Encoding::Gb18030 { GB18030 } else { UTF_8 };
    decoder.decode_without_bom_handling_and_without_replacement(bytes)
}

/// Encoding, length of the byte order mark, separator.
fn sniffed(reader: &mut dyn BufRead, file: &str, named: Encoding) -> Result<(Encoding, usize, u8), ReadError> {
    let head = reader.fill_buf().map_err(|source| ReadError::File { file: file.to_owned(), source })?;
    let refused = |found| ReadError::Encoding { file: file.to_owned(), found };
    if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        return Err(refused("UTF-16"));
    }
    if head.starts_with(b"PK\x03\x04") {
        return Err(refused("a workbook (XLSX) or another zip archive"));
    }
    let mark = if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let text = &head[mark..];
    let encoding = match (named, mark, std::str::from_utf8(text)) {
        (Encoding::Detect, 3, _) | (Encoding::Detect, _, Ok(_)) => Encoding::Utf8,
        // A character cut by the end of what was looked at is no fault.
        (Encoding::Detect, _, Err(error)) if error.error_len().is_none() => Encoding::Utf8,
        (Encoding::Detect, ..) => Encoding::Gb18030,
        (named, ..) => named,
    };
    let header = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| header.iter().filter(|byte| **byte == wanted).count();
    // The last of equals wins, so a comma.
    let delimiter = [b'\t', b';', b','].into_iter().max_by_key(|wanted| count(*wanted)).unwrap_or(b',');
    Ok((encoding, mark, delimiter))
}
