//! Filters as a query has them.

use serde::{Deserialize, Serialize};

use crate::term::Term;

/// Why a list of filters is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterError {
    /// There is no filter of this name.
    Unknown(String),
    /// A filter is not written as it must be: which one, and what is wrong with it.
    Malformed(String),
}

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
