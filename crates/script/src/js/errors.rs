//! What boa throws, in words for the function's author.

use std::sync::LazyLock;

use boa_engine::error::EngineError;
use boa_engine::{Context, JsError, JsNativeErrorKind, JsValue, js_string};
use regex::{Captures, Regex};

use super::write::{WriteError, Writer};
use crate::{FailureCause, ScriptError, cut, limits};

/// The path that user code has in stacks.
pub(super) const USER: &str = "source";
/// The path of the library of named functions.
pub(super) const LIBRARY: &str = "riak.js";

/// Lines that stand before the first line of the user's source.
const LINES_BEFORE: usize = 1;

/// A failure while a function runs.
pub(super) fn thrown(error: &JsError, context: &mut Context) -> ScriptError {
    if let Some(EngineError::RuntimeLimit(limit)) = error.as_engine() {
        let message = format!("the calls nested too deeply: {limit}");
        return ScriptError {
            stack: stack(error),
            ..ScriptError::new(FailureCause::Stack, message)
        };
    }
    let message = cut(message(error, context));
    ScriptError { cause: FailureCause::Thrown, message, stack: stack(error), input: None }
}

/// A failure while a source is made into a function.
pub(super) fn compiling(error: &JsError, context: &mut Context) -> ScriptError {
    let kind = error.try_native(context).ok().map(|native| native.kind().clone());
    let cause = match kind {
        Some(JsNativeErrorKind::Syntax) => FailureCause::Syntax,
        Some(JsNativeErrorKind::Reference) => FailureCause::Undefined,
        _ => FailureCause::Thrown,
    };
    let failure = thrown(error, context);
    if failure.cause == FailureCause::Stack { failure } else { ScriptError { cause, ..failure } }
}

/// A failure while a result is written as JSON.
pub(super) fn writing(error: WriteError, limit: u64, context: &mut Context) -> ScriptError {
    match error {
        WriteError::Js(error) => {
            let failure = thrown(&error, context);
            let cause = match failure.cause {
                FailureCause::Thrown => FailureCause::NotJson,
                other => other,
            };
            ScriptError { cause, ..failure }
        }
        WriteError::Depth => ScriptError::new(
            FailureCause::NotJson,
            format!("the result is nested more than {} levels deep", limits::JSON_DEPTH),
        ),
        WriteError::Size => ScriptError::new(
            FailureCause::ResultSize,
            format!("the result is larger than {limit} bytes of JSON"),
        ),
    }
}

fn message(error: &JsError, context: &mut Context) -> String {
    if let Some(native) = error.as_native() {
        // Its own text would have a place at its end, which the stack has already.
        return in_user_lines(&format!("{}: {}", native.kind(), native.message()));
    }
    let Some(value) = error.as_opaque().cloned() else {
        let text = error.to_string();
        let message = text.split("\n    at ").next().unwrap_or_default();
        return in_user_lines(message);
    };
    if let Ok(native) = error.try_native(context) {
        // An error object: by its name and message, which may have been changed.
        if let Ok(text) = value.to_string(context) {
            return in_user_lines(&text.to_std_string_escaped());
        }
        return in_user_lines(&format!("{}: {}", native.kind(), native.message()));
    }
    other(&value, context)
}

/// What stands for a thrown value that is no error object.
fn other(value: &JsValue, context: &mut Context) -> String {
    if let Some(object) = value.as_object() {
        if let Ok(message) = object.get(js_string!("message"), context)
            && let Some(text) = message.as_string()
        {
            return text.to_std_string_escaped();
        }
        if let Ok(json) = context.global_object().get(js_string!("JSON"), context)
            && let Some(json) = json.as_object()
            && let Ok(stringify) = json.get(js_string!("stringify"), context)
            && let Some(stringify) = stringify.as_object()
            && let Ok(Some(text)) =
                Writer::new(context, &stringify, limits::ERROR_BYTES as u64).text(value)
        {
            return text;
        }
    }
    match value.as_string() {
        Some(text) => text.to_std_string_escaped(),
        None => value.display().to_string(),
    }
}

/// The lines of the backtrace that the author knows: those of the source and of named functions.
fn stack(error: &JsError) -> Option<String> {
    let text = error.to_string();
    let known = |line: &&str| line.contains(&format!("({USER}:")) || line.contains(LIBRARY);
    let lines: Vec<String> = text
        .split("\n    at ")
        .skip(1)
        .filter(known)
        .map(|line| format!("at {}", in_user_lines(line.lines().next().unwrap_or_default())))
        .collect();
    (!lines.is_empty()).then(|| cut(lines.join("\n")))
}

/// Corrects places in the wrapped source to places in the user's own.
fn in_user_lines(text: &str) -> String {
    static PLACE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(\(source:|at line )(\d+)").ok());
    let Some(place) = PLACE.as_ref() else { return text.to_owned() };
    let corrected = place.replace_all(text, |found: &Captures<'_>| {
        let line: usize = found[2].parse().unwrap_or_default();
        format!("{}{}", &found[1], line.saturating_sub(LINES_BEFORE))
    });
    corrected.into_owned()
}
