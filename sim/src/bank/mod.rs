//! The bank's days as plans: who comes when, what they want, how long they would wait, who is there to serve them.
//!
//! A plan is pure data made from trace rows and random streams; the demo plays it against a live node over real channels, the
//! twin in virtual time, and both get the same plan for the same seed. What was observed and what was imputed stays told apart
//! in every contact ([`PatienceSource`], [`HandleSource`]). [`MAPPING`] says in words how rows become contacts.
//!
//! A [`Script`] lists the acts of some days for a player, [`policy`] holds the desk's rules and the names in which contacts ask.
//!
//! It refuses to know: the router's state and outputs, channels, clocks. Drive it so: [`crate::trace::read_file`], then
//! [`BankWeek::plan`], then [`BankWeek::day`] and [`Script::of`]. Times are milliseconds after midnight, local to the bank.

mod between;
mod contact;
mod impute;
pub mod policy;
mod recorded;
mod roster;
mod script;
mod seniority;

pub use between::Between;
pub use contact::{Handle, HandleSource, Intent, Patience, PatienceSource, PlannedContact, Recorded};
pub use impute::{ClassFigures, CurveUse, Imputation, MIN_CELL, MIN_HANG_UPS};
pub use policy::Asking;
pub use recorded::{DayCounts, HourFigures, PHANTOM_REASON};
pub use roster::{BREAK_GAP_MS, Break, PlannedAgent, Presence};
pub use script::{Act, Course, DeskHabits, Script, Shift, Visit, WrapUp};
pub use seniority::{HeadStart, LONGEST_TRIED_S, fit_head_start};

use crate::kernel::Streams;
use crate::trace::{Day, TraceRow};
use serde::Serialize;
use std::collections::BTreeMap;
use thiserror::Error;

/// The busiest day of the year in the record: an evening storm of repeated attempts with six, four and three agents there.
pub const STORM_DAY: &str = "1999-05-23";

/// Rows that asked for an agent on the storm day; every rate of that day is over these.
pub const STORM_DAY_ASKED: u64 = 2_729;

/// How rows become contacts, for people: what the row says, what the contact does.
pub const MAPPING: [(&str, &str); 9] = [
    ("PHANTOM", "Refused (phantom record): never offered, out of every rate"),
    ("HANG, no wait of a second or more", "AbandonedWithBot: leaves in the VRU, out of every rate"),
    ("HANG after a wait", "AbandonedWaiting: its patience is the recorded wait"),
    ("AGENT", "waits; patience drawn once from its class's Kaplan-Meier curve, given survival past the recorded wait"),
    ("AGENT without service start, or with 0 s", "handle time is the class median, flagged imputed"),
    ("not served in the record", "handle time drawn from served contacts of its class and hour, flagged imputed"),
    ("VRU time below zero", "arrives where its queue begins"),
    ("agents", "present from first to last service of the day; a gap over 30 minutes is a break; skills as served that day"),
    ("wrap-up", "not recorded: drawn from the gaps between an agent's services through which somebody waited"),
];

/// All days of a trace, planned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BankWeek {
    /// The days, ascending.
    pub days: Vec<BankDay>,
    /// What imputation rests on, by class.
    pub imputation: Imputation,
}

/// One day, planned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BankDay {
    /// Which day.
    pub day: Day,
    /// Its contacts by (arrival, row).
    pub contacts: Vec<PlannedContact>,
    /// Its agents by name.
    pub agents: Vec<PlannedAgent>,
    /// Rows by outcome.
    pub counts: DayCounts,
    /// What the record shows, hour by hour (24).
    pub hours: Vec<HourFigures>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BankError {
    /// A trace without rows.
    #[error("the trace has no rows, expected at least one; check the file")]
    NoRows,
    /// A day that the trace does not have.
    #[error("the trace has no rows of {wanted}, expected one of {available}; choose one of these")]
    NoSuchDay {
        /// The day asked for.
        wanted: String,
        /// The days there are.
        available: String,
    },
}

impl BankWeek {
    /// Plans every day of a trace. The classes' curves and medians come from all rows given, so a day planned alone differs from
    /// the same day planned with its week. O(n log n).
    ///
    /// # Errors
    /// [`BankError::NoRows`].
    pub fn plan(rows: &[TraceRow], streams: &Streams) -> Result<Self, BankError> {
        if rows.is_empty() {
            return Err(BankError::NoRows);
        }
        let imputation = Imputation::from_rows(rows);
        let mut by_day: BTreeMap<Day, Vec<&TraceRow>> = BTreeMap::new();
        for row in rows {
            by_day.entry(row.day).or_default().push(row);
        }
        let days = by_day.into_iter().map(|(day, rows)| BankDay::plan(day, &rows, &imputation, streams)).collect();
        Ok(Self { days, imputation })
    }

    /// The day written as YYYY-MM-DD.
    ///
    /// # Errors
    /// [`BankError::NoSuchDay`] names the days there are.
    pub fn day(&self, wanted: &str) -> Result<&BankDay, BankError> {
        self.days.iter().find(|day| day.day.to_string() == wanted).ok_or_else(|| BankError::NoSuchDay {
            wanted: wanted.to_owned(),
            available: self.days.iter().map(|day| day.day.to_string()).collect::<Vec<_>>().join(", "),
        })
    }
}

impl BankDay {
    fn plan(day: Day, rows: &[&TraceRow], imputation: &Imputation, streams: &Streams) -> Self {
        let mut contacts: Vec<PlannedContact> = rows.iter().map(|row| PlannedContact::from_row(row, imputation, streams)).collect();
        contacts.sort_by_key(|contact| (contact.arrive_ms, contact.row));
        let agents = roster::plan(rows);
        let counts = DayCounts::of(&contacts);
        let hours = recorded::by_hour(&contacts, &agents);
        Self { day, contacts, agents, counts, hours }
    }
}
