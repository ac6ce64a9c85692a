//! The replication status of each node, and how the others learn it.
//!
//! A node's *replication status* says which of the writes that it coordinated have settled, and for
//! which vnodes of others it holds data. It tells every member when that changes; the members keep
//! the last one, so that a node that ends takes nothing with it that only it knew: what it had
//! under way is in flight at them, and what it held as hints they remember.

use std::collections::{BTreeMap, BTreeSet};

use mapring_engine::Engine;
use mapring_net::calls;
use mapring_ring::Partition;
use mapring_types::{NodeId, Result, Versioned, versioned};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::limits;
use crate::peer::extent::Extent;
use crate::peer::wire::SERVICE;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplicationStatus {
    /// The incarnation of the node: later ones are higher.
    pub(crate) incarnation: u64,
    /// Goes up with each status of an incarnation.
    pub(crate) sequence: u64,
    /// Writes of lower numbers have reached all their primaries or are kept as hints.
    pub(crate) watermark: u64,
    /// Vnodes that lack data: those of other nodes for which the node holds it, and its own to which
    /// objects have moved that have not arrived.
    pub(crate) hinted: Vec<Partition>,
    /// Vnodes of other nodes for which the node holds any data. Of what more these may lack, the
    /// coordinators know.
    pub(crate) held: Vec<Partition>,
    /// How far the node's data was when the incarnation began, and is.
    pub(crate) opened: Extent,
    pub(crate) extent: Extent,
}

calls!(SERVICE; ReplicationStatus = 8 => ());

/// A status as it was kept on disk before it told how far the data is.
#[derive(Deserialize)]
pub(crate) struct StatusV2 {
    incarnation: u64,
    sequence: u64,
    watermark: u64,
    hinted: Vec<Partition>,
    held: Vec<Partition>,
}

mapring_types::first_version!(StatusV2, 2, "a replication status");

impl Versioned for ReplicationStatus {
    const WHAT: &'static str = "a replication status";
    const VERSION: u8 = 3;
    type Previous = StatusV2;

    fn read(body: &[u8]) -> Result<Self> {
        versioned::from_postcard(body)
    }

    fn migrate(previous: StatusV2) -> Result<Self> {
        let StatusV2 { incarnation, sequence, watermark, hinted, held } = previous;
        Ok(Self { incarnation, sequence, watermark, hinted, held, ..Self::default() })
    }
}

impl ReplicationStatus {
    fn says_the_same(&self, other: &Self) -> bool {
        let said = |status: &Self| (status.incarnation, status.watermark);
        (said(self), &self.hinted, &self.held) == (said(other), &other.hinted, &other.held)
    }
}

/// The last status of each other member, and what they were told of this node's.
#[derive(Default)]
pub(crate) struct Statuses {
    heard: Mutex<BTreeMap<NodeId, ReplicationStatus>>,
    /// What is kept on disk of each: for which vnodes it holds data.
    kept: Mutex<BTreeMap<NodeId, Vec<Partition>>>,
    told: Mutex<BTreeMap<NodeId, Told>>,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Told {
    last: Option<(ReplicationStatus, Instant)>,
    under_way: bool,
}

/// What this node said of itself last.
#[derive(Default)]
pub(crate) struct Said {
    sequence: u64,
    watermark: u64,
}

impl Said {
    /// The sequence of a status with a watermark. Others forget what is below it: one that goes back
    /// would be of writes that nobody remembers.
    pub(crate) fn next(&mut self, watermark: u64) -> u64 {
        let last = self.watermark;
        assert!(watermark >= last, "the watermark has gone back from {last} to {watermark}");
        self.watermark = watermark;
        self.sequence += 1;
        self.sequence
    }
}

impl Statuses {
    /// Takes a status in, from its node; returns whether it is news.
    pub(crate) fn hear(&self, node: NodeId, status: &ReplicationStatus) -> bool {
        let mut heard = self.heard.lock();
        let older = |known: &ReplicationStatus| {
            (known.incarnation, known.sequence) >= (status.incarnation, status.sequence)
        };
        if heard.get(&node).is_some_and(older) {
            return false;
        }
        heard.insert(node, status.clone());
        true
    }

    /// Reads what was kept of `nodes` over a stop of this node. Blocks.
    pub(crate) fn load(&self, engine: &dyn Engine, nodes: impl Iterator<Item = NodeId>) {
        for node in nodes {
            let read = engine
                .meta(&name(node))
                .and_then(|kept| kept.map(|k| ReplicationStatus::decode(&k)).transpose());
            match read {
                Ok(Some(status)) => {
                    self.kept.lock().insert(node, status.hinted.clone());
                    self.hear(node, &status);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%node, %error, "for whom a node holds data is not remembered");
                }
            }
        }
    }

    /// Keeps the last status of a node on disk where it says something else of the vnodes for
    /// which the node holds data. Blocks.
    pub(crate) fn keep(&self, engine: &dyn Engine, node: NodeId) -> Result<()> {
        let mut kept = self.kept.lock();
        let Some(last) = self.heard.lock().get(&node).cloned() else { return Ok(()) };
        if kept.get(&node).map_or(&[][..], Vec::as_slice) == last.hinted {
            return Ok(());
        }
        engine.set_meta(&name(node), &versioned::to_postcard(&last)?)?;
        kept.insert(node, last.hinted);
        Ok(())
    }

    /// The last status of every other member.
    pub(crate) fn all(&self) -> Vec<(NodeId, ReplicationStatus)> {
        self.heard.lock().iter().map(|(node, status)| (*node, status.clone())).collect()
    }

    /// What this node said last, to be held while its next status is made: a later one says no less.
    pub(crate) fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock()
    }

    /// The vnodes that lack data, as the others last said.
    pub(crate) fn hinted(&self) -> BTreeSet<Partition> {
        let heard = self.heard.lock();
        heard.values().flat_map(|status| status.hinted.iter().copied()).collect()
    }

    /// The members that hold anything for such vnodes, as they last said.
    pub(crate) fn holders(&self, of_these: impl Fn(&Partition) -> bool) -> BTreeSet<NodeId> {
        let heard = self.heard.lock();
        let holds =
            |status: &ReplicationStatus| status.hinted.iter().chain(&status.held).any(&of_these);
        heard.iter().filter(|(_, status)| holds(status)).map(|(node, _)| *node).collect()
    }

    /// The last known incarnation of a node.
    pub(crate) fn incarnation_of(&self, node: NodeId) -> Option<u64> {
        self.heard.lock().get(&node).map(|status| status.incarnation)
    }

    pub(crate) fn retain(&self, members: &BTreeSet<NodeId>) {
        self.heard.lock().retain(|node, _| members.contains(node));
        self.told.lock().retain(|node, _| members.contains(node));
    }

    /// Whether a member is to be told, from now on under way.
    pub(crate) fn begin(&self, node: NodeId, status: &ReplicationStatus) -> bool {
        let mut told = self.told.lock();
        let told = told.entry(node).or_default();
        let fresh = told.last.as_ref().is_some_and(|(last, at)| {
            last.says_the_same(status) && at.elapsed() < limits::STATUS_REFRESH
        });
        if fresh || told.under_way {
            return false;
        }
        told.under_way = true;
        true
    }

    pub(crate) fn end(&self, node: NodeId, told_of: Option<ReplicationStatus>) {
        let mut told = self.told.lock();
        let told = told.entry(node).or_default();
        told.under_way = false;
        told.last = told_of.map(|status| (status, Instant::now()));
    }

    /// Whether every one of `nodes` knows what there is to know.
    pub(crate) fn all_told(&self, nodes: &[NodeId], status: &ReplicationStatus) -> bool {
        let told = self.told.lock();
        nodes.iter().all(|node| {
            let last = told.get(node).and_then(|told| told.last.as_ref());
            last.is_some_and(|(last, _)| last.says_the_same(status))
        })
    }
}

/// The name of the engine's meta value for what a node holds.
fn name(node: NodeId) -> String {
    format!("kv-held-by-{node}")
}

#[cfg(test)]
mod tests {
    use mapring_engine::memory::MemoryEngine;

    use super::*;

    #[test]
    fn for_whom_a_node_holds_data_is_kept_over_a_stop() {
        let (engine, nodes) = (MemoryEngine::new(), || [1, 2].map(NodeId).into_iter());
        let holding = ReplicationStatus { hinted: vec![Partition(7)], ..status(5, 3) };
        let statuses = Statuses::default();
        statuses.hear(NodeId(1), &holding);
        statuses.keep(&engine, NodeId(1)).unwrap();
        let statuses = Statuses::default();
        statuses.load(&engine, nodes());
        assert_eq!(statuses.all(), [(NodeId(1), holding)]);
        statuses.hear(NodeId(1), &status(5, 4));
        statuses.keep(&engine, NodeId(1)).unwrap();
        let statuses = Statuses::default();
        statuses.load(&engine, nodes());
        assert_eq!(statuses.all(), [(NodeId(1), status(5, 4))]);
    }

    fn status(incarnation: u64, sequence: u64) -> ReplicationStatus {
        ReplicationStatus {
            incarnation,
            sequence,
            watermark: sequence,
            ..ReplicationStatus::default()
        }
    }

    #[test]
    fn the_newest_status_of_an_incarnation_is_kept() {
        let statuses = Statuses::default();
        assert!(statuses.hear(NodeId(1), &status(5, 2)));
        assert!(!statuses.hear(NodeId(1), &status(5, 1)), "older");
        assert!(!statuses.hear(NodeId(1), &status(5, 2)), "the same");
        assert!(statuses.hear(NodeId(1), &status(6, 1)), "of a new run");
        assert!(!statuses.hear(NodeId(1), &status(5, 9)), "of an old run");
        assert_eq!(statuses.incarnation_of(NodeId(1)), Some(6));
        statuses.retain(&BTreeSet::new());
        assert!(statuses.all().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn members_are_told_news_and_now_and_then_what_they_know() {
        let statuses = Statuses::default();
        let node = NodeId(1);
        assert!(statuses.begin(node, &status(5, 1)));
        assert!(!statuses.begin(node, &status(5, 2)), "under way");
        statuses.end(node, Some(status(5, 1)));
        let same = ReplicationStatus { sequence: 9, ..status(5, 1) };
        assert!(!statuses.begin(node, &same));
        assert!(statuses.all_told(&[node], &same) && !statuses.all_told(&[node], &status(5, 2)));
        assert!(statuses.begin(node, &status(5, 2)));
        statuses.end(node, None);
        assert!(statuses.begin(node, &same), "the last call failed");
        statuses.end(node, Some(same.clone()));
        tokio::time::advance(limits::STATUS_REFRESH).await;
        assert!(statuses.begin(node, &same));
    }
}
