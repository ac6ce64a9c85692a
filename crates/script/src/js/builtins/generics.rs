//! `Array.map(list, f)` and its kind: methods of lists and texts as functions of their own, which
//! SpiderMonkey had. They are made in contexts in which a text may name them, as that takes time.

use boa_engine::property::PropertyKey;
use boa_engine::{
    Context, JsArgs, JsNativeError, JsObject, JsResult, JsString, JsValue, NativeFunction,
};

use crate::js::method::put_method;

/// Methods of lists, with the lengths of the functions.
const OF_LISTS: [(&str, usize); 19] = [
    ("concat", 2),
    ("every", 2),
    ("filter", 2),
    ("forEach", 2),
    ("indexOf", 2),
    ("join", 2),
    ("lastIndexOf", 2),
    ("map", 2),
    ("pop", 1),
    ("push", 2),
    ("reduce", 2),
    ("reduceRight", 2),
    ("reverse", 1),
    ("shift", 1),
    ("slice", 3),
    ("some", 2),
    ("sort", 2),
    ("splice", 3),
    ("unshift", 2),
];

/// Methods of texts.
const OF_TEXTS: [(&str, usize); 20] = [
    ("charAt", 2),
    ("charCodeAt", 2),
    ("concat", 2),
    ("indexOf", 2),
    ("lastIndexOf", 2),
    ("localeCompare", 2),
    ("match", 2),
    ("replace", 3),
    ("search", 2),
    ("slice", 3),
    ("split", 2),
    ("substr", 3),
    ("substring", 3),
    ("toLocaleLowerCase", 1),
    ("toLocaleUpperCase", 1),
    ("toLowerCase", 1),
    ("toUpperCase", 1),
    ("trim", 1),
    ("trimLeft", 1),
    ("trimRight", 1),
];

/// Whether a text may call one of these.
pub(super) fn are_named(text: &str) -> bool {
    ["Array", "String"].iter().any(|kind| {
        let mut after =
            text.match_indices(kind).map(|(at, kind)| text[at + kind.len()..].trim_start());
        after.any(|after| after.starts_with('[') || after.strip_prefix('.').is_some_and(begins))
    })
}

/// Whether a text begins with the name of one of these.
fn begins(text: &str) -> bool {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
    OF_LISTS.iter().chain(&OF_TEXTS).any(|(name, _)| *name == &text[..end])
}

/// Puts the functions on `Array` and `String`, where there is nothing of that name.
pub(super) fn install(context: &mut Context) {
    let constructors = context.intrinsics().constructors();
    let (array, string) = (constructors.array(), constructors.string());
    let kinds = [
        ("Array", array.constructor(), array.prototype(), OF_LISTS.as_slice()),
        ("String", string.constructor(), string.prototype(), OF_TEXTS.as_slice()),
    ];
    for (kind, constructor, prototype, methods) in kinds {
        for &(name, length) in methods {
            let key = PropertyKey::from(JsString::from(name));
            if constructor.borrow().properties().get(&key).is_some() {
                continue;
            }
            let captured = (prototype.clone(), JsString::from(name), JsString::from(kind));
            let function = NativeFunction::from_copy_closure_with_captures(generic, captured);
            put_method(&constructor, key, (name, length), function, context);
        }
    }
}

/// Calls the method, as it is now, on the first argument.
fn generic(
    _: &JsValue,
    arguments: &[JsValue],
    (prototype, name, kind): &(JsObject, JsString, JsString),
    context: &mut Context,
) -> JsResult<JsValue> {
    let words = |what: &str| {
        let (kind, name) = (kind.to_std_string_lossy(), name.to_std_string_lossy());
        JsNativeError::typ().with_message(format!("{kind}.{name}: {what}"))
    };
    let this = arguments.get_or_undefined(0);
    if this.is_null_or_undefined() {
        return Err(words(&format!("the first argument is {}", this.display())).into());
    }
    let method = prototype.get(name.clone(), context)?;
    let method = method.as_callable().ok_or_else(|| words("there is no such method"))?;
    method.call(this, arguments.get(1..).unwrap_or_default(), context)
}
