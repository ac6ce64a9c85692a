//! Dates: texts are read as V8 reads them, and local time is UTC wherever a worker runs.

mod fields;
mod format;
mod locale;
mod parse;
mod scan;

use boa_engine::context::HostHooks;
use boa_engine::object::FunctionObjectBuilder;
use boa_engine::object::builtins::JsDate;
use boa_engine::property::{PropertyDescriptor, PropertyKey};
use boa_engine::value::PreferredType;
use boa_engine::{
    Context, JsArgs, JsObject, JsResult, JsString, JsValue, NativeFunction, js_string,
};

use crate::js::method::put_method;

/// Local time is UTC: workers on all nodes must give the same, whatever their environments say.
#[derive(Debug)]
pub(in crate::js) struct LocalIsUtc;

impl HostHooks for LocalIsUtc {
    fn local_timezone_offset_seconds(&self, _: i64) -> i32 {
        0
    }
}

/// Puts a constructor here in the place of the engine's own, with a `parse` that reads what V8 reads.
pub(in crate::js) fn install(context: &mut Context) -> JsResult<()> {
    let standard = context.intrinsics().constructors().date();
    let (original, prototype) = (standard.constructor(), standard.prototype());
    let function = NativeFunction::from_copy_closure_with_captures(construct, original.clone());
    let constructor = FunctionObjectBuilder::new(context.realm(), function)
        .name(js_string!("Date"))
        .length(7)
        .constructor(true)
        .build();
    for key in original.own_property_keys(context)? {
        let property = original.borrow().properties().get(&key);
        if let Some(property) = property {
            constructor.insert_property(key, property);
        }
    }
    let parse = NativeFunction::from_fn_ptr(parse);
    put_method(&constructor, js_string!("parse").into(), ("parse", 1), parse, context);
    locale::install(&prototype, context);
    name_zone(&prototype, context)?;
    for (object, name) in [(context.global_object(), "Date"), (prototype, "constructor")] {
        let property = PropertyDescriptor::builder()
            .value(constructor.clone())
            .writable(true)
            .enumerable(false)
            .configurable(true);
        object.insert_property(PropertyKey::from(JsString::from(name)), property.build());
    }
    Ok(())
}

/// What V8 writes behind the distance from UTC; the language leaves it open.
const ZONE: &str = " (Coordinated Universal Time)";

/// The methods of `Date.prototype` whose texts end with the distance from UTC.
fn name_zone(prototype: &JsObject, context: &mut Context) -> JsResult<()> {
    for name in ["toString", "toTimeString"] {
        let original = prototype.get(JsString::from(name), context)?;
        let Some(original) = original.as_object() else { continue };
        let function = NativeFunction::from_copy_closure_with_captures(
            |this, _, original, context| with_zone(original.call(this, &[], context)?, context),
            original,
        );
        put_method(prototype, JsString::from(name).into(), (name, 0), function, context);
    }
    Ok(())
}

fn with_zone(text: JsValue, context: &mut Context) -> JsResult<JsValue> {
    let text = text.to_string(context)?;
    // There is no zone where there is no date.
    let has_zone = text.to_std_string_lossy().contains("GMT");
    Ok(if has_zone { js_string!(&text, &JsString::from(ZONE)) } else { text }.into())
}

/// `Date` as a constructor and as a function: the engine's own, but for texts.
fn construct(
    new_target: &JsValue,
    arguments: &[JsValue],
    original: &JsObject,
    context: &mut Context,
) -> JsResult<JsValue> {
    let Some(target) = new_target.as_object() else {
        return with_zone(original.call(&JsValue::undefined(), &[], context)?, context);
    };
    let [value] = arguments else {
        return original.construct(arguments, Some(&target), context).map(Into::into);
    };
    let is_date = value.as_object().is_some_and(|object| JsDate::from_object(object).is_ok());
    let mut value = value.clone();
    if !is_date {
        value = value.to_primitive(context, PreferredType::Default)?;
    }
    if let Some(text) = value.as_string() {
        value = time_of(&text);
    }
    original.construct(&[value], Some(&target), context).map(Into::into)
}

/// `Date.parse`.
fn parse(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    arguments.get_or_undefined(0).to_string(context).map(|text| time_of(&text))
}

fn time_of(text: &JsString) -> JsValue {
    parse::time_of(text.iter()).map_or_else(JsValue::nan, JsValue::from)
}
