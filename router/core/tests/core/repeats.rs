//! Duplicates and conflicts: a repeated event or command changes nothing, whoever repeats it and however often.
//!
//! Sources: DESIGN §13 (I7, I8), §3 ("the answer to a command is kept with its idempotency key"). The horizon is counted in
//! events (eight a bucket) and in commands (sixteen a seat), never in seconds: replicas agree on it.

use crate::scenario::{Floor, PLAIN, WEB};
use crate::support::{Run, apply, seed};
use tidegate_core::rig::{Mischief, RigConfig};
use tidegate_model::codec;
use tidegate_model::input::{Inbound, InboundAct, Input, SeatAct, SeatInput};
use tidegate_model::limits::Limits;
use tidegate_model::output::{Outcome, Output, Refusal};
use tidegate_model::{CommandId, ConversationId, CustomerId, EventId, ReasonName, SeatId, Seq, TenantId};

fn message(conversation: u128, event: u128, body: &[u8]) -> Vec<u8> {
    let (event, conversation) = (EventId(event), ConversationId(conversation));
    let act = InboundAct::Message { body };
    let mut bytes = Vec::new();
    let inbound = Inbound { account: WEB, conversation, event, customer: CustomerId::NONE, known_n: 0, act };
    codec::encode(&mut bytes, TenantId(1), &Input::Inbound(inbound));
    bytes
}

#[test]
fn a_repeated_event_makes_no_second_conversation_contact_or_message() {
    let mut floor = Floor::new(PLAIN, 1);
    let first = floor.again(message(1, 1 << 70, b"hello"));
    let Outcome::Done { n, .. } = first else { panic!("{first:?}") };
    let (ledger, conversations) = (floor.tenant.ledger(), floor.tenant.conversations());
    for _ in 0..3 {
        floor.pass(1_000);
        assert_eq!(floor.again(message(1, 1 << 70, b"hello")), Outcome::Duplicate { n });
        assert_eq!(floor.outputs.len(), 1, "an answer and nothing else: {:?}", floor.outputs);
    }
    assert_eq!(floor.again(message(1, 1 << 70, b"other")), Outcome::Conflict);
    assert_eq!(floor.outputs.len(), 1);
    assert_eq!(floor.tenant.transcript_head(ConversationId(1)), Some(n));
    assert_eq!(floor.tenant.conversations(), conversations);
    assert_eq!(floor.tenant.ledger(), tidegate_core::Ledger { duplicates: 4, ..ledger });
}

#[test]
fn the_horizon_of_events_is_counted_in_events_and_outlasts_any_time() {
    let events = 64;
    let limits = Limits { dedup_events: events, ..Limits::SMALL };
    let mut floor = Floor::with(PLAIN, 0, limits);
    let Outcome::Done { n, .. } = floor.again(message(1, 1 << 70, b"hello")) else { panic!("the first one is taken") };
    floor.pass(59 * 60_000);
    assert_eq!(floor.again(message(1, 1 << 70, b"hello")), Outcome::Duplicate { n }, "an hour is nothing");
    // Seven others never push it out; eight times the table certainly do.
    for i in 0..7 {
        floor.again(message(1, (2 << 70) + i, b"another"));
    }
    assert_eq!(floor.again(message(1, 1 << 70, b"hello")), Outcome::Duplicate { n });
    for i in 0..u128::from(8 * events) {
        floor.again(message(1, (3 << 70) + i, b"another"));
    }
    assert!(matches!(floor.again(message(1, 1 << 70, b"hello")), Outcome::Done { .. }), "past the horizon it is a new one");
}

#[test]
fn a_repeated_command_is_answered_as_before_and_another_content_is_a_conflict() {
    let mut floor = Floor::new(PLAIN, 1);
    floor.begin(1);
    let claim = floor.accept(1);
    let command = |id: u128, act| Input::Seat(SeatInput { seat: SeatId(1), command: CommandId(id << 70), act });
    let said = floor.send(&command(1, SeatAct::Send { claim, body: b"hello" }));
    assert!(matches!(said, Outcome::Done { .. }));
    assert_eq!(floor.send(&command(1, SeatAct::Send { claim, body: b"hello" })), said);
    assert_eq!(floor.outputs.len(), 1, "no second message: {:?}", floor.outputs);
    assert_eq!(floor.send(&command(1, SeatAct::Send { claim, body: b"other" })), Outcome::Conflict);
    assert_eq!(floor.outputs.len(), 1);
    // The segment ends; the answer to what was said in it stays.
    let ended = floor.send(&command(2, SeatAct::End { claim }));
    assert_eq!(floor.send(&command(2, SeatAct::End { claim })), ended);
    assert_eq!(floor.exits(), [], "one exit, not two");
    assert_eq!(floor.send(&command(1, SeatAct::Send { claim, body: b"hello" })), said);
    // Refused commands left nothing behind, so their ids are free.
    assert_eq!(floor.send(&command(3, SeatAct::End { claim })), Outcome::Refused(Refusal::ClaimGone));
    assert_eq!(floor.send(&command(3, SeatAct::End { claim })), Outcome::Refused(Refusal::ClaimGone));
    // Sixteen answers a seat: the fourteen that follow keep both, the fifteenth takes the oldest one's place.
    let pause = |i: u128| command(100 + i, SeatAct::Pause { reason: ReasonName::of("tea") });
    let mut floor = Floor::new(PLAIN, 1);
    for i in 0..16 {
        floor.send(&pause(i));
    }
    let before = floor.tenant.ledger().duplicates;
    floor.send(&pause(0));
    assert_eq!(floor.tenant.ledger().duplicates, before + 1, "the sixteenth back is remembered");
    floor.send(&pause(16));
    floor.send(&pause(0));
    assert_eq!(floor.tenant.ledger().duplicates, before + 1, "the seventeenth back is not");
}

#[test]
fn a_whole_day_said_twice_counts_once() {
    // Every event that was taken comes again at the end, as from a provider that never saw an answer.
    let config = RigConfig { mischief: Mischief::None, ..RigConfig::small(seed(51)) };
    let mut run = Run::new(config, Limits::SMALL);
    run.steps(4_000);
    let now = run.rig.now();
    let (ledger, conversations) = (run.tenant.ledger(), run.tenant.conversations());
    let mut first = std::collections::BTreeMap::new();
    let mut again = crate::support::replay(&[], Limits::SMALL);
    for entry in &run.log {
        apply(&mut again, entry, |o| {
            if let Output::Reply { seq, outcome: Outcome::Done { n, .. } } = o {
                first.insert(*seq, *n);
            }
        });
    }
    let mut repeated = 0;
    for entry in run.log.clone() {
        let decoded = codec::decode(&entry).expect("own entry");
        let (Input::Inbound(_), Some(n)) = (decoded.input, first.get(&decoded.seq)) else { continue };
        let (mut entry, seq) = (entry.clone(), Seq((1 << 40) + repeated));
        codec::stamp(&mut entry, seq, now);
        let mut outputs = Vec::new();
        apply(&mut run.tenant, &entry, |o| outputs.push(o.clone()));
        assert_eq!(outputs, [Output::Reply { seq, outcome: Outcome::Duplicate { n: *n } }]);
        repeated += 1;
    }
    assert!(repeated > 1_000, "only {repeated} were repeated");
    assert_eq!(run.tenant.ledger(), tidegate_core::Ledger { duplicates: ledger.duplicates + repeated, ..ledger });
    assert_eq!(run.tenant.conversations(), conversations);
}
