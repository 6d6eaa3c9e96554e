//! One conversation's items, packed: about eight bytes a message, so that 100,000 open conversations stay small.
//!
//! ```text
//! item  := varint(ms since the item before) tag field*        fields of tags 3, 4, 8 and 9 begin with
//! field := varint | u64 (names and ids that are hashes)        varint(zigzag(position − position of the body before))
//! ```
//!
//! Positions of one conversation grow with the log, so differences are short. Nothing is ever changed in place. It refuses to
//! know bodies. Reading is a walk from the first item: conversations have tens of items, rarely hundreds.

use super::{Added, IndexError};
use tidegate_model::output::Item;
use tidegate_model::record::Exit;
use tidegate_model::{ContactId, QueueName, ReasonName, SeatId, Timestamp};

/// An item as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub n: u32,
    pub at: Timestamp,
    pub item: Item,
    pub position: Option<u64>,
}

/// See the module head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Thread {
    /// Number of the first item that is kept.
    first: u32,
    /// Number of the newest one.
    head: u32,
    last_at: u64,
    /// Position of the newest body.
    last_position: u64,
    /// Position of the entry that gave the newest item, message or not.
    touched: u64,
    items: Vec<u8>,
}

const BEGAN: u8 = 1;
const QUEUED: u8 = 2;
const FROM_CUSTOMER: u8 = 3;
const FROM_SEAT: u8 = 4;
const ASSIGNED: u8 = 5;
const TRANSFERRED: u8 = 6;
const ENDED: u8 = 7;
const FILE_FROM_CUSTOMER: u8 = 8;
const FILE_FROM_SEAT: u8 = 9;

/// Exits by their number in the index; a refusal's reason follows.
const EXITS: [Exit; 8] = [
    Exit::Served,
    Exit::AbandonedWaiting,
    Exit::AbandonedWithBot,
    Exit::CustomerLeft,
    Exit::TimedOut,
    Exit::CallbackDeclined,
    Exit::CallbackNotReached,
    Exit::Failed,
];
const REFUSED: u64 = EXITS.len() as u64;
/// An item of a later version: kept by number so that nothing shifts.
const UNKNOWN: u8 = 255;

impl Thread {
    pub fn head(&self) -> u32 {
        self.head
    }

    pub fn touched(&self) -> u64 {
        self.touched
    }

    pub fn bytes(&self) -> usize {
        self.items.capacity()
    }

    /// Adds the next item. Number 1, or one that leaves a gap, begins anew.
    pub fn push(&mut self, added: &Added) {
        if added.n != self.head.wrapping_add(1) || added.n == 1 {
            *self = Self { first: added.n, items: std::mem::take(&mut self.items), ..Self::default() };
            self.items.clear();
        }
        self.head = added.n;
        if self.items.len() + 16 > self.items.capacity() {
            // Growth by a quarter, not by doubling: most threads stop growing soon.
            self.items.reserve_exact(16 + self.items.len() / 4);
        }
        varint(&mut self.items, added.at.0.saturating_sub(self.last_at));
        self.last_at = self.last_at.max(added.at.0);
        match added.item {
            Item::Began { contact } => self.tagged(BEGAN, contact.0),
            Item::Queued { queue } => self.named(QUEUED, queue.0),
            Item::FromCustomer | Item::FileFromCustomer => {
                self.items.push(if added.item.is_file() { FILE_FROM_CUSTOMER } else { FROM_CUSTOMER });
                self.position(added.body);
            }
            Item::FromSeat { seat } | Item::FileFromSeat { seat } => {
                self.items.push(if added.item.is_file() { FILE_FROM_SEAT } else { FROM_SEAT });
                self.position(added.body);
                varint(&mut self.items, seat.0);
            }
            Item::Assigned { seat } => self.tagged(ASSIGNED, seat.0),
            Item::Transferred => self.items.push(TRANSFERRED),
            Item::Ended { exit } => match exit {
                Exit::Refused(reason) => {
                    self.tagged(ENDED, REFUSED);
                    self.items.extend_from_slice(&reason.0.to_le_bytes());
                }
                other => {
                    let number = EXITS.iter().position(|exit| *exit == other).unwrap_or(EXITS.len() - 1);
                    self.tagged(ENDED, number as u64);
                }
            },
            _ => self.items.push(UNKNOWN),
        }
        self.touched = self.touched.max(added.entry);
    }

    fn tagged(&mut self, tag: u8, value: u64) {
        self.items.push(tag);
        varint(&mut self.items, value);
    }

    fn named(&mut self, tag: u8, name: u64) {
        self.items.push(tag);
        self.items.extend_from_slice(&name.to_le_bytes());
    }

    /// 0 means that the place is not known; else 1 + zigzag of the difference.
    fn position(&mut self, position: Option<u64>) {
        match position {
            None => varint(&mut self.items, 0),
            Some(position) => {
                let difference = position.wrapping_sub(self.last_position) as i64;
                let zigzag = ((difference << 1) ^ (difference >> 63)) as u64;
                varint(&mut self.items, zigzag.saturating_add(1));
                self.last_position = position;
            }
        }
    }

    /// Items after number `after`, at most `max`.
    pub fn after(&self, after: u32, max: usize) -> Vec<Found> {
        let mut found = Vec::new();
        let mut walk = Walk { items: &self.items, at: 0, time: 0, position: 0 };
        let mut n = self.first;
        while n <= self.head && found.len() < max && !self.items.is_empty() {
            let Some((at, item, position)) = walk.next() else { break };
            if n > after {
                found.push(Found { n, at, item, position });
            }
            n += 1;
        }
        found
    }

    /// Places of what is said of its files, oldest first. O(items).
    pub fn files(&self) -> Vec<u64> {
        let found = self.after(0, usize::MAX).into_iter();
        found.filter(|found| found.item.is_file()).filter_map(|found| found.position).collect()
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.head.to_le_bytes());
        out.extend_from_slice(&self.last_at.to_le_bytes());
        out.extend_from_slice(&self.last_position.to_le_bytes());
        out.extend_from_slice(&self.touched.to_le_bytes());
        out.extend_from_slice(&(self.items.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.items);
    }

    pub fn decode(bytes: &[u8], at: &mut usize) -> Result<Self, IndexError> {
        let first = u32::from_le_bytes(take(bytes, at)?);
        let head = u32::from_le_bytes(take(bytes, at)?);
        let last_at = u64::from_le_bytes(take(bytes, at)?);
        let last_position = u64::from_le_bytes(take(bytes, at)?);
        let touched = u64::from_le_bytes(take(bytes, at)?);
        let length = u32::from_le_bytes(take(bytes, at)?) as usize;
        let items = bytes.get(*at..*at + length).ok_or(IndexError { at: *at })?.to_vec();
        *at += length;
        Ok(Self { first, head, last_at, last_position, touched, items })
    }
}

/// Reads fixed bytes and moves on.
pub(crate) fn take<const N: usize>(bytes: &[u8], at: &mut usize) -> Result<[u8; N], IndexError> {
    let found = bytes.get(*at..*at + N).and_then(|b| b.try_into().ok()).ok_or(IndexError { at: *at })?;
    *at += N;
    Ok(found)
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

struct Walk<'a> {
    items: &'a [u8],
    at: usize,
    time: u64,
    position: u64,
}

impl Walk<'_> {
    fn next(&mut self) -> Option<(Timestamp, Item, Option<u64>)> {
        self.time = self.time.saturating_add(self.varint()?);
        let tag = self.byte()?;
        let mut position = None;
        let item = match tag {
            BEGAN => Item::Began { contact: ContactId(self.varint()?) },
            QUEUED => Item::Queued { queue: QueueName(self.word()?) },
            FROM_CUSTOMER | FILE_FROM_CUSTOMER => {
                position = self.position()?;
                if tag == FROM_CUSTOMER { Item::FromCustomer } else { Item::FileFromCustomer }
            }
            FROM_SEAT | FILE_FROM_SEAT => {
                position = self.position()?;
                let seat = SeatId(self.varint()?);
                if tag == FROM_SEAT { Item::FromSeat { seat } } else { Item::FileFromSeat { seat } }
            }
            ASSIGNED => Item::Assigned { seat: SeatId(self.varint()?) },
            ENDED => match self.varint()? {
                REFUSED => Item::Ended { exit: Exit::Refused(ReasonName(self.word()?)) },
                number => Item::Ended { exit: EXITS.get(number as usize).copied().unwrap_or(Exit::Failed) },
            },
            _ => Item::Transferred,
        };
        Some((Timestamp(self.time), item, position))
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.items.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn word(&mut self) -> Option<u64> {
        let bytes = self.items.get(self.at..self.at + 8)?;
        self.at += 8;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn position(&mut self) -> Option<Option<u64>> {
        let Some(zigzag) = self.varint()?.checked_sub(1) else { return Some(None) };
        let difference = ((zigzag >> 1) as i64) ^ -((zigzag & 1) as i64);
        self.position = self.position.wrapping_add(difference as u64);
        Some(Some(self.position))
    }
}

#[cfg(test)]
mod tests {
    use super::{Thread, take};
    use crate::transcript::Added;
    use proptest::prelude::*;
    use tidegate_model::output::Item;
    use tidegate_model::record::Exit;
    use tidegate_model::{ContactId, ConversationId, QueueName, ReasonName, SeatId, Timestamp};

    fn item() -> impl Strategy<Value = Item> {
        prop_oneof![
            any::<u64>().prop_map(|c| Item::Began { contact: ContactId(c) }),
            any::<u64>().prop_map(|q| Item::Queued { queue: QueueName(q) }),
            Just(Item::FromCustomer),
            any::<u64>().prop_map(|s| Item::FromSeat { seat: SeatId(s) }),
            Just(Item::FileFromCustomer),
            any::<u64>().prop_map(|s| Item::FileFromSeat { seat: SeatId(s) }),
            any::<u64>().prop_map(|s| Item::Assigned { seat: SeatId(s) }),
            Just(Item::Transferred),
            any::<u64>().prop_map(|r| Item::Ended { exit: Exit::Refused(ReasonName(r)) }),
            Just(Item::Ended { exit: Exit::Served }),
            Just(Item::Ended { exit: Exit::Failed }),
        ]
    }

    proptest! {
        #[test]
        fn what_was_added_is_found(items in prop::collection::vec((item(), 0_u64..1 << 40, any::<u64>()), 1..60), after in 0_u32..70) {
            let mut thread = Thread::default();
            let mut at = 0;
            let mut expected = Vec::new();
            for (i, (item, step, position)) in items.into_iter().enumerate() {
                at += step;
                let message = item.has_body();
                let position = message.then_some(position >> 1);
                let n = i as u32 + 1;
                let added = Added {
                    conversation: ConversationId(1), n, at: Timestamp(at), item, body: position, entry: position.unwrap_or(0),
                };
                thread.push(&added);
                expected.push((n, Timestamp(at), item, position));
            }
            let mut bytes = Vec::new();
            thread.encode(&mut bytes);
            let mut read = 0;
            prop_assert_eq!(&Thread::decode(&bytes, &mut read), &Ok(thread.clone()));
            prop_assert_eq!(read, bytes.len());
            let found: Vec<_> = thread.after(after, 20).into_iter().map(|f| (f.n, f.at, f.item, f.position)).collect();
            let wanted: Vec<_> = expected.into_iter().filter(|e| e.0 > after).take(20).collect();
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn any_bytes_decode_or_say_where_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut at = 0;
            if let Ok(thread) = Thread::decode(&bytes, &mut at) {
                thread.after(0, 100);
            }
        }
    }

    #[test]
    fn a_message_takes_about_eight_bytes() {
        let mut thread = Thread::default();
        for n in 1..=100 {
            let position = u64::from(n) * 70_000 + (3 << 32);
            thread.push(&Added {
                conversation: ConversationId(1),
                n,
                at: Timestamp(1_700_000_000_000 + u64::from(n) * 9_000),
                item: Item::FromCustomer,
                body: Some(position),
                entry: position,
            });
        }
        assert!(thread.items.len() < 800, "{}", thread.items.len());
    }

    #[test]
    fn number_one_begins_anew() {
        let mut thread = Thread::default();
        let added =
            |n| Added { conversation: ConversationId(1), n, at: Timestamp(5), item: Item::Transferred, body: None, entry: 0 };
        for n in [1, 2, 3, 1, 2] {
            thread.push(&added(n));
        }
        assert_eq!((thread.head(), thread.after(0, 9).len()), (2, 2));
        let mut at = 0;
        assert!(take::<4>(&[1, 2], &mut at).is_err());
    }
}
