//! The pairs of a map function as they leave a script worker: packed, in the order in which they
//! came.

use std::fmt;

use mapring_types::versioned::{Nothing, Versioned};
use mapring_types::{Error, ErrorKind, Result};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::limits::VALUE_BYTES;
use crate::packed::{self, Packed};
use crate::{key, varint};

/// A pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'a> {
    /// Which input of the batch it came of.
    pub input: u32,
    /// The key, see [`crate::key`].
    pub key: &'a [u8],
    /// The value: JSON.
    pub value: &'a str,
}

/// Pairs, packed: for each the number of its input, the length of the key and the key, the length of
/// the value and its text. What comes from elsewhere is looked at as it is read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pairs(Packed);

impl Pairs {
    /// No pairs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pair. The key must be one of [`crate::key`].
    ///
    /// # Errors
    /// `TooLarge` when the value is longer than [`VALUE_BYTES`].
    pub fn push(&mut self, input: u32, key: &[u8], value: &str) -> Result<()> {
        debug_assert!(key::check(key).is_ok(), "pairs have keys");
        if value.len() > VALUE_BYTES {
            return Err(too_large());
        }
        let count = self.count().checked_add(1).ok_or_else(|| {
            Error::new(ErrorKind::TooLarge, "a list of pairs has more than a number can say")
        })?;
        let bytes = self.0.open(Self::VERSION);
        varint::write(u64::from(input), bytes);
        varint::write_bytes(key, bytes);
        varint::write_bytes(value.as_bytes(), bytes);
        self.0.set_count(count);
        Ok(())
    }

    /// How many pairs there are.
    pub fn count(&self) -> u32 {
        self.0.count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Bytes of the packed form.
    pub fn bytes(&self) -> usize {
        self.0.bytes().len()
    }

    /// The pair at a place where [`Iter`] has read one; its value as bytes.
    pub(crate) fn at(&self, place: u32) -> (u32, &[u8], &[u8]) {
        let fields = self.0.bytes().get(place as usize..).and_then(fields);
        let (input, [key, value, _]) = fields.expect("a pair that was read is there");
        (input as u32, key, value)
    }

    /// The pairs in their order.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: self.0.things(), left: self.count(), before: 0 }
    }
}

impl Versioned for Pairs {
    const WHAT: &'static str = "a list of pairs";
    const VERSION: u8 = 1;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        Packed::read::<Self>(body).map(Self)
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pairs of {} bytes", self.count(), self.bytes())
    }
}

impl<'a> IntoIterator for &'a Pairs {
    type Item = Result<Pair<'a>>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Reads pairs: whatever they are not as they must be is an error, and the last item.
#[derive(Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
    left: u32,
    before: u32,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Result<Pair<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 && self.rest.is_empty() {
            return None;
        }
        let number = self.before;
        let pair = self.read();
        if pair.is_err() {
            (self.left, self.rest) = (0, &[]);
        }
        Some(pair.map_err(|error| error.context(format!("pair {number} of a list"))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // What is claimed takes no memory before it is there: a pair has four bytes at the least.
        (0, Some((self.left as usize).min(self.rest.len() / 4) + 1))
    }
}

impl<'a> Iter<'a> {
    /// Bytes that have not been read.
    pub(crate) fn bytes_left(&self) -> usize {
        self.rest.len()
    }

    fn read(&mut self) -> Result<Pair<'a>> {
        let cut_off = || Error::corrupt("cut off");
        self.left = self.left.checked_sub(1).ok_or_else(|| Error::corrupt("there are more"))?;
        self.before += 1;
        let (input, [key, value, rest]) = fields(self.rest).ok_or_else(cut_off)?;
        let input = u32::try_from(input).map_err(|_| Error::corrupt("no number of an input"))?;
        key::check(key)?;
        if value.len() > VALUE_BYTES {
            return Err(too_large());
        }
        let value = std::str::from_utf8(value)
            .map_err(|error| Error::corrupt("a value that is no text").with_source(error))?;
        self.rest = rest;
        Ok(Pair { input, key, value })
    }
}

/// Input, key and value of the pair that bytes begin with, and what follows it.
fn fields(bytes: &[u8]) -> Option<(u64, [&[u8]; 3])> {
    let (input, rest) = varint::read(bytes)?;
    let (key, rest) = varint::read_bytes(rest)?;
    let (value, rest) = varint::read_bytes(rest)?;
    Some((input, [key, value, rest]))
}

fn too_large() -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!("the value of a pair has more than {VALUE_BYTES} bytes"),
    )
}

impl Serialize for Pairs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        packed::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(json: &str) -> Vec<u8> {
        let mut out = Vec::new();
        key::encode(json, &mut out).unwrap();
        out
    }

    fn some() -> Pairs {
        let mut pairs = Pairs::new();
        pairs.push(0, &key("\"a\""), "1").unwrap();
        pairs.push(0, &key("[1,2]"), "{\"a\":\"é\"}").unwrap();
        pairs.push(300, &key("\"a\""), "").unwrap();
        pairs
    }

    #[test]
    fn pairs_come_back_in_their_order() {
        let pairs = some();
        let sent = postcard::to_allocvec(&pairs).unwrap();
        let back: Pairs = postcard::from_bytes(&sent).unwrap();
        assert_eq!(back, pairs);
        assert_eq!((back.count(), back.bytes()), (3, sent.len() - 1));
        let all: Vec<_> = back.iter().map(|pair| pair.unwrap()).collect();
        assert_eq!(all.iter().map(|pair| pair.input).collect::<Vec<_>>(), [0, 0, 300]);
        assert_eq!(
            all.iter().map(|pair| pair.value).collect::<Vec<_>>(),
            ["1", "{\"a\":\"é\"}", ""]
        );
        assert_eq!(key::decode(all[1].key).unwrap(), "[1,2]");

        let none: Pairs =
            postcard::from_bytes(&postcard::to_allocvec(&Pairs::new()).unwrap()).unwrap();
        assert!(none.is_empty() && none.iter().next().is_none());
    }

    #[track_caller]
    fn refused(bytes: Vec<u8>, words: &str) {
        let text = match Pairs::decode(&bytes) {
            Err(error) => error.to_string(),
            Ok(pairs) => {
                let mut all = pairs.iter().skip_while(Result::is_ok);
                let error = all.next().expect("an error").unwrap_err();
                assert!(all.next().is_none(), "an error is the last item");
                error.to_string()
            }
        };
        assert!(text.contains(words), "{text}");
    }

    #[test]
    fn what_is_no_list_of_pairs_is_refused() {
        let good = some().0.bytes().to_vec();
        for cut in 1..good.len() {
            refused(good[..cut].to_vec(), "");
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        refused(with(0, 9), "version 9");
        refused(with(1, 2), "pair 2 of a list: there are more");
        refused(with(1, 4), "pair 3 of a list: cut off");
        refused(with(4, 255), "pair 3 of a list: cut off");
        refused(with(6, 200), "pair 0 of a list");
        refused(with(7, 99), "pair 0 of a list: a key is damaged at byte 1");
        refused(with(11, 0xff), "pair 0 of a list: a value that is no text");
        refused(Vec::new(), "empty");
    }
}
