//! A stopped node's journal, replayed from its first entry.
//!
//! Snapshots are ignored: what the twin shows is what the log alone says, so an equal digest also proves the snapshots that the
//! node restarted from. The directory is opened read-only (its lock is taken, so a running node is refused by name); damage
//! becomes named holes in the report. It refuses to know the node's configuration: nothing in it may change a decision.

use super::follow::Keep;
use super::replay::{Replay, ReplayReport, Unreadable};
use std::io;
use std::path::{Path, PathBuf};
use tidegate_journal::{Disk, Journal, OnDamage, OpenError, Options, Position, RealDisk, ScanError, ScanStep, Verify};
use tidegate_model::Seq;

/// The journal's group of a cell's entries.
pub const GROUP: u32 = 1;

/// Why a journal was not replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayDirError {
    /// No such directory.
    #[error("{} is no directory; name the directory of a stopped node's journal", path.display())]
    NotThere {
        /// What was named.
        path: PathBuf,
    },
    /// It cannot be opened: a running node holds its lock, or the file system refuses.
    #[error("{} cannot be opened; stop the node that uses it, or check permissions", path.display())]
    Directory {
        /// What was named.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It holds no journal that this release reads.
    #[error("the journal cannot be opened")]
    Open(#[from] OpenError),
    /// The disk failed while reading.
    #[error("the journal cannot be read on")]
    Scan(#[from] ScanError),
    /// Its beginning is not kept any more, so nothing can be replayed from scratch.
    #[error("the journal begins with entry {first}: older segments were given back; run the node with all segments retained")]
    Purged {
        /// The first entry that is kept.
        first: Seq,
    },
}

/// Replays a stopped node's journal directory, read-only.
///
/// # Errors
/// [`ReplayDirError`]; damage inside is no error but named in the report.
pub fn replay_dir(path: impl AsRef<Path>, keep: Keep) -> Result<ReplayReport, ReplayDirError> {
    let path = path.as_ref();
    if !path.is_dir() {
        return Err(ReplayDirError::NotThere { path: path.to_owned() });
    }
    let disk = RealDisk::open(path).map_err(|source| ReplayDirError::Directory { path: path.to_owned(), source })?;
    replay_disk(disk, keep)
}

/// Replays a journal on any disk, read-only.
///
/// # Errors
/// As [`replay_dir`].
pub fn replay_disk<D: Disk>(disk: D, keep: Keep) -> Result<ReplayReport, ReplayDirError> {
    // The scan checks every frame that it reads, so the opening need not.
    let options = Options { on_damage: OnDamage::ReadOnly, verify: Verify::Tail, ..Options::default() };
    let (journal, _) = Journal::open(disk, options)?;
    let mut scan = journal.scan(Position::START);
    let mut replay = Replay::new(keep);
    let mut last = Seq(0);
    let mut after_damage = false;
    while let Some(step) = scan.step()? {
        match step {
            ScanStep::Hole(hole) => {
                after_damage = true;
                replay.name(Unreadable::Damaged { hole: hole.to_string() });
            }
            ScanStep::Entry(entry) if entry.group != GROUP => {}
            ScanStep::Entry(entry) => {
                let found = Seq(entry.index);
                if last == Seq(0) && found > Seq(1) && !after_damage {
                    return Err(ReplayDirError::Purged { first: found });
                }
                if found.0 > last.0 + 1 {
                    replay.name(Unreadable::Missing { after: last, before: found });
                }
                last = found;
                replay.push(entry.payload);
            }
        }
    }
    Ok(replay.finish())
}
