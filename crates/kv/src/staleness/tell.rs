//! How the other members learn this node's replication status, and this node theirs.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use mapring_background::{Context, Next, Worker};
use mapring_net::Class;
use mapring_types::{NodeId, Result};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::limits;
use crate::staleness::recover::{in_doubt, recover};
use crate::staleness::state::Staleness;
use crate::staleness::status::ReplicationStatus;
use crate::storage::inflight::Source;

/// Tells the others, again and again, and recovers writes that are in doubt.
pub(crate) struct StatusWorker {
    staleness: Weak<Staleness>,
    news: Arc<Notify>,
    /// How long to wait for news.
    patience: Duration,
}

impl StatusWorker {
    pub(crate) fn new(staleness: &Arc<Staleness>) -> Self {
        let (news, staleness) = (staleness.unsettled.news(), Arc::downgrade(staleness));
        Self { staleness, news, patience: limits::STATUS_RETRY }
    }
}

#[async_trait]
impl Worker for StatusWorker {
    fn name(&self) -> &'static str {
        "replication-status"
    }

    async fn round(&mut self, context: &Context) -> Result<Next> {
        let Some(staleness) = self.staleness.upgrade() else { return Ok(Next::End) };
        let done = round(&staleness).await;
        self.patience = if done { limits::STATUS_REFRESH } else { limits::STATUS_RETRY };
        let (own, others) =
            (staleness.unsettled.count(), staleness.node.vnodes.in_flight().count());
        context
            .say(format!("{own} own writes and {others} of others are not known to have settled"));
        Ok(Next::Wait)
    }

    async fn wait(&mut self) {
        let _ = timeout(self.patience, self.news.notified()).await;
        // Then a moment more, so that many changes are told at once.
        sleep(limits::STATUS_TICK).await;
    }
}

/// Tells, tidies up and recovers what is due; returns whether nothing is left to be done soon.
async fn round(staleness: &Arc<Staleness>) -> bool {
    let members: BTreeSet<NodeId> = staleness.node.view().state.members.keys().copied().collect();
    staleness.statuses.retain(&members);
    if let Err(error) = staleness.node.vnodes.raise_release().await {
        tracing::warn!(%error, "the release of the formats is raised later");
    }
    // Before anybody is told what has settled.
    if let Err(error) = staleness.keep_extents().await {
        tracing::debug!(%error, "how far the others' data is, is kept later");
    }
    let status = staleness.status();
    let up = tell(staleness, &status);
    let (own, watermark) =
        (Source { node: staleness.node.me, incarnation: status.incarnation }, status.watermark);
    let tidied = staleness.node.vnodes.run(move |core| {
        core.in_flight.settle(own, watermark);
        core.in_flight.prune();
        Ok(())
    });
    if let Err(error) = tidied.await {
        tracing::debug!(%error, "the journal is not tidied");
    }
    metrics::gauge!("mapring_kv_unsettled_writes").set(staleness.unsettled.count() as f64);
    metrics::gauge!("mapring_kv_in_flight_writes")
        .set(staleness.node.vnodes.in_flight().count() as f64);
    metrics::gauge!("mapring_kv_hinted_vnodes").set(status.held.len() as f64);
    let view = staleness.node.view();
    let mut owners = status.held.iter().filter_map(|vnode| view.plan().owner(*vnode));
    if owners.any(|owner| view.is_up(owner)) {
        // A write that a node stood in for has settled, or its owner was taken for down in error.
        staleness.wake.notify_one();
    }
    let due = in_doubt(staleness);
    if !due.is_empty() && staleness.recovering.try_lock().is_ok() {
        // Beside this task: statuses are told meanwhile.
        let staleness = staleness.clone();
        mapring_net::task::spawn(async move {
            if let Err(error) = recover(&staleness, &due).await {
                tracing::warn!(%error, "writes of a node that is gone are not recovered yet");
            }
        });
    }
    let idle = staleness.node.vnodes.in_flight().count() == 0;
    idle && staleness.statuses.all_told(&up, &staleness.status())
}

/// Tells the members that can be reached; gives who they are.
fn tell(staleness: &Arc<Staleness>, status: &ReplicationStatus) -> Vec<NodeId> {
    let view = staleness.node.view();
    let others = view.up.iter().copied().filter(|node| *node != staleness.node.me);
    let up: Vec<NodeId> = others.filter(|node| view.state.members.contains_key(node)).collect();
    for &node in &up {
        if !staleness.statuses.begin(node, status) {
            continue;
        }
        let (staleness, status) = (staleness.clone(), status.clone());
        mapring_net::task::spawn(async move {
            let class = Class::Background;
            let patience = limits::PROBE_PATIENCE;
            let told = staleness.peers.ask(node, class, &status, patience);
            let told = told.await.flat();
            staleness.statuses.end(node, told.is_ok().then_some(status));
        });
    }
    up
}

/// A clean stop: the members learn that everything has settled.
pub(crate) async fn part(staleness: &Arc<Staleness>) {
    let deadline = Instant::now() + limits::PROBE_PATIENCE;
    while Instant::now() < deadline {
        let status = staleness.status();
        let up = tell(staleness, &status);
        if staleness.statuses.all_told(&up, &status) {
            return;
        }
        sleep(limits::PART_LOOK).await;
    }
}

impl Staleness {
    /// Takes the status of another node in.
    ///
    /// # Errors
    /// What keeps the storage from noting it: it is then noted with the next.
    pub(crate) async fn hear(
        self: &Arc<Self>,
        node: NodeId,
        status: &ReplicationStatus,
    ) -> Result<()> {
        if node == self.node.me || !self.statuses.hear(node, status) {
            return Ok(());
        }
        if let Some(why) = self.peers.extents.hear_all(node, &status.opened, &status.extent) {
            let name = self.node.name(node);
            tracing::error!(%node, name, why, "a member has come back with an older state of its data");
            self.integrity.wake.notify_one();
        }
        // After it is remembered, on disk too: a write is always either in flight or its hint
        // remembered.
        let (source, watermark) =
            (Source { node, incarnation: status.incarnation }, status.watermark);
        let (staleness, engine) = (self.clone(), self.node.parts.engine.clone());
        // What was in flight lies on replicas that had acknowledged so much.
        self.keep_extents().await?;
        let settle = self.node.vnodes.run(move |core| {
            staleness.statuses.keep(&*engine, node)?;
            core.in_flight.settle(source, watermark);
            Ok(())
        });
        settle.await?;
        if !self.node.vnodes.held().vnodes().is_empty() {
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
        if !self.peers.extents.is_news() {
            return Ok(());
        }
        let staleness = self.clone();
        self.node.vnodes.write(move |core| staleness.peers.extents.keep(&*core.engine)).await
    }
}
