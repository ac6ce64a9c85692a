//! A parsed query.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mapring_filters::{Filters, PropertyFilters};
use mapring_kv::Selection;
use mapring_readers::KeySample;
use mapring_script::JsonText;
use mapring_types::{BucketId, ObjectId, limits as common};
use serde::{Deserialize, Serialize};

use super::options::{Consistency, OnError, Options};
use super::output::{AnswerForm, Output, Target};
use super::phase::Phase;
use super::source::Source;
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
            Inputs::Source(source) => assert!(!source.parts.is_empty(), "a source of nothing"),
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

    /// Whether its plain answer is a result a line, which may leave as they come. Where inputs may be left
    /// out it does not: what these were is known at the end, and stands before the answer.
    pub fn streams_lines(&self) -> bool {
        let Spec { options, output, .. } = &*self.0;
        output.target == Target::Answer(AnswerForm::Lines) && options.on_error == OnError::Fail
    }

    /// What becomes of the results.
    pub(crate) fn output(&self) -> &Output {
        &self.0.output
    }

    /// Whether its results become objects, which it names, and not its answer.
    pub fn stores_results(&self) -> bool {
        matches!(self.0.output.target, Target::Objects(_))
    }

    /// Whether the client gets the results of a phase.
    pub fn keeps(&self, phase: usize) -> bool {
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
    /// Members that nobody reads, of a query whose plan is to be shown.
    pub(crate) ignored: Vec<String>,
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
    /// What is taken out of objects, or made.
    Source(Source),
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
    /// Only a part of them, chosen by their keys; of several, what is in all of them.
    pub(crate) samples: Vec<KeySample>,
}

impl Scan {
    /// Everything in a bucket.
    pub(crate) fn whole(bucket: BucketId) -> Self {
        let (selection, narrowing) = (Selection::All, Narrowing::default());
        Self { bucket, selection, filters: None, narrowing, every_type: false, consistency: None }
    }

    /// Whether it is of everything in a bucket, as it is.
    pub(crate) fn is_whole(&self) -> bool {
        *self == Self::whole(self.bucket.clone())
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

    /// The bytes of those from one on, about.
    pub(crate) fn bytes_from(&self, at: usize) -> usize {
        self.entries.len().saturating_sub(at)
    }

    /// Those from one on, packed: the buckets, and everything else.
    pub(crate) fn rest(&self, at: usize) -> (Vec<BucketId>, Bytes) {
        let rest = self.entries.get(at..).unwrap_or_default();
        (self.buckets.clone(), Bytes::copy_from_slice(rest))
    }

    /// A list to be read, of what [`PackedKeys::rest`] gave.
    pub(crate) fn of_rest(buckets: Vec<BucketId>, entries: &[u8]) -> Self {
        let mut keys = Self { buckets, entries: entries.to_vec(), ..Self::default() };
        keys.count = keys.iter().count() as u64;
        keys
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = KeyInput> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let (input, next) = self.read(at)?;
            at = next;
            Some(input)
        })
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
