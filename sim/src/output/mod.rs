//! What may be said of simulated figures: sums that do not depend on the split, intervals, stopping, and choosing among policies.
//!
//! - [`Sum`], [`ExactSum`], [`Moments`]: compensated and exact sums; moments merged in any order from any split have the same bytes;
//! - [`student`], [`mean_interval`], [`ratio_delta`], [`ratio_jackknife`], [`quantile_interval`]: intervals from independent replications;
//! - [`batch_means`], [`mser5`]: one long run; [`Stopping`]: when replications suffice;
//! - [`control`]: control variates with known means (Erlang figures); [`paired`]: differences under common random numbers;
//! - [`select_kn`], [`ocba`], [`holm`], [`bonferroni`]: the best of several policies, and several comparisons at once;
//! - [`Waits`]: quantiles of waits in one mergeable histogram.
//!
//! Everything is a pure function through the pinned `libm`. It refuses to know what a figure means, and where replications run.

mod exact;
mod moments;
mod sum;

mod interval;
mod quantile;
mod ratio;
pub mod student;

mod control;
mod paired;
mod run;

mod select;
mod several;
mod stopping;
mod waits;

pub use control::{Controlled, control};
pub use exact::{ExactSum, NotFinite};
pub use interval::{Interval, OutputError, mean_interval};
pub use moments::Moments;
pub use paired::{paired, welch};
pub use quantile::quantile_interval;
pub use ratio::{RatioMoments, ratio_delta, ratio_jackknife};
pub use run::{WarmUp, batch_means, mser5};
pub use select::{Kn, KnError, Selected, ocba, select_kn};
pub use several::{Comparison, bonferroni, holm};
pub use stopping::{Stopping, Verdict};
pub use sum::Sum;
pub use waits::{LONGEST_WAIT_MS, Waits, WaitsError};
