//! Methods of ours in the place of the engine's own.

use boa_engine::object::FunctionObjectBuilder;
use boa_engine::property::{PropertyDescriptor, PropertyKey};
use boa_engine::{
    Context, JsError, JsNativeError, JsObject, JsResult, JsString, JsValue, NativeFunction,
};

/// Puts a method, with its name and length, where the engine has one of its own.
pub(super) fn put_method(
    object: &JsObject,
    key: PropertyKey,
    (name, length): (&str, usize),
    function: NativeFunction,
    context: &Context,
) {
    let function = FunctionObjectBuilder::new(context.realm(), function)
        .name(JsString::from(name))
        .length(length)
        .build();
    let property = PropertyDescriptor::builder()
        .value(function)
        .writable(true)
        .enumerable(false)
        .configurable(true);
    object.insert_property(key, property.build());
}

/// A method that has `T` at hand beside its arguments.
pub(super) type Method<T> = fn(&JsValue, &[JsValue], &T, &mut Context) -> JsResult<JsValue>;

/// Puts a method, with its name and number of parameters, in the place of the engine's own; what it
/// has at hand is made of that.
pub(super) fn replace<T: boa_gc::Trace + 'static>(
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
pub(super) fn method_of(object: &JsObject, key: &PropertyKey) -> Option<JsObject> {
    object.borrow().properties().get(key)?.value()?.as_object()
}

pub(super) fn missing(name: &str) -> JsError {
    JsNativeError::typ().with_message(format!("{name} is not as expected")).into()
}
