//! One row as one planned contact.
//!
//! What the caller does by themselves (arrive, stay with the bot, lose patience) and how long they need belong to the contact and
//! are fixed here, before any router sees it; whom they get and when is for the router to decide. What really happened is kept
//! beside it as [`Recorded`], for comparison only.

use super::impute::Imputation;
use crate::kernel::{Purpose, Streams};
use crate::km::DrawReach;
use crate::trace::{AgentName, Outcome, ServiceType, TraceRow};
use serde::Serialize;
use tidegate_model::Millis;

/// One contact, planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedContact {
    /// The line of its row in the trace; also the entity of its random streams.
    pub row: u32,
    /// When it reaches the bot.
    pub arrive_ms: u64,
    /// How long the bot has it.
    pub bot_ms: u64,
    /// What it wants.
    pub kind: ServiceType,
    /// 0 and 1 regular, 2 high.
    pub priority: u8,
    /// The customer, if identified.
    pub customer: Option<u32>,
    /// What it will do.
    pub intends: Intent,
    /// What it did in the record.
    pub recorded: Recorded,
}

/// What a contact will do by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Nothing: a record without a caller.
    Phantom,
    /// Leaves while the bot has it.
    LeavesInBot,
    /// Asks for an agent after the bot, and waits.
    Waits {
        /// For so long at most.
        patience: Patience,
        /// And needs so much, once served.
        handle: Handle,
    },
}

/// How long a contact waits before it leaves, counted from asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Patience {
    /// The span.
    pub ms: u64,
    /// Where it comes from.
    pub source: PatienceSource,
}

/// Where a patience comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PatienceSource {
    /// The caller hung up after exactly this.
    Observed,
    /// The caller was answered before; drawn from the class's curve given survival past the recorded wait.
    Imputed,
    /// The same, and the draw fell past the last observed hang-up, into the exponential tail.
    ImputedBeyondData,
}

/// How long an agent needs for a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Handle {
    /// The span.
    pub ms: u64,
    /// Where it comes from.
    pub source: HandleSource,
}

/// Where a handle time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HandleSource {
    /// The record.
    Recorded,
    /// The record has no usable service time: the class's median.
    ImputedMedian,
    /// Not served in the record: drawn from served contacts of its class, of its hour where there are enough.
    ImputedDraw,
}

/// What the record says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Recorded {
    /// A phantom.
    Phantom,
    /// Left with the bot.
    LeftInBot,
    /// Left the queue.
    LeftWaiting {
        /// After so long.
        waited_ms: u64,
    },
    /// Was served.
    Served {
        /// After so long.
        waited_ms: u64,
        /// By this agent, where one is named.
        agent: Option<AgentName>,
    },
}

impl PlannedContact {
    /// The contact of a row.
    pub(super) fn from_row(row: &TraceRow, imputation: &Imputation, streams: &Streams) -> Self {
        let queue_ms = row.q_start_s.map(|start| next_day_if_before(start, row.vru_entry_s));
        let entry_ms = u64::from(row.vru_entry_s) * 1_000;
        // A negative VRU time puts the entry after the queue's beginning; the queue's times agree with the service's, so they win.
        let arrive_ms = if row.vru_s < 0 { queue_ms.unwrap_or(entry_ms) } else { entry_ms };
        let vru_ms = u64::try_from(row.vru_s).unwrap_or(0) * 1_000;
        let asks = asks_for_agent(row);
        let bot_ms = match queue_ms {
            Some(queue_ms) if asks => queue_ms.saturating_sub(arrive_ms),
            _ => vru_ms,
        };
        let waited_ms = u64::from(row.q_s) * 1_000;
        let (intends, recorded) = match row.outcome {
            Outcome::Phantom => (Intent::Phantom, Recorded::Phantom),
            Outcome::Hang if !asks => (Intent::LeavesInBot, Recorded::LeftInBot),
            Outcome::Hang => {
                let mut stream = streams.for_(Purpose::HandleOfUnserved, u64::from(row.line));
                let ms = imputation.draw_handle_ms(row, stream.next_u01());
                let handle = Handle { ms, source: HandleSource::ImputedDraw };
                let patience = Patience { ms: waited_ms, source: PatienceSource::Observed };
                (Intent::Waits { patience, handle }, Recorded::LeftWaiting { waited_ms })
            }
            Outcome::Agent => {
                let mut stream = streams.for_(Purpose::PatienceGivenWait, u64::from(row.line));
                let drawn = imputation.curve(row.kind).draw_given(Millis(waited_ms), stream.next_u01());
                let source = match drawn.reach {
                    DrawReach::WithinData => PatienceSource::Imputed,
                    DrawReach::BeyondData => PatienceSource::ImputedBeyondData,
                };
                let patience = Patience { ms: drawn.at.0, source };
                let handle = match recorded_handle_ms(row) {
                    Some(ms) => Handle { ms, source: HandleSource::Recorded },
                    None => Handle { ms: imputation.median_handle_ms(row.kind), source: HandleSource::ImputedMedian },
                };
                (Intent::Waits { patience, handle }, Recorded::Served { waited_ms, agent: row.agent })
            }
        };
        let TraceRow { line, kind, priority, customer, .. } = *row;
        Self { row: line, arrive_ms, bot_ms, kind, priority, customer, intends, recorded }
    }

    /// When it asks for an agent; `None` when it never does.
    pub fn asks_ms(&self) -> Option<u64> {
        matches!(self.intends, Intent::Waits { .. }).then_some(self.arrive_ms + self.bot_ms)
    }
}

/// Whether a row asked for an agent: it was served, or it hung up after a wait of a second or more. A hang-up at the moment of
/// joining the queue (0 s) left with the bot.
pub(super) fn asks_for_agent(row: &TraceRow) -> bool {
    match row.outcome {
        Outcome::Agent => true,
        Outcome::Hang => row.q_s > 0,
        Outcome::Phantom => false,
    }
}

/// The usable service time of a served row.
pub(super) fn recorded_handle_ms(row: &TraceRow) -> Option<u64> {
    let usable = row.outcome == Outcome::Agent && row.ser_start_s.is_some() && row.ser_s > 0;
    usable.then_some(u64::from(row.ser_s) * 1_000)
}

/// A time of day in ms, of the next day when it lies half a day or more before the caller's arrival.
pub(super) fn next_day_if_before(time_s: u32, entry_s: u32) -> u64 {
    let midnight_s = if entry_s.saturating_sub(time_s) >= 43_200 { 86_400 } else { 0 };
    (u64::from(time_s) + midnight_s) * 1_000
}
