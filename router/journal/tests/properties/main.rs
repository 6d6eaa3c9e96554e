//! The journal's properties, one file each; the full counts run under `TIDEGATE_NIGHTLY=1`, `TIDEGATE_SEED` replays one seed.
//!
//! They drive the public face only, over the faulty disk, the real one, or a wrapper that breaks a promise on purpose: a
//! checker that does not catch a planted bug proves nothing. One binary, so that they link once.

mod arbitrary_bytes;
mod damage;
mod disk_full;
mod failing_sync;
mod golden;
mod holes;
mod limits;
mod power_cuts;
mod readers;
mod recycled;
mod scan_equals_appended;
mod scrub;
mod snapshots;
mod support;
