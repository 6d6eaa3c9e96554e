//! The one replay: the newest snapshot that holds, and the entries behind it, through the same `handle`.
//!
//! A restart replays to the log's end, the keeper (`keeper`) to an entry that the deciding thread has named, into machines and
//! an index of its own: there is no second way to a state, so a snapshot made here has proved what a restart will do.
//! A snapshot that does not hold is named and the one before it taken; without any, the log is replayed from its first entry.
//! Entries must follow each other without a gap, each for a tenant that exists: anything else is an error with its place, and
//! never a quiet start from less. Only what is durable when the replay begins is read, so a writer may append meanwhile.
//! Outputs of the replay go to the transcript index and to whoever looks on; open effects are emitted again by the start. It
//! refuses to know threads and clocks.

use super::apply::Last;
use super::machines::{Machines, ReplayError, Replayed};
use super::single::GROUP;
use super::snapshots::{NAME, StateError, Unanswered, read_state};
use super::tap::{EntryTap, TapError};
use crate::transcript::{Added, IndexError, Transcripts};
use std::collections::BTreeMap;
use std::time::Duration;
use tidegate_core::Guard;
use tidegate_journal::{Disk, Hole, Journal, Position, Recovery, ScanError, ScanStep, SnapshotError, SnapshotId, SnapshotStore};
use tidegate_model::output::Output;
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
    /// What is kept beside the log is of another log.
    #[error("what is kept beside the log does not belong to it: {0}")]
    Tap(#[from] TapError),
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

/// Where a replay reads from.
pub(crate) struct Source<'a, D: Disk> {
    pub journal: &'a Journal<D>,
    pub snapshots: &'a SnapshotStore<D>,
    pub guard: Guard,
    /// Who keeps what was decided, when this replay is a restart's.
    pub tap: Option<&'a dyn EntryTap>,
}

/// A snapshot that was passed over.
pub(crate) struct PassedOver {
    pub id: SnapshotId,
    /// Its checksums do not hold: it will never be of use to anybody.
    pub damaged: bool,
    pub why: String,
}

/// A recovered cell.
pub(crate) struct Found {
    pub machines: Machines,
    pub unanswered: Vec<Unanswered>,
    pub last: Option<Last>,
    pub term: Term,
    pub snapshot: Option<Seq>,
    pub passed_over: Vec<PassedOver>,
    pub replayed: u64,
}

impl Found {
    /// Nothing yet.
    pub fn nothing(guard: Guard) -> Self {
        Self {
            machines: Machines::guarded(guard),
            unanswered: Vec::new(),
            last: None,
            term: Term(0),
            snapshot: None,
            passed_over: Vec::new(),
            replayed: 0,
        }
    }

    /// The newest entry that the state holds.
    pub fn reached(&self) -> Seq {
        self.last.map_or(Seq(0), |last| last.seq)
    }
}

/// Recovers the state from a disk, up to the entry `upto` (the durable end without one), and fills `transcripts`.
///
/// `go_on` sees every entry that was replayed with its outputs; when it says no, the state is given back as it then stands.
pub(crate) fn recover<D: Disk>(
    source: &Source<'_, D>,
    transcripts: &Transcripts,
    upto: Option<Seq>,
    go_on: &mut dyn FnMut(&Replayed, &[Output]) -> bool,
) -> Result<Found, RecoverError> {
    let upto = upto.unwrap_or(Seq(u64::MAX));
    let mut found = from_snapshot(source, transcripts, upto)?;
    if let Some(tap) = source.tap {
        tap.replay_from(found.snapshot.unwrap_or(Seq(0)), &found.machines);
    }
    let mut owed: BTreeMap<u64, (TenantId, u64)> = found.unanswered.iter().map(|u| (u.seq.0, (u.tenant, u.position))).collect();
    let from = found.last.map_or(Position::START, |last| Position::from_bits(last.position));
    let mut scan = source.journal.scan(from);
    let mut outputs = Vec::new();
    while found.reached() < upto
        && let Some(step) = scan.step()?
    {
        let after = found.reached();
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
        if replayed.owed {
            owed.insert(replayed.seq.0, (replayed.tenant, position.to_bits()));
        }
        index(transcripts, replayed.tenant, &outputs, &owed, position.to_bits());
        for output in &outputs {
            if let Output::Reply { seq, .. } = output {
                owed.remove(&seq.0);
            }
        }
        found.last = Some(Last { seq: replayed.seq, at: replayed.at, position: position.to_bits() });
        found.replayed += 1;
        if let Some(tap) = source.tap {
            tap.entry(replayed.tenant, replayed.seq, replayed.at, &outputs);
        }
        if !go_on(&replayed, &outputs) {
            break;
        }
    }
    if let Some(tap) = source.tap {
        tap.replayed(found.reached())?;
    }
    found.unanswered = owed.into_iter().map(|(seq, (tenant, position))| Unanswered { seq: Seq(seq), tenant, position }).collect();
    // The keeper forgot these when it let their segments go.
    transcripts.forget_before(source.journal.first().to_bits());
    Ok(found)
}

/// The newest snapshot that holds and reaches no further than `upto`.
fn from_snapshot<D: Disk>(source: &Source<'_, D>, transcripts: &Transcripts, upto: Seq) -> Result<Found, RecoverError> {
    let mut passed_over = Vec::new();
    let ours = |id: &SnapshotId| id.name == NAME && id.sequence <= upto.0;
    for id in source.snapshots.list()?.into_iter().filter(ours) {
        let bytes = match source.snapshots.load(&id) {
            Ok((_, bytes)) => bytes,
            Err(SnapshotError::Damaged(damaged)) => {
                passed_over.push(PassedOver { id, damaged: true, why: damaged.to_string() });
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let state = match read_state(&bytes, source.guard) {
            Ok(state) => state,
            Err(error @ StateError { .. }) => {
                let why = format!("{}: {error}", id.file());
                passed_over.push(PassedOver { id, damaged: false, why });
                continue;
            }
        };
        if let Err(error @ IndexError { .. }) = transcripts.restore(state.index) {
            transcripts.clear();
            let why = format!("{}: {error}", id.file());
            passed_over.push(PassedOver { id, damaged: false, why });
            continue;
        }
        return Ok(Found {
            snapshot: Some(state.last.seq),
            machines: state.machines,
            unanswered: state.unanswered,
            last: Some(state.last),
            term: state.term,
            passed_over,
            replayed: 0,
        });
    }
    Ok(Found { passed_over, ..Found::nothing(source.guard) })
}

/// As the egress does it: an item belongs to the entry that gave it, a body to the entry that brought it.
fn index(transcripts: &Transcripts, tenant: TenantId, outputs: &[Output], owed: &BTreeMap<u64, (TenantId, u64)>, here: u64) {
    for output in outputs {
        let Output::Transcript { conversation, n, seq, at, item, .. } = output else { continue };
        let body = match item {
            item if item.has_body() => owed.get(&seq.0).map(|(_, position)| *position),
            _ => None,
        };
        let added = Added { conversation: *conversation, n: *n, at: *at, item: *item, entry: here, body };
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
