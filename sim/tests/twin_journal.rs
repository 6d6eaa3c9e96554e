//! A stopped node's journal directory replayed from scratch: equal to the run that wrote it, damage named, nothing changed.
//!
//! The journal is the real one on a real directory, written as a single node writes it: one group, the entry's sequence as the
//! index, a sync a batch.

mod parity_kit;

use parity_kit::{live, nightly};
use std::collections::BTreeMap;
use std::path::Path;
use tidegate_journal::{FaultyDisk, Journal, Options, Position, RealDisk, Record};
use tidegate_sim::twin::journal::{GROUP, ReplayDirError, replay_dir, replay_disk};
use tidegate_sim::twin::{EntryLog, Keep, Replay, Unreadable};

fn options() -> Options {
    Options { segment_bytes: 1 << 20, max_payload_bytes: 1 << 18, salt: 7, ..Options::default() }
}

fn write<D: tidegate_journal::Disk>(disk: D, log: &EntryLog) -> Journal<D> {
    let (journal, _) = Journal::open(disk, options()).expect("a fresh journal");
    let mut writer = journal.writer().expect("the one writer");
    let mut positions = Vec::new();
    let entries: Vec<&[u8]> = log.iter().collect();
    for (batch, first) in entries.chunks(64).zip((1..).step_by(64)) {
        let records: Vec<Record<'_>> =
            batch.iter().zip(first..).map(|(payload, index)| Record { group: GROUP, index, payload }).collect();
        writer.append(&records, &mut positions).expect("room");
        writer.sync().expect("a sound disk");
    }
    writer.close().expect("a sound disk");
    journal
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |entry: std::fs::DirEntry| {
        (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("readable"))
    };
    std::fs::read_dir(directory).expect("a directory").map(|entry| read(entry.expect("an entry"))).collect()
}

#[test]
fn a_stopped_node_s_directory_replays_to_what_it_decided() {
    let live = live(nightly(10_000, 200_000));
    let directory = tempfile::tempdir().expect("a temporary directory");
    drop(write(RealDisk::open(directory.path()).expect("a lock"), &live.log));
    let before = files(directory.path());
    let report = replay_dir(directory.path(), Keep::Everything).expect("a sound journal");
    assert!(report.is_whole(), "{:?}", report.unreadable);
    assert_eq!(report, Replay::run(Keep::Everything, live.log.iter()));
    for (id, lived) in &live.seen {
        assert_eq!((report.tenants[id].digests, report.tenants[id].full_digest), (lived.digests, lived.full_digest));
        assert_eq!(report.tenants[id].decisions.as_ref(), live.decisions.get(id));
    }
    assert!(before == files(directory.path()), "replaying changed a file");
}

#[test]
fn a_directory_that_is_not_there_or_in_use_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let missing = directory.path().join("nowhere");
    let error = replay_dir(&missing, Keep::Contacts).expect_err("nothing is there");
    assert!(matches!(error, ReplayDirError::NotThere { .. }) && error.to_string().contains("nowhere"), "{error}");
    assert!(!missing.exists(), "looking made a directory");
    let _running = RealDisk::open(directory.path()).expect("a lock");
    let error = replay_dir(directory.path(), Keep::Contacts).expect_err("a node runs there");
    assert!(matches!(error, ReplayDirError::Directory { .. }) && error.to_string().contains("stop the node"), "{error}");
}

#[test]
fn damage_is_a_named_hole_and_never_parity() {
    let live = live(2_000);
    let disk = FaultyDisk::new(3);
    let journal = write(disk.clone(), &live.log);
    let mut scan = journal.scan(Position::START);
    let mut middle = None;
    while let Some(step) = scan.step().expect("sound") {
        if let tidegate_journal::ScanStep::Entry(entry) = step
            && entry.index == 1_200
        {
            middle = Some(entry.position);
        }
    }
    let middle = middle.expect("the entry is there");
    let name =
        tidegate_journal::Hole { position: middle, bytes: 0, cause: tidegate_journal::HoleCause::FrameBody, suspects: Vec::new() }
            .file();
    drop((scan, journal));
    assert!(disk.flip_bit(&name, u64::from(middle.offset) + 60, 3), "no such byte");
    let report = replay_disk(disk, Keep::DecisionDigests).expect("damage is no error");
    let names: Vec<String> = report.unreadable.iter().map(ToString::to_string).collect();
    assert!(!report.is_whole() && names[0].contains(&name) && names[0].contains("index 1200"), "{names:?}");
    assert!(report.unreadable.iter().any(|found| matches!(found, Unreadable::Missing { .. })), "{names:?}");
    assert_eq!(report.entries, live.log.len() as u64 - 1);
    assert!(live.seen.iter().any(|(id, lived)| lived.digests != report.tenants[id].digests));
}

#[test]
fn a_journal_whose_beginning_was_given_back_cannot_be_replayed_from_scratch() {
    let live = live(16_000);
    let disk = FaultyDisk::new(4);
    let journal = write(disk.clone(), &live.log);
    let keep = journal.durable();
    assert!(keep.segment > 1, "one segment only");
    journal.purge(keep).expect("purged");
    drop(journal);
    let error = replay_disk(disk, Keep::DecisionDigests).expect_err("entry 1 is gone");
    assert!(matches!(error, ReplayDirError::Purged { first } if first.0 > 1), "{error}");
}
