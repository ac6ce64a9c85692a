//! Sources of several statements, of which the last one gives the function.
//!
//! They become the body of a function that is called at once, so that their names are their own: all
//! phases of a query share what is global.

use super::text::{Edit, Mended};
use super::tokens::{Kind, Tokens};
use super::{Place, mends};
use crate::limits;

/// What stands around such a body.
pub(in crate::js) const FORM: (&str, &str) = ("(function () {\n", "\n})()");

/// The text with `return` before what may be its last statement, the likeliest first; once as it is
/// and once with its syntax of old mended. None of a text that is a single expression.
pub(in crate::js) fn bodies(text: &str) -> Vec<Mended> {
    let tokens = Tokens::of(text);
    let starts = last_statements(&tokens);
    if starts.is_empty() {
        return Vec::new();
    }
    let plain = mends::preparations(&tokens);
    let mended = mends::mends(&tokens, Place::Expression);
    let with = |edits: &[Edit], start: usize| {
        let mut edits = edits.to_vec();
        edits.push(Edit::insert(tokens.start(start), "return "));
        Mended::new(text, edits)
    };
    let bodies = starts.iter().filter_map(|&start| with(&plain, start));
    let mended = mended.iter().flat_map(|edits| {
        let with = &with;
        starts.iter().filter_map(move |&start| with(edits, start))
    });
    bodies.chain(mended).collect()
}

/// The first tokens of what may be the last statement, the last one first.
fn last_statements(tokens: &Tokens<'_>) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at < tokens.list.len() {
        if at > 0 && begins(tokens, at) {
            starts.push(at);
        }
        at = match tokens.partner(at) {
            Some(end) if end > at => end + 1,
            _ => at + 1,
        };
    }
    starts.into_iter().rev().take(limits::BODY_TRIES).collect()
}

fn begins(tokens: &Tokens<'_>, at: usize) -> bool {
    let goes_on = ["in", "instanceof", "of", "else", "catch", "finally", "while"];
    if tokens.word(at) == ";" || goes_on.contains(&tokens.word(at)) {
        return false;
    }
    let new_line = tokens.list.get(at).is_some_and(|token| token.new_line);
    let word = tokens.kind(at) == Some(Kind::Word);
    match tokens.word(at - 1) {
        ";" => true,
        // The end of a function's or a block's body.
        "}" => word || tokens.word(at) == "(",
        _ => new_line && word && tokens.ends_value(at - 1),
    }
}
