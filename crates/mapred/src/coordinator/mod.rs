//! The side of MapReduce that took the request: it plans, follows units over failures, reduces, and
//! gives the client its results as they come.
//!
//! One task a query. It waits in one place ([`Coordinator::next`]) and decides in another
//! ([`Coordinator::apply`]). Nothing is taken from a stage while a stage that it feeds, or the client,
//! has no room; later stages are asked first: so every queue is bounded and none can wait for
//! another in a circle.

mod build;
mod check;
mod gather;
mod groups;
mod inputs;
mod keeping;
mod lane;
mod lanes;
mod outbox;
mod planning;
mod reduce;
mod resolve;
mod router;
mod shared;
mod stage;
mod writes;

pub(crate) use resolve::{Resolved, resolve};
pub(crate) use shared::Shared;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use mapring_cluster::View;
use mapring_ring::Coverage;
use mapring_script::{Effects, Row, ScriptError};
use mapring_types::{ErrorKind, NodeId, Release, Result as KvResult};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::failure::{Failure, FailureKind};
use crate::grammar::{Inputs, OnError, Query};
use crate::graph::{ByStage, StageGraph, StageId};
use crate::handle::PageStats;
use crate::metered::count;
use crate::node::{PairsError, StoredRun};
use crate::results::PhaseResults;
use crate::unit::Broken;
use gather::{GatherStage, GatheredRun};
use groups::Reduced as GroupsReduced;
use inputs::{Input, next_input};
use keeping::Keeping;
use lane::Step;
use lanes::{Accepted, broken_function};
use outbox::Outbox;
use planning::{Planning, plan, planned};
use reduce::Reduced;
use router::{PlanRequest, Router};
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
    _keeping: Option<Keeping>,
    /// When a node that is left alone may be asked again.
    wake: Option<Instant>,
}

/// What a coordinator waits for.
enum Event {
    Deadline,
    /// The client takes the oldest results.
    Sent,
    /// The client has gone.
    Gone,
    Lane(StageId, u64, Step),
    Reduce(StageId, Result<Reduced, ScriptError>),
    /// A batch of writes was made.
    Written(Result<(), Failure>),
    /// A run of pairs was made here.
    Gathered(StageId, Result<StoredRun, PairsError>),
    /// A partition of groups has gone on.
    Groups(StageId, usize, Step),
    /// Whether a stage's function is one.
    Checked(StageId, Result<(), ScriptError>),
    Planned(PlanRequest, KvResult<Coverage>),
    View,
    /// The node leaves its cluster.
    Stopping,
    Wake,
}

impl Coordinator {
    /// Begins a query.
    pub(crate) fn new(
        shared: Shared,
        query: Query,
        phases: &[Resolved],
        results: mpsc::Sender<Result<PhaseResults, Failure>>,
    ) -> Result<Self, Failure> {
        let changes = shared.cluster.changes();
        let mut router = Router::new(shared.cluster.view());
        let options = query.spec().options;
        let graph = Arc::clone(shared.handle.graph());
        let mut stages = build::stages(&graph, &query, phases, &router)?;
        for (id, _) in graph.stages() {
            if let StageKind::Gather(gather) = &stages.get(id).kind {
                shared.handle.set_partitions(id, gather.partitions());
            }
        }
        let next_input_at = match &query.spec().inputs {
            Inputs::Scan(scan) => {
                if let StageKind::Lanes(first) = &mut stages.get_mut(graph.entry()).kind {
                    let partitions = first.cover(scan, &mut router)?;
                    shared.handle.set_partitions(graph.entry(), partitions);
                }
                None
            }
            Inputs::Keys(_) | Inputs::Values(_) => Some(0),
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
            Keeping::start(shared.cluster.clone(), shared.transport.clone(), shared.query)
        });
        let mut coordinator = Self {
            shared,
            me,
            query,
            router,
            graph,
            stages,
            next_input_at,
            out: Outbox::default(),
            left: options.limit,
            results,
            writes,
            changes,
            planning: None,
            _keeping: keeping,
            wake: None,
        };
        coordinator.share_holders();
        Ok(coordinator)
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

    /// Runs the query to its end.
    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        while self.advance()? {
            match self.next().await {
                Event::Gone => return Ok(()),
                event => self.apply(event)?,
            }
        }
        Ok(())
    }

    /// Starts everything that can be started now. Returns whether there is anything to wait for.
    fn advance(&mut self) -> Result<bool, Failure> {
        self.wake = None;
        if self.has_enough() {
            // Dropping the lanes ends their work.
            self.stages.iter_mut().for_each(Stage::abandon);
            self.planning = None;
            self.writes.advance(true);
            return Ok(!self.out.is_empty() || !self.writes.is_idle());
        }
        self.refill()?;
        let graph = Arc::clone(&self.graph);
        let own_ended = self.next_input_at.is_none();
        let mut all_over = true;
        for (id, spec) in graph.stages() {
            let is_over = |feeder| self.stages.get(feeder).over;
            let inputs_ended = graph.inputs_ended(id, own_ended, is_over);
            // The first stage finds out by its first input, if there is one.
            let is_fed = id != graph.entry();
            let stage = self.stages.get_mut(id);
            match &mut stage.kind {
                StageKind::Lanes(lanes) => {
                    let wake = lanes.dispatch(&self.shared, &self.router);
                    self.wake = [self.wake, wake].into_iter().flatten().min();
                    let idle = inputs_ended && lanes.is_idle();
                    if idle || is_fed {
                        match lanes.function() {
                            Some(function) => {
                                stage.check.begin(&self.shared, spec.phase, &function);
                            }
                            None => stage.check.spare(),
                        }
                    }
                    stage.over = idle && stage.check.is_over();
                }
                StageKind::Reduce(reduce) => {
                    if is_fed {
                        stage.check.begin(&self.shared, spec.phase, &reduce.function());
                    }
                    reduce.advance(&self.shared, inputs_ended);
                    stage.over = reduce.is_over();
                }
                StageKind::Gather(gather) => {
                    stage.over = gather.advance(&self.shared, inputs_ended);
                }
                StageKind::Groups(_) => self.advance_groups(id, inputs_ended),
                StageKind::Echo => stage.over = inputs_ended,
                StageKind::Dropped => {}
            }
            all_over &= self.stages.get(id).over;
        }
        if self.planning.is_none() {
            let request = self.router.request();
            self.planning = request.map(|request| plan(self.shared.objects.clone(), request));
        }
        self.writes.advance(all_over);
        Ok(!all_over || !self.out.is_empty() || !self.writes.is_idle())
    }

    /// Begins a grouped reduce when its pairs are gathered, and goes on with it.
    fn advance_groups(&mut self, id: StageId, inputs_ended: bool) {
        let phase = self.graph.get(id).phase;
        let feeder = self.graph.feeders(id).next();
        let gathered = match feeder.map(|feeder| &mut self.stages.get_mut(feeder).kind) {
            Some(StageKind::Gather(gather)) if inputs_ended => Some(gather),
            _ => None,
        };
        let gathered = gathered.filter(|gather| !gather.is_taken()).map(GatherStage::take);
        let stage = self.stages.get_mut(id);
        let StageKind::Groups(groups) = &mut stage.kind else { return };
        stage.check.begin(&self.shared, phase, &groups.function());
        if let Some(gathered) = gathered {
            self.shared.handle.set_partitions(id, gathered.holders.len() as u64);
            groups.begin(gathered);
        }
        let wake = groups.dispatch(&self.shared, &self.router);
        self.wake = [self.wake, wake].into_iter().flatten().min();
        stage.over = groups.is_over() && stage.check.is_over();
    }

    /// Waits for the next thing that happens.
    async fn next(&mut self) -> Event {
        let client_has_room = self.out.has_room();
        let (graph, stages, writes) = (&self.graph, &mut self.stages, &mut self.writes);
        // Pages ask for more writes.
        let accepts = writes.has_room();
        let (out, planning) = (&mut self.out, &mut self.planning);
        let waits = !out.is_empty();
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
            event = poll_fn(|context| poll_stages(graph, stages, (client_has_room, accepts), context)) => event,
            written = poll_fn(|context| writes.poll(context)) => Event::Written(written),
            (request, coverage) = planned(planning) => Event::Planned(request, coverage),
            changed = self.changes.changed() => match changed {
                Ok(()) => Event::View,
                Err(_) => Event::Stopping,
            },
            () = sleep_until(self.wake) => Event::Wake,
        }
    }

    fn apply(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Deadline => Err(Failure::timeout()),
            Event::Stopping => Err(Failure::stopping(&self.me)),
            Event::Sent | Event::Gone | Event::Wake => Ok(()),
            Event::Lane(id, lane, step) => {
                if let Step::Unreachable(error) = &step {
                    self.report(id, lane, error.kind());
                }
                let StageKind::Lanes(lanes) = &mut self.stages.get_mut(id).kind else {
                    return Ok(());
                };
                let accepted = lanes.apply(lane, step, &mut self.router)?;
                self.deliver(id, accepted)
            }
            Event::Reduce(id, step) => {
                let StageKind::Reduce(reduce) = &mut self.stages.get_mut(id).kind else {
                    return Ok(());
                };
                let (results, effects, mut stats) = reduce.apply(step, &self.me)?;
                stats.results = results.len() as u64;
                stats.result_bytes = results.iter().map(|row| row.bytes() as u64).sum();
                self.shared.handle.record(id, &self.me, &stats);
                self.deliver(id, Accepted { results, effects, ..Accepted::default() })
            }
            Event::Written(written) => written,
            Event::Gathered(id, made) => {
                let StageKind::Gather(gather) = &mut self.stages.get_mut(id).kind else {
                    return Ok(());
                };
                let (stats, effects) = gather.made(made, &self.shared, &mut self.router)?;
                self.shared.handle.record(id, &self.me, &stats);
                self.take_effects(effects)
            }
            Event::Groups(id, number, step) => self.apply_groups(id, number, step),
            Event::Checked(id, found) => {
                let phase = self.graph.get(id).phase;
                found.map_err(|error| Failure::function(&error).in_phase(phase).on(&self.me))
            }
            Event::Planned(request, coverage) => {
                self.planning = None;
                self.router.planned(&request, coverage?);
                for stage in self.stages.iter_mut() {
                    if let StageKind::Lanes(lanes) = &mut stage.kind {
                        lanes.assign(&mut self.router);
                    }
                }
                Ok(())
            }
            Event::View => {
                let view = self.changes.borrow_and_update().clone();
                self.router.set_view(view);
                let mut moved = false;
                for stage in self.stages.iter_mut() {
                    match &mut stage.kind {
                        StageKind::Lanes(lanes) => lanes.view_changed(&mut self.router)?,
                        StageKind::Groups(groups) => groups.view_changed(&mut self.router)?,
                        StageKind::Gather(gather) => moved |= gather.view_changed(&self.router),
                        _ => {}
                    }
                }
                if moved {
                    self.share_holders();
                }
                Ok(())
            }
        }
    }

    /// Takes what a partition of groups gave.
    fn apply_groups(&mut self, id: StageId, number: usize, step: Step) -> Result<(), Failure> {
        let StageKind::Groups(groups) = &mut self.stages.get_mut(id).kind else { return Ok(()) };
        if let (Step::Unreachable(error), Some(node)) = (&step, groups.node(number))
            && error.kind() == ErrorKind::Unavailable
            && node != self.shared.cluster.view().me
        {
            self.shared.cluster.report(node, false);
        }
        let GroupsReduced { results, partitions, stats, run, effects, lost_holder } =
            groups.apply(number, step, &mut self.router)?;
        self.deliver(
            id,
            Accepted {
                results,
                partitions,
                stats,
                run,
                effects,
                lost_holder,
                ..Accepted::default()
            },
        )
    }

    /// Tells the cluster of a node that refuses connections.
    fn report(&self, id: StageId, lane: u64, kind: ErrorKind) {
        let StageKind::Lanes(lanes) = &self.stages.get(id).kind else { return };
        if let Some(node) = lanes.node(lane).filter(|_| kind == ErrorKind::Unavailable)
            && node != self.shared.cluster.view().me
        {
            self.shared.cluster.report(node, false);
        }
    }

    /// Hands results to the client and to the stages that take them.
    fn deliver(&mut self, id: StageId, accepted: Accepted) -> Result<(), Failure> {
        let Accepted {
            mut results,
            partitions,
            reduced,
            skipped,
            stats,
            run,
            effects,
            lost_holder,
        } = accepted;
        if let Some(holder) = lost_holder {
            self.lose_holder(id, holder);
        }
        self.take_effects(effects)?;
        if let Some((run, stats)) = run {
            self.gather(id, run, &stats)?;
        }
        if let Some((node, stats)) = stats {
            if stats.inputs > 0 {
                self.stages.get_mut(id).check.spare();
            }
            self.note(id, node, &stats, skipped)?;
        }
        let graph = Arc::clone(&self.graph);
        let spec = graph.get(id);
        if let Some(left) = self.left.as_mut().filter(|_| spec.is_final()) {
            results.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= results.len() as u64;
        }
        let passed_on = match reduced {
            _ if spec.is_final() || self.gathers_beside(id) => Vec::new(),
            Some(reduced) => reduced,
            None if spec.keep => results.clone(),
            None => std::mem::take(&mut results),
        };
        if spec.keep && !results.is_empty() {
            if partitions.is_empty() {
                self.out.push(spec.phase, results);
            } else {
                let rows = partitions.into_iter().zip(results).collect::<Vec<_>>();
                for rows in rows.chunk_by(|(one, _), (next, _)| one == next) {
                    let values = rows.iter().map(|(_, row)| row.clone()).collect();
                    self.out.push_of(spec.phase, rows[0].0, values);
                }
            }
        }
        let mut left = spec.feeds.len();
        let mut passed_on = Some(passed_on);
        for &fed in &spec.feeds {
            left -= 1;
            let values = if left == 0 { passed_on.take() } else { passed_on.clone() };
            self.feed(fed, spec.phase, values.unwrap_or_default())?;
        }
        Ok(())
    }

    /// Whether the pairs of a stage are gathered where they are made.
    fn gathers_beside(&self, id: StageId) -> bool {
        let nodes = matches!(self.stages.get(id).kind, StageKind::Lanes(_) | StageKind::Groups(_));
        nodes && self.graph.gather(id).is_some()
    }

    /// Takes note of what a page has done, and of the inputs that it left out.
    fn note(
        &mut self,
        id: StageId,
        node: NodeId,
        stats: &PageStats,
        skipped: Vec<Broken>,
    ) -> Result<(), Failure> {
        let name = self.router.name(node);
        self.shared.handle.record(id, &name, stats);
        let Some(last) = skipped.last().cloned() else { return Ok(()) };
        count("mapring_mapred_inputs_skipped_total", skipped.len() as u64);
        let failures = skipped.into_iter().map(|broken| broken_function(broken, &name));
        let all = self.shared.handle.skip(failures);
        match self.query.spec().options.on_error {
            OnError::Skip(most) if all <= most => Ok(()),
            // The one that was too many is what the client is told.
            _ => Err(broken_function(last, &name)),
        }
    }

    /// Whether the client has all that it wants.
    fn has_enough(&self) -> bool {
        self.left == Some(0)
    }

    /// Gives a stage what another has made.
    fn feed(&mut self, id: StageId, from_phase: usize, values: Vec<Row>) -> Result<(), Failure> {
        match &mut self.stages.get_mut(id).kind {
            StageKind::Reduce(reduce) => reduce.push(values),
            StageKind::Gather(gather) => gather.push(values),
            StageKind::Lanes(lanes) => {
                for value in values {
                    lanes.push(inputs::key(from_phase, &value)?, &mut self.router)?;
                }
            }
            StageKind::Groups(_) | StageKind::Echo | StageKind::Dropped => {}
        }
        Ok(())
    }

    /// Does what functions asked for with what was accepted.
    fn take_effects(&mut self, effects: Effects) -> Result<(), Failure> {
        if effects.is_empty() { Ok(()) } else { self.writes.push(effects) }
    }

    /// A node cannot keep the pairs of a stage: others are to.
    fn lose_holder(&mut self, id: StageId, holder: NodeId) {
        self.router.failed(holder);
        let Some(gather) = self.graph.gather(id) else { return };
        if let StageKind::Gather(gather) = &mut self.stages.get_mut(gather).kind {
            gather.view_changed(&self.router);
        }
        self.share_holders();
    }

    /// Takes note of the pairs of a page.
    fn gather(&mut self, id: StageId, run: GatheredRun, stats: &PageStats) -> Result<(), Failure> {
        let Some(gather) = self.graph.gather(id) else { return Ok(()) };
        let name = self.router.name(run.made_by);
        self.shared.handle.record(gather, &name, stats);
        match &mut self.stages.get_mut(gather).kind {
            StageKind::Gather(gather) => gather.accept(run),
            _ => Ok(()),
        }
    }

    /// Takes inputs from the query's own list while the first stage has room.
    fn refill(&mut self) -> Result<(), Failure> {
        let query = self.query.clone();
        while let Some(at) =
            self.next_input_at.filter(|_| self.first_has_room() && !self.has_enough())
        {
            let Some((input, next)) = next_input(&query.spec().inputs, at) else {
                self.next_input_at = None;
                break;
            };
            self.next_input_at = Some(next);
            match &mut self.stages.get_mut(self.graph.entry()).kind {
                StageKind::Lanes(lanes) => lanes.push(input.into_key()?, &mut self.router)?,
                StageKind::Reduce(reduce) => {
                    let terms = reduce.takes_terms();
                    reduce.push([input.into_value(terms)?]);
                }
                StageKind::Gather(gather) => gather.push(vec![input.into_value(false)?]),
                StageKind::Echo => self.echo(input)?,
                StageKind::Groups(_) | StageKind::Dropped => {}
            }
        }
        Ok(())
    }

    /// Answers an input as it is: what a query without phases does.
    fn echo(&mut self, input: Input) -> Result<(), Failure> {
        let value = input.into_value(false)?;
        let result_bytes = value.bytes() as u64;
        let stats = PageStats { inputs: 1, results: 1, result_bytes, ..PageStats::default() };
        self.shared.handle.record(self.graph.entry(), &self.me, &stats);
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        self.out.push_one(value);
        Ok(())
    }

    fn first_has_room(&self) -> bool {
        let first = self.stages.get(self.graph.entry());
        match first.kind {
            StageKind::Echo => self.out.has_room(),
            _ => first.has_room(),
        }
    }
}

/// Asks the stages for something that happened, the last one first. A stage whose results have
/// nowhere to go is not asked.
fn poll_stages(
    graph: &StageGraph,
    stages: &mut ByStage<Stage>,
    (client_has_room, accepts): (bool, bool),
    context: &mut Context<'_>,
) -> Poll<Event> {
    for (id, _) in graph.stages().rev() {
        let has_room = |fed| stages.get(fed).has_room();
        let held_back = graph.is_held_back(id, client_has_room, has_room);
        let stage = stages.get_mut(id);
        if let Poll::Ready(found) = stage.check.poll(context) {
            return Poll::Ready(Event::Checked(id, found));
        }
        if held_back || !accepts {
            continue;
        }
        match &mut stage.kind {
            StageKind::Lanes(lanes) => {
                if let Poll::Ready((lane, step)) = lanes.poll_step(context) {
                    return Poll::Ready(Event::Lane(id, lane, step));
                }
            }
            StageKind::Reduce(reduce) => {
                if let Poll::Ready(step) = reduce.poll_step(context) {
                    return Poll::Ready(Event::Reduce(id, step));
                }
            }
            StageKind::Gather(gather) => {
                if let Poll::Ready(made) = gather.poll(context) {
                    return Poll::Ready(Event::Gathered(id, made));
                }
            }
            StageKind::Groups(groups) => {
                if let Poll::Ready((number, step)) = groups.poll_step(context) {
                    return Poll::Ready(Event::Groups(id, number, step));
                }
            }
            StageKind::Echo | StageKind::Dropped => {}
        }
    }
    Poll::Pending
}

async fn sleep_until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}
