//! Reads sled's log before sled does.
//!
//! sled's recovery takes a damaged record for the end of a segment and goes on behind it, and
//! overwrites what it takes for a torn end: both are silent. So each segment that recovery is going
//! to read is read here first. A segment is whole when its records, whose checksums are sled's own,
//! follow one another up to a cap or up to its end.
//!
//! The layout is that of sled 0.34: segments of a fixed size begin with a checksum, their position
//! in the log and another position; records have a checksum, a kind, and in a variable form their
//! length, the number of their segment and their page.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use mapring_types::Result;

use crate::limits::SEGMENT_BYTES;
use crate::meta::failed;

const SEGMENT: u64 = SEGMENT_BYTES as u64;
const HEADER_BYTES: usize = 20;
/// The longest header of a record; no record begins so close to the end of a segment.
const RECORD_HEADER_BYTES: usize = 32;
const CORRUPTED: u8 = 0;
const CAP: u8 = 2;
const LAST_KIND: u8 = 11;

/// What a log was found to be.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Where the last segment's records end.
    pub(super) end: u64,
    /// Segments that the file has room for.
    pub(super) slots: u32,
    /// What is not as it should be.
    pub(super) faults: Vec<Fault>,
}

/// A segment that is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Where in the file.
    pub(super) offset: u64,
    /// Where in the log its records end too early; `None` where that cannot be told.
    pub(super) position: Option<u64>,
}

/// Reads the log under `dir`: what sled will read at its next start, or, with `whole`, all of it.
/// `None` where there is no log.
///
/// # Errors
/// `Storage` when the file cannot be read.
pub(super) fn read(dir: &Path, whole: bool) -> Result<Option<Reading>> {
    let path = dir.join("db");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", &path, error)),
    };
    let from = if whole { 0 } else { snapshot(dir).map_or(0, |(at, _)| at / SEGMENT * SEGMENT) };
    read_file(&file, from).map(Some).map_err(|error| failed("read", &path, error))
}

/// The segments that a file of `bytes` has room for.
pub(super) fn slots(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(SEGMENT)).unwrap_or(u32::MAX)
}

/// The last of the files in which sled keeps the state of all pages, and the position in the log up
/// to which it does, which is its name.
fn snapshot(dir: &Path) -> Option<(u64, PathBuf)> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let position = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.strip_prefix("snap.")?.to_owned();
        Some((u64::from_str_radix(&name, 16).ok()?, path))
    };
    entries.filter_map(|entry| position(entry.path())).max()
}

/// The file with the state of all pages, if it is damaged: its last four bytes are a checksum of all
/// but the last twelve.
///
/// # Errors
/// `Storage` when it cannot be read.
pub(super) fn damaged_snapshot(dir: &Path) -> Result<Option<PathBuf>> {
    let Some((_, path)) = snapshot(dir) else { return Ok(None) };
    let bytes = std::fs::read(&path).map_err(|error| failed("read", &path, error))?;
    let intact = bytes.split_last_chunk::<4>().is_some_and(|(rest, checksum)| {
        let state = rest.len().checked_sub(8).and_then(|end| rest.get(..end));
        state.is_some_and(|state| {
            !state.is_empty() && crc32fast::hash(state) == u32::from_le_bytes(*checksum)
        })
    });
    Ok((!intact).then_some(path))
}

fn read_file(file: &File, from: u64) -> io::Result<Reading> {
    let bytes = file.metadata()?.len();
    let mut reading = Reading { slots: slots(bytes), ..Reading::default() };
    let mut buffer = Vec::new();
    // The file offset and the end of the records of each segment, by its position.
    let mut segments: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for slot in 0..u64::from(reading.slots) {
        let offset = slot * SEGMENT;
        let mut header = [0; HEADER_BYTES];
        let size = usize::try_from((bytes - offset).min(SEGMENT)).unwrap_or(SEGMENT_BYTES);
        let known = if size < HEADER_BYTES {
            None
        } else {
            file.read_exact_at(&mut header, offset)?;
            segment_position(&header)
        };
        if known.is_some_and(|position| position < from) {
            continue;
        }
        buffer.resize(size, 0);
        file.read_exact_at(&mut buffer, offset)?;
        match known {
            Some(position) => {
                let end = position + records_end(&buffer, position / SEGMENT);
                if segments.insert(position, (offset, end)).is_some() {
                    reading.faults.push(Fault { offset, position: None });
                }
            }
            None if buffer.iter().all(|&byte| byte == CORRUPTED) => {}
            None => {
                let number = first_record(&buffer).map(|record| record.segment);
                let position = number.map(|number| number.saturating_mul(SEGMENT));
                if position.is_none_or(|position| position >= from) {
                    reading.faults.push(Fault { offset, position });
                }
            }
        }
    }
    reading.end = segments.last_key_value().map_or(0, |(_, (_, end))| *end);
    for (position, (offset, end)) in segments {
        if end < position + SEGMENT {
            let offset = offset + (end - position);
            reading.faults.push(Fault { offset, position: Some(end) });
        }
    }
    Ok(reading)
}

/// The position that a segment's header names; `None` when it is no header.
fn segment_position(header: &[u8; HEADER_BYTES]) -> Option<u64> {
    let (checksum, rest) = header.split_first_chunk::<4>()?;
    let position = u64::from_le_bytes(*rest.first_chunk::<8>()?) ^ i64::MAX.cast_unsigned();
    let intact = crc32fast::hash(rest) == !u32::from_le_bytes(*checksum);
    (intact && position % SEGMENT == 0).then_some(position)
}

/// Where the records of a segment end: its size when it is whole.
fn records_end(segment: &[u8], number: u64) -> u64 {
    let mut at = HEADER_BYTES;
    while SEGMENT_BYTES - at >= RECORD_HEADER_BYTES {
        match record(segment.get(at..).unwrap_or_default()) {
            Some(record) if record.segment == number => {
                at += record.bytes;
                if record.kind == CAP {
                    return SEGMENT;
                }
            }
            _ => return at as u64,
        }
    }
    SEGMENT
}

fn first_record(segment: &[u8]) -> Option<Record> {
    record(segment.get(HEADER_BYTES..)?)
}

struct Record {
    kind: u8,
    segment: u64,
    bytes: usize,
}

/// The record at the beginning of `bytes`; `None` when it is damaged.
fn record(bytes: &[u8]) -> Option<Record> {
    let (checksum, mut rest) = bytes.split_first_chunk::<4>()?;
    let (&kind, after) = rest.split_first()?;
    if kind == CORRUPTED || kind > LAST_KIND {
        return None;
    }
    rest = after;
    let length = usize::try_from(number(&mut rest)?).ok()?;
    let segment = number(&mut rest)?;
    let _page = number(&mut rest)?;
    let header = bytes.len() - rest.len();
    let body = rest.get(..length)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(body);
    hasher.update(bytes.get(4..header)?);
    let intact = hasher.finalize() == !u32::from_le_bytes(*checksum);
    intact.then_some(Record { kind, segment, bytes: header + length })
}

/// Reads a number in sled's variable form.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    let at = |index: usize| rest.get(index).copied().map(u64::from);
    let first_value = u64::from(first);
    let (value, used) = match first {
        0..=240 => (first_value, 0),
        241..=248 => (240 + 256 * (first_value - 241) + at(0)?, 1),
        249 => (2_288 + 256 * at(0)? + at(1)?, 2),
        _ => {
            let used = usize::from(first) - 247;
            let mut wide = [0; 8];
            wide.get_mut(..used)?.copy_from_slice(rest.get(..used)?);
            (u64::from_le_bytes(wide), used)
        }
    };
    *bytes = rest.get(used..)?;
    Some(value)
}
