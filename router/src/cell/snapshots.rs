//! Snapshots of a cell: what they hold, byte by byte.
//!
//! One file holds the whole cell at one entry: every machine, the answers still owed, the transcript index; so that a restart
//! takes one file or the one before it, and never a mixture. The encoding is canonical: the same state gives the same bytes,
//! whoever came to it. `keeper` makes and writes them. It refuses to know what a machine's bytes mean, threads and disks.
//!
//! ```text
//! magic 8 | term u64 | seq u64 | log time u64 | position u64 | tenants u32 | unanswered u32
//! tenant := id u32 | length u64 | bytes      unanswered := seq u64 | tenant u32 | position u64      index := the rest
//! ```

use super::apply::Last;
use super::machines::Machines;
use tidegate_core::{Guard, Tenant};
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
