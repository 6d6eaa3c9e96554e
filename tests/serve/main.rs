//! `tidegate serve`, the real binary in a process of its own: what customers, agents and operators meet.
//!
//! | file | what it proves |
//! |---|---|
//! | `life.rs` | a contact from the first word to the wrap-up; a drain; what is told at the start |
//! | `kill.rs` | `kill -9` in the middle of a conversation loses, repeats and reorders nothing |
//! | `files.rs` | a file up, sent, read by both sides, over a `kill -9` at each step |
//! | `golden.rs` | what version 1 left on its disk is read, decided again and gone on with |
//! | `admin.rs` | tokens, figures, a policy with faults and one without |
//! | `reload.rs` | a reload is taken whole or refused whole; a service manager is told |
//! | `traces.rs` | traces to somebody else's collector; its secret is in no log |
//! | `monitoring.rs` | dashboards, alerts, the unit and the packages fit the node |
//! | `disk.rs` | a full disk and a failing fdatasync: nothing more is acknowledged, and it is said |
//!
//! `TIDEGATE_NIGHTLY=1` raises the number of kills.

mod admin;
mod disk;
mod files;
mod golden;
mod kill;
mod life;
mod monitoring;
#[path = "../support/node.rs"]
mod node;
mod reload;
#[path = "../support/run.rs"]
mod run;
mod talk;
mod traces;
