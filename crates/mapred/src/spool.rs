//! Records that are put aside while a query runs, and read in the order of their keys when it has
//! ended: in memory up to a bound, then as sorted runs in an unlinked file, which are merged.
//!
//! Records of one key stay in the order in which they came. What is held in memory does not grow with
//! their number: a run has a window of the file, all windows together are bounded.

mod runs;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::failure::{Failure, FailureKind};
use crate::limits;
use crate::spill::{Purpose, Share, Spill};
use runs::Merged;

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) key: Bytes,
    pub(crate) value: Bytes,
}

/// Takes records.
pub(crate) struct Spool {
    spill: Arc<Spill>,
    share: Share,
    memory: Memory,
    file: Option<File>,
    /// Where in the file the runs lie, one behind the other.
    runs: Vec<Range<u64>>,
    /// The greatest key so far, while each was greater than the one before.
    last: Option<Vec<u8>>,
    ascending: bool,
}

/// Records in memory: their bytes, and where each lies.
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    at: usize,
    key: u32,
    value: u32,
}

/// Gives records, in the order of their keys.
pub(crate) struct Sorted {
    spill: Arc<Spill>,
    share: Share,
    source: Source,
    ascending: bool,
}

enum Source {
    Memory {
        bytes: Bytes,
        entries: Arc<[Entry]>,
        next: usize,
    },
    /// `None` while blocking work has it, and when that has failed.
    File(Option<Box<Merged>>),
}

impl Spool {
    pub(crate) fn new(spill: &Arc<Spill>, purpose: Purpose) -> Self {
        Self {
            spill: spill.clone(),
            share: spill.share(purpose),
            memory: Memory::default(),
            file: None,
            runs: Vec::new(),
            last: None,
            ascending: true,
        }
    }

    /// Takes a record. It is put on disk by [`Spool::settle`], when there is much in memory.
    ///
    /// # Errors
    /// For a record of 4 GB.
    pub(crate) fn push(&mut self, key: &[u8], value: &[&[u8]]) -> Result<(), Failure> {
        let too_large = |_| {
            let message = "a result is too large to be put out";
            Failure::new(FailureKind::AnswerSize, message)
        };
        self.compare(key);
        let length: usize = value.iter().map(|part| part.len()).sum();
        let entry = Entry {
            at: self.memory.bytes.len(),
            key: u32::try_from(key.len()).map_err(too_large)?,
            value: u32::try_from(length).map_err(too_large)?,
        };
        self.memory.bytes.extend_from_slice(key);
        value.iter().for_each(|part| self.memory.bytes.extend_from_slice(part));
        self.memory.entries.push(entry);
        Ok(())
    }

    /// Keeps track of whether each key is greater than the one before.
    fn compare(&mut self, key: &[u8]) {
        if self.ascending {
            match &mut self.last {
                Some(last) if last.as_slice() < key => {
                    last.clear();
                    last.extend_from_slice(key);
                }
                Some(_) => self.ascending = false,
                None => self.last = Some(key.to_vec()),
            }
        }
    }

    /// Puts what is in memory on disk if it is much.
    ///
    /// # Errors
    /// When there is no room, or the file fails.
    pub(crate) async fn settle(&mut self) -> Result<(), Failure> {
        let most = self.spill.memory().min(limits::SPOOL_BYTES);
        if self.memory.size() > most { self.spill_run().await } else { Ok(()) }
    }

    async fn spill_run(&mut self) -> Result<(), Failure> {
        let memory = std::mem::take(&mut self.memory);
        let length = memory.written();
        self.share.grow(length)?;
        let (file, make) = (self.file.take(), self.spill.file());
        let written = self.spill.run(move || {
            let file = file.map_or_else(make, Ok)?;
            memory.write_to(file)
        });
        let file = written.await.map_err(|error| self.share.failed(&error))?;
        self.file = Some(file);
        let from = self.runs.last().map_or(0, |run| run.end);
        self.runs.push(from..from + length);
        Ok(())
    }

    /// All records have come.
    ///
    /// # Errors
    /// As [`Spool::settle`].
    pub(crate) async fn finish(mut self) -> Result<Sorted, Failure> {
        if self.file.is_some() && !self.memory.entries.is_empty() {
            self.spill_run().await?;
        }
        let Self { spill, share, mut memory, file, runs, ascending, .. } = self;
        let source = match file {
            Some(file) => Source::File(Some(Box::new(Merged::new(file, runs)))),
            None => {
                let sort = move || {
                    memory.sort();
                    Ok(memory)
                };
                let memory = spill.run(sort).await.map_err(|error| share.failed(&error))?;
                Source::Memory {
                    bytes: memory.bytes.into(),
                    entries: memory.entries.into(),
                    next: 0,
                }
            }
        };
        Ok(Sorted { spill, share, source, ascending })
    }
}

impl Memory {
    fn size(&self) -> u64 {
        (self.bytes.len() + self.entries.len() * size_of::<Entry>()) as u64
    }

    /// Bytes that it takes in a file.
    fn written(&self) -> u64 {
        (self.bytes.len() + self.entries.len() * runs::HEAD_BYTES) as u64
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        // Stable: records of one key stay in order.
        self.entries.sort_by(|one, other| one.key(bytes).cmp(other.key(bytes)));
    }

    fn write_to(mut self, file: File) -> io::Result<File> {
        self.sort();
        let mut file = BufWriter::with_capacity(limits::ANSWER_CHUNK, file);
        for entry in &self.entries {
            file.write_all(&runs::head(entry.key, entry.value))?;
            file.write_all(&self.bytes[entry.record()])?;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl Entry {
    fn key_range(self) -> Range<usize> {
        self.at..self.at + usize::try_from(self.key).unwrap_or(usize::MAX)
    }

    fn record(self) -> Range<usize> {
        let key = self.key_range();
        key.start..key.end + usize::try_from(self.value).unwrap_or(usize::MAX)
    }

    fn key<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.key_range()]
    }
}

impl Sorted {
    /// Whether each key was greater than the one that came before it: then none came twice.
    #[cfg(test)]
    pub(crate) fn is_ascending(&self) -> bool {
        self.ascending
    }

    /// The next records, of at least `most` bytes together; none at the end.
    ///
    /// # Errors
    /// When the file fails.
    pub(crate) async fn next(&mut self, most: usize) -> Result<Vec<Record>, Failure> {
        match &mut self.source {
            Source::Memory { bytes, entries, next } => {
                let mut records = Vec::new();
                let mut size = 0;
                while size < most
                    && let Some(entry) = entries.get(*next)
                {
                    *next += 1;
                    let (key, record) = (entry.key_range(), entry.record());
                    size += record.len();
                    let value = bytes.slice(key.end..record.end);
                    records.push(Record { key: bytes.slice(key), value });
                }
                Ok(records)
            }
            Source::File(merged) => {
                let taken = merged.take();
                let read = self.spill.run(move || {
                    let lost = || io::Error::other("it was lost by a failure before");
                    let mut merged = taken.ok_or_else(lost)?;
                    let records = merged.next(most)?;
                    Ok((merged, records))
                });
                let (back, records) = read.await.map_err(|error| self.share.failed(&error))?;
                *merged = Some(back);
                Ok(records)
            }
        }
    }

    /// Begins anew.
    pub(crate) fn rewind(&mut self) {
        match &mut self.source {
            Source::Memory { next, .. } => *next = 0,
            Source::File(merged) => {
                if let Some(merged) = merged {
                    merged.rewind();
                }
            }
        }
    }

    /// The first key that there is twice. It is at the beginning again then.
    ///
    /// # Errors
    /// When the file fails.
    pub(crate) async fn repeated(&mut self) -> Result<Option<Bytes>, Failure> {
        if self.ascending {
            return Ok(None);
        }
        let mut last: Option<Bytes> = None;
        let mut found = None;
        'all: loop {
            let records = self.next(limits::ANSWER_CHUNK).await?;
            if records.is_empty() {
                break;
            }
            for Record { key, .. } in records {
                if last.as_ref() == Some(&key) {
                    found = Some(key);
                    break 'all;
                }
                last = Some(key);
            }
        }
        self.rewind();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use mapring_kv::executor::Inline;
    use proptest::prelude::*;

    use super::*;
    use crate::config::MapredConfig;

    fn spill(memory: u64) -> Arc<Spill> {
        let config = MapredConfig { answer_memory_bytes: memory, ..MapredConfig::default() };
        Spill::new(config, Arc::new(Inline))
    }

    async fn sorted(spill: &Arc<Spill>, records: &[(Vec<u8>, Vec<u8>)]) -> Sorted {
        let mut spool = Spool::new(spill, Purpose::Output);
        for (key, value) in records {
            let (first, rest) = value.split_at(value.len() / 2);
            spool.push(key, &[first, rest]).unwrap();
            spool.settle().await.unwrap();
        }
        spool.finish().await.unwrap()
    }

    async fn all(sorted: &mut Sorted, most: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        loop {
            let records = sorted.next(most).await.unwrap();
            if records.is_empty() {
                return found;
            }
            found.extend(records.into_iter().map(|r| (r.key.to_vec(), r.value.to_vec())));
        }
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        futures::executor::block_on(work)
    }

    proptest! {
        #[test]
        fn records_come_in_the_order_of_their_keys(
            records in prop::collection::vec(("[a-c]{0,3}", ".{0,9}"), 0..60),
            memory in prop::sample::select(vec![0u64, 40, 200, 1 << 20]),
            most in 1usize..50,
        ) {
            let records: Vec<(Vec<u8>, Vec<u8>)> =
                records.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
            let mut expect = records.clone();
            expect.sort_by(|one, other| one.0.cmp(&other.0));
            let twice = expect.windows(2).find(|pair| pair[0].0 == pair[1].0);
            let twice = twice.map(|pair| pair[0].0.clone());
            let ascending = records.windows(2).all(|pair| pair[0].0 < pair[1].0);
            let spill = spill(memory);
            let mut sorted = run(sorted(&spill, &records));
            prop_assert_eq!(sorted.is_ascending(), ascending);
            prop_assert_eq!(run(sorted.repeated()).unwrap().map(|key| key.to_vec()), twice);
            for _ in 0..2 {
                prop_assert_eq!(&run(all(&mut sorted, most)), &expect);
                sorted.rewind();
            }
            drop(sorted);
            prop_assert_eq!(spill.on_disk(), 0);
        }
    }

    #[test]
    fn large_records_come_back_whole() {
        let record =
            |at: usize| (vec![b'a' + u8::try_from(at % 7).unwrap()], vec![b'x'; at * 10_000]);
        let records: Vec<_> = (0..40).map(record).collect();
        let spill = spill(100_000);
        let mut sorted = run(sorted(&spill, &records));
        assert!(spill.on_disk() > 7_000_000);
        let mut expect = records;
        expect.sort_by(|one, other| one.0.cmp(&other.0));
        assert!(run(all(&mut sorted, 1)) == expect);
    }

    #[test]
    fn all_files_together_are_bounded() {
        let config = MapredConfig {
            answer_memory_bytes: 10,
            answer_disk_bytes: 1_000,
            ..MapredConfig::default()
        };
        let spill = Spill::new(config, Arc::new(Inline));
        let mut spool = Spool::new(&spill, Purpose::Output);
        let failure = loop {
            spool.push(b"key", &[&[b'v'; 100]]).unwrap();
            if let Err(failure) = run(spool.settle()) {
                break failure;
            }
        };
        assert_eq!(failure.kind, FailureKind::AnswerSize);
        assert!(failure.message.contains("this output would be more"), "{failure}");
        drop(spool);
        assert_eq!(spill.on_disk(), 0);
    }
}
