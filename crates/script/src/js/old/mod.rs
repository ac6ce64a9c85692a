//! The syntax of old: what the engine of Riak (SpiderMonkey 1.8) ran and ECMAScript never had.
//!
//! A text that the parser refuses is looked through for it. Some of it is put into the words of today
//! (`for each`, functions that are an expression, conditional `catch`, `let` blocks, escapes that are
//! none), without moving a line; what moves a column is remembered. The rest is refused with a
//! sentence that names it and what to write.
//!
//! The meaning of a text that parses is never changed. Three things are put into one that has them: the
//! argument of a call of `eval` goes through a function that does the same with that text, in a text
//! with a `catch` functions that may call themselves look how deep they are, and a `length` that is set
//! has a computed name, which the engine sets rightly. A query's source of several statements becomes
//! the body of a function.

mod body;
mod depth;
mod lengths;
mod mends;
mod refusals;
#[cfg(test)]
mod tests;
mod text;
pub(crate) mod tokens;

use boa_engine::context::HostHooks;
use boa_engine::property::{PropertyDescriptor, PropertyKey};
use boa_engine::realm::Realm;
use boa_engine::{
    Context, JsArgs, JsNativeError, JsObject, JsResult, JsString, JsValue, NativeFunction, Script,
    Source,
};

pub(super) use body::{FORM as BODY, bodies};
pub(super) use depth::MESSAGE as TOO_DEEP;
pub(super) use mends::{EVALUATED, Place, VALUES, mend, prepared};
pub(super) use refusals::{refusal, stopped_at};
pub(super) use text::Mended;

use super::builtins::{self, dates};
use super::method::put_method;

/// Puts what mended texts call into a context.
pub(super) fn install(context: &mut Context) {
    let global = context.global_object();
    let key = |name: &str| PropertyKey::from(JsString::from(name));
    let evaluated = NativeFunction::from_fn_ptr(evaluated);
    put_method(&global, key(EVALUATED), (EVALUATED, 1), evaluated, context);
    let values = NativeFunction::from_fn_ptr(values);
    put_method(&global, key(VALUES), (VALUES, 1), values, context);
    depth::install(context);
}

/// The values of an object's properties, as `for each` goes through them. The function that does it
/// is made when it is first needed.
fn values(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    const SOURCE: &str =
        "(function* (object) { for (var name in object) { yield object[name]; } })";
    let function = context.eval(Source::from_bytes(SOURCE))?;
    let property = PropertyDescriptor::builder()
        .value(function.clone())
        .writable(true)
        .enumerable(false)
        .configurable(true);
    context.global_object().insert_property(JsString::from(VALUES), property.build());
    let wrong = || JsNativeError::typ().with_message("no function");
    let function = function.as_callable().ok_or_else(wrong)?;
    function.call(&JsValue::undefined(), arguments, context)
}

/// The text that `eval` is to have in the place of the one that it was given.
fn evaluated(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let given = arguments.get_or_undefined(0);
    let Some(text) = given.as_string().and_then(|text| text.to_std_string().ok()) else {
        return Ok(given.clone());
    };
    builtins::install_for(&text, context)?;
    let Some(mended) = mend(&text, Place::Statement) else { return Ok(given.clone()) };
    if parses(&text, context) || !parses(mended.text(), context) {
        return Ok(given.clone());
    }
    Ok(JsString::from(mended.text()).into())
}

fn parses(text: &str, context: &mut Context) -> bool {
    Script::parse(Source::from_bytes(text), None, context).is_ok()
}

/// What the engine asks of its host: what is wrong with a text that is given to `eval` or `Function`
/// is said in words of its author, local time is that of [`dates::LocalIsUtc`], and private fields of
/// arrays are noticed.
pub(super) struct Hooks;

impl HostHooks for Hooks {
    fn local_timezone_offset_seconds(&self, time: i64) -> i32 {
        dates::LocalIsUtc.local_timezone_offset_seconds(time)
    }

    fn ensure_can_add_private_element(
        &self,
        object: &JsObject,
        context: &mut Context,
    ) -> JsResult<()> {
        builtins::private_field(object, context);
        Ok(())
    }

    fn ensure_can_compile_strings(
        &self,
        _realm: Realm,
        parameters: &[JsString],
        body: &JsString,
        direct: bool,
        context: &mut Context,
    ) -> JsResult<()> {
        let Ok(body) = body.to_std_string() else { return Ok(()) };
        let is_eval = parameters.is_empty() && (direct || !mends::may_return(&body));
        let text = if is_eval {
            body
        } else {
            let names: Vec<String> = parameters.iter().map(JsString::to_std_string_lossy).collect();
            format!("(function({}) {{{body}\n}})", names.join(","))
        };
        // The text of a direct call has been mended already.
        let mended = if direct { None } else { mend(&text, Place::Statement) };
        if mended.is_none() && !refusals::suspects(&text) {
            return Ok(());
        }
        let Err(error) = Script::parse(Source::from_bytes(&text), None, context) else {
            return Ok(());
        };
        let message = super::errors::words_of(&error, context);
        let words = match (refusal(&message, &text), mended) {
            (Some(words), _) => words,
            (None, Some(mended)) if parses(mended.text(), context) => format!(
                "{message}: syntax of old is run in a query's own text and in that of a direct call \
                 of eval, but not in that of Function or of eval by another name"
            ),
            _ => return Ok(()),
        };
        // A place in what was put together here is none of the author's.
        let words = match words.split_once(" at line ") {
            Some((before, after)) if !is_eval => {
                let more =
                    after.split_once(": ").map_or(String::new(), |(_, more)| format!(": {more}"));
                format!("{before}{more}")
            }
            _ => words,
        };
        Err(JsNativeError::syntax().with_message(words).into())
    }
}
