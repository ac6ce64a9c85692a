//! What a request asks for beside its object.

use std::time::Duration;

use mapring_types::limits::{MAX_TIMEOUT, REQUEST_TIMEOUT};
use mapring_types::{Quorum, SyncOnWrite, VersionVector};
use tokio::time::Instant;

use crate::write::{Asked, WriteQuorums};

/// How much of an object is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ObjectPart {
    /// All of it.
    #[default]
    Whole,
    /// All but the bytes of its values.
    Heads,
    /// As [`ObjectPart::Heads`], with the bytes of the value that has this tag.
    Value(String),
}

/// Options of a read.
#[derive(Debug, Clone, Default)]
pub struct GetOptions {
    /// Replicas that must answer.
    pub r: Quorum,
    /// Primaries that must answer.
    pub pr: Quorum,
    /// Distinct nodes that must answer.
    pub node_confirms: Quorum,
    /// Whether a majority of not-founds ends the read; the bucket's property when `None`.
    pub basic_quorum: Option<bool>,
    /// Whether a missing replica counts as an answer; the bucket's property when `None`.
    pub notfound_ok: Option<bool>,
    /// The deadline; the default when `None`.
    pub timeout: Option<Duration>,
}

/// Options of a write or a delete.
#[derive(Debug, Clone, Default)]
pub struct PutOptions {
    /// Replicas that must take the write.
    pub w: Quorum,
    /// Replicas that must have stored it.
    pub dw: Quorum,
    /// Primaries that must take it.
    pub pw: Quorum,
    /// Distinct nodes that must have stored it.
    pub node_confirms: Quorum,
    /// Which replicas are fsynced first; the bucket's property when `None`.
    pub sync_on_write: Option<SyncOnWrite>,
    /// The deadline; the default when `None`.
    pub timeout: Option<Duration>,
    /// The write is made only if nothing is stored that this clock has not seen. One node decides
    /// about all such writes to an object, so that of two with the same clock one is made; two can
    /// be only where nodes are down or cut off from each other.
    pub unchanged: Option<VersionVector>,
}

/// Options of a delete.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// Replicas that must answer the read before the write.
    pub r: Quorum,
    /// Primaries that must answer the read.
    pub pr: Quorum,
    /// Replicas that must take the tombstone.
    pub w: Quorum,
    /// Replicas that must have stored it.
    pub dw: Quorum,
    /// Primaries that must take it.
    pub pw: Quorum,
    /// As [`PutOptions::node_confirms`].
    pub node_confirms: Quorum,
    /// As [`PutOptions::sync_on_write`].
    pub sync_on_write: Option<SyncOnWrite>,
    /// Fills `r` and `w` where they are left open.
    pub rw: Quorum,
    /// The deadline of the read and of the write; the default when `None`.
    pub timeout: Option<Duration>,
    /// As [`PutOptions::unchanged`].
    pub unchanged: Option<VersionVector>,
}

impl PutOptions {
    pub(crate) fn quorums(&self) -> WriteQuorums {
        let Self { w, dw, pw, .. } = *self;
        WriteQuorums { w, dw, pw }
    }

    pub(crate) fn asked(&self) -> Asked {
        Asked { node_confirms: self.node_confirms, sync_on_write: self.sync_on_write }
    }
}

/// When a request that asks for `timeout` ends.
pub(crate) fn deadline(timeout: Option<Duration>) -> Instant {
    Instant::now() + timeout.unwrap_or(REQUEST_TIMEOUT).min(MAX_TIMEOUT)
}
