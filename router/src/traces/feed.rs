//! What the egress hands over: facts of contacts with their moments, a batch at a time, and never a wait.
//!
//! A fact is a small copy of one output. Only the entry that begins a contact is decoded (for its account and event), as the
//! view of standings does. When the channel is full the batch is dropped and counted, and what was followed until then is
//! thrown away by the keeper, because its story has a hole. It refuses to know spans.

use super::status::Counters;
use crate::cell::{Passage, PassageTap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tidegate_model::input::Input;
use tidegate_model::output::{Item, Output, Rescind, SeatNotice};
use tidegate_model::record::Exit;
use tidegate_model::{AccountId, ClaimId, ContactId, ConversationId, EventId, OfferId, QueueName, SeatId, Seq, TenantId, codec};
use tokio::sync::mpsc;

/// Batches of facts that wait for the keeper at most.
pub const BATCHES_MAX: usize = 1_024;

/// When an entry came, was durable, was decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    pub seq: Seq,
    pub received: Option<Instant>,
    pub durable: Instant,
    pub decided: Instant,
}

/// What happened to a contact.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Began { conversation: ConversationId, contact: ContactId, account: AccountId, event: EventId },
    Queued { conversation: ConversationId, queue: QueueName },
    Offered { conversation: ConversationId, seat: SeatId, offer: OfferId, queue: QueueName },
    Withdrawn { seat: SeatId, offer: OfferId, why: Rescind },
    Assigned { conversation: ConversationId, seat: SeatId, claim: ClaimId },
    Transferred { conversation: ConversationId },
    Ended { conversation: ConversationId, exit: Exit },
    Poisoned { contact: ContactId },
    PolicyChanged,
}

/// One fact.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fact {
    pub tenant: TenantId,
    pub moments: Moments,
    pub what: What,
}

/// The egress' end.
pub(super) struct Feed {
    pub sender: mpsc::Sender<Vec<Fact>>,
    pub counters: Arc<Counters>,
    /// One caller at a time, so nobody ever waits for it.
    pub pending: Mutex<Vec<Fact>>,
}

impl PassageTap for Feed {
    fn passed(&self, passage: &Passage<'_>) {
        let moments = Moments { seq: passage.seq, received: passage.submitted, durable: passage.durable, decided: passage.decided };
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for output in passage.outputs {
            if let Some(what) = of(output, passage.bytes) {
                pending.push(Fact { tenant: passage.tenant, moments, what });
            }
        }
    }

    fn flush(&self) {
        let facts = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if facts.is_empty() {
            return;
        }
        if let Err(error) = self.sender.try_send(facts) {
            let lost = error.into_inner().len() as u64;
            self.counters.facts_dropped.fetch_add(lost, Ordering::Relaxed);
            self.counters.has_hole.store(true, Ordering::Release);
        }
    }
}

fn of(output: &Output, entry: &[u8]) -> Option<What> {
    Some(match *output {
        Output::Transcript { conversation, item, .. } => match item {
            Item::Began { contact } => {
                let (account, event) = match codec::decode(entry).map(|entry| entry.input) {
                    Ok(Input::Inbound(inbound)) if inbound.conversation == conversation => (inbound.account, inbound.event),
                    // Worked off later than its own entry (fuel): begun all the same.
                    _ => (AccountId::NONE, EventId::NONE),
                };
                What::Began { conversation, contact, account, event }
            }
            Item::Queued { queue } => What::Queued { conversation, queue },
            Item::Transferred => What::Transferred { conversation },
            _ => return None,
        },
        Output::Seat { seat, notice } => match notice {
            SeatNotice::Offered { offer, conversation, queue, .. } => What::Offered { conversation, seat, offer, queue },
            SeatNotice::Rescinded { offer, why } => What::Withdrawn { seat, offer, why },
            SeatNotice::Assigned { claim, conversation, .. } => What::Assigned { conversation, seat, claim },
            _ => return None,
        },
        Output::Contact(record) => What::Ended { conversation: record.conversation, exit: record.exit },
        Output::Poisoned { contact, .. } if !contact.is_none() => What::Poisoned { contact },
        Output::PolicyActive { .. } => What::PolicyChanged,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gauge::Gauges;

    #[test]
    fn the_feed_never_waits_and_says_that_it_has_a_hole() {
        let gauges = Gauges::new();
        let (sender, _facts) = gauges.channel("trace_batches", BATCHES_MAX);
        let feed = Feed { sender, counters: Arc::default(), pending: Mutex::default() };
        let left = Output::Seat { seat: SeatId(1), notice: SeatNotice::Rescinded { offer: OfferId(1), why: Rescind::Expired } };
        let now = Instant::now();
        let pass = |batches: usize| {
            for seq in 0..batches as u64 {
                let outputs = [left.clone(), Output::EffectClosed { id: tidegate_model::EffectId(seq) }];
                let passage = Passage {
                    tenant: TenantId(1),
                    seq: Seq(seq),
                    submitted: None,
                    durable: now,
                    decided: now,
                    bytes: &[],
                    outputs: &outputs,
                };
                feed.passed(&passage);
                feed.flush();
            }
            let dropped = feed.counters.facts_dropped.load(Ordering::Relaxed);
            (dropped as usize, feed.counters.has_hole.load(Ordering::Relaxed))
        };
        feed.flush();
        assert_eq!(pass(BATCHES_MAX), (0, false), "at the limit, and an empty batch is none");
        assert_eq!(pass(1), (1, true), "one above");
        assert_eq!(pass(9 * BATCHES_MAX - 1), (9 * BATCHES_MAX, true), "ten times above");
        assert_eq!(gauges.read()[0].length, BATCHES_MAX as u64);
    }
}
