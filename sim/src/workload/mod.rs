//! Workload: a scenario's spreads and rates as samplers and streams of arrivals.
//!
//! [`Sampler`] draws spans in milliseconds; [`ArrivalStream`] gives the moments of one demand, one after the other, by unit-rate
//! exponentials through the cumulated rate (Çinlar 1975, "inversion"), so that a change of the rate moves no draw;
//! [`Intensity`] is that rate. Nothing here knows agents, policies or events; every number drawn comes from a stream that the
//! caller names, in the order of arrivals, so that two policies see the same customers.

mod arrivals;
mod busyness;
mod sampler;

pub use arrivals::{ArrivalStream, Intensity};
pub use busyness::{BusyDay, gamma_quantile};
pub use sampler::{Sampler, whole_ms};
