//! A full disk: a clear error, nothing acknowledged, the log readable; consistent when room returns, at once or after reopening.
//!
//! Runs over the faulty disk with a byte limit; a tmpfs of the real kind is for the process rig.

use tidegate_journal::{
    AppendError, Disk, FaultyDisk, Journal, OpenError, Position, Record, SnapshotError, SnapshotId, SnapshotStore,
};

use crate::support::{Sent, read_all, small_options, write};

#[test]
fn appends_stop_clearly_and_go_on_when_there_is_room() {
    let disk = FaultyDisk::new(1);
    disk.limit_bytes(Some(2 * (16 << 10) + 1024 + 100));
    let (journal, _) = Journal::open(disk.clone(), small_options(1)).expect("room for the first segment");
    let mut writer = journal.writer().expect("the writer");
    let mut sent = Vec::new();
    let full = loop {
        // Seven at a time: a batch that does not fit must leave nothing behind.
        let batch: Vec<Sent> = (0..7).map(|next| Sent::new(1, sent.len() as u64 + next, 0, 200)).collect();
        let records: Vec<Record<'_>> = batch.iter().map(Sent::record).collect();
        let mut positions = Vec::new();
        match writer.append(&records, &mut positions) {
            Ok(()) => {
                writer.sync().expect("a sync");
                sent.extend(batch);
            }
            Err(error) => {
                assert!(positions.is_empty());
                break error;
            }
        }
    };
    let AppendError::DiskFull { bytes, .. } = &full else { panic!("{full}") };
    assert_eq!(*bytes, 16 << 10);
    assert!(full.to_string().contains("disk is full"), "{full}");
    let contents = |journal: &Journal<FaultyDisk>| -> Vec<Sent> {
        read_all(journal, Position::START).0.into_iter().map(|(_, sent)| sent).collect()
    };
    assert_eq!(contents(&journal), sent, "the log is readable, and holds what was acknowledged");
    assert!(journal.poisoned().is_none(), "no byte was lost, so nothing is final");

    disk.limit_bytes(None);
    let more: Vec<Sent> = (0..7).map(|next| Sent::new(1, sent.len() as u64 + next, 1, 200)).collect();
    write(&mut writer, &more);
    sent.extend(more);
    assert_eq!(contents(&journal), sent);
    drop((writer, journal));
    disk.power_cut(3);
    let (journal, recovery) = Journal::open(disk, small_options(1)).expect("the journal again");
    assert!(recovery.is_whole());
    assert_eq!(contents(&journal), sent);
}

#[test]
fn reopening_a_full_disk_works_without_room() {
    let disk = FaultyDisk::new(1);
    let (journal, _) = Journal::open(disk.clone(), small_options(1)).expect("a new journal");
    let mut writer = journal.writer().expect("the writer");
    let sent: Vec<Sent> = (0..20).map(|ordinal| Sent::new(1, ordinal, 0, 100)).collect();
    write(&mut writer, &sent);
    drop((writer, journal));
    disk.limit_bytes(Some(disk.used_bytes()));
    disk.power_cut(1);
    let (journal, _) = Journal::open(disk, small_options(1)).expect("no room is needed to open");
    assert_eq!(read_all(&journal, Position::START).0.len(), 20);
}

#[test]
fn a_disk_without_room_for_one_segment_says_so() {
    let disk = FaultyDisk::new(1);
    disk.limit_bytes(Some(8 << 10));
    let Err(OpenError::Disk(fault)) = Journal::open(disk, small_options(1)) else { panic!("it opened") };
    assert!(fault.is_full(), "{fault}");
}

#[test]
fn a_snapshot_without_room_leaves_the_older_one() {
    let disk = FaultyDisk::new(1);
    let store = SnapshotStore::new(disk.clone());
    let id = |sequence| SnapshotId { name: "state".into(), sequence };
    store.write(id(1), Position::START, [[1; 500]]).expect("a snapshot");
    disk.limit_bytes(Some(disk.used_bytes() + 300));
    let Err(SnapshotError::Disk(fault)) = store.write(id(2), Position::START, [[2; 500]]) else { panic!("it fitted") };
    assert!(fault.is_full(), "{fault}");
    assert_eq!(disk.list().expect("names"), [id(1).file()], "the room of the unfinished one is given back");
    assert_eq!(store.latest("state").expect("a look").snapshot.expect("the older").0.id, id(1));
    disk.limit_bytes(None);
    store.write(id(2), Position::START, [[2; 500]]).expect("a snapshot once there is room");
}
