//! Shared by property tests: a runner whose seed and case count come from the environment.
//!
//! `TIDEGATE_SEED` replays one seed (1999 otherwise, so that two runs are the same), `TIDEGATE_NIGHTLY=1` raises the count.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// Runs `test` on `cases` values, or on `nightly_cases`.
///
/// # Panics
/// When a value fails, with the seed and the smallest value found.
pub fn run<S: Strategy>(cases: u32, nightly_cases: u32, strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let nightly = std::env::var("TIDEGATE_NIGHTLY").is_ok_and(|value| value == "1");
    let seed: u64 = std::env::var("TIDEGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1999);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let cases = if nightly { nightly_cases } else { cases };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, rng).run(strategy, test).unwrap_or_else(|error| panic!("TIDEGATE_SEED={seed}: {error}"));
}
