//! Conditions as a query has them.

use mapring_types::IndexValue;
use serde::{Deserialize, Serialize};

/// Conditions that one value of an object must all meet: what travels to the nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropertyFilters(pub(super) Vec<Condition>);

impl PropertyFilters {
    /// Whether every object meets them.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The conditions of both.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }
}

/// What a condition is about, and what must be so of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Condition {
    pub(super) subject: Subject,
    pub(super) relation: Relation,
}

/// A part of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Subject {
    /// The part of a JSON value at the end of these names; all of it where there are none.
    Path(Vec<String>),
    /// The object's key.
    Key,
    /// When a value was written.
    LastModified,
    /// A value's media type.
    ContentType,
    /// What a value carries in the header `X-Riak-Meta-…` of this name.
    Meta(String),
    /// A value's terms in the index of this name, in lower case.
    Index(String),
}

/// What must be so. Of a part that is not there only `Differs` and `Exists(false)` are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Relation {
    Compare(Comparison, Operand),
    In(Vec<Operand>),
    Prefix(String),
    Exists(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Comparison {
    Equal,
    Differs,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// What a part is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Operand {
    /// A JSON value, as it is written in the query: numbers keep all their digits.
    Json(String),
    Text(String),
    /// Microseconds since the Unix epoch.
    Time(i64),
    Term(IndexValue),
}

impl Relation {
    /// Whether a part that is not there does.
    pub(super) fn holds_without(&self) -> bool {
        matches!(self, Self::Compare(Comparison::Differs, _) | Self::Exists(false))
    }
}

impl Comparison {
    /// Whether a part that is `order` to the operand meets it; `None` for parts that are not
    /// comparable with it.
    pub(super) fn holds(self, order: Option<std::cmp::Ordering>) -> bool {
        let Some(order) = order else { return self == Self::Differs };
        match self {
            Self::Equal => order.is_eq(),
            Self::Differs => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}
