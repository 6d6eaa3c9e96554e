//! Memory is reserved once by the limits, and writing it ahead changes nothing that anybody can see.
//!
//! Source: issue A ("no single input past 1 ms", "a limit on everything"): a table that grows copies itself inside one input.

use crate::support::{Run, apply, guard, nightly, seed};
use tidegate_core::Tenant;
use tidegate_core::rig::RigConfig;
use tidegate_model::limits::Limits;

/// Tables that grow with an input's own work or the policy's shape, not with the load: a few kilobytes.
const SMALL_TABLES: [&str; 4] = ["steps", "outputs", "lane sets", "ticket owners"];

fn bytes(tenant: &Tenant) -> Vec<u8> {
    let mut out = Vec::new();
    tenant.snapshot(&mut out);
    out
}

fn reserved(tenant: &Tenant) -> Vec<(&'static str, usize)> {
    tenant.room().into_iter().filter(|(name, _)| !SMALL_TABLES.contains(name)).collect()
}

#[test]
fn memory_written_ahead_is_not_state_and_no_table_moves() {
    let limits = Limits { fuel: 40, ..Limits::SMALL };
    let mut run = Run::new(RigConfig::small(seed(13)), limits);
    // One machine as it is, one whole, one up to a budget that ends in the middle of a table.
    let mut machines: Vec<Tenant> = [0, usize::MAX, 500_000]
        .map(|budget| {
            let mut tenant = Tenant::new(run.tenant.id(), limits, guard());
            let written = tenant.prefault(budget);
            assert!(written <= budget && (budget == 0) == (written == 0) && (budget != 500_000 || written > 400_000));
            tenant
        })
        .into();
    let room = reserved(&machines[0]);
    run.steps(nightly(4_000, 100_000));
    let half = run.log.len();
    let at_half = bytes(&run.tenant);
    for budget in [0, usize::MAX, 500_000] {
        let mut restored = Tenant::restore(&at_half, guard()).expect("its own snapshot");
        for ((name, now), (_, made)) in reserved(&restored).into_iter().zip(&room) {
            assert!(now >= *made, "{name}: room for {now} after a restore, {made} when it was made");
        }
        restored.prefault(budget);
        assert!(bytes(&restored) == at_half);
        machines.push(restored);
    }
    run.steps(nightly(2_000, 50_000));
    // In the middle of its life, too.
    run.tenant.prefault(usize::MAX);
    run.steps(nightly(500, 5_000));
    let whole = bytes(&run.tenant);
    for (i, mut tenant) in machines.into_iter().enumerate() {
        let before = reserved(&tenant);
        for entry in &run.log[if i < 3 { 0 } else { half }..] {
            apply(&mut tenant, entry, |_| {});
        }
        assert_eq!(tenant.digests(), run.tenant.digests(), "machine {i}");
        assert_eq!(tenant.full_digest(), run.tenant.full_digest(), "machine {i}");
        assert!(bytes(&tenant) == whole, "machine {i}");
        assert_eq!(reserved(&tenant), before, "machine {i}: a table moved");
    }
}
