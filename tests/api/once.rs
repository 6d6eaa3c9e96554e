//! The same POST a thousand times: one effect, one answer, whatever happens between.
//!
//! Eight connections at once send one request again and again; when half of the answers have come, the process is killed by
//! `kill -9` and started again on its log. Who was cut repeats. All answers must be equal, and the log must hold one contact and one
//! message. Nobody waits by sleeping: who cannot connect waits for the next start.

use crate::client::{Ask, Told};
use crate::stand::{Node, Stand};
use serde_json::json;
use std::sync::{Condvar, Mutex};

const THREADS: usize = 8;
const POSTS: usize = 1_000;

#[derive(Default)]
struct Storm {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Requests that somebody has taken on.
    begun: usize,
    /// Starts of the node so far.
    starts: usize,
    answers: Vec<Told>,
}

/// Sends `ask` until `POSTS` answers have come, with a kill in the middle; the answers and the node that runs then.
fn storm(node: Node, stand: &Stand, address: &str, ask: &Ask) -> (Vec<Told>, Node) {
    let storm = Storm::default();
    let mut node = Some(node);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| one(&storm, address, ask));
        }
        let half = storm.changed.wait_while(storm.state.lock().expect("state"), |state| state.answers.len() < POSTS / 2);
        drop(half.expect("state"));
        node.take().expect("running").kill();
        node = Some(stand.start(address));
        storm.state.lock().expect("state").starts += 1;
        storm.changed.notify_all();
    });
    (storm.state.into_inner().expect("state").answers, node.expect("started again"))
}

fn one(storm: &Storm, address: &str, ask: &Ask) {
    loop {
        let starts = {
            let mut state = storm.state.lock().expect("state");
            if state.begun == POSTS {
                return;
            }
            state.begun += 1;
            state.starts
        };
        let told = loop {
            match ask.send(address) {
                // Another connection's is under way: its answer comes.
                Ok(told) if told.status == 409 && told.text.contains("idempotency-under-way") => std::thread::yield_now(),
                Ok(told) => break told,
                Err(_) => {
                    let state = storm.state.lock().expect("state");
                    drop(storm.changed.wait_while(state, |state| state.starts == starts && starts == 0).expect("state"));
                }
            }
        };
        storm.state.lock().expect("state").answers.push(told);
        storm.changed.notify_all();
    }
}

#[test]
fn the_same_post_a_thousand_times_over_a_kill_is_one_effect_with_one_answer() {
    let stand = Stand::new();
    let token = stand.token();
    let node = stand.start("127.0.0.1:0");
    let address = node.address();

    let begin = Ask::new("POST", "/v1/tenants/1/conversations").by(&token).key("order-4711");
    let begin = begin.json(&json!({"account": 1, "customer": "user-1", "queue": "sales"}));
    let (answers, node) = storm(node, &stand, &address, &begin);
    let first = answers[0].good(201);
    assert_eq!(answers.len(), POSTS);
    for told in &answers {
        assert_eq!(told.good(201), first);
    }
    let conversation = first["conversation"].as_str().expect("an id").to_owned();

    let path = format!("/v1/tenants/1/conversations/{conversation}/messages");
    let message = Ask::new("POST", &path).by(&token).key("order-4711").json(&json!({"text": "where is my parcel?"}));
    let (answers, node) = storm(node, &stand, &address, &message);
    let first = answers[0].good(200);
    for told in &answers {
        assert_eq!(told.good(200), first);
    }

    let get = |path: &str| Ask::new("GET", path).by(&token).send(&address).expect("an answer").good(200);
    let items = get(&path)["items"].as_array().expect("items").clone();
    let kinds: Vec<_> = items.iter().map(|item| item["item"].as_str().unwrap_or_default()).collect();
    assert_eq!(kinds, ["began", "queued", "from_customer"], "one contact, one message, over two kills");
    let figures = get("/v1/tenants/1/metrics");
    assert_eq!(figures["ledger"]["offered"], 1, "{figures}");

    // Another content under the same key is refused, before and after a restart.
    let other = |node: &Node| {
        let other = Ask::new("POST", &path).by(&token).key("order-4711").json(&json!({"text": "something else"}));
        other.send(&node.address()).expect("an answer").problem(422, "idempotency-conflict");
        let other = Ask::new("POST", "/v1/tenants/1/conversations").by(&token).key("order-4711");
        let other = other.json(&json!({"account": 1, "customer": "user-2", "queue": "sales"}));
        other.send(&node.address()).expect("an answer").problem(422, "idempotency-conflict");
    };
    other(&node);
    node.kill();
    let node = stand.start(&address);
    other(&node);
    assert_eq!(get("/v1/tenants/1/metrics")["ledger"]["offered"], 1);
}
