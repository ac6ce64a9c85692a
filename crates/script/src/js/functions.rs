//! The global functions by which user code gives what it does not return, and `ctx`.

use boa_engine::object::builtins::JsArray;
use boa_engine::property::PropertyKey;
use boa_engine::{
    Context, JsArgs, JsError, JsNativeError, JsObject, JsResult, JsString, JsValue, NativeFunction,
    js_string,
};

use super::method::put_method;
use super::write::{WriteError, Writer};
use super::{batch, build, emit, puts};
use crate::json::write_str;
use crate::{CallContext, FailureCause, LogLevel, LogLine, cut, limits};

/// Defines the functions. `stringify` is the engine's own.
pub(super) fn install(stringify: &JsObject, context: &mut Context) {
    type Body = fn(&JsValue, &[JsValue], &JsObject, &mut Context) -> JsResult<JsValue>;
    let functions: [(&str, usize, Body); 7] = [
        ("emit", 2, emit::emit),
        ("put", 3, puts::put),
        ("del", 2, puts::delete),
        ("count", 1, count),
        ("log", 2, log),
        ("fail", 1, |this, arguments, _, context| {
            end("fail", FailureCause::Failed, this, arguments, context)
        }),
        ("retry", 1, |this, arguments, _, context| {
            end("retry", FailureCause::Retry, this, arguments, context)
        }),
    ];
    let global = context.global_object();
    for (name, length, body) in functions {
        let body = NativeFunction::from_copy_closure_with_captures(body, stringify.clone());
        put_method(&global, JsString::from(name).into(), (name, length), body, context);
    }
}

/// Defines `ctx`.
pub(super) fn set_context(call: &CallContext, context: &mut Context) -> JsResult<()> {
    let mut text = String::from("{\"job\":{\"id\":");
    write_str(&call.job, &mut text);
    text.push_str(",\"name\":");
    match &call.name {
        Some(name) => write_str(name, &mut text),
        None => text.push_str("null"),
    }
    let CallContext { phase, shard, attempt, slice, .. } = call;
    text.push_str(&format!(
        "}},\"phase\":{phase},\"shard\":{{\"number\":{shard},\"attempt\":{attempt}}},\"slice\":{slice},\"params\":"
    ));
    text.push_str(call.params.as_ref().map_or("{}", |params| params.0.as_str()));
    text.push('}');
    let value = build::value(&text, context)
        .map_err(|error| thrown(&format!("the parameters of the job: {error}")))?;
    if let Some(object) = value.as_object() {
        let random = NativeFunction::from_fn_ptr(|_, _, _| Ok(JsValue::from(batch::random())));
        put_method(&object, js_string!("random").into(), ("random", 0), random, context);
    }
    let global = context.global_object();
    let key = PropertyKey::from(js_string!("ctx"));
    // What a function has put there in its place, and holds on to, is its own.
    global.insert_property(key, build::plain(value));
    Ok(())
}

/// `count(name, delta)`.
fn count(_: &JsValue, arguments: &[JsValue], _: &JsObject, _: &mut Context) -> JsResult<JsValue> {
    let name = text(arguments.get_or_undefined(0), "count: the name")?;
    if name.is_empty() || name.len() > limits::COUNT_NAME_BYTES {
        let most = limits::COUNT_NAME_BYTES;
        return Err(thrown(&format!("count: a name has 1 to {most} bytes")));
    }
    let delta = arguments.get_or_undefined(1);
    let delta = if delta.is_undefined() { 1 } else { whole(delta, "count: the number")? };
    batch::count(name, delta)?;
    Ok(JsValue::undefined())
}

/// `log(level, message)`, or `log(message)`.
fn log(
    _: &JsValue,
    arguments: &[JsValue],
    stringify: &JsObject,
    context: &mut Context,
) -> JsResult<JsValue> {
    let (level, message) = match arguments {
        [message] => (LogLevel::Info, message.clone()),
        _ => {
            let word = text(arguments.get_or_undefined(0), "log: the level")?;
            let unknown = || thrown("log: the level is one of debug, info, warn, error");
            let level = LogLevel::find(&word).ok_or_else(unknown)?;
            (level, arguments.get_or_undefined(1).clone())
        }
    };
    let mut message = match message.as_string() {
        Some(text) => text.slice(0, text.len().min(limits::LOG_LINE_BYTES)).to_std_string_lossy(),
        None => json(&message, stringify, context)?,
    };
    message = message.replace(char::is_control, " ");
    let end = message.char_indices().map(|(at, _)| at).find(|&at| at >= limits::LOG_LINE_BYTES);
    message.truncate(end.unwrap_or(message.len()));
    batch::log(LogLine { level, message });
    Ok(JsValue::undefined())
}

/// `fail(message)` and `retry(message)`: the call has ended in this way whatever catches it.
fn end(
    name: &str,
    cause: FailureCause,
    _: &JsValue,
    arguments: &[JsValue],
    context: &mut Context,
) -> JsResult<JsValue> {
    let message = arguments.get_or_undefined(0);
    let message = match message.is_undefined() {
        true => format!("the function called {name}"),
        false => {
            let text = message.to_string(context)?;
            text.slice(0, text.len().min(limits::ERROR_BYTES)).to_std_string_lossy()
        }
    };
    let message = cut(message);
    batch::ask_for_end(cause, message.clone());
    Err(JsNativeError::error().with_message(message).into())
}

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
        return Err(thrown(&format!("{what} is not a string but {}", super::results::kind(value))));
    };
    text.to_std_string().map_err(|_| thrown(&format!("{what} holds half of a surrogate pair")))
}

/// A whole number.
#[allow(clippy::cast_possible_truncation)] // It is whole, and within the bounds.
fn whole(value: &JsValue, what: &str) -> JsResult<i64> {
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

pub(super) fn thrown(message: &str) -> JsError {
    JsNativeError::typ().with_message(message.to_owned()).into()
}
