//! Results that stay in the worker as plain data: what writing them as JSON and reading them back would give,
//! without doing so for values that it would not change.

use boa_engine::object::builtins::JsArray;
use boa_engine::property::PropertyKey;
use boa_engine::{Context, JsObject, JsValue, JsVariant};

use super::write::{WriteError, Writer, length};
use super::{build, write};
use crate::reduce::weight;

/// Makes values plain within one allowance of bytes.
pub(super) struct Plain<'a> {
    context: &'a mut Context,
    stringify: &'a JsObject,
    left: u64,
    ancestors: Vec<JsObject>,
}

/// One result.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) value: JsValue,
    /// Whether it is the only member of an object, and stands for a pair ([`crate::Row::Pair`]).
    pub(super) pair: bool,
}

/// A result with its [`weight`].
pub(super) type Weighed = (Item, u64);

impl<'a> Plain<'a> {
    pub(super) fn new(context: &'a mut Context, stringify: &'a JsObject, limit: u64) -> Self {
        Self { context, stringify, left: limit, ancestors: Vec::new() }
    }

    /// The items of a result, made plain.
    pub(super) fn result(&mut self, array: &JsObject) -> Result<Vec<Weighed>, WriteError> {
        self.ancestors.push(array.clone());
        let mut weighed = Vec::new();
        self.items(array, |value, weight| weighed.push((Item { value, pair: false }, weight)))?;
        Ok(weighed)
    }

    /// One result, made plain.
    pub(super) fn item(&mut self, value: &JsValue) -> Result<Weighed, WriteError> {
        let before = self.left;
        let value = self.value(value)?.unwrap_or_else(JsValue::null);
        let bytes = usize::try_from(before - self.left).unwrap_or(usize::MAX);
        Ok((Item { value, pair: false }, weight(bytes)))
    }

    /// What is left of the allowance.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The members of a result that is an object.
    pub(super) fn pairs(&mut self, object: &JsObject) -> Result<Vec<Weighed>, WriteError> {
        let value = JsValue::from(object.clone());
        let before = self.left;
        let copy = self.value(&value)?.and_then(|copy| copy.as_object());
        let Some(copy) = copy else { return Ok(Vec::new()) };
        let keys = copy.own_property_keys(self.context)?;
        let bytes = (before - self.left) / (keys.len() as u64).max(1);
        let weight = weight(usize::try_from(bytes).unwrap_or(usize::MAX));
        let mut pairs = Vec::new();
        for key in keys {
            let pair = JsObject::with_object_proto(self.context.intrinsics());
            let value = copy.get(key.clone(), self.context)?;
            pair.insert_property(key, build::plain(value));
            pairs.push((Item { value: pair.into(), pair: true }, weight));
        }
        Ok(pairs)
    }

    fn items(
        &mut self,
        array: &JsObject,
        mut each: impl FnMut(JsValue, u64),
    ) -> Result<(), WriteError> {
        let length = length(array, self.context)?;
        if length > self.left {
            return Err(WriteError::Size);
        }
        for at in 0..length {
            let item = array.get(at, self.context)?;
            let before = self.left;
            let value = self.value(&item)?.unwrap_or_else(JsValue::null);
            let bytes = usize::try_from(before - self.left).unwrap_or(usize::MAX);
            each(value, weight(bytes));
        }
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), WriteError> {
        self.left = self.left.checked_sub(bytes as u64).ok_or(WriteError::Size)?;
        Ok(())
    }

    /// The value made plain; `None` when JSON has no form for it.
    fn value(&mut self, value: &JsValue) -> Result<Option<JsValue>, WriteError> {
        self.spend(2)?;
        let plain = match value.variant() {
            JsVariant::Null | JsVariant::Boolean(_) | JsVariant::Integer32(_) => value.clone(),
            JsVariant::Float64(0.0) => JsValue::from(0),
            JsVariant::Float64(number) if number.is_finite() => value.clone(),
            JsVariant::Float64(_) => JsValue::null(),
            JsVariant::Undefined | JsVariant::Symbol(_) => return Ok(None),
            JsVariant::String(text) => {
                self.spend(text.len())?;
                value.clone()
            }
            JsVariant::Object(object) if object.is_array() || object.is_ordinary() => {
                match self.object(&object)? {
                    Some(copy) => copy,
                    None => return self.through_json(value),
                }
            }
            JsVariant::BigInt(_) | JsVariant::Object(_) => return self.through_json(value),
        };
        Ok(Some(plain))
    }

    /// A copy of plain data; `None` when the object is more than that.
    fn object(&mut self, object: &JsObject) -> Result<Option<JsValue>, WriteError> {
        write::descend(&self.ancestors, object)?;
        if !object.get(boa_engine::js_string!("toJSON"), self.context)?.is_undefined() {
            return Ok(None);
        }
        self.ancestors.push(object.clone());
        let copy = if object.is_array() {
            let mut items = Vec::new();
            self.items(object, |value, _| items.push(value))?;
            Some(JsArray::from_iter(items, self.context).into())
        } else {
            self.properties(object)?
        };
        self.ancestors.pop();
        Ok(copy)
    }

    fn properties(&mut self, object: &JsObject) -> Result<Option<JsValue>, WriteError> {
        let copy = JsObject::with_object_proto(self.context.intrinsics());
        for key in object.own_property_keys(self.context)? {
            match &key {
                PropertyKey::String(name) => self.spend(name.len() + 4)?,
                PropertyKey::Index(_) => self.spend(4)?,
                PropertyKey::Symbol(_) => continue,
            }
            let found = object.borrow().properties().get(&key);
            let Some(found) = found.filter(|found| found.enumerable() == Some(true)) else {
                continue;
            };
            let value = match found.value() {
                Some(value) => value.clone(),
                None => object.get(key.clone(), self.context)?,
            };
            if let Some(value) = self.value(&value)? {
                copy.insert_property(key, build::plain(value));
            }
        }
        Ok(Some(copy.into()))
    }

    /// Dates, boxed values, functions, objects with `toJSON` and the like.
    fn through_json(&mut self, value: &JsValue) -> Result<Option<JsValue>, WriteError> {
        let text = Writer::new(self.context, self.stringify, self.left).text(value)?;
        let Some(text) = text else { return Ok(None) };
        self.spend(text.len())?;
        // Only what is nested too deeply can be written by the engine and not be read here.
        build::value(&text, self.context).map(Some).map_err(|_| WriteError::Depth)
    }
}
