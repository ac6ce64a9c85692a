//! The functions of the module `riak_kv_mapreduce` (facts R76 to R78). Errors begin with the word
//! that Riak's have: `badarith`, `badarg`, `badmatch`, `function_clause`, `non_list_result`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::kind::{Kind, MODULE, bad_argument};
use crate::json::{Number, Value, quoted};
use crate::{Binary, FailureCause, MapInput, Row, ScriptError, object};

/// A built-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Erlang {
    MapIdentity,
    MapObjectValue,
    MapObjectValueList,
    ReduceIdentity,
    ReduceSetUnion,
    ReduceSort,
    ReduceStringToInteger,
    ReduceSum,
    ReducePlistSum,
    ReduceCountInputs,
}

const FUNCTIONS: [(&str, Erlang); 10] = [
    ("map_identity", Erlang::MapIdentity),
    ("map_object_value", Erlang::MapObjectValue),
    ("map_object_value_list", Erlang::MapObjectValueList),
    ("reduce_identity", Erlang::ReduceIdentity),
    ("reduce_set_union", Erlang::ReduceSetUnion),
    ("reduce_sort", Erlang::ReduceSort),
    ("reduce_string_to_integer", Erlang::ReduceStringToInteger),
    ("reduce_sum", Erlang::ReduceSum),
    ("reduce_plist_sum", Erlang::ReducePlistSum),
    ("reduce_count_inputs", Erlang::ReduceCountInputs),
];

/// Erlang's `{error,notfound}`.
fn not_found() -> Row {
    Row::pair("\"error\"", "\"notfound\"")
}

impl Erlang {
    pub(super) fn find(module: &str, function: &str) -> Option<Self> {
        let found = FUNCTIONS.iter().find(|(name, _)| module == MODULE && *name == function);
        found.map(|(_, function)| *function)
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::MapIdentity | Self::MapObjectValue | Self::MapObjectValueList => Kind::Map,
            _ => Kind::Reduce,
        }
    }

    pub(super) fn map(
        self,
        input: &MapInput,
        arg: Option<&Value>,
        binary: Binary,
    ) -> Result<Vec<Row>, ScriptError> {
        let stored = object::object(input)?;
        match (self, stored) {
            (Self::MapIdentity, Some(stored)) => {
                Ok(vec![Row::value(object::json(&input.id, &stored, binary)?)])
            }
            (Self::MapIdentity, None) => Ok(vec![not_found()]),
            (_, None) => Ok(when_missing(input, arg)),
            (Self::MapObjectValue, Some(stored)) => match stored.siblings.as_slice() {
                [only] => Ok(vec![Row::value(quoted(&object::data(only, binary)?))]),
                several => {
                    let count = several.len();
                    Err(bad_argument(format!("badmatch: the object has {count} siblings")))
                }
            },
            // A value that came over HTTP is a binary, never a list of Erlang's.
            (_, Some(_)) => Err(ScriptError::new(
                FailureCause::NotAList,
                "non_list_result: the value of the object is not a list",
            )),
        }
    }

    pub(super) fn reduce(self, items: &[Value]) -> Result<Vec<Value>, ScriptError> {
        match self {
            Self::ReduceIdentity => items.iter().rev().map(name_of).collect(),
            Self::ReduceSetUnion => Ok(distinct(items)),
            Self::ReduceSort => {
                let mut sorted = items.to_vec();
                sorted.sort_by(order);
                Ok(sorted)
            }
            Self::ReduceStringToInteger => found(items).map(integer).collect(),
            Self::ReduceSum => {
                let zero = Number::Int(0);
                let sum = found(items).try_fold(zero, add)?;
                Ok(vec![Value::Number(sum)])
            }
            Self::ReducePlistSum => sum_by_key(items),
            Self::ReduceCountInputs => {
                let partial = |item: &Value| match item {
                    Value::Number(Number::Int(count)) => *count,
                    _ => 1,
                };
                let count = items.iter().fold(0i128, |sum, item| sum.saturating_add(partial(item)));
                Ok(vec![Value::Number(Number::Int(count))])
            }
            _ => Err(bad_argument("function_clause: the function is for map phases")),
        }
    }
}

/// What a map of values gives for a missing object, by its argument.
fn when_missing(input: &MapInput, arg: Option<&Value>) -> Vec<Row> {
    let text = |value: &Value| Row::value(value.to_erlang());
    match arg {
        Some(Value::String(action)) if action == "filter_notfound" => Vec::new(),
        Some(Value::String(action)) if action == "include_keydata" => {
            vec![Row::value(object::keydata(input))]
        }
        Some(arg) => match arg.get("sub") {
            Some(Value::Array(values)) => values.iter().map(text).collect(),
            Some(value) => vec![text(value)],
            None => vec![not_found()],
        },
        None => vec![not_found()],
    }
}

fn found(items: &[Value]) -> impl Iterator<Item = &Value> {
    items.iter().filter(|item| !item.is_not_found())
}

/// `[bucket, key]` of an input, without its key data; with its type when it has one.
fn name_of(item: &Value) -> Result<Value, ScriptError> {
    let names = |parts: &[&Value]| Value::Array(parts.iter().copied().cloned().collect());
    match item {
        Value::Pair(pair) => match &pair.1 {
            key @ Value::String(_) => Ok(names(&[&Value::String(pair.0.clone()), key])),
            _ => Err(unhandled(item)),
        },
        Value::Array(parts) => match parts.as_slice() {
            [bucket @ Value::String(_), key @ Value::String(_)]
            | [bucket @ Value::String(_), key @ Value::String(_), _] => Ok(names(&[bucket, key])),
            [bucket @ Value::String(_), key @ Value::String(_), _, kind] => {
                Ok(names(&[bucket, key, &Value::Null, kind]))
            }
            _ => Err(unhandled(item)),
        },
        _ => Err(unhandled(item)),
    }
}

fn unhandled(item: &Value) -> ScriptError {
    bad_argument(format!("unhandled_entry: {} is not a bucket and a key", item.to_erlang()))
}

/// Each value once; the latest first, as far as Riak's unordered sets show.
fn distinct(items: &[Value]) -> Vec<Value> {
    let mut seen = std::collections::BTreeSet::new();
    let mut union: Vec<Value> =
        items.iter().filter(|item| seen.insert(item.to_erlang())).cloned().collect();
    union.reverse();
    union
}

fn integer(item: &Value) -> Result<Value, ScriptError> {
    let parse = |text: &str| {
        let number = text.parse().map(|int| Value::Number(Number::Int(int)));
        number.map_err(|_| bad_argument(format!("badarg: {} is not an integer", quoted(text))))
    };
    let no_clause = || {
        let text = item.to_erlang();
        bad_argument(format!("function_clause: {text} is neither a string nor an integer"))
    };
    match item {
        Value::Number(Number::Int(_)) => Ok(item.clone()),
        Value::String(text) => parse(text),
        // A list of characters is a string too.
        Value::Array(codes) => {
            let code = |code: &Value| match code {
                Value::Number(Number::Int(code)) => u8::try_from(*code).ok().map(char::from),
                _ => None,
            };
            let text: Option<String> = codes.iter().map(code).collect();
            parse(&text.ok_or_else(no_clause)?)
        }
        _ => Err(no_clause()),
    }
}

#[allow(clippy::cast_precision_loss)] // Erlang gives a float as soon as one is added.
fn add(sum: Number, item: &Value) -> Result<Number, ScriptError> {
    let Value::Number(number) = item else {
        return Err(bad_argument(format!("badarith: {} is not a number", item.to_erlang())));
    };
    let float = |value: f64| match value.is_finite() {
        true => Ok(Number::Float(value)),
        false => Err(bad_argument("badarith: the sum is too large")),
    };
    match (sum, *number) {
        (Number::Int(a), Number::Int(b)) => match a.checked_add(b) {
            Some(sum) => Ok(Number::Int(sum)),
            None => float(a as f64 + b as f64),
        },
        (a, b) => float(a.as_f64() + b.as_f64()),
    }
}

/// Sums pairs `[key, number]` by their keys, in the order in which keys first come. Lists of pairs
/// and objects count as the pairs in them.
fn sum_by_key(items: &[Value]) -> Result<Vec<Value>, ScriptError> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut sums: Vec<(Value, Value)> = Vec::new();
    let mut pairs = Vec::new();
    items.iter().try_for_each(|item| flatten(item, &mut pairs))?;
    for (key, value) in pairs {
        match places.get(&key.to_erlang()).and_then(|&place| sums.get_mut(place)) {
            Some((_, sum)) => {
                let Value::Number(old) = sum else {
                    let text = sum.to_erlang();
                    return Err(bad_argument(format!("badarith: {text} is not a number")));
                };
                *sum = Value::Number(add(*old, &value)?);
            }
            None => {
                places.insert(key.to_erlang(), sums.len());
                sums.push((key, value));
            }
        }
    }
    let pair = |(key, value)| match key {
        Value::String(name) => Value::Pair(Box::new((name, value))),
        other => Value::Array(vec![other, value]),
    };
    Ok(sums.into_iter().map(pair).collect())
}

fn flatten(item: &Value, pairs: &mut Vec<(Value, Value)>) -> Result<(), ScriptError> {
    match item {
        Value::Object(entries) => {
            let pair = |(key, value): &(String, Value)| (Value::String(key.clone()), value.clone());
            pairs.extend(entries.iter().map(pair));
            Ok(())
        }
        Value::Pair(pair) => {
            pairs.push((Value::String(pair.0.clone()), pair.1.clone()));
            Ok(())
        }
        Value::Array(parts) => match parts.as_slice() {
            [key, value] if !is_pair(key) => {
                pairs.push((key.clone(), value.clone()));
                Ok(())
            }
            // Depth is bounded: the reader refuses what is nested too deeply.
            several => several.iter().try_for_each(|part| flatten(part, pairs)),
        },
        _ => Err(bad_argument(format!("function_clause: {} is not a pair", item.to_erlang()))),
    }
}

fn is_pair(value: &Value) -> bool {
    match value {
        Value::Array(parts) => parts.len() == 2,
        Value::Object(_) | Value::Pair(_) => true,
        _ => false,
    }
}

/// Erlang's order of terms, as far as JSON has them: numbers, then `false`, `null` and `true`
/// (atoms), objects and pairs (tuples), lists, strings.
pub(super) fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => order_numbers(*a, *b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => order_lists(a, b, order),
        (Value::Object(a), Value::Object(b)) => {
            let entries = |a: &(String, Value), b: &(String, Value)| {
                a.0.cmp(&b.0).then_with(|| order(&a.1, &b.1))
            };
            order_lists(a, b, entries)
        }
        (Value::Pair(a), Value::Pair(b)) => a.0.cmp(&b.0).then_with(|| order(&a.1, &b.1)),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn order_lists<T>(a: &[T], b: &[T], order: impl Fn(&T, &T) -> Ordering) -> Ordering {
    let differing = a.iter().zip(b).map(|(a, b)| order(a, b)).find(|order| order.is_ne());
    differing.unwrap_or_else(|| a.len().cmp(&b.len()))
}

fn order_numbers(a: Number, b: Number) -> Ordering {
    match (a, b) {
        (Number::Int(a), Number::Int(b)) => a.cmp(&b),
        (Number::Int(a), Number::Float(b)) => order_int_and_float(a, b),
        (Number::Float(a), Number::Int(b)) => order_int_and_float(b, a).reverse(),
        (Number::Float(a), Number::Float(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
    }
}

/// Exact, as in Erlang: if an integer were rounded to compare, the order would contradict itself.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // Within the bounds.
fn order_int_and_float(int: i128, float: f64) -> Ordering {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    const BEYOND: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;
    if float >= BEYOND {
        Ordering::Less
    } else if float < -BEYOND {
        Ordering::Greater
    } else if float.abs() < EXACT {
        // Rounding moves only integers that are farther from zero than any such float.
        (int as f64).partial_cmp(&float).unwrap_or(Ordering::Equal)
    } else {
        int.cmp(&(float as i128))
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::Bool(false) => 1,
        Value::Null => 2,
        Value::Bool(true) => 3,
        Value::Object(_) => 4,
        // An object is a pair whose first element is an atom, which comes before all text.
        Value::Pair(_) => 5,
        Value::Array(_) => 6,
        Value::String(_) => 7,
    }
}
