//! What a cell is told at its start, with the limits of every queue in it.
//!
//! Nothing here reaches a decision: limits of a tenant are entries of its log ([`TenantSeed`] only says with which a tenant
//! is created when the log does not know it yet). [`CellConfig::check`] refuses values that cannot work, by field, with the
//! range and a remedy. Defaults suit one node with two cores.

use super::tap::{EntryTap, PassageTap};
use crate::gauge::Gauges;
use crate::log_time::{ClockLimits, ClockMode, ClockSource, SystemClock};
use crate::primitive::Arc;
use std::time::Duration;
use tidegate_core::Guard;
use tidegate_model::TenantId;
use tidegate_model::limits::Limits;

/// A tenant that must exist once the cell serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantSeed {
    /// Its id; not 0.
    pub id: TenantId,
    /// The limits with which it is created, when the log does not know it. Later ones come as `Admin::Limits`.
    pub limits: Limits,
}

/// How long old segments of the log stay, beyond what a restart needs: transcripts read bodies from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retain {
    /// For ever.
    All,
    /// At least these bytes of segments; older transcripts are forgotten.
    Bytes(u64),
}

/// Configuration of one cell.
#[derive(Clone)]
pub struct CellConfig {
    /// Tenants to create when the log does not know them. At most 4,096.
    pub tenants: Vec<TenantSeed>,
    /// Log time.
    pub clock: ClockMode,
    /// What log time may do at most.
    pub clock_limits: ClockLimits,
    /// Where time comes from.
    pub source: Arc<dyn ClockSource>,
    /// Entries that one class of the front holds at most (seats, customers and effect results have one each), what the
    /// proposer has taken and not yet proposed included. 16 to 1,048,576.
    pub front: usize,
    /// Of those, how many one tenant may hold: a noisy one is refused before anybody else is.
    pub front_per_tenant: usize,
    /// Entries in a batch at most: 16 to 4,096. 256 keeps committed-to-effect short; 1,024 gives about twice the rate.
    pub batch_entries: usize,
    /// Bytes of entries in a batch at most; one entry always fits. 64 KiB to 16 MiB.
    pub batch_bytes: usize,
    /// Batches between commit and apply, and between apply and egress. 1 to 1,024.
    pub batches_ahead: usize,
    /// How long the proposer waits for company when batches are nearly empty. 0 to 1 ms.
    pub company: Duration,
    /// New customer contacts are refused while the age from commit to apply is above this.
    pub apply_age_max: Duration,
    /// New customer contacts are refused while more entries than this are committed and not applied.
    pub apply_backlog_max: u64,
    /// A `Hash` entry after so many entries of a tenant.
    pub hash_every: u64,
    /// A snapshot after so many entries of the cell; a restart replays about as many at most.
    pub snapshot_entries: u64,
    /// A snapshot after so many bytes of entries.
    pub snapshot_bytes: u64,
    /// Old segments.
    pub retain: Retain,
    /// Bytes of message bodies kept in memory for transcripts.
    pub tail_bytes: usize,
    /// Closures waiting for the apply thread at most.
    pub queries: usize,
    /// Bytes of memory of the machines that are written ahead at the start, so that no input is the first to touch a page;
    /// 0 writes none. A tenant with [`Limits::LARGE`] has about 1 GB of tables, whatever it holds. Tenants that are created
    /// while the node serves are left as they are: writing ahead would make the others wait.
    pub prefault_bytes: u64,
    /// Bytes of a segment of the log.
    pub segment_bytes: u32,
    /// Keep every decision's digest, for parity: the demo and tests do. Eight bytes a decision, unbounded, hence off.
    pub keep_decisions: bool,
    /// How a panic inside a decision is caught. Every replica, and every replay of this log, must use the same.
    pub guard: Guard,
    /// The node's queues are registered here.
    pub gauges: Gauges,
    /// Who keeps what was decided: platform events. Never part of a decision.
    pub events: Option<Arc<dyn EntryTap>>,
    /// Who follows single entries on their way: traces. Never part of a decision.
    pub passages: Option<Arc<dyn PassageTap>>,
}

impl Default for CellConfig {
    fn default() -> Self {
        Self {
            tenants: Vec::new(),
            clock: ClockMode::Real,
            clock_limits: ClockLimits::default(),
            source: Arc::new(SystemClock::new()),
            front: 1 << 15,
            front_per_tenant: 1 << 14,
            batch_entries: 256,
            batch_bytes: 1 << 20,
            batches_ahead: 512,
            company: Duration::from_micros(50),
            apply_age_max: Duration::from_millis(200),
            apply_backlog_max: 1 << 15,
            hash_every: 4_096,
            snapshot_entries: 1 << 20,
            snapshot_bytes: 512 << 20,
            retain: Retain::Bytes(8 << 30),
            tail_bytes: 16 << 20,
            queries: 1_024,
            prefault_bytes: 0,
            segment_bytes: 64 << 20,
            keep_decisions: false,
            guard: super::Machines::guard(),
            gauges: Gauges::new(),
            events: None,
            passages: None,
        }
    }
}

/// A value of the configuration that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cell.{field}: {found} is out of range; expected {expected}")]
pub struct ConfigError {
    /// The field.
    pub field: &'static str,
    /// What stood there.
    pub found: String,
    /// What may stand there.
    pub expected: &'static str,
}

/// Tenants of one cell at most.
pub const TENANTS_MAX: usize = 4_096;

impl CellConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let range = |field, value: u64, low: u64, high: u64, expected| {
            if (low..=high).contains(&value) { Ok(()) } else { Err(ConfigError { field, found: value.to_string(), expected }) }
        };
        range("tenants", self.tenants.len() as u64, 0, TENANTS_MAX as u64, "at most 4096 tenants; start another cell for more")?;
        for seed in &self.tenants {
            range("tenants.id", u64::from(seed.id.0), 1, u64::from(u32::MAX), "an id from 1 up")?;
        }
        if let ClockMode::Scaled { speed, .. } = self.clock {
            range("clock.speed", u64::from(speed), 1, 100_000, "1 to 100000")?;
        }
        range("clock_limits.step_max", self.clock_limits.step_max.0, 100, 60_000, "100 to 60000 ms")?;
        range(
            "clock_limits.catch_up_permille",
            u64::from(self.clock_limits.catch_up_permille),
            0,
            10,
            "0 to 10: at most 1 % faster",
        )?;
        range("front", self.front as u64, 16, 1 << 20, "16 to 1048576 entries")?;
        range("front_per_tenant", self.front_per_tenant as u64, 1, self.front as u64, "1 to the value of front")?;
        range("batch_entries", self.batch_entries as u64, 16, 4_096, "16 to 4096 entries")?;
        range("batch_bytes", self.batch_bytes as u64, 64 << 10, 16 << 20, "65536 to 16777216 bytes")?;
        range("batches_ahead", self.batches_ahead as u64, 1, 1_024, "1 to 1024 batches")?;
        range("company", self.company.as_micros() as u64, 0, 1_000, "0 to 1000 microseconds")?;
        range("apply_age_max", self.apply_age_max.as_millis() as u64, 1, 60_000, "1 to 60000 ms")?;
        range("apply_backlog_max", self.apply_backlog_max, 1, 1 << 24, "1 to 16777216 entries")?;
        range("hash_every", self.hash_every, 16, 1 << 24, "16 to 16777216 entries")?;
        range("snapshot_entries", self.snapshot_entries, 64, 1 << 32, "64 entries or more")?;
        range("snapshot_bytes", self.snapshot_bytes, 64 << 10, 1 << 40, "65536 bytes or more")?;
        range("tail_bytes", self.tail_bytes as u64, 0, 1 << 34, "0 to 17179869184 bytes")?;
        range("prefault_bytes", self.prefault_bytes, 0, 1 << 40, "0 to 1099511627776 bytes")?;
        range("queries", self.queries as u64, 1, 1 << 20, "1 to 1048576")?;
        Ok(())
    }
}

impl std::fmt::Debug for CellConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CellConfig")
            .field("tenants", &self.tenants.len())
            .field("clock", &self.clock)
            .field("front", &self.front)
            .field("batch_entries", &self.batch_entries)
            .field("retain", &self.retain)
            .finish_non_exhaustive()
    }
}
