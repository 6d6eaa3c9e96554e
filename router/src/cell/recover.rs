//! A restart: the newest snapshot that holds, and every entry behind it, through the same `handle`.
//!
//! A snapshot that does not hold is named and the one before it taken; without any, the log is replayed from its first entry.
//! Entries must follow each other without a gap, each for a tenant that exists: anything else is an error with its place, and
//! never a quiet start from less. Outputs of the replay go to the transcript index only; open effects are emitted again by
//! the start. It refuses to know threads and clocks.

use super::apply::Last;
use super::machines::{Machines, ReplayError};
use super::single::{GROUP, SingleNode};
use super::snapshots::{NAME, StateError, Unanswered, read_state};
use crate::transcript::{Added, IndexError, Transcripts};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::Guard;
use tidegate_journal::{Disk, Hole, Position, Recovery, ScanError, ScanStep, SnapshotError, SnapshotStore};
use tidegate_model::output::{Item, Output};
use tidegate_model::{Millis, Seq, TenantId, Term, Timestamp};

/// What a start found, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Entry up to which the snapshot reached that was taken, if any.
    pub snapshot: Option<Seq>,
    /// Snapshots passed over, each with its cause.
    pub damaged_snapshots: Vec<String>,
    /// Entries replayed behind it.
    pub replayed: u64,
    /// Newest entry found.
    pub last: Seq,
    /// Its log time.
    pub last_at: Timestamp,
    /// The term of this start.
    pub term: Term,
    /// How long nobody led.
    pub gap: Millis,
    /// Effects emitted again.
    pub open_effects: u64,
    /// What the journal said: a tail that was cut off, repairs, left-overs.
    pub journal: Vec<String>,
    /// From the call to serving.
    pub took: Duration,
}

/// Why a state could not be recovered. Nothing was changed on the disk beyond the journal's own repairs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The disk, or a snapshot of a later version.
    #[error("snapshots cannot be read")]
    Snapshot(#[from] SnapshotError),
    /// The log cannot be read on.
    #[error("the log cannot be read")]
    Scan(#[from] ScanError),
    /// A part of the log that a restart needs is damaged.
    #[error("the log is damaged behind entry {after:?}: {hole}; restore the files from a copy")]
    Damaged {
        /// The last entry before.
        after: Seq,
        /// What is damaged.
        hole: Hole,
    },
    /// The log does not go on where the state ends.
    #[error(
        "entry {expected:?} is missing: the log goes on with {found:?}; the snapshot that held the entries between is gone or damaged: restore it from a copy"
    )]
    Gap {
        /// What should come.
        expected: Seq,
        /// What comes.
        found: Seq,
    },
    /// An entry that cannot be replayed.
    #[error("entry at {position} cannot be replayed: {source}")]
    Replay {
        /// Where it stands.
        position: Position,
        /// Why.
        #[source]
        source: ReplayError,
    },
}

/// A recovered cell.
pub(crate) struct Found {
    pub machines: Machines,
    pub unanswered: Vec<Unanswered>,
    pub last: Option<Last>,
    pub term: Term,
    pub snapshot: Option<Seq>,
    pub damaged_snapshots: Vec<String>,
    pub replayed: u64,
}

/// Recovers from a disk; fills `transcripts`.
pub(crate) fn recover<D: Disk>(
    log: &SingleNode<D>,
    snapshots: &SnapshotStore<D>,
    transcripts: &Arc<Transcripts>,
    guard: Guard,
) -> Result<Found, RecoverError> {
    let mut found = from_snapshot(snapshots, transcripts, guard)?;
    let mut owed: BTreeMap<u64, (TenantId, u64)> = found.unanswered.iter().map(|u| (u.seq.0, (u.tenant, u.position))).collect();
    let from = found.last.map_or(Position::START, |last| Position::from_bits(last.position));
    let mut scan = log.journal().scan(from);
    let mut outputs = Vec::new();
    while let Some(step) = scan.step()? {
        let after = found.last.map_or(Seq(0), |last| last.seq);
        let entry = match step {
            ScanStep::Hole(hole) => return Err(RecoverError::Damaged { after, hole }),
            ScanStep::Entry(entry) if entry.group != GROUP => continue,
            ScanStep::Entry(entry) => entry,
        };
        if entry.index <= after.0 {
            continue;
        }
        if entry.index != after.0 + 1 {
            return Err(RecoverError::Gap { expected: Seq(after.0 + 1), found: Seq(entry.index) });
        }
        outputs.clear();
        let position = entry.position;
        let replayed =
            found.machines.replay(entry.payload, &mut outputs).map_err(|source| RecoverError::Replay { position, source })?;
        if let Some(term) = term_of(entry.payload) {
            found.term = found.term.max(term);
        }
        owed.insert(replayed.seq.0, (replayed.tenant, position.to_bits()));
        index(transcripts, replayed.tenant, &outputs, &owed, position.to_bits());
        for output in &outputs {
            if let Output::Reply { seq, .. } = output {
                owed.remove(&seq.0);
            }
        }
        found.last = Some(Last { seq: replayed.seq, at: replayed.at, position: position.to_bits() });
        found.replayed += 1;
    }
    found.unanswered = owed.into_iter().map(|(seq, (tenant, position))| Unanswered { seq: Seq(seq), tenant, position }).collect();
    Ok(found)
}

fn from_snapshot<D: Disk>(
    snapshots: &SnapshotStore<D>,
    transcripts: &Arc<Transcripts>,
    guard: Guard,
) -> Result<Found, RecoverError> {
    let mut damaged_snapshots = Vec::new();
    for id in snapshots.list()?.into_iter().filter(|id| id.name == NAME) {
        let bytes = match snapshots.load(&id) {
            Ok((_, bytes)) => bytes,
            Err(SnapshotError::Damaged(damaged)) => {
                damaged_snapshots.push(damaged.to_string());
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let state = match read_state(&bytes, guard) {
            Ok(state) => state,
            Err(error @ StateError { .. }) => {
                damaged_snapshots.push(format!("{}: {error}", id.file()));
                continue;
            }
        };
        if let Err(error @ IndexError { .. }) = transcripts.restore(state.index) {
            transcripts.clear();
            damaged_snapshots.push(format!("{}: {error}", id.file()));
            continue;
        }
        return Ok(Found {
            snapshot: Some(state.last.seq),
            machines: state.machines,
            unanswered: state.unanswered,
            last: Some(state.last),
            term: state.term,
            damaged_snapshots,
            replayed: 0,
        });
    }
    Ok(Found {
        machines: Machines::guarded(guard),
        unanswered: Vec::new(),
        last: None,
        term: Term(0),
        snapshot: None,
        damaged_snapshots,
        replayed: 0,
    })
}

fn index(transcripts: &Transcripts, tenant: TenantId, outputs: &[Output], owed: &BTreeMap<u64, (TenantId, u64)>, here: u64) {
    for output in outputs {
        let Output::Transcript { conversation, n, seq, at, item, .. } = output else { continue };
        let position = owed.get(&seq.0).map(|(_, position)| *position);
        let body = match item {
            Item::FromCustomer | Item::FromSeat { .. } => position,
            _ => None,
        };
        let added = Added { conversation: *conversation, n: *n, at: *at, item: *item, entry: position.unwrap_or(here), body };
        transcripts.add(tenant, &added);
    }
}

/// The term of a `LeaderStarted` entry.
fn term_of(entry: &[u8]) -> Option<Term> {
    const LEADER_STARTED: u8 = 66;
    if entry.get(1) != Some(&LEADER_STARTED) {
        return None;
    }
    Some(Term(u64::from_le_bytes(entry.get(56..64)?.try_into().ok()?)))
}

/// The journal's own report in lines.
pub(crate) fn journal_lines(recovery: &Recovery) -> Vec<String> {
    recovery.to_string().lines().map(str::to_owned).collect()
}
