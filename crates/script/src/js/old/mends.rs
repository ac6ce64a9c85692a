//! What is put into the words of today.

use super::text::{Edit, Mended};
use super::tokens::{Kind, Tokens};
use super::{depth, lengths};

/// The name of the function that the arguments of `eval` go through.
pub(in crate::js) const EVALUATED: &str = "__mapring_evaluated";

/// The name of the function that gives the values of an object.
pub(in crate::js) const VALUES: &str = "__mapring_values";

/// Where a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::js) enum Place {
    /// Where Riak's call has a function: a function without a name needs no parentheses.
    Expression,
    /// By itself.
    Statement,
}

/// The text with everything in it mended that can be; `None` when there is nothing.
pub(in crate::js) fn mend(text: &str, place: Place) -> Option<Mended> {
    Mended::new(text, mends(&Tokens::of(text), place)?)
}

/// As [`mend`]: what is done.
pub(super) fn mends(tokens: &Tokens<'_>, place: Place) -> Option<Vec<Edit>> {
    let mut edits = Vec::new();
    for at in 0..tokens.list.len() {
        // What does not go on as expected is left as it is.
        let _ = match (tokens.kind(at), tokens.word(at)) {
            (Some(Kind::Text), _) => escapes(tokens, at, &mut edits),
            (Some(Kind::Word), "for") => for_each(tokens, at, &mut edits),
            (Some(Kind::Word), "function") => closure(tokens, at, &mut edits),
            (Some(Kind::Word), "catch") => catches(tokens, at, &mut edits),
            (Some(Kind::Word), "let") => let_block(tokens, at, &mut edits),
            _ => None,
        };
    }
    if place == Place::Statement {
        anonymous(tokens, &mut edits);
    }
    if edits.is_empty() {
        return None;
    }
    prepare(tokens, &mut edits);
    Some(edits)
}

/// The text with what is done to one that parses, without changing its meaning: the arguments of
/// `eval` go through [`EVALUATED`], functions that may call themselves look how deep they are, and
/// lengths that are set have a computed name. `None` when there is nothing of this.
pub(in crate::js) fn prepared(text: &str) -> Option<Mended> {
    let named = ["eval", "catch"].iter().any(|word| text.contains(word));
    if !named && !lengths::may_be_set(text) {
        return None;
    }
    Mended::new(text, preparations(&Tokens::of(text)))
}

/// As [`prepared`]: what is done.
pub(super) fn preparations(tokens: &Tokens<'_>) -> Vec<Edit> {
    let mut edits = Vec::new();
    prepare(tokens, &mut edits);
    edits
}

fn prepare(tokens: &Tokens<'_>, edits: &mut Vec<Edit>) {
    calls_of_eval(tokens, edits);
    lengths::compute(tokens, edits);
    depth::watch(tokens, edits);
}

fn calls_of_eval(tokens: &Tokens<'_>, edits: &mut Vec<Edit>) {
    for at in 0..tokens.list.len() {
        let is_call = tokens.is(at, "eval") && tokens.word(at + 1) == "(";
        let is_defined = at > 0 && tokens.word(at - 1) == "function";
        let Some(end) = tokens.partner(at + 1).filter(|_| is_call && !is_defined) else { continue };
        // A method of that name is followed by its body.
        if end == at + 2 || tokens.word(end + 1) == "{" {
            continue;
        }
        edits.push(Edit::insert(tokens.end(at + 1), format!("{EVALUATED}(")));
        edits.push(Edit::close(tokens.start(end), at, ")"));
    }
}

/// `for each (x in o)` goes through the values.
fn for_each(tokens: &Tokens<'_>, at: usize, edits: &mut Vec<Edit>) -> Option<()> {
    if !tokens.is(at, "for") || tokens.word(at + 1) != "each" || tokens.word(at + 2) != "(" {
        return None;
    }
    // What follows may be wrong in another way: that is then what the parser stops at.
    edits.push(Edit::replace(tokens.start(at + 1), 4, "    "));
    let end = tokens.partner(at + 2)?;
    let mut within = at + 3;
    while within < end && tokens.word(within) != "in" {
        within = if tokens.opens(within) { tokens.partner(within)? } else { within } + 1;
    }
    if within + 1 >= end {
        return None;
    }
    // Of the same length, so that columns stay.
    edits.push(Edit::replace(tokens.start(within), 2, "of"));
    edits.push(Edit::insert(tokens.start(within + 1), format!(" {VALUES}(")));
    edits.push(Edit::close(tokens.end(end - 1), within, ")"));
    Some(())
}

/// `function (x) x * 2`: a function that is an expression.
fn closure(tokens: &Tokens<'_>, at: usize, edits: &mut Vec<Edit>) -> Option<()> {
    let (body, end) = closure_body(tokens, at)?;
    edits.push(Edit::insert(tokens.start(body), "{return "));
    edits.push(Edit::close(tokens.end(end), body, "}"));
    Some(())
}

/// The first and the last token of the expression that a function is.
fn closure_body(tokens: &Tokens<'_>, at: usize) -> Option<(usize, usize)> {
    let body = after_parameters(tokens, at)?;
    if tokens.word(body) == "{" {
        return None;
    }
    Some((body, tokens.expression_end(body)?))
}

/// The token after a function's parameters.
fn after_parameters(tokens: &Tokens<'_>, at: usize) -> Option<usize> {
    if !tokens.is(at, "function") {
        return None;
    }
    let named = tokens.kind(at + 1) == Some(Kind::Word);
    let open = at + 1 + usize::from(named);
    (tokens.word(open) == "(").then(|| tokens.partner(open)).flatten().map(|end| end + 1)
}

/// A function without a name at the start of a text is a value, not a declaration.
fn anonymous(tokens: &Tokens<'_>, edits: &mut Vec<Edit>) {
    let Some(body) = after_parameters(tokens, 0).filter(|_| tokens.word(1) == "(") else { return };
    let end = match tokens.word(body) {
        "{" => tokens.partner(body),
        _ => tokens.expression_end(body),
    };
    if let Some(end) = end {
        edits.push(Edit::insert(tokens.start(0), "("));
        edits.push(Edit::close(tokens.end(end), 0, ")"));
    }
}

/// `catch (e if condition)`, one or several after one another, and perhaps one without a condition.
fn catches(tokens: &Tokens<'_>, at: usize, edits: &mut Vec<Edit>) -> Option<()> {
    let first = Catch::of(tokens, at)?;
    // Not the first of several: that has seen to this one.
    let follows = at > 0
        && tokens.partner(at - 1).filter(|&open| open > 0).is_some_and(|open| {
            let head = tokens.partner(open - 1);
            head.is_some_and(|head| head > 0 && tokens.is(head - 1, "catch"))
        });
    let condition = first.condition.filter(|_| !follows)?;
    edits.push(Edit::replace(tokens.start(condition), 2, ") {if ("));
    let (name, mut last) = (tokens.word(at + 2), first);
    let (mut closing, mut final_one) = (String::from("}"), false);
    while let Some(next) = Catch::of(tokens, last.end + 1).filter(|_| !final_one) {
        let own = tokens.word(next.at + 2);
        let (before, after) = if own == name { ("{void ", "") } else { ("{let ", name) };
        let after = if after.is_empty() { String::new() } else { format!(" = {after}") };
        edits.push(Edit::replace(tokens.start(next.at), 5, "else"));
        edits.push(Edit::replace(tokens.start(next.at + 1), 1, before));
        match next.condition {
            Some(condition) => {
                edits.push(Edit::replace(tokens.start(condition), 2, format!("{after}; if (")));
            }
            None => edits.push(Edit::replace(tokens.start(next.head_end), 1, format!("{after};"))),
        }
        closing.push('}');
        final_one = next.condition.is_none();
        last = next;
    }
    if !final_one {
        closing.insert_str(0, &format!(" else throw {name};"));
    }
    edits.push(Edit::close(tokens.end(last.end), at, closing));
    Some(())
}

/// A `catch` with a name.
struct Catch {
    at: usize,
    /// The `if`.
    condition: Option<usize>,
    head_end: usize,
    end: usize,
}

impl Catch {
    fn of(tokens: &Tokens<'_>, at: usize) -> Option<Self> {
        if !tokens.is(at, "catch")
            || tokens.word(at + 1) != "("
            || tokens.kind(at + 2) != Some(Kind::Word)
        {
            return None;
        }
        let head_end = tokens.partner(at + 1)?;
        let condition = (tokens.word(at + 3) == "if").then_some(at + 3);
        if condition.is_none() && head_end != at + 3 || tokens.word(head_end + 1) != "{" {
            return None;
        }
        Some(Self { at, condition, head_end, end: tokens.partner(head_end + 1)? })
    }
}

/// `let (a = 1) { … }`, where no value is one of a name of the same head.
fn let_block(tokens: &Tokens<'_>, at: usize, edits: &mut Vec<Edit>) -> Option<()> {
    let end = tokens.partner(at + 1).filter(|_| tokens.is(at, "let"))?;
    if tokens.word(at + 1) != "(" || tokens.word(end + 1) != "{" || end == at + 2 {
        return None;
    }
    if !values_are_of_others(tokens, at + 1, end) {
        return None;
    }
    let close = tokens.partner(end + 1)?;
    edits.push(Edit::insert(tokens.start(at), "{"));
    edits.push(Edit::replace(tokens.start(at + 1), 1, " "));
    edits.push(Edit::replace(tokens.start(end), 1, ";"));
    edits.push(Edit::close(tokens.end(close), at, "}"));
    Some(())
}

/// Whether no value in the head of a `let` block may be one of a name that the head declares: it would
/// be that of the name outside, which a declaration of today hides already. What cannot be told
/// (`eval`, names with escapes) may be one.
fn values_are_of_others(tokens: &Tokens<'_>, open: usize, end: usize) -> bool {
    let (mut names, mut used) = (Vec::new(), Vec::new());
    // Where the name or the pattern that is declared ends, and where the last token ends that is in
    // no bracket within the head.
    let (mut declared, mut outer) = (open, open);
    for at in open + 1..end {
        let before = tokens.word(at - 1);
        if at > outer {
            outer = tokens.partner(at).filter(|&partner| partner > at).unwrap_or(at);
            if at == open + 1 || before == "," {
                declared = outer;
            }
        }
        let word = tokens.word(at);
        let is_key = ["{", ","].contains(&before) && tokens.word(at + 1) == ":";
        if tokens.kind(at) != Some(Kind::Word) || [".", "?."].contains(&before) || is_key {
            continue;
        }
        if at <= declared {
            names.push(word);
        } else {
            used.push(word);
        }
    }
    let untold = |word: &str| word == "eval" || word.contains('\\');
    !used.iter().any(|word| names.contains(word) || untold(word))
}

/// An escape that is none stands for its characters: `"\u80x"` is `"u80x"`.
fn escapes(tokens: &Tokens<'_>, at: usize, edits: &mut Vec<Edit>) -> Option<()> {
    let (start, literal) = (tokens.start(at), tokens.word(at));
    let bytes = literal.as_bytes();
    let mut here = 0;
    while here + 1 < bytes.len() {
        if bytes[here] != b'\\' {
            here += 1;
            continue;
        }
        let digits = match bytes[here + 1] {
            b'x' => Some(2),
            b'u' if !is_code_point(&literal[here + 2..]) => Some(4),
            _ => None,
        };
        let follow = bytes.get(here + 2..).unwrap_or_default();
        let good = digits.is_none_or(|digits| {
            follow.get(..digits).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        });
        if !good {
            edits.push(Edit::replace(start + here, 1, ""));
        }
        here += 2;
    }
    Some(())
}

/// Whether the rest of an escape is `{…}` with the number of a character.
fn is_code_point(rest: &str) -> bool {
    // No more digits are looked at than any character needs, and some zeros.
    let rest = rest.strip_prefix('{').unwrap_or_default();
    let end = rest.bytes().take(9).position(|byte| byte == b'}');
    let number = end.and_then(|end| u32::from_str_radix(&rest[..end], 16).ok());
    number.is_some_and(|number| number <= 0x0010_ffff)
}

/// Whether a text may only stand in a function.
pub(super) fn may_return(text: &str) -> bool {
    let tokens = Tokens::of(text);
    (0..tokens.list.len()).any(|at| tokens.is(at, "return"))
}
