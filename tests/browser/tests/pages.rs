//! What people do on the pages, done in a real browser against a real node, and read off the pages themselves.
//!
//! Customers and agents are windows of chromium; what both show is compared with each other and with the node's own transcript.
//! Cuts are real: a forwarder between browser and node drops connections. Nothing is known of the pages' inside but the
//! attributes that they carry for this purpose (`data-…`). With `TIDEGATE_PICTURES=DIR` pictures of every page are written.

use serde_json::json;
use support::{ALT, AWAKE, CTRL, ENTER, ESCAPE, LIVE, chat, desk, nightly, picture, pictures, shown, told, write};
use tidegate_browser::{Browser, Cutter, Node, Way};

mod floor;
mod pixel;
mod strangers;
mod support;
mod talk;

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_served_by_an_agent_in_another_window() {
    let node = Node::start().await;
    let browser = Browser::start(1280, 860, AWAKE).await;
    browser.go(&format!("{}/?lang=en", node.base())).await;
    browser.until("document.querySelectorAll('nav a').length === 4").await;
    picture(&browser, "start-en.png").await;
    browser.press("#language").await;
    browser.until("document.documentElement.lang === 'zh-CN'").await;
    picture(&browser, "start-zh.png").await;
    let customer = browser.window().await;
    chat(&browser, node.base()).await;
    browser.keys("#field", &format!("Hello, my parcel SF-1042 has not come.{ENTER}")).await;
    browser.until("document.querySelector('main').dataset.stage === 'waiting'").await;
    browser.until("document.querySelector('.standing')").await;
    pictures(&browser, "chat-waiting").await;

    let agent = browser.another(false).await;
    browser.size(1440, 900).await;
    desk(&browser, node.base(), node.agent(0)).await;
    assert!(!browser.ask("location.href").await.as_str().expect("an address").contains("token"), "the token stays in the address");
    // By key alone, from here to the wrap-up.
    browser.keys("body", &format!("{ALT}r")).await;
    browser.until("document.querySelector('main').dataset.presence === 'ready' && document.querySelector('.offer')").await;
    pictures(&browser, "desk-offer").await;
    browser.keys("body", &format!("{ALT}{ENTER}")).await;
    browser.until("document.querySelector('.log [data-kind=customer]')").await;
    browser.keys("#field", &format!("Good morning! I am looking it up.{ENTER}")).await;
    browser.until("document.querySelector('.log [data-kind=agent][data-n]')").await;
    picture(&browser, "desk-chat-en.png").await;
    browser.press("#language").await;
    browser.until("document.documentElement.lang === 'zh-CN'").await;
    picture(&browser, "desk-chat-zh.png").await;
    browser.keys("body", &format!("{CTRL}k")).await;
    browser.until("document.querySelector('.sheet[data-open=palette]')").await;
    picture(&browser, "desk-palette-zh.png").await;
    browser.keys("body", ESCAPE).await;
    browser.until("!document.querySelector('.sheet')").await;
    let at_desk = shown(&browser).await;

    browser.switch(&customer).await;
    browser.until("document.querySelector('[data-kind=agent]')").await;
    picture(&browser, "chat-served-en.png").await;
    // A draft and every item survive a change of language; the items survive a reload.
    browser.keys("#field", "half a tho").await;
    browser.press("#language").await;
    browser.until("document.documentElement.lang === 'zh-CN'").await;
    assert_eq!(browser.ask("document.getElementById('field').value").await, "half a tho");
    picture(&browser, "chat-served-zh.png").await;
    assert_eq!(shown(&browser).await, at_desk);
    browser.reload().await;
    browser.until(LIVE).await;
    browser.until("document.querySelector('[data-kind=agent]')").await;
    assert_eq!(shown(&browser).await, at_desk);

    browser.switch(&agent).await;
    browser.keys("body", &format!("{ALT}e")).await;
    browser.until("document.querySelector('.wrapup')").await;
    picture(&browser, "desk-wrapup-zh.png").await;
    browser.keys("body", "1").await;
    browser.until("document.querySelector('main').dataset.chats === '0'").await;
    browser.switch(&customer).await;
    browser.until("document.querySelector('main').dataset.stage === 'ended'").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_conversations_through_many_cuts_lose_and_repeat_nothing() {
    const CONVERSATIONS: usize = 10;
    let cuts = if nightly() { 200 } else { 20 };
    let node = Node::start().await;
    let roster = r#"{"name":"Lin","skills":{"sales":8},"units":10}"#;
    assert_eq!(node.say("PUT", "/v1/tenants/1/agents/1", roster).await["name"], "Lin");
    let browser = Browser::start(1400, 900, AWAKE).await;
    let agent = browser.window().await;
    let desk_way = Cutter::before(node.address()).await;
    desk(&browser, desk_way.base(), node.agent(0)).await;
    browser.press("#ready").await;
    browser.until("document.querySelector('main').dataset.presence === 'ready'").await;

    // Every customer comes by a way (and so with a storage) of its own.
    let mut customers = Vec::new();
    for k in 0..CONVERSATIONS {
        let way = Cutter::before(node.address()).await;
        let window = browser.another(true).await;
        chat(&browser, way.base()).await;
        write(&browser, &format!("c{k} begins")).await;
        browser.until("document.querySelector('main').dataset.stage === 'waiting'").await;
        browser.switch(&agent).await;
        browser.until("document.querySelector('.offer .accept:not(:disabled)')").await;
        browser.run("document.querySelector('.offer .accept').click()", vec![]).await;
        browser
            .until(&format!("document.querySelector('main').dataset.chats === '{}' && !document.querySelector('.offer')", k + 1))
            .await;
        customers.push((way, window));
    }
    browser.until("document.querySelectorAll('.row').length === 10").await;
    let newest = "[...document.querySelectorAll('.row')].map((row) => row.dataset.conversation)";
    let conversations = browser.ask(newest).await.as_array().cloned().expect("rows");
    let mut answers = vec![Vec::new(); CONVERSATIONS];
    let mut questions: Vec<Vec<String>> = (0..CONVERSATIONS).map(|k| vec![format!("c{k} begins")]).collect();
    for cut in 0..cuts {
        let k = cut % CONVERSATIONS;
        let (way, window) = &customers[k];
        browser.switch(window).await;
        questions[k].push(format!("c{k} says {cut}"));
        // Before, after, or amid the sending: the page must not care.
        if cut % 3 == 0 {
            way.cut();
        }
        write(&browser, &format!("c{k} says {cut}")).await;
        if cut % 3 == 1 {
            way.cut();
        }
        browser.switch(&agent).await;
        let conversation = conversations[(cut * 3) % CONVERSATIONS].as_str().expect("a conversation");
        browser.run("document.querySelector(`.row[data-conversation='${arguments[0]}']`).click()", vec![json!(conversation)]).await;
        browser.until(&format!("document.querySelector(\".chat[data-conversation='{conversation}'] #field\")")).await;
        answers[(cut * 3) % CONVERSATIONS].push(format!("a says {cut}"));
        write(&browser, &format!("a says {cut}")).await;
        desk_way.cut();
    }
    assert!(desk_way.open() <= 16, "connections pile up");
    browser.until(LIVE).await;
    for (at, conversation) in conversations.iter().enumerate() {
        let conversation = conversation.as_str().expect("a conversation");
        browser.switch(&agent).await;
        browser.run("document.querySelector(`.row[data-conversation='${arguments[0]}']`).click()", vec![json!(conversation)]).await;
        browser.until(&format!("document.querySelector(\".chat[data-conversation='{conversation}']\")")).await;
        browser.until("!document.querySelector('.pending')").await;
        let who: usize = {
            let first = told(&node, conversation).await[0].2.clone();
            first[1..2].parse().expect("whose conversation it is")
        };
        let all = questions[who].len() + answers[at].len();
        let (_, window) = &customers[who];
        browser.switch(window).await;
        browser.until(&format!("{LIVE} && document.querySelectorAll('ol [data-n][data-kind=customer], ol [data-n][data-kind=agent]').length >= {all}")).await;
        let at_customer = shown(&browser).await;
        browser.switch(&agent).await;
        browser
            .until(&format!(
                "document.querySelectorAll('ol [data-n][data-kind=customer], ol [data-n][data-kind=agent]').length >= {all}"
            ))
            .await;
        let at_desk = shown(&browser).await;
        let at_node = told(&node, conversation).await;
        assert_eq!(at_customer, at_node, "the customer's page and the transcript");
        assert_eq!(at_desk, at_node, "the agent's page and the transcript");
        let of = |kind: &str| at_node.iter().filter(|(_, k, _)| k == kind).map(|(_, _, text)| text.clone()).collect::<Vec<_>>();
        assert_eq!(of("customer"), questions[who], "what the customer wrote, once each, in order");
        assert_eq!(of("agent"), answers[at], "what the agent wrote, once each, in order");
    }
    pictures(&browser, "desk-ten").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn composing_never_triggers_a_key() {
    let node = Node::start().await;
    let browser = Browser::start(1280, 860, AWAKE).await;
    chat(&browser, node.base()).await;
    let compose = "const field = document.querySelector(arguments[0]); field.focus(); field.value = arguments[1];
        field.dispatchEvent(new CompositionEvent('compositionstart', { bubbles: true }));
        field.dispatchEvent(new InputEvent('input', { bubbles: true, isComposing: true }));
        for (const how of [{ isComposing: true }, { keyCode: 229 }]) for (const key of arguments[2])
          field.dispatchEvent(new KeyboardEvent('keydown', { key: key.key, code: key.code, altKey: !!key.alt, ctrlKey: !!key.ctrl, bubbles: true, cancelable: true, ...how }));";
    let enter = json!([{ "key": "Enter", "code": "Enter" }]);
    browser.run(compose, vec![json!("#field"), json!("你好"), enter.clone()]).await;
    browser.run("return new Promise((done) => setTimeout(done, 300))", vec![]).await;
    assert_eq!(browser.ask("document.querySelector('main').dataset.stage").await, "none");
    assert_eq!(browser.ask("document.getElementById('field').value").await, "你好");
    // The same key without the input method sends: this test can fail.
    browser.keys("#field", ENTER).await;
    browser.until("document.querySelector('main').dataset.stage === 'waiting'").await;

    browser.another(false).await;
    desk(&browser, node.base(), node.agent(0)).await;
    browser.press("#ready").await;
    browser.until("document.querySelector('.offer')").await;
    browser.run("return new Promise((done) => setTimeout(done, 600))", vec![]).await;
    let keys = json!([
        { "key": "Enter", "code": "Enter" }, { "key": "Enter", "code": "Enter", "alt": true }, { "key": "Escape", "code": "Escape" },
        { "key": "k", "code": "KeyK", "ctrl": true }, { "key": "p", "code": "KeyP", "alt": true }, { "key": "F1", "code": "F1" },
    ]);
    browser.run(compose, vec![json!("body"), json!(""), keys]).await;
    browser.run("return new Promise((done) => setTimeout(done, 300))", vec![]).await;
    assert_eq!(browser.ask("document.querySelectorAll('.offer .accept:not(:disabled)').length").await, 1);
    assert_eq!(browser.ask("document.querySelector('.sheet') === null").await, true);
    browser.keys("body", ENTER).await;
    browser.until("document.querySelector('#field')").await;
    let in_chat = json!([
        { "key": "Enter", "code": "Enter" }, { "key": "/", "code": "Slash" }, { "key": "e", "code": "KeyE", "alt": true },
        { "key": "t", "code": "KeyT", "alt": true }, { "key": "1", "code": "Digit1" }, { "key": "Escape", "code": "Escape" },
    ]);
    browser.run(compose, vec![json!("#field"), json!("您好"), in_chat]).await;
    browser.run("return new Promise((done) => setTimeout(done, 300))", vec![]).await;
    assert_eq!(browser.ask("document.getElementById('field').value").await, "您好");
    assert_eq!(browser.ask("document.querySelectorAll('.sheet, .wrapup, .log .mine').length").await, 0);
    browser.keys("#field", ENTER).await;
    browser.until("document.querySelector('.log [data-kind=agent][data-n]')").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_expires_on_the_nodes_clock() {
    let node = Node::start().await;
    let browser = Browser::start(1280, 860, AWAKE).await;
    let customer = browser.window().await;
    chat(&browser, node.base()).await;
    let agent = browser.another(false).await;
    desk(&browser, node.base(), node.agent(0)).await;
    // The computer's clock is an hour ahead, whoever asks it.
    let shift = "const real = Date; globalThis.Date = class extends real { constructor(...a) { a.length ? super(...a) : super(real.now() + 3.6e6); }
        static now() { return real.now() + 3.6e6; } };";
    browser.run(shift, vec![]).await;
    browser.press("#ready").await;
    browser.until("document.querySelector('main').dataset.presence === 'ready'").await;
    browser.switch(&customer).await;
    write(&browser, "hello").await;
    browser.switch(&agent).await;
    browser.until("document.querySelector('.offer')").await;
    let left = browser.ask("Number(document.querySelector('.offer').dataset.left)").await.as_f64().expect("a number");
    assert!(left > 1_000.0 && left <= 20_000.0, "counts down from {left} ms, and the offer holds 20 s");
    assert_eq!(browser.ask("document.querySelectorAll('.offer .accept:not(:disabled)').length").await, 1);
    browser
        .until("!document.querySelector('.offer') && document.querySelector('main').dataset.presence === 'not_responding'")
        .await;
    pictures(&browser, "desk-missed").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_text_is_text() {
    let node = Node::start().await;
    let browser = Browser::start(1280, 860, AWAKE).await;
    let customer = browser.window().await;
    chat(&browser, node.base()).await;
    let tricks = [
        "<img src=x onerror=\"window.hacked=1\">",
        "<script>window.hacked=1</script>",
        "<a href=\"javascript:window.hacked=1\">click</a> http://evil.example/",
        "${window.hacked=1} {{1+1}} &lt;b&gt;",
    ];
    for text in tricks {
        write(&browser, text).await;
    }
    write(&browser, "pay\u{202e}txt.exe \u{200b}zero\u{0007}bell").await;
    browser.until("document.querySelectorAll('[data-n][data-kind=customer]').length === 5").await;
    let told_there = shown(&browser).await;
    browser.another(false).await;
    desk(&browser, node.base(), node.agent(0)).await;
    browser.press("#ready").await;
    browser.until("document.querySelector('.offer .accept')").await;
    browser.run("document.querySelector('.offer .accept').click()", vec![]).await;
    browser.until("document.querySelectorAll('.log [data-kind=customer]').length === 5").await;
    assert_eq!(shown(&browser).await, told_there);
    for (at, text) in tricks.iter().enumerate() {
        assert_eq!(told_there[at].2, *text);
    }
    assert_eq!(told_there[4].2, "pay[U+202E]txt.exe [U+200B]zero\u{2407}bell");
    let harmless = "window.hacked === undefined && document.querySelectorAll('.log img, .log script, .log a, ol img, ol a').length === 0 && document.querySelectorAll('.log p > bdi').length === 5";
    assert_eq!(browser.ask(harmless).await, true);
    browser.switch(&customer).await;
    assert_eq!(
        browser.ask("window.hacked === undefined && document.querySelectorAll('ol img, ol script, ol a').length === 0").await,
        true
    );

    // Ten megabytes pasted: what fits stays, and the page says so.
    let paste = "const field = document.getElementById('field'); const clip = new DataTransfer(); clip.setData('text/plain', '潮'.repeat(3500000));
        field.focus(); field.dispatchEvent(new ClipboardEvent('paste', { clipboardData: clip, bubbles: true, cancelable: true }));
        return new TextEncoder().encode(field.value).length";
    assert_eq!(browser.run(paste, vec![]).await, 4095);
    browser.until("document.querySelector('.note')").await;
    browser.keys("#field", ENTER).await;
    browser.until("document.querySelectorAll('[data-n][data-kind=customer]').length === 6").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_ask_nobody_else() {
    let node = Node::start().await;
    let browser = Browser::start(1280, 860, AWAKE).await;
    for path in ["/", "/chat/?lang=zh", "/desk/?lang=zh", "/wall/?lang=zh"] {
        browser.go(&format!("{}{path}", node.base())).await;
        browser.until("document.querySelector('main')").await;
        let origins = "[...new Set(performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation')).map((one) => new URL(one.name).origin))]";
        assert_eq!(browser.ask(origins).await, json!([node.base()]), "{path}");
        assert!(
            browser.ask("performance.getEntriesByType('resource').length").await.as_u64() > Some(3),
            "{path}: nothing was loaded"
        );
        // What would be asked elsewhere, and inline script, is stopped by the browser itself.
        let foreign = "return fetch('http://127.0.0.1:9/').then(() => 'went out', () => 'stopped')";
        assert_eq!(browser.run(foreign, vec![]).await, "stopped");
        let inline = "const s = document.createElement('script'); try { s.textContent = 'window.hacked = 1'; document.head.append(s); } catch {} return window.hacked === undefined";
        assert_eq!(browser.run(inline, vec![]).await, true, "{path}");
        let html = "try { document.body.innerHTML = '<b>x</b>'; return 'taken'; } catch { return 'refused'; }";
        assert_eq!(browser.run(html, vec![]).await, "refused", "{path}");
    }
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_of_one_agent() {
    let node = Node::start().await;
    let browser = Browser::start(1280, 860, AWAKE).await;
    let first = browser.window().await;
    desk(&browser, node.base(), node.agent(0)).await;
    browser.press("#ready").await;
    browser.until("document.querySelector('main').dataset.presence === 'ready'").await;
    let second = browser.another(true).await;
    desk(&browser, node.base(), node.agent(0)).await;
    browser.until("document.querySelector('main').dataset.presence === 'ready'").await;
    browser.switch(&first).await;
    browser.until("document.querySelector('main')?.dataset.link === 'replaced'").await;
    pictures(&browser, "desk-replaced").await;
    browser.press("#back").await;
    browser.until(&format!("{LIVE} && document.querySelector('main').dataset.presence === 'ready'")).await;
    browser.switch(&second).await;
    browser.until("document.querySelector('main')?.dataset.link === 'replaced'").await;
    // A token that is none is refused, and the page says so instead of trying for ever.
    browser.go(&format!("{}/desk/?lang=en#token=nonsense", node.base())).await;
    browser.reload().await;
    browser.until("document.querySelector('main')?.dataset.link === 'refused'").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn written_offline_is_sent_once_and_in_order() {
    let node = Node::start().await;
    let way = Cutter::before(node.address()).await;
    let browser = Browser::start(1280, 860, AWAKE).await;
    chat(&browser, way.base()).await;
    write(&browser, "one").await;
    browser.until("document.querySelectorAll('[data-n][data-kind=customer]').length === 1").await;
    way.set(Way::Shut);
    way.cut();
    browser.until("document.querySelector('main')?.dataset.link === 'reconnecting'").await;
    for text in ["two", "three", "four"] {
        write(&browser, text).await;
    }
    browser.until("document.querySelectorAll('li.own').length === 4 && document.querySelectorAll('[data-n][data-kind=customer]').length === 1").await;
    pictures(&browser, "chat-offline").await;
    way.set(Way::Open);
    browser.until("document.querySelectorAll('[data-n][data-kind=customer]').length === 4 && document.querySelectorAll('li.own').length === 4").await;
    let texts: Vec<_> = shown(&browser).await.into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(texts, ["one", "two", "three", "four"]);
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_websockets_the_page_takes_the_other_path() {
    let node = Node::start().await;
    let way = Cutter::before(node.address()).await;
    way.set(Way::NoSockets);
    let browser = Browser::start(1280, 860, AWAKE).await;
    browser.go(&format!("{}/chat/?lang=en", way.base())).await;
    browser.until("document.querySelector('main')?.dataset.link === 'polling'").await;
    for text in ["one", "two"] {
        write(&browser, text).await;
    }
    browser.until("document.querySelectorAll('[data-n][data-kind=customer]').length === 2 && document.querySelectorAll('li.own').length === 2").await;
    way.cut();
    write(&browser, "three").await;
    browser.until("document.querySelectorAll('[data-n][data-kind=customer]').length === 3 && document.querySelectorAll('li.own').length === 3").await;
    let texts: Vec<_> = shown(&browser).await.into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(texts, ["one", "two", "three"]);
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_elders_mode_on_a_narrow_telephone() {
    let node = Node::start().await;
    let browser = Browser::start(320, 640, AWAKE).await;
    browser.go(&format!("{}/chat/?lang=zh&elder=1", node.base())).await;
    browser.until(LIVE).await;
    picture(&browser, "chat-elder-zh.png").await;
    let first = "document.querySelector('main').firstElementChild.classList.contains('human')";
    assert_eq!(browser.ask(first).await, true, "the human button comes first");
    let small = "[...document.querySelectorAll('main *')].filter((one) => one.childNodes.length && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()) && one.getClientRects().length && parseFloat(getComputedStyle(one).fontSize) < 20).map((one) => one.outerHTML)";
    assert_eq!(browser.ask(small).await, json!([]), "smaller than 20 px");
    assert_eq!(browser.ask("document.documentElement.scrollWidth").await, 320, "wider than the screen");
    // One tap, and the customer waits for a person.
    browser.press(".human").await;
    browser.until("document.querySelector('main').dataset.stage === 'waiting'").await;
    assert_eq!(browser.ask(small).await, json!([]));
    assert_eq!(browser.ask("document.documentElement.scrollWidth").await, 320);
    browser.press("#language").await;
    browser.until("document.documentElement.lang === 'en'").await;
    assert_eq!(browser.ask("document.documentElement.scrollWidth").await, 320);
    picture(&browser, "chat-elder-en.png").await;
    browser.press("#elder").await;
    browser.until("!document.querySelector('main').classList.contains('elder')").await;
    assert_eq!(browser.ask("document.documentElement.scrollWidth").await, 320);
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wall_shows_what_waits() {
    let node = Node::start().await;
    let browser = Browser::start(1920, 1080, AWAKE).await;
    let wall = browser.window().await;
    browser.go(&format!("{}/wall/?lang=en#token=nonsense", node.base())).await;
    browser.until("document.querySelector('main')?.dataset.link === 'refused'").await;
    browser.go(&format!("{}/wall/?lang=en", node.base())).await;
    browser.go(&format!("{}/wall/?lang=en#token={}", node.base(), node.admin())).await;
    browser.reload().await;
    browser.until(LIVE).await;
    assert!(!browser.ask("location.href").await.as_str().expect("an address").contains("token"), "the token stays in the address");
    browser.until("document.querySelector('[data-figure=waiting]').textContent === '0'").await;
    browser.until("document.querySelector('[data-agents=signed_out]').textContent === '3'").await;
    for k in 1..=3 {
        let way = Cutter::before(node.address()).await;
        browser.another(true).await;
        chat(&browser, way.base()).await;
        write(&browser, &format!("hello {k}")).await;
        browser.until("document.querySelector('main').dataset.stage === 'waiting'").await;
        browser.switch(&wall).await;
        browser.until(&format!("document.querySelector('[data-figure=waiting]').textContent === '{k}'")).await;
    }
    browser.another(true).await;
    desk(&browser, node.base(), node.agent(0)).await;
    browser.press("#ready").await;
    browser.switch(&wall).await;
    browser.until("document.querySelector('[data-agents=signed_out]').textContent === '2'").await;
    assert_eq!(browser.ask("document.querySelectorAll('tbody tr').length").await, 2, "a row a queue");
    assert_eq!(browser.ask("document.querySelector('[data-figure=waiting]').textContent").await, "3", "offered is still waiting");
    picture(&browser, "wall-en.png").await;
    browser.press("#language").await;
    browser.until("document.documentElement.lang === 'zh-CN'").await;
    picture(&browser, "wall-zh.png").await;
    // A screen whose node is gone says so, and dims what is old.
    drop(node);
    browser.until("document.querySelector('main').dataset.link === 'lost'").await;
    browser.end().await;
}
