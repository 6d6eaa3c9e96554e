//! Properties of the tenant machine, one file each; they share one driver and one seeded population (feature `rig`).

mod support;

mod fuel;
mod invariants;
mod lanes;
mod poison;
mod policy_text;
mod restore;
