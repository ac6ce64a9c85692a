//! Too much recursion that can be caught.
//!
//! The engine's own limit ends a call in a way that no `catch` sees. Where a text has a `catch`, its
//! functions that may call themselves, directly or over one another, begin with a call of
//! [`DEEP`], which throws a little before the limit. Nothing else is asked to pay for it.

use boa_engine::object::FunctionObjectBuilder;
use boa_engine::property::PropertyKey;
use boa_engine::{Context, JsNativeError, JsObject, JsResult, JsString, JsValue, NativeFunction};

use super::text::Edit;
use super::tokens::{Kind, Tokens};
use crate::js::globals::put_method;
use crate::limits;

/// The name of the function that throws.
const DEEP: &str = "__mapring_deep";

/// What it throws.
pub(in crate::js) const MESSAGE: &str = "too much recursion";

/// Puts the function into a context.
pub(super) fn install(context: &mut Context) {
    let nothing = NativeFunction::from_fn_ptr(|_, _, _| Ok(JsValue::undefined()));
    let nothing: JsObject = FunctionObjectBuilder::new(context.realm(), nothing).build().into();
    let deep = NativeFunction::from_copy_closure_with_captures(deep, nothing);
    let key = PropertyKey::from(JsString::from(DEEP));
    put_method(&context.global_object(), key, (DEEP, 0), deep, context);
}

/// Throws when the calls are nested nearly as deeply as they may be: there has to be room for what
/// catches it. That shows in a call under a lower limit, as the engine does not tell its depth.
fn deep(
    _: &JsValue,
    _: &[JsValue],
    nothing: &JsObject,
    context: &mut Context,
) -> JsResult<JsValue> {
    let limit = context.runtime_limits().recursion_limit();
    let lower = limit.saturating_sub(limits::CALLS_LEFT.min(limit / 4));
    context.runtime_limits_mut().set_recursion_limit(lower);
    let result = nothing.call(&JsValue::undefined(), &[], context);
    context.runtime_limits_mut().set_recursion_limit(limit);
    match result {
        Err(error) if error.as_engine().is_some() => {
            Err(JsNativeError::range().with_message(MESSAGE).into())
        }
        other => other,
    }
}

/// A function of a text.
struct Function<'a> {
    name: &'a str,
    /// The braces of its body.
    body: (usize, usize),
}

/// Makes the functions that may call themselves begin with [`DEEP`], in a text that has a `catch`.
pub(super) fn watch(tokens: &Tokens<'_>, edits: &mut Vec<Edit>) {
    if !(0..tokens.list.len()).any(|at| tokens.is(at, "catch")) {
        return;
    }
    let functions: Vec<Function<'_>> = (0..tokens.list.len())
        .filter_map(|at| function(tokens, at))
        .take(limits::WATCHED)
        .collect();
    // Which functions each one mentions.
    let mentions = |of: &Function<'_>| -> Vec<usize> {
        let (first, last) = of.body;
        let named = |name: &str| {
            (first..last).any(|at| tokens.word(at) == name && tokens.kind(at) == Some(Kind::Word))
        };
        (0..functions.len())
            .filter(|&other| !functions[other].name.is_empty() && named(functions[other].name))
            .collect()
    };
    let mentions: Vec<Vec<usize>> = functions.iter().map(mentions).collect();
    for (at, function) in functions.iter().enumerate() {
        let by_itself = (function.body.0..function.body.1).any(|at| tokens.word(at) == "callee");
        if by_itself || reaches_itself(at, &mentions) {
            // A directive without a semicolon needs one.
            let at = after_directives(tokens, function.body.0);
            edits.push(Edit::insert(at, format!(";{DEEP}();")));
        }
    }
}

fn reaches_itself(from: usize, mentions: &[Vec<usize>]) -> bool {
    let mut seen = vec![false; mentions.len()];
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for &next in &mentions[at] {
            if next == from {
                return true;
            }
            if !std::mem::replace(&mut seen[next], true) {
                open.push(next);
            }
        }
    }
    false
}

/// The function whose body begins with the brace here, unless it is a generator.
fn function<'a>(tokens: &Tokens<'a>, open: usize) -> Option<Function<'a>> {
    let close = tokens.partner(open).filter(|&close| close > open && tokens.word(open) == "{")?;
    let body = (open, close);
    let before = open.checked_sub(1)?;
    let head = match tokens.word(before) {
        "=>" => {
            let last = before.checked_sub(1)?;
            let first = if tokens.word(last) == ")" { tokens.partner(last)? } else { last };
            return Some(Function { name: assigned(tokens, first), body });
        }
        ")" => tokens.partner(before)?.checked_sub(1)?,
        _ => return None,
    };
    let before = head.checked_sub(1).map_or("", |before| tokens.word(before));
    match tokens.word(head) {
        "if" | "for" | "while" | "with" | "switch" | "catch" | "each" => None,
        "function" => Some(Function { name: assigned(tokens, head), body }),
        name if tokens.kind(head) == Some(Kind::Word) && before != "*" => {
            Some(Function { name, body })
        }
        _ => None,
    }
}

/// The name that a value which begins here is given: `name = …`, `name: …`.
fn assigned<'a>(tokens: &Tokens<'a>, at: usize) -> &'a str {
    let Some(name) = at.checked_sub(2) else { return "" };
    let is_name =
        ["=", ":"].contains(&tokens.word(at - 1)) && tokens.kind(name) == Some(Kind::Word);
    if is_name { tokens.word(name) } else { "" }
}

/// The byte after a brace and the directives that follow it, such as `'use strict'`.
fn after_directives(tokens: &Tokens<'_>, open: usize) -> usize {
    let mut at = open;
    while tokens.kind(at + 1) == Some(Kind::Text) {
        let ends = match tokens.word(at + 2) {
            ";" => at + 2,
            "}" => at + 1,
            _ if tokens.list.get(at + 2).is_some_and(|token| token.new_line) => at + 1,
            _ => break,
        };
        at = ends;
    }
    tokens.end(at)
}
