//! Snapshots: whole or absent, two kept, any flipped bit seen, the older one used, the purge held back for it.

use tidegate_journal::{Disk, FaultyDisk, Position, SnapshotError, SnapshotId, SnapshotStore};

use tidegate_journal::rng::SplitMix64;

fn id(sequence: u64) -> SnapshotId {
    SnapshotId { name: "tenant_1".into(), sequence }
}

fn state(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = vec![0; bytes];
    SplitMix64::new(seed).fill(&mut state);
    state
}

fn at(segment: u32) -> Position {
    Position { segment, offset: 4096 }
}

#[test]
fn what_is_written_is_read_whatever_the_chunks() {
    for bytes in [0, 1, 65_535, 65_536, 65_537, 3 * 65_536, 1_500_000] {
        for chunk in [1_000, 65_536, 4_000_000] {
            let store = SnapshotStore::new(FaultyDisk::new(1));
            let state = state(bytes, 7);
            let written = store.write(id(1), at(3), state.chunks(chunk)).expect("a snapshot");
            let (read, back) = store.latest("tenant_1").expect("a look").snapshot.expect("a snapshot");
            assert_eq!(written, read);
            assert_eq!((read.bytes, read.position), (bytes as u64, at(3)));
            assert!(back == state, "{bytes} in chunks of {chunk}");
        }
    }
}

#[test]
fn two_are_kept_and_the_log_is_held_for_the_older() {
    let store = SnapshotStore::new(FaultyDisk::new(1));
    assert_eq!(store.purge_floor().expect("a floor"), Position::START);
    for sequence in 1..=5 {
        store.write(id(sequence), at(sequence as u32 * 10), [state(100, sequence)]).expect("a snapshot");
        let floor = if sequence == 1 { Position::START } else { at((sequence as u32 - 1) * 10) };
        assert_eq!(store.purge_floor().expect("a floor"), floor);
    }
    assert_eq!(store.list().expect("a list"), [id(5), id(4)]);
    let stale = store.write(id(5), at(1), [b"x"]);
    assert!(matches!(stale, Err(SnapshotError::NotNewer { newest: 5, .. })));
    // Another tenant with one snapshot only may need the whole log.
    store.write(SnapshotId { name: "tenant_2".into(), sequence: 1 }, at(9), [b"x"]).expect("a snapshot");
    assert_eq!(store.purge_floor().expect("a floor"), Position::START);
}

#[test]
fn every_flipped_bit_is_named_and_the_older_one_used() {
    let disk = FaultyDisk::new(1);
    let store = SnapshotStore::new(disk.clone());
    store.write(id(1), at(1), [state(70_000, 1)]).expect("a snapshot");
    store.write(id(2), at(2), [state(70_000, 2)]).expect("a snapshot");
    let length = 128 + 2 * 8 + 70_000 + 32;
    let mut random = SplitMix64::new(3);
    let picked = (0..128 + 16).chain(length - 32..length).chain((0..200).map(|_| random.below(length)));
    for byte in picked.collect::<Vec<u64>>() {
        let bit = (byte % 8) as u8;
        assert!(disk.flip_bit(&id(2).file(), byte, bit));
        let latest = store.latest("tenant_1").expect("a look");
        assert_eq!(latest.damaged.len(), 1, "byte {byte}");
        assert_eq!(latest.damaged[0].id, id(2));
        let (info, back) = latest.snapshot.expect("the older");
        assert_eq!(info.id, id(1));
        assert!(back == state(70_000, 1));
        assert!(disk.flip_bit(&id(2).file(), byte, bit));
    }
    assert!(store.latest("tenant_1").expect("a look").damaged.is_empty());
}

#[test]
fn a_snapshot_under_another_name_is_no_snapshot() {
    let disk = FaultyDisk::new(1);
    let store = SnapshotStore::new(disk.clone());
    store.write(id(1), at(1), [b"state"]).expect("a snapshot");
    disk.rename(&id(1).file(), &id(7).file()).expect("a rename");
    let latest = store.latest("tenant_1").expect("a look");
    assert!(latest.snapshot.is_none());
    assert_eq!(latest.damaged[0].id, id(7));
    assert!(matches!(store.load(&id(3)), Err(SnapshotError::Missing { .. })));
    store.remove(&id(7)).expect("a removal");
    assert!(store.list().expect("a list").is_empty());
}
