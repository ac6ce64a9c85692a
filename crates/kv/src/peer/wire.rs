//! What nodes say to each other about objects: one struct an operation, each message a version byte
//! and postcard.
//!
//! A peer's own refusal travels inside the answer, so that an error of the transport always means
//! that the peer could not be asked. Requests and answers carry the sender's plan version.

use bytes::Bytes;
use mapring_net::{Call, ServiceId, calls};
use mapring_ring::Partition;
use mapring_types::error::WireError;
use mapring_types::versioned::{self, Nothing};
use mapring_types::{
    Blocks, Dot, Error, ObjectId, Record, Release, Result, VersionVector, Versioned,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::storage::graves::{self, Grave};
use crate::storage::inflight::WriteMark;
use crate::storage::slice::Slice;
use crate::write::{Asked, Write};

/// Room for most messages, in bytes.
const USUAL_BYTES: usize = 512;

/// The number of the service for objects and scans. It is sent, and so never another
/// service's.
pub const SERVICE: ServiceId = ServiceId::new(2);

// Others are declared beside what they are answered with.
calls!(SERVICE;
    Read = 1 => Had,
    Merge = 2 => (),
    Write = 3 => Record,
    Remove = 4 => bool,
    Fetch = 21 => Vec<Option<Record>>,
    AskGraves = 24 => graves::Page,
    Bury = 25 => (),
    AskKnown = 26 => Vec<bool>,
    MergePiece = 30 => (),
    ReadPiece = 31 => Option<Piece>,
    ReadSlim = 32 => Option<Slim>,
    CoordinateAlone = 33 => Record,
    Leave = 34 => Option<Slim>,
    CoordinateIf = 35 => Record,
    CoordinateInBlocks = 36 => Record,
    UpdateDatatype = 37 => Record,
    CoordinateAsked = 38 => Record,
    SyncDisk = 39 => (),
);

/// What every message says of its sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sender {
    /// The plan version that it knows.
    pub(crate) plan: u64,
    /// Its incarnation, and how far its storage is acknowledged: see [`crate::peer::extent`].
    pub(crate) incarnation: u64,
    pub(crate) position: u64,
}

/// A message with what it says of its sender.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Signed<T> {
    pub(crate) sender: Sender,
    pub(crate) body: T,
}

impl<T: DeserializeOwned> Versioned for Signed<T> {
    const WHAT: &'static str = "a message about objects";
    /// 4: replicas lie on distinct nodes. A node that places them otherwise is not talked to.
    const VERSION: u8 = 4;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        versioned::from_postcard(body)
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

/// A replica as the sender's plan has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replica {
    pub(crate) vnode: Partition,
    /// Whether the sender takes the receiver to own the vnode.
    pub(crate) primary: bool,
}

/// Reads an object; `TooLarge` when it has to be read in pieces.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Read {
    pub(crate) replica: Replica,
    pub(crate) id: ObjectId,
}

/// What a replica has of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Had {
    pub(crate) record: Option<Record>,
    /// Of nothing and of what may be a tombstone: whether the replica knows that nobody holds
    /// anything for it that it lacks.
    pub(crate) sure: bool,
}

/// Joins an object into a replica: answered when it is durable.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Merge {
    pub(crate) replica: Replica,
    pub(crate) id: ObjectId,
    pub(crate) record: Record,
    /// The write under way that it belongs to, to be logged as in flight; `None` for repairs and
    /// hand-off.
    pub(crate) mark: Option<WriteMark>,
}

/// One piece of an object: see [`mapring_types::Piece`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) record: Record,
    pub(crate) before: Vec<Dot>,
    pub(crate) left: u64,
}

impl Piece {
    pub(crate) fn encode(piece: &mapring_types::Piece, release: Release) -> Self {
        let record = Record::encode_for(&piece.part, release);
        Self { record, before: piece.before.clone(), left: piece.left as u64 }
    }

    /// # Errors
    /// `Corrupt`.
    pub(crate) fn decode(self) -> Result<mapring_types::Piece> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        Ok(mapring_types::Piece { part: self.record.decode()?, before: self.before, left })
    }
}

/// Joins a piece of an object into a replica: answered as [`Merge`], or by `Precondition` when the
/// replica lacks the pieces before it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MergePiece {
    pub(crate) replica: Replica,
    pub(crate) id: ObjectId,
    pub(crate) piece: Piece,
    pub(crate) mark: Option<WriteMark>,
}

/// Reads the next piece of an object.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReadPiece {
    pub(crate) from: Giver,
    pub(crate) id: ObjectId,
    /// The values that were given before.
    pub(crate) have: Vec<Dot>,
    /// Of a larger object nothing is given: `TooLarge`.
    pub(crate) most: u64,
}

/// Whose object it is that is read in pieces.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Giver {
    Replica(Replica),
    /// Whatever it lacks, for one that fills itself.
    Vnode(Partition),
}

/// Reads an object without the bytes of its values.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReadSlim {
    pub(crate) replica: Replica,
    pub(crate) id: ObjectId,
    /// The tag of a value that is wanted with its bytes all the same.
    pub(crate) vtag: Option<String>,
}

/// An object of which some values have lost their bytes: to be looked at, never to be stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Slim {
    pub(crate) record: Record,
    /// How many bytes the whole object has, encoded.
    pub(crate) bytes: u64,
}

impl Slim {
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn clock(&self) -> Result<VersionVector> {
        Ok(Record::decode_without_bodies(&self.record.head)?.clock)
    }
}

/// Has a node leave it to the sender for a while to add to an object near a limit: in the
/// answer all is that the node has added before.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Leave {
    pub(crate) replica: Replica,
    pub(crate) id: ObjectId,
}

/// As [`Write`] itself, which has a vnode coordinate it and is answered by the object's record at its
/// quorum; the sender has chosen the vnode to be the only one that coordinates for an object near a
/// limit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CoordinateAlone(pub(crate) Write);

/// As [`CoordinateAlone`], of a write with the clock that it is made on condition of, that nothing is
/// stored which this has not seen: else answered by `Precondition`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CoordinateIf(pub(crate) Write, pub(crate) VersionVector);

/// As [`Write`] itself, of a value whose bytes lie in blocks, with what the calls above say beside the
/// write.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CoordinateInBlocks {
    pub(crate) write: Write,
    pub(crate) blocks: Blocks,
    pub(crate) alone: bool,
    pub(crate) unchanged: Option<VersionVector>,
}

/// As [`Write`] itself, of an update of a data type in place of a value. Known from
/// [`Release::DATATYPES`] on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UpdateDatatype {
    pub(crate) write: Write,
    pub(crate) alone: bool,
}

/// As [`Write`] itself, of a write whose client has asked for what the calls above do not say; with all
/// that they do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CoordinateAsked {
    pub(crate) write: Write,
    pub(crate) asked: Asked,
    pub(crate) blocks: Option<Blocks>,
    pub(crate) alone: bool,
    pub(crate) unchanged: Option<VersionVector>,
    pub(crate) updates: bool,
}

impl CoordinateAsked {
    pub(crate) fn of(write: &Write) -> Self {
        Self {
            asked: write.asked,
            blocks: write.value.metadata.blocks.as_deref().copied(),
            alone: write.alone,
            unchanged: write.unchanged.clone(),
            updates: write.updates,
            write: write.clone(),
        }
    }

    /// The write, with all that was said of it.
    pub(crate) fn into_write(self) -> Write {
        let Self { mut write, asked, blocks, alone, unchanged, updates } = self;
        write.value.metadata.blocks = blocks.map(Box::new);
        Write { asked, alone, unchanged, updates, ..write }
    }
}

/// Has what was written before it survive a loss of power, whatever is configured: answered when it
/// does.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct SyncDisk;

/// Removes a tombstone if its clock is the given one: answered by whether it is gone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Remove {
    pub(crate) replica: Replica,
    pub(crate) id: ObjectId,
    pub(crate) clock: VersionVector,
}

/// Asks for a page of graves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AskGraves {
    pub(crate) slice: Slice,
}

/// Asks for objects: answered by at least one, for the first of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Fetch {
    pub(crate) vnode: Partition,
    pub(crate) ids: Vec<ObjectId>,
}

/// Asks of which objects a replica has anything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AskKnown {
    pub(crate) vnode: Partition,
    pub(crate) ids: Vec<ObjectId>,
}

/// Proves that objects were deleted: answered when they are gone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bury {
    pub(crate) vnode: Partition,
    pub(crate) graves: Vec<(ObjectId, Grave)>,
}

/// The version in which those who know `release` read messages.
pub(crate) fn version_at(release: Release) -> u8 {
    Signed::<()>::version_at(release)
}

/// Encodes a call in a version.
///
/// # Errors
/// `Internal`: a defect.
pub(crate) fn encode<C: Call>(version: u8, sender: Sender, call: &C) -> Result<Bytes> {
    write(version, &Signed { sender, body: call })
}

/// A call, with the version in which it was asked and is to be answered: who asks knows that one.
pub(crate) struct Received<C> {
    pub(crate) version: u8,
    pub(crate) sender: Sender,
    pub(crate) call: C,
}

/// Decodes a call.
///
/// # Errors
/// `Unavailable` when it is of a version that is not known here, `Corrupt` when it is damaged.
pub(crate) fn decode<C: Call>(bytes: &[u8]) -> Result<Received<C>> {
    let (version, body) = Signed::<C>::split(bytes)?;
    let Signed { sender, body: call } = Signed::read_version(version, body)?;
    Ok(Received { version, sender, call })
}

/// Encodes what became of a call.
///
/// # Errors
/// `Internal`: a defect.
pub(crate) fn encode_answer<C: Call>(
    version: u8,
    sender: Sender,
    outcome: Result<C::Answer>,
) -> Result<Bytes> {
    let body: Result<C::Answer, WireError> = outcome.map_err(|error| error.to_wire());
    write(version, &Signed { sender, body })
}

/// Decodes what became of a call, and who says so.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_answer<C: Call>(bytes: &[u8]) -> Result<(Sender, Result<C::Answer>)> {
    let answer = Signed::<Result<C::Answer, WireError>>::decode(bytes)?;
    Ok((answer.sender, answer.body.map_err(Error::from)))
}

fn write<T: Serialize>(version: u8, message: &Signed<T>) -> Result<Bytes> {
    let mut begun = Vec::with_capacity(USUAL_BYTES);
    begun.push(version);
    postcard::to_extend(message, begun)
        .map(Bytes::from)
        .map_err(|error| Error::internal("cannot encode a message").with_source(error))
}

/// Decodes what a message says of its sender: all versions begin with that.
///
/// # Errors
/// As [`decode`].
pub(crate) fn sender(bytes: &[u8]) -> Result<Sender> {
    let (_, rest) = Signed::<()>::split(bytes)?;
    postcard::take_from_bytes(rest)
        .map(|(sender, _)| sender)
        .map_err(versioned::damaged::<Signed<()>>)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: Sender = Sender { plan: 3, incarnation: 1 << 50, position: 77 };

    #[test]
    fn answers_carry_the_peers_own_refusal() {
        let version = version_at(Release::FIRST);
        let refusal = Err(Error::unavailable("no majority"));
        let answer = encode_answer::<Remove>(version, SAID, refusal).unwrap();
        assert_eq!(sender(&answer).unwrap(), SAID);
        let (who, back) = decode_answer::<Remove>(&answer).unwrap();
        assert_eq!((who, back.unwrap_err().to_string()), (SAID, "no majority".to_owned()));
        let answer = encode_answer::<Remove>(version, SAID, Ok(true)).unwrap();
        assert!(decode_answer::<Remove>(&answer).unwrap().1.unwrap());
    }

    #[test]
    fn what_a_client_has_asked_for_arrives_with_its_write() {
        let asked = Asked {
            node_confirms: mapring_types::Quorum::Count(2),
            sync_on_write: Some(mapring_types::SyncOnWrite::All),
        };
        let mut unchanged = VersionVector::new();
        unchanged.add(Dot { actor: mapring_types::ActorId(7), counter: 9 });
        let upload = mapring_types::UploadId(1 << 100);
        let blocks = Blocks { upload, bytes: 1 << 30, block_bytes: 1 << 20, n_val: 3 };
        let id = ObjectId::new(mapring_types::BucketId::untyped("b"), "k");
        let mut write = Write {
            vnode: Partition(7),
            id,
            write_id: 1,
            asked_at: 2,
            sent_at: 3,
            context: None,
            value: crate::write::NewValue::default(),
            quorums: crate::write::WriteQuorums::default(),
            timeout_ms: 4,
            unchanged: Some(unchanged),
            alone: true,
            updates: true,
            asked,
        };
        write.value.metadata.blocks = Some(Box::new(blocks));
        let version = version_at(Release::FIRST);
        let bytes = encode(version, SAID, &CoordinateAsked::of(&write)).unwrap();
        let there = decode::<CoordinateAsked>(&bytes).unwrap().call.into_write();
        assert_eq!(format!("{there:?}"), format!("{write:?}"));
    }

    #[test]
    fn foreign_bytes_are_refused() {
        for bytes in [&b""[..], b"\x01", b"\x04", b"\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
            assert!(decode::<Merge>(bytes).is_err(), "{bytes:?}");
            assert!(sender(bytes).is_err(), "{bytes:?}");
        }
        let later = sender(b"\x09\x01\x01\x01").unwrap_err();
        assert!(
            later.message().starts_with("a message about objects has version 9, and "),
            "{later}"
        );
        assert_eq!(later.kind(), mapring_types::ErrorKind::Unavailable);
    }
}
