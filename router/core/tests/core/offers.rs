//! Offers as stories: seniority, exclusion, NotResponding, preference with expiry, transfer, wrap-up by claim, leaderless gap.
//!
//! Sources: DESIGN §4, §6, §13 (I6, I9, I10). The crowd's properties are in `invariants`; here each promise has its own story.

use crate::scenario::{Floor, PLAIN};
use tidegate_model::input::{ContactRequest, Input, SeatAct, TransferTo};
use tidegate_model::output::{Outcome, Presence, Refusal, Rescind, SeatNotice};
use tidegate_model::record::Exit;
use tidegate_model::{ContactId, Level, Millis, QueueName, ReasonName, SeatId, SkillName, Term};

fn decline(floor: &mut Floor, seat: u64) {
    let offer = floor.offer_of(seat);
    floor.seat(seat, SeatAct::Decline { offer, reason: ReasonName::of("busy") });
}

#[test]
fn a_returned_offer_keeps_its_seniority() {
    // Declined, missed, and the seat gone: each time the first comer stands in front of the later ones again.
    for how in [Rescind::Declined, Rescind::Expired, Rescind::SeatGone] {
        let mut floor = Floor::new(PLAIN, 1);
        let first = floor.begin(1);
        assert_eq!(floor.offered(), [(first, SeatId(1))]);
        floor.begin(2);
        floor.begin(3);
        match how {
            Rescind::Declined => decline(&mut floor, 1),
            Rescind::Expired => floor.pass(10_000),
            _ => {
                floor.seat(1, SeatAct::SignOut);
            }
        }
        assert_eq!(floor.rescinded(1), [how]);
        floor.agent(2, &[], 1);
        floor.seat(2, SeatAct::SignIn);
        floor.seat(2, SeatAct::Ready);
        // After a decline seat 1 has the second one at once; the next seat gets the first comer all the same.
        assert_eq!(floor.offered(), [(first, SeatId(2))], "{how:?}");
    }
}

#[test]
fn a_declined_pair_is_not_tried_again_for_this_contact() {
    let mut floor = Floor::new(PLAIN, 1);
    let first = floor.begin(1);
    decline(&mut floor, 1);
    assert_eq!(floor.offered(), []);
    floor.seat(1, SeatAct::Ready);
    floor.pass(60_000);
    assert_eq!(floor.open_offers(1), [], "excluded for good");
    let second = floor.begin(2);
    assert_eq!(floor.offered(), [(second, SeatId(1))], "another contact is");
    floor.agent(2, &[], 1);
    floor.seat(2, SeatAct::SignIn);
    floor.seat(2, SeatAct::Ready);
    assert_eq!(floor.offered(), [(first, SeatId(2))], "by another seat");
}

#[test]
fn a_missed_offer_makes_the_seat_not_responding_until_it_says_ready() {
    let mut floor = Floor::new(PLAIN, 1);
    floor.begin(1);
    let offer = floor.offer_of(1);
    floor.pass(9_999);
    assert_eq!(floor.offer_of(1), offer, "not a millisecond before its time");
    floor.pass(1);
    assert_eq!(floor.rescinded(1), [Rescind::Expired]);
    assert!(floor.told(1).contains(&SeatNotice::Presence { presence: Presence::NotResponding }));
    assert_eq!(floor.seat(1, SeatAct::Accept { offer }), Outcome::Refused(Refusal::OfferGone), "too late is too late");
    let second = floor.begin(2);
    assert_eq!(floor.offered(), [], "nothing is offered to a seat that does not respond");
    floor.seat(1, SeatAct::Ready);
    assert_eq!(floor.offered(), [(second, SeatId(1))], "the missed pair is excluded, the next one is not");
}

#[test]
fn a_customer_who_leaves_cancels_the_offer_and_the_seat_keeps_its_place() {
    let mut floor = Floor::new(PLAIN, 2);
    let contact = floor.begin(1);
    assert_eq!(floor.offered(), [(contact, SeatId(1))], "longest idle");
    let offer = floor.offer_of(1);
    floor.pass(5_000);
    floor.leave(1);
    assert_eq!(floor.rescinded(1), [Rescind::CustomerLeft]);
    assert_eq!(floor.exits().iter().map(|r| r.exit).collect::<Vec<_>>(), [Exit::AbandonedWaiting]);
    assert_eq!(floor.seat(1, SeatAct::Accept { offer }), Outcome::Refused(Refusal::OfferGone));
    let next = floor.begin(2);
    assert_eq!(floor.offered(), [(next, SeatId(1))], "it did nothing wrong: still the longest idle");
}

#[test]
fn a_seat_that_declines_goes_behind_the_others() {
    let mut floor = Floor::new(PLAIN, 2);
    let first = floor.begin(1);
    floor.pass(1_000);
    decline(&mut floor, 1);
    assert_eq!(floor.offered(), [(first, SeatId(2))]);
    floor.accept(2);
    let second = floor.begin(2);
    assert_eq!(floor.offered(), [(second, SeatId(1))]);
    floor.pass(1_000);
    let claim = floor.open_offers(1)[0].0.claim();
    assert_eq!(floor.seat(1, SeatAct::End { claim }), Outcome::Refused(Refusal::ClaimGone), "an offer is no claim yet");
}

#[test]
fn a_change_of_the_roster_looks_at_waiting_contacts_again() {
    let mut floor = Floor::new(PLAIN, 1);
    let mut english = ContactRequest::default();
    english.skills[0] = (SkillName::of("english"), Level(2));
    let contact = floor.begin_with(1, english);
    assert_eq!(floor.offered(), [], "nobody speaks it");
    floor.agent(1, &[("english", 1)], 1);
    assert_eq!(floor.offered(), [], "not well enough");
    floor.agent(1, &[("english", 2)], 1);
    assert_eq!(floor.offered(), [(contact, SeatId(1))], "in the same entry");
}

#[test]
fn more_units_bring_more_contacts_and_fewer_than_in_use_are_refused() {
    let mut floor = Floor::new(PLAIN, 1);
    let (first, second) = (floor.begin(1), floor.begin(2));
    assert_eq!(floor.open_offers(1).iter().map(|o| o.1).collect::<Vec<_>>(), [first]);
    floor.agent(1, &[], 2);
    assert_eq!(floor.offered(), [(second, SeatId(1))]);
    assert!(matches!(floor.agent(1, &[], 1), Outcome::Refused(Refusal::Limit(_))));
    assert_eq!(floor.open_offers(1).len(), 2);
}

#[test]
fn a_preferred_seat_has_the_contact_to_itself_until_the_preference_expires() {
    let mut floor = Floor::new(PLAIN, 2);
    floor.begin(1);
    floor.accept(1);
    let asks = ContactRequest { preferred: SeatId(1), ..ContactRequest::default() };
    let contact = floor.begin_with(2, asks);
    assert_eq!(floor.offered(), [], "seat 2 is idle, seat 1 is asked for");
    floor.pass(29_999);
    assert_eq!(floor.offered(), []);
    floor.pass(1);
    assert_eq!(floor.offered(), [(contact, SeatId(2))], "at the end of the span anybody may");

    let mut floor = Floor::new(PLAIN, 2);
    floor.begin(1);
    let claim = floor.accept(1);
    let contact = floor.begin_with(2, asks);
    floor.pass(10_000);
    floor.seat(1, SeatAct::End { claim });
    assert_eq!(floor.offered(), [(contact, SeatId(1))], "freed in time");

    let mut floor = Floor::new(PLAIN, 3);
    let served = floor.begin(1);
    floor.accept(1);
    let contact = floor.begin_with(2, asks);
    floor.seat(1, SeatAct::SignOut);
    assert_eq!(floor.offered(), [(served, SeatId(2)), (contact, SeatId(3))], "nobody waits for a seat that is gone");

    let absent = ContactRequest { preferred: SeatId(77), ..ContactRequest::default() };
    let mut floor = Floor::new(PLAIN, 1);
    let contact = floor.begin_with(1, absent);
    assert_eq!(floor.offered(), [(contact, SeatId(1))], "an unknown seat is no preference");
}

#[test]
fn a_transfer_ends_a_segment_and_keeps_contact_and_seniority() {
    let mut floor = Floor::new(PLAIN, 1);
    let first = floor.begin(1);
    let claim = floor.accept(1);
    let second = floor.begin(2);
    floor.begin(3);
    floor.pass(5_000);
    assert!(matches!(
        floor.seat(1, SeatAct::Transfer { claim, to: TransferTo::Queue(QueueName::of("sales")) }),
        Outcome::Done { contact, .. } if contact == first
    ));
    assert_eq!(floor.exits(), [], "a transfer is no exit");
    assert_eq!(floor.offered(), [(second, SeatId(1))], "the seat that handed it on goes on with the next one");
    floor.agent(2, &[], 1);
    floor.seat(2, SeatAct::SignIn);
    floor.seat(2, SeatAct::Ready);
    assert_eq!(floor.offered(), [(first, SeatId(2))], "in front of the third, who waited before the transfer");
    let claim = floor.accept(2);
    floor.seat(2, SeatAct::End { claim });
    let records = floor.exits();
    assert_eq!((records.len(), records[0].contact, records[0].segments, records[0].exit), (1, first, 2, Exit::Served));
    assert_eq!(records[0].seat, SeatId(2));
}

#[test]
fn a_transfer_to_a_seat_waits_for_that_seat_first() {
    let mut floor = Floor::new(PLAIN, 3);
    floor.begin(1);
    floor.begin(2);
    let (claim, other) = (floor.accept(1), floor.accept(2));
    floor.seat(1, SeatAct::Transfer { claim, to: TransferTo::Seat(SeatId(2)) });
    assert_eq!(floor.open_offers(3), [], "seat 3 is idle and was not asked");
    floor.seat(2, SeatAct::End { claim: other });
    assert_eq!(floor.offered(), [(ContactId(1), SeatId(2))]);
    let (unknown, away) = (TransferTo::Seat(SeatId(9)), TransferTo::Seat(SeatId(3)));
    let claim = floor.accept(2);
    assert_eq!(floor.seat(2, SeatAct::Transfer { claim, to: unknown }), Outcome::Refused(Refusal::UnknownSeat));
    floor.seat(3, SeatAct::SignOut);
    assert_eq!(floor.seat(2, SeatAct::Transfer { claim, to: away }), Outcome::Refused(Refusal::NotSignedIn));
    assert!(matches!(floor.seat(2, SeatAct::End { claim }), Outcome::Done { .. }), "a refused transfer changes nothing");
}

#[test]
fn wrap_up_belongs_to_its_claim_alone() {
    let mut floor = Floor::new(&format!("{PLAIN}wrap_up = \"20s\"\n"), 1);
    floor.agent(1, &[], 2);
    floor.begin(1);
    let first = floor.accept(1);
    floor.begin(2);
    let second = floor.accept(1);
    let third = floor.begin(3);
    assert_eq!(floor.offered(), [], "both units are taken");
    floor.seat(1, SeatAct::End { claim: first });
    assert_eq!(floor.exits().iter().map(|r| r.exit).collect::<Vec<_>>(), [Exit::Served], "served before the wrap-up ends");
    assert!(matches!(floor.told(1)[..], [SeatNotice::WrapUp { claim, .. }] if claim == first));
    assert_eq!(floor.offered(), [], "a wrap-up holds its unit");
    assert!(
        matches!(floor.seat(1, SeatAct::Send { claim: second, body: b"go on" }), Outcome::Done { .. }),
        "the other chat goes on"
    );
    floor.seat(1, SeatAct::WrapUp { claim: first, code: ReasonName::of("done") });
    assert_eq!(floor.offered(), [(third, SeatId(1))], "its unit is free in the same entry");
    floor.accept(1);
    let fourth = floor.begin(4);
    floor.seat(1, SeatAct::End { claim: second });
    floor.pass(19_999);
    assert_eq!(floor.offered(), []);
    floor.pass(1);
    assert_eq!(floor.offered(), [(fourth, SeatId(1))], "and ends by itself");
}

#[test]
fn a_leaderless_gap_lengthens_open_offers_by_exactly_the_gap() {
    let mut floor = Floor::new(&format!("{PLAIN}gives_up_after = \"30s\"\n"), 1);
    floor.begin(1);
    let waiting = floor.begin(2);
    let offer = floor.offer_of(1);
    // Nobody led for a minute: the entry that says so is the first one after it.
    floor.pass(4_000);
    let gap = Millis(60_000);
    floor.jump(gap.0);
    floor.send(&Input::LeaderStarted { term: Term(2), gap });
    assert_eq!(floor.offer_of(1), offer, "the gap is not the agent's fault");
    floor.pass(5_998);
    let exits: Vec<_> = floor.exits().iter().map(|r| (r.contact, r.exit)).collect();
    assert_eq!(exits, [(waiting, Exit::TimedOut)], "nor the customer's: he waited through it");
    assert_eq!(floor.offer_of(1), offer);
    floor.pass(1);
    assert_eq!(floor.rescinded(1), [Rescind::Expired]);
}

#[test]
fn a_cut_link_stops_offers_keeps_claims_and_an_ended_lease_gives_them_back() {
    let mut floor = Floor::new(PLAIN, 1);
    floor.agent(1, &[], 2);
    let first = floor.begin(1);
    let claim = floor.accept(1);
    floor.seat(1, SeatAct::LinkDown);
    let second = floor.begin(2);
    assert_eq!(floor.offered(), [], "no new offers behind a cut");
    floor.seat(1, SeatAct::LinkUp);
    assert_eq!(floor.offered(), [(second, SeatId(1))]);
    assert!(matches!(floor.seat(1, SeatAct::Send { claim, body: b"still here" }), Outcome::Done { .. }));
    floor.begin(3);
    floor.pass(1_000);
    floor.seat(1, SeatAct::LeaseEnd);
    assert_eq!(floor.rescinded(1), [Rescind::SeatGone]);
    assert!(floor.told(1).contains(&SeatNotice::Released { claim }));
    assert_eq!(floor.exits(), [], "both wait again");
    floor.agent(2, &[], 2);
    floor.seat(2, SeatAct::SignIn);
    floor.seat(2, SeatAct::Ready);
    assert_eq!(floor.offered(), [(first, SeatId(2)), (second, SeatId(2))], "in the order in which they came");
}

#[test]
fn contacts_of_a_seat_that_goes_are_offered_in_their_own_order_and_each_of_them() {
    // Seat 1 took the later contact first: the order of its claims is not the order of arrival.
    let mut floor = Floor::new(PLAIN, 0);
    let join = |floor: &mut Floor, seat, units| {
        floor.agent(seat, &[], units);
        floor.seat(seat, SeatAct::SignIn);
        floor.seat(seat, SeatAct::Ready);
    };
    join(&mut floor, 9, 1);
    let earlier = floor.begin(1);
    floor.accept(9);
    let later = floor.begin(2);
    join(&mut floor, 1, 2);
    floor.accept(1);
    floor.seat(9, SeatAct::SignOut);
    assert_eq!(floor.offered(), [(earlier, SeatId(1))]);
    floor.accept(1);
    join(&mut floor, 2, 1);
    join(&mut floor, 3, 1);
    floor.seat(1, SeatAct::SignOut);
    assert_eq!(floor.offered(), [(earlier, SeatId(2)), (later, SeatId(3))], "whoever gave way looks once more");
}

#[test]
fn a_preference_that_runs_out_while_its_offer_is_out_holds_nobody_back() {
    let mut floor = Floor::new(&PLAIN.replace("preferred_for = \"30s\"", "preferred_for = \"5s\""), 1);
    floor.agent(1, &[], 2);
    let asked = floor.begin_with(1, ContactRequest { preferred: SeatId(1), ..ContactRequest::default() });
    let (offer, _) = floor.open_offers(1)[0];
    let later = floor.begin(2);
    let (second, _) = floor.open_offers(1)[1];
    assert!(offer != second && floor.offered() == [(later, SeatId(1))]);
    floor.seat(1, SeatAct::Accept { offer: second });
    floor.agent(2, &[], 1);
    floor.seat(2, SeatAct::SignIn);
    floor.seat(2, SeatAct::Ready);
    floor.pass(6_000);
    floor.seat(1, SeatAct::SignOut);
    assert_eq!(floor.offered(), [(asked, SeatId(2))], "the first comer, not the one who waits behind it");
}

#[test]
fn a_leaderless_gap_lengthens_no_wrap_up() {
    let mut floor = Floor::new(&format!("{PLAIN}wrap_up = \"20s\"\n"), 1);
    floor.begin(1);
    let claim = floor.accept(1);
    floor.seat(1, SeatAct::End { claim });
    floor.jump(20_000);
    floor.send(&Input::LeaderStarted { term: Term(2), gap: Millis(20_000) });
    floor.pass(0);
    let next = floor.begin(2);
    assert_eq!(floor.offered(), [(next, SeatId(1))]);
}
