//! The loop: three sources of time (the clock's changes, the agenda, arrivals), the earliest first; at one moment in that order.
//!
//! So a seat that is freed at the moment of an arrival is free for it, and a shift that begins then answers it. After each act
//! whoever may now be matched is looked for, before the next act; the distributor decides.

use super::contact::{Coming, Contact, Draws, State};
use super::outcome::{Area, DemandOutcome, GroupOutcome, IntervalOutcome, Replication};
use super::people::{Agent, Areas};
use super::pools::Pool;
use super::roster::Change;
use super::setup::Setup;
use crate::kernel::{Agenda, EntryId, Mrg32k3a, Purpose, Stream, Streams};
use crate::report::{Counts, Tally};
use crate::scenario::AtEnd;
use crate::workload::{ArrivalStream, BusyDay, Intensity};
use tidegate_core::Distributor;
use tidegate_model::output::Chain;

/// What happened on the floor, in the order in which it did; times in milliseconds. Contacts are numbered from 1 in the order of
/// coming, agents from 0 group by group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happened {
    /// A contact asks for an agent.
    Asks {
        /// When.
        at_ms: u64,
        /// Who.
        contact: u64,
        /// Its demand's place in the scenario.
        demand: u32,
    },
    /// A contact and an agent meet: the distributor's decision.
    Meets {
        /// When.
        at_ms: u64,
        /// Who.
        contact: u64,
        /// With whom.
        agent: u32,
    },
    /// A waiting contact hangs up.
    HangsUp {
        /// When.
        at_ms: u64,
        /// Who.
        contact: u64,
    },
    /// A segment ends.
    Ends {
        /// When.
        at_ms: u64,
        /// Whose.
        contact: u64,
        /// The agent's.
        agent: u32,
    },
    /// The agent's wrap-up, and what followed unseen, is over.
    Releases {
        /// When.
        at_ms: u64,
        /// After whom.
        contact: u64,
        /// The agent.
        agent: u32,
    },
    /// An agent is there for contacts.
    Opens {
        /// When.
        at_ms: u64,
        /// Who.
        agent: u32,
    },
    /// An agent takes no further contacts.
    Shuts {
        /// When.
        at_ms: u64,
        /// Who.
        agent: u32,
    },
}

/// Kinds of entries in the agenda.
pub(super) mod kind {
    pub(in crate::floor) const PATIENCE: u8 = 0;
    pub(in crate::floor) const DUE: u8 = 1;
    pub(in crate::floor) const ACCEPT: u8 = 2;
    pub(in crate::floor) const END: u8 = 3;
    pub(in crate::floor) const WRAP_UP: u8 = 4;
    pub(in crate::floor) const RELEASE: u8 = 5;
    pub(in crate::floor) const COMES: u8 = 6;
    pub(in crate::floor) const BOT: u8 = 7;
    pub(in crate::floor) const CALLBACK: u8 = 8;
}

pub(super) struct Floor<'s> {
    pub setup: &'s Setup,
    pub tallies: &'s mut [Tally],
    pub observer: Option<&'s mut dyn FnMut(Happened)>,
    pub distributor: Distributor,
    pub agenda: Agenda,
    pub contacts: Vec<Contact>,
    pub free: Vec<u32>,
    /// Contact of each ticket.
    pub owner: Vec<u32>,
    pub agents: Vec<Agent>,
    pub areas: Vec<Areas>,
    pub coming: Vec<Coming>,
    pub pools: Vec<Pool>,
    /// One each for delays of those who come again, accepting, unseen idle time, AI agents.
    pub redial: Stream,
    pub reaction: Stream,
    pub hidden: Stream,
    pub latency: Stream,
    pub queues: Vec<Area>,
    pub demands: Vec<DemandOutcome>,
    pub series: Vec<IntervalOutcome>,
    pub interval: usize,
    pub chain: Chain,
    pub next_number: u64,
    pub events: u64,
    arrivals: Vec<ArrivalStream>,
    /// Next moment of each; `u64::MAX` for none.
    next: Vec<u64>,
    changes: Vec<(u64, Change)>,
    changed: usize,
    number: u64,
    counted_at_start: Vec<Counts>,
    /// Areas at the beginning and the end of the counted part: queues, then three a group.
    from: Vec<u64>,
    until: Option<(u64, Vec<u64>)>,
    /// Areas at the last tick: all queues, busy, staffed.
    ticked: [u64; 3],
}

impl<'s> Floor<'s> {
    pub(super) fn new(
        setup: &'s Setup,
        seed: u64,
        number: u64,
        antithetic: bool,
        tallies: &'s mut [Tally],
        observer: Option<&'s mut dyn FnMut(Happened)>,
    ) -> Self {
        assert_eq!(tallies.len(), setup.demands.len(), "a tally for each demand");
        let (set, mirrored) = if antithetic { (number / 2, number % 2 == 1) } else { (number, false) };
        let streams = Streams::new(Mrg32k3a::from_seed(seed), set);
        let stream = |purpose, entity: usize| Stream::new(streams.for_(purpose, entity as u64), mirrored);
        let mut distributor =
            Distributor::new(setup.limits, setup.policy.clone()).expect("the policy was checked when it was read");
        let coming: Vec<Coming> = setup
            .demands
            .iter()
            .enumerate()
            .map(|(d, demand)| Coming {
                kind: distributor
                    .kind(demand.queue, demand.class, demand.weight, &demand.extra)
                    .expect("the scenario was checked against its policy, and lanes are counted"),
                first: Draws::new(&streams, d, false, mirrored),
                again: Draws::new(&streams, d, true, mirrored),
            })
            .collect();
        let length_ms = setup.length_ms as f64;
        let day = |source: usize, busyness| BusyDay::draw(busyness, length_ms, &mut stream(Purpose::Busyness, source));
        let mut arrivals: Vec<ArrivalStream> = setup
            .scenario
            .demand
            .iter()
            .enumerate()
            .map(|(d, demand)| {
                let day = setup.demands[d].busyness.as_ref().map_or_else(BusyDay::usual, |(s, b)| day(*s, b));
                let named = demand.arrivals.as_ref();
                let intensity = named.map(|a| Intensity::new(a, length_ms, &day)).unwrap_or_default();
                let recorded = named.and_then(|a| a.recorded.as_ref());
                let recorded = recorded.map(|r| r.iter().map(|at| at.whole_ms()).collect()).unwrap_or_default();
                ArrivalStream::new(intensity, recorded, stream(Purpose::Arrivals, d))
            })
            .collect();
        let next = arrivals.iter_mut().map(|a| a.next_ms().unwrap_or(u64::MAX)).collect();
        let mut agents = Vec::with_capacity(setup.roster.agents());
        for (g, group) in setup.groups.iter().enumerate() {
            for agent in setup.roster.first[g]..setup.roster.first[g + 1] {
                let differ = group.agents_differ.as_ref();
                let factor = differ.map_or(1.0, |d| d.sample(&mut stream(Purpose::AgentFactor, agent as usize)) / 1_000.0);
                agents.push(Agent::new(g as u16, factor));
            }
        }
        Self {
            counted_at_start: tallies.iter().map(|tally| *tally.counts()).collect(),
            changes: setup.roster.changes(&streams, mirrored),
            areas: vec![Areas::default(); setup.groups.len()],
            pools: setup.pools.iter().map(|_| Pool::default()).collect(),
            redial: stream(Purpose::Redial, 0),
            reaction: stream(Purpose::OfferReaction, 0),
            hidden: stream(Purpose::HiddenIdle, 0),
            latency: stream(Purpose::Latency, 0),
            queues: vec![Area::default(); setup.demands.len()],
            demands: vec![DemandOutcome::default(); setup.demands.len()],
            series: vec![IntervalOutcome::default(); setup.intervals],
            interval: 0,
            chain: Chain::default(),
            next_number: 1,
            events: 0,
            changed: 0,
            from: vec![0; setup.demands.len() + 3 * setup.groups.len()],
            until: None,
            ticked: [0; 3],
            agenda: Agenda::new(),
            contacts: Vec::new(),
            free: Vec::new(),
            owner: Vec::new(),
            setup,
            tallies,
            observer,
            distributor,
            agents,
            coming,
            arrivals,
            next,
            number,
        }
    }

    pub(super) fn run(mut self) -> Replication {
        let stop = if self.setup.scenario.at_end == AtEnd::Stop { self.setup.length_ms } else { u64::MAX };
        let mut now = 0;
        for d in 0..self.setup.demands.len() {
            let backlog = self.setup.scenario.demand[d].arrivals.as_ref().map_or(0, |arrivals| arrivals.backlog);
            // Those who waited overnight stand before anybody answers: staff comes with the first changes, behind them.
            (0..backlog).for_each(|_| self.arrives(d, 0));
        }
        let (mut coming, mut at_coming) = self.next_arrival();
        loop {
            let at_change = self.changes.get(self.changed).map_or(u64::MAX, |(at, _)| *at);
            let at_entry = self.agenda.next_time().map_or(u64::MAX, |at| at.0);
            if at_change <= at_entry && at_change <= at_coming {
                // Ticks alone do not keep a day going.
                if at_change == u64::MAX || at_change > stop {
                    break;
                }
                now = at_change;
                self.change(now);
            } else if at_entry <= at_coming {
                if at_entry >= stop {
                    break;
                }
                // What was left over is no moment of the day.
                if self.entry() {
                    now = at_entry;
                }
            } else {
                if at_coming >= stop {
                    break;
                }
                now = at_coming;
                self.events += 1;
                self.arrives(coming, now);
                self.next[coming] = self.arrivals[coming].next_ms().unwrap_or(u64::MAX);
                (coming, at_coming) = self.next_arrival();
            }
        }
        self.finish(now)
    }

    /// The demand that comes next, and when. Few demands: a scan beats any structure.
    #[inline]
    fn next_arrival(&self) -> (usize, u64) {
        let mut best = (0, u64::MAX);
        for (d, at) in self.next.iter().enumerate() {
            if *at < best.1 {
                best = (d, *at);
            }
        }
        best
    }

    #[inline]
    fn entry(&mut self) -> bool {
        let Some(entry) = self.agenda.pop() else { return false };
        let (now, slot) = (entry.at.0, entry.place);
        let contact = &mut self.contacts[slot as usize];
        let counts = match entry.kind {
            kind::DUE | kind::ACCEPT => &mut contact.due,
            kind::CALLBACK => &mut contact.call,
            _ => &mut contact.entry,
        };
        if *counts != entry.id {
            return false;
        }
        *counts = EntryId::NONE;
        self.events += 1;
        match entry.kind {
            kind::END => self.ends(slot, now),
            kind::RELEASE => self.releases(slot, now),
            kind::PATIENCE => self.hangs_up(slot, now),
            kind::WRAP_UP => self.rests(slot, now),
            kind::DUE => self.due(slot, now),
            kind::ACCEPT => self.accepts(slot, now),
            kind::COMES => self.comes_again(slot, now),
            kind::BOT => self.bot_ends(slot, now),
            _ => self.is_offered_callback(slot, now),
        }
        self.shed();
        true
    }

    /// Sheds entries that no longer count when they outnumber the contacts.
    fn shed(&mut self) {
        let live = self.contacts.len() - self.free.len();
        if self.agenda.len() > 4_096 && self.agenda.len() > 4 * live {
            let contacts = &self.contacts;
            self.agenda.retain(|entry| {
                let contact = &contacts[entry.place as usize];
                [contact.entry, contact.due, contact.call].contains(&entry.id)
            });
        }
    }

    fn change(&mut self, now: u64) {
        let (_, change) = self.changes[self.changed];
        self.changed += 1;
        self.events += 1;
        match change {
            Change::Staff { group, agents } => self.staff(group as usize, agents, now),
            Change::Comes { agent } => {
                self.agents[agent as usize].there = true;
                self.settle(agent, now);
            }
            Change::Goes { agent } => {
                self.agents[agent as usize].there = false;
                self.settle(agent, now);
            }
            Change::Away { agent } => {
                self.agents[agent as usize].away += 1;
                self.settle(agent, now);
            }
            Change::Back { agent } => {
                self.agents[agent as usize].away -= 1;
                self.settle(agent, now);
            }
            Change::Fails { pool } => self.pool_fails(pool as usize, now),
            Change::Works { pool } => self.pools[pool as usize].away -= 1,
            Change::Count => self.from = self.sums(now),
            Change::Tick => self.tick(now),
            Change::CountEnds => self.until = Some((now, self.sums(now))),
        }
    }

    fn sums(&mut self, now: u64) -> Vec<u64> {
        let queues = self.queues.iter_mut().map(|queue| queue.sum_at(now));
        let groups = self.areas.iter_mut().flat_map(|a| [a.staffed.sum_at(now), a.busy.sum_at(now), a.engaged.sum_at(now)]);
        queues.chain(groups).collect()
    }

    fn tick(&mut self, now: u64) {
        let all = [
            self.queues.iter_mut().map(|queue| queue.sum_at(now)).sum(),
            self.areas.iter_mut().map(|areas| areas.busy.sum_at(now)).sum(),
            self.areas.iter_mut().map(|areas| areas.staffed.sum_at(now)).sum::<u64>(),
        ];
        if let Some(interval) = self.series.get_mut(self.interval) {
            interval.queue_ms += all[0] - self.ticked[0];
            interval.busy_ms += all[1] - self.ticked[1];
            interval.staffed_ms += all[2] - self.ticked[2];
        }
        self.ticked = all;
        self.interval = (self.interval + 1).min(self.series.len());
    }

    fn finish(mut self, now: u64) -> Replication {
        let open: Vec<usize> = self
            .contacts
            .iter()
            .filter(|contact| !matches!(contact.state, State::Free | State::After | State::Coming))
            .filter(|contact| self.is_counted(contact.arrived))
            .map(|contact| usize::from(contact.came_as))
            .collect();
        for demand in open {
            self.demands[demand].open += 1;
        }
        let (ended, until) = match self.until.take() {
            Some(until) => until,
            None => (now, self.sums(now)),
        };
        let areas: Vec<u64> = until.iter().zip(&self.from).map(|(until, from)| until - from).collect();
        let (queues, groups) = areas.split_at(self.demands.len());
        for (d, demand) in self.demands.iter_mut().enumerate() {
            demand.counts = self.tallies[d].counts().since(&self.counted_at_start[d]);
            demand.queue_ms = queues[d];
        }
        let groups = groups.chunks_exact(3).map(|a| GroupOutcome { staffed_ms: a[0], busy_ms: a[1], engaged_ms: a[2] });
        Replication {
            number: self.number,
            digest: format!("{:016x}", self.chain.0),
            counted_ms: ended.saturating_sub(self.setup.count_from_ms),
            events: self.events,
            demands: self.demands,
            groups: groups.collect(),
            series: self.series,
        }
    }

    /// Tells whoever looks on.
    #[inline]
    pub(super) fn tell(&mut self, happened: Happened) {
        if let Some(observer) = &mut self.observer {
            observer(happened);
        }
    }

    /// Whether a contact that came then is counted.
    #[inline]
    pub(super) fn is_counted(&self, arrived: u64) -> bool {
        (self.setup.count_from_ms..self.setup.count_until_ms).contains(&arrived)
    }
}
