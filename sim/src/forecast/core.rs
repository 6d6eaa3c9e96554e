//! The model: a day is level · weekday · event, an interval its share of that by the weekday's shape.
//!
//! - The **level** is an exponentially weighted mean of days divided by their weekday's and event's factors.
//! - A **weekday's factor** is the ratio of sums over recent weeks, shrunk to 1 by how many it rests on.
//! - A **shape** (shares of the day) is the weekday's own, shrunk to all weekdays' by its noise: Poisson noise of the shares against
//!   their spread between weekdays; neighbouring intervals may be averaged where counts are small.
//! - An **event's effect** is a factor: the mean logarithm of actual over expected on the days that carry its name, shrunk to 1.
//!
//! Days far from what is expected (a holiday that nobody named) do not move the level. Weight of the level and width of averaging
//! are chosen by the error that they would have made on the last weeks. It refuses to know noise: that is [`super::paths`].

use super::series::Series;
use crate::calibrate::contact::DayNumber;
use std::collections::BTreeMap;

/// Names of what happens on a day: a promotion, its second day, a holiday.
pub type Events = BTreeMap<DayNumber, String>;

/// Weeks after which a day counts half for factors and shapes.
const HALF_LIFE_WEEKS: f64 = 6.0;
/// Days of one name at which an event's effect is half its own.
const EVENT_PRIOR_DAYS: f64 = 0.5;
/// Weekdays' factors are shrunk as if so many ordinary weeks of factor 1 had been seen.
const WEEKDAY_PRIOR_WEEKS: f64 = 0.25;
/// A day further from expectation than this factor, either way, does not move the level.
const FAR: f64 = 2.0;
const LEVEL_WEIGHTS: [f64; 5] = [0.05, 0.1, 0.2, 0.35, 0.5];
const WIDTHS: [usize; 5] = [0, 1, 2, 4, 8];
/// Days held back to choose by.
const CHOICE_DAYS: usize = 21;

/// A fitted model.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Contacts of an ordinary day.
    pub level: f64,
    /// Weight of the newest day in the level.
    pub level_weight: f64,
    /// Factors of weekdays, from Monday.
    pub weekday: [f64; 7],
    /// Shares of the day by weekday and interval; each sums to 1.
    pub shape: Vec<Vec<f64>>,
    /// Intervals on each side that a share was averaged with.
    pub width: usize,
    /// Factors of events.
    pub events: BTreeMap<String, f64>,
    /// Variance of days' totals around one day's forecast, beyond Poisson, over the forecast squared.
    pub day_variance: f64,
    /// Variance of an interval's own factor.
    pub interval_variance: f64,
}

impl Model {
    /// Fits the days before `before`; `None` with fewer than eight of them. O(days · intervals · choices).
    pub fn fit(series: &Series, events: &Events, before: DayNumber) -> Option<Self> {
        let days: Vec<DayNumber> =
            series.days.range(..before).map(|(day, _)| *day).filter(|day| series.total(*day).is_some()).collect();
        if days.len() < 8 {
            return None;
        }
        let newest = *days.last()?;
        let weight = |day: &DayNumber| libm::pow(0.5, (newest.0 - day.0) as f64 / 7.0 / HALF_LIFE_WEEKS);
        let (weekday, effects) = factors(series, events, &days, &weight);
        let expected_factor = |day: DayNumber| factor(&weekday, &effects, events, day);
        let (level_weight, _) = LEVEL_WEIGHTS
            .iter()
            .map(|w| (*w, level_error(series, &days, *w, &expected_factor)))
            .min_by(|a, b| a.1.total_cmp(&b.1))?;
        let (level, ratios) = smoothed(series, &days, level_weight, &expected_factor);
        let shapes = Shapes::of(series, &days, &weight);
        let recent = &days[days.len().saturating_sub(CHOICE_DAYS)..];
        let older = &days[..days.len().saturating_sub(CHOICE_DAYS)];
        let width = if older.len() < 8 {
            0
        } else {
            let before = Shapes::of(series, older, &weight);
            let error = |width: usize| {
                let shape = before.shrunk(width);
                recent.iter().map(|day| shape_error(series, *day, &shape[day.weekday()])).sum::<f64>()
            };
            WIDTHS.iter().map(|width| (*width, error(*width))).min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |best| best.0)
        };
        let shape = shapes.shrunk(width);
        let mut model = Self {
            level,
            level_weight,
            weekday,
            shape,
            width,
            events: effects,
            day_variance: variance_of(&ratios),
            interval_variance: 0.0,
        };
        model.interval_variance = model.intervals_vary(series, recent);
        Some(model)
    }

    /// What a day is expected to bring, by interval.
    pub fn day(&self, day: DayNumber, events: &Events) -> Vec<f64> {
        let total = self.level * factor(&self.weekday, &self.events, events, day);
        self.shape[day.weekday()].iter().map(|share| total * share).collect()
    }

    /// Beyond Poisson, given the day's total.
    fn intervals_vary(&self, series: &Series, days: &[DayNumber]) -> f64 {
        let (mut extra, mut squares) = (0.0, 0.0);
        for day in days {
            let (Some(total), Some(counts)) = (series.total(*day), series.days.get(day)) else { continue };
            for (y, share) in counts.iter().zip(&self.shape[day.weekday()]).filter(|(y, _)| y.is_finite()) {
                let mean = total * share;
                // Given the total, a share's count varies a little less than Poisson.
                extra += (y - mean) * (y - mean) - mean * (1.0 - share);
                squares += mean * mean;
            }
        }
        if squares > 0.0 { (extra / squares).max(0.0) } else { 0.0 }
    }
}

/// Factor of a day: its weekday's and its event's.
fn factor(weekday: &[f64; 7], effects: &BTreeMap<String, f64>, events: &Events, day: DayNumber) -> f64 {
    let event = events.get(&day).and_then(|name| effects.get(name)).copied().unwrap_or(1.0);
    weekday[day.weekday()] * event
}

/// Weekdays' and events' factors, by turns: each is read off days divided by the other's.
fn factors(
    series: &Series,
    events: &Events,
    days: &[DayNumber],
    weight: &dyn Fn(&DayNumber) -> f64,
) -> ([f64; 7], BTreeMap<String, f64>) {
    let mut weekday = [1.0; 7];
    let mut effects: BTreeMap<String, f64> = BTreeMap::new();
    for _ in 0..3 {
        let (mut sums, mut weights) = ([0.0; 7], [0.0; 7]);
        let mut ordinary: Vec<f64> = Vec::new();
        let plain = |day: &DayNumber| events.get(day).and_then(|name| effects.get(name)).copied().unwrap_or(1.0);
        for day in days {
            let total = series.total(*day).unwrap_or(0.0) / plain(day);
            ordinary.push(total / weekday[day.weekday()]);
        }
        ordinary.sort_by(f64::total_cmp);
        let median = crate::calibrate::stats::quantile(&ordinary, 0.5).max(1e-9);
        for day in days {
            let total = series.total(*day).unwrap_or(0.0) / plain(day);
            let usual = median * weekday[day.weekday()];
            // A far day says nothing of its weekday, unless all of that weekday's are far.
            let trusted = if (usual / FAR..=usual * FAR).contains(&total) { 1.0 } else { 0.05 };
            sums[day.weekday()] += weight(day) * trusted * total;
            weights[day.weekday()] += weight(day) * trusted;
        }
        let all = sums.iter().sum::<f64>() / weights.iter().sum::<f64>().max(1e-9);
        for at in 0..7 {
            weekday[at] = (sums[at] + WEEKDAY_PRIOR_WEEKS * all) / (weights[at] + WEEKDAY_PRIOR_WEEKS) / all.max(1e-9);
        }
        let mut logs: BTreeMap<&String, (f64, f64)> = BTreeMap::new();
        for (day, name) in events {
            if let Some(total) = days.binary_search(day).ok().and_then(|_| series.total(*day)).filter(|total| *total > 0.0) {
                let cell = logs.entry(name).or_default();
                cell.0 += 1.0;
                cell.1 += libm::log(total / (all * weekday[day.weekday()]).max(1e-9));
            }
        }
        effects = logs.into_iter().map(|(name, (n, sum))| (name.clone(), libm::exp(sum / (n + EVENT_PRIOR_DAYS)))).collect();
    }
    (weekday, effects)
}

/// The level after all days, and each day's actual over forecast once the level has settled.
fn smoothed(series: &Series, days: &[DayNumber], weight: f64, factor: &dyn Fn(DayNumber) -> f64) -> (f64, Vec<(f64, f64)>) {
    let plain: Vec<f64> = days.iter().map(|day| series.total(*day).unwrap_or(0.0) / factor(*day).max(1e-9)).collect();
    let mut first: Vec<f64> = plain.iter().take(14).copied().collect();
    first.sort_by(f64::total_cmp);
    let mut level = crate::calibrate::stats::quantile(&first, 0.5);
    let mut ratios = Vec::new();
    for (at, (value, day)) in plain.iter().zip(days).enumerate() {
        let near = (level / FAR..=level * FAR).contains(value);
        if at >= 14 && near {
            ratios.push((value / level.max(1e-9), level * factor(*day)));
        }
        // Three far days in a row are a new level, not three strange days.
        let moved = at >= 3 && plain[at - 2..=at].iter().all(|value| !(level / FAR..=level * FAR).contains(value));
        if near || moved {
            level += weight.max(if moved { 0.5 } else { 0.0 }) * (value - level);
        }
    }
    (level, ratios)
}

fn level_error(series: &Series, days: &[DayNumber], weight: f64, factor: &dyn Fn(DayNumber) -> f64) -> f64 {
    let (_, ratios) = smoothed(series, days, weight, factor);
    let recent = &ratios[ratios.len().saturating_sub(56)..];
    recent.iter().map(|(ratio, forecast)| (ratio - 1.0).abs() * forecast).sum::<f64>()
}

/// Variance of a day's factor: of actual over forecast, less Poisson's.
fn variance_of(ratios: &[(f64, f64)]) -> f64 {
    if ratios.is_empty() {
        return 0.0;
    }
    let extra: f64 = ratios.iter().map(|(ratio, forecast)| (ratio - 1.0) * (ratio - 1.0) - 1.0 / forecast.max(1e-9)).sum();
    (extra / ratios.len() as f64).max(0.0)
}

/// Sums of counts by weekday and interval, weighted.
struct Shapes {
    counts: Vec<Vec<f64>>,
    /// Variance factor of weighted sums: Σ w² / Σ w of each weekday, at most 1.
    noise: Vec<f64>,
}

impl Shapes {
    fn of(series: &Series, days: &[DayNumber], weight: &dyn Fn(&DayNumber) -> f64) -> Self {
        let intervals = series.intervals();
        let mut counts = vec![vec![0.0; intervals]; 7];
        let (mut sums, mut squares) = ([0.0; 7], [0.0; 7]);
        for day in days {
            let Some(observed) = series.days.get(day) else { continue };
            let w = weight(day);
            sums[day.weekday()] += w;
            squares[day.weekday()] += w * w;
            for (sum, y) in counts[day.weekday()].iter_mut().zip(observed) {
                if y.is_finite() {
                    *sum += w * y;
                }
            }
        }
        let noise = sums.iter().zip(&squares).map(|(sum, squares)| if *sum > 0.0 { squares / sum } else { 1.0 }).collect();
        Self { counts, noise }
    }

    /// Shares by weekday, averaged over neighbours and shrunk towards all weekdays'.
    fn shrunk(&self, width: usize) -> Vec<Vec<f64>> {
        let intervals = self.counts.first().map_or(0, Vec::len);
        let averaged: Vec<Vec<f64>> = self.counts.iter().map(|counts| averaged(counts, width)).collect();
        let mut all = vec![0.0; intervals];
        for counts in &averaged {
            for (sum, count) in all.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        let whole = shares(&all);
        averaged
            .iter()
            .zip(&self.noise)
            .map(|(counts, noise)| {
                let total: f64 = counts.iter().sum();
                if total <= 0.0 {
                    return whole.clone();
                }
                let own = shares(counts);
                // Noise of a share of n Poisson counts is share / n; averaging over neighbours divides it.
                let expected: f64 = whole.iter().map(|share| share * noise / total / (2 * width + 1) as f64).sum();
                let found: f64 = own.iter().zip(&whole).map(|(own, all)| (own - all) * (own - all)).sum();
                let keep = if found > 0.0 { (1.0 - expected / found).clamp(0.0, 1.0) } else { 0.0 };
                own.iter().zip(&whole).map(|(own, all)| keep * own + (1.0 - keep) * all).collect()
            })
            .collect()
    }
}

fn averaged(counts: &[f64], width: usize) -> Vec<f64> {
    (0..counts.len())
        .map(|at| {
            let window = &counts[at.saturating_sub(width)..(at + width + 1).min(counts.len())];
            window.iter().sum::<f64>() / window.len() as f64
        })
        .collect()
}

fn shares(counts: &[f64]) -> Vec<f64> {
    let total: f64 = counts.iter().sum();
    let even = 1.0 / counts.len().max(1) as f64;
    counts.iter().map(|count| if total > 0.0 { count / total } else { even }).collect()
}

/// Absolute error of a shape on a day whose total is known.
fn shape_error(series: &Series, day: DayNumber, shape: &[f64]) -> f64 {
    let (Some(total), Some(counts)) = (series.total(day), series.days.get(&day)) else { return 0.0 };
    counts.iter().zip(shape).filter(|(y, _)| y.is_finite()).map(|(y, share)| (y - total * share).abs()).sum()
}
