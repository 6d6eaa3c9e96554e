//! Reading events back: a cursor, a page a time, and gaps that are named.
//!
//! Every record names the one before it, so a reader that meets another knows that something is missing, whatever took it:
//! retention, damage, a journal begun late. It is told once ([`Page::gap`]) and goes on behind. A slow reader is never
//! buffered for: it reads the journal at its own pace, and only what retention took is lost to it.
//! It refuses to know kinds and conversations: callers filter.

use super::fact::{Event, EventNo};
use super::record::{self, Record, RecordError};
use super::writer::Index;
use tidegate_journal::{Disk, Journal, Position, ScanError, ScanStep};
use tidegate_model::{Seq, TenantId};

/// Where a reader stands. Begin with [`Cursor::after`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    after: EventNo,
    place: Option<Position>,
}

impl Cursor {
    /// Behind this event.
    #[must_use]
    pub const fn after(no: EventNo) -> Self {
        Self { after: no, place: None }
    }

    /// Everything up to this number was read or told as missing.
    #[must_use]
    pub const fn position(&self) -> EventNo {
        self.after
    }
}

/// What is missing: events behind `from`, up to and with those of entry `upto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The reader had this one.
    pub from: EventNo,
    /// The reader goes on behind this one: nothing later is missing.
    pub oldest: EventNo,
}

/// What one read gave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Events, in order.
    pub events: Vec<Event>,
    /// Behind them something is missing.
    pub gap: Option<Gap>,
    /// Whether there is more to read now.
    pub more: bool,
}

/// Why events could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadEventsError {
    /// The disk failed.
    #[error("the event journal cannot be read")]
    Scan(#[from] ScanError),
    /// A record whose checksum holds and that this program cannot read.
    #[error("entry {seq:?} of the event journal: {source}")]
    Record {
        /// Which.
        seq: Seq,
        /// Why.
        #[source]
        source: RecordError,
    },
}

pub(super) fn page<D: Disk>(
    journal: &Journal<D>,
    index: &Index,
    cursor: &mut Cursor,
    tenant: TenantId,
    (events_max, bytes_max): (usize, usize),
    durable: Seq,
) -> Result<Page, ReadEventsError> {
    let mut page = Page::default();
    // A purge may overtake the place that a cursor remembers, once: then the index says where to begin.
    for _ in 0..3 {
        let floor = index.floor();
        if cursor.after.seq < floor && cursor.place.is_none() {
            let oldest = EventNo::after_entry(floor);
            page.gap = Some(Gap { from: cursor.after, oldest });
            page.more = true;
            cursor.after = oldest;
            return Ok(page);
        }
        let place = cursor.place.unwrap_or_else(|| index.find(cursor.after.seq));
        match fill(journal, place, cursor, tenant, (events_max, bytes_max), durable, &mut page) {
            Err(ReadEventsError::Scan(ScanError::Purged { .. })) if page.events.is_empty() => cursor.place = None,
            Err(ReadEventsError::Scan(ScanError::Purged { .. })) => {
                cursor.place = None;
                page.more = true;
                return Ok(page);
            }
            done => return done.map(|()| page),
        }
    }
    Ok(page)
}

fn fill<D: Disk>(
    journal: &Journal<D>,
    place: Position,
    cursor: &mut Cursor,
    tenant: TenantId,
    (events_max, bytes_max): (usize, usize),
    durable: Seq,
    page: &mut Page,
) -> Result<(), ReadEventsError> {
    let mut scan = journal.scan(place);
    let mut bytes = 0;
    while page.events.len() < events_max && bytes < bytes_max {
        let entry = match scan.step()? {
            None => {
                cursor.place = Some(scan.position());
                // All that was durable when this read began has been seen.
                cursor.after = cursor.after.max(EventNo::after_entry(durable));
                return Ok(());
            }
            // The next record's `previous` tells what it took.
            Some(ScanStep::Hole(_)) => continue,
            Some(ScanStep::Entry(entry)) => entry,
        };
        let seq = Seq(entry.index);
        let record = record::read(entry.payload).map_err(|source| ReadEventsError::Record { seq, source })?;
        let missing = match record {
            Record::Events { previous: from, .. } | Record::Covered { from } => from,
            Record::Gap { .. } => seq,
        };
        if missing > cursor.after.seq {
            let oldest = EventNo::after_entry(missing);
            page.gap = Some(Gap { from: cursor.after, oldest });
            page.more = true;
            cursor.after = oldest;
            cursor.place = Some(entry.position);
            return Ok(());
        }
        bytes += entry.payload.len();
        if let Record::Events { events, .. } = record
            && entry.group == tenant.0
            && seq >= cursor.after.seq
        {
            for event in record::events(events, tenant, seq) {
                let event = event.map_err(|source| ReadEventsError::Record { seq, source })?;
                if event.no > cursor.after {
                    page.events.push(event);
                }
            }
        }
        cursor.after = cursor.after.max(EventNo::after_entry(seq));
        cursor.place = Some(entry.next);
    }
    page.more = true;
    Ok(())
}
