//! Limits of a tenant at the limit, one above, ten times above; refusals by rule; nothing refused leaves anything behind.
//!
//! Source: issue A ("limits tested at the limit, one above, ten times above"), DESIGN §3: limits are state, not configuration.

use crate::scenario::{Floor, PLAIN, WEB};
use tidegate_model::input::{ContactRequest, FirstOwner, InboundAct, Input, SeatAct};
use tidegate_model::limits::Limits;
use tidegate_model::output::{LimitKind, Outcome, Refusal};
use tidegate_model::record::Exit;
use tidegate_model::{ClassName, QueueName, ReasonName, SeatId, TagName};

fn begin(floor: &mut Floor, conversation: u128) -> Outcome {
    floor.customer(WEB, conversation, InboundAct::Begin { with: FirstOwner::Queue, request: ContactRequest::default() })
}

fn refused(kind: LimitKind) -> Outcome {
    Outcome::Refused(Refusal::Limit(kind))
}

#[test]
fn conversations_stop_at_their_limit_and_room_comes_back() {
    let most = 8;
    let mut floor = Floor::with(PLAIN, 0, Limits { conversations: most, ..Limits::SMALL });
    for i in 1..=10 * u128::from(most) {
        let outcome = begin(&mut floor, i);
        if i <= u128::from(most) {
            assert!(matches!(outcome, Outcome::Done { .. }), "{i}: {outcome:?}");
        } else {
            assert_eq!(outcome, refused(LimitKind::Conversations), "{i}");
        }
    }
    assert_eq!(floor.tenant.conversations(), most);
    assert_eq!(floor.tenant.ledger().offered, u64::from(most), "a refused one was never a contact");
    // Idle ones are closed by the policy's rule, twice the span for those whose contact timed out first.
    floor.pass(3_600_000);
    floor.pass(3_600_000);
    assert!(matches!(begin(&mut floor, 1_000), Outcome::Done { .. }));
}

#[test]
fn tickets_stop_at_their_limit_and_others_go_on() {
    let most = 4;
    let mut floor = Floor::with(PLAIN, 0, Limits { tickets: most, ..Limits::SMALL });
    for i in 1..=10 * u128::from(most) {
        let outcome = begin(&mut floor, i);
        assert_eq!(outcome == refused(LimitKind::Tickets), i > u128::from(most), "{i}: {outcome:?}");
    }
    assert_eq!(floor.tenant.ledger().waiting, u64::from(most));
    assert!(matches!(floor.customer(WEB, 1, InboundAct::Message { body: b"hello" }), Outcome::Done { .. }));
    let bot = InboundAct::Begin { with: FirstOwner::Bot, request: ContactRequest::default() };
    assert!(matches!(floor.customer(WEB, 999, bot), Outcome::Done { .. }), "a bot needs no ticket");
    floor.leave(1);
    assert!(matches!(begin(&mut floor, 1_001), Outcome::Done { .. }), "room again");
}

#[test]
fn engagements_stop_at_their_limit_and_contacts_wait() {
    let most = 3;
    let mut floor = Floor::with(PLAIN, 30, Limits { engagements: most, ..Limits::SMALL });
    for i in 1..=10 * u128::from(most) {
        assert!(matches!(begin(&mut floor, i), Outcome::Done { .. }));
        assert_eq!(floor.offered().len(), usize::from(i <= u128::from(most)), "{i}");
    }
    // One leaves its place to the next, until everybody has been served.
    let mut served = 0;
    while served < 30 {
        let seat = (1..=30).find(|s| !floor.open_offers(*s).is_empty()).expect("somebody has an offer");
        let claim = floor.accept(seat);
        floor.seat(seat, SeatAct::End { claim });
        served += floor.exits().len();
    }
    assert_eq!(floor.tenant.ledger().exits[0], 30);
}

#[test]
fn a_full_queue_refuses_by_its_own_exit() {
    let most = 5;
    let mut floor = Floor::new(&format!("{PLAIN}length_max = {most}\n"), 0);
    for i in 1..=10 * most {
        assert!(matches!(begin(&mut floor, i), Outcome::Done { .. }), "the answer is an exit, not an error");
        let exits: Vec<Exit> = floor.exits().iter().map(|r| r.exit).collect();
        let full = Exit::Refused(ReasonName::of("queue full"));
        assert_eq!(exits, if i <= most { vec![] } else { vec![full] }, "{i}");
    }
    assert_eq!(u128::from(floor.tenant.ledger().waiting), most);
    assert_eq!(u128::from(floor.tenant.ledger().offered), 10 * most, "each was counted in, and out");
    floor.leave(1);
    begin(&mut floor, 1_000);
    assert_eq!(floor.exits(), [], "room again");
}

#[test]
fn a_refused_tag_is_never_offered() {
    let mut floor = Floor::new(&format!("{PLAIN}[[refuse]]\ntag = \"phantom\"\nreason = \"phantom record\"\n"), 2);
    for (i, with) in [FirstOwner::Queue, FirstOwner::Bot].into_iter().enumerate() {
        let mut request = ContactRequest::default();
        request.tags[3] = TagName::of("phantom");
        floor.customer(WEB, 10 + i as u128, InboundAct::Begin { with, request });
        let records = floor.exits();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].exit, Exit::Refused(ReasonName::of("phantom record")));
        assert_eq!((records[0].offers, records[0].seat, records[0].requested_at), (0, SeatId::NONE, None));
        assert_eq!(floor.decisions(), []);
    }
    // The same out of the bot's hands.
    floor.customer(WEB, 20, InboundAct::Begin { with: FirstOwner::Bot, request: ContactRequest::default() });
    let mut request = ContactRequest::default();
    request.tags[0] = TagName::of("phantom");
    floor.customer(WEB, 20, InboundAct::RequestAgent { request });
    assert_eq!(floor.exits().len(), 1);
    assert_eq!(floor.decisions(), []);
}

#[test]
fn refused_inputs_leave_the_state_as_it_was() {
    let mut floor = Floor::new(PLAIN, 1);
    begin(&mut floor, 1);
    let queue = ContactRequest { queue: QueueName::of("nowhere"), ..ContactRequest::default() };
    let class = ContactRequest { class: ClassName::of("nobody"), ..ContactRequest::default() };
    let before = (floor.tenant.ledger(), floor.tenant.conversations(), floor.tenant.open_effects());
    let mut refusals = 0;
    for (conversation, act, expected) in [
        (2, InboundAct::Begin { with: FirstOwner::Queue, request: queue }, Refusal::UnknownQueue),
        (2, InboundAct::Begin { with: FirstOwner::Queue, request: class }, Refusal::UnknownClass),
        (2, InboundAct::Leave, Refusal::NotOpen),
        (2, InboundAct::RequestAgent { request: ContactRequest::default() }, Refusal::NotOpen),
        (1, InboundAct::RequestAgent { request: ContactRequest::default() }, Refusal::AlreadyOpen),
        (1, InboundAct::Begin { with: FirstOwner::Bot, request: ContactRequest::default() }, Refusal::AlreadyOpen),
    ] {
        assert_eq!(floor.customer(WEB, conversation, act), Outcome::Refused(expected));
        assert_eq!(floor.outputs.len(), 1, "{expected:?}: {:?}", floor.outputs);
        refusals += 1;
    }
    let ledger = tidegate_core::Ledger { refused_inputs: before.0.refused_inputs + refusals, ..before.0 };
    assert_eq!((floor.tenant.ledger(), floor.tenant.conversations(), floor.tenant.open_effects()), (ledger, before.1, before.2));
}

#[test]
fn limits_are_changed_by_an_entry_and_never_below_what_was_built() {
    let mut floor = Floor::with(PLAIN, 3, Limits { engagements: 1, conversations: 64, ..Limits::SMALL });
    let change = |limits| Input::Admin(tidegate_model::input::Admin::Limits(limits));
    let now = Limits { engagements: 1, conversations: 64, ..Limits::SMALL };
    for wrong in [Limits { engagements: 0, ..now }, Limits { tickets: 1, ..now }, Limits { fuel: 0, ..now }] {
        assert_eq!(floor.send(&change(wrong)), Outcome::Refused(Refusal::Malformed));
    }
    begin(&mut floor, 1);
    begin(&mut floor, 2);
    assert_eq!(floor.tenant.ledger().in_offer, 1);
    assert!(matches!(floor.send(&change(Limits { engagements: 2, ..now })), Outcome::Done { .. }));
    begin(&mut floor, 3);
    assert_eq!(floor.tenant.ledger().in_offer, 2);
}
