//! What was written against the text of the protocol alone, driven on the pages: standings, typing, catalogues, files, sign-in.
//!
//! Each act is done on one page (or by a socket of its own) and read off the other one, and off the node. The provider of the
//! sign-in is a server of somebody else's (`oidc-provider-mock` of PyPI); TIDEGATE_OIDC_PROVIDER names its program.

use crate::support::{ALT, AWAKE, ENTER, ESCAPE, LIVE, chat, desk, picture, pictures, write};
use serde_json::{Value, json};
use std::process::Stdio;
use tidegate_browser::{Browser, Cutter, Node, Way};
use tidegate_channels::client::http::send;
use tidegate_channels::client::{DeskClient, DeskEvent, NewVisitor, WebClient, open_session};
use tokio::io::{AsyncBufReadExt, BufReader};

pub const POLICY: &str = include_str!("../../../examples/serve/policy.toml");
const CONFIG: &str = include_str!("../../../examples/serve/tidegate.toml");
/// What the page says of the standing, without the isolates that stand around numbers.
const STANDING: &str = "(document.querySelector('.standing')?.innerText ?? '').replace(/[\\u2068\\u2069]/g, '')";

/// A customer who waits, without a connection: the session's token.
pub async fn waits(node: &Node) -> String {
    begin(node, json!({"client_msg_id": "b"})).await
}

/// The same, who asks for something.
pub async fn begin(node: &Node, asked: Value) -> String {
    let new = NewVisitor { inbox: "shop".into(), ..NewVisitor::default() };
    let token = open_session(node.base(), &new).await.expect("a session").token;
    let (status, said) = post(node, &token, "begin", &asked).await;
    assert_eq!(status, 200, "{said}");
    token
}

/// An act of a customer, posted.
pub async fn post(node: &Node, token: &str, act: &str, body: &Value) -> (u16, Value) {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    send(node.base(), "POST", &format!("/v1/web/{act}"), &headers, body.to_string().into_bytes()).await.expect("an answer")
}

/// The next contact, taken, ended and wrapped up with a code.
pub async fn serves(agent: &mut DeskClient, code: &str) {
    let claim = ends(agent).await;
    agent.wrap_up(&claim, code).await.expect("wrapped up");
}

/// The next contact, taken and ended: the claim is in its wrap-up.
pub async fn ends(agent: &mut DeskClient) -> String {
    loop {
        match agent.next_event().await.expect("an event") {
            // One that was withdrawn meanwhile is offered again.
            DeskEvent::Offered(offer) => drop(agent.accept(&offer.offer).await),
            DeskEvent::Assigned(claim) => {
                agent.end(&claim.claim).await.expect("ended");
                return claim.claim;
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standing_is_shown_as_the_node_tells_it_and_a_wait_only_when_it_is_known() {
    let node = Node::start().await;
    let mut before = Vec::new();
    for _ in 0..11 {
        before.push(waits(&node).await);
    }
    let browser = Browser::start(1280, 860, AWAKE).await;
    chat(&browser, node.base()).await;
    browser.press(".human").await;
    browser.until(&format!("{STANDING}.startsWith('You are number 12 of 12 in the queue')")).await;
    let said = browser.ask(STANDING).await;
    assert!(said.as_str().is_some_and(|said| said.contains("We cannot say yet how long it takes.")), "{said}");
    picture(&browser, "chat-standing-unknown-en.png").await;
    // Nine leave the queue, so that a pace is known; each is one place.
    let mut agent = DeskClient::sign_in(node.base(), node.agent(0)).await.expect("signed in");
    agent.ready().await.expect("ready");
    for _ in 0..9 {
        serves(&mut agent, "sold").await;
    }
    agent.pause("break").await.expect("paused");
    browser.until(&format!("{STANDING}.startsWith('You are number 3 of 3')")).await;
    // The same numbers on a socket of somebody else's, one place ahead.
    let ahead = before.pop().expect("eleven");
    let mut socket = WebClient::connect(node.base(), &ahead, 0).await.expect("a welcome");
    while socket.standing().is_none_or(|standing| standing.position != 2 || standing.wait_ms.is_none()) {
        socket.next_event().await.expect("an event");
    }
    browser.until(&format!("{STANDING}.includes('Most likely within a minute.')")).await;
    pictures(&browser, "chat-standing").await;
    // Whoever leaves before gives way, and whoever closes the page and comes back keeps the place.
    assert_eq!(post(&node, &ahead, "leave", &json!({"client_msg_id": "l"})).await.0, 200);
    browser.until("document.querySelector('.standing strong')?.textContent.includes('2')").await;
    browser.reload().await;
    browser.until("document.querySelector('.standing strong')?.textContent.includes('2')").await;
    // The end of the waiting is the end of the standing.
    agent.ready().await.expect("ready");
    for _ in 0..2 {
        serves(&mut agent, "sold").await;
    }
    browser.until("!document.querySelector('.standing') && document.querySelector('main').dataset.stage === 'ended'").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_are_rounded_outwards_or_not_told() {
    let node = Node::start().await;
    let browser = Browser::start(1280, 860, AWAKE).await;
    browser.go(&format!("{}/chat/?lang=en", node.base())).await;
    for (wait, words) in [
        (json!(null), json!(["wait-unknown"])),
        (json!({"p50": 1_000, "p90": 60_000}), json!(["wait-soon"])),
        (json!({"p50": 1_000, "p90": 60_001}), json!(["wait-within", {"to": 2}])),
        (json!({"p50": 59_999, "p90": 120_000}), json!(["wait-within", {"to": 2}])),
        (json!({"p50": 60_000, "p90": 120_000}), json!(["wait-between", {"from": 1, "to": 2}])),
        (json!({"p50": 120_000, "p90": 120_000}), json!(["wait-between", {"from": 2, "to": 3}])),
        (json!({"p50": 95_000, "p90": 210_000}), json!(["wait-between", {"from": 1, "to": 4}])),
    ] {
        let told = browser.run("return import('/console/text.js').then((text) => text.waitWords(arguments[0]))", vec![wait]).await;
        assert_eq!(told, words);
    }
    browser.end().await;
}

/// A page of a customer served by the first agent's page, in two windows, by the ways given; the desk is current afterwards.
async fn served(
    browser: &Browser,
    node: &Node,
    customer_base: &str,
) -> (fantoccini::wd::WindowHandle, fantoccini::wd::WindowHandle) {
    let customer = browser.window().await;
    browser.go(&format!("{customer_base}/chat/?inbox=shop&lang=en")).await;
    browser.until("['live', 'polling'].includes(document.querySelector('main')?.dataset.link)").await;
    write(browser, "hello").await;
    browser.until("document.querySelector('main').dataset.stage === 'waiting'").await;
    let agent = browser.another(false).await;
    desk(browser, node.base(), node.agent(0)).await;
    browser.keys("body", &format!("{ALT}r")).await;
    browser.until("document.querySelector('.offer .accept:not(:disabled)')").await;
    browser.run("document.querySelector('.offer .accept').click()", vec![]).await;
    browser.until("document.querySelector('.log [data-kind=customer]')").await;
    (customer, agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_is_seen_on_the_other_side_and_ends_with_what_was_written() {
    let node = Node::start().await;
    let browser = Browser::start(1280, 860, AWAKE).await;
    for slow_path in [false, true] {
        let way = Cutter::before(node.address()).await;
        way.set(if slow_path { Way::NoSockets } else { Way::Open });
        let (customer, agent) = served(&browser, &node, way.base()).await;
        browser.switch(&customer).await;
        browser.until("document.querySelector('main').dataset.stage === 'serving'").await;
        browser.keys("#field", "w").await;
        browser.switch(&agent).await;
        browser.until("document.querySelector('.log .typing')").await;
        if !slow_path {
            pictures(&browser, "desk-typing").await;
        }
        browser.keys("#field", "I").await;
        browser.switch(&customer).await;
        browser.until("document.querySelector('ol .typing')").await;
        if !slow_path {
            pictures(&browser, "chat-typing").await;
        }
        browser.keys("#field", &format!("ritten{ENTER}")).await;
        browser.switch(&agent).await;
        browser
            .until("!document.querySelector('.log .typing') && document.querySelectorAll('.log [data-kind=customer]').length === 2")
            .await;
        browser.keys("#field", &format!(" see{ENTER}")).await;
        browser.switch(&customer).await;
        browser.until("!document.querySelector('ol .typing') && document.querySelector('ol [data-kind=agent]')").await;
        let items = node.ask("/v1/tenants/1/seats").await;
        assert!(!items.to_string().contains("typing"), "a signal is kept nowhere: {items}");
        browser.switch(&agent).await;
        browser.keys("body", &format!("{ALT}e")).await;
        browser.until("document.querySelector('.wrapup')").await;
        browser.press(".wrapup [data-code=sold]").await;
        browser.until("document.querySelector('main').dataset.chats === '0'").await;
        browser.another(false).await;
    }
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_offers_the_choices_of_its_policy() {
    let node = Node::start().await;
    let browser = Browser::start(1280, 860, AWAKE).await;
    let (_, _agent) = served(&browser, &node, node.base()).await;
    let choices = "[...document.querySelectorAll('.sheet .choices span')].map((one) => one.textContent)";
    // Ready-made replies: a key, words into the field, and one's own kept.
    browser.keys("#field", "/").await;
    browser.until("document.querySelector('.sheet[data-open=canned]')").await;
    pictures(&browser, "desk-canned").await;
    browser.keys("body", "2").await;
    browser.until("document.getElementById('field').value === 'One moment please, I am looking into it.'").await;
    browser.keys("#field", ENTER).await;
    browser.until("document.querySelector('.log [data-kind=agent][data-n]')").await;
    // Targets of a transfer, in the language spoken.
    browser.keys("body", &format!("{ALT}t")).await;
    browser.until("document.querySelector('.sheet[data-open=transfer]')").await;
    assert_eq!(browser.ask(choices).await, json!(["Sales", "Support"]));
    browser.keys("body", ESCAPE).await;
    browser.press("#language").await;
    browser.until("document.documentElement.lang === 'zh-CN'").await;
    browser.keys("body", &format!("{ALT}t")).await;
    browser.until("document.querySelector('.sheet[data-open=transfer]')").await;
    assert_eq!(browser.ask(choices).await, json!(["销售", "售后"]));
    picture(&browser, "desk-transfer-zh.png").await;
    browser.keys("body", ESCAPE).await;
    // Codes of the queue that the contact came from; the node hears the code.
    browser.keys("body", &format!("{ALT}e")).await;
    browser.until("document.querySelector('.wrapup')").await;
    let codes =
        "[...document.querySelectorAll('.wrapup button')].map((one) => one.dataset.code + ' ' + one.lastChild.textContent.trim())";
    assert_eq!(browser.ask(codes).await, json!(["sold 已成交", "thinking 考虑中", "no-sale 未成交"]));
    browser.keys("body", "2").await;
    browser.until("document.querySelector('main').dataset.chats === '0'").await;
    // Reasons of a pause, chosen by number.
    browser.keys("body", &format!("{ALT}p")).await;
    browser.until("document.querySelector('.sheet[data-open=pause]')").await;
    assert_eq!(browser.ask(choices).await, json!(["小休", "午餐", "培训"]));
    picture(&browser, "desk-pause-zh.png").await;
    browser.keys("body", "2").await;
    browser.until("document.querySelector('.pill.presence')?.textContent.endsWith('午餐')").await;
    let seat = node.ask("/v1/tenants/1/seats").await;
    assert_eq!(seat["seats"][0]["presence"], "paused", "{seat}");
    // And the choices survive a reload, the language's too.
    browser.reload().await;
    browser.until("document.querySelector('.pill.presence')?.textContent.endsWith('午餐')").await;
    browser.end().await;
}

/// Saves on this page the file that a selector names, and gives back its bytes and what the browser is told they are.
const SAVED: &str = "const real = URL.createObjectURL; return new Promise((done) => {
    URL.createObjectURL = (blob) => { URL.createObjectURL = real;
        blob.arrayBuffer().then((bytes) => done([[...new Uint8Array(bytes)], blob.type])); return real(blob); };
    document.querySelector(arguments[0]).click(); })";

#[tokio::test(flavor = "multi_thread")]
async fn files_go_both_ways_byte_for_byte() {
    // The smallest picture of one pixel.
    const PNG: &[u8] = include_bytes!("pixel.png");
    let node = Node::start().await;
    let browser = Browser::start(1280, 860, AWAKE).await;
    let (customer, agent) = served(&browser, &node, node.base()).await;
    let trick = "<img src=x onerror=window.hacked=1> \u{202e}gnp.发票.png";
    let cleaned = "<img src=x onerror=window.hacked=1> _gnp.发票.png";
    let file = node.file(trick, PNG);
    browser.switch(&customer).await;
    browser.keys(".attach input", &file).await;
    browser.until("document.querySelector('li.own .file')").await;
    browser.switch(&agent).await;
    browser.until("document.querySelector('.log .theirs .file')").await;
    pictures(&browser, "desk-file").await;
    let name = "document.querySelector('.log .theirs .file bdi').textContent";
    assert_eq!(browser.ask(name).await, cleaned);
    let got = browser.run(SAVED, vec![json!(".log .theirs .file")]).await;
    assert_eq!(got, json!([PNG, "application/octet-stream"]), "its bytes, and never its own kind");
    // And back, a text.
    let note = node.file("note 说明.txt", "价格：一百元\n".as_bytes());
    browser.keys(".attach input", &note).await;
    browser.until("document.querySelector('.log .mine[data-n] .file')").await;
    browser.switch(&customer).await;
    browser.until("document.querySelector('li.other .file')").await;
    assert_eq!(browser.ask("document.querySelector('li.other .file bdi').textContent").await, "note 说明.txt");
    let got = browser.run(SAVED, vec![json!("li.other .file")]).await;
    assert_eq!(got[0], json!("价格：一百元\n".as_bytes()));
    pictures(&browser, "chat-file").await;
    // What the node does not take is said in words, and nothing is written.
    let html = node.file("page.html", b"<script>window.hacked = 1</script>");
    browser.keys(".attach input", &html).await;
    browser.until("document.querySelector('.note')?.textContent.includes('page.html')").await;
    let lie = node.file("lie.png", b"<html><script>window.hacked = 1</script></html>");
    browser.keys(".attach input", &lie).await;
    browser.until("document.querySelector('.note')?.textContent.includes('lie.png')").await;
    let big = node.file("big.txt", &vec![b'a'; (10 << 20) + 1]);
    browser.keys(".attach input", &big).await;
    browser.until("document.querySelector('.note')?.textContent.replace(/[\\u2068\\u2069]/g, '') === 'big.txt is too big: at most 10.0 MiB.'").await;
    assert_eq!(browser.ask("document.querySelectorAll('li .file').length").await, 2);
    browser.switch(&agent).await;
    browser.keys(".attach input", &big).await;
    browser.until("document.querySelector('.toasts').textContent.includes('too big')").await;
    browser.keys(".attach input", &lie).await;
    browser.until("document.querySelector('.toasts').textContent.includes('lie.png')").await;
    for window in [&agent, &customer] {
        browser.switch(window).await;
        assert_eq!(browser.ask("window.hacked === undefined && document.querySelectorAll('li img').length === 0").await, true);
    }
    // The same after a reload: files stand in the transcript.
    browser.reload().await;
    browser.until("document.querySelectorAll('li .file').length === 2").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_inbox_says_so_the_human_button_is_first_for_everybody() {
    let config = CONFIG.replace("# human_first = false", "human_first = true");
    assert_ne!(config, CONFIG);
    let node = Node::with("127.0.0.1:0", &config, POLICY, &[]).await;
    let browser = Browser::start(390, 844, AWAKE).await;
    for (elder, lang) in [(0, "en"), (1, "zh")] {
        let way = Cutter::before(node.address()).await;
        browser.go(&format!("{}/chat/?inbox=shop&lang={lang}&elder={elder}", way.base())).await;
        browser.until(LIVE).await;
        // Before anything else: the first thing on the screen, the first that the tab key reaches, and one tap.
        browser.until("document.querySelector('main').firstElementChild.classList.contains('human')").await;
        let focusable = "document.querySelector('main button, main a, main input, main textarea').classList.contains('human')";
        assert_eq!(browser.ask(focusable).await, true);
        assert_eq!(browser.ask("document.querySelectorAll('.human').length").await, 1);
        picture(&browser, &format!("chat-human-first-{lang}.png")).await;
        browser.press(".human").await;
        browser.until("document.querySelector('main').dataset.stage === 'waiting'").await;
    }
    let waiting = node.ask("/v1/tenants/1/queues").await;
    assert!(waiting.to_string().contains("\"waiting\":2"), "with no bot between: {waiting}");
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_signs_in_at_a_real_provider() {
    let Ok(program) = std::env::var("TIDEGATE_OIDC_PROVIDER") else {
        return println!("SKIPPED: TIDEGATE_OIDC_PROVIDER names no provider (./verify installs oidc-provider-mock)");
    };
    let free = || std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    let (provider_port, port) = (free(), free());
    let lin = r#"{"sub":"u-lin","email":"lin@shop.example","email_verified":true,"roles":["agents"]}"#;
    let mut command = tokio::process::Command::new(program);
    command.args(["--port", &provider_port.to_string(), "--require-nonce", "true", "--user-claims", lin]);
    let mut provider = command.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("the provider runs");
    let mut lines = BufReader::new(provider.stderr.take().expect("piped")).lines();
    while let Some(line) = lines.next_line().await.expect("text") {
        if line.contains("Uvicorn running") || line.contains("Started OpenID") {
            break;
        }
    }
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let oidc = format!(
        "[oidc]\nissuer = \"http://127.0.0.1:{provider_port}\"\nclient_id = \"tidegate\"\nclient_secret_file = \"oidc.secret\"\n\
         redirect = \"http://127.0.0.1:{port}\"\n[[oidc.map]]\nvalue = \"agents\"\nrole = \"agent\"\ntenant = 1\n\n"
    );
    let config = CONFIG.replacen("name = \"Lin\"", "name = \"Lin\"\n  login = \"lin@shop.example\"", 1);
    let config = config.replacen("[[tenant]]\n", &format!("{oidc}[[tenant]]\n"), 1);
    let node = Node::with(&format!("127.0.0.1:{port}"), &config, POLICY, &[("oidc.secret", "the-node-at-its-provider\n")]).await;
    let browser = Browser::start(1280, 860, AWAKE).await;
    browser.go(&format!("{}/desk/?lang=en", node.base())).await;
    browser.until("document.querySelector('#oidc')").await;
    picture(&browser, "desk-signin-en.png").await;
    browser.press("#oidc").await;
    browser.until(&format!("location.port === '{provider_port}' && document.querySelector('form')")).await;
    // The provider's own form: whoever it lets be chosen there.
    browser.run("const form = document.querySelector('form'); const sub = form.querySelector('[name=sub]');
        if (sub.type === 'text') sub.value = 'u-lin';
        const button = [...form.querySelectorAll('button, input[type=submit]')].find((one) => !one.value || one.value === 'u-lin' || one.name !== 'action') ;
        button.click();", vec![]).await;
    browser.until(&format!("location.port === '{port}' && ({LIVE})")).await;
    assert!(!browser.ask("location.href").await.as_str().expect("an address").contains("token"), "the token stays in the address");
    browser.until("document.querySelector('.brand').textContent === 'Lin'").await;
    browser.press("#ready").await;
    browser.until("document.querySelector('main').dataset.presence === 'ready'").await;
    // A node without a provider shows no button.
    let plain = Node::start().await;
    browser.go(&format!("{}/desk/?lang=zh", plain.base())).await;
    browser.until("document.querySelector('form')").await;
    assert_eq!(browser.run("return fetch('/v1/auth/methods').then((answer) => answer.json())", vec![]).await["oidc"], json!(null));
    browser.until("!document.querySelector('#oidc')").await;
    picture(&browser, "desk-signin-zh.png").await;
    browser.end().await;
}
