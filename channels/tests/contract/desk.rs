//! The desk's contract over real sockets, against the contract's reference implementation of the ports.
//!
//! Commands count once under repetition and cuts; a cut seat keeps its claims for the lease, and its desk resumes without
//! losing or repeating an item; a second desk replaces the first; lost notices end in a snapshot; limits and hostile frames
//! as on the web; leases and links are told to the router in order, also while it is busy.

use crate::support::{Stand, TENANT, scaled, stand, stand_with};
use serde_json::{Value, json};
use std::time::Duration;
use tidegate_channels::client::{
    AutoAnswer, Begin, ClaimSeen, ClientError, DeskClient, DeskEvent, Handling, OfferSeen, WebClient, serve,
};
use tidegate_model::{Millis, SeatId};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

async fn desk(stand: &Stand, seat: u64) -> DeskClient {
    DeskClient::sign_in(&stand.base, &stand.agent_token(seat)).await.expect("signed in")
}

async fn customer(stand: &Stand, i: usize) -> WebClient {
    let session = stand.session(&format!("visitor-{i:010}")).await;
    let mut client = WebClient::connect(&stand.base, &session.token, 0).await.expect("welcome");
    client.begin(&Begin::default()).await.expect("begun");
    client
}

async fn until<T>(desk: &mut DeskClient, mut pick: impl FnMut(DeskEvent) -> Option<T>) -> T {
    loop {
        let event = tokio::time::timeout(Duration::from_secs(30), desk.next_event()).await.expect("the event never came");
        if let Some(found) = pick(event.expect("an event")) {
            return found;
        }
    }
}

async fn offered(desk: &mut DeskClient) -> OfferSeen {
    until(desk, |event| match event {
        DeskEvent::Offered(offer) => Some(offer),
        DeskEvent::Snapshot(seat) => seat.offers.into_iter().next(),
        _ => None,
    })
    .await
}

async fn assigned(desk: &mut DeskClient) -> ClaimSeen {
    until(desk, |event| match event {
        DeskEvent::Assigned(claim) => Some(claim),
        _ => None,
    })
    .await
}

async fn item(desk: &mut DeskClient) -> (u32, String, String) {
    until(desk, |event| match event {
        DeskEvent::Item(item) => Some((item.n, item.kind, item.text)),
        _ => None,
    })
    .await
}

async fn snapshot(desk: &mut DeskClient) -> tidegate_channels::client::Snapshot {
    until(desk, |event| match event {
        DeskEvent::Snapshot(seat) => Some(seat),
        _ => None,
    })
    .await
}

/// A desk with one claim, its customer, and the claim.
async fn in_service(stand: &Stand, seat: u64) -> (DeskClient, WebClient, ClaimSeen) {
    let mut desk = desk(stand, seat).await;
    desk.ready().await.expect("ready");
    let customer = customer(stand, seat as usize).await;
    let offer = offered(&mut desk).await;
    desk.accept(&offer.offer).await.expect("accepted");
    let claim = assigned(&mut desk).await;
    (desk, customer, claim)
}

#[tokio::test]
async fn offer_accept_write_end_wrap_up() {
    let stand = stand().await;
    let mut desk = desk(&stand, 0xa1).await;
    assert_eq!(desk.session().seat, "a1");
    assert_eq!(snapshot(&mut desk).await.presence, "paused");
    desk.pause("lunch").await.expect("paused");
    desk.ready().await.expect("ready");
    let mut customer = customer(&stand, 1).await;
    let offer = offered(&mut desk).await;
    assert_eq!((offer.deadline - offer.now, offer.queue.as_str()), (20_000, "retail"));
    assert_eq!(offer.conversation, customer.conversation());
    desk.accept(&offer.offer).await.expect("accepted");
    let claim = assigned(&mut desk).await;
    assert_eq!(claim.claim, offer.offer);
    assert_eq!(customer.wait_assigned().await.expect("assigned").seat, "a1");
    customer.send_text("help").await.expect("sent");
    let sent = desk.send_text(&claim.claim, "您好").await.expect("sent");
    assert_eq!(sent.n, 5);
    assert_eq!(customer.wait_for("agent").await.expect("an answer").text, "您好");
    for expected in [(1, "began", ""), (2, "queued", ""), (3, "assigned", ""), (4, "customer", "help"), (5, "agent", "您好")] {
        assert_eq!(item(&mut desk).await, (expected.0, expected.1.to_owned(), expected.2.to_owned()));
    }
    desk.end(&claim.claim).await.expect("ended");
    until(&mut desk, |event| matches!(event, DeskEvent::WrapUp { .. }).then_some(())).await;
    assert_eq!(customer.wait_ended().await.expect("ended").exit, "served");
    assert_eq!(desk.send_text(&claim.claim, "late").await.expect_err("refused").slug(), "claim-gone");
    desk.wrap_up(&claim.claim, "solved").await.expect("wrapped up");
    until(&mut desk, |event| matches!(event, DeskEvent::Released { .. }).then_some(())).await;
    desk.sign_out().await.expect("signed out");
    assert_eq!(stand.port.wait_link_acts(2).await, [(SeatId(0xa1), "sign_in"), (SeatId(0xa1), "sign_out")]);
    stand.wait_gauge("desk_seats", 0).await;
    stand.wait_gauge("desk_connections", 0).await;
}

#[tokio::test]
async fn decline_transfer_and_a_customer_who_leaves() {
    let stand = stand().await;
    let mut first = desk(&stand, 1).await;
    first.ready().await.expect("ready");
    let mut leaver = customer(&stand, 1).await;
    let offer = offered(&mut first).await;
    leaver.leave().await.expect("left");
    let (gone, why) = until(&mut first, |event| match event {
        DeskEvent::Rescinded { offer, why } => Some((offer, why)),
        _ => None,
    })
    .await;
    assert_eq!((gone, why.as_str()), (offer.offer.clone(), "customer_left"));
    assert_eq!(first.accept(&offer.offer).await.expect_err("gone").slug(), "offer-gone");
    let _stays = customer(&stand, 2).await;
    let offer = offered(&mut first).await;
    first.accept(&offer.offer).await.expect("accepted");
    let claim = assigned(&mut first).await;
    first.pause("tired").await.expect("paused");
    first.transfer_to_queue(&claim.claim, "retail").await.expect("handed on");
    until(&mut first, |event| matches!(event, DeskEvent::Released { .. }).then_some(())).await;
    let mut second = desk(&stand, 2).await;
    second.ready().await.expect("ready");
    let offer = offered(&mut second).await;
    assert_eq!(offer.contact, claim.contact);
    second.decline(&offer.offer, "not mine").await.expect("declined");
}

#[tokio::test]
async fn a_repeated_command_counts_once_and_another_content_is_a_conflict() {
    let stand = stand().await;
    let (mut desk, customer, claim) = in_service(&stand, 1).await;
    let send = |text: &str| json!({"type": "send", "claim": claim.claim, "text": text});
    let first = desk.submit(send("a"), "c1").await.expect("sent");
    desk.cut();
    desk.resume().await.expect("resumed");
    let again = desk.submit(send("a"), "c1").await.expect("sent");
    assert!(again.duplicate && again.n == first.n);
    assert_eq!(desk.submit(send("b"), "c1").await.expect_err("refused").slug(), "conflict");
    assert_eq!(stand.port.bodies(customer.conversation()), ["a"]);
}

/// A thousand cuts of a desk in service: every item once, in order, and the seat keeps its claim all the time.
#[tokio::test]
async fn reconnects_lose_and_repeat_nothing() {
    let stand = stand_with(|config| (config.desk.page, config.desk.lease) = (3, Duration::from_secs(60))).await;
    let (mut desk, mut customer, claim) = in_service(&stand, 1).await;
    let rounds = scaled(1_000, 10_000);
    let mut seen = 0;
    for round in 0..rounds {
        let id = format!("c{round}");
        let frame = json!({"type": "send", "claim": claim.claim, "text": format!("{round}")});
        if round % 3 == 0 {
            let mut blind = frame.clone();
            blind["command_id"] = json!(id);
            desk.send_raw(&blind).await.expect("written");
        }
        if round % 5 == 0 {
            customer.send_text("and?").await.expect("sent");
        }
        desk.cut();
        desk.resume().await.expect("resumed");
        assert!(desk.session().resumed, "within its lease");
        desk.submit(frame, &id).await.expect("acknowledged");
        // Some items are taken before the next cut, some after it.
        for _ in 0..round % 3 {
            let (n, ..) = item(&mut desk).await;
            assert_eq!(n, seen + 1);
            seen = n;
        }
    }
    let total = 3 + rounds as u32 + rounds.div_ceil(5) as u32;
    while seen < total {
        let (n, ..) = item(&mut desk).await;
        assert_eq!(n, seen + 1);
        seen = n;
    }
    let bodies = stand.port.bodies(customer.conversation());
    let own: Vec<&String> = bodies.iter().filter(|body| *body != "and?").collect();
    assert_eq!(own, (0..rounds).map(|round| round.to_string()).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    let acts = stand.port.link_acts();
    assert!(acts.iter().all(|(_, act)| *act != "lease_end"), "no lease ran out");
    assert_eq!(acts.iter().filter(|(_, act)| *act == "sign_in").count(), 1);
}

#[tokio::test]
async fn the_lease_ends_when_nobody_comes_back() {
    let stand = stand().await;
    let (mut desk, mut customer, claim) = in_service(&stand, 1).await;
    desk.cut();
    let acts = stand.port.wait_link_acts(3).await;
    let acts: Vec<&str> = acts.iter().map(|(_, act)| *act).collect();
    assert_eq!(acts, ["sign_in", "link_down", "lease_end"]);
    stand.wait_gauge("desk_seats", 0).await;
    // The contact went back with its seniority: another desk gets it, with the transcript from the beginning.
    let mut other = self::desk(&stand, 2).await;
    other.ready().await.expect("ready");
    let offer = offered(&mut other).await;
    assert_eq!(offer.contact, claim.contact);
    other.accept(&offer.offer).await.expect("accepted");
    assert_eq!(item(&mut other).await.0, 1);
    customer.wait_assigned().await.expect("first");
    assert_eq!(customer.wait_assigned().await.expect("second").seat, "2");
    // The old resume token is worth nothing now: a fresh sign-in, without its claims.
    desk.resume().await.expect("signed in anew");
    assert!(!desk.session().resumed);
    assert!(snapshot(&mut desk).await.claims.is_empty());
}

#[tokio::test]
async fn links_are_told_in_order_while_the_router_is_busy() {
    let stand = stand_with(|config| config.desk.lease = Duration::from_secs(60)).await;
    let (mut desk, _customer, claim) = in_service(&stand, 1).await;
    let before = stand.port.link_acts().len();
    stand.port.busy(5);
    desk.cut();
    // It comes back while LinkDown has not been taken yet: LinkUp waits behind it.
    desk.resume().await.expect("resumed");
    assert!(desk.session().resumed);
    let acts: Vec<&str> = stand.port.link_acts()[before..].iter().map(|(_, act)| *act).collect();
    // Either the cut was seen first (down, up), or the new socket came before it (up alone): never up, down.
    assert!(acts == ["link_down", "link_up"] || acts == ["link_up"], "{acts:?}");
    assert_eq!(snapshot(&mut desk).await.claims[0].claim, claim.claim);
    desk.send_text(&claim.claim, "still here").await.expect("sent");
}

#[tokio::test]
async fn a_second_desk_replaces_the_first() {
    let stand = stand().await;
    let (mut first, _customer, claim) = in_service(&stand, 1).await;
    let mut second = desk(&stand, 1).await;
    assert!(!second.session().resumed);
    let seat = snapshot(&mut second).await;
    assert_eq!((seat.presence.as_str(), seat.claims[0].claim.as_str()), ("ready", claim.claim.as_str()));
    loop {
        match first.next_event().await {
            Ok(_) => {}
            Err(error) => {
                assert!(matches!(error, ClientError::Replaced), "{error}");
                break;
            }
        }
    }
    // The first one's end does not touch the seat.
    drop(first);
    stand.wait_gauge("desk_connections", 1).await;
    second.send_text(&claim.claim, "it is me now").await.expect("sent");
    assert!(stand.port.link_acts().iter().all(|(_, act)| *act == "sign_in"));
    assert_eq!(stand.handle.count("desks_replaced"), 1);
}

#[tokio::test]
async fn seats_left_by_a_restart_get_their_lease() {
    let stand = stand().await;
    let (desk, _customer, _claim) = in_service(&stand, 1).await;
    // Another seat, of which this node has no desk.
    stand.handle.adopt_seats(TENANT, &[SeatId(1), SeatId(2)]);
    let acts = stand.port.wait_link_acts(3).await;
    assert_eq!(acts[1..], [(SeatId(2), "link_down"), (SeatId(2), "lease_end")], "a seat with a desk is left alone");
    drop(desk);
}

/// Notices that do not fit are replaced by a snapshot; what it told is not told again.
#[tokio::test]
async fn lost_notices_end_in_a_snapshot() {
    let stand = stand_with(|config| {
        config.desk.notices = 4;
        config.desk.stall = Millis(60_000);
    })
    .await;
    let (mut desk, customer, claim) = in_service(&stand, 1).await;
    // The desk stops reading under a flood of items, and the rim stands still in a write; notices pile up.
    stand.port.flood(customer.conversation(), 6_000, 4_096);
    let mut others = Vec::new();
    for i in 10..13 {
        let mut other = self::customer(&stand, i).await;
        for _ in 0..3 {
            other.leave().await.expect("left");
            other.begin(&Begin::default()).await.expect("begun");
        }
        others.push(other);
    }
    let mut items = 0;
    let mut seat = None;
    let mut open: Vec<String> = Vec::new();
    while items < 6_000 || seat.is_none() {
        match desk.next_event().await.expect("an event") {
            DeskEvent::Item(item) if item.kind == "agent" => items += 1,
            DeskEvent::Snapshot(found) => {
                open = found.offers.iter().map(|offer| offer.offer.clone()).collect();
                seat = Some(found);
            }
            DeskEvent::Offered(offer) => {
                assert!(!open.contains(&offer.offer), "an offer told by the snapshot is not told again");
                open.push(offer.offer);
            }
            DeskEvent::Rescinded { offer, .. } => open.retain(|other| *other != offer),
            _ => {}
        }
    }
    assert!(stand.handle.count("desks_resynced") >= 1);
    assert_eq!(seat.expect("a snapshot").claims[0].claim, claim.claim);
    // What the desk believes in the end is what is: two of three fit beside the claim.
    assert_eq!(open.len(), 2, "{open:?}");
    for offer in open {
        desk.accept(&offer).await.expect("a live offer");
    }
}

#[tokio::test]
async fn tokens_origins_and_unknown_seats() {
    let stand = stand().await;
    let past = tidegate_channels::TokenAuthority::new(crate::support::ring(1), std::sync::Arc::new(|| 1_000));
    let foreign = tidegate_channels::TokenAuthority::new(crate::support::ring(5), tidegate_channels::auth::system_clock());
    let grant = tidegate_model::port::AgentGrant { tenant: TENANT, seat: SeatId(1) };
    let customer = stand.session("visitor-0000000001").await.token;
    for (token, slug) in [
        ("nonsense".to_owned(), "unauthorised"),
        (past.mint_agent(&grant, 60).expect("minted"), "token-expired"),
        (foreign.mint_agent(&grant, 60).expect("minted"), "unauthorised"),
        (customer, "foreign-token"),
        (stand.agent_token(0x1000), "unknown-seat"),
    ] {
        assert_eq!(DeskClient::sign_in(&stand.base, &token).await.expect_err("refused").slug(), slug);
    }
    stand.wait_gauge("desk_seats", 0).await;
    for (origin, fine) in [("https://desk.example", true), ("https://shop.example", false), ("null", false)] {
        let mut request = format!("ws://{}/v1/desk/ws", stand.address).into_client_request().expect("a request");
        request.headers_mut().insert("origin", origin.parse().expect("a header"));
        assert_eq!(tokio_tungstenite::connect_async(request).await.is_ok(), fine, "{origin}");
    }
}

#[tokio::test]
async fn hostile_frames_are_answered_by_name() {
    let stand = stand().await;
    let (mut desk, customer, claim) = in_service(&stand, 1).await;
    let stranger = self::customer(&stand, 77).await;
    let stranger = stranger.conversation().to_owned();
    let long = "x".repeat(4_097);
    let table: Vec<(Value, &str, &str)> = vec![
        (json!({"type": "accept"}), "bad-field", "command_id"),
        (json!({"type": "accept", "command_id": "a"}), "bad-field", "offer"),
        (json!({"type": "accept", "command_id": "a", "offer": 7}), "bad-field", "offer"),
        (json!({"type": "accept", "command_id": "a", "offer": "0"}), "bad-field", "offer"),
        (json!({"type": "accept", "command_id": "a", "offer": "+1"}), "bad-field", "offer"),
        (json!({"type": "accept", "command_id": "a", "offer": "12345678901234567"}), "too-long", "offer"),
        (json!({"type": "accept", "command_id": "a", "offer": "1", "now": true}), "unknown-field", "now"),
        (json!({"type": "presence", "command_id": "a", "state": "away"}), "bad-field", "state"),
        (json!({"type": "presence", "command_id": "a", "state": "ready", "reason": "x"}), "bad-field", "reason"),
        (json!({"type": "send", "command_id": "a", "claim": claim.claim, "text": long}), "too-long", "text"),
        (json!({"type": "send", "command_id": "a", "claim": claim.claim, "text": "x".repeat(12_000)}), "too-long", "text"),
        (json!({"type": "transfer", "command_id": "a", "claim": "1"}), "bad-field", "to"),
        (json!({"type": "transfer", "command_id": "a", "claim": "1", "to": {}}), "bad-field", "to"),
        (json!({"type": "transfer", "command_id": "a", "claim": "1", "to": {"queue": "q", "seat": "1"}}), "bad-field", "to"),
        (json!({"type": "transfer", "command_id": "a", "claim": "1", "to": {"queue": "q", "x": 1}}), "unknown-field", "x"),
        (json!({"type": "follow", "conversation": "xyz"}), "bad-field", "conversation"),
        (json!({"type": "follow", "conversation": stranger}), "foreign-conversation", "conversation"),
        (json!({"type": "follow", "conversation": customer.conversation(), "after": 99}), "bad-field", "after"),
        (json!({"type": "sign_in", "token": "x"}), "out-of-order", ""),
        (json!({"type": "dance"}), "bad-field", "type"),
    ];
    for (frame, slug, field) in table {
        desk.send_raw(&frame).await.expect("written");
        let answer = loop {
            let answer = desk.next_raw().await.expect("a frame");
            if answer["type"] == "error" {
                break answer;
            }
        };
        assert_eq!(answer["problem"]["type"], format!("/problems/{slug}"), "{frame}: {answer}");
        assert_eq!(answer["problem"]["field"].as_str().unwrap_or_default(), field, "{frame}: {answer}");
    }
    desk.send_text(&claim.claim, &"x".repeat(4_096)).await.expect("at its limit");
}

/// A desk may ask for a transcript again, from where it says.
#[tokio::test]
async fn follow_goes_back_and_continues() {
    let stand = stand_with(|config| config.desk.page = 2).await;
    let (mut desk, customer, _claim) = in_service(&stand, 1).await;
    stand.port.flood(customer.conversation(), 7, 10);
    for n in 1..=10 {
        assert_eq!(item(&mut desk).await.0, n);
    }
    desk.send_raw(&json!({"type": "follow", "conversation": customer.conversation(), "after": 4})).await.expect("written");
    for n in 5..=10 {
        loop {
            let frame = desk.next_raw().await.expect("a frame");
            if frame["type"] == "item" {
                assert_eq!(frame["n"], n);
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_drain_says_bye_and_ends() {
    let stand = stand().await;
    let (mut desk, _customer, _claim) = in_service(&stand, 1).await;
    let handle = stand.handle.clone();
    let drained = tokio::spawn(async move { handle.drain(Millis(900)).await });
    until(&mut desk, |event| (event == DeskEvent::Bye(Duration::from_millis(900))).then_some(())).await;
    let end = loop {
        match desk.next_event().await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(end, ClientError::Closed { code: 1012, .. }), "{end}");
    drained.await.expect("drained");
    assert!(desk.resume().await.is_err(), "nobody is let in any more");
}

struct Quick {
    released: usize,
}

impl AutoAnswer for Quick {
    fn offered(&mut self, _: &OfferSeen) -> Handling {
        Handling { accept: true, ring: Duration::ZERO, talk: Duration::from_millis(1), wrap_up: Duration::ZERO }
    }

    fn released(&mut self, _: &ClaimSeen) {
        self.released += 1;
    }
}

/// Auto-answering agents, cut now and then, serve everybody once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auto_answer_serves_everybody_across_cuts() {
    let stand = std::sync::Arc::new(stand_with(|config| config.desk.lease = Duration::from_secs(60)).await);
    let customers = scaled(120, 3_000);
    let (done, _) = tokio::sync::watch::channel(0_usize);
    let mut agents = tokio::task::JoinSet::new();
    for seat in 1..=4_u64 {
        let (stand, done) = (std::sync::Arc::clone(&stand), done.clone());
        agents.spawn(async move {
            let mut desk = desk(&stand, seat).await;
            desk.ready().await.expect("ready");
            let mut agent = Quick { released: 0 };
            // Everybody but the last is cut each time another twenty customers are through.
            let stretch = if seat == 4 { customers } else { 20 };
            for cut_at in (1..).map(|round| (round * stretch).min(customers)) {
                let mut seen = done.subscribe();
                let until = async move { drop(seen.wait_for(|done| *done >= cut_at).await) };
                serve(&mut desk, &mut agent, until).await.expect("served");
                if cut_at == customers {
                    break;
                }
                desk.cut();
                desk.resume().await.expect("resumed");
            }
            agent.released
        });
    }
    let mut pages = tokio::task::JoinSet::new();
    for i in 0..customers {
        let (stand, done) = (std::sync::Arc::clone(&stand), done.clone());
        pages.spawn(async move {
            let mut page = customer(&stand, i).await;
            assert_eq!(page.wait_ended().await.expect("ended").exit, "served");
            done.send_modify(|done| *done += 1);
        });
    }
    while let Some(page) = pages.join_next().await {
        page.expect("a customer's way");
    }
    while let Some(agent) = agents.join_next().await {
        agent.expect("an agent's day");
    }
    assert_eq!(*done.borrow(), customers);
}
