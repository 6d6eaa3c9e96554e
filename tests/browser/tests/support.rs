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

/// Words of controls and headings that do not fit where they stand, and a page that is wider than its window.
const CLIPPED: &str = "[...document.querySelectorAll('button, h1, h2, h3, th, td, dt, dd, .pill, .tag, .standing *, .figures *')]
    .filter((one) => one.getClientRects().length && one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline')
    .map((one) => one.outerHTML).concat(document.documentElement.scrollWidth > innerWidth ? ['the page'] : [])";

/// Takes a picture, if pictures are asked for; whatever is asked for, nothing may be clipped.
pub async fn picture(browser: &Browser, name: &str) {
    assert_eq!(browser.ask(CLIPPED).await, json!([]), "clipped: {name}");
    if let Ok(directory) = std::env::var("TIDEGATE_PICTURES") {
        // What fades in has faded in: pictures are looked at by people.
        browser.until("document.getAnimations().every((one) => one.playState !== 'running' || one.effect.getTiming().iterations === Infinity)").await;
        std::fs::write(PathBuf::from(directory).join(name), browser.picture().await).expect("a picture is written");
    }
}

/// A picture in each language, of a page that speaks English before and after.
pub async fn pictures(browser: &Browser, name: &str) {
    let other = "document.getElementById('language').click()";
    picture(browser, &format!("{name}-en.png")).await;
    browser.run(other, vec![]).await;
    browser.until("document.documentElement.lang === 'zh-CN'").await;
    // Drawn with the next frame, or a little later where there are none.
    browser.run("return new Promise((done) => setTimeout(done, 250))", vec![]).await;
    picture(browser, &format!("{name}-zh.png")).await;
    browser.run(other, vec![]).await;
    browser.until("document.documentElement.lang === 'en'").await;
}

/// Writes and sends on the page of the current window.
pub async fn write(browser: &Browser, text: &str) {
    let body = "const field = document.getElementById('field'); field.value = arguments[0];
        field.dispatchEvent(new InputEvent('input', { bubbles: true })); document.getElementById('send').click();";
    browser.run(body, vec![json!(text)]).await;
}
