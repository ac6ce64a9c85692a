//! Objects as they are stored and sent: a head with everything but the bytes, and the bytes.
//!
//! The split lets a key-only scan read heads alone, and lets large bodies lie elsewhere.

use bytes::{Bytes, BytesMut};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::blocks::Blocks;
use crate::clock::{Dot, VersionVector};
use crate::error::{Error, Result};
use crate::object::{Metadata, Object, Sibling, are_sound};
use crate::versioned::{Nothing, Release, Versioned, damaged};

/// An encoded object. Engines and the wire treat both parts as opaque.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub struct Record {
    /// A version byte, the clock and every sibling without its bytes.
    pub head: Bytes,
    /// The bytes of the siblings one after another.
    pub body: Bytes,
}

/// What a head says, as it is read.
#[derive(Deserialize)]
struct HeadV1 {
    clock: VersionVector,
    siblings: Vec<SiblingV1<Metadata>>,
}

/// A head of which a value's bytes may lie in blocks. It is written only where they do: what has none
/// lies and travels as it always did.
#[derive(Deserialize)]
struct HeadV2 {
    clock: VersionVector,
    siblings: Vec<SiblingV2<Metadata>>,
}

#[cfg(not(feature = "next-version"))]
type Head = HeadV2;
#[cfg(feature = "next-version")]
type Head = next::HeadV3;

impl Versioned for HeadV1 {
    const WHAT: &'static str = "a stored head";
    const VERSION: u8 = 1;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        let (head, left) = postcard::take_from_bytes(body).map_err(damaged::<Self>)?;
        if !left.is_empty() {
            return Err(Error::corrupt("a stored head has bytes after its end"));
        }
        Ok(head)
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

impl Versioned for HeadV2 {
    const WHAT: &'static str = HeadV1::WHAT;
    const VERSION: u8 = 2;
    const SINCE: Release = Release::GROUPS;
    type Previous = HeadV1;

    fn read(body: &[u8]) -> Result<Self> {
        let (head, left): (Self, _) = postcard::take_from_bytes(body).map_err(damaged::<Self>)?;
        if !left.is_empty() {
            return Err(Error::corrupt("a stored head has bytes after its end"));
        }
        Ok(head)
    }

    fn migrate(HeadV1 { clock, siblings }: HeadV1) -> Result<Self> {
        let siblings = siblings.into_iter().map(|stored| SiblingV2 {
            dot: stored.dot,
            last_modified: stored.last_modified,
            deleted: stored.deleted,
            metadata: stored.metadata,
            blocks: None,
            body_bytes: stored.body_bytes,
        });
        Ok(Self { clock, siblings: siblings.collect() })
    }
}

/// As it is written: nothing is copied before.
#[derive(Serialize)]
struct HeadOf<'a, S> {
    clock: &'a VersionVector,
    siblings: S,
}

#[derive(Serialize, Deserialize)]
struct SiblingV1<M> {
    dot: Dot,
    last_modified: u64,
    deleted: bool,
    metadata: M,
    body_bytes: u64,
}

/// A value with where its bytes lie, if not behind the head.
#[derive(Serialize, Deserialize)]
struct SiblingV2<M> {
    dot: Dot,
    last_modified: u64,
    deleted: bool,
    metadata: M,
    blocks: Option<Blocks>,
    /// Of what lies behind the head.
    body_bytes: u64,
}

struct SiblingsV1<'a>(&'a [Sibling]);

impl Serialize for SiblingsV1<'_> {
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

struct SiblingsV2<'a>(&'a [Sibling]);

impl Serialize for SiblingsV2<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|sibling| SiblingV2 {
            dot: sibling.dot,
            last_modified: sibling.last_modified,
            deleted: sibling.deleted,
            metadata: &sibling.metadata,
            blocks: sibling.metadata.blocks.as_deref().copied(),
            body_bytes: sibling.body.len() as u64,
        }))
    }
}

/// Writes a head in the version that a reader of `release` takes. Values in blocks are made only where
/// all members take the version that has them.
fn write_head(object: &Object, release: Release) -> Vec<u8> {
    let (clock, siblings) = (&object.clock, object.siblings.as_slice());
    let mut begun = Vec::with_capacity(USUAL_HEAD);
    let in_blocks = siblings.iter().any(|sibling| sibling.metadata.blocks.is_some());
    let later = Head::version_at(release) > HeadV2::VERSION;
    // Writing to memory cannot fail: every field has a known length.
    if !in_blocks && !later {
        begun.push(HeadV1::VERSION);
        let head = HeadOf { clock, siblings: SiblingsV1(siblings) };
        return postcard::to_extend(&head, begun).unwrap_or_default();
    }
    begun.push(if later { Head::VERSION } else { HeadV2::VERSION });
    let head = HeadOf { clock, siblings: SiblingsV2(siblings) };
    let head = postcard::to_extend(&head, begun).unwrap_or_default();
    #[cfg(feature = "next-version")]
    let head = if later { next::written(head, release) } else { head };
    head
}

/// Room for most heads, in bytes.
const USUAL_HEAD: usize = 128;

impl Record {
    /// Encodes an object for this program itself and its workers. One sibling's body is shared, not
    /// copied.
    pub fn encode(object: &Object) -> Self {
        Self::encode_for(object, Release::current())
    }

    /// Whether those who know no more than `release` may not be able to read it.
    pub fn is_later_than(&self, release: Release) -> bool {
        self.head.first().is_some_and(|version| *version > Head::version_at(release))
    }

    /// Encodes an object for all who know `release`.
    pub fn encode_for(object: &Object, release: Release) -> Self {
        object.assert_sound();
        let head = write_head(object, release);
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

    /// Whether bytes of a value may lie in blocks. Nothing of the values is read: for scans, where it is
    /// asked of every object.
    pub fn may_have_blocks(&self) -> bool {
        self.head.first().is_some_and(|version| *version >= HeadV2::VERSION)
    }

    /// How many siblings there are. Nothing of them is read: for scans, where it is asked of every
    /// object.
    ///
    /// # Errors
    /// `Corrupt` when the beginning of the head cannot be read.
    pub fn sibling_count(head: &[u8]) -> Result<usize> {
        // All versions begin alike.
        let (_, body) = Head::split(head)?;
        let (ClockSkipped, rest) = postcard::take_from_bytes(body).map_err(damaged::<Head>)?;
        // A sequence begins with its length.
        postcard::take_from_bytes(rest).map(|(count, _)| count).map_err(damaged::<Head>)
    }

    /// Size of the whole record, in bytes, by its head alone.
    ///
    /// # Errors
    /// `Corrupt` when the head cannot be read.
    pub fn len_by_head(head: &[u8]) -> Result<u64> {
        // What a damaged head says may be more than there is a number for.
        let add = |sum: u64, stored: &SiblingV2<Metadata>| sum.saturating_add(stored.body_bytes);
        Ok(decode_head(head)?.siblings.iter().fold(head.len() as u64, add))
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

impl SiblingV2<Metadata> {
    fn with(self, body: Bytes) -> Sibling {
        Sibling {
            dot: self.dot,
            last_modified: self.last_modified,
            deleted: self.deleted,
            metadata: Metadata { blocks: self.blocks.map(Box::new), ..self.metadata },
            body,
        }
    }
}

#[cfg(not(feature = "next-version"))]
fn decode_head(head: &[u8]) -> Result<HeadV2> {
    checked(Head::decode(head)?)
}

#[cfg(feature = "next-version")]
fn decode_head(head: &[u8]) -> Result<HeadV2> {
    checked(Head::decode(head)?.head)
}

/// A head that keeps to what holds of every object: what comes from disk or from a peer is looked at
/// before anything relies on it.
fn checked(head: HeadV2) -> Result<HeadV2> {
    let dots = head.siblings.iter().map(|sibling| sibling.dot);
    if !are_sound(&head.clock, dots) {
        return Err(Error::corrupt("a stored head has siblings that its clock does not allow"));
    }
    let is_sound = |stored: &SiblingV2<Metadata>| {
        stored.blocks.is_none_or(|blocks| blocks.block_bytes > 0 && stored.body_bytes == 0)
    };
    if !head.siblings.iter().all(is_sound) {
        return Err(Error::corrupt("a stored head has a value both in blocks and behind it"));
    }
    Ok(head)
}

/// A version of the head that no program has yet: see [`Release::NEXT`]. It ends with the release
/// that it was written for.
#[cfg(feature = "next-version")]
mod next {
    use super::*;

    pub(super) struct HeadV3 {
        pub(super) head: HeadV2,
    }

    impl Versioned for HeadV3 {
        const WHAT: &'static str = HeadV2::WHAT;
        const VERSION: u8 = 3;
        const SINCE: Release = Release::NEXT;
        type Previous = HeadV2;

        fn read(body: &[u8]) -> Result<Self> {
            let (head, rest) = postcard::take_from_bytes(body).map_err(damaged::<Self>)?;
            let (release, left): (Release, _) =
                postcard::take_from_bytes(rest).map_err(damaged::<Self>)?;
            if !left.is_empty() || release < Self::SINCE {
                return Err(Error::corrupt("a stored head has another end than it should have"));
            }
            Ok(Self { head })
        }

        fn migrate(head: HeadV2) -> Result<Self> {
            Ok(Self { head })
        }
    }

    /// Adds what the version has more, where that is written.
    pub(super) fn written(head: Vec<u8>, release: Release) -> Vec<u8> {
        postcard::to_extend(&release, head).unwrap_or_default()
    }
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
                    .map(|number| Sibling {
                        dot: Dot { actor: crate::ActorId(7), counter: number + 1 },
                        last_modified: number,
                        deleted: false,
                        metadata: Metadata::default(),
                        body: Bytes::from_static(b"x"),
                    })
                    .collect();
                object.clock.add(Dot { actor: crate::ActorId(7), counter: siblings + 1 });
                let record = Record::encode(&object);
                assert_eq!(Record::sibling_count(&record.head).unwrap() as u64, siblings);
                assert_eq!(Record::len_by_head(&record.head).unwrap(), record.len() as u64);
            }
        }
    }

    #[test]
    fn siblings_that_the_clock_does_not_allow_are_refused() {
        let dot = |counter| Dot { actor: crate::ActorId(7), counter };
        let sibling = |counter| Sibling {
            dot: dot(counter),
            last_modified: 0,
            deleted: false,
            metadata: Metadata::default(),
            body: Bytes::new(),
        };
        let head = |clock: &VersionVector, counters: &[u64]| {
            let siblings: Vec<Sibling> = counters.iter().map(|counter| sibling(*counter)).collect();
            let head = HeadOf { clock, siblings: SiblingsV1(&siblings) };
            postcard::to_extend(&head, vec![HeadV1::VERSION]).unwrap()
        };
        let mut clock = VersionVector::new();
        clock.add(dot(3));
        let read = |counters: &[u64]| Record::decode_without_bodies(&head(&clock, counters));
        assert!(read(&[]).is_ok() && read(&[1, 3]).is_ok());
        for counters in [&[4][..], &[2, 2], &[3, 1]] {
            let error = read(counters).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Corrupt, "{counters:?}");
        }
        // Two entries of one actor, and one that has seen nothing.
        for clock in [&[2, 7, 1, 7, 2][..], &[1, 7, 0]] {
            let head = [&[HeadV1::VERSION], clock, &[0]].concat();
            assert!(Record::decode_without_bodies(&head).is_err(), "{clock:?}");
        }
    }

    #[test]
    fn a_head_of_a_later_version_is_no_damage() {
        let error = Record::decode_without_bodies(&[9, 0, 0]).unwrap_err();
        assert!(error.to_string().starts_with("a stored head has version 9, and version"));
    }

    #[test]
    fn a_damaged_beginning_is_noticed() {
        for head in [&b""[..], b"\x09\0\0", b"\x01", b"\x01\x05\x01", b"\x01\0"] {
            assert!(Record::sibling_count(head).is_err(), "{head:?}");
        }
    }
}
