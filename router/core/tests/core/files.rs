//! A file is a message: the same numbers, timers, effects and answers, with an item of its own kind; its four facts are its
//! content.

use crate::scenario::{Floor, PLAIN, PUSH, WEB};
use tidegate_model::file::{FileHash, FileRef};
use tidegate_model::input::{Inbound, InboundAct, Input, SeatAct, SeatInput};
use tidegate_model::output::{Item, Outcome, Output, Refusal};
use tidegate_model::{ClaimId, CommandId, ConversationId, CustomerId, EventId, SeatId};

const FILE: FileRef<'static> = FileRef { hash: FileHash([7; 32]), bytes: 9, media_type: "image/png", name: "a.png" };

/// The item without the difference between a text and a file.
fn plain(output: &Output) -> Output {
    let mut output = output.clone();
    if let Output::Transcript { item, .. } = &mut output {
        *item = match *item {
            Item::FileFromCustomer => Item::FromCustomer,
            Item::FileFromSeat { seat } => Item::FromSeat { seat },
            other => other,
        };
    }
    output
}

#[test]
fn a_file_is_a_message_in_every_way_but_its_item() {
    let story = |file: bool| {
        let mut floor = Floor::new(PLAIN, 1);
        let mut outputs = Vec::new();
        let said = if file { InboundAct::File { file: FILE } } else { InboundAct::Message { body: b"hello" } };
        // It begins a contact, goes on with one, and is answered through a provider.
        for _ in 0..2 {
            floor.customer(PUSH, 1, said);
            outputs.extend(floor.outputs.iter().map(plain));
            floor.pass(1_000);
        }
        let claim = floor.accept(1);
        let answer = |claim| if file { SeatAct::SendFile { claim, file: FILE } } else { SeatAct::Send { claim, body: b"hi" } };
        for claim in [claim, ClaimId(77)] {
            floor.seat(1, answer(claim));
            outputs.extend(floor.outputs.iter().map(plain));
        }
        (outputs, floor.tenant.open_effects().len(), floor.tenant.ledger())
    };
    let (texts, files) = (story(false), story(true));
    assert_eq!(texts, files);
    let refused = |o: &Output| matches!(o, Output::Reply { outcome: Outcome::Refused(Refusal::ClaimGone), .. });
    assert!(files.0.iter().any(refused) && files.1 == 1);
}

#[test]
fn the_facts_of_a_file_are_its_content() {
    let mut floor = Floor::new(PLAIN, 1);
    let event = |act| {
        let (event, conversation) = (EventId(1 << 70), ConversationId(1));
        Input::Inbound(Inbound { account: WEB, conversation, event, customer: CustomerId::NONE, known_n: 0, act })
    };
    let first = floor.send(&event(InboundAct::File { file: FILE }));
    let Outcome::Done { n, .. } = first else { panic!("{first:?}") };
    assert!(floor.outputs.iter().any(|o| matches!(o, Output::Transcript { item: Item::FileFromCustomer, .. })));
    assert_eq!(floor.send(&event(InboundAct::File { file: FILE })), Outcome::Duplicate { n });
    let others = [
        FileRef { hash: FileHash([8; 32]), ..FILE },
        FileRef { bytes: 10, ..FILE },
        FileRef { media_type: "image/gif", ..FILE },
        FileRef { name: "b.png", ..FILE },
    ];
    for file in others {
        assert_eq!(floor.send(&event(InboundAct::File { file })), Outcome::Conflict, "{file:?}");
    }
    let mut body = Vec::new();
    FILE.encode(&mut body);
    assert_eq!(floor.send(&event(InboundAct::Message { body: &body })), Outcome::Conflict, "a text is no file");
    let claim = floor.accept(1);
    let command = |act| Input::Seat(SeatInput { seat: SeatId(1), command: CommandId(1 << 70), act });
    let sent = floor.send(&command(SeatAct::SendFile { claim, file: FILE }));
    assert!(floor.outputs.iter().any(|o| matches!(o, Output::Transcript { item: Item::FileFromSeat { .. }, .. })));
    assert_eq!(floor.send(&command(SeatAct::SendFile { claim, file: FILE })), sent);
    for file in others {
        assert_eq!(floor.send(&command(SeatAct::SendFile { claim, file })), Outcome::Conflict, "{file:?}");
    }
    assert_eq!(floor.send(&command(SeatAct::Send { claim, body: &body })), Outcome::Conflict);
}
