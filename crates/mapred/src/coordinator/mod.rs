//! The side of MapReduce that took the request: it plans, follows units over failures, reduces, and
//! gives the client its results as they come.
//!
//! One task a query. It waits in one place ([`Coordinator::next`]) and decides in another
//! ([`Coordinator::apply`]). Nothing is taken from a stage while a stage that it feeds, or the client,
//! has no room; later stages are asked first: so every queue is bounded and none can wait for
//! another in a circle.

mod advance;
mod apply;
mod build;
mod check;
mod checkpoints;
mod deliver;
mod event;
mod gather;
mod groups;
mod inputs;
mod keeping;
mod lane;
mod lanes;
mod naming;
mod numbering;
mod outbox;
mod pace;
mod planning;
mod reading;
mod reduce;
mod resolve;
mod router;
mod saving;
mod shards;
mod shared;
mod sources;
mod splitting;
mod stage;
mod whole;
mod writes;

pub(crate) use keeping::Nodes;
pub(crate) use resolve::{Resolved, part, resolve};
pub(crate) use shards::shards;
pub(crate) use shared::Shared;
pub(crate) use splitting::missing;

use std::future::poll_fn;
use std::sync::Arc;

use mapring_cluster::View;
use mapring_types::{ErrorKind, Release};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::failure::{Failure, FailureKind};
use crate::grammar::{Inputs, Query};
use crate::graph::{ByStage, StageGraph};
use crate::job::JobOptions;
use crate::results::PhaseResults;
use crate::saved::Saved;
use crate::stage_watch::StageWatch;
use event::{Event, poll_stages};
use keeping::Keeping;
use numbering::{Listing, Numbering};
use outbox::Outbox;
use pace::Pace;
use planning::{Planning, planned};
use router::Router;
use saving::Saving;
use sources::Sources;
use stage::{Stage, StageKind};
use writes::Writes;

/// A query under way.
pub(crate) struct Coordinator {
    shared: Shared,
    /// This node's name.
    me: String,
    query: Query,
    router: Router,
    graph: Arc<StageGraph>,
    stages: ByStage<Stage>,
    /// Where to go on in the query's own list of inputs; `None` when all are taken.
    next_input_at: Option<usize>,
    /// How many of these were taken.
    inputs_taken: u64,
    /// What the order of these follows, where that matters for shards.
    listing: Option<Listing>,
    /// The shards that results are told apart by, if they are.
    numbering: Option<Numbering>,
    /// What comes of a source, and has not been given to the first stage.
    sources: Sources,
    /// Kept results that the client has not taken.
    out: Outbox,
    /// How many more results of the last phase the client wants; `None` for all.
    left: Option<u64>,
    results: mpsc::Sender<Result<PhaseResults, Failure>>,
    /// What functions asked to be written.
    writes: Writes,
    changes: watch::Receiver<Arc<View>>,
    planning: Option<Planning>,
    /// Has the pairs kept that are gathered.
    keeping: Option<Keeping>,
    /// What keeps checkpoints, for a job that makes some.
    saving: Option<Saving>,
    /// How many pages were accepted.
    pages: u64,
    /// How fast the query's own inputs are taken, where lanes do not see to that.
    pace: Option<Pace>,
    /// When a node that is left alone may be asked again.
    wake: Option<Instant>,
}

impl Coordinator {
    /// Begins a query, or goes on with one from where it stood.
    pub(crate) fn new(
        shared: Shared,
        query: Query,
        phases: &[Resolved],
        saved: Option<Saved>,
        results: mpsc::Sender<Result<PhaseResults, Failure>>,
    ) -> Result<Self, Failure> {
        let changes = shared.cluster.changes();
        let mut router = Router::new(shared.cluster.view());
        let options = query.spec().options;
        let graph = Arc::clone(shared.handle.graph());
        let mut stages = build::stages(&graph, &query, phases, &router)?;
        for (id, _) in graph.stages() {
            let watch = StageWatch::of(&shared.handle, id);
            match &mut stages.get_mut(id).kind {
                StageKind::Gather(gather) => {
                    shared.handle.set_partitions(id, gather.partitions());
                }
                StageKind::Lanes(lanes) => lanes.watch = watch,
                StageKind::Groups(groups) => groups.watch = watch,
                _ => {}
            }
        }
        let mut numbering = Numbering::of(&graph, &stages, options.shards);
        let of_inputs = numbering.as_mut().and_then(Numbering::of_inputs);
        let mut listing = None;
        let mut sources = Sources::default();
        let next_input_at = match &query.spec().inputs {
            _ if saved.is_some() => None,
            Inputs::Source(_) => {
                if router.release() < Release::GROUPS {
                    let message = "a member of the cluster is of a release that does not know inputs \
                                   that lie within objects, or are made";
                    let kind = FailureKind::Node(ErrorKind::Unavailable);
                    return Err(Failure::new(kind, message));
                }
                let nodes = router.up_nodes().len();
                sources.splitting =
                    Some(splitting::split(shared.clone(), query.clone(), nodes, sources::run));
                None
            }
            Inputs::Scan(scan) => {
                if let StageKind::Lanes(first) = &mut stages.get_mut(graph.entry()).kind {
                    let partitions = first.cover(scan, &mut router)?;
                    if let Some(numbering) = of_inputs {
                        numbering.scan(0, router.homes().count() as u64);
                    }
                    shared.handle.set_partitions(graph.entry(), partitions);
                }
                None
            }
            Inputs::Keys(keys) => {
                listing = of_inputs.map(|numbering| numbering.list(0, keys.len()));
                Some(0)
            }
            Inputs::Values(values) => {
                listing = of_inputs.map(|numbering| numbering.list(0, values.len() as u64));
                Some(0)
            }
        };
        let me = router.name(shared.cluster.view().me);
        let (objects, handle) = (shared.objects.clone(), shared.handle.clone());
        let writes = Writes::new(options.write_batch, objects, handle, shared.deadline);
        let gathers = graph.stages().any(|(id, _)| graph.gather(id).is_some());
        if gathers && router.release() < Release::GROUPS {
            let message = "a member of the cluster is of a release that does not know grouping";
            return Err(Failure::new(FailureKind::Node(ErrorKind::Unavailable), message));
        }
        let keeping = gathers.then(|| {
            let nodes = Nodes::new(shared.cluster.clone(), shared.transport.clone());
            let former = saved.as_ref().map(Saved::queries).unwrap_or_default();
            Keeping::start(nodes, shared.query, former)
        });
        let mut coordinator = Self {
            shared,
            me,
            query,
            router,
            graph,
            stages,
            next_input_at,
            inputs_taken: 0,
            listing,
            numbering,
            sources,
            out: Outbox::default(),
            left: options.limit,
            results,
            writes,
            changes,
            planning: None,
            keeping,
            saving: None,
            pages: 0,
            pace: None,
            wake: None,
        };
        if let Some(saved) = saved {
            coordinator.restore(saved)?;
        }
        coordinator.share_holders();
        Ok(coordinator)
    }

    /// As that of a job, if it is one.
    pub(crate) fn of_job(mut self, job: Option<Arc<JobOptions>>) -> Self {
        let Some(job) = job else { return self };
        self.keep_checkpoints(&job);
        for stage in self.stages.iter_mut() {
            match &mut stage.kind {
                StageKind::Lanes(lanes) => lanes.retries = Some(job.retries),
                StageKind::Groups(groups) => groups.retries = Some(job.retries),
                _ => {}
            }
        }
        let makes_runs = self.graph.gather(self.graph.entry()).is_some();
        let rate = job.rate.filter(|rate| *rate > 0.0);
        let pace = rate.map(|rate| Pace::new(rate, makes_runs));
        match &mut self.stages.get_mut(self.graph.entry()).kind {
            StageKind::Lanes(lanes) => lanes.pace = pace,
            _ => self.pace = pace,
        }
        self
    }

    /// Tells stages whose results are grouped where these go now.
    fn share_holders(&mut self) {
        let graph = Arc::clone(&self.graph);
        for (id, _) in graph.stages() {
            let Some(gather) = graph.gather(id) else { continue };
            let StageKind::Gather(gather) = &self.stages.get(gather).kind else { continue };
            let shuffle = Arc::clone(gather.shuffle());
            match &mut self.stages.get_mut(id).kind {
                StageKind::Lanes(lanes) => lanes.set_shuffle(shuffle),
                StageKind::Groups(groups) => groups.set_shuffle(shuffle),
                _ => {}
            }
        }
    }

    /// Runs the query to its end. Returns of how many shards its results are, if these are told apart.
    pub(crate) async fn run(mut self) -> Result<u32, Failure> {
        while self.advance()? {
            match self.next().await {
                Event::Gone => break,
                event => self.apply(event)?,
            }
        }
        Ok(self.numbering.as_ref().map_or(0, Numbering::shards))
    }

    /// Waits for the next thing that happens.
    async fn next(&mut self) -> Event {
        let (client_has_room, due) = (self.out.has_room(), self.checkpoint_is_due());
        let (graph, stages, writes) = (&self.graph, &mut self.stages, &mut self.writes);
        // Pages ask for more writes.
        let accepts = writes.has_room() && !due;
        let (out, planning, sources) = (&mut self.out, &mut self.planning, &mut self.sources);
        let (waits, saving) = (!out.is_empty(), &mut self.saving);
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(self.shared.deadline) => Event::Deadline,
            room = self.results.reserve(), if waits => match (room, out.pop()) {
                (Ok(room), Some(oldest)) => {
                    room.send(Ok(oldest));
                    Event::Sent
                }
                _ => Event::Gone,
            },
            event = poll_fn(|context| poll_stages(graph, stages, (client_has_room, accepts, due), context)) => event,
            written = poll_fn(|context| writes.poll(context)) => Event::Written(written),
            kept = Saving::saved(saving) => Event::Saved(kept),
            divided = sources.divided() => Event::Divided(divided),
            (request, coverage) = planned(planning) => Event::Planned(request, coverage),
            changed = self.changes.changed() => match changed {
                Ok(()) => Event::View,
                Err(_) => Event::Stopping,
            },
            () = sleep_until(self.wake) => Event::Wake,
        }
    }

    /// Whether the client has all that it wants.
    fn has_enough(&self) -> bool {
        self.left == Some(0)
    }
}

async fn sleep_until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}
