//! Targets of `tidegate-journal`: the frames of the write-ahead log.
//!
//! Properties: decoding any bytes is total and accounts for every byte once; after damage, every record that was not
//! touched is found, every other byte is named as bad, and no record appears that was never written. Over a whole life of a
//! journal on a disk that fails: what was acknowledged is there after every stop, unchanged and in order.

use tidegate_journal::frame::{self, Decoded, Seal};
use tidegate_journal::limits::SEGMENT_FLOOR_BYTES;
use tidegate_journal::{AppendError, FaultyDisk, Journal, Options, Position, Record, ScanStep, Writer};

use crate::bytes::Choices;

const SEGMENT: u32 = 3;

/// The salt of the seed corpus.
const SALT: u64 = 7;

/// A segment's salt is random, so that no payload can imitate a frame of its own segment. Here it is a hash of the whole input:
/// a fuzzer that sees the checksums compared would forge one under a constant salt (libFuzzer did, in ten seconds).
fn salt_of(data: &[u8]) -> u64 {
    let fold = |salt: u64, byte: &u8| (salt.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    data.iter().fold(SALT, fold)
}

/// Any bytes as the frames of a segment.
///
/// # Panics
/// When bytes are left out, counted twice or found out of order.
pub fn journal_frames(data: &[u8]) {
    accounted(&frame::decode_stream(data, SALT, SEGMENT), data.len());
}

/// A segment written from choices, damaged by choices, and read back.
///
/// # Panics
/// When the reader invents, changes or silently loses a record.
pub fn journal_damage(data: &[u8]) {
    let mut choices = Choices::new(data);
    let salt = salt_of(data);
    let seal = Seal::new(salt, SEGMENT);
    let mut stream = Vec::new();
    let mut written = Vec::new();
    for _ in 0..1 + choices.below(12) {
        let offset = place(&stream);
        if choices.byte().is_multiple_of(5) {
            stream.resize(stream.len() + frame::HEAD_BYTES, 0);
            let from = stream.len() - frame::HEAD_BYTES;
            frame::set_mark(&mut stream[from..], seal, offset, (SEGMENT, offset), choices.word());
        } else {
            let (group, index) = (choices.word(), u64::from(choices.word()));
            let length = choices.below(300);
            // Payloads may themselves look like frames: an earlier part of the stream is as good as any.
            let payload = if choices.byte().is_multiple_of(4) {
                stream[..length.min(stream.len())].to_vec()
            } else {
                choices.take(length).to_vec()
            };
            frame::put_record(&mut stream, seal, offset, group, index, &payload);
            written.push((offset, place(&stream), Decoded::Record { offset, group, index, payload }));
        }
    }
    let clean = records(&frame::decode_stream(&stream, salt, SEGMENT));
    assert_eq!(clean, written.iter().map(|(_, _, record)| record.clone()).collect::<Vec<_>>(), "what was written is read");
    let original = stream.clone();
    while !choices.is_done() {
        damage(&mut stream, &mut choices);
    }
    let met = frame::decode_stream(&stream, salt, SEGMENT);
    accounted(&met, stream.len());
    for record in records(&met) {
        assert!(written.iter().any(|(_, _, known)| *known == record), "a record appeared that was never written: {record:?}");
    }
    // Heads carry their offset, so no damage here can make a head that stretches over a neighbour: what is untouched is found.
    for (from, to, record) in &written {
        let bytes = *from as usize..*to as usize;
        let untouched = stream.get(bytes.clone()) == Some(&original[bytes]);
        assert!(!untouched || met.contains(record), "an untouched record at {from} is not found");
    }
}

/// A journal's life on a faulty disk: appends, syncs, failing syncs, halts, short writes, full disks, power cuts, restarts.
///
/// # Panics
/// When after a restart the log is not what was acknowledged, followed by a part of what was appended since.
pub fn journal_life(data: &[u8]) {
    let mut choices = Choices::new(data);
    let disk = FaultyDisk::new(salt_of(data));
    let mut life = Life { disk, salt: salt_of(data), acknowledged: Vec::new(), pending: Vec::new() };
    let mut writer = life.restart();
    for step in 0..64 {
        if choices.is_done() {
            break;
        }
        let act = choices.byte() % 16;
        match act {
            0..=6 => life.append(&mut writer, &mut choices),
            7..=10 => {
                if writer.sync().is_ok() {
                    life.acknowledged.append(&mut life.pending);
                }
            }
            11 => life.disk.fail_sync(1 + u64::from(choices.byte() % 3)),
            12 => life.disk.halt_after(1 + u64::from(choices.byte() % 12)),
            13 => {
                life.disk.short_writes(choices.byte().is_multiple_of(2));
                let room = u64::from(choices.byte()) * 2_048;
                life.disk.limit_bytes((room > 0).then(|| life.disk.used_bytes() + room));
            }
            _ => {
                life.disk.power_cut(u64::from(choices.word()) << 8 | step);
                life.disk.limit_bytes(None);
                writer = life.restart();
            }
        }
    }
    drop(writer);
    life.disk.power_cut(life.salt);
    life.disk.limit_bytes(None);
    drop(life.restart());
}

/// What the client of a journal knows.
struct Life {
    disk: FaultyDisk,
    salt: u64,
    acknowledged: Vec<(u32, u64, Vec<u8>)>,
    pending: Vec<(u32, u64, Vec<u8>)>,
}

impl Life {
    fn append(&mut self, writer: &mut Writer<FaultyDisk>, choices: &mut Choices<'_>) {
        let index = (self.acknowledged.len() + self.pending.len()) as u64;
        let count = 1 + choices.below(4);
        let payloads: Vec<Vec<u8>> = (0..count).map(|_| vec![choices.byte(); choices.below(3_000)]).collect();
        let records: Vec<Record<'_>> =
            payloads.iter().enumerate().map(|(at, payload)| Record { group: 1, index: index + at as u64, payload }).collect();
        let outcome = writer.append(&records, &mut Vec::new());
        match outcome {
            // The disk broke within the batch, which may have crossed into a new segment: a part of it may be in the log.
            Ok(()) | Err(AppendError::Disk(_)) => {
                self.pending.extend(records.iter().map(|one| (one.group, one.index, one.payload.to_vec())));
            }
            // Room, or a disk that works, comes with the next restart; nothing of this batch is in the log then.
            Err(AppendError::DiskFull { .. } | AppendError::Poisoned { .. }) => {}
            Err(other) => panic!("a batch within the limits was refused: {other}"),
        }
    }

    /// Opens the journal again and compares it with what is known.
    fn restart(&mut self) -> Writer<FaultyDisk> {
        self.salt = self.salt.wrapping_add(1);
        let options =
            Options { segment_bytes: SEGMENT_FLOOR_BYTES, max_payload_bytes: 4_096, salt: self.salt, ..Options::default() };
        let (journal, _) = Journal::open(self.disk.clone(), options).expect("no media was damaged, so it opens");
        let mut found = Vec::new();
        let mut scan = journal.scan(Position::START);
        while let Some(step) = scan.step().expect("a disk that works is read") {
            match step {
                ScanStep::Entry(entry) => found.push((entry.group, entry.index, entry.payload.to_vec())),
                ScanStep::Hole(hole) => panic!("a hole without damage: {hole}"),
            }
        }
        let promised = self.acknowledged.len();
        let known: Vec<_> = self.acknowledged.drain(..).chain(self.pending.drain(..)).collect();
        let kept = found.len();
        assert!(known.starts_with(&found), "{kept} records found are not the first {kept} of {} known", known.len());
        assert!(kept >= promised, "{kept} records found, {promised} acknowledged");
        self.acknowledged = found;
        journal.writer().expect("the writer is given once")
    }
}

fn place(stream: &[u8]) -> u32 {
    u32::try_from(stream.len()).expect("a stream of a few kilobytes")
}

fn damage(stream: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let at = choices.below(stream.len());
    match choices.byte() % 4 {
        0 if !stream.is_empty() => stream[at] ^= 1 << (choices.byte() % 8),
        1 => stream.truncate(at),
        2 => {
            let end = (at + choices.below(64)).min(stream.len());
            stream[at..end].fill(0);
        }
        // A block written to the wrong place, as a lost or misdirected sector write does it.
        _ => {
            let from = choices.below(stream.len());
            let length = choices.below(128).min(stream.len() - at.max(from));
            stream.copy_within(from..from + length, at);
        }
    }
}

fn records(met: &[Decoded]) -> Vec<Decoded> {
    met.iter().filter(|one| matches!(one, Decoded::Record { .. })).cloned().collect()
}

/// Every byte belongs to exactly one frame or bad range, in order.
fn accounted(met: &[Decoded], length: usize) {
    let mut at = 0;
    for one in met {
        let (offset, bytes) = match one {
            Decoded::Record { offset, payload, .. } => (*offset, frame::frame_bytes(payload.len())),
            Decoded::Mark { offset } => (*offset, frame::HEAD_BYTES),
            Decoded::Bad { offset, bytes } => (*offset, *bytes as usize),
        };
        assert_eq!(offset as usize, at, "a gap or an overlap before {one:?}");
        at += bytes;
    }
    assert_eq!(at, length, "bytes are left over");
}
