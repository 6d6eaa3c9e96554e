//! Forecasts that can be explained: a weekday profile, a level, events, and how far reality strays from them.
//!
//! - [`series`]: counts on a grid of days and intervals; `unique_id, ds, y` files in and out, so that other engines plug in;
//! - [`core`]: the model (level · weekday · shape · event), fitted with shrinkage, and what it says of a day;
//! - [`paths`]: whole sample days of the Gamma-Poisson noise around it, and the update of a day that has begun;
//! - [`accuracy`]: WAPE, bias, MASE and pinball loss with the noise floor beside each; [`rolling`] measures them as they would have
//!   been met, week by week, beside the seasonal naive.
//!
//! It refuses to know calendars of holidays (events come named by the caller), files' paths, and clocks.

pub mod series;

pub mod core;
pub mod paths;

pub mod accuracy;
pub mod rolling;
