//! Fuel delays decisions and never changes them: any fuel gives the same outputs, once the work is done.
//!
//! And no input costs more than its fuel plus one step, timers and policy swaps included (K4 of the cell review).

use crate::support::{Run, apply, guard, nightly, seed};
use tidegate_core::Tenant;
use tidegate_core::rig::{OTHER_POLICY, RigConfig};
use tidegate_model::input::Input;
use tidegate_model::limits::Limits;
use tidegate_model::{Seq, TenantId, Timestamp};

fn finish(tenant: &mut Tenant, at: Timestamp) {
    let mut rounds = 0;
    while tenant.next_deadline().is_some_and(|d| d <= at) {
        tenant.handle(at, Seq(0), Input::Tick);
        while tenant.poll_output().is_some() {}
        rounds += 1;
        assert!(rounds < 1_000_000, "work never ends");
    }
}

#[test]
fn any_fuel_gives_the_same_outputs() {
    let mut run = Run::new(RigConfig::small(seed(21)), Limits::SMALL);
    let half = nightly(6_000, 100_000);
    run.steps(half);
    let (at, entry) = (run.rig.now(), run.rig.policy_entry(OTHER_POLICY, 3));
    run.push(at, entry);
    run.steps(half);
    let end = run.rig.now() + tidegate_model::Millis(1);
    finish(&mut run.tenant, end);
    for fuel in [1, 2, 5, 33] {
        let limits = Limits { fuel, pending_inputs: 1 << 20, ..Limits::SMALL };
        let mut starved = Tenant::new(TenantId(1), limits, guard());
        for entry in &run.log {
            apply(&mut starved, entry, |_| {});
        }
        finish(&mut starved, end);
        assert_eq!(starved.digests(), run.tenant.digests(), "fuel {fuel}");
        assert_eq!(starved.check(), Ok(()));
    }
}

#[test]
fn ticks_between_inputs_change_nothing() {
    let mut run = Run::new(RigConfig::small(seed(22)), Limits::SMALL);
    run.steps(nightly(5_000, 50_000));
    let mut ticked = Tenant::new(TenantId(1), Limits::SMALL, guard());
    let mut before = Timestamp(0);
    for entry in &run.log {
        let at = tidegate_model::codec::decode(entry).expect("own entry").at;
        for part in 1..=3 {
            let between = Timestamp(before.0 + (at.0 - before.0) * part / 3);
            ticked.handle(between, Seq(0), Input::Tick);
            while ticked.poll_output().is_some() {}
        }
        before = at;
        apply(&mut ticked, entry, |_| {});
    }
    assert_eq!(ticked.digests(), run.tenant.digests());
}

#[test]
fn past_the_limit_of_pending_inputs_they_are_refused_by_name_and_work_goes_on() {
    use tidegate_model::output::{LimitKind, Outcome, Output, Refusal};
    for (pending, expected) in [(63, 1), (64, 0), (6, 58)] {
        let limits = Limits { fuel: 1, pending_inputs: pending, ..Limits::SMALL };
        // Two seats and a crowd: hundreds wait, and each of them is a step of the swap's work.
        let crowd = RigConfig { seats: 2, arrival_ms: 100, customers: 5_000, ..RigConfig::small(seed(23)) };
        let mut run = Run::new(crowd, Limits::SMALL);
        run.steps(3_000);
        assert!(run.tenant.ledger().waiting > 200);
        let mut tenant = crate::support::replay(&run.log, Limits::SMALL);
        let (at, swap) = (run.rig.now(), run.rig.policy_entry(OTHER_POLICY, 3));
        let mut lowered = Vec::new();
        tidegate_model::codec::encode(&mut lowered, TenantId(1), &Input::Admin(tidegate_model::input::Admin::Limits(limits)));
        let mut refused = 0;
        let mut push = |tenant: &mut Tenant, mut entry: Vec<u8>| {
            tidegate_model::codec::stamp(&mut entry, Seq(1 << 40), at);
            apply(tenant, &entry, |o| {
                if let Output::Reply { outcome: Outcome::Refused(Refusal::Limit(LimitKind::PendingInputs)), .. } = o {
                    refused += 1;
                }
            });
        };
        push(&mut tenant, lowered);
        push(&mut tenant, swap);
        for _ in 0..64 {
            let mut hash = Vec::new();
            tidegate_model::codec::encode(&mut hash, TenantId(1), &Input::Hash);
            push(&mut tenant, hash);
        }
        // The swap has more than 64 steps of work in front of it, so every one of the 64 had to wait.
        assert_eq!(refused, expected, "pending {pending}");
    }
}

/// A digest of many changed records is work like any other: fuel cuts it, and what it says does not depend on where.
#[test]
fn a_digest_of_a_crowd_is_cut_by_fuel_and_says_the_same() {
    use tidegate_model::output::Output;
    // Two seats and a crowd: the swap changes hundreds of waiting contacts.
    let crowd = RigConfig { seats: 2, arrival_ms: 100, customers: 5_000, ..RigConfig::small(seed(24)) };
    let mut run = Run::new(crowd, Limits::SMALL);
    run.steps(3_000);
    assert!(run.tenant.ledger().waiting > 200);
    let (at, swap) = (run.rig.now(), run.rig.policy_entry(OTHER_POLICY, 3));
    run.push(at, swap);
    finish(&mut run.tenant, at);
    let mut said = Vec::new();
    for fuel in [1 << 20, 2_048, 64, 1] {
        let mut tenant = crate::support::replay(&run.log, Limits::SMALL);
        finish(&mut tenant, at);
        let limits = Input::Admin(tidegate_model::input::Admin::Limits(Limits { fuel, ..Limits::SMALL }));
        tenant.handle(at, Seq(1 << 40), limits);
        while tenant.poll_output().is_some() {}
        tenant.handle(at, Seq(1 << 41), Input::Hash);
        let (mut rounds, mut outputs) = (0, Vec::new());
        loop {
            outputs.extend(std::iter::from_fn(|| tenant.poll_output()));
            if tenant.next_deadline().is_none_or(|due| due > at) {
                break;
            }
            rounds += 1;
            assert!(rounds < 10_000, "work never ends");
            tenant.handle(at, Seq(0), Input::Tick);
        }
        assert!(
            matches!(outputs[..], [Output::Digest { seq: Seq(a), .. }, Output::Reply { seq: Seq(b), .. }] if a == b),
            "{outputs:?}"
        );
        assert_eq!(rounds > 3, fuel <= 64, "fuel {fuel}: {rounds} ticks behind the entry");
        said.push((outputs, tenant.digests()));
    }
    assert!(said.iter().all(|s| *s == said[0]), "the digest depends on fuel");
}

/// While a tenant's work waits, its inputs carry on with a share of their fuel only: ticks do the work.
#[test]
fn an_input_that_finds_work_waiting_does_little_of_it() {
    let crowd = RigConfig { seats: 2, arrival_ms: 100, customers: 5_000, ..RigConfig::small(seed(25)) };
    let mut run = Run::new(crowd, Limits::SMALL);
    run.steps(9_000);
    let at = run.rig.now();
    let limits = Limits { fuel: 256, ..Limits::SMALL };
    // How many ticks the work of a swap takes behind so many entries of one kind.
    let ticks_behind = |count: u64, input: Input<'static>| {
        let mut tenant = crate::support::replay(&run.log, Limits::SMALL);
        tenant.handle(at, Seq(1 << 40), Input::Admin(tidegate_model::input::Admin::Limits(limits)));
        let swap = run.rig.policy_entry(OTHER_POLICY, 3);
        let swap = tidegate_model::codec::decode(&swap).expect("own entry");
        tenant.handle(at, Seq(1 << 41), swap.input);
        for i in 0..count {
            tenant.handle(at, Seq((1 << 41) + 1 + i), input);
        }
        let mut ticks = 0;
        while tenant.next_deadline().is_some_and(|due| due <= at) {
            while tenant.poll_output().is_some() {}
            tenant.handle(at, Seq(0), Input::Tick);
            ticks += 1;
            assert!(ticks < 100_000, "work never ends");
        }
        ticks
    };
    let alone = ticks_behind(0, Input::Tick);
    assert!(alone > 8, "{alone} ticks");
    assert_eq!(ticks_behind(alone / 2, Input::Tick), alone - alone / 2);
    let behind = ticks_behind(alone / 2, Input::LeaderStarted { term: tidegate_model::Term(2), gap: tidegate_model::Millis(0) });
    assert!(behind >= alone - alone / 4, "{behind} of {alone} ticks are left: the inputs did the work");
}
