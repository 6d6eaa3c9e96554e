//! The best of several policies: a fully sequential procedure with a guarantee, and an allocation that spends replications well.
//!
//! [`Kn`] (Kim and Nelson) eliminates a policy as soon as another is surely better by more than an indifference zone δ; with probability at
//! least 1 − α the last one is the best, or within δ of it. It takes common random numbers: variances are those of differences.
//! [`ocba`] (Chen and others) says how to share a budget so that the best is most probably found; it promises nothing and is fast.
//! Larger is better; negate costs. Neither knows what a policy is.
//!
//! Sources: S.-H. Kim, B. L. Nelson, ACM TOMACS 11 (2001) 251-273; C.-H. Chen, J. Lin, E. Yücesan, S. Chick, Discrete Event Dynamic
//! Systems 10 (2000) 251-270.

use super::exact::NotFinite;
use super::moments::Moments;
use super::sum::Sum;
use thiserror::Error;

/// Settings of a selection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kn {
    /// Probability of a wrong choice, at most: between 0 and 1.
    pub alpha: f64,
    /// A difference that does not matter, above 0.
    pub indifference: f64,
    /// Replications of every policy before the first elimination: at least 2; 10 or more is wise.
    pub first: u64,
    /// Replications of a policy after which it ends undecided.
    pub most: u64,
}

/// Why there is no selection.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KnError<E: std::error::Error + 'static> {
    /// A setting.
    #[error("{field} is {found}, expected {expected}")]
    Setting {
        /// Which.
        field: &'static str,
        /// What was given.
        found: f64,
        /// What was expected.
        expected: &'static str,
    },
    /// The simulator failed.
    #[error("the simulator stopped")]
    Simulator(#[source] E),
    /// A figure that is no number.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
}

/// What a selection ended with.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// The best; of several left the one with the best mean.
    pub best: usize,
    /// Those that were left when it ended: one, when it was decided.
    pub left: Vec<usize>,
    /// Replications of each policy.
    pub replications: Vec<u64>,
    /// Mean of each, over its replications.
    pub means: Vec<f64>,
}

/// Selects the best of `policies` by Kim and Nelson's procedure. `simulate(policy, replication)` gives one figure; with the same random numbers
/// for the same replication the procedure needs fewer of them.
///
/// # Errors
/// [`KnError`].
pub fn select_kn<E: std::error::Error + 'static>(
    kn: Kn,
    policies: usize,
    mut simulate: impl FnMut(usize, u64) -> Result<f64, E>,
) -> Result<Selected, KnError<E>> {
    let setting = |field, found, expected| Err(KnError::Setting { field, found, expected });
    if policies == 0 {
        return setting("policies", 0.0, "at least one");
    }
    if !(kn.alpha > 0.0 && kn.alpha < 1.0) {
        return setting("alpha", kn.alpha, "a number between 0 and 1");
    }
    if !(kn.indifference.is_finite() && kn.indifference > 0.0) {
        return setting("indifference", kn.indifference, "a finite number above 0");
    }
    if kn.first < 2 || kn.most < kn.first {
        return setting("first", kn.first as f64, "at least 2, and at most the most");
    }
    let mut figures: Vec<Vec<f64>> = vec![Vec::new(); policies];
    for (policy, figures) in figures.iter_mut().enumerate() {
        for replication in 0..kn.first {
            figures.push(simulate(policy, replication).map_err(KnError::Simulator)?);
        }
    }
    let mut sums: Vec<Sum> = figures.iter().map(|figures| figures.iter().copied().collect()).collect();
    let mut replications = vec![kn.first; policies];
    let mut left: Vec<usize> = (0..policies).collect();
    let freedom = kn.first as f64 - 1.0;
    // η of the paper with c = 1.
    let eta = (libm::pow(2.0 * kn.alpha / (policies as f64 - 1.0).max(1.0), -2.0 / freedom) - 1.0) / 2.0;
    let mut reach = vec![vec![0.0; policies]; policies];
    for i in 0..policies {
        for j in 0..policies {
            let differences = figures[i].iter().zip(&figures[j]).map(|(a, b)| a - b);
            let variance = Moments::of(differences)?.variance().unwrap_or(0.0);
            reach[i][j] = 2.0 * eta * freedom * variance / kn.indifference;
        }
    }
    let mut count = kn.first;
    loop {
        let total = |policy: usize| sums[policy].value();
        let survives = |i: usize| {
            left.iter().all(|&j| {
                let allowed = libm::fmax(0.0, (reach[i][j] - kn.indifference * count as f64) / 2.0);
                i == j || total(i) >= total(j) - allowed
            })
        };
        // Two equal totals at the end of their allowance both survive: more replications part them.
        left = left.iter().copied().filter(|&policy| survives(policy)).collect();
        if left.len() <= 1 || count >= kn.most {
            break;
        }
        for &policy in &left {
            let figure = simulate(policy, count).map_err(KnError::Simulator)?;
            if !figure.is_finite() {
                return Err(NotFinite { found: figure }.into());
            }
            sums[policy].add(figure);
            replications[policy] += 1;
        }
        count += 1;
    }
    let means: Vec<f64> = sums.iter().zip(&replications).map(|(sum, n)| sum.value() / *n as f64).collect();
    let best = left.iter().copied().max_by(|a, b| means[*a].total_cmp(&means[*b]).then(b.cmp(a))).unwrap_or(0);
    Ok(Selected { best, left, replications, means })
}

/// How to share `budget` replications in all, those done included, among policies with these moments (at least two each): the number
/// that each should have had. Larger means are better.
pub fn ocba(policies: &[Moments], budget: u64) -> Vec<u64> {
    let figures: Vec<(f64, f64)> =
        policies.iter().map(|moments| (moments.mean().unwrap_or(0.0), moments.deviation().unwrap_or(0.0))).collect();
    let Some(best) = (0..figures.len()).max_by(|a, b| figures[*a].0.total_cmp(&figures[*b].0).then(b.cmp(a))) else {
        return Vec::new();
    };
    let (best_mean, best_deviation) = figures[best];
    // A policy as good as the best would be given everything; this gap is below what anybody tells apart.
    let floor = 1e-9 * (libm::fabs(best_mean) + best_deviation) + f64::MIN_POSITIVE;
    let mut weights: Vec<f64> = figures
        .iter()
        .map(|(mean, deviation)| {
            let signal = deviation / libm::fmax(best_mean - mean, floor);
            signal * signal
        })
        .collect();
    let of_others: f64 = figures
        .iter()
        .zip(&weights)
        .enumerate()
        .filter(|(at, ((_, deviation), _))| *at != best && *deviation > 0.0)
        .map(|(_, ((_, deviation), weight))| (weight / deviation) * (weight / deviation))
        .sum();
    weights[best] = best_deviation * libm::sqrt(of_others);
    let total: f64 = weights.iter().sum();
    let share = |weight: f64| if total > 0.0 { weight / total } else { 1.0 / figures.len() as f64 };
    let mut shares: Vec<u64> = weights.iter().map(|weight| libm::floor(share(*weight) * budget as f64) as u64).collect();
    // What rounding left goes to the best.
    shares[best] += budget.saturating_sub(shares.iter().sum());
    shares
}
