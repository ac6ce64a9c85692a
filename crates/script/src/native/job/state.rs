//! What the values of a key have been folded into.

use std::collections::BTreeSet;

use mapring_shuffle::key;

use super::sum::{Sum, SumError};
use super::{Fold, Job};
use crate::native::kind::bad_argument;
use crate::{FailureCause, JsonText, ScriptError};

/// What a text that is a state begins with: no JSON does.
const MARK: char = '~';

/// A value that is given to a fold.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Given<'a> {
    /// A number of JavaScript that is finite.
    Number(f64),
    /// JSON, or a state.
    Text(&'a str),
}

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    /// All values, in their order.
    All(Vec<String>),
    /// The first value.
    First(Option<String>),
    Count(u64),
    Sum(Sum),
    Mean(Sum, u64),
    /// The least or the greatest value, as a key.
    Best(Option<Vec<u8>>),
    /// The values as keys.
    Distinct(BTreeSet<Vec<u8>>),
    /// The greatest values as keys, from there down.
    Top(Vec<Vec<u8>>),
}

impl State {
    /// What no values have been folded into.
    pub(super) fn of_nothing(job: Job) -> Self {
        match job {
            Job::Identity | Job::Values => Self::All(Vec::new()),
            Job::Keys => Self::First(None),
            Job::Count => Self::Count(0),
            Job::Sum => Self::Sum(Sum::default()),
            Job::Mean => Self::Mean(Sum::default(), 0),
            Job::Min | Job::Max => Self::Best(None),
            Job::Distinct => Self::Distinct(BTreeSet::new()),
            Job::Top => Self::Top(Vec::new()),
        }
    }

    /// Folds a value in; gives by how many bytes more is held, about.
    pub(super) fn add(&mut self, given: Given<'_>, fold: Fold) -> Result<usize, ScriptError> {
        if let Given::Text(text) = given
            && text.starts_with(MARK)
        {
            return self.merge(text, fold);
        }
        let number = |error| fold.no_number(error, given);
        match self {
            Self::Count(count) => {
                *count = count.saturating_add(1);
                Ok(0)
            }
            Self::Sum(sum) => add(sum, given).map(|_| 0).map_err(number),
            Self::Mean(sum, count) => {
                if add(sum, given).map_err(number)? {
                    *count = count.saturating_add(1);
                }
                Ok(0)
            }
            Self::All(values) => {
                let text = given.text();
                let bytes = text.len() + size_of::<String>();
                values.push(text);
                Ok(bytes)
            }
            Self::First(first) => Ok(match first {
                Some(_) => 0,
                None => first.insert(given.text()).len(),
            }),
            Self::Best(_) | Self::Top(_) if given.is_null() => Ok(0),
            Self::Best(_) | Self::Distinct(_) | Self::Top(_) => {
                let key = given.key()?;
                Ok(self.compare(key, fold))
            }
        }
    }

    /// Takes a value as a key where it is among those that are kept.
    fn compare(&mut self, value: Vec<u8>, fold: Fold) -> usize {
        let bytes = value.len() + size_of::<Vec<u8>>();
        match self {
            Self::Best(best) => {
                let better = |best: &Vec<u8>| match fold.job {
                    Job::Min => value < *best,
                    _ => value > *best,
                };
                if best.as_ref().is_none_or(better) {
                    *best = Some(value);
                }
                0
            }
            Self::Distinct(values) => usize::from(values.insert(value)) * bytes,

            Self::Top(values) => {
                let at = values.partition_point(|other| *other >= value);
                if at >= fold.most {
                    return 0;
                }
                values.insert(at, value);
                let grown = values.len() <= fold.most;
                values.truncate(fold.most);
                if grown { bytes } else { 0 }
            }
            _ => 0,
        }
    }

    /// Folds a state in.
    fn merge(&mut self, text: &str, fold: Fold) -> Result<usize, ScriptError> {
        let state = Self::read(text)?;
        let too_large = |error| fold.no_number(error, Given::Text(text));
        match (&mut *self, &state) {
            (Self::Count(count), Self::Count(more)) => {
                *count = count.saturating_add(*more);
                Ok(0)
            }
            (Self::Sum(sum), Self::Sum(more)) => sum.merge(more).map(|()| 0).map_err(too_large),
            (Self::Mean(sum, count), Self::Mean(more, of)) => {
                *count = count.saturating_add(*of);
                sum.merge(more).map(|()| 0).map_err(too_large)
            }
            // Of another function: its plain value.
            _ => self.add(Given::Text(&state.value()), fold),
        }
    }

    /// The values that stand for it between a combiner and whatever follows.
    pub(crate) fn into_texts(self) -> Vec<String> {
        let mut text = String::from(MARK);
        match self {
            Self::All(values) => return values,
            Self::First(first) => return first.into_iter().collect(),
            Self::Sum(sum) if sum.is_plain() => return vec![sum.text()],
            // The key stays, whose value is null or no value.
            Self::Best(None) => return vec!["null".to_owned()],
            Self::Top(values) if values.is_empty() => return vec!["null".to_owned()],
            Self::Best(Some(key)) => return vec![json(&key)],
            Self::Distinct(values) => return values.iter().map(|key| json(key)).collect(),
            Self::Top(values) => return values.iter().map(|key| json(key)).collect(),
            Self::Count(count) => {
                text.push('c');
                text.push_str(&count.to_string());
            }
            Self::Sum(sum) => {
                text.push('s');
                sum.write(&mut text);
            }
            Self::Mean(sum, count) => {
                text.push('m');
                text.push_str(&count.to_string());
                text.push(';');
                sum.write(&mut text);
            }
        }
        vec![text]
    }

    /// Reads what [`State::into_texts`] has made of a count, a sum or a mean.
    fn read(text: &str) -> Result<Self, ScriptError> {
        let damaged = || {
            let message = "what a built-in combiner gave is damaged";
            ScriptError::new(FailureCause::Worker, message)
        };
        let read = || {
            let rest = text.strip_prefix(MARK)?;
            let kind = rest.chars().next()?;
            let rest = rest.get(1..)?;
            match kind {
                'c' => Some(Self::Count(rest.parse().ok()?)),
                's' => Some(Self::Sum(Sum::read(rest)?)),
                'm' => {
                    let (count, sum) = rest.split_once(';')?;
                    Some(Self::Mean(Sum::read(sum)?, count.parse().ok()?))
                }
                _ => None,
            }
        };
        read().ok_or_else(damaged)
    }

    /// The value that it comes to, as JSON.
    pub(super) fn value(&self) -> String {
        let list = |keys: &mut dyn Iterator<Item = &Vec<u8>>| {
            let texts: Vec<String> = keys.map(|key| json(key)).collect();
            format!("[{}]", texts.join(","))
        };
        match self {
            Self::All(values) => format!("[{}]", values.join(",")),
            Self::First(first) => first.clone().unwrap_or_else(|| "null".to_owned()),
            Self::Count(count) => count.to_string(),
            Self::Sum(sum) => sum.text(),
            Self::Mean(_, 0) | Self::Best(None) => "null".to_owned(),
            Self::Mean(sum, count) => {
                let mut text = String::new();
                #[allow(clippy::cast_precision_loss)] // Nobody has as many values as that takes.
                crate::json::write_js_number(sum.number() / *count as f64, &mut text);
                text
            }
            Self::Best(Some(key)) => json(key),
            Self::Distinct(values) => list(&mut values.iter()),
            Self::Top(values) => list(&mut values.iter()),
        }
    }
}

impl Given<'_> {
    /// Whether it is no text.
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Number(_))
    }

    fn is_null(self) -> bool {
        matches!(self, Self::Text(text) if text.trim() == "null")
    }

    /// About the bytes of its text.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(_) => size_of::<f64>(),
        }
    }

    pub(crate) fn text(self) -> String {
        match self {
            Self::Text(text) => text.to_owned(),
            Self::Number(number) => {
                let mut text = String::new();
                crate::json::write_js_number(number, &mut text);
                text
            }
        }
    }

    fn key(self) -> Result<Vec<u8>, ScriptError> {
        let mut key = Vec::new();
        match self {
            Self::Text(text) => key::encode(text, &mut key).map_err(crate::groups::unfit)?,
            Self::Number(number) => {
                let mut writer = key::Writer::new(&mut key);
                let written = writer.number(number).and_then(|()| writer.finish());
                written.map_err(crate::groups::unfit)?;
            }
        }
        Ok(key)
    }
}

/// Adds a number to a sum; null is no number, and does no harm. Whether there was one.
fn add(sum: &mut Sum, given: Given<'_>) -> Result<bool, SumError> {
    match given {
        _ if given.is_null() => return Ok(false),
        Given::Text(text) => sum.add_text(text.trim())?,
        Given::Number(number) => sum.add_number(number)?,
    }
    Ok(true)
}

impl Fold {
    fn no_number(self, error: SumError, given: Given<'_>) -> ScriptError {
        let (name, text) = (self.job.name(), given.text());
        let shown: String = text.chars().take(80).collect();
        bad_argument(match error {
            SumError::NoNumber => format!("{name} takes numbers, not {shown}"),
            SumError::TooLarge => format!("{name}: {shown} is too large a number"),
        })
    }
}

/// The JSON of a key that was made here.
fn json(key: &[u8]) -> String {
    key::decode(key).unwrap_or_else(|_| "null".to_owned())
}

/// Values as a user's function sees them: what built-in combiners gave for the same values becomes one
/// plain value.
pub(crate) fn plain(values: Vec<JsonText>) -> Result<Vec<JsonText>, ScriptError> {
    if !values.iter().any(|value| value.0.starts_with(MARK)) {
        return Ok(values);
    }
    let mut out = Vec::with_capacity(values.len());
    let mut states: Vec<(usize, Fold, State)> = Vec::new();
    for value in values {
        if !value.0.starts_with(MARK) {
            out.push(value);
            continue;
        }
        let state = State::read(&value.0)?;
        let job = match state {
            State::Count(_) => Job::Count,
            State::Mean(..) => Job::Mean,
            _ => Job::Sum,
        };
        match states.iter_mut().find(|(_, fold, _)| fold.job == job) {
            Some((_, fold, known)) => {
                known.add(Given::Text(&value.0), *fold)?;
            }
            None => {
                states.push((out.len(), Fold::plain(job), state));
                out.push(value);
            }
        }
    }
    for (at, _, state) in states {
        if let Some(value) = out.get_mut(at) {
            *value = JsonText(state.value());
        }
    }
    Ok(out)
}
