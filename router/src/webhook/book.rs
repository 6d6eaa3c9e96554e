//! Subscriptions on the disk: what an operator configured, where a delivery stands, what was given up.
//!
//! Three small files a subscription, each replaced as a whole (written beside, synced, renamed, directory synced) and each
//! under a BLAKE3 of its content: `{id}.sub` (settings and secrets), `{id}.cur` (cursor, pending events, counters),
//! `{id}.dead` (dead letters). Pending events and letters are kept with their content, so that they outlive the event
//! journal's retention. Decoding is total. It refuses to know tokio and HTTP.
//!
//! ```text
//! magic 8 "TGHOOK01" | kind u8 | blake3 of the rest 32 | postcard
//! ```

use super::plan::{Counts, Letter, Pending};
use crate::events::{Event, EventNo, Fact};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use tidegate_journal::{Disk, DiskFile};
use tidegate_model::{TenantId, Timestamp};

const MAGIC: &[u8; 8] = b"TGHOOK01";
const HEAD_BYTES: usize = 41;

/// A secret of a subscription, `whsec_` and base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// The text that both sides know.
    pub text: String,
    /// Wall time in milliseconds until which it signs; without end while it is the newest.
    pub until_ms: Option<u64>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("until_ms", &self.until_ms).finish_non_exhaustive()
    }
}

/// Why nothing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pause {
    /// An operator wished it.
    Asked,
    /// The receiver answered 410.
    Gone,
    /// There is no room for another dead letter.
    DeadLettersFull,
    /// The cursor's file was damaged: name a place by `rewind`, then go on.
    CursorDamaged,
}

impl Pause {
    /// For people and programs.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Gone => "gone",
            Self::DeadLettersFull => "dead-letters-full",
            Self::CursorDamaged => "cursor-damaged",
        }
    }
}

/// A subscription as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Its number on this node.
    pub id: u32,
    /// Whose.
    pub tenant: TenantId,
    /// Where to.
    pub url: String,
    /// Patterns of kinds; none for all.
    pub types: Vec<String>,
    /// Whether messages carry their text.
    pub include_bodies: bool,
    /// Whether, and why, nothing is sent.
    pub pause: Option<Pause>,
    /// Newest last; at most two sign at a time.
    pub secrets: Vec<Secret>,
    /// Wall time of its creation, in milliseconds.
    pub created_ms: u64,
    /// Where it began.
    pub from: EventNo,
}

/// Where the delivery stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Everything up to this number was read.
    pub read: EventNo,
    /// Of what was read, what is not delivered.
    pub pending: Vec<Pending>,
    /// Counters.
    pub counts: Counts,
    /// Gaps met: times that retention or damage took events before they were read.
    pub gaps: u64,
    /// Where the last one began and ended.
    pub last_gap: Option<(EventNo, EventNo)>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    no: EventNo,
    tenant: TenantId,
    at: u64,
    fact: Fact,
}

impl Stored {
    fn of(event: &Event) -> Self {
        Self { no: event.no, tenant: event.tenant, at: event.at.0, fact: event.fact }
    }

    fn event(self) -> Event {
        Event { no: self.no, tenant: self.tenant, at: Timestamp(self.at), fact: self.fact }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredPending {
    event: Stored,
    again: bool,
    attempts: u32,
    first_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct StoredStanding {
    read: EventNo,
    counts: Counts,
    gaps: u64,
    last_gap: Option<(EventNo, EventNo)>,
    pending: Vec<StoredPending>,
}

#[derive(Serialize, Deserialize)]
struct StoredLetter {
    event: Stored,
    attempts: u32,
    first_ms: u64,
    last_ms: u64,
    why: String,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BookError {
    /// The disk.
    #[error("{file}: {source}")]
    Disk {
        /// Which file.
        file: String,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// Its content.
    #[error("{file} is damaged: {what}")]
    Damaged {
        /// Which file.
        file: String,
        /// What was found.
        what: &'static str,
    },
}

/// Which of the three files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Settings.
    Subscription,
    /// Cursor.
    Standing,
    /// Dead letters.
    Letters,
}

impl Part {
    const fn ending(self) -> &'static str {
        match self {
            Self::Subscription => "sub",
            Self::Standing => "cur",
            Self::Letters => "dead",
        }
    }
}

fn sealed(part: Part, content: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(MAGIC);
    out.push(part as u8);
    out.extend_from_slice(&[0; 32]);
    match postcard::to_extend(content, out) {
        Ok(mut out) => {
            let hash = blake3::hash(&out[HEAD_BYTES..]);
            out[9..HEAD_BYTES].copy_from_slice(hash.as_bytes());
            out
        }
        // Every length is known and a vector grows: nothing that postcard refuses is in these types.
        Err(error) => unreachable!("a subscription's file cannot be encoded: {error}"),
    }
}

fn opened<T: DeserializeOwned>(part: Part, bytes: &[u8]) -> Result<T, &'static str> {
    if bytes.len() < HEAD_BYTES || &bytes[..8] != MAGIC || bytes[8] != part as u8 {
        return Err("it does not begin as a file of this kind and version does");
    }
    if blake3::hash(&bytes[HEAD_BYTES..]).as_bytes()[..] != bytes[9..HEAD_BYTES] {
        return Err("its checksum does not hold");
    }
    match postcard::take_from_bytes(&bytes[HEAD_BYTES..]) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err("bytes stand behind its content"),
        Err(_) => Err("its content cannot be read"),
    }
}

impl Subscription {
    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        sealed(Part::Subscription, self)
    }

    /// Reads them back.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        opened(Part::Subscription, bytes)
    }
}

impl Standing {
    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let pending = self.pending.iter().map(|p| StoredPending {
            event: Stored::of(&p.event),
            again: p.again,
            attempts: p.attempts,
            first_ms: p.first_ms,
        });
        let stored = StoredStanding {
            read: self.read,
            counts: self.counts,
            gaps: self.gaps,
            last_gap: self.last_gap,
            pending: pending.collect(),
        };
        sealed(Part::Standing, &stored)
    }

    /// Reads them back.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let stored: StoredStanding = opened(Part::Standing, bytes)?;
        let pending = stored.pending.into_iter().map(|p| Pending {
            event: p.event.event(),
            again: p.again,
            attempts: p.attempts,
            first_ms: p.first_ms,
        });
        let StoredStanding { read, counts, gaps, last_gap, .. } = stored;
        Ok(Self { read, pending: pending.collect(), counts, gaps, last_gap })
    }
}

/// The bytes of a file of dead letters.
#[must_use]
pub fn encode_letters<'a>(letters: impl Iterator<Item = &'a Letter>) -> Vec<u8> {
    let stored: Vec<StoredLetter> = letters
        .map(|letter| StoredLetter {
            event: Stored::of(&letter.event),
            attempts: letter.attempts,
            first_ms: letter.first_ms,
            last_ms: letter.last_ms,
            why: letter.why.clone(),
        })
        .collect();
    sealed(Part::Letters, &stored)
}

/// Reads them back.
///
/// # Errors
/// What is wrong with them.
pub fn decode_letters(bytes: &[u8]) -> Result<Vec<Letter>, &'static str> {
    let stored: Vec<StoredLetter> = opened(Part::Letters, bytes)?;
    let letters = stored.into_iter().map(|l| Letter {
        event: l.event.event(),
        attempts: l.attempts,
        first_ms: l.first_ms,
        last_ms: l.last_ms,
        why: l.why,
    });
    Ok(letters.collect())
}

/// The files of all subscriptions.
#[derive(Debug, Clone)]
pub(super) struct Book<D>(pub D);

impl<D: Disk> Book<D> {
    /// Numbers of the subscriptions that are there; left-overs of interrupted writes go.
    pub fn list(&self) -> Result<Vec<u32>, BookError> {
        let named = |source| BookError::Disk { file: "the directory of webhooks".to_owned(), source };
        let mut ids = Vec::new();
        for name in self.0.list().map_err(named)? {
            if name.ends_with(".new") {
                self.0.remove(&name).map_err(named)?;
            } else if let Some(id) = name.strip_suffix(".sub").and_then(|id| u32::from_str_radix(id, 16).ok()) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    pub fn write(&self, id: u32, part: Part, bytes: &[u8]) -> Result<(), BookError> {
        let name = file_name(id, part);
        let beside = format!("{name}.new");
        let act = || {
            match self.0.remove(&beside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let file = self.0.create(&beside)?;
            file.write_all_at(bytes, 0)?;
            file.sync_data()?;
            self.0.rename(&beside, &name)?;
            self.0.sync_dir()
        };
        act().map_err(|source| BookError::Disk { file: name.clone(), source })
    }

    /// A file's bytes; none when it is not there.
    pub fn read(&self, id: u32, part: Part) -> Result<Option<Vec<u8>>, BookError> {
        let name = file_name(id, part);
        let named = |source| BookError::Disk { file: name.clone(), source };
        let file = match self.0.open(&name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(named(error)),
        };
        let mut bytes = vec![0; usize::try_from(file.len().map_err(named)?).unwrap_or(usize::MAX)];
        let count = file.read_full_at(&mut bytes, 0).map_err(named)?;
        bytes.truncate(count);
        Ok(Some(bytes))
    }

    /// Removes a subscription, its settings first: what is left then belongs to nobody.
    pub fn remove(&self, id: u32) -> Result<(), BookError> {
        for part in [Part::Subscription, Part::Standing, Part::Letters] {
            let name = file_name(id, part);
            match self.0.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(BookError::Disk { file: name, source: error }),
                _ => {}
            }
        }
        self.0.sync_dir().map_err(|source| BookError::Disk { file: "the directory of webhooks".to_owned(), source })
    }
}

/// The name of a subscription's file.
pub(super) fn file_name(id: u32, part: Part) -> String {
    format!("{id:08x}.{}", part.ending())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_journal::FaultyDisk;
    use tidegate_model::Seq;

    fn subscription(url: &str) -> Subscription {
        Subscription {
            id: 7,
            tenant: TenantId(1),
            url: url.to_owned(),
            types: vec!["contact.*".to_owned()],
            include_bodies: true,
            pause: Some(Pause::Gone),
            secrets: vec![Secret { text: "whsec_AAAA".to_owned(), until_ms: Some(9) }],
            created_ms: 5,
            from: EventNo { seq: Seq(3), index: 1 },
        }
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all_at_every_cut() {
        for cut in 0..40 {
            let disk = FaultyDisk::new(cut);
            let book = Book(disk.clone());
            book.write(7, Part::Subscription, &subscription("https://old").encode()).unwrap();
            disk.halt_after(cut);
            let answered = book.write(7, Part::Subscription, &subscription("https://new").encode()).is_ok();
            disk.power_cut(cut * 31);
            assert_eq!(book.list().unwrap(), [7], "cut {cut}");
            let bytes = book.read(7, Part::Subscription).unwrap().expect("the file");
            let found = Subscription::decode(&bytes).expect("whole").url;
            assert!(
                if answered { found == "https://new" } else { found == "https://old" || found == "https://new" },
                "{cut}: {found}"
            );
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let bytes = subscription("https://example").encode();
        assert_eq!(Subscription::decode(&bytes), Ok(subscription("https://example")));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Subscription::decode(&bad).is_err(), "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert!(Subscription::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        assert!(!format!("{:?}", subscription("https://x")).contains("AAAA"));
    }
}
