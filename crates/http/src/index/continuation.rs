//! Where the next page of an index begins, as the answer to a page tells it: Riak's Erlang terms in base64
//! (fact R312), a key or a pair of a term and a key. Clients take it as it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use mapring_types::{IndexValue, limits as shared};

const VERSION: u8 = 131;
const SMALL_INTEGER: u8 = 97;
const INTEGER: u8 = 98;
const PAIR: [u8; 2] = [104, 2];
const BINARY: u8 = 109;

/// The place of the last hit of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Continuation {
    /// The text of the term, of a range.
    pub(crate) term: Option<Bytes>,
    pub(crate) key: Bytes,
}

/// Writes the place of a hit.
pub(crate) fn write(term: Option<&IndexValue>, key: &[u8]) -> String {
    let mut out = BytesMut::new();
    out.put_u8(VERSION);
    if let Some(term) = term {
        out.put_slice(&PAIR);
        // Larger numbers stand as their text: nobody but this node reads it.
        match term {
            IndexValue::Int(number) => match number.parse::<i32>() {
                Ok(number) => match u8::try_from(number) {
                    Ok(small) => out.put_slice(&[SMALL_INTEGER, small]),
                    Err(_) => {
                        out.put_u8(INTEGER);
                        out.put_i32(number);
                    }
                },
                Err(_) => binary(&mut out, number.as_bytes()),
            },
            IndexValue::Bin(term) => binary(&mut out, term),
        }
    }
    binary(&mut out, key);
    STANDARD.encode(&out)
}

fn binary(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u8(BINARY);
    out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.put_slice(bytes);
}

/// Reads what [`write`] wrote; `None` for anything else.
pub(crate) fn read(token: &str) -> Option<Continuation> {
    // In a URL a `+` that nobody has escaped is a space.
    let bytes = STANDARD.decode(token.replace(' ', "+")).ok()?;
    let rest = bytes.strip_prefix(&[VERSION][..])?;
    let (term, rest) = match rest.strip_prefix(&PAIR[..]) {
        Some(rest) => {
            let (term, rest) = part(rest)?;
            (Some(term), rest)
        }
        None => (None, rest),
    };
    // A key is never a number, whatever its text.
    let (key, rest) = if rest.first() == Some(&BINARY) { part(rest)? } else { return None };
    let names_key = rest.is_empty() && key.len() <= shared::KEY_BYTES;
    names_key.then_some(Continuation { term, key })
}

fn part(bytes: &[u8]) -> Option<(Bytes, &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    match tag {
        SMALL_INTEGER => {
            let (&number, rest) = rest.split_first()?;
            Some((number.to_string().into(), rest))
        }
        INTEGER => {
            let (number, rest) = rest.split_first_chunk()?;
            Some((i32::from_be_bytes(*number).to_string().into(), rest))
        }
        BINARY => {
            let (length, rest) = rest.split_first_chunk()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (bytes, rest) = rest.split_at_checked(length)?;
            Some((Bytes::copy_from_slice(bytes), rest))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(term: Option<IndexValue>, key: &'static str, expect: &str) {
        let written = write(term.as_ref(), key.as_bytes());
        assert!(expect.is_empty() || written == expect, "{written} for {expect}");
        let term = term.map(|term| Bytes::copy_from_slice(term.as_bytes()));
        assert_eq!(read(&written), Some(Continuation { term, key: key.into() }));
    }

    #[test]
    fn places_are_written_as_riak_writes_them() {
        let int = |text: &str| Some(IndexValue::Int(text.to_owned()));
        check(None, "obj49", "g20AAAAFb2JqNDk=");
        check(Some(IndexValue::Bin("val49".into())), "obj49", "g2gCbQAAAAV2YWw0OW0AAAAFb2JqNDk=");
        check(int("301"), "bob", "g2gCYgAAAS1tAAAAA2JvYg==");
        check(int("5"), "k", "");
        check(int("-5"), "k", "");
        check(int("123456789012345678901234567890"), "k", "");
    }

    #[test]
    fn fuzz_continuations() {
        mapring_fuzz::Corpus::of("continuations").run(|bytes| {
            let Some(place) = std::str::from_utf8(bytes).ok().and_then(read) else { return };
            assert!(place.key.len() < bytes.len());
            // A number is written as its text where it comes as one.
            let term = place.term.clone().map(IndexValue::Bin);
            assert_eq!(read(&write(term.as_ref(), &place.key)), Some(place));
        });
    }

    #[test]
    fn other_tokens_are_none() {
        let odd = ["", "x", "g20AAAAFb2JqNDk", "g2o=", "g2gCbQAAAAV2YWw0OQ==", "gm0AAAABaw=="];
        // A number alone, and a pair of numbers.
        for token in odd.into_iter().chain(["g2LgCLgC", "g2gCYQFhAg=="]) {
            assert_eq!(read(token), None, "{token}");
        }
    }
}
