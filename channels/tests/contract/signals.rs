//! Standings and typing under a bad network: by the event stream, behind a slow reader, over a connection whose other end is gone.
//!
//! A signal is told to who reads, is never numbered, and never piles up: at most the newest of each waits for a connection.

use crate::support::{Stand, TENANT, stand, stand_with};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tidegate_channels::client::{Begin, DeskClient, DeskEvent, WebClient};
use tidegate_model::port::{Ingress, SeatPort, Standing, WaitInterval};
use tidegate_model::{ConversationId, Millis, QueueName, SeatId, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

const VISITOR: &str = "visitor-0000000088";
const SEAT: SeatId = SeatId(5);

fn standing(position: u32) -> Standing {
    let wait = Some(WaitInterval { p50: Millis(95_000), p90: Millis(210_000) });
    Standing { queue: QueueName::of("retail"), position, waiting: 17, wait, at: Timestamp(5) }
}

fn id_of(conversation: &str) -> ConversationId {
    ConversationId(u128::from_str_radix(conversation, 16).expect("an id"))
}

/// A customer in service of the seat's desk.
async fn in_service(stand: &Stand) -> (String, String, DeskClient) {
    let mut desk = DeskClient::sign_in(&stand.base, &stand.agent_token(SEAT.0)).await.expect("signed in");
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
    (visitor.token, visitor.conversation, desk)
}

/// The event stream, read as text.
struct Events {
    socket: TcpStream,
    text: String,
}

impl Events {
    async fn open(stand: &Stand, token: &str) -> Self {
        let mut socket = TcpStream::connect(stand.address).await.expect("connected");
        let head = format!("GET /v1/web/events HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\r\n", stand.address);
        socket.write_all(head.as_bytes()).await.expect("written");
        Self { socket, text: String::new() }
    }

    /// Reads until a frame of this type has come; all events so far, as (number, event, data).
    async fn until(&mut self, kind: &str) -> Vec<(Option<u32>, String, Value)> {
        let mut buffer = [0_u8; 4_096];
        loop {
            let events: Vec<_> = self.text.split("\n\n").filter_map(event).collect();
            if events.iter().any(|(_, _, data)| data["type"] == kind) {
                self.text.clear();
                return events;
            }
            let read = self.socket.read(&mut buffer).await.expect("read");
            assert!(read > 0, "the stream ended: {}", self.text);
            self.text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }
}

fn event(block: &str) -> Option<(Option<u32>, String, Value)> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    let data = serde_json::from_str(field("data: ")?).ok()?;
    Some((field("id: ").and_then(|id| id.parse().ok()), field("event: ")?.to_owned(), data))
}

#[tokio::test]
async fn the_event_stream_tells_standing_and_typing_without_numbers() {
    let stand = stand().await;
    let (token, conversation, _desk) = in_service(&stand).await;
    stand.port.stands(&conversation, Some(standing(3)));
    let mut events = Events::open(&stand, &token).await;
    let told = events.until("standing").await;
    let (id, event, data) = told.iter().find(|(_, _, data)| data["type"] == "standing").expect("told");
    assert_eq!((id, event.as_str(), &data["position"]), (&None, "frame", &json!(3)));
    assert_eq!(data["wait_ms"], json!({"p50": 95_000, "p90": 210_000}));
    // It changed: told again, and only then.
    stand.port.stands(&conversation, Some(standing(2)));
    let told = events.until("standing").await;
    assert_eq!(told.iter().filter(|(_, _, data)| data["type"] == "standing").count(), 1);
    SeatPort::typing(&stand.port, TENANT, SEAT, id_of(&conversation));
    let told = events.until("typing").await;
    let (id, event, data) = told.iter().find(|(_, _, data)| data["type"] == "typing").expect("told");
    assert_eq!((id, event.as_str(), &data["seat"]), (&None, "frame", &json!("5")));
}

#[tokio::test]
async fn signals_never_pile_up_behind_a_slow_reader() {
    let stand = stand_with(|config| config.web.stall = Millis(600)).await;
    let (token, conversation, mut desk) = in_service(&stand).await;
    let url = format!("{}/v1/web/ws", stand.base.replace("http://", "ws://"));
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("connected");
    socket.send(Message::text(json!({"type": "hello", "token": token}).to_string())).await.expect("written");
    // More than the buffers of both ends hold: the connection stalls, and signals rain on it meanwhile.
    stand.port.flood(&conversation, 8_000, 4_096);
    for round in 0..10_000 {
        SeatPort::typing(&stand.port, TENANT, SEAT, id_of(&conversation));
        stand.port.stands(&conversation, Some(standing(round % 17 + 1)));
        if round % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    stand.wait_count("closed_slow", 1).await;
    let (mut items, mut signals) = (0, 0);
    let code = loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let frame: Value = serde_json::from_str(&text).expect("JSON");
                match frame["type"].as_str() {
                    Some("item") => {
                        items += 1;
                        assert_eq!(frame["n"], items, "numbers have no gaps");
                    }
                    Some("standing" | "typing") => signals += 1,
                    _ => {}
                }
            }
            Some(Ok(Message::Close(Some(frame)))) => break u16::from(frame.code),
            Some(Ok(_)) => {}
            other => panic!("after {items}: {other:?}"),
        }
    };
    assert_eq!(code, 1013);
    assert!(signals <= 4, "{signals} signals for a reader who read none");
    // The same for a desk: what rains on it is one sign, and its commands are answered.
    for _ in 0..10_000 {
        Ingress::typing(&stand.port, TENANT, id_of(&conversation));
    }
    desk.pause("lunch").await.expect("answered");
    let held = stand.handle.gauges().into_iter().find(|gauge| gauge.name == "desk_notices").expect("a gauge");
    assert!(held.used <= 2, "{} notices wait", held.used);
}

#[tokio::test]
async fn a_half_open_connection_ends_though_signals_still_fit_into_its_buffers() {
    let stand = stand_with(|config| {
        config.web.ping = Millis(300);
        config.desk.ping = Millis(300);
    })
    .await;
    let visitor = stand.session(VISITOR).await;
    stand.port.stands(&visitor.conversation, Some(standing(17)));
    let open = async |path: &str, hello: Value| {
        let url = format!("{}{path}", stand.base.replace("http://", "ws://"));
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("connected");
        socket.send(Message::text(hello.to_string())).await.expect("written");
        socket
    };
    // Held open, and never read: no ping is ever answered.
    let _page = open("/v1/web/ws", json!({"type": "hello", "token": visitor.token})).await;
    let _desk = open("/v1/desk/ws", json!({"type": "sign_in", "token": stand.agent_token(SEAT.0)})).await;
    stand.wait_gauge("web_connections", 1).await;
    stand.wait_gauge("desk_connections", 1).await;
    let port = stand.port.clone();
    let conversation = visitor.conversation.clone();
    let rain = tokio::spawn(async move {
        for round in 0.. {
            port.stands(&conversation, Some(standing(round % 17 + 1)));
            SeatPort::typing(&port, TENANT, SEAT, id_of(&conversation));
            Ingress::typing(&port, TENANT, id_of(&conversation));
            tokio::task::yield_now().await;
        }
    });
    stand.wait_gauge("web_connections", 0).await;
    stand.wait_gauge("desk_connections", 0).await;
    rain.abort();
}
