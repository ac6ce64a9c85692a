//! Lengths that are set.
//!
//! The engine (boa 0.22) remembers at each place of a text where a property with a name lies. For the
//! `length` of an array that is wrong when it is set: from the second time on the number is stored
//! and nothing else happens, no item goes, none is made room for, and no number is refused. By a
//! computed name it is right, so `a.length = n` becomes `a["length"] = n`.

use super::text::Edit;
use super::tokens::{Kind, Tokens};

const ASSIGNMENTS: [&str; 18] = [
    "=", "+=", "-=", "*=", "/=", "%=", "**=", "<<=", ">>=", ">>>=", "&=", "|=", "^=", "&&=", "||=",
    "??=", "++", "--",
];

/// Whether a text may set a length: much faster to say than where.
pub(super) fn may_be_set(text: &str) -> bool {
    let chain = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_$.[]()'\"+-*".contains(c);
    text.match_indices("length").any(|(at, word)| {
        let after = text[at + word.len()..].trim_start();
        let assigned = ASSIGNMENTS.iter().any(|sign| after.starts_with(sign));
        let compared = ["==", "=>"].iter().any(|sign| after.starts_with(sign));
        let commented = after.starts_with('/');
        let stepped = || {
            let before = text[..at].rfind(|c| !chain(c)).map_or(0, |end| end + 1);
            let before = text.get(before..at).unwrap_or_default();
            before.contains("++") || before.contains("--")
        };
        (assigned && !compared) || commented || stepped()
    })
}

/// Gives lengths that are set a computed name.
pub(super) fn compute(tokens: &Tokens<'_>, edits: &mut Vec<Edit>) {
    for at in 1..tokens.list.len() {
        if tokens.word(at) != "length" || tokens.word(at - 1) != "." {
            continue;
        }
        if ASSIGNMENTS.contains(&tokens.word(at + 1)) || is_stepped(tokens, at - 1) {
            edits.push(Edit::replace(tokens.start(at - 1), 1, "["));
            edits.push(Edit::replace(tokens.start(at), "length".len(), "\"length\"]"));
        }
    }
}

/// Whether `++` or `--` stands before what this point ends, and nothing of it follows.
fn is_stepped(tokens: &Tokens<'_>, point: usize) -> bool {
    if [".", "?.", "[", "("].contains(&tokens.word(point + 2)) {
        return false;
    }
    let mut at = point;
    while at > 0 {
        let before = at - 1;
        match (tokens.word(before), tokens.kind(before), tokens.partner(before)) {
            (")" | "]", _, Some(open)) if open < before => at = open,
            (_, Some(Kind::Word), _) => at = before,
            (".", _, _) => at = before,
            (word, _, _) => return ["++", "--"].contains(&word),
        }
    }
    false
}
