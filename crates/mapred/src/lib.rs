//! MapReduce: the query grammar, the planner, units of work, the coordinator.
//!
//! A query's way: [`grammar`] reads it, or says what is wrong ([`rejection`]); [`admission`] lets it
//! in; [`graph`] makes stages of it; [`coordinator`] plans it and follows its units of work; [`node`]
//! runs the units beside the objects and calls the workers (`mapring_workers`); [`json`] rewrites kept
//! results in Riak's form; [`answer`] collects a plain answer. What goes wrong on the way is a
//! [`failure`]. Rejections and failures are facts, of which a protocol makes its words.
//!
//! Invariants (see `docs/ARCHITECTURE.md`): a page of a unit is accepted whole or not at all, and
//! only once (I4, I5); every queue is bounded (I6).

pub mod json;
pub mod limits;

mod admission;
mod answer;
mod config;
mod coordinator;
mod counters;
mod detail;
mod earlier;
mod explain;
mod failure;
mod fenced;
mod forgetting;
#[cfg(test)]
mod formats;
mod grammar;
mod graph;
mod handle;
mod holders;
mod job;
mod keys;
mod metered;
mod natives;
mod node;
mod objects;
mod outputs;
mod pair;
mod parts;
mod query;
mod registry;
mod rejection;
mod report;
mod results;
mod saved;
mod segments;
mod service;
mod shard;
mod spill;
mod spool;
mod stage_watch;
#[cfg(test)]
mod testing;
mod unit;
mod watched;
mod wire;
mod writing;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mapring_kv::{Executor, Kv};
use mapring_net::{Service, Transport};
use mapring_types::{Clock, Entropy};
use mapring_workers::Workers;

pub use answer::{Answer, is_one_object};
pub use config::MapredConfig;
pub use detail::{CounterDetail, PhaseDetail, QueryDetail, ShardDetail};
pub use earlier::{EarlierJobs, EarlierResults};
pub use failure::{FailedInput, Failure, FailureFacts, FailureKind};
pub use grammar::{QUERY_MEMBERS, Query, json_text, unread_members};
pub use handle::QueryHandle;
pub use job::{CallLimits, Checkpoint, Checkpoints, Control, JobOptions, Retries};
pub use keys::key_form;
pub use mapring_script::{FailureCause, JsonText, LogLevel, LogLine, Priority, Row};
pub use metered::QueryFigures;
pub use rejection::{Rejection, RejectionFacts, RejectionKind};
pub use report::{PhaseReport, QueryId, QueryList, QueryReport};
pub use results::{PhaseResults, Place, Results, Started};
pub use unit::SERVICE;

use query::Engine;
use registry::Shutdown;

/// What a [`MapReduce`] is made of.
#[derive(Clone)]
pub struct Parts {
    /// The key-value store of this node.
    pub kv: Kv,
    /// The way to other nodes.
    pub transport: Arc<dyn Transport>,
    /// Where functions run.
    pub workers: Arc<dyn Workers>,
    /// Where rewriting large results and file work run.
    pub executor: Arc<dyn Executor>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Settings.
    pub config: MapredConfig,
}

/// MapReduce on a node. Cheap to clone.
#[derive(Clone)]
pub struct MapReduce {
    engine: Arc<Engine>,
}

impl MapReduce {
    /// Assembles it; starts nothing.
    pub fn new(parts: Parts) -> Self {
        let Parts { kv, transport, workers, executor, clock: _, entropy, config } = parts;
        let cluster = kv.cluster().clone();
        let objects = Arc::new(kv);
        let engine = Engine::new(objects, cluster, transport, workers, executor, entropy, config);
        Self { engine: Arc::new(engine) }
    }

    /// Has done in the background what is to be done there.
    pub fn work_in_background(&self, workers: &mapring_background::Workers) {
        workers.spawn(forgetting::ForgetPairs(self.engine.node.clone()));
    }

    /// From now on what jobs have given can be the inputs of queries that this node coordinates. Only the
    /// first who is named counts.
    pub fn know_jobs(&self, jobs: Arc<dyn EarlierJobs>) {
        // The others keep the same jobs.
        let _ = self.engine.node.earlier.set(jobs);
    }

    /// What peers call.
    pub fn service(&self) -> Arc<dyn Service> {
        self.engine.service()
    }

    /// Starts a query. Its time runs from now on.
    ///
    /// # Errors
    /// A rejection when a phase names a built-in that does not exist.
    pub async fn start(&self, query: Query) -> Result<Started, Rejection> {
        self.engine.start(query)
    }

    /// Starts a query as a job, at once: whoever runs jobs sees to it that few run at a time.
    ///
    /// # Errors
    /// As [`MapReduce::start`].
    pub async fn start_job(&self, query: Query, options: JobOptions) -> Result<Started, Rejection> {
        self.engine.start_job(query, options)
    }

    /// Has the pairs forgotten that a job has gathered until a checkpoint ([`Checkpoint::bytes`]): nobody is
    /// to go on from it any more. Those that are not told forget them by themselves.
    pub async fn forget_pairs(&self, checkpoint: &[u8]) {
        self.engine.forget_pairs(checkpoint).await;
    }

    /// Has these pairs kept, while the job waits to go on. Never ends.
    pub async fn keep_pairs(&self, checkpoint: bytes::Bytes) -> std::convert::Infallible {
        self.engine.keep_pairs(checkpoint).await
    }

    /// Whether a query could be started.
    ///
    /// # Errors
    /// As [`MapReduce::start`].
    pub fn check(&self, query: &Query) -> Result<(), Rejection> {
        natives::check(query)
    }

    /// The plan of a query as JSON: what it would do, without doing it.
    ///
    /// # Errors
    /// A rejection when a phase names a built-in that does not exist; inside, the failure when no
    /// plan can be made now.
    pub async fn explain(&self, query: &Query) -> Result<Result<String, Failure>, Rejection> {
        self.engine.explain(query).await
    }

    /// What each shard of a query would work on, in order, without running it.
    ///
    /// # Errors
    /// A rejection when a phase names a built-in that does not exist; inside, the failure when the
    /// inputs cannot be divided now.
    pub async fn shards(&self, query: &Query) -> Result<Result<Vec<String>, Failure>, Rejection> {
        self.engine.shards(query).await
    }

    /// Runs a query to its end and gives the plain answer of fact R66.
    ///
    /// # Errors
    /// The failure.
    pub async fn collect(&self, query: &Query, started: Started) -> Result<Answer, Failure> {
        self.engine.collect(query, started).await
    }

    /// The plain answer that results make which a query has given, now or before.
    ///
    /// # Errors
    /// That with which the results end, or that there is no room for the answer.
    pub async fn answer(&self, query: &Query, results: Results) -> Result<Answer, Failure> {
        self.engine.answer(query, results).await
    }

    /// The queries that the members of the cluster coordinate.
    pub async fn queries(&self) -> QueryList {
        self.engine.queries().await
    }

    /// What a query has done so far, wherever it is coordinated; `None` when it is not under way.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when the node that coordinates it cannot be asked.
    pub async fn query(&self, id: QueryId) -> mapring_types::Result<Option<QueryReport>> {
        self.engine.show(id).await
    }

    /// Ends a query, wherever it is coordinated; returns whether it was under way. Its client gets
    /// an error that says so.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when the node that coordinates it cannot be asked.
    pub async fn end(&self, id: QueryId) -> mapring_types::Result<bool> {
        self.engine.end(id).await
    }

    /// Begins a stop: queries that wait for their turn on this node fail at once, and so do those
    /// that come; those that run go on.
    pub fn finish(&self) {
        self.engine.stop(Shutdown::Draining);
    }

    /// Ends the queries that still run on this node, each with an error for its client that says
    /// why, and refuses units of other nodes' queries, which go on elsewhere. Returns how many queries
    /// it ended.
    pub fn end_all(&self) -> usize {
        self.engine.stop(Shutdown::Complete)
    }

    /// How long the oldest query that this node coordinates has been under way.
    pub fn oldest_query(&self) -> std::time::Duration {
        self.engine.oldest()
    }

    /// Units of work that run on this node now.
    pub fn units_in_flight(&self) -> u64 {
        self.engine.node.units.load(Ordering::Relaxed)
    }

    /// Streams of units of work that this node serves now.
    pub fn lanes(&self) -> u64 {
        self.engine.node.lanes.load(Ordering::Relaxed)
    }

    /// Queries that wait for their turn on this node.
    pub fn queries_waiting(&self) -> u64 {
        self.engine.admission.waiting()
    }

    /// Figures of the last minute and since the start, as Riak tells them.
    pub fn figures(&self) -> QueryFigures {
        self.engine.figures()
    }

    /// Queries that this node coordinates now.
    pub fn queries_running(&self) -> u64 {
        self.engine.running.load(Ordering::Relaxed)
    }
}
