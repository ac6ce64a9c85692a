//! What a data type is to its readers.

use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::map::{Content, Map};
use crate::state::{Datatype, Value};

/// The value as JSON: a number, a list of texts, or an object of fields, in the order of their bytes. Bytes
/// that are no UTF-8 come as U+FFFD.
pub fn value(datatype: &Datatype) -> String {
    let mut out = String::new();
    match &datatype.value {
        Value::Counter(_) | Value::Hll(_) => number(&mut out, datatype.number().unwrap_or(0)),
        Value::Set(set) => texts(&mut out, set.0.keys()),
        Value::GSet(elements) => texts(&mut out, elements.iter()),
        Value::Map(map) => fields(&mut out, map),
    }
    out
}

/// What GET answers: the kind, the value, and the context where there is one and it is wanted.
pub fn document(datatype: &Datatype, with_context: bool) -> String {
    let kind = datatype.kind();
    let mut out = format!("{{\"type\":\"{}\",\"value\":{}", kind.word(), value(datatype));
    if with_context && kind.has_context() {
        // Base64 needs no escapes.
        let context = datatype.context().to_header();
        // Writing to a text cannot fail.
        let _ = write!(out, ",\"context\":\"{context}\"");
    }
    out.push('}');
    out
}

fn number(out: &mut String, number: i128) {
    let _ = write!(out, "{number}");
}

fn text(out: &mut String, bytes: &[u8]) {
    out.push_str(&Json::from(String::from_utf8_lossy(bytes)).to_string());
}

fn texts<'a>(out: &mut String, elements: impl Iterator<Item = &'a bytes::Bytes>) {
    out.push('[');
    for (at, element) in elements.enumerate() {
        if at > 0 {
            out.push(',');
        }
        text(out, element);
    }
    out.push(']');
}

fn fields(out: &mut String, map: &Map) {
    out.push('{');
    for (at, (name, field)) in map.0.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        let mut full = name.name.to_vec();
        full.push(b'_');
        full.extend_from_slice(name.kind.word().as_bytes());
        text(out, &full);
        out.push(':');
        match &field.content {
            Content::Counter(counter) => number(out, counter.value()),
            Content::Flag(dots) => {
                out.push_str(if dots.iter().len() > 0 { "true" } else { "false" })
            }
            Content::Map(map) => fields(out, map),
            Content::Register(register) => text(out, register.value()),
            Content::Set(set) => texts(out, set.0.keys()),
        }
    }
    out.push('}');
}
