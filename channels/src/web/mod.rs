//! Customers on the web: WebSocket, with SSE and REST as fall-back, over one gap-free sequence of numbers.
//!
//! [`frame`] says what is spoken, [`Machine`] how a connection behaves (no I/O), [`rim`] moves bytes on a WebSocket and
//! [`http`] serves sessions, posts, long polls and event streams. An act's event id is derived from the client's own id, so
//! that it may be repeated on any of them, on any node, after any cut: it is taken once.

pub mod frame;
pub mod http;
pub mod machine;
pub mod rim;

pub use frame::{ClientFrame, CustomerAct, ServerFrame, Submission};
pub use machine::{Act, Admission, Machine};

use crate::config::WebLimits;
use crate::names::NameTable;
use std::sync::Arc;
use tidegate_model::output::{Item, Outcome};
use tidegate_model::port::{CustomerGrant, PortError, Standing, TranscriptItem, WaitInterval};
use tidegate_model::{AccountId, ContactId, ConversationId, CustomerId, Millis, QueueName, SeatId, TenantId, Timestamp};

/// Fuzz entry: the bytes as a first frame, and as frames (split at 0x0A) of an open connection whose router answers in every
/// way. Panics are findings; so is a frame out that is not JSON, or a gap in the numbers.
pub fn fuzz_frame(data: &[u8]) {
    let names = NameTable::new(["retail"]);
    let mut fresh = Machine::new(WebLimits::default(), Arc::clone(&names), Timestamp(0), Timestamp(0));
    fresh.on_frame(Timestamp(1), data);
    while let Some(act) = fresh.poll() {
        check_act(&act, &mut 0);
    }

    let mut open = Machine::new(WebLimits { frames_burst: 16, ..WebLimits::default() }, names, Timestamp(0), Timestamp(0));
    open.on_frame(Timestamp(0), br#"{"type":"hello","token":"t"}"#);
    let mut now = 0;
    let mut sent = 0;
    let mut have = 0_u32;
    let mut run = |open: &mut Machine, now: u64, byte: u8| {
        while let Some(act) = open.poll() {
            check_act(&act, &mut sent);
            match act {
                Act::Check { .. } => open.on_admission(Ok(Admission { grant: fuzz_grant(), may_write: byte & 1 == 0 })),
                Act::Submit { .. } => {
                    have = have.saturating_add(1);
                    open.on_outcome(match byte % 7 {
                        0 => Err(PortError::Busy { retry_after: Millis(5) }),
                        1 => Ok(Outcome::Conflict),
                        2 => Ok(Outcome::Duplicate { n: 1 }),
                        3 => Err(PortError::Invalid { what: "x".to_owned() }),
                        4 => Err(PortError::LogFailed),
                        _ => Ok(Outcome::Done { contact: ContactId(1), n: have }),
                    });
                }
                Act::Fetch { after, max, .. } => {
                    let kind = match byte % 5 {
                        0 => Item::Queued { queue: QueueName(1) },
                        1 => Item::Assigned { seat: SeatId(1) },
                        _ => Item::FromCustomer,
                    };
                    let item = |n| TranscriptItem { n, at: Timestamp(0), item: kind, body: Arc::from(data) };
                    let to = have.min(after.saturating_add(max as u32));
                    open.on_page(Timestamp(now), Ok((after.saturating_add(1)..=to).map(item).collect()));
                }
                Act::Standing { .. } => open.on_standing(Timestamp(now), fuzz_standing(now, byte)),
                _ => {}
            }
        }
    };
    for line in data.split(|byte| *byte == b'\n') {
        let byte = line.first().copied().unwrap_or(0);
        now += u64::from(byte);
        run(&mut open, now, byte);
        open.on_frame(Timestamp(now), line);
        open.on_time(Timestamp(now));
        if byte == 0xff {
            open.on_drain(Millis(1));
        }
        open.on_wake(u32::from(byte));
        if byte & 2 == 0 {
            open.on_typing(Timestamp(now), SeatId(u64::from(byte)));
        }
        run(&mut open, now, byte);
    }
}

fn fuzz_standing(now: u64, byte: u8) -> Option<Standing> {
    let (position, waiting) = (u32::from(byte), u32::MAX - u32::from(byte));
    let wait = (byte & 4 == 0).then_some(WaitInterval { p50: Millis(now), p90: Millis(u64::MAX) });
    (byte & 8 == 0).then_some(Standing { queue: QueueName(u64::from(byte)), position, waiting, wait, at: Timestamp(now) })
}

fn fuzz_grant() -> CustomerGrant {
    CustomerGrant { tenant: TenantId(1), account: AccountId(1), conversation: ConversationId(1), customer: CustomerId::NONE }
}

fn check_act(act: &Act, sent: &mut u64) {
    if let Act::Send(text) | Act::SendItem(text) = act {
        let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        assert!(value["type"].is_string(), "a frame out must be JSON with a type");
        if let Act::SendItem(_) = act {
            assert_eq!(value["n"].as_u64(), Some(*sent + 1), "numbers are gap-free");
            *sent += 1;
        }
    }
}
