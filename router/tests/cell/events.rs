//! The event journal is the log's own: equal to what a replay derives, after any cut, with every gap named.
//!
//! Sources: decision 0012; the same discipline as I14. Log and events stand on disks of their own, so that each may lose what
//! the other kept. Default 25 power cuts, 500 with `TIDEGATE_NIGHTLY=1`.

use crate::oracle::{derived, kept};
use crate::support::{Driver, Hand, Kept, TENANT, bootstrap, config, count, seed};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::rig::RigConfig;
use tidegate_journal::FaultyDisk;
use tidegate_journal::rng::SplitMix64;
use tidegate_model::{Millis, Seq};
use tidegate_router::cell::{Cell, CellConfig, CellHandle, NoSink, Retain};
use tidegate_router::events::{EventNo, Events, EventsConfig, EventsError};
use tidegate_router::gauge::Gauges;

fn small() -> EventsConfig {
    EventsConfig {
        segment_bytes: 64 << 10,
        retain_bytes: 1 << 40,
        company: Duration::ZERO,
        batches: 8,
        ..EventsConfig::new(PathBuf::new())
    }
}

fn cell_config(hand: &Arc<Hand>, events: &Events) -> CellConfig {
    CellConfig {
        segment_bytes: 128 << 10,
        snapshot_entries: 150,
        retain: Retain::All,
        hash_every: 64,
        company: Duration::ZERO,
        events: Some(Arc::new(events.clone())),
        ..config(hand)
    }
}

/// A cell with events on two disks, and its population's ears.
fn start(log: &FaultyDisk, disk: &FaultyDisk, hand: &Arc<Hand>, settings: EventsConfig) -> (CellHandle, Events, Kept, Seq) {
    let events = Events::open_on(settings, disk.clone(), &Gauges::new()).expect("events open");
    let kept = Kept::new(1);
    let (cell, report) = Cell::start(cell_config(hand, &events), log.clone(), Box::new(kept.clone())).expect("the cell starts");
    if report.last.0 == 0 {
        bootstrap(&cell, TENANT);
    }
    (cell, events, kept, report.last)
}

fn load(cell: &CellHandle, kept: &Kept, hand: &Arc<Hand>, number: u8, entries: u64) {
    let mut driver = Driver::new(RigConfig { tenant: TENANT, ..RigConfig::small(u64::from(number)) }, number, 0, kept);
    // A log that failed is what some of these tests want.
    let _ended = driver.run(cell, hand, entries);
}

fn stop(cell: CellHandle, events: Events) {
    let _perhaps_failed = cell.drain();
    drop(cell);
    events.close();
}

#[test]
fn after_any_power_cut_the_journal_holds_what_the_log_says() {
    let seed = seed(7);
    let (log, disk) = (FaultyDisk::new(seed), FaultyDisk::new(seed ^ 1));
    let mut random = SplitMix64::new(seed);
    let hand = Arc::new(Hand::default());
    let mut from_snapshot = 0;
    for round in 0..count(25, 500) {
        let (cell, events, ears, _) = start(&log, &disk, &hand, small());
        from_snapshot += u64::from(cell.status().snapshot > Seq(0));
        if round % 3 != 2 {
            log.halt_after(30 + random.below(600));
        }
        if round % 3 != 1 {
            disk.halt_after(5 + random.below(300));
        }
        load(&cell, &ears, &hand, (round % 200) as u8 + 1, 400);
        stop(cell, events);
        log.power_cut(random.next_u64());
        disk.power_cut(random.next_u64());
    }
    assert!(from_snapshot > 3, "hardly any start was from a snapshot");
    let (cell, events, ..) = start(&log, &disk, &hand, small());
    stop(cell, events.clone());
    let (found, gaps) = kept(&events, TENANT, EventNo::START);
    drop(events);
    let wanted = derived(log, TENANT);
    assert_eq!(gaps, []);
    assert!(wanted.len() > 1_000, "only {} events", wanted.len());
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_eq!(found, wanted);
    }
}

#[test]
fn a_failed_disk_of_events_stops_snapshots_and_a_restart_makes_the_events_again() {
    let (log, disk, hand) = (FaultyDisk::new(3), FaultyDisk::new(4), Arc::new(Hand::default()));
    let (cell, events, ears, _) = start(&log, &disk, &hand, small());
    load(&cell, &ears, &hand, 1, 400);
    let reached = cell.status().snapshot;
    disk.fail_sync(1);
    load(&cell, &ears, &hand, 2, 1_200);
    let applied = cell.status().applied;
    let refused = events.make_durable(applied);
    assert!(matches!(refused, Err(EventsError::Failed { .. })), "{refused:?}");
    stop(cell.clone(), events.clone());
    let status = cell.status();
    assert!(status.snapshot_failures > 0, "{status:?}");
    assert!(status.snapshot.0 <= reached.0.max(events.status().durable.0), "a snapshot passed the events: {status:?}");
    assert!(events.status().failure.is_some() && events.status().dropped > 0, "{:?}", events.status());
    drop((cell, events));
    disk.power_cut(9);
    let (cell, events, ..) = start(&log, &disk, &hand, small());
    stop(cell, events.clone());
    let (found, gaps) = kept(&events, TENANT, EventNo::START);
    assert_eq!((found, gaps), (derived(log, TENANT), Vec::new()));
}

#[test]
fn what_retention_took_is_a_named_gap_and_the_rest_is_whole() {
    let (log, disk, hand) = (FaultyDisk::new(5), FaultyDisk::new(6), Arc::new(Hand::default()));
    let settings = EventsConfig { retain_bytes: 128 << 10, ..small() };
    let (cell, events, ears, _) = start(&log, &disk, &hand, settings.clone());
    load(&cell, &ears, &hand, 1, 12_000);
    stop(cell, events.clone());
    let floor = events.floor();
    assert!(floor > EventNo::START, "nothing was let go: {:?}", events.status());
    let wanted = derived(log.clone(), TENANT);
    let first = wanted[0].no;
    let check = |events: &Events| {
        let (found, gaps) = kept(events, TENANT, first);
        assert_eq!(gaps.iter().map(|gap| (gap.from, gap.oldest)).collect::<Vec<_>>(), [(first, events.floor())]);
        let tail: Vec<_> = wanted.iter().filter(|event| event.no > events.floor()).copied().collect();
        assert!(tail.len() > 100);
        assert_eq!(found, tail);
        // From the floor itself nothing is missing.
        assert_eq!(kept(events, TENANT, events.floor()), (tail.clone(), Vec::new()));
        // From anywhere inside, and another tenant's reader hears nothing.
        let inside = tail[tail.len() / 2].no;
        assert_eq!(kept(events, TENANT, inside).0, tail[tail.len() / 2 + 1..]);
        assert_eq!(kept(events, tidegate_model::TenantId(9), events.floor()).0, []);
    };
    check(&events);
    drop(events);
    // The same after opening again: the index is built from the files.
    let events = Events::open_on(settings, disk, &Gauges::new()).expect("events open");
    check(&events);
    events.close();
}

#[test]
fn a_journal_that_lost_what_it_had_or_is_of_another_log_says_so() {
    let (log, disk, hand) = (FaultyDisk::new(7), FaultyDisk::new(8), Arc::new(Hand::default()));
    let (cell, events, ears, _) = start(&log, &disk, &hand, small());
    load(&cell, &ears, &hand, 1, 600);
    stop(cell, events);
    // All events lost, the log's snapshot far on: the gap is named and what comes is whole.
    let empty = FaultyDisk::new(9);
    let (cell, events, ears, last) = start(&log, &empty, &hand, small());
    load(&cell, &ears, &hand, 2, 200);
    stop(cell, events.clone());
    let (found, gaps) = kept(&events, TENANT, EventNo { seq: Seq(1), index: 0 });
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(gaps[0].oldest.seq > Seq(1) && gaps[0].oldest.seq <= last, "{gaps:?}");
    let wanted: Vec<_> = derived(log.clone(), TENANT).into_iter().filter(|event| event.no > gaps[0].oldest).collect();
    assert_eq!(found, wanted);
    drop(events);
    // Events that reach further than the log: numbers would be used twice.
    let events = Events::open_on(small(), empty, &Gauges::new()).expect("events open");
    let error = Cell::start(cell_config(&hand, &events), FaultyDisk::new(10), Box::new(NoSink)).map(drop).expect_err("refused");
    assert!(format!("{error:?}").contains("of another log"), "{error:?}");
    events.close();
}

#[test]
fn settings_are_refused_by_name_at_one_above_and_ten_times_above() {
    let open = |change: fn(&mut EventsConfig)| {
        let mut settings = small();
        change(&mut settings);
        Events::open_on(settings, FaultyDisk::new(1), &Gauges::new()).map(|events| events.close())
    };
    open(|c| c.segment_bytes = 64 << 20).expect("at the limit");
    for (change, field) in [
        ((|c: &mut EventsConfig| c.segment_bytes = (64 << 20) + 1) as fn(&mut EventsConfig), "segment_bytes"),
        (|c| c.segment_bytes = 640 << 20, "segment_bytes"),
        (|c| c.retain_bytes = 0, "retain_bytes"),
        (|c| c.batches = 0, "batches"),
        (|c| c.batches = (1 << 16) + 1, "batches"),
        (|c| c.batches = 10 << 16, "batches"),
        (|c| c.retain_for = Millis(0), "retain_for"),
        (|c| c.company = Duration::from_secs(10), "company_ms"),
    ] {
        assert!(matches!(open(change), Err(EventsError::Config { field: found, .. }) if found == field), "{field}");
    }
}
