//! Lanes are capped: a swap gives back those of the policy before, and an empty lane that is remembered is never given away.

use crate::support::{Run, seed};
use tidegate_core::rig::{OTHER_POLICY, POLICY, RigConfig};
use tidegate_model::limits::Limits;

#[test]
fn a_hundred_policies_fit_into_the_lanes_of_two() {
    // Each rig policy needs at most 48 lanes with its classes, weights and asked-for skills.
    let mut run = Run::new(RigConfig::small(seed(41)), Limits { lanes: 128, ..Limits::SMALL });
    for i in 0..100_u32 {
        run.steps(150);
        let text = if i % 2 == 0 { OTHER_POLICY } else { POLICY };
        // Another weight each time: no lane of an earlier policy is the same lane again.
        let text = text.replace("name = \"support\"\n", &format!("name = \"support\"\nweight = \"{}s\"\n", i + 20));
        let text = text.replacen(&format!("weight = \"{}s\"\nweight = \"10s\"", i + 20), &format!("weight = \"{}s\"", i + 20), 1);
        let (at, entry) = (run.rig.now(), run.rig.policy_entry(&text, i as u8));
        run.push(at, entry);
        assert_eq!(run.tenant.check(), Ok(()), "policy {i}");
        assert_eq!(run.tenant.policy_hash(), Some([i as u8; 32]), "policy {i} was refused");
    }
    let lanes = run.tenant.pressure().into_iter().find(|(name, ..)| *name == "lanes").map(|(_, used, _)| used);
    assert!(lanes.is_some_and(|used| used <= 64), "lanes leak: {lanes:?}");
}
