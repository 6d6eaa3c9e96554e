//! Control variates: what is known of a replication beforehand takes noise out of what is not.
//!
//! A control is a figure of each replication whose mean is known exactly: the contacts that arrived, the work that they brought, or what
//! Erlang's formula says of the same pool. The estimate is the regression's value at the known means, its interval the regression's
//! own, so that a control that explains nothing costs a degree of freedom and is not believed. The adjusted estimate is unbiased when
//! figure and controls are jointly normal, and nearly so for many replications.
//!
//! Sources: S. S. Lavenberg, P. D. Welch, Management Science 27 (1981) 322-335; B. L. Nelson, Operations Research 38 (1990) 974-992.

use super::interval::{Interval, OutputError, factor, share};
use super::moments::Moments;

/// A figure adjusted by its controls.
#[derive(Clone, Debug, PartialEq)]
pub struct Controlled {
    /// The adjusted estimate with its interval.
    pub interval: Interval,
    /// What one unit of each control is worth.
    pub weights: Vec<f64>,
    /// Share of the variance that the controls explain.
    pub explained: f64,
}

/// Adjusts `figures` by `controls`: for each control its value in every replication, and its known mean.
///
/// # Errors
/// [`OutputError`]: lists of unequal length, fewer replications than controls + 3, or controls that do not vary by themselves.
pub fn control(figures: &[f64], controls: &[(&[f64], f64)], level: f64) -> Result<Controlled, OutputError> {
    let level = share("level", level)?;
    let (n, q) = (figures.len(), controls.len());
    if n < q + 3 {
        return Err(OutputError::TooFew { found: n as u64, least: q as u64 + 3 });
    }
    for (values, _) in controls {
        if values.len() != n {
            return Err(OutputError::Unequal { found: values.len(), expected: n });
        }
    }
    let few = OutputError::TooFew { found: n as u64, least: 2 };
    let mean_of = |values: &[f64]| -> Result<f64, OutputError> { Moments::of(values.iter().copied())?.mean().ok_or(few) };
    let figure_mean = mean_of(figures)?;
    let means = controls.iter().map(|(values, _)| mean_of(values)).collect::<Result<Vec<_>, _>>()?;
    // Sums of products around the means.
    let around = |a: &[f64], a_mean: f64, b: &[f64], b_mean: f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - a_mean) * (b - b_mean)).collect::<super::Sum>().value()
    };
    let rows: Vec<Vec<f64>> =
        (0..q).map(|i| (0..q).map(|j| around(controls[i].0, means[i], controls[j].0, means[j])).collect()).collect();
    let with_figure: Vec<f64> = (0..q).map(|i| around(controls[i].0, means[i], figures, figure_mean)).collect();
    let total = around(figures, figure_mean, figures, figure_mean);
    let shift: Vec<f64> = controls.iter().zip(&means).map(|((_, known), mean)| mean - known).collect();
    let lower = cholesky(&rows)?;
    let weights = solve(&lower, &with_figure);
    let adjustment: f64 = weights.iter().zip(&shift).map(|(weight, shift)| weight * shift).collect::<super::Sum>().value();
    let fitted: f64 = weights.iter().zip(&with_figure).map(|(weight, with)| weight * with).collect::<super::Sum>().value();
    let residual = libm::fmax(0.0, total - fitted);
    let freedom = (n - q - 1) as f64;
    let leverage: f64 = solve(&lower, &shift).iter().zip(&shift).map(|(a, b)| a * b).sum();
    let variance = residual / freedom * (1.0 / n as f64 + leverage);
    let half = factor(level, freedom) * libm::sqrt(variance);
    let explained = if total > 0.0 { 1.0 - residual / total } else { 0.0 };
    Ok(Controlled { interval: Interval::around(figure_mean - adjustment, half, level, n as u64), weights, explained })
}

/// The lower factor of a symmetric positive matrix.
fn cholesky(rows: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, OutputError> {
    let q = rows.len();
    let mut lower = vec![vec![0.0; q]; q];
    for i in 0..q {
        for j in 0..=i {
            let taken: f64 = (0..j).map(|k| lower[i][k] * lower[j][k]).sum();
            let left = rows[i][j] - taken;
            if i == j {
                // What the controls before this one leave of it must be more than rounding.
                if left <= 1e-12 * rows[i][i] || left <= 0.0 {
                    return Err(OutputError::Collinear { index: i });
                }
                lower[i][i] = libm::sqrt(left);
            } else {
                lower[i][j] = left / lower[j][j];
            }
        }
    }
    Ok(lower)
}

/// Solves L Lᵀ x = y.
fn solve(lower: &[Vec<f64>], y: &[f64]) -> Vec<f64> {
    let q = y.len();
    let mut x = y.to_vec();
    for i in 0..q {
        let taken: f64 = (0..i).map(|k| lower[i][k] * x[k]).sum();
        x[i] = (x[i] - taken) / lower[i][i];
    }
    for i in (0..q).rev() {
        let taken: f64 = (i + 1..q).map(|k| lower[k][i] * x[k]).sum();
        x[i] = (x[i] - taken) / lower[i][i];
    }
    x
}
