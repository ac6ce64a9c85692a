//! The index of a query that was saved: which segments it has, and where in its file they lie.
//!
//! A version byte, the rest as postcard, and a checksum of both: CRC-32, little endian.

use std::collections::BTreeSet;

use crc32fast::hash;
use mapring_types::versioned::{self, Nothing, Versioned};
use mapring_types::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::name::SegmentId;
use crate::limits::{INDEX_BYTES, SEGMENT_BYTES};
use crate::segment::Summary;

const SUM_BYTES: usize = 4;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    pub(super) query: u64,
    /// In order.
    pub(super) segments: Vec<Indexed>,
}

/// A segment that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Indexed {
    pub(super) stage: u32,
    pub(super) unit: u32,
    pub(super) attempt: u32,
    pub(super) page: u32,
    pub(super) partition: u32,
    /// The checksum of its bytes.
    pub(super) sum: u32,
    pub(super) blocks: u32,
    pub(super) records: u64,
    pub(super) raw_bytes: u64,
    pub(super) largest_block: u32,
    /// Where its parts begin, and how long they are.
    pub(super) parts: Vec<(u64, u64)>,
}

impl Indexed {
    pub(super) fn new(id: SegmentId, sum: u32, summary: Summary, parts: Vec<(u64, u64)>) -> Self {
        let SegmentId { query: _, stage, unit, attempt, page, partition } = id;
        let Summary { blocks, records, raw_bytes, largest_block } = summary;
        Self {
            stage,
            unit,
            attempt,
            page,
            partition,
            sum,
            blocks,
            records,
            raw_bytes,
            largest_block,
            parts,
        }
    }

    pub(super) fn id(&self, query: u64) -> SegmentId {
        let Self { stage, unit, attempt, page, partition, .. } = *self;
        SegmentId { query, stage, unit, attempt, page, partition }
    }

    pub(super) fn summary(&self) -> Summary {
        let Self { blocks, records, raw_bytes, largest_block, .. } = *self;
        Summary { blocks, records, raw_bytes, largest_block }
    }

    /// Bytes in all.
    pub(super) fn length(&self) -> u64 {
        self.parts.iter().map(|(_, length)| *length).sum()
    }
}

impl Versioned for Index {
    const WHAT: &'static str = "an index of saved pairs";
    const VERSION: u8 = 1;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        versioned::from_postcard(body)
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

impl Index {
    /// # Errors
    /// `Storage` when there is more than may be.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = versioned::to_postcard(self)?;
        let sum = hash(&bytes);
        bytes.extend(sum.to_le_bytes());
        if bytes.len() as u64 > INDEX_BYTES {
            let words = format!(
                "{} would be of {} bytes, and may be of {INDEX_BYTES}",
                Self::WHAT,
                bytes.len()
            );
            return Err(Error::new(ErrorKind::Storage, words));
        }
        Ok(bytes)
    }

    /// The index of a query whose file has so many bytes.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged, or says what cannot be of such a file; as [`Versioned::split`].
    pub(super) fn of(bytes: &[u8], query: u64, length: u64) -> Result<Self> {
        Self::split(bytes)?;
        let wrong = |what: &str| Error::corrupt(format!("{}: {what}", Self::WHAT));
        let whole = bytes.split_last_chunk::<SUM_BYTES>();
        let (versioned, sum) = whole.ok_or_else(|| wrong("is cut off"))?;
        if bytes.len() as u64 > INDEX_BYTES || hash(versioned).to_le_bytes() != *sum {
            return Err(wrong("its checksum differs"));
        }
        let index = Self::decode(versioned)?;
        if index.query != query {
            return Err(wrong("is of another query"));
        }
        let ids: BTreeSet<_> = index.segments.iter().map(|segment| segment.id(query)).collect();
        if ids.len() != index.segments.len() {
            return Err(wrong("has a segment twice"));
        }
        let parts = index.parts();
        let ends = |(at, length): &(u64, u64)| at.checked_add(*length);
        if parts.iter().any(|part| part.1 > SEGMENT_BYTES || ends(part).is_none()) {
            return Err(wrong("has a part that no file holds"));
        }
        if parts.windows(2).any(|two| ends(&two[0]) > Some(two[1].0)) {
            return Err(wrong("has two parts in one place"));
        }
        if index.end() > length {
            let end = index.end();
            let words = format!("names {end} bytes of pairs, and the file has {length}");
            return Err(wrong(&words));
        }
        Ok(index)
    }

    /// All parts, as they lie in the file.
    pub(super) fn parts(&self) -> Vec<(u64, u64)> {
        let parts = self.segments.iter().flat_map(|segment| &segment.parts);
        let mut parts: Vec<_> = parts.copied().collect();
        parts.sort_unstable();
        parts
    }

    /// Where the last part ends.
    pub(super) fn end(&self) -> u64 {
        let parts = self.segments.iter().flat_map(|segment| &segment.parts);
        parts.map(|(at, length)| at.saturating_add(*length)).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let id = |page| SegmentId { query: 7, stage: 1, unit: 2, attempt: 3, page, partition: 300 };
        let summary = Summary { blocks: 1, records: 500, raw_bytes: 70_000, largest_block: 32_768 };
        let segments = vec![
            Indexed::new(id(4), 0x1234_5678, summary, vec![(0, 100), (400, 50)]),
            Indexed::new(id(5), 9, summary, vec![(100, 200)]),
        ];
        Index { query: 7, segments }
    }

    #[track_caller]
    fn refused(bytes: &[u8], query: u64, length: u64, kind: ErrorKind, words: &str) {
        let error = Index::of(bytes, query, length).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }

    #[test]
    fn what_the_first_version_has_written_is_read() {
        let kept = format!("{}/fixtures/index-1", env!("CARGO_MANIFEST_DIR"));
        let kept = std::fs::read(kept).unwrap();
        assert_eq!(Index::of(&kept, 7, 450).unwrap(), index());
        assert_eq!(index().encode().unwrap(), kept);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let bytes = index().encode().unwrap();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(Index::of(&bad, 7, 450).is_err(), "byte {at}");
            assert!(Index::of(&bytes[..at], 7, 450).is_err(), "{at} bytes");
        }
        let mut later = bytes.clone();
        later[0] = 2;
        refused(&later, 7, 450, ErrorKind::Unavailable, "has version 2");
        refused(
            &bytes,
            7,
            449,
            ErrorKind::Corrupt,
            "names 450 bytes of pairs, and the file has 449",
        );
        refused(&bytes, 8, 450, ErrorKind::Corrupt, "another query");
        let changed = |change: fn(&mut Index)| {
            let mut index = index();
            change(&mut index);
            index.encode().unwrap()
        };
        let twice = changed(|index| index.segments[1].page = 4);
        refused(&twice, 7, 450, ErrorKind::Corrupt, "a segment twice");
        let both = changed(|index| index.segments[1].parts[0].0 = 99);
        refused(&both, 7, 450, ErrorKind::Corrupt, "two parts in one place");
        let far = changed(|index| index.segments[1].parts[0].0 = u64::MAX);
        refused(&far, 7, 450, ErrorKind::Corrupt, "no file holds");
    }
}
