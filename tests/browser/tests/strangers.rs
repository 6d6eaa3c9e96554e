//! Hostile input on the pages: names and file names with script, with characters that reorder or hide, a clock that is wrong
//! by an hour on every page, and a half-open connection.
//!
//! What strangers wrote is read back from both pages and must be text, whole and visible as what it is.

use crate::support::{AWAKE, LIVE, chat, desk, picture, pictures, shown, write};
use serde_json::json;
use tidegate_browser::{Browser, Cutter, Node};
use tidegate_channels::client::http::send;

/// Nothing that a stranger wrote became an element, ran, or left its line.
const HARMLESS: &str =
    "window.hacked === undefined && document.querySelectorAll('main img, main script, main iframe, main svg a').length === 0";

#[tokio::test(flavor = "multi_thread")]
async fn names_are_text_wherever_a_desk_shows_them() {
    let node = Node::start().await;
    let browser = Browser::start(1280, 860, AWAKE).await;
    desk(&browser, node.base(), node.agent(0)).await;
    browser.press("#ready").await;
    for (at, (name, seen)) in [
        ("<img src=x onerror=window.hacked=1>", "<img src=x onerror=window.hacked=1>"),
        ("\u{202e}nimdA \u{2066}x\u{2069}", "[U+202E]nimdA [U+2066]x[U+2069]"),
        ("Li\u{200b}We\u{feff}i\u{ad}", "Li[U+200B]We[U+FEFF]i[U+00AD]"),
        ("王👩\u{200d}🚀", "王👩\u{200d}🚀"),
        ("Z\u{0351}\u{0351}\u{0351}\u{0351}\u{0351}\u{0351}\u{0351}", "Z\u{0351}\u{0351}\u{0351}\u{0351}…"),
    ]
    .into_iter()
    .enumerate()
    {
        let asked = json!({"inbox": "shop", "name": name}).to_string().into_bytes();
        let headers = [("content-type", "application/json")];
        let (status, session) = send(node.base(), "POST", "/v1/web/sessions", &headers, asked).await.expect("an answer");
        assert_eq!(status, 201, "{name:?}: {session}");
        let token = session["token"].as_str().expect("a token");
        crate::talk::post(&node, token, "begin", &json!({"client_msg_id": "b"})).await;
        browser.until("document.querySelector('.offer')").await;
        let tags = "[...document.querySelectorAll('.offer .tag')].map((tag) => tag.textContent)";
        browser.until(&format!("{tags}.includes({})", json!(seen))).await;
        if at == 1 {
            picture(&browser, "desk-hostile-name-en.png").await;
        }
        browser.run("document.querySelector('.offer .accept').click()", vec![]).await;
        browser.until(&format!("document.querySelector('.bar h2')?.textContent === {}", json!(seen))).await;
        let named = format!("document.querySelector('.row .name bdi').textContent === {}", json!(seen));
        assert_eq!(browser.ask(&named).await, true, "{name:?}");
        let claim = browser.ask("document.querySelector('.row').dataset.claim").await;
        browser.press("#end").await;
        browser.until("document.querySelector('.wrapup')").await;
        browser.press(".wrapup button").await;
        browser.until("document.querySelector('main').dataset.chats === '0'").await;
        assert_eq!(browser.ask(HARMLESS).await, true, "{name:?} of {claim}");
    }
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn file_names_are_text_and_say_what_they_hide() {
    let node = Node::start().await;
    let browser = Browser::start(1280, 860, AWAKE).await;
    let customer = browser.window().await;
    chat(&browser, node.base()).await;
    write(&browser, "hello").await;
    browser.until("document.querySelector('[data-n][data-kind=customer]')").await;
    // Names that no disk holds: as a page would give them, by the same act.
    let attach = "const [input] = document.querySelectorAll('.attach input'); const list = new DataTransfer();
        list.items.add(new File(['x'], arguments[0], { type: 'text/plain' })); input.files = list.files;
        input.dispatchEvent(new Event('change', { bubbles: true })); return 1";
    let long = format!("{}.txt", "长".repeat(120));
    let cut: String = long.chars().take(85).collect();
    for (at, (name, seen)) in [
        ("\"><script>window.hacked=1</script>.txt", "\"><script>window.hacked=1<_script>.txt"),
        ("invoice\u{202e}txt.exe", "invoice_txt.exe"),
        ("in\u{200b}vo\u{2060}ice\u{feff}.txt", "in_vo_ice_.txt"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("C:\\autoexec.bat", "C:_autoexec.bat"),
        ("a\r\nset-cookie: x=1", "a__set-cookie: x=1"),
        (&long, &cut),
    ]
    .into_iter()
    .enumerate()
    {
        browser.run(attach, vec![json!(name)]).await;
        let newest = "[...document.querySelectorAll('li.own[data-n] .file bdi')].map((one) => one.textContent)";
        browser.until(&format!("{newest}.length === {}", at + 1)).await;
        assert_eq!(browser.ask(&format!("{newest}.at(-1)")).await, *seen, "{name:?}");
    }
    assert_eq!(browser.ask("document.documentElement.scrollWidth <= innerWidth").await, true, "a long name stays in its place");
    browser.another(false).await;
    desk(&browser, node.base(), node.agent(0)).await;
    browser.press("#ready").await;
    browser.until("document.querySelector('.offer .accept:not(:disabled)')").await;
    browser.run("document.querySelector('.offer .accept').click()", vec![]).await;
    browser.until("document.querySelectorAll('.log .theirs .file').length === 7").await;
    let at_desk = browser.ask("[...document.querySelectorAll('.log .theirs .file bdi')].map((one) => one.textContent)").await;
    pictures(&browser, "desk-hostile-files").await;
    assert_eq!(browser.ask(HARMLESS).await, true);
    // What is saved has the name that was shown.
    let saved = "let name; const click = HTMLAnchorElement.prototype.click; return new Promise((done) => {
        HTMLAnchorElement.prototype.click = function () { HTMLAnchorElement.prototype.click = click; done([this.download, this.href.slice(0, 5)]); };
        document.querySelectorAll('.log .theirs .file')[1].click(); })";
    assert_eq!(browser.run(saved, vec![]).await, json!(["invoice_txt.exe", "blob:"]));
    browser.switch(&customer).await;
    let at_customer = browser.ask("[...document.querySelectorAll('li.own .file bdi')].map((one) => one.textContent)").await;
    assert_eq!(at_customer, at_desk);
    assert_eq!(browser.ask(HARMLESS).await, true);
    browser.end().await;
}

/// What whoever asks the computer's clock is told from then on: an hour off.
const CLOCK: &str = "const real = Date; globalThis.Date = class extends real { constructor(...a) { a.length ? super(...a) : super(real.now() + arguments_shift); }
    static now() { return real.now() + arguments_shift; } };";

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_wrong_by_an_hour_changes_nothing_on_any_page() {
    let node = Node::start().await;
    let browser = Browser::start(1280, 860, AWAKE).await;
    for shift in ["3.6e6", "-3.6e6"] {
        let clock = CLOCK.replace("arguments_shift", shift);
        let way = Cutter::before(node.address()).await;
        browser.go(&format!("{}/chat/?inbox=shop&lang=zh", way.base())).await;
        browser.until(LIVE).await;
        browser.run(&clock, vec![]).await;
        let customer = browser.window().await;
        write(&browser, "hello").await;
        // The standing and the times are the node's, and the connection goes on.
        browser.until("document.querySelector('.standing')").await;
        browser.keys("#field", "x").await;
        let node_time = "document.querySelector('li.own time').textContent";
        let own = "new Intl.DateTimeFormat('zh-CN', { hour: '2-digit', minute: '2-digit' }).format(performance.timeOrigin + performance.now())";
        let before = browser.ask(own).await;
        let shown_time = browser.ask(node_time).await;
        assert!(shown_time == before || shown_time == browser.ask(own).await, "{shown_time} is not the node's {before}");
        way.cut();
        browser.until("document.querySelector('main').dataset.link !== 'live'").await;
        browser.until(LIVE).await;

        browser.another(true).await;
        desk(&browser, node.base(), node.agent(0)).await;
        browser.run(&clock, vec![]).await;
        browser.keys("body", &format!("{}r", crate::support::ALT)).await;
        browser.until("document.querySelector('.offer .accept:not(:disabled)')").await;
        browser.run("document.querySelector('.offer .accept').click()", vec![]).await;
        browser.until("document.querySelector('.log [data-kind=customer]')").await;
        // Nobody has waited for an hour.
        let waited = browser.ask("document.querySelector('.row .when').textContent").await;
        assert!(waited.as_str().is_some_and(|waited| waited.starts_with("0:")), "{waited}");
        assert_eq!(browser.ask("document.querySelector('.row').dataset.risk").await, "calm");
        browser.switch(&customer).await;
        browser.keys("#field", "y").await;
        browser.another(true).await;
        browser.go(&format!("{}/wall/?lang=en#token={}", node.base(), node.admin())).await;
        browser.until(LIVE).await;
        browser.run(&clock, vec![]).await;
        browser.until("performance.now() - (window.since ??= performance.now()) > 1200").await;
        assert_eq!(browser.ask(LIVE).await, true, "its news are as old as they are");
        browser.switch(&customer).await;
        browser.press("#leave").await;
        browser.press(".sure button").await;
        browser.until("document.querySelector('main').dataset.stage === 'ended'").await;
        assert_eq!(shown(&browser).await.len(), 1);
    }
    browser.end().await;
}
