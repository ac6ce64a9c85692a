//! What segments are called.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which segment of which query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SegmentId {
    /// The query.
    pub query: u64,
    /// The stage of the query that gathers it.
    pub stage: u32,
    /// The unit whose pairs it has.
    pub unit: u32,
    /// The attempt of the unit.
    pub attempt: u32,
    /// The page of the attempt.
    pub page: u32,
    /// The partition.
    pub partition: u32,
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { query, stage, unit, attempt, page, partition } = self;
        write!(
            f,
            "the segment of partition {partition}, page {page}, attempt {attempt}, unit {unit}, \
             stage {stage} of query {query:x}"
        )
    }
}

/// What a segment is called within its query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Stored(SegmentId),
    /// One that a merge makes for itself: the query, and a number.
    Temporary(u64, u64),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(id) => id.fmt(f),
            Self::Temporary(query, number) => {
                write!(f, "segment {number} of a merge of query {query:x}")
            }
        }
    }
}
