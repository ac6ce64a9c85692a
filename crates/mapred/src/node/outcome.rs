//! What becomes of inputs and of units.

use mapring_script::{Combined, Effects, FailureCause, Handled, Row, ScriptError};
use mapring_shuffle::Pairs;
use mapring_types::{Error, NodeId};

use crate::unit::Broken;

/// What became of one input.
pub(super) enum Outcome {
    /// The results of the phase.
    Results(Vec<Row>),
    /// Of so many inputs together, what the reduce that follows has made of the results.
    Combined(Combined),
    /// Of so many inputs together, pairs that are to be grouped.
    Pairs(MadePairs),
    /// It is left out: the function failed for it, and the query wants to go on.
    Skipped(Box<Broken>),
}

/// Pairs that a call made.
pub(super) struct MadePairs {
    pub(super) inputs: usize,
    pub(super) pairs: Pairs,
    /// How many there were, and their bytes, before they were combined.
    pub(super) made: u64,
    pub(super) made_bytes: u64,
    /// How often the combiner was called.
    pub(super) combined: u64,
}

/// What the end of a slice or shard gave.
pub(super) struct Ending {
    /// Results, …
    pub(super) rows: Vec<Row>,
    /// … or pairs where they are grouped here.
    pub(super) pairs: Option<MadePairs>,
    pub(super) effects: Effects,
}

/// What became of the inputs of a call, and what the functions asked for beside.
pub(super) struct Called {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) effects: Effects,
    /// Of a function that is an object with methods for shards and slices.
    pub(super) handled: Option<Handled>,
}

impl From<Vec<Outcome>> for Called {
    fn from(outcomes: Vec<Outcome>) -> Self {
        Self { outcomes, effects: Effects::default(), handled: None }
    }
}

impl Outcome {
    /// How many inputs it is of.
    pub(super) fn inputs(&self) -> usize {
        match self {
            Self::Results(_) | Self::Skipped(_) => 1,
            Self::Combined(combined) => usize::try_from(combined.inputs).unwrap_or(usize::MAX),
            Self::Pairs(made) => made.inputs,
        }
    }

    /// The bytes of what came of them.
    pub(super) fn bytes(&self) -> usize {
        let values = match self {
            Self::Results(values) | Self::Combined(Combined { values, .. }) => values,
            Self::Pairs(made) => return made.pairs.bytes(),
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
    /// A function asks for another attempt, which may do better.
    Again(Box<Broken>),
    /// Pairs cannot be stored at a node that is to keep them.
    HolderLost(NodeId, Error),
    /// A function failed.
    Broken(Box<Broken>),
    /// The lane has taken as many inputs as it may.
    Spent,
}

impl UnitEnd {
    /// The end by a function that failed, or asks for another attempt.
    pub(super) fn broken(broken: Broken) -> Self {
        match broken.error.cause {
            FailureCause::Retry => Self::Again(Box::new(broken)),
            _ => Self::Broken(Box::new(broken)),
        }
    }
}

impl From<Error> for UnitEnd {
    fn from(error: Error) -> Self {
        Self::Unable(error)
    }
}

/// Why pairs cannot be made a run.
pub(crate) enum PairsError {
    /// A row is no pair, and why.
    Row(Row, ScriptError),
    /// The combiner failed.
    Combiner(ScriptError),
    /// They cannot be stored here.
    Node(Error),
    /// They cannot be stored at another node that is to keep them.
    Holder(NodeId, Error),
}

impl From<Error> for PairsError {
    fn from(error: Error) -> Self {
        Self::Node(error)
    }
}

/// The failure of a unit whose worker was lost: another node may do better.
pub(super) fn worker_lost(error: &ScriptError) -> Error {
    Error::unavailable(format!("a worker was lost: {}", error.message))
}
