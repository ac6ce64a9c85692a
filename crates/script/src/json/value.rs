//! JSON values of the native functions: numbers keep whether they are integers, objects keep the
//! order of their properties.

use std::fmt::Write as _;

use super::read::{Build, ReadError, Text, read};
use super::{write_erlang_float, write_js_number, write_str};
use crate::{Row, limits};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
    /// What Erlang has as a pair: see [`Row::Pair`].
    Pair(Box<(String, Value)>),
}

/// A number. Integers beyond 128 bits are floats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    /// The number as JavaScript holds it.
    #[allow(clippy::cast_precision_loss)] // JavaScript rounds in the same way.
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }
}

impl Value {
    /// The property of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(entries) => entries.iter().find(|(key, _)| key == name).map(|e| &e.1),
            Self::Pair(pair) => (pair.0 == name).then_some(&pair.1),
            _ => None,
        }
    }

    /// Whether it is one of the markers of a missing object.
    pub(crate) fn is_not_found(&self) -> bool {
        let only = match self {
            Self::Object(entries) if entries.len() == 1 => entries.first(),
            Self::Pair(pair) => Some(pair.as_ref()),
            _ => None,
        };
        self.get("not_found").is_some()
            || matches!(only, Some((key, Value::String(text))) if key == "error" && text == "notfound")
    }

    /// About the bytes of its text.
    pub(crate) fn bytes(&self) -> usize {
        let member = |(name, value): &(String, Value)| name.len() + 4 + value.bytes();
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => 4,
            Self::String(text) => text.len() + 2,
            Self::Array(items) => items.iter().map(|item| item.bytes() + 1).sum::<usize>() + 2,
            Self::Object(members) => members.iter().map(member).sum::<usize>() + 2,
            Self::Pair(pair) => member(pair) + 2,
        }
    }

    /// JSON text with numbers as JavaScript writes them and properties in its order.
    pub(crate) fn to_js(&self) -> String {
        let mut out = String::new();
        self.write(true, &mut out);
        out
    }

    /// JSON text with numbers as Erlang writes them and properties in the order given.
    pub(crate) fn to_erlang(&self) -> String {
        let mut out = String::new();
        self.write(false, &mut out);
        out
    }

    fn write(&self, js: bool, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) if js => write_js_number(number.as_f64(), out),
            Self::Number(Number::Int(int)) => {
                let _ = write!(out, "{int}");
            }
            Self::Number(Number::Float(float)) => write_erlang_float(*float, out),
            Self::String(text) => write_str(text, out),
            Self::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write(js, out);
                }
                out.push(']');
            }
            Self::Object(entries) => {
                out.push('{');
                let mut first = true;
                let mut one = |key: &str, value: &Value| {
                    if !std::mem::take(&mut first) {
                        out.push(',');
                    }
                    write_str(key, out);
                    out.push(':');
                    value.write(js, out);
                };
                if js && entries.iter().any(|(key, _)| array_index(key).is_some()) {
                    js_order(entries).into_iter().for_each(|(key, value)| one(key, value));
                } else {
                    entries.iter().for_each(|(key, value)| one(key, value));
                }
                out.push('}');
            }
            Self::Pair(pair) => {
                out.push('{');
                write_str(&pair.0, out);
                out.push(':');
                pair.1.write(js, out);
                out.push('}');
            }
        }
    }

    /// The value as a result.
    pub(crate) fn to_row(&self, js: bool) -> Row {
        let text = if js { self.to_js() } else { self.to_erlang() };
        match self {
            Self::Pair(_) => Row::pair_of(text),
            _ => Row::value(text),
        }
    }

    /// Reads what another phase gave.
    pub(crate) fn of_row(row: &Row) -> Result<Self, ReadError> {
        let value = parse(row.text())?;
        Ok(match value {
            Self::Object(mut entries) if entries.len() == 1 && matches!(row, Row::Pair(_)) => {
                match entries.pop() {
                    Some(pair) => Self::Pair(Box::new(pair)),
                    None => Self::Object(entries),
                }
            }
            other => other,
        })
    }
}

/// Properties as JavaScript enumerates them: array indices in rising order, then the others.
pub(crate) fn js_order(entries: &[(String, Value)]) -> Vec<(&str, &Value)> {
    let mut sorted: Vec<_> = entries.iter().map(|(key, value)| (key.as_str(), value)).collect();
    sorted.sort_by_key(|(key, _)| array_index(key).unwrap_or(u32::MAX));
    sorted
}

/// The array index that a property name stands for.
fn array_index(key: &str) -> Option<u32> {
    let number: u32 = key.parse().ok().filter(|&number| number < u32::MAX)?;
    let canonical = key == "0" || !key.starts_with(['0', '+']);
    canonical.then_some(number)
}

/// Reads a value. Strings with lone surrogates and numbers beyond floats are refused.
pub(crate) fn parse(text: &str) -> Result<Value, ReadError> {
    read(text, &mut Builder)
}

struct Builder;

impl Build for Builder {
    type Value = Value;
    type Key = String;
    type Object = Vec<(String, Value)>;

    fn null(&mut self) -> Value {
        Value::Null
    }

    fn boolean(&mut self, value: bool) -> Value {
        Value::Bool(value)
    }

    fn number(&mut self, text: &str) -> Result<Value, ReadError> {
        if let Ok(int) = text.parse() {
            return Ok(Value::Number(Number::Int(int)));
        }
        let float = text.parse().ok().filter(|float: &f64| float.is_finite());
        let float = float.ok_or(ReadError { what: "number out of range", at: 0 })?;
        Ok(Value::Number(Number::Float(float)))
    }

    fn string(&mut self, text: Text<'_>) -> Result<Value, ReadError> {
        self.key(text).map(Value::String)
    }

    fn array(&mut self, items: Vec<Value>) -> Value {
        Value::Array(items)
    }

    fn key(&mut self, text: Text<'_>) -> Result<String, ReadError> {
        match text {
            Text::Plain(text) => Ok(text.to_owned()),
            Text::Wide(_) => Err(ReadError { what: "lone surrogate in a string", at: 0 }),
        }
    }

    fn begin(&mut self) -> Vec<(String, Value)> {
        Vec::new()
    }

    fn insert(&mut self, object: &mut Vec<(String, Value)>, key: String, value: Value) {
        object.push((key, value));
    }

    fn finish(&mut self, mut object: Vec<(String, Value)>) -> Value {
        // Names hardly ever repeat: look once at the end instead of at every insertion.
        if repeats(&object) {
            object = without_repeats(object);
        }
        Value::Object(object)
    }
}

/// Whether a name comes again.
fn repeats(object: &[(String, Value)]) -> bool {
    if object.len() <= limits::FEW_NAMES {
        let before = |at: usize, name: &str| object[..at].iter().any(|(other, _)| other == name);
        return object.iter().enumerate().any(|(at, (name, _))| before(at, name));
    }
    let mut names: Vec<&str> = object.iter().map(|(key, _)| key.as_str()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

/// Reads a value of which only some members are wanted, by their names; the others are read and left out. Of
/// anything but an object all is wanted.
pub(crate) fn parse_members(text: &str, names: &[&str]) -> Result<Value, ReadError> {
    read(text, &mut Members { names, depth: 0 })
}

/// Builds the members of an object that are wanted.
struct Members<'a> {
    names: &'a [&'a str],
    /// Objects that are begun.
    depth: usize,
}

impl Build for Members<'_> {
    type Value = Value;
    /// `None`: not wanted.
    type Key = Option<String>;
    type Object = Vec<(String, Value)>;

    fn null(&mut self) -> Value {
        Value::Null
    }

    fn boolean(&mut self, value: bool) -> Value {
        Value::Bool(value)
    }

    fn number(&mut self, text: &str) -> Result<Value, ReadError> {
        Builder.number(text)
    }

    fn string(&mut self, text: Text<'_>) -> Result<Value, ReadError> {
        Builder.string(text)
    }

    fn array(&mut self, items: Vec<Value>) -> Value {
        Value::Array(items)
    }

    fn key(&mut self, text: Text<'_>) -> Result<Option<String>, ReadError> {
        match text {
            Text::Plain(text) if self.depth == 1 && !self.names.contains(&text) => Ok(None),
            Text::Wide(_) if self.depth == 1 => Ok(None),
            text => Builder.key(text).map(Some),
        }
    }

    fn wants(&self, key: &Option<String>) -> bool {
        key.is_some()
    }

    fn begin(&mut self) -> Self::Object {
        self.depth += 1;
        Builder.begin()
    }

    fn insert(&mut self, object: &mut Self::Object, key: Option<String>, value: Value) {
        object.extend(key.map(|key| (key, value)));
    }

    fn finish(&mut self, object: Self::Object) -> Value {
        self.depth -= 1;
        Builder.finish(object)
    }
}

fn without_repeats(object: Vec<(String, Value)>) -> Vec<(String, Value)> {
    let mut places = std::collections::BTreeMap::new();
    let mut out: Vec<(String, Value)> = Vec::with_capacity(object.len());
    for (key, value) in object {
        match places.get(&key) {
            Some(&place) => {
                if let Some(entry) = out.get_mut(place) {
                    let entry: &mut (String, Value) = entry;
                    entry.1 = value;
                }
            }
            None => {
                places.insert(key.clone(), out.len());
                out.push((key, value));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, js: &str) {
        assert_eq!(parse(text).map(|value| value.to_js()).as_deref(), Ok(js));
    }

    #[track_caller]
    fn refuse(text: &str, what: &str) {
        assert_eq!(parse(text).unwrap_err().what, what, "{text}");
    }

    #[test]
    fn reads_and_writes_as_javascript() {
        check(" [1, 2.50 ,-0, 1e3,true,false,null ] ", "[1,2.5,0,1000,true,false,null]");
        check(r#"{"b":1,"10":2,"a":3,"2":4,"b":5}"#, r#"{"2":4,"10":2,"b":5,"a":3}"#);
        check(r#""\u00e9\ud83d\ude00\/\n\"""#, "\"é😀/\\n\\\"\"");
        check("12345678901234567890", "12345678901234567000");
        check(r#"{"01":1,"-1":2}"#, r#"{"01":1,"-1":2}"#);
    }

    #[test]
    fn of_an_object_the_members_that_are_wanted() {
        let check = |text: &str, js: &str| {
            let read = parse_members(text, &["a", "b"]).map(|value| value.to_js());
            assert_eq!(read.as_deref(), Ok(js), "{text}");
        };
        check(
            r#"{"x":{"a":1,"x":"\ud800"},"a":{"x":[{"y":2}]},"\u0062":3,"z":1e999}"#,
            r#"{"a":{"x":[{"y":2}]},"b":3}"#,
        );
        check(r#"{"a":1,"x":2,"b":[],"a":4}"#, r#"{"a":4,"b":[]}"#);
        check(r#"{"\ud800":1}"#, "{}");
        check("[1,\"x\"]", "[1,\"x\"]");
        let at = |text: &str| parse_members(text, &["a"]).unwrap_err();
        assert_eq!(at(r#"{"x":[1,}"#), ReadError { what: "unexpected character", at: 8 });
        assert_eq!(at(&format!("{{\"x\":{}", "[".repeat(100_000))).what, "nested too deeply");
        assert_eq!(at(r#"{"x":"a"#).what, "unterminated string");
    }

    #[test]
    fn refuses_what_is_not_json() {
        refuse("", "unexpected end");
        refuse("[1,]", "unexpected character");
        refuse("01", "unexpected text after the value");
        refuse("{a:1}", "expected a property name");
        refuse("\"a\nb\"", "control character in a string");
        refuse("\"\\x\"", "bad escape in a string");
        refuse("\"\\ud800\"", "lone surrogate in a string");
        refuse(&"[".repeat(100_000), "nested too deeply");
        refuse("-", "expected a digit");
        refuse("1e999", "number out of range");
        refuse("\"abc", "unterminated string");
    }

    #[test]
    fn erlang_keeps_integers_and_floats_apart() {
        let value = parse("[1,1.0,12345678901234567890,1e20]").unwrap();
        assert_eq!(value.to_erlang(), "[1,1.0,12345678901234567890,1.0e+20]");
    }
}
