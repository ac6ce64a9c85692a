//! Choosing whose history of the metadata goes on, when nobody may lead: entries that were decided
//! are remembered, and no node that answers has them any more.
//!
//! The chosen node makes a snapshot of all that it has, in a place of the log that outranks
//! whatever any node has or remembers, and installs it on all that it reaches. From then on raft
//! goes on by itself: those nodes elect the chosen one, and nodes that come back later have less
//! than the leader and are filled.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::future::join_all;
use mapring_net::{Call, Class, Peer};
use mapring_types::{Error, NodeId, Result};
use openraft::CommittedLeaderId;
use tokio::time::timeout;

use super::cluster::LiveCluster;
use crate::raft::memory::{Position, Report};
use crate::raft::network::{Directory, stopped};
use crate::raft::{LogId, NOBODY, Snapshot, SnapshotMeta, StoredMembership, Vote};
use crate::status::Follower;
use crate::wire::{self, Adopt, Adopted, ChooseAnswer, ChooseRequest};
use crate::{Chosen, limits};

impl LiveCluster {
    /// Has the node of that name make its history that of all.
    pub(super) async fn choose_by_name(&self, name: &str) -> Result<Chosen> {
        let state = self.hub.view().state.clone();
        let Some(node) = state.holder(name) else {
            return Err(Error::invalid(format!("there is no node {name} in the cluster")));
        };
        let request = ChooseRequest { node };
        let answer = if node == self.config.me {
            self.choose_me().await?
        } else {
            let patience = 2 * limits::ADOPT + 2 * limits::RECALL;
            self.ask(node, &request, patience).await.map_err(|error| {
                error.context(format!("{name} cannot be reached, so that it cannot be chosen"))
            })?
        };
        match answer {
            ChooseAnswer::Chosen(chosen) => Ok(chosen),
            ChooseAnswer::Refused(reason) => Err(Error::invalid(reason)),
        }
    }

    pub(super) async fn answer_choice(&self, request: ChooseRequest) -> Result<ChooseAnswer> {
        if request.node != self.config.me {
            return Err(Error::invalid(format!("this is not node {}", request.node)));
        }
        self.choose_me().await
    }

    async fn choose_me(&self) -> Result<ChooseAnswer> {
        let heard = self.recall().await;
        if let Some(node) = self.led(&heard) {
            return Ok(ChooseAnswer::Refused(format!(
                "the metadata has a leader, as {node} says: there is nothing to choose"
            )));
        }
        let entries = self.log.entries_after(self.machine.applied().id);
        let membership = self.machine.membership(&entries);
        let mine = self.guard.mine();
        if let Some(missing) = self.without_majority(&membership, &heard) {
            return Ok(ChooseAnswer::Refused(format!(
                "too few nodes that vote can be reached; missing: {missing}"
            )));
        }
        let place = self.place_above(&heard);
        let snapshot = self.machine.forged(entries, place)?;
        let (meta, state) = (snapshot.meta, snapshot.snapshot.into_inner());
        let last = mine.position.log;
        tracing::warn!(
            index = last.map_or(0, |last| last.index),
            continues_at = place.index,
            "the metadata of this node is chosen to be that of all"
        );
        let term = place.leader_id.term;
        self.install(Vote::new_committed(term, NOBODY), meta.clone(), state.clone()).await?;
        let vote = Vote::new_committed(term, self.config.me.0);
        let body = wire::request_with(&Adopt(vote, meta, last), &state)?;
        let mut chosen = Chosen {
            node: self.config.node_name.clone(),
            index: last.map_or(0, |last| last.index),
            continues_at: place.index,
            ..Chosen::default()
        };
        let nodes = self.guard.consulted();
        let sent = nodes.iter().map(|node| self.send_history(*node, body.clone()));
        for (node, answer) in nodes.iter().zip(join_all(sent).await) {
            let name = self.guard.name(node.0);
            match answer {
                Ok(Adopted::Dropped(dropped)) => {
                    chosen.nodes.push(Follower { node: name, dropped });
                }
                Ok(Adopted::Refused(reason)) => return Ok(ChooseAnswer::Refused(reason)),
                Err(error) => {
                    tracing::warn!(node = %name, %error, "not reached; it follows when it is");
                    chosen.missing.push(name);
                }
            }
        }
        self.be_elected().await?;
        Ok(ChooseAnswer::Chosen(chosen))
    }

    /// The name of a node that leads, or has heard a leader lately.
    fn led(&self, heard: &BTreeMap<u64, Report>) -> Option<String> {
        let is_led = self.metrics().state.is_leader() || self.guard.has_leader();
        let me = is_led.then_some(self.config.me.0);
        let other = heard.iter().find(|(_, report)| report.led).map(|(id, _)| *id);
        me.or(other).map(|id| self.guard.name(id))
    }

    /// Names of voters that are not reached, when there is no majority of those that are.
    fn without_majority(
        &self,
        membership: &StoredMembership,
        heard: &BTreeMap<u64, Report>,
    ) -> Option<String> {
        let is_here = |id: &u64| *id == self.config.me.0 || heard.contains_key(id);
        let configs = membership.membership().get_joint_config();
        let lacks = configs.iter().find(|voters| {
            let here = voters.iter().filter(|id| is_here(id)).count();
            2 * here <= voters.len()
        })?;
        let missing = lacks.iter().filter(|id| !is_here(id)).map(|id| self.guard.name(*id));
        Some(missing.collect::<Vec<_>>().join(", "))
    }

    /// A place in the log that outranks all that is known.
    fn place_above(&self, heard: &BTreeMap<u64, Report>) -> LogId {
        let guarded = self.guard.status();
        let floor = |report: &Report| report.floor.as_ref().map(|floor| floor.position);
        let reported = heard.values().chain(guarded.reports.values());
        let positions: Vec<Position> = reported
            .flat_map(|report| [Some(report.position), floor(report)])
            .flatten()
            .chain(guarded.remembered.into_values())
            .collect();
        let terms = positions.iter().flat_map(|position| {
            [position.vote.map(|vote| vote.term), position.log.map(|log| log.leader_id.term)]
        });
        let term = terms.flatten().max().unwrap_or(0).saturating_add(limits::CHOICE_TERMS);
        let indexes = positions.iter().filter_map(|position| Some(position.log?.index));
        let blocks = indexes.max().unwrap_or(0) / limits::CHOICE_ENTRIES;
        let index = blocks.saturating_add(1).saturating_mul(limits::CHOICE_ENTRIES);
        LogId::new(CommittedLeaderId::new(term, self.config.me.0), index)
    }

    async fn install(&self, vote: Vote, meta: SnapshotMeta, state: Vec<u8>) -> Result<()> {
        let snapshot = Snapshot { meta, snapshot: Box::new(std::io::Cursor::new(state)) };
        let installed = timeout(limits::ADOPT, self.raft.install_full_snapshot(vote, snapshot));
        let answer = installed
            .await
            .map_err(|_| Error::timeout("the chosen history is not installed in time"))?
            .map_err(stopped)?;
        self.guard.review();
        if answer.vote > vote {
            return Err(Error::unavailable("a later vote has been given meanwhile; choose again"));
        }
        Ok(())
    }

    async fn send_history(&self, node: NodeId, body: Bytes) -> Result<Adopted> {
        let address = self.hub.address(node);
        let address = address.ok_or_else(|| Error::unavailable("its address is unknown"))?;
        let peer = Peer { id: Some(node), address };
        let (class, method, wait) = (Class::Foreground, Adopt::method(), limits::ADOPT);
        let answer = self.transport.call(&peer, class, method, body, wait).await?;
        wire::answered::<Adopt>(&answer)
    }

    /// Takes the history of a chosen node in place of the own one.
    pub(super) async fn adopt(
        &self,
        from: NodeId,
        Adopt(vote, meta, last): Adopt,
        state: Vec<u8>,
    ) -> Result<Adopted> {
        if vote.leader_id().node_id != from.0 || meta.last_log_id.is_none() {
            return Err(Error::invalid("a chosen history comes from the chosen node"));
        }
        if self.guard.has_leader() {
            let me = &self.config.node_name;
            let reason = format!("{me} has heard of a leader: there is nothing to choose");
            return Ok(Adopted::Refused(reason));
        }
        let own = self.log.position().log;
        let dropped = own.filter(|own| Some(*own) > last).map(|own| {
            let first = last.map_or(0, |last| last.index.saturating_add(1));
            (first.min(own.index), own.index)
        });
        self.install(vote, meta, state).await?;
        let name = self.guard.name(from.0);
        match dropped {
            Some((first, last)) => tracing::warn!(
                chosen = %name, first, last,
                "the metadata of another node is chosen: these entries of the log here are dropped"
            ),
            None => tracing::warn!(chosen = %name, "the metadata of another node is chosen"),
        }
        Ok(Adopted::Dropped(dropped))
    }

    /// Stands for election until this node leads: after a while, since the others take it for a
    /// leader that they have just heard.
    async fn be_elected(&self) -> Result<()> {
        self.attune();
        self.raft.trigger().elect().await.map_err(stopped)?;
        let me = self.config.me.0;
        let waiting = self.raft.wait(Some(limits::ADOPT));
        let elected = waiting.metrics(|now| now.current_leader == Some(me), "to lead").await;
        elected.map(|_| ()).map_err(|_| {
            Error::unavailable(
                "the history is chosen, but its node does not lead yet: see the status",
            )
        })
    }
}
