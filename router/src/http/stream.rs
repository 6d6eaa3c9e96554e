//! The event stream: server-sent events with ids, resumed by `Last-Event-ID`.
//!
//! `GET /v1/tenants/{t}/events?types=contact.*,message.from_customer&conversation={hex}&after={id}`. Without a place it begins
//! now; `after=0` is the oldest kept. Each message's `id` is the event's, its `event` the kind, its `data` the CloudEvent.
//! A stream that has nothing to say sends, every 15 s, an `id` without data: a client that comes back resumes there. What
//! retention took from a reader is told as an event `gap` (`from`, `oldest`); an `after` that is gone at the start is 410,
//! which a browser that resumes by itself is spared. At most one page is held for a reader, however slow.
//! It refuses to know how events are kept. Bodies of messages never stand here.

use super::Api;
use super::gate::Query;
use super::problem::Problem;
use crate::auth::Permission;
use crate::events::{Body, Cursor, Event, EventNo, Fact, Filter, Gap, KINDS, Names, cloud_event};
use crate::node::NodeHandle;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::sse::{self, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tidegate_model::ids::{ConversationId, Seq, TenantId};
use tidegate_model::time::Millis;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

/// How long a stream is silent at most.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long clients are asked to stay away when the node goes down, and when no stream is free.
const RETRY: Millis = Millis(1_000);

/// GET the stream.
pub(super) async fn read(
    State(api): State<Api>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (_, tenant) = api.allow_at(&headers, Permission::ReadFloor, &tenant)?;
    let query = Query::read(query.as_deref(), &["types", "conversation", "after"])?;
    let types = query.value("types").unwrap_or_default();
    let filter = Filter::of(types.split(',').filter(|name| !name.is_empty()))
        .map_err(|error| Problem::parameter("types", error.to_string()))?;
    let conversation = query.value("conversation").map(conversation).transpose()?;
    let resumed = headers.get("last-event-id").map(|value| place("Last-Event-ID", value.to_str().unwrap_or_default()));
    let asked = query.value("after").map(|text| place("after", text)).transpose()?;
    let node = api.node().clone();
    let Some(events) = node.events() else {
        return Err(Problem::not_found("no-events", "this node keeps no events: configure [events]"));
    };
    // A client that resumes by itself sends both: what it has seen last is the truth.
    let resumed = resumed.transpose()?;
    let (newest, floor) = (events.newest(), events.floor());
    let after = resumed.or(asked).unwrap_or(newest);
    if after > newest {
        let detail = format!("the newest event here is {newest}; {after} is of another node or of another log");
        return Err(Problem::parameter(if resumed.is_some() { "Last-Event-ID" } else { "after" }, detail));
    }
    if resumed.is_none() && asked.is_some_and(|asked| asked != EventNo::START && asked < floor) {
        return Err(Problem::of("events-gone", format!("begin again from a reading of the state, and read on with after={floor}"))
            .with("oldest", json!(floor.to_string())));
    }
    let Some(permit) = node.stream_place() else {
        return Err(Problem::of_port(&tidegate_model::port::PortError::Busy { retry_after: RETRY }));
    };
    // Whoever asks for the oldest has no place to have lost anything from.
    let after = if after == EventNo::START { floor } else { after };
    let mut names = Names::default();
    node.learn_names(tenant, &mut names).await;
    let news = events.watch();
    let stream = Stream {
        tenant,
        filter,
        conversation,
        cursor: Cursor::after(after),
        names,
        news,
        ready: VecDeque::new(),
        beat: Instant::now() + HEARTBEAT,
        is_over: false,
        node,
        _permit: permit,
    };
    let body = futures_util::stream::unfold(stream, |mut stream| async move {
        let next = stream.next().await?;
        Some((Ok::<_, Infallible>(next), stream))
    });
    Ok(Sse::new(body).into_response())
}

fn place(name: &str, text: &str) -> Result<EventNo, Problem> {
    text.parse().map_err(|error: crate::events::EventNoError| Problem::parameter(name, error.to_string()))
}

fn conversation(text: &str) -> Result<ConversationId, Problem> {
    let is_hex = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let id = is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten().filter(|id| *id != 0);
    id.map(ConversationId).ok_or_else(|| Problem::parameter("conversation", "expected an id of 1 to 32 hexadecimal digits, not 0"))
}

/// One reader.
struct Stream {
    node: NodeHandle,
    tenant: TenantId,
    filter: Filter,
    conversation: Option<ConversationId>,
    cursor: Cursor,
    names: Names,
    news: watch::Receiver<Seq>,
    /// Of one page; the next is read when it is empty.
    ready: VecDeque<sse::Event>,
    beat: Instant,
    is_over: bool,
    _permit: OwnedSemaphorePermit,
}

impl Stream {
    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.beat = Instant::now() + HEARTBEAT;
                return Some(event);
            }
            if self.is_over {
                return None;
            }
            // Seen before the read, so that what comes during it wakes us.
            self.news.mark_unchanged();
            if self.node.events().is_none_or(crate::events::Events::is_closed) {
                self.end("close", json!({ "retry_after_ms": RETRY.0 }));
                continue;
            }
            match self.node.event_page(self.cursor, self.tenant).await {
                Ok((cursor, page)) => {
                    self.cursor = cursor;
                    for event in &page.events {
                        self.take(event).await;
                    }
                    if let Some(gap) = page.gap {
                        self.ready.push_back(gap_event(gap));
                    }
                    if page.more || !self.ready.is_empty() {
                        continue;
                    }
                }
                Err(error) => {
                    tracing::error!(tenant = self.tenant.0, error = crate::cell::chain(&error), "events cannot be read");
                    self.end("error", Problem::internal("the event journal cannot be read; see the node's log").body());
                    continue;
                }
            }
            tokio::select! {
                // The sender lives as long as the node's handle, which we hold.
                _changed = self.news.changed() => {}
                () = tokio::time::sleep_until(self.beat) => {
                    self.ready.push_back(sse::Event::default().id(self.cursor.position().to_string()).comment("here"));
                }
            }
        }
    }

    async fn take(&mut self, event: &Event) {
        if matches!(event.fact, Fact::PolicyActivated { .. }) {
            self.node.learn_names(self.tenant, &mut self.names).await;
        }
        let here = self.conversation.is_none_or(|only| event.fact.conversation() == Some(only));
        if !here || !self.filter.wants(&event.fact) {
            return;
        }
        let data = cloud_event(event, &self.names, &Body::Withheld).to_string();
        self.ready.push_back(sse::Event::default().id(event.no.to_string()).event(KINDS[event.fact.kind()]).data(data));
    }

    fn end(&mut self, name: &str, data: serde_json::Value) {
        self.is_over = true;
        self.ready.push_back(sse::Event::default().event(name).data(data.to_string()));
    }
}

fn gap_event(gap: Gap) -> sse::Event {
    let data = json!({ "from": gap.from.to_string(), "oldest": gap.oldest.to_string() });
    sse::Event::default().id(gap.oldest.to_string()).event("gap").data(data.to_string())
}
