//! Restore-then-continue equals continue, at random prefixes, in the middle of a policy swap and of starved work too.
//!
//! Source: cell spike §5: an equal digest at restore proved too little, so both machines go on and are compared again.

use crate::support::{Run, apply, guard, nightly, seed};
use tidegate_core::rig::{OTHER_POLICY, RigConfig};
use tidegate_core::{RestoreError, Tenant};
use tidegate_model::limits::Limits;

#[test]
fn a_restored_machine_goes_on_as_if_nothing_had_happened() {
    let limits = Limits { fuel: 40, ..Limits::SMALL };
    let mut run = Run::new(RigConfig::small(seed(11)), limits);
    let mut restored: Vec<(usize, Tenant)> = Vec::new();
    let total = nightly(8_000, 400_000);
    for i in 0..total {
        if i % (total / 9) == total / 18 {
            let mut bytes = Vec::new();
            run.tenant.snapshot(&mut bytes);
            let twin = Tenant::restore(&bytes, guard()).expect("its own snapshot");
            assert_eq!(twin.full_digest(), run.tenant.full_digest(), "equal at restore, step {i}");
            restored.push((run.log.len(), twin));
        }
        if i == total / 2 {
            let entry = run.rig.policy_entry(OTHER_POLICY, 9);
            let at = run.rig.now();
            run.push(at, entry);
            // Fuel of 40 leaves the swap half done here.
            let mut bytes = Vec::new();
            run.tenant.snapshot(&mut bytes);
            restored.push((run.log.len(), Tenant::restore(&bytes, guard()).expect("its own snapshot")));
        }
        run.steps(1);
    }
    for (from, mut twin) in restored {
        for entry in &run.log[from..] {
            apply(&mut twin, entry, |_| {});
        }
        assert_eq!(twin.digests(), run.tenant.digests(), "restored at entry {from}");
        assert_eq!(twin.full_digest(), run.tenant.full_digest(), "restored at entry {from}");
        assert_eq!(twin.open_effects(), run.tenant.open_effects(), "restored at entry {from}");
    }
}

#[test]
fn broken_snapshots_are_refused_and_never_panic() {
    let mut run = Run::new(RigConfig::small(seed(12)), Limits { conversations: 512, ..Limits::SMALL });
    run.steps(2_000);
    let mut bytes = Vec::new();
    run.tenant.snapshot(&mut bytes);
    assert_eq!(Tenant::restore(&[], guard()).err(), Some(RestoreError::Unreadable("empty")));
    assert_eq!(Tenant::restore(&[9, 0, 0], guard()).err(), Some(RestoreError::Version(9)));
    for cut in 0..200 {
        let end = bytes.len() * cut / 200;
        assert!(Tenant::restore(&bytes[..end], guard()).is_err(), "cut at {end} of {}", bytes.len());
    }
}
