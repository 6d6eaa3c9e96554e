//! Waits in one mergeable histogram: quantiles with a known error, whatever the number of contacts.
//!
//! An HDR histogram of three significant digits over 1 ms to 30 days: a quantile is at most a thousandth off, memory does not grow with contacts,
//! and counts add up exactly, so merged shards are the whole. A wait of none is counted as none, not as one millisecond. It knows
//! milliseconds and nothing of who waited.

use super::interval::{OutputError, share};
use hdrhistogram::Histogram;
use thiserror::Error;

/// Waits past this are counted as this: 30 days.
pub const LONGEST_WAIT_MS: u64 = 30 * 24 * 3_600_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// Why a histogram of waits cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a histogram of waits cannot be made: {why}")]
pub struct WaitsError {
    why: String,
}

/// Waits of some contacts.
#[derive(Clone, Debug)]
pub struct Waits {
    histogram: Histogram<u64>,
    total_ms: u128,
    longer: u64,
}

impl Waits {
    /// None yet. About 300 kB.
    ///
    /// # Errors
    /// [`WaitsError`], when memory cannot be had.
    pub fn new() -> Result<Self, WaitsError> {
        let histogram = Histogram::new_with_bounds(1, LONGEST_WAIT_MS, SIGNIFICANT_DIGITS)
            .map_err(|error| WaitsError { why: error.to_string() })?;
        Ok(Self { histogram, total_ms: 0, longer: 0 })
    }

    /// Counts a wait; past [`LONGEST_WAIT_MS`] it counts as that, and as longer.
    pub fn add(&mut self, wait_ms: u64) {
        self.longer += u64::from(wait_ms > LONGEST_WAIT_MS);
        self.histogram.saturating_record(wait_ms.min(LONGEST_WAIT_MS));
        self.total_ms += u128::from(wait_ms);
    }

    /// Adds the waits of others.
    pub fn merge(&mut self, other: &Self) {
        // Both have the same bounds, so that every count of the other fits.
        self.histogram += &other.histogram;
        self.total_ms += other.total_ms;
        self.longer += other.longer;
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// How many were longer than [`LONGEST_WAIT_MS`].
    pub fn longer(&self) -> u64 {
        self.longer
    }

    /// The exact mean; none of nothing.
    pub fn mean_ms(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.total_ms as f64 / self.count() as f64)
    }

    /// The wait that a share `q` does not exceed, at most a thousandth above the true one; none of nothing.
    ///
    /// # Errors
    /// [`OutputError::NoShare`] unless 0 < q < 1.
    pub fn quantile_ms(&self, q: f64) -> Result<Option<u64>, OutputError> {
        let q = share("quantile", q)?;
        Ok((self.count() > 0).then(|| self.histogram.value_at_quantile(q)))
    }

    /// How many waited at most this long, to the histogram's resolution.
    pub fn at_most(&self, wait_ms: u64) -> u64 {
        self.histogram.count_between(0, wait_ms.min(LONGEST_WAIT_MS))
    }
}
