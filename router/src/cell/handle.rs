//! What everybody else holds of a cell: cheap to clone, usable from any thread, with or without a runtime.
//!
//! Submissions are wait-free; queries run on the deciding thread between two batches and see a state that no later entry has
//! touched; transcripts may read the disk. The last handle to go closes the intake and the cell ends by itself, cleanly, in
//! its own time; [`CellHandle::drain`] does the same and waits for it.

use super::front::Submitted;
use super::log::LogError;
use super::machines::Machines;
use super::shared::{Query, Shared};
use super::stages::Stages;
use super::start::StartError;
use super::{CellStatus, Intake};
use crate::gauge::Gauges;
use crate::primitive::atomic::Ordering;
use crate::primitive::thread::JoinHandle;
use crate::primitive::{Arc, Mutex, PoisonError};
use crate::transcript::{TranscriptSize, Transcripts};
use std::future::Future;
use tidegate_core::Tenant;
use tidegate_matcher::fence::TermFence;
use tidegate_matcher::ring::PushError;
use tidegate_model::input::{Admin, Inbound, Input};
use tidegate_model::limits::Limits;
use tidegate_model::port::{PortError, TranscriptItem};
use tidegate_model::{ConversationId, Millis, Seq, TenantId, Term, Timestamp};

/// The cell's threads, the first to end first.
pub(crate) struct Threads(pub Vec<JoinHandle<()>>);

struct Inner {
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.release();
    }
}

/// A handle to a running cell.
#[derive(Clone)]
pub struct CellHandle {
    inner: Arc<Inner>,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Newest entry: durable, decided, handed on.
    pub last: Seq,
    /// Entry up to which the final snapshot reaches.
    pub snapshot: Seq,
}

/// Why a drain was not clean. What was acknowledged is durable all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DrainError {
    /// Another caller drained it.
    #[error("the cell was drained before")]
    Already,
    /// The log failed.
    #[error("the log failed before the cell was drained: {0}")]
    Log(LogError),
    /// A thread of the cell panicked.
    #[error("a thread of the cell broke down: {0}")]
    Broken(String),
    /// Everything is in the log, but the final snapshot could not be written: the next start replays.
    #[error("the final snapshot could not be written: {0}")]
    Snapshot(String),
}

impl CellHandle {
    pub(crate) fn new(shared: Arc<Shared>, threads: Threads) -> Self {
        Self { inner: Arc::new(Inner { shared, threads: Mutex::new(Some(threads)) }) }
    }

    fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// Waits until the first entries of the start are decided.
    pub(crate) fn serving(&self, until: Seq) -> Result<(), StartError> {
        let shared = self.shared();
        // A failure of the log ends the wait; it is named below.
        let _failed = shared.watermark.wait(until.0);
        if let Some(error) = shared.failure.get() {
            return Err(StartError::Log(error.clone()));
        }
        // Durable is not decided: the deciding thread answers questions between batches, before the first one too.
        loop {
            if self.on_apply(|_| ()).is_err() || shared.broken.get().is_some() {
                return Err(StartError::Broken(shared.broken.get().cloned().unwrap_or_else(|| "the deciding thread ended".into())));
            }
            if shared.applied.load(Ordering::Acquire) >= until.0 {
                return Ok(());
            }
            crate::primitive::thread::yield_now();
        }
    }

    /// Submits an input; the future resolves once it is durable and decided, its transcript items readable and its outputs
    /// handed to the sink. The input is encoded at once; nothing is borrowed. Names no runtime.
    ///
    /// Resolves to `Err` when it was not taken: `Busy` (counted as refused), `Closed`, `LogFailed`, `Invalid` (with the field),
    /// `Unknown` tenant.
    ///
    /// A customer's input that leaves `known_n` 0 gets it from the transcript index, so that a conversation that has left
    /// memory goes on with its numbers.
    pub fn submit(&self, tenant: TenantId, input: &Input<'_>) -> Submitted {
        let front = &self.shared().front;
        Submitted::new(front.clone(), front.submit(tenant, &self.numbered(tenant, input), true))
    }

    fn numbered<'a>(&self, tenant: TenantId, input: &Input<'a>) -> Input<'a> {
        match *input {
            Input::Inbound(inbound) if inbound.known_n == 0 => {
                Input::Inbound(Inbound { known_n: self.transcript_head(tenant, inbound.conversation), ..inbound })
            }
            other => other,
        }
    }

    /// Submits an input whose answer nobody waits for.
    ///
    /// # Errors
    /// As [`Self::submit`]; `Ok` means taken, not durable.
    pub fn submit_nowait(&self, tenant: TenantId, input: &Input<'_>) -> Result<(), PortError> {
        self.shared().front.submit(tenant, &self.numbered(tenant, input), false).map(|_| ())
    }

    /// Creates a tenant with these limits: its first entry. A tenant that exists has its limits changed.
    pub fn create_tenant(&self, tenant: TenantId, limits: Limits) -> Submitted {
        self.shared().front.open_door(tenant);
        self.submit(tenant, &Input::Admin(Admin::Limits(limits)))
    }

    /// Runs `f` on a tenant's machine between two batches; sees every entry that was answered before the call.
    ///
    /// Resolves to `Unknown` when there is no such tenant, `Busy` when too many queries wait, `Closed` when the cell stops.
    /// Keep `f` short: nothing is decided while it runs.
    pub fn query<R, F>(&self, tenant: TenantId, f: F) -> impl Future<Output = Result<R, PortError>> + Send + 'static + use<R, F>
    where
        R: Send + 'static,
        F: FnOnce(&Tenant) -> R + Send + 'static,
    {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let pushed = self.push(Query(Box::new(move |machines| {
            // A caller who has gone needs no answer.
            let _gone = sender.send(machines.get(tenant).map(f));
        })));
        async move {
            pushed?;
            receiver.await.map_err(|_| PortError::Closed)?.ok_or(PortError::Unknown)
        }
    }

    /// As [`Self::query`], blocking.
    ///
    /// # Errors
    /// As [`Self::query`].
    ///
    /// # Panics
    /// Inside an async runtime's own thread: there use [`Self::query`].
    pub fn query_wait<R: Send + 'static>(
        &self,
        tenant: TenantId,
        f: impl FnOnce(&Tenant) -> R + Send + 'static,
    ) -> Result<R, PortError> {
        self.on_apply(move |machines| machines.get(tenant).map(f))?.ok_or(PortError::Unknown)
    }

    fn on_apply<R: Send + 'static>(&self, f: impl FnOnce(&Machines) -> R + Send + 'static) -> Result<R, PortError> {
        let (sender, receiver) = crate::primitive::mpsc::sync_channel(1);
        self.push(Query(Box::new(move |machines| {
            let _gone = sender.send(f(machines));
        })))?;
        receiver.recv().map_err(|_| PortError::Closed)
    }

    fn push(&self, query: Query) -> Result<(), PortError> {
        self.shared().queries.push(query).map_err(|error| match error {
            PushError::Full(_) => PortError::Busy { retry_after: Millis(50) },
            PushError::Closed(_) => PortError::Closed,
        })
    }

    /// Transcript items after number `after`, at most `max`, oldest first, with bodies; empty when there are none. It may read
    /// the disk: call it where blocking is allowed.
    ///
    /// # Errors
    /// `Unknown` when the conversation has no transcript here, `LogFailed` when a body cannot be read.
    pub fn transcript(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        after: u32,
        max: usize,
    ) -> Result<Vec<TranscriptItem>, PortError> {
        match self.shared().transcripts.read(tenant, conversation, after, max) {
            Ok(found) => found.ok_or(PortError::Unknown),
            Err(_) => Err(PortError::LogFailed),
        }
    }

    /// Number of the newest transcript item of a conversation; 0 when there is none.
    #[must_use]
    pub fn transcript_head(&self, tenant: TenantId, conversation: ConversationId) -> u32 {
        self.shared().transcripts.head(tenant, conversation)
    }

    /// How much the transcript index holds. O(conversations).
    #[must_use]
    pub fn transcript_size(&self) -> TranscriptSize {
        self.shared().transcripts.size()
    }

    /// The transcript index itself, for whoever serves many reads.
    #[must_use]
    pub fn transcripts(&self) -> Arc<Transcripts> {
        self.shared().transcripts.clone()
    }

    /// Latency histograms of the stages since the start, or since [`Self::reset_stages`].
    #[must_use]
    pub fn stages(&self) -> Stages {
        self.shared().stages.read()
    }

    /// Begins the histograms anew.
    pub fn reset_stages(&self) {
        self.shared().stages.reset();
    }

    /// Digests of a tenant's decisions since the start, in order, when the configuration keeps them.
    #[must_use]
    pub fn decisions(&self, tenant: TenantId) -> Vec<u64> {
        let Some(kept) = &self.shared().decisions else { return Vec::new() };
        kept.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned().unwrap_or_default()
    }

    /// Every queue of the node.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        self.shared().gauges.clone()
    }

    /// Log time now.
    #[must_use]
    pub fn log_time(&self) -> Timestamp {
        self.shared().clock.now()
    }

    /// The term of this start.
    #[must_use]
    pub fn term(&self) -> Term {
        self.shared().term
    }

    /// The term fence: whoever lets an effect out into the world holds a pass of [`Self::term`] while he does.
    #[must_use]
    pub fn fence(&self) -> TermFence {
        self.shared().fence.clone()
    }

    /// Orders a snapshot; [`CellStatus::snapshot`] tells when it is durable.
    pub fn request_snapshot(&self) {
        self.shared().snapshot_wanted.store(true, Ordering::Release);
        self.shared().wake_apply();
    }

    /// How the cell stands.
    #[must_use]
    pub fn status(&self) -> CellStatus {
        let shared = self.shared();
        CellStatus {
            intake: shared.front.intake(),
            log_failure: shared.failure.get().map(ToString::to_string),
            broken: shared.broken.get().cloned(),
            acknowledged_on_disks: shared.disks,
            term: shared.term,
            committed: Seq(shared.watermark.durable()),
            applied: Seq(shared.applied.load(Ordering::Acquire)),
            emitted: Seq(shared.emitted.load(Ordering::Acquire)),
            log_time: shared.clock.now(),
            log_time_behind: shared.clock.behind(),
            refused: shared.front.refused(),
            sink_panics: shared.sink_panics.load(Ordering::Relaxed),
            snapshot: Seq(shared.snapshot.load(Ordering::Acquire)),
            snapshot_failures: shared.snapshot_failures.load(Ordering::Relaxed),
            snapshot_failure: shared.snapshot_failure.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            snapshot_differences: shared.snapshot_differences.load(Ordering::Relaxed),
            tenants: shared.front.tenants(),
        }
    }

    /// Stops the intake, finishes what was taken, writes a snapshot, closes the log. Blocks until all of it is done.
    ///
    /// # Errors
    /// [`DrainError`] when it was not clean.
    pub fn drain(&self) -> Result<Drained, DrainError> {
        let shared = self.shared();
        shared.release();
        let threads = self.inner.threads.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(DrainError::Already)?;
        for thread in threads.0.into_iter().rev() {
            // A panic was caught inside and is told below.
            let _caught = thread.join();
        }
        // Whoever still holds a handle must not keep the directory: the next to open it may be this very process.
        shared.transcripts.close();
        if let Some(error) = shared.failure.get() {
            return Err(DrainError::Log(error.clone()));
        }
        if let Some(broken) = shared.broken.get() {
            return Err(DrainError::Broken(broken.clone()));
        }
        let last = Seq(shared.watermark.durable());
        let snapshot = Seq(shared.snapshot.load(Ordering::Acquire));
        let failure = shared.snapshot_failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match failure {
            Some(why) if snapshot < last => Err(DrainError::Snapshot(why)),
            _ => Ok(Drained { last, snapshot }),
        }
    }

    /// Whether the cell takes inputs.
    #[must_use]
    pub fn intake(&self) -> Intake {
        self.shared().front.intake()
    }
}

impl std::fmt::Debug for CellHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CellHandle").field("term", &self.term()).field("intake", &self.intake()).finish_non_exhaustive()
    }
}
