//! Groups in batches, packed: what a combine or a reduce function gets, key by key.

use std::fmt;

use mapring_types::versioned::{Nothing, Versioned};
use mapring_types::{Error, Result};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::packed::{self, Packed};
use crate::varint;

/// Bytes before a group: its flags, how many values it has and how many bytes these take.
const GROUP_BYTES: usize = 9;
/// The group begins here, and not in a batch before.
const FIRST: u8 = 1;
/// The group ends here, and does not go on in the next batch.
const LAST: u8 = 2;

/// A batch of groups. Of a group that is larger than a batch, it has a part.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Groups(Packed);

/// A group, or a part of one.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// The key, see [`crate::key`]. It is not looked at here.
    pub key: &'a [u8],
    /// The order of the first value of this part, see [`crate::segment`].
    pub order: &'a [u8],
    /// Whether the group begins with this part.
    pub first: bool,
    /// Whether the group ends with this part.
    pub last: bool,
    /// How many values there are here.
    pub count: u32,
    /// The values, in their order.
    pub values: Values<'a>,
}

impl Groups {
    /// How many groups there are, parts among them.
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

    /// The groups in their order.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: self.0.things(), left: self.count(), before: 0 }
    }
}

impl Versioned for Groups {
    const WHAT: &'static str = "a batch of groups";
    const VERSION: u8 = 1;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        Packed::read::<Self>(body).map(Self)
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} groups of {} bytes", self.count(), self.bytes())
    }
}

impl<'a> IntoIterator for &'a Groups {
    type Item = Result<Group<'a>>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Reads groups; an error is the last item.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    rest: &'a [u8],
    left: u32,
    before: u32,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Result<Group<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 && self.rest.is_empty() {
            return None;
        }
        let number = self.before;
        let group = self.read();
        if group.is_none() {
            (self.left, self.rest) = (0, &[]);
        }
        let damaged = || Error::corrupt(format!("group {number} of a batch is damaged"));
        Some(group.ok_or_else(damaged))
    }
}

impl<'a> Iter<'a> {
    fn read(&mut self) -> Option<Group<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.before += 1;
        let (head, rest) = self.rest.split_first_chunk::<GROUP_BYTES>()?;
        let [flags, count @ .., a, b, c, d] = head;
        let (key, rest) = varint::read_bytes(rest)?;
        let (order, rest) = varint::read_bytes(rest)?;
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        let (values, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        let count = u32::from_le_bytes(*count);
        Some(Group {
            key,
            order,
            first: flags & FIRST != 0,
            last: flags & LAST != 0,
            count,
            values: Values { rest: values, left: count },
        })
    }
}

/// Reads the values of a group: texts of JSON. An error is the last item.
#[derive(Debug, Clone)]
pub struct Values<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<&'a str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 && self.rest.is_empty() {
            return None;
        }
        let value = self.read();
        if value.is_none() {
            (self.left, self.rest) = (0, &[]);
        }
        Some(value.ok_or_else(|| Error::corrupt("a value of a group is damaged")))
    }
}

impl<'a> Values<'a> {
    fn read(&mut self) -> Option<&'a str> {
        self.left = self.left.checked_sub(1)?;
        let (value, rest) = varint::read_bytes(self.rest)?;
        self.rest = rest;
        std::str::from_utf8(value).ok()
    }
}

impl Serialize for Groups {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Groups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        packed::deserialize(deserializer)
    }
}

/// Packs groups.
#[derive(Debug, Default)]
pub struct Builder {
    packed: Packed,
    groups: u32,
    /// The group that is open, if any: where its head is, where its values are, how many they are.
    open: Option<(usize, usize, u32)>,
    values: usize,
}

impl Builder {
    /// Begins a group, or the next part of one.
    pub fn begin(&mut self, key: &[u8], order: &[u8], first: bool) {
        assert!(self.open.is_none(), "a group ends before the next");
        let bytes = self.packed.open(Groups::VERSION);
        let head = bytes.len();
        bytes.extend([0; GROUP_BYTES]);
        bytes[head] = if first { FIRST } else { 0 };
        varint::write_bytes(key, bytes);
        varint::write_bytes(order, bytes);
        self.open = Some((head, bytes.len(), 0));
        self.groups += 1;
    }

    /// Adds a value to the group that has begun.
    pub fn value(&mut self, value: &[u8]) {
        let open = self.open.as_mut().expect("values belong to a group");
        open.2 += 1;
        self.values += 1;
        varint::write_bytes(value, self.packed.open(Groups::VERSION));
    }

    /// Ends the group, or this part of it.
    pub fn end(&mut self, last: bool) {
        let (head, values, count) = self.open.take().expect("a group has begun");
        let bytes = self.packed.open(Groups::VERSION);
        let length = u32::try_from(bytes.len() - values).expect("batches are bounded");
        let head = &mut bytes[head..head + GROUP_BYTES];
        head[0] |= if last { LAST } else { 0 };
        head[1..5].copy_from_slice(&count.to_le_bytes());
        head[5..].copy_from_slice(&length.to_le_bytes());
    }

    /// Whether a batch of so many values or bytes is full.
    pub fn is_full(&self, max_values: usize, max_bytes: usize) -> bool {
        self.values > 0 && (self.values >= max_values || self.packed.bytes().len() >= max_bytes)
    }

    /// The batch.
    pub fn finish(mut self) -> Groups {
        assert!(self.open.is_none(), "a group ends before its batch");
        self.packed.set_count(self.groups);
        Groups(self.packed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Groups {
        let mut builder = Builder::default();
        builder.begin(b"one", b"", true);
        builder.value(b"1");
        builder.value(b"22");
        builder.end(true);
        builder.begin(b"two", b"xy", false);
        builder.value("é".as_bytes());
        assert!(builder.is_full(3, 1_000) && builder.is_full(9, 10) && !builder.is_full(4, 1_000));
        builder.end(false);
        builder.finish()
    }

    #[test]
    fn groups_come_back() {
        let groups = some();
        let sent = postcard::to_allocvec(&groups).unwrap();
        let back: Groups = postcard::from_bytes(&sent).unwrap();
        assert_eq!((back.count(), back.bytes()), (2, sent.len() - 1));
        let all: Vec<Group<'_>> = back.iter().map(|group| group.unwrap()).collect();
        fn values<'a>(group: &Group<'a>) -> Vec<&'a str> {
            group.values.clone().map(Result::unwrap).collect()
        }
        assert_eq!((all[0].key, all[0].order, all[0].count), (&b"one"[..], &b""[..], 2));
        assert_eq!((all[0].first, all[0].last, values(&all[0])), (true, true, vec!["1", "22"]));
        assert_eq!((all[1].key, all[1].order, all[1].count), (&b"two"[..], &b"xy"[..], 1));
        assert_eq!((all[1].first, all[1].last, values(&all[1])), (false, false, vec!["é"]));

        let none = Builder::default().finish();
        let back: Groups = postcard::from_bytes(&postcard::to_allocvec(&none).unwrap()).unwrap();
        assert!(back.is_empty() && back.iter().next().is_none());
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        let whole = |bytes: &[u8]| -> Result<usize> {
            let groups = Groups::decode(bytes)?;
            let mut values = 0;
            for group in &groups {
                for value in group?.values {
                    values += value?.len();
                }
            }
            Ok(values)
        };
        let good = some().0.bytes().to_vec();
        assert_eq!(whole(&good).unwrap(), 5);
        for cut in 0..good.len() {
            assert!(whole(&good[..cut]).is_err(), "cut to {cut}");
        }
        for at in [0, 1, 6, 10, 14, 19, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 0x7f;
            assert!(whole(&bad).is_err(), "damaged at {at}");
        }
    }
}
