//! Files of a node: the blob store under the port [`Blobs`], and the sweep that keeps it small.
//!
//! [`store`] keeps bytes, [`tree`] is its directory, `book` its accounts; this file puts them on tokio's blocking threads and
//! asks the transcripts who may read what. A file is readable by a conversation when a transcript item of it names the file;
//! it stays for as long as one does, and for a grace time before. Drive it with [`Files::start`], after the node: the
//! recovered transcripts say what is needed. It refuses to know HTTP, tokens and media types.

mod book;
pub mod store;
pub mod tree;

pub use store::{Clock, Opened, Reference, Store, Swept};
pub use tree::Tree;

use crate::node::NodeHandle;
use crate::transcript::Transcripts;
use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::{Reading, Upload};
use tidegate_journal::Disk;
use tidegate_model::file::{BlobError, BlobPart, BlobReader, BlobWriter, Blobs, FileFacts, FileHash, FileOwner};
use tidegate_model::ids::{ConversationId, TenantId};
use tidegate_model::port::BoxFuture;
use tidegate_model::time::Millis;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How often what nobody needs is removed.
const SWEEP_EVERY: Duration = Duration::from_secs(86_400);
/// Files being written or read at once.
const OPEN_MAX: usize = 4_096;

/// Limits of a node's files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlobLimits {
    /// Largest file, in bytes.
    pub file_bytes: u64,
    /// What all files of a tenant may be charged (whole blocks of 4 KiB, and one for each file's record).
    pub tenant_bytes: u64,
    /// What one conversation may bring in an hour, charged the same way.
    pub conversation_bytes_per_hour: u64,
    /// How long a file stays that no transcript names.
    pub grace: Millis,
}

impl Default for BlobLimits {
    fn default() -> Self {
        Self { file_bytes: 10 << 20, tenant_bytes: 10 << 30, conversation_bytes_per_hour: 100 << 20, grace: Millis(86_400_000) }
    }
}

/// Why files cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// A limit is smaller than one file.
    #[error("{what} is {found} bytes: less than one file of the largest size is charged ({needed})")]
    Limit {
        /// Which.
        what: &'static str,
        /// What it is.
        found: u64,
        /// What it must be at least.
        needed: u64,
    },
    /// The directory.
    #[error("the directory of files cannot be read")]
    Disk(#[from] io::Error),
    /// The runtime ended.
    #[error("the runtime ended while files were opened")]
    Runtime,
}

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Counts since the start.
        #[derive(Debug, Default)]
        pub struct FileCounts {
            $($(#[$doc])* pub $name: AtomicU64,)+
        }

        impl FileCounts {
            /// All of them by name.
            #[must_use]
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed)),)+]
            }
        }
    };
}

counts! {
    /// Files stored, repetitions included.
    stored,
    /// Bytes of them.
    stored_bytes,
    /// Uploads that a limit or the disk refused.
    refused,
    /// Files opened for reading.
    opened,
    /// Files found damaged.
    damaged,
    /// Records swept.
    records_swept,
    /// Blobs swept.
    blobs_swept,
    /// Sweeps that could not be done.
    sweeps_failed,
}

struct Inner<D: Disk> {
    store: Arc<Store<D>>,
    transcripts: Arc<Transcripts>,
    runtime: Handle,
    open: Arc<Semaphore>,
    counts: Arc<FileCounts>,
}

/// The files of a node. Cheap to clone.
pub struct Files<D: Disk = Tree> {
    inner: Arc<Inner<D>>,
}

impl<D: Disk> Clone for Files<D> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

/// The system's wall clock.
#[must_use]
pub fn wall_clock() -> Clock {
    Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_millis() as u64))
}

impl<D: Disk> Files<D> {
    /// Opens the files of a node, removes what nobody needs, and does so again once a day while the result lives.
    ///
    /// # Errors
    /// [`FilesError`].
    pub async fn start(disk: D, limits: BlobLimits, clock: Clock, node: &NodeHandle) -> Result<Self, FilesError> {
        let needed = store::least(&limits);
        let least = [("files of a tenant", limits.tenant_bytes), ("an hour of a conversation", limits.conversation_bytes_per_hour)];
        if let Some((what, found)) = least.into_iter().find(|(_, found)| *found < needed) {
            return Err(FilesError::Limit { what, found, needed });
        }
        let runtime = Handle::current();
        let opened = runtime.spawn_blocking(move || Store::open(disk, limits, clock)).await.map_err(|_| FilesError::Runtime)?;
        let (store, opened) = opened?;
        let Opened { records, temporaries, broken } = opened;
        tracing::info!(records, temporaries, broken, "files opened");
        let counts = Arc::new(FileCounts::default());
        let open = Arc::new(Semaphore::new(OPEN_MAX));
        let tenants = node.cell().status().tenants.len().max(1) as u64;
        let (weak, weak_open) = (Arc::downgrade(&store), Arc::downgrade(&open));
        node.gauges().register("file_bytes", limits.tenant_bytes.saturating_mul(tenants), move || Some(weak.upgrade()?.size().1));
        node.gauges().register("files_open", OPEN_MAX as u64, move || {
            Some((OPEN_MAX - weak_open.upgrade()?.available_permits().min(OPEN_MAX)) as u64)
        });
        node.count_files(&counts);
        let inner = Inner { store, transcripts: node.cell().transcripts(), runtime: runtime.clone(), open, counts };
        let files = Self { inner: Arc::new(inner) };
        files.sweep().await;
        runtime.spawn(daily(Arc::downgrade(&files.inner)));
        Ok(files)
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<Store<D>> {
        &self.inner.store
    }

    /// Removes what nobody needs; nothing when the transcripts cannot be read whole.
    pub async fn sweep(&self) -> Swept {
        let inner = Arc::clone(&self.inner);
        let done = self.inner.runtime.spawn_blocking(move || {
            let referenced: BTreeSet<Reference> = inner.transcripts.files().map_err(io::Error::other)?;
            inner.store.sweep(&referenced)
        });
        match done.await {
            Ok(Ok(swept)) => {
                self.inner.counts.records_swept.fetch_add(swept.records, Ordering::Relaxed);
                self.inner.counts.blobs_swept.fetch_add(swept.blobs, Ordering::Relaxed);
                swept
            }
            Ok(Err(error)) => {
                self.inner.counts.sweeps_failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "files were not swept");
                Swept::default()
            }
            Err(_) => Swept::default(),
        }
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, BlobError> {
        Arc::clone(&self.inner.open).try_acquire_owned().map_err(|_| BlobError::Busy { retry_after: store::AGAIN })
    }

    /// Runs `work` where blocking is allowed.
    fn blocking<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner<D>) -> Result<R, BlobError> + Send + 'static,
    ) -> BoxFuture<Result<R, BlobError>> {
        let inner = Arc::clone(&self.inner);
        let done = self.inner.runtime.spawn_blocking(move || work(&inner));
        Box::pin(async move { done.await.unwrap_or(Err(BlobError::Closed)) })
    }
}

async fn daily<D: Disk>(files: Weak<Inner<D>>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(inner) = files.upgrade() else { return };
        Files { inner }.sweep().await;
    }
}

struct Writer<D: Disk> {
    files: Files<D>,
    upload: Upload<D>,
    place: OwnedSemaphorePermit,
}

struct Reader<D: Disk> {
    files: Files<D>,
    reading: Reading<D>,
    place: OwnedSemaphorePermit,
}

fn note<R, D: Disk>(inner: &Inner<D>, result: Result<R, BlobError>) -> Result<R, BlobError> {
    match &result {
        Err(BlobError::Damaged) => inner.counts.damaged.fetch_add(1, Ordering::Relaxed),
        Err(_) => inner.counts.refused.fetch_add(1, Ordering::Relaxed),
        Ok(_) => 0,
    };
    result
}

impl<D: Disk> Blobs for Files<D> {
    fn largest(&self) -> u64 {
        self.inner.store.limits().file_bytes
    }

    fn begin(&self, owner: FileOwner, announced: Option<u64>) -> BoxFuture<Result<Box<dyn BlobWriter>, BlobError>> {
        let files = self.clone();
        let place = match self.place() {
            Ok(place) => place,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        self.blocking(move |inner| {
            let upload = note(inner, inner.store.begin(owner, announced))?;
            Ok(Box::new(Writer { files, upload, place }) as Box<dyn BlobWriter>)
        })
    }

    fn granted(&self, owner: FileOwner, hash: FileHash) -> BoxFuture<Result<FileFacts, BlobError>> {
        self.blocking(move |inner| inner.store.granted(owner, hash))
    }

    fn shared(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        hash: FileHash,
    ) -> BoxFuture<Result<Option<FileFacts>, BlobError>> {
        self.blocking(move |inner| {
            // An address that is not here is not looked for: guessing costs no reads of the log.
            if !inner.store.holds(hash) {
                return Ok(None);
            }
            inner.transcripts.file(tenant, conversation, hash).map_err(|_| BlobError::Failed)
        })
    }

    fn open(&self, hash: FileHash) -> BoxFuture<Result<Box<dyn BlobReader>, BlobError>> {
        let files = self.clone();
        let place = match self.place() {
            Ok(place) => place,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        self.blocking(move |inner| {
            let reading = note(inner, inner.store.read(hash))?;
            inner.counts.opened.fetch_add(1, Ordering::Relaxed);
            Ok(Box::new(Reader { files, reading, place }) as Box<dyn BlobReader>)
        })
    }
}

impl<D: Disk> BlobWriter for Writer<D> {
    fn write(self: Box<Self>, bytes: Vec<u8>) -> BoxFuture<Result<Box<dyn BlobWriter>, BlobError>> {
        let mut this = self;
        this.files.clone().blocking(move |inner| {
            note(inner, this.upload.write(&bytes))?;
            Ok(this as Box<dyn BlobWriter>)
        })
    }

    fn finish(self: Box<Self>, media_type: String, name: String) -> BoxFuture<Result<FileFacts, BlobError>> {
        let Self { files, upload, place } = *self;
        files.blocking(move |inner| {
            let facts = note(inner, upload.finish(media_type, name))?;
            inner.counts.stored.fetch_add(1, Ordering::Relaxed);
            inner.counts.stored_bytes.fetch_add(facts.bytes, Ordering::Relaxed);
            drop(place);
            Ok(facts)
        })
    }
}

impl<D: Disk> BlobReader for Reader<D> {
    fn bytes(&self) -> u64 {
        self.reading.bytes()
    }

    fn read(self: Box<Self>) -> BoxFuture<Result<BlobPart, BlobError>> {
        let Self { files, mut reading, place } = *self;
        let again = files.clone();
        files.blocking(move |inner| {
            let bytes = note(inner, reading.part())?;
            Ok(BlobPart { reader: Box::new(Self { files: again, reading, place }), bytes })
        })
    }
}
