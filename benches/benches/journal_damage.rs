//! One test for all stores: 20,000 durably acknowledged records, an image without a clean end, one damage, open again.
//!
//! Three kinds of damage: one random bit in a page that holds something; every bit of the 40 bytes before one record's body
//! (where stores keep lengths and checksums); a file cut at a random byte of its used part. An outcome is *silent* when the
//! store opens, reports nothing through its interface, and a record is missing or changed. With the feature `peers`:
//! fjall, SQLite in WAL mode, redb and raft-log. `cargo bench -p tidegate-benches --features peers --bench journal_damage
//! [-- trials]` (default 100).

#![forbid(unsafe_code)]

mod journal_peers;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use journal_peers::Kind;
use tempfile::TempDir;
use tidegate_journal::rng::SplitMix64;
use tidegate_journal::{Journal, OnDamage, OpenError, Options, Position, RealDisk, Scanned};

const RECORDS: u64 = 20_000;
const A_FLUSH: u64 = 64;
const EVENT_BYTES: usize = 256;
const PAGE: usize = 4_096;

/// What a store says of itself: the records that it shows, and whether it reported damage through its interface.
struct Shown {
    records: BTreeMap<u64, Vec<u8>>,
    reported: bool,
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Opened, everything there.
    Intact,
    /// Refused, panicked, or named the damage.
    Reported,
    /// Opened, records missing, not a word.
    SilentLoss,
    /// Opened, a record changed, not a word.
    SilentChange,
}

#[derive(Default)]
struct Tally {
    outcomes: BTreeMap<Outcome, u64>,
    /// The most records lost in one silent trial.
    most_lost: u64,
    /// Trials after which the store still showed every record but at most one.
    all_but_one: u64,
    trials: u64,
}

fn main() {
    let trials = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(100);
    // Stores panic on some images; that counts as reported and need not fill the terminal.
    std::panic::set_hook(Box::new(|_| {}));
    println!("{RECORDS} records of {EVENT_BYTES} bytes, {A_FLUSH} a flush, image without a clean end\n");
    println!(
        "{:<17}{:<22}{:>7}{:>8}{:>10}{:>13}{:>15}{:>11}{:>16}",
        "store", "damage", "trials", "intact", "reported", "silent loss", "silent change", "most lost", "<=1 unreadable"
    );
    for kind in Kind::ALL {
        let image = tempfile::tempdir().expect("a directory");
        make_image(*kind, image.path());
        let shown = show(*kind, copy(image.path()).path()).expect("the sound image opens");
        assert_eq!(shown.records.len() as u64, RECORDS, "{}: the sound image is not whole", kind.name());
        let mut random = SplitMix64::new(7);
        let mut flips = Tally::default();
        for _ in 0..trials {
            flips.trial(*kind, image.path(), |directory| flip_random(directory, &mut random));
        }
        flips.print(*kind, "random bit");
        let mut heads = Tally::default();
        for bit in 0..40 * 8 {
            heads.trial(*kind, image.path(), |directory| flip_before_body(directory, RECORDS / 2, bit));
        }
        heads.print(*kind, "bit before a body");
        let mut cuts = Tally::default();
        for _ in 0..trials / 2 {
            cuts.trial(*kind, image.path(), |directory| cut(directory, &mut random));
        }
        cuts.print(*kind, "file cut");
    }
}

fn event(index: u64) -> Vec<u8> {
    let mut event = vec![0; EVENT_BYTES];
    SplitMix64::new(index ^ 0x5eed).fill(&mut event);
    event
}

/// Writes everything, copies the files while the store is still open, and only then lets it close.
fn make_image(kind: Kind, image: &Path) {
    let live = tempfile::tempdir().expect("a directory");
    let mut store = kind.create(live.path());
    for first in (0..RECORDS).step_by(A_FLUSH as usize) {
        let events: Vec<Vec<u8>> = (first..RECORDS.min(first + A_FLUSH)).map(event).collect();
        let lent: Vec<&[u8]> = events.iter().map(Vec::as_slice).collect();
        store.flush(first, &lent);
    }
    copy_into(live.path(), image);
}

impl Tally {
    fn trial(&mut self, kind: Kind, image: &Path, mut damage: impl FnMut(&Path) -> bool) {
        let trial = copy(image);
        if !damage(trial.path()) {
            return;
        }
        self.trials += 1;
        let Ok(shown) = catch_unwind(AssertUnwindSafe(|| show(kind, trial.path()))).unwrap_or(Err(())) else {
            *self.outcomes.entry(Outcome::Reported).or_default() += 1;
            return;
        };
        let lost = RECORDS.saturating_sub(shown.records.len() as u64);
        let changed = shown.records.iter().any(|(index, bytes)| *bytes != event(*index));
        self.all_but_one += u64::from(lost <= 1 && !changed);
        let outcome = match (shown.reported, changed, lost) {
            (true, ..) => Outcome::Reported,
            (false, true, _) => Outcome::SilentChange,
            (false, false, 0) => Outcome::Intact,
            (false, false, _) => Outcome::SilentLoss,
        };
        if outcome == Outcome::SilentLoss {
            self.most_lost = self.most_lost.max(lost);
        }
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    fn print(&self, kind: Kind, damage: &str) {
        let count = |outcome| self.outcomes.get(&outcome).copied().unwrap_or(0);
        println!(
            "{:<17}{damage:<22}{:>7}{:>8}{:>10}{:>13}{:>15}{:>11}{:>16}",
            kind.name(),
            self.trials,
            count(Outcome::Intact),
            count(Outcome::Reported),
            count(Outcome::SilentLoss),
            count(Outcome::SilentChange),
            self.most_lost,
            self.all_but_one
        );
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().expect("a directory");
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).expect("a path below"));
        fs::create_dir_all(target.parent().expect("a parent")).expect("a directory");
        // Empty parts of preallocated files stay holes, so that a thousand copies do not fill the disk.
        let bytes = fs::read(&path).expect("a file");
        let used = used_bytes(&bytes);
        fs::write(&target, &bytes[..used]).expect("a copy");
        let file = fs::OpenOptions::new().write(true).open(&target).expect("the copy");
        file.set_len(bytes.len() as u64).expect("its length");
    }
}

fn used_bytes(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// One bit in a page that is not all zero, over all files by their used pages.
fn flip_random(directory: &Path, random: &mut SplitMix64) -> bool {
    let mut pages = Vec::new();
    for path in files(directory) {
        let bytes = fs::read(&path).expect("a file");
        for (page, chunk) in bytes.chunks(PAGE).enumerate() {
            if chunk.iter().any(|byte| *byte != 0) {
                pages.push((path.clone(), page * PAGE, chunk.len()));
            }
        }
    }
    let (path, start, bytes) = &pages[random.below(pages.len() as u64) as usize];
    flip(path, *start + random.below(*bytes as u64) as usize, random.below(8) as u8);
    true
}

/// Bit `bit` of the 40 bytes before the body of record `index`, where its bytes stand as they are.
fn flip_before_body(directory: &Path, index: u64, bit: usize) -> bool {
    let body = event(index);
    for path in files(directory) {
        let bytes = fs::read(&path).expect("a file");
        let start = bytes.windows(32).position(|window| window == &body[..32]);
        if let Some(start) = start.filter(|start| *start >= 40) {
            flip(&path, start - 40 + bit / 8, (bit % 8) as u8);
            return true;
        }
    }
    false
}

/// Cuts the file that holds the most at a random byte of its used part.
fn cut(directory: &Path, random: &mut SplitMix64) -> bool {
    let largest =
        files(directory).into_iter().map(|path| (used_bytes(&fs::read(&path).expect("a file")), path)).max().expect("a file");
    let file = fs::OpenOptions::new().write(true).open(&largest.1).expect("a file");
    file.set_len(random.below(largest.0 as u64)).expect("a cut");
    true
}

fn flip(path: &Path, byte: usize, bit: u8) {
    let mut bytes = fs::read(path).expect("a file");
    bytes[byte] ^= 1 << bit;
    fs::write(path, bytes).expect("a file");
}

/// Opens an image and reads everything; an error is a refusal.
fn show(kind: Kind, directory: &Path) -> Result<Shown, ()> {
    match kind {
        Kind::Journal => show_journal(directory),
        #[cfg(feature = "peers")]
        Kind::RaftLog => ready_made::raft_log(directory),
        #[cfg(feature = "peers")]
        Kind::Redb => ready_made::redb(directory),
        #[cfg(feature = "peers")]
        Kind::Fjall => ready_made::fjall(directory),
        #[cfg(feature = "peers")]
        Kind::Sqlite => ready_made::sqlite(directory),
    }
}

fn show_journal(directory: &Path) -> Result<Shown, ()> {
    let disk = RealDisk::open(directory).map_err(drop)?;
    let (journal, reported) = match Journal::open(disk.clone(), Options::default()) {
        // A watermark slot or a head's copy that was repaired is said, and costs no record.
        Ok((journal, recovery)) => (journal, recovery.torn.is_some() || !recovery.notes.is_empty()),
        Err(OpenError::Damaged { .. }) => {
            let read_only = Options { on_damage: OnDamage::ReadOnly, ..Options::default() };
            (Journal::open(disk, read_only).map_err(drop)?.0, true)
        }
        Err(_) => return Err(()),
    };
    let mut records = BTreeMap::new();
    for scanned in journal.scan(Position::START) {
        if let Scanned::Entry(entry) = scanned.map_err(drop)? {
            records.insert(entry.index, entry.payload);
        }
    }
    Ok(Shown { records, reported })
}

#[cfg(feature = "peers")]
mod ready_made {
    //! Opening the ready-made stores as their users would, with their defaults.

    use std::collections::BTreeMap;
    use std::path::Path;

    use redb::{ReadableDatabase, ReadableTable};

    use super::Shown;
    use crate::journal_peers::ready_made::{REDB_TABLE, RaftTypes, raft_config};

    pub fn raft_log(directory: &Path) -> Result<Shown, ()> {
        let log = raft_log::RaftLog::<RaftTypes>::open(raft_config(directory)).map_err(drop)?;
        let mut records = BTreeMap::new();
        for entry in log.read(0, u64::MAX) {
            let ((_, index), payload) = entry.map_err(drop)?;
            records.insert(index, payload);
        }
        Ok(Shown { records, reported: false })
    }

    pub fn redb(directory: &Path) -> Result<Shown, ()> {
        let database = redb::Database::open(directory.join("events.redb")).map_err(drop)?;
        let transaction = database.begin_read().map_err(drop)?;
        let table = transaction.open_table(REDB_TABLE).map_err(drop)?;
        let mut records = BTreeMap::new();
        for entry in table.iter().map_err(drop)? {
            let (index, payload) = entry.map_err(drop)?;
            records.insert(index.value(), payload.value().to_vec());
        }
        Ok(Shown { records, reported: false })
    }

    pub fn fjall(directory: &Path) -> Result<Shown, ()> {
        let database = fjall::Database::builder(directory).open().map_err(drop)?;
        let keyspace = database.keyspace("events", fjall::KeyspaceCreateOptions::default).map_err(drop)?;
        let mut records = BTreeMap::new();
        for entry in keyspace.iter() {
            let (key, value) = entry.into_inner().map_err(drop)?;
            let key: [u8; 8] = key.as_ref().try_into().map_err(drop)?;
            records.insert(u64::from_be_bytes(key), value.to_vec());
        }
        Ok(Shown { records, reported: false })
    }

    pub fn sqlite(directory: &Path) -> Result<Shown, ()> {
        let connection = rusqlite::Connection::open(directory.join("events.sqlite")).map_err(drop)?;
        let mut select = connection.prepare("SELECT id, body FROM events").map_err(drop)?;
        let rows = select.query_map([], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, Vec<u8>>(1)?))).map_err(drop)?;
        let mut records = BTreeMap::new();
        for row in rows {
            let (index, body) = row.map_err(drop)?;
            records.insert(index, body);
        }
        Ok(Shown { records, reported: false })
    }
}
