//! A parsed query.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mapring_filters::{Filters, PropertyFilters};
use mapring_kv::Selection;
use mapring_script::{Function, JsonText, ReduceTiming};
use mapring_types::{BucketId, ObjectId, limits as common};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::options::{Consistency, Options};
use super::output::Output;
use crate::limits;

/// A parsed query: immutable, cheap to clone.
#[derive(Debug, Clone)]
pub struct Query(Arc<Spec>);

impl Query {
    pub(crate) fn new(spec: Spec) -> Self {
        // What the planner relies on. The grammar refuses queries of which this is not so.
        assert!(spec.phases.len() <= limits::PHASES, "{} phases", spec.phases.len());
        assert!(spec.timeout <= common::MAX_TIMEOUT, "a timeout of {:?}", spec.timeout);
        assert!(spec.options.limit != Some(0), "a limit of nothing");
        if let Inputs::Scan(scan) = &spec.inputs {
            assert!(scan.narrowing.batch != Some(0), "batches of nothing");
        }
        match &spec.inputs {
            Inputs::Scan(Scan { selection: Selection::Keys { from, to }, .. }) => {
                assert!(from <= to, "keys from {from:?} to {to:?}");
            }
            Inputs::Scan(Scan { selection: Selection::Terms { from, to, .. }, .. }) => {
                assert!(from <= to, "terms from {from:?} to {to:?}");
            }
            Inputs::Keys(keys) => assert!(keys.len() > 0, "a list of no keys"),
            Inputs::Scan(_) | Inputs::Values(_) => {}
        }
        Self(Arc::new(spec))
    }

    pub(crate) fn spec(&self) -> &Arc<Spec> {
        &self.0
    }

    /// How long the whole query may take.
    pub fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// Whether the query asks for its plan instead of results.
    pub fn wants_plan(&self) -> bool {
        self.0.options.explain
    }

    /// What becomes of the results.
    pub(crate) fn output(&self) -> &Output {
        &self.0.output
    }

    /// Whether the client gets the results of a phase.
    pub(crate) fn keeps(&self, phase: usize) -> bool {
        match self.0.phases.as_slice() {
            [] => phase == 0,
            phases => phases.get(phase).is_some_and(|phase| phase.keep),
        }
    }

    /// How many phases the client gets the results of. A query without phases gives its inputs.
    pub fn kept_phases(&self) -> usize {
        match self.0.phases.as_slice() {
            [] => 1,
            phases => phases.iter().filter(|phase| phase.keep).count(),
        }
    }
}

/// The parts of a query.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) inputs: Inputs,
    pub(crate) phases: Vec<Phase>,
    pub(crate) options: Options,
    pub(crate) output: Output,
    /// What the query is called.
    pub(crate) name: Option<String>,
    /// What its functions get beside their inputs.
    pub(crate) params: Option<JsonText>,
    pub(crate) timeout: Duration,
    /// The beginning of the query's text, for whoever looks at what runs.
    pub(crate) text: String,
}

/// What the first phase gets.
#[derive(Debug)]
pub(crate) enum Inputs {
    /// Objects of a bucket, found beside the data.
    Scan(Scan),
    /// Named keys, in order.
    Keys(PackedKeys),
    /// Values that a generator makes.
    Values(Values),
}

/// Some of a bucket's objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scan {
    /// The bucket; where all bucket types are meant, one of them with a bucket of that name.
    pub(crate) bucket: BucketId,
    pub(crate) selection: Selection,
    /// Which of them, by their keys.
    pub(crate) filters: Option<Filters>,
    pub(crate) narrowing: Narrowing,
    /// Whether the buckets of that name in all bucket types are meant: the coordinator's to know.
    #[serde(skip)]
    pub(crate) every_type: bool,
    /// How many replicas are read, where the inputs say so: the coordinator's to know.
    #[serde(skip)]
    pub(crate) consistency: Option<Consistency>,
}

/// What a scan gives of what it meets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Narrowing {
    /// Conditions that objects meet.
    pub(crate) conditions: PropertyFilters,
    /// Functions get objects without values.
    pub(crate) keys_only: bool,
    /// Objects that are read at once, at most.
    pub(crate) batch: Option<u32>,
}

impl Scan {
    /// Everything in a bucket.
    pub(crate) fn whole(bucket: BucketId) -> Self {
        let (selection, narrowing) = (Selection::All, Narrowing::default());
        Self { bucket, selection, filters: None, narrowing, every_type: false, consistency: None }
    }

    /// The scans of single buckets that it stands for, by the names of the bucket types that were
    /// created.
    pub(crate) fn of_each_type<'t>(&self, types: impl Iterator<Item = &'t str>) -> Vec<Self> {
        if !self.every_type {
            return vec![self.clone()];
        }
        let mut names: Vec<&str> = types.chain([DEFAULT_TYPE]).collect();
        names.sort_unstable();
        names.dedup();
        let of_type = |name: &str| {
            let bucket = BucketId::typed(name.to_owned(), self.bucket.name.clone());
            Self { bucket, every_type: false, ..self.clone() }
        };
        names.into_iter().map(of_type).collect()
    }
}

/// The bucket type of buckets without one.
const DEFAULT_TYPE: &str = "default";

impl Narrowing {
    /// Whether everything is given as it is.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What a generator makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Values {
    /// The values of a list, in order.
    List(Vec<JsonText>),
    /// Whole numbers from … to …, inclusive.
    Sequence(i64, i64),
}

impl Values {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::List(values) => values.len(),
            Self::Sequence(from, to) => {
                let count = i128::from(*to) - i128::from(*from) + 1;
                usize::try_from(count.max(0)).unwrap_or(usize::MAX)
            }
        }
    }

    /// The value number `at`, from 0.
    pub(crate) fn get(&self, at: usize) -> Option<JsonText> {
        match self {
            Self::List(values) => values.get(at).cloned(),
            Self::Sequence(from, to) => {
                let number = i128::from(*from) + i128::try_from(at).ok()?;
                (number <= i128::from(*to)).then(|| JsonText(number.to_string()))
            }
        }
    }
}

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

/// One input of a map or link phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyInput {
    pub(crate) id: ObjectId,
    pub(crate) keydata: Option<JsonText>,
}

/// A list of inputs in little more memory than its text: queries may name millions.
#[derive(Debug, Default)]
pub(crate) struct PackedKeys {
    buckets: Vec<BucketId>,
    numbers: BTreeMap<BucketId, u32>,
    entries: Vec<u8>,
    count: u64,
}

impl PackedKeys {
    /// Adds an input at the end.
    pub(crate) fn push(&mut self, bucket: BucketId, key: &str, keydata: Option<&str>) {
        let next = u32::try_from(self.buckets.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(bucket).or_insert_with_key(|bucket| {
            self.buckets.push(bucket.clone());
            next
        });
        let entries = std::mem::take(&mut self.entries);
        // Writing to memory cannot fail: every field has a known length.
        self.entries = postcard::to_extend(&(number, key, keydata), entries).unwrap_or_default();
        self.count += 1;
    }

    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// The input that starts at byte `at`, and where the next one starts.
    pub(crate) fn read(&self, at: usize) -> Option<(KeyInput, usize)> {
        let rest = self.entries.get(at..).filter(|rest| !rest.is_empty())?;
        let ((number, key, keydata), left): ((u32, &str, Option<&str>), _) =
            postcard::take_from_bytes(rest).ok()?;
        let bucket = self.buckets.get(usize::try_from(number).ok()?)?.clone();
        let id = ObjectId::new(bucket, Bytes::copy_from_slice(key.as_bytes()));
        let keydata = keydata.map(|text| JsonText(text.to_owned()));
        Some((KeyInput { id, keydata }, self.entries.len() - left.len()))
    }
}
