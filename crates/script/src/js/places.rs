//! Places in the author's text that the engine does not tell, or only roughly.

use super::old::Mended;
use super::position::{offset, place};
use crate::ScriptError;

/// The end of the text.
pub(super) fn end(text: &str) -> (usize, usize) {
    place(text, text.trim_end().len())
}

/// Where a string, template or comment begins that does not end.
pub(super) fn open_literal(text: &str) -> Option<(usize, usize)> {
    let mut rest = text;
    loop {
        let start = rest.find(['\'', '"', '`', '/'])?;
        rest = &rest[start..];
        let begin = text.len() - rest.len();
        let length = if rest.starts_with("//") {
            Some(rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            rest.find("*/").map(|at| at + 2)
        } else if rest.starts_with('/') {
            Some(1)
        } else {
            literal(rest)
        };
        match length {
            Some(length) => rest = &rest[length..],
            None => return Some(place(text, begin)),
        }
    }
}

/// The length of the literal that a text begins with, if it ends.
fn literal(text: &str) -> Option<usize> {
    let mut chars = text.char_indices();
    let (_, quote) = chars.next()?;
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()?),
            '\n' if quote != '`' => return None,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The stack with its places as they were before texts were mended. `text` gives what was written
/// at a path, and what that was made.
pub(super) fn unmended<'a>(
    stack: &str,
    text: impl Fn(&str) -> Option<(&'a str, &'a Mended)>,
) -> String {
    let moved = |frame: &str| {
        let (function, path, at) = parts(frame)?;
        let (source, mended) = text(path)?;
        let (line, column) = mended.place(source, at?)?;
        Some(format!("{function} ({path}:{line}:{column})"))
    };
    let frames: Vec<String> =
        stack.lines().map(|frame| moved(frame).unwrap_or_else(|| frame.to_owned())).collect();
    frames.join("\n")
}

/// Where the first frame of a stack is: the path, and the byte of its text.
pub(super) fn first<'a>(
    stack: &str,
    text: impl FnOnce(&str) -> Option<&'a str>,
) -> Option<(&'a str, usize)> {
    let (_, path, at) = parts(stack.lines().next()?)?;
    let text = text(path)?;
    let (line, column) = at?;
    Some((text, offset(text, line, column)?))
}

/// What a frame of a stack says: the function, the path, and the line and column if there are any.
type Parts<'a> = (&'a str, &'a str, Option<(usize, usize)>);

/// Takes a frame apart, `at function (path:line:column)`; without numbers it is only a path.
fn parts(frame: &str) -> Option<Parts<'_>> {
    let (function, place) = frame.strip_suffix(')')?.rsplit_once(" (")?;
    let mut parts = place.rsplitn(3, ':');
    let numbers = parts.next().and_then(|column| Some((parts.next()?, column)));
    let numbers =
        numbers.and_then(|(line, column)| Some((line.parse().ok()?, column.parse().ok()?)));
    let path = match numbers {
        Some(_) => parts.next()?,
        None => place,
    };
    Some((function, path, numbers))
}

/// The engine knows the place of a missing name only roughly, as one before it in the same function:
/// it is the next such name from there on. `text` gives the text of a path.
pub(super) fn sharpen<'a>(
    mut error: ScriptError,
    text: impl FnOnce(&str) -> Option<&'a str>,
) -> ScriptError {
    let missing = error.message.strip_prefix("ReferenceError: ");
    let missing = missing.and_then(|rest| rest.strip_suffix(" is not defined"));
    if let (Some(name), Some(stack)) = (missing, &error.stack)
        && let Some(sharper) = sharper(name, stack, text)
    {
        error.stack = Some(sharper);
    }
    error
}

fn sharper<'a>(
    name: &str,
    stack: &str,
    text: impl FnOnce(&str) -> Option<&'a str>,
) -> Option<String> {
    let first = stack.lines().next()?;
    let (function, path, numbers) = parts(first)?;
    let text = text(path)?;
    let from = numbers.map_or(Some(0), |(line, column)| offset(text, line, column))?;
    let (line, column) = place(text, word(text, name, from)?);
    Some(format!("{function} ({path}:{line}:{column}){}", &stack[first.len()..]))
}

/// The first place from there on where the name stands as a whole word, and not as a member.
fn word(text: &str, name: &str, from: usize) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let rest = text.get(from..)?;
    let mut found = rest.match_indices(name).map(|(at, _)| from + at);
    found.find(|&at| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(|c| part(c) || c == '.') && !after.is_some_and(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureCause;

    #[test]
    fn literals_without_an_end() {
        for (text, expected) in [
            ("a = 'x';\nb = \"y\" + `z\n` // '\n/* \" */ 4 / 2", None),
            ("f('a\\'b')", None),
            ("f('a\nb')", Some((1, 3))),
            ("\n  é = \"a\\", Some((2, 7))),
            ("`a\nb", Some((1, 1))),
            ("x /* y", Some((1, 3))),
            ("", None),
        ] {
            assert_eq!(open_literal(text), expected, "{text:?}");
        }
    }

    #[track_caller]
    fn check(stack: &str, expected: &str) {
        let text = "function f() {\n  a.gone();\n  var é = ungone, x = gone;\n}\ngone";
        let message = "ReferenceError: gone is not defined";
        let error = ScriptError::new(FailureCause::Thrown, message);
        let error = ScriptError { stack: Some(stack.to_owned()), ..error };
        let sharp = sharpen(error, |path| (path == "source").then_some(text));
        assert_eq!(sharp.stack.as_deref(), Some(expected));
    }

    #[test]
    fn a_missing_name_is_the_next_one() {
        check("at f (source:1:1)\nat g (source:9:9)", "at f (source:3:23)\nat g (source:9:9)");
        check("at f (source)", "at f (source:3:23)");
        check("at f (source:4:1)", "at f (source:5:1)");
        for other in ["at f (other:1:1)", "at f (source:5:2)", "at f (source:99:1)", "at f", ""] {
            check(other, other);
        }
    }
}
