//! Recorded days: a strict reader for the bank trace's twelve columns, plain or gzip.
//!
//! Every line becomes a [`TraceRow`] or a finding that names file, line, field, what was found, what was expected and what to do;
//! nothing is dropped in silence and nothing is guessed. Two severities: a *rejected* row cannot be read; a *kept* row can, but
//! contradicts itself in a way known from this trace (no agent named, a service that begins before its wait ended). In
//! [`Mode::Lenient`] reading goes on and all is counted; in [`Mode::Strict`] the first finding of either severity stops it.
//!
//! It knows nothing of what rows mean to a router: that is [`crate::bank`]. Entry points: [`read_file`], [`parse`] and, for
//! fuzzing, [`parse_bytes`], which is total.

mod parse;
mod problem;
mod row;
mod source;

pub use problem::{Field, Finding, Problem, Severity};
pub use row::{AgentName, Day, Defects, Outcome, ServiceType, TraceRow};
pub use source::{Limits, Mode, ReadError, Report, parse, parse_bytes, read_file};

/// The header line, exactly.
pub const HEADER: &str = "day,type,priority,customer,vru_entry_s,vru_s,q_start_s,q_s,outcome,ser_start_s,ser_s,agent";
