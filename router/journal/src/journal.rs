//! The journal itself: opening with recovery, repairs, segments and spares, and the purge.
//!
//! A [`Journal`] is a cheap handle that every thread may clone; the one [`Writer`](crate::Writer) is taken from it once.
//! Shared between them: the open segments, the spares, the durable position and the poison. A failed write or sync poisons
//! the journal for good: the kernel may have dropped the bytes and called the pages clean, so that trying again would lie.
//! Reading goes on. It refuses to know when to purge: retention is the caller's decision.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use crate::disk::{Disk, DiskFault, DiskFile, DiskOp, Named};
use crate::frame::{HEAD_BYTES, Seal, frame_bytes};
use crate::limits::{
    PAYLOAD_CEILING_BYTES, PAYLOAD_DEFAULT_BYTES, SEGMENT_CEILING_BYTES, SEGMENT_DEFAULT_BYTES, SEGMENT_FLOOR_BYTES, SPARES_DEFAULT,
};
use crate::reader::{Reader, Scan};
use crate::recover::{Looked, Tail, look};
use crate::report::{Note, Recovery};
use crate::scrub::Scrub;
use crate::segment::{FIRST_FRAME, FORMAT_VERSION, Position, Segment, SegmentHead, segment_name, spare_name};
use crate::watermark::WatermarkFile;
use crate::writer::Writer;

/// How a journal is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a new segment.
    pub segment_bytes: u32,
    /// The largest payload, in bytes.
    pub max_payload_bytes: u32,
    /// A number of the caller's, best from the system's entropy, mixed into every checksum of new segments, so that no
    /// payload can imitate a frame. Older segments carry their own.
    pub salt: u64,
    /// Spare segments to keep; what a purge frees above this is removed.
    pub spares: usize,
    /// What to do about damage before the durable watermark.
    pub on_damage: OnDamage,
    /// How much to read at open.
    pub verify: Verify,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: SEGMENT_DEFAULT_BYTES,
            max_payload_bytes: PAYLOAD_DEFAULT_BYTES,
            salt: 0,
            spares: SPARES_DEFAULT,
            on_damage: OnDamage::Refuse,
            verify: Verify::Everything,
        }
    }
}

/// What to do about damage before the durable watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDamage {
    /// Do not open, and say what is damaged: right for a node that has no peer to be repaired from.
    Refuse,
    /// Open for reading only and change nothing on the disk, damaged or not: right for inspection.
    ReadOnly,
    /// Open, name the holes, write on behind them: right for a replica that rejoins as a learner.
    Serve,
}

/// How much of the log is read and checked at open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// Every frame of every segment.
    Everything,
    /// The newest segment, and every segment's head; a scan or the scrubber checks the rest as it reads it.
    Tail,
}

/// Why a journal did not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskFault),
    /// An option is out of its limits.
    #[error("{option} is {value}: it must be within {low}..={high}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What it was.
        value: u64,
        /// The least it may be.
        low: u64,
        /// The most it may be.
        high: u64,
    },
    /// A segment was written by a later version.
    #[error(
        "{file} has format version {found}, this program reads up to {FORMAT_VERSION}: use the program that wrote it or a later one"
    )]
    Version {
        /// The file.
        file: String,
        /// Its version.
        found: u16,
    },
    /// Durable records cannot be read, and the options say to refuse.
    #[error(
        "the journal is damaged before its durable watermark, not opened; restore the files from a copy, or open read-only to see what is left\n{recovery}"
    )]
    Damaged {
        /// What was found; nothing on the disk was changed.
        recovery: Box<Recovery>,
    },
}

/// Why there is no writer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriterError {
    /// It was taken before; it is given once in a journal's life.
    #[error("the journal's writer was already taken")]
    Taken,
    /// The journal was opened read-only.
    #[error("the journal is open read-only")]
    ReadOnly,
}

/// Why a purge did not happen, or not wholly; it can be asked for again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PurgeError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskFault),
    /// The journal was opened read-only.
    #[error("the journal is open read-only")]
    ReadOnly,
    /// An earlier failure of the disk ended all writing.
    #[error("the journal takes nothing more since {reason}")]
    Poisoned {
        /// What failed.
        reason: String,
    },
}

/// What a purge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Segments kept as spares.
    pub recycled: usize,
    /// Segments removed because there were spares enough.
    pub removed: usize,
}

/// A handle to an open journal; clones share it.
pub struct Journal<D: Disk> {
    shared: Arc<Shared<D>>,
}

pub(crate) struct Shared<D: Disk> {
    pub disk: D,
    pub options: Options,
    pub segments: RwLock<BTreeMap<u32, Arc<Segment<D::File>>>>,
    spares: Mutex<Spares<D::File>>,
    durable: AtomicU64,
    pub watermark: Mutex<Option<WatermarkFile<D::File>>>,
    poison: OnceLock<String>,
    /// Where the writer starts, until it is taken.
    start: Mutex<Option<Start<D::File>>>,
}

/// Where the writer starts.
struct Start<F> {
    segment: Arc<Segment<F>>,
    at: u32,
}

#[derive(Debug)]
struct Spares<F> {
    ready: Vec<Spare<F>>,
    next_name: u32,
}

/// A segment's file in waiting.
#[derive(Debug)]
pub(crate) struct Spare<F> {
    name: String,
    file: Arc<F>,
    former: u32,
}

impl<D: Disk> Clone for Journal<D> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<D: Disk> Journal<D> {
    /// Opens the journal on a disk, creating it when there is none, and recovers it. Reads everything (or the newest
    /// segment, see [`Verify`]); repairs what a stop leaves behind unless read-only.
    ///
    /// # Errors
    /// See [`OpenError`]; on `Damaged` and `Version` nothing on the disk was changed.
    pub fn open(disk: D, options: Options) -> Result<(Self, Recovery), OpenError> {
        check_options(&options)?;
        let mut looked = look(&disk, &options)?;
        if options.on_damage == OnDamage::Refuse && !looked.recovery.is_whole() {
            return Err(OpenError::Damaged { recovery: Box::new(looked.recovery) });
        }
        let read_only = options.on_damage == OnDamage::ReadOnly;
        let spares = if read_only { Vec::new() } else { repair(&disk, &options, &mut looked)? };
        let end = looked.recovery.end;
        let next_name = looked.spares.iter().filter_map(|name| crate::segment::number_in(name, "spare-")).max().unwrap_or(0) + 1;
        let shared = Arc::new(Shared {
            disk,
            options,
            segments: RwLock::new(looked.segments.iter().map(|segment| (segment.number, Arc::clone(segment))).collect()),
            spares: Mutex::new(Spares { ready: spares, next_name }),
            durable: AtomicU64::new(end.to_bits()),
            watermark: Mutex::new(looked.watermark_file.take()),
            poison: OnceLock::new(),
            start: Mutex::new(None),
        });
        let journal = Self { shared };
        if !read_only {
            // From the first open on, a lost first segment is told from one that was never there.
            let floor = match looked.watermark.floor {
                0 => looked.recovery.first.segment.max(1),
                floor => floor,
            };
            journal.prepare_writer(looked.tail, end, floor)?;
            looked.recovery.end = journal.shared.durable();
        }
        Ok((journal, looked.recovery))
    }

    /// The one writer.
    ///
    /// # Errors
    /// [`WriterError::Taken`] the second time, [`WriterError::ReadOnly`] on a read-only journal.
    pub fn writer(&self) -> Result<Writer<D>, WriterError> {
        if self.shared.options.on_damage == OnDamage::ReadOnly {
            return Err(WriterError::ReadOnly);
        }
        let start = lock(&self.shared.start).take().ok_or(WriterError::Taken)?;
        Ok(Writer::new(Arc::clone(&self.shared), start.segment, start.at))
    }

    /// A reader of single records, for any thread.
    #[must_use]
    pub fn reader(&self) -> Reader<D> {
        Reader::new(Arc::clone(&self.shared))
    }

    /// A scan from a frame's position (or [`Position::START`]) up to what is durable now.
    #[must_use]
    pub fn scan(&self, from: Position) -> Scan<D> {
        Scan::new(Arc::clone(&self.shared), from)
    }

    /// A scrubber of this journal.
    #[must_use]
    pub fn scrub(&self) -> Scrub<D> {
        Scrub::new(self.clone())
    }

    /// Everything before is durable.
    #[must_use]
    pub fn durable(&self) -> Position {
        self.shared.durable()
    }

    /// Where the first kept record may stand.
    #[must_use]
    pub fn first(&self) -> Position {
        let segments = self.shared.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.keys().next().map_or(Position::START, |number| Position { segment: *number, offset: FIRST_FRAME })
    }

    /// Why the journal takes nothing more, if so.
    #[must_use]
    pub fn poisoned(&self) -> Option<&str> {
        self.shared.poison.get().map(String::as_str)
    }

    /// Spare segments that are ready.
    #[must_use]
    pub fn spares(&self) -> usize {
        lock(&self.shared.spares).ready.len()
    }

    /// Makes one spare ready if there is none, so that the writer's next roll does not wait for a file to be filled with
    /// zeroes. For a thread beside the writer.
    ///
    /// # Errors
    /// The disk's failure; a full disk harms nothing.
    pub fn prepare_spare(&self) -> Result<(), DiskFault> {
        if self.shared.options.on_damage == OnDamage::ReadOnly || self.spares() > 0 {
            return Ok(());
        }
        let spare = self.shared.make_spare()?;
        lock(&self.shared.spares).ready.push(spare);
        Ok(())
    }

    /// Gives back whole segments whose every record stands before `upto`; the segment being written always stays. The
    /// caller must hold a state that makes them unnecessary: never pass the position of the older kept snapshot.
    /// For any thread; takes a sync for the floor and one for each segment's name.
    ///
    /// # Errors
    /// See [`PurgeError`]; what was not purged yet stays readable, and a later purge goes on.
    pub fn purge(&self, upto: Position) -> Result<Purged, PurgeError> {
        self.shared.purge(upto)
    }

    /// The disk below.
    #[must_use]
    pub fn disk(&self) -> &D {
        &self.shared.disk
    }

    /// The options it was opened with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    fn prepare_writer(&self, tail: Tail, end: Position, floor: u32) -> Result<(), OpenError> {
        let shared = &self.shared;
        if lock(&shared.watermark).is_none() {
            *lock(&shared.watermark) = Some(WatermarkFile::create(&shared.disk)?);
        }
        let (segment, at) = match tail {
            Tail::WriteOn { end, .. } => {
                let segments = shared.segments.read().unwrap_or_else(PoisonError::into_inner);
                let newest = segments.values().next_back().map(Arc::clone);
                (newest, end)
            }
            Tail::Next { .. } => (None, FIRST_FRAME),
        };
        let segment = match (segment, tail) {
            (Some(segment), _) => segment,
            (None, Tail::Next { number }) => shared.new_segment(number, end)?,
            (None, Tail::WriteOn { .. }) => shared.new_segment(1, end)?,
        };
        segment.set_end(segment.bytes);
        let durable = Position { segment: segment.number, offset: at };
        shared.set_durable(durable);
        let mut watermark = lock(&shared.watermark);
        if let Some(file) = watermark.as_mut() {
            let file = file.rewrite(durable, floor)?;
            file.sync_data().named(DiskOp::Sync, crate::watermark::WATERMARK_FILE)?;
        }
        drop(watermark);
        *lock(&shared.start) = Some(Start { segment, at });
        Ok(())
    }
}

fn check_options(options: &Options) -> Result<(), OpenError> {
    let within = |option, value: u32, low: u32, high: u32| {
        if (low..=high).contains(&value) {
            return Ok(());
        }
        Err(OpenError::Option { option, value: value.into(), low: low.into(), high: high.into() })
    };
    within("segment_bytes", options.segment_bytes, SEGMENT_FLOOR_BYTES, SEGMENT_CEILING_BYTES)?;
    // A record and the mark before it fit in one segment.
    let room = options.segment_bytes - FIRST_FRAME - 2 * HEAD_BYTES as u32;
    let most = (room / 8 * 8).min(PAYLOAD_CEILING_BYTES);
    within("max_payload_bytes", options.max_payload_bytes, 1, most)
}

/// Writes what a stop made necessary: heads' copies, the zeroed tail, the removal of left-overs. Returns the usable spares.
fn repair<D: Disk>(disk: &D, options: &Options, looked: &mut Looked<D::File>) -> Result<Vec<Spare<D::File>>, OpenError> {
    for (segment, head, copy) in &looked.repairs {
        head.write_copy(*copy, &*segment.file, &segment.name)?;
        segment.file.sync_data().named(DiskOp::Sync, &segment.name)?;
    }
    if let (Tail::WriteOn { end, zero_to, file_bytes }, Some(segment)) = (looked.tail, looked.segments.last()) {
        repair_tail(segment, end, zero_to, file_bytes)?;
    }
    for name in &looked.leftovers {
        disk.remove(name).named(DiskOp::Remove, name)?;
        looked.recovery.notes.push(Note::Removed { file: name.clone() });
    }
    let mut spares = Vec::new();
    for name in &looked.spares {
        let file = disk.open(name).named(DiskOp::Open, name)?;
        let length = file.len().named(DiskOp::Length, name)?;
        if length == u64::from(options.segment_bytes) && spares.len() < options.spares {
            spares.push(Spare { name: name.clone(), file: Arc::new(file), former: 0 });
        } else {
            disk.remove(name).named(DiskOp::Remove, name)?;
            looked.recovery.notes.push(Note::Removed { file: name.clone() });
        }
    }
    // Also makes durable what names a kill left in the cache.
    disk.sync_dir().named(DiskOp::SyncDir, "the directory")?;
    Ok(spares)
}

/// Frames of a batch that lost a part must not come to life again behind what is written next; and frames that survived a
/// kill in the cache alone must be durable before anybody builds on them.
fn repair_tail<F: DiskFile>(segment: &Segment<F>, end: u32, zero_to: u32, file_bytes: u64) -> Result<(), DiskFault> {
    let zeroes = vec![0_u8; 64 << 10];
    let from = u64::from(end).min(file_bytes);
    let to = if file_bytes < u64::from(segment.bytes) { segment.bytes } else { zero_to };
    let mut at = from;
    while at < u64::from(to) {
        let count = (u64::from(to) - at).min(zeroes.len() as u64);
        segment.file.write_all_at(&zeroes[..count as usize], at).named(DiskOp::Write, &segment.name)?;
        at += count;
    }
    segment.file.sync_data().named(DiskOp::Sync, &segment.name)
}

impl<D: Disk> Shared<D> {
    pub fn durable(&self) -> Position {
        Position::from_bits(self.durable.load(Ordering::Acquire))
    }

    pub fn set_durable(&self, position: Position) {
        self.durable.store(position.to_bits(), Ordering::Release);
    }

    pub fn poison(&self, fault: &DiskFault) -> String {
        let reason = format!("{fault}: {}", fault.source);
        self.poison.get_or_init(|| reason).clone()
    }

    pub fn poisoned(&self) -> Option<String> {
        self.poison.get().cloned()
    }

    /// Makes sure that so many spares are ready.
    pub fn reserve_spares(&self, wanted: usize) -> Result<(), DiskFault> {
        while lock(&self.spares).ready.len() < wanted {
            let spare = self.make_spare()?;
            lock(&self.spares).ready.push(spare);
        }
        Ok(())
    }

    fn make_spare(&self) -> Result<Spare<D::File>, DiskFault> {
        let mut spares = lock(&self.spares);
        let name = spare_name(spares.next_name);
        spares.next_name += 1;
        drop(spares);
        let file = self.disk.create(&name).named(DiskOp::Create, &name)?;
        let bytes = u64::from(self.options.segment_bytes);
        if let Err(source) = file.preallocate(bytes) {
            drop(file);
            // Best effort: what stays behind has the wrong length and goes at the next open.
            let _removed = self.disk.remove(&name);
            return Err(DiskFault { op: DiskOp::Preallocate, file: name, source });
        }
        Ok(Spare { name, file: Arc::new(file), former: 0 })
    }

    /// Turns a spare into segment `number`, durable by content and by name before it holds a frame.
    pub fn new_segment(&self, number: u32, previous: Position) -> Result<Arc<Segment<D::File>>, DiskFault> {
        self.reserve_spares(1)?;
        let spare = lock(&self.spares).ready.pop();
        let Some(spare) = spare else {
            return self.new_segment(number, previous);
        };
        let head =
            SegmentHead { number, salt: self.options.salt, bytes: self.options.segment_bytes, former: spare.former, previous };
        head.write(&*spare.file, &spare.name)?;
        spare.file.sync_data().named(DiskOp::Sync, &spare.name)?;
        let name = segment_name(number);
        self.disk.rename(&spare.name, &name).named(DiskOp::Rename, &spare.name)?;
        self.disk.sync_dir().named(DiskOp::SyncDir, &name)?;
        let seal = Seal::new(head.salt, number);
        let segment = Arc::new(Segment::new(number, spare.file, head.bytes, seal, head.bytes));
        self.segments.write().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::clone(&segment));
        Ok(segment)
    }

    fn purge(&self, upto: Position) -> Result<Purged, PurgeError> {
        if self.options.on_damage == OnDamage::ReadOnly {
            return Err(PurgeError::ReadOnly);
        }
        if let Some(reason) = self.poisoned() {
            return Err(PurgeError::Poisoned { reason });
        }
        let floor = upto.segment.min(self.durable().segment);
        let victims: Vec<Arc<Segment<D::File>>> = {
            let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
            segments.range(..floor).map(|(_, segment)| Arc::clone(segment)).collect()
        };
        let mut purged = Purged::default();
        if victims.is_empty() {
            return Ok(purged);
        }
        // The floor first, so that a segment which is then gone is not taken for a lost one.
        let file = match lock(&self.watermark).as_mut() {
            Some(file) => Some(file.raise_floor(floor)?),
            None => None,
        };
        if let Some(file) = file {
            file.sync_data().named(DiskOp::Sync, crate::watermark::WATERMARK_FILE)?;
        }
        for victim in victims {
            let keep = {
                let mut spares = lock(&self.spares);
                let keep = spares.ready.len() < self.options.spares && victim.bytes == self.options.segment_bytes;
                spares.next_name += u32::from(keep);
                keep.then(|| spare_name(spares.next_name - 1))
            };
            match &keep {
                Some(name) => self.disk.rename(&victim.name, name).named(DiskOp::Rename, &victim.name)?,
                None => self.disk.remove(&victim.name).named(DiskOp::Remove, &victim.name)?,
            }
            // One at a time, so that names go in order whatever the file system does. A failure is final: nobody knows then
            // which name the file has.
            if let Err(fault) = self.disk.sync_dir().named(DiskOp::SyncDir, &victim.name) {
                self.poison(&fault);
                return Err(fault.into());
            }
            self.segments.write().unwrap_or_else(PoisonError::into_inner).remove(&victim.number);
            match keep {
                Some(name) => {
                    purged.recycled += 1;
                    lock(&self.spares).ready.push(Spare { name, file: Arc::clone(&victim.file), former: victim.number });
                }
                None => purged.removed += 1,
            }
        }
        Ok(purged)
    }
}

/// Bytes that a record takes in a segment, without a mark.
pub(crate) const fn record_bytes(payload: usize) -> u32 {
    // Payloads are within their limit here, so that this stays within 32 bits.
    frame_bytes(payload) as u32
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
