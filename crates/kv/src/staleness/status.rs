//! The replication status of each node, and how the others learn it.
//!
//! A node's *replication status* says which of the writes that it coordinated have settled, and for
//! which vnodes of others it holds data. It tells every member when that changes; the members keep
//! the last one, so that a node that ends takes nothing with it that only it knew: what it had
//! under way is in flight at them, and what it held as hints they remember.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use mapring_engine::Engine;
use mapring_net::Class;
use mapring_ring::Partition;
use mapring_types::versioned::{self, Nothing};
use mapring_types::{NodeId, Result, Versioned};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use crate::peer::extent::Extent;
use crate::storage::inflight::Source;
use crate::{Shared, limits};

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

/// A status as it was kept on disk before it told how far the data is.
#[derive(Deserialize)]
pub(crate) struct StatusV2 {
    incarnation: u64,
    sequence: u64,
    watermark: u64,
    hinted: Vec<Partition>,
    held: Vec<Partition>,
}

impl Versioned for StatusV2 {
    const WHAT: &'static str = "a replication status";
    const VERSION: u8 = 2;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        versioned::from_postcard(body)
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

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
struct Said {
    sequence: u64,
    watermark: u64,
}

impl Said {
    /// The sequence of a status with a watermark. Others forget what is below it: one that goes back
    /// would be of writes that nobody remembers.
    fn next(&mut self, watermark: u64) -> u64 {
        let last = self.watermark;
        assert!(watermark >= last, "the watermark has gone back from {last} to {watermark}");
        self.watermark = watermark;
        self.sequence += 1;
        self.sequence
    }
}

impl Statuses {
    /// Takes a status in, from its node; returns whether it is news.
    fn hear(&self, node: NodeId, status: &ReplicationStatus) -> bool {
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
    fn keep(&self, engine: &dyn Engine, node: NodeId) -> Result<()> {
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

    /// The members that hold anything for such vnodes, as they last said.
    pub(crate) fn holders(&self, of_these: impl Fn(&Partition) -> bool) -> BTreeSet<NodeId> {
        let heard = self.heard.lock();
        let holds =
            |status: &ReplicationStatus| status.hinted.iter().chain(&status.held).any(&of_these);
        heard.iter().filter(|(_, status)| holds(status)).map(|(node, _)| *node).collect()
    }

    /// The last known incarnation of a node.
    fn incarnation_of(&self, node: NodeId) -> Option<u64> {
        self.heard.lock().get(&node).map(|status| status.incarnation)
    }

    fn retain(&self, members: &BTreeSet<NodeId>) {
        self.heard.lock().retain(|node, _| members.contains(node));
        self.told.lock().retain(|node, _| members.contains(node));
    }

    /// Whether a member is to be told, from now on under way.
    fn begin(&self, node: NodeId, status: &ReplicationStatus) -> bool {
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

    fn end(&self, node: NodeId, told_of: Option<ReplicationStatus>) {
        let mut told = self.told.lock();
        let told = told.entry(node).or_default();
        told.under_way = false;
        told.last = told_of.map(|status| (status, Instant::now()));
    }

    /// Whether every one of `nodes` knows what there is to know.
    fn all_told(&self, nodes: &[NodeId], status: &ReplicationStatus) -> bool {
        let told = self.told.lock();
        nodes.iter().all(|node| {
            let last = told.get(node).and_then(|told| told.last.as_ref());
            last.is_some_and(|(last, _)| last.says_the_same(status))
        })
    }
}

/// The background task.
pub(crate) async fn run(shared: Weak<Shared>) {
    let Some(news) = shared.upgrade().map(|shared| shared.unsettled.news()) else { return };
    loop {
        let patience = {
            let Some(shared) = shared.upgrade() else { return };
            if shared.stopping() {
                return;
            }
            if round(&shared).await { limits::STATUS_REFRESH } else { limits::STATUS_RETRY }
        };
        // Then a moment more, so that many changes are told at once.
        let _ = timeout(patience, news.notified()).await;
        sleep(limits::STATUS_TICK).await;
    }
}

/// Tells, tidies up and recovers what is due; returns whether nothing is left to be done soon.
async fn round(shared: &Arc<Shared>) -> bool {
    let members: BTreeSet<NodeId> =
        shared.parts.cluster.view().state.members.keys().copied().collect();
    shared.statuses.retain(&members);
    // Before anybody is told what has settled.
    if let Err(error) = shared.keep_extents().await {
        tracing::debug!(%error, "how far the others' data is, is kept later");
    }
    let status = shared.status();
    let up = tell(shared, &status);
    let (own, watermark) =
        (Source { node: shared.me, incarnation: status.incarnation }, status.watermark);
    let tidied = shared.vnodes.run(move |core| {
        core.in_flight.settle(own, watermark);
        core.in_flight.prune();
        Ok(())
    });
    if let Err(error) = tidied.await {
        tracing::debug!(%error, "the journal is not tidied");
    }
    metrics::gauge!("mapring_kv_unsettled_writes").set(shared.unsettled.count() as f64);
    metrics::gauge!("mapring_kv_in_flight_writes").set(shared.vnodes.in_flight().count() as f64);
    metrics::gauge!("mapring_kv_hinted_vnodes").set(status.held.len() as f64);
    let view = shared.parts.cluster.view();
    let mut owners = status.held.iter().filter_map(|vnode| view.plan().owner(*vnode));
    if owners.any(|owner| view.is_up(owner)) {
        // A write that a node stood in for has settled, or its owner was taken for down in error.
        shared.wake.notify_one();
    }
    let due = due(shared);
    if !due.is_empty() && shared.recovering.try_lock().is_ok() {
        // Beside this task: statuses are told meanwhile.
        let shared = shared.clone();
        mapring_net::task::spawn(async move {
            if let Err(error) = recover(&shared, &due).await {
                tracing::warn!(%error, "writes of a node that is gone are not recovered yet");
            }
        });
    }
    let idle = shared.vnodes.in_flight().count() == 0;
    idle && shared.statuses.all_told(&up, &shared.status())
}

/// Tells the members that can be reached; gives who they are.
fn tell(shared: &Arc<Shared>, status: &ReplicationStatus) -> Vec<NodeId> {
    let view = shared.parts.cluster.view();
    let others = view.up.iter().copied().filter(|node| *node != shared.me);
    let up: Vec<NodeId> = others.filter(|node| view.state.members.contains_key(node)).collect();
    for &node in &up {
        if !shared.statuses.begin(node, status) {
            continue;
        }
        let (shared, status) = (shared.clone(), status.clone());
        mapring_net::task::spawn(async move {
            let class = Class::Background;
            let patience = limits::PROBE_PATIENCE;
            let told = shared.ask(node, class, &status, patience);
            let told = told.await.flat();
            shared.statuses.end(node, told.is_ok().then_some(status));
        });
    }
    up
}

/// The sources whose writes are in doubt: of nodes that are down or started anew, of this node
/// when no hint could be kept, and what is suspiciously old.
fn due(shared: &Shared) -> Vec<Source> {
    let view = shared.parts.cluster.view();
    let in_flight = shared.vnodes.in_flight();
    let mut due = in_flight.sources_older_than(limits::IN_FLIGHT_AGE);
    let gone = |source: &Source| {
        source.node == shared.me
            || !view.is_up(source.node)
            || shared
                .statuses
                .incarnation_of(source.node)
                .is_some_and(|incarnation| incarnation != source.incarnation)
    };
    due.extend(in_flight.sources_older_than(limits::RECOVER_AFTER).into_iter().filter(gone));
    due.sort_unstable();
    due.dedup();
    due
}

/// Recovers the in-doubt writes of some sources that are logged by now: returns when hints of them
/// are durable.
///
/// # Errors
/// What kept it from recovering some of them: `Storage`, `Overloaded`, `Corrupt`, `NotFound` (a
/// bucket type that this node does not know yet). The rest is recovered all the same.
pub(crate) async fn recover(shared: &Arc<Shared>, sources: &[Source]) -> Result<()> {
    let in_flight = shared.vnodes.in_flight();
    // Who finds nothing need not wait for others: what they recover is forgotten once it is
    // durable.
    let upto = in_flight.last_of(sources);
    if upto.is_empty() {
        return Ok(());
    }
    let _one_at_a_time = shared.recovering.lock().await;
    let (mut after, mut outcome) = (None, Ok(()));
    loop {
        let writes = in_flight.some_upto(&upto, after, limits::RECOVER_WRITES);
        let Some((last, _)) = writes.last() else { return outcome };
        after = Some(*last);
        let (recovered, failure) = shared.vnodes.recover(writes).await?;
        shared.stats.count_recovered(recovered);
        shared.wake.notify_one();
        outcome = failure.map_or(outcome, Err);
    }
}

/// A clean stop: the members learn that everything has settled.
pub(crate) async fn part(shared: &Arc<Shared>) {
    let deadline = Instant::now() + limits::PROBE_PATIENCE;
    while Instant::now() < deadline {
        let status = shared.status();
        let up = tell(shared, &status);
        if shared.statuses.all_told(&up, &status) {
            return;
        }
        sleep(limits::PART_LOOK).await;
    }
}

impl Shared {
    /// This node's status now.
    pub(crate) fn status(&self) -> ReplicationStatus {
        let mut said = self.statuses.said.lock();
        // First what has settled: a hint is kept before its write counts as settled.
        let watermark = self.unsettled.watermark();
        let watermark =
            self.vnodes.in_flight().first_own().map_or(watermark, |first| first.min(watermark));
        let sequence = said.next(watermark);
        let view = self.parts.cluster.view();
        let others = |vnode: &Partition| view.plan().owner(*vnode) != Some(self.me);
        let (mut hinted, mut held) = (self.vnodes.held().stale(), self.vnodes.held().vnodes());
        hinted.retain(others);
        held.retain(others);
        let Extent { store, position, .. } = self.extents.opened();
        let incarnation = self.vnodes.in_flight().incarnation();
        let opened = Extent { incarnation, store, position };
        let extent = Extent { position: self.parts.engine.position(), ..opened };
        hinted.extend(self.integrity.awaited.vnodes());
        hinted.sort_unstable();
        ReplicationStatus { incarnation, sequence, watermark, hinted, held, opened, extent }
    }

    /// Takes the status of another node in.
    ///
    /// # Errors
    /// What keeps the storage from noting it: it is then noted with the next.
    pub(crate) async fn hear(
        self: &Arc<Self>,
        node: NodeId,
        status: &ReplicationStatus,
    ) -> Result<()> {
        if node == self.me || !self.statuses.hear(node, status) {
            return Ok(());
        }
        if let Some(why) = self.extents.hear_all(node, &status.opened, &status.extent) {
            let name = self.name(node);
            tracing::error!(%node, name, why, "a member has come back with an older state of its data");
            self.integrity.wake.notify_one();
        }
        // After it is remembered, on disk too: a write is always either in flight or its hint
        // remembered.
        let (source, watermark) =
            (Source { node, incarnation: status.incarnation }, status.watermark);
        let (shared, engine) = (self.clone(), self.parts.engine.clone());
        // What was in flight lies on replicas that had acknowledged so much.
        self.keep_extents().await?;
        let settle = self.vnodes.run(move |core| {
            shared.statuses.keep(&*engine, node)?;
            core.in_flight.settle(source, watermark);
            Ok(())
        });
        settle.await?;
        if !self.vnodes.held().vnodes().is_empty() {
            // What was kept back because it had not settled can be handed over.
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Keeps on disk how far the others' data was.
    ///
    /// # Errors
    /// `Storage`, `Overloaded`.
    async fn keep_extents(self: &Arc<Self>) -> Result<()> {
        if !self.extents.is_news() {
            return Ok(());
        }
        let shared = self.clone();
        self.vnodes.write(move |core| shared.extents.keep(&*core.engine)).await
    }

    /// The vnodes for which any other member is known to hold data, and own ones that wait for some.
    pub(crate) fn stale_vnodes(&self) -> BTreeSet<Partition> {
        let heard = self.statuses.heard.lock();
        let hinted = heard.values().flat_map(|status| status.hinted.iter().copied());
        hinted.chain(self.integrity.awaited.vnodes()).collect()
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
