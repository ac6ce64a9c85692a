//! What nodes say to each other about objects: one struct an operation, each message a version byte
//! and postcard.
//!
//! A peer's own refusal travels inside the answer, so that an error of the transport always means
//! that the peer could not be asked. Requests and answers carry the sender's plan version.

use std::collections::BTreeSet;

use bytes::Bytes;
use mapring_net::{Method, ServiceId};
use mapring_ring::Partition;
use mapring_types::error::WireError;
use mapring_types::{
    BucketId, Error, Metadata, NodeId, ObjectId, Quorum, Record, Result, VersionVector,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::fold::Slice;
use crate::select::Part;
use crate::standing::Standing;
use crate::witness::{Source, WriteMark};

/// The first byte of every message.
const VERSION: u8 = 3;

/// Room for most messages, in bytes.
const USUAL_BYTES: usize = 512;

/// The operations, as numbered in [`Method::operation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Operation {
    Read = 1,
    Merge = 2,
    Coordinate = 3,
    Remove = 4,
    Keys = 5,
    Buckets = 6,
    Behind = 7,
    Standing = 8,
    Holdings = 9,
    Heads = 20,
    Fetch = 21,
    Repair = 22,
    Clocks = 23,
}

impl Operation {
    pub(crate) const ALL: [Self; 13] = [
        Self::Read,
        Self::Merge,
        Self::Coordinate,
        Self::Remove,
        Self::Keys,
        Self::Buckets,
        Self::Behind,
        Self::Standing,
        Self::Holdings,
        Self::Heads,
        Self::Fetch,
        Self::Repair,
        Self::Clocks,
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
        Method { service: ServiceId::Kv, operation: self as u8 }
    }
}

/// A message with the plan version that its sender knows.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Planned<T> {
    pub(crate) plan: u64,
    pub(crate) body: T,
}

/// A replica as the sender's plan has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replica {
    pub(crate) vnode: Partition,
    /// Whether the sender takes the receiver to own the vnode.
    pub(crate) primary: bool,
}

/// Reads an object: answered by `Option<Record>`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Read {
    pub(crate) replica: Replica,
    pub(crate) id: ObjectId,
}

/// Joins an object into a replica: answered by `()` when it is durable.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Merge {
    pub(crate) replica: Replica,
    pub(crate) id: ObjectId,
    pub(crate) record: Record,
    /// The write under way that it belongs to, to be witnessed; `None` for repairs and hand-off.
    pub(crate) mark: Option<WriteMark>,
}

/// Has a vnode coordinate a write: answered by the object's `Record` at its quorum.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Coordinate {
    pub(crate) vnode: Partition,
    pub(crate) id: ObjectId,
    pub(crate) write_id: u64,
    /// When the client asked, by the clock of the node that it asked, in microseconds.
    pub(crate) asked_at: u64,
    /// When this node was told to coordinate, by the same clock.
    pub(crate) sent_at: u64,
    pub(crate) context: Option<VersionVector>,
    pub(crate) metadata: Metadata,
    pub(crate) body: Bytes,
    pub(crate) deleted: bool,
    pub(crate) w: Quorum,
    pub(crate) dw: Quorum,
    pub(crate) pw: Quorum,
    pub(crate) timeout_ms: u64,
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

/// Asks which replicas have missed writes: answered by `Behind`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct AskBehind {
    /// Whether the receiver answers only once its writes under way have settled.
    pub(crate) settle: bool,
    /// The receiver first adopts what it witnessed of these.
    pub(crate) adopt: Vec<Source>,
    /// Nodes that have failed who asks: the receiver's writes do not wait for them to settle.
    pub(crate) without: BTreeSet<NodeId>,
}

/// Replicas that lack acknowledged writes, as far as one node knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Behind {
    /// The node's standing.
    pub(crate) standing: Standing,
    /// Whether the node cannot yet exclude that its own vnodes lack something: it has started, and
    /// not every member has told it since that it holds nothing for it.
    pub(crate) catching_up: bool,
    /// Whose writes the node has taken and does not know to have settled.
    pub(crate) witnessing: Vec<Source>,
    /// The last standings of the other members that it remembers.
    pub(crate) remembered: Vec<(NodeId, Standing)>,
}

/// A slice of a replica, for one that has to be filled from it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Donor {
    pub(crate) vnode: Partition,
    pub(crate) home: Partition,
    /// Whether it may itself be one that has lost data: there is no better one.
    pub(crate) incomplete_too: bool,
}

/// Asks for a page of names and clocks: answered by `repair::Heads`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AskHeads {
    pub(crate) donor: Donor,
    pub(crate) after: Option<ObjectId>,
}

/// Asks for objects: answered by a `Vec<Option<Record>>` of at least one, for the first of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Fetch {
    pub(crate) donor: Donor,
    pub(crate) ids: Vec<ObjectId>,
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
pub(crate) fn encode_answer<T: Serialize>(plan: u64, outcome: Result<T>) -> Result<Bytes> {
    let body: Result<T, WireError> = outcome.map_err(|error| error.to_wire());
    encode(&Planned { plan, body })
}

/// Decodes what became of a request.
///
/// # Errors
/// `Corrupt`.
pub(crate) fn decode_answer<T: DeserializeOwned>(bytes: &[u8]) -> Result<Result<T>> {
    let answer: Planned<Result<T, WireError>> = decode(bytes)?;
    Ok(answer.body.map_err(Error::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_carry_the_peers_own_refusal() {
        let refusal: Result<u32> = Err(Error::unavailable("no majority"));
        let back = decode_answer::<u32>(&encode_answer(3, refusal).unwrap()).unwrap();
        assert_eq!(back.unwrap_err().to_string(), "no majority");
        let back = decode_answer::<u32>(&encode_answer(3, Ok(7u32)).unwrap()).unwrap();
        assert_eq!(back.unwrap(), 7);
    }

    #[test]
    fn foreign_bytes_are_refused() {
        for bytes in [&b""[..], b"\x01", b"\x02", b"\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
            assert!(decode::<Planned<Merge>>(bytes).is_err(), "{bytes:?}");
        }
        assert!(Operation::from_number(0).is_err());
        assert_eq!(Operation::from_number(2).unwrap(), Operation::Merge);
    }
}
