//! The inputs that a query itself has.

use mapring_script::Row;

use crate::failure::{FailedInput, Failure, FailureKind};
use crate::grammar::{Inputs, KeyInput};
use crate::keys;

/// One of them.
pub(super) enum Input {
    Key(KeyInput),
    Value(Row),
}

impl Input {
    /// As a value: a key as Erlang's functions get it, if it is for one.
    pub(super) fn into_value(self, term: bool) -> Result<Row, Failure> {
        let value = match self {
            Self::Key(input) if term => keys::to_term(&input),
            Self::Key(input) => keys::to_row(&input),
            Self::Value(value) => Ok(value),
        };
        value.map_err(|error| Failure::from(error).in_phase(0))
    }

    /// As the name of an object.
    pub(super) fn into_key(self) -> Result<KeyInput, Failure> {
        match self {
            Self::Key(input) => Ok(input),
            Self::Value(value) => key(0, &value),
        }
    }
}

/// The input at a place, and the place of the next one.
pub(super) fn next_input(inputs: &Inputs, at: usize) -> Option<(Input, usize)> {
    match inputs {
        Inputs::Scan(_) | Inputs::Source(_) => None,
        Inputs::Keys(list) => list.read(at).map(|(input, next)| (Input::Key(input), next)),
        Inputs::Values(values) => {
            values.get(at).map(|value| (Input::Value(Row::Value(value)), at + 1))
        }
    }
}

/// A value that a phase gave, or the query has, as the name of an object.
pub(super) fn key(phase: usize, value: &Row) -> Result<KeyInput, Failure> {
    keys::parse(value).ok_or_else(|| {
        let words = "a result is no input for the phase that follows: it takes [bucket, key], \
                     [bucket, key, keydata] or [bucket, key, keydata, type]";
        let failure = Failure::new(FailureKind::BadInput, words).in_phase(phase);
        failure.of(FailedInput::Row(value.clone()))
    })
}
