//! Properties of the tenant machine, one file each; they share one driver and one seeded population (feature `rig`).

mod room;
mod scenario;
mod support;

mod burst;

mod effects;
mod files;
mod fuel;
mod full;
mod invariants;
mod lanes;
mod limits;
mod manual;
mod offers;
mod order;
mod poison;
mod policy_text;
mod repeats;
mod restore;
mod swap;
