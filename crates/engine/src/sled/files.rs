//! The files of a store: who may use them, and what makes them survive a loss of power.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mapring_types::{Error, ErrorKind, Result};

use crate::limits;
use crate::meta::{failed, sync_dir};

/// The right to use a store, as long as it lives.
pub(super) struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Takes the lock of the store in `dir`. A process that is just ending is waited for.
    pub(super) fn take(dir: &Path) -> Result<Self> {
        let path = dir.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| failed("open", &path, error))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::Error(error)) => return Err(failed("lock", &path, error)),
                Err(TryLockError::WouldBlock) if begun.elapsed() > limits::LOCK_PATIENCE => {
                    let message =
                        format!("the store in {} is in use by another process", dir.display());
                    return Err(Error::new(ErrorKind::Storage, message));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(limits::FLUSH_LOOK),
            }
        }
    }
}

/// Whether sled refused to open its file because it is locked; it says so only in words.
pub(super) fn is_locked(error: &Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

/// What sled writes: its log, and files beside it for very large pages.
pub(super) struct Files {
    log: File,
    dirs: [PathBuf; 2],
    /// Files that were fsynced. All but the log are written once.
    synced: BTreeSet<PathBuf>,
}

impl Files {
    /// Opens the files of the database in `sled` of the store in `dir`, and makes their names
    /// survive.
    pub(super) fn open(dir: &Path, sled: &Path) -> Result<Self> {
        let path = sled.join("db");
        let log = File::open(&path).map_err(|error| failed("open", &path, error))?;
        let dirs = [sled.join("blobs"), sled.to_owned()];
        let mut files = Self { log, dirs, synced: BTreeSet::new() };
        files.sync()?;
        // The store's directory may have been made a moment ago.
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        for dir in [Some(dir), parent].into_iter().flatten() {
            sync_dir(dir).map_err(|error| failed("fsync", dir, error))?;
        }
        Ok(files)
    }

    /// Fsyncs all that was written: what the log refers to before the log.
    pub(super) fn sync(&mut self) -> Result<()> {
        let mut present = BTreeSet::new();
        for dir in &self.dirs {
            let new = sync_new(dir, &self.synced, &mut present);
            new.map_err(|error| failed("fsync", dir, error))?;
        }
        self.synced = present;
        self.log.sync_all().map_err(|error| failed("fsync the log in", &self.dirs[1], error))
    }
}

/// Moves the database of the store in `dir` aside, with its mark; gives where it is now.
///
/// # Errors
/// `Storage` when it cannot be moved, or when so many lie there already that something must be wrong
/// with the medium.
pub(super) fn set_aside(dir: &Path) -> Result<PathBuf> {
    let aside = place_aside(dir)?;
    let sled = dir.join("sled");
    fs::rename(&sled, &aside).map_err(|error| failed("move aside", &sled, error))?;
    match fs::rename(dir.join("mark"), aside.join("mark")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("move aside the mark of", &sled, error));
        }
        _ => {}
    }
    sync_dir(dir).map_err(|error| failed("fsync", dir, error))?;
    tracing::error!(to = %aside.display(), "the damaged store was moved aside");
    Ok(aside)
}

/// Where the database would be moved.
///
/// # Errors
/// As [`set_aside`].
pub(super) fn place_aside(dir: &Path) -> Result<PathBuf> {
    let places = (1..=limits::SET_ASIDE).map(|number| dir.join(format!("damaged-{number}")));
    let Some(aside) = places.into_iter().find(|place| !place.exists()) else {
        let message = format!(
            "{} stores lie set aside in {}: look at the disk, and remove them",
            limits::SET_ASIDE,
            dir.display()
        );
        return Err(Error::new(ErrorKind::Storage, message));
    };
    Ok(aside)
}

/// Fsyncs the files of a directory that are not in `synced`, and the directory if there were any.
fn sync_new(
    dir: &Path,
    synced: &BTreeSet<PathBuf>,
    present: &mut BTreeSet<PathBuf>,
) -> io::Result<()> {
    let mut any = false;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !synced.contains(&path) {
            match File::open(&path).and_then(|file| file.sync_all()) {
                Ok(()) => any = true,
                // Removed meanwhile, so nothing refers to it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
        }
        present.insert(path);
    }
    if any { sync_dir(dir) } else { Ok(()) }
}
