//! How often intervals hold the truth, over fixed seeds: shared by the tests of calibration and of forecasts.
//!
//! Nightly runs take more seeds; `TIDEGATE_SEED` moves the first.

use tidegate_sim::calibrate::Estimate;

/// A Monday, 2026-01-05, as milliseconds.
pub const MONDAY_MS: i64 = 20_458 * 86_400_000;

/// How many seeds: the full number nightly.
pub fn seeds(full: u64, quick: u64) -> std::ops::Range<u64> {
    let nightly = std::env::var("TIDEGATE_NIGHTLY").is_ok_and(|value| value == "1");
    let first = std::env::var("TIDEGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    first..first + if nightly { full } else { quick }
}

/// Counts how often an interval held the truth.
#[derive(Default)]
pub struct Coverage {
    covered: u64,
    tried: u64,
}

impl Coverage {
    pub fn see(&mut self, estimate: &Estimate, truth: f64) {
        self.tried += 1;
        self.covered += u64::from(estimate.covers(truth));
    }

    /// Fails when the count is one that 95 % intervals give less than once in ten thousand times (normal with continuity).
    pub fn check(&self, what: &str) {
        self.check_at(what, 0.95);
    }

    /// The same for intervals that are only claimed to hold the truth this often.
    pub fn check_at(&self, what: &str, least: f64) {
        let n = self.tried as f64;
        let share = self.covered as f64 / n;
        println!("{what}: covered {} of {} ({:.1} %)", self.covered, self.tried, share * 100.0);
        assert!(share >= least - 3.72 * (least * (1.0 - least) / n).sqrt() - 0.5 / n, "{what}: {share}");
    }
}
