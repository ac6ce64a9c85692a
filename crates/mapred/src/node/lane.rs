//! One lane: its units, each read in order and worked on page by page.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use mapring_engine::ScanDepth;
use mapring_ring::Partition;
use mapring_script::{MapInput, PhaseFunction};
use mapring_types::{BucketId, Error, ErrorKind, ObjectId, Record, Result};
use tokio::sync::mpsc;

use super::Node;
use super::page::{Pager, UnitEnd};
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
    pub(super) frames: mpsc::Sender<Bytes>,
}

/// Runs every unit to its end, to an error, or until nobody takes its frames.
pub(super) async fn run(node: Arc<Node>, request: LaneRequest, frames: mpsc::Sender<Bytes>) {
    let function = match &request.work {
        Work::Map(function) => Some(Arc::new(function.clone())),
        Work::Link(_) | Work::Keys => None,
    };
    let at_once = node.units_at_once.max(1);
    let lane = &Lane { node, request, function, frames };
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
        let mut size = CallSize::new();
        let mut after = unit.after.clone();
        let objects = &self.node.objects;
        if mapring_types::planted!(PageSkipped) && after.is_some() && unit.attempt > 1 {
            let skipped = objects.fold_page(slice, after.clone(), depth, 1).await?;
            after = skipped.next.or(after);
        }
        loop {
            let read = objects.fold_page(slice, after.clone(), depth, limits::READ_INPUTS).await?;
            let mut items: VecDeque<MapInput> = read.items.into_iter().map(object).collect();
            while !items.is_empty() {
                let call = size.take(&mut items);
                let ids: Vec<ObjectId> = call.iter().map(|input| input.id.clone()).collect();
                let results = self.work(call, &mut size).await?;
                for (id, results) in ids.into_iter().zip(results) {
                    pager.add(results, Progress::After(id)).await?;
                }
                pager.end_if_late().await?;
            }
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
        let mut size = CallSize::new();
        let mut rest = unit.inputs.as_slice();
        let mut taken = 0u64;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(size.next().min(rest.len()));
            rest = later;
            let mut items: VecDeque<MapInput> = self.read(now).await?.into();
            while !items.is_empty() {
                let call = size.take(&mut items);
                for results in self.work(call, &mut size).await? {
                    taken += 1;
                    pager.add(results, Progress::Taken(taken)).await?;
                }
            }
            pager.end_if_late().await?;
        }
        pager.end(Progress::Done).await
    }

    fn begin(&self) -> Counted {
        count("mapring_units_total", 1);
        Counted::new(&self.node.units, "mapring_units_in_flight")
    }

    /// Reads named objects; one that its vnode here lacks is looked for on the other primaries.
    async fn read(&self, inputs: &[LaneInput]) -> Result<Vec<MapInput>> {
        let mut places: BTreeMap<Partition, Vec<usize>> = BTreeMap::new();
        let mut found: Vec<MapInput> = Vec::with_capacity(inputs.len());
        for (at, input) in inputs.iter().enumerate() {
            found.push(MapInput {
                id: input.id.clone(),
                keydata: input.keydata.clone(),
                record: None,
            });
            // Nothing can be stored under an empty name.
            if !input.id.key.is_empty() && !input.id.bucket.name.is_empty() {
                places.entry(input.vnode).or_default().push(at);
            }
        }
        for (vnode, places) in places {
            let names = places.iter().filter_map(|&at| inputs.get(at));
            let ids = names.map(|input| input.id.clone()).collect();
            let records = self.node.objects.read_local(vnode, ids).await?;
            for (at, record) in places.into_iter().zip(records) {
                if let Some(input) = found.get_mut(at) {
                    input.record = match record {
                        Some(record) => Some(record),
                        None => self.look_elsewhere(vnode, &input.id).await?,
                    };
                }
            }
        }
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

fn object((id, record): (ObjectId, Record)) -> MapInput {
    MapInput { id, keydata: None, record: Some(record) }
}
