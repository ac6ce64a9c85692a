//! A map or link phase at the coordinator: units, where they are, and how far they have come.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use mapring_kv::Cursor;
use mapring_net::FrameStream;
use mapring_ring::Partition;
use mapring_script::{PhaseFunction, Row};
use mapring_types::{Error, ErrorKind, NodeId, Result as KvResult, quote};
use tokio::time::Instant;

use super::lane::{self, Step};
use super::router::{Replica, Router};
use super::shared::Shared;
use crate::failure::{Failure, Report};
use crate::grammar::{KeyInput, Scan};
use crate::handle::PageStats;
use crate::metered::count;
use crate::unit::{
    BatchInput, BatchUnit, Broken, Frame, LaneRequest, Page, PartitionUnit, Prereduce, Progress,
    UnitOptions, Units, Work,
};
use crate::{keys, limits};

/// What the units of a phase do.
pub(super) struct Task {
    pub(super) phase: usize,
    pub(super) work: Work,
    pub(super) prereduce: Option<Prereduce>,
    /// Whether the results themselves are wanted.
    pub(super) results: bool,
    pub(super) options: UnitOptions,
}

/// A phase whose work is done where the objects are.
pub(super) struct LaneStage {
    pub(super) task: Task,
    /// What is read, and how many replicas of it are merged.
    scan: Option<(Scan, u32)>,
    /// Unfinished partitions of the bucket.
    partitions: BTreeMap<u32, PartitionProgress>,
    /// Inputs that wait for a lane, by node.
    queue: BTreeMap<NodeId, VecDeque<Waiting>>,
    /// Inputs for which no replica is known yet.
    unassigned: VecDeque<Waiting>,
    /// All inputs that wait.
    queued: usize,
    queued_bytes: usize,
    lanes: BTreeMap<u64, Lane>,
    next_lane: u64,
    next_unit: u32,
    /// Lanes are served in turn, so that a busy one does not silence the others.
    last_served: u64,
}

/// A home partition that is worked through, and how far.
struct PartitionProgress {
    home: Partition,
    /// Where it is to be worked on; `None` until that is known.
    replica: Option<Replica>,
    n_val: u32,
    after: Option<Cursor>,
    attempt: u32,
    tries: u32,
    lane: Option<u64>,
}

/// An input of a following phase, or of the query itself.
struct Waiting {
    input: KeyInput,
    home: Partition,
    vnode: Partition,
    n_val: u32,
    tries: u32,
}

/// What was given to a lane.
enum Load {
    /// Home partitions, by unit.
    Partitions(BTreeSet<u32>),
    /// A batch of inputs, of which the first so many are done.
    Batch { unit: u32, inputs: VecDeque<Waiting>, taken: u64 },
}

/// A stream of frames from one node, and what was given to it.
struct Lane {
    node: NodeId,
    load: Load,
    /// What comes next. Nothing is taken from the node while this is not polled.
    next: BoxFuture<'static, Step>,
}

/// The results of an accepted page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) results: Vec<Row>,
    pub(super) reduced: Option<Vec<Row>>,
    /// Inputs that were left out.
    pub(super) skipped: Vec<Broken>,
    /// What was done, and on which node; `None` for a reduce, and for what was dropped.
    pub(super) stats: Option<(NodeId, PageStats)>,
}

impl LaneStage {
    pub(super) fn new(task: Task) -> Self {
        Self {
            task,
            scan: None,
            partitions: BTreeMap::new(),
            queue: BTreeMap::new(),
            unassigned: VecDeque::new(),
            queued: 0,
            queued_bytes: 0,
            lanes: BTreeMap::new(),
            next_lane: 1,
            next_unit: 1,
            last_served: 0,
        }
    }

    /// Makes the phase work on the objects of a bucket. Gives how many partitions there are.
    pub(super) fn cover(&mut self, scan: &Scan, router: &mut Router) -> Result<u64, Failure> {
        let n_val = router.n_val(&scan.bucket)?;
        let mut partitions = 0;
        for home in router.homes() {
            let replica = router.replica(home, n_val);
            let (after, lane) = (None, None);
            let partition =
                PartitionProgress { home, replica, n_val, after, attempt: 1, tries: 0, lane };
            self.partitions.insert(self.next_unit, partition);
            self.next_unit += 1;
            partitions += 1;
        }
        let replicas = if self.task.options.quorum { router.majority(&scan.bucket) } else { 1 };
        self.scan = Some((scan.clone(), replicas));
        Ok(partitions)
    }

    /// The function that it calls.
    pub(super) fn function(&self) -> Option<Arc<PhaseFunction>> {
        match &self.task.work {
            Work::Map(function) => Some(Arc::new(function.clone())),
            Work::Link(_) | Work::Keys { .. } => None,
        }
    }

    /// Takes an input.
    pub(super) fn push(&mut self, input: KeyInput, router: &mut Router) -> Result<(), Failure> {
        let home = router.home(&input.id);
        let n_val = router.n_val(&input.id.bucket)?;
        self.enqueue(Waiting { input, home, vnode: home, n_val, tries: 0 }, router);
        Ok(())
    }

    fn enqueue(&mut self, mut waiting: Waiting, router: &mut Router) {
        self.queued += 1;
        self.queued_bytes += waiting.bytes();
        match router.replica(waiting.home, waiting.n_val) {
            Some(replica) => {
                waiting.vnode = replica.vnode;
                self.queue.entry(replica.node).or_default().push_back(waiting);
            }
            None => self.unassigned.push_back(waiting),
        }
    }

    /// Finds replicas for what has none, or has one on a node that failed: there is a new plan.
    pub(super) fn assign(&mut self, router: &mut Router) {
        for partition in self.partitions.values_mut().filter(|partition| partition.lane.is_none()) {
            if partition.replica.is_none_or(|replica| router.failures(replica.node) > 0) {
                partition.replica = router.replica(partition.home, partition.n_val);
            }
        }
        let mut moving = std::mem::take(&mut self.unassigned);
        self.queue.retain(|&node, queue| {
            let failed = router.failures(node) > 0;
            if failed {
                moving.append(queue);
            }
            !failed
        });
        for waiting in moving {
            self.queued -= 1;
            self.queued_bytes -= waiting.bytes();
            self.enqueue(waiting, router);
        }
    }

    /// Whether the phase before this one may go on.
    pub(super) fn has_room(&self) -> bool {
        self.queued < limits::QUEUE_INPUTS && self.queued_bytes < limits::QUEUE_BYTES
    }

    /// Where a lane leads.
    pub(super) fn node(&self, lane: u64) -> Option<NodeId> {
        self.lanes.get(&lane).map(|lane| lane.node)
    }

    /// Whether everything that has come in so far is done.
    pub(super) fn is_idle(&self) -> bool {
        self.partitions.is_empty() && self.queued == 0 && self.lanes.is_empty()
    }

    /// Opens lanes for the work that waits, as far as nodes may be asked now. Returns when a
    /// node that is left alone may be asked again.
    pub(super) fn dispatch(&mut self, shared: &Shared, router: &Router) -> Option<Instant> {
        let mut wake: Option<Instant> = None;
        let idle = self.partitions.values().filter(|partition| partition.lane.is_none());
        let idle = idle.filter_map(|partition| partition.replica).map(|replica| replica.node);
        let nodes: BTreeSet<NodeId> = idle.chain(self.queue.keys().copied()).collect();
        for node in nodes {
            if let Some(until) = router.retry_at(node) {
                wake = Some(wake.map_or(until, |earlier| earlier.min(until)));
                continue;
            }
            self.dispatch_partitions(node, shared, router);
            let busy = self.lanes.values().filter(|lane| lane.node == node).count();
            for free in (1..=limits::LANES_PER_NODE.saturating_sub(busy)).rev() {
                self.dispatch_batches(node, free, shared, router);
            }
        }
        wake
    }

    fn dispatch_partitions(&mut self, node: NodeId, shared: &Shared, router: &Router) {
        let Some((scan, replicas)) = self.scan.clone() else { return };
        let lane = self.next_lane;
        let mut units = Vec::new();
        for (&unit, partition) in &mut self.partitions {
            if let Some(replica) = partition.replica.filter(|replica| replica.node == node)
                && partition.lane.is_none()
            {
                partition.lane = Some(lane);
                units.push(PartitionUnit {
                    unit,
                    attempt: partition.attempt,
                    home: partition.home,
                    vnode: replica.vnode,
                    after: partition.after.clone(),
                });
            }
        }
        if !units.is_empty() {
            let load = Load::Partitions(units.iter().map(|unit| unit.unit).collect());
            let units = Units::Partitions { scan, replicas, units };
            self.open(node, load, units, shared, router);
        }
    }

    /// Sends a share of what waits for a node: all of it when only one lane is free.
    fn dispatch_batches(&mut self, node: NodeId, free: usize, shared: &Shared, router: &Router) {
        let Some(queue) = self.queue.get_mut(&node) else { return };
        let most = queue.len().div_ceil(free.max(1)).min(limits::BATCH_INPUTS);
        let (mut inputs, mut bytes) = (VecDeque::new(), 0);
        while let Some(next) = queue.front().filter(|_| inputs.len() < most) {
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
        let unit = self.next_unit;
        self.next_unit += 1;
        let listed = inputs.iter().map(|waiting| BatchInput {
            vnode: waiting.vnode,
            id: waiting.input.id.clone(),
            keydata: waiting.input.keydata.clone(),
        });
        let batch = BatchUnit { unit, attempt: 1, inputs: listed.collect() };
        let load = Load::Batch { unit, inputs, taken: 0 };
        self.open(node, load, Units::Batch(batch), shared, router);
    }

    fn open(&mut self, node: NodeId, load: Load, units: Units, shared: &Shared, router: &Router) {
        let time_left = shared.deadline.saturating_duration_since(Instant::now());
        let request = LaneRequest {
            query: shared.query,
            phase: u32::try_from(self.task.phase).unwrap_or(u32::MAX),
            plan_version: router.plan_version(),
            time_left_ms: u64::try_from(time_left.as_millis()).unwrap_or(u64::MAX),
            work: self.task.work.clone(),
            prereduce: self.task.prereduce.clone(),
            results: self.task.results,
            options: self.task.options,
            units,
        };
        let next = lane::open(shared.transport.clone(), router.peer(node), &request);
        self.lanes.insert(self.next_lane, Lane { node, load, next });
        self.next_lane += 1;
    }

    /// Waits for the next step of any lane.
    pub(super) fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<(u64, Step)> {
        let later = self.lanes.range(self.last_served + 1..).map(|(&id, _)| id);
        let earlier = self.lanes.range(..=self.last_served).map(|(&id, _)| id);
        let order: Vec<u64> = later.chain(earlier).collect();
        for id in order {
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            if let Poll::Ready(step) = lane.next.as_mut().poll(context) {
                self.last_served = id;
                return Poll::Ready((id, step));
            }
        }
        Poll::Pending
    }

    /// Takes a step of a lane. Returns the results of an accepted page.
    pub(super) fn apply(
        &mut self,
        id: u64,
        step: Step,
        router: &mut Router,
    ) -> Result<Accepted, Failure> {
        let Some(node) = self.lanes.get(&id).map(|lane| lane.node) else {
            return Ok(Accepted::default());
        };
        let (frame, frames) = match step {
            Step::Frame(frame, frames) => (frame, frames),
            Step::Unreachable(error) | Step::Lost(error) => {
                self.lose(id, &error, router)?;
                return Ok(Accepted::default());
            }
        };
        match frame {
            Frame::Renew => {}
            Frame::Page(page) => match self.accept(id, page) {
                Ok(accepted) => {
                    router.worked(node);
                    self.go_on(id, frames);
                    return Ok(accepted);
                }
                Err(error) => {
                    self.lose(id, &error, router)?;
                    return Ok(Accepted::default());
                }
            },
            Frame::Unable { unit, attempt, error } => {
                self.unable(id, (unit, attempt), &Error::from(error), router)?;
            }
            Frame::Failed(broken) => {
                return Err(broken_function(broken, &router.name(node), false));
            }
        }
        self.go_on(id, frames);
        Ok(Accepted::default())
    }

    /// Waits for more of a lane, unless it is through.
    fn go_on(&mut self, id: u64, frames: FrameStream) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let through = match &lane.load {
            Load::Partitions(units) => units.is_empty(),
            Load::Batch { inputs, .. } => inputs.is_empty(),
        };
        if through {
            self.lanes.remove(&id);
        } else {
            lane.next = lane::next(frames);
        }
    }

    /// Accepts a page whole, or not at all. A page of an older attempt is dropped.
    ///
    /// # Errors
    /// When the page does not go on from where its unit stood.
    fn accept(&mut self, id: u64, page: Page) -> KvResult<Accepted> {
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(stale()) };
        let (node, mut finished) = (lane.node, 0);
        let went_back = || Error::corrupt(format!("unit {} does not go forward", page.unit));
        match &mut lane.load {
            Load::Partitions(units) => {
                let partition = self.partitions.get_mut(&page.unit);
                let Some(partition) = partition.filter(|partition| {
                    partition.lane == Some(id) && partition.attempt == page.attempt
                }) else {
                    if mapring_types::failpoint!(OldFrameAccepted) {
                        return Ok(accepted(page, node, 0));
                    }
                    return Ok(stale());
                };
                match page.progress {
                    Progress::Done => {
                        units.remove(&page.unit);
                        self.partitions.remove(&page.unit);
                        finished = 1;
                    }
                    Progress::After(ref reached)
                        if partition.after.as_ref().is_none_or(|before| reached > before) =>
                    {
                        partition.after = Some(reached.clone());
                        partition.tries = 0;
                    }
                    Progress::After(_) | Progress::Taken(_) => return Err(went_back()),
                }
            }
            Load::Batch { unit, inputs, taken } => {
                if *unit != page.unit || page.attempt != 1 {
                    return Ok(stale());
                }
                let left = inputs.len() as u64;
                let now = match page.progress {
                    Progress::Done => left,
                    Progress::Taken(reached) => reached.saturating_sub(*taken),
                    Progress::After(_) => 0,
                };
                // A batch always has inputs left: without any, its lane has been closed.
                if now == 0 || now > left {
                    return Err(went_back());
                }
                *taken += now;
                inputs.drain(..usize::try_from(now).unwrap_or(0));
            }
        }
        count("mapring_mapred_pages_accepted_total", 1);
        Ok(accepted(page, node, finished))
    }

    /// A unit cannot be run where it was.
    fn unable(
        &mut self,
        id: u64,
        (unit, attempt): (u32, u32),
        error: &Error,
        router: &mut Router,
    ) -> Result<(), Failure> {
        if error.kind() == ErrorKind::Invalid {
            return Err(Failure::phase(self.task.phase, error));
        }
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
        match &mut lane.load {
            Load::Partitions(units) => {
                let known = self.partitions.get(&unit);
                let current = known.is_some_and(|partition| {
                    partition.lane == Some(id) && partition.attempt == attempt
                });
                if !current {
                    return Ok(());
                }
                units.remove(&unit);
                router.failed(lane.node);
                self.rerun(unit, error, router)
            }
            Load::Batch { .. } => self.lose(id, error, router),
        }
    }

    /// A lane is lost: each of its unfinished units goes on elsewhere, from where it stood.
    pub(super) fn lose(
        &mut self,
        id: u64,
        error: &Error,
        router: &mut Router,
    ) -> Result<(), Failure> {
        let Some(lane) = self.lanes.remove(&id) else { return Ok(()) };
        let node = router.name(lane.node);
        tracing::warn!(%error, node, phase = self.task.phase, "a stream of a query is lost");
        router.failed(lane.node);
        match lane.load {
            Load::Partitions(units) => {
                for unit in units {
                    self.rerun(unit, error, router)?;
                }
            }
            Load::Batch { inputs, .. } => {
                count("mapring_mapred_units_retried_total", 1);
                for mut waiting in inputs {
                    waiting.tries += 1;
                    if waiting.tries >= limits::TRIES {
                        let what = format!("the input {}", waiting.input.id);
                        return Err(self.given_up(&what, error));
                    }
                    self.enqueue(waiting, router);
                }
            }
        }
        Ok(())
    }

    fn rerun(&mut self, unit: u32, error: &Error, router: &mut Router) -> Result<(), Failure> {
        let Some(partition) = self.partitions.get_mut(&unit) else { return Ok(()) };
        count("mapring_mapred_units_retried_total", 1);
        partition.lane = None;
        partition.attempt = partition.attempt.saturating_add(1);
        partition.tries += 1;
        if partition.tries >= limits::TRIES {
            let what = format!("partition {}", partition.home);
            return Err(self.given_up(&what, error));
        }
        partition.replica = router.replica(partition.home, partition.n_val);
        Ok(())
    }

    fn given_up(&self, what: &str, error: &Error) -> Failure {
        let tries = limits::TRIES;
        Failure::phase(
            self.task.phase,
            format_args!("{what} could not be worked on in {tries} tries, the last: {error}"),
        )
    }

    /// Takes work away from nodes that are down.
    pub(super) fn view_changed(&mut self, router: &mut Router) -> Result<(), Failure> {
        let is_down = |lane: &Lane| !router.is_up(lane.node);
        let lost: Vec<u64> =
            self.lanes.iter().filter(|(_, lane)| is_down(lane)).map(|(&id, _)| id).collect();
        for id in lost {
            if mapring_types::failpoint!(OldFrameAccepted) {
                self.forsake(id, router)?;
                continue;
            }
            self.lose(id, &Error::unavailable("the node is down"), router)?;
        }
        for partition in self.partitions.values_mut().filter(|partition| partition.lane.is_none()) {
            if partition.replica.is_some_and(|replica| !router.is_up(replica.node)) {
                partition.replica = router.replica(partition.home, partition.n_val);
            }
        }
        let waiting: Vec<NodeId> =
            self.queue.keys().copied().filter(|&node| !router.is_up(node)).collect();
        for node in waiting {
            for waiting in self.queue.remove(&node).unwrap_or_default() {
                self.queued -= 1;
                self.queued_bytes -= waiting.bytes();
                self.enqueue(waiting, router);
            }
        }
        Ok(())
    }
}

impl LaneStage {
    /// Gives the units of a lane to others, and goes on listening to it: a failpoint's part.
    fn forsake(&mut self, id: u64, router: &mut Router) -> Result<(), Failure> {
        let Some(Lane { load: Load::Partitions(units), .. }) = self.lanes.get(&id) else {
            return Ok(());
        };
        for unit in units.clone() {
            if self.partitions.get(&unit).is_some_and(|partition| partition.lane == Some(id)) {
                self.rerun(unit, &Error::unavailable("the node is down"), router)?;
            }
        }
        Ok(())
    }
}

impl Waiting {
    fn bytes(&self) -> usize {
        let id = &self.input.id;
        let keydata = self.input.keydata.as_ref().map_or(0, |text| text.0.len());
        // The names' own lengths, and something for each input that has hardly any.
        64 + id.bucket.name.len() + id.key.len() + keydata
    }
}

fn stale() -> Accepted {
    count("mapring_mapred_pages_stale_total", 1);
    Accepted::default()
}

fn accepted(page: Page, node: NodeId, partitions: u64) -> Accepted {
    let Page { results, reduced, inputs, made, made_bytes, skipped, cost, .. } = page;
    let stats = PageStats {
        inputs,
        results: made,
        result_bytes: made_bytes,
        skipped: skipped.len() as u64,
        partitions,
        cost,
    };
    Accepted { results, reduced, skipped, stats: Some((node, stats)) }
}

/// What the client is told of a function that failed on a node.
/// With `short` long names are cut, where there may be many.
pub(super) fn broken_function(broken: Broken, node: &str, short: bool) -> Failure {
    let phase = usize::try_from(broken.phase).unwrap_or(usize::MAX);
    let mut report = Report::script(&broken.error).phase(phase).node(node);
    if let Some((id, keydata)) = broken.input {
        let input = KeyInput { id, keydata };
        let text = keys::to_row(&input).map_or_else(|_| input.id.to_string(), Row::into_text);
        let key = String::from_utf8_lossy(&input.id.key).into_owned();
        let bucket = input.id.bucket.to_string();
        let (bucket, key) = if short { (quote(&bucket), quote(&key)) } else { (bucket, key) };
        report = report.input(&text).object(&bucket, &key);
    }
    report.into()
}

#[cfg(test)]
mod tests;
