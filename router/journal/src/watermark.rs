//! The watermark file: how far the log is known to be durable, kept apart from the log.
//!
//! It is written after a sync has returned and is itself not synced, so it is never ahead of the truth: after a kill it is
//! exact, after a power cut it may lag, and the marks in the log take its place. It is what tells a log whose tail was
//! zeroed or cut at a frame's edge from one that simply ends there. It also keeps the floor, the first segment that a purge
//! left, synced before the purge removes anything. Two slots, each within a sector, are written in turn.
//! It refuses to decide anything.

use std::sync::Arc;

use crate::disk::{Disk, DiskFault, DiskFile, DiskOp, Named};
use crate::segment::Position;

pub(crate) const WATERMARK_FILE: &str = "watermark";

const MAGIC: &[u8; 4] = b"TGWM";
const VERSION: u16 = 1;
const SLOTS: [u64; 2] = [0, 512];
const SLOT_BYTES: usize = 64;
const FILE_BYTES: u64 = 1024;

/// What a slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Watermark {
    /// Grows with every write.
    pub count: u64,
    /// Everything before was durable.
    pub durable: Position,
    /// The first segment that is kept.
    pub floor: u32,
}

/// What was found of the file.
#[derive(Debug)]
pub(crate) struct WatermarkFound<F> {
    pub file: Option<WatermarkFile<F>>,
    /// The latest sound slot.
    pub value: Option<Watermark>,
    /// Slots that hold bytes which do not check.
    pub damaged_slots: usize,
}

/// The open file and what it last said.
#[derive(Debug)]
pub(crate) struct WatermarkFile<F> {
    file: Arc<F>,
    last: Watermark,
}

impl Watermark {
    fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.count.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.durable.to_bits().to_le_bytes());
        bytes[24..28].copy_from_slice(&self.floor.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<Self> {
        let u64_at = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let crc = crc32c::crc32c(&bytes[..60]).to_le_bytes();
        if &bytes[..4] != MAGIC || bytes[60..] != crc || bytes[4..6] != VERSION.to_le_bytes() {
            return None;
        }
        Some(Self { count: u64_at(8), durable: Position::from_bits(u64_at(16)), floor: u64_at(24) as u32 })
    }
}

impl<F: DiskFile> WatermarkFile<F> {
    /// Reads the file, if it is there.
    pub fn read<D: Disk<File = F>>(disk: &D, names: &[String]) -> Result<WatermarkFound<F>, DiskFault> {
        if !names.iter().any(|name| name == WATERMARK_FILE) {
            return Ok(WatermarkFound { file: None, value: None, damaged_slots: 0 });
        }
        let file = disk.open(WATERMARK_FILE).named(DiskOp::Open, WATERMARK_FILE)?;
        let mut value: Option<Watermark> = None;
        let mut damaged_slots = 0;
        for at in SLOTS {
            let mut bytes = [0; SLOT_BYTES];
            let count = file.read_full_at(&mut bytes, at).named(DiskOp::Read, WATERMARK_FILE)?;
            match Watermark::decode(&bytes) {
                Some(slot) => value = value.filter(|best| best.count >= slot.count).or(Some(slot)),
                None if count < SLOT_BYTES || bytes.iter().any(|byte| *byte != 0) => damaged_slots += 1,
                None => {}
            }
        }
        Ok(WatermarkFound { file: Some(Self { file: Arc::new(file), last: value.unwrap_or_default() }), value, damaged_slots })
    }

    /// Makes an empty file, durable by name.
    pub fn create<D: Disk<File = F>>(disk: &D) -> Result<Self, DiskFault> {
        let file = disk.create(WATERMARK_FILE).named(DiskOp::Create, WATERMARK_FILE)?;
        file.preallocate(FILE_BYTES).named(DiskOp::Preallocate, WATERMARK_FILE)?;
        disk.sync_dir().named(DiskOp::SyncDir, WATERMARK_FILE)?;
        Ok(Self { file: Arc::new(file), last: Watermark::default() })
    }

    /// Writes both slots anew (a damaged one is repaired) and returns the file to sync.
    pub fn rewrite(&mut self, durable: Position, floor: u32) -> Result<Arc<F>, DiskFault> {
        self.last.floor = floor;
        for _ in SLOTS {
            self.advance(durable)?;
        }
        Ok(Arc::clone(&self.file))
    }

    /// Notes that everything before `durable` is durable. Not synced.
    pub fn advance(&mut self, durable: Position) -> Result<(), DiskFault> {
        self.last.count += 1;
        self.last.durable = self.last.durable.max(durable);
        let slot = SLOTS[(self.last.count % 2) as usize];
        self.file.write_all_at(&self.last.encode(), slot).named(DiskOp::Write, WATERMARK_FILE)
    }

    /// Notes the first segment to be kept and returns the file, which the caller syncs before it removes anything.
    pub fn raise_floor(&mut self, floor: u32) -> Result<Arc<F>, DiskFault> {
        self.last.floor = self.last.floor.max(floor);
        let durable = self.last.durable;
        self.rewrite(durable, self.last.floor)
    }

    /// The file, to be synced at a clean end.
    pub fn file(&self) -> Arc<F> {
        Arc::clone(&self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::Watermark;
    use crate::segment::Position;

    #[test]
    fn every_flipped_bit_of_a_slot_is_seen() {
        let mark = Watermark { count: 3, durable: Position { segment: 4, offset: 5096 }, floor: 2 };
        let bytes = mark.encode();
        assert_eq!(Watermark::decode(&bytes), Some(mark));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Watermark::decode(&bad), None, "bit {bit}");
        }
    }
}
