//! Arrivals: a rate for each weekday and interval, and how much busier than their profile whole days and single intervals are.
//!
//! The model: a count in interval i of a day d of weekday w is Poisson with rate λ(w, i) · G(d) · H(d, i), the means of both
//! factors being one. Covariances between two intervals of one day at lag k, over the product of their means, are
//! var G + (1 + var G) · var H · ρ^k: the day's part does not fade with the lag, the interval's does. They are pooled over weekdays and fitted by weighted
//! least squares, ρ on a grid, both variances kept at or above zero; what Poisson itself adds at lag 0 is taken off first.
//! Intervals come from resampling whole days. A day whose total lies far from its weekday's median is *special* (a holiday, a
//! storm): it is named and left out of rates and busyness, because a profile of ordinary days is what a planner can use.
//!
//! It refuses to know why a day was special.

use super::contact::DayNumber;
use super::stats::{Estimate, mean_and_variance, quantile};
use crate::kernel::sample::pick;
use crate::kernel::{Purpose, Streams};
use serde::Serialize;
use std::collections::BTreeMap;

/// A day is special below this share of its weekday's median total.
pub const SPECIAL_BELOW: f64 = 0.4;
/// A day is special above this multiple of its weekday's median total.
pub const SPECIAL_ABOVE: f64 = 2.0;
/// Days of one weekday without which nothing is said of it being special.
const MIN_DAYS_TO_JUDGE: usize = 4;
/// Replicates of the bootstrap by day.
const REPLICATES: u64 = 200;
/// A correlation is believed when it leaves at most this share of the misfit that none leaves.
const WORTH: f64 = 0.6;
/// Lags that are looked at, in intervals.
const MAX_LAG: usize = 12;

/// Counts a day, of one class or of all.
pub type DayCounts = BTreeMap<DayNumber, Vec<u32>>;

/// A fitted arrival process.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Arrivals {
    /// Length of an interval, in seconds.
    pub interval_s: u32,
    /// Mean contacts by weekday (from Monday) and interval of the day; no row for a weekday without an ordinary day.
    pub rates: Vec<WeekdayRates>,
    /// Mean contacts of an ordinary day.
    pub per_day: Estimate,
    /// How unlike its profile a day is.
    pub busyness: Option<Busyness>,
    /// Days left out, with their share of the weekday's median.
    pub special: Vec<SpecialDay>,
}

/// The profile of one weekday.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WeekdayRates {
    /// 0 for Monday to 6 for Sunday.
    pub weekday: usize,
    /// Days it rests on.
    pub days: u64,
    /// Mean contacts of each interval.
    pub mean: Vec<f64>,
    /// The mean's standard error, from the spread between days.
    pub standard_error: Vec<f64>,
}

/// Over-dispersion, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Busyness {
    /// Variance of the day's factor; a Gamma factor of mean 1 has shape 1 / this.
    pub day_variance: Estimate,
    /// Variance of an interval's own factor.
    pub interval_variance: Estimate,
    /// Correlation of that factor from one interval to the next.
    pub interval_correlation: Estimate,
    /// Variance over mean of an interval's count, over the profile: 1 for Poisson.
    pub dispersion: f64,
}

/// A day unlike its weekday.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpecialDay {
    /// The date.
    pub date: String,
    /// Its total over its weekday's median total.
    pub of_median: f64,
}

/// Days that are far from their weekday's median.
pub fn special_days(counts: &DayCounts) -> BTreeMap<DayNumber, f64> {
    let total = |counts: &Vec<u32>| counts.iter().map(|count| u64::from(*count)).sum::<u64>() as f64;
    let mut by_weekday: [Vec<f64>; 7] = Default::default();
    for (day, counts) in counts {
        by_weekday[day.weekday()].push(total(counts));
    }
    for totals in &mut by_weekday {
        totals.sort_by(f64::total_cmp);
    }
    counts
        .iter()
        .filter_map(|(day, counts)| {
            let totals = &by_weekday[day.weekday()];
            let median = quantile(totals, 0.5);
            let of_median = total(counts) / median;
            let judged = totals.len() >= MIN_DAYS_TO_JUDGE && median > 0.0;
            (judged && !(SPECIAL_BELOW..=SPECIAL_ABOVE).contains(&of_median)).then_some((*day, of_median))
        })
        .collect()
}

/// Fits the counts, all of one length; `special` days stand aside. O(replicates · days · intervals · lags).
pub fn fit(counts: &DayCounts, interval_s: u32, special: &BTreeMap<DayNumber, f64>, streams: &Streams) -> Arrivals {
    let mut ordinary: [Vec<&[u32]>; 7] = Default::default();
    for (day, counts) in counts {
        if !special.contains_key(day) {
            ordinary[day.weekday()].push(counts);
        }
    }
    let rates = ordinary.iter().enumerate().filter(|(_, days)| !days.is_empty()).map(|(weekday, days)| profile(weekday, days));
    let rates: Vec<WeekdayRates> = rates.collect();
    let totals = ordinary.iter().flatten().map(|day| day.iter().map(|count| f64::from(*count)).sum::<f64>());
    let (mean, variance, n) = mean_and_variance(totals);
    let per_day = Estimate::normal(mean, (variance / n.max(1) as f64).sqrt(), n);
    let busyness = busyness(&ordinary).map(|(values, dispersion)| {
        let mut replicates: [Vec<f64>; 3] = Default::default();
        for replicate in 0..REPLICATES {
            let mut stream = streams.for_(Purpose::Resampling, replicate);
            let drawn: [Vec<&[u32]>; 7] = std::array::from_fn(|weekday| {
                let days = &ordinary[weekday];
                days.iter().map(|_| days[pick(stream.next_u01(), days.len())]).collect()
            });
            if let Some((found, _)) = self::busyness(&drawn) {
                for (replicates, found) in replicates.iter_mut().zip(found) {
                    replicates.push(found);
                }
            }
        }
        let [day, interval, correlation] = replicates;
        Busyness {
            day_variance: Estimate::percentile(values[0], day, n),
            interval_variance: Estimate::percentile(values[1], interval, n),
            interval_correlation: Estimate::percentile(values[2], correlation, n),
            dispersion,
        }
    });
    let special = special.iter().map(|(day, of_median)| SpecialDay { date: day.date(), of_median: *of_median }).collect();
    Arrivals { interval_s, rates, per_day, busyness, special }
}

fn profile(weekday: usize, days: &[&[u32]]) -> WeekdayRates {
    let columns = days.iter().map(|day| day.len()).max().unwrap_or(0);
    let moments = (0..columns).map(|at| mean_and_variance(days.iter().map(|day| f64::from(day[at]))));
    let (mean, standard_error) = moments.map(|(mean, variance, n)| (mean, (variance / n as f64).sqrt())).unzip();
    WeekdayRates { weekday, days: days.len() as u64, mean, standard_error }
}

/// [variance of the day, of the interval, correlation] and variance over mean; `None` without two days of one weekday.
fn busyness(days: &[Vec<&[u32]>; 7]) -> Option<([f64; 3], f64)> {
    let columns = days.iter().flatten().map(|day| day.len()).max()?;
    let lags = MAX_LAG.min(columns.saturating_sub(1));
    // Sums over weekdays and pairs of intervals: covariance, product of means.
    let (mut covariance, mut product) = (vec![0.0; lags + 1], vec![0.0; lags + 1]);
    let (mut variance_sum, mut mean_sum) = (0.0, 0.0);
    for days in days.iter().filter(|days| days.len() > 1) {
        let n = days.len() as f64;
        let means: Vec<f64> = (0..columns).map(|at| days.iter().map(|day| f64::from(day[at])).sum::<f64>() / n).collect();
        let off: Vec<Vec<f64>> =
            days.iter().map(|day| day.iter().zip(&means).map(|(count, mean)| f64::from(*count) - mean).collect()).collect();
        for lag in 0..=lags {
            for at in 0..columns - lag {
                let expected = means[at] * means[at + lag];
                if expected <= 0.0 {
                    continue;
                }
                let found = off.iter().map(|off| off[at] * off[at + lag]).sum::<f64>() / (n - 1.0);
                if lag == 0 {
                    variance_sum += found * (n - 1.0);
                    mean_sum += means[at] * (n - 1.0);
                }
                // A Poisson count's variance is its mean; the product of estimated means is too large by their covariance.
                let poisson = if lag == 0 { means[at] } else { 0.0 };
                covariance[lag] += (found - poisson) * (n - 1.0);
                product[lag] += (expected - found / n) * (n - 1.0);
            }
        }
    }
    let total: f64 = product.iter().sum();
    if mean_sum <= 0.0 || total <= 0.0 {
        return None;
    }
    let fit = |rho: f64| {
        let mut power = 1.0;
        let powers: Vec<f64> = (0..=lags)
            .map(|_| {
                let this = power;
                power *= rho;
                this
            })
            .collect();
        least_squares(&covariance, &product, &powers)
    };
    let (day, extra, rho, misfit) = (0..40)
        .map(|step| {
            let rho = f64::from(step) * 0.025;
            let (day, extra, misfit) = fit(rho);
            (day, extra, rho, misfit)
        })
        .min_by(|a, b| a.3.total_cmp(&b.3))?;
    // Noise alone finds some correlation among forty to choose from, and takes it from the day's part.
    let (plain_day, plain_extra, plain_misfit) = fit(0.0);
    let (day, extra, rho) = if misfit < WORTH * plain_misfit { (day, extra, rho) } else { (plain_day, plain_extra, 0.0) };
    let interval = extra / (1.0 + day);
    // Without a factor of its own an interval has no correlation either.
    Some(([day, interval, if interval > 0.0 { rho } else { 0.0 }], variance_sum / mean_sum))
}

/// Least squares of covariance ≈ product · (day + extra · power), both at least 0: (day, extra, misfit).
fn least_squares(covariance: &[f64], product: &[f64], powers: &[f64]) -> (f64, f64, f64) {
    let ratio: Vec<f64> = covariance.iter().zip(product).map(|(c, p)| if *p > 0.0 { c / p } else { 0.0 }).collect();
    let [mut w, mut wx, mut wxx, mut wy, mut wxy] = [0.0; 5];
    for ((weight, x), y) in product.iter().zip(powers).zip(&ratio) {
        let weight = weight.max(0.0);
        w += weight;
        wx += weight * x;
        wxx += weight * x * x;
        wy += weight * y;
        wxy += weight * x * y;
    }
    let misfit = |day: f64, extra: f64| {
        product.iter().zip(powers).zip(&ratio).map(|((w, x), y)| w.max(0.0) * (y - day - extra * x) * (y - day - extra * x)).sum()
    };
    let determinant = w * wxx - wx * wx;
    let mut best = (0.0, 0.0, misfit(0.0, 0.0));
    let mut consider = |day: f64, extra: f64| {
        if day >= 0.0 && extra >= 0.0 {
            let found: f64 = misfit(day, extra);
            if found < best.2 {
                best = (day, extra, found);
            }
        }
    };
    if determinant > 1e-12 * w * wxx {
        consider((wy * wxx - wx * wxy) / determinant, (w * wxy - wx * wy) / determinant);
    }
    consider(wy / w, 0.0);
    consider(0.0, wxy / wxx);
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_day_is_special_and_a_plain_one_is_not() {
        // Five Mondays (day 4 was one): 100, 100, 100, 10, 300.
        let counts: DayCounts =
            [100, 100, 100, 10, 300].into_iter().enumerate().map(|(week, n)| (DayNumber(4 + 7 * week as i64), vec![n])).collect();
        let special = special_days(&counts);
        assert_eq!(special.keys().map(|day| day.0).collect::<Vec<_>>(), [25, 32]);
        let fitted = fit(&counts, 86_400, &special, &Streams::seeded(1));
        assert_eq!((fitted.rates.len(), fitted.rates[0].weekday, fitted.rates[0].days), (1, 0, 3));
        assert!((fitted.rates[0].mean[0] - 100.0).abs() < 1e-12);
    }

    #[test]
    fn least_squares_finds_what_was_put_in() {
        let product = [4.0, 3.0, 2.0, 1.0];
        let powers = [1.0, 0.5, 0.25, 0.125];
        let covariance: Vec<f64> = product.iter().zip(powers).map(|(p, x)| p * (0.02 + 0.1 * x)).collect();
        let (day, extra, misfit) = least_squares(&covariance, &product, &powers);
        assert!((day - 0.02).abs() < 1e-12 && (extra - 0.1).abs() < 1e-12 && misfit < 1e-20);
    }
}
