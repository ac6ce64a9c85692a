//! `put(bucket, key, value, options)` and `del(bucket, key)`.

use boa_engine::property::PropertyKey;
use boa_engine::{Context, JsArgs, JsObject, JsResult, JsString, JsValue};
use bytes::Bytes;
use mapring_types::{BucketId, IndexValue, Link, Metadata, ObjectId, Quorum};

use super::arguments::{items, json, text, thrown};
use super::batch;
use crate::WriteOp;

/// What `put` knows beside bucket, key and value.
const OPTIONS: [&str; 4] = ["content_type", "indexes", "links", "w"];

/// Stores a string as it is, anything else as JSON.
pub(super) fn put(
    _: &JsValue,
    arguments: &[JsValue],
    stringify: &JsObject,
    context: &mut Context,
) -> JsResult<JsValue> {
    let id = name("put", arguments, context)?;
    let value = arguments.get_or_undefined(2);
    if value.is_undefined() {
        return Err(thrown("put: there is no value"));
    }
    let (body, content_type) = match value.as_string() {
        Some(_) => (text(value, "put: the value")?, "text/plain"),
        None => (json(value, stringify, context)?, "application/json"),
    };
    let mut metadata = Metadata { content_type: content_type.to_owned(), ..Metadata::default() };
    let w = options(arguments.get_or_undefined(3), &mut metadata, context)?;
    batch::write(WriteOp::Put { id, metadata, body: Bytes::from(body), w })?;
    Ok(JsValue::undefined())
}

/// Deletes an object.
pub(super) fn delete(
    _: &JsValue,
    arguments: &[JsValue],
    _: &JsObject,
    context: &mut Context,
) -> JsResult<JsValue> {
    let id = name("del", arguments, context)?;
    batch::write(WriteOp::Delete { id })?;
    Ok(JsValue::undefined())
}

/// A bucket, or the list of its type and it, and a key.
fn name(function: &str, arguments: &[JsValue], context: &mut Context) -> JsResult<ObjectId> {
    let (bucket, key) = (arguments.get_or_undefined(0), arguments.get_or_undefined(1));
    let part = |value: &JsValue, what: &str| -> JsResult<String> {
        let what = format!("{function}: the {what}");
        let text = text(value, &what)?;
        let most = mapring_types::limits::KEY_BYTES;
        if text.is_empty() || text.len() > most {
            return Err(thrown(&format!("{what} has 1 to {most} bytes")));
        }
        Ok(text)
    };
    let bucket = if bucket.is_object() {
        let parts = items(bucket, &format!("{function}: the bucket"), context)?;
        let [bucket_type, bucket] = parts.as_slice() else {
            return Err(thrown(&format!("{function}: the bucket is \"b\" or [\"type\",\"b\"]")));
        };
        BucketId::typed(part(bucket_type, "bucket type")?, part(bucket, "bucket")?)
    } else {
        BucketId::untyped(part(bucket, "bucket")?)
    };
    Ok(ObjectId::new(bucket, part(key, "key")?))
}

fn options(given: &JsValue, metadata: &mut Metadata, context: &mut Context) -> JsResult<Quorum> {
    let mut w = Quorum::Default;
    if given.is_null_or_undefined() {
        return Ok(w);
    }
    let Some(given) = given.as_object() else {
        return Err(thrown("put: the options are not an object"));
    };
    for (name, value) in members(&given, context)? {
        match name.as_str() {
            _ if value.is_undefined() => {}
            "content_type" => metadata.content_type = content_type(&value)?,
            "indexes" => metadata.indexes = indexes(&value, context)?,
            "links" => metadata.links = links(&value, context)?,
            "w" => w = quorum(&value)?,
            _ => {
                let known = OPTIONS.join(", ");
                return Err(thrown(&format!("put: there is no option {name}, only {known}")));
            }
        }
    }
    Ok(w)
}

/// A content type: what may stand in a header, and so nothing that ends one.
fn content_type(value: &JsValue) -> JsResult<String> {
    let wrong = || thrown("put: content_type is a text of 1 to 256 visible ASCII characters");
    if !value.is_string() {
        return Err(wrong());
    }
    let given = text(value, "put: content_type")?;
    let fits = (1..=256).contains(&given.len())
        && given.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && given.trim() == given;
    if fits { Ok(given) } else { Err(wrong()) }
}

/// The terms of fields that end in `_int` or `_bin`: a value each, or a list of values.
fn indexes(value: &JsValue, context: &mut Context) -> JsResult<Vec<(String, IndexValue)>> {
    let Some(fields) = value.as_object() else {
        return Err(thrown("put: indexes is not an object"));
    };
    let mut entries = Vec::new();
    for (field, value) in members(&fields, context)? {
        let what = format!("put: the index {field}");
        let terms = match value.as_object() {
            Some(_) => items(&value, &what, context)?,
            None => vec![value],
        };
        let field = field.to_lowercase();
        for term in terms {
            let text = text(&term, &what)?;
            let term = match field.as_str() {
                _ if field.ends_with("_bin") => IndexValue::Bin(Bytes::from(text)),
                _ if field.ends_with("_int") => IndexValue::int(&text).ok_or_else(|| {
                    thrown(&format!("{what} takes whole numbers, not {text:.80}"))
                })?,
                _ => return Err(thrown(&format!("{what} ends in neither _int nor _bin"))),
            };
            entries.push((field.clone(), term));
        }
    }
    entries.sort();
    entries.dedup();
    Ok(entries)
}

/// Lists of bucket, key and tag.
fn links(value: &JsValue, context: &mut Context) -> JsResult<Vec<Link>> {
    const WHAT: &str = "put: a link";
    let mut links = Vec::new();
    for link in items(value, "put: links", context)? {
        let parts = items(&link, WHAT, context)?;
        let [bucket, key, tag] = parts.as_slice() else {
            return Err(thrown("put: a link is [bucket, key, tag]"));
        };
        let part = |value| text(value, WHAT).map(Bytes::from);
        links.push(Link { bucket: part(bucket)?, key: part(key)?, tag: part(tag)? });
    }
    Ok(links)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Within the bounds.
fn quorum(value: &JsValue) -> JsResult<Quorum> {
    let most = f64::from(*mapring_types::limits::N_VAL.end());
    if let Some(number) = value.as_number().filter(|n| n.fract() == 0.0 && (1.0..=most).contains(n))
    {
        return Ok(Quorum::Count(number as u32));
    }
    let word = value.as_string().and_then(|word| word.to_std_string().ok());
    match word.as_deref() {
        Some("default") => Ok(Quorum::Default),
        Some("one") => Ok(Quorum::One),
        Some("quorum") => Ok(Quorum::Majority),
        Some("all") => Ok(Quorum::All),
        _ => Err(thrown(
            "put: w is a number of replicas, \"one\", \"quorum\", \"all\" or \"default\"",
        )),
    }
}

/// An object's own enumerable members.
fn members(object: &JsObject, context: &mut Context) -> JsResult<Vec<(String, JsValue)>> {
    let mut members = Vec::new();
    for key in object.own_property_keys(context)? {
        let name = match &key {
            PropertyKey::String(name) => name.clone(),
            PropertyKey::Index(index) => JsString::from(index.get().to_string()),
            PropertyKey::Symbol(_) => continue,
        };
        let Ok(name) = name.to_std_string() else {
            return Err(thrown("put: a name holds half of a surrogate pair"));
        };
        members.push((name, object.get(key, context)?));
    }
    Ok(members)
}
