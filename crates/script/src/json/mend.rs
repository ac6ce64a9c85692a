//! JSON as people and old programs write it. Each function gives `None` for a text that has nothing
//! of its kind, so that right JSON keeps its meaning whoever asks.

/// A JSON text without commas that stand behind the last element of an array or an object. A comma
/// that stands behind nothing (`[,]`, `[1,,2]`) stays, and stays wrong.
pub fn without_trailing_commas(text: &str) -> Option<String> {
    let mut out: Option<String> = None;
    let (mut copied, mut last, mut comma) = (0, b',', None);
    let (mut in_string, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b' ' | b'\t' | b'\n' | b'\r' => continue,
            b',' if !matches!(last, b'[' | b'{' | b',' | b':') => {
                (last, comma) = (byte, Some(at));
                continue;
            }
            b']' | b'}' => {
                if let Some(comma) = comma {
                    let out = out.get_or_insert_with(|| String::with_capacity(text.len()));
                    out.push_str(text.get(copied..comma).unwrap_or_default());
                    copied = comma + 1;
                }
            }
            _ => {}
        }
        (last, comma) = (byte, None);
    }
    let mut out = out?;
    out.push_str(text.get(copied..).unwrap_or_default());
    Some(out)
}

/// The text with raw control characters in strings escaped. Ends of lines stay, and stay wrong: a
/// string that runs over a line has most often lost its end.
pub(crate) fn without_raw_controls(text: &str) -> Option<String> {
    let mut out: Option<String> = None;
    let (mut copied, mut in_string, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            0..=0x1f if in_string && !matches!(byte, b'\n' | b'\r') => {
                let out = out.get_or_insert_with(|| String::with_capacity(text.len() + 64));
                out.push_str(text.get(copied..at).unwrap_or_default());
                super::escape(u16::from(byte), out);
                copied = at + 1;
            }
            _ => {}
        }
    }
    let mut out = out?;
    out.push_str(text.get(copied..).unwrap_or_default());
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[track_caller]
    fn commas(text: &str, expected: Option<&str>) {
        assert_eq!(without_trailing_commas(text).as_deref(), expected, "{text}");
    }

    #[test]
    fn only_commas_behind_a_last_element_go() {
        commas("[1,]", Some("[1]"));
        commas("[1 , \n ]", Some("[1  \n ]"));
        commas(r#"{"a":[1,],"b":{"c":null,},}"#, Some(r#"{"a":[1],"b":{"c":null}}"#));
        commas(r#"["é,]",]"#, Some(r#"["é,]"]"#));
        commas(r#"[[],]"#, Some("[[]]"));
        for text in ["", ",", "[,]", "{,}", "[1,,]", "[1,,2]", r#"{"a":,}"#, ",]", "[1,", "[1,2]"] {
            commas(text, None);
        }
        for text in [r#"["a,]"]"#, r#"["a\",]"]"#, r#""\\,}"#, r#"{"a,}":",]"}"#] {
            commas(text, None);
        }
    }

    #[test]
    fn raw_controls_are_escaped() {
        let mended = |text| without_raw_controls(text);
        assert_eq!(mended("[\"a\tb\u{0}\"]").unwrap(), r#"["a\tb\u0000"]"#);
        assert_eq!(mended("\t[\t\"\\\"\t\"]").unwrap(), "\t[\t\"\\\"\\t\"]");
        for text in ["\t[]\t", "[\"a\nb\"]", "[\"a\rb\"]", "[\"\\\t\"]", "\"é\""] {
            assert_eq!(mended(text), None, "{text:?}");
        }
    }

    /// Adds a comma before every end of a list that is not empty.
    fn with_commas(value: &Value, out: &mut String) {
        match value {
            Value::Array(items) => {
                out.push('[');
                for item in items {
                    with_commas(item, out);
                    out.push_str(" ,\n");
                }
                out.push(']');
            }
            Value::Object(fields) => {
                out.push('{');
                for (name, field) in fields {
                    out.push_str(&Value::from(name.as_str()).to_string());
                    out.push(':');
                    with_commas(field, out);
                    out.push(',');
                }
                out.push('}');
            }
            other => out.push_str(&other.to_string()),
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[a,\\]}\"\\\\\t\u{1}é:{\\[ ]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a,}\"\\]]{0,3}", inner, 0..4)
                    .prop_map(|fields| fields.into_iter().collect::<Value>()),
            ]
        })
    }

    proptest! {
        #[test]
        fn right_json_is_left_alone(value in any_value()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                prop_assert_eq!(without_trailing_commas(&text), None);
                prop_assert_eq!(without_raw_controls(&text), None);
            }
        }

        #[test]
        fn commas_put_in_are_taken_out(value in any_value()) {
            let mut text = String::new();
            with_commas(&value, &mut text);
            let mended = without_trailing_commas(&text).unwrap_or(text);
            prop_assert_eq!(serde_json::from_str::<Value>(&mended).unwrap(), value);
        }

        #[test]
        fn raw_texts_are_read(text in "[a\t\u{0}\u{1f}é,\\]]{0,20}") {
            let raw = format!("[\"{text}\"]");
            let mended = without_raw_controls(&raw).unwrap_or(raw);
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&mended).unwrap(), vec![text]);
        }

        #[test]
        fn any_text_is_borne(text in any::<String>(), marks in "[\\[\\]{},:\"\\\\ \t1]{0,30}") {
            for text in [text, marks] {
                let mended = without_trailing_commas(&text);
                prop_assert!(mended.is_none_or(|mended| mended.len() < text.len()));
                let _ = without_raw_controls(&text);
            }
        }
    }
}
