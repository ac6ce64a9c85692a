//! Reading what the global functions are called with.

use boa_engine::object::builtins::JsArray;
use boa_engine::{Context, JsError, JsNativeError, JsObject, JsResult, JsValue};

use super::returned::kind;
use super::write::{WriteError, Writer};
use crate::limits;

/// The JSON of a value; `null` for what has none.
pub(super) fn json(
    value: &JsValue,
    stringify: &JsObject,
    context: &mut Context,
) -> JsResult<String> {
    let limit = limits::FRAME_BYTES as u64;
    match Writer::new(context, stringify, limit).text(value) {
        Ok(text) => Ok(text.unwrap_or_else(|| "null".to_owned())),
        Err(WriteError::Js(error)) => Err(error),
        Err(WriteError::Depth) => Err(thrown(&format!(
            "the value is nested more than {} levels deep",
            limits::JSON_DEPTH
        ))),
        Err(WriteError::Size) => Err(thrown("the value is too large")),
    }
}

/// A string, or a number in its place.
pub(super) fn text(value: &JsValue, what: &str) -> JsResult<String> {
    if let Some(number) = value.as_number() {
        let mut text = String::new();
        crate::json::write_js_number(number, &mut text);
        return Ok(text);
    }
    let Some(text) = value.as_string() else {
        return Err(thrown(&format!("{what} is not a string but {}", kind(value))));
    };
    text.to_std_string().map_err(|_| thrown(&format!("{what} holds half of a surrogate pair")))
}

/// A whole number.
#[allow(clippy::cast_possible_truncation)] // It is whole, and within the bounds.
pub(super) fn whole(value: &JsValue, what: &str) -> JsResult<i64> {
    const MOST: f64 = 9_007_199_254_740_991.0;
    match value.as_number() {
        Some(number) if number.fract() == 0.0 && number.abs() <= MOST => Ok(number as i64),
        _ => Err(thrown(&format!("{what} is not a whole number"))),
    }
}

/// The items of an array.
pub(super) fn items(value: &JsValue, what: &str, context: &mut Context) -> JsResult<Vec<JsValue>> {
    let array = value.as_object().filter(JsObject::is_array);
    let Some(array) = array else { return Err(thrown(&format!("{what} is not a list"))) };
    let array = JsArray::from_object(array)?;
    let length = array.length(context)?;
    if length > limits::LISTED {
        return Err(thrown(&format!("{what} has more than {} items", limits::LISTED)));
    }
    (0..length).map(|at| array.get(at, context)).collect()
}

/// What calls with such arguments throw.
pub(super) fn thrown(message: &str) -> JsError {
    JsNativeError::typ().with_message(message.to_owned()).into()
}
