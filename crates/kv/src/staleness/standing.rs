//! What each node knows of replicas that lack writes, and how the others learn it.
//!
//! A node's *standing* says which of the writes that it coordinated have settled, and for which
//! vnodes of others it holds data. It tells every member when that changes; the members keep the
//! last one, so that a node that ends takes no knowledge with it: what it had under way they
//! witnessed, and what it held as hints they remember.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use mapring_engine::Engine;
use mapring_net::Class;
use mapring_ring::Partition;
use mapring_types::{Error, NodeId, Result};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use crate::peer::extent::Extent;
use crate::peer::wire::Operation;
use crate::storage::witness::Source;
use crate::{Shared, limits};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// The run of the node: later ones are higher.
    pub(crate) run: u64,
    /// Goes up with each standing of a run.
    pub(crate) turn: u64,
    /// Writes of lower numbers have reached all their primaries or are kept as hints.
    pub(crate) below: u64,
    /// Vnodes that lack data: those of other nodes for which the node holds it, and its own to which
    /// objects have moved that have not arrived.
    pub(crate) hinted: Vec<Partition>,
    /// Vnodes of other nodes for which the node holds any data. Of what more these may lack, the
    /// coordinators know.
    pub(crate) held: Vec<Partition>,
    /// How far the node's data was when the run began, and is.
    pub(crate) opened: Extent,
    pub(crate) extent: Extent,
}

/// A standing as it was kept on disk before it told how far the data is.
#[derive(Deserialize)]
struct FormerStanding {
    run: u64,
    turn: u64,
    below: u64,
    hinted: Vec<Partition>,
    held: Vec<Partition>,
}

impl Standing {
    fn says_the_same(&self, other: &Self) -> bool {
        let said = |standing: &Self| (standing.run, standing.below);
        (said(self), &self.hinted, &self.held) == (said(other), &other.hinted, &other.held)
    }
}

/// The last standing of each other member, and what they were told of this node's.
#[derive(Default)]
pub(crate) struct Board {
    heard: Mutex<BTreeMap<NodeId, Standing>>,
    /// What is kept on disk of each: for which vnodes it holds data.
    kept: Mutex<BTreeMap<NodeId, Vec<Partition>>>,
    told: Mutex<BTreeMap<NodeId, Told>>,
    turn: Mutex<u64>,
}

#[derive(Default)]
struct Told {
    last: Option<(Standing, Instant)>,
    under_way: bool,
}

impl Board {
    /// Takes a standing in, from its node; returns whether it is news.
    fn hear(&self, node: NodeId, standing: &Standing) -> bool {
        let mut heard = self.heard.lock();
        let older = |known: &Standing| (known.run, known.turn) >= (standing.run, standing.turn);
        if heard.get(&node).is_some_and(older) {
            return false;
        }
        heard.insert(node, standing.clone());
        true
    }

    /// Reads what was kept of `nodes` over a stop of this node. Blocks.
    pub(crate) fn load(&self, engine: &dyn Engine, nodes: impl Iterator<Item = NodeId>) {
        for node in nodes {
            let read =
                engine.meta(&name(node)).and_then(|kept| kept.map(|k| decode(&k)).transpose());
            match read {
                Ok(Some(standing)) => {
                    self.kept.lock().insert(node, standing.hinted.clone());
                    self.hear(node, &standing);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%node, %error, "for whom a node holds data is not remembered");
                }
            }
        }
    }

    /// Keeps the last standing of a node on disk where it says something else of the vnodes for
    /// which the node holds data. Blocks.
    fn keep(&self, engine: &dyn Engine, node: NodeId) -> Result<()> {
        let mut kept = self.kept.lock();
        let Some(last) = self.heard.lock().get(&node).cloned() else { return Ok(()) };
        if kept.get(&node).map_or(&[][..], Vec::as_slice) == last.hinted {
            return Ok(());
        }
        engine.set_meta(&name(node), &encode(&last)?)?;
        kept.insert(node, last.hinted);
        Ok(())
    }

    /// The last standing of every other member.
    pub(crate) fn all(&self) -> Vec<(NodeId, Standing)> {
        self.heard.lock().iter().map(|(node, standing)| (*node, standing.clone())).collect()
    }

    /// The members that hold anything for such vnodes, as they last said.
    pub(crate) fn holders(&self, of_these: impl Fn(&Partition) -> bool) -> BTreeSet<NodeId> {
        let heard = self.heard.lock();
        let holds =
            |standing: &Standing| standing.hinted.iter().chain(&standing.held).any(&of_these);
        heard.iter().filter(|(_, standing)| holds(standing)).map(|(node, _)| *node).collect()
    }

    /// The last known run of a node.
    fn run_of(&self, node: NodeId) -> Option<u64> {
        self.heard.lock().get(&node).map(|standing| standing.run)
    }

    fn retain(&self, members: &BTreeSet<NodeId>) {
        self.heard.lock().retain(|node, _| members.contains(node));
        self.told.lock().retain(|node, _| members.contains(node));
    }

    /// Whether a member is to be told, from now on under way.
    fn begin(&self, node: NodeId, standing: &Standing) -> bool {
        let mut told = self.told.lock();
        let told = told.entry(node).or_default();
        let fresh = told.last.as_ref().is_some_and(|(last, at)| {
            last.says_the_same(standing) && at.elapsed() < limits::STANDING_REFRESH
        });
        if fresh || told.under_way {
            return false;
        }
        told.under_way = true;
        true
    }

    fn end(&self, node: NodeId, told_of: Option<Standing>) {
        let mut told = self.told.lock();
        let told = told.entry(node).or_default();
        told.under_way = false;
        told.last = told_of.map(|standing| (standing, Instant::now()));
    }

    /// Whether every one of `nodes` knows what there is to know.
    fn all_told(&self, nodes: &[NodeId], standing: &Standing) -> bool {
        let told = self.told.lock();
        nodes.iter().all(|node| {
            let last = told.get(node).and_then(|told| told.last.as_ref());
            last.is_some_and(|(last, _)| last.says_the_same(standing))
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
            if round(&shared).await { limits::STANDING_REFRESH } else { limits::STANDING_RETRY }
        };
        // Then a moment more, so that many changes are told at once.
        let _ = timeout(patience, news.notified()).await;
        sleep(limits::STANDING_TICK).await;
    }
}

/// Tells, tidies up and adopts what is due; returns whether nothing is left to be done soon.
async fn round(shared: &Arc<Shared>) -> bool {
    let members: BTreeSet<NodeId> =
        shared.parts.cluster.view().state.members.keys().copied().collect();
    shared.board.retain(&members);
    // Before anybody is told what has settled.
    if let Err(error) = shared.keep_extents().await {
        tracing::debug!(%error, "how far the others' data is, is kept later");
    }
    let standing = shared.standing();
    let up = tell(shared, &standing);
    let (own, below) = (Source { node: shared.me, run: standing.run }, standing.below);
    let tidied = shared.vnodes.run(move |core| {
        core.witnesses.settle(own, below);
        core.witnesses.prune();
        Ok(())
    });
    if let Err(error) = tidied.await {
        tracing::debug!(%error, "the journal is not tidied");
    }
    metrics::gauge!("mapring_kv_unsettled_writes").set(shared.unsettled.count() as f64);
    metrics::gauge!("mapring_kv_in_flight_writes").set(shared.vnodes.witnesses().count() as f64);
    metrics::gauge!("mapring_kv_hinted_vnodes").set(standing.held.len() as f64);
    let view = shared.parts.cluster.view();
    let mut owners = standing.held.iter().filter_map(|vnode| view.plan().owner(*vnode));
    if owners.any(|owner| view.is_up(owner)) {
        // A write that a node stood in for has settled, or its owner was taken for down in error.
        shared.kick.notify_one();
    }
    let due = due(shared);
    if !due.is_empty() && shared.adopting.try_lock().is_ok() {
        // Beside this task: standings are told meanwhile.
        let shared = shared.clone();
        mapring_net::task::spawn(async move {
            if let Err(error) = adopt(&shared, &due).await {
                tracing::warn!(%error, "writes of a node that is gone are not adopted yet");
            }
        });
    }
    let idle = shared.vnodes.witnesses().count() == 0;
    idle && shared.board.all_told(&up, &shared.standing())
}

/// Tells the members that can be reached; gives who they are.
fn tell(shared: &Arc<Shared>, standing: &Standing) -> Vec<NodeId> {
    let view = shared.parts.cluster.view();
    let others = view.up.iter().copied().filter(|node| *node != shared.me);
    let up: Vec<NodeId> = others.filter(|node| view.state.members.contains_key(node)).collect();
    for &node in &up {
        if !shared.board.begin(node, standing) {
            continue;
        }
        let (shared, standing) = (shared.clone(), standing.clone());
        mapring_net::task::spawn(async move {
            let class = Class::Background;
            let patience = limits::PROBE_PATIENCE;
            let told = shared.ask::<()>(node, class, Operation::Standing, &standing, patience);
            let told = told.await.flat();
            shared.board.end(node, told.is_ok().then_some(standing));
        });
    }
    up
}

/// The sources whose writes are to be adopted: of nodes that are down or run anew, of this node
/// when no hint could be kept, and what is suspiciously old.
fn due(shared: &Shared) -> Vec<Source> {
    let view = shared.parts.cluster.view();
    let witnesses = shared.vnodes.witnesses();
    let mut due = witnesses.sources_older_than(limits::WITNESS_AGE);
    let gone = |source: &Source| {
        source.node == shared.me
            || !view.is_up(source.node)
            || shared.board.run_of(source.node).is_some_and(|run| run != source.run)
    };
    due.extend(witnesses.sources_older_than(limits::ADOPT_AFTER).into_iter().filter(gone));
    due.sort_unstable();
    due.dedup();
    due
}

/// Adopts what this node has witnessed of some sources by now: returns when hints of it are durable.
///
/// # Errors
/// What kept it from adopting some of it: `Storage`, `Overloaded`, `Corrupt`, `NotFound` (a bucket
/// type that this node does not know yet). The rest is adopted all the same.
pub(crate) async fn adopt(shared: &Arc<Shared>, sources: &[Source]) -> Result<()> {
    let witnesses = shared.vnodes.witnesses();
    // Who finds nothing need not wait for others: what they adopt is forgotten once it is durable.
    let upto = witnesses.last_of(sources);
    if upto.is_empty() {
        return Ok(());
    }
    let _one_at_a_time = shared.adopting.lock().await;
    let (mut after, mut outcome) = (None, Ok(()));
    loop {
        let writes = witnesses.some_upto(&upto, after, limits::ADOPT_WRITES);
        let Some((last, _)) = writes.last() else { return outcome };
        after = Some(*last);
        let (adopted, failure) = shared.vnodes.adopt(writes).await?;
        shared.stats.count_adopted(adopted);
        shared.kick.notify_one();
        outcome = failure.map_or(outcome, Err);
    }
}

/// A clean stop: the members learn that everything has settled.
pub(crate) async fn part(shared: &Arc<Shared>) {
    let deadline = Instant::now() + limits::PROBE_PATIENCE;
    while Instant::now() < deadline {
        let standing = shared.standing();
        let up = tell(shared, &standing);
        if shared.board.all_told(&up, &standing) {
            return;
        }
        sleep(limits::PART_LOOK).await;
    }
}

impl Shared {
    /// This node's standing now.
    pub(crate) fn standing(&self) -> Standing {
        let mut turn = self.board.turn.lock();
        *turn += 1;
        // First what has settled: a hint is kept before its write counts as settled.
        let below = self.unsettled.below();
        let below = self.vnodes.witnesses().first_own().map_or(below, |first| first.min(below));
        let view = self.parts.cluster.view();
        let others = |vnode: &Partition| view.plan().owner(*vnode) != Some(self.me);
        let (mut hinted, mut held) = (self.vnodes.held().lacking(), self.vnodes.held().vnodes());
        hinted.retain(others);
        held.retain(others);
        let Extent { store, position, .. } = self.extents.opened();
        let run = self.vnodes.witnesses().run();
        let opened = Extent { run, store, position };
        let extent = Extent { position: self.parts.engine.position(), ..opened };
        hinted.extend(self.integrity.awaited.vnodes());
        hinted.sort_unstable();
        Standing { run, turn: *turn, below, hinted, held, opened, extent }
    }

    /// Takes the standing of another node in.
    ///
    /// # Errors
    /// What keeps the storage from noting it: it is then noted with the next.
    pub(crate) async fn hear(self: &Arc<Self>, node: NodeId, standing: &Standing) -> Result<()> {
        if node == self.me || !self.board.hear(node, standing) {
            return Ok(());
        }
        if let Some(why) = self.extents.hear_all(node, &standing.opened, &standing.extent) {
            let name = self.name(node);
            tracing::error!(%node, name, why, "a member has come back with an older state of its data");
            self.integrity.kick.notify_one();
        }
        // After it is remembered, on disk too: a write is always either witnessed or its hint
        // remembered.
        let (source, below) = (Source { node, run: standing.run }, standing.below);
        let (shared, engine) = (self.clone(), self.parts.engine.clone());
        // What was witnessed lies on replicas that had acknowledged so much.
        self.keep_extents().await?;
        let settle = self.vnodes.run(move |core| {
            shared.board.keep(&*engine, node)?;
            core.witnesses.settle(source, below);
            Ok(())
        });
        settle.await?;
        if !self.vnodes.held().vnodes().is_empty() {
            // What was kept back because it had not settled can be handed over.
            self.kick.notify_one();
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
    pub(crate) fn lacking(&self) -> BTreeSet<Partition> {
        let heard = self.board.heard.lock();
        let hinted = heard.values().flat_map(|standing| standing.hinted.iter().copied());
        hinted.chain(self.integrity.awaited.vnodes()).collect()
    }
}

/// The first byte of a standing on disk.
const VERSION: u8 = 3;
const FORMER_VERSION: u8 = 2;

/// The name of the engine's meta value for what a node holds.
fn name(node: NodeId) -> String {
    format!("kv-held-by-{node}")
}

fn encode(standing: &Standing) -> Result<Vec<u8>> {
    postcard::to_extend(standing, vec![VERSION])
        .map_err(|error| Error::internal("cannot encode a standing").with_source(error))
}

fn decode(bytes: &[u8]) -> Result<Standing> {
    let damaged = |error| Error::corrupt("a standing is damaged").with_source(error);
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(damaged),
        Some((&FORMER_VERSION, rest)) => {
            let former = postcard::from_bytes(rest).map_err(damaged)?;
            let FormerStanding { run, turn, below, hinted, held } = former;
            Ok(Standing { run, turn, below, hinted, held, ..Standing::default() })
        }
        _ => Err(Error::corrupt("a standing has an unknown version")),
    }
}

#[cfg(test)]
mod tests {
    use mapring_engine::memory::MemoryEngine;

    use super::*;

    #[test]
    fn for_whom_a_node_holds_data_is_kept_over_a_stop() {
        let (engine, nodes) = (MemoryEngine::new(), || [1, 2].map(NodeId).into_iter());
        let holding = Standing { hinted: vec![Partition(7)], ..standing(5, 3) };
        let board = Board::default();
        board.hear(NodeId(1), &holding);
        board.keep(&engine, NodeId(1)).unwrap();
        let board = Board::default();
        board.load(&engine, nodes());
        assert_eq!(board.all(), [(NodeId(1), holding)]);
        board.hear(NodeId(1), &standing(5, 4));
        board.keep(&engine, NodeId(1)).unwrap();
        let board = Board::default();
        board.load(&engine, nodes());
        assert_eq!(board.all(), [(NodeId(1), standing(5, 4))]);
    }

    fn standing(run: u64, turn: u64) -> Standing {
        Standing { run, turn, below: turn, ..Standing::default() }
    }

    #[test]
    fn the_newest_standing_of_a_run_is_kept() {
        let board = Board::default();
        assert!(board.hear(NodeId(1), &standing(5, 2)));
        assert!(!board.hear(NodeId(1), &standing(5, 1)), "older");
        assert!(!board.hear(NodeId(1), &standing(5, 2)), "the same");
        assert!(board.hear(NodeId(1), &standing(6, 1)), "of a new run");
        assert!(!board.hear(NodeId(1), &standing(5, 9)), "of an old run");
        assert_eq!(board.run_of(NodeId(1)), Some(6));
        board.retain(&BTreeSet::new());
        assert!(board.all().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn members_are_told_news_and_now_and_then_what_they_know() {
        let board = Board::default();
        let node = NodeId(1);
        assert!(board.begin(node, &standing(5, 1)));
        assert!(!board.begin(node, &standing(5, 2)), "under way");
        board.end(node, Some(standing(5, 1)));
        let same = Standing { turn: 9, ..standing(5, 1) };
        assert!(!board.begin(node, &same));
        assert!(board.all_told(&[node], &same) && !board.all_told(&[node], &standing(5, 2)));
        assert!(board.begin(node, &standing(5, 2)));
        board.end(node, None);
        assert!(board.begin(node, &same), "the last call failed");
        board.end(node, Some(same.clone()));
        tokio::time::advance(limits::STANDING_REFRESH).await;
        assert!(board.begin(node, &same));
    }
}
