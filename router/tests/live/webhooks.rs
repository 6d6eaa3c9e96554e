//! Webhooks against a real receiver that fails, hangs, answers late, breaks off, moves and is gone; and against kill -9.
//!
//! The receiver verifies each signature with the specification's own crate and keeps its own history, by which order and
//! completeness are judged; what must have come is derived from the log by a replay. Source: issue G ("each delivered in
//! order at least once, duplicates marked by id"). Default 2,000 events under kills, 100,000 with `TIDEGATE_NIGHTLY=1`.

use crate::oracle::{derived, kept};
use crate::support::*;
use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidegate_journal::RealDisk;
use tidegate_router::auth::{AdminGrant, Admins, Role};
use tidegate_router::cell::Retain;
use tidegate_router::events::{EventNo, EventsConfig};
use tidegate_router::http::Api;
use tidegate_router::node::{Node, NodeConfig, NodeHandle};
use tidegate_router::webhook::{HOOKS_PER_TENANT_MAX, Pace, URL_BYTES_MAX, WebhooksConfig};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tower::ServiceExt as _;

const ADMIN: &str = "admin-0123456789abcdef0123456789abcdef";
const OPERATOR: &str = "operator-0123456789abcdef0123456789abcdef";
const ATTEMPT: Duration = Duration::from_millis(250);

fn pace() -> Pace {
    Pace { base_ms: 10, cap_ms: 80, ..Pace::default() }
}

fn config_in(directory: &Path, pace: Pace) -> NodeConfig {
    let mut config = config(vec![tenant(1, 3, 2), tenant(2, 1, 1)]);
    config.cell.retain = Retain::All;
    config.cell.snapshot_entries = 500;
    config.events = Some(EventsConfig { company: Duration::from_millis(1), ..EventsConfig::new(directory.join("events")) });
    config.webhooks = Some(WebhooksConfig {
        allow_inside: true,
        attempt: ATTEMPT,
        pace,
        save_every: Duration::from_millis(20),
        ..WebhooksConfig::new(directory.join("webhooks"))
    });
    config
}

async fn start(directory: &Path, config: NodeConfig) -> (NodeHandle, axum::Router) {
    let disk = RealDisk::open(directory).expect("the directory");
    let node = Node::start(config, disk, &tokio::runtime::Handle::current()).await;
    let node = node.unwrap_or_else(|error| panic!("the node did not start: {}", chain(&error)));
    let mut admins = Admins::new([9; 32]);
    for (token, role) in [(ADMIN, Role::Admin), (OPERATOR, Role::Operator)] {
        admins.add(token, AdminGrant::of_node(role.word(), role)).expect("added");
    }
    let router = tidegate_router::http::router(Api::new(node.clone(), admins, Arc::default()));
    (node, router)
}

async fn call_as(router: &axum::Router, token: &str, method: Method, path: &str, key: Option<&str>, body: &Value) -> (u16, Value) {
    let path = format!("/v1/tenants/1/webhooks{path}");
    let mut request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request = request.header("content-type", "application/json").body(body).expect("a request");
    let response = within("an answer of the API", router.clone().oneshot(request)).await.expect("infallible");
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 22).await.expect("a body");
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

async fn call(router: &axum::Router, method: Method, path: &str, body: Value) -> (u16, Value) {
    call_as(router, ADMIN, method, path, None, &body).await
}

/// What a receiver does with a request that it has read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    /// 204.
    Well,
    /// By the dice: 500, hang, late, broken off, and well in half of the cases.
    Hostile,
    /// 500 to everything.
    Failing,
    /// 308 to elsewhere.
    Moved,
    /// 410.
    Gone,
}

/// What came, as the receiver wrote it down when it took it.
#[derive(Clone, Debug)]
struct Taken {
    webhook_id: String,
    body: Value,
}

/// A receiver of its own: a listener, a history, a mood.
#[derive(Clone)]
struct Receiver {
    inner: Arc<Inner>,
}

struct Inner {
    url: String,
    secrets: Mutex<Vec<String>>,
    mood: Mutex<Mood>,
    /// Events of this conversation are refused.
    refuses: Mutex<Option<String>>,
    taken: Mutex<Vec<Taken>>,
    seen: AtomicU64,
    faults: AtomicU64,
    bell: Notify,
    dice: Dice,
}

impl Receiver {
    async fn open(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let inner = Inner {
            url,
            secrets: Mutex::default(),
            mood: Mutex::new(Mood::Well),
            refuses: Mutex::default(),
            taken: Mutex::default(),
            seen: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            bell: Notify::new(),
            dice: Dice::seeded(seed),
        };
        let receiver = Self { inner: Arc::new(inner) };
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let receiver = serving.clone();
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| receiver.clone().answer(request));
                    let io = hyper_util::rt::TokioIo::new(socket);
                    // A connection that is broken off ends with an error: that is what was wanted.
                    let _broken = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                });
            }
        });
        receiver
    }

    fn mood(&self, mood: Mood) {
        *self.inner.mood.lock().unwrap() = mood;
    }

    async fn answer(self, request: Request<hyper::body::Incoming>) -> Result<axum::http::Response<Full<Bytes>>, std::io::Error> {
        let inner = &self.inner;
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        inner.seen.fetch_add(1, Ordering::SeqCst);
        let is_signed = inner
            .secrets
            .lock()
            .unwrap()
            .iter()
            .all(|secret| standardwebhooks::Webhook::new(secret).expect("a secret").verify(&body, &head.headers).is_ok());
        assert!(is_signed, "a signature that does not hold: {:?}", head.headers);
        assert_eq!(head.headers["content-type"], "application/cloudevents+json");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let webhook_id = head.headers["webhook-id"].to_str().expect("text").to_owned();
        let status = |status: u16| axum::http::Response::builder().status(status).body(Full::default()).expect("a response");
        let mut mood = *inner.mood.lock().unwrap();
        if body["subject"].as_str().is_some() && body["subject"].as_str() == inner.refuses.lock().unwrap().as_deref() {
            mood = Mood::Failing;
        }
        let roll = if mood == Mood::Hostile { inner.dice.roll() % 100 } else { 100 };
        if roll < 50 || !matches!(mood, Mood::Hostile | Mood::Well) {
            inner.faults.fetch_add(1, Ordering::SeqCst);
        }
        match (mood, roll) {
            (Mood::Hostile, 0..25) | (Mood::Failing, _) => Ok(status(500)),
            (Mood::Hostile, 25..30) => {
                std::future::pending::<()>().await;
                Ok(status(204))
            }
            (Mood::Hostile, 30..35) => {
                // Taken, and told too late: it comes again, under the same id.
                self.take(webhook_id, body);
                // Paces: a receiver that answers later than an attempt may take.
                tokio::time::sleep(ATTEMPT * 2).await;
                Ok(status(204))
            }
            (Mood::Hostile, 35..50) => Err(std::io::Error::other("broken off")),
            (Mood::Moved, _) => {
                let mut moved = status(308);
                moved.headers_mut().insert("location", "http://127.0.0.1:9/elsewhere".parse().expect("a header"));
                Ok(moved)
            }
            (Mood::Gone, _) => Ok(status(410)),
            (Mood::Well | Mood::Hostile, _) => {
                self.take(webhook_id, body);
                Ok(status(204))
            }
        }
    }

    fn take(&self, webhook_id: String, body: Value) {
        self.inner.taken.lock().unwrap().push(Taken { webhook_id, body });
        self.inner.bell.notify_waiters();
    }

    fn taken(&self) -> Vec<Taken> {
        self.inner.taken.lock().unwrap().clone()
    }

    /// Waits until `found` holds of what came.
    async fn until(&self, what: &str, found: impl Fn(&[Taken]) -> bool) {
        within(what, async {
            loop {
                let woken = self.inner.bell.notified();
                if found(&self.inner.taken.lock().unwrap()) {
                    return;
                }
                woken.await;
            }
        })
        .await;
    }
}

fn number(taken: &Taken) -> EventNo {
    taken.body["id"].as_str().expect("an id").parse().expect("a number")
}

/// How many events; a busy machine may be late and send one twice.
fn distinct(taken: &[Taken]) -> usize {
    taken.iter().map(number).collect::<BTreeSet<_>>().len()
}

/// The receiver's history against what the log says.
fn judge(history: &[Taken], wanted: &[EventNo]) -> Result<u64, String> {
    let mut ids: HashMap<EventNo, (&str, &Value)> = HashMap::new();
    let mut lanes: BTreeMap<String, Vec<EventNo>> = BTreeMap::new();
    for taken in history {
        let no = number(taken);
        match ids.get(&no) {
            Some((id, body)) if *id != taken.webhook_id || *body != &taken.body => {
                return Err(format!("event {no} came as {id} and again as {}", taken.webhook_id));
            }
            Some(_) => continue,
            None => {}
        }
        ids.insert(no, (&taken.webhook_id, &taken.body));
        lanes.entry(taken.body["subject"].as_str().unwrap_or_default().to_owned()).or_default().push(no);
    }
    for (lane, first) in &lanes {
        if let Some(pair) = first.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(format!("{lane}: {} came before {}", pair[0], pair[1]));
        }
    }
    let came: BTreeSet<EventNo> = ids.into_keys().collect();
    let wanted: BTreeSet<EventNo> = wanted.iter().copied().collect();
    if let Some(missing) = wanted.difference(&came).next() {
        return Err(format!("{} of {} never came, first {missing}", wanted.difference(&came).count(), wanted.len()));
    }
    if let Some(more) = came.difference(&wanted).next() {
        return Err(format!("{more} came and is no event of the log"));
    }
    Ok(history.len() as u64 - came.len() as u64)
}

/// Subscribes a receiver; gives the subscription's number.
async fn subscribe(router: &axum::Router, receiver: &Receiver, more: Value) -> String {
    let mut body = json!({ "url": receiver.inner.url });
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let (status, made) = call(router, Method::POST, "", body).await;
    assert_eq!(status, 201, "{made}");
    receiver.inner.secrets.lock().unwrap().push(made["secret"].as_str().expect("a secret").to_owned());
    made["id"].as_str().expect("an id").to_owned()
}

fn numbers(node: &NodeHandle, after: EventNo) -> Vec<EventNo> {
    let (events, gaps) = kept(node.events().expect("events"), TENANT, after);
    assert_eq!(gaps, []);
    events.iter().map(|event| event.no).collect()
}

/// Waits until what was decided can be read as events.
async fn settled(node: &NodeHandle) {
    let mut news = node.events().expect("events").watch();
    let until = node.cell().status().applied;
    within("events that are durable", news.wait_for(|durable| *durable >= until)).await.expect("the writer lives");
}

async fn talk(node: &NodeHandle, conversations: u128, messages: usize) {
    for conversation in 1..=conversations {
        Customer::new(node, TENANT, WEB, conversation).begin().await;
    }
    for i in 0..messages {
        Customer::new(node, TENANT, WEB, i as u128 % conversations + 1).says(&format!("message {i}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_fails_hangs_is_late_and_moves_gets_everything_in_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let (node, router) = start(directory.path(), config_in(directory.path(), pace())).await;
    settled(&node).await;
    let from = node.events().expect("events").newest();
    let (old, new) = (Receiver::open(11).await, Receiver::open(12).await);
    old.mood(Mood::Hostile);
    let id = subscribe(&router, &old, json!({ "include_bodies": true })).await;
    talk(&node, 12, 150).await;
    settled(&node).await;
    let first = numbers(&node, from);
    old.until("what was said before the move", |taken| {
        let came: BTreeSet<EventNo> = taken.iter().map(number).collect();
        first.iter().all(|no| came.contains(no))
    })
    .await;
    old.mood(Mood::Moved);
    let before = old.inner.seen.load(Ordering::SeqCst);
    talk(&node, 12, 60).await;
    settled(&node).await;
    within("an attempt at the old place", async {
        while old.inner.seen.load(Ordering::SeqCst) == before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let why = within("the failure's text", async {
        loop {
            let (_, view) = call(&router, Method::GET, &format!("/{id}"), Value::Null).await;
            match view["last_failure"].as_str() {
                Some(text) if text.contains("moved") => return text.to_owned(),
                _ => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert!(why.contains("http://127.0.0.1:9/elsewhere"), "{why}");
    new.mood(Mood::Hostile);
    new.inner.secrets.lock().unwrap().clone_from(&old.inner.secrets.lock().unwrap());
    let (status, _) = call(&router, Method::PATCH, &format!("/{id}"), json!({ "url": new.inner.url })).await;
    assert_eq!(status, 200);
    let all = numbers(&node, from);
    let rest: Vec<EventNo> = all.iter().filter(|no| !first.contains(no)).copied().collect();
    new.until("the rest at the new place", |taken| {
        let came: BTreeSet<EventNo> = taken.iter().map(number).collect();
        rest.iter().all(|no| came.contains(no))
    })
    .await;
    let history: Vec<Taken> = old.taken().into_iter().chain(new.taken()).collect();
    let repeated = judge(&history, &all).expect("in order and whole");
    assert!(repeated > 0, "nothing came twice: nobody was late");
    let faults = old.inner.faults.load(Ordering::SeqCst) + new.inner.faults.load(Ordering::SeqCst);
    assert!(faults > all.len() as u64 / 4, "only {faults} faults");
    let said = history.iter().find(|taken| taken.body["type"] == "tidegate.message.from_customer.v1").expect("a message");
    assert!(said.body["data"]["text"].as_str().is_some_and(|text| text.starts_with("message ")), "{}", said.body);
    println!("{} events, {} taken, {repeated} repeated, {faults} faults: in order, none missing", all.len(), history.len());
    within("a drain", node.drain()).await.expect("clean");
}

#[test]
fn the_judge_says_no() {
    let taken = |no: &str, subject: &str| Taken { webhook_id: format!("m{no}"), body: json!({ "id": no, "subject": subject }) };
    let wanted: Vec<EventNo> = ["1-0", "2-0", "3-0"].iter().map(|no| no.parse().unwrap()).collect();
    assert_eq!(judge(&[taken("1-0", "a"), taken("2-0", "a"), taken("1-0", "a"), taken("3-0", "b")], &wanted), Ok(1));
    for (history, word) in [
        (vec![taken("2-0", "a"), taken("1-0", "a"), taken("3-0", "b")], "before"),
        (vec![taken("1-0", "a"), taken("3-0", "b")], "never came"),
        (vec![taken("1-0", "a"), taken("2-0", "a"), taken("3-0", "b"), taken("4-0", "b")], "no event"),
        (vec![taken("1-0", "a"), Taken { webhook_id: "other".to_owned(), ..taken("1-0", "a") }], "again as"),
    ] {
        assert!(judge(&history, &wanted).is_err_and(|why| why.contains(word)), "{word}");
    }
}

/// A page that was given: whoever asks as often as this test does is told to wait now and then.
async fn page(router: &axum::Router, path: &str) -> Value {
    within("a page", async {
        loop {
            let (status, page) = call(router, Method::GET, path, Value::Null).await;
            if status == 200 {
                return page;
            }
            assert_eq!(page["type"], "/problems/rate-limited", "{page}");
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_never_taken_is_a_dead_letter_and_is_sent_again_on_demand() {
    let directory = tempfile::tempdir().expect("a directory");
    let pace = Pace { span_ms: 120, breaker_after: 1_000_000, ..pace() };
    let (node, router) = start(directory.path(), config_in(directory.path(), pace)).await;
    settled(&node).await;
    let from = node.events().expect("events").newest();
    let receiver = Receiver::open(21).await;
    *receiver.inner.refuses.lock().unwrap() = Some("conversations/1".to_owned());
    let id = subscribe(&router, &receiver, json!({ "types": ["message.*"] })).await;
    talk(&node, 3, 9).await;
    receiver.until("the other conversations", |taken| distinct(taken) == 6).await;
    let letters = within("three dead letters", async {
        loop {
            let (_, view) = call(&router, Method::GET, &format!("/{id}"), Value::Null).await;
            // Counted first: a page that was read before the last of them died may lack one in front of its end.
            if view["dead_letters"] == 3 {
                return page(&router, &format!("/{id}/dead-letters?max=2")).await;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(letters["dead_letters"].as_array().map(Vec::len), Some(2), "{letters}");
    let next = letters["next"].as_str().expect("a next page");
    let second = page(&router, &format!("/{id}/dead-letters?after={next}")).await;
    let all: Vec<Value> =
        [&letters, &second].iter().flat_map(|page| page["dead_letters"].as_array().cloned().unwrap_or_default()).collect();
    assert_eq!(all.len(), 3);
    for letter in &all {
        assert_eq!(
            (&letter["event"]["subject"], letter["failure"].as_str()),
            (&json!("conversations/1"), Some("500 Internal Server Error"))
        );
        assert!(letter["attempts"].as_u64() > Some(1), "{letter}");
    }
    // They outlive a restart; then the receiver is well again.
    within("a drain", node.drain()).await.expect("clean");
    drop((node, router));
    let (node, router) = start(directory.path(), config_in(directory.path(), pace)).await;
    *receiver.inner.refuses.lock().unwrap() = None;
    for letter in &all {
        let event = letter["id"].as_str().expect("an id");
        let path = format!("/{id}/dead-letters/{event}/resend");
        assert_eq!(call(&router, Method::POST, &path, Value::Null).await.0, 202);
        assert_eq!(call(&router, Method::POST, &path, Value::Null).await.0, 404, "sent again once");
    }
    receiver.until("the letters", |taken| distinct(taken) == 9).await;
    let wanted: Vec<EventNo> =
        numbers(&node, from).into_iter().filter(|no| receiver.taken().iter().any(|taken| number(taken) == *no)).collect();
    assert_eq!(wanted.len(), 9);
    let (_, view) = call(&router, Method::GET, &format!("/{id}"), Value::Null).await;
    assert_eq!((&view["dead_letters"], &view["dead"]), (&json!(0), &json!(3)), "{view}");
    within("a drain", node.drain()).await.expect("clean");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone_pauses_a_rewind_repeats_and_both_secrets_sign_while_rotating() {
    let directory = tempfile::tempdir().expect("a directory");
    let (node, router) = start(directory.path(), config_in(directory.path(), pace())).await;
    settled(&node).await;
    let from = node.events().expect("events").newest();
    let receiver = Receiver::open(31).await;
    receiver.mood(Mood::Gone);
    let id = subscribe(&router, &receiver, json!({ "types": ["message.from_customer"] })).await;
    talk(&node, 2, 4).await;
    let paused = within("the pause", async {
        loop {
            let (_, view) = call(&router, Method::GET, &format!("/{id}"), Value::Null).await;
            if view["paused"] == true {
                return view;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!((&paused["pause"], receiver.taken().len()), (&json!("gone"), 0));
    receiver.mood(Mood::Well);
    call(&router, Method::PATCH, &format!("/{id}"), json!({ "paused": false })).await;
    receiver.until("what waited", |taken| distinct(taken) == 4).await;
    // Both sign: the receiver that knows the old one and the new one holds every signature against both.
    let (_, rotated) = call(&router, Method::POST, &format!("/{id}/rotate"), json!({ "keep_old_s": 600 })).await;
    receiver.inner.secrets.lock().unwrap().push(rotated["secret"].as_str().expect("a secret").to_owned());
    assert_eq!(rotated["secrets"].as_array().map(Vec::len), Some(2));
    let before = receiver.taken();
    let (status, _) = call(&router, Method::POST, &format!("/{id}/rewind"), json!({ "after": from.to_string() })).await;
    assert_eq!(status, 200);
    receiver.until("all of it again", |taken| distinct(&taken[before.len()..]) == 4).await;
    let wanted: Vec<EventNo> = before.iter().map(number).collect();
    assert!(judge(&receiver.taken(), &wanted).is_ok_and(|again| again >= 4), "the same ids again");
    let (_, ping) = call(&router, Method::POST, &format!("/{id}/test"), Value::Null).await;
    assert_eq!(ping, json!({ "delivered": true, "failure": null }));
    assert_eq!(receiver.taken().last().map(|t| t.body["type"].clone()), Some(json!("tidegate.webhook.ping.v1")));
    receiver.mood(Mood::Failing);
    let (_, ping) = call(&router, Method::POST, &format!("/{id}/test"), Value::Null).await;
    assert_eq!(ping["delivered"], false);
    within("a drain", node.drain()).await.expect("clean");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_are_checked_limited_masked_and_outlive_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let (node, router) = start(directory.path(), config_in(directory.path(), pace())).await;
    let good = json!({ "url": "http://127.0.0.1:9/hook" });
    let long = |bytes: usize| format!("http://127.0.0.1:9/{}", "x".repeat(bytes - 19));
    for (change, field, status) in [
        (json!({ "url": "ftp://example.com/" }), "/url", 422),
        (json!({ "url": "http://a:b@example.com/" }), "/url", 422),
        (json!({ "url": long(URL_BYTES_MAX + 1) }), "/url", 422),
        (json!({ "url": 7 }), "/url", 422),
        (json!({ "types": ["contact.finished"] }), "/types", 422),
        (json!({ "types": vec!["*"; 33] }), "/types", 422),
        (json!({ "types": vec!["*"; 320] }), "/types", 422),
        (json!({ "types": "contact.ended" }), "/types", 422),
        (json!({ "types": [7] }), "/types/0", 422),
        (json!({ "include_bodies": "yes" }), "/include_bodies", 422),
        (json!({ "secret": "short" }), "/secret", 422),
        (json!({ "secret": "whsec_AAAA" }), "/secret", 422),
        (json!({ "secret": format!("whsec_{}", "A".repeat(92)) }), "/secret", 422),
        (json!({ "colour": "red" }), "/colour", 422),
    ] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().extend(change.as_object().cloned().unwrap());
        let (got, problem) = call(&router, Method::POST, "", body).await;
        assert_eq!((got, problem["field"].as_str()), (status, Some(field)), "{change}: {problem}");
    }
    assert_eq!(call(&router, Method::POST, "", json!({ "url": long(URL_BYTES_MAX * 10) })).await.0, 413);
    assert_eq!(call(&router, Method::POST, "", json!({})).await.1["field"], "/url");
    assert_eq!(call_as(&router, OPERATOR, Method::POST, "", None, &good).await.0, 403);
    let secret = format!("whsec_{}", "A".repeat(32));
    let mut first = good.clone();
    first["url"] = json!(long(URL_BYTES_MAX));
    first["secret"] = json!(secret);
    first["types"] = json!(["contact.*"]);
    let (status, made) = call_as(&router, ADMIN, Method::POST, "", Some("key-1"), &first).await;
    assert_eq!((status, &made["secret"]), (201, &json!(secret)));
    for _ in 0..20 {
        let (status, again) = call_as(&router, ADMIN, Method::POST, "", Some("key-1"), &first).await;
        assert_eq!((status, again), (201, made.clone()), "one subscription, however often it is asked for");
    }
    for _ in 1..HOOKS_PER_TENANT_MAX {
        assert_eq!(call(&router, Method::POST, "", good.clone()).await.0, 201);
    }
    for _ in 0..HOOKS_PER_TENANT_MAX * 9 {
        let (status, problem) = call(&router, Method::POST, "", good.clone()).await;
        assert_eq!((status, problem["type"].as_str()), (409, Some("/problems/limit-reached")));
    }
    let (_, list) = call_as(&router, OPERATOR, Method::GET, "", None, &Value::Null).await;
    let listed = list["webhooks"].as_array().expect("a list");
    assert_eq!(listed.len(), HOOKS_PER_TENANT_MAX);
    assert!(!list.to_string().contains(&secret) && listed[0]["secrets"][0]["hint"] == "whsec_AAAA…", "{}", listed[0]);
    let id = made["id"].as_str().expect("an id");
    assert_eq!(call(&router, Method::GET, "/4711", Value::Null).await.0, 404);
    let foreign = Request::builder().uri(format!("/v1/tenants/2/webhooks/{id}")).header("authorization", format!("Bearer {ADMIN}"));
    let foreign = router.clone().oneshot(foreign.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(foreign.status().as_u16(), 404, "another tenant's");
    for (after, status) in [("x", 422), ("99999999-0", 422), ("0", 200)] {
        assert_eq!(call(&router, Method::POST, &format!("/{id}/rewind"), json!({ "after": after })).await.0, status, "{after}");
    }
    assert_eq!(call(&router, Method::DELETE, "/2", Value::Null).await.0, 200);
    assert_eq!(call(&router, Method::DELETE, "/2", Value::Null).await.0, 404);
    call(&router, Method::PATCH, &format!("/{id}"), json!({ "include_bodies": true, "paused": true })).await;
    within("a drain", node.drain()).await.expect("clean");
    drop((node, router));
    let (node, router) = start(directory.path(), config_in(directory.path(), pace())).await;
    let (_, list) = call(&router, Method::GET, "", Value::Null).await;
    let listed = list["webhooks"].as_array().expect("a list");
    assert_eq!(listed.len(), HOOKS_PER_TENANT_MAX - 1);
    assert_eq!(
        (&listed[0]["types"], &listed[0]["include_bodies"], &listed[0]["pause"]),
        (&json!(["contact.*"]), &json!(true), &json!("asked"))
    );
    let metrics = tidegate_router::metrics::render(&node).await;
    for line in ["tidegate_webhook_paused{tenant=\"1\",webhook=\"1\"} 1", "tidegate_events_failed 0"] {
        assert!(metrics.lines().any(|found| found == line), "{line} is missing in\n{metrics}");
    }
    within("a drain", node.drain()).await.expect("clean");
    drop((node, router));
    // A node that does not allow it sends nothing inside, whoever asks.
    let mut strict = config_in(directory.path(), pace());
    strict.webhooks = strict.webhooks.map(|hooks| WebhooksConfig { allow_inside: false, ..hooks });
    let (node, router) = start(directory.path(), strict).await;
    assert_eq!(call(&router, Method::POST, "", good).await.1["field"], "/url");
    let (_, ping) = call(&router, Method::POST, "/3/test", Value::Null).await;
    assert!(ping["failure"].as_str().is_some_and(|why| why.contains("inside")), "{ping}");
    within("a drain", node.drain()).await.expect("clean");
}

/// The child: a node with a subscription and customers that never stop. Does nothing unless the parent starts it.
#[test]
fn the_node_that_is_killed() {
    let Some(directory) = std::env::var_os("TIDEGATE_WEBHOOK_CHILD") else { return };
    let life: u128 = std::env::var("TIDEGATE_WEBHOOK_LIFE").unwrap().parse().unwrap();
    let until: u64 = std::env::var("TIDEGATE_WEBHOOK_UNTIL").unwrap().parse().unwrap();
    let url = std::env::var("TIDEGATE_WEBHOOK_URL").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async move {
        let directory = Path::new(&directory);
        let (node, router) = start(directory, config_in(directory, pace())).await;
        let say = |line: String| std::io::stdout().lock().write_all(line.as_bytes()).expect("the parent listens");
        if call(&router, Method::GET, "/1", Value::Null).await.0 == 404 {
            let body = json!({ "url": url, "secret": SECRET });
            assert_eq!(call(&router, Method::POST, "", body).await.0, 201);
            let (_, made) = call(&router, Method::GET, "/1", Value::Null).await;
            say(format!("\nF {}\n", made["read"].as_str().expect("a place")));
        }
        let mut said = 0_u64;
        while node.cell().status().applied.0 < until {
            // Eight at a time, so that one sync serves many.
            let talk = (0..8_u128).map(|i| {
                let customer = Customer::new(&node, TENANT, WEB, life << 64 | (u128::from(said) / 400) << 8 | (i + 1));
                async move {
                    let begun = customer.node_transcript().await.is_empty();
                    if begun { customer.begin().await } else { customer.says("a word").await }
                }
            });
            futures_util::future::join_all(talk).await;
            said += 8;
        }
        settled(&node).await;
        say("\nD\n".to_owned());
        // Everything that was said is on its way or there; the receiver is well by now.
        loop {
            let (_, view) = call(&router, Method::GET, "/1", Value::Null).await;
            if view["lag_entries"] == 0 && view["pending"] == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
        node.drain().await.expect("clean");
    });
}

const SECRET: &str = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNk";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_out_of_order_when_the_node_is_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::open(41).await;
    receiver.inner.secrets.lock().unwrap().push(SECRET.to_owned());
    receiver.mood(Mood::Hostile);
    let dice = Dice::seeded(42);
    let events = if nightly(10) == 10 { 100_000 } else { 2_000 };
    let kills = 6;
    let mut from = None;
    for life in 0..=kills {
        let is_last = life == kills;
        // Entries, of which about every one makes an event.
        let until = if is_last { events } else { u64::MAX };
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "webhooks::the_node_that_is_killed", "--nocapture", "--test-threads", "1"])
            .env("TIDEGATE_WEBHOOK_CHILD", directory.path())
            .env("TIDEGATE_WEBHOOK_LIFE", (life + 1).to_string())
            .env("TIDEGATE_WEBHOOK_UNTIL", until.to_string())
            .env("TIDEGATE_WEBHOOK_URL", &receiver.inner.url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        if from.is_none() {
            from = Some(tokio::task::block_in_place(|| {
                let line = lines.by_ref().map_while(Result::ok).find(|line| line.starts_with("F ")).expect("the place");
                line[2..].parse::<EventNo>().unwrap()
            }));
        }
        let before = receiver.taken().len();
        if !is_last {
            let share = before + (events / (kills + 2)) as usize / 2 + (dice.roll() % 100) as usize;
            receiver.until("some deliveries before the kill", |taken| taken.len() >= share).await;
            child.kill().unwrap();
            child.wait().unwrap();
            continue;
        }
        receiver.mood(Mood::Well);
        let done = tokio::task::block_in_place(|| lines.by_ref().map_while(Result::ok).any(|line| line == "D"));
        assert!(done, "the last child ended by itself");
        let ended = tokio::task::block_in_place(|| child.wait()).unwrap();
        assert!(ended.success(), "{ended}");
    }
    let log = RealDisk::open(directory.path()).expect("the log");
    let from = from.expect("a place");
    let wanted: Vec<EventNo> = derived(log, TENANT).iter().map(|event| event.no).filter(|no| *no > from).collect();
    let history = receiver.taken();
    let repeated = judge(&history, &wanted).expect("in order and whole");
    let faults = receiver.inner.faults.load(Ordering::SeqCst);
    println!(
        "{} events, {kills} kills, {faults} faults of the receiver, {repeated} repeated: in order, none missing",
        wanted.len()
    );
    assert!(faults > 100 && wanted.len() as u64 * 10 > events * 8, "{faults} faults, {} events", wanted.len());
}
