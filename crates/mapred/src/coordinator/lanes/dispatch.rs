//! Giving out units: to which nodes, how many in a lane.

use std::collections::{BTreeSet, VecDeque};

use mapring_types::NodeId;
use tokio::time::Instant;

use super::{Lane, LaneStage, Load, Waiting};
use crate::coordinator::lane;
use crate::coordinator::router::Router;
use crate::coordinator::shared::Shared;
use crate::limits;
use crate::unit::{BatchInput, BatchUnit, LaneRequest, LaneTerms, PartitionUnit, Units};

impl LaneStage {
    /// Opens lanes for the work that waits, as far as nodes may be asked now. Returns when a
    /// node that is left alone may be asked again.
    pub(in super::super) fn dispatch(
        &mut self,
        shared: &Shared,
        router: &Router,
    ) -> Option<Instant> {
        let waiting: usize = self.queue.values().map(VecDeque::len).sum();
        assert_eq!(waiting + self.unassigned.len(), self.queued, "inputs that wait are counted");
        let mut wake: Option<Instant> = None;
        let idle = self.partitions.values().filter(|partition| partition.waits());
        let idle = idle.filter_map(|partition| partition.replica).map(|replica| replica.node);
        let nodes: BTreeSet<NodeId> = idle.chain(self.queue.keys().copied()).collect();
        for node in nodes {
            if let Some(until) = router.retry_at(node) {
                wake = Some(wake.map_or(until, |earlier| earlier.min(until)));
                continue;
            }
            if let Err(until) = self.available() {
                wake = Some(wake.map_or(until, |earlier| earlier.min(until)));
                break;
            }
            for scan in 0..self.scans.len() {
                // Of many buckets some wait for others.
                if scan == 0 || self.busy(node) < limits::LANES_PER_NODE {
                    self.dispatch_partitions(scan, node, shared, router);
                }
            }
            for free in (1..=limits::LANES_PER_NODE.saturating_sub(self.busy(node))).rev() {
                self.dispatch_batches(node, free, shared, router);
            }
        }
        let later = self.dispatch_shards(shared, router);
        [wake, later, self.rested()].into_iter().flatten().min()
    }

    /// The lanes to a node.
    pub(super) fn busy(&self, node: NodeId) -> usize {
        self.lanes.values().filter(|lane| lane.node == node).count()
    }

    fn dispatch_partitions(
        &mut self,
        number: usize,
        node: NodeId,
        shared: &Shared,
        router: &Router,
    ) {
        let Some((scan, replicas)) = self.scans.get(number).cloned() else { return };
        if self.available().is_err() {
            return;
        }
        let lane = self.next_lane;
        let mut units = Vec::new();
        for (&unit, partition) in &mut self.partitions {
            if let Some(replica) = partition.replica.filter(|replica| replica.node == node)
                && partition.waits()
                && partition.scan == number
            {
                partition.lane = Some(lane);
                units.push(PartitionUnit {
                    unit,
                    attempt: partition.attempt,
                    home: partition.home,
                    vnode: replica.vnode,
                    after: partition.after.clone(),
                    page: partition.page,
                    state: partition.state.clone(),
                });
            }
        }
        if !units.is_empty() {
            if let Some(watch) = &self.watch {
                let name = router.name(node);
                units.iter().for_each(|unit| watch.given(unit.unit, name.clone(), unit.attempt));
            }
            let load = Load::Partitions(units.iter().map(|unit| unit.unit).collect());
            let units = Units::Partitions { scan: Box::new(scan), replicas, units };
            self.open(node, load, units, shared, router);
        }
    }

    /// Sends a share of what waits for a node: all of it when only one lane is free.
    fn dispatch_batches(&mut self, node: NodeId, free: usize, shared: &Shared, router: &Router) {
        let Ok(available) = self.available() else { return };
        let Some(queue) = self.queue.get_mut(&node) else { return };
        let most = queue.len().div_ceil(free.max(1)).min(limits::BATCH_INPUTS);
        let most = available.map_or(most, |may| most.min(usize::try_from(may).unwrap_or(most)));
        let (mut inputs, mut bytes) = (VecDeque::new(), 0);
        while let Some(next) = queue.front().filter(|_| inputs.len() < most) {
            // One batch goes on with one state, and is one attempt.
            let goes_on = |first: &Waiting| next.state.is_none() && next.attempt == first.attempt;
            if !inputs.front().is_none_or(goes_on) {
                break;
            }
            bytes += next.bytes();
            if bytes > limits::BATCH_BYTES && !inputs.is_empty() {
                break;
            }
            inputs.extend(queue.pop_front());
        }
        if queue.is_empty() {
            self.queue.remove(&node);
        }
        if inputs.is_empty() {
            return;
        }
        self.queued -= inputs.len();
        self.queued_bytes -= inputs.iter().map(Waiting::bytes).sum::<usize>();
        let state = inputs.front_mut().and_then(|first: &mut Waiting| first.state.take());
        let unit = self.number_unit();
        let listed = inputs.iter().map(|waiting| BatchInput {
            vnode: waiting.vnode,
            id: waiting.input.id.clone(),
            keydata: waiting.input.keydata.clone(),
            order: waiting.order.clone(),
        });
        let attempt = inputs.front().map_or(1, |first| first.attempt);
        let batch = BatchUnit { unit, attempt, inputs: listed.collect(), state: state.clone() };
        if let (Some(watch), Some(first)) = (&self.watch, inputs.front()) {
            let words = match inputs.len() {
                1 => first.input.id.to_string(),
                count => format!("{count} named inputs from {} on", first.input.id),
            };
            watch.planned_batch(unit, words);
            watch.given(unit, router.name(node), attempt);
        }
        let load = Load::Batch { unit, attempt, inputs, taken: 0, state };
        self.open(node, load, Units::Batch(batch), shared, router);
    }

    pub(super) fn open(
        &mut self,
        node: NodeId,
        load: Load,
        units: Units,
        shared: &Shared,
        router: &Router,
    ) {
        let request = LaneRequest {
            query: shared.query,
            phase: u32::try_from(self.task.phase).unwrap_or(u32::MAX),
            plan_version: router.plan_version(),
            time_left_ms: shared.time_left_ms(),
            work: self.task.work.clone(),
            prereduce: self.task.prereduce.clone(),
            shuffle: self.shuffle.as_deref().cloned(),
            results: self.task.results,
            tells_inputs: self.tells_inputs && matches!(units, Units::Batch(_)),
            options: self.task.options,
            context: shared.context.clone(),
            units,
        };
        // Batches are as small as they must be; of all else it is not known how many inputs there are.
        let inputs = match (&load, self.available()) {
            (Load::Batch { inputs, .. }, Ok(Some(_))) => Some(inputs.len() as u64),
            (_, Ok(available)) => available,
            (_, Err(_)) => Some(0),
        };
        if let (Some(pace), Some(inputs)) = (&mut self.pace, inputs) {
            pace.take(inputs);
        }
        let counted = inputs.filter(|_| !matches!(load, Load::Batch { .. }));
        let terms = shared.terms.map(|terms| LaneTerms { inputs: counted, ..terms });
        let (transport, release) = (shared.transport.clone(), router.release());
        let next = lane::open(transport, router.peer(node), release, request, terms);
        let shuffle = self.shuffle.clone();
        self.lanes.insert(self.next_lane, Lane { node, load, inputs, shuffle, next });
        self.next_lane += 1;
    }
}
