//! Contacts counted as they come, in room that grows with days, classes and agents, never with rows.
//!
//! What concerns one contact alone (waits, lengths, counts of arrivals) is counted at once. What concerns contacts together
//! (presence, returns, pairs, concurrency) is counted a day at a time, whatever the order of rows: days stay open while the open
//! ones hold at most [`MAX_OPEN_ROWS`] contacts; past that the oldest are counted and forgotten. A contact of a day that is
//! closed already still counts by itself; how many came so late is told.
//!
//! It refuses to know what will be fitted.

use super::arrivals::DayCounts;
use super::contact::{AgentId, At, ClassId, DAY_MS, DayNumber, Ended, Names, Observed, Service, Standing};
use super::handle::{AgentLengths, LengthsByMonth};
use super::patience::WaitsByMonth;
use super::presence::{DayServices, MIN_SKILL_SERVICES, Presence};
use super::read::Sink;
use super::redial::Returns;
use super::seniority::{OfClass, Pairs, Waiter};
use super::slowdown::Trails;
use std::collections::BTreeMap;

/// Contacts of days that are still open: some 80 bytes each.
pub const MAX_OPEN_ROWS: usize = 1_000_000;

/// Counts of one class.
#[derive(Clone, Debug, Default)]
pub struct ClassTally {
    /// Contacts that asked, by day and interval.
    pub arrivals: DayCounts,
    /// Waits.
    pub waits: WaitsByMonth,
    /// Waits of those of high standing.
    pub waits_high: WaitsByMonth,
    /// Lengths of services.
    pub lengths: LengthsByMonth,
    /// Services and their seconds, by the hour of the day in which they were asked for.
    pub by_hour: [(u64, f64); 24],
    /// Contacts that left before asking.
    pub left_early: u64,
}

/// Counts of everything.
#[derive(Clone, Debug)]
pub struct Tally {
    names: Names,
    interval_ms: u32,
    /// By class.
    pub classes: BTreeMap<ClassId, ClassTally>,
    /// Lengths by agent.
    pub agent_lengths: AgentLengths,
    /// Presence.
    pub presence: Presence,
    /// Returns, a day each.
    pub returns: Vec<Returns>,
    /// Pairs, a day each.
    pub pairs: Vec<Pairs>,
    /// Pairs of a class and the reference class (the largest of the first day), a day each.
    pub class_pairs: BTreeMap<ClassId, Vec<Pairs>>,
    /// The class that the others are compared with.
    pub reference: Option<ClassId>,
    /// Contacts as segments, tagged by class and whether held out.
    pub trails: Trails,
    /// First and last day.
    pub span: Option<(DayNumber, DayNumber)>,
    /// Contacts.
    pub contacts: u64,
    /// Contacts by standing: unknown, regular, high.
    pub standings: [u64; 3],
    /// Contacts with a customer.
    pub identified: u64,
    /// Served contacts without a usable service, and without an agent.
    pub without_service: u64,
    /// Served contacts.
    pub served: u64,
    /// Of these, those that took no time of a named agent: nobody is named, or the service has no length.
    pub unseen: u64,
    /// Served contacts without an agent.
    pub without_agent: u64,
    /// Contacts of a day that was closed already.
    pub late: u64,
    open_rows: usize,
    /// Services that met midnight.
    held: BTreeMap<AgentId, Vec<(Service, u32)>>,
    open: BTreeMap<DayNumber, Vec<Observed>>,
    closed: Option<DayNumber>,
}

impl Tally {
    /// Counts in intervals of so many seconds, 60 to 86,400, that divide the day.
    ///
    /// # Panics
    /// If they do not.
    pub fn new(interval_s: u32) -> Self {
        assert!(interval_s >= 60 && 86_400 % interval_s == 0, "an interval of {interval_s} s does not divide the day");
        Self {
            names: Names::default(),
            interval_ms: interval_s * 1_000,
            classes: BTreeMap::new(),
            agent_lengths: AgentLengths::default(),
            presence: Presence::by_interval(interval_s),
            returns: Vec::new(),
            pairs: Vec::new(),
            class_pairs: BTreeMap::new(),
            reference: None,
            trails: Trails::default(),
            span: None,
            contacts: 0,
            standings: [0; 3],
            identified: 0,
            without_service: 0,
            without_agent: 0,
            served: 0,
            unseen: 0,
            late: 0,
            open_rows: 0,
            held: BTreeMap::new(),
            open: BTreeMap::new(),
            closed: None,
        }
    }

    /// The names, to read.
    pub fn known_names(&self) -> &Names {
        &self.names
    }

    /// Counts the days that are still open. Call it once, after the last contact.
    pub fn close(&mut self) {
        while let Some((day, contacts)) = self.open.pop_first() {
            self.count_day(day, contacts);
        }
        for services in std::mem::take(&mut self.held).into_values() {
            self.trails.add(&services);
        }
    }

    fn count_day(&mut self, day: DayNumber, contacts: Vec<Observed>) {
        self.closed = self.closed.max(Some(day));
        let mut services = DayServices::default();
        let mut waiters = Vec::new();
        let mut by_customer: BTreeMap<u64, Vec<&Observed>> = BTreeMap::new();
        let mut by_agent: BTreeMap<AgentId, Vec<(Service, u32)>> = BTreeMap::new();
        for contact in &contacts {
            if contact.asked_for_agent() {
                services.asked.entry(contact.class).or_default().push(contact.asked.0);
            }
            if let Some(waited_ms @ 1..) = contact.waited_ms() {
                let until = contact.asked.later(waited_ms);
                services.waits.entry(contact.class).or_default().push((contact.asked.0, until.0));
                if matches!(contact.ended, Ended::Served { .. }) {
                    waiters.push(Waiter { class: contact.class, began: contact.asked, taken: until, standing: contact.standing });
                }
            }
            if let (Some(agent), Some(service)) = (contact.agent, contact.service()) {
                services.services.entry(agent).or_default().push((service, contact.class));
                by_agent.entry(agent).or_default().push((service, tag(contact.class, day)));
            }
            if let Some(customer) = contact.customer {
                by_customer.entry(customer).or_default().push(contact);
            }
        }
        self.presence.add(day, &services);
        self.count_class_pairs(&contacts, &services);
        self.pairs.push(Pairs::of(waiters));
        let mut returns = Returns::default();
        for contacts in by_customer.values_mut() {
            contacts.sort_by_key(|contact| contact.asked);
            for (at, contact) in contacts.iter().enumerate() {
                let over = contact.over();
                let next = contacts[at + 1..].iter().map(|next| next.asked).find(|asked| *asked >= over);
                let after = next.map(|next| next.since(over));
                match contact.ended {
                    Ended::Abandoned { .. } => returns.abandoned.add(after),
                    Ended::Served { .. } => returns.served.add(after),
                    Ended::BeforeAsking => {}
                }
            }
        }
        self.returns.push(returns);
        for (agent, services) in std::mem::take(&mut self.held) {
            let mine = by_agent.entry(agent).or_default();
            mine.splice(0..0, services);
        }
        let midnight = DayNumber(day.0 + 1).midnight();
        for (agent, mut services) in by_agent {
            // Contacts that reach into the next day may meet others there: they wait for it, with all that they met already.
            let run = begin_of_last_run(&mut services, midnight);
            let held = services.split_off(run);
            self.trails.add(&services);
            if !held.is_empty() {
                self.held.insert(agent, held);
            }
        }
    }
}

impl Tally {
    /// Ordinary callers of each class beside those of the reference class, both taken by agents who serve both.
    fn count_class_pairs(&mut self, contacts: &[Observed], services: &DayServices) {
        let mut taken: BTreeMap<ClassId, Vec<(OfClass, AgentId)>> = BTreeMap::new();
        for contact in contacts.iter().filter(|contact| contact.standing != Standing::High) {
            if let (Some(agent), Ended::Served { waited_ms: waited_ms @ 1.., .. }) = (contact.agent, contact.ended) {
                let of = OfClass { began: contact.asked, taken: contact.asked.later(waited_ms) };
                taken.entry(contact.class).or_default().push((of, agent));
            }
        }
        let largest = taken.iter().max_by_key(|(_, taken)| taken.len()).map(|(class, _)| *class);
        let Some(reference) = self.reference.or(largest) else { return };
        self.reference = Some(reference);
        let serves = |agent: &AgentId, class: ClassId| {
            services.services.get(agent).is_some_and(|all| all.iter().filter(|(_, of)| *of == class).count() >= MIN_SKILL_SERVICES)
        };
        let by = |class: ClassId, other: ClassId| -> Vec<OfClass> {
            let all = taken.get(&class).into_iter().flatten();
            all.filter(|(_, agent)| serves(agent, class) && serves(agent, other)).map(|(of, _)| *of).collect()
        };
        for class in taken.keys().copied().filter(|class| *class != reference) {
            let pairs = Pairs::between(by(class, reference), by(reference, class));
            self.class_pairs.entry(class).or_default().push(pairs);
        }
    }
}

/// Services that one agent may hold over midnight; more are let go.
const MAX_HELD: usize = 5_000;

/// Where, in order of begin, the run of services without a pause begins that reaches past `midnight`; the end when none does.
fn begin_of_last_run(services: &mut [(Service, u32)], midnight: At) -> usize {
    services.sort_by_key(|(service, _)| (service.from, service.until));
    let (mut begin, mut until) = (0, At(i64::MIN));
    for (place, (service, _)) in services.iter().enumerate() {
        if service.from >= until {
            begin = place;
        }
        until = until.max(service.until);
    }
    if until > midnight && services.len() - begin <= MAX_HELD { begin } else { services.len() }
}

/// A class and whether its day is held out, as one number.
fn tag(class: ClassId, day: DayNumber) -> u32 {
    u32::from(class.0) << 1 | u32::from(day.is_held_out())
}

/// A tag's class and whether its day is held out.
pub(super) fn untag(tag: u32) -> (ClassId, bool) {
    // The shifted number is the class's, of 16 bits.
    (ClassId((tag >> 1) as u16), tag & 1 == 1)
}

impl Sink for Tally {
    fn names(&mut self) -> &mut Names {
        &mut self.names
    }

    fn take(&mut self, contact: Observed) {
        let day = contact.asked.day();
        self.contacts += 1;
        self.span = Some(self.span.map_or((day, day), |(first, last)| (first.min(day), last.max(day))));
        self.standings[match contact.standing {
            Standing::Unknown => 0,
            Standing::Regular => 1,
            Standing::High => 2,
        }] += 1;
        self.identified += u64::from(contact.customer.is_some());
        let class = self.classes.entry(contact.class).or_default();
        match contact.ended {
            Ended::BeforeAsking => class.left_early += 1,
            Ended::Abandoned { waited_ms } => {
                class.waits.of(day).hung_up(waited_ms);
                if contact.standing == Standing::High {
                    class.waits_high.of(day).hung_up(waited_ms);
                }
            }
            Ended::Served { waited_ms, service } => {
                class.waits.of(day).answered(waited_ms);
                if contact.standing == Standing::High {
                    class.waits_high.of(day).answered(waited_ms);
                }
                match service {
                    Some(service) if service.length_ms() > 0 => {
                        class.lengths.of(day).add(service.length_ms(), day.is_held_out());
                        let hour = &mut class.by_hour[(contact.asked.of_day_ms() / 3_600_000) as usize];
                        hour.0 += 1;
                        hour.1 += service.length_ms() as f64 / 1_000.0;
                        if let Some(agent) = contact.agent {
                            self.agent_lengths.add(agent, contact.class, service.length_ms());
                        }
                    }
                    _ => self.without_service += 1,
                }
                self.served += 1;
                self.unseen += u64::from(contact.agent.is_none() || service.is_none_or(|service| service.length_ms() == 0));
                self.without_agent += u64::from(contact.agent.is_none());
            }
        }
        if contact.asked_for_agent() {
            let intervals = (DAY_MS as u32 / self.interval_ms) as usize;
            let counts = class.arrivals.entry(day).or_insert_with(|| vec![0; intervals]);
            counts[(contact.asked.of_day_ms() / self.interval_ms) as usize] += 1;
        }
        if self.closed.is_some_and(|closed| day <= closed) {
            self.late += 1;
            return;
        }
        self.open.entry(day).or_default().push(contact);
        self.open_rows += 1;
        // A single day that fills all the room is counted in parts.
        if self.open_rows > MAX_OPEN_ROWS
            && let Some((oldest, contacts)) = self.open.pop_first()
        {
            self.open_rows -= contacts.len();
            self.count_day(oldest, contacts);
        }
    }
}
