//! One long run instead of many: where it may be taken to have warmed up, and an interval from its batches.
//!
//! [`mser5`] cuts the beginning that would make the remaining mean's own error larger; [`batch_means`] cuts what is left into batches long
//! enough to pass for independent, and gives Student's interval of their means. Both read observations in the order of the run.
//!
//! Sources: K. P. White, M. J. Cobb, S. C. Spratt, "A comparison of five steady-state truncation heuristics", WSC 2000 (MSER-5);
//! B. Schmeiser, Operations Research 30 (1982) 556-568 (10 to 30 batches).

use super::interval::{Interval, OutputError, mean_interval};
use super::moments::Moments;
use super::sum::Sum;

/// Observations in one of MSER-5's small batches.
const MSER_BATCH: usize = 5;
/// Batches below which nobody can tell.
const BATCHES_MIN: usize = 5;

/// Where a run's warm-up ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmUp {
    /// This many observations are to be left out.
    Ends(usize),
    /// The best cut lies in the second half: the run is too short to say.
    NotSeen,
}

/// The cut of MSER-5. O(n).
///
/// # Errors
/// [`OutputError::TooFew`] below 25 observations.
pub fn mser5(observations: &[f64]) -> Result<WarmUp, OutputError> {
    let batches: Vec<f64> = observations
        .chunks_exact(MSER_BATCH)
        .map(|batch| batch.iter().copied().collect::<Sum>().value() / MSER_BATCH as f64)
        .collect();
    if batches.len() < BATCHES_MIN {
        return Err(OutputError::TooFew { found: observations.len() as u64, least: (BATCHES_MIN * MSER_BATCH) as u64 });
    }
    // Around the overall mean, so that the subtraction below keeps its digits.
    let centre = batches.iter().copied().collect::<Sum>().value() / batches.len() as f64;
    let (mut sum, mut squares) = (Sum::default(), Sum::default());
    let mut best = (f64::INFINITY, 0);
    for (cut, mean) in batches.iter().enumerate().rev() {
        sum.add(mean - centre);
        squares.add((mean - centre) * (mean - centre));
        let left = (batches.len() - cut) as f64;
        // Of few batches the error looks small by chance.
        if left < BATCHES_MIN as f64 {
            continue;
        }
        let around = squares.value() - sum.value() * sum.value() / left;
        let error = libm::fmax(0.0, around) / (left * left);
        if error <= best.0 {
            best = (error, cut);
        }
    }
    Ok(if best.1 > batches.len() / 2 { WarmUp::NotSeen } else { WarmUp::Ends(best.1 * MSER_BATCH) })
}

/// An interval for the mean of a run in steady state from `batches` batches of equal length; a rest at the beginning that fills no
/// batch is left out. Batches must be long beside the run's memory: compare with half as many.
///
/// # Errors
/// [`OutputError::TooFew`] for fewer than two batches, or fewer observations than batches.
pub fn batch_means(observations: &[f64], batches: usize, level: f64) -> Result<Interval, OutputError> {
    if batches < 2 || observations.len() < batches {
        return Err(OutputError::TooFew { found: observations.len() as u64, least: batches.max(2) as u64 });
    }
    let length = observations.len() / batches;
    let used = &observations[observations.len() - length * batches..];
    let means = used.chunks_exact(length).map(|batch| batch.iter().copied().collect::<Sum>().value() / length as f64);
    mean_interval(&Moments::of(means)?, level)
}
