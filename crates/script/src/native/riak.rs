//! The named JavaScript functions, where the same can be had without an interpreter. A failure
//! means only that JavaScript must decide: it may throw, or give a result that is not tried here.

use std::cmp::Ordering;

use super::kind::{Kind, bad_argument};
use crate::json::{Number, Value, js_order, parse, quoted, write_js_number};
use crate::{Binary, MapInput, Row, ScriptError, object};

/// A named function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Riak {
    MapValues,
    MapValuesJson,
    MapByFields,
    FilterNotFound,
    ReduceSum,
    ReduceMin,
    ReduceMax,
    ReduceSort,
    ReduceNumericSort,
    ReduceLimit,
    ReduceSlice,
}

const FUNCTIONS: [(&str, Riak); 11] = [
    ("Riak.mapValues", Riak::MapValues),
    ("Riak.mapValuesJson", Riak::MapValuesJson),
    ("Riak.mapByFields", Riak::MapByFields),
    ("Riak.filterNotFound", Riak::FilterNotFound),
    ("Riak.reduceSum", Riak::ReduceSum),
    ("Riak.reduceMin", Riak::ReduceMin),
    ("Riak.reduceMax", Riak::ReduceMax),
    ("Riak.reduceSort", Riak::ReduceSort),
    ("Riak.reduceNumericSort", Riak::ReduceNumericSort),
    ("Riak.reduceLimit", Riak::ReduceLimit),
    ("Riak.reduceSlice", Riak::ReduceSlice),
];

impl Riak {
    pub(super) fn find(name: &str) -> Option<Self> {
        FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, function)| *function)
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::MapValues | Self::MapValuesJson | Self::MapByFields => Kind::Map,
            _ => Kind::Reduce,
        }
    }

    pub(super) fn map(
        self,
        input: &MapInput,
        arg: Option<&Value>,
        binary: Binary,
    ) -> Result<Vec<Row>, ScriptError> {
        let Some(stored) = object::object(input)? else {
            return Ok(vec![object::not_found(input)?]);
        };
        object::names(&input.id)?;
        // JavaScript gets all siblings, and fails when one of them is no text.
        if binary == Binary::Refuse {
            stored.siblings.iter().try_for_each(|sibling| object::text(sibling).map(drop))?;
        }
        let first = stored.siblings.first();
        let text = first.map(|sibling| object::data(sibling, binary)).transpose()?;
        let text = text.unwrap_or_default();
        if self == Self::MapValues {
            return Ok(vec![Row::value(quoted(&text))]);
        }
        let value = parse(&text).map_err(|error| bad_argument(error.to_string()))?;
        let kept = self == Self::MapValuesJson || has_fields(&value, arg)?;
        Ok(if kept { vec![Row::value(value.to_js())] } else { Vec::new() })
    }

    pub(super) fn reduce(
        self,
        items: &[Value],
        arg: Option<&Value>,
    ) -> Result<Vec<Value>, ScriptError> {
        match self {
            Self::FilterNotFound => Ok(found(items)?.into_iter().cloned().collect()),
            Self::ReduceSum => sum(&found(items)?),
            Self::ReduceMin => best(items, Ordering::Less),
            Self::ReduceMax => best(items, Ordering::Greater),
            Self::ReduceSort if arg.is_none() => sort_as_text(items),
            Self::ReduceNumericSort => sort_numbers(items),
            Self::ReduceLimit => {
                let end = match arg {
                    None => 0.0,
                    Some(limit) => number(limit)? - 1.0,
                };
                Ok(slice(items, 0.0, end))
            }
            Self::ReduceSlice => match arg {
                Some(Value::Array(bounds)) => match bounds.as_slice() {
                    [start, end, ..] => between(items, number(start)?, number(end)?),
                    _ => Err(ask_javascript()),
                },
                _ => Err(ask_javascript()),
            },
            _ => Err(ask_javascript()),
        }
    }
}

fn ask_javascript() -> ScriptError {
    bad_argument("the function must run as JavaScript for these values")
}

fn number(value: &Value) -> Result<f64, ScriptError> {
    match value {
        Value::Number(number) => Ok(number.as_f64()),
        _ => Err(ask_javascript()),
    }
}

/// The items without markers of missing objects. JavaScript throws at `null`.
fn found(items: &[Value]) -> Result<Vec<&Value>, ScriptError> {
    if items.contains(&Value::Null) {
        return Err(ask_javascript());
    }
    Ok(items.iter().filter(|item| item.get("not_found").is_none()).collect())
}

/// Folds with `+`, which adds numbers and joins texts.
fn sum(items: &[&Value]) -> Result<Vec<Value>, ScriptError> {
    let mut items = items.iter();
    let mut sum = match items.next() {
        None => Value::Number(Number::Int(0)),
        Some(first) => (*first).clone(),
    };
    for item in items {
        sum = match (sum, *item) {
            (Value::Number(a), Value::Number(b)) => {
                Value::Number(Number::Float(a.as_f64() + b.as_f64()))
            }
            (Value::String(mut text), item) => {
                text.push_str(&as_text(item)?);
                Value::String(text)
            }
            (sum, Value::String(text)) => Value::String(as_text(&sum)? + text),
            _ => return Err(ask_javascript()),
        };
    }
    // What is not finite has become null before it comes back.
    Ok(vec![match sum {
        Value::Number(number) if !number.as_f64().is_finite() => Value::Null,
        sum => sum,
    }])
}

/// What `String()` gives for a plain value.
fn as_text(value: &Value) -> Result<String, ScriptError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Ok("null".to_owned()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) if number.as_f64().is_finite() => {
            let mut text = String::new();
            write_js_number(number.as_f64(), &mut text);
            Ok(text)
        }
        _ => Err(ask_javascript()),
    }
}

/// Folds with `<` or `>`: the earlier value stays only where it is better.
fn best(items: &[Value], better: Ordering) -> Result<Vec<Value>, ScriptError> {
    let Some((first, rest)) = items.split_first() else { return Ok(Vec::new()) };
    let mut best = first;
    for item in rest {
        if compare(best, item)? != better {
            best = item;
        }
    }
    Ok(vec![best.clone()])
}

fn compare(a: &Value, b: &Value) -> Result<Ordering, ScriptError> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().partial_cmp(&b.as_f64()).ok_or_else(ask_javascript)
        }
        (Value::String(a), Value::String(b)) => Ok(compare_text(a, b)),
        _ => Err(ask_javascript()),
    }
}

/// JavaScript compares by UTF-16 code units.
fn compare_text(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

fn sort_as_text(items: &[Value]) -> Result<Vec<Value>, ScriptError> {
    let texts: Result<Vec<_>, _> =
        items.iter().map(|item| as_text(item).map(|text| (text, item))).collect();
    let mut texts = texts?;
    texts.sort_by(|a, b| compare_text(&a.0, &b.0));
    Ok(texts.into_iter().map(|(_, item)| item.clone()).collect())
}

fn sort_numbers(items: &[Value]) -> Result<Vec<Value>, ScriptError> {
    let finite = |item: &Value| number(item).is_ok_and(f64::is_finite);
    if items.len() > 1 && !items.iter().all(finite) {
        return Err(ask_javascript());
    }
    let mut sorted = items.to_vec();
    let key = |item: &Value| number(item).unwrap_or_default();
    // By the sign of the difference, as the JavaScript does it.
    sorted.sort_by(|a, b| (key(a) - key(b)).partial_cmp(&0.0).unwrap_or(Ordering::Equal));
    Ok(sorted)
}

fn between(items: &[Value], start: f64, end: f64) -> Result<Vec<Value>, ScriptError> {
    #[allow(clippy::cast_precision_loss)] // No list is that long.
    let length = items.len() as f64;
    Ok(if end > length { items.to_vec() } else { slice(items, start, end) })
}

/// `Array.prototype.slice`: negative places count from the end.
fn slice(items: &[Value], start: f64, end: f64) -> Vec<Value> {
    #[allow(clippy::cast_precision_loss)] // No list is that long.
    let length = items.len() as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Within the list's length.
    let place = |at: f64| {
        let at = at.trunc();
        (if at < 0.0 { (length + at).max(0.0) } else { at.min(length) }) as usize
    };
    items.get(place(start)..place(end)).map(<[Value]>::to_vec).unwrap_or_default()
}

/// Whether the value has all the fields, compared loosely.
fn has_fields(value: &Value, fields: Option<&Value>) -> Result<bool, ScriptError> {
    let (Value::Object(_), Some(Value::Object(fields))) = (value, fields) else {
        return Err(ask_javascript());
    };
    for (name, wanted) in js_order(fields) {
        let inherited = ["constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable"];
        let inherited = inherited.contains(&name)
            || ["toLocaleString", "toString", "valueOf"].contains(&name)
            || name.starts_with("__");
        let equal = match (value.get(name), wanted) {
            (None, _) if inherited => return Err(ask_javascript()),
            (None | Some(Value::Null), wanted) => *wanted == Value::Null,
            (Some(_), Value::Null) => false,
            (Some(Value::Bool(a)), Value::Bool(b)) => a == b,
            (Some(Value::String(a)), Value::String(b)) => a == b,
            (Some(Value::Number(a)), Value::Number(b)) => {
                a.as_f64().partial_cmp(&b.as_f64()) == Some(Ordering::Equal)
            }
            (Some(Value::Array(_) | Value::Object(_)), Value::Array(_) | Value::Object(_)) => false,
            _ => return Err(ask_javascript()),
        };
        if !equal {
            return Ok(false);
        }
    }
    Ok(true)
}
