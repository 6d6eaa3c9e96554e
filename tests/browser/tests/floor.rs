//! The wall against what really happened: waits, service level with its counts, agents by state, how contacts ended.
//!
//! Contacts come and are served over sockets; the figures are read off the page. What is late is made so by its target, not by
//! waiting: nobody is answered within a millisecond who came before the agent signed in.

use crate::support::{AWAKE, LIVE, picture};
use crate::talk::{POLICY, begin, ends, post, serves, waits};
use serde_json::json;
use tidegate_browser::{Browser, Node};
use tidegate_channels::client::DeskClient;

const CONFIG: &str = include_str!("../../../examples/serve/tidegate.toml");

#[tokio::test(flavor = "multi_thread")]
async fn the_wall_counts_what_happened() {
    let policy = POLICY.replace(
        "  [[desk.queue]]\n  name = \"support\"\n",
        "  [[desk.queue]]\n  name = \"support\"\n  answer_within = \"1ms\"\n  answer_percent = 90\n",
    );
    assert_ne!(policy, POLICY);
    let node = Node::with("127.0.0.1:0", CONFIG, &policy, &[]).await;
    let browser = Browser::start(1920, 1080, AWAKE).await;
    browser.go(&format!("{}/wall/?lang=en#token={}", node.base(), node.admin())).await;
    browser.until(LIVE).await;
    let figure = |name: &str| format!("document.querySelector('[data-figure={name}]')?.textContent");
    let cells = |queue: &str| format!("[...document.querySelectorAll('[data-queue={queue}] td')].map((td) => td.textContent)");
    browser.until(&format!("{} === '0'", figure("served"))).await;
    assert_eq!(browser.ask(&figure("level")).await, "–", "nobody has left: there is no level");
    // Two who are served, and one who leaves.
    waits(&node).await;
    waits(&node).await;
    let leaver = waits(&node).await;
    browser.until(&format!("{} === '3'", figure("waiting"))).await;
    browser.until(&format!("/^0:0\\d$/.test({})", figure("oldest"))).await;
    let left = post(&node, &leaver, "leave", &json!({"client_msg_id": "l"})).await;
    assert_eq!(left.0, 200, "{}", left.1);
    browser.until(&format!("{} === '1' && {} === '0%'", figure("abandoned"), figure("level"))).await;
    assert_eq!(browser.ask(&format!("{}.slice(3)", cells("sales"))).await, json!(["0% · 0/1", "80/20", "0", "1"]));

    let mut sales = DeskClient::sign_in(node.base(), node.agent(0)).await.expect("signed in");
    sales.ready().await.expect("ready");
    serves(&mut sales, "sold").await;
    // Said twice under one id, and once more under another: it counts once.
    let claim = ends(&mut sales).await;
    let frame = json!({"type": "wrap_up", "claim": claim, "code": "sold"});
    let id = sales.fresh_id();
    for _ in 0..2 {
        sales.submit(frame.clone(), &id).await.expect("taken, or answered as it was");
    }
    assert!(sales.wrap_up(&claim, "sold").await.is_err(), "the claim is gone");
    sales.pause("lunch").await.expect("paused");
    browser.until("document.querySelector('[data-agents=paused]').textContent === '1'").await;
    begin(&node, json!({"client_msg_id": "b", "queue": "support"})).await;
    let mut support = DeskClient::sign_in(node.base(), node.agent(2)).await.expect("signed in");
    support.ready().await.expect("ready");
    // This one stops in its wrap-up, and then says a code that the policy does not know.
    let claim = ends(&mut support).await;
    browser.until("document.querySelector('[data-agents=wrap_up]').textContent === '1'").await;
    support.wrap_up(&claim, "a code of somebody's own").await.expect("wrapped up");
    browser.until("document.querySelector('[data-agents=ready]').textContent === '1'").await;
    browser.until(&format!("{} === '3'", figure("served"))).await;
    // Offered 3 to sales (one left), 2 of them in time; support's one was late by its own target.
    browser.until(&format!("{}.slice(3).join() === '67% · 2/3,80/20,2,1'", cells("sales"))).await;
    browser.until(&format!("{}.slice(3).join() === '0% · 0/1,90/0.001,1,0'", cells("support"))).await;
    browser.until(&format!("{} === '50%'", figure("level"))).await;
    browser.until("document.querySelector('[data-code=sold]')?.textContent === '2'").await;
    browser.until("document.querySelectorAll('.wraps div').length === 2").await;
    assert_eq!(browser.ask("document.querySelectorAll('.wraps div')[1].innerText.replace(/\\s+/g, ' ')").await, "other 1");
    let whole = "document.documentElement.scrollHeight <= innerHeight && document.documentElement.scrollWidth <= innerWidth";
    assert_eq!(browser.ask(whole).await, true, "a wall is not scrolled");
    picture(&browser, "wall-counted-en.png").await;
    browser.press("#language").await;
    browser.until("document.querySelector('[data-queue=sales] td').textContent === '销售'").await;
    picture(&browser, "wall-counted-zh.png").await;
    browser.end().await;
}
