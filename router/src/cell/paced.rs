//! A disk shared with somebody who must not wait: large writes of the keeper go out in small, synced pieces.
//!
//! A new segment is 64 MiB of zeroes and a snapshot may be hundreds; written at once and synced at the end they stand in the
//! disk's queue before the proposer's flush, and 50,000 inputs a second then had a p99 of 2-40 ms where the raw flush has
//! 0.12 ms (measured; with pieces 0.25-0.45 ms). So on a thread that called [`may_wait`] every 256 KiB are synced, and a
//! millisecond is left to others. Other threads go through unchanged: a proposer that needs a segment now gets it now.
//!
//! It weakens nothing: more syncs, never fewer. It refuses to know what is written.

use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::primitive::{thread, thread_local};
use std::cell::Cell;
use std::io;
use std::time::Duration;
use tidegate_journal::{Disk, DiskFile};

/// Bytes between two syncs.
const PIECE: u64 = 256 << 10;
/// What is left to others after each piece: about 200 MB/s remain for the keeper.
const PAUSE: Duration = Duration::from_millis(1);

thread_local! {
    static MAY_WAIT: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread writes in pieces.
pub(crate) fn may_wait() {
    MAY_WAIT.with(|may| may.set(true));
}

/// See the module head.
#[derive(Clone, Debug)]
pub struct Paced<D>(D);

impl<D> Paced<D> {
    /// Wraps a disk.
    pub fn new(disk: D) -> Self {
        Self(disk)
    }
}

/// A file of a [`Paced`] disk.
#[derive(Debug)]
pub struct PacedFile<F> {
    inner: F,
    /// Bytes written by patient threads since the last sync.
    unsynced: AtomicU64,
}

impl<F> PacedFile<F> {
    fn new(inner: F) -> Self {
        Self { inner, unsynced: AtomicU64::new(0) }
    }
}

impl<D: Disk> Disk for Paced<D> {
    type File = PacedFile<D::File>;

    fn create(&self, name: &str) -> io::Result<Self::File> {
        self.0.create(name).map(PacedFile::new)
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        self.0.open(name).map(PacedFile::new)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.0.sync_dir()
    }
}

impl<F: DiskFile> DiskFile for PacedFile<F> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if !MAY_WAIT.with(Cell::get) {
            return self.inner.write_at(bytes, offset);
        }
        let piece = &bytes[..bytes.len().min(PIECE as usize)];
        let count = self.inner.write_at(piece, offset)?;
        if self.unsynced.fetch_add(count as u64, Ordering::Relaxed) + count as u64 >= PIECE {
            self.unsynced.store(0, Ordering::Relaxed);
            self.inner.sync_data()?;
            // Nothing is synchronised by this pause: it only leaves the disk to others.
            thread::park_timeout(PAUSE);
        }
        Ok(count)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        if !MAY_WAIT.with(Cell::get) {
            return self.inner.preallocate(len);
        }
        let zeroes = vec![0_u8; PIECE as usize];
        let mut offset = 0;
        while offset < len {
            let count = (len - offset).min(PIECE);
            self.write_all_at(&zeroes[..count as usize], offset)?;
            offset += count;
        }
        self.inner.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{PIECE, Paced, may_wait};
    use tidegate_journal::{Disk, DiskFile, FaultyDisk};

    #[test]
    fn a_patient_thread_syncs_by_the_piece_and_writes_the_same() {
        let platter = FaultyDisk::new(1);
        let disk = Paced::new(platter.clone());
        let bytes: Vec<u8> = (0..3 * PIECE + 17).map(|i| i as u8).collect();
        let write = |name: &str| {
            let file = disk.create(name).unwrap();
            file.write_all_at(&bytes, 0).unwrap();
            let before = platter.syncs();
            (file, before)
        };
        let (_, at_once) = write("now");
        assert_eq!(at_once, 0, "an impatient thread is left alone");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                may_wait();
                let (file, pieces) = write("later");
                assert_eq!(pieces, 3);
                let mut read = vec![0; bytes.len()];
                assert_eq!(file.read_full_at(&mut read, 0).unwrap(), bytes.len());
                assert!(read == bytes);
                let segment = disk.create("segment").unwrap();
                segment.preallocate(5 * PIECE / 2).unwrap();
                assert_eq!(segment.len().unwrap(), 5 * PIECE / 2);
                assert_eq!(platter.syncs(), 3 + 2 + 1, "two pieces, and the end");
            });
        });
    }
}
