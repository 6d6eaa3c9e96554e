//! The event journal's records: all events of one entry in one record, checked as it is read.
//!
//! ```text
//! version u8 = 1 | kind u8 | previous u64 | at u64 | events       group = tenant, index = entry   (kind 1)
//! version u8 = 1 | kind u8 | from u64                             group = 0, index = entry       (kind 2 covered, 3 gap)
//! events := postcard of (index u32, at u64, Fact), one after the other
//! ```
//!
//! `previous` is the entry of the record before: a reader that sees another one knows that something is missing between.
//! *Covered* says that no entry up to its index has events that are not in the journal; *gap* says that those behind `from`
//! up to its index are lost. Decoding is total: any bytes give events or an error.

use super::fact::{Event, EventNo, Fact};
use tidegate_model::{Seq, TenantId, Timestamp};

const VERSION: u8 = 1;
const EVENTS: u8 = 1;
const COVERED: u8 = 2;
const GAP: u8 = 3;
const HEAD_BYTES: usize = 18;

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    /// Events of one entry.
    Events { previous: Seq, at: Timestamp, events: &'a [u8] },
    /// Nothing is missing up to the record's index; the record before is `from`.
    Covered { from: Seq },
    /// Events behind `from` are lost.
    Gap { from: Seq },
}

/// Bytes that are no record of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Too short.
    #[error("an event record ends early")]
    Short,
    /// Another version or kind.
    #[error("an event record of version {version}, kind {kind}; this program reads version {VERSION}")]
    Version {
        /// Its version.
        version: u8,
        /// Its kind.
        kind: u8,
    },
    /// An event that cannot be read.
    #[error("an event record cannot be read {left} bytes before its end")]
    Event {
        /// Bytes left from where it stops being readable.
        left: usize,
    },
}

/// Begins a record of events; events follow by [`push`].
pub(crate) fn begin(out: &mut Vec<u8>, at: Timestamp) {
    out.extend_from_slice(&[VERSION, EVENTS]);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&at.0.to_le_bytes());
}

/// Adds an event.
pub(crate) fn push(out: &mut Vec<u8>, event: &Event) {
    let start = out.len();
    match postcard::to_extend(&(event.no.index, event.at.0, &event.fact), std::mem::take(out)) {
        Ok(grown) => *out = grown,
        // A fact has neither maps nor sequences of unknown length, the only things that postcard refuses, and a vector grows.
        Err(error) => unreachable!("an event of {} bytes so far cannot be encoded: {error}", start),
    }
}

/// Writes the record before into a record that [`begin`] began at the buffer's start.
pub(crate) fn set_previous(record: &mut [u8], previous: Seq) {
    record[2..10].copy_from_slice(&previous.0.to_le_bytes());
}

/// A record without events.
pub(crate) fn note(is_gap: bool, from: Seq) -> Vec<u8> {
    let mut out = vec![VERSION, if is_gap { GAP } else { COVERED }];
    out.extend_from_slice(&from.0.to_le_bytes());
    out
}

/// Reads a record's head.
pub(crate) fn read(bytes: &[u8]) -> Result<Record<'_>, RecordError> {
    let (&version, &kind) = (bytes.first().ok_or(RecordError::Short)?, bytes.get(1).ok_or(RecordError::Short)?);
    let word = |at: usize| {
        let slice = bytes.get(at..at + 8).ok_or(RecordError::Short)?;
        let mut word = [0; 8];
        word.copy_from_slice(slice);
        Ok(u64::from_le_bytes(word))
    };
    match (version, kind) {
        (VERSION, EVENTS) => Ok(Record::Events {
            previous: Seq(word(2)?),
            at: Timestamp(word(10)?),
            events: bytes.get(HEAD_BYTES..).ok_or(RecordError::Short)?,
        }),
        (VERSION, COVERED) if bytes.len() == 10 => Ok(Record::Covered { from: Seq(word(2)?) }),
        (VERSION, GAP) if bytes.len() == 10 => Ok(Record::Gap { from: Seq(word(2)?) }),
        _ => Err(RecordError::Version { version, kind }),
    }
}

/// Reads the events of a record behind its head.
pub(crate) fn events(mut bytes: &[u8], tenant: TenantId, seq: Seq) -> impl Iterator<Item = Result<Event, RecordError>> + '_ {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let left = bytes.len();
        match postcard::take_from_bytes::<(u32, u64, Fact)>(bytes) {
            Ok(((index, at, fact), rest)) => {
                bytes = rest;
                Some(Ok(Event { no: EventNo { seq, index }, tenant, at: Timestamp(at), fact }))
            }
            Err(_) => {
                bytes = &[];
                Some(Err(RecordError::Event { left }))
            }
        }
    })
}

/// The bytes of a record with these events of one entry, as the journal holds them; for tests, tools and fuzzing.
#[must_use]
pub fn encode(previous: Seq, at: Timestamp, list: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    begin(&mut out, at);
    for event in list {
        push(&mut out, event);
    }
    set_previous(&mut out, previous);
    out
}

/// The events of a record; none for one without. Total: any bytes give an answer.
///
/// # Errors
/// [`RecordError`].
pub fn decode(bytes: &[u8], tenant: TenantId, seq: Seq) -> Result<Vec<Event>, RecordError> {
    match read(bytes)? {
        Record::Events { events: list, .. } => events(list, tenant, seq).collect(),
        Record::Covered { .. } | Record::Gap { .. } => Ok(Vec::new()),
    }
}
