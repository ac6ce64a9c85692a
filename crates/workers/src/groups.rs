//! Batches of calls that give pairs, combine groups and reduce them: in worker processes, functions of
//! `Job` in this one.

use std::time::Duration;

use mapring_script::protocol::{Request, Response};
use mapring_script::{
    CallContext, CombineError, CombinedGroups, Combiner, Group, Grouping, MapInput, Mapped,
    MappedPairs, PhaseFunction, QueryTag, ScriptError, Values, native as built_in,
};
use std::sync::Arc;
use tokio::time::Instant;

use crate::failure::{CallFailure, unexpected};
use crate::limits;
use crate::map::MapCall;
use crate::pairs;
use crate::process::ProcessWorkers;

impl ProcessWorkers {
    /// Calls a map function in this process whose results are grouped. `None` where JavaScript decides.
    pub(crate) async fn native_pairs(
        &self,
        function: &Arc<PhaseFunction>,
        grouping: &Arc<Grouping>,
        inputs: &[MapInput],
    ) -> Option<Result<MappedPairs, ScriptError>> {
        if !built_in::runs(function) {
            return None;
        }
        let (function, grouping, inputs) = (function.clone(), grouping.clone(), inputs.to_vec());
        let only_here = built_in::is_only_here(&function);
        let map = move || built_in::map_pairs(&function, &grouping, &inputs);
        let pairs = self.natives.run(map).await.and_then(|pairs| pairs);
        (pairs.is_ok() || only_here).then_some(pairs)
    }

    /// As [`ProcessWorkers::native_pairs`], in a worker.
    pub(crate) async fn process_pairs(
        &self,
        (query, phase): (QueryTag, usize),
        function: &PhaseFunction,
        grouping: &Grouping,
        context: &CallContext,
        mut inputs: Vec<MapInput>,
    ) -> (Result<MappedPairs, CombineError>, Duration) {
        let given = inputs.len();
        inputs.truncate(fitting(&inputs, |input| {
            input.record.as_ref().map_or(0, |record| record.len())
        }));
        // What was to end with the last input does not end here.
        let mut context = context.clone();
        if inputs.len() < given {
            context.stage.ends = None;
        }
        let count = inputs.len();
        let request = Request::MapPairs {
            query,
            function: function.clone(),
            grouping: grouping.clone(),
            context,
            inputs,
        };
        let mut lease = match self.pool.acquire(query, phase).await {
            Ok(lease) => lease,
            Err(error) => return (Err(CombineError::Map(error)), Duration::ZERO),
        };
        let began = Instant::now();
        let outcome = lease.call(&request).await;
        let mut busy = began.elapsed();
        let outcome = match outcome {
            Ok(Response::Pairs(pairs)) if fits(pairs.inputs as usize, count) => Ok(pairs),
            Ok(Response::ReduceFailed(error)) => Err(CombineError::Reduce(error)),
            Ok(_) => Err(CombineError::Map(unexpected())),
            Err(CallFailure::Failed(error) | CallFailure::Ended(error)) => {
                Err(CombineError::Map(error))
            }
            // Of which function it was, and in which call, is not known: without the combiner, one by
            // one, it shows.
            Err(CallFailure::Lost(error)) => {
                drop(lease);
                let Request::MapPairs { context, inputs, .. } = request else {
                    return (Err(CombineError::Map(error)), busy);
                };
                let mut map = MapCall {
                    pool: &self.pool,
                    query,
                    phase,
                    function,
                    context: &context,
                    busy: Duration::ZERO,
                };
                let mapped = map.run(inputs).await;
                busy += map.busy;
                let pairs = mapped.and_then(|mapped| pairs::pairs(mapped, grouping.string_keys));
                pairs.map_err(CombineError::Map)
            }
        };
        (outcome, busy)
    }

    /// Combines groups in a worker.
    pub(crate) async fn process_combine(
        &self,
        (query, phase): (QueryTag, usize),
        combiner: &Combiner,
        context: &CallContext,
        mut groups: Vec<Group>,
    ) -> Result<CombinedGroups, ScriptError> {
        groups.truncate(fitting(&groups, Group::bytes));
        let (count, combiner, context) = (groups.len(), combiner.clone(), context.clone());
        let request = Request::CombineGroups { query, combiner, context, groups };
        let mut lease = self.pool.acquire(query, phase).await?;
        match lease.call(&request).await.map_err(CallFailure::into_error)? {
            Response::Groups(combined) if fits(combined.values.len(), count) => Ok(combined),
            _ => Err(unexpected()),
        }
    }

    /// Reduces groups in a worker.
    pub(crate) async fn process_reduce(
        &self,
        (query, phase): (QueryTag, usize),
        function: &PhaseFunction,
        values: Values,
        context: &CallContext,
        mut groups: Vec<Group>,
    ) -> Result<Mapped, ScriptError> {
        let given = groups.len();
        groups.truncate(fitting(&groups, Group::bytes));
        let mut context = context.clone();
        if groups.len() < given {
            context.stage.ends = None;
        }
        let (count, function) = (groups.len(), function.clone());
        let request = Request::ReduceGroups { query, function, values, context, groups };
        let mut lease = self.pool.acquire(query, phase).await?;
        match lease.call(&request).await.map_err(CallFailure::into_error)? {
            Response::Mapped(mapped) if fits(mapped.results.len(), count) => Ok(mapped),
            _ => Err(unexpected()),
        }
    }
}

/// Whether so many answers may be those to so many questions.
fn fits(answers: usize, questions: usize) -> bool {
    (questions.min(1)..=questions).contains(&answers)
}

/// How many items go into one request: at least one.
fn fitting<T>(items: &[T], size: impl Fn(&T) -> usize) -> usize {
    let mut bytes = 0;
    let fit = items.iter().take_while(|item| {
        bytes += size(item);
        bytes <= limits::REQUEST_BYTES
    });
    fit.count().max(1)
}
