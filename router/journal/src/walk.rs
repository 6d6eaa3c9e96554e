//! Walking over a segment's frames in order, through a window, resynchronising after what does not check.
//!
//! Recovery, scans and the scrubber all walk here, so that "checked at every read" has one meaning. A walk yields good
//! frames and bad ranges that together cover its part of the segment without a gap; it refuses to judge whether a bad range
//! is damage or a tail. Bytes beyond a file's end count as bad. Reads are [`SCAN_WINDOW_BYTES`] at a time; a frame longer
//! than the window grows it, up to the limit on payloads.

use crate::disk::{DiskFault, DiskFile, DiskOp, Named};
use crate::frame::{self, ALIGN, Found, HEAD_BYTES, Head};
use crate::limits::{PAYLOAD_CEILING_BYTES, SCAN_WINDOW_BYTES};
use crate::segment::Segment;

/// What comes next in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// A good frame.
    Frame { offset: u32, head: Head, payload: &'a [u8] },
    /// Bytes that are no good frame, up to `end`; the head is there when it alone checks.
    Bad { offset: u32, end: u32, head: Option<Head> },
    /// The end of the walk's part.
    End,
}

enum Look {
    Good(Head),
    Bad { end: u32, head: Option<Head> },
}

/// A walk over a part of one segment.
#[derive(Debug)]
pub(crate) struct Walk {
    at: u32,
    end: u32,
    window: Vec<u8>,
    window_at: u32,
    window_bytes: usize,
}

impl Walk {
    /// A walk from `at` up to `end`, both offsets of frames.
    pub fn new(at: u32, end: u32) -> Self {
        Self { at, end, window: Vec::new(), window_at: 0, window_bytes: 0 }
    }

    /// Where the next step starts.
    pub fn at(&self) -> u32 {
        self.at
    }

    /// Starts again elsewhere, keeping the memory.
    pub fn restart(&mut self, at: u32, end: u32) {
        self.at = at;
        self.end = end;
        self.window_bytes = 0;
    }

    /// The next frame or bad range.
    pub fn step<F: DiskFile>(&mut self, segment: &Segment<F>) -> Result<Step<'_>, DiskFault> {
        if self.at >= self.end {
            return Ok(Step::End);
        }
        let offset = self.at;
        match self.look(segment)? {
            Look::Good(head) => {
                self.at = offset + head.frame_bytes() as u32;
                let from = (offset - self.window_at) as usize;
                Ok(Step::Frame { offset, head, payload: frame::payload(&self.window[from..], head) })
            }
            Look::Bad { end, head } => {
                self.at = end;
                Ok(Step::Bad { offset, end, head })
            }
        }
    }

    /// The payload of the frame at `offset` that the last step found good.
    pub fn last_payload(&self, offset: u32, length: usize) -> &[u8] {
        let from = (offset - self.window_at) as usize + HEAD_BYTES;
        &self.window[from..from + length]
    }

    fn look<F: DiskFile>(&mut self, segment: &Segment<F>) -> Result<Look, DiskFault> {
        let offset = self.at;
        let end = self.end;
        let mut found = frame::inspect(self.bytes(segment, offset, HEAD_BYTES)?, offset, segment.seal);
        if let Found::Short(head, whole) = found {
            let limit = (end - offset) as usize;
            if whole > limit || head.length > PAYLOAD_CEILING_BYTES {
                return Ok(Look::Bad { end, head: Some(head) });
            }
            found = frame::inspect(self.bytes(segment, offset, whole)?, offset, segment.seal);
        }
        Ok(match found {
            Found::Good(head) => Look::Good(head),
            Found::BadBody(head) => Look::Bad { end: offset + head.frame_bytes() as u32, head: Some(head) },
            // Still short: the file ends inside the frame, and what was behind it is another bad range.
            Found::Short(head, whole) => Look::Bad { end: offset.saturating_add(whole as u32).min(end), head: Some(head) },
            Found::BadHead => Look::Bad { end: self.next_head(segment, offset)?, head: None },
        })
    }

    /// The next good head behind `offset`, or the end.
    fn next_head<F: DiskFile>(&mut self, segment: &Segment<F>, offset: u32) -> Result<u32, DiskFault> {
        let end = self.end;
        let mut at = offset + ALIGN as u32;
        while at + (HEAD_BYTES as u32) <= end {
            let bytes = self.bytes(segment, at, HEAD_BYTES)?;
            if bytes.len() < HEAD_BYTES {
                break;
            }
            if let Some(found) = frame::find_head(bytes, at, segment.seal) {
                return Ok(at + found as u32);
            }
            let searched = (bytes.len() - HEAD_BYTES) / ALIGN * ALIGN + ALIGN;
            at += searched as u32;
        }
        Ok(end)
    }

    /// The bytes at `at`: at least `wanted` unless the part or the file ends, and whatever else the window holds.
    fn bytes<F: DiskFile>(&mut self, segment: &Segment<F>, at: u32, wanted: usize) -> Result<&[u8], DiskFault> {
        let wanted = wanted.min((self.end - at) as usize);
        let held_end = self.window_at as usize + self.window_bytes;
        let inside = self.window_bytes > 0 && at >= self.window_at && at as usize + wanted <= held_end;
        if !inside {
            let size = wanted.max(SCAN_WINDOW_BYTES).min((self.end - at) as usize);
            if self.window.len() < size {
                self.window.resize(size, 0);
            }
            self.window_bytes =
                segment.file.read_full_at(&mut self.window[..size], u64::from(at)).named(DiskOp::Read, &segment.name)?;
            self.window_at = at;
        }
        let from = (at - self.window_at) as usize;
        Ok(&self.window[from.min(self.window_bytes)..self.window_bytes])
    }
}
