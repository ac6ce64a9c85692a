//! The JavaScript runtime: boa, with a context for each query.
//!
//! A context is made when a query's tag first comes and goes with it, so that queries share no
//! globals. Functions are compiled once. Nothing here bounds time or memory: that is the business
//! of the process that this runs in ([`crate::worker`]) and of its parent.

mod arguments;
#[cfg(feature = "attempts")]
mod attempt;
mod batch;
mod blame;
mod build;
mod builtins;
mod compile;
mod emit;
mod errors;
mod functions;
mod garbage;
mod globals;
mod grouped;
mod groups;
mod handler;
mod method;
mod old;
mod places;
mod plain;
mod position;
mod puts;
mod query;
mod regexp;
mod results;
mod returned;
mod stream;
mod waiting;
mod write;

use std::sync::Arc;
use std::time::{Duration, Instant};

use batch::Target;
use garbage::Garbage;
use plain::{Item, Weighed};
use query::{Callable, QueryContext, Role};

use crate::library::Library;
use crate::progress::Progress;
use crate::reduce::{Parts, Timer};
use crate::{
    CallBounds, CallContext, CombineError, Combined, Effects, FailureCause, Handled, MapInput,
    PhaseFunction, QueryTag, ReduceState, ReduceTiming, Row, Runtime, ScriptError, ScriptLimits,
    limits, object,
};

pub(crate) use globals::LOG_MARK;
pub(crate) use stream::More;

/// Runs JavaScript functions in the calling thread, which needs a stack of
/// [`ScriptLimits::stack_bytes`].
pub struct JsRuntime {
    limits: ScriptLimits,
    /// The longest call now, in milliseconds.
    call_ms: u64,
    library: Arc<Library>,
    /// Most recently used first.
    contexts: Vec<QueryContext>,
    reduce: Option<Reduce>,
    garbage: Garbage,
    progress: Arc<Progress>,
    /// Where the calls that come next belong.
    call: Arc<CallContext>,
    /// What calls have asked for that nobody has taken.
    effects: Effects,
    /// What the last batch of a function that is an object left.
    handled: Option<Handled>,
}

struct Reduce {
    query: QueryTag,
    function: PhaseFunction,
    callable: Callable,
    timer: Timer<Item>,
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
            call_ms: limits.call_ms,
            library: Arc::default(),
            contexts: Vec::new(),
            reduce: None,
            garbage: Garbage::default(),
            progress,
            call: Arc::default(),
            effects: Effects::default(),
            handled: None,
        }
    }

    /// Holds the calls that come next to these bounds; `None` for the runtime's own limits.
    pub fn hold(&mut self, bounds: Option<CallBounds>) {
        self.call_ms = bounds.map_or(self.limits.call_ms, |bounds| bounds.call_ms);
        self.garbage.hold(bounds.map(|bounds| bounds.memory_bytes));
    }

    /// Says where the calls that come next belong.
    pub fn enter(&mut self, call: CallContext) {
        if *self.call != call {
            self.call = Arc::new(call);
        }
    }

    /// What the calls have asked for since this was asked last. What calls of a failed batch asked for
    /// is not among it.
    pub fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// What the last batch left of a function that is an object with a state; `None` of others.
    pub fn take_handled(&mut self) -> Option<Handled> {
        self.handled.take()
    }

    /// Makes a batch of calls, with what belongs to it. What a batch that fails has asked for is gone.
    fn batch<T, E>(
        &mut self,
        target: Target,
        calls: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.handled = None;
        batch::open(target, self.limits.result_bytes);
        let result = calls(self);
        let (effects, _) = batch::close();
        if result.is_ok() {
            self.effects.merge(effects);
        }
        result
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

    /// Begins what begins with a batch.
    fn begin(
        &mut self,
        query: QueryTag,
        callable: &Callable,
    ) -> Result<Option<Vec<Row>>, ScriptError> {
        let progress = self.progress.clone();
        let _call = progress.call(None);
        self.context(query)?.begin_batch(callable)
    }

    /// Ends what ends with a batch, if `all` of it was taken.
    fn end(
        &mut self,
        query: QueryTag,
        callable: &Callable,
        begun: Option<Vec<Row>>,
        all: bool,
    ) -> Result<(), ScriptError> {
        let progress = self.progress.clone();
        let _call = progress.call(None);
        self.handled = self.context(query)?.end_batch(callable, begun, all)?;
        Ok(())
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
        first.enter(&self.call)?;
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
    ) -> Result<Vec<Row>, ScriptError> {
        let Some(object) = object::object(input)? else {
            return Ok(vec![object::not_found(input)?]);
        };
        self.context(query)?.map(callable, input, &object, function)
    }

    /// Calls a map function on the inputs, and a reduce function on the results where there are
    /// enough of them: what it gives takes their place. The reduce under way has no part in this.
    /// It may end before the inputs do, after at least one, when much is held. With none mapped nothing
    /// was done: a map function that is an object with a state must be called by itself.
    ///
    /// # Errors
    /// The first failure: of which function, and for a map with its input's number.
    pub fn combine(
        &mut self,
        query: QueryTag,
        function: &PhaseFunction,
        inputs: &[MapInput],
        reduce: &PhaseFunction,
    ) -> Result<Combined, CombineError> {
        self.batch(Target::Rows(Vec::new()), |this| {
            this.combine_batch(query, function, inputs, reduce)
        })
    }

    fn combine_batch(
        &mut self,
        query: QueryTag,
        function: &PhaseFunction,
        inputs: &[MapInput],
        reduce: &PhaseFunction,
    ) -> Result<Combined, CombineError> {
        let progress = self.progress.clone();
        let [map, fold] = {
            let _compiling = progress.call(None);
            let context = self.context(query).map_err(CombineError::Map)?;
            let map = context.function(&function.function, Role::Map).map_err(CombineError::Map)?;
            let fold = context.function(&reduce.function, Role::Reduce);
            [map, fold.map_err(CombineError::Reduce)?]
        };
        if map.handler.is_some() {
            return Ok(Combined::default());
        }
        let mut timer = self.timer(ReduceTiming::Adaptive, Parts::default());
        let mut combined = Combined::default();
        // Too few are not worth a call, and leave the function all those that Riak would make.
        let mut few = Vec::new();
        for (at, input) in inputs.iter().enumerate() {
            self.garbage.count(input.record.as_ref().map_or(0, mapring_types::Record::len));
            let began = Instant::now();
            let values = {
                let _call = progress.call(Some(at));
                let values = self.map_one_to_values(query, &map, function, input);
                values.map_err(|error| CombineError::Map(error.at(at)))?
            };
            combined.inputs += 1;
            combined.made += values.len() as u64;
            combined.made_bytes += values.iter().map(|(_, weight)| weight).sum::<u64>();
            few.extend(values);
            if few.len() > limits::COMBINED_VALUES || combined.made > few.len() as u64 {
                let context = self.context(query).map_err(CombineError::Map)?;
                let mut call = |items: &[Item]| {
                    let _call = progress.call(None);
                    context.reduce(&fold, items, reduce.arg.as_ref())
                };
                timer.push(few.drain(..), &mut call).map_err(CombineError::Reduce)?;
            }
            self.garbage.look(began);
            let waiting: u64 = few.iter().map(|(_, weight)| weight).sum();
            let asked = batch::bytes() as u64;
            if timer.holds().max(waiting) + asked >= limits::BATCH_RESULT_BYTES as u64 {
                break;
            }
        }
        if !few.is_empty() {
            let few: Vec<Item> = few.into_iter().map(|(item, _)| item).collect();
            let context = self.context(query).map_err(CombineError::Map)?;
            combined.values = context.write_many(&few).map_err(CombineError::Map)?;
            return Ok(combined);
        }
        let context = self.context(query).map_err(CombineError::Map)?;
        let mut call = |items: &[Item]| {
            let _call = progress.call(None);
            context.reduce(&fold, items, reduce.arg.as_ref())
        };
        let values = timer.give_up(&mut call).map_err(CombineError::Reduce)?;
        combined.values = context.write_many(&values).map_err(CombineError::Reduce)?;
        Ok(combined)
    }

    fn map_one_to_values(
        &mut self,
        query: QueryTag,
        callable: &Callable,
        function: &PhaseFunction,
        input: &MapInput,
    ) -> Result<Vec<Weighed>, ScriptError> {
        let found = object::object(input)?;
        let context = self.context(query)?;
        match found {
            Some(object) => context.map_to_values(callable, input, &object, function),
            None => context.read_items(&[object::not_found(input)?]),
        }
    }

    fn timer(&self, timing: ReduceTiming, parts: Parts<Item>) -> Timer<Item> {
        let patience = self.call_ms / limits::ADAPTIVE_SHARE;
        Timer::new(timing, parts, Some(Duration::from_millis(patience)))
    }

    /// Runs a step of the reduce, which is over when the step fails.
    fn step<T>(
        &mut self,
        step: impl FnOnce(&mut Reduce, &mut QueryContext, &Progress) -> Result<T, ScriptError>,
    ) -> Result<T, ScriptError> {
        let mut reduce = self.reduce.take().ok_or_else(no_reduce)?;
        let progress = Arc::clone(&self.progress);
        let began = Instant::now();
        let result = self.batch(Target::Nothing, |this| {
            let context = this.context(reduce.query)?;
            step(&mut reduce, context, &progress)
        })?;
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
        inputs: Vec<Weighed>,
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
    ) -> Result<Vec<Row>, ScriptError> {
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
    ) -> Result<Vec<Vec<Row>>, ScriptError> {
        let call = self.progress.clone();
        let callable = {
            let _compiling = call.call(None);
            self.context(query)?.function(&function.function, Role::Map)?
        };
        self.batch(Target::Rows(Vec::new()), |this| {
            let begun = this.begin(query, &callable)?;
            let results = crate::map_batch(&inputs, batch::bytes, |at, input| {
                let _call = call.call(Some(at));
                this.garbage.count(input.record.as_ref().map_or(0, mapring_types::Record::len));
                let began = Instant::now();
                let result = this.map_one(query, &callable, function, input);
                this.garbage.look(began);
                result
            })?;
            this.end(query, &callable, begun, results.len() == inputs.len())?;
            Ok(results)
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
        let callable = context.function(&function.function, Role::Reduce)?;
        let accumulator = context.read_items(&state.accumulator)?;
        let weighs = accumulator.iter().map(|(_, weight)| weight).sum();
        let accumulator = accumulator.into_iter().map(|(item, _)| item).collect();
        let pending = context.read_items(&state.pending)?;
        let timer = self.timer(timing, (accumulator, weighs, pending, state.started));
        self.reduce = Some(Reduce { query, function: function.clone(), callable, timer });
        Ok(())
    }

    fn reduce_push(&mut self, inputs: Vec<Row>) -> Result<(), ScriptError> {
        self.garbage.count(inputs.iter().map(Row::bytes).sum());
        self.step(|reduce, context, progress| {
            let values = context.read_items(&inputs)?;
            reduce.push(values, context, progress)
        })
    }

    fn reduce_suspend(&mut self) -> Result<ReduceState, ScriptError> {
        let reduce = self.reduce.take().ok_or_else(no_reduce)?;
        let context = self.context(reduce.query)?;
        let (accumulator, pending, started) = reduce.timer.into_parts();
        Ok(ReduceState {
            accumulator: context.write_many(&accumulator)?,
            pending: context.write_many(&pending)?,
            started,
        })
    }

    fn reduce_save(&mut self, most: u64) -> Result<Option<ReduceState>, ScriptError> {
        self.step(|reduce, context, _| {
            if reduce.timer.weighs() > most {
                return Ok(None);
            }
            let (accumulator, pending, started) = reduce.timer.parts();
            let accumulator = context.write_many(&accumulator)?;
            let pending = context.write_many(&pending)?;
            Ok(Some(ReduceState { accumulator, pending, started }))
        })
    }

    fn reduce_finish(&mut self) -> Result<Vec<Row>, ScriptError> {
        let results = self.step(Reduce::finish)?;
        self.reduce = None;
        Ok(results)
    }
}
