//! How far this node and the others have come: asking, remembering, telling.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use mapring_types::NodeId;

use super::cluster::LiveCluster;
use crate::raft::Metrics;
use crate::raft::guard::{Group, Guard};
use crate::raft::log::LogStore;
use crate::raft::machine::Machine;
use crate::raft::memory::Letter;
use crate::raft::memory::Report;
use crate::status::{MetadataMember, MetadataStatus};
use crate::wire::Recall;
use crate::{Change, limits};

/// Before raft begins: what it reads must not let this node go on leading in the term of its last
/// life, unless it is the only node of its group.
pub(super) fn prepare(me: NodeId, log: &LogStore, machine: &Machine, guard: &Guard) {
    let entries = log.entries_after(machine.applied().id);
    let membership = machine.membership(&entries);
    let membership = membership.membership();
    let group = Group {
        nodes: membership.nodes().map(|(id, _)| *id).collect(),
        voters: membership.voter_ids().collect(),
    };
    guard.set_group(group);
    if guard.consulted().is_empty() {
        guard.settle();
    } else {
        log.resign(me.0);
    }
}

/// Asks the others once how far this node was. Till then it votes for nobody and follows nobody.
pub(super) async fn settle(cluster: &Arc<LiveCluster>) {
    if !cluster.guard.consulted().is_empty() {
        cluster.recall().await;
        cluster.guard.settle();
    }
    cluster.attune();
}

/// Keeps raft and the file in step with what the guard knows.
pub(super) async fn keep(cluster: Arc<LiveCluster>) {
    let mut changes = cluster.guard.changes();
    let mut metrics = cluster.raft.metrics();
    let mut ticks = tokio::time::interval(limits::RECALL_PAUSE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let is_tick = tokio::select! {
            biased;
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
                false
            }
            Ok(()) = metrics.changed() => false,
            _ = ticks.tick() => true,
        };
        let now = metrics.borrow_and_update().clone();
        cluster.guard.set_group(group(&now));
        cluster.guard.set_leads(now.state.is_leader(), leads(&now));
        cluster.guard.review();
        cluster.attune();
        cluster.give_again().await;
        if let Err(error) = cluster.guard.save().await {
            tracing::warn!(%error, "what is remembered of other nodes is not written");
        }
        if is_tick {
            cluster.begin_chain(&now).await;
        }
    }
}

/// While there is no leader, nodes ask each other: so each learns of its own past, and can say what
/// is missing.
pub(super) async fn recall_without_leader(cluster: Arc<LiveCluster>) {
    loop {
        tokio::time::sleep(limits::RECALL_PAUSE).await;
        if !cluster.guard.has_leader() {
            cluster.recall().await;
        }
    }
}

fn group(metrics: &Metrics) -> Group {
    let membership = metrics.membership_config.membership();
    Group {
        nodes: membership.nodes().map(|(id, _)| *id).collect(),
        voters: membership.voter_ids().collect(),
    }
}

/// Whether this node leads, and still has a majority behind it.
fn leads(metrics: &Metrics) -> bool {
    let alone = metrics.membership_config.voter_ids().count() <= 1;
    let heard = metrics.millis_since_quorum_ack.map(u128::from);
    let is_followed = heard.is_some_and(|millis| millis < limits::LEADER_SILENT.as_millis());
    metrics.state.is_leader() && (alone || is_followed)
}

impl LiveCluster {
    /// Lets raft stand for election, or not.
    pub(super) fn attune(&self) {
        self.raft.runtime_config().elect(self.guard.may_stand());
    }

    /// Gives a vote again that was given and forgotten, so that it is never given to another.
    async fn give_again(&self) {
        let Some(request) = self.guard.forgotten_vote() else { return };
        // Refused while a leader of an earlier term is heard; its messages are refused meanwhile.
        match self.raft.vote(request).await {
            Ok(_) => self.guard.review(),
            Err(error) => tracing::debug!(%error, "the metadata has stopped"),
        }
    }

    /// Asks the other nodes of the group how far all have come; what those say that answer.
    pub(super) async fn recall(&self) -> BTreeMap<u64, Report> {
        let asked = self.guard.consulted().into_iter().map(|node| async move {
            let call = Recall(self.guard.letter(node.0, true));
            let letter = self.ask(node, &call, limits::RECALL).await.ok()?;
            let report = letter.mine.clone();
            self.guard.take(node.0, letter);
            Some((node.0, report))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    pub(super) fn answer_recall(&self, from: NodeId, letter: Letter) -> Letter {
        self.guard.take(from.0, letter);
        self.guard.letter(from.0, true)
    }

    /// As the leader, has the chain of hashes begin where it is missing: on this node, or on one
    /// that has applied as much.
    async fn begin_chain(&self, metrics: &Metrics) {
        if !leads(metrics) {
            return;
        }
        let mine = self.guard.mine();
        let lacks = |report: &Report| report.hash.is_none() && report.applied == mine.applied;
        let guarded = self.guard.status();
        if mine.applied == 0 || !guarded.reports.values().any(lacks) {
            return;
        }
        let begun = tokio::time::timeout(limits::DECIDE, self.decide_here(&Change::BeginChain));
        match begun.await {
            Ok(Ok(_)) => tracing::info!("the chain of hashes over the metadata begins"),
            Ok(Err(error)) => tracing::debug!(%error, "the chain of hashes does not begin yet"),
            Err(_) => tracing::debug!("the chain of hashes does not begin in time"),
        }
    }

    /// How far the nodes have come, for humans.
    pub(super) fn metadata_status(&self) -> MetadataStatus {
        let guarded = self.guard.status();
        let applied = self.machine.applied();
        let leader = self.leader().filter(|_| guarded.has_leader);
        let view = self.hub.view();
        let answering = guarded.reports.iter().filter(|(id, _)| view.is_up(NodeId(**id)));
        let best = answering.map(|(_, report)| report.position.log).max().flatten();
        let lost =
            |report: &Report| report.floor.as_ref().is_some_and(|floor| floor.position.log > best);
        let needs_choice = !guarded.has_leader && guarded.reports.values().any(lost);
        let mut members: Vec<MetadataMember> = guarded
            .reports
            .iter()
            .map(|(id, report)| {
                let log = report.position.log;
                let floor = report.floor.as_ref();
                let once =
                    floor.and_then(|floor| floor.position.log).filter(|once| Some(*once) > log);
                let by = once.and(floor).into_iter().flat_map(|floor| &floor.by);
                MetadataMember {
                    id: NodeId(*id).to_string(),
                    name: self.guard.name(*id),
                    index: log.map(|log| log.index),
                    term: log.map(|log| log.leader_id.term),
                    once: once.map(|once| once.index),
                    once_term: once.map(|once| once.leader_id.term),
                    remembered_by: by.map(|node| self.guard.name(*node)).collect(),
                    differs_at: guarded.differs.get(id).copied(),
                }
            })
            .collect();
        let unheard = guarded.remembered.keys().filter(|id| !guarded.reports.contains_key(id));
        members.extend(unheard.map(|id| MetadataMember {
            id: NodeId(*id).to_string(),
            name: self.guard.name(*id),
            ..MetadataMember::default()
        }));
        members.sort_by(|left, right| left.name.cmp(&right.name));
        MetadataStatus {
            has_leader: guarded.has_leader,
            leader: leader.map(|leader| self.guard.name(leader.0)),
            needs_choice,
            term: applied.id.map_or(0, |id| id.leader_id.term),
            index: applied.id.map_or(0, |id| id.index),
            hash: applied.hash,
            members,
        }
    }
}
