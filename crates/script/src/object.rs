//! Objects as map functions see them (facts R55 to R58), gathered once for JavaScript and natives.

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mapring_types::{IndexValue, Link, Object, ObjectId, Sibling};

use crate::json::{quoted, write_str};
use crate::{Binary, FailureCause, MapInput, Row, ScriptError};

/// The parts of an object's name as text.
pub(crate) struct Names<'a> {
    pub(crate) bucket_type: &'a str,
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
}

/// Reads the parts of the name, which must be UTF-8.
pub(crate) fn names(id: &ObjectId) -> Result<Names<'_>, ScriptError> {
    Ok(Names {
        bucket_type: utf8(&id.bucket.bucket_type, "the bucket type")?,
        bucket: utf8(&id.bucket.name, "the name of the bucket")?,
        key: utf8(&id.key, "the key")?,
    })
}

/// The stored object of an input; `None` when no replica has it.
pub(crate) fn object(input: &MapInput) -> Result<Option<Object>, ScriptError> {
    let Some(record) = &input.record else { return Ok(None) };
    let damaged = |error| ScriptError::new(FailureCause::Worker, format!("{}: {error}", input.id));
    // An object whose values are not wanted has none here, and is there all the same.
    record.decode().map(Some).map_err(damaged)
}

/// A sibling's bytes as functions get them.
pub(crate) fn data(sibling: &Sibling, binary: Binary) -> Result<Cow<'_, str>, ScriptError> {
    match text(sibling) {
        Err(_) if binary == Binary::Base64 => Ok(STANDARD.encode(&sibling.body).into()),
        text => text.map(Cow::Borrowed),
    }
}

/// A sibling's bytes as text; the word in the message is Riak's.
pub(crate) fn text(sibling: &Sibling) -> Result<&str, ScriptError> {
    std::str::from_utf8(&sibling.body).map_err(|error| {
        let place = error.valid_up_to();
        ScriptError::new(
            FailureCause::NotUtf8,
            format!(
                "bad_utf8_character_code: the value is not UTF-8 at byte {place} \
                 (the query member \"binary\":\"base64\" delivers it as base64)"
            ),
        )
    })
}

/// What stands for a missing object in the output of a map.
pub(crate) fn not_found(input: &MapInput) -> Result<Row, ScriptError> {
    let names = names(&input.id)?;
    let mut out = String::from("{\"not_found\":{");
    if !input.id.bucket.is_untyped() {
        out.push_str("\"bucket_type\":");
        write_str(names.bucket_type, &mut out);
        out.push(',');
    }
    out.push_str("\"bucket\":");
    write_str(names.bucket, &mut out);
    out.push_str(",\"key\":");
    write_str(names.key, &mut out);
    out.push_str(",\"keydata\":");
    out.push_str(keydata(input));
    out.push_str("}}");
    Ok(Row::value(out))
}

/// The key data as JSON: the word `"undefined"` when there is none.
pub(crate) fn keydata(input: &MapInput) -> &str {
    input.keydata.as_ref().map_or("\"undefined\"", |keydata| keydata.0.as_str())
}

/// The last modification as in HTTP headers.
pub(crate) fn last_modified(sibling: &Sibling) -> String {
    // The latest date that four digits of year can say: 9999-12-31.
    const LATEST: u64 = 253_402_300_799_000_000;
    let since = Duration::from_micros(sibling.last_modified.min(LATEST));
    httpdate::fmt_http_date(UNIX_EPOCH + since)
}

/// Header bytes as text: UTF-8, else latin-1 as HTTP has it.
pub(crate) fn header_text(bytes: &Bytes) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

/// The whole object as JSON text.
pub(crate) fn json(id: &ObjectId, object: &Object, binary: Binary) -> Result<String, ScriptError> {
    let names = names(id)?;
    let mut out = String::from("{\"bucket_type\":");
    write_str(names.bucket_type, &mut out);
    out.push_str(",\"bucket\":");
    write_str(names.bucket, &mut out);
    out.push_str(",\"key\":");
    write_str(names.key, &mut out);
    out.push_str(",\"vclock\":");
    write_str(&object.clock.to_header(), &mut out);
    out.push_str(",\"values\":[");
    for (at, sibling) in object.siblings.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str("{\"metadata\":");
        out.push_str(&metadata(sibling));
        out.push_str(",\"data\":");
        let data = data(sibling, binary)?;
        write_str(&data, &mut out);
        if matches!(data, Cow::Owned(_)) {
            out.push_str(",\"encoding\":\"base64\"");
        }
        out.push('}');
    }
    out.push_str("]}");
    Ok(out)
}

/// The metadata of a sibling as JSON text.
pub(crate) fn metadata(sibling: &Sibling) -> String {
    let meta = &sibling.metadata;
    let mut fields: Vec<(&str, String)> = Vec::with_capacity(9);
    if !meta.content_type.is_empty() {
        fields.push(("content-type", quoted(&meta.content_type)));
    }
    if let Some(charset) = &meta.charset {
        fields.push(("charset", quoted(charset)));
    }
    if let Some(encoding) = &meta.content_encoding {
        fields.push(("content-encoding", quoted(encoding)));
    }
    fields.push(("X-Riak-VTag", quoted(&sibling.vtag())));
    fields.push(("X-Riak-Last-Modified", quoted(&last_modified(sibling))));
    fields.push(("Links", links(sibling).unwrap_or_else(|| "[]".to_owned())));
    fields.push(("X-Riak-Meta", user(sibling).unwrap_or_else(|| "{}".to_owned())));
    fields.push(("index", index(sibling).unwrap_or_else(|| "[]".to_owned())));
    if sibling.deleted {
        fields.push(("X-Riak-Deleted", "\"true\"".to_owned()));
    }
    properties(fields.into_iter())
}

/// The links as JSON text, when there are any.
pub(crate) fn links(sibling: &Sibling) -> Option<String> {
    let link = |link: &Link| {
        let parts = [&link.bucket, &link.key, &link.tag];
        list(parts.iter().map(|part| quoted(&header_text(part))))
    };
    let links = &sibling.metadata.links;
    (!links.is_empty()).then(|| list(links.iter().map(link)))
}

/// The user metadata as JSON text, when there is any.
pub(crate) fn user(sibling: &Sibling) -> Option<String> {
    let user = &sibling.metadata.user;
    let field = |(name, value): &'_ (String, Bytes)| (name.clone(), quoted(&header_text(value)));
    (!user.is_empty()).then(|| properties(user.iter().map(field)))
}

/// The index entries as JSON text, when there are any: a field has its value, or the list of them.
pub(crate) fn index(sibling: &Sibling) -> Option<String> {
    let mut fields: Vec<(&str, Vec<String>)> = Vec::new();
    for (field, value) in &sibling.metadata.indexes {
        let value = match value {
            IndexValue::Int(digits) => digits.clone(),
            IndexValue::Bin(bytes) => quoted(&header_text(bytes)),
        };
        match fields.last_mut().filter(|last| last.0 == field) {
            Some((_, values)) => values.push(value),
            None => fields.push((field, vec![value])),
        }
    }
    let one = |(field, mut values): (&str, Vec<String>)| match values.len() {
        1 => (field.to_owned(), values.remove(0)),
        _ => (field.to_owned(), list(values.into_iter())),
    };
    (!fields.is_empty()).then(|| properties(fields.into_iter().map(one)))
}

fn list(items: impl Iterator<Item = String>) -> String {
    let mut out = String::from("[");
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&item);
    }
    out.push(']');
    out
}

fn properties<K: AsRef<str>>(fields: impl Iterator<Item = (K, String)>) -> String {
    let mut out = String::from("{");
    for (at, (name, value)) in fields.enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_str(name.as_ref(), &mut out);
        out.push(':');
        out.push_str(&value);
    }
    out.push('}');
    out
}

fn utf8<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, ScriptError> {
    std::str::from_utf8(bytes).map_err(|_| {
        let text = format!("bad_utf8_character_code: {what} is not UTF-8");
        ScriptError::new(FailureCause::NotUtf8, text)
    })
}
