//! What nodes say to each other about objects: one struct an operation, each message a version byte
//! and postcard.
//!
//! A peer's own refusal travels inside the answer, so that an error of the transport always means
//! that the peer could not be asked. Requests and answers carry the sender's plan version.

use std::collections::BTreeSet;

use bytes::Bytes;
use mapring_net::Method;
use mapring_ring::Partition;
use mapring_types::error::WireError;
use mapring_types::{BucketId, Dot, Error, NodeId, ObjectId, Record, Result, VersionVector};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::peer::extent::Extent;
use crate::scan::fold::Slice;
use crate::scan::select::Part;
use crate::staleness::status::ReplicationStatus;
use crate::storage::graves::Grave;
use crate::storage::inflight::{Source, WriteMark};

/// The first byte of every message.
///
/// 4: replicas lie on distinct nodes. A node that places them otherwise is not talked to.
const VERSION: u8 = 4;

/// Room for most messages, in bytes.
const USUAL_BYTES: usize = 512;

/// The operations, as numbered in [`Method::operation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Operation {
    Read = 1,
    Merge = 2,
    /// Has a vnode coordinate a [`crate::write::Write`]: answered by the object's `Record` at its
    /// quorum.
    Coordinate = 3,
    Remove = 4,
    Keys = 5,
    Buckets = 6,
    Staleness = 7,
    Status = 8,
    Holdings = 9,
    Heads = 20,
    Fetch = 21,
    Repair = 22,
    Clocks = 23,
    Graves = 24,
    Bury = 25,
    Known = 26,
    MergePiece = 30,
    ReadPiece = 31,
    ReadSlim = 32,
    /// As `Coordinate`: the sender has chosen the vnode to be the only one that coordinates for an
    /// object near a limit.
    CoordinateAlone = 33,
    Leave = 34,
    /// As `CoordinateAlone`, of a write with the clock that it is made on condition of, that nothing
    /// is stored which this has not seen: else answered by `Precondition`.
    CoordinateIf = 35,
}

impl Operation {
    pub(crate) const ALL: [Self; 22] = [
        Self::Read,
        Self::Merge,
        Self::Coordinate,
        Self::Remove,
        Self::Keys,
        Self::Buckets,
        Self::Staleness,
        Self::Status,
        Self::Holdings,
        Self::Heads,
        Self::Fetch,
        Self::Repair,
        Self::Clocks,
        Self::Graves,
        Self::Bury,
        Self::Known,
        Self::MergePiece,
        Self::ReadPiece,
        Self::ReadSlim,
        Self::CoordinateAlone,
        Self::Leave,
        Self::CoordinateIf,
    ];

    /// # Errors
    /// `Invalid` for a number that this version does not know.
    pub(crate) fn from_number(number: u8) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|operation| *operation as u8 == number)
            .ok_or_else(|| Error::invalid(format!("unknown operation {number} on objects")))
    }

    pub(crate) fn method(self) -> Method {
        Method { service: crate::SERVICE, operation: self as u8 }
    }
}

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

/// A replica as the sender's plan has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replica {
    pub(crate) vnode: Partition,
    /// Whether the sender takes the receiver to own the vnode.
    pub(crate) primary: bool,
}

/// Reads an object: answered by `Had`, or `TooLarge` when it has to be read in pieces.
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

/// Joins an object into a replica: answered by `()` when it is durable.
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
    pub(crate) fn encode(piece: &mapring_types::Piece) -> Self {
        let record = Record::encode(&piece.part);
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

/// Reads the next piece of an object: answered by `Option<Piece>`.
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

/// Reads an object without the bytes of its values: answered by `Option<Slim>`.
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

/// Has a node leave it to the sender for a while to add to an object near a limit: answered by
/// `Option<Slim>`, in which all is that the node has added before.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Leave {
    pub(crate) replica: Replica,
    pub(crate) id: ObjectId,
}

/// Removes a tombstone if its clock is the given one: answered by whether it is gone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Remove {
    pub(crate) replica: Replica,
    pub(crate) id: ObjectId,
    pub(crate) clock: VersionVector,
}

/// A page of live keys: answered by `Names`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Keys {
    pub(crate) slice: Slice,
    pub(crate) bucket: BucketId,
}

/// A page of bucket names: answered by `Names`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Buckets {
    pub(crate) slice: Slice,
    pub(crate) bucket_type: Bytes,
}

/// Asks which replicas are stale: answered by `StalenessReport`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct AskStaleness {
    /// Whether the receiver answers only once its writes under way have settled.
    pub(crate) settle: bool,
    /// The receiver first recovers the in-doubt writes of these.
    pub(crate) recover: Vec<Source>,
    /// Nodes that have failed who asks: the receiver's writes do not wait for them to settle.
    pub(crate) without: BTreeSet<NodeId>,
}

/// Replicas that lack acknowledged writes, as far as one node knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StalenessReport {
    /// The node's replication status.
    pub(crate) status: ReplicationStatus,
    /// Whether the node cannot yet exclude that its own vnodes lack something: it has started, and
    /// not every member has told it since that it holds nothing for it.
    pub(crate) catching_up: bool,
    /// Whose writes the node has taken and does not know to have settled.
    pub(crate) in_flight: Vec<Source>,
    /// The last statuses of the other members that it remembers.
    pub(crate) remembered: Vec<(NodeId, ReplicationStatus)>,
    /// How far it remembers the data of the node that asks to have been.
    pub(crate) yours: Option<Extent>,
}

/// Asks for a page of names and clocks: answered by `repair::Heads`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AskHeads {
    pub(crate) slice: Slice,
}

/// Asks for a page of graves: answered by `graves::Page`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AskGraves {
    pub(crate) slice: Slice,
}

/// Asks for objects: answered by a `Vec<Option<Record>>` of at least one, for the first of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Fetch {
    pub(crate) vnode: Partition,
    pub(crate) ids: Vec<ObjectId>,
}

/// Asks of which objects a replica has anything: answered by a `Vec<bool>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AskKnown {
    pub(crate) vnode: Partition,
    pub(crate) ids: Vec<ObjectId>,
}

/// Proves that objects were deleted: answered by `()` when they are gone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bury {
    pub(crate) vnode: Partition,
    pub(crate) graves: Vec<(ObjectId, Grave)>,
}

/// Asks for how far the node's filling is: answered by `RepairStatus`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct AskRepair;

/// Asks for a page of names and clocks at the places of a selection: answered by `select::Clocks`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AskClocks {
    pub(crate) part: Part,
    /// Objects in it at most.
    pub(crate) most: u64,
}

/// Encodes a message.
///
/// # Errors
/// `Internal`: a defect.
pub(crate) fn encode<T: Serialize>(message: &T) -> Result<Bytes> {
    let mut begun = Vec::with_capacity(USUAL_BYTES);
    begun.push(VERSION);
    postcard::to_extend(message, begun)
        .map(Bytes::from)
        .map_err(|error| Error::internal("cannot encode a message").with_source(error))
}

/// Decodes a message.
///
/// # Errors
/// `Corrupt` when it is of another version or damaged.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest)
            .map_err(|error| Error::corrupt("a message is damaged").with_source(error)),
        Some((other, _)) => Err(Error::corrupt(format!("a message has version {other}"))),
        None => Err(Error::corrupt("a message is empty")),
    }
}

/// Encodes what became of a request.
///
/// # Errors
/// `Internal`: a defect.
pub(crate) fn encode_answer<T: Serialize>(sender: Sender, outcome: Result<T>) -> Result<Bytes> {
    let body: Result<T, WireError> = outcome.map_err(|error| error.to_wire());
    encode(&Signed { sender, body })
}

/// Decodes what became of a request, and who says so.
///
/// # Errors
/// `Corrupt`.
pub(crate) fn decode_answer<T: DeserializeOwned>(bytes: &[u8]) -> Result<(Sender, Result<T>)> {
    let answer: Signed<Result<T, WireError>> = decode(bytes)?;
    Ok((answer.sender, answer.body.map_err(Error::from)))
}

/// Decodes what a message says of its sender.
///
/// # Errors
/// As [`decode`].
pub(crate) fn sender(bytes: &[u8]) -> Result<Sender> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::take_from_bytes(rest)
            .map(|(sender, _)| sender)
            .map_err(|error| Error::corrupt("a message is damaged").with_source(error)),
        _ => decode(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_carry_the_peers_own_refusal() {
        let refusal: Result<u32> = Err(Error::unavailable("no majority"));
        let said = Sender { plan: 3, incarnation: 1 << 50, position: 77 };
        let answer = encode_answer(said, refusal).unwrap();
        assert_eq!(sender(&answer).unwrap(), said);
        let (who, back) = decode_answer::<u32>(&answer).unwrap();
        assert_eq!((who, back.unwrap_err().to_string()), (said, "no majority".to_owned()));
        let (_, back) = decode_answer::<u32>(&encode_answer(said, Ok(7u32)).unwrap()).unwrap();
        assert_eq!(back.unwrap(), 7);
    }

    #[test]
    fn foreign_bytes_are_refused() {
        for bytes in [&b""[..], b"\x01", b"\x02", b"\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
            assert!(decode::<Signed<Merge>>(bytes).is_err(), "{bytes:?}");
            assert!(sender(bytes).is_err(), "{bytes:?}");
        }
        assert!(Operation::from_number(0).is_err());
        assert_eq!(Operation::from_number(2).unwrap(), Operation::Merge);
    }
}
