//! Inputs from a secondary index (fact R44).

use bytes::Bytes;
use mapring_kv::Selection;
use mapring_types::{IndexValue, quote};
use serde_json::value::RawValue;

use super::refused::{Refused, complaint};
use super::text::{Fields, Kind, kind, string};

/// `index` with `key`, or with `start` and `end`.
pub(super) fn selection(value: &RawValue, fields: &Fields<'_>) -> Result<Selection, Refused> {
    let unrecognized =
        |at: &str| Refused::part(at, complaint("Unrecognized format of \"inputs\" field:", value));
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
        _ => Err(Refused::part(
            ".index",
            format!("[{{unknown_field_type,<<\"{}\">>}}]\n", quote(&field)),
        )),
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

/// In the words that Riak prints, and then in plain ones.
fn unparsed(at: &str, field: &str, value: &RawValue) -> Refused {
    let shown = match string(value) {
        Some(text) => format!("<<\"{}\">>", quote(&text)),
        None => quote(value.get()),
    };
    let takes = match field {
        "$key" => "keys, which are texts",
        field if field.ends_with("_int") => "whole numbers",
        _ => "texts",
    };
    let field = quote(field);
    let riaks = format!("[{{field_parsing_failed,{{<<\"{field}\">>,{shown}}}}}]");
    Refused::part(at, format!("{riaks}\n{field} takes {takes}, not {}.\n", quote(value.get())))
}
