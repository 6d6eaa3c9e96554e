//! Staffing for rates that change over the day: SIPP, lagged SIPP, modified offered load, and the hook of iterative staffing.
//!
//! [`Profile`] is the day as rates on a grid of equal intervals. SIPP (stationary, independent, period by period) takes each
//! interval for itself; lagged SIPP takes the rates one mean handle time earlier, because load follows arrivals; MOL takes the
//! number of agents that would be busy if there were infinitely many, which is exact for any law of handle times
//! ([`Handling`]); ISA asks a simulator again and again ([`iterative_staffing`]). All of them hand rates to [`agents_for`].
//! Nothing here knows skills or rosters.
//!
//! Sources: L. Green, P. Kolesar, J. Soares, Operations Research 49 (2001) 549-564 (lagged SIPP); O. Jennings, A. Mandelbaum,
//! W. Massey, W. Whitt, Management Science 42 (1996) 1383-1394 (MOL); S. Eick, W. Massey, W. Whitt, Operations Research 41 (1993)
//! 731-742 (the infinite-server load); Z. Feldman, A. Mandelbaum, W. Massey, W. Whitt, Management Science 54 (2008) 324-338 (ISA).

use super::demand::{Demand, ErlangError, positive};
use super::inverse::{Formula, Need, Target, agents_for};
use thiserror::Error;

/// The most intervals of one profile: a year of minutes.
pub const INTERVALS_MAX: usize = 366 * 24 * 60;
/// Looks at the offered load within one interval, its ends included.
const LOOKS: usize = 9;

/// Rates on a grid of equal intervals from time 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    interval: f64,
    rates: Vec<f64>,
    before: f64,
}

impl Profile {
    /// Intervals of this length with these rates, after a long time at the rate `before` (0: the day starts empty).
    ///
    /// # Errors
    /// [`ErlangError`] unless there are 1 to [`INTERVALS_MAX`] rates, all finite and none negative.
    pub fn new(interval: f64, rates: Vec<f64>, before: f64) -> Result<Self, ErlangError> {
        positive("interval", interval)?;
        if rates.is_empty() {
            return Err(ErlangError::Missing { field: "rates", expected: "one rate an interval" });
        }
        let (found, most) = (rates.len() as f64, INTERVALS_MAX as f64);
        if rates.len() > INTERVALS_MAX {
            return Err(ErlangError::OutOfRange { field: "intervals", found, least: 1.0, most, remedy: "plan a shorter time" });
        }
        for &rate in rates.iter().chain([&before]) {
            if !(rate.is_finite() && rate >= 0.0) {
                let remedy = "a rate is 0 or more";
                return Err(ErlangError::OutOfRange { field: "rate", found: rate, least: 0.0, most: f64::MAX, remedy });
            }
        }
        Ok(Self { interval, rates, before })
    }

    /// Mean rate over [from, from + interval), in O(1).
    fn mean_rate_from(&self, from: f64) -> f64 {
        let place = from / self.interval;
        let whole = libm::floor(place);
        let into = place - whole;
        self.rate_of(whole) * (1.0 - into) + self.rate_of(whole + 1.0) * into
    }

    fn rate_of(&self, place: f64) -> f64 {
        if place < 0.0 { self.before } else { self.rates.get(place as usize).copied().unwrap_or(0.0) }
    }

    /// The offered load at `t`: mean number of agents busy if there were infinitely many. O(intervals before t that count).
    pub fn offered_load(&self, handling: &Handling, t: f64) -> f64 {
        let mut load = self.before * (handling.mean() - handling.limited_mean(t));
        for (at, rate) in self.rates.iter().enumerate() {
            let start = at as f64 * self.interval;
            if start >= t {
                break;
            }
            let since_end = libm::fmax(0.0, t - start - self.interval);
            load += rate * (handling.limited_mean(t - start) - handling.limited_mean(since_end));
        }
        load
    }

    /// The largest offered load within an interval, looked at in nine places.
    fn peak_load(&self, handling: &Handling, interval: usize) -> f64 {
        let looks = (0..LOOKS).map(|look| (interval as f64 + look as f64 / (LOOKS - 1) as f64) * self.interval);
        looks.map(|t| self.offered_load(handling, t)).fold(0.0, libm::fmax)
    }
}

/// The law of handle times, as far as the offered load depends on it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Handling {
    /// Exponential.
    Exponential {
        /// Mean.
        mean: f64,
    },
    /// Always the same.
    Fixed {
        /// The time.
        time: f64,
    },
    /// Log-normal.
    LogNormal {
        /// Mean of the time itself.
        mean: f64,
        /// Standard deviation over mean.
        variation: f64,
    },
    /// As observed.
    Observed(Observed),
}

/// Observed handle times, sorted, with their running sums.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    sorted: Vec<f64>,
    sums: Vec<f64>,
}

impl Handling {
    /// The law of these observations.
    ///
    /// # Errors
    /// [`ErlangError`] when there is none, or one is not above 0.
    pub fn observed(times: impl IntoIterator<Item = f64>) -> Result<Self, ErlangError> {
        let mut sorted = times.into_iter().map(|time| positive("handle time", time)).collect::<Result<Vec<_>, _>>()?;
        if sorted.is_empty() {
            return Err(ErlangError::Missing { field: "handle times", expected: "at least one" });
        }
        sorted.sort_by(f64::total_cmp);
        let sums = sorted
            .iter()
            .scan(0.0, |sum, time| {
                *sum += time;
                Some(*sum)
            })
            .collect();
        Ok(Self::Observed(Observed { sorted, sums }))
    }

    /// The mean.
    pub fn mean(&self) -> f64 {
        match self {
            Self::Exponential { mean } | Self::LogNormal { mean, .. } => *mean,
            Self::Fixed { time } => *time,
            Self::Observed(seen) => seen.sums.last().copied().unwrap_or(0.0) / seen.sorted.len() as f64,
        }
    }

    /// E[min(S, x)]: the integral of the survival function from 0 to x. Closed forms.
    pub fn limited_mean(&self, x: f64) -> f64 {
        if x <= 0.0 {
            return 0.0;
        }
        match self {
            Self::Exponential { mean } => -mean * libm::expm1(-x / mean),
            Self::Fixed { time } => libm::fmin(*time, x),
            Self::LogNormal { mean, variation } => {
                let variance = libm::log1p(variation * variation);
                if variance <= 0.0 {
                    return libm::fmin(*mean, x);
                }
                let deviation = libm::sqrt(variance);
                let location = libm::log(*mean) - variance / 2.0;
                let z = (libm::log(x) - location) / deviation;
                mean * normal(z - deviation) + x * normal(-z)
            }
            Self::Observed(seen) => {
                let shorter = seen.sorted.partition_point(|time| *time <= x);
                let sum = if shorter == 0 { 0.0 } else { seen.sums[shorter - 1] };
                (sum + x * (seen.sorted.len() - shorter) as f64) / seen.sorted.len() as f64
            }
        }
    }
}

/// The standard normal distribution function.
fn normal(z: f64) -> f64 {
    libm::erfc(-z / std::f64::consts::SQRT_2) / 2.0
}

/// How the rate of an interval is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approach {
    /// Its own mean rate.
    Sipp,
    /// The mean rate one mean handle time earlier.
    LaggedSipp,
    /// The largest offered load within it, over the mean handle time.
    ModifiedOfferedLoad,
}

/// Agents for each interval. None where nobody comes.
///
/// # Errors
/// As [`agents_for`]; [`ErlangError`] for a handle time that is not above 0.
pub fn staff(
    approach: Approach,
    profile: &Profile,
    handling: &Handling,
    formula: Formula,
    targets: &[Target],
) -> Result<Vec<Option<Need>>, ErlangError> {
    let mean = positive("handle time", handling.mean())?;
    let rate_of = |interval: usize| match approach {
        Approach::Sipp => profile.rates[interval],
        Approach::LaggedSipp => profile.mean_rate_from(interval as f64 * profile.interval - mean),
        Approach::ModifiedOfferedLoad => profile.peak_load(handling, interval) / mean,
    };
    (0..profile.rates.len())
        .map(|interval| match rate_of(interval) {
            // An offered load of a billionth of an agent is the end of a decay, not somebody.
            rate if rate * mean <= 1e-9 => Ok(None),
            rate => agents_for(formula, Demand::new(rate, mean)?, targets).map(Some),
        })
        .collect()
}

/// How many contacts are in the system in one interval: weights of 0, 1, 2, …, in any common unit (counts, probabilities).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InSystem(pub Vec<f64>);

impl InSystem {
    /// The fewest agents of whom all are taken at most a share `p_wait` of the time: at least one.
    fn agents_for(&self, p_wait: f64) -> u32 {
        let total: f64 = self.0.iter().sum();
        let mut taken = 0.0;
        for (count, weight) in self.0.iter().enumerate().rev() {
            taken += weight;
            if taken > p_wait * total {
                return u32::try_from(count + 1).unwrap_or(u32::MAX);
            }
        }
        1
    }
}

/// Why iterative staffing ended without an answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IsaError<E: std::error::Error + 'static> {
    /// The simulator failed.
    #[error("the simulator stopped")]
    Simulator(#[source] E),
    /// It gave another number of intervals than it was asked about.
    #[error("the simulator gave {found} intervals, expected {expected}")]
    Intervals {
        /// How many.
        found: usize,
        /// How many there are.
        expected: usize,
    },
    /// It did not settle.
    #[error("after {rounds} rounds staffing still moves by {by} agents; allow more rounds, or more replications a round")]
    Unsettled {
        /// Rounds done.
        rounds: u32,
        /// The largest move of the last one.
        by: u32,
    },
    /// The target.
    #[error(transparent)]
    Target(#[from] ErlangError),
}

/// The iterative staffing algorithm: `simulate` says for a staffing how many are in the system in each interval; the next staffing is
/// the least with which all agents are taken at most a share `p_wait` of the time. It starts from `first` (as many agents as can
/// come, say) and ends when no interval moves by more than `within` agents. Gives the staffing and the rounds it took.
///
/// # Errors
/// [`IsaError`].
pub fn iterative_staffing<E: std::error::Error + 'static>(
    first: Vec<u32>,
    p_wait: f64,
    within: u32,
    rounds_max: u32,
    mut simulate: impl FnMut(&[u32]) -> Result<Vec<InSystem>, E>,
) -> Result<(Vec<u32>, u32), IsaError<E>> {
    super::demand::share("target probability of waiting", p_wait)?;
    let mut staffing = first;
    let mut by = u32::MAX;
    for round in 1..=rounds_max {
        let seen = simulate(&staffing).map_err(IsaError::Simulator)?;
        if seen.len() != staffing.len() {
            return Err(IsaError::Intervals { found: seen.len(), expected: staffing.len() });
        }
        let next: Vec<u32> = seen.iter().map(|seen| seen.agents_for(p_wait)).collect();
        by = next.iter().zip(&staffing).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
        staffing = next;
        if by <= within {
            return Ok((staffing, round));
        }
    }
    Err(IsaError::Unsettled { rounds: rounds_max, by })
}
