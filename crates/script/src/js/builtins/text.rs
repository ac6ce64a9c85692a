//! Methods of texts that the engine does by looking at every place of the text one by one, or from
//! its start: `split` by a text, `indexOf`, `lastIndexOf`, `includes`, and letters of ASCII in the
//! other case.
//!
//! Only for texts, with arguments that are texts and numbers: to make one of anything else may run
//! code, so it goes to the engine's own method.

use std::borrow::Cow;

use boa_engine::object::builtins::JsArray;
use boa_engine::string::{JsStr, JsStrVariant};
use boa_engine::{Context, JsArgs, JsObject, JsResult, JsString, JsValue, JsVariant};
use memchr::memmem;

use super::arrays_garbage as garbage;
use crate::js::method::{Method, replace};
use crate::js::regexp::most;
use crate::limits;

pub(super) fn install(context: &mut Context) -> JsResult<()> {
    let prototype = context.intrinsics().constructors().string().prototype();
    let methods: [(&str, usize, Method<JsObject>); 6] = [
        ("split", 2, split),
        ("indexOf", 1, index_of),
        ("lastIndexOf", 1, last_index_of),
        ("includes", 1, includes),
        ("toLowerCase", 0, to_lower_case),
        ("toUpperCase", 0, to_upper_case),
    ];
    for (name, length, method) in methods {
        replace(&prototype, (name, length), method, |original| original, context)?;
    }
    Ok(())
}

/// What is looked for, in the width of the text that it is looked for in.
enum Search<'a> {
    Narrow(&'a [u8], Cow<'a, [u8]>),
    Wide(&'a [u16], Cow<'a, [u16]>),
    /// The text has no character that is looked for.
    Nowhere,
}

impl<'a> Search<'a> {
    fn new(text: JsStr<'a>, what: JsStr<'a>) -> Self {
        match (text.variant(), what.variant()) {
            (JsStrVariant::Latin1(text), JsStrVariant::Latin1(what)) => {
                Self::Narrow(text, Cow::Borrowed(what))
            }
            (JsStrVariant::Utf16(text), JsStrVariant::Utf16(what)) => {
                Self::Wide(text, Cow::Borrowed(what))
            }
            (JsStrVariant::Latin1(text), JsStrVariant::Utf16(what)) => {
                let narrow: Option<Vec<u8>> =
                    what.iter().map(|&unit| u8::try_from(unit).ok()).collect();
                narrow.map_or(Self::Nowhere, |what| Self::Narrow(text, Cow::Owned(what)))
            }
            (JsStrVariant::Utf16(text), JsStrVariant::Latin1(what)) => {
                Self::Wide(text, what.iter().map(|&byte| u16::from(byte)).collect())
            }
        }
    }

    /// The first place from `start` on.
    fn first(&self, start: usize) -> Option<usize> {
        match self {
            Self::Narrow(text, what) => {
                memmem::find(text.get(start..)?, what).map(|found| found + start)
            }
            Self::Wide(text, what) => wide(text, what, start),
            Self::Nowhere => None,
        }
    }

    /// The last place that is not after `start`.
    fn last(&self, start: usize) -> Option<usize> {
        match self {
            Self::Narrow(text, what) => {
                let end = (start + what.len()).min(text.len());
                memmem::rfind(&text[..end], what)
            }
            Self::Wide(text, what) => {
                let end = text.len().checked_sub(what.len())?;
                (0..=start.min(end)).rev().find(|&at| text[at..].starts_with(what))
            }
            Self::Nowhere => None,
        }
    }

    /// The places, none of which overlap; no more than `most`. What is looked for is not empty.
    fn all(&self, most: usize) -> Vec<usize> {
        match self {
            Self::Narrow(text, what) => memmem::find_iter(text, what).take(most).collect(),
            Self::Wide(text, what) => {
                let next = |found: &usize| wide(text, what, found + what.len());
                std::iter::successors(wide(text, what, 0), next).take(most).collect()
            }
            Self::Nowhere => Vec::new(),
        }
    }
}

fn wide(text: &[u16], what: &[u16], start: usize) -> Option<usize> {
    let Some(first) = what.first() else { return (start <= text.len()).then_some(start) };
    let mut start = start;
    loop {
        start += text.get(start..)?.iter().position(|unit| unit == first)?;
        if text[start..].starts_with(what) {
            return Some(start);
        }
        start += 1;
    }
}

/// A place in a text; `None` for values that are no numbers.
fn place(value: &JsValue, length: usize, missing: usize) -> Option<usize> {
    match value.variant() {
        JsVariant::Undefined => Some(missing),
        JsVariant::Integer32(number) => Some(usize::try_from(number).unwrap_or(0).min(length)),
        JsVariant::Float64(number) => Some((number as usize).min(length)),
        _ => None,
    }
}

fn index_of(
    this: &JsValue,
    arguments: &[JsValue],
    original: &JsObject,
    context: &mut Context,
) -> JsResult<JsValue> {
    let found = || {
        let (text, what) = (this.as_string()?, arguments.first()?.as_string()?);
        let start = place(arguments.get_or_undefined(1), text.len(), 0)?;
        Some(Search::new(text.as_str(), what.as_str()).first(start))
    };
    match found() {
        Some(found) => Ok(found.map_or_else(|| JsValue::from(-1), JsValue::from)),
        None => original.call(this, arguments, context),
    }
}

fn last_index_of(
    this: &JsValue,
    arguments: &[JsValue],
    original: &JsObject,
    context: &mut Context,
) -> JsResult<JsValue> {
    let found = || {
        let (text, what) = (this.as_string()?, arguments.first()?.as_string()?);
        let start = match arguments.get_or_undefined(1) {
            // No number is the end here.
            number if number.as_number().is_some_and(f64::is_nan) => text.len(),
            number => place(number, text.len(), text.len())?,
        };
        Some(Search::new(text.as_str(), what.as_str()).last(start))
    };
    match found() {
        Some(found) => Ok(found.map_or_else(|| JsValue::from(-1), JsValue::from)),
        None => original.call(this, arguments, context),
    }
}

fn includes(
    this: &JsValue,
    arguments: &[JsValue],
    original: &JsObject,
    context: &mut Context,
) -> JsResult<JsValue> {
    let found = || {
        let (text, what) = (this.as_string()?, arguments.first()?.as_string()?);
        let start = place(arguments.get_or_undefined(1), text.len(), 0)?;
        Some(Search::new(text.as_str(), what.as_str()).first(start))
    };
    match found() {
        Some(found) => Ok(JsValue::from(found.is_some())),
        None => original.call(this, arguments, context),
    }
}

/// `String.prototype.split` by a text that is not empty.
fn split(
    this: &JsValue,
    arguments: &[JsValue],
    original: &JsObject,
    context: &mut Context,
) -> JsResult<JsValue> {
    let by = arguments.first().and_then(JsValue::as_string).filter(|by| !by.is_empty());
    let most = most(arguments.get_or_undefined(1), context)?;
    let (Some(text), Some(by), Some(most)) = (this.as_string(), by, most) else {
        return original.call(this, arguments, context);
    };
    let found = Search::new(text.as_str(), by.as_str()).all(most);
    garbage::count((found.len() + 1) * limits::TEXT_PART_BYTES);
    let mut parts: Vec<JsValue> = Vec::with_capacity(found.len() + 1);
    let mut rest = 0;
    for found in found {
        parts.push(part(&text, rest, found));
        rest = found + by.len();
    }
    if parts.len() < most {
        parts.push(part(&text, rest, text.len()));
    }
    Ok(JsArray::from_iter(parts, context).into())
}

fn part(text: &JsString, start: usize, end: usize) -> JsValue {
    JsValue::from(text.slice(start, end))
}

fn to_lower_case(
    this: &JsValue,
    arguments: &[JsValue],
    original: &JsObject,
    context: &mut Context,
) -> JsResult<JsValue> {
    match ascii(this, str::to_ascii_lowercase) {
        Some(text) => Ok(text),
        None => original.call(this, arguments, context),
    }
}

fn to_upper_case(
    this: &JsValue,
    arguments: &[JsValue],
    original: &JsObject,
    context: &mut Context,
) -> JsResult<JsValue> {
    match ascii(this, str::to_ascii_uppercase) {
        Some(text) => Ok(text),
        None => original.call(this, arguments, context),
    }
}

/// A text of ASCII changed; `None` when it is another.
fn ascii(text: &JsValue, change: impl FnOnce(&str) -> String) -> Option<JsValue> {
    let text = text.as_string()?;
    let JsStrVariant::Latin1(bytes) = text.as_str().variant() else { return None };
    let text = bytes.is_ascii().then(|| std::str::from_utf8(bytes).ok()).flatten()?;
    Some(JsString::from(change(text)).into())
}
