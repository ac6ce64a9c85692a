//! What nodes of a cluster say to each other's `Cluster` service: a version byte, then JSON.

use std::collections::BTreeMap;

use bytes::Bytes;
use mapring_net::{Call, ServiceId, calls};
use mapring_types::{Error, NodeId, Release, Releases, Result, Versioned};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::raft::memory::Letter;
use crate::raft::{LogId, SnapshotMeta, TypeConfig, Vote};
use crate::{Change, ClusterStatus, Outcome};

/// The number of the service for requests to join and the messages of raft. It is sent, and so never another
/// service's.
pub const SERVICE: ServiceId = ServiceId::new(1);

calls!(SERVICE;
    Append = 1 => (Letter, AppendEntriesResponse<u64>),
    AskVote = 2 => (Letter, VoteResponse<u64>),
    /// The head of a message whose tail is the state.
    SendSnapshot = 3 => (Letter, SnapshotResponse<u64>),
    JoinRequest = 4 => JoinAnswer,
    ProposeRequest = 5 => ProposeAnswer,
    AskStatus = 6 => ClusterStatus,
    Recall = 7 => Letter,
    ChooseRequest = 8 => ChooseAnswer,
    /// The head of a message whose tail is the state.
    Adopt = 9 => Adopted,
    Forget = 12 => ProposeAnswer,
);

/// raft's replication of log entries, and its heartbeat.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Append(pub(crate) Letter, pub(crate) AppendEntriesRequest<TypeConfig>);

/// raft's request for a vote.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AskVote(pub(crate) Letter, pub(crate) VoteRequest<u64>);

/// A whole snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SendSnapshot(pub(crate) Letter, pub(crate) Vote, pub(crate) SnapshotMeta);

/// What the cluster's state is, for humans; whether a node answers at all.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AskStatus;

/// What a node knows of the others is told, and asked for; nothing is done.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Recall(pub(crate) Letter);

/// A chosen history, with the last entry that its node had.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Adopt(pub(crate) Vote, pub(crate) SnapshotMeta, pub(crate) Option<LogId>);

/// A member has gone for good.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Forget(pub(crate) NodeId);

/// What begins every message.
struct Message;

// Since version 2 raft's messages tell what nodes remember of each other. All nodes of a cluster must know
// it: one that does not tell could have forgotten what the others rely on.
mapring_types::first_version!(Message, 2, "a cluster message", Message);

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
    /// The releases of the formats that it knows; former nodes do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) releases: Option<Releases>,
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

/// A message's bytes. Who asks to join does not know yet what the others know: so messages are in the
/// version of the first release, and what is new in them stands in members that may be absent.
pub(crate) fn encode(message: &impl Serialize) -> Result<Bytes> {
    let mut bytes = vec![Message::version_at(Release::FIRST)];
    serde_json::to_writer(&mut bytes, message)
        .map_err(|error| Error::internal("cannot encode a cluster message").with_source(error))?;
    Ok(bytes.into())
}

/// A message from its bytes.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let (_, content) = Message::split(bytes)?;
    serde_json::from_slice(content)
        .map_err(|error| Error::invalid("a cluster message is damaged").with_source(error))
}

/// A request.
pub(crate) fn request<C: Call>(call: &C) -> Result<Bytes> {
    encode(call)
}

/// A request of a line of JSON, its head, and raw bytes after it.
pub(crate) fn request_with<C: Call>(head: &C, tail: &[u8]) -> Result<Bytes> {
    let mut bytes = encode(head)?.to_vec();
    bytes.push(b'\n');
    bytes.extend_from_slice(tail);
    Ok(bytes.into())
}

/// What comes back.
pub(crate) fn answered<C: Call>(bytes: &[u8]) -> Result<C::Answer> {
    decode(bytes)
}

/// Does what is asked, and encodes the answer.
pub(crate) async fn serve<C: Call>(
    body: &[u8],
    work: impl AsyncFnOnce(C) -> Result<C::Answer>,
) -> Result<Bytes> {
    encode(&work(decode(body)?).await?)
}

/// As [`serve`], of a request with a tail.
pub(crate) async fn serve_with<C: Call>(
    body: &[u8],
    work: impl AsyncFnOnce(C, Vec<u8>) -> Result<C::Answer>,
) -> Result<Bytes> {
    // JSON text as written here has no line ends: they are escaped in strings.
    let line = body
        .iter()
        .position(|&byte| byte == b'\n')
        .ok_or_else(|| Error::invalid("a cluster message is damaged"))?;
    let (head, tail) = body.split_at(line);
    encode(&work(decode(head)?, tail.get(1..).unwrap_or_default().to_vec()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn round_trips_and_refusals() {
        let asked = ProposeRequest { change: Change::Seal };
        let bytes = request(&asked).unwrap();
        let told = serve(&bytes, async |asked: ProposeRequest| {
            assert_eq!(asked.change, Change::Seal);
            Ok(ProposeAnswer::NotLeader)
        });
        let told = answered::<ProposeRequest>(&told.await.unwrap()).unwrap();
        assert!(matches!(told, ProposeAnswer::NotLeader));
        let head = Adopt(Vote::new(3, 7), SnapshotMeta::default(), None);
        let bytes = request_with(&head, b"tail\nof it").unwrap();
        let told = serve_with(&bytes, async |head: Adopt, tail| {
            assert_eq!((head.0, tail.as_slice()), (Vote::new(3, 7), &b"tail\nof it"[..]));
            Ok(Adopted::Dropped(None))
        });
        let told = answered::<Adopt>(&told.await.unwrap()).unwrap();
        assert_eq!(told, Adopted::Dropped(None));
        for bytes in [&b""[..], b"\x01{}", b"\x03{}", b"\x02", b"\x02{", b"\x02\xff\xff"] {
            assert!(decode::<ProposeRequest>(bytes).is_err(), "{bytes:?}");
            assert!(serve_with(bytes, async |_: Adopt, _| panic!("served")).await.is_err());
        }
        let later = decode::<ProposeRequest>(b"\x03{}").unwrap_err();
        let words = "a cluster message has version 3, and version 2 is understood";
        assert!(later.message().contains(words), "{later}");
    }
}
