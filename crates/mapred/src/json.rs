//! JSON text as Riak writes it (fact R68): compact, pure ASCII, floats always with a point.
//!
//! Works on the text, so that numbers of any size and duplicate members survive, and needs no stack
//! whatever the nesting.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Rewrites valid JSON text. Text that is not JSON comes out somehow, but always as ASCII.
pub fn encode(text: &str) -> Cow<'_, str> {
    if is_plain(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '"' => string(rest, &mut out),
            '-' | '0'..='9' => number(rest, &mut out),
            ' ' | '\n' | '\r' | '\t' => rest.get(1..).unwrap_or_default(),
            other => {
                escape(other, &mut out);
                rest.get(other.len_utf8()..).unwrap_or_default()
            }
        };
    }
    Cow::Owned(out)
}

/// The text as a JSON string in Riak's form.
pub(crate) fn string_literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    text.chars().for_each(|c| escape_in_string(c, &mut out));
    out.push('"');
    out
}

/// Whether the text is in Riak's form already, as far as one quick look can tell.
fn is_plain(text: &[u8]) -> bool {
    let mut in_string = false;
    for &byte in text {
        if in_string {
            match byte {
                b'"' => in_string = false,
                b'\\' | 0x7f.. => return false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => in_string = true,
                b' ' | b'\n' | b'\r' | b'\t' | b'.' | b'E' | 0x7f.. => return false,
                _ => {}
            }
        }
    }
    // `e` stands in true and false too; an exponent has a digit before it.
    !text.windows(2).any(|pair| matches!(pair, [b'0'..=b'9', b'e'] | [b'-', b'0']))
}

/// Copies the string that `text` begins with; returns what follows it.
fn string<'a>(text: &'a str, out: &mut String) -> &'a str {
    out.push('"');
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                out.push('"');
                return text.get(at + 1..).unwrap_or_default();
            }
            '\\' => match chars.next() {
                Some((_, 'u')) => {
                    let digits: String = chars.by_ref().take(4).map(|(_, digit)| digit).collect();
                    unicode_escape(&digits, out);
                }
                Some((_, '/')) => out.push('/'),
                Some((_, other)) => {
                    out.push('\\');
                    escape(other, out);
                }
                None => return "",
            },
            other => escape_in_string(other, out),
        }
    }
    ""
}

/// Writes what `\uXXXX` stands for. Halves of surrogate pairs stay as they are.
fn unicode_escape(digits: &str, out: &mut String) {
    match u32::from_str_radix(digits, 16) {
        Ok(code) if code < 0x80 => escape_in_string(char::from_u32(code).unwrap_or('?'), out),
        Ok(code) => {
            let _ = write!(out, "\\u{code:04x}");
        }
        Err(_) => out.push_str("\\ufffd"),
    }
}

fn escape_in_string(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        other => escape(other, out),
    }
}

fn escape(c: char, out: &mut String) {
    if (' '..'\u{7f}').contains(&c) {
        out.push(c);
    } else {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
}

/// Copies the number that `text` begins with; returns what follows it.
fn number<'a>(text: &'a str, out: &mut String) -> &'a str {
    let end = text
        .find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'))
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    if number == "-0" {
        out.push('0');
    } else if number.contains(['.', 'e', 'E']) {
        match number.parse::<f64>() {
            Ok(value) if value.is_finite() => float(value, out),
            // Larger than any float: Riak would refuse it, we pass it on.
            _ => out.push_str(number),
        }
    } else {
        out.push_str(number);
    }
    rest
}

/// Writes a float in its shortest form: without an exponent up to five zeros more than digits, and
/// down to 0.00000d (mochinum).
fn float(value: f64, out: &mut String) {
    if value == 0.0 {
        out.push_str(if value.is_sign_negative() { "-0.0" } else { "0.0" });
        return;
    }
    // Rust's exponent form is the shortest that reads back the same: `d[.ddd]e[-]xx`.
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(|&c| c != '.').collect();
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // The value is 0.DIGITS times ten to the power of `place`.
    let place = exponent + 1;
    if value < 0.0 {
        out.push('-');
    }
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    if place > 0 && place < count {
        let (whole, fraction) = digits.split_at(usize::try_from(place).unwrap_or(0));
        let _ = write!(out, "{whole}.{fraction}");
    } else if place > 0 && place - count < 6 {
        let _ = write!(out, "{digits}{}.0", zeros(place - count));
    } else if place <= 0 && place > -6 {
        let _ = write!(out, "0.{}{digits}", zeros(-place));
    } else {
        let (first, others) = digits.split_at(1);
        let others = if others.is_empty() { "0" } else { others };
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{first}.{others}e{sign}{}", exponent.abs());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[track_caller]
    fn check(input: &str, expect: &str) {
        assert_eq!(encode(input), expect);
    }

    #[test]
    fn text_is_ascii_and_compact() {
        check("[]", "[]");
        check(" [ 1 , 2 ]\n", "[1,2]");
        check(r#"{"a":true,"b":false,"c":null}"#, r#"{"a":true,"b":false,"c":null}"#);
        check(r#""é""#, r#""\u00e9""#);
        check(r#""\u00E9""#, r#""\u00e9""#);
        check(r#""😀""#, r#""\ud83d\ude00""#);
        check(r#""\ud83d\ude00""#, r#""\ud83d\ude00""#);
        check(r#""\ud800""#, r#""\ud800""#);
        check(r#""a b: , c""#, r#""a b: , c""#);
        check(r#""\u0041\u0022\u005c\/""#, r#""A\"\\/""#);
        check(r#""\n\r\t\b\f\u0001\u007f""#, r#""\n\r\t\b\f\u0001\u007f""#);
        check("\"\u{7f}\"", r#""\u007f""#);
        check(r#"{"é" : "\u00e9\"\\\n\t/<>"}"#, r#"{"\u00e9":"\u00e9\"\\\n\t/<>"}"#);
        check(r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#);
        let deep = "[".repeat(100_000);
        check(&deep, &deep);
    }

    #[test]
    fn numbers_are_riaks() {
        check("1", "1");
        check("-17", "-17");
        check("123456789012345678901234567890", "123456789012345678901234567890");
        check("-0", "0");
        check("1.0", "1.0");
        check("-1.50", "-1.5");
        check("0.5", "0.5");
        check("1e5", "100000.0");
        check("1e6", "1.0e+6");
        check("1E20", "1.0e+20");
        check("1e+21", "1.0e+21");
        check("1.5e300", "1.5e+300");
        check("123456789.0", "123456789.0");
        check("123456789.25", "123456789.25");
        check("0.001", "0.001");
        check("1e-6", "0.000001");
        check("1e-7", "1.0e-7");
        check("1.25e-10", "1.25e-10");
        check("0.0", "0.0");
        check("1e999", "1e999");
        check("[1e5,true,2e1]", "[100000.0,true,20.0]");
    }

    #[test]
    fn what_is_no_json_does_no_harm() {
        for text in ["\"", "\"\\", "\"\\u12", "\"\\uzzzz\"", "-", "é", "\"\\é\"", "1e", "\u{0}"] {
            assert!(encode(text).is_ascii(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn means_the_same(text in ".{0,40}", eighths in any::<i32>(), integer in any::<i64>()) {
            let float = f64::from(eighths) / 8.0;
            let value = serde_json::json!({&text: [float, integer, {"x": &text}], "e": "1e5"});
            let written = value.to_string();
            let encoded = encode(&written);
            prop_assert!(encoded.is_ascii());
            let back: Value = serde_json::from_str(&encoded).unwrap();
            prop_assert_eq!(&back, &value);
            prop_assert_eq!(encode(&encoded), encoded.as_ref());
        }

        #[test]
        fn any_text_becomes_ascii(text in any::<String>()) {
            prop_assert!(encode(&text).is_ascii());
            let literal = string_literal(&text);
            prop_assert!(literal.is_ascii());
            prop_assert_eq!(serde_json::from_str::<String>(&literal).unwrap(), text);
        }
    }
}
