//! The frame: what stands between two records on the disk, and the only code that reads or writes its bytes.
//!
//! A frame is a head of 32 bytes and a body padded to eight. Both carry CRC32C, and both checksums are taken over the
//! segment's seal (salt and segment number) and, for the head, the frame's offset: a frame of the file's former life, a
//! frame copied elsewhere, or one that a payload imitates, does not check. All numbers are little-endian:
//!
//! ```text
//! 0 magic u32 | 4 kind u8 | 5 flags u8 | 6 zero u16 | 8 length u32 | 12 group u32 | 16 index u64 | 24 body crc u32 | 28 head crc u32
//! ```
//!
//! It refuses to know files. [`decode_stream`] is the door for fuzzing: any bytes, no panic, bounded work.

/// Bytes of a frame's head.
pub const HEAD_BYTES: usize = 32;

/// Frames start at multiples of this, so that a search for the next good one is cheap.
pub const ALIGN: usize = 8;

const MAGIC: u32 = u32::from_le_bytes(*b"TGWL");
const KIND_RECORD: u8 = 1;
const KIND_MARK: u8 = 2;

/// What makes a frame belong to one life of one segment: a checksum state over the salt and the segment's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal(u32);

impl Seal {
    /// The seal of a segment.
    #[must_use]
    pub fn new(salt: u64, segment: u32) -> Self {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&salt.to_le_bytes());
        bytes[8..].copy_from_slice(&segment.to_le_bytes());
        Self(crc32c::crc32c(&bytes))
    }
}

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A record of a group.
    Record {
        /// The group.
        group: u32,
        /// The record's index within it, as the caller gave it.
        index: u64,
    },
    /// The front of a batch: everything before `durable` was durable when this was written.
    Mark {
        /// Segment of the durable watermark.
        segment: u32,
        /// Offset of the durable watermark within it.
        offset: u32,
        /// Bytes of the batch's frames behind this mark; 0 when it was not known.
        batch_bytes: u32,
    },
}

/// A frame's head after its checksum held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What the frame says.
    pub kind: Kind,
    /// Bytes of the payload.
    pub length: u32,
    body_crc: u32,
}

impl Head {
    /// Bytes of the whole frame, padding included.
    #[must_use]
    pub const fn frame_bytes(&self) -> usize {
        frame_bytes(self.length as usize)
    }
}

/// Bytes of a frame around a payload of `length` bytes.
#[must_use]
pub const fn frame_bytes(length: usize) -> usize {
    HEAD_BYTES + length.next_multiple_of(ALIGN)
}

/// What stands at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A whole frame, head and body checked.
    Good(Head),
    /// A good head whose body does not check.
    BadBody(Head),
    /// A good head whose body goes beyond the bytes given; so many bytes are wanted from here.
    Short(Head, usize),
    /// No head that checks.
    BadHead,
}

/// Appends a record's frame to `out`, which will be written at `offset` of the segment.
pub fn put_record(out: &mut Vec<u8>, seal: Seal, offset: u32, group: u32, index: u64, payload: &[u8]) {
    put(out, seal, offset, KIND_RECORD, group, index, payload);
}

/// Writes a mark's frame over the first [`HEAD_BYTES`] of `out`, which will be written at `offset` of the segment.
///
/// # Panics
/// When `out` is shorter than a head.
pub fn set_mark(out: &mut [u8], seal: Seal, offset: u32, durable: (u32, u32), batch_bytes: u32) {
    let index = (u64::from(durable.1) << 32) | u64::from(batch_bytes);
    let body_crc = crc32c::crc32c_append(seal.0, &[]);
    let head = head_of(seal, offset, KIND_MARK, 0, durable.0, index, body_crc);
    out[..HEAD_BYTES].copy_from_slice(&head);
}

fn put(out: &mut Vec<u8>, seal: Seal, offset: u32, kind: u8, group: u32, index: u64, payload: &[u8]) {
    let padding = payload.len().next_multiple_of(ALIGN) - payload.len();
    let mut body_crc = crc32c::crc32c_append(seal.0, payload);
    if padding > 0 {
        body_crc = crc32c::crc32c_append(body_crc, &[0; ALIGN][..padding]);
    }
    // The limits keep a payload within 32 bits.
    let length = payload.len() as u32;
    let head = head_of(seal, offset, kind, length, group, index, body_crc);
    out.reserve(HEAD_BYTES + payload.len() + padding);
    out.extend_from_slice(&head);
    out.extend_from_slice(payload);
    out.extend_from_slice(&[0; ALIGN][..padding]);
}

fn head_of(seal: Seal, offset: u32, kind: u8, length: u32, group: u32, index: u64, body_crc: u32) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&MAGIC.to_le_bytes());
    head[4] = kind;
    head[8..12].copy_from_slice(&length.to_le_bytes());
    head[12..16].copy_from_slice(&group.to_le_bytes());
    head[16..24].copy_from_slice(&index.to_le_bytes());
    head[24..28].copy_from_slice(&body_crc.to_le_bytes());
    let crc = head_crc(seal, offset, &head);
    head[28..].copy_from_slice(&crc.to_le_bytes());
    head
}

fn head_crc(seal: Seal, offset: u32, head: &[u8]) -> u32 {
    let mut covered = [0; HEAD_BYTES];
    covered[..28].copy_from_slice(&head[..28]);
    covered[28..].copy_from_slice(&offset.to_le_bytes());
    crc32c::crc32c_append(seal.0, &covered)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// Reads a head; `None` unless its checksum, its kind and its reserved bytes hold.
#[must_use]
pub fn read_head(bytes: &[u8], offset: u32, seal: Seal) -> Option<Head> {
    if bytes.len() < HEAD_BYTES || u32_at(bytes, 0) != MAGIC {
        return None;
    }
    if u32_at(bytes, 28) != head_crc(seal, offset, bytes) {
        return None;
    }
    let (group, index) = (u32_at(bytes, 12), u64_at(bytes, 16));
    let kind = match bytes[4] {
        KIND_RECORD => Kind::Record { group, index },
        KIND_MARK => Kind::Mark { segment: group, offset: (index >> 32) as u32, batch_bytes: index as u32 },
        _ => return None,
    };
    if bytes[5] != 0 || bytes[6] != 0 || bytes[7] != 0 {
        return None;
    }
    Some(Head { kind, length: u32_at(bytes, 8), body_crc: u32_at(bytes, 24) })
}

/// Looks at the frame that should start at `bytes[0]`, which stands at `offset` of its segment.
#[must_use]
pub fn inspect(bytes: &[u8], offset: u32, seal: Seal) -> Found {
    let Some(head) = read_head(bytes, offset, seal) else {
        return Found::BadHead;
    };
    let whole = head.frame_bytes();
    if bytes.len() < whole {
        return Found::Short(head, whole);
    }
    if crc32c::crc32c_append(seal.0, &bytes[HEAD_BYTES..whole]) == head.body_crc { Found::Good(head) } else { Found::BadBody(head) }
}

/// The payload of a whole frame that [`inspect`] found good.
#[must_use]
pub fn payload(bytes: &[u8], head: Head) -> &[u8] {
    &bytes[HEAD_BYTES..HEAD_BYTES + head.length as usize]
}

/// Searches for the next good head at a multiple of [`ALIGN`] of the segment; `bytes[0]` stands at `offset`, itself a multiple.
/// Returns its place in `bytes`. Linear in the bytes.
#[must_use]
pub fn find_head(bytes: &[u8], offset: u32, seal: Seal) -> Option<usize> {
    let magic = MAGIC.to_le_bytes();
    let mut at = 0;
    while at + HEAD_BYTES <= bytes.len() {
        if bytes[at..at + 4] == magic && read_head(&bytes[at..], offset.saturating_add(at as u32), seal).is_some() {
            return Some(at);
        }
        at += ALIGN;
    }
    None
}

/// What [`decode_stream`] met, in order of offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// A record whose head and body hold.
    Record {
        /// The frame's offset.
        offset: u32,
        /// The group.
        group: u32,
        /// The index.
        index: u64,
        /// The payload.
        payload: Vec<u8>,
    },
    /// A mark.
    Mark {
        /// The frame's offset.
        offset: u32,
    },
    /// Bytes that are no frame, up to the next good one or the end.
    Bad {
        /// Where they start.
        offset: u32,
        /// How many.
        bytes: u32,
    },
}

/// Decodes arbitrary bytes as the frames of a segment whose first frame stands at offset 0, resynchronising after bad ones.
/// Never panics; the work and the memory are linear in the input.
#[must_use]
pub fn decode_stream(bytes: &[u8], salt: u64, segment: u32) -> Vec<Decoded> {
    let seal = Seal::new(salt, segment);
    let bytes = &bytes[..bytes.len().min(1 << 30)];
    let mut met = Vec::new();
    let mut at = 0;
    let mut bad_from = None;
    while at < bytes.len() {
        let offset = at as u32;
        match inspect(&bytes[at..], offset, seal) {
            Found::Good(head) => {
                close_bad(&mut met, &mut bad_from, at);
                met.push(match head.kind {
                    Kind::Record { group, index } => {
                        Decoded::Record { offset, group, index, payload: payload(&bytes[at..], head).to_vec() }
                    }
                    Kind::Mark { .. } => Decoded::Mark { offset },
                });
                at += head.frame_bytes();
            }
            Found::BadBody(head) => {
                bad_from.get_or_insert(at);
                at += head.frame_bytes();
            }
            Found::Short(..) => {
                bad_from.get_or_insert(at);
                at = bytes.len();
            }
            Found::BadHead => {
                bad_from.get_or_insert(at);
                let next = at + ALIGN;
                at =
                    bytes.get(next..).and_then(|rest| find_head(rest, next as u32, seal)).map_or(bytes.len(), |found| next + found);
            }
        }
    }
    close_bad(&mut met, &mut bad_from, bytes.len());
    met
}

fn close_bad(met: &mut Vec<Decoded>, bad_from: &mut Option<usize>, end: usize) {
    if let Some(from) = bad_from.take() {
        met.push(Decoded::Bad { offset: from as u32, bytes: (end - from) as u32 });
    }
}

#[cfg(test)]
mod tests {
    use super::{Decoded, Found, Kind, Seal, decode_stream, inspect, put_record, set_mark};

    #[test]
    fn every_flipped_bit_of_a_frame_is_seen() {
        let seal = Seal::new(7, 3);
        let mut bytes = Vec::new();
        put_record(&mut bytes, seal, 64, 9, 12, b"a payload of 21 bytes");
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(inspect(&bad, 64, seal), Found::Good(_)), "bit {bit}");
        }
        assert!(matches!(inspect(&bytes, 64, seal), Found::Good(_)));
    }

    #[test]
    fn a_frame_of_another_life_or_place_is_no_frame() {
        let seal = Seal::new(7, 3);
        let mut bytes = Vec::new();
        put_record(&mut bytes, seal, 64, 9, 12, b"payload");
        assert_eq!(inspect(&bytes, 72, seal), Found::BadHead, "moved");
        assert_eq!(inspect(&bytes, 64, Seal::new(7, 4)), Found::BadHead, "older segment");
        assert_eq!(inspect(&bytes, 64, Seal::new(8, 3)), Found::BadHead, "other journal");
    }

    #[test]
    fn marks_keep_their_three_numbers() {
        let seal = Seal::new(0, 1);
        let mut bytes = [0; 32];
        set_mark(&mut bytes, seal, 4096, (5, 77_000), 1 << 22);
        let Found::Good(head) = inspect(&bytes, 4096, seal) else { panic!("a mark that does not read") };
        assert_eq!(head.kind, Kind::Mark { segment: 5, offset: 77_000, batch_bytes: 1 << 22 });
    }

    #[test]
    fn the_stream_goes_on_behind_a_bad_frame() {
        let seal = Seal::new(0, 1);
        let mut bytes = Vec::new();
        for index in 0..3 {
            let offset = bytes.len() as u32;
            put_record(&mut bytes, seal, offset, 1, index, b"12345678");
        }
        bytes[41] ^= 4;
        let met = decode_stream(&bytes, 0, 1);
        assert!(matches!(met[0], Decoded::Record { index: 0, .. }));
        assert_eq!(met[1], Decoded::Bad { offset: 40, bytes: 40 });
        assert!(matches!(met[2], Decoded::Record { index: 2, .. }));
    }
}
