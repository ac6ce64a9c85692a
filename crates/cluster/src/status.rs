//! The cluster's state for humans and tools.

use serde::{Deserialize, Serialize};

use crate::{MemberStatus, View};

/// What `mapring cluster status` shows. Node ids are hexadecimal text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The cluster's name.
    pub cluster_name: String,
    /// The cluster's identity, hexadecimal.
    pub cluster_id: String,
    /// The node that answers.
    pub me: String,
    /// The leader of the metadata group, as far as this node knows one.
    pub leader: Option<String>,
    /// The metadata group's term.
    pub term: u64,
    /// Last entry of the metadata log that is applied on this node.
    pub applied_index: u64,
    /// Voters of the metadata group.
    pub voters: Vec<String>,
    /// Whether the voters are being changed: till that is done, majorities of the old and of the
    /// new voters are needed.
    pub voters_changing: bool,
    /// Whether changes of the metadata can be decided, as far as this node knows: there is a leader,
    /// and a majority of the voters is up.
    #[serde(default)]
    pub decides: bool,
    /// Nodes of the metadata group without a vote.
    pub learners: Vec<String>,
    /// The number of partitions.
    pub ring_size: u16,
    /// The ownership plan's version.
    pub plan_version: u64,
    /// Whether data may have arrived: nodes that join now own nothing.
    pub sealed: bool,
    /// All members, by name.
    pub members: Vec<StatusMember>,
    /// How far the nodes of the metadata group have come.
    #[serde(default)]
    pub metadata: MetadataStatus,
}

/// The metadata in a [`ClusterStatus`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataStatus {
    /// Whether it has a leader that works, as far as this node has heard lately.
    pub has_leader: bool,
    /// The name of that leader.
    pub leader: Option<String>,
    /// Whether entries that were decided are held by no node that answers, so that none may lead: an
    /// operator has to choose whose history goes on.
    pub needs_choice: bool,
    /// The term of the last entry applied on this node.
    pub term: u64,
    /// The last entry applied on this node.
    pub index: u64,
    /// The hash over everything applied on this node; `None` before its chain has begun.
    pub hash: Option<String>,
    /// The nodes of the group of which something is known, by name.
    pub members: Vec<MetadataMember>,
}

/// A node in a [`MetadataStatus`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataMember {
    /// Its identity, hexadecimal.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The last entry of its log when it was last heard of; `None` when it has not been heard.
    pub index: Option<u64>,
    /// The term of that entry.
    pub term: Option<u64>,
    /// When it is behind its own past: the last entry that it once had.
    pub once: Option<u64>,
    /// The term of that entry.
    pub once_term: Option<u64>,
    /// The names of the nodes that remember it.
    pub remembered_by: Vec<String>,
    /// The first entry at which it was seen to have applied other decisions than this node.
    pub differs_at: Option<u64>,
}

/// What became of [`crate::Cluster::choose`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The name of the node whose history all go on from.
    pub node: String,
    /// The last entry of that history.
    pub index: u64,
    /// The entry at which it goes on.
    pub continues_at: u64,
    /// What the nodes that were reached have done.
    pub nodes: Vec<Follower>,
    /// The names of the nodes that were not reached; they follow when they are.
    pub missing: Vec<String>,
}

/// A node in a [`Chosen`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follower {
    /// Its name.
    pub node: String,
    /// The first and the last entry that it had and has dropped.
    pub dropped: Option<(u64, u64)>,
}

/// A member in a [`ClusterStatus`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusMember {
    /// Its identity.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it may fail together with, where the operator says so.
    #[serde(default)]
    pub zone: Option<String>,
    /// Where it stands.
    pub status: MemberStatus,
    /// Whether it counts as up on the answering node.
    pub up: bool,
    /// `host:port` of its cluster listener.
    pub cluster_address: String,
    /// `host:port` of its HTTP listener.
    pub http_address: String,
    /// Partitions that it owns.
    pub partitions: usize,
    /// Share of the ring that it owns, 0 to 1.
    pub share: f64,
    /// Whether it took the place of a node whose data it does not have.
    pub incomplete: bool,
}

impl ClusterStatus {
    /// What a view tells: everything but the metadata group.
    pub fn of_view(view: &View) -> Self {
        let (state, plan) = (&view.state, view.plan());
        let mut members: Vec<StatusMember> = state
            .members
            .iter()
            .map(|(id, member)| StatusMember {
                id: id.to_string(),
                name: member.name.clone(),
                zone: member.zone.clone(),
                status: member.status,
                up: view.is_up(*id),
                cluster_address: member.cluster_address.clone(),
                http_address: member.http_address.clone(),
                partitions: plan.owned_by(*id).count(),
                share: plan.share(*id),
                incomplete: member.incomplete,
            })
            .collect();
        members.sort_by(|left, right| left.name.cmp(&right.name));
        Self {
            cluster_name: state.name.clone(),
            cluster_id: format!("{:016x}", state.id),
            me: view.me.to_string(),
            leader: None,
            term: 0,
            applied_index: 0,
            voters: Vec::new(),
            voters_changing: false,
            decides: true,
            learners: Vec::new(),
            ring_size: plan.ring_size().get(),
            plan_version: plan.version(),
            sealed: state.sealed,
            members,
            metadata: MetadataStatus { has_leader: true, ..MetadataStatus::default() },
        }
    }
}
