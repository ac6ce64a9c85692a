//! Reading keys: back into JSON, or only to see whether they are keys at all.

use mapring_types::{Error, Result};

use super::{number, tag};
use crate::limits::{KEY_BYTES, KEY_NESTING};

/// Where the JSON goes.
pub(super) trait Sink {
    fn text(&mut self, text: &str);
    fn string(&mut self, text: &str);
    fn surrogate(&mut self, code: u32);
    fn number(&mut self, negative: bool, bytes: &[u8]) -> Option<usize>;
}

/// Nobody wants it.
impl Sink for () {
    fn text(&mut self, _: &str) {}

    fn string(&mut self, _: &str) {}

    fn surrogate(&mut self, _: u32) {}

    fn number(&mut self, negative: bool, bytes: &[u8]) -> Option<usize> {
        number::check(negative, bytes)
    }
}

impl Sink for String {
    fn text(&mut self, text: &str) {
        self.push_str(text);
    }

    fn string(&mut self, text: &str) {
        let mut plain = 0;
        for (at, byte) in text.bytes().enumerate() {
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.push_str(&text[plain..at]);
            plain = at + 1;
            match byte {
                b'"' => self.push_str("\\\""),
                b'\\' => self.push_str("\\\\"),
                0x08 => self.push_str("\\b"),
                0x09 => self.push_str("\\t"),
                0x0a => self.push_str("\\n"),
                0x0c => self.push_str("\\f"),
                0x0d => self.push_str("\\r"),
                _ => self.surrogate(u32::from(byte)),
            }
        }
        self.push_str(&text[plain..]);
    }

    fn surrogate(&mut self, code: u32) {
        self.push_str(&format!("\\u{code:04x}"));
    }

    fn number(&mut self, negative: bool, bytes: &[u8]) -> Option<usize> {
        let (number, length) = number::read(negative, bytes)?;
        number.write_json(self);
        Some(length)
    }
}

/// Reads one whole key.
pub(super) fn read<S: Sink>(key: &[u8], sink: &mut S) -> Result<()> {
    if key.len() > KEY_BYTES {
        return Err(Error::corrupt(format!("a key is longer than {KEY_BYTES} bytes")));
    }
    let mut reader = Reader { key, at: 0, sink };
    match reader.value(0) {
        Some(()) if reader.at == key.len() => Ok(()),
        _ => Err(Error::corrupt(format!("a key is damaged at byte {}", reader.at))),
    }
}

struct Reader<'a, S> {
    key: &'a [u8],
    at: usize,
    sink: &'a mut S,
}

impl<'a, S: Sink> Reader<'a, S> {
    fn value(&mut self, depth: usize) -> Option<()> {
        let tag = *self.key.get(self.at)?;
        self.at += 1;
        match tag {
            tag::NULL => self.sink.text("null"),
            tag::FALSE => self.sink.text("false"),
            tag::TRUE => self.sink.text("true"),
            tag::ZERO => self.sink.text("0"),
            tag::NEGATIVE | tag::POSITIVE => {
                let bytes = &self.key[self.at..];
                self.at += self.sink.number(tag == tag::NEGATIVE, bytes)?;
            }
            tag::STRING => self.string()?,
            tag::ARRAY if depth < KEY_NESTING => self.array(depth + 1)?,
            tag::OBJECT if depth < KEY_NESTING => self.object(depth + 1)?,
            _ => return None,
        }
        Some(())
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.sink.text("[");
        let start = self.at;
        while *self.key.get(self.at)? != tag::END {
            if self.at > start {
                self.sink.text(",");
            }
            self.value(depth)?;
        }
        self.at += 1;
        self.sink.text("]");
        Some(())
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.sink.text("{");
        let mut before: Option<&[u8]> = None;
        while *self.key.get(self.at)? != tag::END {
            let start = self.at;
            if before.is_some() {
                self.sink.text(",");
            }
            if self.key[start] != tag::STRING {
                return None;
            }
            self.value(depth)?;
            let name = &self.key[start..self.at];
            if before.is_some_and(|before| before >= name) {
                return None;
            }
            before = Some(name);
            self.sink.text(":");
            self.value(depth)?;
        }
        self.at += 1;
        self.sink.text("}");
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        let rest = &self.key[self.at..];
        let length = rest.iter().position(|byte| *byte == tag::END)?;
        let escaped = &rest[..length];
        self.sink.text("\"");
        match std::str::from_utf8(escaped) {
            Ok(text) if !escaped.contains(&tag::ESCAPE) => self.sink.string(text),
            _ => self.wtf8(&unescape(escaped)?)?,
        }
        self.sink.text("\"");
        self.at += length + 1;
        Some(())
    }

    /// UTF-8 with surrogates among it, no two of which make a character.
    fn wtf8(&mut self, mut bytes: &[u8]) -> Option<()> {
        let mut high = false;
        while !bytes.is_empty() {
            let length = match std::str::from_utf8(bytes) {
                Ok(_) => bytes.len(),
                Err(error) => error.valid_up_to(),
            };
            let (text, rest) = bytes.split_at(length);
            self.sink.string(std::str::from_utf8(text).ok()?);
            high &= length == 0;
            bytes = rest;
            if let [0xed, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, rest @ ..] = bytes {
                let code = 0xd000 | u32::from(second & 0x3f) << 6 | u32::from(third & 0x3f);
                let low = code >= 0xdc00;
                if high && low {
                    return None;
                }
                self.sink.surrogate(code);
                high = !low;
                bytes = rest;
            } else if !bytes.is_empty() {
                return None;
            }
        }
        Some(())
    }
}

fn unescape(escaped: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            tag::ESCAPE => match rest.next()? {
                1 => 0,
                2 => 1,
                _ => return None,
            },
            byte => byte,
        });
    }
    Some(bytes)
}
