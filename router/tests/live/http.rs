//! The operators' API by its routes: tokens and scopes, every kind of bad input with its problem+json, limits at, one above
//! and ten times above, idempotency, policies with their conditions, and what a drained node answers.

use crate::support::*;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::ids::TenantId;
use tidegate_model::limits::NAME_BYTES_MAX;
use tidegate_router::auth::{AdminGrant, Admins, Role};
use tidegate_router::http::{
    Api, DEPTH_MAX, KEY_BYTES_MAX, POLICY_BYTES_MAX, PROFILE_BYTES_MAX, QUERY_BYTES_MAX, SKILLS_MAX, VALUES_MAX,
};
use tidegate_router::node::NodeHandle;
use tower::ServiceExt as _;

const ADMIN: &str = "admin-0123456789abcdef0123456789abcdef";
const OPERATOR: &str = "operator-0123456789abcdef0123456789abcdef";
const VIEWER: &str = "viewer-0123456789abcdef0123456789abcdef";
const SECOND: &str = "second-0123456789abcdef0123456789abcdef";

struct Rig {
    node: NodeHandle,
    router: axum::Router,
    drain: Arc<tokio::sync::Notify>,
}

struct Got {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    text: String,
    json: Value,
}

impl Got {
    fn slug(&self) -> &str {
        self.json["type"].as_str().and_then(|kind| kind.strip_prefix("/problems/")).unwrap_or("(no problem)")
    }
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

async fn rig() -> Rig {
    let node = node_with(config(vec![tenant(1, 3, 2), tenant(2, 1, 1)])).await;
    let mut admins = Admins::new([9; 32]);
    for (token, name, role, only) in [
        (ADMIN, "ada", Role::Admin, None),
        (OPERATOR, "olga", Role::Operator, None),
        (VIEWER, "vic", Role::Viewer, None),
        (SECOND, "sven", Role::Admin, Some(TenantId(2))),
    ] {
        admins.add(token, AdminGrant { tenant: only, ..AdminGrant::of_node(name, role) }).expect("added");
    }
    let drain = Arc::new(tokio::sync::Notify::new());
    let api = Api::new(node.clone(), admins, drain.clone());
    Rig { node, router: tidegate_router::http::router(api), drain }
}

impl Rig {
    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Got {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).expect("a request")).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 16 << 20).await.expect("a body");
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        let got = Got { status: parts.status, headers: parts.headers, text, json };
        if got.status.is_client_error() || got.status.is_server_error() {
            assert_eq!(got.header("content-type"), "application/problem+json", "{path}: {}", got.text);
            for member in ["type", "title", "status", "detail"] {
                assert!(!got.json[member].is_null(), "{path}: {member} is missing in {}", got.text);
            }
            assert_eq!(got.json["status"], json!(got.status.as_u16()), "{path}");
        }
        got
    }

    async fn get(&self, token: &str, path: &str) -> Got {
        self.send(Method::GET, path, &[("authorization", &format!("Bearer {token}"))], Body::empty()).await
    }

    async fn put(&self, token: &str, path: &str, extra: &[(&str, &str)], body: impl Into<Body>) -> Got {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend_from_slice(extra);
        self.send(Method::PUT, path, &headers, body).await
    }

    async fn refused(&self, path: &str, body: &str, status: u16, slug: &str, field: &str) {
        let got = self.put(ADMIN, path, &[], body.to_owned()).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!((got.status.as_u16(), got.slug()), (status, slug), "{path} {shown}: {}", got.text);
        assert_eq!(got.json["field"].as_str().unwrap_or_default(), field, "{path} {shown}: {}", got.text);
    }
}

#[tokio::test]
async fn health_needs_no_token_and_everything_else_does() {
    let rig = rig().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(rig.send(Method::GET, path, &[], Body::empty()).await.status, StatusCode::OK);
    }
    let guarded = [
        (Method::GET, "/metrics"),
        (Method::GET, "/v1/status"),
        (Method::POST, "/v1/drain"),
        (Method::GET, "/v1/tenants/1/policy"),
        (Method::PUT, "/v1/tenants/1/policy"),
        (Method::PUT, "/v1/tenants/1/agents/1"),
        (Method::PUT, "/v1/tenants/1/accounts/1"),
        (Method::GET, "/v1/tenants/1/seats"),
        (Method::GET, "/v1/tenants/1/queues"),
        (Method::GET, "/v1/tenants/1/conversations/1/transcript"),
    ];
    for (method, path) in guarded {
        for (headers, name) in [
            (vec![], "none"),
            (vec![("authorization", "Bearer wrong-0123456789abcdef0123456789abcdef")], "unknown"),
            (vec![("authorization", "Bearer ")], "empty"),
            (vec![("authorization", ADMIN)], "no scheme"),
            (vec![("authorization", "Basic YWRhOmFkYQ==")], "another scheme"),
        ] {
            let got = rig.send(method.clone(), path, &headers, Body::empty()).await;
            assert_eq!((got.status.as_u16(), got.slug()), (401, "unauthorised"), "{method} {path}, token: {name}");
            assert!(got.header("www-authenticate").starts_with("Bearer"));
        }
    }
    assert!(!rig.node.is_draining(), "nobody was let in");
}

#[tokio::test]
async fn scopes_and_reach_are_kept() {
    let rig = rig().await;
    let bearer = |token: &str| format!("Bearer {token}");
    for (token, method, path, status) in [
        (VIEWER, Method::GET, "/v1/status", 200),
        (VIEWER, Method::GET, "/metrics", 200),
        (VIEWER, Method::PUT, "/v1/tenants/1/agents/9", 403),
        (VIEWER, Method::GET, "/v1/tenants/1/conversations/1/transcript", 403),
        (OPERATOR, Method::PUT, "/v1/tenants/1/agents/9", 200),
        (OPERATOR, Method::PUT, "/v1/tenants/1/accounts/9", 403),
        (OPERATOR, Method::PUT, "/v1/tenants/1/policy", 403),
        (OPERATOR, Method::POST, "/v1/drain", 403),
        (SECOND, Method::PUT, "/v1/tenants/2/agents/9", 200),
        (SECOND, Method::PUT, "/v1/tenants/1/agents/9", 404),
        (SECOND, Method::GET, "/v1/tenants/9/seats", 404),
        (SECOND, Method::GET, "/v1/status", 403),
        (SECOND, Method::POST, "/v1/drain", 403),
    ] {
        let got = rig.send(method.clone(), path, &[("authorization", &bearer(token))], r#"{"name":"nina"}"#).await;
        assert_eq!(got.status.as_u16(), status, "{method} {path}: {}", got.text);
    }
    let foreign = rig.get(SECOND, "/v1/tenants/1/seats").await;
    let absent = rig.get(SECOND, "/v1/tenants/9/seats").await;
    assert_eq!(foreign.json, absent.json, "a foreign tenant looks like one that does not exist");
}

#[tokio::test]
async fn bad_agents_are_refused_by_field() {
    let rig = rig().await;
    let path = "/v1/tenants/1/agents/7";
    let text = |bytes: usize| format!(r#"{{"name":"{}"}}"#, "n".repeat(bytes));
    let skills = |count: usize| {
        let members: Vec<_> = (0..count).map(|i| format!("\"s{i}\":1")).collect();
        format!(r#"{{"name":"nina","skills":{{{}}}}}"#, members.join(","))
    };
    for (body, status, slug, field) in [
        ("", 400, "malformed", ""),
        ("{", 400, "malformed", ""),
        ("nina", 400, "malformed", ""),
        (r#"{"name":"nina"}}"#, 400, "malformed", ""),
        (r#"{"name":"nina","name":"nora"}"#, 400, "malformed", ""),
        ("[]", 422, "bad-field", ""),
        ("{}", 422, "bad-field", "/name"),
        (r#"{"name":null}"#, 422, "bad-field", "/name"),
        (r#"{"name":["nina"]}"#, 422, "bad-field", "/name"),
        (r#"{"name":"nina","units":"2"}"#, 422, "bad-field", "/units"),
        (r#"{"name":"nina","units":0}"#, 422, "bad-field", "/units"),
        (r#"{"name":"nina","units":65}"#, 422, "bad-field", "/units"),
        (r#"{"name":"nina","units":640}"#, 422, "bad-field", "/units"),
        (r#"{"name":"nina","units":2.5}"#, 422, "bad-field", "/units"),
        (r#"{"name":"nina","cost_ms":2147483649}"#, 422, "bad-field", "/cost_ms"),
        (r#"{"name":"nina","skills":[]}"#, 422, "bad-field", "/skills"),
        (r#"{"name":"nina","skills":{"sales":0}}"#, 422, "bad-field", "/skills/sales"),
        (r#"{"name":"nina","skills":{"sales":11}}"#, 422, "bad-field", "/skills/sales"),
        (r#"{"name":"nina","skills":{"":1}}"#, 422, "bad-field", "/skills/"),
        (r#"{"name":"nina","skill":{"sales":1}}"#, 422, "unknown-field", "/skill"),
        (r#"{"name":"nina","password":"x"}"#, 422, "unknown-field", "/password"),
    ] {
        rig.refused(path, body, status, slug, field).await;
    }
    rig.refused(path, &text(NAME_BYTES_MAX + 1), 422, "too-long", "/name").await;
    rig.refused(path, &text(NAME_BYTES_MAX * 10), 422, "too-long", "/name").await;
    rig.refused(path, &skills(SKILLS_MAX + 1), 422, "bad-field", "/skills").await;
    rig.refused(path, &skills(SKILLS_MAX * 10), 422, "bad-field", "/skills").await;
    for depth in [DEPTH_MAX + 1, DEPTH_MAX * 10] {
        let deep = format!(r#"{{"name":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
        rig.refused(path, &deep, 400, "too-deep", "").await;
    }
    for count in [VALUES_MAX + 1, VALUES_MAX * 3] {
        let many = format!(r#"{{"name":[{}]}}"#, vec!["1"; count].join(","));
        rig.refused(path, &many, 400, "too-many-values", "").await;
    }
    let seats = rig.get(VIEWER, "/v1/tenants/1/seats").await;
    assert_eq!(seats.json["of"], json!(3), "none of them changed the roster");

    for body in [text(NAME_BYTES_MAX), skills(SKILLS_MAX), r#"{"name":"nina","units":64,"cost_ms":-2147483648}"#.to_owned()] {
        let got = rig.put(OPERATOR, path, &[("content-type", "application/json; charset=utf-8")], body).await;
        assert_eq!(got.status, StatusCode::OK, "at the limit: {}", got.text);
    }
    let seats = rig.get(VIEWER, "/v1/tenants/1/seats?after=3").await;
    assert_eq!(seats.json["seats"][0]["seat"], json!("7"));
    assert_eq!(seats.json["seats"][0]["units"], json!(64));
}

#[tokio::test]
async fn bodies_types_paths_and_parameters_have_limits() {
    let rig = rig().await;
    let agent = "/v1/tenants/1/agents/7";
    let padded = |bytes: usize| {
        let head = r#"{"name":"nina""#;
        format!("{head}{}}}", " ".repeat(bytes - head.len() - 1))
    };
    assert_eq!(rig.put(ADMIN, agent, &[], padded(PROFILE_BYTES_MAX)).await.status, StatusCode::OK);
    for bytes in [PROFILE_BYTES_MAX + 1, PROFILE_BYTES_MAX * 10] {
        let got = rig.put(ADMIN, agent, &[], padded(bytes)).await;
        assert_eq!((got.status.as_u16(), got.slug()), (413, "too-large"), "{bytes} bytes");
        let length = bytes.to_string();
        let got = rig.put(ADMIN, agent, &[("content-length", &length)], padded(bytes)).await;
        assert_eq!((got.status.as_u16(), got.slug()), (413, "too-large"), "{bytes} bytes, announced");
    }
    let got = rig.put(ADMIN, agent, &[("content-type", "text/xml")], r#"{"name":"nina"}"#).await;
    assert_eq!((got.status.as_u16(), got.slug(), got.json["field"].as_str()), (415, "media-type", Some("Content-Type")));
    for id in ["0", "-1", "+1", "x", "1e3", "18446744073709551616", "%20"] {
        let got = rig.put(ADMIN, &format!("/v1/tenants/1/agents/{id}"), &[], r#"{"name":"nina"}"#).await;
        assert_eq!((got.status.as_u16(), got.slug()), (400, "bad-parameter"), "agent {id}: {}", got.text);
    }
    for tenant in ["0", "9", "x", "-1", "+1", "4294967296"] {
        let got = rig.get(ADMIN, &format!("/v1/tenants/{tenant}/seats")).await;
        assert_eq!((got.status.as_u16(), got.slug()), (404, "unknown-tenant"), "tenant {tenant}");
    }
    for (query, slug, field) in [
        ("max=0", "bad-parameter", "max"),
        ("max=1001", "bad-parameter", "max"),
        ("max=ten", "bad-parameter", "max"),
        ("max=1&max=2", "bad-parameter", "max"),
        ("offset=1", "unknown-parameter", "offset"),
    ] {
        let got = rig.get(ADMIN, &format!("/v1/tenants/1/seats?{query}")).await;
        assert_eq!((got.status.as_u16(), got.slug(), got.json["field"].as_str()), (400, slug, Some(field)), "{query}");
    }
    let long = format!("/v1/tenants/1/seats?max={}", "1".repeat(QUERY_BYTES_MAX));
    assert_eq!(rig.get(ADMIN, &long).await.slug(), "bad-parameter");
    assert_eq!(rig.get(ADMIN, "/v1/nothing").await.slug(), "no-such-route");
    let got = rig.send(Method::DELETE, agent, &[], Body::empty()).await;
    assert_eq!((got.status.as_u16(), got.slug(), got.header("allow")), (405, "method", "GET,HEAD,PUT"));
}

#[tokio::test]
async fn accounts_are_checked_and_written() {
    let rig = rig().await;
    let path = "/v1/tenants/1/accounts/5";
    for (body, slug, field) in [
        (r#"{"name":"shop"}"#, "bad-field", "/delivery"),
        (r#"{"name":"shop","delivery":"mail"}"#, "bad-field", "/delivery"),
        (r#"{"name":"shop","delivery":"view","weight":0}"#, "bad-field", "/weight"),
        (r#"{"name":"shop","delivery":"view","queue":5}"#, "bad-field", "/queue"),
        (r#"{"name":"shop","delivery":"view","secret":"x"}"#, "unknown-field", "/secret"),
    ] {
        rig.refused(path, body, 422, slug, field).await;
    }
    let got = rig.put(ADMIN, path, &[], r#"{"name":"shop","delivery":"push","weight":2,"queue":"sales"}"#).await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.text);
    let anna = Customer::new(&rig.node, TENANT, tidegate_model::ids::AccountId(5), 55);
    assert!(matches!(anna.begin().await, tidegate_model::output::Outcome::Done { .. }), "the account serves at once");
}

#[tokio::test]
async fn a_key_makes_a_write_happen_once() {
    let rig = rig().await;
    let path = "/v1/tenants/1/agents/8";
    let key = [("idempotency-key", "deploy-42")];
    let first = rig.put(OPERATOR, path, &key, r#"{"name":"nina"}"#).await;
    assert_eq!((first.status, first.header("idempotent-replay")), (StatusCode::OK, ""));
    let committed = rig.node.cell().status().committed;
    let again = rig.put(OPERATOR, path, &key, r#"{"name":"nina"}"#).await;
    assert_eq!((again.status, again.header("idempotent-replay"), &again.json), (StatusCode::OK, "true", &first.json));
    assert_eq!(rig.node.cell().status().committed, committed, "no second entry");
    let other = rig.put(OPERATOR, path, &key, r#"{"name":"nora"}"#).await;
    assert_eq!((other.status.as_u16(), other.slug()), (422, "idempotency-conflict"));
    let elsewhere = rig.put(OPERATOR, "/v1/tenants/1/agents/9", &key, r#"{"name":"nina"}"#).await;
    assert_eq!((elsewhere.status, elsewhere.header("idempotent-replay")), (StatusCode::OK, ""), "keys belong to their path");
    let somebody = rig.put(ADMIN, path, &key, r#"{"name":"nora"}"#).await;
    assert_eq!(somebody.status, StatusCode::OK, "keys belong to their holder");
    let refused = rig.put(OPERATOR, path, &[("idempotency-key", "bad-1")], "{}").await;
    let repeated = rig.put(OPERATOR, path, &[("idempotency-key", "bad-1")], "{}").await;
    assert_eq!((refused.status, &refused.json), (repeated.status, &repeated.json), "the same request is refused the same way");
    for (value, good) in [
        ("k".repeat(KEY_BYTES_MAX), true),
        ("k".repeat(KEY_BYTES_MAX + 1), false),
        ("k".repeat(KEY_BYTES_MAX * 10), false),
        ("two words".to_owned(), false),
    ] {
        let got = rig.put(OPERATOR, path, &[("idempotency-key", &value)], r#"{"name":"nina"}"#).await;
        assert_eq!(got.status.is_success(), good, "{}", got.text);
    }
}

#[tokio::test]
async fn policies_are_checked_with_line_and_field_and_activated_by_an_entry() {
    let rig = rig().await;
    let path = "/v1/tenants/1/policy";
    let active = rig.get(VIEWER, path).await;
    assert_eq!((active.status, active.text.as_str()), (StatusCode::OK, POLICY));
    let tag = active.header("etag").to_owned();
    assert_eq!(tag, format!("\"{}\"", blake3::hash(POLICY.as_bytes()).to_hex()));

    let changed = POLICY.replace("300s", "301s");
    let dry = rig.put(ADMIN, "/v1/tenants/1/policy?dry_run=true", &[], changed.clone()).await;
    assert_eq!((dry.status, &dry.json["activated"]), (StatusCode::OK, &json!(false)), "{}", dry.text);
    assert_eq!(rig.get(VIEWER, path).await.header("etag"), tag, "a dry run changes nothing");

    let done = rig.put(ADMIN, path, &[("if-match", &tag), ("content-type", "application/toml")], changed.clone()).await;
    assert_eq!((done.status, &done.json["activated"]), (StatusCode::OK, &json!(true)), "{}", done.text);
    let now = rig.get(VIEWER, path).await;
    assert_eq!((now.text.as_str(), now.header("etag")), (changed.as_str(), done.header("etag")));
    let stale = rig.put(ADMIN, path, &[("if-match", &tag)], POLICY).await;
    assert_eq!((stale.status.as_u16(), stale.slug()), (412, "policy-changed"), "{}", stale.text);
    assert_eq!(format!("\"{}\"", stale.json["active"].as_str().unwrap_or_default()), now.header("etag"));
    let second = rig.put(ADMIN, path, &[("if-none-match", "*")], POLICY).await;
    assert_eq!((second.status.as_u16(), second.slug()), (412, "policy-changed"));
    for (name, value) in [("if-match", "etag"), ("if-match", "\"12\""), ("if-none-match", "\"12\"")] {
        let got = rig.put(ADMIN, path, &[(name, value)], POLICY).await;
        assert_eq!((got.status.as_u16(), got.slug()), (400, "bad-parameter"), "{name}: {value}");
    }
    let unchanged = rig
        .send(
            Method::GET,
            path,
            &[("authorization", &format!("Bearer {VIEWER}")), ("if-none-match", now.header("etag"))],
            Body::empty(),
        )
        .await;
    assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED);

    let wrong = POLICY.replace("offer_timeout", "offer_time_out");
    let got = rig.put(ADMIN, path, &[], wrong).await;
    assert_eq!((got.status.as_u16(), got.slug()), (422, "policy-invalid"), "{}", got.text);
    let fault = &got.json["errors"][0];
    assert!(fault["line"].as_u64().unwrap_or_default() > 0 && !fault["field"].is_null() && !fault["problem"].is_null(), "{fault}");
    for (body, status, slug) in [
        (b"\xff\xfe".to_vec(), 400, "malformed"),
        (b"[[[".to_vec(), 422, "policy-invalid"),
        (Vec::new(), 422, "policy-invalid"),
        (vec![b'#'; POLICY_BYTES_MAX + 1], 413, "too-large"),
        (vec![b'#'; POLICY_BYTES_MAX * 10], 413, "too-large"),
    ] {
        let got = rig.put(ADMIN, path, &[], body).await;
        assert_eq!((got.status.as_u16(), got.slug()), (status, slug), "{}", got.text);
    }
    let full = format!("{POLICY}{}", "#".repeat(POLICY_BYTES_MAX - POLICY.len()));
    assert_eq!(rig.put(ADMIN, path, &[], full).await.status, StatusCode::OK, "at the limit");
    let got = rig.put(ADMIN, "/v1/tenants/1/policy?dry_run=maybe", &[], POLICY).await;
    assert_eq!(got.slug(), "bad-parameter");
    let got = rig.put(ADMIN, path, &[("content-type", "application/json")], POLICY).await;
    assert_eq!(got.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transcripts_are_read_by_their_own_tenant_only() {
    let rig = rig().await;
    let anna = Customer::new(&rig.node, TENANT, WEB, 0xabc);
    anna.begin().await;
    anna.says("hello").await;
    let got = rig.get(OPERATOR, "/v1/tenants/1/conversations/abc/transcript").await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.text);
    let items = got.json["items"].as_array().expect("items");
    let said = items.iter().find(|item| item["item"] == json!("from_customer")).expect("the message");
    assert_eq!(said["text"], json!("hello"));
    let numbers: Vec<_> = items.iter().map(|item| item["n"].as_u64().unwrap_or_default()).collect();
    assert_eq!(numbers, (1..=items.len() as u64).collect::<Vec<_>>(), "gap-free from 1");
    for path in ["/v1/tenants/2/conversations/abc/transcript", "/v1/tenants/1/conversations/dead/transcript"] {
        let got = rig.get(OPERATOR, path).await;
        assert_eq!((got.status.as_u16(), got.slug()), (404, "unknown-conversation"), "{path}");
    }
    for id in ["0", "xyz", "123456789012345678901234567890123"] {
        let got = rig.get(OPERATOR, &format!("/v1/tenants/1/conversations/{id}/transcript")).await;
        assert_eq!((got.status.as_u16(), got.slug()), (400, "bad-parameter"), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_metrics_seats_and_queues_tell_what_stands() {
    let rig = rig().await;
    let desk = Desk::open(&rig.node, TENANT, 1);
    desk.sign_in().await;
    for conversation in 1..=4 {
        Customer::new(&rig.node, TENANT, WEB, conversation).begin().await;
    }
    let status = rig.get(VIEWER, "/v1/status").await.json;
    let first = &status["tenants"][0];
    assert_eq!((&first["ledger"]["offered"], &first["ledger"]["balanced"]), (&json!(4), &json!(true)), "{status}");
    assert_eq!(status["ready"], json!(true));
    assert!(status["stages"].as_array().is_some_and(|stages| !stages.is_empty()));
    let seats = rig.get(VIEWER, "/v1/tenants/1/seats?max=1").await.json;
    assert_eq!((&seats["of"], &seats["next"]), (&json!(3), &json!("1")));
    assert_eq!((&seats["seats"][0]["presence"], &seats["seats"][0]["desk_here"]), (&json!("ready"), &json!(true)), "{seats}");
    let queues = rig.get(VIEWER, "/v1/tenants/1/queues").await.json;
    assert_eq!(queues["queues"][0]["queue"], json!("sales"), "{queues}");
    assert_eq!(queues["queues"][0]["waiting"].as_u64(), Some(4), "offers out included: {queues}");
    let metrics = rig.get(VIEWER, "/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain"));
    for line in [
        "tidegate_contacts_offered_total{tenant=\"1\"} 4",
        "tidegate_ledger_balanced{tenant=\"1\"} 1",
        "tidegate_ready 1",
        "tidegate_contacts_offered_total{tenant=\"2\"} 0",
        "tidegate_queue_waiting{tenant=\"1\",queue=\"sales\"} 4",
    ] {
        assert!(metrics.text.lines().any(|found| found == line), "{line} is missing in\n{}", metrics.text);
    }
    for queue in rig.node.gauges().read() {
        assert!(queue.limit > 0 && queue.length <= queue.limit, "{queue:?}");
        let line = format!("tidegate_queue_limit{{queue=\"{}\"}} {}", queue.name, queue.limit);
        assert!(metrics.text.lines().any(|found| found == line), "{line} is missing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_turns_readiness_off_at_once_and_loses_nothing() {
    let rig = rig().await;
    let anna = Customer::new(&rig.node, TENANT, WEB, 1);
    anna.begin().await;
    let asked = rig.send(Method::POST, "/v1/drain", &[("authorization", &format!("Bearer {ADMIN}"))], Body::empty()).await;
    assert_eq!((asked.status.as_u16(), &asked.json["first"]), (202, &json!(true)));
    within("the binary is told", rig.drain.notified()).await;
    let ready = rig.send(Method::GET, "/readyz", &[], Body::empty()).await;
    assert_eq!((ready.status.as_u16(), ready.slug()), (503, "closed"));
    assert!(
        anna.act(fresh(), tidegate_model::input::InboundAct::Message { body: b"last words" }).await.is_ok(),
        "still taken: the intake closes later"
    );
    let drained = within("the drain", rig.node.drain()).await.expect("clean");
    assert_eq!(drained.last, rig.node.cell().status().emitted);
    let late = rig.put(ADMIN, "/v1/tenants/1/agents/9", &[], r#"{"name":"nina"}"#).await;
    assert_eq!((late.status.as_u16(), late.slug()), (503, "closed"), "{}", late.text);
    let live = rig.send(Method::GET, "/healthz", &[], Body::empty()).await;
    assert_eq!(live.status, StatusCode::OK, "a drained process is alive");
    assert_eq!(
        anna.texts().await.last().map(|(_, text)| text.clone()),
        Some("last words".to_owned()),
        "transcripts are still read"
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up() {
    let rig = rig().await;
    let stalled = futures_util::stream::pending::<Result<axum::body::Bytes, std::io::Error>>();
    let bearer = format!("Bearer {ADMIN}");
    let headers = [("authorization", bearer.as_str())];
    let request = rig.send(Method::PUT, "/v1/tenants/1/agents/9", &headers, Body::from_stream(stalled));
    let got = tokio::time::timeout(Duration::from_secs(120), request).await.expect("given up by the API, not by the test");
    assert_eq!((got.status.as_u16(), got.slug()), (503, "timeout"));
}
