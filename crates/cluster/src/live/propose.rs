//! Having changes decided, wherever the leader is.

use std::time::Duration;

use bytes::Bytes;
use mapring_net::{Call, Class, Method, Peer};
use mapring_types::{Error, ErrorKind, NodeId, Result};
use openraft::error::{ClientWriteError, RaftError};
use tokio::time::{Instant, timeout_at};

use super::cluster::LiveCluster;
use crate::raft::network::Directory;
use crate::raft::network::stopped;
use crate::wire::{self, AskStatus, ProposeAnswer, ProposeRequest};
use crate::{Change, Outcome, limits};

impl LiveCluster {
    /// Has a change decided and applied here. It may be decided twice, which is the same as once
    /// and late: every change only sets something.
    pub(super) async fn decide(&self, change: Change) -> Result<Outcome> {
        self.hub.view().check_read(&change)?;
        let deadline = Instant::now() + self.tuning.propose;
        let decided = timeout_at(deadline, self.decide_until(&change, deadline)).await;
        let result = decided.unwrap_or_else(|_| {
            Err(Error::unavailable(format!(
                "the cluster did not decide within {:?}: a majority of its voters, or this node's \
                 way to them, is missing",
                self.tuning.propose
            )))
        });
        let outcome = match &result {
            Ok(Outcome::Applied) => "applied",
            Ok(Outcome::Refused(_)) => "refused",
            Err(_) => "failed",
        };
        metrics::counter!("mapring_cluster_proposals_total", "outcome" => outcome).increment(1);
        result
    }

    async fn decide_until(&self, change: &Change, deadline: Instant) -> Result<Outcome> {
        let mut metrics = self.raft.server_metrics();
        loop {
            let leader = metrics.borrow_and_update().current_leader.map(NodeId);
            let answer = match leader {
                Some(leader) if leader == self.config.me => self.decide_here(change).await?,
                Some(leader) => tokio::select! {
                    biased;
                    // One that was cut off would not answer; its successor is asked at once.
                    Ok(_) = metrics.wait_for(|now| now.current_leader != Some(leader.0)) => {
                        ProposeAnswer::NotLeader
                    }
                    answer = self.decide_there(leader, change, deadline) => answer?,
                },
                None => ProposeAnswer::NotLeader,
            };
            match answer {
                ProposeAnswer::Decided { outcome, index } => {
                    self.wait_applied(index).await?;
                    return Ok(outcome);
                }
                ProposeAnswer::NotLeader => {
                    // Either there is another leader soon, or this one can be reached again.
                    let other = metrics.wait_for(|now| {
                        let now = now.current_leader.map(NodeId);
                        now.is_some() && now != leader
                    });
                    let _ = tokio::time::timeout(limits::LOOK_AGAIN, other).await;
                }
            }
        }
    }

    /// Has the change decided if this node leads.
    pub(super) async fn decide_here(&self, change: &Change) -> Result<ProposeAnswer> {
        if wire::encode(change)?.len() > limits::CHANGE_BYTES {
            let message =
                format!("a change of the metadata exceeds {} bytes", limits::CHANGE_BYTES);
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        match self.raft.client_write(change.clone()).await {
            Ok(written) => {
                let index = written.log_id.index;
                Ok(ProposeAnswer::Decided { outcome: written.data, index })
            }
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                Ok(ProposeAnswer::NotLeader)
            }
            Err(error) => Err(stopped(error)),
        }
    }

    async fn decide_there(
        &self,
        leader: NodeId,
        change: &Change,
        deadline: Instant,
    ) -> Result<ProposeAnswer> {
        let request = ProposeRequest { change: change.clone() };
        let left = deadline.saturating_duration_since(Instant::now()).min(limits::ATTEMPT);
        match self.ask(leader, &request, left).await {
            Ok(answer) => Ok(answer),
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) => {
                Ok(ProposeAnswer::NotLeader)
            }
            Err(error) => Err(error.context(format!("proposal to node {leader}"))),
        }
    }

    pub(super) async fn answer_proposal(&self, request: ProposeRequest) -> Result<ProposeAnswer> {
        let decided = tokio::time::timeout(limits::DECIDE, self.decide_here(&request.change)).await;
        match decided {
            Ok(answer) => answer,
            Err(_) => Err(Error::unavailable("the leader has no majority of voters")),
        }
    }

    /// Asks a node whose address is known by its identity.
    pub(super) async fn ask<C: Call>(
        &self,
        node: NodeId,
        call: &C,
        timeout: Duration,
    ) -> Result<C::Answer> {
        let answer = self.send(node, C::method(), wire::request(call)?, timeout).await?;
        wire::answered::<C>(&answer)
    }

    /// Whether a node answers, whatever it says.
    ///
    /// # Errors
    /// What kept it from being reached, or its own.
    pub(super) async fn knock(&self, node: NodeId) -> Result<()> {
        let body = wire::request(&AskStatus)?;
        self.send(node, AskStatus::method(), body, limits::PROBE).await.map(drop)
    }

    async fn send(
        &self,
        node: NodeId,
        method: Method,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes> {
        let address = self
            .hub
            .address(node)
            .ok_or_else(|| Error::unavailable(format!("the address of node {node} is unknown")))?;
        let peer = Peer { id: Some(node), address };
        self.transport.call(&peer, Class::Foreground, method, body, timeout).await
    }

    /// Waits until the log is applied here up to `index`.
    pub(super) async fn wait_applied(&self, index: u64) -> Result<()> {
        if self.hub.index() >= index {
            return Ok(());
        }
        let wait = self.raft.wait(Some(self.tuning.propose));
        let waited = wait.applied_index_at_least(Some(index), "a decided change").await;
        waited.map_err(|_| Error::timeout("the change is decided, but has not arrived here"))?;
        Ok(())
    }
}
