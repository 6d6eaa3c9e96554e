//! Traces from outside: a contact through a real node, and what a receiver of OTLP on a real socket reads of it.
//!
//! Source: issue G, item 6 ("OpenTelemetry traces from inbound event to acceptance, by OTLP"); OTLP 1.x over HTTP; W3C Trace
//! Context. The receiver reads with the protocol's own types; `tests/serve/traces.rs` puts somebody else's collector between.

use crate::collector::{Behave, Collector, Seen};
use crate::support::*;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tidegate_journal::RealDisk;
use tidegate_model::ids::{ContactId, ConversationId};
use tidegate_model::input::{ContactRequest, FirstOwner, InboundAct, SeatAct};
use tidegate_model::name::ReasonName;
use tidegate_model::output::Outcome;
use tidegate_router::auth::{AdminGrant, Admins, Role};
use tidegate_router::http::Api;
use tidegate_router::node::{Node, NodeConfig, NodeHandle};
use tidegate_router::traces::{SecretHeaders, TracesConfig, trace_id};
use tower::ServiceExt as _;

fn traced(collector: &Collector, seats: u64, change: impl FnOnce(&mut TracesConfig)) -> NodeConfig {
    let mut traces = TracesConfig { company: Duration::ZERO, ..TracesConfig::new(collector.endpoint()) };
    change(&mut traces);
    NodeConfig { traces: Some(traces), ..config(vec![tenant(1, seats, 2)]) }
}

async fn begin(node: &NodeHandle, conversation: u128) -> (Customer, ContactId) {
    let customer = Customer::new(node, TENANT, WEB, conversation);
    let Outcome::Done { contact, .. } = customer.begin().await else { panic!("not taken") };
    (customer, contact)
}

fn of(spans: &[Seen], contact: ContactId) -> Vec<Seen> {
    let trace = trace_id(TENANT, contact).to_string();
    let mut own: Vec<Seen> = spans.iter().filter(|span| span.trace == trace).cloned().collect();
    own.sort_by_key(|span| (span.from, span.to));
    own
}

/// The whole trace of a contact, once its root is there.
async fn whole(collector: &Collector, contact: ContactId) -> (Seen, Vec<Seen>) {
    let own = collector.until(|spans| {
        let own = of(spans, contact);
        own.iter().any(|span| span.name == "contact").then_some(own)
    });
    let own = own.await;
    let root = own.iter().find(|span| span.name == "contact").cloned().expect("just seen");
    (root.clone(), own.into_iter().filter(|span| span.id != root.id).collect())
}

/// Parents, order and times of a trace; the children's names.
fn in_order(root: &Seen, children: &[Seen]) -> Vec<String> {
    assert_eq!(root.parent, "");
    let ids: BTreeSet<&str> = children.iter().map(|span| span.id.as_str()).chain([root.id.as_str()]).collect();
    assert_eq!(ids.len(), children.len() + 1, "each span has a number of its own");
    let mut order = children.to_vec();
    order.sort_by_key(|span| (span.from, span.to));
    let mut cursor = root.from;
    for span in &order {
        assert_eq!(span.parent, root.id, "{}", span.name);
        assert_eq!(span.from, cursor, "{} begins where the one before it ended", span.name);
        assert!(span.to >= span.from, "{}", span.name);
        cursor = span.to;
    }
    assert!(root.to >= cursor, "the root ends last");
    order.into_iter().map(|span| span.name).collect()
}

/// The desk that has the offer for a conversation.
async fn offered(desks: &[Desk], conversation: ConversationId) -> (&Desk, tidegate_model::OfferId) {
    loop {
        for desk in desks {
            if let Some((offer, _)) = desk.state().offers.iter().find(|(_, of)| **of == conversation) {
                return (desk, *offer);
            }
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_gives_one_whole_trace() {
    let collector = Collector::start().await;
    let node = node_with(traced(&collector, 2, |t| {
        t.service_name = "desk-of-tests".to_owned();
        t.headers = SecretHeaders::read("x-who: the node").expect("a header");
    }))
    .await;
    let desks = [Desk::open(&node, TENANT, 1), Desk::open(&node, TENANT, 2)];
    let (customer, contact) = begin(&node, 71).await;
    customer.says("my card is 4111 1111 1111 1111").await;
    for desk in &desks {
        desk.sign_in().await;
    }
    let (first, offer) = within("an offer", offered(&desks, customer.conversation)).await;
    first.act(SeatAct::Decline { offer, reason: ReasonName::NONE }).await.expect("taken");
    first.until(|state| state.offers.is_empty().then_some(())).await;
    let (second, offer) = within("another offer", offered(&desks, customer.conversation)).await;
    assert_ne!(first.seat, second.seat, "a decline excludes the pair");
    second.accept(offer).await;

    let (root, children) = whole(&collector, contact).await;
    assert_eq!(in_order(&root, &children), ["receive", "decide", "wait", "offer", "wait", "offer", "accept"]);
    let outcomes: Vec<_> = children
        .iter()
        .filter(|s| s.name == "offer")
        .map(|s| (s.attributes["tidegate.offer.outcome"].as_str(), s.attributes["tidegate.seat"].clone()))
        .collect();
    assert_eq!(outcomes, [("declined", first.seat.0.to_string()), ("accepted", second.seat.0.to_string())]);
    for span in children.iter().chain([&root]) {
        let expected = [
            ("tidegate.tenant", "1".to_owned()),
            ("tidegate.contact", contact.0.to_string()),
            ("messaging.message.conversation_id", "47".to_owned()),
            ("tidegate.account", "1".to_owned()),
            ("tidegate.channel", "web".to_owned()),
        ];
        for (name, value) in expected {
            assert_eq!(span.attributes.get(name), Some(&value), "{} of {}", name, span.name);
        }
        assert_eq!(span.service, "desk-of-tests");
        if ["contact", "wait", "offer"].contains(&span.name.as_str()) {
            assert_eq!(span.attributes["messaging.destination.name"], "sales", "{}", span.name);
        }
    }
    assert_eq!(root.attributes["tidegate.seat"], second.seat.0.to_string());
    assert_eq!((root.attributes["tidegate.offers"].as_str(), root.kind), ("2", 5), "5 is CONSUMER");
    assert!(collector.headers().iter().all(|headers| headers["x-who"] == "the node"));
    assert!(!collector.heard("card") && !collector.heard("4111") && !collector.heard("agent 1"), "no word and no name");

    // After a transfer it waits again, in the same trace, and the drain sends what is left.
    let (claim, _) = second.claim(offer).await;
    let to = tidegate_model::input::TransferTo::Queue(tidegate_model::name::QueueName::of("sales"));
    second.act(SeatAct::Transfer { claim, to }).await.expect("taken");
    customer.act(fresh(), InboundAct::Leave).await.expect("taken");
    node.drain().await.expect("drained");
    let own = of(&collector.spans(), contact);
    assert_eq!(own.iter().filter(|span| span.name == "contact").count(), 1);
    let again: Vec<_> = own.iter().filter(|span| span.attributes.get("tidegate.segment").is_some_and(|n| n == "2")).collect();
    assert_eq!(again.len(), 1, "{own:#?}");
    assert!(again[0].name == "wait" && again[0].parent == root.id && again[0].from >= root.to);
    let status = node.traces().expect("traces").status();
    assert_eq!((status.made, status.exported), (own.len() as u64, own.len() as u64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_has_its_span_and_whoever_leaves_ends_the_trace() {
    let collector = Collector::start().await;
    let node = node_with(traced(&collector, 1, |_| {})).await;
    let customer = Customer::new(&node, TENANT, WEB, 5);
    let act = InboundAct::Begin { with: FirstOwner::Bot, request: ContactRequest::default() };
    let Ok(Outcome::Done { contact, .. }) = customer.act(fresh(), act).await else { panic!("not taken") };
    customer.act(fresh(), InboundAct::RequestAgent { request: ContactRequest::default() }).await.expect("taken");
    let desk = Desk::open(&node, TENANT, 1);
    desk.sign_in().await;
    within("an offer", desk.offer()).await;
    customer.act(fresh(), InboundAct::Leave).await.expect("taken");
    let (root, children) = whole(&collector, contact).await;
    assert_eq!(in_order(&root, &children), ["receive", "decide", "bot", "wait", "offer"]);
    let offer = &children[4].attributes;
    assert_eq!((offer["tidegate.offer.outcome"].as_str(), offer["tidegate.offer.reason"].as_str()), ("rescinded", "customer_left"));
    assert_eq!(root.attributes["tidegate.exit"], "abandoned_waiting");
    // The conversation's next contact has a trace of its own.
    let Outcome::Done { contact: next, .. } = customer.begin().await else { panic!("not taken") };
    collector.until(|spans| of(spans, next).iter().any(|span| span.name == "decide").then_some(())).await;
    assert_ne!(trace_id(TENANT, contact), trace_id(TENANT, next));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ratio_says_which_and_the_number_alone_decides() {
    const CONTACTS: u128 = 60;
    let mut kept = BTreeMap::new();
    for ratio in [0.0, 0.3, 1.0] {
        let collector = Collector::start().await;
        let node = node_with(traced(&collector, 1, |t| t.sample_ratio = ratio)).await;
        let mut contacts = BTreeSet::new();
        for conversation in 1..=CONTACTS {
            contacts.insert(begin(&node, conversation).await.1);
        }
        node.drain().await.expect("drained");
        let traces: BTreeSet<String> = collector.spans().into_iter().map(|span| span.trace).collect();
        let all: BTreeSet<String> = contacts.iter().map(|contact| trace_id(TENANT, *contact).to_string()).collect();
        assert!(traces.is_subset(&all));
        for trace in &traces {
            assert_eq!(collector.spans().iter().filter(|span| span.trace == *trace).count(), 2, "whole, or not at all");
        }
        if ratio == 0.0 {
            assert_eq!(collector.requests(), 0);
        }
        kept.insert((ratio * 10.0) as u32, traces);
    }
    assert_eq!((kept[&0].len(), kept[&10].len()), (0, CONTACTS as usize));
    // Binomial: mean 18, four standard deviations are 14; the numbers are fixed, so this never flickers.
    assert!((4..=32).contains(&kept[&3].len()) && kept[&3].is_subset(&kept[&10]), "{}", kept[&3].len());
}

/// Two nodes that never heard of each other, and one that was restarted in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_contact_has_the_same_trace_on_any_node_and_over_a_restart() {
    let mut seen = Vec::new();
    for restart in [false, true] {
        let collector = Collector::start().await;
        let home = tempfile::tempdir().expect("a directory");
        let runtime = tokio::runtime::Handle::current();
        let start = async || {
            let disk = RealDisk::open(home.path()).expect("the directory");
            Node::start(traced(&collector, 1, |_| {}), disk, &runtime).await.expect("the node starts")
        };
        let mut node = start().await;
        let (customer, contact) = begin(&node, 9).await;
        collector.until(|spans| (of(spans, contact).len() == 2).then_some(())).await;
        if restart {
            node.drain().await.expect("drained");
            drop((customer, node));
            node = start().await;
        }
        let desk = Desk::open(&node, TENANT, 1);
        desk.sign_in().await;
        let (offer, _) = within("an offer", desk.offer()).await;
        desk.accept(offer).await;
        let (root, children) = whole(&collector, contact).await;
        assert_eq!(root.attributes.contains_key("tidegate.resumed"), restart);
        assert!(children.iter().all(|span| span.parent == root.id));
        let mut spans: Vec<_> = children.into_iter().chain([root]).map(|span| (span.name, span.trace, span.id)).collect();
        spans.sort();
        seen.push(spans);
        node.drain().await.expect("drained");
    }
    assert_eq!(seen[0], seen[1], "names and numbers");
    assert_eq!(seen[0].len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platforms_traceparent_becomes_a_link() {
    const TOKEN: &str = "operator-0123456789abcdef0123456789abcdef";
    let collector = Collector::start().await;
    let node = node_with(traced(&collector, 1, |_| {})).await;
    let desk = Desk::open(&node, TENANT, 1);
    desk.sign_in().await;
    let mut admins = Admins::new([9; 32]);
    admins.add(TOKEN, AdminGrant::of_node("olga", Role::Operator)).expect("added");
    let routes = tidegate_router::http::router(Api::new(node.clone(), admins, Arc::default()));
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let link = ("4bf92f3577b34da6a3ce929d0e0e4736".to_owned(), "00f067aa0ba902b7".to_owned());
    for (number, header, links) in [
        (1, Some(parent), vec![link]),
        (2, None, vec![]),
        (3, Some("00-00000000000000000000000000000000-00f067aa0ba902b7-01"), vec![]),
    ] {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri("/v1/tenants/1/conversations")
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "application/json")
            .header("idempotency-key", format!("key-{number}"));
        if let Some(header) = header {
            request = request.header("traceparent", header).header("tracestate", "shop=customer-13800138000");
        }
        let body = Body::from(format!("{{\"account\":1,\"customer\":\"c{number}\"}}"));
        let answer = routes.clone().oneshot(request.body(body).expect("a request")).await.expect("infallible");
        assert_eq!(answer.status(), StatusCode::CREATED, "{header:?}");
        let (offer, _) = within("an offer", desk.offer()).await;
        desk.accept(offer).await;
        let (claim, contact) = desk.claim(offer).await;
        desk.finish(claim).await;
        let (root, children) = whole(&collector, contact).await;
        assert_eq!(root.links, links, "{header:?}");
        assert!(children.iter().all(|span| span.links.is_empty()) && root.parent.is_empty());
    }
    assert!(!collector.heard("13800138000"), "tracestate may hold anything");
}

/// Everything that a collector can do wrong: not there, refusing, silent. Contacts never hear of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_do_not_wait_for_a_collector_that_is_down_refuses_or_hangs() {
    let collector = Collector::start().await;
    let nobody = {
        // A port that was free a moment ago, and that nobody listens on.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        format!("http://{}", listener.local_addr().expect("an address"))
    };
    let ways = [
        (nobody, Behave::Take, "not there"),
        (collector.endpoint(), Behave::Refuse(401), "refuses"),
        (collector.endpoint(), Behave::Refuse(503), "is busy"),
        (collector.endpoint(), Behave::Hold, "hangs"),
    ];
    for (endpoint, behave, way) in ways {
        collector.behave(behave);
        let node = node_with(traced(&collector, 1, |t| {
            t.endpoint = endpoint;
            t.patience = Duration::from_millis(200);
        }))
        .await;
        let desk = Desk::open(&node, TENANT, 1);
        desk.sign_in().await;
        for conversation in 1..=5 {
            let (_customer, contact) = begin(&node, conversation).await;
            let (offer, _) = within(way, desk.offer()).await;
            desk.accept(offer).await;
            let (claim, of) = desk.claim(offer).await;
            assert_eq!(of, contact);
            desk.finish(claim).await;
        }
        let traces = node.traces().expect("traces").clone();
        let dropped = async {
            while traces.status().dropped_refused == 0 {
                tokio::task::yield_now().await;
            }
        };
        within_or(dropped, async || format!("{way}: {:?}", traces.status())).await;
        let status = traces.status();
        assert_eq!((status.exported, status.is_failing), (0, true), "{way}");
        let scraped = tidegate_router::metrics::render(&node).await;
        assert!(scraped.contains("tidegate_trace_export_failing 1"), "{way}");
        assert!(scraped.contains("tidegate_trace_spans_total{what=\"dropped_not_taken\"}"), "{way}");
        // A drain waits a bounded time for the last of them.
        collector.behave(Behave::Take);
        within(way, node.drain()).await.expect("drained");
    }
}

/// The queue at its limit, one contact above it, ten times above it; then the collector comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_drops_and_counts_and_every_span_is_accounted_for() {
    const LIMIT: usize = 8;
    let collector = Collector::start().await;
    collector.behave(Behave::Hold);
    let node = node_with(traced(&collector, 1, |t| {
        t.queue_limit = LIMIT;
        // So that one contact's two spans are one request.
        t.company = Duration::from_millis(500);
        t.patience = Duration::from_secs(60);
    }))
    .await;
    let traces = node.traces().expect("traces").clone();
    let made = |count: u64| {
        let traces = traces.clone();
        within_or(
            async move {
                while traces.status().made < count {
                    tokio::task::yield_now().await;
                }
                assert_eq!(traces.status().made, count);
                traces.status()
            },
            async move || format!("{count} spans"),
        )
    };
    let length = || node.gauges().read().into_iter().find(|gauge| gauge.name == "trace_spans").expect("listed");
    begin(&node, 1).await;
    collector.until(|spans| (spans.len() == 2).then_some(())).await;
    let contacts = async |from: u128, to: u128| {
        for conversation in from..=to {
            begin(&node, conversation).await;
        }
    };
    contacts(2, 5).await;
    assert_eq!((made(10).await.dropped_full, length().length, length().limit), (0, 8, 8), "at the limit");
    contacts(6, 6).await;
    assert_eq!((made(12).await.dropped_full, length().length), (2, 8), "one contact above it");
    contacts(7, 45).await;
    assert_eq!((made(90).await.dropped_full, length().length), (80, 8), "ten times above it");
    collector.behave(Behave::Take);
    node.drain().await.expect("drained");
    let status = traces.status();
    assert_eq!((status.made, status.exported, status.dropped_full, status.dropped_refused), (90, 10, 80, 0));
    assert_eq!(collector.spans().len(), 10);
}

#[tokio::test]
async fn a_wrong_setting_stops_the_start_and_names_it() {
    let collector = Collector::start().await;
    let config = traced(&collector, 1, |t| t.sample_ratio = 1.5);
    let runtime = tokio::runtime::Handle::current();
    let log = tidegate_router::cell::MemoryLog::keeping(1 << 20);
    let Err(error) = Node::start_in_memory(config, log, &runtime).await else { panic!("it started") };
    assert!(chain(&error).contains("traces.sample_ratio"), "{}", chain(&error));
}
