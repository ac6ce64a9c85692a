//! Methods of the language that stand in the place of the engine's own.

mod arrays;
mod arrays_garbage;
mod arrays_sort;
pub(super) mod dates;
mod flags;
mod generics;
mod last_match;
mod numbers;
mod options;
mod text;

use boa_engine::property::PropertyKey;
use boa_engine::{
    Context, JsError, JsNativeError, JsObject, JsResult, JsString, JsValue, NativeFunction,
};

pub(super) use arrays::private_field;

use super::globals::put_method;

/// Puts the methods here in the place of the engine's own.
pub(super) fn install(context: &mut Context) -> JsResult<()> {
    arrays::install(context)?;
    arrays_sort::install(context)?;
    dates::install(context)?;
    numbers::install(context);
    text::install(context)?;
    flags::install(context)
}

/// Gives a context what only few texts need, if this is one of them.
pub(super) fn install_for(text: &str, context: &mut Context) -> JsResult<()> {
    if generics::are_named(text) {
        generics::install(context);
    }
    if last_match::is_named(text) { last_match::keep(context) } else { Ok(()) }
}

/// A method that has `T` at hand beside its arguments.
type Method<T> = fn(&JsValue, &[JsValue], &T, &mut Context) -> JsResult<JsValue>;

/// Puts a method, with its name and number of parameters, in the place of the engine's own; what it
/// has at hand is made of that.
fn replace<T: boa_gc::Trace + 'static>(
    object: &JsObject,
    (name, length): (&str, usize),
    method: Method<T>,
    known: impl FnOnce(JsObject) -> T,
    context: &Context,
) -> JsResult<()> {
    let key = PropertyKey::from(JsString::from(name));
    let original = method_of(object, &key).ok_or_else(|| missing(name))?;
    let function = NativeFunction::from_copy_closure_with_captures(method, known(original));
    put_method(object, key, (name, length), function, context);
    Ok(())
}

/// The object that is the value of an object's own property.
fn method_of(object: &JsObject, key: &PropertyKey) -> Option<JsObject> {
    object.borrow().properties().get(key)?.value()?.as_object()
}

fn missing(name: &str) -> JsError {
    JsNativeError::typ().with_message(format!("{name} is not as expected")).into()
}
