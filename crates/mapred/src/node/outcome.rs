//! What becomes of inputs and of units.

use mapring_script::{Combined, Row, ScriptError};
use mapring_types::Error;

use crate::unit::Broken;

/// What became of one input.
pub(super) enum Outcome {
    /// The results of the phase.
    Results(Vec<Row>),
    /// Of so many inputs together, what the reduce that follows has made of the results.
    Combined(Combined),
    /// It is left out: the function failed for it, and the query wants to go on.
    Skipped(Box<Broken>),
}

impl Outcome {
    /// How many inputs it is of.
    pub(super) fn inputs(&self) -> usize {
        match self {
            Self::Results(_) | Self::Skipped(_) => 1,
            Self::Combined(combined) => usize::try_from(combined.inputs).unwrap_or(usize::MAX),
        }
    }

    /// The bytes of what came of them.
    pub(super) fn bytes(&self) -> usize {
        let values = match self {
            Self::Results(values) | Self::Combined(Combined { values, .. }) => values,
            Self::Skipped(_) => return 0,
        };
        values.iter().map(Row::bytes).sum()
    }
}

/// Why a unit ended before its end.
pub(super) enum UnitEnd {
    /// Nobody takes its frames.
    Gone,
    /// It cannot be run here.
    Unable(Error),
    /// A function failed.
    Broken(Box<Broken>),
}

impl From<Error> for UnitEnd {
    fn from(error: Error) -> Self {
        Self::Unable(error)
    }
}

/// The failure of a unit whose worker was lost: another node may do better.
pub(super) fn worker_lost(error: &ScriptError) -> Error {
    Error::unavailable(format!("a worker was lost: {}", error.message))
}
