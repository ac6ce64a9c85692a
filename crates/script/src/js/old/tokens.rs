//! The tokens of a JavaScript text, as far as they are needed to mend it or to name a part of it:
//! where strings, expressions between slashes, templates and comments begin and end, and which
//! bracket belongs to which.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or a keyword.
    Word,
    Number,
    Text,
    Regex,
    /// An operator, a bracket, or a part of a template that another part follows or goes before.
    Sign,
    /// A template without substitutions.
    Template,
}

/// A token.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Bytes of the text.
    pub(crate) range: Range<usize>,
    /// Whether a line ends between the token before and this one.
    pub(crate) new_line: bool,
    /// The number of the bracket that belongs to this one.
    pub(crate) partner: Option<usize>,
    /// Whether a value ends here, so that an operator may follow.
    pub(crate) ends_value: bool,
}

/// A text with its tokens.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    pub(crate) text: &'a str,
    pub(crate) list: Vec<Token>,
    /// Where the text stops being JavaScript: at a literal of XML, a sign that is none, a string
    /// without an end. The tokens before are right.
    pub(crate) stopped: Option<usize>,
}

/// Operators of more than one character, longest first.
const OPERATORS: [&str; 35] = [
    ">>>=", "===", "!==", "**=", "<<=", ">>=", ">>>", "...", "&&=", "||=", "??=", "=>", "==", "!=",
    "<=", ">=", "&&", "||", "??", "?.", "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=",
    "**", "<<", ">>", "..", "::",
];

/// Words after which a value is expected.
const OPERATOR_WORDS: [&str; 26] = [
    "return",
    "typeof",
    "case",
    "in",
    "of",
    "delete",
    "void",
    "throw",
    "new",
    "instanceof",
    "do",
    "else",
    "yield",
    "await",
    "extends",
    "if",
    "while",
    "for",
    "with",
    "switch",
    "catch",
    "try",
    "finally",
    "function",
    "var",
    "const",
];

impl<'a> Tokens<'a> {
    /// Reads a text.
    pub(crate) fn of(text: &'a str) -> Self {
        let tokens = Self { text, list: Vec::new(), stopped: None };
        let mut reader = Reader { tokens, at: 0, new_line: false, open: Vec::new() };
        reader.read();
        reader.tokens
    }

    /// A token's text; nothing where there is no such token.
    pub(crate) fn word(&self, at: usize) -> &'a str {
        self.list.get(at).map_or("", |token| &self.text[token.range.clone()])
    }

    /// Whether a token is this keyword, and not a member or a property with its name.
    pub(crate) fn is(&self, at: usize, word: &str) -> bool {
        self.word(at) == word && !(at > 0 && [".", "?."].contains(&self.word(at - 1)))
    }

    pub(crate) fn kind(&self, at: usize) -> Option<Kind> {
        self.list.get(at).map(|token| token.kind)
    }

    pub(crate) fn start(&self, at: usize) -> usize {
        self.list.get(at).map_or(self.text.len(), |token| token.range.start)
    }

    pub(crate) fn end(&self, at: usize) -> usize {
        self.list.get(at).map_or(self.text.len(), |token| token.range.end)
    }

    pub(crate) fn partner(&self, at: usize) -> Option<usize> {
        self.list.get(at)?.partner
    }

    pub(crate) fn ends_value(&self, at: usize) -> bool {
        self.list.get(at).is_some_and(|token| token.ends_value)
    }

    /// Whether a token opens a bracket.
    pub(crate) fn opens(&self, at: usize) -> bool {
        self.partner(at).is_some_and(|partner| partner > at)
    }

    /// The token that begins at this byte.
    pub(crate) fn at(&self, byte: usize) -> Option<usize> {
        self.list.binary_search_by_key(&byte, |token| token.range.start).ok()
    }

    /// The last token of the expression (without commas) that begins with this one.
    pub(crate) fn expression_end(&self, from: usize) -> Option<usize> {
        let (mut at, mut questions) = (from, 0usize);
        let mut last = None;
        while let Some(token) = self.list.get(at) {
            let word = self.word(at);
            match word {
                "," | ";" | ")" | "]" => break,
                // The brace of a block, or the end of a substitution in a template.
                _ if token.kind == Kind::Sign && word.starts_with('}') => break,
                "?" => questions += 1,
                ":" if questions == 0 => break,
                ":" => questions -= 1,
                _ => {}
            }
            // What has a brace inside of an expression is a value: an object, a function, a class.
            let after_value = at > from && (self.ends_value(at - 1) || self.word(at - 1) == "}");
            if after_value && token.new_line && self.begins_anew(at) {
                break;
            }
            at = match token.partner {
                Some(partner) if partner > at => partner,
                Some(_) => break,
                None => at,
            };
            last = Some(at);
            at += 1;
        }
        last
    }

    /// Whether a token at the start of a line does not go on with the value before.
    fn begins_anew(&self, at: usize) -> bool {
        match self.kind(at) {
            Some(Kind::Word) => !["in", "instanceof", "of"].contains(&self.word(at)),
            Some(Kind::Sign) => ["{", "++", "--"].contains(&self.word(at)),
            Some(Kind::Template) | None => false,
            Some(_) => true,
        }
    }
}

/// An open bracket.
struct Open {
    at: usize,
    /// Whether a value ends where it is closed.
    value: bool,
}

struct Reader<'a> {
    tokens: Tokens<'a>,
    at: usize,
    new_line: bool,
    open: Vec<Open>,
}

impl Reader<'_> {
    fn read(&mut self) {
        while let Some(c) = self.rest().chars().next() {
            let start = self.at;
            let read = match c {
                '\n' | '\r' | '\u{2028}' | '\u{2029}' => {
                    self.new_line = true;
                    self.at += c.len_utf8();
                    continue;
                }
                c if c.is_whitespace() || c == '\u{feff}' => {
                    self.at += c.len_utf8();
                    continue;
                }
                '/' if self.comment() => continue,
                '<' if self.rest().starts_with("<!--") => {
                    self.at += self.line();
                    continue;
                }
                '-' if self.rest().starts_with("-->") && self.begins_line() => {
                    self.at += self.line();
                    continue;
                }
                '"' | '\'' => self.string(c),
                '`' => self.template(true),
                '}' if self.in_template() => self.template(false),
                '/' if !self.after_value() => self.regex(),
                c if c.is_ascii_digit() => self.number(),
                '.' if self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(),
                c if is_part(c) || c == '\\' || c == '#' => self.name(),
                _ => self.sign(c),
            };
            if read.is_none() {
                self.tokens.stopped = Some(start);
                return;
            }
        }
        if !self.open.is_empty() {
            self.tokens.stopped = Some(self.tokens.text.len());
        }
    }

    fn rest(&self) -> &str {
        &self.tokens.text[self.at..]
    }

    /// Bytes to the end of the line.
    fn line(&self) -> usize {
        let ends = |c: char| "\n\r\u{2028}\u{2029}".contains(c);
        self.rest().find(ends).unwrap_or(self.rest().len())
    }

    fn begins_line(&self) -> bool {
        self.new_line || self.tokens.list.is_empty()
    }

    fn comment(&mut self) -> bool {
        let rest = self.rest();
        let length = if rest.starts_with("//") {
            self.line()
        } else if rest.starts_with("/*") {
            let Some(end) = rest.find("*/") else { return false };
            let has_line = rest[..end].contains(['\n', '\r']);
            self.new_line |= has_line;
            end + 2
        } else {
            return false;
        };
        self.at += length;
        true
    }

    fn after_value(&self) -> bool {
        self.tokens.list.last().is_some_and(|token| token.ends_value)
    }

    fn push(&mut self, kind: Kind, length: usize, ends_value: bool) -> Option<()> {
        let range = self.at..self.at + length;
        self.at = range.end;
        let new_line = std::mem::take(&mut self.new_line);
        self.tokens.list.push(Token { kind, range, new_line, partner: None, ends_value });
        Some(())
    }

    fn string(&mut self, quote: char) -> Option<()> {
        let mut chars = self.rest().char_indices().skip(1);
        let length = loop {
            match chars.next()? {
                (at, '\\') => {
                    // A line's end in it may be of two characters.
                    let pair = self.rest()[at + 1..].starts_with("\r\n");
                    chars.nth(usize::from(pair))?;
                }
                (_, '\n' | '\r') => return None,
                (at, c) if c == quote => break at + 1,
                _ => {}
            }
        };
        self.push(Kind::Text, length, true)
    }

    fn in_template(&self) -> bool {
        let last = self.open.last();
        last.is_some_and(|open| self.tokens.word(open.at).ends_with("${"))
    }

    /// A part of a template: it begins with a grave accent or with the brace after a substitution.
    fn template(&mut self, first: bool) -> Option<()> {
        let mut chars = self.rest().char_indices().skip(1).peekable();
        let (length, ends) = loop {
            match chars.next()? {
                (_, '\\') => drop(chars.next()?),
                (at, '`') => break (at + 1, true),
                (at, '$') if chars.peek().is_some_and(|&(_, c)| c == '{') => break (at + 2, false),
                _ => {}
            }
        };
        let kind = if first && ends { Kind::Template } else { Kind::Sign };
        self.push(kind, length, ends)?;
        match (first, ends) {
            (true, false) => {
                self.open.push(Open { at: self.tokens.list.len() - 1, value: true });
            }
            (false, true) => self.close()?,
            _ => {}
        }
        Some(())
    }

    fn regex(&mut self) -> Option<()> {
        let (mut class, mut end) = (false, None);
        let mut chars = self.rest().char_indices().skip(1);
        while end.is_none() {
            match chars.next()? {
                (_, '\\') => drop(chars.next()?),
                (_, '\n' | '\r') => return None,
                (_, '[') => class = true,
                (_, ']') => class = false,
                (at, '/') if !class => end = Some(at + 1),
                _ => {}
            }
        }
        let end = end?;
        let flags = self.rest()[end..].find(|c| !is_part(c));
        self.push(Kind::Regex, flags.map_or(self.rest().len(), |flags| end + flags), true)
    }

    fn number(&mut self) -> Option<()> {
        let rest = self.rest();
        let hex = rest.len() > 1 && rest[1..].starts_with(['x', 'X']);
        let mut before = '0';
        let end = rest.find(|c: char| {
            let exponent = !hex && "eE".contains(before) && "+-".contains(c);
            before = c;
            !(is_part(c) || c == '.' || exponent)
        });
        let length = end.unwrap_or(rest.len());
        self.push(Kind::Number, length, true)
    }

    fn name(&mut self) -> Option<()> {
        let rest = self.rest();
        let mut chars = rest.char_indices();
        let mut length = rest.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '#' if at == 0 => {}
                // `\u0061` and `\u{61}` stand for letters.
                '\\' => {
                    let escape = rest[at + 1..].strip_prefix('u')?;
                    // No further than the number of a character is long.
                    let mut digits = escape.chars().take(10).skip(1);
                    let braces = escape.starts_with('{').then(|| digits.position(|c| c == '}'));
                    if let Some(digits) = braces.flatten() {
                        // The `u`, and the braces.
                        chars.nth(digits + 2);
                    }
                }
                c if is_part(c) => {}
                _ => {
                    length = at;
                    break;
                }
            }
        }
        let word = &rest[..length];
        // A sharp variable of old, such as `#1=`.
        let begins = |c: char| c.is_alphabetic() || matches!(c, '_' | '$' | '\\');
        if word.strip_prefix('#').is_some_and(|name| !name.starts_with(begins)) {
            return None;
        }
        let member =
            self.tokens.list.last().is_some_and(|_| {
                [".", "?."].contains(&self.tokens.word(self.tokens.list.len() - 1))
            });
        let ends_value = member || !OPERATOR_WORDS.contains(&word);
        self.push(Kind::Word, length, ends_value)
    }

    fn sign(&mut self, c: char) -> Option<()> {
        let after_value = self.after_value();
        match c {
            '(' | '[' | '{' => {
                let value = match c {
                    // The head of a statement is followed by a statement.
                    '(' => !self.after_head(),
                    '[' => true,
                    _ => !self.begins_block(),
                };
                self.push(Kind::Sign, 1, false)?;
                self.open.push(Open { at: self.tokens.list.len() - 1, value });
                Some(())
            }
            ')' | ']' | '}' => {
                self.push(Kind::Sign, 1, true)?;
                self.close()
            }
            // Nothing but XML begins with this where a value is expected.
            '<' if !after_value && !self.tokens.list.is_empty() => None,
            _ => {
                let rest = self.rest();
                // `a?.1:2` is no chain.
                let is_chain = rest
                    .strip_prefix("?.")
                    .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
                let operator = OPERATORS.iter().find(|operator| {
                    rest.starts_with(**operator) && (**operator != "?." || is_chain)
                });
                let length = match operator {
                    Some(operator) => operator.len(),
                    None if "+-*/%=<>!&|^~?:;,.@".contains(c) => 1,
                    None => return None,
                };
                let step = ["++", "--"].contains(&&rest[..length]);
                self.push(Kind::Sign, length, step && after_value)
            }
        }
    }

    fn close(&mut self) -> Option<()> {
        let open = self.open.pop()?;
        let here = self.tokens.list.len() - 1;
        let opener = self.tokens.word(open.at).chars().last()?;
        let closer = self.tokens.word(here).chars().next()?;
        if !["()", "[]", "{}"].contains(&format!("{opener}{closer}").as_str()) {
            return None;
        }
        self.tokens.list[open.at].partner = Some(here);
        self.tokens.list[here].partner = Some(open.at);
        self.tokens.list[here].ends_value = open.value;
        Some(())
    }

    /// Whether the parenthesis that comes is the head of a statement.
    fn after_head(&self) -> bool {
        let last = self.tokens.list.len().wrapping_sub(1);
        let is_each = self.tokens.word(last) == "each"
            && last.checked_sub(1).is_some_and(|before| self.tokens.is(before, "for"));
        is_each || ["if", "while", "for", "with"].iter().any(|word| self.tokens.is(last, word))
    }

    /// Whether the brace that comes begins a block, a class or the body of a function, and no object.
    fn begins_block(&self) -> bool {
        let Some(last) = self.tokens.list.last() else { return true };
        let at = self.tokens.list.len() - 1;
        match self.tokens.word(at) {
            "=>" | ";" | "{" | "do" | "else" | "try" | "finally" | "catch" => true,
            // After a label or a case; in an object a value follows.
            ":" => {
                self.open.last().is_none_or(|open| !open.value && self.tokens.word(open.at) == "{")
            }
            _ => last.ends_value || self.tokens.word(at) == ")",
        }
    }
}

/// Whether a character may be part of a name.
fn is_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '\u{200c}' | '\u{200d}')
}
