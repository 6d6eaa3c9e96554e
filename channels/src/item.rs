//! Transcript items as frames, the same for customers and desks.
//!
//! `{"type":"item","n":…,"at":…,"kind":…}` with the fields of the kind; desks also get the conversation. Bodies were UTF-8
//! when they came in; should one not be, it is shown with replacement characters rather than withheld. Linear in the body.

use crate::files::FileFrame;
use crate::names::NameTable;
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;
use tidegate_model::ConversationId;
use tidegate_model::output::Item;
use tidegate_model::port::TranscriptItem;
use tidegate_model::record::Exit;

#[derive(Serialize)]
struct Frame<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<String>,
    n: u32,
    at: u64,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seat: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileFrame<'a>>,
}

/// A conversation id as clients see it: 32 hexadecimal digits.
pub fn conversation_text(conversation: ConversationId) -> String {
    format!("{:032x}", conversation.0)
}

/// The frame of an item; `conversation` is named for desks only.
pub fn frame(item: &TranscriptItem, conversation: Option<ConversationId>, names: &NameTable) -> String {
    let mut frame = Frame {
        r#type: "item",
        conversation: conversation.map(conversation_text),
        n: item.n,
        at: item.at.0,
        kind: "other",
        contact: None,
        queue: None,
        seat: None,
        exit: None,
        reason: None,
        text: None,
        file: None,
    };
    match item.item {
        Item::Began { contact } => {
            frame.kind = "began";
            frame.contact = Some(contact.0);
        }
        Item::Queued { queue } => {
            frame.kind = "queued";
            frame.queue = names.text(queue.0);
        }
        Item::FromCustomer => {
            frame.kind = "customer";
            frame.text = Some(String::from_utf8_lossy(&item.body));
        }
        Item::FromSeat { seat } => {
            frame.kind = "agent";
            frame.seat = Some(seat.to_string());
            frame.text = Some(String::from_utf8_lossy(&item.body));
        }
        Item::FileFromCustomer => {
            frame.kind = "customer";
            frame.file = item.file().map(FileFrame::from);
        }
        Item::FileFromSeat { seat } => {
            frame.kind = "agent";
            frame.seat = Some(seat.to_string());
            frame.file = item.file().map(FileFrame::from);
        }
        Item::Assigned { seat } => {
            frame.kind = "assigned";
            frame.seat = Some(seat.to_string());
        }
        Item::Transferred => frame.kind = "transferred",
        Item::Ended { exit } => {
            frame.kind = "ended";
            frame.exit = Some(exit.slug());
            if let Exit::Refused(reason) = exit {
                frame.reason = names.text(reason.0);
            }
        }
        _ => {}
    }
    to_json(&frame)
}

/// Serialises a frame of ours. These types hold only strings, numbers and booleans, so serialisation cannot fail.
pub(crate) fn to_json<T: Serialize>(frame: &T) -> String {
    serde_json::to_string(frame).unwrap_or_else(|_| String::from("{}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::{QueueName, SeatId, Timestamp};

    #[test]
    fn shapes() {
        let names = NameTable::new(["retail"]);
        let item = |n, item, body: &str| TranscriptItem { n, at: Timestamp(5), item, body: Arc::from(body.as_bytes()) };
        assert_eq!(
            frame(&item(1, Item::FromCustomer, "hi \"x\""), None, &names),
            r#"{"type":"item","n":1,"at":5,"kind":"customer","text":"hi \"x\""}"#
        );
        assert_eq!(
            frame(&item(2, Item::Queued { queue: QueueName::of("retail") }, ""), Some(ConversationId(255)), &names),
            r#"{"type":"item","conversation":"000000000000000000000000000000ff","n":2,"at":5,"kind":"queued","queue":"retail"}"#
        );
        assert_eq!(
            frame(&item(3, Item::Assigned { seat: SeatId(26) }, ""), None, &names),
            r#"{"type":"item","n":3,"at":5,"kind":"assigned","seat":"1a"}"#
        );
        assert_eq!(
            frame(&item(4, Item::Ended { exit: Exit::Served }, ""), None, &names),
            r#"{"type":"item","n":4,"at":5,"kind":"ended","exit":"served"}"#
        );
    }
}
