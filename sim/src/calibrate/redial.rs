//! Coming again: how much likelier a customer who gave up asks again than one who was served, and how soon.
//!
//! Of identified customers: the share who ask again on the same day within [`HORIZON_S`] of giving up, the same share after a
//! service, and the excess of the first over the second, which is what giving up causes. Its time constant is that of an
//! exponential delay cut off at the horizon, from the mean delay of the excess (the delays after services taken off), its
//! interval from resampling days. Rows without a customer say nothing.
//!
//! It refuses to know whether a customer who did not come again was lost or content.

use super::stats::Estimate;
use crate::kernel::sample::pick;
use crate::kernel::{Purpose, Streams};
use serde::Serialize;

/// How long a return counts as one: an hour.
pub const HORIZON_S: u64 = 3_600;
const REPLICATES: u64 = 400;

/// One day's returns.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Returns {
    /// After giving up.
    pub abandoned: Group,
    /// After a service.
    pub served: Group,
}

/// Contacts of identified customers that ended one way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Group {
    /// Contacts.
    pub n: u64,
    /// Of these, followed by another one within the horizon.
    pub again: u64,
    /// Seconds until then, summed.
    pub delay_s: f64,
}

/// What is known of redials.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Redial {
    /// Share who ask again within the horizon of giving up.
    pub after_abandoning: Estimate,
    /// The same after a service.
    pub after_service: Estimate,
    /// The first less the second.
    pub excess: Estimate,
    /// The excess's time constant in seconds; `None` when the excess is not above zero or its delays are spread evenly.
    pub time_constant_s: Option<Estimate>,
    /// The excess's probability over an endless horizon, by that time constant.
    pub probability: Option<Estimate>,
}

impl Group {
    /// Counts a contact and what followed.
    pub fn add(&mut self, again_after_ms: Option<u64>) {
        self.n += 1;
        if let Some(ms) = again_after_ms.filter(|ms| *ms <= HORIZON_S * 1_000) {
            self.again += 1;
            self.delay_s += ms as f64 / 1_000.0;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.again += other.again;
        self.delay_s += other.delay_s;
    }
}

impl Returns {
    fn merge(mut self, other: &Self) -> Self {
        self.abandoned.merge(&other.abandoned);
        self.served.merge(&other.served);
        self
    }
}

/// Fits days; `None` when no identified customer gave up. O(replicates · days).
pub fn fit(days: &[Returns], streams: &Streams) -> Option<Redial> {
    let all = days.iter().fold(Returns::default(), Returns::merge);
    if all.abandoned.n == 0 {
        return None;
    }
    let (excess, time, probability) = figures(&all);
    let [mut excesses, mut times, mut probabilities]: [Vec<f64>; 3] = Default::default();
    for replicate in 0..REPLICATES {
        let mut stream = streams.for_(Purpose::Resampling, replicate);
        let drawn = (0..days.len()).fold(Returns::default(), |sum, _| sum.merge(&days[pick(stream.next_u01(), days.len())]));
        if drawn.abandoned.n > 0 {
            let (excess, time, probability) = figures(&drawn);
            excesses.push(excess);
            times.extend(time);
            probabilities.extend(probability);
        }
    }
    Some(Redial {
        after_abandoning: Estimate::share(all.abandoned.again, all.abandoned.n),
        after_service: Estimate::share(all.served.again, all.served.n),
        excess: Estimate::percentile(excess, excesses, all.abandoned.n),
        time_constant_s: time.map(|time| Estimate::percentile(time, times, all.abandoned.again)),
        probability: probability.map(|p| Estimate::percentile(p, probabilities, all.abandoned.n)),
    })
}

/// Excess share, its time constant, its probability without a horizon.
fn figures(of: &Returns) -> (f64, Option<f64>, Option<f64>) {
    let share = |group: &Group| if group.n > 0 { group.again as f64 / group.n as f64 } else { 0.0 };
    let delay = |group: &Group| if group.n > 0 { group.delay_s / group.n as f64 } else { 0.0 };
    let excess = share(&of.abandoned) - share(&of.served);
    if excess <= 0.0 {
        return (excess, None, None);
    }
    let mean = (delay(&of.abandoned) - delay(&of.served)) / excess;
    let time = constant_of_mean(mean);
    let probability = time.map(|time| (excess / -libm::expm1(-(HORIZON_S as f64) / time)).min(1.0));
    (excess, time, probability)
}

/// The time constant of an exponential whose mean, cut off at the horizon, is this; `None` at or past the horizon's half, where
/// the delays are spread evenly or worse.
fn constant_of_mean(mean: f64) -> Option<f64> {
    let horizon = HORIZON_S as f64;
    let cut_mean = |time: f64| time - horizon / libm::expm1(horizon / time);
    let (mut low, mut high) = (1.0, 50.0 * horizon);
    if mean <= cut_mean(low) || mean >= cut_mean(high) {
        return None;
    }
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if cut_mean(middle) < mean {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(0.5 * (low + high))
}
