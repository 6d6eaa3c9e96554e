//! Live halves are killed at random under load, nurseries and the root included: nothing is lost, nothing happens twice.
//!
//! Customers keep their own history and desks behave by id; at the end the machine's ledger, every transcript, every claim
//! and every provider's list of deliveries must agree with those histories. Outboxes are tested with a provider that counts.

use crate::support::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidegate_model::ids::{ContactId, ConversationId, EffectId};
use tidegate_model::input::SeatAct;
use tidegate_model::name::ReasonName;
use tidegate_model::output::{Item, Outcome};
use tidegate_model::port::{BoxFuture, Ingress};
use tidegate_model::time::Millis;
use tidegate_router::live::{Delivery, OutboxKey, Promise, PushAnswer, PushChannel, Victim};

const VICTIMS: [Victim; 7] = [
    Victim::Conversations,
    Victim::Seats,
    Victim::Outboxes,
    Victim::ConversationNursery,
    Victim::SeatNursery,
    Victim::OutboxNursery,
    Victim::Root,
];

/// A desk's whole day: accepts what it is offered, says `words` to each customer, ends, wraps up.
async fn works(desk: Arc<Desk>, words: u32, served: Arc<Mutex<Vec<(ContactId, ConversationId)>>>, closing: Arc<AtomicBool>) {
    loop {
        let next = tokio::time::timeout(Duration::from_millis(20), desk.offer()).await;
        let Ok((offer, conversation)) = next else {
            if closing.load(Ordering::Acquire) {
                return;
            }
            continue;
        };
        if !matches!(desk.accept(offer).await, Outcome::Done { .. }) {
            continue;
        }
        let (claim, contact) = within("the claim of an accepted offer", desk.claim(offer)).await;
        // An agent who ended before the customer had asked would leave the question to a second contact.
        loop {
            let items = Ingress::transcript(&desk.node, TENANT, conversation, 0, 1_000).await.expect("known");
            if items.iter().filter(|item| item.item == Item::FromCustomer).count() as u32 >= words {
                break;
            }
            let last = items.last().map_or(0, |item| item.n);
            within("a question", desk.until(|state| (state.wakes.get(&conversation) > Some(&last)).then_some(()))).await;
        }
        for word in 0..words {
            let body = format!("answer {word} of {}", offer.0);
            let said = desk.act(SeatAct::Send { claim, body: body.as_bytes() }).await.expect("taken");
            let Outcome::Done { n, .. } = said else { panic!("an answer was refused: {said:?}") };
            within(
                "the desk hears of its own answer",
                desk.until(|state| (state.wakes.get(&conversation) >= Some(&n)).then_some(())),
            )
            .await;
        }
        desk.finish(claim).await;
        within("the release", desk.until(|state| (!state.claims.contains_key(&claim)).then_some(()))).await;
        served.lock().unwrap_or_else(PoisonError::into_inner).push((contact, conversation));
    }
}

/// A customer's whole visit; returns when everything that the agent said was announced.
async fn visits(customer: Customer, words: u32) -> BTreeMap<String, u32> {
    let mut said = BTreeMap::new();
    customer.begin().await;
    for word in 0..words {
        let text = format!("question {word} of {:x}", customer.conversation.0);
        let outcome = customer.says(&text).await;
        let Outcome::Done { n, .. } = outcome else { panic!("a question was refused: {outcome:?}") };
        within("the customer's own words", customer.woken().reaches(n)).await;
        said.insert(text, n);
    }
    // The last item of a contact is its end: the wake for it must come whatever is killed.
    let ended = async {
        loop {
            let items = customer.node_transcript().await;
            if items.iter().any(|item| matches!(item.item, Item::Ended { .. })) {
                let last = items.last().map_or(0, |item| item.n);
                customer.woken().reaches(last).await;
                return;
            }
            customer.woken().reaches(items.last().map_or(0, |item| item.n) + 1).await;
        }
    };
    within_or(ended, async || {
        let items: Vec<_> = customer.node_transcript().await.iter().map(|item| item.item).collect();
        let live = customer.node.live().status();
        let seats = customer.node.query(TENANT, |machine| machine.seats()).await;
        format!("the end of a contact; woken up to {} of {items:?}; {live:?}; {seats:?}", customer.woken().newest())
    })
    .await;
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_kills_at_load_lose_nothing_and_repeat_nothing() {
    let (seats, visitors, kills) = (12_u64, nightly(6_000), nightly(20_000));
    let dice = Arc::new(Dice::seeded(0x7165_6761_7465));
    let node = node(seats, 2).await;
    let served = Arc::<Mutex<Vec<(ContactId, ConversationId)>>>::default();
    let closing = Arc::<AtomicBool>::default();
    let desks: Vec<_> = (1..=seats).map(|seat| Arc::new(Desk::open(&node, TENANT, seat))).collect();
    let mut at_work = Vec::new();
    for desk in &desks {
        desk.sign_in().await;
        at_work.push(tokio::spawn(works(Arc::clone(desk), 2, Arc::clone(&served), Arc::clone(&closing))));
    }
    let killer = tokio::spawn({
        let (node, dice) = (node.clone(), Arc::clone(&dice));
        async move {
            let mut killed = 0;
            while killed < kills {
                // Halves often, nurseries seldom, the root hardly ever; always at a moment that nobody chose.
                let victim = match dice.roll() % 100 {
                    0..=1 => Victim::Root,
                    2..=11 => VICTIMS[3 + (dice.roll() % 3) as usize],
                    n => VICTIMS[(n % 3) as usize],
                };
                killed += node.live().kill(victim, |_| dice.roll().is_multiple_of(4));
                for _ in 0..dice.roll() % 64 {
                    tokio::task::yield_now().await;
                }
            }
            killed
        }
    });
    let mut visiting = tokio::task::JoinSet::new();
    let mut histories: HashMap<ConversationId, BTreeMap<String, u32>> = HashMap::new();
    for visitor in 0..visitors as u128 {
        let customer = Customer::new(&node, TENANT, WEB, (1 << 64) | (visitor + 1));
        visiting.spawn(async move { (customer.conversation, visits(customer, 2).await) });
        if visiting.len() >= 64 {
            let (conversation, said) = visiting.join_next().await.expect("64 are under way").expect("a visit");
            histories.insert(conversation, said);
        }
    }
    while let Some(done) = visiting.join_next().await {
        let (conversation, said) = done.expect("a visit");
        histories.insert(conversation, said);
    }
    closing.store(true, Ordering::Release);
    for desk in at_work {
        desk.await.expect("a desk");
    }
    killer.abort();
    let _ended = killer.await;

    let status = node.live().status();
    println!(
        "visits {visitors}; halves restarted {}, nurseries {}, roots {}, resyncs {}",
        status.restarts, status.nursery_restarts, status.root_restarts, status.resyncs
    );
    assert!(status.restarts > 0 && status.nursery_restarts > 0, "the killer killed: {status:?}");
    assert_eq!(status.watchers_dropped, 0, "a killed half is nobody's fault");
    let ledger = node.query(TENANT, |machine| machine.ledger()).await.expect("known");
    assert!(ledger.balanced() && ledger.open() == 0, "{ledger:?}");
    assert_eq!((ledger.offered, ledger.exits[0]), (visitors as u64, visitors as u64), "each served, once: {ledger:?}");

    let served = served.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut by_contact = BTreeMap::new();
    for (contact, conversation) in &served {
        assert_eq!(by_contact.insert(*contact, *conversation), None, "contact {contact} was served twice");
    }
    assert_eq!(served.len(), visitors);
    for desk in &desks {
        let state = desk.state();
        let mut claims = state.assigned_claims.clone();
        claims.sort_unstable();
        claims.dedup();
        assert_eq!(claims.len(), state.assigned_claims.len(), "a claim was assigned to a desk twice");
        let mut released = state.released.clone();
        released.sort_unstable();
        released.dedup();
        assert_eq!((released.len(), state.claims.len()), (state.released.len(), 0), "each claim is released once");
        assert_eq!(claims, released);
    }
    for (conversation, said) in &histories {
        let items = Ingress::transcript(&node, TENANT, *conversation, 0, 1_000).await.expect("known");
        let numbers: Vec<_> = items.iter().map(|item| item.n).collect();
        assert_eq!(numbers, (1..=items.len() as u32).collect::<Vec<_>>());
        let texts: Vec<_> = items.iter().filter(|item| !item.body.is_empty()).collect();
        assert_eq!(texts.len(), said.len() + 2, "two questions and two answers, each once");
        for (text, n) in said {
            assert_eq!(
                items[*n as usize - 1].body.as_ref(),
                text.as_bytes(),
                "an acknowledged message is where it was acknowledged"
            );
        }
    }
    node.drain().await.expect("clean");
}

/// A provider that keeps what it took, and is unreliable on purpose.
struct Provider {
    promise: Promise,
    dice: Arc<Dice>,
    /// Effects taken, with how often: a provider that de-duplicates would keep one.
    taken: Mutex<BTreeMap<EffectId, u32>>,
    order: Mutex<BTreeMap<ConversationId, Vec<u32>>>,
    faults: bool,
    attempts: AtomicU64,
}

impl Provider {
    fn new(promise: Promise, dice: &Arc<Dice>, faults: bool) -> Arc<Self> {
        let (dice, taken, order) = (Arc::clone(dice), Mutex::default(), Mutex::default());
        Arc::new(Self { promise, dice, taken, order, faults, attempts: AtomicU64::new(0) })
    }
}

struct Way(Arc<Provider>);

impl PushChannel for Way {
    fn promise(&self) -> Promise {
        self.0.promise
    }

    fn deliver(&self, delivery: Delivery) -> BoxFuture<PushAnswer> {
        let provider = Arc::clone(&self.0);
        Box::pin(async move {
            provider.attempts.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            let fault = if provider.faults { provider.dice.roll() % 8 } else { 9 };
            if fault == 0 {
                return PushAnswer::Later { after: Millis(1) };
            }
            *provider.taken.lock().unwrap_or_else(PoisonError::into_inner).entry(delivery.effect).or_default() += 1;
            provider
                .order
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(delivery.conversation)
                .or_default()
                .push(delivery.n);
            if fault == 1 { PushAnswer::Unknown } else { PushAnswer::Sent }
        })
    }
}

/// Serves one contact of a pushed account from end to end, so that its agent's words go through the outbox.
async fn pushed_contact(node: &tidegate_router::node::NodeHandle, desk: &Desk, conversation: u128, words: u32) {
    let customer = Customer::new(node, TENANT, PUSHED, conversation);
    customer.begin().await;
    let (offer, _) = within("an offer", desk.offer()).await;
    desk.accept(offer).await;
    let (claim, _) = within("the claim", desk.claim(offer)).await;
    for word in 0..words {
        let body = format!("word {word}");
        desk.act(SeatAct::Send { claim, body: body.as_bytes() }).await.expect("taken");
    }
    desk.finish(claim).await;
}

async fn all_closed(node: &tidegate_router::node::NodeHandle) {
    within("every row is closed", async {
        while !node.query(TENANT, |machine| machine.open_effects().is_empty()).await.expect("known") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_outboxes_deliver_every_row_once_and_in_order() {
    let contacts = nightly(600) as u128;
    let dice = Arc::new(Dice::seeded(0x6f75_7462_6f78));
    let provider = Provider::new(Promise::AtLeastOnce, &dice, false);
    let mut config = config(vec![tenant(1, 1, 1)]);
    let key = OutboxKey { tenant: TENANT, account: PUSHED };
    config.push.push((key, Arc::new(Way(Arc::clone(&provider)))));
    let node = node_with(config).await;
    let desk = Desk::open(&node, TENANT, 1);
    desk.sign_in().await;
    let closing = Arc::<AtomicBool>::default();
    let killer = tokio::spawn({
        let (node, dice, closing) = (node.clone(), Arc::clone(&dice), Arc::clone(&closing));
        async move {
            while !closing.load(Ordering::Acquire) {
                let victim = if dice.roll().is_multiple_of(50) { Victim::OutboxNursery } else { Victim::Outboxes };
                node.live().kill(victim, |_| true);
                for _ in 0..dice.roll() % 128 {
                    tokio::task::yield_now().await;
                }
            }
        }
    });
    for contact in 1..=contacts {
        pushed_contact(&node, &desk, contact, 5).await;
    }
    all_closed(&node).await;
    closing.store(true, Ordering::Release);
    killer.await.expect("the killer");

    let taken = provider.taken.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(taken.values().all(|times| *times == 1), "delivered twice: {:?}", taken.iter().find(|(_, times)| **times > 1));
    let order = provider.order.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(order.len() as u128, contacts);
    for (conversation, numbers) in &order {
        assert!(numbers.is_sorted() && numbers.len() >= 5, "{conversation}: {numbers:?}");
    }
    assert!(node.live().status().restarts > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreliable_provider_is_tried_again_or_left_in_doubt_as_promised() {
    let dice = Arc::new(Dice::seeded(0x006d_6179_6265));
    for promise in [Promise::AtLeastOnce, Promise::AtMostOnce] {
        let provider = Provider::new(promise, &dice, true);
        let mut config = config(vec![tenant(1, 1, 1)]);
        let key = OutboxKey { tenant: TENANT, account: PUSHED };
        config.push.push((key, Arc::new(Way(Arc::clone(&provider)))));
        let node = node_with(config).await;
        let desk = Desk::open(&node, TENANT, 1);
        desk.sign_in().await;
        for contact in 1..=6 {
            pushed_contact(&node, &desk, contact, 5).await;
        }
        all_closed(&node).await;
        let taken = provider.taken.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let more_than_once = taken.values().filter(|times| **times > 1).count();
        match promise {
            Promise::AtMostOnce => assert_eq!(more_than_once, 0, "{taken:?}"),
            Promise::AtLeastOnce => assert!(taken.len() >= 30, "every word reached the provider: {}", taken.len()),
        }
        assert!(provider.attempts.load(Ordering::Relaxed) > taken.len() as u64 || promise == Promise::AtMostOnce);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_half_is_started_again_with_growing_pauses_and_costs_nobody_else() {
    let node = node(2, 1).await;
    let desk = Desk::open(&node, TENANT, 1);
    desk.sign_in().await;
    let anna = Customer::new(&node, TENANT, WEB, 1);
    anna.begin().await;
    let (offer, _) = within("the offer", desk.offer()).await;
    let seat = tidegate_router::live::SeatKey { tenant: TENANT, seat: desk.seat };
    for round in 1..=12_u64 {
        node.live().fail_seat(seat);
        within("the restart", async {
            while node.live().status().restarts < round {
                node.live().fail_seat(seat);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }
    assert!(matches!(desk.accept(offer).await, Outcome::Done { .. }));
    let (claim, _) = within("the claim after twelve faults", desk.claim(offer)).await;
    let state = desk.state();
    assert_eq!(state.assigned_claims, [claim], "told once");
    assert!(state.notices.len() >= 12, "the open offer was told again after each fault");
    assert!(matches!(desk.act(SeatAct::Pause { reason: ReasonName::of("tea") }).await, Ok(Outcome::Done { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_level_of_the_tree_comes_back_with_everything_below_it() {
    let node = node(1, 1).await;
    let desk = Desk::open(&node, TENANT, 1);
    desk.sign_in().await;
    let anna = Customer::new(&node, TENANT, WEB, 1);
    for (round, victim) in VICTIMS.into_iter().chain(VICTIMS).enumerate() {
        let before = node.live().status();
        let killed = node.live().kill(victim, |_| true);
        let Outcome::Done { contact, .. } = anna.begin().await else { panic!("round {round}: refused") };
        let what = format!("round {round}, {victim:?} ({killed} killed): {before:?}");
        let (offer, _) = within(&what, desk.offer()).await;
        desk.accept(offer).await;
        let (claim, claimed) = within(&what, desk.claim(offer)).await;
        assert_eq!(claimed, contact);
        desk.finish(claim).await;
        within(&what, desk.until(|state| state.released.contains(&claim).then_some(()))).await;
        let last = anna.node_transcript().await.last().map_or(0, |item| item.n);
        within(&what, anna.woken().reaches(last)).await;
    }
    let status = node.live().status();
    assert!(status.nursery_restarts >= 6 && status.root_restarts == 2, "{status:?}");
}
