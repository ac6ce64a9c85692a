//! What `RegExp` says of the last match: `RegExp.$1` to `RegExp.$9`, `lastMatch` (`$&`), `lastParen`
//! (`$+`), `leftContext` (`` $` ``), `rightContext` (`$'`) and `input` (`$_`).
//!
//! Only a context in which a text names them keeps them: there every search goes through `exec`, as
//! the engine has it, and `exec` remembers what it found. All others lose nothing by it.

use std::sync::LazyLock;

use boa_engine::object::FunctionObjectBuilder;
use boa_engine::object::builtins::JsArray;
use boa_engine::property::PropertyDescriptor;
use boa_engine::{Context, JsObject, JsResult, JsString, JsValue, NativeFunction, js_string};
use regex::Regex;

use crate::js::build::plain;
use crate::js::method::put_method;

/// Where the last match is remembered: a list of what was found, and its place and text.
const FOUND: &str = "found";

/// Each name, and the number of the capture that it stands for, or what else it is.
const NAMES: [(&str, What); 21] = [
    ("$1", What::Capture(1)),
    ("$2", What::Capture(2)),
    ("$3", What::Capture(3)),
    ("$4", What::Capture(4)),
    ("$5", What::Capture(5)),
    ("$6", What::Capture(6)),
    ("$7", What::Capture(7)),
    ("$8", What::Capture(8)),
    ("$9", What::Capture(9)),
    ("$&", What::Capture(0)),
    ("lastMatch", What::Capture(0)),
    ("$+", What::LastCapture),
    ("lastParen", What::LastCapture),
    ("$`", What::Before),
    ("leftContext", What::Before),
    ("$'", What::After),
    ("rightContext", What::After),
    ("$_", What::Input),
    ("input", What::Input),
    ("$*", What::Multiline),
    ("multiline", What::Multiline),
];

#[derive(Debug, Clone, Copy)]
enum What {
    Capture(usize),
    LastCapture,
    Before,
    After,
    Input,
    Multiline,
}

/// Whether a text names something of the last match, or may.
pub(super) fn is_named(text: &str) -> bool {
    static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"RegExp\s*(\[|\.\s*(\$|last|leftC|rightC|input\b|multiline\b))").ok()
    });
    // Nearly all texts have nothing of it.
    text.contains("RegExp") && NAMED.as_ref().is_some_and(|named| named.is_match(text))
}

/// Makes a context keep it from now on.
pub(super) fn keep(context: &mut Context) -> JsResult<()> {
    let regexp = context.intrinsics().constructors().regexp();
    let (prototype, constructor) = (regexp.prototype(), regexp.constructor());
    if constructor.has_own_property(js_string!("$1"), context)? {
        return Ok(());
    }
    let exec = prototype.get(js_string!("exec"), context)?;
    let Some(exec) = exec.as_callable() else { return Ok(()) };
    let state = JsObject::with_null_proto();
    for (at, (name, _)) in NAMES.iter().enumerate() {
        let get = NativeFunction::from_copy_closure_with_captures(read, (state.clone(), at));
        let get =
            FunctionObjectBuilder::new(context.realm(), get).name(JsString::from(*name)).build();
        // An assignment does nothing.
        let set = NativeFunction::from_fn_ptr(|_, _, _| Ok(JsValue::undefined()));
        let set = FunctionObjectBuilder::new(context.realm(), set).build();
        let property = PropertyDescriptor::builder().get(get).set(set);
        let property = property.enumerable(false).configurable(true);
        constructor.insert_property(JsString::from(*name), property.build());
    }
    let remember = NativeFunction::from_copy_closure_with_captures(remember, (exec, state));
    put_method(&prototype, js_string!("exec").into(), ("exec", 1), remember, context);
    Ok(())
}

/// `RegExp.prototype.exec` that remembers what it finds.
fn remember(
    this: &JsValue,
    arguments: &[JsValue],
    (exec, state): &(JsObject, JsObject),
    context: &mut Context,
) -> JsResult<JsValue> {
    let found = exec.call(this, arguments, context)?;
    if let Some(found) = found.as_object() {
        // A copy: a function may change the list that it gets.
        let length = found.get(js_string!("length"), context)?.to_length(context)?;
        let mut captures = Vec::new();
        for at in 0..length {
            captures.push(found.get(at, context)?);
        }
        for name in [js_string!("index"), js_string!("input")] {
            captures.push(found.get(name, context)?);
        }
        let copy = JsArray::from_iter(captures, context);
        state.insert_property(JsString::from(FOUND), plain(copy));
    }
    Ok(found)
}

/// What one of [`NAMES`] is now.
fn read(
    _: &JsValue,
    _: &[JsValue],
    (state, name): &(JsObject, usize),
    context: &mut Context,
) -> JsResult<JsValue> {
    let empty = || JsValue::from(js_string!(""));
    let what = NAMES.get(*name).map_or(What::Input, |(_, what)| *what);
    let found = state.get(JsString::from(FOUND), context)?;
    let found = match (what, found.as_object()) {
        (What::Multiline, _) => return Ok(JsValue::from(false)),
        (_, Some(found)) => found,
        (_, None) => return Ok(empty()),
    };
    let length = found.get(js_string!("length"), context)?.to_length(context)?;
    let captures = length.saturating_sub(2);
    let text = found.get(length - 1, context)?.to_string(context)?;
    let start = found.get(length - 2, context)?.to_length(context)?;
    let start = usize::try_from(start).unwrap_or(usize::MAX).min(text.len());
    let matched = found.get(0, context)?.to_string(context)?.len();
    let value = match what {
        What::Capture(at) if at as u64 >= captures => return Ok(empty()),
        What::Capture(at) => found.get(at, context)?,
        What::LastCapture if captures < 2 => return Ok(empty()),
        What::LastCapture => found.get(captures - 1, context)?,
        What::Before => text.get_expect(..start).into(),
        What::After => text.get_expect((start + matched).min(text.len())..).into(),
        What::Input => text.into(),
        What::Multiline => JsValue::from(false),
    };
    Ok(if value.is_undefined() { empty() } else { value })
}
