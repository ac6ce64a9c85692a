//! A phase of a query.

use std::collections::BTreeMap;

use bytes::Bytes;
use mapring_script::{Function, JsonText, ReduceTiming};
use mapring_types::ObjectId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One step of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) kind: PhaseKind,
    /// Whether the client gets its results.
    pub(crate) keep: bool,
}

/// What a phase does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PhaseKind {
    Map(Code),
    Reduce(Code),
    /// A reduce of each group of pairs.
    Group(Box<GroupSpec>),
    Link(LinkSpec),
}

/// A reduce whose inputs are pairs, and whose function is called once for each key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupSpec {
    pub(crate) code: Code,
    /// Whether keys become text, so that `1` and `"1"` are one.
    pub(crate) string_keys: bool,
    /// Whether the values of a group come sorted, and then whether the largest come first.
    pub(crate) descending: Option<bool>,
    /// Among how many partitions the groups are spread.
    pub(crate) partitions: Option<u32>,
    /// What chooses the partition of a key, where that is not its hash.
    pub(crate) partition_by: Option<Code>,
    /// What makes fewer of the values of a key, on their way.
    pub(crate) combine: Option<CombineSpec>,
    /// Whether the function gets its values one after another, as a stream.
    pub(crate) stream: bool,
}

/// A combiner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CombineSpec {
    pub(crate) code: Code,
    /// Whether what it gives is added to the values that it gave before, or replaces them.
    pub(crate) append: bool,
    /// How many new values it gets at once, at most.
    pub(crate) batch: u32,
}

/// A phase's function and its argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) callee: Callee,
    pub(crate) arg: Option<JsonText>,
    /// Options that stand beside the argument; they count more than those within it.
    pub(crate) beside: BTreeMap<&'static str, Value>,
}

/// A map's option: run the reduce that follows beside the data as well.
pub(super) const PREREDUCE: &str = "do_prereduce";
/// A reduce's option: one call, at the end.
pub(super) const ONLY_ONE: &str = "reduce_phase_only_1";
/// A reduce's option: a call after so many inputs.
pub(super) const BATCH_SIZE: &str = "reduce_phase_batch_size";

/// Where a function comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Callee {
    /// It is in the query.
    Given(Function),
    /// It is the value of an object, read once when the query starts.
    Stored(ObjectId),
    /// Erlang source text: understood, and refused when the query starts, as Riak does by default.
    ErlangSource,
}

/// Which links a link phase follows; `None` means any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LinkSpec {
    pub(crate) bucket: Option<Bytes>,
    pub(crate) tag: Option<Bytes>,
}

impl Code {
    /// Whether a map phase with this argument wants a copy of the following reduce on its node; `None`
    /// when it says nothing about it.
    pub(crate) fn wants_prereduce(&self) -> Option<bool> {
        match self.option(PREREDUCE) {
            Some(Value::Bool(wants)) => Some(wants),
            _ => None,
        }
    }

    /// When a reduce phase with this argument calls its function.
    pub(crate) fn timing(&self) -> ReduceTiming {
        if self.option(ONLY_ONE) == Some(Value::Bool(true)) {
            return ReduceTiming::AtEnd;
        }
        match self.option(BATCH_SIZE) {
            // Who says anything about batches gets Riak's.
            None if self.option(ONLY_ONE).is_some() => ReduceTiming::Every(DEFAULT_BATCH),
            None => ReduceTiming::Adaptive,
            Some(Value::Number(number)) => ReduceTiming::Every(batch(&number)),
            // In Erlang's order of terms everything else is larger than any count.
            Some(_) => ReduceTiming::AtEnd,
        }
    }

    /// An option, beside the argument or a member of an argument that is an object.
    fn option(&self, name: &str) -> Option<Value> {
        if let Some(value) = self.beside.get(name) {
            return Some(value.clone());
        }
        let arg = self.arg.as_ref().filter(|arg| arg.0.contains(name))?;
        let members: BTreeMap<String, Value> = serde_json::from_str(&arg.0).ok()?;
        members.get(name).cloned()
    }
}

/// Riak's `mapred_reduce_phase_batch_size` (fact R64).
const DEFAULT_BATCH: u32 = 20;

fn batch(number: &serde_json::Number) -> u32 {
    let size = number.as_f64().unwrap_or(f64::from(u32::MAX)).ceil();
    if size <= 1.0 {
        1
    } else if size >= f64::from(u32::MAX) {
        u32::MAX
    } else {
        // Within the range by the comparisons above.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let size = size as u32;
        size
    }
}
