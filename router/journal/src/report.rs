//! What the journal says about a log: holes by name, a torn tail, repairs, and the spans of its groups.
//!
//! A report decides nothing: what a caller does about a hole (refuse, read only, rejoin as a learner) is the caller's
//! policy, set by [`OnDamage`](crate::OnDamage). Every type prints itself in one line for a log or a terminal.

use std::collections::BTreeMap;
use std::fmt;

use crate::limits::HOLES_NAMED;
use crate::segment::{Position, segment_name};

/// Why bytes could not be read as frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HoleCause {
    /// Both copies of the segment's head are damaged.
    SegmentHead,
    /// The segment's file is not there.
    SegmentMissing,
    /// No frame's head checks here.
    FrameHead,
    /// The head checks, the body does not: the record is known by name.
    FrameBody,
    /// The log ends before the durable watermark: its tail was cut off or overwritten.
    BelowWatermark,
}

impl fmt::Display for HoleCause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::SegmentHead => "both copies of the segment's head are damaged",
            Self::SegmentMissing => "the segment's file is missing",
            Self::FrameHead => "no frame's head checks here",
            Self::FrameBody => "a frame's body does not match its checksum",
            Self::BelowWatermark => "the log ends before the durable watermark",
        })
    }
}

/// Records that a hole may have held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspect {
    /// The group.
    pub group: u32,
    /// The first index that may be gone.
    pub first_index: u64,
    /// The last index that may be gone.
    pub last_index: u64,
}

/// A part of the log that cannot be read though it was durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// Where it starts.
    pub position: Position,
    /// Its bytes; 0 when unknown (a missing segment).
    pub bytes: u32,
    /// Why.
    pub cause: HoleCause,
    /// The records it may have held, as far as the frame's head or the neighbours' indices tell.
    pub suspects: Vec<Suspect>,
}

impl Hole {
    /// The name of the file that holds it.
    #[must_use]
    pub fn file(&self) -> String {
        segment_name(self.position.segment)
    }
}

impl fmt::Display for Hole {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}, offset {}, {} bytes: {}", self.file(), self.position.offset, self.bytes, self.cause)?;
        for suspect in &self.suspects {
            write!(out, "; group {} index {}..={}", suspect.group, suspect.first_index, suspect.last_index)?;
        }
        Ok(())
    }
}

/// What stood behind the durable watermark and was cut off at open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn {
    /// Where the log now ends.
    pub position: Position,
    /// Bytes from there to the last frame that was dropped.
    pub bytes: u32,
    /// Whole frames dropped, because bytes before them are missing.
    pub frames: u32,
    /// Whether the watermark file was sound and as new as the marks in the log. Then nothing here was acknowledged, unless a
    /// power cut had kept the file's last writes back *and* something besides the cut damaged the tail.
    pub watermark_held: bool,
}

impl fmt::Display for Torn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "torn tail cut off at {} of {}: {} bytes, {} whole frames behind the tear",
            self.position.offset,
            segment_name(self.position.segment),
            self.bytes,
            self.frames
        )?;
        if !self.watermark_held {
            out.write_str(
                "; the watermark file is missing, damaged or older than the log, so acknowledged records may be among them",
            )?;
        }
        Ok(())
    }
}

/// Something worth saying that lost no record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// One copy of a segment's head was damaged; repaired from the other (unless read-only).
    HeadCopy {
        /// The file.
        file: String,
        /// Which copy.
        copy: usize,
    },
    /// Slots of the watermark file were damaged.
    WatermarkSlots {
        /// How many of the two.
        damaged: usize,
    },
    /// The watermark file is not there though segments are.
    WatermarkMissing,
    /// The newest segment's file was shorter than it was made, behind the end of the log.
    ShortFile {
        /// The file.
        file: String,
        /// Its length in bytes.
        bytes: u64,
    },
    /// A spare or a half-written file was removed.
    Removed {
        /// The file.
        file: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeadCopy { file, copy } => {
                write!(out, "{file}: copy {copy} of the segment's head is damaged, the other holds")
            }
            Self::WatermarkSlots { damaged } => {
                write!(out, "watermark: {damaged} of 2 slots are damaged")
            }
            Self::WatermarkMissing => out.write_str("watermark: the file is missing"),
            Self::ShortFile { file, bytes } => {
                write!(out, "{file}: cut to {bytes} bytes behind the end of the log")
            }
            Self::Removed { file } => write!(out, "{file}: left over, removed"),
        }
    }
}

/// What is known of one group's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupSpan {
    /// The index of the first record still kept.
    pub first_index: u64,
    /// The index of the last record.
    pub last_index: u64,
    /// Where the last record stands.
    pub last_position: Position,
    /// Records read.
    pub records: u64,
}

/// What opening a journal found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Where the first kept record may stand.
    pub first: Position,
    /// Where the log ends.
    pub end: Position,
    /// Everything before was proved durable by a mark, a segment's head or the watermark file.
    pub watermark: Position,
    /// Good records read (of the newest segment only, under [`Verify::Tail`](crate::Verify::Tail)).
    pub records: u64,
    /// Damage before the watermark, the first [`HOLES_NAMED`] one by one.
    pub holes: Vec<Hole>,
    /// How many holes there are in all.
    pub holes_total: usize,
    /// The unacknowledged tail that was cut off, if any was seen. A tear that left nothing of this segment's life behind
    /// leaves no trace, and lost nothing that was acknowledged.
    pub torn: Option<Torn>,
    /// Repairs and left-overs.
    pub notes: Vec<Note>,
    /// The groups seen.
    pub groups: BTreeMap<u32, GroupSpan>,
}

impl Recovery {
    /// Whether nothing durable is missing.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.holes_total == 0
    }

    pub(crate) fn hole(&mut self, hole: Hole) {
        self.holes_total += 1;
        if self.holes.len() < HOLES_NAMED {
            self.holes.push(hole);
        }
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} records in {} groups, {}..{}", self.records, self.groups.len(), self.first, self.end)?;
        for hole in &self.holes {
            write!(out, "\nhole: {hole}")?;
        }
        if self.holes_total > self.holes.len() {
            write!(out, "\nand {} holes more", self.holes_total - self.holes.len())?;
        }
        if let Some(torn) = &self.torn {
            write!(out, "\n{torn}")?;
        }
        for note in &self.notes {
            write!(out, "\nnote: {note}")?;
        }
        Ok(())
    }
}
