//! A disk that is full, fails, loses power or flips a bit: nothing that was answered is lost, nothing wrong is given out.

use super::{Hand, address, bytes, customer, get, limits, open, put, scaled, seed};
use tidegate_journal::{Disk, FaultyDisk};
use tidegate_model::file::BlobError;

#[test]
fn a_full_disk_is_said_and_keeps_nothing() {
    let (disk, hand) = (FaultyDisk::new(seed()), Hand::new());
    let (store, _) = open(disk.clone(), limits(), &hand);
    let first = bytes(1, 20_000);
    put(&store, customer(1), &first).expect("stored");
    let names = disk.list().expect("names");
    let (second, mut refused, mut room) = (bytes(2, 20_000), 0, 0);
    // Room for less than all of it, byte by byte near the end, where the record is written.
    let facts = loop {
        // The faulty disk counts removed files, too.
        disk.limit_bytes(Some(disk.used_bytes() + room));
        match put(&store, customer(1), &second) {
            Ok(facts) => break facts,
            Err(error) => assert_eq!(error, BlobError::DiskFull, "with room for {room}"),
        }
        refused += 1;
        disk.limit_bytes(None);
        assert_eq!(store.granted(customer(1), address(&second)), Err(BlobError::Unknown));
        let left: Vec<String> = disk.list().expect("names").into_iter().filter(|name| !names.contains(name)).collect();
        assert!(left.iter().all(|name| *name == address(&second).to_string()), "no temporary and no record: {left:?}");
        store.sweep(&super::none()).expect("swept");
        assert_eq!(disk.list().expect("names"), names, "nor the blob after a sweep");
        room += if room < 20_000 { 2_500 } else { 10 };
    };
    assert!(refused > 10);
    assert_eq!(get(&store, facts.hash).expect("stored in the end"), second);
    assert_eq!(get(&store, address(&first)).expect("untouched"), first);
    assert!(!store.has_failed(), "a full disk is not a broken one");
}

#[test]
fn after_a_failed_sync_nothing_is_taken_until_the_next_start() {
    // The blob's sync, the record's, the directory's.
    for failing in 1..=3 {
        let (disk, hand) = (FaultyDisk::new(seed() + failing), Hand::new());
        let (store, _) = open(disk.clone(), limits(), &hand);
        let first = bytes(1, 5_000);
        put(&store, customer(1), &first).expect("stored");
        disk.fail_sync(failing);
        assert_eq!(put(&store, customer(1), &bytes(2, 5_000)).map(drop), Err(BlobError::Failed), "sync {failing}");
        assert_eq!(store.granted(customer(1), address(&bytes(2, 5_000))), Err(BlobError::Unknown), "sync {failing}");
        assert_eq!(put(&store, customer(1), &bytes(3, 5_000)).map(drop), Err(BlobError::Failed), "nothing more");
        assert_eq!(get(&store, address(&first)).expect("reading goes on"), first);
        drop(store);
        disk.power_cut(failing);
        let (store, _) = open(disk, limits(), &hand);
        assert_eq!(get(&store, address(&first)).expect("it had been answered"), first);
        put(&store, customer(1), &bytes(3, 5_000)).expect("taken again");
    }
}

#[test]
fn a_power_cut_at_any_step_loses_nothing_that_was_answered_and_gives_nothing_wrong() {
    let mut kept = 0;
    for round in 0..scaled(300, 6_000) {
        let (disk, hand) = (FaultyDisk::new(seed().wrapping_mul(31) + round), Hand::new());
        disk.short_writes(round % 2 == 0);
        let (store, _) = open(disk.clone(), limits(), &hand);
        let first = bytes(1, 3_000);
        put(&store, customer(1), &first).expect("stored");
        // The second may be the first again: replacing a blob by an equal one must not lose it.
        let second = if round % 3 == 0 { first.clone() } else { bytes(round, 2_000 + (round % 7 * 700) as usize) };
        disk.halt_after(1 + round % 24);
        let answered = put(&store, customer(2), &second).is_ok();
        drop(store);
        disk.power_cut(round);
        let (store, _) = open(disk, limits(), &hand);
        assert_eq!(get(&store, address(&first)).expect("it had been answered"), first, "round {round}");
        store.granted(customer(1), address(&first)).expect("its record too");
        let granted = store.granted(customer(2), address(&second)).is_ok();
        assert!(granted || !answered, "round {round}: an answered file is gone");
        match get(&store, address(&second)) {
            Ok(back) => assert_eq!(back, second, "round {round}: wrong bytes"),
            Err(error) => assert!(!granted && error == BlobError::Unknown, "round {round}: {error:?} of a file with a record"),
        }
        kept += usize::from(granted);
    }
    assert!(kept > 20, "{kept}: some cuts come after the answer");
}

#[test]
fn a_flipped_bit_anywhere_is_damage_by_name_and_the_same_upload_mends_it() {
    let (disk, hand) = (FaultyDisk::new(seed()), Hand::new());
    let (store, _) = open(disk.clone(), limits(), &hand);
    let content = bytes(1, 70_000);
    let hash = put(&store, customer(1), &content).expect("stored").hash;
    for at in [0, 1, 511, 512, 65_535, 65_536, 69_999] {
        assert!(disk.flip_bit(&hash.to_string(), at, (at % 8) as u8));
        assert!(matches!(store.read(hash), Err(BlobError::Damaged)), "byte {at}");
        put(&store, customer(1), &content).expect("brought again");
        assert_eq!(get(&store, hash).expect("mended"), content);
    }
    // Damage after the check, while it is read: the last part does not come.
    let mut reading = store.read(hash).expect("checked");
    assert_eq!(reading.part().expect("the first part").len(), 65_536);
    assert!(disk.flip_bit(&hash.to_string(), 69_999, 0));
    assert_eq!(reading.part(), Err(BlobError::Damaged));
    // A record that is damaged grants nothing.
    let record = disk.list().expect("names").into_iter().find(|name| name.len() > 64).expect("a record");
    for at in 0..40 {
        assert!(disk.flip_bit(&record, at, 1));
        assert_eq!(store.granted(customer(1), hash), Err(BlobError::Damaged), "byte {at}");
        assert!(disk.flip_bit(&record, at, 1));
    }
    store.granted(customer(1), hash).expect("whole again");
}
