//! Closed forms of a contact centre: Erlang B, C and A, chats that share an agent, and how many agents a target needs.
//!
//! - [`blocking`] (Erlang B) and [`Waiting`] (Erlang C and A): one pool in steady state, 1 to 20,000 agents, whole or fractional,
//!   within 10⁻¹² of high-precision reference values ([`check_table`] prints how far);
//! - [`agents_for`]: agents for targets, whole and fractional; [`square_root_agents`]: the rule of thumb that explains them;
//! - [`chats`], [`chat_agents_for`]: several chats an agent at once, with a slow-down curve;
//! - [`varying`]: rates that change over the day;
//! - [`units`]: `4.2/min`, `2min`, `80/20s` as people write them;
//! - [`ServiceLevelKind`]: the three meanings of "service level", each with a name.
//!
//! Everything is a pure function of its arguments through the pinned `libm`: the same bits on every machine. It refuses to know
//! skills, days and scenarios. What is ours and what is borrowed stands in docs/ALGORITHM.md.

pub(crate) mod dd;
mod demand;

mod loss;
mod room;
mod waiting;

mod chat;
mod inverse;
mod square_root;
pub mod varying;

mod check;
pub mod units;

pub use chat::{CAP_MAX, CHAT_AGENTS_MAX, Slowdown, chat_agents_for, chats};
pub use check::{COLUMNS, Checked, FLOOR, ROWS_MAX, TOLERANCE, TableError, Worst, check_table};
pub use demand::{AGENTS_MAX, Agents, Demand, ErlangError, LOAD_MAX, Patience, SPAN_MAX};
pub use inverse::{Formula, Need, Target, agents_for};
pub use loss::blocking;
pub use square_root::{beta_for, square_root_agents, wait_by_beta};
pub use waiting::{ServiceLevelKind, Waiting, WaitsOf};
