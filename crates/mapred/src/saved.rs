//! What a job goes on from: how far each of its stages has come, as it is kept outside.

mod first;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mapring_kv::Cursor;
use mapring_ring::Partition;
use mapring_script::{JsonText, QueryTag, Row, SavedReduce};
use mapring_types::versioned;
use mapring_types::{BucketId, Error, NodeId, ObjectId, Release, Result, Versioned};
use serde::{Deserialize, Serialize};

use crate::grammar::Scan;
use crate::segments::Bits;
use crate::shard::Shard;
use crate::unit::{Holders, RunId};
use first::First;

/// All of it. What is accepted of the job's inputs is behind it, and has taken effect; everything else is
/// still to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// The hash of the beginning of the query's text: it is of no use to another.
    pub(crate) query: u64,
    /// One for each stage.
    pub(crate) stages: Vec<SavedStage>,
    /// Where to go on in the query's own list of inputs; `None` when all are taken.
    pub(crate) next_input_at: Option<u64>,
    /// How many of these were taken.
    pub(crate) inputs_taken: u64,
    /// Listed objects that have not been given to the first stage.
    pub(crate) listed: Vec<SavedList>,
    /// The shards that results are told apart by, if they are.
    pub(crate) numbering: Option<SavedNumbering>,
    /// How many more results the client wants, where that is limited.
    pub(crate) left: Option<u64>,
    /// How many results were made for the client.
    pub(crate) rows: u64,
    pub(crate) progress: SavedProgress,
    /// What is shown of the shards that have done something.
    pub(crate) shards: SavedShards,
}

/// Shards that have done something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedShards {
    /// How many of them are done, shown or not: also those whose inputs go to others.
    pub(crate) ended: u64,
    /// Those that a stage has before it are not done. Programs that know no such ones here show them as if
    /// they had done nothing.
    pub(crate) told: Vec<WatchedShard>,
}

/// One of them. Members are those of [`crate::ShardDetail`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WatchedShard {
    /// The number of its stage.
    pub(crate) stage: u32,
    pub(crate) unit: u32,
    pub(crate) description: String,
    pub(crate) node: Option<String>,
    pub(crate) attempt: u32,
    pub(crate) slice: u32,
    pub(crate) inputs: u64,
    pub(crate) results: u64,
    pub(crate) last_input: Option<String>,
}

/// What a stage has before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SavedStage {
    Lanes(SavedLanes),
    Reduce(SavedReducing),
    Gather(SavedGather),
    /// `None` until all pairs are gathered.
    Groups(Option<SavedGroups>),
}

/// A reduce that is not grouped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedReducing {
    pub(crate) over: bool,
    /// What its calls have come to.
    pub(crate) reduce: SavedReduce,
    /// Inputs that came, and were not given to them.
    pub(crate) queue: Vec<Row>,
}

/// What gathers pairs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedGather {
    /// Who keeps each partition of the pairs that are still to come.
    pub(crate) holders: Vec<Holders>,
    /// How many runs were begun at the coordinator.
    pub(crate) page: u32,
    /// Pairs that came there, and are in none that was accepted.
    pub(crate) rows: Vec<Row>,
    /// Whether the reduce has begun: it has the runs then.
    pub(crate) taken: bool,
    pub(crate) runs: SavedRuns,
}

/// Runs of pairs that were accepted, and where they lie.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedRuns {
    /// The queries under which nodes have them: the job has been one after another.
    pub(crate) queries: Vec<QueryTag>,
    /// Who kept each partition when some of them were made.
    pub(crate) holders: Vec<Vec<Holders>>,
    pub(crate) runs: Vec<SavedRun>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedRun {
    pub(crate) id: RunId,
    pub(crate) made_by: NodeId,
    /// The numbers of its query, and of its holders.
    pub(crate) query: u32,
    pub(crate) holders: u32,
    /// Which partitions have a segment of it.
    pub(crate) partitions: Bits,
}

/// The pairs of one query that a checkpoint names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NamedPairs {
    /// How many runs, by stage.
    pub(crate) runs: BTreeMap<usize, usize>,
    /// Who has them.
    pub(crate) nodes: BTreeSet<NodeId>,
}

/// A grouped reduce that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedGroups {
    pub(crate) runs: SavedRuns,
    /// Who works on each partition.
    pub(crate) holders: Vec<Holders>,
    pub(crate) partitions: Vec<SavedGroupsOf>,
    /// The key whose results were handed on last.
    pub(crate) last: Option<Bytes>,
}

/// How far a partition of groups is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedGroupsOf {
    pub(crate) over: bool,
    pub(crate) after: Option<Bytes>,
    /// The next attempt.
    pub(crate) attempt: u32,
    pub(crate) page: u32,
    /// The last key that came, …
    pub(crate) last: Option<Bytes>,
    /// … and the results of those whose turn has not come.
    pub(crate) waiting: Vec<(Bytes, Vec<Row>)>,
}

/// A map or link phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedLanes {
    /// What is read of each bucket, and how many replicas of it are merged.
    pub(crate) scans: Vec<(Scan, u32)>,
    pub(crate) partitions: Vec<SavedPartition>,
    pub(crate) shards: Vec<SavedShard>,
    /// How many inputs are still wanted of shards that are worked through one after another.
    pub(crate) chains: Vec<u64>,
    /// Inputs that came and are not done, in order.
    pub(crate) inputs: Vec<SavedInput>,
    /// How many inputs came.
    pub(crate) places: u64,
    /// How many units were numbered.
    pub(crate) units: u32,
}

/// How far a unit is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedUnit {
    pub(crate) unit: u32,
    pub(crate) after: Option<Cursor>,
    /// The next attempt.
    pub(crate) attempt: u32,
    pub(crate) page: u32,
    pub(crate) results: u64,
    pub(crate) state: Option<JsonText>,
}

/// A home partition that is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedPartition {
    pub(crate) unit: SavedUnit,
    /// The number of its scan.
    pub(crate) scan: u32,
    pub(crate) home: Partition,
}

/// A shard that is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedShard {
    pub(crate) unit: SavedUnit,
    pub(crate) shard: Shard,
    /// The number of its chain.
    pub(crate) chain: Option<u32>,
}

/// An input that is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedInput {
    pub(crate) id: ObjectId,
    pub(crate) keydata: Option<JsonText>,
    pub(crate) order: Box<[u8]>,
    pub(crate) state: Option<JsonText>,
    pub(crate) attempt: u32,
}

/// The rest of a list of inputs, packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedList {
    pub(crate) buckets: Vec<BucketId>,
    pub(crate) entries: Bytes,
    /// What the order of its inputs follows, …
    pub(crate) listing: SavedListing,
    /// … and the place of its next input.
    pub(crate) place: u64,
}

/// The numbers that stand for a list of inputs among those of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedListing {
    pub(crate) first_unit: u32,
    /// How many inputs it has, and into how many stretches it is divided.
    pub(crate) divided: Option<(u64, u64)>,
}

/// The shards that results are told apart by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedNumbering {
    pub(crate) parts: Vec<SavedPart>,
    /// How many results came that have no order of their own.
    pub(crate) placed: u64,
    /// That of the query's own list of inputs.
    pub(crate) listing: Option<SavedListing>,
}

/// Units that are shards, or parts of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedPart {
    pub(crate) first_unit: u32,
    pub(crate) units: u64,
    pub(crate) first_shard: u32,
    pub(crate) shards: u32,
}

/// What is shown of the job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedProgress {
    /// Of each stage: inputs, results, their bytes, those left out, partitions done and all.
    pub(crate) stages: Vec<[u64; 6]>,
    /// What functions have counted, …
    pub(crate) counters: BTreeMap<String, i64>,
    /// … and the store, in the order of its counters.
    pub(crate) own: Vec<u64>,
    pub(crate) skipped: u64,
    pub(crate) logged: u64,
    /// Milliseconds that it had run.
    pub(crate) running_ms: u64,
}

impl Versioned for Saved {
    const WHAT: &'static str = "a checkpoint of a job";
    const VERSION: u8 = 2;
    const SINCE: Release = Release::JOBS;
    type Previous = First;

    fn read(body: &[u8]) -> Result<Self> {
        versioned::from_postcard(body)
    }

    fn migrate(previous: First) -> Result<Self> {
        Ok(previous.into())
    }
}

impl Saved {
    /// Reads what the query with a text goes on from.
    ///
    /// # Errors
    /// When it is none, or that of another query.
    pub(crate) fn of_query(bytes: &[u8], text: &str) -> Result<Self> {
        let saved = Self::decode(bytes)?;
        if saved.query == hash(text) { Ok(saved) } else { Err(wrong("is of another query")) }
    }

    /// The queries under which nodes have pairs of the job.
    pub(crate) fn queries(&self) -> BTreeSet<QueryTag> {
        let runs = self.stages.iter().filter_map(|stage| match stage {
            SavedStage::Gather(gather) => Some(&gather.runs),
            SavedStage::Groups(groups) => groups.as_ref().map(|groups| &groups.runs),
            SavedStage::Lanes(_) | SavedStage::Reduce(_) => None,
        });
        runs.flat_map(|runs| runs.queries.iter().copied()).collect()
    }

    /// Where the pairs lie that it names, by the query under which nodes have them.
    pub(crate) fn pairs(&self) -> BTreeMap<QueryTag, NamedPairs> {
        let mut named = BTreeMap::<QueryTag, NamedPairs>::new();
        for (stage, saved) in self.stages.iter().enumerate() {
            let runs = match saved {
                SavedStage::Gather(gather) => &gather.runs,
                SavedStage::Groups(Some(groups)) => &groups.runs,
                _ => continue,
            };
            let mut holders = BTreeSet::new();
            for run in &runs.runs {
                let at = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
                let Some(query) = runs.queries.get(at(run.query)) else { continue };
                let pairs = named.entry(*query).or_default();
                *pairs.runs.entry(stage).or_default() += 1;
                pairs.nodes.insert(run.made_by);
                if holders.insert((*query, run.holders)) {
                    let held = runs.holders.get(at(run.holders)).into_iter().flatten();
                    let nodes = held.flat_map(|held| held.backup.into_iter().chain([held.owner]));
                    pairs.nodes.extend(nodes);
                }
            }
        }
        named
    }

    pub(crate) fn encode(&self) -> Result<Bytes> {
        versioned::to_postcard(self).map(Bytes::from)
    }
}

/// The attempt that a unit goes on with: whoever has it now is one.
pub(crate) fn next_attempt(attempt: u32, under_way: bool) -> u32 {
    attempt.saturating_add(u32::from(under_way))
}

/// What is wrong with a checkpoint that was read.
pub(crate) fn wrong(what: &str) -> Error {
    Error::corrupt(format!("{}: {what}", Saved::WHAT))
}

/// The hash by which queries are told apart, and which what is random in a job follows from, of its id:
/// FNV-1a.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_as_they_were_published() {
        assert_eq!(hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c);
        assert_ne!(hash("j1"), hash("j2"));
    }
}
