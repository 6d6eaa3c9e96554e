//! Snapshots: named states, written atomically, checked block by block, two of each kept.
//!
//! A snapshot appears under its name only when all of it is durable (temporary file, sync, rename, directory sync), so a
//! stop leaves the older one. Each block carries CRC32C, seeded by the head's checksum and the block's number; the trailer
//! carries the length and the checksum of the whole. A damaged snapshot is reported by name and the older one is used;
//! [`SnapshotStore::purge_floor`] says which part of the log must stay for that. It refuses to know what a state holds and
//! when to take one. Memory: a reader holds a block, a writer [`WRITE_AHEAD_BYTES`].
//!
//! ```text
//! head 128: magic 8 | version u16 | zero u16 | name length u32 | sequence u64 | position u64 | name 64 | zero | 124 crc u32
//! block: length u32 | crc u32 | bytes        trailer: 0 u32 | crc u32 | bytes u64 | blocks u64 | crc of the whole u32 | 0 u32
//! ```

use std::fmt;
use std::sync::Arc;

use crate::disk::{Disk, DiskFault, DiskFile, DiskOp, Named};
use crate::limits::{SNAPSHOT_BLOCK_BYTES, SNAPSHOT_NAME_BYTES, SNAPSHOTS_KEPT};
use crate::segment::Position;

const MAGIC: &[u8; 8] = b"TGSNAPSH";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 128;
const BLOCK_HEAD_BYTES: usize = 8;
const TRAILER_BYTES: usize = 32;
/// Bytes that a writer gathers before it writes them.
const WRITE_AHEAD_BYTES: usize = 1 << 20;

/// Which snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId {
    /// Whose state: lower-case letters, digits and `_`.
    pub name: String,
    /// Grows from one snapshot of a name to the next.
    pub sequence: u64,
}

/// A snapshot's particulars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Which one.
    pub id: SnapshotId,
    /// Where the log goes on behind the state.
    pub position: Position,
    /// Bytes of the state.
    pub bytes: u64,
    /// CRC32C of the state.
    pub crc32c: u32,
}

/// A snapshot that does not check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedSnapshot {
    /// Which one.
    pub id: SnapshotId,
    /// Offset in its file of what does not check.
    pub offset: u64,
    /// What it is.
    pub part: SnapshotPart,
}

/// A part of a snapshot's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotPart {
    /// The head.
    Head,
    /// A block.
    Block,
    /// The trailer, or the length and checksum of the whole that it states.
    Trailer,
}

/// The newest sound snapshot of a name, and the damaged ones that are newer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Latest {
    /// The newest that checks, with its bytes.
    pub snapshot: Option<(SnapshotInfo, Vec<u8>)>,
    /// Newer ones that do not check.
    pub damaged: Vec<DamagedSnapshot>,
}

/// Why a snapshot was not written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskFault),
    /// A name that is empty, too long, or has other characters.
    #[error("snapshot name {name:?}: it must have 1 to {SNAPSHOT_NAME_BYTES} characters out of a-z, 0-9, _")]
    Name {
        /// The name.
        name: String,
    },
    /// A newer or equal snapshot is there.
    #[error("snapshot {id} is not newer than sequence {newest}, which is there")]
    NotNewer {
        /// What was to be written.
        id: SnapshotId,
        /// The newest.
        newest: u64,
    },
    /// It is not there.
    #[error("there is no snapshot {id}")]
    Missing {
        /// What was asked for.
        id: SnapshotId,
    },
    /// It does not check.
    #[error("{0}")]
    Damaged(DamagedSnapshot),
    /// It was written by a later version.
    #[error("snapshot {id} has format version {found}, this program reads up to {VERSION}")]
    Version {
        /// Which one.
        id: SnapshotId,
        /// Its version.
        found: u16,
    },
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{:016x}", self.name, self.sequence)
    }
}

impl fmt::Display for DamagedSnapshot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.part {
            SnapshotPart::Head => "head",
            SnapshotPart::Block => "block",
            SnapshotPart::Trailer => "trailer",
        };
        write!(out, "{}: the {part} at offset {} does not check", self.id.file(), self.offset)
    }
}

impl SnapshotId {
    /// The name of the file that holds it.
    #[must_use]
    pub fn file(&self) -> String {
        format!("snap-{self}.snap")
    }

    fn temporary(&self) -> String {
        format!("snap-{self}.tmp")
    }

    fn of_file(file: &str) -> Option<Self> {
        let (name, sequence) = file.strip_prefix("snap-")?.strip_suffix(".snap")?.split_once('-')?;
        if sequence.len() != 16
            || !sequence.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            || check_name(name).is_err()
        {
            return None;
        }
        Some(Self { name: name.to_owned(), sequence: u64::from_str_radix(sequence, 16).ok()? })
    }
}

fn check_name(name: &str) -> Result<(), SnapshotError> {
    let sound = (1..=SNAPSHOT_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if sound { Ok(()) } else { Err(SnapshotError::Name { name: name.to_owned() }) }
}

/// The snapshots of a disk; clones share it. Open the journal first: it clears away what a stop left half-written.
pub struct SnapshotStore<D: Disk> {
    disk: Arc<D>,
}

impl<D: Disk> Clone for SnapshotStore<D> {
    fn clone(&self) -> Self {
        Self { disk: Arc::clone(&self.disk) }
    }
}

impl<D: Disk> SnapshotStore<D> {
    /// A store on a disk, which may be the journal's own.
    #[must_use]
    pub fn new(disk: D) -> Self {
        Self { disk: Arc::new(disk) }
    }

    /// Starts a snapshot; it is there when [`SnapshotWriter::finish`] has returned.
    ///
    /// # Errors
    /// `Name` and `NotNewer` for a bad id; the disk's failures.
    pub fn begin(&self, id: SnapshotId, position: Position) -> Result<SnapshotWriter<D>, SnapshotError> {
        check_name(&id.name)?;
        if let Some(newest) = self.of_name(&id.name)?.first()
            && newest.sequence >= id.sequence
        {
            return Err(SnapshotError::NotNewer { id, newest: newest.sequence });
        }
        let temporary = id.temporary();
        if self.names()?.contains(&temporary) {
            self.disk.remove(&temporary).named(DiskOp::Remove, &temporary)?;
        }
        let file = self.disk.create(&temporary).named(DiskOp::Create, &temporary)?;
        let head = encode_head(&id, position);
        Ok(SnapshotWriter {
            store: self.clone(),
            id,
            position,
            file,
            seed: head_seed(&head),
            ready: head.to_vec(),
            written: 0,
            block: Vec::with_capacity(SNAPSHOT_BLOCK_BYTES),
            blocks: 0,
            bytes: 0,
            crc32c: 0,
            renamed: false,
        })
    }

    /// Writes a whole snapshot from chunks of bytes.
    ///
    /// # Errors
    /// As [`SnapshotStore::begin`] and [`SnapshotWriter::finish`].
    pub fn write<C: AsRef<[u8]>>(
        &self,
        id: SnapshotId,
        position: Position,
        chunks: impl IntoIterator<Item = C>,
    ) -> Result<SnapshotInfo, SnapshotError> {
        let mut writer = self.begin(id, position)?;
        for chunk in chunks {
            writer.write(chunk.as_ref())?;
        }
        writer.finish()
    }

    /// Every snapshot, by name and newest first.
    ///
    /// # Errors
    /// The disk's failures.
    pub fn list(&self) -> Result<Vec<SnapshotId>, SnapshotError> {
        let mut ids: Vec<SnapshotId> = self.names()?.iter().filter_map(|file| SnapshotId::of_file(file)).collect();
        ids.sort_by(|one, other| (&one.name, other.sequence).cmp(&(&other.name, one.sequence)));
        Ok(ids)
    }

    /// The newest sound snapshot of a name, wholly read and checked, and the damaged ones passed over.
    ///
    /// # Errors
    /// The disk's failures; a later format version.
    pub fn latest(&self, name: &str) -> Result<Latest, SnapshotError> {
        let mut latest = Latest::default();
        for id in self.of_name(name)? {
            match self.load(&id) {
                Ok(found) => {
                    latest.snapshot = Some(found);
                    break;
                }
                Err(SnapshotError::Damaged(damaged)) => latest.damaged.push(damaged),
                Err(error) => return Err(error),
            }
        }
        Ok(latest)
    }

    /// One snapshot, wholly read and checked.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn load(&self, id: &SnapshotId) -> Result<(SnapshotInfo, Vec<u8>), SnapshotError> {
        let mut reader = self.read(id)?;
        let mut bytes = Vec::new();
        while let Some(block) = reader.next_block()? {
            bytes.extend_from_slice(block);
        }
        Ok((reader.info(), bytes))
    }

    /// Opens a snapshot to be read block by block, each checked before it is lent.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn read(&self, id: &SnapshotId) -> Result<SnapshotReader<D>, SnapshotError> {
        let name = id.file();
        let file = match self.disk.open(&name) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(SnapshotError::Missing { id: id.clone() });
            }
            Err(source) => return Err(DiskFault { op: DiskOp::Open, file: name, source }.into()),
        };
        let mut head = [0; HEAD_BYTES];
        file.read_full_at(&mut head, 0).named(DiskOp::Read, &name)?;
        let position = decode_head(&head, id)?;
        Ok(SnapshotReader {
            id: id.clone(),
            position,
            file,
            seed: head_seed(&head),
            at: HEAD_BYTES as u64,
            block: Vec::new(),
            blocks: 0,
            bytes: 0,
            crc32c: 0,
            over: false,
        })
    }

    /// Up to where the log may be purged: the earliest position of any name's older kept snapshot. [`Position::START`]
    /// while some name has fewer than two snapshots, or one whose head does not check: then the whole log may be needed.
    ///
    /// # Errors
    /// The disk's failures.
    pub fn purge_floor(&self) -> Result<Position, SnapshotError> {
        let ids = self.list()?;
        let mut floor: Option<Position> = None;
        for group in ids.chunk_by(|one, other| one.name == other.name) {
            let Some(older) = group.get(SNAPSHOTS_KEPT - 1) else {
                return Ok(Position::START);
            };
            for id in &group[..SNAPSHOTS_KEPT] {
                match self.read(id) {
                    Ok(reader) if id == older => {
                        let position = reader.info().position;
                        floor = Some(floor.map_or(position, |floor| floor.min(position)));
                    }
                    Ok(_) => {}
                    Err(SnapshotError::Damaged(_)) => return Ok(Position::START),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(floor.unwrap_or(Position::START))
    }

    /// Removes a snapshot: a damaged one after it was reported, say, so that it is not counted among the two kept.
    ///
    /// # Errors
    /// `Missing`, and the disk's failures.
    pub fn remove(&self, id: &SnapshotId) -> Result<(), SnapshotError> {
        let name = id.file();
        if !self.names()?.contains(&name) {
            return Err(SnapshotError::Missing { id: id.clone() });
        }
        self.disk.remove(&name).named(DiskOp::Remove, &name)?;
        self.disk.sync_dir().named(DiskOp::SyncDir, &name)?;
        Ok(())
    }

    fn names(&self) -> Result<Vec<String>, DiskFault> {
        self.disk.list().named(DiskOp::List, "the directory")
    }

    fn of_name(&self, name: &str) -> Result<Vec<SnapshotId>, SnapshotError> {
        Ok(self.list()?.into_iter().filter(|id| id.name == name).collect())
    }
}

/// A snapshot being written. Dropped unfinished, it gives its room back; after a stop, the next open of the journal does.
pub struct SnapshotWriter<D: Disk> {
    store: SnapshotStore<D>,
    id: SnapshotId,
    position: Position,
    file: D::File,
    seed: u32,
    ready: Vec<u8>,
    written: u64,
    block: Vec<u8>,
    blocks: u64,
    bytes: u64,
    crc32c: u32,
    renamed: bool,
}

impl<D: Disk> SnapshotWriter<D> {
    /// Adds bytes of the state.
    ///
    /// # Errors
    /// The disk's failures; the snapshot is then not to be finished.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), SnapshotError> {
        while !bytes.is_empty() {
            let room = SNAPSHOT_BLOCK_BYTES - self.block.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == SNAPSHOT_BLOCK_BYTES {
                self.end_block()?;
            }
        }
        Ok(())
    }

    /// Makes the snapshot durable and visible, then removes those of its name beyond the two newest.
    ///
    /// # Errors
    /// The disk's failures; the older snapshots are then still there, and this one appears wholly or not at all.
    pub fn finish(mut self) -> Result<SnapshotInfo, SnapshotError> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        let trailer = encode_trailer(self.seed, self.bytes, self.blocks, self.crc32c);
        self.ready.extend_from_slice(&trailer);
        self.flush()?;
        let (temporary, name) = (self.id.temporary(), self.id.file());
        self.file.sync_data().named(DiskOp::Sync, &temporary)?;
        let disk = &self.store.disk;
        disk.rename(&temporary, &name).named(DiskOp::Rename, &temporary)?;
        self.renamed = true;
        disk.sync_dir().named(DiskOp::SyncDir, &name)?;
        for old in self.store.of_name(&self.id.name)?.iter().skip(SNAPSHOTS_KEPT) {
            disk.remove(&old.file()).named(DiskOp::Remove, &old.file())?;
        }
        disk.sync_dir().named(DiskOp::SyncDir, &name)?;
        Ok(SnapshotInfo { id: self.id.clone(), position: self.position, bytes: self.bytes, crc32c: self.crc32c })
    }

    fn end_block(&mut self) -> Result<(), DiskFault> {
        let length = self.block.len() as u32;
        self.ready.extend_from_slice(&length.to_le_bytes());
        self.ready.extend_from_slice(&block_crc(self.seed, self.blocks, length, &self.block).to_le_bytes());
        self.ready.extend_from_slice(&self.block);
        self.crc32c = crc32c::crc32c_append(self.crc32c, &self.block);
        self.bytes += u64::from(length);
        self.blocks += 1;
        self.block.clear();
        if self.ready.len() >= WRITE_AHEAD_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskFault> {
        self.file.write_all_at(&self.ready, self.written).named(DiskOp::Write, &self.id.temporary())?;
        self.written += self.ready.len() as u64;
        self.ready.clear();
        Ok(())
    }
}

impl<D: Disk> Drop for SnapshotWriter<D> {
    fn drop(&mut self) {
        if !self.renamed {
            // Best effort: what stays is cleared away by the next open of the journal.
            let _removed = self.store.disk.remove(&self.id.temporary());
        }
    }
}

/// A snapshot being read.
pub struct SnapshotReader<D: Disk> {
    id: SnapshotId,
    position: Position,
    file: D::File,
    seed: u32,
    at: u64,
    block: Vec<u8>,
    blocks: u64,
    bytes: u64,
    crc32c: u32,
    over: bool,
}

impl<D: Disk> SnapshotReader<D> {
    /// Its particulars; bytes and checksum cover what was read so far, the whole once [`SnapshotReader::next_block`] gave `None`.
    #[must_use]
    pub fn info(&self) -> SnapshotInfo {
        SnapshotInfo { id: self.id.clone(), position: self.position, bytes: self.bytes, crc32c: self.crc32c }
    }

    /// The next block of the state; `None` after the last, when the trailer has held as well. What was read is the whole
    /// state only then.
    ///
    /// # Errors
    /// `Damaged` by name and place; the disk's failures.
    pub fn next_block(&mut self) -> Result<Option<&[u8]>, SnapshotError> {
        if self.over {
            return Ok(None);
        }
        let mut head = [0; BLOCK_HEAD_BYTES];
        self.fill(&mut head, self.at, SnapshotPart::Block)?;
        let length = u32_at(&head, 0);
        if length == 0 {
            return self.trailer();
        }
        if length as usize > SNAPSHOT_BLOCK_BYTES {
            return Err(self.damaged(SnapshotPart::Block));
        }
        let mut block = std::mem::take(&mut self.block);
        block.resize(length as usize, 0);
        self.fill(&mut block, self.at + BLOCK_HEAD_BYTES as u64, SnapshotPart::Block)?;
        if u32_at(&head, 4) != block_crc(self.seed, self.blocks, length, &block) {
            return Err(self.damaged(SnapshotPart::Block));
        }
        self.block = block;
        self.blocks += 1;
        self.bytes += u64::from(length);
        self.crc32c = crc32c::crc32c_append(self.crc32c, &self.block);
        self.at += BLOCK_HEAD_BYTES as u64 + u64::from(length);
        Ok(Some(&self.block))
    }

    fn trailer(&mut self) -> Result<Option<&[u8]>, SnapshotError> {
        let mut trailer = [0; TRAILER_BYTES];
        self.fill(&mut trailer, self.at, SnapshotPart::Trailer)?;
        if trailer != encode_trailer(self.seed, self.bytes, self.blocks, self.crc32c) {
            return Err(self.damaged(SnapshotPart::Trailer));
        }
        self.over = true;
        Ok(None)
    }

    fn fill(&self, bytes: &mut [u8], at: u64, part: SnapshotPart) -> Result<(), SnapshotError> {
        let count = self.file.read_full_at(bytes, at).named(DiskOp::Read, &self.id.file())?;
        if count < bytes.len() {
            return Err(self.damaged(part));
        }
        Ok(())
    }

    fn damaged(&self, part: SnapshotPart) -> SnapshotError {
        SnapshotError::Damaged(DamagedSnapshot { id: self.id.clone(), offset: self.at, part })
    }
}

fn encode_head(id: &SnapshotId, position: Position) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(MAGIC);
    head[8..10].copy_from_slice(&VERSION.to_le_bytes());
    head[12..16].copy_from_slice(&(id.name.len() as u32).to_le_bytes());
    head[16..24].copy_from_slice(&id.sequence.to_le_bytes());
    head[24..32].copy_from_slice(&position.to_bits().to_le_bytes());
    head[32..32 + id.name.len()].copy_from_slice(id.name.as_bytes());
    let crc = crc32c::crc32c(&head[..124]);
    head[124..].copy_from_slice(&crc.to_le_bytes());
    head
}

/// The state's position, when the head checks and is that of `id`.
fn decode_head(head: &[u8; HEAD_BYTES], id: &SnapshotId) -> Result<Position, SnapshotError> {
    let damaged = || SnapshotError::Damaged(DamagedSnapshot { id: id.clone(), offset: 0, part: SnapshotPart::Head });
    if &head[..8] != MAGIC || u32_at(head, 124) != crc32c::crc32c(&head[..124]) {
        return Err(damaged());
    }
    let found = u16::from_le_bytes([head[8], head[9]]);
    if found > VERSION {
        return Err(SnapshotError::Version { id: id.clone(), found });
    }
    let position = Position::from_bits(u64_at(head, 24));
    // A sound head under another name was moved there.
    if *head != encode_head(id, position) {
        return Err(damaged());
    }
    Ok(position)
}

fn head_seed(head: &[u8; HEAD_BYTES]) -> u32 {
    u32_at(head, 124)
}

fn block_crc(seed: u32, number: u64, length: u32, bytes: &[u8]) -> u32 {
    let mut front = [0; 12];
    front[..8].copy_from_slice(&number.to_le_bytes());
    front[8..].copy_from_slice(&length.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &front), bytes)
}

fn encode_trailer(seed: u32, bytes: u64, blocks: u64, crc32c: u32) -> [u8; TRAILER_BYTES] {
    let mut trailer = [0; TRAILER_BYTES];
    trailer[8..16].copy_from_slice(&bytes.to_le_bytes());
    trailer[16..24].copy_from_slice(&blocks.to_le_bytes());
    trailer[24..28].copy_from_slice(&crc32c.to_le_bytes());
    let crc = block_crc(seed, blocks, 0, &trailer[8..]);
    trailer[4..8].copy_from_slice(&crc.to_le_bytes());
    trailer
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
