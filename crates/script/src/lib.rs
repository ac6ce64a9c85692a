//! Phase functions: the [`Runtime`] trait, the JavaScript runtime, the native built-ins, the worker
//! process and its protocol, limits. No async runtime, no storage.
//!
//! Values come in and go out as JSON text. [`js::JsRuntime`] runs in the worker process
//! ([`worker`]), which a node feeds through [`protocol`]; [`native::NativeRuntime`] runs the
//! Erlang-named built-ins, and the named JavaScript ones where that gives the same, in the node.

mod calls;
mod counters;
mod effects;
mod gather;
mod groups;
mod json;
mod memory;
mod object;
mod progress;
mod reduce;
mod row;

pub mod js;
pub mod library;
pub mod limits;
pub mod native;
pub mod protocol;
pub mod sandbox;
pub mod worker;

pub use calls::{CallBounds, CallContext, Handled, Mapped, Priority, Reduced, Span, Stage};
pub use counters::Counter;
pub use effects::{Effects, LogLevel, LogLine, WriteOp};
pub use groups::{
    CombineMode, CombinedGroups, Combiner, Group, Grouping, MappedPairs, Values, canonical,
    push_pair,
};
pub use json::without_trailing_commas;
pub use row::Row;

use mapring_types::{ObjectId, Record};
use serde::{Deserialize, Serialize};

/// The JSON text of one value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonText(pub String);

/// A function of a phase.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Function {
    /// A JavaScript expression that evaluates to a function.
    Source(String),
    /// As `Source`, read from an object.
    Stored {
        /// The object's bucket and key, which stacks show.
        object: String,
        /// The JavaScript.
        source: String,
    },
    /// A path to a JavaScript function, such as `Riak.mapValuesJson`.
    Named(String),
    /// An Erlang-named built-in, such as `riak_kv_mapreduce` and `map_object_value`; native.
    Erlang {
        /// The module.
        module: String,
        /// The function.
        function: String,
    },
    /// A part of a query that is no phase: called like a map function, whose key data says what is wanted
    /// of it.
    Part(Part, Box<Function>),
}

/// What of a query may be code beside the functions of its phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Part {
    /// An object with `split(params, shards)` and `read(state)`: inputs.
    Reader,
    /// A function of a key and a number of partitions that gives one of them.
    Partition,
    /// An object with `write(record)`, and perhaps `open(name)` and `close(name)`: texts for named objects.
    Writer,
}

impl Part {
    /// What its source has to be.
    pub(crate) fn forms(self) -> &'static str {
        match self {
            Self::Reader => "a reader, an object with split and read,",
            Self::Partition => "a function of a key and a number of partitions",
            Self::Writer => "a writer, an object with write,",
        }
    }
}

/// How a value that is not UTF-8 comes to a map function, which gets values as text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Binary {
    /// Not at all: the call fails with [`FailureCause::NotUtf8`], as in Riak.
    #[default]
    Refuse,
    /// `data` is the base64 text of the bytes (RFC 4648, with padding), and `"encoding":"base64"`
    /// stands beside it. Values that are UTF-8 come as ever.
    Base64,
}

/// A function with the argument that its phase gives it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PhaseFunction {
    /// The function.
    pub function: Function,
    /// The phase's `arg` as JSON; `None` when absent (JavaScript then sees the string `"none"`).
    pub arg: Option<JsonText>,
    /// How it gets values that are not UTF-8; of no meaning to a reduce.
    pub binary: Binary,
}

/// One input of a map call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapInput {
    /// The object's name.
    pub id: ObjectId,
    /// Key data as JSON; `None` when absent (JavaScript then sees the string `"undefined"`).
    pub keydata: Option<JsonText>,
    /// The stored object; `None` when no replica has it.
    pub record: Option<Record>,
}

/// When a reduce phase calls its function (facts R63, R64).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReduceTiming {
    /// After every so many new inputs (at least 1), and at the end only with a remainder.
    Every(u32),
    /// Once, at the end.
    AtEnd,
    /// After 20 new inputs, or as many as weigh as much as the results of the last call where these
    /// are more: the calls together cost no more than a few passes over the inputs, however large the
    /// results are. A call that is likely to take long gets fewer inputs, but 20.
    Adaptive,
    /// As `Adaptive`; as a pre-reduce it is done only while that makes the results much smaller.
    IfSmaller,
}

/// A reduce phase that has been put aside: enough to go on in another worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReduceState {
    /// Results of the last call.
    pub accumulator: Vec<Row>,
    /// Inputs since then, in arrival order.
    pub pending: Vec<Row>,
    /// Whether there has been any input.
    pub started: bool,
}

/// A reduce phase as it was at some time, with what its calls had asked for: enough to go on with it
/// elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedReduce {
    /// Where it stood.
    pub state: ReduceState,
    /// What takes effect with its results.
    pub effects: Effects,
}

/// Why a function failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureCause {
    /// The source does not parse, or does not evaluate to a function.
    Syntax,
    /// The function threw.
    Thrown,
    /// The name is not defined.
    Undefined,
    /// A call took longer than its limit.
    Time,
    /// The worker grew beyond its memory limit.
    Memory,
    /// The calls nested too deeply.
    Stack,
    /// A call's result is larger than its limit.
    ResultSize,
    /// The result is not a list.
    NotAList,
    /// The result cannot be written as JSON.
    NotJson,
    /// A value is not UTF-8, and [`Binary::Refuse`] holds; or a name is not.
    NotUtf8,
    /// An Erlang-named built-in does not accept its input.
    BadArgument,
    /// The worker ended for a reason outside the user's function.
    Worker,
    /// A result that is to be grouped is no key and value.
    NotAPair,
    /// The values of a group are more than a function gets as a list.
    GroupSize,
    /// The function called `fail`: nothing makes up for it, no input is left out for it.
    Failed,
    /// The function called `retry`: another attempt may do better.
    Retry,
    /// What inputs are taken out of is damaged, and nothing is known of a part of it.
    Damaged,
    /// An input is not there, and the query wants that it is.
    Missing,
    /// What inputs are taken out of was written again while it was read.
    Changed,
}

/// A function's failure, in words for its author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptError {
    /// The kind of failure.
    pub cause: FailureCause,
    /// What happened, e.g. `TypeError: x is undefined`.
    pub message: String,
    /// The JavaScript stack, with lines and columns in the user's source.
    pub stack: Option<String>,
    /// Which input of the batch it was, counted from 0, where one can be named.
    pub input: Option<u32>,
}

impl ScriptError {
    /// A failure of no particular input.
    pub fn new(cause: FailureCause, message: impl Into<String>) -> Self {
        Self { cause, message: cut(message.into()), stack: None, input: None }
    }

    /// The failure as that of an input of a batch, unless it names one already.
    #[must_use]
    pub fn at(mut self, input: usize) -> Self {
        self.input = self.input.or_else(|| u32::try_from(input).ok());
        self
    }

    /// The failure as that of a group, with its canonical key.
    #[must_use]
    pub fn of_key(mut self, key: &[u8]) -> Self {
        let shown = mapring_shuffle::key::decode(key).unwrap_or_default();
        self.message = format!("{} (key {})", self.message, mapring_types::quote(&shown));
        self
    }
}

impl std::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ScriptError {}

/// Calls `one` on input after input, until the results, with the bytes of `more` that the calls gave
/// in other ways, have reached [`limits::BATCH_RESULT_BYTES`].
pub(crate) fn map_batch(
    inputs: &[MapInput],
    more: impl Fn() -> usize,
    mut one: impl FnMut(usize, &MapInput) -> Result<Vec<Row>, ScriptError>,
) -> Result<Vec<Vec<Row>>, ScriptError> {
    let mut results = Vec::with_capacity(inputs.len());
    let mut bytes = 0;
    for (at, input) in inputs.iter().enumerate() {
        let result = one(at, input).map_err(|error| error.at(at))?;
        bytes += result.iter().map(Row::bytes).sum::<usize>();
        results.push(result);
        if bytes + more() >= limits::BATCH_RESULT_BYTES {
            break;
        }
    }
    Ok(results)
}

/// Cuts text of foreign origin to [`limits::ERROR_BYTES`].
fn cut(mut text: String) -> String {
    if text.len() > limits::ERROR_BYTES {
        let end = (0..=limits::ERROR_BYTES).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

/// Bounds on user code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptLimits {
    /// Longest call, in milliseconds.
    pub call_ms: u64,
    /// Largest worker process, in bytes of memory.
    pub memory_bytes: u64,
    /// Largest stack of the interpreter's thread, in bytes.
    pub stack_bytes: u64,
    /// Largest result of one call, in bytes of JSON.
    pub result_bytes: u64,
}

impl Default for ScriptLimits {
    fn default() -> Self {
        Self {
            call_ms: 5_000,
            memory_bytes: 256 << 20,
            stack_bytes: 64 << 20,
            result_bytes: 16 << 20,
        }
    }
}

/// What a map and a reduce of its results gave in one call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Combined {
    /// How many inputs, from the first on, were mapped: at least one of those given.
    pub inputs: u32,
    /// How many results the map function gave.
    pub made: u64,
    /// About the bytes of these as JSON.
    pub made_bytes: u64,
    /// What is left of them for the reduce phase: the results of the reduce function, or what the
    /// map function gave where that were too few values to be worth a call.
    pub values: Vec<Row>,
    /// What the calls asked for.
    pub effects: Effects,
}

/// Which of two functions failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CombineError {
    /// The map function.
    Map(ScriptError),
    /// The reduce function, or the writing of its results.
    Reduce(ScriptError),
}

/// Identifies a query within a node's workers: functions of different queries share no state.
pub type QueryTag = u64;

/// Runs phase functions: JavaScript in a worker process, or the natives in the node itself.
///
/// A runtime holds at most one reduce at a time; maps of the same query may come in between.
pub trait Runtime {
    /// Calls the function on the inputs; the outer list answers them one by one. It may be shorter
    /// than the inputs, but not empty: the batch ends where its results have reached
    /// [`limits::BATCH_RESULT_BYTES`].
    ///
    /// # Errors
    /// The first failure, with its input's number.
    fn map(
        &mut self,
        query: QueryTag,
        function: &PhaseFunction,
        inputs: Vec<MapInput>,
    ) -> Result<Vec<Vec<Row>>, ScriptError>;

    /// Begins a reduce, or goes on with one that was put aside.
    ///
    /// # Errors
    /// When the function cannot be made.
    fn reduce_open(
        &mut self,
        query: QueryTag,
        function: &PhaseFunction,
        timing: ReduceTiming,
        state: ReduceState,
    ) -> Result<(), ScriptError>;

    /// Takes more inputs and makes the calls that they complete.
    ///
    /// # Errors
    /// When a call fails; the reduce is then over.
    fn reduce_push(&mut self, inputs: Vec<Row>) -> Result<(), ScriptError>;

    /// Puts the reduce aside.
    ///
    /// # Errors
    /// When the accumulator cannot be written as JSON.
    fn reduce_suspend(&mut self) -> Result<ReduceState, ScriptError>;

    /// The reduce as it is, which goes on; `None` where that weighs more than so many bytes.
    ///
    /// # Errors
    /// When the accumulator cannot be written as JSON.
    fn reduce_save(&mut self, most: u64) -> Result<Option<ReduceState>, ScriptError>;

    /// Makes the last call where one is due (also the call with `[]` when there was no input) and
    /// ends the reduce with its results.
    ///
    /// # Errors
    /// When a call fails.
    fn reduce_finish(&mut self) -> Result<Vec<Row>, ScriptError>;
}
