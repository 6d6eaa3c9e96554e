//! What every test of the pages does: opens them, writes on them, reads what they show, takes pictures.
//!
//! A page is known by the attributes that it carries for this purpose (`data-…`) and by a few ids; nothing else of its inside.

use serde_json::{Value, json};
use std::path::PathBuf;
use tidegate_browser::{Browser, Node};

pub const LIVE: &str = "document.querySelector('main')?.dataset.link === 'live'";
/// Background windows of a test are somebody's foreground window: they must not be slowed.
pub const AWAKE: &[&str] =
    &["--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows"];
pub const ENTER: &str = "\u{e007}";
pub const CTRL: &str = "\u{e009}";
pub const ALT: &str = "\u{e00a}";
pub const ESCAPE: &str = "\u{e00c}";

pub fn nightly() -> bool {
    std::env::var("TIDEGATE_NIGHTLY").is_ok_and(|on| on == "1")
}

pub async fn chat(browser: &Browser, base: &str) {
    browser.go(&format!("{base}/chat/?inbox=shop&lang=en")).await;
    browser.until(LIVE).await;
}

pub async fn desk(browser: &Browser, base: &str, token: &str) {
    browser.go(&format!("{base}/desk/?lang=en#token={token}")).await;
    browser.until(LIVE).await;
}

/// Numbers, kinds and texts of the messages that a page shows.
pub async fn shown(browser: &Browser) -> Vec<(u64, String, String)> {
    let rows = browser
        .ask("[...document.querySelectorAll('ol [data-n][data-kind=customer], ol [data-n][data-kind=agent]')].map((li) => [Number(li.dataset.n), li.dataset.kind, li.querySelector('p').textContent])")
        .await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    rows.as_array().expect("rows").iter().map(|row| (row[0].as_u64().unwrap_or(0), text(&row[1]), text(&row[2]))).collect()
}

/// The same of the node's transcript.
pub async fn told(node: &Node, conversation: &str) -> Vec<(u64, String, String)> {
    let page = node.ask(&format!("/v1/tenants/1/conversations/{conversation}/transcript?max=1000")).await;
    let kind = |row: &Value| match row["item"].as_str() {
        Some("from_customer") => Some("customer"),
        Some("from_seat") => Some("agent"),
        _ => None,
    };
    let rows = page["items"].as_array().expect("items").iter();
    let row = |row: &Value| Some((row["n"].as_u64()?, kind(row)?.to_owned(), row["text"].as_str()?.to_owned()));
    rows.filter_map(row).collect()
}

pub async fn picture(browser: &Browser, name: &str) {
    if let Ok(directory) = std::env::var("TIDEGATE_PICTURES") {
        // What fades in has faded in: pictures are looked at by people.
        browser.until("document.getAnimations().every((one) => one.playState !== 'running' || one.effect.getTiming().iterations === Infinity)").await;
        std::fs::write(PathBuf::from(directory).join(name), browser.picture().await).expect("a picture is written");
    }
}

/// Writes and sends on the page of the current window.
pub async fn write(browser: &Browser, text: &str) {
    let body = "const field = document.getElementById('field'); field.value = arguments[0];
        field.dispatchEvent(new InputEvent('input', { bubbles: true })); document.getElementById('send').click();";
    browser.run(body, vec![json!(text)]).await;
}
