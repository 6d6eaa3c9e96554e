//! Transcripts from the log, snapshots, restarts and retention: numbered items found again, bodies unchanged, memory small.
//!
//! Sources: issue A (memory: 100,000 open, passivated conversations; restart to serving with 1,000,000 journalled events),
//! DESIGN §4.7. Default a tenth of the full counts.

use crate::support::{Driver, Hand, Kept, TENANT, bootstrap, config, count, push, seed};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_core::rig::RigConfig;
use tidegate_journal::{Disk, FaultyDisk, RealDisk};
use tidegate_model::codec;
use tidegate_model::input::{ContactRequest, FirstOwner, Inbound, InboundAct, Input};
use tidegate_model::limits::Limits;
use tidegate_model::output::{Item, Outcome, Output};
use tidegate_model::port::PortError;
use tidegate_model::{AccountId, ConversationId, CustomerId, EventId};
use tidegate_router::cell::{Cell, CellConfig, CellHandle, NoSink, Retain, TenantSeed};

fn said(conversation: u64, i: u64, act: InboundAct<'_>) -> Inbound<'_> {
    Inbound {
        account: AccountId(1),
        conversation: ConversationId(u128::from(tidegate_model::name::mix(conversation)) << 64 | u128::from(conversation)),
        event: EventId(u128::from(conversation) << 64 | u128::from(i + 1)),
        customer: CustomerId(0),
        known_n: 0,
        act,
    }
}

fn say(cell: &CellHandle, conversation: u64, i: u64, text: &str) -> u32 {
    let inbound = said(conversation, i, InboundAct::Message { body: text.as_bytes() });
    match cell.submit(TENANT, &Input::Inbound(inbound)).wait() {
        Ok(Outcome::Done { n, .. }) => n,
        other => panic!("{other:?}"),
    }
}

/// Every transcript item that a crowd caused, from its outputs, is what the index gives: live, and after each restart.
#[test]
fn the_index_says_what_the_machine_said_live_and_after_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(directory.path()).unwrap();
    let hand = Arc::new(Hand::default());
    let kept = Kept::new(2);
    let mut config = config(&hand);
    config.snapshot_entries = 2_000;
    config.tail_bytes = 64 << 10;
    config.retain = Retain::All;
    let mut expected: BTreeMap<ConversationId, Vec<(u32, Item)>> = BTreeMap::new();
    for life in 0..3 {
        let (cell, _) = Cell::start(config.clone(), disk.clone(), Box::new(kept.clone())).unwrap();
        if life == 0 {
            bootstrap(&cell, TENANT);
        }
        let rig = RigConfig::small(seed(80) + life);
        Driver::new(rig, life as u8, 0, &kept).run(&cell, &hand, count(5_000, 50_000)).unwrap();
        let drained = cell.drain().unwrap();
        assert!(drained.snapshot == drained.last);
        drop(cell);
        for (_, output) in kept.take(1) {
            if let Output::Transcript { conversation, n, item, .. } = output {
                let items = expected.entry(conversation).or_default();
                assert!(
                    n == 1 || items.last().is_none_or(|(last, _)| n == last + 1),
                    "{conversation}: {n} after {:?}",
                    items.last()
                );
                if n == 1 {
                    items.clear();
                }
                items.push((n, item));
            }
        }
    }
    let (cell, report) = Cell::start(config, disk, Box::new(NoSink)).unwrap();
    assert!(report.replayed < 10, "{report:?}");
    assert!(expected.len() > 100);
    let mut bodies = 0;
    for (conversation, items) in &expected {
        let (first, last) = (items[0].0, items[items.len() - 1].0);
        assert_eq!(cell.transcript_head(TENANT, *conversation), last);
        let mut read = Vec::new();
        while read.last().is_none_or(|(n, _)| *n < last) {
            let after = read.last().map_or(first - 1, |(n, _)| *n);
            for item in cell.transcript(TENANT, *conversation, after, 3).unwrap() {
                match item.item {
                    Item::FromCustomer => assert_eq!(&*item.body, b"hello"),
                    Item::FromSeat { .. } => assert_eq!(&*item.body, b"how can I help"),
                    _ => assert!(item.body.is_empty()),
                }
                bodies += usize::from(!item.body.is_empty());
                read.push((item.n, item.item));
            }
        }
        assert_eq!(&read, items, "{conversation}");
    }
    assert!(bodies > 500, "{bodies}");
    assert!(matches!(cell.transcript(TENANT, ConversationId(12_345), 0, 9), Err(PortError::Unknown)));
    cell.drain().unwrap();
}

#[test]
fn whoever_is_answered_can_read_what_he_wrote() {
    let hand = Arc::new(Hand::default());
    let (cell, _) = Cell::start(config(&hand), FaultyDisk::new(1), Box::new(NoSink)).unwrap();
    bootstrap(&cell, TENANT);
    std::thread::scope(|scope| {
        for conversation in 1..=4 {
            let cell = &cell;
            scope.spawn(move || {
                for i in 0..300 {
                    let text = format!("{conversation} says {i}");
                    let n = say(cell, conversation, i, &text);
                    let id = said(conversation, 0, InboundAct::Leave).conversation;
                    assert_eq!(&*cell.transcript(TENANT, id, n - 1, 1).unwrap()[0].body, text.as_bytes());
                }
            });
        }
    });
    cell.drain().unwrap();
}

#[test]
fn retention_lets_old_bodies_go_and_says_so_by_an_unknown_conversation() {
    let hand = Arc::new(Hand::default());
    let disk = FaultyDisk::new(1);
    let mut config = config(&hand);
    config.segment_bytes = 64 << 10;
    config.retain = Retain::Bytes(64 << 10);
    config.snapshot_entries = 200;
    config.tail_bytes = 4 << 10;
    let (cell, _) = Cell::start(config.clone(), disk.clone(), Box::new(NoSink)).unwrap();
    bootstrap(&cell, TENANT);
    say(&cell, 1, 0, "the first");
    let text = "x".repeat(400);
    for i in 0..2_000 {
        say(&cell, 2 + i / 50, i % 50, &text);
    }
    drop(cell.drain());
    drop(cell);
    let segments = disk.list().unwrap().iter().filter(|name| name.starts_with("wal-")).count();
    assert!(segments <= 8, "{segments} segments of 64 KiB are kept");
    let (cell, _) = Cell::start(config, disk, Box::new(NoSink)).unwrap();
    let id = |n| said(n, 0, InboundAct::Leave).conversation;
    assert_eq!(cell.transcript(TENANT, id(1), 0, 10), Err(PortError::Unknown), "forgotten with its segment");
    let newest = cell.transcript(TENANT, id(41), 0, 1_000).unwrap();
    assert_eq!(newest.iter().filter(|item| &*item.body == text.as_bytes()).count(), 50);
    // A conversation that the machine still holds goes on with its numbers.
    let n = say(&cell, 1, 1, "again");
    assert!(n > 1, "{n}");
    assert_eq!(&*cell.transcript(TENANT, id(1), n - 1, 1).unwrap()[0].body, b"again");
    cell.drain().unwrap();
}

/// A damaged newest snapshot is named, the one before it taken, and the state is the same.
#[test]
fn a_damaged_snapshot_is_passed_over() {
    let hand = Arc::new(Hand::default());
    let disk = FaultyDisk::new(1);
    let mut config = config(&hand);
    config.snapshot_entries = 300;
    config.retain = Retain::All;
    let kept = Kept::new(1);
    let (cell, _) = Cell::start(config.clone(), disk.clone(), Box::new(kept.clone())).unwrap();
    bootstrap(&cell, TENANT);
    Driver::new(RigConfig::small(seed(81)), 0, 0, &kept).run(&cell, &hand, 2_000).unwrap();
    // One that the keeper has not finished gives way to the drain's.
    while cell.status().snapshot.0 == 0 {
        std::thread::yield_now();
    }
    drop(cell.drain());
    drop(cell);
    let mut snapshots: Vec<String> = disk.list().unwrap().into_iter().filter(|name| name.ends_with(".snap")).collect();
    snapshots.sort();
    assert_eq!(snapshots.len(), 2);
    assert!(disk.flip_bit(&snapshots[1], 3_000, 2));
    let digest = |disk: &FaultyDisk| {
        let log = crate::support::log_of(disk.clone());
        (log.len(), crate::support::replay(&log).get(TENANT).unwrap().full_digest())
    };
    let whole = digest(&disk);
    let (cell, report) = Cell::start(config.clone(), disk.clone(), Box::new(NoSink)).unwrap();
    assert_eq!(report.damaged_snapshots.len(), 1, "{report:?}");
    assert!(report.damaged_snapshots[0].contains(&snapshots[1]) && report.replayed > 0, "{report:?}");
    assert_eq!(report.last.0, whole.0 as u64);
    drop(cell.drain());
    drop(cell);
    // Both damaged: the whole log is replayed, to the same state.
    for name in disk.list().unwrap().into_iter().filter(|name| name.ends_with(".snap")) {
        assert!(disk.flip_bit(&name, 4_000, 2));
    }
    let before = digest(&disk);
    let (cell, report) = Cell::start(config, disk.clone(), Box::new(NoSink)).unwrap();
    assert_eq!((report.snapshot, report.replayed), (None, before.0 as u64));
    cell.drain().unwrap();
}

/// The index of open, passivated conversations stays small; the figure is printed, the bound is a tenth of the whole promise.
#[test]
fn the_index_of_open_conversations_is_small() {
    let hand = Arc::new(Hand::default());
    let conversations = count(10_000, 100_000);
    let mut config: CellConfig = config(&hand);
    config.tenants =
        vec![TenantSeed { id: TENANT, limits: Limits { conversations: 1 << 17, dedup_events: 1 << 18, ..Limits::SMALL } }];
    let (cell, _) = Cell::start(config, FaultyDisk::new(1), Box::new(NoSink)).unwrap();
    bootstrap(&cell, TENANT);
    for conversation in 1..=conversations {
        let begin = InboundAct::Begin { with: FirstOwner::Bot, request: ContactRequest::default() };
        for (i, act) in [begin, InboundAct::Message { body: b"one" }, InboundAct::Message { body: b"two" }].into_iter().enumerate()
        {
            let mut bytes = Vec::new();
            codec::encode(&mut bytes, TENANT, &Input::Inbound(said(conversation, i as u64, act)));
            push(&cell, &bytes, false).unwrap();
        }
    }
    let last = say(&cell, conversations, 9, "last");
    assert!(last >= 4);
    let size = cell.transcript_size();
    assert_eq!(size.conversations, conversations);
    let a_conversation = size.bytes / size.conversations + 72;
    println!(
        "{conversations} open conversations: {} bytes of items, about {a_conversation} bytes each with its table row",
        size.bytes
    );
    assert!(a_conversation <= 160, "{a_conversation} bytes a conversation");
    cell.drain().unwrap();
}
