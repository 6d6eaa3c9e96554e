//! Golden frames: what version 1 of both protocols said and was told is understood, byte for byte, for ever.
//!
//! `tests/golden/v1/*-client.txt` hold frames of clients, each followed by what it was read as; `*-server.txt` hold every frame
//! that a server of version 1 sends. A page or a desk of that version may be open for days while nodes are renewed, so a change
//! that breaks a line here needs a new version of the protocol, not a new line. `TIDEGATE_GOLDEN=write` writes the files after
//! such a decision. It refuses to know sockets: the rims move these texts and nothing else.

use crate::names::NameTable;
use crate::problem::Problem;
use crate::{desk, item, web};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use tidegate_model::file::{FileHash, FileRef};
use tidegate_model::output::{Item, Presence, Rescind, SeatNotice};
use tidegate_model::port::{OfferContext, OpenClaim, OpenOffer, SeatSnapshot, Standing, TranscriptItem, WaitInterval};
use tidegate_model::record::Exit;
use tidegate_model::{
    AccountId, ClaimId, ClassName, ContactId, ConversationId, Level, Millis, OfferId, QueueName, ReasonName, SeatId, SkillName,
    Timestamp,
};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(name)
}

fn writes() -> bool {
    std::env::var("TIDEGATE_GOLDEN").is_ok_and(|value| value == "write")
}

fn names() -> Arc<NameTable> {
    NameTable::new(["sales", "support", "gold", "zh", "lunch", "busy", "solved", "phantom"])
}

/// Compares with the golden file, line by line; writes it first when asked to.
fn holds(name: &str, now: &str, otherwise: &str) {
    if writes() {
        fs::write(path(name), now).expect("written");
    }
    let text = fs::read_to_string(path(name)).expect("a golden file");
    for (ours, theirs) in now.lines().zip(text.lines()) {
        assert_eq!(ours, theirs, "{name}: a frame of version 1 is {otherwise}");
    }
    assert_eq!(now.lines().count(), text.lines().count(), "{name}: frames came or went without a golden line");
}

/// Frames stand on lines of their own, each before what it was read as.
fn read(name: &str, decode: impl Fn(&[u8]) -> String) {
    let text = fs::read_to_string(path(name)).expect("a golden file");
    let frames = text.lines().filter(|line| line.starts_with('{'));
    let now: String = frames.map(|frame| format!("{frame}\n= {}\n", decode(frame.as_bytes()))).collect();
    holds(name, &now, "read otherwise");
    assert!(!now.contains("BadFrame"), "{name}: a frame of version 1 is refused");
}

fn sent(name: &str, frames: &[String]) {
    let now: String = frames.iter().map(|frame| format!("{frame}\n")).collect();
    holds(name, &now, "written otherwise");
}

#[test]
fn customers_frames_of_version_1_are_read() {
    read("web-client.txt", |frame| format!("{:?}", web::frame::decode(frame)));
}

#[test]
fn desks_frames_of_version_1_are_read() {
    read("desk-client.txt", |frame| format!("{:?}", desk::frame::decode(frame, &names())));
}

const CONVERSATION: ConversationId = ConversationId(42);

fn items(conversation: Option<ConversationId>) -> Vec<String> {
    let names = names();
    let mut file = Vec::new();
    FileRef { hash: FileHash([7; 32]), bytes: 1_234, media_type: "image/png", name: "图.png" }.encode(&mut file);
    let kinds: [(Item, &[u8]); 10] = [
        (Item::Began { contact: ContactId(3) }, b""),
        (Item::Queued { queue: QueueName::of("sales") }, b""),
        (Item::FromCustomer, "你好".as_bytes()),
        (Item::FromSeat { seat: SeatId(31) }, b"hello"),
        (Item::FileFromCustomer, &file),
        (Item::FileFromSeat { seat: SeatId(31) }, &file),
        (Item::Assigned { seat: SeatId(31) }, b""),
        (Item::Transferred, b""),
        (Item::Ended { exit: Exit::Served }, b""),
        (Item::Ended { exit: Exit::Refused(ReasonName::of("phantom")) }, b""),
    ];
    let frame = |(n, (item, body)): (usize, &(Item, &[u8]))| {
        let item = TranscriptItem { n: n as u32 + 1, at: Timestamp(1_700_000_000_000), item: *item, body: Arc::from(*body) };
        item::frame(&item, conversation, &names)
    };
    kinds.iter().enumerate().map(frame).collect()
}

#[test]
fn customers_are_told_as_in_version_1() {
    use web::frame::{ServerFrame, StandingFrame};
    let standing = |wait| Standing { queue: QueueName::of("sales"), position: 2, waiting: 9, wait, at: Timestamp(5_000) };
    let interval = WaitInterval { p50: Millis(30_000), p90: Millis(95_000) };
    let problem = Problem::field("text", "text is missing");
    let mut frames = items(None);
    frames.extend(
        [
            ServerFrame::Welcome { conversation: item::conversation_text(CONVERSATION), n: 4, at: 1_700_000_000_000 },
            ServerFrame::Ack { client_msg_id: "m-1", outcome: "done", contact: Some(3), n: 5 },
            ServerFrame::Ack { client_msg_id: "m-1", outcome: "duplicate", contact: None, n: 5 },
            ServerFrame::Error { client_msg_id: Some("m-1"), problem: &problem },
            ServerFrame::Error { client_msg_id: None, problem: &problem },
            ServerFrame::Busy { client_msg_id: Some("m-1"), retry_after_ms: 50 },
            ServerFrame::Busy { client_msg_id: None, retry_after_ms: 50 },
            ServerFrame::Standing { standing: StandingFrame::new(&standing(Some(interval)), &names()) },
            ServerFrame::Standing { standing: StandingFrame::new(&standing(None), &names()) },
            ServerFrame::Typing { seat: SeatId(31).to_string() },
            ServerFrame::Bye { retry_after_ms: 1_000 },
            ServerFrame::Pong,
        ]
        .iter()
        .map(ServerFrame::text),
    );
    sent("web-server.txt", &frames);
}

#[test]
fn desks_are_told_as_in_version_1() {
    use desk::frame::{OfferCard, ServerFrame};
    let names = names();
    let context = OfferContext {
        account: AccountId(1),
        class: ClassName::of("gold"),
        skills: vec![(SkillName::of("zh"), Level(5))],
        returned: true,
        customer: Some(Arc::from("王女士")),
    };
    let card = OfferCard::new(context, Some("web"), &names);
    let (offer, claim, contact) = (OfferId(31), ClaimId(10), ContactId(3));
    let notices = [
        SeatNotice::Presence { presence: Presence::Ready },
        SeatNotice::Presence { presence: Presence::Paused { reason: ReasonName::of("lunch") } },
        SeatNotice::Presence { presence: Presence::NotResponding },
        SeatNotice::Presence { presence: Presence::SignedOut },
        SeatNotice::Offered {
            offer,
            contact,
            conversation: CONVERSATION,
            queue: QueueName::of("sales"),
            waiting_since: Timestamp(1_000),
            deadline: Timestamp(25_000),
            timeout: Millis(20_000),
        },
        SeatNotice::Rescinded { offer, why: Rescind::CustomerLeft },
        SeatNotice::Rescinded { offer, why: Rescind::Expired },
        SeatNotice::Rescinded { offer, why: Rescind::TimedOut },
        SeatNotice::Rescinded { offer, why: Rescind::SeatGone },
        SeatNotice::Rescinded { offer, why: Rescind::Declined },
        SeatNotice::Assigned { claim, contact, conversation: CONVERSATION },
        SeatNotice::WrapUp { claim, until: Timestamp(60_000) },
        SeatNotice::Released { claim },
    ];
    let mut frames = items(Some(CONVERSATION));
    frames.extend(notices.iter().map(|notice| desk::frame::notice(notice, None, &names).expect("known")));
    frames.push(desk::frame::notice(&notices[4], Some(card.clone()), &names).expect("known"));
    let open = OpenOffer {
        offer,
        contact,
        conversation: CONVERSATION,
        queue: QueueName::of("sales"),
        waiting_since: Timestamp(1_000),
        deadline: Timestamp(25_000),
    };
    let held = |wrap_up_until| OpenClaim { claim, contact, conversation: CONVERSATION, wrap_up_until, n: 12 };
    let snapshot = SeatSnapshot {
        presence: Presence::Ready,
        at: Timestamp(5_000),
        offers: vec![open],
        claims: vec![held(None), held(Some(Timestamp(60_000)))],
    };
    frames.push(desk::frame::snapshot(&snapshot, &BTreeMap::from([(CONVERSATION, card)]), &names));
    let problem = Problem::field("claim", "claim is missing");
    frames.extend(
        [
            ServerFrame::Welcome { seat: SeatId(31).to_string(), resume: "r-1", resumed: true, lease_s: 30 },
            ServerFrame::Ack { command_id: "c-1", outcome: "done", contact: Some(3), n: 5 },
            ServerFrame::Ack { command_id: "c-1", outcome: "duplicate", contact: None, n: 0 },
            ServerFrame::Error { command_id: Some("c-1"), problem: &problem },
            ServerFrame::Busy { command_id: Some("c-1"), retry_after_ms: 50 },
            ServerFrame::Typing { conversation: item::conversation_text(CONVERSATION) },
            ServerFrame::Replaced,
            ServerFrame::Bye { retry_after_ms: 1_000 },
            ServerFrame::Pong,
        ]
        .iter()
        .map(ServerFrame::text),
    );
    sent("desk-server.txt", &frames);
}
