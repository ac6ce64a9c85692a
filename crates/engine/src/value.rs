//! Values as sled stores them, with checksums that also cover their keys.
//!
//! ```text
//! head record:  version, form, crc of key and all up to the body, then
//!   whole:      bytes of head (u32), crc of the body (u32), head, body
//!   chunked:    generation (u64), bytes of head (u32), bytes of body (u64), head if it is short
//!   in a file:  as chunked, in the second version
//! chunk:        version, crc of key and data, data
//! ```
//!
//! Numbers are little-endian. The chunks of a record, or its file (see [`crate::record_files`]), hold
//! its head, if that is long, and its body.

use bytes::Bytes;
use mapring_types::{Record, Release, Result, Versioned};

use crate::{ScanDepth, limits};

/// The format of what lies under a key. What follows the version is read with the key: see [`parse`]
/// and [`parse_chunk`]. Records that do not lie in files are written in the first version.
struct Value;

impl Versioned for Value {
    const WHAT: &'static str = "a value of the store";
    const VERSION: u8 = 2;
    const SINCE: Release = limits::FILES_SINCE;
    type Previous = FirstValue;

    fn read(_: &[u8]) -> Result<Self> {
        Ok(Self)
    }

    fn migrate(_: FirstValue) -> Result<Self> {
        Ok(Self)
    }
}

/// Of the programs that had no files.
struct FirstValue;

mapring_types::first_version!(FirstValue, 1, "a value of the store", FirstValue);

const FIRST: u8 = FirstValue::VERSION;
const SECOND: u8 = Value::VERSION;
const WHOLE: u8 = 0;
const CHUNKED: u8 = 1;
const FILED: u8 = 2;

/// Bytes before the data of a chunk.
const CHUNK_FRAME: usize = 5;
/// Bytes of data in every chunk but the last.
const CHUNK_DATA: usize = limits::CHUNK_BYTES - CHUNK_FRAME;
/// Bytes before what the checksum of a head record covers besides the form.
const FRAME: usize = 6;

/// What a head record says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// All there is; without the body if only heads are wanted.
    Whole(Record),
    /// The rest lies in chunks.
    Chunked(Outline),
    /// The rest lies in a file.
    Filed(Outline),
}

/// A record whose bytes lie in chunks or in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outline {
    /// Tells the chunks of this record from those of an earlier one under the same key; the number of
    /// its file.
    pub(crate) generation: u64,
    head_bytes: usize,
    body_bytes: usize,
    /// The head, if it is short.
    head: Option<Bytes>,
}

impl Outline {
    /// Describes a record that is too large for one piece.
    pub(crate) fn new(record: &Record, generation: u64) -> Self {
        let short = record.head.len() <= limits::INLINE_HEAD_BYTES;
        Self {
            generation,
            head_bytes: record.head.len(),
            body_bytes: record.body.len(),
            head: short.then(|| record.head.clone()),
        }
    }

    /// The head, where it is no part of the chunks or the file.
    pub(crate) fn inline_head(&self) -> Option<&Bytes> {
        self.head.as_ref()
    }

    /// Bytes of the head and of the body that lie in the chunks or in the file.
    pub(crate) fn apart(&self) -> (usize, usize) {
        (if self.head.is_some() { 0 } else { self.head_bytes }, self.body_bytes)
    }

    /// How many chunks there are.
    pub(crate) fn count(&self) -> u32 {
        let (head, body) = self.apart();
        Self::chunks_of(body.saturating_add(head))
    }

    /// How many chunks have to be read.
    pub(crate) fn count_for(&self, depth: ScanDepth) -> u32 {
        match (depth, &self.head) {
            (ScanDepth::Records, _) => self.count(),
            (ScanDepth::Heads, Some(_)) => 0,
            (ScanDepth::Heads, None) => Self::chunks_of(self.head_bytes),
        }
    }

    /// The data of each chunk in order.
    pub(crate) fn split(&self, record: &Record) -> Vec<Bytes> {
        let bytes = match &self.head {
            Some(_) => record.body.clone(),
            None => [record.head.as_ref(), &record.body].concat().into(),
        };
        let starts = (0..bytes.len()).step_by(CHUNK_DATA);
        starts.map(|from| bytes.slice(from..bytes.len().min(from + CHUNK_DATA))).collect()
    }

    /// Puts the data of the chunks that [`Self::count_for`] asked for together; `None` when it is
    /// not as long as it should be.
    pub(crate) fn join(&self, depth: ScanDepth, chunks: &[Bytes]) -> Option<Record> {
        let bytes = Bytes::from(chunks.concat());
        let (head, body) = match &self.head {
            Some(head) => (head.clone(), bytes),
            None if bytes.len() >= self.head_bytes => {
                (bytes.slice(..self.head_bytes), bytes.slice(self.head_bytes..))
            }
            None => return None,
        };
        match depth {
            ScanDepth::Heads => Some(Record { head, body: Bytes::new() }),
            ScanDepth::Records => (body.len() == self.body_bytes).then_some(Record { head, body }),
        }
    }

    fn chunks_of(bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(CHUNK_DATA)).unwrap_or(u32::MAX)
    }
}

/// Whether a record is stored in one piece.
pub(crate) fn fits(record: &Record) -> bool {
    record.len() <= limits::CHUNK_BYTES
}

/// Whether a record has a file of its own, where there may be files.
pub(crate) fn is_for_file(record: &Record) -> bool {
    record.len() > limits::WITHOUT_FILE_BYTES
}

/// The head record of a record that [`fits`].
pub(crate) fn whole(key: &[u8], record: &Record) -> Vec<u8> {
    assert!(fits(record), "{} bytes in one piece", record.len());
    let mut rest = Vec::with_capacity(FRAME + 8 + record.len());
    rest.extend_from_slice(&[FIRST, WHOLE, 0, 0, 0, 0]);
    // A record that fits is shorter than 4 GiB.
    let head_bytes = u32::try_from(record.head.len()).unwrap_or(u32::MAX);
    rest.extend_from_slice(&head_bytes.to_le_bytes());
    rest.extend_from_slice(&crc32fast::hash(&record.body).to_le_bytes());
    rest.extend_from_slice(&record.head);
    seal(key, &mut rest);
    rest.extend_from_slice(&record.body);
    rest
}

/// The head record of a record in chunks.
pub(crate) fn chunked(key: &[u8], outline: &Outline) -> Vec<u8> {
    outlined(key, [FIRST, CHUNKED], outline)
}

/// The head record of a record in a file.
pub(crate) fn filed(key: &[u8], outline: &Outline) -> Vec<u8> {
    outlined(key, [SECOND, FILED], outline)
}

fn outlined(key: &[u8], [version, form]: [u8; 2], outline: &Outline) -> Vec<u8> {
    let mut rest = vec![version, form, 0, 0, 0, 0];
    rest.extend_from_slice(&outline.generation.to_le_bytes());
    let head_bytes = u32::try_from(outline.head_bytes).unwrap_or(u32::MAX);
    rest.extend_from_slice(&head_bytes.to_le_bytes());
    rest.extend_from_slice(&(outline.body_bytes as u64).to_le_bytes());
    rest.extend_from_slice(outline.head.as_deref().unwrap_or_default());
    seal(key, &mut rest);
    rest
}

/// Reads a head record; `None` when it is damaged.
pub(crate) fn parse(key: &[u8], value: &[u8], depth: ScanDepth) -> Option<Stored> {
    let (&[version, form, a, b, c, d], rest) = value.split_first_chunk::<FRAME>()?;
    // Which versions there may be the store says of itself when it is opened: another one is damage.
    if !Value::knows(version) {
        return None;
    }
    let sealed = u32::from_le_bytes([a, b, c, d]);
    match (version, form) {
        (FIRST, WHOLE) => {
            let (head_bytes, after) = take_u32(rest)?;
            let (body_crc, after) = take_u32(after)?;
            let head_bytes = usize::try_from(head_bytes).ok()?;
            let (head, body) = after.split_at_checked(head_bytes)?;
            if sealed != checksum(key, form, rest.get(..8 + head_bytes)?) {
                return None;
            }
            if depth == ScanDepth::Heads {
                let head = Bytes::copy_from_slice(head);
                return Some(Stored::Whole(Record { head, body: Bytes::new() }));
            }
            let intact = crc32fast::hash(body) == body_crc;
            // One allocation for both.
            let bytes = Bytes::copy_from_slice(after);
            let record =
                Record { head: bytes.slice(..head_bytes), body: bytes.slice(head_bytes..) };
            intact.then_some(Stored::Whole(record))
        }
        (FIRST, CHUNKED) if sealed == checksum(key, form, rest) => {
            parse_outline(rest).map(Stored::Chunked)
        }
        (SECOND, FILED) if sealed == checksum(key, form, rest) => {
            parse_outline(rest).map(Stored::Filed)
        }
        _ => None,
    }
}

fn parse_outline(bytes: &[u8]) -> Option<Outline> {
    let (generation, rest) = bytes.split_first_chunk::<8>()?;
    let (head_bytes, rest) = take_u32(rest)?;
    let (body_bytes, head) = rest.split_first_chunk::<8>()?;
    let head_bytes = usize::try_from(head_bytes).ok()?;
    let short = head_bytes <= limits::INLINE_HEAD_BYTES;
    let outline = Outline {
        generation: u64::from_le_bytes(*generation),
        head_bytes,
        body_bytes: usize::try_from(u64::from_le_bytes(*body_bytes)).ok()?,
        head: short.then(|| Bytes::copy_from_slice(head)),
    };
    (head.len() == if short { head_bytes } else { 0 }).then_some(outline)
}

/// The chunk with `data`.
pub(crate) fn chunk(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(CHUNK_FRAME + data.len());
    out.push(FIRST);
    out.extend_from_slice(&checksum(key, FIRST, data).to_le_bytes());
    out.extend_from_slice(data);
    out
}

/// The data of a chunk; `None` when it is damaged.
pub(crate) fn parse_chunk(key: &[u8], value: &[u8]) -> Option<Bytes> {
    let (&[version, a, b, c, d], data) = value.split_first_chunk::<CHUNK_FRAME>()?;
    let intact = u32::from_le_bytes([a, b, c, d]) == checksum(key, FIRST, data);
    (version == FIRST && intact).then(|| Bytes::copy_from_slice(data))
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*number), rest))
}

/// Fills in the checksum of a head record without its body.
fn seal(key: &[u8], value: &mut [u8]) {
    if let Some((&mut [_, form, ref mut a, ref mut b, ref mut c, ref mut d], rest)) =
        value.split_first_chunk_mut::<FRAME>()
    {
        [*a, *b, *c, *d] = checksum(key, form, rest).to_le_bytes();
    }
}

fn checksum(key: &[u8], form: u8, bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(&[form]);
    crc.update(bytes);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(head: usize, body: usize) -> Record {
        let bytes = |count: usize| (0..count).map(|at| (at % 251) as u8).collect::<Vec<u8>>();
        Record { head: bytes(head).into(), body: bytes(body).into() }
    }

    #[test]
    fn records_in_one_piece_come_back() {
        for (head, body) in [(0, 0), (1, 0), (0, 1), (40, 300), (100, limits::CHUNK_BYTES - 100)] {
            let record = record(head, body);
            assert!(fits(&record));
            let value = whole(b"key", &record);
            let heads = Record { head: record.head.clone(), body: Bytes::new() };
            let read = |depth| parse(b"key", &value, depth);
            assert_eq!(read(ScanDepth::Records), Some(Stored::Whole(record)));
            assert_eq!(read(ScanDepth::Heads), Some(Stored::Whole(heads)));
        }
    }

    /// What former releases have stored is read, byte for byte as they made it.
    #[test]
    fn values_of_former_releases_are_read() {
        let kept = |name: &str| {
            std::fs::read(format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
        };
        let value = kept("value-1-whole");
        assert_eq!(whole(b"key", &record(20, 30)), value);
        let stored = parse(b"key", &value, ScanDepth::Records);
        assert_eq!(stored, Some(Stored::Whole(record(20, 30))));
        for (name, record) in [
            ("value-1-chunked", record(20, 70_000)),
            ("value-1-chunked-long-head", record(5_000, 70_000)),
        ] {
            let (value, described) = (kept(name), Outline::new(&record, 9));
            assert_eq!(chunked(b"key", &described), value, "{name}");
            let stored = parse(b"key", &value, ScanDepth::Records);
            assert_eq!(stored, Some(Stored::Chunked(described)), "{name}");
        }
        let record = record(20, 70_000);
        let data = Outline::new(&record, 9).split(&record);
        let value = kept("value-1-chunk");
        assert_eq!(chunk(b"chunk key", &data[2]), value);
        assert_eq!(parse_chunk(b"chunk key", &value).as_ref(), Some(&data[2]));
    }

    #[test]
    fn records_in_files_come_back() {
        for (head, body) in [(20, 1 << 20), (limits::INLINE_HEAD_BYTES + 1, 300_000)] {
            let outline = Outline::new(&record(head, body), 77);
            let value = filed(b"key", &outline);
            let short = head <= limits::INLINE_HEAD_BYTES;
            assert_eq!(outline.inline_head().is_some(), short);
            assert_eq!(outline.apart(), (if short { 0 } else { head }, body));
            assert_eq!(parse(b"key", &value, ScanDepth::Heads), Some(Stored::Filed(outline)));
        }
    }

    #[track_caller]
    fn check_chunked(head: usize, body: usize, count: u32, count_for_heads: u32) {
        let record = record(head, body);
        let chunked_record = Outline::new(&record, 9);
        let value = chunked(b"key", &chunked_record);
        assert!(value.len() <= limits::CHUNK_BYTES);
        let stored = parse(b"key", &value, ScanDepth::Records);
        assert_eq!(stored, Some(Stored::Chunked(chunked_record.clone())));
        assert_eq!(chunked_record.count(), count);
        assert_eq!(chunked_record.count_for(ScanDepth::Heads), count_for_heads);
        let mut chunks = chunked_record.split(&record);
        assert_eq!(chunks.len(), count as usize);
        for data in &chunks {
            let value = chunk(b"chunk key", data);
            assert!(value.len() <= limits::CHUNK_BYTES);
            assert_eq!(parse_chunk(b"chunk key", &value).as_ref(), Some(data));
            assert_eq!(parse_chunk(b"other key", &value), None);
        }
        assert_eq!(chunked_record.join(ScanDepth::Records, &chunks), Some(record.clone()));
        chunks.truncate(count_for_heads as usize);
        let heads = Record { head: record.head.clone(), body: Bytes::new() };
        assert_eq!(chunked_record.join(ScanDepth::Heads, &chunks), Some(heads));
        if !chunks.is_empty() && count > count_for_heads {
            assert_eq!(chunked_record.join(ScanDepth::Records, &chunks), None);
        }
    }

    #[test]
    fn records_in_chunks_come_back() {
        check_chunked(100, limits::CHUNK_BYTES, 2, 0);
        check_chunked(100, CHUNK_DATA * 3, 3, 0);
        check_chunked(limits::INLINE_HEAD_BYTES, 1 << 20, 37, 0);
        check_chunked(limits::INLINE_HEAD_BYTES + 1, 1 << 20, 37, 1);
        check_chunked(100_000, 10, 4, 4);
        check_chunked(100_000, 200_000, 11, 4);
    }

    #[test]
    fn damage_is_noticed() {
        let whole_record = record(20, 30);
        let chunked_record = Outline::new(&record(20, 70_000), 1);
        let values = [
            whole(b"key", &whole_record),
            chunked(b"key", &chunked_record),
            filed(b"key", &chunked_record),
        ];
        for value in values {
            assert!(parse(b"key", &value, ScanDepth::Records).is_some());
            assert_eq!(parse(b"kez", &value, ScanDepth::Records), None);
            for at in 0..value.len() {
                let mut damaged = value.clone();
                damaged[at] ^= 4;
                assert_eq!(parse(b"key", &damaged, ScanDepth::Records), None, "byte {at}");
                assert_eq!(parse(b"key", &value[..at], ScanDepth::Records), None, "cut at {at}");
            }
        }
    }
}
