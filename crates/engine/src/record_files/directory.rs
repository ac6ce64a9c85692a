//! Files in directories of a file system. What is written survives the end of the process; with
//! `fsync`, a loss of power.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use mapring_types::Result;

use super::Medium;
use crate::limits;
use crate::meta::{failed, sync_dir};

/// Files under `root`, which is made with the first one.
pub(crate) struct Directory {
    root: PathBuf,
    fsync: bool,
}

impl Directory {
    /// With `fsync`, all that is there already is made durable first.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn open(root: PathBuf, fsync: bool) -> Result<Self> {
        if fsync {
            sync_all(&root).map_err(|error| failed("sync", &root, error))?;
        }
        Ok(Self { root, fsync })
    }

    fn directory(&self, number: u64) -> PathBuf {
        self.root
            .join(format!("{:02x}", number / limits::FILES_IN_A_ROW % limits::FILE_DIRECTORIES))
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory(number).join(format!("{number:016x}"))
    }

    fn create(&self, number: u64) -> io::Result<File> {
        let path = self.path(number);
        match File::create_new(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(self.directory(number))?;
                if self.fsync {
                    sync_dir(&self.root)?;
                    self.root.parent().map_or(Ok(()), sync_dir)?;
                }
                File::create_new(&path)
            }
            other => other,
        }
    }
}

impl Medium for Directory {
    fn write(&self, number: u64, parts: [&[u8]; 3]) -> Result<()> {
        let write = || {
            let mut file = self.create(number)?;
            parts.into_iter().try_for_each(|part| file.write_all(part))
        };
        write().map_err(|error| failed("write", &self.path(number), error))
    }

    fn sync(&self, number: u64) -> Result<()> {
        if !self.fsync {
            return Ok(());
        }
        let path = self.path(number);
        let synced = File::open(&path)
            .and_then(|file| file.sync_all())
            .and_then(|()| sync_dir(&self.directory(number)));
        synced.map_err(|error| failed("fsync", &path, error))
    }

    fn read(&self, number: u64, most: usize) -> Result<Option<(Vec<u8>, u64)>> {
        let path = self.path(number);
        match read(&path, most) {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, error)),
        }
    }

    fn remove(&self, number: u64) -> Result<()> {
        let path = self.path(number);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(failed("remove", &path, error))
            }
            _ => Ok(()),
        }
    }

    fn numbers(&self) -> Result<BTreeSet<u64>> {
        let mut numbers = BTreeSet::new();
        let mut list = || {
            for directory in entries(&self.root)? {
                if directory.is_dir() {
                    let names = entries(&directory)?;
                    // What lies where no file of its number does is not ours.
                    let is_ours = |number: &u64| self.directory(*number) == directory;
                    numbers.extend(names.iter().filter_map(|path| number(path)).filter(is_ours));
                }
            }
            Ok(())
        };
        list().map_err(|error| failed("read", &self.root, error))?;
        Ok(numbers)
    }

    fn place(&self, number: u64) -> String {
        self.path(number).display().to_string()
    }
}

/// The first `most` bytes of a file, and how many it has.
fn read(path: &Path, most: usize) -> io::Result<(Vec<u8>, u64)> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let most = length.min(most as u64);
    // As long as what is read: nothing is moved on the way.
    let mut bytes = Vec::with_capacity(usize::try_from(most).unwrap_or(usize::MAX));
    file.take(most).read_to_end(&mut bytes)?;
    Ok((bytes, length))
}

/// What lies in a directory; nothing where there is none.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The number that a file's name says.
fn number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let number = u64::from_str_radix(name, 16).ok()?;
    (name == format!("{number:016x}")).then_some(number)
}

/// Has the file system that `root` lies in, if there is one, write all that it holds back.
fn sync_all(root: &Path) -> io::Result<()> {
    match File::open(root) {
        Ok(directory) => write_back(&directory),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(target_os = "linux")]
fn write_back(directory: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(directory)?)
}

/// Elsewhere all that can be asked for.
#[cfg(not(target_os = "linux"))]
fn write_back(_: &File) -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}
