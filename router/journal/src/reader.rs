//! Reading: single records by position, and scans in order; every frame is checked at every read.
//!
//! A [`Reader`] serves transcript look-ups from any thread while the writer appends; it shows nothing that is not durable.
//! A [`Scan`] replays from a position up to what was durable when it was made; what it cannot read it names as a hole and
//! goes on behind it. Neither changes anything. [`Scan::step`] lends each payload without copying it (a million records of
//! 256 bytes in a fraction of a second); the iterator copies.

use std::sync::{Arc, PoisonError};

use crate::disk::{Disk, DiskFault, DiskFile, DiskOp, Named};
use crate::frame::{self, Found, HEAD_BYTES, Kind};
use crate::journal::Shared;
use crate::report::{Hole, HoleCause, Suspect};
use crate::segment::{FIRST_FRAME, Position, Segment};
use crate::walk::{Step, Walk};

/// Bytes read at first for a single record: most records need no second read.
const FIRST_READ_BYTES: usize = 2048;

/// A record read back, with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// Behind it: where a scan goes on.
    pub next: Position,
    /// The group.
    pub group: u32,
    /// The index within the group.
    pub index: u64,
    /// The bytes.
    pub payload: Vec<u8>,
}

/// A record lent by a scan until its next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryRef<'a> {
    /// Where it stands.
    pub position: Position,
    /// Behind it: where a scan goes on.
    pub next: Position,
    /// The group.
    pub group: u32,
    /// The index within the group.
    pub index: u64,
    /// The bytes.
    pub payload: &'a [u8],
}

/// What a scan lends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanStep<'a> {
    /// A record.
    Entry(EntryRef<'a>),
    /// Something that cannot be read.
    Hole(Hole),
}

/// What a scan's iterator gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scanned {
    /// A record.
    Entry(Entry),
    /// Something that cannot be read.
    Hole(Hole),
}

/// Why a record was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskFault),
    /// No sync covers the position yet.
    #[error("position {position} is not durable yet (the journal is up to {durable})")]
    NotDurable {
        /// What was asked.
        position: Position,
        /// What is durable.
        durable: Position,
    },
    /// The segment was given back by a purge.
    #[error("position {position} was purged: segment {} is not kept any more", position.segment)]
    Purged {
        /// What was asked.
        position: Position,
    },
    /// What stands there does not check.
    #[error("position {}: {hole}", hole.position)]
    Damaged {
        /// The damage.
        hole: Hole,
    },
    /// A mark of the journal's own stands there, not a record.
    #[error("position {position} holds no record")]
    NoRecord {
        /// What was asked.
        position: Position,
    },
}

/// Why a scan ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskFault),
    /// The scan was to start at (or was overtaken by a purge of) records that are not kept any more.
    #[error("position {position} was purged; the first segment kept is {first}")]
    Purged {
        /// Where the scan stood.
        position: Position,
        /// The first segment that is kept.
        first: u32,
    },
}

/// Reads single records; clones share the journal.
pub struct Reader<D: Disk> {
    shared: Arc<Shared<D>>,
}

impl<D: Disk> Clone for Reader<D> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<D: Disk> Reader<D> {
    pub(crate) fn new(shared: Arc<Shared<D>>) -> Self {
        Self { shared }
    }

    /// The record at a position that an append or a scan gave. One read of the disk, two above 2 KiB.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read_at(&self, position: Position) -> Result<Entry, ReadError> {
        let durable = self.shared.durable();
        if position >= durable {
            return Err(ReadError::NotDurable { position, durable });
        }
        let Some(segment) = self.segment(position.segment) else {
            return Err(ReadError::Purged { position });
        };
        match read_frame(&segment, position)? {
            Ok(entry) => Ok(entry),
            // A purge may have recycled the file between the look-up and the read.
            Err(_) if self.segment(position.segment).is_none() => Err(ReadError::Purged { position }),
            Err(other) => Err(other),
        }
    }

    fn segment(&self, number: u32) -> Option<Arc<Segment<D::File>>> {
        let segments = self.shared.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.get(&number).map(Arc::clone)
    }
}

fn read_frame<F: DiskFile>(segment: &Segment<F>, position: Position) -> Result<Result<Entry, ReadError>, DiskFault> {
    let mut bytes = vec![0; FIRST_READ_BYTES];
    let offset = u64::from(position.offset);
    let damaged = |cause, bytes: usize, suspects| {
        Ok(Err(ReadError::Damaged { hole: Hole { position, bytes: bytes as u32, cause, suspects } }))
    };
    if position.offset < FIRST_FRAME || position.offset >= segment.end() {
        return Ok(Err(ReadError::NoRecord { position }));
    }
    let mut count = segment.file.read_full_at(&mut bytes, offset).named(DiskOp::Read, &segment.name)?;
    let mut found = frame::inspect(&bytes[..count], position.offset, segment.seal);
    if let Found::Short(head, whole) = found {
        // The head's checksum held, and its writer kept to the ceiling; a segment bounds it all the same.
        if whole > segment.bytes as usize {
            return damaged(HoleCause::FrameBody, whole, suspect(head.kind));
        }
        bytes.resize(whole, 0);
        let more = segment.file.read_full_at(&mut bytes[count..], offset + count as u64).named(DiskOp::Read, &segment.name)?;
        count += more;
        found = frame::inspect(&bytes[..count], position.offset, segment.seal);
    }
    match found {
        Found::Good(head) => {
            let Kind::Record { group, index } = head.kind else {
                return Ok(Err(ReadError::NoRecord { position }));
            };
            bytes.truncate(HEAD_BYTES + head.length as usize);
            bytes.drain(..HEAD_BYTES);
            Ok(Ok(Entry { position, next: behind(position, head.frame_bytes()), group, index, payload: bytes }))
        }
        Found::BadBody(head) | Found::Short(head, _) => damaged(HoleCause::FrameBody, head.frame_bytes(), suspect(head.kind)),
        Found::BadHead => damaged(HoleCause::FrameHead, HEAD_BYTES, Vec::new()),
    }
}

fn suspect(kind: Kind) -> Vec<Suspect> {
    match kind {
        Kind::Record { group, index } => vec![Suspect { group, first_index: index, last_index: index }],
        Kind::Mark { .. } => Vec::new(),
    }
}

fn behind(position: Position, bytes: usize) -> Position {
    Position { segment: position.segment, offset: position.offset.saturating_add(bytes as u32) }
}

/// A scan in log order.
pub struct Scan<D: Disk> {
    shared: Arc<Shared<D>>,
    at: Position,
    limit: Position,
    current: Option<Arc<Segment<D::File>>>,
    walk: Walk,
    over: bool,
    bytes_read: u64,
}

impl<D: Disk> Scan<D> {
    pub(crate) fn new(shared: Arc<Shared<D>>, from: Position) -> Self {
        let limit = shared.durable();
        Self { shared, at: from, limit, current: None, walk: Walk::new(0, 0), over: false, bytes_read: 0 }
    }

    /// Where the next step starts; a scan from here goes on.
    #[must_use]
    pub fn position(&self) -> Position {
        self.at
    }

    /// Where this scan ends.
    #[must_use]
    pub fn limit(&self) -> Position {
        self.limit
    }

    /// Bytes of frames and holes gone over so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The next record or hole; `None` at the end, and after an error.
    ///
    /// # Errors
    /// See [`ScanError`].
    pub fn step(&mut self) -> Result<Option<ScanStep<'_>>, ScanError> {
        while !self.over {
            if self.current.is_none()
                && let Some(hole) = self.enter()?
            {
                return Ok(Some(ScanStep::Hole(hole)));
            }
            let Some(segment) = self.current.as_deref() else {
                break;
            };
            let number = segment.number;
            let before = self.walk.at();
            // The borrow checker cannot yet let a lent payload leave a loop that goes on without it: look first, lend after.
            let seen = match self.walk.step(segment) {
                Ok(Step::Frame { offset, head, payload }) => {
                    let position = Position { segment: number, offset };
                    self.at = behind(position, head.frame_bytes());
                    self.bytes_read += head.frame_bytes() as u64;
                    match head.kind {
                        Kind::Mark { .. } => continue,
                        Kind::Record { group, index } => Seen::Record { position, group, index, length: payload.len() },
                    }
                }
                Ok(Step::Bad { offset, end, head }) => {
                    let position = Position { segment: number, offset };
                    self.at = Position { segment: number, offset: end };
                    self.bytes_read += u64::from(end - offset);
                    Seen::Hole(Hole {
                        position,
                        bytes: end - offset,
                        cause: if head.is_some() { HoleCause::FrameBody } else { HoleCause::FrameHead },
                        suspects: head.map_or_else(Vec::new, |head| suspect(head.kind)),
                    })
                }
                Ok(Step::End) => {
                    self.leave(number);
                    continue;
                }
                Err(fault) => {
                    self.over = true;
                    return Err(fault.into());
                }
            };
            return match seen {
                Seen::Hole(hole) => {
                    if self.recycled(number) {
                        self.over = true;
                        return Err(self.purged(Position { segment: number, offset: before }));
                    }
                    Ok(Some(ScanStep::Hole(hole)))
                }
                Seen::Record { position, group, index, length } => Ok(Some(ScanStep::Entry(EntryRef {
                    position,
                    next: self.at,
                    group,
                    index,
                    payload: self.walk.last_payload(position.offset, length),
                }))),
            };
        }
        Ok(None)
    }

    /// Opens the segment that the scan stands in; a hole when it is not there though later ones are.
    fn enter(&mut self) -> Result<Option<Hole>, ScanError> {
        let segments = self.shared.segments.read().unwrap_or_else(PoisonError::into_inner);
        if self.at >= self.limit {
            self.over = true;
            return Ok(None);
        }
        let Some(first) = segments.keys().next().copied() else {
            self.over = true;
            return Ok(None);
        };
        if self.at.segment == 0 {
            self.at = Position { segment: first, offset: FIRST_FRAME };
        }
        if self.at.segment < first {
            self.over = true;
            return Err(ScanError::Purged { position: self.at, first });
        }
        let Some(segment) = segments.get(&self.at.segment).map(Arc::clone) else {
            let hole = Hole {
                position: Position { segment: self.at.segment, offset: 0 },
                bytes: 0,
                cause: HoleCause::SegmentMissing,
                suspects: Vec::new(),
            };
            drop(segments);
            self.leave(self.at.segment);
            return Ok(Some(hole));
        };
        drop(segments);
        let end = if segment.number == self.limit.segment { self.limit.offset.min(segment.end()) } else { segment.end() };
        self.walk.restart(self.at.offset.max(FIRST_FRAME), end);
        self.current = Some(segment);
        Ok(None)
    }

    fn leave(&mut self, number: u32) {
        self.current = None;
        self.at = Position { segment: number + 1, offset: FIRST_FRAME };
        if number >= self.limit.segment {
            self.at = self.limit;
            self.over = true;
        }
    }

    fn recycled(&self, number: u32) -> bool {
        let segments = self.shared.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.keys().next().is_some_and(|first| *first > number)
    }

    fn purged(&self, position: Position) -> ScanError {
        let segments = self.shared.segments.read().unwrap_or_else(PoisonError::into_inner);
        ScanError::Purged { position, first: segments.keys().next().copied().unwrap_or(0) }
    }
}

enum Seen {
    Record { position: Position, group: u32, index: u64, length: usize },
    Hole(Hole),
}

impl<D: Disk> Iterator for Scan<D> {
    type Item = Result<Scanned, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.step() {
            Ok(Some(ScanStep::Entry(entry))) => Some(Ok(Scanned::Entry(Entry {
                position: entry.position,
                next: entry.next,
                group: entry.group,
                index: entry.index,
                payload: entry.payload.to_vec(),
            }))),
            Ok(Some(ScanStep::Hole(hole))) => Some(Ok(Scanned::Hole(hole))),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
