//! Errors of the engine that do not name what they are about: "not a callable function", "cannot
//! convert 'null' or 'undefined' to object".
//!
//! The engine knows a place only where a call has its arguments, where a property is read, and where
//! an assignment, an increment, a `delete` or a function begins; whatever else goes wrong has the last
//! of these places around it. So everything is collected that can go wrong in the part of the text
//! which such a place stands for. Where that is one thing it is named, where it is two or three they
//! are, and else nothing is: no name is better than a wrong one.

use std::cell::RefCell;

use super::old::tokens::{Kind, Token, Tokens};
use crate::limits;

const NOT_CALLABLE: &str = "TypeError: not a callable function";
const NOT_A_CONSTRUCTOR: &str = "TypeError: not a constructor";
const NOTHING: &str = "TypeError: cannot convert 'null' or 'undefined' to object";

thread_local! {
    /// The last text in which a name was looked for, and its tokens.
    static LAST: RefCell<Option<(String, Vec<Token>)>> = const { RefCell::new(None) };
}

/// The message with a name in it, if what failed at this byte of the text can be told.
pub(super) fn named(message: &str, text: &str, at: usize) -> Option<String> {
    if ![NOT_CALLABLE, NOT_A_CONSTRUCTOR, NOTHING].contains(&message) {
        return None;
    }
    // Failing inputs fail in one text, one after another.
    let last = LAST.take().filter(|(known, _)| known == text);
    let (known, list) = last.unwrap_or_else(|| (text.to_owned(), Tokens::of(text).list));
    let tokens = Tokens { text, list, stopped: None };
    let named = named_in(message, &tokens, at);
    LAST.set(Some((known, tokens.list)));
    named
}

fn named_in(message: &str, tokens: &Tokens<'_>, at: usize) -> Option<String> {
    let at = tokens.at(at).filter(|_| tokens.list.len() <= limits::BLAME_TOKENS)?;
    match message {
        NOT_CALLABLE => {
            let callee = callee(tokens, at)?;
            Some(format!("TypeError: {callee} is not a function{}", instead(&callee)))
        }
        NOT_A_CONSTRUCTOR => {
            let callee = constructor(tokens, at)?;
            Some(format!("TypeError: {callee} is not a constructor"))
        }
        _ => Region::of(tokens, at)?.words(),
    }
}

/// What is called with the arguments that begin here.
fn callee(tokens: &Tokens<'_>, at: usize) -> Option<String> {
    let end = tokens.partner(at).filter(|_| tokens.word(at) == "(")?;
    let last = at.checked_sub(1).filter(|&last| is_value(tokens, last))?;
    // Calls that the engine knows no place of.
    let hidden = (at + 1..end).any(|inside| {
        let template = tokens.word(inside).starts_with('`') && is_value(tokens, inside - 1);
        template || tokens.word(inside) == "?." && tokens.word(inside + 1) == "("
    });
    if hidden {
        return None;
    }
    show(tokens, chain(tokens, last)?, last)
}

/// What is made with the `new` that stands here.
fn constructor(tokens: &Tokens<'_>, at: usize) -> Option<String> {
    if !tokens.is(at, "new") || tokens.kind(at + 1) != Some(Kind::Word) {
        return None;
    }
    let mut last = at + 1;
    while tokens.word(last + 1) == "." && tokens.kind(last + 2) == Some(Kind::Word) {
        last += 2;
    }
    if !["(", ";", ")", ",", "}"].contains(&tokens.word(last + 1)) {
        return None;
    }
    show(tokens, at + 1, last)
}

/// What was asked for something of old, and what to write.
fn instead(callee: &str) -> &'static str {
    match callee.rsplit('.').next().unwrap_or_default() {
        "toSource" | "uneval" => ", which was SpiderMonkey's own: write JSON.stringify(…)",
        "quote" => ", which was SpiderMonkey's own: write JSON.stringify(text)",
        "toLocaleFormat" => {
            ", which was SpiderMonkey's own: write toISOString(), or put together what \
             getFullYear(), getMonth() … give"
        }
        _ => "",
    }
}

/// What a message about a name that is gone has to say more.
pub(super) fn gone(message: &str) -> Option<&'static str> {
    Some(match message {
        "ReferenceError: uneval is not defined" => {
            "it was SpiderMonkey's own: write JSON.stringify"
        }
        "ReferenceError: StopIteration is not defined" => {
            "generators of old are no longer part of the language: write function*, and for (… of …)"
        }
        "TypeError: Iterator constructor requires 'new'" => {
            "the Iterator of old is no longer part of the language: write \
             for (var [key, value] of Object.entries(object))"
        }
        _ if message
            .contains("'caller', 'callee', and 'arguments' properties may not be accessed") =>
        {
            "who calls a function is not kept; arguments.callee is there where arguments is not strict"
        }
        _ => return None,
    })
}

/// The part of the text that a place stands for.
struct Region<'a> {
    tokens: &'a Tokens<'a>,
    /// Where it begins, if that is an assignment or the like: all others have a place of their own.
    changes: Option<usize>,
    /// What may be null or undefined: its first and last token, and what was wanted of it.
    suspects: Vec<(usize, usize, String)>,
}

impl<'a> Region<'a> {
    fn of(tokens: &'a Tokens<'a>, at: usize) -> Option<Self> {
        let mut region = Self { tokens, changes: None, suspects: Vec::new() };
        let before = at.checked_sub(1);
        let word = |at: Option<usize>| at.map_or("", |at| tokens.word(at));
        let member = before.filter(|&before| before > 0 && is_value(tokens, before - 1));
        match (word(before), word(Some(at))) {
            // A property is read.
            ("?.", _) => return None,
            (".", _) => {
                let (first, last) = region.object(before?)?;
                region.collect(first, last)?;
            }
            ("[", _) if member.is_some() => {
                let (first, _) = region.object(before?)?;
                region.collect(first, tokens.partner(before?)?)?;
            }
            (_, "(") if before.is_some_and(|before| is_value(tokens, before)) => {
                region.collect(at + 1, tokens.partner(at)?.checked_sub(1)?)?;
            }
            (_, "{") if tokens.partner(at).is_some() => {
                // The parameters of the function belong to it.
                let head = before.filter(|&head| tokens.word(head) == ")")?;
                let plain = tokens.partner(head)? + 1..head;
                if plain.clone().any(|at| ["[", "{", "=", "..."].contains(&tokens.word(at))) {
                    return None;
                }
                region.collect(at + 1, tokens.partner(at)?.checked_sub(1)?)?;
            }
            _ => {
                region.changes = Some(at);
                region.collect(at, tokens.expression_end(at)?)?;
            }
        }
        Some(region)
    }

    /// What stands before a point or bracket.
    fn object(&mut self, at: usize) -> Option<(usize, usize)> {
        let last = at.checked_sub(1)?;
        let first = chain(self.tokens, last)?;
        let wanted = match self.tokens.word(at) {
            "[" => show(self.tokens, at, self.tokens.partner(at)?)?,
            _ => self.tokens.word(at + 1).to_owned(),
        };
        let literal = first == last && self.tokens.kind(first) != Some(Kind::Word)
            || ["[", "{"].contains(&self.tokens.word(first))
                && self.tokens.partner(first) == Some(last);
        let known = (first, last, wanted);
        if !literal && !self.is_built_in(first, last) && !self.suspects.contains(&known) {
            self.suspects.push(known);
        }
        Some((first, last))
    }

    /// Everything between two tokens that may have no place of its own. `None` when there is
    /// something that this does not know.
    fn collect(&mut self, first: usize, last: usize) -> Option<()> {
        let tokens = self.tokens;
        let mut at = first;
        while at <= last {
            let (word, begun) = (tokens.word(at), at);
            // The body of another function.
            if word == "=>" {
                at = match tokens.word(at + 1) {
                    "{" => tokens.partner(at + 1)?,
                    _ => tokens.expression_end(at + 1)?,
                };
            } else if tokens.is(at, "function") {
                let named = usize::from(tokens.kind(at + 1) == Some(Kind::Word));
                let head = tokens.partner(at + 1 + named)?;
                at = tokens.partner(head + 1)?;
            } else if self.is_unknown(at) {
                return None;
            } else if word == "." && self.has_no_place(at + 1) {
                self.object(at)?;
            } else if word == "[" && at > 0 && is_value(tokens, at - 1) {
                let end = tokens.partner(at)?;
                if self.has_no_place(end) {
                    self.object(at)?;
                }
            } else if word == "(" && at > first && is_value(tokens, at - 1) {
                // The arguments of a call have its place.
                at = tokens.partner(at)?;
            }
            // Brackets that are no pair of the language's lead back.
            if at < begun {
                return None;
            }
            at += 1;
        }
        Some(())
    }

    /// Whether something begins here whose parts this does not know.
    fn is_unknown(&self, at: usize) -> bool {
        let word = self.tokens.word(at);
        ["...", "?.", "class", "yield", "await", "with", "super"].contains(&word)
            || word.starts_with('`') && at > 0 && is_value(self.tokens, at - 1)
            || self.tokens.is(at, "of")
            || self.is_pattern(at)
    }

    /// Whether the member that ends here is called, or is what is changed or deleted.
    fn has_no_place(&self, end: usize) -> bool {
        let tokens = self.tokens;
        let next = tokens.word(end + 1);
        if ["(", "in"].contains(&next) {
            return true;
        }
        let Some(changes) = self.changes else { return false };
        let assigns =
            next.ends_with('=') && !["==", "===", "!=", "!==", "<=", ">="].contains(&next);
        let first = chain(tokens, end).unwrap_or(end);
        let steps = ["++", "--", "delete"].contains(&tokens.word(changes));
        let goes_on = [".", "["].contains(&next);
        first == changes && (assigns || ["++", "--"].contains(&next))
            || first == changes + 1 && steps && !goes_on
    }

    /// Whether a list of names begins here that is taken apart.
    fn is_pattern(&self, at: usize) -> bool {
        let before = at.checked_sub(1).map_or("", |before| self.tokens.word(before));
        let declares = ["var", "let", "const"].contains(&before);
        let end = self.tokens.partner(at).filter(|&end| end > at);
        self.tokens.word(at) == "["
            && (declares || end.is_some_and(|end| self.tokens.word(end + 1) == "="))
            && !(at > 0 && is_value(self.tokens, at - 1) && !declares)
    }

    /// Whether this is an object of the language, and its name is only ever used for that.
    fn is_built_in(&self, first: usize, last: usize) -> bool {
        const NAMES: [&str; 9] =
            ["Array", "Date", "JSON", "Math", "Number", "Object", "RegExp", "Riak", "String"];
        let name = self.tokens.word(first);
        let all = || 0..self.tokens.list.len();
        first == last
            && NAMES.contains(&name)
            && all().all(|at| !self.tokens.is(at, name) || self.tokens.word(at + 1) == ".")
    }

    fn words(self) -> Option<String> {
        if self.suspects.len() > limits::BLAME_NAMES {
            return None;
        }
        let mut shown = Vec::new();
        for (first, last, _) in &self.suspects {
            shown.push(show(self.tokens, *first, *last)?);
        }
        match (shown.as_slice(), self.suspects.as_slice()) {
            ([], _) => None,
            ([only], [(_, _, wanted), ..]) => {
                let what = match only.as_str() {
                    "null" | "undefined" => format!("{only} has"),
                    _ => format!("{only} is null or undefined: it has"),
                };
                Some(format!("TypeError: {what} no property {wanted}"))
            }
            (some, _) => Some(format!("TypeError: {} is null or undefined", some.join(" or "))),
        }
    }
}

fn is_value(tokens: &Tokens<'_>, at: usize) -> bool {
    tokens.ends_value(at) || tokens.word(at) == "}"
}

/// The first token of the names, members and calls that end with this one.
fn chain(tokens: &Tokens<'_>, last: usize) -> Option<usize> {
    let mut at = last;
    loop {
        let sign = tokens.kind(at)? == Kind::Sign;
        if sign {
            at = tokens.partner(at).filter(|&open| open < at)?;
            if tokens.word(at) == "{" {
                return None;
            }
        }
        let before = at.checked_sub(1);
        let follows = |at: usize| tokens.ends_value(at) || tokens.word(at) == "}";
        match before {
            Some(before) if [".", "?."].contains(&tokens.word(before)) && !sign => {
                at = before.checked_sub(1)?;
            }
            Some(before) if sign && tokens.word(before) == "?." => at = before.checked_sub(1)?,
            Some(before) if sign && follows(before) && !tokens.word(at).starts_with('`') => {
                at = before
            }
            Some(before) if tokens.is(before, "new") => return Some(before),
            _ => return Some(at),
        }
    }
}

/// The text from a token to another, on one line.
fn show(tokens: &Tokens<'_>, first: usize, last: usize) -> Option<String> {
    let text = tokens.text.get(tokens.start(first)..tokens.end(last))?;
    // Comments and line ends between them are left out.
    let text = if text.contains(['\n', '\r']) || text.contains("/*") {
        (first..=last).map(|at| tokens.word(at)).collect::<Vec<_>>().concat()
    } else {
        text.to_owned()
    };
    if text.chars().count() <= limits::BLAME_CHARS {
        return Some(text);
    }
    Some(text.chars().take(limits::BLAME_CHARS - 1).chain(['…']).collect())
}
