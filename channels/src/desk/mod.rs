//! The agent's desk: one WebSocket a seat, many conversations in it, commands that may be repeated, and a lease after a cut.
//!
//! [`frame`] says what is spoken, [`Machine`] how a desk's connection behaves (no I/O), `rim` moves bytes and keeps leases.
//! The desk never decides: an accepted offer is a claim only when the router's notice says `assigned`.

pub mod frame;
pub mod machine;
pub(crate) mod rim;
pub(crate) mod seats;
mod sink;

pub use frame::{Command, DeskAct, DeskFrame, OfferCard, ServerFrame};
pub use machine::{Act, Bound, Machine};

use crate::config::DeskLimits;
use crate::names::NameTable;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_model::output::{Item, Outcome, Presence, Rescind, SeatNotice};
use tidegate_model::port::{
    AgentGrant, Catalogue, CatalogueQueue, OfferContext, OpenClaim, PortError, SeatSnapshot, TranscriptItem,
};
use tidegate_model::{
    AccountId, ClaimId, ClassName, ContactId, ConversationId, Level, Millis, OfferId, QueueName, SeatId, SkillName, TenantId,
    Timestamp,
};

/// Fuzz entry: the bytes as a first frame, and as frames (split at 0x0A) of an open desk whose router answers and notifies in
/// every way. Panics are findings; so is a frame out that is not JSON, or a gap in a conversation's numbers.
pub fn fuzz_frame(data: &[u8]) {
    let names = NameTable::new(["retail"]);
    let mut fresh = Machine::new(DeskLimits::default(), Arc::clone(&names), Timestamp(0));
    fresh.on_frame(Timestamp(1), data);
    let mut sent = BTreeMap::new();
    while let Some(act) = fresh.poll() {
        check_act(&act, &mut sent);
    }

    let limits = DeskLimits { frames_burst: 16, conversations: 4, page: 2, ..DeskLimits::default() };
    let mut open = Machine::new(limits, names, Timestamp(0));
    open.on_frame(Timestamp(0), br#"{"type":"sign_in","token":"t"}"#);
    let mut sent = BTreeMap::new();
    let mut now = 0;
    for line in data.split(|byte| *byte == b'\n') {
        let byte = line.first().copied().unwrap_or(0);
        now += u64::from(byte);
        fuzz_answers(&mut open, now, byte, data, &mut sent);
        // A follow goes back on purpose.
        if !line.windows(6).any(|window| window == b"follow" || window.contains(&b'\\')) {
            open.on_frame(Timestamp(now), line);
        }
        open.on_time(Timestamp(now));
        if open.wants_notices() {
            let context = OfferContext {
                account: AccountId(1),
                class: ClassName(u64::from(byte)),
                skills: vec![(SkillName(u64::from(byte)), Level(byte))],
                returned: byte & 1 == 0,
                customer: std::str::from_utf8(line).ok().map(Arc::from),
            };
            let card = OfferCard::new(context, std::str::from_utf8(line).ok(), &NameTable::default());
            open.on_card(ConversationId(u128::from(byte % 8) + 1), card);
            open.on_notice(&fuzz_notice(byte));
        }
        open.on_wake(ConversationId(u128::from(byte % 8)), u32::from(byte % 5));
        open.on_typing(Timestamp(now), ConversationId(u128::from(byte % 8)));
        match byte {
            0xff => open.on_drain(Millis(1)),
            0xfe => open.on_overflow(),
            0xfc => open.on_policy_changed(),
            0xfd => open.on_replaced(),
            _ => {}
        }
        fuzz_answers(&mut open, now, byte, data, &mut sent);
    }
}

fn fuzz_answers(open: &mut Machine, now: u64, byte: u8, data: &[u8], sent: &mut BTreeMap<String, u64>) {
    while let Some(act) = open.poll() {
        check_act(&act, sent);
        match act {
            Act::Bind { .. } => {
                let grant = AgentGrant { tenant: TenantId(1), seat: SeatId(1) };
                open.on_bound(Ok(Bound { grant, resume: "r".to_owned(), resumed: false }));
            }
            Act::Snapshot { .. } => {
                let conversation = ConversationId(u128::from(byte % 8) + 1);
                let claim = OpenClaim { claim: ClaimId(1), contact: ContactId(1), conversation, wrap_up_until: None, n: 3 };
                let seat = SeatSnapshot { presence: Presence::Ready, at: Timestamp(now), offers: Vec::new(), claims: vec![claim] };
                open.on_snapshot(Ok(seat));
            }
            Act::Submit { .. } => open.on_outcome(match byte % 6 {
                0 => Err(PortError::Busy { retry_after: Millis(5) }),
                1 => Ok(Outcome::Conflict),
                2 => Ok(Outcome::Duplicate { n: 1 }),
                3 => Err(PortError::Closed),
                _ => Ok(Outcome::Done { contact: ContactId(1), n: 1 }),
            }),
            Act::Catalogue { .. } => {
                let queue = CatalogueQueue { name: "retail".to_owned(), offer_timeout: Millis(1), wrap_up: Millis(2) };
                let agent = String::from_utf8_lossy(data).into_owned();
                let found = Catalogue { agent, desk: Arc::default(), queues: Arc::from([queue]) };
                let text = frame::catalogue(&found, std::iter::once("shop"), 1 << 20, &NameTable::default());
                open.on_catalogue((byte & 1 == 0).then_some(text));
            }
            Act::Fetch { after, max, .. } => {
                let item = |n| TranscriptItem { n, at: Timestamp(0), item: Item::FromCustomer, body: Arc::from(data) };
                let to = after.saturating_add(max as u32).min(5);
                open.on_page(Timestamp(now), Ok((after.saturating_add(1)..=to).map(item).collect()));
            }
            _ => {}
        }
    }
}

fn fuzz_notice(byte: u8) -> SeatNotice {
    let (offer, claim) = (OfferId(u64::from(byte % 4) + 1), ClaimId(u64::from(byte % 4) + 1));
    let (contact, conversation) = (ContactId(1), ConversationId(u128::from(byte % 8) + 1));
    let (at, queue) = (Timestamp(u64::from(byte)), QueueName::of("retail"));
    match byte % 6 {
        0 => SeatNotice::Offered { offer, contact, conversation, queue, waiting_since: at, deadline: at, timeout: Millis(9) },
        1 => SeatNotice::Rescinded { offer, why: Rescind::Expired },
        2 => SeatNotice::Assigned { claim, contact, conversation },
        3 => SeatNotice::WrapUp { claim, until: at },
        4 => SeatNotice::Released { claim },
        _ => SeatNotice::Presence { presence: Presence::NotResponding },
    }
}

fn check_act(act: &Act, sent: &mut BTreeMap<String, u64>) {
    if let Act::Send(text) | Act::SendItem(text) = act {
        let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        assert!(value["type"].is_string(), "a frame out must be JSON with a type");
        if let Act::SendItem(_) = act {
            let last = sent.entry(value["conversation"].to_string()).or_default();
            let n = value["n"].as_u64().unwrap_or(0);
            // A conversation that left and came back begins again at 1.
            assert!(n == *last + 1 || n == 1, "numbers are gap-free: {n} after {last}");
            *last = n;
        }
    }
}
