//! One line to one row, or to what is wrong with it.
//!
//! A line is judged field by field from the left; the first thing that makes it unreadable is reported and the row is rejected.
//! A readable row is then checked against itself, and each contradiction is reported and carried. No allocation on the good path.

use super::problem::{Field, Problem, quoted};
use super::row::{AgentName, Day, Defects, Outcome, ServiceType, TraceRow};

/// A problem without its file and line.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) field: Field,
    pub(super) problem: Problem,
    pub(super) found: String,
    pub(super) expected: String,
}

/// A readable row and its contradictions.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) row: TraceRow,
    pub(super) kept: Vec<Complaint>,
    /// Fields that stood in quotation marks.
    pub(super) quoted_fields: u64,
}

const COLUMNS: usize = 12;
const SECONDS_A_DAY: i64 = 86_400;
/// End points this close agree: the record rounds each of them on its own.
const ROUNDING_S: i64 = 2;
/// A gap backwards this large is midnight, not an error.
const HALF_A_DAY_S: i64 = 43_200;

/// Parses a line without its line break.
///
/// # Errors
/// The first [`Complaint`] that makes the line unreadable.
pub(super) fn parse_line(bytes: &[u8], line: u32) -> Result<Parsed, Complaint> {
    let text = std::str::from_utf8(bytes).map_err(|_| complain(Field::Line, Problem::NotUtf8, quoted(bytes), "UTF-8 text"))?;
    if text.trim_ascii().is_empty() {
        return Err(complain(Field::Line, Problem::BlankLine, "a blank line".into(), "a row of 12 columns"));
    }
    let (fields, quoted_fields) = split(text)?;
    let [day, kind, priority, customer, vru_entry, vru, q_start, q, outcome, ser_start, ser, agent] = fields;

    let day = required(day, Field::Day)?;
    let day = Day::parse(day)
        .ok_or_else(|| complain(Field::Day, Problem::BadDate, quoted(day.as_bytes()), "a date as YYYY-MM-DD, 1900 to 2199"))?;
    let kind = required(kind, Field::Type)?;
    let kind = ServiceType::parse(kind)
        .ok_or_else(|| complain(Field::Type, Problem::UnknownType, quoted(kind.as_bytes()), "one of PS PE IN NE NW TT AA"))?;
    let priority = required(priority, Field::Priority)?;
    let priority = match priority {
        "0" => 0,
        "1" => 1,
        "2" => 2,
        _ => {
            let found = quoted(priority.as_bytes());
            return Err(complain(Field::Priority, Problem::UnknownPriority, found, "one of 0 1 2"));
        }
    };
    let customer = number(required(customer, Field::Customer)?, Field::Customer, i64::from(u32::MAX))?;
    let vru_entry_s = time_of_day(required(vru_entry, Field::VruEntryS)?, Field::VruEntryS)?;
    let vru_s = signed(required(vru, Field::VruS)?, Field::VruS)?;
    let q_start_s = optional(q_start, Field::QStartS)?;
    let q_s = number(required(q, Field::QS)?, Field::QS, SECONDS_A_DAY)?;
    let outcome = required(outcome, Field::Outcome)?;
    let outcome = Outcome::parse(outcome).ok_or_else(|| {
        complain(Field::Outcome, Problem::UnknownOutcome, quoted(outcome.as_bytes()), "one of AGENT HANG PHANTOM")
    })?;
    let ser_start_s = optional(ser_start, Field::SerStartS)?;
    let ser_s = number(required(ser, Field::SerS)?, Field::SerS, SECONDS_A_DAY)?;
    let agent = match agent {
        // The original trace writes NO_SERVER where nobody is named.
        "" | "NO_SERVER" => None,
        name => Some(AgentName::new(name).ok_or_else(|| {
            let found = quoted(name.as_bytes());
            complain(Field::Agent, Problem::BadAgent, found, "1 to 16 letters, digits, underscores, or nothing")
        })?),
    };
    let row = TraceRow {
        line,
        day,
        kind,
        priority,
        customer: (customer != 0).then_some(customer),
        vru_entry_s,
        vru_s,
        q_start_s,
        q_s,
        outcome,
        ser_start_s,
        ser_s,
        agent,
        defects: Defects::default(),
    };
    reject_impossible(&row)?;
    let kept = contradictions(&row);
    let mut row = row;
    for complaint in &kept {
        row.defects.add(complaint.problem);
    }
    Ok(Parsed { row, kept, quoted_fields })
}

/// Twelve fields, whole-field quotation marks taken off.
fn split(text: &str) -> Result<([&str; COLUMNS], u64), Complaint> {
    let mut fields = [""; COLUMNS];
    let mut count = 0;
    let mut quoted_fields = 0;
    for field in text.split(',') {
        let bare = match field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(inner) => {
                quoted_fields += 1;
                inner
            }
            None => field,
        };
        if bare.contains('"') {
            return Err(complain(Field::Line, Problem::BadQuote, quoted(field.as_bytes()), "no quotation marks within a field"));
        }
        if let Some(slot) = fields.get_mut(count) {
            *slot = bare;
        }
        count += 1;
    }
    // A lost separator leaves two values in one field, parted by blanks.
    let merged = fields.iter().find(|field| field.split_ascii_whitespace().nth(1).is_some());
    if let Some(merged) = merged {
        let expected = "one value a column (are two columns merged?)";
        return Err(complain(Field::Line, Problem::MergedColumns, quoted(merged.as_bytes()), expected));
    }
    if count != COLUMNS {
        return Err(complain(Field::Line, Problem::WrongColumnCount, format!("{count} columns"), "12 columns"));
    }
    Ok((fields, quoted_fields))
}

fn required(text: &str, field: Field) -> Result<&str, Complaint> {
    if text.is_empty() {
        return Err(complain(field, Problem::MissingField, "nothing".into(), "a value"));
    }
    Ok(text)
}

fn optional(text: &str, field: Field) -> Result<Option<u32>, Complaint> {
    if text.is_empty() { Ok(None) } else { time_of_day(text, field).map(Some) }
}

fn number(text: &str, field: Field, most: i64) -> Result<u32, Complaint> {
    let expected = || format!("a whole number, 0 to {most}");
    let value = digits(text, field, &expected)?;
    if value < 0 {
        return Err(complain(field, Problem::Negative, quoted(text.as_bytes()), expected()));
    }
    let over = || complain(field, Problem::Overflow, quoted(text.as_bytes()), expected());
    if value > most { Err(over()) } else { u32::try_from(value).map_err(|_| over()) }
}

fn time_of_day(text: &str, field: Field) -> Result<u32, Complaint> {
    let expected = || "seconds after midnight, 0 to 86399".to_owned();
    let value = digits(text, field, &expected)?;
    let problem = if value < 0 { Problem::Negative } else { Problem::ImpossibleTime };
    match u32::try_from(value) {
        Ok(seconds) if i64::from(seconds) < SECONDS_A_DAY => Ok(seconds),
        _ => Err(complain(field, problem, quoted(text.as_bytes()), expected())),
    }
}

fn signed(text: &str, field: Field) -> Result<i32, Complaint> {
    let expected = || "whole seconds, -86400 to 86400".to_owned();
    let value = digits(text, field, &expected)?;
    match i32::try_from(value) {
        Ok(seconds) if value.abs() <= SECONDS_A_DAY => Ok(seconds),
        _ => Err(complain(field, Problem::Overflow, quoted(text.as_bytes()), expected())),
    }
}

/// Digits with at most one minus; more than 12 of them overflow whatever the field holds.
fn digits(text: &str, field: Field, expected: &dyn Fn() -> String) -> Result<i64, Complaint> {
    let (bare, sign) = match text.strip_prefix('-') {
        Some(bare) => (bare, -1),
        None => (text, 1),
    };
    if bare.is_empty() || !bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(complain(field, Problem::NotANumber, quoted(text.as_bytes()), expected()));
    }
    if bare.len() > 12 {
        return Err(complain(field, Problem::Overflow, quoted(text.as_bytes()), expected()));
    }
    bare.bytes()
        .try_fold(0_i64, |sum, byte| sum.checked_mul(10)?.checked_add(i64::from(byte - b'0')))
        .map(|value| sign * value)
        .ok_or_else(|| complain(field, Problem::Overflow, quoted(text.as_bytes()), expected()))
}

/// What no reading of the row can mend.
fn reject_impossible(row: &TraceRow) -> Result<(), Complaint> {
    if row.q_start_s.is_none() && row.q_s > 0 {
        let found = format!("q_s {} and no q_start_s", row.q_s);
        return Err(complain(Field::QStartS, Problem::QueueWithoutStart, found, "a start for every wait"));
    }
    if row.outcome == Outcome::Hang
        && let Some(agent) = row.agent
    {
        let found = quoted(agent.as_str().as_bytes());
        return Err(complain(Field::Agent, Problem::HangUpNamesAgent, found, "no agent where the outcome is HANG"));
    }
    let reached = i64::from(row.vru_entry_s) + i64::from(row.vru_s).min(0);
    for (field, time) in [(Field::QStartS, row.q_start_s), (Field::SerStartS, row.ser_start_s)] {
        if let Some(time) = time {
            let back = reached - i64::from(time);
            if back > ROUNDING_S && back < HALF_A_DAY_S {
                let found = format!("“{time}”, {back} s before the caller arrived");
                return Err(complain(field, Problem::ImpossibleTime, found, "a time at or after vru_entry_s"));
            }
        }
    }
    Ok(())
}

/// Contradictions that a row may carry.
fn contradictions(row: &TraceRow) -> Vec<Complaint> {
    let mut kept = Vec::new();
    let served = row.outcome == Outcome::Agent;
    if row.vru_s < 0 {
        let found = quoted(row.vru_s.to_string().as_bytes());
        kept.push(complain(Field::VruS, Problem::NegativeBotTime, found, "0 or more"));
    }
    let bot_end = i64::from(row.vru_entry_s) + i64::from(row.vru_s);
    let wraps = |time: u32| i64::from(row.vru_entry_s) - i64::from(time) >= HALF_A_DAY_S;
    let unwrapped = |time: u32| i64::from(time) + if wraps(time) { SECONDS_A_DAY } else { 0 };
    if let Some(start) = row.q_start_s
        && (unwrapped(start) - bot_end).abs() > ROUNDING_S
    {
        let found = format!("“{start}”, {} s from vru_entry_s + vru_s", unwrapped(start) - bot_end);
        kept.push(complain(Field::QStartS, Problem::EndPointsDisagree, found, "vru_entry_s + vru_s"));
    }
    if let Some(start) = row.ser_start_s {
        let wait_end = row.q_start_s.map_or(bot_end, |q_start| unwrapped(q_start) + i64::from(row.q_s));
        let early = wait_end - unwrapped(start);
        if early > ROUNDING_S {
            let found = format!("“{start}”, {early} s before the wait ended");
            kept.push(complain(Field::SerStartS, Problem::ServiceOverlapsWait, found, "q_start_s + q_s or later"));
        }
    }
    for (field, time) in [(Field::QStartS, row.q_start_s), (Field::SerStartS, row.ser_start_s)] {
        if let Some(time) = time.filter(|time| wraps(*time)) {
            let found = format!("“{time}”, half a day before vru_entry_s");
            kept.push(complain(field, Problem::CrossesMidnight, found, "a time of the same day"));
        }
    }
    if row.outcome == Outcome::Hang && (row.ser_start_s.is_some() || row.ser_s > 0) {
        let found = format!("a service of {} s", row.ser_s);
        kept.push(complain(Field::SerStartS, Problem::HangUpWithService, found, "none where the outcome is HANG"));
    }
    if served && row.ser_start_s.is_none() {
        kept.push(complain(Field::SerStartS, Problem::ServedWithoutStart, "nothing".into(), "when service began"));
    } else if served && row.ser_s == 0 {
        kept.push(complain(Field::SerS, Problem::ServedForZero, "“0”".into(), "a service of 1 s or more"));
    }
    if served && row.agent.is_none() {
        kept.push(complain(Field::Agent, Problem::MissingAgent, "nobody".into(), "who served the contact"));
    }
    kept
}

fn complain(field: Field, problem: Problem, found: String, expected: impl Into<String>) -> Complaint {
    Complaint { field, problem, found, expected: expected.into() }
}
