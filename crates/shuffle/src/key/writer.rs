//! Writing keys.

use mapring_types::{Error, ErrorKind, Result};

use super::{number, tag};
use crate::limits::{KEY_BYTES, KEY_NESTING};

/// A text, as programs hold it.
#[derive(Debug, Clone, Copy)]
pub enum Text<'a> {
    /// UTF-8.
    Utf8(&'a str),
    /// A byte a character, up to U+00FF: how JavaScript keeps what has no others.
    Latin1(&'a [u8]),
    /// UTF-16, surrogates without a partner among it.
    Utf16(&'a [u16]),
    /// UTF-8 but for surrogates without a partner, which are three bytes, as UTF-8 would have them.
    /// Never a pair of them.
    Wtf8(&'a [u8]),
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::Utf8(text)
    }
}

/// Writes one key: one value, from its outside in. The calls must make a value, as calls of a
/// writer of JSON must; what a writer leaves that is not finished is taken away.
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// Where the key begins.
    start: usize,
    open: Vec<Open>,
    finished: bool,
}

enum Open {
    Array,
    Object(Vec<Member>),
}

/// Where a member of an object lies in what is written: the name up to `value`, the value up to the
/// next member.
#[derive(Clone, Copy)]
struct Member {
    name: usize,
    value: usize,
}

impl<'a> Writer<'a> {
    /// Writes to the end of `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { start: out.len(), out, open: Vec::new(), finished: false }
    }

    /// Writes null.
    ///
    /// # Errors
    /// This and all others: `TooLarge` when the key is longer than [`KEY_BYTES`].
    pub fn null(&mut self) -> Result<()> {
        self.begin(tag::NULL)
    }

    /// Writes false or true.
    ///
    /// # Errors
    /// See [`Writer::null`].
    pub fn bool(&mut self, value: bool) -> Result<()> {
        self.begin(if value { tag::TRUE } else { tag::FALSE })
    }

    /// Writes a number of JavaScript; what is not finite is null, as in its JSON.
    ///
    /// # Errors
    /// See [`Writer::null`].
    pub fn number(&mut self, value: f64) -> Result<()> {
        self.room(0)?;
        self.expect_value();
        number::write(value, self.out);
        Ok(())
    }

    /// Writes a number of JSON, with all its digits.
    ///
    /// # Errors
    /// See [`Writer::null`]; `Invalid` for what is no number.
    pub fn number_text(&mut self, text: &str) -> Result<()> {
        if number::scan(text.as_bytes()) != Some(text.len()) {
            return Err(Error::invalid("a number of a key is no number of JSON"));
        }
        self.room(text.len() / 2)?;
        self.expect_value();
        number::write_text(text.as_bytes(), self.out)
    }

    /// Writes a string.
    ///
    /// # Errors
    /// See [`Writer::null`].
    pub fn string<'t>(&mut self, text: impl Into<Text<'t>>) -> Result<()> {
        self.expect_value();
        self.text(text.into())
    }

    /// Begins an array: its elements follow.
    ///
    /// # Errors
    /// See [`Writer::null`]; `Invalid` when it is nested deeper than [`KEY_NESTING`].
    pub fn begin_array(&mut self) -> Result<()> {
        self.deeper()?;
        self.begin(tag::ARRAY)?;
        self.open.push(Open::Array);
        Ok(())
    }

    /// Ends the array.
    pub fn end_array(&mut self) {
        let open = self.open.pop();
        assert!(matches!(open, Some(Open::Array)), "no array is open");
        self.out.push(tag::END);
    }

    /// Begins an object: its members follow, each as a name and a value.
    ///
    /// # Errors
    /// As [`Writer::begin_array`].
    pub fn begin_object(&mut self) -> Result<()> {
        self.deeper()?;
        self.begin(tag::OBJECT)?;
        self.open.push(Open::Object(Vec::new()));
        Ok(())
    }

    /// The name of the member whose value is next. Where a name comes again, the last one counts.
    ///
    /// # Errors
    /// See [`Writer::null`].
    pub fn name<'t>(&mut self, name: impl Into<Text<'t>>) -> Result<()> {
        let start = self.out.len();
        self.text(name.into())?;
        let value = self.out.len();
        match self.open.last_mut() {
            Some(Open::Object(members)) => {
                assert!(
                    members.last().is_none_or(|last| last.value < start),
                    "a member of no value"
                );
                members.push(Member { name: start, value });
            }
            _ => panic_outside(),
        }
        Ok(())
    }

    /// Ends the object.
    pub fn end_object(&mut self) {
        let Some(Open::Object(members)) = self.open.pop() else { panic_outside() };
        let complete = members.last().is_none_or(|last| last.value < self.out.len());
        assert!(complete, "a member of no value");
        self.sort(&members);
        self.out.push(tag::END);
    }

    /// Ends the key.
    ///
    /// # Errors
    /// See [`Writer::null`].
    pub fn finish(mut self) -> Result<()> {
        assert!(self.open.is_empty() && self.out.len() > self.start, "a key is one whole value");
        self.room(0)?;
        self.finished = true;
        Ok(())
    }

    fn begin(&mut self, tag: u8) -> Result<()> {
        self.room(0)?;
        self.expect_value();
        self.out.push(tag);
        Ok(())
    }

    /// A value may stand here: first of all, as an element, or after a name.
    fn expect_value(&self) {
        let expected = match self.open.last() {
            None => self.out.len() == self.start,
            Some(Open::Array) => true,
            Some(Open::Object(members)) => {
                members.last().is_some_and(|last| last.value == self.out.len())
            }
        };
        assert!(expected, "no value of a key stands here");
    }

    fn deeper(&self) -> Result<()> {
        if self.open.len() < KEY_NESTING {
            return Ok(());
        }
        Err(Error::invalid(format!("a key is nested deeper than {KEY_NESTING}")))
    }

    /// Whether so many bytes more are within the bound.
    fn room(&self, bytes: usize) -> Result<()> {
        if self.out.len() - self.start + bytes <= KEY_BYTES {
            return Ok(());
        }
        Err(Error::new(ErrorKind::TooLarge, format!("a key is longer than {KEY_BYTES} bytes")))
    }

    fn text(&mut self, text: Text<'_>) -> Result<()> {
        self.room(match text {
            Text::Utf8(text) => text.len(),
            Text::Latin1(bytes) | Text::Wtf8(bytes) => bytes.len(),
            Text::Utf16(units) => units.len(),
        })?;
        self.out.push(tag::STRING);
        match text {
            Text::Utf8(text) => self.text_bytes(text.as_bytes()),
            Text::Wtf8(bytes) => self.text_bytes(bytes),
            Text::Latin1(bytes) if bytes.is_ascii() => self.text_bytes(bytes),
            Text::Latin1(bytes) => {
                bytes.iter().for_each(|byte| self.text_char(u32::from(*byte)));
            }
            Text::Utf16(units) => {
                for unit in char::decode_utf16(units.iter().copied()) {
                    self.text_char(match unit {
                        Ok(char) => u32::from(char),
                        Err(alone) => u32::from(alone.unpaired_surrogate()),
                    });
                }
            }
        }
        self.out.push(tag::END);
        Ok(())
    }

    fn text_bytes(&mut self, bytes: &[u8]) {
        if bytes.iter().all(|byte| *byte > tag::ESCAPE) {
            self.out.extend_from_slice(bytes);
            return;
        }
        for &byte in bytes {
            if byte <= tag::ESCAPE {
                self.out.extend([tag::ESCAPE, byte + 1]);
            } else {
                self.out.push(byte);
            }
        }
    }

    fn text_char(&mut self, code: u32) {
        let mut buffer = [0; 4];
        match char::from_u32(code) {
            Some(char) => self.text_bytes(char.encode_utf8(&mut buffer).as_bytes()),
            None => self.out.extend(surrogate(code)),
        }
    }

    /// Puts the members of the object that ends here in the order of their names.
    fn sort(&mut self, members: &[Member]) {
        let name = |member: &Member| &self.out[member.name..member.value];
        if members.is_sorted_by(|one, next| name(one) < name(next)) {
            return;
        }
        let ends = members[1..].iter().map(|next| next.name).chain([self.out.len()]);
        let mut whole: Vec<(Member, usize)> = members.iter().copied().zip(ends).collect();
        // The last of a name comes first of them, and the first of them stays.
        whole.reverse();
        whole.sort_by(|(one, _), (other, _)| name(one).cmp(name(other)));
        whole.dedup_by(|(next, _), (one, _)| name(next) == name(one));
        let sorted: Vec<u8> =
            whole.iter().flat_map(|(member, end)| &self.out[member.name..*end]).copied().collect();
        self.out.truncate(members[0].name);
        self.out.extend_from_slice(&sorted);
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}

/// A surrogate as three bytes.
pub(super) fn surrogate(code: u32) -> [u8; 3] {
    [0xed, 0x80 | (code >> 6 & 0x3f) as u8, 0x80 | (code & 0x3f) as u8]
}

#[allow(clippy::panic)] // A call that makes no value: a defect of the caller.
fn panic_outside() -> ! {
    panic!("no object is open")
}
