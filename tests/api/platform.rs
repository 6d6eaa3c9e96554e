//! A platform with its own front end: a contact from its beginning to the end of its wrap-up, over HTTP alone.
//!
//! Also what is listed meanwhile, that cursors meet everybody once, and that a dry run of a policy says what a swap would do.

use crate::client::Ask;
use crate::stand::Stand;
use serde_json::{Value, json};
use std::collections::BTreeSet;

struct Api {
    address: String,
    token: String,
    keys: std::cell::Cell<u32>,
}

impl Api {
    fn get(&self, path: &str) -> Value {
        Ask::new("GET", &format!("/v1/tenants/1{path}")).by(&self.token).send(&self.address).expect("an answer").good(200)
    }

    fn post(&self, path: &str, body: &Value) -> crate::client::Told {
        self.keys.set(self.keys.get() + 1);
        let ask = Ask::new("POST", &format!("/v1/tenants/1{path}")).by(&self.token).key(&format!("key-{}", self.keys.get()));
        ask.json(body).send(&self.address).expect("an answer")
    }

    fn command(&self, body: Value) -> Value {
        self.post("/seats/1/commands", &body).good(200)
    }
}

#[test]
fn a_contact_is_served_over_http_alone() {
    let stand = Stand::new();
    let node = stand.start("127.0.0.1:0");
    let api = Api { address: node.address(), token: stand.token(), keys: std::cell::Cell::new(0) };

    let begun = api.post("/conversations", &json!({"account": 1, "customer": "u-1", "queue": "sales", "tags": ["vip"]})).good(201);
    let conversation = begun["conversation"].as_str().expect("an id").to_owned();
    let contact = begun["contact"].as_str().expect("a contact").to_owned();
    api.post("/conversations", &json!({"account": 1, "customer": "u-1"})).problem(409, "already-open");
    let open = api.get("/contacts?state=waiting");
    assert_eq!(open["contacts"][0]["contact"], json!(contact), "{open}");
    assert_eq!(open["contacts"][0]["queue"], "sales");
    let queue = &api.get("/queues")["queues"];
    let sales = queue.as_array().and_then(|rows| rows.iter().find(|row| row["queue"] == "sales")).expect("the queue").clone();
    assert_eq!((&sales["waiting"], &sales["offered"]), (&json!(1), &json!(0)), "{sales}");
    assert_eq!(sales["oldest_waiting_since_ms"], open["contacts"][0]["waiting_since_ms"]);
    assert_eq!(sales["agents"]["ready"], 0);

    api.post("/seats/1/commands", &json!({"act": "ready"})).problem(409, "not-signed-in");
    api.command(json!({"act": "sign_in"}));
    assert_eq!(api.get("/seats/1")["presence"], "paused");
    api.command(json!({"act": "ready"}));
    let seat = api.get("/seats/1");
    let offer = seat["offers"][0]["offer"].as_str().expect("an offer").to_owned();
    assert_eq!(seat["offers"][0]["contact"], json!(contact), "{seat}");
    assert_eq!(api.get(&format!("/contacts/{contact}"))["state"], "offered");
    assert_eq!(api.command(json!({"act": "accept", "offer": offer}))["contact"], json!(contact));
    let view = api.get(&format!("/conversations/{conversation}"));
    assert_eq!((&view["contact"]["state"], &view["contact"]["seat"]), (&json!("in_service"), &json!("1")), "{view}");

    api.post(&format!("/conversations/{conversation}/messages"), &json!({"text": "你好\n<b>hello</b>"})).good(200);
    api.command(json!({"act": "send", "claim": offer, "text": "good day"}));
    api.command(json!({"act": "end", "claim": offer}));
    assert!(!api.get("/seats/1")["claims"][0]["wrap_up_until_ms"].is_null());
    api.command(json!({"act": "wrap_up", "claim": offer, "code": "solved"}));
    let seat = api.get("/seats/1");
    assert_eq!((&seat["claims"], &seat["used_units"]), (&json!([]), &json!(0)), "{seat}");
    let ended = Ask::new("GET", &format!("/v1/tenants/1/contacts/{contact}")).by(&api.token).send(&api.address).expect("an answer");
    ended.problem(404, "unknown-contact");

    // Page by page: numbers without gap, every text as it was said.
    let (mut after, mut items) = (json!(0), Vec::new());
    loop {
        let page = api.get(&format!("/conversations/{conversation}/messages?max=2&after={after}"));
        items.extend(page["items"].as_array().expect("items").clone());
        if page["next"].is_null() {
            break;
        }
        after = page["next"].clone();
    }
    let kinds: Vec<_> = items.iter().map(|item| item["item"].as_str().unwrap_or_default()).collect();
    assert_eq!(kinds, ["began", "queued", "assigned", "from_customer", "from_seat", "ended"]);
    assert_eq!(items[3]["text"], "你好\n<b>hello</b>");
    assert_eq!(items[5]["exit"], "served");
    api.post(&format!("/conversations/{conversation}/leave"), &json!({})).problem(409, "not-open");
    let figures = api.get("/metrics");
    assert_eq!(figures["ledger"]["exits"]["served"], 1, "{figures}");
}

#[test]
fn cursors_meet_everybody_once_while_others_come() {
    let stand = Stand::new();
    let node = stand.start("127.0.0.1:0");
    let api = Api { address: node.address(), token: stand.token(), keys: std::cell::Cell::new(0) };
    let begin = |customer: String| api.post("/conversations", &json!({"account": 1, "customer": customer})).good(201);
    let there: BTreeSet<String> =
        (0..25).map(|n| begin(format!("first-{n}"))["conversation"].as_str().expect("an id").to_owned()).collect();
    let (mut path, mut seen) = ("/conversations?max=4".to_owned(), Vec::new());
    for round in 0.. {
        let page = api.get(&path);
        seen.extend(
            page["conversations"]
                .as_array()
                .expect("rows")
                .iter()
                .map(|row| row["conversation"].as_str().unwrap_or_default().to_owned()),
        );
        begin(format!("later-{round}"));
        match page["next"].as_str() {
            Some(next) if round < 100 => path = format!("/conversations?max=4&after={next}"),
            _ => break,
        }
    }
    for id in &there {
        assert_eq!(seen.iter().filter(|seen| *seen == id).count(), 1, "{id}");
    }
    assert_eq!(api.get("/conversations?state=idle")["conversations"], json!([]));
    let ask = |path: &str| Ask::new("GET", &format!("/v1/tenants/1{path}")).by(&api.token).send(&api.address).expect("an answer");
    for cursor in ["0", "c", "cg", "C1", "c123456789", "c+1", "%63%30"] {
        ask(&format!("/conversations?after={cursor}")).problem(400, "bad-parameter");
    }
}

#[test]
fn a_dry_run_says_what_a_swap_would_do_and_does_nothing() {
    const POLICY: &str = include_str!("../../examples/serve/policy.toml");
    let stand = Stand::new();
    let node = stand.start("127.0.0.1:0");
    let api = Api { address: node.address(), token: stand.token(), keys: std::cell::Cell::new(0) };
    for customer in ["a", "b"] {
        api.post("/conversations", &json!({"account": 1, "customer": customer, "queue": "sales"})).good(201);
    }
    let validate = |text: &str| {
        let ask = Ask::new("POST", "/v1/tenants/1/policy/validate").by(&api.token).body("application/toml", text);
        ask.send(&api.address).expect("an answer").good(200)
    };
    let same = validate(POLICY);
    assert_eq!(same["swap"], json!({"waiting": 2, "steps_gone": 0, "queues_gone": 0}), "{same}");
    let renamed = validate(&POLICY.replace("\"sales\"", "\"retail\"").replace("sales =", "retail ="));
    assert_eq!((&renamed["valid"], &renamed["swap"]["queues_gone"]), (&json!(true), &json!(2)), "{renamed}");
    let faulty = validate(&POLICY.replacen("requires = { support = 1 }", "requires = { suport = 1 }", 1));
    assert_eq!((&faulty["valid"], &faulty["swap"]), (&json!(false), &Value::Null), "{faulty}");
    assert!(faulty["errors"][0]["line"].as_u64().is_some_and(|line| line > 0), "{faulty}");
    assert!(faulty["errors"][0]["remedy"].as_str().is_some_and(|remedy| remedy.contains("support")), "{faulty}");
    let active = Ask::new("GET", "/v1/tenants/1/policy").by(&api.token).send(&api.address).expect("an answer");
    assert_eq!(active.text, POLICY, "nothing changed");
}
