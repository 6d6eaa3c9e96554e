//! The seam to whoever keeps what was decided: the outputs of every durable entry, in log order, from replay and egress alike.
//!
//! What stands behind it is derived from the log and may fall behind it; a snapshot then waits ([`EntryTap::make_durable`]),
//! because the log that a snapshot lets go of cannot be replayed for it again. The cell refuses to know what is kept
//! (platform events, `crate::events`), and calls nothing here before effects and answers are out.

use super::machines::Machines;
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
