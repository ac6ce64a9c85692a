//! What nodes of a cluster say to each other's `Cluster` service: a version byte, then JSON.

use std::collections::BTreeMap;

use bytes::Bytes;
use mapring_net::Method;
use mapring_types::{Error, NodeId, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Change, Outcome};

/// raft's replication of log entries, and its heartbeat.
pub(crate) const APPEND: u8 = 1;
/// raft's request for a vote.
pub(crate) const VOTE: u8 = 2;
/// A whole snapshot: a line of JSON after the version byte, then the state.
pub(crate) const SNAPSHOT: u8 = 3;
/// [`JoinRequest`] → [`JoinAnswer`].
pub(crate) const JOIN: u8 = 4;
/// [`Change`] → [`ProposeAnswer`].
pub(crate) const PROPOSE: u8 = 5;
/// Nothing → `ClusterStatus`.
pub(crate) const STATUS: u8 = 6;

/// Nothing is done → a `Letter` with all that the node knows; and what was asked with: a `Letter`.
pub(crate) const RECALL: u8 = 7;
/// [`ChooseRequest`] → [`ChooseAnswer`].
pub(crate) const CHOOSE: u8 = 8;
/// A chosen history: a line of JSON after the version byte, then the state → [`Adopted`].
pub(crate) const ADOPT: u8 = 9;
/// The [`NodeId`] of a member that has gone for good → [`ProposeAnswer`].
pub(crate) const FORGET: u8 = 12;

/// Since version 2 raft's messages tell what nodes remember of each other. All nodes of a cluster
/// must know it: one that does not tell could have forgotten what the others rely on.
const VERSION: u8 = 2;

/// The method of an operation.
pub(crate) fn method(operation: u8) -> Method {
    Method { service: crate::SERVICE, operation }
}

/// A node asks to be a member, or tells its present addresses.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JoinRequest {
    pub(crate) id: NodeId,
    pub(crate) name: String,
    pub(crate) cluster_address: String,
    pub(crate) http_address: String,
    /// Nodes of an earlier version have none.
    #[serde(default)]
    pub(crate) zone: Option<String>,
    pub(crate) cluster_name: String,
    pub(crate) ring_size: u16,
    /// When the node started, in microseconds: of two addresses the later one holds.
    pub(crate) started: u64,
    /// Whether the node has been given the metadata before.
    pub(crate) stored: bool,
    /// The identity of the cluster that it belongs to, 0 when it does not know.
    pub(crate) cluster_id: u64,
    /// Whether a member passed this on to whom it takes for the leader.
    pub(crate) forwarded: bool,
}

/// What becomes of a [`JoinRequest`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JoinAnswer {
    pub(crate) verdict: Verdict,
    /// Where the answering node knows others to be, with the start of that life of theirs.
    pub(crate) addresses: BTreeMap<NodeId, (u64, String)>,
}

/// The answer proper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    /// The node is a member; the metadata will reach it.
    Accepted,
    /// Not now: no leader, or something that passes.
    Later(String),
    /// Asking this cluster is of no use: it is another one of the same name.
    Foreign(String),
    /// Never, as things are.
    Refused(String),
}

/// What becomes of a forwarded proposal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ProposeAnswer {
    /// It is decided, as the log's entry `index`.
    Decided { outcome: Outcome, index: u64 },
    /// The asked node does not lead; nothing was done.
    NotLeader,
}

/// A forwarded proposal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ProposeRequest {
    pub(crate) change: Change,
}

/// A node is to make its history of the metadata that of all.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ChooseRequest {
    /// The node.
    pub(crate) node: NodeId,
}

/// What has become of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ChooseAnswer {
    /// The node leads, with its history.
    Chosen(crate::Chosen),
    /// Nothing was done.
    Refused(String),
}

/// What a node has dropped to take another one's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Adopted {
    /// The entries from the first to the last of these, if any.
    Dropped(Option<(u64, u64)>),
    /// Nothing: there is a leader.
    Refused(String),
}

/// A message's bytes.
pub(crate) fn encode(message: &impl Serialize) -> Result<Bytes> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, message)
        .map_err(|error| Error::internal("cannot encode a cluster message").with_source(error))?;
    Ok(bytes.into())
}

/// A message from its bytes.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(content(bytes)?)
        .map_err(|error| Error::invalid("a cluster message is damaged").with_source(error))
}

/// A message of a line of JSON and raw bytes after it.
pub(crate) fn encode_with(head: &impl Serialize, tail: &[u8]) -> Result<Bytes> {
    let mut bytes = encode(head)?.to_vec();
    bytes.push(b'\n');
    bytes.extend_from_slice(tail);
    Ok(bytes.into())
}

/// The parts of [`encode_with`].
pub(crate) fn decode_with<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, Vec<u8>)> {
    // JSON text as written here has no line ends: they are escaped in strings.
    let line = bytes
        .iter()
        .position(|&byte| byte == b'\n')
        .ok_or_else(|| Error::invalid("a cluster message is damaged"))?;
    let (head, tail) = bytes.split_at(line);
    Ok((decode(head)?, tail.get(1..).unwrap_or_default().to_vec()))
}

fn content(bytes: &[u8]) -> Result<&[u8]> {
    match bytes.split_first() {
        Some((&VERSION, content)) => Ok(content),
        Some((version, _)) => Err(Error::invalid(format!(
            "a cluster message of version {version}, where version {VERSION} is spoken: all \
                 nodes of a cluster must run the same version of mapring"
        ))),
        None => Err(Error::invalid("an empty cluster message")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refusals() {
        let request = ProposeRequest { change: Change::Seal };
        let bytes = encode(&request).unwrap();
        assert_eq!(decode::<ProposeRequest>(&bytes).unwrap().change, Change::Seal);
        let bytes = encode_with(&("head\n", 1), b"tail\nof it").unwrap();
        let ((head, _), tail) = decode_with::<(String, u32)>(&bytes).unwrap();
        assert_eq!((head.as_str(), tail.as_slice()), ("head\n", &b"tail\nof it"[..]));
        for bytes in [&b""[..], b"\x01{}", b"\x03{}", b"\x02", b"\x02{", b"\x02\xff\xff"] {
            assert!(decode::<ProposeRequest>(bytes).is_err(), "{bytes:?}");
            assert!(decode_with::<ProposeRequest>(bytes).is_err(), "{bytes:?}");
        }
    }
}
