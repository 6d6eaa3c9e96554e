//! What the record shows of a day, for comparison: counts by outcome and figures by the hour of asking.
//!
//! Offered means asked for an agent; phantoms and those who left with the bot are counted beside it and enter no rate.

use super::contact::{PlannedContact, Recorded};
use super::roster::PlannedAgent;
use super::{BankDay, Intent};
use crate::report::Passage;
use serde::Serialize;
use tidegate_model::ReasonName;
use tidegate_model::record::Exit;

/// Rows of a day by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DayCounts {
    /// Rows in all.
    pub rows: u64,
    /// Records without a caller.
    pub phantoms: u64,
    /// Left with the bot.
    pub left_in_bot: u64,
    /// Asked for an agent: the base of every rate.
    pub asked: u64,
    /// Of these, hung up waiting.
    pub left_waiting: u64,
    /// Of these, served.
    pub served: u64,
    /// Served, handle time imputed.
    pub handle_imputed: u64,
}

/// Recorded figures of one hour of asking.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HourFigures {
    /// 0 to 23; those who ask past midnight count in 23.
    pub hour: u8,
    /// Asked for an agent.
    pub offered: u64,
    /// Of these, served in the end.
    pub served: u64,
    /// Of these, hung up waiting.
    pub abandoned: u64,
    /// Mean wait of the offered; `None` without any.
    pub mean_wait_ms: Option<u64>,
    /// Agents there and not on a break, averaged over the hour.
    pub agents_on: f64,
}

const HOUR_MS: u64 = 3_600_000;

impl DayCounts {
    pub(super) fn of(contacts: &[PlannedContact]) -> Self {
        let mut counts = Self::default();
        for contact in contacts {
            counts.rows += 1;
            match contact.recorded {
                Recorded::Phantom => counts.phantoms += 1,
                Recorded::LeftInBot => counts.left_in_bot += 1,
                Recorded::LeftWaiting { .. } => counts.left_waiting += 1,
                Recorded::Served { .. } => counts.served += 1,
            }
            if let Intent::Waits { handle, .. } = contact.intends {
                counts.asked += 1;
                counts.handle_imputed += u64::from(handle.source == super::HandleSource::ImputedMedian);
            }
        }
        counts
    }
}

impl BankDay {
    /// The day as it was recorded, one passage a contact: what metrics and pictures are made of.
    pub fn recorded_passages(&self) -> Vec<Passage> {
        self.contacts.iter().map(recorded_passage).collect()
    }
}

/// The reason under which phantoms are refused.
pub const PHANTOM_REASON: &str = "phantom record";

fn recorded_passage(contact: &PlannedContact) -> Passage {
    let asked_ms = contact.asks_ms();
    let (waited_ms, exit) = match contact.recorded {
        Recorded::Phantom => (0, Exit::Refused(ReasonName::of(PHANTOM_REASON))),
        Recorded::LeftInBot => (0, Exit::AbandonedWithBot),
        Recorded::LeftWaiting { waited_ms } => (waited_ms, Exit::AbandonedWaiting),
        Recorded::Served { waited_ms, .. } => (waited_ms, Exit::Served),
    };
    let left_queue_ms = contact.arrive_ms + contact.bot_ms + waited_ms;
    Passage { arrived_ms: contact.arrive_ms, asked_ms, left_queue_ms, exit }
}

pub(super) fn by_hour(contacts: &[PlannedContact], agents: &[PlannedAgent]) -> Vec<HourFigures> {
    let presences: Vec<_> = agents.iter().flat_map(PlannedAgent::presences).collect();
    (0..24_u8)
        .map(|hour| {
            let (from_ms, until_ms) = (u64::from(hour) * HOUR_MS, (u64::from(hour) + 1) * HOUR_MS);
            let (mut served, mut abandoned, mut waited) = (0, 0, 0);
            for contact in contacts {
                let Some(asked_ms) = contact.asks_ms() else { continue };
                if (asked_ms / HOUR_MS).min(23) != u64::from(hour) {
                    continue;
                }
                match contact.recorded {
                    Recorded::Served { waited_ms, .. } => {
                        served += 1;
                        waited += waited_ms;
                    }
                    Recorded::LeftWaiting { waited_ms } => {
                        abandoned += 1;
                        waited += waited_ms;
                    }
                    Recorded::Phantom | Recorded::LeftInBot => {}
                }
            }
            let offered: u64 = served + abandoned;
            let present_ms: u64 = presences
                .iter()
                .map(|presence| presence.until_ms.min(until_ms).saturating_sub(presence.from_ms.max(from_ms)))
                .sum();
            HourFigures {
                hour,
                offered,
                served,
                abandoned,
                mean_wait_ms: waited.checked_div(offered),
                agents_on: present_ms as f64 / HOUR_MS as f64,
            }
        })
        .collect()
}
