//! The deciding thread: committed batches in, decided batches out, queries between two of them.
//!
//! It alone touches the machines. It prefetches over the batch (sixteen entries ahead the indices, eight ahead the records),
//! handles entry by entry, and gives the outputs to the egress: on its own thread while the node is idle (a hand-over costs
//! more than the work), through a ring to the egress thread once batches follow each other. Of a snapshot it says only up to
//! which entry it is wanted; the keeper makes it from the log. It serialises the machines itself once, at the end of a drain.
//! It refuses to know disks, sockets and clocks: times here are measured, never decided by.

use super::batch::{Carried, Committed};
use super::config::CellConfig;
use super::egress::{Decided, Egress, Run, Wanted};
use super::front::Door;
use super::machines::{Machines, Replayed};
use super::park::Parker;
use super::shared::{Query, Shared};
use super::snapshots::{self, Unanswered};
use super::stages::{Stage, between};
use crate::primitive::Instant;
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::primitive::{Arc, Mutex, PoisonError};
use std::collections::BTreeMap;
use std::task::Poll;
use std::time::Duration;
use tidegate_matcher::ring::{Pop, mpsc, spsc};
use tidegate_model::output::Output;
use tidegate_model::{Seq, TenantId, Timestamp};

/// Prefetch distances, in entries.
const FAR: usize = 16;
const NEAR: usize = 8;
/// Batches up to this many entries are emitted by the apply thread itself when nothing else is under way.
const INLINE: usize = 32;
/// And up to this many outputs: a tick that ends two thousand contacts says thousands of things.
const INLINE_OUTPUTS: usize = 256;
/// Queries between two batches.
const QUERIES: usize = 64;

/// See the module head.
pub(crate) struct Apply {
    shared: Arc<Shared>,
    machines: Machines,
    batches: spsc::Consumer<Committed>,
    queries: mpsc::Consumer<Query>,
    egress: Handover,
    doors: BTreeMap<TenantId, Arc<Door>>,
    /// Entries whose answer did not come in their own `handle` (fuel): kept until it does.
    unanswered: BTreeMap<u64, (TenantId, Carried)>,
    snapshots: Due,
    last: Last,
    until: Seq,
}

/// The newest entry that was applied.
#[derive(Clone, Copy)]
pub(crate) struct Last {
    pub seq: Seq,
    pub at: Timestamp,
    pub position: u64,
}

/// When the next snapshot is due.
struct Due {
    entries: u64,
    bytes: u64,
    since_entries: u64,
    since_bytes: u64,
    /// No snapshots at all: an embedder without a disk.
    on: bool,
}

/// The way to the egress: either its owner is idle and we take its place, or the ring.
pub(crate) struct Handover {
    pub state: Arc<Mutex<Egress>>,
    pub ring: spsc::Producer<Decided>,
    pub handed: u64,
    /// Batches that the egress thread is done with.
    pub done: Arc<AtomicU64>,
}

impl Handover {
    fn give(&mut self, decided: Decided, inline: bool) {
        // While the egress thread has nothing in hand it does not touch the state, so the lock is free; the order is kept
        // because everything handed over before is done.
        if inline && self.handed == self.done.load(Ordering::Acquire) {
            self.state.lock().unwrap_or_else(PoisonError::into_inner).emit(decided);
            return;
        }
        self.handed += 1;
        // The egress thread outlives the ring; if it broke down, the answers in the batch say so by being dropped.
        let _broken = self.ring.push_wait(decided);
    }
}

/// The rings' ends that apply holds.
pub(crate) struct Ends {
    pub batches: spsc::Consumer<Committed>,
    pub queries: mpsc::Consumer<Query>,
    pub egress: Handover,
}

/// The state that apply begins with.
pub(crate) struct Begin {
    pub machines: Machines,
    pub unanswered: Vec<Unanswered>,
    pub last: Last,
    pub on_disk: bool,
    /// The last of this start's first entries.
    pub until: Seq,
}

impl Apply {
    pub fn new(shared: Arc<Shared>, ends: Ends, state: Begin, config: &CellConfig) -> Self {
        let Ends { batches, queries, egress } = ends;
        let Begin { machines, unanswered, last, on_disk, until } = state;
        let doors = machines.iter().map(|(id, _)| (id, shared.front.open_door(id))).collect();
        let unanswered = unanswered
            .into_iter()
            .map(|u| (u.seq.0, (u.tenant, Carried { bytes: Vec::new(), reply: None, submitted: None, position: u.position })))
            .collect();
        let snapshots =
            Due { entries: config.snapshot_entries, bytes: config.snapshot_bytes, since_entries: 0, since_bytes: 0, on: on_disk };
        Self { shared, machines, batches, queries, egress, doors, unanswered, snapshots, last, until }
    }

    /// The thread; ends when the proposer has closed the ring and everything in it is decided.
    pub fn run(mut self) {
        let parker = Parker::here();
        for (id, tenant) in self.machines.iter() {
            publish(&self.doors[&id], self.last.seq.0, tenant.next_deadline());
        }
        self.shared.wake_proposer();
        loop {
            for _ in 0..QUERIES {
                match self.queries.try_pop() {
                    Pop::Value(query) => query.0(&self.machines),
                    Pop::Empty | Pop::Closed => break,
                }
            }
            if self.snapshots.on && self.shared.snapshot_wanted.load(Ordering::Acquire) {
                self.want_snapshot();
            }
            match self.batches.try_pop() {
                Pop::Value(batch) => self.batch(batch),
                Pop::Closed => break,
                Pop::Empty => {
                    let mut cx = parker.context();
                    if let Poll::Ready(query) = self.queries.poll_pop(&mut cx) {
                        if let Some(query) = query {
                            query.0(&self.machines);
                        }
                        continue;
                    }
                    match self.batches.poll_pop(&mut cx) {
                        Poll::Ready(Some(batch)) => self.batch(batch),
                        Poll::Ready(None) => break,
                        Poll::Pending => parker.park(None),
                    }
                }
            }
        }
        self.queries.close();
        // One that the keeper has under way gives way to this: nobody waits any more.
        if self.snapshots.on && self.last.seq.0 > self.shared.snapshot.load(Ordering::Acquire) {
            self.final_snapshot();
        }
        self.egress.ring.close();
    }

    fn batch(&mut self, batch: Committed) {
        let (first, at, durable) = (batch.first, batch.at, batch.durable);
        let began = Instant::now();
        let mut entries = batch.entries;
        let mut decided = Decided::new(first, durable, entries.len());
        decided.at = at;
        let mut spans: Vec<Duration> = Vec::with_capacity(entries.len());
        let mut before = began;
        for i in 0..entries.len() {
            if let Some(ahead) = entries.get(i + FAR) {
                self.machines.prefetch(&ahead.bytes, true);
            }
            if let Some(ahead) = entries.get(i + NEAR) {
                self.machines.prefetch(&ahead.bytes, false);
            }
            let from = decided.outputs.len();
            let replayed = match self.machines.replay(&entries[i].bytes, &mut decided.outputs) {
                Ok(replayed) => replayed,
                Err(error) => {
                    // What stands in the log was encoded and checked by the front: this is a fault of ours, and to go on
                    // would let this node's state differ from a replay's.
                    panic!("a committed entry cannot be applied: {error}");
                }
            };
            self.answers(&mut decided, from, &replayed, &mut entries[i]);
            decided.run(replayed.tenant, from);
            decided.ends.push(decided.outputs.len());
            self.snapshots.since_bytes += entries[i].bytes.len() as u64;
            let after = Instant::now();
            spans.push(between(before, after));
            before = after;
        }
        self.snapshots.since_entries += entries.len() as u64;
        if let Some(carried) = entries.last() {
            self.last = Last { seq: Seq(first.0 + entries.len() as u64 - 1), at, position: carried.position };
        }
        if self.last.seq >= self.until {
            // The node serves: memory of a tenant that is created now comes as it is used.
            self.machines.prefault(0);
        }
        decided.decided_at = before;
        decided.entries = entries;
        let stages = &self.shared.stages;
        stages.record_all(Stage::ApplyWait, between(durable, began), spans.len() as u64);
        stages.record(Stage::Apply, spans.iter().copied());
        self.publish(&decided);
        let few = decided.entries.len() <= INLINE && decided.outputs.len() <= INLINE_OUTPUTS;
        let inline = few && self.batches.is_empty();
        self.egress.give(decided, inline);
        if self.snapshots.on && self.snapshots.due() && !self.shared.snapshot_under_way.load(Ordering::Acquire) {
            self.want_snapshot();
        }
    }

    /// Pairs the replies among the outputs from `from` on with those who wait.
    fn answers(&mut self, decided: &mut Decided, from: usize, replayed: &Replayed, entry: &mut Carried) {
        let Replayed { seq, tenant, .. } = *replayed;
        let mut answered = !replayed.owed;
        for output in &decided.outputs[from..] {
            let Output::Reply { seq: of, outcome } = output else { continue };
            if *of == seq {
                answered = true;
                if let Some(reply) = entry.reply.take() {
                    decided.replies.push((reply, *outcome));
                }
            } else if let Some((_, mut late)) = self.unanswered.remove(&of.0) {
                if let Some(reply) = late.reply.take() {
                    decided.replies.push((reply, *outcome));
                }
                decided.late.push((*of, late));
            }
        }
        if !answered {
            // Only the place (and whoever waits) is kept; the machine holds the input itself.
            let kept = Carried { bytes: Vec::new(), reply: entry.reply.take(), submitted: None, position: entry.position };
            self.unanswered.insert(seq.0, (tenant, kept));
        }
    }

    /// Tells the proposer how far we are and when each tenant of the batch wants a tick.
    fn publish(&mut self, decided: &Decided) {
        let mut wake = false;
        let mut done = None;
        for run in decided.runs.iter().rev() {
            if done == Some(run.tenant) {
                continue;
            }
            done = Some(run.tenant);
            let Some(tenant) = self.machines.get(run.tenant) else { continue };
            let door = self.doors.entry(run.tenant).or_insert_with(|| self.shared.front.open_door(run.tenant));
            let before = door.deadline.load(Ordering::Relaxed);
            let deadline = publish(door, self.last.seq.0, tenant.next_deadline());
            wake |= deadline < before || deadline <= self.last.at.0;
        }
        self.shared.applied.store(self.last.seq.0, Ordering::SeqCst);
        if wake {
            self.shared.wake_proposer();
        }
    }

    /// Says that a snapshot up to here is wanted. O(1): the keeper makes it.
    fn want_snapshot(&mut self) {
        if self.shared.snapshot_under_way.swap(true, Ordering::AcqRel) {
            return;
        }
        self.shared.snapshot_wanted.store(false, Ordering::Release);
        self.snapshots.since_entries = 0;
        self.snapshots.since_bytes = 0;
        self.give_snapshot(Wanted::RollTo(self.last));
    }

    /// Serialises all machines; the egress adds the transcript index, the keeper writes.
    fn final_snapshot(&mut self) {
        let waiting = self.unanswered.iter().map(|(seq, (tenant, carried))| Unanswered {
            seq: Seq(*seq),
            tenant: *tenant,
            position: carried.position,
        });
        let began = Instant::now();
        let mut bytes = Vec::new();
        snapshots::state(&mut bytes, &self.machines, self.last, self.shared.term, waiting);
        self.shared.stages.record_all(Stage::SnapshotPause, began.elapsed(), 1);
        self.give_snapshot(Wanted::Keep(self.last, bytes));
    }

    fn give_snapshot(&mut self, wanted: Wanted) {
        let mut decided = Decided::new(Seq(self.last.seq.0 + 1), Instant::now(), 0);
        decided.snapshot = Some(wanted);
        self.egress.give(decided, false);
    }
}

/// Publishes a tenant's progress and deadline; gives the deadline back.
fn publish(door: &Door, applied: u64, deadline: Option<Timestamp>) -> u64 {
    let deadline = deadline.map_or(u64::MAX, |at| at.0);
    door.deadline.store(deadline, Ordering::SeqCst);
    door.applied.store(applied, Ordering::SeqCst);
    deadline
}

impl Due {
    fn due(&self) -> bool {
        self.since_entries >= self.entries || self.since_bytes >= self.bytes
    }
}

impl Decided {
    /// The outputs from `from` on are `tenant`'s.
    fn run(&mut self, tenant: TenantId, from: usize) {
        let count = self.outputs.len() - from;
        match self.runs.last_mut() {
            Some(run) if run.tenant == tenant => run.outputs += count,
            _ => self.runs.push(Run { tenant, outputs: count }),
        }
    }
}
