//! Functions in worker processes, one a core or so, and built-ins in this process.
//!
//! A call waits for a free worker (queries in turn, see [`crate::queue`]; later phases of a query first),
//! then has it to itself until it is answered.
//! A worker that takes too long, grows too large or ends is killed and replaced in the background,
//! and the call fails with the cause. A reduce holds its worker while it is fed; between feeds it
//! gives the worker up as soon as somebody waits for one, and goes on from its state as text.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mapring_script::protocol::{Request, Response};
use mapring_script::{
    CallContext, CombineError, Combined, CombinedGroups, Combiner, FailureCause, Group, Grouping,
    MapInput, Mapped, MappedPairs, PhaseFunction, QueryTag, ReduceState, ReduceTiming, ScriptError,
    ScriptLimits, Values, native as built_in,
};
use mapring_types::Result;
use tokio::time::Instant;

use crate::config::ProcessConfig;
use crate::failure::{CallFailure, unexpected};
use crate::jail::SandboxStatus;
use crate::map::MapCall;
use crate::native::Natives;
use crate::pool::Pool;
use crate::reduce;
use crate::stream::{NativeStream, ProcessStream};
use crate::terms::{CallTerms, Terms};
use crate::workers::{GroupStream, Reduce, Workers};

/// The worker processes of a node. Must be used within the tokio runtime that started it.
pub struct ProcessWorkers {
    pub(crate) pool: Arc<Pool>,
    pub(crate) natives: Arc<Natives>,
}

impl ProcessWorkers {
    /// Starts the processes and waits for the first.
    ///
    /// # Errors
    /// `Internal` when none can be started.
    pub async fn start(config: ProcessConfig) -> Result<Arc<Self>> {
        describe_metrics();
        let natives = Arc::new(Natives::new(config.workers));
        let pool = Pool::start(config).await?;
        Ok(Arc::new(Self { pool, natives }))
    }

    /// The ids of the worker processes that there are now.
    pub fn processes(&self) -> Vec<u32> {
        self.pool.processes()
    }

    /// How the processes are jailed.
    pub fn sandbox(&self) -> SandboxStatus {
        self.pool.sandbox()
    }

    /// Calls that wait for a worker now.
    pub fn calls_waiting(&self) -> usize {
        self.pool.calls_waiting()
    }

    /// Ends all calls and all processes.
    pub async fn shutdown(&self) {
        self.pool.shutdown().await;
    }

    /// What a reduce begins with.
    fn begin(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        context: &Arc<CallContext>,
        timing: ReduceTiming,
    ) -> reduce::Start {
        reduce::Start {
            pool: Arc::clone(&self.pool),
            natives: Arc::clone(&self.natives),
            query,
            phase,
            function: Arc::clone(function),
            context: Arc::clone(context),
            timing,
        }
    }
}

#[async_trait]
impl Workers for ProcessWorkers {
    async fn map(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        context: &Arc<CallContext>,
        inputs: Vec<MapInput>,
    ) -> Result<Mapped, ScriptError> {
        self.map_timed(query, phase, function, context, inputs).await.0
    }

    async fn map_timed(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        context: &Arc<CallContext>,
        inputs: Vec<MapInput>,
    ) -> (Result<Mapped, ScriptError>, Duration) {
        if built_in::runs(function) {
            let began = Instant::now();
            if built_in::is_only_here(function) {
                return (self.natives.map(query, function, inputs).await, began.elapsed());
            }
            // Where it fails JavaScript decides.
            if let Ok(results) = self.natives.map(query, function, inputs.clone()).await {
                return (Ok(results), began.elapsed());
            }
        }
        let pool = &self.pool;
        let mut map = MapCall { pool, query, phase, function, context, busy: Duration::ZERO };
        let mapped = map.run(inputs).await;
        (mapped, map.busy)
    }

    async fn map_pairs(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        grouping: &Arc<Grouping>,
        context: &Arc<CallContext>,
        inputs: Vec<MapInput>,
    ) -> (Result<MappedPairs, CombineError>, Duration) {
        let began = Instant::now();
        match self.native_pairs(function, grouping, &inputs).await {
            Some(pairs) => (pairs.map_err(CombineError::Map), began.elapsed()),
            None => self.process_pairs((query, phase), function, grouping, context, inputs).await,
        }
    }

    async fn combine_groups(
        &self,
        query: QueryTag,
        phase: usize,
        combiner: &Arc<Combiner>,
        context: &Arc<CallContext>,
        groups: Vec<Group>,
    ) -> Result<CombinedGroups, ScriptError> {
        if built_in::is_job(&combiner.function) {
            let combiner = Arc::clone(combiner);
            return self.natives.run(move || built_in::combine_groups(&combiner, &groups)).await?;
        }
        self.process_combine((query, phase), combiner, context, groups).await
    }

    async fn reduce_groups(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        values: Values,
        context: &Arc<CallContext>,
        groups: Vec<Group>,
    ) -> Result<Mapped, ScriptError> {
        if built_in::is_job(function) {
            let function = Arc::clone(function);
            return self.natives.run(move || built_in::reduce_groups(&function, &groups)).await?;
        }
        self.process_reduce((query, phase), function, values, context, groups).await
    }

    async fn reduce_stream(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        context: &Arc<CallContext>,
        key: Bytes,
    ) -> Result<Box<dyn GroupStream>, ScriptError> {
        if built_in::is_job(function) {
            return Ok(Box::new(NativeStream::begin(function, key)?));
        }
        let call = (query, phase);
        Ok(Box::new(ProcessStream::begin(&self.pool, call, function, context, key).await?))
    }

    async fn combine(
        &self,
        query: QueryTag,
        phase: usize,
        map: &Arc<PhaseFunction>,
        reduce: &Arc<PhaseFunction>,
        context: &Arc<CallContext>,
        inputs: &[MapInput],
    ) -> Option<(Result<Combined, CombineError>, Duration)> {
        // What runs in this process needs no worker, nor the way to one.
        if built_in::runs(map) || built_in::runs(reduce) {
            return None;
        }
        let request = Request::Combine {
            query,
            function: PhaseFunction::clone(map),
            context: CallContext::clone(context),
            inputs: inputs.to_vec(),
            reduce: PhaseFunction::clone(reduce),
        };
        let mut lease = match self.pool.acquire(query, phase).await {
            Ok(lease) => lease,
            Err(error) => return Some((Err(CombineError::Map(error)), Duration::ZERO)),
        };
        let began = Instant::now();
        let outcome = match lease.call(&request).await {
            Ok(Response::Combined(combined)) if combined.inputs == 0 => return None,
            Ok(Response::Combined(combined)) => Ok(combined),
            Ok(Response::ReduceFailed(error)) => Err(CombineError::Reduce(error)),
            Ok(_) => Err(CombineError::Map(unexpected())),
            Err(CallFailure::Failed(error)) => Err(CombineError::Map(error)),
            Err(CallFailure::Ended(error)) if error.input.is_some() => {
                Err(CombineError::Map(error))
            }
            // Two functions take more memory than one, and of which it was is not known.
            Err(CallFailure::Ended(_) | CallFailure::Lost(_)) => return None,
        };
        Some((outcome, began.elapsed()))
    }

    async fn check(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
    ) -> Result<(), ScriptError> {
        if built_in::runs(function) {
            return Ok(());
        }
        // A reduce makes its function when it begins, in the same way as a map does. This goes on by
        // itself: a query that has failed meanwhile must not cost its worker.
        let begun = self.begin(query, phase, function, &Arc::default(), ReduceTiming::AtEnd);
        let made = tokio::spawn(async move { begun.process(ReduceState::default()).await });
        let lost =
            |error| ScriptError::new(FailureCause::Worker, format!("not looked at: {error}"));
        made.await.map_err(lost)?.map(drop)
    }

    async fn reduce(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        context: &Arc<CallContext>,
        timing: ReduceTiming,
    ) -> Result<Box<dyn Reduce>, ScriptError> {
        let start = self.begin(query, phase, function, context, timing);
        if built_in::runs(function) {
            return Ok(Box::new(start.native().await?));
        }
        Ok(Box::new(start.process(ReduceState::default()).await?))
    }

    fn hold(&self, query: QueryTag, terms: CallTerms) -> Terms {
        self.pool.hold(query, terms);
        Terms::of(&self.pool, query)
    }

    fn limits(&self) -> ScriptLimits {
        self.pool.limits()
    }
}

fn describe_metrics() {
    metrics::describe_gauge!("mapring_script_workers", "script worker processes that are alive");
    metrics::describe_gauge!("mapring_script_workers_busy", "script workers with a call or reduce");
    metrics::describe_gauge!("mapring_script_calls_waiting", "calls that wait for a script worker");
    metrics::describe_histogram!(
        "mapring_script_wait_seconds",
        "how long calls waited for a worker process, or built-ins for a thread, by where"
    );
    metrics::describe_counter!("mapring_script_calls_total", "requests to functions, by where");
    metrics::describe_counter!(
        "mapring_script_worker_kills_total",
        "script workers ended, by cause"
    );
    metrics::describe_counter!("mapring_script_worker_starts_total", "script workers started");
    metrics::describe_counter!(
        "mapring_script_reduces_suspended_total",
        "reduces put aside for others"
    );
}
