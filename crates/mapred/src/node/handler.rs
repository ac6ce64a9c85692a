//! Functions that are objects with methods for shards and slices: a unit is a shard, a page a slice. Their
//! state goes from call to call, with each page to the coordinator, and from there to whoever goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use mapring_script::{
    CallContext, CombineError, FailureCause, Handled, JsonText, Mapped, MappedPairs, PhaseFunction,
    ScriptError, Span, Stage, native,
};

use super::lane::Lane;
use super::outcome::{Ending, MadePairs, UnitEnd};
use crate::limits;
use crate::unit::{self, Cost};

/// Whether the function of a lane is such an object.
pub(super) struct Handler(AtomicU8);

const NO: u8 = 0;
const PERHAPS: u8 = 1;
const YES: u8 = 2;

impl Handler {
    /// As far as can be told of a function that was not called yet.
    pub(super) fn of(function: Option<&PhaseFunction>) -> Self {
        let perhaps = function.is_some_and(native::may_be_handler);
        Self(AtomicU8::new(if perhaps { PERHAPS } else { NO }))
    }

    /// Whether it is one, or may be.
    pub(super) fn may_be(&self) -> bool {
        self.0.load(Ordering::Relaxed) != NO
    }

    /// Whether it is one, as a call has shown.
    pub(super) fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed) == YES
    }

    fn learn(&self, handled: bool) {
        self.0.store(if handled { YES } else { NO }, Ordering::Relaxed);
    }
}

/// Where the calls of a unit stand.
#[derive(Default)]
pub(super) struct ShardCalls {
    /// The state; `None` while nothing has begun.
    state: Option<JsonText>,
    /// Whether a slice has begun, and not ended.
    open: bool,
}

impl ShardCalls {
    /// One that goes on with a state, or begins.
    pub(super) fn new(state: Option<JsonText>) -> Self {
        Self { state, open: false }
    }

    /// The state that the next page goes on with.
    pub(super) fn state(&self) -> Option<JsonText> {
        self.state.clone()
    }

    /// What the next call is told, which is to end this.
    pub(super) fn context(&self, whole: &CallContext, ends: Option<Span>) -> Arc<CallContext> {
        let begins = match (&self.state, self.open) {
            (_, true) => None,
            (Some(_), false) => Some(Span::Slice),
            (None, false) => Some(Span::Shard),
        };
        let stage = Stage { state: self.state.clone(), begins, ends };
        Arc::new(CallContext { stage, ..whole.clone() })
    }

    /// Takes the state that a call has left.
    fn take(&mut self, state: JsonText, ended: bool) -> Result<(), ScriptError> {
        let (bytes, most) = (state.0.len(), limits::STATE_BYTES);
        if bytes > most {
            let message = format!(
                "the state of the function has {bytes} bytes as JSON, more than {most}: it goes from \
                 page to page"
            );
            return Err(ScriptError::new(FailureCause::ResultSize, message));
        }
        (self.state, self.open) = (Some(state), !ended);
        Ok(())
    }
}

impl Lane {
    /// Takes note of what a call that was told of its shard has left; gives what came before the results
    /// of its inputs.
    pub(super) fn handled(
        &self,
        shard: &mut ShardCalls,
        handled: Option<Handled>,
    ) -> Result<Vec<mapring_script::Row>, UnitEnd> {
        self.handler.learn(handled.is_some());
        let Some(Handled { state, ended, begun, rest }) = handled else { return Ok(Vec::new()) };
        shard.take(state, ended).map_err(|error| self.failed(error, &[]))?;
        Ok([begun, rest].concat())
    }

    /// Ends a slice, or a shard with its slice, if the function is one that is told so.
    pub(super) async fn end_span(
        &self,
        shard: &mut ShardCalls,
        ends: Span,
        context: &CallContext,
        cost: &mut Cost,
    ) -> Result<Option<Ending>, UnitEnd> {
        let Some(function) = self.function.as_ref().filter(|_| self.handler.may_be()) else {
            return Ok(None);
        };
        // What has not begun has no end, but for a shard: each has one.
        if ends == Span::Slice && !shard.open {
            return Ok(None);
        }
        let context = shard.context(context, Some(ends));
        let phase = usize::try_from(self.request.phase).unwrap_or(usize::MAX);
        let (query, workers) = (self.request.query, &self.node.workers);
        let grouping = self.grouping.as_ref().filter(|_| !self.request.results);
        if let Some(grouping) = grouping {
            let none = Vec::new();
            let called = workers.map_pairs(query, phase, function, grouping, &context, none);
            let (mapped, took) = called.await;
            cost.function_us += unit::micros(took);
            let mapped = mapped.map_err(|error| match error {
                CombineError::Map(error) => self.failed(error, &[]),
                CombineError::Reduce(error) => self.combiner_failed(error),
            })?;
            let MappedPairs { pairs, made, made_bytes, combined, effects, handled, .. } = mapped;
            let rows = self.handled(shard, handled)?;
            let pairs = MadePairs { inputs: 0, pairs, made, made_bytes, combined };
            return Ok(Some(Ending { rows, pairs: Some(pairs), effects }));
        }
        let called = workers.map_timed(query, phase, function, &context, Vec::new());
        let (mapped, took) = called.await;
        cost.function_us += unit::micros(took);
        let Mapped { effects, handled, .. } = mapped.map_err(|error| self.failed(error, &[]))?;
        let rows = self.handled(shard, handled)?;
        Ok(Some(Ending { rows, pairs: None, effects }))
    }
}
