//! Functions that run in the node itself: the Erlang-named built-ins of `riak_kv_mapreduce`, and
//! the named JavaScript functions of `Riak` where the same can be had without an interpreter.
//!
//! Text of users is never evaluated here. A named JavaScript function gives exactly what the
//! JavaScript gives, or fails where that might differ or throw: the caller then asks a worker.

mod erlang;
mod groups;
mod kind;
mod riak;

pub(crate) mod job;

use crate::json::{self, ReadError, Value};
use crate::reduce::{Called, Timer, weight};
use crate::{
    Binary, Combiner, FailureCause, Function, JsonText, MapInput, PhaseFunction, QueryTag,
    ReduceState, ReduceTiming, Row, Runtime, ScriptError, limits,
};
use erlang::Erlang;
use job::Job;
use kind::bad_argument;
use riak::Riak;

pub use groups::{Folding, combine_groups, fold_stream, map_pairs, reduce_groups};
pub use kind::{Kind, MODULE};

/// What the Erlang-named built-in is for; `None` when there is no such function.
pub fn known(module: &str, function: &str) -> Option<Kind> {
    Erlang::find(module, function).map(Erlang::kind)
}

/// Whether the function can run here: Erlang-named built-ins and those of `Job` always do, JavaScript
/// only by the name of a known function that does not evaluate its argument.
pub fn runs(function: &PhaseFunction) -> bool {
    Native::find(function).is_some()
}

/// Whether the function runs here and nowhere else: an Erlang-named built-in, or one of `Job`.
pub fn is_only_here(function: &PhaseFunction) -> bool {
    matches!(function.function, Function::Erlang { .. }) || Job::find(function).is_some()
}

/// Whether the function is one of `Job`, which can combine and reduce groups.
pub fn is_job(function: &PhaseFunction) -> bool {
    Job::find(function).is_some()
}

/// Whether the function may be an object with methods for shards and slices, or with a state: what is surely
/// none need not be asked. A plain text of a function without the words of such an object is none.
pub fn may_be_handler(function: &PhaseFunction) -> bool {
    let text = match &function.function {
        _ if runs(function) => return false,
        Function::Erlang { .. } | Function::Part(..) => return false,
        Function::Named(_) => return true,
        Function::Source(source) | Function::Stored { source, .. } => source,
    };
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    has(&["begin_", "end_", "state"]) || !has(&["function", "=>"])
}

/// Whether the function is one of `Job` that gives the same for values in any order, some of which it
/// may have combined before.
pub fn is_order_free(function: &PhaseFunction) -> bool {
    Job::find(function).is_some_and(Job::is_order_free)
}

/// The combiner that a grouped reduce is by itself: with it the results are the same to the byte, and
/// so are failures.
pub fn implied_combiner(function: &PhaseFunction) -> Option<Combiner> {
    // One whose argument is wrong fails as a reduce.
    let is_right = matches!(job::Fold::find(function), Ok(Some(_)));
    (is_right && is_order_free(function))
        .then(|| Combiner { lenient: true, ..Combiner::new(function.clone()) })
}

/// Values as whoever is not of `Job` sees them: what such a combiner gave becomes one plain value.
///
/// # Errors
/// What it gave is damaged.
pub fn plain(values: Vec<JsonText>) -> Result<Vec<JsonText>, ScriptError> {
    job::plain(values)
}

#[derive(Debug, Clone, Copy)]
enum Native {
    Erlang(Erlang),
    Riak(Riak),
    Job(Job),
}

impl Native {
    fn find(function: &PhaseFunction) -> Option<Self> {
        if let Some(job) = Job::find(function) {
            return Some(Self::Job(job));
        }
        let name = match &function.function {
            Function::Erlang { module, function } => {
                return Erlang::find(module, function).map(Self::Erlang);
            }
            Function::Named(name) => name.as_str(),
            Function::Part(..) => return None,
            // A source that only names a function is the same as the name.
            Function::Source(source) | Function::Stored { source, .. } => source.trim(),
        };
        let found = Riak::find(name)?;
        let evaluates = matches!(found, Riak::ReduceSort) && function.arg.is_some();
        (!evaluates).then_some(Self::Riak(found))
    }

    fn require(function: &PhaseFunction, kind: Kind) -> Result<Self, ScriptError> {
        let undefined = |name: String| {
            ScriptError::new(FailureCause::Undefined, format!("there is no built-in {name}"))
        };
        let native = Self::find(function).ok_or_else(|| match &function.function {
            Function::Erlang { module, function } => undefined(format!("{module}:{function}")),
            Function::Named(name) => undefined(name.clone()),
            Function::Source(_) | Function::Stored { .. } | Function::Part(..) => ScriptError::new(
                FailureCause::Undefined,
                "JavaScript does not run in this node's own process",
            ),
        })?;
        let fits = match native {
            Self::Erlang(function) => function.kind() == kind,
            Self::Riak(function) => function.kind() == kind,
            Self::Job(job) if kind == Kind::Reduce => return Err(job.needs_group()),
            Self::Job(_) => true,
        };
        if fits {
            Ok(native)
        } else {
            Err(bad_argument("function_clause: the function is for another kind of phase"))
        }
    }

    fn map(
        self,
        input: &MapInput,
        arg: Option<&Value>,
        binary: Binary,
    ) -> Result<Vec<Row>, ScriptError> {
        match self {
            Self::Erlang(function) => function.map(input, arg, binary),
            Self::Riak(function) => function.map(input, arg, binary),
            Self::Job(job) => Err(job.needs_group()),
        }
    }

    /// Gives the results with their weight.
    fn reduce(self, items: &[Value], arg: Option<&Value>) -> Called<Value> {
        let results = match self {
            Self::Erlang(function) => function.reduce(items),
            Self::Riak(function) => function.reduce(items, arg),
            Self::Job(job) => Err(job.needs_group()),
        }?;
        let weight = results.iter().map(|value| weight(value.bytes())).sum();
        Ok((results, weight))
    }

    /// Reads an input of a reduce, as far as the function looks at it.
    fn read(self, row: &Row) -> Result<Value, ScriptError> {
        let counted = matches!(self, Self::Erlang(Erlang::ReduceCountInputs));
        let is_number = |first: char| first == '-' || first.is_ascii_digit();
        if counted && !row.text().starts_with(is_number) {
            return Ok(Value::Null);
        }
        read(row)
    }

    fn write(self, value: &Value) -> Row {
        value.to_row(matches!(self, Self::Riak(_)))
    }
}

/// Runs built-ins in the calling thread. Keeps no state between queries.
#[derive(Debug, Default)]
pub struct NativeRuntime {
    reduce: Option<Reduce>,
}

#[derive(Debug)]
struct Reduce {
    native: Native,
    arg: Option<Value>,
    timer: Timer<Value>,
    /// Bytes taken in since the last call, about what is held.
    bytes: u64,
    /// Inputs that could not be taken, for whoever goes on with the reduce.
    refused: Vec<Row>,
}

impl NativeRuntime {
    /// A runtime.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Reduce {
    /// Reads inputs, within what a native reduce may hold.
    fn admit(&mut self, inputs: &[Row]) -> Result<Vec<(Value, u64)>, ScriptError> {
        self.bytes += size(inputs);
        if self.bytes > limits::NATIVE_REDUCE_BYTES {
            let limit = limits::NATIVE_REDUCE_BYTES;
            let message = format!("the reduce holds more than {limit} bytes");
            return Err(ScriptError::new(FailureCause::Memory, message));
        }
        inputs.iter().map(|input| Ok((self.native.read(input)?, weight(input.bytes())))).collect()
    }
}

fn read(row: &Row) -> Result<Value, ScriptError> {
    Value::of_row(row).map_err(no_json)
}

fn read_all(rows: &[Row]) -> Result<Vec<Value>, ScriptError> {
    rows.iter().map(read).collect()
}

fn argument(function: &PhaseFunction) -> Result<Option<Value>, ScriptError> {
    let arg = function.arg.as_ref();
    arg.map(|JsonText(text)| json::parse(text).map_err(no_json)).transpose()
}

fn no_json(error: ReadError) -> ScriptError {
    ScriptError::new(FailureCause::NotJson, error.to_string())
}

fn no_reduce() -> ScriptError {
    ScriptError::new(FailureCause::Worker, "no reduce is under way")
}

impl Runtime for NativeRuntime {
    fn map(
        &mut self,
        _query: QueryTag,
        function: &PhaseFunction,
        inputs: Vec<MapInput>,
    ) -> Result<Vec<Vec<Row>>, ScriptError> {
        if let Some(map) = job::MapJob::find(function)? {
            return crate::map_batch(&inputs, || 0, |_, input| map.rows(input));
        }
        let native = Native::require(function, Kind::Map)?;
        let arg = argument(function)?;
        crate::map_batch(&inputs, || 0, |_, input| native.map(input, arg.as_ref(), function.binary))
    }

    fn reduce_open(
        &mut self,
        _query: QueryTag,
        function: &PhaseFunction,
        timing: ReduceTiming,
        state: ReduceState,
    ) -> Result<(), ScriptError> {
        self.reduce = None;
        let native = Native::require(function, Kind::Reduce)?;
        let arg = argument(function)?;
        let accumulator = read_all(&state.accumulator)?;
        let weights = state.pending.iter().map(|row| weight(row.bytes()));
        let pending = read_all(&state.pending)?.into_iter().zip(weights).collect();
        let bytes = size(&state.accumulator) + size(&state.pending);
        let parts = (accumulator, size(&state.accumulator), pending, state.started);
        // How long a call takes is not looked at: it takes no time here, and simulations must not
        // depend on it.
        let timer = Timer::new(timing, parts, None);
        self.reduce = Some(Reduce { native, arg, timer, bytes, refused: Vec::new() });
        Ok(())
    }

    /// After a failed call the reduce can still be put aside, with all its inputs.
    fn reduce_push(&mut self, inputs: Vec<Row>) -> Result<(), ScriptError> {
        let reduce = self.reduce.as_mut().ok_or_else(no_reduce)?;
        let values = match reduce.admit(&inputs) {
            Ok(values) => values,
            Err(error) => {
                reduce.refused = inputs;
                return Err(error);
            }
        };
        let Reduce { native, arg, timer, bytes, .. } = reduce;
        timer.push(values, &mut |items| {
            let (results, weight) = native.reduce(items, arg.as_ref())?;
            // Results are mostly far smaller than their inputs; where they are not, they are looked
            // at again with the next inputs.
            if results.len() < items.len() {
                *bytes = weight;
            }
            Ok((results, weight))
        })
    }

    fn reduce_suspend(&mut self) -> Result<ReduceState, ScriptError> {
        let Reduce { native, timer, refused, .. } = self.reduce.take().ok_or_else(no_reduce)?;
        let (accumulator, pending, started) = timer.into_parts();
        let write = |value| native.write(value);
        Ok(ReduceState {
            accumulator: accumulator.iter().map(write).collect(),
            pending: pending.iter().map(write).chain(refused).collect(),
            started,
        })
    }

    fn reduce_save(&mut self, most: u64) -> Result<Option<ReduceState>, ScriptError> {
        let Reduce { native, timer, .. } = self.reduce.as_ref().ok_or_else(no_reduce)?;
        if timer.weighs() > most {
            return Ok(None);
        }
        let (accumulator, pending, started) = timer.parts();
        let write = |value| native.write(value);
        Ok(Some(ReduceState {
            accumulator: accumulator.iter().map(write).collect(),
            pending: pending.iter().map(write).collect(),
            started,
        }))
    }

    /// After a failed call the reduce can still be put aside, with all its inputs.
    fn reduce_finish(&mut self) -> Result<Vec<Row>, ScriptError> {
        let reduce = self.reduce.as_mut().ok_or_else(no_reduce)?;
        let Reduce { native, arg, timer, .. } = reduce;
        let results = timer.finish(&mut |items| native.reduce(items, arg.as_ref()))?;
        let native = *native;
        self.reduce = None;
        Ok(results.iter().map(|value| native.write(value)).collect())
    }
}

fn size(rows: &[Row]) -> u64 {
    rows.iter().map(|row| row.bytes() as u64).sum()
}
