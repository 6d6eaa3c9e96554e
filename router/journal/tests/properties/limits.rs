//! Every limit: at it, one above, ten times above. A refusal names the limit and changes nothing.

use tidegate_journal::limits::{
    PAYLOAD_CEILING_BYTES, PAYLOAD_DEFAULT_BYTES, SEGMENT_CEILING_BYTES, SEGMENT_FLOOR_BYTES, SNAPSHOT_NAME_BYTES,
};
use tidegate_journal::{
    AppendError, FaultyDisk, Journal, OpenError, Options, Position, RealDisk, Record, SnapshotError, SnapshotId, SnapshotStore,
};

use crate::support::{read_all, small_options};

#[test]
fn payloads_up_to_the_default_limit() {
    let (journal, _) =
        Journal::open(FaultyDisk::new(1), Options { segment_bytes: 4 << 20, ..Options::default() }).expect("a journal");
    let mut writer = journal.writer().expect("the writer");
    let limit = PAYLOAD_DEFAULT_BYTES as usize;
    for (bytes, fits) in [(0, true), (limit, true), (limit + 1, false), (limit * 10, false)] {
        let payload = vec![7; bytes];
        match writer.append_one(Record { group: 1, index: 2, payload: &payload }) {
            Ok(_) => assert!(fits, "{bytes}"),
            Err(AppendError::TooLarge { bytes: told, limit: told_limit, group: 1, index: 2 }) => {
                assert!(!fits);
                assert_eq!((told, told_limit), (bytes, PAYLOAD_DEFAULT_BYTES));
            }
            Err(other) => panic!("{other}"),
        }
    }
    // One that is too large refuses its whole batch.
    let (small, large) = (vec![1; 10], vec![1; limit + 1]);
    let batch = [Record { group: 1, index: 3, payload: &small }, Record { group: 1, index: 4, payload: &large }];
    assert!(writer.append(&batch, &mut Vec::new()).is_err());
    writer.sync().expect("a sync");
    assert_eq!(read_all(&journal, Position::START).0.len(), 2);
}

#[test]
fn options_within_their_limits_only() {
    let open = |segment_bytes, max_payload_bytes| {
        Journal::open(FaultyDisk::new(1), Options { segment_bytes, max_payload_bytes, ..small_options(1) }).map(|_| ())
    };
    let refused = |result: Result<(), OpenError>, name: &str| match result {
        Err(OpenError::Option { option, .. }) => assert_eq!(option, name),
        other => panic!("{name}: {other:?}"),
    };
    open(SEGMENT_FLOOR_BYTES, 1_000).expect("the smallest segment");
    refused(open(SEGMENT_FLOOR_BYTES - 1, 1_000), "segment_bytes");
    refused(open(SEGMENT_FLOOR_BYTES / 10, 1_000), "segment_bytes");
    refused(open(SEGMENT_CEILING_BYTES + 1, 1_000), "segment_bytes");
    refused(open(u32::MAX, 1_000), "segment_bytes");
    let room = SEGMENT_FLOOR_BYTES - 4096 - 64;
    open(SEGMENT_FLOOR_BYTES, room).expect("the largest payload that a segment holds");
    refused(open(SEGMENT_FLOOR_BYTES, room + 1), "max_payload_bytes");
    refused(open(SEGMENT_FLOOR_BYTES, room * 10), "max_payload_bytes");
    refused(open(SEGMENT_FLOOR_BYTES, 0), "max_payload_bytes");
    open(20 << 20, PAYLOAD_CEILING_BYTES).expect("the ceiling of payloads");
    refused(open(20 << 20, PAYLOAD_CEILING_BYTES + 1), "max_payload_bytes");
}

/// The largest record that its segment can hold goes through a roll and comes back; a batch longer than the write buffer too.
#[test]
fn the_largest_record_and_the_longest_batch_come_back() {
    let room = SEGMENT_FLOOR_BYTES - 4096 - 64;
    let options = Options { max_payload_bytes: room, ..small_options(1) };
    let (journal, _) = Journal::open(FaultyDisk::new(1), options).expect("a journal");
    let mut writer = journal.writer().expect("the writer");
    let payload = vec![3; room as usize];
    for index in 0..3 {
        writer.append_one(Record { group: 0, index, payload: &payload }).expect("an append");
    }
    writer.sync().expect("a sync");
    assert_eq!(read_all(&journal, Position::START).0.len(), 3);

    let options = Options { segment_bytes: 32 << 20, ..Options::default() };
    let disk = FaultyDisk::new(1);
    let (journal, _) = Journal::open(disk.clone(), options.clone()).expect("a journal");
    let mut writer = journal.writer().expect("the writer");
    let payload = vec![3; 1 << 20];
    for index in 0..20 {
        writer.append_one(Record { group: 0, index, payload: &payload }).expect("an append");
        assert!(writer.pending_bytes() < 9 << 20, "{} bytes held", writer.pending_bytes());
    }
    writer.sync().expect("a sync");
    drop((writer, journal));
    disk.power_cut(1);
    let (journal, recovery) = Journal::open(disk, options).expect("the journal again");
    assert_eq!(recovery.torn, None);
    assert_eq!(read_all(&journal, Position::START).0.len(), 20);
}

#[test]
fn snapshot_names_within_their_limits_only() {
    let store = SnapshotStore::new(FaultyDisk::new(1));
    let write = |name: String| store.write(SnapshotId { name, sequence: 1 }, Position::START, [b"state"]).map(|_| ());
    write("a".repeat(SNAPSHOT_NAME_BYTES)).expect("the longest name");
    for name in [
        "a".repeat(SNAPSHOT_NAME_BYTES + 1),
        "a".repeat(10 * SNAPSHOT_NAME_BYTES),
        String::new(),
        "../a".into(),
        "A".into(),
        "a-b".into(),
    ] {
        assert!(matches!(write(name.clone()), Err(SnapshotError::Name { .. })), "{name}");
    }
}

#[test]
fn one_process_at_a_time_uses_a_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = RealDisk::open(directory.path()).expect("the directory");
    let error = RealDisk::open(directory.path()).expect_err("two at a time");
    assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy, "{error}");
    drop(disk);
    RealDisk::open(directory.path()).expect("the lock went with its holder");
}
