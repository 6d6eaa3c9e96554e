//! Snapshots of a cell: what they hold, who writes them, and what of the log is needed beside them.
//!
//! One file holds the whole cell at one entry: every machine, the answers still owed, the transcript index; so that a restart
//! takes one file or the one before it, and never a mixture. The keeper thread writes it and then lets the log go up to the
//! *older* kept snapshot. A snapshot that cannot be written harms nothing but the length of the next replay: it is counted
//! and told. It refuses to know what a machine's bytes mean.
//!
//! ```text
//! magic 8 | term u64 | seq u64 | log time u64 | position u64 | tenants u32 | unanswered u32
//! tenant := id u32 | length u64 | bytes      unanswered := seq u64 | tenant u32 | position u64      index := the rest
//! ```

use super::egress::SnapshotOrder;
use super::log::LogFiles;
use super::machines::Machines;
use super::shared::Shared;
use super::{apply::Last, park::Parker, single::chain};
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;
use tidegate_core::{Guard, Tenant};
use tidegate_journal::{Disk, Position, SnapshotError, SnapshotId, SnapshotStore};
use tidegate_matcher::ring::spsc;
use tidegate_model::{Seq, TenantId, Term, Timestamp};

const MAGIC: &[u8; 8] = b"TGCELL01";
/// The name of a cell's snapshots.
pub(crate) const NAME: &str = "cell";

/// An entry whose answer was still owed when the snapshot was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unanswered {
    pub seq: Seq,
    pub tenant: TenantId,
    pub position: u64,
}

/// A snapshot read back.
pub(crate) struct State<'a> {
    pub term: Term,
    pub last: Last,
    pub machines: Machines,
    pub unanswered: Vec<Unanswered>,
    pub index: &'a [u8],
}

/// Why bytes whose checksums hold are no snapshot of a cell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot cannot be read at byte {at}: {what}")]
pub struct StateError {
    /// Where.
    pub at: usize,
    /// What was found.
    pub what: String,
}

/// Serialises the machines.
pub(crate) fn state(out: &mut Vec<u8>, machines: &Machines, last: Last, term: Term, unanswered: impl Iterator<Item = Unanswered>) {
    let unanswered: Vec<Unanswered> = unanswered.collect();
    out.extend_from_slice(MAGIC);
    for word in [term.0, last.seq.0, last.at.0, last.position] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&(machines.iter().len() as u32).to_le_bytes());
    out.extend_from_slice(&(unanswered.len() as u32).to_le_bytes());
    for (id, tenant) in machines.iter() {
        out.extend_from_slice(&id.0.to_le_bytes());
        let length_at = out.len();
        out.extend_from_slice(&[0; 8]);
        tenant.snapshot(out);
        let length = (out.len() - length_at - 8) as u64;
        out[length_at..length_at + 8].copy_from_slice(&length.to_le_bytes());
    }
    for u in &unanswered {
        out.extend_from_slice(&u.seq.0.to_le_bytes());
        out.extend_from_slice(&u.tenant.0.to_le_bytes());
        out.extend_from_slice(&u.position.to_le_bytes());
    }
}

/// Reads what [`state`] wrote, with the index behind it.
pub(crate) fn read_state(bytes: &[u8], guard: Guard) -> Result<State<'_>, StateError> {
    let mut r = Reader { bytes, at: 0 };
    if &r.take::<8>()? != MAGIC {
        return Err(StateError { at: 0, what: "it does not begin as a cell's snapshot of this version does".into() });
    }
    let term = Term(r.u64()?);
    let last = Last { seq: Seq(r.u64()?), at: Timestamp(r.u64()?), position: r.u64()? };
    let tenants = r.u32()?;
    let owed = r.u32()?;
    let mut machines = Machines::guarded(guard);
    for _ in 0..tenants {
        let id = TenantId(r.u32()?);
        let length = r.u64()? as usize;
        let at = r.at;
        let state = r.slice(length)?;
        let tenant = Tenant::restore(state, guard).map_err(|e| StateError { at, what: format!("tenant {id}: {e}") })?;
        if tenant.id() != id {
            return Err(StateError { at, what: format!("tenant {id}: the state is of tenant {}", tenant.id()) });
        }
        machines.insert(tenant);
    }
    let unanswered = (0..owed)
        .map(|_| Ok(Unanswered { seq: Seq(r.u64()?), tenant: TenantId(r.u32()?), position: r.u64()? }))
        .collect::<Result<Vec<_>, StateError>>()?;
    Ok(State { term, last, machines, unanswered, index: &bytes[r.at..] })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn slice(&mut self, length: usize) -> Result<&'a [u8], StateError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            return Err(StateError {
                at: self.at,
                what: format!("{length} bytes were expected, {} are left", self.bytes.len() - self.at),
            });
        };
        let slice = &self.bytes[self.at..end];
        self.at = end;
        Ok(slice)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let mut out = [0; N];
        out.copy_from_slice(self.slice(N)?);
        Ok(out)
    }

    fn u32(&mut self) -> Result<u32, StateError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn u64(&mut self) -> Result<u64, StateError> {
        Ok(u64::from_le_bytes(self.take()?))
    }
}

/// Writes snapshots somewhere durable.
pub(crate) trait Vault: Send {
    /// Writes one; gives the position of the older one that is kept, before which the log is not needed.
    fn write(&self, order: &SnapshotOrder) -> Result<Option<u64>, SnapshotError>;
}

/// The journal's snapshot store.
pub(crate) struct DiskVault<D: Disk>(pub SnapshotStore<D>);

impl<D: Disk> Vault for DiskVault<D> {
    fn write(&self, order: &SnapshotOrder) -> Result<Option<u64>, SnapshotError> {
        let id = SnapshotId { name: NAME.to_owned(), sequence: order.seq.0 };
        match self.0.write(id, Position::from_bits(order.position), [&order.bytes]) {
            // The state at that entry is there already: nothing has been applied since.
            Ok(_) | Err(SnapshotError::NotNewer { .. }) => {}
            Err(error) => return Err(error),
        }
        let floor = self.0.purge_floor()?;
        Ok((floor > Position::START).then_some(floor.to_bits()))
    }
}

/// An embedder without a disk keeps none.
pub(crate) struct NoVault;

impl Vault for NoVault {
    fn write(&self, _: &SnapshotOrder) -> Result<Option<u64>, SnapshotError> {
        Ok(None)
    }
}

/// How often the keeper looks after the log's house.
const HOUSE: Duration = Duration::from_millis(100);

/// The keeper thread: writes what the egress hands over, keeps the log's house; ends when the egress has closed the ring.
pub(crate) fn keep(mut orders: spsc::Consumer<SnapshotOrder>, vault: &dyn Vault, files: &dyn LogFiles, shared: &Shared) {
    let parker = Parker::here();
    super::paced::may_wait();
    loop {
        match orders.poll_pop(&mut parker.context()) {
            Poll::Ready(Some(order)) => write(&order, vault, files, shared),
            Poll::Ready(None) => return,
            Poll::Pending => {
                parker.park(Some(HOUSE));
                // A spare segment made here is one that the proposer need not wait for. When it cannot be made the proposer
                // finds out by itself, and only if it needs it.
                let _found_later = files.prepare();
            }
        }
    }
}

fn write(order: &SnapshotOrder, vault: &dyn Vault, files: &dyn LogFiles, shared: &Shared) {
    match vault.write(order) {
        Ok(floor) => {
            shared.snapshot.fetch_max(order.seq.0, Ordering::Release);
            if let Some(floor) = floor {
                match files.release(floor) {
                    Ok(oldest) => shared.transcripts.forget_before(oldest),
                    Err(error) => shared.snapshot_failed(format!("the log could not be released: {error}")),
                }
            }
        }
        Err(error) => shared.snapshot_failed(chain(&error)),
    }
    shared.snapshot_under_way.store(false, Ordering::Release);
}
