//! One node's cell: from any thread's input to a durable, decided, emitted one, in the same order for everybody.
//!
//! ```text
//! any thread ─ ring (by precedence) ─ proposer ─ log ─ watermark ─ apply ─ egress ─ CellSink, reply, transcript index
//! ```
//!
//! The proposer drains the rings in precedence, fair by tenant, stamps (sequence, log time), appends and syncs; the commit
//! is published; the apply thread decides (`Tenant::handle`), the egress hands outputs to the [`CellSink`] and answers. No
//! lock stands between a ring and a decision. Threads are plain ones: the deciding path has no async runtime. On one node
//! the log has one voter: **acknowledged then means one disk**.
//!
//! Drive it: [`Cell::start`] with a disk (or [`Cell::start_in_memory`] without a log), then [`CellHandle`] from any thread.
//! It refuses to know sockets, actors and providers: they stand behind the sink and bring results back as inputs.
//!
//! ```
//! use tidegate_model::input::{Inbound, InboundAct, Input};
//! use tidegate_model::limits::Limits;
//! use tidegate_model::output::{Outcome, Refusal};
//! use tidegate_model::{AccountId, ConversationId, CustomerId, EventId, TenantId};
//! use tidegate_router::cell::{Cell, CellConfig, MemoryLog, NoSink, TenantSeed};
//!
//! let tenant = TenantId(1);
//! let config = CellConfig { tenants: vec![TenantSeed { id: tenant, limits: Limits::SMALL }], ..CellConfig::default() };
//! let (cell, _) = Cell::start_in_memory(config, MemoryLog::keeping(1 << 20), Box::new(NoSink))?;
//! let hello = Inbound {
//!     account: AccountId(1),
//!     conversation: ConversationId(7),
//!     event: EventId(1),
//!     customer: CustomerId(0),
//!     known_n: 0,
//!     act: InboundAct::Message { body: b"hello" },
//! };
//! // `submit` gives a future; here nobody runs one. The tenant has no account yet, and says so.
//! let answer = cell.submit(tenant, &Input::Inbound(hello)).wait();
//! assert_eq!(answer, Ok(Outcome::Refused(Refusal::UnknownAccount)));
//! cell.drain()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod apply;
mod batch;
mod config;
mod egress;
mod fair;
mod front;
mod handle;
mod keeper;
mod log;
mod machines;
mod memory;
mod paced;
mod park;
mod propose;
mod recover;
mod shared;
mod single;
mod snapshots;
mod stages;
mod start;
mod tap;

pub use batch::Committed;
pub use config::{CellConfig, ConfigError, Retain, TENANTS_MAX, TenantSeed};
pub use front::{ENTRY_BYTES_MAX, Submitted};
pub use handle::{CellHandle, DrainError, Drained};
pub use log::{CellLog, LogError, LogFiles, LogStatus, Role};
pub use machines::{Machines, ReplayError, Replayed};
pub use memory::{MemoryLog, MemoryTap};
pub use paced::{Paced, PacedFile};
pub use recover::{RecoverError, RecoveryReport};
pub use single::SingleNode;
pub use snapshots::StateError;
pub use stages::{Stage, StageSummary, Stages};
pub use start::{Cell, StartError};
pub use tap::{EntryTap, Passage, PassageTap, TapError};

#[cfg(not(shuttle))]
pub(crate) use {park::Parker, single::chain, start::entropy};

use tidegate_model::input::Inbound;
use tidegate_model::name::ReasonName;
use tidegate_model::output::Output;
use tidegate_model::{Millis, Seq, TenantId, Term, Timestamp};

/// Where outputs go: the live halves of conversations and seats, the outbox, metrics.
///
/// Called by one thread at a time, in log order, only for durable entries of the current term; before the first input of a
/// start it is called once for each tenant with an `EffectOpened` for every effect that is open. It must not block for long:
/// while it does, later outputs wait (bounded, then apply waits, then new contacts are refused). A panic in it is caught,
/// counted in [`CellStatus::sink_panics`], and the rest of that slice is lost to the sink: rows of effects stay open.
pub trait CellSink: Send + 'static {
    /// Takes the outputs of one tenant, in order. Replies are among them, but have been or will be answered by the cell.
    fn outputs(&mut self, tenant: TenantId, outputs: &[Output]);

    /// What a customer asked for whose contact begins, or asks for an agent, in the outputs that follow.
    fn asked(&mut self, tenant: TenantId, inbound: &Inbound<'_>) {
        let _ = (tenant, inbound);
    }

    /// An agent ended a wrap-up with a code, in the outputs that follow.
    fn wrapped_up(&mut self, tenant: TenantId, code: ReasonName) {
        let _ = (tenant, code);
    }
}

/// A sink that drops everything, for embedders that only query.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSink;

impl CellSink for NoSink {
    fn outputs(&mut self, _: TenantId, _: &[Output]) {}
}

/// Whether the cell takes inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Intake {
    /// It does.
    Open,
    /// It does, but for new customer contacts: what is committed waits too long to be applied.
    NoNewContacts,
    /// It is draining or has stopped.
    Closed,
    /// The log cannot be written: nothing more is acknowledged. Queries and transcripts are still served.
    LogFailed,
}

/// How the cell stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellStatus {
    /// Whether it takes inputs.
    pub intake: Intake,
    /// Why the log failed, when it did: for the operator.
    pub log_failure: Option<String>,
    /// A thread of the cell ended by a panic that no guard caught: a fault of ours; restart the node and report it.
    pub broken: Option<String>,
    /// What an acknowledgement means here: how many disks hold the entry.
    pub acknowledged_on_disks: u32,
    /// The term of this start.
    pub term: Term,
    /// Newest durable entry.
    pub committed: Seq,
    /// Newest decided entry.
    pub applied: Seq,
    /// Newest entry whose outputs have been handed on.
    pub emitted: Seq,
    /// Log time.
    pub log_time: Timestamp,
    /// Log time held back and still to be caught up.
    pub log_time_behind: Millis,
    /// Inputs refused with `Busy` since the start, by cause.
    pub refused: RefusedInputs,
    /// Panics of the sink since the start.
    pub sink_panics: u64,
    /// Entry up to which the newest snapshot reaches.
    pub snapshot: Seq,
    /// Snapshots that could not be written since the start, and the last cause.
    pub snapshot_failures: u64,
    /// The last cause.
    pub snapshot_failure: Option<String>,
    /// Of those, snapshots that were not written because the replay of the log did not agree with the live machines: a fault
    /// of ours or of the memory; report it, and keep the log.
    pub snapshot_differences: u64,
    /// Tenants, in order.
    pub tenants: Vec<TenantId>,
}

/// Inputs refused with `Busy`, by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RefusedInputs {
    /// The tenant held its share of the front.
    pub tenant_share: u64,
    /// The front was full.
    pub front_full: u64,
    /// A new contact while apply was behind.
    pub apply_behind: u64,
}

impl RefusedInputs {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.tenant_share + self.front_full + self.apply_behind
    }
}
