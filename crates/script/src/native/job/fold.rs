//! Folding the values of keys.

use std::collections::HashMap;

use mapring_shuffle::{Pairs, key};

use super::{Given, Job, State};
use crate::json::{Number, Value, parse};
use crate::native::kind::bad_argument;
use crate::{
    CombinedGroups, Combiner, Group, JsonText, Mapped, PhaseFunction, Row, ScriptError, limits,
};

/// A function of `Job` with its argument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fold {
    pub(super) job: Job,
    /// How many values `Job.top` keeps.
    pub(super) most: usize,
    /// See [`Combiner::lenient`].
    lenient: bool,
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
        Ok(Some(Self { job, most, lenient: false }))
    }

    /// The fold that a combiner is; `None` for another function.
    ///
    /// # Errors
    /// As [`Fold::find`].
    pub(crate) fn of(combiner: &Combiner) -> Result<Option<Self>, ScriptError> {
        let fold = Self::find(&combiner.function)?;
        Ok(fold.map(|fold| Self { lenient: combiner.lenient, ..fold }))
    }

    /// With no argument.
    pub(super) fn plain(job: Job) -> Self {
        Self { job, most: limits::TOP, lenient: false }
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
            let (mut state, mut left) = (State::of_nothing(self.job), Vec::new());
            for value in group.old.iter().chain(&group.values) {
                match state.add(Given::Text(&value.0), self) {
                    Ok(_) => {}
                    Err(_) if self.lenient => left.push(value.clone()),
                    Err(error) => return Err(error.at(at)),
                }
            }
            out.combined += 1;
            out.values.push(state.into_texts().into_iter().map(JsonText).chain(left).collect());
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
    /// Pairs that are not folded any further: of keys that were too many, and with values that cannot
    /// be folded.
    left: Pairs,
    left_keys: usize,
    /// How many pairs came.
    pushed: usize,
    /// Nothing more is folded: it is not worth it.
    plain: bool,
}

impl FoldedPairs {
    pub(crate) fn new(fold: Fold) -> Self {
        let (places, groups, left) = (HashMap::new(), Vec::new(), Pairs::new());
        Self { fold, places, groups, bytes: 0, left, left_keys: 0, pushed: 0, plain: false }
    }

    /// Takes a pair; `made` bytes of it count for what is held.
    pub(crate) fn push(
        &mut self,
        input: u32,
        key: &[u8],
        value: Given<'_>,
    ) -> Result<(), ScriptError> {
        self.pushed += 1;
        if self.plain {
            return match value {
                Given::Text(text) => self.left.push(input, key, text),
                Given::Number(_) => self.left.push(input, key, &value.text()),
            }
            .map_err(crate::groups::unfit);
        }
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
            match state.add(value, self.fold) {
                Ok(bytes) => self.bytes += bytes,
                Err(_) if self.fold.lenient => {
                    self.left.push(input, key, &value.text()).map_err(crate::groups::unfit)?;
                }
                Err(error) => return Err(error),
            }
        }
        // One that nobody asked for is to be worth it.
        if self.fold.lenient && self.pushed == limits::FOLDED_TRIED {
            self.plain = self.groups.len() > self.pushed / 2;
        }
        if self.plain || self.bytes >= limits::FOLDED_BYTES { self.leave() } else { Ok(()) }
    }

    /// Lets go of what was folded so far.
    fn leave(&mut self) -> Result<(), ScriptError> {
        let groups = std::mem::take(&mut self.groups);
        self.left_keys += groups.len();
        let mut keys = vec![Box::default(); groups.len()];
        for (key, at) in self.places.drain() {
            if let Some(place) = keys.get_mut(at) {
                *place = key;
            }
        }
        for (key, (input, state)) in keys.iter().zip(groups) {
            for text in state.into_texts() {
                self.left.push(input, key, &text).map_err(crate::groups::unfit)?;
            }
        }
        self.bytes = 0;
        Ok(())
    }

    /// About the bytes that are held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.left.bytes()
    }

    /// How many keys there are, those that were left before twice if they came again.
    pub(crate) fn keys(&self) -> usize {
        self.left_keys + self.groups.len()
    }

    /// The pairs that are left.
    pub(crate) fn finish(mut self) -> Result<Pairs, ScriptError> {
        self.leave()?;
        Ok(self.left)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asked_for_is_done_while_it_is_worth_it() {
        let fold = Fold { lenient: true, ..Fold::plain(Job::Sum) };
        for (keys, worth) in [(10, true), (limits::FOLDED_TRIED / 2, true), (10_000, false)] {
            let mut folded = FoldedPairs::new(fold);
            for number in 0..10_000 {
                let mut key = Vec::new();
                key::encode(&(number % keys).to_string(), &mut key).unwrap();
                folded.push(0, &key, Given::Number(0.5)).unwrap();
            }
            let pairs = folded.finish().unwrap();
            assert_eq!(pairs.count() as usize == keys, worth || keys == 10_000, "{keys}");
            let texts = pairs.iter().filter(|pair| pair.as_ref().unwrap().value == "0.5").count();
            assert_eq!(texts > 0, !worth, "{keys}");
        }
    }

    #[test]
    fn very_many_keys_are_let_go_of() {
        let mut folded = FoldedPairs::new(Fold::plain(Job::Sum));
        let keys = 120_000u32;
        for round in 0..2 {
            for number in 0..keys {
                let mut key = Vec::new();
                key::encode(&format!("\"{number:060}\""), &mut key).unwrap();
                folded.push(round, &key, Given::Number(1.0)).unwrap();
                assert!(folded.bytes() - folded.left.bytes() <= limits::FOLDED_BYTES);
            }
        }
        let known = folded.keys();
        let pairs = folded.finish().unwrap();
        assert_eq!(pairs.count() as usize, known);
        assert!((keys as usize..=2 * keys as usize).contains(&known), "{known}");
        let sum: u32 = pairs.iter().map(|pair| pair.unwrap().value.parse::<u32>().unwrap()).sum();
        assert_eq!(sum, 2 * keys);
    }
}
