//! The formulas against a table of reference values, column by column, with the worst row of each.
//!
//! The table is CSV: `model,s,lambda,mu,a,theta,T,p_wait,p_abandon,mean_wait,mean_queue,occupancy,sl_T,p_wait_gt_T,aux`, lines
//! with `#` are remarks, a column that does not apply is empty. Differences are relative; below 10⁻¹⁵ a value's difference
//! is divided by 10⁻¹⁵ instead. It reads bytes that a caller hands over and refuses to know files.

use super::demand::{Agents, Demand, ErlangError, Patience};
use super::loss::blocking;
use super::waiting::{ServiceLevelKind, Waiting};
use std::collections::BTreeMap;
use thiserror::Error;

/// The largest difference that passes.
pub const TOLERANCE: f64 = 1e-12;
/// Below this a difference is absolute, in units of this.
pub const FLOOR: f64 = 1e-15;
/// The most rows of one table.
pub const ROWS_MAX: usize = 100_000;

/// The columns that a table must have, in any order; others are left alone.
pub const COLUMNS: [&str; 15] = [
    "model",
    "s",
    "lambda",
    "mu",
    "a",
    "theta",
    "T",
    "p_wait",
    "p_abandon",
    "mean_wait",
    "mean_queue",
    "occupancy",
    "sl_T",
    "p_wait_gt_T",
    "aux",
];

/// What is wrong with a table.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TableError {
    /// The CSV itself.
    #[error("line {line}: {what}; write one row a line, as many fields as the header has")]
    Csv {
        /// The line, from 1.
        line: u64,
        /// What the reader said.
        what: String,
    },
    /// A column is missing.
    #[error("line 1: no column `{name}`; the header names {columns}", columns = COLUMNS.join(", "))]
    NoColumn {
        /// Its name.
        name: &'static str,
    },
    /// A field.
    #[error("line {line}: {field} is {found:?}, expected {expected}")]
    Field {
        /// The line.
        line: u64,
        /// The field.
        field: &'static str,
        /// What stands there, at most 40 characters of it.
        found: String,
        /// What should.
        expected: &'static str,
    },
    /// A question that the formulas refuse.
    #[error("line {line}: {why}")]
    Refused {
        /// The line.
        line: u64,
        /// Why.
        why: ErlangError,
    },
    /// Nothing to check.
    #[error("no row; expected at least one after the header")]
    Empty,
    /// More than [`ROWS_MAX`].
    #[error("more than {ROWS_MAX} rows; split the table")]
    TooMany,
}

/// The worst row of one column of one model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worst {
    /// Its line in the table.
    pub line: u64,
    /// What the table says.
    pub expected: f64,
    /// What was computed.
    pub found: f64,
    /// The difference, by the rule above.
    pub off: f64,
    /// Values compared in this column.
    pub values: u64,
}

/// A table, checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// Rows by model.
    pub rows: BTreeMap<char, u64>,
    /// The worst of each column, by model and column.
    pub worst: BTreeMap<(char, &'static str), Worst>,
}

impl Checked {
    /// Whether every value is within [`TOLERANCE`].
    pub fn holds(&self) -> bool {
        self.worst.values().all(|worst| worst.off <= TOLERANCE)
    }
}

struct Row<'a> {
    line: u64,
    fields: BTreeMap<&'static str, &'a str>,
}

impl Row<'_> {
    fn text(&self, field: &'static str) -> &str {
        self.fields.get(field).copied().unwrap_or_default().trim()
    }

    fn optional(&self, field: &'static str) -> Result<Option<f64>, TableError> {
        let text = self.text(field);
        if text.is_empty() {
            return Ok(None);
        }
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        number.map(Some).ok_or_else(|| self.wrong(field, "a number"))
    }

    fn number(&self, field: &'static str) -> Result<f64, TableError> {
        self.optional(field)?.ok_or_else(|| self.wrong(field, "a number"))
    }

    fn wrong(&self, field: &'static str, expected: &'static str) -> TableError {
        TableError::Field { line: self.line, field, found: self.text(field).chars().take(40).collect(), expected }
    }
}

/// Computes every value of a table and compares.
///
/// # Errors
/// [`TableError`], with the line.
pub fn check_table(bytes: &[u8]) -> Result<Checked, TableError> {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(bytes);
    let said = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        TableError::Csv { line, what: error.to_string() }
    };
    let header = reader.headers().map_err(said)?.clone();
    let mut places = Vec::new();
    for name in COLUMNS {
        let place = header.iter().position(|title| title.trim() == name).ok_or(TableError::NoColumn { name })?;
        places.push((name, place));
    }
    let mut checked = Checked::default();
    for (count, record) in reader.records().enumerate() {
        let record = record.map_err(said)?;
        if count >= ROWS_MAX {
            return Err(TableError::TooMany);
        }
        let line = record.position().map_or(0, csv::Position::line);
        let fields = places.iter().map(|&(name, place)| (name, record.get(place).unwrap_or_default())).collect();
        compare(&Row { line, fields }, &mut checked)?;
    }
    if checked.rows.is_empty() { Err(TableError::Empty) } else { Ok(checked) }
}

fn compare(row: &Row<'_>, checked: &mut Checked) -> Result<(), TableError> {
    let refused = |why| TableError::Refused { line: row.line, why };
    let agents = Agents::new(row.number("s")?).map_err(refused)?;
    let mu = row.number("mu")?;
    let demand = Demand::new(row.number("lambda")?, 1.0 / mu).map_err(refused)?;
    let load = row.number("a")?;
    if libm::fabs(demand.load() - load) > 1e-9 * load {
        return Err(row.wrong("a", "lambda / mu"));
    }
    let mut found: Vec<(&'static str, f64)> = Vec::new();
    let model = match row.text("model") {
        "B" => {
            found.push(("p_wait", blocking(agents, demand)));
            'B'
        }
        "C" => {
            let waiting = Waiting::new(agents, demand, Patience::Endless).map_err(refused)?;
            figures(&waiting, row.optional("T")?, &mut found);
            found.push(("aux", blocking(agents, demand)));
            'C'
        }
        "A" => {
            let mean = 1.0 / row.number("theta")?;
            let waiting = Waiting::new(agents, demand, Patience::Exponential { mean }).map_err(refused)?;
            found.push(("p_abandon", waiting.p_abandon()));
            figures(&waiting, row.optional("T")?, &mut found);
            'A'
        }
        _ => return Err(row.wrong("model", "A, B or C")),
    };
    *checked.rows.entry(model).or_default() += 1;
    for (column, found) in found {
        let Some(expected) = row.optional(column)? else { continue };
        let off = libm::fabs(found - expected) / libm::fmax(libm::fabs(expected), FLOOR);
        // A difference that is no number is the worst there is.
        let off = if off.is_nan() { f64::INFINITY } else { off };
        let worst = Worst { line: row.line, expected, found, off, values: 0 };
        let kept = checked.worst.entry((model, column)).or_insert(worst);
        let values = kept.values + 1;
        if off > kept.off {
            *kept = worst;
        }
        kept.values = values;
    }
    Ok(())
}

fn figures(waiting: &Waiting, t: Option<f64>, found: &mut Vec<(&'static str, f64)>) {
    found.push(("p_wait", waiting.p_wait()));
    found.push(("mean_wait", waiting.mean_wait()));
    found.push(("mean_queue", waiting.mean_queue()));
    found.push(("occupancy", waiting.occupancy()));
    if let Some(t) = t {
        found.push(("sl_T", waiting.service_level(ServiceLevelKind::ServedWithinOfOffered, t)));
        found.push(("p_wait_gt_T", waiting.p_wait_longer_than(t)));
    }
}
