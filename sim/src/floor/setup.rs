//! A scenario with its policy, ready to run.
//!
//! Names have become places and spreads samplers, so that the loop compares numbers only. Everything that can be wrong with a
//! scenario is told when a setup is made; a replication cannot fail.

use super::outcome::Replication;
use super::play::{Floor, Happened};
use super::roster::Roster;
use crate::kernel::sample::SampleError;
use crate::report::Tally;
use crate::scenario::{AtEnd, Busyness, Profile, Repeat, Scenario, ScenarioErrors, Spread};
use crate::workload::Sampler;
use thiserror::Error;
use tidegate_core::policy::{PolicyErrors, parse};
use tidegate_matcher::market::MarketLimits;
use tidegate_model::policy::{AgentProfile, Policy, Requirement};
use tidegate_model::{ClassName, Level, QueueName, SkillName};

/// Why a scenario cannot run.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Faults of the scenario.
    #[error("{0}")]
    Scenario(ScenarioErrors),
    /// Faults of the policy.
    #[error("{0}")]
    Policy(PolicyErrors),
    /// A spread that cannot be drawn from.
    #[error("{field}: {cause}")]
    Spread {
        /// The field.
        field: String,
        /// Why.
        cause: SampleError,
    },
}

/// Factors by interval, in milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Factors {
    grid_ms: u64,
    factors: Vec<f64>,
}

impl Factors {
    fn new(profile: &Profile) -> Self {
        Self { grid_ms: profile.grid.whole_ms(), factors: profile.factors.clone() }
    }

    pub(super) fn at(&self, ms: u64) -> f64 {
        self.factors[((ms / self.grid_ms) as usize).min(self.factors.len() - 1)]
    }
}

#[derive(Clone, Debug)]
pub(super) struct Again {
    pub share: f64,
    pub after: Sampler,
    pub times_max: u8,
}

#[derive(Clone, Debug)]
pub(super) struct CallbackSetup {
    pub after_ms: u64,
    pub accepts: f64,
    pub not_reached: f64,
    pub attempt_ms: f64,
}

#[derive(Clone, Debug)]
pub(super) struct DemandSetup {
    pub queue: QueueName,
    pub class: ClassName,
    pub weight: u16,
    pub extra: Vec<(SkillName, Level)>,
    pub within_ms: u64,
    pub deadline_ms: u64,
    pub patience: Option<Sampler>,
    pub patience_profile: Option<Factors>,
    pub handle: Sampler,
    pub handle_profile: Option<Factors>,
    pub wrap_up: Option<Sampler>,
    pub redial: Option<Again>,
    pub repeat: Option<Again>,
    /// Share, and the demand.
    pub transfer: Option<(f64, usize)>,
    pub callback: Option<CallbackSetup>,
    /// Factors beside 0, 1, 2 … others; empty for none.
    pub slow_down: Vec<f64>,
    /// The AI pool that takes it first, and the share that it contains.
    pub pool: Option<(usize, f64)>,
    /// Demand whose stream of busyness it shares, and how it is drawn.
    pub busyness: Option<(usize, Busyness)>,
}

#[derive(Clone, Debug)]
pub(super) struct GroupSetup {
    pub profile: AgentProfile,
    pub accept: Option<Sampler>,
    pub hidden_idle: Option<Sampler>,
    /// By demand.
    pub handle_factor: Vec<f64>,
    /// Spread of agents' own factors.
    pub agents_differ: Option<Sampler>,
    /// (extra, over).
    pub learning: Option<(f64, f64)>,
}

#[derive(Clone, Debug)]
pub(super) struct PoolSetup {
    pub slots: u32,
    pub latency: Sampler,
    pub hand_over_after: Sampler,
    pub residual_handle: f64,
    pub repeats: f64,
    pub repeats_after: Sampler,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Setup {
    pub(super) scenario: Scenario,
    pub(super) policy: Policy,
    pub(super) demands: Vec<DemandSetup>,
    pub(super) groups: Vec<GroupSetup>,
    pub(super) pools: Vec<PoolSetup>,
    pub(super) roster: Roster,
    pub(super) limits: MarketLimits,
    pub(super) length_ms: u64,
    /// Contacts that come from here on are counted,
    pub(super) count_from_ms: u64,
    /// and before here.
    pub(super) count_until_ms: u64,
    pub(super) grid_ms: u64,
    pub(super) intervals: usize,
}

impl Setup {
    /// A scenario with its policy's text. `file` and `text` are those of the scenario, `policy_file` that of the policy, for the
    /// places of errors.
    ///
    /// # Errors
    /// [`SetupError`], with every fault of the part that is wrong.
    pub fn new(scenario: Scenario, file: &str, text: &str, policy_file: &str, policy_text: &str) -> Result<Self, SetupError> {
        let policy = parse(policy_file, policy_text).map_err(SetupError::Policy)?;
        Self::with_policy(scenario, file, text, policy)
    }

    /// As [`Self::new`], from a policy that was read before.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_policy(scenario: Scenario, file: &str, text: &str, policy: Policy) -> Result<Self, SetupError> {
        scenario.check().map_err(SetupError::Scenario)?;
        scenario.check_against(&policy, file, text).map_err(SetupError::Scenario)?;
        let demands = (0..scenario.demand.len()).map(|i| demand(&scenario, i)).collect::<Result<Vec<_>, _>>()?;
        let groups = (0..scenario.group.len()).map(|i| group(&scenario, i)).collect::<Result<Vec<_>, _>>()?;
        let pools = (0..scenario.ai.len()).map(|i| pool(&scenario, i)).collect::<Result<Vec<_>, _>>()?;
        let roster = Roster::new(&scenario)?;
        let steps: usize = policy.queues.iter().map(|queue| queue.steps.len()).max().unwrap_or(1);
        let waiting: u64 = policy.queues.iter().map(|queue| u64::from(queue.length_max)).sum();
        let limits = MarketLimits {
            tickets: waiting.min(TICKETS_MAX) as u32,
            seats: roster.agents() as u32 + 1,
            lanes: (demands.len() * steps * 2) as u32 + 1,
            classes: groups.len() as u32 + 1,
        };
        let length_ms = scenario.length.whole_ms();
        let (count_from_ms, cool) = (scenario.warm_up.whole_ms(), scenario.cool_down.whole_ms());
        let count_until_ms = if cool == 0 && scenario.at_end == AtEnd::Finish { u64::MAX } else { length_ms.saturating_sub(cool) };
        let grid_ms = scenario.grid.whole_ms();
        let intervals = length_ms.div_ceil(grid_ms) as usize;
        Ok(Self {
            scenario,
            policy,
            demands,
            groups,
            pools,
            roster,
            limits,
            length_ms,
            count_from_ms,
            count_until_ms,
            grid_ms,
            intervals,
        })
    }

    /// The scenario.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The policy that decides.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Empty tallies, one a demand, for [`Self::replicate`].
    pub fn tallies(&self) -> Vec<Tally> {
        self.demands.iter().map(|demand| Tally::new(demand.within_ms)).collect()
    }

    /// Acceptable waits, one a demand, in milliseconds.
    pub fn within_ms(&self) -> impl Iterator<Item = u64> {
        self.demands.iter().map(|demand| demand.within_ms)
    }

    /// Intervals of the series.
    pub fn intervals(&self) -> usize {
        self.intervals
    }

    /// Plays replication `number` of `seed`, counts its contacts in `tallies` (one a demand) and gives what happened.
    /// `antithetic` mirrors the draws of every second replication: numbers 2k and 2k + 1 have one set of streams.
    pub fn replicate(&self, seed: u64, number: u64, antithetic: bool, tallies: &mut [Tally]) -> Replication {
        Floor::new(self, seed, number, antithetic, tallies, None).run()
    }

    /// As [`Self::replicate`], and tells an observer what happens as it does.
    pub fn replicate_observed(
        &self,
        seed: u64,
        number: u64,
        tallies: &mut [Tally],
        observer: &mut dyn FnMut(Happened),
    ) -> Replication {
        Floor::new(self, seed, number, false, tallies, Some(observer)).run()
    }
}

/// Most tickets of a replication's market.
const TICKETS_MAX: u64 = 1 << 22;

fn sampler(field: String, spread: &Spread) -> Result<Sampler, SetupError> {
    Sampler::new(spread).map_err(|cause| SetupError::Spread { field, cause })
}

fn demand(scenario: &Scenario, i: usize) -> Result<DemandSetup, SetupError> {
    let demand = &scenario.demand[i];
    let optional = |field: &str, spread: &Option<Spread>| {
        spread.as_ref().map(|spread| sampler(format!("demand[{i}].{field}"), spread)).transpose()
    };
    let again = |field: &str, repeat: &Option<Repeat>| {
        let Some(repeat) = repeat else { return Ok(None) };
        let after = sampler(format!("demand[{i}].{field}.after"), &repeat.after)?;
        Ok(Some(Again { share: repeat.share, after, times_max: repeat.times_max }))
    };
    let place_of = |name: &str| scenario.demand.iter().position(|other| other.name == name).unwrap_or(i);
    let busyness = demand.arrivals.as_ref().and_then(|arrivals| arrivals.busyness.clone());
    let sharing = |shared: &String| {
        let same = |other: &&crate::scenario::Arrivals| other.busyness.as_ref().is_some_and(|b| b.shared.as_ref() == Some(shared));
        scenario.demand.iter().position(|d| d.arrivals.as_ref().filter(same).is_some())
    };
    let source = busyness.as_ref().and_then(|b| b.shared.as_ref()).and_then(sharing).unwrap_or(i);
    let slow_down = demand.channel.as_ref().and_then(|name| scenario.channel.iter().find(|c| c.name == *name));
    let symbol = |name: &str| SkillName::of(name);
    let pool = scenario.ai.iter().enumerate().find_map(|(at, pool)| Some((at, *pool.containment.get(&demand.name)?)));
    Ok(DemandSetup {
        queue: QueueName::of(demand.queue_name()),
        class: demand.class.as_deref().map_or(ClassName::NONE, ClassName::of),
        weight: demand.weight,
        extra: demand.needs.iter().map(|(skill, level)| (symbol(skill), Level(*level))).collect(),
        within_ms: demand.within.unwrap_or(scenario.within).whole_ms(),
        deadline_ms: demand.deadline.map_or(u64::MAX, |deadline| deadline.whole_ms()),
        patience: optional("patience", &demand.patience)?,
        patience_profile: demand.patience_profile.as_ref().map(Factors::new),
        handle: sampler(format!("demand[{i}].handle"), &demand.handle)?,
        handle_profile: demand.handle_profile.as_ref().map(Factors::new),
        wrap_up: optional("wrap_up", &demand.wrap_up)?,
        redial: again("redial", &demand.redial)?,
        repeat: again("repeat", &demand.repeat)?,
        transfer: demand.transfer.as_ref().map(|transfer| (transfer.share, place_of(&transfer.to))),
        callback: demand.callback.as_ref().map(|callback| CallbackSetup {
            after_ms: callback.after.whole_ms(),
            accepts: callback.accepts,
            not_reached: callback.not_reached,
            attempt_ms: callback.attempt.ms(),
        }),
        slow_down: slow_down.map(|channel| channel.slow_down.clone()).unwrap_or_default(),
        pool,
        busyness: busyness.map(|busyness| (source, busyness)),
    })
}

fn group(scenario: &Scenario, i: usize) -> Result<GroupSetup, SetupError> {
    let group = &scenario.group[i];
    let optional = |field: &str, spread: &Option<Spread>| {
        spread.as_ref().map(|spread| sampler(format!("group[{i}].{field}"), spread)).transpose()
    };
    let skills = group.skills.iter().map(|(skill, level)| Requirement { skill: skill.clone(), level: Level(*level) });
    let one = crate::scenario::Span::from_seconds(1.0).unwrap_or_default();
    let differ = Spread::LogNormal { mean: one, cv: group.handle_cv };
    Ok(GroupSetup {
        profile: AgentProfile {
            name: group.name.clone(),
            skills: skills.collect(),
            units: group.units,
            cost_ms: group.cost.whole_ms() as i64,
        },
        accept: optional("accept", &group.accept)?,
        hidden_idle: optional("hidden_idle", &group.hidden_idle)?,
        handle_factor: scenario.demand.iter().map(|d| group.handle_factor.get(&d.name).copied().unwrap_or(1.0)).collect(),
        agents_differ: if group.handle_cv > 0.0 { Some(sampler(format!("group[{i}].handle_cv"), &differ)?) } else { None },
        learning: group.learning.as_ref().map(|learning| (learning.extra, learning.over)),
    })
}

fn pool(scenario: &Scenario, i: usize) -> Result<PoolSetup, SetupError> {
    let pool = &scenario.ai[i];
    let latency = sampler(format!("ai[{i}].latency"), &pool.latency)?;
    let or_latency = |field: &str, spread: &Option<Spread>| match spread {
        Some(spread) => sampler(format!("ai[{i}].{field}"), spread),
        None => Ok(latency.clone()),
    };
    Ok(PoolSetup {
        slots: pool.slots,
        hand_over_after: or_latency("hand_over_after", &pool.hand_over_after)?,
        repeats_after: or_latency("repeats_after", &pool.repeats_after)?,
        latency,
        residual_handle: pool.residual_handle,
        repeats: pool.repeats,
    })
}
