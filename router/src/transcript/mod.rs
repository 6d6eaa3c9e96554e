//! The transcript index: numbered items of a conversation found again, bodies read from the log.
//!
//! The machine numbers the items of a conversation from 1 without a gap; the index keeps of each item what it is, when it
//! was, and, for messages, where in the log its body stands: about eight bytes an item (`thread`). Bodies come from a
//! bounded tail of recent entries in memory (`tail`), else from the log. The index is a view: it is written by the egress
//! alone, in log order, and rebuilt at a restart from the last snapshot and the entries behind it.
//!
//! Drive it: `Transcripts::add` from the egress, [`Transcripts::read`] from any thread (it may read the disk). It refuses to
//! know who may read a transcript: that is the ports' matter.

pub(crate) mod tail;
pub(crate) mod thread;

use crate::cell::{LogError, LogFiles};
use crate::primitive::{Arc, PoisonError, RwLock};
use std::collections::{BTreeSet, HashMap};
use tail::Tail;
use thread::Thread;
use tidegate_model::codec;
use tidegate_model::file::{FileFacts, FileHash, FileRef};
use tidegate_model::input::{Inbound, InboundAct, Input, SeatAct, SeatInput};
use tidegate_model::output::Item;
use tidegate_model::port::TranscriptItem;
use tidegate_model::{ConversationId, TenantId, Timestamp};

/// Shards: a table that grows moves one of them at a time.
const SHARDS: usize = 64;
/// Items that one read returns at most.
pub const READ_MAX: usize = 1_000;
/// A body that the log no longer keeps (or cannot give any more) reads as empty; a body is never empty otherwise by the ports.
const GONE: &[u8] = b"";

/// One transcript item as the machine gave it, with the place of its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Added {
    pub conversation: ConversationId,
    pub n: u32,
    pub at: Timestamp,
    pub item: Item,
    /// Position of the entry that gave the item.
    pub entry: u64,
    /// Position of the entry that holds the body, for messages.
    pub body: Option<u64>,
}

/// All transcripts of one cell.
pub struct Transcripts {
    shards: Vec<RwLock<HashMap<(u32, u128), Thread>>>,
    tail: Tail,
    /// The log's files; none once the cell has ended, so that nobody who still holds a handle keeps the directory.
    files: RwLock<Option<Arc<dyn LogFiles>>>,
}

/// What a snapshot of the index could not be read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot's transcript index is cut short or contradicts itself at byte {at}")]
pub struct IndexError {
    /// Where.
    pub at: usize,
}

/// How much the index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TranscriptSize {
    /// Conversations.
    pub conversations: u64,
    /// Bytes of items, without the tables' own.
    pub bytes: u64,
}

impl Transcripts {
    pub(crate) fn new(tail_bytes: usize, files: Arc<dyn LogFiles>) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            tail: Tail::new(tail_bytes),
            files: RwLock::new(Some(files)),
        }
    }

    /// An index to be built beside the cell's own: it knows where bodies stand and cannot read them.
    pub(crate) fn detached() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect(), tail: Tail::new(0), files: RwLock::new(None) }
    }

    pub(crate) fn tail(&self) -> &Tail {
        &self.tail
    }

    fn shard(&self, conversation: ConversationId) -> &RwLock<HashMap<(u32, u128), Thread>> {
        // Conversation ids are hashes already; the top bits are as good as any.
        &self.shards[(conversation.0 >> 122) as usize % SHARDS]
    }

    /// Adds an item. Items of one conversation come in order; number 1 begins its transcript anew (the machine had forgotten
    /// the conversation and numbers it from 1 again).
    pub(crate) fn add(&self, tenant: TenantId, added: &Added) {
        let mut shard = self.shard(added.conversation).write().unwrap_or_else(PoisonError::into_inner);
        shard.entry((tenant.0, added.conversation.0)).or_default().push(added);
    }

    /// Newest item number of a conversation; 0 when there is none.
    #[must_use]
    pub fn head(&self, tenant: TenantId, conversation: ConversationId) -> u32 {
        let shard = self.shard(conversation).read().unwrap_or_else(PoisonError::into_inner);
        shard.get(&(tenant.0, conversation.0)).map_or(0, Thread::head)
    }

    /// Items after number `after`, at most `max` (and at most [`READ_MAX`]), oldest first, with bodies; `None` when the index
    /// does not know the conversation. A body that retention has let go reads as empty. Reads the disk when the tail in
    /// memory does not reach: call it where blocking is allowed. O(items of the conversation) in memory, one read a body.
    ///
    /// # Errors
    /// [`LogError::Damaged`] or [`LogError::Failed`] when a body cannot be read: never a wrong body.
    pub fn read(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        after: u32,
        max: usize,
    ) -> Result<Option<Vec<TranscriptItem>>, LogError> {
        let found = {
            let shard = self.shard(conversation).read().unwrap_or_else(PoisonError::into_inner);
            let Some(thread) = shard.get(&(tenant.0, conversation.0)) else { return Ok(None) };
            thread.after(after, max.min(READ_MAX))
        };
        let items = found.into_iter().map(|found| {
            let body = match found.position {
                None => Arc::from(GONE),
                Some(position) => self.body(position)?,
            };
            Ok(TranscriptItem { n: found.n, at: found.at, item: found.item, body })
        });
        items.collect::<Result<Vec<_>, LogError>>().map(Some)
    }

    /// The newest file of this address in a conversation's transcript. One read a file of the conversation, at most.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn file(&self, tenant: TenantId, conversation: ConversationId, hash: FileHash) -> Result<Option<FileFacts>, LogError> {
        let positions = {
            let shard = self.shard(conversation).read().unwrap_or_else(PoisonError::into_inner);
            shard.get(&(tenant.0, conversation.0)).map(Thread::files).unwrap_or_default()
        };
        for position in positions.into_iter().rev() {
            let body = self.body(position)?;
            if let Ok(file) = FileRef::decode(&body, 0)
                && file.hash == hash
            {
                return Ok(Some(file.facts()));
            }
        }
        Ok(None)
    }

    /// Every file that stands in a transcript. One read a file.
    ///
    /// # Errors
    /// As [`Self::read`]: a set with a hole is not given.
    pub fn files(&self) -> Result<BTreeSet<(TenantId, ConversationId, FileHash)>, LogError> {
        let mut found = BTreeSet::new();
        for shard in &self.shards {
            let places: Vec<_> = {
                let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
                let files = shard.iter().map(|(place, thread)| (*place, thread.files()));
                files.filter(|(_, files)| !files.is_empty()).collect()
            };
            for ((tenant, conversation), positions) in places {
                for position in positions {
                    let body = self.body(position)?;
                    let hash = FileRef::decode(&body, 0).map(|file| file.hash);
                    found.extend(hash.map(|hash| (TenantId(tenant), ConversationId(conversation), hash)));
                }
            }
        }
        Ok(found)
    }

    fn body(&self, position: u64) -> Result<Arc<[u8]>, LogError> {
        if let Some(body) = self.tail.body(position) {
            return Ok(body);
        }
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        let Some(files) = &*files else {
            return Err(LogError::Failed { what: "the cell has ended".to_owned() });
        };
        match files.read(position) {
            Ok(entry) => Ok(Arc::from(body_of(&entry))),
            Err(LogError::NotKept { .. }) => Ok(Arc::from(GONE)),
            Err(error) => Err(error),
        }
    }

    /// Lets go of the log's files, after the reads that are under way.
    pub(crate) fn close(&self) {
        self.files.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Forgets items whose bodies the log no longer keeps, and conversations of which nothing is left.
    pub(crate) fn forget_before(&self, position: u64) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, thread| thread.touched() >= position);
        }
    }

    /// How much is held. O(conversations).
    #[must_use]
    pub fn size(&self) -> TranscriptSize {
        let mut size = TranscriptSize::default();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            size.conversations += shard.len() as u64;
            size.bytes += shard.values().map(|thread| thread.bytes() as u64).sum::<u64>();
        }
        size
    }

    /// Writes the whole index, each shard in order of its keys: the same items give the same bytes.
    pub(crate) fn snapshot(&self, out: &mut Vec<u8>) {
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            out.extend_from_slice(&(shard.len() as u64).to_le_bytes());
            let mut threads: Vec<_> = shard.iter().collect();
            threads.sort_unstable_by_key(|(key, _)| **key);
            for ((tenant, conversation), thread) in threads {
                out.extend_from_slice(&tenant.to_le_bytes());
                out.extend_from_slice(&conversation.to_le_bytes());
                thread.encode(out);
            }
        }
    }

    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            shard.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Reads an index that [`Self::snapshot`] wrote, on top of an empty one.
    pub(crate) fn restore(&self, bytes: &[u8]) -> Result<(), IndexError> {
        let mut at = 0;
        for _ in 0..SHARDS {
            let count = u64::from_le_bytes(thread::take(bytes, &mut at)?);
            for _ in 0..count {
                let tenant = u32::from_le_bytes(thread::take(bytes, &mut at)?);
                let conversation = u128::from_le_bytes(thread::take(bytes, &mut at)?);
                let thread = Thread::decode(bytes, &mut at)?;
                let shard = self.shard(ConversationId(conversation));
                shard.write().unwrap_or_else(PoisonError::into_inner).insert((tenant, conversation), thread);
            }
        }
        if at == bytes.len() { Ok(()) } else { Err(IndexError { at }) }
    }
}

/// The body of a message's entry, or what a file's entry says of it; empty for every other entry.
pub(crate) fn body_of(entry: &[u8]) -> &[u8] {
    match codec::decode(entry).map(|entry| entry.input) {
        // A file's facts are the end of its entry, behind the account and the number of a customer's.
        Ok(Input::Inbound(Inbound { act: InboundAct::File { .. }, .. })) => entry.get(codec::HEAD_BYTES + 8..).unwrap_or(GONE),
        Ok(Input::Seat(SeatInput { act: SeatAct::SendFile { .. }, .. })) => entry.get(codec::HEAD_BYTES..).unwrap_or(GONE),
        Ok(
            Input::Inbound(Inbound { act: InboundAct::Message { body }, .. })
            | Input::Seat(SeatInput { act: SeatAct::Send { body, .. }, .. }),
        ) => body,
        _ => GONE,
    }
}

impl std::fmt::Debug for Transcripts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transcripts").field("size", &self.size()).finish_non_exhaustive()
    }
}
