//! Running a pipeline for a key.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use mapring_types::quote;

use super::compile::{Members, Placed, Similar, Step, Steps};
use super::number::{self, Integer};
use super::term::{Atom, Term};
use super::text::{self, Text};
use crate::filter::{Comparison, Transform};

/// A pipeline that is ready to run.
#[derive(Debug)]
pub struct Compiled(Steps);

impl Compiled {
    pub(super) fn new(steps: Steps) -> Self {
        Self(steps)
    }

    /// Whether a key passes: whether the last filter gives exactly `true`.
    ///
    /// # Errors
    /// The filter that could not be run, and the value that it could not be run for. The query
    /// fails then, as in Riak.
    pub fn keeps(&self, key: &[u8]) -> Result<bool, String> {
        let key = Value::Binary(Cow::Borrowed(key));
        let value = run(&self.0, &key)?;
        Ok(matches!(value, Value::Bool(true)))
    }
}

/// What filters get and give.
#[derive(Debug)]
enum Value<'a> {
    Binary(Cow<'a, [u8]>),
    /// A list of characters: what `to_upper`, `to_lower` and `urldecode` give.
    Chars(Cow<'a, [u8]>),
    Integer(Integer),
    Float(f64),
    Bool(bool),
    /// See [`Text::Word`].
    Word(bool),
}

fn run<'v>(steps: &[Placed], start: &'v Value<'_>) -> Result<Value<'v>, String> {
    let Some((first, others)) = steps.split_first() else { return Ok(Value::Bool(true)) };
    let mut value = match first.test(start)? {
        Some(truth) => Value::Bool(truth),
        None => first.change(start.borrowed())?,
    };
    for step in others {
        value = match step.test(&value)? {
            Some(truth) => Value::Bool(truth),
            None => step.change(value)?,
        };
    }
    Ok(value)
}

impl Placed {
    /// What a predicate says of a value; `None` for transforms.
    fn test(&self, value: &Value) -> Result<Option<bool>, String> {
        Ok(Some(match &self.step {
            Step::Transform(_) | Step::Tokenize { .. } => return Ok(None),
            Step::Compare(comparison, with) => comparison.holds(value.order(with)),
            Step::Between { low, high, inclusive: true } => {
                value.order(low).is_ge() && value.order(high).is_le()
            }
            Step::Between { low, high, inclusive: false } => {
                value.order(low).is_gt() && value.order(high).is_lt()
            }
            Step::Matches(pattern) => {
                let matches = match value {
                    Value::Binary(text) | Value::Chars(text) => pattern.is_match(text),
                    Value::Word(word) => pattern.is_match(Atom::from(*word).name().as_bytes()),
                    _ => Err("it is no text".to_owned()),
                };
                matches.map_err(|why| self.failed("matches", value, &why))?
            }
            Step::Equal { to, wanted } => value.equals(to) == *wanted,
            Step::Member(members) => members.contain(value),
            Step::Similar { text, most } => {
                most.is_some_and(|most| text.within(&value.text(), most))
            }
            Step::StartsWith(text) => text.is_prefix_of(&value.text()),
            Step::EndsWith(text) => text.is_suffix_of(&value.text()),
            Step::And(branches) => self.all(branches, value, true)?,
            Step::Or(branches) => !self.all(branches, value, false)?,
            Step::Not(branch) => !self.truth(branch, value)?,
        }))
    }

    /// What a transform makes of a value.
    fn change<'v>(&self, value: Value<'v>) -> Result<Value<'v>, String> {
        match &self.step {
            Step::Transform(transform) => self.transform(*transform, value),
            Step::Tokenize { separators, number } => self.token(value, separators, *number),
            // A predicate has its say in `test`.
            _ => Ok(value),
        }
    }

    /// Whether all branches give `wanted`; those after one that does not are not run.
    fn all(&self, branches: &[Steps], value: &Value, wanted: bool) -> Result<bool, String> {
        for branch in branches {
            if self.truth(branch, value)? != wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn truth(&self, branch: &[Placed], value: &Value) -> Result<bool, String> {
        match run(branch, value)? {
            Value::Bool(truth) => Ok(truth),
            other => Err(format!("{}: a branch gives {other}, not true or false", self.place)),
        }
    }

    fn transform<'v>(&self, transform: Transform, value: Value<'v>) -> Result<Value<'v>, String> {
        let chars = |change: fn(&[u8]) -> Vec<u8>| match value.text() {
            Text::Flat(text) => Value::Chars(Cow::Owned(change(&text))),
            Text::Word(word) => Value::Word(word),
        };
        let (name, why, changed) = match transform {
            Transform::ToUpper => return Ok(chars(text::upper)),
            Transform::ToLower => return Ok(chars(text::lower)),
            Transform::UrlDecode => return Ok(chars(text::url_decoded)),
            Transform::IntToString => match &value {
                Value::Integer(integer) => return Ok(Value::text_of(integer.to_string())),
                _ => ("int_to_string", "it is no integer", None),
            },
            Transform::FloatToString => match &value {
                Value::Float(float) => return Ok(Value::text_of(number::float_text(*float))),
                _ => ("float_to_string", "it is no float", None),
            },
            Transform::StringToInt => {
                let integer = value.flat().and_then(|text| Integer::parse(&text));
                ("string_to_int", "it is not the text of an integer", integer.map(Value::Integer))
            }
            Transform::StringToFloat => {
                let float = value.flat().and_then(|text| number::parse_float(&text));
                let why = "it is not the text of a float, which has a point and digits around it";
                ("string_to_float", why, float.map(Value::Float))
            }
        };
        changed.ok_or_else(|| self.failed(name, &value, why))
    }

    fn token<'v>(
        &self,
        value: Value<'v>,
        separators: &[bool; 256],
        number: usize,
    ) -> Result<Value<'v>, String> {
        let token = match &value {
            // The token of a key that is not changed is a part of it.
            Value::Binary(Cow::Borrowed(text)) => {
                text::token(text, separators, number).map(Cow::Borrowed)
            }
            Value::Word(word) if number == 1 => {
                Some(Cow::Borrowed(Atom::from(*word).name().as_bytes()))
            }
            Value::Bool(word) if number == 1 => {
                Some(Cow::Borrowed(Atom::from(*word).name().as_bytes()))
            }
            other => other.flat().and_then(|text| {
                text::token(&text, separators, number).map(|token| Cow::Owned(token.to_vec()))
            }),
        };
        let why = || self.failed("tokenize", &value, &format!("it has no token {number}"));
        token.map(Value::Binary).ok_or_else(why)
    }

    fn failed(&self, name: &str, value: &Value, why: &str) -> String {
        format!("{}: \"{name}\" cannot be run for {value}: {why}", self.place)
    }
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Greater => order.is_gt(),
            Self::Less => order.is_lt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::LessOrEqual => order.is_le(),
        }
    }
}

impl Similar {
    fn within(&self, text: &Text, most: usize) -> bool {
        // A word is a list of one item, which no character equals.
        match (self, text) {
            (Self::Flat(pattern), Text::Flat(text)) => pattern.within(text, most),
            (Self::Flat(pattern), Text::Word(_)) => pattern.length().max(1) <= most,
            (Self::Word(_), Text::Flat(text)) => text.len().max(1) <= most,
            (Self::Word(a), Text::Word(b)) => usize::from(*a != Atom::from(*b)) <= most,
        }
    }
}

impl Members {
    /// By strict equality, as the reference has it: a list of characters is no member of a set of
    /// strings.
    fn contain(&self, value: &Value) -> bool {
        match value {
            Value::Binary(text) => self.binaries.contains(text.as_ref()),
            Value::Integer(Integer::Small(value)) => self.small.contains(value),
            other => !self.others.is_empty() && self.others.contains(&other.to_term()),
        }
    }
}

impl<'a> Value<'a> {
    fn text_of(text: String) -> Self {
        Self::Binary(Cow::Owned(text.into_bytes()))
    }

    fn borrowed(&self) -> Value<'_> {
        match self {
            Self::Binary(text) => Value::Binary(Cow::Borrowed(text)),
            Self::Chars(text) => Value::Chars(Cow::Borrowed(text)),
            Self::Integer(integer) => Value::Integer(integer.clone()),
            Self::Float(float) => Value::Float(*float),
            Self::Bool(value) => Value::Bool(*value),
            Self::Word(word) => Value::Word(*word),
        }
    }

    /// What filters that look at text see.
    fn text(&self) -> Text<'_> {
        match self {
            Self::Binary(text) | Self::Chars(text) => Text::Flat(Cow::Borrowed(text)),
            Self::Integer(integer) => Text::Flat(Cow::Owned(integer.to_string().into_bytes())),
            Self::Float(float) => Text::Flat(Cow::Owned(number::float_text(*float).into_bytes())),
            Self::Bool(word) | Self::Word(word) => Text::Word(*word),
        }
    }

    fn flat(&self) -> Option<Cow<'_, [u8]>> {
        match self.text() {
            Text::Flat(text) => Some(text),
            Text::Word(_) => None,
        }
    }

    fn equals(&self, term: &Term) -> bool {
        match (self, term) {
            (Self::Binary(a), Term::Binary(b)) | (Self::Chars(a), Term::Chars(b)) => {
                a.as_ref() == b.as_slice()
            }
            (Self::Integer(a), Term::Integer(b)) => a == b,
            (Self::Float(a), Term::Float(b)) => number::floats(*a, *b).is_eq(),
            (Self::Bool(a), Term::Atom(b)) => Atom::from(*a) == *b,
            (Self::Word(_), Term::List(_)) => self.to_term() == *term,
            _ => false,
        }
    }

    fn order(&self, term: &Term) -> Ordering {
        match (self, term) {
            (Self::Binary(a), Term::Binary(b)) => a.as_ref().cmp(b.as_slice()),
            // Binaries are greater than everything else, …
            (Self::Binary(_), _) => Ordering::Greater,
            (Self::Integer(a), Term::Integer(b)) => a.cmp(b),
            (Self::Integer(a), Term::Float(b)) => number::integer_with_float(a, *b),
            (Self::Float(a), Term::Float(b)) => number::floats(*a, *b),
            (Self::Float(a), Term::Integer(b)) => number::integer_with_float(b, *a).reverse(),
            // … and numbers less.
            (Self::Integer(_) | Self::Float(_), _) => Ordering::Less,
            _ => self.to_term().order(term),
        }
    }

    fn to_term(&self) -> Term {
        match self {
            Self::Binary(text) => Term::Binary(text.to_vec()),
            Self::Chars(text) => Term::Chars(text.to_vec()),
            Self::Integer(integer) => Term::Integer(integer.clone()),
            Self::Float(float) => Term::Float(*float),
            Self::Bool(value) => Term::Atom((*value).into()),
            Self::Word(word) => {
                Term::List(vec![Term::Chars(Atom::from(*word).name().as_bytes().to_vec())])
            }
        }
    }
}

/// For messages: a list of characters says that it is one, since it explains much.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: &[u8]| quote(&String::from_utf8_lossy(text));
        match self {
            Self::Binary(bytes) => write!(f, "{:?}", text(bytes)),
            Self::Chars(bytes) => write!(f, "the list of characters {:?}", text(bytes)),
            Self::Integer(integer) => f.write_str(&quote(&integer.to_string())),
            Self::Float(float) => write!(f, "{float:?}"),
            Self::Bool(value) => value.fmt(f),
            Self::Word(word) => write!(f, "the list [{:?}]", Atom::from(*word).name()),
        }
    }
}
