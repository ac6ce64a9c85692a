//! base64 (RFC 4648), in either alphabet, with or without padding, broken into lines or not.

use crate::documents::{Documents, stop};
use crate::error::Pull;
use crate::limits;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// The layer.
pub(crate) struct Base64 {
    inner: Box<dyn Documents>,
    /// Digits that are not decoded yet.
    digits: Vec<u8>,
    /// Digits that the document has had.
    count: u64,
    /// Signs of padding that it has had: nothing but these may follow.
    padding: u64,
    /// What is wrong with the next byte: told when all before it has been taken.
    wrong: Option<&'static str>,
    over: bool,
    decoded: Vec<u8>,
    taken: usize,
    at: u64,
}

impl Base64 {
    pub(crate) fn new(inner: Box<dyn Documents>) -> Self {
        Self {
            inner,
            digits: Vec::new(),
            count: 0,
            padding: 0,
            wrong: None,
            over: true,
            decoded: Vec::new(),
            taken: 0,
            at: 0,
        }
    }

    /// Takes digits from what the layer below has ready, up to what is wrong.
    fn take_digits(&mut self) {
        let ready = self.inner.bytes();
        let mut count = 0;
        for byte in ready.iter().copied().take(limits::BUFFER_BYTES) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'=' => self.padding += 1,
                _ if self.padding > 0 => self.wrong = Some("text follows the padding"),
                b'-' => self.digits.push(b'+'),
                b'_' => self.digits.push(b'/'),
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => self.digits.push(byte),
                _ => self.wrong = Some("here is no digit of base64"),
            }
            if self.wrong.is_some() {
                break;
            }
            count += 1;
        }
        self.inner.consume(count);
    }

    fn fail<T>(&mut self, what: &str) -> Pull<T> {
        self.over = true;
        stop(self.inner.as_ref(), self.inner.at(), what)
    }

    /// Decodes the digits that are there, but for those of a group that is not whole.
    fn decode(&mut self, last: bool) -> Pull<()> {
        let whole = self.digits.len() - if last { 0 } else { self.digits.len() % 4 };
        (self.taken, self.count) = (0, self.count + whole as u64);
        self.decoded.clear();
        let done = ENGINE.decode_vec(&self.digits[..whole], &mut self.decoded);
        self.digits.drain(..whole);
        match done {
            Ok(()) => Ok(()),
            Err(_) => self.fail("the text is cut off or damaged"),
        }
    }

    fn end(&mut self) -> Pull<()> {
        self.over = true;
        self.decode(true)?;
        let missing = (4 - self.count % 4) % 4;
        if self.padding > 0 && self.padding != missing {
            return self.fail("the padding does not fit the text: it is cut off or damaged");
        }
        Ok(())
    }
}

impl Documents for Base64 {
    fn below(&self) -> Option<&dyn Documents> {
        Some(self.inner.as_ref())
    }

    fn below_mut(&mut self) -> Option<&mut dyn Documents> {
        Some(self.inner.as_mut())
    }

    fn next(&mut self) -> Pull<bool> {
        self.digits.clear();
        self.decoded.clear();
        self.over = true;
        let some = self.inner.next()?;
        (self.count, self.padding, self.taken, self.at) = (0, 0, 0, 0);
        self.wrong = None;
        self.over = !some;
        Ok(some)
    }

    fn fill(&mut self) -> Pull<bool> {
        while self.bytes().is_empty() {
            if self.over {
                return Ok(false);
            }
            if let Some(wrong) = self.wrong {
                return self.fail(wrong);
            }
            if self.inner.fill()? {
                self.take_digits();
                self.decode(false)?;
            } else {
                self.end()?;
            }
        }
        Ok(true)
    }

    fn bytes(&self) -> &[u8] {
        &self.decoded[self.taken..]
    }

    fn consume(&mut self, count: usize) {
        self.taken += count;
        self.at += count as u64;
    }

    fn at(&self) -> u64 {
        self.at
    }

    fn names(&self, within: &mut Vec<String>) {
        self.inner.names(within);
        within.push("decoded".to_owned());
    }
}
