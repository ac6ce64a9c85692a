//! Filters as a query has them.

use serde::{Deserialize, Serialize};

use crate::term::Term;

/// Why a list of filters is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterError {
    /// There is no filter of this name.
    Unknown {
        /// Where it stands: `key_filters[0][1][2]` is the third filter of the first branch of the
        /// first filter.
        place: String,
        /// The name.
        name: String,
    },
    /// A filter is not written as it must be.
    Malformed {
        /// See [`FilterError::Unknown`].
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// A filter cannot be run whatever the key: its expression is none, or is too large.
    Unusable {
        /// See [`FilterError::Unknown`].
        place: String,
        /// Why not.
        why: String,
    },
}

impl std::fmt::Display for FilterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown { place, name } => write!(f, "{place}: there is no filter \"{name}\""),
            Self::Malformed { place, why } | Self::Unusable { place, why } => {
                write!(f, "{place}: {why}")
            }
        }
    }
}

/// Where a query's filters stand.
pub(crate) const ROOT: &str = "key_filters";

/// Filters, each of which gets what the one before it gave.
pub(crate) type Pipeline = Vec<Filter>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Filter {
    Transform(Transform),
    Tokenize { separators: Term, number: Term },
    Compare(Comparison, Term),
    Between { low: Term, high: Term, inclusive: bool },
    Matches(Term),
    Equal { to: Term, wanted: bool },
    SetMember(Vec<Term>),
    SimilarTo { text: Term, distance: Term },
    StartsWith(Term),
    EndsWith(Term),
    SoundsLike,
    And(Vec<Pipeline>),
    Or(Vec<Pipeline>),
    Not(Pipeline),
}

/// Transforms without arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Transform {
    IntToString,
    StringToInt,
    FloatToString,
    StringToFloat,
    ToUpper,
    ToLower,
    UrlDecode,
}

/// Comparisons in Erlang's order of terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Comparison {
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
}
