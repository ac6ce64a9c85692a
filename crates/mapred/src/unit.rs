//! Units of work as they travel between nodes.
//!
//! A *lane* is one stream of frames that a coordinator opens to one node for one phase of one
//! query. Its request lists the units that the node is to run. Every page of a unit comes back as
//! one frame, which the coordinator accepts whole or not at all.

use std::time::Duration;

use bytes::Bytes;
use mapring_kv::Cursor;
use mapring_net::ServiceId;
use mapring_ring::Partition;
use mapring_script::{
    CallBounds, CallContext, Combiner, Effects, Grouping, JsonText, PhaseFunction, Priority,
    QueryTag, ReduceTiming, Row, ScriptError,
};
use mapring_types::error::WireError;
use mapring_types::{NodeId, ObjectId, Result};
use serde::{Deserialize, Serialize};

use crate::grammar::{Consistency, LinkSpec, Scan};
use crate::shard::ShardUnit;
use crate::wire;

/// The number of the service for the work of queries. It is sent, and so never another service's.
pub const SERVICE: ServiceId = ServiceId::new(3);

/// What a lane is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LaneRequest {
    /// The query, for the workers.
    pub(crate) query: QueryTag,
    /// The phase's number: what failures name, and later phases are served first.
    pub(crate) phase: u32,
    /// The version of the ownership plan that the work was routed by.
    pub(crate) plan_version: u64,
    /// How long the query may still take, in milliseconds: a lane ends by itself then, should the
    /// coordinator be cut off without a trace.
    pub(crate) time_left_ms: u64,
    /// What is done with each object.
    pub(crate) work: Work,
    /// A reduce that runs over the results of each page.
    pub(crate) prereduce: Option<Prereduce>,
    /// Where the results go when they are pairs to be grouped.
    pub(crate) shuffle: Option<Shuffle>,
    /// Whether the results themselves are wanted: to be kept, or passed on without a pre-reduce.
    pub(crate) results: bool,
    /// Whether it matters which of them are of which input.
    pub(crate) tells_inputs: bool,
    /// How inputs are read and failures taken.
    pub(crate) options: UnitOptions,
    /// What functions are told of the query.
    pub(crate) context: CallContext,
    /// The units.
    pub(crate) units: Units,
}

/// A lane of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobLane {
    /// What it is held to.
    pub(crate) terms: LaneTerms,
    /// What it is asked to do.
    pub(crate) lane: LaneRequest,
}

/// What a lane of a job is held to. Beside that its units end with [`Frame::Again`] where those of
/// queries end with [`Frame::Failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LaneTerms {
    /// What its calls are held to.
    pub(crate) bounds: CallBounds,
    /// When they have their turn.
    pub(crate) priority: Priority,
    /// The largest group that a function gets whole, in bytes.
    pub(crate) group_bytes: u64,
    /// No more inputs than these are taken; the lane then ends with [`Frame::Spent`].
    pub(crate) inputs: Option<u64>,
}

/// How inputs are read, and what becomes of those that fail: what the query's options come to on the
/// nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct UnitOptions {
    /// Functions get tombstones; else these are as good as not there.
    pub(crate) tombstones: bool,
    /// From how many of their replicas objects are merged.
    pub(crate) consistency: Consistency,
    /// Inputs for which a function fails are left out and reported.
    pub(crate) skip: bool,
    /// A page ends at so many results: the query wants no more.
    pub(crate) most_results: Option<u64>,
}

/// What is done with each object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Work {
    /// A map function is called.
    Map(PhaseFunction),
    /// Its links are followed.
    Link(LinkSpec),
    /// Its name is listed.
    Keys {
        /// Whether as a pair, which Erlang's functions get, or as a list.
        pairs: bool,
    },
    /// A function is called with each group of pairs.
    Groups(GroupWork),
}

/// How groups are reduced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupWork {
    /// The function.
    pub(crate) function: PhaseFunction,
    /// What makes fewer of the values first.
    pub(crate) combine: Option<Combiner>,
    /// Whether the values come sorted, and then whether the largest come first.
    pub(crate) descending: Option<bool>,
    /// Whether the function gets its values one after another.
    pub(crate) stream: bool,
}

/// A reduce beside the data. Its state ends with each page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Prereduce {
    /// The number of the reduce phase.
    pub(crate) phase: u32,
    /// Its function.
    pub(crate) function: PhaseFunction,
    /// When it is called.
    pub(crate) timing: ReduceTiming,
}

/// Where pairs go that are to be grouped: not through the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shuffle {
    /// The number of the gathering stage within its query.
    pub(crate) stage: u32,
    /// The phase of the reduce, to which the combiner belongs.
    pub(crate) phase: u32,
    /// Whether keys become text, and what makes fewer of the values of a key before they leave.
    pub(crate) grouping: Grouping,
    /// What chooses the partition of a key, where that is not its hash.
    pub(crate) partition_by: Option<PhaseFunction>,
    /// Who keeps each partition, in the order of their numbers.
    pub(crate) holders: Vec<Holders>,
}

/// The nodes that keep a partition of the pairs. Every segment lies on two nodes where there are two: on
/// the one that made it and on the owner, or, where that is the same, on the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holders {
    /// Who reduces the partition.
    pub(crate) owner: NodeId,
    /// Who has a copy of what the owner itself has made; `None` where there is no other node.
    pub(crate) backup: Option<NodeId>,
}

/// The pairs of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The page's number within its unit: pages that go on from each other have growing ones.
    pub(crate) page: u32,
    /// How many pairs there were, …
    pub(crate) made: u64,
    /// … and how many were left after they were combined.
    pub(crate) pairs: u64,
    /// Bytes of the segments, as stored.
    pub(crate) bytes: u64,
    /// The partitions that have a segment of it.
    pub(crate) partitions: Vec<u32>,
}

/// The units of a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Units {
    /// The objects of home partitions.
    Partitions {
        /// The bucket, and which of its objects.
        scan: Box<Scan>,
        /// How many replicas are read and merged.
        replicas: u32,
        /// The partitions.
        units: Vec<PartitionUnit>,
    },
    /// Named objects.
    Batch(BatchUnit),
    /// The groups of a partition.
    Groups(GroupUnit),
    /// What lies within objects, or is made.
    Shard(Box<ShardUnit>),
}

/// The groups of a partition of pairs, from a key on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupUnit {
    /// The number of the gathering stage within its query.
    pub(crate) stage: u32,
    /// The partition, which is the unit's number as well.
    pub(crate) unit: u32,
    /// As [`PartitionUnit::attempt`].
    pub(crate) attempt: u32,
    /// Start strictly after this key, in its canonical bytes.
    pub(crate) after: Option<Bytes>,
    /// As [`PartitionUnit::page`].
    pub(crate) page: u32,
    /// The runs that have pairs for it.
    pub(crate) runs: Vec<RunPlace>,
}

/// A run, and where its segment for a partition lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunPlace {
    /// Which.
    pub(crate) run: RunId,
    /// The query under which it lies, where that is another than this one: a job that goes on has been
    /// another query before.
    pub(crate) query: Option<QueryTag>,
    /// The nodes that have the segment.
    pub(crate) nodes: Vec<NodeId>,
}

/// Names a run within its gathering stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct RunId {
    /// The unit that made it.
    pub(crate) unit: u32,
    /// The unit's attempt.
    pub(crate) attempt: u32,
    /// The page.
    pub(crate) page: u32,
}

/// The objects of a bucket in one home partition, from a cursor on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartitionUnit {
    /// The unit, numbered by the coordinator within the phase.
    pub(crate) unit: u32,
    /// Counts how often the unit was given out.
    pub(crate) attempt: u32,
    /// The home partition.
    pub(crate) home: Partition,
    /// The vnode of the asked node that holds a replica of it.
    pub(crate) vnode: Partition,
    /// Start strictly after this place.
    pub(crate) after: Option<Cursor>,
    /// How many pages of it have been accepted.
    pub(crate) page: u32,
    /// The state that its function has left with the last of them, when that is an object.
    pub(crate) state: Option<JsonText>,
}

/// A batch of named objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchUnit {
    /// As [`PartitionUnit::unit`].
    pub(crate) unit: u32,
    /// As [`PartitionUnit::attempt`].
    pub(crate) attempt: u32,
    /// The objects, in the order in which they are to be worked on.
    pub(crate) inputs: Vec<BatchInput>,
    /// The state of a batch that was lost, if this goes on with one.
    pub(crate) state: Option<JsonText>,
}

/// One named object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchInput {
    /// The vnode of the asked node that should hold it.
    pub(crate) vnode: Partition,
    /// Its name.
    pub(crate) id: ObjectId,
    /// Key data for the map function.
    pub(crate) keydata: Option<JsonText>,
    /// Where it stands among all inputs of the phase, when values of a group come in their order.
    pub(crate) order: Box<[u8]>,
}

/// What a lane answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Frame {
    /// The node still works.
    Renew,
    /// Part of a unit is done.
    Page(Box<Page>),
    /// A unit cannot be run here; another replica may do better.
    Unable {
        /// The unit.
        unit: u32,
        /// Its attempt.
        attempt: u32,
        /// Why.
        error: WireError,
        /// The failure of a function that asks for another attempt, where that is why.
        asked: Option<Box<Broken>>,
    },
    /// A function failed: so does the query.
    Failed(Broken),
    /// A unit's pairs cannot be stored at a node that is to keep them; another may.
    HolderLost {
        /// The unit.
        unit: u32,
        /// Its attempt.
        attempt: u32,
        /// The node.
        holder: NodeId,
        /// Why.
        error: WireError,
    },
    /// A function of a job failed: whether the unit is tried again is the coordinator's to know.
    Again {
        /// The unit.
        unit: u32,
        /// Its attempt.
        attempt: u32,
        /// What failed.
        broken: Box<Broken>,
    },
    /// The lane has taken as many inputs as it may.
    Spent,
}

/// Part of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Page {
    /// The unit.
    pub(crate) unit: u32,
    /// Its attempt.
    pub(crate) attempt: u32,
    /// How far the unit has come with this page.
    pub(crate) progress: Progress,
    /// The results, if asked for.
    pub(crate) results: Vec<Row>,
    /// How many of these each input gave, if asked for.
    pub(crate) gave: Vec<u32>,
    /// The pre-reduced results, if asked for.
    pub(crate) reduced: Option<Vec<Row>>,
    /// How many inputs the page took.
    pub(crate) inputs: u64,
    /// How many results they gave, sent or not.
    pub(crate) made: u64,
    /// The bytes of these.
    pub(crate) made_bytes: u64,
    /// Inputs that were left out because a function failed for them.
    pub(crate) skipped: Vec<Broken>,
    /// What the page cost.
    pub(crate) cost: Cost,
    /// What was called and what was missing.
    pub(crate) tally: Tally,
    /// What its functions asked for: done when the page is accepted.
    pub(crate) effects: Effects,
    /// Its pairs, when they are grouped.
    pub(crate) run: Option<Run>,
    /// Of groups whose results come in their order: each key, and how many results it gave.
    pub(crate) groups: Vec<(Bytes, u32)>,
    /// The state that its function has left, when that is an object.
    pub(crate) state: Option<JsonText>,
}

/// What the counters of a query follow from, beside what else is said of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Inputs that the function was called with.
    pub(crate) calls: u64,
    /// Objects that were named and are not there.
    pub(crate) missing: u64,
    /// How often the combiner was called.
    pub(crate) combined: u64,
}

/// What work cost on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Entries of the store that were looked at.
    pub(crate) looked_at: u64,
    /// Bytes of objects that were read.
    pub(crate) read_bytes: u64,
    /// Time for reading, in microseconds.
    pub(crate) read_us: u64,
    /// Time for the phase's function with the wait for a worker, in microseconds.
    pub(crate) work_us: u64,
    /// The part of it that the function itself took, as far as that is known.
    pub(crate) function_us: u64,
    /// Time for the pre-reduce, in microseconds.
    pub(crate) prereduce_us: u64,
    /// Time until the coordinator took the page before this one, in microseconds.
    pub(crate) held_back_us: u64,
}

impl Cost {
    /// Adds another.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self {
            looked_at,
            read_bytes,
            read_us,
            work_us,
            function_us,
            prereduce_us,
            held_back_us,
        } = self;
        for (own, more) in [
            (looked_at, other.looked_at),
            (read_bytes, other.read_bytes),
            (read_us, other.read_us),
            (work_us, other.work_us),
            (function_us, other.function_us),
            (prereduce_us, other.prereduce_us),
            (held_back_us, other.held_back_us),
        ] {
            *own = own.saturating_add(more);
        }
    }
}

/// A time as [`Cost`] has it.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How far a unit has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Progress {
    /// To its end.
    Done,
    /// A partition: up to this place.
    After(Cursor),
    /// A batch: so many inputs in all.
    Taken(u64),
}

/// A function's failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Broken {
    /// The phase that the function belongs to.
    pub(crate) phase: u32,
    /// The failure.
    pub(crate) error: ScriptError,
    /// The object that it was called with, where one can be named.
    pub(crate) input: Option<(ObjectId, Option<JsonText>)>,
}

/// Encodes a page, in no more memory than it needs.
///
/// # Errors
/// As [`wire::encode`].
pub(crate) fn encode_page(version: u8, page: Page) -> Result<Bytes> {
    let values = page.results.iter().chain(page.reduced.iter().flatten());
    let bytes: usize = values.map(|row| row.bytes() + 1 + LENGTH_BYTES).sum();
    wire::encode_into(version, &Frame::Page(Box::new(page)), bytes + PAGE_HEAD_BYTES)
}

/// What the length of a value takes in a frame, at most.
const LENGTH_BYTES: usize = 5;

/// What a page has besides its results, but for long names.
const PAGE_HEAD_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{decode, encode};

    #[test]
    fn messages_survive_the_way() {
        let page = Frame::Page(Box::new(Page {
            unit: 7,
            attempt: 2,
            progress: Progress::After(Cursor::new("k")),
            results: vec![Row::value("1.0"), Row::pair("\"a\"", "1")],
            gave: Vec::new(),
            reduced: Some(Vec::new()),
            inputs: 3,
            made: 1,
            made_bytes: 3,
            skipped: Vec::new(),
            cost: Cost { read_us: 7, ..Cost::default() },
            tally: Tally { calls: 3, ..Tally::default() },
            effects: Effects::default(),
            run: None,
            groups: Vec::new(),
            state: None,
        }));
        for frame in [Frame::Renew, page.clone()] {
            for version in [2, 3] {
                let sent = encode(version, &frame).unwrap();
                assert_eq!(decode::<Frame>(&sent).unwrap(), frame);
            }
        }
        // As nodes have sent them from the first version on: each a text, its length before it.
        let sent = encode(2, &page).unwrap();
        for row in [&b"\x031.0"[..], b"\x08 {\"a\":1}"] {
            assert!(sent.windows(row.len()).any(|bytes| bytes == row), "{sent:?}");
        }
        let Frame::Page(inner) = page.clone() else { panic!("no page") };
        assert_eq!(encode_page(2, *inner).unwrap(), sent);
    }

    #[test]
    fn a_later_version_is_refused_with_both() {
        let error = decode::<Frame>(&[9, 0]).unwrap_err();
        assert!(
            error.message().starts_with("a message of a query has version 9, and versions 2 to 3")
        );
        assert_eq!(error.kind(), mapring_types::ErrorKind::Unavailable);
    }

    #[test]
    fn damage_is_an_error() {
        for bytes in
            [&[][..], &[2], &[3], &[1, 0], &[3, 9], &[2, 9], &[2, 1, 255, 255, 255, 255, 255, 255]]
        {
            assert!(decode::<Frame>(bytes).is_err(), "{bytes:?}");
            assert!(decode::<LaneRequest>(bytes).is_err(), "{bytes:?}");
        }
    }
}
