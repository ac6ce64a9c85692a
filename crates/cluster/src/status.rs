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
}

/// A member in a [`ClusterStatus`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusMember {
    /// Its identity.
    pub id: String,
    /// Its name.
    pub name: String,
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
            learners: Vec::new(),
            ring_size: plan.ring_size().get(),
            plan_version: plan.version(),
            sealed: state.sealed,
            members,
        }
    }
}
