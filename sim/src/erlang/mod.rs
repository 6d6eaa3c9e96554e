//! Closed forms of a contact centre: Erlang B, C and A, chats that share an agent, and how many agents a target needs.
//!
//! - [`blocking`] (Erlang B) and [`Waiting`] (Erlang C and A): one pool in steady state, 1 to 20,000 agents, whole or fractional,
//!   within 10⁻¹² of high-precision reference values ([`check_table`] prints how far);
//! - [`ServiceLevelKind`]: the three meanings of "service level", each with a name.
//!
//! Everything is a pure function of its arguments through the pinned `libm`: the same bits on every machine. It refuses to know
//! skills, days and scenarios. What is ours and what is borrowed stands in docs/ALGORITHM.md.

mod check;
mod dd;
mod demand;
mod loss;
mod room;
mod waiting;

pub use check::{COLUMNS, Checked, FLOOR, ROWS_MAX, TOLERANCE, TableError, Worst, check_table};
pub use demand::{AGENTS_MAX, Agents, Demand, ErlangError, LOAD_MAX, Patience, SPAN_MAX};
pub use loss::blocking;
pub use waiting::{ServiceLevelKind, Waiting, WaitsOf};
