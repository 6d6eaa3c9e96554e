//! A segment: one preallocated file of frames behind a page with its head, written twice; and positions in it.
//!
//! The head says which segment this is, under which salt, and where the segment before it ended: a roll is the proof that
//! the earlier one was durable up to there. A damaged copy of the head is repaired from the other; both damaged is reported,
//! and the frames are still read, because number (file name) and salt (neighbours) make the seal. Numbers only grow, so a
//! recycled file never shows the frames of its former life. It refuses to know what frames hold.
//!
//! ```text
//! 0 magic 8 | 8 version u16 | 10 zero u16 | 12 segment u32 | 16 salt u64 | 24 bytes u32 | 28 former u32
//! 32 previous segment u32 | 36 previous end u32 | 40 zero 20 | 60 crc u32
//! ```

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::disk::{DiskFault, DiskFile, DiskOp, Named};
use crate::frame::Seal;

/// The version of segments that this code writes, and the newest that it reads.
pub(crate) const FORMAT_VERSION: u16 = 1;

/// Where the first frame of a segment stands.
pub(crate) const FIRST_FRAME: u32 = 4096;

const HEAD_COPIES: [u64; 2] = [0, 2048];
const HEAD_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"TGWALSEG";

/// A place in the journal: a segment and an offset of a frame in it. Ordered as the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The segment's number, from 1 up; 0 stands before everything.
    pub segment: u32,
    /// The offset in the segment's file, in bytes.
    pub offset: u32,
}

impl Position {
    /// Before every record: a scan from here starts at the first segment that is still kept.
    pub const START: Self = Self { segment: 0, offset: 0 };

    /// A position in eight bytes, ordered as positions are.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        ((self.segment as u64) << 32) | self.offset as u64
    }

    /// The position that [`Position::to_bits`] gave.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self { segment: (bits >> 32) as u32, offset: bits as u32 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.segment, self.offset)
    }
}

/// The name of a segment's file.
pub(crate) fn segment_name(number: u32) -> String {
    format!("wal-{number:08x}.seg")
}

/// The name of a spare's file.
pub(crate) fn spare_name(number: u32) -> String {
    format!("spare-{number:08x}.seg")
}

/// The number in a file's name of the given prefix, when it is exactly such a name.
pub(crate) fn number_in(name: &str, prefix: &str) -> Option<u32> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(".seg")?;
    if digits.len() != 8 || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    u32::from_str_radix(digits, 16).ok()
}

/// What the first page of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    pub number: u32,
    pub salt: u64,
    pub bytes: u32,
    /// The number of the file's former life; 0 when it was new.
    pub former: u32,
    /// Where the segment before ended.
    pub previous: Position,
}

/// What was found of a segment's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadFound {
    /// Both copies hold.
    Whole(SegmentHead),
    /// One copy holds; the index of the other is given.
    OneCopy(SegmentHead, usize),
    /// Written by a later version.
    Newer(u16),
    /// Neither holds.
    Damaged,
}

impl SegmentHead {
    fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.salt.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.former.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.previous.segment.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.previous.offset.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `Err` holds the version when the copy is sound but newer than this code.
    fn decode(bytes: &[u8; HEAD_BYTES]) -> Result<Option<Self>, u16> {
        let word = |at: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(word)
        };
        if &bytes[..8] != MAGIC || word(60) != crc32c::crc32c(&bytes[..60]) {
            return Ok(None);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version > FORMAT_VERSION {
            return Err(version);
        }
        Ok(Some(Self {
            number: word(12),
            salt: u64::from(word(16)) | (u64::from(word(20)) << 32),
            bytes: word(24),
            former: word(28),
            previous: Position { segment: word(32), offset: word(36) },
        }))
    }

    /// Writes both copies; the caller syncs.
    pub fn write(&self, file: &impl DiskFile, name: &str) -> Result<(), DiskFault> {
        for at in HEAD_COPIES {
            file.write_all_at(&self.encode(), at).named(DiskOp::Write, name)?;
        }
        Ok(())
    }

    /// Writes one copy; the caller syncs.
    pub fn write_copy(&self, copy: usize, file: &impl DiskFile, name: &str) -> Result<(), DiskFault> {
        file.write_all_at(&self.encode(), HEAD_COPIES[copy]).named(DiskOp::Write, name)
    }

    /// Reads the head of segment `number`.
    pub fn read(file: &impl DiskFile, name: &str, number: u32) -> Result<HeadFound, DiskFault> {
        let mut copies = [None; 2];
        for (copy, at) in copies.iter_mut().zip(HEAD_COPIES) {
            let mut bytes = [0; HEAD_BYTES];
            file.read_full_at(&mut bytes, at).named(DiskOp::Read, name)?;
            match Self::decode(&bytes) {
                Ok(head) => *copy = head.filter(|head| head.number == number),
                Err(version) => return Ok(HeadFound::Newer(version)),
            }
        }
        Ok(match copies {
            [Some(first), Some(_)] => HeadFound::Whole(first),
            [Some(first), None] => HeadFound::OneCopy(first, 1),
            [None, Some(second)] => HeadFound::OneCopy(second, 0),
            [None, None] => HeadFound::Damaged,
        })
    }
}

/// An open segment, shared by the writer, readers and the purge.
#[derive(Debug)]
pub(crate) struct Segment<F> {
    pub number: u32,
    pub name: String,
    pub file: Arc<F>,
    pub bytes: u32,
    pub seal: Seal,
    /// Where its frames end; the capacity while it is the one being written.
    end: AtomicU32,
}

impl<F> Segment<F> {
    pub fn new(number: u32, file: Arc<F>, bytes: u32, seal: Seal, end: u32) -> Self {
        Self { number, name: segment_name(number), file, bytes, seal, end: AtomicU32::new(end) }
    }

    pub fn end(&self) -> u32 {
        self.end.load(Ordering::Acquire)
    }

    pub fn set_end(&self, end: u32) {
        self.end.store(end, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::{Position, SegmentHead, number_in, segment_name};

    #[test]
    fn names_read_back_and_others_do_not() {
        assert_eq!(number_in(&segment_name(0xabc), "wal-"), Some(0xabc));
        for name in ["wal-1.seg", "wal-0000000A.seg", "wal-00000001.tmp", "wal--0000001.seg", "wal-+0000001.seg"] {
            assert_eq!(number_in(name, "wal-"), None, "{name}");
        }
    }

    #[test]
    fn positions_pack_in_order() {
        let early = Position { segment: 1, offset: u32::MAX };
        let late = Position { segment: 2, offset: 0 };
        assert!(early < late && early.to_bits() < late.to_bits());
        assert_eq!(Position::from_bits(early.to_bits()), early);
    }

    #[test]
    fn every_flipped_bit_of_a_head_is_seen() {
        let head = SegmentHead { number: 3, salt: 9, bytes: 1 << 20, former: 1, previous: early() };
        let bytes = head.encode();
        assert_eq!(SegmentHead::decode(&bytes), Ok(Some(head)));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHead::decode(&bad), Ok(None), "bit {bit}");
        }
    }

    fn early() -> Position {
        Position { segment: 2, offset: 5000 }
    }
}
