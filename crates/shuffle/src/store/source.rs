//! Segments of a store as those see them who read and write them.

use std::os::unix::fs::FileExt;
use std::sync::{Arc, Weak};

use crc32fast::Hasher;
use mapring_types::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use super::Store;
use super::content::{Contents, Found};
use super::name::Name;
use crate::limits::PART_BYTES;
use crate::segment::{Sink, Source};

/// A segment of a store, to be read: it is gone when it, or its query, is removed.
#[derive(Debug)]
pub(super) struct Stored {
    contents: Weak<Mutex<Contents>>,
    name: Name,
    length: u64,
}

impl Stored {
    pub(super) fn new(contents: &Arc<Mutex<Contents>>, name: Name, length: u64) -> Self {
        Self { contents: Arc::downgrade(contents), name, length }
    }

    /// Reads it, and compares its checksum.
    ///
    /// # Errors
    /// `Corrupt` when it is another one; those of reading.
    pub(super) fn check(&self, sum: u32) -> Result<()> {
        let mut hasher = Hasher::new();
        let mut piece = vec![0; PART_BYTES.min(usize::try_from(self.length).unwrap_or(PART_BYTES))];
        let mut at = 0;
        while at < self.length {
            let rest = usize::try_from(self.length - at).unwrap_or(usize::MAX);
            let length = piece.len().min(rest);
            self.read_at(at, &mut piece[..length])?;
            hasher.update(&piece[..length]);
            at += length as u64;
        }
        if hasher.finalize() != sum {
            return Err(Error::corrupt(format!("{} is damaged: its checksum differs", self.name)));
        }
        Ok(())
    }
}

impl Source for Stored {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<()> {
        let contents = self.contents.upgrade().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("{} is not here any more", self.name))
        })?;
        let mut done = 0;
        while done < into.len() {
            let (start, rest) = (at + done as u64, &mut into[done..]);
            // Files are read without the lock: what was there stays, until it is removed.
            let found = contents.lock().find(&self.name, start, rest)?;
            done += match found {
                Found::Copied(count) => count,
                Found::File(file, at, count) => {
                    file.read_exact_at(&mut rest[..count], at).map_err(|error| {
                        let words = format!("{} cannot be read", self.name);
                        Error::new(ErrorKind::Storage, words).with_source(error)
                    })?;
                    count
                }
            };
        }
        Ok(())
    }

    fn name(&self) -> String {
        self.name.to_string()
    }
}

/// A segment that a merge writes and reads for itself. It is removed when it is dropped.
#[derive(Debug)]
pub struct Temporary {
    store: Store,
    stored: Stored,
}

impl Temporary {
    pub(super) fn new(store: Store, contents: &Arc<Mutex<Contents>>, name: Name) -> Self {
        Self { store, stored: Stored::new(contents, name, 0) }
    }
}

impl Sink for Temporary {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let contents = self.stored.contents.upgrade().ok_or_else(|| {
            let words = format!("the query of {} was removed", self.stored.name);
            Error::new(ErrorKind::Cancelled, words)
        })?;
        self.store.append(&contents, self.stored.name, self.stored.length, bytes)?;
        self.stored.length += bytes.len() as u64;
        Ok(())
    }
}

impl Source for Temporary {
    fn length(&self) -> u64 {
        self.stored.length()
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<()> {
        self.stored.read_at(at, into)
    }

    fn name(&self) -> String {
        self.stored.name()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(contents) = self.stored.contents.upgrade() {
            contents.lock().remove(&self.stored.name);
        }
    }
}
