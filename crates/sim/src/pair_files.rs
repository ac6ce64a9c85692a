//! The files in which a machine keeps the pairs of grouped jobs, so that these go on when all nodes were lost.
//!
//! They are real ones, in a directory of their own for each life of the node: what is left of a life that is
//! over touches nothing of the next. A save is made in one piece, so that a crash comes before it or after it;
//! what a crash can take is what was not fsynced. Where files are, that is nothing of what was saved; where they
//! are not, any of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mapring_types::{Entropy, Error, ErrorKind, Result};
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::random::Random;

/// See the module.
pub(crate) struct PairFiles {
    fsyncs: bool,
    directories: Mutex<Directories>,
}

#[derive(Default)]
struct Directories {
    present: Option<TempDir>,
    /// A copy that was made of it, to be put back.
    copy: Option<TempDir>,
}

impl PairFiles {
    pub(crate) fn new(fsyncs: bool) -> Self {
        Self { fsyncs, directories: Mutex::default() }
    }

    /// Where they are in the next life of the node, and how many queries have some there.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn open(&self) -> Result<(PathBuf, usize)> {
        let mut directories = self.directories.lock();
        if directories.present.is_none() {
            directories.present = Some(empty().map_err(failed)?);
        }
        let path = directories.present.as_ref().map(|present| present.path().to_owned());
        let path = path.unwrap_or_default();
        let is_index = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "index");
        let indexes = files(&path).map_err(failed)?.iter().filter(|path| is_index(path)).count();
        Ok((path, indexes))
    }

    /// Makes a copy of them, in place of an earlier one, whether the node runs or not.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn make_copy(&self) -> Result<()> {
        let mut directories = self.directories.lock();
        let made = directories.present.as_ref().map(|from| copy(from.path(), |_| true));
        directories.copy = made.transpose().map_err(failed)?;
        Ok(())
    }

    /// Puts the copy in place of what is there. The node must have crashed.
    pub(crate) fn put_back(&self) {
        let mut directories = self.directories.lock();
        // Without one there was nothing at that time.
        directories.present = directories.copy.take();
    }

    /// The end of a life.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn crash(&self, random: &Random) -> Result<()> {
        let mut directories = self.directories.lock();
        let survives = |bytes: &mut Vec<u8>| self.fsyncs || is_left(bytes, random);
        let left = directories.present.as_ref().map(|from| copy(from.path(), survives));
        directories.present = left.transpose().map_err(failed)?;
        Ok(())
    }
}

/// What a loss of power leaves of a file that was never fsynced; whether that is anything.
fn is_left(bytes: &mut Vec<u8>, random: &Random) -> bool {
    let length = bytes.len() as u64;
    let some = || usize::try_from(random.within(0..length)).unwrap_or(0);
    match random.below(100) {
        0..15 => return false,
        15..35 => bytes.truncate(some()),
        35..55 => {
            let (one, other) = (some(), some());
            bytes[one.min(other)..one.max(other)].fill(0);
        }
        _ => {}
    }
    true
}

/// A new directory with the files of another one, as `survives` leaves them.
fn copy(from: &Path, survives: impl Fn(&mut Vec<u8>) -> bool) -> io::Result<TempDir> {
    let to = empty()?;
    for path in files(from)? {
        let mut bytes = fs::read(&path)?;
        if let Some(name) = path.file_name().filter(|_| survives(&mut bytes)) {
            fs::write(to.path().join(name), bytes)?;
        }
    }
    Ok(to)
}

/// The files of a directory, in order.
fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(directory)?.map(|entry| Ok(entry?.path()));
    let mut paths = paths.collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

fn empty() -> io::Result<TempDir> {
    tempfile::Builder::new().prefix("mapring-sim-").tempdir()
}

fn failed(error: io::Error) -> Error {
    Error::new(ErrorKind::Storage, "the simulation cannot keep files of pairs").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(files: &PairFiles) -> Vec<u8> {
        let (path, _) = files.open().unwrap();
        fs::read(path.join("1-0.index")).unwrap_or_default()
    }

    #[test]
    fn a_crash_leaves_what_was_fsynced_and_a_part_of_the_rest() {
        let whole = vec![7; 100];
        let mut lives = [0, 0];
        for seed in 0..100 {
            for fsyncs in [true, false] {
                let (files, random) = (PairFiles::new(fsyncs), Random::new(seed));
                let (path, found) = files.open().unwrap();
                assert_eq!(found, 0);
                fs::write(path.join("1-0.index"), &whole).unwrap();
                files.crash(&random).unwrap();
                let (next, _) = files.open().unwrap();
                assert!(next != path && !path.exists());
                lives[usize::from(fsyncs)] += usize::from(saved(&files) == whole);
            }
        }
        assert_eq!(lives[1], 100);
        assert!((20..80).contains(&lives[0]), "{}", lives[0]);
    }

    #[test]
    fn a_copy_that_is_put_back_is_as_it_was() {
        let files = PairFiles::new(true);
        let (path, _) = files.open().unwrap();
        fs::write(path.join("1-0.index"), "old").unwrap();
        files.make_copy().unwrap();
        fs::write(path.join("1-0.index"), "new").unwrap();
        files.crash(&Random::new(1)).unwrap();
        assert_eq!(saved(&files), b"new");
        files.put_back();
        assert_eq!((saved(&files), files.open().unwrap().1), (b"old".to_vec(), 1));
    }
}
