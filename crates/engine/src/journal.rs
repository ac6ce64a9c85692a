//! The journal: small entries in segments, each a file, appended and removed as a whole.
//!
//! An entry is its length and its checksum (four bytes each, little-endian) and its bytes. What a
//! crash tore off at the end of a segment is not there; nothing behind a torn entry is read.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};
use mapring_types::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use crate::limits;
use crate::meta::{failed, sync_dir};

/// The segments under one directory. Entries wait in memory until the next [`Journal::write_out`].
pub(crate) struct Journal {
    dir: PathBuf,
    /// Taken before `waiting` by those who write, so that appending never waits for the medium.
    files: Mutex<Files>,
    waiting: Mutex<BTreeMap<u64, Vec<u8>>>,
}

#[derive(Default)]
struct Files {
    /// With their lengths.
    open: BTreeMap<u64, (File, u64)>,
    /// Segments written to since they were last fsynced.
    unsynced: BTreeMap<u64, File>,
    /// A file was made since the directory was last fsynced.
    new: bool,
    /// An entry is torn and could not be taken back: what came behind it would not be read.
    torn: bool,
}

impl Journal {
    /// Opens, or makes, the directory.
    pub(crate) fn open(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir).map_err(|error| failed("make", &dir, error))?;
        Ok(Self { dir, files: Mutex::default(), waiting: Mutex::default() })
    }

    /// Adds an entry to a segment.
    ///
    /// # Errors
    /// `Invalid` for an entry that is too long, `Storage` when the medium fails.
    pub(crate) fn append(&self, segment: u64, entry: &[u8]) -> Result<()> {
        let bytes = u32::try_from(entry.len()).unwrap_or(u32::MAX);
        if entry.len() > limits::JOURNAL_ENTRY_BYTES {
            return Err(Error::invalid(format!("a journal entry of {bytes} bytes is too long")));
        }
        let full = {
            let mut waiting = self.waiting.lock();
            let waiting = waiting.entry(segment).or_default();
            waiting.extend_from_slice(&bytes.to_le_bytes());
            waiting.extend_from_slice(&crc32fast::hash(entry).to_le_bytes());
            waiting.extend_from_slice(entry);
            waiting.len() >= limits::JOURNAL_BUFFER_BYTES
        };
        if full { self.write(&mut self.files.lock()) } else { Ok(()) }
    }

    /// Hands everything appended so far to the operating system; with `fsync`, to the medium.
    ///
    /// # Errors
    /// `Storage`; the entries are then tried again by the next call.
    pub(crate) fn write_out(&self, fsync: bool) -> Result<()> {
        let (unsynced, new) = {
            let mut files = self.files.lock();
            self.write(&mut files)?;
            (std::mem::take(&mut files.unsynced), std::mem::take(&mut files.new))
        };
        if !fsync {
            return Ok(());
        }
        // Others write on meanwhile; each write-out is for what was appended before it.
        for (segment, file) in unsynced {
            file.sync_data().map_err(|error| failed("fsync", &self.path(segment), error))?;
        }
        if new {
            sync_dir(&self.dir).map_err(|error| failed("fsync", &self.dir, error))?;
        }
        Ok(())
    }

    fn write(&self, files: &mut Files) -> Result<()> {
        if files.torn {
            let message = format!("the journal in {} is torn", self.dir.display());
            return Err(Error::new(ErrorKind::Storage, message));
        }
        let mut taken = std::mem::take(&mut *self.waiting.lock());
        while let Some((segment, bytes)) = taken.pop_first() {
            if let Err(error) = self.write_to(files, segment, &bytes) {
                taken.insert(segment, bytes);
                self.put_back(taken);
                return Err(failed("write", &self.path(segment), error));
            }
        }
        Ok(())
    }

    /// What was not written, before what was appended since.
    fn put_back(&self, taken: BTreeMap<u64, Vec<u8>>) {
        let mut waiting = self.waiting.lock();
        for (segment, mut bytes) in taken {
            let later = waiting.entry(segment).or_default();
            bytes.append(later);
            *later = bytes;
        }
    }

    fn write_to(&self, files: &mut Files, segment: u64, bytes: &[u8]) -> io::Result<()> {
        if let Entry::Vacant(place) = files.open.entry(segment) {
            let file = File::options().append(true).create(true).open(self.path(segment))?;
            let length = file.metadata()?.len();
            place.insert((file, length));
            files.new = true;
        }
        let Some((file, length)) = files.open.get_mut(&segment) else { return Ok(()) };
        if let Err(error) = file.write_all(bytes) {
            files.torn = file.set_len(*length).is_err();
            return Err(error);
        }
        *length += bytes.len() as u64;
        if let Entry::Vacant(place) = files.unsynced.entry(segment) {
            place.insert(file.try_clone()?);
        }
        Ok(())
    }

    /// All segments in order, with their entries in order.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn read(&self) -> Result<Vec<(u64, Vec<Bytes>)>> {
        self.write(&mut self.files.lock())?;
        let names = fs::read_dir(&self.dir).map_err(|error| failed("read", &self.dir, error))?;
        let mut segments = Vec::new();
        for name in names {
            let name = name.map_err(|error| failed("read", &self.dir, error))?.file_name();
            segments.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        segments.sort_unstable();
        let read = |segment| {
            let path = self.path(segment);
            let bytes = fs::read(&path).map_err(|error| failed("read", &path, error))?;
            Ok((segment, entries(bytes.into(), &path)))
        };
        segments.into_iter().map(read).collect()
    }

    /// Removes a segment; removing none is no error.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn remove(&self, segment: u64) -> Result<()> {
        {
            let mut files = self.files.lock();
            self.waiting.lock().remove(&segment);
            files.open.remove(&segment);
            files.unsynced.remove(&segment);
        }
        match fs::remove_file(self.path(segment)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &self.path(segment), error))
            }
            _ => Ok(()),
        }
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.dir.join(segment.to_string())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Err(error) = self.write(&mut self.files.lock()) {
            tracing::warn!(%error, "the end of the journal is lost");
        }
    }
}

fn entries(mut bytes: Bytes, path: &Path) -> Vec<Bytes> {
    let mut entries = Vec::new();
    while bytes.len() >= 8 {
        let length = usize::try_from(bytes.get_u32_le()).unwrap_or(usize::MAX);
        let checksum = bytes.get_u32_le();
        if length > bytes.len() || crc32fast::hash(&bytes[..length]) != checksum {
            tracing::warn!(path = %path.display(), "the journal ends in a torn entry");
            break;
        }
        entries.push(bytes.split_to(length));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_end_is_left_out_and_later_segments_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path().join("journal")).unwrap();
        for (segment, entry) in [(1, "one"), (1, "two"), (2, "three")] {
            journal.append(segment, entry.as_bytes()).unwrap();
        }
        journal.write_out(true).unwrap();
        drop(journal);
        let path = dir.path().join("journal/1");
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let read = Journal::open(dir.path().join("journal")).unwrap().read().unwrap();
            let first: &[&[u8]] = if cut >= 11 { &[b"one"] } else { &[] };
            assert_eq!(read[0], (1, first.iter().map(|e| Bytes::copy_from_slice(e)).collect()));
            assert_eq!(read[1], (2, vec![Bytes::from_static(b"three")]));
        }
        let mut flipped = whole.clone();
        flipped[9] ^= 1;
        fs::write(&path, &flipped).unwrap();
        let read = Journal::open(dir.path().join("journal")).unwrap().read().unwrap();
        assert!(read[0].1.is_empty());
    }

    #[test]
    fn entries_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path().to_owned()).unwrap();
        let long = vec![0; limits::JOURNAL_ENTRY_BYTES + 1];
        assert!(journal.append(1, &long).is_err());
        // Beyond the buffer entries are written by themselves.
        for _ in 0..3 {
            journal.append(1, &long[1..]).unwrap();
        }
        assert!(fs::metadata(dir.path().join("1")).unwrap().len() > 0);
    }
}
