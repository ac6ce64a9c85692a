//! Records in files: those that are too large for a tree.
//!
//! A file is written as a whole, and made durable, before anything names it. It is never changed, and
//! its number is not given again. What names it no more is durable before the file goes: who replaces
//! or removes a record leaves word ([`RecordFiles::leave`]), and who makes the tree durable takes
//! that word before it begins and removes the files after. So a crash may leave files that nothing
//! names, which go when the store is opened ([`Stock`]), and never a name without its file.
//!
//! ```text
//! file: version, crc of key, number and head (u32), crc of key, number and body (u32),
//!       head if it is long, body
//! ```

mod directory;
mod memory;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use mapring_types::{Record, Result, Versioned, failpoint};
use parking_lot::Mutex;

use crate::ScanDepth;
use crate::value::Outline;

pub(crate) use self::directory::Directory;
pub(crate) use self::memory::Memory;

/// Where files lie.
pub(crate) trait Medium: Send + Sync {
    /// Writes a new file: its parts one after the other.
    fn write(&self, number: u64, parts: [&[u8]; 3]) -> Result<()>;

    /// Returns when a file that was written is as durable as configured.
    fn sync(&self, number: u64) -> Result<()>;

    /// The first `most` bytes of a file, and how many it has; `None` where there is none.
    fn read(&self, number: u64, most: usize) -> Result<Option<(Vec<u8>, u64)>>;

    /// Removes a file; removing none is no error.
    fn remove(&self, number: u64) -> Result<()>;

    /// All files.
    fn numbers(&self) -> Result<BTreeSet<u64>>;

    /// Where a file lies, in words.
    fn place(&self, number: u64) -> String;
}

/// The files of a store.
pub(crate) struct RecordFiles {
    medium: Box<dyn Medium>,
    /// Above those of all files that there are.
    next: AtomicU64,
    /// What nothing names any more, or will not once that is durable.
    left: Mutex<Vec<Unnamed>>,
    files: AtomicU64,
    bytes: AtomicU64,
}

/// A file that nothing names any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unnamed {
    number: u64,
    bytes: u64,
}

/// What was read of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Record(Record),
    /// It is not what was written.
    Damaged,
    /// There is none.
    Gone,
}

/// The format of a file. What follows the version is read with the record's key and outline.
struct Format;

mapring_types::first_version!(Format, 1, "a record in a file", Format);

/// Bytes before the head, or the body.
const FRAME: usize = 9;

impl RecordFiles {
    /// Nothing may be written before the [`Stock`] was taken.
    pub(crate) fn new(medium: impl Medium + 'static) -> Self {
        let (next, files, bytes) = (AtomicU64::new(1), AtomicU64::new(0), AtomicU64::new(0));
        Self { medium: Box::new(medium), next, left: Mutex::default(), files, bytes }
    }

    /// Writes the record with a key into a file, and returns when that is durable.
    ///
    /// # Errors
    /// `Storage`: then there is no file.
    pub(crate) fn write(&self, key: &[u8], record: &Record) -> Result<Outline> {
        let outline = Outline::new(record, self.next.fetch_add(1, Ordering::Relaxed));
        let number = outline.generation;
        let inline = outline.inline_head().is_some();
        let head: &[u8] = if inline { &[] } else { &record.head };
        let frame = frame(key, number, head, &record.body);
        let written = self.medium.write(number, [&frame, head, &record.body]).and_then(|()| {
            #[cfg(test)]
            steps::reached();
            if failpoint!(FileNamedTooSoon) { Ok(()) } else { self.medium.sync(number) }
        });
        if let Err(error) = written {
            // What cannot be removed goes at the next opening.
            let _ = self.medium.remove(number);
            return Err(error);
        }
        #[cfg(test)]
        steps::reached();
        self.count(1, bytes_of(&outline));
        Ok(outline)
    }

    /// Reads a record as far as `depth` says.
    ///
    /// # Errors
    /// `Storage` when the medium fails.
    pub(crate) fn read(&self, key: &[u8], outline: &Outline, depth: ScanDepth) -> Result<Found> {
        let (head_bytes, body_bytes) = outline.apart();
        let end = match depth {
            ScanDepth::Heads => FRAME + head_bytes,
            ScanDepth::Records => FRAME.saturating_add(head_bytes).saturating_add(body_bytes),
        };
        if let (ScanDepth::Heads, Some(head)) = (depth, outline.inline_head()) {
            return Ok(Found::Record(Record { head: head.clone(), body: Bytes::new() }));
        }
        let number = outline.generation;
        let Some((bytes, length)) = self.medium.read(number, end)? else { return Ok(Found::Gone) };
        if bytes.len() != end || length != bytes_of(outline) {
            return Ok(Found::Damaged);
        }
        // One allocation for both, and no copy.
        let bytes = Bytes::from(bytes);
        let (head, body) =
            (bytes.slice(FRAME..FRAME + head_bytes), bytes.slice(FRAME + head_bytes..));
        let sums = [checksum(key, number, &head), checksum(key, number, &body)];
        let Some((&[version, ref stored @ ..], _)) = bytes.split_first_chunk::<FRAME>() else {
            return Ok(Found::Damaged);
        };
        let known = match depth {
            ScanDepth::Heads => stored[..4] == sums[0].to_le_bytes(),
            ScanDepth::Records => *stored == sealed(sums),
        };
        if !known || !Format::knows(version) {
            return Ok(Found::Damaged);
        }
        let head = outline.inline_head().cloned().unwrap_or(head);
        Ok(Found::Record(Record { head, body }))
    }

    /// Leaves word that nothing names a file any more once what was written so far is durable.
    pub(crate) fn leave(&self, number: u64, bytes: u64) {
        let unnamed = Unnamed { number, bytes };
        if failpoint!(FileRemovedTooSoon) {
            return self.remove(&[unnamed]);
        }
        self.left.lock().push(unnamed);
    }

    /// Files to be removed once what was written so far is durable.
    pub(crate) fn take_left(&self) -> Vec<Unnamed> {
        std::mem::take(&mut *self.left.lock())
    }

    /// How many files are to be removed.
    pub(crate) fn left(&self) -> usize {
        self.left.lock().len()
    }

    /// Removes files that nothing names.
    pub(crate) fn remove(&self, unnamed: &[Unnamed]) {
        for Unnamed { number, bytes } in unnamed {
            if let Err(error) = self.medium.remove(*number) {
                tracing::warn!(%error, "a file that no record needs is left for the next start");
            }
            self.files.fetch_sub(1, Ordering::Relaxed);
            self.bytes.fetch_sub(*bytes, Ordering::Relaxed);
        }
        self.show();
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Where the file of a record lies, in words.
    pub(crate) fn place(&self, number: u64) -> String {
        self.medium.place(number)
    }

    /// The numbers of all files.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn numbers(&self) -> Result<BTreeSet<u64>> {
        self.medium.numbers()
    }

    /// Begins to compare the files that there are with what is named.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn take_stock(self: &Arc<Self>) -> Result<Stock> {
        self.left.lock().clear();
        let unnamed = self.numbers()?;
        let last = unnamed.last().map_or(0, |last| last.saturating_add(1));
        self.next.fetch_max(last, Ordering::Relaxed);
        Ok(Stock { files: Arc::clone(self), unnamed, named: 0, bytes: 0 })
    }

    fn count(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.show();
    }

    fn show(&self) {
        metrics::gauge!("mapring_engine_record_files")
            .set(self.files.load(Ordering::Relaxed) as f64);
        metrics::gauge!("mapring_engine_record_file_bytes").set(self.bytes() as f64);
    }
}

/// Which files are named, found out when a store is opened.
pub(crate) struct Stock {
    files: Arc<RecordFiles>,
    unnamed: BTreeSet<u64>,
    named: u64,
    bytes: u64,
}

impl Stock {
    /// Notes that a file is named; returns whether there is one.
    pub(crate) fn name(&mut self, number: u64, bytes: u64) -> bool {
        self.files.next.fetch_max(number.saturating_add(1), Ordering::Relaxed);
        let there = self.unnamed.remove(&number);
        if there {
            self.named += 1;
            self.bytes += bytes;
        }
        there
    }

    /// Removes the files that nothing names, if they are not to be kept.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn finish(self, keep: bool) -> Result<()> {
        let Self { files, unnamed, named, bytes } = self;
        files.files.store(named, Ordering::Relaxed);
        files.bytes.store(bytes, Ordering::Relaxed);
        files.show();
        if keep {
            return Ok(());
        }
        if !unnamed.is_empty() {
            tracing::info!(
                files = unnamed.len(),
                "files of writes that were cut short are removed"
            );
        }
        unnamed.into_iter().try_for_each(|number| files.medium.remove(number))
    }
}

/// Bytes of the file of a record.
pub(crate) fn bytes_of(outline: &Outline) -> u64 {
    let (head, body) = outline.apart();
    FRAME as u64 + head as u64 + body as u64
}

fn frame(key: &[u8], number: u64, head: &[u8], body: &[u8]) -> [u8; FRAME] {
    let [a, b, c, d, e, f, g, h] =
        sealed([checksum(key, number, head), checksum(key, number, body)]);
    [Format::VERSION, a, b, c, d, e, f, g, h]
}

fn sealed([head, body]: [u32; 2]) -> [u8; FRAME - 1] {
    (u64::from(head) | u64::from(body) << 32).to_le_bytes()
}

fn checksum(key: &[u8], number: u64, bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(&number.to_le_bytes());
    crc.update(bytes);
    crc.finalize()
}

/// Where a test may look at what lies on the disk in the midst of a write.
#[cfg(test)]
pub(crate) mod steps {
    use std::cell::RefCell;

    type Look = Box<dyn FnMut()>;

    thread_local! {
        static LOOK: RefCell<Option<Look>> = const { RefCell::new(None) };
    }

    /// Has `look` called at each step of what this thread writes from now on, or nothing.
    pub(crate) fn at_each(look: Option<Look>) {
        LOOK.with_borrow_mut(|place| *place = look);
    }

    pub(crate) fn reached() {
        LOOK.with_borrow_mut(|look| {
            if let Some(look) = look {
                look();
            }
        });
    }
}

#[cfg(test)]
mod tests;
