//! Views and signals beside the numbered world: standings, typing, catalogues, what a desk sees before it accepts.
//!
//! Told when they change and never while they do not, at a pace that no change elsewhere can quicken; never numbered, never
//! repeated, dropped without a word; and what is read over sockets is what the machine was told.

use crate::support::{TENANT, stand, stand_files};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tidegate_channels::client::http::send;
use tidegate_channels::client::{Begin, DeskClient, DeskEvent, NewVisitor, WebClient, WebEvent, open_session};
use tidegate_channels::web::{Act, Admission, Machine};
use tidegate_channels::{NameTable, WebLimits};
use tidegate_model::output::Item;
use tidegate_model::policy::{Code, Desk, DeskQueue, Target};
use tidegate_model::port::{Catalogue, CatalogueQueue, CustomerGrant, Standing, TranscriptItem, WaitInterval};
use tidegate_model::{AccountId, ConversationId, CustomerId, Millis, QueueName, SeatId, Timestamp};

const VISITOR: &str = "visitor-0000000077";

fn standing(position: u32) -> Standing {
    let wait = Some(WaitInterval { p50: Millis(95_000), p90: Millis(210_000) });
    Standing { queue: QueueName::of("retail"), position, waiting: 17, wait, at: Timestamp(5) }
}

/// A machine in the open phase whose look-ups are answered by `stands`, driven by time alone.
struct Page {
    machine: Machine,
    stands: Option<Standing>,
    looked_up: u32,
    typed: u32,
    told: Vec<Value>,
}

impl Page {
    fn open(stands: Option<Standing>) -> Self {
        let names = NameTable::new(["retail"]);
        let mut machine = Machine::new(WebLimits::default(), names, Timestamp(0), Timestamp(0));
        machine.on_frame(Timestamp(0), br#"{"type":"hello","token":"t"}"#);
        let mut page = Self { machine, stands, looked_up: 0, typed: 0, told: Vec::new() };
        page.drain(0);
        page
    }

    fn drain(&mut self, now: u64) {
        let grant =
            CustomerGrant { tenant: TENANT, account: AccountId(1), conversation: ConversationId(256), customer: CustomerId::NONE };
        while let Some(act) = self.machine.poll() {
            match act {
                Act::Check { .. } => self.machine.on_admission(Ok(Admission { grant: grant.clone(), may_write: true })),
                Act::Fetch { .. } => self.machine.on_page(Timestamp(now), Ok(Vec::new())),
                Act::Standing { .. } => {
                    self.looked_up += 1;
                    self.machine.on_standing(Timestamp(now), self.stands);
                }
                Act::Typing { .. } => self.typed += 1,
                Act::Send(text) => {
                    let frame: Value = serde_json::from_str(&text).expect("JSON");
                    if frame["type"] == "standing" || frame["type"] == "typing" {
                        self.told.push(frame);
                    }
                }
                _ => {}
            }
        }
    }

    /// Time goes on, millisecond by millisecond where something is due.
    fn until(&mut self, from: u64, to: u64) {
        for now in from..=to {
            if self.machine.next_deadline().is_some_and(|at| at.0 <= now) {
                self.machine.on_heard(Timestamp(now));
                self.machine.on_time(Timestamp(now));
                self.drain(now);
            }
        }
    }

    fn item(&mut self, now: u64, n: u32, item: Item) {
        self.machine.on_wake(n);
        let asked = self.machine.poll();
        assert!(matches!(asked, Some(Act::Fetch { .. })), "{asked:?}");
        let item = TranscriptItem { n, at: Timestamp(now), item, body: Arc::from([]) };
        self.machine.on_page(Timestamp(now), Ok(vec![item]));
        self.drain(now);
    }
}

#[test]
fn a_standing_is_told_when_it_changed_at_most_every_two_seconds_and_never_else() {
    let mut page = Page::open(Some(standing(3)));
    assert_eq!((page.told.len(), page.looked_up), (1, 1), "after the welcome");
    let told = json!({"type": "standing", "queue": "retail", "position": 3, "waiting": 17,
        "wait_ms": {"p50": 95_000, "p90": 210_000}, "at": 5});
    assert_eq!(page.told[0], told);
    // A minute in which nothing but the time of the view changes.
    page.stands = page.stands.map(|same| Standing { at: Timestamp(99), ..same });
    page.until(1, 60_000);
    assert_eq!(page.told.len(), 1);
    assert!((29..=31).contains(&page.looked_up), "{}", page.looked_up);
    // It changes every millisecond: told every two seconds.
    let before = page.told.len();
    for now in 60_001..=80_000 {
        page.stands = Some(standing(now as u32));
        page.until(now, now);
    }
    assert!((9..=10).contains(&(page.told.len() - before)), "{}", page.told.len() - before);
    // Assigned: not looked up any more, not even once.
    page.item(80_001, 1, Item::Assigned { seat: SeatId(1) });
    let (told, looked_up) = (page.told.len(), page.looked_up);
    page.until(80_002, 200_000);
    assert_eq!((page.told.len(), page.looked_up), (told, looked_up));
    // Handed on: it waits again.
    page.item(200_001, 2, Item::Queued { queue: QueueName::of("retail") });
    page.until(200_002, 200_002);
    assert_eq!((page.told.len(), page.looked_up), (told + 1, looked_up + 1));
}

#[test]
fn who_does_not_wait_is_looked_up_once() {
    let mut page = Page::open(None);
    page.until(1, 100_000);
    assert_eq!((page.looked_up, page.told.len()), (1, 0));
    // The item says that it waits and the view does not know it yet: asked again at the pace, and told then.
    page.item(100_001, 1, Item::Queued { queue: QueueName::of("retail") });
    assert_eq!(page.looked_up, 2);
    page.stands = Some(Standing { wait: None, ..standing(1) });
    page.until(100_002, 103_000);
    assert_eq!((page.looked_up, page.told.len()), (3, 1));
    assert!(page.told[0]["wait_ms"].is_null());
}

#[test]
fn typing_goes_on_once_in_two_seconds_each_way() {
    let mut page = Page::open(None);
    for now in 1..=10_000 {
        if now % 100 == 0 {
            page.machine.on_frame(Timestamp(now), br#"{"type":"typing"}"#);
        }
        page.machine.on_typing(Timestamp(now), SeatId(26));
        page.drain(now);
    }
    assert_eq!((page.typed, page.told.len()), (5, 5));
    assert_eq!(page.told[0], json!({"type": "typing", "seat": "1a"}));
}

#[tokio::test]
async fn every_face_tells_the_standing() {
    let stand = stand().await;
    let visitor = stand.session(VISITOR).await;
    stand.port.stands(&visitor.conversation, Some(standing(3)));
    let mut page = WebClient::connect(&stand.base, &visitor.token, 0).await.expect("a welcome");
    let told = page.wait_standing().await.expect("a standing");
    assert_eq!((told.queue.as_str(), told.position, told.waiting, told.wait_ms), ("retail", 3, 17, Some((95_000, 210_000))));
    stand.port.stands(&visitor.conversation, Some(standing(2)));
    assert_eq!(page.wait_standing().await.expect("it changed").position, 2);

    let bearer = format!("Bearer {}", visitor.token);
    let poll = |query: &str| send_get(&stand.base, format!("/v1/web/transcript?{query}"), bearer.clone());
    let answer = poll("after=0").await;
    assert_eq!((&answer["standing"]["position"], &answer["standing"]["type"]), (&json!(2), &Value::Null));
    // A poll that waits ends when the standing changed, long before its own end.
    let port = stand.port.clone();
    let conversation = visitor.conversation.clone();
    let looked_up = stand.port.looked_up();
    let change = async move {
        while port.looked_up() < looked_up + 1 {
            tokio::task::yield_now().await;
        }
        port.stands(&conversation, Some(standing(1)));
    };
    let (answer, ()) = tokio::join!(poll("after=0&wait_s=25"), change);
    assert_eq!((&answer["standing"]["position"], &answer["items"]), (&json!(1), &json!([])));
    stand.port.stands(&visitor.conversation, None);
    assert!(poll("after=0").await["standing"].is_null());
}

async fn send_get(base: &str, path: String, bearer: String) -> Value {
    let (status, answer) = send(base, "GET", &path, &[("authorization", &bearer)], Vec::new()).await.expect("an answer");
    assert_eq!(status, 200, "{answer}");
    answer
}

#[tokio::test]
async fn typing_reaches_the_other_side_and_nobody_else() {
    let stand = stand().await;
    let mut desk = DeskClient::sign_in(&stand.base, &stand.agent_token(5)).await.expect("signed in");
    desk.ready().await.expect("ready");
    let visitor = stand.session(VISITOR).await;
    let mut page = WebClient::connect(&stand.base, &visitor.token, 0).await.expect("a welcome");
    page.begin(&Begin::default()).await.expect("begun");
    let offer = loop {
        if let DeskEvent::Offered(offer) = desk.next_event().await.expect("an event") {
            break offer;
        }
    };
    desk.accept(&offer.offer).await.expect("accepted");
    page.wait_assigned().await.expect("assigned");
    page.typing().await.expect("sent");
    loop {
        if let DeskEvent::Typing { conversation } = desk.next_event().await.expect("an event") {
            assert_eq!(conversation, visitor.conversation);
            break;
        }
    }
    desk.typing(&offer.offer).await.expect("sent");
    loop {
        if let WebEvent::Typing { seat } = page.next_event().await.expect("an event") {
            assert_eq!(seat, "5");
            break;
        }
    }
    // A claim that is not the seat's goes nowhere; what it may say is refused by field.
    desk.typing("dead").await.expect("sent");
    desk.send_raw(&json!({"type": "typing"})).await.expect("sent");
    loop {
        let frame = desk.next_raw().await.expect("a frame");
        if frame["type"] == "error" {
            assert_eq!(frame["problem"]["field"], "claim");
            break;
        }
    }
    let bearer = format!("Bearer {}", visitor.token);
    let (status, _) =
        send(&stand.base, "POST", "/v1/web/typing", &[("authorization", &bearer)], b"{}".to_vec()).await.expect("an answer");
    assert_eq!((status, stand.port.typed()), (204, 3));
    let (status, _) =
        send(&stand.base, "POST", "/v1/web/typing", &[("authorization", &bearer)], br#"{"x":1}"#.to_vec()).await.expect("one");
    assert_eq!(status, 422);
}

#[tokio::test]
async fn a_desk_gets_its_catalogue_after_the_welcome_and_when_a_policy_changed() {
    let stand = stand().await;
    let catalogue = |agent: &str| Catalogue {
        agent: agent.to_owned(),
        desk: Arc::new(Desk {
            auto_accept: vec!["shop".to_owned()],
            queues: vec![DeskQueue {
                name: "retail".to_owned(),
                en: "Retail".to_owned(),
                zh: "零售".to_owned(),
                transfer: false,
                wrap_up: Some(vec![Code::new("sold", "Sold", "已售")]),
                target: Target::default(),
            }],
            ..Desk::default()
        }),
        queues: Arc::from([CatalogueQueue { name: "retail".to_owned(), offer_timeout: Millis(20_000), wrap_up: Millis(0) }]),
    };
    stand.port.policy(catalogue("Li Wei"));
    let mut desk = DeskClient::sign_in(&stand.base, &stand.agent_token(5)).await.expect("signed in");
    let mut next = async || loop {
        if let DeskEvent::Catalogue(frame) = desk.next_event().await.expect("an event") {
            return frame;
        }
    };
    let frame = next().await;
    assert_eq!((&frame["agent"], &frame["warn_ms"], &frame["breach_ms"]), (&json!("Li Wei"), &json!(100_000), &json!(180_000)));
    let queue = json!({"name": "retail", "en": "Retail", "zh": "零售", "transfer": false, "offer_timeout_ms": 20_000,
        "wrap_up_ms": 0, "wrap_up": [{"code": "sold", "en": "Sold", "zh": "已售"}]});
    assert_eq!(frame["queues"], json!([queue]));
    assert_eq!(frame["channels"], json!([{"name": "shop", "auto_accept": true}, {"name": "bank", "auto_accept": false}]));
    assert_eq!(frame["file_bytes_max"], 0, "no place for files");
    assert_eq!(frame["pause"][1], json!({"code": "meal", "en": "Meal", "zh": "用餐"}));
    stand.port.policy(catalogue("Li Wei (new)"));
    assert_eq!(next().await["agent"], "Li Wei (new)");
}

#[tokio::test]
async fn an_offer_and_a_snapshot_say_what_to_know_before_accepting() {
    let stand = stand().await;
    let mut desk = DeskClient::sign_in(&stand.base, &stand.agent_token(5)).await.expect("signed in");
    desk.ready().await.expect("ready");
    let new = NewVisitor { inbox: "shop".into(), visitor: Some(VISITOR.into()), name: Some("王女士".into()), identity: None };
    let visitor = open_session(&stand.base, &new).await.expect("a session");
    let mut page = WebClient::connect(&stand.base, &visitor.token, 0).await.expect("a welcome");
    page.begin(&Begin::default()).await.expect("begun");
    loop {
        let frame = desk.next_raw().await.expect("a frame");
        if frame["type"] == "offered" {
            assert_eq!(
                (&frame["channel"], &frame["class"], &frame["customer"]),
                (&json!("shop"), &json!("retail"), &json!("王女士"))
            );
            assert_eq!((&frame["skills"], &frame["returned"]), (&json!({"retail": 7}), &json!(true)));
            assert!(frame["waited_ms"].is_u64());
            break;
        }
    }
    desk.cut();
    desk.resume().await.expect("back");
    loop {
        // The snapshot of the first sign-in may still stand before it, without the offer.
        if let DeskEvent::Snapshot(seat) = desk.next_event().await.expect("an event")
            && !seat.offers.is_empty()
        {
            assert_eq!((seat.offers[0].channel.as_str(), seat.offers[0].customer.as_str()), ("shop", "王女士"));
            break;
        }
    }
    // Limits of the name: control characters never, 64 bytes at most.
    for (name, good) in [("x".repeat(64), true), ("x".repeat(65), false), ("x".repeat(640), false), ("a\u{7}b".into(), false)] {
        let new = NewVisitor { inbox: "shop".into(), name: Some(name.clone()), ..NewVisitor::default() };
        assert_eq!(open_session(&stand.base, &new).await.is_ok(), good, "{} bytes", name.len());
    }
}

#[tokio::test]
async fn an_inbox_shows_its_face_to_anybody_from_a_known_origin() {
    let stand = stand().await;
    let get = |path: &'static str, origin: &'static str| {
        let base = stand.base.clone();
        async move { send(&base, "GET", path, &[("origin", origin)], Vec::new()).await.expect("an answer") }
    };
    let (status, face) = get("/v1/web/inbox?inbox=shop", "https://shop.example").await;
    assert_eq!(status, 200);
    let expected = json!({"inbox": "shop", "verified_only": false, "name": {"en": "shop", "zh": "shop"},
        "title": {"en": "Chat with us", "zh": "在线客服"}, "greeting": {"en": "", "zh": ""}, "languages": ["en", "zh"],
        "elder_mode": true, "human_first": false, "file_bytes_max": 0});
    assert_eq!(face, expected);
    for (path, origin, status) in [
        ("/v1/web/inbox?inbox=bank", "https://shop.example", 200),
        ("/v1/web/inbox?inbox=shop", "https://evil.example", 403),
        ("/v1/web/inbox?inbox=no", "https://shop.example", 404),
        ("/v1/web/inbox?inbox=%E5", "https://shop.example", 400),
        ("/v1/web/inbox?inbox=shop&x=1", "https://shop.example", 400),
        ("/v1/web/inbox", "https://shop.example", 400),
    ] {
        assert_eq!(get(path, origin).await.0, status, "{path} from {origin}");
    }
}

#[tokio::test]
async fn pages_and_desks_are_told_the_largest_file() {
    let stand = stand_files(4_321, |_| {}).await;
    let face = send(&stand.base, "GET", "/v1/web/inbox?inbox=shop", &[], Vec::new()).await.expect("an answer").1;
    assert_eq!(face["file_bytes_max"], 4_321);
    stand.port.policy(Catalogue { agent: "Li Wei".to_owned(), desk: Arc::default(), queues: Arc::from([]) });
    let mut desk = DeskClient::sign_in(&stand.base, &stand.agent_token(5)).await.expect("signed in");
    loop {
        if let DeskEvent::Catalogue(frame) = desk.next_event().await.expect("an event") {
            assert_eq!(frame["file_bytes_max"], 4_321);
            break;
        }
    }
}

#[tokio::test]
async fn a_replaced_desk_hears_of_nothing_any_more() {
    let stand = stand().await;
    let mut first = DeskClient::sign_in(&stand.base, &stand.agent_token(5)).await.expect("signed in");
    let second = DeskClient::sign_in(&stand.base, &stand.agent_token(5)).await.expect("signed in, too");
    let mut next = async || tokio::time::timeout(Duration::from_secs(30), first.next_raw()).await.expect("an end");
    while let Ok(frame) = next().await {
        assert!(frame["type"] != "typing" && frame["type"] != "catalogue", "{frame}");
    }
    drop(second);
}
