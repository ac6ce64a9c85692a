//! What a query has in a worker: a context and its compiled functions.

use std::convert::Infallible;
use std::path::Path;
use std::time::Instant;

use boa_engine::builtins::promise::Promise;
use boa_engine::object::builtins::JsArray;
use boa_engine::property::PropertyKey;
use boa_engine::{Context, JsObject, JsString, JsValue, Source};
use mapring_types::{Object, Sibling};

use super::errors::{USER, compiling, thrown, writing};
use super::write::{WriteError, Writer, length};
use super::{build, globals};
use crate::json::ReadError;
use crate::object::{self, Names};
use crate::{
    FailureCause, Function, JsonText, MapInput, PhaseFunction, QueryTag, ScriptError, limits,
};

/// A function ready to be called.
#[derive(Clone)]
pub(super) struct Callable {
    function: JsObject,
    this: JsValue,
}

/// A query's context.
pub(super) struct QueryContext {
    pub(super) tag: QueryTag,
    /// When the worker left this query for another.
    pub(super) used: Instant,
    context: Context,
    stringify: JsObject,
    factory: JsObject,
    compiled: Vec<(Function, Callable)>,
    usual: Usual,
    result_bytes: u64,
}

/// What most inputs in a row have in common, made once.
#[derive(Default)]
struct Usual {
    bucket_type: Last,
    bucket: Last,
    content_type: Last,
    vclock: Last,
    last_modified: (u64, JsValue),
    keydata: Last,
    arg: Last,
}

/// A text and the value that was made of it last.
#[derive(Default)]
struct Last(String, JsValue);

impl Last {
    /// The value of a text; one that could have been changed since is made anew.
    fn value<E>(
        &mut self,
        text: &str,
        make: impl FnOnce(&str) -> Result<JsValue, E>,
    ) -> Result<JsValue, E> {
        if self.0 != text || self.1.is_undefined() || self.1.is_object() {
            self.1 = make(text)?;
            text.clone_into(&mut self.0);
        }
        Ok(self.1.clone())
    }

    /// A string.
    fn string(&mut self, text: &str) -> JsValue {
        let made: Result<JsValue, Infallible> =
            self.value(text, |text| Ok(JsString::from(text).into()));
        made.unwrap_or_default()
    }
}

impl QueryContext {
    pub(super) fn new(
        tag: QueryTag,
        stack_bytes: u64,
        result_bytes: u64,
    ) -> Result<Self, ScriptError> {
        let broken = |error: boa_engine::JsError| {
            ScriptError::new(FailureCause::Worker, format!("cannot make a context: {error}"))
        };
        let (mut context, stringify) = globals::context(stack_bytes).map_err(broken)?;
        let factory = Source::from_bytes(include_str!("factory.js"));
        let factory = context.eval(factory).map_err(broken)?;
        let factory = factory.as_object().ok_or_else(|| {
            ScriptError::new(FailureCause::Worker, "the factory of objects is no function")
        })?;
        let (compiled, usual) = (Vec::new(), Usual::default());
        let used = Instant::now();
        Ok(Self { tag, used, context, stringify, factory, compiled, usual, result_bytes })
    }

    /// The function, compiled at its first use.
    pub(super) fn function(&mut self, function: &Function) -> Result<Callable, ScriptError> {
        if let Some((_, callable)) = self.compiled.iter().find(|(known, _)| known == function) {
            return Ok(callable.clone());
        }
        let callable = match function {
            Function::Source(source) => self.evaluate(source)?,
            Function::Named(path) => self.named(path)?,
            Function::Erlang { module, function } => {
                let message = format!("{module}:{function} is not a JavaScript function");
                return Err(ScriptError::new(FailureCause::Undefined, message));
            }
        };
        if self.compiled.len() >= limits::COMPILED {
            self.compiled.clear();
        }
        self.compiled.push((function.clone(), callable.clone()));
        Ok(callable)
    }

    /// A source stands where Riak's call has it: as an expression. After `0,` on a line of its own
    /// a bare function is one, and trailing semicolons and comments do no harm.
    fn evaluate(&mut self, source: &str) -> Result<Callable, ScriptError> {
        let text = format!("0,\n{source}\n");
        let text = Source::from_bytes(&text).with_path(Path::new(USER));
        let value = match self.context.eval(text) {
            Ok(value) => value,
            Err(error) => return Err(compiling(&error, &mut self.context)),
        };
        self.callable(&value, JsValue::undefined(), "the source")
    }

    fn named(&mut self, path: &str) -> Result<Callable, ScriptError> {
        let undefined =
            || ScriptError::new(FailureCause::Undefined, format!("{path} is not defined"));
        let mut this = JsValue::undefined();
        let mut value = JsValue::from(self.context.global_object());
        for name in path.split('.') {
            let Some(object) = value.as_object() else { return Err(undefined()) };
            let member = object.get(JsString::from(name), &mut self.context);
            this = value;
            value = member.map_err(|error| thrown(&error, &mut self.context))?;
        }
        if value.is_undefined() {
            return Err(undefined());
        }
        self.callable(&value, this, path)
    }

    fn callable(
        &mut self,
        value: &JsValue,
        this: JsValue,
        what: &str,
    ) -> Result<Callable, ScriptError> {
        match value.as_callable() {
            Some(function) => Ok(Callable { function, this }),
            None => {
                let message = format!("{what} is not a function but {}", kind(value));
                Err(ScriptError::new(FailureCause::Syntax, message))
            }
        }
    }

    /// Calls a map function on a stored object.
    pub(super) fn map(
        &mut self,
        callable: &Callable,
        input: &MapInput,
        object: &Object,
        function: &PhaseFunction,
    ) -> Result<Vec<JsonText>, ScriptError> {
        let names = object::names(&input.id)?;
        let keydata = object::keydata(input);
        let keydata = self.usual.keydata.value(keydata, |text| read(text, &mut self.context))?;
        let arg = self.argument(function.arg.as_ref())?;
        let common = match object.siblings.as_slice() {
            [only] if is_common(only) => object::text(only).ok().map(|data| (only, data)),
            _ => None,
        };
        let value = match common {
            Some(content) => self.call_common(callable, &names, object, content, keydata, arg)?,
            None => {
                let value = self.read(&object::json(&input.id, object, function.binary)?)?;
                self.call(callable, &[value, keydata, arg])?
            }
        };
        self.map_results(&value)
    }

    /// Calls a reduce function. The results are plain data that nothing else refers to, or that
    /// JSON could not tell from it.
    pub(super) fn reduce(
        &mut self,
        callable: &Callable,
        items: &[JsValue],
        arg: Option<&JsonText>,
    ) -> Result<Vec<JsValue>, ScriptError> {
        let list = JsArray::from_iter(items.iter().cloned(), &mut self.context);
        let arg = self.argument(arg)?;
        let value = self.call(callable, &[list.into(), arg])?;
        let value = self.represent(&value)?;
        let Some(array) = value.as_object().filter(JsObject::is_array) else {
            return Err(not_a_list(&value));
        };
        let mut plain =
            super::plain::Plain::new(&mut self.context, &self.stringify, self.result_bytes);
        let items = plain.result(&array);
        items.map_err(|error| writing(error, self.result_bytes, &mut self.context))
    }

    /// Reads a value between phases.
    pub(super) fn read(&mut self, text: &str) -> Result<JsValue, ScriptError> {
        read(text, &mut self.context)
    }

    /// Writes values between phases.
    pub(super) fn write(&mut self, values: &[JsValue]) -> Result<Vec<JsonText>, ScriptError> {
        let mut writer = Writer::new(&mut self.context, &self.stringify, self.result_bytes);
        let texts: Result<Vec<_>, _> = values.iter().map(|value| writer.text(value)).collect();
        let texts = texts.map_err(|error| writing(error, self.result_bytes, &mut self.context))?;
        Ok(texts.into_iter().map(|text| JsonText(text.unwrap_or_else(null))).collect())
    }

    fn argument(&mut self, arg: Option<&JsonText>) -> Result<JsValue, ScriptError> {
        let arg = arg.map_or("\"none\"", |arg| arg.0.as_str());
        self.usual.arg.value(arg, |text| read(text, &mut self.context))
    }

    fn call(&mut self, callable: &Callable, args: &[JsValue]) -> Result<JsValue, ScriptError> {
        let result = callable.function.call(&callable.this, args, &mut self.context);
        self.defined(result)
    }

    /// A call through the factory, which makes the object form of what most objects are.
    fn call_common(
        &mut self,
        callable: &Callable,
        names: &Names<'_>,
        object: &Object,
        (sibling, data): (&Sibling, &str),
        keydata: JsValue,
        arg: JsValue,
    ) -> Result<JsValue, ScriptError> {
        let mut extra = |json: Option<String>| match json {
            Some(json) => self.read(&json),
            None => Ok(JsValue::undefined()),
        };
        let links = extra(object::links(sibling))?;
        let meta = extra(object::user(sibling))?;
        let index = extra(object::index(sibling))?;
        let text = |text: &str| JsValue::from(JsString::from(text));
        let usual = &mut self.usual;
        // Dates have no more than seconds.
        let second = sibling.last_modified / 1_000_000;
        if usual.last_modified.0 != second || usual.last_modified.1.is_undefined() {
            usual.last_modified = (second, text(&object::last_modified(sibling)));
        }
        let args = [
            callable.function.clone().into(),
            usual.bucket_type.string(names.bucket_type),
            usual.bucket.string(names.bucket),
            text(names.key),
            usual.vclock.string(&object.clock.to_header()),
            usual.content_type.string(&sibling.metadata.content_type),
            text(&sibling.vtag()),
            usual.last_modified.1.clone(),
            links,
            meta,
            index,
            text(data),
            keydata,
            arg,
        ];
        let result = self.factory.call(&JsValue::undefined(), &args, &mut self.context);
        self.defined(result)
    }

    fn defined(
        &mut self,
        result: Result<JsValue, boa_engine::JsError>,
    ) -> Result<JsValue, ScriptError> {
        match result {
            Ok(value) if value.is_undefined() => {
                Err(ScriptError::new(FailureCause::NotAList, "Expression returned undefined"))
            }
            Ok(value) => Ok(value),
            Err(error) => Err(thrown(&error, &mut self.context)),
        }
    }

    fn represent(&mut self, value: &JsValue) -> Result<JsValue, ScriptError> {
        let mut writer = Writer::new(&mut self.context, &self.stringify, self.result_bytes);
        let value = writer.represent(&JsString::default(), value).map_err(WriteError::from);
        value.map_err(|error| writing(error, self.result_bytes, &mut self.context))
    }

    /// The results of a map call: an array's items, or a plain object's properties as pairs.
    fn map_results(&mut self, value: &JsValue) -> Result<Vec<JsonText>, ScriptError> {
        let value = self.represent(value)?;
        let Some(object) = value.as_object() else { return Err(not_a_list(&value)) };
        let mut writer = Writer::new(&mut self.context, &self.stringify, self.result_bytes);
        let texts = if object.is_array() {
            items(&object, &mut writer)
        } else if object.is_ordinary() {
            pairs(&object, &mut writer)
        } else {
            return Err(not_a_list(&value));
        };
        texts.map_err(|error| writing(error, self.result_bytes, &mut self.context))
    }
}

fn items(array: &JsObject, writer: &mut Writer<'_>) -> Result<Vec<JsonText>, WriteError> {
    let length = length(array, writer.context())?;
    writer.admit(length)?;
    let mut texts = Vec::new();
    for at in 0..length {
        let item = array.get(at, writer.context())?;
        texts.push(JsonText(writer.text(&item)?.unwrap_or_else(null)));
    }
    Ok(texts)
}

fn pairs(object: &JsObject, writer: &mut Writer<'_>) -> Result<Vec<JsonText>, WriteError> {
    let mut texts = Vec::new();
    for key in object.own_property_keys(writer.context())? {
        let name = match &key {
            PropertyKey::String(name) => name.clone(),
            PropertyKey::Index(index) => JsString::from(index.get().to_string()),
            PropertyKey::Symbol(_) => continue,
        };
        let found = object.borrow().properties().get(&key);
        if found.is_none_or(|found| found.enumerable() != Some(true)) {
            continue;
        }
        let value = object.get(key, writer.context())?;
        if let Some(value) = writer.text(&value)? {
            let name = writer.text(&name.into())?.unwrap_or_else(null);
            texts.push(JsonText(format!("[{name},{value}]")));
        }
    }
    Ok(texts)
}

/// Whether the factory's shape fits.
fn is_common(sibling: &Sibling) -> bool {
    let meta = &sibling.metadata;
    !sibling.deleted
        && !meta.content_type.is_empty()
        && meta.charset.is_none()
        && meta.content_encoding.is_none()
}

fn not_a_list(value: &JsValue) -> ScriptError {
    let message = format!("non_list_result: the function returned {}, not a list", kind(value));
    ScriptError::new(FailureCause::NotAList, message)
}

fn kind(value: &JsValue) -> &'static str {
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
        _ => "another value",
    }
}

/// Reads a value between phases.
fn read(text: &str, context: &mut Context) -> Result<JsValue, ScriptError> {
    build::value(text, context).map_err(unreadable)
}

fn unreadable(error: ReadError) -> ScriptError {
    ScriptError::new(FailureCause::NotJson, error.to_string())
}

fn null() -> String {
    "null".to_owned()
}
