//! The ready-made functions of `Job`: as a map, as a combiner, as a grouped reduce.
//!
//! A combiner and a reduce fold the values of a key into a state. Between the two some states
//! travel as texts that are no JSON, since a plain value would say too little: of which values the
//! mean is, how many values were counted, what a sum of fractions has beyond the digits of a number.
//! So a result is the same in whatever order and groups values were folded. Whoever else reads such a
//! text sees the plain value ([`plain`]).

mod fold;
mod map;
mod state;
mod sum;

pub(crate) use fold::{Fold, FoldedPairs, Folding};
pub(crate) use map::MapJob;
pub(crate) use state::{Given, State, plain};

use super::kind::bad_argument;
use crate::{Function, PhaseFunction, ScriptError};

/// A function of `Job`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    Identity,
    Keys,
    Values,
    Count,
    Sum,
    Min,
    Max,
    Mean,
    Distinct,
    Top,
}

const FUNCTIONS: [(&str, Job); 10] = [
    ("Job.identity", Job::Identity),
    ("Job.keys", Job::Keys),
    ("Job.values", Job::Values),
    ("Job.count", Job::Count),
    ("Job.sum", Job::Sum),
    ("Job.min", Job::Min),
    ("Job.max", Job::Max),
    ("Job.mean", Job::Mean),
    ("Job.distinct", Job::Distinct),
    ("Job.top", Job::Top),
];

impl Job {
    /// The function that a name, or a source that is only a name, stands for.
    pub(crate) fn find(function: &PhaseFunction) -> Option<Self> {
        let name = match &function.function {
            Function::Named(name) => name.as_str(),
            Function::Source(source) | Function::Stored { source, .. } => source.trim(),
            Function::Erlang { .. } | Function::Part(..) => return None,
        };
        FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, job)| *job)
    }

    pub(crate) fn name(self) -> &'static str {
        FUNCTIONS.iter().find(|(_, job)| *job == self).map_or("Job", |(name, _)| name)
    }

    /// Whether it gives the same for values in any order, some of which it may have combined before.
    pub(crate) fn is_order_free(self) -> bool {
        match self {
            // Sums are exact until they are rounded at the end, counts and means are made of such, and the
            // others compare canonical values.
            Self::Count
            | Self::Sum
            | Self::Min
            | Self::Max
            | Self::Mean
            | Self::Distinct
            | Self::Top => true,
            Self::Identity | Self::Keys | Self::Values => false,
        }
    }

    /// What a reduce without groups would have to be.
    pub(crate) fn needs_group(self) -> ScriptError {
        let name = self.name();
        bad_argument(format!("{name} reduces groups: the phase needs \"group\":true"))
    }
}
