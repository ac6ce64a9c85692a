//! The leader's duty: the metadata group has the members as its nodes, and up to five of them as
//! voters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mapring_types::NodeId;
use openraft::{ChangeMembers, LogIdOptionExt, Membership};

use super::{LiveCluster, raft_node};
use crate::raft::{Metrics, RaftNode};
use crate::{Member, limits};

/// One change of the metadata group.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A change of the voters was left half done; go on to these.
    Finish(BTreeSet<u64>),
    /// These have left the cluster.
    Remove(BTreeSet<u64>),
    /// These learners have left the cluster.
    Forget(BTreeSet<u64>),
    /// A member is no node of the group yet.
    Add(u64, RaftNode),
    /// A learner becomes a voter.
    Promote(u64),
}

/// Reshapes the group whenever this node leads it and it is not as it should be.
pub(super) async fn keep(cluster: Arc<LiveCluster>) {
    let mut changes = cluster.hub.changes();
    let mut metrics = cluster.raft.metrics();
    loop {
        let now = metrics.borrow_and_update().clone();
        changes.borrow_and_update();
        match cluster.next_step(&now) {
            Some(step) => cluster.reshape(step).await,
            None => {
                let changed = tokio::select! {
                    biased;
                    changed = changes.changed() => changed.is_ok(),
                    changed = metrics.changed() => changed.is_ok(),
                };
                if !changed {
                    return;
                }
            }
        }
    }
}

impl LiveCluster {
    fn next_step(&self, metrics: &Metrics) -> Option<Step> {
        if !metrics.state.is_leader() {
            return None;
        }
        let view = self.hub.view();
        let last = metrics.last_log_index.unwrap_or(0);
        let ready = |id: u64| {
            let replicated = metrics.replication.as_ref().and_then(|nodes| nodes.get(&id));
            let matched = replicated.and_then(|matched| matched.index());
            let lags = matched.is_none_or(|index| last.saturating_sub(index) > limits::VOTER_LAG);
            !lags && view.is_up(NodeId(id))
        };
        next_step(view.me, metrics.membership_config.membership(), &view.state.members, ready)
    }

    async fn reshape(&self, step: Step) {
        tracing::debug!(?step, "reshaping the metadata group");
        let changing = async {
            match step.clone() {
                Step::Add(id, node) => self.raft.add_learner(id, node, false).await,
                Step::Finish(voters) => self.raft.change_membership(voters, false).await,
                Step::Promote(id) => {
                    let voters = ChangeMembers::AddVoterIds([id].into());
                    self.raft.change_membership(voters, true).await
                }
                Step::Remove(ids) => {
                    let voters = ChangeMembers::RemoveVoters(ids);
                    self.raft.change_membership(voters, false).await
                }
                Step::Forget(ids) => {
                    self.raft.change_membership(ChangeMembers::RemoveNodes(ids), false).await
                }
            }
        };
        match tokio::time::timeout(limits::RESHAPE, changing).await {
            Ok(Ok(_)) => tracing::info!(?step, "the metadata group is reshaped"),
            Ok(Err(error)) => {
                tracing::warn!(?step, %error, "cannot reshape the metadata group yet");
                tokio::time::sleep(limits::RESHAPE_PAUSE).await;
            }
            Err(_) => tracing::warn!(?step, "the metadata group is not reshaped in time"),
        }
    }
}

/// What is to be changed first; `None` when all is as it should be.
fn next_step(
    me: NodeId,
    group: &Membership<u64, RaftNode>,
    members: &BTreeMap<NodeId, Member>,
    ready: impl Fn(u64) -> bool,
) -> Option<Step> {
    // A leader that is founding the cluster is not its member yet.
    members.get(&me)?;
    if let [_, target] = group.get_joint_config().as_slice() {
        return Some(Step::Finish(target.clone()));
    }
    let voters: BTreeSet<u64> = group.voter_ids().collect();
    let gone = |id: &u64| !members.contains_key(&NodeId(*id));
    let left: BTreeSet<u64> = voters.iter().copied().filter(gone).collect();
    if !left.is_empty() {
        return Some(Step::Remove(left));
    }
    let left: BTreeSet<u64> = group.learner_ids().filter(gone).collect();
    if !left.is_empty() {
        return Some(Step::Forget(left));
    }
    let missing = members.iter().find(|(id, _)| group.get_node(&id.0).is_none());
    if let Some((id, member)) = missing {
        return Some(Step::Add(id.0, raft_node(&member.name, &member.cluster_address)));
    }
    if voters.len() >= limits::VOTERS {
        return None;
    }
    group.learner_ids().find(|id| ready(*id)).map(Step::Promote)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemberStatus;

    #[track_caller]
    fn check(configs: &[&[u64]], nodes: &[u64], members: &[u64], expected: Option<Step>) {
        let configs = configs.iter().map(|ids| ids.iter().copied().collect()).collect();
        let nodes: BTreeMap<u64, RaftNode> = nodes.iter().map(|id| (*id, node(*id))).collect();
        let group = Membership::new(configs, nodes);
        let members = members.iter().map(|id| (NodeId(*id), member(*id))).collect();
        // Node 8 is never ready.
        assert_eq!(next_step(NodeId(1), &group, &members, |id| id != 8), expected);
    }

    fn node(id: u64) -> RaftNode {
        raft_node(&format!("n{id}"), &format!("host{id}:1"))
    }

    fn member(id: u64) -> Member {
        Member {
            name: format!("n{id}"),
            cluster_address: format!("host{id}:1"),
            http_address: String::new(),
            status: MemberStatus::Valid,
            incomplete: false,
            losses: 0,
            start: 0,
        }
    }

    #[test]
    fn steps() {
        check(&[&[1]], &[1], &[], None);
        check(&[&[1]], &[1], &[1], None);
        check(&[&[1]], &[1], &[1, 2], Some(Step::Add(2, node(2))));
        check(&[&[1]], &[1, 2], &[1, 2], Some(Step::Promote(2)));
        check(&[&[1]], &[1, 8], &[1, 8], None);
        check(&[&[1, 2], &[1, 2, 3]], &[1, 2, 3], &[1, 2, 3], Some(Step::Finish([1, 2, 3].into())));
        check(&[&[1, 2, 3]], &[1, 2, 3], &[1, 2, 4], Some(Step::Remove([3].into())));
        check(&[&[1, 2]], &[1, 2, 3], &[1, 2, 4], Some(Step::Forget([3].into())));
        check(&[&[1, 2]], &[1, 2], &[1, 2, 4], Some(Step::Add(4, node(4))));
        let six = [1, 2, 3, 4, 5, 6];
        check(&[&[1, 2, 3, 4, 5]], &six, &six, None);
        check(&[&[1, 2, 3, 4]], &six, &six, Some(Step::Promote(5)));
    }
}
