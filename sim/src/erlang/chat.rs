//! Chats that share an agent: a birth-death model in which the chats are always spread evenly over the agents.
//!
//! An agent with j chats at once works at j / (alone · factor(j)); with k chats over n agents, k mod n of them have one chat more
//! than the others. Past n · cap chats wait, as in [`super::waiting`]. "Always even" is the model's one untruth: a router that
//! gives each new chat to the least loaded agent comes close, and the simulator says how close. With no slow-down and cap c the
//! model is Erlang C (or A) with c · n agents, which is a test.

use super::dd::Dd;
use super::demand::{Demand, ErlangError, Patience, positive};
use super::inverse::least_whole;
use super::room::{Rates, Room, WEIGHT_MAX};
use super::waiting::{ServiceLevelKind, Waiting, abandonment_rate};

/// The most chats at once that an agent may have.
pub const CAP_MAX: usize = 50;
/// The most agents that are tried.
pub const CHAT_AGENTS_MAX: u32 = 20_000;

/// How a chat's handle time grows with the number of chats its agent has.
#[derive(Clone, Debug, PartialEq)]
pub struct Slowdown {
    alone: f64,
    /// Of the handle time with 1, 2, … chats at once; the first is 1.
    factors: Vec<f64>,
}

impl Slowdown {
    /// A handle time alone, and the factors with 1, 2, … cap chats at once.
    ///
    /// # Errors
    /// [`ErlangError`] unless there are 1 to [`CAP_MAX`] factors, all finite and positive, and an agent with one chat more never
    /// finishes fewer in a time.
    pub fn new(alone: f64, factors: Vec<f64>) -> Result<Self, ErlangError> {
        positive("handle time", alone)?;
        if factors.is_empty() || factors.len() > CAP_MAX {
            let (found, most) = (factors.len() as f64, CAP_MAX as f64);
            return Err(ErlangError::OutOfRange {
                field: "chats at once",
                found,
                least: 1.0,
                most,
                remedy: "give one factor a level",
            });
        }
        for (at, factor) in factors.iter().enumerate() {
            positive("slow-down factor", *factor)?;
            let level = at as f64 + 1.0;
            if at > 0 && level / factor < (level - 1.0) / factors[at - 1] {
                let most = factors[at - 1] * level / (level - 1.0);
                let remedy = "with this slow-down an agent finishes fewer chats at this level than at the one below; lower the cap";
                return Err(ErlangError::OutOfRange { field: "slow-down factor", found: *factor, least: 0.0, most, remedy });
            }
        }
        Ok(Self { alone, factors })
    }

    /// Each chat more adds a share `per_chat` of the handle time alone, up to `cap` at once.
    ///
    /// # Errors
    /// As [`Slowdown::new`].
    pub fn linear(alone: f64, per_chat: f64, cap: usize) -> Result<Self, ErlangError> {
        Self::new(alone, (0..cap.min(CAP_MAX + 1)).map(|others| 1.0 + per_chat * others as f64).collect())
    }

    /// Chats per handle time alone that `agents` finish when `chats` are spread evenly over them.
    fn rate(&self, agents: u32, chats: u64) -> Dd {
        let agents = u64::from(agents);
        let (level, more) = ((chats / agents) as usize, chats % agents);
        let of = |level: usize| if level == 0 { Dd::ZERO } else { Dd::from(level as f64) / Dd::from(self.factors[level - 1]) };
        let high = if more == 0 { Dd::ZERO } else { of(level + 1) * Dd::from(more as f64) };
        of(level) * Dd::from((agents - more) as f64) + high
    }
}

/// The chat system solved: the figures of [`Waiting`], where [`Waiting::occupancy`] is the share of chat places taken.
///
/// # Errors
/// [`ErlangError::Unstable`] when nobody leaves and more chats come than the agents finish at their cap.
pub fn chats(agents: u32, arrival_rate: f64, slowdown: &Slowdown, patience: Patience) -> Result<Waiting, ErlangError> {
    let demand = Demand::new(arrival_rate, slowdown.alone)?;
    if agents == 0 || agents > CHAT_AGENTS_MAX {
        let (found, most) = (f64::from(agents), f64::from(CHAT_AGENTS_MAX));
        return Err(ErlangError::OutOfRange { field: "agents", found, least: 1.0, most, remedy: "split the pool" });
    }
    let arrivals = demand.load();
    let full = u64::from(agents) * slowdown.factors.len() as u64;
    let service = slowdown.rate(agents, full);
    // Weights of fewer chats relative to just full, downwards; they rise to one peak and fall again.
    let (mut weight, mut below, mut in_service) = (Dd::ONE, Dd::ZERO, Dd::ZERO);
    for chats in (0..full).rev() {
        weight = weight * slowdown.rate(agents, chats + 1) / Dd::from(arrivals);
        below = below + weight;
        in_service = in_service + weight * Dd::from(chats as f64);
        if below.hi > WEIGHT_MAX / full as f64 {
            break;
        }
    }
    let abandonment = abandonment_rate(patience, slowdown.alone)?;
    let rates = Rates { arrivals, service, abandonment };
    let unstable = ErlangError::Unstable { agents: f64::from(agents), load: arrivals };
    let room = Room::solve(rates, below).ok_or(unstable)?;
    let taken = if below.hi > 0.0 { (in_service / below).value() * (1.0 - room.full()) } else { 0.0 } + room.full() * full as f64;
    Ok(Waiting::of_room(room, slowdown.alone, taken / full as f64))
}

/// The fewest agents with which a share `share` of chats begins to be served within `within`.
///
/// # Errors
/// [`ErlangError::Unreachable`] when [`CHAT_AGENTS_MAX`] do not suffice; others for values out of range.
///
/// ```
/// use tidegate_sim::erlang::{Patience, Slowdown, chat_agents_for};
///
/// // Ten chats a minute of six minutes alone, each further chat 35 % slower, at most three at once; seconds.
/// let slowdown = Slowdown::linear(360.0, 0.35, 3)?;
/// assert_eq!(chat_agents_for(10.0 / 60.0, &slowdown, Patience::Endless, 0.8, 30.0)?, 37);
/// # Ok::<(), tidegate_sim::erlang::ErlangError>(())
/// ```
pub fn chat_agents_for(
    arrival_rate: f64,
    slowdown: &Slowdown,
    patience: Patience,
    share: f64,
    within: f64,
) -> Result<u32, ErlangError> {
    super::demand::share("target service level", share)?;
    let kind = ServiceLevelKind::ServedWithinOfOffered;
    let level = |agents: u32| match chats(agents, arrival_rate, slowdown, patience) {
        Ok(solved) => Ok(solved.service_level(kind, within)),
        Err(ErlangError::Unstable { .. }) => Ok(0.0),
        Err(error) => Err(error),
    };
    let at_once = slowdown.factors.len() as f64;
    let load = arrival_rate * slowdown.alone * slowdown.factors[slowdown.factors.len() - 1] / at_once;
    match least_whole(CHAT_AGENTS_MAX, load as u32, |agents| Ok(level(agents)? >= share))? {
        Some(agents) => Ok(agents),
        None => {
            let (agents, best) = (f64::from(CHAT_AGENTS_MAX), level(CHAT_AGENTS_MAX)?);
            Err(ErlangError::Unreachable { target: "the service level", agents, best })
        }
    }
}
