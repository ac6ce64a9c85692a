//! A reduce phase: its function runs in this node's workers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use mapring_script::{
    CallContext, Effects, FailureCause, Function, PhaseFunction, ReduceTiming, Row, SavedReduce,
    ScriptError,
};
use mapring_workers::Reduce;
use tokio::time::Instant;

use super::shared::Shared;
use crate::failure::Failure;
use crate::handle::PageStats;
use crate::limits;
use crate::saved::SavedReducing;
use crate::unit::{self, Cost};

/// A reduce phase.
pub(super) struct ReduceStage {
    phase: usize,
    function: Arc<PhaseFunction>,
    timing: ReduceTiming,
    queue: VecDeque<Row>,
    bytes: usize,
    at: At,
    /// What it begins with, when it has been gone on with.
    from: Option<SavedReduce>,
    /// What is to be kept of it, once that is known; `None` within where it is too much.
    kept: Option<Option<SavedReduce>>,
    /// When the call under way began, and how many inputs it has.
    began: Option<(Instant, u64)>,
}

/// Where the reduce stands. At most one call is under way.
enum At {
    /// Nothing has been given to the workers since the last call ended.
    Rest(Option<Box<dyn Reduce>>),
    /// A call is under way.
    Busy(BoxFuture<'static, Result<Reduced, ScriptError>>),
    Over,
}

/// What a call gave.
pub(super) enum Reduced {
    /// The inputs are taken.
    Pushed(Box<dyn Reduce>),
    /// The phase is over.
    Finished(Vec<Row>, Effects),
    /// What is to be kept of it, if that is not too much.
    Saved(Box<dyn Reduce>, Option<SavedReduce>),
}

impl ReduceStage {
    pub(super) fn new(phase: usize, function: PhaseFunction, timing: ReduceTiming) -> Self {
        let function = Arc::new(function);
        let (queue, at) = (VecDeque::new(), At::Rest(None));
        let (from, kept) = (None, None);
        Self { phase, function, timing, queue, bytes: 0, at, from, kept, began: None }
    }

    /// The function that it calls.
    pub(super) fn function(&self) -> Arc<PhaseFunction> {
        Arc::clone(&self.function)
    }

    /// Whether its function has an Erlang name, and so takes keys as Erlang has them.
    pub(super) fn takes_terms(&self) -> bool {
        matches!(self.function.function, Function::Erlang { .. })
    }

    /// Takes inputs, in arrival order.
    pub(super) fn push(&mut self, values: impl IntoIterator<Item = Row>) {
        for value in values {
            self.bytes += value.bytes();
            self.queue.push_back(value);
        }
    }

    /// Whether the phase before this one may go on.
    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < limits::QUEUE_INPUTS && self.bytes < limits::QUEUE_BYTES
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.at, At::Over)
    }

    /// Starts the next call, if there is something to do and none is under way. The last one comes
    /// when there will be no more inputs.
    pub(super) fn advance(&mut self, shared: &Shared, inputs_ended: bool) {
        self.kept = None;
        let At::Rest(reduce) = &mut self.at else { return };
        if self.queue.is_empty() && !inputs_ended {
            return;
        }
        assert!(self.began.is_none(), "a second call while one is under way");
        let reduce = reduce.take();
        let inputs = self.next_inputs();
        self.began = Some((Instant::now(), inputs.len() as u64));
        let from = self.from.take();
        let last = inputs_ended && self.queue.is_empty();
        let (workers, query) = (shared.workers.clone(), shared.query);
        let (phase, function, timing) = (self.phase, self.function.clone(), self.timing);
        let number = u32::try_from(phase).unwrap_or(u32::MAX);
        let context = Arc::new(CallContext { phase: number, ..shared.context.clone() });
        self.at = At::Busy(Box::pin(async move {
            let mut reduce = match reduce {
                Some(reduce) => reduce,
                None => workers.reduce(query, phase, &function, &context, timing).await?,
            };
            if let Some(from) = from {
                reduce.restore(from).await?;
            }
            if !inputs.is_empty() {
                reduce.push(inputs).await?;
            }
            if last {
                return reduce
                    .finish()
                    .await
                    .map(|end| Reduced::Finished(end.results, end.effects));
            }
            Ok(Reduced::Pushed(reduce))
        }));
    }

    /// Finds out what is to be kept of it, and takes no inputs until then. Returns whether that is known.
    pub(super) fn keep(&mut self) -> bool {
        if self.kept.is_some() || self.is_over() {
            return true;
        }
        match &mut self.at {
            At::Rest(reduce) => match reduce.take() {
                None => self.kept = Some(Some(self.from.clone().unwrap_or_default())),
                Some(mut reduce) => {
                    self.at = At::Busy(Box::pin(async move {
                        let saved = reduce.save(limits::CHECKPOINT_BYTES as u64).await?;
                        Ok(Reduced::Saved(reduce, saved))
                    }));
                }
            },
            At::Busy(_) | At::Over => {}
        }
        self.kept.is_some()
    }

    /// What is kept of it, which is known now; `None` where that is too much.
    pub(super) fn save(&self) -> Option<SavedReducing> {
        let over = self.is_over();
        let reduce = if over { SavedReduce::default() } else { self.kept.clone()?? };
        Some(SavedReducing { over, reduce, queue: self.queue.iter().cloned().collect() })
    }

    /// Goes on from what was kept, as a stage that has done nothing.
    pub(super) fn restore(&mut self, saved: SavedReducing) {
        let SavedReducing { over, reduce, queue } = saved;
        if over {
            self.at = At::Over;
        }
        self.from = Some(reduce).filter(|reduce| *reduce != SavedReduce::default());
        self.push(queue);
    }

    fn next_inputs(&mut self) -> Vec<Row> {
        let (mut inputs, mut bytes) = (Vec::new(), 0);
        while inputs.len() < limits::REDUCE_INPUTS && bytes < limits::REDUCE_BYTES {
            let Some(value) = self.queue.pop_front() else { break };
            bytes += value.bytes();
            inputs.push(value);
        }
        assert!(bytes <= self.bytes, "{bytes} bytes leave a queue of {}", self.bytes);
        self.bytes -= bytes;
        assert!(self.bytes == 0 || !self.queue.is_empty(), "an empty queue has {}", self.bytes);
        inputs
    }

    /// Waits for the call under way.
    pub(super) fn poll_step(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Reduced, ScriptError>> {
        match &mut self.at {
            At::Busy(call) => call.as_mut().poll(context),
            At::Rest(_) | At::Over => Poll::Pending,
        }
    }

    /// Takes what a call gave. Returns the results when the phase is over, and what the call did.
    pub(super) fn apply(
        &mut self,
        step: Result<Reduced, ScriptError>,
        me: &str,
    ) -> Result<(Vec<Row>, Effects, PageStats), Failure> {
        let mut stats = PageStats::default();
        if let Some((began, inputs)) = self.began.take() {
            let work_us = unit::micros(began.elapsed());
            stats = PageStats { inputs, cost: Cost { work_us, ..Cost::default() }, ..stats };
        }
        match step {
            Ok(Reduced::Pushed(reduce)) => {
                self.at = At::Rest(Some(reduce));
                Ok((Vec::new(), Effects::default(), stats))
            }
            Ok(Reduced::Saved(reduce, saved)) => {
                self.at = At::Rest(Some(reduce));
                self.kept = Some(saved);
                Ok((Vec::new(), Effects::default(), stats))
            }
            Ok(Reduced::Finished(results, effects)) => {
                self.at = At::Over;
                Ok((results, effects, stats))
            }
            Err(error) => {
                self.at = At::Over;
                Err(Failure::function(&advised(error)).in_phase(self.phase).on(me))
            }
        }
    }
}

/// The failure with the way out, where the inputs or the results were too much for a worker.
fn advised(error: ScriptError) -> ScriptError {
    if !matches!(error.cause, FailureCause::Memory | FailureCause::ResultSize) {
        return error;
    }
    let message = format!(
        "{}: all that comes to this reduce, or what it makes of that, is one worker's; with \
         \"group\":true the values of each key are reduced by themselves, on all nodes",
        error.message
    );
    ScriptError { message, ..error }
}
