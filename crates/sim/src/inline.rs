//! Built-ins only, in this process and without threads of their own: for simulation, where no
//! process and no clock may come in between.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mapring_kv::Executor;
use mapring_kv::executor::run;
use mapring_script::native::{self, NativeRuntime};
use mapring_script::{
    CallContext, CombineError, FailureCause, Grouping, MapInput, Mapped, MappedPairs,
    PhaseFunction, QueryTag, ReduceState, ReduceTiming, Reduced, Row, Runtime, ScriptError,
    ScriptLimits,
};
use mapring_workers::{Reduce, Workers};

/// Runs built-ins through an executor. JavaScript fails with [`FailureCause::Undefined`], but for
/// the named functions that are built in.
pub(crate) struct InlineWorkers {
    executor: Arc<dyn Executor>,
    limits: ScriptLimits,
}

impl InlineWorkers {
    /// Workers that say to have the given limits, and keep to none.
    pub(crate) fn new(executor: Arc<dyn Executor>, limits: ScriptLimits) -> Self {
        Self { executor, limits }
    }
}

/// Runs work through the executor; its own failures are those of the worker.
async fn through<T: Send + 'static>(
    executor: &dyn Executor,
    work: impl FnOnce() -> Result<T, ScriptError> + Send + 'static,
) -> Result<T, ScriptError> {
    let failed =
        |error: mapring_types::Error| ScriptError::new(FailureCause::Worker, error.to_string());
    run(executor, move || Ok(work())).await.map_err(failed)?
}

#[async_trait]
impl Workers for InlineWorkers {
    async fn map(
        &self,
        query: QueryTag,
        _phase: usize,
        function: &Arc<PhaseFunction>,
        _context: &Arc<CallContext>,
        inputs: Vec<MapInput>,
    ) -> Result<Mapped, ScriptError> {
        let function = Arc::clone(function);
        let work = move || NativeRuntime::new().map(query, &function, inputs);
        let results = through(self.executor.as_ref(), work).await?;
        Ok(Mapped { results, ..Mapped::default() })
    }

    async fn map_pairs(
        &self,
        _query: QueryTag,
        _phase: usize,
        function: &Arc<PhaseFunction>,
        grouping: &Arc<Grouping>,
        _context: &Arc<CallContext>,
        inputs: Vec<MapInput>,
    ) -> (Result<MappedPairs, CombineError>, Duration) {
        let (function, grouping) = (Arc::clone(function), Arc::clone(grouping));
        let work = move || native::map_pairs(&function, &grouping, &inputs);
        let pairs = through(self.executor.as_ref(), work).await;
        (pairs.map_err(CombineError::Map), Duration::ZERO)
    }

    async fn reduce(
        &self,
        query: QueryTag,
        _phase: usize,
        function: &Arc<PhaseFunction>,
        _context: &Arc<CallContext>,
        timing: ReduceTiming,
    ) -> Result<Box<dyn Reduce>, ScriptError> {
        let function = Arc::clone(function);
        let open = move || {
            let mut runtime = NativeRuntime::new();
            runtime.reduce_open(query, &function, timing, ReduceState::default())?;
            Ok(runtime)
        };
        let runtime = through(self.executor.as_ref(), open).await?;
        Ok(Box::new(InlineReduce { executor: Arc::clone(&self.executor), runtime: Some(runtime) }))
    }

    fn limits(&self) -> ScriptLimits {
        self.limits
    }
}

struct InlineReduce {
    executor: Arc<dyn Executor>,
    /// `None` when a call has failed.
    runtime: Option<NativeRuntime>,
}

fn over() -> ScriptError {
    ScriptError::new(FailureCause::Worker, "the reduce is over")
}

#[async_trait]
impl Reduce for InlineReduce {
    async fn push(&mut self, inputs: Vec<Row>) -> Result<(), ScriptError> {
        let mut runtime = self.runtime.take().ok_or_else(over)?;
        let push = move || runtime.reduce_push(inputs).map(|()| runtime);
        self.runtime = Some(through(self.executor.as_ref(), push).await?);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Reduced, ScriptError> {
        let mut runtime = self.runtime.take().ok_or_else(over)?;
        let results = through(self.executor.as_ref(), move || runtime.reduce_finish()).await?;
        Ok(Reduced { results, ..Reduced::default() })
    }
}

#[cfg(test)]
mod tests {
    use mapring_script::{Binary, Function};

    use super::*;

    fn phase(function: Function) -> Arc<PhaseFunction> {
        Arc::new(PhaseFunction { function, arg: None, binary: Binary::default() })
    }

    #[tokio::test]
    async fn built_ins_run_and_javascript_does_not() {
        let executor = Arc::new(mapring_kv::executor::Inline);
        let workers = InlineWorkers::new(executor, ScriptLimits::default());
        let sum = phase(Function::Named("Riak.reduceSum".to_owned()));
        let mut reduce =
            workers.reduce(1, 1, &sum, &Arc::default(), ReduceTiming::Every(20)).await.unwrap();
        reduce.push(vec![Row::value("1"), Row::value("2")]).await.unwrap();
        assert_eq!(reduce.finish().await.unwrap().results, [Row::value("3")]);
        let source = phase(Function::Source("function(v){return []}".to_owned()));
        let error = workers
            .reduce(1, 1, &source, &Arc::default(), ReduceTiming::AtEnd)
            .await
            .err()
            .unwrap();
        assert_eq!(error.cause, FailureCause::Undefined);
    }
}
