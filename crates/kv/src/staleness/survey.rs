//! The staleness survey: what the reachable nodes know together of replicas that lack acknowledged
//! writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use mapring_net::{Class, calls};
use mapring_ring::Partition;
use mapring_types::limits::LEASE;
use mapring_types::{ErrorKind, NodeId, Result};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::peer::call::within;
use crate::peer::extent::Extent;
use crate::peer::wire::SERVICE;
use crate::staleness::recover::recover;
use crate::staleness::state::Staleness;
use crate::staleness::status::ReplicationStatus;
use crate::storage::inflight::Source;

calls!(SERVICE; AskStaleness = 7 => StalenessReport);

/// Asks which replicas have missed writes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct AskStaleness {
    /// Whether the receiver answers only once its writes under way have settled.
    pub(crate) settle: bool,
    /// The receiver first recovers the in-doubt writes of these.
    pub(crate) recover: Vec<Source>,
    /// Nodes that have failed who asks: the receiver's writes do not wait for them to settle.
    pub(crate) without: BTreeSet<NodeId>,
}

/// Replicas that lack acknowledged writes, as far as one node knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StalenessReport {
    /// The node's replication status.
    pub(crate) status: ReplicationStatus,
    /// Whether the node cannot yet exclude that its own vnodes lack something: it has started, and
    /// not every member has told it since that it holds nothing for it.
    pub(crate) catching_up: bool,
    /// Whose writes the node has taken and does not know to have settled.
    pub(crate) in_flight: Vec<Source>,
    /// The last statuses of the other members that it remembers.
    pub(crate) remembered: Vec<(NodeId, ReplicationStatus)>,
    /// How far it remembers the data of the node that asks to have been.
    pub(crate) yours: Option<Extent>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Survey {
    /// The nodes that answered. Of the writes acknowledged before the question, each that one of
    /// them took has reached all its primaries, or is kept as a hint that is in `hinted`.
    pub(crate) heard: BTreeMap<NodeId, StalenessReport>,
    /// Nodes that answer, but whose writes under way have not settled within a lease.
    pub(crate) unsettled: BTreeSet<NodeId>,
    /// The vnodes that lack data which nodes hold for them, and who does: also nodes that do not
    /// answer, for they hold it still. The owner itself where it waits for data that has moved.
    pub(crate) hinted: BTreeMap<Partition, BTreeSet<NodeId>>,
    /// The vnodes for which nodes that were heard hold any data, also such as these have.
    pub(crate) held: BTreeSet<Partition>,
}

impl Staleness {
    /// Asks some nodes what they know. What they write does not wait for those in `without`.
    pub(crate) async fn survey(
        self: &Arc<Self>,
        nodes: &[NodeId],
        class: Class,
        without: &BTreeSet<NodeId>,
    ) -> Survey {
        let mut known = Survey::default();
        let patience = limits::PROBE_PATIENCE;
        self.hear_all(nodes.to_vec(), class, without, patience, &mut known).await;
        // Who asks may be wrong about who is gone: it has just been cut off itself, perhaps. What is
        // under way at the living is not to be recovered: those hints could get lost with who does
        // so.
        let sources = orphans(&known.heard).into_iter().flat_map(|(_, sources)| sources);
        let thought_gone: BTreeSet<NodeId> =
            sources.map(|source| source.node).filter(|node| !nodes.contains(node)).collect();
        let thought_gone = thought_gone.into_iter().collect();
        self.hear_all(thought_gone, class, without, limits::ALIVE_PATIENCE, &mut known).await;
        if known.heard.len() > 1 {
            // What settled meanwhile may lie as hints on nodes that had answered before.
            let again = known.heard.keys().map(|&node| (node, Vec::new())).collect();
            known.heard = self.ask_staleness(again, class).await;
        }
        self.recovered(&mut known, class).await;
        let own = self.statuses.all().into_iter().chain([(self.node.me, self.status())]);
        known.hinted = hinted(&known.heard, own);
        let held = known.heard.values().flat_map(|report| report.status.held.iter());
        known.held = held.copied().collect();
        known
    }

    async fn hear_all(
        self: &Arc<Self>,
        nodes: Vec<NodeId>,
        class: Class,
        without: &BTreeSet<NodeId>,
        patience: Duration,
        known: &mut Survey,
    ) {
        let asked = nodes.into_iter().map(|node| async move {
            (node, self.settled_without(node, class, without, patience).await)
        });
        for (node, answer) in join_all(asked).await {
            match answer {
                Probed::Settled(report) => {
                    known.heard.insert(node, *report);
                }
                Probed::Unsettled => {
                    known.unsettled.insert(node);
                }
                Probed::None => {}
            }
        }
    }

    /// Has the nodes that were heard recover the writes that they have in flight of others that
    /// were not.
    async fn recovered(self: &Arc<Self>, known: &mut Survey, class: Class) {
        let mut asked: BTreeSet<(NodeId, Source)> = BTreeSet::new();
        loop {
            for (&node, report) in &known.heard {
                if let Err(error) = self.hear(node, &report.status).await {
                    tracing::debug!(%node, %error, "a replication status is noted later");
                }
            }
            let mut orphans = orphans(&known.heard);
            for (node, sources) in &mut orphans {
                // What more it takes of these is made during the question.
                sources.retain(|source| asked.insert((*node, *source)));
            }
            orphans.retain(|(_, sources)| !sources.is_empty());
            if orphans.is_empty() {
                return;
            }
            let adopters: Vec<NodeId> = orphans.iter().map(|(node, _)| *node).collect();
            let mut recovered = self.ask_staleness(orphans, class).await;
            for node in adopters {
                match recovered.remove(&node) {
                    Some(report) => known.heard.insert(node, report),
                    // It cannot say what became of those writes. Its own are orphans then.
                    None => known.heard.remove(&node),
                };
            }
        }
    }

    async fn ask_staleness(
        self: &Arc<Self>,
        nodes: Vec<(NodeId, Vec<Source>)>,
        class: Class,
    ) -> BTreeMap<NodeId, StalenessReport> {
        let asked = nodes.into_iter().map(|(node, recover)| async move {
            let request = AskStaleness { recover, ..AskStaleness::default() };
            Some((node, self.staleness_at(node, class, request, LEASE).await.ok()?))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// Asks a node for what it knows once its writes under way have settled. One that does not even
    /// answer a plain question is not waited for.
    pub(crate) async fn settled(self: &Arc<Self>, node: NodeId, class: Class) -> Probed {
        self.settled_without(node, class, &BTreeSet::new(), limits::PROBE_PATIENCE).await
    }

    async fn settled_without(
        self: &Arc<Self>,
        node: NodeId,
        class: Class,
        without: &BTreeSet<NodeId>,
        probe_patience: Duration,
    ) -> Probed {
        let ask = |settle, patience| {
            let without = without.clone();
            let request = AskStaleness { settle, recover: Vec::new(), without };
            self.staleness_at(node, class, request, patience)
        };
        let settled = ask(true, LEASE);
        tokio::pin!(settled);
        let first = tokio::select! {
            biased;
            settled = &mut settled => Err(settled),
            plain = ask(false, probe_patience) => Ok(plain),
        };
        let (settled, plain) = match first {
            Err(settled) => (settled, true),
            Ok(Ok(_)) => (settled.await, true),
            Ok(Err(error)) => (Err(error), false),
        };
        match settled {
            Ok(report) => Probed::Settled(Box::new(report)),
            Err(error) if plain && error.kind() == ErrorKind::Timeout => Probed::Unsettled,
            Err(error) => {
                let node = self.node.view().state.named(node);
                tracing::info!(%node, %error, "a node does not say what it knows of stale replicas");
                Probed::None
            }
        }
    }

    /// What a node knows, as it is.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout`, and what the node says.
    pub(crate) async fn staleness_of(
        self: &Arc<Self>,
        node: NodeId,
        class: Class,
        patience: Duration,
    ) -> Result<StalenessReport> {
        self.staleness_at(node, class, AskStaleness::default(), patience).await
    }

    async fn staleness_at(
        self: &Arc<Self>,
        node: NodeId,
        class: Class,
        request: AskStaleness,
        patience: Duration,
    ) -> Result<StalenessReport> {
        if node == self.node.me {
            return within(patience, self.staleness_here(request)).await;
        }
        self.peers.ask(node, class, &request, patience).await.flat()
    }

    /// What this node knows, perhaps once its writes under way have settled, and once it has
    /// recovered those of some sources.
    ///
    /// # Errors
    /// What keeps it from recovering them: it then knows of writes of which no hint is kept.
    pub(crate) async fn staleness_here(
        self: &Arc<Self>,
        request: AskStaleness,
    ) -> Result<StalenessReport> {
        let AskStaleness { settle, recover: mut sources, without } = request;
        if settle {
            self.peers.suspicion.give_up(&without);
            self.unsettled.settle().await;
        }
        let in_flight = self.node.vnodes.in_flight();
        if in_flight.first_own().is_some() {
            sources.push(Source { node: self.node.me, incarnation: in_flight.incarnation() });
        }
        recover(self, &sources).await?;
        // In this order: what leaves the first is found in one of the others.
        let in_flight = in_flight.sources();
        let remembered = self.statuses.all();
        let status = self.status();
        let catching_up = self.catching_up();
        Ok(StalenessReport { status, catching_up, in_flight, remembered, yours: None })
    }
}

pub(crate) enum Probed {
    Settled(Box<StalenessReport>),
    Unsettled,
    None,
}

/// What the nodes that were heard have in flight of coordinators that were not, or that have been
/// started anew since: by who has it.
fn orphans(heard: &BTreeMap<NodeId, StalenessReport>) -> Vec<(NodeId, Vec<Source>)> {
    let runs = |source: &Source| {
        heard.get(&source.node).is_some_and(|b| b.status.incarnation == source.incarnation)
    };
    let of = |report: &StalenessReport| -> Vec<Source> {
        report.in_flight.iter().filter(|source| !runs(source)).copied().collect()
    };
    let all = heard.iter().map(|(node, report)| (*node, of(report)));
    all.filter(|(_, sources)| !sources.is_empty()).collect()
}

/// The vnodes that lack what some node holds for them: as the nodes that were heard say themselves,
/// and as the others' last statuses say that anybody remembers.
fn hinted(
    heard: &BTreeMap<NodeId, StalenessReport>,
    own: impl Iterator<Item = (NodeId, ReplicationStatus)>,
) -> BTreeMap<Partition, BTreeSet<NodeId>> {
    let mut last: BTreeMap<NodeId, ReplicationStatus> = BTreeMap::new();
    let remembered = heard.values().flat_map(|report| report.remembered.iter().cloned());
    for (node, status) in remembered.chain(own) {
        let known = last.entry(node).or_default();
        if (known.incarnation, known.sequence) <= (status.incarnation, status.sequence) {
            *known = status;
        }
    }
    last.retain(|node, _| !heard.contains_key(node));
    let heard = heard.iter().map(|(node, report)| (*node, &report.status));
    let mut hinted: BTreeMap<Partition, BTreeSet<NodeId>> = BTreeMap::new();
    for (node, status) in heard.chain(last.iter().map(|(node, status)| (*node, status))) {
        for vnode in &status.hinted {
            hinted.entry(*vnode).or_default().insert(node);
        }
    }
    hinted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(incarnation: u64, sequence: u64, hinted: &[u16]) -> ReplicationStatus {
        let hinted = hinted.iter().copied().map(Partition).collect();
        ReplicationStatus { incarnation, sequence, hinted, ..ReplicationStatus::default() }
    }

    fn report(
        status: ReplicationStatus,
        remembered: &[(u64, ReplicationStatus)],
    ) -> StalenessReport {
        let remembered = remembered.iter().cloned().map(|(node, s)| (NodeId(node), s)).collect();
        StalenessReport { status, remembered, ..StalenessReport::default() }
    }

    #[test]
    fn of_nodes_that_are_not_heard_the_last_status_counts() {
        let one = report(status(1, 9, &[4]), &[(2, status(2, 1, &[5])), (3, status(3, 1, &[6]))]);
        let two = report(status(2, 2, &[]), &[(3, status(3, 2, &[7])), (1, status(1, 1, &[8]))]);
        let heard = BTreeMap::from([(NodeId(1), one), (NodeId(2), two)]);
        let own = vec![(NodeId(3), status(1, 7, &[9]))];
        let found = hinted(&heard, own.into_iter());
        let held_by = |vnode, node| (Partition(vnode), BTreeSet::from([NodeId(node)]));
        assert_eq!(found, [held_by(4, 1), held_by(7, 3)].into());
    }

    #[test]
    fn writes_of_nodes_that_are_gone_or_started_anew_are_orphans() {
        let source = |node, incarnation| Source { node: NodeId(node), incarnation };
        let mut one = report(status(10, 1, &[]), &[]);
        one.in_flight = vec![source(2, 20), source(2, 19), source(3, 30), source(1, 10)];
        let two = report(status(20, 1, &[]), &[]);
        let heard = BTreeMap::from([(NodeId(1), one), (NodeId(2), two)]);
        assert_eq!(orphans(&heard), [(NodeId(1), vec![source(2, 19), source(3, 30)])]);
    }
}
