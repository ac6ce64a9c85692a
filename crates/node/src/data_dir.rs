//! The data directory: used by one process at a time, and knowing whose it is.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use mapring_types::{Entropy, Error, ErrorKind, NodeId, Result};

/// A data directory that this process holds alone.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// The lock lasts as long as the file is open.
    _lock: File,
}

/// The mode of a directory that is its user's only …
const PRIVATE: u32 = 0o700;

/// … and what others may do by other ones.
const OTHERS: u32 = 0o077;

/// Version of the file `node-id`.
const ID_VERSION: &str = "1";

impl DataDir {
    /// Takes the directory, making it where it is missing.
    ///
    /// # Errors
    /// `Storage` when it cannot be used, `Unavailable` when another process uses it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let refuse = |error: std::io::Error| failed(path, "cannot use the data directory", error);
        fs::create_dir_all(path).map_err(refuse)?;
        let path = path.canonicalize().map_err(refuse)?;
        close_to_others(&path);
        let lock_path = path.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|error| failed(&lock_path, "cannot open", error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::unavailable(format!(
                "the data directory {} is in use by another process",
                path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(failed(&lock_path, "cannot lock", error)),
        }
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A directory inside, made where it is missing.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn subdirectory(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).map_err(|error| failed(&path, "cannot make", error))?;
        sync_directory(&self.path)?;
        Ok(path)
    }

    /// The identity kept here; a new one, fsynced, on first use.
    ///
    /// # Errors
    /// `Storage` when the file cannot be read or written, `Corrupt` when it is not as written.
    pub(crate) fn node_id(&self, entropy: &dyn Entropy) -> Result<NodeId> {
        let path = self.path.join("node-id");
        match fs::read_to_string(&path) {
            Ok(text) => parse_id(&text).ok_or_else(|| {
                Error::corrupt(format!("{} does not hold a node id", path.display()))
            }),
            Err(error) if error.kind() == IoErrorKind::NotFound => {
                // 0 is what an id is before it is set.
                let id = NodeId(entropy.next_u64().max(1));
                write_synced(&path, format!("{ID_VERSION} {id}\n").as_bytes())?;
                Ok(id)
            }
            Err(error) => Err(failed(&path, "cannot read", error)),
        }
    }
}

/// Closes a directory to other users, which somebody else may have made, or a program that left its
/// files open. What is made in it is closed by itself.
fn close_to_others(path: &Path) {
    let close = || -> std::io::Result<()> {
        if fs::metadata(path)?.permissions().mode() & OTHERS != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(PRIVATE))?;
        }
        Ok(())
    };
    if let Err(error) = close() {
        tracing::warn!(path = %path.display(), %error, "other users can see the data directory");
    }
}

fn parse_id(text: &str) -> Option<NodeId> {
    let id = text.strip_suffix('\n')?.strip_prefix(ID_VERSION)?.strip_prefix(' ')?;
    let number = u64::from_str_radix(id, 16).ok().filter(|number| *number != 0)?;
    (id.len() == 16).then_some(NodeId(number))
}

/// Writes a file so that after a power loss there is all of it or none.
fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|error| failed(path, "cannot write", error))?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

fn sync_directory(path: &Path) -> Result<()> {
    let sync = || File::open(path)?.sync_all();
    sync().map_err(|error| failed(path, "cannot sync", error))
}

fn failed(path: &Path, what: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Storage, format!("{what} {}", path.display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use mapring_types::env::SystemEntropy;

    use super::*;

    #[test]
    fn identity_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let first = DataDir::open(&path).unwrap().node_id(&SystemEntropy).unwrap();
        let second = DataDir::open(&path).unwrap().node_id(&SystemEntropy).unwrap();
        assert_eq!(first, second);
    }

    #[test]
    fn damaged_identity_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        for text in ["", "1 ", "1 0000000000000000\n", "2 00000000000000ff\n", "1 ff\n", "1 xyz\n"]
        {
            fs::write(dir.path().join("node-id"), text).unwrap();
            let error = data.node_id(&SystemEntropy).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{text:?}");
        }
        fs::write(dir.path().join("node-id"), "1 00000000000000ff\n").unwrap();
        assert_eq!(data.node_id(&SystemEntropy).unwrap(), NodeId(255));
    }

    #[test]
    fn directory_has_one_user() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::open(dir.path()).unwrap();
        let error = DataDir::open(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        drop(held);
        DataDir::open(dir.path()).unwrap();
    }
}
