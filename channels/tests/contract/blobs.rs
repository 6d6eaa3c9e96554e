//! The contract's reference implementation of [`Blobs`]: files in memory, with dials for every way in which a store says no.
//!
//! One table of bytes by address for all tenants, one record an owner; the right to read is asked of the reference router's
//! transcripts. It claims nothing about disks: those are the store's own tests.

use crate::support::Reference;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidegate_model::port::{BlobError, BlobPart, BlobReader, BlobWriter, Blobs, BoxFuture, FileFacts, FileHash, FileOwner};
use tidegate_model::{ConversationId, TenantId};

#[derive(Default)]
struct State {
    bytes: BTreeMap<FileHash, Arc<[u8]>>,
    records: BTreeMap<(FileOwner, FileHash), FileFacts>,
    damaged: BTreeSet<FileHash>,
    refuse: Option<BlobError>,
    parts_max: usize,
}

/// See the module head.
#[derive(Clone)]
pub struct Memory {
    state: Arc<Mutex<State>>,
    router: Reference,
    largest: u64,
}

impl Memory {
    pub fn new(router: Reference, largest: u64) -> Self {
        Self { state: Arc::default(), router, largest }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every upload ends like this from now on.
    pub fn refuse(&self, error: Option<BlobError>) {
        self.lock().refuse = error;
    }

    /// The bytes of an address are damaged.
    pub fn damage(&self, hash: &str) {
        self.lock().damaged.insert(FileHash::parse(hash).expect("an address"));
    }

    /// Blobs and records.
    pub fn size(&self) -> (usize, usize) {
        let state = self.lock();
        (state.bytes.len(), state.records.len())
    }

    /// The longest part that was written at once.
    pub fn parts_max(&self) -> usize {
        self.lock().parts_max
    }
}

struct Writer {
    blobs: Memory,
    owner: FileOwner,
    announced: Option<u64>,
    bytes: Vec<u8>,
}

struct Reader {
    blobs: Memory,
    hash: FileHash,
    bytes: Arc<[u8]>,
    at: usize,
}

fn ready<T: Send + 'static>(value: T) -> BoxFuture<T> {
    Box::pin(std::future::ready(value))
}

impl Blobs for Memory {
    fn largest(&self) -> u64 {
        self.largest
    }

    fn begin(&self, owner: FileOwner, announced: Option<u64>) -> BoxFuture<Result<Box<dyn BlobWriter>, BlobError>> {
        let begun = Writer { blobs: self.clone(), owner, announced, bytes: Vec::new() };
        ready(match announced {
            Some(0) => Err(BlobError::Invalid { what: "an empty file".to_owned() }),
            _ => Ok(Box::new(begun) as Box<dyn BlobWriter>),
        })
    }

    fn granted(&self, owner: FileOwner, hash: FileHash) -> BoxFuture<Result<FileFacts, BlobError>> {
        let state = self.lock();
        let same = |other: &FileOwner| (other.tenant, other.by) == (owner.tenant, owner.by);
        let found = if owner.conversation.is_none() {
            state.records.iter().find(|((other, of), _)| *of == hash && same(other)).map(|(_, facts)| facts)
        } else {
            state.records.get(&(owner, hash))
        };
        ready(found.cloned().ok_or(BlobError::Unknown))
    }

    fn shared(&self, _: TenantId, of: ConversationId, hash: FileHash) -> BoxFuture<Result<Option<FileFacts>, BlobError>> {
        ready(Ok(self.router.files(of).into_iter().rev().find(|facts| facts.hash == hash)))
    }

    fn open(&self, hash: FileHash) -> BoxFuture<Result<Box<dyn BlobReader>, BlobError>> {
        let state = self.lock();
        ready(match state.bytes.get(&hash) {
            None => Err(BlobError::Unknown),
            Some(_) if state.damaged.contains(&hash) => Err(BlobError::Damaged),
            Some(bytes) => {
                Ok(Box::new(Reader { blobs: self.clone(), hash, bytes: Arc::clone(bytes), at: 0 }) as Box<dyn BlobReader>)
            }
        })
    }
}

impl BlobWriter for Writer {
    fn write(mut self: Box<Self>, bytes: Vec<u8>) -> BoxFuture<Result<Box<dyn BlobWriter>, BlobError>> {
        self.bytes.extend_from_slice(&bytes);
        let mut state = self.blobs.lock();
        state.parts_max = state.parts_max.max(bytes.len());
        drop(state);
        let limit = self.blobs.largest;
        ready(if self.bytes.len() as u64 > limit { Err(BlobError::TooBig { limit }) } else { Ok(self as Box<dyn BlobWriter>) })
    }

    fn finish(self: Box<Self>, media_type: String, name: String) -> BoxFuture<Result<FileFacts, BlobError>> {
        let Self { blobs, owner, announced, bytes } = *self;
        let mut state = blobs.lock();
        if let Some(error) = &state.refuse {
            return ready(Err(error.clone()));
        }
        if announced.is_some_and(|announced| announced != bytes.len() as u64) {
            return ready(Err(BlobError::Invalid { what: "another length".to_owned() }));
        }
        let hash = FileHash(*blake3::hash(&bytes).as_bytes());
        let facts = FileFacts { hash, bytes: bytes.len() as u64, media_type, name };
        if let Err(what) = facts.as_ref().check() {
            return ready(Err(BlobError::Invalid { what: what.to_owned() }));
        }
        state.bytes.insert(hash, bytes.into());
        state.records.insert((owner, hash), facts.clone());
        ready(Ok(facts))
    }
}

impl BlobReader for Reader {
    fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(mut self: Box<Self>) -> BoxFuture<Result<BlobPart, BlobError>> {
        let end = self.bytes.len().min(self.at + 1_000);
        let bytes = self.bytes[self.at..end].to_vec();
        // Damage that comes while it is read: the last part is held back.
        if end == self.bytes.len() && self.blobs.lock().damaged.contains(&self.hash) {
            return ready(Err(BlobError::Damaged));
        }
        self.at = end;
        ready(Ok(BlobPart { reader: self, bytes }))
    }
}
