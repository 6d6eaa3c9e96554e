//! Every limit of the journal, in one place, each with its unit and its reason.
//!
//! A limit is checked where a value enters (options at open, payloads at append, names at a snapshot's start) and again
//! where bytes are decoded, so that a damaged length can never ask for memory. Tests stand at each limit, one above and
//! ten times above (`tests/limits.rs`).

/// Bytes of a record's payload, unless [`Options`](crate::Options) says otherwise.
pub const PAYLOAD_DEFAULT_BYTES: u32 = 1 << 20;

/// The largest payload that [`Options`](crate::Options) may allow, in bytes.
pub const PAYLOAD_CEILING_BYTES: u32 = 16 << 20;

/// Bytes of a segment, unless [`Options`](crate::Options) says otherwise.
pub const SEGMENT_DEFAULT_BYTES: u32 = 64 << 20;

/// The smallest segment: the head's page and room for a few frames. In bytes.
pub const SEGMENT_FLOOR_BYTES: u32 = 16 << 10;

/// The largest segment, in bytes: offsets stay within 32 bits with room to spare.
pub const SEGMENT_CEILING_BYTES: u32 = 1 << 30;

/// Spare segments kept for the next roll, unless [`Options`](crate::Options) says otherwise; a purge removes what is above.
pub const SPARES_DEFAULT: usize = 4;

/// Bytes that an unsynced batch may hold in memory before they are written ahead of the sync.
pub const WRITE_BUFFER_BYTES: usize = 8 << 20;

/// Bytes that a scan reads at a time.
pub const SCAN_WINDOW_BYTES: usize = 256 << 10;

/// Holes named one by one in a report; the rest are counted.
pub const HOLES_NAMED: usize = 1_000;

/// Bytes of a snapshot's block: the unit of its checksum and of a reader's memory.
pub const SNAPSHOT_BLOCK_BYTES: usize = 64 << 10;

/// Bytes of a snapshot's name: lower-case letters, digits, `_`.
pub const SNAPSHOT_NAME_BYTES: usize = 64;

/// Snapshots of one name that are kept: the newest and the one to fall back on.
pub const SNAPSHOTS_KEPT: usize = 2;
