//! A chunked MapReduce answer, taken apart as it comes.
//!
//! Each part is `\r\n--B\r\n`, headers, an empty line and one JSON object; `\r\n--B--` ends the
//! answer. A failure is appended as bare JSON without a boundary. A part is complete as soon as its
//! JSON is, so that no result waits for the next one.

use std::mem;

use bytes::{Buf, BytesMut};

use crate::error::{Error, Result};
use crate::json::Scanner;
use crate::limits;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// The JSON of a part.
    Part(Vec<u8>),
    /// The JSON of a failure.
    Failure(Vec<u8>),
    /// The closing boundary.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a boundary, or a failure.
    Between,
    /// After a boundary, before an empty line.
    Head,
    /// In the JSON of a part.
    Part,
    /// In the JSON of a failure.
    Failure,
    /// After the closing boundary.
    Ended,
}

/// The state of the taking apart.
pub(crate) struct Parser {
    boundary: Vec<u8>,
    state: State,
    scanner: Scanner,
    /// What has come and does not belong to `value`.
    unread: BytesMut,
    /// The JSON so far.
    value: Vec<u8>,
}

impl Parser {
    /// A parser for an answer of the given `Content-Type`.
    pub(crate) fn new(content_type: &str) -> Result<Self> {
        let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        let boundary = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let boundary = name.trim().eq_ignore_ascii_case("boundary");
            boundary.then(|| value.trim().trim_matches('"'))
        });
        match boundary {
            Some(boundary) if kind.trim().eq_ignore_ascii_case("multipart/mixed") => Ok(Self {
                boundary: format!("--{boundary}").into_bytes(),
                state: State::Between,
                scanner: Scanner::default(),
                unread: BytesMut::new(),
                value: Vec::new(),
            }),
            _ => Err(Error::form(format!("{content_type:?} is not multipart/mixed"))),
        }
    }

    /// Takes the next bytes of the body.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// The next item, `None` when more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Item>> {
        loop {
            match self.state {
                State::Between => {
                    if !self.boundary()? {
                        return Ok(None);
                    }
                    if self.state == State::Ended {
                        return Ok(Some(Item::End));
                    }
                }
                State::Head => {
                    let Some(at) = find(&self.unread, b"\r\n\r\n") else {
                        let long = self.unread.len() > limits::PART_HEAD_BYTES;
                        return if long {
                            Err(Error::form("a part has no end of head"))
                        } else {
                            Ok(None)
                        };
                    };
                    self.unread.advance(at + 4);
                    self.state = State::Part;
                }
                State::Part | State::Failure => return self.json(),
                State::Ended => return Ok(None),
            }
        }
    }

    /// Whether the body may end here: after the closing boundary or a failure.
    pub(crate) fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Leaves [`State::Between`]; false when more bytes are needed for that.
    fn boundary(&mut self) -> Result<bool> {
        let white = self.unread.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.unread.advance(white);
        if self.unread.first() == Some(&b'{') {
            self.state = State::Failure;
            return Ok(true);
        }
        let known = self.boundary.len().min(self.unread.len());
        if self.unread.get(..known) != self.boundary.get(..known) {
            return Err(Error::form("there is no boundary between parts"));
        }
        // Two more bytes tell whether another part follows.
        let Some(after) = self.unread.get(known..known + 2) else { return Ok(false) };
        if known < self.boundary.len() {
            return Ok(false);
        }
        self.state = match after {
            b"--" => State::Ended,
            // The line's end stays: it may begin the empty line of a part without headers.
            b"\r\n" => State::Head,
            _ => return Err(Error::form("a boundary is followed by something else")),
        };
        self.unread.advance(known);
        Ok(true)
    }

    fn json(&mut self) -> Result<Option<Item>> {
        let ended = self.scanner.push(&self.unread);
        let length = ended.unwrap_or(self.unread.len());
        if self.value.len() + length > limits::PART_BYTES {
            return Err(Error::TooLarge { limit: limits::PART_BYTES });
        }
        self.value.extend_from_slice(&self.unread.split_to(length));
        if ended.is_none() {
            return Ok(None);
        }
        let value = mem::take(&mut self.value);
        if self.state == State::Failure {
            self.state = State::Ended;
            Ok(Some(Item::Failure(value)))
        } else {
            self.state = State::Between;
            Ok(Some(Item::Part(value)))
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Content-Type: application/json\r\n\r\n";

    fn part(json: &str) -> Item {
        Item::Part(json.into())
    }

    /// Takes `body` apart in pieces of every size.
    #[track_caller]
    fn check(body: &str, expect: &[Item], ended: bool) {
        for size in 1..=body.len() {
            let mut parser = Parser::new("multipart/mixed;boundary=X").unwrap();
            let mut found = Vec::new();
            for piece in body.as_bytes().chunks(size) {
                parser.push(piece);
                while let Some(item) = parser.next().unwrap() {
                    found.push(item);
                }
            }
            assert_eq!(found, expect, "in pieces of {size}");
            assert_eq!(parser.is_ended(), ended);
        }
    }

    #[test]
    fn parts_and_end() {
        let body = format!(
            "\r\n--X\r\n{HEAD}{{\"phase\":0,\"data\":[\"}}--X\"]}}\r\n--X\r\n{HEAD}{{}}\r\n--X--\r\n"
        );
        check(&body, &[part(r#"{"phase":0,"data":["}--X"]}"#), part("{}"), Item::End], true);
        check("\r\n--X--\r\n", &[Item::End], true);
    }

    #[test]
    fn failures_are_bare_json() {
        let failure = r#"{"phase":0,"error":"x"}"#;
        check(failure, &[Item::Failure(failure.into())], true);
        let body = format!("\r\n--X\r\n{HEAD}{{}}{failure}");
        check(&body, &[part("{}"), Item::Failure(failure.into())], true);
        let body = format!("\r\n--X\r\n{HEAD}{{}}\r\n{failure}");
        check(&body, &[part("{}"), Item::Failure(failure.into())], true);
    }

    #[test]
    fn cut_answers_are_not_ended() {
        check(&format!("\r\n--X\r\n{HEAD}{{}}"), &[part("{}")], false);
        check(&format!("\r\n--X\r\n{HEAD}{{}}\r\n--X"), &[part("{}")], false);
        check(&format!("\r\n--X\r\n{HEAD}{{\"a\":"), &[], false);
    }

    /// What comes of an answer in pieces of so many bytes, and whether the last was an error.
    fn items(bytes: &[u8], piece: usize) -> (Vec<Item>, bool) {
        let mut parser = Parser::new("multipart/mixed; boundary=X").unwrap();
        let mut items = Vec::new();
        for piece in bytes.chunks(piece) {
            parser.push(piece);
            loop {
                match parser.next() {
                    Ok(Some(item)) => items.push(item),
                    Ok(None) => break,
                    Err(_) => return (items, true),
                }
            }
        }
        (items, false)
    }

    #[test]
    fn fuzz_parts() {
        mapring_fuzz::Corpus::of("parts").run(|bytes| {
            // A head that is too long is noticed at its end, or before.
            if bytes.len() > limits::PART_HEAD_BYTES {
                return;
            }
            let whole = items(bytes, bytes.len().max(1));
            assert!(whole.0.len() <= bytes.len());
            for piece in [1, 7] {
                assert_eq!(items(bytes, piece), whole, "in pieces of {piece}");
            }
        });
    }

    #[test]
    fn nonsense_is_refused() {
        let mut parser = Parser::new("multipart/mixed; boundary=\"X\"").unwrap();
        parser.push(b"\r\n--Y\r\n");
        assert!(parser.next().is_err());
        assert!(Parser::new("application/json").is_err());
        assert!(Parser::new("multipart/mixed").is_err());
    }
}
