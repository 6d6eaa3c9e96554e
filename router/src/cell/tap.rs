//! The seam to whoever keeps what was decided: the outputs of every durable entry, in log order, from replay and egress alike.
//!
//! What stands behind it is derived from the log and may fall behind it; a snapshot then waits ([`EntryTap::make_durable`]),
//! because the log that a snapshot lets go of cannot be replayed for it again. The cell refuses to know what is kept
//! (platform events, `crate::events`), and calls nothing here before effects and answers are out.
//!
//! Beside it stands [`PassageTap`], for whoever measures single contacts: the same outputs with the moments of their entry's
//! way, from the egress alone and never from a replay.

use super::machines::Machines;
use crate::primitive::Instant;
use tidegate_model::output::Output;
use tidegate_model::{Seq, TenantId, Timestamp};

/// Why a tap cannot go on, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TapError(pub String);

/// See the module head. One caller at a time but for [`Self::make_durable`].
pub trait EntryTap: Send + Sync + 'static {
    /// A replay begins behind `seq`, with these machines.
    fn replay_from(&self, seq: Seq, machines: &Machines);

    /// The outputs of one entry. Entries that the tap has already come again after a restart.
    fn entry(&self, tenant: TenantId, seq: Seq, at: Timestamp, outputs: &[Output]);

    /// The replay is over, at entry `last` of the log.
    ///
    /// # Errors
    /// What the tap holds does not belong to this log: the cell must not start.
    fn replayed(&self, last: Seq) -> Result<(), TapError>;

    /// What was given so far may be worked on. It may wait: that is the back-pressure.
    fn flush(&self);

    /// Returns once everything of the entries up to `seq` is durable. Called by the keeper, which may wait.
    ///
    /// # Errors
    /// Then no snapshot that reaches `seq` may be written.
    fn make_durable(&self, seq: Seq) -> Result<(), TapError>;
}

/// One entry, on its way out, with the moments of its way in.
pub struct Passage<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// Its place in the log.
    pub seq: Seq,
    /// When it was submitted; `None` for the cell's own entries (ticks).
    pub submitted: Option<Instant>,
    /// When it was durable.
    pub durable: Instant,
    /// When its batch was decided.
    pub decided: Instant,
    /// The encoded entry.
    pub bytes: &'a [u8],
    /// What it gave.
    pub outputs: &'a [Output],
}

/// Hears of every entry that had outputs, behind effects and answers. One caller at a time; it must not wait and not panic.
pub trait PassageTap: Send + Sync + 'static {
    /// One entry, in log order.
    fn passed(&self, passage: &Passage<'_>);

    /// The batch is over.
    fn flush(&self);
}
