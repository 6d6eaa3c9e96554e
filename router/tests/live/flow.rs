//! One contact through the whole node by its ports: event, offer, acceptance, messages both ways, end, wrap-up; and what the
//! live halves owe to connections on the way (wakes by number, passivation, replacement of desks, signals).

use crate::support::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tidegate_model::ids::{ConversationId, SeatId, TenantId};
use tidegate_model::input::{InboundAct, SeatAct};
use tidegate_model::output::{Outcome, Presence, Refusal, SeatNotice};
use tidegate_model::port::{Egress, Ingress, PortError, SeatPort};
use tidegate_router::live::{ConversationKey, NOTICES_MAX, Party, SIGNALS_MAX, WATCHERS_MAX};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_goes_from_its_first_event_to_the_end_of_wrap_up() {
    let node = node(1, 1).await;
    let desk = Desk::open(&node, TENANT, 1);
    desk.sign_in().await;
    let anna = Customer::new(&node, TENANT, WEB, 77);
    assert!(matches!(anna.begin().await, Outcome::Done { contact, .. } if !contact.is_none()));

    let (offer, conversation) = within("an offer", desk.offer()).await;
    assert_eq!(conversation, anna.conversation);
    assert!(matches!(desk.accept(offer).await, Outcome::Done { .. }));
    let (claim, _) = within("the claim", desk.claim(offer)).await;

    let Outcome::Done { n: asked, .. } = anna.says("where is my order?").await else { panic!("refused") };
    within("the desk's wake", desk.until(|state| (state.wakes.get(&conversation) >= Some(&asked)).then_some(()))).await;
    let answer = desk.act(SeatAct::Send { claim, body: "on its way".as_bytes() }).await.expect("taken");
    let Outcome::Done { n: told, .. } = answer else { panic!("refused: {answer:?}") };
    within("the customer's wake", anna.woken().reaches(told)).await;
    assert_eq!(anna.texts().await, [(asked, "where is my order?".to_owned()), (told, "on its way".to_owned())]);

    let snapshot = SeatPort::snapshot(&node, TENANT, SeatId(1)).await.expect("known");
    assert_eq!((snapshot.presence, snapshot.offers.len(), snapshot.claims.len()), (Presence::Ready, 0, 1));
    desk.finish(claim).await;
    within("the release", desk.until(|state| state.released.contains(&claim).then_some(()))).await;
    let snapshot = SeatPort::snapshot(&node, TENANT, SeatId(1)).await.expect("known");
    assert_eq!(snapshot.claims.len(), 0);

    let ledger = node.query(TENANT, |machine| machine.ledger()).await.expect("known");
    assert!(ledger.balanced() && ledger.offered == 1 && ledger.exits[0] == 1 && ledger.open() == 0, "{ledger:?}");
    let drained = node.drain().await;
    assert!(drained.is_ok(), "{drained:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_event_is_one_message_and_the_same_id_with_another_body_is_a_conflict() {
    let node = node(1, 1).await;
    let anna = Customer::new(&node, TENANT, WEB, 77);
    anna.begin().await;
    let event = fresh();
    let first = anna.act(event, InboundAct::Message { body: b"once" }).await.expect("taken");
    let Outcome::Done { n, .. } = first else { panic!("refused: {first:?}") };
    assert_eq!(anna.act(event, InboundAct::Message { body: b"once" }).await, Ok(Outcome::Duplicate { n }));
    assert_eq!(anna.act(event, InboundAct::Message { body: b"twice" }).await, Ok(Outcome::Conflict));
    assert_eq!(anna.texts().await, [(n, "once".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_and_unknown_names_are_answered_by_name() {
    let node = node_with(config(vec![tenant(1, 1, 1), tenant(2, 1, 1)])).await;
    let anna = Customer::new(&node, TENANT, WEB, 77);
    anna.begin().await;
    anna.says("hello").await;
    let foreign = node.transcript(TenantId(2), anna.conversation, 0, 10).await;
    assert_eq!(foreign, Err(PortError::Unknown), "another tenant's conversation of the same id is nobody's");
    let nobody = Customer::new(&node, TenantId(9), WEB, 77);
    assert_eq!(nobody.act(fresh(), InboundAct::Leave).await, Err(PortError::Unknown));
    let stranger = Desk::open(&node, TENANT, 99);
    assert_eq!(stranger.act(SeatAct::SignIn).await, Ok(Outcome::Refused(Refusal::UnknownSeat)));
    assert!(matches!(SeatPort::snapshot(&node, TENANT, SeatId(99)).await, Err(PortError::Unknown)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_half_goes_to_rest_and_comes_back_at_the_next_event() {
    let node = node(1, 1).await;
    let anna = Customer::new(&node, TENANT, WEB, 77);
    anna.begin().await;
    within("the first wake", anna.woken().reaches(1)).await;
    within("rest", async {
        while node.live().status().conversations.live > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let resting = node.live().status();
    assert_eq!((resting.conversations.slots, resting.conversations.watchers), (1, 1), "its connection stays registered");
    assert!(resting.rested >= 1);
    let Outcome::Done { n, .. } = anna.says("still there?").await else { panic!("refused") };
    within("the wake after the rest", anna.woken().reaches(n)).await;
    drop(anna);
    within("nothing is left", async {
        while node.live().status().conversations.slots > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_without_a_connection_start_no_actor() {
    let node = node(1, 1).await;
    for conversation in 1..=50 {
        let silent = Customer::new(&node, TENANT, WEB, conversation);
        let handle = silent.node.clone();
        drop(silent);
        let inbound = tidegate_model::input::Inbound {
            account: WEB,
            conversation: ConversationId(conversation + 1_000),
            event: tidegate_model::ids::EventId(fresh()),
            customer: tidegate_model::ids::CustomerId::NONE,
            known_n: 0,
            act: InboundAct::Message { body: b"hello" },
        };
        handle.accept(TENANT, inbound).await.expect("taken");
    }
    within("the watched ones go", async {
        while node.live().status().conversations.slots > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(node.live().status().conversations_started <= 50, "none for the events of unwatched conversations");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_desk_replaces_the_first_and_is_told_what_is_open() {
    let node = node(1, 2).await;
    let first = Desk::open(&node, TENANT, 1);
    first.sign_in().await;
    let anna = Customer::new(&node, TENANT, WEB, 1);
    anna.begin().await;
    let (offer, _) = within("the first offer", first.offer()).await;
    first.accept(offer).await;
    within("the claim", first.claim(offer)).await;
    let ben = Customer::new(&node, TENANT, WEB, 2);
    ben.begin().await;
    let (open, _) = within("the second offer", first.offer()).await;

    let second = Desk::open(&node, TENANT, 1);
    within("the first is told", first.until(|state| state.replaced.then_some(()))).await;
    let (again, _) = within("the open offer again", second.offer()).await;
    assert_eq!(again, open);
    within("the claim again", second.claim(offer)).await;
    let before = first.state().notices.len();
    assert!(matches!(second.accept(again).await, Outcome::Done { .. }));
    within("its claim", second.claim(again)).await;
    assert_eq!(first.state().notices.len(), before, "a replaced desk hears nothing more");
    first.close();
    assert!(node.live().has_desk(TENANT, SeatId(1)), "closing the replaced desk leaves the new one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desk_that_is_too_slow_is_resynchronised_and_ends_where_the_machine_stands() {
    /// A desk whose first notice holds the half until it is let go.
    struct Slow {
        inner: Arc<DeskSink>,
        gate: std::sync::Mutex<Option<std::sync::mpsc::Receiver<()>>>,
    }
    impl tidegate_model::port::SeatSink for Slow {
        fn notice(&self, notice: SeatNotice) {
            let gate = self.gate.lock().expect("no panic").take();
            if let Some(gate) = gate {
                let _released = gate.recv();
            }
            self.inner.notice(notice);
        }
        fn wake(&self, conversation: ConversationId, n: u32) {
            self.inner.wake(conversation, n);
        }
        fn replaced(&self) {}
    }
    let node = node(1, 1).await;
    let (open_gate, gate) = std::sync::mpsc::sync_channel(1);
    let inner = Arc::<DeskSink>::default();
    let slow = Arc::new(Slow { inner: inner.clone(), gate: std::sync::Mutex::new(Some(gate)) });
    let _watch = SeatPort::watch(&node, TENANT, SeatId(1), slow);
    let hand = Desk::acting(&node, TENANT, 1);
    hand.sign_in().await;
    // Each pause and return is a notice; far more than fit wait while the desk stands still.
    for round in 0..NOTICES_MAX {
        let reason = tidegate_model::name::ReasonName(round as u64 + 1);
        hand.act(SeatAct::Pause { reason }).await.expect("taken");
        hand.act(SeatAct::Ready).await.expect("taken");
    }
    let queue = node.gauges().read().into_iter().find(|queue| queue.name == "seat_notices").expect("listed");
    assert!(queue.length <= queue.limit && queue.limit == NOTICES_MAX as u64, "{queue:?}");
    assert!(node.live().status().resyncs >= 1);
    hand.act(SeatAct::Pause { reason: tidegate_model::name::ReasonName::of("lunch") }).await.expect("taken");
    open_gate.send(()).expect("the half waits");
    let lunch = Presence::Paused { reason: tidegate_model::name::ReasonName::of("lunch") };
    within(
        "the newest presence",
        hand.watching(&inner, |state| {
            let newest = state.notices.iter().rev().find_map(|notice| match notice {
                SeatNotice::Presence { presence } => Some(*presence),
                _ => None,
            });
            (newest == Some(lunch)).then_some(())
        }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_and_signals_have_limits() {
    let node = node(1, 1).await;
    let key = ConversationKey { tenant: TENANT, conversation: ConversationId(5) };
    assert!(!node.live().signal(key, Party::Customer, Duration::from_secs(5)), "nobody watches");
    let mut watches = Vec::new();
    for _ in 0..WATCHERS_MAX {
        watches.push(Ingress::watch(&node, TENANT, key.conversation, Arc::<Woken>::default()));
    }
    assert_eq!(node.live().status().watches_refused, 0);
    let late = Arc::<Woken>::default();
    for refused in 1..=10 {
        watches.push(Ingress::watch(&node, TENANT, key.conversation, late.clone()));
        assert_eq!(node.live().status().watches_refused, refused);
    }
    for seat in 1..=SIGNALS_MAX as u64 {
        assert!(node.live().signal(key, Party::Seat(SeatId(seat)), Duration::from_secs(600)));
    }
    assert!(!node.live().signal(key, Party::Customer, Duration::from_secs(5)), "one above the limit");
    assert!(node.live().signal(key, Party::Seat(SeatId(1)), Duration::from_secs(5)), "the same party again is no new one");
    assert_eq!(node.live().signals(key).len(), SIGNALS_MAX);
    assert!(node.live().signal(key, Party::Seat(SeatId(1)), Duration::ZERO));
    assert!(!node.live().signals(key).contains(&Party::Seat(SeatId(1))), "a signal of no length has ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_panics_is_let_go_and_the_others_are_served() {
    struct Bomb(AtomicU64);
    impl Egress for Bomb {
        fn wake(&self, _: ConversationId, _: u32) {
            self.0.fetch_add(1, Ordering::Relaxed);
            panic!("planted: a connection's fault");
        }
    }
    let node = node(1, 1).await;
    let bomb = Arc::new(Bomb(AtomicU64::new(0)));
    let _first = Ingress::watch(&node, TENANT, ConversationId(7), bomb.clone());
    let anna = Customer::new(&node, TENANT, WEB, 7);
    let Outcome::Done { .. } = anna.begin().await else { panic!("refused") };
    let Outcome::Done { n, .. } = anna.says("hello").await else { panic!("refused") };
    within("the wake past the bomb", anna.woken().reaches(n)).await;
    let status = node.live().status();
    assert_eq!((bomb.0.load(Ordering::Relaxed), status.watchers_dropped), (1, 1));
    assert!(status.restarts >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_queue_of_a_node_is_listed_with_its_limit() {
    let node = node(1, 1).await;
    let _desk = Desk::open(&node, TENANT, 1);
    let queues = node.gauges().read();
    for queue in &queues {
        assert!(queue.limit > 0 && queue.length <= queue.limit, "{queue:?}");
    }
    let names: Vec<_> = queues.iter().map(|queue| queue.name.as_str()).collect();
    for expected in [
        "front_seats",
        "front_customers",
        "front_effects",
        "proposer_seats",
        "proposer_customers",
        "proposer_effects",
        "conversation_wakes",
        "conversation_starts",
        "seat_starts",
        "seat_notices",
        "seat_wakes",
        "outbox_starts",
        "transcript_reads",
    ] {
        assert!(names.contains(&expected), "{expected} is missing in {names:?}");
    }
    println!("{names:?}");
}
