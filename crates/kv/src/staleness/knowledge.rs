//! What the reachable nodes know together of replicas that lack acknowledged writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use mapring_net::Class;
use mapring_ring::Partition;
use mapring_types::limits::LEASE;
use mapring_types::{ErrorKind, NodeId, Result};

use crate::peer::wire::{AskBehind, Behind, Operation};
use crate::staleness::standing::{Standing, adopt};
use crate::storage::witness::Source;
use crate::{Shared, limits};

/// See the module.
#[derive(Default)]
pub(crate) struct Knowledge {
    /// The nodes that answered. Of the writes acknowledged before the question, each that one of
    /// them took has reached all its primaries, or is kept as a hint that is in `hinted`.
    pub(crate) heard: BTreeMap<NodeId, Behind>,
    /// Nodes that answer, but whose writes under way have not settled within a lease.
    pub(crate) unsettled: BTreeSet<NodeId>,
    /// The vnodes that lack data which nodes hold for them, and who does: also nodes that do not
    /// answer, for they hold it still. The owner itself where it waits for data that has moved.
    pub(crate) hinted: BTreeMap<Partition, BTreeSet<NodeId>>,
    /// The vnodes for which nodes that were heard hold any data, also such as these have.
    pub(crate) held: BTreeSet<Partition>,
}

impl Shared {
    /// Asks some nodes what they know. What they write does not wait for those in `without`.
    pub(crate) async fn knowledge(
        self: &Arc<Self>,
        nodes: &[NodeId],
        class: Class,
        without: &BTreeSet<NodeId>,
    ) -> Knowledge {
        let mut known = Knowledge::default();
        let patience = limits::PROBE_PATIENCE;
        self.hear_all(nodes.to_vec(), class, without, patience, &mut known).await;
        // Who asks may be wrong about who is gone: it has just been cut off itself, perhaps. What is
        // under way at the living is not to be adopted: those hints could get lost with the adopter.
        let sources = orphans(&known.heard).into_iter().flat_map(|(_, sources)| sources);
        let thought_gone: BTreeSet<NodeId> =
            sources.map(|source| source.node).filter(|node| !nodes.contains(node)).collect();
        let thought_gone = thought_gone.into_iter().collect();
        self.hear_all(thought_gone, class, without, limits::ALIVE_PATIENCE, &mut known).await;
        if known.heard.len() > 1 {
            // What settled meanwhile may lie as hints on nodes that had answered before.
            let again = known.heard.keys().map(|&node| (node, Vec::new())).collect();
            known.heard = self.ask_behind(again, class).await;
        }
        self.adopted(&mut known, class).await;
        let own = self.board.all().into_iter().chain([(self.me, self.standing())]);
        known.hinted = hinted(&known.heard, own);
        let held = known.heard.values().flat_map(|behind| behind.standing.held.iter());
        known.held = held.copied().collect();
        known
    }

    async fn hear_all(
        self: &Arc<Self>,
        nodes: Vec<NodeId>,
        class: Class,
        without: &BTreeSet<NodeId>,
        patience: Duration,
        known: &mut Knowledge,
    ) {
        let asked = nodes.into_iter().map(|node| async move {
            (node, self.settled_without(node, class, without, patience).await)
        });
        for (node, answer) in join_all(asked).await {
            match answer {
                Answer::Settled(behind) => {
                    known.heard.insert(node, *behind);
                }
                Answer::Unsettled => {
                    known.unsettled.insert(node);
                }
                Answer::None => {}
            }
        }
    }

    /// Has the nodes that were heard adopt what they witnessed of others that were not.
    async fn adopted(self: &Arc<Self>, known: &mut Knowledge, class: Class) {
        let mut asked: BTreeSet<(NodeId, Source)> = BTreeSet::new();
        loop {
            for (&node, behind) in &known.heard {
                if let Err(error) = self.hear(node, &behind.standing).await {
                    tracing::debug!(%node, %error, "a standing is noted later");
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
            let mut adopted = self.ask_behind(orphans, class).await;
            for node in adopters {
                match adopted.remove(&node) {
                    Some(behind) => known.heard.insert(node, behind),
                    // It cannot say what became of those writes. Its own are orphans then.
                    None => known.heard.remove(&node),
                };
            }
        }
    }

    async fn ask_behind(
        self: &Arc<Self>,
        nodes: Vec<(NodeId, Vec<Source>)>,
        class: Class,
    ) -> BTreeMap<NodeId, Behind> {
        let asked = nodes.into_iter().map(|(node, adopt)| async move {
            let request = AskBehind { adopt, ..AskBehind::default() };
            Some((node, self.behind_at(node, class, request, LEASE).await.ok()?))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// Asks a node for what it knows once its writes under way have settled. One that does not even
    /// answer a plain question is not waited for.
    pub(crate) async fn settled(self: &Arc<Self>, node: NodeId, class: Class) -> Answer {
        self.settled_without(node, class, &BTreeSet::new(), limits::PROBE_PATIENCE).await
    }

    async fn settled_without(
        self: &Arc<Self>,
        node: NodeId,
        class: Class,
        without: &BTreeSet<NodeId>,
        probe_patience: Duration,
    ) -> Answer {
        let ask = |settle, patience| {
            let without = without.clone();
            let request = AskBehind { settle, adopt: Vec::new(), without };
            self.behind_at(node, class, request, patience)
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
            Ok(behind) => Answer::Settled(Box::new(behind)),
            Err(error) if plain && error.kind() == ErrorKind::Timeout => Answer::Unsettled,
            Err(error) => {
                let node = self.parts.cluster.view().state.named(node);
                tracing::info!(%node, %error, "a node does not say what it knows of lacking writes");
                Answer::None
            }
        }
    }

    /// What a node knows, as it is.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout`, and what the node says.
    pub(crate) async fn behind_of(
        self: &Arc<Self>,
        node: NodeId,
        class: Class,
        patience: Duration,
    ) -> Result<Behind> {
        self.behind_at(node, class, AskBehind::default(), patience).await
    }

    async fn behind_at(
        self: &Arc<Self>,
        node: NodeId,
        class: Class,
        request: AskBehind,
        patience: Duration,
    ) -> Result<Behind> {
        if node == self.me {
            return crate::peer::replica::within(patience, self.behind_here(request)).await;
        }
        self.ask(node, class, Operation::Behind, request, patience).await.flat()
    }

    /// What this node knows, perhaps once its writes under way have settled, and once it has
    /// adopted those of some sources.
    ///
    /// # Errors
    /// What keeps it from adopting: it then knows of writes of which no hint is kept.
    pub(crate) async fn behind_here(self: &Arc<Self>, request: AskBehind) -> Result<Behind> {
        let AskBehind { settle, adopt: mut sources, without } = request;
        if settle {
            self.silence.give_up(&without);
            self.unsettled.settle().await;
        }
        let witnesses = self.vnodes.witnesses();
        if witnesses.first_own().is_some() {
            sources.push(Source { node: self.me, run: witnesses.run() });
        }
        adopt(self, &sources).await?;
        // In this order: what leaves the first is found in one of the others.
        let witnessing = witnesses.sources();
        let remembered = self.board.all();
        let standing = self.standing();
        let catching_up = self.catching_up();
        Ok(Behind { standing, catching_up, witnessing, remembered, yours: None })
    }
}

pub(crate) enum Answer {
    Settled(Box<Behind>),
    Unsettled,
    None,
}

/// What the nodes that were heard witness of coordinators that were not, or that have been started
/// anew since: by witness.
fn orphans(heard: &BTreeMap<NodeId, Behind>) -> Vec<(NodeId, Vec<Source>)> {
    let runs =
        |source: &Source| heard.get(&source.node).is_some_and(|b| b.standing.run == source.run);
    let of = |behind: &Behind| -> Vec<Source> {
        behind.witnessing.iter().filter(|source| !runs(source)).copied().collect()
    };
    let all = heard.iter().map(|(node, behind)| (*node, of(behind)));
    all.filter(|(_, sources)| !sources.is_empty()).collect()
}

/// The vnodes that lack what some node holds for them: as the nodes that were heard say themselves,
/// and as the others' last standings say that anybody remembers.
fn hinted(
    heard: &BTreeMap<NodeId, Behind>,
    own: impl Iterator<Item = (NodeId, Standing)>,
) -> BTreeMap<Partition, BTreeSet<NodeId>> {
    let mut last: BTreeMap<NodeId, Standing> = BTreeMap::new();
    let remembered = heard.values().flat_map(|behind| behind.remembered.iter().cloned());
    for (node, standing) in remembered.chain(own) {
        let known = last.entry(node).or_default();
        if (known.run, known.turn) <= (standing.run, standing.turn) {
            *known = standing;
        }
    }
    last.retain(|node, _| !heard.contains_key(node));
    let heard = heard.iter().map(|(node, behind)| (*node, &behind.standing));
    let mut hinted: BTreeMap<Partition, BTreeSet<NodeId>> = BTreeMap::new();
    for (node, standing) in heard.chain(last.iter().map(|(node, standing)| (*node, standing))) {
        for vnode in &standing.hinted {
            hinted.entry(*vnode).or_default().insert(node);
        }
    }
    hinted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(run: u64, turn: u64, hinted: &[u16]) -> Standing {
        let hinted = hinted.iter().copied().map(Partition).collect();
        Standing { run, turn, hinted, ..Standing::default() }
    }

    fn behind(standing: Standing, remembered: &[(u64, Standing)]) -> Behind {
        let remembered = remembered.iter().cloned().map(|(node, s)| (NodeId(node), s)).collect();
        Behind { standing, remembered, ..Behind::default() }
    }

    #[test]
    fn of_nodes_that_are_not_heard_the_last_standing_counts() {
        let one =
            behind(standing(1, 9, &[4]), &[(2, standing(2, 1, &[5])), (3, standing(3, 1, &[6]))]);
        let two =
            behind(standing(2, 2, &[]), &[(3, standing(3, 2, &[7])), (1, standing(1, 1, &[8]))]);
        let heard = BTreeMap::from([(NodeId(1), one), (NodeId(2), two)]);
        let own = vec![(NodeId(3), standing(1, 7, &[9]))];
        let found = hinted(&heard, own.into_iter());
        let held_by = |vnode, node| (Partition(vnode), BTreeSet::from([NodeId(node)]));
        assert_eq!(found, [held_by(4, 1), held_by(7, 3)].into());
    }

    #[test]
    fn writes_of_nodes_that_are_gone_or_started_anew_are_orphans() {
        let source = |node, run| Source { node: NodeId(node), run };
        let mut one = behind(standing(10, 1, &[]), &[]);
        one.witnessing = vec![source(2, 20), source(2, 19), source(3, 30), source(1, 10)];
        let two = behind(standing(20, 1, &[]), &[]);
        let heard = BTreeMap::from([(NodeId(1), one), (NodeId(2), two)]);
        assert_eq!(orphans(&heard), [(NodeId(1), vec![source(2, 19), source(3, 30)])]);
    }
}
