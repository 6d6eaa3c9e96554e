//! The keeper: makes snapshots from the log beside the deciding thread, writes them, keeps the log's house.
//!
//! The deciding thread only names an entry. The keeper takes the newest kept snapshot, replays the log behind it up to that
//! entry by the very code of a restart (`recover`), holds the digests that come out against those that the live cell gave
//! at the same entries, and writes the state. So nothing is decided later because of a snapshot, and every snapshot has
//! proved that restore-then-continue equals continue before it is there. A difference is told, counted, and nothing written.
//! Then the log is let go up to the *older* kept snapshot: the newest one can always be rolled on. A snapshot that cannot
//! be made harms nothing but the length of the next replay. Price: while one is made, a second copy of the machines in
//! memory and up to one core. Only a drain, when nobody waits, serialises the live machines.
//!
//! Lineage: Raft's log compaction (Ongaro, Ousterhout 2014) with the state machine's copy made by replay. It refuses to
//! know what an entry means.

use super::apply::Last;
use super::log::LogFiles;
use super::machines::Replayed;
use super::park::Parker;
use super::recover::{Found, PassedOver, RecoverError, Source, recover};
use super::shared::Shared;
use super::single::chain;
use super::snapshots::{self, NAME};
use super::tap::TapError;
use crate::primitive::atomic::Ordering;
use crate::transcript::Transcripts;
use std::collections::{BTreeMap, BTreeSet};
use std::task::Poll;
use std::time::Duration;
use tidegate_core::Guard;
use tidegate_journal::{Disk, Journal, Position, SnapshotError, SnapshotId, SnapshotStore};
use tidegate_matcher::ring::spsc;
use tidegate_model::output::Output;
use tidegate_model::{Seq, TenantId, Term};

/// How often the keeper looks after the log's house.
const HOUSE: Duration = Duration::from_millis(100);
/// Entries between two looks at the house, and whether to go on, while it replays.
const SLICE: u64 = 2_048;
/// Bytes between two such looks while it writes.
const PIECE: usize = 1 << 20;

/// What a tenant's `Hash` entry gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digests {
    pub seq: Seq,
    pub state: u64,
    pub outputs: u64,
}

/// What the keeper is asked for.
pub(crate) enum Order {
    /// A snapshot up to an entry that is durable and applied, made from the log; of each tenant the newest digests that the
    /// live cell gave up to there.
    RollTo { last: Last, digests: BTreeMap<TenantId, Digests> },
    /// A state, serialised.
    Keep { last: Last, bytes: Vec<u8> },
}

impl Order {
    fn last(&self) -> Last {
        match self {
            Self::RollTo { last, .. } | Self::Keep { last, .. } => *last,
        }
    }
}

/// Why there is no new snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// The cell ends: the drain writes its own.
    #[error("the cell ends")]
    Stopped,
    #[error("the replay for a snapshot failed")]
    Replay(#[from] RecoverError),
    #[error(
        "the replay does not agree with the live machines: tenant {tenant} at entry {}: live {live:?}, replayed {replayed:?}; \
         no snapshot was written, keep the log and report this",
        live.seq.0
    )]
    Differs { tenant: TenantId, live: Digests, replayed: Option<Digests> },
    #[error("the log ends with entry {reached:?}, before entry {wanted:?} that was applied")]
    Short { wanted: Seq, reached: Seq },
    #[error("what is kept beside the log is not durable: {0}")]
    Tap(#[from] TapError),
    #[error(transparent)]
    Write(#[from] SnapshotError),
}

/// A snapshot that was written, or was there already.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Position of the older kept snapshot, before which the log is not needed.
    pub floor: Option<u64>,
    /// Kept snapshots that turned out to be unreadable.
    pub passed_over: Vec<String>,
}

/// Makes snapshots and writes them somewhere durable. `go_on` is asked now and then; when it says no, nothing is written.
pub(crate) trait Vault: Send {
    fn keep(&self, order: Order, term: Term, go_on: &mut dyn FnMut() -> bool) -> Result<Kept, KeepError>;
}

/// An embedder without a disk keeps none.
pub(crate) struct NoVault;

impl Vault for NoVault {
    fn keep(&self, _: Order, _: Term, _: &mut dyn FnMut() -> bool) -> Result<Kept, KeepError> {
        Ok(Kept::default())
    }
}

/// The journal and its snapshots.
pub(crate) struct DiskVault<D: Disk> {
    pub journal: Journal<D>,
    pub store: SnapshotStore<D>,
    pub guard: Guard,
}

impl<D: Disk> Vault for DiskVault<D> {
    fn keep(&self, order: Order, term: Term, go_on: &mut dyn FnMut() -> bool) -> Result<Kept, KeepError> {
        let last = order.last();
        let mut kept = Kept::default();
        if self.newest()? < Some(last.seq.0) {
            let bytes = match order {
                Order::Keep { bytes, .. } => bytes,
                Order::RollTo { digests, .. } => {
                    let (bytes, passed_over) = self.roll(last.seq, &digests, term, go_on)?;
                    for old in passed_over {
                        // Else it would count as one of the two that are kept, and the log be let go up to it.
                        if old.damaged {
                            self.store.remove(&old.id)?;
                        }
                        kept.passed_over.push(old.why);
                    }
                    bytes
                }
            };
            self.write(last, &bytes, go_on)?;
        }
        let floor = self.store.purge_floor()?;
        kept.floor = (floor > Position::START).then_some(floor.to_bits());
        Ok(kept)
    }
}

impl<D: Disk> DiskVault<D> {
    fn newest(&self) -> Result<Option<u64>, SnapshotError> {
        Ok(self.store.list()?.into_iter().filter(|id| id.name == NAME).map(|id| id.sequence).max())
    }

    /// The state at entry `upto` by replay from the newest kept snapshot, serialised. Memory: one more copy of the machines.
    pub fn roll(
        &self,
        upto: Seq,
        digests: &BTreeMap<TenantId, Digests>,
        term: Term,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<(Vec<u8>, Vec<PassedOver>), KeepError> {
        let source = Source { journal: &self.journal, snapshots: &self.store, guard: self.guard, tap: None };
        let transcripts = Transcripts::detached();
        let mut proof = Proof { digests, proved: BTreeSet::new(), differs: None };
        let mut stopped = false;
        let mut entries = 0_u64;
        let found = recover(&source, &transcripts, Some(upto), &mut |replayed, outputs| {
            entries += 1;
            stopped = entries.is_multiple_of(SLICE) && !go_on();
            proof.look(replayed, outputs) && !stopped
        })?;
        if let Some(differs) = proof.differs.take() {
            return Err(differs);
        }
        if stopped {
            return Err(KeepError::Stopped);
        }
        if found.reached() != upto {
            return Err(KeepError::Short { wanted: upto, reached: found.reached() });
        }
        proof.complete(found.snapshot.unwrap_or(Seq(0)))?;
        let Found { machines, unanswered, last, term: seen, passed_over, .. } = found;
        let mut bytes = Vec::new();
        if let Some(last) = last {
            snapshots::state(&mut bytes, &machines, last, seen.max(term), unanswered.into_iter());
        }
        drop(machines);
        transcripts.snapshot(&mut bytes);
        Ok((bytes, passed_over))
    }

    fn write(&self, last: Last, bytes: &[u8], go_on: &mut dyn FnMut() -> bool) -> Result<(), KeepError> {
        let id = SnapshotId { name: NAME.to_owned(), sequence: last.seq.0 };
        let mut writer = self.store.begin(id, Position::from_bits(last.position))?;
        for piece in bytes.chunks(PIECE) {
            if !go_on() {
                return Err(KeepError::Stopped);
            }
            writer.write(piece)?;
        }
        writer.finish()?;
        Ok(())
    }
}

/// Holds the digests of a replay against the live ones.
struct Proof<'a> {
    digests: &'a BTreeMap<TenantId, Digests>,
    proved: BTreeSet<TenantId>,
    differs: Option<KeepError>,
}

impl Proof<'_> {
    /// False once something differs.
    fn look(&mut self, replayed: &Replayed, outputs: &[Output]) -> bool {
        for output in outputs {
            let Output::Digest { seq, state, outputs } = output else { continue };
            let Some(live) = self.digests.get(&replayed.tenant).filter(|live| live.seq == *seq) else { continue };
            let found = Digests { seq: *seq, state: *state, outputs: *outputs };
            if *live != found {
                self.differs = Some(KeepError::Differs { tenant: replayed.tenant, live: *live, replayed: Some(found) });
                return false;
            }
            self.proved.insert(replayed.tenant);
        }
        true
    }

    /// Every live digest behind the entry `from` must have come out of the replay.
    fn complete(&self, from: Seq) -> Result<(), KeepError> {
        let missing = self.digests.iter().find(|(tenant, live)| live.seq > from && !self.proved.contains(tenant));
        missing.map_or(Ok(()), |(tenant, live)| Err(KeepError::Differs { tenant: *tenant, live: *live, replayed: None }))
    }
}

/// The keeper thread: ends when the egress has closed the ring.
pub(crate) fn run(mut orders: spsc::Consumer<Order>, vault: &dyn Vault, files: &dyn LogFiles, shared: &Shared) {
    let parker = Parker::here();
    super::paced::may_wait();
    loop {
        match orders.poll_pop(&mut parker.context()) {
            Poll::Ready(Some(order)) => serve(order, vault, files, shared),
            Poll::Ready(None) => return,
            Poll::Pending => {
                parker.park(Some(HOUSE));
                prepare(files);
            }
        }
    }
}

/// A spare segment made here is one that the proposer need not wait for.
fn prepare(files: &dyn LogFiles) {
    // When it cannot be made the proposer finds out by itself, and only if it needs it.
    let _found_later = files.prepare();
}

fn serve(order: Order, vault: &dyn Vault, files: &dyn LogFiles, shared: &Shared) {
    let seq = order.last().seq;
    let may_stop = matches!(order, Order::RollTo { .. });
    // The log that is let go of afterwards cannot be replayed for it again.
    let durable = shared.events.as_ref().map_or(Ok(()), |tap| tap.make_durable(seq));
    let kept = durable.map_err(KeepError::from).and_then(|()| {
        vault.keep(order, shared.term, &mut || {
            prepare(files);
            !(may_stop && shared.released())
        })
    });
    match kept {
        Ok(kept) => {
            for why in kept.passed_over {
                shared.snapshot_failed(why);
            }
            shared.snapshot.fetch_max(seq.0, Ordering::Release);
            if let Some(floor) = kept.floor {
                match files.release(floor) {
                    Ok(oldest) => shared.transcripts.forget_before(oldest),
                    Err(error) => shared.snapshot_failed(format!("the log could not be released: {error}")),
                }
            }
        }
        Err(KeepError::Stopped) => {}
        Err(error) => {
            let why = chain(&error);
            if matches!(error, KeepError::Differs { .. }) {
                shared.snapshot_differences.fetch_add(1, Ordering::Relaxed);
                tracing::error!(up_to = seq.0, "{why}");
            } else {
                tracing::warn!(up_to = seq.0, "no snapshot: {why}");
            }
            shared.snapshot_failed(why);
        }
    }
    shared.snapshot_under_way.store(false, Ordering::Release);
    if shared.snapshot_wanted.load(Ordering::Acquire) {
        shared.wake_apply();
    }
}

#[cfg(test)]
mod tests {
    use super::{BTreeMap, Digests, DiskVault, KeepError, Position, Seq, SnapshotId, SnapshotStore, TenantId, Term};
    use crate::cell::snapshots::read_state;
    use crate::cell::{Cell, CellConfig, CellSink, Machines, Retain, TenantSeed};
    use crate::log_time::{ClockLimits, ClockSource};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};
    use tidegate_core::rig::{Rig, RigConfig};
    use tidegate_journal::{FaultyDisk, Journal, OnDamage, Options};
    use tidegate_model::codec;
    use tidegate_model::input::Input;
    use tidegate_model::limits::Limits;
    use tidegate_model::output::Output;
    use tidegate_model::port::PortError;

    #[derive(Default)]
    struct Hand(AtomicU64);

    impl ClockSource for Hand {
        fn monotonic_ns(&self) -> u64 {
            self.0.load(Ordering::SeqCst)
        }

        fn wall_ms(&self) -> u64 {
            1_000
        }
    }

    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<(TenantId, Output)>>>);

    impl CellSink for Seen {
        fn outputs(&mut self, tenant: TenantId, outputs: &[Output]) {
            self.0.lock().unwrap().extend(outputs.iter().map(|output| (tenant, output.clone())));
        }
    }

    /// Two tenants, one of them with hardly any fuel, so that answers come late and ticks work off what is left.
    fn a_run(disk: &FaultyDisk, entries: usize) -> (u64, Seen) {
        let hand = Arc::new(Hand::default());
        let seen = Seen::default();
        let tenants = [(TenantId(1), Limits::SMALL), (TenantId(2), Limits { fuel: 16, ..Limits::SMALL })];
        let config = CellConfig {
            tenants: tenants.iter().map(|(id, limits)| TenantSeed { id: *id, limits: *limits }).collect(),
            clock_limits: ClockLimits { step_max: tidegate_model::Millis(60_000), ..ClockLimits::default() },
            source: hand.clone(),
            segment_bytes: 128 << 10,
            snapshot_entries: 700,
            hash_every: 64,
            retain: Retain::All,
            ..CellConfig::default()
        };
        let (cell, _) = Cell::start(config, disk.clone(), Box::new(seen.clone())).unwrap();
        let push = |entry: &[u8], wait: bool| {
            let entry = codec::decode(entry).unwrap();
            loop {
                let taken = match wait {
                    true => cell.submit(entry.tenant, &entry.input).wait().map(|_| ()),
                    false => cell.submit_nowait(entry.tenant, &entry.input),
                };
                match taken {
                    Err(PortError::Busy { .. }) => std::thread::yield_now(),
                    other => return other.unwrap(),
                }
            }
        };
        let mut rigs: Vec<Rig> =
            tenants.iter().map(|(tenant, _)| Rig::new(RigConfig { tenant: *tenant, ..RigConfig::small(7) })).collect();
        for rig in &rigs {
            rig.bootstrap().iter().for_each(|entry| push(entry, true));
        }
        let mut outputs_seen = 0;
        for i in 0..entries {
            for output in &seen.0.lock().unwrap()[outputs_seen..] {
                rigs[output.0.0 as usize - 1].observe(&output.1);
                outputs_seen += 1;
            }
            let (at, entry) = rigs[i % 2].next();
            hand.0.fetch_max(at.0.saturating_sub(1_000) * 1_000_000, Ordering::SeqCst);
            let own =
                codec::decode(&entry).is_ok_and(|e| matches!(e.input, Input::Tick | Input::Hash | Input::LeaderStarted { .. }));
            if !own {
                push(&entry, i % 8 == 0);
            }
        }
        let drained = cell.drain().unwrap();
        assert_eq!(drained.snapshot, drained.last);
        (drained.last.0, seen)
    }

    fn vault(disk: &FaultyDisk) -> DiskVault<FaultyDisk> {
        let options = Options { on_damage: OnDamage::ReadOnly, ..Options::default() };
        let (journal, _) = Journal::open(disk.clone(), options).unwrap();
        DiskVault { journal, store: SnapshotStore::new(disk.clone()), guard: Machines::guard() }
    }

    #[test]
    fn a_snapshot_rolled_forward_is_byte_for_byte_the_live_one() {
        let disk = FaultyDisk::new(1);
        let (last, seen) = a_run(&disk, 6_000);
        let vault = vault(&disk);
        let ids: Vec<SnapshotId> = vault.store.list().unwrap();
        assert!(ids.len() == 2 && ids[0].sequence == last && ids[1].sequence > 1, "{ids:?}");
        let (info, live) = vault.store.load(&ids[0]).unwrap();
        assert!(info.position > Position::START);
        let owed = read_state(&live, Machines::guard()).unwrap().unanswered;
        assert!(owed.is_empty(), "a drain owes nobody an answer, and a tick is nobody's question: {} rows", owed.len());
        vault.store.remove(&ids[0]).unwrap();
        // Of each tenant the last digest that the live cell gave.
        let digests: BTreeMap<TenantId, Digests> =
            seen.0.lock().unwrap().iter().fold(BTreeMap::new(), |mut all, (tenant, output)| {
                if let Output::Digest { seq, state, outputs } = output {
                    all.insert(*tenant, Digests { seq: *seq, state: *state, outputs: *outputs });
                }
                all
            });
        assert_eq!(digests.len(), 2);
        let roll = |digests: &BTreeMap<TenantId, Digests>| vault.roll(Seq(last), digests, Term(1), &mut || true);
        let (rolled, _) = roll(&digests).unwrap();
        assert!(rolled == live, "from the snapshot before: {} and {} bytes", rolled.len(), live.len());
        vault.store.remove(&ids[1]).unwrap();
        let (rolled, _) = roll(&digests).unwrap();
        assert!(rolled == live, "from nothing: {} and {} bytes", rolled.len(), live.len());
        // A difference is seen, and so is a digest that never comes.
        for (tenant, live) in &digests {
            let changed = [Digests { state: live.state ^ 1, ..*live }, Digests { outputs: !live.outputs, ..*live }];
            for planted in changed.into_iter().chain([Digests { seq: Seq(live.seq.0 - 1), ..*live }]) {
                let mut digests = digests.clone();
                digests.insert(*tenant, planted);
                assert!(matches!(roll(&digests), Err(KeepError::Differs { tenant: found, .. }) if found == *tenant));
            }
        }
        assert!(matches!(vault.roll(Seq(last + 1), &digests, Term(1), &mut || true), Err(KeepError::Short { .. })));
        assert!(matches!(vault.roll(Seq(last), &digests, Term(1), &mut || false), Err(KeepError::Stopped)));
    }
}
