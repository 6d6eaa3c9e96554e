//! Coming again: how much likelier a customer who gave up asks again than one who was served, and how soon.
//!
//! Of identified customers: the share who ask again on the same day within [`HORIZON_S`] of giving up, the same share after a
//! service, and the excess of the first over the second. What giving up causes is a reason to come beside those that everybody
//! has: who is still away after t has stayed away for both, so its own distribution is 1 − away(t) after giving up over away(t)
//! after a service. Its mean, cut off at the horizon, gives the time constant of an exponential delay and the probability
//! without a horizon; intervals from resampling days. Rows without a customer say nothing.
//!
//! It refuses to know whether a customer who did not come again was lost or content.

use super::stats::Estimate;
use crate::kernel::sample::pick;
use crate::kernel::{Purpose, Streams};
use serde::Serialize;

/// How long a return counts as one: an hour.
pub const HORIZON_S: u64 = 3_600;
const REPLICATES: u64 = 400;
const BINS: usize = 120;

/// One day's returns.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Returns {
    /// After giving up.
    pub abandoned: Group,
    /// After a service.
    pub served: Group,
}

/// Contacts of identified customers that ended one way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// Contacts.
    pub n: u64,
    /// Of these, followed by another one within the horizon.
    pub again: u64,
    /// The same by minutes until then.
    by_bin: [u32; BINS],
}

impl Default for Group {
    fn default() -> Self {
        Self { n: 0, again: 0, by_bin: [0; BINS] }
    }
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
    /// Time constant of what giving up causes, in seconds; `None` when it causes nothing, or evenly over the hour.
    pub time_constant_s: Option<Estimate>,
    /// How likely giving up brings the customer back, without a horizon, by that time constant.
    pub probability: Option<Estimate>,
}

impl Group {
    /// Counts a contact and what followed.
    pub fn add(&mut self, again_after_ms: Option<u64>) {
        self.n += 1;
        if let Some(ms) = again_after_ms.filter(|ms| *ms <= HORIZON_S * 1_000) {
            self.again += 1;
            self.by_bin[((ms * BINS as u64 / (HORIZON_S * 1_000)) as usize).min(BINS - 1)] += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.again += other.again;
        for (mine, others) in self.by_bin.iter_mut().zip(&other.by_bin) {
            *mine += others;
        }
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
    let excess = share(&of.abandoned) - share(&of.served);
    // Of two independent reasons to come the earlier one shows, so that who is still away is the product of both: the part that
    // giving up causes is the quotient.
    let (mut away, mut away_anyhow) = (of.abandoned.n as f64, of.served.n as f64);
    let (mut caused, mut moments) = (0.0, 0.0);
    for (at, (abandoned, served)) in of.abandoned.by_bin.iter().zip(&of.served.by_bin).enumerate() {
        away -= f64::from(*abandoned);
        away_anyhow -= f64::from(*served);
        let anyhow = if of.served.n > 0 { away_anyhow / of.served.n as f64 } else { 1.0 };
        if anyhow <= 0.0 {
            return (excess, None, None);
        }
        let so_far = 1.0 - away / of.abandoned.n as f64 / anyhow;
        moments += (so_far - caused) * (at as f64 + 0.5) * HORIZON_S as f64 / BINS as f64;
        caused = so_far;
    }
    if caused <= 0.0 {
        return (excess, None, None);
    }
    let time = constant_of_mean(moments / caused);
    let probability = time.map(|time| (caused / -libm::expm1(-(HORIZON_S as f64) / time)).min(1.0));
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
