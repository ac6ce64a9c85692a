//! Pairs that are to be grouped: those of a page are collected in memory, sorted, combined, and stored
//! where their partitions belong, before the coordinator hears of the page.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use mapring_kv::executor;
use mapring_net::{Call, Class};
use mapring_script::{CallContext, QueryTag, Row, push_pair};
use mapring_shuffle::{Pairs, RunWriter, SegmentId, Sorted, run::RunSegment};
use mapring_types::{Error, ErrorKind, NodeId, Release, Result};

use super::combine::{Beside, Combine};
use super::outcome::PairsError;
use super::resources::Node;
use super::spread::Spread;
use crate::holders::second_copy;
use crate::limits;
use crate::segments::{Bits, FetchSegment, LookForSegments, SavePairs, StoreSegments};
use crate::unit::{Run, RunId, Shuffle};
use crate::wire;

/// Pairs on their way into a run.
pub(crate) struct PairsBuffer {
    run: mapring_shuffle::Run,
    /// What the order of all of them begins with.
    prefix: Vec<u8>,
    made: u64,
}

/// A run that lies where it belongs, and what combining its pairs asked for.
#[derive(Default)]
pub(crate) struct StoredRun {
    /// `None` of no pairs.
    pub(crate) run: Option<Run>,
    pub(crate) beside: Beside,
}

impl PairsBuffer {
    pub(crate) fn new(shuffle: &Shuffle, prefix: Vec<u8>) -> Result<Self> {
        Ok(Self { run: mapring_shuffle::Run::new(partitions(shuffle)?), prefix, made: 0 })
    }

    /// Adds pairs, of which so many were made before they were combined. `orders` has for each input
    /// what follows the prefix in the order of its pairs; empty when they come in their order.
    pub(crate) fn add(&mut self, pairs: Pairs, made: u64, orders: Vec<Box<[u8]>>) -> Result<()> {
        self.made += made;
        self.run.push(pairs, orders)
    }

    /// Bytes that are held.
    pub(crate) fn bytes(&self) -> usize {
        self.run.bytes()
    }

    /// Sorts and combines the pairs, and stores them: here, and at the nodes that have the second
    /// copies.
    pub(crate) async fn store(
        self,
        node: &Node,
        query: QueryTag,
        shuffle: &Shuffle,
        context: &Arc<CallContext>,
        id: RunId,
    ) -> Result<StoredRun, PairsError> {
        if self.run.pairs() == 0 {
            return Ok(StoredRun::default());
        }
        let Self { run, prefix, made } = self;
        let mut sorted = off_reactor(node, move || Ok(run.sort())).await?;
        if let Some(function) = &shuffle.partition_by {
            let spread = Spread { node, query, shuffle, function: function.clone(), context };
            sorted = spread.run(sorted).await?;
        }
        let (segments, beside) = match &shuffle.grouping.combine {
            None => (off_reactor(node, move || plain(sorted, &prefix)).await?, Beside::default()),
            // One that nobody asked for is to be worth it.
            Some(combiner) if combiner.lenient && !repeats(&sorted) => {
                (off_reactor(node, move || plain(sorted, &prefix)).await?, Beside::default())
            }
            Some(combiner) => {
                let phase = usize::try_from(shuffle.phase).unwrap_or(usize::MAX);
                let combiner = Arc::new(combiner.clone());
                let combine = Combine { node, query, phase, combiner: &combiner, context };
                combine.run(sorted, &prefix).await?
            }
        };
        let run = Run {
            page: id.page,
            made,
            pairs: segments.iter().map(|segment| segment.summary.records).sum(),
            bytes: segments.iter().map(|segment| segment.bytes.len() as u64).sum(),
            partitions: segments.iter().map(|segment| segment.partition).collect(),
        };
        let stored =
            segments.into_iter().map(|segment| (segment.partition, Bytes::from(segment.bytes)));
        place(node, query, shuffle, id, stored.collect()).await?;
        Ok(StoredRun { run: Some(run), beside })
    }
}

/// Makes a run of rows that came to the coordinator.
pub(crate) async fn run_of_rows(
    node: &Node,
    query: QueryTag,
    shuffle: &Shuffle,
    context: CallContext,
    id: RunId,
    rows: &[Row],
) -> Result<StoredRun, PairsError> {
    // Pages in their order; all are made here.
    let mut buffer = PairsBuffer::new(shuffle, id.page.to_be_bytes().to_vec())?;
    let mut pairs = Pairs::new();
    for row in rows {
        push_pair(&mut pairs, 0, row, shuffle.grouping.string_keys)
            .map_err(|error| PairsError::Row(row.clone(), error))?;
    }
    let made = rows.len() as u64;
    buffer.add(pairs, made, Vec::new())?;
    buffer.store(node, query, shuffle, &Arc::new(context), id).await
}

fn partitions(shuffle: &Shuffle) -> Result<NonZeroU32> {
    let partitions = u32::try_from(shuffle.holders.len()).ok().and_then(NonZeroU32::new);
    partitions.ok_or_else(|| Error::invalid("pairs are grouped in no partitions"))
}

/// Whether the pairs have many fewer keys than there are pairs.
fn repeats(sorted: &Sorted) -> bool {
    sorted.keys() <= sorted.pairs() / limits::VALUES_OF_A_KEY
}

/// Pairs as they are.
fn plain(sorted: Sorted, prefix: &[u8]) -> Result<Vec<RunSegment>> {
    let mut writer = RunWriter::new(prefix);
    sorted.write(&mut writer)?;
    writer.finish()
}

/// Sends the segments of a run to the nodes that have its second copies, and stores them here.
async fn place(
    node: &Node,
    query: QueryTag,
    shuffle: &Shuffle,
    run: RunId,
    segments: Vec<(u32, Bytes)>,
) -> Result<(), PairsError> {
    let view = node.cluster.view();
    let mut copies: BTreeMap<NodeId, Vec<(u32, Bytes)>> = BTreeMap::new();
    for (partition, segment) in &segments {
        let held = usize::try_from(*partition).ok().and_then(|at| shuffle.holders.get(at));
        if let Some(other) = held.and_then(|held| second_copy(*held, view.me)) {
            copies.entry(other).or_default().push((*partition, segment.clone()));
        }
    }
    let stage = shuffle.stage;
    let sent = copies.into_iter().map(|(other, segments)| {
        let peer = view.peer(other);
        async move {
            let peer = peer.ok_or_else(|| Error::unavailable("a holder of pairs is no member"))?;
            let bytes: usize = segments.iter().map(|(_, segment)| segment.len()).sum();
            let call = StoreSegments { query, stage, run, segments };
            // A node that is of a former release is told so when the query starts.
            let body = wire::encode(wire::version_at(Release::GROUPS), &call)?;
            let patience = limits::STORE_PATIENCE + limits::transfer(bytes);
            let method = StoreSegments::method();
            let class = Class::Foreground;
            let stored = node.transport.call(&peer, class, method, body, patience).await;
            stored.map(drop).map_err(|error| PairsError::Holder(other, error))
        }
    });
    let own = async {
        let call = StoreSegments { query, stage, run, segments: segments.clone() };
        keep(node, call).await.map_err(PairsError::Node)
    };
    futures::try_join!(own, try_join_all(sent))?;
    Ok(())
}

/// Stores segments in this node's store.
pub(crate) async fn keep(node: &Node, call: StoreSegments) -> Result<()> {
    let (store, now, of) = (node.pairs.clone(), node.age(), call.query);
    off_reactor(node, move || {
        let StoreSegments { query, stage, run, segments } = call;
        for (partition, segment) in segments {
            store.write(name(query, stage, run, partition), &segment, now)?;
        }
        Ok(())
    })
    .await?;
    if node.has_forgotten(of) {
        // It came after the word that the query is over.
        node.pairs.remove_query(of);
        return Err(Error::new(ErrorKind::Cancelled, "the query is over"));
    }
    node.show_pairs();
    Ok(())
}

/// Gives a segment of this node's store.
pub(crate) async fn fetch(node: &Node, call: FetchSegment) -> Result<Option<Bytes>> {
    let store = node.pairs.clone();
    let FetchSegment { query, stage, run, partition } = call;
    let name = name(query, stage, run, partition);
    off_reactor(node, move || {
        let source = match store.source(name) {
            Ok(source) => source,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = vec![0; usize::try_from(source.length()).unwrap_or(0)];
        source.read_at(0, &mut bytes)?;
        Ok(Some(Bytes::from(bytes)))
    })
    .await
}

/// What this node's store lacks of some segments.
pub(crate) async fn lacks(node: &Node, call: LookForSegments) -> Result<Vec<(RunId, Bits)>> {
    let store = node.pairs.clone();
    off_reactor(node, move || {
        let LookForSegments { query, stage, runs } = call;
        let lacking = runs.into_iter().map(|(run, bits)| {
            let lacks = |partition: &u32| {
                let source = store.source(name(query, stage, run, *partition));
                source.is_err() && !mapring_types::failpoint!(AbsentPairsAreNone)
            };
            (run, Bits::of(bits.partitions().filter(lacks)))
        });
        Ok(lacking.filter(|(_, bits)| !bits.is_empty()).collect())
    })
    .await
}

/// Saves what this node's store has of a query.
pub(crate) async fn save(node: &Node, call: SavePairs) -> Result<()> {
    let store = node.pairs.clone();
    off_reactor(node, move || store.save(call.0)).await?;
    node.show_pairs();
    Ok(())
}

/// How a segment is called in the store.
pub(super) fn name(query: QueryTag, stage: u32, run: RunId, partition: u32) -> SegmentId {
    let RunId { unit, attempt, page } = run;
    SegmentId { query, stage, unit, attempt, page, partition }
}

/// Runs work that takes long, or waits for the disk.
pub(crate) async fn off_reactor<T: Send + 'static>(
    node: &Node,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    executor::run(node.executor.as_ref(), work).await
}
