//! Accuracy as it would have been met: from each origin only what was known then, the days ahead compared with what came.
//!
//! The model and the seasonal naive (the same weekday, the latest that was known) are measured on the same days. Days that were
//! not observed, or that the naive cannot forecast, count for neither. It refuses to know the future.

use super::accuracy::{Accuracy, Pair, QUANTILES};
use super::core::{Events, Model};
use super::series::Series;
use crate::calibrate::contact::DayNumber;
use crate::calibrate::stats::quantile;
use crate::kernel::Streams;

/// How it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rolling {
    /// Days of history before the first origin.
    pub history: usize,
    /// Days from one origin to the next.
    pub step: usize,
    /// Days ahead that are forecast from each.
    pub ahead: usize,
    /// Sample paths that quantiles are read off; none gives no pinball loss.
    pub paths: usize,
}

/// The two, side by side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// The model.
    pub model: Accuracy,
    /// The seasonal naive.
    pub naive: Accuracy,
    /// Origins.
    pub origins: u64,
}

impl Rolling {
    /// Measures; `None` when the series is too short.
    pub fn measure(&self, series: &Series, events: &Events, streams: &Streams) -> Option<Compared> {
        let first = series.days.keys().next()?;
        let last = series.days.keys().next_back()?;
        let mut origin = first.0 + self.history as i64;
        let (mut model_pairs, mut naive_pairs) = (Vec::new(), Vec::new());
        let mut origins = 0;
        let scale = scale(series, DayNumber(origin))?;
        while origin <= last.0 {
            let before = DayNumber(origin);
            let ahead: Vec<DayNumber> =
                (0..self.ahead as i64).map(|n| DayNumber(origin + n)).filter(|day| series.days.contains_key(day)).collect();
            if let Some(model) = Model::fit(series, events, before) {
                origins += 1;
                let paths = model.paths(&ahead, events, model.factor(), self.paths, streams);
                for (at, day) in ahead.iter().enumerate() {
                    let Some(naive) = naive(series, *day, before) else { continue };
                    for (interval, ((actual, forecast), naive)) in
                        series.days[day].iter().zip(model.day(*day, events)).zip(naive).enumerate()
                    {
                        if !actual.is_finite() || !naive.is_finite() {
                            continue;
                        }
                        let quantiles = (self.paths > 0).then(|| {
                            let mut drawn: Vec<f64> = paths.paths.iter().map(|path| path[at][interval]).collect();
                            drawn.sort_by(f64::total_cmp);
                            QUANTILES.map(|tau| quantile(&drawn, tau))
                        });
                        model_pairs.push(Pair { actual: *actual, forecast, quantiles });
                        naive_pairs.push(Pair { actual: *actual, forecast: *naive, quantiles: None });
                    }
                }
            }
            origin += self.step as i64;
        }
        Some(Compared { model: Accuracy::of(&model_pairs, scale)?, naive: Accuracy::of(&naive_pairs, scale)?, origins })
    }
}

/// The latest day of the same weekday that was known.
fn naive(series: &Series, day: DayNumber, before: DayNumber) -> Option<&Vec<f64>> {
    (1..=8).map(|weeks| DayNumber(day.0 - 7 * weeks)).filter(|day| *day < before).find_map(|day| series.days.get(&day))
}

/// Mean absolute error of the seasonal naive within the history before the first origin.
fn scale(series: &Series, before: DayNumber) -> Option<f64> {
    let (mut sum, mut n) = (0.0, 0.0);
    for (day, counts) in series.days.range(..before) {
        let Some(naive) = naive(series, *day, *day) else { continue };
        for (actual, naive) in counts.iter().zip(naive).filter(|(actual, naive)| actual.is_finite() && naive.is_finite()) {
            sum += (actual - naive).abs();
            n += 1.0;
        }
    }
    (sum > 0.0).then(|| sum / n)
}
