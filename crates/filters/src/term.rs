//! The Erlang terms that stand as arguments of filters, and their order.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::number::{self, Integer};

/// What a JSON value is in Erlang. Values have one form each: equal forms are equal terms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Term {
    Integer(Integer),
    /// Never a NaN.
    Float(f64),
    Atom(Atom),
    /// What a JSON object is. No filter gives one or looks into one.
    Tuple,
    /// A list of integers from 0 to 255, which is also what a text of characters is.
    Chars(Vec<u8>),
    /// Any other list.
    List(Vec<Term>),
    /// What a JSON string is: its UTF-8.
    Binary(Vec<u8>),
}

/// In Erlang's order: by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Atom {
    False,
    Null,
    True,
}

impl Atom {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::False => "false",
            Self::Null => "null",
            Self::True => "true",
        }
    }
}

impl From<bool> for Atom {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

impl Eq for Term {}

impl Hash for Term {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Integer(integer) => integer.hash(state),
            // Adding zero gives both zeros one form: they are equal.
            Self::Float(float) => (float + 0.0).to_bits().hash(state),
            Self::Atom(atom) => atom.hash(state),
            Self::Tuple => {}
            Self::List(items) => items.hash(state),
            Self::Chars(bytes) | Self::Binary(bytes) => bytes.hash(state),
        }
    }
}

impl Term {
    /// Reads a JSON value.
    ///
    /// # Errors
    /// Says what Erlang cannot hold.
    pub(super) fn parse(value: &RawValue) -> Result<Self, String> {
        let text = value.get();
        match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str::<String>(text)
                .map(|text| Self::Binary(text.into_bytes()))
                .map_err(|_| "a string is no text".to_owned()),
            Some(b'[') => {
                let items: Vec<&RawValue> =
                    serde_json::from_str(text).map_err(|error| error.to_string())?;
                let items = items.into_iter().map(Self::parse).collect::<Result<Vec<_>, _>>()?;
                Ok(Self::list(items))
            }
            Some(b'{') => Ok(Self::Tuple),
            Some(b't') => Ok(Self::Atom(Atom::True)),
            Some(b'f') => Ok(Self::Atom(Atom::False)),
            Some(b'n') => Ok(Self::Atom(Atom::Null)),
            _ => Self::number(text).ok_or_else(|| "a number is too large".to_owned()),
        }
    }

    fn number(text: &str) -> Option<Self> {
        if text.contains(['.', 'e', 'E']) {
            let float = text.parse::<f64>().ok().filter(|float| float.is_finite())?;
            return Some(Self::Float(float));
        }
        Integer::parse(text.as_bytes()).map(Self::Integer)
    }

    fn list(items: Vec<Self>) -> Self {
        let char = |item: &Self| match item {
            Self::Integer(Integer::Small(value)) => u8::try_from(*value).ok(),
            _ => None,
        };
        match items.iter().map(char).collect() {
            Some(chars) => Self::Chars(chars),
            None => Self::List(items),
        }
    }

    /// Erlang's order of terms: numbers, atoms, tuples, the empty list, lists, binaries. Numbers
    /// that are equal in size are equal, whatever their types.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => number::floats(*a, *b),
            (Self::Integer(a), Self::Float(b)) => number::integer_with_float(a, *b),
            (Self::Float(a), Self::Integer(b)) => number::integer_with_float(b, *a).reverse(),
            (Self::Atom(a), Self::Atom(b)) => a.cmp(b),
            (Self::Chars(a), Self::Chars(b)) | (Self::Binary(a), Self::Binary(b)) => a.cmp(b),
            _ if self.rank() == other.rank() => order_of_lists(self, other),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Integer(_) | Self::Float(_) => 0,
            Self::Atom(_) => 1,
            Self::Tuple => 2,
            Self::Chars(chars) if chars.is_empty() => 3,
            Self::Chars(_) | Self::List(_) => 4,
            Self::Binary(_) => 5,
        }
    }

    /// The item of a list.
    fn item(&self, at: usize) -> Option<Self> {
        match self {
            Self::List(items) => items.get(at).cloned(),
            Self::Chars(chars) => chars.get(at).map(|char| Self::char(*char)),
            _ => None,
        }
    }

    fn char(char: u8) -> Self {
        Self::Integer(Integer::Small(char.into()))
    }
}

fn order_of_lists(a: &Term, b: &Term) -> Ordering {
    for at in 0.. {
        let order = match (a.item(at), b.item(at)) {
            (Some(a), Some(b)) => a.order(&b),
            (Some(_), None) => return Ordering::Greater,
            (None, Some(_)) => return Ordering::Less,
            (None, None) => return Ordering::Equal,
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}
