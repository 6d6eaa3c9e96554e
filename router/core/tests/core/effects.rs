//! I15: every effect row is opened once and closed exactly once, or given up as in doubt when its time is over.
//!
//! Source: DESIGN §3 ("effects are rows, not calls"), §13. Rows are counted from the outputs alone, and compared with what
//! the machine says is open: a row that left without a word would be lost to the outbox, one closed twice sent twice.

use crate::scenario::{Floor, PLAIN, PUSH};
use crate::support::{Run, apply, nightly, seed};
use std::collections::BTreeMap;
use tidegate_core::rig::RigConfig;
use tidegate_model::codec;
use tidegate_model::input::{EffectOutcome, EffectResult, EffectResults, FirstOwner, InboundAct, Input, SeatAct};
use tidegate_model::limits::{EFFECT_RESULTS_MAX, Limits};
use tidegate_model::output::{Effect, LimitKind, Outcome, Output, Refusal};
use tidegate_model::{EffectId, Timestamp};

#[test]
fn every_row_is_closed_exactly_once_and_what_is_open_is_known() {
    let mut run = Run::new(RigConfig::small(seed(61)), Limits::SMALL);
    let mut open: BTreeMap<EffectId, Effect> = BTreeMap::new();
    let (mut offers, mut deliveries) = (0, 0);
    for _ in 0..nightly(6_000, 100_000) {
        let (at, mut entry) = run.rig.next();
        codec::stamp(&mut entry, tidegate_model::Seq(run.log.len() as u64 + 1), at);
        let rig = &mut run.rig;
        apply(&mut run.tenant, &entry, |o| {
            rig.observe(o);
            match o {
                Output::EffectOpened { id, effect, .. } => {
                    offers += u32::from(matches!(effect, Effect::Offer { .. }));
                    deliveries += u32::from(matches!(effect, Effect::Deliver { .. }));
                    assert_eq!(open.insert(*id, *effect), None, "opened twice");
                }
                Output::EffectClosed { id } => assert!(open.remove(id).is_some(), "{id:?} was closed twice or never opened"),
                _ => {}
            }
        });
        run.log.push(entry);
    }
    assert!(offers > 500 && deliveries > 100, "{offers} offers, {deliveries} deliveries");
    let known: BTreeMap<EffectId, Effect> = run.tenant.open_effects().into_iter().map(|(id, _, effect)| (id, effect)).collect();
    assert_eq!(known, open);
    // Nobody says anything any more: offers expire, attempts end in doubt, and nothing stays open but what waits for a seat.
    let end = Timestamp(run.rig.now().0 + 24 * 3_600_000);
    let mut rounds = 0;
    while run.tenant.next_deadline().is_some_and(|d| d <= end) {
        let due = run.tenant.next_deadline().unwrap_or(end);
        run.tenant.handle(due, tidegate_model::Seq(0), Input::Tick);
        while let Some(output) = run.tenant.poll_output() {
            match output {
                Output::EffectOpened { id, effect, .. } => assert_eq!(open.insert(id, effect), None),
                Output::EffectClosed { id } => assert!(open.remove(&id).is_some()),
                _ => {}
            }
        }
        rounds += 1;
        assert!(rounds < 1_000_000, "it never comes to rest");
    }
    assert_eq!(open, BTreeMap::new());
    assert_eq!(run.tenant.open_effects(), []);
    assert_eq!(run.tenant.ledger().open(), 0, "and every contact has left");
}

/// A floor with one contact in service on the account that pushes.
fn serving(limits: Limits) -> (Floor, tidegate_model::ClaimId) {
    let mut floor = Floor::with(PLAIN, 1, limits);
    let begin = InboundAct::Begin { with: FirstOwner::Queue, request: Default::default() };
    floor.customer(PUSH, 1, begin);
    let claim = floor.accept(1);
    (floor, claim)
}

fn results(floor: &mut Floor, of: &[(EffectId, EffectResult)]) -> Outcome {
    let outcomes: Vec<EffectOutcome> = of.iter().map(|&(effect, result)| EffectOutcome { effect, result }).collect();
    let packed = codec::pack_effect_results(&outcomes);
    floor.send(&Input::Effects(EffectResults { packed: &packed }))
}

fn closed(floor: &Floor) -> Vec<EffectId> {
    floor.outputs.iter().filter_map(|o| if let Output::EffectClosed { id } = o { Some(*id) } else { None }).collect()
}

#[test]
fn a_late_repeated_or_forged_result_closes_nothing() {
    let (mut floor, claim) = serving(Limits::SMALL);
    floor.seat(1, SeatAct::Send { claim, body: b"hello" });
    let [(row, until, Effect::Deliver { .. })] = floor.tenant.open_effects()[..] else { panic!("one delivery is open") };
    assert_eq!(until, Timestamp(floor.now().0 + 60_000));
    results(&mut floor, &[(EffectId(row.0 ^ 1 << 30), EffectResult::Sent), (EffectId(u64::MAX), EffectResult::Failed)]);
    assert_eq!(closed(&floor), []);
    results(&mut floor, &[(row, EffectResult::Sent), (row, EffectResult::Failed)]);
    assert_eq!(closed(&floor), [row]);
    results(&mut floor, &[(row, EffectResult::InDoubt)]);
    assert_eq!(closed(&floor), []);
    // An attempt that nobody answers is in doubt when its time is over, not before, and not twice.
    floor.seat(1, SeatAct::Send { claim, body: b"are you there" });
    let row = floor.tenant.open_effects()[0].0;
    floor.pass(59_999);
    assert_eq!(closed(&floor), []);
    floor.pass(1);
    assert_eq!(closed(&floor), [row]);
    results(&mut floor, &[(row, EffectResult::Sent)]);
    assert_eq!(closed(&floor), []);
}

#[test]
fn an_offers_row_is_closed_by_its_answer_alone() {
    let mut floor = Floor::new(PLAIN, 1);
    floor.begin(1);
    let row = floor.tenant.open_effects()[0].0;
    results(&mut floor, &[(row, EffectResult::Sent)]);
    assert_eq!(closed(&floor), []);
    floor.accept(1);
    assert_eq!(closed(&floor), [row]);
}

#[test]
fn rows_and_results_have_limits() {
    let most = 4;
    let (mut floor, claim) = serving(Limits { effects: most, ..Limits::SMALL });
    for _ in 0..most {
        assert!(matches!(floor.seat(1, SeatAct::Send { claim, body: b"x" }), Outcome::Done { .. }));
    }
    for _ in 0..9 * most {
        let refused = Outcome::Refused(Refusal::Limit(LimitKind::Effects));
        assert_eq!(floor.seat(1, SeatAct::Send { claim, body: b"x" }), refused);
    }
    let row = floor.tenant.open_effects()[0].0;
    for (count, taken) in [(EFFECT_RESULTS_MAX, true), (EFFECT_RESULTS_MAX + 1, false), (10 * EFFECT_RESULTS_MAX, false)] {
        let outcome = results(&mut floor, &vec![(row, EffectResult::Sent); count]);
        assert_eq!(matches!(outcome, Outcome::Done { .. }), taken, "{count} results");
        assert_eq!(closed(&floor).len(), usize::from(taken));
    }
    assert!(matches!(floor.seat(1, SeatAct::Send { claim, body: b"x" }), Outcome::Done { .. }), "room again");
}
