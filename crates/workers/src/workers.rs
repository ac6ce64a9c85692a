//! What MapReduce asks of whoever runs functions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mapring_script::{
    CombineError, Combined, MapInput, PhaseFunction, QueryTag, ReduceTiming, Row, ScriptError,
    ScriptLimits,
};
use tokio::time::Instant;

/// Runs functions for this node's queries. Calls queue rather than fail when all workers are busy,
/// so that queries share them fairly. Dropping a future withdraws its call; a call that runs already is ended
/// with its worker.
#[async_trait]
pub trait Workers: Send + Sync + 'static {
    /// Calls the function on the inputs; the outer list answers them one by one. It may end before
    /// the inputs do, after at least one, when the results have become large: the caller asks again
    /// for the rest. `phase` is the phase's number: calls of a query's later phases are served first.
    ///
    /// # Errors
    /// The first failure, with its input's number.
    async fn map(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        inputs: Vec<MapInput>,
    ) -> Result<Vec<Vec<Row>>, ScriptError>;

    /// As [`Workers::map`], and how long the functions took without the wait for a worker: what the
    /// size of the next call is chosen by. Under load the wait says nothing about the function.
    async fn map_timed(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        inputs: Vec<MapInput>,
    ) -> (Result<Vec<Vec<Row>>, ScriptError>, Duration) {
        let began = Instant::now();
        let results = self.map(query, phase, function, inputs).await;
        (results, began.elapsed())
    }

    /// Calls a map function on the inputs and a reduce function on the results in one go, so that
    /// these stay where they are; and how long that took without the wait for a worker. `None` where
    /// that cannot be, or went wrong in a way that only the functions apart can tell of.
    async fn combine(
        &self,
        _query: QueryTag,
        _phase: usize,
        _map: &Arc<PhaseFunction>,
        _reduce: &Arc<PhaseFunction>,
        _inputs: &[MapInput],
    ) -> Option<(Result<Combined, CombineError>, Duration)> {
        None
    }

    /// Makes a function without calling it, for a phase that has no inputs. Where functions are only
    /// made when they are called, nothing is found.
    ///
    /// # Errors
    /// When it cannot be made: its source does not parse or is no function, its name is not defined.
    async fn check(
        &self,
        _query: QueryTag,
        _phase: usize,
        _function: &Arc<PhaseFunction>,
    ) -> Result<(), ScriptError> {
        Ok(())
    }

    /// Begins a reduce.
    ///
    /// # Errors
    /// When the function cannot be made.
    async fn reduce(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        timing: ReduceTiming,
    ) -> Result<Box<dyn Reduce>, ScriptError>;

    /// The limits that functions run under.
    fn limits(&self) -> ScriptLimits;
}

/// One reduce under way. Dropping it ends it.
#[async_trait]
pub trait Reduce: Send {
    /// Takes more inputs and makes the calls that they complete.
    ///
    /// # Errors
    /// When a call fails; the reduce is then over.
    async fn push(&mut self, inputs: Vec<Row>) -> Result<(), ScriptError>;

    /// Makes the last call where one is due and returns the results.
    ///
    /// # Errors
    /// When a call fails.
    async fn finish(self: Box<Self>) -> Result<Vec<Row>, ScriptError>;
}
