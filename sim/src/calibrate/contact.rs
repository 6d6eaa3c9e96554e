//! One observed contact, whatever file it came from: the only shape that the fits know.
//!
//! Times are milliseconds since 1970-01-01 00:00 **local to the centre**: a weekday profile is a matter of wall clocks, so a
//! reader turns zones into local time before anything is fitted. Names of classes and agents are numbered by [`Names`], in the
//! order in which they are first seen, under limits that tell a wrong column from a large centre.
//!
//! It refuses to know: files, columns, and what was fitted from the contacts.

use std::collections::BTreeMap;
use thiserror::Error;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;
/// Classes that one calibration tells apart.
pub const MAX_CLASSES: usize = 200;
/// Agents that one calibration tells apart.
pub const MAX_AGENTS: usize = 50_000;

/// A local time: milliseconds since 1970-01-01 00:00 on the centre's wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub i64);

/// A day: days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayNumber(pub i64);

/// A class of contacts (a queue, a type), by order of first appearance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClassId(pub u16);

/// An agent, by order of first appearance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentId(pub u32);

/// What is known of a caller's priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing: the record does not say.
    #[default]
    Unknown,
    /// An ordinary customer.
    Regular,
    /// One who is taken before those who came a little earlier.
    High,
}

/// How a contact left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Before it asked for an agent.
    BeforeAsking,
    /// Gave up after so long.
    Abandoned {
        /// The wait, in milliseconds.
        waited_ms: u64,
    },
    /// Was served.
    Served {
        /// The wait, in milliseconds.
        waited_ms: u64,
        /// When service was given; `None` when the record has no usable times of it.
        service: Option<Service>,
    },
}

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its begin.
    pub from: At,
    /// Its end, after the begin.
    pub until: At,
}

/// One contact as it was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What it was.
    pub class: ClassId,
    /// When it asked for an agent; when it came, for one that never asked.
    pub asked: At,
    /// How it left.
    pub ended: Ended,
    /// Who served it, where the record names somebody.
    pub agent: Option<AgentId>,
    /// Who the customer was, where identified.
    pub customer: Option<u64>,
    /// The customer's priority.
    pub standing: Standing,
}

/// Numbers for names.
#[derive(Clone, Debug, Default)]
pub struct Names {
    classes: Register,
    agents: Register,
}

/// A name too many.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NamesError {
    /// More classes than [`MAX_CLASSES`].
    #[error("more than {MAX_CLASSES} classes, the next is “{name}”; is the class column the right one?")]
    Classes {
        /// The one too many.
        name: String,
    },
    /// More agents than [`MAX_AGENTS`].
    #[error("more than {MAX_AGENTS} agents, the next is “{name}”; is the agent column the right one?")]
    Agents {
        /// The one too many.
        name: String,
    },
}

#[derive(Clone, Debug, Default)]
struct Register {
    numbers: BTreeMap<String, u32>,
    names: Vec<String>,
}

impl At {
    /// Its day.
    pub fn day(self) -> DayNumber {
        DayNumber(self.0.div_euclid(DAY_MS))
    }

    /// Milliseconds after its day's midnight.
    pub fn of_day_ms(self) -> u32 {
        // A remainder below 86,400,000 fits.
        self.0.rem_euclid(DAY_MS) as u32
    }

    /// So many milliseconds later.
    pub fn later(self, by_ms: u64) -> Self {
        Self(self.0.saturating_add(i64::try_from(by_ms).unwrap_or(i64::MAX)))
    }

    /// Milliseconds since an earlier time; 0 when that is not earlier.
    pub fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

impl DayNumber {
    /// Its weekday, 0 for Monday to 6 for Sunday.
    pub fn weekday(self) -> usize {
        // 1970-01-01 was a Thursday; a remainder below 7 fits.
        (self.0 + 3).rem_euclid(7) as usize
    }

    /// Its midnight.
    pub fn midnight(self) -> At {
        At(self.0 * DAY_MS)
    }

    /// Whether fits leave it out, to be judged on it: every fifth day. Five and seven share no factor, so that every weekday takes
    /// its turn.
    pub fn is_held_out(self) -> bool {
        self.0.rem_euclid(5) == 4
    }

    /// The date as YYYY-MM-DD, where the calendar has it.
    pub fn date(self) -> String {
        i32::try_from(self.0)
            .ok()
            .and_then(|days| jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok())
            .map_or_else(|| format!("day {}", self.0), |date| date.to_string())
    }
}

/// Weekdays as printed, from Monday.
pub const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl Observed {
    /// Whether it asked for an agent.
    pub fn asked_for_agent(&self) -> bool {
        self.ended != Ended::BeforeAsking
    }

    /// How long it waited, if it asked.
    pub fn waited_ms(&self) -> Option<u64> {
        match self.ended {
            Ended::BeforeAsking => None,
            Ended::Abandoned { waited_ms } | Ended::Served { waited_ms, .. } => Some(waited_ms),
        }
    }

    /// Its service, if the record has one with times.
    pub fn service(&self) -> Option<Service> {
        match self.ended {
            Ended::Served { service, .. } => service,
            _ => None,
        }
    }

    /// When it was over.
    pub fn over(&self) -> At {
        match self.ended {
            Ended::BeforeAsking => self.asked,
            Ended::Abandoned { waited_ms } => self.asked.later(waited_ms),
            Ended::Served { waited_ms, service } => service.map_or(self.asked.later(waited_ms), |service| service.until),
        }
    }
}

impl Service {
    /// Its length in milliseconds.
    pub fn length_ms(self) -> u64 {
        self.until.since(self.from)
    }
}

impl Names {
    /// The class of this name.
    ///
    /// # Errors
    /// [`NamesError::Classes`].
    pub fn class(&mut self, name: &str) -> Result<ClassId, NamesError> {
        let number = self.classes.number(name, MAX_CLASSES).ok_or_else(|| NamesError::Classes { name: shortened(name) })?;
        // MAX_CLASSES fits.
        Ok(ClassId(number as u16))
    }

    /// The agent of this name.
    ///
    /// # Errors
    /// [`NamesError::Agents`].
    pub fn agent(&mut self, name: &str) -> Result<AgentId, NamesError> {
        self.agents.number(name, MAX_AGENTS).map(AgentId).ok_or_else(|| NamesError::Agents { name: shortened(name) })
    }

    /// The class's name; empty for a number that none has.
    pub fn class_name(&self, class: ClassId) -> &str {
        self.classes.names.get(usize::from(class.0)).map_or("", String::as_str)
    }

    /// The agent's name; empty for a number that none has.
    pub fn agent_name(&self, agent: AgentId) -> &str {
        self.agents.names.get(agent.0 as usize).map_or("", String::as_str)
    }

    /// How many classes there are.
    pub fn class_count(&self) -> usize {
        self.classes.names.len()
    }
}

impl Register {
    fn number(&mut self, name: &str, most: usize) -> Option<u32> {
        if let Some(&number) = self.numbers.get(name) {
            return Some(number);
        }
        let number = u32::try_from(self.names.len()).ok().filter(|_| self.names.len() < most)?;
        self.numbers.insert(name.to_owned(), number);
        self.names.push(name.to_owned());
        Some(number)
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weekdays_and_dates_are_the_calendar_s() {
        // 1999-05-23 was a Sunday, 10,734 days after the epoch.
        let day = DayNumber(10_734);
        assert_eq!((day.date().as_str(), WEEKDAYS[day.weekday()]), ("1999-05-23", "Sun"));
        assert_eq!(WEEKDAYS[DayNumber(0).weekday()], "Thu");
        assert_eq!(WEEKDAYS[DayNumber(-1).weekday()], "Wed");
        assert_eq!((At(-1).day(), At(-1).of_day_ms()), (DayNumber(-1), 86_399_999));
    }

    #[test]
    fn names_at_their_limit_above_it_and_far_above() {
        let mut names = Names::default();
        for n in 0..MAX_CLASSES {
            assert!(names.class(&n.to_string()).is_ok());
        }
        for n in [MAX_CLASSES, MAX_CLASSES * 10] {
            assert!(matches!(names.class(&n.to_string()), Err(NamesError::Classes { .. })));
        }
        assert_eq!(names.class("7"), Ok(ClassId(7)), "a known name is still found");
        assert_eq!(names.class_name(ClassId(7)), "7");
        assert_eq!(names.class_count(), MAX_CLASSES);
    }
}
