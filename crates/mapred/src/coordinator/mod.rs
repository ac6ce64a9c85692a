//! The side of MapReduce that took the request: it plans, follows units over failures, reduces, and
//! gives the client its results as they come.
//!
//! One task a query. It waits in one place ([`Coordinator::next`]) and decides in another
//! ([`Coordinator::apply`]). Nothing is taken from a phase while the phase after it, or the client,
//! has no room; later phases are asked first: so every queue is bounded and none can wait for
//! another in a circle.

mod build;
mod check;
mod lane;
mod reduce;
mod router;
mod stage;

pub(crate) use build::resolve;

use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use mapring_cluster::{Cluster, View};
use mapring_net::Transport;
use mapring_ring::Coverage;
use mapring_script::{QueryTag, Row, ScriptError};
use mapring_types::{ErrorKind, NodeId, Result as KvResult};
use mapring_workers::Workers;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::PhaseResults;
use crate::failure::{Failure, Report};
use crate::grammar::{Inputs, KeyInput, OnError, Query};
use crate::handle::{PageStats, QueryHandle};
use crate::metered::count;
use crate::objects::Objects;
use crate::unit::Broken;
use crate::{keys, limits};
use check::Check;
use lane::Step;
use reduce::{ReduceStage, Reduced};
use router::{PlanRequest, Router};
use stage::{Accepted, LaneStage, broken_function};

/// What every part of a query's coordination uses.
pub(crate) struct Shared {
    pub(crate) query: QueryTag,
    pub(crate) deadline: Instant,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) workers: Arc<dyn Workers>,
    pub(crate) objects: Arc<dyn Objects>,
    /// Where the query's progress is shown.
    pub(crate) handle: Arc<QueryHandle>,
}

/// A query under way.
pub(crate) struct Coordinator {
    shared: Shared,
    /// This node's name.
    me: String,
    query: Query,
    router: Router,
    stages: Vec<Stage>,
    /// Where to go on in the query's own list of inputs; `None` when all are taken.
    next_input_at: Option<usize>,
    /// Kept results that the client has not taken, …
    out: VecDeque<PhaseResults>,
    /// … and how many bytes they have.
    out_bytes: usize,
    /// How many more results of the last phase the client wants; `None` for all.
    left: Option<u64>,
    results: mpsc::Sender<Result<PhaseResults, Failure>>,
    changes: watch::Receiver<Arc<View>>,
    /// Finding complete replicas, under way.
    planning: Option<BoxFuture<'static, (PlanRequest, KvResult<Coverage>)>>,
    /// When a node that is left alone may be asked again.
    wake: Option<Instant>,
}

/// A phase under way.
struct Stage {
    phase: usize,
    keep: bool,
    /// Whether another phase takes its results.
    forward: bool,
    over: bool,
    check: Check,
    kind: StageKind,
}

enum StageKind {
    Lanes(Box<LaneStage>),
    Reduce(ReduceStage),
}

/// What a coordinator waits for.
enum Event {
    Deadline,
    /// The client takes the oldest results.
    Sent,
    /// The client has gone.
    Gone,
    Lane(usize, u64, Step),
    Reduce(usize, Result<Reduced, ScriptError>),
    /// Whether a phase's function is one.
    Checked(usize, Result<(), ScriptError>),
    Planned(PlanRequest, KvResult<Coverage>),
    View,
    /// The node leaves its cluster.
    Stopping,
    Wake,
}

impl Coordinator {
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
            self.stages.clear();
            self.planning = None;
            return Ok(!self.out.is_empty());
        }
        self.refill()?;
        let mut inputs_ended = self.next_input_at.is_none();
        for (index, stage) in self.stages.iter_mut().enumerate() {
            match &mut stage.kind {
                StageKind::Lanes(lanes) => {
                    let wake = lanes.dispatch(&self.shared, &self.router);
                    self.wake = [self.wake, wake].into_iter().flatten().min();
                    let idle = inputs_ended && lanes.is_idle();
                    // The first phase finds out by its first input, if there is one.
                    if idle || index > 0 {
                        match lanes.function() {
                            Some(function) => {
                                stage.check.begin(&self.shared, stage.phase, &function)
                            }
                            None => stage.check.spare(),
                        }
                    }
                    stage.over = idle && stage.check.is_over();
                }
                StageKind::Reduce(reduce) => {
                    if index > 0 {
                        stage.check.begin(&self.shared, stage.phase, &reduce.function());
                    }
                    reduce.advance(&self.shared, inputs_ended);
                    stage.over = reduce.is_over();
                }
            }
            inputs_ended = stage.over;
        }
        if self.planning.is_none() {
            let request = self.router.request();
            self.planning = request.map(|request| plan(self.shared.objects.clone(), request));
        }
        Ok(!inputs_ended || !self.out.is_empty())
    }

    /// Waits for the next thing that happens.
    async fn next(&mut self) -> Event {
        let client_has_room = self.client_has_room();
        let (stages, out, planning) = (&mut self.stages, &mut self.out, &mut self.planning);
        let waits = !out.is_empty();
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(self.shared.deadline) => Event::Deadline,
            room = self.results.reserve(), if waits => match (room, out.pop_front()) {
                (Ok(room), Some(oldest)) => {
                    self.out_bytes -= oldest.bytes();
                    room.send(Ok(oldest));
                    Event::Sent
                }
                _ => Event::Gone,
            },
            event = poll_fn(|context| poll_stages(stages, client_has_room, context)) => event,
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
            Event::Lane(index, lane, step) => {
                if let Step::Unreachable(error) = &step {
                    self.report(index, lane, error.kind());
                }
                let Some(Stage { kind: StageKind::Lanes(stage), .. }) = self.stages.get_mut(index)
                else {
                    return Ok(());
                };
                let accepted = stage.apply(lane, step, &mut self.router)?;
                self.deliver(index, accepted)
            }
            Event::Reduce(index, step) => {
                let Some(Stage { phase, kind: StageKind::Reduce(stage), .. }) =
                    self.stages.get_mut(index)
                else {
                    return Ok(());
                };
                let phase = *phase;
                let (results, mut stats) = stage.apply(step, &self.me)?;
                stats.results = results.len() as u64;
                stats.result_bytes = results.iter().map(|row| row.bytes() as u64).sum();
                self.shared.handle.record(phase, &self.me, &stats);
                self.deliver(index, Accepted { results, ..Accepted::default() })
            }
            Event::Checked(index, found) => {
                let phase = self.stages.get(index).map_or(0, |stage| stage.phase);
                let failed =
                    |error: ScriptError| Report::script(&error).phase(phase).node(&self.me);
                found.map_err(|error| failed(error).into())
            }
            Event::Planned(request, coverage) => {
                self.planning = None;
                self.router.planned(&request, coverage.map_err(Failure::query)?);
                for stage in &mut self.stages {
                    if let StageKind::Lanes(lanes) = &mut stage.kind {
                        lanes.assign(&mut self.router);
                    }
                }
                Ok(())
            }
            Event::View => {
                let view = self.changes.borrow_and_update().clone();
                self.router.set_view(view);
                for stage in &mut self.stages {
                    if let StageKind::Lanes(lanes) = &mut stage.kind {
                        lanes.view_changed(&mut self.router)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Tells the cluster of a node that refuses connections.
    fn report(&self, index: usize, lane: u64, kind: ErrorKind) {
        let Some(Stage { kind: StageKind::Lanes(stage), .. }) = self.stages.get(index) else {
            return;
        };
        if let Some(node) = stage.node(lane).filter(|_| kind == ErrorKind::Unavailable)
            && node != self.shared.cluster.view().me
        {
            self.shared.cluster.report(node, false);
        }
    }

    /// Hands results to the client and to the next phase.
    fn deliver(&mut self, index: usize, accepted: Accepted) -> Result<(), Failure> {
        let Accepted { mut results, reduced, skipped, stats } = accepted;
        let Some(stage) = self.stages.get_mut(index) else { return Ok(()) };
        let (phase, keep, forward) = (stage.phase, stage.keep, stage.forward);
        if let Some((node, stats)) = stats {
            if stats.inputs > 0 {
                stage.check.spare();
            }
            let lists = matches!(&stage.kind, StageKind::Lanes(lanes) if lanes.lists_keys());
            self.note((phase, lists), node, &stats, skipped)?;
        }
        if let Some(left) = self.left.as_mut().filter(|_| !forward) {
            results.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= results.len() as u64;
        }
        let passed_on = match (forward, reduced, keep) {
            (false, _, _) => Vec::new(),
            (true, Some(reduced), _) => reduced,
            (true, None, true) => results.clone(),
            (true, None, false) => {
                return self.pass_on(index + 1, phase, results);
            }
        };
        if keep && !results.is_empty() {
            self.keep(phase, results);
        }
        self.pass_on(index + 1, phase, passed_on)
    }

    /// Takes note of what a page has done, and of the inputs that it left out.
    fn note(
        &mut self,
        (phase, lists): (usize, bool),
        node: NodeId,
        stats: &PageStats,
        skipped: Vec<Broken>,
    ) -> Result<(), Failure> {
        let name = self.router.name(node);
        if lists {
            self.shared.handle.record_listing(&name, stats);
        } else {
            self.shared.handle.record(phase, &name, stats);
        }
        let Some(last) = skipped.last().cloned() else { return Ok(()) };
        count("mapring_mapred_inputs_skipped_total", skipped.len() as u64);
        let failures = skipped.into_iter().map(|broken| broken_function(broken, &name, true));
        let all = self.shared.handle.skip(failures);
        match self.query.spec().options.on_error {
            OnError::Skip(most) if all <= most => Ok(()),
            // The one that was too many is what the client is told.
            _ => Err(broken_function(last, &name, false)),
        }
    }

    /// Whether the client has all that it wants.
    fn has_enough(&self) -> bool {
        self.left == Some(0)
    }

    fn keep(&mut self, phase: usize, values: Vec<Row>) {
        count("mapring_mapred_results_total", values.len() as u64);
        let mut batch = PhaseResults { phase, values: Vec::new() };
        let mut bytes = 0;
        for value in values {
            bytes += value.bytes();
            batch.values.push(value);
            if bytes >= limits::RESULTS_BYTES {
                let full = PhaseResults { phase, values: std::mem::take(&mut batch.values) };
                self.put_out(full, bytes);
                bytes = 0;
            }
        }
        if !batch.values.is_empty() {
            self.put_out(batch, bytes);
        }
    }

    fn put_out(&mut self, batch: PhaseResults, bytes: usize) {
        count("mapring_mapred_result_bytes_total", bytes as u64);
        self.out_bytes += bytes;
        self.out.push_back(batch);
    }

    fn client_has_room(&self) -> bool {
        self.out.len() < limits::RESULTS_AHEAD && self.out_bytes < limits::RESULTS_AHEAD_BYTES
    }

    fn pass_on(
        &mut self,
        index: usize,
        from_phase: usize,
        values: Vec<Row>,
    ) -> Result<(), Failure> {
        let Some(stage) = self.stages.get_mut(index) else { return Ok(()) };
        match &mut stage.kind {
            StageKind::Reduce(reduce) => reduce.push(values),
            StageKind::Lanes(lanes) => {
                for value in values {
                    let Some(input) = keys::parse(&value) else {
                        return Err(no_key(from_phase, &value));
                    };
                    lanes.push(input, &mut self.router)?;
                }
            }
        }
        Ok(())
    }

    /// Takes inputs from the query's own list while the first phase has room.
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
            match (self.stages.first_mut().map(|stage| &mut stage.kind), input) {
                (Some(StageKind::Lanes(lanes)), Input::Key(input)) => {
                    lanes.push(input, &mut self.router)?;
                }
                (Some(StageKind::Lanes(lanes)), Input::Value(value)) => {
                    let input = keys::parse(&value).ok_or_else(|| no_key(0, &value))?;
                    lanes.push(input, &mut self.router)?;
                }
                (Some(StageKind::Reduce(reduce)), input) => {
                    let terms = reduce.takes_terms();
                    reduce.push([input.into_value(terms)?]);
                }
                (None, input) => self.give_back(input.into_value(false)?),
            }
        }
        Ok(())
    }

    /// Answers an input as it is: what a query without phases does.
    fn give_back(&mut self, value: Row) {
        let stats = PageStats {
            inputs: 1,
            results: 1,
            result_bytes: value.bytes() as u64,
            ..PageStats::default()
        };
        self.shared.handle.record(0, &self.me, &stats);
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        match self.out.back_mut() {
            Some(last) if last.values.len() < limits::BATCH_INPUTS => {
                self.out_bytes += value.bytes();
                last.values.push(value);
            }
            _ => self.keep(0, vec![value]),
        }
    }

    fn first_has_room(&self) -> bool {
        match self.stages.first() {
            Some(stage) => stage.has_room(),
            None => self.client_has_room(),
        }
    }
}

impl Stage {
    fn has_room(&self) -> bool {
        match &self.kind {
            StageKind::Lanes(lanes) => lanes.has_room(),
            StageKind::Reduce(reduce) => reduce.has_room(),
        }
    }
}

/// Asks the stages for something that happened, the last one first. A stage whose results have
/// nowhere to go is not asked.
fn poll_stages(
    stages: &mut [Stage],
    client_has_room: bool,
    context: &mut Context<'_>,
) -> Poll<Event> {
    let mut next_has_room = true;
    for (index, stage) in stages.iter_mut().enumerate().rev() {
        if let Poll::Ready(found) = stage.check.poll(context) {
            return Poll::Ready(Event::Checked(index, found));
        }
        let held_back = (stage.forward && !next_has_room) || (stage.keep && !client_has_room);
        if !held_back {
            match &mut stage.kind {
                StageKind::Lanes(lanes) => {
                    if let Poll::Ready((lane, step)) = lanes.poll_step(context) {
                        return Poll::Ready(Event::Lane(index, lane, step));
                    }
                }
                StageKind::Reduce(reduce) => {
                    if let Poll::Ready(step) = reduce.poll_step(context) {
                        return Poll::Ready(Event::Reduce(index, step));
                    }
                }
            }
        }
        next_has_room = stage.has_room();
    }
    Poll::Pending
}

/// One of the inputs that a query itself has.
enum Input {
    Key(KeyInput),
    Value(Row),
}

impl Input {
    fn into_value(self, term: bool) -> Result<Row, Failure> {
        let value = match self {
            Self::Key(input) if term => keys::to_term(&input),
            Self::Key(input) => keys::to_row(&input),
            Self::Value(value) => Ok(value),
        };
        value.map_err(|error| Failure::phase(0, error))
    }
}

/// The input at a place, and the place of the next one.
fn next_input(inputs: &Inputs, at: usize) -> Option<(Input, usize)> {
    match inputs {
        Inputs::Scan(_) | Inputs::BadFilter(_) => None,
        Inputs::Keys(list) => list.read(at).map(|(input, next)| (Input::Key(input), next)),
        Inputs::Values(values) => {
            values.get(at).map(|value| (Input::Value(Row::Value(value)), at + 1))
        }
    }
}

/// Finds a complete replica of every partition: on nodes that have not failed this query, or if
/// there is no other way on those as well, after a while.
fn plan(
    objects: Arc<dyn Objects>,
    request: PlanRequest,
) -> BoxFuture<'static, (PlanRequest, KvResult<Coverage>)> {
    Box::pin(async move {
        if request.again {
            tokio::time::sleep(limits::RETRY_BACKOFF).await;
        }
        let without: BTreeSet<NodeId> = request.failures.keys().copied().collect();
        let first = objects.coverage(request.n_val, &without).await;
        if first.is_ok() || without.is_empty() {
            return (request, first);
        }
        tokio::time::sleep(limits::RETRY_BACKOFF).await;
        let second = objects.coverage(request.n_val, &BTreeSet::new()).await;
        (request, second)
    })
}

async fn planned(
    planning: &mut Option<BoxFuture<'static, (PlanRequest, KvResult<Coverage>)>>,
) -> (PlanRequest, KvResult<Coverage>) {
    match planning {
        Some(planning) => planning.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

fn no_key(phase: usize, value: &Row) -> Failure {
    let words = "a result is no input for the phase that follows: it takes [bucket, key], \
                 [bucket, key, keydata] or [bucket, key, keydata, type]";
    Report::new(words).phase(phase).input(value.text()).kind("bad_input").into()
}
