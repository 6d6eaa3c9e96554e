//! The scrubber: reads every durable byte again, a little at a time, and names what does not check.
//!
//! Damage that nobody reads is found only when it is needed; a scrubber finds it while a peer still has the record. Give
//! [`Scrub::step`] a budget of bytes as often as the disk can spare; when a round ends it begins again. Snapshots are gone
//! over between rounds of the log. It repairs nothing and keeps no time.

use crate::disk::Disk;
use crate::journal::Journal;
use crate::reader::{Scan, ScanError, ScanStep};
use crate::report::Hole;
use crate::segment::Position;
use crate::snapshot::{DamagedSnapshot, SnapshotError, SnapshotReader, SnapshotStore};

/// What a step found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScrubReport {
    /// Bytes gone over.
    pub bytes: u64,
    /// Damage in the log.
    pub holes: Vec<Hole>,
    /// Damaged snapshots.
    pub snapshots: Vec<DamagedSnapshot>,
    /// Whether a round over everything ended with this step.
    pub round_ended: bool,
}

/// A scrubber's place.
pub struct Scrub<D: Disk> {
    journal: Journal<D>,
    snapshots: Option<SnapshotStore<D>>,
    at: Part<D>,
    rounds: u64,
}

enum Part<D: Disk> {
    Log(Position),
    Snapshots { todo: Vec<crate::snapshot::SnapshotId>, open: Option<Box<SnapshotReader<D>>> },
}

impl<D: Disk> Scrub<D> {
    pub(crate) fn new(journal: Journal<D>) -> Self {
        Self { journal, snapshots: None, at: Part::Log(Position::START), rounds: 0 }
    }

    /// Goes over these snapshots as well.
    #[must_use]
    pub fn with_snapshots(mut self, store: SnapshotStore<D>) -> Self {
        self.snapshots = Some(store);
        self
    }

    /// Rounds ended so far.
    #[must_use]
    pub const fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Reads on for about `budget_bytes` (at least one frame or block).
    ///
    /// # Errors
    /// The disk's failures; the next step tries the same place again. A purge that overtakes the scrubber is no error.
    pub fn step(&mut self, budget_bytes: u64) -> Result<ScrubReport, SnapshotError> {
        let mut report = ScrubReport::default();
        if let Part::Log(from) = self.at {
            self.step_log(from, budget_bytes, &mut report)?;
        }
        while report.bytes < budget_bytes && !report.round_ended {
            match &self.at {
                Part::Log(_) => break,
                Part::Snapshots { .. } => self.step_snapshots(budget_bytes, &mut report)?,
            }
        }
        Ok(report)
    }

    fn step_log(&mut self, from: Position, budget: u64, report: &mut ScrubReport) -> Result<(), SnapshotError> {
        let mut scan: Scan<D> = self.journal.scan(from);
        loop {
            match scan.step() {
                Ok(Some(ScanStep::Entry(_))) => {}
                Ok(Some(ScanStep::Hole(hole))) => report.holes.push(hole),
                Ok(None) => {
                    report.bytes += scan.bytes_read();
                    let todo = match &self.snapshots {
                        Some(store) => store.list()?,
                        None => Vec::new(),
                    };
                    self.at = Part::Snapshots { todo, open: None };
                    if self.snapshots.is_none() {
                        self.end_round(report);
                    }
                    return Ok(());
                }
                Err(ScanError::Purged { .. }) => {
                    self.at = Part::Log(Position::START);
                    return Ok(());
                }
                Err(ScanError::Disk(fault)) => return Err(fault.into()),
            }
            if scan.bytes_read() >= budget {
                report.bytes += scan.bytes_read();
                self.at = Part::Log(scan.position());
                return Ok(());
            }
        }
    }

    fn step_snapshots(&mut self, budget: u64, report: &mut ScrubReport) -> Result<(), SnapshotError> {
        let (Part::Snapshots { todo, open }, Some(store)) = (&mut self.at, &self.snapshots) else {
            return Ok(());
        };
        if open.is_none() {
            let Some(id) = todo.pop() else {
                self.end_round(report);
                return Ok(());
            };
            match store.read(&id) {
                Ok(reader) => *open = Some(Box::new(reader)),
                Err(SnapshotError::Damaged(damaged)) => report.snapshots.push(damaged),
                // Replaced by newer ones since the list was made.
                Err(SnapshotError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let Some(reader) = open else { return Ok(()) };
        while report.bytes < budget {
            match reader.next_block() {
                Ok(Some(block)) => report.bytes += block.len() as u64,
                Ok(None) => {
                    *open = None;
                    return Ok(());
                }
                Err(SnapshotError::Damaged(damaged)) => {
                    report.snapshots.push(damaged);
                    *open = None;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn end_round(&mut self, report: &mut ScrubReport) {
        self.rounds += 1;
        self.at = Part::Log(Position::START);
        report.round_ended = true;
    }
}
