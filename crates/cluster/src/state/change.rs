//! What can be decided about the metadata.

use mapring_types::props::PropChanges;
use mapring_types::{BucketId, NodeId};
use serde::{Deserialize, Serialize};

use super::member::Member;

/// One decision about the metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// The cluster comes into being.
    Found {
        /// Its identity, not 0.
        id: u64,
    },
    /// A node asks to be a member, or tells its present addresses.
    Join {
        /// The node.
        id: NodeId,
        /// Its name and addresses; the other fields are decided here.
        member: Member,
        /// The holder of the name so far, whose place the node takes: one that is gone for good.
        replaces: Option<NodeId>,
    },
    /// The first write is about to be taken.
    Seal,
    /// A node has lost data, or is to be filled again for another reason.
    Lost {
        /// The node.
        id: NodeId,
    },
    /// A node has begun a run with an older state of its data than it had acknowledged before, as it
    /// or another member found. Said by several, it counts once.
    WentBack {
        /// The node.
        id: NodeId,
        /// Its run: later ones are higher.
        run: u64,
    },
    /// A node has been filled again from the others.
    Filled {
        /// The node.
        id: NodeId,
        /// Its losses when the filling began: it may have lost something since.
        losses: u64,
    },
    /// A node has started on a data directory.
    Start {
        /// The node.
        id: NodeId,
        /// The numbers that the directory may have been given last: another one belongs to a copy
        /// of an earlier time.
        known: Vec<u64>,
        /// The number that it is given now.
        next: u64,
    },
    /// The chain of hashes over the metadata begins anew, on all nodes at the same entry and over
    /// what they have then.
    BeginChain,
    /// A member without partitions has gone for good.
    Forget {
        /// The node.
        id: NodeId,
    },
    /// Properties of a bucket are changed.
    SetBucket {
        /// The bucket.
        bucket: BucketId,
        /// The checked changes.
        changes: PropChanges,
    },
    /// A bucket's own properties are dropped.
    ResetBucket {
        /// The bucket.
        bucket: BucketId,
    },
    /// A bucket type is created, or its properties changed.
    SetBucketType {
        /// The type.
        name: String,
        /// The checked changes.
        changes: PropChanges,
    },
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is done, or was so already.
    Applied,
    /// It is refused, with the reason; nothing has changed.
    Refused(String),
}
