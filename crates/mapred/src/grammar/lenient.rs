//! JSON as people write queries: what Riak's parser (mochijson2) takes beside what the standard
//! allows. Its own tutorial posts functions with line ends and regular expressions as they are.
//!
//! Within strings, a raw control character stands for itself, and so does a backslash before a
//! character that no escape begins with. Trailing commas are dropped only where a text is no JSON with
//! them ([`mapring_script::without_trailing_commas`]).

use std::borrow::Cow;
use std::fmt::Write;

/// The same text as strict JSON. Text that is strict already is not copied.
pub(super) fn strict(text: &str) -> Cow<'_, str> {
    let mut out: Option<String> = None;
    let mut copied = 0;
    let mut in_string = false;
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let mut step = 1;
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => match bytes.get(at + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u') => step = 2,
                _ => {
                    let out = out.get_or_insert_with(|| String::with_capacity(text.len() + 64));
                    out.push_str(text.get(copied..at).unwrap_or_default());
                    out.push_str("\\\\");
                    copied = at + 1;
                }
            },
            0..=0x1f if in_string => {
                let out = out.get_or_insert_with(|| String::with_capacity(text.len() + 64));
                out.push_str(text.get(copied..at).unwrap_or_default());
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{byte:04x}");
                copied = at + 1;
            }
            _ => {}
        }
        at += step;
    }
    match out {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.push_str(text.get(copied..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, meaning: &serde_json::Value) {
        let parsed: serde_json::Value = serde_json::from_str(&strict(text)).unwrap();
        assert_eq!(&parsed, meaning);
    }

    #[test]
    fn what_people_write_is_taken() {
        check("[\"a\nb\tc\"]", &serde_json::json!(["a\nb\tc"]));
        check(r#"["/\w*/g"]"#, &serde_json::json!(["/\\w*/g"]));
        check(r#"["\é\"]"]"#, &serde_json::json!(["\\é\"]"]));
        check("{\n\"a\\\\\": \"\\\"\n\"}", &serde_json::json!({"a\\": "\"\n"}));
    }

    #[test]
    fn strict_text_is_left_alone() {
        for text in ["{}", " [1, \"a\\nb\\u00e9\\\\\"]\n", "\"", "é\n\\w"] {
            assert!(matches!(strict(text), Cow::Borrowed(_)), "{text:?}");
        }
    }
}
