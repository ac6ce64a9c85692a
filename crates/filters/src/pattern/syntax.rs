//! Reading an expression and writing it anew.

mod escape;

use crate::chars::{self, Chars};
use crate::limits;

/// What `$` and `\Z` stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// The end of the text. All that it can mean in a text that does not end with a newline, and
    /// quick.
    AtEnd,
    /// The end of the text, or before a newline there.
    BeforeNewline,
}

/// An expression, read.
#[derive(Debug)]
pub(super) struct Syntax {
    /// For the engine.
    pub(super) expression: String,
    /// For how many characters it stands, with all repetitions written out.
    pub(super) chars: usize,
    /// Whether it has a `$` or `\Z`.
    pub(super) has_end: bool,
}

/// Options that hold from where they are set to the end of the group.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    any_case: bool,
    lines: bool,
    dot_all: bool,
    extended: bool,
    lazy: bool,
}

/// What has been found out about the groups of an expression.
#[derive(Debug, Default)]
struct Groups {
    count: usize,
    names: Vec<(Vec<u8>, usize)>,
    /// Whether anything refers to a group; else none needs to be remembered.
    referred_to: bool,
}

struct Reader<'p> {
    rest: &'p [u8],
    out: String,
    ends: Ends,
    has_end: bool,
    groups: Groups,
    /// The same from reading it before: what stands further on is known from it.
    known: Option<Groups>,
    depth: usize,
    /// Between `\Q` and `\E`.
    quoting: bool,
}

type Result<T> = std::result::Result<T, String>;

impl Syntax {
    pub(super) fn read(text: &[u8], ends: Ends) -> Result<Self> {
        let (first, _) = Reader::read(text, ends, None)?;
        let (reader, chars) = Reader::read(text, ends, Some(first.groups))?;
        Ok(Self { expression: reader.out, chars, has_end: reader.has_end })
    }
}

/// What an item is, for the repetition after it.
#[derive(Clone, Copy)]
enum Item {
    /// Nothing that can be repeated.
    None,
    /// Says something of a place; stands for so many characters as far as work is concerned.
    Assertion(usize),
    /// Stands for so many characters.
    Chars(usize),
}

impl<'p> Reader<'p> {
    fn read(text: &'p [u8], ends: Ends, known: Option<Groups>) -> Result<(Self, usize)> {
        let mut reader = Self {
            rest: text,
            out: String::with_capacity(text.len() * 2),
            ends,
            has_end: false,
            groups: Groups::default(),
            known,
            depth: 0,
            quoting: false,
        };
        let chars = reader.alternatives(Flags::default())?;
        if !reader.rest.is_empty() {
            return Err("unmatched closing parenthesis".to_owned());
        }
        Ok((reader, chars))
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn eat(&mut self, text: &[u8]) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Everything up to `end`, which is left out and must come.
    fn until(&mut self, end: &[u8], what: &str) -> Result<&'p [u8]> {
        let at = self.rest.windows(end.len()).position(|window| window == end);
        let at = at.ok_or_else(|| format!("{what} does not end"))?;
        let (found, rest) = self.rest.split_at(at);
        self.rest = rest.get(end.len()..).unwrap_or_default();
        Ok(found)
    }

    /// Reads up to the end of the group. Gives for how many characters it stands.
    fn alternatives(&mut self, mut flags: Flags) -> Result<usize> {
        let mut chars = 1usize;
        loop {
            if !self.quoting && flags.extended && self.skip_space() {
                continue;
            }
            match self.peek() {
                None => return Ok(chars),
                Some(_) if self.quoting => chars = chars.saturating_add(self.quoted(flags)?),
                Some(b')') => return Ok(chars),
                Some(b'|') => {
                    self.next();
                    self.out.push('|');
                }
                Some(_) => {
                    let start = self.out.len();
                    let item = self.item(&mut flags)?;
                    if let Some(more) = self.repeated(start, item, flags)? {
                        chars = chars.saturating_add(more);
                    }
                }
            }
            if chars > limits::EXPRESSIONS_CHARS {
                return Err(format!(
                    "the expression stands for more than {} characters with all repetitions \
                     written out",
                    limits::EXPRESSIONS_CHARS
                ));
            }
        }
    }

    /// In extended form, white space and comments between items mean nothing.
    fn skip_space(&mut self) -> bool {
        match self.peek() {
            Some(b'\t'..=b'\r' | b' ') => self.next().is_some(),
            Some(b'#') => {
                while self.next().is_some_and(|char| char != b'\n') {}
                true
            }
            _ => false,
        }
    }

    fn item(&mut self, flags: &mut Flags) -> Result<Item> {
        match self.next() {
            Some(b'[') => {
                let set = self.class(*flags)?;
                self.set(&set, Flags::default())
            }
            Some(b'(') => self.group(flags),
            Some(b'\\') => self.escape(*flags),
            Some(b'.') if flags.dot_all => self.set(&Chars::of(|_| true), Flags::default()),
            Some(b'.') => self.set(&Chars::of(|char| char != b'\n'), Flags::default()),
            // After the last newline there is no line.
            Some(b'^') if flags.lines => self.assertion("(?:\\A|(?m:^)(?!\\z))"),
            Some(b'^') => self.assertion("\\A"),
            Some(b'$') if flags.lines => self.assertion("(?m:$)"),
            Some(b'$') => self.end(),
            Some(b'*' | b'+' | b'?') => Err("nothing to repeat".to_owned()),
            Some(char) => self.char(char, *flags),
            None => Ok(Item::None),
        }
    }

    fn assertion(&mut self, text: &str) -> Result<Item> {
        self.out.push_str(text);
        Ok(Item::Assertion(1))
    }

    fn end(&mut self) -> Result<Item> {
        self.has_end = true;
        self.assertion(match self.ends {
            Ends::AtEnd => "\\z",
            Ends::BeforeNewline => "(?=\\x{a}?\\z)",
        })
    }

    fn char(&mut self, char: u8, flags: Flags) -> Result<Item> {
        if flags.any_case {
            return self.set(&Chars::of(|other| other == char), flags);
        }
        chars::write_char(char, &mut self.out);
        Ok(Item::Chars(1))
    }

    fn set(&mut self, set: &Chars, flags: Flags) -> Result<Item> {
        if flags.any_case {
            set.either_case().write(&mut self.out);
        } else {
            set.write(&mut self.out);
        }
        Ok(Item::Chars(1))
    }

    /// Reads the repetitions after an item that has been written from `start` on.
    fn repeated(&mut self, start: usize, item: Item, flags: Flags) -> Result<Option<usize>> {
        let mut chars = match item {
            Item::None => return Ok(None),
            Item::Assertion(chars) | Item::Chars(chars) => chars,
        };
        let assertion = matches!(item, Item::Assertion(_));
        let mut repeated = false;
        loop {
            while flags.extended && self.skip_space() {}
            let braces = self.peek() == Some(b'{');
            let Some((least, most)) = self.bounds()? else { return Ok(Some(chars)) };
            if repeated && !braces {
                return Err("nothing to repeat".to_owned());
            }
            if assertion && !repeated {
                // The engine would not repeat an assertion by itself. The other way is never taken.
                self.out.push_str("|[\\x{100}]");
            }
            if assertion || repeated {
                self.enclose(start, "(?:");
            }
            repeated = true;
            self.out.push_str(&match most {
                Some(most) => format!("{{{least},{most}}}"),
                None => format!("{{{least},}}"),
            });
            chars = chars.saturating_mul(most.unwrap_or(least).max(1)).saturating_add(1);
            if self.eat(b"+") {
                self.enclose(start, "(?>");
            } else if self.eat(b"?") != flags.lazy {
                self.out.push('?');
            }
        }
    }

    fn enclose(&mut self, start: usize, begin: &str) {
        self.out.insert_str(start, begin);
        self.out.push(')');
    }

    /// Reads `*`, `+`, `?`, `{n}`, `{n,}` or `{n,m}`. Other braces stand for themselves.
    fn bounds(&mut self) -> Result<Option<(usize, Option<usize>)>> {
        let simple = match self.peek() {
            Some(b'*') => (0, None),
            Some(b'+') => (1, None),
            Some(b'?') => (0, Some(1)),
            Some(b'{') => return self.braces(),
            _ => return Ok(None),
        };
        self.next();
        Ok(Some(simple))
    }

    fn braces(&mut self) -> Result<Option<(usize, Option<usize>)>> {
        let Some(end) = self.rest.iter().position(|char| *char == b'}') else { return Ok(None) };
        let inside = self.rest.get(1..end).unwrap_or_default();
        let (least, most) = match inside.iter().position(|char| *char == b',') {
            Some(comma) => (inside.get(..comma).unwrap_or_default(), inside.get(comma + 1..)),
            None => (inside, Some(inside)),
        };
        let most = most.filter(|most| !most.is_empty());
        if !digits(least) || !most.is_none_or(digits) {
            return Ok(None);
        }
        let (least, most) = (number(least)?, most.map(number).transpose()?);
        if most.is_some_and(|most| most < least) {
            return Err("numbers out of order in braces".to_owned());
        }
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        Ok(Some((least, most)))
    }

    fn group(&mut self, flags: &mut Flags) -> Result<Item> {
        if self.peek() == Some(b'*') {
            return Err("verbs, as (*…), are not offered".to_owned());
        }
        if !self.eat(b"?") {
            return self.capture(*flags);
        }
        if self.eat(b"#") {
            self.until(b")", "a comment")?;
            return Ok(Item::None);
        }
        for (begin, written) in [(":", "(?:"), (">", "(?>")] {
            if self.eat(begin.as_bytes()) {
                return self.inside(written, *flags);
            }
        }
        for (begin, written) in [("=", "(?="), ("!", "(?!"), ("<=", "(?<="), ("<!", "(?<!")] {
            if self.eat(begin.as_bytes()) {
                return Ok(match self.inside(written, *flags)? {
                    Item::Chars(chars) => Item::Assertion(chars),
                    item => item,
                });
            }
        }
        for (begin, end) in [("P<", ">"), ("<", ">"), ("'", "'")] {
            if self.eat(begin.as_bytes()) {
                let name = self.until(end.as_bytes(), "the name of a group")?;
                let number = self.groups.count + 1;
                self.groups.names.push((name.to_vec(), number));
                return self.capture(*flags);
            }
        }
        if self.eat(b"P=") {
            let name = self.until(b")", "a reference")?;
            return self.reference_by_name(name, *flags);
        }
        if self.eat(b"(") {
            return self.condition(*flags);
        }
        self.set_flags(flags)
    }

    fn capture(&mut self, flags: Flags) -> Result<Item> {
        self.groups.count += 1;
        let remembered = self.known.as_ref().is_none_or(|known| known.referred_to);
        self.inside(if remembered { "(" } else { "(?:" }, flags)
    }

    /// Reads a group whose beginning has been read.
    fn inside(&mut self, written: &str, flags: Flags) -> Result<Item> {
        self.depth += 1;
        if self.depth > limits::EXPRESSION_NESTING {
            return Err(format!("groups are nested deeper than {}", limits::EXPRESSION_NESTING));
        }
        self.out.push_str(written);
        let start = self.out.len();
        let chars = self.alternatives(flags)?;
        if self.out.len() == start {
            // The engine would not repeat a group without anything in it.
            self.out.push('|');
        }
        if !self.eat(b")") {
            return Err("a group does not end".to_owned());
        }
        self.out.push(')');
        self.depth -= 1;
        Ok(Item::Chars(chars))
    }

    /// `(?(1)…|…)`
    fn condition(&mut self, flags: Flags) -> Result<Item> {
        let of = self.until(b")", "a condition")?;
        let name = of.strip_prefix(b"<").and_then(|of| of.strip_suffix(b">"));
        let name = name.or_else(|| of.strip_prefix(b"'").and_then(|of| of.strip_suffix(b"'")));
        let group = match name {
            Some(name) => self.group_named(name)?,
            None if digits(of) => number(of)?,
            None => return Err("conditions are offered for groups only".to_owned()),
        };
        self.refer_to(group)?;
        self.inside(&format!("(?({group})"), flags)
    }

    /// `(?i)`, or `(?i:…)`
    fn set_flags(&mut self, flags: &mut Flags) -> Result<Item> {
        let mut new = *flags;
        let mut on = true;
        loop {
            match self.next() {
                Some(b'-') if on => on = false,
                Some(b'i') => new.any_case = on,
                Some(b'm') => new.lines = on,
                Some(b's') => new.dot_all = on,
                Some(b'x') => new.extended = on,
                Some(b'U') => new.lazy = on,
                Some(b')') => {
                    *flags = new;
                    return Ok(Item::None);
                }
                Some(b':') => return self.inside("(?:", new),
                Some(other) => {
                    let other = char::from(other);
                    return Err(format!("groups that begin with (?{other} are not offered"));
                }
                None => return Err("a group does not end".to_owned()),
            }
        }
    }

    fn reference_by_name(&mut self, name: &[u8], flags: Flags) -> Result<Item> {
        let group = self.group_named(name)?;
        self.reference(group, flags)
    }

    fn group_named(&self, name: &[u8]) -> Result<usize> {
        // When reading for the first time, the group may still come.
        let Some(known) = &self.known else { return Ok(1) };
        let found = known.names.iter().find(|(known, _)| known == name);
        found.map(|(_, number)| *number).ok_or_else(|| {
            format!("there is no group with the name {:?}", String::from_utf8_lossy(name))
        })
    }

    fn refer_to(&mut self, group: usize) -> Result<()> {
        self.groups.referred_to = true;
        match &self.known {
            Some(known) if group == 0 || group > known.count => {
                Err(format!("there is no group {group}"))
            }
            _ => Ok(()),
        }
    }

    fn reference(&mut self, group: usize, flags: Flags) -> Result<Item> {
        self.refer_to(group)?;
        let begin = if flags.any_case { "(?i:" } else { "(?:" };
        self.out.push_str(&format!("{begin}\\{group})"));
        Ok(Item::Chars(1))
    }
}

fn digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// A number of at most 65535, as PCRE has it.
fn number(digits: &[u8]) -> Result<usize> {
    let digits = std::str::from_utf8(digits).unwrap_or_default();
    digits
        .parse()
        .ok()
        .filter(|number| *number <= usize::from(u16::MAX))
        .ok_or_else(|| format!("the number {digits} is too large"))
}
