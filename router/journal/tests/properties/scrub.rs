//! The scrubber: goes over everything within its budgets, finds damage that nobody has read, and names it.

use tidegate_journal::{FaultyDisk, Journal, Position, SnapshotId, SnapshotStore};

use crate::support::{Sent, small_options, write};

#[test]
fn damage_is_found_within_a_round_in_small_steps() {
    let disk = FaultyDisk::new(1);
    let (journal, _) = Journal::open(disk.clone(), small_options(1)).expect("a new journal");
    let mut writer = journal.writer().expect("the writer");
    let sent: Vec<Sent> = (0..300).map(|ordinal| Sent::new(1, ordinal, 0, 200)).collect();
    let positions = write(&mut writer, &sent);
    let store = SnapshotStore::new(disk.clone());
    let id = SnapshotId { name: "state".into(), sequence: 1 };
    store.write(id.clone(), Position::START, [vec![5; 200_000]]).expect("a snapshot");

    let mut scrub = journal.scrub().with_snapshots(store);
    let mut round = |budget: u64| {
        let (mut holes, mut snapshots, mut bytes, mut steps) = (Vec::new(), Vec::new(), 0, 0);
        loop {
            let report = scrub.step(budget).expect("a disk that works");
            assert!(report.bytes < budget + (64 << 10) + 300, "{} bytes for {budget}", report.bytes);
            bytes += report.bytes;
            holes.extend(report.holes);
            snapshots.extend(report.snapshots);
            steps += 1;
            if report.round_ended {
                return (holes, snapshots, bytes, steps);
            }
        }
    };
    let (holes, snapshots, bytes, steps) = round(1_000);
    assert!(holes.is_empty() && snapshots.is_empty());
    assert!(bytes > 300 * 232 + 200_000 && steps > 60, "{bytes} bytes in {steps} steps");

    let at = positions[123];
    assert!(disk.flip_bit(&format!("wal-{:08x}.seg", at.segment), u64::from(at.offset) + 40, 1));
    assert!(disk.flip_bit(&id.file(), 150_000, 1));
    let (holes, snapshots, ..) = round(7_000);
    assert_eq!(holes.len(), 1);
    assert_eq!(holes[0].position, at);
    assert_eq!((holes[0].suspects[0].group, holes[0].suspects[0].first_index), (0, 41));
    assert_eq!(snapshots.len(), 1);
    assert_eq!(snapshots[0].id, id);
}

#[test]
fn a_purge_that_overtakes_the_scrubber_is_no_error() {
    let disk = FaultyDisk::new(1);
    let (journal, _) = Journal::open(disk, small_options(1)).expect("a new journal");
    let mut writer = journal.writer().expect("the writer");
    let sent: Vec<Sent> = (0..300).map(|ordinal| Sent::new(1, ordinal, 0, 200)).collect();
    write(&mut writer, &sent);
    let mut scrub = journal.scrub();
    scrub.step(2_000).expect("a step");
    journal.purge(writer.position()).expect("a purge");
    let mut ended = false;
    for _ in 0..100 {
        let report = scrub.step(2_000).expect("a step");
        assert_eq!(report.holes, []);
        ended |= report.round_ended;
    }
    assert!(ended);
}
