//! The global functions by which user code gives what it does not return, and `ctx`.

use boa_engine::property::PropertyKey;
use boa_engine::{
    Context, JsArgs, JsNativeError, JsObject, JsResult, JsString, JsValue, NativeFunction,
    js_string,
};

use super::arguments::{json, text, thrown, whole};
use super::method::put_method;
use super::{batch, build, emit, puts};
use crate::json::write_str;
use crate::{CallContext, Counter, FailureCause, LogLevel, LogLine, cut, limits};

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
    if let Some(counter) = Counter::find(&name) {
        let why = format!("count: \"{counter}\" is counted by the store itself: take another name");
        return Err(thrown(&why));
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
