//! What a function returned, and its items.

use boa_engine::builtins::promise::Promise;
use boa_engine::{Context, JsError, JsObject, JsValue, js_string};

use super::write::{WriteError, length};
use crate::ScriptError;

/// What a function returned.
pub(super) enum Returned {
    /// Nothing, where that is allowed.
    Nothing,
    /// An array.
    List(JsObject),
    /// A generator, or another iterator.
    Iterator(JsObject),
    /// Something else.
    Other(JsValue),
}

/// Why items could not be taken.
pub(super) enum ItemError {
    /// What gives them threw.
    Thrown(JsError),
    /// One cannot be written.
    Write(WriteError),
    /// One is not what it has to be.
    Other(ScriptError),
}

impl From<JsError> for ItemError {
    fn from(error: JsError) -> Self {
        Self::Thrown(error)
    }
}

impl From<WriteError> for ItemError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

impl From<ScriptError> for ItemError {
    fn from(error: ScriptError) -> Self {
        Self::Other(error)
    }
}

impl Returned {
    /// The items, one after another: those of an iterator as it gives them.
    pub(super) fn each(
        &self,
        context: &mut Context,
        mut take: impl FnMut(JsValue, &mut Context) -> Result<(), ItemError>,
    ) -> Result<(), ItemError> {
        match self {
            Self::Nothing | Self::Other(_) => Ok(()),
            Self::List(array) => {
                for at in 0..length(array, context)? {
                    let item = array.get(at, context)?;
                    take(item, context)?;
                }
                Ok(())
            }
            Self::Iterator(iterator) => {
                let next = iterator.get(js_string!("next"), context)?;
                let Some(next) = next.as_callable() else { return Ok(()) };
                let this = JsValue::from(iterator.clone());
                loop {
                    let step = next.call(&this, &[], context)?;
                    let Some(step) = step.as_object() else { return Ok(()) };
                    if step.get(js_string!("done"), context)?.to_boolean() {
                        return Ok(());
                    }
                    let item = step.get(js_string!("value"), context)?;
                    take(item, context)?;
                }
            }
        }
    }
}

/// A kind of value, in words.
pub(super) fn kind(value: &JsValue) -> &'static str {
    match value.type_of() {
        "object" if value.is_null() => "null",
        "object" if value.as_object().is_some_and(|object| object.is::<Promise>()) => {
            "a promise, which nothing waits for"
        }
        "object" => "an object",
        "string" => "a string",
        "number" => "a number",
        "boolean" => "a boolean",
        "function" => "a function",
        "undefined" => "undefined",
        "bigint" => "a BigInt",
        _ => "another value",
    }
}

pub(super) fn null() -> String {
    "null".to_owned()
}
