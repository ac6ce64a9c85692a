//! Grouped maps, combiners and grouped reduces that run in the node itself.

use super::job::{Fold, Given, MapJob};
use super::{Kind, Native, argument};
use crate::gather::Gather;
use crate::groups::{canonical, pair_of};
use crate::{
    CombinedGroups, Combiner, Group, Grouping, JsonText, MapInput, Mapped, MappedPairs,
    PhaseFunction, Row, ScriptError, limits,
};

/// Calls a built-in map function on the inputs; the results become pairs, combined where the combiner
/// is a function of `Job`. It may end before the inputs do, after at least one.
///
/// # Errors
/// The first failure, with its input's number.
pub fn map_pairs(
    function: &PhaseFunction,
    grouping: &Grouping,
    inputs: &[MapInput],
) -> Result<MappedPairs, ScriptError> {
    let fold = match &grouping.combine {
        Some(combiner) => Fold::of(combiner)?,
        None => None,
    };
    let mut gather = Gather::new(fold);
    let mut push = |at: usize, key: &str, value: &str| {
        let input = u32::try_from(at).unwrap_or(u32::MAX);
        let key = canonical(key, grouping.string_keys)?;
        gather.push(input, &key, Given::Text(value))?;
        Ok(gather.bytes())
    };
    let map = MapJob::find(function)?;
    let native = match map {
        Some(_) => None,
        None => Some((Native::require(function, Kind::Map)?, argument(function)?)),
    };
    let mut done = 0;
    for (at, input) in inputs.iter().enumerate() {
        let one = || -> Result<usize, ScriptError> {
            if let Some(map) = &map {
                return match map.pair(input)? {
                    Some((key, value)) => push(at, &key, &value),
                    None => Ok(0),
                };
            }
            let (Some((native, arg)), Some(_)) = (&native, &input.record) else { return Ok(0) };
            let mut bytes = 0;
            for row in native.map(input, arg.as_ref(), function.binary)? {
                let (key, value) = pair_of(&row)?;
                bytes = push(at, key, value)?;
            }
            Ok(bytes)
        };
        let mut one = one;
        let bytes = one().map_err(|error| error.at(at))?;
        done += 1;
        if bytes >= limits::BATCH_RESULT_BYTES {
            break;
        }
    }
    gather.finish(done)
}

/// Combines groups by a function of `Job`.
///
/// # Errors
/// The first failure, with its group's number; the combiner is no such function.
pub fn combine_groups(
    combiner: &Combiner,
    groups: &[Group],
) -> Result<CombinedGroups, ScriptError> {
    Fold::of(combiner)?.ok_or_else(no_fold)?.combine(groups)
}

/// Reduces groups by a function of `Job`. It may end before the groups do, after at least one.
///
/// # Errors
/// The first failure, with its group's number; the function is no such function.
pub fn reduce_groups(function: &PhaseFunction, groups: &[Group]) -> Result<Mapped, ScriptError> {
    fold(function)?.reduce(groups)
}

/// Begins to reduce one group by a function of `Job`.
///
/// # Errors
/// The function is no such function.
pub fn fold_stream(function: &PhaseFunction) -> Result<Folding, ScriptError> {
    Ok(Folding(fold(function)?.begin()))
}

/// One group whose values come bit by bit.
#[derive(Debug)]
pub struct Folding(super::job::Folding);

impl Folding {
    /// Takes more values.
    ///
    /// # Errors
    /// One is none for the function, or too much is held.
    pub fn push(&mut self, values: &[JsonText]) -> Result<(), ScriptError> {
        self.0.push(values)
    }

    /// The results, for the group of a canonical key.
    ///
    /// # Errors
    /// The key is none.
    pub fn finish(self, key: &[u8]) -> Result<Vec<Row>, ScriptError> {
        self.0.finish(key)
    }
}

fn fold(function: &PhaseFunction) -> Result<Fold, ScriptError> {
    Fold::find(function)?.ok_or_else(no_fold)
}

fn no_fold() -> ScriptError {
    let message = "the function reduces no groups: only JavaScript and functions of Job do";
    super::bad_argument(message)
}
