//! Inputs from a secondary index (fact R44).

use bytes::Bytes;
use mapring_kv::Selection;
use mapring_types::IndexValue;
use serde_json::value::RawValue;

use super::text::{Fields, Kind, kind, string};
use crate::rejection::{Rejection, RejectionKind, UNRECOGNIZED};

/// `index` with `key`, or with `start` and `end`.
pub(super) fn selection(value: &RawValue, fields: &Fields<'_>) -> Result<Selection, Rejection> {
    let unrecognized = |at: &str| Rejection::malformed(at, UNRECOGNIZED).given(value);
    let field = fields.get("index").and_then(string).ok_or_else(|| unrecognized(".index"))?;
    let field = field.to_lowercase();
    let bounds = match (fields.get("key"), fields.get("start"), fields.get("end")) {
        (Some(key), _, _) => [(".key", key), (".key", key)],
        (None, Some(start), Some(end)) => [(".start", start), (".end", end)],
        (None, None, Some(_)) => return Err(unrecognized(".start")),
        (None, Some(_), None) => return Err(unrecognized(".end")),
        (None, None, None) => return Err(unrecognized("")),
    };
    match field.as_str() {
        // The value is ignored, as by Riak's storage.
        "$bucket" => Ok(Selection::All),
        "$key" => {
            let key = |(at, value): (&str, &RawValue)| match string(value) {
                Some(key) => Ok(Bytes::from(key)),
                None => Err(unparsed(at, &field, value)),
            };
            let [one, other] = bounds;
            let (one, other) = (key(one)?, key(other)?);
            Ok(Selection::Keys { from: one.clone().min(other.clone()), to: one.max(other) })
        }
        _ if field.ends_with("_int") || field.ends_with("_bin") => {
            let term = |(at, value)| term(&field, value).ok_or_else(|| unparsed(at, &field, value));
            let [one, other] = bounds;
            let (one, other) = (term(one)?, term(other)?);
            // Reversed bounds are meant the other way round, as in Riak.
            let (from, to) = if one > other { (other, one) } else { (one, other) };
            Ok(Selection::Terms { field, from, to })
        }
        _ => Err(Rejection::new(RejectionKind::UnknownIndex { field }).at(".index")),
    }
}

/// A term: text of a `_bin` field; a whole number of an `_int` field, also as text.
fn term(field: &str, value: &RawValue) -> Option<IndexValue> {
    if field.ends_with("_bin") {
        return string(value).map(|text| IndexValue::Bin(text.into()));
    }
    match kind(value) {
        Kind::Number => IndexValue::int(value.get()),
        Kind::String => IndexValue::int(&string(value)?),
        Kind::Array | Kind::Object | Kind::Word => None,
    }
}

/// An index cannot hold what it is asked for.
fn unparsed(at: &str, field: &str, value: &RawValue) -> Rejection {
    let takes = match field {
        "$key" => "keys, which are texts",
        field if field.ends_with("_int") => "whole numbers",
        _ => "texts",
    };
    let kind = RejectionKind::IndexTerm { field: field.to_owned(), text: string(value) };
    Rejection::new(kind).at(at).saying(takes).given(value)
}
