//! Functions that only jobs have, which have effects beside their results: see [`crate::orders`].

use std::sync::Arc;

use async_trait::async_trait;
use mapring_script::{
    CallContext, FailureCause, Function, MapInput, Mapped, PhaseFunction, QueryTag, ReduceTiming,
    Row, ScriptError, ScriptLimits, WriteOp,
};
use mapring_types::{Metadata, Quorum};
use mapring_workers::{Reduce, Workers};

use crate::{limits, orders};

/// Calls them by their names, in no time.
pub(crate) struct JobFunctions;

/// Whether a function is one of them.
pub(crate) fn has(function: &PhaseFunction) -> bool {
    matches!(&function.function, Function::Named(name) if name.starts_with("Sim."))
}

#[async_trait]
impl Workers for JobFunctions {
    async fn map(
        &self,
        _query: QueryTag,
        _phase: usize,
        function: &Arc<PhaseFunction>,
        context: &Arc<CallContext>,
        inputs: Vec<MapInput>,
    ) -> Result<Mapped, ScriptError> {
        let Function::Named(name) = &function.function else { return Err(undefined()) };
        let mut mapped = Mapped::default();
        for (at, input) in inputs.iter().enumerate() {
            let number = number(input).ok_or_else(|| {
                let message = format!("{} is no number", input.id);
                ScriptError::new(FailureCause::Thrown, message).at(at)
            })?;
            let text = number.to_string();
            if name == orders::PAIR {
                let pair = orders::pair(number % limits::GROUPS, number);
                mapped.results.push(vec![Row::value(pair)]);
                continue;
            }
            let effects = &mut mapped.effects;
            effects.count(orders::SEEN.to_owned(), 1);
            effects.count(orders::TOTAL.to_owned(), i64::try_from(number).unwrap_or(i64::MAX));
            if name == orders::COPY {
                effects.writes.push(copy(context, &text));
            }
            mapped.results.push(vec![Row::value(text)]);
        }
        Ok(mapped)
    }

    async fn reduce(
        &self,
        _query: QueryTag,
        _phase: usize,
        _function: &Arc<PhaseFunction>,
        _context: &Arc<CallContext>,
        _timing: ReduceTiming,
    ) -> Result<Box<dyn Reduce>, ScriptError> {
        Err(undefined())
    }

    fn limits(&self) -> ScriptLimits {
        ScriptLimits::default()
    }
}

fn undefined() -> ScriptError {
    ScriptError::new(FailureCause::Undefined, "there is no such function")
}

fn copy(context: &CallContext, text: &str) -> WriteOp {
    WriteOp::Put {
        id: orders::object(orders::COPIES, orders::copy_key(&context.job, text)),
        metadata: Metadata::default(),
        body: text.to_owned().into(),
        w: Quorum::Default,
    }
}

/// The number that an input is.
fn number(input: &MapInput) -> Option<u64> {
    let object = input.record.as_ref()?.decode().ok()?;
    std::str::from_utf8(&object.newest()?.body).ok()?.parse().ok()
}
