//! What can be wrong with a line, and how it is told.
//!
//! A closed list: each [`Problem`] has a severity, a remedy and a stable name for counts. Messages never quote more than a short,
//! printable piece of the input, whatever it holds.

use serde::{Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// Where in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The line as a whole.
    Line,
    /// Column 1.
    Day,
    /// Column 2.
    Type,
    /// Column 3.
    Priority,
    /// Column 4.
    Customer,
    /// Column 5.
    VruEntryS,
    /// Column 6.
    VruS,
    /// Column 7.
    QStartS,
    /// Column 8.
    QS,
    /// Column 9.
    Outcome,
    /// Column 10.
    SerStartS,
    /// Column 11.
    SerS,
    /// Column 12.
    Agent,
}

/// Whether a row with this problem is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The row is used; the contradiction is counted and carried with it.
    Kept,
    /// The row (or the rest of the file) is not used.
    Rejected,
}

/// Everything that is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Problem {
    /// The gzip stream is damaged or cut.
    DamagedGzip,
    /// More bytes than [`super::Limits::bytes`].
    TooManyBytes,
    /// More rows than [`super::Limits::rows`].
    TooManyRows,
    /// Not the header of this format.
    BadHeader,
    /// Nothing on the line.
    BlankLine,
    /// Longer than [`super::Limits::line_bytes`].
    LineTooLong,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// A quotation mark that does not enclose a whole field.
    BadQuote,
    /// Two columns in one field, parted by blanks.
    MergedColumns,
    /// Not twelve columns.
    WrongColumnCount,
    /// A field that must not be empty.
    MissingField,
    /// Not digits.
    NotANumber,
    /// Below zero where that is impossible.
    Negative,
    /// More than the field can hold.
    Overflow,
    /// A time of day or an order of times that cannot be.
    ImpossibleTime,
    /// No such date.
    BadDate,
    /// An unknown type of contact.
    UnknownType,
    /// An unknown priority.
    UnknownPriority,
    /// An unknown outcome.
    UnknownOutcome,
    /// Not a name.
    BadAgent,
    /// A wait without a beginning.
    QueueWithoutStart,
    /// An agent on a row that ended in a hang-up.
    HangUpNamesAgent,
    /// Served, and no agent is named.
    MissingAgent,
    /// Served, and the service has no beginning.
    ServedWithoutStart,
    /// Served for no time at all.
    ServedForZero,
    /// A hang-up with a service time.
    HangUpWithService,
    /// The time with the bot is negative.
    NegativeBotTime,
    /// The queue does not begin where the bot ended.
    EndPointsDisagree,
    /// Service begins before the wait ended.
    ServiceOverlapsWait,
    /// Times wrap past midnight.
    CrossesMidnight,
}

/// One thing found, with its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file, as the caller named it.
    #[serde(serialize_with = "as_text")]
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u64,
    /// The field.
    pub field: Field,
    /// What is wrong.
    pub problem: Problem,
    /// What stood there: at most 48 printable characters.
    pub found: String,
    /// What should have stood there.
    pub expected: String,
}

impl Field {
    /// The column's name in the header; "line" for the whole.
    pub fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Day => "day",
            Self::Type => "type",
            Self::Priority => "priority",
            Self::Customer => "customer",
            Self::VruEntryS => "vru_entry_s",
            Self::VruS => "vru_s",
            Self::QStartS => "q_start_s",
            Self::QS => "q_s",
            Self::Outcome => "outcome",
            Self::SerStartS => "ser_start_s",
            Self::SerS => "ser_s",
            Self::Agent => "agent",
        }
    }
}

impl Problem {
    /// The problems of rows that are kept, in the order of the bits of [`super::Defects`].
    pub const KEPT: [Self; 8] = [
        Self::MissingAgent,
        Self::ServedWithoutStart,
        Self::ServedForZero,
        Self::HangUpWithService,
        Self::NegativeBotTime,
        Self::EndPointsDisagree,
        Self::ServiceOverlapsWait,
        Self::CrossesMidnight,
    ];

    /// Whether the row is used.
    pub fn severity(self) -> Severity {
        if Self::KEPT.contains(&self) { Severity::Kept } else { Severity::Rejected }
    }

    /// What the reader of the message can do.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::DamagedGzip => "fetch the file again; rows before the damage were read",
            Self::TooManyBytes | Self::TooManyRows => "split the file by day, or raise the limit",
            Self::BadHeader => "put the header line first, columns in this order, comma-separated",
            Self::BlankLine => "delete the line",
            Self::LineTooLong => "check for a missing line break",
            Self::NotUtf8 => "save the file as UTF-8",
            Self::BadQuote => "remove the quotation mark; no field needs one",
            Self::MergedColumns => "put a comma between the two values",
            Self::WrongColumnCount => "check for a missing or an extra comma",
            Self::MissingField => "fill the field, or delete the row",
            Self::NotANumber | Self::Negative | Self::Overflow => "write whole seconds or a whole number in range",
            Self::ImpossibleTime => "correct the times; they are seconds after midnight",
            Self::BadDate => "write the date as YYYY-MM-DD",
            Self::UnknownType | Self::UnknownPriority | Self::UnknownOutcome => "use one of the values named",
            Self::BadAgent => "use letters, digits and underscores only",
            Self::QueueWithoutStart => "fill q_start_s, or set q_s to 0",
            Self::HangUpNamesAgent => "empty the agent, or set the outcome to AGENT",
            Self::MissingAgent => "none needed: the contact is kept without its agent",
            Self::ServedWithoutStart | Self::ServedForZero => "none needed: the service is imputed and flagged",
            Self::HangUpWithService => "none needed: the row counts as a hang-up",
            Self::NegativeBotTime => "none needed: the contact arrives where its queue begins",
            Self::EndPointsDisagree | Self::ServiceOverlapsWait => "none needed: durations outrank end points",
            Self::CrossesMidnight => "none needed: the time is read as of the next day",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, field, problem, found, expected } = self;
        write!(f, "{file}:{line}: {field}: found {found}, expected {expected}; {}", problem.remedy())
    }
}

fn as_text<S: Serializer>(file: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(file)
}

/// A printable piece of hostile input, in quotation marks.
pub(super) fn quoted(bytes: &[u8]) -> String {
    const SHOWN: usize = 40;
    // A few bytes more than are shown, so that a cut character at the end is never the last one printed.
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * SHOWN)]);
    let mut shown: String =
        text.chars().take(SHOWN).map(|c| if c.is_control() || c == '\u{feff}' { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("“{shown}”")
}
