//! A query's way through its node, from `start` to the last result.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures::{StreamExt, stream};
use mapring_cluster::Cluster;
use mapring_kv::{Executor, executor};
use mapring_net::{Service, Transport};
use mapring_script::JsonText;
use mapring_types::Entropy;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::admission::Admission;
use crate::answer::{Answer, Answers};
use crate::coordinator::{self, Coordinator, Shared};
use crate::failure::{Failure, Rejection};
use crate::grammar::Query;
use crate::metered::{self, Counted, count};
use crate::node::{EndOnDrop, LaneService, Node, NodeTurns};
use crate::objects::Objects;
use crate::workers::Workers;
use crate::{MapredConfig, PhaseResults, Results, json, limits, natives};

/// What [`crate::MapReduce`] stands for.
pub(crate) struct Engine {
    pub(crate) node: Arc<Node>,
    /// Queries that are coordinated now.
    pub(crate) running: Arc<AtomicU64>,
    transport: Arc<dyn Transport>,
    executor: Arc<dyn Executor>,
    entropy: Arc<dyn Entropy>,
    answers: Answers,
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
        let (units, lanes) = (Arc::default(), Arc::default());
        let turns = NodeTurns::default();
        let node =
            Node { objects, cluster, workers, units_at_once, turns, page_inputs, units, lanes };
        let admission = Admission::new(config.concurrent_queries);
        let (node, running) = (Arc::new(node), Arc::default());
        let answers = Answers::new(config, executor.clone());
        Self { node, running, transport, executor, entropy, answers, admission }
    }

    pub(crate) fn service(&self) -> Arc<dyn Service> {
        Arc::new(LaneService(self.node.clone()))
    }

    pub(crate) fn start(self: &Arc<Self>, query: Query) -> Result<Results, Rejection> {
        natives::check(&query)?;
        let deadline = Instant::now() + query.timeout();
        let (sender, receiver) = mpsc::channel(1);
        let engine = self.clone();
        let task = mapring_net::task::spawn(async move {
            let ended = engine.run(query, deadline, sender.clone()).await;
            if let Err(failure) = ended {
                count("mapring_queries_failed_total", 1);
                tracing::info!(failure = failure.body, "a query failed");
                // An error means that the client has gone.
                let _ = sender.send(Err(failure)).await;
            }
        });
        let state = (receiver, EndOnDrop(task));
        let results = stream::unfold(state, |(mut receiver, task)| async move {
            let next: Result<PhaseResults, Failure> = receiver.recv().await?;
            Some((next, (receiver, task)))
        });
        let executor = self.executor.clone();
        let encoded = results.then(move |results| {
            let executor = executor.clone();
            async move {
                let PhaseResults { phase, values } = results?;
                Ok(PhaseResults { phase, values: encode(&executor, values).await? })
            }
        });
        Ok(encoded.boxed())
    }

    async fn run(
        &self,
        query: Query,
        deadline: Instant,
        results: mpsc::Sender<Result<PhaseResults, Failure>>,
    ) -> Result<(), Failure> {
        let prepared = async {
            let place = self.admission.enter().await?;
            let phases = coordinator::resolve(&query, self.node.objects.as_ref()).await?;
            Ok((place, phases))
        };
        let in_time = tokio::time::timeout_at(deadline, prepared).await;
        let (_place, phases) = in_time.unwrap_or_else(|_| Err(Failure::timeout()))?;
        let _counted = Counted::new(&self.running, "mapring_queries_running");
        count("mapring_queries_total", 1);
        let shared = Shared {
            query: self.entropy.next_u64(),
            deadline,
            cluster: self.node.cluster.clone(),
            transport: self.transport.clone(),
            workers: self.node.workers.clone(),
            objects: self.node.objects.clone(),
        };
        Coordinator::new(shared, query, phases, results)?.run().await
    }

    pub(crate) async fn collect(&self, query: &Query, results: Results) -> Result<Answer, Failure> {
        self.answers.collect(query, results).await
    }
}

/// Rewrites values in Riak's form, off the reactor when there is much to do.
async fn encode(
    executor: &Arc<dyn Executor>,
    values: Vec<JsonText>,
) -> Result<Vec<JsonText>, Failure> {
    let bytes: usize = values.iter().map(|value| value.0.len()).sum();
    if bytes <= limits::INLINE_BYTES {
        return Ok(rewrite_all(values));
    }
    let values = Arc::new(Mutex::new(values));
    let shared = values.clone();
    let work = move || Ok(rewrite_all(std::mem::take(&mut *shared.lock())));
    match executor::run(executor.as_ref(), work).await {
        Ok(rewritten) => Ok(rewritten),
        Err(error) => match std::mem::take(&mut *values.lock()) {
            lost if lost.is_empty() => Err(Failure::query(error)),
            // No room in the executor's queue: better here than not at all.
            untouched => Ok(rewrite_all(untouched)),
        },
    }
}

fn rewrite_all(values: Vec<JsonText>) -> Vec<JsonText> {
    values.into_iter().map(rewrite).collect()
}

fn rewrite(value: JsonText) -> JsonText {
    match json::encode(&value.0) {
        std::borrow::Cow::Borrowed(_) => value,
        std::borrow::Cow::Owned(text) => JsonText(text),
    }
}
