//! Sorted runs of records in a file, merged. All of it blocks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;

use super::Record;
use crate::limits;

/// What stands before a record: the lengths of its key and of its value.
pub(super) const HEAD_BYTES: usize = 8;

pub(super) fn head(key: u32, value: u32) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&key.to_le_bytes());
    head[4..].copy_from_slice(&value.to_le_bytes());
    head
}

/// See the module.
pub(super) struct Merged {
    file: File,
    places: Vec<Range<u64>>,
    /// Bytes of the file that a run reads at once.
    window: usize,
    runs: Vec<Run>,
    /// The next key of each run, the least first, and of equal ones that of the earlier run.
    next: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    begun: bool,
}

/// A run, read from the front.
struct Run {
    /// What of it is not in the window yet.
    left: Range<u64>,
    window: Vec<u8>,
    /// Where in the window the next record begins.
    at: usize,
}

impl Merged {
    pub(super) fn new(file: File, places: Vec<Range<u64>>) -> Self {
        let (least, most) = limits::MERGE_WINDOW;
        let window = (limits::MERGE_BYTES / places.len().max(1)).clamp(least, most);
        let (runs, next) = (Vec::new(), BinaryHeap::new());
        Self { file, places, window, runs, next, begun: false }
    }

    pub(super) fn rewind(&mut self) {
        self.begun = false;
    }

    /// The next records, of at least `most` bytes together; none at the end.
    pub(super) fn next(&mut self, most: usize) -> io::Result<Vec<Record>> {
        if !self.begun {
            self.begin()?;
        }
        let (mut records, mut size) = (Vec::new(), 0);
        while size < most
            && let Some(Reverse((key, number))) = self.next.pop()
        {
            let run = &mut self.runs[number];
            let value = run.take(&self.file, self.window)?;
            size += key.len() + value.len();
            records.push(Record { key: key.into(), value });
            if let Some(key) = run.key(&self.file, self.window)? {
                self.next.push(Reverse((key, number)));
            }
        }
        Ok(records)
    }

    fn begin(&mut self) -> io::Result<()> {
        self.begun = true;
        self.next.clear();
        let run = |place: &Range<u64>| Run { left: place.clone(), window: Vec::new(), at: 0 };
        self.runs = self.places.iter().map(run).collect();
        for (number, run) in self.runs.iter_mut().enumerate() {
            if let Some(key) = run.key(&self.file, self.window)? {
                self.next.push(Reverse((key, number)));
            }
        }
        Ok(())
    }
}

impl Run {
    /// The key of the next record; `None` at the end.
    fn key(&mut self, file: &File, window: usize) -> io::Result<Option<Vec<u8>>> {
        if self.left.is_empty() && self.at == self.window.len() {
            return Ok(None);
        }
        let (key, _) = self.lengths(file, window)?;
        self.need(file, window, HEAD_BYTES + key)?;
        let from = self.at + HEAD_BYTES;
        Ok(Some(self.window[from..from + key].to_vec()))
    }

    /// The value of the next record, which is passed by.
    fn take(&mut self, file: &File, window: usize) -> io::Result<Bytes> {
        let (key, value) = self.lengths(file, window)?;
        self.need(file, window, HEAD_BYTES + key + value)?;
        let from = self.at + HEAD_BYTES + key;
        self.at = from + value;
        Ok(Bytes::copy_from_slice(&self.window[from..self.at]))
    }

    fn lengths(&mut self, file: &File, window: usize) -> io::Result<(usize, usize)> {
        self.need(file, window, HEAD_BYTES)?;
        let word = |at: usize| {
            let bytes = self.window[at..].first_chunk().copied().unwrap_or_default();
            usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX)
        };
        Ok((word(self.at), word(self.at + 4)))
    }

    /// Sees to it that so many bytes of the next record are in the window.
    fn need(&mut self, file: &File, window: usize, bytes: usize) -> io::Result<()> {
        let have = self.window.len() - self.at;
        if have >= bytes {
            return Ok(());
        }
        self.window.drain(..self.at);
        self.at = 0;
        // What a large record took is given back.
        self.window.shrink_to(window.max(bytes));
        let left = self.left.end - self.left.start;
        let more = (bytes.max(window) - have) as u64;
        let more = usize::try_from(more.min(left)).unwrap_or(0);
        self.window.resize(have + more, 0);
        file.read_exact_at(&mut self.window[have..], self.left.start)?;
        self.left.start += more as u64;
        if self.window.len() < bytes {
            return Err(io::Error::other("a record in a temporary file is cut off"));
        }
        Ok(())
    }
}
