//! From the JSON of `key_filters` to a pipeline.

use serde_json::value::RawValue;

use super::term::{Atom, Term};
use crate::filter::{Comparison, Filter, FilterError, Pipeline, ROOT, Transform};
use crate::limits;

pub(super) fn parse(text: &RawValue) -> Result<Pipeline, FilterError> {
    if text.get().len() > limits::FILTERS_BYTES {
        let most = limits::FILTERS_BYTES;
        return Err(malformed(ROOT, format!("longer than {most} bytes")));
    }
    let mut reader = Reader { filters: 0 };
    reader.pipeline(text, ROOT, 0)
}

struct Reader {
    /// How many filters have been read, at any depth.
    filters: usize,
}

/// A filter's arguments, and where it stands.
struct Arguments<'a> {
    place: &'a str,
    name: &'a str,
    given: &'a [&'a RawValue],
}

impl Reader {
    fn pipeline(
        &mut self,
        text: &RawValue,
        place: &str,
        depth: usize,
    ) -> Result<Pipeline, FilterError> {
        if depth > limits::FILTER_NESTING {
            return Err(malformed(
                place,
                format!("filters are nested deeper than {}", limits::FILTER_NESTING),
            ));
        }
        let filters = array(text).ok_or_else(|| malformed(place, "no list of filters"))?;
        let filters = filters.into_iter().enumerate();
        filters.map(|(at, filter)| self.filter(filter, &format!("{place}[{at}]"), depth)).collect()
    }

    fn filter(
        &mut self,
        text: &RawValue,
        place: &str,
        depth: usize,
    ) -> Result<Filter, FilterError> {
        self.filters += 1;
        if self.filters > limits::FILTERS {
            return Err(malformed(place, format!("more than {} filters", limits::FILTERS)));
        }
        let shape = || malformed(place, "a filter is a list: its name, then its arguments");
        let parts = array(text).ok_or_else(shape)?;
        let (name, given) = parts.split_first().ok_or_else(shape)?;
        let name: String = serde_json::from_str(name.get()).map_err(|_| shape())?;
        let arguments = Arguments { place, name: &name, given };
        let branches = |reader: &mut Self, given: &[&RawValue]| {
            let branch = |(at, text): (usize, &&RawValue)| {
                reader.pipeline(text, &format!("{place}[{}]", at + 1), depth + 1)
            };
            given.iter().enumerate().map(branch).collect::<Result<Vec<_>, _>>()
        };
        match name.as_str() {
            "and" => branches(self, given).map(Filter::And),
            "or" => branches(self, given).map(Filter::Or),
            "not" => {
                arguments.at_least(1)?;
                let branch = branches(self, given.get(..1).unwrap_or(given))?.pop();
                Ok(Filter::Not(branch.unwrap_or_default()))
            }
            _ => simple(&arguments),
        }
    }
}

/// Filters without other filters in them. What stands after the arguments that they use is ignored,
/// as in Riak.
fn simple(given: &Arguments) -> Result<Filter, FilterError> {
    Ok(match given.name {
        "int_to_string" => Filter::Transform(Transform::IntToString),
        "string_to_int" => Filter::Transform(Transform::StringToInt),
        "float_to_string" => Filter::Transform(Transform::FloatToString),
        "string_to_float" => Filter::Transform(Transform::StringToFloat),
        "to_upper" => Filter::Transform(Transform::ToUpper),
        "to_lower" => Filter::Transform(Transform::ToLower),
        "urldecode" => Filter::Transform(Transform::UrlDecode),
        "tokenize" => {
            given.at_least(2)?;
            Filter::Tokenize { separators: given.term(0)?, number: given.term(1)? }
        }
        "greater_than" => Filter::Compare(Comparison::Greater, given.only()?),
        "less_than" => Filter::Compare(Comparison::Less, given.only()?),
        "greater_than_eq" => Filter::Compare(Comparison::GreaterOrEqual, given.only()?),
        "less_than_eq" => Filter::Compare(Comparison::LessOrEqual, given.only()?),
        "between" => {
            given.at_least(2)?;
            // Only a list of exactly three says whether the bounds are meant too.
            let inclusive = given.given.len() != 3 || given.term(2)? == Term::Atom(Atom::True);
            Filter::Between { low: given.term(0)?, high: given.term(1)?, inclusive }
        }
        "matches" => Filter::Matches(given.only()?),
        "eq" => Filter::Equal { to: given.only()?, wanted: true },
        "neq" => Filter::Equal { to: given.only()?, wanted: false },
        "set_member" => {
            let members = (0..given.given.len()).map(|at| given.term(at));
            Filter::SetMember(members.collect::<Result<_, _>>()?)
        }
        "similar_to" => {
            given.at_least(2)?;
            Filter::SimilarTo { text: given.term(0)?, distance: given.term(1)? }
        }
        "starts_with" => Filter::StartsWith(given.only()?),
        "ends_with" => Filter::EndsWith(given.only()?),
        "sounds_like" => Filter::SoundsLike,
        unknown => {
            let (place, name) = (given.place.to_owned(), unknown.to_owned());
            return Err(FilterError::Unknown { place, name });
        }
    })
}

impl Arguments<'_> {
    fn at_least(&self, count: usize) -> Result<(), FilterError> {
        if self.given.len() >= count {
            return Ok(());
        }
        let (name, found) = (self.name, self.given.len());
        let arguments = if count == 1 { "argument" } else { "arguments" };
        let what = format!("\"{name}\" needs {count} {arguments} and has {found}");
        Err(malformed(self.place, what))
    }

    fn term(&self, at: usize) -> Result<Term, FilterError> {
        let argument = self.given.get(at).copied().unwrap_or(RawValue::NULL);
        Term::parse(argument)
            .map_err(|error| malformed(self.place, format!("argument {}: {error}", at + 1)))
    }

    /// The first argument of a filter that needs one.
    fn only(&self) -> Result<Term, FilterError> {
        self.at_least(1)?;
        self.term(0)
    }
}

fn array(text: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(text.get()).ok()
}

fn malformed(place: &str, what: impl std::fmt::Display) -> FilterError {
    FilterError::Malformed { place: place.to_owned(), why: what.to_string() }
}
