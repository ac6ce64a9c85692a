//! The replicated log behind the metadata, run by openraft: its types, its storage in small files
//! and its messages over the cluster's transport.

mod chain;
pub(crate) mod files;
pub(crate) mod guard;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod memory;
pub(crate) mod network;
#[cfg(test)]
mod suite;

use std::io::Cursor;

use openraft::Config;
use openraft::SnapshotPolicy;
use serde::{Deserialize, Serialize};

use mapring_types::{Error, Result};

use crate::limits;
use crate::{Change, Outcome};

/// What a node of the group is to openraft: where it was when it joined. Addresses change; the
/// present one is looked up when a message is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RaftNode {
    /// `host:port` of its cluster listener.
    pub(crate) address: String,
    /// The name given by the operator.
    pub(crate) name: String,
}

openraft::declare_raft_types!(
    /// openraft's types as used here. Node ids are the numbers of `NodeId`s.
    pub(crate) TypeConfig:
        D = Change,
        R = Outcome,
        NodeId = u64,
        Node = RaftNode,
);

pub(crate) type Raft = openraft::Raft<TypeConfig>;
pub(crate) type Entry = openraft::Entry<TypeConfig>;
pub(crate) type LogId = openraft::LogId<u64>;
pub(crate) type Vote = openraft::Vote<u64>;
pub(crate) type StorageError = openraft::StorageError<u64>;
pub(crate) type StorageIoError = openraft::StorageIOError<u64>;
pub(crate) type StoredMembership = openraft::StoredMembership<u64, RaftNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<u64, RaftNode>;
pub(crate) type Snapshot = openraft::Snapshot<TypeConfig>;
pub(crate) type Metrics = openraft::RaftMetrics<u64, RaftNode>;

/// The leader in the vote of a chosen node for a while: raft installs a snapshot only from a leader,
/// and a node whose own vote were committed would lead without having been elected. No node's
/// identity.
pub(crate) const NOBODY: u64 = 0;

/// How fast leaders are noticed to be gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Milliseconds between two heartbeats of a leader.
    pub(crate) heartbeat: u64,
    /// Milliseconds of silence after which a follower may stand for election: lowest and highest.
    pub(crate) election: (u64, u64),
}

impl Default for Pace {
    fn default() -> Self {
        // openraft adds the highest value to each: a successor stands after 2.5 to 3 s of silence.
        Self { heartbeat: 300, election: (1_000, 1_500) }
    }
}

/// openraft's configuration. Elections are off until the node is told to run: before that its
/// services do not answer.
pub(crate) fn config(cluster_name: &str, pace: Pace) -> Result<Config> {
    Config {
        cluster_name: cluster_name.to_owned(),
        heartbeat_interval: pace.heartbeat,
        election_timeout_min: pace.election.0,
        election_timeout_max: pace.election.1,
        install_snapshot_timeout: u64::try_from(limits::SNAPSHOT_SEND.as_millis())
            .unwrap_or(u64::MAX),
        max_payload_entries: limits::MESSAGE_ENTRIES,
        replication_lag_threshold: limits::SNAPSHOT_ENTRIES + limits::KEPT_ENTRIES,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(limits::SNAPSHOT_ENTRIES),
        max_in_snapshot_log_to_keep: limits::KEPT_ENTRIES,
        purge_batch_size: limits::KEPT_ENTRIES,
        enable_elect: false,
        ..Config::default()
    }
    .validate()
    .map_err(|error| Error::internal("the configuration of raft is wrong").with_source(error))
}

/// Runs storage work off the reactor.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal("storage work of raft ended early").with_source(error)),
    }
}
