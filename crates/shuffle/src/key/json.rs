//! Reading JSON text into a key.

use mapring_types::{Error, Result};

use super::number;
use super::writer::{Text, Writer, surrogate};

/// Reads one value, with nothing but white space around it.
pub(super) fn read(text: &str, writer: &mut Writer<'_>) -> Result<()> {
    let mut parser = Parser { text, at: 0 };
    parser.space();
    parser.value(writer)?;
    parser.space();
    if parser.at < text.len() { Err(parser.wrong()) } else { Ok(()) }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self, writer: &mut Writer<'_>) -> Result<()> {
        match self.peek() {
            Some(b'"') => self.string(|text| writer.string(text)),
            Some(b'[') => self.array(writer),
            Some(b'{') => self.object(writer),
            Some(b'n') => self.word("null").and_then(|()| writer.null()),
            Some(b'f') => self.word("false").and_then(|()| writer.bool(false)),
            Some(b't') => self.word("true").and_then(|()| writer.bool(true)),
            _ => {
                let rest = &self.text[self.at..];
                let length = number::scan(rest.as_bytes()).ok_or_else(|| self.wrong())?;
                writer.number_text(&rest[..length])?;
                self.at += length;
                Ok(())
            }
        }
    }

    /// How deep arrays and objects go is the writer's to bound.
    fn array(&mut self, writer: &mut Writer<'_>) -> Result<()> {
        writer.begin_array()?;
        self.list(b']', |parser| parser.value(writer))?;
        writer.end_array();
        Ok(())
    }

    fn object(&mut self, writer: &mut Writer<'_>) -> Result<()> {
        writer.begin_object()?;
        self.list(b'}', |parser| {
            parser.string(|name| writer.name(name))?;
            parser.space();
            parser.byte(b':')?;
            parser.space();
            parser.value(writer)
        })?;
        writer.end_object();
        Ok(())
    }

    /// What stands between brackets, with commas between.
    fn list(&mut self, close: u8, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.at += 1;
        self.space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            self.space();
            if self.peek() == Some(close) {
                self.at += 1;
                return Ok(());
            }
            self.byte(b',')?;
            self.space();
        }
    }

    fn string(&mut self, to: impl FnOnce(Text<'_>) -> Result<()>) -> Result<()> {
        self.byte(b'"')?;
        let plain = self.plain();
        if self.peek() == Some(b'"') {
            self.at += 1;
            return to(Text::Utf8(plain));
        }
        let mut bytes = plain.as_bytes().to_vec();
        // A first surrogate, whose partner may follow at once.
        let mut high: Option<u32> = None;
        loop {
            let part = self.plain();
            let close = self.peek() == Some(b'"');
            if close || !part.is_empty() {
                bytes.extend(high.take().into_iter().flat_map(surrogate));
                bytes.extend_from_slice(part.as_bytes());
            }
            if close {
                break;
            }
            let code = self.escape()?;
            match (high.take(), code) {
                (Some(first), 0xdc00..0xe000) => {
                    push_code(0x10000 + ((first - 0xd800) << 10) + (code - 0xdc00), &mut bytes);
                }
                (first, _) => {
                    bytes.extend(first.into_iter().flat_map(surrogate));
                    if (0xd800..0xdc00).contains(&code) {
                        high = Some(code);
                    } else {
                        push_code(code, &mut bytes);
                    }
                }
            }
        }
        self.at += 1;
        to(Text::Wtf8(&bytes))
    }

    /// What comes before the next quote, escape or character that must not stand there.
    fn plain(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
        let length = rest.as_bytes().iter().position(special).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// The character that an escape stands for.
    fn escape(&mut self) -> Result<u32> {
        self.byte(b'\\')?;
        let kind = self.peek().ok_or_else(|| self.wrong())?;
        let code = match kind {
            b'"' | b'\\' | b'/' => u32::from(kind),
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => 0x0a,
            b'r' => 0x0d,
            b't' => 0x09,
            b'u' => {
                let digits = self.text.as_bytes().get(self.at + 1..self.at + 5);
                let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
                let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
                let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
                let code = code.ok_or_else(|| self.wrong())?;
                self.at += 4;
                code
            }
            _ => return Err(self.wrong()),
        };
        self.at += 1;
        Ok(code)
    }

    fn word(&mut self, word: &str) -> Result<()> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.wrong());
        }
        self.at += word.len();
        Ok(())
    }

    fn byte(&mut self, byte: u8) -> Result<()> {
        if self.peek() != Some(byte) {
            return Err(self.wrong());
        }
        self.at += 1;
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn wrong(&self) -> Error {
        Error::invalid(format!("a key is no JSON: wrong at byte {}", self.at))
    }
}

fn push_code(code: u32, bytes: &mut Vec<u8>) {
    let mut buffer = [0; 4];
    match char::from_u32(code) {
        Some(char) => bytes.extend_from_slice(char.encode_utf8(&mut buffer).as_bytes()),
        None => bytes.extend(surrogate(code)),
    }
}
