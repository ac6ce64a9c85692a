//! The flags that SpiderMonkey's `replace`, `match` and `search` take beside a text:
//! `text.replace('-', ' ', 'g')`, `text.match('\\w*', 'g')`, `text.search('x', 'i')`.
//!
//! With flags the text to replace stands for itself; that of the other two is an expression, as it is
//! without. A pattern that is an object has its own flags, and a text that cannot be SpiderMonkey's
//! flags is not looked at, as the language of today says.

use boa_engine::{
    Context, JsArgs, JsObject, JsResult, JsString, JsSymbol, JsValue, NativeFunction, js_string,
};

use crate::js::method::put_method;

/// The methods: their names, lengths and the places of the flags among the arguments.
const METHODS: [(&str, usize, usize); 3] = [("replace", 2, 2), ("match", 1, 1), ("search", 1, 1)];

/// The flags that SpiderMonkey knew.
const FLAGS: [u8; 4] = *b"gimy";

/// Puts the methods here in the place of the engine's own.
pub(super) fn install(context: &mut Context) -> JsResult<()> {
    let prototype = context.intrinsics().constructors().string().prototype();
    for (at, (name, length, _)) in METHODS.into_iter().enumerate() {
        let original = prototype.get(JsString::from(name), context)?;
        let Some(original) = original.as_callable() else { continue };
        let function = NativeFunction::from_copy_closure_with_captures(method, (original, at));
        put_method(&prototype, JsString::from(name).into(), (name, length), function, context);
    }
    Ok(())
}

fn symbol(at: usize) -> JsSymbol {
    match at {
        0 => JsSymbol::replace(),
        1 => JsSymbol::r#match(),
        _ => JsSymbol::search(),
    }
}

fn method(
    this: &JsValue,
    arguments: &[JsValue],
    (original, at): &(JsObject, usize),
    context: &mut Context,
) -> JsResult<JsValue> {
    if this.is_null_or_undefined() {
        return original.call(this, arguments, context);
    }
    let pattern = arguments.get_or_undefined(0);
    if let Some(object) = pattern.as_object() {
        // What the engine's own does, without another call between.
        let method = object.get(symbol(*at), context)?;
        return match method.as_callable() {
            Some(method) if *at == 0 => {
                let arguments = [this.clone(), arguments.get_or_undefined(1).clone()];
                method.call(pattern, &arguments, context)
            }
            Some(method) => method.call(pattern, std::slice::from_ref(this), context),
            None => original.call(this, arguments, context),
        };
    }
    let (_, _, place) = METHODS[*at % METHODS.len()];
    let flags = arguments.get(place).and_then(JsValue::as_string);
    let Some(flags) = flags.filter(are_flags) else {
        return original.call(this, arguments, context);
    };
    let text = this.to_string(context)?;
    let source = pattern.to_string(context)?;
    let source = if *at == 0 { literally(&source) } else { source };
    let constructor = context.intrinsics().constructors().regexp().constructor();
    let regexp = constructor.construct(&[source.into(), flags.into()], None, context)?;
    let method = regexp.get(symbol(*at), context)?;
    let Some(method) = method.as_callable() else {
        return original.call(this, arguments, context);
    };
    let mut given = vec![JsValue::from(text)];
    given.extend((*at == 0).then(|| arguments.get_or_undefined(1).clone()));
    method.call(&regexp.into(), &given, context)
}

/// Whether a text is made of SpiderMonkey's flags, each at most once.
fn are_flags(text: &JsString) -> bool {
    let letters: Vec<u16> = text.iter().take(FLAGS.len() + 1).collect();
    let is_flag = |letter: &u16| FLAGS.iter().any(|flag| u16::from(*flag) == *letter);
    let once = |(at, letter): (usize, &u16)| !letters[..at].contains(letter);
    !letters.is_empty() && letters.iter().all(is_flag) && letters.iter().enumerate().all(once)
}

/// An expression that finds just this text.
fn literally(text: &JsString) -> JsString {
    let mut units = Vec::with_capacity(text.len());
    for unit in text.iter() {
        if u8::try_from(unit).is_ok_and(|byte| b"\\^$.*+?()[]{}|".contains(&byte)) {
            units.push(u16::from(b'\\'));
        }
        units.push(unit);
    }
    if units.is_empty() { js_string!("(?:)") } else { JsString::from(units.as_slice()) }
}
