//! One lane: its units, each read in order and worked on page by page.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use mapring_engine::ScanDepth;
use mapring_kv::{Cursor, FoldRequest, KeyTest, Page};
use mapring_ring::Partition;
use mapring_script::{MapInput, PhaseFunction};
use mapring_types::{Error, ErrorKind, ObjectId, Record, Result, quote};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Node;
use super::page::{Pager, UnitEnd};
use super::permits::LanePermits;
use super::prereduce::Prereduce;
use super::work::{CallSize, Outcome, living};
use crate::grammar::Scan;
use crate::limits;
use crate::metered::{Counted, count};
use crate::unit::{
    self, BatchInput, BatchUnit, Frame, LaneRequest, PartitionUnit, Progress, Units, Work,
};

/// What all units of a lane share.
pub(super) struct Lane {
    pub(super) node: Arc<Node>,
    pub(super) request: LaneRequest,
    /// The phase's function, when it is a map.
    pub(super) function: Option<Arc<PhaseFunction>>,
    /// The reduce that follows, when it may run here.
    pub(super) prereduce: Option<Prereduce>,
    /// Which keys are wanted, when the query filters them.
    keep: Option<KeyTest>,
    permits: LanePermits,
    pub(super) size: CallSize,
    pub(super) frames: mpsc::Sender<Bytes>,
}

/// Runs every unit to its end, to an error, or until nobody takes its frames.
pub(super) async fn run(node: Arc<Node>, request: LaneRequest, frames: mpsc::Sender<Bytes>) {
    let function = match &request.work {
        Work::Map(function) => Some(Arc::new(function.clone())),
        Work::Link(_) | Work::Keys { .. } => None,
    };
    let (keep, refusal) = match key_test(&request.units) {
        Ok(keep) => (keep, None),
        Err(error) => (None, Some(error)),
    };
    let at_once = node.units_at_once.max(1);
    let permits = LanePermits::new(&node.permits);
    let size = CallSize::of(function.as_deref());
    let prereduce = request.prereduce.as_ref().map(Prereduce::new);
    let lane = &Lane { node, request, function, prereduce, keep, permits, size, frames };
    if let (Some(error), Units::Partitions { units, .. }) = (refusal, &lane.request.units) {
        let first = units.first().map_or((0, 0), |unit| (unit.unit, unit.attempt));
        return lane.finish(first.0, first.1, Err(UnitEnd::Unable(error))).await;
    }
    match &lane.request.units {
        Units::Partitions { scan, replicas, units } => {
            stream::iter(units)
                .for_each_concurrent(at_once, |unit| async move {
                    let end = lane.run_partition(scan, *replicas, unit).await;
                    lane.finish(unit.unit, unit.attempt, end).await;
                })
                .await;
        }
        Units::Batch(unit) => {
            lane.finish(unit.unit, unit.attempt, lane.run_batch(unit).await).await;
        }
    }
}

/// The test of a query's key filters.
fn key_test(units: &Units) -> Result<Option<KeyTest>> {
    let Units::Partitions { scan: Scan { filters: Some(filters), .. }, .. } = units else {
        return Ok(None);
    };
    let compiled = filters.compile().map_err(Error::invalid)?;
    let keep = move |key: &[u8]| {
        let shown = || quote(&String::from_utf8_lossy(key));
        compiled.keeps(key).map_err(|why| Error::invalid(format!("key {}: {why}", shown())))
    };
    Ok(Some(Arc::new(keep)))
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

    /// A partition whose vnode is not this node's would look like an empty one: the query would answer
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

    async fn run_partition(
        &self,
        scan: &Scan,
        replicas: u32,
        unit: &PartitionUnit,
    ) -> Result<(), UnitEnd> {
        let _counted = self.begin();
        self.check_owner(unit.vnode)?;
        let request = |after, most| FoldRequest {
            vnode: unit.vnode,
            home: unit.home,
            bucket: scan.bucket.clone(),
            selection: scan.selection.clone(),
            after,
            depth: match &self.request.work {
                Work::Map(_) => ScanDepth::Records,
                Work::Link(_) | Work::Keys { .. } => ScanDepth::Heads,
            },
            most,
            keep: self.keep.clone(),
            replicas,
            // Units go where the plan says that everything is.
            complete: true,
        };
        let mut pager = Pager::new(self, unit.unit, unit.attempt);
        let mut after = unit.after.clone();
        if mapring_types::failpoint!(PageSkipped) && after.is_some() && unit.attempt > 1 {
            let skipped = self.node.objects.fold_page(request(after.clone(), 1)).await?;
            after = skipped.next.or(after);
        }
        loop {
            let permit = self.permits.acquire().await?;
            let read = self.read_page(request(after.clone(), limits::READ_INPUTS), &mut pager);
            let Page { items, next, .. } = read.await?;
            let (mut inputs, mut cursors) = (VecDeque::new(), VecDeque::<Cursor>::new());
            for item in items {
                let Some(record) = self.living(&item.id, item.record)? else { continue };
                cursors.push_back(item.cursor);
                inputs.push_back(object((item.id, record)));
            }
            while !inputs.is_empty() {
                for outcome in self.step(&mut inputs, &mut pager).await? {
                    let done = outcome.inputs().min(cursors.len());
                    let Some(cursor) = cursors.drain(..done).next_back() else { break };
                    pager.add(outcome, Progress::After(cursor)).await?;
                }
                pager.end_if_late().await?;
            }
            if let Some(next) = &next {
                pager.reach(Progress::After(next.clone()));
                pager.end_if_late().await?;
            }
            pager.end_if_large().await?;
            drop(permit);
            match next {
                // A cursor that does not move would make this go on for ever.
                Some(next) if after.as_ref().is_none_or(|after| next > *after) => {
                    after = Some(next);
                }
                Some(_) => {
                    let message = format!("the fold of {} does not go on", scan.bucket);
                    return Err(Error::corrupt(message).into());
                }
                None => return pager.end(Progress::Done).await,
            }
        }
    }

    async fn run_batch(&self, unit: &BatchUnit) -> Result<(), UnitEnd> {
        let _counted = self.begin();
        let vnodes: BTreeSet<Partition> = unit.inputs.iter().map(|input| input.vnode).collect();
        vnodes.into_iter().try_for_each(|vnode| self.check_owner(vnode))?;
        let mut pager = Pager::new(self, unit.unit, unit.attempt);
        let mut rest = unit.inputs.as_slice();
        let mut taken = 0u64;
        while !rest.is_empty() {
            let permit = self.permits.acquire().await?;
            // Here a call's worth costs little to read, however slow the function is; over the
            // network it does not.
            let most = match self.request.options.quorum {
                true => self.size.next(),
                false => limits::CALL_INPUTS,
            };
            let (now, _) = rest.split_at(most.min(rest.len()));
            let mut items = self.read_inputs(now, &mut pager).await?;
            if items.is_empty() {
                return Err(Error::internal("nothing was read, not even that it is missing").into());
            }
            rest = rest.get(items.len()..).unwrap_or_default();
            while !items.is_empty() {
                for outcome in self.step(&mut items, &mut pager).await? {
                    taken += outcome.inputs() as u64;
                    pager.add(outcome, Progress::Taken(taken)).await?;
                }
                pager.end_if_late().await?;
            }
            drop(permit);
        }
        pager.end(Progress::Done).await
    }

    fn begin(&self) -> Counted {
        count("mapring_mapred_units_total", 1);
        Counted::new(&self.node.units, "mapring_mapred_units_in_flight")
    }

    /// Works on the first of `items`, as many as a call takes; gives what became of them.
    async fn step(
        &self,
        items: &mut VecDeque<MapInput>,
        pager: &mut Pager<'_>,
    ) -> Result<Vec<Outcome>, UnitEnd> {
        let waiting: usize = items.iter().map(bytes).sum();
        let outcomes = self.work(items, pager.calls()).await?;
        let made: usize = outcomes.iter().map(Outcome::bytes).sum();
        self.permits.holds(waiting + made);
        Ok(outcomes)
    }

    async fn read_page(&self, request: FoldRequest, pager: &mut Pager<'_>) -> Result<Page> {
        let _read = self.node.permits.read().await?;
        let began = Instant::now();
        let page = self.node.objects.fold_page(request).await?;
        let cost = pager.cost();
        cost.read_us += unit::micros(began.elapsed());
        cost.looked_at += page.looked_at;
        cost.read_bytes += page.items.iter().map(|item| item.record.len() as u64).sum::<u64>();
        Ok(page)
    }

    /// Reads the first of the named objects. Unless the query wants tombstones, an object that is one
    /// is as good as missing.
    async fn read_inputs(
        &self,
        inputs: &[BatchInput],
        pager: &mut Pager<'_>,
    ) -> Result<VecDeque<MapInput>> {
        let began = Instant::now();
        let mut found = if self.request.options.quorum {
            self.read_merged(inputs).await?
        } else {
            self.read(inputs).await?
        };
        let cost = pager.cost();
        cost.read_us += unit::micros(began.elapsed());
        cost.looked_at += found.len() as u64;
        cost.read_bytes += found.iter().map(|input| bytes(input) as u64).sum::<u64>();
        for MapInput { id, record, .. } in &mut found {
            if let Some(read) = record.take() {
                *record = self.living(id, read)?;
            }
        }
        Ok(found.into())
    }

    /// See [`living`].
    fn living(&self, id: &ObjectId, record: Record) -> Result<Option<Record>> {
        match self.request.options.tombstones {
            true => Ok(Some(record)),
            false => living(id, record, matches!(self.request.work, Work::Map(_))),
        }
    }

    /// Reads each of the named objects from a majority of its replicas.
    async fn read_merged(&self, inputs: &[BatchInput]) -> Result<Vec<MapInput>> {
        let reads = inputs.iter().map(|input| async move {
            let object = match has_name(input) {
                true => self.node.objects.read_quorum(&input.id).await?,
                false => None,
            };
            Ok(MapInput { record: object.as_ref().map(Record::encode), ..without_object(input) })
        });
        let reads: Vec<BoxFuture<'_, Result<MapInput>>> =
            reads.map(|read| Box::pin(read) as BoxFuture<'_, _>).collect();
        let mut reads = stream::iter(reads).buffered(limits::ELSEWHERE);
        let (mut found, mut total) = (Vec::new(), 0);
        while total < limits::READ_BYTES
            && let Some(input) = reads.try_next().await?
        {
            total += bytes(&input);
            found.push(input);
        }
        Ok(found)
    }

    /// Reads the first of the named objects, up to [`limits::READ_BYTES`]; one that its vnode here
    /// lacks is looked for on the other primaries.
    async fn read(&self, inputs: &[BatchInput]) -> Result<Vec<MapInput>> {
        let named: Vec<(usize, &BatchInput)> =
            inputs.iter().enumerate().filter(|(_, input)| has_name(input)).collect();
        let names = named.iter().map(|(_, input)| (input.vnode, input.id.clone())).collect();
        let records = {
            let _read = self.node.permits.read().await?;
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
        match self.node.objects.read_other_primaries(vnode, id).await {
            Ok(found) => Ok(found),
            Err(error) => {
                tracing::debug!(%error, %id, "asking a quorum instead");
                let object = self.node.objects.read_quorum(id).await?;
                Ok(object.as_ref().map(Record::encode))
            }
        }
    }
}

/// Nothing can be stored under an empty name.
fn has_name(input: &BatchInput) -> bool {
    !input.id.key.is_empty() && !input.id.bucket.name.is_empty()
}

fn without_object(input: &BatchInput) -> MapInput {
    MapInput { id: input.id.clone(), keydata: input.keydata.clone(), record: None }
}

fn bytes(input: &MapInput) -> usize {
    input.record.as_ref().map_or(0, Record::len)
}

fn object((id, record): (ObjectId, Record)) -> MapInput {
    MapInput { id, keydata: None, record: Some(record) }
}
