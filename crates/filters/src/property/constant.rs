//! JSON values of a query, held against those of documents, which stay the text that they are.
//!
//! Values are equal by type and value, whatever their spelling: `1` is `1.0` and not `"1"`, members
//! of objects have no order. Two numbers, two texts (by their UTF-8 bytes) or two truth values have
//! an order; values of different types have none, and neither have lists and objects.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserializer as _;
use serde::de::{self, Visitor};
use serde_json::value::RawValue;

use super::decimal::Decimal;

/// A value, ready to be compared with.
#[derive(Debug, Clone)]
pub(super) enum Constant {
    Null,
    Truth(bool),
    /// As a small whole number too, which most are.
    Number(Decimal, Option<i64>),
    Text(String),
    List(Vec<Constant>),
    Object(BTreeMap<String, Constant>),
}

/// What the text of a JSON value begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Truth,
    Number,
    Text,
    List,
    Object,
}

fn kind(text: &str) -> Kind {
    match text.as_bytes().first() {
        Some(b'n') => Kind::Null,
        Some(b't' | b'f') => Kind::Truth,
        Some(b'"') => Kind::Text,
        Some(b'[') => Kind::List,
        Some(b'{') => Kind::Object,
        _ => Kind::Number,
    }
}

/// The characters of a JSON string in UTF-8, half of a surrogate pair in the three bytes that a code
/// point of its number has: equal to no text of a query, and in its place in the order. `None` for
/// anything else.
pub(super) fn text(json: &str) -> Option<Cow<'_, [u8]>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.as_bytes().contains(&b'\\') {
        return Some(Cow::Borrowed(inner.as_bytes()));
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    reader.deserialize_bytes(Escaped).ok().map(Cow::Owned)
}

/// A JSON string read as bytes, which `serde_json` has for those that are no text as well.
struct Escaped;

impl Visitor<'_> for Escaped {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(bytes.to_vec())
    }
}

/// Numbers that need no digits to be compared: so many characters cannot overflow.
const SMALL: usize = 18;

fn small(text: &str) -> Option<i64> {
    if text.len() > SMALL { None } else { text.parse().ok() }
}

impl Constant {
    /// Reads JSON text; `None` for what is none, and for texts with half a surrogate.
    pub(super) fn new(json: &str) -> Option<Self> {
        Some(match kind(json) {
            Kind::Null => Self::Null,
            Kind::Truth => Self::Truth(json == "true"),
            Kind::Number => Self::Number(Decimal::new(json), small(json)),
            Kind::Text => Self::Text(String::from_utf8(text(json)?.into_owned()).ok()?),
            Kind::List => {
                let elements: Vec<&RawValue> = serde_json::from_str(json).ok()?;
                let elements = elements.into_iter().map(|element| Self::new(element.get()));
                Self::List(elements.collect::<Option<_>>()?)
            }
            Kind::Object => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(json).ok()?;
                let member = |(name, value): (_, &RawValue)| Some((name, Self::new(value.get())?));
                Self::Object(members.into_iter().map(member).collect::<Option<_>>()?)
            }
        })
    }

    /// Whether values of its type have an order.
    pub(super) fn is_ordered(&self) -> bool {
        matches!(self, Self::Truth(_) | Self::Number(..) | Self::Text(_))
    }

    /// How a value stands to it; `None` for one of another type, and for lists and objects that are
    /// not equal.
    pub(super) fn order(&self, json: &str) -> Option<Ordering> {
        match (self, kind(json)) {
            (Self::Null, Kind::Null) => Some(Ordering::Equal),
            (Self::Truth(own), Kind::Truth) => Some((json == "true").cmp(own)),
            (Self::Number(own, own_small), Kind::Number) => {
                Some(match own_small.and_then(|own| Some((small(json)?, own))) {
                    Some((small, own)) => small.cmp(&own),
                    None => Decimal::new(json).cmp(own),
                })
            }
            (Self::Text(own), Kind::Text) => Some(text(json)?.as_ref().cmp(own.as_bytes())),
            (Self::List(own), Kind::List) => {
                let elements: Vec<&RawValue> = serde_json::from_str(json).ok()?;
                let same = own.len() == elements.len()
                    && own.iter().zip(elements).all(|(own, element)| own.equals(element.get()));
                same.then_some(Ordering::Equal)
            }
            (Self::Object(own), Kind::Object) => {
                let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(json).ok()?;
                let has = |(name, value): (&String, &Self)| {
                    members.get(name.as_str()).is_some_and(|member| value.equals(member.get()))
                };
                let same = own.len() == members.len() && own.iter().all(has);
                same.then_some(Ordering::Equal)
            }
            _ => None,
        }
    }

    fn equals(&self, json: &str) -> bool {
        self.order(json) == Some(Ordering::Equal)
    }
}

/// The members of an `in`, so that many of them cost little more than one.
#[derive(Debug, Clone, Default)]
pub(super) struct Constants {
    texts: BTreeSet<Vec<u8>>,
    numbers: BTreeSet<Decimal>,
    others: Vec<Constant>,
}

impl FromIterator<Constant> for Constants {
    fn from_iter<I: IntoIterator<Item = Constant>>(constants: I) -> Self {
        let mut all = Self::default();
        for constant in constants {
            match constant {
                Constant::Text(text) => drop(all.texts.insert(text.into_bytes())),
                Constant::Number(number, _) => drop(all.numbers.insert(number)),
                other => all.others.push(other),
            }
        }
        all
    }
}

impl Constants {
    pub(super) fn contain(&self, json: &str) -> bool {
        match kind(json) {
            Kind::Text => text(json).is_some_and(|text| self.texts.contains(text.as_ref())),
            Kind::Number => !self.numbers.is_empty() && self.numbers.contains(&Decimal::new(json)),
            _ => self.others.iter().any(|other| other.equals(json)),
        }
    }
}
