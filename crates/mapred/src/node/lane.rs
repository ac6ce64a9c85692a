//! One lane: its units, each read in order and worked on page by page.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use mapring_engine::ScanDepth;
use mapring_kv::Page;
use mapring_ring::Partition;
use mapring_script::{JsonText, MapInput, PhaseFunction};
use mapring_types::{BucketId, Error, ErrorKind, ObjectId, Record, Result};
use tokio::sync::mpsc;

use super::Node;
use super::page::{Pager, UnitEnd};
use super::turns::LaneTurns;
use super::work::CallSize;
use crate::limits;
use crate::metered::{Counted, count};
use crate::objects::Slice;
use crate::unit::{
    self, FoldUnit, Frame, InputsUnit, LaneInput, LaneRequest, Progress, Source, Work,
};

/// What all units of a lane share.
pub(super) struct Lane {
    pub(super) node: Arc<Node>,
    pub(super) request: LaneRequest,
    /// The phase's function, when it is a map.
    pub(super) function: Option<Arc<PhaseFunction>>,
    turns: LaneTurns,
    size: CallSize,
    pub(super) frames: mpsc::Sender<Bytes>,
}

/// Runs every unit to its end, to an error, or until nobody takes its frames.
pub(super) async fn run(node: Arc<Node>, request: LaneRequest, frames: mpsc::Sender<Bytes>) {
    let function = match &request.work {
        Work::Map(function) => Some(Arc::new(function.clone())),
        Work::Link(_) | Work::Keys => None,
    };
    let at_once = node.units_at_once.max(1);
    let turns = LaneTurns::new(&node.turns);
    let size = CallSize::new();
    let lane = &Lane { node, request, function, turns, size, frames };
    match &lane.request.source {
        Source::Folds { bucket, units } => {
            stream::iter(units)
                .for_each_concurrent(at_once, |unit| async move {
                    lane.finish(unit.unit, unit.attempt, lane.fold(bucket, unit).await).await;
                })
                .await;
        }
        Source::Inputs(unit) => {
            lane.finish(unit.unit, unit.attempt, lane.inputs(unit).await).await;
        }
    }
}

impl Lane {
    /// Tells the coordinator how a unit ended, unless its last page has done so.
    async fn finish(&self, unit: u32, attempt: u32, end: Result<(), UnitEnd>) {
        let frame = match end {
            Ok(()) | Err(UnitEnd::Gone) => return,
            Err(UnitEnd::Broken(broken)) => Frame::Failed(*broken),
            Err(UnitEnd::Unable(error)) => {
                tracing::warn!(%error, unit, "a unit of a query cannot be run here");
                Frame::Unable { unit, attempt, error: error.to_wire() }
            }
        };
        // An error means that the coordinator has gone.
        let _ = self.frames.send(unit::encode(&frame)).await;
    }

    /// A slice whose vnode is not this node's would look like an empty one: the query would answer
    /// too little without knowing.
    fn check_owner(&self, vnode: Partition) -> Result<()> {
        let view = self.node.cluster.view();
        let (version, wanted) = (view.plan().version(), self.request.plan_version);
        if view.plan().owner(vnode) == Some(view.me) && version >= wanted {
            return Ok(());
        }
        let message = format!(
            "vnode {vnode} is not node {}'s by plan {version} (asked by plan {wanted})",
            view.me
        );
        Err(Error::new(ErrorKind::WrongPlan, message))
    }

    async fn fold(&self, bucket: &BucketId, unit: &FoldUnit) -> Result<(), UnitEnd> {
        let _counted = self.begin();
        self.check_owner(unit.vnode)?;
        let depth = match &self.request.work {
            Work::Map(_) => ScanDepth::Records,
            Work::Link(_) | Work::Keys => ScanDepth::Heads,
        };
        let slice = Slice { vnode: unit.vnode, home: unit.home, bucket };
        let mut pager = Pager::new(self, unit.unit, unit.attempt);
        let mut after = unit.after.clone();
        let objects = &self.node.objects;
        if mapring_types::planted!(PageSkipped) && after.is_some() && unit.attempt > 1 {
            let skipped = objects.fold_page(slice, after.clone(), depth, 1).await?;
            after = skipped.next.or(after);
        }
        loop {
            let turn = self.turns.take().await?;
            let read = self.read_slice(slice, after.clone(), depth).await?;
            let mut items: VecDeque<MapInput> = read.items.into_iter().map(object).collect();
            while !items.is_empty() {
                for (id, results) in self.step(&mut items).await? {
                    pager.add(results, Progress::After(id)).await?;
                }
                pager.end_if_late().await?;
            }
            pager.end_if_large().await?;
            drop(turn);
            match read.next {
                // A cursor that does not move would make this go on for ever.
                Some(next) if after.as_ref().is_none_or(|after| next > *after) => {
                    after = Some(next);
                }
                Some(next) => {
                    let message = format!("the fold of {bucket} stays at {next}");
                    return Err(Error::corrupt(message).into());
                }
                None => return pager.end(Progress::Done).await,
            }
        }
    }

    async fn inputs(&self, unit: &InputsUnit) -> Result<(), UnitEnd> {
        let _counted = self.begin();
        let vnodes: BTreeSet<Partition> = unit.inputs.iter().map(|input| input.vnode).collect();
        vnodes.into_iter().try_for_each(|vnode| self.check_owner(vnode))?;
        let mut pager = Pager::new(self, unit.unit, unit.attempt);
        let mut rest = unit.inputs.as_slice();
        let mut taken = 0u64;
        while !rest.is_empty() {
            let turn = self.turns.take().await?;
            let (now, _) = rest.split_at(self.size.next().min(rest.len()));
            let mut items: VecDeque<MapInput> = self.read(now).await?.into();
            if items.is_empty() {
                return Err(Error::internal("nothing was read, not even that it is missing").into());
            }
            rest = rest.get(items.len()..).unwrap_or_default();
            while !items.is_empty() {
                for (_, results) in self.step(&mut items).await? {
                    taken += 1;
                    pager.add(results, Progress::Taken(taken)).await?;
                }
            }
            pager.end_if_late().await?;
            drop(turn);
        }
        pager.end(Progress::Done).await
    }

    fn begin(&self) -> Counted {
        count("mapring_units_total", 1);
        Counted::new(&self.node.units, "mapring_units_in_flight")
    }

    /// Works on the first of `items`, as many as a call takes; gives their results.
    async fn step(
        &self,
        items: &mut VecDeque<MapInput>,
    ) -> Result<Vec<(ObjectId, Vec<JsonText>)>, UnitEnd> {
        let waiting: usize = items.iter().map(bytes).sum();
        let mut call = self.size.take(items);
        let results = self.work(&call, &self.size).await?;
        let made: usize = results.iter().flatten().map(|value| value.0.len()).sum();
        self.turns.holds(waiting + made);
        // Where results became large the call ended before its inputs did.
        call.drain(results.len()..).rev().for_each(|input| items.push_front(input));
        Ok(call.into_iter().map(|input| input.id).zip(results).collect())
    }

    async fn read_slice(
        &self,
        slice: Slice<'_>,
        after: Option<ObjectId>,
        depth: ScanDepth,
    ) -> Result<Page> {
        let _read = self.node.turns.read().await?;
        self.node.objects.fold_page(slice, after, depth, limits::READ_INPUTS).await
    }

    /// Reads the first of the named objects, up to [`limits::READ_BYTES`]; one that its vnode here
    /// lacks is looked for on the other primaries.
    async fn read(&self, inputs: &[LaneInput]) -> Result<Vec<MapInput>> {
        // Nothing can be stored under an empty name.
        let has_name =
            |input: &LaneInput| !input.id.key.is_empty() && !input.id.bucket.name.is_empty();
        let named: Vec<(usize, &LaneInput)> =
            inputs.iter().enumerate().filter(|(_, input)| has_name(input)).collect();
        let names = named.iter().map(|(_, input)| (input.vnode, input.id.clone())).collect();
        let records = {
            let _read = self.node.turns.read().await?;
            self.node.objects.read_local(names, limits::READ_BYTES).await?
        };
        let mut end = named.get(records.len()).map_or(inputs.len(), |(at, _)| *at);
        let mut found: Vec<MapInput> = inputs.iter().take(end).map(without_object).collect();
        let mut looked_for: Vec<BoxFuture<'_, Result<_>>> = Vec::with_capacity(records.len());
        for ((at, input), record) in named.into_iter().zip(records) {
            looked_for.push(Box::pin(async move {
                Ok(match record {
                    Some(record) => (at, Some(record)),
                    None => (at, self.look_elsewhere(input.vnode, &input.id).await?),
                })
            }));
        }
        let mut looked_for = stream::iter(looked_for).buffered(limits::ELSEWHERE);
        let mut total = 0;
        while let Some((at, record)) = looked_for.try_next().await? {
            total += record.as_ref().map_or(0, Record::len);
            if let Some(input) = found.get_mut(at) {
                input.record = record;
            }
            if total >= limits::READ_BYTES {
                end = end.min(at + 1);
                break;
            }
        }
        found.truncate(end);
        Ok(found)
    }

    /// When a primary cannot be asked, a quorum decides whether the object exists.
    async fn look_elsewhere(&self, vnode: Partition, id: &ObjectId) -> Result<Option<Record>> {
        match self.node.objects.read_elsewhere(vnode, id).await {
            Ok(found) => Ok(found),
            Err(error) => {
                tracing::debug!(%error, %id, "asking a quorum instead");
                let object = self.node.objects.read_quorum(id).await?;
                Ok(object.as_ref().map(Record::encode))
            }
        }
    }
}

fn without_object(input: &LaneInput) -> MapInput {
    MapInput { id: input.id.clone(), keydata: input.keydata.clone(), record: None }
}

fn bytes(input: &MapInput) -> usize {
    input.record.as_ref().map_or(0, Record::len)
}

fn object((id, record): (ObjectId, Record)) -> MapInput {
    MapInput { id, keydata: None, record: Some(record) }
}
