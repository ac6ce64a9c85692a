//! Removing a member that has gone for good and owns nothing.

use mapring_types::{Error, ErrorKind, NodeId, Result};
use openraft::error::{CheckIsLeaderError, RaftError};

use super::cluster::LiveCluster;
use super::join::Holder;
use crate::raft::Metrics;
use crate::raft::network::stopped;
use crate::wire::{Forget, ProposeAnswer};
use crate::{Change, Outcome, limits};

impl LiveCluster {
    /// Has a member removed, wherever the leader is.
    pub(super) async fn forget_member(&self, node: NodeId) -> Result<Outcome> {
        let view = self.hub.view();
        if let Err(refusal) = view.state.check_forget(node) {
            return Ok(Outcome::Refused(refusal.to_string()));
        }
        if view.is_up(node) {
            return Ok(Outcome::Refused(format!(
                "{} is up, or was a few seconds ago: stop it, and ask again",
                view.state.named(node)
            )));
        }
        let mut why = "the metadata has no leader".to_owned();
        let forgetting = self.forget_until_decided(node, &mut why);
        let forgotten = tokio::time::timeout(limits::FORGET, forgetting).await;
        forgotten.unwrap_or_else(|_| {
            let after = limits::FORGET;
            Err(Error::unavailable(format!("the cluster did not decide within {after:?}: {why}")))
        })
    }

    async fn forget_until_decided(&self, node: NodeId, why: &mut String) -> Result<Outcome> {
        let mut metrics = self.raft.server_metrics();
        loop {
            let leader = metrics.borrow_and_update().current_leader.map(NodeId);
            let answered = match leader {
                Some(leader) if leader == self.config.me => self.forget_here(node).await,
                Some(leader) => self.ask(leader, &Forget(node), limits::FORGET_CALL).await,
                None => Ok(ProposeAnswer::NotLeader),
            };
            match answered {
                Ok(ProposeAnswer::Decided { outcome, index }) => {
                    self.wait_applied(index).await?;
                    return Ok(outcome);
                }
                Ok(ProposeAnswer::NotLeader) => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) =>
                {
                    *why = error.to_string();
                }
                Err(error) => return Err(error),
            }
            // Either there is another leader soon, or this one can be reached again.
            let other = metrics.wait_for(|now| {
                let now = now.current_leader.map(NodeId);
                now.is_some() && now != leader
            });
            let _ = tokio::time::timeout(limits::LOOK_AGAIN, other).await;
        }
    }

    /// Removes a member if this node leads.
    pub(super) async fn forget_here(&self, node: NodeId) -> Result<ProposeAnswer> {
        // Judges by all that has been decided before, and only while it really leads.
        match self.raft.ensure_linearizable().await {
            Ok(_) => {}
            Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(_))) => {
                return Ok(ProposeAnswer::NotLeader);
            }
            Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_))) => {
                return Err(Error::unavailable("the leader has no majority of voters"));
            }
            Err(error) => return Err(stopped(error)),
        }
        let refuse = |reason: String| {
            Ok(ProposeAnswer::Decided { outcome: Outcome::Refused(reason), index: 0 })
        };
        let state = self.hub.view().state.clone();
        if let Err(refusal) = state.check_forget(node) {
            return refuse(refusal.to_string());
        }
        let name = state.named(node);
        match self.look_after(node).await {
            Holder::Up => return refuse(format!("{name} is up: stop it first")),
            Holder::Unsure => {
                return refuse(format!("{name} is perhaps up, it was heard a few seconds ago"));
            }
            Holder::Gone => {}
        }
        // First, as afterwards the others would lack it in every majority. The keeper of the voters
        // does it, since who owns nothing has no vote.
        let votes_not = |metrics: &Metrics| {
            let group = metrics.membership_config.membership();
            group.get_joint_config().len() == 1 && group.voter_ids().all(|id| id != node.0)
        };
        let waiting = self.raft.wait(Some(limits::DEMOTE));
        if waiting.metrics(votes_not, "the vote is taken").await.is_err() {
            return Err(Error::unavailable(format!(
                "{name} votes, and the vote cannot be taken from it without a majority of the voters"
            )));
        }
        let answer = self.decide_here(&Change::Forget { id: node }).await?;
        if let ProposeAnswer::Decided { outcome: Outcome::Applied, .. } = &answer {
            tracing::info!(member = %name, "removed from the cluster");
            let unknown = |metrics: &Metrics| {
                metrics.membership_config.membership().get_node(&node.0).is_none()
            };
            let _ = self.raft.wait(Some(limits::DEMOTE)).metrics(unknown, "it is unknown").await;
        }
        Ok(answer)
    }
}
