//! A log in memory: stamped entries, back to back.
//!
//! What a run of the twin leaves behind so that anybody can replay it; append, read in order, filter by tenant. It refuses to
//! know what an entry says beyond its tenant, and makes no promise about disks: that is the journal's.

use tidegate_model::TenantId;
use tidegate_model::codec;

/// Entries in log order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryLog {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl EntryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one stamped entry.
    pub fn push(&mut self, entry: &[u8]) {
        self.bytes.extend_from_slice(entry);
        self.ends.push(self.bytes.len());
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The entry at a place from 0.
    pub fn get(&self, place: usize) -> Option<&[u8]> {
        let end = *self.ends.get(place)?;
        let from = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[from..end])
    }

    /// All entries, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        (0..self.len()).map(|place| {
            let from = place.checked_sub(1).map_or(0, |before| self.ends[before]);
            &self.bytes[from..self.ends[place]]
        })
    }

    /// The entries of one tenant, stamps as they are.
    pub fn of_tenant(&self, tenant: TenantId) -> Self {
        self.iter().filter(|entry| codec::tenant(entry) == Some(tenant)).collect()
    }
}

impl<'a> FromIterator<&'a [u8]> for EntryLog {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(entries: I) -> Self {
        let mut log = Self::new();
        for entry in entries {
            log.push(entry);
        }
        log
    }
}
