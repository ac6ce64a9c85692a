//! What nodes ask of each other about the pairs that are gathered: to keep a copy, to give one, to go
//! on keeping them, to forget them.

use bytes::Bytes;
use mapring_net::calls;
use mapring_script::QueryTag;
use serde::{Deserialize, Serialize};

use crate::unit::{RunId, SERVICE};

calls!(SERVICE;
    StoreSegments = 5 => (),
    /// The segment; `None` when it is not there.
    FetchSegment = 6 => Option<Bytes>,
    KeepPairs = 7 => (),
    ForgetPairs = 8 => (),
);

crate::wire::new!(StoreSegments, FetchSegment, KeepPairs, ForgetPairs);

/// The segments of a run for partitions that a node keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoreSegments {
    /// The query.
    pub(crate) query: QueryTag,
    /// The gathering stage within it.
    pub(crate) stage: u32,
    /// The run.
    pub(crate) run: RunId,
    /// Each partition's segment.
    pub(crate) segments: Vec<(u32, Bytes)>,
}

/// A segment that another node lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FetchSegment {
    /// The query.
    pub(crate) query: QueryTag,
    /// The gathering stage within it.
    pub(crate) stage: u32,
    /// The run.
    pub(crate) run: RunId,
    /// The partition.
    pub(crate) partition: u32,
}

/// A query still runs: what is kept for it is not forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeepPairs(pub(crate) QueryTag);

/// A query is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ForgetPairs(pub(crate) QueryTag);
