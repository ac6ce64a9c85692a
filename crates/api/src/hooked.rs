//! What a function that was called before a write gave: Riak's forms of an object and of a refusal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mapring_kv::NewValue;
use mapring_types::limits::INDEX_TERMS;
use mapring_types::{Error, IndexValue, Link, Metadata};
use serde_json::Value;

use crate::hooks::HookFailure;

/// Begins the name of every header of user metadata.
const META: &str = "X-Riak-Meta-";

/// What becomes of the write: `"fail"` and `{"fail":WORDS}` refuse it, an object takes the place of the
/// one that was given.
pub(crate) fn decide(answer: Option<&str>, hook: &str) -> Result<NewValue, HookFailure> {
    let invalid = |why: &str| {
        let message = format!("the pre-commit hook {hook} gave no object to be stored: {why}");
        HookFailure::Broken(Error::internal(message))
    };
    let answer: Value =
        serde_json::from_str(answer.unwrap_or("null")).map_err(|_| invalid("it is no JSON"))?;
    match (&answer, refusal(&answer)) {
        (Value::String(word), _) if word == "fail" => Err(HookFailure::Aborted),
        (_, Some(words)) => Err(HookFailure::Refused(words.to_owned())),
        _ => read(&answer).map_err(invalid),
    }
}

/// What a function says that was called after a write, where it says that it failed.
pub(crate) fn complaint(answer: Option<&str>) -> Option<String> {
    let answer: Value = serde_json::from_str(answer?).ok()?;
    match (&answer, refusal(&answer)) {
        (Value::String(word), _) if word == "fail" => Some("it says fail".to_owned()),
        (_, words) => words.map(str::to_owned),
    }
}

/// The words of `{"fail":WORDS}`.
fn refusal(answer: &Value) -> Option<&str> {
    let members = answer.as_object()?;
    if members.len() == 1 { members.get("fail")?.as_str() } else { None }
}

fn read(answer: &Value) -> Result<NewValue, &'static str> {
    let values =
        answer.get("values").and_then(Value::as_array).ok_or("it has no list of values")?;
    let [value] = values.as_slice() else { return Err("it has not exactly one value") };
    let data = value.get("data").and_then(Value::as_str).ok_or("its data is no text")?;
    let body = if value.get("encoding").is_some_and(|encoding| encoding == "base64") {
        STANDARD.decode(data).map_err(|_| "its data is no base64")?.into()
    } else {
        Bytes::copy_from_slice(data.as_bytes())
    };
    let metadata = value.get("metadata").ok_or("its value has no metadata")?;
    Ok(NewValue { metadata: read_metadata(metadata)?, body, deleted: false })
}

fn read_metadata(given: &Value) -> Result<Metadata, &'static str> {
    let text = |name: &str| given.get(name).and_then(Value::as_str).map(str::to_owned);
    let content_type = text("content-type").unwrap_or_default();
    let (charset, content_encoding) = (text("charset"), text("content-encoding"));
    let given_texts = [Some(&content_type), charset.as_ref(), content_encoding.as_ref()];
    if !given_texts.into_iter().flatten().all(|text| is_header(text)) {
        return Err("its content-type, charset or content-encoding is no header's");
    }
    Ok(Metadata {
        content_type,
        charset,
        content_encoding,
        links: links(given.get("Links"))?,
        user: user(given.get("X-Riak-Meta"))?,
        indexes: indexes(given.get("index"))?,
        blocks: None,
    })
}

/// Whether a text can stand in a header.
fn is_header(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn bytes(value: &Value) -> Option<Bytes> {
    value.as_str().map(|text| Bytes::copy_from_slice(text.as_bytes()))
}

fn links(given: Option<&Value>) -> Result<Vec<Link>, &'static str> {
    let list = given.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let link = |link: &Value| match link.as_array()?.as_slice() {
        [bucket, key, tag] => {
            Some(Link { bucket: bytes(bucket)?, key: bytes(key)?, tag: bytes(tag)? })
        }
        _ => None,
    };
    list.iter().map(|item| link(item).ok_or("its Links are not lists of three texts")).collect()
}

fn user(given: Option<&Value>) -> Result<Vec<(String, Bytes)>, &'static str> {
    let wrong = "its X-Riak-Meta has a name or a value that is no header's";
    let members = given.and_then(Value::as_object).into_iter().flatten();
    members
        .map(|(name, value)| {
            let prefix = name.get(..META.len()).unwrap_or_default();
            let known = prefix.eq_ignore_ascii_case(META) && name.is_ascii();
            let value = value.as_str().filter(|value| known && is_header(value) && is_header(name));
            Ok((name.clone(), Bytes::copy_from_slice(value.ok_or(wrong)?.as_bytes())))
        })
        .collect()
}

fn indexes(given: Option<&Value>) -> Result<Vec<(String, IndexValue)>, &'static str> {
    let wrong = "its index has a field or a term of no known type";
    let mut entries = Vec::new();
    for (field, terms) in given.and_then(Value::as_object).into_iter().flatten() {
        let field = field.to_ascii_lowercase();
        if !is_header(&field) {
            return Err(wrong);
        }
        let terms = terms.as_array().map_or(std::slice::from_ref(terms), Vec::as_slice);
        for term in terms {
            let term = match term {
                Value::Number(number) if field.ends_with("_int") => {
                    IndexValue::int(&number.to_string())
                }
                Value::String(text) if field.ends_with("_int") => IndexValue::int(text),
                Value::String(text) if field.ends_with("_bin") && is_header(text) => {
                    bytes(term).map(IndexValue::Bin)
                }
                _ => None,
            };
            entries.push((field.clone(), term.ok_or(wrong)?));
            if entries.len() > INDEX_TERMS {
                return Err("its index has more terms than an object may have");
            }
        }
    }
    entries.sort();
    entries.dedup();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(answer: &str) -> Result<NewValue, HookFailure> {
        decide(Some(answer), "f")
    }

    #[track_caller]
    fn broken(answer: &str, why: &str) {
        match decided(answer) {
            Err(HookFailure::Broken(error)) => {
                assert!(error.message().contains(why), "{answer}: {error}");
            }
            other => panic!("{answer}: {other:?}"),
        }
    }

    #[test]
    fn refusals_are_told_from_objects() {
        assert!(matches!(decided("\"fail\""), Err(HookFailure::Aborted)));
        match decided(r#"{"fail":"no é"}"#) {
            Err(HookFailure::Refused(words)) => assert_eq!(words, "no é"),
            other => panic!("{other:?}"),
        }
        broken("null", "no list of values");
        broken("\"other\"", "no list of values");
        broken(r#"{"fail":1}"#, "no list of values");
        broken(r#"{"values":[]}"#, "exactly one value");
        broken(r#"{"values":[{"metadata":{},"data":1}]}"#, "no text");
        broken(r#"{"values":[{"data":"x"}]}"#, "no metadata");
        broken(r#"{"values":[{"metadata":{},"data":"!","encoding":"base64"}]}"#, "no base64");
        for metadata in [
            r#"{"Links":[["a","b"]]}"#,
            r#"{"X-Riak-Meta":{"Other":"x"}}"#,
            r#"{"X-Riak-Meta":{"X-Riak-Meta-A":"x\ny"}}"#,
            r#"{"charset":"x\r\ny"}"#,
            r#"{"content-encoding":"x\ny"}"#,
            r#"{"index":{"f\n_bin":"x"}}"#,
            r#"{"index":{"f_bin":"x\ny"}}"#,
            r#"{"index":{"f":"x"}}"#,
            r#"{"index":{"f_int":"x"}}"#,
            r#"{"index":{"f_bin":1}}"#,
        ] {
            broken(&format!(r#"{{"values":[{{"metadata":{metadata},"data":""}}]}}"#), "its ");
        }
    }

    #[test]
    fn an_object_is_read_with_all_that_it_carries() {
        let answer = r#"{"bucket":"b","key":"k","vclock":"x","values":[{"metadata":{
            "content-type":"text/plain","charset":"utf-8","X-Riak-VTag":"t",
            "Links":[["b","k","t"]],"X-Riak-Meta":{"X-Riak-Meta-A":"1"},
            "index":{"F_bin":["y","x","x"],"n_int":7}},"data":"é"}]}"#;
        let NewValue { metadata, body, deleted } = decided(answer).unwrap();
        assert_eq!((&body[..], deleted), ("é".as_bytes(), false));
        assert_eq!(metadata.content_type, "text/plain");
        assert_eq!(metadata.charset.as_deref(), Some("utf-8"));
        assert_eq!(metadata.links.len(), 1);
        assert_eq!(metadata.user, [("X-Riak-Meta-A".to_owned(), Bytes::from("1"))]);
        let shown: Vec<(&str, &[u8])> = metadata
            .indexes
            .iter()
            .map(|(field, value)| (field.as_str(), value.as_bytes()))
            .collect();
        assert_eq!(shown, [("f_bin", &b"x"[..]), ("f_bin", b"y"), ("n_int", b"7")]);
        let coded = r#"{"values":[{"metadata":{"index":[]},"data":"/w==","encoding":"base64"}]}"#;
        assert_eq!(&decided(coded).unwrap().body[..], b"\xff");
    }

    #[test]
    fn only_failures_after_a_write_are_told() {
        assert_eq!(complaint(Some("null")), None);
        assert_eq!(complaint(Some(r#"{"values":[]}"#)), None);
        assert_eq!(complaint(Some("\"fail\"")).as_deref(), Some("it says fail"));
        assert_eq!(complaint(Some(r#"{"fail":"x"}"#)).as_deref(), Some("x"));
    }
}
