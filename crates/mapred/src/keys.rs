//! Keys as values between phases: `[b,k]`, `[b,k,keydata]`, `[b,k,keydata,type]` (fact R60).

use std::collections::BTreeMap;

use bytes::Bytes;
use mapring_script::{JsonText, Row};
use mapring_types::{BucketId, Error, ObjectId, Result, limits as common};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::grammar::KeyInput;
use crate::json;

/// Reads what a phase gave as the input of a following map or link; `None` when it is no key form.
/// Unlike in the query's own inputs, a `null` keydata means that none is given.
pub(crate) fn parse(row: &Row) -> Option<KeyInput> {
    let form = match row {
        Row::Value(text) => serde_json::from_str(&text.0).ok()?,
        // To Erlang a pair of names is as good an input as a list of them.
        Row::Pair(text) => {
            let pair: BTreeMap<String, String> = serde_json::from_str(&text.0).ok()?;
            let (bucket, key) = pair.into_iter().next()?;
            Form::Two(bucket, key)
        }
    };
    let (bucket, key, keydata) = match form {
        Form::Two(bucket, key) => (BucketId::untyped(bucket), key, None),
        Form::Three(bucket, key, keydata) => (BucketId::untyped(bucket), key, Some(keydata)),
        Form::Four(bucket, key, keydata, bucket_type) => {
            (BucketId::typed(bucket_type, bucket), key, Some(keydata))
        }
    };
    let fits = |name: &[u8]| name.len() <= common::KEY_BYTES;
    if !fits(&bucket.bucket_type) || !fits(&bucket.name) || !fits(key.as_bytes()) {
        return None;
    }
    let keydata = keydata.map(RawValue::get).filter(|text| *text != "null");
    Some(KeyInput {
        id: ObjectId::new(bucket, Bytes::from(key)),
        keydata: keydata.map(|text| JsonText(text.to_owned())),
    })
}

/// An input as a value: what a reduce gets that has no map before it, and what a query without
/// phases answers.
///
/// # Errors
/// `Invalid` when a name is no UTF-8 and so cannot be written as JSON.
pub(crate) fn to_row(input: &KeyInput) -> Result<Row> {
    let bucket = name(&input.id, &input.id.bucket.name)?;
    let key = name(&input.id, &input.id.key)?;
    let keydata = input.keydata.as_ref().map(|text| text.0.as_str());
    let text = if input.id.bucket.is_untyped() {
        match keydata {
            None => format!("[{bucket},{key}]"),
            Some(keydata) => format!("[{bucket},{key},{keydata}]"),
        }
    } else {
        let bucket_type = name(&input.id, &input.id.bucket.bucket_type)?;
        format!("[{bucket},{key},{},{bucket_type}]", keydata.unwrap_or("null"))
    };
    Ok(Row::value(text))
}

/// An object with its key data as the query language writes it; where a name is no UTF-8, as logs do.
pub fn key_form(id: &ObjectId, keydata: Option<&JsonText>) -> String {
    let input = KeyInput { id: id.clone(), keydata: keydata.cloned() };
    to_row(&input).map_or_else(|_| id.to_string(), Row::into_text)
}

/// An input as a value for a reduce that has an Erlang name. To Erlang a name alone is a pair, which
/// shows in the answers of such functions over keys; every other form is as in [`to_row`].
///
/// # Errors
/// As [`to_row`].
pub(crate) fn to_term(input: &KeyInput) -> Result<Row> {
    if input.keydata.is_some() || !input.id.bucket.is_untyped() {
        return to_row(input);
    }
    let (bucket, key) = (name(&input.id, &input.id.bucket.name)?, name(&input.id, &input.id.key)?);
    Ok(Row::pair(&bucket, &key))
}

/// A link as a value, its tag in the place of the keydata.
///
/// # Errors
/// As [`to_row`].
pub(crate) fn link_to_row(holder: &ObjectId, parts: [&Bytes; 3]) -> Result<Row> {
    let [bucket, key, tag] = parts;
    let (bucket, key, tag) = (name(holder, bucket)?, name(holder, key)?, name(holder, tag)?);
    Ok(Row::value(format!("[{bucket},{key},{tag}]")))
}

fn name(id: &ObjectId, bytes: &Bytes) -> Result<String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(json::string_literal(text)),
        Err(_) => Err(Error::invalid(format!(
            "{id} has a name that is not UTF-8 ({}), which cannot be written as JSON",
            bytes.escape_ascii()
        ))),
    }
}

enum Form<'a> {
    Two(String, String),
    Three(String, String, &'a RawValue),
    Four(String, String, &'a RawValue, String),
}

impl<'de: 'a, 'a> Deserialize<'de> for Form<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FormVisitor)
    }
}

struct FormVisitor;

impl<'de> serde::de::Visitor<'de> for FormVisitor {
    type Value = Form<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[bucket, key], [bucket, key, keydata] or [bucket, key, keydata, type]")
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Form<'de>, A::Error> {
        let short = || serde::de::Error::custom("too few elements");
        let bucket: String = list.next_element()?.ok_or_else(short)?;
        let key: String = list.next_element()?.ok_or_else(short)?;
        let Some(keydata) = list.next_element::<&RawValue>()? else {
            return Ok(Form::Two(bucket, key));
        };
        Ok(match list.next_element::<String>()? {
            None => Form::Three(bucket, key, keydata),
            Some(bucket_type) => Form::Four(bucket, key, keydata, bucket_type),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<(&str, Option<&str>)>) {
        let row = match text.strip_prefix(' ') {
            Some(pair) if pair.starts_with('{') => Row::pair_of(pair.to_owned()),
            _ => Row::value(text),
        };
        let found = parse(&row);
        let found = found.map(|input| (input.id.to_string(), input.keydata.map(|text| text.0)));
        let expect = expect.map(|(id, keydata)| (id.to_owned(), keydata.map(str::to_owned)));
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn key_forms() {
        check(r#"["b","k"]"#, Some(("b/k", None)));
        check(r#" [ "b" , "k\u00e9" ] "#, Some(("b/ké", None)));
        check(r#"["b","k","tag"]"#, Some(("b/k", Some("\"tag\""))));
        check(r#"["b","k",{"x":[1.0]}]"#, Some(("b/k", Some(r#"{"x":[1.0]}"#))));
        check(r#"["b","k",null]"#, Some(("b/k", None)));
        check(r#"["b","k",null,"t"]"#, Some(("t/b/k", None)));
        check(r#" {"b":"k"}"#, Some(("b/k", None)));
        check(r#" {"b":1}"#, None);
        check(r#"{"b":"k"}"#, None);
        check(r#"["b","k",1,"default"]"#, Some(("b/k", Some("1"))));
        let deep = format!(r#"["b","k",{}{}]"#, "[".repeat(10_000), "]".repeat(10_000));
        assert!(parse(&Row::value(deep)).is_some());
        for text in [
            "7",
            "null",
            "\"b\"",
            "[]",
            r#"["b"]"#,
            r#"["b",1]"#,
            r#"[["b","k"],1]"#,
            "{}",
            r#"["b","k",1,null]"#,
            r#"["b","k",1,"t",2]"#,
            r#"{"not_found":{}}"#,
            "nonsense",
        ] {
            check(text, None);
        }
    }

    #[track_caller]
    fn writes(bucket: BucketId, keydata: Option<&str>, expect: &str) {
        let keydata = keydata.map(|text| JsonText(text.into()));
        let input = KeyInput { id: ObjectId::new(bucket, "ké"), keydata };
        assert_eq!(to_row(&input).unwrap(), Row::value(expect));
    }

    #[test]
    fn written_keys() {
        writes(BucketId::untyped("b"), None, r#"["b","k\u00e9"]"#);
        writes(BucketId::untyped("b"), Some("null"), r#"["b","k\u00e9",null]"#);
        writes(BucketId::untyped("b"), Some("[1]"), r#"["b","k\u00e9",[1]]"#);
        writes(BucketId::typed("t", "b"), None, r#"["b","k\u00e9",null,"t"]"#);
        writes(BucketId::typed("t", "b"), Some("1"), r#"["b","k\u00e9",1,"t"]"#);
        let input =
            KeyInput { id: ObjectId::new(BucketId::untyped("b"), &b"\xff"[..]), keydata: None };
        assert!(to_row(&input).unwrap_err().message().contains("\\xff"));
    }
}
