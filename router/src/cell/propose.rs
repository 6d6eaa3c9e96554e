//! The proposer: one thread that orders everything.
//!
//! It drains the rings into [`Fair`], takes a batch (precedence, tenants in turn), stamps it (sequence, log time), hands it to
//! the log, publishes the commit and passes the batch on to apply. Batching is natural: what came while the last sync ran is
//! the next batch; only when batches are nearly empty does it wait a moment for company. It also proposes what nobody submits:
//! `Tick` when a tenant's deadline is due and nothing of that tenant is in flight, `Hash` every few thousand entries,
//! `LeaderStarted` first of all. When the log fails it answers everything that waits and stops. It refuses to know what an
//! entry says, beyond its class and its tenant.

use super::batch::{Carried, Committed};
use super::config::CellConfig;
use super::fair::Fair;
use super::front::{Door, Submission};
use super::log::{CellLog, LogError};
use super::park::Parker;
use super::shared::Shared;
use super::stages::{Stage, between};
use crate::primitive::atomic::Ordering;
use crate::primitive::{Arc, Instant, Plant, planted, thread};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tidegate_matcher::ring::{Pop, mpsc, spsc};
use tidegate_model::codec::{self, Precedence};
use tidegate_model::input::Input;
use tidegate_model::port::PortError;
use tidegate_model::{Millis, Seq, TenantId, Timestamp};

const CLASSES: [Precedence; 3] = [Precedence::First, Precedence::Second, Precedence::Third];
/// Sleeps no longer than this, so that log time is read often enough for no step of it to be cut.
const NAP_MAX: Duration = Duration::from_millis(500);
/// A due tenant is ticked although other entries wait, but not more often than this.
const TICK_AFTER: Millis = Millis(10);
/// How long the pace is watched before it is judged.
const PACE_WINDOW: Duration = Duration::from_millis(10);
/// A batch of so few entries is nearly empty.
const NEARLY_EMPTY: usize = 4;

/// See the module head.
pub(crate) struct Proposer {
    shared: Arc<Shared>,
    log: Box<dyn CellLog>,
    rings: [mpsc::Consumer<Submission>; 3],
    onward: spsc::Producer<Committed>,
    fair: Fair<Submission>,
    drained: Vec<Submission>,
    tenants: BTreeMap<TenantId, Own>,
    own: VecDeque<Vec<u8>>,
    next: Seq,
    limits: Limits,
    last_batch: usize,
    pace: Pace,
    /// Log time of the last look for due tenants.
    looked: Timestamp,
    /// Batches that are committed and not yet known to be applied: last entry, when it became durable.
    unapplied: VecDeque<(u64, Instant)>,
}

struct Limits {
    front: usize,
    entries: usize,
    bytes: usize,
    company: Duration,
    hash_every: u64,
    age_max: Duration,
    backlog_max: u64,
}

/// What the proposer keeps of a tenant.
struct Own {
    door: Arc<Door>,
    /// Its newest entry that was proposed.
    proposed: u64,
    /// Its entries since the last `Hash`.
    since_hash: u64,
    /// Log time of its last tick.
    ticked: Timestamp,
}

/// Whether entries come fast enough for company to be worth a wait, looked at every few milliseconds.
struct Pace {
    since: Instant,
    entries: usize,
    brisk: bool,
}

impl Pace {
    fn count(&mut self, entries: usize, company: Duration) {
        self.entries += entries;
        let span = self.since.elapsed();
        if span < PACE_WINDOW {
            return;
        }
        // Brisk: more than one entry is expected within twice the wait. A lone caller who waits for each answer never is.
        let expected = self.entries as f64 * (2.0 * company.as_secs_f64()) / span.as_secs_f64();
        *self = Self { since: Instant::now(), entries: 0, brisk: expected > 1.0 };
    }
}

impl Proposer {
    /// `first` are the cell's own entries of this start, unstamped; `next` is the place of the first of them.
    pub fn new(
        shared: Arc<Shared>,
        log: Box<dyn CellLog>,
        rings: [mpsc::Consumer<Submission>; 3],
        onward: spsc::Producer<Committed>,
        config: &CellConfig,
        next: Seq,
        first: Vec<Vec<u8>>,
    ) -> Self {
        let limits = Limits {
            front: config.front,
            entries: config.batch_entries,
            bytes: config.batch_bytes,
            company: config.company,
            hash_every: config.hash_every,
            age_max: config.apply_age_max,
            backlog_max: config.apply_backlog_max,
        };
        Self {
            shared,
            log,
            rings,
            onward,
            fair: Fair::new(),
            drained: Vec::new(),
            tenants: BTreeMap::new(),
            own: first.into(),
            next,
            limits,
            last_batch: 0,
            pace: Pace { since: Instant::now(), entries: 0, brisk: false },
            looked: Timestamp(0),
            unapplied: VecDeque::new(),
        }
    }

    /// The thread.
    pub fn run(mut self) {
        let parker = Parker::here();
        self.shared.set_proposer(thread::current());
        let mut end = None;
        loop {
            let ended = self.drain();
            // While it drains, log time stands still: what fuel left undone is finished, and no later deadline comes due.
            let now = end.unwrap_or_else(|| self.shared.clock.now());
            if ended {
                end = Some(now);
                self.looked = Timestamp(0);
            }
            self.due(now);
            self.admission();
            if ended && planted(Plant::DropsAtDrain) {
                self.fair.drain().for_each(drop);
            }
            if self.own.is_empty() && self.fair.is_empty() {
                if ended && self.finished(now) {
                    break;
                }
                self.sleep(&parker);
                continue;
            }
            if !ended && self.pace.brisk && self.last_batch < NEARLY_EMPTY && self.fair.waiting() < NEARLY_EMPTY {
                // Unarmed: a push does not wake us, the whole wait is for company.
                self.last_batch = usize::MAX;
                parker.park(Some(self.limits.company));
                continue;
            }
            let batch = self.batch(now);
            self.last_batch = batch.len();
            self.pace.count(batch.len(), self.limits.company);
            if let Err((error, batch)) = self.log.propose(batch) {
                return self.failed(&error, batch);
            }
            while let Some(batch) = self.log.committed() {
                self.committed(batch);
            }
        }
        // Everything taken is durable and on its way: a clean end of the log.
        if let Err(error) = self.log.close() {
            self.shared.fail(&error);
        }
    }

    /// Whether everything proposed is decided (or never will be) and left no work: apply publishes what fuel left to do before
    /// it says how far it is, so the deadlines are read after that.
    fn finished(&self, now: Timestamp) -> bool {
        let idle = |own: &Own| own.door.deadline.load(Ordering::Acquire) > now.0;
        self.shared.broken.get().is_some()
            || (self.shared.applied.load(Ordering::Acquire) + 1 >= self.next.0 && self.tenants.values().all(idle))
    }

    /// Moves what stands in the rings into the fair queues; true when the rings are closed and empty.
    fn drain(&mut self) -> bool {
        let mut ended = true;
        for (ring, class) in self.rings.iter_mut().zip(CLASSES) {
            let room = self.limits.front.saturating_sub(self.fair.len(class));
            if room > 0 {
                ring.pop_batch(&mut self.drained, room);
            }
            for submission in self.drained.drain(..) {
                let tenant = codec::tenant(&submission.bytes).unwrap_or_default();
                let bytes = submission.bytes.len();
                self.fair.push(class, tenant, submission, bytes);
            }
            if ended {
                match ring.try_pop() {
                    Pop::Closed => {}
                    Pop::Empty => ended = false,
                    Pop::Value(submission) => {
                        // One above the room, for a moment: it was popped by the look for the end.
                        let tenant = codec::tenant(&submission.bytes).unwrap_or_default();
                        let bytes = submission.bytes.len();
                        self.fair.push(class, tenant, submission, bytes);
                        ended = false;
                    }
                }
            }
        }
        self.shared.publish_waiting(CLASSES.map(|class| self.fair.len(class) as u64));
        ended
    }

    fn own(&mut self, tenant: TenantId) -> &mut Own {
        self.tenants.entry(tenant).or_insert_with(|| Own {
            door: self.shared.front.open_door(tenant),
            proposed: 0,
            since_hash: 0,
            ticked: Timestamp(0),
        })
    }

    /// Proposes ticks and hashes that are due.
    fn due(&mut self, now: Timestamp) {
        if now == self.looked && !self.shared.take_due_hint() {
            return;
        }
        self.looked = now;
        let emitted = self.shared.emitted.load(Ordering::Acquire);
        for (id, tenant) in &mut self.tenants {
            // What a tick said is handed on before the next: deciding is faster than telling, and others' answers stand in
            // the same queue.
            let in_flight = tenant.door.applied.load(Ordering::Acquire).min(emitted) < tenant.proposed;
            let due = tenant.door.deadline.load(Ordering::Acquire) <= now.0;
            // Any entry lets a tenant's time pass, so a tick is for the idle; but others may keep the cell busy for long.
            if due && in_flight {
                // Looked at again at once, not a millisecond later.
                self.looked = Timestamp(0);
            } else if due && (self.fair.is_empty() || now.since(tenant.ticked) >= TICK_AFTER) {
                self.own.push_back(encoded(*id, &Input::Tick));
                tenant.ticked = now;
            }
        }
    }

    /// Narrows the intake while apply is behind, and widens it again at half of the limits.
    fn admission(&mut self) {
        let applied = self.shared.applied.load(Ordering::Acquire);
        while self.unapplied.front().is_some_and(|(last, _)| *last <= applied) {
            self.unapplied.pop_front();
        }
        let age = self.unapplied.front().map_or(Duration::ZERO, |(_, durable)| durable.elapsed());
        let backlog = (self.next.0 - 1).saturating_sub(applied);
        if age > self.limits.age_max || backlog > self.limits.backlog_max {
            self.shared.front.admit_new_contacts(false);
        } else if age <= self.limits.age_max / 2 && backlog <= self.limits.backlog_max / 2 {
            self.shared.front.admit_new_contacts(true);
        }
    }

    fn sleep(&mut self, parker: &Parker) {
        let mut cx = parker.context();
        for (ring, class) in self.rings.iter_mut().zip(CLASSES) {
            match ring.poll_pop(&mut cx) {
                std::task::Poll::Pending => {}
                std::task::Poll::Ready(None) => {}
                std::task::Poll::Ready(Some(submission)) => {
                    let tenant = codec::tenant(&submission.bytes).unwrap_or_default();
                    let bytes = submission.bytes.len();
                    self.fair.push(class, tenant, submission, bytes);
                    return;
                }
            }
        }
        // Announced first, then the deadlines are read: apply publishes a deadline first and then looks at the announcement.
        self.shared.proposer_sleeps(true);
        let deadline = self.tenants.values().map(|t| t.door.deadline.load(Ordering::SeqCst)).min().unwrap_or(u64::MAX);
        let behind = !self.unapplied.is_empty() || self.shared.emitted.load(Ordering::Acquire) + 1 < self.next.0;
        let nap = if deadline == u64::MAX { NAP_MAX } else { self.shared.clock.until(Timestamp(deadline)).min(NAP_MAX) };
        // While apply is behind its progress is looked at often: admission hangs on it, and ticks that wait for it.
        let nap = if behind { nap.clamp(Duration::from_micros(500), Duration::from_millis(5)) } else { nap };
        if nap.is_zero() {
            // It has come: apply is about to say so, or others went first when it was last looked at.
            self.looked = Timestamp(0);
            thread::yield_now();
        } else {
            parker.park(Some(nap));
        }
        self.shared.proposer_sleeps(false);
    }

    /// Takes the next batch: the cell's own entries first, then in fair order; stamps it.
    fn batch(&mut self, now: Timestamp) -> Committed {
        let mut taken = std::mem::take(&mut self.drained);
        let own = self.own.len().min(self.limits.entries);
        if own < self.limits.entries {
            self.fair.take(self.limits.entries - own, self.limits.bytes, &mut taken);
        }
        let first = self.next;
        let mut entries = Vec::with_capacity(own + taken.len());
        let mut seq = first.0;
        let mut hashes = Vec::new();
        let mut place = |this: &mut Self, mut bytes: Vec<u8>, reply, submitted| {
            codec::stamp(&mut bytes, Seq(seq), now);
            let tenant_id = codec::tenant(&bytes).unwrap_or_default();
            let hash_every = this.limits.hash_every;
            let tenant = this.own(tenant_id);
            tenant.proposed = seq;
            tenant.since_hash += 1;
            if tenant.since_hash >= hash_every {
                tenant.since_hash = 0;
                hashes.push(tenant_id);
            }
            seq += 1;
            Carried { bytes, reply, submitted, position: 0 }
        };
        for _ in 0..own {
            if let Some(bytes) = self.own.pop_front() {
                let carried = place(self, bytes, None, None);
                entries.push(carried);
            }
        }
        for submission in taken.drain(..) {
            let Submission { bytes, reply, submitted, credit } = submission;
            let carried = place(self, bytes, reply, Some(submitted));
            entries.push(carried);
            drop(credit);
        }
        self.drained = taken;
        self.own.extend(hashes.into_iter().map(|tenant| encoded(tenant, &Input::Hash)));
        self.next = Seq(first.0 + entries.len() as u64);
        Committed::new(first, now, entries)
    }

    /// A batch is durable: publish, measure, pass on.
    fn committed(&mut self, batch: Committed) {
        let last = batch.last();
        if !planted(Plant::AnswerBeforeWatermark) {
            self.shared.watermark.advance(last.0);
        }
        let stages = &self.shared.stages;
        let submitted = || batch.entries.iter().filter_map(|carried| carried.submitted);
        stages.batch(batch.len());
        stages.record(Stage::Ring, submitted().map(|at| between(at, batch.proposed)));
        stages.record_all(Stage::Commit, between(batch.proposed, batch.durable), submitted().count() as u64);
        stages.record(Stage::SubmitToCommitted, submitted().map(|at| between(at, batch.durable)));
        self.unapplied.push_back((last.0, batch.durable));
        self.admission();
        // Blocks only while apply is as many batches behind as the ring holds; new contacts are refused long before.
        if self.onward.push_wait(batch).is_err() {
            self.shared.front.close();
        }
        if planted(Plant::AnswerBeforeWatermark) {
            thread::yield_now();
            self.shared.watermark.advance(last.0);
        }
    }

    /// Nothing more is acknowledged: everybody who waits is told, and the cell says why.
    fn failed(mut self, error: &LogError, batch: Committed) {
        self.shared.fail(error);
        let told = |reply: Option<super::front::Reply>| {
            if let Some(reply) = reply {
                reply.answer(Err(PortError::LogFailed));
            }
        };
        for carried in batch.entries {
            told(carried.reply);
        }
        for submission in self.fair.drain() {
            told(submission.reply);
        }
        // The rings are closed; a push that was accepted before may still be on its way in.
        loop {
            let mut open = false;
            for ring in &mut self.rings {
                if let Some(submission) = ring.pop() {
                    open = true;
                    told(submission.reply);
                }
            }
            if !open {
                break;
            }
        }
        // The deciding thread lives as long as this ring: queries and transcripts are still served.
        self.shared.await_release();
    }
}

fn encoded(tenant: TenantId, input: &Input<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(codec::HEAD_BYTES + 48);
    codec::encode(&mut bytes, tenant, input);
    bytes
}
