//! Attributes: what an evaluation has found in an entry so far.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A value that stands for a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Substitution {
    /// Text.
    Text(String),
    /// A whole number.
    Number(i64),
}

/// A value, ordered as Erlang orders terms: numbers before lists before texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Number(i128),
    List(Vec<Bytes>),
    Text(Bytes),
}

impl Value {
    fn rank(&self) -> u8 {
        match self {
            Self::Number(_) => 0,
            Self::List(_) => 1,
            Self::Text(_) => 2,
        }
    }

    /// Whether both are numbers, or both texts.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => left.cmp(right),
            (Self::List(left), Self::List(right)) => left.cmp(right),
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (left, right) => left.rank().cmp(&right.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparator {
    pub(super) fn holds(self, left: &Value, right: &Value) -> bool {
        let order = left.cmp(right);
        match self {
            Self::Equal => order == Ordering::Equal,
            Self::Unequal => order != Ordering::Equal,
            Self::Less => order == Ordering::Less,
            Self::LessOrEqual => order != Ordering::Greater,
            Self::Greater => order == Ordering::Greater,
            Self::GreaterOrEqual => order != Ordering::Less,
        }
    }
}

/// The attributes of an entry by their names.
#[derive(Debug, Default)]
pub(super) struct Attributes(BTreeMap<Bytes, Value>);

impl Attributes {
    /// Those that every entry has: `$term` and `$key`.
    pub(super) fn of(term: &[u8], key: &[u8]) -> Self {
        let text = |bytes: &[u8]| Value::Text(Bytes::copy_from_slice(bytes));
        let both = [(Bytes::from_static(b"term"), text(term)), ("key".into(), text(key))];
        Self(both.into_iter().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name.as_bytes())
    }

    /// The text of an attribute: empty where there is none, `None` where it is no text.
    pub(super) fn text(&self, name: &str) -> Option<Bytes> {
        match self.get(name) {
            None => Some(Bytes::new()),
            Some(Value::Text(text)) => Some(text.clone()),
            Some(_) => None,
        }
    }

    pub(super) fn set(&mut self, name: impl AsRef<[u8]>, value: Value) {
        self.0.insert(Bytes::copy_from_slice(name.as_ref()), value);
    }
}
