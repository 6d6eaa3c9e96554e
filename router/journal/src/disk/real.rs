//! A directory of the file system as a [`Disk`], locked so that one process at a time uses it.
//!
//! Files are preallocated by writing zeroes, not by unwritten extents: a later overwrite then changes no metadata and
//! `fdatasync` commits data alone. The lock is an advisory lock on the file `lock`; it goes with the process, however it
//! ends. Drive it with [`RealDisk::open`]; the handle is cheap to clone and the last clone releases the lock.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, DiskFile};

/// The name of the lock file; it never shows in [`Disk::list`].
const LOCK_FILE: &str = "lock";

/// A locked directory.
#[derive(Debug, Clone)]
pub struct RealDisk {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    handle: File,
    _lock: File,
}

impl RealDisk {
    /// Opens a directory, creating it (and its parents) when it is not there, and locks it.
    ///
    /// # Errors
    /// `ResourceBusy` when another process (or another handle of this one) holds the lock; otherwise what the file system says.
    pub fn open(directory: impl AsRef<Path>) -> io::Result<Self> {
        let directory = directory.as_ref().to_path_buf();
        fs::create_dir_all(&directory)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(directory.join(LOCK_FILE))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    format!("{} is in use by another process: stop it, or name another directory", directory.display()),
                ));
            }
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        let handle = File::open(&directory)?;
        Ok(Self { inner: Arc::new(Inner { directory, handle, _lock: lock }) })
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.inner.directory
    }

    fn path(&self, name: &str) -> PathBuf {
        self.inner.directory.join(name)
    }
}

impl Disk for RealDisk {
    type File = File;

    fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(self.path(name))
    }

    fn open(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.path(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.inner.directory)? {
            let entry = entry?;
            if !entry.file_type()?.is_file() {
                continue;
            }
            if let Ok(name) = entry.file_name().into_string()
                && name != LOCK_FILE
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.inner.handle.sync_all()
    }
}

impl DiskFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        // Asked for first, so that a full disk says so before a long write, and so that the blocks lie together.
        match rustix::fs::fallocate(self, rustix::fs::FallocateFlags::empty(), 0, len) {
            Ok(()) => {}
            Err(error) if error == rustix::io::Errno::OPNOTSUPP || error == rustix::io::Errno::NOSYS => {}
            Err(error) => return Err(error.into()),
        }
        let zeroes = vec![0_u8; 1 << 20];
        let mut offset = 0;
        while offset < len {
            let count = usize::try_from(len - offset).map_or(zeroes.len(), |left| left.min(zeroes.len()));
            FileExt::write_all_at(self, &zeroes[..count], offset)?;
            offset += count as u64;
        }
        File::sync_all(self)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
