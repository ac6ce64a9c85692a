//! The units of a lane, each read in order and worked on page by page.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use mapring_engine::ScanDepth;
use mapring_kv::{Cursor, FoldRequest, Item, Page};
use mapring_ring::Partition;
use mapring_script::MapInput;
use mapring_types::{Error, ObjectId, Record};
use tokio::sync::mpsc;

use super::lane::Lane;
use super::outcome::{Called, Outcome, UnitEnd};
use super::page::Pager;
use super::read::bytes;
use super::refine::Refining;
use super::resources::Node;
use crate::grammar::Scan;
use crate::limits;
use crate::unit::{BatchUnit, LaneRequest, LaneTerms, PartitionUnit, Progress, Units, Work};

/// Runs every unit to its end, to an error, or until nobody takes its frames.
pub(super) async fn run(
    node: Arc<Node>,
    version: u8,
    request: LaneRequest,
    terms: Option<LaneTerms>,
    frames: mpsc::Sender<Bytes>,
) {
    let at_once = node.units_at_once.max(1);
    let (lane, refusal) = Lane::new(node, version, request, terms, frames);
    let lane = &lane;
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
        Units::Groups(unit) => {
            lane.finish(unit.unit, unit.attempt, lane.run_groups(unit).await).await;
        }
        Units::Shard(unit) => {
            lane.finish(unit.unit, unit.attempt, lane.run_shard(unit).await).await;
        }
        Units::Batch(unit) => {
            lane.finish(unit.unit, unit.attempt, lane.run_batch(unit).await).await;
        }
    }
    lane.tell_spent().await;
}

impl Lane {
    async fn run_partition(
        &self,
        scan: &Scan,
        replicas: u32,
        unit: &PartitionUnit,
    ) -> Result<(), UnitEnd> {
        let _counted = self.begin();
        self.check_owner(unit.vnode)?;
        self.check_holders()?;
        self.budget.check()?;
        // Values come in the order of partitions, as they are numbered, and in each of keys.
        let order = unit.unit.to_be_bytes().to_vec();
        let mut pager = Pager::new(self, (unit.unit, unit.attempt), unit.page, order);
        pager.resume(unit.state.clone());
        let end = self.read_partition(scan, replicas, unit, &mut pager).await;
        pager.settle(end).await
    }

    async fn read_partition(
        &self,
        scan: &Scan,
        replicas: u32,
        unit: &PartitionUnit,
        pager: &mut Pager<'_>,
    ) -> Result<(), UnitEnd> {
        let request = |after, most| FoldRequest {
            vnode: unit.vnode,
            home: unit.home,
            bucket: scan.bucket.clone(),
            selection: scan.selection.clone(),
            after,
            depth: match (&self.refining, &self.request.work) {
                (Some(refining), _) => refining.depth(),
                (None, Work::Map(_)) => ScanDepth::Records,
                (None, Work::Link(_) | Work::Keys { .. } | Work::Groups(_)) => ScanDepth::Heads,
            },
            most,
            keep: self.keep.clone(),
            refine: self.refining.as_ref().map(Refining::refine),
            replicas,
            // Units go where the plan says that everything is.
            complete: true,
        };
        let batch = scan.narrowing.batch.and_then(|batch| usize::try_from(batch).ok());
        let most = batch.map_or(limits::READ_INPUTS, |batch| batch.min(limits::READ_INPUTS));
        let mut after = unit.after.clone();
        if mapring_types::failpoint!(PageSkipped) && after.is_some() && unit.attempt > 1 {
            let skipped = self.node.objects.fold_page(request(after.clone(), 1)).await?;
            after = skipped.next.or(after);
        }
        loop {
            let permit = self.permits.acquire().await?;
            let most = self.budget.of(most);
            let read = self.read_page(request(after.clone(), most), pager);
            let Page { items, next, read_bytes, .. } = read.await?;
            let (mut inputs, mut places) = self.found(items)?;
            // Bytes count with the page of their object, so that none counts twice.
            let mut unread = if self.reads_values() { read_bytes } else { 0 };
            while !inputs.is_empty() {
                for outcome in self.step(&mut inputs, pager).await? {
                    let done = outcome.inputs().min(places.len());
                    let read: u64 = places.iter().take(done).map(|place| place.bytes).sum();
                    let Some(place) = places.drain(..done).next_back() else { break };
                    let read = read.min(unread);
                    unread -= read;
                    pager.cost().read_bytes += read;
                    pager.add(outcome, Progress::After(place.cursor)).await?;
                }
                pager.end_call().await?;
            }
            pager.cost().read_bytes += unread;
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

    /// What of a page of a scan are inputs, and where to go on after each.
    fn found(&self, items: Vec<Item>) -> Result<(VecDeque<MapInput>, VecDeque<Place>), UnitEnd> {
        let (mut inputs, mut places) = (VecDeque::new(), VecDeque::new());
        let mut bytes = 0;
        for Item { cursor, id, record } in items {
            bytes += record.len() as u64;
            let record = match &self.refining {
                // That has been seen to where it was read.
                Some(_) => Some(record),
                None => self.living(&id, record)?,
            };
            let Some(record) = record else { continue };
            places.push_back(Place { cursor, bytes: std::mem::take(&mut bytes) });
            inputs.push_back(object((id, record)));
        }
        Ok((inputs, places))
    }

    async fn run_batch(&self, unit: &BatchUnit) -> Result<(), UnitEnd> {
        let _counted = self.begin();
        self.budget.check()?;
        let vnodes: BTreeSet<Partition> = unit.inputs.iter().map(|input| input.vnode).collect();
        vnodes.into_iter().try_for_each(|vnode| self.check_owner(vnode))?;
        // Values come in the order of the inputs' own places, whatever the batch.
        let mut pager = Pager::new(self, (unit.unit, unit.attempt), 0, Vec::new());
        pager.resume(unit.state.clone());
        let mut rest = unit.inputs.as_slice();
        let mut taken = 0u64;
        while !rest.is_empty() {
            let permit = self.permits.acquire().await?;
            // Here a call's worth costs little to read, however slow the function is; over the
            // network it does not.
            let most = match self.request.options.consistency.merges() {
                true => self.size.next(),
                false => limits::CALL_INPUTS,
            };
            let (now, _) = rest.split_at(most.min(rest.len()));
            let mut items = self.read_inputs(now, &mut pager).await?;
            if items.is_empty() {
                return Err(Error::internal("nothing was read, not even that it is missing").into());
            }
            rest = rest.get(items.len()..).unwrap_or_default();
            // Whether each is there, and its bytes.
            let mut found: VecDeque<(bool, usize)> =
                items.iter().map(|item| (item.record.is_some(), bytes(item))).collect();
            while !items.is_empty() {
                for outcome in self.step(&mut items, &mut pager).await? {
                    let first = usize::try_from(taken).unwrap_or(usize::MAX);
                    taken += outcome.inputs() as u64;
                    assert!(taken <= unit.inputs.len() as u64, "an input was worked on twice");
                    let inputs = unit.inputs.iter().skip(first).take(outcome.inputs());
                    if self.grouping.is_some() {
                        pager.order(inputs.map(|input| input.order.clone()).collect());
                    }
                    for (is_there, bytes) in found.drain(..outcome.inputs().min(found.len())) {
                        pager.absent(u64::from(!is_there));
                        pager.cost().read_bytes += bytes as u64;
                    }
                    pager.add(outcome, Progress::Taken(taken)).await?;
                }
                // The last page has the end of the unit, too.
                if !(rest.is_empty() && items.is_empty()) {
                    pager.end_call().await?;
                }
            }
            drop(permit);
        }
        pager.end(Progress::Done).await
    }

    /// Works on the first of `items`, as many as a call takes; gives what became of them.
    pub(super) async fn step(
        &self,
        items: &mut VecDeque<MapInput>,
        pager: &mut Pager<'_>,
    ) -> Result<Vec<Outcome>, UnitEnd> {
        let waiting: usize = items.iter().map(bytes).sum();
        let Called { outcomes, effects, .. } = self.work(items, pager.calls()).await?;
        let made: usize = outcomes.iter().map(Outcome::bytes).sum();
        self.permits.holds(waiting + made + effects.bytes());
        pager.begin_call(effects);
        Ok(outcomes)
    }
}

/// Where an input of a scan was found.
struct Place {
    cursor: Cursor,
    /// Bytes that were read since the input before it.
    bytes: u64,
}

fn object((id, record): (ObjectId, Record)) -> MapInput {
    MapInput { id, keydata: None, record: Some(record) }
}
