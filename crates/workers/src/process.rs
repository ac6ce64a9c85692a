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
use mapring_script::limits::BATCH_RESULT_BYTES;
use mapring_script::protocol::{Request, Response};
use mapring_script::{
    CombineError, Combined, FailureCause, MapInput, PhaseFunction, QueryTag, ReduceState,
    ReduceTiming, Row, ScriptError, ScriptLimits, native as built_in,
};
use mapring_types::Result;
use tokio::time::Instant;

use crate::config::ProcessConfig;
use crate::failure::{CallFailure, unexpected};
use crate::native::{Natives, is_erlang};
use crate::parts::parts;
use crate::pool::{Lease, Pool};
use crate::reduce;
use crate::workers::{Reduce, Workers};

/// The worker processes of a node. Must be used within the tokio runtime that started it.
pub struct ProcessWorkers {
    pool: Arc<Pool>,
    natives: Arc<Natives>,
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
        timing: ReduceTiming,
    ) -> reduce::Start {
        reduce::Start {
            pool: Arc::clone(&self.pool),
            natives: Arc::clone(&self.natives),
            query,
            phase,
            function: Arc::clone(function),
            timing,
        }
    }

    /// Calls the function on the inputs of one request.
    async fn map_parts(
        &self,
        query: QueryTag,
        phase: usize,
        function: &PhaseFunction,
        inputs: Vec<MapInput>,
        busy: &mut Duration,
    ) -> Result<Vec<Vec<Row>>, ScriptError> {
        let mut results = Vec::with_capacity(inputs.len());
        for part in parts(inputs, |input| input.record.as_ref().map_or(0, |record| record.len())) {
            let (before, count) = (results.len(), part.len());
            let failed = |error: ScriptError| ScriptError {
                input: error.input.and_then(|at| at.checked_add(u32::try_from(before).ok()?)),
                ..error
            };
            let mapped = self.map_part(query, phase, function, part, busy).await;
            results.extend(mapped.map_err(failed)?);
            if results.len() < before + count {
                break;
            }
        }
        Ok(results)
    }

    async fn map_part(
        &self,
        query: QueryTag,
        phase: usize,
        function: &PhaseFunction,
        inputs: Vec<MapInput>,
        busy: &mut Duration,
    ) -> Result<Vec<Vec<Row>>, ScriptError> {
        let count = inputs.len();
        let request = Request::Map { query, function: function.clone(), inputs };
        let mut lease = self.pool.acquire(query, phase).await?;
        let began = Instant::now();
        let outcome = lease.call(&request).await;
        *busy += began.elapsed();
        match outcome {
            Ok(response) => mapped(response, count),
            Err(CallFailure::Failed(error) | CallFailure::Ended(error)) => Err(error),
            Err(CallFailure::Lost(error)) if count == 1 && error.cause == FailureCause::Stack => {
                Err(error.at(0))
            }
            // The process has ended and could not say in which call: one by one it shows. Inputs
            // that were only too much together, or after others, come through this way.
            Err(CallFailure::Lost(_)) => {
                drop(lease);
                let Request::Map { inputs, .. } = request else { return Ok(Vec::new()) };
                self.map_singly(query, phase, function, inputs).await
            }
        }
    }

    async fn map_singly(
        &self,
        query: QueryTag,
        phase: usize,
        function: &PhaseFunction,
        inputs: Vec<MapInput>,
    ) -> Result<Vec<Vec<Row>>, ScriptError> {
        let mut lease: Option<Lease> = None;
        let mut results = Vec::with_capacity(inputs.len());
        let mut bytes = 0;
        for (at, input) in inputs.into_iter().enumerate() {
            if bytes >= BATCH_RESULT_BYTES {
                break;
            }
            let mut own = match lease.take() {
                Some(lease) => lease,
                None => self.pool.acquire(query, phase).await?,
            };
            let function = function.clone();
            let request = Request::Map { query, function, inputs: vec![input] };
            let response = own.call(&request).await.map_err(|failure| {
                let error = failure.into_error();
                ScriptError { input: u32::try_from(at).ok(), ..error }
            })?;
            for result in mapped(response, 1)? {
                bytes += result.iter().map(Row::bytes).sum::<usize>();
                results.push(result);
            }
            lease = Some(own);
        }
        Ok(results)
    }
}

#[async_trait]
impl Workers for ProcessWorkers {
    async fn map(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        inputs: Vec<MapInput>,
    ) -> Result<Vec<Vec<Row>>, ScriptError> {
        self.map_timed(query, phase, function, inputs).await.0
    }

    async fn map_timed(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        inputs: Vec<MapInput>,
    ) -> (Result<Vec<Vec<Row>>, ScriptError>, Duration) {
        let mut busy = Duration::ZERO;
        if built_in::runs(function) {
            let began = Instant::now();
            if is_erlang(function) {
                return (self.natives.map(query, function, inputs).await, began.elapsed());
            }
            // Where it fails JavaScript decides.
            if let Ok(results) = self.natives.map(query, function, inputs.clone()).await {
                return (Ok(results), began.elapsed());
            }
        }
        let results = self.map_parts(query, phase, function, inputs, &mut busy).await;
        (results, busy)
    }

    async fn combine(
        &self,
        query: QueryTag,
        phase: usize,
        map: &Arc<PhaseFunction>,
        reduce: &Arc<PhaseFunction>,
        inputs: &[MapInput],
    ) -> Option<(Result<Combined, CombineError>, Duration)> {
        // What runs in this process needs no worker, nor the way to one.
        if built_in::runs(map) || built_in::runs(reduce) {
            return None;
        }
        let request = Request::Combine {
            query,
            function: PhaseFunction::clone(map),
            inputs: inputs.to_vec(),
            reduce: PhaseFunction::clone(reduce),
        };
        let mut lease = match self.pool.acquire(query, phase).await {
            Ok(lease) => lease,
            Err(error) => return Some((Err(CombineError::Map(error)), Duration::ZERO)),
        };
        let began = Instant::now();
        let outcome = match lease.call(&request).await {
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
        let begun = self.begin(query, phase, function, ReduceTiming::AtEnd);
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
        timing: ReduceTiming,
    ) -> Result<Box<dyn Reduce>, ScriptError> {
        let start = self.begin(query, phase, function, timing);
        if built_in::runs(function) {
            return Ok(Box::new(start.native().await?));
        }
        Ok(Box::new(start.process(ReduceState::default()).await?))
    }

    fn limits(&self) -> ScriptLimits {
        self.pool.limits()
    }
}

fn mapped(response: Response, count: usize) -> Result<Vec<Vec<Row>>, ScriptError> {
    match response {
        Response::Mapped(results) if (1..=count).contains(&results.len()) => Ok(results),
        _ => Err(unexpected()),
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
