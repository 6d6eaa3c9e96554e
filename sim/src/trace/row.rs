//! One row of the trace, parsed: what stands in it and nothing derived.
//!
//! Times are whole seconds after midnight of the row's day, durations whole seconds. Known contradictions that a row may carry
//! stand in [`Defects`]. Values are closed enums: an unknown word never gets this far.

use super::problem::Problem;
use serde::{Serialize, Serializer};
use std::fmt;

/// A calendar date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    year: u16,
    month: u8,
    day: u8,
}

/// What a caller wanted, as the bank coded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum ServiceType {
    /// Regular activity.
    PS,
    /// Regular activity in English.
    PE,
    /// Internet support.
    IN,
    /// Stock exchange.
    NE,
    /// Prospective customers.
    NW,
    /// Customers who asked to be called back and are being connected.
    TT,
    /// Rare, undocumented.
    AA,
}

/// How a row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Outcome {
    /// Served.
    Agent,
    /// Hung up.
    Hang,
    /// A record without a caller, which the owners ask to ignore.
    Phantom,
}

/// An agent's name as the trace writes it: 1 to 16 letters, digits and underscores.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentName([u8; 16]);

/// The kept problems of one row, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defects(u8);

/// One row. `None` where the trace says that a thing did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TraceRow {
    /// The line in its file, from 1.
    pub line: u32,
    /// The day.
    pub day: Day,
    /// What was wanted.
    pub kind: ServiceType,
    /// 0 and 1 regular, 2 high; 0 also for callers who were never identified.
    pub priority: u8,
    /// The customer, if identified.
    pub customer: Option<u32>,
    /// When the caller reached the bot.
    pub vru_entry_s: u32,
    /// How long the bot had the caller; negative in some damaged rows.
    pub vru_s: i32,
    /// When the caller began to wait.
    pub q_start_s: Option<u32>,
    /// How long the caller waited.
    pub q_s: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// When service began.
    pub ser_start_s: Option<u32>,
    /// How long service took.
    pub ser_s: u32,
    /// Who served.
    pub agent: Option<AgentName>,
    /// Its contradictions.
    pub defects: Defects,
}

impl Day {
    /// The date, if there is such a one between 1900 and 2199.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let longest = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        ((1900..2200).contains(&year) && (1..=longest).contains(&day)).then_some(Self { year, month, day })
    }

    /// Reads YYYY-MM-DD, exactly.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let shape = bytes.len() == 10
            && bytes.iter().enumerate().all(|(at, byte)| match at {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !shape {
            return None;
        }
        Self::new(text[..4].parse().ok()?, text[5..7].parse().ok()?, text[8..].parse().ok()?)
    }

    /// Days from 1 March of year 0 (proleptic Gregorian): the difference of two dates' numbers is the days between them.
    pub fn number(self) -> u64 {
        // Counted from March, so that the leap day ends the year.
        let (year, month) = match (u64::from(self.year), u64::from(self.month)) {
            (year, month @ 1..=2) => (year - 1, month + 9),
            (year, month) => (year, month - 3),
        };
        year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + u64::from(self.day) - 1
    }
}

impl ServiceType {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 7] = [Self::PS, Self::PE, Self::IN, Self::NE, Self::NW, Self::TT, Self::AA];

    /// The two letters of the trace.
    pub fn code(self) -> &'static str {
        match self {
            Self::PS => "PS",
            Self::PE => "PE",
            Self::IN => "IN",
            Self::NE => "NE",
            Self::NW => "NW",
            Self::TT => "TT",
            Self::AA => "AA",
        }
    }

    /// What the letters stand for.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::PS => "regular",
            Self::PE => "regular, in English",
            Self::IN => "internet support",
            Self::NE => "stock exchange",
            Self::NW => "prospects",
            Self::TT => "call-back hold",
            Self::AA => "rare",
        }
    }

    /// The type with these letters.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == text)
    }
}

impl Outcome {
    /// The outcome with this word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "AGENT" => Some(Self::Agent),
            "HANG" => Some(Self::Hang),
            "PHANTOM" => Some(Self::Phantom),
            _ => None,
        }
    }
}

impl AgentName {
    /// The name, if it is one.
    pub fn new(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let fits = (1..=16).contains(&bytes.len());
        if !fits || !bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
            return None;
        }
        let mut name = [0; 16];
        name[..bytes.len()].copy_from_slice(bytes);
        Some(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(16);
        // Only ASCII gets in, so this never falls back.
        std::str::from_utf8(&self.0[..length]).unwrap_or("")
    }
}

impl Defects {
    /// Adds a kept problem; others are not defects of a row and change nothing.
    pub(super) fn add(&mut self, problem: Problem) {
        if let Some(bit) = Problem::KEPT.iter().position(|kept| *kept == problem) {
            self.0 |= 1 << bit;
        }
    }

    /// Whether the row has this problem.
    pub fn has(self, problem: Problem) -> bool {
        self.iter().any(|kept| kept == problem)
    }

    /// Its problems.
    pub fn iter(self) -> impl Iterator<Item = Problem> {
        Problem::KEPT.into_iter().enumerate().filter_map(move |(bit, kept)| (self.0 >> bit & 1 == 1).then_some(kept))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for ServiceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for AgentName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for Defects {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for good in ["1999-05-23", "2000-02-29", "1900-01-01", "2199-12-31"] {
            assert_eq!(Day::parse(good).map(|day| day.to_string()).as_deref(), Some(good));
        }
        for bad in [
            "1999-02-29",
            "1900-02-29",
            "1999-13-01",
            "1999-00-01",
            "1999-04-31",
            "1899-12-31",
            "2200-01-01",
            "99-05-23",
            "1999/05/23",
            "1999-5-23",
            "+999-05-23",
            "1999-05-2３",
            "",
        ] {
            assert_eq!(Day::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn names() {
        let longest = "A".repeat(16);
        assert_eq!(AgentName::new(&longest).map(|name| name.to_string()), Some(longest));
        for bad in ["", "A B", "Ä", "A".repeat(17).as_str(), "A".repeat(160).as_str()] {
            assert_eq!(AgentName::new(bad), None);
        }
    }

    #[test]
    fn defects_are_exactly_the_kept_problems() {
        for problem in Problem::KEPT {
            let mut defects = Defects::default();
            defects.add(problem);
            assert_eq!(defects.iter().collect::<Vec<_>>(), [problem]);
        }
        let mut defects = Defects::default();
        defects.add(Problem::NotUtf8);
        assert_eq!(defects, Defects::default());
    }

    #[test]
    fn day_numbers_are_consecutive() {
        let number = |text: &str| Day::parse(text).map(Day::number).unwrap_or_else(|| panic!("{text} is a date"));
        for (before, after) in [("1999-12-31", "2000-01-01"), ("2000-02-28", "2000-02-29"), ("2000-02-29", "2000-03-01")] {
            assert_eq!(number(after) - number(before), 1, "{before} to {after}");
        }
        assert_eq!(number("1999-03-01") - number("1999-02-28"), 1);
        assert_eq!(number("2099-05-16") - number("1999-05-16"), 36_525);
    }
}
