//! Parity: what several threads pushed into the live cell, replayed from its log, gives the same outputs, decision by decision.
//!
//! Source: DESIGN §3 ("parity is the definition of digital twin"), I16, I17. Abandonments, accepts, expiries, sign-outs, cut
//! links and forged inputs cross; the log is the only witness. Default 100,000 inputs, 1,000,000 with `TIDEGATE_NIGHTLY=1`.

use crate::support::{Driver, Hand, Kept, TENANT, bootstrap, config, count, decisions, log_of, replay, seed, settled};
use std::sync::Arc;
use tidegate_core::rig::{Mischief, RigConfig};
use tidegate_journal::RealDisk;
use tidegate_model::codec;
use tidegate_model::limits::Limits;
use tidegate_model::{Seq, TenantId};
use tidegate_router::cell::{Cell, Machines, MemoryLog, TenantSeed};

#[test]
fn the_log_of_a_crowd_replays_to_the_same_digests() {
    let directory = tempfile::tempdir().unwrap();
    let hand = Arc::new(Hand::default());
    let threads = 4_u64;
    let kept = Kept::new(threads as usize);
    let disk = RealDisk::open(directory.path()).unwrap();
    let (cell, report) = Cell::start(config(&hand), disk.clone(), Box::new(kept.clone())).unwrap();
    assert_eq!((report.replayed, report.term.0), (0, 1));
    bootstrap(&cell, TENANT);
    let entries = count(100_000, 1_000_000) / threads;
    std::thread::scope(|scope| {
        for n in 0..threads {
            let (cell, hand, kept) = (cell.clone(), hand.clone(), kept.clone());
            scope.spawn(move || {
                let rig = RigConfig { seed: seed(7) + n, arrival_ms: 400, mischief: Mischief::Some, ..RigConfig::small(0) };
                Driver::new(rig, n as u8, n as usize, &kept).run(&cell, &hand, entries).expect("the cell takes everything");
            });
        }
    });
    let live_decisions = {
        cell.query_wait(TENANT, |_| ()).unwrap();
        cell.clone()
    };
    let drained = cell.drain().unwrap();
    let live = live_decisions.decisions(TENANT);
    let status = cell.status();
    assert_eq!((status.committed, status.applied, status.emitted), (drained.last, drained.last, drained.last));
    drop((cell, live_decisions));
    let log = log_of(disk.clone());
    assert_eq!(log.len() as u64, drained.last.0);
    assert!(drained.last.0 >= threads * entries);
    let machines = replay(&log);
    let replayed = decisions(&log, TENANT);
    assert!(live.len() > 1_000, "only {} decisions: the crowd did not get served", live.len());
    assert_eq!(live.len(), replayed.len());
    let mismatches = live.iter().zip(&replayed).filter(|(a, b)| a != b).count();
    assert_eq!(mismatches, 0, "of {} decisions", live.len());

    // The live machine itself, through its snapshot and a restart, stands where the replay stands.
    let kept = Kept::new(1);
    let (cell, report) = Cell::start(config(&hand), disk, Box::new(kept)).unwrap();
    assert_eq!((report.snapshot, report.replayed, report.last), (Some(drained.last), 0, drained.last));
    let (digest, until) = settled(&cell, TENANT);
    let ledger = cell.query_wait(TENANT, |tenant| tenant.ledger()).unwrap();
    let tenant = machines.get(TENANT).unwrap();
    assert!(tenant.ledger().poisoned == 0 && ledger.poisoned == 0);
    cell.drain().unwrap();
    drop(cell);
    let log = log_of(RealDisk::open(directory.path()).unwrap());
    // Ticks may have come since: compared at the entry at which the live machine was looked at.
    let machines = replay(&log[..until.0 as usize]);
    assert_eq!(machines.get(TENANT).unwrap().full_digest(), digest, "after the entries of the second start");
    println!("{} inputs, {} decisions, 0 mismatches; digest {:016x}", drained.last.0, live.len(), digest);
}

#[test]
fn the_log_filtered_to_one_tenant_gives_it_the_same_digests() {
    let hand = Arc::new(Hand::default());
    let tenants = [TenantId(1), TenantId(2), TenantId(9)];
    let kept = Kept::new(tenants.len());
    let mut config = config(&hand);
    config.tenants = tenants.iter().map(|id| TenantSeed { id: *id, limits: Limits::SMALL }).collect();
    config.hash_every = 512;
    let log = MemoryLog::keeping(usize::MAX);
    let tap = log.tap();
    let (cell, _) = Cell::start_in_memory(config, log, Box::new(kept.clone())).unwrap();
    for tenant in tenants {
        bootstrap(&cell, tenant);
    }
    let entries = count(10_000, 200_000);
    std::thread::scope(|scope| {
        for (n, tenant) in tenants.into_iter().enumerate() {
            let (cell, hand, kept) = (cell.clone(), hand.clone(), kept.clone());
            scope.spawn(move || {
                let rig = RigConfig { tenant, ..RigConfig::small(seed(40) + n as u64) };
                Driver::new(rig, 0, n, &kept).run(&cell, &hand, entries).unwrap();
            });
        }
    });
    cell.drain().unwrap();
    let (first, log) = tap.entries();
    assert_eq!(first, Seq(1));
    let whole = replay(&log);
    for tenant in tenants {
        let own: Vec<Vec<u8>> = log.iter().filter(|entry| codec::tenant(entry) == Some(tenant)).cloned().collect();
        assert!(own.len() as u64 > entries);
        let alone: Machines = replay(&own);
        assert_eq!(alone.get(tenant).unwrap().digests(), whole.get(tenant).unwrap().digests(), "tenant {tenant}");
        assert_eq!(cell.decisions(tenant), decisions(&own, tenant), "tenant {tenant}");
    }
}

/// The judge can fail: an entry changed by one bit, left out or moved gives other digests.
#[test]
fn a_log_that_is_not_the_one_that_was_decided_is_seen() {
    let hand = Arc::new(Hand::default());
    let kept = Kept::new(1);
    let log = MemoryLog::keeping(usize::MAX);
    let tap = log.tap();
    let (cell, _) = Cell::start_in_memory(config(&hand), log, Box::new(kept.clone())).unwrap();
    bootstrap(&cell, TENANT);
    Driver::new(RigConfig::small(seed(5)), 0, 0, &kept).run(&cell, &hand, 4_000).unwrap();
    cell.drain().unwrap();
    let (_, log) = tap.entries();
    let live = cell.decisions(TENANT);
    assert_eq!(decisions(&log, TENANT), live);
    let later = log.len() * 2 / 3;
    // A decision that read a clock of its own: one entry handled ten milliseconds late.
    let mut late = log.clone();
    for entry in late.iter_mut().skip(later).take(1_000) {
        let decoded = codec::decode(entry).unwrap();
        let (seq, at) = (decoded.seq, decoded.at);
        codec::stamp(entry, seq, at + tidegate_model::Millis(10));
    }
    assert_ne!(decisions(&late, TENANT), live, "time is an input");
    // An unlogged value: entries that the live machine saw and the log does not hold.
    let mut without = log.clone();
    without.drain(later..later + 50);
    assert_ne!(decisions(&without, TENANT), live, "what is decided by is logged");
    // An order of its own: neighbours swapped.
    let mut swapped = log.clone();
    for pair in swapped[later..].chunks_mut(2) {
        pair.reverse();
    }
    assert_ne!(decisions(&swapped, TENANT), live, "order is an input");
}
