//! What is not mended: named, with what to write in its place.

use std::sync::LazyLock;

use regex::Regex;

use super::tokens::{Kind, Tokens};
use crate::js::position::{offset, place};

/// A construct of old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Old {
    Comprehension,
    Generator,
    Yield,
    Xml,
    Sharp,
    LetBlock,
    LetExpression,
    Conditional,
}

impl Old {
    fn words(self) -> &'static str {
        match self {
            Self::Comprehension => {
                "an array comprehension ([… for (…)]) is no longer part of the language: write \
                 list.map(function (x) { … }), with list.filter(…) for its condition, or a loop \
                 that pushes to a list"
            }
            Self::Generator => {
                "a generator expression ((… for (…))) is no longer part of the language: write \
                 list.map(function (x) { … }), or a function* that yields"
            }
            Self::Yield => {
                "yield in a function that is no generator: write function* in the place of \
                 function, and go through it with for (… of …)"
            }
            Self::Xml => {
                "XML in the text of a program (E4X) is no longer part of the language: write the \
                 XML as a string, and take from it what is needed with match and replace"
            }
            Self::Sharp => {
                "a sharp variable (#1=) is no longer part of the language: give the value to a \
                 variable first, and what it refers to after that"
            }
            Self::LetBlock => {
                "a let block (let (…) { … }) whose values use its own names is no longer part of \
                 the language: write { let a = …; … } with other names"
            }
            Self::LetExpression => {
                "a let expression (let (…) …) is no longer part of the language: declare the \
                 names before it, with let"
            }
            Self::Conditional => {
                "a condition in catch (catch (… if …)) with more than a name before it is no \
                 longer part of the language: write catch (e) { if (…) { … } else { throw e; } }"
            }
        }
    }
}

/// Whether there is anything in the text that may be refused when it does not parse.
pub(super) fn suspects(text: &str) -> bool {
    let tokens = Tokens::of(text);
    tokens.stopped.is_some()
        || (0..tokens.list.len()).any(|at| match tokens.word(at) {
            "for" => before_bracket(&tokens, at).is_some(),
            "let" => tokens.word(at + 1) == "(",
            "if" => in_catch(&tokens, at),
            "yield" | ".." | "::" | "@" => true,
            _ => false,
        })
}

/// The sentence for a message of the parser with a place, if what it stopped at is of old.
pub(in crate::js) fn refusal(message: &str, text: &str) -> Option<String> {
    let at = stopped_at(message, text)?;
    let old = construct(text, at)?;
    let (line, column) = place(text, at);
    Some(format!("{} at line {line}, col {column}", old.words()))
}

/// The byte at which the parser stopped, by its message.
pub(in crate::js) fn stopped_at(message: &str, text: &str) -> Option<usize> {
    static PLACE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"at line (\d+), col (\d+)$").ok());
    let found = PLACE.as_ref()?.captures(message)?;
    offset(text, found.get(1)?.as_str().parse().ok()?, found.get(2)?.as_str().parse().ok()?)
}

/// The construct of old that a parser stops at here.
fn construct(text: &str, at: usize) -> Option<Old> {
    let tokens = Tokens::of(text);
    if tokens.stopped == Some(at) {
        let rest = &text[at..];
        if rest.starts_with('<') {
            return Some(Old::Xml);
        }
        if rest.starts_with('#') {
            return Some(Old::Sharp);
        }
    }
    let token = tokens.at(at)?;
    let before = token.checked_sub(1)?;
    let starts = |word: &str| text[..at].trim_end().ends_with(word);
    match tokens.word(token) {
        "for" if before_bracket(&tokens, token) == Some('[') => Some(Old::Comprehension),
        "for" if before_bracket(&tokens, token) == Some('(') => Some(Old::Generator),
        "if" if tokens.is(token.checked_sub(3)?, "catch") || starts("}") => {
            in_catch(&tokens, token).then_some(Old::Conditional)
        }
        ":" | "::" if tokens.word(before) == ":" || tokens.word(token) == "::" => Some(Old::Xml),
        "." | ".." | "@" => Some(Old::Xml),
        _ if tokens.word(before) == ".." => Some(Old::Xml),
        _ if tokens.is(before, "yield") => Some(Old::Yield),
        word if tokens.word(before) == ")" => {
            let open = tokens.partner(before)?;
            let is_let = open > 0 && tokens.is(open - 1, "let");
            is_let.then_some(if word == "{" { Old::LetBlock } else { Old::LetExpression })
        }
        _ => None,
    }
}

/// The bracket around a token that follows a value in it.
fn before_bracket(tokens: &Tokens<'_>, at: usize) -> Option<char> {
    let mut here = at.checked_sub(1)?;
    let ends = tokens.ends_value(here) || tokens.word(here) == "}";
    if !ends {
        return None;
    }
    loop {
        match tokens.partner(here) {
            Some(open) if open < here => here = open,
            // Open brackets of texts that stop have no partner.
            _ if tokens.kind(here) == Some(Kind::Sign) => match tokens.word(here) {
                "[" => return Some('['),
                "(" => return Some('('),
                "{" | ";" => return None,
                _ => {}
            },
            _ => {}
        }
        here = here.checked_sub(1)?;
    }
}

fn in_catch(tokens: &Tokens<'_>, at: usize) -> bool {
    let mut here = at;
    while let Some(before) = here.checked_sub(1) {
        here = match tokens.partner(before) {
            Some(open) if open < before => open,
            _ if tokens.word(before) == "(" => return before > 0 && tokens.is(before - 1, "catch"),
            _ if [";", "{"].contains(&tokens.word(before)) => return false,
            _ => before,
        };
    }
    false
}
