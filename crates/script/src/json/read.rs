//! The reader.

use crate::limits;

/// Builds values of some kind while a text is read.
pub(crate) trait Build {
    /// A value.
    type Value;
    /// A name in an object.
    type Key;
    /// An object under way.
    type Object;

    fn null(&mut self) -> Self::Value;
    fn boolean(&mut self, value: bool) -> Self::Value;
    /// The text follows JSON's grammar of numbers.
    fn number(&mut self, text: &str) -> Result<Self::Value, ReadError>;
    fn string(&mut self, text: Text<'_>) -> Result<Self::Value, ReadError>;
    fn array(&mut self, items: Vec<Self::Value>) -> Self::Value;
    fn key(&mut self, text: Text<'_>) -> Result<Self::Key, ReadError>;
    /// Whether the value under a name is wanted; it is read and left out if not.
    fn wants(&self, _key: &Self::Key) -> bool {
        true
    }
    fn begin(&mut self) -> Self::Object;
    /// A name that comes again replaces the earlier value and keeps its place.
    fn insert(&mut self, object: &mut Self::Object, key: Self::Key, value: Self::Value);
    fn finish(&mut self, object: Self::Object) -> Self::Value;
}

/// A string without its escapes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Text<'a> {
    /// Ordinary text.
    Plain(&'a str),
    /// UTF-16 code units with at least one lone surrogate among them.
    Wide(&'a [u16]),
}

/// Why a text could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadError {
    /// What is wrong.
    pub(crate) what: &'static str,
    /// At which byte.
    pub(crate) at: usize,
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JSON: {} at byte {}", self.what, self.at)
    }
}

/// Reads one JSON text.
pub(crate) fn read<B: Build>(text: &str, build: &mut B) -> Result<B::Value, ReadError> {
    let mut reader = Reader { text, at: 0, depth: 0, build, scratch: String::new() };
    reader.space();
    let value = reader.value()?;
    reader.space();
    if reader.at < text.len() {
        Err(reader.wrong("unexpected text after the value"))
    } else {
        Ok(value)
    }
}

/// Builds nothing.
struct Nothing;

impl Build for Nothing {
    type Value = ();
    type Key = ();
    type Object = ();

    fn null(&mut self) {}

    fn boolean(&mut self, _value: bool) {}

    fn number(&mut self, _text: &str) -> Result<(), ReadError> {
        Ok(())
    }

    fn string(&mut self, _text: Text<'_>) -> Result<(), ReadError> {
        Ok(())
    }

    fn array(&mut self, _items: Vec<()>) {}

    fn key(&mut self, _text: Text<'_>) -> Result<(), ReadError> {
        Ok(())
    }

    fn begin(&mut self) {}

    fn insert(&mut self, _object: &mut (), _key: (), _value: ()) {}

    fn finish(&mut self, _object: ()) {}
}

struct Reader<'a, B: Build> {
    text: &'a str,
    at: usize,
    depth: usize,
    build: &'a mut B,
    scratch: String,
}

impl<B: Build> Reader<'_, B> {
    fn wrong(&self, what: &'static str) -> ReadError {
        ReadError { what, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), ReadError> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.wrong("unexpected character"))
        }
    }

    fn value(&mut self) -> Result<B::Value, ReadError> {
        match self.peek() {
            Some(b'"') => self.string(|build, text| build.string(text)),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => {
                let start = self.at;
                self.number()?;
                self.build.number(&self.text[start..self.at])
            }
            Some(b't') => self.literal("true").map(|()| self.build.boolean(true)),
            Some(b'f') => self.literal("false").map(|()| self.build.boolean(false)),
            Some(b'n') => self.literal("null").map(|()| self.build.null()),
            Some(_) => Err(self.wrong("unexpected character")),
            None => Err(self.wrong("unexpected end")),
        }
    }

    fn nested(
        &mut self,
        inner: fn(&mut Self) -> Result<B::Value, ReadError>,
    ) -> Result<B::Value, ReadError> {
        self.depth += 1;
        if self.depth > limits::JSON_DEPTH {
            return Err(self.wrong("nested too deeply"));
        }
        self.at += 1;
        self.space();
        let value = inner(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<B::Value, ReadError> {
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(self.build.array(items));
        }
        loop {
            items.push(self.value()?);
            if !self.more(b']')? {
                return Ok(self.build.array(items));
            }
        }
    }

    fn object(&mut self) -> Result<B::Value, ReadError> {
        let mut object = self.build.begin();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(self.build.finish(object));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.wrong("expected a property name"));
            }
            let key = self.string(|build, text| build.key(text))?;
            self.space();
            self.literal(":")?;
            self.space();
            if self.build.wants(&key) {
                let value = self.value()?;
                self.build.insert(&mut object, key, value);
            } else {
                self.pass_over()?;
            }
            if !self.more(b'}')? {
                return Ok(self.build.finish(object));
            }
        }
    }

    /// Reads a value of which nothing is kept.
    fn pass_over(&mut self) -> Result<(), ReadError> {
        let (text, at, depth) = (self.text, self.at, self.depth);
        let mut reader = Reader {
            text,
            at,
            depth,
            build: &mut Nothing,
            scratch: std::mem::take(&mut self.scratch),
        };
        reader.value()?;
        (self.at, self.scratch) = (reader.at, reader.scratch);
        Ok(())
    }

    /// Whether a comma comes, rather than the given end.
    fn more(&mut self, end: u8) -> Result<bool, ReadError> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            Some(_) => Err(self.wrong("expected a comma or the end of the list")),
            None => Err(self.wrong("unexpected end")),
        }
    }

    fn digits(&mut self) -> Result<(), ReadError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.wrong("expected a digit")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), ReadError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn string<T>(
        &mut self,
        take: impl FnOnce(&mut B, Text<'_>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let text = &self.text[start..self.at];
                    self.at += 1;
                    return take(self.build, Text::Plain(text));
                }
                Some(b'\\') => break,
                Some(0..=0x1f) => return Err(self.wrong("control character in a string")),
                Some(_) => self.at += 1,
                None => return Err(self.wrong("unterminated string")),
            }
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.push_str(&self.text[start..self.at]);
        let wide = self.escaped(&mut scratch)?;
        let taken = match &wide {
            Some(units) => take(self.build, Text::Wide(units)),
            None => take(self.build, Text::Plain(&scratch)),
        };
        self.scratch = scratch;
        taken
    }

    /// Reads the rest of a string from its first escape on; gives code units when there is a lone
    /// surrogate.
    fn escaped(&mut self, out: &mut String) -> Result<Option<Vec<u16>>, ReadError> {
        let mut wide: Option<Vec<u16>> = None;
        loop {
            let start = self.at;
            while let Some(0x20..=0x21 | 0x23..=0x5b | 0x5d..) = self.peek() {
                self.at += 1;
            }
            let plain = &self.text[start..self.at];
            match &mut wide {
                Some(units) => units.extend(plain.encode_utf16()),
                None => out.push_str(plain),
            }
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(wide);
                }
                Some(b'\\') => {}
                Some(_) => return Err(self.wrong("control character in a string")),
                None => return Err(self.wrong("unterminated string")),
            }
            let unit = self.escape()?;
            let c = match unit {
                0xd800..=0xdbff => self.low_surrogate(unit)?,
                0xdc00..=0xdfff => None,
                _ => char::from_u32(u32::from(unit)),
            };
            match (c, &mut wide) {
                (Some(c), Some(units)) => units.extend(c.encode_utf16(&mut [0; 2]).iter()),
                (Some(c), None) => out.push(c),
                (None, Some(units)) => units.push(unit),
                (None, None) => wide = Some(out.encode_utf16().chain([unit]).collect()),
            }
        }
    }

    /// Reads the low surrogate after a high one, if it stands there.
    fn low_surrogate(&mut self, high: u16) -> Result<Option<char>, ReadError> {
        let back = self.at;
        if self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            let low = self.escape()?;
            if (0xdc00..=0xdfff).contains(&low) {
                return Ok(char::decode_utf16([high, low]).next().and_then(Result::ok));
            }
        }
        self.at = back;
        Ok(None)
    }

    fn escape(&mut self) -> Result<u16, ReadError> {
        self.at += 1;
        let unit = match self.peek() {
            Some(b'b') => 0x08,
            Some(b't') => 0x09,
            Some(b'n') => 0x0a,
            Some(b'f') => 0x0c,
            Some(b'r') => 0x0d,
            Some(byte @ (b'"' | b'\\' | b'/')) => u16::from(byte),
            Some(b'u') => {
                let digits = self.text.as_bytes().get(self.at + 1..self.at + 5);
                let unit = digits
                    .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
                    .and_then(|digits| std::str::from_utf8(digits).ok())
                    .and_then(|digits| u16::from_str_radix(digits, 16).ok())
                    .ok_or_else(|| self.wrong("bad escape in a string"))?;
                self.at += 4;
                unit
            }
            Some(_) => return Err(self.wrong("bad escape in a string")),
            None => return Err(self.wrong("unterminated string")),
        };
        self.at += 1;
        Ok(unit)
    }
}
