//! One node: a cell, the live halves around it, and the ports that channels and operators use.
//!
//! ```text
//! Node::start(config, disk) ── Live::new ─ Cell::start(sink) ─ Live::start ─ bootstrap ──> NodeHandle
//! NodeHandle: Ingress, SeatPort (channels) · policy, roster, status, drain (HTTP, binary)
//! ```
//!
//! Bootstrapping brings a tenant's accounts, policy and agents into the log as entries, and only those that the log does not
//! have: what an operator changed later is not undone by a restart. It refuses to know sockets, files of configuration and the
//! environment: `src/` reads those. Every await here runs on the runtime that is given to [`Node::start`].

mod bootstrap;
mod catalogue;
mod events;
mod policy;
mod ports;

pub use bootstrap::{BootstrapError, TenantConfig};
pub use events::EVENT_STREAMS_MAX;
pub use policy::{ActivateError, ActivePolicy, IfActive, PolicyText};

use crate::cell::{
    Cell, CellConfig, CellHandle, DrainError, Drained, EntryTap, Intake, MemoryLog, RecoveryReport, StartError, TenantSeed,
};
use crate::events::{Events, EventsConfig, EventsError};
use crate::gauge::Gauges;
use crate::live::{Live, LiveConfig, LiveError, OutboxKey, PushChannel};
use crate::traces::{Traces, TracesConfig, TracesError};
use crate::webhook::{HookError, Webhooks, WebhooksConfig};
use policy::PolicyTexts;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tidegate_core::Tenant;
use tidegate_journal::Disk;
use tidegate_model::ids::TenantId;
use tidegate_model::input::Input;
use tidegate_model::output::Outcome;
use tidegate_model::port::{BoxFuture, PortError};
use tokio::time::Instant;

/// Reads of transcripts under way at once: each may go to the disk.
const READS_MAX: usize = 1_024;
/// How long a drain waits for providers that have not answered yet; what is open then is emitted again at the next start.
const OUTBOX_GRACE: Duration = Duration::from_secs(15);

/// What a node is told at its start.
pub struct NodeConfig {
    /// The node's name in status and metrics.
    pub name: String,
    /// The cell. Its list of tenants is filled from `tenants`.
    pub cell: CellConfig,
    /// The live halves.
    pub live: LiveConfig,
    /// Tenants.
    pub tenants: Vec<TenantConfig>,
    /// Ways out of push accounts; more can be registered later.
    pub push: Vec<(OutboxKey, Arc<dyn PushChannel>)>,
    /// Where the texts of activated policies are kept, by hash; in memory only without it.
    pub policy_texts: Option<PathBuf>,
    /// Platform events: their stream and webhooks. Without it there are none.
    pub events: Option<EventsConfig>,
    /// Webhooks out; they need events.
    pub webhooks: Option<WebhooksConfig>,
    /// Traces of contacts, sent to a collector. Without it there are none.
    pub traces: Option<TracesConfig>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The cell.
    #[error("the cell did not start")]
    Cell(#[from] StartError),
    /// Its events.
    #[error(transparent)]
    Events(#[from] EventsError),
    /// Its webhooks.
    #[error(transparent)]
    Webhooks(#[from] HookError),
    /// Its traces.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The supervision tree.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// A tenant.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The runtime ended while the node started.
    #[error("the runtime ended while the node started")]
    Runtime,
}

/// Starts nodes.
#[derive(Debug, Clone, Copy)]
pub struct Node;

/// A running node. Cheap to clone; the last one to go closes the intake.
#[derive(Clone)]
pub struct NodeHandle {
    inner: Arc<Inner>,
}

/// See [`NodeHandle::downgrade`].
#[derive(Clone)]
pub(crate) struct WeakNode(Weak<Inner>);

impl WeakNode {
    /// The node, while somebody else holds it.
    pub fn upgrade(&self) -> Option<NodeHandle> {
        self.0.upgrade().map(|inner| NodeHandle { inner })
    }
}

struct Inner {
    name: String,
    cell: CellHandle,
    live: Live,
    gauges: Gauges,
    runtime: tokio::runtime::Handle,
    reads: Arc<tokio::sync::Semaphore>,
    texts: PolicyTexts,
    catalogues: catalogue::Catalogues,
    files: std::sync::OnceLock<std::sync::Weak<crate::blobs::FileCounts>>,
    events: Option<Events>,
    streams: Arc<tokio::sync::Semaphore>,
    webhooks: OnceLock<Webhooks>,
    traces: Option<Traces>,
    draining: AtomicBool,
    started: Instant,
    recovery: RecoveryReport,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.live.close();
    }
}

impl Node {
    /// Starts a node on a disk and bootstraps its tenants; returns once it serves.
    ///
    /// # Errors
    /// [`NodeError`], by cause. A node that did not start leaves no thread and no actor behind.
    pub async fn start<D>(config: NodeConfig, disk: D, runtime: &tokio::runtime::Handle) -> Result<NodeHandle, NodeError>
    where
        D: Disk + Clone + Send + 'static,
    {
        start_with(config, runtime, move |cell, sink| Cell::start(cell, disk, sink)).await
    }

    /// Starts a node without a disk: what is acknowledged is in this process and nowhere else.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_in_memory(
        config: NodeConfig,
        log: MemoryLog,
        runtime: &tokio::runtime::Handle,
    ) -> Result<NodeHandle, NodeError> {
        start_with(config, runtime, move |cell, sink| Cell::start_in_memory(cell, log, sink)).await
    }
}

async fn start_with<F>(config: NodeConfig, runtime: &tokio::runtime::Handle, start_cell: F) -> Result<NodeHandle, NodeError>
where
    F: FnOnce(CellConfig, Box<dyn crate::cell::CellSink>) -> Result<(CellHandle, RecoveryReport), StartError> + Send + 'static,
{
    let handle = runtime.clone();
    // On the given runtime from the first step: actors are spawned where the node lives.
    let starting = runtime.spawn(async move {
        let NodeConfig { name, mut cell, live, tenants, push, policy_texts, events, webhooks, traces } = config;
        cell.tenants = tenants.iter().map(|tenant| TenantSeed { id: tenant.id, limits: tenant.limits }).collect();
        let gauges = cell.gauges.clone();
        let live = Live::new(live, &gauges);
        for (key, channel) in push {
            live.register_push(key, channel);
        }
        let sink = Box::new(live.sink());
        let traces = match traces {
            Some(config) => {
                let accounts =
                    tenants.iter().flat_map(|tenant| tenant.accounts.iter().map(|(id, p)| ((tenant.id, *id), p.name.clone())));
                let (traces, tap) = Traces::new(config, accounts.collect(), &gauges)?;
                cell.passages = Some(tap);
                Some(traces)
            }
            None => None,
        };
        let started = handle.spawn_blocking(move || {
            let events = events.map(|config| Events::open(config, &cell.gauges)).transpose()?;
            cell.events = events.clone().map(|events| Arc::new(events) as Arc<dyn EntryTap>);
            match start_cell(cell, sink) {
                Ok((cell, recovery)) => Ok((cell, recovery, events)),
                Err(error) => {
                    if let Some(events) = events {
                        events.close();
                    }
                    Err(NodeError::from(error))
                }
            }
        });
        let (cell, recovery, events) = started.await.map_err(|_| NodeError::Runtime)??;
        live.start(cell.clone()).await?;
        let reads = Arc::new(tokio::sync::Semaphore::new(READS_MAX));
        let gauge = Arc::downgrade(&reads);
        gauges.register("transcript_reads", READS_MAX as u64, move || {
            gauge.upgrade().map(|reads| (READS_MAX - reads.available_permits().min(READS_MAX)) as u64)
        });
        let streams = Arc::new(tokio::sync::Semaphore::new(EVENT_STREAMS_MAX));
        let gauge = Arc::downgrade(&streams);
        gauges.register("event_streams", EVENT_STREAMS_MAX as u64, move || {
            gauge.upgrade().map(|places| (EVENT_STREAMS_MAX - places.available_permits().min(EVENT_STREAMS_MAX)) as u64)
        });
        let inner = Inner {
            name,
            cell,
            live,
            gauges,
            runtime: handle,
            reads,
            texts: PolicyTexts::new(policy_texts),
            catalogues: catalogue::Catalogues::default(),
            files: std::sync::OnceLock::new(),
            events,
            streams,
            webhooks: OnceLock::new(),
            traces,
            draining: AtomicBool::new(false),
            started: Instant::now(),
            recovery,
        };
        let node = NodeHandle { inner: Arc::new(inner) };
        node.count_contacts();
        for tenant in tenants {
            if let Err(error) = bootstrap::bootstrap(&node, tenant).await {
                // A node that does not serve all it was told to serve is not half started.
                let _ended = node.drain().await;
                return Err(error.into());
            }
        }
        if let Some(traces) = &node.inner.traces {
            traces.start(node.downgrade());
        }
        if let Some(config) = webhooks.filter(|_| node.events().is_some()) {
            match Webhooks::start(config, node.downgrade(), node.inner.runtime.clone()) {
                // Nobody else has this node yet.
                Ok(webhooks) => drop(node.inner.webhooks.set(webhooks)),
                Err(error) => {
                    let _ended = node.drain().await;
                    return Err(error.into());
                }
            }
        }
        Ok(node)
    });
    starting.await.map_err(|_| NodeError::Runtime)?
}

impl NodeHandle {
    /// The node's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The cell.
    pub fn cell(&self) -> &CellHandle {
        &self.inner.cell
    }

    /// The live halves.
    pub fn live(&self) -> &Live {
        &self.inner.live
    }

    /// The node's webhooks, if it has them.
    pub fn webhooks(&self) -> Option<&Webhooks> {
        self.inner.webhooks.get()
    }

    /// The node's traces, if it sends any.
    pub fn traces(&self) -> Option<&Traces> {
        self.inner.traces.as_ref()
    }

    /// A view of the node that does not keep it alive.
    pub(crate) fn downgrade(&self) -> WeakNode {
        WeakNode(Arc::downgrade(&self.inner))
    }

    /// Every queue of the node.
    pub fn gauges(&self) -> &Gauges {
        &self.inner.gauges
    }

    /// What the start found in the log.
    pub fn recovery(&self) -> &RecoveryReport {
        &self.inner.recovery
    }

    /// Makes the counts of files part of the node's metrics; once.
    pub(crate) fn count_files(&self, counts: &Arc<crate::blobs::FileCounts>) {
        let _already = self.inner.files.set(Arc::downgrade(counts));
    }

    /// Counts of files, when the node keeps any.
    pub fn file_counts(&self) -> Option<Arc<crate::blobs::FileCounts>> {
        self.inner.files.get()?.upgrade()
    }

    /// How long the node has been up.
    pub fn uptime(&self) -> Duration {
        self.inner.started.elapsed()
    }

    /// Whether a tenant lives here.
    pub fn has_tenant(&self, tenant: TenantId) -> bool {
        self.inner.cell.status().tenants.binary_search(&tenant).is_ok()
    }

    /// Whether the node takes inputs from everybody: not draining, log writable.
    pub fn is_ready(&self) -> bool {
        !self.is_draining() && matches!(self.inner.cell.intake(), Intake::Open | Intake::NoNewContacts)
    }

    /// Whether a drain has begun.
    pub fn is_draining(&self) -> bool {
        self.inner.draining.load(Ordering::Acquire)
    }

    /// Submits any input; resolves once it is durable and decided.
    pub fn submit(&self, tenant: TenantId, input: &Input<'_>) -> BoxFuture<Result<Outcome, PortError>> {
        Box::pin(self.inner.cell.submit(tenant, input))
    }

    /// Runs `f` on a tenant's machine between two batches.
    pub fn query<R: Send + 'static>(
        &self,
        tenant: TenantId,
        f: impl FnOnce(&Tenant) -> R + Send + 'static,
    ) -> impl Future<Output = Result<R, PortError>> + Send + 'static {
        self.inner.cell.query(tenant, f)
    }

    /// Notes that a drain has begun: readiness goes down at once, so that balancers turn away before the intake closes.
    pub fn begin_drain(&self) -> bool {
        if let Some(events) = &self.inner.events {
            events.end_streams();
        }
        !self.inner.draining.swap(true, Ordering::AcqRel)
    }

    /// Drains the node: no new attempts at providers, results of those under way are logged, the intake closes, everything
    /// taken is decided and answered, a snapshot is written, actors end.
    ///
    /// # Errors
    /// As [`CellHandle::drain`].
    pub async fn drain(&self) -> Result<Drained, DrainError> {
        self.begin_drain();
        self.inner.live.stop_attempts();
        if let Some(webhooks) = self.inner.webhooks.get() {
            webhooks.stop().await;
        }
        let grace = Instant::now() + OUTBOX_GRACE;
        while !self.inner.live.is_quiet() && Instant::now() < grace {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let cell = self.inner.cell.clone();
        let events = self.inner.events.clone();
        let drained = self.inner.runtime.spawn_blocking(move || {
            let drained = cell.drain();
            // Behind the last snapshot, which asks them to be durable.
            if let Some(events) = events {
                events.close();
            }
            drained
        });
        let drained = drained.await;
        if let Some(traces) = &self.inner.traces {
            // Behind the last output of the cell.
            traces.stop().await;
        }
        self.inner.live.stop().await;
        drained.unwrap_or_else(|_| Err(DrainError::Broken("the draining thread ended".to_owned())))
    }
}
