//! A policy swap keeps every offer, claim and seniority, and of a waiting contact its step by name with the time spent in it.
//!
//! Source: DESIGN §5 (policy swap). `invariants` and `fuel` swap in the middle of a crowd; here is what each contact keeps.

use crate::scenario::{Floor, PLAIN};
use tidegate_model::SeatId;
use tidegate_model::input::SeatAct;
use tidegate_model::output::{Outcome, Output};

/// Two steps: English for ten seconds, then anybody.
fn steps(strict: &str, wide: &str) -> String {
    let strict = format!("[[queue.step]]\nname = \"{strict}\"\nrequires = {{ english = 1 }}\nlasts = \"10s\"\n");
    format!("{PLAIN}{strict}[[queue.step]]\nname = \"{wide}\"\n")
}

fn mapped(floor: &Floor) -> Option<u32> {
    let count = |o: &Output| if let Output::PolicyActive { steps_remapped, .. } = o { Some(*steps_remapped) } else { None };
    floor.outputs.iter().find_map(count)
}

#[test]
fn a_swap_keeps_offers_claims_and_seniority() {
    let mut floor = Floor::new(PLAIN, 2);
    floor.begin(1);
    let claim = floor.accept(1);
    floor.begin(2);
    let offer = floor.offer_of(2);
    let (third, fourth) = (floor.begin(3), floor.begin(4));
    assert!(matches!(floor.policy(&PLAIN.replace("\"plain\"", "\"other\""), 2), Outcome::Done { .. }));
    assert_eq!((mapped(&floor), floor.tenant.policy_hash()), (Some(0), Some([2; 32])));
    assert_eq!(floor.offer_of(2), offer);
    assert!(matches!(floor.seat(2, SeatAct::Accept { offer }), Outcome::Done { .. }));
    floor.begin(5);
    floor.seat(1, SeatAct::End { claim });
    assert_eq!(floor.offered(), [(third, SeatId(1))]);
    floor.seat(2, SeatAct::End { claim: offer.claim() });
    assert_eq!(floor.offered(), [(fourth, SeatId(2))]);
}

#[test]
fn a_swap_keeps_a_step_by_name_with_the_time_spent_in_it() {
    let mut floor = Floor::new(&steps("strict", "wide"), 1);
    let contact = floor.begin(1);
    floor.pass(6_000);
    floor.policy(&steps("strict", "anybody"), 2);
    assert_eq!(mapped(&floor), Some(0));
    floor.pass(3_999);
    assert_eq!(floor.offered(), []);
    floor.pass(1);
    assert_eq!(floor.offered(), [(contact, SeatId(1))], "ten seconds in all, not ten more");

    // One that stood at the second step stands there still, although the second step is the third now.
    let mut floor = Floor::new(&steps("strict", "wide"), 0);
    let contact = floor.begin(1);
    floor.pass(10_000);
    let three = steps("strict", "between\"\nrequires = { english = 1 }\nlasts = \"1h\"\n[[queue.step]]\nname = \"wide");
    floor.policy(&three, 2);
    assert_eq!(mapped(&floor), Some(0));
    floor.agent(1, &[], 1);
    floor.seat(1, SeatAct::SignIn);
    floor.seat(1, SeatAct::Ready);
    assert_eq!(floor.offered(), [(contact, SeatId(1))]);
    assert_eq!(floor.decisions()[0].step, 2);
}

#[test]
fn a_vanished_step_maps_to_the_nearest_earlier_one_and_is_counted() {
    let mut floor = Floor::new(&steps("strict", "wide"), 0);
    let contact = floor.begin(1);
    floor.pass(10_000);
    floor.pass(4_000);
    floor.policy(&steps("strict", "anybody"), 2);
    assert_eq!(mapped(&floor), Some(1), "it stood at \"wide\", which is gone");
    floor.agent(1, &[], 1);
    floor.seat(1, SeatAct::SignIn);
    floor.seat(1, SeatAct::Ready);
    floor.pass(9_999);
    assert_eq!(floor.offered(), [], "it begins \"strict\" anew");
    floor.pass(1);
    assert_eq!(floor.offered(), [(contact, SeatId(1))]);
}
