//! The values of a group that come while its function runs: an iterator that asks for more.

use std::cell::RefCell;
use std::collections::VecDeque;

use boa_engine::object::FunctionObjectBuilder;
use boa_engine::property::{PropertyDescriptor, PropertyKey};
use boa_engine::{
    Context, JsObject, JsResult, JsString, JsSymbol, JsValue, NativeFunction, js_string,
};

use super::arguments::thrown;
use super::build;
use super::method::put_method;
use crate::{JsonText, limits};

/// Gives more values, when it has waited for them; `None` when there are no more.
pub(crate) type More = Box<dyn FnMut() -> Option<Vec<JsonText>>>;

/// The group under way.
#[derive(Default)]
struct Stream {
    waiting: VecDeque<JsonText>,
    more: Option<More>,
    /// Its number: iterators of groups that are over give nothing.
    number: u64,
    /// Bytes of values since garbage was last collected: texts do not count for the engine.
    volume: usize,
}

thread_local! {
    static STREAM: RefCell<Stream> = RefCell::default();
}

/// Begins a group.
pub(super) fn open(values: Vec<JsonText>, more: Option<More>) {
    STREAM.with_borrow_mut(|stream| {
        stream.number = stream.number.wrapping_add(1);
        (stream.waiting, stream.more) = (values.into(), more);
    });
}

/// Ends the group.
pub(super) fn close() {
    open(Vec::new(), None);
}

/// An iterator over the values of the group.
pub(super) fn iterator(context: &mut Context) -> JsValue {
    let number = STREAM.with_borrow(|stream| stream.number);
    let iterator = JsObject::with_object_proto(context.intrinsics());
    let next = NativeFunction::from_copy_closure(move |_, _, context| {
        let value = next(number, context)?;
        let step = JsObject::with_object_proto(context.intrinsics());
        let done = value.is_none();
        let members = [("value", value.unwrap_or_default()), ("done", done.into())];
        for (name, value) in members {
            step.insert_property(PropertyKey::from(JsString::from(name)), build::plain(value));
        }
        Ok(step.into())
    });
    put_method(&iterator, js_string!("next").into(), ("next", 0), next, context);
    let itself = NativeFunction::from_fn_ptr(|this, _, _| Ok(this.clone()));
    for name in ["length", "0"] {
        put_refusal(&iterator, name, context);
    }
    put_method(&iterator, JsSymbol::iterator().into(), ("[Symbol.iterator]", 0), itself, context);
    iterator.into()
}

/// Has a property throw that only a list has: it would be undefined, and the function would go on with
/// nothing.
fn put_refusal(iterator: &JsObject, name: &'static str, context: &mut Context) {
    let refuse = NativeFunction::from_copy_closure(move |_, _, _| {
        Err(thrown(&format!(
            "values is a stream and has no {name}: walk through it with for (const value of values)"
        )))
    });
    let get = FunctionObjectBuilder::new(context.realm(), refuse).build();
    let property = PropertyDescriptor::builder().get(get).enumerable(false).configurable(true);
    let key = PropertyKey::from(JsString::from(name));
    iterator.insert_property(key, property.build());
}

fn next(number: u64, context: &mut Context) -> JsResult<Option<JsValue>> {
    loop {
        let (value, more, full) = STREAM.with_borrow_mut(|stream| {
            if stream.number != number {
                return (None, None, false);
            }
            let Some(value) = stream.waiting.pop_front() else {
                return (None, stream.more.take(), false);
            };
            stream.volume += value.0.len();
            let full = stream.volume >= limits::STREAM_COLLECT_BYTES;
            if full {
                stream.volume = 0;
            }
            (Some(value), None, full)
        });
        if full {
            boa_gc::force_collect();
        }
        if let Some(JsonText(text)) = value {
            let value = build::value(&text, context);
            return value.map(Some).map_err(|error| thrown(&error.to_string()));
        }
        // It waits for the node: nothing is borrowed meanwhile.
        let Some(mut more) = more else { return Ok(None) };
        let Some(values) = more() else { return Ok(None) };
        STREAM.with_borrow_mut(|stream| {
            stream.waiting = values.into();
            stream.more = Some(more);
        });
    }
}
