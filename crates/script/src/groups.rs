//! Pairs and groups: what a map gives where its results are grouped by key, and what a combiner and a
//! grouped reduce get.

use bytes::Bytes;
use mapring_shuffle::{Pairs, key};
use serde::{Deserialize, Serialize};

use crate::{Effects, FailureCause, Handled, JsonText, PhaseFunction, Row, ScriptError};

/// What becomes of the results of a map where a grouped reduce follows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grouping {
    /// Whether keys become strings: `1` and `"1"` are one key then.
    pub string_keys: bool,
    /// What makes few values of many.
    pub combine: Option<Combiner>,
}

/// A function that makes few values of a key of many: `combine(key, fresh, old, arg)` gives the list
/// of values that stand for both. It is called any number of times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Combiner {
    /// The function.
    pub function: PhaseFunction,
    /// What its result does with `old`.
    pub mode: CombineMode,
    /// Most fresh values of a call, at least 1.
    pub batch: u32,
    /// Whether a function of `Job` leaves values that it cannot take as they are, so that the reduce
    /// fails for them: one that nobody asked for changes no failure.
    pub lenient: bool,
}

/// What the result of a combiner does with the values that it gave before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CombineMode {
    /// It takes their place.
    #[default]
    Replace,
    /// It is added to them.
    Append,
}

impl Combiner {
    /// How many fresh values a call gets when nobody says.
    pub const BATCH: u32 = 1_000;

    /// A combiner whose results take the place of `old`.
    pub fn new(function: PhaseFunction) -> Self {
        Self { function, mode: CombineMode::Replace, batch: Self::BATCH, lenient: false }
    }
}

/// The values of a key. Values may be states of built-in combiners, which only this crate reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The key in its canonical form, see [`mapring_shuffle::key`].
    pub key: Bytes,
    /// The values that no combiner has seen together, in their order.
    pub values: Vec<JsonText>,
    /// What a combiner has given before; of no meaning to a reduce, which gets them first.
    pub old: Vec<JsonText>,
}

impl Group {
    /// About the bytes that it takes.
    pub fn bytes(&self) -> usize {
        let value = |value: &JsonText| value.0.len() + 8;
        self.key.len() + self.values.iter().chain(&self.old).map(value).sum::<usize>()
    }
}

/// How the values of a group come to a reduce function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Values {
    /// As a list.
    #[default]
    List,
    /// As an iterator.
    Stream,
}

/// What a map gave where its results are grouped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappedPairs {
    /// How many inputs, from the first on, were mapped: at least one of those given.
    pub inputs: u32,
    /// The pairs, combined where there is a combiner: in the order of the inputs, those that were
    /// combined as values of the first of them.
    pub pairs: Pairs,
    /// How many pairs the map gave.
    pub made: u64,
    /// About their bytes.
    pub made_bytes: u64,
    /// How often the combiner was called; one that runs in the node once for each key.
    pub combined: u64,
    /// What the calls asked for.
    pub effects: Effects,
    /// Of a function that is an object with methods for shards and slices.
    pub handled: Option<Handled>,
}

/// What a combiner made of groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CombinedGroups {
    /// The values that stand for those of each group, one by one: it may be shorter than the groups,
    /// but not empty.
    pub values: Vec<Vec<JsonText>>,
    /// As [`MappedPairs::combined`].
    pub combined: u64,
    /// What the calls asked for.
    pub effects: Effects,
}

/// Adds the pair that a result is: `[key, value]`. What is none is an error.
///
/// # Errors
/// The result is no list of a key and a value, or one of them is too large.
pub fn push_pair(
    pairs: &mut Pairs,
    input: u32,
    result: &Row,
    string_keys: bool,
) -> Result<(), ScriptError> {
    let (key, value) = pair_of(result)?;
    let key = canonical(key, string_keys)?;
    pairs.push(input, &key, value).map_err(unfit)
}

/// The JSON of the key and the value that a result is.
pub(crate) fn pair_of(result: &Row) -> Result<(&str, &str), ScriptError> {
    match result {
        Row::Value(JsonText(text)) => split(text).ok_or_else(|| no_pair(text)),
        Row::Pair(JsonText(text)) => Err(no_pair(text)),
    }
}

/// The failure of a result that is no pair.
pub(crate) fn no_pair(text: &str) -> ScriptError {
    let shown: String = text.chars().take(80).collect();
    let message = format!("a result that is to be grouped is [key, value], not {shown}");
    ScriptError::new(FailureCause::NotAPair, message)
}

/// The canonical form of a key that is JSON.
///
/// # Errors
/// It is too large, or nested too deeply.
pub fn canonical(json: &str, string_keys: bool) -> Result<Vec<u8>, ScriptError> {
    let mut out = Vec::with_capacity(json.len() + 2);
    if string_keys && !json.starts_with('"') {
        // Of what is no string, its canonical JSON.
        key::encode(json, &mut out).map_err(unfit)?;
        let text = key::decode(&out).map_err(unfit)?;
        out.clear();
        let mut writer = key::Writer::new(&mut out);
        writer.string(text.as_str()).map_err(unfit)?;
        writer.finish().map_err(unfit)?;
    } else {
        key::encode(json, &mut out).map_err(unfit)?;
    }
    Ok(out)
}

/// A key or a value that cannot be grouped.
pub(crate) fn unfit(error: mapring_types::Error) -> ScriptError {
    ScriptError::new(FailureCause::NotAPair, error.to_string())
}

/// The texts of the two items of a list of two.
pub(crate) fn split(text: &str) -> Option<(&str, &str)> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let comma = only_comma(inner)?;
    let (key, value) = inner.split_at(comma);
    Some((key.trim(), value.get(1..)?.trim()))
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
}

/// Where the only comma is that stands in no string, list or object; `None` when there is another
/// number of them.
fn only_comma(text: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped, mut found) = (0usize, false, false, None);
    for (at, byte) in text.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 && found.is_some() => return None,
            b',' if depth == 0 => found = Some(at),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(result: &str, string_keys: bool, expect: Option<(&str, &str)>) {
        let mut pairs = Pairs::new();
        let pushed = push_pair(&mut pairs, 7, &Row::value(result), string_keys);
        let pair = pairs.iter().next().map(|pair| {
            let pair = pair.unwrap();
            assert_eq!(pair.input, 7);
            (key::decode(pair.key).unwrap(), pair.value.to_owned())
        });
        let found = pair.as_ref().map(|(key, value)| (key.as_str(), value.as_str()));
        assert_eq!(found, expect, "{result}");
        match expect {
            Some(_) => pushed.unwrap(),
            None => assert_eq!(pushed.unwrap_err().cause, FailureCause::NotAPair),
        }
    }

    #[test]
    fn results_that_are_pairs() {
        check(r#"["a",1]"#, false, Some((r#""a""#, "1")));
        check(r#" [ 1.0 , {"b":[2,3]} ] "#, false, Some(("1", r#"{"b":[2,3]}"#)));
        check(r#"["a,\"]",[",",[1,2]]]"#, false, Some((r#""a,\"]""#, r#"[",",[1,2]]"#)));
        check(r#"[{"b":1,"a":2},null]"#, false, Some((r#"{"a":2,"b":1}"#, "null")));
        check("[1.50,1]", true, Some((r#""1.5""#, "1")));
        check(r#"["1.50",1]"#, true, Some((r#""1.50""#, "1")));
        check("[null,1]", true, Some((r#""null""#, "1")));
        check("[[1,2],1]", true, Some((r#""[1,2]""#, "1")));
        for none in ["1", "[]", "[1]", "[1,2,3]", "{\"a\":1}", "\"ab\"", "[,1]", "[1,]", "]1,2["] {
            check(none, false, None);
        }
        let mut pairs = Pairs::new();
        push_pair(&mut pairs, 0, &Row::pair("\"a\"", "1"), false).unwrap_err();
    }
}
