//! Opening a log after any stop: what is whole, what is damaged, what is a torn tail.
//!
//! Order: list the files, read the watermark file and the segments' heads, walk every segment, decide where the log ends.
//! The rule is strict. The durable watermark W is the furthest that anything proves: a later segment's head, a mark, the
//! watermark file. A bad range before W is a hole, named and never cut off. The first bad range at or after W is the end:
//! what stands behind it was never acknowledged and is dropped, because something before it is missing. Good frames between
//! W and the end stay (they may have been acknowledged an instant before the stop).
//!
//! This module only looks; `journal.rs` writes the repairs. It refuses to judge whether damage is acceptable.

use std::sync::Arc;

use crate::disk::{Disk, DiskFile, DiskOp, Named};
use crate::frame::{HEAD_BYTES, Head, Kind, Seal};
use crate::journal::{OpenError, Options, Verify};
use crate::report::{GroupSpan, Hole, HoleCause, Note, Recovery, Suspect, Torn};
use crate::segment::{FIRST_FRAME, HeadFound, Position, Segment, SegmentHead, number_in, segment_name};
use crate::walk::{Step, Walk};
use crate::watermark::{Watermark, WatermarkFile};

/// Everything that looking found.
pub(crate) struct Looked<F> {
    pub recovery: Recovery,
    pub segments: Vec<Arc<Segment<F>>>,
    /// Repairs of single copies of heads.
    pub repairs: Vec<(Arc<Segment<F>>, SegmentHead, usize)>,
    pub watermark_file: Option<WatermarkFile<F>>,
    pub watermark: Watermark,
    /// Names of spares and of left-over temporary files.
    pub spares: Vec<String>,
    pub leftovers: Vec<String>,
    /// How the newest segment can be written on.
    pub tail: Tail,
}

/// The end of the newest segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// There is no segment that could be written on; the next one is numbered so.
    Next { number: u32 },
    /// Write on at `end`, after zeroing what stands up to `zero_to`; `file_bytes` is the file's length.
    WriteOn { end: u32, zero_to: u32, file_bytes: u64 },
}

/// Follows the records of a log in order, so that holes can be given the records they may have held.
#[derive(Debug, Default)]
struct Groups {
    /// Holes seen when the group's last record was read.
    holes_seen: std::collections::BTreeMap<u32, usize>,
}

/// A bad range of the newest segment.
struct Bad {
    offset: u32,
    end: u32,
    head: Option<Head>,
    /// Good frames between this range and the next.
    frames_behind: u32,
}

pub(crate) fn look<D: Disk>(disk: &D, options: &Options) -> Result<Looked<D::File>, OpenError> {
    let names = disk.list().named(DiskOp::List, "the directory")?;
    let found = WatermarkFile::read(disk, &names)?;
    let mut recovery = Recovery::default();
    if found.damaged_slots > 0 {
        recovery.notes.push(Note::WatermarkSlots { damaged: found.damaged_slots });
    }
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| number_in(name, "wal-")).filter(|number| *number > 0).collect();
    numbers.sort_unstable();
    if found.file.is_none() && !numbers.is_empty() {
        recovery.notes.push(Note::WatermarkMissing);
    }
    let watermark = found.value.unwrap_or_default();
    let mut looked = Looked {
        recovery,
        segments: Vec::with_capacity(numbers.len()),
        repairs: Vec::new(),
        watermark_file: found.file,
        watermark,
        spares: names.iter().filter(|name| number_in(name, "spare-").is_some()).cloned().collect(),
        leftovers: names.iter().filter(|name| name.ends_with(".tmp")).cloned().collect(),
        tail: Tail::Next { number: 1 },
    };
    let heads = read_heads(disk, options, &numbers, &mut looked)?;
    set_ends(&looked.segments, &heads);
    // With both slots sound, nothing acknowledged can be behind the watermark but what a power cut kept from the file.
    let sure = found.value.is_some() && found.damaged_slots == 0;
    walk_all(options, &heads, sure, &mut looked)?;
    Ok(looked)
}

fn read_heads<D: Disk>(
    disk: &D,
    options: &Options,
    numbers: &[u32],
    looked: &mut Looked<D::File>,
) -> Result<Vec<Option<SegmentHead>>, OpenError> {
    let mut files = Vec::with_capacity(numbers.len());
    let mut heads = Vec::with_capacity(numbers.len());
    let mut copies = Vec::new();
    for number in numbers {
        let name = segment_name(*number);
        let file = disk.open(&name).named(DiskOp::Open, &name)?;
        let head = match SegmentHead::read(&file, &name, *number)? {
            HeadFound::Whole(head) => Some(head),
            HeadFound::OneCopy(head, copy) => {
                copies.push((files.len(), head, copy));
                looked.recovery.notes.push(Note::HeadCopy { file: name, copy });
                Some(head)
            }
            HeadFound::Newer(found) => {
                return Err(OpenError::Version { file: name, found });
            }
            HeadFound::Damaged => None,
        };
        files.push(file);
        heads.push(head);
    }
    let neighbour = heads.iter().flatten().next().copied();
    for ((number, file), head) in numbers.iter().zip(files).zip(&heads) {
        let salt = head.or(neighbour).map_or(options.salt, |head| head.salt);
        let length = file.len().named(DiskOp::Length, &segment_name(*number))?;
        let bytes = match head {
            Some(head) => head.bytes,
            // The preallocated length; a file cut short as well shows as a hole either way.
            None => u32::try_from(length).unwrap_or(options.segment_bytes),
        };
        let bytes = bytes.clamp(FIRST_FRAME, crate::limits::SEGMENT_CEILING_BYTES);
        let seal = Seal::new(salt, *number);
        looked.segments.push(Arc::new(Segment::new(*number, Arc::new(file), bytes, seal, bytes)));
    }
    for (at, head, copy) in copies {
        looked.repairs.push((Arc::clone(&looked.segments[at]), head, copy));
    }
    Ok(heads)
}

/// A segment ends where its successor's head says; without a sound successor its end is found by walking.
fn set_ends<F>(segments: &[Arc<Segment<F>>], heads: &[Option<SegmentHead>]) {
    for at in 1..segments.len() {
        if let Some(head) = heads[at]
            && head.previous.segment == segments[at - 1].number
            && head.previous.offset <= segments[at - 1].bytes
        {
            segments[at - 1].set_end(head.previous.offset.max(FIRST_FRAME));
        }
    }
}

fn walk_all<F: DiskFile>(
    options: &Options,
    heads: &[Option<SegmentHead>],
    sure: bool,
    looked: &mut Looked<F>,
) -> Result<(), OpenError> {
    let segments = looked.segments.clone();
    let recovery = &mut looked.recovery;
    let watermark = looked.watermark;
    recovery.watermark = watermark.durable;
    let mut groups = Groups::default();
    let mut expected = match watermark.floor {
        0 => segments.first().map_or(watermark.durable.segment, |first| first.number),
        floor => floor,
    };
    recovery.first = Position { segment: segments.first().map_or(expected, |first| first.number), offset: FIRST_FRAME };
    let mut walk = Walk::new(0, 0);
    for (at, segment) in segments.iter().enumerate() {
        missing(recovery, expected, segment.number);
        // A purge that was interrupted leaves segments below the floor: they are read like any other.
        expected = expected.max(segment.number + 1);
        if heads[at].is_none() {
            recovery.hole(Hole {
                position: Position { segment: segment.number, offset: 0 },
                bytes: FIRST_FRAME,
                cause: HoleCause::SegmentHead,
                suspects: Vec::new(),
            });
        }
        let last = at + 1 == segments.len();
        if last && watermark.durable.segment <= segment.number {
            looked.tail = walk_newest(segment, sure, &mut walk, recovery, &mut groups)?;
            if heads[at].is_none() {
                looked.tail = Tail::Next { number: segment.number + 1 };
            }
        } else if options.verify == Verify::Everything || last {
            // The end is known when the next segment is there and its head tells it.
            let next = heads.get(at + 1).copied().flatten();
            let end_known = next.is_some_and(|head| head.previous.segment == segment.number);
            walk_older(segment, end_known, &mut walk, recovery, &mut groups)?;
        }
    }
    if watermark.durable.segment >= expected && expected > 0 {
        missing(recovery, expected, watermark.durable.segment + 1);
        looked.tail = Tail::Next { number: watermark.durable.segment + 1 };
        recovery.end = watermark.durable;
    }
    recovery.watermark = recovery.watermark.max(watermark.durable);
    Ok(())
}

/// Names the segments from `expected` up to `found` that are not there.
fn missing(recovery: &mut Recovery, expected: u32, found: u32) {
    for number in expected.max(1)..found {
        recovery.hole(Hole {
            position: Position { segment: number, offset: 0 },
            bytes: 0,
            cause: HoleCause::SegmentMissing,
            suspects: Vec::new(),
        });
    }
}

fn walk_older<F: DiskFile>(
    segment: &Segment<F>,
    end_known: bool,
    walk: &mut Walk,
    recovery: &mut Recovery,
    groups: &mut Groups,
) -> Result<(), OpenError> {
    walk.restart(FIRST_FRAME, segment.end());
    let mut good_end = FIRST_FRAME;
    loop {
        match walk.step(segment)? {
            Step::Frame { offset, head, .. } => {
                good_end = offset + head.frame_bytes() as u32;
                groups.frame(recovery, segment.number, offset, head);
            }
            Step::Bad { offset, end, head } => {
                // Behind the last good frame of a segment whose end nobody tells, bytes without a head are its unused rest.
                let rest = !end_known && end == segment.end() && head.is_none();
                if rest {
                    segment.set_end(good_end);
                    break;
                }
                groups.bad(recovery, segment.number, &Bad { offset, end, head, frames_behind: 0 });
            }
            Step::End => break,
        }
    }
    recovery.end = Position { segment: segment.number, offset: segment.end() };
    recovery.watermark = recovery.watermark.max(recovery.end);
    Ok(())
}

/// The newest segment twice over: once to learn what its marks prove, once to count what is kept.
fn walk_newest<F: DiskFile>(
    segment: &Segment<F>,
    sure: bool,
    walk: &mut Walk,
    recovery: &mut Recovery,
    groups: &mut Groups,
) -> Result<Tail, OpenError> {
    let file_bytes = segment.file.len().named(DiskOp::Length, &segment.name)?;
    walk.restart(FIRST_FRAME, segment.bytes);
    let start = Position { segment: segment.number, offset: FIRST_FRAME };
    let mut proved = recovery.watermark.max(start);
    let mut bads: Vec<Bad> = Vec::new();
    let mut last_end = FIRST_FRAME;
    let mut marked = start;
    let mut batch_end = FIRST_FRAME;
    loop {
        match walk.step(segment)? {
            Step::Frame { offset, head, .. } => {
                if let Kind::Mark { segment: number, offset: durable, batch_bytes } = head.kind {
                    marked = marked.max(Position { segment: number, offset: durable });
                    batch_end = (offset + HEAD_BYTES as u32).saturating_add(batch_bytes);
                }
                last_end = offset + head.frame_bytes() as u32;
                if let Some(bad) = bads.last_mut() {
                    bad.frames_behind += 1;
                }
            }
            Step::Bad { offset, end, head } => {
                if let Some(head) = head {
                    last_end = offset.saturating_add(head.frame_bytes() as u32).min(segment.bytes);
                }
                bads.push(Bad { offset, end, head, frames_behind: 0 });
            }
            Step::End => break,
        }
    }
    // The file speaks for the very end only when it is as new as the marks: a power cut may have kept its writes back.
    let sure = sure && recovery.watermark >= marked;
    proved = proved.max(marked);
    let proved_here = if proved.segment == segment.number { proved.offset.min(segment.bytes) } else { FIRST_FRAME };
    let tear = bads.iter().position(|bad| bad.end > proved_here).unwrap_or(bads.len());
    let end = bads.get(tear).map_or(segment.bytes, |bad| bad.offset.max(proved_here));
    recovery.watermark = proved;
    count_kept(segment, end, proved_here, walk, recovery, groups)?;
    segment.set_end(end);
    recovery.end = Position { segment: segment.number, offset: end };
    let zero_to = last_end.max(end);
    // A batch that its mark announced longer than what is here is torn too, though the cut may be at a frame's edge.
    let torn_to = zero_to.max(batch_end.min(segment.bytes));
    if torn_to > end {
        recovery.torn = Some(Torn {
            position: recovery.end,
            bytes: torn_to - end,
            frames: bads[tear..].iter().map(|bad| bad.frames_behind).sum(),
            watermark_held: sure,
        });
    }
    if file_bytes < u64::from(segment.bytes) {
        recovery.notes.push(Note::ShortFile { file: segment.name.clone(), bytes: file_bytes });
    }
    Ok(Tail::WriteOn { end, zero_to, file_bytes })
}

fn count_kept<F: DiskFile>(
    segment: &Segment<F>,
    end: u32,
    proved: u32,
    walk: &mut Walk,
    recovery: &mut Recovery,
    groups: &mut Groups,
) -> Result<(), OpenError> {
    walk.restart(FIRST_FRAME, end);
    loop {
        match walk.step(segment)? {
            Step::Frame { offset, head, .. } => groups.frame(recovery, segment.number, offset, head),
            Step::Bad { offset, end: bad_end, head } => {
                let whole_tail = bad_end == end && end == proved && head.is_none();
                groups.bad(recovery, segment.number, &Bad { offset, end: bad_end, head, frames_behind: 0 });
                let place = Position { segment: segment.number, offset };
                if whole_tail && let Some(hole) = recovery.holes.last_mut().filter(|hole| hole.position == place) {
                    hole.cause = HoleCause::BelowWatermark;
                }
            }
            Step::End => return Ok(()),
        }
    }
}

impl Groups {
    fn frame(&mut self, recovery: &mut Recovery, segment: u32, offset: u32, head: Head) {
        let Kind::Record { group, index } = head.kind else {
            return;
        };
        recovery.records += 1;
        let position = Position { segment, offset };
        let holes = recovery.holes.len();
        let span = recovery.groups.entry(group).or_insert(GroupSpan {
            first_index: index,
            last_index: index,
            last_position: position,
            records: 0,
        });
        span.records += 1;
        if holes > 0 {
            let seen = self.holes_seen.insert(group, holes).unwrap_or(0);
            let expected = span.last_index.saturating_add(1);
            if seen < holes && span.records > 1 && index > expected {
                for hole in &mut recovery.holes[seen..] {
                    if hole.cause != HoleCause::FrameBody {
                        hole.suspects.push(Suspect { group, first_index: expected, last_index: index - 1 });
                    }
                }
            }
        }
        span.last_index = index;
        span.last_position = position;
    }

    fn bad(&mut self, recovery: &mut Recovery, segment: u32, bad: &Bad) {
        let mut suspects = Vec::new();
        if let Some(Head { kind: Kind::Record { group, index }, .. }) = bad.head {
            suspects.push(Suspect { group, first_index: index, last_index: index });
        }
        recovery.hole(Hole {
            position: Position { segment, offset: bad.offset },
            bytes: bad.end - bad.offset,
            cause: if bad.head.is_some() { HoleCause::FrameBody } else { HoleCause::FrameHead },
            suspects,
        });
    }
}
