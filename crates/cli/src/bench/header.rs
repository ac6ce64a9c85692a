//! Headers that a load generator sends, with what differs from request to request.

use std::io::Write as _;

use super::random::Random;
use crate::limits;

/// A header to be sent with each write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The key, or as many of its last digits.
    Key(Option<u32>),
    /// So many digits.
    Random(u32),
}

impl Header {
    /// Reads `NAME: VALUE` with `{key}`, `{key:N}` and `{random:N}` in it.
    ///
    /// # Errors
    /// Says what is wrong: no name, something else in braces, or what no header can hold.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((name, _)) if !name.is_empty() && !name.contains(['{', ' ']) => {}
            _ => return Err("a header is NAME: VALUE".to_owned()),
        }
        if text.contains(|letter: char| letter.is_control()) {
            return Err("a header is one line".to_owned());
        }
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or("a brace is not closed")?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::parse(name)?);
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// Writes the line of a request about a key.
    pub(super) fn write(
        &self,
        request: &mut Vec<u8>,
        key: u64,
        random: &mut Random,
    ) -> std::io::Result<()> {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => request.extend_from_slice(text.as_bytes()),
                Piece::Key(None) => write!(request, "{key:09}")?,
                Piece::Key(Some(digits)) => write_digits(request, key, *digits)?,
                Piece::Random(digits) => {
                    write_digits(request, random.below(10u64.pow(*digits)), *digits)?;
                }
            }
        }
        request.extend_from_slice(b"\r\n");
        Ok(())
    }
}

/// The last digits of a number.
fn write_digits(request: &mut Vec<u8>, number: u64, digits: u32) -> std::io::Result<()> {
    let width = digits as usize;
    write!(request, "{:0width$}", number % 10u64.pow(digits))
}

impl Piece {
    fn parse(name: &str) -> Result<Self, String> {
        let unknown = || format!("{{{name}}} is none of {{key}}, {{key:N}}, {{random:N}}");
        let (name, digits) = match name.split_once(':') {
            None => (name, None),
            Some((name, digits)) => (name, Some(digits)),
        };
        let digits = digits.map(|digits| digits.parse().map_err(|_| unknown())).transpose()?;
        if digits.is_some_and(|digits| !(1..=limits::KEY_DIGITS).contains(&digits)) {
            return Err(format!("from 1 to {} digits can be asked for", limits::KEY_DIGITS));
        }
        match (name, digits) {
            ("key", digits) => Ok(Self::Key(digits)),
            ("random", Some(digits)) => Ok(Self::Random(digits)),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, key: u64) -> String {
        let mut request = Vec::new();
        let header = Header::parse(text).unwrap();
        header.write(&mut request, key, &mut Random::new(1)).unwrap();
        String::from_utf8(request).unwrap()
    }

    #[test]
    fn keys_and_random_numbers_stand_in_headers() {
        assert_eq!(line("X-Riak-Index-n_int: {key}", 42), "X-Riak-Index-n_int: 000000042\r\n");
        assert_eq!(line("A: a{key:2}b{key:3}", 1_234), "A: a34b234\r\n");
        assert_eq!(line("A: b", 1), "A: b\r\n");
        let random = line("A: {random:4}", 1);
        assert!(random[3..7].bytes().all(|byte| byte.is_ascii_digit()), "{random}");
        assert_eq!(random.len(), "A: 1234\r\n".len());
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let wrong = ["", "A", ": b", "A b: c", "A: {", "A: {ke}", "A: {key:0}", "A: {key:10}"];
        for text in wrong.iter().chain(&["A: {random}", "A: {key:x}", "A: b\r\nC: d", "{key}: b"]) {
            assert!(Header::parse(text).is_err(), "{text:?}");
        }
    }
}
