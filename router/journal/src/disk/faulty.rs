//! A seeded disk in memory that keeps only what it promised, and fails on demand.
//!
//! Writes go to a page cache; a sync moves the dirty sectors to the platter. [`FaultyDisk::power_cut`] throws the cache
//! away: each sector that was not synced is lost, kept, or kept in any of its last versions, by a mode drawn from the seed
//! (all lost, all kept, a prefix, each on its own); names that were not synced are kept up to a random one, as a journalled
//! file system does. Handles from before a cut are dead. Faults to order: a failing sync (its sectors may never reach the
//! platter, even by a later sync that succeeds), a byte limit, short writes, a halt in the middle of any operation, bit flips.
//! It knows no clock and draws all randomness from its seed, so that a failure replays.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile};
use crate::rng::SplitMix64;

/// Bytes that the platter writes whole or not at all.
const SECTOR: usize = 512;

/// Versions of an unsynced sector that may surface after a cut.
const VERSIONS_KEPT: usize = 8;

/// The disk; clones share it.
#[derive(Debug, Clone)]
pub struct FaultyDisk {
    inner: Arc<Mutex<Inner>>,
}

/// A file of a [`FaultyDisk`].
#[derive(Debug)]
pub struct FaultyFile {
    inner: Arc<Mutex<Inner>>,
    node: u64,
    life: u64,
}

#[derive(Debug)]
struct Inner {
    random: SplitMix64,
    /// Counts power cuts: a handle of an older life is dead.
    life: u64,
    next_node: u64,
    nodes: BTreeMap<u64, Node>,
    names: BTreeMap<String, u64>,
    names_on_platter: BTreeMap<String, u64>,
    names_pending: Vec<NameChange>,
    syncs_until_failure: Option<u64>,
    changes_until_halt: Option<u64>,
    byte_limit: Option<u64>,
    short_writes: bool,
    syncs: u64,
}

#[derive(Debug, Default)]
struct Node {
    cache: Vec<u8>,
    platter: Vec<u8>,
    /// Sector number to the versions written since the last sync, oldest first.
    dirty: BTreeMap<usize, Vec<Vec<u8>>>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Bind(String, u64),
    Unbind(String),
    Move(String, String),
}

impl FaultyDisk {
    /// An empty disk whose faults follow `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                random: SplitMix64::new(seed),
                life: 0,
                next_node: 1,
                nodes: BTreeMap::new(),
                names: BTreeMap::new(),
                names_on_platter: BTreeMap::new(),
                names_pending: Vec::new(),
                syncs_until_failure: None,
                changes_until_halt: None,
                byte_limit: None,
                short_writes: false,
                syncs: 0,
            })),
        }
    }

    /// Cuts the power and restores it: what was not synced is lost, torn or reordered by sector; faults on order are
    /// cancelled, the byte limit stays.
    pub fn power_cut(&self, seed: u64) {
        let mut inner = self.lock();
        let mut random = SplitMix64::new(seed);
        inner.life += 1;
        inner.syncs_until_failure = None;
        inner.changes_until_halt = None;
        let kept = random.below(inner.names_pending.len() as u64 + 1) as usize;
        let pending = std::mem::take(&mut inner.names_pending);
        let mut names = std::mem::take(&mut inner.names_on_platter);
        for change in pending.into_iter().take(kept) {
            change.apply(&mut names);
        }
        inner.names = names.clone();
        inner.names_on_platter = names;
        let live: Vec<u64> = inner.names.values().copied().collect();
        inner.nodes.retain(|node, _| live.contains(node));
        for node in inner.nodes.values_mut() {
            node.power_cut(&mut random);
        }
    }

    /// The `count`-th sync from now fails (1 = the next), and those after it succeed again.
    pub fn fail_sync(&self, count: u64) {
        self.lock().syncs_until_failure = Some(count);
    }

    /// The power goes at the `count`-th change from now (1 = the next): that change and everything after it fails, until
    /// [`FaultyDisk::power_cut`] restores it.
    pub fn halt_after(&self, count: u64) {
        self.lock().changes_until_halt = Some(count);
    }

    /// Sets (or lifts) the total of bytes that all files may hold.
    pub fn limit_bytes(&self, limit: Option<u64>) {
        self.lock().byte_limit = limit;
    }

    /// Lets writes take only a part of what they are given, by the seed.
    pub fn short_writes(&self, on: bool) {
        self.lock().short_writes = on;
    }

    /// Flips one bit of a file, in the cache and on the platter; false when there is no such file or byte.
    pub fn flip_bit(&self, name: &str, byte: u64, bit: u8) -> bool {
        let mut inner = self.lock();
        let Some(node) = inner.names.get(name).copied() else {
            return false;
        };
        let Some(node) = inner.nodes.get_mut(&node) else {
            return false;
        };
        let at = usize::try_from(byte).unwrap_or(usize::MAX);
        let mask = 1_u8 << (bit & 7);
        if let Some(byte) = node.platter.get_mut(at) {
            *byte ^= mask;
        }
        node.cache.get_mut(at).map(|byte| *byte ^= mask).is_some()
    }

    /// Bytes that all files hold.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.lock().used()
    }

    /// Syncs of files and of the directory so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, node: u64, life: u64) -> FaultyFile {
        FaultyFile { inner: Arc::clone(&self.inner), node, life }
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Bind(name, node) => {
                names.insert(name, node);
            }
            Self::Unbind(name) => {
                names.remove(&name);
            }
            Self::Move(from, to) => {
                if let Some(node) = names.remove(&from) {
                    names.insert(to, node);
                }
            }
        }
    }
}

impl Node {
    fn write(&mut self, bytes: &[u8], at: usize) {
        let end = at + bytes.len();
        if self.cache.len() < end {
            self.cache.resize(end, 0);
        }
        self.cache[at..end].copy_from_slice(bytes);
        for sector in at / SECTOR..end.div_ceil(SECTOR) {
            let from = sector * SECTOR;
            let to = (from + SECTOR).min(self.cache.len());
            let versions = self.dirty.entry(sector).or_default();
            if versions.len() == VERSIONS_KEPT {
                versions.remove(0);
            }
            versions.push(self.cache[from..to].to_vec());
        }
    }

    fn put(&mut self, sector: usize, bytes: &[u8]) {
        let from = sector * SECTOR;
        let to = (from + bytes.len()).min(self.platter.len());
        if from < to {
            self.platter[from..to].copy_from_slice(&bytes[..to - from]);
        }
    }

    fn sync(&mut self) {
        self.platter.resize(self.cache.len(), 0);
        for (sector, mut versions) in std::mem::take(&mut self.dirty) {
            if let Some(last) = versions.pop() {
                self.put(sector, &last);
            }
        }
    }

    /// The kernel marks the pages clean whether or not they got there: a later sync will not try them again.
    fn sync_fails(&mut self, random: &mut SplitMix64) {
        self.platter.resize(self.cache.len(), 0);
        for (sector, mut versions) in std::mem::take(&mut self.dirty) {
            if random.chance(50)
                && let Some(last) = versions.pop()
            {
                self.put(sector, &last);
            }
        }
    }

    fn power_cut(&mut self, random: &mut SplitMix64) {
        if self.cache.len() != self.platter.len() && random.chance(50) {
            self.platter.resize(self.cache.len(), 0);
        }
        let mode = random.below(4);
        let prefix = random.below(self.dirty.len() as u64 + 1) as usize;
        for (order, (sector, versions)) in std::mem::take(&mut self.dirty).into_iter().enumerate() {
            let kept = match mode {
                0 => false,
                1 => true,
                2 => order < prefix,
                _ => random.chance(50),
            };
            if !kept {
                continue;
            }
            let version = if mode == 3 { random.below(versions.len() as u64) as usize } else { versions.len() - 1 };
            self.put(sector, &versions[version]);
        }
        self.cache.clone_from(&self.platter);
    }
}

impl Inner {
    fn used(&self) -> u64 {
        self.nodes.values().map(|node| node.cache.len() as u64).sum()
    }

    /// Counts a change towards the halt; the change that meets it does not happen.
    fn change(&mut self) -> io::Result<()> {
        match &mut self.changes_until_halt {
            None => Ok(()),
            Some(0 | 1) => {
                self.changes_until_halt = Some(0);
                Err(power_is_off())
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    fn alive(&self, life: u64) -> io::Result<()> {
        if life != self.life || self.changes_until_halt == Some(0) {
            return Err(power_is_off());
        }
        Ok(())
    }

    /// Whether a sync that comes now is one that was ordered to fail.
    fn sync_must_fail(&mut self) -> bool {
        self.syncs += 1;
        match &mut self.syncs_until_failure {
            Some(1) => {
                self.syncs_until_failure = None;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    /// How far a file may grow to hold `end` bytes.
    fn room(&self, node: u64, end: usize) -> usize {
        let len = self.nodes.get(&node).map_or(0, |node| node.cache.len());
        let Some(limit) = self.byte_limit else {
            return end;
        };
        let free = usize::try_from(limit.saturating_sub(self.used())).unwrap_or(usize::MAX);
        end.min(len.saturating_add(free))
    }

    fn node(&mut self, node: u64) -> io::Result<&mut Node> {
        self.nodes.get_mut(&node).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for FaultyDisk {
    type File = FaultyFile;

    fn create(&self, name: &str) -> io::Result<FaultyFile> {
        let mut inner = self.lock();
        inner.change()?;
        if inner.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = inner.next_node;
        inner.next_node += 1;
        inner.nodes.insert(node, Node::default());
        inner.names.insert(name.to_owned(), node);
        inner.names_pending.push(NameChange::Bind(name.to_owned(), node));
        let life = inner.life;
        drop(inner);
        Ok(self.handle(node, life))
    }

    fn open(&self, name: &str) -> io::Result<FaultyFile> {
        let inner = self.lock();
        inner.alive(inner.life)?;
        let node = *inner.names.get(name).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let life = inner.life;
        drop(inner);
        Ok(self.handle(node, life))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let inner = self.lock();
        inner.alive(inner.life)?;
        Ok(inner.names.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.change()?;
        if !inner.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let change = NameChange::Unbind(name.to_owned());
        change.clone().apply(&mut inner.names);
        inner.names_pending.push(change);
        inner.forget_unnamed();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.change()?;
        if !inner.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let change = NameChange::Move(from.to_owned(), to.to_owned());
        change.clone().apply(&mut inner.names);
        inner.names_pending.push(change);
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut inner = self.lock();
        inner.change()?;
        if inner.sync_must_fail() {
            return Err(io::Error::other("injected failure of a directory sync"));
        }
        inner.names_on_platter = inner.names.clone();
        inner.names_pending.clear();
        inner.forget_unnamed();
        Ok(())
    }
}

impl Inner {
    /// Frees files that no name, durable or not, leads to any more.
    fn forget_unnamed(&mut self) {
        if self.names_pending.is_empty() {
            let live: Vec<u64> = self.names.values().copied().collect();
            self.nodes.retain(|node, _| live.contains(node));
        }
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.lock();
        inner.alive(self.life)?;
        let node = inner.node(self.node)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(node.cache.len());
        let count = buffer.len().min(node.cache.len() - from);
        buffer[..count].copy_from_slice(&node.cache[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.lock();
        inner.alive(self.life)?;
        inner.change()?;
        let at = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut count = bytes.len();
        if inner.short_writes && count > 1 {
            count = 1 + inner.random.below(count as u64) as usize;
        }
        let end = inner.room(self.node, at + count);
        if end <= at && count > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        count = count.min(end - at);
        inner.node(self.node)?.write(&bytes[..count], at);
        Ok(count)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.lock();
        inner.alive(self.life)?;
        inner.change()?;
        if inner.sync_must_fail() {
            let mut random = inner.random.clone();
            inner.node(self.node)?.sync_fails(&mut random);
            inner.random = random;
            return Err(io::Error::other("injected failure of a sync"));
        }
        inner.node(self.node)?.sync();
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.lock();
        inner.alive(self.life)?;
        inner.change()?;
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        if inner.room(self.node, len) < len {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let node = inner.node(self.node)?;
        node.cache.resize(len, 0);
        node.dirty.retain(|sector, _| sector * SECTOR < len);
        Ok(())
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let zeroes = [0_u8; 4096];
        let mut offset = 0;
        while offset < len {
            let count = (len - offset).min(zeroes.len() as u64) as usize;
            self.write_all_at(&zeroes[..count], offset)?;
            offset += count as u64;
        }
        self.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        let mut inner = self.lock();
        inner.alive(self.life)?;
        Ok(inner.node(self.node)?.cache.len() as u64)
    }
}

impl FaultyFile {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn power_is_off() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the power is off")
}
