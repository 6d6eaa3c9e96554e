//! How fast a queue moves, from its own recent departures, and what that says of a wait: an honest interval or nothing.
//!
//! A delay-history estimator (Ibrahim and Whitt, "Real-time delay estimation based on delay history", M&SOM 11(3), 2009, and
//! "Wait-time predictors for customer service systems with time-varying demand and capacity", Operations Research 59(5),
//! 2011): the wait at place k is the time until k contacts have left. Departures are taken as Poisson while somebody is in
//! backlog, and the clock runs only then: a queue that was empty says nothing about how fast it moves when it is not. After d
//! departures in a span T of that clock the time to k more is T times beta-prime(k, d + 1), whose quantiles are the interval.
//!
//! A departure counts by the share of the others that it brought forward: one from the front 1, one from the back 0. A
//! contact that was offered in the instant in which it came never stood in backlog and counts for nothing. What is said is
//! rounded to steps (the upper end up), so that it does not flicker, and the upper end is never below the silence since the last departure.
//! Log time only; it refuses to know who left. O(1) a departure, one pair of quantiles a question.

use super::quantile::beta_prime;
use std::collections::VecDeque;
use tidegate_model::port::WaitInterval;
use tidegate_model::{Millis, Timestamp};

/// Departures that are kept at most: enough that the interval is hardly wider than Poisson's own, few enough to forget a
/// floor that has changed.
pub const DEPARTURES_MAX: usize = 64;
/// Departures before this are forgotten, in log time.
pub const DEPARTURE_AGE_MAX: Millis = Millis(30 * 60_000);
/// Below so many departures (by weight) nothing is said: with 8 the rate is known within a factor of two either way.
pub const DEPARTURES_MIN: f64 = 8.0;
/// A wait of which no more can be said than this is not told.
pub const WAIT_MAX: Millis = Millis(12 * 3_600_000);

#[derive(Clone, Copy, Debug)]
struct Departure {
    at: Timestamp,
    /// The backlog clock then.
    clock_ms: u64,
    weight: f64,
}

/// The recent departures of one queue.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    departures: VecDeque<Departure>,
    weight: f64,
    /// The backlog clock at the last departure that is not kept any more, or at the start.
    from_clock_ms: u64,
    clock_ms: u64,
    /// Since when the clock runs.
    running: Option<Timestamp>,
}

/// What was observed, taken out so that quantiles are computed outside any lock.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Observed {
    departures: f64,
    span_ms: u64,
    silence_ms: u64,
}

impl Pace {
    /// Somebody stands in backlog from now on, or nobody does.
    pub(crate) fn backlog(&mut self, now: Timestamp, any: bool) {
        match (self.running, any) {
            (None, true) => self.running = Some(now),
            (Some(_), false) => {
                self.clock_ms = self.clock(now);
                self.running = None;
            }
            _ => {}
        }
    }

    /// Somebody left the backlog; `weight` is the share of the others that stood behind.
    pub(crate) fn departed(&mut self, now: Timestamp, weight: f64) {
        let clock_ms = self.clock(now);
        self.departures.push_back(Departure { at: now, clock_ms, weight });
        self.weight += weight;
        while self.departures.len() > DEPARTURES_MAX {
            self.forget_first();
        }
    }

    /// What is known now.
    pub(crate) fn observed(&mut self, now: Timestamp) -> Observed {
        while self.departures.front().is_some_and(|first| now.since(first.at) > DEPARTURE_AGE_MAX) {
            self.forget_first();
        }
        let clock = self.clock(now);
        let newest = self.departures.back().map_or(self.from_clock_ms, |last| last.clock_ms);
        Observed {
            departures: self.weight,
            span_ms: clock.saturating_sub(self.from_clock_ms),
            silence_ms: clock.saturating_sub(newest),
        }
    }

    fn forget_first(&mut self) {
        if let Some(first) = self.departures.pop_front() {
            self.weight = if self.departures.is_empty() { 0.0 } else { self.weight - first.weight };
            self.from_clock_ms = first.clock_ms;
        }
    }

    fn clock(&self, now: Timestamp) -> u64 {
        self.clock_ms + self.running.map_or(0, |since| now.since(since).0)
    }
}

impl Observed {
    /// The interval for the contact at `place` (from 1); nothing when too little is known.
    pub(crate) fn interval(&self, place: u32) -> Option<WaitInterval> {
        if self.departures < DEPARTURES_MIN || self.span_ms == 0 {
            return None;
        }
        // From a departure to now: d gaps and the age of the one that is under way, which is exponential, too. So the span is
        // Gamma(d + 1) in units of the mean gap, and not Gamma(d) as it would be if it ended with a departure.
        let quantile = |q| beta_prime(f64::from(place), self.departures + 1.0, q) * self.span_ms as f64;
        let (p50, p90) = (quantile(0.5), quantile(0.9).max(self.silence_ms as f64));
        if p90 > WAIT_MAX.0 as f64 {
            return None;
        }
        Some(WaitInterval { p50: nearest(p50), p90: up(p90) })
    }
}

/// Steps of some five per cent, so that what is said does not flicker.
fn step(ms: u64) -> u64 {
    match ms {
        0..=20_000 => 1_000,
        20_001..=60_000 => 2_000,
        60_001..=300_000 => 5_000,
        300_001..=600_000 => 10_000,
        600_001..=3_600_000 => 60_000,
        _ => 300_000,
    }
}

fn whole(ms: f64) -> u64 {
    ms.max(1.0).ceil() as u64
}

fn nearest(ms: f64) -> Millis {
    let ms = whole(ms);
    let step = step(ms);
    Millis(((ms + step / 2) / step).max(1) * step)
}

fn up(ms: f64) -> Millis {
    let ms = whole(ms);
    Millis(ms.div_ceil(step(ms)) * step(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Timestamp {
        Timestamp(s * 1_000)
    }

    #[test]
    fn too_little_says_nothing_and_the_clock_stands_while_nobody_waits() {
        let mut pace = Pace::default();
        pace.backlog(at(0), true);
        for i in 1..8 {
            pace.departed(at(i * 10), 1.0);
        }
        assert_eq!(pace.observed(at(70)).interval(1), None, "seven");
        pace.departed(at(80), 1.0);
        let known = pace.observed(at(80)).interval(3).expect("eight");
        // 80 s of clock times the quantiles of beta-prime(3, 9) (SciPy: 0.3085, 0.7099), in steps of 2 and of 5 s.
        assert_eq!(known, WaitInterval { p50: Millis(24_000), p90: Millis(58_000) });
        pace.backlog(at(80), false);
        assert_eq!(pace.observed(at(1_000)), pace.observed(at(80)), "an hour without a backlog changes nothing");
        pace.backlog(at(1_000), true);
        assert_eq!(pace.observed(at(1_010)).span_ms, 90_000);
    }

    #[test]
    fn silence_and_age_are_honoured() {
        let mut pace = Pace::default();
        pace.backlog(at(0), true);
        for i in 1..=64 {
            pace.departed(at(i), 1.0);
        }
        let lively = pace.observed(at(64)).interval(1).expect("many");
        assert_eq!(lively.p90, Millis(3_000));
        // Ten minutes of silence: nobody is told that he is next within seconds.
        let silent = pace.observed(at(664)).interval(1).expect("still known");
        assert!(silent.p90 >= Millis(600_000), "{silent:?}");
        assert_eq!(pace.observed(at(64 + 1_900)).interval(1), None, "older than half an hour");
    }

    #[test]
    fn only_the_newest_departures_count() {
        let mut pace = Pace::default();
        pace.backlog(at(0), true);
        for i in 1..=1_000 {
            pace.departed(at(i), 1.0);
        }
        let seen = pace.observed(at(1_000));
        assert_eq!((seen.departures, seen.span_ms, pace.departures.len()), (64.0, 64_000, DEPARTURES_MAX));
    }

    #[test]
    fn a_clock_that_goes_back_is_no_panic() {
        let mut pace = Pace::default();
        pace.backlog(at(100), true);
        pace.departed(at(120), 1.0);
        pace.departed(at(10), 1.0);
        let _ = pace.observed(at(5)).interval(u32::MAX);
    }
}
