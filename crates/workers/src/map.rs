//! A batch of calls of a map function, in the requests that it takes.

use std::sync::Arc;
use std::time::Duration;

use mapring_script::limits::BATCH_RESULT_BYTES;
use mapring_script::protocol::{Request, Response};
use mapring_script::{
    CallContext, FailureCause, Handled, MapInput, Mapped, PhaseFunction, QueryTag, Row,
    ScriptError, Stage,
};
use tokio::time::Instant;

use crate::failure::{CallFailure, unexpected};
use crate::parts::parts;
use crate::pool::{Lease, Pool};

/// What all requests of a batch have in common.
pub(crate) struct MapCall<'a> {
    pub(crate) pool: &'a Arc<Pool>,
    pub(crate) query: QueryTag,
    pub(crate) phase: usize,
    pub(crate) function: &'a PhaseFunction,
    pub(crate) context: &'a CallContext,
    /// How long workers have worked for it.
    pub(crate) busy: Duration,
}

/// The results so far of a batch that takes several requests.
struct Sum {
    mapped: Mapped,
    /// What the whole batch begins and ends.
    stage: Stage,
}

impl Sum {
    fn new(context: &CallContext) -> Self {
        Self { mapped: Mapped::default(), stage: context.stage.clone() }
    }

    /// Where the next request belongs.
    fn context(&self, whole: &CallContext, last: bool) -> CallContext {
        let begins = self.stage.begins.filter(|_| self.mapped.results.is_empty());
        let ends = self.stage.ends.filter(|_| last);
        let state = match &self.mapped.handled {
            Some(handled) => Some(handled.state.clone()),
            None => self.stage.state.clone(),
        };
        CallContext { stage: Stage { state, begins, ends }, ..whole.clone() }
    }

    fn add(&mut self, next: Mapped) {
        let Mapped { results, effects, handled } = next;
        self.mapped.results.extend(results);
        self.mapped.effects.merge(effects);
        self.mapped.handled = match (self.mapped.handled.take(), handled) {
            (Some(before), Some(Handled { state, ended, begun, rest })) => {
                let begun = [before.begun, begun].concat();
                let rest = [before.rest, rest].concat();
                Some(Handled { state, ended, begun, rest })
            }
            (before, handled) => handled.or(before),
        };
    }
}

impl MapCall<'_> {
    /// Calls the function on the inputs.
    pub(crate) async fn run(&mut self, inputs: Vec<MapInput>) -> Result<Mapped, ScriptError> {
        let mut sum = Sum::new(self.context);
        let size = |input: &MapInput| input.record.as_ref().map_or(0, |record| record.len());
        let mut parts = parts(inputs, size);
        if parts.is_empty() {
            // There may be something to begin or to end.
            parts.push(Vec::new());
        }
        let requests = parts.len();
        for (number, part) in parts.into_iter().enumerate() {
            let (before, count) = (sum.mapped.results.len(), part.len());
            let failed = |error: ScriptError| ScriptError {
                input: error.input.and_then(|at| at.checked_add(u32::try_from(before).ok()?)),
                ..error
            };
            let context = sum.context(self.context, number + 1 == requests);
            let mapped = self.request(context, part).await;
            sum.add(mapped.map_err(failed)?);
            if sum.mapped.results.len() < before + count {
                break;
            }
        }
        Ok(sum.mapped)
    }

    async fn request(
        &mut self,
        context: CallContext,
        inputs: Vec<MapInput>,
    ) -> Result<Mapped, ScriptError> {
        let count = inputs.len();
        let (query, function) = (self.query, self.function.clone());
        let request = Request::Map { query, function, context, inputs };
        let mut lease = self.pool.acquire(query, self.phase).await?;
        let began = Instant::now();
        let outcome = lease.call(&request).await;
        self.busy += began.elapsed();
        match outcome {
            Ok(response) => mapped(response, count),
            Err(CallFailure::Failed(error) | CallFailure::Ended(error)) => Err(error),
            Err(CallFailure::Lost(error)) if count == 1 && error.cause == FailureCause::Stack => {
                Err(error.at(0))
            }
            // The process has ended and could not say in which call: one by one it shows. Inputs
            // that were only too much together, or after others, come through this way.
            Err(CallFailure::Lost(_)) if count > 0 => {
                drop(lease);
                let Request::Map { context, inputs, .. } = request else {
                    return Ok(Mapped::default());
                };
                self.singly(&context, inputs).await
            }
            Err(CallFailure::Lost(error)) => Err(error),
        }
    }

    async fn singly(
        &mut self,
        context: &CallContext,
        inputs: Vec<MapInput>,
    ) -> Result<Mapped, ScriptError> {
        let mut lease: Option<Lease> = None;
        let mut sum = Sum::new(context);
        let (mut bytes, count) = (0, inputs.len());
        for (at, input) in inputs.into_iter().enumerate() {
            if bytes >= BATCH_RESULT_BYTES {
                break;
            }
            let mut own = match lease.take() {
                Some(lease) => lease,
                None => self.pool.acquire(self.query, self.phase).await?,
            };
            let (query, function) = (self.query, self.function.clone());
            let context = sum.context(context, at + 1 == count);
            let request = Request::Map { query, function, context, inputs: vec![input] };
            let response = own.call(&request).await.map_err(|failure| {
                let error = failure.into_error();
                ScriptError { input: u32::try_from(at).ok(), ..error }
            })?;
            let one = mapped(response, 1)?;
            bytes +=
                one.effects.bytes() + one.results.iter().flatten().map(Row::bytes).sum::<usize>();
            sum.add(one);
            lease = Some(own);
        }
        Ok(sum.mapped)
    }
}

fn mapped(response: Response, count: usize) -> Result<Mapped, ScriptError> {
    match response {
        Response::Mapped(mapped) if (count.min(1)..=count).contains(&mapped.results.len()) => {
            Ok(mapped)
        }
        _ => Err(unexpected()),
    }
}
