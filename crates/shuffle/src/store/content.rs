//! The segments of one query: parts in memory, parts in its file.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use mapring_types::{Error, ErrorKind, Result};

use super::budget::Budget;
use super::name::{Name, SegmentId};
use super::space::Space;
use crate::limits::{PART_BYTES, SEGMENT_BYTES};
use crate::segment::Summary;

/// A query's segments. What it has is in the budget; it is given back with it.
#[derive(Debug)]
pub(super) struct Contents {
    budget: Arc<Budget>,
    segments: BTreeMap<Name, Content>,
    /// Bytes in memory.
    memory: u64,
    file: Option<Arc<File>>,
    space: Space,
}

#[derive(Debug, Default)]
struct Content {
    parts: Vec<Part>,
    length: u64,
    summary: Option<Summary>,
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
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        let (segments, space) = (BTreeMap::new(), Space::default());
        Self { budget, segments, memory: 0, file: None, space }
    }

    /// Bytes in memory, which can be written to the file.
    pub(super) fn memory(&self) -> u64 {
        self.memory
    }

    pub(super) fn begin(&mut self, name: Name) -> Result<()> {
        if !self.segments.contains_key(&name) {
            self.budget.add_segment()?;
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
        match content.parts.last_mut() {
            Some(Part::Memory(last)) if last.len() + new.len() <= PART_BYTES => {
                last.extend_from_slice(new);
            }
            _ => content.parts.push(Part::Memory(new.to_vec())),
        }
        self.memory += new.len() as u64;
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
        Ok(())
    }

    /// The length of a segment, and what it has if it is whole.
    pub(super) fn state(&self, name: &Name) -> Option<(u64, Option<Summary>)> {
        self.segments.get(name).map(|content| (content.length, content.summary))
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
            return match (part, &self.file) {
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
    pub(super) fn spill(&mut self, bytes: u64, directory: &Path) -> Result<u64> {
        let mut written = 0;
        for (name, content) in &mut self.segments {
            for part in &mut content.parts {
                if written >= bytes {
                    return Ok(written);
                }
                let Part::Memory(memory) = part else { continue };
                let length = memory.len() as u64;
                let put = put(memory, &mut self.file, &mut self.space, &self.budget, directory);
                match put {
                    Ok(at) => *part = Part::File { at, length },
                    Err(_) if written > 0 => return Ok(written),
                    Err(error) => return Err(error.context(name)),
                }
                self.memory -= length;
                self.budget.give_memory(length);
                self.budget.add_spilled(length);
                written += length;
            }
        }
        Ok(written)
    }

    pub(super) fn remove(&mut self, name: &Name) {
        let Some(content) = self.segments.remove(name) else { return };
        self.budget.remove_segments(1);
        for part in content.parts {
            match part {
                Part::Memory(bytes) => {
                    self.memory -= bytes.len() as u64;
                    self.budget.give_memory(bytes.len() as u64);
                }
                Part::File { at, length } => self.space.give_back(at, length),
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
        self.budget.give_memory(self.memory);
        self.budget.remove_segments(self.segments.len() as u64);
        self.budget.give_disk(self.space.end());
    }
}

/// Writes bytes to the file, and tells where.
fn put(
    bytes: &[u8],
    file: &mut Option<Arc<File>>,
    space: &mut Space,
    budget: &Budget,
    directory: &Path,
) -> Result<u64> {
    let failed = |error: std::io::Error| {
        let words = format!("cannot be written to {}", directory.display());
        Error::new(ErrorKind::Storage, words).with_source(error)
    };
    let file = match file {
        Some(file) => file,
        None => file.insert(Arc::new(tempfile::tempfile_in(directory).map_err(failed)?)),
    };
    let length = bytes.len() as u64;
    let at = match space.reuse(length) {
        Some(at) => at,
        None => {
            budget.take_disk(length)?;
            space.extend(length)
        }
    };
    file.write_all_at(bytes, at).map(|()| at).map_err(|error| {
        space.give_back(at, length);
        failed(error)
    })
}

fn gone(name: &Name) -> Error {
    Error::new(ErrorKind::NotFound, format!("{name} is not here any more"))
}
