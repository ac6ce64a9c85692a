//! JSON text into JavaScript values.

use boa_engine::object::builtins::JsArray;
use boa_engine::property::{PropertyDescriptor, PropertyKey};
use boa_engine::{Context, JsObject, JsString, JsValue};

use crate::json::{Build, ReadError, Text, read};

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
    type Key = PropertyKey;
    type Object = JsObject;

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

    fn key(&mut self, text: Text<'_>) -> Result<PropertyKey, ReadError> {
        Ok(PropertyKey::from(string(text)))
    }

    fn begin(&mut self) -> JsObject {
        JsObject::with_object_proto(self.context.intrinsics())
    }

    fn insert(&mut self, object: &mut JsObject, key: PropertyKey, value: JsValue) {
        object.insert_property(key, plain(value));
    }

    fn finish(&mut self, object: JsObject) -> JsValue {
        object.into()
    }
}

fn string(text: Text<'_>) -> JsString {
    match text {
        Text::Plain(text) => JsString::from(text),
        Text::Wide(units) => JsString::from(units),
    }
}
