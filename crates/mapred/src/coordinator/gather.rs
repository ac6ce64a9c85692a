//! Gathering: where the pairs of a grouped reduce lie. The pairs themselves never come here, but for
//! those of a phase that runs at the coordinator, of which it makes runs like any other node.

pub(super) mod runs;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use mapring_script::{Effects, Grouping, PhaseFunction, QueryTag, Row};
use mapring_types::{NodeId, Result as KvResult};

use super::router::Router;
use super::shared::Shared;
use crate::failure::{FailedInput, Failure, FailureKind};
use crate::handle::PageStats;
use crate::holders::{assign, reassign, second_copy};
use crate::limits;
use crate::node::{Beside, PairsError, StoredRun, run_of_rows};
use crate::saved::SavedGather;
use crate::unit::{Holders, Run, RunId, RunPlace, Shuffle, Tally};

/// See the module.
pub(super) struct GatherStage {
    phase: usize,
    shuffle: Arc<Shuffle>,
    runs: Vec<GatheredRun>,
    /// Pairs that came here, of which a run is to be made.
    queue: VecDeque<Row>,
    bytes: usize,
    making: Option<Making>,
    /// How many runs were begun here.
    page: u32,
    ended: bool,
    taken: bool,
}

/// A run that is made here.
struct Making {
    rows: Arc<Vec<Row>>,
    tries: u32,
    shuffle: Arc<Shuffle>,
    run: BoxFuture<'static, Result<StoredRun, PairsError>>,
}

/// A run that was accepted, and where its segments lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GatheredRun {
    pub(super) id: RunId,
    /// The query that it was made for, where the job that goes on was another one then.
    pub(super) query: Option<QueryTag>,
    pub(super) made_by: NodeId,
    /// As they were when it was made.
    pub(super) shuffle: Arc<Shuffle>,
    /// Which have a segment of it, in order.
    pub(super) partitions: Vec<u32>,
}

/// All runs, and who owns the partitions now.
pub(super) struct Gathered {
    pub(super) stage: u32,
    pub(super) runs: Vec<GatheredRun>,
    pub(super) holders: Vec<Holders>,
}

/// The unit of all runs that are made here.
const LOCAL_UNIT: u32 = u32::MAX;

impl GatherStage {
    pub(super) fn new(
        stage: u32,
        phase: usize,
        partitions: Option<u32>,
        (grouping, partition_by): (Grouping, Option<PhaseFunction>),
        router: &Router,
    ) -> Self {
        let nodes = router.up_nodes();
        let enough = u32::try_from(nodes.len()).unwrap_or(u32::MAX).saturating_mul(2);
        let suits = enough.clamp(limits::FEW_PARTITIONS, limits::PARTITIONS);
        let holders = assign(&nodes, partitions.unwrap_or(suits));
        let shuffle = Arc::new(Shuffle {
            stage,
            phase: u32::try_from(phase).unwrap_or(u32::MAX),
            grouping,
            partition_by,
            holders,
        });
        let (runs, queue) = (Vec::new(), VecDeque::new());
        Self {
            phase,
            shuffle,
            runs,
            queue,
            bytes: 0,
            making: None,
            page: 0,
            ended: false,
            taken: false,
        }
    }

    /// Where pairs go now.
    pub(super) fn shuffle(&self) -> &Arc<Shuffle> {
        &self.shuffle
    }

    /// The runs that were accepted, until a reduce has them.
    pub(super) fn runs(&self) -> &[GatheredRun] {
        &self.runs
    }

    pub(super) fn partitions(&self) -> u64 {
        self.shuffle.holders.len() as u64
    }

    /// Takes partitions away from nodes that are down. Returns whether pairs now go elsewhere.
    pub(super) fn view_changed(&mut self, router: &Router) -> bool {
        let mut holders = self.shuffle.holders.clone();
        let changed = reassign(&mut holders, &router.keepers());
        if changed {
            self.shuffle = Arc::new(Shuffle { holders, ..Shuffle::clone(&self.shuffle) });
        }
        changed
    }

    /// Takes a run of an accepted page.
    pub(super) fn accept(&mut self, run: GatheredRun) -> Result<(), Failure> {
        assert!(!self.ended, "a run comes after the last");
        if self.runs.len() >= limits::RUNS {
            let message = format!("the pairs would come in more than {} runs", limits::RUNS);
            return Err(Failure::new(FailureKind::GroupSize, message).in_phase(self.phase));
        }
        self.runs.push(run);
        Ok(())
    }

    /// Takes pairs that came here.
    pub(super) fn push(&mut self, rows: Vec<Row>) {
        self.bytes += rows.iter().map(Row::bytes).sum::<usize>();
        self.queue.extend(rows);
    }

    /// Whether the phase before this one may go on.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < limits::LOCAL_RUN_BYTES
    }

    /// Makes a run of what came here, when that is much or all. Returns whether the stage is over.
    pub(super) fn advance(&mut self, shared: &Shared, inputs_ended: bool) -> bool {
        let due = !self.queue.is_empty() && (inputs_ended || !self.has_room());
        if self.making.is_none() && due {
            let rows = Arc::new(Vec::from(std::mem::take(&mut self.queue)));
            self.bytes = 0;
            self.page += 1;
            self.make(shared, rows, 1);
        }
        self.ended = inputs_ended && self.queue.is_empty() && self.making.is_none();
        self.ended
    }

    fn make(&mut self, shared: &Shared, rows: Arc<Vec<Row>>, tries: u32) {
        let shuffle = Arc::clone(&self.shuffle);
        let id = RunId { unit: LOCAL_UNIT, attempt: tries, page: self.page };
        let (node, query) = (shared.node.clone(), shared.query);
        let (given, wanted, context) = (rows.clone(), shuffle.clone(), shared.context.clone());
        let run =
            Box::pin(async move { run_of_rows(&node, query, &wanted, context, id, &given).await });
        self.making = Some(Making { rows, tries, shuffle, run });
    }

    /// Waits for the run that is made here.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<StoredRun, PairsError>> {
        match &mut self.making {
            Some(making) => making.run.as_mut().poll(context),
            None => Poll::Pending,
        }
    }

    /// Takes what was made here, or makes it again where a holder could not be reached.
    pub(super) fn made(
        &mut self,
        made: Result<StoredRun, PairsError>,
        shared: &Shared,
        router: &mut Router,
    ) -> Result<(PageStats, Effects), Failure> {
        let Some(Making { rows, tries, shuffle, .. }) = self.making.take() else {
            return Ok(Default::default());
        };
        let StoredRun { run, beside: Beside { effects, calls } } = match made {
            Ok(stored) => stored,
            Err(PairsError::Row(row, why)) => {
                let failure = Failure::new(FailureKind::BadInput, why).in_phase(self.phase);
                return Err(failure.of(FailedInput::Row(row)));
            }
            Err(PairsError::Combiner(error)) => {
                return Err(Failure::function(&error).in_phase(self.phase));
            }
            Err(PairsError::Holder(holder, error)) if tries < limits::TRIES => {
                tracing::warn!(%error, %holder, phase = self.phase, "pairs are put elsewhere");
                router.failed(holder);
                self.view_changed(router);
                self.make(shared, rows, tries + 1);
                return Ok(Default::default());
            }
            Err(PairsError::Node(error) | PairsError::Holder(_, error)) => {
                let failure = Failure::new(FailureKind::Node(error.kind()), error);
                return Err(failure.in_phase(self.phase));
            }
        };
        let tally = Tally { combined: calls, ..Tally::default() };
        let Some(run) = run else {
            return Ok((PageStats { tally, ..PageStats::default() }, effects));
        };
        let stats = PageStats { tally, ..run_stats(&run) };
        let id = RunId { unit: LOCAL_UNIT, attempt: tries, page: self.page };
        let made_by = shared.cluster.view().me;
        let partitions = run.partitions;
        self.accept(GatheredRun { id, query: None, made_by, shuffle, partitions })?;
        Ok((stats, effects))
    }

    /// All that is gathered, of a job that is this query now.
    pub(super) fn save(&self, query: QueryTag) -> SavedGather {
        let making = self.making.iter().flat_map(|making| making.rows.iter());
        SavedGather {
            holders: self.shuffle.holders.clone(),
            page: self.page,
            rows: making.chain(&self.queue).cloned().collect(),
            taken: self.taken,
            runs: runs::save(&self.runs, query),
        }
    }

    /// Goes on from what was kept, as a stage that has gathered nothing.
    ///
    /// # Errors
    /// When it makes no sense.
    pub(super) fn restore(&mut self, saved: SavedGather, router: &Router) -> KvResult<()> {
        let SavedGather { mut holders, page, rows, taken, runs } = saved;
        runs::check(&holders)?;
        reassign(&mut holders, &router.keepers());
        self.shuffle = Arc::new(Shuffle { holders, ..Shuffle::clone(&self.shuffle) });
        self.runs = runs::restore(runs, &self.shuffle)?;
        (self.page, self.taken) = (page, taken);
        self.push(rows);
        Ok(())
    }

    pub(super) fn is_taken(&self) -> bool {
        self.taken
    }

    /// What has been gathered, when the stage is over.
    pub(super) fn take(&mut self) -> Gathered {
        assert!(self.ended && !self.taken, "pairs are taken when all are there, and once");
        self.taken = true;
        let holders = self.shuffle.holders.clone();
        Gathered { stage: self.shuffle.stage, runs: std::mem::take(&mut self.runs), holders }
    }
}

/// What is shown of a run: its pairs, and what was left of them.
pub(super) fn run_stats(run: &Run) -> PageStats {
    let (inputs, results, result_bytes) = (run.made, run.pairs, run.bytes);
    PageStats { inputs, results, result_bytes, ..PageStats::default() }
}

impl Gathered {
    /// The runs that have pairs for a partition, and where.
    pub(super) fn places(&self, partition: u32) -> Vec<RunPlace> {
        let has = |run: &&GatheredRun| run.partitions.binary_search(&partition).is_ok();
        let runs = self.runs.iter().filter(has);
        let place = |run: &GatheredRun| {
            let held = usize::try_from(partition).ok().and_then(|at| run.shuffle.holders.get(at));
            let second = held.and_then(|held| second_copy(*held, run.made_by));
            let nodes = std::iter::once(run.made_by).chain(second).collect();
            RunPlace { run: run.id, query: run.query, nodes }
        };
        runs.map(place).collect()
    }
}
