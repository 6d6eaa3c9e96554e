//! The way out: outputs of decided batches to the sink, answers to those who wait, items to the transcript index.
//!
//! In this order for each batch: transcript index (so that whoever is answered can read what he wrote), sink (under a pass of
//! the term fence: a fenced cell emits nothing), answers. An answer is given only for entries that the commit watermark
//! covers. One holder at a time: the apply thread while the node is idle, else the egress thread. A panic of the sink is
//! caught and counted; rows of effects stay open and are emitted again. It refuses to know what outputs mean.

use super::CellSink;
use super::apply::Last;
use super::batch::Carried;
use super::front::Reply;
use super::keeper::{Digests, Order};
use super::shared::Shared;
use super::stages::{Stage, between};
use super::tap::Passage;
use crate::primitive::Instant;
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::primitive::{Arc, Mutex, PoisonError};
use crate::transcript::Added;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tidegate_matcher::ring::spsc;
use tidegate_model::input::{Input, SeatAct, SeatInput};
use tidegate_model::output::{Item, Outcome, Output, SeatNotice};
use tidegate_model::{Seq, TenantId, Timestamp, codec};

/// Outputs of one tenant in a row.
pub(crate) struct Run {
    pub tenant: TenantId,
    pub outputs: usize,
}

/// What the deciding thread wants of the keeper.
pub(crate) enum Wanted {
    /// A snapshot up to this entry, made from the log.
    RollTo(Last),
    /// The drain's: the machines as they stand at their last entry, serialised.
    Keep(Last, Vec<u8>),
}

/// A decided batch.
pub(crate) struct Decided {
    pub first: Seq,
    pub durable: Instant,
    pub decided_at: Instant,
    /// Log time of every entry of the batch.
    pub at: Timestamp,
    pub outputs: Vec<Output>,
    pub runs: Vec<Run>,
    pub replies: Vec<(Reply, Outcome)>,
    pub entries: Vec<Carried>,
    /// Outputs up to the end of each entry.
    pub ends: Vec<usize>,
    /// Entries of earlier batches that were answered in this one.
    pub late: Vec<(Seq, Carried)>,
    pub snapshot: Option<Wanted>,
}

impl Decided {
    pub fn new(first: Seq, durable: Instant, entries: usize) -> Self {
        Self {
            first,
            durable,
            decided_at: durable,
            at: Timestamp(0),
            outputs: Vec::with_capacity(entries * 3),
            runs: Vec::new(),
            replies: Vec::with_capacity(entries),
            entries: Vec::new(),
            ends: Vec::with_capacity(entries),
            late: Vec::new(),
            snapshot: None,
        }
    }

    /// The entry `seq`, as far as this batch has it.
    fn carried(&self, seq: Seq) -> Option<&Carried> {
        let own = seq.0.checked_sub(self.first.0).and_then(|i| self.entries.get(i as usize));
        own.or_else(|| self.late.iter().find(|(of, _)| *of == seq).map(|(_, carried)| carried))
    }

    /// Where the entry `seq` stands in the log, as far as this batch knows.
    fn position(&self, seq: Seq) -> Option<u64> {
        self.carried(seq).map(|carried| carried.position)
    }
}

/// See the module head.
pub(crate) struct Egress {
    shared: Arc<Shared>,
    sink: Box<dyn CellSink>,
    keeper: spsc::Producer<Order>,
    /// The newest digests of each tenant: what a snapshot made from the log must agree with.
    digests: BTreeMap<TenantId, Digests>,
}

impl Egress {
    pub fn new(shared: Arc<Shared>, sink: Box<dyn CellSink>, keeper: spsc::Producer<Order>) -> Self {
        Self { shared, sink, keeper, digests: BTreeMap::new() }
    }

    /// Hands outputs of one tenant to the sink, unless the term is fenced.
    pub fn hand_on(&mut self, tenant: TenantId, outputs: &[Output]) {
        let Some(_pass) = self.shared.fence.enter(self.shared.term.0) else { return };
        let sink = &mut self.sink;
        if catch_unwind(AssertUnwindSafe(|| sink.outputs(tenant, outputs))).is_err() {
            self.shared.sink_panics.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells the sink what was asked for by the contacts that begin or ask for an agent in these outputs: the outputs name
    /// the queue, and the entry the rest.
    fn tell_asked(&mut self, tenant: TenantId, outputs: &[Output], decided: &Decided) {
        let Some(_pass) = self.shared.fence.enter(self.shared.term.0) else { return };
        let mut last = None;
        for output in outputs {
            let Output::Transcript { conversation, seq, item: Item::Began { .. } | Item::Queued { .. }, .. } = output else {
                continue;
            };
            if last == Some((*conversation, *seq)) {
                continue;
            }
            last = Some((*conversation, *seq));
            let entry = decided.carried(*seq).and_then(|carried| codec::decode(&carried.bytes).ok());
            if let Some(Input::Inbound(inbound)) = entry.map(|entry| entry.input)
                && inbound.conversation == *conversation
            {
                let sink = &mut self.sink;
                if catch_unwind(AssertUnwindSafe(|| sink.asked(tenant, &inbound))).is_err() {
                    self.shared.sink_panics.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Tells the sink the codes of the wrap-ups that agents ended in these outputs: a released claim names none, and the
    /// entry that released it does.
    fn tell_wrapped_up(&mut self, tenant: TenantId, outputs: &[Output], decided: &Decided) {
        let released = |claim| {
            let notice = SeatNotice::Released { claim };
            outputs.iter().any(|output| matches!(output, Output::Seat { notice: said, .. } if *said == notice))
        };
        if !outputs.iter().any(|output| matches!(output, Output::Seat { notice: SeatNotice::Released { .. }, .. })) {
            return;
        }
        let Some(_pass) = self.shared.fence.enter(self.shared.term.0) else { return };
        for output in outputs {
            let Output::Reply { seq, outcome: Outcome::Done { .. } } = output else { continue };
            let entry = decided.carried(*seq).and_then(|carried| codec::decode(&carried.bytes).ok());
            if let Some(Input::Seat(SeatInput { act: SeatAct::WrapUp { claim, code }, .. })) = entry.map(|entry| entry.input)
                && released(claim)
            {
                let sink = &mut self.sink;
                if catch_unwind(AssertUnwindSafe(|| sink.wrapped_up(tenant, code))).is_err() {
                    self.shared.sink_panics.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Emits one batch.
    pub fn emit(&mut self, mut decided: Decided) {
        self.index(&decided);
        let mut from = 0;
        for run in &decided.runs {
            let outputs = &decided.outputs[from..from + run.outputs];
            self.tell_asked(run.tenant, outputs, &decided);
            self.tell_wrapped_up(run.tenant, outputs, &decided);
            self.hand_on(run.tenant, outputs);
            from += run.outputs;
        }
        self.keep_decisions(&decided);
        let last = (decided.first.0 + decided.entries.len() as u64).saturating_sub(1);
        for (reply, outcome) in decided.replies.drain(..) {
            // The proposer passes on what is durable and nothing else; this is the second bolt on that door.
            assert!(self.shared.watermark.covers(last), "an answer before the watermark covers entry {last}");
            reply.answer(Ok(outcome));
        }
        let now = Instant::now();
        let stages = &self.shared.stages;
        let submitted = decided.entries.iter().filter(|carried| carried.submitted.is_some()).count() as u64;
        stages.record_all(Stage::Egress, between(decided.decided_at, now), submitted);
        stages.record_all(Stage::CommittedToEffect, between(decided.durable, now), submitted);
        self.passages(&decided);
        self.events(&decided);
        let messages = decided.entries.into_iter().filter(|carried| codec::holds_body(&carried.bytes));
        self.shared.transcripts.tail().add(messages.map(|carried| (carried.position, carried.bytes)));
        self.shared.emitted.fetch_max(last, Ordering::Release);
        if let Some(wanted) = decided.snapshot {
            let order = match wanted {
                Wanted::RollTo(last) => Order::RollTo { last, digests: self.digests.clone() },
                Wanted::Keep(last, mut bytes) => {
                    self.shared.transcripts.snapshot(&mut bytes);
                    Order::Keep { last, bytes }
                }
            };
            // The keeper takes one at a time and apply orders one at a time, so there is room, and a last one may wait.
            let _broken = self.keeper.push_wait(order);
        }
    }

    /// Items go to the index (`recover::index` does the same), digests are kept.
    fn index(&mut self, decided: &Decided) {
        let mut from = 0;
        let mut entry = 0;
        for run in &decided.runs {
            for (i, output) in (from..).zip(&decided.outputs[from..from + run.outputs]) {
                while decided.ends.get(entry).is_some_and(|end| *end <= i) {
                    entry += 1;
                }
                match output {
                    Output::Transcript { conversation, n, seq, at, item, .. } => {
                        let here = decided.entries.get(entry).map_or(0, |carried| carried.position);
                        let body = match item {
                            item if item.has_body() => decided.position(*seq),
                            _ => None,
                        };
                        let added = Added { conversation: *conversation, n: *n, at: *at, item: *item, entry: here, body };
                        self.shared.transcripts.add(run.tenant, &added);
                    }
                    Output::Digest { seq, state, outputs } => {
                        self.digests.insert(run.tenant, Digests { seq: *seq, state: *state, outputs: *outputs });
                    }
                    _ => {}
                }
            }
            from += run.outputs;
        }
    }

    /// Behind effects and answers, and before anything that may wait.
    fn passages(&self, decided: &Decided) {
        let Some(tap) = &self.shared.passages else { return };
        let mut from = 0;
        for ((seq, carried), end) in (decided.first.0..).zip(&decided.entries).zip(&decided.ends) {
            let outputs = &decided.outputs[from..*end];
            from = *end;
            if let Some(tenant) = codec::tenant(&carried.bytes).filter(|_| !outputs.is_empty()) {
                tap.passed(&Passage {
                    tenant,
                    seq: Seq(seq),
                    submitted: carried.submitted,
                    durable: decided.durable,
                    decided: decided.decided_at,
                    bytes: &carried.bytes,
                    outputs,
                });
            }
        }
        tap.flush();
    }

    /// Behind effects and answers: what is derived waits, and nobody waits for it.
    fn events(&self, decided: &Decided) {
        let Some(events) = &self.shared.events else { return };
        let mut from = 0;
        for ((seq, carried), end) in (decided.first.0..).zip(&decided.entries).zip(&decided.ends) {
            let outputs = &decided.outputs[from..*end];
            from = *end;
            if let Some(tenant) = codec::tenant(&carried.bytes) {
                events.entry(tenant, Seq(seq), decided.at, outputs);
            }
        }
        events.flush();
    }

    fn keep_decisions(&self, decided: &Decided) {
        let Some(kept) = &self.shared.decisions else { return };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut from = 0;
        for run in &decided.runs {
            let records = decided.outputs[from..from + run.outputs].iter().filter_map(|output| match output {
                Output::Decision(record) => Some(record.digest()),
                _ => None,
            });
            kept.entry(run.tenant).or_default().extend(records);
            from += run.outputs;
        }
    }
}

/// The egress thread: takes what apply hands over.
pub(crate) fn run(mut ring: spsc::Consumer<Decided>, state: &Mutex<Egress>, done: &AtomicU64) {
    while let Some(decided) = ring.pop() {
        state.lock().unwrap_or_else(PoisonError::into_inner).emit(decided);
        done.fetch_add(1, Ordering::Release);
    }
    state.lock().unwrap_or_else(PoisonError::into_inner).keeper.close();
}
