//! Snapshots while the node serves: made from the log beside the deciding thread, held against it, and never in its way.
//!
//! Sources: issue A (snapshots must not stop a decision; restore-then-continue equals continue), DESIGN §7. The disk here can
//! hold the keeper's thread at a gate, or fail it; a guard that behaves otherwise on that thread plants a replay that leaves
//! an input out.

use crate::support::{Driver, Hand, Kept, TENANT, bootstrap, config, log_of, push, replay, seed, settled};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use tidegate_core::Guard;
use tidegate_core::rig::RigConfig;
use tidegate_journal::{Disk, DiskFile, FaultyDisk};
use tidegate_router::cell::{Cell, CellConfig, CellHandle, Machines, NoSink, Retain, Stage};

fn on_keeper() -> bool {
    std::thread::current().name() == Some("cell-keeper")
}

/// What happens to the keeper at the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Door {
    Open,
    /// Whoever reads waits.
    Closed,
    /// Files cannot be made.
    NoCreate,
    /// Nothing can be read.
    NoRead,
}

#[derive(Clone)]
struct Gated {
    disk: FaultyDisk,
    gate: Arc<(Mutex<(Door, u64)>, Condvar)>,
}

struct GatedFile {
    file: <FaultyDisk as Disk>::File,
    disk: Gated,
}

impl Gated {
    fn new() -> Self {
        Self { disk: FaultyDisk::new(1), gate: Arc::new((Mutex::new((Door::Open, 0)), Condvar::new())) }
    }

    fn set(&self, door: Door) {
        self.gate.0.lock().unwrap().0 = door;
        self.gate.1.notify_all();
    }

    /// Blocks until the keeper stands at the closed door.
    fn await_keeper(&self) {
        let mut state = self.gate.0.lock().unwrap();
        while state.1 == 0 {
            state = self.gate.1.wait(state).unwrap();
        }
    }

    fn pass(&self, reading: bool) -> io::Result<()> {
        if !on_keeper() {
            return Ok(());
        }
        let mut state = self.gate.0.lock().unwrap();
        state.1 += 1;
        self.gate.1.notify_all();
        while reading && state.0 == Door::Closed {
            state = self.gate.1.wait(state).unwrap();
        }
        state.1 -= 1;
        match state.0 {
            Door::NoRead if reading => Err(io::Error::other("the gate gives nothing to read")),
            Door::NoCreate if !reading => Err(io::Error::other("the gate lets no file be made")),
            _ => Ok(()),
        }
    }
}

impl Disk for Gated {
    type File = GatedFile;
    fn create(&self, name: &str) -> io::Result<GatedFile> {
        self.pass(false)?;
        Ok(GatedFile { file: self.disk.create(name)?, disk: self.clone() })
    }
    fn open(&self, name: &str) -> io::Result<GatedFile> {
        Ok(GatedFile { file: self.disk.open(name)?, disk: self.clone() })
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
        self.disk.sync_dir()
    }
}

impl DiskFile for GatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.pass(true)?;
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
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

/// Snapshots come when they are asked for and not otherwise.
fn asked_for(hand: &Arc<Hand>) -> CellConfig {
    CellConfig { snapshot_entries: 1 << 30, segment_bytes: 128 << 10, hash_every: 64, retain: Retain::All, ..config(hand) }
}

/// Asks for a snapshot and waits until one that holds everything applied before is there, or one more failure is told.
fn snapshot(cell: &CellHandle) -> bool {
    let before = cell.status();
    cell.request_snapshot();
    loop {
        let status = cell.status();
        if status.snapshot >= before.applied || status.snapshot_failures > before.snapshot_failures {
            return status.snapshot >= before.applied;
        }
        std::thread::yield_now();
    }
}

fn pauses(cell: &CellHandle) -> u64 {
    cell.stages().of(Stage::SnapshotPause).unwrap().len()
}

#[test]
fn decisions_go_on_while_a_snapshot_is_made() {
    let (disk, hand, kept) = (Gated::new(), Arc::new(Hand::default()), Kept::new(1));
    let (cell, _) = Cell::start(asked_for(&hand), disk.clone(), Box::new(kept.clone())).unwrap();
    bootstrap(&cell, TENANT);
    let mut driver = Driver::new(RigConfig::small(seed(90)), 0, 0, &kept);
    driver.run(&cell, &hand, 500).unwrap();
    disk.set(Door::Closed);
    let wanted = cell.status().applied;
    cell.request_snapshot();
    disk.await_keeper();
    // The keeper stands in the middle of it and will not move: everything is decided and answered all the same.
    let from = cell.status().applied;
    for _ in 0..1_500 {
        push(&cell, &driver.next(&hand), true).unwrap();
    }
    let status = cell.status();
    assert!(status.applied.0 >= from.0 + 1_500 && status.snapshot.0 == 0, "{status:?}");
    disk.set(Door::Open);
    while cell.status().snapshot < wanted {
        std::thread::yield_now();
    }
    assert!(snapshot(&cell), "{:?}", cell.status());
    assert_eq!(pauses(&cell), 0, "the deciding thread never serialised anything");
    assert_eq!(cell.status().snapshot_failures, 0);
    driver.run(&cell, &hand, 50).unwrap();
    cell.drain().unwrap();
    assert_eq!(pauses(&cell), 1, "the drain's own");
}

#[test]
fn a_restart_from_a_snapshot_made_from_the_log_stands_where_the_log_stands() {
    let (disk, hand, kept) = (FaultyDisk::new(1), Arc::new(Hand::default()), Kept::new(1));
    let (cell, _) = Cell::start(asked_for(&hand), disk.clone(), Box::new(kept.clone())).unwrap();
    bootstrap(&cell, TENANT);
    let mut driver = Driver::new(RigConfig::small(seed(91)), 0, 0, &kept);
    let mut newest = 0;
    for _ in 0..3 {
        driver.run(&cell, &hand, 700).unwrap();
        assert!(snapshot(&cell), "{:?}", cell.status());
        newest = cell.status().snapshot.0;
    }
    driver.run(&cell, &hand, 300).unwrap();
    // As a kill leaves it: a copy of the disk without the drain's snapshot is not to be had, so its file is taken away.
    let drained = cell.drain().unwrap();
    drop(cell);
    assert!(drained.snapshot.0 > newest);
    let mut files: Vec<String> = disk.list().unwrap().into_iter().filter(|name| name.ends_with(".snap")).collect();
    files.sort();
    disk.remove(&files[files.len() - 1]).unwrap();
    let log = log_of(disk.clone());
    let (cell, report) = Cell::start(asked_for(&hand), disk.clone(), Box::new(NoSink)).unwrap();
    assert_eq!((report.snapshot.map(|seq| seq.0), report.last.0), (Some(newest), log.len() as u64));
    let (digest, at) = settled(&cell, TENANT);
    drop(cell.drain());
    let log = log_of(disk);
    assert_eq!(replay(&log[..at.0 as usize]).get(TENANT).unwrap().full_digest(), digest);
}

/// Plans that the keeper's replay still makes before it leaves some out.
static LEFT_OUT: AtomicU64 = AtomicU64::new(u64::MAX);

/// A replay for a snapshot that leaves out what twenty plans in a row decided (one alone may have decided nothing).
fn forgetful(plan: &mut dyn FnMut()) -> bool {
    if on_keeper() && (1..=20).contains(&LEFT_OUT.fetch_sub(1, Ordering::SeqCst)) {
        return true;
    }
    (Machines::guard().0)(plan)
}

#[test]
fn a_replay_that_leaves_an_entry_out_is_caught_and_nothing_is_written() {
    let (disk, hand, kept) = (FaultyDisk::new(1), Arc::new(Hand::default()), Kept::new(1));
    let config = CellConfig { guard: Guard(forgetful), ..asked_for(&hand) };
    let (cell, _) = Cell::start(config, disk.clone(), Box::new(kept.clone())).unwrap();
    bootstrap(&cell, TENANT);
    let mut driver = Driver::new(RigConfig::small(seed(92)), 0, 0, &kept);
    driver.run(&cell, &hand, 1_000).unwrap();
    assert!(snapshot(&cell), "nothing is left out yet: {:?}", cell.status());
    let good = cell.status().snapshot;
    driver.run(&cell, &hand, 1_000).unwrap();
    LEFT_OUT.store(300, Ordering::SeqCst);
    assert!(!snapshot(&cell), "a wrong snapshot was written");
    LEFT_OUT.store(u64::MAX, Ordering::SeqCst);
    let status = cell.status();
    assert_eq!((status.snapshot, status.snapshot_differences, status.snapshot_failures), (good, 1, 1));
    assert!(status.snapshot_failure.as_deref().is_some_and(|why| why.contains("does not agree")), "{status:?}");
    // The next replay leaves nothing out.
    assert!(snapshot(&cell), "{:?}", cell.status());
    cell.drain().unwrap();
}

#[test]
fn a_disk_that_fails_the_keeper_is_told_and_harms_nothing_else() {
    let (disk, hand, kept) = (Gated::new(), Arc::new(Hand::default()), Kept::new(1));
    let (cell, _) = Cell::start(asked_for(&hand), disk.clone(), Box::new(kept.clone())).unwrap();
    bootstrap(&cell, TENANT);
    let mut driver = Driver::new(RigConfig::small(seed(93)), 0, 0, &kept);
    for (failures, door) in [(1, Door::NoRead), (2, Door::NoCreate)] {
        driver.run(&cell, &hand, 200).unwrap();
        disk.set(door);
        assert!(!snapshot(&cell));
        let status = cell.status();
        assert_eq!((status.snapshot_failures, status.snapshot_differences), (failures, 0), "{status:?}");
        assert!(status.snapshot_failure.as_deref().is_some_and(|why| why.contains("the gate")), "{status:?}");
        driver.run(&cell, &hand, 200).unwrap();
        disk.set(Door::Open);
        assert!(snapshot(&cell), "{:?}", cell.status());
    }
    cell.drain().unwrap();
}

#[test]
fn a_drain_does_not_wait_for_a_snapshot_that_is_under_way() {
    let (disk, hand, kept) = (Gated::new(), Arc::new(Hand::default()), Kept::new(1));
    let (cell, _) = Cell::start(asked_for(&hand), disk.clone(), Box::new(kept.clone())).unwrap();
    bootstrap(&cell, TENANT);
    // More than the keeper replays between two looks at whether to go on.
    Driver::new(RigConfig::small(seed(94)), 0, 0, &kept).run(&cell, &hand, 4_000).unwrap();
    disk.set(Door::Closed);
    cell.request_snapshot();
    disk.await_keeper();
    let draining = std::thread::spawn({
        let cell = cell.clone();
        move || cell.drain()
    });
    while cell.intake() != tidegate_router::cell::Intake::Closed {
        std::thread::yield_now();
    }
    disk.set(Door::Open);
    let drained = draining.join().unwrap().unwrap();
    assert_eq!(drained.snapshot, drained.last);
    assert_eq!((pauses(&cell), cell.status().snapshot_failures), (1, 0));
    drop(cell);
    let snapshots = disk.list().unwrap().into_iter().filter(|name| name.ends_with(".snap")).count();
    assert_eq!(snapshots, 1, "the one that was under way was given up");
    let (cell, report) = Cell::start(asked_for(&hand), disk, Box::new(NoSink)).unwrap();
    assert_eq!((report.snapshot, report.replayed), (Some(drained.last), 0));
    cell.drain().unwrap();
}

/// The newest kept snapshot is damaged while the node serves: the one before is rolled on, the damage told, and the damaged
/// file no longer counts as one of the two that let the log go.
#[test]
fn a_damaged_newest_snapshot_is_rolled_over_from_the_one_before() {
    let (disk, hand, kept) = (FaultyDisk::new(1), Arc::new(Hand::default()), Kept::new(1));
    let (cell, _) = Cell::start(asked_for(&hand), disk.clone(), Box::new(kept.clone())).unwrap();
    bootstrap(&cell, TENANT);
    let mut driver = Driver::new(RigConfig::small(seed(95)), 0, 0, &kept);
    for _ in 0..2 {
        driver.run(&cell, &hand, 400).unwrap();
        assert!(snapshot(&cell));
    }
    let files = |disk: &FaultyDisk| {
        let mut names: Vec<String> = disk.list().unwrap().into_iter().filter(|name| name.ends_with(".snap")).collect();
        names.sort();
        names
    };
    let before = files(&disk);
    assert!(disk.flip_bit(&before[1], 3_000, 2));
    driver.run(&cell, &hand, 400).unwrap();
    let wanted = cell.status().applied;
    cell.request_snapshot();
    while cell.status().snapshot < wanted {
        std::thread::yield_now();
    }
    let status = cell.status();
    assert!(status.snapshot_failures == 1 && status.snapshot_differences == 0, "{status:?}");
    assert!(status.snapshot_failure.as_deref().is_some_and(|why| why.contains(&before[1])), "{status:?}");
    let after = files(&disk);
    assert!(after.len() == 2 && after[0] == before[0] && after[1] > before[1], "{before:?}, then {after:?}");
    cell.drain().unwrap();
}

/// Memory written ahead is a node's own matter: the same log, whoever has it, and budgets that end anywhere.
#[test]
fn memory_written_ahead_changes_nothing_in_a_cell() {
    let (disk, hand, kept) = (FaultyDisk::new(1), Arc::new(Hand::default()), Kept::new(1));
    let ahead = |bytes| CellConfig { prefault_bytes: bytes, ..asked_for(&hand) };
    let (cell, _) = Cell::start(ahead(1 << 30), disk.clone(), Box::new(kept.clone())).unwrap();
    bootstrap(&cell, TENANT);
    let mut driver = Driver::new(RigConfig::small(seed(96)), 0, 0, &kept);
    driver.run(&cell, &hand, 500).unwrap();
    assert!(snapshot(&cell), "a replay without memory written ahead agrees: {:?}", cell.status());
    cell.drain().unwrap();
    drop(cell);
    for bytes in [0, 1, 300_000] {
        let (cell, _) = Cell::start(ahead(bytes), disk.clone(), Box::new(NoSink)).unwrap();
        let (digest, at) = settled(&cell, TENANT);
        cell.drain().unwrap();
        drop(cell);
        assert_eq!(replay(&log_of(disk.clone())[..at.0 as usize]).get(TENANT).unwrap().full_digest(), digest);
    }
    assert!(
        Cell::start(ahead(1 << 41), FaultyDisk::new(1), Box::new(NoSink)).is_err_and(|e| e.to_string().contains("prefault_bytes"))
    );
}
