//! What a formula is asked about: how fast contacts arrive, how long they take, how many agents, how patient the customers.
//!
//! Every value is checked once, here, and the error names field, value and remedy; the formulas behind are total. Times and rates
//! are in any one unit (the command line uses seconds). It knows no formula.

use thiserror::Error;

/// The most agents of one pool that the formulas are checked for.
pub const AGENTS_MAX: f64 = 50_000.0;
/// The largest offered load, in agents kept busy.
pub const LOAD_MAX: f64 = 1e6;
/// Mean patience and acceptable wait, in mean handle times: this, and one over it, are the ends of what is computed.
pub const SPAN_MAX: f64 = 1e6;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ErlangError {
    /// A value that must be finite and above zero is not.
    #[error("{field} is {found}, expected a finite number above 0")]
    NotPositive {
        /// The field.
        field: &'static str,
        /// What was given.
        found: f64,
    },
    /// A value past what the formulas are checked for.
    #[error("{field} is {found}, expected {least} to {most}; {remedy}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// What was given.
        found: f64,
        /// The least.
        least: f64,
        /// The most.
        most: f64,
        /// What to do.
        remedy: &'static str,
    },
    /// Without abandonment a queue grows for ever when agents are at most as many as the load.
    #[error(
        "{agents} agents against a load of {load}: without abandonment the queue grows for ever; expected more agents than the load, or a patience"
    )]
    Unstable {
        /// Agents given.
        agents: f64,
        /// Offered load.
        load: f64,
    },
    /// No number of agents reaches the target.
    #[error("{target} is not reached with {agents} agents, where it is {best}; ask for less")]
    Unreachable {
        /// Which target.
        target: &'static str,
        /// The most agents tried.
        agents: f64,
        /// The best value reached.
        best: f64,
    },
    /// Something is missing.
    #[error("{field}: nothing is given, expected {expected}")]
    Missing {
        /// The field.
        field: &'static str,
        /// What should be there.
        expected: &'static str,
    },
}

/// Checks that a value is finite and above zero.
pub(crate) fn positive(field: &'static str, found: f64) -> Result<f64, ErlangError> {
    if found.is_finite() && found > 0.0 { Ok(found) } else { Err(ErlangError::NotPositive { field, found }) }
}

/// Checks that a value is a share: strictly between 0 and 1.
pub(crate) fn share(field: &'static str, found: f64) -> Result<f64, ErlangError> {
    let remedy = "write a share of 1, or a percentage with its sign";
    if found > 0.0 && found < 1.0 {
        Ok(found)
    } else {
        Err(ErlangError::OutOfRange { field, found, least: 0.0, most: 1.0, remedy })
    }
}

/// Agents of one pool: a whole number, or a fraction of one more (the formulas' continuous extension).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Agents(f64);

impl Agents {
    /// This many agents.
    ///
    /// # Errors
    /// [`ErlangError`] unless above 0 and at most [`AGENTS_MAX`].
    pub fn new(agents: f64) -> Result<Self, ErlangError> {
        positive("agents", agents)?;
        if agents > AGENTS_MAX {
            let remedy = "larger pools are simulated, or split";
            return Err(ErlangError::OutOfRange { field: "agents", found: agents, least: 0.0, most: AGENTS_MAX, remedy });
        }
        Ok(Self(agents))
    }

    /// Their number.
    pub fn count(self) -> f64 {
        self.0
    }
}

/// What is offered: contacts per unit of time, and how long each keeps an agent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    arrival_rate: f64,
    handle_time: f64,
}

impl Demand {
    /// Contacts at this rate, each of this mean handle time, in one unit of time.
    ///
    /// # Errors
    /// [`ErlangError`] unless both are finite and above 0 and the load is at most [`LOAD_MAX`].
    pub fn new(arrival_rate: f64, handle_time: f64) -> Result<Self, ErlangError> {
        positive("arrivals", arrival_rate)?;
        positive("handle time", handle_time)?;
        let load = arrival_rate * handle_time;
        if !(load > 0.0 && load <= LOAD_MAX) {
            let remedy = "check the units of arrivals and handle time";
            return Err(ErlangError::OutOfRange { field: "offered load", found: load, least: 0.0, most: LOAD_MAX, remedy });
        }
        Ok(Self { arrival_rate, handle_time })
    }

    /// Agents kept busy if nobody waited or left: arrivals × handle time, in Erlangs.
    pub fn load(self) -> f64 {
        self.arrival_rate * self.handle_time
    }

    /// Contacts per unit of time.
    pub fn arrival_rate(self) -> f64 {
        self.arrival_rate
    }

    /// Mean handle time.
    pub fn handle_time(self) -> f64 {
        self.handle_time
    }
}

/// How long customers wait before they leave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Patience {
    /// Nobody leaves (Erlang C).
    Endless,
    /// Exponential with this mean, in the unit of the handle time (Erlang A).
    Exponential {
        /// The mean.
        mean: f64,
    },
}
