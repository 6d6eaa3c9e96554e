//! Limits of the store: each at it, one above, ten times above; and room that is set aside comes back.

use super::{HOUR, Hand, bytes, customer, limits, open, put};
use tidegate_journal::FaultyDisk;
use tidegate_model::file::{BlobError, FileOwner};
use tidegate_model::ids::TenantId;
use tidegate_model::time::Millis;
use tidegate_router::blobs::BlobLimits;

/// What a file of one block is charged: the block and its record's.
const SMALL: u64 = 8_192;

#[test]
fn the_largest_file() {
    let hand = Hand::new();
    let (store, _) = open(FaultyDisk::new(1), limits(), &hand);
    let largest = limits().file_bytes;
    put(&store, customer(1), &bytes(1, largest as usize)).expect("at the limit");
    for length in [largest + 1, largest * 10] {
        let refused = store.begin(customer(1), Some(length)).map(|_| ());
        assert_eq!(refused, Err(BlobError::TooBig { limit: largest }), "announced {length}");
        // And when nothing was announced.
        let mut upload = store.begin(customer(1), None).expect("begun");
        let whole = bytes(2, length as usize);
        let result = whole.chunks(10_000).try_for_each(|part| upload.write(part));
        assert_eq!(result, Err(BlobError::TooBig { limit: largest }), "came {length}");
    }
    let mut upload = store.begin(customer(1), None).expect("begun");
    bytes(3, largest as usize).chunks(10_000).try_for_each(|part| upload.write(part)).expect("at the limit");
    upload.finish("image/png".into(), "a.png".into()).expect("at the limit");
}

#[test]
fn the_length_that_was_announced() {
    let hand = Hand::new();
    let (store, _) = open(FaultyDisk::new(1), limits(), &hand);
    assert!(matches!(store.begin(customer(1), Some(0)).map(|_| ()), Err(BlobError::Invalid { .. })));
    for (announced, came) in [(10, 9), (10, 11), (10, 100), (10, 0)] {
        let mut upload = store.begin(customer(1), Some(announced)).expect("begun");
        let written = upload.write(&bytes(1, came));
        let result = written.and_then(|()| upload.finish("image/png".into(), "a.png".into()).map(drop));
        assert!(matches!(result, Err(BlobError::Invalid { .. })), "{announced} announced, {came} came: {result:?}");
    }
    let empty = store.begin(customer(1), None).expect("begun").finish("image/png".into(), "a.png".into());
    assert!(matches!(empty, Err(BlobError::Invalid { .. })), "an empty file");
    for (media_type, name) in [("image", "a.png"), ("image/png", ""), ("image/png", "../a"), ("image/png", "a\u{202e}b")] {
        let mut upload = store.begin(customer(1), None).expect("begun");
        upload.write(b"x").expect("written");
        let result = upload.finish(media_type.into(), name.into());
        assert!(matches!(result, Err(BlobError::Invalid { .. })), "{media_type} {name}");
    }
    assert_eq!(store.size(), (0, 0), "nothing was kept, nothing is set aside");
}

#[test]
fn the_room_of_a_tenant() {
    let (disk, hand) = (FaultyDisk::new(1), Hand::new());
    let tenant = BlobLimits { tenant_bytes: 4 * SMALL, ..limits() };
    let full = Err(BlobError::TenantFull { limit: 4 * SMALL });
    let (store, _) = open(disk.clone(), tenant, &hand);
    for i in 0..4 {
        put(&store, customer(i), &bytes(i as u64, 4_096)).expect("up to the limit");
    }
    for length in [1, 40_960] {
        assert_eq!(put(&store, customer(9), &bytes(9, length)).map(drop), full, "{length} above");
    }
    // Another tenant has its own; a restart changes nothing.
    put(&store, FileOwner { tenant: TenantId(2), ..customer(9) }, &bytes(9, 1)).expect("another tenant's");
    drop(store);
    let (store, opened) = open(disk, tenant, &hand);
    assert_eq!(opened.records, 5);
    assert_eq!(put(&store, customer(9), &bytes(9, 1)).map(drop), full);
}

#[test]
fn what_is_set_aside_counts_until_it_is_settled() {
    let hand = Hand::new();
    let tenant = BlobLimits { tenant_bytes: 4 * SMALL, ..limits() };
    let (store, _) = open(FaultyDisk::new(1), tenant, &hand);
    let held: Vec<_> = (0..4).map(|i| store.begin(customer(i), Some(4_096)).expect("room")).collect();
    let refused = store.begin(customer(9), Some(1)).map(|_| ());
    assert_eq!(refused, Err(BlobError::TenantFull { limit: 4 * SMALL }), "side by side they cannot pass it together");
    drop(held);
    assert_eq!(store.size(), (0, 0));
    // Less came than could have: the rest comes back.
    let (store, _) = open(FaultyDisk::new(1), BlobLimits { tenant_bytes: 106_496 + SMALL, ..limits() }, &hand);
    let mut upload = store.begin(customer(1), None).expect("the largest is set aside");
    upload.write(b"x").expect("written");
    assert_eq!(store.size().1, 106_496);
    upload.finish("text/plain".into(), "a".into()).expect("stored");
    assert_eq!(store.size(), (1, SMALL));
}

#[test]
fn the_hour_of_a_conversation_slides() {
    let (disk, hand) = (FaultyDisk::new(1), Hand::new());
    let hourly = BlobLimits { conversation_bytes_per_hour: 3 * SMALL, ..limits() };
    let (store, _) = open(disk.clone(), hourly, &hand);
    let too_much = |ms| Err(BlobError::TooMuch { limit: 3 * SMALL, retry_after: Millis(ms) });
    for i in 0..3 {
        put(&store, customer(1), &bytes(i, 100)).expect("up to the limit");
        hand.pass(HOUR / 4);
    }
    assert_eq!(put(&store, customer(1), &bytes(5, 1)).map(drop), too_much(HOUR / 4), "one above");
    assert_eq!(put(&store, customer(1), &bytes(5, 81_920)).map(drop), too_much(HOUR / 4), "ten times above");
    put(&store, customer(2), &bytes(5, 1)).expect("another conversation has its own");
    // Counted across a restart, and to the millisecond.
    drop(store);
    let (store, _) = open(disk, hourly, &hand);
    hand.pass(HOUR / 4 - 1);
    assert_eq!(put(&store, customer(1), &bytes(5, 1)).map(drop), too_much(1));
    hand.pass(1);
    put(&store, customer(1), &bytes(5, 1)).expect("the oldest is an hour old");
    assert_eq!(put(&store, customer(1), &bytes(6, 1)).map(drop), too_much(HOUR / 4));
    // What was refused or dropped does not count.
    hand.pass(HOUR / 4);
    for _ in 0..10 {
        drop(store.begin(customer(1), Some(1)).expect("begun"));
    }
    put(&store, customer(1), &bytes(6, 1)).expect("still room");
}
