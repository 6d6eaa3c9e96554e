//! A decision about one contact panics: the manual lane takes it and it alone, whatever it was doing, and it still leaves once.
//!
//! Source: DESIGN §3 ("a poisonous input costs its own contact only ... timer fires and the distributor's step included"). The
//! panic is planted in the planning of one conversation and can be taken away again; `poison` has the crowd and the replicas.

use crate::scenario::{Floor, PLAIN, WEB};
use crate::support::{apply, guard};
use std::cell::Cell;
use tidegate_core::Tenant;
use tidegate_model::codec;
use tidegate_model::input::{ContactRequest, FirstOwner, InboundAct, Input, SeatAct};
use tidegate_model::limits::Limits;
use tidegate_model::output::{Outcome, Output, Refusal, Rescind, SeatNotice};
use tidegate_model::record::Exit;
use tidegate_model::{ConversationId, Seq, TenantId};

thread_local! {
    static POISONOUS: Cell<u128> = const { Cell::new(0) };
}

fn probe(conversation: ConversationId) {
    assert!(conversation.0 != POISONOUS.get(), "planted");
}

fn poison(floor: &mut Floor, conversation: u128) {
    floor.tenant.set_probe(Some(probe));
    POISONOUS.set(conversation);
}

fn poisoned(floor: &Floor) -> usize {
    floor.outputs.iter().filter(|o| matches!(o, Output::Poisoned { .. })).count()
}

/// Two queues whose order is other in the second policy, so that a contact that was not carried over would be seen.
fn swapped() -> (String, String) {
    let head = PLAIN.split("[[queue]]").next().unwrap_or_default();
    let queue = |name: &str| format!("[[queue]]\nname = \"{name}\"\n");
    (format!("{head}{}{}", queue("other"), queue("sales")), format!("{head}{}", queue("sales")))
}

#[test]
fn a_poisonous_message_puts_a_waiting_contact_into_the_manual_lane_and_it_leaves_by_one_exit() {
    let mut floor = Floor::new(PLAIN, 0);
    let (contact, other) = (floor.begin(1), floor.begin(2));
    poison(&mut floor, 1);
    let answer = floor.customer(WEB, 1, InboundAct::Message { body: b"bad" });
    assert_eq!(answer, Outcome::Refused(Refusal::Poisoned));
    assert!(floor.outputs.iter().any(|o| matches!(o, Output::Poisoned { contact: c, .. } if *c == contact)));
    assert_eq!((floor.tenant.ledger().manual, floor.tenant.ledger().waiting), (1, 1));
    floor.agent(1, &[], 2);
    floor.seat(1, SeatAct::SignIn);
    floor.seat(1, SeatAct::Ready);
    assert_eq!(
        floor.offered().iter().map(|o| o.0).collect::<Vec<_>>(),
        [other],
        "the other one is served, this one is not offered"
    );
    POISONOUS.set(0);
    floor.leave(1);
    assert_eq!(floor.exits().iter().map(|r| (r.contact, r.exit)).collect::<Vec<_>>(), [(contact, Exit::AbandonedWaiting)]);
}

#[test]
fn poison_while_an_offer_is_out_takes_the_offer_back() {
    let mut floor = Floor::new(PLAIN, 1);
    floor.begin(1);
    let next = floor.begin(2);
    poison(&mut floor, 1);
    floor.customer(WEB, 1, InboundAct::Message { body: b"bad" });
    assert_eq!(floor.rescinded(1), [Rescind::TimedOut]);
    assert_eq!(floor.offered().iter().map(|o| o.0).collect::<Vec<_>>(), [next], "the seat goes on with the next one");
    assert_eq!(floor.tenant.ledger().manual, 1);
}

#[test]
fn poison_in_service_costs_the_message_and_leaves_the_contact_with_its_seat() {
    let mut floor = Floor::new(PLAIN, 1);
    floor.begin(1);
    let claim = floor.accept(1);
    poison(&mut floor, 1);
    assert_eq!(floor.customer(WEB, 1, InboundAct::Message { body: b"bad" }), Outcome::Refused(Refusal::Poisoned));
    floor.seat(1, SeatAct::End { claim });
    assert_eq!(floor.exits().iter().map(|r| r.exit).collect::<Vec<_>>(), [Exit::Served]);
}

#[test]
fn poison_in_a_deadline_still_ends_every_contact_and_every_claim() {
    // Whoever has it when its time is up: the planning of the deadline panics each time, and nobody is left without one.
    for owner in ["bot", "lane", "manual", "seat", "nobody"] {
        let mut floor = Floor::new(PLAIN, u64::from(owner == "seat"));
        let with = if owner == "bot" { FirstOwner::Bot } else { FirstOwner::Queue };
        floor.customer(WEB, 1, InboundAct::Begin { with, request: ContactRequest::default() });
        match owner {
            "seat" => {
                floor.accept(1);
            }
            "nobody" => {
                floor.leave(1);
            }
            _ => {}
        }
        poison(&mut floor, 1);
        if owner == "manual" {
            floor.customer(WEB, 1, InboundAct::Message { body: b"bad" });
            assert_eq!(floor.tenant.ledger().manual, 1);
        }
        let mut exits = Vec::new();
        let mut released = 0;
        for _ in 0..3 {
            floor.pass(3_600_000);
            exits.extend(floor.exits().iter().map(|r| r.exit));
            released +=
                floor.told(1.min(u64::from(owner == "seat"))).iter().filter(|n| matches!(n, SeatNotice::Released { .. })).count();
        }
        assert_eq!(exits, if owner == "nobody" { vec![] } else { vec![Exit::Failed] }, "{owner}");
        assert_eq!(released, usize::from(owner == "seat"), "{owner}");
        assert_eq!(floor.tenant.ledger().open(), 0, "{owner}");
        assert_eq!(floor.tenant.conversations(), 0, "{owner}: it leaves the machine");
        assert!(floor.tenant.next_deadline().is_none(), "{owner}: nothing is asked for any more");
    }
}

#[test]
fn poison_in_a_policy_swap_costs_one_contact_of_its_batch() {
    // A swap looks at 64 conversations a step: first, last and middle of a batch, and the very last one.
    let (before, after) = swapped();
    for poisonous in [1, 30, 64, 65, 100] {
        let mut floor = Floor::with(&before, 0, Limits::SMALL);
        for i in 1..=100 {
            floor.begin(i);
        }
        poison(&mut floor, poisonous);
        floor.policy(&after, 2);
        assert_eq!(poisoned(&floor), 1);
        let mapped = |o: &Output| if let Output::PolicyActive { steps_remapped, .. } = o { Some(*steps_remapped) } else { None };
        assert_eq!(floor.outputs.iter().find_map(mapped), Some(1), "the others keep their step, whoever stands before them");
        let ledger = floor.tenant.ledger();
        assert_eq!((ledger.manual, ledger.waiting, ledger.poisoned), (1, 99, 1), "conversation {poisonous}");
        assert_eq!(floor.tenant.queues()[0].waiting, 99);
        // Any fuel, the same outcome.
        let mut starved = Tenant::new(TenantId(1), Limits { fuel: 1, ..Limits::SMALL }, guard());
        starved.set_probe(Some(probe));
        for (i, entry) in floor.log.iter().enumerate() {
            POISONOUS.set(if i + 1 == floor.log.len() { poisonous } else { 0 });
            apply(&mut starved, entry, |_| {});
            let at = codec::decode(entry).expect("own entry").at;
            while starved.next_deadline().is_some_and(|d| d <= at) {
                starved.handle(at, Seq(0), Input::Tick);
                while starved.poll_output().is_some() {}
            }
        }
        assert_eq!(starved.digests(), floor.tenant.digests(), "conversation {poisonous}");
        POISONOUS.set(0);
        floor.leave(poisonous);
        assert_eq!(floor.exits().len(), 1);
        for seat in 1..=2 {
            floor.agent(seat, &[], 50);
            floor.seat(seat, SeatAct::SignIn);
            floor.seat(seat, SeatAct::Ready);
            assert_eq!(floor.offered().len(), if seat == 1 { 50 } else { 49 }, "everybody else is served");
        }
    }
}

#[test]
fn poison_in_a_policy_swap_leaves_a_contact_in_service_with_its_seat_and_movable() {
    let (before, after) = swapped();
    for state in ["offer", "seat"] {
        let mut floor = Floor::new(&before, 1);
        floor.begin(1);
        if state == "seat" {
            floor.accept(1);
        }
        poison(&mut floor, 1);
        floor.policy(&after, 2);
        POISONOUS.set(0);
        let ledger = floor.tenant.ledger();
        assert_eq!((ledger.manual, ledger.in_service), if state == "seat" { (0, 1) } else { (1, 0) }, "{state}");
        // The seat goes: what it served waits again, under the new policy.
        floor.seat(1, SeatAct::SignOut);
        floor.agent(2, &[], 1);
        floor.seat(2, SeatAct::SignIn);
        floor.seat(2, SeatAct::Ready);
        assert_eq!(floor.offered().len(), usize::from(state == "seat"), "{state}");
    }
}

#[test]
fn a_machine_with_poison_restores_and_goes_on() {
    let (before, after) = swapped();
    let mut floor = Floor::new(&before, 0);
    for i in 1..=60 {
        floor.begin(i);
    }
    poison(&mut floor, 30);
    let mut bytes = Vec::new();
    floor.tenant.snapshot(&mut bytes);
    let from = floor.log.len();
    let mut twin = Tenant::restore(&bytes, guard()).expect("its own snapshot");
    twin.set_probe(Some(probe));
    floor.policy(&after, 2);
    for entry in &floor.log[from..] {
        apply(&mut twin, entry, |_| {});
    }
    assert_eq!(twin.full_digest(), floor.tenant.full_digest());
}
