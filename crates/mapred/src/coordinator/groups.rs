//! A grouped reduce at the coordinator: its partitions, each worked on by one node, and their results
//! brought into the order of the keys.

mod merge;
mod save;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use mapring_net::FrameStream;
use mapring_script::{Effects, PhaseFunction, Row};
use mapring_shuffle::key;
use mapring_types::{Error, NodeId, Result as KvResult};
use tokio::time::Instant;

use super::gather::{Gathered, GatheredRun};
use super::lane::{self, Step};
use super::lanes::{broken_function, run_of, said};
use super::router::Router;
use super::shared::Shared;
use crate::failure::{Failure, FailureKind};
use crate::handle::PageStats;
use crate::holders::reassign;
use crate::job::Retries;
use crate::limits;
use crate::metered::count;
use crate::stage_watch::StageWatch;
use crate::unit::{
    Broken, Frame, GroupUnit, GroupWork, LaneRequest, Page, Progress, Shuffle, UnitOptions, Units,
    Work,
};
use crate::watched::Done;
use merge::Merge;

/// See the module.
pub(super) struct GroupStage {
    phase: usize,
    /// Where it is noted what becomes of its partitions, for a job.
    pub(super) watch: Option<StageWatch>,
    /// How often partitions are tried at which a function fails, for a job.
    pub(super) retries: Option<Retries>,
    work: GroupWork,
    /// Whether the results themselves come here, and then in the order of the keys.
    results: bool,
    options: UnitOptions,
    /// Whether it matters of which partition a result is.
    tells_partitions: bool,
    /// Where the results go when they are grouped again.
    shuffle: Option<Arc<Shuffle>>,
    gathered: Option<Gathered>,
    partitions: Vec<PartitionProgress>,
    merge: Merge,
    /// Partitions are listened to in turn.
    last_served: usize,
    /// Whether nodes could not work on a partition however often they tried: perhaps its pairs are gone.
    gave_up: bool,
}

/// A partition that is worked through, and how far.
struct PartitionProgress {
    lane: Lane,
    after: Option<Bytes>,
    attempt: u32,
    /// Nodes that could not work on it in a row, …
    tries: u32,
    /// … and how often a function failed.
    failures: u32,
    /// Nobody is to work on it before.
    rests_until: Option<Instant>,
    page: u32,
}

enum Lane {
    /// Nobody works on it.
    Idle,
    /// A node does.
    Busy {
        node: NodeId,
        shuffle: Option<Arc<Shuffle>>,
        next: BoxFuture<'static, Step>,
    },
    Over,
}

/// What a page of groups gave.
#[derive(Debug, Default)]
pub(super) struct Reduced {
    /// Results whose turn has come.
    pub(super) results: Vec<Row>,
    /// The partitions of these, where they are told apart.
    pub(super) partitions: Vec<u32>,
    /// What was done, and where.
    pub(super) stats: Option<(NodeId, PageStats)>,
    /// Its pairs, when they are grouped again.
    pub(super) run: Option<(GatheredRun, PageStats)>,
    /// What its functions asked for.
    pub(super) effects: Effects,
    /// A node that could not keep its pairs.
    pub(super) lost_holder: Option<NodeId>,
}

impl GroupStage {
    pub(super) fn new(
        phase: usize,
        work: GroupWork,
        results: bool,
        tells_partitions: bool,
        options: UnitOptions,
    ) -> Self {
        Self {
            phase,
            watch: None,
            retries: None,
            work,
            results,
            options,
            tells_partitions,
            shuffle: None,
            gathered: None,
            partitions: Vec::new(),
            merge: Merge::default(),
            last_served: 0,
            gave_up: false,
        }
    }

    /// The function that it calls.
    pub(super) fn function(&self) -> Arc<PhaseFunction> {
        Arc::new(self.work.function.clone())
    }

    /// The function that combines its pairs.
    pub(super) fn combiner(&self) -> Option<Arc<PhaseFunction>> {
        let combiner = self.work.combine.as_ref()?;
        Some(Arc::new(combiner.function.clone()))
    }

    /// Where its results go when they are grouped again.
    pub(super) fn set_shuffle(&mut self, shuffle: Arc<Shuffle>) {
        self.shuffle = Some(shuffle);
    }

    /// Begins, when all pairs are gathered.
    pub(super) fn begin(&mut self, gathered: Gathered) {
        assert!(self.gathered.is_none(), "a grouped reduce begins once");
        let begun = |_| PartitionProgress {
            lane: Lane::Idle,
            after: None,
            attempt: 1,
            tries: 0,
            failures: 0,
            rests_until: None,
            page: 0,
        };
        self.partitions = gathered.holders.iter().map(begun).collect();
        for unit in (0..gathered.holders.len()).filter_map(|at| u32::try_from(at).ok()) {
            if let Some(watch) = &self.watch {
                watch.planned(unit, format!("groups of partition {unit}"));
            }
        }
        self.merge = Merge::new(self.partitions.len());
        self.gathered = Some(gathered);
    }

    /// Whether nodes could not work on a partition, and the job is not to go on with its pairs.
    pub(super) fn gave_up(&self) -> bool {
        self.gave_up
    }

    /// The runs that it still reduces.
    pub(super) fn runs(&self) -> &[GatheredRun] {
        let over = self.is_over();
        self.gathered.as_ref().filter(|_| !over).map_or(&[], |gathered| &gathered.runs)
    }

    pub(super) fn has_begun(&self) -> bool {
        self.gathered.is_some()
    }

    /// Whether all groups are reduced, and their results handed on.
    pub(super) fn is_over(&self) -> bool {
        let over = |partition: &PartitionProgress| matches!(partition.lane, Lane::Over);
        self.has_begun() && self.partitions.iter().all(over) && self.merge.is_empty()
    }

    /// Gives out partitions that nobody works on. Returns when a node that is left alone may be asked
    /// again.
    pub(super) fn dispatch(&mut self, shared: &Shared, router: &Router) -> Option<Instant> {
        let Some(gathered) = &self.gathered else { return None };
        let mut wake: Option<Instant> = None;
        for (number, partition) in self.partitions.iter_mut().enumerate() {
            if !matches!(partition.lane, Lane::Idle) {
                continue;
            }
            if let Some(until) = partition.rests_until.filter(|until| *until > Instant::now()) {
                wake = Some(wake.map_or(until, |earlier| earlier.min(until)));
                continue;
            }
            let unit = u32::try_from(number).unwrap_or(u32::MAX);
            let runs = gathered.places(unit);
            if runs.is_empty() {
                if let Some(watch) = &self.watch {
                    watch.ended(unit);
                }
                partition.lane = Lane::Over;
                self.merge.end(number);
                continue;
            }
            let Some(node) = chosen(gathered, number, router) else {
                let until = router.retry_at(gathered.holders[number].owner);
                wake = [wake, until].into_iter().flatten().min();
                continue;
            };
            let PartitionProgress { after, attempt, page, .. } = &*partition;
            let (after, attempt, page) = (after.clone(), *attempt, *page);
            if let Some(watch) = &self.watch {
                watch.given(unit, router.name(node), attempt);
            }
            let unit = GroupUnit { stage: gathered.stage, unit, attempt, after, page, runs };
            let shuffle = self.shuffle.clone();
            let request = LaneRequest {
                query: shared.query,
                phase: u32::try_from(self.phase).unwrap_or(u32::MAX),
                plan_version: router.plan_version(),
                time_left_ms: shared.time_left_ms(),
                work: Work::Groups(self.work.clone()),
                prereduce: None,
                shuffle: shuffle.as_deref().cloned(),
                results: self.results,
                tells_inputs: false,
                options: self.options,
                context: shared.context.clone(),
                units: Units::Groups(unit),
            };
            let (transport, release) = (shared.transport.clone(), router.release());
            let peer = router.peer(node);
            let next = lane::open(transport, peer, release, request, shared.terms);
            partition.lane = Lane::Busy { node, shuffle, next };
        }
        wake
    }

    /// Waits for the next step of any partition whose results are not waited for already.
    pub(super) fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<(usize, Step)> {
        let count = self.partitions.len();
        for number in (0..count).map(|offset| (self.last_served + 1 + offset) % count) {
            if self.results && !self.merge.wants(number) {
                continue;
            }
            if let Lane::Busy { next, .. } = &mut self.partitions[number].lane
                && let Poll::Ready(step) = next.as_mut().poll(context)
            {
                self.last_served = number;
                return Poll::Ready((number, step));
            }
        }
        Poll::Pending
    }

    /// The node that works on a partition.
    pub(super) fn node(&self, number: usize) -> Option<NodeId> {
        match self.partitions.get(number)?.lane {
            Lane::Busy { node, .. } => Some(node),
            Lane::Idle | Lane::Over => None,
        }
    }

    /// Takes a step of a partition.
    pub(super) fn apply(
        &mut self,
        number: usize,
        step: Step,
        router: &mut Router,
    ) -> Result<Reduced, Failure> {
        let (frame, frames) = match step {
            Step::Frame(frame, frames) => (frame, frames),
            Step::Refused(error) => return Err(Failure::from(error).in_phase(self.phase)),
            Step::Unreachable(error) | Step::Lost(error) => {
                self.lose(number, &error, router)?;
                return Ok(Reduced::default());
            }
        };
        match frame {
            Frame::Renew => {
                self.listen(number, frames);
                Ok(Reduced::default())
            }
            Frame::Page(page) => match self.accept(number, *page, router) {
                Ok(reduced) => {
                    self.check_whole()?;
                    self.listen(number, frames);
                    Ok(reduced)
                }
                Err(error) => {
                    self.lose(number, &error, router)?;
                    Ok(Reduced::default())
                }
            },
            Frame::Unable { error, asked: Some(asked), .. } => {
                let Some(node) = self.node(number) else { return Ok(Reduced::default()) };
                // Another may do better.
                router.failed(node);
                let asked = broken_function(*asked, &router.name(node));
                self.retry(number, &Error::from(error), Some(asked))?;
                Ok(Reduced::default())
            }
            Frame::Unable { error, asked: None, .. } => {
                let error = Error::from(error);
                if error.kind() == mapring_types::ErrorKind::Invalid {
                    let failure = Failure::new(FailureKind::Node(error.kind()), error);
                    return Err(failure.in_phase(self.phase));
                }
                self.lose(number, &error, router)?;
                Ok(Reduced::default())
            }
            Frame::HolderLost { holder, error, .. } => {
                self.retry(number, &Error::from(error), None)?;
                Ok(Reduced { lost_holder: Some(holder), ..Reduced::default() })
            }
            Frame::Failed(broken) => {
                let name = self.node(number).map(|node| router.name(node)).unwrap_or_default();
                Err(broken_function(broken, &name))
            }
            Frame::Again { broken, .. } => {
                let name = self.node(number).map(|node| router.name(node)).unwrap_or_default();
                self.failed(number, *broken, &name)?;
                Ok(Reduced::default())
            }
            // Groups are given out as they are.
            Frame::Spent => {
                let error = Error::internal("a lane of groups ends before its groups");
                self.retry(number, &error, None)?;
                Ok(Reduced::default())
            }
        }
    }

    /// Whether the values of each key came to one partition.
    fn check_whole(&self) -> Result<(), Failure> {
        let Some(key) = self.merge.torn() else { return Ok(()) };
        let key = mapring_shuffle::key::decode(key).unwrap_or_default();
        let message = format!(
            "\"partition_by\" gave different partitions for the key {}: it must give the same whenever \
             and wherever it is called",
            mapring_types::quote(&key)
        );
        Err(Failure::new(FailureKind::BadInput, message).in_phase(self.phase))
    }

    /// Accepts a page whole, or not at all.
    ///
    /// # Errors
    /// When it does not go on from where its partition stood.
    fn accept(&mut self, number: usize, page: Page, router: &mut Router) -> KvResult<Reduced> {
        let partition = &mut self.partitions[number];
        let Lane::Busy { node, shuffle, .. } = &partition.lane else {
            return Ok(Reduced::default());
        };
        let node = *node;
        let went_back = || Error::corrupt(format!("partition {number} does not go forward"));
        if page.attempt != partition.attempt {
            return Err(went_back());
        }
        let ended = match &page.progress {
            Progress::Done => true,
            Progress::After(key) => {
                let key = key.place().clone();
                if partition.after.as_ref().is_some_and(|before| key <= *before) {
                    return Err(went_back());
                }
                partition.after = Some(key);
                false
            }
            Progress::Taken(_) => return Err(went_back()),
        };
        let run = page.run.as_ref().and_then(|run| run_of(node, &page, run, shuffle.as_ref()));
        if let Some(watch) = &self.watch {
            let key = partition.after.as_ref().and_then(|key| key::decode(key).ok());
            let (inputs, results) = (page.inputs, page.made);
            watch.accepted(page.unit, Done { inputs, results, last_input: key, ended });
        }
        (partition.tries, partition.failures) = (0, 0);
        partition.page = partition.page.saturating_add(1);
        if ended {
            partition.lane = Lane::Over;
        }
        router.worked(node);
        count("mapring_mapred_pages_accepted_total", 1);
        let Page { results, groups, inputs, made, made_bytes, cost, tally, effects, .. } = page;
        let stats = PageStats {
            inputs,
            results: made,
            result_bytes: made_bytes,
            partitions: u64::from(ended),
            cost,
            tally,
            ..PageStats::default()
        };
        if self.results {
            self.merge.push(number, groups, results)?;
        }
        if ended {
            self.merge.end(number);
        }
        let (mut partitions, results) = self.merge.ready();
        if !self.tells_partitions {
            partitions.clear();
        }
        Ok(Reduced {
            results,
            partitions,
            stats: Some((node, stats)),
            run,
            effects,
            lost_holder: None,
        })
    }

    fn listen(&mut self, number: usize, frames: FrameStream) {
        if let Lane::Busy { next, .. } = &mut self.partitions[number].lane {
            *next = lane::next(frames);
        }
    }

    /// A partition's node is lost: another goes on after the last accepted key.
    fn lose(&mut self, number: usize, error: &Error, router: &mut Router) -> Result<(), Failure> {
        let Some(node) = self.node(number) else { return Ok(()) };
        let name = router.name(node);
        tracing::warn!(%error, node = name, phase = self.phase, "a partition of groups is lost");
        router.failed(node);
        self.retry(number, error, None)
    }

    /// A function has failed in a partition: it is tried again after a pause, unless it was tried often
    /// enough.
    fn failed(&mut self, number: usize, broken: Broken, node: &str) -> Result<(), Failure> {
        count("mapring_mapred_units_retried_total", 1);
        let partition = &mut self.partitions[number];
        let attempt = partition.attempt;
        (partition.lane, partition.attempt) = (Lane::Idle, attempt + 1);
        partition.failures += 1;
        let (failures, cause) = (partition.failures, broken.error.cause);
        let pause = self.retries.and_then(|retries| retries.pause(failures, cause));
        let unit = u32::try_from(number).unwrap_or(u32::MAX);
        if let Some(watch) = &self.watch {
            watch.failed(unit, said(&broken.error), pause.is_none());
        }
        let failure = |broken| broken_function(broken, node).in_shard(unit, attempt);
        let Some(pause) = pause else { return Err(failure(broken)) };
        partition.rests_until = Some(Instant::now() + pause);
        Ok(())
    }

    /// A partition is begun again after the last accepted key, perhaps because a function has asked for
    /// that.
    fn retry(
        &mut self,
        number: usize,
        error: &Error,
        asked: Option<Failure>,
    ) -> Result<(), Failure> {
        count("mapring_mapred_units_retried_total", 1);
        let partition = &mut self.partitions[number];
        partition.lane = Lane::Idle;
        partition.attempt += 1;
        partition.tries += 1;
        if let (Some(watch), Ok(unit)) = (&self.watch, u32::try_from(number)) {
            watch.failed(unit, error.to_string(), false);
        }
        if partition.tries >= limits::TRIES {
            self.gave_up |= asked.is_none();
            let message = format!(
                "partition {number} of the groups could not be worked on in {} tries, the last: {error}",
                limits::TRIES
            );
            let failure = match asked {
                Some(asked) => asked.saying(message),
                None => Failure::new(FailureKind::Node(error.kind()), message),
            };
            return Err(failure.in_phase(self.phase));
        }
        Ok(())
    }

    /// Takes partitions away from nodes that are down.
    pub(super) fn view_changed(&mut self, router: &mut Router) -> Result<(), Failure> {
        let Some(gathered) = &mut self.gathered else { return Ok(()) };
        reassign(&mut gathered.holders, &router.up_nodes());
        for number in 0..self.partitions.len() {
            if self.node(number).is_some_and(|node| !router.is_up(node)) {
                self.lose(number, &Error::unavailable("the node is down"), router)?;
            }
        }
        Ok(())
    }
}

/// Who is to work on a partition: its owner, or while that fails another node, its backup first;
/// `None` while all are left alone.
fn chosen(gathered: &Gathered, number: usize, router: &Router) -> Option<NodeId> {
    let held = gathered.holders[number];
    let named = [Some(held.owner), held.backup].into_iter().flatten();
    let others: BTreeSet<NodeId> = router.up_nodes();
    let usable = |node: &NodeId| router.is_up(*node) && router.retry_at(*node).is_none();
    named.chain(others).find(usable)
}
