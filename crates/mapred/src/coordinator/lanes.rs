//! A map or link phase at the coordinator: units, where they are, and how far they have come.

mod accept;
mod again;
mod dispatch;
mod order;
mod save;
mod shards;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use mapring_kv::Cursor;
use mapring_ring::Partition;
use mapring_script::{Effects, JsonText, PhaseFunction, Row};
use mapring_types::{Error, NodeId};
use tokio::time::Instant;

use super::gather::GatheredRun;
use super::lane::Step;
use super::pace::Pace;
use super::router::{Replica, Router};
use crate::failure::{FailedInput, Failure, FailureKind};
use crate::grammar::{KeyInput, Scan};
use crate::handle::PageStats;
use crate::job::Retries;
use crate::limits;
use crate::metered::count;
use crate::stage_watch::StageWatch;
use crate::unit::{Broken, Prereduce, Shuffle, UnitOptions, Work};
use shards::ShardProgress;

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
    /// Where it is noted what becomes of its units, for a job.
    pub(super) watch: Option<StageWatch>,
    /// How often units are tried at which a function fails, for a job.
    pub(super) retries: Option<Retries>,
    /// How fast its inputs are given out, where they go no faster than they may.
    pub(super) pace: Option<Pace>,
    /// What is read of each bucket, and how many replicas of it are merged.
    scans: Vec<(Scan, u32)>,
    /// Unfinished partitions of the bucket.
    partitions: BTreeMap<u32, PartitionProgress>,
    /// Unfinished shards, …
    shards: BTreeMap<u32, ShardProgress>,
    /// … and those of them that no node has.
    idle_shards: BTreeSet<u32>,
    /// How many inputs are still wanted of shards that are worked through one after another.
    chains: Vec<u64>,
    /// Where pairs go when the results are grouped.
    shuffle: Option<Arc<Shuffle>>,
    /// Whether values of groups come in the order of its inputs, …
    ordered: bool,
    /// … and in that of its results, which are inputs of another stage.
    tells_inputs: bool,
    /// How many inputs came.
    places: u64,
    /// Inputs that wait for a lane, by node.
    queue: BTreeMap<NodeId, VecDeque<Waiting>>,
    /// Inputs for which no replica is known yet.
    unassigned: VecDeque<Waiting>,
    /// Inputs at which a function failed, and when they are tried again.
    resting: Vec<(Instant, VecDeque<Waiting>)>,
    /// All inputs that wait, but for these.
    queued: usize,
    queued_bytes: usize,
    lanes: BTreeMap<u64, Lane>,
    next_lane: u64,
    next_unit: u32,
    /// Units that have been numbered, …
    opened: u64,
    /// … and those that are done, or were divided among others. Each ends once.
    ended: u64,
    /// Lanes are served in turn, so that a busy one does not silence the others.
    last_served: u64,
    /// The failure of a function for which a unit is being begun again.
    asked: Option<Failure>,
}

/// A home partition that is worked through, and how far.
struct PartitionProgress {
    /// The scan whose it is, by its number.
    scan: usize,
    home: Partition,
    /// Where it is to be worked on; `None` until that is known.
    replica: Option<Replica>,
    n_val: u32,
    after: Option<Cursor>,
    attempt: u32,
    /// Nodes that could not work on it in a row, …
    tries: u32,
    /// … and how often a function failed.
    failures: u32,
    /// Nobody is to work on it before.
    rests_until: Option<Instant>,
    /// How many pages were accepted, …
    page: u32,
    /// … and how many results.
    results: u64,
    /// The state that its function has left with the last page.
    state: Option<JsonText>,
    lane: Option<u64>,
}

impl PartitionProgress {
    /// Whether it may be given out now.
    fn waits(&self) -> bool {
        self.lane.is_none() && self.rests_until.is_none_or(|until| until <= Instant::now())
    }
}

/// An input of a following phase, or of the query itself.
struct Waiting {
    input: KeyInput,
    home: Partition,
    vnode: Partition,
    n_val: u32,
    /// Which attempt at it is the next, …
    attempt: u32,
    /// … how many nodes could not work on it without any progress, …
    tries: u32,
    /// … and how often a function failed.
    failures: u32,
    /// Where it stands among all inputs, if that matters.
    order: Order,
    /// The state of the batch that it was the next of when that was lost.
    state: Option<JsonText>,
}

/// What was given to a lane.
enum Load {
    /// Home partitions, by unit.
    Partitions(BTreeSet<u32>),
    /// A batch of inputs, of which the first so many are done.
    Batch {
        unit: u32,
        /// How often these were given out.
        attempt: u32,
        inputs: VecDeque<Waiting>,
        taken: u64,
        state: Option<JsonText>,
    },
    /// A shard.
    Shard(u32),
}

/// A stream of frames from one node, and what was given to it.
struct Lane {
    node: NodeId,
    load: Load,
    /// Inputs that it was given out and that have not been accepted, where they are counted.
    inputs: Option<u64>,
    /// Where its pairs go.
    shuffle: Option<Arc<Shuffle>>,
    /// What comes next. Nothing is taken from the node while this is not polled.
    next: BoxFuture<'static, Step>,
}

/// The results of an accepted page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) results: Vec<Row>,
    /// The partitions of these, where they are told apart.
    pub(super) partitions: Vec<u32>,
    /// Where these stand as inputs of the stage that takes them, if that matters.
    pub(super) orders: Vec<Order>,
    pub(super) reduced: Option<Vec<Row>>,
    /// Inputs that were left out …
    pub(super) skipped: Vec<Broken>,
    /// … of a shard, in an attempt at it.
    pub(super) shard: (u32, u32),
    /// What was done, and on which node; `None` for a reduce, and for what was dropped.
    pub(super) stats: Option<(NodeId, PageStats)>,
    /// Its pairs, when they are grouped.
    pub(super) run: Option<(GatheredRun, PageStats)>,
    /// What its functions asked for.
    pub(super) effects: Effects,
    /// A node that could not keep its pairs.
    pub(super) lost_holder: Option<NodeId>,
}

impl LaneStage {
    pub(super) fn new(task: Task) -> Self {
        Self {
            task,
            watch: None,
            retries: None,
            pace: None,
            scans: Vec::new(),
            partitions: BTreeMap::new(),
            shards: BTreeMap::new(),
            idle_shards: BTreeSet::new(),
            chains: Vec::new(),
            shuffle: None,
            ordered: false,
            tells_inputs: false,
            places: 0,
            queue: BTreeMap::new(),
            unassigned: VecDeque::new(),
            resting: Vec::new(),
            queued: 0,
            queued_bytes: 0,
            lanes: BTreeMap::new(),
            next_lane: 1,
            next_unit: 0,
            opened: 0,
            ended: 0,
            last_served: 0,
            asked: None,
        }
    }

    /// Makes the phase work on the objects of a bucket, or of those of its name in all bucket types.
    /// Returns how many partitions there are.
    pub(super) fn cover(&mut self, scan: &Scan, router: &mut Router) -> Result<u64, Failure> {
        let scans = router.scans(scan);
        scans.into_iter().map(|scan| self.cover_bucket(scan, router)).sum()
    }

    fn cover_bucket(&mut self, scan: Scan, router: &mut Router) -> Result<u64, Failure> {
        let n_val = router.n_val(&scan.bucket);
        let n_val = n_val.map_err(|_| Failure::no_bucket_type_of(&scan))?;
        let number = self.scans.len();
        let mut partitions = 0;
        for home in router.homes() {
            let replica = router.replica(home, n_val);
            let partition = PartitionProgress {
                scan: number,
                home,
                replica,
                n_val,
                after: None,
                attempt: 1,
                tries: 0,
                failures: 0,
                rests_until: None,
                page: 0,
                results: 0,
                state: None,
                lane: None,
            };
            let unit = self.number_unit();
            if let Some(watch) = &self.watch {
                watch.planned(unit, format!("{} partition {home}", scan.bucket));
            }
            self.partitions.insert(unit, partition);
            partitions += 1;
        }
        let consistency = scan.consistency.unwrap_or(self.task.options.consistency);
        let replicas = router.replicas(&scan.bucket, consistency);
        self.scans.push((scan, replicas));
        Ok(partitions)
    }

    fn number_unit(&mut self) -> u32 {
        let unit = self.next_unit;
        self.next_unit += 1;
        self.opened += 1;
        unit
    }

    fn end_unit(&mut self) {
        self.ended += 1;
        assert!(self.ended <= self.opened, "{} of {} units ended", self.ended, self.opened);
    }

    /// The function that it calls.
    pub(super) fn function(&self) -> Option<Arc<PhaseFunction>> {
        match &self.task.work {
            Work::Map(function) => Some(Arc::new(function.clone())),
            Work::Link(_) | Work::Keys { .. } | Work::Groups(_) => None,
        }
    }

    /// Where its results go from now on, which are pairs to be grouped.
    pub(super) fn set_shuffle(&mut self, shuffle: Arc<Shuffle>) {
        self.shuffle = Some(shuffle);
    }

    /// The order of its inputs, and of its results, matters.
    pub(super) fn keep_order(&mut self, of_results: bool) {
        (self.ordered, self.tells_inputs) = (true, of_results);
    }

    /// Takes an input, with its order where another stage that keeps it has made it, or the query has.
    pub(super) fn push(
        &mut self,
        input: KeyInput,
        order: Option<Order>,
        router: &mut Router,
    ) -> Result<(), Failure> {
        let home = router.home(&input.id);
        let n_val = router.n_val(&input.id.bucket)?;
        let order = match order {
            _ if !self.ordered => Order::default(),
            Some(order) => order,
            None => order::of_place(self.places),
        };
        self.places += 1;
        let state = None;
        let vnode = home;
        let (attempt, tries, failures) = (1, 0, 0);
        let waiting = Waiting { input, home, vnode, n_val, attempt, tries, failures, order, state };
        self.enqueue(waiting, router);
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
        let idle = self.partitions.is_empty()
            && self.shards.is_empty()
            && self.queued == 0
            && self.resting.is_empty()
            && self.lanes.is_empty();
        // Else an input was lost on the way, or counted twice.
        assert!(!idle || self.ended == self.opened, "{} of {}", self.ended, self.opened);
        idle
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

    /// A lane is lost: each of its unfinished units goes on elsewhere, from where it stood.
    pub(super) fn lose(
        &mut self,
        id: u64,
        error: &Error,
        router: &mut Router,
    ) -> Result<(), Failure> {
        if let Some(node) = self.node(id) {
            let name = router.name(node);
            tracing::warn!(%error, node = name, phase = self.task.phase, "a stream of a query is lost");
            router.failed(node);
        }
        self.close(id, error, router)
    }

    /// Takes a lane away. What it was given out and did not use is given to others.
    fn remove(&mut self, id: u64) -> Option<Lane> {
        let lane = self.lanes.remove(&id)?;
        if let (Some(pace), Some(inputs)) = (&mut self.pace, lane.inputs) {
            pace.give_back(inputs);
        }
        Some(lane)
    }

    /// Ends a lane. Each of its unfinished units goes on from where it stood.
    fn close(&mut self, id: u64, error: &Error, router: &mut Router) -> Result<(), Failure> {
        let Some(lane) = self.remove(id) else { return Ok(()) };
        match lane.load {
            Load::Partitions(units) => {
                for unit in units {
                    self.rerun(unit, error, router)?;
                }
            }
            Load::Shard(unit) => self.rerun_shard(unit, error)?,
            Load::Batch { unit, mut inputs, taken, attempt, state } => {
                if let Some(watch) = &self.watch {
                    watch.failed(unit, error.to_string(), false);
                    watch.ended(unit);
                }
                // Whoever works on the next of them goes on with it.
                inputs.iter_mut().take(1).for_each(|next| next.state.clone_from(&state));
                assert!(!inputs.is_empty(), "a lane is kept whose batch is done");
                self.end_unit();
                count("mapring_mapred_units_retried_total", 1);
                for mut waiting in inputs {
                    waiting.attempt = attempt.saturating_add(1);
                    waiting.tries = if taken > 0 { 1 } else { waiting.tries + 1 };
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
        let before = partition.attempt;
        partition.attempt = before.saturating_add(1);
        assert!(partition.attempt > before, "attempts of unit {unit} are no longer told apart");
        partition.tries += 1;
        if let Some(watch) = &self.watch {
            watch.failed(unit, error.to_string(), false);
        }
        if partition.tries >= limits::TRIES {
            let what = format!("partition {}", partition.home);
            return Err(self.given_up(&what, error));
        }
        partition.replica = router.replica(partition.home, partition.n_val);
        Ok(())
    }

    fn given_up(&self, what: &str, error: &Error) -> Failure {
        let tries = limits::TRIES;
        let message = format!("{what} could not be worked on in {tries} tries, the last: {error}");
        if let Some(asked) = &self.asked {
            return asked.clone().saying(message);
        }
        Failure::new(FailureKind::Node(error.kind()), message).in_phase(self.task.phase)
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
        64 + id.bucket.name.len()
            + id.key.len()
            + keydata
            + self.order.len()
            + self.state.as_ref().map_or(0, |state| state.0.len())
    }
}

pub(super) use accept::run_of;
pub(super) use again::said;
pub(super) use order::Order;
pub(super) use order::of_listed as listed_order;

/// What the client is told of a function that failed on a node.
pub(super) fn broken_function(broken: Broken, node: &str) -> Failure {
    let phase = usize::try_from(broken.phase).unwrap_or(usize::MAX);
    let failure = Failure::function(&broken.error).in_phase(phase).on(node);
    match broken.input {
        Some((id, keydata)) => failure.of(FailedInput::Object { id, keydata }),
        None => failure,
    }
}
