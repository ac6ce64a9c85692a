//! The methods of regular expressions, natively: `match(/…/g)`, `replace(/…/g, …)`, `split(/…/)`,
//! `exec` and `test`.
//!
//! The engine's own methods run a search a match, and each search copies the whole text: time that
//! grows with the square of its length. Here the text is prepared once and searched from end to end,
//! by the same matcher (`regress`) with the same meaning. Whatever is unusual (other flags, a
//! subclass, a changed prototype, an argument that is no string) goes to the engine's own method,
//! before anything has happened that a function could notice.

mod exec;
mod substitution;

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use boa_engine::object::FunctionObjectBuilder;
use boa_engine::object::builtins::{JsArray, JsRegExp};
use boa_engine::property::{PropertyDescriptor, PropertyKey};
use boa_engine::string::{JsStr, JsStrVariant};
use boa_engine::{
    Context, JsArgs, JsError, JsNativeError, JsObject, JsResult, JsString, JsSymbol, JsValue,
    NativeFunction, js_string,
};
use regress::Regex;

use super::method::put_method;
use crate::limits;

/// What the meaning of the methods rests on: properties of `RegExp.prototype`. That of all but the
/// first one itself rests on the first one too.
const RESTS_ON: [&str; 11] = [
    "exec",
    "flags",
    "constructor",
    "hasIndices",
    "global",
    "ignoreCase",
    "multiline",
    "dotAll",
    "unicode",
    "unicodeSets",
    "sticky",
];

/// What a method here knows: the engine's own, `RegExp.prototype`, and what its properties of
/// [`RESTS_ON`] were when the context was made, with the getter of `RegExp[Symbol.species]`.
type Known = (JsObject, JsObject, Vec<(JsString, JsObject)>, JsObject);

type Method = fn(&JsValue, &[JsValue], &Known, &mut Context) -> JsResult<JsValue>;

/// Puts the methods here in the place of the engine's own.
pub(super) fn install(context: &mut Context) -> JsResult<()> {
    let constructor = context.intrinsics().constructors().regexp();
    let (prototype, constructor) = (constructor.prototype(), constructor.constructor());
    let missing = |name: &str| {
        let message = format!("RegExp.prototype.{name} is not as expected");
        JsError::from(JsNativeError::typ().with_message(message))
    };
    let rests_on = |names: &[&str]| {
        let slot = |&name: &&str| {
            let own = JsString::from(name);
            let slot = slot(&prototype, &own.clone().into()).ok_or_else(|| missing(name))?;
            Ok((own, slot))
        };
        names.iter().map(slot).collect::<JsResult<Vec<_>>>()
    };
    let species =
        slot(&constructor, &JsSymbol::species().into()).ok_or_else(|| missing("@@species"))?;
    let key = PropertyKey::from(js_string!("source"));
    let own = slot(&prototype, &key).ok_or_else(|| missing("source"))?;
    let getter = NativeFunction::from_copy_closure_with_captures(source, own);
    let getter = FunctionObjectBuilder::new(context.realm(), getter)
        .name(js_string!("get source"))
        .length(0)
        .build();
    let property = PropertyDescriptor::builder().get(getter).enumerable(false).configurable(true);
    prototype.insert_property(key, property.build());
    let own = |name: &str| PropertyKey::from(JsString::from(name));
    let methods: [(PropertyKey, &str, usize, Method); 5] = [
        // The first: the others look whether it is there.
        (own("exec"), "exec", 1, exec::exec),
        (own("test"), "test", 1, exec::test),
        (JsSymbol::r#match().into(), "[Symbol.match]", 1, match_all),
        (JsSymbol::replace().into(), "[Symbol.replace]", 2, replace_all),
        (JsSymbol::split().into(), "[Symbol.split]", 2, split),
    ];
    for (key, name, length, method) in methods {
        let original = slot(&prototype, &key).ok_or_else(|| missing(name))?;
        let names = if name == "exec" { &RESTS_ON[1..] } else { &RESTS_ON[..] };
        let known: Known = (original, prototype.clone(), rests_on(names)?, species.clone());
        let function = NativeFunction::from_copy_closure_with_captures(method, known);
        put_method(&prototype, key, (name, length), function, context);
    }
    Ok(())
}

/// The object that a property holds: its value, or its getter.
fn slot(object: &JsObject, key: &PropertyKey) -> Option<JsObject> {
    let property = object.borrow().properties().get(key)?;
    property.value().or_else(|| property.get()).and_then(JsValue::as_object)
}

/// A call that this module knows the meaning of.
struct Plain {
    regexp: JsObject,
    regex: Rc<Regex>,
    /// Whether the expression speaks of ASCII only.
    ascii: bool,
    global: bool,
    text: JsString,
}

impl Plain {
    /// Looks at a call without doing anything that a function could notice.
    fn of(
        this: &JsValue,
        arguments: &[JsValue],
        known: &Known,
        context: &mut Context,
    ) -> JsResult<Option<Self>> {
        let (_, prototype, rests_on, _) = known;
        let Some(regexp) = this.as_object() else { return Ok(None) };
        let Some(text) = arguments.get_or_undefined(0).as_string() else { return Ok(None) };
        let Ok(inner) = JsRegExp::from_object(regexp.clone()) else { return Ok(None) };
        let is_itself = regexp.prototype().as_ref().is_some_and(|own| JsObject::equals(own, prototype))
            // `lastIndex`, which may be frozen, is the only property that every expression has.
            && regexp.own_property_keys(context)?.len() == 1
            && regexp
                .borrow()
                .properties()
                .get(&js_string!("lastIndex").into())
                .is_some_and(|property| property.writable() == Some(true));
        let is_known = |(name, was): &(JsString, JsObject)| {
            let now = slot(prototype, &name.clone().into());
            now.is_some_and(|now| JsObject::equals(&now, was))
        };
        if !is_itself || !rests_on.iter().all(is_known) {
            return Ok(None);
        }
        let flags = inner.flags(context)?;
        if !flags.bytes().all(|flag| matches!(flag, b'g' | b'i' | b'm' | b's')) {
            return Ok(None);
        }
        let source = as_written(&inner.source(context)?);
        let Some(regex) = compiled(&source, &flags) else { return Ok(None) };
        let (ascii, global) = (speaks_ascii(&source), flags.contains('g'));
        Ok(Some(Self { regexp, regex, ascii, global, text }))
    }

    /// The matches from the start of the text, as a loop over `exec` with the flag `g` finds them; no
    /// more than `most`.
    fn matches(&self, most: usize) -> Vec<regress::Match> {
        match self.text.as_str().variant() {
            JsStrVariant::Latin1(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if self.ascii && bytes.is_ascii() => {
                    self.regex.find_iter_ascii(text).take(most).collect()
                }
                _ => {
                    let units: Vec<u16> = bytes.iter().map(|&byte| u16::from(byte)).collect();
                    self.regex.find_from_ucs2(&units, 0).take(most).collect()
                }
            },
            JsStrVariant::Utf16(units) => self.regex.find_from_ucs2(units, 0).take(most).collect(),
        }
    }

    /// Such a loop leaves `lastIndex` at 0.
    fn rewind(&self, context: &mut Context) -> JsResult<()> {
        self.regexp.set(js_string!("lastIndex"), 0, true, context).map(drop)
    }

    fn slice(&self, range: Range<usize>) -> JsString {
        self.text.get_expect(range)
    }

    fn capture(&self, range: Option<Range<usize>>) -> JsValue {
        range.map_or_else(JsValue::undefined, |range| self.slice(range).into())
    }
}

/// `RegExp.prototype[Symbol.match]`.
fn match_all(
    this: &JsValue,
    arguments: &[JsValue],
    known: &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    let plain = Plain::of(this, arguments, known, context)?;
    let Some(plain) = plain.filter(|plain| plain.global) else {
        return known.0.call(this, arguments, context);
    };
    plain.rewind(context)?;
    let found = plain.matches(usize::MAX);
    if found.is_empty() {
        return Ok(JsValue::null());
    }
    let found = found.into_iter().map(|found| plain.slice(found.range()).into());
    Ok(JsArray::from_iter(found, context).into())
}

/// `RegExp.prototype[Symbol.replace]`.
fn replace_all(
    this: &JsValue,
    arguments: &[JsValue],
    known: &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    let by = arguments.get_or_undefined(1);
    let (function, text) = (by.as_callable(), by.as_string());
    let plain = match function.is_some() || text.is_some() {
        true => Plain::of(this, arguments, known, context)?,
        false => None,
    };
    let Some(plain) = plain.filter(|plain| plain.global) else {
        return known.0.call(this, arguments, context);
    };
    plain.rewind(context)?;
    let found = plain.matches(usize::MAX);
    if found.is_empty() {
        return Ok(plain.text.into());
    }
    // A dollar stands for parts of the match.
    if let Some(text) = text.as_ref().filter(|text| text.as_str().contains(b'$')) {
        return substitution::replaced(&plain.text, text, &found).map(JsValue::from);
    }
    let mut by = Vec::with_capacity(if function.is_some() { found.len() } else { 1 });
    if let Some(function) = function {
        for found in &found {
            let mut arguments = vec![plain.slice(found.range()).into()];
            arguments.extend(found.captures.iter().map(|range| plain.capture(range.clone())));
            arguments.push(found.start().into());
            arguments.push(plain.text.clone().into());
            let value = function.call(&JsValue::undefined(), &arguments, context)?;
            by.push(value.to_string(context)?);
        }
    } else {
        by.extend(text);
    }
    let text = plain.text.as_str();
    let mut parts: Vec<JsStr<'_>> = Vec::with_capacity(2 * found.len() + 1);
    let mut rest = 0;
    for (at, found) in found.iter().enumerate() {
        parts.push(text.get_expect(rest..found.start()));
        parts.extend(by.get(at).or_else(|| by.first()).map(JsString::as_str));
        rest = found.end();
    }
    parts.push(text.get_expect(rest..text.len()));
    Ok(JsString::concat_array(&parts).into())
}

/// `RegExp.prototype[Symbol.split]`.
fn split(
    this: &JsValue,
    arguments: &[JsValue],
    known: &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    let (original, prototype, _, species) = known;
    // An expression is copied by its constructor, unless it says otherwise.
    let constructor = context.intrinsics().constructors().regexp().constructor();
    let most = most(arguments.get_or_undefined(1), context)?;
    let usual = most.is_some()
        && slot(prototype, &JsSymbol::r#match().into()).is_some()
        && slot(&constructor, &JsSymbol::species().into())
            .is_some_and(|now| JsObject::equals(&now, species));
    let plain = if usual { Plain::of(this, arguments, known, context)? } else { None };
    let Some(plain) = plain else { return original.call(this, arguments, context) };
    let length = plain.text.len();
    let most = most.unwrap_or_default();
    // Each match gives a part, but one without characters where another one ended, or the text begins.
    let found = plain.matches(most.saturating_mul(2).saturating_add(2));
    let mut parts: Vec<JsValue> = Vec::with_capacity(found.len() + 1);
    if length == 0 {
        // Nothing is left of an empty text that matches.
        parts.extend((found.is_empty() && most > 0).then(|| plain.text.clone().into()));
        return Ok(JsArray::from_iter(parts, context).into());
    }
    let mut rest = 0;
    for found in found.iter().filter(|found| found.start() < length) {
        if found.end() == rest {
            continue;
        }
        parts.push(plain.slice(rest..found.start()).into());
        parts.extend(found.captures.iter().map(|range| plain.capture(range.clone())));
        rest = found.end();
    }
    parts.push(plain.slice(rest..length).into());
    parts.truncate(most);
    Ok(JsArray::from_iter(parts, context).into())
}

/// How many parts `split` is to give at most, as its second argument says. `None` for what is no number,
/// since to make one of it may run code.
pub(super) fn most(limit: &JsValue, context: &mut Context) -> JsResult<Option<usize>> {
    if limit.is_undefined() {
        return Ok(Some(usize::MAX));
    }
    let number = if limit.is_number() { Some(limit.to_u32(context)?) } else { None };
    Ok(number.map(|number| usize::try_from(number).unwrap_or(usize::MAX)))
}

/// The text of an expression. The engine gives it with a backslash put before each slash, also before
/// those that had one: `/\\//` has the source `\\\\/` there, which is another expression.
fn as_written(source: &str) -> String {
    source.replace("\\/", "/")
}

/// The getter of `source`, with a backslash before those slashes only that would end a literal.
fn source(
    this: &JsValue,
    arguments: &[JsValue],
    original: &JsObject,
    context: &mut Context,
) -> JsResult<JsValue> {
    let given = original.call(this, arguments, context)?;
    let Some(text) = given.as_string().filter(|text| text.as_str().contains(b'/')) else {
        return Ok(given);
    };
    let (mut units, mut escaped, mut in_class) = (Vec::with_capacity(text.len()), false, false);
    let all: Vec<u16> = text.iter().collect();
    for (at, &unit) in all.iter().enumerate() {
        let char = u8::try_from(unit).unwrap_or_default();
        // The backslash that was put before a slash.
        if char == b'\\' && all.get(at + 1) == Some(&u16::from(b'/')) {
            continue;
        }
        if char == b'/' && !escaped && !in_class {
            units.push(u16::from(b'\\'));
        }
        units.push(unit);
        match char {
            b'[' if !escaped => in_class = true,
            b']' if !escaped => in_class = false,
            _ => {}
        }
        escaped = char == b'\\' && !escaped;
    }
    Ok(JsString::from(units.as_slice()).into())
}

/// Whether an expression of ASCII characters has no escape that may stand for another character: the
/// matcher's way through ASCII text goes wrong with those.
fn speaks_ascii(source: &str) -> bool {
    let mut bytes = source.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'\\'
            && !bytes.next().is_some_and(|escaped| {
                escaped.is_ascii_punctuation() || b"wWsSdDbBnrtfv".contains(&escaped)
            })
        {
            return false;
        }
    }
    true
}

/// A compiled expression with its source and flags.
type Compiled = (String, String, Rc<Regex>);

thread_local! {
    /// Expressions compiled lately, most recently used first. A literal is compiled by the engine
    /// at each evaluation; here once.
    static COMPILED: RefCell<Vec<Compiled>> = const { RefCell::new(Vec::new()) };
}

/// The matcher of an expression. `None` when it has something that only the engine's methods know:
/// characters beyond ASCII, named groups, great length.
fn compiled(source: &str, flags: &str) -> Option<Rc<Regex>> {
    let names_groups =
        || source.match_indices("(?<").any(|(at, _)| !source[at + 3..].starts_with(['=', '!']));
    if source.len() > limits::PATTERN_BYTES || !source.is_ascii() || names_groups() {
        return None;
    }
    COMPILED.with_borrow_mut(|compiled| {
        let known = |(known, with, _): &Compiled| known == source && with == flags;
        match compiled.iter().position(known) {
            Some(at) => compiled[..=at].rotate_right(1),
            None => {
                let flags_here = regress::Flags::from(flags);
                let regex = Regex::from_unicode(source.chars().map(u32::from), flags_here).ok()?;
                compiled.truncate(limits::PATTERNS - 1);
                compiled.insert(0, (source.to_owned(), flags.to_owned(), Rc::new(regex)));
            }
        }
        compiled.first().map(|(_, _, regex)| Rc::clone(regex))
    })
}
