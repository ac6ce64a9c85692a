//! `exec` and `test`, which look for one match from `lastIndex` on. The engine's own copy a text of
//! narrow characters for each match: with a long one a loop over them takes time that grows with its
//! square. Here what such a text becomes for the matcher is kept from one call to the next. All other
//! texts are the engine's, whose way is the shorter one.

use std::cell::RefCell;

use boa_engine::object::builtins::JsArray;
use boa_engine::string::JsStrVariant;
use boa_engine::{Context, JsResult, JsString, JsValue, JsVariant, js_string};
use regress::{Match, Regex};

use super::{Known, Plain};
use crate::js::build::plain as property;
use crate::limits;

/// `RegExp.prototype.exec`.
pub(super) fn exec(
    this: &JsValue,
    arguments: &[JsValue],
    known: &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    let Some((plain, start)) = long(this, arguments, known, context)? else {
        return known.0.call(this, arguments, context);
    };
    match plain.next(start, context)? {
        Some(found) => Ok(plain.list(&found, context)),
        None => Ok(JsValue::null()),
    }
}

/// `RegExp.prototype.test`: `exec` without the list.
pub(super) fn test(
    this: &JsValue,
    arguments: &[JsValue],
    known: &Known,
    context: &mut Context,
) -> JsResult<JsValue> {
    match long(this, arguments, known, context)? {
        Some((plain, start)) => Ok(plain.next(start, context)?.is_some().into()),
        None => known.0.call(this, arguments, context),
    }
}

/// A search through a long text of narrow characters, and where it begins.
fn long(
    this: &JsValue,
    arguments: &[JsValue],
    known: &Known,
    context: &mut Context,
) -> JsResult<Option<(Plain, usize)>> {
    let text = arguments.first().and_then(JsValue::as_string);
    let is_long = text.is_some_and(|text| {
        text.len() >= limits::SEARCHED_SHORT
            && matches!(text.as_str().variant(), JsStrVariant::Latin1(_))
    });
    let plain = if is_long { Plain::of(this, arguments, known, context)? } else { None };
    Ok(plain.and_then(|plain| plain.start().map(|start| (plain, start))))
}

impl Plain {
    /// Where the search begins; `None` when `lastIndex` is no number, so that reading it may run code.
    fn start(&self) -> Option<usize> {
        let property = self.regexp.borrow().properties().get(&js_string!("lastIndex").into())?;
        let last = match property.value()?.variant() {
            JsVariant::Integer32(number) => usize::try_from(number).unwrap_or(0),
            // Below zero and no number are 0, and fractions are cut.
            JsVariant::Float64(number) => number as usize,
            _ => return None,
        };
        Some(if self.global { last } else { 0 })
    }

    /// The next match; moves `lastIndex` as the flag `g` says.
    fn next(&self, start: usize, context: &mut Context) -> JsResult<Option<Match>> {
        let found = if start > self.text.len() { None } else { self.first(start) };
        if self.global {
            let last = found.as_ref().map_or(0, Match::end);
            self.regexp.set(js_string!("lastIndex"), last, true, context)?;
        }
        Ok(found)
    }

    fn first(&self, start: usize) -> Option<Match> {
        match self.text.as_str().variant() {
            JsStrVariant::Utf16(units) => self.regex.find_from_ucs2(units, start).next(),
            JsStrVariant::Latin1(bytes) if bytes.len() > limits::SEARCHED_LONG => {
                Form::of(bytes, self.ascii).first(&self.regex, start)
            }
            JsStrVariant::Latin1(bytes) => SEARCHED.with_borrow_mut(|searched| {
                let is_it = |known: &Searched| {
                    known.ascii == self.ascii
                        && matches!(known.text.as_str().variant(), JsStrVariant::Latin1(known)
                            if std::ptr::eq(known, bytes))
                };
                match searched.iter().position(is_it) {
                    Some(at) => searched[..=at].rotate_right(1),
                    None => {
                        searched.truncate(limits::SEARCHED - 1);
                        let (text, ascii) = (self.text.clone(), self.ascii);
                        let form = Form::of(bytes, ascii);
                        searched.insert(0, Searched { text, ascii, form });
                    }
                }
                searched.first()?.form.first(&self.regex, start)
            }),
        }
    }

    /// What `exec` gives.
    fn list(&self, found: &Match, context: &mut Context) -> JsValue {
        let mut items = Vec::with_capacity(found.captures.len() + 1);
        items.push(self.slice(found.range()).into());
        items.extend(found.captures.iter().map(|range| self.capture(range.clone())));
        let list = JsArray::from_iter(items, context);
        list.insert_property(js_string!("index"), property(found.start()));
        list.insert_property(js_string!("input"), property(self.text.clone()));
        // Expressions with names for their groups go to the engine.
        list.insert_property(js_string!("groups"), property(JsValue::undefined()));
        list.into()
    }
}

/// A text of narrow characters as the matcher takes it.
enum Form {
    Ascii(String),
    Units(Vec<u16>),
}

impl Form {
    /// `ascii`: whether the expression speaks of ASCII only.
    fn of(bytes: &[u8], ascii: bool) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) if ascii && bytes.is_ascii() => Self::Ascii(text.to_owned()),
            _ => Self::Units(bytes.iter().map(|&byte| u16::from(byte)).collect()),
        }
    }

    fn first(&self, regex: &Regex, start: usize) -> Option<Match> {
        match self {
            Self::Ascii(text) => regex.find_from_ascii(text, start).next(),
            Self::Units(units) => regex.find_from_ucs2(units, start).next(),
        }
    }
}

/// A text that was searched, which is the same one as long as it is kept here: no other is where it is.
struct Searched {
    text: JsString,
    ascii: bool,
    form: Form,
}

thread_local! {
    /// Texts searched lately, most recently first.
    static SEARCHED: RefCell<Vec<Searched>> = const { RefCell::new(Vec::new()) };
}
