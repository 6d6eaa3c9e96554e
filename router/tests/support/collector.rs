//! A receiver of OTLP over HTTP that reads what it is sent with the protocol's own types, and can be told to misbehave.
//!
//! It stands on a real socket. Drive it: [`Collector::start`], [`Collector::behave`], then [`Collector::until`] or
//! [`Collector::spans`].

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// What it does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behave {
    /// Takes them.
    Take,
    /// Answers with a status and takes nothing.
    Refuse(u16),
    /// Takes them, and does not answer until it is told to behave otherwise.
    Hold,
}

/// A span as a reader sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub name: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub from: u64,
    pub to: u64,
    pub kind: i32,
    pub attributes: BTreeMap<String, String>,
    pub links: Vec<(String, String)>,
    pub service: String,
}

/// The receiver. It ends with the runtime.
#[derive(Clone)]
pub struct Collector {
    inner: Arc<Inner>,
}

struct Inner {
    address: String,
    behave: watch::Sender<Behave>,
    got: Mutex<Got>,
    news: Notify,
}

#[derive(Default)]
struct Got {
    spans: Vec<Seen>,
    requests: usize,
    headers: Vec<HeaderMap>,
    bodies: Vec<Bytes>,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let inner = Inner { address, behave: watch::Sender::new(Behave::Take), got: Mutex::default(), news: Notify::new() };
        let collector = Self { inner: Arc::new(inner) };
        let routes = axum::Router::new().route("/v1/traces", axum::routing::post(take)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        collector
    }

    /// Its base, for a configuration.
    pub fn endpoint(&self) -> String {
        self.inner.address.clone()
    }

    /// Behaves so from now on; what is held is let go when it is no longer told to hold.
    pub fn behave(&self, behave: Behave) {
        self.inner.behave.send_replace(behave);
    }

    fn got(&self) -> MutexGuard<'_, Got> {
        self.inner.got.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything taken so far.
    pub fn spans(&self) -> Vec<Seen> {
        self.got().spans.clone()
    }

    /// Requests so far, refused ones included.
    pub fn requests(&self) -> usize {
        self.got().requests
    }

    /// Headers of all requests.
    pub fn headers(&self) -> Vec<HeaderMap> {
        self.got().headers.clone()
    }

    /// Whether any request held these bytes, as they are on the wire.
    pub fn heard(&self, word: &str) -> bool {
        self.got().bodies.iter().any(|body| body.windows(word.len()).any(|window| window == word.as_bytes()))
    }

    /// Waits until what was taken satisfies `found`.
    pub async fn until<R>(&self, mut found: impl FnMut(&[Seen]) -> Option<R>) -> R {
        let waiting = async {
            loop {
                let news = self.inner.news.notified();
                let hit = found(&self.got().spans);
                if let Some(hit) = hit {
                    return hit;
                }
                news.await;
            }
        };
        match tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await {
            Ok(hit) => hit,
            Err(_) => panic!("the spans did not come; so far: {:#?}", self.spans()),
        }
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> Response {
    let mut behave = collector.inner.behave.subscribe();
    let now = *behave.borrow_and_update();
    {
        let mut got = collector.got();
        got.requests += 1;
        got.headers.push(headers);
        if !matches!(now, Behave::Refuse(_)) {
            let request = ExportTraceServiceRequest::decode(body.clone()).expect("OTLP");
            got.spans.extend(seen(&request));
        }
        got.bodies.push(body);
    }
    collector.inner.news.notify_waiters();
    if now == Behave::Hold {
        let _ended = behave.wait_for(|behave| *behave != Behave::Hold).await;
    }
    match now {
        Behave::Refuse(status) => StatusCode::from_u16(status).expect("a status").into_response(),
        _ => ([("content-type", "application/x-protobuf")], ExportTraceServiceResponse::default().encode_to_vec()).into_response(),
    }
}

fn seen(request: &ExportTraceServiceRequest) -> Vec<Seen> {
    let mut all = Vec::new();
    for resource in &request.resource_spans {
        let of = resource.resource.as_ref().map(|r| r.attributes.as_slice()).unwrap_or_default();
        let service = of.iter().find(|kv| kv.key == "service.name").map(|kv| text(&kv.value)).unwrap_or_default();
        for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            all.push(one(span, &service));
        }
    }
    all
}

fn one(span: &Span, service: &str) -> Seen {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Seen {
        name: span.name.clone(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        from: span.start_time_unix_nano,
        to: span.end_time_unix_nano,
        kind: span.kind,
        attributes: span.attributes.iter().map(|kv| (kv.key.clone(), text(&kv.value))).collect(),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        service: service.to_owned(),
    }
}

fn text(value: &Option<opentelemetry_proto::tonic::common::v1::AnyValue>) -> String {
    match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(is)) => is.to_string(),
        other => format!("{other:?}"),
    }
}
