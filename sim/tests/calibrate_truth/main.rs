//! What was put into a made record comes out of `calibrate`: parameters within their intervals at the rate that those claim.
//!
//! - `fits`: arrivals, patience, handle times, agents, redials, head start, hidden idle time;
//! - `slowdown`: the curve of several contacts at once.

#[path = "../calibrate_kit/mod.rs"]
mod calibrate_kit;
mod fits;
mod made;
mod slowdown;
