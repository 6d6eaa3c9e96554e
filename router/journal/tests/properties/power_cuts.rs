//! Power cuts: every acknowledged record is there after any cut, unchanged and in order; what was not acknowledged is there
//! as a prefix or not at all (issue A, "kill -9"). Snapshots and purges are cut too, and recovery itself.
//!
//! Seeded lives over one faulty disk: random appends, syncs, snapshots and purges, a cut at an operation or in the middle of
//! one, reopen, compare with what the client knows. The mutants (a disk that lies about a sync, an acknowledgement before
//! the sync, a repair that is forgotten) must be caught by the same checker. 1,000 cuts by default, 10,000 at night.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_journal::rng::SplitMix64;
use tidegate_journal::{Disk, DiskFile, FaultyDisk, Journal, Position, Record, SnapshotId, SnapshotStore};

use crate::support::{Sent, read_all, seeds, small_options};

const LIVES: u64 = 5;

/// Which promise a disk breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    None,
    /// No file's sync does anything.
    DataSync,
    /// A sync behind a write of frames does nothing; heads, the watermark and small snapshots are synced.
    FrameSync,
    /// A directory's sync does nothing.
    DirSync,
    /// Zeroes are not written over frames: the repair of a torn tail is forgotten.
    Zeroes,
}

/// When the client takes a record for acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ack {
    AfterSync,
    BeforeSync,
}

#[derive(Clone)]
struct LyingDisk {
    disk: FaultyDisk,
    lie: Lie,
}

struct LyingFile<F> {
    file: F,
    lie: Lie,
    frames_written: AtomicBool,
}

/// Where frames start in a segment.
const FRAMES: u64 = 4096;

impl Disk for LyingDisk {
    type File = LyingFile<<FaultyDisk as Disk>::File>;

    fn create(&self, name: &str) -> io::Result<Self::File> {
        Ok(LyingFile { file: self.disk.create(name)?, lie: self.lie, frames_written: AtomicBool::new(false) })
    }
    fn open(&self, name: &str) -> io::Result<Self::File> {
        Ok(LyingFile { file: self.disk.open(name)?, lie: self.lie, frames_written: AtomicBool::new(false) })
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn sync_dir(&self) -> io::Result<()> {
        if self.lie == Lie::DirSync {
            return Ok(());
        }
        self.disk.sync_dir()
    }
}

impl<F: DiskFile> DiskFile for LyingFile<F> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if offset >= FRAMES {
            self.frames_written.store(true, Ordering::Relaxed);
            if self.lie == Lie::Zeroes && bytes.iter().all(|byte| *byte == 0) {
                return Ok(bytes.len());
            }
        }
        self.file.write_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        let frames = self.frames_written.swap(false, Ordering::Relaxed);
        if self.lie == Lie::DataSync || (self.lie == Lie::FrameSync && frames) {
            return Ok(());
        }
        self.file.sync_data()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.file.preallocate(len)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

/// What the client knows, and what happened: a fault that never fired proves nothing.
#[derive(Debug, Default)]
struct Client {
    seed: u64,
    life: u64,
    history: Vec<(Position, Sent)>,
    acknowledged: usize,
    /// Records before this ordinal may have been purged.
    purgeable: usize,
    snapshot_sequence: u64,
    snapshot_acknowledged: u64,
    cuts: u64,
    cuts_in_recovery: u64,
    torn: u64,
    unacknowledged_kept: u64,
    unacknowledged_lost: u64,
    purged_segments: u64,
    snapshots: u64,
    acknowledged_in_all: u64,
}

/// Runs one seed; the error says what the checker caught.
fn run(seed: u64, lie: Lie, ack: Ack) -> Result<Client, String> {
    let mut random = SplitMix64::new(seed);
    let disk = FaultyDisk::new(seed);
    disk.short_writes(seed % 2 == 1);
    let lying = LyingDisk { disk: disk.clone(), lie };
    let mut client = Client { seed, ..Client::default() };
    for life in 0..LIVES {
        client.life = life;
        if random.chance(20) {
            disk.halt_after(1 + random.below(12));
            if Journal::open(lying.clone(), small_options(seed)).is_err() {
                client.cuts_in_recovery += 1;
            }
            client.cuts += 1;
            disk.power_cut(random.next_u64());
        }
        let (journal, recovery) = Journal::open(lying.clone(), small_options(seed)).map_err(|error| format!("open: {error}"))?;
        client.torn += u64::from(recovery.torn.is_some());
        client.check(&journal, &lying)?;
        if random.chance(85) {
            disk.halt_after(1 + random.below(80));
        }
        let operations = random.below(60);
        live(&mut client, &journal, &lying, &mut random, operations, ack);
        client.cuts += 1;
        drop(journal);
        disk.power_cut(random.next_u64());
    }
    let (journal, _) = Journal::open(lying.clone(), small_options(seed)).map_err(|error| format!("open: {error}"))?;
    client.check(&journal, &lying)?;
    Ok(client)
}

/// One life, up to its last operation or to the first that fails.
fn live(client: &mut Client, journal: &Journal<LyingDisk>, disk: &LyingDisk, random: &mut SplitMix64, operations: u64, ack: Ack) {
    let store = SnapshotStore::new(disk.clone());
    let Ok(mut writer) = journal.writer() else { return };
    for _ in 0..operations {
        match random.below(100) {
            0..50 => {
                let first = client.history.len() as u64;
                let longest = if random.chance(10) { 3_000 } else { 400 };
                let batch: Vec<Sent> = (0..1 + random.below(8))
                    .map(|next| Sent::new(client.seed, first + next, client.life, random.below(longest) as usize))
                    .collect();
                let records: Vec<Record<'_>> = batch.iter().map(Sent::record).collect();
                let mut positions = Vec::new();
                let appended = writer.append(&records, &mut positions);
                if appended.is_err() {
                    // A roll cut short may have left a part of them in the log.
                    let nowhere = batch.iter().map(|sent| (writer.position(), sent.clone()));
                    client.history.extend(nowhere);
                    return;
                }
                client.history.extend(positions.into_iter().zip(batch));
                if ack == Ack::BeforeSync {
                    client.acknowledged = client.history.len();
                }
            }
            50..85 => match writer.sync() {
                Ok(durable) => {
                    client.acknowledged_in_all += durable.records;
                    client.acknowledged = client.history.len();
                }
                Err(_) => return,
            },
            85..93 => {
                client.snapshot_sequence += 1;
                let sequence = client.snapshot_sequence;
                let id = SnapshotId { name: "state".into(), sequence };
                let state = state_of(client.seed, sequence);
                if store.write(id, journal.durable(), state.chunks(300)).is_err() {
                    return;
                }
                client.snapshot_acknowledged = sequence;
                client.snapshots += 1;
            }
            93..98 => {
                let Ok(floor) = store.purge_floor() else { return };
                let before = client.history.iter().filter(|(position, _)| *position < floor).count();
                client.purgeable = client.purgeable.max(before);
                match journal.purge(floor) {
                    Ok(purged) => client.purged_segments += (purged.recycled + purged.removed) as u64,
                    Err(_) => return,
                }
            }
            _ => {
                if writer.close().is_ok() {
                    client.acknowledged = client.history.len();
                }
                return;
            }
        }
    }
}

fn state_of(seed: u64, sequence: u64) -> Vec<u8> {
    let mut state = vec![0; 1_000];
    SplitMix64::new(seed ^ (sequence << 32)).fill(&mut state);
    state
}

impl Client {
    /// Compares what is there with what was acknowledged, then takes what is there for the history.
    fn check(&mut self, journal: &Journal<LyingDisk>, disk: &LyingDisk) -> Result<(), String> {
        let (records, holes) = read_all(journal, Position::START);
        if let Some(hole) = holes.first() {
            return Err(format!("a hole after a mere cut: {hole}"));
        }
        let first = match records.first() {
            Some((_, first)) => (first.index * 3 + u64::from(first.group)) as usize,
            None => self.acknowledged.min(self.purgeable),
        };
        if first > self.purgeable {
            return Err(format!("records {}..{first} are missing at the front", self.purgeable));
        }
        let end = first + records.len();
        if end < self.acknowledged {
            return Err(format!("records {end}..{} were acknowledged and are missing", self.acknowledged));
        }
        if end > self.history.len() {
            return Err(format!("{} records came back, {} were sent", end, self.history.len()));
        }
        for (at, (position, record)) in records.iter().enumerate() {
            let ordinal = first + at;
            if self.history[ordinal].1 != *record {
                return Err(format!("record {ordinal} at {position} came back changed, repeated or out of order"));
            }
        }
        self.unacknowledged_kept += (end - self.acknowledged) as u64;
        self.unacknowledged_lost += (self.history.len() - end) as u64;
        self.history.truncate(end);
        for (known, (position, _)) in self.history[first..].iter_mut().zip(&records) {
            known.0 = *position;
        }
        // Recovery made durable whatever it kept.
        self.acknowledged = end;
        self.check_snapshots(disk)
    }

    fn check_snapshots(&mut self, disk: &LyingDisk) -> Result<(), String> {
        let latest = SnapshotStore::new(disk.clone()).latest("state").map_err(|error| format!("snapshots: {error}"))?;
        if let Some(damaged) = latest.damaged.first() {
            return Err(format!("a damaged snapshot after a mere cut: {damaged}"));
        }
        let sequence = latest.snapshot.as_ref().map_or(0, |(info, _)| info.id.sequence);
        if sequence < self.snapshot_acknowledged {
            return Err(format!("snapshot {} was finished, {sequence} came back", self.snapshot_acknowledged));
        }
        if let Some((_, bytes)) = latest.snapshot
            && bytes != state_of(self.seed, sequence)
        {
            return Err(format!("snapshot {sequence} came back changed"));
        }
        self.snapshot_acknowledged = sequence;
        self.snapshot_sequence = sequence;
        Ok(())
    }
}

#[test]
fn no_acknowledged_record_is_missing_changed_or_repeated_after_any_cut() {
    let mut sum = Client::default();
    for seed in seeds(200, 2_000) {
        let client = run(seed, Lie::None, Ack::AfterSync).unwrap_or_else(|caught| panic!("seed {seed}: {caught}"));
        sum.cuts += client.cuts;
        sum.cuts_in_recovery += client.cuts_in_recovery;
        sum.torn += client.torn;
        sum.unacknowledged_kept += client.unacknowledged_kept;
        sum.unacknowledged_lost += client.unacknowledged_lost;
        sum.purged_segments += client.purged_segments;
        sum.snapshots += client.snapshots;
        sum.acknowledged_in_all += client.acknowledged_in_all;
    }
    println!(
        "power cuts {} (in recovery {}), records acknowledged {}, torn tails {}, unacknowledged records kept {} lost {}, \
         segments purged {}, snapshots {}",
        sum.cuts,
        sum.cuts_in_recovery,
        sum.acknowledged_in_all,
        sum.torn,
        sum.unacknowledged_kept,
        sum.unacknowledged_lost,
        sum.purged_segments,
        sum.snapshots
    );
    if std::env::var("TIDEGATE_SEED").is_err() {
        assert!(sum.cuts >= 1_000, "too few cuts: {}", sum.cuts);
        for (what, times) in [
            ("cut in recovery", sum.cuts_in_recovery),
            ("torn tail", sum.torn),
            ("unacknowledged kept", sum.unacknowledged_kept),
            ("unacknowledged lost", sum.unacknowledged_lost),
            ("purge", sum.purged_segments),
            ("snapshot", sum.snapshots),
        ] {
            assert!(times > 0, "never happened: {what}");
        }
    }
}

/// How many of 100 seeds catch a mutant.
fn caught(lie: Lie, ack: Ack) -> usize {
    let caught: Vec<String> = (0..100).filter_map(|seed| run(seed, lie, ack).err()).collect();
    let first = caught.first().map_or("", |first| first.lines().last().unwrap_or(""));
    println!("{lie:?}, {ack:?}: caught by {} of 100 seeds, first: {first}", caught.len());
    caught.len()
}

#[test]
fn a_writer_without_sync_is_caught() {
    assert!(caught(Lie::DataSync, Ack::AfterSync) > 0);
}

#[test]
fn a_batch_without_sync_is_caught() {
    assert!(caught(Lie::FrameSync, Ack::AfterSync) > 0);
}

#[test]
fn an_acknowledgement_before_the_sync_is_caught() {
    assert!(caught(Lie::None, Ack::BeforeSync) > 0);
}

#[test]
fn names_that_were_not_synced_are_caught() {
    assert!(caught(Lie::DirSync, Ack::AfterSync) > 0);
}

#[test]
fn a_torn_tail_that_is_not_zeroed_is_caught() {
    assert!(caught(Lie::Zeroes, Ack::AfterSync) > 0);
}

#[test]
fn the_same_seed_gives_the_same_story() {
    for seed in 0..5 {
        let one = run(seed, Lie::None, Ack::AfterSync).map(|client| format!("{client:?}"));
        let two = run(seed, Lie::None, Ack::AfterSync).map(|client| format!("{client:?}"));
        assert_eq!(one, two, "seed {seed}");
    }
}
