//! JavaScript values into JSON text, with the meaning of `JSON.stringify` and bounds on depth and
//! size.

use boa_engine::property::PropertyKey;
use boa_engine::string::JsStrVariant;
use boa_engine::{
    Context, JsError, JsNativeError, JsObject, JsString, JsValue, JsVariant, js_string,
};

use crate::json::{write_js_number, write_str, write_units};
use crate::limits;

/// Why a value could not be written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// A `toJSON` or a getter threw, or there is a cycle or a BigInt.
    Js(JsError),
    /// Deeper than [`limits::JSON_DEPTH`].
    Depth,
    /// Longer than allowed.
    Size,
}

impl From<JsError> for WriteError {
    fn from(error: JsError) -> Self {
        Self::Js(error)
    }
}

/// Writes values one after another within one allowance of bytes.
pub(super) struct Writer<'a> {
    context: &'a mut Context,
    /// The engine's own `JSON.stringify`, for objects that are not plain.
    stringify: &'a JsObject,
    ancestors: Vec<JsObject>,
    left: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(context: &'a mut Context, stringify: &'a JsObject, limit: u64) -> Self {
        Self { context, stringify, ancestors: Vec::new(), left: limit }
    }

    /// What is left of the allowance.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The value's text; `None` for values that JSON has no form for.
    pub(super) fn text(&mut self, value: &JsValue) -> Result<Option<String>, WriteError> {
        let mut out = String::new();
        let written = self.value(&JsString::default(), value, &mut out)?;
        self.spend(out.len() + 1)?;
        Ok(written.then_some(out))
    }

    /// What stands for the value in JSON: what `toJSON` gives where there is one.
    pub(super) fn represent(
        &mut self,
        key: &JsString,
        value: &JsValue,
    ) -> Result<JsValue, JsError> {
        let Some(object) = value.as_object() else { return Ok(value.clone()) };
        let method = object.get(js_string!("toJSON"), self.context)?;
        match method.as_callable() {
            Some(method) => method.call(value, &[key.clone().into()], self.context),
            None => Ok(value.clone()),
        }
    }

    /// Refuses a list that is too long whatever is in it.
    fn admit(&self, items: u64) -> Result<(), WriteError> {
        if items > self.left { Err(WriteError::Size) } else { Ok(()) }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), WriteError> {
        self.left = self.left.checked_sub(bytes as u64).ok_or(WriteError::Size)?;
        Ok(())
    }

    /// Writes a value, or nothing and says so.
    fn value(
        &mut self,
        key: &JsString,
        value: &JsValue,
        out: &mut String,
    ) -> Result<bool, WriteError> {
        if out.len() as u64 > self.left {
            return Err(WriteError::Size);
        }
        match self.represent(key, value)?.variant() {
            JsVariant::Null => out.push_str("null"),
            JsVariant::Boolean(value) => out.push_str(if value { "true" } else { "false" }),
            JsVariant::Integer32(number) => write_js_number(f64::from(number), out),
            JsVariant::Float64(number) => write_js_number(number, out),
            JsVariant::String(text) => self.string(&text, out)?,
            JsVariant::Object(object) => return self.object(&object, out),
            JsVariant::BigInt(_) => {
                let error = JsNativeError::typ().with_message("a BigInt has no form in JSON");
                return Err(JsError::from(error).into());
            }
            JsVariant::Undefined | JsVariant::Symbol(_) => return Ok(false),
        }
        Ok(true)
    }

    fn string(&mut self, text: &JsString, out: &mut String) -> Result<(), WriteError> {
        if (out.len() + text.len()) as u64 > self.left {
            return Err(WriteError::Size);
        }
        match text.as_str().variant() {
            JsStrVariant::Latin1(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if bytes.is_ascii() => write_str(text, out),
                _ => write_units(bytes.iter().map(|&byte| u16::from(byte)), out),
            },
            JsStrVariant::Utf16(units) => write_units(units.iter().copied(), out),
        }
        Ok(())
    }

    fn object(&mut self, object: &JsObject, out: &mut String) -> Result<bool, WriteError> {
        let (array, ordinary) = (object.is_array(), object.is_ordinary());
        if !array && object.is_callable() {
            return Ok(false);
        }
        if !array && !ordinary {
            return self.exotic(object, out);
        }
        descend(&self.ancestors, object)?;
        self.ancestors.push(object.clone());
        if array {
            self.items(object, out)?
        } else {
            self.properties(object, out)?
        }
        self.ancestors.pop();
        Ok(true)
    }

    fn items(&mut self, array: &JsObject, out: &mut String) -> Result<(), WriteError> {
        let length = length(array, self.context)?;
        self.admit(length)?;
        out.push('[');
        for at in 0..length {
            if at > 0 {
                out.push(',');
            }
            let item = array.get(at, self.context)?;
            // Only `toJSON` looks at the name.
            let name = match item.is_object() {
                true => JsString::from(at.to_string()),
                false => JsString::default(),
            };
            if !self.value(&name, &item, out)? {
                out.push_str("null");
            }
        }
        out.push(']');
        Ok(())
    }

    fn properties(&mut self, object: &JsObject, out: &mut String) -> Result<(), WriteError> {
        out.push('{');
        let mut first = true;
        for key in object.own_property_keys(self.context)? {
            let name = match &key {
                PropertyKey::String(name) => name.clone(),
                PropertyKey::Index(index) => JsString::from(index.get().to_string()),
                PropertyKey::Symbol(_) => continue,
            };
            let found = object.borrow().properties().get(&key);
            let Some(found) = found.filter(|found| found.enumerable() == Some(true)) else {
                continue;
            };
            let value = match found.value() {
                Some(value) => value.clone(),
                None => object.get(key, self.context)?,
            };
            let back = out.len();
            if !first {
                out.push(',');
            }
            self.string(&name, out)?;
            out.push(':');
            if self.value(&name, &value, out)? {
                first = false;
            } else {
                out.truncate(back);
            }
        }
        out.push('}');
        Ok(())
    }

    /// Boxed primitives, proxies, maps, errors and the like: as the engine itself writes them.
    fn exotic(&mut self, object: &JsObject, out: &mut String) -> Result<bool, WriteError> {
        let value = JsValue::from(object.clone());
        let text = self.stringify.call(&JsValue::undefined(), &[value], self.context)?;
        let Some(text) = text.as_string() else { return Ok(false) };
        if (out.len() + text.len()) as u64 > self.left {
            return Err(WriteError::Size);
        }
        out.push_str(&text.to_std_string_lossy());
        Ok(true)
    }
}

/// Refuses an object that is too deep in others, or in itself.
pub(super) fn descend(ancestors: &[JsObject], object: &JsObject) -> Result<(), WriteError> {
    if ancestors.iter().any(|ancestor| JsObject::equals(ancestor, object)) {
        let error = JsNativeError::typ().with_message("a cyclic object has no form in JSON");
        return Err(JsError::from(error).into());
    }
    if ancestors.len() >= limits::JSON_DEPTH { Err(WriteError::Depth) } else { Ok(()) }
}

/// The length of an array.
pub(super) fn length(array: &JsObject, context: &mut Context) -> Result<u64, JsError> {
    let length = array.get(js_string!("length"), context)?;
    length.to_length(context)
}
