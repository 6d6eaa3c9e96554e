//! The event stream from outside: CloudEvents in order, resumed where it broke, bounded, and every bad question refused.
//!
//! Source: issue G ("event stream (SSE with ids and resume)"), CloudEvents 1.0.2 and its JSON schema. The oracle of what the
//! events must be is a replay of the log (`support/oracle.rs`).

use crate::oracle::{derived, kept};
use crate::support::*;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tidegate_journal::RealDisk;
use tidegate_router::auth::{AdminGrant, Admins, Role};
use tidegate_router::cell::Retain;
use tidegate_router::events::{EventNo, EventsConfig, KINDS};
use tidegate_router::http::Api;
use tidegate_router::node::{EVENT_STREAMS_MAX, Node, NodeConfig, NodeHandle};
use tower::ServiceExt as _;

const VIEWER: &str = "viewer-0123456789abcdef0123456789abcdef";

fn with_events(directory: &std::path::Path) -> NodeConfig {
    let mut config = config(vec![tenant(1, 3, 2), tenant(2, 1, 1)]);
    config.cell.retain = Retain::All;
    config.events = Some(EventsConfig { company: Duration::ZERO, ..EventsConfig::new(directory.join("events")) });
    config
}

async fn start(directory: &std::path::Path) -> (NodeHandle, axum::Router) {
    let disk = RealDisk::open(directory).expect("the directory");
    let runtime = tokio::runtime::Handle::current();
    let node = Node::start(with_events(directory), disk, &runtime).await.expect("the node starts");
    let mut admins = Admins::new([9; 32]);
    admins.add(VIEWER, AdminGrant::of_node("vic", Role::Viewer)).expect("added");
    let router = tidegate_router::http::router(Api::new(node.clone(), admins, Arc::default()));
    (node, router)
}

/// One message of a stream.
#[derive(Debug, Default, Clone, PartialEq)]
struct Message {
    id: String,
    event: String,
    data: Value,
}

/// A stream being read.
struct Reader {
    body: Body,
    text: String,
}

async fn ask(router: &axum::Router, path: &str, last: Option<&str>) -> axum::response::Response {
    let mut request = Request::builder().method(Method::GET).uri(path).header("authorization", format!("Bearer {VIEWER}"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    router.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("infallible")
}

async fn stream(router: &axum::Router, path: &str, last: Option<&str>) -> Reader {
    let response = ask(router, path, last).await;
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    Reader { body: response.into_body(), text: String::new() }
}

impl Reader {
    /// The next message; none at the end.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some((head, rest)) = self.text.split_once("\n\n") {
                let mut message = Message::default();
                for line in head.lines() {
                    match line.split_once(": ").or_else(|| line.split_once(':')) {
                        Some(("id", id)) => message.id = id.to_owned(),
                        Some(("event", event)) => message.event = event.to_owned(),
                        Some(("data", data)) => message.data = serde_json::from_str(data).expect("JSON"),
                        _ => {}
                    }
                }
                self.text = rest.to_owned();
                return Some(message);
            }
            let frame = within("the next message of the stream", self.body.frame()).await?;
            let bytes = frame.expect("no error in the stream").into_data().expect("data");
            self.text.push_str(std::str::from_utf8(&bytes).expect("UTF-8"));
        }
    }

    async fn take(&mut self, count: usize) -> Vec<Message> {
        let mut messages = Vec::new();
        while messages.len() < count {
            messages.push(self.next().await.expect("the stream goes on"));
        }
        messages
    }
}

async fn slug(response: axum::response::Response) -> (u16, String, Value) {
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    let json: Value = serde_json::from_slice(&bytes).expect("JSON");
    let kind = json["type"].as_str().unwrap_or_default();
    (status, kind.strip_prefix("/problems/").unwrap_or(kind).to_owned(), json)
}

/// Some traffic of every common kind: three conversations, one served to the end, one left, a pause.
async fn traffic(node: &NodeHandle) {
    let desk = Desk::open(node, TENANT, 1);
    desk.sign_in().await;
    let ada = Customer::new(node, TENANT, WEB, 0xada);
    ada.begin().await;
    ada.says("hello").await;
    let (offer, _) = within("an offer", desk.offer()).await;
    desk.accept(offer).await;
    let (claim, _) = within("a claim", desk.claim(offer)).await;
    desk.act(tidegate_model::input::SeatAct::Send { claim, body: b"good day" }).await.expect("sent");
    desk.finish(claim).await;
    let bob = Customer::new(node, TENANT, WEB, 0xb0b);
    bob.begin().await;
    bob.act(fresh(), tidegate_model::input::InboundAct::Leave).await.expect("taken");
    let reason = tidegate_model::name::ReasonName::of("tea");
    desk.act(tidegate_model::input::SeatAct::Pause { reason }).await.expect("taken");
    Customer::new(node, TENANT, WEB, 0xc1e0).begin().await;
}

/// The CloudEvents JSON schema's rules: required attributes, non-empty text, names of attributes.
fn check_cloud_event(event: &Value) {
    let object = event.as_object().expect("an object");
    for required in ["specversion", "id", "source", "type"] {
        assert!(object[required].as_str().is_some_and(|text| !text.is_empty()), "{required}: {event}");
    }
    assert_eq!(event["specversion"], "1.0");
    for (name, value) in object {
        assert!((1..=20).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{name}");
        if name != "data" {
            assert!(value.as_str().is_some_and(|text| !text.is_empty()), "{name} of {event}");
        }
    }
    let kind = event["type"].as_str().and_then(|kind| kind.strip_prefix("tidegate.")?.strip_suffix(".v1")).expect("a type");
    assert!(KINDS.contains(&kind), "{kind}");
    let time = event["time"].as_str().expect("a time");
    assert!(time.len() == 24 && time.as_bytes()[10] == b'T' && time.ends_with('Z'), "{time}");
    assert_eq!(event["datacontenttype"], "application/json");
    assert!(event["data"].is_object());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_is_what_the_log_says_and_resumes_where_it_broke() {
    let directory = tempfile::tempdir().expect("a directory");
    let (node, router) = start(directory.path()).await;
    traffic(&node).await;
    within("a drain", node.drain()).await.expect("clean");
    drop((node, router));
    let wanted = derived(RealDisk::open(directory.path()).expect("the log"), TENANT);
    let (node, router) = start(directory.path()).await;
    let mut all = stream(&router, "/v1/tenants/1/events?after=0", None).await;
    let messages = all.take(wanted.len()).await;
    for (message, event) in messages.iter().zip(&wanted) {
        assert_eq!(message.id, event.no.to_string());
        assert_eq!((&message.data["id"], &message.event), (&Value::from(message.id.clone()), &KINDS[event.fact.kind()].to_owned()));
        check_cloud_event(&message.data);
    }
    let sequences: Vec<&str> = messages.iter().map(|m| m.data["sequence"].as_str().unwrap_or_default()).collect();
    assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]), "{sequences:?}");
    let kinds: std::collections::BTreeSet<&str> = messages.iter().map(|message| message.event.as_str()).collect();
    for kind in KINDS.iter().filter(|kind| {
        !["contact.poisoned", "decision.made", "webhook.ping", "contact.transferred", "conversation.closed"].contains(*kind)
    }) {
        assert!(kinds.contains(kind), "no {kind} in {kinds:?}");
    }
    assert!(messages.iter().all(|message| message.data["data"]["text"].is_null()), "a body stands in the stream");
    let ended = messages.iter().find(|message| message.event == "contact.ended").expect("an end");
    assert_eq!((&ended.data["data"]["exit"], &ended.data["data"]["queue"]), (&Value::from("served"), &Value::from("sales")));
    // Broken after any message and resumed: the rest, no more and no less.
    for cut in [0, 1, messages.len() / 2, messages.len() - 1] {
        let mut rest = stream(&router, "/v1/tenants/1/events", Some(&messages[cut].id)).await;
        assert_eq!(rest.take(messages.len() - cut - 1).await, messages[cut + 1..], "behind {cut}");
    }
    // Filters, and what comes while the stream is open.
    let mut ended = stream(&router, "/v1/tenants/1/events?types=contact.ended,message.*&after=0&conversation=ada", None).await;
    let expected: Vec<_> = messages
        .iter()
        .filter(|m| (m.event == "contact.ended" || m.event.starts_with("message.")) && m.data["subject"] == "conversations/ada")
        .cloned()
        .collect();
    assert!(expected.len() == 3);
    assert_eq!(ended.take(3).await, expected);
    Customer::new(&node, TENANT, WEB, 0xada).says("again").await;
    assert_eq!(ended.next().await.expect("live").event, "message.from_customer");
    // Another tenant hears nothing of it, and a drain ends every stream.
    let mut other = stream(&router, "/v1/tenants/2/events?types=message.*&after=0", None).await;
    let drain = tokio::spawn(async move { node.drain().await.map(drop) });
    assert_eq!(other.next().await.expect("the end").event, "close");
    assert_eq!(other.next().await, None);
    within("a drain", drain).await.expect("joined").expect("clean");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_that_are_gone_ahead_or_no_places_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let (node, router) = start(directory.path()).await;
    traffic(&node).await;
    for (query, field) in [
        ("after=x", "after"),
        ("after=1-2-3", "after"),
        ("after=-1", "after"),
        ("types=nothing", "types"),
        ("types=contact.ended,", ""),
        ("conversation=0", "conversation"),
        ("conversation=xyz", "conversation"),
        ("after=99999999-1", "after"),
        ("after=1-1&after=1-2", "after"),
    ] {
        let response = ask(&router, &format!("/v1/tenants/1/events?{query}"), None).await;
        if field.is_empty() {
            assert_eq!(response.status(), StatusCode::OK, "{query}");
            continue;
        }
        let (status, kind, json) = slug(response).await;
        assert_eq!((status, kind.as_str(), json["field"].as_str()), (400, "bad-parameter", Some(field)), "{query}");
    }
    let (status, kind, _) = slug(ask(&router, "/v1/tenants/1/events", Some("nonsense")).await).await;
    assert_eq!((status, kind.as_str()), (400, "bad-parameter"));
    assert_eq!(slug(ask(&router, "/v1/tenants/9/events", None).await).await.0, 404);
    assert_eq!(slug(ask(&router, "/v1/tenants/1/events?colour=red", None).await).await.1, "unknown-parameter");
    within("a drain", node.drain()).await.expect("clean");
    drop((node, router));
    // The events are lost and the log goes on: what was before the restart is gone, and says so.
    std::fs::remove_dir_all(directory.path().join("events")).expect("removed");
    let (node, router) = start(directory.path()).await;
    let floor = node.events().expect("events").floor();
    assert!(floor > EventNo::START);
    let (status, kind, json) = slug(ask(&router, "/v1/tenants/1/events?after=1-1", None).await).await;
    assert_eq!((status, kind.as_str(), json["oldest"].as_str()), (410, "events-gone", Some(floor.to_string().as_str())));
    // A client that resumes by itself is told in the stream, and goes on.
    let mut resumed = stream(&router, "/v1/tenants/1/events", Some("1-1")).await;
    let gap = resumed.next().await.expect("the gap");
    assert_eq!((gap.event.as_str(), gap.data["oldest"].as_str()), ("gap", Some(floor.to_string().as_str())));
    Customer::new(&node, TENANT, WEB, 0xdad).begin().await;
    let next = resumed.next().await.expect("what follows");
    assert!(next.id.parse::<EventNo>().expect("an id") > floor, "{next:?}");
    let (found, gaps) = kept(node.events().expect("events"), TENANT, floor);
    assert!(!found.is_empty() && gaps.is_empty());
    within("a drain", node.drain()).await.expect("clean");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_have_a_limit_and_give_their_places_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let (node, router) = start(directory.path()).await;
    let mut open = Vec::new();
    for _ in 0..EVENT_STREAMS_MAX {
        open.push(stream(&router, "/v1/tenants/1/events", None).await);
    }
    for _ in 0..EVENT_STREAMS_MAX * 9 + 1 {
        let (status, kind, _) = slug(ask(&router, "/v1/tenants/1/events", None).await).await;
        assert_eq!((status, kind.as_str()), (503, "busy"));
    }
    let gauge =
        |node: &NodeHandle| node.gauges().read().into_iter().find(|r| r.name == "event_streams").map(|r| (r.length, r.limit));
    assert_eq!(gauge(&node), Some((EVENT_STREAMS_MAX as u64, EVENT_STREAMS_MAX as u64)));
    open.pop();
    drop(stream(&router, "/v1/tenants/1/events", None).await);
    open.clear();
    assert_eq!(gauge(&node), Some((0, EVENT_STREAMS_MAX as u64)));
    within("a drain", node.drain()).await.expect("clean");
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_sends_its_place_every_fifteen_seconds() {
    let directory = tempfile::tempdir().expect("a directory");
    let (node, router) = start(directory.path()).await;
    let newest = node.events().expect("events").newest();
    let mut silent = stream(&router, "/v1/tenants/1/events?types=contact.poisoned", None).await;
    let before = tokio::time::Instant::now();
    let beat = silent.next().await.expect("a beat");
    assert!(beat.event.is_empty() && beat.data.is_null(), "{beat:?}");
    assert!(beat.id.parse::<EventNo>().expect("a place") >= newest);
    assert_eq!(before.elapsed().as_secs(), 15);
    node.events().expect("events").end_streams();
    assert_eq!(silent.next().await.expect("the end").event, "close");
    node.drain().await.expect("clean");
}
