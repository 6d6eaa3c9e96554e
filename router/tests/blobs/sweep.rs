//! What nobody needs goes, after its grace time; what a transcript names stays.

use super::{HOUR, Hand, TENANT, address, bytes, customer, get, limits, none, open, put};
use std::collections::BTreeSet;
use tidegate_journal::{Disk, DiskFile, FaultyDisk};
use tidegate_model::file::BlobError;
use tidegate_model::ids::ConversationId;
use tidegate_router::blobs::Swept;

#[test]
fn unreferenced_files_go_after_their_grace_time_and_use_renews_it() {
    let (disk, hand) = (FaultyDisk::new(1), Hand::new());
    let (store, _) = open(disk.clone(), limits(), &hand);
    let contents: Vec<Vec<u8>> = (0..3).map(|i| bytes(i, 5_000)).collect();
    let hashes: Vec<_> = contents.iter().map(|content| address(content)).collect();
    for content in &contents {
        put(&store, customer(1), content).expect("stored");
    }
    // The second is brought for another conversation, too, whose transcript names it.
    put(&store, customer(2), &contents[1]).expect("stored");
    let referenced = BTreeSet::from([(TENANT, ConversationId(2), hashes[1])]);
    hand.pass(24 * HOUR - 1);
    assert_eq!(store.sweep(&referenced).expect("swept"), Swept::default(), "within its grace time");
    store.granted(customer(1), hashes[2]).expect("used");
    hand.pass(1);
    assert_eq!(store.sweep(&referenced).expect("swept"), Swept { records: 2, blobs: 1 });
    assert!(matches!(get(&store, hashes[0]), Err(BlobError::Unknown)));
    assert_eq!(store.granted(customer(1), hashes[1]), Err(BlobError::Unknown), "its record went");
    assert_eq!(get(&store, hashes[1]).expect("but its bytes did not"), contents[1]);
    assert_eq!(get(&store, hashes[2]).expect("used a moment ago"), contents[2]);
    assert_eq!(store.size().0, 2);
    // The transcript forgets.
    hand.pass(24 * HOUR);
    assert_eq!(store.sweep(&none()).expect("swept"), Swept { records: 2, blobs: 2 });
    assert_eq!(store.size(), (0, 0));
    assert_eq!(disk.list().expect("names"), Vec::<String>::new());
}

#[test]
fn a_blob_that_a_transcript_names_outlives_its_lost_record() {
    let (disk, hand) = (FaultyDisk::new(1), Hand::new());
    let (store, _) = open(disk.clone(), limits(), &hand);
    let content = bytes(1, 5_000);
    let hash = put(&store, customer(1), &content).expect("stored").hash;
    drop(store);
    let record = disk.list().expect("names").into_iter().find(|name| name.len() > 64).expect("a record");
    assert!(disk.flip_bit(&record, 20, 3));
    let (store, opened) = open(disk.clone(), limits(), &hand);
    assert_eq!((opened.records, opened.broken), (0, 1));
    let referenced = BTreeSet::from([(TENANT, ConversationId(1), hash)]);
    store.sweep(&referenced).expect("swept");
    assert_eq!(get(&store, hash).expect("kept"), content);
    assert_eq!(disk.list().expect("names"), [hash.to_string()], "the broken record is gone");
    assert_eq!(store.sweep(&none()).expect("swept"), Swept { records: 0, blobs: 1 }, "nobody needs it");
}

#[test]
fn blobs_of_uploads_that_were_never_answered_go_at_the_next_sweep() {
    let (disk, hand) = (FaultyDisk::new(1), Hand::new());
    let orphan = disk.create(&address(b"orphan").to_string()).expect("made");
    orphan.write_all_at(b"orphan", 0).expect("written");
    disk.create("tmp-77").expect("made");
    let (store, opened) = open(disk.clone(), limits(), &hand);
    assert_eq!(opened.temporaries, 1);
    assert_eq!(store.sweep(&none()).expect("swept"), Swept { records: 0, blobs: 1 });
    assert_eq!(disk.list().expect("names"), Vec::<String>::new());
}
