//! A directory of blobs as a [`Disk`]: `<root>/<aa>/<name>`, temporaries in `<root>/tmp`.
//!
//! Names stay flat to the store; the two digits with which a blob's address begins choose its directory, so that none of them
//! grows past what file systems like. `sync_dir` syncs every directory whose names changed since it was last asked; those who
//! wait while one of them syncs find their directories done (natural batching). A failed sync is never forgotten: names that
//! were waiting on it may be lost, and nobody can tell which. It refuses to know what a blob is.
//!
//! The data directory's own lock keeps a second process out; [`Tree::open`] comes after it was taken.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_journal::Disk;

/// How names of temporaries begin.
pub(super) const TEMPORARY: &str = "tmp-";

/// See the module head.
#[derive(Debug, Clone)]
pub struct Tree {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Directories whose names changed and were not synced yet.
    dirty: Mutex<BTreeSet<PathBuf>>,
    /// Held while directories are synced.
    syncing: Mutex<()>,
    failed: AtomicBool,
}

impl Tree {
    /// Opens a tree, creating it when it is not there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(root: impl AsRef<Path>) -> io::Result<Self> {
        let root = root.as_ref().to_path_buf();
        fs::create_dir_all(root.join("tmp"))?;
        File::open(&root)?.sync_all()?;
        if let Some(parent) = root.parent() {
            File::open(parent)?.sync_all()?;
        }
        let inner = Inner { root, dirty: Mutex::default(), syncing: Mutex::default(), failed: AtomicBool::new(false) };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn directory(&self, name: &str) -> io::Result<PathBuf> {
        if name.starts_with(TEMPORARY) {
            return Ok(self.inner.root.join("tmp"));
        }
        match name.get(..2) {
            Some(two) if two.bytes().all(|byte| byte.is_ascii_hexdigit()) && !name.contains('/') => Ok(self.inner.root.join(two)),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "no name of a blob")),
        }
    }

    fn path(&self, name: &str) -> io::Result<PathBuf> {
        Ok(self.directory(name)?.join(name))
    }

    fn changed(&self, directory: PathBuf) {
        self.inner.dirty.lock().unwrap_or_else(PoisonError::into_inner).insert(directory);
    }
}

impl Disk for Tree {
    type File = File;

    fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(self.path(name)?)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        File::open(self.path(name)?)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for directory in fs::read_dir(&self.inner.root)? {
            let directory = directory?;
            if !directory.file_type()?.is_dir() {
                continue;
            }
            for entry in fs::read_dir(directory.path())? {
                names.extend(entry?.file_name().into_string().ok());
            }
        }
        names.sort();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name)?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (source, directory) = (self.path(from)?, self.directory(to)?);
        let target = directory.join(to);
        if let Err(error) = fs::rename(&source, &target) {
            if error.kind() != io::ErrorKind::NotFound || directory.is_dir() {
                return Err(error);
            }
            match fs::create_dir(&directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => self.changed(self.inner.root.clone()),
            }
            fs::rename(&source, &target)?;
        }
        self.changed(directory);
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let _turn = self.inner.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever took our directory from the set has synced it, or failed at it, before we had our turn.
        let dirty = std::mem::take(&mut *self.inner.dirty.lock().unwrap_or_else(PoisonError::into_inner));
        for directory in dirty {
            if let Err(error) = File::open(&directory).and_then(|directory| directory.sync_all()) {
                self.inner.failed.store(true, Ordering::Release);
                return Err(error);
            }
        }
        if self.inner.failed.load(Ordering::Acquire) {
            return Err(io::Error::other("an earlier sync of a directory failed"));
        }
        Ok(())
    }
}
