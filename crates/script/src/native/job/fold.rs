//! Folding the values of keys.

use std::collections::HashMap;

use mapring_shuffle::{Pairs, key};

use super::{Given, Job, State};
use crate::json::{Number, Value, parse};
use crate::native::kind::bad_argument;
use crate::{CombinedGroups, Group, JsonText, Mapped, PhaseFunction, Row, ScriptError, limits};

/// A function of `Job` with its argument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fold {
    pub(super) job: Job,
    /// How many values `Job.top` keeps.
    pub(super) most: usize,
}

impl Fold {
    /// The fold that a function is; `None` for another function.
    ///
    /// # Errors
    /// The argument of `Job.top` is no number of values.
    pub(crate) fn find(function: &PhaseFunction) -> Result<Option<Self>, ScriptError> {
        let Some(job) = Job::find(function) else { return Ok(None) };
        let most = match (&function.arg, job) {
            (Some(JsonText(arg)), Job::Top) => top(arg)?,
            _ => limits::TOP,
        };
        Ok(Some(Self { job, most }))
    }

    /// With no argument.
    pub(super) fn plain(job: Job) -> Self {
        Self { job, most: limits::TOP }
    }

    fn all(self, group: &Group) -> Result<State, ScriptError> {
        let mut state = State::of_nothing(self.job);
        for JsonText(value) in group.old.iter().chain(&group.values) {
            state.add(Given::Text(value), self)?;
        }
        Ok(state)
    }

    /// Combines groups.
    pub(crate) fn combine(self, groups: &[Group]) -> Result<CombinedGroups, ScriptError> {
        let mut out = CombinedGroups::default();
        for (at, group) in groups.iter().enumerate() {
            let state = self.all(group).map_err(|error| error.at(at))?;
            out.values.push(state.into_texts().into_iter().map(JsonText).collect());
        }
        Ok(out)
    }

    /// Reduces groups.
    pub(crate) fn reduce(self, groups: &[Group]) -> Result<Mapped, ScriptError> {
        let mut out = Mapped::default();
        let mut bytes = 0;
        for (at, group) in groups.iter().enumerate() {
            let state = self.all(group).map_err(|error| error.at(at))?;
            let results = self.results(&group.key, state).map_err(|error| error.at(at))?;
            bytes += results.iter().map(Row::bytes).sum::<usize>();
            out.results.push(results);
            if bytes >= limits::BATCH_RESULT_BYTES {
                break;
            }
        }
        Ok(out)
    }

    fn results(self, key: &[u8], state: State) -> Result<Vec<Row>, ScriptError> {
        let key = key::decode(key).map_err(crate::groups::unfit)?;
        let pair = |value: &str| Row::value(format!("[{key},{value}]"));
        Ok(match (self.job, state) {
            (Job::Keys, _) => vec![Row::value(key)],
            (Job::Values, State::All(values)) => values.into_iter().map(Row::value).collect(),
            (Job::Identity, State::All(values)) => values.iter().map(|value| pair(value)).collect(),
            (_, state) => vec![pair(&state.value())],
        })
    }

    /// A reduce of one group whose values come bit by bit.
    pub(crate) fn begin(self) -> Folding {
        Folding { fold: self, state: State::of_nothing(self.job), bytes: 0 }
    }
}

/// A group that is being folded.
#[derive(Debug)]
pub(crate) struct Folding {
    fold: Fold,
    state: State,
    bytes: usize,
}

impl Folding {
    /// Folds values in.
    pub(crate) fn push(&mut self, values: &[JsonText]) -> Result<(), ScriptError> {
        for JsonText(value) in values {
            self.bytes += self.state.add(Given::Text(value), self.fold)?;
        }
        let limit = limits::NATIVE_REDUCE_BYTES;
        if self.bytes as u64 > limit {
            let name = self.fold.job.name();
            let message = format!("{name} holds more than {limit} bytes of a group");
            return Err(ScriptError::new(crate::FailureCause::Memory, message));
        }
        Ok(())
    }

    /// The results.
    pub(crate) fn finish(self, key: &[u8]) -> Result<Vec<Row>, ScriptError> {
        self.fold.results(key, self.state)
    }
}

/// Pairs that are folded as they come, by key.
#[derive(Debug)]
pub(crate) struct FoldedPairs {
    fold: Fold,
    places: HashMap<Box<[u8]>, usize>,
    /// The input that a key first came of, and its state: in the order in which keys came.
    groups: Vec<(u32, State)>,
    bytes: usize,
}

impl FoldedPairs {
    pub(crate) fn new(fold: Fold) -> Self {
        Self { fold, places: HashMap::new(), groups: Vec::new(), bytes: 0 }
    }

    /// Takes a pair; `made` bytes of it count for what is held.
    pub(crate) fn push(
        &mut self,
        input: u32,
        key: &[u8],
        value: Given<'_>,
    ) -> Result<(), ScriptError> {
        let at = match self.places.get(key) {
            Some(&at) => at,
            None => {
                self.bytes += key.len() + size_of::<(u32, State)>();
                self.places.insert(key.into(), self.groups.len());
                self.groups.push((input, State::of_nothing(self.fold.job)));
                self.groups.len() - 1
            }
        };
        if let Some((_, state)) = self.groups.get_mut(at) {
            self.bytes += state.add(value, self.fold)?;
        }
        Ok(())
    }

    /// About the bytes that are held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The pairs that are left.
    pub(crate) fn finish(self) -> Result<Pairs, ScriptError> {
        let mut keys = vec![Box::default(); self.groups.len()];
        for (key, at) in self.places {
            if let Some(place) = keys.get_mut(at) {
                *place = key;
            }
        }
        let mut pairs = Pairs::new();
        for (key, (input, state)) in keys.iter().zip(self.groups) {
            for text in state.into_texts() {
                pairs.push(input, key, &text).map_err(crate::groups::unfit)?;
            }
        }
        Ok(pairs)
    }
}

/// How many values `Job.top` keeps, by its argument: a number, or `{"n":number}`.
fn top(arg: &str) -> Result<usize, ScriptError> {
    let wrong = || {
        let most = limits::TOP_MOST;
        bad_argument(format!("the argument of Job.top is a number from 1 to {most}, not {arg:.80}"))
    };
    let value = parse(arg).map_err(|_| wrong())?;
    let number = match &value {
        Value::Object(_) => value.get("n").unwrap_or(&Value::Null),
        value => value,
    };
    let most = i128::try_from(limits::TOP_MOST).unwrap_or(i128::MAX);
    match number {
        Value::Number(Number::Int(number)) if (1..=most).contains(number) => {
            usize::try_from(*number).map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}
