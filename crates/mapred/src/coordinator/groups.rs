//! A grouped reduce at the coordinator: its partitions, each worked on by one node, and their results
//! brought into the order of the keys.

mod merge;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use mapring_net::FrameStream;
use mapring_script::{Effects, PhaseFunction, Row};
use mapring_types::{Error, NodeId, Result as KvResult};
use tokio::time::Instant;

use super::gather::{Gathered, GatheredRun};
use super::lane::{self, Step};
use super::lanes::{broken_function, run_of};
use super::router::Router;
use super::shared::Shared;
use crate::failure::{Failure, FailureKind};
use crate::handle::PageStats;
use crate::holders::reassign;
use crate::limits;
use crate::metered::count;
use crate::unit::{
    Frame, GroupUnit, GroupWork, LaneRequest, Page, Progress, Shuffle, UnitOptions, Units, Work,
};
use merge::Merge;

/// See the module.
pub(super) struct GroupStage {
    phase: usize,
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
}

/// A partition that is worked through, and how far.
struct PartitionProgress {
    lane: Lane,
    after: Option<Bytes>,
    attempt: u32,
    tries: u32,
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
            work,
            results,
            options,
            tells_partitions,
            shuffle: None,
            gathered: None,
            partitions: Vec::new(),
            merge: Merge::default(),
            last_served: 0,
        }
    }

    /// The function that it calls.
    pub(super) fn function(&self) -> Arc<PhaseFunction> {
        Arc::new(self.work.function.clone())
    }

    /// Where its results go when they are grouped again.
    pub(super) fn set_shuffle(&mut self, shuffle: Arc<Shuffle>) {
        self.shuffle = Some(shuffle);
    }

    /// Begins, when all pairs are gathered.
    pub(super) fn begin(&mut self, gathered: Gathered) {
        assert!(self.gathered.is_none(), "a grouped reduce begins once");
        let begun =
            |_| PartitionProgress { lane: Lane::Idle, after: None, attempt: 1, tries: 0, page: 0 };
        self.partitions = gathered.holders.iter().map(begun).collect();
        self.merge = Merge::new(self.partitions.len());
        self.gathered = Some(gathered);
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
            let unit = u32::try_from(number).unwrap_or(u32::MAX);
            let runs = gathered.places(unit);
            if runs.is_empty() {
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
                options: self.options,
                context: shared.context.clone(),
                units: Units::Groups(unit),
            };
            let (transport, release) = (shared.transport.clone(), router.release());
            let next = lane::open(transport, router.peer(node), release, &request);
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
                    self.listen(number, frames);
                    Ok(reduced)
                }
                Err(error) => {
                    self.lose(number, &error, router)?;
                    Ok(Reduced::default())
                }
            },
            Frame::Unable { error, .. } => {
                let error = Error::from(error);
                if error.kind() == mapring_types::ErrorKind::Invalid {
                    let failure = Failure::new(FailureKind::Node(error.kind()), error);
                    return Err(failure.in_phase(self.phase));
                }
                self.lose(number, &error, router)?;
                Ok(Reduced::default())
            }
            Frame::HolderLost { holder, error, .. } => {
                self.retry(number, &Error::from(error))?;
                Ok(Reduced { lost_holder: Some(holder), ..Reduced::default() })
            }
            Frame::Failed(broken) => {
                let name = self.node(number).map(|node| router.name(node)).unwrap_or_default();
                Err(broken_function(broken, &name))
            }
        }
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
        partition.tries = 0;
        partition.page = partition.page.saturating_add(1);
        if ended {
            partition.lane = Lane::Over;
        }
        router.worked(node);
        count("mapring_mapred_pages_accepted_total", 1);
        let Page { results, groups, inputs, made, made_bytes, cost, effects, .. } = page;
        let stats = PageStats {
            inputs,
            results: made,
            result_bytes: made_bytes,
            partitions: u64::from(ended),
            cost,
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
        self.retry(number, error)
    }

    /// A partition is begun again after the last accepted key.
    fn retry(&mut self, number: usize, error: &Error) -> Result<(), Failure> {
        count("mapring_mapred_units_retried_total", 1);
        let partition = &mut self.partitions[number];
        partition.lane = Lane::Idle;
        partition.attempt += 1;
        partition.tries += 1;
        if partition.tries >= limits::TRIES {
            let message = format!(
                "partition {number} of the groups could not be worked on in {} tries, the last: {error}",
                limits::TRIES
            );
            let failure = Failure::new(FailureKind::Node(error.kind()), message);
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
