//! A record of real contacts, fitted: what a scenario needs, each figure with its interval, and what the record cannot say.
//!
//! - [`read`]: the bank trace, a CSV with mapped columns, a node's journal, into [`Observed`] contacts;
//! - [`Tally`]: contacts counted as they come, in room that does not grow with rows;
//! - [`calibrate`]: [`arrivals`] with over-dispersion, [`patience`] by Kaplan and Meier, [`handle`] times by class and agent,
//!   [`presence`] and hidden idle time, [`redial`]s, the head start of priority customers ([`seniority`]), [`slowdown`] by
//!   concurrency; [`stats`] is the little mathematics beneath;
//! - [`scenario`]: what was fitted as a scenario that `simulate` runs.
//!
//! It refuses to know the policy under which the record came about, and to fill in what it could not identify. Drive it so: a
//! [`Tally`], `read::read_bank(path, limits, &mut tally)` for each file, then [`calibrate`].

pub mod contact;

pub mod read;
mod tally;

pub mod arrivals;
pub mod handle;
pub mod patience;
pub mod presence;
pub mod redial;
pub mod seniority;
pub mod slowdown;
pub mod stats;

mod fit;
pub mod scenario;

pub use contact::{AgentId, At, ClassId, DayNumber, Ended, Names, Observed, Service, Standing};
pub use fit::{CalibrateError, Calibration, FittedClass, NamedFactors, PatienceByStanding, Unidentified, calibrate};
pub use stats::Estimate;
pub use tally::{ClassTally, Tally};
