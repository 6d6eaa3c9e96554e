//! The blob store: durable before it is answered, never wrong bytes, every limit at its edge, nothing needed is swept.
//!
//! On the journal's faulty disk, which loses at a power cut what was not synced and fails on order, and on a real directory.
//! `TIDEGATE_NIGHTLY=1` raises the counts, `TIDEGATE_SEED` sets the seed.

mod faults;
mod limits;
mod sweep;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidegate_journal::{Disk, FaultyDisk};
use tidegate_model::file::{BlobError, FileFacts, FileHash, FileOwner, Uploader};
use tidegate_model::ids::{ConversationId, SeatId, TenantId};
use tidegate_model::time::Millis;
use tidegate_router::blobs::{BlobLimits, Clock, Opened, Reference, Store, Tree};

const TENANT: TenantId = TenantId(1);
const HOUR: u64 = 3_600_000;

/// A clock that a test moves.
#[derive(Clone)]
struct Hand(Arc<AtomicU64>);

impl Hand {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_000_000_000)))
    }

    fn pass(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }

    fn clock(&self) -> Clock {
        let this = self.clone();
        Arc::new(move || this.0.load(Ordering::Relaxed))
    }
}

fn limits() -> BlobLimits {
    BlobLimits { file_bytes: 100_000, tenant_bytes: 10_000_000, conversation_bytes_per_hour: 5_000_000, grace: Millis(24 * HOUR) }
}

fn open<D: Disk>(disk: D, limits: BlobLimits, hand: &Hand) -> (Arc<Store<D>>, Opened) {
    Store::open(disk, limits, hand.clock()).expect("the disk is well")
}

fn customer(conversation: u128) -> FileOwner {
    FileOwner { tenant: TENANT, conversation: ConversationId(conversation), by: Uploader::Customer }
}

/// Uploads in small parts, with the length announced.
fn put<D: Disk>(store: &Arc<Store<D>>, owner: FileOwner, bytes: &[u8]) -> Result<FileFacts, BlobError> {
    let mut upload = store.begin(owner, Some(bytes.len() as u64))?;
    for part in bytes.chunks(1_000) {
        upload.write(part)?;
    }
    upload.finish("image/png".to_owned(), "票.png".to_owned())
}

fn get<D: Disk>(store: &Arc<Store<D>>, hash: FileHash) -> Result<Vec<u8>, BlobError> {
    let mut reading = store.read(hash)?;
    let mut all = Vec::new();
    loop {
        let part = reading.part()?;
        if part.is_empty() {
            assert_eq!(all.len() as u64, reading.bytes());
            return Ok(all);
        }
        all.extend(part);
    }
}

fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 56) as u8
    };
    (0..length).map(|_| next(&mut state)).collect()
}

fn address(bytes: &[u8]) -> FileHash {
    FileHash(*blake3::hash(bytes).as_bytes())
}

fn none() -> BTreeSet<Reference> {
    BTreeSet::new()
}

fn seed() -> u64 {
    std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7)
}

fn scaled(by_day: u64, by_night: u64) -> u64 {
    if std::env::var_os("TIDEGATE_NIGHTLY").is_some() { by_night } else { by_day }
}

#[test]
fn the_same_content_is_the_same_blob_and_each_owner_has_a_record() {
    let (disk, hand) = (FaultyDisk::new(seed()), Hand::new());
    let (store, _) = open(disk.clone(), limits(), &hand);
    let content = bytes(1, 70_001);
    let facts = put(&store, customer(1), &content).expect("stored");
    assert_eq!((facts.hash, facts.bytes), (address(&content), 70_001));
    let names = disk.list().expect("names");
    assert_eq!(put(&store, customer(1), &content).expect("again"), facts);
    assert_eq!(disk.list().expect("names"), names, "no second blob, no second record");
    let seat = FileOwner { by: Uploader::Seat(SeatId(9)), ..customer(1) };
    put(&store, seat, &content).expect("by another");
    put(&store, customer(2), &content).expect("for another");
    assert_eq!(disk.list().expect("names").len(), 1 + 3);
    assert_eq!(get(&store, facts.hash).expect("read"), content);
    // A record is its owner's alone: of its tenant, its conversation, its side.
    assert_eq!(store.granted(customer(1), facts.hash), Ok(facts.clone()));
    let foreign = FileOwner { tenant: TenantId(2), ..customer(1) };
    for other in [customer(3), foreign, FileOwner { by: Uploader::Seat(SeatId(8)), ..customer(1) }] {
        assert_eq!(store.granted(other, facts.hash), Err(BlobError::Unknown), "{other:?}");
    }
    assert_eq!(store.granted(FileOwner { conversation: ConversationId::NONE, ..seat }, facts.hash), Ok(facts));
    assert_eq!(store.granted(customer(1), FileHash([7; 32])), Err(BlobError::Unknown));
    assert!(matches!(store.read(FileHash([7; 32])), Err(BlobError::Unknown)));
}

#[test]
fn a_directory_holds_blobs_by_their_first_two_digits_and_a_restart_finds_them() {
    let (dir, hand) = (tempfile::tempdir().expect("a directory"), Hand::new());
    let root = dir.path().join("blobs");
    let contents: Vec<Vec<u8>> = (0..40).map(|i| bytes(i, 1 + 2_000 * i as usize)).collect();
    {
        let (store, opened) = open(Tree::open(&root).expect("a tree"), limits(), &hand);
        assert_eq!(opened, Opened::default());
        for content in &contents {
            put(&store, customer(1), content).expect("stored");
        }
        // One that nobody finished.
        let mut upload = store.begin(customer(1), None).expect("begun");
        upload.write(b"half").expect("written");
        std::mem::forget(upload);
    }
    let hex = address(&contents[0]).to_string();
    assert_eq!(std::fs::read(root.join(&hex[..2]).join(&hex)).expect("the blob"), contents[0]);
    let (store, opened) = open(Tree::open(&root).expect("a tree"), limits(), &hand);
    assert_eq!(opened, Opened { records: 40, temporaries: 1, broken: 0 });
    assert_eq!(std::fs::read_dir(root.join("tmp")).expect("temporaries").count(), 0);
    for content in &contents {
        assert_eq!(&get(&store, address(content)).expect("read"), content);
        store.granted(customer(1), address(content)).expect("its owner's");
    }
}

#[test]
fn uploads_beside_each_other_and_beside_sweeps_lose_nothing() {
    let (dir, hand) = (tempfile::tempdir().expect("a directory"), Hand::new());
    let swept = BlobLimits { grace: Millis(0), ..limits() };
    let (store, _) = open(Tree::open(dir.path().join("blobs")).expect("a tree"), swept, &hand);
    let rounds = scaled(40, 400);
    std::thread::scope(|scope| {
        for worker in 0..8_u64 {
            let (store, hand) = (&store, &hand);
            scope.spawn(move || {
                for round in 0..rounds {
                    // Everybody brings the same few contents; with no grace a sweep may take any of them after its answer.
                    let content = bytes(round % 3, 5_000);
                    hand.pass(HOUR / 20);
                    let facts = put(store, customer(worker.into()), &content).expect("stored");
                    if let Ok(back) = get(store, facts.hash) {
                        assert_eq!(back, content);
                    }
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..rounds {
                store.sweep(&none()).expect("swept");
            }
        });
    });
    hand.pass(1);
    store.sweep(&none()).expect("swept");
    assert_eq!(store.size(), (0, 0), "what was set aside came back, and what was charged went with its file");
}
