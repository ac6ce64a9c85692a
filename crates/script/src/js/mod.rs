//! The JavaScript runtime: boa, with a context for each query.
//!
//! A context is made when a query's tag first comes and goes with it, so that queries share no
//! globals. Functions are compiled once. Nothing here bounds time or memory: that is the business
//! of the process that this runs in ([`crate::worker`]) and of its parent.

mod build;
mod errors;
mod garbage;
mod globals;
mod places;
mod plain;
mod query;
mod regexp;
mod write;

use std::sync::Arc;
use std::time::{Duration, Instant};

use boa_engine::JsValue;

use garbage::Garbage;
use query::{Callable, QueryContext};

use crate::library::Library;
use crate::progress::Progress;
use crate::reduce::Timer;
use crate::{
    FailureCause, JsonText, MapInput, PhaseFunction, QueryTag, ReduceState, ReduceTiming, Runtime,
    ScriptError, ScriptLimits, limits, object,
};

pub(crate) use globals::LOG_MARK;

/// Runs JavaScript functions in the calling thread, which needs a stack of
/// [`ScriptLimits::stack_bytes`].
pub struct JsRuntime {
    limits: ScriptLimits,
    library: Arc<Library>,
    /// Most recently used first.
    contexts: Vec<QueryContext>,
    reduce: Option<Reduce>,
    garbage: Garbage,
    progress: Arc<Progress>,
}

struct Reduce {
    query: QueryTag,
    function: PhaseFunction,
    callable: Callable,
    timer: Timer<JsValue>,
}

impl JsRuntime {
    /// A runtime under the given limits; only those of stack and result are its own business.
    pub fn new(limits: ScriptLimits) -> Self {
        Self::with_progress(limits, Arc::default())
    }

    /// A runtime that says in `progress` which call it is in.
    pub(crate) fn with_progress(limits: ScriptLimits, progress: Arc<Progress>) -> Self {
        Self {
            limits,
            library: Arc::default(),
            contexts: Vec::new(),
            reduce: None,
            garbage: Garbage::default(),
            progress,
        }
    }

    /// Takes the files of functions that contexts made from now on have. Gives what is wrong with
    /// them; they are used as far as they can be.
    ///
    /// # Errors
    /// When no context can be made at all.
    pub fn set_library(&mut self, library: Library) -> Result<Vec<String>, ScriptError> {
        let progress = Arc::clone(&self.progress);
        let _call = progress.call(None);
        self.library = Arc::new(library);
        let context = self.new_context(0)?;
        self.garbage.count(limits::CONTEXT_BYTES);
        Ok(context.complaints)
    }

    fn new_context(&self, query: QueryTag) -> Result<QueryContext, ScriptError> {
        let ScriptLimits { stack_bytes, result_bytes, .. } = self.limits;
        QueryContext::new(query, stack_bytes, result_bytes, &self.library)
    }

    /// Forgets the reduce under way, if there is one.
    pub fn abandon(&mut self) {
        self.reduce = None;
    }

    /// Forgets the contexts of all queries but that of a reduce under way: nothing has been asked
    /// for some time, and what ended queries left in their globals would stay for ever.
    pub fn rest(&mut self) {
        self.keep_only(None);
    }

    /// Whether more than half of the memory is in use that is no garbage, or was given back too late.
    pub(crate) fn is_large(&mut self) -> bool {
        let most = self.limits.memory_bytes / 2;
        if self.garbage.resident() <= most {
            return false;
        }
        self.garbage.collect_if_grown();
        self.garbage.resident() > most
    }

    fn context(&mut self, query: QueryTag) -> Result<&mut QueryContext, ScriptError> {
        let last = self.contexts.first_mut().filter(|context| context.tag != query);
        let changes = last.is_some();
        if let Some(last) = last {
            last.used = Instant::now();
        }
        // What one query holds must not make another one fail for want of memory.
        if changes && self.garbage.resident() > self.limits.memory_bytes / 2 {
            self.keep_only(Some(query));
        }
        match self.contexts.iter().position(|context| context.tag == query) {
            Some(at) => self.contexts[..=at].rotate_right(1),
            None => {
                self.drop_stale();
                let context = self.new_context(query)?;
                self.contexts.insert(0, context);
                self.drop_contexts();
            }
        }
        let first = self.contexts.first_mut();
        let first = first
            .ok_or_else(|| ScriptError::new(FailureCause::Worker, "the query has no context"))?;
        Ok(first)
    }

    /// Forgets contexts that have not been used for long: their queries have ended, most likely,
    /// and each collection of garbage goes through what they hold.
    fn drop_stale(&mut self) {
        let pinned = self.reduce.as_ref().map(|reduce| reduce.query);
        let before = self.contexts.len();
        let stale = Duration::from_millis(limits::STALE_MS);
        self.contexts
            .retain(|context| context.used.elapsed() < stale || Some(context.tag) == pinned);
        self.garbage.count((before - self.contexts.len()) * limits::CONTEXT_BYTES);
    }

    fn drop_contexts(&mut self) {
        let pinned = self.reduce.as_ref().map(|reduce| reduce.query);
        while self.contexts.len() > limits::CONTEXTS {
            let kept = |context: &QueryContext| Some(context.tag) == pinned;
            let Some(at) = self.contexts.iter().rposition(|context| !kept(context)) else { return };
            self.contexts.remove(at);
            // The context is one big cycle: it goes with the next collection.
            self.garbage.count(limits::CONTEXT_BYTES);
        }
    }

    fn keep_only(&mut self, query: Option<QueryTag>) {
        let pinned = self.reduce.as_ref().map(|reduce| reduce.query);
        let before = self.contexts.len();
        self.contexts.retain(|context| [query, pinned].contains(&Some(context.tag)));
        if self.contexts.len() < before {
            self.garbage.collect();
        }
    }

    fn map_one(
        &mut self,
        query: QueryTag,
        callable: &Callable,
        function: &PhaseFunction,
        input: &MapInput,
    ) -> Result<Vec<JsonText>, ScriptError> {
        let Some(object) = object::object(input)? else {
            return Ok(vec![object::not_found(input)?]);
        };
        self.context(query)?.map(callable, input, &object, function)
    }

    /// Runs a step of the reduce, which is over when the step fails.
    fn step<T>(
        &mut self,
        step: impl FnOnce(&mut Reduce, &mut QueryContext, &Progress) -> Result<T, ScriptError>,
    ) -> Result<T, ScriptError> {
        let mut reduce = self.reduce.take().ok_or_else(no_reduce)?;
        let progress = Arc::clone(&self.progress);
        let began = Instant::now();
        let context = self.context(reduce.query)?;
        let result = step(&mut reduce, context, &progress)?;
        self.garbage.look(began);
        self.reduce = Some(reduce);
        Ok(result)
    }
}

fn no_reduce() -> ScriptError {
    ScriptError::new(FailureCause::Worker, "no reduce is under way")
}

impl Reduce {
    fn push(
        &mut self,
        inputs: Vec<JsValue>,
        context: &mut QueryContext,
        progress: &Progress,
    ) -> Result<(), ScriptError> {
        let Self { function, callable, timer, .. } = self;
        timer.push(inputs, &mut |items| {
            let _call = progress.call(None);
            context.reduce(callable, items, function.arg.as_ref())
        })
    }

    fn finish(
        &mut self,
        context: &mut QueryContext,
        progress: &Progress,
    ) -> Result<Vec<JsonText>, ScriptError> {
        let Self { function, callable, timer, .. } = self;
        let values = timer.finish(&mut |items| {
            let _call = progress.call(None);
            context.reduce(callable, items, function.arg.as_ref())
        })?;
        context.write(&values)
    }
}

impl Runtime for JsRuntime {
    fn map(
        &mut self,
        query: QueryTag,
        function: &PhaseFunction,
        inputs: Vec<MapInput>,
    ) -> Result<Vec<Vec<JsonText>>, ScriptError> {
        let call = self.progress.clone();
        let callable = {
            let _compiling = call.call(None);
            self.context(query)?.function(&function.function)?
        };
        crate::map_batch(&inputs, |at, input| {
            let _call = call.call(Some(at));
            self.garbage.count(input.record.as_ref().map_or(0, mapring_types::Record::len));
            let began = Instant::now();
            let result = self.map_one(query, &callable, function, input);
            self.garbage.look(began);
            result
        })
    }

    fn reduce_open(
        &mut self,
        query: QueryTag,
        function: &PhaseFunction,
        timing: ReduceTiming,
        state: ReduceState,
    ) -> Result<(), ScriptError> {
        self.reduce = None;
        let progress = self.progress.clone();
        let _call = progress.call(None);
        let context = self.context(query)?;
        let callable = context.function(&function.function)?;
        let mut read = |texts: Vec<JsonText>| -> Result<Vec<JsValue>, ScriptError> {
            texts.iter().map(|text| context.read(&text.0)).collect()
        };
        let parts = (read(state.accumulator)?, read(state.pending)?, state.started);
        let timer = Timer::new(timing, parts);
        self.reduce = Some(Reduce { query, function: function.clone(), callable, timer });
        Ok(())
    }

    fn reduce_push(&mut self, inputs: Vec<JsonText>) -> Result<(), ScriptError> {
        self.garbage.count(inputs.iter().map(|input| input.0.len()).sum());
        self.step(|reduce, context, progress| {
            let values: Result<_, _> = inputs.iter().map(|text| context.read(&text.0)).collect();
            reduce.push(values?, context, progress)
        })
    }

    fn reduce_suspend(&mut self) -> Result<ReduceState, ScriptError> {
        let reduce = self.reduce.take().ok_or_else(no_reduce)?;
        let context = self.context(reduce.query)?;
        let (accumulator, pending, started) = reduce.timer.into_parts();
        Ok(ReduceState {
            accumulator: context.write(&accumulator)?,
            pending: context.write(&pending)?,
            started,
        })
    }

    fn reduce_finish(&mut self) -> Result<Vec<JsonText>, ScriptError> {
        let results = self.step(Reduce::finish)?;
        self.reduce = None;
        Ok(results)
    }
}
