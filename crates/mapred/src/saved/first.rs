//! Version 1 of what a job goes on from: it had maps and links alone, without objects as outputs.

use bytes::Bytes;
use mapring_types::versioned::{self, Nothing};
use mapring_types::{BucketId, Release, Result, Versioned};
use serde::{Deserialize, Serialize};

use super::{Saved, SavedLanes, SavedList, SavedListing, SavedProgress, SavedShards, SavedStage};

/// See the module. Members are those of [`Saved`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct First {
    query: u64,
    stages: Vec<SavedLanes>,
    next_input_at: Option<u64>,
    listed: Vec<List>,
    left: Option<u64>,
    rows: u64,
    progress: SavedProgress,
}

/// See [`SavedList`].
#[derive(Debug, Serialize, Deserialize)]
struct List {
    buckets: Vec<BucketId>,
    entries: Bytes,
    unit: u32,
    place: u64,
}

impl Versioned for First {
    const WHAT: &'static str = Saved::WHAT;
    const VERSION: u8 = 1;
    const SINCE: Release = Release::GROUPS;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        versioned::from_postcard(body)
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

impl From<First> for Saved {
    fn from(first: First) -> Self {
        let First { query, stages, next_input_at, listed, left, rows, progress } = first;
        let list = |List { buckets, entries, unit, place }: List| {
            let listing = SavedListing { first_unit: unit, divided: None };
            SavedList { buckets, entries, listing, place }
        };
        Self {
            query,
            stages: stages.into_iter().map(SavedStage::Lanes).collect(),
            next_input_at,
            // Where that matters results were told apart by shards, and so became objects.
            inputs_taken: 0,
            listed: listed.into_iter().map(list).collect(),
            numbering: None,
            left,
            rows,
            progress,
            shards: SavedShards::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_former_version_has_written_is_read() {
        let lanes = SavedLanes {
            scans: Vec::new(),
            partitions: Vec::new(),
            shards: Vec::new(),
            chains: vec![3],
            inputs: Vec::new(),
            places: 4,
            units: 5,
        };
        let entries = Bytes::from_static(b"packed");
        let first = First {
            query: 7,
            stages: vec![lanes.clone()],
            next_input_at: Some(2),
            listed: vec![List { buckets: Vec::new(), entries: entries.clone(), unit: 6, place: 9 }],
            left: None,
            rows: 11,
            progress: SavedProgress::default(),
        };
        let bytes = versioned::to_postcard(&first).unwrap();
        assert_eq!(bytes[0], 1);
        let listing = SavedListing { first_unit: 6, divided: None };
        let read = Saved::decode(&bytes).unwrap();
        let expect = Saved {
            query: 7,
            stages: vec![SavedStage::Lanes(lanes)],
            next_input_at: Some(2),
            inputs_taken: 0,
            listed: vec![SavedList { buckets: Vec::new(), entries, listing, place: 9 }],
            numbering: None,
            left: None,
            rows: 11,
            progress: SavedProgress::default(),
            shards: SavedShards::default(),
        };
        assert_eq!(read, expect);
        let again = expect.encode().unwrap();
        assert_eq!((again[0], Saved::decode(&again).unwrap()), (2, expect));
    }
}
