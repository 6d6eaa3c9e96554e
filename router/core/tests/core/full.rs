//! Full tables of engagements and effect rows: whoever was held back is looked at again when a place comes free, whoever freed it.
//!
//! Source: DESIGN §5 (nobody starves, with premises) and §3 (limits are state, work is fuelled). Every floor here has fewer
//! places than seats, and contacts that only one of its seats can serve, so that the seat that frees a place is rarely the one
//! that can use it. `Tenant::check` is asked after each entry; it names a seat with room and a contact that could meet.

use crate::scenario::{Floor, PUSH};
use crate::support::{Run, apply, guard, nightly, seed};
use tidegate_core::Tenant;
use tidegate_core::rig::RigConfig;
use tidegate_model::codec;
use tidegate_model::input::{
    Admin, ContactRequest, EffectOutcome, EffectResult, EffectResults, FirstOwner, InboundAct, Input, SeatAct,
};
use tidegate_model::limits::Limits;
use tidegate_model::output::{Effect, Outcome};
use tidegate_model::{ContactId, Level, SeatId, Seq, SkillName, TenantId};

const SKILLS: [&str; 5] = ["one", "two", "three", "four", "five"];
const POLICY: &str = "name = \"narrow\"\ndefault_queue = \"all\"\ndefault_class = \"regular\"\n\
    skills = [\"one\", \"two\", \"three\", \"four\", \"five\"]\nidle_close_after = \"1h\"\n\
    [[class]]\nname = \"regular\"\n[[queue]]\nname = \"all\"\noffer_timeout = \"10s\"\n";

/// A floor whose seat `i` has the skill `i` and so many units.
fn floor(seats: usize, units: u16, limits: Limits) -> Floor {
    let mut floor = Floor::with(POLICY, 0, Limits { conversations: 256, ..limits });
    for seat in 1..=seats {
        floor.agent(seat as u64, &[(SKILLS[seat - 1], 1)], units);
        floor.seat(seat as u64, SeatAct::SignIn);
        floor.seat(seat as u64, SeatAct::Ready);
    }
    floor
}

/// A contact that only this seat can serve.
fn only_for(seat: usize) -> ContactRequest {
    let mut request = ContactRequest::default();
    request.skills[0] = (SkillName::of(SKILLS[seat - 1]), Level(1));
    request
}

fn seat_with_an_offer(floor: &Floor, seats: usize) -> Option<u64> {
    (1..=seats as u64).find(|seat| !floor.open_offers(*seat).is_empty())
}

fn accept_one(floor: &mut Floor, seat: u64) -> tidegate_model::ClaimId {
    let (offer, _) = floor.open_offers(seat)[0];
    assert!(matches!(floor.seat(seat, SeatAct::Accept { offer }), Outcome::Done { .. }));
    offer.claim()
}

#[test]
fn a_place_that_one_seat_frees_goes_to_a_contact_that_only_another_can_serve() {
    let mut floor = floor(3, 1, Limits { engagements: 1, ..Limits::SMALL });
    let contacts: Vec<ContactId> = [1, 2, 3].map(|seat| floor.begin_with(seat as u128, only_for(seat))).to_vec();
    for (i, seat) in [1, 2, 3].into_iter().enumerate() {
        let claim = floor.accept(seat);
        assert_eq!(floor.tenant.ledger().waiting, 2 - i as u64);
        floor.seat(seat, SeatAct::End { claim });
        let next = contacts.get(i + 1).map(|contact| (*contact, SeatId(seat + 1)));
        assert_eq!(floor.offered(), next.into_iter().collect::<Vec<_>>(), "in the very entry that frees the place");
    }
    assert_eq!(floor.tenant.ledger().exits[0], 3);
}

#[test]
fn a_row_that_a_provider_s_result_frees_is_looked_at_again() {
    let mut floor = floor(2, 1, Limits { effects: 2, ..Limits::SMALL });
    // Two messages by a provider fill the table; then a contact comes for an idle seat.
    let request = only_for(1);
    let begun = floor.customer(PUSH, 1, InboundAct::Begin { with: FirstOwner::Queue, request });
    assert!(matches!(begun, Outcome::Done { .. }));
    let claim = floor.accept(1);
    for _ in 0..2 {
        assert!(matches!(floor.seat(1, SeatAct::Send { claim, body: b"hello" }), Outcome::Done { .. }));
    }
    let waiting = floor.begin_with(2, only_for(2));
    assert_eq!(floor.offered(), []);
    let rows = floor.tenant.open_effects();
    let (first, ..) = rows.into_iter().find(|(.., effect)| matches!(effect, Effect::Deliver { .. })).expect("a row");
    let packed = codec::pack_effect_results(&[EffectOutcome { effect: first, result: EffectResult::Sent }]);
    floor.send(&Input::Effects(EffectResults { packed: &packed }));
    assert_eq!(floor.offered(), [(waiting, SeatId(2))]);
}

#[test]
fn a_row_whose_time_runs_out_is_looked_at_again() {
    let mut floor = floor(2, 1, Limits { effects: 1, ..Limits::SMALL });
    floor.customer(PUSH, 1, InboundAct::Begin { with: FirstOwner::Queue, request: only_for(1) });
    let claim = floor.accept(1);
    floor.seat(1, SeatAct::Send { claim, body: b"hello" });
    let waiting = floor.begin_with(2, only_for(2));
    assert_eq!(floor.offered(), []);
    floor.pass(60_000);
    assert_eq!(floor.offered(), [(waiting, SeatId(2))]);
}

#[test]
fn a_limit_that_rises_is_looked_at_by_everybody_who_was_held_back() {
    let limits = Limits { engagements: 1, conversations: 256, ..Limits::SMALL };
    let mut floor = floor(4, 1, limits);
    let contacts = [1, 2, 3, 4].map(|seat| floor.begin_with(seat as u128, only_for(seat)));
    floor.send(&Input::Admin(Admin::Limits(Limits { engagements: 3, ..limits })));
    assert_eq!(floor.offered(), [(contacts[1], SeatId(2)), (contacts[2], SeatId(3))]);
}

/// A stream of contacts for one seat must not keep the only place from the others.
#[test]
fn seats_take_turns_at_the_places_that_come_free() {
    let mut floor = floor(3, 1, Limits { engagements: 1, ..Limits::SMALL });
    for i in 0..30 {
        floor.begin_with(i, only_for(1));
    }
    floor.begin_with(101, only_for(2));
    floor.begin_with(102, only_for(3));
    let mut served = Vec::new();
    for _ in 0..32 {
        let seat = seat_with_an_offer(&floor, 3).expect("the place is never left empty");
        served.push(seat);
        let claim = floor.accept(seat);
        floor.seat(seat, SeatAct::End { claim });
    }
    assert_eq!(served[..5], [1, 1, 2, 3, 1], "the place went to the first of the round, and then to each in its turn");
    assert_eq!(floor.tenant.ledger().exits[0], 32);
}

#[test]
fn within_a_lane_the_earlier_contact_has_the_place() {
    let mut floor = floor(3, 1, Limits { engagements: 1, ..Limits::SMALL });
    let holder = floor.begin_with(1, only_for(1));
    assert_eq!(floor.offered(), [(holder, SeatId(1))]);
    let anybody: Vec<ContactId> = (2..6).map(|i| floor.begin(i)).collect();
    let mut order = Vec::new();
    for _ in 0..5 {
        let seat = seat_with_an_offer(&floor, 3).expect("an offer");
        order.push(floor.open_offers(seat)[0].1);
        let claim = floor.accept(seat);
        floor.seat(seat, SeatAct::End { claim });
    }
    assert_eq!(order[0], holder);
    assert_eq!(order[1..], anybody[..]);
}

/// A small generator: the order of acts is all that is drawn.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Random floors: after any sequence of arrivals, answers, declines, departures and pauses, accepting and ending what is
/// offered serves every contact that is left, without any other event.
#[test]
fn every_contact_is_served_without_outside_events() {
    let first = seed(1_000);
    for seed in first..first + nightly(150, 3_000) as u64 {
        let mut dice = Dice(seed);
        let (places, seats) = (1 + dice.below(2) as u32, 2 + dice.below(4));
        let mut floor = floor(seats, 1 + dice.below(3) as u16, Limits { engagements: places, ..Limits::SMALL });
        let mut claims: Vec<(u64, tidegate_model::ClaimId)> = Vec::new();
        let mut next = 1_u128;
        for _ in 0..60 {
            match dice.below(8) {
                0..=2 => {
                    let request = if dice.below(4) == 0 { ContactRequest::default() } else { only_for(1 + dice.below(seats)) };
                    floor.begin_with(next, request);
                    next += 1;
                }
                3 | 4 => {
                    if let Some(seat) = seat_with_an_offer(&floor, seats) {
                        claims.push((seat, accept_one(&mut floor, seat)));
                    }
                }
                5 if !claims.is_empty() => {
                    let (seat, claim) = claims.swap_remove(dice.below(claims.len()));
                    // The customer may have left meanwhile, and the claim with him.
                    let _gone = floor.seat(seat, SeatAct::End { claim });
                }
                6 => {
                    let _not_open = floor.leave(1 + dice.below(next as usize) as u128);
                }
                _ => {
                    let seat = 1 + dice.below(seats) as u64;
                    floor.seat(seat, SeatAct::LinkDown);
                    floor.begin_with(next, only_for(seat as usize));
                    next += 1;
                    floor.seat(seat, SeatAct::LinkUp);
                }
            }
        }
        for _ in 0..4 * next {
            for (seat, claim) in std::mem::take(&mut claims) {
                let _gone = floor.seat(seat, SeatAct::End { claim });
            }
            let Some(seat) = seat_with_an_offer(&floor, seats) else { break };
            claims.push((seat, accept_one(&mut floor, seat)));
        }
        let ledger = floor.tenant.ledger();
        assert_eq!((ledger.waiting, ledger.in_offer, ledger.in_service), (0, 0, 0), "seed {seed}: {ledger:?}");
    }
}

/// The rig's crowd on two places: any fuel gives the same outputs, and a machine restored at any entry (somebody held back,
/// a look half done) goes on as if nothing had happened.
#[test]
fn a_full_table_is_the_same_under_any_fuel_and_after_a_restore() {
    let small = Limits { conversations: 1 << 10, tickets: 1 << 9, dedup_events: 1 << 9, customers: 1 << 9, ..Limits::SMALL };
    let limits = Limits { engagements: 2, effects: 3, ..small };
    let mut run = Run::new(RigConfig { seats: 90, ..RigConfig::small(seed(41)) }, limits);
    run.steps(nightly(2_000, 60_000));
    assert!(run.tenant.ledger().exits[0] > 3, "{:?}", run.tenant.ledger());
    let end = run.rig.now() + tidegate_model::Millis(1);
    let finish = |tenant: &mut Tenant| {
        while tenant.next_deadline().is_some_and(|at| at <= end) {
            tenant.handle(end, Seq(0), Input::Tick);
            while tenant.poll_output().is_some() {}
        }
    };
    let whole = |fuel: u32, every: usize| {
        let mut tenant = Tenant::new(TenantId(1), Limits { fuel, ..limits }, guard());
        for (i, entry) in run.log.iter().enumerate() {
            if i % every == every - 1 {
                let mut bytes = Vec::new();
                tenant.snapshot(&mut bytes);
                let restored = Tenant::restore(&bytes, guard()).expect("its own snapshot");
                assert_eq!(restored.full_digest(), tenant.full_digest(), "fuel {fuel}, entry {i}");
                tenant = restored;
            }
            apply(&mut tenant, entry, |_| {});
        }
        finish(&mut tenant);
        assert_eq!(tenant.check(), Ok(()));
        tenant
    };
    let through = whole(limits.fuel, usize::MAX);
    for (fuel, every) in [(limits.fuel, 31), (1, usize::MAX), (1, 29), (3, 37)] {
        let other = whole(fuel, every);
        assert_eq!(other.digests(), through.digests(), "fuel {fuel}, restored every {every}");
    }
}
