//! Who was there: agents' presence, breaks and skills, read off the services of a day.
//!
//! The trace has no sign-in times. An agent is present from the first service of the day to the end of the last; a gap of more
//! than thirty minutes between services is a break; skills are the types served that day. Rows without a named agent or without a
//! service start say nothing about presence and are left out.

use super::contact::next_day_if_before;
use crate::trace::{AgentName, Outcome, ServiceType, TraceRow};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A gap between services longer than this is a break: 30 minutes.
pub const BREAK_GAP_MS: u64 = 30 * 60_000;

/// One agent's day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedAgent {
    /// The name in the trace.
    pub name: AgentName,
    /// Begin of the first service.
    pub sign_in_ms: u64,
    /// End of the last service.
    pub sign_out_ms: u64,
    /// Breaks between, ascending, apart.
    pub breaks: Vec<Break>,
    /// Types served that day, in the order of [`ServiceType::ALL`].
    pub skills: Vec<ServiceType>,
    /// Services of the day, with and without a start.
    pub services: u32,
}

/// A pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Break {
    /// Its begin.
    pub from_ms: u64,
    /// Its end.
    pub until_ms: u64,
}

/// A span of being there and not on a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Presence {
    /// Its begin.
    pub from_ms: u64,
    /// Its end.
    pub until_ms: u64,
}

impl PlannedAgent {
    /// The spans of being there and not on a break, ascending.
    pub fn presences(&self) -> Vec<Presence> {
        presences(self.sign_in_ms, &self.breaks, self.sign_out_ms)
    }
}

impl Break {
    /// The same break, counted from an origin that lies `by_ms` earlier.
    pub(super) fn later_by(self, by_ms: u64) -> Self {
        Self { from_ms: self.from_ms + by_ms, until_ms: self.until_ms + by_ms }
    }
}

/// What breaks leave of a day from sign-in to sign-out.
pub(super) fn presences(sign_in_ms: u64, breaks: &[Break], sign_out_ms: u64) -> Vec<Presence> {
    let begins = std::iter::once(sign_in_ms).chain(breaks.iter().map(|pause| pause.until_ms));
    let ends = breaks.iter().map(|pause| pause.from_ms).chain(std::iter::once(sign_out_ms));
    begins.zip(ends).map(|(from_ms, until_ms)| Presence { from_ms, until_ms }).collect()
}

/// The agents of one day's rows, by name.
pub(super) fn plan(rows: &[&TraceRow]) -> Vec<PlannedAgent> {
    #[derive(Default)]
    struct Seen {
        spans: Vec<(u64, u64)>,
        skills: BTreeSet<ServiceType>,
        services: u32,
    }
    let mut seen: BTreeMap<AgentName, Seen> = BTreeMap::new();
    for row in rows {
        if let (Outcome::Agent, Some(name)) = (row.outcome, row.agent) {
            let seen = seen.entry(name).or_default();
            seen.skills.insert(row.kind);
            seen.services += 1;
            if let Some(start) = row.ser_start_s {
                let from_ms = next_day_if_before(start, row.vru_entry_s);
                seen.spans.push((from_ms, from_ms + u64::from(row.ser_s) * 1_000));
            }
        }
    }
    seen.into_iter()
        .filter_map(|(name, mut seen)| {
            seen.spans.sort_unstable();
            let sign_in_ms = seen.spans.first()?.0;
            let mut breaks = Vec::new();
            // Services of one agent overlap now and then, so the end reached so far counts, not the last one's.
            let mut busy_until = sign_in_ms;
            for &(from_ms, until_ms) in &seen.spans {
                if from_ms > busy_until + BREAK_GAP_MS {
                    breaks.push(Break { from_ms: busy_until, until_ms: from_ms });
                }
                busy_until = busy_until.max(until_ms);
            }
            let skills = seen.skills.into_iter().collect();
            Some(PlannedAgent { name, sign_in_ms, sign_out_ms: busy_until, breaks, skills, services: seen.services })
        })
        .collect()
}
