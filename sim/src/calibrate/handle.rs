//! Handle times by class and agent: log-normal, Gamma or the record itself, chosen by how well days fit that no fit has seen.
//!
//! Every fifth day is held out. From the other days come the moments that both families are fitted by (mean, mean and variance
//! of the logarithm: all that maximum likelihood needs) and a histogram; the held-out days judge, by the Kolmogorov-Smirnov
//! distance and by Anderson and Darling's A² per observation, which weighs the tails. The smooth family wins where it is hardly
//! further from the held-out days than the record is ([`SLACK`]); otherwise the record's own quantiles are what is used.
//! Agents differ by a factor on the logarithm: the mean residual to the class's mean, shrunk towards 1 by its own error
//! (the one-way random-effects estimate; Searle, Casella & McCulloch 1992, ch. 3).
//!
//! It refuses to know concurrency: with several contacts at once, lengths are turned into work before they come here.

use super::contact::{AgentId, ClassId, DayNumber};
use super::patience::{Drift, block, first_recent};
use super::stats::{Estimate, Z95, digamma, gamma_cdf, kolmogorov_p, normal_cdf, trigamma};
use serde::Serialize;
use std::collections::BTreeMap;

/// A family wins over the record's quantiles with at most this much more Kolmogorov-Smirnov distance.
pub const SLACK: f64 = 0.01;
/// Held-out services below which fits are not judged.
pub const MIN_HELD_OUT: u64 = 100;
/// Services below which an agent has no factor of their own.
pub const MIN_AGENT_SERVICES: u64 = 30;
/// Points written down of a record.
pub const POINTS: usize = 200;

/// Services of one class, counted.
#[derive(Clone, Debug, Default)]
pub struct Lengths {
    fitted: Half,
    held_out: Half,
}

#[derive(Clone, Debug, Default)]
struct Half {
    n: u64,
    sum: f64,
    sum_log: f64,
    sum_log2: f64,
    /// By milliseconds, in bins of a second, of five from 200 s on.
    bins: BTreeMap<u64, u64>,
}

/// Lengths by blocks of thirty days, so that a change can be seen.
#[derive(Clone, Debug, Default)]
pub struct LengthsByMonth {
    blocks: BTreeMap<i64, Lengths>,
}

/// Standard errors between the recent mean and the one before, above which handle times have changed: one chance in a hundred.
const CHANGED: f64 = 2.575_829;

impl LengthsByMonth {
    /// The block of a day.
    pub fn of(&mut self, day: DayNumber) -> &mut Lengths {
        self.blocks.entry(block(day)).or_default()
    }

    /// Of all days.
    pub fn all(&self) -> Lengths {
        self.sum(i64::MIN..=i64::MAX)
    }

    /// Of the recent past, when the mean has changed, or of all days; with whether it has. `last` is the record's last day.
    pub fn current(&self, last: DayNumber) -> (Lengths, Drift) {
        let (recent, before) = (self.sum(first_recent(last)..=i64::MAX), self.sum(i64::MIN..=first_recent(last) - 1));
        let (Some(now), Some(then)) = (recent.mean_and_error(), before.mean_and_error()) else {
            return (self.all(), Drift::Steady);
        };
        let z = (now.0 - then.0) / (now.1 * now.1 + then.1 * then.1).sqrt().max(1e-12);
        if z.abs() > CHANGED { (recent, Drift::Changed) } else { (self.all(), Drift::Steady) }
    }

    fn sum(&self, blocks: std::ops::RangeInclusive<i64>) -> Lengths {
        let mut sum = Lengths::default();
        for lengths in self.blocks.range(blocks).map(|(_, lengths)| lengths) {
            sum.fitted.merge(&lengths.fitted);
            sum.held_out.merge(&lengths.held_out);
        }
        sum
    }
}

impl Half {
    fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.sum += other.sum;
        self.sum_log += other.sum_log;
        self.sum_log2 += other.sum_log2;
        for (ms, count) in &other.bins {
            *self.bins.entry(*ms).or_default() += count;
        }
    }
}

/// A class's fitted handle time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Handle {
    /// Mean, in seconds, over all days.
    pub mean_s: Estimate,
    /// Median and 95th percentile, in seconds, over all days.
    pub median_s: f64,
    /// 95th percentile.
    pub p95_s: f64,
    /// Squared coefficient of variation.
    pub scv: f64,
    /// Share of services shorter than ten seconds, which no smooth family describes.
    pub under_10_s: Estimate,
    /// Log-normal: mean of the logarithm of seconds.
    pub log_mean: Estimate,
    /// Log-normal: deviation of the logarithm.
    pub log_deviation: Estimate,
    /// Gamma: shape; its scale is the mean over this.
    pub gamma_shape: Estimate,
    /// How each fits days that it has not seen; empty when too few were held out.
    pub fit: Vec<Fit>,
    /// What is used.
    pub used: Family,
    /// The record in [`POINTS`] points, in seconds: the mean of each equal share of it, so that they have the record's mean.
    pub points_s: Vec<f64>,
}

/// A kind of distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Log-normal.
    LogNormal,
    /// Gamma.
    Gamma,
    /// The record's own quantiles.
    Empirical,
}

/// Goodness of fit on held-out days.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fit {
    /// Of what.
    pub family: Family,
    /// The Kolmogorov-Smirnov distance.
    pub distance: f64,
    /// Its probability by chance, if the fit were the truth; large records reject every smooth family.
    pub p: f64,
    /// Anderson and Darling's A² over the number of observations.
    pub anderson_darling: f64,
    /// Held-out observations.
    pub n: u64,
}

/// Services by agent and class, for factors.
#[derive(Clone, Debug, Default)]
pub struct AgentLengths {
    cells: BTreeMap<(AgentId, ClassId), (u64, f64, f64)>,
}

/// How agents differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentFactors {
    /// Deviation of agents' factors on the logarithm: 0.2 is about 20 %.
    pub log_deviation: Estimate,
    /// Each agent with enough services.
    pub agents: Vec<AgentFactor>,
}

/// One agent's factor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentFactor {
    /// Who.
    #[serde(skip)]
    pub agent: AgentId,
    /// By what handle times are multiplied, shrunk.
    pub factor: Estimate,
}

impl Lengths {
    /// Counts a service of so many milliseconds, more than 0.
    pub fn add(&mut self, ms: u64, held_out: bool) {
        let half = if held_out { &mut self.held_out } else { &mut self.fitted };
        let log = libm::log(ms as f64 / 1_000.0);
        half.n += 1;
        half.sum += ms as f64 / 1_000.0;
        half.sum_log += log;
        half.sum_log2 += log * log;
        *half.bins.entry(binned(ms)).or_default() += 1;
    }

    /// Mean in seconds and its error; `None` below [`MIN_HELD_OUT`] services.
    fn mean_and_error(&self) -> Option<(f64, f64)> {
        let mut all = self.fitted.clone();
        all.merge(&self.held_out);
        let n = all.n as f64;
        let mean = all.sum / n.max(1.0);
        let squares: f64 = all.bins.iter().map(|(ms, count)| (s(*ms) - mean) * (s(*ms) - mean) * *count as f64).sum();
        (all.n >= MIN_HELD_OUT).then(|| (mean, (squares / n / n).sqrt()))
    }

    /// The fit; `None` below two services outside the held-out days.
    pub fn fit(&self) -> Option<Handle> {
        let (fitted, held_out) = (&self.fitted, &self.held_out);
        if fitted.n < 2 {
            return None;
        }
        let n = fitted.n as f64;
        let mut all: BTreeMap<u64, u64> = fitted.bins.clone();
        for (ms, count) in &held_out.bins {
            *all.entry(*ms).or_default() += count;
        }
        let total = fitted.n + held_out.n;
        let mean_all = (fitted.sum + held_out.sum) / total as f64;
        let squares: f64 = all.iter().map(|(ms, count)| (s(*ms) - mean_all) * (s(*ms) - mean_all) * *count as f64).sum();
        let variance = squares / (total - 1) as f64;
        let mean = fitted.sum / n;
        let log_mean = fitted.sum_log / n;
        let log_variance = ((fitted.sum_log2 - n * log_mean * log_mean) / (n - 1.0)).max(0.0);
        let log_deviation = log_variance.sqrt();
        let shape = gamma_shape(libm::log(mean) - log_mean);
        // The shape's variance by Fisher's information, the scale unknown too.
        let shape_error = (shape / (n * (shape * trigamma(shape) - 1.0).max(1e-9))).sqrt();
        let record = cumulative(&fitted.bins);
        let judge = |family: Family, cdf: &dyn Fn(f64) -> f64| judged(family, held_out, cdf);
        let mut fit = Vec::new();
        if held_out.n >= MIN_HELD_OUT {
            if log_deviation > 0.0 {
                fit.push(judge(Family::LogNormal, &|x| normal_cdf((libm::log(x) - log_mean) / log_deviation)));
                fit.push(judge(Family::Gamma, &|x| gamma_cdf(shape, x * shape / mean)));
            }
            fit.push(judge(Family::Empirical, &|x| below(&record, x)));
        }
        let used = chosen(&fit);
        let under = all.range(..10_000).map(|(_, count)| count).sum();
        Some(Handle {
            mean_s: Estimate::normal(mean_all, (variance / total as f64).sqrt(), total),
            median_s: quantile(&all, total, 0.5),
            p95_s: quantile(&all, total, 0.95),
            scv: variance / (mean_all * mean_all),
            under_10_s: Estimate::share(under, total),
            log_mean: Estimate::normal(log_mean, log_deviation / n.sqrt(), fitted.n),
            log_deviation: Estimate::normal(log_deviation, log_deviation / (2.0 * n).sqrt(), fitted.n),
            gamma_shape: Estimate::normal(shape, shape_error, fitted.n),
            fit,
            used,
            points_s: share_means(&all, total, POINTS),
        })
    }

    /// Mean of the logarithm of seconds over all days; `None` without a service.
    pub fn log_mean(&self) -> Option<f64> {
        let n = self.fitted.n + self.held_out.n;
        (n > 0).then(|| (self.fitted.sum_log + self.held_out.sum_log) / n as f64)
    }
}

impl AgentLengths {
    /// Counts a service.
    pub fn add(&mut self, agent: AgentId, class: ClassId, ms: u64) {
        let log = libm::log(ms as f64 / 1_000.0);
        let cell = self.cells.entry((agent, class)).or_default();
        cell.0 += 1;
        cell.1 += log;
        cell.2 += log * log;
    }

    /// Agents' factors, given the classes' mean logarithms; `None` with fewer than two agents to compare.
    pub fn fit(&self, log_means: &BTreeMap<ClassId, f64>) -> Option<AgentFactors> {
        // An agent's residuals: count, sum, sum of squares.
        let mut agents: BTreeMap<AgentId, (u64, f64, f64)> = BTreeMap::new();
        for ((agent, class), (n, sum, squares)) in &self.cells {
            let Some(mean) = log_means.get(class) else { continue };
            let count = *n as f64;
            let cell = agents.entry(*agent).or_default();
            cell.0 += n;
            cell.1 += sum - count * mean;
            cell.2 += squares - 2.0 * mean * sum + count * mean * mean;
        }
        agents.retain(|_, (n, ..)| *n >= MIN_AGENT_SERVICES);
        let groups = agents.len() as f64;
        if agents.len() < 2 {
            return None;
        }
        let total: f64 = agents.values().map(|(n, ..)| *n as f64).sum();
        let grand = agents.values().map(|(_, sum, _)| sum).sum::<f64>() / total;
        let within = agents.values().map(|(n, sum, squares)| squares - sum * sum / *n as f64).sum::<f64>() / (total - groups);
        let between_squares: f64 = agents
            .values()
            .map(|(n, sum, _)| {
                let off = sum / *n as f64 - grand;
                *n as f64 * off * off
            })
            .sum();
        let n0 = (total - agents.values().map(|(n, ..)| (*n as f64) * (*n as f64)).sum::<f64>() / total) / (groups - 1.0);
        let mean_square = between_squares / (groups - 1.0);
        let between = ((mean_square - within) / n0).max(0.0);
        // The deviation's error by that of a mean square with groups − 1 degrees of freedom.
        let error = if between > 0.0 { mean_square / n0 * (2.0 / (groups - 1.0)).sqrt() / (2.0 * between.sqrt()) } else { 0.0 };
        let mut log_deviation = Estimate::normal(between.sqrt(), error, agents.len() as u64);
        log_deviation.ci95[0] = log_deviation.ci95[0].max(0.0);
        let agents = agents
            .into_iter()
            .map(|(agent, (n, sum, _))| {
                let noise = within / n as f64;
                let keep = if between > 0.0 { between / (between + noise) } else { 0.0 };
                let value = keep * (sum / n as f64 - grand);
                let half = Z95 * (keep * noise).sqrt();
                let ci95 = [libm::exp(value - half), libm::exp(value + half)];
                AgentFactor { agent, factor: Estimate { value: libm::exp(value), ci95, n } }
            })
            .collect();
        Some(AgentFactors { log_deviation, agents })
    }
}

/// Solves ln a − ψ(a) = gap by Newton from Minka's start (2002).
fn gamma_shape(gap: f64) -> f64 {
    let gap = gap.max(1e-9);
    let mut shape = (3.0 - gap + ((gap - 3.0) * (gap - 3.0) + 24.0 * gap).sqrt()) / (12.0 * gap);
    for _ in 0..20 {
        let step = (libm::log(shape) - digamma(shape) - gap) / (1.0 / shape - trigamma(shape));
        let next = shape - step;
        shape = if next > 0.0 { next } else { shape / 2.0 };
        if step.abs() < 1e-12 * shape {
            break;
        }
    }
    shape
}

fn chosen(fit: &[Fit]) -> Family {
    let Some(record) = fit.iter().find(|fit| fit.family == Family::Empirical) else { return Family::Empirical };
    fit.iter()
        .filter(|fit| fit.family != Family::Empirical && fit.distance <= record.distance + SLACK)
        .min_by(|a, b| a.anderson_darling.total_cmp(&b.anderson_darling))
        .map_or(Family::Empirical, |fit| fit.family)
}

/// Distance and A² of a half's observations from a distribution function of seconds. Between a bin's
/// edges the record says nothing, so that the function is read at the edges.
fn judged(family: Family, half: &Half, cdf: &dyn Fn(f64) -> f64) -> Fit {
    let n = half.n as f64;
    let (mut below, mut distance, mut sum) = (0_u64, 0.0_f64, 0.0);
    for (ms, count) in &half.bins {
        let (from, until) = edges(*ms);
        let (at_from, at_until) = (cdf(from), cdf(until));
        distance = distance.max((at_from - below as f64 / n).abs());
        // A²'s sum for observations spread evenly within their bin.
        for step in 0..*count {
            let rank = (below + step) as f64;
            let share = (step as f64 + 0.5) / *count as f64;
            let f = (at_from + (at_until - at_from) * share).clamp(1e-12, 1.0 - 1e-12);
            sum += (2.0 * rank + 1.0) * libm::log(f) + (2.0 * (n - rank) - 1.0) * libm::log1p(-f);
        }
        below += count;
        distance = distance.max((at_until - below as f64 / n).abs());
    }
    let anderson_darling = (-n - sum / n) / n;
    Fit { family, distance, p: kolmogorov_p(distance, n), anderson_darling, n: half.n }
}

/// A second, or five from 200 s on: the bin that a length falls into, by its middle.
fn binned(ms: u64) -> u64 {
    let width = width(ms);
    (ms + width / 2) / width * width
}

fn width(ms: u64) -> u64 {
    if ms < 200_000 { 1_000 } else { 5_000 }
}

/// A bin's edges in seconds.
fn edges(middle_ms: u64) -> (f64, f64) {
    let half = width(middle_ms) / 2;
    (s(middle_ms.saturating_sub(half)), s(middle_ms + half))
}

fn s(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// Upper edges in seconds and the share at or below.
fn cumulative(bins: &BTreeMap<u64, u64>) -> Vec<(f64, f64)> {
    let n: u64 = bins.values().sum();
    let mut seen = 0;
    bins.iter()
        .map(|(ms, count)| {
            seen += count;
            (edges(*ms).1, seen as f64 / n as f64)
        })
        .collect()
}

/// The share below `x` of a record, linear within its bins.
fn below(record: &[(f64, f64)], x: f64) -> f64 {
    let at = record.partition_point(|(edge, _)| *edge <= x);
    let (from, low) = at.checked_sub(1).map_or((0.0, 0.0), |before| record[before]);
    let Some((until, high)) = record.get(at) else { return 1.0 };
    low + (high - low) * ((x - from) / (until - from)).clamp(0.0, 1.0)
}

/// Means, in seconds, of equal shares of what bins of milliseconds count.
pub(super) fn share_means(bins: &BTreeMap<u64, u64>, n: u64, shares: usize) -> Vec<f64> {
    let size = n as f64 / shares as f64;
    let mut means = Vec::with_capacity(shares);
    let (mut room, mut sum) = (size, 0.0);
    for (ms, count) in bins {
        let mut left = *count as f64;
        while left > 0.0 {
            let taken = left.min(room);
            sum += taken * s(*ms);
            left -= taken;
            room -= taken;
            // A share ends here, but for what rounding leaves.
            if room <= 1e-9 * size {
                means.push(sum / size);
                (room, sum) = (size, 0.0);
            }
        }
    }
    if means.len() < shares {
        means.push(sum / (size - room).max(1e-9 * size));
    }
    means
}

fn quantile(bins: &BTreeMap<u64, u64>, n: u64, share: f64) -> f64 {
    let wanted = (share * n as f64).max(0.5);
    let mut seen = 0;
    for (ms, count) in bins {
        seen += count;
        if seen as f64 >= wanted {
            return s(*ms);
        }
    }
    f64::NAN
}
