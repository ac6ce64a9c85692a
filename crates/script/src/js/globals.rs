//! What a context has beside the language: `JSON` on this crate's reader and writer, the methods of
//! regular expressions, `ejsLog`, the library of named functions.

use std::path::Path;
use std::rc::Rc;

use boa_engine::context::ContextBuilder;
use boa_engine::module::IdleModuleLoader;
use boa_engine::{
    Context, JsArgs, JsError, JsNativeError, JsObject, JsResult, JsString, JsValue, NativeFunction,
    Source, js_string,
};
use serde::de::IgnoredAny;

use super::compile::{Compiled, compile};
use super::errors::{LIBRARY, complaint, thrown};
use super::method::put_method;
use super::old::{self, Mended, Place};
use super::places::{sharpen, unmended};
use super::write::{WriteError, Writer};
use super::{build, builtins, functions, regexp};
use crate::library::{Library, SourceFile};
use crate::{ScriptError, json, limits};

/// A fresh context with everything in it.
pub(super) struct Globals {
    pub(super) context: Context,
    /// The engine's own `JSON.stringify`.
    pub(super) stringify: JsObject,
    /// Calls a map function with the object form of an input.
    pub(super) factory: JsObject,
    /// What is wrong with the files of the library.
    pub(super) complaints: Vec<String>,
    /// The files of the library that were mended, by their names.
    pub(super) mended: Vec<(String, Mended)>,
}

/// Makes a context. The library is left out when nothing can be defined after it.
pub(super) fn new(stack_bytes: u64, library: &Library) -> JsResult<Globals> {
    let (mut context, stringify) = language(stack_bytes)?;
    let mut complaints = library.complaints.clone();
    let mut mended = Vec::new();
    for file in &library.files {
        match evaluate(file, &mut context) {
            Ok(text) => mended.extend(text.map(|text| (file.name.clone(), text))),
            Err(error) => complaints.push(complaint(file, error)),
        }
    }
    match built_in(&mut context) {
        Ok(factory) => Ok(Globals { context, stringify, factory, complaints, mended }),
        Err(error) if library.files.is_empty() => Err(error),
        Err(error) => {
            let why = thrown(&error, &mut context).message;
            complaints.push(format!(
                "all files are left out, because the built-ins cannot be defined after them: {why}"
            ));
            new(stack_bytes, &Library { files: Vec::new(), complaints })
        }
    }
}

/// Evaluates a file; gives what its text was made, if it was mended.
fn evaluate(file: &SourceFile, context: &mut Context) -> Result<Option<Mended>, ScriptError> {
    let compiled = compile(&file.text, &file.name, &[("", "")], Place::Statement, context)?;
    let Compiled { script, mended, .. } = compiled;
    match script.evaluate(context) {
        Ok(_) => Ok(mended),
        Err(error) => {
            let mut failure = thrown(&error, context);
            if let (Some(stack), Some(mended)) = (&failure.stack, &mended) {
                let text = |path: &str| (path == file.name).then_some((file.text.as_str(), mended));
                failure.stack = Some(unmended(stack, text));
            }
            Err(sharpen(failure, |path| (path == file.name).then_some(file.text.as_str())))
        }
    }
}

/// The library of named functions; gives the factory.
fn built_in(context: &mut Context) -> JsResult<JsObject> {
    let library = Source::from_bytes(include_str!("riak.js")).with_path(Path::new(LIBRARY));
    context.eval(library)?;
    let factory = context.eval(Source::from_bytes(include_str!("factory.js")))?;
    let wrong = || JsNativeError::typ().with_message("the factory of objects is no function");
    factory.as_object().ok_or_else(|| wrong().into())
}

/// A context with what the language has, and the engine's own `JSON.stringify`.
fn language(stack_bytes: u64) -> JsResult<(Context, JsObject)> {
    // Without a loader of its own a context would have one for the files below the working directory.
    let mut context = ContextBuilder::new()
        .host_hooks(Rc::new(old::Hooks))
        .module_loader(Rc::new(IdleModuleLoader))
        .build()?;
    let recursion = stack_bytes / limits::STACK_BYTES_PER_CALL;
    let bounds = context.runtime_limits_mut();
    bounds.set_recursion_limit(usize::try_from(recursion.max(64)).unwrap_or(usize::MAX));
    bounds.set_stack_size_limit(limits::STACK_VALUES);
    bounds.set_backtrace_limit(limits::STACK_FRAMES);
    let stringify = replace_json(&mut context)?;
    regexp::install(&mut context)?;
    builtins::install(&mut context)?;
    old::install(&mut context);
    context.register_global_builtin_callable(
        js_string!("ejsLog"),
        2,
        NativeFunction::from_fn_ptr(log),
    )?;
    functions::install(&stringify, &mut context);
    #[cfg(feature = "attempts")]
    super::attempt::install(&mut context)?;
    Ok((context, stringify))
}

/// Replaces `JSON.parse` and `JSON.stringify`; gives the original of the latter.
fn replace_json(context: &mut Context) -> JsResult<JsObject> {
    let json = member(&context.global_object(), "JSON", context)?;
    let parse = member(&json, "parse", context)?;
    let stringify = member(&json, "stringify", context)?;
    let new_parse = NativeFunction::from_copy_closure_with_captures(parse_text, parse);
    let new_stringify =
        NativeFunction::from_copy_closure_with_captures(stringify_value, stringify.clone());
    for (name, length, function) in [("parse", 2, new_parse), ("stringify", 3, new_stringify)] {
        put_method(&json, JsString::from(name).into(), (name, length), function, context);
    }
    Ok(stringify)
}

fn member(object: &JsObject, name: &str, context: &mut Context) -> JsResult<JsObject> {
    let value = object.get(JsString::from(name), context)?;
    value.as_object().ok_or_else(|| {
        JsError::from(JsNativeError::typ().with_message(format!("{name} is not an object")))
    })
}

/// `JSON.parse`; with a reviver the engine's own runs. A text that is no JSON, but would be without
/// raw tabs and trailing commas, is read as that: the parser of Riak's JavaScript took both.
fn parse_text(
    this: &JsValue,
    arguments: &[JsValue],
    original: &JsObject,
    context: &mut Context,
) -> JsResult<JsValue> {
    let text = arguments.get_or_undefined(0).to_string(context)?;
    let reviver = arguments.get_or_undefined(1);
    // Lone surrogates are allowed inside strings, but hardly ever come: let the engine see to them.
    let Ok(plain) = text.to_std_string() else {
        return original.call(this, &[text.into(), reviver.clone()], context);
    };
    if reviver.is_callable() {
        let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
        let mended = if is_json(&plain) { None } else { mended(&plain) };
        let mended = mended.filter(|mended| is_json(mended)).map(JsString::from);
        let text = mended.unwrap_or(text);
        return original.call(this, &[text.into(), reviver.clone()], context);
    }
    let error = match build::value(&plain, context) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    // What is wrong with the text as it came is what its writer wants to know.
    mended(&plain)
        .and_then(|mended| build::value(&mended, context).ok())
        .ok_or_else(|| JsNativeError::syntax().with_message(error.to_string()).into())
}

fn mended(text: &str) -> Option<String> {
    match json::without_raw_controls(text) {
        Some(text) => Some(json::without_trailing_commas(&text).unwrap_or(text)),
        None => json::without_trailing_commas(text),
    }
}

/// `JSON.stringify` without replacer and indentation; with them, and for whatever goes beyond this
/// crate's bounds, the engine's own runs.
fn stringify_value(
    this: &JsValue,
    arguments: &[JsValue],
    original: &JsObject,
    context: &mut Context,
) -> JsResult<JsValue> {
    let simple = arguments.iter().skip(1).all(JsValue::is_null_or_undefined);
    if !simple {
        return original.call(this, arguments, context);
    }
    let limit = limits::FRAME_BYTES as u64;
    match Writer::new(context, original, limit).text(arguments.get_or_undefined(0)) {
        Ok(Some(text)) => Ok(JsString::from(text).into()),
        Ok(None) => Ok(JsValue::undefined()),
        Err(WriteError::Js(error)) => Err(error),
        Err(WriteError::Depth | WriteError::Size) => original.call(this, arguments, context),
    }
}

/// `ejsLog(file, message)`: a line to the node's log, whatever the file: user code writes no files.
/// Gives true, as a log that could be written does.
fn log(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let file = log_text(arguments.get_or_undefined(0), context)?;
    let message = log_text(arguments.get_or_undefined(1), context)?;
    eprintln!("{}", log_line(&file, &message));
    Ok(JsValue::from(true))
}

/// The beginning of a value's text, which may be of any length.
fn log_text(value: &JsValue, context: &mut Context) -> JsResult<String> {
    let text = value.to_string(context)?;
    Ok(text.slice(0, text.len().min(limits::LOG_LINE_BYTES)).to_std_string_lossy())
}

/// What marks a line of user code on a worker's standard error.
pub(crate) const LOG_MARK: &str = "ejsLog ";

fn log_line(file: &str, message: &str) -> String {
    let mut line = format!("{LOG_MARK}{file}: {message}");
    // It stays one line, and does nothing to a terminal.
    line = line.replace(char::is_control, " ");
    let end = line.char_indices().map(|(at, _)| at).find(|&at| at >= limits::LOG_LINE_BYTES);
    line.truncate(end.unwrap_or(line.len()));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_log_are_single_and_bounded() {
        assert_eq!(log_line("/tmp/f", "a\nb\x1b[1m\u{85}c"), "ejsLog /tmp/f: a b [1m c");
        let line = log_line("f", &"é".repeat(limits::LOG_LINE_BYTES));
        assert!((limits::LOG_LINE_BYTES..limits::LOG_LINE_BYTES + 2).contains(&line.len()));
    }
}
