//! How long agents are away between two services although somebody waits: their unrecorded wrap-up.
//!
//! The trace has no wrap-up times. But where an agent ends a service while somebody waits, and somebody goes on waiting until
//! that agent's next service begins, the gap is not idleness: it is pick-up, notes, a short pause. Those gaps (up to the length
//! that counts as a break) are collected by day; a contact's own pause is drawn from its day's, from all days' where a day has
//! fewer than [`super::MIN_CELL`]. A twin without them serves people whom the bank, with the same agents, did not.
//!
//! It refuses to know: routers, desks, how much of a gap is acceptance and how much wrap-up ([`super::DeskHabits`] says).

use super::contact::next_day_if_before;
use super::impute::MIN_CELL;
use super::roster::BREAK_GAP_MS;
use crate::kernel::sample::pick;
use crate::kernel::{Purpose, Streams};
use crate::trace::{AgentName, Day, Outcome, TraceRow};
use std::collections::BTreeMap;

/// Gaps between services while somebody waited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Between {
    by_day: BTreeMap<Day, Vec<u64>>,
    all: Vec<u64>,
}

impl Between {
    /// Collects the gaps of rows. O(n log n).
    pub fn of(rows: &[TraceRow]) -> Self {
        let mut waits: BTreeMap<Day, Vec<(u64, u64)>> = BTreeMap::new();
        let mut services: BTreeMap<(Day, AgentName), Vec<(u64, u64)>> = BTreeMap::new();
        for row in rows {
            if let (Some(began), 1..) = (row.q_start_s, row.q_s) {
                let from_ms = next_day_if_before(began, row.vru_entry_s);
                waits.entry(row.day).or_default().push((from_ms, from_ms + u64::from(row.q_s) * 1_000));
            }
            if let (Outcome::Agent, Some(agent), Some(start)) = (row.outcome, row.agent, row.ser_start_s) {
                let from_ms = next_day_if_before(start, row.vru_entry_s);
                services.entry((row.day, agent)).or_default().push((from_ms, from_ms + u64::from(row.ser_s) * 1_000));
            }
        }
        let busy: BTreeMap<Day, Vec<(u64, u64)>> = waits.into_iter().map(|(day, spans)| (day, joined(spans))).collect();
        let mut found = Self::default();
        for ((day, _), mut spans) in services {
            spans.sort_unstable();
            let Some(busy) = busy.get(&day) else { continue };
            let mut ended = None;
            for (from_ms, until_ms) in spans {
                if let Some(ended) = ended
                    && (ended..=ended + BREAK_GAP_MS).contains(&from_ms)
                    && covered(busy, ended, from_ms)
                {
                    found.by_day.entry(day).or_default().push(from_ms - ended);
                    found.all.push(from_ms - ended);
                }
                // Services of one agent overlap now and then: the later end counts.
                ended = ended.max(Some(until_ms));
            }
        }
        found.all.sort_unstable();
        for gaps in found.by_day.values_mut() {
            gaps.sort_unstable();
        }
        found
    }

    /// The gaps of a day, ascending, in milliseconds; of all days where it has too few.
    pub fn gaps(&self, day: Day) -> &[u64] {
        self.by_day.get(&day).filter(|gaps| gaps.len() >= MIN_CELL).unwrap_or(&self.all)
    }

    /// The pause after a row's contact: the same whenever it is drawn; 0 when there are no gaps at all.
    pub fn draw_ms(&self, day: Day, row: u32, streams: &Streams) -> u64 {
        let gaps = self.gaps(day);
        if gaps.is_empty() {
            return 0;
        }
        gaps[pick(streams.for_(Purpose::WrapUp, u64::from(row)).next_u01(), gaps.len())]
    }
}

/// Overlapping and touching spans made one.
fn joined(mut spans: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    spans.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (from, until) in spans {
        match joined.last_mut() {
            Some((_, end)) if from <= *end => *end = until.max(*end),
            _ => joined.push((from, until)),
        }
    }
    joined
}

/// Whether one of the joined spans holds `from..until` whole.
fn covered(spans: &[(u64, u64)], from: u64, until: u64) -> bool {
    let at = spans.partition_point(|(_, end)| *end <= from);
    spans.get(at).is_some_and(|(begin, end)| *begin <= from && until <= *end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_spans_cover_what_their_parts_cover() {
        let spans = joined(vec![(5, 9), (1, 3), (3, 4), (20, 30), (8, 12)]);
        assert_eq!(spans, [(1, 4), (5, 12), (20, 30)]);
        for (from, until, expected) in [(1, 4, true), (2, 6, false), (5, 12, true), (4, 4, false), (12, 20, false), (25, 31, false)]
        {
            assert_eq!(covered(&spans, from, until), expected, "{from}..{until}");
        }
    }
}
