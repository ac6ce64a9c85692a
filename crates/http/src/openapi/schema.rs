//! What JSON documents look like, in few words: schemas as the document of the interface has them.

use serde_json::{Map, Value};
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, ArrayBuilder, ObjectBuilder, SchemaType,
};
use utoipa::openapi::{Ref, RefOr, Type};

/// A schema, or the name of one.
pub(super) type Schema = RefOr<utoipa::openapi::Schema>;

/// The member of an object, by its name.
pub(super) type Member = (&'static str, Schema);

fn plain(kind: Type, what: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind).description(told(what))
}

/// A description, unless there is nothing to say.
fn told(what: &str) -> Option<&str> {
    (!what.is_empty()).then_some(what)
}

/// A text.
pub(super) fn text(what: &str) -> Schema {
    plain(Type::String, what).into()
}

/// A text of at most so many bytes, which is at most so many characters.
pub(super) fn text_up_to(most: usize, what: &str) -> Schema {
    plain(Type::String, what).max_length(Some(most)).into()
}

/// One of some words.
pub(super) fn word(words: &[&str], what: &str) -> Schema {
    plain(Type::String, what).enum_values(Some(words.iter().copied())).into()
}

/// A text, or null.
pub(super) fn text_or_null(what: &str) -> Schema {
    or_null(Type::String, what)
}

/// A whole number, or null.
pub(super) fn number_or_null(what: &str) -> Schema {
    or_null(Type::Integer, what)
}

fn or_null(kind: Type, what: &str) -> Schema {
    let kind = SchemaType::from_iter([kind, Type::Null]);
    ObjectBuilder::new().schema_type(kind).description(told(what)).into()
}

/// A whole number of any sign.
pub(super) fn integer(what: &str) -> Schema {
    plain(Type::Integer, what).into()
}

/// A whole number that is not negative.
pub(super) fn number(what: &str) -> Schema {
    plain(Type::Integer, what).minimum(Some(0_u64)).into()
}

/// A whole number above zero.
pub(super) fn positive(what: &str) -> Schema {
    plain(Type::Integer, what).minimum(Some(1_u64)).into()
}

/// A whole number within bounds, both included, and what it is where it is not given.
pub(super) fn number_within(least: u64, most: u64, usual: Option<u64>, what: &str) -> Schema {
    let number = plain(Type::Integer, what).minimum(Some(least)).maximum(Some(most));
    number.default(usual.map(Value::from)).into()
}

/// Any number.
pub(super) fn real(what: &str) -> Schema {
    plain(Type::Number, what).into()
}

/// `true` or `false`.
pub(super) fn flag(what: &str) -> Schema {
    plain(Type::Boolean, what).into()
}

/// `true` or `false`, and what it is where it is not given.
pub(super) fn flag_or(usual: bool, what: &str) -> Schema {
    plain(Type::Boolean, what).default(Some(usual.into())).into()
}

/// Bytes, of whatever kind.
pub(super) fn bytes(what: &str) -> Schema {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(told(what)).into()
}

/// Any JSON.
pub(super) fn any(what: &str) -> Schema {
    bytes(what)
}

/// The schema of that name.
pub(super) fn named(name: &str) -> Schema {
    Ref::from_schema_name(name).into()
}

/// A list.
pub(super) fn list(of: Schema, what: &str) -> Schema {
    ArrayBuilder::new().items(of).description(told(what)).into()
}

/// A list of at most so many.
pub(super) fn list_up_to(most: usize, of: Schema, what: &str) -> Schema {
    ArrayBuilder::new().items(of).max_items(Some(most)).description(told(what)).into()
}

/// One of several.
pub(super) fn either<const N: usize>(forms: [Schema; N], what: &str) -> Schema {
    let either = AnyOfBuilder::new().description(told(what));
    forms.into_iter().fold(either, AnyOfBuilder::item).into()
}

/// An object whose members have names that are not known.
pub(super) fn by_name(of: Schema, what: &str) -> Schema {
    plain(Type::Object, what).additional_properties(Some(of)).into()
}

/// An object of members that are always there and of members that may be there, and of no others.
pub(super) fn object(
    what: &str,
    always: impl IntoIterator<Item = Member>,
    perhaps: impl IntoIterator<Item = Member>,
) -> Schema {
    members(what, always, perhaps).additional_properties(Some(others(false))).into()
}

/// As [`object`], but there may be members that are not named here.
pub(super) fn open_object(
    what: &str,
    always: impl IntoIterator<Item = Member>,
    perhaps: impl IntoIterator<Item = Member>,
) -> Schema {
    members(what, always, perhaps).additional_properties(Some(others(true))).into()
}

/// Whether there may be members that are not named.
fn others(may_be: bool) -> AdditionalProperties<utoipa::openapi::Schema> {
    AdditionalProperties::FreeForm(may_be)
}

fn members(
    what: &str,
    always: impl IntoIterator<Item = Member>,
    perhaps: impl IntoIterator<Item = Member>,
) -> ObjectBuilder {
    let mut object = plain(Type::Object, what);
    for (name, schema) in always {
        object = object.property(name, schema).required(name);
    }
    for (name, schema) in perhaps {
        object = object.property(name, schema);
    }
    object
}

/// No members.
pub(super) const NONE: [Member; 0] = [];

/// An object that has the members of a sample, and perhaps the `known` that it lacks, and no others;
/// these also say what a sample does not, of a member that is empty or null in it.
pub(super) fn like(sample: &Map<String, Value>, known: Vec<Member>) -> Schema {
    let mut object = alike(sample, known).additional_properties(Some(others(false)));
    for name in sample.keys() {
        object = object.required(name);
    }
    object.into()
}

/// As [`like`], of members any of which may be left out, and with others perhaps.
pub(super) fn open_like(sample: &Map<String, Value>, known: Vec<Member>) -> Schema {
    alike(sample, known).additional_properties(Some(others(true))).into()
}

fn alike(sample: &Map<String, Value>, known: Vec<Member>) -> ObjectBuilder {
    let mut object = ObjectBuilder::new().schema_type(Type::Object);
    for (name, value) in sample {
        object = object.property(name, kind_of(value));
    }
    // What is known of a member stands in place of what the sample says.
    for (name, schema) in known {
        object = object.property(name, schema);
    }
    object
}

/// What a value is one of.
fn kind_of(value: &Value) -> Schema {
    match value {
        Value::Null => any(""),
        Value::Bool(_) => flag(""),
        Value::Number(given) if given.is_f64() => real(""),
        Value::Number(_) => integer(""),
        Value::String(_) => text(""),
        Value::Array(items) => list(items.first().map_or_else(|| any(""), kind_of), ""),
        Value::Object(members) => like(members, Vec::new()),
    }
}

/// The members of what is written as an object; none where it is not.
pub(super) fn sample(of: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(of) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}
