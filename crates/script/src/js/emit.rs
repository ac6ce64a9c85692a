//! Pairs of functions: what they emit, and what they return where results are grouped.

use std::cell::RefCell;

use boa_engine::string::JsStrVariant;
use boa_engine::{
    Context, JsArgs, JsError, JsObject, JsResult, JsString, JsValue, JsVariant, js_string,
};
use mapring_shuffle::key;

use super::arguments::{json, thrown};
use super::batch::{self, Way};
use super::plain::Plain;
use super::returned::ItemError;
use super::write::WriteError;
use crate::groups::no_pair;
use crate::json::write_js_number;
use crate::native::job::Given;
use crate::{Row, limits};

thread_local! {
    /// Where keys are written: most are copied from here or found to be known.
    static KEY: RefCell<Vec<u8>> = RefCell::default();
}

/// `emit(key, value)`.
pub(super) fn emit(
    _: &JsValue,
    arguments: &[JsValue],
    stringify: &JsObject,
    context: &mut Context,
) -> JsResult<JsValue> {
    let (key, value) = (arguments.get_or_undefined(0), arguments.get_or_undefined(1));
    match batch::way() {
        Way::None => return Err(thrown("emit: only a map and a reduce with \"group\" can emit")),
        Way::Rows => {
            let mut text = String::from("[");
            text.push_str(&json(key, stringify, context)?);
            text.push(',');
            text.push_str(&json(value, stringify, context)?);
            text.push(']');
            batch::spend(text.len())?;
            batch::push_row(Row::value(text));
        }
        way => group(way, key, value, stringify, context)?,
    }
    Ok(JsValue::undefined())
}

/// Takes a returned item where results are grouped: a list of a key and a value.
pub(super) fn take(
    way: Way,
    item: &JsValue,
    stringify: &JsObject,
    context: &mut Context,
) -> Result<(), ItemError> {
    let pair = item.as_object().filter(JsObject::is_array);
    let length = pair.as_ref().map(|pair| pair.get(js_string!("length"), context)).transpose()?;
    if let (Some(pair), Some(2.0)) = (pair, length.and_then(|length| length.as_number())) {
        let (key, value) = (pair.get(0u32, context)?, pair.get(1u32, context)?);
        return Ok(group(way, &key, &value, stringify, context)?);
    }
    let text = json(item, stringify, context)?;
    Err(ItemError::Other(no_pair(&text)))
}

fn group(
    way: Way,
    key: &JsValue,
    value: &JsValue,
    stringify: &JsObject,
    context: &mut Context,
) -> JsResult<()> {
    let mut bytes = KEY.take();
    bytes.clear();
    let taken = match way {
        Way::Strings(_) => write_string_key(key, &mut bytes, stringify, context),
        _ => write_key(key, &mut bytes, stringify, context),
    };
    let pushed = taken.and_then(|()| push(way, &bytes, value, stringify, context));
    KEY.set(bytes);
    pushed
}

fn push(
    way: Way,
    key: &[u8],
    value: &JsValue,
    stringify: &JsObject,
    context: &mut Context,
) -> JsResult<()> {
    let (Way::Keys(kind) | Way::Strings(kind)) = way else { return Ok(()) };
    if kind.keeps_values() {
        let mut plain = Plain::new(context, stringify, limits::FRAME_BYTES as u64);
        let (item, weight) = plain.item(value).map_err(unwritable)?;
        return batch::push_value(key, item.value, weight);
    }
    match value.as_number().filter(|number| kind.takes_numbers() && number.is_finite()) {
        Some(number) => batch::push_pair(key, Given::Number(number)),
        None => {
            let text = json(value, stringify, context)?;
            batch::push_pair(key, Given::Text(&text))
        }
    }
}

fn unwritable(error: WriteError) -> JsError {
    match error {
        WriteError::Js(error) => error,
        WriteError::Depth => thrown("the value is nested too deeply"),
        WriteError::Size => thrown("the value is too large"),
    }
}

fn write_key(
    value: &JsValue,
    out: &mut Vec<u8>,
    stringify: &JsObject,
    context: &mut Context,
) -> JsResult<()> {
    let mut writer = key::Writer::new(out);
    let written = match value.variant() {
        JsVariant::String(text) => writer.string(text_of(&text)),
        JsVariant::Integer32(number) => writer.number(f64::from(number)),
        JsVariant::Float64(number) => writer.number(number),
        JsVariant::Boolean(value) => writer.bool(value),
        JsVariant::Null | JsVariant::Undefined | JsVariant::Symbol(_) => writer.null(),
        JsVariant::Object(_) | JsVariant::BigInt(_) => {
            drop(writer);
            let text = json(value, stringify, context)?;
            return key::encode(&text, out).map_err(unfit);
        }
    };
    written.and_then(|()| writer.finish()).map_err(unfit)
}

/// A key that becomes a string whatever it is: of what is none, its canonical JSON.
fn write_string_key(
    value: &JsValue,
    out: &mut Vec<u8>,
    stringify: &JsObject,
    context: &mut Context,
) -> JsResult<()> {
    let text = match value.variant() {
        JsVariant::String(_) => return write_key(value, out, stringify, context),
        JsVariant::Integer32(number) => number.to_string(),
        JsVariant::Float64(number) => {
            let mut text = String::new();
            write_js_number(number, &mut text);
            text
        }
        _ => {
            write_key(value, out, stringify, context)?;
            let text = key::decode(out).map_err(unfit)?;
            out.clear();
            text
        }
    };
    let mut writer = key::Writer::new(out);
    writer.string(text.as_str()).and_then(|()| writer.finish()).map_err(unfit)
}

fn text_of(text: &JsString) -> key::Text<'_> {
    match text.as_str().variant() {
        JsStrVariant::Latin1(bytes) => key::Text::Latin1(bytes),
        JsStrVariant::Utf16(units) => key::Text::Utf16(units),
    }
}

fn unfit(error: mapring_types::Error) -> JsError {
    thrown(&error.to_string())
}
