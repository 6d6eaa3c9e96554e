//! Bad input over real sockets: oversized, nested, repeated and tricky, each limit at it, one above and ten times above.
//!
//! Every refusal is a problem of the table with the right status, and the node serves on.

use crate::client::{Ask, Told};
use crate::stand::{Node, Stand};
use serde_json::{Value, json};
use tidegate_router::http::{ACT_BYTES_MAX, CUSTOMER_BYTES_MAX, DEPTH_MAX, KEY_BYTES_MAX, QUERY_BYTES_MAX, VALUES_MAX};

struct Rig {
    stand: Stand,
    node: Node,
    keys: std::cell::Cell<u32>,
}

impl Rig {
    fn new() -> Self {
        let stand = Stand::new();
        let node = stand.start("127.0.0.1:0");
        Self { stand, node, keys: std::cell::Cell::new(0) }
    }

    fn ask(&self, method: &str, path: &str) -> Ask {
        Ask::new(method, path).by(&self.stand.token())
    }

    fn send(&self, ask: Ask) -> Told {
        ask.send(&self.node.address()).expect("an answer")
    }

    fn fresh(&self) -> String {
        self.keys.set(self.keys.get() + 1);
        format!("hostile-{}", self.keys.get())
    }

    fn begin(&self, body: &str) -> Told {
        self.send(self.ask("POST", "/v1/tenants/1/conversations").key(&self.fresh()).body("application/json", body))
    }

    fn conversation(&self) -> String {
        let begun = self.begin(&json!({"account": 1, "customer": self.fresh()}).to_string()).good(201);
        begun["conversation"].as_str().expect("an id").to_owned()
    }
}

#[test]
fn texts_and_bodies_have_limits() {
    let rig = Rig::new();
    let path = format!("/v1/tenants/1/conversations/{}/messages", rig.conversation());
    let write = |text: &str| rig.send(rig.ask("POST", &path).key(&rig.fresh()).json(&json!({ "text": text })));
    write("x").good(200);
    write("").problem(422, "bad-field");
    write(&"x".repeat(4_096)).good(200);
    write(&"x".repeat(4_097)).problem(422, "too-long");
    write(&"中".repeat(1_365)).good(200);
    write(&"中".repeat(1_366)).problem(422, "too-long");
    write(&"x".repeat(ACT_BYTES_MAX)).problem(413, "too-large");
    write(&"x".repeat(10 << 20)).problem(413, "too-large");
    // Script, right-to-left, zero-width, control: text is text, and comes back as it was.
    let tricky = "<script>alert(1)</script>\u{202e}gpj\u{200b}\u{0000}\u{001b}[2J' OR 1=1 --";
    let n = write(tricky).good(200)["n"].as_u64().expect("a number");
    let page = rig.send(rig.ask("GET", &format!("{path}?after={}&max=1", n - 1))).good(200);
    assert_eq!(page["items"][0]["text"], tricky);
    let padded = |bytes: usize| format!("{{\"text\":\"x\"{}}}", " ".repeat(bytes - 12));
    let raw = |body: String| rig.send(rig.ask("POST", &path).key(&rig.fresh()).body("application/json", body));
    raw(padded(ACT_BYTES_MAX)).good(200);
    raw(padded(ACT_BYTES_MAX + 1)).problem(413, "too-large");
    raw(padded(ACT_BYTES_MAX * 10)).problem(413, "too-large");
}

#[test]
fn json_is_read_strictly() {
    let rig = Rig::new();
    let name = |bytes: usize| format!(r#"{{"account":1,"customer":"{}"}}"#, "c".repeat(bytes));
    rig.begin(&name(CUSTOMER_BYTES_MAX)).good(201);
    rig.begin(&name(CUSTOMER_BYTES_MAX + 1)).problem(422, "too-long");
    rig.begin(&name(CUSTOMER_BYTES_MAX * 10)).problem(422, "too-long");
    let deep = |depth: usize| format!(r#"{{"account":{}1{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    rig.begin(&deep(DEPTH_MAX)).problem(422, "bad-field");
    rig.begin(&deep(DEPTH_MAX + 1)).problem(400, "too-deep");
    rig.begin(&deep(DEPTH_MAX * 10)).problem(400, "too-deep");
    let many = |count: usize| format!(r#"{{"account":1,"tags":[{}]}}"#, vec!["0"; count - 2].join(","));
    rig.begin(&many(VALUES_MAX)).problem(422, "bad-field");
    rig.begin(&many(VALUES_MAX + 2)).problem(400, "too-many-values");
    rig.begin(&many(VALUES_MAX * 10)).problem(400, "too-many-values");
    let tags = |count: usize| json!({"account": 1, "customer": rig.fresh(), "tags": vec!["vip"; count]}).to_string();
    rig.begin(&tags(4)).good(201);
    rig.begin(&tags(5)).problem(422, "bad-field");
    rig.begin(&tags(40)).problem(422, "bad-field");
    for (body, status, slug) in [
        ("", 400, "malformed"),
        ("{", 400, "malformed"),
        ("null", 422, "bad-field"),
        ("[]", 422, "bad-field"),
        (r#"{"account":1,"account":2,"customer":"x"}"#, 400, "malformed"),
        (r#"{"account":1,"customer":"x"} {}"#, 400, "malformed"),
        (r#"{"account":1,"customer":"x","Customer":"y"}"#, 422, "unknown-field"),
        (r#"{"account":1,"customer":"x","__proto__":{}}"#, 422, "unknown-field"),
        (r#"{"account":1e400,"customer":"x"}"#, 400, "malformed"),
        (r#"{"account":1.5,"customer":"x"}"#, 422, "bad-field"),
        (r#"{"account":"1","customer":"x"}"#, 422, "bad-field"),
        (r#"{"account":-1,"customer":"x"}"#, 422, "bad-field"),
        (r#"{"account":99,"customer":"x"}"#, 404, "unknown-account"),
        (r#"{"account":1,"customer":"x","preferred":"0x10"}"#, 422, "bad-field"),
        (r#"{"account":1,"customer":"x","preferred":"01"}"#, 422, "bad-field"),
        (r#"{"account":1,"customer":"x","queue":"no such queue"}"#, 404, "unknown-queue"),
        ("{\"account\":1,\"customer\":\"a\\u0000b\"}", 422, "bad-field"),
        ("\u{feff}{}", 400, "malformed"),
    ] {
        rig.begin(body).problem(status, slug);
    }
    let raw = rig.ask("POST", "/v1/tenants/1/conversations").key(&rig.fresh());
    rig.send(raw.body("application/json", b"{\"account\":1,\"customer\":\"\xff\"}".to_vec())).problem(400, "malformed");
    let figures = rig.send(rig.ask("GET", "/v1/tenants/1/metrics")).good(200);
    assert_eq!(figures["ledger"]["offered"], 2, "nobody was let in by a trick: {figures}");
}

#[test]
fn headers_and_paths_play_no_tricks() {
    let rig = Rig::new();
    let body = json!({"account": 1, "customer": "x"});
    let post = || rig.ask("POST", "/v1/tenants/1/conversations");
    rig.send(post().json(&body)).problem(400, "idempotency-key-required");
    for key in ["", "two words", "ключ", &"k".repeat(KEY_BYTES_MAX + 1), &"k".repeat(KEY_BYTES_MAX * 10)] {
        rig.send(post().key(key).json(&body)).problem(400, "bad-parameter");
    }
    rig.send(post().key("a").key("b").json(&body)).problem(400, "bad-parameter");
    rig.send(post().key(&"k".repeat(KEY_BYTES_MAX)).json(&body)).good(201);
    rig.send(post().key("t").body("text/plain", body.to_string())).problem(415, "media-type");
    rig.send(post().key("t").body("application/json; charset=utf-8", json!({"account": 1, "customer": "y"}).to_string())).good(201);
    for path in [
        "/v1/tenants/0/seats",
        "/v1/tenants/2/seats",
        "/v1/tenants/01/seats",
        "/v1/tenants/+1/seats",
        "/v1/tenants/-1/seats",
        "/v1/tenants/1%00/seats",
        "/v1/tenants/4294967297/seats",
        "/v1/tenants/1;2/seats",
        "/v1/tenants/%2e%2e/seats",
        "/v1/tenants/１/seats",
    ] {
        rig.send(rig.ask("GET", path)).problem(404, "unknown-tenant");
    }
    for path in [
        "/v1/tenants/1/seats/",
        "/v1//tenants/1/seats",
        "/v1/tenants/1/../1/seats",
        "/V1/tenants/1/seats",
        "/v1/tenants/1/seats%2f1",
    ] {
        rig.send(rig.ask("GET", path)).problem(404, "no-such-route");
    }
    rig.send(rig.ask("GET", "/v1/tenants/%ff/seats")).problem(400, "bad-parameter");
    for path in [
        "/seats/0",
        "/seats/01",
        "/seats/18446744073709551616",
        "/seats/0x1",
        "/conversations/0",
        "/conversations/xyz",
        "/contacts/1e3",
    ] {
        rig.send(rig.ask("GET", &format!("/v1/tenants/1{path}"))).problem(400, "bad-parameter");
    }
    let query = |bytes: usize| format!("/v1/tenants/1/seats?max={}1", "0".repeat(bytes - 5));
    assert_eq!(rig.send(rig.ask("GET", &query(QUERY_BYTES_MAX))).status, 200, "at the limit");
    rig.send(rig.ask("GET", &query(QUERY_BYTES_MAX + 1))).problem(400, "bad-parameter");
    rig.send(rig.ask("GET", &query(QUERY_BYTES_MAX * 10))).problem(400, "bad-parameter");
    for (query, slug) in [
        ("max=1&max=1", "bad-parameter"),
        ("MAX=1", "unknown-parameter"),
        ("max=%31", "bad-parameter"),
        ("limit=1", "unknown-parameter"),
    ] {
        rig.send(rig.ask("GET", &format!("/v1/tenants/1/seats?{query}"))).problem(400, slug);
    }
    let deleted = rig.send(rig.ask("DELETE", "/v1/tenants/1/seats"));
    deleted.problem(405, "method");
    assert!(deleted.head.contains("allow: get"), "{}", deleted.head);
}

#[test]
fn failed_authentications_are_limited_and_a_good_token_is_never_locked_out() {
    let rig = Rig::new();
    let wrong = || rig.send(Ask::new("GET", "/v1/status").by(&"0".repeat(64)));
    let told: Vec<Told> = (0..60).map(|_| wrong()).collect();
    told[0].problem(401, "unauthorised");
    let limited = told.iter().find(|told| told.status == 429).expect("sixty at once are too many");
    limited.problem(429, "rate-limited");
    assert!(limited.head.contains("retry-after: "), "{}", limited.head);
    let good = rig.send(rig.ask("GET", "/v1/status"));
    assert_eq!(good.status, 200);
    for field in [
        "ratelimit-policy: \"token\";q=4000;w=2",
        "ratelimit: \"token\";r=",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
    ] {
        assert!(good.head.contains(field), "{field} in {}", good.head);
    }
    assert_ne!(good.json(), Value::Null);
}
