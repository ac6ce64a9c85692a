//! Operations, as they are posted.

use std::fmt;

use bytes::Bytes;
use mapring_types::VersionVector;
use serde_json::{Map as Object, Value as Json};

use crate::kind::{FieldKind, Kind};
use crate::limits;
use crate::map::FieldName;
use crate::op::{FieldOp, MapOp, Op, SetOp, Update};

/// What is wrong with an operation; as text, what Riak says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadUpdate {
    /// It is no JSON, or none that is understood: why.
    Json(String),
    /// It is not UTF-8.
    Utf8,
    /// There is no such operation on a kind: its word, and the operation.
    Operation(&'static str, String),
    /// No field has such a name.
    Field(String),
}

impl fmt::Display for BadUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(why) => writeln!(f, "Couldn't decode JSON: {why}"),
            Self::Utf8 => f.write_str("Malformed JSON submitted, invalid UTF-8"),
            Self::Operation(kind, op) => {
                writeln!(f, "Invalid operation on datatype '{kind}': {op}")
            }
            Self::Field(name) => writeln!(f, "Invalid map field name '{name}'"),
        }
    }
}

impl std::error::Error for BadUpdate {}

type Read<T> = Result<T, BadUpdate>;

/// Reads an operation on a data type of a kind; `precision` is for what is added to a HyperLogLog.
///
/// # Errors
/// What is wrong with it.
pub fn update(kind: Kind, precision: u8, text: &[u8]) -> Read<Update> {
    let text = std::str::from_utf8(text).map_err(|_| BadUpdate::Utf8)?;
    let mut json: Json =
        serde_json::from_str(text).map_err(|error| BadUpdate::Json(error.to_string()))?;
    let context = match json.as_object_mut().and_then(|object| object.shift_remove("context")) {
        None | Some(Json::Null) => None,
        Some(given) => Some(context(&given)?),
    };
    let op = match kind {
        Kind::Counter => Op::Counter(counter(&json)?),
        Kind::Set => Op::Set(set(&json)?),
        Kind::Map => Op::Map(map(&json, limits::DEPTH)?),
        Kind::GSet => Op::GSet(additions(kind, &json)?),
        Kind::Hll => Op::Hll { precision, elements: additions(kind, &json)? },
    };
    Ok(Update { op, context })
}

fn context(given: &Json) -> Read<VersionVector> {
    let read = given.as_str().and_then(|text| VersionVector::from_header(text).ok());
    read.ok_or_else(|| BadUpdate::Json(format!("{{invalid_context,{given}}}")))
}

fn bad(kind: &'static str, op: &Json) -> BadUpdate {
    BadUpdate::Operation(kind, op.to_string())
}

/// The only member of an object.
fn only(json: &Json) -> Option<(&str, &Json)> {
    let object = json.as_object().filter(|object| object.len() == 1)?;
    object.iter().next().map(|(name, value)| (name.as_str(), value))
}

fn counter(json: &Json) -> Read<i64> {
    let by = match (json.as_str(), only(json)) {
        (Some("increment"), _) => Some(1),
        (Some("decrement"), _) => Some(-1),
        (_, Some(("increment", by))) => by.as_i64(),
        (_, Some(("decrement", by))) => by.as_i64().and_then(i64::checked_neg),
        _ => json.as_i64(),
    };
    by.ok_or_else(|| bad(FieldKind::Counter.word(), json))
}

fn set(json: &Json) -> Read<Vec<SetOp>> {
    let mut ops = Vec::new();
    let object = json.as_object();
    object
        .and_then(|object| set_ops(object, &mut ops))
        .ok_or_else(|| bad(Kind::Set.word(), json))?;
    Ok(ops)
}

/// What is only added to.
fn additions(kind: Kind, json: &Json) -> Read<Vec<Bytes>> {
    let mut ops = Vec::new();
    let read = json.as_object().and_then(|object| set_ops(object, &mut ops));
    let added = |op| match op {
        SetOp::Add(element) => Some(element),
        SetOp::Remove(_) => None,
    };
    let elements: Option<Vec<Bytes>> = read.and_then(|()| ops.into_iter().map(added).collect());
    elements.ok_or_else(|| bad(kind.word(), json))
}

/// The operations of an object, in its order; `None` where one makes no sense.
fn set_ops(object: &Object<String, Json>, ops: &mut Vec<SetOp>) -> Option<()> {
    let element = |json: &Json| json.as_str().map(|text| Bytes::from(text.to_owned()));
    for (name, given) in object {
        match (name.as_str(), given) {
            ("add", given) => ops.push(SetOp::Add(element(given)?)),
            ("remove", given) => ops.push(SetOp::Remove(element(given)?)),
            ("add_all", Json::Array(all)) => {
                for one in all {
                    ops.push(SetOp::Add(element(one)?));
                }
            }
            ("remove_all", Json::Array(all)) => {
                for one in all {
                    ops.push(SetOp::Remove(element(one)?));
                }
            }
            ("update", Json::Object(object)) => set_ops(object, ops)?,
            ("update", Json::Array(all)) => {
                for one in all {
                    set_ops(one.as_object()?, ops)?;
                }
            }
            _ => return None,
        }
    }
    Some(())
}

/// Removals come first, as in Riak.
fn map(json: &Json, depth: usize) -> Read<Vec<MapOp>> {
    let word = Kind::Map.word();
    let object = json.as_object().ok_or_else(|| bad(word, json))?;
    let below = depth.checked_sub(1).ok_or_else(|| {
        BadUpdate::Json(format!("maps lie within maps at most {} deep", limits::DEPTH))
    })?;
    let mut ops = Vec::new();
    match object.get("remove") {
        None => {}
        Some(Json::String(name)) => ops.push(MapOp::Remove(field_name(name)?)),
        Some(Json::Array(names)) => {
            for name in names {
                let name = name.as_str().ok_or_else(|| bad(word, json))?;
                ops.push(MapOp::Remove(field_name(name)?));
            }
        }
        Some(_) => return Err(bad(word, json)),
    }
    if let Some(other) = object.keys().find(|name| !["remove", "update"].contains(&name.as_str())) {
        return Err(bad(word, &Json::from(other.as_str())));
    }
    match object.get("update") {
        None => {}
        Some(Json::Object(updates)) => {
            for (name, op) in updates {
                let name = field_name(name)?;
                let op = field(&name, op, below)?;
                ops.push(MapOp::Update(name, op));
            }
        }
        Some(_) => return Err(bad(word, json)),
    }
    Ok(ops)
}

fn field(name: &FieldName, json: &Json, depth: usize) -> Read<FieldOp> {
    let word = name.kind.word();
    Ok(match name.kind {
        FieldKind::Counter => FieldOp::Counter(counter(json)?),
        FieldKind::Map => FieldOp::Map(map(json, depth)?),
        FieldKind::Set => FieldOp::Set(set(json)?),
        FieldKind::Flag => match json.as_str() {
            Some("enable") => FieldOp::Flag(true),
            Some("disable") => FieldOp::Flag(false),
            _ => return Err(bad(word, json)),
        },
        FieldKind::Register => {
            let assigned = match only(json) {
                Some(("assign", value)) => value.as_str(),
                _ => json.as_str(),
            };
            let value = assigned.ok_or_else(|| bad(word, json))?;
            FieldOp::Register(Bytes::from(value.to_owned()))
        }
    })
}

fn field_name(full: &str) -> Read<FieldName> {
    let known = full.rsplit_once('_').filter(|(name, _)| name.len() <= limits::NAME_BYTES);
    let read = known.and_then(|(name, word)| Some((name, FieldKind::from_word(word)?)));
    let (name, kind) = read.ok_or_else(|| BadUpdate::Field(full.to_owned()))?;
    Ok(FieldName { name: Bytes::from(name.to_owned()), kind })
}
