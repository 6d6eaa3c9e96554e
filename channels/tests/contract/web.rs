//! The web channel's contract over real sockets, against the contract's reference implementation of the ports.
//!
//! Exactly once under repetition and cuts; gap-free numbers on all three faces; limits at, one above and ten times above;
//! hostile input answered by name or closed by code; slow readers cut off; overload and drain told in the channel's terms.

use crate::support::{ACCOUNT, OTHER_TENANT, TENANT, scaled, stand, stand_with};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tidegate_channels::auth::{self, KeyRing};
use tidegate_channels::client::http::send;
use tidegate_channels::client::{Begin, ClientError, NewVisitor, WebClient, WebEvent, open_session};
use tidegate_model::port::CustomerGrant;
use tidegate_model::{AccountId, ConversationId, CustomerId, Millis};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

const VISITOR: &str = "visitor-0000000001";

async fn event(client: &mut WebClient) -> (u32, String) {
    match client.next_event().await.expect("an event") {
        WebEvent::Item(item) => (item.n, item.kind),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn begin_write_leave() {
    let stand = stand().await;
    let session = stand.session(VISITOR).await;
    let mut client = WebClient::connect(&stand.base, &session.token, 0).await.expect("welcome");
    assert_eq!(client.conversation(), session.conversation);
    let begun = client.begin(&Begin { queue: Some("retail".into()), ..Begin::default() }).await.expect("begun");
    assert!(begun.contact == 1 && !begun.duplicate);
    let sent = client.send_text("你好 \"quoted\" \u{1f600}").await.expect("sent");
    assert_eq!(sent.n, 3);
    client.leave().await.expect("left");
    let mut kinds = Vec::new();
    for _ in 0..4 {
        kinds.push(event(&mut client).await);
    }
    let expected = [(1, "began"), (2, "queued"), (3, "customer"), (4, "ended")];
    assert_eq!(kinds, expected.map(|(n, kind)| (n, kind.to_owned())));
    assert_eq!(stand.port.bodies(&session.conversation), ["你好 \"quoted\" \u{1f600}"]);
}

#[tokio::test]
async fn a_repeated_id_counts_once_and_another_body_is_a_conflict() {
    let stand = stand().await;
    let session = stand.session(VISITOR).await;
    let mut client = WebClient::connect(&stand.base, &session.token, 0).await.expect("welcome");
    let first = client.submit(json!({"type": "message", "text": "a"}), "m1").await.expect("sent");
    let again = client.submit(json!({"type": "message", "text": "a"}), "m1").await.expect("sent");
    assert!(again.duplicate && again.n == first.n);
    let other = client.submit(json!({"type": "message", "text": "b"}), "m1").await.expect_err("a conflict");
    assert_eq!(other.slug(), "conflict");
    assert!(matches!(other, ClientError::Refused { status: 409, .. }));
    // The same id by HTTP is the same event.
    let bearer = format!("Bearer {}", session.token);
    let post = |text: &str| json!({"client_msg_id": "m1", "text": text}).to_string().into_bytes();
    let headers = [("authorization", bearer.as_str())];
    let (status, body) = send(&stand.base, "POST", "/v1/web/messages", &headers, post("a")).await.expect("an answer");
    assert_eq!((status, body["outcome"].as_str()), (200, Some("duplicate")));
    let (status, body) = send(&stand.base, "POST", "/v1/web/messages", &headers, post("b")).await.expect("an answer");
    assert_eq!((status, body["field"].as_str()), (409, Some("client_msg_id")));
    assert_eq!(stand.port.bodies(&session.conversation), ["a"]);
}

/// Cuts the connection after every act, sometimes before its answer, repeats what was not acknowledged, and finds every
/// message once, every number once.
#[tokio::test]
async fn reconnects_lose_and_repeat_nothing() {
    let stand = stand().await;
    let session = stand.session(VISITOR).await;
    let mut client = WebClient::connect(&stand.base, &session.token, 0).await.expect("welcome");
    let rounds = scaled(1_000, 10_000);
    let mut seen = 0;
    for round in 0..rounds {
        let id = format!("m{round}");
        let frame = json!({"type": "message", "text": format!("{round}")});
        if round % 3 == 0 {
            // Cut with the answer on its way: nobody knows whether it was taken.
            let mut blind = frame.clone();
            blind["client_msg_id"] = json!(id);
            client.send_raw(&blind).await.expect("written");
            client.cut();
            client.resume().await.expect("resumed");
        }
        client.submit(frame, &id).await.expect("acknowledged");
        if round % 2 == 0 {
            client.cut();
            client.resume().await.expect("resumed");
        }
        // Everything up to now comes exactly once (the client refuses gaps and repetitions).
        while seen < client.newest() {
            let (n, _) = event(&mut client).await;
            assert_eq!(n, seen + 1);
            seen = n;
        }
    }
    let total = rounds as u32 + 2;
    while seen < total {
        let (n, _) = event(&mut client).await;
        assert_eq!(n, seen + 1);
        seen = n;
    }
    let expected: Vec<String> = (0..rounds).map(|round| round.to_string()).collect();
    assert_eq!(stand.port.bodies(&session.conversation), expected);
    client.close().await;
    stand.wait_gauge("web_connections", 0).await;
}

/// A resume at every number gives exactly the rest, on the WebSocket, the event stream and the long poll alike.
#[tokio::test]
async fn every_face_has_the_same_numbers() {
    let stand = stand_with(|config| config.web.page = 3).await;
    let session = stand.session(VISITOR).await;
    stand.port.flood(&session.conversation, 10, 20);
    for after in 0..10 {
        let mut client = WebClient::connect(&stand.base, &session.token, after).await.expect("welcome");
        for n in after + 1..=10 {
            assert_eq!(event(&mut client).await.0, n);
        }
        let polled = poll_all(&stand.base, &session.token, after).await;
        assert_eq!(polled, (after + 1..=10).collect::<Vec<_>>());
        let streamed = stream_items(&stand.base, &session.token, after, 10 - after as usize).await;
        assert_eq!(streamed, polled);
    }
    // Ahead of the transcript: told, and everything again.
    let client = WebClient::connect(&stand.base, &session.token, 11).await.expect("welcome");
    assert_eq!(client.newest(), 0);
    let bearer = format!("Bearer {}", session.token);
    let headers = [("authorization", bearer.as_str())];
    let (status, body) = send(&stand.base, "GET", "/v1/web/transcript?after=11", &headers, Vec::new()).await.expect("answer");
    assert_eq!((status, body["type"].as_str()), (409, Some("/problems/resume-ahead")));
}

async fn poll_all(base: &str, token: &str, mut after: u32) -> Vec<u32> {
    let bearer = format!("Bearer {token}");
    let mut out = Vec::new();
    loop {
        let path = format!("/v1/web/transcript?after={after}&wait_s=0");
        let (status, body) = send(base, "GET", &path, &[("authorization", &bearer)], Vec::new()).await.expect("an answer");
        assert_eq!(status, 200, "{body}");
        let items = body["items"].as_array().cloned().unwrap_or_default();
        if items.is_empty() {
            assert_eq!(body["n"], after);
            return out;
        }
        out.extend(items.iter().map(|item| item["n"].as_u64().expect("a number") as u32));
        after = body["n"].as_u64().expect("a number") as u32;
    }
}

async fn stream_items(base: &str, token: &str, after: u32, count: usize) -> Vec<u32> {
    let host = base.trim_start_matches("http://");
    let mut socket = tokio::net::TcpStream::connect(host).await.expect("connected");
    let head =
        format!("GET /v1/web/events HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\nlast-event-id: {after}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.expect("written");
    let (mut text, mut buffer) = (String::new(), [0_u8; 4_096]);
    loop {
        let ids: Vec<u32> = text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
        if ids.len() >= count {
            return ids;
        }
        let read = socket.read(&mut buffer).await.expect("read");
        assert!(read > 0, "the stream ended: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
}

#[tokio::test]
async fn a_long_poll_waits_for_the_item() {
    let stand = stand().await;
    let session = stand.session(VISITOR).await;
    let bearer = format!("Bearer {}", session.token);
    let headers = [("authorization", bearer.as_str())];
    let poll = send(&stand.base, "GET", "/v1/web/transcript?after=0&wait_s=20", &headers, Vec::new());
    let write = async {
        stand.wait_gauge("web_connections", 1).await;
        stand.port.flood(&session.conversation, 1, 10);
    };
    let (answer, ()) = tokio::join!(poll, write);
    let (status, body) = answer.expect("an answer");
    assert_eq!((status, body["n"].as_u64()), (200, Some(1)));
    assert_eq!(body["items"][0]["text"], "00000000xx");
}

#[tokio::test]
async fn field_limits_at_one_above_and_ten_times_above() {
    let stand = stand().await;
    let session = stand.session(VISITOR).await;
    let bearer = format!("Bearer {}", session.token);
    let mut client = WebClient::connect(&stand.base, &session.token, 0).await.expect("welcome");
    let list = |prefix: &str, count: usize| (0..count).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>();
    let skills = move |count: usize| list("s", count).into_iter().map(|name| (name, json!(3))).collect::<serde_json::Map<_, _>>();
    type Make = Box<dyn Fn(usize) -> Value>;
    let table: [(&str, &str, usize, Make); 5] = [
        ("message", "text", 4_096, Box::new(|size| json!("x".repeat(size)))),
        ("begin", "queue", 64, Box::new(|size| json!("q".repeat(size)))),
        ("begin", "class", 64, Box::new(|size| json!("c".repeat(size)))),
        ("begin", "tags", 4, Box::new(move |size| json!(list("t", size)))),
        ("begin", "skills", 4, Box::new(move |size| json!(skills(size)))),
    ];
    for (kind, field, limit, make) in table {
        for (size, fine) in [(limit, true), (limit + 1, false), (limit * 10, false)] {
            if size > 16_000 {
                // Past the limit of a whole frame, which has its own test.
                continue;
            }
            let id = client.fresh_id();
            let mut frame = json!({"type": kind});
            frame[field] = make(size);
            let path = if kind == "message" { "/v1/web/messages" } else { "/v1/web/begin" };
            let mut body = frame.clone();
            body["client_msg_id"] = json!(id);
            body.as_object_mut().expect("an object").remove("type");
            let by_socket = client.submit(frame, &id).await;
            let (status, by_http) = send(&stand.base, "POST", path, &[("authorization", &bearer)], body.to_string().into_bytes())
                .await
                .expect("answer");
            let refused_field = |error: &ClientError| matches!(error, ClientError::Refused { status: 422, .. });
            let form_refused = by_socket.as_ref().is_err_and(refused_field);
            assert_eq!(!form_refused, fine, "{kind}.{field} of {size}: {by_socket:?}");
            assert_eq!(status != 422, fine, "{kind}.{field} of {size}: {by_http}");
            if !fine {
                assert_eq!(by_http["field"], field);
            }
            // A queue of 64 letters is in its limit, though unknown; a contact that began is ended again.
            if by_socket.is_ok() {
                let _ = client.leave().await;
            }
        }
    }
    for (length, fine) in [(64, true), (65, false), (640, false)] {
        let answer = client.submit(json!({"type": "message", "text": "x"}), &"i".repeat(length)).await;
        match answer {
            Ok(_) => assert!(fine, "{length}"),
            Err(error) => assert!(!fine && error.slug() == "too-long", "{length}: {error:?}"),
        }
    }
}

/// HTTP bodies and WebSocket messages: 16 KiB pass, a byte more does not, and ten times more is not even buffered.
#[tokio::test]
async fn giant_frames_close_1009_and_giant_bodies_are_413() {
    let stand = stand().await;
    let session = stand.session(VISITOR).await;
    let bearer = format!("Bearer {}", session.token);
    let padded = |size: usize| {
        let frame = r#"{"type":"ping"}"#;
        format!("{frame}{}", " ".repeat(size - frame.len()))
    };
    for (size, fine) in [(16_384, true), (16_385, false), (163_840, false), (10 << 20, false)] {
        let mut socket = raw(&stand.base, &session.token).await;
        // A giant may be refused before all of it is written.
        let written = socket.send(Message::text(padded(size))).await;
        assert!(written.is_ok() || !fine, "{size}");
        match answer(&mut socket).await {
            Ended::Frame(frame) => assert!(fine && frame["type"] == "pong", "{size}: {frame}"),
            Ended::Close(code) => assert!(!fine && code == 1009, "{size}: {code}"),
        }
        let headers = [("authorization", bearer.as_str())];
        if size <= 1 << 20 {
            let body = format!("{{\"client_msg_id\":\"x{size}\",\"text\":\"x\"}}{}", " ".repeat(size));
            let body = body.as_bytes()[..size].to_vec();
            let (status, _) = send(&stand.base, "POST", "/v1/web/messages", &headers, body).await.expect("an answer");
            assert_eq!(status, if fine { 200 } else { 413 }, "{size}");
        }
    }
    // A message in many small fragments is one message.
    let mut socket = raw(&stand.base, &session.token).await;
    for part in 0..20 {
        let opcode = OpCode::Data(if part == 0 { Data::Text } else { Data::Continue });
        let header = FrameHeader { is_final: false, opcode, ..FrameHeader::default() };
        if socket.send(Message::Frame(Frame::from_payload(header, vec![b' '; 1_000].into()))).await.is_err() {
            break;
        }
    }
    assert!(matches!(answer(&mut socket).await, Ended::Close(1009)));
    assert_eq!(stand.handle.count("closed_giant"), 4);
}

type Raw = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

enum Ended {
    Frame(Value),
    Close(u16),
}

/// A WebSocket past its welcome.
async fn raw(base: &str, token: &str) -> Raw {
    let url = format!("{}/v1/web/ws", base.replace("http://", "ws://"));
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("connected");
    socket.send(Message::text(json!({"type": "hello", "token": token}).to_string())).await.expect("written");
    match answer(&mut socket).await {
        Ended::Frame(frame) => assert_eq!(frame["type"], "welcome"),
        Ended::Close(code) => panic!("closed {code}"),
    }
    socket
}

async fn answer(socket: &mut Raw) -> Ended {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let frame: Value = serde_json::from_str(&text).expect("JSON");
                if frame["type"] != "item" {
                    return Ended::Frame(frame);
                }
            }
            Some(Ok(Message::Close(Some(frame)))) => return Ended::Close(frame.code.into()),
            Some(Ok(_)) => {}
            other => panic!("neither frame nor close: {other:?}"),
        }
    }
}

#[tokio::test]
async fn hostile_frames_are_answered_by_name_or_closed_by_code() {
    let stand = stand().await;
    let session = stand.session(VISITOR).await;
    let deep = format!(r#"{{"type":"ping","x":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let table = [
        ("{", "malformed", None),
        ("null", "malformed", None),
        ("[]", "malformed", None),
        (r#"{"type":"ping","type":"ping"}"#, "malformed", None),
        (deep.as_str(), "malformed", None),
        (r#"{"type":"pong"}"#, "bad-field", Some("type")),
        (r#"{"type":7}"#, "bad-field", Some("type")),
        (r#"{"type":"ping","extra":1}"#, "unknown-field", Some("extra")),
        (r#"{"type":"message","client_msg_id":"a","txet":"x"}"#, "bad-field", Some("text")),
        (r#"{"type":"message","client_msg_id":"a","text":""}"#, "bad-field", Some("text")),
        (r#"{"type":"message","client_msg_id":"a","text":"x","to":"y"}"#, "unknown-field", Some("to")),
        (r#"{"type":"message","text":"x"}"#, "bad-field", Some("client_msg_id")),
        (r#"{"type":"begin","client_msg_id":"a","with":"oracle"}"#, "bad-field", Some("with")),
        (r#"{"type":"begin","client_msg_id":"a","skills":{"a":11}}"#, "bad-field", Some("skills")),
        (r#"{"type":"begin","client_msg_id":"a","tags":"x"}"#, "bad-field", Some("tags")),
        (r#"{"type":"begin","client_msg_id":"a","preferred":"xyz"}"#, "bad-field", Some("preferred")),
        (r#"{"type":"ack","n":99}"#, "bad-field", Some("n")),
        (r#"{"type":"ack","n":-1}"#, "bad-field", Some("n")),
        (r#"{"type":"hello","token":"x"}"#, "out-of-order", None),
    ];
    let mut socket = raw(&stand.base, &session.token).await;
    for (text, slug, field) in table {
        socket.send(Message::text(text)).await.expect("written");
        let Ended::Frame(frame) = answer(&mut socket).await else { panic!("{text} closed the connection") };
        assert_eq!(frame["problem"]["type"], format!("/problems/{slug}"), "{text}: {frame}");
        assert_eq!(frame["problem"]["field"].as_str(), field, "{text}: {frame}");
        assert!(frame["problem"]["status"].is_u64() && frame["problem"]["title"].is_string());
    }
    // The connection has survived all of it.
    socket.send(Message::text(r#"{"type":"ping"}"#)).await.expect("written");
    assert!(matches!(answer(&mut socket).await, Ended::Frame(frame) if frame["type"] == "pong"));
    // Text that is not UTF-8.
    let header = FrameHeader { is_final: true, opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
    let bad = Frame::from_payload(header, b"{\"type\":\"ping\xff\"}".to_vec().into());
    socket.send(Message::Frame(bad)).await.expect("written");
    assert!(matches!(answer(&mut socket).await, Ended::Close(1007)));
    // Binary.
    let mut socket = raw(&stand.base, &session.token).await;
    socket.send(Message::binary(vec![1, 2, 3])).await.expect("written");
    assert!(matches!(answer(&mut socket).await, Ended::Close(1003)));
    // A first frame that is no hello.
    let url = format!("{}/v1/web/ws", stand.base.replace("http://", "ws://"));
    for first in [r#"{"type":"ping2"}"#, r#"{"type":"message","client_msg_id":"a","text":"x"}"#] {
        let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.expect("connected");
        socket.send(Message::text(first)).await.expect("written");
        assert!(matches!(answer(&mut socket).await, Ended::Frame(frame) if frame["type"] == "error"));
        assert!(matches!(answer(&mut socket).await, Ended::Close(1008)));
    }
    assert_eq!(stand.port.accepted(), 0, "nothing of it reached the router");
}

#[tokio::test]
async fn nobody_says_hello() {
    let stand = stand_with(|config| config.web.hello = Millis(30)).await;
    let url = format!("{}/v1/web/ws", stand.base.replace("http://", "ws://"));
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("connected");
    assert!(matches!(answer(&mut socket).await, Ended::Close(1008)));
    stand.wait_gauge("web_connections", 0).await;
}

#[tokio::test]
async fn tokens_bad_expired_foreign() {
    let stand = stand().await;
    let session = stand.session(VISITOR).await;
    let grant = |tenant, account| CustomerGrant { tenant, account, conversation: ConversationId(5), customer: CustomerId::NONE };
    let past = auth::TokenAuthority::new(crate::support::ring(1), std::sync::Arc::new(|| 1_000));
    let foreign_key = auth::TokenAuthority::new(crate::support::ring(3), auth::system_clock());
    let forged_kid = {
        let ring = KeyRing::new(vec![auth::Key::new("k1", vec![9; 32])]).expect("a ring");
        auth::TokenAuthority::new(ring, auth::system_clock())
    };
    let mint =
        |authority: &auth::TokenAuthority, tenant, account| authority.mint_customer(&grant(tenant, account), 60).expect("minted");
    let (head, rest) = session.token.split_once('.').expect("a JWT");
    let (claims, tag) = rest.split_once('.').expect("a JWT");
    // {"alg":"none"}, {"alg":"HS512","kid":"k1"}, {"alg":"HS256","kid":"k1","crit":["x"]} in base64url.
    let none = format!("eyJhbGciOiJub25lIn0.{claims}.");
    let hs512 = format!("eyJhbGciOiJIUzUxMiIsImtpZCI6ImsxIn0.{claims}.{tag}");
    let crit = format!("eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIiwiY3JpdCI6WyJ4Il19.{claims}.{tag}");
    let table = [
        ("x".to_owned(), "unauthorised"),
        (String::from("a.b.c"), "unauthorised"),
        (none, "unauthorised"),
        (hs512, "unauthorised"),
        (crit, "unauthorised"),
        (format!("{head}.{claims}."), "unauthorised"),
        (format!("{head}.{}.{tag}", claims.replace('A', "B")), "unauthorised"),
        (mint(&foreign_key, TENANT, ACCOUNT), "unauthorised"),
        (mint(&forged_kid, TENANT, ACCOUNT), "unauthorised"),
        (mint(&past, TENANT, ACCOUNT), "token-expired"),
        (mint(&stand.authority, OTHER_TENANT, ACCOUNT), "foreign-token"),
        (mint(&stand.authority, TENANT, AccountId(99)), "foreign-token"),
        (stand.agent_token(1), "foreign-token"),
    ];
    for (token, slug) in &table {
        let error = WebClient::connect(&stand.base, token, 0).await.expect_err("refused");
        assert_eq!(error.slug(), *slug, "{token}: {error:?}");
        let bearer = format!("Bearer {token}");
        let (status, body) =
            send(&stand.base, "GET", "/v1/web/transcript", &[("authorization", &bearer)], Vec::new()).await.expect("an answer");
        assert!(status == 401 || status == 403);
        assert_eq!(body["type"], format!("/problems/{slug}"), "{token}");
        assert!(!body.to_string().contains(token.as_str()) || token == "x", "a token is never echoed");
    }
    let (status, _) = send(&stand.base, "GET", "/v1/web/transcript", &[], Vec::new()).await.expect("an answer");
    assert_eq!(status, 401);
    assert_eq!(stand.handle.count("tokens_refused"), 2 * table.len() as u64);
}

#[tokio::test]
async fn sessions_visitors_and_identities() {
    let stand = stand().await;
    let new = |inbox: &str, visitor: Option<&str>, identity: Option<String>| NewVisitor {
        inbox: inbox.to_owned(),
        visitor: visitor.map(str::to_owned),
        identity,
        name: None,
    };
    let slug = |result: Result<_, ClientError>| result.map(drop).expect_err("refused").slug().to_owned();
    // The same visitor has the same conversation; a fresh one has another; nobody can be guessed.
    let first = open_session(&stand.base, &new("shop", None, None)).await.expect("a session");
    let again = open_session(&stand.base, &new("shop", Some(&first.visitor), None)).await.expect("a session");
    let other = open_session(&stand.base, &new("shop", None, None)).await.expect("a session");
    assert_eq!(first.conversation, again.conversation);
    assert_ne!(first.conversation, other.conversation);
    for (length, fine) in [(15, false), (16, true), (64, true), (65, false), (640, false)] {
        let result = open_session(&stand.base, &new("shop", Some(&"v".repeat(length)), None)).await;
        assert_eq!(result.is_ok(), fine, "{length}");
    }
    // A signed identity: another conversation than an anonymous visitor of that name.
    let now = auth::system_clock()();
    let signed = |keys: &KeyRing, inbox: &str, exp| auth::sign_identity(keys, inbox, "customer-00000001", exp).expect("signed");
    let good = || Some(signed(&stand.site_keys, "shop", now + 60));
    let verified = open_session(&stand.base, &new("shop", None, good())).await.expect("a session");
    let unverified = open_session(&stand.base, &new("shop", Some("customer-00000001"), None)).await.expect("a session");
    assert_ne!(verified.conversation, unverified.conversation);
    let grant = tidegate_model::port::Authenticator::customer(&*stand.authority, &verified.token).expect("its own token");
    assert!(!grant.customer.is_none());
    // Identities that are foreign, old, too long-lived, or signed by somebody else.
    let refused = [
        (new("shop", None, Some(signed(&stand.site_keys, "bank", now + 60))), "foreign-token"),
        (new("shop", None, Some(signed(&stand.site_keys, "shop", now - 60))), "token-expired"),
        (new("shop", None, Some(signed(&stand.site_keys, "shop", now + 90_000))), "token-expired"),
        (new("shop", None, Some(signed(&crate::support::ring(1), "shop", now + 60))), "unauthorised"),
        (new("shop", Some("visitor-0000000001"), good()), "bad-field"),
        (new("bank", None, None), "verified-only"),
        (new("nowhere", None, None), "unknown-inbox"),
    ];
    for (new, expected) in refused {
        assert_eq!(slug(open_session(&stand.base, &new).await), expected, "{new:?}");
    }
    // The rule of a verified-only inbox holds at every message, whatever token somebody got hold of.
    let grant =
        CustomerGrant { tenant: TENANT, account: AccountId(8), conversation: ConversationId(6), customer: CustomerId::NONE };
    let token = stand.authority.mint_customer(&grant, 60).expect("minted");
    let mut client = WebClient::connect(&stand.base, &token, 0).await.expect("welcome");
    assert_eq!(client.send_text("x").await.expect_err("refused").slug(), "verified-only");
    assert_eq!(stand.port.accepted(), 0);
}

#[tokio::test]
async fn foreign_origins_are_refused_on_every_face() {
    let stand = stand().await;
    let session = stand.session(VISITOR).await;
    let bearer = format!("Bearer {}", session.token);
    for (origin, fine) in [
        ("https://shop.example", true),
        ("https://evil.example", false),
        ("https://shop.example.evil.example", false),
        ("null", false),
    ] {
        let mut request = format!("ws://{}/v1/web/ws", stand.address).into_client_request().expect("a request");
        request.headers_mut().insert("origin", origin.parse().expect("a header"));
        let upgrade = tokio_tungstenite::connect_async(request).await;
        assert_eq!(upgrade.is_ok(), fine, "{origin}");
        let headers = [("authorization", bearer.as_str()), ("origin", origin)];
        let (status, _) = send(&stand.base, "GET", "/v1/web/transcript", &headers, Vec::new()).await.expect("an answer");
        assert_eq!(status, if fine { 200 } else { 403 }, "{origin}");
        let body = json!({"inbox": "shop"}).to_string().into_bytes();
        let (status, _) = send(&stand.base, "POST", "/v1/web/sessions", &headers, body).await.expect("an answer");
        assert_eq!(status, if fine { 201 } else { 403 }, "{origin}");
    }
    assert_eq!(stand.handle.count("origins_refused"), 9);
}

#[tokio::test]
async fn http_input_is_judged_as_strictly() {
    let stand = stand().await;
    let session = stand.session(VISITOR).await;
    let bearer = format!("Bearer {}", session.token);
    let headers = [("authorization", bearer.as_str())];
    for (path, status, field) in [
        ("/v1/web/transcript?after=x", 400, "after"),
        ("/v1/web/transcript?after=4294967296", 400, "after"),
        ("/v1/web/transcript?after=4294967295", 409, "after"),
        ("/v1/web/transcript?wait_s=25", 0, ""),
        ("/v1/web/transcript?wait_s=26", 400, "wait_s"),
        ("/v1/web/transcript?wait_s=260", 400, "wait_s"),
        ("/v1/web/transcript?until=3", 400, "until"),
        ("/v1/web/events?wait_s=3", 400, "wait_s"),
    ] {
        if status == 0 {
            // In its limit: it would wait, so something is there first.
            stand.port.flood(&session.conversation, 1, 10);
        }
        let (found, body) = send(&stand.base, "GET", path, &headers, Vec::new()).await.expect("an answer");
        assert_eq!(found, if status == 0 { 200 } else { status }, "{path}: {body}");
        if status != 0 {
            assert_eq!(body["field"], field, "{path}: {body}");
        }
    }
    let (status, _) = send(&stand.base, "GET", "/v1/web/ws", &[], Vec::new()).await.expect("an answer");
    assert_eq!(status, 400, "not an upgrade");
    let (status, body) = send(&stand.base, "POST", "/v1/web/messages", &headers, b"\xff\xfe".to_vec()).await.expect("an answer");
    assert_eq!((status, body["type"].as_str()), (400, Some("/problems/malformed")));
}

#[tokio::test]
async fn refusals_and_pressure_are_told_in_the_channels_terms() {
    let stand = stand().await;
    let session = stand.session(VISITOR).await;
    let bearer = format!("Bearer {}", session.token);
    let headers = [("authorization", bearer.as_str())];
    let mut client = WebClient::connect(&stand.base, &session.token, 0).await.expect("welcome");
    let begin = Begin { queue: Some("nowhere".into()), ..Begin::default() };
    assert_eq!(client.begin(&begin).await.expect_err("refused").slug(), "unknown-queue");
    let phantom = client.begin(&Begin { tags: vec!["phantom".into()], ..Begin::default() }).await.expect_err("refused");
    assert!(phantom.slug() == "refused-by-rule" && phantom.to_string().contains("phantom record"), "{phantom}");
    assert_eq!(client.leave().await.expect_err("refused").slug(), "not-open");
    stand.port.busy(1);
    let busy = client.submit(json!({"type": "message", "text": "x"}), "b1").await.expect_err("busy");
    assert!(matches!(busy, ClientError::Busy { retry_after } if retry_after == Duration::from_millis(20)));
    assert!(!client.submit(json!({"type": "message", "text": "x"}), "b1").await.expect("taken").duplicate);
    stand.port.busy(1);
    let body = json!({"client_msg_id": "b2", "text": "y"}).to_string().into_bytes();
    let (status, answer) = send(&stand.base, "POST", "/v1/web/messages", &headers, body).await.expect("an answer");
    assert_eq!((status, answer["retry_after_ms"].as_u64()), (503, Some(20)));
}

/// While the router is frozen a connection holds a bounded number of acts and then stops reading; when it thaws all are
/// answered in order.
#[tokio::test]
async fn a_frozen_router_bounds_what_a_connection_holds() {
    let stand = stand_with(|config| config.web.pending = 4).await;
    let session = stand.session(VISITOR).await;
    let mut socket = raw(&stand.base, &session.token).await;
    stand.port.freeze(true);
    for i in 0..50 {
        let frame = json!({"type": "message", "client_msg_id": format!("m{i}"), "text": format!("{i}")});
        socket.send(Message::text(frame.to_string())).await.expect("written");
    }
    stand.wait_gauge("web_pending", 5).await;
    assert_eq!(stand.port.accepted(), 1, "one act is with the router");
    stand.port.freeze(false);
    for i in 0..50 {
        let Ended::Frame(frame) = answer(&mut socket).await else { panic!("closed") };
        assert_eq!((frame["type"].as_str(), frame["client_msg_id"].as_str()), (Some("ack"), Some(format!("m{i}").as_str())));
    }
    let expected: Vec<String> = (0..50).map(|i| i.to_string()).collect();
    assert_eq!(stand.port.bodies(&session.conversation), expected);
}

#[tokio::test]
async fn too_fast_is_told_and_then_closed() {
    let stand = stand_with(|config| {
        (config.web.frames_per_second, config.web.frames_burst, config.web.strikes) = (1, 5, 10);
    })
    .await;
    let session = stand.session(VISITOR).await;
    let mut socket = raw(&stand.base, &session.token).await;
    // The hello took one of five.
    for i in 0..15 {
        let frame = json!({"type": "message", "client_msg_id": format!("m{i}"), "text": "x"});
        socket.send(Message::text(frame.to_string())).await.expect("written");
    }
    let mut kinds = Vec::new();
    loop {
        match answer(&mut socket).await {
            Ended::Frame(frame) => kinds.push(frame["type"].as_str().expect("a type").to_owned()),
            Ended::Close(code) => {
                assert_eq!(code, 1008);
                break;
            }
        }
    }
    assert_eq!(kinds.iter().filter(|kind| *kind == "ack").count(), 4);
    assert_eq!(kinds.iter().filter(|kind| *kind == "busy").count(), 10);
    // HTTP has the same rate, one bucket a conversation.
    let session = stand.session("visitor-0000000002").await;
    let bearer = format!("Bearer {}", session.token);
    let mut statuses = Vec::new();
    for i in 0..8 {
        let body = json!({"client_msg_id": format!("m{i}"), "text": "x"}).to_string().into_bytes();
        statuses.push(send(&stand.base, "POST", "/v1/web/messages", &[("authorization", &bearer)], body).await.expect("answer").0);
    }
    assert_eq!(statuses[..5], [200; 5]);
    assert!(statuses[5..].contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn connections_end_at_their_limit() {
    let stand = stand_with(|config| config.web.connections = 2).await;
    let session = stand.session(VISITOR).await;
    let first = WebClient::connect(&stand.base, &session.token, 0).await.expect("welcome");
    let _second = WebClient::connect(&stand.base, &session.token, 0).await.expect("welcome");
    for _ in 0..20 {
        assert!(WebClient::connect(&stand.base, &session.token, 0).await.is_err());
    }
    assert_eq!(stand.handle.count("connections_refused"), 20);
    first.close().await;
    stand.wait_gauge("web_connections", 1).await;
    WebClient::connect(&stand.base, &session.token, 0).await.expect("a place again");
}

/// A reader that stops reading is cut off with 1013 after a bounded stall, and holds one page at most meanwhile.
#[tokio::test]
async fn a_slow_reader_is_cut_off() {
    let stand = stand_with(|config| config.web.stall = Millis(300)).await;
    let session = stand.session(VISITOR).await;
    let mut socket = raw(&stand.base, &session.token).await;
    // Far more than the socket buffers of both ends hold.
    stand.port.flood(&session.conversation, 8_000, 4_096);
    stand.wait_count("closed_slow", 1).await;
    // It wakes up: what was written before is there, without a gap, and then the reason.
    let mut n = 0;
    let code = loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let frame: Value = serde_json::from_str(&text).expect("JSON");
                assert_eq!(frame["n"], n + 1);
                n += 1;
            }
            Some(Ok(Message::Close(Some(frame)))) => break u16::from(frame.code),
            other => panic!("after {n}: {other:?}"),
        }
    };
    assert_eq!(code, 1013);
    assert!((1..8_000).contains(&n));
    // It resumes where it stopped.
    let mut client = WebClient::connect(&stand.base, &session.token, n).await.expect("welcome");
    assert_eq!(event(&mut client).await.0, n + 1);
}

#[tokio::test]
async fn a_drain_answers_what_is_in_flight_and_says_bye() {
    let stand = stand().await;
    let session = stand.session(VISITOR).await;
    let mut socket = raw(&stand.base, &session.token).await;
    let mut idle = WebClient::connect(&stand.base, &stand.session("visitor-0000000002").await.token, 0).await.expect("welcome");
    stand.port.freeze(true);
    for i in 0..3 {
        let frame = json!({"type": "message", "client_msg_id": format!("m{i}"), "text": "x"});
        socket.send(Message::text(frame.to_string())).await.expect("written");
    }
    stand.wait_gauge("web_pending", 3).await;
    let handle = stand.handle.clone();
    let drained = tokio::spawn(async move { handle.drain(Millis(700)).await });
    assert_eq!(idle.next_event().await.expect("bye"), WebEvent::Bye(Duration::from_millis(700)));
    stand.port.freeze(false);
    let mut kinds = Vec::new();
    loop {
        match answer(&mut socket).await {
            Ended::Frame(frame) => kinds.push(frame["type"].as_str().expect("a type").to_owned()),
            Ended::Close(code) => {
                assert_eq!(code, 1012);
                break;
            }
        }
    }
    // What waited behind was given back first; what was in flight is acknowledged.
    assert_eq!(kinds, ["busy", "busy", "ack", "bye"]);
    drained.await.expect("drained");
    assert!(WebClient::connect(&stand.base, &session.token, 0).await.is_err(), "nobody is let in any more");
}

/// Hundreds of connections in one process: each begins, is told so, and leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_at_once() {
    let stand = std::sync::Arc::new(stand().await);
    let count = scaled(300, 3_000);
    let mut all = tokio::task::JoinSet::new();
    for i in 0..count {
        let stand = std::sync::Arc::clone(&stand);
        all.spawn(async move {
            let session = stand.session(&format!("visitor-{i:010}")).await;
            let mut client = WebClient::connect(&stand.base, &session.token, 0).await.expect("welcome");
            client.begin(&Begin::default()).await.expect("begun");
            client.wait_for("queued").await.expect("queued");
            client.leave().await.expect("left");
            assert_eq!(client.wait_ended().await.expect("ended").exit, "abandoned_waiting");
            client.close().await;
        });
    }
    while let Some(done) = all.join_next().await {
        done.expect("a client's way");
    }
    assert_eq!(stand.handle.count("sessions_opened"), count as u64);
    stand.wait_gauge("web_connections", 0).await;
    stand.wait_gauge("web_pending", 0).await;
}
