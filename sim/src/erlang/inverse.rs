//! How many agents a target needs: whole, and as a fraction of one more.
//!
//! Every figure here improves with each agent, so the least number is found by doubling and halving; the fraction by halving the
//! last agent on the formulas' continuous extension. Fractions are what queues add up in: 18.7 and 11.4 are 31 agents together, not
//! 19 and 12. Several targets at once: all must hold. It knows the formulas by their public face only.

use super::demand::{AGENTS_MAX, Agents, Demand, ErlangError, Patience, positive, share};
use super::loss::blocking;
use super::waiting::{ServiceLevelKind, Waiting};

/// Which formula answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Formula {
    /// Erlang B: nobody can wait.
    Loss,
    /// Erlang C or A: contacts wait, endlessly or with patience.
    Queue(Patience),
}

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Target {
    /// At least this share within this time, by this definition.
    ServiceLevel {
        /// The definition.
        kind: ServiceLevelKind,
        /// The least share, between 0 and 1.
        share: f64,
        /// The acceptable wait.
        within: f64,
    },
    /// Mean wait of the served (ASA) at most this.
    MeanWaitOfServed(f64),
    /// Probability of waiting at most this.
    Wait(f64),
    /// Share that leaves unserved at most this.
    Abandonment(f64),
    /// Share that is blocked at most this (Erlang B).
    Blocking(f64),
    /// Agents busy at most this share of their time.
    Occupancy(f64),
}

/// Agents that targets need.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Need {
    /// The least whole number that holds them all.
    pub agents: u32,
    /// The least number at all, to about 10⁻⁹: above `agents` − 1, at most `agents`.
    pub fractional: f64,
}

/// Figures that targets are judged by.
enum Figures {
    Blocked { blocked: f64, occupancy: f64 },
    Queue(Waiting),
}

impl Figures {
    fn of(formula: Formula, agents: f64, demand: Demand) -> Result<Option<Self>, ErlangError> {
        let agents = Agents::new(agents)?;
        Ok(Some(match formula {
            Formula::Loss => {
                let blocked = blocking(agents, demand);
                Self::Blocked { blocked, occupancy: demand.load() * (1.0 - blocked) / agents.count() }
            }
            Formula::Queue(patience) => match Waiting::new(agents, demand, patience) {
                Ok(waiting) => Self::Queue(waiting),
                Err(ErlangError::Unstable { .. }) => return Ok(None),
                Err(error) => return Err(error),
            },
        }))
    }

    /// The figure of a target, and whether it holds.
    fn judge(&self, target: Target) -> (f64, bool) {
        let figure = match (self, target) {
            (Self::Queue(waiting), Target::ServiceLevel { kind, within, .. }) => waiting.service_level(kind, within),
            (Self::Queue(waiting), Target::MeanWaitOfServed(_)) => waiting.mean_wait_of_served(),
            (Self::Queue(waiting), Target::Wait(_)) => waiting.p_wait(),
            (Self::Queue(waiting), Target::Abandonment(_)) => waiting.p_abandon(),
            (Self::Queue(waiting), Target::Occupancy(_)) => waiting.occupancy(),
            (Self::Queue(_), Target::Blocking(_)) => 0.0,
            (Self::Blocked { occupancy, .. }, Target::Occupancy(_)) => *occupancy,
            // Whoever is not blocked is served at once.
            (Self::Blocked { blocked, .. }, Target::ServiceLevel { kind, .. }) => match kind {
                ServiceLevelKind::ServedWithinOfOffered => 1.0 - blocked,
                ServiceLevelKind::ServedWithinOfServed | ServiceLevelKind::LeftWithinOfOffered => 1.0,
            },
            (Self::Blocked { blocked, .. }, Target::Blocking(_)) => *blocked,
            (Self::Blocked { .. }, Target::MeanWaitOfServed(_) | Target::Wait(_) | Target::Abandonment(_)) => 0.0,
        };
        let holds = match target {
            Target::ServiceLevel { share, .. } => figure >= share,
            Target::MeanWaitOfServed(most)
            | Target::Wait(most)
            | Target::Abandonment(most)
            | Target::Blocking(most)
            | Target::Occupancy(most) => figure <= most,
        };
        (figure, holds)
    }
}

impl Target {
    fn checked(self) -> Result<Self, ErlangError> {
        match self {
            Self::ServiceLevel { share: least, within, .. } => {
                share("target service level", least)?;
                if !(within.is_finite() && within >= 0.0) {
                    return Err(ErlangError::NotPositive { field: "acceptable wait", found: within });
                }
            }
            Self::MeanWaitOfServed(most) => {
                positive("target mean wait", most)?;
            }
            Self::Wait(most) => {
                share("target probability of waiting", most)?;
            }
            Self::Abandonment(most) => {
                share("target abandonment", most)?;
            }
            Self::Blocking(most) => {
                share("target blocking", most)?;
            }
            Self::Occupancy(most) => {
                share("target occupancy", most)?;
            }
        }
        Ok(self)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::ServiceLevel { .. } => "the service level",
            Self::MeanWaitOfServed(_) => "the mean wait of the served",
            Self::Wait(_) => "the probability of waiting",
            Self::Abandonment(_) => "the abandonment",
            Self::Blocking(_) => "the blocking",
            Self::Occupancy(_) => "the occupancy",
        }
    }
}

/// The fewest agents with which every target holds. Some 40 evaluations of the formula.
///
/// # Errors
/// [`ErlangError::Unreachable`] with the best that [`AGENTS_MAX`] agents reach; [`ErlangError::Missing`] without a target; others for
/// values out of range.
///
/// ```
/// use tidegate_sim::erlang::{Demand, Formula, Patience, ServiceLevelKind, Target, agents_for};
///
/// // 20 Erlang, five minutes each, four fifths within 20 s: 25 by Erlang C, 22 by Erlang A with two minutes' patience.
/// let demand = Demand::new(20.0 / 300.0, 300.0)?;
/// let kind = ServiceLevelKind::ServedWithinOfOffered;
/// let target = [Target::ServiceLevel { kind, share: 0.8, within: 20.0 }];
/// assert_eq!(agents_for(Formula::Queue(Patience::Endless), demand, &target)?.agents, 25);
/// assert_eq!(agents_for(Formula::Queue(Patience::Exponential { mean: 120.0 }), demand, &target)?.agents, 22);
/// # Ok::<(), tidegate_sim::erlang::ErlangError>(())
/// ```
pub fn agents_for(formula: Formula, demand: Demand, targets: &[Target]) -> Result<Need, ErlangError> {
    if targets.is_empty() {
        return Err(ErlangError::Missing { field: "target", expected: "at least one target" });
    }
    for target in targets {
        target.checked()?;
    }
    let holds = |agents: f64| -> Result<bool, ErlangError> {
        let Some(figures) = Figures::of(formula, agents, demand)? else { return Ok(false) };
        Ok(targets.iter().all(|target| figures.judge(*target).1))
    };
    let agents = least_whole(AGENTS_MAX as u32, demand.load() as u32, |agents| holds(f64::from(agents)))?;
    let Some(agents) = agents else {
        let figures = Figures::of(formula, AGENTS_MAX, demand)?;
        let missed = |figures: &Figures| targets.iter().find(|target| !figures.judge(**target).1).copied();
        let target = figures.as_ref().and_then(missed).unwrap_or(targets[0]);
        let best = figures.map_or(f64::NAN, |figures| figures.judge(target).0);
        return Err(ErlangError::Unreachable { target: target.name(), agents: AGENTS_MAX, best });
    };
    let (mut low, mut high) = (f64::from(agents) - 1.0, f64::from(agents));
    for _ in 0..30 {
        let middle = (low + high) / 2.0;
        if holds(middle)? {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(Need { agents, fractional: high })
}

/// The least of 1 … `most` that holds, when each number holds if a smaller one does; none when none does.
pub(crate) fn least_whole<E>(most: u32, guess: u32, mut holds: impl FnMut(u32) -> Result<bool, E>) -> Result<Option<u32>, E> {
    // Invariant: `low` does not hold (0 never does), `high` does.
    let (mut low, mut step) = (0, 1);
    let mut high = guess.clamp(1, most);
    while !holds(high)? {
        if high == most {
            return Ok(None);
        }
        low = high;
        high = high.saturating_add(step).min(most);
        step *= 2;
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle)? {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(Some(high))
}
