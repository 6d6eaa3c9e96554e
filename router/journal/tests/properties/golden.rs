//! Golden files: a journal and a snapshot written by format version 1 are read for ever, byte for byte.
//!
//! `tests/golden/v1` was written by [`make`]; a later version keeps reading it and, while the format stays, still writes the
//! same bytes. To make them again after a decision to change the format: `TIDEGATE_GOLDEN=write cargo test golden`, under a
//! new directory.

use std::fs;
use std::path::{Path, PathBuf};

use tidegate_journal::{Journal, OnDamage, Options, Position, RealDisk, SnapshotId, SnapshotStore};

use crate::support::{Sent, read_all, write};

const FILES: [&str; 4] = ["wal-00000001.seg", "wal-00000002.seg", "watermark", "snap-state-0000000000000003.snap"];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

fn options() -> Options {
    Options { segment_bytes: 16 << 10, max_payload_bytes: 4 << 10, salt: 0x7469_6465, ..Options::default() }
}

fn sent() -> Vec<Sent> {
    (0..90).map(|ordinal| Sent::new(11, ordinal, 0, (ordinal * 5) as usize % 301)).collect()
}

fn make(directory: &Path) {
    let disk = RealDisk::open(directory).expect("a directory");
    let (journal, _) = Journal::open(disk.clone(), options()).expect("a new journal");
    let mut writer = journal.writer().expect("the writer");
    for batch in sent().chunks(7) {
        write(&mut writer, batch);
    }
    let id = SnapshotId { name: "state".into(), sequence: 3 };
    SnapshotStore::new(disk).write(id, journal.durable(), [vec![9; 700]]).expect("a snapshot");
    writer.close().expect("a clean end");
}

#[test]
fn version_1_is_read() {
    if std::env::var("TIDEGATE_GOLDEN").is_ok_and(|value| value == "write") {
        let _absent = fs::remove_dir_all(golden());
        fs::create_dir_all(golden()).expect("a directory");
        make(&golden());
        fs::remove_file(golden().join("lock")).expect("the lock");
    }
    let copy = tempfile::tempdir().expect("a directory");
    for file in FILES {
        fs::copy(golden().join(file), copy.path().join(file)).expect("a golden file");
    }
    let disk = RealDisk::open(copy.path()).expect("the copy");
    let options = Options { on_damage: OnDamage::ReadOnly, ..options() };
    let (journal, recovery) = Journal::open(disk.clone(), options).expect("the golden journal");
    assert!(recovery.is_whole() && recovery.torn.is_none() && recovery.notes.is_empty(), "{recovery}");
    let read: Vec<Sent> = read_all(&journal, Position::START).0.into_iter().map(|(_, sent)| sent).collect();
    assert_eq!(read, sent());
    assert_eq!(recovery.watermark, recovery.end);
    let latest = SnapshotStore::new(disk).latest("state").expect("a look");
    let (info, bytes) = latest.snapshot.expect("the golden snapshot");
    assert_eq!((info.id.sequence, bytes), (3, vec![9; 700]));
    assert_eq!(info.position.segment, 2);
}

#[test]
fn version_1_is_still_what_is_written() {
    let fresh = tempfile::tempdir().expect("a directory");
    make(fresh.path());
    for file in FILES {
        let (ours, theirs) = (fs::read(fresh.path().join(file)), fs::read(golden().join(file)));
        assert!(ours.expect("a file") == theirs.expect("a golden file"), "{file} is not what version 1 wrote");
    }
}
