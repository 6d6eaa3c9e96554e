//! From a state change to the pixel: how long after an act at the node the wall and a desk have drawn it, on a large floor.
//!
//! The floor is real: seats signed in over sockets and full, contacts that wait, messages running in the background. Each page
//! stands in a browser of its own, so that it gets its frames, and notes by a MutationObserver when a change had been drawn (the
//! task after the frame). An act's clock starts before its request leaves; both clocks are this machine's. Nothing is asserted
//! about time: the figures are printed, and stand in docs/FIGURES.md. `TIDEGATE_NIGHTLY=1`: 1,000 agents and 10,000 waiting.

use crate::support::{ALT, AWAKE, LIVE, desk, nightly};
use crate::talk::{POLICY, begin, post, waits};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidegate_browser::{Browser, Node};
use tidegate_channels::client::{DeskClient, DeskEvent};
use tokio::time::{Instant, sleep_until};

/// Chats of a seat.
const UNITS: usize = 3;
/// Requests under way at once while the floor fills.
const AT_ONCE: usize = 32;

/// Notes in `window.seen` what LOOK gives (an array of new things), each with the time at which it had been drawn.
const WATCH: &str = "window.seen = []; const look = LOOK; const at = () => performance.timeOrigin + performance.now();
    const drawn = () => { const found = look(); if (!found.length) return;
        requestAnimationFrame(() => { const { port1, port2 } = new MessageChannel();
            port1.onmessage = () => found.forEach((one) => window.seen.push([one, at()])); port2.postMessage(0); }); };
    new MutationObserver(drawn).observe(document.body, { subtree: true, childList: true, characterData: true }); return at()";
/// The wall's count of waiting contacts, when it changed.
const COUNTS: &str =
    "(() => { let last; return () => { const now = Number(document.querySelector('[data-figure=waiting]').textContent);
    const is_new = now !== last; last = now; return is_new ? [now] : []; }; })()";
/// Numbers of the messages `act N` that were not in the desk's log before.
const MESSAGES: &str =
    "(() => { let last = -1; return () => { const all = [...document.querySelectorAll('.log [data-kind=customer] p')].slice(-5)
    .map((p) => /^act (\\d+)$/.exec(p.textContent)).filter(Boolean).map((found) => Number(found[1])).filter((n) => n > last);
    if (all.length) last = Math.max(...all); return all; }; })()";

fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64() * 1_000.0
}

/// A seat that takes what it is offered, keeps it, and writes every now and then.
async fn agent(node: Arc<Node>, at: usize, every: Duration) {
    let mut desk = DeskClient::sign_in(node.base(), node.agent(at)).await.expect("signed in");
    desk.ready().await.expect("ready");
    let mut claims = Vec::new();
    // Spread over the span, so that a thousand do not write together.
    let mut due = Instant::now() + every.mul_f64(at as f64 * 0.618 % 1.0);
    loop {
        tokio::select! {
            event = desk.next_event() => match event {
                Ok(DeskEvent::Offered(offer)) => drop(desk.accept(&offer.offer).await),
                Ok(DeskEvent::Assigned(claim)) => claims.push(claim.claim),
                Ok(_) => {}
                // The node ends with the test.
                Err(_) => return,
            },
            () = sleep_until(due) => {
                due += every;
                if let Some(claim) = claims.first() {
                    drop(desk.send_text(claim, "One moment please, I am looking into it.").await);
                }
            }
        }
    }
}

async fn owned_by(node: &Node, owner: &str) -> u64 {
    node.ask("/v1/status").await["tenants"][0]["ledger"][owner].as_u64().expect("a count")
}

async fn until_owned(node: &Node, owner: &str, count: u64) {
    while owned_by(node, owner).await < count {
        // Paces: asks again.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// So many more who wait, some at once.
async fn crowd(node: &Arc<Node>, count: usize) {
    let tasks = (0..AT_ONCE).map(|at| {
        let node = node.clone();
        let share = count / AT_ONCE + usize::from(at < count % AT_ONCE);
        tokio::spawn(async move {
            for _ in 0..share {
                waits(&node).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("all of them wait");
    }
}

/// Prints the percentiles of the times from acts to what was seen of them.
fn told(what: &str, acts: &[(u64, f64)], seen: &[(u64, f64)]) {
    let late = |(n, at): &(u64, f64)| seen.iter().find(|(shown, _)| shown >= n).map(|(_, drawn)| drawn - at);
    let mut times: Vec<f64> = acts.iter().filter_map(late).collect();
    assert_eq!(times.len(), acts.len(), "{what}: some acts were never drawn");
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() as f64 * share).ceil() as usize).clamp(1, times.len()) - 1];
    println!(
        "{what}: act to pixel p50 {:.0} ms, p95 {:.0} ms, p99 {:.0} ms, max {:.0} ms, n {}",
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0),
        times.len()
    );
}

async fn seen(browser: &Browser, last: u64) -> Vec<(u64, f64)> {
    browser.until(&format!("window.seen.some(([n]) => n >= {last})")).await;
    let rows = browser.ask("window.seen").await;
    let row = |row: &serde_json::Value| (row[0].as_u64().unwrap_or(0), row[1].as_f64().unwrap_or(0.0));
    rows.as_array().expect("rows").iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_change_is_drawn_on_a_full_floor() {
    let (agents, waiting, acts, every) = if nightly() { (1_000, 10_000, 300, 10) } else { (20, 200, 20, 2) };
    let mut config =
        "data_dir = \"data\"\n[[tenant]]\nid = 1\npolicy = \"policy.toml\"\n  [[tenant.inbox]]\n  name = \"shop\"\n  account = 1\n"
            .to_owned();
    for seat in 1..=agents {
        // The first one's page has one chat, and so nothing else on it.
        let units = if seat == 1 { 1 } else { UNITS };
        config += &format!(
            "  [[tenant.agent]]\n  seat = {seat}\n  name = \"Agent {seat}\"\n  skills = {{ sales = 8 }}\n  units = {units}\n"
        );
    }
    let node = Arc::new(Node::with("127.0.0.1:0", &config, POLICY, &[]).await);
    let at_desk = Browser::start(1280, 860, AWAKE).await;
    let customer = waits(&node).await;
    desk(&at_desk, node.base(), node.agent(0)).await;
    at_desk.keys("body", &format!("{ALT}r")).await;
    at_desk.until("document.querySelector('.offer .accept:not(:disabled)')").await;
    at_desk.run("document.querySelector('.offer .accept').click()", vec![]).await;
    at_desk.until("document.querySelector('.chat')").await;
    let floor: Vec<_> = (1..agents).map(|at| tokio::spawn(agent(node.clone(), at, Duration::from_secs(every)))).collect();
    crowd(&node, (agents - 1) * UNITS).await;
    until_owned(&node, "in_service", (agents - 1) as u64 * UNITS as u64 + 1).await;
    crowd(&node, waiting).await;
    until_owned(&node, "waiting", waiting as u64).await;

    let at_wall = Browser::start(1920, 1080, AWAKE).await;
    at_wall.go(&format!("{}/wall/?lang=zh#token={}", node.base(), node.admin())).await;
    at_wall.until(&format!("{LIVE} && document.querySelector('[data-figure=waiting]').textContent === '{waiting}'")).await;
    for (browser, look) in [(&at_wall, COUNTS), (&at_desk, MESSAGES)] {
        let before = now_ms();
        let there = browser.run(&WATCH.replace("LOOK", look), vec![]).await.as_f64().expect("a time");
        println!("the page's clock stands {:.1} to {:.1} ms before ours", before - there, now_ms() - there);
    }
    let (mut at_the_wall, mut at_the_desk) = (Vec::new(), Vec::new());
    let mut due = Instant::now();
    for act in 0..acts {
        // Acts come at any moment of a push's span, at every so many of its hundredths.
        due += Duration::from_millis(300 + act * 37 % 500);
        sleep_until(due).await;
        at_the_wall.push((waiting as u64 + act + 1, now_ms()));
        begin(&node, json!({"client_msg_id": "b"})).await;
        at_the_desk.push((act, now_ms()));
        let said =
            post(&node, &customer, "messages", &json!({"client_msg_id": format!("a{act}"), "text": format!("act {act}")})).await;
        assert_eq!(said.0, 200, "{}", said.1);
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{agents} agents, {waiting} waiting, {} messages a second behind, load {}", (agents - 1) as u64 / every, load.trim());
    told("wall", &at_the_wall, &seen(&at_wall, waiting as u64 + acts).await);
    told("desk", &at_the_desk, &seen(&at_desk, acts - 1).await);
    floor.iter().for_each(tokio::task::JoinHandle::abort);
    at_desk.end().await;
    at_wall.end().await;
}
