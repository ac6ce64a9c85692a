//! What boa throws, in words for the function's author.

use std::error::Error as _;
use std::fmt::{self, Write as _};
use std::sync::LazyLock;

use boa_engine::builtins::error::Error as ErrorObject;
use boa_engine::error::EngineError;
use boa_engine::{Context, JsError, JsNativeErrorKind, JsString, JsValue, js_string};
use regex::Regex;

use super::old::{Mended, TOO_DEEP, stopped_at};
use super::write::{WriteError, Writer};
use super::{places, position};
use crate::library::SourceFile;
use crate::{FailureCause, ScriptError, cut, limits};

/// The path that a query's own code has in stacks.
const SOURCE: &str = "source";
/// What the path of a stored function begins with.
const STORED: &str = "source of ";
/// The path of the library of named functions.
pub(super) const LIBRARY: &str = "riak.js";

/// Lines that stand before the first line of the user's source, in code with a path of [`path`].
pub(super) const LINES_BEFORE: usize = 1;

/// The path of a query's own code, or of that of the stored object.
pub(super) fn path(object: Option<&str>) -> String {
    let Some(object) = object else { return SOURCE.to_owned() };
    // A frame is `name (path:line:column)`: the path must not look like part of that.
    let plain = |c: char| if c.is_control() || "()".contains(c) { '?' } else { c };
    let mut path = STORED.to_owned();
    path.extend(object.chars().take(limits::STORED_NAME).map(plain));
    path
}

/// Whether a path is that of a query's own code or of a stored object.
pub(super) fn is_own(path: &str) -> bool {
    path == SOURCE || path.starts_with(STORED)
}

/// A failure while a function runs.
pub(super) fn thrown(error: &JsError, context: &mut Context) -> ScriptError {
    let message = cut(message(error, context));
    if is_too_deep(error) || message == format!("RangeError: {TOO_DEEP}") {
        let message = format!("{TOO_DEEP}: the calls nested too deeply");
        let failure = ScriptError::new(FailureCause::Stack, message);
        return ScriptError { stack: stack(error), ..failure };
    }
    ScriptError { cause: FailureCause::Thrown, message, stack: stack(error), input: None }
}

/// Whether a limit of the engine was met. Where it cannot go back from that the error is another, which
/// comes from that one.
fn is_too_deep(error: &JsError) -> bool {
    match error.as_engine() {
        Some(EngineError::RuntimeLimit(_)) => true,
        Some(EngineError::Panic(panic)) => {
            let source = panic.source().and_then(|source| source.downcast_ref::<Box<JsError>>());
            source.is_some_and(|source| is_too_deep(source))
        }
        None => false,
    }
}

/// A source does not parse, which stood after so many lines. The place that the message names is
/// made that in the user's own text.
pub(super) fn parsing(
    error: &JsError,
    source: &str,
    lines_before: usize,
    context: &mut Context,
) -> ScriptError {
    static PLACE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"at line (\d+), col (\d+)$").ok());
    let mut message = message(error, context);
    let at = |(line, column): (usize, usize)| format!(" at line {line}, col {column}");
    let found = PLACE.as_ref().and_then(|place| place.captures(&message));
    let line = found.and_then(|found| {
        let line = found.get(1)?;
        Some((line.range(), line.as_str().parse::<usize>().ok()?))
    });
    if let Some((range, line)) = line {
        message.replace_range(range, &line.saturating_sub(lines_before).to_string());
    } else if message.ends_with("abrupt end") {
        message = format!("SyntaxError: unexpected end{}", at(places::end(source)));
    } else if message.contains("unterminated")
        && let Some(place) = places::open_literal(source)
    {
        message.push_str(&at(place));
    }
    ScriptError::new(FailureCause::Syntax, message)
}

/// The message of a syntax error in a mended text, with its place in the text as it was written.
pub(super) fn relocated(error: ScriptError, source: &str, mended: &Mended) -> ScriptError {
    let Some(at) = stopped_at(&error.message, mended.text()) else { return error };
    let words = error.message.rsplit_once(" at line ").map_or("", |(words, _)| words);
    let (line, column) = position::place(source, mended.original(at));
    ScriptError { message: format!("{words} at line {line}, col {column}"), ..error }
}

/// Whether a built-in function threw this itself.
pub(super) fn is_of_built_in(error: &JsError) -> bool {
    let mut end = End(String::new());
    let _ = write!(end, "{error}");
    let first = end.0.split("\n    at ").nth(1).and_then(|frame| frame.lines().next());
    first.is_some_and(|frame| frame.contains(" (native"))
}

/// The message of an error.
pub(super) fn words_of(error: &JsError, context: &mut Context) -> String {
    let message = message(error, context);
    message.strip_prefix("SyntaxError: ").map(str::to_owned).unwrap_or(message)
}

/// What is wrong with a file of functions: the file, the message, the place.
pub(super) fn complaint(file: &SourceFile, error: ScriptError) -> String {
    let ScriptError { message, stack, .. } = error;
    let place = stack.as_deref().and_then(|stack| stack.lines().next()).unwrap_or_default();
    let space = if place.is_empty() { "" } else { ", " };
    cut(format!("{}: {message}{space}{place}", file.name))
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
        return beginning(format_args!("{}: {}", native.kind(), native.message()));
    }
    let Some(value) = error.as_opaque().cloned() else {
        let text = beginning(error);
        let message = text.split("\n    at ").next().unwrap_or_default();
        return message.to_owned();
    };
    // An error object: by its name and message, which may have been changed.
    if value.as_object().is_some_and(|object| object.is::<ErrorObject>())
        && let Ok(text) = value.to_string(context)
    {
        return words(&text);
    }
    other(&value, context)
}

/// What stands for a thrown value that is no error object.
pub(super) fn other(value: &JsValue, context: &mut Context) -> String {
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

/// The end of a text, [`limits::STACK_TEXT_BYTES`] bytes of it or some more.
struct End(String);

impl fmt::Write for End {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = boundary(text, text.len().saturating_sub(limits::STACK_TEXT_BYTES));
        self.0.push_str(text.get(start..).unwrap_or_default());
        if self.0.len() > 2 * limits::STACK_TEXT_BYTES {
            let start = boundary(&self.0, self.0.len() - limits::STACK_TEXT_BYTES);
            self.0.drain(..start);
        }
        Ok(())
    }
}

/// The first place from `at` on where the text can be cut.
fn boundary(text: &str, at: usize) -> usize {
    (at..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len())
}

/// The frames of the backtrace that the author knows: those of JavaScript, not of the engine.
fn stack(error: &JsError) -> Option<String> {
    let mut end = End(String::new());
    // The engine writes the thrown value first, whatever that is, and the frames after it.
    let _ = write!(end, "{error}");
    let frames: Vec<String> = end.0.split("\n    at ").skip(1).filter_map(frame).collect();
    (!frames.is_empty()).then(|| cut(frames.join("\n")))
}

/// A frame, `name (path:line:column)`, with the line in the user's own text.
fn frame(text: &str) -> Option<String> {
    let (name, place) = text.lines().next()?.strip_suffix(')')?.rsplit_once(" (")?;
    let mut parts = place.rsplitn(3, ':');
    let (column, line, path) = (parts.next()?, parts.next()?, parts.next()?);
    // Built-in functions of the engine, and what this crate calls functions with.
    if place.starts_with("native") || path.starts_with("unknown at") {
        return None;
    }
    let wrapped = is_own(path);
    let line = match line.parse::<usize>() {
        Ok(line) if wrapped => line.saturating_sub(LINES_BEFORE).to_string(),
        _ => line.to_owned(),
    };
    let name = if name == "<main>" { "<anonymous>" } else { name };
    let path = path.trim_end_matches(" at ");
    // Some frames have no place, such as those of constructors that are not written out.
    let place = if column == "?" { path.to_owned() } else { format!("{path}:{line}:{column}") };
    Some(format!("at {name} ({place})"))
}
