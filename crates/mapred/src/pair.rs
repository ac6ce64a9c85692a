//! Results that are pairs of a key and a value, both JSON: `["k",1]`, or the only member of an object.

use std::borrow::Cow;

use mapring_script::Row;
use serde_json::value::RawValue;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair<'a> {
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
}

impl<'a> Pair<'a> {
    /// The pair that a result is; `None` for another.
    pub(crate) fn of(row: &'a Row) -> Option<Self> {
        match row {
            Row::Value(text) => {
                let (key, value) = serde_json::from_str::<(&RawValue, &RawValue)>(&text.0).ok()?;
                Some(Self { key: key.get(), value: value.get() })
            }
            Row::Pair(_) => {
                let member = row.member()?;
                let (key, value) = member.split_at(end_of_string(member)?);
                Some(Self { key, value: value.trim_start().strip_prefix(':')? })
            }
        }
    }
}

/// Where the string ends that JSON text begins with.
fn end_of_string(text: &str) -> Option<usize> {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.filter(|_| text.starts_with('"')).map(|end| end + 2)
}

/// The text that JSON stands for: of a string its characters, of anything else the JSON. Halves of
/// surrogate pairs, which no text can have, become U+FFFD.
pub(crate) fn text(json: &str) -> Cow<'_, str> {
    if !json.starts_with('"') {
        return Cow::Borrowed(json);
    }
    let inner = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    match serde_json::from_str::<String>(json) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Owned(lossy(inner)),
    }
}

/// As [`text`], of the inside of a string with lone surrogates.
fn lossy(inner: &str) -> String {
    let mut units: Vec<u16> = Vec::new();
    let mut chars = inner.chars();
    let mut buffer = [0; 2];
    while let Some(c) = chars.next() {
        let unit = match (c, c == '\\') {
            (c, false) => {
                units.extend_from_slice(c.encode_utf16(&mut buffer));
                continue;
            }
            _ => match chars.next() {
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    u16::from_str_radix(&digits, 16).unwrap_or(0xfffd)
                }
                Some('b') => 8,
                Some('t') => 9,
                Some('n') => 10,
                Some('f') => 12,
                Some('r') => 13,
                Some(other) => u16::try_from(u32::from(other)).unwrap_or(0xfffd),
                None => break,
            },
        };
        units.push(unit);
    }
    String::from_utf16_lossy(&units)
}

/// A result whose value is the text of what it was: of a pair its value, of another all of it.
pub(crate) fn with_text_value(row: Row) -> Row {
    match Pair::of(&row) {
        Some(Pair { value, .. }) if value.starts_with('"') => row,
        Some(Pair { key, value }) => {
            let value = quoted(value);
            match row {
                Row::Value(_) => Row::value(format!("[{key},{value}]")),
                Row::Pair(_) => Row::pair(key, &value),
            }
        }
        None if row.text().starts_with('"') => row,
        None => Row::value(quoted(row.text())),
    }
}

/// A text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(row: &Row, expect: Option<(&str, &str)>, with_text: &Row) {
        assert_eq!(Pair::of(row).map(|pair| (pair.key, pair.value)), expect);
        assert_eq!(with_text_value(row.clone()), *with_text);
    }

    #[test]
    fn pairs_are_told_from_others() {
        let value = |text: &str| Row::value(text);
        check(&value(r#"["a",1]"#), Some((r#""a""#, "1")), &value(r#"["a","1"]"#));
        check(
            &value(r#" [ null , "x" ] "#),
            Some(("null", r#""x""#)),
            &value(r#" [ null , "x" ] "#),
        );
        check(&value("[[1],{}]"), Some(("[1]", "{}")), &value(r#"[[1],"{}"]"#));
        check(&value("[1]"), None, &value(r#""[1]""#));
        check(&value("[1,2,3]"), None, &value(r#""[1,2,3]""#));
        check(&value(r#"{"a":1}"#), None, &value(r#""{\"a\":1}""#));
        check(&value(r#""a""#), None, &value(r#""a""#));
        check(
            &Row::pair(r#""a\":""#, "1"),
            Some((r#""a\":""#, "1")),
            &Row::pair(r#""a\":""#, r#""1""#),
        );
        let deep = format!("[1,{}{}]", "[".repeat(500), "]".repeat(500));
        assert!(Pair::of(&value(&deep)).is_some());
    }

    #[test]
    fn texts_of_json() {
        for (json, expect) in [
            ("7", "7"),
            (r#"["a"]"#, r#"["a"]"#),
            (r#""a é""#, "a é"),
            (r#""\u00e9\n\"\\""#, "é\n\"\\"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""a\ud800\tb\u00e9é😀\/""#, "a\u{fffd}\tbéé😀/"),
            (r#""""#, ""),
        ] {
            assert_eq!(text(json), expect, "{json}");
        }
    }
}
