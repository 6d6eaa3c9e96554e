//! Traces: each sampled contact's way from its first event to the acceptance, as OpenTelemetry spans, sent by OTLP.
//!
//! ```text
//! egress ─ Feed (bounded, never waits) ─ keeper (a task): Book ─ queue of spans (bounded) ─ exporter (a task) ─ collector
//! ```
//!
//! Off unless configured. Nothing here stands between an input and its effect: the egress copies facts behind effects and
//! answers, and both queues drop and count when they are full. A trace's number is a function of tenant and contact
//! ([`trace_id`]); spans hold ids, queues and outcomes, and never a body, a name or who the customer is. After a start, and
//! when facts were lost, the machines are asked for what is open. It refuses to decide, to be waited for, and to be durable:
//! spans that stood here when the process was killed are gone.
//!
//! Drive it: [`TracesConfig`] in `NodeConfig::traces`; [`Traces::status`] and the gauges `trace_batches`, `trace_spans`,
//! `trace_contacts`, `trace_links` tell how it stands.

mod book;
mod config;
mod export;
mod feed;
mod ids;
mod link;
mod status;

pub use book::CONTACTS_MAX;
pub use config::{
    ENDPOINT_BYTES_MAX, HEADER_BYTES_MAX, HEADERS_MAX, HeadersError, QUEUE_LIMITS, SERVICE_NAME_BYTES_MAX, SecretHeaders,
    TracesConfig, TracesError,
};
pub use export::BATCH_SPANS_MAX;
pub use feed::BATCHES_MAX;
pub use ids::trace_id;
pub use link::{LINKS_MAX, parent};
pub use status::TracesStatus;

use crate::cell::PassageTap;
use crate::gauge::Gauges;
use crate::node::WeakNode;
use book::{Anchor, Book, Words};
use feed::{Fact, Feed, What};
use link::Links;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::SpanData;
use status::Counters;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidegate_core::Tenant;
use tidegate_model::port::PortError;
use tidegate_model::{AccountId, EventId, TenantId};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// Conversation slots that one question to the machine looks at.
const SLOTS_A_QUESTION: u32 = 4_096;
/// Pause before a busy cell is asked again, at least.
const ASK_AGAIN: Duration = Duration::from_millis(5);
/// How long a drain waits for what stands in the queues.
const FLUSH: Duration = Duration::from_secs(5);

/// The traces of one node. Cheap to clone.
#[derive(Clone)]
pub struct Traces {
    inner: Arc<Inner>,
}

struct Inner {
    counters: Arc<Counters>,
    links: Mutex<Links>,
    idle: Mutex<Option<Idle>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    stop: Notify,
}

/// What waits for the start.
struct Idle {
    config: TracesConfig,
    exporter: SpanExporter,
    facts: mpsc::Receiver<Vec<Fact>>,
    spans: (mpsc::Sender<SpanData>, mpsc::Receiver<SpanData>),
    words: Words,
}

impl Traces {
    /// Traces by a configuration, and the tap for the cell's egress; nothing runs yet. `channels` are the names of accounts.
    ///
    /// # Errors
    /// [`TracesError`]. That a collector is not there is none.
    pub(crate) fn new(
        config: TracesConfig,
        channels: HashMap<(TenantId, AccountId), String>,
        gauges: &Gauges,
    ) -> Result<(Self, Arc<dyn PassageTap>), TracesError> {
        if let Some(wrong) = config.check().into_iter().next() {
            return Err(wrong);
        }
        let exporter = export::exporter(&config)?;
        let counters = Arc::<Counters>::default();
        let (sender, facts) = gauges.channel("trace_batches", BATCHES_MAX);
        let spans = gauges.channel("trace_spans", config.queue_limit);
        let feed = Feed { sender, counters: Arc::clone(&counters), pending: Mutex::default() };
        let words = Words { queues: HashMap::new(), channels };
        let inner = Arc::new(Inner {
            counters,
            links: Mutex::default(),
            idle: Mutex::new(Some(Idle { config, exporter, facts, spans, words })),
            tasks: Mutex::default(),
            stop: Notify::new(),
        });
        let weak = Arc::downgrade(&inner);
        gauges.register("trace_contacts", CONTACTS_MAX as u64, move || {
            weak.upgrade().map(|inner| inner.counters.followed.load(Ordering::Relaxed))
        });
        let weak = Arc::downgrade(&inner);
        gauges.register("trace_links", LINKS_MAX as u64, move || weak.upgrade().map(|inner| lock(&inner.links).len() as u64));
        Ok((Self { inner }, Arc::new(feed)))
    }

    /// Asks the machines for what is open, and follows contacts from then on, on the current runtime.
    pub(crate) fn start(&self, node: WeakNode) {
        let Some(Idle { config, exporter, facts, spans: (sender, receiver), words }) = lock(&self.inner.idle).take() else {
            return;
        };
        let keeper = Keeper {
            book: Book::new(config.sample_ratio, Anchor::now(), CONTACTS_MAX),
            words,
            node,
            inner: Arc::clone(&self.inner),
            spans: sender,
            made: Vec::new(),
        };
        let exporting = export::run(exporter, receiver, Arc::clone(&self.inner.counters), config.company);
        *lock(&self.inner.tasks) = vec![tokio::spawn(keeper.run(facts)), tokio::spawn(exporting)];
    }

    /// How they stand.
    #[must_use]
    pub fn status(&self) -> TracesStatus {
        self.inner.counters.read()
    }

    /// Keeps the `traceparent` of a request whose event may begin a contact: its trace then links to it. One that is none is
    /// passed over.
    pub fn link(&self, tenant: TenantId, event: EventId, header: &str) {
        if let Some(parent) = parent(header) {
            lock(&self.inner.links).keep((tenant, event), parent);
        }
    }

    /// Sends what stands here, for a few seconds at most; then nothing is followed any more.
    pub(crate) async fn stop(&self) {
        self.inner.stop.notify_one();
        let tasks = std::mem::take(&mut *lock(&self.inner.tasks));
        let until = tokio::time::Instant::now() + FLUSH;
        for mut task in tasks {
            if tokio::time::timeout_at(until, &mut task).await.is_err() {
                task.abort();
                let status = self.status();
                let left = status.made - status.exported - status.dropped_full - status.dropped_refused;
                tracing::warn!(spans = left, "the collector did not take the last traces in time");
            }
        }
    }
}

/// The task between the two queues.
struct Keeper {
    book: Book,
    words: Words,
    node: WeakNode,
    inner: Arc<Inner>,
    spans: mpsc::Sender<SpanData>,
    made: Vec<SpanData>,
}

impl Keeper {
    async fn run(mut self, mut facts: mpsc::Receiver<Vec<Fact>>) {
        let inner = Arc::clone(&self.inner);
        self.learn().await;
        loop {
            tokio::select! {
                biased;
                batch = facts.recv() => match batch {
                    Some(batch) => self.batch(&batch, &mut facts).await,
                    None => return,
                },
                // Only once what stands in the channel is done.
                () = inner.stop.notified() => return,
            }
        }
    }

    async fn batch(&mut self, batch: &[Fact], facts: &mut mpsc::Receiver<Vec<Fact>>) {
        if self.inner.counters.has_hole.swap(false, Ordering::AcqRel) {
            // What stands here has a hole somewhere: thrown away; the machines know what is open.
            while facts.try_recv().is_ok() {}
            self.book.forget();
            self.learn().await;
        } else {
            self.book.keep_time(Anchor::now());
            let mut is_new_policy = false;
            for fact in batch {
                is_new_policy |= matches!(fact.what, What::PolicyChanged);
                let links = &self.inner.links;
                self.book.take(fact, &self.words, |tenant, event| lock(links).of((tenant, event)), &mut self.made);
            }
            if is_new_policy {
                self.learn_words().await;
            }
        }
        let counters = &self.inner.counters;
        for span in self.made.drain(..) {
            counters.made.fetch_add(1, Ordering::Relaxed);
            if self.spans.try_send(span).is_err() {
                counters.dropped_full.fetch_add(1, Ordering::Relaxed);
            }
        }
        counters.followed.store(self.book.len() as u64, Ordering::Relaxed);
        counters.unfollowed.store(self.book.unfollowed, Ordering::Relaxed);
    }

    /// Words and open contacts of every tenant.
    async fn learn(&mut self) {
        self.learn_words().await;
        for tenant in self.tenants() {
            let mut from = Some(0);
            while let Some(slot) = from {
                let asked = self.ask(tenant, move |machine| machine.open_contacts(slot, SLOTS_A_QUESTION)).await;
                let Some((rows, next)) = asked else { break };
                for row in &rows {
                    self.book.resume(tenant, row);
                }
                from = next;
            }
        }
        self.inner.counters.followed.store(self.book.len() as u64, Ordering::Relaxed);
    }

    async fn learn_words(&mut self) {
        for tenant in self.tenants() {
            if let Some(Some(policy)) = self.ask(tenant, |machine| machine.policy().cloned()).await {
                self.words.queues.entry(tenant).or_default().learn(&policy);
            }
        }
    }

    fn tenants(&self) -> Vec<TenantId> {
        self.node.upgrade().map(|node| node.cell().status().tenants).unwrap_or_default()
    }

    async fn ask<R: Send + 'static>(
        &self,
        tenant: TenantId,
        question: impl Fn(&Tenant) -> R + Clone + Send + 'static,
    ) -> Option<R> {
        loop {
            // Taken anew each time, so that nobody here holds a node that has gone.
            let asked = self.node.upgrade()?.query(tenant, question.clone());
            match asked.await {
                Ok(answer) => return Some(answer),
                Err(PortError::Busy { retry_after }) => {
                    tokio::time::sleep(ASK_AGAIN.max(Duration::from_millis(retry_after.0))).await;
                }
                Err(_) => return None,
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
