//! From the JSON of `filters` and its relatives to conditions.

use mapring_types::{IndexValue, quote};
use serde_json::value::RawValue;

use super::condition::{Comparison, Condition, Operand, PropertyFilters, Relation, Subject};
use super::constant::Constant;
use super::{path, time};
use crate::limits;

/// Why conditions are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyError {
    /// Where it stands in the object that has them: `filters[1]`, `modified.from`.
    pub place: String,
    /// What is wrong there.
    pub why: String,
}

const ROOT: &str = "filters";

fn refused(place: impl Into<String>, why: impl Into<String>) -> PropertyError {
    PropertyError { place: place.into(), why: why.into() }
}

impl PropertyFilters {
    /// Reads the list of a query's `filters`.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn parse(given: &RawValue) -> Result<Self, PropertyError> {
        if given.get().len() > limits::FILTERS_BYTES {
            return Err(refused(ROOT, format!("longer than {} bytes", limits::FILTERS_BYTES)));
        }
        let forms = "\"filters\" is a list of filters such as [\"age\",\">=\",21]";
        let filters = list(given).ok_or_else(|| refused(ROOT, forms))?;
        if filters.len() > limits::FILTERS {
            return Err(refused(ROOT, format!("more than {} filters", limits::FILTERS)));
        }
        let filters = filters.into_iter().enumerate();
        let conditions = filters.map(|(at, given)| {
            condition(given).map_err(|why| refused(format!("{ROOT}[{at}]"), why))
        });
        conditions.collect::<Result<_, _>>().map(Self)
    }

    /// The condition that a key begins with a text.
    ///
    /// # Errors
    /// When it is none.
    pub fn key_prefix(given: &RawValue) -> Result<Self, PropertyError> {
        let prefix = text(given).ok_or_else(|| refused("prefix", "\"prefix\" is a text"))?;
        let relation = Relation::Prefix(prefix);
        Ok(Self(vec![Condition { subject: Subject::Key, relation }]))
    }

    /// The conditions that a key lies between two, themselves included.
    ///
    /// # Errors
    /// When one of them is no text.
    pub fn key_range(
        start: Option<&RawValue>,
        end: Option<&RawValue>,
    ) -> Result<Self, PropertyError> {
        let key = |name: &str, comparison, given: &RawValue| {
            let why = || refused(format!("key_range.{name}"), "keys are texts");
            let operand = Operand::Text(text(given).ok_or_else(why)?);
            Ok(Condition {
                subject: Subject::Key,
                relation: Relation::Compare(comparison, operand),
            })
        };
        let start = start.map(|given| key("start", Comparison::AtLeast, given));
        let end = end.map(|given| key("end", Comparison::AtMost, given));
        start.into_iter().chain(end).collect::<Result<_, _>>().map(Self)
    }

    /// The conditions that a value was written at a time or later, and before another.
    ///
    /// # Errors
    /// When one of them is no time.
    pub fn modified(from: Option<&RawValue>, to: Option<&RawValue>) -> Result<Self, PropertyError> {
        let time = |name: &str, comparison, given: &RawValue| {
            let operand = moment(given).map_err(|why| refused(format!("modified.{name}"), why))?;
            Ok(Condition {
                subject: Subject::LastModified,
                relation: Relation::Compare(comparison, operand),
            })
        };
        let from = from.map(|given| time("from", Comparison::AtLeast, given));
        let to = to.map(|given| time("to", Comparison::Less, given));
        from.into_iter().chain(to).collect::<Result<_, _>>().map(Self)
    }
}

/// What stands in the place of a comparison.
const OPERATORS: &str = "= != < <= > >= in prefix exists";

/// A list of what a condition is about, an operator, and what to compare with.
fn condition(given: &RawValue) -> Result<Condition, String> {
    let parts = list(given).unwrap_or_default();
    let (about, operator, operand) = match parts.as_slice() {
        [about, operator] => (about, operator, None),
        [about, operator, operand] => (about, operator, Some(*operand)),
        _ => {
            return Err(
                "a filter is a list of what it is about, an operator and a value, such as \
                        [\"age\",\">=\",21]"
                    .to_owned(),
            );
        }
    };
    let subject = path::subject(about)?;
    let operator = text(operator).ok_or_else(|| format!("an operator is one of {OPERATORS}"))?;
    let comparison = match operator.as_str() {
        "=" => Comparison::Equal,
        "!=" => Comparison::Differs,
        "<" => Comparison::Less,
        "<=" => Comparison::AtMost,
        ">" => Comparison::Greater,
        ">=" => Comparison::AtLeast,
        "exists" => {
            let relation = Relation::Exists(match operand.map(RawValue::get) {
                None | Some("true") => true,
                Some("false") => false,
                Some(_) => return Err("\"exists\" takes true or false".to_owned()),
            });
            return Ok(Condition { subject, relation });
        }
        "in" => {
            let operands = operand.and_then(list).ok_or("\"in\" takes a list of values")?;
            let operands = operands.into_iter().map(|operand| value(&subject, operand));
            let relation = Relation::In(operands.collect::<Result<_, _>>()?);
            return Ok(Condition { subject, relation });
        }
        "prefix" => {
            let is_text = match &subject {
                Subject::LastModified => false,
                Subject::Index(name) => name.ends_with("_bin"),
                _ => true,
            };
            let prefix = operand.and_then(text).filter(|_| is_text);
            let prefix = prefix.ok_or("\"prefix\" takes a text, of what is text itself")?;
            return Ok(Condition { subject, relation: Relation::Prefix(prefix) });
        }
        other => {
            let known = format!("the operators are {OPERATORS}");
            return Err(format!("there is no operator \"{}\": {known}", quote(other)));
        }
    };
    let operand = operand.ok_or_else(|| format!("\"{operator}\" takes a value"))?;
    let is_equality = matches!(comparison, Comparison::Equal | Comparison::Differs);
    let operand = match value(&subject, operand)? {
        Operand::Json(json) if !is_equality && !is_ordered(&json) => {
            return Err(format!(
                "\"{operator}\" takes a number, a text, true or false: other values have no order"
            ));
        }
        operand => operand,
    };
    Ok(Condition { subject, relation: Relation::Compare(comparison, operand) })
}

fn is_ordered(json: &str) -> bool {
    Constant::new(json).is_some_and(|constant| constant.is_ordered())
}

/// A value that the subject can be compared with.
fn value(subject: &Subject, given: &RawValue) -> Result<Operand, String> {
    let shown = || quote(given.get());
    match subject {
        Subject::Path(_) => match Constant::new(given.get()) {
            Some(_) => Ok(Operand::Json(given.get().to_owned())),
            None => Err(format!("{} has half of a surrogate pair in it", shown())),
        },
        Subject::Key | Subject::ContentType | Subject::Meta(_) => match text(given) {
            Some(text) => Ok(Operand::Text(text)),
            None => Err(format!("it is a text and compared with texts, not with {}", shown())),
        },
        Subject::LastModified => moment(given),
        Subject::Index(name) => {
            let (term, takes) = if name.ends_with("_bin") {
                (text(given).map(|text| IndexValue::Bin(text.into())), "texts")
            } else {
                let digits = text(given).unwrap_or_else(|| given.get().to_owned());
                (IndexValue::int(&digits), "whole numbers")
            };
            let term = term.ok_or_else(|| format!("its terms are {takes}, not {}", shown()))?;
            Ok(Operand::Term(term))
        }
    }
}

/// A time: ISO 8601, or milliseconds since the Unix epoch.
fn moment(given: &RawValue) -> Result<Operand, String> {
    let micros = match text(given) {
        Some(text) => time::iso(&text),
        None => given.get().parse::<i64>().ok().and_then(|millis| millis.checked_mul(1_000)),
    };
    micros.map(Operand::Time).ok_or_else(|| {
        let forms =
            "such as \"2024-05-01T10:00:00Z\", or a whole number of milliseconds since 1970";
        format!("a time is an ISO 8601 text {forms}, not {}", quote(given.get()))
    })
}

fn text(given: &RawValue) -> Option<String> {
    serde_json::from_str(given.get()).ok()
}

fn list(given: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(given.get()).ok()
}
