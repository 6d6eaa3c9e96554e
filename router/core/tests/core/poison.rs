//! A panic inside a decision is the same recorded outcome on every replica and costs its own contact only.
//!
//! Planted through the rig's probe, which looks at the conversation alone: so live node, twin and replica panic alike.

use crate::support::{Run, apply, guard, nightly, seed};
use std::sync::Mutex;
use tidegate_core::Tenant;
use tidegate_core::rig::{Rig, RigConfig};
use tidegate_model::limits::Limits;
use tidegate_model::output::Output;
use tidegate_model::{ConversationId, TenantId, Timestamp};

/// One in sixteen conversations is poisonous.
fn probe(conversation: ConversationId) {
    assert!((conversation.0 as u64) % 16 != 0, "planted");
}

fn run(seed: u64, steps: usize) -> (Run, Vec<u64>) {
    let config = RigConfig::small(seed);
    let mut tenant = Tenant::new(TenantId(1), Limits::SMALL, guard());
    tenant.set_probe(Some(probe));
    let mut run = Run { rig: Rig::new(config), tenant, log: Vec::new() };
    for entry in run.rig.bootstrap() {
        run.push(Timestamp(1), entry);
    }
    let mut poisoned = Vec::new();
    for _ in 0..steps {
        let (at, mut entry) = run.rig.next();
        tidegate_model::codec::stamp(&mut entry, tidegate_model::Seq(run.log.len() as u64 + 1), at);
        let rig = &mut run.rig;
        apply(&mut run.tenant, &entry, |o| {
            rig.observe(o);
            if let Output::Poisoned { seq, .. } = o {
                poisoned.push(seq.0);
            }
        });
        run.log.push(entry);
    }
    (run, poisoned)
}

#[test]
fn planted_panics_cost_their_own_contacts_and_replicas_agree() {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    let (run, poisoned) = run(seed(31), nightly(10_000, 100_000));
    assert!(poisoned.len() > 50, "only {} panics: the plant did not grow", poisoned.len());
    assert_eq!(run.tenant.check(), Ok(()));
    let ledger = run.tenant.ledger();
    assert_eq!(ledger.poisoned, poisoned.len() as u64);
    assert!(ledger.exits[0] > 100, "others were served: {ledger:?}");

    let mut replica = Tenant::new(TenantId(1), Limits::SMALL, guard());
    replica.set_probe(Some(probe));
    for entry in &run.log {
        apply(&mut replica, entry, |_| {});
    }
    assert_eq!(replica.digests(), run.tenant.digests());
    assert_eq!(replica.full_digest(), run.tenant.full_digest());
}
