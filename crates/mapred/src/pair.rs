//! Results that are pairs of a key and a value, both JSON: `["k",1]`, or the only member of an object.

use std::borrow::Cow;
use std::fmt;

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
            Row::Value(text) if is_object(&text.0) => Self::of_object(&text.0),
            Row::Value(text) => {
                let (key, value) = serde_json::from_str::<(&RawValue, &RawValue)>(&text.0).ok()?;
                Some(Self { key: key.get(), value: value.get() })
            }
            Row::Pair(_) => Self::of_member(row.member()?),
        }
    }

    /// The only member of an object; `None` where there is another number of them.
    fn of_object(text: &'a str) -> Option<Self> {
        let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
        let Self { key, value } = Self::of_member(inner.trim())?;
        // Of several members this is no value, but has a comma behind the first.
        let value: &RawValue = serde_json::from_str(value).ok()?;
        Some(Self { key, value: value.get() })
    }

    fn of_member(member: &'a str) -> Option<Self> {
        let (key, value) = member.split_at(end_of_string(member)?);
        Some(Self { key, value: value.trim_start().strip_prefix(':')? })
    }
}

fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
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

/// The text that JSON stands for: of a string its characters, of anything else the JSON.
///
/// # Errors
/// Half of a surrogate pair is in it, which no text has that is UTF-8.
pub(crate) fn text(json: &str) -> Result<Cow<'_, str>, HalfSurrogate> {
    if !json.starts_with('"') {
        return Ok(Cow::Borrowed(json));
    }
    let inner = inside(json);
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    // All else that is wrong with a string was found when the result was read.
    serde_json::from_str(json).map(Cow::Owned).map_err(|_| HalfSurrogate)
}

/// See [`text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HalfSurrogate;

impl fmt::Display for HalfSurrogate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("holds half of a surrogate pair, which UTF-8 cannot say")
    }
}

/// As [`text`], in bytes that differ wherever strings do: a half of a surrogate pair is three of them, as
/// UTF-8 would have it.
pub(crate) fn bytes(json: &str) -> Cow<'_, [u8]> {
    match text(json) {
        Ok(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
        Ok(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
        Err(HalfSurrogate) => Cow::Owned(with_halves(inside(json))),
    }
}

fn inside(json: &str) -> &str {
    json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default()
}

/// As [`bytes`], of the inside of a string.
fn with_halves(inner: &str) -> Vec<u8> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4]);
    for unit in char::decode_utf16(units(inner)) {
        match unit {
            Ok(c) => bytes.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes()),
            Err(half) => {
                let [high, low] = half.unpaired_surrogate().to_be_bytes();
                bytes.extend([
                    0xe0 | high >> 4,
                    0x80 | (high & 0xf) << 2 | low >> 6,
                    0x80 | low & 0x3f,
                ]);
            }
        }
    }
    bytes
}

/// The code units of the inside of a string.
fn units(inner: &str) -> Vec<u16> {
    let (mut units, mut buffer) = (Vec::new(), [0; 2]);
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.next() } else { None };
        let unit = match escaped {
            None => {
                units.extend_from_slice(c.encode_utf16(&mut buffer));
                continue;
            }
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
        };
        units.push(unit);
    }
    units
}

/// A result whose value is the text of what it was: of a pair its value, of another all of it.
pub(crate) fn with_text_value(row: Row) -> Row {
    match Pair::of(&row) {
        Some(Pair { value, .. }) if value.starts_with('"') => row,
        Some(Pair { key, value }) => {
            let value = quoted(value);
            match &row {
                Row::Value(text) if is_object(&text.0) => Row::value(format!("{{{key}:{value}}}")),
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
        check(&value(r#"{"a":1}"#), Some((r#""a""#, "1")), &value(r#"{"a":"1"}"#));
        check(
            &value(r#" { "a\"}" : {"b":[1,2]} } "#),
            Some((r#""a\"}""#, r#"{"b":[1,2]}"#)),
            &value(r#"{"a\"}":"{\"b\":[1,2]}"}"#),
        );
        check(&value(r#"{"a":1,"b":2}"#), None, &value(r#""{\"a\":1,\"b\":2}""#));
        check(&value("{}"), None, &value(r#""{}""#));
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
            (r#""""#, ""),
        ] {
            assert_eq!(text(json).as_deref(), Ok(expect), "{json}");
            assert_eq!(bytes(json), expect.as_bytes());
        }
    }

    #[test]
    fn halves_of_surrogate_pairs_are_told_apart() {
        for (json, expect) in [
            (
                r#""a\ud800\tb\u00e9é😀\/""#,
                &b"a\xed\xa0\x80\tb\xc3\xa9\xc3\xa9\xf0\x9f\x98\x80/"[..],
            ),
            (r#""\udfff""#, b"\xed\xbf\xbf"),
            (r#""\ude00\ud83d""#, b"\xed\xb8\x80\xed\xa0\xbd"),
            (r#""\ud83d\ud83d\ude00\\""#, b"\xed\xa0\xbd\xf0\x9f\x98\x80\\"),
        ] {
            assert_eq!((text(json), &*bytes(json)), (Err(HalfSurrogate), expect), "{json}");
        }
    }
}
