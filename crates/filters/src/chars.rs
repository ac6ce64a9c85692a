//! Sets of Latin-1 characters, as Erlang's expressions know them (its PCRE has tables for Latin-1).

use std::fmt::Write as _;

use super::text::{lower_case, upper_case};

/// A set of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chars([bool; 256]);

impl Chars {
    pub(super) fn empty() -> Self {
        Self([false; 256])
    }

    pub(super) fn of(test: impl Fn(u8) -> bool) -> Self {
        let mut chars = Self::empty();
        (0..=u8::MAX).filter(|char| test(*char)).for_each(|char| chars.add(char));
        chars
    }

    /// The set of a letter after a backslash: `\d`, `\W` and so on.
    pub(super) fn escape(letter: u8) -> Option<Self> {
        let set = match letter.to_ascii_lowercase() {
            b'd' => Self::of(|char| char.is_ascii_digit()),
            b's' => Self::of(space),
            b'w' => Self::of(word),
            b'h' => Self::of(|char| matches!(char, b'\t' | b' ' | 0xa0)),
            b'v' => Self::of(|char| matches!(char, b'\n'..=b'\r' | 0x85)),
            _ => return None,
        };
        Some(if letter.is_ascii_uppercase() { set.complement() } else { set })
    }

    /// The set of a POSIX name: `alpha` and so on.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        let punctuation = |char: u8| char.is_ascii_punctuation() || (char >= 0xa0 && !word(char));
        Some(match name {
            b"alpha" => Self::of(|char| word(char) && !char.is_ascii_digit() && char != b'_'),
            b"alnum" => Self::of(|char| word(char) && char != b'_'),
            b"ascii" => Self::of(|char| char.is_ascii()),
            b"blank" => Self::of(|char| matches!(char, b'\t' | b' ')),
            b"cntrl" => Self::of(|char| matches!(char, 0..=0x1f | 0x7f..=0x9f)),
            b"digit" => Self::of(|char| char.is_ascii_digit()),
            b"graph" => Self::of(|char| matches!(char, 0x21..=0x7e | 0xa0..)),
            b"lower" => Self::of(|char| lower_case(char) || matches!(char, 0xb5 | 0xdf | 0xff)),
            b"print" => Self::of(|char| matches!(char, 0x20..=0x7e | 0xa0..)),
            b"punct" => Self::of(punctuation),
            b"space" => Self::of(space),
            b"upper" => Self::of(upper_case),
            b"word" => Self::of(word),
            b"xdigit" => Self::of(|char| char.is_ascii_hexdigit()),
            _ => return None,
        })
    }

    pub(super) fn add(&mut self, char: u8) {
        self.0[usize::from(char)] = true;
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(into, from)| *into |= from);
    }

    pub(super) fn contains(&self, char: u8) -> bool {
        self.0[usize::from(char)]
    }

    pub(super) fn complement(&self) -> Self {
        Self(self.0.map(|contained| !contained))
    }

    /// With the other cases of all letters.
    pub(super) fn either_case(&self) -> Self {
        Self::of(|char| self.contains(char) || self.contains(other_case(char)))
    }

    /// Writes the set as an expression of one character.
    pub(super) fn write(&self, out: &mut String) {
        let mut members = (0..=u8::MAX).filter(|char| self.contains(*char));
        if let (Some(only), None) = (members.next(), members.next()) {
            return write_char(only, out);
        }
        out.push('[');
        let mut at = 0u16;
        let mut any = false;
        while let Some(start) = (at..256).find(|char| self.0[usize::from(*char)]) {
            let end = (start..256).find(|char| !self.0[usize::from(*char)]).unwrap_or(256);
            let _ = write!(out, "\\x{{{start:x}}}");
            if end > start + 1 {
                let _ = write!(out, "-\\x{{{:x}}}", end - 1);
            }
            (at, any) = (end, true);
        }
        if !any {
            // No text has this character.
            out.push_str("\\x{100}");
        }
        out.push(']');
    }
}

/// Writes a character that stands for itself.
pub(super) fn write_char(char: u8, out: &mut String) {
    if char.is_ascii_alphanumeric() {
        out.push(char.into());
    } else {
        let _ = write!(out, "\\x{{{char:x}}}");
    }
}

fn space(char: u8) -> bool {
    matches!(char, b'\t'..=b'\r' | b' ')
}

fn word(char: u8) -> bool {
    let letter = lower_case(char) || upper_case(char);
    letter || char.is_ascii_digit() || matches!(char, b'_' | 0xaa | 0xb5 | 0xba | 0xdf | 0xff)
}

fn other_case(char: u8) -> u8 {
    if lower_case(char) {
        char - 0x20
    } else if upper_case(char) {
        char + 0x20
    } else {
        char
    }
}
