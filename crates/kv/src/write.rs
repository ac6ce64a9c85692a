//! A write on its way: the same value at the node that was asked, between nodes and in the storage.

use bytes::Bytes;
use mapring_ring::Partition;
use mapring_types::{Metadata, ObjectId, Quorum, SyncOnWrite, VersionVector};
use serde::{Deserialize, Serialize};

/// A value to be written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct NewValue {
    /// What it carries beside its bytes.
    pub metadata: Metadata,
    /// The bytes.
    pub body: Bytes,
    /// Whether it is a tombstone.
    pub deleted: bool,
}

/// How many replicas a write is to have, as far as its client says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WriteQuorums {
    pub(crate) w: Quorum,
    pub(crate) dw: Quorum,
    pub(crate) pw: Quorum,
}

/// What else its client says of how it is to be stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// See [`crate::PutOptions::node_confirms`].
    pub(crate) node_confirms: Quorum,
    /// See [`crate::PutOptions::sync_on_write`].
    pub(crate) sync_on_write: Option<SyncOnWrite>,
}

/// See the module. Sent as it is; what is not sent with it says the call that it is sent by: itself, or
/// one of those in `peer::wire` that hold it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Write {
    /// The vnode that is to stamp it.
    pub(crate) vnode: Partition,
    pub(crate) id: ObjectId,
    /// Names the request: a repetition is not stored again.
    pub(crate) write_id: u64,
    /// When the client asked, by the clock of the node that it asked, in microseconds. Not when it is
    /// stamped: a node that slept must not make an old write newer than those that were made
    /// meanwhile.
    pub(crate) asked_at: u64,
    /// When the coordinator was chosen, by the same clock.
    pub(crate) sent_at: u64,
    /// What the client has seen.
    pub(crate) context: Option<VersionVector>,
    pub(crate) value: NewValue,
    pub(crate) quorums: WriteQuorums,
    /// How long the client still waits, in milliseconds.
    pub(crate) timeout_ms: u64,
    /// See [`crate::PutOptions::unchanged`].
    #[serde(skip)]
    pub(crate) unchanged: Option<VersionVector>,
    /// Whether the vnode was chosen to be the only one that coordinates, should the object be near a
    /// limit.
    #[serde(skip)]
    pub(crate) alone: bool,
    /// Whether the value's bytes are an update of a data type, made of what is there, rather than a value.
    #[serde(skip)]
    pub(crate) updates: bool,
    /// What is not in `quorums`.
    #[serde(skip)]
    pub(crate) asked: Asked,
}

#[cfg(test)]
mod tests {
    use mapring_types::{ActorId, BucketId, Dot};

    use super::*;

    /// The message as nodes have sent it from the first release on, field by field.
    #[derive(Serialize, Deserialize)]
    struct Sent {
        vnode: Partition,
        id: ObjectId,
        write_id: u64,
        asked_at: u64,
        sent_at: u64,
        context: Option<VersionVector>,
        metadata: Metadata,
        body: Bytes,
        deleted: bool,
        w: Quorum,
        dw: Quorum,
        pw: Quorum,
        timeout_ms: u64,
    }

    #[derive(Serialize, Deserialize)]
    struct SentIf {
        write: Sent,
        unchanged: VersionVector,
    }

    fn clock(counter: u64) -> VersionVector {
        let mut clock = VersionVector::new();
        clock.add(Dot { actor: ActorId(1 << 50), counter });
        clock
    }

    fn metadata() -> Metadata {
        let user = vec![("X-Riak-Meta-Colour".to_owned(), Bytes::from("blue"))];
        Metadata { content_type: "text/plain".into(), user, ..Metadata::default() }
    }

    fn id() -> ObjectId {
        ObjectId::new(BucketId::typed("t", "b"), "k")
    }

    fn write(context: Option<VersionVector>) -> Write {
        let (body, deleted) = (Bytes::from("bytes"), context.is_none());
        Write {
            vnode: Partition(300),
            id: id(),
            write_id: u64::MAX,
            asked_at: 7,
            sent_at: 1 << 40,
            context,
            value: NewValue { metadata: metadata(), body, deleted },
            quorums: WriteQuorums { w: Quorum::Count(2), dw: Quorum::All, pw: Quorum::Default },
            timeout_ms: 60_000,
            unchanged: Some(clock(9)),
            alone: true,
            updates: true,
            asked: Asked { node_confirms: Quorum::Count(2), ..Asked::default() },
        }
    }

    fn sent(context: Option<VersionVector>) -> Sent {
        Sent {
            vnode: Partition(300),
            id: id(),
            write_id: u64::MAX,
            asked_at: 7,
            sent_at: 1 << 40,
            deleted: context.is_none(),
            context,
            metadata: metadata(),
            body: Bytes::from("bytes"),
            w: Quorum::Count(2),
            dw: Quorum::All,
            pw: Quorum::Default,
            timeout_ms: 60_000,
        }
    }

    #[test]
    fn it_is_sent_as_it_always_was() {
        for context in [None, Some(clock(3))] {
            let (new, old) = (write(context.clone()), sent(context.clone()));
            let bytes = postcard::to_allocvec(&new).unwrap();
            assert_eq!(bytes, postcard::to_allocvec(&old).unwrap());
            let read: Write = postcard::from_bytes(&bytes).unwrap();
            assert_eq!((read.context, read.value.body), (context.clone(), new.value.body.clone()));
            let said = read.unchanged.is_some() || read.alone || read.updates;
            assert!(!said, "that says the operation");
            assert_eq!(read.asked, Asked::default(), "and this too");
            let old = SentIf { write: old, unchanged: clock(9) };
            let bytes = postcard::to_allocvec(&(&new, &clock(9))).unwrap();
            assert_eq!(bytes, postcard::to_allocvec(&old).unwrap());
        }
    }
}
