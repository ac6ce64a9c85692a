//! What boa throws, in words for the function's author.

use std::error::Error as _;
use std::fmt::{self, Write as _};
use std::sync::LazyLock;

use boa_engine::builtins::error::Error as ErrorObject;
use boa_engine::error::{EngineError, RuntimeLimitError};
use boa_engine::{Context, JsError, JsNativeErrorKind, JsString, JsValue, js_string};
use regex::{Captures, Regex};

use super::write::{WriteError, Writer};
use crate::{FailureCause, ScriptError, cut, limits};

/// The path that user code has in stacks.
pub(super) const USER: &str = "source";
/// The path of the library of named functions.
pub(super) const LIBRARY: &str = "riak.js";

/// Lines that stand before the first line of the user's source.
const LINES_BEFORE: usize = 1;

/// How much of the end of an error's text is looked through for its stack, in bytes: a thrown value
/// may be of any length.
const LOOKED_THROUGH: usize = 64 << 10;

/// A failure while a function runs.
pub(super) fn thrown(error: &JsError, context: &mut Context) -> ScriptError {
    if let Some(limit) = exceeded(error) {
        let message = format!("the calls nested too deeply: {limit}");
        return ScriptError {
            stack: stack(error),
            ..ScriptError::new(FailureCause::Stack, message)
        };
    }
    let message = cut(message(error, context));
    ScriptError { cause: FailureCause::Thrown, message, stack: stack(error), input: None }
}

/// The limit that was met. Where the engine cannot go back from it the error is another, which comes
/// from that one.
fn exceeded(error: &JsError) -> Option<&RuntimeLimitError> {
    match error.as_engine()? {
        EngineError::RuntimeLimit(limit) => Some(limit),
        EngineError::Panic(panic) => {
            let source = panic.source()?.downcast_ref::<Box<JsError>>()?;
            exceeded(source)
        }
    }
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

/// A failure while a result is written as JSON. What a getter or a `toJSON` throws has a place in the
/// user's source; what the writer itself has against the value has none.
pub(super) fn writing(error: WriteError, limit: u64, context: &mut Context) -> ScriptError {
    match error {
        WriteError::Js(error) => {
            let failure = thrown(&error, context);
            let cause = match failure.cause {
                FailureCause::Thrown if failure.stack.is_none() => FailureCause::NotJson,
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
        return in_user_lines(&beginning(format_args!("{}: {}", native.kind(), native.message())));
    }
    let Some(value) = error.as_opaque().cloned() else {
        let text = beginning(error);
        let message = text.split("\n    at ").next().unwrap_or_default();
        return in_user_lines(message);
    };
    // An error object: by its name and message, which may have been changed.
    if value.as_object().is_some_and(|object| object.is::<ErrorObject>())
        && let Ok(text) = value.to_string(context)
    {
        return in_user_lines(&words(&text));
    }
    other(&value, context)
}

/// What stands for a thrown value that is no error object.
fn other(value: &JsValue, context: &mut Context) -> String {
    if let Some(object) = value.as_object() {
        if let Ok(message) = object.get(js_string!("message"), context)
            && let Some(text) = message.as_string()
        {
            return words(&text);
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
        Some(text) => words(&text),
        None => beginning(value.display()),
    }
}

/// The beginning of a string, and a little more than will be kept, so that it shows as cut.
fn words(text: &JsString) -> String {
    text.slice(0, text.len().min(limits::ERROR_BYTES + 1)).to_std_string_escaped()
}

/// The beginning of what may be a text of any length.
fn beginning(text: impl fmt::Display) -> String {
    let mut out = Beginning(String::new());
    // It ends with an error when it has enough.
    let _ = write!(out, "{text}");
    out.0
}

struct Beginning(String);

impl fmt::Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = (limits::ERROR_BYTES + 1).saturating_sub(self.0.len());
        let end = boundary(text, room);
        self.0.push_str(text.get(..end).unwrap_or_default());
        if end < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// The end of a text, [`LOOKED_THROUGH`] bytes of it or some more.
struct End(String);

impl fmt::Write for End {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = boundary(text, text.len().saturating_sub(LOOKED_THROUGH));
        self.0.push_str(text.get(start..).unwrap_or_default());
        if self.0.len() > 2 * LOOKED_THROUGH {
            let start = boundary(&self.0, self.0.len() - LOOKED_THROUGH);
            self.0.drain(..start);
        }
        Ok(())
    }
}

/// The first place from `at` on where the text can be cut.
fn boundary(text: &str, at: usize) -> usize {
    (at..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len())
}

/// The lines of the backtrace that the author knows: those of the source and of named functions.
fn stack(error: &JsError) -> Option<String> {
    let mut end = End(String::new());
    // The engine writes the thrown value first, whatever that is, and the frames after it.
    let _ = write!(end, "{error}");
    let known = |line: &&str| line.contains(&format!("({USER}:")) || line.contains(LIBRARY);
    let lines: Vec<String> = end
        .0
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
