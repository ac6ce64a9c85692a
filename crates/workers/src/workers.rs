//! What MapReduce asks of whoever runs functions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mapring_script::{
    CallContext, CombineError, Combined, CombinedGroups, Combiner, FailureCause, Group, Grouping,
    JsonText, MapInput, Mapped, MappedPairs, PhaseFunction, QueryTag, ReduceTiming, Reduced, Row,
    SavedReduce, ScriptError, ScriptLimits, Values, native,
};

use tokio::time::Instant;

use crate::stream::NativeStream;
use crate::terms::{CallTerms, Terms};

/// Runs functions for this node's queries. Calls queue rather than fail when all workers are busy,
/// so that queries share them fairly. Dropping a future withdraws its call; a call that runs already is ended
/// with its worker.
#[async_trait]
pub trait Workers: Send + Sync + 'static {
    /// Calls the function on the inputs; the results answer them one by one. They may end before
    /// the inputs do, after at least one, when they have become large: the caller asks again
    /// for the rest. `phase` is the phase's number: calls of a query's later phases are served first.
    ///
    /// # Errors
    /// The first failure, with its input's number.
    async fn map(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        context: &Arc<CallContext>,
        inputs: Vec<MapInput>,
    ) -> Result<Mapped, ScriptError>;

    /// As [`Workers::map`], and how long the functions took without the wait for a worker: what the
    /// size of the next call is chosen by. Under load the wait says nothing about the function.
    async fn map_timed(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        context: &Arc<CallContext>,
        inputs: Vec<MapInput>,
    ) -> (Result<Mapped, ScriptError>, Duration) {
        let began = Instant::now();
        let results = self.map(query, phase, function, context, inputs).await;
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
        _context: &Arc<CallContext>,
        _inputs: &[MapInput],
    ) -> Option<(Result<Combined, CombineError>, Duration)> {
        None
    }

    /// As [`Workers::map`] where the results are grouped by key: each is `[key, value]`. With a combiner
    /// the pairs of the call may be combined before they leave the worker. It may end before the inputs
    /// do, after at least one. A failure says of which function it is, and of the map with its input's
    /// number; how long the functions took comes with it, as from [`Workers::map_timed`].
    async fn map_pairs(
        &self,
        query: QueryTag,
        phase: usize,
        function: &Arc<PhaseFunction>,
        grouping: &Arc<Grouping>,
        context: &Arc<CallContext>,
        inputs: Vec<MapInput>,
    ) -> (Result<MappedPairs, CombineError>, Duration) {
        let (mapped, took) = self.map_timed(query, phase, function, context, inputs).await;
        let pairs = mapped.and_then(|mapped| crate::pairs::pairs(mapped, grouping.string_keys));
        (pairs.map_err(CombineError::Map), took)
    }

    /// Combines the values of each group into few. It may end before the groups do, after at least
    /// one: the caller asks again for the rest. `phase` is that of the reduce. By default only functions
    /// of `Job` combine, in the caller's thread; they reduce there, too.
    ///
    /// # Errors
    /// The first failure, with its group's number as that of an input.
    async fn combine_groups(
        &self,
        _query: QueryTag,
        _phase: usize,
        combiner: &Arc<Combiner>,
        _context: &Arc<CallContext>,
        groups: Vec<Group>,
    ) -> Result<CombinedGroups, ScriptError> {
        native::combine_groups(combiner, &groups)
    }

    /// Calls a grouped reduce function with each group; the results answer the groups one by one. They
    /// may end before the groups do, after at least one: the caller asks again for the rest.
    ///
    /// # Errors
    /// The first failure, with its group's number as that of an input.
    async fn reduce_groups(
        &self,
        _query: QueryTag,
        _phase: usize,
        function: &Arc<PhaseFunction>,
        _values: Values,
        _context: &Arc<CallContext>,
        groups: Vec<Group>,
    ) -> Result<Mapped, ScriptError> {
        native::reduce_groups(function, &groups)
    }

    /// Calls a grouped reduce function with one group whose values come while it runs.
    ///
    /// # Errors
    /// When the function cannot be made, or fails before it wants values.
    async fn reduce_stream(
        &self,
        _query: QueryTag,
        _phase: usize,
        function: &Arc<PhaseFunction>,
        _context: &Arc<CallContext>,
        key: Bytes,
    ) -> Result<Box<dyn GroupStream>, ScriptError> {
        Ok(Box::new(NativeStream::begin(function, key)?))
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
        context: &Arc<CallContext>,
        timing: ReduceTiming,
    ) -> Result<Box<dyn Reduce>, ScriptError>;

    /// Holds the calls of a query to terms of its own, until what is returned is dropped. A query may be
    /// held more than once; the terms that came last count. By default there are none.
    fn hold(&self, _query: QueryTag, _terms: CallTerms) -> Terms {
        Terms::default()
    }

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

    /// What it has come to, if that weighs no more than so many bytes; it goes on. By default nothing can
    /// be kept.
    ///
    /// # Errors
    /// When what it has is no JSON; the reduce is then over.
    async fn save(&mut self, _most: u64) -> Result<Option<SavedReduce>, ScriptError> {
        Ok(None)
    }

    /// Goes on with what another one has come to, as one that has taken nothing itself.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn restore(&mut self, _saved: SavedReduce) -> Result<(), ScriptError> {
        let message = "this reduce cannot go on with another one";
        Err(ScriptError::new(FailureCause::Worker, message))
    }

    /// Makes the last call where one is due and returns the results, with what all calls asked for.
    ///
    /// # Errors
    /// When a call fails.
    async fn finish(self: Box<Self>) -> Result<Reduced, ScriptError>;
}

/// One group under way whose values come bit by bit. Dropping it ends it, and costs a worker where it
/// had not come to its end.
#[async_trait]
pub trait GroupStream: Send {
    /// Gives the function more values, in their order; waits until it has asked for more than these or
    /// has ended. False when it wants no more: the rest need not come.
    ///
    /// # Errors
    /// When the function fails; the group is then over.
    async fn push(&mut self, values: Vec<JsonText>) -> Result<bool, ScriptError>;

    /// There are no more values: gives the results.
    ///
    /// # Errors
    /// When the function fails.
    async fn finish(self: Box<Self>) -> Result<Reduced, ScriptError>;
}
