//! The store: bytes in under their hash, durable before anybody is told; bytes out only as they went in.
//!
//! ```text
//! tmp-<n>                                        being written; gone at the next start
//! <64 hex>                                       a blob: exactly the bytes of its BLAKE3 hash
//! <64 hex>.<tenant>.<conversation>.<seat or 0>   a record: this owner brought that blob, as what, named how, when
//! ```
//!
//! An upload is written to a temporary, hashed on the way, synced, renamed to its address; then its record is written, synced
//! and renamed, and the directory synced. Only then is the uploader answered. The same bytes again replace the blob by an equal
//! one, which also mends a damaged one. After a sync that failed nothing is taken until the next start. Everything here blocks;
//! it runs on any [`Disk`], so that tests cut its power at every step. It refuses to know tokio and transcripts.

use super::BlobLimits;
use super::book::{Book, Key, Reserved, charge};
use super::tree::TEMPORARY;
use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidegate_journal::{Disk, DiskFile};
use tidegate_model::file::{BlobError, FileFacts, FileHash, FileOwner, FileRef, Uploader};
use tidegate_model::ids::{ConversationId, SeatId, TenantId};
use tidegate_model::time::Millis;

/// Bytes read at once.
const PART: usize = 64 * 1_024;
/// Version of records.
const RECORD: u8 = 1;
/// Bytes of a record's checksum.
const SUM: usize = 16;

/// Wall-clock milliseconds since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Where a file of a transcript stands.
pub type Reference = (TenantId, ConversationId, FileHash);

/// See the module head.
pub struct Store<D: Disk> {
    disk: D,
    limits: BlobLimits,
    clock: Clock,
    book: Mutex<Book>,
    failed: AtomicBool,
    next: AtomicU64,
}

/// What the start found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Opened {
    /// Records.
    pub records: u64,
    /// Temporaries that were removed.
    pub temporaries: u64,
    /// Records that could not be read, or whose blob is gone.
    pub broken: u64,
}

/// What a sweep removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Records that no transcript needs and nobody used for the grace time.
    pub records: u64,
    /// Blobs of no record and no transcript.
    pub blobs: u64,
}

/// An upload under way; dropping it removes what was written.
pub struct Upload<D: Disk> {
    store: Arc<Store<D>>,
    owner: FileOwner,
    file: D::File,
    temporary: Option<String>,
    reserved: Option<Reserved>,
    announced: Option<u64>,
    hasher: blake3::Hasher,
    written: u64,
}

/// A checked blob, being read.
pub struct Reading<D: Disk> {
    file: D::File,
    hash: FileHash,
    hasher: blake3::Hasher,
    bytes: u64,
    at: u64,
}

impl<D: Disk> Store<D> {
    /// Opens a store: temporaries go, records are read. O(files).
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(disk: D, limits: BlobLimits, clock: Clock) -> io::Result<(Arc<Self>, Opened)> {
        let now = clock();
        let (mut book, mut opened) = (Book::default(), Opened::default());
        let names = disk.list()?;
        for name in &names {
            if name.starts_with(TEMPORARY) {
                disk.remove(name)?;
                opened.temporaries += 1;
                continue;
            }
            let Some(key) = key_of(name) else { continue };
            let blob = key.hash.to_string();
            match read_record(&disk, name, key) {
                Some((facts, at)) if names.binary_search(&blob).is_ok() => {
                    book.found(key, facts.bytes, at.min(now), now);
                    opened.records += 1;
                }
                _ => {
                    tracing::warn!(file = %key.hash, tenant = key.owner.tenant.0, "a file's record is broken or its bytes are gone");
                    opened.broken += 1;
                }
            }
        }
        let (book, failed, next) = (Mutex::new(book), AtomicBool::new(false), AtomicU64::new(0));
        Ok((Arc::new(Self { disk, limits, clock, book, failed, next }), opened))
    }

    /// The limits.
    pub fn limits(&self) -> &BlobLimits {
        &self.limits
    }

    /// Whether a sync has failed: nothing is taken any more.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Records, and bytes that tenants are charged.
    pub fn size(&self) -> (u64, u64) {
        self.book().size()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn temporary(&self) -> String {
        format!("{TEMPORARY}{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn fault(&self, what: &'static str, error: &io::Error) -> BlobError {
        if is_full(error) {
            return BlobError::DiskFull;
        }
        tracing::error!(what, %error, "the disk of files failed");
        BlobError::Failed
    }

    /// A sync that failed is final.
    fn sync_fault(&self, what: &'static str, error: &io::Error) -> BlobError {
        self.failed.store(true, Ordering::Release);
        tracing::error!(what, %error, "a sync of files failed: no file is taken until the next start");
        BlobError::Failed
    }

    /// Begins an upload, room set aside.
    ///
    /// # Errors
    /// [`BlobError`] by limit, or of the disk.
    pub fn begin(self: &Arc<Self>, owner: FileOwner, announced: Option<u64>) -> Result<Upload<D>, BlobError> {
        if self.has_failed() {
            return Err(BlobError::Failed);
        }
        let limit = self.limits.file_bytes;
        match announced {
            Some(0) => return Err(BlobError::Invalid { what: "an empty file; expected at least 1 byte".to_owned() }),
            Some(bytes) if bytes > limit => return Err(BlobError::TooBig { limit }),
            _ => {}
        }
        let reserved = self.book().reserve(owner, announced.unwrap_or(limit), &self.limits, (self.clock)())?;
        let name = self.temporary();
        let file = match self.disk.create(&name) {
            Ok(file) => file,
            Err(error) => {
                self.book().settle(&reserved, None);
                return Err(self.fault("creating a temporary", &error));
            }
        };
        Ok(Upload {
            store: Arc::clone(self),
            owner,
            file,
            temporary: Some(name),
            reserved: Some(reserved),
            announced,
            hasher: blake3::Hasher::new(),
            written: 0,
        })
    }

    /// What an owner's record says; it counts as used now.
    ///
    /// # Errors
    /// [`BlobError::Unknown`] without one, [`BlobError::Damaged`] when it cannot be read.
    pub fn granted(&self, owner: FileOwner, hash: FileHash) -> Result<FileFacts, BlobError> {
        let key = {
            let mut book = self.book();
            let key = if owner.conversation.is_none() { book.any_of(hash, owner) } else { Some(Key { hash, owner }) };
            key.filter(|key| book.touch(*key, (self.clock)())).ok_or(BlobError::Unknown)?
        };
        read_record(&self.disk, &name_of(key), key).map(|(facts, _)| facts).ok_or(BlobError::Damaged)
    }

    /// Whether the bytes of this address are here.
    pub fn holds(&self, hash: FileHash) -> bool {
        self.disk.open(&hash.to_string()).is_ok()
    }

    /// Opens a blob and checks all of it. O(bytes).
    ///
    /// # Errors
    /// [`BlobError::Unknown`], [`BlobError::Damaged`], or of the disk.
    pub fn read(&self, hash: FileHash) -> Result<Reading<D>, BlobError> {
        let file = match self.disk.open(&hash.to_string()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(BlobError::Unknown),
            Err(error) => return Err(self.fault("opening a blob", &error)),
        };
        let bytes = file.len().map_err(|error| self.fault("measuring a blob", &error))?;
        let mut reading = Reading { file, hash, hasher: blake3::Hasher::new(), bytes, at: 0 };
        while !reading.part()?.is_empty() {}
        if bytes == 0 {
            return Err(BlobError::Damaged);
        }
        (reading.hasher, reading.at) = (blake3::Hasher::new(), 0);
        Ok(reading)
    }

    /// Removes what nobody needs: records out of their grace time that stand in no transcript, then blobs without either.
    /// `referenced` must have been read after every entry that this process logged before the grace time's end.
    ///
    /// # Errors
    /// What the disk says; what was removed before stays removed.
    pub fn sweep(&self, referenced: &BTreeSet<Reference>) -> io::Result<Swept> {
        let now = (self.clock)();
        let before = now.saturating_sub(self.limits.grace.0);
        let names = self.disk.list()?;
        let needed: BTreeSet<FileHash> = referenced.iter().map(|(.., hash)| *hash).collect();
        let mut swept = Swept::default();
        let unused = self.book().unused_since(before);
        for key in unused {
            if referenced.contains(&(key.owner.tenant, key.owner.conversation, key.hash)) {
                continue;
            }
            // Under the lock: whoever asks for the record now either used it before, or finds it gone.
            let mut book = self.book();
            if book.forget(key, before) {
                self.gone(&name_of(key))?;
                swept.records += 1;
            }
        }
        for name in names {
            let book = self.book();
            if let Some(key) = key_of(&name) {
                if !book.has(key) {
                    // Broken at the start, and of no use to anybody.
                    self.gone(&name)?;
                }
                continue;
            }
            let Some(hash) = FileHash::parse(&name).filter(|hash| !needed.contains(hash)) else { continue };
            if !book.names(hash) {
                self.gone(&name)?;
                swept.blobs += 1;
            }
        }
        self.book().tidy(now);
        Ok(swept)
    }

    fn gone(&self, name: &str) -> io::Result<()> {
        match self.disk.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn write_record(&self, key: Key, facts: FileRef<'_>) -> Result<(), BlobError> {
        let bytes = encode_record(facts, (self.clock)());
        let temporary = self.temporary();
        let written = self.disk.create(&temporary).and_then(|file| file.write_all_at(&bytes, 0).map(|()| file));
        let file = written.map_err(|error| self.fault("writing a record", &error));
        let done = file.and_then(|file| {
            file.sync_data().map_err(|error| self.sync_fault("a record", &error))?;
            self.disk.rename(&temporary, &name_of(key)).map_err(|error| self.fault("naming a record", &error))
        });
        if done.is_err() {
            let _ = self.disk.remove(&temporary);
        }
        done?;
        self.disk.sync_dir().map_err(|error| self.sync_fault("the directory", &error))
    }
}

impl<D: Disk> Upload<D> {
    /// Adds bytes.
    ///
    /// # Errors
    /// [`BlobError::TooBig`] or [`BlobError::Invalid`] past the limit or the announced length; or of the disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        let written = self.written + bytes.len() as u64;
        if written > self.store.limits.file_bytes {
            return Err(BlobError::TooBig { limit: self.store.limits.file_bytes });
        }
        if self.announced.is_some_and(|announced| written > announced) {
            return Err(self.other_length(written));
        }
        self.file.write_all_at(bytes, self.written).map_err(|error| self.store.fault("writing a temporary", &error))?;
        self.hasher.update(bytes);
        self.written = written;
        Ok(())
    }

    fn other_length(&self, written: u64) -> BlobError {
        let announced = self.announced.unwrap_or(0);
        BlobError::Invalid { what: format!("{announced} bytes were announced, {written} came") }
    }

    /// Makes it durable, and durably its owner's.
    ///
    /// # Errors
    /// [`BlobError`]; then nothing is acknowledged, and what was written goes.
    pub fn finish(mut self, media_type: String, name: String) -> Result<FileFacts, BlobError> {
        if self.announced.is_some_and(|announced| announced != self.written) {
            return Err(self.other_length(self.written));
        }
        let store = Arc::clone(&self.store);
        let hash = FileHash(*self.hasher.finalize().as_bytes());
        let facts = FileFacts { hash, bytes: self.written, media_type, name };
        facts.as_ref().check().map_err(|what| BlobError::Invalid { what: what.to_owned() })?;
        if store.has_failed() {
            return Err(BlobError::Failed);
        }
        if let Err(error) = self.file.sync_data() {
            return Err(if is_full(&error) { BlobError::DiskFull } else { store.sync_fault("a blob", &error) });
        }
        let key = Key { hash, owner: self.owner };
        {
            // Name and record in one step, as a sweep sees it.
            let mut book = store.book();
            if let Some(temporary) = &self.temporary {
                store.disk.rename(temporary, &hash.to_string()).map_err(|error| store.fault("naming a blob", &error))?;
            }
            self.temporary = None;
            book.pend(key, facts.bytes);
        }
        let written = store.write_record(key, facts.as_ref());
        let mut book = store.book();
        book.unpend(key, written.is_ok(), (store.clock)());
        if let Some(reserved) = self.reserved.take() {
            book.settle(&reserved, written.is_ok().then_some(facts.bytes));
        }
        drop(book);
        written.map(|()| facts)
    }
}

impl<D: Disk> Drop for Upload<D> {
    fn drop(&mut self) {
        if let Some(reserved) = self.reserved.take() {
            self.store.book().settle(&reserved, None);
        }
        if let Some(temporary) = self.temporary.take() {
            // One that stays is swept at the next start.
            let _ = self.store.disk.remove(&temporary);
        }
    }
}

impl<D: Disk> Reading<D> {
    /// The length.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next bytes; none at the end. The last ones come only when all were right.
    ///
    /// # Errors
    /// [`BlobError::Damaged`], or [`BlobError::Failed`] when the disk cannot be read.
    pub fn part(&mut self) -> Result<Vec<u8>, BlobError> {
        let want = usize::try_from(self.bytes - self.at).map_or(PART, |left| left.min(PART));
        let mut part = vec![0; want];
        let count = self.file.read_full_at(&mut part, self.at).map_err(|error| {
            tracing::error!(file = %self.hash, %error, "a file cannot be read");
            BlobError::Failed
        })?;
        if count < want {
            return Err(BlobError::Damaged);
        }
        self.hasher.update(&part);
        self.at += count as u64;
        if want > 0 && self.at == self.bytes && self.hasher.finalize().as_bytes() != &self.hash.0 {
            tracing::error!(file = %self.hash, "a file is damaged on the disk");
            return Err(BlobError::Damaged);
        }
        Ok(part)
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WriteZero)
}

fn name_of(key: Key) -> String {
    let Key { hash, owner: FileOwner { tenant, conversation, by } } = key;
    let seat = match by {
        Uploader::Customer => 0,
        Uploader::Seat(seat) => seat.0,
    };
    format!("{hash}.{:08x}.{:032x}.{seat:016x}", tenant.0, conversation.0)
}

fn key_of(name: &str) -> Option<Key> {
    let mut parts = name.split('.');
    let hash = FileHash::parse(parts.next()?)?;
    let tenant = TenantId(u32::from_str_radix(parts.next()?, 16).ok()?);
    let conversation = ConversationId(u128::from_str_radix(parts.next()?, 16).ok()?);
    let by = match u64::from_str_radix(parts.next()?, 16).ok()? {
        0 => Uploader::Customer,
        seat => Uploader::Seat(SeatId(seat)),
    };
    let key = Key { hash, owner: FileOwner { tenant, conversation, by } };
    (name_of(key) == name).then_some(key)
}

/// A record's facts and the time of its upload; nothing when it is not as it was written.
fn read_record<D: Disk>(disk: &D, name: &str, key: Key) -> Option<(FileFacts, u64)> {
    let file = disk.open(name).ok()?;
    let length = usize::try_from(file.len().ok()?).ok()?;
    if length > 1 + 8 + tidegate_model::file::FILE_REF_BYTES_MAX + SUM {
        return None;
    }
    let mut bytes = vec![0; length];
    if file.read_full_at(&mut bytes, 0).ok()? != length {
        return None;
    }
    decode_record(&bytes).filter(|(facts, _)| facts.hash == key.hash)
}

/// A record's bytes: what is said of the file, and when it came. O(length).
#[must_use]
pub fn encode_record(facts: FileRef<'_>, at: u64) -> Vec<u8> {
    let mut bytes = vec![RECORD];
    bytes.extend_from_slice(&at.to_le_bytes());
    facts.encode(&mut bytes);
    let sum = blake3::hash(&bytes);
    bytes.extend_from_slice(&sum.as_bytes()[..SUM]);
    bytes
}

/// Reads a record's bytes: total, for any bytes. O(length).
#[must_use]
pub fn decode_record(bytes: &[u8]) -> Option<(FileFacts, u64)> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM)?)?;
    if blake3::hash(body).as_bytes()[..SUM] != *sum {
        return None;
    }
    let (&version, rest) = body.split_first()?;
    let (at, rest) = rest.split_first_chunk::<8>()?;
    let facts = FileRef::decode(rest, 0).ok()?.facts();
    (version == RECORD).then_some((facts, u64::from_le_bytes(*at)))
}

/// The largest that a tenant's or an hour's limit must at least allow: one file of the largest size.
pub(super) fn least(limits: &BlobLimits) -> u64 {
    charge(limits.file_bytes)
}

/// A pause for callers when too much is under way.
pub(super) const AGAIN: Millis = Millis(250);
