//! JSON text into JavaScript values.

use std::cell::RefCell;

use boa_engine::builtins::object::OrdinaryObject;
use boa_engine::object::builtins::JsArray;
use boa_engine::property::{PropertyDescriptor, PropertyKey};
use boa_engine::{Context, JsObject, JsString, JsValue};

use crate::json::{Build, ReadError, Text, read};
use crate::limits;

/// Reads a JSON text.
pub(super) fn value(text: &str, context: &mut Context) -> Result<JsValue, ReadError> {
    read(text, &mut Builder { context })
}

/// A property like those that an assignment makes.
pub(super) fn plain(value: impl Into<JsValue>) -> PropertyDescriptor {
    PropertyDescriptor::builder()
        .value(value)
        .writable(true)
        .enumerable(true)
        .configurable(true)
        .build()
}

struct Builder<'a> {
    context: &'a mut Context,
}

impl Build for Builder<'_> {
    type Value = JsValue;
    /// With what stands for the name in [`Seen`].
    type Key = (PropertyKey, u64);
    type Object = Properties;

    fn null(&mut self) -> JsValue {
        JsValue::null()
    }

    fn boolean(&mut self, value: bool) -> JsValue {
        JsValue::from(value)
    }

    fn number(&mut self, text: &str) -> Result<JsValue, ReadError> {
        Ok(match text.parse::<i32>() {
            Ok(int) if int != 0 => JsValue::from(int),
            _ => JsValue::from(text.parse::<f64>().unwrap_or(f64::NAN)),
        })
    }

    fn string(&mut self, text: Text<'_>) -> Result<JsValue, ReadError> {
        Ok(JsValue::from(string(text)))
    }

    fn array(&mut self, items: Vec<JsValue>) -> JsValue {
        JsArray::from_iter(items, self.context).into()
    }

    fn key(&mut self, text: Text<'_>) -> Result<Self::Key, ReadError> {
        let number = match &text {
            Text::Plain(text) => number(text.as_bytes()),
            Text::Wide(units) => units.len() as u64,
        };
        Ok((PropertyKey::from(string(text)), number))
    }

    fn begin(&mut self) -> Properties {
        Properties::default()
    }

    fn insert(&mut self, object: &mut Properties, (key, number): Self::Key, value: JsValue) {
        object.names = mix(object.names, number);
        object.list.push((key, value));
    }

    fn finish(&mut self, Properties { list, names }: Properties) -> JsValue {
        let seen =
            list.len() <= limits::SHARED_NAMES && SEEN.with_borrow_mut(|seen| seen.have(names));
        let object = if seen { like_a_literal(self.context) } else { None };
        let object =
            object.unwrap_or_else(|| JsObject::with_object_proto(self.context.intrinsics()));
        for (key, value) in list {
            object.insert_property(key, plain(value));
        }
        object.into()
    }
}

/// An empty object whose names, as they come, lead to the tables that others with the same names in
/// the same order have. One with a table of its own takes three times the memory and collecting, but
/// a new table for others costs more still: so it is for names that come again, not for those of
/// dictionaries.
fn like_a_literal(context: &mut Context) -> Option<JsObject> {
    let prototype = context.intrinsics().constructors().object().prototype();
    let made = OrdinaryObject::create(&JsValue::undefined(), &[prototype.into()], context);
    made.ok()?.as_object()
}

/// The properties of an object that is being read.
#[derive(Default)]
struct Properties {
    list: Vec<(PropertyKey, JsValue)>,
    /// What stands for the names in [`Seen`].
    names: u64,
}

/// What stands for the names of objects that were read lately. A mistake costs time, no more.
struct Seen(Vec<u64>);

thread_local! {
    static SEEN: RefCell<Seen> = RefCell::new(Seen(vec![0; limits::SEEN_NAMES]));
}

impl Seen {
    /// Whether an object with these names was read lately; one has been from now on.
    fn have(&mut self, names: u64) -> bool {
        let at = names as usize % limits::SEEN_NAMES;
        self.0.get_mut(at).is_some_and(|last| std::mem::replace(last, names) == names)
    }
}

fn number(text: &[u8]) -> u64 {
    let mut number = text.len() as u64;
    for part in text.chunks(8) {
        let word = part.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
        number = mix(number, word);
    }
    number
}

fn mix(number: u64, next: u64) -> u64 {
    let mixed = (number.rotate_left(5) ^ next).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 29
}

fn string(text: Text<'_>) -> JsString {
    match text {
        Text::Plain(text) => JsString::from(text),
        Text::Wide(units) => JsString::from(units),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_come_again_are_known() {
        let mut seen = Seen(vec![0; limits::SEEN_NAMES]);
        let names =
            |names: &[&str]| names.iter().fold(0, |all, name| mix(all, number(name.as_bytes())));
        let one = names(&["id", "customer"]);
        assert!(!seen.have(one));
        assert!(seen.have(one));
        for other in [&["customer", "id"][..], &["id"], &["id", "customes"], &["idcustomer"]] {
            assert_ne!(names(other), one);
        }
    }
}
