//! Objects as they are stored and sent: a head with everything but the bytes, and the bytes.
//!
//! The split lets a key-only scan read heads alone, and lets large bodies lie elsewhere.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

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

#[derive(Serialize, Deserialize)]
struct HeadV1 {
    clock: VersionVector,
    siblings: Vec<SiblingV1>,
}

#[derive(Serialize, Deserialize)]
struct SiblingV1 {
    dot: Dot,
    last_modified: u64,
    deleted: bool,
    metadata: Metadata,
    body_bytes: u64,
}

impl Record {
    /// Encodes an object. One sibling's body is shared, not copied.
    pub fn encode(object: &Object) -> Self {
        let siblings = object.siblings.iter().map(|sibling| SiblingV1 {
            dot: sibling.dot,
            last_modified: sibling.last_modified,
            deleted: sibling.deleted,
            metadata: sibling.metadata.clone(),
            body_bytes: sibling.body.len() as u64,
        });
        let head = HeadV1 { clock: object.clock.clone(), siblings: siblings.collect() };
        // Writing to memory cannot fail: every field has a known length.
        let head = postcard::to_extend(&head, vec![VERSION]).unwrap_or_default();
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
        let mut object = Self::decode_head(&self.head)?;
        let mut rest = self.body.clone();
        for (sibling, bytes) in &mut object {
            if *bytes > rest.len() as u64 {
                return Err(Error::corrupt("a stored body is shorter than its head says"));
            }
            // The comparison above keeps this within the length of a buffer in memory.
            sibling.body = rest.split_to(usize::try_from(*bytes).unwrap_or(0));
        }
        if !rest.is_empty() {
            return Err(Error::corrupt("a stored body is longer than its head says"));
        }
        let clock = Self::decode_clock(&self.head)?;
        Ok(Object { clock, siblings: object.into_iter().map(|(sibling, _)| sibling).collect() })
    }

    /// The object without the bytes of its siblings.
    ///
    /// # Errors
    /// `Corrupt` when the head cannot be read.
    pub fn decode_without_bodies(head: &[u8]) -> Result<Object> {
        let siblings = Self::decode_head(head)?.into_iter().map(|(sibling, _)| sibling).collect();
        Ok(Object { clock: Self::decode_clock(head)?, siblings })
    }

    /// Size of head and body, in bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Whether there is nothing in the record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn decode_clock(head: &[u8]) -> Result<VersionVector> {
        let (clock, _) = postcard::take_from_bytes(versioned(head)?).map_err(damaged)?;
        Ok(clock)
    }

    fn decode_head(head: &[u8]) -> Result<Vec<(Sibling, u64)>> {
        let (head, left): (HeadV1, _) =
            postcard::take_from_bytes(versioned(head)?).map_err(damaged)?;
        if !left.is_empty() {
            return Err(Error::corrupt("a stored head has bytes after its end"));
        }
        let sibling = |stored: SiblingV1| {
            let value = Sibling {
                dot: stored.dot,
                last_modified: stored.last_modified,
                deleted: stored.deleted,
                metadata: stored.metadata,
                body: Bytes::new(),
            };
            (value, stored.body_bytes)
        };
        Ok(head.siblings.into_iter().map(sibling).collect())
    }
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
