//! What a query has in a worker: a context and its compiled functions.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use boa_engine::object::builtins::JsArray;
use boa_engine::{Context, JsError, JsObject, JsString, JsValue, Source};
use mapring_types::{Object, ObjectId, Sibling};

use super::compile::{Compiled, Form, compile};
use super::errors::{
    LINES_BEFORE, compiling, is_of_built_in, is_own, path as path_of, thrown, writing,
};
use super::globals::Globals;
use super::old::{Mended, Place};
use super::places::{first, sharpen, unmended};
use super::plain::{Item, Plain, Weighed};
use super::returned::{kind, null};
use super::write::{WriteError, Writer};
use super::{batch, blame, build, functions, globals};
use crate::json::ReadError;
use crate::library::Library;
use crate::object::{self, Names};
use crate::reduce::{Called, weight};
use crate::{
    CallContext, FailureCause, Function, JsonText, MapInput, Part, PhaseFunction, QueryTag, Row,
    ScriptError, cut, limits,
};

/// A function ready to be called.
#[derive(Clone)]
pub(super) struct Callable {
    function: JsObject,
    this: JsValue,
    /// The text that it was made of, unless that is a file of the library.
    source: Option<Rc<Text>>,
    /// The object that it is a method of, where the source is one, and what its `state` was at first.
    pub(super) handler: Option<(JsObject, JsonText)>,
}

/// What a function is for: where a source is an object, the method of this name is the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Map,
    Combine,
    /// A reduce; or it is only looked whether there is a function.
    Reduce,
    /// No phase's function.
    Part(Part),
}

impl Role {
    /// The methods to look for, in this order.
    pub(super) fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Map => &["map"],
            Self::Combine => &["combine"],
            Self::Reduce => &["reduce", "map", "combine"],
            Self::Part(_) => &[],
        }
    }
}

/// The text of a function as it was written, and what that was made where it was mended.
struct Text {
    source: String,
    mended: Option<Mended>,
}

/// How a source is parsed: where Riak's call has it, as an expression, else as statements. What stands
/// before it ends with the only line that does.
const FORMS: [Form; 2] = [("0,\n", "\n"), ("\n", "\n")];
const _: () = assert!(LINES_BEFORE == 1);

/// A query's context.
pub(super) struct QueryContext {
    pub(super) tag: QueryTag,
    /// When the worker left this query for another.
    pub(super) used: Instant,
    library: Arc<Library>,
    /// What is wrong with the files of the library.
    pub(super) complaints: Vec<String>,
    /// Files of the library that were mended, by their names.
    mended: Vec<(String, Mended)>,
    pub(super) context: Context,
    pub(super) stringify: JsObject,
    factory: JsObject,
    compiled: Vec<((Function, Role), Callable)>,
    usual: Usual,
    pub(super) result_bytes: u64,
    /// What `ctx` shows.
    entered: Arc<CallContext>,
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
        library: &Arc<Library>,
    ) -> Result<Self, ScriptError> {
        let Globals { context, stringify, factory, complaints, mended } =
            globals::new(stack_bytes, library).map_err(|error| {
                ScriptError::new(FailureCause::Worker, format!("cannot make a context: {error}"))
            })?;
        Ok(Self {
            tag,
            used: Instant::now(),
            library: Arc::clone(library),
            complaints,
            mended,
            context,
            stringify,
            factory,
            compiled: Vec::new(),
            usual: Usual::default(),
            result_bytes,
            entered: Arc::default(),
        })
    }

    /// Where the calls belong.
    pub(super) fn entered(&self) -> &CallContext {
        &self.entered
    }

    /// Makes `ctx` show where the calls that follow belong.
    pub(super) fn enter(&mut self, call: &Arc<CallContext>) -> Result<(), ScriptError> {
        if Arc::ptr_eq(&self.entered, call) {
            return Ok(());
        }
        functions::set_context(call, &mut self.context)
            .map_err(|error| thrown(&error, &mut self.context))?;
        self.entered = Arc::clone(call);
        Ok(())
    }

    /// The function, compiled at its first use.
    pub(super) fn function(
        &mut self,
        function: &Function,
        role: Role,
    ) -> Result<Callable, ScriptError> {
        let is_known = |known: &(Function, Role)| known.0 == *function && known.1 == role;
        if let Some((_, callable)) = self.compiled.iter().find(|(known, _)| is_known(known)) {
            return Ok(callable.clone());
        }
        let callable = match function {
            Function::Source(source) => self.evaluate(source, None, role),
            Function::Stored { object, source } => self.evaluate(source, Some(object), role),
            Function::Named(path) if is_path(path) => self.named(path, role),
            // Riak's call has the name where a source stands, so that it may be any expression.
            Function::Named(source) => self.evaluate(source, None, role),
            Function::Part(part, code) => return self.function(code, Role::Part(*part)),
            Function::Erlang { module, function } => {
                let message = format!("{module}:{function} is not a JavaScript function");
                return Err(ScriptError::new(FailureCause::Undefined, message));
            }
        };
        let callable = callable.map_err(|error| match error.cause {
            FailureCause::Undefined => self.with_complaints(error),
            _ => error,
        })?;
        if self.compiled.len() >= limits::COMPILED {
            self.compiled.clear();
        }
        self.compiled.push(((function.clone(), role), callable.clone()));
        Ok(callable)
    }

    /// A source stands where Riak's call has it: as an expression. After `0,` on a line of its own
    /// a bare function is one, and trailing semicolons and comments do no harm. Sources of several
    /// statements that end with a function are accepted too.
    fn evaluate(
        &mut self,
        source: &str,
        object: Option<&str>,
        role: Role,
    ) -> Result<Callable, ScriptError> {
        let path = source.trim().trim_end_matches(';').trim_end();
        if is_path(path) {
            return self.named(path, role);
        }
        let file = path_of(object);
        let compiled = compile(source, &file, &FORMS, Place::Expression, &mut self.context)?;
        let Compiled { script, mended, fault } = compiled;
        let text = Text { source: source.to_owned(), mended };
        let value = match script.evaluate(&mut self.context) {
            Ok(value) => value,
            Err(error) => {
                let failure = compiling(&error, &mut self.context);
                return Err(self.explained(failure, &error, Some(&text)));
            }
        };
        match self.callable(&value, JsValue::undefined(), "the source", role) {
            Ok(callable) => Ok(Callable { source: Some(Rc::new(text)), ..callable }),
            Err(error) => Err(fault.unwrap_or(error)),
        }
    }

    /// The function that a path of names leads to, to be called as a member of what it is in.
    fn named(&mut self, path: &str, role: Role) -> Result<Callable, ScriptError> {
        let undefined =
            || ScriptError::new(FailureCause::Undefined, format!("{path} is not defined"));
        let mut names = path.split('.');
        let mut this = JsValue::undefined();
        let mut value = self.global(names.next().unwrap_or_default())?;
        for name in names {
            let Some(object) = value.as_object() else { return Err(undefined()) };
            let member = object.get(JsString::from(name), &mut self.context);
            this = value;
            value = member.map_err(|error| thrown(&error, &mut self.context))?;
        }
        if value.is_undefined() {
            return Err(undefined());
        }
        self.callable(&value, this, path, role)
    }

    /// What a name stands for in the outermost scope, where `const`, `let` and `class` put names that
    /// are no properties of the global object; undefined when it is not there.
    fn global(&mut self, name: &str) -> Result<JsValue, ScriptError> {
        match self.context.eval(Source::from_bytes(name)) {
            Ok(value) => Ok(value),
            Err(error) => match compiling(&error, &mut self.context) {
                ScriptError { cause: FailureCause::Undefined | FailureCause::Syntax, .. } => {
                    Ok(JsValue::undefined())
                }
                failure => Err(failure),
            },
        }
    }

    /// A failure with its places in the texts as they were written, with the name of what is missing
    /// or null, and with why it may be.
    fn explained(
        &self,
        mut failure: ScriptError,
        error: &JsError,
        text: Option<&Text>,
    ) -> ScriptError {
        let file = |path: &str| {
            let file = self.library.files.iter().find(|file| file.name == path);
            file.map(|file| file.text.as_str())
        };
        let written = |path: &str| {
            let own = || text.filter(|_| is_own(path)).map(|text| text.source.as_str());
            file(path).or_else(own)
        };
        let mended = |path: &str| {
            let file = self.mended.iter().find(|(name, _)| name == path).map(|(_, mended)| mended);
            let own = || text.filter(|_| is_own(path)).and_then(|text| text.mended.as_ref());
            Some((written(path)?, file.or_else(own)?))
        };
        if let Some(stack) = &mut failure.stack {
            *stack = unmended(stack, mended);
            if !is_of_built_in(error)
                && let Some((text, at)) = first(stack, written)
                && let Some(message) = blame::named(&failure.message, text, at)
            {
                failure.message = cut(message);
            }
        }
        if let Some(words) = blame::gone(&failure.message) {
            failure.message = cut(format!("{}: {words}", failure.message));
            return failure;
        }
        let failure = sharpen(failure, written);
        if failure.message.starts_with("ReferenceError") {
            self.with_complaints(failure)
        } else {
            failure
        }
    }

    /// When a name is missing, files that could not be evaluated are likely to be why.
    fn with_complaints(&self, error: ScriptError) -> ScriptError {
        const WORDS: &str = " (in js_source_dir: ";
        if self.complaints.is_empty() || error.message.contains(WORDS) {
            return error;
        }
        let complaints = self.complaints.join("; ");
        ScriptError { message: cut(format!("{}{WORDS}{complaints})", error.message)), ..error }
    }

    fn callable(
        &mut self,
        value: &JsValue,
        this: JsValue,
        what: &str,
        role: Role,
    ) -> Result<Callable, ScriptError> {
        if let Role::Part(part) = role {
            return self.part(part, value, what);
        }
        if let Some(function) = value.as_callable() {
            return Ok(Callable { function, this, source: None, handler: None });
        }
        if let Some(object) = value.as_object()
            && let Some((function, state)) = self.method(&object, role)?
        {
            let handler = Some((object, state));
            return Ok(Callable { function, this: value.clone(), source: None, handler });
        }
        let message = format!("{what} is not a function but {}", kind(value));
        Err(ScriptError::new(FailureCause::Syntax, message))
    }

    /// What calls a part of a query that is no phase. Frames of it show no more in stacks than those of the
    /// engine: it has no path.
    fn part(&mut self, part: Part, value: &JsValue, what: &str) -> Result<Callable, ScriptError> {
        let makers = self.context.eval(Source::from_bytes(include_str!("parts.js")));
        let made = makers.and_then(|makers| {
            let maker = makers.as_object().map(|makers| makers.get(part as u32, &mut self.context));
            let maker = maker.transpose()?.and_then(|maker| maker.as_callable());
            maker
                .map(|maker| {
                    maker.call(
                        &JsValue::undefined(),
                        std::slice::from_ref(value),
                        &mut self.context,
                    )
                })
                .transpose()
        });
        let made = made.map_err(|error| compiling(&error, &mut self.context))?;
        match made.and_then(|made| made.as_callable()) {
            Some(function) => {
                Ok(Callable { function, this: JsValue::undefined(), source: None, handler: None })
            }
            None => {
                let message = format!("{what} is not {} but {}", part.forms(), kind(value));
                Err(ScriptError::new(FailureCause::Syntax, message.replace(", but", " but")))
            }
        }
    }

    /// Calls a map function on a stored object; gives the results as text.
    pub(super) fn map(
        &mut self,
        callable: &Callable,
        input: &MapInput,
        object: &Object,
        function: &PhaseFunction,
    ) -> Result<Vec<Row>, ScriptError> {
        self.guarded(self.seed(input), |this| {
            let value = this.call_map(callable, input, object, function)?;
            this.rows(&value, callable, false)
        })
    }

    /// As [`QueryContext::map`]; gives the results as they are for a reduce in this context.
    pub(super) fn map_to_values(
        &mut self,
        callable: &Callable,
        input: &MapInput,
        object: &Object,
        function: &PhaseFunction,
    ) -> Result<Vec<Weighed>, ScriptError> {
        self.guarded(self.seed(input), |this| {
            let value = this.call_map(callable, input, object, function)?;
            this.values(&value, callable)
        })
    }

    /// What the random numbers of a call with a group follow from.
    pub(super) fn seed_of_key(&self, key: &[u8]) -> u64 {
        batch::seed(self.entered.seed, [key])
    }

    /// Reads a value between phases.
    pub(super) fn read(&mut self, text: &str) -> Result<JsValue, ScriptError> {
        read(text, &mut self.context)
    }

    /// What the random numbers of a call follow from.
    pub(super) fn seed(&self, input: &MapInput) -> u64 {
        let ObjectId { bucket, key } = &input.id;
        let keydata = input.keydata.as_ref().map_or("", |keydata| keydata.0.as_str());
        let parts = [&bucket.bucket_type[..], &bucket.name[..], &key[..], keydata.as_bytes()];
        batch::seed(self.entered.seed, parts)
    }

    pub(super) fn call_map(
        &mut self,
        callable: &Callable,
        input: &MapInput,
        object: &Object,
        function: &PhaseFunction,
    ) -> Result<JsValue, ScriptError> {
        let names = object::names(&input.id)?;
        let keydata = object::keydata(input);
        let keydata = self.usual.keydata.value(keydata, |text| read(text, &mut self.context))?;
        let arg = self.argument(function.arg.as_ref())?;
        let common = match object.siblings.as_slice() {
            [only] if is_common(only) => object::text(only).ok().map(|data| (only, data)),
            _ => None,
        };
        match common {
            Some(content) => self.call_common(callable, &names, object, content, keydata, arg),
            None => {
                let value = object::json(&input.id, object, function.binary)?;
                let value = read(&value, &mut self.context)?;
                self.call(callable, &[value, keydata, arg])
            }
        }
    }

    /// Calls a reduce function. The results are plain data that nothing else refers to, or that
    /// JSON could not tell from it. An object in place of a list stands for its members, each a pair,
    /// as in Riak.
    pub(super) fn reduce(
        &mut self,
        callable: &Callable,
        items: &[Item],
        arg: Option<&JsonText>,
    ) -> Called<Item> {
        let values = items.iter().map(|item| item.value.clone());
        let list = JsArray::from_iter(values, &mut self.context);
        let arg = self.argument(arg)?;
        let weighed = self.guarded(self.entered.seed, |this| {
            let value = this.call(callable, &[list.into(), arg])?;
            this.members(&value, callable)
        })?;
        let weight = weighed.iter().map(|(_, weight)| weight).sum();
        Ok((weighed.into_iter().map(|(item, _)| item).collect(), weight))
    }

    /// A result as plain data that nothing else refers to.
    pub(super) fn plain(
        &mut self,
        make: impl FnOnce(&mut Plain<'_>) -> Result<Vec<Weighed>, WriteError>,
    ) -> Result<Vec<Weighed>, ScriptError> {
        let mut plain = Plain::new(&mut self.context, &self.stringify, self.result_bytes);
        let items = make(&mut plain);
        items.map_err(|error| writing(error, self.result_bytes, &mut self.context))
    }

    /// Reads values between phases.
    pub(super) fn read_items(&mut self, rows: &[Row]) -> Result<Vec<Weighed>, ScriptError> {
        let item = |row: &Row| {
            let value = read(row.text(), &mut self.context)?;
            Ok((Item { value, pair: matches!(row, Row::Pair(_)) }, weight(row.bytes())))
        };
        rows.iter().map(item).collect()
    }

    /// Writes the results of a reduce.
    pub(super) fn write(&mut self, items: &[Item]) -> Result<Vec<Row>, ScriptError> {
        self.write_within(items, self.result_bytes)
    }

    /// Writes results of several calls, each of which was within its limit.
    pub(super) fn write_many(&mut self, items: &[Item]) -> Result<Vec<Row>, ScriptError> {
        self.write_within(items, limits::FRAME_BYTES as u64)
    }

    fn write_within(&mut self, items: &[Item], limit: u64) -> Result<Vec<Row>, ScriptError> {
        let mut writer = Writer::new(&mut self.context, &self.stringify, limit);
        let texts = items.iter().map(|Item { value, pair }| {
            let text = writer.text(value)?.unwrap_or_else(null);
            Ok(if *pair { Row::pair_of(text) } else { Row::value(text) })
        });
        let texts: Result<Vec<_>, _> = texts.collect();
        texts.map_err(|error| writing(error, limit, &mut self.context))
    }

    pub(super) fn argument(&mut self, arg: Option<&JsonText>) -> Result<JsValue, ScriptError> {
        let arg = arg.map_or("\"none\"", |arg| arg.0.as_str());
        self.usual.arg.value(arg, |text| read(text, &mut self.context))
    }

    pub(super) fn call(
        &mut self,
        callable: &Callable,
        args: &[JsValue],
    ) -> Result<JsValue, ScriptError> {
        let result = callable.function.call(&callable.this, args, &mut self.context);
        result.map_err(|error| self.threw(&error, callable))
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
            Some(json) => read(&json, &mut self.context),
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
            callable.this.clone(),
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
        result.map_err(|error| self.threw(&error, callable))
    }

    /// What a function threw.
    pub(super) fn threw(&mut self, error: &JsError, callable: &Callable) -> ScriptError {
        let failure = thrown(error, &mut self.context);
        self.explained(failure, error, callable.source.as_deref())
    }
}

/// Whether the factory's shape fits.
fn is_common(sibling: &Sibling) -> bool {
    let meta = &sibling.metadata;
    !sibling.deleted
        && !meta.content_type.is_empty()
        && meta.charset.is_none()
        && meta.content_encoding.is_none()
}

/// Whether the text is names with dots between, such as `Riak.mapValues`.
fn is_path(text: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let name = |name: &str| name.chars().all(letter) && !name.starts_with(|c: char| c.is_numeric());
    text.split('.').all(|part| !part.is_empty() && name(part))
}

/// Reads a value between phases.
fn read(text: &str, context: &mut Context) -> Result<JsValue, ScriptError> {
    build::value(text, context).map_err(unreadable)
}

fn unreadable(error: ReadError) -> ScriptError {
    ScriptError::new(FailureCause::NotJson, error.to_string())
}
