//! Looking into JSON text without parsing more of it than is needed.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// What a JSON value is, by its first character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Array,
    Object,
    String,
    Number,
    /// `true`, `false` or `null`.
    Word,
}

pub(super) fn kind(value: &RawValue) -> Kind {
    match value.get().as_bytes().first() {
        Some(b'[') => Kind::Array,
        Some(b'{') => Kind::Object,
        Some(b'"') => Kind::String,
        Some(b't' | b'f' | b'n') => Kind::Word,
        _ => Kind::Number,
    }
}

/// The text of a string; `None` for anything else, also for strings with lone surrogates.
pub(super) fn string(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// The deepest nesting of arrays and objects in JSON text.
pub(super) fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A value without the blanks between its parts.
pub(super) fn compact(value: &RawValue) -> String {
    let mut compact = String::with_capacity(value.get().len());
    let (mut in_string, mut escaped) = (false, false);
    for next in value.get().chars() {
        match next {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            ' ' | '\t' | '\n' | '\r' if !in_string => continue,
            _ => {}
        }
        compact.push(next);
    }
    compact
}

/// The wanted fields of an object.
pub(super) struct Fields<'a> {
    /// How many fields there are, wanted or not.
    pub(super) count: usize,
    /// The name of the first field.
    pub(super) first: Option<String>,
    /// The name of the first field that is not wanted.
    pub(super) unknown: Option<String>,
    wanted: Vec<(&'static str, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    /// A field; of several with one name the first, as in Riak.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.wanted.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// A field that is there and not null.
    pub(super) fn given(&self, name: &str) -> Option<&'a RawValue> {
        self.get(name).filter(|value| value.get() != "null")
    }
}

/// Reads the fields of an object named in `wanted`; `None` when the value is no object, or has a
/// field name that is no text.
pub(super) fn fields<'a>(value: &'a RawValue, wanted: &[&'static str]) -> Option<Fields<'a>> {
    let mut reader = serde_json::Deserializer::from_str(value.get());
    reader.deserialize_map(FieldVisitor(wanted)).ok()
}

/// The names of the fields of an object; none of what is no object.
pub(super) fn names(value: &RawValue) -> Vec<String> {
    let map = serde_json::from_str::<BTreeMap<String, IgnoredAny>>(value.get());
    map.map(|map| map.into_keys().collect()).unwrap_or_default()
}

struct FieldVisitor<'n>(&'n [&'static str]);

impl<'de> Visitor<'de> for FieldVisitor<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields { count: 0, first: None, unknown: None, wanted: Vec::new() };
        while let Some(name) = map.next_key::<String>()? {
            let known = self.0.iter().find(|known| **known == name);
            match known {
                Some(known) if fields.get(known).is_none() => {
                    fields.wanted.push((known, map.next_value()?));
                }
                known => {
                    map.next_value::<IgnoredAny>()?;
                    if known.is_none() {
                        fields.unknown.get_or_insert_with(|| name.clone());
                    }
                }
            }
            fields.count += 1;
            fields.first.get_or_insert(name);
        }
        Ok(fields)
    }
}

/// Hands every element of an array to `visit` until it says stop; `false` when the value is no
/// array.
pub(super) fn each<'a>(value: &'a RawValue, visit: impl FnMut(&'a RawValue) -> bool) -> bool {
    if kind(value) != Kind::Array {
        return false;
    }
    let mut reader = serde_json::Deserializer::from_str(value.get());
    // An error can only be the early stop: the whole text has been read once already.
    let _ = ElementVisitor(visit, PhantomData).deserialize(&mut reader);
    true
}

struct ElementVisitor<'a, F>(F, PhantomData<&'a ()>);

impl<'de, F: FnMut(&'de RawValue) -> bool> DeserializeSeed<'de> for ElementVisitor<'de, F> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&'de RawValue) -> bool> Visitor<'de> for ElementVisitor<'de, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<(), A::Error> {
        while let Some(element) = array.next_element::<&RawValue>()? {
            if !(self.0)(element) {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The elements of an array; `None` when the value is no array, or has more than `most`.
pub(super) fn elements(value: &RawValue, most: usize) -> Option<Vec<&RawValue>> {
    let mut found = Vec::new();
    let array = each(value, |element| {
        found.push(element);
        found.len() <= most
    });
    (array && found.len() <= most).then_some(found)
}
