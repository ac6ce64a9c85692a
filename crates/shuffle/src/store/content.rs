//! The segments of one query: parts in memory, parts in its file.

use std::collections::BTreeMap;
use std::fs::File;
use std::iter::Peekable;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crc32fast::Hasher;
use mapring_types::{Error, ErrorKind, Result};

use super::budget::Budget;
use super::files::{FoundFiles, IndexWriter, QueryFiles};
use super::index::{Index, Indexed};
use super::name::{Name, SegmentId};
use super::space::Space;
use crate::limits::{PART_BYTES, SEGMENT_BYTES};
use crate::segment::Summary;

/// A query's segments. What it has is in the budget; it is given back with it.
#[derive(Debug)]
pub(super) struct Contents {
    segments: BTreeMap<Name, Content>,
    held: Held,
    /// Whether there is something that the index on disk does not say.
    changed: bool,
}

/// What it has of memory and disk.
#[derive(Debug)]
struct Held {
    budget: Arc<Budget>,
    /// Bytes in memory.
    memory: u64,
    files: QueryFiles,
    space: Space,
}

#[derive(Debug, Default)]
struct Content {
    parts: Vec<Part>,
    length: u64,
    /// The checksum of its bytes.
    sum: u32,
    summary: Option<Summary>,
    standing: Standing,
}

/// How a segment stands to the index on disk.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is not named there.
    #[default]
    New,
    /// It may be named there.
    Named,
    /// It was named there when the program began, and nobody has looked since whether its bytes are
    /// what they were.
    Found,
}

#[derive(Debug)]
enum Part {
    Memory(Vec<u8>),
    File { at: u64, length: u64 },
}

impl Part {
    fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }
}

/// What was found where something is to be read.
pub(super) enum Found {
    /// So many bytes were copied.
    Copied(usize),
    /// So many bytes are in the file, from a place on.
    File(Arc<File>, u64, usize),
}

/// What is known of a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) length: u64,
    /// What it has, if it is whole.
    pub(super) summary: Option<Summary>,
    /// The checksum that its bytes must have, where nobody has looked whether they do.
    pub(super) unseen: Option<u32>,
}

/// A segment of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredSegment {
    /// Which it is.
    pub id: SegmentId,
    /// How many bytes of it are here.
    pub bytes: u64,
    /// What it has in all, when it is whole.
    pub summary: Option<Summary>,
}

impl Contents {
    pub(super) fn new(budget: Arc<Budget>, files: QueryFiles) -> Self {
        let held = Held { budget, memory: 0, files, space: Space::default() };
        Self { segments: BTreeMap::new(), held, changed: false }
    }

    /// What was saved before the program began.
    ///
    /// # Errors
    /// When there is no room for it: its files are removed.
    pub(super) fn found(budget: Arc<Budget>, found: FoundFiles) -> Result<Self> {
        let FoundFiles { files, index } = found;
        let mut contents = Self::new(budget, files);
        let taken = contents.take_found(&index);
        taken.inspect_err(|_| contents.held.files.remove()).map(|()| contents)
    }

    fn take_found(&mut self, index: &Index) -> Result<()> {
        self.held.budget.take_disk(index.end())?;
        self.held.space = Space::of(&index.parts());
        for segment in &index.segments {
            let name = Name::Stored(segment.id(index.query));
            self.begin(name)?;
            let part = |&(at, length): &(u64, u64)| Part::File { at, length };
            let content = Content {
                parts: segment.parts.iter().map(part).collect(),
                length: segment.length(),
                sum: segment.sum,
                summary: Some(segment.summary()),
                standing: Standing::Found,
            };
            self.segments.insert(name, content);
        }
        Ok(())
    }

    /// Bytes in memory, which can be written to the file.
    pub(super) fn memory(&self) -> u64 {
        self.held.memory
    }

    pub(super) fn begin(&mut self, name: Name) -> Result<()> {
        if !self.segments.contains_key(&name) {
            self.held.budget.add_segment()?;
            self.segments.insert(name, Content::default());
        }
        Ok(())
    }

    /// Adds bytes to a segment that stand there from a byte on. Those that are there already are passed
    /// over; gives how many were new, whose memory was reserved before.
    pub(super) fn append(&mut self, name: Name, at: u64, bytes: &[u8]) -> Result<usize> {
        let Some(content) = self.segments.get_mut(&name) else { return Err(gone(&name)) };
        let known = content.length.checked_sub(at);
        let known = known.and_then(|known| usize::try_from(known).ok()).ok_or_else(|| {
            Error::invalid(format!(
                "{name} has {} bytes here, and a piece of it begins at byte {at}",
                content.length
            ))
        })?;
        let new = bytes.get(known..).unwrap_or_default();
        if new.is_empty() {
            return Ok(0);
        }
        if content.summary.is_some() {
            return Err(Error::invalid(format!("{name} is whole, and more of it came")));
        }
        let length = content.length + new.len() as u64;
        if length > SEGMENT_BYTES {
            let words = format!("{name} is longer than {SEGMENT_BYTES} bytes");
            return Err(Error::new(ErrorKind::TooLarge, words));
        }
        content.length = length;
        let mut sum = Hasher::new_with_initial(content.sum);
        sum.update(new);
        content.sum = sum.finalize();
        match content.parts.last_mut() {
            Some(Part::Memory(last)) if last.len() + new.len() <= PART_BYTES => {
                last.extend_from_slice(new);
            }
            _ => content.parts.push(Part::Memory(new.to_vec())),
        }
        self.held.memory += new.len() as u64;
        Ok(new.len())
    }

    pub(super) fn finish(&mut self, name: Name, length: u64, summary: Summary) -> Result<()> {
        let content = self.segments.get_mut(&name).ok_or_else(|| gone(&name))?;
        if content.length != length {
            return Err(Error::invalid(format!("{name} became longer while it was looked at")));
        }
        content.summary = Some(summary);
        // What it has taken for more to come.
        if let Some(Part::Memory(last)) = content.parts.last_mut() {
            last.shrink_to_fit();
        }
        self.changed = true;
        Ok(())
    }

    /// What is known of a segment.
    pub(super) fn state(&self, name: &Name) -> Option<State> {
        self.segments.get(name).map(|content| {
            let unseen = (content.standing == Standing::Found).then_some(content.sum);
            State { length: content.length, summary: content.summary, unseen }
        })
    }

    /// The bytes of a segment are what they were.
    pub(super) fn is_seen(&mut self, name: &Name) {
        if let Some(content) = self.segments.get_mut(name) {
            content.standing = Standing::Named;
        }
    }

    /// Copies bytes of a segment, or tells where in the file they are: as far as one part of it goes.
    pub(super) fn find(&self, name: &Name, at: u64, into: &mut [u8]) -> Result<Found> {
        let content = self.segments.get(name).ok_or_else(|| gone(name))?;
        let mut before = 0;
        for part in &content.parts {
            let within = at - before;
            before += part.length();
            if before <= at {
                continue;
            }
            let count = into.len().min(usize::try_from(before - at).unwrap_or(usize::MAX));
            return match (part, self.held.files.opened()) {
                (Part::Memory(bytes), _) => {
                    let from = within as usize;
                    into[..count].copy_from_slice(&bytes[from..from + count]);
                    Ok(Found::Copied(count))
                }
                (Part::File { at, .. }, Some(file)) => {
                    Ok(Found::File(file.clone(), at + within, count))
                }
                (Part::File { .. }, None) => Err(Error::internal(format!("{name} has no file"))),
            };
        }
        Err(Error::corrupt(format!("{name} ends at byte {before}")))
    }

    /// Writes parts that are in memory to the file, about so many bytes; gives how many they were. An
    /// error is one only when nothing could be written.
    pub(super) fn spill(&mut self, bytes: u64) -> Result<u64> {
        let mut written = 0;
        for (name, content) in &mut self.segments {
            match self.held.write_out(name, content, bytes, &mut written) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if written == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(written)
    }

    /// Writes about so many bytes of the segments that come next to the file.
    pub(super) fn write_out(
        &mut self,
        names: &mut Peekable<impl Iterator<Item = Name>>,
        bytes: u64,
    ) -> Result<()> {
        let mut written = 0;
        while let Some(name) = names.peek() {
            if let Some(content) = self.segments.get_mut(name)
                && !self.held.write_out(name, content, bytes, &mut written)?
            {
                break;
            }
            names.next();
        }
        Ok(())
    }

    /// The segments that are whole and not in the file yet, if there is anything to be saved.
    pub(super) fn unsaved(&self) -> Option<Vec<Name>> {
        let is_in_memory =
            |content: &Content| content.parts.iter().any(|part| matches!(part, Part::Memory(_)));
        let unsaved = self.whole().filter(|(.., content)| is_in_memory(content));
        self.changed.then(|| unsaved.map(|(id, ..)| Name::Stored(id)).collect())
    }

    fn whole(&self) -> impl Iterator<Item = (SegmentId, Summary, &Content)> {
        self.segments.iter().filter_map(|(name, content)| match (name, content.summary) {
            (Name::Stored(id), Some(summary)) => Some((*id, summary, content)),
            _ => None,
        })
    }

    /// An index of what is whole and in the file, and who writes it; `None` where files have no names.
    /// It is as if it were written from now on.
    pub(super) fn index(&mut self, query: u64) -> Option<(Index, IndexWriter)> {
        let writer = self.held.files.writer()?;
        let mut all = true;
        let indexed = |(id, summary, content): (SegmentId, Summary, &Content)| {
            let part = |part: &Part| match part {
                Part::File { at, length } => Some((*at, *length)),
                Part::Memory(_) => None,
            };
            let parts: Option<Vec<_>> = content.parts.iter().map(part).collect();
            all &= parts.is_some();
            Some(Indexed::new(id, content.sum, summary, parts?))
        };
        let segments: Vec<Indexed> = self.whole().filter_map(indexed).collect();
        for segment in &segments {
            let content = self.segments.get_mut(&Name::Stored(segment.id(query)));
            if let Some(content) = content.filter(|content| content.standing == Standing::New) {
                content.standing = Standing::Named;
            }
        }
        self.changed = !all;
        Some((Index { query, segments }, writer))
    }

    /// An index could not be written.
    pub(super) fn is_unsaved(&mut self) {
        self.changed = true;
    }

    pub(super) fn files(&mut self) -> &mut QueryFiles {
        &mut self.held.files
    }

    pub(super) fn space(&mut self) -> &mut Space {
        &mut self.held.space
    }

    pub(super) fn remove(&mut self, name: &Name) {
        let Some(content) = self.segments.remove(name) else { return };
        self.held.budget.remove_segments(1);
        for part in content.parts {
            match part {
                Part::Memory(bytes) => {
                    self.held.memory -= bytes.len() as u64;
                    self.held.budget.give_memory(bytes.len() as u64);
                }
                Part::File { at, length } if content.standing == Standing::New => {
                    self.held.space.give_back(at, length);
                }
                Part::File { at, length } => {
                    self.held.space.give_back_named(at, length);
                    self.changed = true;
                }
            }
        }
    }

    /// The segments that have been put here.
    pub(super) fn list(&self) -> Vec<StoredSegment> {
        let stored = |(name, content): (&Name, &Content)| match name {
            Name::Stored(id) => {
                let (bytes, summary) = (content.length, content.summary);
                Some(StoredSegment { id: *id, bytes, summary })
            }
            Name::Temporary(..) => None,
        };
        self.segments.iter().filter_map(stored).collect()
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        self.held.budget.give_memory(self.held.memory);
        self.held.budget.remove_segments(self.segments.len() as u64);
        self.held.budget.give_disk(self.held.space.end());
    }
}

impl Held {
    /// Writes what is in memory of a segment to the file, until so many bytes are written; returns whether
    /// that was all.
    fn write_out(
        &mut self,
        name: &Name,
        content: &mut Content,
        bytes: u64,
        written: &mut u64,
    ) -> Result<bool> {
        for part in &mut content.parts {
            let Part::Memory(memory) = part else { continue };
            if *written >= bytes {
                return Ok(false);
            }
            let length = memory.len() as u64;
            let at = self.put(memory).map_err(|error| error.context(name))?;
            *part = Part::File { at, length };
            self.memory -= length;
            self.budget.give_memory(length);
            self.budget.add_spilled(length);
            *written += length;
        }
        Ok(true)
    }

    /// Writes bytes to the file, and tells where.
    fn put(&mut self, bytes: &[u8]) -> Result<u64> {
        let file = self.files.pairs()?.clone();
        let length = bytes.len() as u64;
        let at = match self.space.reuse(length) {
            Some(at) => at,
            None => {
                self.budget.take_disk(length)?;
                self.space.extend(length)
            }
        };
        file.write_all_at(bytes, at).map(|()| at).map_err(|error| {
            self.space.give_back(at, length);
            self.files.failed(error)
        })
    }
}

fn gone(name: &Name) -> Error {
    Error::new(ErrorKind::NotFound, format!("{name} is not here any more"))
}
