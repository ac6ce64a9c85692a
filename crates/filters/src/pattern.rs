//! Expressions as users write them, PCRE without Unicode as in Erlang's `re`, made fit for the
//! engine that runs them.
//!
//! The engine has a syntax and a meaning of its own, for Unicode text. So an expression is read
//! here and written anew from the few constructs in which both agree: characters, sets, groups,
//! alternatives, repetition, look-around, back-references. A byte of a key is a character of
//! Latin-1; so is a byte of the expression. What cannot be had is refused. Reading also says how
//! many characters an expression stands for, with all repetitions written out, which bounds what it
//! takes to compile and to run.

mod syntax;

use std::borrow::Cow;
use std::sync::OnceLock;

use bytes::Bytes;
use fancy_regex::{Error, Regex, RegexBuilder, RuntimeError};

use crate::limits;

use syntax::{Ends, Syntax};

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Pattern {
    at_end: Variants,
    /// For texts that end with a newline, before which `$` matches too.
    before_newline: Option<Variants>,
}

/// An expression for texts of each length, the longer, the fewer steps back: a step may be a look
/// along the whole text. All but the first are made when a text needs them.
#[derive(Debug)]
struct Variants {
    expression: String,
    compiled: [OnceLock<Result<Regex, String>>; limits::EXPRESSION_STEPS_BACK.len()],
}

/// Compiles an expression. `room` is for how many characters expressions may still stand, and
/// becomes less.
pub(super) fn compile(text: &[u8], room: &mut usize) -> Result<Pattern, String> {
    if text.len() > limits::EXPRESSION_BYTES {
        return Err(format!("the expression is longer than {} bytes", limits::EXPRESSION_BYTES));
    }
    let syntax = Syntax::read(text, Ends::AtEnd)?;
    *room = room.checked_sub(syntax.chars).ok_or_else(|| {
        format!(
            "the expressions of a query stand for more than {} characters with all repetitions \
             written out",
            limits::EXPRESSIONS_CHARS
        )
    })?;
    let before_newline = match syntax.has_end {
        true => Some(Variants::new(Syntax::read(text, Ends::BeforeNewline)?.expression)),
        false => None,
    };
    let at_end = Variants::new(syntax.expression);
    at_end.for_length(0)?;
    Ok(Pattern { at_end, before_newline })
}

/// A compiled expression of which the named groups are wanted.
#[derive(Debug)]
pub(super) struct Captures {
    regex: Regex,
    names: Vec<String>,
}

/// Compiles an expression for its named groups; see [`compile`]. It goes to the engine as it stands: read
/// anew, as others are, it would lose its names.
pub(super) fn compile_captures(
    text: &[u8],
    names: &[String],
    room: &mut usize,
) -> Result<Captures, String> {
    compile(text, room)?;
    let expression = std::str::from_utf8(text).map_err(|_| "the expression is no text")?;
    let [.., (_, steps)] = limits::EXPRESSION_STEPS_BACK;
    let regex = build(expression, steps)?;
    let known: Vec<&str> = regex.capture_names().flatten().collect();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("there is no group with the name {name:?}")),
        None => Ok(Captures { regex, names: names.to_vec() }),
    }
}

impl Captures {
    /// The groups, where the expression matches and all of them are there.
    ///
    /// # Errors
    /// The search took too many steps.
    pub(super) fn of(&self, text: &[u8]) -> Result<Option<Vec<Bytes>>, String> {
        let text = String::from_utf8_lossy(text);
        let found = self.regex.captures(&*text).map_err(|error| error.to_string())?;
        let Some(found) = found else { return Ok(None) };
        let group = |name: &String| Some(found.name(name)?.as_str());
        let group = |name| group(name).map(|part| Bytes::copy_from_slice(part.as_bytes()));
        Ok(self.names.iter().map(group).collect())
    }
}

impl Pattern {
    /// Whether the expression matches anywhere in a text.
    ///
    /// # Errors
    /// The search took too many steps.
    pub(super) fn is_match(&self, text: &[u8]) -> Result<bool, String> {
        let variants = match &self.before_newline {
            Some(variants) if text.last() == Some(&b'\n') => variants,
            _ => &self.at_end,
        };
        let (regex, steps) = variants.for_length(text.len())?;
        regex.is_match(latin1(text).as_ref()).map_err(|error| match error {
            Error::RuntimeError(RuntimeError::BacktrackLimitExceeded) => {
                format!("the expression went back {steps} times without a decision")
            }
            Error::RuntimeError(RuntimeError::StackOverflow) => {
                "the expression keeps too many ways open".to_owned()
            }
            other => other.to_string(),
        })
    }
}

impl Variants {
    fn new(expression: String) -> Self {
        Self { expression, compiled: Default::default() }
    }

    fn for_length(&self, length: usize) -> Result<(&Regex, usize), String> {
        let bounds = limits::EXPRESSION_STEPS_BACK;
        let place = bounds.iter().position(|(longest, _)| length <= *longest);
        let place = place.unwrap_or(bounds.len() - 1);
        let (_, steps) = bounds[place];
        let compiled = self.compiled[place].get_or_init(|| build(&self.expression, steps));
        compiled.as_ref().map(|regex| (regex, steps)).map_err(String::clone)
    }
}

fn build(expression: &str, steps_back: usize) -> Result<Regex, String> {
    RegexBuilder::new(expression)
        .backtrack_limit(steps_back)
        .delegate_size_limit(limits::EXPRESSION_COMPILED_BYTES)
        .delegate_dfa_size_limit(limits::EXPRESSION_COMPILED_BYTES)
        .max_prog_size(limits::EXPRESSIONS_CHARS * 4)
        .build()
        .map_err(|error| error.to_string())
}

/// The text whose characters are the bytes.
fn latin1(text: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(text) {
        Ok(ascii) if text.is_ascii() => Cow::Borrowed(ascii),
        _ => text.iter().copied().map(char::from).collect::<String>().into(),
    }
}
