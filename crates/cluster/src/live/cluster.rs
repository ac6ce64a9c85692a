//! What a node's handle on its cluster is made of.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mapring_net::Transport;
use mapring_ring::RingSize;
use mapring_types::{Entropy, NodeId, Secrets};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::hub::Hub;
use crate::limits;
use crate::liveness::{Facts, Liveness};
use crate::raft::guard::Guard;
use crate::raft::log::LogStore;
use crate::raft::machine::Machine;
use crate::raft::{self, Metrics, Pace, Raft, RaftNode};

/// How a node takes part in its cluster.
#[derive(Debug, Clone)]
pub struct LiveConfig {
    /// The node's permanent identity.
    pub me: NodeId,
    /// The name given by the operator, unique in the cluster.
    pub node_name: String,
    /// The cluster's name.
    pub cluster_name: String,
    /// What all nodes of the cluster know.
    pub secrets: Secrets,
    /// The number of partitions.
    pub ring_size: RingSize,
    /// `host:port` of the cluster listener as other nodes reach it.
    pub cluster_address: String,
    /// `host:port` of the HTTP listener as clients reach it.
    pub http_address: String,
    /// What the node may fail together with; see [`crate::Member::zone`].
    pub zone: Option<String>,
    /// Where gossip listens (UDP): the port of the cluster listener.
    pub gossip_listen: SocketAddr,
    /// Addresses of members to join; empty (or only the own address): a new cluster.
    pub join: Vec<String>,
    /// The node's data directory; the metadata lies in `raft` under it.
    pub data_dir: PathBuf,
}

/// Times that tests shorten.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tuning {
    pub(crate) pace: Pace,
    pub(crate) found_listen: Duration,
    pub(crate) propose: Duration,
    pub(crate) voter_down: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            pace: Pace::default(),
            found_listen: limits::FOUND_LISTEN,
            propose: limits::PROPOSE,
            voter_down: limits::VOTER_DOWN,
        }
    }
}

/// One node's handle on a real cluster.
pub struct LiveCluster {
    pub(super) config: LiveConfig,
    pub(super) tuning: Tuning,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) entropy: Arc<dyn Entropy>,
    /// When this life of the node began, in microseconds.
    pub(super) started: u64,
    pub(super) hub: Arc<Hub>,
    pub(super) raft: Raft,
    pub(super) log: LogStore,
    pub(super) machine: Machine,
    pub(super) guard: Arc<Guard>,
    pub(super) liveness: Arc<dyn Liveness>,
    pub(super) load: AtomicU64,
    pub(super) stopping: watch::Sender<bool>,
    pub(super) tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl LiveCluster {
    /// What gossip tells of this node.
    pub(super) fn facts(&self) -> Facts {
        let view = self.hub.view();
        Facts {
            cluster_address: self.config.cluster_address.clone(),
            http_address: self.config.http_address.clone(),
            cluster_id: view.state.id,
            plan_version: view.plan().version(),
            load: self.load.load(Ordering::Relaxed),
            leaving: *self.stopping.borrow(),
        }
    }

    pub(super) fn metrics(&self) -> Metrics {
        self.raft.metrics().borrow().clone()
    }

    pub(super) fn leader(&self) -> Option<NodeId> {
        known_leader(&self.raft.metrics().borrow())
    }
}

pub(super) fn known_leader(metrics: &Metrics) -> Option<NodeId> {
    metrics.current_leader.filter(|leader| *leader != raft::NOBODY).map(NodeId)
}

/// This node as openraft knows it.
pub(super) fn raft_node(name: &str, address: &str) -> RaftNode {
    RaftNode { address: address.to_owned(), name: name.to_owned() }
}
