//! Agents' presence, read off their services: from the first to the end of the last, gaps that cannot be idleness as breaks, and the
//! time they were away although somebody waited whom they could have served.
//!
//! A gap between two services is a break when as many contacts asked in it, of classes that this agent serves, as agents were there:
//! whoever is there and idle has had his turn by then, if the longest idle is next. A long gap in a quiet night is idleness.
//!
//! A record of contacts has no sign-ins. What it shows is inside the truth: an agent who sat idle before the first service or
//! after the last was there longer. Hidden idle time is how long an agent stays away after a service although somebody waits whom
//! the agent could serve: pick-up, notes, a short pause. It is seen only while somebody waits: an agent in a gap is at risk of
//! coming back in the spans in which somebody of a class served that day waits, comes back at an event if somebody still does, and
//! is otherwise lost from sight. The product-limit estimate with delayed entry (Kaplan & Meier 1958; Tsai, Jewell & Wang 1987)
//! holds long pauses in proportion, where the plain mean of completely seen gaps would favour short ones.
//!
//! It refuses to know sign-in records: a reader that has them needs no inference.

use super::contact::{AgentId, At, ClassId, DAY_MS, DayNumber, Service};
use super::handle::share_means;
use super::stats::{Estimate, mean_and_variance};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A gap between services up to this is never a break: two minutes.
pub const SHORTEST_BREAK_MS: u64 = 2 * 60_000;
/// Hidden idle times are counted in seconds, up to half an hour.
const SECONDS: usize = 1_801;
/// Services of a class in a day without which an agent is not taken to serve it.
pub const MIN_SKILL_SERVICES: usize = 3;
/// Returns without which a class's own hidden idle times are not told.
pub const MIN_RETURNS: u64 = 200;
/// Points written down of hidden idle times.
const POINTS: usize = 40;

/// One day of contacts, as far as presence needs it.
#[derive(Clone, Debug, Default)]
pub struct DayServices {
    /// Services by agent.
    pub services: BTreeMap<AgentId, Vec<(Service, ClassId)>>,
    /// Waits by class: from, until.
    pub waits: BTreeMap<ClassId, Vec<(i64, i64)>>,
    /// When contacts asked, by class.
    pub asked: BTreeMap<ClassId, Vec<i64>>,
}

/// One agent's day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift {
    /// Who.
    pub agent: AgentId,
    /// Begin of the first service and end of the last.
    pub present: Service,
    /// Breaks between, ascending.
    pub breaks: Vec<Service>,
    /// Classes served.
    pub skills: Vec<ClassId>,
    /// Services given.
    pub services: u64,
}

/// Presence over all days.
#[derive(Clone, Debug, Default)]
pub struct Presence {
    interval_ms: u64,
    /// Milliseconds present by day and interval.
    by_day: BTreeMap<DayNumber, Vec<u64>>,
    agents: BTreeMap<AgentId, AgentDays>,
    idle: Idle,
    /// The same by the class of the service that ended.
    idle_after: BTreeMap<ClassId, Idle>,
    spans_ms: Vec<f64>,
    break_ms: f64,
    present_ms: f64,
    busy_ms: f64,
}

/// Agents away although somebody waits, by seconds since their service ended.
#[derive(Clone, Debug)]
struct Idle {
    /// Who comes into sight less who goes out of it, by second: summed up, those at risk.
    entries: Vec<i64>,
    /// Who comes back.
    back: Vec<u64>,
}

impl Default for Idle {
    fn default() -> Self {
        Self { entries: vec![0; SECONDS + 1], back: vec![0; SECONDS + 1] }
    }
}

#[derive(Clone, Debug, Default)]
struct AgentDays {
    days: u64,
    services: u64,
    skills: BTreeMap<ClassId, u64>,
}

/// What presence says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FittedPresence {
    /// Agents seen.
    pub agents: u64,
    /// From first service to end of last, in hours, a day and agent.
    pub span_h: Estimate,
    /// Share of that span spent in breaks.
    pub break_share: f64,
    /// Share of presence (breaks taken off) spent serving: a lower bound of occupancy.
    pub serving_share: f64,
    /// Agents present, by weekday and interval.
    pub staffing: Vec<WeekdayStaffing>,
    /// Time away between services although somebody waited.
    pub hidden_idle: Option<HiddenIdle>,
}

/// A weekday's presence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WeekdayStaffing {
    /// 0 for Monday to 6 for Sunday.
    pub weekday: usize,
    /// Days it rests on.
    pub days: u64,
    /// Mean agents present in each interval.
    pub mean: Vec<f64>,
}

/// Hidden idle times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HiddenIdle {
    /// Their mean, in seconds.
    pub mean_s: Estimate,
    /// Their median, in seconds.
    pub median_s: f64,
    /// Share of those longer than two minutes.
    pub over_2_min: f64,
    /// The mean of each equal share of them, in seconds.
    pub points_s: Vec<f64>,
}

/// Shifts of one day. O(services · agents).
pub fn shifts(day: &DayServices) -> Vec<Shift> {
    let floor = Floor::of(day);
    day.services
        .iter()
        .filter_map(|(agent, services)| {
            let mut spans: Vec<Service> = services.iter().map(|(service, _)| *service).collect();
            spans.sort_unstable_by_key(|span| (span.from, span.until));
            let first = spans.first()?.from;
            let skills = often(services);
            let mut busy_until = first;
            let mut breaks = Vec::new();
            for span in &spans {
                // Services of one agent overlap now and then, so the end reached so far counts.
                if span.from > busy_until && floor.is_break(&skills, busy_until, span.from) {
                    breaks.push(Service { from: busy_until, until: span.from });
                }
                busy_until = busy_until.max(span.until);
            }
            let skills: BTreeSet<ClassId> = services.iter().map(|(_, class)| *class).collect();
            Some(Shift {
                agent: *agent,
                present: Service { from: first, until: busy_until },
                breaks,
                skills: skills.into_iter().collect(),
                services: services.len() as u64,
            })
        })
        .collect()
}

/// Classes that were served often enough not to be exceptions; all, when none was.
fn often(services: &[(Service, ClassId)]) -> BTreeSet<ClassId> {
    let mut skills: BTreeMap<ClassId, usize> = BTreeMap::new();
    for (_, class) in services {
        *skills.entry(*class).or_default() += 1;
    }
    let least = skills.values().max().map_or(1, |most| MIN_SKILL_SERVICES.min(*most));
    skills.into_iter().filter(|(_, count)| *count >= least).map(|(class, _)| class).collect()
}

/// Who was there, and when contacts asked.
struct Floor {
    present: Vec<(At, At)>,
    asked: BTreeMap<ClassId, Vec<i64>>,
}

impl Floor {
    fn of(day: &DayServices) -> Self {
        let span = |services: &Vec<(Service, ClassId)>| {
            let from = services.iter().map(|(service, _)| service.from).min()?;
            Some((from, services.iter().map(|(service, _)| service.until).max()?))
        };
        let mut asked = day.asked.clone();
        for moments in asked.values_mut() {
            moments.sort_unstable();
        }
        Self { present: day.services.values().filter_map(span).collect(), asked }
    }

    /// Whether a gap of an agent with these skills cannot be idleness.
    fn is_break(&self, skills: &BTreeSet<ClassId>, from: At, until: At) -> bool {
        if until.since(from) <= SHORTEST_BREAK_MS {
            return false;
        }
        let within = |moments: &Vec<i64>| moments.partition_point(|at| *at < until.0) - moments.partition_point(|at| *at <= from.0);
        let came: usize = skills.iter().filter_map(|class| self.asked.get(class)).map(within).sum();
        let there = self.present.iter().filter(|(begin, end)| *begin <= from && from < *end).count();
        came >= there.max(1)
    }
}

impl Presence {
    /// Counts presence in intervals of so many seconds.
    pub fn by_interval(interval_s: u32) -> Self {
        Self { interval_ms: u64::from(interval_s) * 1_000, ..Self::default() }
    }

    /// Adds a day. O(services log services + waits log waits).
    pub fn add(&mut self, day: DayNumber, services: &DayServices) {
        let intervals = (DAY_MS as u64).div_ceil(self.interval_ms) as usize;
        let midnight = day.midnight();
        let mut present = vec![0_u64; intervals];
        for shift in shifts(services) {
            let pause: u64 = shift.breaks.iter().map(|pause| pause.length_ms()).sum();
            self.spans_ms.push(shift.present.length_ms() as f64);
            self.break_ms += pause as f64;
            self.present_ms += (shift.present.length_ms() - pause) as f64;
            let begins = std::iter::once(shift.present.from).chain(shift.breaks.iter().map(|pause| pause.until));
            let ends = shift.breaks.iter().map(|pause| pause.from).chain(std::iter::once(shift.present.until));
            for (from, until) in begins.zip(ends) {
                spread(&mut present, from.since(midnight), until.since(midnight), self.interval_ms);
            }
            let days = self.agents.entry(shift.agent).or_default();
            days.days += 1;
            days.services += shift.services;
            for skill in shift.skills {
                *days.skills.entry(skill).or_default() += 1;
            }
        }
        self.by_day.insert(day, present);
        self.hidden(services);
    }

    fn hidden(&mut self, day: &DayServices) {
        let floor = Floor::of(day);
        let waiting: BTreeMap<ClassId, Vec<(i64, i64)>> =
            day.waits.iter().map(|(class, spans)| (*class, joined(spans.clone()))).collect();
        for services in day.services.values() {
            let mut spans = services.clone();
            spans.sort_unstable_by_key(|(span, class)| (span.from, span.until, *class));
            let skills = often(services);
            let mine = joined(skills.iter().filter_map(|class| waiting.get(class)).flatten().copied().collect());
            let mut ended: Option<(At, ClassId)> = None;
            for (span, class) in spans {
                self.busy_ms += ended.map_or(span.length_ms(), |(ended, _)| span.until.since(span.from.max(ended))) as f64;
                if let Some((ended, after)) = ended
                    && span.from >= ended
                    && !floor.is_break(&skills, ended, span.from)
                {
                    self.idle.gap(&mine, ended.0, span.from.0);
                    self.idle_after.entry(after).or_default().gap(&mine, ended.0, span.from.0);
                }
                if ended.is_none_or(|(ended, _)| span.until >= ended) {
                    ended = Some((span.until, class));
                }
            }
        }
    }

    /// Days on which an agent was there, services and classes served: days on which each was.
    pub fn agents(&self) -> impl Iterator<Item = (AgentId, u64, u64, &BTreeMap<ClassId, u64>)> {
        self.agents.iter().map(|(agent, days)| (*agent, days.days, days.services, &days.skills))
    }

    /// The fit; `None` when no row names an agent.
    pub fn fit(&self) -> Option<FittedPresence> {
        if self.agents.is_empty() {
            return None;
        }
        let (span, variance, n) = mean_and_variance(self.spans_ms.iter().map(|ms| ms / 3_600_000.0));
        let mut staffing = Vec::new();
        for weekday in 0..7 {
            let days: Vec<&Vec<u64>> = self.by_day.iter().filter(|(day, _)| day.weekday() == weekday).map(|(_, ms)| ms).collect();
            if let Some(first) = days.first() {
                let mean =
                    |at: usize| days.iter().map(|day| day[at] as f64).sum::<f64>() / (days.len() as f64 * self.interval_ms as f64);
                staffing.push(WeekdayStaffing { weekday, days: days.len() as u64, mean: (0..first.len()).map(mean).collect() });
            }
        }
        Some(FittedPresence {
            agents: self.agents.len() as u64,
            span_h: Estimate::normal(span, (variance / n.max(1) as f64).sqrt(), n),
            break_share: self.break_ms / (self.break_ms + self.present_ms).max(1.0),
            serving_share: self.busy_ms / self.present_ms.max(1.0),
            staffing,
            hidden_idle: self.idle.fit(),
        })
    }

    /// Hidden idle times after a class's services; `None` below [`MIN_RETURNS`] returns.
    pub fn hidden_idle_after(&self, class: ClassId) -> Option<HiddenIdle> {
        self.idle_after.get(&class)?.fit().filter(|idle| idle.mean_s.n >= MIN_RETURNS)
    }
}

/// Weights are whole numbers of a billionth.
const WEIGHT: f64 = 1e9;

/// To the nearest whole weight.
fn whole(weight: f64) -> u64 {
    (weight * WEIGHT + 0.5) as u64
}

impl Idle {
    /// The product limit of what was seen.
    fn fit(&self) -> Option<HiddenIdle> {
        let n: u64 = self.back.iter().sum();
        if n == 0 {
            return None;
        }
        // The product limit, as weights of the seconds; whoever is left past the last second was there to the end of sight.
        let (mut at_risk, mut survival, mut greenwood) = (0_i64, 1.0, 0.0);
        let mut weights: BTreeMap<u64, u64> = BTreeMap::new();
        // Means of a weighted distribution and its error: ∫ S, and Greenwood's sum weighted by what is left of the integral.
        let mut falls: Vec<(f64, f64, f64)> = Vec::new();
        for second in 0..=SECONDS {
            at_risk += self.entries[second];
            let back = self.back[second];
            // Who comes back within the second in which they came into sight is at risk in it.
            let risk = (at_risk.max(0) as u64).max(back);
            if back > 0 {
                let after = survival * (risk - back) as f64 / risk as f64;
                weights.insert(second as u64 * 1_000, whole(survival - after));
                falls.push((second as f64, after, back as f64 / (risk as f64 * (risk - back).max(1) as f64)));
                greenwood += back as f64 / (risk as f64 * (risk - back).max(1) as f64);
                survival = after;
            }
        }
        if survival > 0.0 && greenwood.is_finite() {
            *weights.entry(SECONDS as u64 * 1_000).or_default() += whole(survival);
        }
        let total: u64 = weights.values().sum();
        let mean = weights.iter().map(|(ms, w)| *ms as f64 / 1_000.0 * *w as f64).sum::<f64>() / total.max(1) as f64;
        let (mut left, mut until, mut variance) = (0.0, SECONDS as f64, 0.0);
        for (at, after, term) in falls.iter().rev() {
            left += after * (until - at);
            until = *at;
            variance += left * left * term;
        }
        let share = |seconds: u64| weights.range(..=seconds * 1_000).map(|(_, w)| w).sum::<u64>() as f64 / total.max(1) as f64;
        let mut seen = 0;
        let median = weights.iter().find(|(_, w)| {
            seen += **w;
            seen * 2 >= total
        });
        Some(HiddenIdle {
            mean_s: Estimate::normal(mean, variance.sqrt(), n),
            median_s: median.map_or(f64::NAN, |(ms, _)| *ms as f64 / 1_000.0),
            over_2_min: 1.0 - share(120),
            points_s: share_means(&weights, total, POINTS),
        })
    }

    /// A gap from the end of a service to the begin of the next: in sight where somebody waits.
    fn gap(&mut self, waiting: &[(i64, i64)], ended: i64, back: i64) {
        let second = |at: i64| ((at - ended) / 1_000).clamp(0, SECONDS as i64) as usize;
        let first = waiting.partition_point(|(_, until)| *until <= ended);
        for (from, until) in waiting[first..].iter().take_while(|(from, _)| *from < back) {
            let (from, out) = ((*from).max(ended), (*until).min(back));
            self.entries[second(from)] += 1;
            // At risk up to the second before going out of sight, in the second of coming back.
            if *until >= back {
                self.back[second(back)] += 1;
                self.entries[(second(back) + 1).min(SECONDS)] -= 1;
            } else {
                self.entries[second(out)] -= 1;
            }
        }
        if back == ended {
            self.entries[0] += 1;
            self.back[0] += 1;
            self.entries[1] -= 1;
        }
    }
}

/// Adds a span to the intervals it lies in; past the day's end it counts into the last.
fn spread(intervals: &mut [u64], from_ms: u64, until_ms: u64, interval_ms: u64) {
    let last = intervals.len() - 1;
    let mut at = from_ms;
    while at < until_ms {
        let index = (at / interval_ms) as usize;
        if index >= last {
            intervals[last] += until_ms.min(DAY_MS as u64).saturating_sub(at);
            return;
        }
        let end = ((index as u64 + 1) * interval_ms).min(until_ms);
        intervals[index] += end - at;
        at = end;
    }
}

/// Overlapping and touching spans made one.
fn joined(mut spans: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    spans.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (from, until) in spans {
        match joined.last_mut() {
            Some((_, end)) if from <= *end => *end = until.max(*end),
            _ => joined.push((from, until)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(from_s: i64, until_s: i64) -> (Service, ClassId) {
        (Service { from: At(from_s * 1_000), until: At(until_s * 1_000) }, ClassId(0))
    }

    #[test]
    fn a_gap_in_which_his_turn_came_is_a_break_and_one_with_somebody_waiting_is_hidden_idle() {
        let services = vec![service(100, 200), service(210, 300), service(310, 400), service(400 + 1_801, 3_000)];
        let day = DayServices {
            services: [(AgentId(0), services)].into_iter().collect(),
            // Somebody waits from 150 to 215: through the first gap, not through the second.
            waits: [(ClassId(0), vec![(150_000, 180_000), (180_000, 215_000)])].into_iter().collect(),
            // One asks during the last gap and only one agent is there.
            asked: [(ClassId(0), vec![150_000, 180_000, 1_000_000])].into_iter().collect(),
        };
        let found = shifts(&day);
        assert_eq!(found[0].breaks, [Service { from: At(400_000), until: At(2_201_000) }]);
        let mut presence = Presence::by_interval(1_800);
        presence.add(DayNumber(0), &day);
        let fitted = presence.fit().expect("an agent");
        let idle = fitted.hidden_idle.expect("one gap");
        assert_eq!((idle.mean_s.value, idle.mean_s.n), (10.0, 1));
        // 300 s before the break in the first half hour, 799 s after it in the second.
        let present = &fitted.staffing[0].mean;
        assert!((present[0] - 300.0 / 1_800.0).abs() < 1e-9 && (present[1] - 799.0 / 1_800.0).abs() < 1e-9, "{present:?}");
        assert!((fitted.serving_share - (100.0 + 90.0 + 90.0 + 799.0) / (300.0 + 799.0)).abs() < 1e-9);
    }
}
