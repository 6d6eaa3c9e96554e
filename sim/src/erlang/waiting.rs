//! Erlang C and Erlang A: contacts that wait, and leave when their patience ends; solved once, then asked anything.
//!
//! [`Waiting`] holds the stationary distribution of M/M/s (Erlang C), M/M/s+M (Erlang A, "Palm") or of balanced chats
//! ([`super::chat`]). Every figure is over all arriving contacts unless its name says otherwise, in the unit of the handle
//! time. How many agents a target needs is [`super::inverse`]'s matter.

use super::dd::Dd;
use super::demand::{Agents, Demand, ErlangError, Patience, SPAN_MAX};
use super::loss::inverse_blocking;
use super::room::{Rates, Room};

/// What "service level" means. There is no figure of that name without one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ServiceLevelKind {
    /// Served within T, of all who arrived: who leaves counts against it.
    ServedWithinOfOffered,
    /// Served within T, of those who were served: who leaves does not count.
    ServedWithinOfServed,
    /// Left the queue within T, served or not, of all who arrived: P(W ≤ T). Who leaves early counts for it.
    LeftWithinOfOffered,
}

impl ServiceLevelKind {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 3] = [Self::ServedWithinOfOffered, Self::ServedWithinOfServed, Self::LeftWithinOfOffered];

    /// Its name in files and on the command line.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::ServedWithinOfOffered => "served_within_of_offered",
            Self::ServedWithinOfServed => "served_within_of_served",
            Self::LeftWithinOfOffered => "left_within_of_offered",
        }
    }
}

/// Whose waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsOf {
    /// Of all who arrived, until they were served or left.
    Everybody,
    /// Of those who were served.
    TheServed,
}

/// A solved system with a queue.
#[derive(Clone, Debug)]
pub struct Waiting {
    room: Room,
    /// Of the room's clock, which ticks in handle times.
    unit: f64,
    occupancy: f64,
}

impl Waiting {
    /// Erlang C when `patience` is endless, Erlang A otherwise. O(agents + width of the queue's distribution): well below a
    /// millisecond for hundreds of agents, some for 20,000.
    ///
    /// # Errors
    /// [`ErlangError::Unstable`] when nobody leaves and the load is not below the agents; [`ErlangError::OutOfRange`] when the
    /// mean patience is not within a millionth and a million handle times.
    ///
    /// ```
    /// use tidegate_sim::erlang::{Agents, Demand, Patience, ServiceLevelKind, Waiting};
    ///
    /// // 48 contacts a minute of one minute each, 50 agents, patience two minutes; in seconds.
    /// let demand = Demand::new(0.8, 60.0)?;
    /// let a = Waiting::new(Agents::new(50.0)?, demand, Patience::Exponential { mean: 120.0 })?;
    /// assert!((a.p_abandon() - 0.030_912_249_162_2).abs() < 1e-13);
    /// assert!((a.mean_wait() - 3.709_47).abs() < 1e-5);
    /// assert!(a.service_level(ServiceLevelKind::ServedWithinOfOffered, 20.0) > 0.9);
    /// # Ok::<(), tidegate_sim::erlang::ErlangError>(())
    /// ```
    pub fn new(agents: Agents, demand: Demand, patience: Patience) -> Result<Self, ErlangError> {
        let (agents, load) = (agents.count(), demand.load());
        let below = inverse_blocking(agents, load) - Dd::ONE;
        let abandonment = abandonment_rate(patience, demand.handle_time())?;
        let rates = Rates { arrivals: load, service: Dd::from(agents), abandonment };
        let room = Room::solve(rates, below).ok_or(ErlangError::Unstable { agents, load })?;
        let occupancy = ((Dd::ONE - room.abandoned()) * Dd::from(load) / Dd::from(agents)).value();
        Ok(Self { room, unit: demand.handle_time(), occupancy })
    }

    /// A system with another front: see [`super::chat`].
    pub(crate) fn of_room(room: Room, unit: f64, occupancy: f64) -> Self {
        Self { room, unit, occupancy }
    }

    /// Probability that an arriving contact finds all capacity taken, and waits.
    pub fn p_wait(&self) -> f64 {
        self.room.full()
    }

    /// Share that leaves without being served.
    pub fn p_abandon(&self) -> f64 {
        self.room.abandoned().value()
    }

    /// Mean wait of all who arrived, including those who left and those who did not wait.
    pub fn mean_wait(&self) -> f64 {
        self.room.mean_wait() * self.unit
    }

    /// Mean wait of the served (the average speed of answer).
    pub fn mean_wait_of_served(&self) -> f64 {
        self.room.mean_waits_by_end().0 * self.unit
    }

    /// Mean wait of those who left; none when nobody leaves.
    pub fn mean_wait_of_abandoned(&self) -> Option<f64> {
        self.room.mean_waits_by_end().1.map(|wait| wait * self.unit)
    }

    /// Mean number waiting.
    pub fn mean_queue(&self) -> f64 {
        self.room.waiting()
    }

    /// Share of the agents' time that is spent on contacts.
    pub fn occupancy(&self) -> f64 {
        self.occupancy
    }

    /// P(W > t): still waiting after `t`.
    pub fn p_wait_longer_than(&self, t: f64) -> f64 {
        self.room.at(span(t / self.unit)).waits_longer
    }

    /// The service level within `t`, by one definition.
    pub fn service_level(&self, kind: ServiceLevelKind, t: f64) -> f64 {
        let at = self.room.at(span(t / self.unit));
        match kind {
            ServiceLevelKind::ServedWithinOfOffered => at.served_within,
            ServiceLevelKind::ServedWithinOfServed => at.served_within / (Dd::ONE - self.room.abandoned()).value(),
            ServiceLevelKind::LeftWithinOfOffered => at.left_within,
        }
    }

    /// The wait that a share `q` of contacts does not exceed (0.9 gives P90); 0 when that many do not wait at all. To about 10⁻¹³ of itself.
    ///
    /// # Errors
    /// [`ErlangError::OutOfRange`] unless 0 < q < 1.
    pub fn wait_quantile(&self, q: f64, of: WaitsOf) -> Result<f64, ErlangError> {
        let q = super::demand::share("quantile", q)?;
        let served = (Dd::ONE - self.room.abandoned()).value();
        let reached = |t: f64| {
            let at = self.room.at(t);
            match of {
                WaitsOf::Everybody => at.left_within >= q,
                WaitsOf::TheServed => at.served_within >= q * served,
            }
        };
        if reached(0.0) {
            return Ok(0.0);
        }
        let mut high = 1e-3;
        while !reached(high) && high < SPAN_MAX {
            high *= 2.0;
        }
        let mut low = if high > 1e-3 { high / 2.0 } else { 0.0 };
        // A bisection of doubles: 60 halvings leave nothing to halve.
        for _ in 0..60 {
            let middle = low + (high - low) / 2.0;
            if reached(middle) {
                high = middle
            } else {
                low = middle
            }
            if high - low <= 1e-14 * high {
                break;
            }
        }
        Ok(high * self.unit)
    }
}

/// Rate at which one waiting contact leaves, per handle time.
pub(crate) fn abandonment_rate(patience: Patience, handle_time: f64) -> Result<f64, ErlangError> {
    let Patience::Exponential { mean } = patience else { return Ok(0.0) };
    super::demand::positive("patience", mean)?;
    let rate = handle_time / mean;
    if !(1.0 / SPAN_MAX..=SPAN_MAX).contains(&rate) {
        let remedy = "leave patience out when nobody leaves; check its unit";
        let (least, most) = (1.0 / SPAN_MAX, SPAN_MAX);
        return Err(ErlangError::OutOfRange { field: "patience in handle times", found: mean / handle_time, least, most, remedy });
    }
    Ok(rate)
}

/// A time that the room can be asked about: not below 0, not past [`SPAN_MAX`] handle times.
fn span(t: f64) -> f64 {
    libm::fmin(libm::fmax(t, 0.0), SPAN_MAX)
}
