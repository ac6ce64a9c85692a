//! What a backslash stands for, and sets in brackets.

use super::{Flags, Item, Reader, Result, digits, number};
use crate::chars::Chars;

impl Reader<'_> {
    /// Reads what stands after a backslash, outside of brackets.
    pub(super) fn escape(&mut self, flags: Flags) -> Result<Item> {
        let Some(first) = self.next() else { return Err("a backslash at the end".to_owned()) };
        if let Some(set) = Chars::escape(first) {
            return self.set(&set, Flags::default());
        }
        match first {
            b'A' | b'G' => self.assertion("\\A"),
            b'z' => self.assertion("\\z"),
            b'Z' => self.end(),
            b'b' => self.assertion("\\b"),
            b'B' => self.assertion("\\B"),
            // Where the match begins is of no interest.
            b'K' => self.assertion("(?:)"),
            b'E' => Ok(Item::None),
            // Of a name in braces, Erlang's engine does not know either.
            b'N' if !matches!(self.rest, [b'{', next, ..] if !next.is_ascii_digit()) => {
                self.set(&Chars::of(|char| char != b'\n'), Flags::default())
            }
            b'C' => self.set(&Chars::of(|_| true), Flags::default()),
            b'R' => {
                self.out.push_str("(?>\\x{d}\\x{a}|[\\x{a}-\\x{d}\\x{85}])");
                Ok(Item::Chars(2))
            }
            b'Q' => {
                self.quoting = true;
                Ok(Item::None)
            }
            b'k' => {
                let name = match self.next() {
                    Some(b'<') => self.until(b">", "a reference")?,
                    Some(b'\'') => self.until(b"'", "a reference")?,
                    Some(b'{') => self.until(b"}", "a reference")?,
                    _ => return Err("\\k needs the name of a group".to_owned()),
                };
                self.reference_by_name(name, flags)
            }
            b'g' => self.numbered(flags),
            b'1'..=b'9' => self.reference_or_octal(first, flags),
            _ => {
                let char = self.char_escape(first)?;
                self.char(char, flags)
            }
        }
    }

    /// `\g1`, `\g{1}`, `\g{-1}` or `\g{name}`
    fn numbered(&mut self, flags: Flags) -> Result<Item> {
        let braces = self.eat(b"{");
        let end = if braces {
            self.rest.iter().position(|char| *char == b'}')
        } else {
            let after = usize::from(self.peek() == Some(b'-'));
            let digits = self.rest.iter().skip(after).take_while(|char| char.is_ascii_digit());
            Some(after + digits.count())
        };
        let (of, rest) = end.and_then(|end| self.rest.split_at_checked(end)).unwrap_or_default();
        self.rest = if braces { rest.get(1..).unwrap_or_default() } else { rest };
        match of {
            [b'-', back @ ..] if digits(back) => {
                let back = number(back)?;
                let group = (self.groups.count + 1).saturating_sub(back);
                self.reference(group, flags)
            }
            of if digits(of) => self.reference(number(of)?, flags),
            name if braces && !name.is_empty() => self.reference_by_name(name, flags),
            _ => Err("\\g needs the number of a group".to_owned()),
        }
    }

    /// Numbers below ten, and those of groups that there are, refer to groups; others are octal.
    fn reference_or_octal(&mut self, first: u8, flags: Flags) -> Result<Item> {
        let more = self.rest.iter().take_while(|char| char.is_ascii_digit()).count();
        let (more, rest) = self.rest.split_at_checked(more).unwrap_or_default();
        let group = number(&[&[first], more].concat());
        let count = self.known.as_ref().map_or(usize::MAX, |known| known.count);
        match group {
            Ok(group) if group < 10 || group <= count => {
                self.rest = rest;
                self.reference(group, flags)
            }
            _ => {
                let char = self.char_escape(first)?;
                self.char(char, flags)
            }
        }
    }

    /// Reads a character between `\Q` and `\E`; the last `\E` may be missing. What follows it
    /// repeats the last character. Gives for how many characters it stands.
    pub(super) fn quoted(&mut self, flags: Flags) -> Result<usize> {
        if self.eat(b"\\E") {
            self.quoting = false;
            return Ok(0);
        }
        let Some(char) = self.next() else { return Ok(0) };
        let start = self.out.len();
        let item = self.char(char, flags)?;
        if self.eat(b"\\E") {
            self.quoting = false;
            return Ok(self.repeated(start, item, flags)?.unwrap_or_default());
        }
        Ok(1)
    }

    /// An escape that stands for one character, in brackets or outside.
    fn char_escape(&mut self, first: u8) -> Result<u8> {
        Ok(match first {
            b'a' => 0x07,
            b'e' => 0x1b,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'0'..=b'7' => return self.octal(first),
            b'x' => return self.hexadecimal(),
            b'c' => match self.next() {
                Some(char) if char.is_ascii() => char.to_ascii_uppercase() ^ 0x40,
                _ => return Err("\\c needs an ASCII character after it".to_owned()),
            },
            b'p' | b'P' | b'X' | b'L' | b'l' | b'U' | b'u' | b'N' | b'o' => {
                return Err(format!("\\{} is not offered", char::from(first)));
            }
            char => char,
        })
    }

    fn octal(&mut self, first: u8) -> Result<u8> {
        let mut value = u32::from(first - b'0');
        for _ in 0..2 {
            match self.peek() {
                Some(digit @ b'0'..=b'7') => value = value * 8 + u32::from(digit - b'0'),
                _ => break,
            }
            self.next();
        }
        // Without Unicode, of larger values the lowest bits count.
        Ok(u8::try_from(value & 0xff).unwrap_or_default())
    }

    fn hexadecimal(&mut self) -> Result<u8> {
        let braces = self.rest.first() == Some(&b'{')
            && self.rest.iter().skip(1).find(|char| !char.is_ascii_hexdigit()) == Some(&b'}')
            && self.rest.get(1) != Some(&b'}');
        let digits = if braces {
            self.next();
            self.until(b"}", "a number")?
        } else {
            let count = self.rest.iter().take(2).take_while(|char| char.is_ascii_hexdigit());
            let (digits, rest) = self.rest.split_at_checked(count.count()).unwrap_or_default();
            self.rest = rest;
            digits
        };
        let value = digits.iter().try_fold(0u8, |value, digit| {
            let digit = char::from(*digit).to_digit(16)?;
            value.checked_mul(16)?.checked_add(u8::try_from(digit).ok()?)
        });
        value.ok_or_else(|| "a character beyond \\xff, which is none of Latin-1".to_owned())
    }

    /// Reads a set whose opening bracket has been read.
    pub(super) fn class(&mut self, flags: Flags) -> Result<Chars> {
        let negated = self.eat(b"^");
        let mut set = Chars::empty();
        let mut first = true;
        while first || self.peek() != Some(b']') {
            first = false;
            let Some(low) = self.member(&mut set, flags)? else { continue };
            // A hyphen at the end stands for itself.
            let range = self.rest.first() == Some(&b'-') && self.rest.get(1) != Some(&b']');
            if !range {
                set.add(low);
                continue;
            }
            self.next();
            match self.member(&mut set, flags)? {
                Some(high) if high < low => return Err("a range out of order in a set".to_owned()),
                Some(high) => (low..=high).for_each(|char| set.add(char)),
                // Before a set, a hyphen stands for itself too.
                None => {
                    set.add(low);
                    set.add(b'-');
                }
            }
        }
        self.next();
        // Without regard to case, the other case of a letter is left out of the complement too.
        let set = if flags.any_case { set.either_case() } else { set };
        Ok(if negated { set.complement() } else { set })
    }

    /// Reads a member of a set: a character, or a whole set, which is put in.
    fn member(&mut self, set: &mut Chars, flags: Flags) -> Result<Option<u8>> {
        let Some(char) = self.next() else { return Err("a set does not end".to_owned()) };
        match char {
            b'[' if matches!(self.peek(), Some(b':' | b'.' | b'=')) => self.posix(set, flags),
            b'\\' => {
                let Some(first) = self.next() else {
                    return Err("a backslash at the end".to_owned());
                };
                if let Some(escaped) = Chars::escape(first) {
                    set.add_all(&escaped);
                    return Ok(None);
                }
                match first {
                    b'b' => Ok(Some(0x08)),
                    b'E' => Ok(None),
                    b'Q' => {
                        let text = self.until(b"\\E", "quoted text in a set")?;
                        text.iter().for_each(|char| set.add(*char));
                        Ok(None)
                    }
                    _ => self.char_escape(first).map(Some),
                }
            }
            char => Ok(Some(char)),
        }
    }

    /// `[:name:]` or `[:^name:]`; a bracket that begins nothing of the kind stands for itself.
    fn posix(&mut self, set: &mut Chars, flags: Flags) -> Result<Option<u8>> {
        let kind = self.peek().unwrap_or_default();
        let after = self.rest.get(1..).unwrap_or_default();
        let end = after.windows(2).position(|window| window == [kind, b']']);
        let name = end.and_then(|end| after.get(..end));
        let word = |char: &u8| char.is_ascii_alphabetic() || *char == b'^';
        let Some(name) = name.filter(|name| name.iter().all(word)) else { return Ok(Some(b'[')) };
        if kind != b':' {
            return Err("collating elements in sets are not offered".to_owned());
        }
        let (negated, plain) = match name.strip_prefix(b"^") {
            Some(plain) => (true, plain),
            None => (false, name),
        };
        // Without regard to case, letters are letters.
        let cased = flags.any_case && matches!(plain, b"lower" | b"upper");
        let found = Chars::named(if cased { b"alpha" } else { plain })
            .ok_or_else(|| format!("there is no set [:{}:]", String::from_utf8_lossy(plain)))?;
        set.add_all(&if negated { found.complement() } else { found });
        self.rest = after.get(name.len() + 2..).unwrap_or_default();
        Ok(None)
    }
}
