//! I1, I2, I3, I13 and the ledger's equation, checked at every step of a busy floor with mischief and a policy swap.
//!
//! Source: DESIGN §13. The population repeats, forges, transfers, signs out, loses its link; nothing may leak.

use crate::support::{Run, nightly, seed};
use std::collections::BTreeMap;
use tidegate_core::rig::{OTHER_POLICY, POLICY, RigConfig};
use tidegate_model::ContactId;
use tidegate_model::limits::Limits;
use tidegate_model::output::{Item, Output};

#[test]
fn every_contact_has_one_owner_one_exit_and_no_seat_is_over_its_capacity() {
    for seed in seed(1)..seed(1) + nightly(3, 40) as u64 {
        let mut run = Run::new(RigConfig::small(seed), Limits::SMALL);
        let steps = nightly(12_000, 60_000);
        for i in 0..steps {
            let (at, entry) = run.rig.next();
            run.push(at, entry);
            let ledger = run.tenant.ledger();
            assert!(ledger.balanced(), "seed {seed} step {i}: {ledger:?}");
            if i % 61 == 0 {
                assert_eq!(run.tenant.check(), Ok(()), "seed {seed} step {i}");
            }
            if i == steps / 3 || i == 2 * steps / 3 {
                let text = if i == steps / 3 { OTHER_POLICY } else { POLICY };
                let entry = run.rig.policy_entry(text, i as u8);
                run.push(at, entry);
                assert_eq!(run.tenant.check(), Ok(()), "seed {seed} after a policy swap at step {i}");
            }
        }
        let ledger = run.tenant.ledger();
        assert!(ledger.exits[0] > 100, "seed {seed}: a floor that serves nobody proves nothing: {ledger:?}");
        assert_eq!(ledger.poisoned, 0);
        assert!(ledger.duplicates > 0 && ledger.refused_inputs > 0, "seed {seed}: mischief did not happen: {ledger:?}");
    }
}

#[test]
fn transcripts_are_numbered_without_gaps_and_every_contact_ends_once() {
    let mut run = Run::new(RigConfig::small(seed(7)), Limits::SMALL);
    let mut heads: BTreeMap<u128, u32> = BTreeMap::new();
    let mut open: BTreeMap<u128, ContactId> = BTreeMap::new();
    let mut records = 0;
    for _ in 0..nightly(20_000, 200_000) {
        let (at, mut entry) = run.rig.next();
        tidegate_model::codec::stamp(&mut entry, tidegate_model::Seq(run.log.len() as u64 + 1), at);
        let rig = &mut run.rig;
        crate::support::apply(&mut run.tenant, &entry, |output| {
            rig.observe(output);
            match output {
                Output::Transcript { conversation, n, item, .. } => {
                    let head = heads.entry(conversation.0).or_insert(0);
                    // A conversation that left memory and came back without a known number starts again at 1.
                    assert!(*n == *head + 1 || *n == 1, "gap: {head} then {n}");
                    *head = *n;
                    match item {
                        Item::Began { contact } => assert_eq!(open.insert(conversation.0, *contact), None),
                        Item::Ended { .. } => assert!(open.remove(&conversation.0).is_some(), "an end without a beginning"),
                        _ => {}
                    }
                }
                Output::Contact(_) => records += 1,
                _ => {}
            }
        });
        run.log.push(entry);
    }
    let ledger = run.tenant.ledger();
    assert_eq!(open.len() as u64, ledger.open());
    assert_eq!(records, ledger.exited());
}
