//! From the queue of spans to the collector, a batch at a time, by OpenTelemetry's own OTLP exporter.
//!
//! One batch is under way at a time; attempts, pauses between them and their end are the exporter's (429, 502, 503 and 504
//! are tried again, a Retry-After is heeded). Under it stands the router's HTTP client: hyper, rustls with ring, the system's
//! certificates, no proxy, no redirect, a bounded answer. What the collector does not take is dropped and counted; the
//! operator hears of it once when it begins and once when it ends. It refuses to know contacts.

use super::config::{TracesConfig, TracesError};
use super::status::Counters;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::CONTENT_TYPE;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;

/// Spans of one request at most.
pub const BATCH_SPANS_MAX: usize = 512;
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// The exporter towards the collector of a configuration.
///
/// # Errors
/// [`TracesError`]: certificates of the system, or a variable of the environment that the exporter cannot read.
pub(super) fn exporter(config: &TracesConfig) -> Result<SpanExporter, TracesError> {
    let url = config.url().ok_or(TracesError::Config { field: "endpoint", what: "is no URL".to_owned() })?;
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Http::new(config.patience)?)
        .with_endpoint(url)
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(config.patience)
        .with_headers(config.headers.clone().into_map())
        .build()
        .map_err(TracesError::Exporter)?;
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    exporter
        .set_resource(&Resource::builder_empty().with_service_name(config.service_name.clone()).with_attribute(version).build());
    Ok(exporter)
}

/// The task: until the queue is closed and empty.
pub(super) async fn run(exporter: SpanExporter, mut queue: mpsc::Receiver<SpanData>, counters: Arc<Counters>, company: Duration) {
    loop {
        let mut batch = Vec::with_capacity(BATCH_SPANS_MAX);
        let Some(first) = queue.recv().await else { return };
        batch.push(first);
        let until = tokio::time::Instant::now() + company;
        let mut is_open = true;
        while is_open && batch.len() < BATCH_SPANS_MAX {
            let left = BATCH_SPANS_MAX - batch.len();
            match tokio::time::timeout_at(until, queue.recv_many(&mut batch, left)).await {
                Ok(0) => is_open = false,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        let spans = batch.len() as u64;
        match exporter.export(batch).await {
            Ok(()) => {
                counters.exported.fetch_add(spans, Ordering::Relaxed);
                if counters.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::warn!("the collector takes traces again");
                }
            }
            Err(error) => {
                counters.dropped_refused.fetch_add(spans, Ordering::Relaxed);
                if !counters.is_failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, spans, "the collector does not take traces; they are dropped until it does");
                }
            }
        }
    }
}

/// The way to the collector.
struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    patience: Duration,
}

/// Why the collector was not heard.
#[derive(Debug, thiserror::Error)]
enum Unheard {
    #[error("no answer in time")]
    Late,
    #[error("an answer that is too long or broken off")]
    Answer,
}

impl Http {
    fn new(patience: Duration) -> Result<Self, TracesError> {
        let provider = rustls::crypto::ring::default_provider();
        let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider);
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(patience));
        let connector = builder.map_err(TracesError::Certificates)?.https_or_http().enable_http1().wrap_connector(http);
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).pool_timer(TokioTimer::new()).build(connector);
        Ok(Self { client, patience })
    }

    async fn exchange(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        for (name, value) in request.headers_mut() {
            value.set_sensitive(name != CONTENT_TYPE);
        }
        let exchange = async {
            let (head, body) = self.client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|_| Unheard::Answer)?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        tokio::time::timeout(self.patience, exchange).await.unwrap_or_else(|_| Err(Unheard::Late.into()))
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl HttpClient for Http {
    // What `async_trait` would write.
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.exchange(request))
    }
}
