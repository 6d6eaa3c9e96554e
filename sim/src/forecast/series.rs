//! Counts on a grid: days of equal intervals, some of them not observed. Long files in, sample paths and quantiles out and in.
//!
//! The long form is the one that forecasting engines share: `unique_id, ds, y`, a row an interval. Back come either
//! `unique_id, ds, path_id, y` (preferred: a day that goes wrong goes wrong as a whole) or `unique_id, ds, q05 … q95`. An interval that a
//! file does not have was not observed, which is not the same as nobody having come. It refuses to know what is counted.

use crate::calibrate::contact::{At, DAY_MS, DayNumber};
use jiff::civil::DateTime;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use thiserror::Error;

/// Days that one series may span.
pub const MAX_DAYS: usize = 20_000;

/// One series.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name.
    pub id: String,
    /// Length of an interval, in seconds; it divides the day.
    pub step_s: u32,
    /// First interval of the day that is ever observed.
    pub first: usize,
    /// Counts by day, from the first interval on; NaN where nothing was observed. All of one length.
    pub days: BTreeMap<DayNumber, Vec<f64>>,
}

/// A file that is no series.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SeriesError {
    /// A bad row.
    #[error("{file}:{line}: {field}: found “{found}”, expected {expected}; correct the row or delete it")]
    Row {
        /// The file as named.
        file: String,
        /// The line.
        line: u64,
        /// The column.
        field: &'static str,
        /// What stood there.
        found: String,
        /// What should have.
        expected: &'static str,
    },
    /// No such column.
    #[error("{file}:1: line: found no column “{column}”, expected unique_id, ds, y; rename the columns")]
    Column {
        /// The file as named.
        file: String,
        /// The column.
        column: &'static str,
    },
    /// Nothing in it.
    #[error("{file}:1: line: found no rows, expected a header and at least one; check that this is the right file")]
    Empty {
        /// The file as named.
        file: String,
    },
    /// It cannot be read.
    #[error("{file} cannot be read")]
    Csv {
        /// The file as named.
        file: String,
        /// What the reader says.
        #[source]
        source: csv::Error,
    },
    /// Two rows of one interval.
    #[error("{file}: series “{id}” has two rows of {at}; intervals must not overlap")]
    Overlap {
        /// The file as named.
        file: String,
        /// The series.
        id: String,
        /// The interval.
        at: String,
    },
    /// More days than [`MAX_DAYS`].
    #[error("{file}: series “{id}” spans {days} days, more than {MAX_DAYS}; correct the dates")]
    TooLong {
        /// The file as named.
        file: String,
        /// The series.
        id: String,
        /// How many.
        days: i64,
    },
}

/// One row of a long file.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    at: At,
    y: f64,
}

impl Series {
    /// A series from observations. `step_s` divides the day; several observations of one interval are added.
    ///
    /// # Panics
    /// If it does not divide the day.
    pub fn from_counts(id: &str, step_s: u32, observations: impl IntoIterator<Item = (At, f64)>) -> Self {
        assert!(step_s > 0 && 86_400 % step_s == 0, "{step_s} s do not divide the day");
        let mut cells: BTreeMap<DayNumber, BTreeMap<usize, f64>> = BTreeMap::new();
        for (at, y) in observations {
            let slot = (at.of_day_ms() / (step_s * 1_000)) as usize;
            *cells.entry(at.day()).or_default().entry(slot).or_default() += y;
        }
        let slots = || cells.values().flat_map(BTreeMap::keys);
        let first = slots().min().copied().unwrap_or(0);
        let length = slots().max().map_or(0, |last| last + 1 - first);
        let days = cells
            .iter()
            .map(|(day, cells)| (*day, (0..length).map(|at| cells.get(&(first + at)).copied().unwrap_or(f64::NAN)).collect()))
            .collect();
        Self { id: id.to_owned(), step_s, first, days }
    }

    /// Intervals a day.
    pub fn intervals(&self) -> usize {
        self.days.values().next().map_or(0, Vec::len)
    }

    /// When an interval begins.
    pub fn at(&self, day: DayNumber, interval: usize) -> At {
        At(day.midnight().0 + (self.first + interval) as i64 * i64::from(self.step_s) * 1_000)
    }

    /// A day's total: the sum of what was observed; `None` when less than half of it was.
    pub fn total(&self, day: DayNumber) -> Option<f64> {
        let counts = self.days.get(&day)?;
        let seen = counts.iter().filter(|y| y.is_finite());
        let (n, sum) = seen.fold((0, 0.0), |(n, sum), y| (n + 1, sum + y));
        (n * 2 > counts.len()).then_some(sum)
    }
}

/// Reads a long file: `unique_id, ds, y`; other columns are left alone.
///
/// # Errors
/// [`SeriesError`]: a bad row is an error here, a forecast made of half a file is worse than none.
pub fn read_long(bytes: impl Read, file: &str) -> Result<Vec<Series>, SeriesError> {
    let failed = |source| SeriesError::Csv { file: file.to_owned(), source };
    let mut reader = csv::Reader::from_reader(bytes);
    let header = reader.headers().map_err(failed)?.clone();
    let place = |column: &'static str| {
        let found = header.iter().position(|name| name.trim_start_matches('\u{feff}').trim() == column);
        found.ok_or_else(|| SeriesError::Column { file: file.to_owned(), column })
    };
    let (id, ds, y) = (place("unique_id")?, place("ds")?, place("y")?);
    let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(failed)?;
        let line = record.position().map_or(0, csv::Position::line);
        let field = |place: usize| record.get(place).unwrap_or("").trim();
        let bad = |field: &'static str, found: &str, expected: &'static str| SeriesError::Row {
            file: file.to_owned(),
            line,
            field,
            found: found.chars().take(40).collect(),
            expected,
        };
        let at = moment(field(ds)).ok_or_else(|| bad("ds", field(ds), "a date or a moment, as 2026-11-11 09:30:00"))?;
        let count = field(y).parse().ok().filter(|y: &f64| y.is_finite() && *y >= 0.0);
        let y = count.ok_or_else(|| bad("y", field(y), "a number from 0"))?;
        rows.entry(field(id).to_owned()).or_default().push(Row { at, y });
    }
    if rows.is_empty() {
        return Err(SeriesError::Empty { file: file.to_owned() });
    }
    rows.into_iter().map(|(id, rows)| gridded(id, rows, file)).collect()
}

fn gridded(id: String, mut rows: Vec<Row>, file: &str) -> Result<Series, SeriesError> {
    rows.sort_by_key(|row| row.at);
    if let Some(pair) = rows.windows(2).find(|pair| pair[0].at == pair[1].at) {
        return Err(SeriesError::Overlap { file: file.to_owned(), id, at: written(pair[0].at) });
    }
    let days = rows.last().map_or(0, |last| last.at.day().0) - rows.first().map_or(0, |first| first.at.day().0) + 1;
    if days > MAX_DAYS as i64 {
        return Err(SeriesError::TooLong { file: file.to_owned(), id, days });
    }
    // The grid is the largest step that all moments stand on.
    let step_ms = rows.iter().fold(DAY_MS as u64, |step, row| gcd(step, u64::from(row.at.of_day_ms())));
    let step_s = u32::try_from(step_ms / 1_000).unwrap_or(86_400).max(1);
    Ok(Series::from_counts(&id, step_s, rows.into_iter().map(|row| (row.at, row.y))))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn moment(text: &str) -> Option<At> {
    let parsed: DateTime = match text.parse::<DateTime>() {
        Ok(parsed) => parsed,
        Err(_) => text.parse::<jiff::civil::Date>().ok()?.at(0, 0, 0, 0),
    };
    let since = parsed.duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0));
    i64::try_from(since.as_millis()).ok().map(At)
}

fn written(at: At) -> String {
    let seconds = at.of_day_ms() / 1_000;
    format!("{} {:02}:{:02}:{:02}", at.day().date(), seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// Writes a series in the long form; intervals that were not observed have no row.
///
/// # Errors
/// What the writer says.
pub fn write_long(series: &Series, to: impl Write) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_writer(to);
    writer.write_record(["unique_id", "ds", "y"])?;
    for (day, counts) in &series.days {
        for (interval, y) in counts.iter().enumerate().filter(|(_, y)| y.is_finite()) {
            writer.write_record([&series.id, &written(series.at(*day, interval)), &y.to_string()])?;
        }
    }
    Ok(writer.flush()?)
}

/// Sample paths of some days: for each path, for each day, counts by interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Paths {
    /// The days.
    pub days: Vec<DayNumber>,
    /// Path, day, interval.
    pub paths: Vec<Vec<Vec<f64>>>,
}

/// Writes sample paths: `unique_id, ds, path_id, y`.
///
/// # Errors
/// What the writer says.
pub fn write_paths(series: &Series, paths: &Paths, to: impl Write) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_writer(to);
    writer.write_record(["unique_id", "ds", "path_id", "y"])?;
    for (number, path) in paths.paths.iter().enumerate() {
        for (day, counts) in paths.days.iter().zip(path) {
            for (interval, y) in counts.iter().enumerate() {
                writer.write_record([&series.id, &written(series.at(*day, interval)), &number.to_string(), &y.to_string()])?;
            }
        }
    }
    Ok(writer.flush()?)
}

/// What another engine gave back: for each moment the mean of its paths, or its median.
pub type Points = BTreeMap<String, BTreeMap<At, Vec<f64>>>;

/// Reads an engine's answer: `unique_id, ds, path_id, y` or `unique_id, ds, q05 …`. Values come in the order of paths or of quantiles.
///
/// # Errors
/// [`SeriesError`].
pub fn read_answer(bytes: impl Read, file: &str) -> Result<Points, SeriesError> {
    let failed = |source| SeriesError::Csv { file: file.to_owned(), source };
    let mut reader = csv::Reader::from_reader(bytes);
    let header = reader.headers().map_err(failed)?.clone();
    let place = |column: &'static str| {
        header.iter().position(|name| name == column).ok_or_else(|| SeriesError::Column { file: file.to_owned(), column })
    };
    let (id, ds) = (place("unique_id")?, place("ds")?);
    let quantiles: Vec<usize> = (0..header.len()).filter(|at| header[*at].starts_with('q')).collect();
    let values = if quantiles.is_empty() { vec![place("y")?] } else { quantiles };
    let mut answer = Points::new();
    for record in reader.records() {
        let record = record.map_err(failed)?;
        let line = record.position().map_or(0, csv::Position::line);
        let bad = |field, found: &str, expected| SeriesError::Row {
            file: file.to_owned(),
            line,
            field,
            found: found.chars().take(40).collect(),
            expected,
        };
        let text = record.get(ds).unwrap_or("").trim();
        let at = moment(text).ok_or_else(|| bad("ds", text, "a date or a moment, as 2026-11-11 09:30:00"))?;
        let cell = answer.entry(record.get(id).unwrap_or("").trim().to_owned()).or_default().entry(at).or_default();
        for place in &values {
            let text = record.get(*place).unwrap_or("").trim();
            let value = text.parse().ok().filter(|y: &f64| y.is_finite() && *y >= 0.0);
            cell.push(value.ok_or_else(|| bad("y", text, "a number from 0"))?);
        }
    }
    if answer.is_empty() {
        return Err(SeriesError::Empty { file: file.to_owned() });
    }
    Ok(answer)
}
