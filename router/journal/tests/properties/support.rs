//! What the property files share: counts and seeds from the environment, small options, records that name themselves.
//!
//! A test record's payload is drawn from (seed, ordinal, life), so that a record which comes back changed, twice, out of
//! order or from a former life is seen. Nothing here knows how the journal works.

use tidegate_journal::rng::SplitMix64;
use tidegate_journal::{Disk, Hole, Journal, Options, Position, Record, Scanned};

/// `small` runs by default, `full` at night.
pub fn count(small: u64, full: u64) -> u64 {
    match std::env::var("TIDEGATE_NIGHTLY") {
        Ok(value) if value == "1" => full,
        _ => small,
    }
}

/// The seeds to run: those of a count, or the one that `TIDEGATE_SEED` names.
pub fn seeds(small: u64, full: u64) -> std::ops::Range<u64> {
    match std::env::var("TIDEGATE_SEED").map(|seed| seed.parse::<u64>()) {
        Ok(Ok(seed)) => seed..seed + 1,
        _ => 0..count(small, full),
    }
}

/// Small segments, so that a short test rolls and recycles.
pub fn small_options(seed: u64) -> Options {
    Options { segment_bytes: 16 << 10, max_payload_bytes: 4 << 10, salt: seed, spares: 2, ..Options::default() }
}

/// A record that a test appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub group: u32,
    pub index: u64,
    pub payload: Vec<u8>,
}

impl Sent {
    /// The record of an ordinal: one of three groups, dense indices, bytes from the seed.
    pub fn new(seed: u64, ordinal: u64, life: u64, bytes: usize) -> Self {
        let mut payload = vec![0; bytes];
        SplitMix64::new(seed ^ (ordinal << 20) ^ (life << 50)).fill(&mut payload);
        Self { group: (ordinal % 3) as u32, index: ordinal / 3, payload }
    }

    pub fn record(&self) -> Record<'_> {
        Record { group: self.group, index: self.index, payload: &self.payload }
    }
}

/// Everything a scan gives, records and holes apart.
pub fn read_all<D: Disk>(journal: &Journal<D>, from: Position) -> (Vec<(Position, Sent)>, Vec<Hole>) {
    let mut records = Vec::new();
    let mut holes = Vec::new();
    for scanned in journal.scan(from) {
        match scanned.expect("a scan of a disk that works") {
            Scanned::Entry(entry) => {
                records.push((entry.position, Sent { group: entry.group, index: entry.index, payload: entry.payload }))
            }
            Scanned::Hole(hole) => holes.push(hole),
        }
    }
    (records, holes)
}

/// Appends and syncs; the positions.
pub fn write<D: Disk>(writer: &mut tidegate_journal::Writer<D>, sent: &[Sent]) -> Vec<Position> {
    let records: Vec<Record<'_>> = sent.iter().map(Sent::record).collect();
    let mut positions = Vec::new();
    writer.append(&records, &mut positions).expect("an append");
    writer.sync().expect("a sync");
    positions
}
