//! What is stored for whom, and how much room that takes: the store's accounts, in memory.
//!
//! A record is one file brought by one owner. Each is charged its bytes in whole blocks and one block for itself, so that many
//! tiny files cannot go unseen; the same bytes brought by two owners are charged to both. Room is set aside before the first
//! byte is written and settled at the end, so that uploads side by side cannot pass a limit together. A conversation's hour is
//! a sliding one, counted to the millisecond. It refuses to know the disk and takes the time as an argument.

use super::BlobLimits;
use std::collections::{BTreeMap, VecDeque};
use tidegate_model::file::{BlobError, FileHash, FileOwner, Uploader};
use tidegate_model::ids::{ConversationId, TenantId};
use tidegate_model::time::Millis;

/// What is charged at least, and in steps of which.
const BLOCK: u64 = 4_096;
/// The span over which a conversation's uploads are counted.
const HOUR_MS: u64 = 3_600_000;

/// What a file of so many bytes is charged.
pub(super) fn charge(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK).saturating_add(1).saturating_mul(BLOCK)
}

/// One file of one owner; ordered by address first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key {
    pub hash: FileHash,
    pub owner: FileOwner,
}

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    bytes: u64,
    used_at: u64,
    durable: bool,
    /// Uploads that are about to make it durable.
    pending: u32,
}

/// Room that was set aside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reserved {
    owner: FileOwner,
    id: u64,
    amount: u64,
}

#[derive(Clone, Copy, Debug)]
struct Spent {
    id: u64,
    at: u64,
    amount: u64,
}

/// See the module head.
#[derive(Debug, Default)]
pub(super) struct Book {
    records: BTreeMap<Key, Record>,
    tenants: BTreeMap<TenantId, u64>,
    hours: BTreeMap<(TenantId, ConversationId), VecDeque<Spent>>,
    next: u64,
}

impl Book {
    /// A record found on the disk at the start.
    pub fn found(&mut self, key: Key, bytes: u64, at: u64, now: u64) {
        self.records.insert(key, Record { bytes, used_at: at, durable: true, pending: 0 });
        *self.tenants.entry(key.owner.tenant).or_default() += charge(bytes);
        if at.saturating_add(HOUR_MS) > now {
            self.next += 1;
            let spent = Spent { id: self.next, at, amount: charge(bytes) };
            let hour = self.hours.entry((key.owner.tenant, key.owner.conversation)).or_default();
            let place = hour.partition_point(|other| other.at <= at);
            hour.insert(place, spent);
        }
    }

    /// Sets room aside.
    pub fn reserve(&mut self, owner: FileOwner, bytes: u64, limits: &BlobLimits, now: u64) -> Result<Reserved, BlobError> {
        let amount = charge(bytes);
        let used = self.tenants.get(&owner.tenant).copied().unwrap_or(0);
        if used.saturating_add(amount) > limits.tenant_bytes {
            return Err(BlobError::TenantFull { limit: limits.tenant_bytes });
        }
        let hour = self.hours.entry((owner.tenant, owner.conversation)).or_default();
        while hour.front().is_some_and(|spent| spent.at.saturating_add(HOUR_MS) <= now) {
            hour.pop_front();
        }
        let limit = limits.conversation_bytes_per_hour;
        let spent: u64 = hour.iter().map(|spent| spent.amount).sum();
        if spent.saturating_add(amount) > limit {
            let oldest = hour.front().map_or(now, |spent| spent.at);
            let retry_after = Millis((oldest.saturating_add(HOUR_MS)).saturating_sub(now).max(1));
            return Err(BlobError::TooMuch { limit, retry_after });
        }
        self.next += 1;
        // A clock that goes back leaves the order of the queue as it is.
        let at = hour.back().map_or(now, |last| last.at.max(now));
        hour.push_back(Spent { id: self.next, at, amount });
        *self.tenants.entry(owner.tenant).or_default() += amount;
        Ok(Reserved { owner, id: self.next, amount })
    }

    /// Gives room back: all of it, or what was set aside beyond `spent` bytes. The tenant's part goes in any case: a record
    /// has its own.
    pub fn settle(&mut self, reserved: &Reserved, spent: Option<u64>) {
        self.give(reserved.owner.tenant, reserved.amount);
        let place = (reserved.owner.tenant, reserved.owner.conversation);
        let Some(hour) = self.hours.get_mut(&place) else { return };
        match spent {
            Some(bytes) => {
                if let Some(entry) = hour.iter_mut().find(|entry| entry.id == reserved.id) {
                    entry.amount = charge(bytes);
                }
            }
            None => hour.retain(|entry| entry.id != reserved.id),
        }
        if hour.is_empty() {
            self.hours.remove(&place);
        }
    }

    fn give(&mut self, tenant: TenantId, amount: u64) {
        if let Some(used) = self.tenants.get_mut(&tenant) {
            *used = used.saturating_sub(amount);
            if *used == 0 {
                self.tenants.remove(&tenant);
            }
        }
    }

    /// A blob has its name and its record is being written: nothing of it may be swept.
    pub fn pend(&mut self, key: Key, bytes: u64) {
        let record = self.records.entry(key).or_default();
        record.bytes = bytes;
        record.pending += 1;
    }

    /// The record was written, or was not.
    pub fn unpend(&mut self, key: Key, durable: bool, now: u64) {
        let Some(record) = self.records.get_mut(&key) else { return };
        record.pending = record.pending.saturating_sub(1);
        if durable {
            record.used_at = record.used_at.max(now);
            if !std::mem::replace(&mut record.durable, true) {
                *self.tenants.entry(key.owner.tenant).or_default() += charge(record.bytes);
            }
        } else if record.pending == 0 && !record.durable {
            self.records.remove(&key);
        }
    }

    /// Notes that a record is used now; whether there is one.
    pub fn touch(&mut self, key: Key, now: u64) -> bool {
        match self.records.get_mut(&key) {
            Some(record) if record.durable => {
                record.used_at = record.used_at.max(now);
                true
            }
            _ => false,
        }
    }

    /// Records that nobody used since `before`.
    pub fn unused_since(&self, before: u64) -> Vec<Key> {
        let unused = |record: &Record| record.pending == 0 && record.durable && record.used_at <= before;
        self.records.iter().filter(|(_, record)| unused(record)).map(|(key, _)| *key).collect()
    }

    /// Forgets a record if nobody has used it since `before`; whether it did.
    pub fn forget(&mut self, key: Key, before: u64) -> bool {
        match self.records.get(&key) {
            Some(record) if record.pending == 0 && record.used_at <= before => {
                let amount = charge(record.bytes);
                self.records.remove(&key);
                self.give(key.owner.tenant, amount);
                true
            }
            _ => false,
        }
    }

    /// Whether there is this record, or will be.
    pub fn has(&self, key: Key) -> bool {
        self.records.contains_key(&key)
    }

    /// Whether any record names this address.
    pub fn names(&self, hash: FileHash) -> bool {
        self.of(hash).next().is_some()
    }

    /// A durable record of this address by whom the owner names, for any conversation.
    pub fn any_of(&self, hash: FileHash, owner: FileOwner) -> Option<Key> {
        let found =
            self.of(hash).find(|(key, record)| (key.owner.tenant, key.owner.by) == (owner.tenant, owner.by) && record.durable);
        found.map(|(key, _)| *key)
    }

    fn of(&self, hash: FileHash) -> impl Iterator<Item = (&Key, &Record)> {
        let first = FileOwner { tenant: TenantId(0), conversation: ConversationId(0), by: Uploader::Customer };
        self.records.range(Key { hash, owner: first }..).take_while(move |(key, _)| key.hash == hash)
    }

    /// Drops hours that are over.
    pub fn tidy(&mut self, now: u64) {
        self.hours.retain(|_, hour| hour.back().is_some_and(|spent| spent.at.saturating_add(HOUR_MS) > now));
    }

    /// Records, and what all tenants are charged, room set aside included.
    pub fn size(&self) -> (u64, u64) {
        (self.records.len() as u64, self.tenants.values().sum())
    }
}
