//! Parity: a log replayed in the twin gives what was decided while it was written, for every tenant, alone or together.
//!
//! I16 and I17 of the invariants, and the definition of "digital twin". 100,000 inputs over three tenants, 1,000,000 at night.

mod parity_kit;

use parity_kit::{LIMITS, Live, Machines, Seen, TENANTS, live, nightly};
use tidegate_model::codec;
use tidegate_model::input::Input;
use tidegate_model::limits::Limits;
use tidegate_model::output::Output;
use tidegate_model::{Seq, TenantId};
use tidegate_sim::twin::{Keep, Replay, ReplayReport, TenantReport, Unreadable, parity};

fn seen(report: &TenantReport) -> Seen {
    Seen {
        digests: report.digests,
        full_digest: report.full_digest,
        ledger: report.ledger,
        decisions: report.decision_digests.clone(),
    }
}

fn assert_equal(what: &str, live: &Live, report: &ReplayReport) {
    assert!(report.is_whole(), "{what}: {:?}", report.unreadable);
    for (id, lived) in &live.seen {
        let found = parity(&lived.decisions, &report.tenants[id].decision_digests);
        assert!(found.holds(), "{what}, tenant {id}: {found:?}");
        assert_eq!(&seen(&report.tenants[id]), lived, "{what}, tenant {id}");
    }
}

#[test]
fn a_log_replays_to_the_same_decisions_whole_and_by_tenant() {
    let inputs = nightly(100_000, 1_000_000);
    let live = live(inputs);
    let busy = live.seen.values().all(|seen| {
        let [served, abandoned, ..] = seen.ledger.exits;
        served > 100 && abandoned > 100 && seen.ledger.duplicates > 100 && seen.ledger.refused_inputs > 100
    });
    assert!(busy, "a floor on which nothing crosses proves nothing: {:?}", live.seen);

    let whole = Replay::run(Keep::Everything, live.log.iter());
    assert_eq!(whole.entries, live.log.len() as u64);
    assert_equal("whole", &live, &whole);
    for (id, decisions) in &live.decisions {
        assert_eq!(whole.tenants[id].decisions.as_ref(), Some(decisions));
    }
    for tenant in (1..=TENANTS).map(TenantId) {
        let filtered = live.log.of_tenant(tenant);
        assert!(filtered.len() < live.log.len() / 2);
        let alone = Replay::run(Keep::Everything, filtered.iter());
        assert_eq!(alone.tenants.len(), 1);
        assert_eq!(alone.tenants[&tenant], whole.tenants[&tenant], "the log filtered to tenant {tenant}");
        let mut only = Replay::new(Keep::Everything).only(tenant);
        live.log.iter().for_each(|entry| only.push(entry));
        assert_eq!(only.finish().tenants, alone.tenants);
    }
    let decisions: usize = live.decisions.values().map(Vec::len).sum();
    println!("parity: {} inputs, {decisions} decisions, 0 mismatches, whole and by tenant", live.log.len());
}

/// Works off what fuel left behind, by ticks at the newest time, as a node proposes them.
fn settle(machines: &mut Machines) {
    for (id, tenant) in &mut machines.tenants {
        while tenant.next_deadline().is_some_and(|due| due <= tenant.now()) {
            tenant.handle(tenant.now(), Seq(0), Input::Tick);
            while let Some(output) = tenant.poll_output() {
                if let Output::Decision(record) = output {
                    machines.decisions.entry(*id).or_default().push(record);
                }
            }
        }
    }
}

/// Fuel is a limit like others, but must not change an output: a node with another fuel, worked off to its end, agrees.
#[test]
fn fuel_changes_nothing() {
    let live = live(nightly(20_000, 200_000));
    let settled = |configured: Option<Limits>| {
        let mut machines = Machines::default();
        for entry in live.log.iter() {
            let at = codec::decode(entry).expect("own entry").at;
            machines.handle(at, entry, configured, |_| {});
        }
        let behind = machines.seen();
        settle(&mut machines);
        (behind, machines.seen())
    };
    let (_, expected) = settled(None);
    for fuel in [1, 3, 17] {
        let (behind, worked_off) = settled(Some(Limits { fuel, ..LIMITS }));
        if fuel == 1 {
            assert!(behind.iter().any(|(id, seen)| seen.decisions.len() < expected[id].decisions.len()), "fuel held nothing up");
        }
        for (id, seen) in worked_off {
            let found = parity(&expected[&id].decisions, &seen.decisions);
            assert!(found.holds(), "fuel {fuel}, tenant {id}: {found:?}");
            assert_eq!(seen.digests, expected[&id].digests, "fuel {fuel}, tenant {id}");
        }
    }
}

#[test]
fn what_cannot_be_replayed_is_named_and_the_rest_goes_on() {
    let live = live(2_000);
    let mut replay = Replay::new(Keep::Contacts);
    let entries: Vec<&[u8]> = live.log.iter().collect();
    let mut stranger = Vec::new();
    codec::encode(&mut stranger, TenantId(9), &Input::Hash);
    codec::stamp(&mut stranger, Seq(u64::MAX), tidegate_model::Timestamp(1));
    replay.push(&entries[0][..10]);
    for entry in &entries {
        replay.push(entry);
    }
    replay.push(entries[5]);
    replay.push(b"");
    replay.push(&stranger);
    let report = replay.finish();
    let names: Vec<String> = report.unreadable.iter().map(ToString::to_string).collect();
    assert_eq!(report.unreadable_total, 4);
    assert!(matches!(report.unreadable[0], Unreadable::NotAnEntry { place: 0, .. }), "{names:?}");
    let after = Seq(entries.len() as u64);
    assert_eq!(report.unreadable[1], Unreadable::OutOfOrder { after, found: Seq(6) });
    assert!(matches!(report.unreadable[2], Unreadable::NotAnEntry { .. }), "{names:?}");
    assert_eq!(report.unreadable[3], Unreadable::UnknownTenant { seq: Seq(u64::MAX), tenant: TenantId(9) });
    assert!(names[3].contains("tenant 9") && names[3].contains("Admin::Limits"), "{names:?}");
    for (id, lived) in &live.seen {
        assert_eq!(&seen(&report.tenants[id]), lived, "tenant {id}");
    }
    assert_eq!(report.entries, entries.len() as u64);
}
