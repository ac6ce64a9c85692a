//! Objects as they are stored and sent: a head with everything but the bytes, and the bytes.
//!
//! The split lets a key-only scan read heads alone, and lets large bodies lie elsewhere.

use bytes::{Bytes, BytesMut};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::{Dot, VersionVector};
use crate::error::{Error, Result};
use crate::object::{Metadata, Object, Sibling};

/// An encoded object. Engines and the wire treat both parts as opaque.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub struct Record {
    /// A version byte, the clock and every sibling without its bytes.
    pub head: Bytes,
    /// The bytes of the siblings one after another.
    pub body: Bytes,
}

/// The current version of the head.
const VERSION: u8 = 1;

/// What a head says, as it is read.
#[derive(Deserialize)]
struct HeadV1 {
    clock: VersionVector,
    siblings: Vec<SiblingV1<Metadata>>,
}

/// As it is written: nothing is copied before.
#[derive(Serialize)]
struct HeadOf<'a> {
    clock: &'a VersionVector,
    siblings: SiblingsOf<'a>,
}

#[derive(Serialize, Deserialize)]
struct SiblingV1<M> {
    dot: Dot,
    last_modified: u64,
    deleted: bool,
    metadata: M,
    body_bytes: u64,
}

struct SiblingsOf<'a>(&'a [Sibling]);

impl Serialize for SiblingsOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|sibling| SiblingV1 {
            dot: sibling.dot,
            last_modified: sibling.last_modified,
            deleted: sibling.deleted,
            metadata: &sibling.metadata,
            body_bytes: sibling.body.len() as u64,
        }))
    }
}

/// Room for most heads, in bytes.
const USUAL_HEAD: usize = 128;

impl Record {
    /// Encodes an object. One sibling's body is shared, not copied.
    pub fn encode(object: &Object) -> Self {
        let head = HeadOf { clock: &object.clock, siblings: SiblingsOf(&object.siblings) };
        let mut begun = Vec::with_capacity(USUAL_HEAD);
        begun.push(VERSION);
        // Writing to memory cannot fail: every field has a known length.
        let head = postcard::to_extend(&head, begun).unwrap_or_default();
        let body = match object.siblings.as_slice() {
            [only] => only.body.clone(),
            several => {
                let mut body = BytesMut::with_capacity(object.body_bytes());
                several.iter().for_each(|sibling| body.extend_from_slice(&sibling.body));
                body.freeze()
            }
        };
        Self { head: head.into(), body }
    }

    /// Decodes the object.
    ///
    /// # Errors
    /// `Corrupt` when the head cannot be read or the body is not as long as the head says.
    pub fn decode(&self) -> Result<Object> {
        let head = decode_head(&self.head)?;
        let mut rest = self.body.clone();
        let mut siblings = Vec::with_capacity(head.siblings.len());
        for stored in head.siblings {
            if stored.body_bytes > rest.len() as u64 {
                return Err(Error::corrupt("a stored body is shorter than its head says"));
            }
            // The comparison above keeps this within the length of a buffer in memory.
            let body = rest.split_to(usize::try_from(stored.body_bytes).unwrap_or(0));
            siblings.push(stored.with(body));
        }
        if !rest.is_empty() {
            return Err(Error::corrupt("a stored body is longer than its head says"));
        }
        Ok(Object { clock: head.clock, siblings })
    }

    /// The object without the bytes of its siblings.
    ///
    /// # Errors
    /// `Corrupt` when the head cannot be read.
    pub fn decode_without_bodies(head: &[u8]) -> Result<Object> {
        let head = decode_head(head)?;
        let siblings = head.siblings.into_iter().map(|stored| stored.with(Bytes::new()));
        Ok(Object { clock: head.clock, siblings: siblings.collect() })
    }

    /// How many siblings there are. Nothing of them is read: for scans, where it is asked of every
    /// object.
    ///
    /// # Errors
    /// `Corrupt` when the beginning of the head cannot be read.
    pub fn sibling_count(head: &[u8]) -> Result<usize> {
        let (ClockSkipped, rest) = postcard::take_from_bytes(versioned(head)?).map_err(damaged)?;
        // A sequence begins with its length.
        postcard::take_from_bytes(rest).map(|(count, _)| count).map_err(damaged)
    }

    /// Size of the whole record, in bytes, by its head alone.
    ///
    /// # Errors
    /// `Corrupt` when the head cannot be read.
    pub fn len_by_head(head: &[u8]) -> Result<u64> {
        let bodies =
            decode_head(head)?.siblings.iter().map(|stored| stored.body_bytes).sum::<u64>();
        Ok(bodies.saturating_add(head.len() as u64))
    }

    /// Size of head and body, in bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Whether there is nothing in the record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A [`VersionVector`] that is read and not kept.
struct ClockSkipped;

impl<'de> Deserialize<'de> for ClockSkipped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Skip;
        impl<'de> Visitor<'de> for Skip {
            type Value = ClockSkipped;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a clock")
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut entries: A,
            ) -> std::result::Result<ClockSkipped, A::Error> {
                while entries.next_element::<(u64, u64)>()?.is_some() {}
                Ok(ClockSkipped)
            }
        }
        deserializer.deserialize_seq(Skip)
    }
}

impl SiblingV1<Metadata> {
    fn with(self, body: Bytes) -> Sibling {
        Sibling {
            dot: self.dot,
            last_modified: self.last_modified,
            deleted: self.deleted,
            metadata: self.metadata,
            body,
        }
    }
}

fn decode_head(head: &[u8]) -> Result<HeadV1> {
    let (head, left) = postcard::take_from_bytes(versioned(head)?).map_err(damaged)?;
    if !left.is_empty() {
        return Err(Error::corrupt("a stored head has bytes after its end"));
    }
    Ok(head)
}

fn versioned(head: &[u8]) -> Result<&[u8]> {
    match head.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        Some((other, _)) => Err(Error::corrupt(format!("a stored head has version {other}"))),
        None => Err(Error::corrupt("a stored head is empty")),
    }
}

fn damaged(error: postcard::Error) -> Error {
    Error::corrupt("a stored head is damaged").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_are_counted_without_being_read() {
        for clocks in [0, 1, 300] {
            for siblings in [0, 1, 2, 200] {
                let mut object = Object::default();
                for actor in 0..clocks {
                    object
                        .clock
                        .add(Dot { actor: crate::ActorId(actor << 40), counter: actor + 1 });
                }
                object.siblings = (0..siblings)
                    .map(|counter| Sibling {
                        dot: Dot { actor: crate::ActorId(7), counter },
                        last_modified: counter,
                        deleted: false,
                        metadata: Metadata::default(),
                        body: Bytes::from_static(b"x"),
                    })
                    .collect();
                let record = Record::encode(&object);
                assert_eq!(Record::sibling_count(&record.head).unwrap() as u64, siblings);
                assert_eq!(Record::len_by_head(&record.head).unwrap(), record.len() as u64);
            }
        }
    }

    #[test]
    fn a_damaged_beginning_is_noticed() {
        for head in [&b""[..], b"\x02\0\0", b"\x01", b"\x01\x05\x01", b"\x01\0"] {
            assert!(Record::sibling_count(head).is_err(), "{head:?}");
        }
    }
}
