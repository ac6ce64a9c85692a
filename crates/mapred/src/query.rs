//! A query's way through its node, from `start` to the last result.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use futures::{StreamExt, stream};
use mapring_cluster::{Cluster, View};
use mapring_kv::window::Tally;
use mapring_kv::{Executor, executor};
use mapring_net::{Call, Class, Service, Transport};
use mapring_script::{CallContext, JsonText, Part, QueryTag, Row};
use mapring_shuffle::Store;
use mapring_types::{Entropy, Error, NodeId, Result as KvResult, Versioned as _};
use mapring_workers::Workers;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::admission::Admission;
use crate::answer::{Answer, Answers};
use crate::config::MapredConfig;
use crate::coordinator::{self, Coordinator, Nodes, Shared};
use crate::failure::Failure;
use crate::fenced::Fenced;
use crate::grammar::{ObjectsSpec, Output, Query, Target};
use crate::graph::StageGraph;
use crate::handle::QueryHandle;
use crate::job::JobOptions;
use crate::metered::{self, Counted, QueryFigures, count};
use crate::node::{EndOnDrop, Node, NodePermits, Roots};
use crate::objects::Objects;
use crate::outputs::{Aside, CustomWriter, Outputs};
use crate::registry::{Registry, Shutdown};
use crate::rejection::Rejection;
use crate::report::{QueryId, QueryList, QueryReport};
use crate::results::{PhaseResults, Results, Started};
use crate::saved::{Saved, wrong};
use crate::service::{End, List, MapReduceService, Show};
use crate::spill::Spill;
use crate::wire::{self, Sent};
use crate::{explain, json, limits, natives, pair};

/// What [`crate::MapReduce`] stands for.
pub(crate) struct Engine {
    pub(crate) node: Arc<Node>,
    /// Queries that are coordinated now.
    pub(crate) running: Arc<AtomicU64>,
    /// Queries that began to be coordinated.
    begun: Tally,
    /// Queries that ended before.
    failed_to_begin: Tally,
    registry: Arc<Registry>,
    transport: Arc<dyn Transport>,
    executor: Arc<dyn Executor>,
    entropy: Arc<dyn Entropy>,
    answers: Answers,
    spill: Arc<Spill>,
    pub(crate) admission: Admission,
}

impl Engine {
    pub(crate) fn new(
        objects: Arc<dyn Objects>,
        cluster: Arc<dyn Cluster>,
        transport: Arc<dyn Transport>,
        workers: Arc<dyn Workers>,
        executor: Arc<dyn Executor>,
        entropy: Arc<dyn Entropy>,
        config: MapredConfig,
    ) -> Self {
        metered::describe();
        let (units_at_once, page_inputs) = (config.units_at_once, config.page_inputs as u64);
        // Nobody can say that a job still wants what is found before enough nodes are back.
        let pairs = Store::new(config.pairs(), limits::FOUND_PAIRS_WAIT);
        let node = Node {
            objects,
            cluster,
            workers,
            units_at_once,
            permits: NodePermits::default(),
            page_inputs,
            page_pairs_bytes: config.page_pairs_bytes,
            pairs_held: AtomicUsize::default(),
            pairs,
            roots: Roots::new(),
            forgotten: Mutex::default(),
            begun: Instant::now(),
            transport: transport.clone(),
            executor: executor.clone(),
            earlier: OnceLock::new(),
            units: Arc::default(),
            lanes: Arc::default(),
        };
        let admission = Admission::new(config.concurrent_queries);
        let (node, running, registry) = (Arc::new(node), Arc::default(), Arc::default());
        let spill = Spill::new(config, executor.clone());
        let answers = Answers::new(spill.clone());
        let (begun, failed_to_begin) = (Tally::default(), Tally::default());
        Self {
            node,
            running,
            begun,
            failed_to_begin,
            registry,
            transport,
            executor,
            entropy,
            answers,
            spill,
            admission,
        }
    }

    pub(crate) fn figures(&self) -> QueryFigures {
        QueryFigures {
            begun: self.begun.counted(),
            failed_to_begin: self.failed_to_begin.counted(),
            running: self.running.load(Ordering::Relaxed),
            units_in_flight: self.node.units.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn service(&self) -> Arc<dyn Service> {
        Arc::new(MapReduceService { node: self.node.clone(), registry: self.registry.clone() })
    }

    pub(crate) fn start(self: &Arc<Self>, query: Query) -> Result<Started, Rejection> {
        self.begin(query, None)
    }

    pub(crate) fn start_job(
        self: &Arc<Self>,
        query: Query,
        options: JobOptions,
    ) -> Result<Started, Rejection> {
        self.begin(query, Some(Arc::new(options)))
    }

    fn begin(
        self: &Arc<Self>,
        query: Query,
        job: Option<Arc<JobOptions>>,
    ) -> Result<Started, Rejection> {
        natives::check(&query)?;
        let most = match &job {
            Some(job) => job.timeout.unwrap_or(limits::LONGEST_JOB).min(limits::LONGEST_JOB),
            None => query.timeout(),
        };
        let deadline = Instant::now() + most;
        // Objects have them already.
        let Output { text_values, target } = query.output();
        let as_text = *text_values && matches!(target, Target::Answer(_));
        let handle = self.enlist(query.clone(), job.as_deref());
        let (sender, receiver) = mpsc::channel(1);
        let (engine, shown) = (self.clone(), handle.clone());
        let complete = Arc::new(AtomicBool::new(false));
        let completed = complete.clone();
        // Before its id is told: whoever has the id may show the query, and end it.
        let listed = self.registry.enter(handle.clone());
        let task = mapring_net::task::spawn(async move {
            let ended = tokio::select! {
                biased;
                failure = shown.ended() => Err(failure),
                ended = engine.run(query, job, deadline, shown.clone(), sender.clone()) => ended,
            };
            drop(listed);
            completed.store(ended.is_ok(), Ordering::Release);
            if let Err(failure) = ended {
                count("mapring_mapred_queries_failed_total", 1);
                engine.failed_to_begin.add(u64::from(!shown.is_admitted()));
                let failure = shown.named(failure);
                tracing::info!(query = %shown.id, %failure, "a query failed");
                // An error means that the client has gone.
                let _ = sender.send(Err(failure)).await;
            }
        });
        let state = Some((receiver, EndOnDrop(task)));
        let results = stream::unfold(state, move |state| {
            let complete = complete.clone();
            async move {
                let (mut receiver, task) = state?;
                let next: Result<PhaseResults, Failure> = match receiver.recv().await {
                    Some(next) => next,
                    None if complete.load(Ordering::Acquire) => return None,
                    // Whatever ended it, what has come is not all.
                    None => return Some((Err(Failure::broken_off("the query broke off")), None)),
                };
                let goes_on = next.is_ok();
                Some((next, goes_on.then_some((receiver, task))))
            }
        });
        let executor = self.executor.clone();
        let encoded = results.then(move |results| {
            let executor = executor.clone();
            async move {
                let PhaseResults { phase, values, .. } = results?;
                Ok(PhaseResults::new(phase, encode(&executor, values, as_text).await?))
            }
        });
        Ok(Started { results: encoded.boxed(), handle })
    }

    pub(crate) async fn explain(
        &self,
        query: &Query,
    ) -> Result<Result<String, Failure>, Rejection> {
        natives::check(query)?;
        let view = self.node.cluster.view();
        let planned = explain::explain(query, &view, self.node.objects.as_ref());
        let in_time = tokio::time::timeout(query.timeout(), planned).await;
        Ok(in_time.unwrap_or_else(|_| Err(Failure::timeout())))
    }

    fn enlist(&self, query: Query, job: Option<&JobOptions>) -> Arc<QueryHandle> {
        let view = self.node.cluster.view();
        let id = QueryId { node: view.me, number: self.entropy.next_u64() };
        let member = view.state.members.get(&view.me);
        let name = member.map_or_else(|| view.me.to_string(), |member| member.name.clone());
        let graph = StageGraph::of(query.spec());
        let handle = QueryHandle::new(id, name, query, graph);
        Arc::new(match job {
            Some(job) => handle.of_job(job.id.clone()),
            None => handle,
        })
    }

    async fn run(
        &self,
        query: Query,
        job: Option<Arc<JobOptions>>,
        deadline: Instant,
        handle: Arc<QueryHandle>,
        results: mpsc::Sender<Result<PhaseResults, Failure>>,
    ) -> Result<(), Failure> {
        let prepared = async {
            // Jobs have had their turn when they come here.
            let permit = match job {
                Some(_) => None,
                None => Some(self.admission.enter().await?),
            };
            let phases = coordinator::resolve(&query, self.node.objects.as_ref()).await?;
            Ok((permit, phases))
        };
        let in_time = tokio::time::timeout_at(deadline, prepared).await;
        let (_permit, phases) = in_time.unwrap_or_else(|_| Err(Failure::timeout()))?;
        handle.admit();
        let _counted = Counted::new(&self.running, "mapring_mapred_queries_running");
        count("mapring_mapred_queries_total", 1);
        self.begun.add(1);
        let shared = self.shared(&query, handle, deadline, job.as_deref());
        // Functions are called here, too.
        let _held = job.as_ref().map(|job| shared.workers.hold(shared.query, job.call_terms()));
        let resume = job.as_ref().and_then(|job| job.resume.as_ref());
        let saved = resume.map(|bytes| Saved::of_query(bytes, &query.spec().text));
        let saved = saved.transpose()?;
        let Target::Objects(spec) = &query.output().target else {
            let resumes = saved.is_some();
            let coordinator = Coordinator::new(shared, query, &phases, saved, results)?;
            let former = resumes.then(|| coordinator.former_pairs());
            if let Some(former) = former {
                former.check().await?;
            }
            return coordinator.of_job(job).run().await.map(drop);
        };
        let custom = custom_writer(&query, spec, &shared).await?;
        let (view, objects) = (shared.cluster.view(), shared.objects.clone());
        let handle = shared.handle.clone();
        let outputs =
            Outputs::begin(&query, spec, &view, objects, handle, &self.spill, deadline).await;
        let mut outputs = outputs?.by(custom);
        let (sender, receiver) = mpsc::channel(1);
        let (handle, before) = (shared.handle.clone(), saved.as_ref().map(|saved| saved.rows));
        let aside = job.as_ref().and_then(|job| job.checkpoints.clone());
        if aside.is_none() && before.is_some_and(|rows| rows > 0) {
            return Err(wrong("counts results that were put aside, and nobody has them").into());
        }
        let aside = aside.map(|kept| Aside::new(kept, handle, before.unwrap_or(0)));
        let coordinator = Coordinator::new(shared, query.clone(), &phases, saved, sender)?;
        let former = before.map(|_| coordinator.former_pairs());
        if let Some(former) = former {
            former.check().await?;
        }
        let control = job.as_ref().map(|job| job.control.clone());
        let running = coordinator.of_job(job).run();
        let (shards, ()) = futures::try_join!(running, outputs.fill(receiver, aside))?;
        outputs.store(shards, control, &results).await
    }

    /// Has the pairs forgotten that a checkpoint names.
    pub(crate) async fn forget_pairs(&self, checkpoint: &[u8]) {
        if let Some((nodes, queries)) = self.pairs_of(checkpoint) {
            nodes.forget(&queries).await;
        }
    }

    /// Has the pairs kept that a checkpoint names, for as long as this is waited for.
    pub(crate) async fn keep_pairs(&self, checkpoint: Bytes) -> Infallible {
        let named = self.pairs_of(&checkpoint);
        // Very many may wait so.
        drop(checkpoint);
        loop {
            match &named {
                Some((nodes, queries)) => nodes.keep(queries).await,
                None => std::future::pending().await,
            }
            tokio::time::sleep(limits::KEEP_PAIRS).await;
        }
    }

    /// The queries whose pairs a checkpoint names, if there are some, and who may have them.
    fn pairs_of(&self, checkpoint: &[u8]) -> Option<(Nodes, BTreeSet<QueryTag>)> {
        let saved = Saved::decode(checkpoint);
        let saved =
            saved.inspect_err(|error| tracing::debug!(%error, "pairs are not looked after"));
        let queries = saved.ok()?.queries();
        let nodes = || Nodes::new(self.node.cluster.clone(), self.transport.clone());
        (!queries.is_empty()).then(|| (nodes(), queries))
    }

    /// What the parts of a query's coordination use.
    fn shared(
        &self,
        query: &Query,
        handle: Arc<QueryHandle>,
        deadline: Instant,
        job: Option<&JobOptions>,
    ) -> Shared {
        let objects = self.node.objects.clone();
        Shared {
            query: handle.id.number,
            deadline,
            cluster: self.node.cluster.clone(),
            transport: self.transport.clone(),
            workers: self.node.workers.clone(),
            objects: match job {
                Some(job) => Arc::new(Fenced { objects, control: job.control.clone() }),
                None => objects,
            },
            context: CallContext {
                job: handle.job_id(),
                seed: handle.seed(),
                name: query.spec().name.clone(),
                params: query.spec().params.clone(),
                ..CallContext::default()
            },
            terms: job.map(JobOptions::lane_terms),
            node: self.node.clone(),
            handle,
        }
    }

    /// What each shard of a query would work on.
    pub(crate) async fn shards(
        &self,
        query: &Query,
    ) -> Result<Result<Vec<String>, Failure>, Rejection> {
        natives::check(query)?;
        let deadline = Instant::now() + query.timeout();
        let shared = self.shared(query, self.enlist(query.clone(), None), deadline, None);
        let divided = coordinator::shards(shared, query.clone());
        let in_time = tokio::time::timeout_at(deadline, divided).await;
        Ok(in_time.unwrap_or_else(|_| Err(Failure::timeout())))
    }

    pub(crate) async fn collect(&self, query: &Query, started: Started) -> Result<Answer, Failure> {
        let Started { results, handle } = started;
        let answer = self.answers.collect(query, results).await?;
        Ok(if handle.wants_profile() { answer.with_profile(&handle.profile()) } else { answer })
    }

    /// The plain answer that results make.
    pub(crate) async fn answer(&self, query: &Query, results: Results) -> Result<Answer, Failure> {
        self.answers.collect(query, results).await
    }

    /// The queries of the whole cluster.
    pub(crate) async fn queries(&self) -> QueryList {
        let view = self.node.cluster.view();
        let (queries, left_out) = self.registry.reports();
        let mut list = QueryList { queries, left_out, ..QueryList::default() };
        let others = view.state.members.iter().filter(|(node, _)| **node != view.me);
        let asked = others.map(|(&node, member)| {
            let asking = self.ask(&view, node, List);
            async move { (member.name.clone(), asking.await) }
        });
        for (name, told) in join_all(asked).await {
            match told {
                Ok((queries, left_out)) => {
                    list.queries.extend(queries);
                    list.left_out += left_out;
                }
                Err(error) => {
                    tracing::debug!(%error, node = name, "a node did not tell its queries");
                    list.unreachable.push(name);
                }
            }
        }
        list.queries.sort_by_key(|report| std::cmp::Reverse(report.age_ms));
        list
    }

    /// What a query has done so far, wherever it is coordinated; `None` when it is not under way.
    pub(crate) async fn show(&self, id: QueryId) -> KvResult<Option<QueryReport>> {
        let view = self.node.cluster.view();
        if id.node == view.me {
            return Ok(self.registry.report(id.number));
        }
        if !view.state.members.contains_key(&id.node) {
            return Ok(None);
        }
        self.ask(&view, id.node, Show(id.number)).await
    }

    /// Ends a query, wherever it is coordinated; returns whether it was under way.
    pub(crate) async fn end(&self, id: QueryId) -> KvResult<bool> {
        let view = self.node.cluster.view();
        if id.node == view.me {
            return Ok(self.registry.end(id.number));
        }
        if !view.state.members.contains_key(&id.node) {
            return Ok(false);
        }
        self.ask(&view, id.node, End(id.number)).await
    }

    async fn ask<C>(&self, view: &View, node: NodeId, call: C) -> KvResult<C::Answer>
    where
        C: Call<Answer: Sent> + Sent,
    {
        let peer = view.peer(node).ok_or_else(|| Error::unavailable("the node is no member"))?;
        let (method, version) = (C::method(), wire::version_at(view.state.release()));
        let body = wire::encode(version, &call)?;
        let patience = limits::TELL_PATIENCE;
        let answer = self.transport.call(&peer, Class::Foreground, method, body, patience).await?;
        wire::decode(&answer)
    }

    /// Goes on with the node's shutdown. Returns how many queries that ends.
    pub(crate) fn stop(&self, shutdown: Shutdown) -> usize {
        self.registry.stop(shutdown)
    }

    /// How long the oldest query of this node has been under way.
    pub(crate) fn oldest(&self) -> Duration {
        self.registry.oldest()
    }
}

/// The writer that a query has for its outputs.
async fn custom_writer(
    query: &Query,
    spec: &ObjectsSpec,
    shared: &Shared,
) -> Result<Option<CustomWriter>, Failure> {
    let Some(code) = &spec.writer else { return Ok(None) };
    let phase = query.spec().phases.len().saturating_sub(1);
    let function = coordinator::part(phase, Part::Writer, code, shared.objects.as_ref()).await?;
    let workers = shared.workers.clone();
    Ok(Some(CustomWriter::new(workers, shared.query, phase, &shared.context, function)))
}

/// Rewrites values in Riak's form, those of pairs as texts where that is asked for; off the reactor when there is much to do.
async fn encode(
    executor: &Arc<dyn Executor>,
    values: Vec<Row>,
    as_text: bool,
) -> Result<Vec<Row>, Failure> {
    let bytes: usize = values.iter().map(Row::bytes).sum();
    if bytes <= limits::INLINE_BYTES {
        return Ok(rewrite_all(values, as_text));
    }
    let values = Arc::new(Mutex::new(values));
    let shared = values.clone();
    let work = move || Ok(rewrite_all(std::mem::take(&mut *shared.lock()), as_text));
    match executor::run(executor.as_ref(), work).await {
        Ok(rewritten) => Ok(rewritten),
        Err(error) => match std::mem::take(&mut *values.lock()) {
            lost if lost.is_empty() => Err(Failure::from(error)),
            // No room in the executor's queue: better here than not at all.
            untouched => Ok(rewrite_all(untouched, as_text)),
        },
    }
}

fn rewrite_all(values: Vec<Row>, as_text: bool) -> Vec<Row> {
    let rewritten = |row| match if as_text { pair::with_text_value(row) } else { row } {
        Row::Value(text) => Row::Value(rewrite(text)),
        Row::Pair(text) => Row::Pair(rewrite(text)),
    };
    values.into_iter().map(rewritten).collect()
}

fn rewrite(text: JsonText) -> JsonText {
    match json::encode(&text.0) {
        Cow::Borrowed(_) => text,
        Cow::Owned(text) => JsonText(text),
    }
}
