//! What nodes ask of each other about the pairs that are gathered: to keep a copy, to give one, to go
//! on keeping them, to save them, to forget them.

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
    /// What the node lacks of it.
    LookForSegments = 10 => Vec<(RunId, Bits)>,
    SavePairs = 11 => (),
);

crate::wire::new!(
    "grouping": StoreSegments, FetchSegment, KeepPairs, ForgetPairs, LookForSegments, SavePairs,
    Vec<(RunId, Bits)>,
);

/// Some of the partitions, a bit each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bits(Bytes);

impl Bits {
    pub(crate) fn of(partitions: impl IntoIterator<Item = u32>) -> Self {
        let mut bits = Vec::new();
        for partition in partitions {
            let at = usize::try_from(partition / 8).unwrap_or(usize::MAX);
            if bits.len() <= at {
                bits.resize(at + 1, 0);
            }
            bits[at] |= 1_u8 << (partition % 8);
        }
        Self(bits.into())
    }

    /// Their numbers, in order.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = u32> + '_ {
        let bytes = (0_u32..).zip(self.0.iter());
        bytes.flat_map(|(at, byte)| {
            (0..8).filter(move |bit| (byte >> bit) & 1 == 1).map(move |bit| 8 * at + bit)
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }
}

/// Asks for the segments of runs that a node should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LookForSegments {
    /// The query.
    pub(crate) query: QueryTag,
    /// The gathering stage within it.
    pub(crate) stage: u32,
    /// The partitions of each run.
    pub(crate) runs: Vec<(RunId, Bits)>,
}

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

/// What a node has of a query is to be there after its next start. Nodes of before do not know this, and
/// say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavePairs(pub(crate) QueryTag);

/// A query is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ForgetPairs(pub(crate) QueryTag);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_bits() {
        for partitions in [vec![], vec![0], vec![0, 7, 8, 9, 1_023], (0..70).collect::<Vec<u32>>()]
        {
            let bits = Bits::of(partitions.iter().copied());
            assert_eq!(bits.partitions().collect::<Vec<_>>(), partitions);
            assert_eq!(bits.is_empty(), partitions.is_empty());
        }
    }
}
