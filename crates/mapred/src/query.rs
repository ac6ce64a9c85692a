//! A query's way through its node, from `start` to the last result.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use mapring_cluster::{Cluster, View};
use mapring_kv::{Executor, executor};
use mapring_net::{Call, Class, Service, Transport};
use mapring_script::{CallContext, JsonText, Row};
use mapring_shuffle::{Store, StoreConfig};
use mapring_types::{Entropy, Error, NodeId, Result as KvResult};
use mapring_workers::Workers;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::admission::Admission;
use crate::answer::{Answer, Answers};
use crate::config::MapredConfig;
use crate::coordinator::{self, Coordinator, Shared};
use crate::failure::Failure;
use crate::grammar::{Output, Query, Target};
use crate::graph::StageGraph;
use crate::handle::QueryHandle;
use crate::metered::{self, Counted, count};
use crate::node::{EndOnDrop, Node, NodePermits};
use crate::objects::Objects;
use crate::outputs::Outputs;
use crate::registry::{Registry, Shutdown};
use crate::rejection::Rejection;
use crate::report::{QueryId, QueryList, QueryReport};
use crate::results::{PhaseResults, Started};
use crate::service::{End, List, MapReduceService, Show};
use crate::spill::Spill;
use crate::wire::{self, Sent};
use crate::{explain, json, limits, natives, pair};

/// What [`crate::MapReduce`] stands for.
pub(crate) struct Engine {
    pub(crate) node: Arc<Node>,
    /// Queries that are coordinated now.
    pub(crate) running: Arc<AtomicU64>,
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
        let pairs = Store::new(StoreConfig {
            memory_bytes: config.shuffle_memory_bytes,
            disk_bytes: config.shuffle_disk_bytes,
            directory: config.spill_dir.clone(),
        });
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
            forgotten: Mutex::default(),
            begun: Instant::now(),
            transport: transport.clone(),
            executor: executor.clone(),
            units: Arc::default(),
            lanes: Arc::default(),
        };
        let admission = Admission::new(config.concurrent_queries);
        let (node, running, registry) = (Arc::new(node), Arc::default(), Arc::default());
        let spill = Spill::new(config, executor.clone());
        let answers = Answers::new(spill.clone());
        Self { node, running, registry, transport, executor, entropy, answers, spill, admission }
    }

    pub(crate) fn service(&self) -> Arc<dyn Service> {
        Arc::new(MapReduceService { node: self.node.clone(), registry: self.registry.clone() })
    }

    pub(crate) fn start(self: &Arc<Self>, query: Query) -> Result<Started, Rejection> {
        natives::check(&query)?;
        let deadline = Instant::now() + query.timeout();
        // Objects have them already.
        let Output { text_values, target } = query.output();
        let as_text = *text_values && matches!(target, Target::Answer(_));
        let handle = self.enlist(query.clone());
        let (sender, receiver) = mpsc::channel(1);
        let (engine, shown) = (self.clone(), handle.clone());
        let complete = Arc::new(AtomicBool::new(false));
        let completed = complete.clone();
        let task = mapring_net::task::spawn(async move {
            let listed = engine.registry.enter(shown.clone());
            let ended = tokio::select! {
                biased;
                failure = shown.ended() => Err(failure),
                ended = engine.run(query, deadline, shown.clone(), sender.clone()) => ended,
            };
            drop(listed);
            completed.store(ended.is_ok(), Ordering::Release);
            if let Err(failure) = ended {
                count("mapring_mapred_queries_failed_total", 1);
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
                let PhaseResults { phase, partition, values } = results?;
                Ok(PhaseResults {
                    phase,
                    partition,
                    values: encode(&executor, values, as_text).await?,
                })
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

    fn enlist(&self, query: Query) -> Arc<QueryHandle> {
        let view = self.node.cluster.view();
        let id = QueryId { node: view.me, number: self.entropy.next_u64() };
        let member = view.state.members.get(&view.me);
        let name = member.map_or_else(|| view.me.to_string(), |member| member.name.clone());
        let graph = StageGraph::of(query.spec());
        Arc::new(QueryHandle::new(id, name, query, graph))
    }

    async fn run(
        &self,
        query: Query,
        deadline: Instant,
        handle: Arc<QueryHandle>,
        results: mpsc::Sender<Result<PhaseResults, Failure>>,
    ) -> Result<(), Failure> {
        let prepared = async {
            let permit = self.admission.enter().await?;
            let phases = coordinator::resolve(&query, self.node.objects.as_ref()).await?;
            Ok((permit, phases))
        };
        let in_time = tokio::time::timeout_at(deadline, prepared).await;
        let (_permit, phases) = in_time.unwrap_or_else(|_| Err(Failure::timeout()))?;
        handle.admit();
        let _counted = Counted::new(&self.running, "mapring_mapred_queries_running");
        count("mapring_mapred_queries_total", 1);
        let shared = Shared {
            query: handle.id.number,
            deadline,
            cluster: self.node.cluster.clone(),
            transport: self.transport.clone(),
            workers: self.node.workers.clone(),
            objects: self.node.objects.clone(),
            context: CallContext {
                job: handle.id.to_string(),
                seed: handle.id.number,
                name: query.spec().name.clone(),
                params: query.spec().params.clone(),
                ..CallContext::default()
            },
            node: self.node.clone(),
            handle,
        };
        let Target::Objects(spec) = &query.output().target else {
            return Coordinator::new(shared, query, &phases, results)?.run().await;
        };
        let (view, objects) = (shared.cluster.view(), shared.objects.clone());
        let handle = shared.handle.clone();
        let outputs =
            Outputs::begin(&query, spec, &view, objects, handle, &self.spill, deadline).await;
        let mut outputs = outputs?;
        let (sender, receiver) = mpsc::channel(1);
        let running = Coordinator::new(shared, query.clone(), &phases, sender)?.run();
        futures::try_join!(running, outputs.fill(receiver))?;
        outputs.store(&results).await
    }

    pub(crate) async fn collect(&self, query: &Query, started: Started) -> Result<Answer, Failure> {
        let Started { results, handle } = started;
        let answer = self.answers.collect(query, results).await?;
        Ok(if handle.wants_profile() { answer.with_profile(&handle.profile()) } else { answer })
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
