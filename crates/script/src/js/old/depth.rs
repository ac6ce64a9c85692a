//! Too much recursion that can be caught.
//!
//! The engine's own limit ends a call in a way that no `catch` sees. Where a text has a `catch`, its
//! functions that may call themselves, directly or over one another, begin with a call of
//! [`DEEP`], which throws a little before the limit. Nothing else is asked to pay for it.

use std::collections::{BTreeSet, HashMap, HashSet};

use boa_engine::object::FunctionObjectBuilder;
use boa_engine::property::PropertyKey;
use boa_engine::{Context, JsNativeError, JsObject, JsResult, JsString, JsValue, NativeFunction};

use super::text::Edit;
use super::tokens::{Kind, Tokens};
use crate::js::method::put_method;
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
    let (mentions, by_themselves) = mentions(tokens, &functions);
    for (at, function) in functions.iter().enumerate() {
        if by_themselves[at] || reaches_itself(at, &mentions) {
            // A directive without a semicolon needs one.
            let at = after_directives(tokens, function.body.0);
            edits.push(Edit::insert(at, format!(";{DEEP}();")));
        }
    }
}

/// Which functions each one mentions, and which mention themselves as `arguments.callee`. The
/// functions are in the order in which they begin.
fn mentions(tokens: &Tokens<'_>, functions: &[Function<'_>]) -> (Vec<BTreeSet<usize>>, Vec<bool>) {
    let mut named: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, function) in functions.iter().enumerate().filter(|(_, one)| !one.name.is_empty()) {
        named.entry(function.name).or_default().push(at);
    }
    let mut mentions = vec![BTreeSet::new(); functions.len()];
    let mut parents = vec![None; functions.len()];
    let mut seen = HashSet::new();
    let mut by_themselves = vec![false; functions.len()];
    // The functions around a token, the inmost last.
    let (mut around, mut next): (Vec<usize>, usize) = (Vec::new(), 0);
    for at in 0..tokens.list.len() {
        while functions.get(next).is_some_and(|function| function.body.0 <= at) {
            parents[next] = around.last().copied();
            around.push(next);
            next += 1;
        }
        while around.last().is_some_and(|&last| functions[last].body.1 <= at) {
            around.pop();
        }
        let word = tokens.word(at);
        if tokens.kind(at) != Some(Kind::Word) {
            continue;
        }
        let Some(&inmost) = around.last() else { continue };
        // Once for each name in a function, however often it is there and however many have it.
        if let Some(others) = named.get(word).filter(|_| seen.insert((inmost, word))) {
            mentions[inmost].extend(others);
        }
        by_themselves[inmost] |= word == "callee";
    }
    // What a function mentions those around it do; they begin before it.
    for one in (0..functions.len()).rev() {
        if let Some(parent) = parents[one] {
            let own = mentions[one].clone();
            mentions[parent].extend(own);
        }
    }
    (mentions, by_themselves)
}

fn reaches_itself(from: usize, mentions: &[BTreeSet<usize>]) -> bool {
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
        "if" | "for" | "while" | "with" | "switch" | "catch" => None,
        "each" if before == "for" => None,
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
