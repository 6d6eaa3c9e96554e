//! Agents' presence, read off their services: from the first to the end of the last, long gaps as breaks, and the time they were
//! away although somebody waited whom they could have served.
//!
//! A record of contacts has no sign-ins. What it shows is inside the truth: an agent who sat idle before the first service or
//! after the last was there longer. Hidden idle time is what is left between two services of an agent through which somebody of
//! a class that this agent served that day kept waiting: pick-up, notes, a short pause. Somebody who waits proves that the gap was not
//! for want of work.
//!
//! It refuses to know sign-in records: a reader that has them needs no inference.

use super::contact::{AgentId, ClassId, DAY_MS, DayNumber, Service};
use super::stats::{Estimate, mean_and_variance};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A gap between services longer than this is a break: 30 minutes.
pub const BREAK_GAP_MS: u64 = 30 * 60_000;
/// Hidden idle times are counted in bins of a second.
const BIN_MS: u64 = 1_000;
/// Quantiles written down of hidden idle times.
const QUANTILES: usize = 40;

/// One day of contacts, as far as presence needs it.
#[derive(Clone, Debug, Default)]
pub struct DayServices {
    /// Services by agent.
    pub services: BTreeMap<AgentId, Vec<(Service, ClassId)>>,
    /// Waits by class: from, until.
    pub waits: BTreeMap<ClassId, Vec<(i64, i64)>>,
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
    idle: BTreeMap<u64, u64>,
    spans_ms: Vec<f64>,
    break_ms: f64,
    present_ms: f64,
    busy_ms: f64,
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
    /// Share of gaps of a second or less: taken at once.
    pub at_once: Estimate,
    /// Quantiles in seconds, evenly from 0 to 1.
    pub quantiles_s: Vec<f64>,
}

/// Shifts of one day.
pub fn shifts(day: &DayServices) -> Vec<Shift> {
    day.services
        .iter()
        .filter_map(|(agent, services)| {
            let mut spans: Vec<Service> = services.iter().map(|(service, _)| *service).collect();
            spans.sort_unstable_by_key(|span| (span.from, span.until));
            let first = spans.first()?.from;
            let mut busy_until = first;
            let mut breaks = Vec::new();
            for span in &spans {
                // Services of one agent overlap now and then, so the end reached so far counts.
                if span.from.since(busy_until) > BREAK_GAP_MS {
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
        let waiting: BTreeMap<ClassId, Vec<(i64, i64)>> =
            day.waits.iter().map(|(class, spans)| (*class, joined(spans.clone()))).collect();
        for services in day.services.values() {
            let mut spans: Vec<Service> = services.iter().map(|(service, _)| *service).collect();
            spans.sort_unstable_by_key(|span| (span.from, span.until));
            let skills: BTreeSet<ClassId> = services.iter().map(|(_, class)| *class).collect();
            let mine = joined(skills.iter().filter_map(|class| waiting.get(class)).flatten().copied().collect());
            let mut ended = None;
            for span in spans {
                self.busy_ms += ended.map_or(span.length_ms(), |ended| span.until.since(span.from.max(ended))) as f64;
                if let Some(ended) = ended
                    && span.from >= ended
                    && span.from.since(ended) <= BREAK_GAP_MS
                    && covered(&mine, ended.0, span.from.0)
                {
                    let gap = span.from.since(ended);
                    *self.idle.entry((gap + BIN_MS / 2) / BIN_MS * BIN_MS).or_default() += 1;
                }
                ended = ended.max(Some(span.until));
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
                let mean = |at: usize| {
                    days.iter().map(|day| day[at] as f64).sum::<f64>() / (days.len() as f64 * self.interval_ms as f64)
                };
                staffing.push(WeekdayStaffing { weekday, days: days.len() as u64, mean: (0..first.len()).map(mean).collect() });
            }
        }
        Some(FittedPresence {
            agents: self.agents.len() as u64,
            span_h: Estimate::normal(span, (variance / n.max(1) as f64).sqrt(), n),
            break_share: self.break_ms / (self.break_ms + self.present_ms).max(1.0),
            serving_share: self.busy_ms / self.present_ms.max(1.0),
            staffing,
            hidden_idle: self.hidden_idle(),
        })
    }

    fn hidden_idle(&self) -> Option<HiddenIdle> {
        let n: u64 = self.idle.values().sum();
        if n == 0 {
            return None;
        }
        let count = n as f64;
        let mean = self.idle.iter().map(|(ms, k)| *ms as f64 * *k as f64).sum::<f64>() / count / 1_000.0;
        let squares: f64 = self
            .idle
            .iter()
            .map(|(ms, k)| {
                let off = *ms as f64 / 1_000.0 - mean;
                off * off * *k as f64
            })
            .sum();
        let at_once = self.idle.range(..=BIN_MS).map(|(_, k)| k).sum();
        let mut seen = 0;
        let cumulative: Vec<(u64, u64)> = self
            .idle
            .iter()
            .map(|(ms, k)| {
                seen += k;
                (*ms, seen)
            })
            .collect();
        let quantile = |share: f64| {
            let place = cumulative.partition_point(|(_, seen)| (*seen as f64) < share * count);
            cumulative[place.min(cumulative.len() - 1)].0 as f64 / 1_000.0
        };
        Some(HiddenIdle {
            mean_s: Estimate::normal(mean, (squares / (count - 1.0).max(1.0) / count).sqrt(), n),
            at_once: Estimate::share(at_once, n),
            quantiles_s: (0..=QUANTILES).map(|at| quantile(at as f64 / QUANTILES as f64)).collect(),
        })
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

/// Whether one of the joined spans holds `from..until` whole.
fn covered(spans: &[(i64, i64)], from: i64, until: i64) -> bool {
    let at = spans.partition_point(|(_, end)| *end <= from);
    spans.get(at).is_some_and(|(begin, end)| *begin <= from && until <= *end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::contact::At;

    fn service(from_s: i64, until_s: i64) -> (Service, ClassId) {
        (Service { from: At(from_s * 1_000), until: At(until_s * 1_000) }, ClassId(0))
    }

    #[test]
    fn a_long_gap_is_a_break_and_a_gap_with_somebody_waiting_is_hidden_idle() {
        let services = vec![service(100, 200), service(210, 300), service(310, 400), service(400 + 1_801, 3_000)];
        let day = DayServices {
            services: [(AgentId(0), services)].into_iter().collect(),
            // Somebody waits from 150 to 215: through the first gap, not through the second.
            waits: [(ClassId(0), vec![(150_000, 180_000), (180_000, 215_000)])].into_iter().collect(),
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
