//! Cluster metadata, liveness and membership.
//!
//! The metadata (members, ownership plan, bucket types and properties) is one small replicated
//! state, changed only by [`Change`]s that all nodes apply in one order. The data path reads the
//! last applied state and never waits.
//!
//! [`state`] is the pure state machine. [`live::LiveCluster`] runs it by raft, with liveness by
//! gossip behind [`liveness::Liveness`]; [`fixed::FixedCluster`] is for tests and simulation.

pub mod fixed;
#[cfg(test)]
mod formats;
pub mod limits;
pub mod live;
pub mod liveness;
mod raft;
pub mod state;
pub mod status;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use mapring_net::Peer;
use mapring_ring::{OwnershipPlan, PreferenceList};
use mapring_types::{BucketId, BucketProps, Error, NodeId, Result};
use tokio::sync::watch;

pub use state::{
    Change, ClusterState, EndedJob, JobKind, JobRecord, JobResult, JobState, Member, MemberStatus,
    Outcome, ScheduleRun,
};
pub use status::{Chosen, ClusterStatus, MetadataStatus};
pub use wire::SERVICE;

/// The cluster as this node knows it now: the applied metadata, and who seems to be up.
#[derive(Debug, Clone)]
pub struct View {
    /// This node.
    pub me: NodeId,
    /// The metadata as last applied here.
    pub state: Arc<ClusterState>,
    /// The members that seem to be reachable, this node always among them.
    pub up: Arc<std::collections::BTreeSet<NodeId>>,
}

impl View {
    /// The ownership plan.
    pub fn plan(&self) -> &OwnershipPlan {
        &self.state.plan
    }

    /// Whether `node` seems to be reachable.
    pub fn is_up(&self, node: NodeId) -> bool {
        self.up.contains(&node)
    }

    /// How to reach `node`.
    pub fn peer(&self, node: NodeId) -> Option<Peer> {
        let member = self.state.members.get(&node)?;
        Some(Peer { id: Some(node), address: member.cluster_address.clone() })
    }

    /// The properties of a bucket: defaults, then those of its type, then its own. `None` when the
    /// bucket type does not exist.
    pub fn props(&self, bucket: &BucketId) -> Option<BucketProps> {
        self.state.props(bucket)
    }

    /// Whether all members read a change, so that it may be decided.
    ///
    /// # Errors
    /// `Unavailable`, naming a member that does not.
    pub fn check_read(&self, change: &Change) -> Result<()> {
        let (since, known) = (change.since(), self.state.release());
        if since <= known {
            return Ok(());
        }
        let mut members = self.state.members.iter();
        let older = members.find(|(_, member)| member.release() < since);
        let older = older.map_or_else(String::new, |(id, _)| {
            format!("; {} does not, or has not said so yet", self.state.named(*id))
        });
        Err(Error::unavailable(format!(
            "jobs need every member to know release {since} of the formats{older}"
        )))
    }

    /// How many replicas every object of a bucket has at least; `None` when the bucket type does not
    /// exist. Coverage relies on no more.
    pub fn least_n_val(&self, bucket: &BucketId) -> Option<u32> {
        self.state.least_n_val(bucket)
    }

    /// The preference list of an object.
    pub fn preference_list(&self, bucket: &BucketId, key: &[u8], n_val: u32) -> PreferenceList {
        let home = mapring_ring::hash::home(self.plan().ring_size(), bucket, key);
        PreferenceList::new(self.plan(), home, n_val, |node| self.is_up(node))
    }
}

/// What the data path needs of the cluster. Cheap to call.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// The present view.
    fn view(&self) -> Arc<View>;

    /// Tells of every later view.
    fn changes(&self) -> watch::Receiver<Arc<View>>;

    /// Has a change decided and applied here.
    ///
    /// # Errors
    /// `Unavailable` without a majority, `Timeout`, or the refusal of the change itself.
    async fn propose(&self, change: Change) -> Result<Outcome>;

    /// Has a member removed that is down for good and owns nothing; what votes loses its vote first.
    ///
    /// # Errors
    /// As [`Cluster::propose`]. A member that is up, perhaps up, or owns partitions is refused.
    async fn forget(&self, node: NodeId) -> Result<Outcome> {
        let view = self.view();
        if view.is_up(node) {
            return Ok(Outcome::Refused(format!("{} is up", view.state.named(node))));
        }
        self.propose(Change::Forget { id: node }).await
    }

    /// Reports what a call found: a node that refuses connections counts as down at once, until
    /// gossip or a later success says otherwise.
    fn report(&self, node: NodeId, reachable: bool);

    /// Makes the metadata as a node has it, by its name, that of all: for a group in which nobody may
    /// lead, because entries that were decided are gone. Whatever other nodes have decided after it
    /// is dropped.
    ///
    /// # Errors
    /// `Invalid` when there is a leader, or no member of that name; `Unavailable` when the node, or
    /// a majority of its voters, is not reached.
    async fn choose(&self, node: &str) -> Result<Chosen> {
        Err(Error::invalid(format!("there is nothing to choose: {node} has the metadata of all")))
    }

    /// The cluster's state for humans and tools.
    fn status(&self) -> ClusterStatus {
        ClusterStatus::of_view(&self.view())
    }
}
